"""What a student got, and the files that remember it."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field

from coursekit.checking.tasks import ROOT
from coursekit.files import BookError, read, write

VERSION = 2  # of the files in `out`
FOLDERS = ("students", "feedback")  # in `out`


@dataclass
class Mark:
    """What one student got for one task."""

    points: int
    out_of: int
    lines: list  # what the student is told: never a number of a hidden case
    # What is wrong, for who looks at the whole class: [output, known mistake or "", text] of each.
    # None: graded before this was kept.
    found: list | None = None


@dataclass
class Result:
    """What one student got."""

    student: str
    key: str
    digest: str  # of the notebook
    limits: dict  # under which it was graded
    marks: dict = field(default_factory=dict)  # task -> Mark
    problem: str = ""  # why nothing of it could be graded
    remarks: list = field(default_factory=list)
    nbval: list = field(default_factory=list)  # what nbval said of each cell that failed
    seconds: float = 0.0  # of work, of all its runs
    trouble: str = ""  # what went wrong on our side: then this is no mark, and is not kept

    @property
    def points(self):
        return sum(mark.points for mark in self.marks.values())


def remembered_seed(out, exercises, seed):
    """The seed of the hidden cases: that of an unfinished run in `out`, or a new one.

    Raises:
        BookError: `out` holds marks of something else, or is damaged.
    """
    about = {"assignment": exercises.name, "version": VERSION, "book": digest_of(exercises)}
    path = out / "grading.json"
    if (text := read(path)) is not None:
        try:
            known = json.loads(text)
            old = known.pop("seed")
            if type(old) is not int or old < 0:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BookError(f"{path} is damaged: choose another --out") from None
        if known != about:
            page = exercises.page.path
            raise BookError(f"{out} holds marks of another assignment, or of an older {page}")
        if seed not in (None, old):
            raise BookError(f"{out} was begun with --seed {old}: choose another --out")
        return old
    seed = secrets.randbits(63) if seed is None else seed
    if not out.exists():
        out.mkdir(mode=0o700, parents=True)  # marks are nobody else's
    write(path, json.dumps(about | {"seed": seed}, indent=1) + "\n")
    return seed


def digest_of(exercises):
    text = "".join(read(ROOT / page.path) for page in (exercises.page, exercises.checks))
    return hashlib.sha256(text.encode()).hexdigest()


def save(out, result):
    path = out / "students" / f"{result.key}.json"
    write(path, json.dumps(asdict(result), indent=1) + "\n")


def load(out, key, exercises):
    """What an earlier run found for a student, or None.

    Raises:
        BookError: there is a file of that name, and it is not one of ours.
    """
    path = out / "students" / f"{key}.json"
    if not path.exists():
        return None
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise ValueError
        known = json.loads(read(path))
        known["marks"] = {task: Mark(**mark) for task, mark in known["marks"].items()}
        result = Result(**known)
        if not is_whole(result, key, exercises):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BookError(f"{path} is damaged, or not of this grader: delete it") from None
    return result


def is_whole(result, key, exercises):
    """Whether a result is one that we may have written for this set."""
    tasks = {task.id: task.points for task in exercises.tasks.values()}
    return (
        result.key == key
        and all(type(text) is str for text in (result.student, result.digest, result.problem))
        and all(type(found) is list for found in (result.remarks, result.nbval))
        and all(type(line) is str for line in [*result.remarks, *result.nbval])
        and {task: mark.out_of for task, mark in result.marks.items()} == tasks
        and all(mark.points in (0, mark.out_of) for mark in result.marks.values())
        and all(type(line) is str for mark in result.marks.values() for line in mark.lines)
        and all(mark.points or mark.lines for mark in result.marks.values())
        and all(is_found(mark.found) for mark in result.marks.values())
    )


def is_found(found):
    return found is None or all(
        type(each) is list and [type(part) for part in each] == [str] * 3 for each in found
    )
