"""Students' names and words: as files, in tables, on pages, and harmless in all of them.

A folder may have any name that a file system allows, and an answer may raise any text.
"""

import hashlib
import unicodedata

LONGEST = 120  # bytes of a name in a file's name: the ending and a temporary one must fit in 255
FORMULA = "=+-@＝＋－＠"  # a spreadsheet computes what begins so


def file_key(name):
    """A name fit for a file, another one for each name."""
    safe = "".join(c if c.isalnum() or c in " -_.@+" else "_" for c in name)
    safe = safe.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").strip(". ")
    # A name that ends like one of ours gets an ending, too: no two names share a file.
    if safe == name and not has_our_ending(name) and unicodedata.is_normalized("NFC", name):
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe or '_'}-{digest[:16]}"


def has_our_ending(name):
    return len(name) > 16 and name[-17] == "-" and set(name[-16:]) <= set("0123456789abcdef")


def shown(name):
    """A name that can be printed, another one for each name: odd characters as escapes."""
    if name.isprintable() and "\\" not in name:
        return name
    odd = {c: c.encode("unicode_escape").decode() for c in name if not c.isprintable()}
    return "".join(odd.get(c, c) for c in name.replace("\\", "\\\\"))


def cell(text):
    """A text for one cell of a table, which no spreadsheet takes for a formula."""
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return f"'{text}" if text.lstrip().startswith((*FORMULA, "'")) else text


def inert(text, longest=200):
    """One line of a student's words, with nothing in it that Markdown or HTML would read as marks.

    It is to stand in a code span or a fenced block, or in a table.
    """
    line = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * longest])
    for mark, harmless in {"`": "'", "|": "/", "<": "‹", ">": "›"}.items():
        line = line.replace(mark, harmless)
    line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
