"""The verdict: an answer's results beside the right ones, and the mistake that explains them."""

from dataclasses import dataclass

import numpy as np

from coursekit.checking.cases import Case
from coursekit.checking.covered import OwnVersion
from coursekit.checking.tasks import outcomes

NOT_WRITTEN = "NotImplementedError"
MISSING_ANSWER = "the check cell ran, but nothing was recorded"


@dataclass
class Problem:
    """Something that is wrong with one output."""

    name: str  # "dW", or "error", "changed: dy", "replaced: dW", "limit: memory"
    text: str  # what is wrong; gives away neither numbers nor the case
    detail: str = ""  # numbers of one case, for the reader at home
    known: bool = False  # a mistake of the book's list, or one that fits all numbers


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
        if broken := [r for results in self.expected for r in results if r.name == "error"]:
            # Never judge by a reference that does not run.
            raise RuntimeError(f"the check of {task} cannot run: {broken[0].value}; try make build")

    def mistakes_like(self, table, wrong):
        """Pairs of a mistake that may explain what is wrong in `table`, and its own Table.

        To run all mistakes in all cases takes many times what the answer takes. So each runs in one
        case first, in which the answer is wrong: if it gives other results there, it is not it.
        """
        probe = table.wrong_rows(wrong[0])[0][0]
        number = next(i for i, case in enumerate(self.cases) if case is probe)
        tables = []
        for variant in self.exercises.tasks[self.task].of_kind("mistake"):
            try:
                with np.errstate(all="ignore"):
                    answer = self.exercises.variant_answer(self.task, variant.name)
                    results = outcomes(answer, [probe])
                    first = Table([probe], [self.expected[number]], results)
                    if not any(alike_in(probe, table, first, name) for name in wrong):
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


def special(name):
    return name == "error" or ": " in name


class Table:
    """Results by output: name -> [(case, call, expected, got)]; MISSING where there is none."""

    def __init__(self, cases, expected, got):
        self.cases = cases
        self.rows = {}
        for case, right, answer in zip(cases, expected, got, strict=True):
            right = {(r.name, r.call): r.value for r in right}
            answer = {(r.name, r.call): r.value for r in answer}
            for key in right | answer:
                row = (case, key[1], right.get(key, MISSING), answer.get(key, MISSING))
                self.rows.setdefault(key[0], []).append(row)
        # The order in which the reader computes them; troubles first.
        self.names = sorted(self.rows, key=lambda name: not special(name))

    def wrong_rows(self, name):
        """The rows that differ; those that have an answer come first."""
        wrong = [row for row in self.rows[name] if not close(row[3], row[2], row[0].float32)]
        return sorted(wrong, key=lambda row: row[3] is MISSING)

    def is_wrong(self, name):
        return bool(self.wrong_rows(name))

    def answers(self, name):
        return [(case, call, got) for case, call, _, got in self.rows[name]]


class Missing:
    def __repr__(self):
        return "nothing"


MISSING = Missing()


def close(a, b, float32=False):
    """Whether two frozen values agree, numbers up to rounding."""
    if a is MISSING or b is MISSING:
        return a is b
    if isinstance(b, dict):
        return (
            isinstance(a, dict)
            and a.keys() == b.keys()
            and all(close(a[k], b[k], float32) for k in b)
        )
    if isinstance(b, (str, bytes)) or b is None:
        return type(a) is type(b) and a == b
    x, y = numbers(a), numbers(b)
    if y is None:
        return (
            isinstance(a, list)
            and len(a) == len(b)
            and all(close(p, q, float32) for p, q in zip(a, b, strict=True))
        )
    if x is None or x.shape != y.shape:
        return False
    if y.dtype.kind in "biu":
        return bool((x == y).all())
    finite = np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return False
    x, y = x[finite].astype(float), y[finite].astype(float)
    scale = np.abs(y).max(initial=0.0)
    tolerance = 3e-4 * scale + 1e-6 if float32 else 1e-8 * scale + 1e-11
    return bool((np.abs(x - y) <= tolerance).all())


def numbers(value):
    """The array of a number, an array, or a list of numbers; None for anything else."""
    if isinstance(value, (str, bytes, dict)) or value is None or value is MISSING:
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        return None
    return array if array.dtype.kind in "biuf" else None


def fits(table, wrong, mistake, other):
    """Whether a mistake makes the same outputs wrong, and all in the same way."""
    theirs = [name for name in other.names if other.is_wrong(name)]
    return set(theirs) == set(wrong) and all(matched(table, n, mistake, other) for n in wrong)


def alike_in(case, table, other, name):
    """Whether two answers give the same for one output in one case; nothing is the same, too."""
    ours, theirs = (
        {call: value for c, call, value in (t.answers(name) if name in t.rows else []) if c is case}
        for t in (table, other)
    )
    return ours.keys() == theirs.keys() and all(
        alike(value, theirs[call], name, case.float32) for call, value in ours.items()
    )


def matched(table, name, mistake, other):
    """The Problem of one output if the mistake gives the same wherever the two were run."""
    if name not in other.rows or not other.is_wrong(name):
        return None
    theirs = {(id(case), call): value for case, call, value in other.answers(name)}
    ours = {(id(case), call): (case, value) for case, call, value in table.answers(name)}
    if theirs.keys() != ours.keys():
        return None
    if not all(alike(v, theirs[key], name, case.float32) for key, (case, v) in ours.items()):
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


def alike(a, b, name, float32):
    if name == "error" and isinstance(a, dict) and isinstance(b, dict):
        return a["kind"] == b["kind"]
    return close(a, b, float32)


def explained(table, name):
    """The Problem of one output that no mistake of the list explains."""
    case, _, expected, got = table.wrong_rows(name)[0]
    if name == "error":
        return stopped(case, got)
    if name.startswith("changed: "):
        if got is MISSING:
            return Problem(name, "is left as it was; it must be changed in place", known=True)
        if expected is not MISSING:
            return Problem(
                name, "is changed in place, but to the wrong numbers", worst(table, name)
            )
        return Problem(
            name,
            "is changed in place: it is not yours to change, the caller may still need it",
            known=True,
        )
    if name.startswith("replaced: "):
        return Problem(
            name,
            "is a new array: write into the one that is there, so that whoever holds it sees it",
            known=True,
        )
    if name.startswith("limit: "):
        return Problem(name, *PASSED[name](case), known=True)
    if got is MISSING:
        # Where the answer stopped before, that is said; else nothing at all came.
        return None if "error" in table.names else Problem(name, "is missing: nothing came")
    if got is None:
        return Problem(
            name, "is None: a function that ends without `return` gives None", known=True
        )
    x, y = numbers(got), numbers(expected)
    if x is None or y is None:
        return Problem(name, "is not what it should be", shown(case, got, expected))
    if x.shape != y.shape:
        turned = " (the axes are reversed)" if x.shape == y.shape[::-1] else ""
        return Problem(
            name,
            f"has the wrong shape{turned}",
            f"yours {x.shape}, expected {y.shape}, in the case: {case.title}",
        )
    if y.dtype.kind in "biu" or y.ndim == 0 and not np.isfinite(x).all():
        return Problem(name, "has wrong entries", worst(table, name))
    text = pattern(table, name)
    return Problem(name, text or "has wrong entries", worst(table, name), known=bool(text))


PASSED = {
    "limit: lines that run": lambda case: (
        "are too many: a loop in Python does, one by one, what NumPy can do at once",
        f"a call may run {case.max_lines} lines of your code, in the case: {case.title}",
    ),
    "limit: memory": lambda case: (
        "is too much at a time: write into arrays that you have made, or take a part at a time",
        f"a call may have {case.max_bytes:,} bytes in use, in the case: {case.title}",
    ),
}


def stopped(case, error):
    """The Problem of an answer that raised an error. Its message may hold numbers of the case."""
    line = f", at `{error['line'].strip()}`" if error["line"] else ""
    text = f"raises {error['kind']}"
    if error["kind"] == "NameError":
        text += "; is the name defined in the answer cell? Only answer cells are handed in"
    if error["kind"] == "ModuleNotFoundError" and "numpygpt" in error["message"]:
        text += ": it imports a part of numpygpt that this set, or a later chapter, has you write"
    if error["kind"] == OwnVersion.__name__:
        text = error["message"]
    return Problem("error", text, f"{error['message']}{line}, in the case: {case.title}")


def not_called(got):
    """The Problem of a check that failed before it ran a case, as a name was not there."""
    errors = [r.value for results in got for r in results if r.name == "error"]
    case = Case("the check cell itself", [])
    return stopped(case, errors[0]) if errors else Problem("error", "gave no results")


def pattern(table, name):
    """What explains all numbers of an output at once, or ""."""
    rows = [(case, call, numbers(e), numbers(g)) for case, call, e, g in table.rows[name]]
    rows = [(case, call, e, g) for case, call, e, g in rows if e is not None and g is not None]
    if any(e.shape != g.shape for *_, e, g in rows):
        return ""
    if any((np.isfinite(e) & ~np.isfinite(g)).any() for *_, e, g in rows):
        return "has entries that are not finite"
    if not all(np.isfinite(e).all() and np.isfinite(g).all() for *_, e, g in rows):
        return ""
    if overwritten(rows, name):
        return (
            "is overwritten: gradients of several backward passes add up, so write += where you "
            "have ="
        )
    if not any(g.any() for *_, g in rows):
        return "is zero everywhere"
    if all(close(-g, e, case.float32) for case, _, e, g in rows):
        return "has the wrong sign"
    square = [(case, e, g) for case, _, e, g in rows if e.ndim == 2 and len(set(e.shape)) == 1]
    if square and all(close(g.T, e, case.float32) for case, e, g in square):
        if not all(close(g, e, case.float32) for case, e, g in square):
            return "is the transpose of what it should be"
    ratios = []
    for case, _, e, g in rows:
        if e.any():
            e = e.astype(float)
            ratio = float(np.vdot(e, g) / max(np.vdot(e, e), 1e-300))
            if not close(g, ratio * e, case.float32):
                return ""
            ratios.append(ratio)
    # One number is always some factor away from another: that explains nothing.
    if any(e.size > 1 for *_, e, _ in rows) and not np.allclose(ratios, 1, atol=1e-3):
        if np.allclose(ratios, ratios[0], rtol=1e-3):
            return f"is {ratios[0]:.4g} times what it should be, everywhere"
        return (
            "is off by a factor: all entries by the same one, but it changes with the sizes; "
            "which sum should be a mean, or the other way round?"
        )
    return ""


def overwritten(rows, name):
    """Whether a gradient holds what the last pass gave, without what was there before."""
    seen = False
    for case in {id(row[0]): row[0] for row in rows}.values():
        start = case.params.get(name)
        if start is None:
            return False
        before = start
        for other, _, e, g in rows:
            if other is not case:
                continue
            if not close(e, before, case.float32):
                if not close(g, e - before, case.float32):
                    return False
                seen, before = True, e
    return seen


def worst(table, name):
    """The entry that is furthest off, in the first case that is wrong."""
    case, _, expected, got = table.wrong_rows(name)[0]
    x, y = numbers(got), numbers(expected)
    if x is None or y is None or x.shape != y.shape:
        return shown(case, got, expected)
    error = np.abs(x.astype(float) - y.astype(float))
    error = np.where(np.isnan(error), np.inf, error)
    index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
    place = f"{name.split(': ')[-1]}{list(index) if index else ''}"
    return (
        f"{place} is {x[index]:.6g}, expected {y[index]:.6g} "
        f"(shape {y.shape}), in the case: {case.title}"
    )


def shown(case, got, expected):
    def short(value):
        text = repr(value)
        return text if len(text) <= 120 else text[:117] + "..."

    return f"yours {short(got)}, expected {short(expected)}, in the case: {case.title}"
