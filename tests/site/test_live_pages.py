"""Pages of the site while they run: a screen reader's view, a phone's width, the keyboard alone."""

import pytest
from conftest import FACTS
from test_site import KINDS, PICTURES, axe

START = 120_000  # milliseconds for Python to load, or a page to run, on a machine under load


def press(page, name):
    page.locator(".live-bar").get_by_role("button", name=name, exact=True).click()


def wait(page):
    waits = "[data-live=queued], [data-live=running]"
    page.wait_for_function(f"() => !document.querySelector('{waits}')", timeout=5 * START)


def put(page, cell, text):
    page.locator("div.cell").nth(cell).evaluate(
        "(box, text) => box.liveCell.editor.put(text)", text
    )


@pytest.fixture(scope="module")
def chapter(address, browser):
    """Chapter 9 after a run of all its cells: with an error, a slider, and an export."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/{KINDS['chapter']}")
    press(page, "Run this page")
    page.wait_for_selector("html[data-live=ready]", timeout=START)
    press(page, "Run all")
    wait(page)
    put(page, 0, "1 / 0")
    page.locator("div.cell").first.get_by_role("button", name="run cell 1").click()
    wait(page)
    page.locator(".live-drawn img").first.wait_for()
    open_folds(page)
    yield page
    context.close()


@pytest.fixture(scope="module")
def exercise(address, browser):
    """The exercises of chapter 9: a right and a wrong answer, a hint, the status, ours shown."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/{KINDS['exercise']}")
    press(page, "Run this page")
    page.wait_for_selector("html[data-live=ready]", timeout=START)
    cells = page.evaluate(
        "[...document.querySelectorAll('div.cell')].map(box => box.liveCell.known)"
    )
    first, second = [n for n, cell in enumerate(cells) if "answer" in cell][:2]
    put(page, first, cells[first]["solution"])
    put(page, second, cells[second]["source"].replace("raise NotImplementedError()", "return 0"))
    press(page, "Run all")
    wait(page)
    page.get_by_role("button", name="hint for").last.click()
    press(page, "Status")
    wait(page)
    for button in page.get_by_role("button", name="show our answer").all()[::-1]:
        button.click()
    yield page
    context.close()


def open_folds(page):
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["chapter", "exercise"])
def test_axe_finds_nothing_on_a_page_that_runs(request, kind, theme):
    page = request.getfixturevalue(kind)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    page.wait_for_timeout(500)
    assert axe(page) == []
    page.evaluate("scrollTo(0, 0)")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{kind}-live-{theme}.png")


@pytest.mark.parametrize("kind", ["chapter", "exercise"])
def test_on_a_phone_a_page_that_runs_does_not_scroll_sideways(request, kind):
    page = request.getfixturevalue(kind)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    found = page.evaluate(FACTS)
    assert found["page_width"] <= 390 and found["scrolling"] == []
    for button in page.locator("article button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, button.inner_text()
    where = ".live-drawn" if kind == "chapter" else ".live-answer"
    page.locator(where).first.scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"{kind}-live-phone.png")


def test_the_edge_of_a_cell_says_that_it_failed(chapter):
    edge = "b => [getComputedStyle(b).borderLeftWidth, getComputedStyle(b).borderLeftColor]"
    failed, other = (chapter.locator(".live-editor").nth(n).evaluate(edge) for n in (0, 1))
    assert failed[0] == "4px" and other[0] == "1px" and failed[1] != other[1]


def focused(page):
    """What has the focus, as a screen reader names it, and whether one sees that it has it."""
    return page.evaluate(
        """() => {
            const here = document.activeElement, box = here.getBoundingClientRect();
            const ring = getComputedStyle(here.closest(".cm-editor") ?? here);
            return {
                name: here.getAttribute("aria-label") ?? here.closest("label")?.innerText
                    ?? here.innerText,
                seen: box.width > 0 && ring.outlineStyle !== "none"
                    && parseFloat(ring.outlineWidth) >= 1,
            };
        }"""
    )


def tab_to(page, name, most=400):
    """Press Tab until something is reached; each stop on the way must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        here = focused(page)
        if not here["seen"]:  # the editor draws its ring a moment later
            page.wait_for_timeout(300)
            here = focused(page)
        assert here["seen"], here
        if name in here["name"]:
            return
    pytest.fail(f"{most} times Tab do not reach {name}")


def test_the_keyboard_alone_runs_a_page_moves_a_slider_and_stops(address, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/{KINDS['chapter']}")
    page.keyboard.press("Tab")
    assert "Skip to main content" in focused(page)["name"]
    page.locator(".live-bar button:enabled").first.wait_for()
    page.keyboard.press("Enter")
    tab_to(page, "Run this page")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-live=ready]", timeout=START)
    assert focused(page)["name"] == "Run all"  # not lost with the button that is gone
    tab_to(page, "code of cell 1")
    page.keyboard.press("Control+a")
    slider = "from coursekit.widgets import IntSlider, interactive\n"
    slider += "interactive(lambda n: print('n is', n), n=IntSlider(3, min=1, max=9))"
    page.keyboard.insert_text(slider)
    page.keyboard.press("Shift+Enter")
    page.get_by_text("n is 3").wait_for()
    assert "code of cell 2" in focused(page)["name"]
    for _ in range(4):
        page.keyboard.press("Shift+Tab")
        if focused(page)["name"].startswith("n"):
            break
    page.keyboard.press("ArrowRight")
    page.get_by_text("n is 4").wait_for()
    tab_to(page, "code of cell 2")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("print('in it')\nwhile True: pass")
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "run cell 2"
    page.keyboard.press("Enter")
    page.get_by_text("in it", exact=True).wait_for()
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if focused(page)["name"] == "Stop":
            break
    page.keyboard.press("Enter")
    page.get_by_text("Stopped. What ran is forgotten").wait_for()
    context.close()
