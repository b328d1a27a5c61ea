"""What we print, on consoles that cannot show all of it; what we read, whatever the locale is."""

import ast
import io
import json
import os
import subprocess
import sys

import pytest
from answers import REPOSITORY, type_in

from coursekit.checking.explaining import Problem
from coursekit.checking.judge import Verdict
from coursekit.checking.tasks import load_set, set_names
from coursekit.environment import environment
from coursekit.files import say

# A console of Windows, as a pipe there; a Linux without any locale.
CONSOLES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "no locale": {"LC_ALL": "C", "PYTHONUTF8": "0"},
}
consoles = pytest.mark.parametrize("console", CONSOLES)


def run(console, *arguments, **options):
    """Run Python as on such a console; what it prints comes as bytes."""
    variables = {"COURSEKIT_PROGRESS": "", "PYTHONPATH": str(REPOSITORY)} | CONSOLES[console]
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, **options)


# Prints texts with the functions that a notebook calls.
PRINTER = """
import json, sys
from unittest import mock
from coursekit import check, hint
from coursekit.checking.check import CheckError
from coursekit.checking.explaining import Problem
from coursekit.checking.judge import Verdict

print(sys.stdout.encoding, flush=True)
for task, hints, messages in json.loads(sys.stdin.readline()):
    for rung in range(len(hints)):
        hint(task, rung + 1)
    for message in messages:
        problem = Problem("dx", message, "at \\u03bc\\u201d", True)
        verdict = Verdict(task, True, ["y"], [problem], 3)
        with mock.patch("coursekit.checking.check.verdict_on", lambda *args: verdict):
            try:
                check(task, None)
            except CheckError:
                pass
"""


@consoles
def test_every_hint_and_every_mistake_can_be_printed(console):
    tasks = [task for name in set_names() for task in load_set(name).tasks.values()]
    texts = [(t.id, t.hints, [v.message for v in t.of_kind("mistake")]) for t in tasks]
    lines = []
    for task, hints, messages in texts:
        lines += [f"Hint {n} of {len(hints)}: {text}" for n, text in enumerate(hints, 1)]
        for message in messages:
            lines += Verdict(task, True, ["y"], [Problem("dx", message, "at μ”", True)], 3).lines()
    assert len(lines) > 2000
    done = run(console, "-c", PRINTER, input=json.dumps(texts).encode())
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    encoding, said = done.stdout.replace(os.linesep.encode(), b"\n").split(b"\n", 1)
    text = "\n".join(lines) + "\n"
    assert said == text.encode(encoding.decode(), "replace") != text.encode()


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp850", "cp932", "latin-1", "utf-8"])
def test_what_a_console_lacks_is_replaced_and_the_rest_is_as_it_was(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    say("dx = γ (dy − mean)", "x̂ ” é é \ud83d")
    stream.flush()
    first, second = stream.buffer.getvalue().decode(encoding).splitlines()
    assert first.startswith("dx = ") and len(first) == len("dx = γ (dy − mean)")
    assert second.startswith("x") and second.endswith("?")


# The command line, for a reader whose notebooks lie elsewhere.
ELSEWHERE = """
import sys
from pathlib import Path
from coursekit.__main__ import main
from coursekit.checking import check_notebook, progress

check_notebook.ROOT = progress.ROOT = Path(sys.argv[1])
progress.exercise_path.__defaults__ = (progress.ROOT,)
sys.exit(main(sys.argv[2:]))
"""


@consoles
def test_a_verdict_that_no_console_shows_in_full_is_told_and_the_next_tasks_are_checked(
    console, tmp_path
):
    tasks = load_set("09_layernorm").tasks
    [mistake] = [v for v in tasks["layernorm-backward"].variants if v.name == "no-xhat"]
    raises = "def variance_backward(*args):\n    raise ValueError('ρ ” \\ud83d')"
    answers = {"layernorm-backward": mistake.source, "variance-backward": raises}
    type_in("09_layernorm", tmp_path / "exercises" / "09_layernorm.ipynb", answers)
    done = run(console, "-c", ELSEWHERE, tmp_path, "check", "09", cwd=tmp_path)
    said = done.stdout.decode("cp1252")
    assert done.returncode == 1 and done.stderr == b""
    assert "variance-backward: not right yet\n    WRONG: raises ValueError" in said
    assert "layernorm-backward: not right yet" in said and "dx WRONG: it lacks x" in said
    assert "  rmsnorm: right, 4 points" in said


@consoles
@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["coursekit", "status"]),
        (0, ["coursekit", "--help"]),
        (0, ["numpygpt", "train", "--help"]),
        (2, ["coursekit", "check", "ρ ”"]),
        (2, ["coursekit", "build", "--root", "ρ ”"]),
        (2, ["numpygpt", "plot", "--out_dir", "ρ ”"]),
        (2, ["numpygpt", "datagen", "ρ ”.txt", "--output_dir", "x"]),
    ],
)
def test_our_programs_end_as_they_do_elsewhere(console, code, arguments, tmp_path):
    done = run(console, "-m", *arguments, cwd=tmp_path)
    assert done.returncode == code and b"Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0) and done.stderr.count(b"\n") == (code == 2)


@consoles
def test_a_mistake_in_the_book_is_told(console, tmp_path):
    page = '# %% tags=["export"] module="one.py"\n"""One. Derived in chapter 1."""\nρ = (1\n'
    (tmp_path / "book" / "chapters").mkdir(parents=True)
    (tmp_path / "book" / "chapters" / "01_one.py").write_text(page, "utf-8")
    done = run(console, "-m", "coursekit", "build", "--root", tmp_path)
    assert done.returncode == 2 and done.stderr == b""
    assert b"01_one, cell 1, line 2: '(' was never closed: ? = (1" in done.stdout


FULL = """
import sys
from coursekit import __main__ as program

program.run_status = lambda options: print("a line, kept in a buffer") or 0
sys.exit(program.main(["status"]))
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
@pytest.mark.parametrize("program", [["-m", "coursekit", "status"], ["-c", FULL]])
def test_output_that_cannot_be_written_is_one_line(program):
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, *program],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env=variables,
        )
    assert (done.returncode, done.stderr) == (2, b"No space left on device\n")


# The processes that we start


def test_a_python_of_ours_knows_no_setting_of_the_users(monkeypatch, tmp_path):
    settings = ["PYTHONWARNINGS", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTEST_ADDOPTS"]
    settings += ["JUPYTER_PATH", "MPLBACKEND", "COVERAGE_PROCESS_START"]
    for name in settings:
        monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("PYTHONPATH", "theirs")
    monkeypatch.setenv("MPLCONFIGDIR", "where fonts are known")
    variables = environment(tmp_path, "first")
    assert "the user's" not in variables.values()
    assert variables["PYTHONPATH"].split(os.pathsep) == ["first", str(REPOSITORY), "theirs"]
    assert variables["PYTHONUTF8"] == "1"
    assert variables["PATH"] and variables["MPLCONFIGDIR"]


SOURCES = sorted(
    path for folder in ("coursekit", "numpygpt") for path in (REPOSITORY / folder).rglob("*.py")
)
STARTS = {"run", "Popen", "check_output", "call", "check_call", "getoutput", "getstatusoutput"}


def calls(path):
    """(the last name of what is called, its keywords, the call) of all calls in a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            yield name, {k.arg: k.value for k in node.keywords}, node


def is_utf8(node):
    return isinstance(node, ast.Constant) and str(node.value).lower() in ("utf-8", "utf8")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_text_of_a_process_is_utf8_and_never_refused(path):
    for name, keywords, node in calls(path):
        module = getattr(getattr(node.func, "value", None), "id", None)
        if module == "subprocess" and name in STARTS or name == "create_subprocess_exec":
            where = f"{path.name}:{node.lineno}: {ast.unparse(node)}"
            assert not keywords.keys() & {"text", "universal_newlines"}, f"no encoding: {where}"
            if "encoding" in keywords:
                assert is_utf8(keywords["encoding"]) and "errors" in keywords, where


# Only on Linux, and what is read and written there is the kernel's ASCII.
LINUX = REPOSITORY / "coursekit" / "grading"


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parent != LINUX],
    ids=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
def test_text_of_a_file_is_utf8(path):
    for name, keywords, node in calls(path):
        where = f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        module = getattr(getattr(node.func, "value", None), "id", None)
        if name in ("read_text", "write_text") and isinstance(node.func, ast.Attribute):
            assert any(map(is_utf8, [*node.args, *keywords.values()])), where
        elif (module, name) in [(None, "open"), ("io", "open"), ("os", "fdopen")]:
            mode = [*node.args[1:2], *(v for k, v in keywords.items() if k == "mode")]
            binary = mode and "b" in str(getattr(mode[0], "value", ""))
            assert binary or is_utf8(keywords.get("encoding")), where
