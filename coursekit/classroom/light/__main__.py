"""python -m coursekit check [09], in a handout: all answers of a notebook, and the points.

The cells around the answers are those that were handed out, whatever the notebook says.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from coursekit.checking.answers import read_answers, task_checked, with_answers
from coursekit.classroom.light import stored
from coursekit.files import BookError, say

HERE = stored.FOLDER.parents[1]  # the folder of the handout
TIMEOUT = 120  # seconds a cell
USAGE = "usage: python -m coursekit check [SET ...], or status"


def main(arguments):
    try:
        if arguments[:1] == ["status"]:
            from coursekit.classroom.light.check import status

            status()
            return 0
        if arguments[:1] != ["check"]:
            print(USAGE, file=sys.stderr)
            return 2
        sets = stored.load_about(stored.FOLDER)
        wanted = [name for name in sets if not arguments[1:] or named(name, arguments[1:])]
        if not wanted:
            raise BookError(f"there is no set {arguments[1]} here: there are {', '.join(sets)}")
        return max([check_set(name, sets[name]) for name in wanted])
    except BookError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def named(name, wanted):
    return any(word in (name, f"{name}.ipynb", name[:2], name[:2].lstrip("0")) for word in wanted)


def check_set(name, about):
    """Run one notebook and print a verdict a task; return the exit code: 0 if all is right."""
    path, page = HERE / f"{name}.ipynb", stored.page_of(name, about)
    print(path.name, flush=True)
    tasks = {task: Asked(task, page) for task in about["tasks"]}
    answers = read_answers(path, tasks)
    got, best = 0, sum(task["points"] for task in about["tasks"].values())
    for cell in run(with_answers(page, answers.parts), path.parent):
        task = task_checked(cell)
        if task is None:
            continue
        wrong = said_by(cell, task)
        if task in answers.problems:
            wrong = [f"{task}: {answers.problems[task]}"]
        got += about["tasks"][task]["points"] * (not wrong)
        say(*(f"  {line}" for line in wrong or [f"{task}: right"]))
    print(f"  {got} of {best} points in these cases; the mark is given on others")
    return 0 if got == best else 1


@dataclass
class Asked:
    """What of a task is needed to read its answer."""

    id: str
    page: object


def said_by(cell, task):
    """What a check cell that failed has printed; nothing if it did not fail."""
    failed = next((out for out in cell["outputs"] if out["output_type"] == "error"), None)
    if failed is None:
        return []
    printed = "".join(out["text"] for out in cell["outputs"] if out["output_type"] == "stream")
    if failed["ename"] != "CheckError":
        printed = f"{task}: {failed['ename']}: {failed['evalue']}"
    return printed.strip().split("\n")


def run(cells, folder):
    """The cells with their outputs, run in a kernel; after one that fails the others run, too."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    notebook = nbformat.reads(json.dumps(content), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        allow_errors=True,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # no word on how it talks to us
        resources={"metadata": {"path": str(Path(folder))}},
    )
    try:
        client.execute()
    except CellTimeoutError:
        raise BookError(f"a cell took more than {TIMEOUT} seconds") from None
    except DeadKernelError:
        raise BookError("the kernel ended: an answer calls exit(), or needs too much") from None
    return notebook["cells"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
