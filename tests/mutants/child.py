"""Runs each mutant in a process of its own, with so much time and memory and no more."""

import multiprocessing
import os
import pickle
import resource
import select
import signal
import sys
import zlib
from dataclasses import dataclass

import psutil

from mutants.making import key

GIB = 1 << 30


@dataclass
class Outcome:
    """How the mutants of some code ended."""

    group: str  # the set or the module
    piece: str  # the task or the module
    ids: list  # of all mutants there are
    ended: list  # (id, "killed", "endless", "survived" or what broke), of those that ran


def in_sample(mutant):
    """Whether a mutant is one of the twentieth that is always the same."""
    return zlib.crc32(key(mutant.id).encode()) % 20 == 0


def in_child(work, seconds, by_the_clock, memory=1):
    """What `work()` returns in a fork of this process.

    Args:
        seconds: of the processor's time.
        by_the_clock: seconds as well; a machine may be busy with other things.
        memory: in GiB, on top of what this process has.

    Returns:
        (how it ended, value): "done" and the value, "endless" and None, or "crashed" and why.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            answer(work, writing, seconds, memory)
        finally:
            os._exit(1)
    try:
        os.close(writing)
        data = read_all(reading, by_the_clock)
        if data is None:
            return "endless", None
    finally:
        os.close(reading)
        end_all_of(pid)
        status = os.waitpid(pid, 0)[1]
    if data:
        return pickle.loads(data)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return "endless", None
    return "crashed", f"status {status}"


def end_all_of(pid):
    """End a process and all that it has started."""
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def answer(work, writing, seconds, memory):
    """In the child: send what `work` returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    if sys.platform == "linux":
        most = psutil.Process().memory_info().vms + memory * GIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        result = "done", work()
    except BaseException as error:
        result = "crashed", f"{type(error).__name__}: {error}"
    with open(writing, "wb") as pipe:
        pipe.write(pickle.dumps(result))


def read_all(fd, seconds):
    """All that comes out of a pipe; None if its end has not come in time."""
    parts = []
    while select.select([fd], [], [], seconds)[0]:
        part = os.read(fd, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def shared(work, items, workers):
    """Yield work(item) for all items, in their order, from so many processes."""
    if workers == 1:
        yield from map(work, items)
        return
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(workers, initializer=quietly) as pool:
        yield from pool.imap(work, items)


def quietly():
    """A worker leaves Ctrl-C to its parent, which ends it: then it ends its own child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
