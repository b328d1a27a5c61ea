"""Widgets without a browser: run the cells that one needs, move a control, get the figure."""

import time

from coursekit import add_to_class


class Widget:
    """The widget of a chapter. `move` sets controls and returns the figure that it then shows."""

    def __init__(self, page):
        self.names = {"add_to_class": add_to_class}
        for cell in page.cells:
            # A widget may call what its chapter exports, and what other cells with its tag define.
            if {"widget", "export"} & set(cell["metadata"].get("tags", [])):
                exec(compile(cell["source"], page.path, "exec"), self.names)
        self.panel = self.names["panel"]
        self.controls = {control.description: control for control in self.panel.kwargs_widgets}
        self.panel.update()
        self.seconds = []  # what each move took

    def move(self, **values):
        for name, value in values.items():
            start = time.perf_counter()
            self.controls[name].value = value
            self.seconds.append(time.perf_counter() - start)
            assert self.panel.result is not None, f"{name}={value} drew nothing"
        return self.panel.result
