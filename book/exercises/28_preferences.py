# %% [markdown]
# # Exercises for chapter 28: Preferences
#
# Write your code in place of `raise NotImplementedError()`, run the cell, then run the check below
# it. The check runs your code on cases that you do not see here, and says what is wrong. Stuck?
# `hint("preferences-loss")` in a cell of your own gives a first hint; call it again for the next.
#
# The names are those of [chapter 28](../notebooks/28_preferences.ipynb). Run the next cell first.

# %%
import numpy as np

from coursekit import check, hint
from numpygpt.nn.functional import log_softmax

IGNORE = -100    # in targets: a token of the prompt, or padding

# %% [markdown]
# ## Task 1: the loss of a choice (2 points, easy, about 15 minutes)
#
# The margin of a pair is the reward of the chosen answer minus that of the rejected one. Return the loss, the
# mean of $-\log \sigma(m)$ over all margins (N,), as a float, and its gradient, of the shape and dtype of
# `margin`. Margins may be huge, of either sign, and no warning may come of it. A slope that is tiny has its digits: at
# a margin of 40 it is -4e-18 / N, and not 0. `margin` stays as it is.

# %% answer="preferences-loss"
def preference_loss(margin):
    """Return (loss, dmargin)."""
    ### BEGIN SOLUTION
    loss = float(np.logaddexp(0, -margin).mean())
    return loss, -np.exp(-np.logaddexp(0, margin)) / len(margin)
    ### END SOLUTION

# %% check="preferences-loss" points=2 minutes=15 level="easy"
def with_tiny_slopes(margin):    # beside a slope of 1, an error in a tiny one would not be seen
    loss, dmargin = preference_loss(margin)
    fits = np.shape(dmargin) == margin.shape
    return loss, dmargin, np.exp(np.clip(margin.astype(float), 0, 700)) * dmargin if fits else None

check("preferences-loss", with_tiny_slopes)

# %% [markdown]
# ## Task 2: the best policy (3 points, medium, about 20 minutes)
#
# Each of B prompts has K answers. `log_ref` (B, K) holds the logarithms of the reference's probabilities, of which each row sums
# to 1, `rewards` (B, K) the rewards, which may be whole numbers, and `beta` is a number above 0. Return the distribution
# over the answers of each prompt, (B, K), that makes
#
# $$J(\pi) = \sum_a \pi(a)\, r(a) - \beta \sum_a \pi(a) \log \frac{\pi(a)}{\pi_\text{ref}(a)}$$
#
# as large as it can be, and that largest J of each prompt, (B,). An answer that the reference never gives has a
# log-probability of -∞, and gets a probability of 0; every prompt has some that it gives. Rewards may be many thousand times
# beta, of either sign. No warning may come of either.

# %% answer="preferences-policy"
def best_policy(log_ref, rewards, beta):
    """Return (policy, J)."""
    ### BEGIN SOLUTION
    z = log_ref + rewards / beta    # log π* + log Z
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    Z = e.sum(axis=1, keepdims=True)
    return e / Z, beta * (top + np.log(Z))[:, 0]
    ### END SOLUTION

# %% check="preferences-policy" points=3 minutes=20 level="medium"
check("preferences-policy", best_policy)

# %% [markdown]
# ## Task 3: DPO, forward and backward (4 points, hard, about 35 minutes)
#
# The first N rows of `logits` (2N, T, V) and of `targets` (2N, T) are those of chosen answers, the other N those
# of the rejected ones, in the same order. A target of IGNORE does not count; all others are the answer's tokens, and
# each row has some. `reference` (2N,) holds the log-probability that the reference gives to the answer of each row. Return
# DPO's loss, the mean over the N pairs, as a float, and `dlogits`, of the shape and dtype of `logits`. Margins may be huge,
# and no warning may come of it. What you are given stays as it is.

# %% answer="preferences-dpo"
def dpo(logits, targets, reference, beta):
    """Return (loss, dlogits)."""
    ### BEGIN SOLUTION
    counts = targets != IGNORE
    at_target = np.where(counts, targets, 0)[..., None]
    log_p = log_softmax(logits)
    of_target = np.take_along_axis(log_p, at_target, axis=-1)[..., 0]
    chosen, rejected = np.split(np.where(counts, of_target, 0).sum(axis=1) - reference, 2)
    margin = beta * (chosen - rejected)
    loss = float(np.logaddexp(0, -margin).mean())
    dmargin = -np.exp(-np.logaddexp(0, margin)) / len(margin)
    weights = np.where(counts, beta * np.concatenate([dmargin, -dmargin])[:, None], 0)
    one_hot = at_target == np.arange(logits.shape[-1])
    return loss, (weights[..., None] * (one_hot - np.exp(log_p))).astype(logits.dtype)
    ### END SOLUTION

# %% check="preferences-dpo" points=4 minutes=35 level="hard"
check("preferences-dpo", dpo)

# %% [markdown]
# ## Task 4: read the log (3 points, medium, about 25 minutes)
#
# A run of DPO has written a log, and you decide what happened in it. `log` is a dict. Four entries have the shape
# (steps, N) and hold log-probabilities of the same N pairs at each step: `"chosen"` and `"rejected"`, of the model, and
# `"reference_chosen"` and `"reference_rejected"`, as the run asked the reference. `"letters_chosen"` and
# `"letters_rejected"`, (N,), are the lengths of the answers. The *lead* of a pair is the change of its chosen answer, log p
# minus the reference's, minus the same of its rejected one. Return the first of these words that is true:
#
# | word | when |
# |---|---|
# | `"reference moved"` | a number of the reference differs at some step from its first by more than 1e-6 |
# | `"wrong way"` | the mean lead of the pairs at the last step is not above 0 |
# | `"length"` | at the last step the model prefers the longer answer of each pair, whichever was chosen: the lead has the sign of letters chosen minus letters rejected. Pairs of equal length do not count, and there are pairs of both signs |
# | `"both fall"` | at the last step the chosen answers are, on average, less likely than for the reference |
# | `"fine"` | none of these |

# %% answer="preferences-log"
def diagnose(log):
    """Return one of the five words."""
    ### BEGIN SOLUTION
    for name in ("reference_chosen", "reference_rejected"):
        if np.abs(log[name] - log[name][0]).max() > 1e-6:
            return "reference moved"
    chosen, rejected = ((log[name] - log[f"reference_{name}"])[-1] for name in ("chosen", "rejected"))
    lead = chosen - rejected
    if not lead.mean() > 0:
        return "wrong way"
    longer = np.sign(log["letters_chosen"] - log["letters_rejected"])
    counts = longer != 0
    if {-1, 1} <= set(longer.tolist()) and (np.sign(lead) == longer)[counts].all():
        return "length"
    return "both fall" if chosen.mean() < 0 else "fine"
    ### END SOLUTION

# %% check="preferences-log" points=3 minutes=25 level="medium"
check("preferences-log", diagnose)

# %% [markdown]
# Three runs of the chapter, at β = 0.01, 0.1 and 1, with all else equal. At the end the mean leads are A: 12, B: 470, C: 90
# nats. Which is which, and which would you show to a reader?
#
# <details><summary>Answer</summary>
#
# The loss pushes until β times the lead is a few: A is β = 1, C 0.1 and B 0.01. A stays nearest to the reference, and
# has still learned what was asked. B has left the language; its loss is no worse.
#
# </details>
