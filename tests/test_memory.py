"""Questions asked again over days: the files, the schedule, the session, and a year of all that."""

import errno
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest

from coursekit.__main__ import main
from coursekit.files import BookError
from coursekit.memory import anki, history, schedule, session
from coursekit.memory.cards import all_cards, read_cards
from coursekit.memory.panel import Panel
from coursekit.memory.plain import plain
from coursekit.memory.reached import reached
from coursekit.memory.session import Session

MONDAY = date(2026, 11, 30)
CARD = """\
## {}
What is {}?
---
It is {}.

said: it is what it is
terms: loss
"""


def days(*numbers):
    return [MONDAY + timedelta(number) for number in numbers]


def write_cards(root, chapter, names):
    path = Path(root, "book", "cards", f"{chapter:02}.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    cards = "\n".join(CARD.format(name, name, name) for name in names)
    path.write_text(f"# Cards of chapter {chapter:02}\n\n{cards}", "utf-8")
    for folder in ("chapters", "exercises", "checks"):
        page = Path(root, "book", folder, f"{chapter:02}_x.py")
        page.parent.mkdir(exist_ok=True)
        page.write_text("# %%\n")
    return path


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The reader's folder, on a Monday."""
    monkeypatch.setenv("COURSEKIT_PROGRESS", str(tmp_path / "kept here"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(session, "today", lambda: MONDAY)
    return tmp_path / "kept here"


@pytest.fixture
def book(tmp_path):
    """Two chapters, of three cards and of four."""
    root = tmp_path / "a book"
    write_cards(root, 0, ["zero-a", "zero-b", "zero-c"])
    write_cards(root, 3, ["three-a", "three-b", "three-c", "three-d"])
    return root


# The files of cards


def test_a_card_is_read_with_what_stands_on_several_lines(book):
    Path(book, "book/cards/04.md").write_text(
        "# Cards of chapter 04\n\n\n## a-1\nWhy\n\n```\n## no card\n```\n---\nSo.\n\nAnd so.\n\n"
        "said: it is\n  said\nterms: dead unit,\n loss\n\n## b\nq\n---\na\nsaid: c\n"
    )
    one, two = read_cards(book, "04")
    assert (one.prompt, one.answer) == ("Why\n\n```\n## no card\n```", "So.\n\nAnd so.")
    assert (one.said, one.terms) == ("it is said", ("dead unit", "loss"))
    assert (one.chapter, one.where) == (4, "book/cards/04.md:4")
    assert (two.id, two.answer, two.terms) == ("b", "a", ())
    assert read_cards(book, "05") == []
    assert [*all_cards(book)][2:5] == ["zero-c", "three-a", "three-b"]


@pytest.mark.parametrize(
    ("change", "line", "wrong"),
    [
        (("chapter 03", "chapter 04"), 1, 'the first line must be "# Cards of chapter NN"'),
        (("\n\n## three-a", "\nText\n## three-a"), 2, "belongs to no card"),
        (("## three-b", "## Three b"), 11, "'Three b' is no id"),
        (("## three-b", "## three-a"), 11, "three-a stands in book/cards/03.md:3, too"),
        (("## three-b", "## zero-b"), 11, "zero-b stands in book/cards/00.md:11, too"),
        (("three-b?\n---", "three-b?"), 11, "three-b needs one line --- between"),
        (("It is three-b.", "It\n---\nis."), 15, "three-b needs one line --- between"),
        (("What is three-b?\n", ""), 11, "three-b has no question"),
        (("It is three-b.\n", ""), 11, "three-b has no answer"),
        (("three-b.\n\nsaid: it is what it is", "three-b.\n"), 11, "three-b has no line said:"),
        (("three-b.\n\nsaid: it", "three-b.\n\nsaid: x\nsaid: it"), 17, "three-b has said: twice"),
    ],
)
def test_what_is_wrong_with_a_file_of_cards_is_said_with_its_line(book, change, line, wrong):
    path = Path(book, "book/cards/03.md")
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(BookError, match=rf"^book/cards/03\.md:{line}: {wrong}"):
        all_cards(book)


def test_other_mistakes_of_a_file_are_said(book):
    path = Path(book, "book/cards/03.md")
    path.write_bytes(b"# Cards of chapter 03\n\xff")
    with pytest.raises(BookError, match=r"book/cards/03\.md: is not UTF-8"):
        all_cards(book)
    path.unlink()
    path.with_name("3.md").write_text("# Cards of chapter 3\n" + CARD.format(*"abc"))
    with pytest.raises(BookError, match=r"book/cards/3\.md"):
        all_cards(book)
    with pytest.raises(BookError, match="come with the book"):
        all_cards(book / "no")


# When a card comes back


def test_a_first_grade_gives_the_days_that_fsrs_6_has_published():
    # Its parameters 0 to 3 are the days after which nine of ten readers still know a new card.
    first = {"again": 0.212, "hard": 1.2931, "good": 2.3065, "easy": 8.2956}
    for grade, stability in first.items():
        away = schedule.due([(MONDAY, grade)]) - MONDAY
        assert away.days == max(1, round(stability))


def test_a_package_that_is_missing_is_named(book, capsys, monkeypatch, tmp_path):
    schedule.loaded.cache_clear()
    monkeypatch.setattr(Session.__init__, "__defaults__", (None, 10, book))
    history.note("zero-a", MONDAY, "good")
    for package, options in (("fsrs", []), ("genanki", ["--anki", f"{tmp_path}/a.apkg"])):
        monkeypatch.setitem(sys.modules, package, None)
        assert main(["review", *options]) == 2
        assert f"is missing: python -m pip install {package}\n" in capsys.readouterr().err


def test_what_is_known_waits_longer_each_time_and_what_is_forgotten_comes_soon():
    reviews, before = [(MONDAY, "good")], 0
    for _ in range(6):
        day = schedule.due(reviews)
        away = (day - reviews[-1][0]).days
        assert away > before
        reviews.append((day, "good"))
        before = away
    forgotten = [*reviews[:-1], (reviews[-1][0], "again")]
    assert before > 60 and (schedule.due(forgotten) - reviews[-1][0]).days < before / 4
    grades = [schedule.due([*reviews[:3], (reviews[3][0], grade)]) for grade in history.GRADES]
    assert grades == sorted(set(grades))


def test_the_schedule_is_the_same_each_time_and_draws_no_random_numbers():
    reviews = [(day, "good") for day in days(0, 3, 12, 40)]
    random.seed(1)
    state = random.getstate()
    assert len({schedule.due(reviews) for _ in range(20)}) == 1
    assert random.getstate() == state


def test_an_hour_of_the_day_is_no_matter():
    # The day after is a day later, though only twelve hours may lie between.
    assert schedule.due([(days(0)[0], "good"), (days(1)[0], "good")]) > days(3)[0]


def test_first_comes_what_waits_longest_then_what_is_new():
    known = {name: [] for name in "abcdefgh"}
    known["c"] = [(days(-9)[0], "good")]  # due two days later
    known["f"] = [(days(-20)[0], "good")]
    known["h"] = [(days(-2)[0], "good")]  # due today
    known["a"] = [(days(-1)[0], "easy")]  # not due yet
    assert schedule.plan([*known], known, MONDAY, 10) == ["f", "c", "h", "b", "d", "e", "g"]
    assert schedule.plan([*known], known, MONDAY, 4) == ["f", "c", "h", "b"]


def test_what_was_asked_today_counts_and_few_are_new_on_a_day():
    known = {f"{n}": [] for n in range(30)}
    assert schedule.plan([*known], known, MONDAY, 10) == ["0", "1", "2", "3", "4"]
    assert schedule.plan([*known], known, MONDAY, 11) == ["0", "1", "2", "3", "4", "5"]
    known["9"] = [(days(-9)[0], "good")]
    for n in range(3):
        known[f"{n}"] = [(MONDAY, "good")]
    assert schedule.plan([*known], known, MONDAY, 10) == ["9", "3", "4"]
    assert schedule.plan([*known], known, MONDAY, 4) == ["9"]
    assert schedule.plan([*known], known, MONDAY, 3) == []
    assert schedule.plan([*known], known, days(1)[0], 10) == ["9", "3", "4", "5", "6", "7"]
    known["0"] = [(days(-3)[0], "good"), (MONDAY, "good")]  # asked today, and not new
    assert schedule.plan([*known], known, MONDAY, 10) == ["9", "3", "4", "5"]


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (1, "tomorrow"),
        (2, "in 2 days, on Wednesday, December 2"),
        (32, "in 32 days, on Friday, January 1 2027"),
    ],
)
def test_a_day_is_said_in_words(away, words):
    assert schedule.spoken(MONDAY + timedelta(away), MONDAY) == words


# What is kept


def test_reviews_are_kept_by_card_and_what_a_later_version_added_stays(kept):
    history.note("a", MONDAY, "hard")
    path = kept / "cards" / "a.json"
    known = json.loads(path.read_text())
    assert known == {"version": 1, "reviews": [{"day": "2026-11-30", "grade": "hard"}]}
    known |= {"version": 2, "color": "red"}
    known["reviews"][0]["seconds"] = 7
    path.write_text(json.dumps(known))
    history.note("a", days(2)[0], "good")
    known["reviews"].append({"day": "2026-12-02", "grade": "good"})
    assert json.loads(path.read_text()) == known
    assert history.reviews("a") == [(MONDAY, "hard"), (days(2)[0], "good")]
    assert [path.name for path in kept.rglob("*")] == ["cards", "a.json"]


def test_reviews_come_in_the_order_of_the_days_and_those_of_a_day_as_they_came():
    for day, grade in ((3, "good"), (0, "hard"), (3, "again"), (3, "easy")):
        history.note("a", days(day)[0], grade)
    assert [grade for _, grade in history.reviews("a")] == ["hard", "good", "again", "easy"]


def test_a_file_of_an_earlier_version_is_read(kept):
    (kept / "cards").mkdir(parents=True)
    old = '{"reviews": [{"day": "2026-11-28", "grade": "good"}]}'  # no version, no line end
    (kept / "cards" / "a.json").write_text(old)
    assert history.reviews("a") == [(days(-2)[0], "good")]
    history.note("a", MONDAY, "good")
    assert len(history.reviews("a")) == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"reviews": [{"day": "2026-11-3',
        "",
        "[]",
        '{"reviews": "none"}',
        '{"reviews": [{"day": "yesterday", "grade": "good"}]}',
        '{"reviews": [{"day": "9999-12-31", "grade": "good"}]}',
        '{"reviews": [{"day": "2026-11-30", "grade": "fine"}]}',
        '{"reviews": [["2026-11-30", "good"]]}',
    ],
)
def test_a_damaged_file_is_set_aside_with_a_word(kept, capsys, text):
    (kept / "cards").mkdir(parents=True)
    (kept / "cards" / "a.json").write_text(text)
    assert history.reviews("a") == []
    assert "a.json was damaged: it is kept beside it" in capsys.readouterr().out
    history.note("a", MONDAY, "good")
    assert (kept / "cards" / "a.json.old1").read_text() == text
    assert history.reviews("a") == [(MONDAY, "good")]
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_kill_while_reviews_are_written_loses_none():
    program = (
        "from datetime import date\nfrom coursekit.memory.history import note\n"
        "while True:\n    note('a', date(2026, 11, 30), 'good')\n    print('.', end='', flush=True)"
    )
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    acknowledged = len(running.stdout.read(150))
    running.send_signal(signal.SIGKILL)
    acknowledged += len(running.stdout.read())
    running.wait()
    running.stdout.close()
    assert acknowledged <= len(history.reviews("a")) <= acknowledged + 1


def test_nothing_is_kept_where_it_is_not_the_reader_who_asks(book, kept, monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROGRESS", "")
    today = Session(root=book)
    assert today.grade("easy") == "easy: it comes back in 8 days, on Tuesday, December 8"
    assert not kept.exists() and Session(root=book).card.id == "zero-a"


# How far the reader is


def test_new_cards_are_of_what_was_read(book, kept, monkeypatch):
    ids = lambda **options: [card.id for card in Session(root=book, **options).left]  # noqa: E731
    write_cards(book, 8, ["eight"])
    zero, three = ["zero-a", "zero-b", "zero-c"], ["three-a", "three-b"]  # five are new on a day
    assert ids() == zero
    assert ids(upto="3") == zero + three == ids()  # it is remembered
    assert ids(upto="00_x") == zero == ids()
    history.note("eight", days(-9)[0], "good")
    assert ids() == ["eight", *zero]  # it was asked once
    assert ids(upto="0") == zero
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/03_x.ipynb")
    assert ids(number=7) == ["eight", *zero, "three-a"]
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/my own.ipynb")
    assert ids(number=7) == ["eight", *zero, "three-a"]
    with pytest.raises(BookError, match="there is no chapter 4: there are 00 to 08"):
        ids(upto="4")


def test_exercises_that_were_begun_tell_how_far_the_reader_is(kept):
    assert reached() == 0
    kept.mkdir(exist_ok=True)
    for task, chapter in (("gradcheck-of-no-set", 0), ("linear-backward", 3)):
        (kept / f"{task}.json").write_text("{}")
        assert reached() == chapter
    (kept / "review.json").write_text('{"upto": 7, "font": "large"}')
    assert reached() == 7 and reached("5") == 5 == reached()
    assert json.loads((kept / "review.json").read_text())["font"] == "large"
    (kept / "review.json").write_text('{"upto": "seven"}')
    assert reached() == 3 and (kept / "review.json.old1").is_file()


# In a terminal


@pytest.fixture
def type_in(book, monkeypatch, capsys):
    """Run `review` on the small book, with lines typed in; return its exit code and its output."""
    monkeypatch.setattr(Session.__init__, "__defaults__", (None, 10, book))

    def run(*lines, options=()):
        left = iter(lines)

        def typed(question):
            print(question)
            line = next(left, EOFError())
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr("builtins.input", typed)
        code = main(["review", *options])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_a_session_in_a_terminal(type_in):
    code, said = type_in("", "3", "", "x", "again", "", "easy", "", "Good")
    assert code == 0
    assert said.startswith("3 questions today.")
    asked = [line for line in said.split("\n") if line.startswith(("What", "It is", "---"))]
    assert asked == [
        "--- 1 of 3, chapter 0 ---", "What is zero-a?", "It is zero-a.",
        "--- 2 of 3, chapter 0 ---", "What is zero-b?", "It is zero-b.",
        "--- 2 of 3, chapter 0 ---", "What is zero-c?", "It is zero-c.",
        "--- 3 of 3, chapter 0 ---", "What is zero-b?", "It is zero-b.",
    ]  # fmt: skip
    assert "type 1, 2, 3 or 4" in said and "again: it comes once more today" in said
    assert said.endswith("That was all for today. The next question comes tomorrow.\n")
    assert history.reviews("zero-b") == [(MONDAY, "again"), (MONDAY, "good")]
    assert history.reviews("zero-c") == [(MONDAY, "easy")]
    code, said = type_in()
    assert (code, said) == (
        0, "\nThere is nothing to recall today. The next question comes tomorrow.\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"Why is $dx = dy\,W^\top$?", "Why is dx = dy W^⊤?"),
        (r"$p\,\log p_a \le 0$ and `$HOME`, `$x`.", "p log p_a ≤ 0 and `$HOME`, `$x`."),
        (r"$d\hat x$ is $$\sqrt{n_{in}}$$", "dx̂ is √(n_in)"),
    ],
)
def test_a_terminal_shows_signs_in_place_of_tex(text, shown, monkeypatch):
    assert plain(text) == shown
    monkeypatch.setitem(sys.modules, "pylatexenc.latex2text", None)
    assert plain(text) == text


@pytest.mark.parametrize("end", ["q", "QUIT", EOFError()])
@pytest.mark.parametrize("before", [1, 2])
def test_a_session_ends_when_the_reader_says_so_and_keeps_what_was_graded(type_in, end, before):
    code, said = type_in("", "2", *["", ""][: before - 1], end)
    assert code == 0 and said.endswith("Stopped: what you graded is kept.\n")
    assert history.reviews("zero-a") and not history.reviews("zero-b")
    assert ("It is zero-b." in said) == (before == 2)


def test_what_was_too_much_for_today_comes_tomorrow(type_in):
    for name in ("zero-a", "zero-b", "zero-c"):
        history.note(name, days(-9)[0], "good")
    _, said = type_in("", "4", options=["--upto", "0"])
    assert said.startswith("3 questions today.")
    _, said = type_in(options=["--number", "1"])
    assert said == "\nThere is nothing to recall today. The next question comes tomorrow.\n"


def test_ctrl_c_ends_a_session_and_keeps_what_was_graded(type_in, capsys):
    code, _ = type_in("", "2", "", KeyboardInterrupt())
    assert code == 130
    assert history.reviews("zero-a") and not history.reviews("zero-b")


def test_options_of_review_that_make_no_sense_are_refused_in_a_line(type_in, capsys, tmp_path):
    for options in (["--upto", "77"], ["--number", "0"], ["--anki", f"{tmp_path}/deck.zip"]):
        try:
            code, said = type_in(options=options)
        except SystemExit as error:
            code = error.code
        assert code == 2


def test_a_grade_that_cannot_be_kept_is_said_in_a_line(type_in, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(history, "write", full)
    code, said = type_in("", "2", "", "2")
    assert code == 2 and said.endswith("zero-a.json: No space left on device\n")
    assert "What is zero-b?" not in said


# In a notebook


def test_the_panel_of_a_notebook_asks_shows_and_grades(book):
    import ipywidgets

    panel = Panel(ipywidgets, Session(root=book))

    def shown():
        return panel.text.outputs[0]["data"]["text/markdown"]

    def buttons():
        return [button.description for button in panel.buttons.children]

    assert shown() == "*1 of 3, chapter 0*\n\nWhat is zero-a?" and buttons() == ["Show the answer"]
    panel.show.click()
    assert shown().endswith("It is zero-a.") and buttons() == ["again", "hard", "good", "easy"]
    panel.grades[0].click()
    assert history.reviews("zero-a") == [(MONDAY, "again")]
    assert shown() == "*1 of 3, chapter 0*\n\nWhat is zero-b?" and "once more" in panel.said.value
    panel.grades[2].click()  # the second click of two
    assert history.reviews("zero-b") == []
    for _ in range(3):
        panel.show.click()
        panel.grades[2].click()
    assert shown().startswith("That was all for today.") and buttons() == []


# For Anki


def notes(data):
    """{guid: (fields, tags)} of an .apkg file, and its note type's and deck's ids."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        database = sqlite3.connect(":memory:")
        database.deserialize(archive.read("collection.anki2"))
    found = database.execute("SELECT guid, flds, tags, mid FROM notes").fetchall()
    decks = {deck for (deck,) in database.execute("SELECT did FROM cards")}
    database.close()
    kinds = {kind for *_, kind in found}
    texts = {guid: (*flds.split("\x1f"), tags.strip()) for guid, flds, tags, _ in found}
    return texts, kinds, decks


def test_a_second_file_for_anki_updates_the_notes_of_the_first(book, tmp_path, monkeypatch):
    monkeypatch.setattr(anki.export, "__defaults__", (None, book))
    path = tmp_path / "a deck.apkg"
    assert main(["review", "--anki", str(path)]) == 0
    first, *ids = notes(path.read_bytes())
    assert len(first) == 7
    write_cards(book, 3, ["three-b", "three-x", "three-c", "three-d", "three-a"])
    cards = Path(book, "book/cards/03.md")
    cards.write_text(cards.read_text().replace("What is three-b?", "Why *is* $a < b_c$?"))
    assert main(["review", "--anki", str(path)]) == 0
    second, *same_ids = notes(path.read_bytes())
    assert ids == same_ids
    assert first.keys() < second.keys() and len(second) == 8
    changed = [guid for guid in first if first[guid] != second[guid]]
    question = '<p>Why <em>is</em> <span class="math inline">\\(a &lt; b_c\\)</span>?</p>'
    answer = "<p>It is three-b.</p>"
    assert [second[guid] for guid in changed] == [(question, answer, "3", "chapter-03")]
    assert [p.name for p in tmp_path.iterdir() if p.name != "a book"] == ["a deck.apkg"]


# A year


def test_a_year_of_a_forgetful_reader(tmp_path, monkeypatch):
    """Eight chapters of five cards; the reader stays away on every fourth day, and forgets.

    What they know is no part of the scheduler: each card has a half-life of a day, which doubles
    when it is recalled and falls to a quarter when not. On the way a text changes, a card goes and
    comes back, a file is of another version, and a day ends in the middle.
    """
    cached = cache(lambda reviews, due=schedule.due: due(reviews))  # 25 times as fast
    for module in (schedule, session):
        monkeypatch.setattr(module, "due", lambda reviews: cached(tuple(reviews)))
    rng, book = random.Random(5), tmp_path / "book"
    names = {c: [f"c{c}-{n}" for n in range(5)] for c in range(8)}
    for chapter, ids in names.items():
        write_cards(book, chapter, ids)
    half_life, last = Counter(), {}
    graded = {name: [] for ids in names.values() for name in ids}
    right = asked = 0
    for number in range(365):
        now = MONDAY + timedelta(number)
        if number == 100:  # every text changes
            for path in Path(book, "book/cards").glob("*.md"):
                path.write_text(path.read_text().replace("What is", "Tell me what is"))
        if number == 150:
            before = history.reviews("c2-3")
            write_cards(book, 2, [name for name in names[2] if name != "c2-3"])
        if number == 250:
            write_cards(book, 2, names[2])
            assert history.reviews("c2-3") == before == graded["c2-3"] != []
        if rng.random() < 0.25:
            continue
        monkeypatch.setattr(session, "today", lambda now=now: now)
        today = Session(upto=f"{min(number // 7, 7)}", root=book)
        assert today.total <= 10
        assert not (150 <= number < 250 and any(card.id == "c2-3" for card in today.left))
        while today.card:
            if rng.random() < 0.02:
                break  # the reader is called away
            name = today.card.id
            known = last.get(name) == now  # it was shown a minute ago
            if name in last and not known:
                known = rng.random() < 0.5 ** ((now - last[name]).days / half_life[name])
                asked += 1
                right += known
            half_life[name] = max(1, half_life[name] * (2 if known else 0.25))
            last[name] = now
            today.grade(grade := "good" if known else "again")
            graded[name].append((now, grade))
    for name, reviews in graded.items():
        assert history.reviews(name) == reviews, "none is lost"
    assert asked > 500 and 0.6 < right / asked < 0.95, (asked, right)
    for reviews in graded.values():
        check_that_intervals_grow(reviews)
    longest = max((schedule.due(reviews) - reviews[-1][0]).days for reviews in graded.values())
    assert longest > 90


def check_that_intervals_grow(reviews):
    """From one success to the next the wait gets longer; after a failure it is short."""
    waits = []  # (whether it was recalled on a later day than the last time, days until the next)
    for end in range(1, len(reviews) + 1):
        day, grade = reviews[end - 1]
        wait = (schedule.due(reviews[:end]) - day).days
        if grade == "again":
            assert not waits or wait <= max(1, waits[-1])
            waits = []
        else:
            assert not waits or wait >= waits[-1]
        waits.append(wait)
