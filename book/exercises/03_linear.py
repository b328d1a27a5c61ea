# %% [markdown]
# # Exercises for chapter 3: Linear
#
# Write your code in place of `raise NotImplementedError()`, run the cell, and then the check below
# it. The check runs your code on cases that you do not see here, and says what is wrong. Stuck?
# `hint("linear-backward")` in a cell of your own gives a first hint; call it again for the next.
#
# `Linear` is the class of [chapter 3](../notebooks/03_linear.ipynb), with its parameters and
# nothing else. Run the next cell first.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

class Linear(Module):
    """y = x W + b.  x: (..., n_in), W: (n_in, n_out), b: (n_out,), y: (..., n_out)."""

    def __init__(self, n_in, n_out, bias=True, *, rng, dtype=np.float32):
        bound = n_in**-0.5
        self.W = rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype)
        self.dW = np.zeros_like(self.W)
        self.b = np.zeros(n_out, dtype) if bias else None
        self.db = np.zeros(n_out, dtype) if bias else None

# %% [markdown]
# ## Task 1: forward (2 points, easy, about 10 minutes)
#
# Return `y`, and keep in `self` what the backward pass will need (task 2 will show whether you
# did). `x` may have any number of axes, of which the last is `n_in`: `(n_in,)`, `(N, n_in)`,
# `(B, T, n_in)`. `self.b` is `None` for a layer without bias.

# %% answer="linear-forward"
@add_to_class(Linear)
def forward(self, x):
    ### BEGIN SOLUTION
    self.x = x
    y = x @ self.W
    if self.b is not None:
        y = y + self.b
    return y
    ### END SOLUTION

# %% check="linear-forward" points=2 minutes=10 level="easy"
check("linear-forward", Linear)

# %% [markdown]
# ## Task 2: backward (3 points, medium, about 20 minutes)
#
# `dy` has the shape of `y`. Add to `self.dW` and, if there is a bias, to `self.db`, in place;
# return `dx`, of the shape of `x`. It needs your `forward`, so do task 1 first.

# %% answer="linear-backward"
@add_to_class(Linear)
def backward(self, dy):
    ### BEGIN SOLUTION
    x = self.x.reshape(-1, self.x.shape[-1])    # (N, n_in)
    rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
    if self.b is not None:
        self.db += rows.sum(axis=0)
    self.dW += x.T @ rows
    return (rows @ self.W.T).reshape(self.x.shape)
    ### END SOLUTION

# %% check="linear-backward" points=3 minutes=20 level="medium" adopts="nn.linear:Linear"
check("linear-backward", Linear)

# %% [markdown]
# ## Task 3: the same weights, met twice (2 points, medium, about 10 minutes)
#
# This layer sends its result through the same `W` and `b` once more. Write its backward pass: add
# to `self.dW` and `self.db` in place, and return `dx`. Reused means added: `W` and `b` each get a
# gradient from both places. All the shapes here are alike, `(N, n)` and `(n, n)`, so they will not
# help you.

# %%
class Twice(Module):
    """h = x W + b, y = h W + b.  x, h, y: (N, n), W: (n, n), b: (n,)."""

    def __init__(self, n, *, rng, dtype=np.float32):
        self.W = rng.normal(0, 0.5, (n, n)).astype(dtype)
        self.b = rng.normal(0, 0.5, n).astype(dtype)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        self.h = x @ self.W + self.b
        return self.h @ self.W + self.b

# %% answer="linear-shared"
@add_to_class(Twice)
def backward(self, dy):
    ### BEGIN SOLUTION
    self.dW += self.h.T @ dy    # y = h W + b
    self.db += dy.sum(axis=0)
    dh = dy @ self.W.T
    self.dW += self.x.T @ dh    # h = x W + b
    self.db += dh.sum(axis=0)
    return dh @ self.W.T
    ### END SOLUTION

# %% check="linear-shared" points=2 minutes=10 level="medium"
check("linear-shared", Twice)
