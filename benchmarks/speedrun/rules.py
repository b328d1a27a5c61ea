"""The rules of the speedrun, as code: the text, the score, the limits. Every record imports them.

A record's script trains with `load()`'s training characters, ends with `report(...)`, and does
nothing else with the validation characters.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from numpygpt.data import split
from numpygpt.evaluate import mean_of
from numpygpt.nn.functional import log_softmax
from numpygpt.tokenizers import CharTokenizer

SECONDS = 300  # of wall-clock, from the start of the process to its end
CORES = 2
SEEDS = 4  # at least: 1, 2, 3, 4
P = 0.01  # a record is better than the last one with an error of less than this
WINDOW = 256  # validation characters that a model may look at together
TEXT = Path(__file__).parents[2] / "data/shakespeare.txt"


@dataclass
class Arguments:
    """What a script is told: its seed, and which part of its steps to do (1 in a record)."""

    seed: int
    fraction: float

    def steps(self, number):
        return max(1, round(number * self.fraction))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the steps, to try a script")
    return Arguments(**vars(parser.parse_args()))


@cache
def load():
    """Return (vocab_size, ids to train on, ids to validate on): the characters of the text."""
    text = TEXT.read_text(encoding="utf-8")
    ids = np.array(CharTokenizer.train(text).encode(text))
    train, val = split(ids)  # as `numpygpt datagen` cuts it: the last tenth is for validation
    return int(ids.max()) + 1, train, val


def windows(val):
    """Return x, y of shape (n, WINDOW): every validation character once, but for a rest."""
    n = (len(val) - 1) // WINDOW
    starts = WINDOW * np.arange(n)[:, None] + np.arange(WINDOW)
    return val[starts], val[starts + 1]


def score(log_probs, val):
    """Return the mean loss over the windows of the validation text, in nats per character."""
    return float(losses(log_probs, val).mean(dtype=np.float64))


def losses(log_probs, val):
    """Return the loss of each character in the windows of the validation text, (n, WINDOW).

    Args:
        log_probs: function of x, (n, WINDOW), that returns for each place the log-probabilities
            of all characters to come next, (n, WINDOW, V). It may use of a window what it likes,
            but no character after the one it reads.

    Raises:
        ValueError: probabilities do not add up to 1, or depend on characters that come later.
    """
    x, y = windows(val)
    log_p = np.asarray(log_probs(x))
    if log_p.shape[:-1] != y.shape:
        raise ValueError(f"log-probabilities have shape {log_p.shape}, the targets {y.shape}")
    if np.abs(np.exp(log_p).sum(axis=-1) - 1).max() > 1e-3:
        raise ValueError("probabilities do not add up to 1")
    # The same windows with another end: nothing before it may know.
    few = np.arange(0, len(x), max(1, len(x) // 8))
    for cut in (WINDOW // 2, WINDOW - 1):
        other = x[few]
        other[:, cut:] = x[few - 1, cut:]
        again = np.asarray(log_probs(other))[:, :cut]
        if not np.allclose(again, log_p[few, :cut], rtol=1e-3, atol=1e-3):
            raise ValueError("probabilities depend on characters that come later")
    return -np.take_along_axis(log_p, y[..., None], axis=-1)[..., 0]


def in_pieces(engine, context, stride=None):
    """Return a function for `score`: each window is read in pieces of `context` characters.

    A piece begins `stride` characters after the last one (by default where that ends), and what it
    says of characters that the last one has read, too, is not used: all but the first piece have at
    least context - stride characters before them. The threads of a ThreadedEngine share the pieces.
    """
    stride = stride or context
    starts = range(0, WINDOW - context + 1, stride)
    if starts[-1] + context != WINDOW:
        raise ValueError(f"pieces of {context}, {stride} apart, do not fill a window of {WINDOW}")

    def log_probs(x):
        pieces = np.concatenate([x[:, s : s + context] for s in starts])
        rows = max(1, 4096 // context)
        parts = [slice(i, i + rows) for i in range(0, len(pieces), rows)]
        found = {}

        def thread(number):
            model = engine.models[number]
            for part in parts[number :: engine.threads]:
                found[part.start] = log_softmax(model(pieces[part]))

        with engine.blas.limited(1):
            run = engine.pool.map if engine.pool else map
            list(run(thread, range(engine.threads)))
        log_p = np.concatenate([found[part.start] for part in parts])
        first, *others = np.split(log_p, len(starts))  # (n, context, V) each
        return np.concatenate([first, *(piece[:, -stride:] for piece in others)], axis=1)

    return log_probs


START = time.monotonic()


def progress(step, loss, every=250):
    """Print a line now and then: for the log, and for whoever waits."""
    if not math.isfinite(loss):
        raise SystemExit(f"step {step}: the loss is {loss}")
    if step % every == 0:
        print(f"step {step}  train {loss:.4f}  {time.monotonic() - START:.0f} s", flush=True)


def report(log_probs, val, context):
    """Score the model, and print the line that `run.py` looks for; the last thing a script does.

    `error` is the standard error for other texts of this kind (chapter 26). Of two models on the
    same text the difference is known better: that is what seeds are for.
    """
    found = mean_of(losses(log_probs, val).ravel())
    about = {"val_loss": found.mean, "error": found.error, "targets": windows(val)[1].size}
    about["context"] = context
    print("score " + json.dumps(about), flush=True)
