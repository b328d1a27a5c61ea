"""A widget is moved long after its cell has run: what it calls by name must still be the same."""

import symtable

import pytest
from pages import PAGES


def code_of(page):
    """(tags, symbol table) of each code cell."""
    for cell in page.cells:
        if cell["cell_type"] == "code":
            yield cell["metadata"].get("tags", []), symtable.symtable(cell["source"], "", "exec")


def used_in_functions(table):
    """The global names that functions of a cell will look up when they are called."""
    names = set()
    for child in table.get_children():
        if child.get_type() == "function":
            names |= set(child.get_globals())
        names |= used_in_functions(child)
    return names


def bound(table):
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() and not s.is_imported()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_later_cell_changes_a_name_that_the_widget_uses(page):
    cells = list(code_of(page))
    used = set().union(*(used_in_functions(table) for tags, table in cells if "widget" in tags))
    [panel] = [i for i, (_, table) in enumerate(cells) if "panel" in bound(table)]
    changed = {
        (number + 1, name)
        for number, (tags, table) in enumerate(cells[panel + 1 :], start=panel + 1)
        for name in used & bound(table)
    }
    assert not changed, "cell and name"
