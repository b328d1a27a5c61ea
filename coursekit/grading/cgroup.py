"""A control group (cgroup v2) for each job, where the machine lends us a folder of them.

Then the kernel bounds the memory of all processes of a job together, with what they keep in pipes,
sockets and file systems, and their number. Without one, a job is a single process under its own
limits. `coursekit grade --doctor` says which of the two this machine has.
"""

import contextlib
import os
import time
from itertools import count
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
OURS = Path("/proc/self/cgroup")
NEEDED = {"memory", "pids"}


class Group:
    """A folder below which groups can be made, each with limits of its own."""

    numbers = count()

    def __init__(self, folder):
        self.folder = Path(folder)

    @classmethod
    def lent(cls):
        """The folder that this process may use, or None."""
        folder = own_folder()
        if folder is None or not usable(folder):
            return None
        try:
            # A group that others are below may hold no process itself.
            (folder / "grader").mkdir(exist_ok=True)
            for pid in (folder / "cgroup.procs").read_text().split():
                (folder / "grader" / "cgroup.procs").write_text(pid)
            (folder / "cgroup.subtree_control").write_text("+memory +pids")
        except OSError:
            return None
        return cls(folder)

    def child(self, memory, processes):
        """A group for one job: bytes of memory, and processes and threads."""
        group = Group(self.folder / f"job-{os.getpid()}-{next(self.numbers)}")
        group.folder.mkdir()
        limits = {"memory.max": memory, "pids.max": processes}
        if (group.folder / "memory.swap.max").exists():
            limits["memory.swap.max"] = 0
        for name, value in limits.items():
            (group.folder / name).write_text(str(value))
        return group

    def entered_by(self, command):
        """The command that enters the group before it does anything else."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", enter, str(self.folder / "cgroup.procs"), *command]

    def was_out_of_memory(self):
        events = (self.folder / "memory.events").read_text().split()
        return int(dict(zip(events[::2], events[1::2], strict=True)).get("oom_kill", 0)) > 0

    def close(self):
        """End what is still in it, and remove it."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.01)  # the kernel takes a moment to bury the dead


def own_folder():
    """The folder of the group that this process is in; None where there is no cgroup v2."""
    places = [line.split() for line in MOUNTS.read_text().splitlines()]
    places = [fields[1] for fields in places if fields[2] == "cgroup2"]
    ours = [line[3:] for line in OURS.read_text().splitlines() if line.startswith("0::")]
    if not places or not ours:
        return None
    folder = Path(places[0], ours[0].lstrip("/"))
    # The grader's own group, of an earlier run in this process.
    return folder.parent if folder.name == "grader" else folder


def usable(folder):
    """Whether the group lends what we need, and lets us make groups below it."""
    try:
        lent = set((folder / "cgroup.controllers").read_text().split())
    except OSError:
        return False
    return (
        lent >= NEEDED
        and os.access(folder, os.W_OK)
        and os.access(folder / "cgroup.procs", os.W_OK)
    )
