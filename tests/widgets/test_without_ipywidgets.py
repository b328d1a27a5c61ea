"""Where ipywidgets is missing, a widget's cell says so in one line, and the chapter goes on."""

import ast
import builtins
import sys

import pytest
from IPython.core.formatters import DisplayFormatter
from pages import PAGES, control_cell


@pytest.fixture(params=["missing", "broken"])
def without_ipywidgets(request, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "ipywidgets"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "coursekit.widgets", raising=False)
    if request.param == "missing":
        monkeypatch.setitem(sys.modules, "ipywidgets", None)
    else:
        (tmp_path / "ipywidgets.py").write_text("raise ImportError('a DLL is missing')")
        monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("coursekit.widgets", None)  # the next test has ipywidgets again


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_cell_says_in_one_line_that_ipywidgets_is_missing(page, without_ipywidgets):
    tree = ast.parse(control_cell(page))
    # The chapter's functions, which the controls would call, stand in the cell by name only.
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = dict.fromkeys(used - set(dir(builtins)))
    exec(compile(tree, page.path, "exec"), names)
    assert ast.unparse(tree.body[-1]) == "panel"  # the cell ends by showing it
    shown, _ = DisplayFormatter().format(names["panel"])
    [line] = shown["text/plain"].splitlines()
    assert "for want of ipywidgets" in line and "%pip install ipywidgets" in line
