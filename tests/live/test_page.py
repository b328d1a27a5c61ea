"""Stop, Reset, sliders by keyboard, and that what a reader typed is kept."""

import json

import pytest


def cells_of(site, key):
    path = site.folder / "live" / "pages" / f"{key}.json"
    return json.loads(path.read_text("utf-8"))["cells"]


def find(site, key, part):
    """The number of the only cell with a part of text."""
    [number] = [n for n, c in enumerate(cells_of(site, key)) if part in c["source"]]
    return number


def test_stop_ends_an_endless_loop_and_the_page_goes_on(live):
    live.open("notebooks/03_linear").start()
    live.type(0, "kept = 1\nwhile True:\n    print('round')")
    live.cell(0).get_by_role("button").first.click()
    live.page.wait_for_function("() => document.body.innerText.includes('round')")
    live.press("Stop")
    assert live.state(0) == "failed"
    assert live.status().startswith("Stopped. What ran is forgotten")
    live.page.wait_for_timeout(500)
    assert live.page.workers == []  # or it would go on, unseen
    live.type(0, "print('again', 'kept' in globals())")
    assert live.run(0) == "again False\n"


def test_a_cell_that_fails_ends_run_all(live):
    live.open("notebooks/03_linear").start()
    live.type(1, "1 / 0")
    live.run_all()
    assert [live.state(n) for n in range(3)] == ["done", "failed", "stored"]
    assert "ZeroDivisionError" in live.printed(1)
    assert live.status() == "Cell 2 failed."
    live.type(1, "print('mended')")
    assert live.run(1) == "mended\n"


def test_a_progress_bar_stays_on_its_line(live):
    live.open("notebooks/03_linear").start()
    live.type(0, "for n in range(3):\n    print(f'\\r{n} of 3', end='')\nprint('\\rall 3')")
    assert live.run(0) == "all 3\n"


def test_a_file_that_does_not_come_is_named_and_the_next_cell_tries_again(live, site):
    path = site.folder / "live" / "book.zip"
    live.open("notebooks/03_linear")
    path.rename(path.with_suffix(".away"))
    try:
        live.press("Run this page")
        live.page.get_by_text("Python stopped: book.zip could not be loaded: 404").wait_for()
    finally:
        path.with_suffix(".away").rename(path)
    live.type(0, "print('here')")
    assert live.run(0) == "here\n"
    assert all("404" in text for text in live.trouble)
    live.trouble.clear()


def test_a_page_of_an_older_edition_says_so_and_runs_nothing(live, site):
    live.open("notebooks/03_linear")
    path = site.folder / "live" / "worker.js"
    text = path.read_text("utf-8")
    edition = site.make["edition"](site.folder / "live")
    assert edition in text
    try:
        path.write_text(text.replace(edition, "another"), encoding="utf-8")
        live.press("Run this page")
        live.page.get_by_text("the book was renewed while this page was open").wait_for()
    finally:
        path.write_text(text, encoding="utf-8")
    assert live.state(0) is None


def test_a_browser_that_keeps_nothing_says_so_and_runs_all_the_same(live, site):
    nothing = "{ open() { throw new Error('not here') } }"
    live.page.add_init_script(f"Object.defineProperty(self, 'indexedDB', {{ value: {nothing} }})")
    live.open("exercises/03_linear")
    live.page.get_by_text("This browser keeps nothing here (not here)").wait_for()
    live.start()
    live.type(0, "print(3)")
    assert live.run(0) == "3\n"
    live.page.goto(f"{site.address}/index.html")
    live.page.locator("#live-progress progress").first.wait_for()


def test_an_endless_print_does_not_fill_the_page(live):
    live.open("notebooks/03_linear").start()
    live.type(0, "for n in range(100_000):\n    print('a line of text', n)")
    shown = live.run(0)
    assert live.state(0) == "done"
    assert 190_000 < len(shown) < 210_000
    assert shown.rstrip().endswith("is not shown")


def test_reset_brings_the_stored_page_back(live, site):
    live.open("notebooks/03_linear")
    before = live.page.locator("article").inner_text().split()
    live.start()
    number = find(site, "notebooks/03_linear", "self.dW += x.T @ rows")
    stored = live.text(number)
    live.type(number, stored.replace("self.dW +=", "self.dW -="))
    live.type(0, "print('mine')")
    assert live.run(0) == "mine\n"
    live.press("Reset")
    live.page.wait_for_function("() => !document.body.innerText.includes('mine')")
    assert live.text(number) == stored
    live.page.reload()
    live.page.wait_for_selector(".live-bar button")
    assert live.page.locator("article").inner_text().split() == before


def test_reset_takes_the_points_of_a_set_and_nothing_after_a_no(live, site):
    key = "exercises/03_linear"
    answer = next(n for n, c in enumerate(cells_of(site, key)) if "answer" in c)
    solution = cells_of(site, key)[answer]["solution"]
    live.open(key).start()
    live.type(answer, solution)
    live.run_all()
    live.page.get_by_text("2 of ").wait_for()
    live.says_yes = False
    live.press("Reset")
    assert live.text(answer) == solution
    live.page.get_by_text("2 of ").wait_for()
    live.says_yes = True
    live.press("Reset")
    live.page.get_by_text("0 of ").wait_for()
    assert live.page.workers == []
    live.page.reload()
    live.page.get_by_text("0 of ").wait_for()
    live.page.get_by_role("button", name="Run this page").wait_for()


def test_what_was_typed_is_kept_over_a_reload_and_a_new_edition(live, site):
    key = "notebooks/03_linear"
    live.open(key).start()
    for number, text in [(0, "print('first')"), (1, "print('second')")]:
        live.type(number, text)
    live.page.reload()
    live.page.wait_for_selector(".cm-content")
    assert [live.text(0), live.text(1)] == ["print('first')", "print('second')"]
    assert live.run(1) == "second\n"
    # A new edition, in which the second cell is another one.
    path = site.folder / "live" / "pages" / f"{key}.json"
    old = path.read_text("utf-8")
    page = json.loads(old)
    page["cells"][1]["key"] = "another"
    try:
        path.write_text(json.dumps(page), encoding="utf-8")
        live.page.reload()
        live.page.wait_for_selector(".cm-content")
        assert live.text(0) == "print('first')"
        assert live.text(1).split() == cells_of(site, key)[1]["source"].split()
        lost = live.page.locator(".live-lost")
        assert lost.locator("summary").inner_text().startswith("1 text of yours")
        assert lost.locator("pre").text_content() == "print('second')"
        live.type(2, "print('third')")  # what is saved now must not forget it
        live.page.reload()
        live.page.wait_for_selector(".live-lost")
    finally:
        path.write_text(old, encoding="utf-8")


def test_export_shows_the_module_and_a_later_chapter_uses_it_until_reset(live, site):
    key = "notebooks/03_linear"
    number = find(site, key, "self.dW += x.T @ rows")
    last = find(site, key, 'export("03_linear")')
    live.open(key).start().run_all()
    assert "the package already holds exactly this" in live.printed(last)
    live.type(number, live.text(number).replace("self.dW +=", "self.mine = True\n    self.dW +="))
    live.run_all()
    assert "written in place of the book's" in live.printed(last)
    assert "self.mine = True" in live.cell(last).locator(".live-module pre").text_content()
    live.open("notebooks/04_activations").start()
    question = (
        "import inspect, numpygpt.nn.linear as m\n"
        "print('mine' in inspect.getsource(m.Linear.backward))"
    )
    live.type(0, question)
    assert live.run(0) == "True\n"
    live.open(key)
    live.page.wait_for_selector(".cm-content")
    live.press("Reset")
    live.page.wait_for_function("() => document.body.innerText.includes('The page is as it was')")
    live.open("notebooks/04_activations")
    live.page.wait_for_selector(".cm-content")
    assert live.run(0) == "False\n"


def test_an_export_cell_that_was_changed_and_not_run_is_named(live, site):
    key = "notebooks/03_linear"
    number = find(site, key, "self.dW += x.T @ rows")
    live.open(key).start().run_all()
    live.type(number, live.text(number).replace("self.dW +=", "self.dW -="))
    shown = live.run(find(site, key, 'export("03_linear")'))
    assert "nothing exported" in shown and "is not what ran here last" in shown


@pytest.mark.parametrize(
    ("name", "control"),
    [("01_gradients", "log10 eps"), ("06_optimizers", "beta2"), ("09_layernorm", "size")],
)
def test_a_slider_moves_by_keyboard_and_the_figure_follows(live, site, name, control):
    live.open(f"notebooks/{name}").start().run_all()
    cell = live.cell(find(site, f"notebooks/{name}", "\npanel = interactive("))
    slider = cell.get_by_label(control)
    picture = cell.locator(".live-drawn img")
    before = picture.get_attribute("src")
    slider.focus()
    slider.press("ArrowLeft")
    live.page.wait_for_function(
        "old => ![...document.querySelectorAll('.live-drawn img')].some(i => i.src === old)",
        arg=before,
    )
    picture.wait_for()
    assert picture.count() == 1
    assert len(picture.get_attribute("alt")) > 40
    shown = slider.locator("xpath=following-sibling::output")
    assert slider.get_attribute("aria-valuetext") == shown.inner_text() != ""
    live.press("Stop")
    slider.press("ArrowLeft")
    assert live.status().startswith("The Python that drew this figure was stopped")


def test_of_a_slider_that_moves_on_while_a_figure_is_drawn_the_last_place_counts(live):
    live.open("notebooks/03_linear").start()
    live.type(
        0,
        "import time\nfrom coursekit.widgets import IntSlider, interactive\ndrawn = []\n"
        "def draw(n):\n    drawn.append(n)\n    print('at', n)\n    time.sleep(1)\n"
        "interactive(draw, n=IntSlider(1, min=1, max=9))",
    )
    live.run(0)
    slider = live.cell(0).get_by_label("n")
    before = slider.get_attribute("aria-valuetext")
    slider.focus()
    for _ in range(6):
        slider.press("ArrowRight")
    live.page.get_by_text("at 7").wait_for()
    assert (before, slider.get_attribute("aria-valuetext")) == ("1", "7")
    assert live.cell(0).locator(".live-drawn").inner_text().split() == ["at", "7"]
    live.type(1, "print(drawn)")
    assert live.run(1) == "[1, 2, 7]\n"


def test_all_is_saved_to_a_file_and_read_from_it_in_another_browser(live, site, browser, tmp_path):
    live.open("notebooks/03_linear").start()
    live.type(0, "print('from a file')")
    with live.page.expect_download() as download:
        live.press("Save to a file")
    path = tmp_path / "kept.json"
    download.value.save_as(path)
    assert json.loads(path.read_text("utf-8"))["numpygpt"] == 1
    other = type(live)(site, browser.new_context().new_page())
    other.open("notebooks/03_linear").start()
    for text, reason in [
        ("no", "it is not JSON"),
        ('{"a": 1}', "this is no file that this page saved"),
        ('{"numpygpt": 1, "files": {"../x": "1"}}', "its entry ../x is not a text of ours"),
        ('{"numpygpt": 1, "cells": {"notebooks/a": {"b": 1}}}', "its entry notebooks/a is not"),
    ]:
        (tmp_path / "bad.json").write_text(text)
        with other.page.expect_file_chooser() as chooser:
            other.press("Read from a file")
        chooser.value.set_files(tmp_path / "bad.json")
        other.page.wait_for_function(
            "part => document.body.innerText.includes(part)", arg="Nothing was read: "
        )
        assert reason in other.status()
    with other.page.expect_file_chooser() as chooser:
        other.press("Read from a file")
    with other.page.expect_navigation():
        chooser.value.set_files(path)
    other.page.wait_for_selector(".cm-content")
    assert other.text(0) == "print('from a file')"
    other.page.context.close()
    assert other.trouble == []


def test_shift_enter_runs_a_cell_and_goes_to_the_next_and_tab_leaves_it(live):
    live.open("notebooks/03_linear").start()
    live.type(0, "")
    live.cell(0).locator(".cm-content").focus()
    live.page.keyboard.type("for n in range(2):\nprint(n)")  # the editor indents
    live.page.keyboard.press("Shift+Enter")
    live.wait()
    assert live.printed(0) == "0\n1\n"
    assert live.cell(1).locator(".cm-content:focus").count() == 1
    live.page.keyboard.press("Tab")
    assert live.page.locator(".cm-content:focus").count() == 0
    assert live.page.evaluate("document.activeElement.getAttribute('aria-label')") == "run cell 2"


def test_bytes_before_the_first_figure_and_before_run(site):
    """Gzipped, as a server sends them; the limits are those of the book's plan."""
    import gzip

    live = site.folder / "live"

    def size(*patterns):
        paths = [path for pattern in patterns for path in live.glob(pattern)]
        return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)

    figure = {"matplotlib", "pillow", "kiwisolver", "contourpy", "pyparsing", "packaging"}
    figure |= {"cycler", "six", "python_dateutil"}
    wheels = [p.name for p in live.glob("pyodide/*.whl")]
    first = [f"pyodide/{name}" for name in wheels if name.split("-")[0] not in figure]
    assert [name.split("/")[1].split("-")[0] for name in first] == ["numpy"]
    core = size(*(f"pyodide/*.{end}" for end in ("mjs", "js", "json", "zip", "wasm")))
    runner = core + size(*first, "*.js", "*.css", "book.zip", "tasks.zip", "data/*.txt")
    more = size("pyodide/*.whl") - size(*first)
    print(f"{runner:,} bytes before the first figure, {more:,} for it")
    assert runner < 10_000_000
    assert size("live.js", "live.css") < 30_000
