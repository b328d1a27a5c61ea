"""Submissions that attack the grader, as data: it must survive them, and give them nothing.

An attack is text put into the answer cell of linear-backward, after a wrong answer, or a
right one; or a change of a notebook that is right but for that task; or what lies in the student's
folder. None of it is ever run outside of the sandbox.
"""

import json
import os
import shutil
import zipfile

WRONG = "@add_to_class(Linear)\ndef backward(self, dy):\n    return dy @ self.W.T\n"
RIGHT = """@add_to_class(Linear)
def backward(self, dy):
    rows = dy.reshape(-1, dy.shape[-1])
    if self.b is not None:
        self.db += rows.sum(axis=0)
    self.dW += self.x.reshape(-1, self.x.shape[-1]).T @ rows
    return dy @ self.W.T
"""


def method(body):
    """An answer whose method does this before it returns something wrong."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    return f"@add_to_class(Linear)\ndef backward(self, dy):\n{lines}    return dy @ self.W.T\n"


FORGE = """
import os, io, numpy as np
from coursekit.checking import wire
from coursekit.checking.cases import Result
from coursekit.checking.record import send
place = os.environ["COURSEKIT_OUTPUTS"]
"""

# What the answer cell of linear-backward holds: the task is never right.
IN_THE_ANSWER = {
    "endless loop in the method": method("while True: pass"),
    "endless loop in the cell": WRONG + "while True: pass",
    "endless loop that catches everything": WRONG
    + "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "sleep": method("import time; time.sleep(10_000)"),
    "fork bomb": method("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    "thread bomb": method(
        "import threading, time\n"
        "while True:\n    threading.Thread(target=time.sleep, args=(999,)).start()"
    ),
    "process bomb": method(
        "import subprocess\nwhile True: subprocess.Popen(['sleep', '999'], start_new_session=True)"
    ),
    "memory hog": method("hog = []\nwhile True: hog.append(np.ones(10_000_000))"),
    "memory hog in many processes": method(
        "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n"
        "        hog = b'x' * 500_000_000\n        time.sleep(999)\ntime.sleep(999)"
    ),
    "a gigabyte to stdout": WRONG + "for _ in range(1024): print('x' * 1_000_000)",
    "a gigabyte to stderr": WRONG
    + "import sys\nfor _ in range(1024): print('x' * 1_000_000, file=sys.stderr)",
    "a gigabyte to every descriptor": WRONG
    + "import os\nfor _ in range(1024):\n    for n in range(20):\n"
    "        try: os.write(n, b'x' * 1_000_000)\n        except OSError: pass",
    "a gigabyte of display": WRONG
    + "from IPython.display import HTML, display\nfor _ in range(300): display(HTML('x' * 4_000_000))",
    "a gigabyte returned": method("return np.zeros((12_000, 12_000))"),
    "a huge array that is none": method("return np.broadcast_to(0.0, (10**6, 10**6))"),
    "a full /tmp": WRONG
    + "try:\n    with open('/tmp/full', 'wb') as f:\n        while True: f.write(b'x' * 1_000_000)\n"
    "except OSError: pass",
    "a full /dev/shm": WRONG
    + "try:\n    with open('/dev/shm/full', 'wb') as f:\n        while True: f.write(b'x' * 1_000_000)\n"
    "except OSError: pass",
    "sys.exit": WRONG + "import sys; sys.exit(0)",
    "os._exit": WRONG + "import os; os._exit(0)",
    "os._exit in the method": method("import os; os._exit(0)"),
    "kill itself": WRONG + "import os; os.kill(os.getpid(), 9)",
    "kill everything": WRONG
    + "import os\nfor n in range(2, 100_000):\n    try: os.kill(n, 9)\n    except OSError: pass",
    "kill the parent": WRONG + "import os; os.kill(os.getppid(), 9)",
    "segmentation fault": method("import ctypes; ctypes.string_at(0)"),
    "stack overflow": method("return self.backward(dy)"),
    "signals ignored": WRONG
    + "import signal\nfor s in (2, 15, 14): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "daemon that stays": WRONG
    + "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        while True: time.sleep(1)\n    os._exit(0)",
    "exit handler that stays": WRONG + "import atexit, time; atexit.register(time.sleep, 10_000)",
    "thread that stays": WRONG
    + "import threading, time; threading.Thread(target=time.sleep, args=(10_000,)).start()",
    "check replaced": WRONG
    + "import coursekit\ncoursekit.check = check = lambda *a: print('right')",
    "send replaced": WRONG + "import coursekit.checking.record as r\nr.send = lambda *a: None",
    "run replaced": WRONG + "import coursekit.checking.record as r\nr.run = lambda *a: []",
    "assert and numpy replaced": WRONG + "import builtins\nbuiltins.all = lambda *a: True\n"
    "np.allclose = np.array_equal = lambda *a, **k: True\nnp.abs = lambda x: 0 * x",
    "pytest replaced": WRONG
    + "import sys, types\nsys.modules['pytest'] = sys.modules['nbval'] = types.ModuleType('pytest')",
    "judge replaced": WRONG + "import coursekit.checking.comparing as c\nc.close = lambda *a: True",
    "outputs forged: zeros": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(k, n, 0.0) for k in range(4) for n in 'y dx dW db'.split()]] * 18)",
    "outputs forged: nan": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(k, n, np.full((2, 2), np.nan)) for k in range(4) for n in 'y dx dW db'.split()]] * 18)",
    "outputs forged: strange types": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, 'error', 5), Result(1, 'y', {'a': [None]})]] * 18)",
    "outputs forged: errors without a kind": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, 'error', {})]])",
    "outputs forged: no list": WRONG + FORGE + "send(place, 'linear-backward', {'right': True})",
    "outputs forged: other task": WRONG + FORGE + "send(place, '../../marks', [[]])",
    "outputs forged: a torn frame": WRONG
    + "import os\nos.write(int(os.environ['COURSEKIT_OUTPUTS'][3:]), (10**15).to_bytes(8, 'big') + b'x')",
    "outputs forged: noise": WRONG
    + "import os\nos.write(int(os.environ['COURSEKIT_OUTPUTS'][3:]), os.urandom(100_000))",
    "outputs forged: #run for ever": WRONG + FORGE + "while True: send(place, '#run 0', None)",
    "outputs forged: #run of no cell": WRONG + FORGE + "send(place, '#run x', None)\nos._exit(0)",
    "the inputs handed back": method("return dy"),
    "solutions read": method(
        "import glob\n"
        "found = glob.glob('/**/solutions/*', recursive=True) + glob.glob('/**/book/*', recursive=True)\n"
        "assert not found, found\nopen('../solutions/03_linear.ipynb')"
    ),
    "the reference called": method(
        "from coursekit.checking.tasks import load_set\n"
        "right = load_set('03_linear').variant_answer('linear-backward')\nreturn right.backward(self, dy)"
    ),
    "/proc searched": method(
        "import glob\nfor path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/maps'):\n"
        "    try: data = open(path, 'rb').read()\n    except OSError: continue\n"
        "    assert b'solutions' not in data and b'submissions' not in data"
    ),
    "stack inspected": method(
        "import gc, sys\nframe = sys._getframe()\nwhile frame:\n"
        "    for value in frame.f_locals.values():\n"
        "        if type(value).__name__ in ('Reference', 'Verdict'): return value.expected\n"
        "    frame = frame.f_back\n"
        "for thing in gc.get_objects():\n"
        "    if type(thing).__name__ == 'Reference': return thing.expected"
    ),
    "the package's own backward": method(
        "from numpygpt.nn import Linear as Own\nreturn Own.backward(self, dy)"
    ),
    "the package's own backward, copied beforehand": (
        "import types, numpygpt.nn.linear as own\ncode = own.Linear.backward.__code__\n"
        + method("return types.FunctionType(code, vars(own))(self, dy)")
    ),
    "numpy replaced by what the cases hold": WRONG
    + "np.asarray = np.array = np.ndarray.__array__ = lambda *a, **k: a[0]\n"
    "np.random.default_rng = lambda *a: np.random.Generator(np.random.PCG64(0))",
    "the cases emptied through the stack": method(
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    case = frame.f_locals.get('case')\n"
        "    if case is not None: case.calls.clear()\n"
        "    cases = frame.f_locals.get('cases') or (frame.f_locals.get('asked') or {}).get('cases')\n"
        "    if cases: cases.clear()\n    frame = frame.f_back"
    ),
    "network": method(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 22), timeout=1)\n"
        "except OSError: pass\nelse: raise SystemExit"
    ),
    "results file written": WRONG
    + "import os\nfor d in ('/', '/sandbox', '/sandbox/job', '/sandbox/library', '..'):\n"
    "    try: open(os.path.join(d, 'marks.csv'), 'w').write('me,7')\n    except OSError: pass",
    "library rewritten": WRONG
    + "import os, coursekit\nfor path, _, files in os.walk(os.path.dirname(coursekit.__file__)):\n"
    "    for f in files:\n        try: os.remove(os.path.join(path, f))\n        except OSError: pass",
    "an array that lies": "class Liar(np.ndarray):\n    def __eq__(self, other): return True\n"
    "    def __sub__(self, other): return np.zeros(1)\n" + method("return (0 * self.x).view(Liar)"),
    "an object that lies": "class Liar:\n    shape = property(lambda self: (_ for _ in ()).throw(SystemExit))\n"
    "    def __array__(self, *a, **k): raise SystemExit\n    def __eq__(self, o): return True\n"
    + method("return Liar()"),
    "an array of objects": method("return np.array([object()] * 3)"),
    "a generator": method("return (i for i in iter(int, 1))"),
    "nested without end": method("a = []\na.append(a)\nreturn a"),
    "an exception with a great message": method(
        "raise ValueError('`' * 3 + '\\n# 7 of 7 points\\n' * 10_000)"
    ),
    "an exception that cannot be shown": "class Bad(Exception):\n    def __str__(self): raise RuntimeError\n"
    + method("raise Bad"),
    "magics and shell": WRONG + '%cd /\n!rm -rf "$HOME" /sandbox\n%%time\n',
    "syntax error": "def backward(self, dy:\n",
    "null byte": "x = '\\0'\n" + WRONG + "\0",
    "lone surrogate": WRONG + "print('\ud800')",
    "empty": "",
}

# Mischief that cannot touch anything: what is right stays right.
RIGHT_ALL_THE_SAME = {
    "right, then a full /tmp": RIGHT
    + "try:\n    with open('/tmp/full', 'wb') as f:\n        while True: f.write(b'x' * 1_000_000)\n"
    "except OSError: pass",
    "right, and prints a lot": RIGHT + "for _ in range(100): print('x' * 1_000_000)",
}


def cell(notebook, grade_id):
    return next(
        c
        for c in notebook["cells"]
        if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id
    )


# Changes of a notebook whose linear-backward is wrong and the rest right.
def checks_edited(notebook):
    for c in notebook["cells"]:
        if c["metadata"].get("nbgrader", {}).get("grade"):
            c["source"] = "print('right')"


def checks_deleted(notebook):
    notebook["cells"] = [
        c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("grade")
    ]


def checks_doubled(notebook):
    notebook["cells"] += [c for c in notebook["cells"] if "points" in str(c["metadata"])]


def checks_to_text(notebook):
    for c in notebook["cells"]:
        if c["metadata"].get("nbgrader", {}).get("grade"):
            c["cell_type"] = "markdown"


def cells_reversed(notebook):
    notebook["cells"].reverse()


def outputs_forged(notebook):
    for c in notebook["cells"]:
        if c["cell_type"] == "code":
            text = ["linear-backward: right\n"]
            c["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}]
            c["execution_count"] = 1


def points_raised(notebook):
    for c in notebook["cells"]:
        if "points" in c["metadata"].get("nbgrader", {}):
            c["metadata"]["nbgrader"]["points"] = 1_000_000


def answer_is_check(notebook):
    cell(notebook, "linear-backward")["metadata"]["nbgrader"]["grade_id"] = "linear-backward-check"


def ids_swapped(notebook):
    a, b = cell(notebook, "linear-backward"), cell(notebook, "linear-shared")
    a["metadata"], b["metadata"] = b["metadata"], a["metadata"]


def two_answers(notebook):
    notebook["cells"].append(dict(cell(notebook, "linear-backward"), source=RIGHT))


def answer_to_text(notebook):
    cell(notebook, "linear-backward")["cell_type"] = "raw"


def metadata_nonsense(notebook):
    cell(notebook, "linear-backward")["metadata"]["nbgrader"] = ["solution", 3]


def source_nonsense(notebook):
    cell(notebook, "linear-backward")["source"] = {"a": 1}


CHANGES = [
    checks_edited, checks_deleted, checks_doubled, checks_to_text, cells_reversed, outputs_forged,
    points_raised, answer_is_check, ids_swapped, two_answers, answer_to_text, metadata_nonsense,
    source_nonsense,
]  # fmt: skip


# Folders that hold no notebook that could be graded: no points at all.
def bytes_of(data):
    return lambda folder, right: (folder / "03_linear.ipynb").write_bytes(data)


def other_assignment(folder, right):
    solved = os.path.join(os.path.dirname(__file__), "..", "solutions", "02_module.ipynb")
    shutil.copy(solved, folder / "03_linear.ipynb")


def no_cells(folder, right):
    (folder / "03_linear.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


def nbformat_3(folder, right):
    (folder / "03_linear.ipynb").write_text(
        json.dumps({"worksheets": [{"cells": []}], "metadata": {}, "nbformat": 3})
    )


def fifty_megabytes(folder, right):
    notebook = json.loads(right)
    notebook["cells"][0]["source"] = "x" * (50 << 20)
    (folder / "03_linear.ipynb").write_text(json.dumps(notebook))


def link_to_solutions(folder, right):
    (folder / "03_linear.ipynb").symlink_to(
        os.path.join(os.path.dirname(__file__), "..", "solutions", "03_linear.ipynb")
    )


def link_to_neighbour(folder, right):
    (folder / "03_linear.ipynb").symlink_to("../anna/03_linear.ipynb")


def a_pipe(folder, right):
    os.mkfifo(folder / "03_linear.ipynb")


def a_folder(folder, right):
    (folder / "03_linear.ipynb").mkdir()


def nothing(folder, right):
    pass


def two_other_names(folder, right):
    (folder / "a.ipynb").write_text(right)
    (folder / "b.ipynb").write_text(right)


def zipped(folder, right):
    with zipfile.ZipFile(folder / "03_linear.ipynb", "w") as archive:
        archive.writestr("03_linear.ipynb", right)


FOLDERS = {
    "invalid JSON": bytes_of(b'{"cells": ['),
    "no bytes": bytes_of(b""),
    "a picture": bytes_of(b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    "not UTF-8": bytes_of(b'{"cells": "\xff\xfe"}'),
    "JSON without end": bytes_of(b"[" * 200_000),
    "a list": bytes_of(b"[1, 2]"),
    "cells that are none": bytes_of(b'{"cells": [1, null, {"metadata": 3}, "x"], "nbformat": 4}'),
    "another assignment": other_assignment,
    "no cells": no_cells,
    "nbformat 3": nbformat_3,
    "fifty megabytes": fifty_megabytes,
    "a link to the solutions": link_to_solutions,
    "a link to a neighbour": link_to_neighbour,
    "a pipe": a_pipe,
    "a folder for a notebook": a_folder,
    "nothing in it": nothing,
    "two with other names": two_other_names,
    "a zip archive": zipped,
}

# Names of students whose work is right: they get all points, and a page of their own.
NAMES = [
    "zoë 中文 🙂",
    "=HYPERLINK(1)",
    "-rf",
    "new\nline",
    "a|b`c",
    "x" * 200,
    "x" * 199 + "y",
    "$(reboot);'\"",
    "a..\\..\\marks.csv",
]
