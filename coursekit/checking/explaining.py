"""What a wrong result looks like, in words: an error, a sign, a factor, or the worst entry."""

from dataclasses import dataclass

import numpy as np

from coursekit.checking.cases import Case
from coursekit.checking.comparing import MISSING, close, numbers
from coursekit.checking.covered import OwnVersion


@dataclass
class Problem:
    """Something that is wrong with one output."""

    name: str  # "dW", or "error", "changed: dy", "replaced: dW", "limit: memory"
    text: str  # what is wrong; gives away neither numbers nor the case
    detail: str = ""  # numbers of one case, for the reader at home
    known: bool = False  # a mistake of the book's list, or one that fits all numbers


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
    "limit: the counters": lambda case: (
        "were changed while the check counted: leave sys.settrace and tracemalloc alone",
        f"in the case: {case.title}",
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
