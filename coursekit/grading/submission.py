"""A class's submissions: which folders there are, and which notebook in each is meant."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from coursekit.checking.answers import Answers, read_answers, read_bytes
from coursekit.files import BookError
from coursekit.grading.names import file_key, shown

DEPTH = 4  # folders below a student's that are looked into
ENTRIES = 20_000  # that are looked at in one student's folder
# As browsers and mail programs save it, too: 03_linear.ipynb.txt, 03_linear.ipynb (1).json.
ENDING = r"\.ipynb( ?\(\d+\))?(\.(txt|json|download))?( ?\(\d+\))?"


@dataclass
class Submission:
    """What one student handed in."""

    student: str  # the folder's name, as it can be printed
    key: str  # the same, fit for a file name
    digest: str = ""  # of the notebook's bytes: a resumed run grades again what has changed
    answers: Answers | None = None  # None: nothing that can be graded
    problem: str = ""  # why, in a line
    trouble: str = ""  # why we could not look: no fault of the student's
    remarks: list = field(default_factory=list)


def student_folders(folder):
    """The students' folders in `folder`, in order of their names, and what else lies there.

    Raises:
        BookError: there is no such folder, or no student's folder in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BookError(f"{folder}: there is no such folder")
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise BookError(f"{folder} cannot be read: {error.strerror}") from None
    students = [path for path in found if path.is_dir() or path.is_symlink()]
    if not students:
        raise BookError(f"{folder} holds no folders: there must be one for each student")
    return students, [shown(path.name) for path in found if path not in students]


def read_submission(path, exercises):
    """The Submission in a student's folder."""
    student = Submission(shown(path.name), file_key(path.name))
    try:
        notebook = find_notebook(path, exercises.name, student.remarks)
        data = read_bytes(notebook)
        student.digest = hashlib.sha256(data).hexdigest()
        student.answers = read_answers(notebook, exercises.tasks, data)
    except BookError as error:
        student.problem = str(error)
    except OSError as error:
        student.trouble = f"the folder cannot be read: {error.strerror}"
    return student


def find_notebook(folder, name, remarks):
    """The set's notebook in a student's folder or below it, or the only notebook there is.

    Links are not followed: they may lead to the solutions, or to another student's work.

    Raises:
        BookError: there is none, or which one is meant cannot be said.
    """
    if folder.is_symlink():
        raise BookError("the folder is a link")
    of_set = re.compile(rf".*{ENDING}|{name}( ?\(\d+\))?\.json", re.IGNORECASE)
    found, is_all = notebooks_below(folder, of_set)
    # A link or a folder of that name is meant only if there is nothing else.
    found = [path for path in found if is_ordinary(path)] or found
    found.sort(key=lambda path: (len(path.parts), path))
    if not found:
        few = "" if is_all else f" among the first {ENTRIES:,} files and folders"
        raise BookError(f"there is no notebook{few}")
    wanted = re.compile(rf"{name}\.ipynb(\.(txt|json|download))?", re.IGNORECASE)
    named = [path for path in found if wanted.fullmatch(path.name)]
    # What a browser, a mail program or a second download makes of the name.
    alike = [path for path in found if name.casefold() in path.name.casefold()]
    choice = named or alike or found
    if len(choice) > 1 and not named:
        names = ", ".join(shown(path.name) for path in choice[:5])
        raise BookError(f"none of the notebooks is named {name}.ipynb: {names}")
    for other in choice[1:] + [path for path in alike if named and path not in named]:
        remarks.append(f"{shown(str(other.relative_to(folder)))} was not graded")
    if not is_ordinary(choice[0]):
        raise BookError(f"{shown(choice[0].name)} is not an ordinary file")
    return choice[0]


def is_ordinary(path):
    return path.is_file() and not path.is_symlink()


def notebooks_below(folder, pattern):
    """The notebooks in a folder: none that is hidden, kept by a program, or behind a link.

    Args:
        pattern: of their names.

    Returns:
        tuple of their paths, and whether all of the folder was seen.
    """
    found, folders, left = [], [(folder, 0)], ENTRIES
    for place, depth in folders:
        with os.scandir(place) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return found, False
                if entry.name.startswith((".", "__")):
                    continue
                if pattern.fullmatch(entry.name):
                    found.append(Path(entry.path))
                elif depth < DEPTH and entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))
    return found, True
