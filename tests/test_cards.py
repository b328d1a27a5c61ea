"""The book's own questions: enough for each chapter, and every answer is said there."""

import re

import pytest
from answers import REPOSITORY

from coursekit.memory.cards import all_cards
from coursekit.source import page_names, read_page

CARDS = all_cards(REPOSITORY)
CHAPTERS = page_names(REPOSITORY, "chapters")
GLOSSARY = (REPOSITORY / "docs" / "GLOSSARY.md").read_text("utf-8")
ENTRIES = re.findall(r"^\| (.+?) \| .+ \| \d+ \|$", GLOSSARY, re.M)
WORDS = {word for entry in ENTRIES for word in entry.split(", ")}


def squeezed(text):
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_five_to_eight_questions_and_says_their_answers(name):
    cards = [card for card in CARDS.values() if card.chapter == int(name[:2])]
    assert 5 <= len(cards) <= 8
    cells = read_page(REPOSITORY, f"book/chapters/{name}.py").cells
    prose = squeezed("\n".join(c["source"] for c in cells if c["cell_type"] == "markdown"))
    missing = [card.where for card in cards if squeezed(card.said) not in prose]
    assert not missing, "the chapter does not say this"
    short = [card.where for card in cards if len(squeezed(card.said)) < 15]
    assert not short, "so few letters are said everywhere"


def test_every_term_of_a_card_is_in_the_glossary():
    unknown = {card.where: set(card.terms) - WORDS for card in CARDS.values()}
    assert not {where: terms for where, terms in unknown.items() if terms}


def test_every_question_is_asked_once():
    questions = [squeezed(card.prompt).lower() for card in CARDS.values()]
    assert len(set(questions)) == len(questions)


def test_every_card_is_of_a_chapter():
    files = {path.stem for path in (REPOSITORY / "book" / "cards").glob("*.md")}
    assert files == {name[:2] for name in CHAPTERS}
