# %% [markdown]
# # Exercises for chapter 17: Sampling
#
# From logits to the next token, and how not to compute everything again for each one. Write your code
# in place of `raise NotImplementedError()`, all of it in that cell. The check below it runs your code on
# cases that you do not see, and says what is wrong. `hint("sampling-temperature")` in a cell of your own
# gives a hint; call it again for the next.

# %%
import math

import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn.functional import softmax

# %% [markdown]
# ## Task 1: temperature (2 points, easy, about 10 minutes)
#
# Return the probabilities to draw from, `(B, V)`, for logits `(B, V)`: the softmax of the logits
# divided by `temperature`. At temperature 0 all mass lies on the largest logit of each row, the
# first one if several are equal.

# %% answer="sampling-temperature"
def with_temperature(logits, temperature):
    """Return probabilities (B, V)."""
    ### BEGIN SOLUTION
    if temperature == 0:
        return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
    return softmax(logits / temperature)
    ### END SOLUTION

# %% check="sampling-temperature" points=2 minutes=10 level="easy"
check("sampling-temperature", with_temperature)

# %% [markdown]
# ## Task 2: top-k (2 points, medium, about 15 minutes)
#
# Return `p`, `(B, V)`, with all but the k likeliest entries of each row set to 0, and the rest scaled
# so that each row sums to 1 again. Of equal probabilities, the smaller id counts as the likelier. If
# k is at least V, nothing is cut. Return a new array: `p` itself stays as it is.

# %% answer="sampling-top-k"
def top_k(p, k):
    """Return p (B, V) cut to the k likeliest tokens of each row."""
    ### BEGIN SOLUTION
    order = np.argsort(-p, axis=-1, kind="stable")[:, :k]
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=-1), axis=-1)
    return kept / kept.sum(axis=-1, keepdims=True)
    ### END SOLUTION

# %% check="sampling-top-k" points=2 minutes=15 level="medium"
def p_and_tiny_entries(p, k):    # beside a 1, an error in a tiny number would not be seen
    kept = top_k(p, k)
    tiny = np.where(p < 1e-12, kept, 0) * 1e12 if np.shape(kept) == p.shape else None
    return kept, tiny

check("sampling-top-k", p_and_tiny_entries)

# %% [markdown]
# ## Task 3: top-p (3 points, hard, about 25 minutes)
#
# Keep, in each row, the smallest set of likeliest tokens whose mass reaches `mass`: a token stays if
# all that are likelier than it have less than `mass` together. So the likeliest always stays. Set
# the others to 0, and scale the rest so that rows sum to 1. `p` is `(B, V)`, no two entries of a row
# are equal. Return a new array: `p` itself stays as it is.

# %% answer="sampling-top-p"
def top_p(p, mass):
    """Return p (B, V) cut to the smallest set of likeliest tokens that reaches `mass`."""
    ### BEGIN SOLUTION
    order = np.argsort(-p, axis=-1)
    ranked = np.take_along_axis(p, order, axis=-1)
    before = np.cumsum(ranked, axis=-1) - ranked    # the mass of the likelier ones
    ranked = np.where(before < mass, ranked, 0)
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order, ranked, axis=-1)
    return kept / kept.sum(axis=-1, keepdims=True)
    ### END SOLUTION

# %% check="sampling-top-p" points=3 minutes=25 level="hard"
def p_and_zeros(p, mass):    # a number that is nearly 0 would not be seen beside the others
    kept = top_p(p, mass)
    return kept, np.equal(kept, 0) if np.shape(kept) == p.shape else None

check("sampling-top-p", p_and_zeros)

# %% [markdown]
# ## Task 4: draw (2 points, medium, about 15 minutes)
#
# `p` is `(B, V)`, each row sums to 1; `u` is `(B,)`, uniform in [0, 1). Return ids, `(B,)`: in
# row b, the first id at which the sum of the probabilities up to and including it is larger than
# `u[b]`. A token of probability 0 is never drawn. (Rounding may leave the sum of a whole row a little
# below 1. The check's `u` are below that sum, too; a sampler's need not be, so it divides by the sum.)

# %% answer="sampling-draw"
def draw(p, u):
    """Return one id for each row of p (B, V), (B,)."""
    ### BEGIN SOLUTION
    sums = np.cumsum(p, axis=-1)
    sums /= sums[:, -1:]    # the last is 1, exactly: larger than any u
    return (sums > u[:, None]).argmax(axis=-1)
    ### END SOLUTION

# %% check="sampling-draw" points=2 minutes=15 level="medium"
check("sampling-draw", draw)

# %% [markdown]
# ## Task 5: the KV cache (4 points, hard, about 30 minutes)
#
# One head of attention that reads a sequence token by token. `append(q, k, v)` gets the query, key
# and value of the next token, each `(D,)`. It keeps key and value in the arrays `self.k` and `self.v`, whose
# room for `block_size` tokens is there from the start, and returns the output for the new token as a
# new array, `(D,)`: $\mathrm{softmax}(q\,k_j / \sqrt D)$ over all tokens so far, the new one too, times their values.
# The first token has only itself to look at. No mask is needed; why? The scores may be large. Write
# nothing into places that are not yet used.

# %%
class KVCache:
    """Keys and values of the tokens so far."""

    def __init__(self, block_size, head_size):
        self.k = np.zeros((block_size, head_size))
        self.v = np.zeros((block_size, head_size))
        self.length = 0    # tokens so far

# %% answer="sampling-kv-cache"
def append(self, q, k, v):
    """Keep k and v, and return the output (D,) for the query q."""
    ### BEGIN SOLUTION
    self.k[self.length], self.v[self.length] = k, v
    self.length += 1
    keys, values = self.k[: self.length], self.v[: self.length]
    return softmax(keys @ q / math.sqrt(len(q))) @ values
    ### END SOLUTION

# %% check="sampling-kv-cache" points=4 minutes=30 level="hard"
add_to_class(KVCache)(append)
check("sampling-kv-cache", KVCache)
