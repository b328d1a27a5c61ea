"""Marks get to the students whom they belong to, in the form that each gradebook imports."""

import csv
import json
from pathlib import Path

import pytest

from coursekit.__main__ import main

SAMPLES = Path(__file__).parent / "classroom_samples"
TASKS = {"linear-forward": 2, "linear-backward": 3, "linear-shared": 2}


def graded(place, points):
    """What `grade` writes: {student: (points of the three tasks)}; None is no mark."""
    rows = []
    for student, got in points.items():
        marks = {
            task: {"points": p, "out_of": best, "lines": []}
            for (task, best), p in zip(TASKS.items(), got or (0, 0, 0), strict=True)
        }
        trouble = "" if got else "the sandbox did not start"
        row = {"student": student, "key": student, "marks": marks if got else {}}
        rows.append(
            row
            | {
                "problem": "there is no notebook" * (got == (0, 0, 0)),
                "trouble": trouble,
                "points": sum(got or ()),
            }
        )
    results = place / "results"
    results.mkdir(exist_ok=True)
    (results / "marks.json").write_text(json.dumps(rows), "utf-8")
    (results / "grading.json").write_text(json.dumps({"assignment": "03_linear", "seed": 1}))
    return results


def remembered(place, form, students, late=()):
    """What `collect` remembers: {folder: (name, id, email)}."""
    about = {
        folder: {"name": n, "id": i, "email": e, "form": form}
        | {"notebooks": {"03_linear.ipynb": {"sha256": "", "late": folder in late}}}
        for folder, (n, i, e) in students.items()
    }
    folder = place / "submissions"
    folder.mkdir(exist_ok=True)
    content = json.dumps({"version": 1, "students": about})
    (folder / ".collected.json").write_text(content, "utf-8")
    return folder


def filled(place, kind, sample, *options):
    """Run marks; return the rows of what it wrote, each a dict, and the exit code."""
    arguments = ["marks", str(place / "results"), f"--{kind}", str(sample)]
    code = main([*arguments, "--submissions", str(place / "submissions"), *options])
    out = place / "results" / f"{kind}.csv"
    if not out.is_file():
        return [], code
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), code


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "a class"
    folder.mkdir()
    return folder


CANVAS = {
    "ruizana": ("ruizana", "501", ""),
    "okaforben": ("okaforben", "502", ""),
    "martinchloé": ("martinchloé", "503", ""),
    "leeann 504": ("leeann", "504", ""),
    "leeann 505": ("leeann", "505", ""),
    "guest": ("guest", "777", ""),
    "adeyemitolu": ("adeyemitolu", "507", ""),
}


def test_canvas_gets_the_rows_that_have_a_mark_and_one_column(place, capsys):
    got = {name: (2, 3, 2) for name in CANVAS} | {"leeann 505": (2, 0, 0), "okaforben": None}
    graded(place, got)
    remembered(place, "canvas", CANVAS, late=["leeann 505"])
    rows, code = filled(place, "canvas", SAMPLES / "canvas.csv")
    assert code == 1
    column = "Set 3: Linear (88001)"
    assert {row["ID"]: row[column] for row in rows if row["ID"]} == {
        **{"501": "7", "504": "7", "505": "2"}
    }
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", column]
    assert list(rows[0]) == head
    assert (rows[0]["Student"], rows[0][column]) == ("    Points Possible", "7")
    said = capsys.readouterr().out
    assert "NOT IN THE GRADEBOOK, or not to be told apart there: 1\n  guest" in said
    assert "NO MARK: what failed is the grader's, run grade again: 1\n  Okafor, Ben" in said
    assert "IN THE GRADEBOOK, and not graded: what they have there stays: 1\n  Nowak" in said
    assert "left as they are: 2\n  Martin, Chloé is excused" in said
    assert "Adeyemi, Tolu is not assigned this" in said
    assert "handed in late: the points are those of their work: 1\n  leeann 505" in said


def test_canvas_a_student_of_the_same_name_gets_nothing(place):
    graded(place, {"leeann": (2, 3, 2)})
    remembered(place, "canvas", {"leeann": ("leeann", "599", "")})  # no row has this number
    assert filled(place, "canvas", SAMPLES / "canvas.csv") == ([], 1)


@pytest.mark.parametrize("options, mark", [((), None), (("--scale",), "20"), (("--wrong",), None)])
def test_other_points_than_ours_are_said_or_scaled(place, capsys, options, mark):
    graded(place, {"ruizana": (2, 3, 2), "okaforben": (2, 0, 0)})
    remembered(place, "canvas", CANVAS)
    wanted = ["--column", "Essay"] if options != ("--wrong",) else ["--column", "Esay"]
    options = [option for option in options if option != "--wrong"]
    rows, code = filled(place, "canvas", SAMPLES / "canvas.csv", *wanted, *options)
    if mark:
        assert [row["Essay (88002)"] for row in rows] == ["20", mark, "5.71"]
    else:
        assert code == 2 and rows == []
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert (
            "is out of 20, and 03_linear out of 7" in error or '"Set 3: Linear", "Essay"' in error
        )


MOODLE = {
    "Ana Ruiz": ("Ana Ruiz", "9001", ""),
    "Ben Okafor": ("Ben Okafor", "9002", ""),
    "Chloé Martin": ("Chloé Martin", "9003", ""),
}


def test_moodle_gets_the_worksheet_without_its_comments(place, capsys):
    graded(place, {name: (2, 3, 0) for name in MOODLE} | {"Ben Okafor": (2, 0, 0)})
    remembered(place, "moodle", MOODLE)
    rows, code = filled(place, "moodle", SAMPLES / "moodle.csv")
    assert code == 1
    assert {row["Identifier"]: row["Grade"] for row in rows} == {
        **{"Participant 9001": "5", "Participant 9002": "2"}
    }
    assert rows[1]["Last modified (grade)"] == "Wednesday, 4 November 2026, 8:00 AM"
    assert "Feedback comments" not in rows[1]
    said = capsys.readouterr().out
    assert "Chloé Martin has a grade that Moodle lets nobody change" in said
    assert "and not graded: what they have there stays: 1\n  Zofia Nowak" in said


def test_0_for_nothing_at_all_never_replaces_a_mark(place, capsys):
    graded(place, {name: (0, 0, 0) for name in MOODLE})
    remembered(place, "moodle", MOODLE)
    rows, _ = filled(place, "moodle", SAMPLES / "moodle.csv")
    assert {row["Identifier"]: row["Grade"] for row in rows} == {"Participant 9001": "0"}
    said = capsys.readouterr().out
    assert "look at these yourself: 1\n  Ana Ruiz: there is no notebook" in said
    assert "Ben Okafor has a mark, and handed in nothing" in said


def test_brightspace_keeps_every_row_and_column(place):
    students = {"Ana Ruiz": ("Ana Ruiz", "31", ""), "Ben Okafor": ("Ben Okafor", "1001", "")}
    graded(place, {"Ana Ruiz": (2, 3, 2), "Ben Okafor": None})
    remembered(place, "brightspace", students)
    rows, code = filled(place, "csv", SAMPLES / "brightspace.csv")
    assert code == 1 and len(rows) == 3
    # Ben's number in the download, 1001, is not Ana's OrgDefinedId.
    assert [row[COLUMN] for row in rows] == ["7", "5", ""]
    assert list(rows[0])[-1] == "End-of-Line Indicator"


COLUMN = "Set 3 Points Grade <Numeric MaxPoints:7>"


def test_a_new_column_stands_before_the_end_of_brightspaces_line(place):
    graded(place, {"aruiz": (2, 3, 2)})
    remembered(place, "folders", {"aruiz": ("aruiz", "", "")})
    rows, _ = filled(place, "csv", SAMPLES / "brightspace.csv", "--column", "New Points Grade")
    assert list(rows[0])[-2:] == ["New Points Grade", "End-of-Line Indicator"]
    assert [row["New Points Grade"] for row in rows] == ["7", "", ""]
    assert [row["End-of-Line Indicator"] for row in rows] == ["#"] * 3


@pytest.mark.parametrize(
    "form, students",
    [
        ("github", {"ana-codes": ("ana-codes", "", ""), "benO": ("benO", "", "")}),
        (
            "gradescope",
            {"Ana": ("Ana", "", "ana@school.edu"), "B": ("B", "", "BEN@school.edu")},
        ),
    ],
)
def test_a_roster_is_filled_by_logins_and_by_addresses(place, form, students):
    graded(place, dict(zip(students, [(2, 3, 2), (0, 0, 2)], strict=True)))
    remembered(place, form, students)
    rows, code = filled(place, "csv", SAMPLES / "github.csv")
    assert [row["03_linear"] for row in rows] == ["7", "2", ""] and code == 1


def test_without_the_memory_of_collect_names_are_enough(place, capsys):
    graded(place, {"Ana Ruiz": (2, 3, 2), "znowak": (2, 0, 0), "Ann Lee": (2, 0, 0)})
    rows, _ = filled(place, "canvas", SAMPLES / "canvas.csv")
    column = "Set 3: Linear (88001)"
    assert {row["Student"]: row[column] for row in rows if row["ID"]} == {
        **{"Ruiz, Ana": "7", "Nowak, Zofia": "2"}
    }
    said = capsys.readouterr().out
    assert "is not there" in said and "told apart there: 1\n  Ann Lee" in said


def test_of_two_students_of_one_name_the_address_tells_which(place, capsys):
    graded(place, {"Ann Lee": (2, 3, 2), "Ann Lee b": (2, 0, 0)})
    students = {"Ann Lee": ("Ann Lee", "", "a@school.edu"), "Ann Lee b": ("Ann Lee", "", "b@x.edu")}
    remembered(place, "gradescope", students)
    (place / "class.csv").write_text("email,name,points\na@school.edu,Ann Lee,\n", "utf-8")
    rows, _ = filled(place, "csv", place / "class.csv", "--column", "points")
    assert [row["points"] for row in rows] == ["7"]
    assert "told apart there: 1\n  Ann Lee b" in capsys.readouterr().out


def test_two_folders_that_may_be_one_student_get_nothing(place, capsys):
    graded(place, {"Ana Ruiz": (2, 3, 2), "aruiz": (2, 0, 0), "bokafor": (2, 0, 0)})
    rows, code = filled(place, "canvas", SAMPLES / "canvas.csv")
    assert [row["ID"] for row in rows] == ["", "502"] and code == 1
    assert "told apart there: 2\n  Ana Ruiz\n  aruiz" in capsys.readouterr().out


def test_all_in_order_is_exit_code_0(place):
    graded(place, {"ana": (2, 3, 2), "ben": (2, 3, 0)})
    (place / "class.csv").write_text("\ufeffname;points\nAna;\nBen;9\n", "utf-8")
    rows, code = filled(place, "csv", place / "class.csv", "--column", "points")
    written = (place / "results" / "csv.csv").read_text("utf-8")
    assert code == 0 and written == "\ufeffname;points\nAna;7\nBen;5\n"


@pytest.mark.parametrize("heading", ["Linear algebra, midterm", "Quiz 3", "Set 13", "Set 3"])
def test_a_column_is_told_by_the_sets_name_and_by_no_part_of_it(place, capsys, heading):
    graded(place, {"ruizana": (2, 3, 2)})
    sample = (SAMPLES / "canvas.csv").read_text("utf-8")
    (place / "export.csv").write_text(
        sample.replace("Set 3: Linear (88001)", f'"{heading} (1)"'), "utf-8"
    )
    code = filled(place, "canvas", place / "export.csv")[1]
    assert code == (1 if heading == "Set 3" else 2)


@pytest.mark.parametrize(
    "text, said",
    [
        (b"name;x\nAna;\xff\n", "is not UTF-8"),
        (b"points,more\n1,2\n", "has not the headings"),
        (b"", "is not a table"),
        (b'name,points\n"Ana,7\n', "is not a CSV file"),
    ],
)
def test_what_is_no_gradebook_is_one_line(place, capsys, text, said):
    graded(place, {"Ana": (2, 3, 2)})
    (place / "bad.csv").write_bytes(text)
    assert filled(place, "csv", place / "bad.csv")[1] == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_a_heading_or_a_name_holds_reaches_no_terminal(place, capsys):
    graded(place, {"Ana": (2, 3, 2)})
    text = 'name,"points\x1b[2J\n"\nAna,\n"Ben\x1b[2J\n",\n'
    (place / "bad.csv").write_text(text, "utf-8")
    filled(place, "csv", place / "bad.csv", "--column", "points\x1b[2J\n")
    filled(place, "csv", place / "bad.csv", "--column", "name")
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and said.out.count("\\x1b") == 2
    assert said.err.count("\n") == 1


def test_a_column_that_names_students_is_never_filled(place, capsys):
    graded(place, {"ana@school.edu": (2, 3, 2)})
    _, code = filled(place, "csv", SAMPLES / "github.csv", "--column", "identifier")
    assert code == 2 and "--column must name one of" in capsys.readouterr().err


def test_the_export_itself_is_not_written_to(place, capsys):
    graded(place, {"ruizana": (2, 3, 2)})
    before = (SAMPLES / "canvas.csv").read_bytes()
    options = ["--out", str(SAMPLES / "canvas.csv")]
    assert filled(place, "canvas", SAMPLES / "canvas.csv", *options)[1] == 2
    assert (SAMPLES / "canvas.csv").read_bytes() == before


def test_results_that_are_none_are_one_line(place, capsys):
    (place / "results").mkdir()
    assert filled(place, "canvas", SAMPLES / "canvas.csv")[1] == 2
    assert "does not hold the marks" in capsys.readouterr().err
