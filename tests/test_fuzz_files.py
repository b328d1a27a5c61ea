"""Damaged files of every kind: the commands that read them say so in one line, at once."""

import os
import shutil
import sys
import time
import warnings

import pytest
from damaged_files import make_files, tries

from numpygpt.cli import main

ALL = tries()
# Here every fifth; with FUZZ=all in the environment all of them, some minutes.
SHARE = ALL if os.environ.get("FUZZ") == "all" else ALL[::5]
MEMORY = 1 << 30  # bytes that a command may ask for on top of what we have
SECONDS = 5  # of the processor


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    before = os.getcwd()
    os.chdir(folder)
    make_files()
    os.chdir(before)
    return folder


@pytest.fixture
def little_memory():
    """Let a command fail that asks for much more memory than its files can need."""
    if sys.platform != "linux":
        yield
        return
    import resource

    with open("/proc/self/statm") as file:
        ours = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ours + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def names(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_there_are_hundreds_of_tries_and_no_two_are_the_same():
    assert len(ALL) > 600 and len({t.name for t in ALL}) == len(ALL)


@pytest.mark.parametrize("one", SHARE, ids=lambda t: t.name)
def test_a_damaged_file_is_one_line(files, tmp_path, monkeypatch, capsys, little_memory, one):
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    one.damage(*one.arguments)
    for command in one.commands:
        there = names(folder)
        capsys.readouterr()
        start = time.process_time()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")  # a reader would see them on the terminal
            code = main(command)
        seconds = time.process_time() - start
        err = capsys.readouterr().err
        assert code in (0, 2), err
        assert err.count("\n") == (code == 2), err
        assert err[:-1].isprintable() and len(err) < 1000
        assert not warned, warned[0].message
        assert seconds < SECONDS, f"{seconds:.1f} s: {err}"
        left = {path.name for path in names(folder) - there}
        if code == 2:
            assert there <= names(folder) and left <= {"metrics.jsonl.bad"}, left
