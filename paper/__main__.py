"""`python -m paper` writes the book as PDF and EPUB, and its exercises, into out/book."""

import sys
import time

from paper import ROOT

try:
    from paper import epub, pdf
    from paper.content import Content, sets
    from paper.pandoc import PandocError
except ImportError as error:
    sys.exit(f"book: {error.name} is missing: `make book` installs it")

WORK = ROOT / "build" / "paper"
OUT = ROOT / "out" / "book"


def main():
    start = time.monotonic()
    try:
        content = Content(ROOT, WORK / "figures")
        pdf.book(content, WORK, OUT / "numpygpt.pdf")
        pdf.cover(content.facts, WORK, WORK / "cover.png")
        epub.write(content, WORK / "cover.png", WORK, OUT / "numpygpt.epub")
        pdf.exercises(*sets(ROOT, WORK / "figures"), WORK, OUT / "numpygpt-exercises.pdf")
    except (PandocError, pdf.PaperError, OSError, ValueError) as error:
        sys.exit(f"book: {error}")
    for path in sorted(OUT.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
