"""The figures of the book: one palette, one size, alt text that travels with the notebook."""

import base64
import io

# Okabe and Ito's palette (2008): told apart by readers with any form of colour blindness.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#999999"
PALETTE = [BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK]
# Diverging, for signed values such as gradients: blue below 0, white at 0, orange above.
SIGNED = "RdBu_r"
# Sequential, for probabilities: readable in grey, too.
POSITIVE = "viridis"


def subplots(rows=1, cols=1, size=None, **kwargs):
    """Return matplotlib's (figure, axes) in the book's style; size is (width, height) in inches."""
    from cycler import cycler
    from matplotlib import pyplot as plt

    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "figure.facecolor": "white",  # labels stay readable in a dark JupyterLab
            "figure.dpi": 100,
            "font.size": 10,
            "axes.titlesize": 11,
            "legend.frameon": False,
        }
    )
    size = size or (3.6 * cols + 0.4, 3.0 * rows)
    return plt.subplots(rows, cols, figsize=size, layout="constrained", **kwargs)


def show(figure, alt):
    """Display a figure as PNG with its alt text, one or two sentences that say what it shows."""
    from IPython.display import display
    from matplotlib import pyplot as plt

    if not alt.strip():
        raise ValueError("a figure needs alt text: one or two sentences that say what it shows")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    plt.close(figure)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt}})
