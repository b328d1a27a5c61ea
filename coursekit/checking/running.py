"""Does what a case says with an answer, and reports what came out. Judges nothing."""

import difflib
import inspect
import random
import sys
from itertools import zip_longest

import numpy as np

from coursekit.checking.cases import NO_MODULE, Result
from coursekit.checking.ending import Endless, Limit
from coursekit.checking.meter import Meter
from coursekit.checking.values import frozen, get, identical, made, put
from coursekit.checking.warned import Warned
from coursekit.checking.whose import blank_called, described, reader_wrote


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
    except Gone as error:
        said = {"kind": Gone.__name__, "message": error.name, "line": ""}
        results.append(Result(number, "error", said))
    except (Exception, SystemExit) as error:
        said = described(error)
        if said == {"kind": "NotImplementedError", "message": "", "line": ""}:
            said["line"] = blank_called(error)
        results.append(Result(number, "error", said))
    return results


def run_all(answer, cases, tries):
    """The results in each case; none in those after one in which the answer did not end."""
    found, ends = [], True
    for case in cases:
        found.append(run_alone(answer, case, tries) if ends else [])
        ends = ends and not any(
            r.name == "error" and r.value["kind"] == Endless.__name__ for r in found[-1]
        )
    return found


def run_alone(answer, case, tries):
    """The results of an answer in a case, without what the process did besides.

    Memory is counted for the whole process, and a kernel sends messages and draws figures. A case
    makes all that it needs anew, so what the answer itself uses, it uses each time, if it keeps
    nothing. So where nothing else runs, one try is enough.
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


class Gone(Exception):
    """A list of layers is shorter than it was, so that what stood in it has no name any more.

    Args:
        name: that of the list: "blocks".
    """

    def __init__(self, name):
        self.name = name


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
        self.given = {}  # what came last under each name

    def make(self, call, number):
        """Make a call; return its results."""
        case, thing = self.case, self.thing
        for name, value in call.sets.items():
            put(thing, name, made(value, case))
        args = {name: made(value, case) for name, value in (call.args | call.kwargs).items()}
        args |= {name: self.again(name, args[name]) for name in call.same}
        self.given |= args
        watched = args | {name: a for name, a in self.held.items() if name not in case.reads}
        kept = case.caches if call.method == "backward" else ()
        kept = [name for name in kept if cache(thing, name) is not None]
        watched |= {name: cache(thing, name) for name in kept}
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
        for name in kept:
            watched[name] = cache(thing, name)
        after = {name: frozen(value) for name, value in watched.items()}
        if case.reused:
            write_over(args)
        if call.returns is not None:
            for name, value in named(call.returns, returned):
                results.append(Result(number, name, frozen(value)))
                self.kept.append((number, name, value, results[-1].value))
        for name in case.reads:
            results.append(Result(number, name, frozen(there(thing, name))))
        for name, now in after.items():
            if not identical(now, before[name]):
                results.append(Result(number, f"changed: {name}", now))
            if name in args:
                self.kept.append((number, name, watched[name], now))
        if case.reused:
            write_over(returned)
            self.kept = []
        for name, array in self.held.items():
            if isinstance(array, np.ndarray) and (now := there(thing, name)) is not array:
                moved = any(now is other for other in self.held.values())
                results.append(Result(number, f"replaced: {name}", "moved" if moved else "new"))
        for name, generator in draws.items():
            moved = generator_state(generator) != drawn[name]
            state = int(generator.integers(1 << 53)) if case.order_of_draws else moved
            results.append(Result(number, f"draws: {name}", state))
        if draws and global_state() != globally:
            results.append(Result(number, "draws: not from its generator", True))
        return results

    def again(self, name, value):
        """The array or list that came before under this name, with a value written into it.

        What shares its memory changes with it, which is the caller's doing and no fault.
        """
        old = self.given[name]
        if not identical(frozen(old), frozen(value)):
            self.kept = [each for each in self.kept if not shares_memory(each[2], old)]
            old[... if isinstance(old, np.ndarray) else slice(None)] = value
        return old

    def afterwards(self, number):
        """What the later calls have changed of that which earlier ones got and gave."""
        results = []
        for call, name, value, was in self.kept:
            if not identical(now := frozen(value), was):
                results.append(Result(call, f"changed later: {name}", now))
        if any(call.method == "backward" for call in self.case.calls):
            names = parameter_names(self.thing)
            results.append(Result(number, "parameters", names))
            if all(cls.__name__ != "Module" for cls in type(self.thing).__mro__):
                results.append(Result(number, NO_MODULE, True))
        return results


def there(thing, name):
    """What a dotted name of the case stands for, after a call.

    Raises:
        Gone: it stood in a list that is shorter now.
    """
    try:
        return get(thing, name)
    except IndexError:
        parts = name.split(".")
        numbers = [i for i, part in enumerate(parts) if part.isdigit()]
        raise Gone(".".join(parts[: numbers[0]]) if numbers else name) from None


def shares_memory(value, old):
    arrays = isinstance(value, np.ndarray) and isinstance(old, np.ndarray)
    return value is old or arrays and np.may_share_memory(value, old)


def write_over(value):
    """Other numbers in all arrays of a value, as a caller has who uses them again."""
    if isinstance(value, np.ndarray) and value.flags.writeable and value.dtype.kind in "biuf":
        value[...] = 7
    elif isinstance(value, dict):
        write_over(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            write_over(part)


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


def parameter_names(thing):
    """The names of all parameters of a layer, by the rule of Module: W, with dW beside it.

    One that stands in several places has the first name only, as where a layer is kept in a list,
    too.
    """
    names, seen = [], {}
    for name, p, dp in parameters(thing):
        if id(p) not in seen or seen[id(p)] is not dp:
            names.append(name)
        seen.setdefault(id(p), dp)
    return names


def parameters(thing, prefix=""):
    """Yield (dotted name, parameter, gradient), in every place where one stands."""
    own = getattr(thing, "__dict__", {})
    for name, value in own.items():
        gradient = own.get(f"d{name}")
        if isinstance(value, np.ndarray) and isinstance(gradient, np.ndarray):
            yield f"{prefix}{name}", value, gradient
        parts = enumerate(value) if isinstance(value, (list, tuple)) else [(None, value)]
        for i, part in parts:
            if callable(getattr(part, "backward", None)):
                inside = f"{prefix}{name}." if i is None else f"{prefix}{name}.{i}."
                yield from parameters(part, inside)


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
