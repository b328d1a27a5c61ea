"""What an answer is, and what it gives in each case. The grader's sandbox needs this alone.

Apart from the tasks, which read the book: each sandbox would load that for nothing.
"""

import contextlib
import io
from inspect import isclass, isfunction

import numpy as np

from coursekit.checking.running import run_all


def outcomes(answer, cases, quiet=True, tries=3):
    """The results of an answer in each case, whatever was set before of warnings and errors.

    Args:
        tries: see `run_alone`.
    """
    with contextlib.ExitStack() as stack:
        as_ever = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
        stack.enter_context(np.errstate(**as_ever))
        if quiet:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        return run_all(answer, cases, tries)


def owner(answer, name=None):
    """The class that a method belongs to; anything else as it is.

    The newest class of its name counts: a reader may run the cell that defines it again, or write
    it anew in the answer cell, and another task's method may have the same name.

    Args:
        answer: a class, a function, or a method.
        name: of the class that the task asks for, if it is known.
    """
    function = getattr(answer, "__func__", answer)
    if not isfunction(function):
        return answer
    added_to = getattr(function, "__objclass__", None)
    home = name or getattr(added_to, "__name__", function.__qualname__.rpartition(".")[0])
    newest = function.__globals__.get(home)
    if isclass(newest) and (name or function.__name__ in vars(newest)):
        return newest
    return added_to or answer
