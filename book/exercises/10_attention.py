# %% [markdown]
# # Exercises for chapter 10: Attention
#
# The backward pass of attention has more ways to go wrong than any other, and shapes catch few of
# them. Write your code in place of `raise NotImplementedError()`, all of it in that cell. The
# check below it runs your code on cases that you do not see, and says what is wrong.
# `hint("attention-core-backward")` in a cell of your own gives a hint; call it again for the next.

# %%
import math

import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Linear, Module
from numpygpt.nn.functional import softmax, softmax_backward

# %% [markdown]
# ## Task 1: one head (4 points, medium, about 25 minutes)
#
# $s = q\,k^\top / \sqrt D$, $p = \mathrm{softmax}(s)$ along each row, $out = p\,v$. Given the
# upstream gradient `dout` and what the forward pass had, return `dq`, `dk` and `dv`. `q` is
# `(Tq, D)`, `k` and `v` are `(Tk, D)`, `p` is `(Tq, Tk)`, `dout` is `(Tq, D)`; what you return has
# the dtype of `dout`. `softmax_backward(dp, p)` is chapter 5's.

# %% answer="attention-core-backward"
def attention_backward(dout, q, k, v, p):
    """Return dq, dk, dv."""
    ### BEGIN SOLUTION
    scale = 1 / math.sqrt(q.shape[-1])
    dp = dout @ v.T
    dv = p.T @ dout
    dscores = softmax_backward(dp, p) * scale
    return dscores @ k, dscores.T @ q, dv
    ### END SOLUTION

# %% check="attention-core-backward" points=4 minutes=25 level="medium"
check("attention-core-backward", attention_backward)

# %% [markdown]
# ## Task 2: all heads (5 points, hard, about 40 minutes)
#
# The whole layer, as in the chapter: `forward` is there, write `backward`. It has kept `self.q`,
# `self.k`, `self.v`, each `(B, H, T, D)`, `self.p`, `(B, H, T, T)`, and `self.scale`. The layers
# `self.qkv` and `self.proj` have backward passes of their own, which add to their gradients. `dy`
# and the `dx` that you return are `(B, T, C)`; `dx` has the dtype of `dy`.

# %%
class MultiHeadAttention(Module):
    """y = proj(concat over heads of softmax(q kᵀ / √D) v).  x, y: (B, T, C), C = n_heads · D."""

    def __init__(self, dim, n_heads, *, causal=True, bias=True, rng, dtype=np.float32):
        if dim % n_heads:
            raise ValueError(f"dim={dim} is not divisible by n_heads={n_heads}")
        self.n_heads = n_heads
        self.causal = causal
        self.qkv = Linear(dim, 3 * dim, bias, rng=rng, dtype=dtype)
        self.proj = Linear(dim, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        B, T, C = x.shape
        H, D = self.n_heads, C // self.n_heads
        self.scale = 1 / math.sqrt(D)
        qkv = self.qkv(x).reshape(B, T, 3, H, D)
        self.q, self.k, self.v = qkv.transpose(2, 0, 3, 1, 4)      # each (B, H, T, D)
        scores = self.q @ self.k.swapaxes(-1, -2) * self.scale     # (B, H, T, T)
        if self.causal:
            scores[..., np.triu(np.ones((T, T), bool), 1)] = -np.inf
        self.p = softmax(scores)
        out = self.p @ self.v                                      # (B, H, T, D)
        return self.proj(out.swapaxes(1, 2).reshape(B, T, C))

# %% answer="attention-backward"
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    ### BEGIN SOLUTION
    B, T, C = dy.shape
    H, D = self.n_heads, C // self.n_heads
    dout = self.proj.backward(dy).reshape(B, T, H, D).swapaxes(1, 2)    # (B, H, T, D)
    dp = dout @ self.v.swapaxes(-1, -2)
    dscores = softmax_backward(dp, self.p) * self.scale
    dq = dscores @ self.k
    dk = dscores.swapaxes(-1, -2) @ self.q
    dv = self.p.swapaxes(-1, -2) @ dout
    dqkv = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4)    # (B, T, 3, H, D)
    return self.qkv.backward(dqkv.reshape(B, T, 3 * C))
    ### END SOLUTION

# %% check="attention-backward" points=5 minutes=40 level="hard" adopts="nn.attention:MultiHeadAttention"
check("attention-backward", MultiHeadAttention)

# %% [markdown]
# ## Task 3: find the bug (2 points, medium, about 15 minutes)
#
# Many people have copied a certain GPT in NumPy. It trains, its loss falls, and its tests pass: they
# look at shapes, as the cell below does. Exactly one line of its backward pass is wrong.

# %%
def buggy_backward(dout, q, k, v, p):
    """dq, dk, dv of all heads at once.  q, k, v, dout: (B, H, T, D), p: (B, H, T, T)."""
    scale = 1 / math.sqrt(q.shape[-1])
    dp = dout @ v.swapaxes(-1, -2)
    dscores = softmax_backward(dp, p) * scale
    dq = dscores @ k
    dk = (q.swapaxes(-1, -2) @ dscores).reshape(k.shape)
    dv = p.swapaxes(-1, -2) @ dout
    return dq, dk, dv

rng = np.random.default_rng(0)
q, k, v, dout = rng.normal(size=(4, 2, 3, 5, 7))
p = softmax(q @ k.swapaxes(-1, -2) / math.sqrt(7))
for name, gradient in zip(["dq", "dk", "dv"], buggy_backward(dout, q, k, v, p)):
    assert gradient.shape == (2, 3, 5, 7)
    print(f"{name}: the shape is right")

# %% [markdown]
# Write the function again, with that line corrected.

# %% answer="attention-find-the-bug"
def mended_backward(dout, q, k, v, p):
    """dq, dk, dv of all heads at once.  q, k, v, dout: (B, H, T, D), p: (B, H, T, T)."""
    ### BEGIN SOLUTION
    scale = 1 / math.sqrt(q.shape[-1])
    dp = dout @ v.swapaxes(-1, -2)
    dscores = softmax_backward(dp, p) * scale
    dq = dscores @ k
    dk = dscores.swapaxes(-1, -2) @ q
    dv = p.swapaxes(-1, -2) @ dout
    return dq, dk, dv
    ### END SOLUTION

# %% check="attention-find-the-bug" points=2 minutes=15 level="medium"
check("attention-find-the-bug", mended_backward)

# %% [markdown]
# ## Task 4: rotary positions (4 points, hard, about 30 minutes)
#
# Llama adds no position vectors. It turns each pair of entries of q and of k by an angle that grows
# with the position (Su et al., RoFormer, 2021). For `x` of shape `(..., T, D)`, D even, pair $i$ is
# `x[..., 2 * i]` and `x[..., 2 * i + 1]`; at position $t$ (from 0) it is turned by the angle
# $\theta = t \cdot 10000^{-2i/D}$:
#
# $$y_{2i} = x_{2i} \cos\theta - x_{2i+1} \sin\theta, \qquad y_{2i+1} = x_{2i} \sin\theta + x_{2i+1} \cos\theta .$$
#
# Write `forward(x)` and `backward(dy)`; there are no parameters, all arrays are `(..., T, D)`, and
# `y` and `dx` have the dtype of `x`. What both have in common may go into `turned(x, sign)`; if you
# do without it, leave it as it is.

# %% answer="rotary"
class Rotary(Module):
    """Turn each pair of entries by an angle that grows with the position.  x, y: (..., T, D)."""

    def turned(self, x, sign):
        ### BEGIN SOLUTION
        T, D = x.shape[-2:]
        theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))    # (T, D/2)
        cos, sin = np.cos(theta), sign * np.sin(theta)
        even, odd = x[..., 0::2], x[..., 1::2]
        y = np.empty_like(x)
        y[..., 0::2] = even * cos - odd * sin
        y[..., 1::2] = even * sin + odd * cos
        return y
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return self.turned(x, 1)
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        return self.turned(dy, -1)    # the transpose of a rotation turns back
        ### END SOLUTION

# %% check="rotary" points=4 minutes=30 level="hard"
check("rotary", Rotary)
