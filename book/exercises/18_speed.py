# %% [markdown]
# # Exercises for chapter 18: Speed
#
# The same numbers, with less. Write your code in place of `raise NotImplementedError()`, and all of it
# into that cell. The check below it runs your code on cases that you do not see, and says what is
# wrong. A clock would judge one answer differently from day to day, so the check counts instead: the
# lines of your code that run, each time that they run, and the memory in use at a time.
# `hint("speed-add-rows")` in a cell of your own gives a hint; call it again for the next.

# %%
import math

import numpy as np

from coursekit import check, hint, names_used
from numpygpt.nn.functional import cross_entropy, cross_entropy_backward, softmax

# %% [markdown]
# ## Task 1: add rows by id, without a loop (3 points, medium, about 25 minutes)
#
# The backward pass of an embedding, without `np.add.at` and without a loop: sort the ids, and add each
# run of equal ones with `np.add.reduceat`. `ids` is `(N,)`, each from 0 to n - 1, `dy` is `(N, C)`.
# Return dW, `(n, C)`: in row i the sum of the rows of `dy` whose id is i, and 0 where there is none.
# Large rows of one id may not change the sum of another.
# The check lets 60 lines run, and looks for `np.add.at` and for `map`, which is a loop, too; any other
# way without a loop is right.

# %% answer="speed-add-rows"
def add_rows(ids, dy, n):
    """Return the sums of the rows of dy (N, C) with equal ids: (n, C)."""
    ### BEGIN SOLUTION
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    starts = np.flatnonzero(np.diff(in_order, prepend=-1))    # where an id differs from the last
    dW = np.zeros((n, dy.shape[1]), dy.dtype)
    dW[in_order[starts]] = np.add.reduceat(dy[order], starts)
    return dW
    ### END SOLUTION

# %% check="speed-add-rows" points=3 minutes=25 level="medium"
def rows_and_names(ids, dy, n):    # the check also looks at the names that your functions use
    dW, names = add_rows(ids, dy, n), names_used(add_rows)
    return dW, "at" not in names, "map" not in names

check("speed-add-rows", rows_and_names)

# %% [markdown]
# ## Task 2: GELU in place (3 points, medium, about 20 minutes)
#
# $y = \frac{x}{2}\,(1 + \tanh u)$ with $u = a\,(x + c\,x^3)$. Return y for `x` of shape `(N, C)`. At no
# time may your code have more than two arrays of the size of `x` in use besides `x` itself, the result
# included; and `x` must stay as it is. In float32, too: y has the dtype of `x`.

# %%
a = math.sqrt(2 / math.pi)
c = 0.044715

# %% answer="speed-gelu"
def gelu(x):
    """Return GELU of x, with at most two new arrays at a time."""
    ### BEGIN SOLUTION
    u = x * x
    u *= a * c
    u += a
    u *= x    # a (x + c x³)
    np.tanh(u, out=u)
    u += 1
    u *= x
    u *= 0.5
    return u
    ### END SOLUTION

# %% check="speed-gelu" points=3 minutes=20 level="medium"
def gelu_again(x):    # the check also looks that nothing of an earlier call is still in use in a later one
    gelu(x)
    y = gelu(x)
    gelu(x[:1])
    return y

check("speed-gelu", gelu_again)

# %% [markdown]
# ## Task 3: attention in blocks (4 points, hard, about 35 minutes)
#
# Causal attention of one head: $out_i = \sum_{j \le i} p_{ij} v_j$, where row i of $p$ is the softmax of
# $q_i \cdot k_j / \sqrt D$ over $j \le i$. `q`, `k` and `v` are `(T, D)`, and so is the result, of their
# dtype. All scores at once would be `(T, T)`, half of them for nothing. Take `size` queries at a time (the last block may be
# smaller), and of the keys only those up to the last query of the block, at once or in blocks of their
# own: what comes later, even nan, may not count. Only scores and masks of a few blocks may be in use
# at a time, and no loop may run over single queries.

# %% answer="speed-blocks"
def attention_in_blocks(q, k, v, size):
    """Return the output of causal attention, (T, D)."""
    ### BEGIN SOLUTION
    T, D = q.shape
    out = np.empty_like(q)
    for start in range(0, T, size):
        end = min(start + size, T)
        scores = q[start:end] @ k[:end].T
        scores *= 1 / math.sqrt(D)
        scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
        out[start:end] = softmax(scores) @ v[:end]
    return out
    ### END SOLUTION

# %% check="speed-blocks" points=4 minutes=35 level="hard"
check("speed-blocks", attention_in_blocks)

# %% [markdown]
# ## Task 4: a batch in shares (3 points, medium, about 20 minutes)
#
# `loss_and_gradient` below takes all rows of a batch at once: logits are `x @ W`, the loss is their mean
# cross-entropy. Get the same loss and the same gradient from pieces. Piece i holds the rows from
# `edges[i]` up to, but without, `edges[i + 1]`; the first edge is 0, the last is N, and the pieces may
# differ in size. Call `loss_and_gradient` on one piece at a time: the check does not leave memory for
# the logits of all.

# %%
def loss_and_gradient(W, x, y):
    """Return the mean loss over the rows of x (N, C), targets y (N,), and dW like W (C, V)."""
    logits = x @ W
    return cross_entropy(logits, y), x.T @ cross_entropy_backward(logits, y)

# %% answer="speed-shares"
def in_shares(W, x, y, edges):
    """Return loss and dW of the whole batch, from its pieces."""
    ### BEGIN SOLUTION
    loss, dW = 0.0, np.zeros_like(W)
    for start, stop in zip(edges[:-1], edges[1:]):
        share = (stop - start) / len(x)
        piece_loss, piece_dW = loss_and_gradient(W, x[start:stop], y[start:stop])
        loss += share * piece_loss
        dW += share * piece_dW
    return loss, dW
    ### END SOLUTION

# %% check="speed-shares" points=3 minutes=20 level="medium"
check("speed-shares", in_shares)
