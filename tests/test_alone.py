"""Each chapter runs alone: a fresh kernel, and only the modules that earlier chapters exported."""

import os
import shutil
import time

import nbformat
import pytest
from answers import REPOSITORY
from nbclient import NotebookClient

from coursekit.source import read_page

CHAPTERS = [path.stem for path in sorted((REPOSITORY / "book" / "chapters").glob("*.py"))]
# Chapter 19 exports nothing and trains for minutes: nbval runs it.
LONG = "19_shakespeare"


def exported_by(name):
    cells = read_page(REPOSITORY, f"book/chapters/{name}.py").cells
    return {cell["metadata"]["module"] for cell in cells if "module" in cell["metadata"]}


def first_day(root, name):
    """Make the book as it is for a reader who begins chapter `name`."""
    package = shutil.copytree(REPOSITORY / "numpygpt", root / "numpygpt")
    for later in CHAPTERS[CHAPTERS.index(name) :]:
        for module in exported_by(later):
            (package / module).unlink()
    shutil.copytree(REPOSITORY / "notebooks", root / "notebooks")
    for folder in ("data", "exercises", "solutions"):
        os.symlink(REPOSITORY / folder, root / folder)


@pytest.mark.parametrize("name", [name for name in CHAPTERS if name != LONG])
def test_a_chapter_runs_without_later_modules_and_then_adds_its_own(tmp_path, monkeypatch, name):
    first_day(tmp_path, name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # IPython takes it off sys.path
    notebook = nbformat.read(tmp_path / "notebooks" / f"{name}.ipynb", as_version=4)
    start = time.perf_counter()
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path / "notebooks"}}).execute()
    # A promise to readers and twenty times what it takes: it catches a chapter that never ends.
    assert time.perf_counter() - start < 60
    for module in exported_by(name):
        made, built = (root / "numpygpt" / module for root in (tmp_path, REPOSITORY))
        assert made.read_text("utf-8") == built.read_text("utf-8")


def test_nothing_is_hidden_from_the_long_chapter():
    assert not exported_by(LONG)
