"""Measurements of a model, with standard errors: loss, bits, tasks. Derived in chapter 26."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.nn.functional import log_softmax


def token_losses(logits, targets):
    """Return -log p of each target (...), in nats, for logits (..., V)."""
    return -np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error: two times out of three the truth is no further off."""

    mean: float
    error: float

    def __mul__(self, factor):
        return Estimate(self.mean * factor, self.error * factor)

    def __str__(self):
        return f"{self.mean:.4f} ± {self.error:.4f}"


STRETCHES = 20


def mean_of(values, stretches=STRETCHES):
    """Return the Estimate of the mean of values (n,) that stand in the order of a text.

    Neighbors are alike, so n of them tell less than n independent ones. Whole stretches of a text
    are nearly independent: the error is that of the mean of their means. For a single value it is
    infinite.
    """
    parts = np.array_split(np.asarray(values, np.float64), min(stretches, len(values)))
    means = np.array([part.mean() for part in parts])
    error = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.inf
    return Estimate(float(np.mean(values, dtype=np.float64)), float(error))


TOKENS, LOGITS = 1024, 1 << 22  # of one pass, at most: fast products, and little memory


def rows_of(model, T):
    """Return how many rows of T tokens one pass should take."""
    return max(1, min(TOKENS, LOGITS // model.config.vocab_size) // T)


def text_losses(model, ids, context=None):
    """Yield the losses of ids[1:] in nats, each once and in order, some windows at a time: (n,).

    Args:
        ids: (N,). They are cut into windows, each read by itself: the first prediction has
            one token to go by, the last has `context` of them. A shorter window comes last.
        context: tokens of a window; by default block_size.

    Raises:
        ValueError: there are fewer than two ids.
    """
    if len(ids) < 2:
        raise ValueError("it needs two tokens at least: nothing comes before the first")
    x, y, T = ids[:-1], ids[1:], context or model.config.block_size
    n = T * rows_of(model, T)
    whole = len(x) // T * T
    for start in range(0, whole, n):
        here = slice(start, min(start + n, whole))
        yield token_losses(model(x[here].reshape(-1, T)), y[here].reshape(-1, T)).ravel()
    if whole < len(x):
        yield token_losses(model(x[None, whole:]), y[None, whole:])[0]


def bits_per(loss, n_tokens, n_units):
    """Return the loss in nats per token as bits per unit: of n_units characters, or bytes."""
    return loss * (n_tokens / n_units / math.log(2))


def share_of(hits):
    """Return the Estimate of how often independent trials succeed; hits (n,): whether each did.

    Its error is half of Wilson's interval of one standard error: that of 0 of 20 is not 0.
    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    n, p = len(hits), float(np.mean(hits))
    return Estimate(p, math.sqrt(p * (1 - p) / n + 1 / (4 * n * n)) / (1 + 1 / n))


def answers_right(model, pairs):
    """Yield whether the model, greedy, answers each prompt with just that answer: (n,) at a time.

    It does if each token of the answer is the likeliest one, given those before it. So one pass
    tells, and nothing is sampled.

    Args:
        pairs: of ids, prompt and answer. An answer that does not hold its own end, such as a line
            break, is right too where the model would go on.

    Raises:
        ValueError: one of a pair is empty, or both are longer than a window and its target; or a
            logit is NaN or infinite.
    """
    T = model.config.block_size
    for number, (prompt, answer) in enumerate(pairs, 1):
        if not (len(prompt) and len(answer) and len(prompt) + len(answer) <= T + 1):
            raise ValueError(
                f"task {number} has {len(prompt)} tokens to read and {len(answer)} to answer: each "
                f"needs one at least, and together they may be {T + 1}"
            )
    T = max(len(prompt) + len(answer) for prompt, answer in pairs) - 1
    n = rows_of(model, T)
    for start in range(0, len(pairs), n):
        part = pairs[start : start + n]
        ids = np.zeros((len(part), T + 1), np.int64)  # zeros behind: no token sees what comes later
        asked = np.zeros((len(part), T), bool)
        for row, (prompt, answer) in enumerate(part):
            end = len(prompt) + len(answer)
            ids[row, :end] = [*prompt, *answer]
            asked[row, len(prompt) - 1 : end - 1] = True
        logits = model(ids[:, :-1])
        if not np.isfinite(logits).all():
            raise ValueError("a logit is NaN or infinite: the weights of the model are lost")
        hit = logits.argmax(axis=-1) == ids[:, 1:]
        yield (hit | ~asked).all(axis=1)


def read_tasks(path):
    """Return the pairs of a file, one a line: {"prompt": "2+3=", "answer": "5\\n"}, as texts.

    Raises:
        DataError: the file holds no line, or one that is no such object; the message names it.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            task = json.loads(line)
            pairs.append((task["prompt"], task["answer"]))
            if not all(isinstance(text, str) and text for text in pairs[-1]):
                raise ValueError("prompt and answer must be texts, and not empty")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f'{path}, line {number} is no task such as {{"prompt": "2+3=", "answer": "5"}}: '
                f"{error}"
            ) from None
    if not pairs:
        raise DataError(f"{path} holds no task")
    return pairs
