"""`review()` in a notebook: the questions that a terminal asks, with buttons."""

import os
import sys

from coursekit.checking.record import INPUTS
from coursekit.files import BookError, failed
from coursekit.memory.history import GRADES
from coursekit.memory.session import AT_MOST, Session


def review(upto=None, number=AT_MOST):
    """Ask today's questions about what you have read: show the answer, then say how it went.

    Args:
        upto: the last chapter that you have read, such as "09"; it is remembered. Without it,
            the latest of this notebook's and those whose exercises you have begun.
        number: of questions a day, at most.

    Raises:
        BookError: there is no such chapter, or there can be no buttons.
    """
    if INPUTS in os.environ or "COURSEKIT_NOTEBOOK" in os.environ:
        return  # nobody is there to answer
    if sys.platform == "emscripten":
        raise BookError("a page of the book cannot ask: python -m coursekit review can, elsewhere")
    try:
        import ipywidgets
    except ImportError:
        raise BookError("no buttons without ipywidgets: python -m coursekit review asks") from None
    from IPython.display import display

    display(Panel(ipywidgets, Session(upto, number)).box)


class Panel:
    """A question; a button that shows the answer; then four that grade it."""

    def __init__(self, widgets, session):
        self.session = session
        self.text, self.said = widgets.Output(), widgets.Label()
        self.show = widgets.Button(description="Show the answer")
        self.show.on_click(lambda _: self.answer())
        self.grades = [widgets.Button(description=grade) for grade in GRADES]
        for button in self.grades:
            button.on_click(lambda button: self.grade(button.description))
        self.buttons = widgets.HBox()
        self.box = widgets.VBox([self.text, self.buttons, self.said])
        self.ask()

    def ask(self):
        card = self.session.card
        if card is None:
            self.write(self.session.end())
            self.buttons.children = ()
        else:
            self.write(f"*{self.session.title()}*", card.prompt)
            self.buttons.children = (self.show,)

    def answer(self):
        card = self.session.card
        self.write(f"*{self.session.title()}*", card.prompt, "---", card.answer)
        self.buttons.children = tuple(self.grades)

    def grade(self, grade):
        if self.buttons.children != tuple(self.grades):
            return  # the second click of two
        try:
            self.said.value = self.session.grade(grade)
        except OSError as error:  # not kept: the card stays
            self.said.value = failed(error)
        else:
            self.ask()

    def write(self, *parts):
        """Show Markdown in place of what stood there; JupyterLab draws its formulas."""
        text = "\n\n".join(parts)
        data = {"text/markdown": text, "text/plain": text}
        shown = {"output_type": "display_data", "data": data, "metadata": {}}
        self.text.outputs = (shown,)
