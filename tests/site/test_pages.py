"""The parts that pages are made of, each by itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import assets
import chart
import dark
import numpy as np
import page
import prepare
import pytest
import slim

from coursekit.files import BookError

ROOT = Path(__file__).parents[2]


def test_a_node_of_the_map_is_a_link_and_stands_below_all_that_lead_to_it():
    titles = {1: "1 One", 2: "2 A second, long title", 3: "3 <Three>"}
    edges = [(1, 2), (1, 3), (2, 3)]
    svg = chart.chart(titles, edges, dict.fromkeys(titles, "a.html"), dict.fromkeys(titles, 1), "a")
    assert svg.count('<a href="a.html"') == 3 and svg.count("marker-end") == 3
    assert "3 &lt;Three&gt;" in svg and "\n\n" not in svg
    tops = [float(y) for y in re.findall(r'<rect x="[^"]+" y="([^"]+)"', svg)]
    assert tops == sorted(set(tops))


def test_nodes_of_the_map_do_not_touch_and_each_arrow_is_drawn():
    readme = (ROOT / "README.md").read_text("utf-8")
    [words] = prepare.MAP_PICTURE.findall(readme)
    svg = prepare.book_map(prepare.Book(ROOT, ROOT / "out/pages"), words, "")
    assert svg.count("marker-end") == words.count("→") > 20
    corners = [tuple(map(float, xy)) for xy in re.findall(r'<rect x="([^"]+)" y="([^"]+)"', svg)]
    assert len(corners) == readme.count("](notebooks/") - readme.count("](notebooks/00")
    for number, (x, y) in enumerate(corners):
        for other_x, other_y in corners[:number]:
            assert abs(x - other_x) >= chart.NODE[0] or abs(y - other_y) >= chart.NODE[1]


def test_in_the_dark_white_is_the_page_black_is_light_and_a_hue_stays():
    pixels = np.array([[255, 255, 255], [0, 0, 0], [0, 114, 178], [213, 94, 0]], np.uint8)
    white, black, blue, orange = dark.swapped(pixels).astype(int)
    assert np.abs(white - 255 * dark.PAGE).max() <= 1
    assert black.min() > 200
    assert blue.argmax() == 2 and orange.argmax() == 0
    style = (ROOT / "site/_static/site.css").read_text("utf-8")
    block = re.search(r'data-theme="dark"\] \{(.*?)\}', style, re.DOTALL)[1]
    color = re.search(r"--pst-color-background: #(\w{6});", block)[1]
    assert bytes.fromhex(color) == bytes((255 * dark.PAGE).round().astype(np.uint8))


def test_a_task_has_a_short_title_and_its_facts_below():
    text = "## Task 1: a step (of SGD) (1 point, easy, about 5 minutes)\n\nGo."
    short = prepare.TASK.sub(r"\1\n\n\2, \3, about \4", text)
    assert short == "## Task 1: a step (of SGD)\n\n1 point, easy, about 5 minutes\n\nGo."


def test_code_says_how_wide_it_is():
    html = "<pre><span>a &lt; b</span>\nc\n</pre>"
    assert 'style="--columns:5"' in page.with_columns(html)


def test_headers_say_what_they_head_and_an_empty_one_is_none():
    html = '<th class="head"><p>a</p></th><th class="head text-left"><p></p></th>'
    assert page.with_headers(html) == (
        '<th scope="col" class="head"><p>a</p></th><td class="head text-left"></td>'
    )


def test_links_to_files_without_a_page_are_text():
    class Book:
        root = ROOT

    text = "[a](README.md) [LICENSE](LICENSE) [`x.py`](coursekit/x.py) [b](https://example.org)"
    assert prepare.with_links(Book, text, "CONTRIBUTING.md") == (
        "[a](README.md) `LICENSE` `x.py` [b](https://example.org)"
    )
    named = prepare.with_links(Book, "`docs/NOTATION.md`", "docs/GLOSSARY.md")
    assert named == "[`docs/NOTATION.md`](../docs/NOTATION.md)"


CSS = """/* the book's own */ html[data-theme="light"] { --a: 1; } @charset "UTF-8";
.here, .gone > a, a:not(.gone) { color: red; }
.gone { content: "}"; } .here::before { content: "{ .gone"; }
@media (max-width: 9px) { .gone { x: 1 } #top .here { x: 2 } } @media print { .gone { x: 3 } }
@font-face { font-family: "Font Awesome 6"; } @font-face { font-family: MJXTEX-B; }
@font-face { font-family: MJXTEX-I; }
.w-1\\/2 { x: 4 } .here.gone { x: 5 }"""


def test_of_the_styles_only_what_a_page_may_need_is_kept():
    kept = slim.used(CSS, {"here", "top", "w-1/2", "TEX-I"})
    assert re.sub(r"\s+", "", kept) == (
        'html[data-theme="light"]{--a:1;}@charset"UTF-8";.here,a:not(.gone){color:red;}'
        '.here::before{content:"{.gone";}@media(max-width:9px){#top.here{x:2}}'
        "@font-face{font-family:MJXTEX-I;}.w-1\\/2{x:4}"
    )


def test_equations_are_drawn_with_what_a_screen_reader_reads():
    html = r'<p><span class="math notranslate nohighlight">\(a &lt; b\)</span></p>'
    html += r'<div class="math notranslate nohighlight">\[\frac{a}{b}\]</div>'
    pages, css = slim.with_equations({"a": html, "b": html})
    assert pages["a"] == pages["b"] and "notranslate" not in pages["a"]
    assert "<mo>&lt;</mo>" in pages["a"] and pages["a"].count("<math ") == 2
    assert len(re.findall('<math [^>]*display="block"', pages["a"])) == 1
    assert "mathjax/MathJax_Main-Regular.woff" in css


NPM = """#!{python}
import pathlib, sys
pathlib.Path("seen").write_text(" ".join(sys.argv[1:]))
sys.exit("npm error code EINTEGRITY\\nnpm error it is another one" if {fails} else 0)
"""


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A stand-in for npm, and a pip that does nothing; call it to choose whether it fails."""

    python = sys.executable

    def write(fails):
        path = tmp_path / "npm"
        path.write_text(NPM.format(python=python, fails=fails))
        path.chmod(0o755)

    monkeypatch.setattr(assets, "HOME", tmp_path / "home")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(assets.sys, "executable", shutil.which("true", path="/bin:/usr/bin"))
    return write


def test_packages_that_npm_refuses_are_not_taken_for_fetched(npm):
    npm(fails=True)
    with pytest.raises(BookError, match="npm could not fetch .*: npm error it is another one"):
        assets.fetch()
    assert not (assets.HOME / "stamp").exists()
    with pytest.raises(BookError, match="mathjax is not here: run"):
        assets.package("mathjax")


def test_what_only_tests_need_is_fetched_for_tests_alone_and_nothing_twice(npm):
    npm(fails=False)
    assets.fetch()
    assert (assets.HOME / "seen").read_text().endswith("--omit=dev")
    assets.fetch(tests=True)
    assert not (assets.HOME / "seen").read_text().endswith("--omit=dev")
    npm(fails=True)
    assets.fetch()
    assets.fetch(tests=True)


def test_the_build_says_in_one_line_what_it_misses(tmp_path):
    """A copy of the sources alone: without what others made."""
    (tmp_path / "site").symlink_to(ROOT / "site")
    run = subprocess.run(
        [sys.executable, "-c", "import assets, build, pathlib; assets.HOME = pathlib.Path('x');"
         "build.OUT = pathlib.Path('out'); build.main()"],
        cwd=tmp_path, env={"PYTHONPATH": f"{ROOT / 'site'}:{ROOT}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("site: mathjax is not here") and run.stderr.count("\n") == 1
