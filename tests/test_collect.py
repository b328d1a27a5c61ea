"""What an LMS hands out becomes a folder for each student, and nothing is lost without a word."""

import io
import json
import os
import shutil
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from answers import REPOSITORY

from coursekit.__main__ import FORMS, main
from coursekit.classroom import archive, downloads
from coursekit.classroom import found as found_module
from coursekit.grading.submission import find_notebook, student_folders

SAMPLES = Path(__file__).parent / "classroom_samples"
SET = "03_linear.ipynb"
BLANK = json.loads((REPOSITORY / "exercises" / SET).read_text("utf-8"))


def notebook(text):
    """The blank set, and a cell that tells this copy from others."""
    cell = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": text}
    return json.dumps(BLANK | {"cells": [*BLANK["cells"], cell]}).encode()


def zipped(files):
    """The bytes of a zip: {path: bytes, or a dict of the same for a zip in it}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as into:
        for path, data in files.items():
            into.writestr(path, zipped(data) if isinstance(data, dict) else data)
    return buffer.getvalue()


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "a class"  # a path with a space
    folder.mkdir()
    return folder


def collected(place, files, *options, name="download.zip"):
    """Run collect on a zip; return {path below submissions: text}, its exit code."""
    path = place / name
    path.write_bytes(files if isinstance(files, bytes) else zipped(files))
    code = main(["collect", str(path), "--out", str(place / "submissions"), *options])
    return found_in(place), code


def found_in(place):
    """{path below submissions: the text of its last cell}."""
    root = place / "submissions"
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.parent != root)
    return {path.relative_to(root).as_posix(): told_by(path) for path in paths}


def told_by(path):
    content = json.loads(path.read_bytes())
    return content["cells"][-1]["source"] if "cells" in content else content


def memory(place):
    return json.loads((place / "submissions" / ".collected.json").read_text("utf-8"))["students"]


CANVAS = {
    "ruizana_501_7001_03_linear.ipynb": notebook("ana"),
    "okaforben_LATE_502_7002_03_linear-2.ipynb": notebook("ben"),
    "leeann_504_7003_03_linear.ipynb": notebook("ann of section 1"),
    "leeann_505_7004_03_linear.ipynb": notebook("ann of section 2"),
    "martinchloé_503_7005_hand in.zip": {
        "hand in/03_linear.ipynb": notebook("chloé"),
        "hand in/.progress/linear-forward.json": b'{"hints": 2}',
        "__MACOSX/hand in/._03_linear.ipynb": b"\0\5\x16\7",
        "hand in/.DS_Store": b"\0",
        "hand in/notes.pdf": b"%PDF",
    },
    "nowakzofia_506_text.html": b"<p>I was ill</p>",
}


def test_canvas_the_name_of_a_file_says_whose_it_is(place, capsys):
    found, code = collected(place, CANVAS)
    assert code == 0
    assert found == {
        "leeann 504/03_linear.ipynb": "ann of section 1",
        "leeann 505/03_linear.ipynb": "ann of section 2",
        "martinchloé/.progress/linear-forward.json": {"hints": 2},
        "martinchloé/03_linear.ipynb": "chloé",
        "okaforben/03_linear.ipynb": "ben",
        "ruizana/03_linear.ipynb": "ana",
    }
    said = capsys.readouterr().out
    assert "okaforben: 03_linear.ipynb was handed in late" in said
    assert "leeann 504: another student has the same name" in said
    assert "no notebook in what they handed in: 1\n  nowakzofia" in said
    assert "martinchloé: hand in.zip/hand in/notes.pdf" in said and "nowakzofia: text.html" in said
    assert "made by systems (.DS_Store, .git, …): 2" in said
    about = memory(place)["leeann 505"]
    assert (about["id"], about["name"], about["form"]) == ("505", "leeann", "canvas")
    # What `grade` takes for students is just these.
    students, beside = student_folders(place / "submissions")
    assert [path.name for path in students] == sorted(memory(place)) and beside == []


def test_canvas_of_two_hand_ins_the_newer_counts_and_the_other_is_named_as_it_came(place, capsys):
    both = {"leeann_LATE_503_7003_03_linear.ipynb": notebook("first")}
    both |= {"leeann_LATE_503_7009_03_linear-1.ipynb": notebook("second")}
    found, _ = collected(place, both)
    assert found == {"leeann/03_linear.ipynb": "second"}
    said = capsys.readouterr().out
    assert "the newest was taken, and not leeann_LATE_503_7003_03_linear.ipynb\n" in said


def test_a_long_report_is_in_a_file(place, capsys):
    late = {f"s{n}_LATE_{n}_{n}_{SET}": notebook(f"{n}") for n in range(10, 40)}
    collected(place, late)
    said = capsys.readouterr().out
    written = (place / "submissions" / ".collected.txt").read_text("utf-8")
    assert said.count("was handed in late") == 20 and "and 10 more" in said
    assert written.count("was handed in late") == 30


def test_canvas_without_names_keeps_the_numbers_that_stand_for_them(place):
    files = {
        "anon_aB3x_7001_03_linear.ipynb": notebook("one"),
        "LATE_anon_Zz9_7002_03_linear.ipynb": notebook("two"),
    }
    found, _ = collected(place, files)
    assert found == {"anon_aB3x/03_linear.ipynb": "one", "anon_Zz9/03_linear.ipynb": "two"}


def moodle_files(ending):
    return {
        f"Ana Ruiz_9001_assignsubmission_file{ending}/03_linear.ipynb": notebook("ana"),
        f"Ana Ruiz_9001_assignsubmission_file{ending}/old/03_linear.ipynb": notebook("older"),
        f"Chloé Martin_9003_assignsubmission_file{ending}/work.zip": {SET: notebook("chloé")},
        "Zofia Nowak_9004_assignsubmission_onlinetext/onlinetext.html": b"<p></p>",
    }


@pytest.mark.parametrize("ending", ["", "_"])  # since Moodle 4.1, and before
def test_moodle_the_name_of_a_folder_says_whose_it_is(place, capsys, ending):
    found, code = collected(place, moodle_files(ending))
    assert code == 0
    assert found == {"Ana Ruiz/03_linear.ipynb": "ana", "Chloé Martin/03_linear.ipynb": "chloé"}
    assert memory(place)["Ana Ruiz"]["id"] == "9001"
    said = capsys.readouterr().out
    assert "Ana Ruiz: 2 of 03_linear.ipynb: the newest was taken, and not Ana Ruiz_9001_" in said
    assert f"file{ending}/old/03_linear.ipynb\n" in said
    assert "Zofia Nowak" in memory(place)


def test_moodle_all_in_one_folder(place):
    found, _ = collected(place, {f"Ana Ruiz_9001_assignsubmission_file_{SET}": notebook("ana")})
    assert found == {"Ana Ruiz/03_linear.ipynb": "ana"}


def test_gradescope_says_in_a_file_whose_a_folder_is(place):
    files = {
        "assignment_5_export/submission_metadata.yml": (
            SAMPLES / "submission_metadata.yml"
        ).read_bytes(),
        "assignment_5_export/submission_301/03_linear.ipynb": notebook("ana"),
        "assignment_5_export/submission_302/03_linear.ipynb": notebook("ben and chloé"),
    }
    found, code = collected(place, files)
    assert code == 0
    assert found == {
        "Ana Ruiz/03_linear.ipynb": "ana",
        "Ben Okafor/03_linear.ipynb": "ben and chloé",
        "Chloé Martin/03_linear.ipynb": "ben and chloé",
    }
    about = memory(place)
    assert (about["Ana Ruiz"]["id"], about["Ana Ruiz"]["email"]) == ("1001", "ana@school.edu")
    assert about["Chloé Martin"]["id"] == "" and about["Chloé Martin"]["email"]


BRIGHTSPACE = {
    "index.html": b"<html>",
    "31-77 - Ana Ruiz - Nov 3, 2026 912 AM/03_linear.ipynb": notebook("morning"),
    "31-77 - Ana Ruiz - Nov 3, 2026 1005 AM/03_linear (1).ipynb": notebook("later"),
    "31-77 - Ana Ruiz - Nov 3, 2026 112 AM/03_linear.ipynb": notebook("night"),
    "32-77 - Ben O'Kafor-Li - Nov 2, 2026 1159 PM/03_linear.ipynb": notebook("ben"),
}


def test_brightspace_the_newest_of_several_folders_is_taken(place, capsys):
    found, code = collected(place, BRIGHTSPACE)
    assert code == 0
    assert found["Ana Ruiz/03_linear.ipynb"] == "later" and len(found) == 2
    said = capsys.readouterr().out
    assert "3 of 03_linear.ipynb: the newest was taken, and not Nov 3, 2026 912 AM" in said
    assert "index.html" not in said


@pytest.mark.parametrize(
    "text, meant",
    [
        ("Nov 3, 2026 912 AM", (9, 12)),
        ("Nov 3, 2026 112 AM", (1, 12)),
        ("Nov 3, 2026 1005 PM", (22, 5)),
        ("3 November, 2026 9:12 AM", (9, 12)),
        ("November 3, 2026 1205 AM", (0, 5)),
    ],
)
def test_the_time_in_the_name_of_a_folder(text, meant):
    assert downloads.moment(text) == datetime(2026, 11, 3, *meant)


def repositories(folder):
    for name in ("ana-codes", "benO"):
        (folder / f"linear-{name}" / ".git").mkdir(parents=True)
        (folder / f"linear-{name}" / ".git" / "config").write_text("[core]")
        (folder / f"linear-{name}" / SET).write_bytes(notebook(name))
        (folder / f"linear-{name}" / "README.md").write_text("what to do")
    (folder / "linear-chloe" / ".git").mkdir(parents=True)


def test_github_what_all_names_begin_with_is_the_assignment(place, capsys):
    repositories(place / "linear-submissions")
    arguments = ["collect", str(place / "linear-submissions"), "--out", str(place / "submissions")]
    assert main(arguments) == 0
    assert found_in(place) == {"ana-codes/03_linear.ipynb": "ana-codes", f"benO/{SET}": "benO"}
    assert "no notebook in what they handed in: 1\n  chloe" in capsys.readouterr().out


def test_github_one_repository_needs_its_prefix(place):
    files = {"linear-ana-main/03_linear.ipynb": notebook("ana")}
    found, _ = collected(place, files, "--lms", "github", "--prefix", "linear-")
    assert found == {"ana/03_linear.ipynb": "ana"}


def test_folders_of_students_and_notebooks_of_several_sets(place):
    other = json.loads((REPOSITORY / "exercises" / "09_layernorm.ipynb").read_text("utf-8"))
    files = {
        "all/ana/my answers.ipynb": notebook("ana"),
        "all/ana/second.ipynb": json.dumps(other).encode(),
        "all/ben.zip": {"ben/exercises/03_linear.ipynb": notebook("ben")},
        "all/empty/": b"",
        "all/ana/data_1_2_table.csv": b"named as in Canvas",
    }
    found, _ = collected(place, files)
    assert list(found) == [f"ana/{SET}", "ana/09_layernorm.ipynb", f"ben/{SET}"]
    assert (place / "submissions" / "empty").is_dir()


def test_a_folder_that_was_a_zip_gives_the_same(place):
    unpacked = place / "unpacked"
    with zipfile.ZipFile(io.BytesIO(zipped(CANVAS))) as archived:
        archived.extractall(unpacked)
    assert main(["collect", str(unpacked), "--out", str(place / "submissions")]) == 0
    from_folder = found_in(place)
    shutil.rmtree(place / "submissions")
    assert collected(place, CANVAS)[0] == from_folder


def test_notebooks_of_one_students_handout_are_named(place, capsys):
    def handed_out(key):
        return json.dumps(BLANK | {"metadata": {"numpygpt": {"variant": key}}}).encode()

    one_each = {f"s{n}_{n}_{n}_{SET}": handed_out(f"key {n}") for n in range(1, 4)}
    collected(place, one_each | {f"s9_9_9_{SET}": handed_out("key 2")})
    assert 's2, s9: 03_linear.ipynb from the same handout, "key 2"' in capsys.readouterr().out
    shutil.rmtree(place / "submissions")
    collected(place, {f"s{n}_{n}_{n}_{SET}": handed_out(f"group {n % 2}") for n in range(1, 9)})
    assert "the same handout" not in capsys.readouterr().out


def test_the_command_knows_every_form():
    assert list(FORMS) == list(downloads.FORMS)


# --- again ---


def test_a_second_run_changes_nothing(place, capsys):
    collected(place, CANVAS)
    before = {p: p.stat().st_mtime_ns for p in (place / "submissions").rglob("*.ipynb")}
    collected(place, CANVAS)
    assert {p: p.stat().st_mtime_ns for p in (place / "submissions").rglob("*.ipynb")} == before
    assert "0 new notebooks, 5 as they were" in capsys.readouterr().out


def test_later_hand_ins_replace_and_the_old_ones_stay_beside(place, capsys):
    collected(place, CANVAS)
    later = {
        "ruizana_501_8001_03_linear-1.ipynb": notebook("ana again"),
        "leeann_508_8002_03_linear.ipynb": notebook("a third ann"),
    }
    found, _ = collected(place, later, name="later.zip")
    assert found["ruizana/03_linear.ipynb"] == "ana again"
    assert found["ruizana/03_linear.ipynb.old1"] == "ana"
    assert found["leeann 508/03_linear.ipynb"] == "a third ann"
    assert found["okaforben/03_linear.ipynb"] == "ben"
    said = capsys.readouterr().out
    assert "has changed; the old one is kept as 03_linear.ipynb.old1" in said
    # The earlier download again: what is newer stays.
    found, _ = collected(place, CANVAS)
    assert found["ruizana/03_linear.ipynb"] == "ana again"
    assert "is newer than the one of this download" in capsys.readouterr().out


def test_the_same_number_in_another_system_is_another_student(place):
    collected(place, {f"ruizana_501_7001_{SET}": notebook("ana")})
    name = "Ben Okafor_501_assignsubmission_file"
    found, _ = collected(place, {f"{name}/{SET}": notebook("ben")}, name="moodle.zip")
    assert found == {f"ruizana/{SET}": "ana", f"Ben Okafor/{SET}": "ben"}


def test_what_was_collected_before_an_interruption_is_gone_through_again(place, monkeypatch):
    from coursekit.classroom import collect

    take, calls = collect.take, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return take(*arguments)

    monkeypatch.setattr(collect, "take", interrupted)
    assert collected(place, CANVAS)[1] == 130
    assert len(found_in(place)) == 2
    monkeypatch.setattr(collect, "take", take)
    found, code = collected(place, CANVAS)
    assert (code, len(found), len(memory(place))) == (0, 6, 6)


# --- hostile, damaged, odd ---


def test_a_notebook_of_no_set_keeps_a_name_that_grade_finds(place):
    files = {
        "a_1_2_.hidden?work.ipynb": b"{",
        "b_2_3___x.ipynb.txt": b"[]",
        f"c_3_4_{'long ' * 40}.ipynb": b"{}",
    }
    path = place / "odd.zip"
    path.write_bytes(zipped(files))
    main(["collect", str(path), "--out", str(place / "submissions")])
    for student in "abc":
        notebook = find_notebook(place / "submissions" / student, "03_linear", [])
        assert notebook.read_bytes() in files.values() and "_1_2_" not in notebook.name


def test_the_many_files_of_a_repository_are_one_line(place, capsys):
    many = {"ana_1_2_all.zip": {SET: notebook("ana")} | {f"{n}.py": b"" for n in range(40)}}
    collected(place, many)
    said = capsys.readouterr().out
    assert (
        "left out, no notebook: 1\n  ana: all.zip/0.py, all.zip/1.py, all.zip/10.py, and 37" in said
    )


def test_what_only_looks_like_progress_is_left_out(place):
    odd = {"not-a-task.json": b"{}", "linear-forward.json": b"[1]", "linear-shared.json": b"{"}
    files = {f".progress/{name}": data for name, data in odd.items()}
    found, _ = collected(place, {"ana_1_2_all.zip": files | {SET: notebook("ana")}})
    assert list(found) == [f"ana/{SET}"]


def test_a_zip_writes_nowhere_but_into_the_students_folder(place):
    files = {
        "../../evil_1_2_03_linear.ipynb": notebook("up"),
        "/tmp/evil_2_3_03_linear.ipynb": notebook("root"),
        "C:\\evil_3_4_03_linear.ipynb": notebook("drive"),
        "._.._5_6_03_linear.ipynb": notebook("hidden"),
        "__main___7_8_03_linear.ipynb": notebook("left out by grade"),
        "x_8_9_bundle.zip": {"../../../03_linear.ipynb": notebook("inner")},
    }
    before = {path for path in place.parent.rglob("*")}
    collected(place, files)
    new = {path for path in place.parent.rglob("*")} - before - {place / "download.zip"}
    assert all(path.is_relative_to(place / "submissions") for path in new)
    names = [path.name for path in (place / "submissions").iterdir()]
    assert all(n.startswith(".collected.") or not n.startswith((".", "__")) for n in names)
    assert sorted(found_in(place).values()) == [
        *["drive", "inner", "left out by grade", "root", "up"],
    ]


def bomb():
    """A zip that lies: it says that a notebook has 10 bytes, and gives 4 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as into:
        into.writestr("a_1_2_03_linear.ipynb", b" " * (4 << 20))
    data = buffer.getvalue()
    return data.replace((4 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))


def test_a_bomb_is_named_and_the_others_are_collected(place, capsys, monkeypatch):
    monkeypatch.setattr(archive, "MOST_IN_ONE", 50)
    monkeypatch.setattr(found_module, "LARGEST", 1 << 20)
    deep = notebook("too deep")
    for _ in range(7):
        deep = zipped({"03_linear.zip" if deep[:2] == b"PK" else SET: deep})
    files = {
        "big_1_2_hand.zip": {"03_linear.ipynb": b" " * ((1 << 20) + 1)},
        "many_2_3_hand.zip": {f"{n}.txt": b"" for n in range(60)},
        "deep_3_4_hand.zip": deep,
        "good_4_5_03_linear.ipynb": notebook("good"),
    }
    found, code = collected(place, files)
    assert code == 1 and list(found) == ["good/03_linear.ipynb"]
    said = capsys.readouterr().out
    assert "03_linear.ipynb is larger than 1 MB" in said
    assert "holds more than 50 files" in said and "lies in 4 other zips" in said
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    much = {"more_4_5_hand.zip": {SET: notebook("")}, f"small_6_7_{SET}": notebook("")}
    assert collected(place, much, name="much.zip")[1] == 1
    assert "the zips hold more than 0 GB together" in capsys.readouterr().out
    collected(place, bomb(), name="bomb.zip")
    assert "NOT READ" in capsys.readouterr().out


def encrypted(name, data):
    """A zip whose entry says that it is encrypted."""
    raw = bytearray(zipped({name: data}))
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    return bytes(raw)


def test_what_cannot_be_opened_is_named(place, capsys):
    whole = zipped({SET: notebook("x")})
    broken = bytearray(whole)
    broken[80] ^= 0xFF
    files = {
        "secret_1_2_hand.zip": encrypted(SET, notebook("secret")),
        "torn_2_3_hand.zip": whole[: len(whole) // 2],
        "flipped_3_4_hand.zip": bytes(broken),
        "good_4_5_03_linear.ipynb": notebook("good"),
        "rar_5_6_hand.rar": b"Rar!",
    }
    found, code = collected(place, files)
    assert code == 1 and list(found) == ["good/03_linear.ipynb"]
    said = capsys.readouterr().out
    assert "secret_1_2_hand.zip/03_linear.ipynb is encrypted: it needs a password" in said
    assert "torn_2_3_hand.zip is not a zip, or is damaged" in said
    assert "flipped: flipped_3_4_hand.zip/03_linear.ipynb" in said
    assert "rar: hand.rar" in said


def test_names_that_a_zip_does_not_mark_as_utf8(place):
    name, right = b"martinchloX_", "martinchloé_".encode()
    # One byte longer than X: the lengths that a zip keeps of the name grow, too.
    data = zipped({"martinchloXX_503_7005_03_linear.ipynb": notebook("chloé")})
    found, _ = collected(place, data.replace(name[:-1] + b"X_", right))
    assert list(found) == ["martinchloé/03_linear.ipynb"]


def test_a_notebook_that_would_fill_the_memory_is_not_parsed(place):
    about = b'{"metadata": {"numpygpt": {"variant": "x"}}, "cells": ['
    for brackets, variant in [(10, "x"), (1_100_000, "")]:
        data = about + b"[]," * brackets + b"[]]}"
        (place / "odd.zip").write_bytes(zipped({f"ana_{brackets}_2_{SET}": data}))
        main(["collect", str(place / "odd.zip"), "--out", str(place / "submissions")])
        known = [f for f in memory(place).values() if f["id"] == str(brackets)]
        assert known[0]["notebooks"][SET]["variant"] == variant


def test_a_link_is_not_followed(place, capsys):
    (place / "d" / "ana").mkdir(parents=True)
    (place / "secret.ipynb").write_bytes(notebook("the solutions"))
    os.symlink(place / "secret.ipynb", place / "d" / "ana" / SET)
    assert main(["collect", str(place / "d"), "--out", str(place / "submissions")]) == 1
    assert found_in(place) == {} and "ana/03_linear.ipynb is a link" in capsys.readouterr().out


def test_a_link_in_a_zip_is_not_taken_for_a_notebook(place, capsys):
    link = zipfile.ZipInfo("a_1_2_03_linear.ipynb")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as into:
        into.writestr(link, "../../solutions/03_linear.ipynb")
        into.writestr("b_2_3_03_linear.ipynb", notebook("b"))
    found, code = collected(place, buffer.getvalue())
    assert list(found) == ["b/03_linear.ipynb"] and code == 1
    assert "a_1_2_03_linear.ipynb is a link" in capsys.readouterr().out


def test_what_a_name_holds_reaches_no_terminal(place, capsys):
    bad = "\x1b[2J\n"
    files = {
        f"31-77 - Ana{bad} - Nov 3, 2026 912 AM{bad}/{SET}": notebook("first"),
        f"31-77 - Ana{bad} - Nov 4, 2026 912 AM{bad}/{SET}": notebook("second"),
        f"31-77 - Ana{bad} - Nov 4, 2026 912 AM{bad}/no{bad}.pdf": b"",
        f"32-77 - Ben - Nov 4, 2026 912 AM/{bad}.zip": b"PK",
        f"index{bad}.html": b"",
    }
    assert collected(place, files)[1] == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said and said.count("\\x1b") >= 3


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda place: place / "missing.zip", "there is no such folder or zip"),
        (lambda place: (place / "no.zip").write_bytes(b"PK") and place / "no.zip", "not a zip"),
        (lambda place: place, "lie in each other"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, make, said):
    assert main(["collect", str(make(place)), "--out", str(place / "submissions")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_damaged_memory_is_one_line(place, capsys):
    collected(place, CANVAS)
    (place / "submissions" / ".collected.json").write_text("{")
    assert collected(place, CANVAS)[1] == 2
    assert "collect into a new folder" in capsys.readouterr().err
