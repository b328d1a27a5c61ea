"""nbval's word on a student's notebook, from inside the sandbox, for the student's page.

No hidden case is in there with it: the check cells run and check nothing.
"""

import json
import re
import sys

from coursekit.checking.answers import task_checked
from coursekit.grading.names import inert

KERNEL = "enclosed"
LINE = re.compile(rb"^CELL (\d{1,4}) (passed|failed|skipped) ?(.*)$", re.M)
REPORTER = """
import json
import pytest

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        text = str(report.longrepr) if report.failed else ""
        print("\\nCELL", report.nodeid.rpartition("Cell ")[2], report.outcome, json.dumps(text))
"""


def prepare(job, cells, place, library, timeout, about):
    """Write what the runner needs to run nbval on the cells; it sees the job as `place`."""
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (job / "set.ipynb").write_text(json.dumps(notebook), "utf-8")
    (job / "cells.py").write_text(REPORTER, "utf-8")
    kernel = job / "kernels" / KERNEL / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "coursekit.grading.kernel", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": KERNEL, "language": "python"}))
    command = [
        sys.executable, "-m", "pytest", "--nbval", f"--nbval-kernel-name={KERNEL}", "-p", "cells",
        "-p", "coursekit.quick", "-p", "nbval.plugin", "-p", "no:cacheprovider", "-q",
        f"--nbval-cell-timeout={timeout}", "-c", "/dev/null", f"--rootdir={place}",
        f"{place}/set.ipynb",
    ]  # fmt: skip
    # In the kernel, `check` finds no cases, and says nothing.
    variables = ["/usr/bin/env", f"COURSEKIT_INPUTS={place}/in", f"PYTHONPATH={place}:{library}"]
    variables += [f"JUPYTER_PATH={place}", f"COURSEKIT_ENCLOSED={int(about['limits']['enclosed'])}"]
    # To look for plugins, and to load those of other packages, takes a second a student.
    variables += ["PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"]
    about = about | {"command": [*variables, *command]}
    (job / "job.json").write_text(json.dumps(about), "utf-8")


def read_report(outcome, cells):
    """A line for each cell that failed."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    lines = []
    for number, state, text in LINE.findall(outcome.printed):
        if state == b"failed" and int(number) < len(code):
            cell = code[int(number)]
            first = cell["source"].strip().splitlines()[:1]
            task = task_checked(cell) or (first[0] if first else "")
            lines.append(f"cell {int(number) + 1} ({inert(task, 60)}): {inert(reason(text))}")
    if outcome.why is not None:
        lines.append("nbval did not come to the end: " + outcome.why)
    return lines[:50]


def reason(text):
    try:
        said = re.sub(r"\x1b\[[0-9;]*m", "", json.loads(text))
    except (ValueError, TypeError, RecursionError):  # a student may print such a line, too
        return "failed"
    errors = re.findall(r"^(\w*(?:Error|Exception|Interrupt|Exit)\b.*)$", said, re.M)
    return errors[-1] if errors else "failed"
