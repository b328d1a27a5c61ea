"""Without a network: what was opened opens again; a new edition of the site takes nothing away."""

import shutil

import pytest
from chromium import served
from offline import write_service_worker

CHAPTER, SET = "notebooks/09_layernorm.html", "exercises/03_linear.html"
START = 120_000  # milliseconds for Python to load, on a machine under load


class Site:
    """A copy of the site that can be changed, behind a server that can be cut off."""

    def __init__(self, folder):
        self.folder, self.server, self.port = folder, None, 0
        self.connect()

    def connect(self):
        self.server = served(self.folder, self.port)
        self.address = self.server.__enter__()
        self.port = int(self.address.rpartition(":")[2])

    def cut(self):
        self.server.__exit__(None, None, None)
        self.server = None

    def renew(self, path, old, new):
        """A new edition, in which one page has changed."""
        text = (self.folder / path).read_text("utf-8")
        assert old in text
        (self.folder / path).write_text(text.replace(old, new), "utf-8")
        write_service_worker(self.folder)


@pytest.fixture
def own(address, tmp_path):
    """`address` only sees to it that the site is there."""
    from conftest import SITE

    shutil.copytree(SITE, tmp_path / "site")
    site = Site(tmp_path / "site")
    yield site
    if site.server:
        site.cut()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


KEPT = """async () => {
    const found = {};
    for (const name of await caches.keys()) {
        const keys = await (await caches.open(name)).keys();
        found[name.split(" ").at(-1)] = keys.map(({ url }) => new URL(url).pathname.slice(1));
    }
    return found;
}"""


def kept(page):
    """What this browser keeps: lists of paths, by the edition."""
    return page.evaluate(KEPT)


def visit(page, own, path, *more):
    """Open a page, and wait until it and what it shows are kept."""
    page.goto(f"{own.address}/{path}")
    pictures = page.evaluate("[...document.images].map(i => new URL(i.src).pathname.slice(1))")
    wait_until(page, lambda: {path, *pictures, *more} <= set(sum(kept(page).values(), [])))


def wait_until(page, true):
    for _ in range(450):
        if true():
            return
        page.wait_for_timeout(200)
    pytest.fail(f"not after a minute and a half; this is kept: {kept(page)}")


def test_a_page_opens_without_a_network_after_the_first_visit(own, page):
    visit(page, own, CHAPTER)
    own.cut()
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.reload()
    page.wait_for_selector("mjx-container")
    page.locator(".live-bar button").first.wait_for()
    for image in page.locator(".book-figure.only-light").all():
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.decode()")
    assert page.locator(".book-figure.only-light").count() > 3
    style = "getComputedStyle(document.querySelector('.cell_input pre')).backgroundColor"
    assert page.evaluate(style) != "rgba(0, 0, 0, 0)"
    assert failed == []
    page.goto(f"{own.address}/{CHAPTER}?a=1#recap")
    assert page.locator("h1:visible").first.inner_text().startswith("Chapter 9")
    page.goto(f"{own.address}/notebooks/10_attention.html")
    assert page.locator("h1").inner_text() == "No network"
    page.get_by_role("link", name="notebooks/09_layernorm").click()
    assert page.locator("h1:visible").first.inner_text().startswith("Chapter 9")


def start(page):
    page.locator(".live-bar button").first.click()
    page.wait_for_selector("html[data-live=ready]", timeout=START)


def run(page, cell):
    """Run a cell of the page; what it printed."""
    box = page.locator("div.cell").nth(cell)
    box.locator(".live-cell-bar button").first.click()
    waits = "[data-live=queued], [data-live=running]"
    page.wait_for_function(f"() => !document.querySelector('{waits}')", timeout=START)
    return box.locator(".cell_output").inner_text().strip()


def type_in(page, text):
    page.locator("div.cell").first.evaluate("(box, text) => box.liveCell.editor.put(text)", text)
    page.wait_for_timeout(500)


def test_what_ran_runs_without_a_network_and_a_text_outlives_a_new_edition(own, page):
    page.goto(f"{own.address}/{SET}")
    start(page)  # at once: the service worker is told afterwards what was loaded
    type_in(page, "import numpy\nprint('mine', numpy.arange(3))")
    assert run(page, 0) == "mine [0 1 2]"
    wheel = next((own.folder / "live/pyodide").glob("numpy-*.whl"))
    needed = [wheel, *(own.folder / "live").glob("*.zip"), own.folder / "live/worker.js"]
    needed += own.folder.glob("live/pyodide/pyodide*")
    needed += own.folder.glob("live/pyodide/python_stdlib.zip")
    visit(page, own, SET, *(path.relative_to(own.folder).as_posix() for path in needed))
    own.cut()
    page.reload()
    page.wait_for_selector(".cm-content")
    assert run(page, 0) == "mine [0 1 2]"
    own.connect()
    own.renew(SET, "Exercises for chapter 3", "The second edition")
    page.goto(f"{own.address}/{SET}")  # no page of yesterday, not even once
    page.wait_for_selector(".cm-content")
    assert page.title().startswith("The second edition")
    text = page.locator("div.cell").first.evaluate("box => box.liveCell.text")
    assert text.startswith("import numpy\nprint('mine'")


def test_pages_of_an_older_edition_are_renewed_together(own, page):
    visit(page, own, CHAPTER)
    visit(page, own, "index.html")
    [(old, files)] = kept(page).items()
    own.renew(CHAPTER, "Chapter 9", "The second edition, chapter 9")
    page.goto(f"{own.address}/index.html")
    wait_until(page, lambda: old not in kept(page))
    [(_, renewed)] = kept(page).items()
    assert set(files) <= set(renewed)
    own.cut()
    page.goto(f"{own.address}/{CHAPTER}")
    assert page.locator("h1:visible").first.inner_text().startswith("The second edition")


def test_an_edition_that_is_not_whole_changes_nothing(own, page):
    visit(page, own, CHAPTER)
    before = kept(page)
    own.renew(CHAPTER, "Chapter 9", "The second edition, chapter 9")
    (own.folder / "files.json").write_text("{}")  # as while the files are being put there
    page.goto(f"{own.address}/index.html")
    page.wait_for_timeout(3000)
    assert list(kept(page)) == list(before)
    own.cut()
    page.goto(f"{own.address}/{CHAPTER}")
    assert page.locator("h1:visible").first.inner_text().startswith("Chapter 9")


def test_the_whole_book_is_kept_on_demand(own, page):
    page.goto(f"{own.address}/index.html")
    page.get_by_role("button", name="Keep the whole book here").click()
    page.get_by_text("The whole book is here.").wait_for(timeout=START)
    page.evaluate("fetch('numpygpt.zip').then(found => found.blob())")
    own.cut()
    page.goto(f"{own.address}/notebooks/12_gpt.html")
    assert page.locator("h1:visible").first.inner_text().startswith("Chapter 12")
    [paths] = kept(page).values()
    assert not [path for path in paths if path.endswith("numpygpt.zip")]
    assert {path.relative_to(own.folder).as_posix() for path in own.folder.rglob("*.whl")} <= set(
        paths
    )
