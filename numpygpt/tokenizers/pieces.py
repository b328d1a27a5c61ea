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


# Numbers that are not decimal digits. Beyond 1FFFF (hex), Unicode has none.
NUMERIC = filter(str.isnumeric, map(chr, range(0x20000)))  # the Chinese 三 too, but it is a letter

OTHER = character_ranges(c for c in NUMERIC if category(c) in ("Nl", "No"))


def ranges(text):
    """Return ranges of hexadecimal numbers as a part of a regular expression."""
    return "".join("-".join(chr(int(n, 16)) for n in r.split("-")) for r in text.split())


# What Unicode 15 to 18 added. Other programs draw the line elsewhere: tiktoken 0.14 has Unicode 16.
NEW_LETTERS = ranges("""558 58B-58C 88F C5C CDC 1C89-1C8A 208F 209D-209F A7CB-A7CF A7D2 A7D4
A7DA-A7DD A7E2 A7F1 AB6C-AB6D 105C0-105F3 107BB-107BF 10940-10959 10D4A-10D65 10D6F-10D85
10EC2-10EC7 10ED9-10EEE 1123F-11240 11380-11389 1138B 1138E 11390-113B5 113B7 113D1 113D3 11B0A
11BC0-11BE0 11DB0-11DDB 11DF1 11F02 11F04-11F10 11F12-11F33 1342F 13441-13446 13460-143FA
16100-1611D 16D40-16D6C 16EA0-16EB8 16EBB-16ED3 16FF2-16FF3 187F8-187FF 18CD6-18CDA 18CFF
18D09-18D20 18D80-18DF2 18E00-19191 191A0-191D2 1B123-1B128 1B132 1B155 1B168 1D6A6 1DF1F-1DF81
1DF90-1DF96 1DFCD-1DFFF 1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0 1E6C0-1E6DE 1E6E0-1E6E2
1E6E4-1E6E5 1E6E7-1E6ED 1E6F0-1E6F4 1E6FE-1E6FF 2B739-2B73F 2B81E 2CEA2-2CEAD 2EBF0-2EE5D
31350-33479 3D000-3FC3F""")

NEW_NUMBERS = ranges("""10D40-10D49 116D0-116E3 11BF0-11BF9 11DE0-11DE9 11F50-11F59 1246F
12475-1247F 12550-12686 16130-16139 16D70-16D79 16FF4-16FF6 1CCF0-1CCF9 1D2C0-1D2D3 1E4F0-1E4F9
1E5F1-1E5FA""")

OTHER += NEW_NUMBERS

LETTER = rf"[^\W\d_{OTHER}]"  # except the new ones

NUMBER = rf"[\d{OTHER}]"

SPACE = r"[^\S\x1c-\x1f]"  # to Python alone, the control characters 1C to 1F are white space

# All that is none of the three; ASCII's own first, for speed again.
MARK = rf"(?:[!-/:-@\[-`{{-~\x1c-\x1f]|[^\s\w{OTHER}{NEW_LETTERS}])"


# GPT-2's pieces: words, contractions, numbers, marks, each with the space before; white space, of
# which the last character is left for the next piece.
PIECE = re.compile(
    rf" ?[A-Za-z]++(?![^\x00-\x7f])| ?(?:{LETTER}++|[{NEW_LETTERS}])+|'(?:s|t|re|ve|m|ll|d)"
    rf"| ?{NUMBER}+| ?{MARK}+|{SPACE}+(?![\S\x1c-\x1f])|{SPACE}+"
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


def check_characters(text):
    """Raise ValueError if a character of `text` has no bytes: half of a surrogate pair."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {text[error.start]!r} at position {error.start} is half of a surrogate "
            "pair, which has no bytes: leave it out, or join it to its other half"
        ) from None
