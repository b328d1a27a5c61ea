"""Widgets without a browser: run the cells that it needs, move a slider, look at the figure."""

import time

import matplotlib
import pytest

from coursekit import add_to_class
from coursekit.checking.tasks import ROOT
from coursekit.source import read_page


class Widget:
    """The widget of a chapter. `move` sets controls and returns the figure that it then shows."""

    def __init__(self, page):
        self.names = {"add_to_class": add_to_class}
        for cell in page.cells:
            # A widget may call what its chapter exports, and what other cells with its tag define.
            if {"widget", "export"} & set(cell["metadata"].get("tags", [])):
                exec(compile(cell["source"], page.path, "exec"), self.names)
        self.panel = self.names["panel"]
        self.panel.update()
        self.seconds = []  # what each move took

    def move(self, **values):
        controls = self.panel.kwargs_widgets
        known = {control.description: control for control in controls}
        for name, value in values.items():
            start = time.perf_counter()
            known[name].value = value
            self.seconds.append(time.perf_counter() - start)
            assert self.panel.result is not None, f"{name}={value} drew nothing"
        return self.panel.result


@pytest.fixture
def widget(monkeypatch):
    """Return the Widget of a chapter, by its name: widget("06_optimizers")."""
    matplotlib.use("Agg")
    monkeypatch.chdir(ROOT / "notebooks")
    return lambda name: Widget(read_page(ROOT, f"book/chapters/{name}.py"))
