"""The teacher's guide: its syllabi add up, its pages are whole, its numbers are computed."""

import doctest
import re
import subprocess

import pytest
from answers import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "TEACHING.md").read_text("utf-8")
README = (REPOSITORY / "README.md").read_text("utf-8")
# {chapter: (its name, minutes to read and run, minutes of its set or "")}; see test_chapters.
CHAPTERS = {
    int(name[:2]): (name, int(reading), exercises)
    for name, reading, exercises in re.findall(
        r"^\| \[[^\]]+\]\(notebooks/(\w+)\.ipynb\) \|.*\| (\d+)(?: \+ (\d+))? \|$", README, re.M
    )
}
ARROWS = {(int(a), int(b)) for a, b in re.findall(r"(\d+) → (\d+)", README)}
SYLLABI = {
    heading: [[column.strip() for column in line[1:-1].split("|")] for line in table.splitlines()]
    for heading, table in re.findall(r"^## (\d+ weeks).*?^\|-.*?\n(.*?)\n\n", GUIDE, re.M | re.S)
}
PAGES = sorted((REPOSITORY / "docs" / "teaching").glob("*.md"))
KEYS = sorted((REPOSITORY / "book" / "keys").glob("*.md"))  # a handout is without them
PARTS = [
    "What students find hard",
    "Two questions to open with",
    "Five minutes at the board",
    "An exam question",
]


def numbers(column):
    return [int(number) for number in re.findall(r"\d+", column)]


def test_there_are_three_syllabi_of_as_many_weeks_as_they_say():
    weeks = {heading: [row[0] for row in rows] for heading, rows in SYLLABI.items()}
    assert weeks == {f"{n} weeks": [*map(str, range(1, n + 1)), "all"] for n in (4, 8, 14)}


@pytest.mark.parametrize("heading", SYLLABI)
def test_a_syllabus_adds_up(heading):
    *weeks, total = SYLLABI[heading]
    for _, chapters, reading, sets, exercises, together, _ in weeks:
        assert int(reading) == sum(CHAPTERS[n][1] for n in numbers(chapters))
        assert int(exercises) == sum(int(CHAPTERS[n][2]) for n in numbers(sets))
        assert int(together) == int(reading) + int(exercises)
    for column in (2, 4, 5):
        assert int(total[column]) == sum(int(week[column]) for week in weeks)
    count = [sum(len(numbers(week[column])) for week in weeks) for column in (1, 3)]
    assert [total[1], total[3]] == [f"{count[0]} chapters", f"{count[1]} sets"]
    assert total[6] == f"{round(int(total[5]) / 60)} hours"


@pytest.mark.parametrize("heading", SYLLABI)
def test_a_syllabus_has_each_chapter_after_those_that_it_needs_and_each_set_with_its_chapter(
    heading,
):
    read = []
    for _, chapters, _, sets, *_ in SYLLABI[heading][:-1]:
        for number in numbers(chapters):
            assert {a for a, b in ARROWS if b == number} <= set(read), number
            read.append(number)
        assert set(numbers(sets)) <= set(numbers(chapters))
    assert len(read) == len(set(read)) and len(ARROWS) > 25


def test_the_long_syllabus_is_the_whole_book():
    weeks = SYLLABI["14 weeks"][:-1]
    assert sorted(n for week in weeks for n in numbers(week[1])) == sorted(CHAPTERS)
    with_set = sorted(n for n, (*_, exercises) in CHAPTERS.items() if exercises)
    assert sorted(n for week in weeks for n in numbers(week[3])) == with_set


def test_each_chapter_has_a_page_that_the_guide_links_and_a_key():
    names = [name for name, *_ in CHAPTERS.values()]
    assert [path.stem for path in PAGES] == names
    assert re.findall(r"\]\(teaching/(\w+)\.md\)", GUIDE) == names
    if not KEYS:
        pytest.skip("this copy is without the keys, as a handout is")
    assert [path.stem for path in KEYS] == names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_all_its_parts(path):
    text = path.read_text("utf-8")
    title, *parts = re.split(r"^## ", text, flags=re.M)
    assert title.startswith(f"# Teaching chapter {int(path.stem[:2])}: ")
    assert [part.splitlines()[0] for part in parts] == PARTS
    hard, questions, board, exam = parts
    assert len(re.findall(r"^- \*\*", hard, re.M)) >= 4
    assert len(re.findall(r"^\d\. ", questions, re.M)) == 2 == questions.count("*Listen for:*")
    assert "```text\n" in board and "```pycon\n" in board
    assert len(re.findall(r"^\d\. ", exam, re.M)) >= 3
    [points] = map(int, re.findall(r"minutes, (\d+) points", exam))
    assert points == sum(map(int, re.findall(r"\[(\d+)\]$", exam, re.M)))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_a_page_wants_to_be_shown_is_in_its_chapter(path):
    [line] = re.findall(r"^\*\*To show in class:\*\* (.*)$", path.read_text("utf-8"), re.M)
    chapter = (REPOSITORY / "book" / "chapters" / f"{path.stem}.py").read_text("utf-8")
    sections = set(re.findall(r"^# ###? (.*)$", chapter, re.M))
    assert set(re.findall(r"\*(.+?)\*", line)) <= sections and "*" in line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_mistakes_that_the_checks_of_its_chapter_know(path):
    named = re.findall(r"`([\w-]+)`: ((?:`[^`]+`(?:,\s+)?)+)", path.read_text("utf-8"))
    named = {(task, mistake) for task, them in named for mistake in re.findall("`(.+?)`", them)}
    checks = REPOSITORY / "book" / "checks" / f"{path.stem}.py"
    source = checks.read_text("utf-8") if checks.exists() else ""  # 0, 7 and 19 have no set
    known = set(re.findall(r'^# %% .*task="([^"]+)" mistake="([^"]+)"', source, re.M))
    assert named <= known
    assert not known or len({task for task, _ in named}) > 1


@pytest.mark.parametrize("path", [*PAGES, *KEYS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_numbers_of_a_page_are_computed(path):
    failed, tried = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert tried and not failed
    text = path.read_text("utf-8")
    if path in PAGES:  # the question's numbers are the key's
        text = text.split(f"## {PARTS[2]}\n")[1].split(f"## {PARTS[3]}\n")[0]
    computed, told = (
        "".join(re.findall(r"```pycon\n.*?```", text, re.S)),
        re.sub(r"```pycon\n.*?```", "", text, flags=re.S),
    )
    decimal = r"(?<![\w.])\d[\d,]*\.\d+"
    values = {float(number.replace(",", "")) for number in re.findall(decimal, computed)}
    told = {float(number.replace(",", "")) for number in re.findall(decimal, told)}
    assert told <= values


def test_what_is_public_is_without_the_keys():
    """The site's archive of the book and the code host's archives are made by `git archive`."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this copy is no clone")
    command = ["git", "check-attr", "export-ignore", "book/keys/03_linear.md", "book/keys"]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8").stdout
    assert told.count(": export-ignore: set") >= 1, told
