"""The Python half of the live page: runs in Pyodide, in a worker, in place of Jupyter's kernel.

The worker calls `begin`, `needs`, `run`, `move` and `changed`; what they take and return is text,
mostly JSON.
"""

import ast
import html
import json
import linecache
import logging
import os
import sys
import traceback
import types
from pathlib import Path

BOOK = Path("/book")
say = print  # the worker's say(kind, data), which shows something under the cell that runs
space = sys.modules["__main__"].__dict__  # what the cells define
ran = []  # the cells that ran, oldest first
page = {}  # what the build knows of this page
panels = []  # the panels of sliders that were shown
drawing = set()  # names of what draws a figure when it is called
kept = {}  # path -> text, of the files that the browser keeps, as it has them


def begin(text, show):
    """Start on a page.

    Args:
        text: JSON of "folder", "name", "modules" and, by path, the "files" that the browser keeps.
        show: what `say` is from now on.
    """
    global say
    say = in_order(show)
    page.update(json.loads(text))
    os.environ["MPLBACKEND"] = "agg"
    sys.path.insert(0, str(BOOK))
    for path, text in page.pop("files").items():
        target = BOOK / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    kept.update(files())
    sys.stdout.reconfigure(line_buffering=True)
    # It says that it looks for fonts, which it does in every page.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    folder = BOOK / page["folder"]
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    stand_ins()


def in_order(show):
    """`show`, after what was printed before."""

    def after_prints(kind, data):
        sys.stdout.flush()
        sys.stderr.flush()
        show(kind, data)

    return after_prints


# What a cell needs before it runs.


def needs(source):
    """JSON of what is to be loaded first: "matplotlib" or not, and files of data/.

    A cell that only imports or defines what draws needs no Matplotlib yet, and the page waits for
    its ten megabytes when the first figure is drawn. A cell that cannot be read needs nothing.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return json.dumps({"matplotlib": False})
    draws = False
    for node in body:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        homes = {home for n in ast.walk(node) for home in imported_from(n)}
        if isinstance(node, ast.ImportFrom) and node.module in ("coursekit", "coursekit.figures"):
            found = {a.asname or a.name for a in node.names}
            drawing.update(found if node.module == "coursekit.figures" else found & {"figures"})
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if names & drawing or "matplotlib" in homes:
                drawing.add(node.name)
        else:
            draws = draws or bool(names & drawing) or bool(homes & {"matplotlib", "PIL"})
    return json.dumps({"matplotlib": draws})


def imported_from(node):
    """The top-level packages that an import statement names."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {a.name.split(".")[0] for a in node.names} if isinstance(node, ast.Import) else set()


# Running.


def run(source, cells):
    """Run a cell; True if it came to its end.

    Args:
        cells: JSON of the page's code cells as they stand now: what `export` takes as saved.
    """
    save_notebook(json.loads(cells))
    ran.append(source)
    name = f"<cell {len(ran)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)  # for tracebacks
    try:
        body = ast.parse(source, name).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)
            if value is not None:
                display(value)
    except BaseException as error:
        say("error", as_text(error, name))
        return False
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return True


def as_text(error, name):
    """What a reader is told of an error: its own short form, or a traceback from the cell on."""
    short = getattr(error, "_render_traceback_", None)
    if short is not None:
        return "\n".join(short())
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename != name:
        step = step.tb_next
    return "".join(traceback.format_exception(type(error), error, step)).rstrip()


def save_notebook(cells):
    """Write the page's cells where `export` looks for the notebook."""
    parts = [
        {"cell_type": "code", "source": cell["source"], "outputs": [], "execution_count": None}
        | {"metadata": {k: cell[k] for k in ("tags", "module") if k in cell}}
        for cell in cells
    ]
    path = BOOK / page["folder"] / f"{page['name']}.ipynb"
    path.write_text(json.dumps({"cells": parts}), encoding="utf-8")


def files():
    """The texts, by path, of what a reader can change: the package's modules, and the progress."""
    paths = [*BOOK.glob("numpygpt/**/*.py"), *BOOK.glob(".progress/*.json")]
    return {p.relative_to(BOOK).as_posix(): p.read_text("utf-8") for p in paths}


def changed():
    """JSON of the files that differ from what the browser has; None for one that is gone."""
    now = files()
    new = {path: text for path, text in now.items() if kept.get(path) != text}
    new |= dict.fromkeys(kept.keys() - now.keys())
    kept.clear()
    kept.update(now)
    return json.dumps(new)


def export(name):
    """`coursekit.export`, and then a look at the modules that it has written."""
    from coursekit.notebook import export as write

    write(name)
    for module in page["modules"]:
        path = BOOK / "numpygpt" / module
        if path.is_file():
            code = html.escape(path.read_text("utf-8"))
            summary = f"<summary>numpygpt/{module} as it stands now</summary>"
            say("html", f'<details class="live-module">{summary}<pre>{code}</pre></details>')


# What the book uses of IPython.


def display(*things, raw=False, **_):
    for thing in things:
        if isinstance(thing, Panel):
            thing.show()
        elif raw and "text/html" in thing:
            say("html", thing["text/html"])
        elif hasattr(thing, "_repr_html_"):
            say("html", thing._repr_html_())
        else:
            say("text", thing["text/plain"] if raw else repr(thing))


def stand_ins():
    """Put what is needed of IPython and ipywidgets in the place of both."""
    import coursekit
    from coursekit import notebook

    coursekit.export = export
    notebook.history = lambda: [text.strip() for text in ran]
    # Matplotlib asks for the shell, and does without one.
    parts = {"get_ipython": lambda: None, "display": types.ModuleType("IPython.display")}
    parts["display"].display = display
    add_module("IPython", parts)
    sys.modules["IPython.display"] = parts["display"]
    kinds = {name: type(name, (Control,), {"kind": kind}) for name, kind in KINDS.items()}
    add_module("ipywidgets", kinds | {"interactive": Panel})


def add_module(name, parts):
    module = types.ModuleType(name)
    vars(module).update(parts)
    sys.modules[name] = module


# What the book uses of ipywidgets: the page shows controls of its own.

KINDS = {
    "IntSlider": "int",
    "FloatSlider": "float",
    "FloatLogSlider": "log",
    "SelectionSlider": "choice",
    "Text": "text",
    "Textarea": "area",
    "Checkbox": "flag",
}
STEPS = {"int": 1, "float": 0.1, "log": 0.1}
LIMITS = {"int": (0, 100), "float": (0.0, 10.0), "log": (0.0, 4.0)}


class Control:
    """One slider, field or box, with the arguments that ipywidgets gives it."""

    kind = "flag"

    def __init__(self, value=None, **options):
        self.options = options
        choices = options.get("options")
        self.value = choices[0] if value is None and choices else value
        self.style, self.layout = types.SimpleNamespace(), types.SimpleNamespace()

    def spec(self, name):
        """What the page needs to know of it."""
        low, high = LIMITS.get(self.kind, (None, None))
        found = {"name": self.options.get("description") or name, "key": name, "kind": self.kind}
        found |= {"value": self.value, "step": self.options.get("step", STEPS.get(self.kind))}
        found |= {"min": self.options.get("min", low), "max": self.options.get("max", high)}
        if self.kind == "choice":
            found["options"] = [str(option) for option in self.options["options"]]
            found["value"] = list(self.options["options"]).index(self.value)
        if self.kind == "log":  # min and max are exponents of 10, the value is not
            import math

            found["value"] = math.log10(self.value)
        return found | {"rows": self.options.get("rows", 3)}

    def take(self, value):
        """Set the value to what the page says: a number, a text, or the place of a choice."""
        if self.kind == "choice":
            value = self.options["options"][int(value)]
        elif self.kind == "log":
            value = 10.0 ** float(value)
        elif self.kind in ("int", "float"):
            value = {"int": int, "float": float}[self.kind](value)
        self.value = value


class Panel:
    """Controls, and what a function of their values draws."""

    def __init__(self, function, **controls):
        self.function = function
        self.controls = {
            name: control if isinstance(control, Control) else Control(control)
            for name, control in controls.items()
        }
        self.children = (*self.controls.values(), None)

    def show(self):
        panels.append(self)
        specs = [control.spec(name) for name, control in self.controls.items()]
        say("panel", json.dumps({"panel": len(panels) - 1, "controls": specs}))
        self.draw()

    def draw(self):
        self.function(**{name: control.value for name, control in self.controls.items()})


def move(number, name, value):
    """Set a control of a panel, and draw again. True if that went well."""
    panel = panels[number]
    try:
        panel.controls[name].take(value)
        panel.draw()
    except Exception as error:
        say("error", as_text(error, ""))
        return False
    finally:
        sys.stdout.flush()
    return True
