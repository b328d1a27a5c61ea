"""What to do with an answer, as data: `run` does it and reports what came out.

A case holds inputs only, never an expected value. So `run` is safe to give to the process that
runs a student's code: whoever judges does so elsewhere.
"""

import contextlib
import difflib
import functools
import inspect
import os
import random
import re
import site
import sys
import sysconfig
import traceback
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import zip_longest

import numpy as np

from coursekit.checking.ending import Endless, Limit
from coursekit.checking.meter import NAMES as LIMITS
from coursekit.checking.meter import Meter
from coursekit.checking.warned import Warned


@dataclass
class Call:
    """One call: of the answer itself, or of a method of the object that the answer's class makes.

    Values may be arrays, numbers, strings, None, lists, tuples and dicts of them, Rng and Model.
    """

    args: dict = field(default_factory=dict)  # name -> value; passed by position
    method: str | None = None  # None: call the answer itself
    returns: str | tuple | None = "the result"  # the reader's name for what is returned, or names;
    # None: whatever is returned does not matter
    kwargs: dict = field(default_factory=dict)  # passed by name
    sets: dict = field(default_factory=dict)  # attribute -> value, set before the call


@dataclass
class Case:
    """One object (or none) and the calls made on it."""

    title: str  # for the reader: "x of shape (2, 3), no bias"
    calls: list
    new: dict | None = None  # arguments of the class, by name; None: the answer is a function
    params: dict = field(default_factory=dict)  # attribute -> array, written into the object
    reads: tuple = ()  # attributes to report after each call, such as "dW"
    strided: bool = False  # hand over arrays that are not contiguous
    float32: bool = False  # all float64 arrays become float32; compared with less precision
    max_lines: int = 0  # lines of the reader's code that a call may run; 0: any number
    max_bytes: int = 0  # that a call may have in use at a time, its results included; 0: any number
    order_of_draws: bool = False  # the text fixes it: generators are left as the right answer does
    dtypes: bool = False  # the text says them: float32 is not float64, nor int32 int64
    # Set by contract.py:
    clause: str = ""  # of the contract, which this case tries; "": a case of the task's author
    beside: tuple = ()  # cases of other objects, whose calls are made in turn with this one's
    caches: tuple = ()  # attributes that our `forward` has kept; `backward` may not change them


@dataclass
class Rng:
    """Stands for np.random.default_rng(seed), made anew for each run."""

    seed: int


@dataclass
class Model:
    """Stands for an object with these parameters and gradients, as an optimizer wants one."""

    params: dict  # name -> array
    grads: dict  # name -> array


@dataclass
class Result:
    """What one call gave under one name, or that it failed."""

    call: int
    name: str  # "dx", "dW", or a trouble, as `result_names` lists them
    value: object


def layer(title, new, params, inputs, dy, *, others=(), returns=("y", "dx"), **options):
    """A case of a layer: forward and backward, twice, with other numbers each time.

    The gradients start from numbers that are not zero, so that `=` in place of `+=` shows.

    Args:
        title, new: as in Case.
        params: attribute -> array; its gradient's name has a d before its last part.
        inputs: for each round, a dict of the arguments of `forward`.
        dy: for each round, the upstream gradient; the dict's name is the reader's: {"dy": ...}.
        others: further attributes to report.
        returns: the names of what forward and backward return.
    """
    grads = {}
    for name, p in params.items():
        grads[dname(name)] = 0.1 + 0.01 * np.arange(p.size).reshape(p.shape)
    calls = []
    for args, upstream in zip(inputs, dy, strict=True):
        calls.append(Call(args, "forward", returns[0]))
        calls.append(Call(upstream, "backward", returns[1]))
    return Case(title, calls, new, params | grads, (*grads, *others), **options)


def dname(name):
    """The gradient's name: blocks.0.W -> blocks.0.dW."""
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}d{last}"


def run(answer, case):
    """Do what the case says with a function or class; return a list of Result.

    Whatever the answer raises becomes a result, and that it does not end. It ends the case.
    """
    results, number = [], 0
    try:
        with Limit(reader_wrote) as limit:
            objects = [Tried(answer, each) for each in (case, *case.beside)]
            for number, (tried, call) in enumerate(in_turn(objects)):
                results += tried.make(call, number)
            for tried in objects:
                results += tried.afterwards(number)
    except Endless:
        said = {"kind": Endless.__name__, "message": "", "line": limit.line}
        results.append(Result(number, "error", said))
    except NotAMethod as error:
        said = {"kind": NotAMethod.__name__, "message": error.name, "line": error.instead}
        results.append(Result(number, "error", said))
    except (Exception, SystemExit) as error:
        said = described(error)
        if said == {"kind": "NotImplementedError", "message": "", "line": ""}:
            said["line"] = blank_called(error)
        results.append(Result(number, "error", said))
    return results


def run_all(answer, cases):
    """The results in each case; none in those after one in which the answer did not end."""
    found, ends = [], True
    for case in cases:
        found.append(run_alone(answer, case) if ends else [])
        ends = ends and not any(
            r.name == "error" and r.value["kind"] == Endless.__name__ for r in found[-1]
        )
    return found


def run_alone(answer, case, tries=3):
    """The results of an answer in a case, without what the process did besides.

    Memory is counted for the whole process, and a kernel sends messages and draws figures. A case
    makes all that it needs anew, so what the answer itself uses, it uses each time.
    """
    for _ in range(tries):
        results = run(answer, case)
        if all(result.name != "limit: memory" for result in results):
            break
    return results


def in_turn(objects):
    """Pairs of object and call: the first call of each, then the second of each, and so on."""
    calls = ([(tried, call) for call in tried.case.calls] for tried in objects)
    return [pair for turn in zip_longest(*calls) for pair in turn if pair is not None]


class NotAMethod(Exception):
    """What the case calls is not, or not yet, a method of a class.

    Args:
        name: "Linear.backward", or the name of a function that should be a method.
        instead: what is there: "a function", a method of nearly that name, or "".
    """

    def __init__(self, name, instead=""):
        self.name, self.instead = name, instead


class Tried:
    """An object of the answer's class, or the answer itself, and all that must stay as it is."""

    def __init__(self, answer, case):
        self.case, self.thing = case, answer
        if case.new is not None:
            if not inspect.isclass(answer):
                name = getattr(answer, "__qualname__", type(answer).__name__)
                raise NotAMethod(name, "a function")
            self.thing = answer(**{name: made(value, case) for name, value in case.new.items()})
        self.held = {
            name: put(self.thing, name, made(value, case)) for name, value in case.params.items()
        }
        self.kept = []  # (call, name, what the caller holds, what it was), of all calls so far

    def make(self, call, number):
        """Make a call; return its results."""
        case, thing = self.case, self.thing
        for name, value in call.sets.items():
            put(thing, name, made(value, case))
        args = {name: made(value, case) for name, value in (call.args | call.kwargs).items()}
        watched = args | {name: a for name, a in self.held.items() if name not in case.reads}
        if call.method == "backward":
            watched |= {name: a for name in case.caches if (a := cache(thing, name)) is not None}
        before = {name: frozen(value) for name, value in watched.items()}
        draws = {name: a for name, a in args.items() if isinstance(a, np.random.Generator)}
        drawn = {name: generator_state(a) for name, a in draws.items()}
        globally = global_state() if draws else None
        function = thing if call.method is None else method(thing, call.method)
        given = [args[name] for name in call.args]
        with Warned(reader_wrote) as warned, Meter(case, reader_wrote) as meter:
            returned = function(*given, **{name: args[name] for name in call.kwargs})
        results = [Result(number, name, True) for name in meter.exceeded()]
        if warned.said:
            results.append(Result(number, "warning", warned.said))
        if call.returns is not None:
            for name, value in named(call.returns, returned):
                results.append(Result(number, name, frozen(value)))
                self.kept.append((number, name, value, results[-1].value))
        for name in case.reads:
            results.append(Result(number, name, frozen(get(thing, name))))
        for name, value in watched.items():
            if name in case.caches:
                value = cache(thing, name)
            if not identical(now := frozen(value), before[name]):
                results.append(Result(number, f"changed: {name}", now))
            if name in args:
                self.kept.append((number, name, value, now))
        for name, array in self.held.items():
            if isinstance(array, np.ndarray) and get(thing, name) is not array:
                results.append(Result(number, f"replaced: {name}", True))
        for name, generator in draws.items():
            moved = generator_state(generator) != drawn[name]
            state = int(generator.integers(1 << 53)) if case.order_of_draws else moved
            results.append(Result(number, f"draws: {name}", state))
        if draws and global_state() != globally:
            results.append(Result(number, "draws: not from its generator", True))
        return results

    def afterwards(self, number):
        """What the later calls have changed of that which earlier ones got and gave."""
        results = []
        for call, name, value, was in self.kept:
            if not identical(now := frozen(value), was):
                results.append(Result(call, f"changed later: {name}", now))
        if any(call.method == "backward" for call in self.case.calls):
            names = parameter_names(self.thing)
            results.append(Result(number, "parameters", names))
        return results


def result_names(case):
    """Every name that a Result of this case can have."""
    names = {"error", "warning", "parameters", "draws: not from its generator"}
    names |= {*LIMITS}
    for each in (case, *case.beside):
        names |= {*each.reads} | {f"changed: {name}" for name in (*each.params, *each.caches)}
        names |= {f"replaced: {name}" for name in each.params}
        for call in each.calls:
            returned = {*call.returns} if isinstance(call.returns, tuple) else {call.returns}
            if isinstance(call.returns, tuple):
                returned.add(" and ".join(call.returns))
            arguments = {*call.args, *call.kwargs}
            names |= returned - {None} | {f"changed: {name}" for name in arguments}
            names |= {f"changed later: {name}" for name in returned - {None} | arguments}
            names |= {f"draws: {name}" for name in arguments}
    return names


def method(thing, name):
    """The method of an object, if somebody has written it: Module's own only complains."""
    homes = [thing, *(cls for cls in type(thing).__mro__ if cls.__name__ != "Module")]
    if any(name in getattr(home, "__dict__", {}) for home in homes):
        return getattr(thing, name)
    cls = type(thing)
    beside = getattr(sys.modules.get(cls.__module__), name, None)  # in the notebook
    if inspect.isfunction(beside) and not hasattr(beside, "__objclass__"):
        raise NotAMethod(f"{cls.__name__}.{name}", "a function")
    near = difflib.get_close_matches(name, [key for key in vars(cls) if key[0] != "_"], n=1)
    raise NotAMethod(f"{cls.__name__}.{name}", "".join(near))


def blank_called(error):
    """The name of the blank that raised NotImplementedError(), such as "Linear.backward"."""
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if reader_wrote(frame.f_code.co_filename):
            owner = frame.f_locals.get("self")
            name = frame.f_code.co_name
            name = name if owner is None else f"{type(owner).__name__}.{name}"
    return name


def parameter_names(thing, prefix=""):
    """The names of all parameters of a layer, by the rule of Module: W, with dW beside it."""
    names, own = [], getattr(thing, "__dict__", {})
    for name, value in own.items():
        if isinstance(value, np.ndarray) and isinstance(own.get(f"d{name}"), np.ndarray):
            names.append(f"{prefix}{name}")
        parts = enumerate(value) if isinstance(value, (list, tuple)) else [(None, value)]
        for i, part in parts:
            if callable(getattr(part, "backward", None)):
                inside = f"{prefix}{name}." if i is None else f"{prefix}{name}.{i}."
                names += parameter_names(part, inside)
    return names


def cache(thing, name):
    """What an object has kept under a name; None if it keeps nothing there."""
    return getattr(thing, name, None)


def generator_state(generator):
    return repr(generator.bit_generator.state)


def global_state():
    """The state of the generators that everybody shares."""
    legacy = np.random.get_state()  # noqa: NPY002  (an answer may have drawn from it)
    return legacy[1].tobytes(), legacy[2:], random.getstate()


def named(names, value):
    """Pairs of name and value: one pair for each name, if there are several."""
    if isinstance(names, str):
        return [(names, value)]
    if isinstance(value, (list, tuple)) and len(value) == len(names):
        return list(zip(names, value, strict=True))
    return [(" and ".join(names), value)]


def described(error):
    """What an exception says to the reader: its kind, its message, the line of their own code."""
    if isinstance(error, NotImplementedError) and not str(error):
        return {"kind": "NotImplementedError", "message": "", "line": ""}
    lines = [
        step.line
        for step in traceback.extract_tb(error.__traceback__)
        if reader_wrote(step.filename)
    ]
    message = str(error)
    if isinstance(error, SyntaxError):  # of a cell, which has not begun to run
        lines, message = lines or [(error.text or "").strip()], error.msg
    message = re.sub(r" at 0x[0-9a-f]+", "", message)[:500]
    return {"kind": type(error).__name__, "message": message, "line": (lines or [""])[-1] or ""}


@functools.cache
def reader_wrote(filename):
    """Whether code is the reader's: of a cell, or of a file of theirs, but of no library."""
    if not os.path.isabs(filename):  # "<cell>", "<string>": what a cell, or an answer, has made
        return not filename.startswith("<frozen ")
    return not os.path.normcase(os.path.realpath(filename)).startswith(library_folders())


@functools.cache
def library_folders():
    """Where the code lies that no reader has written: Python's, NumPy's, IPython's, the book's."""
    folders = {sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    for name in ("numpy", "numpygpt", "coursekit", "IPython", "ipykernel"):
        with contextlib.suppress(ImportError, ValueError):
            folders |= {*find_spec(name).submodule_search_locations} if find_spec(name) else set()
    real = {os.path.normcase(os.path.realpath(folder)) for folder in folders if folder}
    return tuple(os.path.join(folder, "") for folder in real)


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
        return type(value)(made(v, case) for v in value)
    if isinstance(value, dict):
        return {k: made(v, case) for k, v in value.items()}
    return value


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


def frozen(value, depth=0):
    """A copy of what an answer returned, of plain arrays, numbers, strings and lists only."""
    if isinstance(value, np.ma.MaskedArray):
        return f"a {type(value).__name__}"
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.array(value)
        return value if value.dtype.kind in "biuf" else f"an array of {value.dtype}"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, (list, tuple)) and depth < 8:
        return [frozen(v, depth + 1) for v in value]
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
