"""An answer's results beside the right ones: which outputs differ, and who gives the same."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coursekit.checking.cases import NO_MODULE, Case
from coursekit.checking.contract import clause_of
from coursekit.checking.values import FromTuple, identical


def special(name):
    """Whether this is no output but a trouble: "error", "changed: dy"."""
    return name in ("error", "warning", "parameters") or ": " in name


class Missing:
    def __repr__(self):
        return "nothing"


MISSING = Missing()


@dataclass(eq=False)
class Row:
    """One result beside the right one; MISSING where there is none."""

    case: Case
    name: str
    call: int
    expected: object
    got: object
    without: tuple = ()  # clauses of the contract that do not count

    @cached_property  # each mistake that is compared asks again
    def is_right(self):
        if identical(self.got, self.expected):  # most are, and this is soon seen
            return True
        # Nothing is wrong with an answer that leaves alone what ours changes, or does not warn, or
        # is a Module where ours is none.
        spared = self.name == NO_MODULE or clause_of(self.name) in ("earlier arrays", "warnings")
        if self.got is MISSING and spared:
            return True
        if self.name == "warning":
            return self.expected is not MISSING
        if not close(self.got, self.expected, self.case.float32):
            return False
        return not self.other_kind()

    def other_kind(self):
        """What is of another kind than it should be, in words; "" where nothing is."""
        of = self.case.dtypes
        dtypes = of if isinstance(of, bool) else self.name in of
        return other_kind(self.got, self.expected, dtypes, self.without)


class Table:
    """Results by output, a list of Row for each name.

    Args:
        without: clauses of the contract that do not count.
    """

    def __init__(self, cases, expected, got, without=()):
        self.cases = cases
        self.rows = {}
        stopped = any(r.name == "error" for results in got for r in results)
        for case, right, answer in zip(cases, expected, got, strict=True):
            right = {(r.name, r.call): r.value for r in right}
            answer = {(r.name, r.call): r.value for r in answer}
            # Where the answer stopped, what would have come later is neither right nor wrong; one
            # that did not end has not been run again.
            ended = any(name == "error" for name, _ in answer) or stopped and not answer
            for name, call in right | answer:
                silent = ended and (name, call) not in answer
                if silent or clause_of(name) in without:
                    continue
                key = name, call
                pair = right.get(key, MISSING), answer.get(key, MISSING)
                row = Row(case, name, call, *pair, without)
                self.rows.setdefault(name, []).append(row)
        # The order in which the reader computes them; troubles first.
        self.names = sorted(self.rows, key=lambda name: not special(name))
        self.differing = {}  # what wrong_rows has found

    def wrong_rows(self, name):
        """The rows that differ; those that have an answer come first, plain ones before strided."""
        if name not in self.differing:
            wrong = [row for row in self.rows.get(name, []) if not row.is_right]
            self.differing[name] = sorted(
                wrong, key=lambda row: (row.got is MISSING, row.case.strided)
            )
        return self.differing[name]

    def same_as(self, row):
        """The row of the same output of the same call, in a list; none if there is none."""
        rows = self.rows.get(row.name, [])
        return [r for r in rows if r.case is row.case and r.call == row.call]

    def is_wrong(self, name):
        return bool(self.wrong_rows(name))

    def wrong(self):
        """The names of what is wrong."""
        return [name for name in self.names if self.is_wrong(name)]

    def right(self):
        """The names of the outputs that are right."""
        return [name for name in self.names if not special(name) and not self.is_wrong(name)]


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
    with np.errstate(invalid="ignore"):  # some NaN are there to signal
        x, y = x.astype(float), y.astype(float)
    finite = np.isfinite(y)
    if not finite.all():
        if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
            return False
        x, y = x[finite], y[finite]
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


KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats"}


def other_kind(got, expected, dtypes=False, without=(), inside=False):
    """What is of another kind than it should be, in words; "" where nothing is.

    Only values that agree are asked: floats for integers, a list for an array or a tuple,
    and each of these for a list.

    Args:
        dtypes: whether float32 is another kind than float64.
        without: clauses that do not count: "dtype", "lists", "tuples".
        inside: whether both stand in a list or dict.
    """
    pairs = []
    if isinstance(expected, dict) and isinstance(got, dict):
        pairs = [(got[key], expected[key]) for key in expected if key in got]
    elif isinstance(expected, list) and isinstance(got, (list, np.ndarray)):
        had, asked = sequence(got), sequence(expected)
        if had != asked and f"{asked}s" not in without:
            if inside:
                return f"holds {had}s; {asked}s are asked for"
            return f"is {'an' if had == 'array' else 'a'} {had}; a {asked} is asked for"
        pairs = zip(got, expected, strict=False) if isinstance(got, list) else ()
    found = (other_kind(a, b, dtypes, without, inside=True) for a, b in pairs)
    if found := next(filter(None, found), ""):
        return found
    return "" if "dtype" in without else other_numbers(got, expected, dtypes)


def sequence(value):
    """The word for a frozen list, tuple or array."""
    if isinstance(value, np.ndarray):
        return "array"
    return "tuple" if isinstance(value, FromTuple) else "list"


def other_numbers(got, expected, dtypes):
    """The same for one array or number, and for a list of them as a whole."""
    x, y = numbers(got), numbers(expected)
    if x is None or y is None or x.shape != y.shape:
        return ""
    if isinstance(expected, np.ndarray) and expected.ndim and isinstance(got, list):
        return "is a list; an array is asked for"
    if not y.size:
        return ""
    had, asked = KINDS[x.dtype.kind], KINDS[y.dtype.kind]
    # A number alone may be whole by chance: 0 is as good as 0.0.
    if had != asked and not (y.ndim == 0 and (had, asked) == ("integers", "floats")):
        if y.ndim:
            return f"holds {had}; {asked} are asked for"
        return f"is one of the {had}; one of the {asked} is asked for"
    if dtypes and isinstance(got, np.ndarray) and x.dtype != y.dtype:
        return f"is {x.dtype}; it should be {y.dtype}"
    return ""
