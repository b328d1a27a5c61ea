"""The Makefile's set-up, with a stand-in for Python that writes down what it is asked to do."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="on Windows the book is set up with pip")

# Answers as Python 3.11 would, and makes a .venv with a copy of itself. A file named `old`,
# `broken` or `killed` in the folder makes it too old, or makes pip fail or die on the way.
PYTHON = """#!/bin/sh
echo "$*" >> calls
case "$*" in
  *version_info*) test ! -e old ;;
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"pip install"*)
    touch .venv/half
    if [ -e killed ]; then kill -9 $PPID $$; fi
    test ! -e broken && rm .venv/half ;;
  *--version*) echo Python 3.11.0 ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a reader's book"
    folder.mkdir()
    for name in ["Makefile", "pyproject.toml", "constraints.txt"]:
        shutil.copy(ROOT / name, folder)
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    return folder


# Stands in for uv: with a file named `uv-broken` in the folder it fails.
UV = """#!/bin/sh
echo "uv $*" >> calls
test ! -e uv-broken
"""


def make(folder, *arguments, uv=""):
    # These tests may run inside `make test`, whose own settings are no part of them.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "PYTHON=./python", f"UV={uv}", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )


def calls(folder):
    """What Python was asked to do since the last time."""
    lines = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
    (folder / "calls").write_text("")
    wanted = ("-m venv", "-m numpygpt", "-m pip install", "uv ")
    return [line for line in lines if line.startswith(wanted)]


INSTALL = "-m pip install -qq --disable-pip-version-check -c constraints.txt -e .[dev]"


def test_make_alone_explains_and_does_nothing(folder):
    run = make(folder)
    assert run.returncode == 0
    assert "make setup" in run.stdout
    assert "make train" in run.stdout and "make lab" in run.stdout and "make test" in run.stdout
    assert calls(folder) == []


def test_set_up_happens_once(folder):
    first, second = make(folder, "train", "ARGS=--max_iters 5"), make(folder, "train")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "setting up .venv with Python 3.11.0, about a minute, once" in first.stdout
    assert "setting up" not in second.stdout
    train = "-m numpygpt train"
    assert calls(folder) == ["-m venv .venv", INSTALL, train + " --max_iters 5", train]


@pytest.mark.parametrize("broken", [False, True])
def test_uv_is_used_where_it_is_and_pip_where_it_fails(folder, broken):
    (folder / "uv").write_text(UV)
    (folder / "uv").chmod(0o755)
    if broken:
        (folder / "uv-broken").touch()
    run = make(folder, "setup", uv="./uv")
    assert run.returncode == 0, run.stderr
    by_uv = "uv pip install -q --python .venv/bin/python -c constraints.txt -e .[dev]"
    assert calls(folder) == ["-m venv .venv", by_uv] + [INSTALL] * broken
    assert ("uv could not do it: trying pip" in run.stdout) == broken
    (folder / "broken").touch()
    os.utime(folder / "pyproject.toml")  # newer than the set-up
    os.utime(folder / ".venv/.installed", (1, 1))
    assert make(folder, "setup", uv="./uv").returncode == (2 if broken else 0)


def test_make_lab_opens_the_book_on_the_port_that_is_asked_for(folder):
    assert make(folder, "lab", "PORT=9000", "ARGS=--no-browser").returncode == 0
    assert (folder / "calls").read_text().endswith("-m coursekit.lab --port=9000 --no-browser\n")


def test_two_targets_at_a_time_share_one_set_up(folder):
    assert make(folder, "-j4", "train", "lab", "check-build").returncode == 0
    assert calls(folder).count(INSTALL) == 1


@pytest.mark.parametrize("trouble", ["killed", "broken"])
def test_an_interrupted_set_up_starts_again(folder, trouble):
    (folder / trouble).touch()
    assert make(folder, "setup").returncode == 2
    assert (folder / ".venv" / "half").exists() and calls(folder) == ["-m venv .venv", INSTALL]
    (folder / trouble).unlink()

    run = make(folder, "setup")
    assert run.returncode == 0, run.stderr
    assert "starting again" in run.stdout
    assert calls(folder) == ["-m venv .venv", INSTALL]
    assert sorted(path.name for path in (folder / ".venv").iterdir()) == [".installed", "bin"]


def test_new_requirements_are_added_to_the_same_environment(folder):
    make(folder, "setup")
    os.utime(folder / ".venv" / ".installed", (1, 1))  # older than pyproject.toml
    calls(folder)
    assert make(folder, "setup").returncode == 0
    assert calls(folder) == [INSTALL]


def test_a_moved_folder_is_set_up_again(folder):
    make(folder, "setup")
    moved = folder.rename(folder.parent / "moved")
    calls(moved)
    run = make(moved, "train")
    assert run.returncode == 0 and "moved: starting again" in run.stdout
    assert calls(moved) == ["-m venv .venv", INSTALL, "-m numpygpt train"]


def test_an_environment_of_another_folder_is_left_alone(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".installed").write_text("the other folder\n")
    (folder / ".venv").symlink_to(tmp_path / "other")
    run = make(folder, "setup")
    assert run.returncode != 0 and "make: .venv is a link" in run.stderr
    assert os.listdir(tmp_path / "other") == [".installed"] and calls(folder) == []


def test_the_reader_s_own_environment_is_kept(folder):
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(folder / "python", folder / ".venv" / "bin")
    (folder / ".venv" / "mine").touch()
    assert make(folder, "setup").returncode == 0
    assert calls(folder) == [INSTALL] and (folder / ".venv" / "mine").exists()


def test_an_old_python_is_named_and_nothing_is_made(folder):
    (folder / "old").touch()
    run = make(folder, "train")
    assert run.returncode == 2
    assert "make: PYTHON=./python: not there, or older than Python 3.11\n" in run.stderr
    assert not (folder / ".venv").exists()


def test_the_oldest_python_is_that_of_pyproject(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    major, minor = project["requires-python"].removeprefix(">=").split(".")
    assert f"sys.version_info < ({major}, {minor})" in (folder / "Makefile").read_text()


def test_a_failed_step_fails_make_test(folder):
    make(folder, "setup")
    fake = PYTHON.replace("case ", 'case "$*" in *"ruff check"*) exit 1;; esac\ncase ')
    (folder / ".venv" / "bin" / "python").write_text(fake)
    assert make(folder, "test").returncode == 2
    (folder / ".venv" / "bin" / "python").write_text(PYTHON)
    assert make(folder, "test").returncode == 0
