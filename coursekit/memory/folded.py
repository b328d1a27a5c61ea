"""The last cell of a chapter's notebook: its cards, each with the answer folded."""

ID = "from-memory"
HEAD = """\
## From memory

Answer each question aloud before you unfold the answer."""
AGAIN = """\
`python -m coursekit review` in a terminal, or `from coursekit import review; review()` in a new
cell, asks them again later, a few a day: each about when you would forget it."""
CARD = """\
**{}.** {}

<details><summary>Answer</summary>

{}

</details>"""


def folded(cards, again=AGAIN):
    """[the cell], or [] where there are no cards.

    Args:
        again: a sentence that says what asks them again.
    """
    if not cards:
        return []
    parts = [CARD.format(n, card.prompt, card.answer) for n, card in enumerate(cards, 1)]
    source = "\n\n".join([f"{HEAD} {again}", *parts])
    return [{"cell_type": "markdown", "id": ID, "metadata": {}, "source": source}]
