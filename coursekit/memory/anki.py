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
from coursekit.files import say, write
from coursekit.memory.cards import all_cards
from coursekit.memory.reached import chapter

DECK, NOTE_TYPE = 1806402519, 1806402520  # drawn once
FIELDS = [{"name": "Question"}, {"name": "Answer"}]
SIDES = {"qfmt": "{{Question}}", "afmt": "{{FrontSide}}<hr id=answer>{{Answer}}"}
BRACKETS = {False: r"\({}\)", True: r"\[{}\]"}


def export(path, upto=None, root=ROOT):
    """Write the cards of all chapters, or those up to one, to an .apkg file."""
    last = 99 if upto is None else chapter(upto, root)
    cards = [card for card in all_cards(root).values() if card.chapter <= last]
    write(path, package(cards))
    say(f"{path}: {len(cards)} cards; in Anki: File, Import. A later file updates them.")


def package(cards):
    """The bytes of an .apkg file."""
    import genanki

    note_type = genanki.Model(NOTE_TYPE, "numpygpt", FIELDS, [{"name": "Card"} | SIDES])
    deck = genanki.Deck(DECK, "numpygpt")
    for place, card in enumerate(cards):
        deck.add_note(
            genanki.Note(
                note_type,
                [html(card.prompt), html(card.answer)],
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
