"""Which parts of a chapter go on slides: by rule, on a chapter made for it and on the real ones."""

import json
import sys

import pytest
from answers import REPOSITORY

sys.path.append(str(REPOSITORY / "site" / "slides"))  # at the end: its names are short ones

from choose import ROOM, Figure, slides_of

TEXTS = [
    "# Chapter 3: Lines",
    "Something fails. **The question of this chapter:** what is a line?",
    "## Shapes\n\nThe names.\n\n| name | shape |\n|---|---|\n| `x` | `(2,)` |\n\nNot shown.",
    "## Derive\n\nA sum:\n\n$$y = a + b$$\n\n$$z = c$$\n\n"
    "<details><summary>Answer</summary>\n\n$$folded = 1$$\n\n</details>",
    "Not shown either. **Before you look:** does it rise?",
    None,
    "**Before you look:** will it print 3?",
    "## Recap\n\n- A line.\n- Next: more.",
]


def chapter():
    about = {"alt": "It rises.", "width": 90, "height": 60}
    picture = {"data": {"image/png": "QUJD\n"}, "metadata": {"image/png": about}}
    cells = [{"cell_type": "markdown", "source": text} for text in TEXTS]
    cells[5] = {"cell_type": "code", "source": "draw()", "outputs": [{}, picture]}
    return {"cells": cells}


def test_a_slide_holds_what_the_rule_chooses_in_the_order_of_the_chapter():
    slides = [(slide.heading, slide.items) for slide in slides_of(chapter())]
    assert slides == [
        ("Chapter 3: Lines", ["**The question of this chapter:** what is a line?"]),
        ("Shapes", ["| name | shape |\n|---|---|\n| `x` | `(2,)` |"]),
        ("Derive", ["A sum:", "$$y = a + b$$", "$$z = c$$"]),
        ("Derive", ["**Before you look:** does it rise?"]),
        ("Derive", [Figure("QUJD", "It rises.", tall=False)]),
        ("Recap", ["- A line.\n- Next: more."]),
    ]


def test_a_figure_that_is_nearly_as_high_as_wide_is_tall():
    notebook = chapter()
    notebook["cells"][5]["outputs"][1]["metadata"]["image/png"]["height"] = 80
    [figure] = [s.items[0] for s in slides_of(notebook) if isinstance(s.items[0], Figure)]
    assert figure.tall


def test_what_does_not_fit_on_a_slide_goes_on_the_next_one():
    notebook = chapter()
    notebook["cells"][3]["source"] = "## Derive\n\n" + "So:\n\n$$\\frac12$$\n\n" * 9
    derive = [slide for slide in slides_of(notebook) if slide.heading == "Derive"][:-2]
    assert len(derive) > 2 and all(slide.lines <= ROOM for slide in derive)
    assert sum(slide.items.count("$$\\frac12$$") for slide in derive) == 9


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_each_chapter_has_a_deck_with_its_question_its_figures_and_its_recap(path):
    notebook = json.loads(path.read_text("utf-8"))
    slides = slides_of(notebook)
    drawn = sum(
        "image/png" in output.get("data", {})
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    )
    figures = [item for slide in slides for item in slide.items if isinstance(item, Figure)]
    assert len(figures) == drawn > 0 and all(figure.alt for figure in figures)
    assert "?" in slides[0].items[0]
    assert "Recap" in [slide.heading for slide in slides]
