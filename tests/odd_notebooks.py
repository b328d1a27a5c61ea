"""A hundred honest notebooks of odd origin, as data: what editors, formats and habits make of one.

Each entry is what is typed into the answer cell of linear-backward, a change of the notebook, or of
the files around it. All of them are right, or wrong for a reason that the page must name.
"""

import copy
import json

import numpy as np
from hostile_submissions import RIGHT as ANSWER

NAME = "03_linear.ipynb"

# Typed into the answer cell: right, and it stays so.
TYPED = {
    "inline figures": "%matplotlib inline\n" + ANSWER,
    "figures in widgets": "%matplotlib widget\n" + ANSWER,
    "figures in notebooks": "%matplotlib notebook\n" + ANSWER,
    "figures as they come": "%matplotlib\n" + ANSWER,
    "figures of qt": "%matplotlib qt\n" + ANSWER,
    "pylab": "%pylab inline\n" + ANSWER,
    "sharp figures": "%config InlineBackend.figure_format = 'retina'\n" + ANSWER,
    "pip by magic": "%pip install numpy\n" + ANSWER,
    "conda by magic": "%conda install numpy\n" + ANSWER,
    "pip by shell": "!pip install numpy\n" + ANSWER,
    "pip in quiet": "!pip -q install numpy > /dev/null 2>&1\n" + ANSWER,
    "a listing kept": "files = !ls\n" + ANSWER + "print(files)\n",
    "a folder changed": "%cd ..\n" + ANSWER,
    "a shell at the end": ANSWER + "!ls -la\n",
    "timed as a cell": "%%time\n" + ANSWER,
    "captured": "%%capture\n" + ANSWER,
    "captured by name": "%%capture said\n" + ANSWER,
    "a line timed": ANSWER + "%time backward\n",
    "a line timed again and again": ANSWER + "%timeit -n 2 -r 2 sum(range(3))\n",
    "reloading": "%load_ext autoreload\n%autoreload 2\n" + ANSWER,
    "an extension of home": "%load_ext nb_black\n" + ANSWER,
    "a cell magic of home": "%%nb_black\n" + ANSWER,
    "another cell magic of home": "%%tracked --name x\n" + ANSWER,
    "a magic that nobody knows": "%frobnicate 3\n" + ANSWER,
    "variables of the environment": "%env SEED=3\n" + ANSWER,
    "the names listed": ANSWER + "%whos\n",
    "precision": "%precision 3\n" + ANSWER,
    "history": ANSWER + "%history -n 1\n",
    "a script run": "%run setup_of_mine.py\n" + ANSWER,
    "a script loaded": "%load utils.py\n" + ANSWER,
    "debugging left": ANSWER + "%debug\n",
    "xmode": "%xmode Verbose\n" + ANSWER,
    "help asked": ANSWER + "Linear.backward?\n",
    "the source asked": ANSWER + "Linear??\n",
    "the kernel asked": "get_ipython().kernel.session\n" + ANSWER,
    "magics through the function": "get_ipython().run_line_magic('matplotlib', 'inline')\n"
    + ANSWER,
    "the system through the function": "get_ipython().system('ls')\n" + ANSWER,
    "a shell by os": "import os\nos.system('clear')\n" + ANSWER,
    "quit": ANSWER + "quit()\n",
    "exit": ANSWER + "exit\n",
    "a hint": 'hint("linear-backward")\n' + ANSWER,
    "a hint of its number": 'from coursekit import hint\nhint("linear-backward", 2)\n' + ANSWER,
    "the status": "from coursekit import status\nstatus()\n" + ANSWER,
    "prints": 'print("here")\n' + ANSWER + 'print("done", Linear)\n',
    "prints inside": ANSWER.replace("    rows", '    print("shape", dy.shape)\n    rows', 1),
    "prints to stderr": "import sys\nprint('here', file=sys.stderr)\n" + ANSWER,
    "a value shown": ANSWER + "backward\n",
    "html shown": "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\n" + ANSWER,
    "the page cleared": "from IPython.display import clear_output\nclear_output(wait=True)\n"
    + ANSWER,
    "a plot": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n" + ANSWER,
    "a figure shown": "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nfig\n" + ANSWER,
    "a slider": "import ipywidgets\nipywidgets.IntSlider(3)\n" + ANSWER,
    "a bar of progress": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass\n" + ANSWER,
    "a bar in the notebook": "from tqdm.notebook import tqdm\n" + ANSWER,
    "a warning": "import warnings\nwarnings.warn('careful')\n" + ANSWER,
    "warnings off": "import warnings\nwarnings.filterwarnings('ignore')\n" + ANSWER,
    "a seed": "np.random.seed(0)\n" + ANSWER,
    "options of print": "np.set_printoptions(precision=3, suppress=True)\n" + ANSWER,
    "errors of numpy raised": "np.seterr(all='raise')\n" + ANSWER,
    "type hints": ANSWER.replace("dy):", 'dy: "np.ndarray") -> "np.ndarray":'),
    "tabs": ANSWER.replace("    ", "\t"),
    "Windows' lines": ANSWER.replace("\n", "\r\n"),
    "old Macintosh's lines": ANSWER.replace("\n", "\r"),
    "a form feed": "\f" + ANSWER,
    "no newline at the end": ANSWER.rstrip(),
    "blank lines": "\n\n\n" + ANSWER + "\n\n\n",
    "spaces at the ends": ANSWER.replace("\n", "   \n"),
    "Greek names": ANSWER.replace("rows", "ρ_строки"),
    "comments in Chinese": "# 反向传播\n" + ANSWER,
    "an emoji in a comment": "# 🙂\n" + ANSWER,
    "a docstring": ANSWER.replace(":\n    rows", ':\n    r"""\\dW = xᵀ dy"""\n    rows', 1),
    "a helper": "def flat(a):\n    return a.reshape(-1, a.shape[-1])\n"
    + ANSWER.replace("dy.reshape(-1, dy.shape[-1])", "flat(dy)"),
    "an assertion": ANSWER + "assert callable(backward)\n",
    "a future": "from __future__ import annotations\n" + ANSWER,
    "the solution's marks kept": "### BEGIN SOLUTION\n" + ANSWER + "### END SOLUTION\n",
    "a try of my own": ANSWER + "layer = Linear(2, 3, rng=np.random.default_rng(0))\n",
    "numpy again": "import numpy as np, numpy\n" + ANSWER,
    "a thread in the method": ANSWER.replace(
        "    rows",
        "    import threading\n    t = threading.Thread(target=print)\n    t.start()\n    t.join()\n    rows",
        1,
    ),
    "arrays counted by the collector": "import gc\nprint(sum(isinstance(o, np.ndarray) for o in "
    "gc.get_objects()))\n" + ANSWER,
    "checked in its own cell": ANSWER + 'check("linear-backward", Linear)\n',
    "checked too early": 'try:\n    check("linear-backward", Linear)\nexcept Exception:\n    pass\n'
    + ANSWER,
    "a wrong try, checked, then the right one": ANSWER.replace("+=", "=")
    + 'check("linear-backward", Linear)\n'
    + ANSWER,
    "a helper named check": "def check(a, b):\n    assert a.shape == b.shape\n"
    + ANSWER.replace("    rows", "    check(dy, dy)\n    rows", 1),
    "the book's own, never called": "from numpygpt.nn import Linear as Ref\n" + ANSWER,
    "the optimizers of later chapters": "from numpygpt.optim import *\n" + ANSWER,
    "the user's name": "import getpass\nprint(getpass.getuser())\n" + ANSWER,
    "an error after it": ANSWER + "1 / 0\n",
    "a file of home after it": ANSWER + "open('notes.txt')\n",
    "input after it": ANSWER + "input('go on? ')\n",
}

# Typed into the answer cell, and not right here: what the page must say.
SAID = {
    "an import of home": ("import torch_of_home\n" + ANSWER, "No module named 'torch_of_home'"),
    "the book's own": (
        "from numpygpt.nn import Linear as Own\nOwn(2, 3)\n" + ANSWER, "calls numpygpt's own version",
    ),
    "a file of home": ("text = open('../data/mine.txt').read()\n" + ANSWER, "FileNotFoundError"),
    "an input": ("n = int(input('n? '))\n" + ANSWER, "EOFError"),
    "a bracket": (ANSWER.replace("(axis=0)", "(axis=0"), "SyntaxError"),
    "an indent": (ANSWER.replace("    rows", "  rows", 1), "IndentationError"),
    "a name of another cell": ("helper_of_another_cell()\n" + ANSWER, "NameError: name 'helper_of_another_cell'"),
    "an assertion that fails": ("assert 1 == 2, 'my own test'\n" + ANSWER, "AssertionError: my own test"),
    "Python 2": ("print 'here'\n" + ANSWER, "SyntaxError"),
    "the end of it all": ("raise SystemExit\n" + ANSWER, "SystemExit"),
}  # fmt: skip


def answer_cell(notebook):
    return next(
        cell
        for cell in notebook["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "linear-backward"
    )


def after_it(notebook, *sources):
    """Put copies of the answer cell, with other text in them, after it, as an editor does."""
    cell = answer_cell(notebook)
    at = notebook["cells"].index(cell)
    copies = [dict(copy.deepcopy(cell), source=source) for source in sources]
    notebook["cells"][at + 1 : at + 1] = copies


def split(notebook, *sources):
    cell = answer_cell(notebook)
    cell["source"] = sources[0]
    after_it(notebook, *sources[1:])


def halved(notebook, kind, *sources):
    """The first part of the answer cell becomes notes; the others stay what they are."""
    split(notebook, "The sum over rows", *sources)
    answer_cell(notebook)["cell_type"] = kind


def colab(notebook):
    notebook["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3"}}
    for cell in notebook["cells"]:
        cell["metadata"]["id"] = cell.pop("id", "x")


def vscode(notebook):
    notebook["metadata"] = {"kernelspec": {"display_name": ".venv (3.12)", "name": "my-env"}}
    for cell in notebook["cells"]:
        cell["metadata"]["vscode"] = {"languageId": "python"}


def minor(number):
    def change(notebook):
        notebook["nbformat_minor"] = number
        for cell in notebook["cells"]:
            cell.pop("id", None)

    return change


def one_text(notebook):
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])


def lists_of_lines(notebook):
    one_text(notebook)
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def run_and_saved(notebook):
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["x\n"] * 50}]


def a_picture(notebook):
    data = {"image/png": "A" * (30 << 20)}
    cell = {"cell_type": "markdown", "metadata": {}, "source": "![x](attachment:x.png)"}
    notebook["cells"].insert(0, cell | {"attachments": {"x.png": data}})


def a_plot_of_numbers(notebook):
    numbers = list(np.round(np.random.default_rng(0).normal(size=1_500_000), 3))
    data = {"application/vnd.plotly.v1+json": {"data": [{"y": numbers}]}, "text/plain": "Figure"}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    cell = {"cell_type": "code", "metadata": {}, "source": "plot()", "execution_count": 1}
    notebook["cells"].insert(2, cell | {"outputs": [output]})


def printed_numbers(notebook):
    text = ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10, [11], {12}\n"] * 200_000
    output = {"output_type": "stream", "name": "stdout", "text": text}
    cell = {"cell_type": "code", "metadata": {}, "source": "print()", "execution_count": 1}
    notebook["cells"].insert(2, cell | {"outputs": [output]})


def more_cells(notebook):
    for source in ("%matplotlib inline", "raise ValueError", "x = 1"):
        cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
        notebook["cells"].insert(2, cell | {"execution_count": None})


# A change of a notebook that is right: its points for the task, and what the page must say.
CHANGED = {
    "Colab": (colab, 3, ""),
    "VS Code": (vscode, 3, ""),
    "nbformat 4.0": (minor(0), 3, ""),
    "nbformat 4.4": (minor(4), 3, ""),
    "nbformat 4.9": (minor(9), 3, ""),
    "lists of lines": (lists_of_lines, 3, ""),
    "a text for each cell": (one_text, 3, ""),
    "run and saved": (run_and_saved, 3, ""),
    "a picture of thirty megabytes": (a_picture, 3, ""),
    "more cells": (more_cells, 3, ""),
    "a plot of a million numbers": (a_plot_of_numbers, 3, ""),
    "millions of printed numbers": (printed_numbers, 3, ""),
    "right, wrong, and right again": (
        lambda n: split(n, ANSWER, ANSWER.replace("+=", "="), ANSWER), 3, "3 cells hold",
    ),
    "cells in another order": (lambda notebook: notebook["cells"].reverse(), 3, ""),
    "the cell copied": (lambda n: after_it(n, answer_cell(n)["source"]), 3, ""),
    "the cell copied, blank": (
        lambda n: after_it(n, n["blank"]), 3, "",
    ),
    "the cell split before a comment": (lambda n: split(n, ANSWER, "# and that is all"), 3, ""),
    "the cell split after its helper": (
        lambda n: split(n, "def flat(a):\n    return a.reshape(-1, a.shape[-1])",
                        ANSWER.replace("dy.reshape(-1, dy.shape[-1])", "flat(dy)")),
        3, "2 cells hold its answer: they are run in order",
    ),
    "a try in a copy before it": (lambda n: split(n, "1 + 1", ANSWER), 3, "2 cells hold"),
    "three parts": (lambda n: split(n, "a = 1", "b = 2", ANSWER), 3, "3 cells hold"),
    "a second answer, which counts": (
        lambda n: split(n, ANSWER.replace("+=", "="), ANSWER), 3, "2 cells hold",
    ),
    "an answer, then a wrong one": (
        lambda n: split(n, ANSWER, ANSWER.replace("+=", "=")), 0, "2 cells hold",
    ),
    "a draft that fails, in a copy before it": (lambda n: split(n, "rows = dy.reshape(", ANSWER), 3, "2 cells hold"),
    "a draft that raises, before it": (lambda n: split(n, "1 / 0", ANSWER), 3, "2 cells hold"),
    "a half turned to text": (lambda n: halved(n, "markdown", ANSWER), 3, ""),
    "a half turned to raw text": (lambda n: halved(n, "raw", ANSWER), 3, ""),
    "all of it text": (lambda n: halved(n, "markdown"), 0, "no longer a code cell"),
    "metadata taken away": (
        lambda n: [cell.update(metadata={}) for cell in n["cells"]], 0, "lost their metadata",
    ),
}  # fmt: skip


def files(**kinds):
    """Write a notebook's text under some names, and other files beside it."""

    def build(folder, text):
        for name, content in kinds.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(text) if callable(content) else content)

    return build


def as_text(encoding, before=b""):
    return lambda text: before + text.encode(encoding)


utf8 = as_text("utf-8")


def with_a_link(folder, text):
    (folder / NAME).symlink_to("nowhere")
    (folder / "submitted.ipynb").write_text(text, "utf-8")


# What lies in the folder: the points for the task, and what the page must say.
FILES = {
    "a BOM": (files(**{NAME: as_text("utf-8-sig")}), 3, ""),
    "UTF-16": (files(**{NAME: as_text("utf-16")}), 3, ""),
    "UTF-16, big end first": (files(**{NAME: as_text("utf-16-be", b"\xfe\xff")}), 3, ""),
    "UTF-32": (files(**{NAME: as_text("utf-32")}), 3, ""),
    "Latin-1": (files(**{NAME: lambda text: text.encode().replace("é".encode(), b"\xe9")}), 0, "not UTF-8"),
    "pretty JSON": (files(**{NAME: lambda t: json.dumps(json.loads(t), indent=4).encode()}), 3, ""),
    "signs as escapes": (files(**{NAME: lambda t: json.dumps(json.loads(t)).encode("ascii")}), 3, ""),
    "lines of Windows in the file": (
        files(**{NAME: lambda t: json.dumps(json.loads(t), indent=1).replace("\n", "\r\n").encode()}), 3, "",
    ),
    "an upper-case ending": (files(**{"03_linear.IPYNB": utf8}), 3, ""),
    "upper case all over": (files(**{"03_LINEAR.IPYNB": utf8}), 3, ""),
    "another name": (files(**{"my homework.ipynb": utf8}), 3, ""),
    "my name before it": (files(**{"smith_03_linear.ipynb": utf8, "notes.ipynb": utf8}), 3, ""),
    "a second download": (files(**{"03_linear (1).ipynb": utf8}), 3, ""),
    "two downloads": (files(**{NAME: utf8, "03_linear (1).ipynb": utf8}), 3, "03_linear (1).ipynb was not graded"),
    "a checkpoint of Jupyter": (
        files(**{NAME: utf8, f".ipynb_checkpoints/{NAME}": b"old"}), 3, "",
    ),
    "a Macintosh's shadow": (files(**{"my work.ipynb": utf8, "._my work.ipynb": b"\0\5\26\7"}), 3, ""),
    "a Macintosh's archive": (files(**{NAME: utf8, f"__MACOSX/._{NAME}": b"\0\5"}), 3, ""),
    "a folder deeper": (files(**{f"submission/{NAME}": utf8}), 3, ""),
    "four folders deeper": (files(**{f"a/b/c/d/{NAME}": utf8}), 3, ""),
    "as a browser saves text": (files(**{f"{NAME}.txt": utf8}), 3, ""),
    "as a browser saves JSON": (files(**{f"{NAME}.json": utf8, "data.json": b"[]"}), 3, ""),
    "as a mail program names it": (files(**{"03_linear.ipynb (1).txt": utf8}), 3, ""),
    "a download that was not renamed": (files(**{f"{NAME}.download": utf8}), 3, ""),
    "as plain JSON": (files(**{"03_linear.json": utf8, "data.json": b"[]"}), 3, ""),
    "a folder of its name beside it": (files(**{f"{NAME}/readme": b"x", "mine.ipynb": utf8}), 3, ""),
    "a link of its name beside it": (with_a_link, 3, ""),
    "behind three thousand files": (
        lambda folder, text: files(**{f"{n}.png": b"" for n in range(3000)}, **{f"z/{NAME}": utf8})(folder, text),
        3, "",
    ),
    "other files beside it": (
        files(**{NAME: utf8, "data.csv": b"1,2", "Thumbs.db": b"x", ".DS_Store": b"x"}), 3, "",
    ),
}  # fmt: skip
