# %% [markdown]
# # Exercises for chapter 22: Positions as rotations
#
# Turns, layouts, and a norm without a mean. Write your code in place of `raise NotImplementedError()`, all
# of it in that cell. The check below it runs your code on cases that you do not see, and says what is wrong.
# `hint("rotary-slower")` in a cell of your own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

class Rotary(Module):
    """Turns pair i of the entries at position t by the angle t ω_i.  x, y: (..., T, D)."""

    def __init__(self, head_dim, base=10_000.0):
        self.freqs = base ** (-np.arange(0, head_dim, 2) / head_dim)    # ω: (D/2,)

# %% [markdown]
# ## Task 1: slower hands (2 points, easy, about 15 minutes)
#
# Llama 3.1 was trained on windows of 8,192 tokens, and then made to read 131,072. Its `config.json` says
# how, under `rope_scaling`: fast pairs stay as they are, slow ones turn `factor` times as slowly, and
# there is a way from one to the other. A pair with the frequency $\omega$ makes
# $n = \text{length} \cdot \omega / 2\pi$ turns within the window of the training. If $n$ is `high` or
# more, $\omega$ stays. If it is `low` or less, the new frequency is $\omega/\text{factor}$. In between it is
#
# $$s\,\omega + (1 - s)\,\frac{\omega}{\text{factor}}, \qquad s = \frac{n - \text{low}}{\text{high} -
# \text{low}} .$$
#
# `freqs` is `(D/2,)`; the rest are positive numbers, `factor` is 1 or more. Return the new frequencies, and
# leave `freqs` as it is.

# %% answer="rotary-slower"
def slower(freqs, factor, low, high, length):
    """Return the frequencies (D/2,), the slow ones `factor` times as slow."""
    ### BEGIN SOLUTION
    n = length * freqs / (2 * np.pi)
    s = np.clip((n - low) / (high - low), 0, 1)
    return s * freqs + (1 - s) * freqs / factor
    ### END SOLUTION

# %% check="rotary-slower" points=2 minutes=15 level="easy"
check("rotary-slower", slower)

# %% [markdown]
# ## Task 2: halves, and a place to start (4 points, hard, about 30 minutes)
#
# In the fourth exercise of chapter 10 you turned neighbors. Here pair $i$ is entry $i$ and entry
# $i + D/2$ of each head, and `x`, `(..., T, D)`, need not begin at position 0: its first row along the
# axis of T stands at `start`, the next at `start + 1`, and so on. With $\theta$ the position times
# `self.freqs[i]`:
#
# $$y_i = x_i \cos\theta - x_{i + D/2} \sin\theta, \qquad y_{i + D/2} = x_i \sin\theta + x_{i + D/2}
# \cos\theta .$$
#
# `self.freqs` may change from call to call. Take $\theta$ in float64: far out, float32 has few digits left.
# Write both passes. `backward(dy)` belongs to the last `forward`, and returns `dx`. Both results have the
# dtype of what they are made from, float32 or float64, although `self.freqs` is float64.

# %% answer="rotary-halves"
@add_to_class(Rotary)
def forward(self, x, start=0):
    ### BEGIN SOLUTION
    angles = np.outer(start + np.arange(x.shape[-2]), self.freqs)    # (T, D/2)
    self.cos, self.sin = np.cos(angles), np.sin(angles)
    a, b = np.split(x, 2, axis=-1)
    y = np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1)
    return y.astype(x.dtype)
    ### END SOLUTION

@add_to_class(Rotary)
def backward(self, dy):
    ### BEGIN SOLUTION
    da, db = np.split(dy, 2, axis=-1)
    dx = np.concatenate([da * self.cos + db * self.sin, db * self.cos - da * self.sin], axis=-1)
    return dx.astype(dy.dtype)
    ### END SOLUTION

# %% check="rotary-halves" points=4 minutes=30 level="hard"
check("rotary-halves", Rotary)

# %% [markdown]
# ## Task 3: from one layout to the other (2 points, medium, about 15 minutes)
#
# A file was written for halves: in each head, entry $i$ and entry $i + D/2$ are a pair. You want to read
# it into a model with interleaved pairs, entries 0 and 1, 2 and 3, and so on. `W` makes the queries of
# `n_heads` heads: it is a matrix `(C, H D)` or a bias `(H D,)`, and along its last axis the heads stand one
# after another. Return an array of the same shape and dtype, in which the two entries of each pair are
# neighbors, the first one first, and leave `W` as it is. The heads keep their places, the pairs their order.

# %% answer="rotary-to-interleaved"
def to_interleaved(W, n_heads):
    """Return W with the last axis of each head reordered from halves to interleaved pairs."""
    ### BEGIN SOLUTION
    order = np.arange(W.shape[-1]).reshape(n_heads, 2, -1).swapaxes(1, 2).ravel()
    return W[..., order]
    ### END SOLUTION

# %% check="rotary-to-interleaved" points=2 minutes=15 level="medium"
check("rotary-to-interleaved", to_interleaved)

# %% [markdown]
# ## Task 4: a gain around 1 (3 points, medium, about 25 minutes)
#
# Gemma writes the gain of its RMSNorm as $1 + \gamma$, and $\gamma$ begins at 0:
#
# $$y = \hat x\,(1 + \gamma), \qquad \hat x = x\,r, \qquad r = 1/\sqrt{\tfrac1{dim}\textstyle\sum_i x_i^2 +
# eps} .$$
#
# Weight decay, where it is used on $\gamma$, then pulls the gain toward 1 instead of 0. Write the whole
# layer, over the last axis: `self.gamma` and `self.dgamma` are `(dim,)` and of the dtype that is asked for;
# where x and dy are of it, so are y and dx. x has any number of leading axes, or none. `backward` adds to `self.dgamma` and returns `dx`.

# %% answer="rmsnorm-around-one"
class RMSNorm(Module):
    """y = x̂ (1 + γ), x̂ = x r, r = 1/√(mean(x²) + eps).  x, y: (..., dim), γ: (dim,)."""

    def __init__(self, dim, eps=1e-6, dtype=np.float32):
        ### BEGIN SOLUTION
        self.gamma = np.zeros(dim, dtype)
        self.dgamma = np.zeros(dim, dtype)
        self.eps = eps
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        self.r = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        self.xhat = x * self.r
        return self.xhat * (1 + self.gamma)
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        self.dgamma += (dy * self.xhat).sum(axis=tuple(range(dy.ndim - 1)))
        dxhat = dy * (1 + self.gamma)
        along_xhat = (dxhat * self.xhat).mean(axis=-1, keepdims=True)
        return self.r * (dxhat - self.xhat * along_xhat)
        ### END SOLUTION

# %% check="rmsnorm-around-one" points=3 minutes=25 level="medium"
check("rmsnorm-around-one", RMSNorm)
