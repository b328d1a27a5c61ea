"""The cards of book/cards/NN.md: a question, its answer, and where its chapter says it."""

import re
from dataclasses import dataclass
from pathlib import Path

from coursekit.address import ROOT, repository
from coursekit.files import BookError

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LAST = re.compile(r"(said|terms):(.*)")  # what stands below the answer


@dataclass(frozen=True)
class Card:
    """A question and its answer, both Markdown."""

    id: str
    chapter: int
    prompt: str
    answer: str
    said: str  # words of the chapter that say the answer
    terms: tuple  # of docs/GLOSSARY.md
    where: str  # "book/cards/03.md:3"


def all_cards(root=ROOT):
    """{id: card} of the whole book, in its order.

    Raises:
        BookError: a file is not as it should be, an id is there twice, or there is no book here.
    """
    cards = {}
    for path in sorted(Path(root, "book", "cards").glob("*.md")):
        for card in read_cards(root, path.stem):
            if card.id in cards:
                raise BookError(f"{card.where}: {card.id} stands in {cards[card.id].where}, too")
            cards[card.id] = card
    if not cards:
        raise BookError(f"the cards come with the book, not with the package: {repository()}")
    return cards


def read_cards(root, number):
    """The cards of chapter "03", in order; none if it has no file.

    Raises:
        BookError: naming the line that is not as it should be.
    """
    path = f"book/cards/{number}.md"
    file = Path(root, path)
    if not file.is_file():
        return []
    try:
        lines = file.read_text("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BookError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from None
    if lines[0].rstrip() != f"# Cards of chapter {number}" or not re.fullmatch(r"\d\d", number):
        raise BookError(f'{path}:1: the first line must be "# Cards of chapter NN", as the file')
    starts = headings(lines)
    if before := [at for at in range(1, min(starts, default=len(lines))) if lines[at].strip()]:
        raise BookError(f"{path}:{before[0] + 1}: belongs to no card: a card begins with ## id")
    cards = {}
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        card = read_card(path, int(number), lines, start, end)
        if card.id in cards:
            raise BookError(f"{card.where}: {card.id} stands in {cards[card.id].where}, too")
        cards[card.id] = card
    return list(cards.values())


def headings(lines):
    """The places of the lines that begin a card; in a block of code, none does."""
    places, in_code = [], False
    for at, line in enumerate(lines):
        in_code ^= line.startswith("```")
        if line.startswith("## ") and not in_code:
            places.append(at)
    return places


def read_card(path, chapter, lines, start, end):
    name, where = lines[start][3:].strip(), f"{path}:{start + 1}"
    if not ID.fullmatch(name):
        raise BookError(f"{where}: {name!r} is no id: write small letters, digits and hyphens")
    bars = [at for at in range(start, end) if lines[at].rstrip() == "---"]
    if len(bars) != 1:
        place = f"{path}:{bars[1] + 1}" if bars else where
        raise BookError(f"{place}: {name} needs one line --- between question and answer")
    prompt = "\n".join(lines[start + 1 : bars[0]]).strip()
    answer, last = [], {}
    for at in range(bars[0] + 1, end):
        if begins := LAST.match(lines[at]):
            if begins[1] in last:
                raise BookError(f"{path}:{at + 1}: {name} has {begins[1]}: twice")
            last[begins[1]] = [begins[2]]
        else:  # a line goes on with what stands above it
            (last[list(last)[-1]] if last else answer).append(lines[at])
    said, terms = (" ".join(" ".join(last.get(key, [])).split()) for key in ("said", "terms"))
    answer = "\n".join(answer).strip()
    for what, text in (("question", prompt), ("answer", answer), ("line said:", said)):
        if not text:
            raise BookError(f"{where}: {name} has no {what}")
    terms = tuple(term.strip() for term in terms.split(",") if term.strip())
    return Card(name, chapter, prompt, answer, said, terms, where)
