"""Grading: honest work gets its marks, hostile work nothing, and neither touches the other."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import hostile_submissions as hostile
import numpy as np
import psutil
import pytest
from answers import REPOSITORY, solutions, type_in

from coursekit.__main__ import main
from coursekit.checking import wire
from coursekit.checking.cases import Case, Result
from coursekit.checking.tasks import load_set
from coursekit.grading import sandbox

SET, TASK = "03_linear", "linear-backward"
POINTS = {"linear-forward": 2, "linear-backward": 3, "linear-shared": 2}

if shutil.which("bwrap") is None:
    if os.environ.get("CI"):
        raise RuntimeError("bubblewrap is missing: .ci/run installs it")
    pytest.skip("grading needs bubblewrap (Debian: bubblewrap)", allow_module_level=True)


def hand_in(folder, sources=None):
    """A student's folder with our answers, or those given."""
    return type_in(SET, folder / f"{SET}.ipynb", sources)


def honest(root):
    """Neighbours: {student: points}."""
    variants = load_set(SET).tasks[TASK].variants
    right = [v for v in variants if v.kind == "right"]
    wrong = [v for v in variants if v.kind != "right"]
    for variant in right:
        hand_in(root / f"right {variant.name}", {TASK: variant.source})
    for variant in wrong[:4]:
        hand_in(root / f"wrong {variant.name}", {TASK: variant.source})
    hand_in(root / "anna")
    blank = root / "blank" / f"{SET}.ipynb"
    blank.parent.mkdir()
    shutil.copy(REPOSITORY / "exercises" / blank.name, blank)
    names = {f"right {v.name}": 7 for v in right} | {f"wrong {v.name}": 4 for v in wrong[:4]}
    return names | {"anna": 7, "blank": 0}


def grade(submissions, out, *options):
    """Run the grader as an instructor does; return what it says."""
    return subprocess.run(
        [
            *[sys.executable, "-m", "coursekit", "grade", str(submissions), "--assignment", "03"],
            *["--out", str(out), "-j", "2", "--timeout", "4", *options],
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )


def marks(out):
    """{student: row of marks.csv}."""
    rows = csv.DictReader(io.StringIO((out / "marks.csv").read_text("utf-8")))
    return {row["student"]: row for row in rows}


def earned(row):
    return {task: int(row[task]) for task in POINTS}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class of honest and hostile students, graded once: (out, {honest student: points})."""
    root = tmp_path_factory.mktemp("a class")
    submissions, out = root / "submissions", root / "out"
    submissions.mkdir()
    neighbours = honest(submissions)
    for name, source in hostile.IN_THE_ANSWER.items():
        hand_in(submissions / name.replace("/", "∕"), {TASK: source})
    for name, source in hostile.RIGHT_ALL_THE_SAME.items():
        hand_in(submissions / name.replace("/", "∕"), {TASK: source})
    for change in hostile.CHANGES:
        notebook = hand_in(submissions / change.__name__, {TASK: hostile.WRONG})
        change(notebook)
        (submissions / change.__name__ / f"{SET}.ipynb").write_text(json.dumps(notebook))
    right = (submissions / "anna" / f"{SET}.ipynb").read_text()
    for name, build in hostile.FOLDERS.items():
        (submissions / name).mkdir()
        build(submissions / name, right)
    for name in hostile.NAMES:
        hand_in(submissions / name)
    (submissions / "a link to anna").symlink_to("anna")
    before = [p.pid for p in psutil.process_iter()]
    files = sorted(path.name for path in root.iterdir())
    done = grade(submissions, out, "--no-nbval")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in root.iterdir()) == sorted([*files, "out"])
    left = [p for p in psutil.process_iter() if p.pid not in before and p.username() != "root"]
    assert not [p for p in left if 64000 <= max(p.uids()) < 65000], "a student's process is left"
    return out, neighbours


def test_there_are_at_least_forty_hostile_submissions():
    groups = (hostile.IN_THE_ANSWER, hostile.CHANGES, hostile.FOLDERS, hostile.NAMES)
    assert sum(map(len, groups)) >= 100


def test_every_student_has_a_row_and_a_page(graded):
    out, neighbours = graded
    rows = marks(out)
    groups = (hostile.IN_THE_ANSWER, hostile.RIGHT_ALL_THE_SAME, hostile.CHANGES, hostile.FOLDERS)
    assert len(rows) == sum(map(len, groups)) + len(hostile.NAMES) + len(neighbours) + 1
    assert len(list((out / "feedback").iterdir())) == len(rows)
    assert len(json.loads((out / "marks.json").read_text())) == len(rows)


@pytest.mark.parametrize("name", hostile.IN_THE_ANSWER)
def test_an_attack_in_the_answer_gets_nothing_for_it(graded, name):
    row = marks(graded[0])[name.replace("/", "∕")]
    assert earned(row)[TASK] == 0


HARMLESS = [name for name in hostile.IN_THE_ANSWER if "run for ever" not in name]


@pytest.mark.parametrize("name", HARMLESS)
def test_an_attack_costs_its_own_task_and_no_other(graded, name):
    row = marks(graded[0])[name.replace("/", "∕")]
    assert earned(row)["linear-forward"] == 2, (graded[0] / "feedback").joinpath(f"{name}.md")
    replaced = ("replaced" in name or "library" in name) and earned(row)["linear-shared"] == 0
    assert replaced or earned(row)["linear-shared"] == 2


def test_mischief_that_touches_nothing_takes_no_points(graded):
    for name in hostile.RIGHT_ALL_THE_SAME:
        assert earned(marks(graded[0])[name.replace("/", "∕")]) == POINTS


@pytest.mark.parametrize("change", hostile.CHANGES)
def test_a_changed_notebook_gets_what_its_answers_are_worth(graded, change):
    got = earned(marks(graded[0])[change.__name__])
    assert got[TASK] == 0
    swapped = change is hostile.ids_swapped
    assert got["linear-forward"] == 2 and got["linear-shared"] == (0 if swapped else 2)


@pytest.mark.parametrize("name", [*hostile.FOLDERS, "a link to anna"])
def test_what_is_no_submission_gets_a_remark(graded, name):
    row = marks(graded[0])[name]
    assert row["points"] == "0" and row["remark"]


def test_honest_neighbours_keep_their_marks_and_any_name_will_do(graded):
    rows = marks(graded[0])
    for student, points in graded[1].items():
        assert int(rows[student]["points"]) == points, student
    full = [row for row in rows.values() if row["points"] == "7"]
    expected = [p for p in graded[1].values() if p == 7]
    assert len(full) == len(hostile.NAMES) + len(expected) + len(hostile.RIGHT_ALL_THE_SAME)
    assert "'=HYPERLINK(1)" in rows, "a spreadsheet would take it for a formula"


def test_pages_name_the_mistake_and_hold_no_solution_and_no_hidden_number(graded):
    out, _ = graded
    page = (out / "feedback" / "wrong dw-mean.md").read_text()
    assert "divided by the number of rows" in page and "4 of 7 points" in page
    for path in (out / "feedback").iterdir():
        text = path.read_text("utf-8")
        assert len(text) < 20_000
        assert "expected" not in text and "x.T @ rows" not in text
        assert "# 7 of 7 points" not in text or path.stem.startswith(("right", "anna"))


# One at a time


@pytest.fixture
def submissions(tmp_path):
    folder = tmp_path / "submissions"
    hand_in(folder / "ann")
    hand_in(folder / "ben", {TASK: hostile.WRONG})
    return folder


def test_nbval_reports_cells_that_fail_without_a_word_on_hidden_cases(submissions, tmp_path):
    hand_in(submissions / "cas", {TASK: "1 / 0\n" + solutions(SET)[TASK]})
    hand_in(submissions / "dan", {TASK: "while True: pass"})
    assert grade(submissions, tmp_path / "out").returncode == 0
    page = (tmp_path / "out" / "feedback" / "cas.md").read_text()
    assert "ZeroDivisionError: division by zero" in page
    assert "ZeroDivisionError: division" not in (tmp_path / "out" / "marks.json").read_text()
    assert "Cells that failed" not in (tmp_path / "out" / "feedback" / "ann.md").read_text()
    assert "it ran for too long" in (tmp_path / "out" / "feedback" / "dan.md").read_text()


def test_a_killed_run_is_resumed_with_the_same_marks(submissions, tmp_path):
    for number in range(6):
        hand_in(submissions / f"student {number}", {TASK: hostile.WRONG} if number % 2 else None)
    assert grade(submissions, tmp_path / "whole", "--no-nbval", "--seed", "5").returncode == 0
    out = tmp_path / "out"
    command = [sys.executable, "-m", "coursekit", "grade", str(submissions), "--assignment", "3"]
    command += ["--out", str(out), "-j", "1", "--no-nbval", "--seed", "5"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    while len(list(out.glob("students/*.json"))) < 2:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "marks.csv").exists()
    done = grade(submissions, out, "--no-nbval")
    assert " of 8 were graded before, and are kept" in done.stdout
    for name in ("marks.csv", "marks.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_changed_submission_is_graded_again_and_the_others_are_not(submissions, tmp_path):
    out = tmp_path / "out"
    grade(submissions, out, "--no-nbval")
    times = {path.name: path.stat().st_mtime_ns for path in (out / "students").iterdir()}
    hand_in(submissions / "ben")
    grade(submissions, out, "--no-nbval")
    assert marks(out)["ben"]["points"] == "7"
    assert (out / "students" / "ann.json").stat().st_mtime_ns == times["ann.json"]


@pytest.mark.parametrize("late", [1, 3])
def test_a_sandbox_that_is_slow_to_start_costs_no_marks(
    submissions, tmp_path, monkeypatch, capsys, late
):
    start, starts = sandbox.Sandbox.run, []

    def slow(self, *args, **kwargs):
        starts.append(1)
        if len(starts) <= late:
            return sandbox.Outcome(b"", "time", "", None)
        return start(self, *args, **kwargs)

    monkeypatch.setattr(sandbox.Sandbox, "run", slow)
    shutil.rmtree(submissions / "ben")
    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    if late < 3:
        assert main(command) == 0 and marks(out)["ann"]["points"] == "7"
    else:  # a fault of the machine's is told to the instructor, and is no mark
        assert main(command) == 2 and not (out / "marks.csv").exists()
        assert "the sandbox does not start" in capsys.readouterr().err


def test_without_a_sandbox_only_if_asked_by_name(submissions, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out"]
    assert main([*command, str(tmp_path / "out")]) == 2
    assert "bubblewrap" in capsys.readouterr().err
    assert not (tmp_path / "out" / "students").exists()
    assert main([*command, str(tmp_path / "out2"), "--no-sandbox"]) == 0
    rows = marks(tmp_path / "out2")
    assert [rows[name]["points"] for name in ("ann", "ben")] == ["7", "4"]


MISTAKES = {
    "no such folder": (["nowhere", "--assignment", "3", "--out", "o"], "there is no such folder"),
    "no students": (["empty", "--assignment", "3", "--out", "o"], "there must be one for each"),
    "no such set": (["submissions", "--assignment", "77", "--out", "o"], "no exercise set 77"),
    "out inside": (
        ["submissions", "--assignment", "3", "--out", "submissions/o"],
        "lies inside the submissions",
    ),
    "another seed": (
        ["submissions", "--assignment", "3", "--out", "begun", "--seed", "2"],
        "was begun with --seed 1",
    ),
    "another assignment": (
        ["submissions", "--assignment", "4", "--out", "begun"],
        "holds marks of another assignment",
    ),
    "damaged": (["submissions", "--assignment", "3", "--out", "torn"], "is damaged"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_an_instructors_mistake_gets_one_line(submissions, tmp_path, monkeypatch, capsys, case):
    arguments, message = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "grading.json").write_text("{")
    if "begun" in arguments:
        command = ["grade", "submissions", "--assignment", "3", "--out", "begun", "--no-nbval"]
        assert main([*command, "--seed", "1"]) == 0
        capsys.readouterr()
    assert main(["grade", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


# What comes out of the sandbox


def test_results_survive_the_way_out():
    arrays = [np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.array(True)]
    arrays += [np.zeros((0, 3), np.float32), np.arange(24.0).reshape(2, 3, 4)[:, ::2]]
    value = [[Result(0, "y", arrays), Result(1, "t", ["a", b"\0", None, 2.5])]]
    [[y, t]] = wire.loads(wire.dumps(value))
    assert y.name == "y" and t.value == ["a", b"\0", None, 2.5]
    for before, after in zip(arrays, y.value, strict=True):
        assert np.array_equal(before, after)
        assert (before.dtype, before.shape) == (after.dtype, after.shape)


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("skeleton.npy", b"\0" * 50_000_000)
    return file.getvalue()


HOSTILE_BYTES = {
    "nothing": b"",
    "noise": bytes(range(256)) * 10,
    "a zip bomb": bomb(),
    "a pickle": npz(skeleton=npy(np.array([{}], object), allow_pickle=True)),
    "a shape that promises more": npz(
        skeleton=npy(np.zeros(2, np.uint8)).replace(b"(2,)", b"(2000000000000,)")
    ),
    "no skeleton": npz(a0=npy(np.zeros(3))),
    "another class": npz(skeleton=npy(np.frombuffer(b'{"$Popen": {"$dict": []}}', np.uint8))),
    "a missing array": npz(skeleton=npy(np.frombuffer(b'{"$array": "a7"}', np.uint8))),
    "nested without end": npz(skeleton=npy(np.frombuffer(b"[" * 100_000, np.uint8))),
}


@pytest.mark.parametrize("case", HOSTILE_BYTES)
def test_bytes_that_are_no_results_are_refused(case):
    with pytest.raises(ValueError, match="unreadable results"):
        wire.loads(HOSTILE_BYTES[case])


def test_cases_survive_the_way_in():
    for task in load_set("12_gpt").tasks.values():
        cases = list(task.cases(np.random.default_rng(0)))
        again = wire.loads(wire.dumps(cases))
        assert all(isinstance(case, Case) for case in again)
        assert [case.title for case in again] == [case.title for case in cases]
        assert all(a.new == b.new for a, b in zip(again, cases, strict=True))
