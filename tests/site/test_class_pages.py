"""The pages about a class, which `coursekit grade` writes: light, dark, wide, narrow, printed."""

import numpy as np
import pytest
from conftest import FACTS
from made_class import counted, make_class
from test_site import PICTURES, axe

from coursekit.checking.tasks import load_set
from coursekit.classroom.class_page import write_pages

PAGES = ["class", "similar"]
WIDTHS = {"wide": 1200, "narrow": 390}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the pages about 60 students."""
    folder, exercises = tmp_path_factory.mktemp("a class"), load_set("09_layernorm")
    members = make_class(exercises, 60, np.random.default_rng(20))
    write_pages(folder, counted(members, exercises, nothing=1))
    return folder


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_nothing_is_asked_for_or_cut(browser, written, name, width, theme):
    size = {"width": WIDTHS[width], "height": 900}
    # Axe is a script: the page itself lets none run.
    context = browser.new_context(color_scheme=theme, viewport=size, bypass_csp=True)
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((written / f"{name}.html").as_uri())
    assert len(asked) == 1, "the page itself"
    assert page.evaluate(FACTS)["page_width"] <= WIDTHS[width]
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}-{theme}.png", full_page=True)
    assert axe(page) == []
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_printed_and_runs_no_script(browser, written, name):
    context = browser.new_context(color_scheme="dark")
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto((written / f"{name}.html").as_uri())
    assert said == []
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://x.test/'}))")
    page.wait_for_timeout(100)
    assert "Content Security Policy" in said[0]
    page.emulate_media(media="print")
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgb(255, 255, 255)", "no dark paper"
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert page.pdf(path=PICTURES / f"{name}.pdf", format="A4").startswith(b"%PDF")
    context.close()
