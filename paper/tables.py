"""How wide the columns of a table are."""

from paper.tree import element, elements, text_of

LINE = 114  # letters in a line of a table that takes the whole width
BESIDE = 2.5  # the space between two columns, in letters
CODE = 1.2  # a letter of code, beside one of the text


def fitted(table):
    """The table; where it is wider than the page, each column gets its share of the width.

    Each gets what its longest word needs, and of the rest the more, the longer its lines are.
    """
    about, caption, columns, head, bodies, foot = table["c"]
    rows = [row for part in (head, *bodies) for row in rows_of(part)]
    cells = [[cell[4] for cell in row[1]] for row in rows]
    full = [max(map(length, column)) for column in zip(*cells, strict=True)]
    if sum(full) + BESIDE * len(full) <= LINE:
        return table
    least = [max(map(longest_word, column)) + BESIDE for column in zip(*cells, strict=True)]
    spare = max(LINE - sum(least), 0)
    wish = [max(a + BESIDE - b, 0) for a, b in zip(full, least, strict=True)]
    widths = [b + spare * w / max(sum(wish), 1) for b, w in zip(least, wish, strict=True)]
    columns = [
        [align, element("ColWidth", round(width / sum(widths), 4))]
        for (align, _), width in zip(columns, widths, strict=True)
    ]
    return table | {"c": [about, caption, columns, head, bodies, foot]}


def rows_of(part):
    """The rows of a head, [attributes, rows], or of a body, whose rows come last."""
    return part[-1] if len(part) == 2 else [*part[2], *part[3]]


def length(cell):
    return weighed(cell, lambda text: len(text))


def longest_word(cell):
    return weighed(cell, lambda text: max(map(len, text.split()), default=0), most=True)


def weighed(cell, measure, most=False):
    """A measure of the text and the code in a cell, code counted as wider."""
    code = [item["c"][1] for item in elements(cell) if item["t"] == "Code"]
    text = text_of(cell)
    if most:
        return max([measure(text), *(CODE * measure(part) for part in code)])
    return measure(text) + (CODE - 1) * sum(map(measure, code))
