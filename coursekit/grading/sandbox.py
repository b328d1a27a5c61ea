"""Where students' code runs: no network, no file but ours, bounded time, memory, output, processes.

Made of bubblewrap (`bwrap`), resource limits, and a look at the processes ten times a second.
"""

import os
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from coursekit.files import BookError

OUTPUT = 64 << 20  # bytes that one run may send
PROCESSES = 96  # at once; a kernel has about 20 threads
FIRST_UID = 64000  # the grader run as root: each sandbox gets a user of its own
GIB = 1 << 30


@dataclass
class Outcome:
    """How a run ended."""

    output: bytes
    why: str | None  # None: by itself; else "time", "memory", "processes", "output"
    errors: str  # what was said before any code of the student's ran
    code: int | None


class Sandbox:
    """Runs jobs, folders with a job.json, each in a sandbox of its own.

    Args:
        library: folder with the `numpygpt` and `coursekit` that jobs import.
        timeout: seconds without a sign of progress.
        memory: GiB, of all processes of a job together.
        enclosed: False runs jobs with the grader's own rights.
    """

    def __init__(self, library, timeout, memory, enclosed=True):
        self.library = Path(library)
        self.timeout, self.memory = timeout, memory
        self.bwrap = None
        if enclosed:
            self.bwrap = shutil.which("bwrap")
            if self.bwrap is None:
                raise BookError(
                    "grading needs bubblewrap, which keeps students' code away from your files "
                    "(Debian, Ubuntu: sudo apt install bubblewrap; Linux only). To run their code "
                    "with your own rights all the same, ask for it: --no-sandbox"
                )

    def limits(self, slot):
        """What the runner gives up before any code of the student's runs."""
        resources = {
            "RLIMIT_AS": self.memory * GIB,
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": OUTPUT,
            "RLIMIT_NOFILE": 256,
        }
        if self.bwrap:  # outside, the user's other processes count, too
            # Higher than what `too_much` allows: of the kernel's limit the answer would hear, as of
            # an error, and with its processes still there the next task would be the one ended.
            resources["RLIMIT_NPROC"] = 4 * PROCESSES
        root = self.bwrap and os.getuid() == 0
        return {"resources": resources, "uid": FIRST_UID + slot if root else None}

    def command(self, job):
        python = [sys.executable, "-m", "coursekit.grading.runner"]
        if not self.bwrap:
            return [*python, str(job)]
        enclosure = [self.bwrap, "--die-with-parent", "--new-session", "--unshare-pid"]
        enclosure += ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        if os.getuid() == 0:
            # The kernel counts no processes of root's, so the runner becomes another user.
            enclosure += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            enclosure += ["--unshare-user"]
        small = ["--size", str(OUTPUT), "--perms", "1777"]
        enclosure += ["--proc", "/proc", "--dev", "/dev", *small, "--tmpfs", "/dev/shm"]
        enclosure += ["--remount-ro", "/dev", *small, "--tmpfs", "/tmp"]
        for path in self.readable():  # after /tmp: Python may live in there
            for parent in reversed(Path(path).parents[:-1]):
                enclosure += ["--perms", "0755", "--dir", str(parent)]
            enclosure += ["--ro-bind-try", path, path]
        enclosure += ["--perms", "0755", "--dir", "/sandbox"]
        enclosure += ["--ro-bind", str(self.library), "/sandbox/library"]
        enclosure += ["--ro-bind", str(job), "/sandbox/job", "--remount-ro", "/", "--chdir", "/tmp"]
        return [*enclosure, *python, "/sandbox/job"]

    def readable(self):
        """The paths that Python needs, and no more: of /etc only what finds libraries."""
        paths = [
            "/usr",
            "/lib",
            "/lib32",
            "/lib64",
            "/bin",
            "/etc/ld.so.cache",
            "/etc/alternatives",
        ]
        paths += [sys.base_prefix, sys.prefix, str(Path(sys.executable).resolve().parents[1])]
        return list(dict.fromkeys(paths))

    def environment(self):
        home = "/tmp" if self.bwrap else str(self.library)
        library = "/sandbox/library" if self.bwrap else str(self.library)
        one_thread = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        return {
            "PATH": os.environ.get("PATH", "/usr/bin"),
            "HOME": home,
            "IPYTHONDIR": f"{home}/.ipython",
            "JUPYTER_PLATFORM_DIRS": "1",
            "LANG": "C.UTF-8",
            "PYTHONPATH": library,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "COURSEKIT_PROGRESS": "",
        } | dict.fromkeys(one_thread, "1")

    def run(self, job, progress=len, steps=1):
        """Run a job to its end, or end it; return the Outcome.

        Args:
            progress: function of the output so far; time begins anew whenever its value changes.
            steps: how often it may begin anew.
        """
        process = subprocess.Popen(
            self.command(job),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/" if self.bwrap else job,
        )
        try:
            return self.watch(process, progress, time.monotonic() + steps * self.timeout)
        finally:
            end(process)

    def watch(self, process, progress, deadline):
        output, errors, why = bytearray(), bytearray(), None
        seen, since = None, time.monotonic()
        with selectors.DefaultSelector() as pipes:
            pipes.register(process.stdout, selectors.EVENT_READ, output)
            pipes.register(process.stderr, selectors.EVENT_READ, errors)
            while pipes.get_map() and why is None:
                for key, _ in pipes.select(timeout=0.1):
                    piece = os.read(key.fd, 1 << 20)
                    key.data.extend(piece)
                    if not piece:
                        pipes.unregister(key.fileobj)
                if (now := progress(output)) != seen:
                    seen, since = now, time.monotonic()
                if time.monotonic() > min(since + self.timeout, deadline):
                    why = "time"
                elif len(output) + len(errors) > OUTPUT:
                    why = "output"
                elif process.stdout in [key.fileobj for key in pipes.get_map().values()]:
                    why = self.too_much(process)
                if process.poll() is not None and not pipes.select(timeout=0):
                    break  # a child that it left behind may hold the pipe open
        end(process)
        return Outcome(bytes(output), why, errors.decode("utf-8", "replace")[:2000], process.poll())

    def too_much(self, process):
        """Whether the processes are too many, or too large together."""
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return None
        if len(family) > PROCESSES:
            return "processes"
        memory = 0
        for child in family:
            try:
                memory += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return "memory" if memory > self.memory * GIB else None


def end(process):
    """End a process and all that it started: bubblewrap takes its whole namespace with it."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for one in [process, *family]:
        try:
            one.kill()
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
    process.wait()
    process.stdout.close()
    process.stderr.close()
