"""What a wrong result looks like, in words: an error, a sign, a factor, or the worst entry."""

from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from coursekit.checking.cases import Case
from coursekit.checking.comparing import MISSING, close, numbers
from coursekit.checking.contract import CLAUSES, clause_of
from coursekit.checking.covered import OwnVersion
from coursekit.checking.ending import Endless
from coursekit.checking.patterns import pattern
from coursekit.checking.running import Gone, NotAMethod

FEW = 4  # cases that are named
READ_ONLY = "leaves an array read-only into which its caller writes: leave its flags as they are"


@dataclass
class Problem:
    """Something that is wrong with one output."""

    name: str  # "dW", or a trouble: "error", "changed: dy", "replaced: dW", "limit: memory"
    text: str  # what is wrong; gives away neither numbers nor the case
    detail: str = ""  # numbers of one case, for the reader at home
    known: bool = False  # a mistake of the book's list, or one that fits all numbers
    where: str = ""  # which cases are wrong, where some are and some are not


def explained(table, name, rows):
    """The Problem of one output, in these rows that no mistake of the list explains; or None."""
    # In the task's own cases if it is wrong there; else it breaks a clause of the contract only.
    own = [row for row in rows if not row.case.clause]
    row = (own or rows)[0]
    if name == "error":
        problem = stopped(row.case, row.got)
    elif name.startswith("changed: ") and may_be_changed(table, row):
        problem = Problem(name, "is changed where it must stay as it is", in_case(row.case))
    elif name.startswith("changed: ") and row.got is MISSING and is_changed(table, row):
        problem = Problem(name, "is left as it was where it must be changed", in_case(row.case))
    elif name in TROUBLES or ": " in name:
        problem = TROUBLES[name.partition(": ")[0]](name, row)
    else:
        problem = wrong_output(table, name, own or rows)
    if problem and not own and not clause_of(name) and problem.text != READ_ONLY:
        said = f" ({problem.text})" if name == "error" else ""
        problem.text = f"{CLAUSES[row.case.clause]}{said}"
        problem.known = True
    elif problem and not problem.known:
        problem.where = some_cases(table.rows[name], own or rows)
    return problem


def some_cases(every, wrong):
    """Which cases are wrong, or right if those are fewer: what they have in common is the cause."""
    every = [row for row in every if not row.case.clause]
    # Strided copies of cases tell something only where they alone are wrong.
    if not all(row.case.strided for row in wrong):
        every, wrong = ([r for r in rows if not r.case.strided] for rows in (every, wrong))
    cases = list({id(row.case): row.case for row in every}.values())
    bad = {id(row.case) for row in wrong}
    groups = [c for c in cases if id(c) in bad], [c for c in cases if id(c) not in bad]
    if not all(groups):
        return ""
    word, few = ("wrong", groups[0]) if len(groups[0]) <= len(groups[1]) else ("right", groups[1])
    titles = list(dict.fromkeys(case.title for case in few))
    named = "; ".join(titles[:FEW]) + ("; ..." if len(titles) > FEW else "")
    return f"{word} in {len(few)} of {len(cases)} cases: {named}"


# Troubles: what else a call may do besides returning something wrong.


def may_be_changed(table, row):
    """Whether this is what the answer has to change, only not in this case."""
    every = table.rows[row.name]
    return row.expected is MISSING and any(r.expected is not MISSING for r in every)


def is_changed(table, row):
    """Whether the answer does change it in other cases."""
    return any(r.got is not MISSING for r in table.rows[row.name])


def changed(name, row):
    what = name.partition(": ")[2]
    if row.got is MISSING:
        return Problem(name, "is left as it was; it must be changed in place", known=True)
    if row.expected is not MISSING:
        return Problem(name, "is changed in place, but to the wrong numbers", difference(what, row))
    if what in row.case.caches:
        return Problem(name, CLAUSES["caches"], in_case(row.case), known=True)
    return Problem(
        name,
        "is not as it was before the call: the caller may still need it as it was",
        known=True,
    )


def changed_later(name, row):
    return Problem(name, CLAUSES["earlier arrays"], in_case(row.case), known=True)


def replaced(name, row):
    text = "is a new array: write into the one that is there, so that whoever holds it sees it"
    if isinstance(row.got, str) and row.got == "moved":
        text = (
            "is now what had another name before the call: parts of the object have changed "
            "places; leave each where it is, and lists in their order"
        )
    return Problem(name, text, known=True)


def over_a_limit(name, row):
    return Problem(name, *PASSED[name](row.case), known=True)


PASSED = {
    "limit: lines that run": lambda case: (
        "are too many: a loop in Python does, one by one, what NumPy can do at once",
        f"a call may run {case.max_lines} lines of your code, in the case: {case.title}",
    ),
    "limit: the counters": lambda case: (
        "could not count: leave traces, frames, the collector, tracemalloc, other processes and "
        "threads that wait for work alone while the check counts",
        f"in the case: {case.title}",
    ),
    "limit: memory": lambda case: (
        "is too much at a time: write into arrays that you have made, or take a part at a time",
        f"a call may have {case.max_bytes:,} bytes in use, in the case: {case.title}",
    ),
}


def warned(name, row):
    said, line = (plain(row.got[key]) for key in ("message", "line"))
    text = f"warns of {said}" if said else "warns"
    place = f"at your line `{line}`, " if line else ""
    return Problem(name, text, f"{place}{in_case(row.case)}", known=True)


def other_parameters(name, row):
    got = row.got if isinstance(row.got, list) else []
    new = [plain(n) for n in got if n not in row.expected]
    if not new:
        lost = ", ".join(n for n in row.expected if n not in got)
        if not lost:
            text = "come in another order: that in which __init__ makes them"
            return Problem(name, text, in_case(row.case), known=True)
        return Problem(name, f"lack {lost}: its array or its gradient is gone", known=True)
    head, _, last = new[0].rpartition(".")
    return Problem(
        name,
        f"are more than there should be: Module takes {new[0]} for one, since d{last} stands "
        "beside it; keep one of the two under another name, or not in self",
        known=True,
    )


def no_module(name, row):
    text = "is no base class of yours: write (Module) after the name of the class, as it was given"
    return Problem(
        name,
        f"{text}; params(), zero_grad() and the call come from it",
        in_case(row.case),
        known=True,
    )


def drawn(name, row):
    if name == "draws: not from its generator":
        text = (
            "numbers are drawn from np.random or random: draw them from the generator you are given"
        )
    elif row.got is False:
        text = "is not used: draw your random numbers from it"
    else:
        text = "is left in another state than it should: draw what is asked for, once, in its order"
    return Problem(name, text, in_case(row.case), known=True)


TROUBLES = {
    "changed": changed,
    "changed later": changed_later,
    "replaced": replaced,
    "limit": over_a_limit,
    "warning": warned,
    "parameters": other_parameters,
    "base class": no_module,
    "draws": drawn,
}


def stopped(case, error):
    """The Problem of an answer that raised an error. Its message may hold numbers of the case."""
    kind, message, line = (plain(error[key]) for key in ("kind", "message", "line"))
    if kind == Endless.__name__:
        place = f", at your line `{line}`" if line else ""
        detail = (
            f"{in_case(case)}: it may be endless, or slow: seconds, where milliseconds are enough"
        )
        return Problem("error", f"does not come to an end{place}", detail, known=True)
    if kind == NotAMethod.__name__:
        return Problem("error", not_a_method(message, line), known=True)
    if kind == Gone.__name__:
        text = f"leaves {message} shorter than it was: go through the list, and take nothing out"
        return Problem("error", text, in_case(case), known=True)
    text = f"raises {kind}"
    if kind == "NameError":
        text += "; is the name defined in the answer cell? Only answer cells are handed in"
    if kind == "ModuleNotFoundError" and "numpygpt" in message:
        text += ": it imports a part of numpygpt that this set, or a later chapter, has you write"
    if kind == OwnVersion.__name__:
        text = message
    if "read-only" in message and not line:  # it is the caller who could not write
        return Problem("error", READ_ONLY, in_case(case), known=True)
    place = f", at `{line}`" if line else ""
    return Problem("error", text, f"{message}{place}, {in_case(case)}")


def not_a_method(name, instead):
    """What to do where `Linear.backward`, or a function that should be a method, is not there."""
    cls, _, method = name.rpartition(".")
    decorator = f"@add_to_class({cls or '...'})"
    if instead == "a function":
        return f"{method} is a function, and no method yet: write {decorator} in the line above it"
    if instead:
        return f"{cls} has a method {instead}, but none of the name {method}"
    return (
        f"{cls} has no method {method}: run your answer cell again, and see that it ends without "
        f"an error; above the method, unless it stands inside the class, there is {decorator}"
    )


def not_called(got):
    """The Problem of a check that failed before it ran a case, as a name was not there."""
    errors = [r.value for results in got for r in results if r.name == "error"]
    case = Case("the check cell itself", [])
    return stopped(case, errors[0]) if errors else Problem("error", "gave no results")


# Outputs.


def wrong_output(table, name, rows):
    """The Problem of an output that is there and wrong, or that is not there."""
    row = rows[0]
    if row.got is MISSING:
        # Where the answer stopped before, that is said; and so it is where it returned too little.
        others = table.names
        if "error" in others or any(name in n.split(" and ") for n in others if n != name):
            return None
        return Problem(name, "is missing: nothing came")
    if row.expected is MISSING:
        return Problem(name, not_as_many(name, row.got), in_case(row.case), known=True)
    if row.got is None:
        return nothing_returned(table, name, rows)
    kinds = [(r.other_kind(), r) for r in rows]
    if all(kind and close(r.got, r.expected, r.case.float32) for kind, r in kinds):
        return Problem(name, kinds[0][0], in_case(row.case), known=True)
    x, y = numbers(row.got), numbers(row.expected)
    if x is None or y is None:
        return Problem(name, other_type(row), difference(name, row))
    if isinstance(row.got, list) and isinstance(row.expected, list) and len(x) != len(y):
        return Problem(name, other_length(rows), difference(name, row))
    if x.shape != y.shape:
        return Problem(name, wrong_shape(rows), shapes(row))
    if found := pattern(table, name, rows):
        text, row = found
        return Problem(name, text, difference(name, row), known=True)
    return Problem(
        name, "has wrong entries" if y.ndim else "is not what it should be", difference(name, row)
    )


def nothing_returned(table, name, rows):
    """Where None is wrong, and may be right elsewhere."""
    [call] = rows[0].case.calls[rows[0].call :][:1] or [None]
    every = [r for r in table.rows[name] if r.got is not MISSING]
    if call is not None and isinstance(call.returns, tuple):
        text = "is None: it stands in what is returned, but has no value"
    elif all(r.got is None for r in every) and not any(r.expected is None for r in every):
        text = "is None: a function that ends without `return` gives None"
    elif any(r.expected is None for r in every):
        text = (
            "is None where it should not be: what is right is refused, or one way through your "
            "code ends without `return`"
        )
    else:
        text = "is None where it should not be: does every way through your code end with `return`?"
    return Problem(name, text, in_case(rows[0].case), known=True)


def not_as_many(names, got):
    """An answer that returns another number of things than it should."""
    asked = names.split(" and ")
    if isinstance(got, list):
        came = "an empty list" if not got else f"{count(len(got))} of them"
    else:
        came = f"one {sort_of(got)}" if got is not None else "nothing (None)"
    text = f"returned {came}; {count(len(asked))} are asked for: {', '.join(asked)}"
    return text.replace("one an ", "an ").replace("one a ", "a ")


def count(n):
    return ["none", "one", "two", "three", "four", "five", "six"][n] if n < 7 else str(n)


def sort_of(value):
    if isinstance(value, np.ndarray):
        return "array" if value.ndim else "number"
    if isinstance(value, str):
        return "text" if not value.startswith("a ") else value.removeprefix("a ")
    sorts = {dict: "dict", list: "list", bytes: "bytes object", type(None): "None"}
    return sorts.get(type(value), "number")


def other_type(row):
    """What comes instead of text, a list, an array."""
    had, asked = sort_of(row.got), sort_of(row.expected)
    if row.expected is None:
        return f"is {article(had)}; None is asked for here"
    if isinstance(row.got, list) and (asked == "array" or row.got and numbers(row.got) is None):
        if not isinstance(row.expected, list):
            return f"is {count(len(row.got))} things at once; one is asked for: {article(asked)}"
    if had != asked and {had, asked} != {"list", "array"}:
        return f"is of another kind: {article(asked)} is asked for"
    return "is not what it should be"


def article(noun):
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def other_length(rows):
    """What is to be said of lists that are longer or shorter than they should be."""
    pairs = [(len(r.got), len(r.expected)) for r in rows if isinstance(r.got, list)]
    if all(had < asked for had, asked in pairs):
        return "has too few entries"
    return (
        "has too many entries" if all(had > asked for had, asked in pairs) else "has wrong entries"
    )


def wrong_shape(rows):
    """What is to be said of shapes that differ: what they have in common in all rows."""
    pairs = [(numbers(r.got), numbers(r.expected), r.case.float32) for r in rows]
    pairs = [(x, y, f32) for x, y, f32 in pairs if x is not None and y is not None]
    if all(close(x.T, y, f32) for x, y, f32 in pairs):
        return "is the transpose of what it should be"
    if all(x.size == y.size and close(x.reshape(y.shape), y, f32) for x, y, f32 in pairs):
        return "has the right entries in the wrong shape"
    hints = {
        ": it is one number": lambda x, y: x == (),
        " (the axes are reversed)": lambda x, y: x == y[::-1],
        ": it has an axis too many": lambda x, y: len(x) > len(y),
        ": it lacks an axis": lambda x, y: len(x) < len(y),
    }
    differ = [(x.shape, y.shape) for x, y, _ in pairs if x.shape != y.shape]
    fits = (hint for hint, fits in hints.items() if all(fits(*pair) for pair in differ))
    return f"has the wrong shape{next(fits, '')}"


def shapes(row):
    x, y = numbers(row.got), numbers(row.expected)
    return f"yours {x.shape}, expected {y.shape}, {in_case(row.case)}"


def in_case(case):
    return f"in the case: {case.title}"


def difference(name, row):
    """The entry that is furthest off; of text and lists, the first that differs."""
    x, y = numbers(row.got), numbers(row.expected)
    what = name.split(": ")[-1]
    if x is None or y is None or x.shape != y.shape:
        return f"{first_difference(what, row.got, row.expected)}, {in_case(row.case)}"
    same = equal(x, y)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(x.astype(float) - y.astype(float))
    error = np.where(same, 0, np.where(np.isnan(error), np.inf, error))
    index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
    place = f"{what}{list(index) if index else ''}"
    had, asked = apart(x[index], y[index])
    of_shape = f" (shape {y.shape})" if y.ndim else ""
    return f"{place} is {had}, expected {asked}{of_shape}, {in_case(row.case)}"


def equal(x, y):
    """Where two arrays hold the same, infinities and NaN as well."""
    with np.errstate(invalid="ignore"):  # some NaN are there to signal
        return (x == y) | (x != x) & (y != y)


def apart(a, b):
    """Two numbers with as many digits as it takes to tell them apart."""
    for digits in range(6, 18):
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return str(a), f"{b} ({b.dtype})" if a.dtype != b.dtype else str(b)


def first_difference(what, got, expected):
    """Where two texts, lists or dicts begin to differ, shown from there."""
    if isinstance(got, list) and isinstance(expected, list):
        for i, (a, b) in enumerate(zip(got, expected, strict=False)):
            if not close(a, b):
                return first_difference(f"{what}[{i}]", a, b)
        entries = "entry" if len(got) == 1 else "entries"
        if len(got) < len(expected):
            end = f"the next is {short(expected[len(got)])}"
        else:
            end = f"{short(got[len(expected)])} is too many"
        return f"{what} has {len(got)} {entries}, expected {len(expected)}: {end}"
    if isinstance(got, dict) and isinstance(expected, dict):
        for key in expected:
            if key not in got:
                return f"{what} has no {short(key)}"
            if not close(got[key], expected[key]):
                return first_difference(f"{what}[{key!r}]", got[key], expected[key])
        return (
            f"{what} has {short(next(k for k in got if k not in expected))}, which is not expected"
        )
    if isinstance(got, (str, bytes)) and type(got) is type(expected):
        same = next(
            (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
            min(len(got), len(expected)),
        )
        if same > 40:
            start = same - 20
            had, asked = alike(got[start:], expected[start:])
            return f"{what} is …{had}, expected …{asked}, from character {start} on"
        had, asked = alike(got, expected)
        return f"{what} is {had}, expected {asked}"
    x, y = numbers(got), numbers(expected)
    if x is not None and y is not None and x.shape == y.shape == ():
        had, asked = apart(np.asarray(x)[()], np.asarray(y)[()])
        return f"{what} is {had}, expected {asked}"
    if x is not None and y is not None and x.shape == y.shape:
        index = tuple(int(i) for i in np.argwhere(~equal(x, y))[0])
        had, asked = apart(x[index], y[index])
        return f"{what}{list(index)} is {had}, expected {asked}"
    if isinstance(got, np.ndarray) and isinstance(expected, np.ndarray):
        return f"{what} has the shape {got.shape}, expected {expected.shape}"
    return f"{what} is {short(got)}, expected {short(expected)}"


def alike(a, b):
    """Two texts to be shown, by their code points where nobody could see that they differ."""
    if isinstance(a, str) and normalize("NFC", a) == normalize("NFC", b):
        return short(a, ascii), short(b, ascii)
    return short(a), short(b)


def short(value, shown=repr):
    text = shown(value)
    return text if len(text) <= 120 else text[:117] + "..."


def plain(text):
    """Text of a reader's code as one short line, without backticks: it is put into sentences."""
    text = " ".join(str(text).replace("`", "'").split())
    return text if len(text) <= 200 else text[:197] + "..."
