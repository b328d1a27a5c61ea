"""The map of the book as SVG, whose boxes are links: where they stand, coursekit.map says."""

import re
from html import escape

from coursekit.map import places

ROW, COLUMN = 86, 152  # from one node to the next, in pixels
NODE = (136, 50)
LINE = 15  # letters of a title in one line of a node


def two_lines(title):
    """A title in one line, or broken where the two lines come out most alike."""
    if len(title) <= LINE:
        return [title]
    spaces = [match.start() for match in re.finditer(" ", title)][1:]  # never after the number
    if not spaces:
        return [title]
    cut = min(spaces, key=lambda space: abs(space - len(title) / 2))
    return [title[:cut], title[cut + 1 :]]


def node_svg(title, x, y, link, part):
    width, height = NODE
    lines = two_lines(title)
    top = y + 5 - 17 * (len(lines) - 1) / 2
    text = "".join(
        f'<tspan x="{x:.0f}" y="{top + 17 * n:.0f}">{escape(line)} </tspan>'
        for n, line in enumerate(lines)
    )
    return (
        f'<a href="{escape(link)}" class="part-{part}">'
        f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}" '
        f'height="{height}" rx="8"/><text text-anchor="middle">{text}</text></a>'
    )


def edge_svg(points):
    """A line from below the first point to above the last, straight down past those between."""
    half = NODE[1] / 2
    x, y = points[0]
    path = f"M{x:.0f} {y + half:.0f}"
    y += half
    for number, (next_x, middle) in enumerate(points[1:], 2):
        top = middle - half - (7 if number == len(points) else 0)
        bend = (top - y) * 0.6
        path += f"C{x:.0f} {y + bend:.0f} {next_x:.0f} {top - bend:.0f} {next_x:.0f} {top:.0f}"
        if number < len(points):
            path += f"V{middle + half:.0f}"
        x, y = next_x, middle + half
    return f'<path d="{path}" marker-end="url(#arrow)"/>'


def chart(titles, edges, links, parts, label):
    """The SVG of the map.

    Args:
        titles, links, parts: `{chapter: its title, its address, 1, 2, …}`; the parts choose colors.
        edges: pairs of chapters: what is needed, and what needs it.
        label: what a screen reader says first; each node is a link with its title.
    """
    at = {node: (COLUMN * x, ROW * row) for node, (x, row) in places(titles, edges).items()}
    xs, ys = zip(*at.values(), strict=True)
    left, top = min(xs) - NODE[0] / 2 - 2, min(ys) - NODE[1] / 2 - 2
    width, height = max(xs) - left + NODE[0] / 2 + 2, max(ys) - top + NODE[1] / 2 + 2
    lines = ""
    for start, end in edges:
        between = [at[n] for n in at if isinstance(n, tuple) and n[:2] == (start, end)]
        lines += edge_svg([at[start], *between, at[end]])
    nodes = "".join(
        node_svg(title, *at[node], links[node], parts[node]) for node, title in titles.items()
    )
    return (
        f'<svg class="book-map" role="group" aria-label="{escape(label)}" '
        f'viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f"<g>{lines}</g>{nodes}</svg>"
    )
