"""The cases that try the contract, each made from a case of the task: a clause and its runs."""

from dataclasses import replace
from itertools import islice

import numpy as np

from coursekit.checking.cases import dname
from coursekit.checking.running import Tried, run
from coursekit.checking.values import frozen, identical, made

LONG = 300  # rows: more than a byte can count


def titled(case, clause, said, **changes):
    return replace(case, title=f"{case.title}; {said}", clause=clause, **changes)


def two_objects(one, other):
    """The calls of two objects in turn."""
    said = f"beside another object: {other.title}"
    return titled(one, "two objects", said, beside=(replace(other, max_lines=0, max_bytes=0),))


def sharing(answer, names):
    """A class like `answer`, whose objects share what is kept under these names."""
    objects = []

    class Sharing(answer):
        def __new__(cls, *args, **kwargs):
            objects.append(super().__new__(cls))
            return objects[-1]

        def __setattr__(self, name, value):
            for each in objects if name in names else [self]:
                object.__setattr__(each, name, value)

    return Sharing


def tells(answer, case, names):
    """Whether a case shows that its objects share what they keep under these names.

    By chance they may keep the same: with few entries, two masks of dropout often are alike.
    """
    if not names:
        return True
    apart, shared = run(answer, case), run(sharing(answer, names), case)
    return [a.name for a in apart] != [b.name for b in shared] or not all(
        identical(a.value, b.value) for a, b in zip(apart, shared, strict=True)
    )


def in_a_row(one, other):
    """The calls of two cases, one after the other: of a function."""
    calls = [*one.calls, *other.calls]
    said = f"then: {other.title}"
    return titled(one, "calls in a row", said, calls=calls, max_lines=0, max_bytes=0)


def mixed(one, other, answer):
    """A call of a function, and then calls of which some arguments are the same, the others new.

    They come in the very arrays and lists of the first call: what is kept under an array, by its
    numbers or by itself, is of no use later. Of two cases whose arguments have the same forms, so
    that mixtures make sense; those that the right answer does not bear are left out.
    """
    first, second = one.calls[0], other.calls[0]
    mixtures = []
    parts = [one.together] if one.together else []
    parts += [(name,) for name in first.args if name not in one.together]
    for names in parts if form(first.args) == form(second.args) else ():
        here, there = ({name: call.args[name] for name in names} for call in (first, second))
        for changed in (there, second.args | here):
            call = replace(first, args=first.args | changed)
            is_new = not identical(*(frozen(made(c.args, one)) for c in (call, first)))
            if is_new and is_finite(answer, replace(one, calls=[call])):
                mixtures.append(refilled(call))
    # Always a case, so that as many are right in each draw.
    said = "then with some arguments the same"
    calls = [first, *mixtures]
    yield titled(one, "calls in a row", said, calls=calls, max_lines=0, max_bytes=0)


def refilled(call, **changes):
    """A call whose arrays and lists are those of the call before, with its numbers in them."""
    args = changes.get("args", call.args)
    same = tuple(name for name, value in args.items() if is_filled(value))
    return replace(call, same=same, **changes)


def is_filled(value):
    """Whether other numbers can be written into a value."""
    return isinstance(value, list) or isinstance(value, np.ndarray) and value.ndim > 0


def form(value):
    """What kind of thing a value is, and how large; of text and numbers only the kind."""
    if isinstance(value, dict):
        return {key: form(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [form(part) for part in value]
    return type(value), getattr(value, "shape", None)


def backward_twice(case):
    """Each backward pass again, with no forward pass between, and once more with another dy."""
    calls = []
    for call in case.calls:
        calls.append(call)
        if call.method == "backward":
            other = {name: mapped(value, turned) for name, value in call.args.items()}
            calls += [call, replace(call, args=other)]
    said = "each backward pass again, and with another dy"
    return titled(case, "backward twice", said, calls=calls)


def new_weights(case):
    """The same arrays again, after the parameters have changed in place."""
    gradients = {dname(name) for name in case.params}
    others = {n: 0.3 + mapped(p, turned) for n, p in case.params.items() if n not in gradients}
    first, second = rounds(case)
    if others and second:
        again = [refilled(call) for call in first]
        again[0] = replace(again[0], sets=again[0].sets | others)
        yield titled(case, "new weights", "again with new weights", calls=[*first, *again])


def same_arrays(case):
    """Another input in the array that held the first; then the very gradient that came before."""
    first, second = rounds(case)
    if second:
        args = first[0].args
        other = {n: np.flip(a) if isinstance(a, np.ndarray) else a for n, a in args.items()}
        calls = [refilled(first[0], args=other), *map(refilled, first[1:])]
        said = "then the same arrays, with another input in them"
        yield titled(case, "same arrays", said, calls=[*first, *calls])


def rounds(case):
    """The calls of the first two rounds of a layer; none for the second where there is but one."""
    starts = [number for number, call in enumerate(case.calls) if call.method == "forward"]
    first, second, *_ = [*starts, len(case.calls), len(case.calls)]
    return case.calls[first:second], case.calls[second : 2 * second - first]


def zeros(case):
    """A round with an input of zeros and one with a gradient of zeros; all weights 0."""
    first, back, second, last = case.calls
    calls = [of_zeros(first, first.args), back, second, of_zeros(last, last.args)]
    yield titled(case, "zeros", "x of zeros, then dy of zeros", calls=calls)
    weights = {name for name in case.params if dname(name) in case.params}
    if weights:
        params = {n: np.zeros_like(p) if n in weights else p for n, p in case.params.items()}
        yield titled(case, "zeros", "all weights 0", params=params)


def zero_gradients(case):
    """An input x, or a gradient such as dy, that a function is given: zeros; a number negative."""
    call, *rest = case.calls
    for name, value in call.args.items():
        if name == "x" or name.startswith("d"):
            calls = [of_zeros(call, [name]), *rest]
            yield titled(case, "zeros", f"{name} of zeros", calls=calls)
            if isinstance(value, float):
                calls = [replace(call, args=call.args | {name: -1.5 * value}), *rest]
                yield titled(case, "zeros", f"{name} negative", calls=calls)


def of_zeros(call, names):
    zeros = {name: mapped(call.args[name], np.zeros_like) for name in names}
    return replace(call, args=call.args | zeros)


def turned(value):
    return -1.5 * np.flip(value) if np.ndim(value) else -1.5 * value


def mapped(value, function):
    """What a function makes of floats, alone or in an array; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return function(value)
    return float(function(value)) if isinstance(value, float) else value


def other_sizes(case):
    """The first round with a part of its rows only, where there are rows to leave out."""
    arrays = [a for call in case.calls[:2] for a in call.args.values() if isinstance(a, np.ndarray)]
    rows = {len(a) if a.ndim else 0 for a in arrays}
    if len(rows) != 1 or max(rows) < 2:
        return
    fewer = max(rows) // 2
    calls = [
        replace(call, args={k: a[:fewer] if np.ndim(a) else a for k, a in call.args.items()})
        for call in case.calls[:2]
    ]
    said = f"{fewer} of {max(rows)} rows first, then all"
    yield titled(case, "other sizes", said, calls=calls + case.calls[2:])


def long(cases, answer):
    """Some hundred rows, the given ones again and again; and as many positions of a sequence.

    Of the case with the fewest numbers that has such an axis, with none of length 1 and more axes
    than one, if there is one, and that the right answer bears: it may be a loop, too.
    """
    for axis, said in ((0, "rows"), (-2, "positions")):
        longs = []
        for case in cases:
            calls = [replace(call, args=longer(call.args, axis)) for call in case.calls]
            if any(a.args is not b.args for a, b in zip(calls, case.calls, strict=True)):
                changes = {"calls": calls, "max_lines": 0, "max_bytes": 0}
                said_so = f"repeated to {LONG} {said} and more"
                longs.append(titled(case, "long inputs", said_so, **changes))
        few = islice(sorted(longs, key=thin_then_large), 4)
        yield from islice((case for case in few if is_finite(answer, case)), 1)


def thin_then_large(case):
    """(whether an axis of a case is of length 1 or the only one, how many numbers there are).

    A row alone may be one whole, such as probabilities, that is none when it is repeated.
    """
    arrays = [a for c in case.calls for a in c.args.values() if isinstance(a, np.ndarray)]
    is_thin = any(1 in a.shape for a in arrays) or all(a.ndim < 2 for a in arrays)
    return is_thin, sum(a.size for a in arrays)


def longer(args, axis):
    """The arguments with the arrays as long as the first along an axis repeated along that.

    Where the first array has two axes of that length, they may have to be equal: it stays as it is.
    """
    arrays = {name: a for name, a in args.items() if isinstance(a, np.ndarray)}
    arrays = {name: a for name, a in arrays.items() if a.ndim >= (1 if axis == 0 else 3)}
    shape = next((a.shape for a in arrays.values()), (0,) * 3)
    length = shape[axis]
    if length < 2 or shape.count(length) > 1:
        return args
    times = -(-LONG // length)
    arrays = {name: a for name, a in arrays.items() if a.shape[axis] == length}
    return args | {name: np.concatenate([a] * times, axis) for name, a in arrays.items()}


def runs(answer, case):
    return not any(result.name == "error" for result in run(answer, case))


def is_finite(answer, case):
    """Whether the right answer has numbers there, and nothing to warn of."""
    return all(
        result.name not in ("error", "warning") and finite(result.value)
        for result in run(answer, case)
    )


def finite(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, (float, np.ndarray)) or bool(np.isfinite(value).all())


def caches_of(answer, case):
    """The arrays that a layer's forward pass keeps: its attributes that were not there before."""
    tried = Tried(answer, case)
    before = dict(vars(tried.thing))
    tried.make(case.calls[0], 0)
    return [
        name
        for name, value in getattr(tried.thing, "__dict__", {}).items()
        if isinstance(value, np.ndarray)
        and not (name in before and identical(frozen(before[name]), frozen(value)))
    ]
