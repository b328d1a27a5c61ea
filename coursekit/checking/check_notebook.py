"""`python -m coursekit check 09` and `reset 09`: a reader's whole notebook."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from coursekit.checking import progress
from coursekit.checking.answers import read_answers
from coursekit.checking.tasks import ROOT, find_set
from coursekit.files import BookError, keep_old, write
from coursekit.source import exercise_cells

CELL_TIMEOUT = 120  # seconds
# pytest would load whatever plugins are installed, and some of them take a second or two.
ONLY_THESE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLUGINS = "-p coursekit.quick -p nbval.plugin -p coursekit.checking.overlay".split()


def check_sets(names):
    """Run sets through nbval, print a verdict a task; return 0 if all is right, else 1."""
    wrong = 0
    for exercises in [find_set(name) for name in names]:
        path = progress.exercise_path(exercises.name)
        read_answers(path, exercises.tasks)  # says in a line what is wrong with the file
        print(f"{path.relative_to(ROOT)}", flush=True)
        for task, message in verdicts(path, exercises).items():
            worth = f"{exercises.tasks[task].points} points"
            if message is None:
                print(f"  {task}: right, {worth}")
                progress.note(task, state="right")
            else:
                wrong += 1
                print("\n".join(f"  {line}" for line in message.split("\n")))
                if "not written yet" not in message:
                    progress.note(task, state="wrong")
    return 1 if wrong else 0


def verdicts(path, exercises):
    """{task: None if it is right, else what is wrong}, from nbval with our overlay."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", *PLUGINS, "--nbval", "--nbval-current-env",
                f"--nbval-cell-timeout={CELL_TIMEOUT}", "-p", "no:cacheprovider", "-q",
                "--color=no", "-c", os.devnull, f"--rootdir={folder}",
                f"--junit-xml={report}", str(path),
            ],
            capture_output=True,
            text=True,
            env=os.environ | ONLY_THESE,
        )  # fmt: skip
        if not report.is_file():
            raise BookError(f"nbval could not run {path.name}: {done.stdout[-500:]}{done.stderr}")
        cells = ElementTree.parse(report).getroot().iter("testcase")
        failures = [
            next((clean(f.text or "") for f in cell if f.tag in ("failure", "error")), None)
            if not any(part.tag == "skipped" for part in cell)
            else "not reached: a cell before it ran too long"
            for cell in cells
        ]
    code = [cell for cell in exercises.page.cells if cell["cell_type"] == "code"]
    if len(failures) != len(code):
        raise BookError(f"nbval could not run {path.name}: {done.stdout[-500:]}")
    found, earlier = {}, []
    for cell, failure in zip(code, failures, strict=True):
        if task := cell["metadata"].get("check"):
            if failure and not failure.startswith(f"{task}:"):
                failure = f"{task}: not right yet\n  {failure}"
            if failure and earlier:
                failure += "\n  " + "\n  ".join(earlier)
            found[task], earlier = failure, []
        elif failure:
            earlier.append(f"a cell before it failed: {failure}")
    return found


def clean(text):
    """nbval's report of one cell: what it says, without the cell's source."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"\A.*?Cell \d+: ", "", text, flags=re.S)
    said, _, rest = text.partition("\nInput:\n")
    last = [
        line for line in rest.strip().split("\n") if re.match(r"\w+(Error|Exception|Exit)\b", line)
    ]
    said = said.strip()
    return said if not last or "WRONG" in said else f"{said} ({last[-1]})"


def reset(name):
    """Write the blank set again; keep the reader's file beside it."""
    from coursekit.build import notebook_of, render

    exercises = find_set(name)
    path = ROOT / "exercises" / f"{exercises.name}.ipynb"
    blank = render(notebook_of(exercises.page, exercise_cells(exercises.page, answers=False)))
    if path.is_file():
        if path.read_text("utf-8") == blank:
            print(f"exercises/{path.name} is blank already")
            return 0
        print(f"exercises/{path.name} is kept as exercises/{keep_old(path).name}")
    write(path, blank)
    progress.forget(exercises.tasks)
    print(f"exercises/{path.name} is blank again")
    return 0
