r"""`coursekit review --anki FILE`: the cards as a deck for Anki.

A note's id is made from the card's, and those of deck and note type never change: a file that is
read a second time updates the notes that are there, and their schedule stays. How Anki treats ids:
docs.ankiweb.net, "Importing"; its formulas, \(...\) and \[...\]: "Math & Symbols".
"""

import io
import sqlite3
import time
import zipfile
from html import escape
from itertools import count

from coursekit.address import ROOT
from coursekit.files import BookError, say, write
from coursekit.memory.cards import all_cards
from coursekit.memory.reached import chapter

DECK, NOTE_TYPE = 1806402519, 1806402520  # drawn once
FIELDS = ["Question", "Answer", "Chapter"]
SIDES = {
    "qfmt": "{{Question}}",
    "afmt": "{{FrontSide}}<hr id=answer>{{Answer}}<small>Chapter {{Chapter}}</small>",
}
STYLE = ".card { font: 20px sans-serif; max-width: 35em; margin: auto; }"
BRACKETS = {False: r"\({}\)", True: r"\[{}\]"}


def export(path, upto=None, root=ROOT):
    """Write the cards of all chapters, or those up to one, to an .apkg file."""
    cards = list(all_cards(root).values())
    if upto is not None:
        last = chapter(upto, root)
        cards = [card for card in cards if card.chapter <= last]
    write(path, package(cards))
    say(f"{path}: {len(cards)} cards; in Anki: File, Import. A later file updates them.")


def package(cards):
    """The bytes of an .apkg file."""
    try:
        import genanki
    except ImportError:
        raise BookError("genanki is missing: python -m pip install genanki") from None
    fields, sides = [{"name": field} for field in FIELDS], {"name": "Card"} | SIDES
    note_type = genanki.Model(NOTE_TYPE, "numpygpt", fields, [sides], css=STYLE)
    deck = genanki.Deck(DECK, "numpygpt")
    for place, card in enumerate(cards):
        deck.add_note(
            genanki.Note(
                note_type,
                [html(card.prompt), html(card.answer), str(card.chapter)],
                tags=[f"chapter-{card.chapter:02}"],
                guid=genanki.guid_for("numpygpt", card.id),
                due=place,  # Anki asks new ones in this order
            )
        )
    now = time.time()  # of two files the later one counts
    # Package.write_to_file does the same, and leaves its database behind in the folder for such.
    database = sqlite3.connect(":memory:")
    genanki.Package(deck).write_to_db(database.cursor(), now, count(int(now * 1000)))
    database.commit()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("collection.anki2", database.serialize())
        archive.writestr("media", "{}")
    database.close()
    return file.getvalue()


def html(text):
    """Markdown as HTML, with formulas as Anki writes them."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    def formula(content, options):
        return BRACKETS[options["display_mode"]].format(escape(content))

    return MarkdownIt().use(dollarmath_plugin, renderer=formula).render(text).strip()
