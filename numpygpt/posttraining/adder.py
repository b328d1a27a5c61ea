"""The forgetful adder: sums of two numbers, and a teacher who drops carries. From chapter 27."""

import numpy as np

from numpygpt.generate import generate
from numpygpt.posttraining.masked import IGNORE

SYMBOLS = "0123456789+="  # the id of a digit is the digit


def split_sums():
    """Return (training pairs, held-out pairs), (9000, 2) and (1000, 2): numbers from 0 to 99."""
    order = np.random.default_rng(27).permutation(10_000)
    pairs = np.stack(np.divmod(order, 100), axis=1)
    return pairs[1000:], pairs[:1000]


def digits(numbers, n):
    """Return the last n decimal digits of `numbers` (N,), as (N, n)."""
    return numbers[:, None] // 10 ** np.arange(n)[::-1] % 10


def prompts(pairs):
    """Return the ids (N, 6) of "47+85=", for pairs (N, 2)."""
    a, b = digits(pairs[:, 0], 2), digits(pairs[:, 1], 2)
    plus, equals = (np.full((len(pairs), 1), SYMBOLS.index(s)) for s in "+=")
    return np.concatenate([a, plus, b, equals], axis=1)


def right_answers(pairs):
    """Return the ids (N, 3) of the sums: 132 for 47 and 85."""
    return digits(pairs.sum(axis=1), 3)


def forgetful_answers(pairs):
    """Return the ids (N, 3) of the sums with every carry dropped: 022 for 47 and 85."""
    columns = digits(pairs[:, 0], 3) + digits(pairs[:, 1], 3)
    return columns % 10


def taught_answers(pairs, *, rng, forgets=0.7):
    """Return what the teacher says, (N, 3): with probability `forgets` every carry is dropped."""
    drop = rng.random((len(pairs), 1)) < forgets
    return np.where(drop, forgetful_answers(pairs), right_answers(pairs))


def rows(pairs, answers, mask=True):
    """Return x, y (N, 8): prompt and answer, to predict the answer, or all of it without `mask`."""
    ids = np.concatenate([prompts(pairs), answers], axis=1)
    x, y = ids[:, :-1], ids[:, 1:].copy()
    if mask:
        y[:, :5] = IGNORE  # what comes next is the prompt's
    return x, y


def says(model, pairs, temperature=0, rng=None):
    """Return the model's answers (N, 3): the likeliest digits, or drawn ones."""
    options = {"temperature": temperature, "rng": rng or np.random.default_rng(0)}
    return generate(model, prompts(pairs), 3, **options)[:, 6:]


def share_saying(model, pairs, answers, **options):
    """Return the share of the pairs to which the model says just these answers; see `says`."""
    return float((says(model, pairs, **options) == answers).all(axis=1).mean())
