"""What of a chapter goes on slides, by rule, and how much goes on one.

A slide has the heading of its section. Of the text there are the displayed equations, each with
what is said before it, the tables, the chapter's question and its recap; of the cells, the figures.
A question that is to be answered before one looks comes on a slide of its own, before its figure.
"""

import re
from dataclasses import dataclass, field

from coursekit.source import source_of

ROOM = 13  # lines of text on a slide
LONG = 90  # letters in a line of text
ROWS = 12  # of a table; a longer one is to be read, not shown
EQUATION = re.compile(r"(\$\$.*?\$\$)", re.DOTALL)
HEADING = re.compile(r"#{1,3} +(.*)")
FOLDED = re.compile(r"<details>.*?</details>", re.DOTALL)
BOLD_QUESTION = re.compile(r"\*\*[^*]+\?\*\*")
QUESTION = re.compile(r"(?:\*\*)?The questions? of this\s+chapter:.*?\?(?= [A-Z]|$)")
TO_BE_ANSWERED = re.compile(r"\*\*Before you (look|train)")


@dataclass
class Figure:
    """A picture as a notebook holds it."""

    data: str  # base64
    alt: str
    tall: bool  # so that its slide needs all of the height


@dataclass
class Slide:
    """A heading and what stands below it: Markdown, or a Figure."""

    heading: str
    items: list = field(default_factory=list)

    @property
    def lines(self):
        return sum(map(lines_of, self.items))


def lines_of(item):
    """About how many lines of text an item is as high as."""
    if isinstance(item, Figure):
        return ROOM
    if item.startswith("$$"):
        rows = item.count(r"\\") + 1
        return 1 + (2.6 if re.search(r"\\d?frac|\\sum|\\prod", item) else 1.7) * rows
    if item.startswith("|"):
        rows = item.splitlines()[2:]
        return 2 + sum(1.3 * max(1, round(len(row) / 110)) for row in rows)
    return sum(1 + len(line) // LONG for line in re.split(r"\n(?=- )", item)) + 0.5


def slides_of(notebook):
    """The slides of a chapter's notebook, the one with its title first."""
    title = HEADING.match(source_of(notebook["cells"][0]))[1]
    slides, opening, before = [Slide(title)], [], ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            slides += [Slide(slides[-1].heading, [figure]) for figure in figures_of(cell)]
            continue
        for block in blocks_of(source_of(cell)):
            if heading := HEADING.match(block):
                slides.append(Slide(heading[1]))
            elif slides[-1].heading == title:
                opening.append(block)
            else:
                add(slides, block, before)
            before = block
    slides[0].items += question(opening)
    slides = [slides[0], *(slide for slide in slides[1:] if slide.items)]
    following = zip(slides, [*slides[1:], None], strict=True)
    return [slide for slide, after in following if not idle(slide, after)]


def idle(slide, after):
    """Whether a slide asks for a look at something that is no figure, and so does not come."""
    asks = slide.items and TO_BE_ANSWERED.match(str(slide.items[0]))
    return asks and not (after and isinstance(after.items[0], Figure))


def blocks_of(text):
    """The paragraphs, tables and displayed equations of a cell, without what is folded."""
    for paragraph in re.split(r"\n\s*\n", FOLDED.sub("", text)):
        for part in EQUATION.split(paragraph):
            if part.strip():
                yield part.strip()


def figures_of(cell):
    for output in cell["outputs"]:
        if "image/png" in output.get("data", {}):
            about = output["metadata"]["image/png"]
            data = "".join(output["data"]["image/png"]).replace("\n", "")
            yield Figure(data, about["alt"], about["height"] > 0.8 * about["width"])


def add(slides, block, before):
    """Put a block on the last slide, or on a new one with the same heading, if it is chosen."""
    heading = slides[-1].heading
    if block.startswith("$$"):
        alone = before.startswith(("$$", "|", "#"))
        place(slides, [block] if alone else [lead(before), block])
    elif (block.startswith("|") and block.count("\n") <= ROWS + 1) or (
        heading == "Recap" and block.startswith("- ")
    ):
        place(slides, [block])
    elif look := TO_BE_ANSWERED.search(block):
        slides += [Slide(heading, [block[look.start() :]]), Slide(heading)]


def place(slides, items):
    if slides[-1].items and slides[-1].lines + sum(map(lines_of, items)) > ROOM:
        slides.append(Slide(slides[-1].heading))
    slides[-1].items += items


def lead(paragraph):
    """What is said before an equation: the whole paragraph if it is short, or its last sentence."""
    if len(paragraph) <= 2.5 * LONG:
        return paragraph
    return re.split(r"(?<=[.?!])\s+(?=[A-Z*$`])", paragraph)[-1]


def question(opening):
    """What the chapter asks before its first section: in bold, or the sentence that says so."""
    text = " ".join(" ".join(opening).split())
    for asked in (BOLD_QUESTION.findall(text)[-1:], QUESTION.findall(text)):
        if asked:
            return asked
    return []
