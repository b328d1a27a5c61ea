"""What the book does where there is no ruff and no jupytext: in a page of a browser, for one."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from answers import REPOSITORY

from coursekit import exporter, notebook, source
from coursekit.checking import ending, tasks
from coursekit.exporter import as_written, modules_of, same_code
from coursekit.source import as_json, read_page

CHAPTERS = sorted(path.stem for path in (REPOSITORY / "book" / "chapters").glob("*.py"))
MODULE = '''"""Twice. Derived in chapter 1."""

import math
from numpy import sqrt


def twice(x):
    return 2 * sqrt(x)
'''


def cells(name):
    return read_page(REPOSITORY, f"book/chapters/{name}.py").cells


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_a_chapter_exports_without_ruff_is_the_package_s_code(name):
    modules, undefined = as_written(modules_of(cells(name), lambda index, line: "here"))
    assert undefined == []
    for module, text in modules.items():
        assert same_code((REPOSITORY / "numpygpt" / module).read_text("utf-8"), text), module


@pytest.mark.parametrize(
    "other",
    [
        MODULE.replace("import math\n", ""),
        MODULE.replace("import math\nfrom numpy import sqrt", "from numpy import sqrt\nimport os"),
        MODULE.replace("2 * sqrt(x)", "(2\n            * sqrt(x))  # twice"),
        MODULE.replace("    return", "    pass\n    return"),
    ],
    ids=["unused import", "order of imports", "layout and comments", "needless pass"],
)
def test_what_ruff_would_change_is_no_difference(other):
    assert other != MODULE
    assert same_code(MODULE, other)


@pytest.mark.parametrize(
    "other",
    [
        MODULE.replace("2 * sqrt", "2 + sqrt"),
        MODULE.replace("from numpy", "from math"),
        MODULE.replace("numpy import sqrt", "numpy import cbrt as sqrt"),
        MODULE.replace("Twice.", "Thrice."),
        MODULE + "\n\nleft = 1\n",
        MODULE.replace("    return 2 * sqrt(x)", "    pass"),
    ],
    ids=["operator", "origin of a name", "another name", "docstring", "statement", "only pass"],
)
def test_other_code_is_a_difference(other):
    assert other != MODULE
    assert not same_code(MODULE, other)


def test_a_name_that_nothing_defines_is_found_without_ruff():
    text = MODULE.replace("sqrt(x)", "sqrt(x) * scale(__name__, [y for y in x])")
    _, undefined = as_written({"twice.py": text})
    line = "return 2 * sqrt(x) * scale(__name__, [y for y in x])"
    assert undefined == [("twice.py", "Undefined name `scale`", line)]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's Linear, a way to save chapter 3 beside it, and no ruff."""
    (tmp_path / "numpygpt" / "nn").mkdir(parents=True)
    shutil.copy(REPOSITORY / "numpygpt" / "nn" / "linear.py", tmp_path / "numpygpt" / "nn")
    monkeypatch.chdir(tmp_path)
    for name in ("COURSEKIT_NOTEBOOK", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(exporter, "has_ruff", lambda: False)
    monkeypatch.setattr(notebook, "package_root", lambda: tmp_path)
    monkeypatch.setattr(notebook, "history", lambda: [])

    def save(old="", new=""):
        text = json.dumps({"cells": cells("03_linear")})
        assert old in text
        (tmp_path / "03_linear.ipynb").write_text(text.replace(old, new), encoding="utf-8")

    return SimpleNamespace(save=save, module=tmp_path / "numpygpt" / "nn" / "linear.py")


def test_an_unchanged_chapter_exports_what_the_package_holds(package, capsys):
    package.save()
    before = package.module.read_bytes()
    notebook.export("03_linear")
    lines = before.count(b"\n")
    said = f"numpygpt/nn/linear.py: {lines} lines, the package already holds exactly this\n"
    assert capsys.readouterr().out == said
    assert package.module.read_bytes() == before


def test_a_changed_chapter_is_written_and_in_a_browser_reset_is_named(package, capsys, monkeypatch):
    package.save("self.dW += x.T @ rows", "self.dW += 2 * x.T @ rows")
    notebook.export("03_linear")
    assert "kept as numpygpt/nn/linear.py.old1" in capsys.readouterr().out
    package.save("self.dW += x.T @ rows", "self.dW += 3 * x.T @ rows")
    monkeypatch.setattr(sys, "platform", "emscripten")
    notebook.export("03_linear")
    assert "Reset brings the book's own back" in capsys.readouterr().out
    assert "self.dW += 3 * x.T @ rows" in package.module.read_text("utf-8")
    assert len(list(package.module.parent.iterdir())) == 2  # no second old file


def test_a_browser_has_no_ruff(monkeypatch):
    assert exporter.has_ruff()
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert not exporter.has_ruff()


@pytest.fixture
def pages_only(tmp_path):
    """A folder with the pages of set 3 as JSON, and nothing else of the book."""
    for folder in ("exercises", "checks"):
        page = read_page(REPOSITORY, f"book/{folder}/03_linear.py")
        path = tmp_path / "book" / folder / "03_linear.json"
        path.parent.mkdir(parents=True)
        path.write_text(as_json(page), encoding="utf-8")
    return tmp_path


def test_a_page_is_the_same_from_json(pages_only):
    for folder in ("exercises", "checks"):
        path = f"book/{folder}/03_linear.py"
        assert read_page(pages_only, path) == read_page(REPOSITORY, path)


def test_a_percent_file_counts_before_json(pages_only):
    path = pages_only / "book" / "checks" / "03_linear.py"
    path.write_text("# %%\nnewer = 1\n", encoding="utf-8")
    [cell] = read_page(pages_only, "book/checks/03_linear.py").cells
    assert cell["source"] == "newer = 1"


def test_tasks_are_found_and_judged_from_json_without_jupytext(pages_only):
    assert tasks.set_names(pages_only) == ["03_linear"]
    expected = {t: name for t, name in tasks.task_ids().items() if name == "03_linear"}
    assert tasks.task_ids(pages_only) == expected
    code = f"""
import sys
sys.modules["jupytext"] = None
from pathlib import Path
import numpy as np
from coursekit.checking import check, tasks
exercises, task = tasks.find_set("3", Path({str(pages_only)!r})), "linear-backward"
mistake = exercises.tasks[task].of_kind("mistake")[0].name
for name in (None, mistake):
    answer = exercises.variant_answer(task, name)
    print(check.verdict_on(exercises, task, answer, seed=0).is_right)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.stdout.split(), done.stderr) == (["True", "False"], "")


def test_the_package_page_names_are_those_of_both_kinds_of_file(pages_only):
    (pages_only / "book" / "checks" / "04_more.py").write_text("# %%\n", encoding="utf-8")
    assert source.page_names(pages_only, "checks") == ["03_linear", "04_more"]


@pytest.mark.parametrize("name", ["pthread_getcpuclockid", "clock_gettime"])
def test_a_check_counts_the_process_where_a_thread_has_no_clock(name, monkeypatch):
    def refuse(*args):
        raise FileNotFoundError(44, "No such file or directory")

    monkeypatch.setattr(ending.time, name, refuse, raising=False)
    assert ending.clock_of_this_thread() is ending.time.process_time


def test_one_thread_needs_no_pool(monkeypatch):
    """A browser has the class, and can start no thread."""
    from test_engine import batch, make, results

    from numpygpt import engine
    from numpygpt.training import LayersEngine

    def refuse(*args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(engine, "ThreadPoolExecutor", refuse)
    model = make()
    expected, grads = results(LayersEngine(model), model)
    one = engine.ThreadedEngine(model, 1, piece_tokens=10)
    loss, got = results(one, model)
    assert np.isclose(loss, expected) and np.isclose(one.loss(*batch()), expected)
    assert all(np.allclose(got[name], g, rtol=1e-10, atol=1e-12) for name, g in grads.items())
    with pytest.raises(RuntimeError, match="start new thread"):
        engine.ThreadedEngine(model, 2)
