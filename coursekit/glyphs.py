"""What is drawn for a character: itself, or its number where no font here has it."""

from functools import cache
from math import ceil
from unicodedata import category

# DejaVu comes with matplotlib. The others, of Linux, macOS and Windows, know scripts that it lacks.
FONTS = [
    "DejaVu Sans Mono", "DejaVu Sans", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Unifont",
    "Arial Unicode MS", "PingFang SC", "Hiragino Sans", "Apple Symbols",
    "Microsoft YaHei", "Malgun Gothic", "Nirmala UI", "Segoe UI Symbol",
]  # fmt: skip
SPACES = {" ": " ", "\n": "⏎", "\t": "⇥"}


@cache
def glyph(character):
    """Return (what to draw, the name of a font that has it, its width in letters).

    A space of another kind is `␣`. A byte that is no text, which comes as a surrogate from DC80 on
    as in `bytes.decode("utf-8", "surrogateescape")`, is its two hexadecimal digits.
    """
    if character.isspace():
        return SPACES.get(character, "␣"), FONTS[0], 1
    # Not control characters, half characters, and accents that would stand on what is before them.
    if category(character)[0] not in "CM":
        for font in FONTS:
            if (width := advance(font, character)) is not None:
                return character, font, max(1, ceil(width / advance(FONTS[0], "m") - 0.2))
    number = ord(character)
    shown = f"{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else f"U+{number:04X}"
    return shown, FONTS[0], len(shown)


def advance(font, character):
    """How wide a font draws a character, in its own units; None where it has none."""
    face = face_of(font)
    if face is None or not face.get_char_index(ord(character)):
        return None
    return face.load_char(ord(character)).linearHoriAdvance


@cache
def face_of(font):
    """The font's letters, all in one size; None where it is not installed."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(findfont(FontProperties(family=font), fallback_to_default=False))
    except ValueError:
        return None
    face.set_size(10, 72)
    return face
