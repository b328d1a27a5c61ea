"""The cards of one day, one after the other, whoever shows them: a terminal or a notebook."""

from datetime import timedelta

from coursekit.address import ROOT
from coursekit.memory import history
from coursekit.memory.cards import all_cards
from coursekit.memory.reached import reached
from coursekit.memory.schedule import due, plan, spoken, today

AT_MOST = 10  # cards a day, unless the reader wants more


class Session:
    """What is asked today. A card that was not recalled comes again before the day is over.

    Args:
        upto: the last chapter to ask of, such as "09", which is remembered; without it, what the
            reader has reached.
        number: of cards a day, at most.
    """

    def __init__(self, upto=None, number=AT_MOST, root=ROOT):
        cards = all_cards(root)
        self.today = today()
        last = reached(upto, root)
        known = {name: history.reviews(name) for name in cards}
        # What was asked once is asked again, unless the reader names a chapter before it.
        self.known = {
            name: reviews
            for name, reviews in known.items()
            if cards[name].chapter <= last or (reviews and upto is None)
        }
        self.left = [cards[name] for name in plan([*self.known], self.known, self.today, number)]
        self.total, self.done = len(self.left), 0

    @property
    def card(self):
        """The card that is asked now; None at the end."""
        return self.left[0] if self.left else None

    def grade(self, grade):
        """Keep how the card was recalled, go on to the next, and say when it comes back."""
        card = self.left[0]
        history.note(card.id, self.today, grade)  # first: what is not kept does not count
        self.known[card.id] = [*self.known[card.id], (self.today, grade)]
        del self.left[0]
        if grade == "again":
            self.left.append(card)
            return "again: it comes once more today"
        self.done += 1
        return f"{grade}: it comes back {spoken(due(self.known[card.id]), self.today)}"

    def title(self):
        """Where we are, such as "2 of 6, chapter 3"."""
        return f"{self.done + 1} of {self.total}, chapter {self.card.chapter}"

    def end(self):
        """What a reader is told who has nothing left for today."""
        tomorrow = self.today + timedelta(1)  # also for those that were too many for today
        days = [due(reviews) if reviews else tomorrow for reviews in self.known.values()]
        first = "That was all for today." if self.done else "There is nothing to recall today."
        if not days:
            return f"{first} No chapter that you have read has questions."
        return f"{first} The next question comes {spoken(max(min(days), tomorrow), self.today)}."
