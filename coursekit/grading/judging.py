"""The judge: a process of its own, which runs no student's code and reads what that code sent.

It makes the right answers before any student's code runs anywhere, and beside nothing else. Then it
compares, one task of one student at a time, within a bounded time and memory: whatever a student
sends can cost that student's task, and nothing more.

`python -m coursekit.grading.judging SET` is the process; `Judge` is the grader's end of it.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from coursekit.environment import ONE_THREAD
from coursekit.files import BookError
from coursekit.grading.names import inert

SECONDS = 4  # of processor time for one task; ours take a hundredth of one
MEMORY = 384 << 20  # bytes above what the references need
ROOM = 1 << 20  # bytes of results that are always read; more where the right ones are larger

BLANK = "not written yet"
UNREADABLE = "its results cannot be read"
TOO_LONG = "its results take too long to judge"


class Judge:
    """Judges what students' code computed. Threads may share one: they wait for each other."""

    def __init__(self, exercises, seed):
        self.name, self.seed, self.one_at_a_time = exercises.name, seed, threading.Lock()
        self.start()

    def start(self):
        """Start the process, and wait for the right answers.

        Raises:
            BookError: there are none.
        """
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coursekit.grading.judging", self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=os.environ
            | ONE_THREAD
            | {
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "PYTHONUTF8": "1",
                "PYTHONSAFEPATH": "1",
            },
            start_new_session=True,  # Ctrl-C is the grader's; it ends us
        )
        with contextlib.suppress(BrokenPipeError):
            # Not in the command line, which everybody on the machine can read.
            self.process.stdin.write(f"{self.seed}\n".encode())
            self.process.stdin.flush()
        about = self.process.stdout.readline()
        if not about:
            self.errors.seek(0)
            said = self.errors.read().decode("utf-8", "replace").strip().split("\n")[-1]
            self.close()
            raise BookError(f"the answers to compare with cannot be made: {said}")
        # The inputs of the hidden cases, as a sandbox gets them.
        self.inputs = {task: self.process.stdout.read(size) for task, size in json.loads(about)}

    def verdict(self, task, data):
        """(right, lines for the student, what is found) of what a student's code sent for a task.

        Raises:
            RuntimeError: the judge died, for no reason that lies in the data.
        """
        with self.one_at_a_time:
            if self.process.poll() is not None:
                self.close()
                self.start()
            head = json.dumps([task, len(data)])
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(head.encode() + b"\n" + data)
                self.process.stdin.flush()
            said = self.process.stdout.readline()
            if said:
                return tuple(json.loads(said))
            code = self.process.wait()
        if code == -signal.SIGXCPU:
            return False, [f"{task}: {TOO_LONG}"], [["", "", TOO_LONG]]
        raise RuntimeError(f"the judge ended with code {code}")

    def close(self):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):
                file.close()


def main(name):
    """Make the references, hand out the inputs, then judge what comes in."""
    import numpy as np

    from coursekit.checking import wire
    from coursekit.checking.judge import Reference
    from coursekit.checking.tasks import find_set

    answers, pipe = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    seed = int(answers.readline())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a known mistake prints is nobody's verdict
    exercises = find_set(name)
    references, inputs = {}, {}
    for number, task in enumerate(exercises.tasks.values()):
        cases = list(task.cases(np.random.default_rng([seed, number])))
        inputs[task.id] = wire.dumps({"chapter": exercises.page.number, "cases": cases})
        reference = Reference(exercises, task.id, cases)
        references[task.id] = reference, room_for(reference)
    sizes = [(task, len(data)) for task, data in inputs.items()]
    pipe.write(json.dumps(sizes).encode() + b"\n" + b"".join(inputs.values()))
    pipe.flush()
    limit_memory()
    while head := answers.readline():
        task, size = json.loads(head)
        limit_time()
        pipe.write(json.dumps(judged(*references[task], answers.read(size))).encode() + b"\n")
        pipe.flush()


def room_for(reference):
    """The bytes of results that are read; of more, none is."""
    from coursekit.checking import wire

    return ROOM + 8 * len(wire.dumps(reference.expected))


def judged(reference, room, data):
    """(right, lines, found): numbers beside the right ones, in a process that ran nothing else."""
    from coursekit.checking import wire
    from coursekit.checking.judge import judge
    from coursekit.grading.report import inert_line

    task = reference.task
    try:
        if len(data) > room:
            raise ValueError("more than was asked for")
        results = wire.loads(data)
        if not asked_for(results, reference.cases):
            raise ValueError("not results")
        verdict = judge(reference, results)
        lines = [inert_line(line) for line in verdict.lines(detail=False)]
        return verdict.is_right, lines, found_by(verdict, reference.exercises.tasks[task])
    except Exception:  # the numbers may be made up to break us
        return False, [f"{task}: {UNREADABLE}"], [["", "", UNREADABLE]]


def found_by(verdict, task):
    """What a verdict finds wrong: [output, name of the known mistake or "", text] of each."""
    if not verdict.written:
        return [["", "", f"not checked yet: {verdict.needs}" if verdict.needs else BLANK]]
    # No two mistakes of a task have the same text: tests/test_answers.py.
    names = {mistake.message: mistake.name for mistake in task.of_kind("mistake")}
    return [[inert(p.name), names.get(p.text, ""), inert(p.text, 300)] for p in verdict.problems]


def asked_for(results, cases):
    """Whether these are results as `run` gives them: of these cases and calls, no name invented."""
    from coursekit.checking.cases import result_names
    from coursekit.checking.record import is_results

    if not is_results(results):
        return False
    if len(results) != len(cases):  # the check could not be called: one error, and nothing else
        return [[r.name for r in of_case] for of_case in results] == [["error"]]
    for case, of_case in zip(cases, results, strict=True):
        known = result_names(case)
        calls = range(max(1, sum(len(each.calls) for each in (case, *case.beside))))
        if len(of_case) > len(known) * len(calls):
            return False
        if not all(r.name in known and r.call in calls for r in of_case):
            return False
    return True


def limit_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def limit_time():
    """Let the kernel end this process when it has worked for SECONDS more."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + SECONDS, most))


if __name__ == "__main__":
    main(sys.argv[1])
