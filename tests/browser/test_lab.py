"""What a reader sees: pages that are as stored, widgets that move, light and dark."""

import contextlib
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "out" / "browser"
PICTURES.mkdir(parents=True, exist_ok=True)


def command(page, name, arguments=None):
    page.evaluate("([n, a]) => window.jupyterapp.commands.execute(n, a)", [name, arguments or {}])


def wait_for_kernel(page):
    """Until the notebook has a kernel, which has told about itself."""
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel"
    page.wait_for_function(f"() => {kernel}?.status === 'idle'")
    page.evaluate(f"{kernel}.info")


def run_all(page):
    wait_for_kernel(page)
    # JupyterLab may drop a command that comes right after it has drawn the notebook: ask again
    # until the first cell runs.
    prompt = "document.querySelector('.jp-CodeCell .jp-InputPrompt').innerText"
    for _ in range(10):
        command(page, "notebook:run-all-cells")
        with contextlib.suppress(TimeoutError):
            page.wait_for_function(f"() => /[*\\d]/.test({prompt})", timeout=3000)
            break
    page.wait_for_selector(".widget-interact img")


NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("notebooks", "exercises", "solutions")
    for path in (ROOT / folder).glob("*.ipynb")
)


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_notebook_that_nobody_touched_is_not_changed_and_nothing_lies_over_it(
    lab, notebook, path
):
    stored = (lab.folder / path).read_bytes()
    page = notebook(path)
    wait_for_kernel(page)
    page.wait_for_timeout(1000)  # what comes after the kernel: the mark, a question
    page.screenshot(path=PICTURES / f"opened-{path.replace('/', '-')}.png")
    assert page.locator(".jp-mod-dirty, .Toastify__toast, .jp-Dialog").count() == 0
    assert not page.evaluate("window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    assert (lab.folder / path).read_bytes() == stored


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("01_gradients", "log10 eps"),
        ("05_softmax_cross_entropy", "logit 1"),
        ("17_sampling", "temperature"),
    ],
)
def test_a_widget_redraws_when_its_slider_moves(notebook, name, control):
    page = notebook(name)
    run_all(page)
    picture = page.locator(".widget-interact img")
    slider = page.locator(".widget-hslider", has_text=re.compile(f"^{control}"))
    slider.scroll_into_view_if_needed()
    before = picture.get_attribute("src")
    page.screenshot(path=PICTURES / f"{name}-before.png")
    start = time.perf_counter()
    slider.locator(".noUi-handle").press("ArrowRight")
    page.wait_for_function(
        "old => { const now = document.querySelector('.widget-interact img');"
        " return now && now.complete && now.src !== old; }",
        arg=before,
    )
    print(f"{name}: {1000 * (time.perf_counter() - start):.0f} ms from the key to the new picture")
    page.screenshot(path=PICTURES / f"{name}-after.png")
    assert picture.count() == 1  # the old one is gone
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 0, errors.first.inner_text()


@pytest.mark.parametrize("name", ["13_tokenizers", "14_bpe"])
def test_a_widget_redraws_when_a_line_is_typed(notebook, name):
    page = notebook(name)
    run_all(page)
    waiting = "[...document.querySelectorAll('.jp-InputPrompt')].some(p => p.innerText == '[*]:')"
    page.wait_for_function(f"() => !{waiting}")
    field = page.locator(".widget-text input")
    field.scroll_into_view_if_needed()
    field.fill("Für Elise, 你好 🙂")
    field.press("Enter")  # the widget gets two messages, at once
    page.wait_for_timeout(5000)
    page.screenshot(path=PICTURES / f"{name}-typed.png")
    assert page.locator(".widget-interact img").count() == 1
    # Ours, with its text: not what Jupyter makes of a figure that is still being drawn.
    assert "Für Elise, 你好 🙂" in page.locator(".widget-interact img").get_attribute("alt")


def test_the_map_of_the_book_is_drawn(notebook):
    page = notebook("00_welcome")
    page.set_viewport_size({"width": 1600, "height": 1000})
    drawing = page.locator(".jp-RenderedMermaid img, .jp-RenderedMarkdown .jp-RenderedMermaid")
    drawing.first.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-RenderedMarkdown img')]"
        ".every(image => image.naturalWidth > 0 && image.clientWidth > 300)"
    )
    page.screenshot(path=PICTURES / "00_welcome-map.png")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("name", ["03_linear", "09_layernorm", "10_attention"])
def test_equations_and_figures_are_shown(notebook, name, theme):
    page = notebook(name)
    command(page, "apputils:change-theme", {"theme": f"JupyterLab {theme}"})
    page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(state="attached")
    page.wait_for_selector(".jp-RenderedMarkdown mjx-container")
    text = " ".join(page.locator(".jp-RenderedMarkdown").all_inner_texts())
    assert "$" not in text and page.locator("mjx-merror").count() == 0
    figures = page.locator(".jp-RenderedHTML img")
    assert figures.count() >= 2
    for figure in figures.all():
        assert len(figure.get_attribute("alt")) > 40
        assert figure.evaluate("image => image.naturalWidth") > 300
    for number, figure in enumerate(figures.all()):
        figure.scroll_into_view_if_needed()
        page.screenshot(path=PICTURES / f"{name}-{theme.lower()}-{number}.png")
