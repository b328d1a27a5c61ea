"""What every answer is held to, though no task says so: the clauses, and the cases that try them.

A clause is tried by runs, as all else is: what the right answer gives in them is what is right. The
cases are made from those of the task, so an author need not think of them.
"""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np

from coursekit.checking.running import Tried, run
from coursekit.checking.values import frozen, identical

ROUNDS = ["forward", "backward"] * 2  # the calls of cases.layer

# A clause, and what a reader is told whose answer keeps all but this one. A task opts out with a
# cell `without="two objects"` in its page of book/checks, whose text is the reason.
CLAUSES = {
    "two objects": "is right for one object, and wrong while a second one is at work beside it: "
    "what belongs to an object stands in self, not in a global name or in the class",
    "backward twice": "is right once, and wrong when backward is called a second time after one "
    "forward: leave what forward has kept as it was",
    "other sizes": "is right for one batch, and wrong when the next one has another size: keep "
    "nothing of the batch before",
    "calls in a row": "is right in a first call, and wrong in a later one with other arguments: "
    "keep nothing from call to call; if it keeps nothing, these arguments are what it gets wrong",
    "earlier arrays": "is changed by a later call: leave what you got, and what you gave away, as "
    "it was, and return new arrays",
    "caches": "is changed by backward: forward has kept it, and others may look at it",
    "parameters": "",  # explaining.py names the arrays
    "warnings": "",
    "dtype": "",
    "generator": "",
}


def clause_of(result_name):
    """The clause that a result of this name tries in every case, or None."""
    if result_name.startswith("changed later: "):
        return "earlier arrays"
    if result_name.startswith("draws: "):
        return "generator"
    return {"warning": "warnings", "parameters": "parameters"}.get(result_name)


def with_contract(given, again, answer, caches=(), without=()):
    """The cases of a task, and those that try the contract.

    Args:
        given, again: two draws of the task's own cases.
        answer: the right one, which says whether a first axis is one of rows that can be left out.
        caches: what its `forward`, if it is ours, keeps for `backward`.
        without: clauses that the task has opted out of.
    """
    if "caches" not in without:
        given = [replace(case, caches=tuple(caches)) for case in given]
    plain = [n for n, case in enumerate(given[: len(again)]) if not case.strided | case.float32]
    # The first, the last, one between; each beside one of its own sizes, and one of others.
    some = sorted({plain[0], plain[len(plain) // 2], plain[-1]}) if plain else []
    following = dict(pairwise(plain))
    pairs = [(given[n], again[n]) for n in some]
    pairs += [(given[n], given[following[n]]) for n in some if n in following]
    tried = []
    for one, other in pairs:
        if one.new is not None:
            tried.append(two_objects(one, other))
        elif one.calls[0].args:
            tried.append(in_a_row(one, other))
    layers = [n for n in plain if [call.method for call in given[n].calls] == ROUNDS]
    tried += [backward_twice(given[n]) for n in layers if n in some]
    cut = filter(None, (other_sizes(given[n]) for n in layers))
    tried += list(islice((case for case in cut if runs(answer, case)), 3))
    return given + [case for case in tried if case.clause not in without]


def runs(answer, case):
    return not any(result.name == "error" for result in run(answer, case))


def titled(case, clause, said, **changes):
    return replace(case, title=f"{case.title}; {said}", clause=clause, **changes)


def two_objects(one, other):
    """The calls of two objects in turn."""
    said = f"beside another object: {other.title}"
    return titled(one, "two objects", said, beside=(replace(other, max_lines=0, max_bytes=0),))


def in_a_row(one, other):
    """The calls of two cases, one after the other: of a function."""
    calls = [*one.calls, *other.calls]
    said = f"then: {other.title}"
    return titled(one, "calls in a row", said, calls=calls, max_lines=0, max_bytes=0)


def backward_twice(case):
    """Each backward pass a second time, with no forward pass between."""
    calls = [c for call in case.calls for c in [call] * (1 + (call.method == "backward"))]
    return titled(case, "backward twice", "each backward pass twice", calls=calls)


def other_sizes(case):
    """The first round with a part of its rows only; None where there are no rows to leave out."""
    arrays = [a for call in case.calls[:2] for a in call.args.values() if np.ndim(a)]
    rows = {len(a) for a in arrays}
    if len(rows) != 1 or max(rows) < 2:
        return None
    fewer = max(rows) // 2
    calls = [
        replace(call, args={k: a[:fewer] if np.ndim(a) else a for k, a in call.args.items()})
        for call in case.calls[:2]
    ]
    said = f"{fewer} of {max(rows)} rows first, then all"
    return titled(case, "other sizes", said, calls=calls + case.calls[2:])


def caches_of(answer, case):
    """The arrays that a layer's forward pass keeps: its attributes that were not there before."""
    tried = Tried(answer, case)
    before = dict(vars(tried.thing))
    tried.make(case.calls[0], 0)
    return [
        name
        for name, value in vars(tried.thing).items()
        if isinstance(value, np.ndarray)
        and not (name in before and identical(frozen(before[name]), frozen(value)))
    ]
