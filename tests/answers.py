"""What the tests of the exercises share: all tasks, and notebooks with chosen answers typed in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from warm import warm

from coursekit.checking.answers import grade_id
from coursekit.checking.tasks import load_set, task_ids
from coursekit.source import exercise_cells

REPOSITORY = Path(__file__).parents[1]
TASKS = [(name, task) for task, name in task_ids().items()]
WRONG = ("mistake", "reject")  # kinds of answers that book/checks keeps
# pytest would load whatever plugins are installed, and some of them take a second or two.
ONLY_THESE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLUGINS = "-p coursekit.quick -p nbval.plugin -p coursekit.checking.overlay".split()


def solutions(name):
    """{task: our answer} of a set."""
    cells = exercise_cells(load_set(name).page, answers=True)
    return {grade_id(cell): cell["source"] for cell in cells if grade_id(cell)}


def type_in(name, path, sources=None, answers_only=False):
    """Write a set's blank notebook to `path` with our answers in it, or those of `sources`."""
    notebook = json.loads((REPOSITORY / "exercises" / f"{name}.ipynb").read_text("utf-8"))
    sources = solutions(name) | (sources or {})
    for cell in notebook["cells"]:
        if grade_id(cell):
            cell["source"] = sources[grade_id(cell)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(notebook), "utf-8")
    return notebook


def nbval(*paths, cwd, start=warm):
    """Run nbval as a reader does; return {(file, number of the code cell): failure or None}.

    Args:
        cwd: the folder that it is started in.
        start: what makes the command that is started of the one that a reader types.
    """
    report = Path(cwd, "report.xml")
    command = [sys.executable, "-m", "pytest", *PLUGINS, "--nbval", "--nbval-current-env", "-q"]
    done = subprocess.run(
        [
            *start(command),
            *["--nbval-cell-timeout=300", "-p", "no:cacheprovider", "--color=no"],
            *[f"--junit-xml={report}", *map(str, paths)],
        ],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | ONLY_THESE,
    )
    assert report.is_file(), done.stdout + done.stderr
    cells = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        file, number = case.get("classname"), int(case.get("name").removeprefix("Cell "))
        failed = [part.text or "" for part in case if part.tag in ("failure", "error")]
        cells[file.removesuffix(".ipynb").rpartition(".")[2], number] = (
            failed[0] if failed else None
        )
    assert cells, done.stdout
    return cells


def check_cells(name):
    """{task: number of its check cell among the code cells}."""
    cells = [cell for cell in load_set(name).page.cells if cell["cell_type"] == "code"]
    options = [cell["metadata"] for cell in cells]
    return {o["check"]: number for number, o in enumerate(options) if "check" in o}
