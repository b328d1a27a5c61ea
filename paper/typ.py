"""From pandoc's tree to typst; `book.typ` says what each part looks like."""

import re

from paper import formulas
from paper.pandoc import document, pandoc
from paper.tables import fitted
from paper.terms import marks_as
from paper.tree import changed, elements, raw, raw_inline, text_of

COLUMNS = 112  # of code, in the smallest letters
WRAPPED = 100  # letters in each part of a line that is longer
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
GOES_ON = "↪ "
SHORT = 10  # lines that stay on one page


def string(text):
    """A string of typst."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + CONTROL.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", escaped) + '"'


def typst(blocks, converted):
    """The text of blocks; `converted` holds their formulas, as formulas.typst makes them."""
    blocks = [
        part for n, block in enumerate(blocks) for part in placed(block, blocks[n + 1 : n + 2])
    ]
    blocks = marks_as(
        blocks,
        lambda name: raw_inline("typst", f"#mark(<{name}>);"),
        lambda name: raw("typst", f"#mark(<{name}>)"),
    )
    blocks = changed(blocks, lambda node: converted_node(node, converted))
    text = pandoc(document(blocks), "-f", "json", "-t", "typst-smart", "--wrap=preserve")
    return text.replace("align(center)[#table(", "[#table(")


def placed(block, following):
    """A block that may have to stay on the page of what follows, if anything does."""
    if block["t"] == "CodeBlock":
        output = [after for after in following if is_code(after, "output")]
        return [raw("typst", code(block, bool(output)))]
    asks = any(after["t"] == "Div" and "asked" in after["c"][0][1] for after in following)
    if block["t"] == "Para" and (asks or following and text_of(block).endswith(":")):
        return [raw("typst", "#leads-on["), block, raw("typst", "]")]
    return [block]


def is_code(block, kind):
    return block["t"] == "CodeBlock" and block["c"][0][1][:1] == [kind]


def converted_node(node, converted):
    if node["t"] == "Math":
        kind, tex = node["c"]
        display = kind["t"] == "DisplayMath"
        return [formulas.call(display, tex, converted[display, tex])]
    if node["t"] == "Table":
        return [fitted(node)]
    if node["t"] == "CodeBlock":  # inside a list
        return [raw("typst", code(node, False))]
    if node["t"] == "Figure":
        return [raw("typst", picture(node))]
    if node["t"] == "Div":
        (name, classes, pairs), content = node["c"]
        pairs = dict(pairs)
        if "asked" in classes:
            return [raw("typst", f"#asked(<{name}>, {string(pairs['number'])})")]
        if "facts" in classes:  # not at the foot of a page
            return [raw("typst", "#leads-on["), *content, raw("typst", "]")]
        if "room" in classes:
            return [raw("typst", f"#room({pairs['minutes']})")]
    return None


def code(block, followed):
    """A call that sets a piece of code or an output; `followed` keeps it with what comes next."""
    (_, classes, _), text = block["c"]
    kind = classes[0] if classes else ""
    lines = [part for line in text.split("\n") for part in wrapped(line)]
    whole = len(lines) <= SHORT
    sticky = followed and whole
    return (
        f"#{'output' if kind == 'output' else 'code'}({string(chr(10).join(lines))}, "
        f"{string(kind)}, whole: {str(whole).lower()}, sticky: {str(sticky).lower()})"
    )


def wrapped(line):
    """The parts of a line that is wider than the page; those after the first begin with a sign."""
    if len(line) <= COLUMNS:
        return [line]
    parts, room = [], WRAPPED
    while len(line) > room:
        cut = line.rfind(" ", room // 2, room) + 1 or room
        parts.append(line[:cut])
        line = line[cut:]
        room = WRAPPED - len(GOES_ON)
    return [parts[0], *(GOES_ON + part for part in [*parts[1:], line])]


def picture(figure):
    (_, _, pairs), (_, caption), content = figure["c"]
    [image] = [item for item in elements(content) if item["t"] == "Image"]
    pairs = dict(pairs)
    alt, below = string(text_of(image["c"][1])), string(text_of(caption))
    return (
        f"#picture({string(image['c'][2][0])}, {alt}, {below}, {string(pairs['label'])}, "
        f"{pairs['width']})"
    )
