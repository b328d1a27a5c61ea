"""Whether each number about a class is the one that the class was made with.

`python benchmarks/classroom.py [--students 120] [--set 09] [--folder FOLDER]` makes a class of the
answers in book/checks, grades it in the sandbox, and compares the numbers of class.html, cell by
cell, with what the answers were drawn as. It prints what differs, and the pairs of similar.html.
Four minutes for 120 students; it needs bubblewrap.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from made_class import Page, hand_in, make_class, mistakes_of  # noqa: E402

from coursekit.checking.tasks import find_set  # noqa: E402


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
        tables[f"wrong answer to {task.id}"] = sorted([name, k] for name, k in found.items())
    earned = np.array(
        [[t.points * (m.answers[t.id].kind == "right") for t in tasks] for m in members], float
    )
    items = []
    for column in range(len(tasks)):
        own, rest = earned[:, column], earned.sum(axis=1) - earned[:, column]
        r = ((own - own.mean()) * (rest - rest.mean())).mean() / (own.std() * rest.std())
        low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(n - 3))
        items.append([f"{r:.2f}", f"{low:.2f} to {high:.2f}"])
    return tables | {
        "The same in numbers": numbers,
        "handed in their progress": hints,
        "item–total": items,
    }


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
    parser.add_argument("--folder", type=Path, help="keep the class and its results here")
    options = parser.parse_args()
    exercises = find_set(options.set)
    members = make_class(exercises, options.students, np.random.default_rng(20))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        hand_in(members, exercises, folder / "submissions")
        start, out = time.perf_counter(), folder / "results"
        command = [sys.executable, "-m", "coursekit", "grade", folder / "submissions", "--out", out]
        command += ["--assignment", exercises.name, "--no-nbval", "--seed", "1"]
        subprocess.run(command, cwd=ROOT, check=True)
        print(f"graded in {(time.perf_counter() - start) / 60:.1f} minutes")
        page = Page((out / "class.html").read_text("utf-8"))
        pairs = Page((out / "similar.html").read_text("utf-8"))
    cells, wrong = 0, 0
    for words, expected in expected_of(members, exercises).items():
        found = [[str(cell) for cell in row] for row in rows_of(page, words)]
        expected = [[str(cell) for cell in row] for row in expected]
        cells += sum(map(len, expected))
        if found != expected:
            wrong += 1
            print(f"{words}: made with {expected}, found {found}")
    total = sum(t.points * (m.answers[t.id].kind == "right") for m in members
                for t in exercises.tasks.values())  # fmt: skip
    if f"on average {total / len(members):.1f} of" not in page.text:
        wrong += 1
        print(f"the mean is not {total / len(members):.1f}")
    print(f"{cells} cells of the tables compared, tables that differ: {wrong}")
    print(pairs.text.split("Pairs\n")[-1].strip())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
