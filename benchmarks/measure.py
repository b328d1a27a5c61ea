"""How the benchmarks measure: two programs side by side in one process, round after round.

Machines are noisy, so a time alone says little. In each round both sides run, one after the other,
the first to run changing from round to round; the ratio of the two times of a round is what we
report, by its median, beside the fastest time of each side. One round before the first is not
counted: it fills caches and wakes threads. The garbage collector runs between rounds, and in
them passes over what was there before: else PyTorch's objects would slow whatever runs beside them.
"""

import gc
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Result:
    """One row of the table; times in seconds for `amount` units of work."""

    name: str
    peer: str
    unit: str
    amount: float
    ours: list
    theirs: list

    @property
    def ratio(self):
        """How many times as fast as the peer: the median over rounds; 1 where there is no peer."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(b / a for a, b in pairs) if self.theirs else None

    def row(self):
        cells = [f"{self.name:34}", f"{self.amount / min(self.ours):>12,.0f}"]
        cells.append(f"{self.amount / min(self.theirs):>12,.0f}" if self.theirs else " " * 12)
        cells.append(f"{self.ratio:>8.2f}" if self.theirs else " " * 8)
        return "".join([*cells, f"  {self.unit}", f", against {self.peer}" if self.peer else ""])

    def to_dict(self):
        return {**vars(self), "ratio": self.ratio}


@dataclass
class Memory:
    """One row of the table: peak memory in MB of a process of ours and one of the peer's."""

    name: str
    ours: float
    theirs: float
    peer: str = "PyTorch eager"

    @property
    def ratio(self):
        """How many times less memory we take."""
        return self.theirs / self.ours

    def row(self):
        numbers = f"{self.ours:>12,.0f}{self.theirs:>12,.0f}{self.ratio:>8.2f}"
        return f"{self.name:34}{numbers}  MB, against {self.peer}"

    def to_dict(self):
        return {**vars(self), "ratio": self.ratio}


def peak_memory():
    """Return the most memory that this process has had, in bytes (Linux).

    Not by getrusage: its maximum begins with that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def side_by_side(name, ours, theirs=None, *, peer="", unit, amount, rounds=7):
    """Time ours() and theirs() in alternating rounds and return the Result.

    Args:
        ours, theirs: functions without arguments that do the same work; theirs may be None.
        unit: what is counted, such as "tokens/s".
        amount: how many of it one call does.
    """
    times = {"ours": [], "theirs": []}
    sides = [("ours", ours), ("theirs", theirs)] if theirs else [("ours", ours)]
    for number in range(rounds + 1):
        gc.collect()
        gc.freeze()
        for side, work in sides if number % 2 else reversed(sides):
            start = time.perf_counter()
            work()
            if number:
                times[side].append(time.perf_counter() - start)
    return Result(name, peer, unit, amount, times["ours"], times["theirs"])
