"""What one chapter says of another is what the other does: quoted figures, the map of the book."""

import json
import re
from functools import cache

import pytest
from answers import REPOSITORY

from coursekit.build import Book
from coursekit.checking.tasks import load_set, set_names
from coursekit.map import arrows
from coursekit.source import read_page

CHAPTERS = [path.stem for path in sorted((REPOSITORY / "book" / "chapters").glob("*.py"))]


def printed_by(name):
    """All that the cells of a notebook print."""
    notebook = json.loads((REPOSITORY / f"notebooks/{name}.ipynb").read_text("utf-8"))
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    return "".join("".join(output.get("text", [])) for output in outputs)


def test_chapter_19_quotes_the_table_of_chapter_7():
    row = re.search(
        r"MLP, 5 characters +([\d,]+) .* ([\d.]+)\n", printed_by("07_first_language_model")
    )
    size, bits = int(row[1].replace(",", "")), float(row[2])
    chapter = (REPOSITORY / "book/chapters/19_shakespeare.py").read_text("utf-8")
    assert f'("MLP of chapter 7", {size:_}, {bits})' in chapter


def test_every_cell_that_is_not_compared_is_in_a_list_that_says_why():
    text = (REPOSITORY / "tests/not_compared.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d\w+) \| `` (.+) `` \| .+ \|$", text, re.MULTILINE)
    found = [
        (name, cell["source"].lstrip().splitlines()[0][:60])
        for name in CHAPTERS
        for cell in read_page(REPOSITORY, f"book/chapters/{name}.py").cells
        if {"measurement", "skip-execution"} & set(cell["metadata"].get("tags", []))
    ]
    assert found == rows
    for name in set_names():  # and in the exercises there is none
        tags = [cell["metadata"].get("tags", []) for cell in load_set(name).page.cells]
        assert not {"measurement", "skip-execution"} & {tag for t in tags for tag in t}


@cache
def book():
    return Book(REPOSITORY)


def minutes(page):
    """Reading, at 150 words or six lines of code a minute, and what the exercises say of theirs."""
    text, code = (
        [cell["source"] for cell in page.cells if cell["cell_type"] == kind]
        for kind in ("markdown", "code")
    )
    words = sum(len(source.split()) for source in text)
    lines = sum(len(source.splitlines()) for source in code)
    reading = 5 * round((words / 150 + lines / 6) / 5)
    if page.name not in set_names():
        return f"{reading}"
    return f"{reading} + {sum(task.minutes for task in load_set(page.name).tasks.values())}"


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("README.md", r"\(notebooks/(\w+)\.ipynb\)"),
        ("book/chapters/00_welcome.py", r"\((\w+)\.ipynb\)"),
    ],
)
def test_the_map_says_what_each_chapter_needs_and_how_long_it_takes(path, link):
    text = (REPOSITORY / path).read_text("utf-8")
    said = {(int(a), int(b)) for a, b in re.findall(r"(\d+) → (\d+)", text)}
    assert said == arrows(book().pages, book().exported_by, book().texts)

    there = dict(re.findall(rf"^#? ?\|.*{link}.*\| ([\d +]+) \|$", text, re.MULTILINE))
    pages = {name: read_page(REPOSITORY, f"book/chapters/{name}.py") for name in CHAPTERS}
    if "chapters" in path:
        del pages["00_welcome"]  # you are here
    assert there == {name: minutes(page) for name, page in pages.items()}


def test_a_cell_says_where_it_lands_and_one_that_only_draws_can_be_folded():
    cells = json.loads((REPOSITORY / "notebooks/03_linear.ipynb").read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    backward = next(source for source in sources if "def backward(self, dy)" in source)
    assert backward.endswith("\n# → numpygpt/nn/linear.py, in Linear")
    assert any(source.endswith("\n# → numpygpt/nn/linear.py") for source in sources)
    for path in (REPOSITORY / "numpygpt").rglob("*.py"):
        assert "# →" not in path.read_text("utf-8")
    draws = [
        s for s, c in zip(sources, cells, strict=True) if "figure" in c["metadata"].get("tags", [])
    ]
    assert len(draws) == 2 and all("show(" in source for source in draws)
