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
    return lambda name: Widget(read_page(ROOT, f"book/chapters/{name}.py"))
