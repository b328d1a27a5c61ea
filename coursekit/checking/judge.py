"""The verdict: an answer's results beside the right ones, and the mistake that explains them."""

from dataclasses import dataclass

import numpy as np

from coursekit.checking.comparing import MISSING, Table, alike, alike_in, special
from coursekit.checking.explaining import Problem, explained, not_called
from coursekit.checking.tasks import outcomes

NOT_WRITTEN = "NotImplementedError"
MISSING_ANSWER = "the check cell ran, but nothing was recorded"


@dataclass
class Verdict:
    task: str
    written: bool  # False: the answer is still blank
    right: list  # names of the outputs that are right
    problems: list
    cases: int

    @property
    def is_right(self):
        return self.written and not self.problems

    def lines(self, detail=True):
        """The verdict for the reader, one output a line."""
        if not self.written:
            return [
                f"{self.task}: not written yet. Put your code in place of "
                "raise NotImplementedError(), run that cell, and then this one again."
            ]
        lines = [f"{self.task}: {'right' if self.is_right else 'not right yet'}"]
        lines += [f"  {name}: right in {self.cases} cases" for name in self.right]
        for problem in self.problems:
            lines.append(f"  {label(problem.name)}: {problem.text}")
            if detail and problem.detail:
                lines.append(f"      {problem.detail}")
        return lines


def label(name):
    return "WRONG" if name == "error" else f"{name.split(': ')[-1]} WRONG"


class Reference:
    """What is right for some cases of a task, and what each known mistake gives for them."""

    def __init__(self, exercises, task, cases):
        self.exercises, self.task, self.cases = exercises, task, cases
        self.expected = outcomes(exercises.variant_answer(task), cases)
        for result in (r for results in self.expected for r in results):
            # Never judge by a reference that does not run, or that breaks its own limits.
            if result.name == "error" or result.name.startswith("limit: "):
                said = f"{result.name}, {result.value}"
                raise RuntimeError(f"the check of {task} cannot run: {said}; try make build")

    def mistakes_like(self, table, wrong):
        """Pairs of a mistake that may explain what is wrong in `table`, and its own Table.

        To run all mistakes in all cases takes many times what the answer takes. So each runs first
        in a case or two in which the answer is wrong: one for each output that is. If it gives
        other results for all of these outputs there, it explains none of them.
        """
        probe = {name: table.wrong_rows(name)[0][0] for name in wrong}
        few = [i for i, case in enumerate(self.cases) if any(case is p for p in probe.values())]
        cases, expected = [self.cases[i] for i in few], [self.expected[i] for i in few]
        tables = []
        for variant in self.exercises.tasks[self.task].of_kind("mistake"):
            try:
                with np.errstate(all="ignore"):
                    answer = self.exercises.variant_answer(self.task, variant.name)
                    first = Table(cases, expected, outcomes(answer, cases))
                    if not any(alike_in(table, first, name, probe[name]) for name in wrong):
                        continue
                    results = outcomes(answer, self.cases)
            except Exception:  # a mistake that shows as soon as its cell runs
                continue
            tables.append((variant, Table(self.cases, self.expected, results)))
        return tables


def judge(reference, got):
    """Compare an answer's results, a list of Result for each case, with the right ones.

    Returns:
        Verdict.
    """
    task, cases = reference.task, reference.cases
    if len(got) != len(cases):  # the check could not be called: one error instead
        return Verdict(task, True, [], [not_called(got)], len(cases))
    errors = [r.value for results in got for r in results if r.name == "error"]
    if any(error["kind"] == NOT_WRITTEN and not error["message"] for error in errors):
        return Verdict(task, False, [], [], len(cases))
    table = Table(cases, reference.expected, got)
    wrong = [name for name in table.names if table.is_wrong(name)]
    right = [name for name in table.names if name not in wrong and not special(name)]
    problems = []
    # One that explains just what is wrong goes before one that explains a part, or more.
    mistakes = reference.mistakes_like(table, wrong) if wrong else []
    mistakes = sorted(mistakes, key=lambda mistake: not fits(table, wrong, *mistake))
    for name in wrong:
        known = (matched(table, name, *mistake) for mistake in mistakes)
        problem = next(filter(None, known), None) or explained(table, name)
        if problem and problem.text not in [p.text for p in problems if p.known]:
            problems.append(problem)
    if wrong and not problems:  # whatever happened: wrong is never right
        problems.append(Problem(wrong[0], "is not what it should be"))
    # Where the answer stopped, the outputs after it have no verdict of their own.
    stopped = any(problem.name == "error" for problem in problems)
    problems.sort(key=lambda problem: problem.name != "error")
    return Verdict(task, True, [] if stopped else right, problems, len(cases))


def fits(table, wrong, mistake, other):
    """Whether a mistake makes the same outputs wrong, and all in the same way."""
    theirs = [name for name in other.names if other.is_wrong(name)]
    return set(theirs) == set(wrong) and all(matched(table, n, mistake, other) for n in wrong)


def matched(table, name, mistake, other):
    """The Problem of one output if the mistake gives the same wherever the two were run."""
    if name not in other.rows or not other.is_wrong(name) or not alike_in(table, other, name):
        return None
    if name == "error":
        if not same_stop(table, other):
            return None
    elif all(row[3] is MISSING for row in table.wrong_rows(name)):
        return None  # the answer stopped before: "error" says why
    return Problem(name, mistake.message, known=True)


def same_stop(table, other):
    """Whether there is evidence that two answers which raise the same do so for the same reason.

    Two answers may well stop with a ValueError for two reasons. It is evidence that they stop in
    the same cases but not in all, or that they give the same wrong numbers where they do not stop.
    """
    names = [name for name in table.names if not special(name)]
    same = all(
        alike(a[2], b[2], name, a[0].float32)
        for name in names
        for a, b in zip(table.answers(name), other.answers(name), strict=True)
    )
    stopped = {id(row[0]) for row in table.rows["error"]}
    numbers_agree = any(row[3] is not MISSING for n in names for row in table.wrong_rows(n))
    return same and (len(stopped) < len(table.cases) or numbers_agree)
