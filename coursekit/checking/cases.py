"""What to do with an answer, as data: `running.py` does it.

A case holds inputs only, never an expected value. So it is safe to give to the process that runs a
student's code: whoever judges does so elsewhere.
"""

from dataclasses import dataclass, field

import numpy as np

from coursekit.checking.meter import NAMES as LIMITS

# The name of a result: the class of an object with a backward pass is no Module.
NO_MODULE = "base class: Module"


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
    # Arguments that come in the very array or list that came before under this name, with the
    # numbers of `args` written into it: as where a caller fills one buffer again and again.
    same: tuple = ()


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
    reused: bool = False  # the caller writes over its arrays as soon as a call ends: "own arrays"
    # Whether the text says them, so that float32 is not float64, nor int32 int64: of all outputs,
    # or of those with these names.
    dtypes: bool | tuple = False
    # Arguments of which one is made of the others: where the contract mixes two cases, all are new.
    together: tuple = ()
    # Set by contract.py:
    clause: str = ""  # of the contract, which this case tries; "": a case of the task's author
    beside: tuple = ()  # cases of other objects, whose calls are made in turn with this one's
    caches: tuple = ()  # attributes that our `forward` has kept; `backward` may not change them

    def __post_init__(self):
        if self.reused:
            self.clause = "own arrays"


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


def result_names(case):
    """Every name that a Result of this case can have."""
    names = {"error", "warning", "parameters", NO_MODULE, "draws: not from its generator"}
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
