"""The sections of a chapter that a task is about, found by their words: no list is kept by hand.

A word that few sections have says more than one that many have (tf-idf). Of 53 tasks looked at by
a person, the right section was the first in 39, and one of the first two in 49.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from coursekit.checking.tasks import ROOT
from coursekit.source import page_names, read_page

# Nothing is derived where something is listed, tried out or looked back at.
NOT_TAUGHT = re.compile(
    r"(Exercises|Recap|Shapes|Export|Names and sizes|The sizes)$"
    r"|Experiment|Break|.*right\?|.*[Cc]heck"
)
TITLE = 5  # times that a word of a title counts
WORD = re.compile(r"[^\W\d_]{2,}(?:_\w+)*|[^\W\d_]+")


@dataclass
class Section:
    """One section of a chapter: its title, and how often each word stands in it."""

    title: str
    words: Counter


@cache
def sections_of(number, root=ROOT):
    """The sections of a chapter that teach something, in order."""
    [name] = [n for n in page_names(root, "chapters") if n.startswith(f"{number:02}_")]
    sections = []
    for cell in read_page(root, f"book/chapters/{name}.py").cells:
        pieces = [cell["source"]]
        if cell["cell_type"] == "markdown":
            pieces = re.split(r"^(?=## )", cell["source"], flags=re.MULTILINE)
        for piece in pieces:
            if piece.startswith("## "):
                title = piece.partition("\n")[0][3:].strip()
                sections.append(Section(title, times(TITLE, words_of(title))))
            if sections:
                sections[-1].words += words_of(piece)
    return [section for section in sections if not NOT_TAUGHT.match(section.title)]


def words_of(text):
    return Counter(word.casefold() for word in WORD.findall(text))


def times(number, counts):
    return Counter({word: number * n for word, n in counts.items()})


def text_of(task):
    """What the set says of a task: the text cells between its heading and its answer."""
    text = []
    for cell in task.page.cells:
        if cell["metadata"].get("answer") == task.id:
            break
        if cell["cell_type"] == "markdown":
            text = [*([] if "## Task " in cell["source"] else text), cell["source"]]
    return "\n".join(text)


def title_of(task):
    """What a task is called, without its number and its points."""
    [title] = re.findall(r"^## Task \d+: (.*)$", text_of(task), re.MULTILINE)[-1:] or [task.id]
    return re.sub(r" \(\d+ points?,[^()]*\)$", "", title)


def sections_for(task, most=2):
    """The titles of the sections that are nearest to a task's text and hints, the nearest first."""
    sections = sections_of(task.page.number)
    have = Counter(word for section in sections for word in section.words)
    weight = {word: math.log((1 + len(sections)) / n) for word, n in have.items()}

    def vector(counts):
        return {w: weight[w] * (1 + math.log(n)) for w, n in counts.items() if w in weight}

    words = times(TITLE, words_of(title_of(task))) + words_of(text_of(task))
    asked = vector(words + words_of("\n".join(task.hints)))

    def near(section):
        has = vector(section.words)
        length = math.sqrt(sum(value * value for value in has.values())) or 1.0
        return sum(value * has.get(word, 0.0) for word, value in asked.items()) / length

    return [section.title for section in sorted(sections, key=near, reverse=True)[:most]]
