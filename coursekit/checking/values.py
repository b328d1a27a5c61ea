"""The values of a case, made for an answer, and copies of what an answer has made of them."""

import numpy as np

from coursekit.checking.cases import Model, Rng, dname

# Lists of thousands of these need not be gone through one by one.
EXACT = {int, str, bytes}  # of which equal ones are identical: there is no 1 == 1.0, no 1 == True
PLAIN = EXACT | {float, bool, type(None)}


def made(value, case):
    """The argument that a value of a case stands for: new arrays for each run."""
    if isinstance(value, np.ndarray):
        dtype = np.float32 if case.float32 and value.dtype == np.float64 else value.dtype
        if case.strided and value.ndim:
            # Every other entry of a larger array, and its axes in another order in memory.
            roomy = np.zeros((*value.shape[::-1][:-1], 2 * value.shape[0]), dtype).T[::2]
            roomy[...] = value
            return roomy
        return value.astype(dtype)
    if case.float32 and value == "float64":  # an argument dtype="float64"
        return "float32"
    if isinstance(value, Rng):
        return np.random.default_rng(value.seed)
    if isinstance(value, Model):
        return Parameters(made(value.params, case), made(value.grads, case))
    if isinstance(value, (list, tuple)):
        if has_only(EXACT, value) and not case.float32:
            return type(value)(value)
        return type(value)(made(v, case) for v in value)
    if isinstance(value, dict):
        return {k: made(v, case) for k, v in value.items()}
    return value


def has_only(kinds, values):
    """Whether the values are of these types, and of no class of somebody's that is one of them."""
    return kinds.issuperset(map(type, values))


class Parameters:
    """The object that a Model stands for: arrays with their gradients, under Module's names."""

    def __init__(self, params, grads):
        self._params, self._grads = params, grads
        for name, p in params.items():
            setattr(self, name, p)
            setattr(self, dname(name), grads[name])

    def params(self):
        return dict(self._params)

    def grads(self):
        return dict(self._grads)

    def zero_grad(self):
        for g in self._grads.values():
            g[...] = 0


class FromTuple(list):
    """What a tuple held: it is compared as a list is, and told apart where that is asked for."""


def frozen(value, depth=0):
    """A copy of what an answer returned, of plain arrays, numbers, strings and lists only."""
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):  # whose * and indices mean other things
        return f"a {type(value).__name__}"
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.array(value)
        return value if value.dtype.kind in "biuf" else f"an array of {value.dtype}"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, (list, tuple)) and depth < 8:
        kind = FromTuple if isinstance(value, tuple) else list
        return kind(value if has_only(PLAIN, value) else [frozen(v, depth + 1) for v in value])
    if isinstance(value, dict) and depth < 8:
        return {str(k): frozen(v, depth + 1) for k, v in value.items()}
    if hasattr(value, "params") and hasattr(value, "grads"):
        parts = {name: frozen(p) for name, p in value.params().items()}
        return parts | {dname(name): frozen(g) for name, g in value.grads().items()}
    return f"a {type(value).__name__}"


def identical(a, b):
    """Whether two frozen values are the same, bit for bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list):
        if has_only(EXACT, a) and has_only(EXACT, b):
            return a == b
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[k], b[k]) for k in a)
    return a == b or a != a and b != b


def get(thing, name):
    """The attribute, item or list entry that a dotted name stands for."""
    for part in name.split("."):
        if isinstance(thing, dict):
            thing = thing[part]
        else:
            thing = thing[int(part)] if part.isdigit() else getattr(thing, part)
    return thing


def put(thing, name, value):
    """Set an attribute; an array of the same shape and dtype is written in place."""
    head, _, last = name.rpartition(".")
    owner = get(thing, head) if head else thing
    old = getattr(owner, last, None)
    if isinstance(old, np.ndarray) and isinstance(value, np.ndarray):
        if old.shape == value.shape and old.dtype == value.dtype:
            old[...] = value
            return old
    setattr(owner, last, value)
    return value
