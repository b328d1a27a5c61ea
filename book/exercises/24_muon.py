# %% [markdown]
# # Exercises for chapter 24: Muon
#
# Write your code in place of `raise NotImplementedError()`, run the cell, then run the check below
# it. The check runs your code on cases that you do not see here, and says what is wrong. Stuck?
# `hint("muon-polynomial")` in a cell of your own gives a first hint; call it again for the next.
#
# The names are those of [chapter 24](../notebooks/24_muon.ipynb). Run the next cell first.

# %%
import math
from itertools import combinations

import numpy as np

from coursekit import add_to_class, check, hint

COEFFICIENTS = (3.4445, -4.7750, 2.0315)

# %% [markdown]
# ## Task 1: an odd polynomial (2 points, easy, about 10 minutes)
#
# Return $a X + b\, (X X^\top)\, X + c\, (X X^\top)^2 X$ for a matrix X of shape (n, m): its directions, with
# each size $s$ replaced by $a s + b s^3 + c s^5$. X may be wide or tall, and very much so. For a tall X the
# square $X X^\top$ would be large; $X (X^\top X) = (X X^\top) X$, so make the smaller of the two squares, and
# never the other one. The result has the dtype of X; X stays as it is.

# %% answer="muon-polynomial"
def odd_polynomial(X, a, b, c):
    """Return the polynomial of X, (n, m)."""
    ### BEGIN SOLUTION
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return a * X + (b * A + c * A @ A) @ X
    A = X.T @ X
    return a * X + X @ (b * A + c * A @ A)
    ### END SOLUTION

# %% check="muon-polynomial" points=2 minutes=10 level="easy"
class Noted(np.ndarray):    # the check runs this: a matrix that notes how large its products are
    def __matmul__(self, other):
        product = super().__matmul__(other)
        noted.append(min(product.shape))
        return product

noted = []

def with_its_squares(X, a, b, c):
    noted.clear()
    result = odd_polynomial(X.view(Noted), a, b, c)
    return result, max(noted, default=0) > min(X.shape)

check("muon-polynomial", with_its_squares)

# %% [markdown]
# ## Task 2: orthogonalize (3 points, medium, about 20 minutes)
#
# Divide G, (n, m), by $\lVert G \rVert$, the root of the sum of its squares, or by eps where that is larger.
# Then apply the polynomial of task 1 with `COEFFICIENTS`, `steps` times (it may be 0). Return the
# result, of the shape and dtype of G; G stays as it is. A G of zeros gives zeros.

# %% answer="muon-orthogonalize"
def orthogonalize(G, steps=5, eps=1e-7):
    """Return nearly U Vᵀ for G = U S Vᵀ."""
    ### BEGIN SOLUTION
    a, b, c = COEFFICIENTS
    X = G / max(np.linalg.norm(G), eps)
    if G.shape[0] > G.shape[1]:
        X = X.T
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if G.shape[0] > G.shape[1] else X
    ### END SOLUTION

# %% check="muon-orthogonalize" points=3 minutes=20 level="medium" adopts="optim.muon:orthogonalize"
check("muon-orthogonalize", orthogonalize)

# %% [markdown]
# ## Task 3: what is fused (2 points, easy, about 15 minutes)
#
# A layer may hold several matrices in one array, side by side. `name` is that of a parameter, such as
# `blocks.0.attn.qkv.W`; the part before the last dot is the layer's path, and its last part, here `qkv`, the
# kind of layer. `widths` tells for some kinds how many columns each matrix has: `{"qkv": [6, 2, 2]}`. Return
# a list of the matrices in W, in order, as views: whoever changes one of them changes W. A kind that is
# not in `widths` has one matrix, W itself, whatever else its path holds.

# %% answer="muon-matrices"
def matrices(name, W, widths):
    """Return the list of views; W: (n, m)."""
    ### BEGIN SOLUTION
    kind = name.split(".")[-2]
    if kind not in widths:
        return [W]
    return np.split(W, np.cumsum(widths[kind])[:-1], axis=1)
    ### END SOLUTION

# %% check="muon-matrices" points=2 minutes=15 level="easy"
def number_them(name, W, widths):    # the check runs this: it adds 1 to the first matrix, 2 to the second, …
    W = W.copy(order="K")    # as it lies in memory
    found = matrices(name, W, widths)
    for number, part in enumerate(found, 1):
        part += number
    return isinstance(found, list), [part.shape for part in found], W

check("muon-matrices", number_them)

# %% [markdown]
# ## Task 4: a step of Muon (4 points, hard, about 30 minutes)
#
# Step every matrix of the model, that is, each array with two axes, whatever its name; what has more or
# fewer axes is for another optimizer, and stays. With $\mu$ for `self.momentum` and the gradient g of W, (n,
# m), of shape (inputs, outputs):
#
# $$M \leftarrow \mu M + (1 - \mu)\, g \qquad u = \mu M + (1 - \mu)\, g$$
#
# $$W \leftarrow (1 - \text{lr} \cdot \lambda)\, W - \text{lr} \sqrt{\max(1, m/n)}\; \text{direction}(u)$$
#
# with $\lambda$ for `self.weight_decay`.
#
# Here $u$ is made with the new $M$, `self.m[name]`, which must hold it afterwards, in the dtype of W.
# `self.direction(u)` stands for task 2, but is a function of its own here, so that your answer there plays no
# part; a subclass may have another. A schedule may change `self.lr` between two steps. Weights change in place;
# gradients stay as they are. `step` returns nothing.

# %%
class Muon:
    """Muon for the matrices of a model; everything else is left alone."""

    def __init__(self, model, lr, momentum, weight_decay):
        self.model, self.lr = model, lr
        self.momentum, self.weight_decay = momentum, weight_decay
        self.m = {name: np.zeros_like(p) for name, p in model.params().items() if p.ndim == 2}

    def direction(self, u):
        return u / (1 + np.linalg.norm(u))

    def zero_grad(self):
        self.model.zero_grad()

# %% answer="muon-step"
@add_to_class(Muon)
def step(self):
    ### BEGIN SOLUTION
    mu, grads = self.momentum, self.model.grads()
    for name, W in self.model.params().items():
        if W.ndim != 2:
            continue
        g, m = grads[name], self.m[name]
        m *= mu
        m += (1 - mu) * g
        u = mu * m + (1 - mu) * g
        n_in, n_out = W.shape
        W *= 1 - self.lr * self.weight_decay
        W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)
    ### END SOLUTION

# %% check="muon-step" points=4 minutes=30 level="hard"
class MuonLike(Muon):    # the check steps one that has another direction
    def direction(self, u):
        return u / (2 + np.abs(u).sum())

check("muon-step", MuonLike)

# %% [markdown]
# ## Task 5: is it a record? (3 points, medium, about 20 minutes)
#
# `new` and `old` are lists of losses of two programs, one for each seed; lower is better. The lead of `new` is
# the mean of `old` minus the mean of `new`. Were one program as good as the other, the losses could as well have
# been dealt out in another way. Take all ways to deal them into two groups of the sizes of `new` and `old`, each
# choice of places counted once, also where losses are equal. Return the part of them, a float from 0 to 1, in which
# the first group has a lead at least as large as that of `new`: this is the p-value of a permutation test. The
# way they were dealt is one of them. Rounding must not decide: leads that differ by less than 1e-9 are equal.
#
# `combinations(range(5), 2)` gives all ways to choose 2 of 5 places.

# %% answer="muon-p-value"
def p_value(new, old):
    """Return the p-value of the lead of `new`, a float."""
    ### BEGIN SOLUTION
    losses, n = [*new, *old], len(new)

    def lead(places):
        first = sum(losses[i] for i in places)
        return (sum(losses) - first) / len(old) - first / n

    ways = list(combinations(range(len(losses)), n))
    return sum(lead(places) > lead(range(n)) - 1e-9 for places in ways) / len(ways)
    ### END SOLUTION

# %% check="muon-p-value" points=3 minutes=20 level="medium"
check("muon-p-value", p_value)

# %% [markdown]
# Four seeds against four, all of the new ones better than all of the old ones: what does `p_value` say, and
# could it say less?
#
# <details><summary>Answer</summary>
#
# 1/70, or 0.014. Of the 70 ways only the one that was dealt has such a lead, and it always counts itself. So
# with four seeds each no permutation test can call anything a record at p < 0.01: five and five (1/252) can,
# or a test that assumes more, such as Welch's.
#
# </details>
