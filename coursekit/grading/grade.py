"""`python -m coursekit grade`: from a folder of submissions to marks and pages for students."""

import ast
import compileall
import json
import os
import queue
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path

from coursekit import dependencies
from coursekit.checking import wire
from coursekit.checking.answers import task_checked, with_answers
from coursekit.checking.judge import MISSING_ANSWER
from coursekit.checking.tasks import ROOT, find_set
from coursekit.files import BookError, write
from coursekit.grading import nbval_report, report, results
from coursekit.grading.judging import Judge
from coursekit.grading.names import inert
from coursekit.grading.results import Mark, Result
from coursekit.grading.sandbox import Sandbox
from coursekit.grading.scratch import scratch_folder
from coursekit.grading.submission import read_submission, student_folders

ENDINGS = {
    "time": "it ran for too long, and was stopped",
    "memory": "it used too much memory, and was stopped",
    "processes": "it started too many processes, and was stopped",
    "output": "it wrote too much, and was stopped",
    None: "the process ended in the middle of it",
}


def grade(options):
    """Grade all submissions; return the exit code: 1 if one of them could not be graded."""
    exercises = find_set(options.assignment)
    folders, beside = student_folders(options.submissions)
    out = options.out
    inside = options.submissions.resolve()
    if out.resolve().is_relative_to(inside):
        raise BookError(f"--out {out} lies inside the submissions: choose another folder")
    if any(inside.is_relative_to((out / part).resolve()) for part in results.FOLDERS):
        raise BookError(f"--out {out} would write among the submissions: choose another folder")
    seed = results.remembered_seed(out, exercises, options.seed)
    if beside:
        more = f" and {len(beside) - 5} more" if len(beside) > 5 else ""
        names = ", ".join(beside[:5])
        print(f"not graded, as it lies in no student's folder: {names}{more}", file=sys.stderr)
    limits = {"timeout": options.timeout, "memory": options.memory, "nbval": not options.no_nbval}
    submissions, done = [], {}
    again = chosen(options.again or [], folders)
    for folder in folders:
        submission = read_submission(folder, exercises)
        old = results.load(out, submission.key, exercises)
        same = old and old.digest == submission.digest and old.limits == limits
        is_there = not submission.problem and not submission.trouble
        if same and is_there and folder.name not in again:
            done[submission.key] = old
        submissions.append(submission)
    waiting = [submission for submission in submissions if submission.key not in done]
    if done:
        print(f"{len(done)} of {len(submissions)} were graded before, and are kept")
    with scratch_folder() as scratch:
        if options.no_sandbox:
            print("without a sandbox: students' code runs with your own rights", file=sys.stderr)
        with closing(Grader(exercises, seed, scratch, limits, options)) as grader:
            grader.try_out()
            for result in progress_bar(grader.grade_all(waiting), len(waiting)):
                if not result.trouble:
                    results.save(out, result)
                done[result.key] = result
    found = [done[submission.key] for submission in submissions]
    report.write_all(out, exercises, found)
    print(report.summary(out, exercises, found))
    return 1 if any(result.trouble for result in found) else 0


def chosen(names, folders):
    """The folders' names that --again asks for."""
    here = {folder.name for folder in folders}
    if "all" in names:
        return here
    for name in names:
        if name not in here:
            raise BookError(f"--again {name}: there is no such student")
    return set(names)


class Grader:
    """Grades the submissions for one set, several at a time."""

    def __init__(self, exercises, seed, folder, limits, options):
        self.exercises, self.folder, self.limits = exercises, folder, limits
        self.seconds = options.timeout
        # Each cell has its share, so that no task that runs for ever takes the time of another.
        self.share = self.seconds / (len(exercises.tasks) + 1)
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

        Who ran out of time, or did not start, is graded once more at the end, alone.
        """
        slots = queue.SimpleQueue()
        jobs = min(self.jobs, max(len(submissions), 1))
        for slot in range(jobs):
            slots.put(slot)
        once_more = []
        with ThreadPoolExecutor(jobs) as pool:

            def one(submission):
                slot = slots.get()
                try:
                    return submission, *self.result(submission, slot, alone=False)
                finally:
                    slots.put(slot)

            futures = [pool.submit(one, submission) for submission in submissions]
            try:
                for future in as_completed(futures):
                    submission, result, is_sure = future.result()
                    if is_sure:
                        yield result
                    else:
                        once_more.append(submission)
            except BaseException:
                self.sandbox.stopped.set()
                for future in futures:
                    future.cancel()
                raise
        for submission in sorted(once_more, key=lambda submission: submission.key):
            yield self.result(submission, slot=0, alone=True)[0]

    def result(self, submission, slot, alone):
        """(the Result of one student, whether it would be the same on an idle machine)."""
        result = Result(submission.student, submission.key, submission.digest, self.limits)
        result.problem, result.trouble = submission.problem, submission.trouble
        result.remarks = list(submission.remarks)
        is_sure = True
        try:
            if submission.answers is None:
                found, endings = {}, {}
            else:
                found, endings, left, is_sure = self.compute(submission, slot)
                result.seconds = self.seconds - left
                if not is_sure and not alone:
                    return result, False
                remarks = submission.answers.remarks.items()
                result.remarks += [f"{task}: {text}" for task, text in remarks]
                if self.limits["nbval"]:
                    result.nbval = self.nbval(submission, slot, endings)
            for task in self.exercises.tasks.values():
                right, lines = self.verdict(task.id, submission, found, endings)
                result.marks[task.id] = Mark(task.points if right else 0, task.points, lines)
        except BookError as error:
            result.trouble = str(error)
        except Exception as error:  # of ours, or of the machine's: never a student's mark
            result.trouble = f"the grader could not run it ({type(error).__name__}: {error})"
        if result.trouble:
            result.marks = {
                task.id: Mark(0, task.points, [f"{task.id}: not graded"])
                for task in self.exercises.tasks.values()
            }
        return result, not result.trouble or alone

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
        """(right, lines for the student) of one task."""
        if submission.answers is None:
            return False, [f"{task}: not graded: {submission.problem}"]
        if problem := submission.answers.problems.get(task):
            return False, [f"{task}: {problem}"]
        if ending := endings.get(task):
            return False, [f"{task}: {ending}"]
        failed = failure(found.get(f"#failed {task}"))
        right, lines = False, [f"{task}: {MISSING_ANSWER}"]
        if task in found:
            right, lines = self.judge.verdict(task, found[task])
        if failed and not right:  # what follows from that is not what the student must mend
            lines = [f"{task}: its answer cell stops before its end", f"  {failed}"]
        return right, lines


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


def make_library(library, chapter):
    """Copy what a student's notebook imports: coursekit, and numpygpt up to the chapter before.

    Of what the set asks for, and of what comes later, only the names are there: an import harms
    nobody, a call is refused.
    """
    order = {f"numpygpt/{m}": number for m, number in dependencies.package_order(ROOT).items()}
    for package in ("numpygpt", "coursekit"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith("numpygpt/cli/"):
                continue
            text = path.read_text("utf-8")
            write(library / name, text if order.get(name, 0) < chapter else names_only(text))
    compileall.compile_dir(library, quiet=2)  # once, and not in every sandbox
    for path in [library, *library.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)


def names_only(text):
    """A module with the names of another, whose functions and classes refuse to be called."""
    lines = ["from coursekit.checking.covered import refuse", ""]
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            lines.append(f"def {node.name}(*args, **kwargs):\n    refuse()\n")
        elif isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            methods = " = ".join(dict.fromkeys(["__new__", *methods]))
            lines.append(f"class {node.name}:\n    {methods} = refuse\n")
        elif isinstance(node, ast.Assign):
            names = [name.id for name in node.targets if isinstance(name, ast.Name)]
            lines += [f"{name} = None" for name in names]
    return "\n".join(lines) + "\n"


def progress_bar(found, total):
    """The results, with a bar on a terminal."""
    from tqdm import tqdm

    return tqdm(found, total=total, unit="student", disable=None)
