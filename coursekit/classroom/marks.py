"""`python -m coursekit marks`: what `grade` found, in the form that a gradebook imports.

Nobody gets a mark whom the grader has not graded, and nobody's mark is changed who has none.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

from coursekit.classroom.collected import FILE, Collected, Folder
from coursekit.classroom.gradebook import LOGINS, NUMBERS, Gradebook
from coursekit.classroom.table import ways_to_write
from coursekit.files import BookError, read
from coursekit.grading.names import shown

KEYS = ("student", "points", "trouble", "problem")
SHOWN = 20  # names of one kind that are printed
# (form of the download, kind of gradebook): the column that holds the number of the download
OWN_NUMBER = {("canvas", "canvas"): ("id",), ("moodle", "moodle"): ("identifier",)}
SCHOOLS_NUMBERS = ("studentid", "sid", "sisuserid", "idnumber", "orgdefinedid", "identifier")


@dataclass
class Graded:
    """What one student got."""

    student: str  # the folder's name, as `grade` prints it
    points: int
    trouble: str  # not "": this is no mark
    problem: str  # not "": it is 0, and why


def marks(options):
    """Fill a gradebook; return the exit code: 1 if a student is in one list, or has no mark."""
    kind, path = next((k, p) for k in ("canvas", "moodle", "csv") if (p := getattr(options, k)))
    graded, best, set_name = read_results(options.results)
    folders = known_students(options.submissions)
    book = Gradebook(path, kind, options.column, set_name)
    heading = shown(book.head[book.column])
    out = options.out or options.results / f"{kind}.csv"
    if out.resolve() == path.resolve():
        raise BookError(f"--out {out} is the export itself: choose another name")
    if book.best not in (None, best) and not options.scale:
        raise BookError(
            f'{path}: "{heading}" is out of {book.best:g}, and {set_name} out of '
            f"{best}: set it to {best} points, or take --scale"
        )
    factor = (book.best or best) / best if options.scale else 1
    rows, no_row = matched(graded, folders, book)
    filled, no_mark, kept, nothing = [], [], [], []
    for number, result in sorted(rows.items()):
        row = book.rows[number]
        if result.trouble:
            no_mark.append(row.name)
        elif why := book.may_change(row):
            kept.append(f"{row.name} {why}")
        elif result.problem and row.cells[book.column].strip():
            kept.append(f"{row.name} has a mark, and handed in nothing that could be graded now")
        else:
            row.cells[book.column] = f"{result.points * factor:.2f}".rstrip("0").rstrip(".")
            filled.append(row)
            if result.problem:
                nothing.append(f"{row.name}: {result.problem}")
    no_result = [row.name for number, row in enumerate(book.rows) if number not in rows]
    if filled:
        book.write(out, filled)
        print(f'{out}: {len(filled)} marks for "{heading}"')
    else:
        print(f"none of the students of {path} has a mark: nothing is written")
    tell("NOT IN THE GRADEBOOK, or not to be told apart there", no_row)
    tell("NO MARK: what failed is the grader's, run grade again", no_mark)
    tell("IN THE GRADEBOOK, and not graded: what they have there stays", no_result)
    tell("left as they are", kept)
    tell("handed in late: the points are those of their work", late_in(set_name, graded, folders))
    tell("0 points, as nothing could be graded: look at these yourself", nothing)
    return 1 if no_row or no_mark or no_result or not filled else 0


def late_in(set_name, graded, folders):
    """The students who handed in a set late, as far as the LMS says so."""
    known = {
        student: folder.notebooks.get(f"{set_name}.ipynb") for student, folder in folders.items()
    }
    students = [result.student for result in graded]
    return [student for student in students if (known.get(student) or {}).get("late")]


def tell(title, names):
    """Print names under a title, if there are any."""
    if names:
        print(f"{title}: {len(names)}", *(f"  {shown(name)}" for name in names[:SHOWN]), sep="\n")
        if len(names) > SHOWN:
            print(f"  and {len(names) - SHOWN} more")


def read_results(results):
    """What `grade` wrote: a list of Graded, the points there are, the set's name."""
    try:
        rows = json.loads(read(results / "marks.json") or "null")
        set_name = json.loads(read(results / "grading.json") or "null")["assignment"]
        found = [Graded(*(row[key] for key in KEYS)) for row in rows]
        totals = {sum(m["out_of"] for m in row["marks"].values()) for row in rows} - {0}
        [best] = totals
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BookError(f"{results} does not hold the marks that grade writes") from None
    return found, best, set_name


def known_students(submissions):
    """{name of a folder, as `grade` prints it: Folder}, from what `collect` remembers."""
    if not (submissions / FILE).is_file():
        print(
            f"{submissions / FILE} is not there: students are found by the names of their folders"
        )
    return {shown(name): folder for name, folder in Collected(submissions).folders.items()}


def matched(graded, folders, book):
    """{number of a row: Graded}, and the names of those who have no row of their own."""
    found, rows, nobody = defaultdict(list), {}, []
    for result in graded:
        folder = folders.get(result.student) or Folder(result.student)
        its_rows = rows_of(folder, book, namesakes(folder, folders))
        if len(its_rows) == 1:
            found[its_rows[0]].append(result)
        else:
            nobody.append(result.student)
    for number, results in found.items():
        if len(results) == 1:
            rows[number] = results[0]
        else:
            nobody += [result.student for result in results]
    return rows, sorted(nobody)


def rows_of(folder, book, has_namesakes):
    """The numbers of the rows that may be a student's.

    A number is that of the system that gave it. Where the gradebook is of the same system, nothing
    else counts: another student may have the same name.
    """
    if own := OWN_NUMBER.get((folder.form, book.kind)):
        return [n for n, row in enumerate(book.rows) if row.has(folder.id, own)]
    ways = [(folder.email, LOGINS + ("identifier",))]
    if folder.form == "gradescope":  # the number that the school gives
        ways.append((folder.id, SCHOOLS_NUMBERS + ("id",) * (book.kind == "csv")))
    if folder.form in ("github", "folders", ""):  # the folder may be named by a number or a login
        ways.append((folder.name, NUMBERS + LOGINS))
    for text, headings in ways:
        found = [n for n, row in enumerate(book.rows) if text and row.has(text, headings)]
        if found:
            return found
    names = set() if has_namesakes else ways_to_write(folder.name)
    return [n for n, row in enumerate(book.rows) if row.names & names]


def namesakes(folder, folders):
    """Whether another student has the name of this one."""
    names = ways_to_write(folder.name)
    return any(f is not folder and ways_to_write(f.name) & names for f in folders.values())
