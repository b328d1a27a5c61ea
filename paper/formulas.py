"""Mathematics for typst: pandoc converts it, and what pandoc does not know is mended here."""

import re

from paper.pandoc import document, pandoc
from paper.tree import element, elements, raw_inline

# A sign that TeX makes of two. Pandoc drops \mathrel, so a letter stands in for it meanwhile:
# TeX, the letter, pandoc's name for it, what we want.
JOINED = [(r"\mathrel{+}=", "⧺", "plus.double", 'class("relation", "+=")')]
TEXT = re.compile(r'(?P<before>\w?)\s?upright\("(?P<words>[^"]*)"\) ?')
MENDED = [
    (re.compile(r"\bdot\.circle\b"), "dot.o"),  # its name in typst 0.15
    # Pandoc rounds to whole em: \; is 5/18 of one, and \! is -1/6.
    (re.compile(r"#h\(0em\)"), "thick"),
    (re.compile(r"#h\(-1em\)"), "#h(-0.167em)"),
    (re.compile(r"\bmed mod med\b"), "mod"),
    (re.compile(r"#scale\(x: (\d+)%, y: \1%\)\[(.+?)\]"), r"stretch(\2, size: #\1%)"),  # \big
    (re.compile(r"\\\|"), 'class("normal", bar.v)'),  # not a relation, with space around it
]
BREAK = "// next formula"


def formulas(node):
    """The distinct formulas of a tree, as (display, TeX)."""
    found = {}
    for item in elements(node):
        if item["t"] == "Math":
            kind, tex = item["c"]
            found[kind["t"] == "DisplayMath", tex] = None
    return list(found)


def typst(wanted):
    """{(display, TeX): typst}, for formulas as `formulas` gives them."""
    blocks = []
    for display, tex in wanted:
        for sign, letter, *_ in JOINED:
            tex = tex.replace(sign, letter)
        kind = element("DisplayMath" if display else "InlineMath")
        blocks += [
            element("Para", [element("Math", kind, tex.strip())]),
            element("RawBlock", "typst", BREAK),
        ]
    made = pandoc(document(blocks), "-f", "json", "-t", "typst", "--wrap=preserve")
    made = [mended(text.strip()) for text in made.split(BREAK)[:-1]]
    return dict(zip(wanted, made, strict=True))


def mended(text):
    for _, _, name, sign in JOINED:
        text = re.sub(rf"\b{re.escape(name)}\b", sign, text)
    for wrong, right in MENDED:
        text = wrong.sub(right, text)
    return TEXT.sub(words, text)


def words(match):
    """A text among signs, whose own spaces are enough: typst would add those around it."""
    apart = f"{match['before']} #h(0em)" if match["before"] else ""
    return f'{apart}upright("{match["words"]}")'


def call(display, tex, made):
    """An inline for typst: the formula, with its TeX for those who hear the page."""
    alt = " ".join(tex.split()).replace("\\", "\\\\").replace('"', '\\"')
    return raw_inline("typst", f'#{"display" if display else "formula"}("{alt}", {made});')
