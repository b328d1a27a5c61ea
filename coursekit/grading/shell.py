"""The IPython that runs a student's cells in the sandbox, where there is no Jupyter around it.

What a notebook allows and an answer does not need must not cost the answer: figures in the page,
magics of every kind, commands to the system. They do nothing here, and the cell goes on.
"""

import contextlib

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import LSString, SList
from traitlets.config import Config

# Cell magics whose text is not Python.
OTHER_LANGUAGES = {
    *("bash", "sh", "script", "cmd", "perl", "ruby", "pypy", "python2", "js", "javascript"),
    *("html", "HTML", "SVG", "svg", "latex", "markdown", "writefile", "file", "system", "sx", "!"),
}
PASSED_ON = {"time", "timeit", "capture", "prun"}  # IPython's own, which run the cell's Python


class Lenient:
    """Part of a shell in which nothing but Python can fail."""

    def system(self, command):
        self.user_ns["_exit_code"] = 1

    system_raw = system_piped = system

    def getoutput(self, command, split=True, depth=0):
        return SList() if split else LSString("")

    def run_line_magic(self, magic_name, line, _stack_depth=1):
        with contextlib.suppress(Exception):
            # Found one step further from the student's frame than IPython counts.
            return super().run_line_magic(magic_name, line, _stack_depth + 1)

    def run_cell_magic(self, magic_name, line, cell):
        if magic_name in OTHER_LANGUAGES:
            return None
        if magic_name in PASSED_ON and cell.strip():
            return super().run_cell_magic(magic_name, line, cell)
        # One that is not known here ran the cell's Python at home.
        return self.run_cell(cell, store_history=False).raise_error()


class Shell(Lenient, InteractiveShell):
    """The shell of the runner, with no kernel and no page for figures."""

    def enable_gui(self, gui=None):
        """Figures go nowhere: MPLBACKEND is agg."""

    def enable_matplotlib(self, gui=None):
        return gui, "agg"

    def ask_exit(self):
        """`quit()` ends a kernel after its cell; here the next cell is another task's."""

    @property
    def kernel(self):
        return Nothing()


class Nothing:
    """Stands for what is not here: whatever is asked of it, it is nothing again."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        return self


def new_shell():
    config = Config()
    config.HistoryManager.enabled = False
    return Shell.instance(config=config)
