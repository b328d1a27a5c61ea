"""The half of a check that runs beside the reader's code: it computes, and judges nothing.

Whoever judges puts the cases into a folder, and reads the results from another: nbval's process,
and the grader. Neither runs a line of the reader's code itself.
"""

import os
from pathlib import Path

from coursekit.checking import wire
from coursekit.checking.cases import Result
from coursekit.checking.covered import covered
from coursekit.checking.outcomes import outcomes, owner

INPUTS, OUTPUTS = "COURSEKIT_INPUTS", "COURSEKIT_OUTPUTS"


def record(task, answer):
    """Run an answer on the cases in the folder $COURSEKIT_INPUTS, and hand the results over."""
    try:
        data = Path(os.environ[INPUTS], f"{task}.bin").read_bytes()
    except OSError:
        return  # this task is not asked for
    asked = wire.loads(data)
    with covered(asked["chapter"]):
        # In the grader's process there is nobody else.
        tries = 1 if os.environ[OUTPUTS].startswith("fd:") else 3
        results = outcomes(owner(answer), asked["cases"], quiet=False, tries=tries)
    send(os.environ[OUTPUTS], task, results)
    print(f"{task}: recorded")


def ask(folder, task, chapter, cases):
    """Put the cases of a task where `record` finds them."""
    data = wire.dumps({"chapter": chapter, "cases": cases})
    Path(folder, f"{task}.bin").write_bytes(data)


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
    os.replace(beside, Path(place, f"{task}.bin"))


def frames(data):
    """Pairs of task and bytes, from what was sent to a file descriptor; a torn end is left out."""
    return Frames().feed(data)


class Frames:
    """Takes what comes from a file descriptor, piece by piece; each frame is given once."""

    def __init__(self):
        self.data, self.at = bytearray(), 0

    def feed(self, piece):
        """Take a piece; return the pairs of task and bytes that it completes."""
        self.data += piece
        found = []
        while (end := self.end_of(self.at)) and (last := self.end_of(end)):
            name = self.data[self.at + 8 : end].decode("utf-8", "replace")
            found.append((name, bytes(self.data[end + 8 : last])))
            self.at = last
        return found

    def end_of(self, at):
        """Where the part that begins at `at` ends; None while it is not all there."""
        if len(self.data) < at + 8:
            return None
        end = at + 8 + int.from_bytes(self.data[at : at + 8], "big")
        return end if end <= len(self.data) else None


def is_results(value):
    """Whether a loaded value has the form of results: a list of Result for each case."""
    return isinstance(value, list) and all(
        isinstance(results, list)
        and all(
            isinstance(r, Result) and type(r.call) is int and type(r.name) is str for r in results
        )
        for results in value
    )
