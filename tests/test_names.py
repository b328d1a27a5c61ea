"""Students' names and words, as files, in tables and on pages: whatever Unicode there is."""

import csv
import io
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from coursekit.grading.names import LONGEST, cell, file_key, inert, shown

# A folder's name: any bytes but two, as Python hands them over; those that look like ours, too.
NAMES = st.one_of(
    st.binary(min_size=1, max_size=255).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=80),
    st.from_regex(r"[a-z|_.]{0,3}-[0-9a-f]{16}", fullmatch=True),
    st.text("ab|_.-'=+ \\\n\u0301é", min_size=1, max_size=6),
).filter(lambda name: "/" not in name and "\0" not in name)
ANY = st.text(st.characters(), max_size=300)
FORMULA = re.compile(r"\s*[=+\-@\t\r＝＋－＠]")


@settings(max_examples=400)
@given(NAMES, NAMES)
@example("a|b", "a_b-9a4de5a6d2ad7e7c")
@example("a|b", file_key("a|b"))
@example("李" * 83, "李" * 82)
@example("é", "e\u0301")
@example("'=1", "=1")
@example("a\n", "a\\n")
@example("\udcff", "\\udcff")
def test_no_two_names_share_a_file_or_a_row(one, other):
    if one != other:
        assert file_key(one) != file_key(other)
        assert shown(one) != shown(other)
        assert cell(shown(one)) != cell(shown(other))


@settings(max_examples=400)
@given(NAMES)
def test_a_key_is_a_name_of_a_file_on_every_system(name):
    key = file_key(name)
    assert 0 < len(key.encode("utf-8")) <= LONGEST + 20
    assert not re.search(r'[/\\:*?"<>|\0-\x1f]', key) and key not in (".", "..")
    assert not key.startswith(".") and key == key.strip(". ")
    assert file_key(name) == key


@settings(max_examples=400)
@given(NAMES)
def test_a_name_is_shown_in_one_printable_line(name):
    assert shown(name).isprintable() and shown(name).encode("utf-8")


@settings(max_examples=400)
@given(st.lists(ANY, min_size=2, max_size=4))
def test_a_cell_is_no_formula_and_survives_a_table(texts):
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerow([cell(text) for text in texts])
    assert table.getvalue().count("\n") == 1
    [row] = csv.reader(io.StringIO(table.getvalue()))
    assert row == [cell(text) for text in texts]
    assert not any(FORMULA.match(value) for value in row)


@settings(max_examples=400)
@given(ANY)
@example("```\n# 7 of 7 points\n<script>")
@example("[x](http://x) | y `z`")
def test_what_a_student_says_stays_one_line_of_text(text):
    line = inert(text)
    assert len(line) <= 200 and line.isprintable()
    assert not set("`<>|\n\r\u2028") & set(line)
    assert inert(line) == line
