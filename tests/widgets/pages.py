"""The chapters that have a widget."""

from coursekit.checking.tasks import ROOT
from coursekit.source import read_page

PAGES = [
    read_page(ROOT, f"book/chapters/{path.name}")
    for path in sorted((ROOT / "book" / "chapters").glob("*.py"))
    if '"widget"' in path.read_text("utf-8")
]


def control_cell(page):
    """The source of the cell that makes the widget's controls."""
    [source] = [
        cell["source"]
        for cell in page.cells
        if {"widget", "skip-execution"} <= set(cell["metadata"].get("tags", []))
    ]
    return source
