"""Each chapter passes nbval alone: with only the modules that earlier chapters exported."""

import os
import shutil

import pytest
from answers import REPOSITORY, nbval

from coursekit.source import read_page

CHAPTERS = [path.stem for path in sorted((REPOSITORY / "book" / "chapters").glob("*.py"))]
# This one trains for minutes, on all cores: `make build` has run it, as `build --check` proves, and
# it runs here with NBVAL=all in the environment.
LONG = "19_shakespeare"
RUN = [name for name in CHAPTERS if name != LONG or os.environ.get("NBVAL") == "all"]


def exported_by(name):
    cells = read_page(REPOSITORY, f"book/chapters/{name}.py").cells
    return {cell["metadata"]["module"] for cell in cells if "module" in cell["metadata"]}


def first_day(root, name):
    """Make the book as it is for a reader who begins chapter `name`."""
    package = shutil.copytree(REPOSITORY / "numpygpt", root / "numpygpt")
    for later in CHAPTERS[CHAPTERS.index(name) :]:
        for module in exported_by(later):
            (package / module).unlink()
    (root / "notebooks").mkdir()
    built = (REPOSITORY / f"notebooks/{name}.ipynb").read_text("utf-8")
    first_time = built.replace("the package already holds exactly this", "written")
    (root / f"notebooks/{name}.ipynb").write_text(first_time, "utf-8")
    for folder in ("data", "exercises", "solutions"):
        os.symlink(REPOSITORY / folder, root / folder)


@pytest.mark.parametrize("name", RUN)
def test_a_chapter_passes_without_later_modules_and_then_adds_its_own(tmp_path, monkeypatch, name):
    first_day(tmp_path, name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # IPython takes it off sys.path
    cells = nbval(tmp_path / "notebooks" / f"{name}.ipynb", cwd=tmp_path)
    failures = [f"cell {number}: {text}" for (_, number), text in cells.items() if text]
    assert not failures, "\n\n".join(failures)
    for module in exported_by(name):
        made, built = (root / "numpygpt" / module for root in (tmp_path, REPOSITORY))
        assert made.read_text("utf-8") == built.read_text("utf-8")
