"""Figures: crisp, with their alt text, in every form that a notebook is turned into."""

import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from answers import REPOSITORY
from nbconvert import HTMLExporter, MarkdownExporter
from PIL import Image

from coursekit import figures

CHAPTERS = [path.stem for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb"))]


def pictures(name):
    """The outputs of a built chapter that are figures: [(data, metadata)]."""
    cells = json.loads((REPOSITORY / f"notebooks/{name}.ipynb").read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [(o["data"], o["metadata"]) for o in outputs if "image/png" in o.get("data", {})]


def alts_of(text):
    """The alt texts of a page's images."""
    found, parser = [], HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tag == "img" and found.append(dict(attrs)["alt"])
    parser.feed(text)
    return found


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_figure_has_two_pixels_for_each_of_a_page_and_its_alt_text_twice(name):
    for data, metadata in pictures(name):
        page, about = "".join(data["text/html"]), metadata["image/png"]
        image = Image.open(io.BytesIO(base64.b64decode("".join(data["image/png"]))))
        assert image.size == (2 * about["width"], 2 * about["height"])
        assert f'width="{about["width"]}"' in page and len(about["alt"]) > 20
        assert "".join(data["text/plain"]) == about["alt"]
        assert "".join(data["image/png"]).strip() in page, "one picture, in both forms"


@pytest.mark.parametrize("name", [CHAPTERS[1], CHAPTERS[10], CHAPTERS[18]])
def test_no_figure_is_lost_where_a_notebook_becomes_text_or_a_page(name):
    alts = [metadata["image/png"]["alt"] for _, metadata in pictures(name)]
    assert alts
    path = REPOSITORY / f"notebooks/{name}.ipynb"
    text, _ = MarkdownExporter().from_filename(path)
    page, _ = HTMLExporter().from_filename(path)
    assert alts_of(text) == alts_of(page) == alts


def test_colors_of_a_map_are_kept_and_so_is_white():
    figure, axes = figures.subplots(1, 2)
    x = np.linspace(-1, 1, 60)
    axes[0].imshow(np.add.outer(x, x), cmap=figures.SIGNED)
    axes[1].imshow(np.add.outer(x**2, x), cmap=figures.POSITIVE)
    figure.canvas.draw()
    pixels = figure.canvas.buffer_rgba()
    found = Image.open(io.BytesIO(figures.png_of(pixels))).convert("RGB")
    found = np.asarray(found).astype(int)
    assert np.abs(found - np.asarray(pixels)[..., :3]).max() < 10
    assert (found[0, 0] == 255).all()
