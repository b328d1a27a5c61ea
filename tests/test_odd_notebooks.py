"""Honest notebooks of odd origin are graded as they deserve, or told the real cause."""

import json
import subprocess
import sys

import odd_notebooks as odd
import pytest
from answers import REPOSITORY, type_in
from test_grading import marks

from coursekit.grading.names import file_key

SET, TASK = "03_linear", "linear-backward"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All of them, graded once, as one class: where the marks are."""
    root = tmp_path_factory.mktemp("odd")
    blank = json.loads((REPOSITORY / "exercises" / f"{SET}.ipynb").read_text("utf-8"))
    blank = odd.answer_cell(blank)["source"]

    def put(name, notebook, build=None):
        folder = root / "class" / name
        folder.mkdir(parents=True)
        build = build or odd.files(**{odd.NAME: odd.utf8})
        build(folder, json.dumps(notebook, ensure_ascii=False))

    for name, source in odd.TYPED.items():
        put(name, type_in(SET, root / "scratch", {TASK: source}))
    for name, (source, _) in odd.SAID.items():
        put(name, type_in(SET, root / "scratch", {TASK: source}))
    for name, (change, *_) in odd.CHANGED.items():
        notebook = type_in(SET, root / "scratch", {TASK: odd.ANSWER})
        notebook["blank"] = blank
        change(notebook)
        put(name, notebook)
    for name, (build, *_) in odd.FILES.items():
        put(name, type_in(SET, root / "scratch", {TASK: "# é\n" + odd.ANSWER}), build)
    done = subprocess.run(
        [
            *[sys.executable, "-m", "coursekit", "grade", str(root / "class")],
            *["--assignment", "03", "--out", str(root / "out"), "-j", "2", "--no-nbval"],
        ],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return root / "out"


def page(out, name):
    return (out / "feedback" / f"{file_key(name)}.md").read_text("utf-8")


def test_there_are_more_than_a_hundred():
    assert sum(map(len, (odd.TYPED, odd.SAID, odd.CHANGED, odd.FILES))) > 100


@pytest.mark.parametrize("name", odd.TYPED)
def test_what_a_notebook_allows_costs_nothing(graded, name):
    assert marks(graded)[name]["points"] == "7", page(graded, name)


@pytest.mark.parametrize("name", odd.SAID)
def test_an_answer_that_stops_is_told_its_own_error(graded, name):
    row = marks(graded)[name]
    assert (row["linear-forward"], row[TASK], row["linear-shared"]) == ("2", "0", "2")
    assert odd.SAID[name][1] in page(graded, name)
    assert "is the name defined" not in page(graded, name)


@pytest.mark.parametrize("name", [*odd.CHANGED, *odd.FILES])
def test_an_odd_file_gets_what_its_answers_are_worth(graded, name):
    _, points, said = (odd.CHANGED | odd.FILES)[name]
    row = marks(graded)[name]
    assert row[TASK] == str(points), page(graded, name)
    assert said in page(graded, name)
    assert said or not row["remark"]
