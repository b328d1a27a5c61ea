"""While an answer runs, the package's own version of what it is to compute refuses to."""

import re
import sys
from contextlib import contextmanager
from inspect import isclass, isfunction


class OwnVersion(Exception):
    """An answer called the function of the package that it is to write."""


@contextmanager
def covered(chapter):
    """Make all that `chapter` and later ones export refuse to run, for a while.

    An answer that calls it would be right and teach nothing. The code is exchanged inside the
    functions themselves, so that it does not matter how a notebook has imported them.

    Args:
        chapter: the number of the exercise set; None covers nothing.
    """
    functions = exported_functions(chapter) if chapter is not None else []
    kept = [f.__code__ for f in functions]
    for f in functions:
        f.__code__ = refuse.__code__
    try:
        yield
    finally:
        for f, code in zip(functions, kept, strict=True):
            f.__code__ = code


def refuse(*args, **kwargs):
    # By its full name: this runs with the globals of the function that it stands in for.
    from coursekit.checking.covered import OwnVersion

    raise OwnVersion("calls numpygpt's own version of what you are to write: compute it yourself")


def exported_functions(chapter):
    """The functions and methods of the loaded modules that `chapter` and later ones export."""
    found = []
    for name, module in list(sys.modules.items()):
        if not name.startswith("numpygpt."):
            continue
        # The first lines of an exported module say which chapter derives it.
        derived = re.search(r"Derived in\s+chapter (\d+)", module.__doc__ or "")
        if not derived or int(derived[1]) < chapter:
            continue
        for thing in vars(module).values():
            if getattr(thing, "__module__", None) == name:
                found += vars(thing).values() if isclass(thing) else [thing]
    # A function with a closure cannot run other code.
    return [f for f in found if isfunction(f) and not f.__code__.co_freevars]
