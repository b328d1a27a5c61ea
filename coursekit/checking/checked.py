"""A reader's answers to a set, run in a kernel, and what is to be said of each task.

The cells are taken from book/, and from the reader only the answer cells. The kernel computes
results; this process, which runs none of the reader's code, judges them. An answer is judged by
itself: where another one may be to blame, it runs again, in a kernel in which the others only
define what they define.
"""

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from coursekit.checking import answers, wire
from coursekit.checking.definitions import imported, only_definitions, overwritten, reaches_others
from coursekit.checking.judge import MISSING_ANSWER, Reference, judge
from coursekit.checking.kernel import PATIENCE, Kernel, Ran
from coursekit.checking.record import INPUTS, OUTPUTS, ask, is_results
from coursekit.environment import environment
from coursekit.files import BookError, failed


@dataclass
class Finding:
    """What is to be said of one task."""

    state: str  # "right", "wrong", "blank"; "not judged": something around the answer went wrong
    lines: list = field(default_factory=list)


class Checked:
    """The answers of one notebook. Cells run when somebody asks what became of them.

    Args:
        exercises: the set.
        path: the notebook.
        timeout: seconds for a cell.
        patience: seconds for a kernel to start.

    Raises:
        BookError: the notebook cannot be read; when a cell is asked for, no kernel could start.
    """

    def __init__(self, exercises, path, timeout, patience=PATIENCE):
        self.exercises, self.path = exercises, Path(path)
        self.timeout, self.patience = timeout, patience
        self.answers = answers.read_answers(self.path, exercises.tasks)
        cells = answers.with_answers(exercises.page, {})
        self.cells = [cell for cell in cells if cell["cell_type"] == "code"]
        self.answered = [answers.grade_id(cell) for cell in self.cells]  # the task, or None
        self.checks = [answers.task_checked(cell) for cell in self.cells]
        self.cases = {}
        for task in exercises.tasks.values():
            self.cases[task.id] = list(task.cases(np.random.default_rng()))
        sources = self.answers.sources
        self.given = imported(c["source"] for c in self.cells if not answers.grade_id(c))
        self.reaching = {task for task in sources if reaches_others(sources[task], self.given)}
        self.runs, self.findings, self.trouble = {}, {}, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for run in self.runs.values():
            run.close()
        self.runs.clear()

    def finding(self, task):
        """The Finding of a task."""
        if task not in self.findings:
            self.findings[task] = self.find(task)
        return self.findings[task]

    def find(self, task):
        if problem := self.answers.problems.get(task):
            return Finding("not judged", [f"{task}: {problem}"])
        number = self.checks.index(task)
        run = self.together(number)
        first = self.judged(task, run)
        timed_out = "time" in (run.ran[self.answered.index(task)].why, run.ran[number].why)
        if first.state in ("right", "blank") or timed_out or not self.disturbed(run, task):
            return first
        again = self.judged(task, self.alone(task, number))
        return again if again.state in ("right", "blank") or run.ended is not None else first

    def ran(self, number, is_good=lambda ran: not ran.why):
        """What became of a cell that is no check; of a bad one, when the others only define."""
        run, task = self.together(number), self.answered[number]
        if not is_good(run.ran[number]) and self.disturbed(run, task):
            run = self.alone(task, number)
        return run.ran[number]

    def disturbed(self, run, task):
        """Whether another answer may be to blame for what became of this one."""
        return bool(self.reaching - {task}) or run.ended is not None

    def together(self, number):
        """The run of all answers as they are, up to a cell."""
        if "all" not in self.runs:
            self.runs["all"] = self.start(self.answers.parts)
        return self.runs["all"].to(number, self.checks)

    def alone(self, task, number):
        """A run up to a cell in which the other answers only define, and are not checked."""
        whole = task if task in self.reaching else None  # those that only define can share a run
        run = self.runs.get(whole)
        if run is None or not run.can_say(number):
            if run is not None:
                run.close()
            parts = {
                other: [only_definitions(source, self.given)]
                for other, source in self.answers.sources.items()
            }
            parts |= {whole: self.answers.parts[whole]} if whole else {}
            run = self.runs[whole] = self.start(parts)
        return run.to(number, [self.checks[number]])

    def start(self, parts):
        if self.trouble is None:
            try:
                return Run(self, parts)
            except OSError as error:
                self.trouble = f"{self.path.name}: not judged: {failed(error)}"
            except BookError as error:
                self.trouble = f"{self.path.name}: not judged: {error}"
        raise BookError(self.trouble)  # at once, for each cell after the first

    def judged(self, task, run):
        """The Finding of one run."""
        own, number = self.answered.index(task), self.checks.index(task)
        answer, check = run.ran[own], run.ran[number]
        if stopped := next((ran for ran in (answer, check) if ran.why == "time"), None):
            return self.stopped(task, stopped)
        if run.ended is not None and run.ended <= number:
            while_it_ran = run.ended in (own, number)
            what = "ended while it ran (quit(), exit() or a crash)" if while_it_ran else "had ended"
            return Finding("not judged", [f"{task}: not judged: the kernel {what}"])
        try:
            verdict = self.verdict(task, run)
            if verdict is not None and (verdict.is_right or not verdict.written):
                return Finding("right" if verdict.is_right else "blank", verdict.lines())
        except ValueError as error:  # not what `record` sends
            return Finding("wrong", [f"{task}: {error}"])
        except Exception as error:  # of ours: the answer is not wrong for that
            return Finding("not judged", [f"{task}: not judged: {error}"])
        if (broken := self.broken(run, own)) is not None:
            lines = [f"{task}: not judged, as the set itself does not run here"]
            return Finding("not judged", lines + self.failure(run, broken) + self.shadows())
        if answer.why:  # whatever came of it later came of this
            lines = [f"{task}: not right yet", *failure("WRONG: its cell", answer)]
        elif verdict is not None:
            lines = verdict.lines()
        elif check.why:
            lines = [f"{task}: not right yet", *failure("WRONG: the check cell", check)]
        else:
            lines = [f"{task}: {MISSING_ANSWER}"]
        return Finding("wrong", lines + self.reasons(task, run, own, number))

    def verdict(self, task, run):
        """The verdict on what a run has recorded for a task; None if that is nothing.

        Raises:
            ValueError: it is no results.
        """
        data = run.recorded(task)
        if data is None:
            return None
        results = wire.loads(data)
        if not is_results(results):
            raise ValueError("unreadable results")
        try:
            reference = Reference(self.exercises, task, self.cases[task])
            return judge(reference, results, self.answers.sources[task])
        except ValueError as error:
            raise RuntimeError(str(error)) from error

    def stopped(self, task, ran):
        """The Finding of an answer that was stopped: whether it is to blame, its line says."""
        long = f"ran for longer than {self.timeout:g} s and was stopped"
        if not ran.line or ran.line in self.cells[self.checks.index(task)]["source"]:
            return Finding("not judged", [f"{task}: not judged: it {long}"])
        lines = [f"{task}: not right yet", f"  WRONG: it {long}", f"      in the line: {ran.line}"]
        return Finding("wrong", lines)

    def broken(self, run, own):
        """The first cell of the book before an answer that failed through no answer's fault."""
        first = next((n for n in range(own) if run.ran[n] and run.ran[n].why == "error"), None)
        if first is None or self.answered[first] or self.checks[first]:
            return None
        earlier = [task for task in self.checks[:first] if task]
        return first if all(self.finding(task).state == "right" for task in earlier) else None

    def shadows(self):
        """Lines on files beside the notebook that are imported in the place of a module."""
        modules = {what.partition(".")[0] for what, _ in self.given.values()}
        modules |= sys.stdlib_module_names
        found = [path for path in self.path.parent.glob("*.py") if path.stem in modules]
        return [f"  {p.name}, beside it, takes the place of the module {p.stem}" for p in found]

    def reasons(self, task, run, own, number):
        """Lines on what else may have to do with a wrong answer."""
        lines = []
        if names := overwritten(self.answers.sources[task], self.given):
            lines.append(f"  it gives another meaning to {', '.join(names)}, which the set imports")
        if remark := self.answers.remarks.get(task):
            lines.append(f"  {remark}")
        failed = [n for n in range(number) if run.ran[n] and run.ran[n].why == "error"]
        return lines + (self.failure(run, failed[0]) if failed and failed[0] != own else [])

    def failure(self, run, number):
        """Lines on how a cell before an answer failed."""
        first = self.cells[number]["source"].strip().split("\n")[0]
        where = self.answered[number] or self.checks[number]
        where = f"the cell of {where}" if where else f"the cell that begins with `{first}`"
        return failure(f"before it, {where}", run.ran[number])


def failure(where, ran):
    """Lines that say how a cell failed."""
    lines = [f"  {where} raises {ran.error}" if ran.why == "error" else f"  {where} was stopped"]
    return lines + [f"      in the line: {ran.line}"] * bool(ran.line)


class Run:
    """One kernel, and what became of the cells so far: a Ran each, None for one left out."""

    def __init__(self, checked, parts):
        self.cells, self.timeout, self.checks = checked.cells, checked.timeout, checked.checks
        self.parts = [
            parts.get(task, [cell["source"]])
            for task, cell in zip(checked.answered, checked.cells, strict=True)
        ]
        self.ran, self.ended = [], None  # the cell in which the kernel ended
        self.folder = tempfile.TemporaryDirectory(prefix="coursekit-", ignore_cleanup_errors=True)
        try:
            places = {name: Path(self.folder.name, name) for name in (INPUTS, OUTPUTS, "scratch")}
            for place in places.values():
                place.mkdir()
            for task, cases in checked.cases.items():
                ask(places[INPUTS], task, checked.exercises.page.number, cases)
            self.output = places[OUTPUTS]
            variables = environment(places.pop("scratch")) | {"COURSEKIT_PROGRESS": ""}
            variables |= {name: str(place) for name, place in places.items()}
            with mock.patch.dict(os.environ, variables, clear=True):
                self.kernel = Kernel(checked.path.parent, checked.patience)
        except BaseException:
            self.folder.cleanup()
            raise

    def close(self):
        self.kernel.end()
        self.folder.cleanup()

    def can_say(self, number):
        """Whether what became of a cell is known, or can be found out."""
        if number < len(self.ran):
            return self.ran[number] is not None
        return self.ended is None

    def to(self, number, checks):
        """Run the cells up to `number`; of the check cells, those of the tasks in `checks`."""
        while len(self.ran) <= number:
            at = len(self.ran)
            task = self.checks[at]
            if self.ended is not None:
                self.ran.append(Ran(why="ended"))
            elif "nbval-skip" in self.cells[at]["metadata"].get("tags", []):
                self.ran.append(Ran())
            elif task is not None and task not in checks:
                self.ran.append(None)
            else:
                self.ran.append(self.run_cell(self.parts[at]))
                if not self.kernel.is_alive():
                    self.ended = at
        return self

    def run_cell(self, parts):
        """Run a cell, or those it was split into: what became of it, or of the last that failed."""
        failed = None
        for source in parts:
            ran = self.kernel.run(source, self.timeout)
            failed = ran if ran.why else failed
            if ran.why == "time" or not self.kernel.is_alive():
                break
        return failed or ran

    def recorded(self, task):
        """The bytes that the check cell of a task has recorded, or None."""
        try:
            return Path(self.output, f"{task}.bin").read_bytes()
        except OSError:
            return None
