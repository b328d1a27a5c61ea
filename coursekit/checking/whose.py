"""Whose code it is that runs: the reader's, or a library's; and what an error says of theirs."""

import contextlib
import functools
import linecache
import os
import re
import site
import sysconfig
import traceback
import types
from importlib.util import find_spec


def described(error):
    """What an exception says to the reader: its kind, its message, the line of their own code."""
    if isinstance(error, NotImplementedError) and not text_of(error):
        return {"kind": "NotImplementedError", "message": "", "line": ""}
    lines = [
        step.line
        for step in traceback.extract_tb(error.__traceback__)
        if reader_wrote(step.filename)
    ]
    message = text_of(error)
    if isinstance(error, SyntaxError):  # of a cell, which has not begun to run
        lines, message = lines or [(error.text or "").strip()], error.msg
    message = re.sub(r" at 0x[0-9a-f]+", "", message)[:500]
    return {"kind": type(error).__name__, "message": message, "line": (lines or [""])[-1] or ""}


def text_of(error):
    """An exception's message: its class may be the reader's, and so its `__str__`."""
    try:
        return str(error)
    except Exception as another:
        return f"(and {type(another).__name__} in its __str__)"


def blank_called(error):
    """The name of the blank that raised NotImplementedError(), such as "Linear.backward"."""
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if reader_wrote(frame.f_code.co_filename):
            owner = frame.f_locals.get("self")
            name = frame.f_code.co_name
            name = name if owner is None else f"{type(owner).__name__}.{name}"
    return name


def names_used(function, seen=()):
    """The names that a function of the reader's uses, and those that it calls by name.

    Its strings are among them, which `getattr` may take for names, and the own names of what it
    has given another one, or keeps as a default, in a closure, a partial or a class.
    """
    code, globals_ = function.__code__, function.__globals__
    names, parts = set(), [code]
    for part in parts:
        names |= {*part.co_names} | {c for c in part.co_consts if isinstance(c, str)}
        parts += [c for c in part.co_consts if isinstance(c, types.CodeType)]
    values = [globals_.get(name) for name in names]
    values += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not bound yet
            values.append(cell.cell_contents)
    for value in values:
        value = getattr(value, "func", value)  # of a partial
        for part in vars(value).values() if isinstance(value, type) else [value]:
            if isinstance(part, types.FunctionType) and part not in seen:
                if reader_wrote(part.__code__.co_filename):
                    names |= names_used(part, (*seen, function))
            elif isinstance(part, types.BuiltinFunctionType):
                names.add(part.__name__)
    return names


def written(answer, names):
    """The text of the cells in which a reader has written an answer; "" if it is not to be had.

    Args:
        answer: a function or class.
        names: what the answer is to define, such as "Linear.backward".
    """
    parts = [answer]
    if isinstance(answer, type):
        methods = {f"{answer.__name__}.{name}": part for name, part in vars(answer).items()}
        parts = [methods[name] for name in names if name in methods] or methods.values()
    codes = [part.__code__ for part in parts if isinstance(part, types.FunctionType)]
    files = dict.fromkeys(code.co_filename for code in codes if reader_wrote(code.co_filename))
    return "".join(line for file in files for line in linecache.getlines(file))


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
