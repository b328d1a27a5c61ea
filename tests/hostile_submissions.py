"""Submissions that attack the grader, as data: it must survive them, and give them nothing.

An attack is text put into the answer cell of linear-backward, after a wrong answer, or a
right one; or a change of a notebook that is right but for that task; or what lies in the student's
folder. None of it is ever run outside of the sandbox.
"""

import hashlib
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

RAW = """
import os
def raw(name, data):
    parts = (name.encode(), data)
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    pipe = int(os.environ["COURSEKIT_OUTPUTS"][3:])
    while whole: whole = whole[os.write(pipe, whole):]
"""

LIBC = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
"""


def until_refused(body):
    """Do it again and again, until it is refused or done a hundred thousand times."""
    lines = "".join(f"        {line}\n" for line in body.strip().split("\n"))
    return f"hoard = []\ntry:\n    for n in range(100_000):\n{lines}except (OSError, MemoryError): pass\n"


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
    "an exception that cannot be told": WRONG.replace(
        "    rows",
        "    raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})\n    rows",
        1,
    ),
    "send replaced": WRONG + "import coursekit.checking.record as r\nr.send = lambda *a: None",
    "run replaced": WRONG
    + "import coursekit.checking.record as r\nr.outcomes = lambda *a, **k: []",
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
    # memory and files that are in no process
    "memory in descriptors": WRONG
    + "import os\n"
    + until_refused("hoard.append(os.memfd_create('x'))\nos.write(hoard[-1], b'x' * 50_000_000)"),
    "shared memory of System V": WRONG
    + LIBC
    + until_refused("if libc.shmget(0, 100_000_000, 0o1600) < 0: raise OSError"),
    "shared memory without a file": WRONG
    + "import mmap\n"
    + until_refused(
        "hoard.append(mmap.mmap(-1, 100_000_000))\nhoard[-1].write(b'x' * 100_000_000)"
    ),
    "keys in the kernel": WRONG
    + LIBC
    + until_refused(
        "if libc.syscall(248, b'user', b'k%d' % n, b'x' * 30_000, 30_000, -2) < 0: raise OSError"
    ),
    "messages in queues": WRONG
    + LIBC
    + until_refused("if libc.msgget(0, 0o1600) < 0: raise OSError"),
    "pipes full of bytes": WRONG
    + "import fcntl, os\n"
    + until_refused(
        "r, w = os.pipe()\nfcntl.fcntl(w, 1031, 1 << 20)\nos.write(w, b'x' * (1 << 20))"
    ),
    "sockets full of bytes": WRONG
    + "import socket\n"
    + until_refused(
        "hoard.append(socket.socketpair())\nhoard[-1][0].setblocking(False)\nhoard[-1][0].send(b'x' * 200_000)"
    ),
    "an inode flood in /tmp": WRONG + until_refused("open(f'/tmp/{n}', 'w').close()"),
    "an inode flood in /dev/shm": WRONG + until_refused("open(f'/dev/shm/{n}', 'w').close()"),
    "a flood of folders": WRONG + "import os\n" + until_refused("os.mkdir(f'/tmp/{n}')"),
    "a flood of links": WRONG
    + "import os\n"
    + until_refused("os.symlink('x' * 4000, f'/tmp/{n}')"),
    "names of the greatest length": WRONG
    + until_refused("open('/tmp/' + f'{n:0250}', 'w').close()"),
    "a sparse file of a terabyte": WRONG
    + "try:\n    with open('/tmp/sparse', 'wb') as f:\n        f.seek(1 << 40)\n        f.write(b'x')\nexcept OSError: pass",
    "a device": WRONG
    + "import os\ntry: os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0))\nexcept OSError: pass",
    # other rights, other namespaces
    "a namespace of users": WRONG
    + LIBC
    + "if libc.unshare(0x10020000) == 0: libc.mount(b'none', b'/tmp', b'tmpfs', 0, b'size=3g')",
    "a namespace by clone": WRONG
    + LIBC
    + "if libc.syscall(56, 0x10000011, 0, 0, 0, 0) == 0: os._exit(0)",
    "a clone by the newer call": WRONG
    + LIBC
    + "args = (ctypes.c_ulonglong * 11)()\nif libc.syscall(435, args, 88) == 0: os._exit(0)",
    "/tmp without its limits": WRONG
    + LIBC
    + "libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 32, b'size=100g,nr_inodes=0')",
    "io_uring": WRONG + LIBC + "libc.syscall(425, 8, ctypes.create_string_buffer(256))",
    "limits raised": WRONG
    + "import resource\nfor kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):\n"
    "    try: resource.setrlimit(kind, (-1, -1))\n    except (OSError, ValueError): pass\nhog = []\nwhile True: hog.append(np.ones(10_000_000))",
    "root again": WRONG + "import os\ntry: os.setuid(0)\nexcept OSError: pass\nelse: os._exit(0)",
    "first in every queue": WRONG
    + "import os\ntry: os.nice(-20); os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))\nexcept OSError: pass",
    "another process read": WRONG
    + LIBC
    + "for pid in range(1, 20):\n    libc.ptrace(16, pid, 0, 0)\n    try: open(f'/proc/{pid}/mem', 'rb').close()\n    except OSError: pass",
    "the host through /proc": WRONG
    + "import os\nfor pid in range(1, 20):\n    for name in ('root', 'cwd'):\n"
    "        try: found = os.listdir(f'/proc/{pid}/{name}/work')\n        except OSError: continue\n        open('/tmp/found', 'w').write(str(found))",
    "signals to all": WRONG + "import os\ntry: os.kill(-1, 9)\nexcept OSError: pass",
    "another program in its place": WRONG
    + "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'while True: pass'])",
    # the neighbours' time
    "sixty threads that spin": WRONG + "import threading\ndef spin():\n    while True: pass\n"
    "for n in range(60): threading.Thread(target=spin, daemon=True).start()\nspin()",
    "processes that spin in sessions of their own": WRONG
    + FORGE
    + "import time\nfor n in range(60):\n    try:\n        if os.fork() == 0:\n            os.setsid()\n            while True: pass\n"
    "    except OSError: break\nfor n in range(1000):\n    send(place, '#run 1', None)\n    time.sleep(0.5)",
    "a byte now and then": WRONG
    + FORGE
    + "import time\npipe = int(place[3:])\nwhile True:\n    os.write(pipe, b'x')\n    time.sleep(0.3)",
    "steps that were not taken": WRONG
    + FORGE
    + "import time\nfor n in range(50):\n    send(place, f'#run {n}', None)\n    time.sleep(0.3)",
    "ready again and again": WRONG
    + FORGE
    + "for n in range(500): send(place, '#ready', None)\nwhile True: pass",
    "a number without end": method("return 10 ** 10 ** 9"),
    "an expression without end": WRONG + "import re\nre.match('(a+)+b', 'a' * 64)",
    "multiplication without end": method(
        "big = np.ones((3000, 3000))\nwhile True: big = big @ big"
    ),
    "a signal handler that goes on": WRONG
    + "import signal\nfor s in range(1, 60):\n    try: signal.signal(s, lambda *a: None)\n    except (OSError, ValueError): pass\nwhile True: pass",
    # what is sent
    "a zip archive sent": WRONG
    + RAW
    + "import io, zipfile\nfile = io.BytesIO()\nwith zipfile.ZipFile(file, 'w') as z:\n    z.writestr('skeleton.npy', b'x')\nraw('linear-backward', file.getvalue())",
    "entries that overlap": WRONG
    + RAW
    + "import io, zipfile\nfile = io.BytesIO()\nwith zipfile.ZipFile(file, 'w') as z:\n    for n in range(1600): z.writestr(f'a{n}.npy', b'x' * 700)\n"
    "raw('linear-backward', file.getvalue())",
    "lists of lists of lists": WRONG
    + RAW
    + "import io\nfile = io.BytesIO()\nnp.save(file, np.frombuffer(b'[' + b'[],' * 4_000_000 + b'[]]', np.uint8))\nraw('linear-backward', file.getvalue())",
    "invented names": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, f'{n:x}', 1) for n in range(16_000)]] + [[]] * 17)",
    "one array a thousand times": WRONG
    + RAW
    + "import io, json\nfile = io.BytesIO()\ntext = json.dumps([{'$array': 0}] * 1000).encode()\n"
    "np.save(file, np.frombuffer(text, np.uint8))\nnp.save(file, np.zeros(100_000))\nraw('linear-backward', file.getvalue())",
    "keys that collide": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, 'dx', {n * (2**61 - 1): 0 for n in range(60_000)})]] + [[]] * 17)",
    "a hundred thousand frames": WRONG + RAW + "for n in range(100_000): raw('', b'')",
    "fifteen megabytes of text": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, 'dx', 'x' * 15_000_000)]] + [[]] * 17)",
    "the end announced": WRONG + FORGE + "send(place, '#end', None)\nos._exit(0)",
    "an error of another cell": WRONG
    + FORGE
    + "send(place, '#failed linear-forward', {'kind': 'x', 'message': 'y', 'line': ''})",
    # what is said
    "a class of errors that is a page": WRONG
    + "raise type('E\\n```\\n\\n# 03_linear: 7 of 7 points\\n\\n<script>alert(1)</script>', (Exception,), {})('|x|')",
    "a class of errors that is a page, in the method": method(
        "raise type('E\\n```\\n\\n# 03_linear: 7 of 7 points\\n\\n<img src=//x>', (Exception,), {})"
    ),
    "a result whose name is a page": WRONG
    + FORGE
    + "send(place, 'linear-backward', [[Result(0, 'dx\\n```\\n# 7 of 7 points', 1.0)]] + [[]] * 17)",
    "an error that is a formula": WRONG + "raise ValueError('=HYPERLINK(\"http://x\")')",
    # what counts, counted by somebody else
    "the book searched": method(
        "import os, sys\nfor top in {sys.prefix, sys.base_prefix, '/usr', '/sandbox', '/tmp'}:\n"
        "    for folder, inside, files in os.walk(top):\n"
        "        assert not {'03_linear.ipynb', '03_linear.py'} & set(files), folder\n"
        "        assert not (folder.endswith('numpygpt/nn') and 'linear.py' in files), folder"
    ),
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


def answer_to_text(notebook):
    cell(notebook, "linear-backward")["cell_type"] = "raw"


def metadata_nonsense(notebook):
    cell(notebook, "linear-backward")["metadata"]["nbgrader"] = ["solution", 3]


def source_nonsense(notebook):
    cell(notebook, "linear-backward")["source"] = {"a": 1}


CHANGES = [
    checks_edited, checks_deleted, checks_doubled, checks_to_text, cells_reversed, outputs_forged,
    points_raised, answer_is_check, ids_swapped, answer_to_text, metadata_nonsense,
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


def sparse(folder, right):
    with open(folder / "03_linear.ipynb", "wb") as file:
        file.truncate(12 << 30)


def deep(folder, right):
    place = folder.joinpath(*"abcdefgh")
    place.mkdir(parents=True)
    (place / "03_linear.ipynb").write_text(right)


def many_files(folder, right):
    for number in range(3000):
        (folder / f"{number:04}").touch()


def a_link_to_a_folder(folder, right):
    (folder / "work").symlink_to("../anna")


FOLDERS = {
    "a sparse file": sparse,
    "eight folders deep": deep,
    "three thousand files": many_files,
    "a link to a neighbour's folder": a_link_to_a_folder,
    "ten million lists": bytes_of(b'{"cells": [' + b"[]," * 10_000_000 + b"[]]}"),
    "a number of a million digits": bytes_of(b'{"cells": [' + b"9" * 1_000_000 + b"]}"),
    "sixty-five megabytes": bytes_of(b" " * (65 << 20)),
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
    "李" * 83,
    "🙂" * 63,
    "a|b",
    "a_b-" + hashlib.sha256(b"a|b").hexdigest()[:8],
    "a_b-" + hashlib.sha256(b"a|b").hexdigest()[:16],
    "CON",
    "trailing. ",
    "\u202egnp.exe",
    os.fsdecode(b"\xff\xfe"),
    "+1+cmd|' -C calc'!A0",
    "<script>alert(1)<script>",
    "`#` [x](z) ![y](z)",
]
