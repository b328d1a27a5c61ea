"""Whether an answer has made a known mistake: both gave the same wrong results, not by chance."""

import re
from functools import cached_property

import numpy as np

from coursekit.checking.comparing import MISSING, close, numbers, special


def agree(ours, theirs):
    """Whether two rows of the same output of the same call hold the same wrong result."""
    if theirs.is_right or ours.is_right:
        return False
    if ours.name == "error" and isinstance(ours.got, dict) and isinstance(theirs.got, dict):
        # Two answers may stop with a ValueError for two reasons.
        return all(ours.got[key] == theirs.got[key] for key in ("kind", "message"))
    x, y = numbers(ours.got), numbers(theirs.got)
    with np.errstate(invalid="ignore"):  # some NaN are there to signal
        if x is not None and y is not None and x.any() != y.any():  # zeros are no small numbers
            return False
    return close(ours.got, theirs.got, ours.case.float32)


def telling(row):
    """Whether nobody would get this wrong result by chance."""
    if row.got is MISSING:
        return False
    if row.name == "error":
        return bool(re.search(r"\d", row.got["message"]))
    if isinstance(row.got, (str, bytes)):
        return len(row.got) > 2
    x = numbers(row.got)
    if x is None:
        return isinstance(row.got, (list, dict)) and len(row.got) > 0
    if x.dtype.kind == "f":
        return bool(x.any() and np.isfinite(x).all())
    return x.size > 2 and len(np.unique(x)) > 1


class Suspect:
    """A known mistake, and what it explains of an answer.

    An answer may have a second fault. So a mistake explains an output if the two agree wherever the
    mistake is wrong; what else is wrong with it is left for others to explain.
    """

    def __init__(self, message, table, other):
        self.message, self.table, self.other = message, table, other

    @cached_property
    def explains(self):
        """For each output, the rows of the answer that this mistake explains."""
        found, theirs = {}, self.other.wrong()
        for name in theirs:
            rows = [(self.table.same_as(row), row) for row in self.other.wrong_rows(name)]
            if not special(name):  # where the answer stopped before, there is nothing to compare
                rows = [(ours, row) for ours, row in rows if ours]
            if rows and all(ours and agree(ours[0], row) for ours, row in rows):
                found[name] = [ours for [ours], _ in rows]
            elif not rows:
                theirs = [other for other in theirs if other != name]
        outputs = [name for name in theirs if not special(name)]
        if 3 * sum(name in found for name in outputs) < len(outputs):
            return {}
        # All that is wrong with either, or something that nobody gets by chance.
        if set(found) == set(theirs) == set(self.table.wrong()):
            return found
        return found if any(telling(row) for rows in found.values() for row in rows) else {}

    @property
    def misses(self):
        """How many wrong results of either are not shared."""
        theirs, ours = (
            sum(len(table.wrong_rows(name)) for name in table.wrong())
            for table in (self.other, self.table)
        )
        return theirs + ours - 2 * sum(map(len, self.explains.values()))
