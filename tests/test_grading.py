"""Grading: honest work gets its marks, hostile work nothing, and neither touches the other."""

import contextlib
import csv
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import hostile_submissions as hostile
import psutil
import pytest
from answers import REPOSITORY, solutions, type_in
from made_class import Page

from coursekit.__main__ import main
from coursekit.checking.judge import Verdict
from coursekit.checking.tasks import load_set
from coursekit.grading import hidden, report, sandbox
from coursekit.grading.names import cell, shown
from coursekit.grading.results import Mark, Result

SET, TASK = "03_linear", "linear-backward"
POINTS = {"linear-forward": 2, "linear-backward": 3, "linear-shared": 2}

if shutil.which("bwrap") is None:
    if os.environ.get("CI"):
        raise RuntimeError("bubblewrap is missing: .ci/run installs it")
    pytest.skip("grading needs bubblewrap (Debian: bubblewrap)", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def one_look_at_the_system():
    """Who grades in this process looks once for copies of the book in all that programs need."""
    with mock.patch.object(hidden, "copies", functools.cache(hidden.copies)):
        yield


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


def watched(submissions, out, *options):
    """Grade, and look at the memory of the grader and its judge: (what it says, MB)."""
    peak, done = 0, []
    thread = threading.Thread(target=lambda: done.append(grade(submissions, out, *options)))
    thread.start()
    while thread.is_alive():
        thread.join(1)  # each look goes through all processes
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError, AttributeError, TypeError):
                if "coursekit" in " ".join(process.cmdline()[:3]) and "bwrap" != process.name():
                    if "runner" in " ".join(process.cmdline()):
                        continue
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
    return done[0], peak


def is_left(process):
    """Whether this is a student's process without a grader: others may grade at the same time."""
    with contextlib.suppress(psutil.Error):
        orphan = {parent.pid for parent in process.parents()} <= {1}
        return 64000 <= max(process.uids()) < 65000 and orphan
    return False


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
    done, memory = watched(submissions, out, "--no-nbval")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert 20 < memory < 500, "of the grader or its judge, in MB"
    assert sorted(path.name for path in root.iterdir()) == sorted([*files, "out"])
    assert not [p for p in psutil.process_iter() if p.pid not in before and is_left(p)]
    return out, neighbours


def test_there_are_more_than_a_hundred_and_fifty_hostile_submissions():
    groups = (hostile.IN_THE_ANSWER, hostile.CHANGES, hostile.FOLDERS, hostile.NAMES)
    assert sum(map(len, groups)) >= 150


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
    for name in hostile.NAMES:
        assert rows[cell(shown(name))]["points"] == "7", name
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
        assert len(text) < 6_000
        assert "expected" not in text and "x.T @ rows" not in text
        assert len(re.findall(r"^# ", text, re.M)) == 1, path
        fenced = re.split(r"^```\w*$", text, flags=re.M)
        assert len(fenced) % 2 == 1, path
        spans = re.sub(r"`[^`\n]*`", "", "".join(fenced[::2]))
        assert not re.search(r"[<>`\[\]]|://", spans), path
    for row in marks(out).values():
        for value in row.values():
            assert not value.strip().startswith(("=", "+", "@")), value


def test_a_page_says_each_thing_once_and_of_a_blank_how_to_begin():
    exercises = load_set(SET)
    wrong = ["linear-backward: not right yet", "  dW WRONG: a sum over the wrong axis"]
    lines = {
        "linear-forward": Verdict("linear-forward", False, [], [], 3).lines(),
        "linear-backward": wrong,
        "linear-shared": ["linear-shared: right"],
    }
    points = {"linear-forward": 0, "linear-backward": 0, "linear-shared": 2}
    found = {task: Mark(points[task], POINTS[task], said) for task, said in lines.items()}
    page = report.page(exercises, Result("ann", "ann", "", {}, found))
    assert "| linear-forward | 0 of 2 | not written yet |" in page
    assert "| linear-backward | 0 of 3 | not right yet |" in page
    assert "| linear-shared | 2 of 2 | right |" in page
    assert page.count("dW WRONG") == 1
    assert page.count("in place of `raise NotImplementedError()` in its cell") == 1
    assert "this one" not in page, "there is no cell to run on a page"
    assert "hint('linear-forward')" in page and "check('linear-forward'" not in page
    assert "check('linear-backward', …)" in page


# One at a time


def test_a_mark_keeps_the_names_of_the_mistakes_that_were_found(graded):
    out, neighbours = graded
    found = {}
    for row in json.loads((out / "marks.json").read_text("utf-8")):
        found[row["student"]] = row["marks"][TASK]["found"]
    wrong = {name: found[name] for name in neighbours if name.startswith("wrong ")}
    assert len(wrong) == 4
    for name, what in wrong.items():
        assert [mistake for _, mistake, _ in what] == [name.removeprefix("wrong ")]
    assert found["anna"] == [] and found["blank"] == [["", "", "not written yet"]]
    assert ["", "", "it ran for too long, and was stopped"] in found["endless loop in the cell"]


def test_the_page_of_a_hostile_class_counts_all_and_holds_text_alone(graded):
    out, neighbours = graded
    pages = [Page((out / name).read_text("utf-8")) for name in ("class.html", "similar.html")]
    rows = csv.DictReader(io.StringIO((out / "marks.csv").read_text("utf-8")))
    earned = [row[TASK] for row in rows]
    [numbers] = [row for row in pages[0].table("The same in numbers") if TASK in row[0]]
    assert numbers[3] == str(earned.count("3")) and int(numbers[2]) > len(neighbours)
    for page in pages:
        assert not page.tags & {"script", "img", "a", "link", "iframe", "form"}
        assert not page.attributes & {"src", "href", "style", "onerror", "onload"}
    assert "anna" not in pages[0].text and "wrong dw-mean" not in pages[0].text


@pytest.fixture
def submissions(tmp_path):
    folder = tmp_path / "submissions"
    hand_in(folder / "ann")
    hand_in(folder / "ben", {TASK: hostile.WRONG})
    return folder


def test_nbval_reports_cells_that_fail_without_a_word_on_hidden_cases(submissions, tmp_path):
    hand_in(submissions / "cas", {TASK: "1 / 0\n" + solutions(SET)[TASK]})
    hand_in(submissions / "dan", {TASK: "while True: pass", "linear-shared": "1 / 0"})
    assert grade(submissions, tmp_path / "out").returncode == 0
    page = (tmp_path / "out" / "feedback" / "cas.md").read_text()
    assert "ZeroDivisionError: division by zero" in page
    assert "its answer cell stops before its end" in page and "is the name defined" not in page
    assert "cell 4 (1 / 0): ZeroDivisionError" in page
    assert "cell 4" not in (tmp_path / "out" / "marks.json").read_text()
    assert "Cells that failed" not in (tmp_path / "out" / "feedback" / "ann.md").read_text()
    page = (tmp_path / "out" / "feedback" / "dan.md").read_text()
    assert "it ran for too long" in page
    assert re.search(r"cell \d+ \(1 / 0\): ZeroDivisionError", page)


def test_the_kernel_of_nbval_sends_on_no_flood(tmp_path):
    """A student's 500 MB would be sent through three processes, for seconds."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    argv = [sys.executable, "-m", "coursekit.grading.kernel", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv)
    manager.start_kernel(cwd=str(REPOSITORY))
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=120)
        said = []
        client.execute_interactive(
            "print('first')\nfor _ in range(30): print('x' * 100_000)\n1 / 0",
            allow_stdin=False,
            output_hook=lambda message: said.append(message["content"]),
        )
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    printed = "".join(content.get("text", "") for content in said)
    assert printed.startswith("first\nxxx") and 900_000 < len(printed) <= 1 << 20
    assert any(content.get("ename") == "ZeroDivisionError" for content in said)


def test_a_killed_run_is_resumed_with_the_same_marks(submissions, tmp_path):
    for number in range(6):
        hand_in(submissions / f"student {number}", {TASK: hostile.WRONG} if number % 2 else None)
    assert grade(submissions, tmp_path / "whole", "--no-nbval", "--seed", "5").returncode == 0
    out = tmp_path / "out"
    command = [sys.executable, "-m", "coursekit", "grade", str(submissions), "--assignment", "3"]
    command += ["--out", str(out), "-j", "1", "--no-nbval", "--seed", "5", "--timeout", "4"]
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


def starting_late(monkeypatch, late):
    """Let the sandbox not start the `late` times after it was tried out."""
    start, starts = sandbox.Sandbox.run, []

    def slow(self, *args, **kwargs):
        starts.append(1)
        if 1 < len(starts) <= 1 + late:
            return sandbox.Outcome([], "start", "", None, 0)
        return start(self, *args, **kwargs)

    monkeypatch.setattr(sandbox.Sandbox, "run", slow)


def test_what_goes_wrong_on_our_side_is_no_mark_and_is_tried_again(
    submissions, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    command += ["-j", "1"]
    starting_late(monkeypatch, 1)
    assert main(command) == 0, "once is nothing: the student is graded at the end"
    assert marks(out)["ann"]["points"] == "7"
    shutil.rmtree(out)
    starting_late(monkeypatch, 3)  # both, and ann once more
    assert main(command) == 1
    row = marks(out)["ann"]
    assert row["points"] == "" and row["linear-forward"] == "" and "not graded" in row["remark"]
    assert not (out / "students" / "ann.json").exists()
    assert "NOT GRADED, 1" in capsys.readouterr().out
    assert "not graded yet" in (out / "feedback" / "ann.md").read_text()
    monkeypatch.undo()
    assert main(command) == 0 and marks(out)["ann"]["points"] == "7"
    assert "1 of 2 were graded before" in capsys.readouterr().out


def test_a_sandbox_that_never_starts_is_told_before_anybody_is_graded(
    submissions, tmp_path, monkeypatch, capsys
):
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'bwrap: no user namespaces here' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    out = tmp_path / "out"
    assert main(["grade", str(submissions), "--assignment", "3", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "the sandbox does not start: bwrap: no user namespaces here" in error
    assert error.count("\n") == 1 and not (out / "students").exists()


def test_a_full_disk_is_no_mark(submissions, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr("coursekit.grading.grader.Grader.compute", full)
        assert main(command) == 1
    assert list(marks(out)["ann"].values())[1:5] == ["", "", "", ""]
    assert main(command) == 0 and marks(out)["ann"]["points"] == "7"


def test_a_judge_that_dies_is_no_mark(submissions, tmp_path, monkeypatch):
    from coursekit.grading.judging import Judge

    judged, died = Judge.verdict, []

    def verdict(self, task, data):
        if not died:
            died.append(task)
            self.process.kill()
            self.process.wait()
            alive = iter([None])  # it dies just after it was seen alive
            monkeypatch.setattr(self.process, "poll", lambda: next(alive, -9))
        return judged(self, task, data)

    monkeypatch.setattr(Judge, "verdict", verdict)
    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    assert main([*command, "-j", "1"]) == 0, "ann is graded once more, and a new judge is there"
    assert [marks(out)[name]["points"] for name in ("ann", "ben")] == ["7", "4"]


def test_what_cannot_be_read_is_no_mark_that_is_kept(submissions, tmp_path):
    """First without a notebook, which is a 0; then with one that nobody can open."""
    out, notebook = tmp_path / "out", submissions / "ann" / f"{SET}.ipynb"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    kept = notebook.read_bytes()
    notebook.unlink()
    assert main(command) == 0 and marks(out)["ann"]["points"] == "0"
    notebook.write_bytes(kept)
    with mock.patch("coursekit.grading.submission.read_bytes", side_effect=OSError(13, "No")):
        assert main(command) == 1
    assert marks(out)["ann"]["points"] == ""


def test_other_limits_and_again_grade_again(submissions, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]

    def graded_again(*options):
        times = {p.name: p.stat().st_mtime_ns for p in (out / "students").iterdir()}
        assert main([*command, *options]) == 0
        return {
            p.stem for p in (out / "students").iterdir() if p.stat().st_mtime_ns != times[p.name]
        }

    assert main(command) == 0
    assert graded_again() == set()
    assert graded_again("--again", "ben") == {"ben"}
    assert graded_again("--again", "all") == {"ann", "ben"}
    assert graded_again("--timeout", "50") == {"ann", "ben"}
    assert graded_again("--timeout", "50") == set()
    assert main([*command, "--again", "nobody"]) == 2
    assert "there is no such student" in capsys.readouterr().err


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
    "a list": (["submissions", "--assignment", "3", "--out", "a list"], "is damaged"),
    "remarks that are none": (["submissions", "--assignment", "3", "--out", "odd"], "delete it"),
    "no seed": (["submissions", "--assignment", "3", "--out", "no seed"], "is damaged"),
    "out is a file": (["submissions", "--assignment", "3", "--out", "a file"], "a file"),
    "out below a file": (["submissions", "--assignment", "3", "--out", "a file/o"], "a file"),
    "a foreign result": (["submissions", "--assignment", "3", "--out", "foreign"], "delete it"),
    "a result without marks": (["submissions", "--assignment", "3", "--out", "bare"], "delete it"),
    "a folder for a result": (["submissions", "--assignment", "3", "--out", "folder"], "ann.json"),
    "a pipe for a result": (["submissions", "--assignment", "3", "--out", "pipe"], "delete it"),
    "out around the submissions": (
        ["class/students", "--assignment", "3", "--out", "class"],
        "would write among the submissions",
    ),
    "submissions are a file": (["a file", "--assignment", "3", "--out", "o"], "no such folder"),
}


def spoil(folder, name, content):
    """Put something else in the place of what an earlier run found for ann."""
    from coursekit.grading.results import remembered_seed

    remembered_seed(folder / name, load_set(SET), 1)
    path = folder / name / "students" / "ann.json"
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_text(content)


@pytest.mark.parametrize("case", MISTAKES)
def test_an_instructors_mistake_gets_one_line(submissions, tmp_path, monkeypatch, capsys, case):
    arguments, message = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "grading.json").write_text("{")
    (tmp_path / "no seed").mkdir()
    (tmp_path / "no seed" / "grading.json").write_text('{"seed": "x"}')
    (tmp_path / "a list").mkdir()
    (tmp_path / "a list" / "grading.json").write_text("[]")
    (tmp_path / "a file").write_text("")
    spoil(tmp_path, "foreign", '["mine"]')
    spoil(
        tmp_path,
        "bare",
        '{"student": "ann", "key": "ann", "digest": "", "limits": {}, "marks": {}}',
    )
    whole = {task: {"points": 0, "out_of": n, "lines": ["x"]} for task, n in POINTS.items()}
    about = {"student": "ann", "key": "ann", "digest": "", "limits": {}, "marks": whole}
    spoil(tmp_path, "odd", json.dumps(about | {"remarks": "none"}))
    spoil(tmp_path, "folder", None)
    spoil(tmp_path, "pipe", "")
    (tmp_path / "pipe" / "students" / "ann.json").unlink()
    os.mkfifo(tmp_path / "pipe" / "students" / "ann.json")
    hand_in(tmp_path / "class" / "students" / "ann")
    if "begun" in arguments:
        command = ["grade", "submissions", "--assignment", "3", "--out", "begun", "--no-nbval"]
        assert main([*command, "--seed", "1"]) == 0
        capsys.readouterr()
    assert main(["grade", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["grade"],
        ["grade", "s", "--seed", "-1"],
        ["frobnicate"],
        ["check", "3", "--x\ny"],
        ["grade", "s", "--assignment", "3", "--out", ""],
    ],
)
def test_a_mistake_in_the_command_gets_one_line(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1 and "--help" in error


def test_a_closed_output_takes_nothing(submissions, tmp_path):
    command = f"{sys.executable} -m coursekit grade '{submissions}' --assignment 3 --no-nbval"
    command += f" --out '{tmp_path / 'out'}' >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=REPOSITORY).returncode == 0
    assert marks(tmp_path / "out")["ann"]["points"] == "7"


def test_marks_are_for_nobody_else_and_the_seed_is_in_no_command_line(
    submissions, tmp_path, monkeypatch
):
    from coursekit.grading import judging

    started, popen = [], subprocess.Popen

    def start(command, **options):
        started.append((command, options.get("env")))
        return popen(command, **options)

    monkeypatch.setattr(judging.subprocess, "Popen", start)
    out, seed = tmp_path / "out", 8_675_309
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    assert main([*command, "--seed", str(seed)]) == 0
    assert started and str(seed) not in str(started)
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8])
def test_a_sandbox_that_was_killed_is_no_mark(submissions, tmp_path, monkeypatch, frames):
    """By somebody else, as the kernel does it on a machine that is short of memory."""
    run, runs = sandbox.Sandbox.run, []

    def killed(self, *args, **kwargs):
        outcome = run(self, *args, **kwargs)
        runs.append(outcome)
        if len(runs) == 2:  # the first was tried out
            outcome.frames, outcome.code = outcome.frames[:frames], -9
        return outcome

    monkeypatch.setattr(sandbox.Sandbox, "run", killed)
    out = tmp_path / "out"
    command = ["grade", str(submissions), "--assignment", "3", "--no-nbval", "--out", str(out)]
    assert main([*command, "-j", "1"]) == 0
    assert [marks(out)[name]["points"] for name in ("ann", "ben")] == ["7", "4"]


@pytest.mark.parametrize(("ending", "runs"), [("os._exit(0)", 2), ("os.kill(os.getpid(), 9)", 4)])
def test_who_ends_by_itself_is_graded_once_and_who_was_killed_twice(
    tmp_path, monkeypatch, ending, runs
):
    """A run, and one without the answer that ended it; the machine may have killed the other."""
    box, started = sandbox.Sandbox.run, []

    def run(self, job, *args, **kwargs):
        started.append(job)
        return box(self, job, *args, **kwargs)

    hand_in(tmp_path / "class" / "ann", {TASK: f"{hostile.WRONG}\nimport os; {ending}"})
    monkeypatch.setattr(sandbox.Sandbox, "run", run)
    out = tmp_path / "out"
    command = ["grade", str(tmp_path / "class"), "--assignment", "3", "--no-nbval"]
    assert main([*command, "--out", str(out)]) == 0
    assert len(started) == 1 + runs  # and the one that is tried out
    assert marks(out)["ann"][TASK] == "0"


def test_two_graders_of_root_take_different_users(monkeypatch):
    monkeypatch.setattr(sandbox.os, "getuid", lambda: 0)
    box = object.__new__(sandbox.Sandbox)
    box.memory, box.bwrap = 2, "bwrap"
    taken = set()
    for process in (1000, 1001, 1002):
        monkeypatch.setattr(sandbox.os, "getpid", lambda process=process: process)
        taken |= {box.limits(slot, 60)["uid"] for slot in range(4)}
    assert len(taken) == 12 and min(taken) >= sandbox.FIRST_UID


def test_lines_that_a_student_forges_for_nbval_become_no_report():
    from coursekit.grading.nbval_report import read_report

    printed = b'\nCELL 0 failed "it was <b>me</b> `x`"\nCELL 77 failed "x"\nCELL 1 failed [[[\n'
    printed += b"CELL 1 failed " + b"[" * 100_000 + b"\nCELL 99999 failed x\n"
    outcome = sandbox.Outcome([], None, "", 0, 0, printed=printed)
    cells = [{"cell_type": "code", "source": text, "metadata": {}} for text in ("`a`", "")]
    lines = read_report(outcome, cells)
    assert len(lines) == 3 and not any("<" in line or "`" in line for line in lines)


def test_copies_of_a_cell_are_read_in_the_time_that_their_text_takes():
    """The work is counted: 40 times the cells are 40 times the calls, not 1600 times."""
    from coursekit.checking import answers

    task = load_set(SET).tasks[TASK]

    def calls(copies):
        counted = []
        sys.setprofile(lambda *event: counted.append(event[1]))
        try:
            answers.own_parts([f"x = {n}" for n in range(copies)], task)
        finally:
            sys.setprofile(None)
        return len(counted)

    calls(1)  # the set is read once
    assert calls(4000) < 60 * calls(100)
