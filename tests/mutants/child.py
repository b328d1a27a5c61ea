"""Runs each mutant in a process of its own, with so much time and memory and no more."""

import os
import resource
import select
import signal
import sys
import zlib
from dataclasses import dataclass

import psutil

from coursekit.checking.slips.making import key

GIB = 1 << 30


@dataclass
class Outcome:
    """How the mutants of some code ended."""

    group: str  # the set or the module
    piece: str  # the task or the module
    ids: list  # of all mutants there are
    ended: list  # (id, "killed", "endless", "survived" or what broke), of those that ran


def in_sample(mutant):
    """Whether a mutant is in the fortieth that is always the same."""
    return zlib.crc32(key(mutant.id).encode()) % 40 == 0


def in_children(work, items, seconds, by_the_clock, memory=1, each=1):
    """What `work(item)` says of each item, in forks of this process; "endless" and "crashed" else.

    Args:
        seconds: of the processor's time, for an item.
        by_the_clock: seconds as well; a machine may be busy with other things.
        memory: in GiB, on top of what this process has.
        each: how many items a fork does, one after the other; an item that ends it ends alone.
    """
    found = []
    while len(found) < len(items):
        some = items[len(found) : len(found) + each]
        said, end = in_child(work, some, seconds, by_the_clock, memory)
        found += said
        if len(said) < len(some):
            found.append(end)
    return found


def in_child(work, items, seconds, by_the_clock, memory):
    """(what was said of the items, how the fork ended) of one fork."""
    reading, writing = os.pipe()
    # What is raised in a hook of a fork, as in logging's, Python drops: a Ctrl-C waits meanwhile.
    # To block it would not do: another thread may get it, and its handler runs in this one.
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, before)
            os.close(reading)
            answer(work, items, writing, seconds, memory)
        finally:
            os._exit(1)
    data, last = b"", b"\n"
    try:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt
        os.close(writing)
        while last and select.select([reading], [], [], by_the_clock)[0]:
            data += (last := os.read(reading, 1 << 16))
    finally:
        os.close(reading)
        end_all_of(pid)
        status = os.waitpid(pid, 0)[1]
    # By the clock, by the processor, or by us, which is the same.
    ended = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    return data.decode().splitlines(), "endless" if ended else f"crashed with {status}"


def end_all_of(pid):
    """End a process and all that it has started."""
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def answer(work, items, writing, seconds, memory):
    """In the child: write a line for each item."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    if sys.platform == "linux":
        most = psutil.Process().memory_info().vms + memory * GIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for item in items:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = int(used) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            said = work(item)
        except BaseException as error:
            said = f"crashed with {type(error).__name__}: {error}".replace("\n", " ")
        os.write(writing, f"{said}\n".encode())
