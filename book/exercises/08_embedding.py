# %% [markdown]
# # Exercises for chapter 8: Embedding
#
# A table's backward pass, and two models in which a table is read more than once. Write your code
# in place of `raise NotImplementedError()`, all of it in that cell. The check below it runs
# your code on cases that you do not see, and says what is wrong. `hint("embedding-backward")` in a
# cell of your own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

class Embedding(Module):
    """y = W[ids].  ids: (...) integers, W: (num_embeddings, dim), y: (..., dim)."""

    def __init__(self, num_embeddings, dim, *, rng, dtype=np.float32):
        self.W = rng.normal(0, 1, (num_embeddings, dim)).astype(dtype)
        self.dW = np.zeros_like(self.W)

    def forward(self, ids):
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.W)):
            raise ValueError(
                f"ids run from {ids.min()} to {ids.max()}, "
                f"the embedding has rows 0 to {len(self.W) - 1}"
            )
        self.ids = ids
        return self.W[ids]

# %% [markdown]
# ## Task 1: backward (3 points, medium, about 15 minutes)
#
# `dy` has the shape of `y`, `(..., dim)`; `self.ids` has its leading axes, if there are any. Add to
# `self.dW`. An id that stands in several places gets a gradient from each of them. Return nothing:
# ids have no slope.

# %% answer="embedding-backward"
@add_to_class(Embedding)
def backward(self, dy):
    ### BEGIN SOLUTION
    np.add.at(self.dW, self.ids, dy)
    ### END SOLUTION

# %% check="embedding-backward" points=3 minutes=15 level="medium" adopts="nn.embedding:Embedding"
check("embedding-backward", Embedding)

# %% [markdown]
# ## Task 2: a lookup is a matrix product (2 points, easy, about 10 minutes)
#
# Chapter 3's rule for $y = xW$ gives the same gradient. Return the matrix `X` of zeros and ones for
# which `X @ W` is `W[ids]` with `ids` flattened: shape `(N, num_embeddings)`, float64, where N is the
# number of ids; and `dW`, by chapter 3's formula, from `dy` of shape `(..., dim)`.

# %% answer="embedding-one-hot"
def one_hot_backward(ids, dy, num_embeddings):
    """Return X (N, num_embeddings) and dW (num_embeddings, dim)."""
    ### BEGIN SOLUTION
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    return X, X.T @ dy.reshape(len(X), -1)
    ### END SOLUTION

# %% check="embedding-one-hot" points=2 minutes=10 level="easy"
check("embedding-one-hot", one_hot_backward)

# %% [markdown]
# ## Task 3: tokens and positions (3 points, medium, about 20 minutes)
#
# A GPT reads `y = wte.W[ids] + wpe.W[0 … T-1]`: the same T position vectors for each of the B
# sequences. `ids` is `(B, T)`, `y` and `dy` are `(B, T, dim)`. Add to `self.wte.dW` and to
# `self.wpe.dW`, of which rows T and later stay as they are. Return nothing. You may call task 1's
# `backward`, if you have written it: `self.wte.backward`.

# %%
class TokensAndPositions(Module):
    """y = wte[ids] + wpe[0 … T-1].  ids: (B, T), y: (B, T, dim)."""

    def __init__(self, num_embeddings, block_size, dim, *, rng, dtype=np.float32):
        self.wte = Embedding(num_embeddings, dim, rng=rng, dtype=dtype)
        self.wpe = Embedding(block_size, dim, rng=rng, dtype=dtype)

    def forward(self, ids):
        return self.wte(ids) + self.wpe(np.arange(ids.shape[1]))

# %% answer="embedding-positions-backward"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    ### BEGIN SOLUTION
    np.add.at(self.wte.dW, self.wte.ids, dy)
    self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
    ### END SOLUTION

# %% check="embedding-positions-backward" points=3 minutes=20 level="medium"
check("embedding-positions-backward", TokensAndPositions)

# %% [markdown]
# ## Task 4: one table to read and to write (3 points, hard, about 20 minutes)
#
# `TiedModel` reads ids with the rows of `W`, applies tanh, and writes logits with the same rows:
# $h = \tanh(W[ids])$, $logits = h\,W^\top$. The chapter has no such model. Add to `self.dW` both
# the gradient of reading and that of writing. `dlogits` is `(B, T, V)`. The slope of tanh is $1 - h^2$.
# Return nothing.

# %%
class TiedModel(Module):
    """logits = tanh(W[ids]) Wᵀ.  ids: (B, T), W: (V, dim), logits: (B, T, V)."""

    def __init__(self, num_embeddings, dim, *, rng, dtype=np.float32):
        self.W = rng.normal(0, 1, (num_embeddings, dim)).astype(dtype)
        self.dW = np.zeros_like(self.W)

    def forward(self, ids):
        self.ids = ids
        self.h = np.tanh(self.W[ids])    # (B, T, dim)
        return self.h @ self.W.T

# %% answer="embedding-tied-backward"
@add_to_class(TiedModel)
def backward(self, dlogits):
    ### BEGIN SOLUTION
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)    # logits = h Wᵀ
    dh = dlogits @ self.W
    np.add.at(self.dW, self.ids, dh * (1 - self.h**2))    # h = tanh(W[ids])
    ### END SOLUTION

# %% check="embedding-tied-backward" points=3 minutes=20 level="hard"
check("embedding-tied-backward", TiedModel)
