"""Text to pieces, exactly as GPT-2 cuts it, and pieces to ids of bytes. Derived in chapter 14."""

import re
from unicodedata import category

# GPT-2's order of the 256 bytes: the printable ones first. It decides ties, so we keep it.
BYTE_ORDER = [*range(33, 127), *range(161, 173), *range(174, 256)]

BYTE_ORDER += [b for b in range(256) if b not in BYTE_ORDER]

ID_OF_BYTE = bytes(BYTE_ORDER.index(b) for b in range(256))


def character_ranges(chars):
    """Return sorted characters as a part of a regular expression: a, b, c, x as `a-cx-x`."""
    ranges = []
    for c in chars:
        if ranges and ord(c) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    return "".join(f"{first}-{last}" for first, last in ranges)


# Numbers that are no decimal digits. Beyond 1FFFF (hex), Unicode has none.
NUMERIC = filter(str.isnumeric, map(chr, range(0x20000)))  # the Chinese 三 too, but it is a letter

OTHER = character_ranges(c for c in NUMERIC if category(c) in ("Nl", "No"))

LETTER = rf"[^\W\d_{OTHER}]"

NUMBER = rf"[\d{OTHER}]"

SPACE = r"[^\S\x1c-\x1f]"  # to Python alone, the control characters 1C to 1F are white space

MARK = r"(?:[^\s\w]|[_\x1c-\x1f])"  # all that is none of the three


# GPT-2's pieces: words, contractions, numbers, marks, each with the space before; white space, of
# which the last character is left for the next piece.
PIECE = re.compile(
    rf" ?[A-Za-z]++(?![^\x00-\x7f])| ?{LETTER}+|'(?:s|t|re|ve|m|ll|d)| ?{NUMBER}+| ?{MARK}+"
    rf"|{SPACE}+(?![\S\x1c-\x1f])|{SPACE}+"
)

PART_END = re.compile(r"\S(?=[ \n])")


def pieces_of(text, part=1_000_000):
    """Yield the pieces of `text`, in one list for each part of some `part` characters."""
    start = 0
    while start < len(text):
        found = PART_END.search(text, start + part)
        end = found.end() if found else len(text)
        yield PIECE.findall(text, start, end)
        start = end


def to_ids(piece):
    """Return the ids of the bytes of `piece`, not yet merged."""
    # Bytes that were not UTF-8 came in as lone surrogates and leave as the bytes they were.
    return list(piece.encode("utf-8", "surrogateescape").translate(ID_OF_BYTE))
