"""What students get: it works by itself, it judges rightly, and no answer is in it."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile
from unittest import mock

import pytest
import yaml
from answers import REPOSITORY, solutions, type_in

from coursekit.__main__ import main
from coursekit.checking.answers import grade_id
from coursekit.checking.check import CheckError
from coursekit.checking.judge import judge
from coursekit.checking.outcomes import outcomes
from coursekit.checking.tasks import load_set, set_names
from coursekit.classroom import contents, handout
from coursekit.classroom.light import __main__ as light
from coursekit.classroom.light import check as light_check
from coursekit.classroom.light import stored
from coursekit.exporter import source_of
from coursekit.source import parts_of
from numpygpt.nn import Linear

SET = "03_linear"
EXERCISES = load_set(SET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("a class") / "hand out"
    assert main(["handout", "03", "--out", str(out), "--github"]) == 0
    return out


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


# --- no answer is in it ---


@functools.cache
def functions_in(text):
    """The bodies of all functions in a source, without docstrings and the names around them."""
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mistake's text
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            found.add("\n".join(ast.unparse(statement) for statement in body))
    return found - {"", "raise NotImplementedError()", "refuse()"}


def code_in(path, text):
    """The Python in a file of a handout."""
    if path.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        return "\n".join(source_of(c) for c in cells if c["cell_type"] == "code")
    if path.endswith(".json"):
        cells = json.loads(text)["page"]["cells"]
        return "\n".join(c["source"] for c in cells if c["cell_type"] == "code")
    return text if path.endswith(".py") else ""


@pytest.mark.parametrize("name", set_names()[:: 1 if os.environ.get("HANDOUT") == "all" else 7])
def test_no_function_of_an_answer_is_in_a_handout(name):
    exercises = load_set(name)
    texts = contents.texts_of([exercises]) | handout.notebooks_of([exercises], "")
    page = json.dumps({"page": parts_of(handout.blank_page(exercises.page))})
    given = functions_in(code_in("page.json", page))
    for path, text in texts.items():
        given |= functions_in(code_in(path, text))
    blank = (REPOSITORY / "exercises" / f"{name}.ipynb").read_text("utf-8")
    around = functions_in(code_in("blank.ipynb", blank))
    for task in exercises.tasks.values():
        known = [exercises.own_answer(task.id), *(v.source for v in task.variants)]
        for source in known:
            try:
                answer = functions_in(source) - around
            except SyntaxError:  # a mistake that does not even run
                continue
            # An answer of one line may be what an earlier chapter has, too: x * (x > 0).
            assert not {body for body in answer & given if "\n" in body}, task.id


def words_of(path):
    """The text of a file; of JSON, what its strings say."""
    text = path.read_bytes().decode("utf-8", "replace")
    if path.suffix not in (".json", ".ipynb"):
        return text
    said, todo = [], [json.loads(text)]
    while todo:
        value = todo.pop()
        todo += value.values() if isinstance(value, dict) else value if type(value) is list else []
        said += [value] if isinstance(value, str) else []
    return "\n".join(said)


def test_a_handout_has_nothing_of_the_book_but_the_blank_set(folder):
    found = files_of(folder)
    assert not [path for path in found if re.search(r"^book/|solutions|docs/|tests/|\.git/", path)]
    own = solutions(SET)
    everything = "\n".join(words_of(path) for path in found.values())
    for source in own.values():
        body = source.split("### BEGIN SOLUTION\n")[-1].split("### END")[0]
        assert body.strip() and body.strip() not in everything
    for task in EXERCISES.tasks.values():
        for variant in task.of_kind("mistake"):
            assert not variant.message or variant.message not in everything
    # Of numpygpt, the chapter's own module has its names only.
    assert "refuse" in found["numpygpt/nn/linear.py"].read_text("utf-8")
    ours = (REPOSITORY / "numpygpt/nn/module.py").read_text("utf-8")
    assert found["numpygpt/nn/module.py"].read_text("utf-8") == ours
    assert "adopt" not in found["coursekit/__init__.py"].read_text("utf-8")


def test_no_line_of_the_teachers_guide_or_of_a_key_is_in_a_handout(folder):
    places = ("docs/TEACHING.md", "docs/teaching/*.md", "book/keys/*.md")
    pages = [path for place in places for path in sorted(REPOSITORY.glob(place))]
    assert len(pages) == 1 + 30 + 30
    given = {line.strip() for p in files_of(folder).values() for line in words_of(p).split("\n")}
    for page in pages:
        lines = {line.strip() for line in page.read_text("utf-8").split("\n")}
        assert not {line for line in lines & given if len(line) > 50}, page


def test_the_notebook_is_the_blank_set_without_links_to_the_book(folder):
    ours = json.loads((REPOSITORY / "exercises" / f"{SET}.ipynb").read_text("utf-8"))
    theirs = json.loads((folder / f"{SET}.ipynb").read_text("utf-8"))
    code = [
        [source_of(c) for c in nb["cells"] if c["cell_type"] == "code"] for nb in (ours, theirs)
    ]
    assert code[0] == code[1]
    assert [grade_id(c) for c in ours["cells"]] == [grade_id(c) for c in theirs["cells"]]
    text = json.dumps(theirs)
    assert "](../notebooks" in json.dumps(ours) and "](../" not in text and "chapter 3" in text


# --- it judges rightly ---


@pytest.fixture
def at_home(folder):
    """The light check reads the handout's cases."""
    with mock.patch.object(stored, "FOLDER", folder / "coursekit" / "handed_out"):
        yield stored.FOLDER


def test_every_known_answer_is_judged_as_by_the_book(at_home):
    task = "linear-backward"
    reference = stored.load_reference(task, at_home)
    for variant in EXERCISES.tasks[task].variants[::3]:
        answer = EXERCISES.variant_answer(task, variant.name)
        wrong = reference.table(outcomes(answer, reference.cases)).wrong()
        assert bool(wrong) == (variant.kind != "right"), variant.name


def test_a_reader_is_told_which_output_is_wrong_and_not_the_mistake(at_home, capsys):
    answer = EXERCISES.variant_answer("linear-backward", "dw-mean")
    with pytest.raises(CheckError), mock.patch.object(light_check.progress, "note"):
        light_check.check("linear-backward", answer)
    said = capsys.readouterr().out
    assert "dW WRONG" in said and "db, dx: right" in said
    [mistake] = [v for v in EXERCISES.tasks["linear-backward"].variants if v.name == "dw-mean"]
    assert mistake.message not in said


def test_the_packages_own_answer_is_refused(at_home, capsys):
    with pytest.raises(CheckError), mock.patch.object(light_check.progress, "note"):
        light_check.check("linear-backward", Linear)
    assert "calls numpygpt's own version" in capsys.readouterr().out


def test_a_warning_of_another_numpy_is_no_mistake(at_home):
    task = "linear-forward"
    reference = stored.load_reference(task, at_home)
    got = outcomes(EXERCISES.variant_answer(task), reference.cases)
    from coursekit.checking.cases import Result

    got[0] = [Result(0, "warning", "overflow encountered in matmul"), *got[0]]
    assert judge(reference, got).is_right


def test_hints_are_there_and_end_with_a_person(at_home, capsys):
    with mock.patch.object(light_check.progress, "folder", return_value=None):
        for rung in (1, 2, 3, 4):
            light_check.hint("linear-backward", rung)
    said = capsys.readouterr().out
    assert said.count("Hint") == 3 and said.endswith("ask your instructor\n")


def test_a_variant_has_other_numbers(tmp_path, folder):
    arguments = ["--out", str(tmp_path / "two"), "--variant", "ana", "--variant", "b/en"]
    assert main(["handout", "03", *arguments]) == 0
    folders = sorted(path for path in (tmp_path / "two").iterdir())
    assert [path.name[:3] for path in folders] == ["ana", "b_e"]
    cases = [(f / "coursekit/handed_out/linear-forward.cases").read_bytes() for f in folders]
    cases.append((folder / "coursekit/handed_out/linear-forward.cases").read_bytes())
    assert len(set(cases)) == 3
    notebooks = [json.loads((f / f"{SET}.ipynb").read_text("utf-8")) for f in folders]
    assert [nb["metadata"]["numpygpt"]["variant"] for nb in notebooks] == ["ana", "b/en"]


# --- it works by itself ---

ALONE = """
import sys
from pathlib import Path
sys.path[:0] = ["."]
import coursekit, numpygpt
assert Path(coursekit.__file__).parent == Path("coursekit").resolve(), coursekit.__file__
from coursekit.checking.check import CheckError
from coursekit.classroom.light.stored import FOLDER
assert FOLDER.is_dir()
import json
namespace = {}
for cell in json.loads(Path("03_linear.ipynb").read_text("utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        try:
            exec("".join(cell["source"]), namespace)
        except CheckError as error:
            print("CheckError", error)
coursekit.status()
assert not {"jupytext", "nbval", "ruff"} & set(sys.modules), "a student does not have it"
"""


def test_it_runs_with_nothing_of_ours_beside_it(folder, tmp_path):
    answers = {"linear-shared": solutions(SET)["linear-shared"].replace("+= self.x", "= self.x")}
    blank = (folder / f"{SET}.ipynb").read_bytes()
    type_in(SET, folder / f"{SET}.ipynb", answers)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "", "HOME": str(tmp_path)},
    )
    (folder / f"{SET}.ipynb").write_bytes(blank)
    assert done.returncode == 0, done.stderr
    assert "linear-forward: right" in done.stdout and "linear-backward: right" in done.stdout
    assert "linear-shared: not right yet" in done.stdout
    progress = {p.stem: json.loads(p.read_text()) for p in (folder / ".progress").glob("*.json")}
    states = {task: known["state"] for task, known in progress.items()}
    assert states == {"linear-forward": "right", "linear-backward": "right"} | {
        "linear-shared": "wrong"
    }


def ran(cells, outcome):
    """Cells as a kernel leaves them: each check cell with the outputs that `outcome` gives."""
    return [
        c | {"outputs": outcome(light.task_checked(c))} if grade_id(c) is None else c for c in cells
    ]


def test_the_command_counts_points_and_takes_only_the_answers(folder, capsys, monkeypatch):
    notebook = json.loads((folder / f"{SET}.ipynb").read_text("utf-8"))
    blank = json.dumps(notebook)
    for cell in notebook["cells"]:
        if source_of(cell).startswith("check("):
            cell["source"] = "pass"  # a student who takes the checks away
    (folder / f"{SET}.ipynb").write_text(json.dumps(notebook), "utf-8")
    seen = []

    def run(cells, _):
        seen.extend(cells)
        wrong = {"output_type": "error", "ename": "CheckError", "evalue": "see above"}
        told = {"output_type": "stream", "name": "stdout", "text": "linear-shared: not right yet\n"}
        for cell in cells:
            if cell["cell_type"] == "code":
                cell["outputs"] = [told, wrong] if "linear-shared" in cell["source"] else []
        return cells

    monkeypatch.setattr(light, "run", run)
    monkeypatch.setattr(light, "HERE", folder)
    with mock.patch.object(stored, "FOLDER", folder / "coursekit" / "handed_out"):
        assert light.main(["check"]) == 1
        assert light.main(["check", "9"]) == 2
        assert light.main([]) == 2
    (folder / f"{SET}.ipynb").write_text(blank, "utf-8")
    said = capsys.readouterr()
    assert "5 of 7 points in these cases" in said.out and "linear-forward: right" in said.out
    assert "there is no set 9 here: there are 03_linear" in said.err
    assert sum(cell["source"].startswith("check(") for cell in seen) == 3


def test_the_workflow_is_one_that_github_reads(folder):
    content = (folder / ".github/workflows/autograding.yml").read_text("utf-8")
    workflow = yaml.load(content, yaml.BaseLoader)
    assert workflow["name"] == "Autograding Tests" and list(workflow["jobs"]) == [
        "run-autograding-tests"
    ]
    runs = [s["run"] for s in workflow["jobs"]["run-autograding-tests"]["steps"] if "run" in s]
    assert runs == ["python -m pip install -r requirements.txt", f"python -m coursekit check {SET}"]


# --- the command ---


def test_a_zip_holds_one_folder_and_is_the_same_each_time(tmp_path, capsys):
    (tmp_path / "one").mkdir()
    assert main(["handout", "09", "--out", str(tmp_path / "one" / "set 9"), "--zip"]) == 0
    (tmp_path / "two").mkdir()
    again = [sys.executable, "-m", "coursekit", "handout", "09", "--zip"]
    again += ["--out", str(tmp_path / "two" / "set 9")]
    # Another process has its sets in another order.
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(again, env=environment, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["set 9.zip"]
    zips = [tmp_path / name / "set 9.zip" for name in ("one", "two")]
    assert zips[0].read_bytes() == zips[1].read_bytes()
    names = zipfile.ZipFile(zips[0]).namelist()
    assert "set 9/09_layernorm.ipynb" in names
    assert {name.split("/")[0] for name in names} == {"set 9"}
    told = capsys.readouterr().out.split("\n")
    assert told[0].endswith("set 9.zip: 09_layernorm") and "Python 3.11" in told[1]
    assert "set 9/README.md" in names and "README.md" in told[1]


def test_a_set_is_not_handed_out_with_one_that_needs_its_answer(tmp_path, capsys):
    assert main(["handout", "11", "3", "--out", str(tmp_path / "both")]) == 2
    error = capsys.readouterr().err
    assert "set 3 asks for numpygpt/nn/linear.py" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
    alone = [load_set("11_transformer")]
    assert contents.leaks(alone) == []
    linear = (REPOSITORY / "numpygpt/nn/linear.py").read_text("utf-8")
    assert contents.texts_of(alone)["numpygpt/nn/linear.py"] == linear
    together = contents.texts_of([EXERCISES, load_set("04_activations")])
    assert "refuse" in together["numpygpt/nn/linear.py"]


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("x")
    assert main(["handout", "03", "--out", str(tmp_path / "mine")]) == 2
    assert "is there already" in capsys.readouterr().err
    with mock.patch.object(handout, "save_cases", side_effect=KeyboardInterrupt):
        assert main(["handout", "03", "--out", str(tmp_path / "new")]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert main(["handout", "03", "--out", ".", "--zip"]) == 2
    assert "name a new folder" in capsys.readouterr().err
    assert main(["handout", "77", "--out", str(tmp_path / "new")]) == 2
