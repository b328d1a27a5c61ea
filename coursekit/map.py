"""The map of the book: which chapter needs which, as a picture. `make build` keeps it up to date.

The picture remembers its chapters and arrows, so that nobody draws it again because another version
of Matplotlib draws letters a little differently.
"""

import io
import re

from coursekit.dependencies import chapter_imports
from coursekit.source import source_of

PATH = "docs/map.png"
ROW, WIDTH, HEIGHT = 0.62, 2.1, 0.36  # inches: from row to row, and of a box


def arrows(pages, exported_by, texts):
    """The arrows from what a chapter needs to the chapter: {(number, number)}.

    What a chapter needs by way of another one has no arrow.

    Args:
        pages: of the book; its chapters count.
        exported_by: {"nn/linear.py": its page}.
        texts: every module's source, as `dependencies.module_texts` gives them.
    """
    chapter_of = {
        "numpygpt." + module.removesuffix(".py").replace("/", "."): page.number
        for module, page in exported_by.items()
    }
    needs = {
        page.number: {chapter_of[m] for m in chapter_imports(page, texts) if m in chapter_of}
        - {page.number}
        for page in pages
        if page.folder == "chapters"
    }

    def all_before(number):
        return needs[number].union(*map(all_before, needs[number]))

    return {
        (first, number)
        for number, direct in needs.items()
        for first in direct - set().union(*map(all_before, direct))
    }


def titles(pages):
    """{number: "3 Linear"} of all chapters but the first, which comes before all."""
    found = {}
    for page in pages:
        if page.folder == "chapters" and page.number:
            heading = re.match(r"# Chapter \d+: (.*)", source_of(page.cells[0]))
            found[page.number] = f"{page.number} {heading[1] if heading else page.name}"
    return found


def about(names, edges):
    """What the picture remembers."""
    return "; ".join([*names.values(), *(f"{a} → {b}" for a, b in sorted(edges))])


def stale(old, names, edges):
    """Whether the bytes of a picture show anything else."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(old)).text.get("Description") != about(names, edges)
    except (OSError, AttributeError):  # no picture at all, or one of another kind
        return True


def rows_of(names, edges):
    """{number: row}: below all that it needs, and no further from what needs it than it must be."""
    before = {n: {a for a, b in edges if b == n} for n in names}
    after = {n: {b for a, b in edges if a == n} for n in names}
    rows = {}
    for n in sorted(names):  # a chapter needs earlier ones only
        rows[n] = 1 + max((rows[a] for a in before[n]), default=-1)
    for n in sorted(names, reverse=True):
        rows[n] = min((rows[b] - 1 for b in after[n]), default=rows[n])
    return rows


def places(names, edges):
    """Where the boxes stand and the arrows bend: {number or (a, b, row): (column, row)}.

    An arrow over several rows has a place in each that it crosses, so that it passes between boxes.
    Each row is put in the order of the mean place of its neighbors, a few times up and down.
    """
    rows = rows_of(names, edges)
    layers = [[] for _ in range(max(rows.values(), default=-1) + 1)]
    for n in sorted(names):
        layers[rows[n]].append(n)
    links = []
    for a, b in sorted(edges):
        chain = [a, *((a, b, row) for row in range(rows[a] + 1, rows[b])), b]
        for row, place in enumerate(chain[1:-1], rows[a] + 1):
            layers[row].append(place)
        links += zip(chain, chain[1:], strict=False)
    columns = {}

    def line_up(layer):
        for i, place in enumerate(layer):
            columns[place] = i - (len(layer) - 1) / 2

    def mean(place):
        near = [a for a, b in links if b == place] + [b for a, b in links if a == place]
        return sum(columns[n] for n in near) / len(near) if near else columns[place]

    for layer in layers:
        line_up(layer)
    for _ in range(8):
        for layer in [*layers, *reversed(layers)]:
            layer.sort(key=mean)
            line_up(layer)
    return {place: (columns[place], row) for row, layer in enumerate(layers) for place in layer}


def draw(names, edges):
    """The picture, as the bytes of a PNG file."""
    from coursekit.figures import BLACK, SKY, subplots

    at = {p: (1.25 * WIDTH * x, -ROW * row) for p, (x, row) in places(names, edges).items()}
    left, right = (f(x for x, _ in at.values()) for f in (min, max))
    low = min(y for _, y in at.values())
    size = (right - left + WIDTH + 0.2, -low + HEIGHT + 0.2)
    figure, axes = subplots(size=size, margins={"left": 0, "right": 1, "bottom": 0, "top": 1})
    axes.set_xlim(left - WIDTH / 2 - 0.1, right + WIDTH / 2 + 0.1)
    axes.set_ylim(low - HEIGHT / 2 - 0.1, HEIGHT / 2 + 0.1)
    axes.set_axis_off()
    for number, name in names.items():
        x, y = at[number]
        axes.bar(x, HEIGHT, WIDTH, bottom=y - HEIGHT / 2, color=SKY, alpha=0.35, ec=BLACK, lw=0.8)
        axes.text(x, y, name, ha="center", va="center")
    for a, b in sorted(edges):
        bends = [at[p] for p in at if isinstance(p, tuple) and p[:2] == (a, b)]
        (x, y), (end, top) = at[a], at[b]
        *path, last = [(x, y - HEIGHT / 2), *bends]
        axes.plot(*zip(*path, last, strict=True), color=BLACK, lw=1)
        head = {"arrowstyle": "-|>", "color": BLACK, "lw": 1, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (end, top + HEIGHT / 2), last, arrowprops=head)
    file = io.BytesIO()
    metadata = {"Software": None, "Description": about(names, edges)}
    figure.savefig(file, format="png", dpi=130, metadata=metadata)
    return file.getvalue()
