"""The index: the words of docs/GLOSSARY.md, and where the book speaks of them."""

import re
from collections import Counter
from dataclasses import dataclass, field

from paper.tree import SPACES, changed, text_of

ROW = re.compile(r"^\| (?P<word>[^|]+?) \| [^|]+ \| (?P<chapter>\d+) \|$", re.MULTILINE)
OFTEN = 3  # a section that names a term as many times is about it
MOST = 5  # places in the index for a term, besides the one that explains it


@dataclass
class Term:
    """A word of the glossary, the chapter that explains it, and its places in the book."""

    word: str
    chapter: int
    places: list = field(default_factory=list)  # mentions; the first explains it


@dataclass
class Mention:
    """A term in a text: the chapter, the number of the section, and whether it is set in bold."""

    term: str
    chapter: int
    section: str
    strong: bool
    mark: str | None = None  # set where the index leads to it


def glossary(text):
    """The terms of docs/GLOSSARY.md; "top-k, top-p" are two."""
    return [
        Term(word, int(row["chapter"]))
        for row in ROW.finditer(text)
        for word in row["word"].split(", ")
    ]


def pattern(terms):
    """Finds any of the terms, the longest first, also in the plural."""
    longest = sorted((term.word for term in terms), key=len, reverse=True)
    found = "|".join(re.escape(word).replace(r"\ ", r"[\s-]") for word in longest)
    return re.compile(rf"(?<![\w-])({found})(?:e?s)?(?![\w-])", re.IGNORECASE)


class Index:
    """Finds the terms in the chapters, chooses where the index leads, and sets marks there."""

    def __init__(self, terms):
        self.terms = {term.word.lower(): term for term in terms}
        self.pattern = pattern(terms)

    def mark(self, pages):
        """Set a mark at each place that the index leads to; return the terms, by name."""
        mentions = []
        for page in pages:
            page.blocks = self.noted(page.blocks, page.number, mentions)
        self.choose(mentions)
        return sorted(self.terms.values(), key=lambda term: term.word.lower())

    def noted(self, blocks, chapter, mentions):
        """The blocks with a Mark before each mention."""
        section = f"{chapter}"
        out = []
        for block in blocks:
            out.append(self.within(block, (chapter, section, False), mentions))
            if block["t"] == "Header":  # a mark in it would come again in the contents
                number, point, _ = text_of(block["c"][2]).partition("\u2002")
                section = number if point else section
                named = self.found(text_of(block["c"][2]), (chapter, section, True), mentions)
                out += [Mark(mention, inline=False) for _, mention in named]
        return out

    def found(self, text, where, mentions):
        """The mentions in a text, as (place in it, mention)."""
        new = []
        for match in self.pattern.finditer(text):
            word = re.sub(r"\s", " ", match[1]).lower()
            word = word if word in self.terms else word.replace("-", " ")
            new.append((match.start(), Mention(self.terms[word].word, *where)))
        mentions += [mention for _, mention in new]
        return new

    def within(self, node, where, mentions):
        if isinstance(node, dict) and node["t"] in ("Para", "Plain", "Emph"):
            return node | {"c": self.inlines(node["c"], where, mentions)}
        if isinstance(node, dict) and node["t"] == "Strong":
            return node | {"c": self.inlines(node["c"], (*where[:2], True), mentions)}
        if isinstance(node, dict) and node["t"] in (
            "BulletList",
            "OrderedList",
            "BlockQuote",
            "Table",
        ):
            return node | {"c": self.within(node["c"], where, mentions)}
        if isinstance(node, list):
            return [self.within(item, where, mentions) for item in node]
        return node

    def inlines(self, inlines, where, mentions):
        starts, text = [], ""
        for inline in inlines:
            starts.append(len(text))
            text += " " if inline["t"] in SPACES else inline["c"] if inline["t"] == "Str" else "\0"
        marks = {}
        for start, mention in self.found(text, where, mentions):
            at = max(n for n, first in enumerate(starts) if first <= start)
            marks.setdefault(at, []).append(mention)
        out = []
        for number, inline in enumerate(inlines):
            out += [Mark(mention) for mention in marks.get(number, [])]
            out.append(self.within(inline, where, mentions))
        return out

    def choose(self, mentions):
        """Which mentions the index leads to: the one that explains, and sections about a term."""
        for term in self.terms.values():
            own = [mention for mention in mentions if mention.term == term.word]
            if not own:
                raise ValueError(f"the book never speaks of {term.word!r}, a word of the glossary")
            there = [mention for mention in own if mention.chapter == term.chapter] or own
            first = next((mention for mention in there if mention.strong), there[0])
            counts = Counter(mention.section for mention in own)
            often = [s for s, count in counts.most_common(MOST + 1) if count >= OFTEN]
            sections = [s for s in often if s != first.section][:MOST]
            others = [next(m for m in own if m.section == section) for section in sections]
            others.sort(key=own.index)
            for mention in [first, *others]:
                mention.mark = f"term-{len(term.places)}-{slug(term.word)}"
                term.places.append(mention)


def slug(word):
    return re.sub(r"[^a-z0-9]+", "-", word.lower())  # typst takes no ² in a name


class Mark(dict):
    """An element that becomes a place of the index where its mention was chosen, else nothing."""

    def __init__(self, mention, inline=True):
        super().__init__(t="Mark", c=mention)
        self.inline = inline


def marks_as(blocks, inline, block):
    """Replace each chosen Mark by `inline(name)` or `block(name)`, and the others by nothing."""

    def replaced(node):
        if node["t"] != "Mark":
            return None
        form = inline if node.inline else block
        return [form(node["c"].mark)] if node["c"].mark else []

    return changed(blocks, replaced)
