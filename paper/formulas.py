"""Mathematics for typst: pandoc converts it, and what pandoc does not know is mended here."""

import re

from paper.pandoc import document, pandoc
from paper.tree import element, elements, raw_inline

# A sign that TeX makes of two. Pandoc drops \mathrel, so a letter stands in for it meanwhile.
JOINED = [(r"\mathrel{+}=", "⧺", 'class("relation", "+=")')]
MENDED = [
    (re.compile(r"\bdot\.circle\b"), "dot.o"),  # its name in typst 0.15
    (re.compile(r"#h\(-1em\)"), "#h(-0.167em)"),  # \! is a sixth of an em
    (re.compile(r"\bmed mod med\b"), "mod"),
    (re.compile(r"#scale\(x: (\d+)%, y: \1%\)\[(.+?)\]"), r"stretch(\2, size: #\1%)"),  # \big
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
        for sign, letter, _ in JOINED:
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
    for _, letter, sign in JOINED:
        text = text.replace(letter, sign)
    for wrong, right in MENDED:
        text = wrong.sub(right, text)
    return text


def call(display, tex, made):
    """An inline for typst: the formula, with its TeX for those who hear the page."""
    alt = " ".join(tex.split()).replace("\\", "\\\\").replace('"', '\\"')
    return raw_inline("typst", f'#{"display" if display else "formula"}("{alt}", {made});')
