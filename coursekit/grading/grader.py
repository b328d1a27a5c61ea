"""Grades submissions, several at a time, each in sandboxes of its own."""

import json
import os
import queue
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from coursekit.checking import wire
from coursekit.checking.answers import blank_answer, task_checked, with_answers
from coursekit.checking.judge import MISSING_ANSWER
from coursekit.checking.tasks import ROOT
from coursekit.files import BookError
from coursekit.grading import nbval_report
from coursekit.grading.judging import BLANK, Judge
from coursekit.grading.library import make_library
from coursekit.grading.names import inert
from coursekit.grading.results import Mark, Result
from coursekit.grading.sandbox import Sandbox

ENDINGS = {
    "time": "it ran for too long, and was stopped",
    "memory": "it used too much memory, and was stopped",
    "processes": "it started too many processes, and was stopped",
    "output": "it wrote too much, and was stopped",
    None: "the process ended in the middle of it",
}
STOPS = "its answer cell stops before its end"


class Attempt:
    """One try at grading a submission: its `result`, and whether it is sure.

    A result is sure if it would be the same on an idle machine.
    """

    def __init__(self, grader, submission):
        self.grader, self.submission = grader, submission
        self.result = result = Result(
            submission.student, submission.key, submission.digest, grader.limits
        )
        result.problem, result.trouble = submission.problem, submission.trouble
        result.remarks = list(submission.remarks)
        self.endings, self.is_sure = {}, True

    def mark(self, slot, last=False):
        """Run the answers, and judge them; what is not sure only if there is no other try."""
        with self.troubles():
            found, answers, tasks = {}, self.submission.answers, self.grader.exercises.tasks
            if answers is not None:
                computed = self.grader.compute(self.submission, slot)
                found, self.endings, left, self.is_sure = computed
                self.result.seconds = self.grader.seconds - left
                if not self.is_sure and not last:
                    return
                self.result.remarks += [f"{task}: {text}" for task, text in answers.remarks.items()]
            for task in tasks.values():
                verdict = self.grader.verdict(task.id, self.submission, found, self.endings)
                points = task.points if verdict[0] else 0
                self.result.marks[task.id] = Mark(points, task.points, *verdict[1:])

    def ask_nbval(self, slot):
        """Add what nbval says, for the student's page."""
        there = self.submission.answers is not None and not self.result.trouble
        if there and self.grader.limits["nbval"]:
            with self.troubles():
                self.result.nbval = self.grader.nbval(self.submission, slot, self.endings)

    @contextmanager
    def troubles(self):
        """What goes wrong in the block is the grader's or the machine's, never a mark."""
        result = self.result
        try:
            yield
        except BookError as error:
            result.trouble = str(error)
        except Exception as error:
            result.trouble = f"the grader could not run it ({type(error).__name__}: {error})"
        if result.trouble:
            self.is_sure = False
            result.marks = {
                task.id: Mark(0, task.points, [f"{task.id}: not graded"])
                for task in self.grader.exercises.tasks.values()
            }


class Grader:
    """Grades the submissions for one set, several at a time."""

    def __init__(self, exercises, seed, folder, limits, options):
        self.exercises, self.folder, self.limits = exercises, folder, limits
        self.seconds = options.timeout
        # Each cell has its share, so that no task that runs for ever takes the time of another.
        self.share = self.seconds / (len(exercises.tasks) + 1)
        tasks = exercises.tasks.values()
        self.blank = {task.id: blank_answer(task).strip() for task in tasks}
        library = folder / "library"
        make_library(library, exercises.page.number)
        private = [ROOT, options.submissions, options.out, folder]
        self.sandbox = Sandbox(library, options.memory, not options.no_sandbox, private)
        self.jobs = options.jobs or os.cpu_count() or 1
        # Nothing of a student's runs yet, nor anything else of ours, when the answers are made.
        self.judge = Judge(exercises, seed)

    def close(self):
        self.sandbox.stopped.set()
        self.judge.close()

    def try_out(self):
        """Run a notebook with no cells.

        Raises:
            BookError: not even that can be run.
        """
        outcome = self.run([], (), slot=0)
        if outcome.why or not outcome.was_ready:
            said = outcome.errors.strip().splitlines()[-1:] or ["it said nothing"]
            raise BookError(f"the sandbox does not start: {said[0]}; see coursekit grade --doctor")

    def grade_all(self, submissions):
        """Yield a Result for each submission, as they are finished.

        Who ran out of time, or did not start, is graded once more at the end, alone. Only what
        nbval says, which is no part of the mark, is gathered several at a time even then.
        """
        slots = queue.SimpleQueue()
        jobs = min(self.jobs, max(len(submissions), 1))
        for slot in range(jobs):
            slots.put(slot)

        @contextmanager
        def a_slot():
            slot = slots.get()
            try:
                yield slot
            finally:
                slots.put(slot)

        def first(submission):
            with a_slot() as slot:
                attempt = Attempt(self, submission)
                attempt.mark(slot)
                if attempt.is_sure:
                    attempt.ask_nbval(slot)
                return attempt

        def rest(attempt):
            with a_slot() as slot:
                attempt.ask_nbval(slot)
                return attempt

        once_more, futures = [], []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                futures += [pool.submit(first, submission) for submission in submissions]
                for future in as_completed(futures):
                    attempt = future.result()
                    if attempt.is_sure:
                        yield attempt.result
                    else:
                        once_more.append(attempt.submission)
                once_more.sort(key=lambda submission: submission.key)
                for start in range(0, len(once_more), 4 * jobs):  # a few, so that the bar moves
                    alone = [Attempt(self, each) for each in once_more[start : start + 4 * jobs]]
                    for attempt in alone:
                        attempt.mark(slot=0, last=True)
                    futures += (more := [pool.submit(rest, attempt) for attempt in alone])
                    for future in as_completed(more):
                        yield future.result().result
            except BaseException:
                self.sandbox.stopped.set()
                for future in futures:
                    future.cancel()
                raise

    def compute(self, submission, slot):
        """Run a student's answers.

        Returns:
            tuple of what was sent by frame, how a task's run was ended by task, the seconds that
            are left, and whether it would be the same on an idle machine.

        Raises:
            BookError: the sandbox does not start.
        """
        found, endings, left, runs, is_sure = {}, {}, self.seconds, 0, True
        tasks = list(self.exercises.tasks)
        # A task that ends the whole run is left out of the next, so that it costs only itself.
        while True:
            wanted = [task for task in tasks if task not in endings and task not in found]
            cells = self.cells(submission, endings)
            outcome = self.run(cells, wanted, slot, left)
            if not outcome.was_ready:
                raise BookError(f"its sandbox did not start: {inert(outcome.errors[-200:])}")
            left -= outcome.seconds + outcome.start * (runs > 0)  # a run more is the student's
            runs += 1
            is_sure = is_sure and left > 0 and not outcome.may_be_the_machines
            at, is_over = {"task": None}, False
            steps = {f"#run {number}": cell for number, cell in enumerate(cells)}
            for name, data in outcome.frames:
                if name in steps:
                    at = steps.pop(name)
                elif name == "#end":
                    is_over = not steps
                elif name in wanted and at.get("check") == name:
                    found[name] = data  # what an answer's own cell has checked is not the check
                elif name.startswith("#failed ") and name.removeprefix("#failed ") in wanted:
                    found.setdefault(name, data)
            if is_over:
                break
            if (task := at["task"]) is None or task in endings:
                # In the book's own cell: nothing that can be left out.
                endings |= {task: ENDINGS[outcome.why] for task in wanted if task not in found}
                break
            found.pop(task, None)
            endings[task] = ENDINGS[outcome.why]
            if left <= 0:
                break
        return found, endings, left, is_sure

    def cells(self, submission, endings):
        """The cells of a student's notebook, without the answers that ended an earlier run."""
        cells = []
        for cell in with_answers(self.exercises.page, kept(submission, endings)):
            if cell["cell_type"] == "code":
                checks, source = task_checked(cell), cell["source"]
                if checks:  # an answer may have a helper of that name
                    ours = '__import__("coursekit").check('
                    source = re.sub(r"^check\(", ours, source, flags=re.M)
                task = checks or cell["metadata"].get("nbgrader", {}).get("grade_id")
                cells.append({"source": source, "check": checks, "task": task})
        return cells

    def run(self, cells, tasks, slot, seconds=None):
        """Run cells in a sandbox, with the inputs of some tasks; return the Outcome."""
        seconds = self.seconds if seconds is None else seconds
        steps = [f"#run {number}" for number in range(len(cells))]
        with self.job(slot, seconds) as (job, about):
            about |= {"command": None, "cells": cells}
            (job / "job.json").write_text(json.dumps(about), "utf-8")
            for task in tasks:
                (job / "in" / f"{task}.bin").write_bytes(self.judge.inputs[task])
            return self.sandbox.run(job, seconds, steps, self.share)

    def nbval(self, submission, slot, endings):
        """What nbval says of the notebook: for the student, not for the mark."""
        cells = with_answers(self.exercises.page, kept(submission, endings))
        place = Path("/sandbox/job") if self.sandbox.bwrap else None
        with self.job(slot, self.seconds) as (job, about):
            library = self.sandbox.environment()["PYTHONPATH"]
            nbval_report.prepare(job, cells, place or job, library, self.seconds, about)
            return nbval_report.read_report(self.sandbox.run(job, self.seconds), cells)

    @contextmanager
    def job(self, slot, seconds):
        """(a folder that a sandbox can read, the limits to write into it); gone at the end."""
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            os.chmod(path, 0o755)  # its parent lets nobody else in
            (path / "in").mkdir()
            yield path, {"limits": self.sandbox.limits(slot, seconds)}
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def verdict(self, task, submission, found, endings):
        """(right, lines for the student, what is found) of one task."""
        if submission.answers is None:
            return self.not_judged(task, f"not graded: {submission.problem}")
        if problem := submission.answers.problems.get(task):
            return self.not_judged(task, problem)
        if ending := endings.get(task):
            return self.not_judged(task, ending)
        if task in found:
            verdict = self.judge.verdict(task, found[task])
        else:
            verdict = self.not_judged(task, MISSING_ANSWER)
        failed = failure(found.get(f"#failed {task}"))
        if failed and not verdict[0]:  # what follows from that is not what the student must mend
            return self.not_judged(task, STOPS, failed)
        if submission.answers.sources[task].strip() == self.blank[task]:
            return *verdict[:2], [["", "", BLANK]]  # whatever else of the set it calls
        return verdict

    @staticmethod
    def not_judged(task, why, *more):
        """The same of a task whose results nobody looks at."""
        return False, [f"{task}: {why}", *(f"  {line}" for line in more)], [["", "", why]]


def kept(submission, endings):
    """The answers of a submission that have ended no run."""
    return {k: v for k, v in submission.answers.parts.items() if k not in endings}


def failure(data):
    """What an answer cell that failed raised, in a line; None if it did not."""
    if data is None or len(data) > 10_000:
        return None
    try:
        error = wire.loads(data)
        line = f", at `{inert(error['line'], 80)}`" if error["line"] else ""
        if error["kind"] == "ModuleNotFoundError" and "numpygpt" in error["message"]:
            line += " (a part of numpygpt that this set, or a later chapter, has you write)"
        return f"{inert(error['kind'], 60)}: {inert(error['message'])}{line}"
    except (ValueError, KeyError, TypeError):
        return None
