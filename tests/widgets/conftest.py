import matplotlib
import pytest
from headless import Widget

from coursekit.checking.tasks import ROOT
from coursekit.source import read_page


@pytest.fixture
def widget(monkeypatch):
    """Return the Widget of a chapter, by its name: widget("06_optimizers")."""
    matplotlib.use("Agg")
    monkeypatch.chdir(ROOT / "notebooks")
    # Nobody looks at the picture itself, which takes a quarter of the time.
    monkeypatch.setattr("coursekit.figures.png_of", lambda *args, **kwargs: b"")
    return lambda name: Widget(read_page(ROOT, f"book/chapters/{name}.py"))
