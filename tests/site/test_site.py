"""What a visitor of the site gets: whole pages, nothing from elsewhere, usable in every way."""

import gzip
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
from assets import package

ROOT = Path(__file__).parents[2]
SITE = ROOT / "out" / "site"
PICTURES = ROOT / "out" / "site-pictures"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
NOTEBOOKS = sorted(
    path.relative_to(ROOT).with_suffix(".html").as_posix()
    for folder in ("notebooks", "exercises")
    for path in (ROOT / folder).glob("*.ipynb")
)
# One of each kind: axe and the pictures take seconds a page.
KINDS = {
    "front": "index.html",
    "chapter": "notebooks/09_layernorm.html",
    "exercise": "exercises/09_layernorm.html",
    "docs": "docs/GLOSSARY.html",
}


@pytest.fixture(autouse=True)
def built():
    if not PAGES:
        pytest.skip("LEFT OUT: out/site is not there; run `make site`")


def test_every_notebook_and_guide_has_its_page():
    guides = [
        path.relative_to(ROOT).with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.stem != "PACKAGE"
    ]
    wanted = {*NOTEBOOKS, *guides, "index.html", "search.html", "README.html", "CONTRIBUTING.html"}
    assert wanted <= set(PAGES)


def test_the_keys_of_exam_questions_are_in_no_page_and_not_in_the_archive():
    with zipfile.ZipFile(SITE / "numpygpt.zip") as archive:
        names = archive.namelist()
    assert [name for name in names if "/docs/teaching/" in name]
    assert not [name for name in names if "/book/keys/" in name]
    key = (ROOT / "book" / "keys" / "09_layernorm.md").read_text("utf-8")
    heading = re.match("# (.*)", key)[1]
    assert not [path for path in PAGES if heading in (SITE / path).read_text("utf-8")]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_nothing_of_anybody_else_and_complains_of_nothing(look, path):
    found = look(path, 1280)
    assert found["outside"] == [] and found["complaints"] == []
    assert found["wrong_equations"] == 0 and found["broken_images"] == []


@pytest.mark.parametrize("path", PAGES)
def test_on_a_phone_nothing_scrolls_sideways(look, path):
    found = look(path, 390)
    assert found["page_width"] <= 390
    assert found["scrolling"] == [] and found["cut"] == []


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_no_line_of_code_is_cut_or_broken_at_1280(look, path):
    found = look(path, 1280)
    assert found["scrolling"] == [] and found["cut"] == [] and found["broken_lines"] == []


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_page_is_small(look, path):
    """At most 700 kB gzipped, with all its pictures."""
    sizes = {}
    for url in look(path, 1280)["asked"]:
        file = urldefrag(url)[0].partition("?")[0].lstrip("/")
        sizes[file] = len(gzip.compress((SITE / file).read_bytes(), 6))
    print(f"{path}: {sum(sizes.values()) / 1000:.0f} kB gzipped")
    assert sum(sizes.values()) <= 700_000, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def test_an_equation_that_comes_into_sight_is_made_to_fit(visit):
    """A reader scrolls: what was not laid out at first must not be cut then."""
    page = visit("notebooks/05_softmax_cross_entropy.html", width=390)
    for box in page.locator('mjx-container[display="true"]').all():
        if box.is_visible():
            box.scroll_into_view_if_needed()
            page.wait_for_timeout(60)
    wide = "boxes => boxes.filter(b => b.checkVisibility() && b.scrollWidth > b.clientWidth + 1)"
    assert page.locator('mjx-container[display="true"]').evaluate_all(wide + ".length") == 0


class Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.found.append(dict(attributes))


@pytest.mark.parametrize("path", PAGES)
def test_every_figure_has_a_text_a_size_and_loads_when_it_is_seen(path):
    images = Images()
    images.feed((SITE / path).read_text("utf-8"))
    for image in images.found:
        assert len(image.get("alt") or "") > 20, image["src"]
    figures = [image for image in images.found if "book-figure" in image.get("class", "")]
    for image in figures:
        assert image["loading"] == "lazy" and int(image["width"]) and int(image["height"])
    if path.startswith("notebooks/"):
        notebook = json.loads((ROOT / path).with_suffix(".ipynb").read_text("utf-8"))
        outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
        stored = sum("image/png" in output.get("data", {}) for output in outputs)
        assert len(figures) == 2 * stored  # for light and for dark


def axe(page):
    """What axe finds on a page: its rule, and the piece of HTML."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=package("axe-core") / "axe.min.js")
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(opened, kind, theme):
    assert axe(opened(KINDS[kind], theme)) == []


def test_the_site_is_small():
    assert sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) <= 60e6


def test_links_lead_to_what_is_there():
    """Within the site: the page or file, and the place in it."""
    texts = {path: (SITE / path).read_text("utf-8") for path in PAGES}
    broken = []
    for path, text in texts.items():
        for link in re.findall(r'<a [^>]*?href="([^"]+)"', text):
            target, place = urldefrag(urljoin(f"/{path}", link.replace("&amp;", "&")))
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            target = target.partition("?")[0].lstrip("/") or path
            if not (SITE / target).is_file():
                broken.append(f"{path}: {link}")
            elif place and target in texts and f'id="{place}"' not in texts[target]:
                broken.append(f"{path}: {link}")
    # The runner of site/live makes this place of its own.
    assert [link for link in broken if not link.endswith("#run")] == []


def test_the_search_finds_a_word_of_a_chapter(visit):
    page = visit("search.html?q=layernorm")
    page.locator("#search-results li a", has_text="LayerNorm").first.wait_for()


def test_next_and_previous_lead_through_the_whole_book():
    path, seen = "index.html", []
    while path:
        seen.append(path)
        text = (SITE / path).read_text("utf-8")
        link = re.search(r'class="right-next"\s+href="([^"]+)"', text)
        path = urljoin(f"/{path}", link[1]).lstrip("/") if link else None
        assert path not in seen
    assert set(NOTEBOOKS) <= set(seen)
    chapters = [path for path in seen if path.startswith("notebooks/")]
    assert chapters == sorted(chapters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_pictures_of_it(visit, kind, theme, width):
    """Left in out/site-pictures, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = visit(KINDS[kind], theme, width)
    page.screenshot(path=PICTURES / f"{kind}-{theme}-{width}.png")
    if kind == "chapter":
        figure = page.locator(f".book-figure.only-{theme}").first
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURES / f"{kind}-figure-{theme}-{width}.png")


def test_the_zip_holds_what_is_committed():
    assert Path(SITE / "numpygpt.zip").stat().st_size > 1e6


@pytest.mark.parametrize("path", ["notebooks/03_linear.html", "exercises/03_linear.html"])
def test_the_button_that_runs_a_page_is_there_to_be_seen(visit, path):
    """The theme has a second title in a part of the page that is only printed."""
    visit(path).wait_for_selector(".live-bar button", timeout=10_000)
