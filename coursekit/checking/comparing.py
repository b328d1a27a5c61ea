"""An answer's results beside the right ones: which outputs differ, and who gives the same."""

import numpy as np


def special(name):
    """Whether this is no output but a trouble: "error", "changed: dy"."""
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
        self.differing = {}  # what wrong_rows has found

    def wrong_rows(self, name):
        """The rows that differ; those that have an answer come first."""
        if name not in self.differing:
            wrong = [row for row in self.rows[name] if not close(row[3], row[2], row[0].float32)]
            self.differing[name] = sorted(wrong, key=lambda row: row[3] is MISSING)
        return self.differing[name]

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


def alike(a, b, name, float32):
    if name == "error" and isinstance(a, dict) and isinstance(b, dict):
        return a["kind"] == b["kind"]
    return close(a, b, float32)


def alike_in(table, other, name, only=None):
    """Whether two answers give the same for an output wherever they ran, or in `only` one case."""
    ours, theirs = (
        {
            (id(case), call): (case, value)
            for case, call, value in (t.answers(name) if name in t.rows else [])
            if only is None or case is only
        }
        for t in (table, other)
    )
    return ours.keys() == theirs.keys() and all(
        alike(value, theirs[key][1], name, case.float32) for key, (case, value) in ours.items()
    )
