"""Rollouts: groups of answers that a model samples, and what they are paid. From chapter 29."""

import numpy as np

from numpygpt.generate import generate
from numpygpt.posttraining.masked import IGNORE


def rollouts(model, prompts, group, max_new_tokens, *, end=None, rng):
    """Sample `group` answers to each of the prompts (P, T); those to one prompt stand side by side.

    They are drawn as the model gives them, at temperature 1 and without cuts: the model that learns
    must be the one that wrote them.

    Args:
        end: the id that ends an answer, as its last token; None: all have max_new_tokens.

    Returns:
        x, y (P · group, T + max_new_tokens - 1) as `padded` makes them: what is read, and what
        comes next; IGNORE in the prompt and after the end.

    Raises:
        ValueError: prompt and answer do not fit into the model's window.
    """
    T, size = prompts.shape[1], model.config.block_size
    if T + max_new_tokens - 1 > size:
        raise ValueError(f"{T} tokens and {max_new_tokens} new ones do not fit block_size={size}")
    ids = generate(model, np.repeat(prompts, group, axis=0), max_new_tokens, rng=rng)
    x, y = ids[:, :-1], ids[:, 1:].copy()
    y[:, : T - 1] = IGNORE
    ends = ids[:, T:] == end
    y[:, T - 1 :][np.cumsum(ends, axis=1) > ends] = IGNORE  # an end stands before this token
    return x, y


def pay(reward, x, y, group):
    """Return rewards (P, group): reward(ids of the prompt, ids of the answer), two lists, of each.

    Raises:
        ValueError: a reward is not a finite number.
    """
    counts = y != IGNORE
    T = counts[0].argmax() + 1  # the first token of the answer comes after the prompt's T
    rewards = np.array(
        [reward(a[:T].tolist(), b[c].tolist()) for a, b, c in zip(x, y, counts, strict=True)],
        np.float64,
    )
    if not np.isfinite(rewards).all():
        raise ValueError("a reward is infinite or NaN")
    return rewards.reshape(-1, group)
