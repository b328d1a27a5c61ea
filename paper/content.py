"""What the book holds, in its order, before it is set for paper or for a reader of EPUB."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from prepare import PARTS, ROMAN, Book

from coursekit.address import repository
from paper import pages
from paper.links import Links, numbered
from paper.terms import Index, glossary
from paper.tree import link, para, words

GUIDES = ["BACKPROP", "OPTIMIZERS", "TOKENIZERS", "NOTATION", "GLOSSARY", "TUTOR"]
LETTERS = "ABCDEF"


@dataclass
class Facts:
    """What the title page says; from CITATION.cff, CHANGELOG.md and pyproject.toml."""

    title: str
    subtitle: str
    abstract: str
    authors: list
    keywords: list
    version: str
    date: str
    address: str

    @property
    def edition(self):
        return f"Edition {self.version}, {self.date}"

    def at(self, path):
        """The address of a file."""
        return f"{self.address}/blob/main/{path}"


def facts(root):
    about = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    title, _, subtitle = about["title"].partition(": ")
    changes = (root / "CHANGELOG.md").read_text("utf-8")
    [date] = re.findall(rf"^## {re.escape(about['version'])}, (.+)$", changes, re.MULTILINE)
    return Facts(
        title, subtitle[0].upper() + subtitle[1:], about["abstract"],
        [author["name"] for author in about["authors"]], about["keywords"], about["version"],
        date, repository(root),
    )  # fmt: skip


class Content:
    """The pages of the book, with their links, and the terms of its index.

    Args:
        root: of the repository.
        folder: where the figures become files.
    """

    def __init__(self, root, folder):
        root = Path(root)
        self.facts = facts(root)
        self.book = Book(root, folder)  # README.md's table: parts, minutes
        self.preface = pages.guide(root, "paper/preface.md", folder)
        self.preface.mark = "preface"
        self.chapters = [pages.chapter(root, row.name, folder) for row in self.book.chapters]
        self.guides = [pages.guide(root, f"docs/{name}.md", folder) for name in GUIDES]
        self.pages = [*self.chapters, *self.guides]
        links = Links(root, self.facts, self.pages)
        for page in [self.preface, *self.pages]:
            links.mend(page)
        for page in self.chapters:
            numbered(page, 3, page.number)
        for letter, page in zip(LETTERS, self.guides, strict=True):
            page.number = letter
            numbered(page, 3, letter)
        self.terms = Index(glossary((root / "docs/GLOSSARY.md").read_text("utf-8"))).mark(
            self.chapters
        )
        address = self.facts.address
        self.preface.blocks.append(para(link(words(address), address)))

    def parts(self):
        """Each part that has chapters: its Roman number, title, what it gives, its chapters."""
        for number, (title, first, last, gives) in enumerate(PARTS):
            chapters = [page for page in self.chapters if first <= page.number <= last]
            if chapters:
                yield ROMAN[number], title, gives, chapters

    def minutes(self, page):
        """How long a chapter takes, in words."""
        [row] = [row for row in self.book.chapters if row.number == page.number]
        reading, _, exercises = row.minutes.partition(" + ")
        text = f"{reading} minutes to read and run"
        return f"{text}, {exercises} for the exercises" if exercises else text


def sets(root, folder):
    """The exercises, and what the title page says."""
    book = Book(root, folder)
    about = facts(root)
    every = [pages.exercises(root, name) for name in book.sets]
    for page in every:
        numbered(page, 3)
    links = Links(root, about, every)
    for page in every:
        links.mend(page)
    return about, every
