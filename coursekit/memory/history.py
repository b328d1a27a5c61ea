"""What the reader recalled, and when: a small file for each card, in .progress/cards/.

It holds the days and the grades, and nothing that follows from them: a new text of a card, another
version of the scheduler or a card that was away for a while leave it as it is.
"""

import json
from datetime import date

from coursekit.checking import progress
from coursekit.files import keep_old, say, write

GRADES = ("again", "hard", "good", "easy")


def reviews(card):
    """[(day, grade)] of a card, by its id, in the order of the days."""
    return sorted(
        [
            (date.fromisoformat(entry["day"]), entry["grade"])
            for entry in load(f"cards/{card}", is_history).get("reviews", [])
        ],
        key=lambda review: review[0],  # those of one day stay in the order that they came in
    )


def note(card, day, grade):
    """Add one review to what is known of a card."""
    known = load(f"cards/{card}", is_history)
    entry = {"day": day.isoformat(), "grade": grade}
    save(f"cards/{card}", known | {"reviews": [*known.get("reviews", []), entry]})


def is_history(known):
    """Whether a file holds what `note` writes; it may hold more, of a later version."""
    entries = known.get("reviews", [])
    return isinstance(entries, list) and all(map(is_review, entries))


def is_review(entry):
    try:
        return entry["grade"] in GRADES and date.fromisoformat(entry["day"]).year < 9000
    except (TypeError, KeyError, ValueError):
        return False


def load(name, is_good):
    """A file of the reader's progress, by its name; {} if there is none.

    One that is damaged, or not `is_good`, is kept beside it, and begun anew.
    """
    if progress.folder() is None:
        return {}
    path = progress.folder() / f"{name}.json"
    was_there = path.exists()
    known = progress.load(name)
    if known and not is_good(known):
        keep_old(path)
        path.unlink()
        known = {}
    if was_there and not path.exists():
        say(f"({path} was damaged: it is kept beside it, its name with .old, and begun anew)")
    return known


def save(name, known):
    """Write a file of the reader's progress."""
    if progress.folder() is not None:
        known = {"version": 1} | known
        write(progress.folder() / f"{name}.json", json.dumps(known, indent=1) + "\n")
