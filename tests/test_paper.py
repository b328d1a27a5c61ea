"""The parts of the book on paper that need neither pandoc nor typst; see `make test-book`, too."""

import json
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont

from paper import HERE, ROOT, formulas, pages, typ
from paper.content import GUIDES
from paper.links import Links, numbered
from paper.pages import Page
from paper.tables import fitted
from paper.terms import Index, Term, glossary, marks_as, slug
from paper.tree import changed, element, header, para, raw, raw_inline, text_of, words


def test_a_change_of_the_tree_begins_inside_and_may_give_none_or_several():
    tree = [para(*words("one two"), element("Strong", words("three")))]

    def change(node):
        if node["t"] == "Str":
            return {"one": [], "two": words("2 2")}.get(node["c"])
        return None

    assert text_of(changed(tree, change)) == " 2 2three"
    assert text_of(tree) == "one twothree"  # left as it was


@pytest.mark.parametrize("sign", ['"', "\\", "\\b", "\n", "\t", "\x1b", "√", "#x[y]"])
def test_a_string_of_typst_gives_the_text_back(sign):
    quoted = typ.string(f"a{sign}b")
    assert quoted[0] == quoted[-1] == '"' and "\n" not in quoted
    inside = quoted[1:-1].replace("\\\\", "\0").replace('\\"', '"')
    inside = typ.re.sub(r"\\u\{(\w+)\}", lambda match: chr(int(match[1], 16)), inside)
    assert inside.replace("\0", "\\") == f"a{sign}b"


def test_a_line_that_is_too_long_goes_on_after_a_sign_and_loses_nothing():
    assert typ.wrapped("x" * typ.COLUMNS) == ["x" * typ.COLUMNS]
    for line in (" ".join(["word"] * 60), "x" * 250, "x" * (typ.COLUMNS + 1)):
        first, *more = typ.wrapped(line)
        assert more and all(part.startswith(typ.GOES_ON) for part in more)
        assert all(len(part) <= typ.WRAPPED for part in (first, *more))
        assert first + "".join(part.removeprefix(typ.GOES_ON) for part in more) == line


@pytest.mark.parametrize(
    "pandoc, typst",
    [
        ("a dot.circle b", "a dot.o b"),
        ("d x plus.double 2", 'd x class("relation", "+=") 2'),
        (r"\| w \|", 'class("normal", bar.v) w class("normal", bar.v)'),
        ("a #h(0em) = b", "a thick = b"),
        ("s #h(-1em) x", "s #h(-0.167em) x"),
        (r"#scale(x: 120%, y: 120%)[\(]", r"stretch(\(, size: #120%)"),
        ('upright("is ") a_i upright(" our ")', 'upright("is ")a_i #h(0em)upright(" our ")'),
        ('b upright("?")', 'b #h(0em)upright("?")'),
    ],
)
def test_what_pandoc_makes_of_a_formula_is_mended(pandoc, typst):
    assert formulas.mended(pandoc) == typst


def table(*rows):
    cells = [
        [[], [[[], element("AlignDefault"), 1, 1, [element("Plain", words(text))]] for text in row]]
        for row in rows
    ]
    columns = [[element("AlignDefault"), element("ColWidthDefault")] for _ in rows[0]]
    body = [[], 0, [], cells[1:]]
    return element("Table", [], [None, []], columns, [[], cells[:1]], [body], [[], []])


def test_a_table_gets_widths_where_it_is_wider_than_the_page():
    small = table(("name", "meaning"), ("x", "the input"))
    assert fitted(small) == small
    wide = fitted(table(("name", "meaning"), ("x", "a long text " * 30)))
    widths = [width["c"] for _, width in wide["c"][2]]
    assert sum(widths) == pytest.approx(1, abs=0.001) and 0.04 < widths[0] < 0.1


def test_answers_leave_their_page_and_a_link_stays():
    folded = [raw("html", "<details><summary>Answer</summary>\n"), para(*words("It is 3."))]
    page = Page("notebooks/09_x.ipynb", "ch-09", "", [*folded, raw("html", "</details>\n")], 9)
    [asked] = pages.without_answers(page)
    assert asked["c"][0][0] == "ask-9-1" and text_of(page.answers) == "It is 3."
    for broken in (folded, [raw("html", "<b>")], [raw("html", "</details>")]):
        with pytest.raises(ValueError, match="notebooks/09_x.ipynb"):
            pages.without_answers(Page("notebooks/09_x.ipynb", "ch-09", "", broken, 9))


LIBERTINUS = "Ⅷ"  # a font that typst brings, and nothing that is installed here, has it


def shown(cell):
    """What paper shows of a cell: its text, what it printed, what stands below its figures."""
    yield from cell["source"]
    for output in cell.get("outputs", []):
        yield from output.get("text", [])
        if "image/png" in output.get("data", {}):
            yield output["metadata"]["image/png"]["alt"]


def test_every_sign_of_the_book_is_in_its_fonts():
    signs = {}
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("exercises/*.ipynb")]:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            signs |= dict.fromkeys("".join(shown(cell)), path.name)
    for path in [*(ROOT / f"docs/{name}.md" for name in GUIDES), *HERE.glob("*.*")]:
        signs |= dict.fromkeys(path.read_text("utf-8"), path.name)
    mono = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSansMono.ttf")  # typst has the same
    fonts = [set(TTFont(font).getBestCmap()) for font in (mono, *HERE.glob("fonts/*.ttf"))]
    known = set().union(*fonts, map(ord, LIBERTINUS))
    assert len(signs) > 150
    for sign in sorted(set(signs) - {"\n"}):
        assert ord(sign) in known, (
            f"{signs[sign]}: no font of the book on paper has {sign!r} (U+{ord(sign):04X}); "
            "paper/README.md says how to make a font anew"
        )


def test_a_question_stays_on_the_page_of_what_leads_to_its_answer():
    question, answer = para(*words("Why?")), pages.asked(9, 1)
    first, inside, last = typ.placed(question, [answer])
    assert inside == question and "leads-on" in first["c"][1] and last["c"][1] == "]"
    assert typ.placed(question, [question]) == typ.placed(question, []) == [question]


class Facts:
    def at(self, path):
        return f"https://host/{path}"


def test_a_link_leads_into_the_book_or_to_the_repository_or_is_an_error():
    chapter = Page("notebooks/03_linear.ipynb", "ch-03", "", [])
    links = Links(ROOT, Facts(), [chapter, Page("docs/GLOSSARY.md", "guide-glossary", "", [])])
    assert links.target(chapter, "03_linear.ipynb") == "#ch-03"
    exercises = "exercises/03_linear.ipynb"
    assert links.target(chapter, f"../{exercises}") == f"https://host/{exercises}"
    assert links.target(chapter, "https://elsewhere") == "https://elsewhere"
    for wrong in ("33_none.ipynb", "../../outside"):
        with pytest.raises(ValueError, match="which is not there"):
            links.target(chapter, wrong)
    chapter.blocks = [para(element("Code", ["", [], []], "docs/GLOSSARY.md"))]
    links.mend(chapter)
    assert chapter.blocks[0]["c"][0]["c"][2][0] == "#guide-glossary"


def test_sections_get_names_and_numbers_and_what_is_below_them_names_alone():
    page = Page(
        "", "ch-09", "", [header(n, "", words(t)) for n, t in ((2, "A"), (3, "b"), (2, "C"))]
    )
    numbered(page, 3, 9)
    assert [(h["c"][0], h["c"][1][0], text_of(h)) for h in page.blocks] == [
        (3, "ch-09-1", "9.1\u2002A"), (4, "ch-09-2", "b"), (3, "ch-09-3", "9.2\u2002C"),
    ]  # fmt: skip


def chapter(number, *texts):
    blocks = [header(3, "", [element("Str", texts[0])]), *(para(*text) for text in texts[1:])]
    return Page("", f"ch-{number}", "", blocks, number)


def test_the_name_of_a_place_in_the_index_is_one_that_typst_takes():
    assert [slug(word) for word in ("KV cache", "ReLU²")] == ["kv-cache", "relu-"]


def test_the_index_leads_to_what_explains_a_term_and_to_sections_about_it():
    terms = [Term("cache", 2), Term("KV cache", 3), Term("top-k", 3)]
    bold = [*words("A"), element("Space"), element("Strong", words("cache")), *words("is kept")]
    book = [
        chapter(1, "1.1\u2002One", words("cache once")),
        chapter(2, "2.1\u2002Two", words("the Caches"), bold),
        chapter(3, "3.1\u2002Top-k", words("KV caches: a cache, the cache, one more cache")),
    ]
    by_name = {term.word: term for term in Index(terms).mark(book)}
    assert list(by_name) == ["cache", "KV cache", "top-k"]
    assert [(m.section, m.strong) for m in by_name["cache"].places] == [
        ("2.1", True),
        ("3.1", False),
    ]
    assert [m.section for m in by_name["KV cache"].places] == ["3.1"]
    marked = marks_as(
        book[2].blocks, lambda name: raw_inline("x", name), lambda name: raw("y", name)
    )
    assert [block["t"] for block in marked] == ["Header", "RawBlock", "Para"]  # none in a heading
    with pytest.raises(ValueError, match="never speaks of 'dropout'"):
        Index([Term("dropout", 1)]).mark(book)


def test_the_glossary_gives_each_of_two_words_a_line_in_the_index():
    row = "| top-k, top-p | Sampling among the likeliest. | 17 |"
    assert [(t.word, t.chapter) for t in glossary(row)] == [("top-k", 17), ("top-p", 17)]
    assert len(glossary((ROOT / "docs/GLOSSARY.md").read_text("utf-8"))) > 75
