"""A site of plain pages around the live runner, a server for it, and a real Chromium."""

import runpy
from types import SimpleNamespace

import pytest
from chromium import launched, served
from pages import ROOT, write_pages
from playwright.sync_api import sync_playwright

ONE_CELL = 300_000  # milliseconds: the slowest that is not tagged slow, on a machine under load


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the site, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("site")
    make = runpy.run_path(str(ROOT / "site" / "live" / "build.py"))
    make["build"](folder / "live")
    write_pages(folder)
    with served(folder) as address:
        yield SimpleNamespace(address=address, folder=folder, make=make)


@pytest.fixture(scope="session")
def browser():
    with launched(sync_playwright, pytest.fail) as browser:
        yield browser


class Live:
    """A page of the site, as a reader has it before them."""

    def __init__(self, site, page):
        self.site, self.page = site, page
        self.says_yes = True  # to what the page asks
        self.trouble = []  # what a reader's console would show, and requests that leave the site
        page.on("console", lambda m: self.trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("request", self.request)
        page.on("dialog", lambda box: box.accept() if self.says_yes else box.dismiss())
        page.set_default_timeout(60_000)

    def request(self, request):
        if not request.url.startswith((self.site.address, "data:", "blob:")):
            self.trouble.append(f"left the site: {request.url}")

    def open(self, path):
        self.page.goto(f"{self.site.address}/{path}.html")
        self.page.wait_for_selector(".live-bar button")
        return self

    def press(self, name):
        self.page.locator(".live-bar").get_by_role("button", name=name, exact=True).click()

    def start(self):
        self.press("Run this page")
        self.page.wait_for_selector("html[data-live=ready]", timeout=ONE_CELL)
        return self

    def run_all(self):
        self.press("Run all")
        self.wait()

    def run(self, number, timeout=ONE_CELL):
        """Run one cell, as its button does."""
        cell = self.cell(number)
        cell.locator(".live-cell-bar button").first.click()
        self.wait(timeout)
        return self.printed(number)

    def wait(self, timeout=ONE_CELL):
        """Until nothing runs or waits; each cell may take as long as `timeout`."""
        count = "document.querySelectorAll('[data-live=queued], [data-live=running]').length"
        while left := self.page.evaluate(count):
            self.page.wait_for_function(f"left => {count} < left", arg=left, timeout=timeout)

    def cell(self, number):
        return self.page.locator("div.cell").nth(number)

    def type(self, number, text):
        self.cell(number).evaluate("(box, text) => box.liveCell.editor.put(text)", text)
        self.page.wait_for_timeout(400)  # until it is kept

    def text(self, number):
        return self.cell(number).evaluate("box => box.liveCell.text")

    def state(self, number):
        return self.cell(number).get_attribute("data-live")

    def seconds(self, number):
        """How long a cell ran."""
        return int(self.cell(number).get_attribute("data-live-ms") or 0) / 1000

    def printed(self, number):
        """What stands under a cell as text: what it printed, its value, an error."""
        boxes = self.cell(number).locator(".cell_output .output:not(.text_html) pre")
        return "".join(text.rstrip("\n") + "\n" for text in boxes.all_text_contents())

    def status(self):
        return self.page.locator(".live-bar [role=status]").inner_text()


@pytest.fixture
def live(site, browser):
    """A page in a browser of its own, which keeps nothing; its console must stay empty."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = Live(site, context.new_page())
    yield page
    context.close()
    assert page.trouble == []
