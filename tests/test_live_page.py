"""The parts of the live page that need no browser: its Python, and what its build knows."""

import hashlib
import importlib.util
import json
import sys
import zipfile

import pytest
from answers import REPOSITORY

from coursekit.files import BookError

LIVE = REPOSITORY / "site" / "live"


def load(name):
    spec = importlib.util.spec_from_file_location(f"live_{name}", LIVE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The page's Python at work in a folder; `shown` holds what it says."""
    module = load("run")
    module.shown = []
    monkeypatch.setattr(module, "BOOK", tmp_path)
    monkeypatch.setattr(module, "space", {"__name__": "__main__"})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setenv("MPLBACKEND", "agg")
    import coursekit
    from coursekit import notebook

    monkeypatch.setattr(coursekit, "export", coursekit.export, raising=False)
    monkeypatch.setattr(notebook, "history", notebook.history)
    monkeypatch.chdir(tmp_path)
    page = {"folder": "notebooks", "name": "03_linear", "modules": ["nn/linear.py"], "files": {}}
    module.begin(json.dumps(page), lambda *said: module.shown.append(said))
    module.cell = lambda source: module.run(source, "[]")
    return module


def needs_matplotlib(run, source):
    return json.loads(run.needs(source))["matplotlib"]


def test_the_value_of_a_last_line_is_shown_and_names_stay(run, capsys):
    assert run.cell("a = 2\nprint(a)\na + 1")
    assert run.cell("a * 10")
    assert run.cell("b = None\nb")
    assert capsys.readouterr().out == "2\n"
    assert run.shown == [("text", "3"), ("text", "20")]


def test_an_error_is_shown_from_the_cell_on_with_its_line(run):
    assert not run.cell("def f():\n    return 1 / 0\nf()")
    [(kind, text)] = run.shown
    assert kind == "error" and text.endswith("ZeroDivisionError: division by zero")
    assert "return 1 / 0" in text and "live_run" not in text and "run.py" not in text


@pytest.mark.parametrize("source", ["1 +", "raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_nothing_that_a_cell_does_ends_the_page_s_python(run, source):
    assert not run.cell(source)
    assert run.shown[0][0] == "error"
    assert run.cell("1")


def test_a_short_form_of_an_error_is_taken(run):
    assert not run.cell("from coursekit.files import BookError\nraise BookError('mend this')")
    assert run.shown == [("error", "mend this")]


def test_matplotlib_waits_for_the_first_cell_that_draws(run):
    assert not needs_matplotlib(run, "from coursekit.figures import BLUE, show, subplots")
    assert not needs_matplotlib(run, "from coursekit import export, figures")
    assert not needs_matplotlib(
        run, "def draw():\n    figure, axes = subplots()\n    return figure"
    )
    assert not needs_matplotlib(run, "class A:\n    def draw(self):\n        figures.show(1, 'a')")
    assert not needs_matplotlib(run, "export('03_linear')\nx = 1")
    assert not needs_matplotlib(run, "x = (")
    assert needs_matplotlib(run, "figure = draw()")
    assert needs_matplotlib(run, "A().draw()")
    assert needs_matplotlib(run, "from matplotlib.patches import Rectangle")


def test_what_the_browser_keeps_is_told_when_it_changes(run, tmp_path):
    (tmp_path / "numpygpt").mkdir()
    (tmp_path / "numpygpt" / "a.py").write_text("a = 1\n")
    assert json.loads(run.changed()) == {"numpygpt/a.py": "a = 1\n"}
    assert json.loads(run.changed()) == {}
    (tmp_path / ".progress").mkdir()
    (tmp_path / ".progress" / "task.json").write_text("{}")
    (tmp_path / "numpygpt" / "a.py").unlink()
    assert json.loads(run.changed()) == {".progress/task.json": "{}", "numpygpt/a.py": None}
    assert json.loads(run.changed()) == {}


PANEL = """
from coursekit.widgets import *
seen = []
panel = interactive(lambda **values: seen.append(values), whole=IntSlider(3, min=1, max=9),
                    real=FloatSlider(0.5, max=2), small=FloatLogSlider(1e-5, min=-5, max=1),
                    one=SelectionSlider(options=[1, "two"], value="two"),
                    words=Text("a"), flag=True)
for control in panel.children[:-1]:
    control.style.description_width = "7em"
panel
"""


def test_a_panel_has_the_controls_and_draws_with_their_values(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "coursekit.widgets", raising=False)
    assert run.cell(PANEL), run.shown
    [(kind, text)] = run.shown
    spec = json.loads(text)
    assert kind == "panel"
    controls = {c["key"]: c for c in spec["controls"]}
    assert [c["kind"] for c in spec["controls"]] == "int float log choice text flag".split()
    assert (controls["whole"]["min"], controls["whole"]["max"]) == (1, 9)
    assert controls["small"]["value"] == pytest.approx(-5)
    assert controls["one"]["options"] == ["1", "two"] and controls["one"]["value"] == 1
    for key, value in [
        ("whole", "7"),
        ("small", "-2"),
        ("one", "0"),
        ("words", "ü"),
        ("flag", False),
    ]:
        assert run.move(spec["panel"], key, value)
    [first, *_, last] = run.space["seen"]
    expected = {"whole": 3, "real": 0.5, "small": 1e-5, "one": "two", "words": "a", "flag": True}
    assert first == expected
    changed = {"whole": 7, "small": pytest.approx(0.01), "one": 1, "words": "ü", "flag": False}
    assert last == expected | changed
    assert type(last["whole"]) is int


def test_a_panel_that_fails_says_so_and_goes_on(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "coursekit.widgets", raising=False)
    run.cell(
        "from coursekit.widgets import *\n"
        "interactive(lambda n: print(1 / n), n=IntSlider(1, min=0, max=2))"
    )
    assert not run.move(0, "n", "0")
    assert "ZeroDivisionError" in run.shown[-1][1]
    assert run.move(0, "n", "2")


# The build.


def cells(*sources):
    found = [source if isinstance(source, tuple) else (source,) for source in sources]
    return [{"source": source, "tags": list(tags)} for source, *tags in found]


@pytest.mark.parametrize("tag", ["slow", "own-computer"])
def test_a_cell_needs_the_late_cells_whose_names_it_uses(tag):
    build = load("build")
    found = cells(
        "data = 1", ("model = data", tag), "data", "loss = model", "loss", "model = 2", "model"
    )
    build.add_needs(found)
    assert [cell.get("needs") for cell in found] == [None, None, None, [1], [3], None, None]


@pytest.mark.parametrize(
    ("source", "used", "bound"),
    [
        ("x = x + y", {"x", "y"}, {"x"}),
        ("x = 1\nx + 1", set(), {"x"}),
        ("x += 1", {"x"}, {"x"}),
        ("for n in a:\n    print(n)", {"a", "print"}, set()),
        ("[n * k for n in a]", {"a", "k"}, set()),
        ("def f(a):\n    b = a + c\n    return b", {"c"}, {"f"}),
        ("g = lambda a: a + c", {"c"}, {"g"}),
    ],
)
def test_names_that_a_cell_uses_and_binds(source, used, bound):
    assert load("build").names_of(source) == (used, bound)


def test_an_archive_is_the_same_bytes_each_time(tmp_path):
    build = load("build")
    for name in ("a.zip", "b.zip"):
        build.pack(tmp_path / name, {"x/y.py": b"print(1)\n", "z.json": b"{}"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    times = {i.date_time for i in zipfile.ZipFile(tmp_path / "a.zip").infolist()}
    assert times == {(1980, 1, 1, 0, 0, 0)}  # not that of the build
    assert zipfile.ZipFile(tmp_path / "a.zip").read("x/y.py") == b"print(1)\n"


def test_a_wheel_that_is_not_pyodide_s_own_is_refused(tmp_path):
    build = load("build")
    build.pack(tmp_path / "carrier.whl", {"deep/inside/numpy.whl": b"numpy"})
    carriers = [zipfile.ZipFile(tmp_path / "carrier.whl")]
    right = hashlib.sha256(b"numpy").hexdigest()
    assert build.wheel(carriers, "numpy.whl", right) == b"numpy"
    with pytest.raises(BookError, match="numpy.whl is not the one that Pyodide's list names"):
        build.wheel(carriers, "numpy.whl", "0" * 64)
    with pytest.raises(BookError, match="scipy.whl is in none"):
        build.wheel(carriers, "scipy.whl", right)


def test_packages_come_with_what_they_need_but_for_what_is_left_out():
    build = load("build")
    packages = {
        "numpy": {"depends": []},
        "matplotlib": {"depends": ["numpy", "pytz", "pillow"]},
        "pillow": {"depends": []},
        "pytz": {"depends": []},
    }
    assert build.closure(packages) == ["matplotlib", "numpy", "pillow"]


def test_a_page_knows_its_tasks_answers_and_points():
    build = load("build")
    page = build.page_of("exercises", "03_linear")
    assert page["tasks"] and page["modules"] == []
    answers = [c for c in page["cells"] if "answer" in c]
    assert {c["answer"] for c in answers} == set(page["points"])
    assert {c["check"] for c in page["cells"] if "check" in c} == set(page["points"])
    assert all("NotImplementedError" in c["source"] for c in answers)
    assert all("NotImplementedError" not in c["solution"] for c in answers)
    # What a reader typed is found again in a later edition, whatever changed in the task's text.
    assert all(c["key"] == c["answer"] for c in answers)
    keys = [c["key"] for c in page["cells"]]
    assert len(keys) == len(set(keys))


def test_versions_of_what_the_page_is_made_of_are_pinned_with_checksums():
    site = LIVE.parent
    lock = json.loads((site / "package-lock.json").read_text("utf-8"))
    wanted = json.loads((site / "package.json").read_text("utf-8"))
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    parts = [p for path, p in lock["packages"].items() if path]
    assert all(p["integrity"].startswith("sha512-") and "resolved" not in p for p in parts)
    lines = (site / "wheels.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins and all("==" in line and "--hash=sha256:" in line for line in pins)
