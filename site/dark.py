"""A figure as it would be drawn on a dark page."""

import numpy as np

PAGE = np.array([0x14, 0x18, 0x1D]) / 255  # --pst-color-background of site.css, in the dark
INK = 0.92
VIRIDIS_0 = (68, 1, 84)  # the color of 0 in coursekit.figures.POSITIVE


def swapped(pixels, keep_dark=False):
    """Swap white and black, and keep each hue: orange stays orange, and an edge stays smooth.

    A color is so much white, so much black, and the rest pure hue (HWB). White becomes the page,
    black becomes light ink.

    Args:
        pixels: (..., 3), uint8. Returns the same.
        keep_dark: black becomes light only as far as the color is gray: a dark purple stays dark.
    """
    color = pixels.astype(np.float32) / 255
    white = color.min(axis=-1, keepdims=True)
    value = color.max(axis=-1, keepdims=True)
    black = 1 - value
    if keep_dark:
        black *= np.where(value > 0, white / np.maximum(value, 1e-6), 1)
    out = (color - white) + white * PAGE.astype(np.float32) + black * INK
    return (255 * out.clip(0, 1) + 0.5).astype(np.uint8)


def for_the_dark(picture):
    """The dark twin of a figure with a palette, as coursekit.figures makes it: Image to Image.

    Raises:
        ValueError: it has no palette.
    """
    if picture.mode != "P":
        raise ValueError("a figure without a palette")
    colors = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    keep_dark = is_viridis(colors, np.array(picture.histogram()[: len(colors)]))
    twin = picture.copy()
    twin.putpalette(swapped(colors, keep_dark).tobytes())
    return twin


def is_viridis(colors, counts):
    """Whether a map of probabilities is in it, of which the text says that a cell is "bright"."""
    near = np.abs(colors.astype(np.int16) - np.array(VIRIDIS_0)).max(axis=-1) < 12
    return counts[near].sum() > 0.02 * counts.sum()
