# %% [markdown]
# # Exercises for chapter 26: Looking inside
#
# What a network knows on the way, what a head adds, what it looks at, and weights of eight bits. Write your
# code in place of `raise NotImplementedError()`, all of it in that cell. The check below it runs your code on
# cases that you do not see, and says what is wrong. `hint("looking-lens")` in a cell of your own gives a hint;
# call it again for the next.

# %%
import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: through the lens (3 points, medium, about 20 minutes)
#
# `streams`, (L, T, C), is the residual stream of one text after each of L layers, as it is: nothing has
# normalized it. Read every layer with the logit lens: the final LayerNorm over the last axis, with `gamma` and `beta`,
# (C,), and `eps` added to the variance under the root; then the tied head `W`, (V, C). Return the mean loss of the
# `targets`, (T,), in nats, for each layer: an array of floats, (L,). The streams may lie far from 0, and logits may be in the
# thousands, without a warning and without a loss that is infinite.

# %% answer="looking-lens"
def lens_losses(streams, targets, gamma, beta, W, eps):
    """Return the loss that each layer would have, (L,)."""
    ### BEGIN SOLUTION
    x = streams - streams.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * gamma + beta
    z = x @ W.T    # (L, T, V)
    z = z - z.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -log_p[:, np.arange(streams.shape[1]), targets].mean(axis=1)
    ### END SOLUTION

# %% check="looking-lens" points=3 minutes=20 level="medium"
check("looking-lens", lens_losses)

# %% [markdown]
# ## Task 2: what a head adds (2 points, easy, about 15 minutes)
#
# An attention layer has kept its weights `p`, (B, H, T, T), and its values `v`, (B, H, T, D). It puts the outputs
# of its heads side by side, head after head, and multiplies by `W`, (H D, C), the matrix of `proj`; `proj` has no
# bias. So its output is a sum over heads. Return the terms of this sum, what each head adds to the stream: (B, H, T, C),
# in the dtype of `v`.

# %% answer="looking-head"
def added_by_head(p, v, W):
    """Return what each head adds, (B, H, T, C)."""
    ### BEGIN SOLUTION
    B, H, T, D = v.shape
    return p @ v @ W.reshape(H, D, -1)
    ### END SOLUTION

# %% check="looking-head" points=2 minutes=15 level="easy"
check("looking-head", added_by_head)

# %% [markdown]
# ## Task 3: eight bits (3 points, medium, about 20 minutes)
#
# Write `W`, (n_in, n_out), as whole numbers times one scale for each column: `W` is about `q * scale`. The largest
# absolute value of a column becomes 127 or -127, and every other one the nearest whole number. Return `q`, int8 and of
# the shape of `W`, and `scale`, (n_out,) and of the dtype of `W`. A column of zeros gets the scale 1; the
# largest absolute value of any other one is between 1e-30 and 1e30. `W` stays as it is, and there is no warning.

# %% answer="looking-int8"
def quantize(W):
    """Return q (n_in, n_out), int8, and scale (n_out,)."""
    ### BEGIN SOLUTION
    scale = np.abs(W).max(axis=0) / 127
    scale[scale == 0] = 1
    return np.round(W / scale).astype(np.int8), scale
    ### END SOLUTION

# %% check="looking-int8" points=3 minutes=20 level="medium"
check("looking-int8", quantize)

# %% [markdown]
# ## Task 4: what does it look at? (4 points, hard, about 30 minutes)
#
# You have the attention weights `p`, (T, T), of one head over the tokens `ids`, (T,). Decide what kind of head it
# is. At a place t whose token has occurred before, last at s, there are three candidates:
#
# - `"previous"`: the token before, at t - 1;
# - `"same"`: the same token, at s;
# - `"induction"`: what came after it, at s + 1.
#
# Count only places t with s < t - 2: there the three differ. For each candidate take the mean of the head's weight on
# it over these places. Return the name of the one whose mean is more than 1/2 (there cannot be two). If there is none, or
# no place to count, return `"none"`.

# %% answer="looking-kind"
def kind_of_head(p, ids):
    """Return "previous", "same", "induction" or "none"."""
    ### BEGIN SOLUTION
    last, weights = {}, []
    for t, token in enumerate(ids.tolist()):
        s = last.get(token, t)
        if s < t - 2:
            weights.append(p[t, [t - 1, s, s + 1]])
        last[token] = t
    means = np.mean(weights, axis=0) if weights else np.zeros(3)
    for name, mean in zip(("previous", "same", "induction"), means):
        if mean > 0.5:
            return name
    return "none"
    ### END SOLUTION

# %% check="looking-kind" points=4 minutes=30 level="hard"
check("looking-kind", kind_of_head)

# %% [markdown]
# On the text `abcdefabcdefabcdef` somebody finds that a head of the *first* block is `"induction"`, which chapter 26
# calls impossible. What kind of head is it really, and on which text would you find out?
#
# <details><summary>Answer</summary>
#
# One that looks five places back, by position alone: where everything repeats after six tokens, that is the place
# after the token's last one. On a text that repeats after six tokens and later after nine, its mean falls below 1/2.
#
# </details>
