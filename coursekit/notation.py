"""The index of notation: the tables of names and shapes of all chapters, in one of docs/."""

import re

PATH = "docs/NOTATION.md"
HEAD = """# Notation of the book

Each chapter begins with a table of its names and their shapes. `make build` gathers them here, by
name.
`docs/GLOSSARY.md` has the words.

| name | meaning | shape or value | chapter |
|---|---|---|---|
"""


def index(pages):
    """The text of PATH for the pages of a book."""
    rows = [
        (key(name), page.number, f"| {name} | {meaning} | {shape} | {page.number} |\n")
        for page in pages
        if page.folder == "chapters"
        for name, meaning, shape in table_of(page)
    ]
    return HEAD + "".join(line for *_, line in sorted(rows))


def table_of(page):
    """The rows of a chapter's table of names: (name, meaning, shape)."""
    for cell in page.cells:
        lines = cell["source"].split("\n") if cell["cell_type"] == "markdown" else []
        for number, line in enumerate(lines):
            if line.startswith("| name | meaning |"):
                rows = [re.split(r" *(?<!\\)\| *", row.strip()) for row in lines[number + 2 :]]
                ends = next((i for i, row in enumerate(rows) if len(row) != 5), len(rows))
                return [row[1:-1] for row in rows[:ends]]
    return []


def key(name):
    """What a name is sorted by: letters before case."""
    bare = name.strip("`$\\")
    return bare.lower(), bare
