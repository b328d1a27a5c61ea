"""Read back what `coursekit.figures.token_row` has drawn."""

from matplotlib.colors import to_hex

from coursekit.figures import GRAY


def boxes(figure, y):
    """The boxes of row `y`: (left end, number of letters, whether it is grey), from the left."""
    bars = [bar for bar in figure.axes[0].patches if abs(bar.get_y() + 0.4 - y) < 1e-9]
    return [(bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor()) == GRAY) for bar in bars]


def letters(figure, y):
    """The letters of row `y`, gaps included."""
    return "".join(text for _, text in placed(figure, y))


def tokens(figure, y):
    """The text in each box of row `y`."""
    found = placed(figure, y)
    return [
        "".join(text for x, text in found if left < x < left + width)
        for left, width, _ in boxes(figure, y)
    ]


def placed(figure, y):
    """(middle, text) of what is written in row `y`, beside its label."""
    found = [(*t.get_position(), t.get_text()) for t in figure.axes[0].texts]
    return [(x, text) for x, at, text in found if at == y and x > 0]
