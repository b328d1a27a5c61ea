"""What `make book` left in out/book: its PDFs, opened once, and its EPUB."""

import json
import zipfile

import pytest
from printed import OUT, ROOT, Pdf


def opened(name):
    path = OUT / name
    if not path.is_file():
        pytest.skip(f"LEFT OUT: {path.relative_to(ROOT)} is not there; run `make book`")
    return Pdf(path)


@pytest.fixture(scope="session")
def book():
    return opened("numpygpt.pdf")


@pytest.fixture(scope="session")
def exercises():
    return opened("numpygpt-exercises.pdf")


@pytest.fixture(scope="session")
def epub():
    path = OUT / "numpygpt.epub"
    if not path.is_file():
        pytest.skip("LEFT OUT: out/book/numpygpt.epub is not there; run `make book`")
    with zipfile.ZipFile(path) as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def sources():
    """The cells of each notebook that the book is made of, by its path."""
    return {
        path.relative_to(ROOT).as_posix(): json.loads(path.read_text("utf-8"))["cells"]
        for folder in ("notebooks", "exercises")
        for path in sorted((ROOT / folder).glob("*.ipynb"))
    }
