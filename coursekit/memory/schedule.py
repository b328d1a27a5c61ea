"""When a card comes back, by py-fsrs, and which cards are asked today.

We count in days, and leave out the steps of minutes and the noise that py-fsrs could add: a reader
comes once a day, and the same reviews give the same day.
"""

from datetime import UTC, date, datetime, time
from functools import cache

from coursekit.files import BookError


def due(reviews):
    """The day on which a card comes back, from its [(day, grade)]; None if it was never asked."""
    if not reviews:
        return None
    fsrs, scheduler = loaded()
    card = fsrs.Card(card_id=0)
    for day, grade in reviews:
        noon = datetime.combine(day, time(12), UTC)  # as no time of day counts
        card, _ = scheduler.review_card(card, fsrs.Rating[grade.capitalize()], noon)
    return card.due.date()


@cache
def loaded():
    """py-fsrs and its scheduler."""
    try:
        import fsrs
    except ImportError:
        raise BookError("py-fsrs is missing: python -m pip install fsrs") from None
    return fsrs, fsrs.Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def plan(cards, known, today, number):
    """The ids of today's cards: those that are due, the longest waiting first, then new ones.

    Args:
        cards: ids, in the order of the book.
        known: {id: its reviews}.
        number: of cards a day, of which half may be new; those that were asked today count.
    """
    asked = [card for card in cards if any(day == today for day, _ in known[card])]
    new_today = [card for card in asked if known[card][0][0] == today]
    waits = {card: due(known[card]) for card in cards if known[card]}
    waiting = sorted((c for c in waits if waits[c] <= today), key=lambda card: waits[card])
    new = [card for card in cards if not known[card]][: max(0, (number + 1) // 2 - len(new_today))]
    return [*waiting, *new][: max(0, number - len(asked))]


def spoken(day, today):
    """A day as a reader says it: "tomorrow", "in 5 days, on Monday, December 7"."""
    away = (day - today).days
    if away == 1:
        return "tomorrow"
    year = f" {day.year}" * (day.year != today.year)
    return f"in {away} days, on {day:%A, %B} {day.day}{year}"


def today():
    """This day, where the reader is."""
    return date.today()
