"""`python -m coursekit grade`: from a folder of submissions to marks and pages for students."""

import functools
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from coursekit import dependencies
from coursekit.checking import wire
from coursekit.checking.answers import task_checked, with_answers
from coursekit.checking.judge import MISSING_ANSWER, Reference, judge
from coursekit.checking.record import ask, frames, is_results
from coursekit.checking.tasks import ROOT, find_set
from coursekit.files import BookError, read, write
from coursekit.grading import nbval_report, report
from coursekit.grading.sandbox import Sandbox
from coursekit.grading.submission import read_submissions

ENDINGS = {
    "time": "it ran for too long, and was stopped",
    "memory": "it used too much memory, and was stopped",
    "processes": "it started too many processes, and was stopped",
    "output": "it wrote too much, and was stopped",
    None: "the process ended in the middle of it",
}

STARTS = 3  # how often a sandbox is started that is not ready in time


@dataclass
class Mark:
    """What one student got for one task."""

    points: int
    out_of: int
    lines: list  # what the student is told: never a number of a hidden case


@dataclass
class Result:
    """What one student got."""

    student: str
    key: str
    digest: str
    marks: dict = field(default_factory=dict)  # task -> Mark
    problem: str = ""
    nbval: list = field(default_factory=list)  # what nbval said of each cell that failed

    @property
    def points(self):
        return sum(mark.points for mark in self.marks.values())


def grade(options):
    """Grade all submissions; return the exit code."""
    exercises = find_set(options.assignment)
    submissions = read_submissions(options.submissions, exercises)
    out = options.out
    if out.resolve().is_relative_to(options.submissions.resolve()):
        raise BookError(f"--out {out} lies inside the submissions: choose another folder")
    seed = remembered_seed(out, exercises, options.seed)
    done = {}
    for submission in submissions:
        old = load_result(out, submission)
        if old and old.digest == submission.digest and not submission.problem:
            done[submission.key] = old
    waiting = [submission for submission in submissions if submission.key not in done]
    if done:
        print(f"{len(done)} of {len(submissions)} were graded before, and are kept")
    with tempfile.TemporaryDirectory(prefix="coursekit-grade-") as folder:
        os.chmod(folder, 0o755)
        grader = Grader(exercises, seed, Path(folder), options)
        if options.no_sandbox:
            print("without a sandbox: students' code runs with your own rights", file=sys.stderr)
        for result in progress_bar(grader.grade_all(waiting), len(waiting)):
            save_result(out, result)
            done[result.key] = result
    results = [done[submission.key] for submission in submissions]
    report.write_all(out, exercises, results)
    print(report.summary(out, exercises, results))
    return 0


def remembered_seed(out, exercises, seed):
    """The seed of the hidden cases: that of an unfinished run in `out`, or a new one."""
    page = exercises.page.path
    about = {"assignment": exercises.name, "version": 1, "book": digest_of(exercises)}
    path = out / "grading.json"
    if (text := read(path)) is not None:
        try:
            known = json.loads(text)
            old = known.pop("seed")
        except (ValueError, KeyError, AttributeError):
            raise BookError(f"{path} is damaged: choose another --out") from None
        if known != about:
            raise BookError(f"{out} holds marks of another assignment, or of an older {page}")
        if seed not in (None, old):
            raise BookError(f"{out} was begun with --seed {old}: choose another --out")
        return old
    seed = secrets.randbits(63) if seed is None else seed
    write(path, json.dumps(about | {"seed": seed}, indent=1) + "\n")
    return seed


def digest_of(exercises):
    text = "".join(read(ROOT / page.path) for page in (exercises.page, exercises.checks))
    return hashlib.sha256(text.encode()).hexdigest()


def result_path(out, submission):
    return out / "students" / f"{submission.key}.json"


def save_result(out, result):
    write(result_path(out, result), json.dumps(asdict(result), indent=1) + "\n")


def load_result(out, submission):
    """What an earlier run found for a student, or None."""
    try:
        known = json.loads(read(result_path(out, submission)) or "")
        known["marks"] = {task: Mark(**mark) for task, mark in known["marks"].items()}
        return Result(**known)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or torn: graded again


class Grader:
    """Grades the submissions for one set, several at a time."""

    def __init__(self, exercises, seed, folder, options):
        self.exercises, self.folder, self.options = exercises, folder, options
        self.cases = {}
        self.seed = seed
        for number, task in enumerate(exercises.tasks.values()):
            rng = np.random.default_rng([seed, number])
            self.cases[task.id] = list(task.cases(rng))
        library = folder / "library"
        make_library(library, exercises.page.number)
        self.sandbox = Sandbox(library, options.timeout, options.memory, not options.no_sandbox)

    @functools.cached_property
    def references(self):
        return {task: Reference(self.exercises, task, self.cases[task]) for task in self.cases}

    def grade_all(self, submissions):
        """Yield a Result for each submission, as they are finished."""
        jobs = min(self.options.jobs or os.cpu_count() or 1, max(len(submissions), 1))
        slots = list(range(jobs))
        with ThreadPoolExecutor(jobs) as pool:

            def compute(submission):
                slot = slots.pop()
                try:
                    return submission, *self.compute(submission, slot)
                except BookError:
                    raise  # of the grader's own
                except Exception as error:  # one student's disaster must not touch another
                    submission.answers = None
                    submission.problem = f"the grader could not run it ({type(error).__name__})"
                    return submission, {}, {}, []
                finally:
                    slots.append(slot)

            futures = [pool.submit(compute, submission) for submission in submissions]
            try:
                for future in as_completed(futures):
                    yield self.judged(*future.result())
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def compute(self, submission, slot):
        """Run a student's answers: (bytes by task, endings by task, nbval's report)."""
        if submission.answers is None:
            return {}, {}, []
        found, endings = {}, {}
        # A task that ends the whole run is left out of the next, so that it costs only itself.
        while len(endings) < len(self.cases):
            tasks = [task for task in self.cases if task not in endings and task not in found]
            outcome, cells = self.run(submission, tasks, slot, endings)
            at, steps = None, [f"#run {number}" for number in range(len(cells))]
            for name, data in frames(outcome.output):
                if name in steps:
                    at = cells[steps.index(name)]
                elif name in tasks and name not in found:
                    found[name] = data
                elif name == "#end":
                    at = None
            if at is None or not tasks:
                break
            if (task := at["task"]) is None or task in endings:
                break  # the book's own cell: nothing that can be left out
            found.pop(task, None)
            endings[task] = ENDINGS[outcome.why]
        nbval = [] if self.options.no_nbval else self.nbval(submission, slot, endings)
        return found, endings, nbval

    def run(self, submission, tasks, slot, endings):
        sources = {k: v for k, v in submission.answers.sources.items() if k not in endings}
        cells = []
        for cell in with_answers(self.exercises.page, sources):
            if cell["cell_type"] == "code":
                task = task_checked(cell) or cell["metadata"].get("nbgrader", {}).get("grade_id")
                cells.append({"source": cell["source"], "check": task_checked(cell), "task": task})
        # Until it is ready, nothing of the student's has run: a busy machine costs them no marks.
        for _ in range(STARTS):
            with self.job(slot, {"command": None, "cells": cells}) as job:
                for task in tasks:
                    ask(job / "in", task, self.exercises.page.number, self.cases[task])
                outcome = self.sandbox.run(
                    job, lambda output: output.count(b"#run "), len(cells) + 1
                )
            if any(name == "#ready" for name, _ in frames(outcome.output[:100_000])):
                return outcome, cells
            if outcome.why is None:
                break
        said = outcome.errors.strip().splitlines()[-1:] or ["it said nothing"]
        raise BookError(f"the sandbox does not start: {said[0]}")

    def nbval(self, submission, slot, endings):
        """What nbval says of the notebook: for the student, not for the mark."""
        sources = {k: v for k, v in submission.answers.sources.items() if k not in endings}
        cells = with_answers(self.exercises.page, sources)
        place = Path("/sandbox/job") if self.sandbox.bwrap else None
        with self.job(slot, {}) as job:
            library = self.sandbox.environment()["PYTHONPATH"]
            timeout, limits = self.options.timeout, self.limits(slot)
            nbval_report.prepare(job, cells, place or job, library, timeout, limits)
            return nbval_report.read_report(self.sandbox.run(job, steps=len(cells)), cells)

    def limits(self, slot):
        return self.sandbox.limits(slot)

    def job(self, slot, about):
        return Job(self.folder, about | {"limits": self.limits(slot)})

    def judged(self, submission, found, endings, nbval):
        """The Result: numbers beside numbers, in a process that ran none of the student's code."""
        result = Result(submission.student, submission.key, submission.digest)
        result.problem, result.nbval = submission.problem, nbval
        for task in self.exercises.tasks.values():
            right, lines = self.verdict(task.id, submission, found, endings)
            result.marks[task.id] = Mark(task.points if right else 0, task.points, lines)
        return result

    def verdict(self, task, submission, found, endings):
        if submission.answers is None:
            return False, [f"{task}: not graded: {submission.problem}"]
        if problem := submission.answers.problems.get(task):
            return False, [f"{task}: {problem}"]
        if ending := endings.get(task):
            return False, [f"{task}: {ending}"]
        if task not in found:
            return False, [f"{task}: {MISSING_ANSWER}"]
        try:
            results = wire.loads(found[task])
            if not is_results(results):
                raise ValueError("not results")
            verdict = judge(self.references[task], results)
        except Exception:  # the numbers may be made up to break us
            return False, [f"{task}: its results cannot be read"]
        return verdict.is_right, verdict.lines(detail=False)


class Job:
    """A folder that a sandbox can read, gone when the job is done."""

    def __init__(self, folder, about):
        self.folder, self.about = folder, about

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(dir=self.folder))
        os.chmod(self.path, 0o755)
        (self.path / "in").mkdir()
        (self.path / "job.json").write_text(json.dumps(self.about), "utf-8")
        return self.path

    def __exit__(self, *error):
        shutil.rmtree(self.path, ignore_errors=True)


def make_library(library, chapter):
    """Copy what a student's notebook imports: coursekit, and numpygpt up to the chapter before.

    What the set asks for, and what comes later, is not there to be called.
    """
    order = {f"numpygpt/{m}": number for m, number in dependencies.package_order(ROOT).items()}
    for package in ("numpygpt", "coursekit"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if order.get(name, 0) < chapter and not name.startswith("numpygpt/cli/"):
                write(library / name, path.read_text("utf-8"))
    for path in [library, *library.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)


def progress_bar(results, total):
    """The results, with a bar on a terminal."""
    from tqdm import tqdm

    return tqdm(results, total=total, unit="student", disable=None)
