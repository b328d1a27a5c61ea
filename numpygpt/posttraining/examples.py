"""Prompts with their answers, as rows of a batch: padded, or packed. Derived in chapter 27."""

from dataclasses import dataclass

import numpy as np

from numpygpt.chat import ends_of, render
from numpygpt.posttraining.masked import IGNORE


@dataclass(frozen=True)
class Example:
    """The ids of a prompt, and of its answer with the token that ends it; both not empty."""

    prompt: list
    answer: list

    def __post_init__(self):
        if not (self.prompt and self.answer):
            raise ValueError("a prompt and an answer need at least one token each")

    def __len__(self):
        return len(self.prompt) + len(self.answer) - 1  # the last token is a target only

    def row(self):
        """Return (x, y): ids to read, and what comes next where that is the answer's."""
        x = [*self.prompt, *self.answer][:-1]
        return x, [IGNORE] * (len(self.prompt) - 1) + list(self.answer)


def padded(examples, block_size):
    """Return x, y (examples, T): an example in each row, T the longest; see `packed`."""
    return _rows([[example] for example in examples], block_size)


def packed(examples, block_size):
    """Return x, y (rows, T): as many examples in a row as fit, each in the first row that has room.

    Nothing tells a model where one ends: an answer reads the examples before it in its row, too.

    Raises:
        ValueError: there is no example, or one that is longer than block_size.
    """
    rows, room = [], []
    for example in examples:
        n = len(example)
        place = next((i for i, left in enumerate(room) if left >= n), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(block_size)
        rows[place].append(example)
        room[place] -= n
    return _rows(rows, block_size)


def _rows(rows, block_size):
    """Return x, y (rows, T) of lists of examples; behind the last stand zeros without a loss."""
    longest = max((sum(map(len, row)) for row in rows), default=0)
    if not 1 <= longest <= block_size:
        raise ValueError(
            f"a row of {longest} tokens does not fit block_size={block_size}"
            if rows
            else "there are no examples"
        )
    x = np.zeros((len(rows), longest), np.int64)
    y = np.full((len(rows), longest), IGNORE)
    for i, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example)
            x[i, start:end], y[i, start:end] = example.row()
            start = end
    return x, y


def turns(tokenizer, messages, template):
    """Return an Example for each answer in a chat: what a Chat reads before it, and the answer.

    Args:
        messages: (role, text) pairs, as for `render`.
        template: how the model wants its turns.
    """
    end = ends_of(tokenizer, template)[:1]
    return [
        Example(render(tokenizer, messages[:i], template), [*tokenizer.encode(text), *end])
        for i, (role, text) in enumerate(messages)
        if role == "assistant" and i
    ]


class RowLoader:
    """Endless random batches of rows: x and y (B, T), T as long as the longest of them."""

    def __init__(self, x, y, batch_size, *, rng):
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.rng = rng

    def __iter__(self):
        return self

    def __next__(self):
        picked = self.rng.integers(len(self.x), size=self.batch_size)
        x, y = self.x[picked], self.y[picked]
        end = np.flatnonzero((y != IGNORE).any(axis=0))[-1] + 1  # all behind it is padding
        return x[:, :end], y[:, :end]
