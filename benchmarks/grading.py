"""How fast a class is graded: `python benchmarks/grading.py [--students 200] [--set 09]`.

Makes a class from the answers in book/checks, a tenth of it hostile, grades it, kills the grader
halfway in a second run and resumes it, and compares the marks, and the pages of all but the
hostile: what nbval says of those is a matter of chance. Needs bubblewrap.
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
from pathlib import Path

import numpy as np

from coursekit.checking.answers import grade_id
from coursekit.checking.tasks import ROOT, find_set
from coursekit.source import exercise_cells

HOSTILE = [
    "while True: pass",
    "import os; os._exit(0)",
    "hog = []\nwhile True: hog.append(bytearray(100_000_000))",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "for _ in range(500): print('x' * 1_000_000)",
]


def hand_in(folder, exercises, rng, hostile):
    """One student: for each task a known answer, right ones more often than not."""
    notebook = json.loads((ROOT / "exercises" / f"{exercises.name}.ipynb").read_text("utf-8"))
    ours = {
        grade_id(cell): cell["source"]
        for cell in exercise_cells(exercises.page, answers=True)
        if grade_id(cell)
    }
    for cell in notebook["cells"]:
        if (task := grade_id(cell)) is None:
            continue
        variants = exercises.tasks[task].variants
        cell["source"] = ours[task]
        if rng.random() < 0.4:
            cell["source"] = variants[rng.integers(len(variants))].source
    if hostile is not None:
        attacked = [cell for cell in notebook["cells"] if grade_id(cell)]
        attacked[rng.integers(len(attacked))]["source"] += f"\n{HOSTILE[hostile % len(HOSTILE)]}"
    folder.mkdir(parents=True)
    (folder / f"{exercises.name}.ipynb").write_text(json.dumps(notebook), "utf-8")


def command(root, out, name):
    return [
        *[sys.executable, "-m", "coursekit", "grade", str(root / "class"), "--assignment", name],
        *["--out", str(root / out), "--seed", "1", "--timeout", "10"],
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--set", default="09")
    options = parser.parse_args()
    exercises, rng = find_set(options.set), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(options.students):
            hostile = number // 10 if number % 10 == 9 else None
            hand_in(root / "class" / f"student {number:03}", exercises, rng, hostile)
        start = time.perf_counter()
        subprocess.run(command(root, "whole", exercises.name), cwd=ROOT, check=True)
        minutes = (time.perf_counter() - start) / 60
        print(
            f"{options.students} students, {exercises.name}, {os.cpu_count()} cores: "
            f"{minutes:.1f} minutes, {options.students / minutes:.0f} students a minute"
        )
        process = subprocess.Popen(command(root, "resumed", exercises.name), cwd=ROOT)
        while len(list(root.glob("resumed/students/*.json"))) < options.students // 2:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        subprocess.run(command(root, "resumed", exercises.name), cwd=ROOT, check=True)
        differences = []
        pages = [p.name for p in sorted(root.glob("whole/feedback/*.md")) if p.stem[-1] != "9"]
        assert len(pages) == options.students - options.students // 10
        for name in ("marks.csv", "marks.json", *(f"feedback/{page}" for page in pages)):
            runs = [(root / run / name).read_text("utf-8") for run in ("whole", "resumed")]
            differences += difflib.unified_diff(*(text.splitlines() for text in runs), n=0)
        print("killed halfway and resumed: marks and pages the same:", not differences)
        print("\n".join(differences))
        return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
