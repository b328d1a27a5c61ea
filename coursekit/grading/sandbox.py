"""Where students' code runs: no network, no file but ours, bounded time, memory, output, processes.

Made of bubblewrap (`bwrap`), of a control group where the machine lends one, and of the limits
that the runner takes on inside: see jail.py.
"""

import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coursekit.checking.record import Frames
from coursekit.environment import ONE_THREAD
from coursekit.files import BookError
from coursekit.grading import hidden
from coursekit.grading.cgroup import Group
from coursekit.grading.clock import Clock, family_of

OUTPUT = 16 << 20  # bytes that one run may send; ours send half of one
FRAMES = 1000  # that one run may send
SPACE = 64 << 20  # bytes in each of /tmp and /dev/shm
PROCESSES = 96  # and threads, at once; a kernel has about 20 threads
USERS = 900
START = 60  # seconds in which a sandbox must be ready
FIRST_UID = 64000  # the grader run as root: each sandbox gets a user of its own
GIB = 1 << 30
LOOK = 0.1  # seconds between two looks at the clock
PATIENCE = 2  # times the seconds of work that a job may take by the clock on the wall

READY = "#ready"


@dataclass
class Outcome:
    """How a run ended."""

    frames: list  # pairs of name and bytes: what was sent
    why: str | None  # None: by itself; else "start", "time", "memory", "processes", "output"
    errors: str  # what was said before any code of the student's ran
    code: int | None
    seconds: float  # of work, from when it was ready
    start: float = 0.0  # seconds of work until then
    printed: bytes = b""  # of a program that sends no frames

    @property
    def was_ready(self):
        return any(name == READY for name, _ in self.frames[:1])

    @property
    def may_be_the_machines(self):
        """Whether it ran out of time, or was killed: by the machine, short of memory, say."""
        return self.why == "time" or self.why is None and not 0 <= (self.code or 0) < 128


class Sandbox:
    """Runs jobs, folders with a job.json, each in a sandbox of its own.

    Args:
        library: folder with the `numpygpt` and `coursekit` that jobs import.
        memory: GiB, of all processes of a job together.
        enclosed: False runs jobs with the grader's own rights.
        private: folders that no job may see, wherever they lie.
    """

    def __init__(self, library, memory, enclosed=True, private=()):
        self.library, self.memory = Path(library), memory
        self.bwrap, self.group, self.stopped = None, None, threading.Event()
        if enclosed:
            self.bwrap = shutil.which("bwrap")
            if self.bwrap is None:
                raise BookError(
                    "grading needs bubblewrap, which keeps students' code away from your files "
                    "(Debian, Ubuntu: sudo apt install bubblewrap; Linux only). To run their code "
                    "with your own rights all the same, ask for it: --no-sandbox"
                )
            self.group = Group.lent()
            self.mounts = mounts(private)

    def limits(self, slot, seconds):
        """What the runner takes on before any code of the student's runs."""
        resources = {
            "RLIMIT_AS": self.memory * GIB,
            "RLIMIT_CORE": 0,
            # The watch ends a job before; the kernel does, should the watch be late.
            "RLIMIT_CPU": math.ceil(seconds) + START,
            "RLIMIT_FSIZE": SPACE,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NOFILE": 256,
        }
        if self.bwrap:  # outside, the user's other processes count, too
            resources["RLIMIT_NPROC"] = PROCESSES
        root = self.bwrap and os.getuid() == 0
        # Another grader of root's, at the same time, takes others: processes count by user.
        uid = FIRST_UID + (7 * os.getpid() + slot) % USERS if root else None
        return {"resources": resources, "uid": uid, "enclosed": bool(self.bwrap)}

    def command(self, job):
        python = [os.path.abspath(sys.executable), "-m", "coursekit.grading.runner"]
        if not self.bwrap:
            return [*python, str(job)]
        enclosure = [self.bwrap, "--die-with-parent", "--new-session", "--unshare-pid"]
        enclosure += ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        # For the runner, which gives them up: to bound the number of files, and as root's to
        # become another user, as the kernel counts no processes of root's.
        enclosure += ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]
        if os.getuid() == 0:
            enclosure += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            # As 0 of a namespace of its own, which is the user outside: with any other number,
            # bubblewrap adds a second one, in which /tmp is no longer the runner's to bound.
            enclosure += ["--unshare-user", "--uid", "0", "--gid", "0"]
        small = ["--size", str(SPACE), "--perms", "1777"]
        enclosure += ["--proc", "/proc", "--dev", "/dev", *small, "--tmpfs", "/dev/shm"]
        enclosure += ["--remount-ro", "/dev", *small, "--tmpfs", "/tmp"]
        enclosure += self.mounts  # after /tmp: Python may live in there
        enclosure += ["--perms", "0755", "--dir", "/sandbox"]
        enclosure += ["--ro-bind", str(self.library), "/sandbox/library"]
        enclosure += ["--ro-bind", str(job), "/sandbox/job", "--remount-ro", "/", "--chdir", "/tmp"]
        return [*enclosure, "--", *python, "/sandbox/job"]

    def environment(self):
        home = "/tmp" if self.bwrap else str(self.library)
        library = "/sandbox/library" if self.bwrap else str(self.library)
        return {
            "PATH": os.environ.get("PATH", "/usr/bin"),
            "HOME": home,
            "USER": "student",
            "LOGNAME": "student",
            "IPYTHONDIR": f"{home}/.ipython",
            "MPLCONFIGDIR": f"{home}/.matplotlib",
            "MPLBACKEND": "agg",
            "JUPYTER_PLATFORM_DIRS": "1",
            "LANG": "C.UTF-8",
            "PYTHONPATH": library,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "COURSEKIT_PROGRESS": "",
        } | ONE_THREAD

    def run(self, job, seconds, steps=None, share=None):
        """Run a job to its end, or end it; return the Outcome.

        Args:
            seconds: of work, from when it is ready.
            steps: names of the frames that mark its steps, in order; None for a program that sends
                no frames.
            share: seconds of work of one step.
        """
        group = self.group and self.group.child(self.memory * GIB, PROCESSES)
        command = self.command(job)
        process = subprocess.Popen(
            group.entered_by(command) if group else command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/" if self.bwrap else job,
        )
        try:
            return Watch(self, process, group, seconds, steps, share).to_the_end()
        finally:
            end(process)
            if group:
                group.close()


class Watch:
    """Reads what a job sends, and ends the job when it has used up what it was given."""

    def __init__(self, sandbox, process, group, seconds, steps, share):
        self.sandbox, self.process, self.group = sandbox, process, group
        self.seconds, self.share = seconds, share or seconds
        self.steps = None if steps is None else [READY, *steps]
        self.clock, self.frames, self.outcome = Clock(process.pid), Frames(), []
        self.errors, self.printed, self.size = bytearray(), bytearray(), 0
        # In seconds of the clock: when it was ready, and when the step began that runs.
        self.ready = self.began = 0.0 if steps is None else None
        self.ready_at = 0.0  # the same, by the clock on the wall

    def to_the_end(self):
        why, looked = None, 0.0
        with selectors.DefaultSelector() as pipes:
            for pipe, take in ((self.process.stdout, self.take), (self.process.stderr, self.hear)):
                pipes.register(pipe, selectors.EVENT_READ, take)
            while pipes.get_map() and why is None:
                for key, _ in pipes.select(timeout=LOOK):
                    piece = os.read(key.fd, 1 << 20)
                    key.data(piece)
                    if not piece:
                        pipes.unregister(key.fileobj)
                if self.sandbox.stopped.is_set():
                    raise KeyboardInterrupt
                if self.size > OUTPUT:
                    why = "output"
                elif time.monotonic() > looked + LOOK:
                    self.clock.look()
                    why, looked = self.exceeded(), time.monotonic()
                if self.process.poll() is not None and not pipes.select(timeout=0):
                    break  # a child that it left behind may hold the pipe open
        if self.group and self.group.was_out_of_memory():
            why = "memory"
        worked = self.clock.seconds - (self.ready or 0.0)
        if why is None:  # it has closed its pipes, and is about to end by itself
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)
        end(self.process)
        said = self.errors.decode("utf-8", "replace")[:2000]
        code = self.process.poll()
        return Outcome(
            self.outcome, why, said, code, worked, self.ready or 0.0, bytes(self.printed)
        )

    def hear(self, piece):
        self.size += len(piece)
        self.errors += piece[: max(0, 4000 - len(self.errors))]

    def take(self, piece):
        self.size += len(piece)
        if self.steps is None:
            self.printed += piece
            return
        for name, data in self.frames.feed(piece):
            if len(self.outcome) >= FRAMES:
                self.size = OUTPUT + 1
                return
            self.outcome.append((name, data))
            # Only the next one, once: who sends others gains no time.
            if self.steps and name == self.steps[0]:
                del self.steps[0]
                self.clock.look()
                self.began = self.clock.seconds
                if self.ready is None:
                    self.ready, self.ready_at = self.began, self.clock.passed

    def exceeded(self):
        """What the job has used up, or None."""
        now = self.clock.seconds
        if self.ready is None:
            return "start" if now > START else None
        if now - self.ready > self.seconds or now - self.began > self.share:
            return "time"
        if self.clock.passed - self.ready_at > PATIENCE * self.seconds:
            return "time"  # a thread may wait for ever: one that any other goes before
        if self.clock.processes > PROCESSES:
            return "processes"
        return "memory" if self.clock.memory > self.sandbox.memory * GIB else None


def mounts(private):
    """bubblewrap's options for what a job can read: parents first, and what hides a part after it.

    Raises:
        BookError: a file that must stay hidden cannot be.
    """
    paths = hidden.readable()
    folders, files = hidden.masked(paths, private)
    what = {path: ["--ro-bind-try", path] for path in paths}
    # A link leads to what is bound, and masked, under its own name.
    what |= {path: ["--symlink", os.readlink(path)] for path in paths if os.path.islink(path)}
    what |= {path: ["--perms", "0555", "--size", "4096", "--tmpfs"] for path in folders}
    what |= {path: ["--ro-bind", "/dev/null"] for path in files}
    options = []
    for path in sorted(what, key=lambda path: Path(path).parts):
        if path in paths:
            for parent in reversed(Path(path).parents[:-1]):
                options += ["--perms", "0755", "--dir", str(parent)]
        options += [*what[path], path]
    for folder in folders:
        options += ["--remount-ro", folder]
    return options


def end(process):
    """End a process and all that it started: bubblewrap takes its whole namespace with it."""
    for pid in family_of(process.pid) if process.poll() is None else []:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    process.wait()
    process.stdout.close()
    process.stderr.close()
