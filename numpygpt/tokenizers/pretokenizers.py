"""Text to pieces, by the steps that a tokenizer.json lists. Derived in chapter 25."""

import re

from numpygpt.tokenizers.pieces import LETTER, MARK, NEW_LETTERS, NUMBER, PIECE, SPACE

# What the patterns of such files are made of -> the same for Python's re, which knows no \p.
ATOMS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"'s|'t|'re|'ve|'m|'ll|'d": r"'s|'t|'re|'ve|'m|'ll|'d",
    r"'(?:[sdmt]|ll|ve|re)": r"'(?:[sdmt]|ll|ve|re)",
    r"[^\r\n\p{L}\p{N}]": rf"(?:{MARK}|[^\S\r\n\x1c-\x1f])",
    r"[^\s\p{L}\p{N}]": MARK,
    r"\p{L}+": rf"(?:{LETTER}++|[{NEW_LETTERS}])++",
    r"\p{N}": NUMBER,
    r"[\r\n]": r"[\r\n]",
    r"\s+(?!\S)": rf"{SPACE}+(?![\S\x1c-\x1f])",
    r"\s": SPACE,
    r"{1,3}": r"{1,3}",
    " ": " ",
    "|": "|",
    "?": "?",
    "+": "+",
    "*": "*",
}


ATOM = "|".join(map(re.escape, ATOMS))


def translated(pattern):
    """Return a pattern of a tokenizer.json for Python's re; ValueError if we cannot read it."""
    try:
        if re.fullmatch(f"(?:{ATOM})+", pattern):
            return re.compile(re.sub(ATOM, lambda found: ATOMS[found[0]], pattern)).pattern
    except (TypeError, re.error):
        pass
    raise ValueError(f"it splits text by a pattern that we do not read: {pattern!r}")


def only(where, settings, **known):
    """Raise ValueError if one of the settings is there, and is not what we do anyway."""
    for name, value in known.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{where}: {name} is {settings[name]!r}, we know only {value!r}")


def steps_of(about):
    """Return the patterns by which a pre-tokenizer cuts, one after the other.

    Each has one group, so that `split` gives the pieces that it matches and those between.

    Args:
        about: the entry "pre_tokenizer" of a tokenizer.json.

    Raises:
        ValueError: it is not byte-level, or does what we do not.
    """
    parts = about["pretokenizers"] if about["type"] == "Sequence" else [about]
    steps = []
    for number, part in enumerate(parts, start=1):
        kind = part["type"]
        if (kind == "ByteLevel") != (number == len(parts)):
            raise ValueError(f"its pre-tokenizer {kind} is at the wrong place: ByteLevel is last")
        if kind == "ByteLevel":
            only(kind, part, add_prefix_space=False)
            patterns = [PIECE.pattern] if part.get("use_regex", True) else []
        elif kind == "Digits":
            patterns = [NUMBER if part["individual_digits"] else f"{NUMBER}+"]
        elif kind == "Split":
            only(kind, part, behavior="Isolated", invert=False)
            patterns = [translated(part["pattern"].get("Regex"))]
        else:
            raise ValueError(f"we do not know its pre-tokenizer {kind!r}")
        steps += [re.compile(f"({pattern})") for pattern in patterns]
    return steps


def cut(text, steps):
    """Return the pieces of a text: each step cuts the pieces that the one before has left."""
    pieces = [text]
    for step in steps:
        pieces = [part for piece in pieces for part in step.split(piece) if part]
    return pieces
