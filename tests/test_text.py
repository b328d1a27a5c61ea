"""What can be checked in the book's text without understanding it: spelling, links, equations."""

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest
from answers import REPOSITORY
from spellchecker import SpellChecker

from coursekit.memory.cards import read_cards
from coursekit.source import read_page

WORDS = Path(__file__).with_name("words.txt")
# Where the pages of a folder of book/ can be read: links start there.
BUILT = {"chapters": ["notebooks"], "exercises": ["exercises", "solutions"]}
PAGES = sorted(p for folder in BUILT for p in (REPOSITORY / "book" / folder).glob("*.py"))
FILES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted(REPOSITORY.glob("docs/**/*.md")),
    *sorted(REPOSITORY.glob("book/keys/*.md")),
    REPOSITORY / "data" / "README.md",
    *sorted(REPOSITORY.glob("site/*.md")),
    *sorted(REPOSITORY.glob("paper/*.md")),
]
CARDS = sorted((REPOSITORY / "book" / "cards").glob("*.md"))
MODULES = sorted((REPOSITORY / "numpygpt").rglob("*.py"))
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
EQUATION = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]*)\)")


@cache
def cells_of(path):
    return read_page(REPOSITORY, path.relative_to(REPOSITORY).as_posix()).cells


def markdown_of(path):
    """The text of a page or a file, code taken out."""
    if path in CARDS:
        text = "\n\n".join(texts_of(path))
    elif path.suffix == ".md":
        text = path.read_text("utf-8")
    else:
        text = "\n\n".join(texts_of(path))
    return CODE.sub(" ", text)


def texts_of(path):
    """The texts of a page, or the questions and answers of a file of cards."""
    if path in CARDS:
        cards = read_cards(REPOSITORY, path.stem)
        return [text for card in cards for text in (card.prompt, card.answer)]
    return [cell["source"] for cell in cells_of(path) if cell["cell_type"] == "markdown"]


def tokens_of(source):
    return tokenize.generate_tokens(io.StringIO(source).readline)


def prose_of(path):
    """The text alone: no code, equations, addresses or HTML; comments and docstrings of modules."""
    if path not in MODULES:
        text = LINK.sub(lambda link: link[0].partition("](")[0], markdown_of(path))
        return re.sub(r"<[^>]*>|https?://\S+", " ", EQUATION.sub(" ", text))
    source = path.read_text("utf-8")
    parts = [token.string for token in tokens_of(source) if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            parts.append(ast.get_docstring(node) or "")
    return CODE.sub(" ", "\n".join(parts))


def words_in(text):
    words = re.findall(r"(?<!\w)[A-Za-z]+(?:['’][A-Za-z]+)*(?!\w)", text)  # β₁ and wᵀ are none
    return {re.sub(r"['’]s$", "", word).lower() for word in words}


@cache
def names():
    """All that is a name in the code: text may speak of it without marking it as code."""
    sources = [path.read_text("utf-8") for path in MODULES]
    sources += [
        "\n".join(cell["source"] for cell in cells_of(path) if cell["cell_type"] == "code")
        for path in PAGES
    ]
    tokens = [token for source in sources for token in tokens_of(source)]
    found = {token.string for token in tokens if token.type == tokenize.NAME}
    return {part.lower() for name in found for part in re.findall(r"[^\W\d_]+", name)}


@cache
def dictionary():
    return SpellChecker(distance=1)


def own_words():
    return WORDS.read_text("utf-8").split()


@pytest.mark.parametrize(
    "path", [*PAGES, *CARDS, *FILES, *MODULES], ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_every_word_is_spelled_as_in_the_dictionary(path):
    unknown = dictionary().unknown(words_in(prose_of(path)) - names()) - set(own_words())
    assert not unknown, "misspelled, or to be added to tests/words.txt"


def test_the_word_list_holds_only_what_it_must():
    words = own_words()
    assert words == sorted(set(words))
    assert not dictionary().known(words)
    paths = [*PAGES, *CARDS, *FILES, *MODULES]
    used = {word for path in paths for word in words_in(prose_of(path))}
    assert set(words) <= used - names()


def anchors(path):
    """The places in a file that a link can name, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*PAGES, *FILES], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_link_leads_somewhere(path):
    for link in LINK.findall(markdown_of(path)):
        if ":" in link:
            assert re.fullmatch(r"https://[\w.-]+\.\w+(/[^\s]*)?", link), link
            continue
        target, _, anchor = link.partition("#")
        folders = (
            [REPOSITORY / f for f in BUILT[path.parent.name]] if path in PAGES else [path.parent]
        )
        for folder in folders:
            there = folder / target if target else path
            assert there.exists(), f"{link}: not there from {folder.name}"
            if anchor:
                assert there.suffix == ".md" and anchor in anchors(there), link


def broken(equation):
    """What keeps an equation from being shown, or None."""
    if re.search(r"\n\s*\n", equation):
        return "a blank line ends it"
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", equation):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth:
        return "braces"
    begin, end = (re.findall(rf"\\{word}\{{(\w+)", equation) for word in ("begin", "end"))
    if sorted(begin) != sorted(end):
        return "begin and end"
    if len(re.findall(r"\\left\b", equation)) != len(re.findall(r"\\right\b", equation)):
        return "left and right"
    return None


@pytest.mark.parametrize("path", [*PAGES, *CARDS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_equation_is_whole(path):
    for text in texts_of(path):
        text = CODE.sub(" ", text).replace(r"\$", " ")
        for equation in EQUATION.findall(text):
            assert not broken(equation), f"{broken(equation)}: {equation}"
        assert "$" not in EQUATION.sub(" ", text), f"a $ alone in: {text[:80]}"


@pytest.mark.parametrize("path", [*PAGES, *FILES], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_row_of_a_table_stands_on_one_line_with_all_its_cells(path):
    bar = r"(?<!\\)\|"  # that is no part of the text
    width = None
    for line in markdown_of(path).split("\n"):
        if not line.startswith(("| ", "|-")):
            assert width is None or not line.strip(), f"a row of a table goes on: {line}"
            width = None
            continue
        assert line.rstrip().endswith("|"), line
        width = width or len(re.findall(bar, line))
        assert len(re.findall(bar, line)) == width, line


# What the dictionary lets pass, in the spelling of the other side of the ocean.
BRITISH = re.compile(
    r"learnt|spelt|burnt|dreamt|licences?|(?:label|model|travel|cancel)l(?:ed|ing)|judgements?|"
    r"whilst|amongst|practis\w+|(?:colo|neighbo|behavio|favo|hono)ur\w*|centred?|grey"
)
CHECKS = sorted((REPOSITORY / "book" / "checks").glob("*.py"))


@pytest.mark.parametrize(
    "path", [*PAGES, *CARDS, *CHECKS, *FILES], ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_the_spelling_is_american(path):
    assert not {word for word in words_in(prose_of(path)) if BRITISH.fullmatch(word)}
