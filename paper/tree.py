"""Pandoc's tree of a document: small parts to make it of, and a way to change it.

An element is a dict with a type `t` and a content `c`, as `pandoc -t json` writes it.
"""

SPACES = ("Space", "SoftBreak", "LineBreak")


def element(t, *content):
    """An element; of one part the content is that part, of several a list."""
    if not content:
        return {"t": t}
    return {"t": t, "c": content[0] if len(content) == 1 else list(content)}


def attributes(name="", classes=(), **pairs):
    return [name, list(classes), [[key, str(value)] for key, value in pairs.items()]]


def words(text):
    """Inlines of a plain text."""
    inlines = []
    for word in text.split():
        inlines += [element("Space"), element("Str", word)]
    return inlines[1:]


def para(*inlines):
    return element("Para", list(inlines))


def link(inlines, target, classes=()):
    return element("Link", attributes("", classes), inlines, [target, ""])


def header(level, name, inlines, classes=()):
    return element("Header", level, attributes(name, classes), inlines)


def code_block(text, kind):
    return element("CodeBlock", attributes("", [kind]), text)


def raw(form, text):
    return element("RawBlock", form, text)


def raw_inline(form, text):
    return element("RawInline", form, text)


def is_a(node, *types):
    return isinstance(node, dict) and node.get("t") in types


def changed(node, change):
    """The tree with each element, innermost first, replaced by what `change` makes of it.

    `change(element)` gives a list of elements to stand in its place, or None to keep it.
    """
    if isinstance(node, list):
        out = []
        for item in node:
            item = changed(item, change)
            instead = change(item) if isinstance(item, dict) and "t" in item else None
            out += [item] if instead is None else instead
        return out
    if type(node) is dict and "c" in node:  # a subclass is a place for something to come
        return node | {"c": changed(node["c"], change)}
    return node


def elements(node):
    """Each element of a tree, outermost first."""
    if isinstance(node, list):
        for item in node:
            yield from elements(item)
    elif isinstance(node, dict) and "t" in node:
        yield node
        yield from elements(node.get("c"))


def text_of(node):
    """What a reader sees of a tree, without its markup."""
    parts = []
    for item in elements(node):
        if item["t"] == "Str":
            parts.append(item["c"])
        elif item["t"] in SPACES:
            parts.append(" ")
        elif item["t"] in ("Code", "CodeBlock", "Math"):
            parts.append(item["c"][1])
    return "".join(parts)
