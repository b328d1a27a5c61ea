"""The half of a check that runs beside the reader's code: it computes, and judges nothing.

Whoever judges puts the cases into a folder, and reads the results from another: nbval's process,
and the grader. Neither runs a line of the reader's code itself.
"""

import os
from pathlib import Path

from coursekit.checking import wire
from coursekit.checking.cases import Result, run
from coursekit.checking.covered import covered
from coursekit.checking.tasks import owner

INPUTS, OUTPUTS = "COURSEKIT_INPUTS", "COURSEKIT_OUTPUTS"


def record(task, answer):
    """Run an answer on the cases in the folder $COURSEKIT_INPUTS, and hand the results over."""
    try:
        data = Path(os.environ[INPUTS], f"{task}.npz").read_bytes()
    except OSError:
        return  # this task is not asked for
    asked = wire.loads(data)
    with covered(asked["chapter"]):
        results = [run(owner(answer), case) for case in asked["cases"]]
    send(os.environ[OUTPUTS], task, results)
    print(f"{task}: recorded")


def ask(folder, task, chapter, cases):
    """Put the cases of a task where `record` finds them."""
    data = wire.dumps({"chapter": chapter, "cases": cases})
    Path(folder, f"{task}.npz").write_bytes(data)


def send(place, task, results):
    """Write results into a folder, or to an open file descriptor such as "fd:3"."""
    data = wire.dumps(results)
    if place.startswith("fd:"):
        name = task.encode()
        frame = len(name).to_bytes(8, "big") + name + len(data).to_bytes(8, "big") + data
        with open(int(place.removeprefix("fd:")), "wb", closefd=False) as pipe:
            pipe.write(frame)
        return
    beside = Path(place, f".{task}.{os.getpid()}")
    beside.write_bytes(data)
    os.replace(beside, Path(place, f"{task}.npz"))


def frames(data):
    """Pairs of task and bytes, from what was sent to a file descriptor; a torn end is left out."""
    found, at = [], 0

    def part():
        nonlocal at
        size = int.from_bytes(data[at : at + 8], "big")
        piece = data[at + 8 : at + 8 + size]
        complete = len(data) >= at + 8 + size and len(data) >= at + 8
        at += 8 + size
        return piece if complete else None

    while at < len(data):
        name, body = part(), part()
        if name is None or body is None:
            break
        found.append((name.decode("utf-8", "replace"), body))
    return found


def is_results(value):
    """Whether a loaded value has the form of results: a list of Result for each case."""
    return isinstance(value, list) and all(
        isinstance(results, list)
        and all(
            isinstance(r, Result) and isinstance(r.call, int) and type(r.name) is str
            for r in results
        )
        for results in value
    )
