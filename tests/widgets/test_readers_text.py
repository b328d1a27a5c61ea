"""Whatever a reader types or pastes into a widget is drawn inside the axes, with no empty box."""

import json
import re
import warnings
from itertools import combinations

import pytest
from pages import PAGES, control_cell

from coursekit import glyphs

LINES = [
    "",
    "   ",
    "Für Elise schönes Wetter",
    "你好，世界",
    "🙂 👩\u200d👧 🇫🇷 👍🏽",
    "e\u0301 a\u0300\u0316\u0321 \u0301",
    "السلام שלום हिन्दी ไทย 한국어 ǅﬀﷺ⸻𒐫",
    "\t\r\n\x00\x1b\x7f\x85\xa0\u2028\u3000\u200b\u202e\ufeff\u00ad",
    "$x_1^2$ \\frac{1}{2} $ {line} %s {0} <b>&\"' ",
    "\ud83d half a character \udcc3 \ude42",
    "\ue000\ufffe\U0010ffff\U000e0041 not characters",
    "To be, or not to be, that is the question: " * 9,
    "你" * 400,
    "supercalifragilistic" * 250,
]
WITH_TEXT = [page for page in PAGES if re.search(r"\bText(area)?\(", control_cell(page))]


def test_the_widgets_that_take_text_are_found():
    assert {"13_tokenizers", "14_bpe", "17_sampling"} <= {page.name for page in WITH_TEXT}


@pytest.fixture(params=WITH_TEXT, ids=lambda page: page.name)
def panel(request, widget):
    return widget(request.param.name)


def assert_drawn(figure):
    """All text stands in the figure, that of tokens in the axes, and none on another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks
        figure.canvas.draw()
    [axes] = figure.axes
    row = [text for text in axes.texts if text.get_position()[0] > 0]
    labels = [text for text in axes.texts if text not in row] + [axes.title, axes.xaxis.label]
    ends = {}
    for text in row + labels:
        if text.get_text().strip():
            ends[text] = x0, y0, x1, y1 = text.get_window_extent().extents.tolist()
            whole = axes.bbox if text in row else figure.bbox
            assert whole.x0 - 1 <= x0 and x1 <= whole.x1 + 1, text
            assert whole.y0 - 1 <= y0 and y1 <= whole.y1 + 1, text
    for (a, one), (b, other) in combinations(ends.items(), 2):
        in_a_row = one[1] < other[3] and other[1] < one[3]
        assert not in_a_row or min(one[2], other[2]) - max(one[0], other[0]) < 3, (a, b)


def test_any_text_is_drawn(panel, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: shown.append(data))
    texts = {n: c for n, c in panel.controls.items() if isinstance(c.value, str)}
    for name in texts:
        for line in LINES:
            figure = panel.move(**{name: line})
            assert_drawn(figure)
            json.dumps(shown.pop(), ensure_ascii=False).encode()  # as a message to the browser


def test_what_a_font_lacks_is_shown_by_its_number(monkeypatch):
    monkeypatch.setattr(glyphs, "FONTS", ["DejaVu Sans Mono", "no such font"])
    glyphs.glyph.cache_clear()
    shown = [glyphs.glyph(c) for c in "aé你\U000e0041\u0301\udcc3\ud83d \n\u3000"]
    glyphs.glyph.cache_clear()
    assert [text for text, _, _ in shown] == [
        *("a", "é", "U+4F60", "U+E0041", "U+0301", "c3", "U+D83D"),
        *(" ", "⏎", "␣"),
    ]
    assert [width for _, _, width in shown] == [1, 1, 6, 7, 6, 2, 6, 1, 1, 1]


def test_a_font_that_the_first_one_lacks_a_glyph_of_is_asked_next_and_measured():
    assert glyphs.glyph("ש")[:2] == ("ש", "DejaVu Sans")
    assert glyphs.glyph("😀") == ("😀", "DejaVu Sans", 2)
