"""What a notebook calls: `add_to_class` to write a class method by method, `export` at its end."""

import dis
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from coursekit.files import BookError, keep_old, read, say, write


def add_to_class(cls):
    """Decorator: make a function a method of `cls`, so that a class can grow from cell to cell.

    The exporter moves the function into the class, so the package holds one ordinary class.

    Raises:
        TypeError: if the function uses `super()` or a `__private` name, which work only in the
            body of a class.
    """

    def add(method):
        function = getattr(method, "__func__", getattr(method, "fget", method))
        name = getattr(function, "__name__", None) or getattr(method, "attrname", None)
        if hasattr(function, "__code__"):
            refuse_class_only_code(cls, name, function)
            function.__qualname__ = f"{cls.__qualname__}.{name}"
            function.__objclass__ = cls  # as Python marks its own: `check` finds the class by it
        setattr(cls, name, method)
        if hasattr(method, "__set_name__"):
            method.__set_name__(cls, name)
        return method

    return add


def refuse_class_only_code(cls, name, function):
    steps = [s for s in dis.get_instructions(function) if s.opname.startswith(("LOAD", "CALL"))]
    for step, following in zip(steps, steps[1:], strict=False):
        if step.argval == "super" and following.opname == "CALL" and following.arg == 0:
            parent = cls.__mro__[1].__name__
            raise TypeError(
                f"{name} calls super(), which finds no class here: name the parent, "
                f"as in {parent}.{name}(self)"
            )
    for used in function.__code__.co_names:
        if used.startswith("__") and not used.endswith("__"):
            raise TypeError(f"{name} uses {used}, another name inside a class: use one underscore")


def export(name):
    """Write the modules of notebook `name`, from its export cells as saved, into the package.

    A module that differs from the package's is written, and the old file is kept beside it; in a
    page of the book, which remembers what was written, Reset brings the old file back. The reader's
    own code is in use from the next chapter on.

    Args:
        name: the notebook's name without `.ipynb`, such as "03_linear".
    """
    import json

    from coursekit.exporter import exported, has_ruff, same_code

    root = package_root()
    path = find_notebook(name, root)
    try:
        cells = json.loads(read(path))["cells"]
    except (ValueError, KeyError, TypeError):
        raise BookError(f"{path.name} is damaged: it is not a notebook") from None
    if cell := changed_since_saved(cells, history()):
        say(
            f"{name}: nothing exported: {cell} as saved is not what ran here last; "
            "save the notebook (Ctrl+S), run that cell, and then this one again"
        )
        return
    modules = exported(name, cells, lambda index, line: f"{name}, cell {index + 1}, line {line}")
    if not modules:
        raise BookError(f"{name} has no cells tagged export")
    for module, text in modules.items():
        target = root / "numpygpt" / module
        old = read(target)
        if old is not None and not has_ruff() and same_code(old, text):
            text = old
        shown = f"numpygpt/{module}: {text.count(chr(10))} lines"
        if old == text:
            say(f"{shown}, the package already holds exactly this")
        elif "COURSEKIT_NOTEBOOK" in os.environ:
            # The build has exported every module before it runs a notebook.
            raise BookError(f"{shown}, but the package holds something else")
        elif old is None:
            write(target, text)
            say(f"{shown}, written")
        elif sys.platform == "emscripten":
            write(target, text)
            say(
                f"{shown}, written in place of the book's: later chapters run on it here; "
                "Reset brings the book's own back"
            )
        else:
            kept = keep_old(target).relative_to(root).as_posix()
            write(target, text)
            say(
                f"{shown}, written; the old file is kept as {kept}; "
                "make build brings the book's own back"
            )


def package_root():
    """The folder that holds the `numpygpt` package which this Python imports."""
    spec = find_spec("numpygpt")
    if spec is None or spec.origin is None:
        raise BookError("there is no numpygpt package here: run make build first")
    return Path(spec.origin).resolve().parents[1]


def find_notebook(name, root):
    if "COURSEKIT_NOTEBOOK" in os.environ:  # set by the build
        return Path(os.environ["COURSEKIT_NOTEBOOK"])
    session = Path(os.environ.get("JPY_SESSION_NAME", ""))  # set by JupyterLab
    if session.suffix == ".ipynb" and session.is_file():
        if session.stem != name:
            raise BookError(f'this notebook is {session.stem}: write export("{session.stem}")')
        return session
    for place in (Path(f"{name}.ipynb"), root / "notebooks" / f"{name}.ipynb"):
        if place.is_file():
            return place
    raise BookError(f'there is no {name}.ipynb here: export("...") names the notebook it is in')


def history():
    """What ran in this kernel, oldest first; empty where nothing is recorded."""
    if "IPython" not in sys.modules:
        return []
    shell = sys.modules["IPython"].get_ipython()
    return [] if shell is None else [text.strip() for text in shell.history_manager.input_hist_raw]


def changed_since_saved(cells, ran):
    """The first export cell whose saved text is not what ran last, named for the reader, or None.

    What ran last is told by the names that a cell defines. A cell that never ran is no reason for
    doubt, unless something else ran that is not in the saved notebook.
    """
    import ast

    from coursekit.exporter import names_defined, source_of

    def names(source):
        try:
            return {name for node in ast.parse(source).body for name in names_defined(node)}
        except SyntaxError:
            return set()

    saved = [source_of(cell).strip() for cell in cells]
    is_export = ["export" in cell["metadata"].get("tags", []) for cell in cells]
    others = {text for text, exports in zip(saved, is_export, strict=True) if not exports}
    ran = [text for text in ran if text and text not in others]
    unknown = [text for text in ran if text not in saved]
    defined = [(text, names(text)) for text in ran]
    for number, (text, exports) in enumerate(zip(saved, is_export, strict=True), 1):
        if exports and text and ran:
            latest = [t for t, defines in defined if defines & names(text)][-1:]
            if latest and latest[0] not in saved or unknown and text not in ran:
                return f"cell {number} ({text.splitlines()[0]})"
    return None
