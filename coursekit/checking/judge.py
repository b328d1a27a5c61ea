"""The verdict: an answer's results beside the right ones, and the mistake that explains them."""

from dataclasses import dataclass
from functools import partial
from itertools import islice

from coursekit.checking.comparing import Table
from coursekit.checking.explaining import Problem, explained, not_called, stopped
from coursekit.checking.likeness import Suspect, agree
from coursekit.checking.meter import TOUCHED
from coursekit.checking.outcomes import outcomes
from coursekit.checking.slips.making import mutants
from coursekit.checking.slips.nearness import nearer

NOT_WRITTEN = "NotImplementedError"
MUTANTS = 150  # of an answer that are tried
MOST = 5  # problems that are told in full: what comes after them, is theirs
MISSING_ANSWER = "the check cell ran, but nothing was recorded"


@dataclass
class Verdict:
    task: str
    written: bool  # False: the answer is still blank
    right: list  # names of the outputs that are right
    problems: list
    cases: int
    needs: str = ""  # another task, whose blank it calls

    @property
    def is_right(self):
        return self.written and not self.problems

    def lines(self, detail=True):
        """The verdict for the reader: what is wrong, a line each, then what is right, in one."""
        if self.needs:
            return [f"{self.task}: not checked yet: {self.needs}"]
        if not self.written:
            return [
                f"{self.task}: not written yet. Put your code in place of "
                "raise NotImplementedError(), run that cell, and then this one again."
            ]
        lines, where = [f"{self.task}: {'right' if self.is_right else 'not right yet'}"], ""
        for problem in self.problems[:MOST]:
            lines.append(f"  {label(problem.name)}: {problem.text}")
            more = [problem.detail] if problem.where == where else [problem.detail, problem.where]
            lines += [f"      {text}" for text in more if text and detail]
            where = problem.where
        if more := dict.fromkeys(plain_name(p.name) for p in self.problems[MOST:]):
            lines.append(f"  and something is wrong with {', '.join(more)}")
        about = {plain_name(problem.name) for problem in self.problems}
        if right := [name for name in self.right if name not in about]:
            some = f"{self.cases} case{'s' * (self.cases != 1)}"
            lines.append(f"  {', '.join(right)}: right in {some}")
        return lines


def label(name):
    if name in ("error", "warning"):
        return "WRONG"
    return f"{plain_name(name)} WRONG"


def plain_name(name):
    """The output that a trouble is about: dx of "changed later: dx"."""
    return name.split(": ")[-1]


class Reference:
    """What is right for some cases of a task, and what each known mistake gives for them."""

    def __init__(self, exercises, task, cases):
        self.exercises, self.task, self.cases = exercises, task, cases
        self.without = exercises.tasks[task].without
        self.seen = {}  # (name of a mistake, number of the case): its results
        own = outcomes(exercises.variant_answer(task), cases)
        # What a reader does in the same kernel may keep us from counting: ours is right anyway.
        self.expected = [[r for r in results if r.name != TOUCHED] for results in own]
        for result in (r for results in self.expected for r in results):
            # Never judge by a reference that does not run, or that breaks its own limits.
            if result.name == "error" or result.name.startswith("limit: "):
                said = f"{result.name}, {result.value}"
                raise RuntimeError(f"the check of {task} cannot run: {said}; try make build")

    def table(self, got):
        return Table(self.cases, self.expected, got, self.without)

    def needs(self, blank):
        """What to say of a blank of this name that the answer has called; "" if it is its own."""
        for task in self.exercises.tasks:
            if task != self.task and blank in self.exercises.defined(task):
                return f"it calls {blank}, which is not written yet: that is {task}"
        return ""

    def suspects(self, table, wrong):
        """The known mistakes that explain some of what is wrong in `table`, the best first."""
        mistakes = self.exercises.tasks[self.task].of_kind("mistake")
        tried = [(v.message, partial(self.of_mistake, v.name)) for v in mistakes]
        return self.like(table, wrong, tried)

    def of_mistake(self, name, which):
        """The results of a known mistake in the cases with these numbers; each runs once.

        Hundreds of answers are judged by one reference where a class is graded.
        """
        if new := [i for i in which if not self.seen.get((name, i))]:
            answer = self.exercises.variant_answer(self.task, name)
            results = outcomes(answer, [self.cases[i] for i in new])
            self.seen.update({(name, i): found for i, found in zip(new, results, strict=True)})
        return [self.seen[name, i] for i in which]

    def of_source(self, source, which):
        answer = self.exercises.answer(self.task, {self.task: source})
        return outcomes(answer, [self.cases[i] for i in which])

    def slips(self, table, wrong, text):
        """The same of mistakes that nobody has listed: changes of our answers toward the reader's.

        Args:
            text: the reader's answer.
        """
        right = self.exercises.tasks[self.task].of_kind("right")
        sources = [self.exercises.own_answer(self.task), *(v.source for v in right)]
        is_nearer = nearer(text, sources)
        changed = (
            m
            for source in sources
            for m in mutants(self.task, source)
            if m.words and "while" not in m.source and is_nearer(source, m.source)
        )
        tried = [
            (f"is what comes out if {m.words}", partial(self.of_source, m.source))
            for m in islice(changed, MUTANTS)
        ]
        # Where the answer stops, its own error says more than a change that stops the same way.
        return [s for s in self.like(table, wrong, tried) if "error" not in s.explains]

    def like(self, table, wrong, tried):
        """Those of `tried` that are Suspects: pairs of a message and what gives the results.

        To run them all in all cases takes many times what the answer takes. So each runs first in
        a few cases in which the answer is wrong. If it never gives the same wrong results there, it
        explains nothing.
        """
        probes = probes_of([table.wrong_rows(name) for name in wrong])
        few = [i for i, case in enumerate(self.cases) if any(case is p.case for p in probes)]
        cases, expected = [self.cases[i] for i in few], [self.expected[i] for i in few]
        suspects = []
        for message, results_in in tried:
            try:
                first = Table(cases, expected, results_in(few), self.without)
                if any(agree(probe, row) for probe in probes for row in first.same_as(probe)):
                    results = self.table(results_in(range(len(self.cases))))
                    suspects.append(Suspect(message, table, results))
            except Exception:  # a mistake that shows as soon as its cell runs
                continue
        return sorted((s for s in suspects if s.explains), key=lambda suspect: suspect.misses)


def probes_of(outputs, most=5):
    """For each output, the first of its wrong rows and the one in the middle, of a few cases."""
    probes = [rows[0] for rows in outputs] + [rows[len(rows) // 2] for rows in outputs]
    few = list({id(row.case): None for row in probes})[:most]
    return [row for row in probes if id(row.case) in few]


def judge(reference, got, text=""):
    """Compare an answer's results, a list of Result for each case, with the right ones.

    Args:
        text: the answer, if what is no listed mistake is to be looked for among the slips, too.

    Returns:
        Verdict.
    """
    task, cases = reference.task, reference.cases
    if len(got) != len(cases):  # the check could not be called: one error instead
        return Verdict(task, True, [], [not_called(got)], len(cases))
    errors = [r.value for results in got for r in results if r.name == "error"]
    for error in errors:
        if error["kind"] == NOT_WRITTEN and not error["message"]:
            return Verdict(task, False, [], [], len(cases), reference.needs(error["line"]))
    table = reference.table(got)
    wrong = table.wrong()
    suspects = reference.suspects(table, wrong) if wrong else []
    problems = problems_of(table, wrong, suspects) if wrong else []
    unnamed = [p.name for p in problems if not p.known and p.name in table.rows]
    # Where the answer stops in some cases, a change of ours that does not explains little.
    if unnamed and text and "error" not in wrong:
        suspects += reference.slips(table, unnamed, text)
        problems = problems_of(table, wrong, suspects)
    # Where the answer stopped, the outputs after it have no verdict of their own.
    is_whole = all(problem.name != "error" for problem in problems)
    return Verdict(task, True, table.right() if is_whole else [], problems, len(cases))


def rank(name):
    """Errors first; last what shows only later: it may be what follows from all the others."""
    return 0 if name == "error" else 2 if name.startswith("changed later") else 1


def in_order(problems):
    return sorted(problems, key=lambda problem: rank(problem.name))


def problems_of(table, wrong, suspects):
    """What is wrong with each output: the mistakes that explain it, and what they leave."""
    found = []
    for name in wrong:
        left, has_cause = table.wrong_rows(name), False
        for suspect in suspects:
            rows = [row for row in left if row in suspect.explains.get(name, ())]
            if rows and 2 * len(rows) >= len(left):  # fewer may agree by chance
                found.append(Problem(name, suspect.message, error_of(name, rows[0]), known=True))
                left = [row for row in left if row not in rows]
                has_cause = has_cause or any(not row.case.clause for row in rows)
        # What is wrong in the runs of the contract only may follow from that cause.
        if has_cause and all(row.case.clause for row in left):
            left = []
        if left and (problem := explained(table, name, left)):
            if len(left) < len(table.wrong_rows(name)) and not problem.known:
                problem.text = f"in other cases, {problem.text}"
            found.append(problem)
    # A mistake is told once, be it about several outputs: of the error, if it explains that, too.
    # Whatever happened: wrong is never right.
    found = in_order(found)
    once = {(p.text, "" if p.known else p.name): p for p in reversed(found)}
    return in_order(list(once.values())[::-1]) or [Problem(wrong[0], "is not what it should be")]


def error_of(name, row):
    """The error that stopped the answer, in a line: a mistake that explains it does not hide it."""
    return stopped(row.case, row.got).detail if name == "error" else ""
