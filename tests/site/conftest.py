"""The site as `make site` left it in out/site, behind a server, and a real Chromium."""

import sys
from pathlib import Path

import pytest
from chromium import launched, served

playwright = pytest.importorskip("playwright.sync_api", reason="LEFT OUT: playwright is missing")

ROOT = Path(__file__).parents[2]
SITE = ROOT / "out" / "site"
sys.path.insert(0, str(ROOT / "site"))


@pytest.fixture(scope="session")
def address():
    """Where the site is served, without a slash at the end."""
    if not (SITE / "index.html").is_file():
        pytest.skip("LEFT OUT: out/site is not there; run `make site`")
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    def left_out(why):
        pytest.skip(f"LEFT OUT: {why}")

    with launched(playwright.sync_playwright, left_out) as browser:
        yield browser


@pytest.fixture(scope="session")
def sessions(browser):
    """Browsers of one reader each, by (theme, width): their caches stay from page to page."""
    opened = {}

    def session(theme, width):
        if (theme, width) not in opened:
            size = {"width": width, "height": 900}
            opened[theme, width] = browser.new_context(color_scheme=theme, viewport=size)
        return opened[theme, width]

    yield session
    for context in opened.values():
        context.close()


@pytest.fixture(scope="session")
def visit(address, sessions):
    """Open a page of the site, and all that is folded or lazy in it.

    `page.asked` and `page.complaints` hold what it did meanwhile; at most one page is open.
    """
    opened = []

    def visit(path, theme="light", width=1280):
        while opened:
            opened.pop().close()
        page = sessions(theme, width).new_page()
        opened.append(page)
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: complain(page, message))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("response", lambda answer: answer.status < 400 or missing(page, answer))
        page.goto(f"{address}/{path}", wait_until="load")
        page.evaluate("document.fonts.ready")
        return page

    return visit


@pytest.fixture(scope="session")
def opened(visit):
    """As `visit`, with all folds open and all pictures there, lazy ones too, and all laid out."""

    def opened(path, theme="light", width=1280):
        page = visit(path, theme, width)
        page.add_style_tag(content="section { content-visibility: visible !important; }")
        page.evaluate(
            """() => {
                document.querySelectorAll("details").forEach(fold => { fold.open = true; });
                window.dispatchEvent(new Event("resize"));
                for (const image of document.images) {
                    if (image.offsetParent) image.loading = "eager";  // those of this theme
                }
            }"""
        )
        seen = "image.complete || !image.offsetParent"
        page.wait_for_function(f"() => [...document.images].every(image => {seen})")
        return page

    return opened


@pytest.fixture(scope="session")
def look(address, opened):
    """What a page is like at a width, by its path: found out once, asked by several tests."""
    known = {}

    def look(path, width):
        if (path, width) not in known:
            page = opened(path, width=width)
            page.wait_for_timeout(500)  # site.js has made the equations fit
            known[path, width] = facts(page, address)
        return known[path, width]

    return look


def facts(page, address):
    found = page.evaluate(FACTS)
    found["outside"] = [u for u in page.asked if not u.startswith((address, "data:", "blob:"))]
    found["asked"] = {u.removeprefix(address) for u in page.asked if u.startswith(address)}
    return found | {"complaints": list(page.complaints)}


FACTS = """() => {
    const all = (selector, test) => [...document.querySelectorAll(selector)].filter(test);
    const scrolls = box => ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
    const wide = box => box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 1;
    const broken = pre => {
        const style = getComputedStyle(pre);
        const height = pre.clientHeight - 2 * parseFloat(style.paddingTop);
        const lines = pre.textContent.replace(/\\n$/, "").split("\\n").length;
        return height / parseFloat(style.lineHeight) > lines + 0.5;
    };
    const texts = boxes => boxes.map(box => box.tagName + ": " + box.textContent.slice(0, 120));
    return {
        page_width: document.documentElement.scrollWidth,
        equations: document.querySelectorAll("mjx-container").length,
        wrong_equations: document.querySelectorAll("mjx-merror").length,
        broken_images: all("img", i => i.offsetParent && !i.naturalWidth).map(i => i.src),
        scrolling: texts(all("article, article *", box => wide(box) && scrolls(box)
            && !box.closest("svg, mjx-assistive-mml"))),
        cut: texts(all('mjx-container[display="true"]', wide)),
        broken_lines: texts(all(".cell_input pre", broken)),
    };
}"""


def complain(page, message):
    if message.type in ("error", "warning"):
        page.complaints.append(message.text)


def missing(page, answer):
    page.complaints.append(f"{answer.status} {answer.url}")
