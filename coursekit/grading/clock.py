"""How long a job has been at work, so that a busy machine takes no marks.

Time that its threads wait for a processor is not the job's: the kernel counts it. What is left is
time in which it computed, slept or waited for something of its own. From look to look it adds up,
so that no time spent waiting pays for time spent asleep later.
"""

import contextlib
import os
import time
from pathlib import Path

import psutil

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# A look at all processes of the machine takes longer.
KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


class Clock:
    """Looks at a process and all that it has started.

    After `look`: `seconds` of work so far, `processes`, and `memory` in bytes of all together.
    """

    def __init__(self, pid):
        self.pid, self.start = pid, time.monotonic()
        self.seconds = self.passed = self.computed = 0.0
        self.waited = {}  # thread -> seconds
        self.processes = self.memory = 0

    def look(self):
        family = family_of(self.pid)
        self.processes = len(family)
        self.memory = sum(resident(pid) for pid in family)
        # Of a process that has ended, its parent keeps the time: no sum goes back for long.
        computes = max(self.computed, sum(computed(pid) for pid in family))
        waited = {thread: s for pid in family for thread, s in waits(pid)}
        waits_now = (s - self.waited.get(thread, 0.0) for thread, s in waited.items())
        passed = time.monotonic() - self.start
        awake_or_asleep = passed - self.passed - max(waits_now, default=0.0)
        self.seconds += max(computes - self.computed, awake_or_asleep)
        self.passed, self.computed, self.waited = passed, computes, waited


def family_of(pid):
    """A process and all that it has started."""
    if not KERNEL_LISTS_CHILDREN:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))]
        return [pid]
    found = [pid]
    for one in found:
        for task in entries(f"/proc/{one}/task"):
            found += map(int, read(f"/proc/{one}/task/{task}/children").split())
    return found


def computed(pid):
    """Seconds of processor time, of all threads and of the children that were waited for."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK if fields else 0.0


def waits(pid):
    """Pairs of thread and seconds in which it was ready, and had no processor."""
    for task in entries(f"/proc/{pid}/task"):
        if stat := read(f"/proc/{pid}/task/{task}/schedstat"):
            yield task, int(stat.split()[1]) / 1e9


def resident(pid):
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE if fields else 0


def entries(folder):
    try:
        return os.listdir(folder)
    except OSError:  # it has just ended
        return []


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""
