# %% [markdown]
# # Exercises for chapter 29: Rewards
#
# Advantages, the oldest policy gradient, the clip, the leash, and a judgment. Write your code in place of
# `raise NotImplementedError()`, all of it in that cell. The check below it runs your code on cases that you
# do not see, and says what is wrong. `hint("rewards-advantages")` in a cell of your own gives a hint; call it
# again for the next.

# %%
import math

import numpy as np

from coursekit import check, hint
from numpygpt.nn.functional import log_softmax, softmax

# %% [markdown]
# ## Task 1: better than its group (2 points, easy, about 15 minutes)
#
# `rewards`, `(N,)`, holds one number for each answer, and `prompt`, `(N,)`, names by a whole number, of any size, the prompt that it
# answers. Answers to one prompt need not stand side by side, and one prompt may have more of them than another,
# or a single one. Return the advantages, `(N,)` floats: each reward minus the mean reward of its prompt. With
# `scale` divide them by the prompt's standard deviation, the root of the mean squared distance from that mean.
#
# Rewards of a prompt that all lie within 1e-9 of each other are equal: their advantages are 0, with `scale`
# and without, and no warning is given.

# %% answer="rewards-advantages"
def advantages(rewards, prompt, scale):
    """Return the advantage of each answer, (N,)."""
    ### BEGIN SOLUTION
    A = np.zeros(len(rewards))
    for one in np.unique(prompt):
        mine = prompt == one
        R = rewards[mine]
        if R.max() - R.min() > 1e-9:
            A[mine] = R - R.mean()
            if scale:
                A[mine] /= R.std()
    return A
    ### END SOLUTION

# %% check="rewards-advantages" points=2 minutes=15 level="easy"
check("rewards-advantages", advantages)

# %% [markdown]
# ## Task 2: REINFORCE (3 points, medium, about 20 minutes)
#
# N answers were written. At step t of answer n the model had `logits[n, t]`, of V numbers, drew the token
# `ids[n, t]`, and `mask[n, t]` says whether that token belongs to the answer. The answer's advantage is
# `advantages[n]`, of either sign. With $p = \text{softmax}(\text{logits})$ and M the number of tokens that
# belong to answers, in the whole batch,
#
# $$\text{loss} = -\frac1M \sum_{n, t} \text{mask}_{nt}\, A_n \log p_{nt}[\text{ids}_{nt}].$$
#
# Return the loss, a float, and its gradient `dlogits`, of the shape and dtype of `logits`. A row of `mask` may be
# all False. Logits may be as far apart as 2,000.

# %% answer="rewards-reinforce"
def reinforce(logits, ids, mask, advantages):
    """Return (loss, dlogits).  logits: (N, T, V), ids and mask: (N, T), advantages: (N,)."""
    ### BEGIN SOLUTION
    weights = (mask * advantages[:, None] / mask.sum()).astype(logits.dtype)    # (N, T)
    log_p = np.take_along_axis(log_softmax(logits), ids[..., None], axis=-1)[..., 0]
    y = np.arange(logits.shape[-1]) == ids[..., None]
    return -float((weights * log_p).sum()), weights[..., None] * (softmax(logits) - y)
    ### END SOLUTION

# %% check="rewards-reinforce" points=3 minutes=20 level="medium"
check("rewards-reinforce", reinforce)

# %% [markdown]
# ## Task 3: the clip (4 points, hard, about 30 minutes)
#
# With $\rho = p / p_\text{old}$ for each token, given by the log-probabilities `log_p` and `old`, both `(N, T)`:
#
# $$\text{loss} = -\frac1M \sum_{n, t} \text{mask}_{nt}\, \min\big(\rho_{nt} A_n,\; \text{clip}(\rho_{nt}, 1 -
# \text{low}, 1 + \text{high})\, A_n\big).$$
#
# The two limits need not be equally far from 1. M counts the tokens of all answers. Return the loss, a float,
# and its gradient `dlog_p`, `(N, T)`, in which `old` is a constant. Where `mask` is False the gradient is 0, and
# `log_p` and `old` may hold anything, even -inf or NaN. (The check keeps away from the limits themselves.)

# %% answer="rewards-clip"
def clipped(log_p, old, advantages, mask, low, high):
    """Return (loss, dlog_p).  log_p, old, mask: (N, T), advantages: (N,)."""
    ### BEGIN SOLUTION
    A, M = advantages[:, None], int(mask.sum())
    ratio = np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
    gain = np.minimum(ratio * A, np.clip(ratio, 1 - low, 1 + high) * A)
    moves = mask & np.where(A > 0, ratio < 1 + high, ratio > 1 - low)
    return -float((mask * gain).sum() / M), -np.where(moves, ratio * A, 0) / M
    ### END SOLUTION

# %% check="rewards-clip" points=4 minutes=30 level="hard"
check("rewards-clip", clipped)

# %% [markdown]
# ## Task 4: the leash (3 points, medium, about 20 minutes)
#
# With $r = p_\text{ref} / p$ for each token, given by `reference` and `log_p`, the log-probabilities:
#
# $$\text{kl} = \frac1N \sum_n \frac{1}{M_n} \sum_t \text{mask}_{nt}\, (r_{nt} - 1 - \log r_{nt}),$$
#
# where $M_n$ is the number of tokens of answer n: here all answers count alike, and not all tokens. Return kl, a
# float, and its gradient `dlog_p`, `(N, T)`, in which `reference` is a constant. An answer without any
# token adds nothing, but is one of the N. Where `mask` is False the gradient is 0, and `log_p` and `reference` may
# hold anything, even -inf or NaN.

# %% answer="rewards-leash"
def leash(log_p, reference, mask):
    """Return (kl, dlog_p), all arrays (N, T)."""
    ### BEGIN SOLUTION
    shares = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) / len(mask)
    log_r = np.where(mask, reference, 0) - np.where(mask, log_p, 0)
    return float((shares * (np.expm1(log_r) - log_r)).sum()), -shares * np.expm1(log_r)
    ### END SOLUTION

# %% check="rewards-leash" points=3 minutes=20 level="medium"
check("rewards-leash", leash)

# %% [markdown]
# ## Task 5: who was fooled? (2 points, medium, about 20 minutes)
#
# During a run two things were measured K times: what the model was `paid`, and what was really `wanted`, such
# as held-out accuracy or the share of real words, more of both is better. Did the run learn, or did it *hack* its
# reward? Curves are noisy, so say what a difference is. Compare the first n measurements with the last n,
# n at least 2 and at most K/2: with means $m_1, m_2$ and variances $s_1^2, s_2^2$ (sums of squared
# distances from the mean, divided by n - 1), a curve has *risen* if
#
# $$m_2 - m_1 > 2 \sqrt{\frac{s_1^2 + s_2^2}{n}},$$
#
# and *fallen* if $m_1 - m_2$ is larger than that. Return `"hacked"` if `paid` has risen and `wanted` has fallen,
# `"learned"` if `paid` has risen and `wanted` has risen, `"neither"` in all other cases.

# %% answer="rewards-judge"
def judge(paid, wanted, n):
    """Return "hacked", "learned" or "neither".  paid, wanted: (K,)."""
    ### BEGIN SOLUTION
    def moved(curve):
        first, last = curve[:n], curve[-n:]
        by = last.mean() - first.mean()
        error = math.sqrt((first.var(ddof=1) + last.var(ddof=1)) / n)
        return int(by > 2 * error) - int(-by > 2 * error)

    if moved(paid) != 1:
        return "neither"
    return {1: "learned", -1: "hacked", 0: "neither"}[moved(wanted)]
    ### END SOLUTION

# %% check="rewards-judge" points=2 minutes=20 level="medium"
check("rewards-judge", judge)

# %% [markdown]
# Three runs of chapter 29, with n = 2. Which of these curves is the hacked reward? Guess first, then let `judge` say.
#
# ```
# A = [0.517, 0.609, 0.728, 0.880, 0.945, 0.974], [0.300, 0.408, 0.944, 0.986, 0.990, 0.995]
# B = [-0.082, -0.034, -0.005, 0.000, 0.000, 0.000], [0.543, 0.511, 0.291, 0.003, 0.001, 0.001]
# C = [-0.088, -0.045, -0.018, -0.007, -0.008, -0.011], [0.543, 0.595, 0.531, 0.436, 0.482, 0.521]
# ```
#
# <details><summary>Answer</summary>
#
# A is the adder: paid and wanted are both sums that are right, drawn and greedy, and it *learned*. B was fined for the
# letter e and wanted real words: *hacked*. C is the same with E fined, too, and with the leash: *hacked* as well, though it
# lost 7 points of words where B lost all. A verdict is not a size: look at the curve, too.
#
# </details>
