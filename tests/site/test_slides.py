"""The slides as `make slides` left them in out/slides, each deck opened in a real Chromium."""

from pathlib import Path

import pytest
from PIL import Image
from test_site import axe

SLIDES = Path(__file__).parents[2] / "out" / "slides"
DECKS = sorted(path.stem for path in SLIDES.glob("[0-9]*.html"))
PICTURES = Path(__file__).parents[2] / "out" / "site-pictures"
LOOK = """() => [...document.querySelectorAll("section")].map((slide) => {
    const box = slide.querySelector(".below");
    const small = parseFloat(box.style.fontSize || "100");
    const over = box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;
    const unseen = [...slide.querySelectorAll("img")].some((i) => !i.naturalWidth || !i.height);
    return { small, over, unseen, wrong: slide.querySelectorAll("mjx-merror").length };
})"""


@pytest.fixture(autouse=True)
def built():
    if not DECKS:
        pytest.skip("LEFT OUT: out/slides is not there; run `make slides`")


@pytest.mark.parametrize("size", [(960, 540), (1024, 768)], ids=["wide", "4 to 3"])
@pytest.mark.parametrize("name", DECKS or ["none"])
def test_each_slide_of_a_deck_fits_and_asks_nothing_of_the_network(browser, name, size):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((SLIDES / f"{name}.html").as_uri())
    page.wait_for_selector("html[data-fitted]")
    found = page.evaluate(LOOK)
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    fine = {"over": False, "unseen": False, "wrong": 0}
    for number, slide in enumerate(found, 1):
        assert slide.pop("small") >= 80, f"slide {number} has letters too small to read"
        assert slide == fine, f"slide {number}"
    page.close()


@pytest.mark.parametrize("name", ["index", "06_optimizers", "22_rotary"])
def test_axe_finds_nothing_on_a_deck(browser, name):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((SLIDES / f"{name}.html").as_uri())
    assert axe(page) == []
    page.close()


def test_keys_turn_the_slides_and_pictures_of_one_deck_are_left_to_look_at(browser):
    page = browser.new_page(viewport={"width": 960, "height": 540})
    page.goto((SLIDES / "09_layernorm.html").as_uri())
    page.wait_for_selector("html[data-fitted]")
    count = page.locator("section").count()
    sheet = Image.new("RGB", (960, 540 * count))
    PICTURES.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        top = page.evaluate("n => document.querySelectorAll('section')[n].offsetTop", number)
        page.wait_for_function("top => Math.abs(scrollY - top) < 2", arg=top)
        page.screenshot(path=PICTURES / "slide.png")
        with Image.open(PICTURES / "slide.png") as picture:
            sheet.paste(picture, (0, 540 * number))
        page.keyboard.press("ArrowRight")
    (PICTURES / "slide.png").unlink()
    sheet.save(PICTURES / "slides-09.png")
    page.keyboard.press("Home")
    page.wait_for_function("() => scrollY < 2")
    page.close()
