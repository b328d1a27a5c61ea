"""The pages about a class: their numbers are those that it was made with, and no name shows."""

import json
import re
import shutil
from statistics import median

import hostile_submissions as hostile
import numpy as np
import pytest
from answers import type_in
from made_class import Page, counted, hand_in, make_class, mistakes_of, results_of

from coursekit.__main__ import main
from coursekit.checking.contract import CLAUSES
from coursekit.checking.tasks import find_set, load_set
from coursekit.classroom.class_page import class_page, similar_page
from coursekit.classroom.excerpt import Excerpts
from coursekit.classroom.graded import Class, Student
from coursekit.classroom.sections import sections_for
from coursekit.classroom.separating import separating
from coursekit.classroom.sharing import Progress, shared_progress
from coursekit.classroom.similar import similar_pairs
from coursekit.classroom.trees import subtrees, tree_of
from coursekit.grading import results
from coursekit.grading.submission import read_submission

SET = "09_layernorm"
TASKS = ["variance-backward", "layernorm-backward", "rmsnorm"]
PAIRS = [{f"student 00{2 * n}", f"student 00{2 * n + 1}"} for n in range(3)]


@pytest.fixture(scope="module")
def exercises():
    return load_set(SET)


@pytest.fixture(scope="module")
def members(exercises):
    return make_class(exercises, 120, np.random.default_rng(20))


@pytest.fixture(scope="module")
def graded(members, exercises):
    return counted(members, exercises, nothing=2, not_graded=1)


@pytest.fixture(scope="module")
def page(graded):
    return Page(class_page(graded))


def test_the_shares_are_those_that_the_class_was_made_with(page, members, exercises):
    rows = page.table("The same in numbers")
    assert len(rows) == len(TASKS)
    for task, row in zip(TASKS, rows, strict=True):
        kinds = [member.answers[task].kind for member in members]
        right, wrong, blank = (kinds.count(kind) for kind in ("right", "mistake", "blank"))
        assert min(right, wrong, blank) > 0 and task in row[0]
        share = f"{100 * right / 120:.0f}%"
        points = exercises.tasks[task].points
        assert row[1:] == [*map(str, (points, 120, right)), share, str(wrong), str(blank)]
    assert "2 students more handed in nothing" in page.text
    assert "1 student more is not graded yet" in page.text


def test_each_misconception_is_counted_by_its_name_and_has_an_example(page, members, exercises):
    for task in TASKS:
        made = mistakes_of(members, task)
        rows = page.table(f"of 120 with a wrong answer to {task}")
        assert {name: int(number) for name, number, _ in rows} == made
        messages = {mistake.name: mistake.message for mistake in exercises.tasks[task].variants}
        for name, _, told in rows:
            assert messages[name] in told
    assert "return dvar * xc / x.shape[-1]" in page.code, "the line without the 2"
    assert "return dvar * 2 * xc / x.shape[-1]" not in page.code, "our own line"


def test_what_most_got_wrong_is_for_the_next_lesson(page, members):
    common = [(n, name) for task in TASKS for name, n in mistakes_of(members, task).items()]
    lessons = page.text.split("For the next lesson")[1].split("Each task")[0]
    told = re.findall(r"([\w-]+), (\d+) of 120 students", lessons)
    assert [(int(n), name) for name, n in told] == sorted(c for c in common if c[0] >= 12)[::-1]
    assert told and "Go through chapter 9" in lessons


def test_hints_and_minutes_are_those_of_the_students_who_share_them(page, members, exercises):
    rows = page.table("handed in their progress")
    for task, row in zip(TASKS, rows, strict=True):
        hints, minutes = zip(*(m.progress[task] for m in members if m.progress), strict=True)
        assert row[1:5] == [
            str(len(hints)),
            str(sum(n > 0 for n in hints)),
            str(sum(n == 3 for n in hints)),
            f"{median(minutes):.0f}",
        ]
        assert row[5] == str(exercises.tasks[task].minutes)


def test_the_correlation_is_with_all_other_tasks(page, members, exercises):
    points = np.array(
        [
            [exercises.tasks[t].points * (m.answers[t].kind == "right") for t in TASKS]
            for m in members
        ]
    )
    for task, row in enumerate(page.table("item–total")):
        own, rest = points[:, task], points.sum(axis=1) - points[:, task]
        together = (own * rest).mean() - own.mean() * rest.mean()
        r = together / np.sqrt(own.var() * rest.var())
        assert row[1] == f"{r:.2f}"
        low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(117))
        assert row[2] == f"{low:.2f} to {high:.2f}"


def test_of_few_students_nothing_is_said_that_would_be_chance():
    points = np.tile([[2, 2], [0, 0]], (15, 1))
    assert separating(points)[0].correlation == pytest.approx(1)
    assert separating(points[:29]) is None and separating(points[:, :1]) is None
    assert separating(np.tile([[2, 2], [2, 0]], (15, 1)))[0].correlation is None


def test_pairs_who_copied_are_listed_first_and_their_names_stand_on_no_other_page(graded, page):
    found = Page(similar_page(Class(graded.exercises, graded.students[:60])))
    rows = found.table("Pairs among 60 students")
    names = [set(re.findall(r"student \d+", row[0])) for row in rows]
    assert all(pair in names[:3] for pair in PAIRS)
    assert rows[0][1].count("the same") == 3 and rows[0][2] == "below 0.01"
    assert "student 0" not in page.text and "Zoë" not in page.text + found.text


def test_where_nobody_copied_about_one_pair_is_listed(exercises):
    listed = []
    for seed in range(2):
        members = make_class(exercises, 30, np.random.default_rng(seed), pairs=0)
        tasks = {
            task: (
                [member.answers[task].source for member in members],
                [member.answers[task].kind.replace("mistake", "wrong") for member in members],
            )
            for task in TASKS
        }
        names = [member.name for member in members]
        listed.append(len(similar_pairs(names, tasks, np.random.default_rng(1))))
    assert sum(listed) <= 6
    assert similar_pairs(names[:9], {}, np.random.default_rng(1)) == []


SAME = "def f(x, dy):\n    s = x.sum()\n    return dy * s"


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("def f(a, up): # mine\n  '''By Zoë'''\n  total = (a.sum())\n  return up*total", True),
        ("def f(x, dy):\n    s = x.mean()\n    return dy * s", False),
        ("def f(x, dy):\n    s = x.sum()\n    return dy + s", False),
        ("%time\ndef f(x, dy):\n    s = x.sum()\n    return dy * s", True),
    ],
)
def test_comments_layout_and_own_names_make_no_difference(other, is_same):
    keys = [subtrees(tree_of(source))[0] for source in (SAME, other)]
    assert (keys[0] == keys[1]) == is_same


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "-" * 9000 + "1",
        "x = " + "(" * 4000 + ")" * 4000,
        "x = " + "1 + " * 2400 + "1",
        "x" + ".a" * 4000,
        "x = " + "lambda: " * 1200 + "1",
        "".join(" " * i + "if 1:\n" for i in range(120)) + " " * 120 + "pass",
        "x = '\ud800'",
        "a\0b",
        "9" * 9000,
        "x = 1\n" * 50_000,
        "def f(:",
    ],
    ids=lambda source: source[:12],
)
def test_what_would_break_a_reader_of_python_is_not_read(source):
    assert tree_of(source) is None


def test_an_example_holds_nothing_that_says_whose_it_is(exercises):
    own = exercises.own_answer("variance-backward")
    excerpts = Excerpts(exercises.tasks["variance-backward"], own, [])
    lines = excerpts.of(
        'def variance_backward(dvar, x):\n    """Zoë Secret"""\n    # Zoë\n'
        "    zoe_s_mean = x.mean(axis=-1, keepdims=True)\n"
        "    print('Zoë', f'{Zoe}', b'Zoe', 20261130)\n"
        "    return dvar * 3 * (x - zoe_s_mean) / x.shape[-1]"
    )
    text = "\n".join(lines)
    assert "3 * (x - name1)" in text and "name1 = x.mean(axis=-1, keepdims=True)" in text
    assert not re.search("zo|2026|secret", text, re.IGNORECASE)
    assert excerpts.of(own) == [] == excerpts.of("def f(:")
    assert excerpts.of(own.replace("xc", "d")) == [], "the same, with another name"
    assert excerpts.of(own.replace("2 * xc", "2 * x")) == ["return dvar * 2 * x / x.shape[-1]"]


def test_hostile_texts_and_names_are_text(exercises):
    attack = '<script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}{% endblock %}'
    found = of_marks(exercises, *[(None, None, None)] * 12)
    for number, student in enumerate(found.students):
        name = hostile.NAMES[number % len(hostile.NAMES)]
        student.result = results.Result(f"{name}{attack}", f"k{number}", "", {})
        answer = f"def variance_backward(dvar, x):\n    # {attack}\n    return '''{attack}''' < x"
        student.answers = dict.fromkeys(TASKS, answer)
        for task in exercises.tasks.values():
            mark = results.Mark(0, task.points, [attack], [[attack, "", attack]])
            student.result.marks[task.id] = mark
    found.students[0].result.marks[TASKS[0]].found = [["dx", attack, "a name that is none"]]
    pages = class_page(found), similar_page(found)
    for html in pages:
        page = Page(html)
        assert not page.tags & {"script", "img", "a", "link", "iframe", "object", "base", "form"}
        assert not {n for n in page.attributes if n.startswith("on")} | page.attributes & {
            "src",
            "href",
            "style",
        }
        assert "http-equiv" in page.attributes and "default-src 'none'" in html
        assert "url(" not in html and "@import" not in html and "49" not in page.text
    assert attack in Page(pages[0]).text and attack not in pages[0]
    assert attack not in Page(pages[0]).text.split("Hints and minutes")[1]


def of_marks(exercises, *students):
    """A Class of students, each with what was found wrong in the three tasks; None is right."""
    found = []
    for number, wrong in enumerate(students):
        result = results.Result(f"student {number}", f"s{number}", "", {})
        for task, what in zip(exercises.tasks.values(), wrong, strict=True):
            points = task.points * (what is None)
            result.marks[task.id] = results.Mark(points, task.points, [], what or [])
        found.append(Student(result))
    return Class(exercises, found)


def test_a_student_counts_once_for_a_mistake_in_two_outputs(exercises):
    twice = [["dgamma", "overwritten", "told"], ["dx", "overwritten", "told"]]
    page = Page(class_page(of_marks(exercises, *[(None, None, twice)] * 2)))
    [[name, count, _]] = page.table("wrong answer to rmsnorm")
    assert (name, count) == ("overwritten", "2")


def test_what_follows_from_an_earlier_task_is_said_and_what_nobody_wrote_is_for_the_next_lesson(
    exercises,
):
    blank, wrong = [["", "", "not written yet"]], [["dx", "", "has wrong entries"]]
    students = [(wrong, None, wrong)] * 3 + [(None, blank, [["y", "", "is None"]])] * 3
    page = Page(class_page(of_marks(exercises, *students)))
    [first, second] = page.table("wrong answer to rmsnorm")
    assert "None of them got “the gradient of a variance” right" in first[2] + second[2]
    assert "“LayerNorm backward” right" in first[2] + second[2]
    assert "not written, 3 of 6 students: the task “LayerNorm backward”" in page.text
    page = Page(class_page(of_marks(exercises, *students[:2], *students[-2:])))
    assert "None of them got" not in page.text and "not written, 2" not in page.text


@pytest.mark.parametrize(
    ("output", "text", "said"),
    [
        ("error", "raises ValueError", "raises ValueError"),
        ("error", "raises NameError; is the name defined in the answer cell?", "raises NameError"),
        ("error", "raises AnnaIsDumb", "stops with an error"),
        ("error", "raises print", "stops with an error"),
        ("error", "Anna is dumb", "stops with an error"),
        (
            "error",
            "does not come to an end, at your line 'anna = 1'",
            "does not come to an end",
        ),
        (
            "error",
            "calls numpygpt's own version of what you are to write: Anna is dumb",
            "calls numpygpt's own version of what you are to write",
        ),
        (
            "error",
            f"{CLAUSES['long inputs']} (raises AnnaIsDumb)",
            CLAUSES["long inputs"],
        ),
        ("warning", "warns of Anna is dumb", "warns"),
        (
            "parameters",
            "are more than there should be: Module takes anna for one",
            "are more than there should be",
        ),
        ("dx", "has wrong entries: the first row", "has wrong entries: the first row"),
    ],
)
def test_the_class_reads_our_words_alone(exercises, output, text, said):
    page = Page(class_page(of_marks(exercises, (None, [[output, "", text]], None))))
    [[_, _, told]] = page.table("wrong answer to layernorm-backward")
    assert told.removeprefix("dx: ").removeprefix("parameters: ") == said


@pytest.mark.parametrize(
    ("task", "section"),
    [
        ("softmax-backward", "The gradient of softmax"),
        ("layernorm-backward", "Backward, line by line in reverse"),
        ("bpe-encode", "Encoding"),
        ("sampling-kv-cache", "The KV cache"),
        ("preferences-dpo", "The reward cancels"),
    ],
)
def test_a_task_finds_the_section_of_its_chapter(task, section):
    number = {"softmax": "05", "layernorm": "09", "bpe": "14", "sampling": "17"}
    name = number.get(task.partition("-")[0], "28")
    assert section in sections_for(find_set(name).tasks[task])


def test_a_progress_file_counts_only_if_a_reader_can_have_written_it(tmp_path, exercises):
    task = exercises.tasks["rmsnorm"]
    path = tmp_path / ".progress" / "rmsnorm.json"
    path.parent.mkdir()
    read = lambda: shared_progress([tmp_path / "none", tmp_path], task)  # noqa: E731
    assert read() is None
    path.write_text('{"hints": 2, "seconds": 90.0, "later": [1]}')
    assert read() == Progress(2, 1.5)
    for text in (
        *("", "[]", "{", '{"hints": true}', '{"hints": 4}', '{"hints": -1}', '{"seconds": "9"}'),
        *('{"seconds": NaN}', '{"seconds": 1e999}', '{"seconds": -1}', '{"seconds": 1e9}'),
        *("[" * 5000, '{"seconds": 1, "x": "' + "x" * 10_000 + '"}'),
    ):
        path.write_text(text)
        assert read() is None, text[:20]
    path.unlink()
    (tmp_path / "elsewhere.json").write_text('{"hints": 1, "seconds": 60}')
    path.symlink_to(tmp_path / "elsewhere.json")
    assert read() is None, "a link may lead to somebody else's"


# --- The command ---


@pytest.fixture(scope="module")
def six(tmp_path_factory, exercises):
    """A class of six that was graded: a folder with its results and its submissions."""
    place = tmp_path_factory.mktemp("six")
    members = make_class(exercises, 6, np.random.default_rng(3), pairs=0)
    hand_in(members, exercises, place / "hand ins")
    results.remembered_seed(place / "the results", exercises, 1)
    for member, result in zip(members, results_of(members, exercises), strict=True):
        result.digest = read_submission(place / "hand ins" / member.name, exercises).digest
        results.save(place / "the results", result)
    return place


@pytest.fixture
def folders(tmp_path, six):
    """The same, to be changed: (results, submissions), under paths with a space."""
    shutil.copytree(six, tmp_path / "six")
    return tmp_path / "six" / "the results", tmp_path / "six" / "hand ins"


def test_the_command_makes_the_pages_without_grading(folders, capsys):
    out, submissions = folders
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(["classroom", str(out), "--submissions", str(submissions)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("6 students: ") and "class.html" in said and "similar.html" in said
    page = Page((out / "class.html").read_text("utf-8"))
    assert "6 students, on average" in page.text and "<pre>" in (out / "class.html").read_text(
        "utf-8"
    )
    assert page.table("handed in their progress")[0][1] == "6"
    assert {path: path.read_bytes() for path in before} == before
    assert main(["classroom", str(out)]) == 0
    assert "<pre>" not in (out / "class.html").read_text("utf-8"), "without answers, no example"


def test_who_handed_in_again_is_left_out_until_graded(folders, capsys):
    out, submissions = folders
    type_in(SET, submissions / "student 000" / f"{SET}.ipynb")
    assert main(["classroom", str(out), "--submissions", str(submissions)]) == 0
    assert "1 handed in again since: coursekit grade" in capsys.readouterr().out
    type_in(SET, submissions / "new" / f"{SET}.ipynb")
    assert main(["classroom", str(out), "--submissions", str(submissions)]) == 0
    assert "1 student more is not graded yet" in Page((out / "class.html").read_text("utf-8")).text


def test_results_of_an_earlier_grader_still_give_a_page_and_it_says_what_is_missing(
    folders, capsys
):
    out, _ = folders
    for path in (out / "students").iterdir():
        known = json.loads(path.read_text("utf-8"))
        for mark in known["marks"].values():
            del mark["found"]
        path.write_text(json.dumps(known), "utf-8")
    assert main(["classroom", str(out)]) == 0
    text = Page((out / "class.html").read_text("utf-8")).text
    assert "were graded by an earlier version" in text and "--again all" in text


def keep_found(out, found):
    """Put something in the place of what was found wrong in one task of one student."""
    path = out / "students" / "student 001.json"
    known = json.loads(path.read_text("utf-8"))
    known["marks"]["rmsnorm"]["found"] = found
    path.write_text(json.dumps(known), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "grading.json").unlink(), "holds no marks"),
        (lambda out: (out / "grading.json").write_text("{"), "is damaged"),
        (lambda out: (out / "grading.json").write_text('{"assignment": "99_x"}'), "does not have"),
        (lambda out: (out / "grading.json").write_text('{"assignment": ["x"]}'), "does not have"),
        (lambda out: (out / "students" / "student 001.json").write_text("[]"), "is damaged"),
        (lambda out: keep_found(out, "rmsnorm"), "is damaged"),
        (lambda out: keep_found(out, [["dx", "mean-term"]]), "is damaged"),
        (lambda out: keep_found(out, [["dx", "mean-term", 1]]), "is damaged"),
    ],
)
def test_what_is_no_result_gets_one_line_and_no_page(folders, capsys, spoil, message):
    out, submissions = folders
    spoil(out)
    assert main(["classroom", str(out), "--submissions", str(submissions)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (out / "class.html").exists()
