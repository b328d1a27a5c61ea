"""How fast a class is graded, and whether its marks depend on anything but the answers.

`python benchmarks/grading.py [--students 200] [--set 09]` makes a class from the answers in
book/checks, a fifth of it hostile, and grades it five times with one seed: with -j 2, 1 and 4, with
a busy loop on every core beside it, and killed halfway and resumed. It prints students a minute,
the longest that one student worked, the peak of the grader's memory, and compares the marks; of all
but the hostile the pages, too: what nbval says of those is a matter of chance.

`--matrix` grades the book's own answers instead: all sets, four students, -j 1, 2 and 4, with and
without nbval; all must get all points. Both need bubblewrap.
"""

import argparse
import difflib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

import numpy as np
import psutil

from coursekit.checking.answers import grade_id
from coursekit.checking.tasks import ROOT, find_set, set_names
from coursekit.source import exercise_cells

HOSTILE = [
    "while True: pass",
    "import os; os._exit(0)",
    "hog = []\nwhile True: hog.append(bytearray(100_000_000))",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "for _ in range(500): print('x' * 1_000_000)",
    "import time; time.sleep(10_000)",
    "import threading\ndef spin():\n    while True: pass\n"
    "for _ in range(60): threading.Thread(target=spin, daemon=True).start()\nspin()",
    "for n in range(100_000): open(f'/tmp/{n}', 'w').close()",
]
TIMEOUT = 10  # seconds of work


def hand_in(folder, exercises, sources):
    notebook = json.loads((ROOT / "exercises" / f"{exercises.name}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if (task := grade_id(cell)) is not None:
            cell["source"] = sources[task]
    folder.mkdir(parents=True)
    (folder / f"{exercises.name}.ipynb").write_text(json.dumps(notebook), "utf-8")


def own_answers(exercises):
    cells = exercise_cells(exercises.page, answers=True)
    return {grade_id(cell): cell["source"] for cell in cells if grade_id(cell)}


def student(exercises, rng, hostile):
    """For each task a known answer, right ones more often than not; in one an attack, or None."""
    sources = own_answers(exercises)
    for task in sources:
        variants = exercises.tasks[task].variants
        if rng.random() < 0.4:
            sources[task] = variants[rng.integers(len(variants))].source
    if hostile is not None:
        attacked = list(sources)[rng.integers(len(sources))]
        sources[attacked] += f"\n{HOSTILE[hostile % len(HOSTILE)]}"
    return sources


def command(root, out, name, *options):
    return [
        *[sys.executable, "-m", "coursekit", "grade", str(root / "class"), "--assignment", name],
        *["--out", str(root / out), "--seed", "1", "--timeout", str(TIMEOUT), *options],
    ]


def watched(process):
    """Wait for a grader; return the largest memory of it or of its judge, in MB."""
    peak = 0
    while process.poll() is None:
        time.sleep(0.2)
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children()
            for member in [psutil.Process(process.pid), *family]:
                with suppress(OSError, psutil.NoSuchProcess):  # it has just ended
                    if "bwrap" not in member.name():
                        lines = Path(f"/proc/{member.pid}/status").read_text().split("\n")
                        peak = max([peak, *(int(x.split()[1]) for x in lines if "VmHWM" in x)])
    assert process.wait() == 0
    return peak / 1024


def differences(root, one, other, exercises, students):
    """Lines in which two gradings of the class differ."""
    pages = [p.name for p in sorted(root.glob(f"{one}/feedback/*.md")) if p.stem[-1] not in "49"]
    assert len(pages) == students - len([n for n in range(students) if n % 10 in (4, 9)])
    lines = []
    for name in ("marks.csv", "marks.json", *(f"feedback/{page}" for page in pages)):
        runs = [(root / run / name).read_text("utf-8") for run in (one, other)]
        lines += difflib.unified_diff(*(text.splitlines() for text in runs), n=0)
    return lines


def grade_a_class(root, exercises, students):
    rng = np.random.default_rng(0)
    for number in range(students):
        hostile = number // 5 if number % 10 in (4, 9) else None
        sources = student(exercises, rng, hostile)
        hand_in(root / "class" / f"student {number:03}", exercises, sources)
    print(f"{students} students, a fifth of them hostile, {exercises.name}, {os.cpu_count()} cores")
    all_the_same = True
    for run in ("-j 2", "-j 1", "-j 4", "beside busy loops", "killed and resumed"):
        options = run.split() if run.startswith("-j") else ["-j", "2"]
        line = command(root, run, exercises.name, *options)
        loops = []
        if run == "beside busy loops":
            busy = [sys.executable, "-c", "while True: pass"]
            loops = [subprocess.Popen(busy) for _ in range(os.cpu_count())]
        if run == "killed and resumed":
            process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
            while len(list(root.glob(f"{run}/students/*.json"))) < students // 2:
                time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        start = time.perf_counter()
        peak = watched(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL))
        minutes = (time.perf_counter() - start) / 60
        for loop in loops:
            loop.kill()
            loop.wait()
        found = [json.loads(path.read_text()) for path in root.glob(f"{run}/students/*.json")]
        worked = max(result["seconds"] for result in found)
        other = differences(root, "-j 2", run, exercises, students)
        all_the_same &= not other
        print(
            f"{run:20} {minutes:5.1f} minutes, {students / minutes:4.0f} students a minute, "
            f"longest work {worked / TIMEOUT:.1f} x time-out, "
            f"grader's memory {peak:.0f} MB, marks {'differ' if other else 'the same'}",
            flush=True,
        )
        print("\n".join(other[:20]), end="\n" if other else "")
    return all_the_same


def grade_all_sets(root):
    all_right = True
    for name in set_names():
        exercises = find_set(name)
        best = sum(task.points for task in exercises.tasks.values())
        folder = root / name
        for number in range(4):
            hand_in(folder / "class" / f"student {number}", exercises, own_answers(exercises))
        wrong = []
        for jobs, nbval in product((1, 2, 4), (True, False)):
            options = ["-j", str(jobs), *([] if nbval else ["--no-nbval"])]
            line = command(folder, "out", name, *options, "--again", "all")
            subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            rows = json.loads((folder / "out" / "marks.json").read_text())
            points = [row["points"] for row in rows]
            pages = (folder / "out" / "feedback").iterdir()
            failed = sum("Cells that failed" in page.read_text() for page in pages)
            if points != [best] * 4 or failed:
                wrong.append((jobs, nbval, points, failed))
        all_right &= not wrong
        print(
            f"{name:26} 6 gradings of 4 students: {wrong or 'all points, every time'}", flush=True
        )
    return all_right


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--set", default="09")
    parser.add_argument("--matrix", action="store_true", help="all sets, with the right answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.matrix:
            return 0 if grade_all_sets(Path(folder)) else 1
        good = grade_a_class(Path(folder), find_set(options.set), options.students)
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
