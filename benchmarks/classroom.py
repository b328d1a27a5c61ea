"""From the download of an LMS to marks in its gradebook, with a class of which all is known.

`python benchmarks/classroom.py [--students 120] [--set 09] [--folder FOLDER]` makes a class of the
answers in book/checks, as Canvas hands it out; then a smaller one as Moodle does, and one as
Brightspace does. Each goes through collect, grade (in the sandbox) and marks, and is compared with
what the answers were drawn as: class.html cell by cell, and each student's points in the gradebook.
It prints what differs. Three minutes on two cores; it needs bubblewrap.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from made_class import Page, hand_in, make_class, mistakes_of  # noqa: E402

from coursekit.checking.tasks import find_set  # noqa: E402
from coursekit.classroom.separating import FEWEST  # noqa: E402

SMALL = 12  # students of the second and of the third class


def canvas(number, last):
    return f"{last.lower()}zoe_{1000 + number}_{5000 + number}_hand in.zip", ""


def moodle(number, last):
    return "", f"Zoe {last}_{1000 + number}_assignsubmission_file_/"


def brightspace(number, last):
    return "", f"{1000 + number}-77 - Zoe {last} - Nov 3, 2026 912 AM/"


def download(members, folder, path, place_of):
    """Write a class as an LMS hands it out: a zip, in it a zip or a folder for each student."""
    with zipfile.ZipFile(path, "w") as whole:
        for number, member in enumerate(members):
            inner, before = place_of(number, last_name(number))
            files = [p for p in sorted((folder / member.name).rglob("*")) if p.is_file()]
            parts = {p.relative_to(folder / member.name).as_posix(): p.read_bytes() for p in files}
            if inner:
                buffer = io.BytesIO()
                with zipfile.ZipFile(buffer, "w") as one:
                    for name, data in parts.items():
                        one.writestr(name, data)
                whole.writestr(inner, buffer.getvalue())
            for name, data in parts.items() if before else ():
                whole.writestr(before + name, data)


def last_name(number):
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03}").capitalize()


NAMES = {last_name(number) for number in range(1000)}


def gradebook(kind, students, title, best):
    """The rows of a gradebook before it is filled."""
    names = [(number, last_name(number)) for number in range(students)]
    if kind == "canvas":
        yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{title} (88001)"]
        yield ["    Points Possible", "", "", "", "", best]
        yield from ([f"{last}, Zoe", 1000 + n, f"S{n}", f"a{last}", "1", ""] for n, last in names)
    elif kind == "moodle":
        yield ["Identifier", "Full name", "Status", "Grade", "Maximum Grade",
               "Grade can be changed", "Last modified (grade)"]  # fmt: skip
        for n, last in names:
            yield [f"Participant {1000 + n}", f"Zoe {last}", "Submitted", "", best, "Yes", "-"]
    else:
        column = f"{title} Points Grade <Numeric MaxPoints:{best}>"
        yield [
            "OrgDefinedId",
            "Username",
            "Last Name",
            "First Name",
            column,
            "End-of-Line Indicator",
        ]
        yield from ([f"#{9000 + n}", f"a{last}", last, "Zoe", "", "#"] for n, last in names)


LMS = {
    "canvas": (canvas, "canvas"),
    "moodle": (moodle, "moodle"),
    "brightspace": (brightspace, "csv"),
}


def run(*words):
    command = [sys.executable, "-m", "coursekit", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(f"{words[0]} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return done.returncode == 0


def through(lms, exercises, students, folder):
    """Take a class through all commands; return whether all came out as it was made."""
    place_of, kind = LMS[lms]
    members = make_class(exercises, students, np.random.default_rng([20, students]))
    start, out, submissions = time.perf_counter(), folder / "results", folder / "submissions"
    hand_in(members, exercises, folder / "made")
    download(members, folder / "made", folder / "download.zip", place_of)
    good = run("collect", folder / "download.zip", "--out", submissions)
    command = ["grade", submissions, "--assignment", exercises.name, "--out", out, "--seed", "1"]
    good &= run(*command, "--no-nbval")
    best = sum(task.points for task in exercises.tasks.values())
    title = f"Set {exercises.page.number}: {exercises.name[3:]}"
    with open(folder / "book.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(gradebook(lms, students, title, best))
    book = ["marks", out, f"--{kind}", folder / "book.csv", "--submissions", submissions]
    good &= run(*book, "--out", folder / "filled.csv")
    minutes = (time.perf_counter() - start) / 60
    cells, wrong = compare_page(out, members, exercises)
    earned = [points_of(member, exercises) for member in members]
    with open(folder / "filled.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    [column] = [n for n, cell in enumerate(head) if cell.startswith(title) or cell == "Grade"]
    marks = {row_key(row): float(row[column]) for row in rows if "Zoe" in " ".join(row)}
    expected = {last_name(number): points for number, points in enumerate(earned)}
    print(
        f"{lms}: {students} students in {minutes:.1f} minutes; class.html: {cells} cells, tables "
        f"that differ: {wrong}; gradebook: {len(marks)} marks, "
        f"{sum(marks.get(name) != points for name, points in expected.items())} differ",
        flush=True,
    )
    pairs = Page((out / "similar.html").read_text("utf-8"))
    names = json.loads((submissions / ".collected.json").read_text("utf-8"))["students"]
    assert len(names) == students
    for row in next(iter(pairs.tables.values()), []):
        print("   alike:", " | ".join(row))
    return good and not wrong and marks == expected


def row_key(row):
    """The last name that a row of any of the gradebooks is of."""
    [name] = {word for cell in row for word in cell.replace(",", " ").split() if word in NAMES}
    return name


def points_of(member, exercises):
    tasks = exercises.tasks.values()
    return sum(task.points * (member.answers[task.id].kind == "right") for task in tasks)


def compare_page(out, members, exercises):
    """(cells of class.html that were compared, tables in which one differs)."""
    page = Page((out / "class.html").read_text("utf-8"))
    cells = wrong = 0
    for words, expected in expected_of(members, exercises).items():
        found = [[str(cell) for cell in row] for row in rows_of(page, words)]
        expected = [[str(cell) for cell in row] for row in expected]
        cells += sum(map(len, expected))
        if found != expected:
            wrong += 1
            print(f"{words}: made with {expected}, found {found}")
    mean = np.mean([points_of(member, exercises) for member in members])
    if f"on average {mean:.1f} of" not in page.text:
        wrong += 1
        print(f"the mean is not {mean:.1f}")
    return cells + 1, wrong


def expected_of(members, exercises):
    """{caption's words: rows} that class.html must hold, from what was drawn alone."""
    tasks, n = list(exercises.tasks.values()), len(members)
    numbers, hints, tables = [], [], {}
    for task in tasks:
        kinds = [member.answers[task.id].kind for member in members]
        right, wrong, blank = (kinds.count(kind) for kind in ("right", "mistake", "blank"))
        share = f"{100 * right / n:.0f}%"
        numbers.append([task.points, n, right, share, wrong, blank])
        shared = [m.progress[task.id] for m in members if m.progress]
        taken, minutes = zip(*shared, strict=True)
        most = len(task.hints)
        counts = [len(shared), sum(h > 0 for h in taken), sum(h == most for h in taken)]
        hints.append([*counts, f"{median(minutes):.0f}", task.minutes])
        found = mistakes_of(members, task.id)
        if found:
            rows = sorted([name, count] for name, count in found.items())
            tables[f"wrong answer to {task.id}"] = rows
    tables |= {"The same in numbers": numbers, "handed in their progress": hints}
    if n < FEWEST:
        return tables
    earned = np.array(
        [[t.points * (m.answers[t.id].kind == "right") for t in tasks] for m in members], float
    )
    items = []
    for column in range(len(tasks)):
        own, rest = earned[:, column], earned.sum(axis=1) - earned[:, column]
        r = ((own - own.mean()) * (rest - rest.mean())).mean() / (own.std() * rest.std())
        low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(n - 3))
        items.append([f"{r:.2f}", f"{low:.2f} to {high:.2f}"])
    return tables | {"item–total": items}


def rows_of(page, words):
    """The numbers of a table of the page: no titles, no sentences."""
    rows = page.table(words)
    if "wrong answer" in words:
        return sorted([name, int(count)] for name, count, _ in rows)
    return [row[1:3] if "total" in words else row[1:] for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=120)
    parser.add_argument("--set", default="09")
    parser.add_argument("--folder", type=Path, help="keep the classes and their results here")
    options = parser.parse_args()
    exercises, good = find_set(options.set), True
    with tempfile.TemporaryDirectory() as temporary:
        for lms in LMS:
            students = options.students if lms == "canvas" else SMALL
            folder = (options.folder or Path(temporary)) / lms
            folder.mkdir(parents=True)
            good &= through(lms, exercises, students, folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
