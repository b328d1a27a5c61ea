"""The figures of the book: one palette, one size, alt text that travels with the notebook."""

import base64
import html
import io
import warnings

from coursekit.glyphs import glyph

# Okabe and Ito's palette (2008): told apart by readers with any form of color blindness.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, BLACK, GRAY = "#E69F00", "#56B4E9", "#000000", "#999999"
PALETTE = [BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK]
# Diverging, for signed values such as gradients: blue below 0, white at 0, orange above.
SIGNED = "RdBu_r"
# Sequential, for probabilities: readable in gray, too.
POSITIVE = "viridis"


SHARPER = 2  # pixels for each one of a page: screens have two or more
# The bytes of a figure, in its HTML: each machine draws letters a little differently.
PICTURE = r"data:image/png;base64,[A-Za-z0-9+/=]+"


def subplots(rows=1, cols=1, size=None, margins=None, **kwargs):
    """Return matplotlib's (figure, axes) in the book's style; `show` shows the figure.

    Without pyplot, which puts all figures into one list, to be shown when a cell or a message to a
    widget has run: JupyterLab sends messages in two threads, and figures came out half drawn.

    Args:
        size: (width, height) in inches.
        margins: left, right, … of matplotlib's GridSpec, for a widget: without them matplotlib
            measures all labels to find the margins, which takes half the time of a redraw.
        kwargs: as for matplotlib's subplots.
    """
    from cycler import cycler
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rcParams.update(
        {
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "figure.facecolor": "white",  # labels stay readable in a dark JupyterLab
            "figure.dpi": 100 * SHARPER,
            "font.size": 10,
            "axes.titlesize": 11,
            "legend.frameon": False,
        }
    )
    size = size or (3.6 * cols + 0.4, 3.0 * rows)
    figure = Figure(figsize=size, layout="constrained" if margins is None else None)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, cols, gridspec_kw=margins, **kwargs)


def token_row(axes, y, tokens, known=None, room=76):
    """Draw tokens as boxes in row `y`, neighbors in other colors; return the width of the row.

    A letter takes one unit of x; a wide one takes more, and so does a number in place of a letter
    that no font has, which is slanted.

    Args:
        tokens: their texts, in order; None draws a gap of one letter.
        known: a boolean a token; unknown ones are drawn gray. None: all are known.
        room: the width at which a row ends, with … in place of what is left.
    """
    x = 0
    for number, token in enumerate(tokens):
        color = [SKY, YELLOW, GREEN][number % 3]
        if known is not None and not known[number]:
            color = GRAY
        start, full = x, False
        for letter in " " if token is None else token:
            text, font, width = glyph(letter)
            if full := x + width > room:
                break
            look = {"family": font, "style": "italic" if len(text) > 1 else "normal"}
            axes.text(x + width / 2, y, text, ha="center", va="center", **look)
            x += width
        if token is not None and x > start:
            width = x - start
            axes.barh(y, width, left=start, height=0.8, color=color, alpha=0.6, edgecolor="white")
        if full:
            axes.text(x + 0.5, y, "…", ha="center", va="center", family="monospace")
            return x + 1
    return x


def box(axes, x, y, text, width=1.6, height=0.5, color=SKY):
    """Draw a box with `text` in it around (x, y), as diagrams of a model are made of."""
    axes.bar(x, height, width, bottom=y - height / 2, color=color, alpha=0.6, edgecolor=BLACK)
    axes.text(x, y, text, ha="center", va="center")


def arrow(axes, *corners, label="", side="left"):
    """Draw an arrow along `corners`, a list of (x, y), with `label` to one side of its end."""
    *start, last, end = corners
    axes.plot(*zip(*start, last, strict=True), color=BLACK, lw=1.2)
    style = {"arrowstyle": "-|>", "color": BLACK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, last, arrowprops=style)
    middle = [(a + b) / 2 for a, b in zip(last, end, strict=True)]
    shift = (6, 0) if side == "right" else (-6, 0)
    axes.annotate(
        label, middle, shift, textcoords="offset points", color="#555555", fontsize=9,
        ha="left" if side == "right" else "right", va="center",
    )  # fmt: skip


def show(figure, alt):
    """Display a figure with its alt text, one or two sentences that say what it shows."""
    from IPython.display import display

    if not alt.strip():
        raise ValueError("a figure needs alt text: one or two sentences that say what it shows")
    with warnings.catch_warnings():
        # Where a reader has put other text into a plot, what the font lacks is an empty box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.canvas.draw()  # savefig would draw all of it once more: a widget would feel it
    # Who shows a figure again is a widget, which draws it anew at each move of the reader's.
    png = png_of(figure.canvas.buffer_rgba(), in_a_hurry=hasattr(figure, "was_shown"))
    figure.was_shown = True
    png = base64.b64encode(png).decode()
    width, height = (round(side / SHARPER) for side in figure.canvas.get_width_height())
    alt = alt.encode("utf-8", "backslashreplace").decode()  # no message can hold half a character
    # As HTML for JupyterLab, which gives a bare PNG no alt text, whatever its metadata say; as PNG
    # for what shows no pictures in HTML: LaTeX, PDF, some editors and code hosts.
    source = f'width="{width}" src="data:image/png;base64,{png}"'
    image = f'<img class="book-figure" alt="{html.escape(alt)}" {source}>'
    sizes = {"image/png": {"width": width, "height": height, "alt": alt}}
    data = {"text/html": image, "image/png": png, "text/plain": alt}
    display(data, metadata=sizes, raw=True)


def png_of(pixels, in_a_hurry=False):
    """The bytes of a PNG; with 256 colors, it has a third of them, and takes twice the time."""
    from PIL import Image

    image = Image.frombuffer("RGBA", pixels.shape[1::-1], pixels).convert("RGB")
    if not in_a_hurry:
        image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "png", compress_level=1 if in_a_hurry else 9)
    return file.getvalue()
