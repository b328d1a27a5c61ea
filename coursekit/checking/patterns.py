"""What the wrong numbers of one output have in common: a sign, a factor with a name, a place.

Each pattern must fit all wrong rows, or it says nothing. It is told with the numbers of a row that
it fits: text and numbers are of one case.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from coursekit.checking.comparing import MISSING, Row, close, numbers

OVERWRITTEN = (
    "is overwritten: gradients of several backward passes add up, so write += where you have =, "
    "and clear none of them: who trains calls zero_grad"
)


@dataclass
class Pair:
    """The numbers of one row, both as arrays: as they are, or what this call has added."""

    row: Row
    expected: np.ndarray
    got: np.ndarray
    start: np.ndarray | None  # what was there before the first call, where that is known

    def fits(self, other):
        """Whether what came is `other`."""
        return np.shape(other) == self.got.shape and close(self.got, other, self.row.case.float32)

    @property
    def is_right(self):
        return self.fits(self.expected)


def pattern(table, name, rows):
    """(what the wrong rows have in common, a row that shows it), or None."""
    every = [row for row in table.rows[name] if not row.case.clause and row.got is not MISSING]
    every = every or [row for row in table.rows[name] if row.got is not MISSING]
    # The row that is shown is none of those that `some_cases` leaves out.
    pairs = pairs_of(sorted(every, key=lambda row: row.case.strided))
    wrong = [pair for pair in pairs if any(pair.row is row for row in rows)]
    if len(wrong) < len(rows) or not wrong:
        return None
    for pair in wrong:
        if np.isfinite(pair.expected).all() and not np.isfinite(pair.got).all():
            return "has entries that are not finite", pair.row
    pairs = [pair for pair in pairs if np.isfinite(pair.expected).all()]
    if all(pair.start is not None and pair.fits(pair.start) for pair in wrong):
        return "stays as it was: nothing is added to it", wrong[0].row
    if overwritten(pairs):
        return OVERWRITTEN, wrong[0].row
    added = all(pair.start is not None for pair in pairs)
    if added:
        pairs = increments(pairs)
        wrong = [pair for pair in pairs if not pair.is_right]
    if not wrong or not all(np.isfinite(pair.expected).all() for pair in wrong):
        return None
    for look in (zero, sign, turned, another, factor, constant, late, order, digits):
        if text := look(wrong, pairs, table):
            return f"{'what is added to it ' if added else ''}{text}", wrong[0].row
    # Where an answer stops in some cases, those that are left have little in common but chance.
    text = (not table.is_wrong("error") and only_where(wrong, pairs)) or place(wrong)
    return (f"has wrong entries{text}", wrong[0].row) if text else None


def pairs_of(rows):
    """A Pair for each row whose two values are numbers of one shape."""
    pairs = []
    for row in rows:
        e, g = numbers(row.expected), numbers(row.got)
        if e is not None and g is not None and e.shape == g.shape:
            start = row.case.params.get(row.name)
            if row.name not in row.case.reads or np.shape(start) != e.shape:
                start = None
            pairs.append(Pair(row, e, g, start))
    return pairs


def by_case(pairs):
    ordered = sorted(pairs, key=lambda pair: (id(pair.row.case), pair.row.call))
    return [list(some) for _, some in groupby(ordered, key=lambda pair: id(pair.row.case))]


def increments(pairs):
    """What each call has added, to what ours and what the answer had before it."""
    found = []
    for some in by_case(pairs):
        before = Pair(some[0].row, some[0].start, some[0].start, None)
        for pair in some:
            e, g = pair.expected - before.expected, pair.got - before.got
            # Rounding makes a small number of nothing; so does a sum that is nothing.
            small = 1e-9 * max(1, np.abs(pair.expected).max(initial=0))
            if np.abs(e).max(initial=0) > small or np.abs(g).max(initial=0) > small:
                found.append(Pair(pair.row, e, g, pair.start))
            before = pair
    return found


def overwritten(pairs):
    """Whether a gradient holds what the last pass gave, without what was there before."""
    seen = False
    for some in by_case(pairs):
        before = some[0].start
        if before is None:
            return False
        for pair in some:
            if np.shape(before) != np.shape(pair.expected):  # another object's, of another size
                return False
            if not close(pair.expected, before, pair.row.case.float32):
                if not pair.fits(pair.expected - before):
                    return False
                seen, before = True, pair.expected
    return seen


# Each looks at the wrong pairs, and at all, and returns what it sees in words, or "".


def zero(wrong, pairs, table):
    if any(pair.got.dtype.kind == "b" for pair in wrong):
        return ""
    if not any(pair.expected.any() for pair in wrong) or any(pair.got.any() for pair in wrong):
        return ""
    elsewhere = any(pair.is_right and pair.expected.any() for pair in pairs)
    return "is zero where it should not be" if elsewhere else "is zero everywhere"


def sign(wrong, pairs, table):
    some = [pair for pair in pairs if pair.expected.any()]
    numeric = all(pair.expected.dtype.kind in "if" for pair in wrong)
    if not some or not numeric or not all(pair.fits(-pair.expected) for pair in wrong):
        return ""
    everywhere = all(pair.fits(-pair.expected) for pair in some)
    return "has the wrong sign" if everywhere else "has the wrong sign where it is wrong"


def turned(wrong, pairs, table):
    if all(p.expected.ndim == 2 and p.fits(p.expected.T) for p in wrong):
        return "is the transpose of what it should be"
    return ""


def another(wrong, pairs, table):
    """It is what another output should be, or one of the arguments as it came."""
    if not all(pair.expected.size > 1 or len(wrong) > 3 for pair in wrong):
        return ""
    same = None
    for pair in wrong:
        call = pair.row.case.calls[pair.row.call : pair.row.call + 1]
        beside = {name: a for c in call for name, a in c.args.items()}
        here = {f"{name} as it came" for name, a in beside.items() if same_numbers(pair, a)}
        if pair.row.name not in pair.row.case.reads:
            others = (table.same_as(Row(pair.row.case, n, pair.row.call, 0, 0)) for n in table.rows)
            here |= {
                f"what {row.name} should be"
                for [row] in filter(None, others)
                if row.name != pair.row.name and same_numbers(pair, row.expected)
            }
        same = here if same is None else same & here
    return f"is {min(same)}" if same else ""


def same_numbers(pair, value):
    other = numbers(value)
    return other is not None and other.dtype.kind == "f" and pair.fits(other)


def factor(wrong, pairs, table):
    """All entries are off by one factor, which is the same in all cases or has a name."""
    ratios = []
    for pair in pairs:
        e = pair.expected.astype(float)
        if not e.any() or pair.expected.dtype.kind != "f":
            continue
        ratio = float(np.vdot(e, pair.got) / max(np.vdot(e, e), 1e-300))
        if not pair.fits(ratio * e):
            return ""
        ratios.append((pair, ratio))
    if len(ratios) < 3 and not any(pair.expected.size > 1 for pair, _ in ratios):
        return ""  # one number is always some factor away from another
    if not ratios or np.allclose([r for _, r in ratios], 1, atol=1e-6):
        return ""
    if all(abs(r) < 1e-6 or f"{r:.4g}" == "1" for _, r in ratios):  # rounding, and no factor
        return ""
    if np.allclose([r for _, r in ratios], ratios[0][1], rtol=1e-4):
        if any(f"{r:.4g}" == "1" for _, r in ratios):  # no factor, but one entry of thousands less
            return ""
        return f"is {ratios[0][1]:.4g} times what it should be, everywhere"
    ratios, rows = np.array([r for _, r in ratios]), [pair.row for pair, _ in ratios]
    for power, said in ((1, "{}"), (0.5, "√({})"), (2, "({})²")):
        for name in sizes(rows[0]):
            size = np.array([sizes(row).get(name, 0) ** power for row in rows])
            if not size.all():
                continue
            by = said.format(name)
            if np.allclose(ratios, size, rtol=1e-4):
                return f"is too large: it is multiplied by {by}, or a division by that is missing"
            if np.allclose(ratios, 1 / size, rtol=1e-4):
                return f"is too small: it is divided by {by}, or a factor of that is missing"
    return ""


def sizes(row):
    """The sizes that a factor may come from, by name: of this round's arguments, and of `new`."""
    found, calls = {}, row.case.calls[: row.call + 1]
    forwards = [n for n, call in enumerate(calls) if call.method == "forward"]
    for call in calls[forwards[-1] if forwards else -1 :]:
        for name, a in call.args.items():
            if isinstance(a, np.ndarray) and a.ndim:
                found[f"the number of rows of {name}"] = a.size // max(a.shape[-1], 1)
                found[f"the length of the last axis of {name}"] = a.shape[-1]
                found[f"the length of the first axis of {name}"] = a.shape[0]
                found[f"the length of the last axis but one of {name}"] = (1, *a.shape)[-2]
            if isinstance(a, np.ndarray):
                found[f"the number of entries of {name}"] = a.size
            elif isinstance(a, list):
                found[f"the length of {name}"] = len(a)
    new = row.case.new or {}
    values = {k: v for k, v in (new | calls[-1].args).items() if type(v) in (int, float) and v > 0}
    if "n_heads" in values and "dim" in values:
        found["D = dim / n_heads"] = values["dim"] / values["n_heads"]
    return found | values | {f"1 - {name}": 1 - v for name, v in values.items() if v < 1}


def constant(wrong, pairs, table):
    """Whole numbers that are all too large, or too small, by the same."""
    if not all(pair.expected.dtype.kind in "iu" and pair.expected.size for pair in wrong):
        return ""
    off = {int(n) for p in wrong for n in np.unique(p.got.astype(float) - p.expected.astype(float))}
    if len(off) != 1 or not off - {0}:
        return ""
    [by] = off
    where = "everywhere" if len(wrong) == len(pairs) else "where it is wrong"
    return f"is {abs(by)} too {'large' if by > 0 else 'small'}, {where}"


def late(wrong, pairs, table):
    """Each entry is what another, one place before or behind it, should be."""
    some = [p for p in wrong if p.expected.ndim and p.expected.shape[-1] > 2]
    if len(some) < len(wrong):
        return ""

    def same(a, b):
        fits = all(close(a(p.got), b(p.expected), p.row.case.float32) for p in some)
        return fits and any(is_varied(b(p.expected)) for p in some)

    if same(lambda a: a[..., 1:], lambda a: a[..., :-1]):
        return "is one place late along the last axis"
    if same(lambda a: a[..., :-1], lambda a: a[..., 1:]):
        return "is one place early along the last axis"
    return ""


def order(wrong, pairs, table):
    def same(pair):
        e, g = (np.sort(a, axis=None) for a in (pair.expected, pair.got))
        return e.size > 1 and close(g, e, pair.row.case.float32)

    varied = any(is_varied(pair.expected) for pair in wrong)
    return "has the right entries in the wrong places" if varied and all(map(same, wrong)) else ""


def is_varied(a):
    """Whether an array holds enough different numbers that nothing fits it by chance.

    Of probabilities nearly all may be next to 0, and one next to 1.
    """
    if a.dtype.kind != "f":
        return len(np.unique(a)) > 1
    a = a[np.isfinite(a)].astype(float)
    largest = np.abs(a).max(initial=0)
    return bool(largest) and len(np.unique(np.round(a / largest, 6))) > 2


def digits(wrong, pairs, table):
    """Numbers that are right but for their last digits."""

    def nearly(pair):
        e, g = pair.expected.astype(float), pair.got.astype(float)
        return bool((np.abs(g - e) <= 3e-6 * np.abs(e) + 1e-7 * np.abs(e).mean()).all())

    if all(p.expected.dtype.kind == "f" and nearly(p) for p in wrong):
        return (
            "is right in its first digits only: is it float32 on the way, a measured slope, or is "
            "a small number added, as to a divisor?"
        )
    return ""


def only_where(wrong, pairs):
    """What the wrong cases have in common that no right one has."""
    bad = {id(pair.row.case) for pair in wrong}
    good = {id(pair.row.case): pair.row.case for pair in pairs if id(pair.row.case) not in bad}
    if not good:
        later = [pair for pair in wrong if pair.row.call < 2]
        if not later and any(pair.row.call < 2 and pair.is_right for pair in pairs):
            return " in a second round with the same object: the first round is right"
        return ""
    bad = {id(pair.row.case): pair.row.case for pair in wrong}
    shared = set.intersection(*(features(case) for case in bad.values()))
    shared -= set.union(*(features(case) for case in good.values()))
    # Zeros of two arguments that come together: either may be the cause.
    zeros = sorted(feature for feature in shared if feature.endswith("holds a 0"))
    first = min(shared, default="")
    if first in zeros:
        first = " and ".join(zeros)
    return f" only where {first}" if first else ""


def features(case):
    """What may set a case apart, in words."""
    found = set()
    if case.float32:
        found.add("the arrays are float32")
    if case.strided:
        found.add("the arrays are not contiguous in memory")
    for name, value in {**(case.new or {}), **case.calls[0].args}.items():
        if isinstance(value, np.ndarray):
            found.add(f"{name} has {value.ndim} {'axis' if value.ndim == 1 else 'axes'}")
            found |= {f"{name} has not 2 axes"} if value.ndim != 2 else set()
            if value.size and value.dtype.kind == "f" and (value == 0).any():
                found.add(f"{name} holds a 0")
        elif isinstance(value, (bool, str, type(None))):
            found.add(f"{name} is {value!r}" if len(repr(value)) < 20 else f"{name} is given")
        elif isinstance(value, (list, bytes)) and not value:
            found.add(f"{name} is empty")
        elif isinstance(value, (int, float)) and value in (0, 1):
            found.add(f"{name} is {value}")
    return found


def place(wrong):
    """The only row, or column, that is wrong, if it is the same in all cases."""
    found = None
    for pair in wrong:
        off = ~np.isclose(pair.got.astype(float), pair.expected.astype(float), rtol=1e-6, atol=1e-9)
        here = set()
        for axis, what in ((0, "row"), (-1, "column")):
            if pair.expected.ndim > 1 and pair.expected.shape[axis] > 1:
                at = set(np.nonzero(off)[axis].tolist())
                here |= {f": the first {what}"} if at == {0} else set()
                here |= {f": the last {what}"} if at == {pair.expected.shape[axis] - 1} else set()
        if pair.expected.ndim == 1 and pair.expected.size > 1:
            at = set(np.nonzero(off)[0].tolist())
            here |= {": the first"} if at == {0} else set()
            here |= {": the last"} if at == {pair.expected.size - 1} else set()
        found = here if found is None else found & here
    return min(found) if found else ""
