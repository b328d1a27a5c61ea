"""While an answer runs, the package's own version of what it is to compute refuses to."""

import re
import sys
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import isclass, isfunction, isgeneratorfunction
from pathlib import Path


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
    try:
        for f in functions:
            # Python is to exchange the code of a generator for that of another one only.
            f.__code__ = (refuse_to_yield if isgeneratorfunction(f) else refuse).__code__
        yield
    finally:
        for f, code in zip(functions, kept, strict=True):
            f.__code__ = code


def refuse(*args, **kwargs):
    # By its full name: this runs with the globals of the function that it stands in for.
    from coursekit.checking.covered import OwnVersion

    raise OwnVersion("calls numpygpt's own version of what you are to write: compute it yourself")


def refuse_to_yield(*args, **kwargs):
    from coursekit.checking.covered import refuse

    yield refuse()


def exported_functions(chapter):
    """The functions and methods of the modules that `chapter` and later ones export."""
    load_all()
    found = []
    for name, module in list(sys.modules.items()):
        if not name.startswith("numpygpt."):
            continue
        derived = chapter_of(module.__file__)
        if derived is None or derived < chapter:
            continue
        for thing in vars(module).values():
            if getattr(thing, "__module__", None) == name:
                found += vars(thing).values() if isclass(thing) else [thing]
    # A function with a closure cannot run other code.
    return [f for f in found if isfunction(f) and not f.__code__.co_freevars]


@cache
def chapter_of(path):
    """The chapter that derives an exported module, as its first lines say; None of others.

    From the file: with PYTHONOPTIMIZE=2 a module has no docstring.
    """
    derived = re.search(r"Derived in\s+chapter (\d+)", Path(path).read_text("utf-8")[:1000])
    return int(derived[1]) if derived else None


def load_all():
    """Import every module of the package: an answer may import one as late as while it runs."""
    for path in find_spec("numpygpt").submodule_search_locations:
        for file in sorted(Path(path).rglob("*.py")):
            name = ".".join(file.relative_to(path).with_suffix("").parts)
            if not name.startswith(("cli.", "__")):
                # A reader's own module may be broken; in the sandbox, later ones are not there.
                with suppress(Exception):
                    import_module(f"numpygpt.{name.removesuffix('.__init__')}")
