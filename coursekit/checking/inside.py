"""Running a set's cells in this process, much as a kernel would run them: for `adopt`.

A cell that fails leaves the next ones alone. Of IPython there is what an answer may need: magics
that run code run it, and all others do nothing.
"""

import contextlib
import io
import linecache
import os
import sys
import warnings
from unittest import mock

import numpy as np

import coursekit
from coursekit.checking.definitions import python
from coursekit.checking.whose import described
from coursekit.source import answer_lines

# Cell magics whose text is not Python.
OTHER_LANGUAGES = {
    *("bash", "sh", "script", "cmd", "perl", "ruby", "js", "javascript", "html", "HTML", "SVG"),
    *("svg", "latex", "markdown", "writefile", "file", "system", "sx", "!"),
}


def run_cells(exercises, sources, folder, check):
    """Run the cells of a set with a reader's answers in them.

    Args:
        exercises: the set.
        sources: answer cells by task id; those of other tasks are ours.
        folder: where they run.
        check: called for each check cell with (task, answer, all names so far).

    Returns:
        {task: how its cell failed, as from `described`}, of the answers that did.
    """
    names = {"__name__": "__main__", "display": nothing}
    shell, failed = Shell(names), {}
    names["get_ipython"] = lambda: shell
    with as_in_a_kernel(folder):
        for index, cell in enumerate(exercises.page.cells):
            if cell["cell_type"] != "code":
                continue
            task = cell["metadata"].get("answer")
            own = "\n".join(answer_lines(cell["source"], exercises.page, index, answers=True))
            try:
                execute(sources.get(task, own), f"<{exercises.name}, cell {index + 1}>", names)
            except (Exception, SystemExit) as error:
                if at := task or cell["metadata"].get("check"):
                    failed.setdefault(at, described(error))
            if task is None and names.get("check") is coursekit.check:
                names["check"] = lambda task, answer: check(task, answer, names)
    return failed


def execute(source, name, names):
    """Run one cell; its errors can show its lines."""
    source = python(source)
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec", dont_inherit=True), names)


@contextlib.contextmanager
def as_in_a_kernel(folder):
    """What a kernel does for a notebook, undone at the end; what is printed is nobody's to read."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO()))
        stack.enter_context(mock.patch.object(sys, "path", [str(folder), *sys.path]))
        stack.enter_context(mock.patch.dict(os.environ, {"COURSEKIT_PROGRESS": ""}))
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(np.errstate())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def nothing(*args, **kwargs):
    """Stands for what is not here."""


class Shell:
    """What get_ipython() gives."""

    def __init__(self, names):
        self.user_ns = names

    def run_line_magic(self, name, line, **_):
        if name == "pylab":
            from IPython.core.pylabtools import import_pylab

            import_pylab(self.user_ns)
        elif name in ("time", "prun"):
            execute(line, f"<%{name}>", self.user_ns)

    def run_cell_magic(self, name, line, cell):
        if name not in OTHER_LANGUAGES:
            execute(cell, f"<%%{name}>", self.user_ns)

    def getoutput(self, *args, **kwargs):
        return []

    def __getattr__(self, name):
        return Nothing()


class Nothing:
    """Stands for a part of IPython that is not here: whatever is asked of it, it is nothing."""

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self
