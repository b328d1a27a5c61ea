# %% [markdown]
# # Exercises for chapter 9: LayerNorm
#
# Means and variances depend on every entry of a row, so every entry of `dx` gathers from the whole
# row. Write your code in place of `raise NotImplementedError()`, all of it in that cell. The check
# below it runs your code on cases that you do not see, and says what is wrong.
# `hint("layernorm-backward")` in a cell of your own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

class LayerNorm(Module):
    """y = x̂ γ + β, x̂ = (x - μ) r, r = 1/√(σ² + eps), over the last axis.

    x, y: (..., dim), γ, β: (dim,).
    """

    def __init__(self, dim, eps=1e-5, bias=True, dtype=np.float32):
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros_like(self.gamma)
        self.beta = np.zeros(dim, dtype) if bias else None
        self.dbeta = np.zeros(dim, dtype) if bias else None
        self.eps = eps

    def forward(self, x):
        xc = x - x.mean(axis=-1, keepdims=True)
        var = (xc * xc).mean(axis=-1, keepdims=True)
        self.r = 1 / np.sqrt(var + self.eps)    # (..., 1)
        self.xhat = xc * self.r                 # (..., dim)
        y = self.xhat * self.gamma
        return y if self.beta is None else y + self.beta

# %% [markdown]
# ## Task 1: the gradient of a variance (2 points, medium, about 15 minutes)
#
# The one new step of the chapter, by itself. `x` is `(..., dim)`, and
# $var = \frac1{dim} \sum_i (x_i - \mu)^2$ along the last axis, kept as an axis of length 1:
# `(..., 1)`. Given `x` and `dvar`, `(..., 1)`, return `dx`. Remember that $\mu$ depends on x; what
# does that change?

# %% answer="variance-backward"
def variance_backward(dvar, x):
    """Return dx (..., dim), given x and the gradient dvar (..., 1) of its variance."""
    ### BEGIN SOLUTION
    xc = x - x.mean(axis=-1, keepdims=True)
    return dvar * 2 * xc / x.shape[-1]
    ### END SOLUTION

# %% check="variance-backward" points=2 minutes=15 level="medium"
check("variance-backward", variance_backward)

# %% [markdown]
# ## Task 2: LayerNorm backward (4 points, hard, about 30 minutes)
#
# `forward` has kept `self.xhat`, `(..., dim)`, and `self.r`, `(..., 1)`. Add to `self.dgamma` and, if
# there is a bias, to `self.dbeta`, both `(dim,)`; without one, it stays None. Return `dx`, of the
# dtype and the shape of `x`, which may have any number of leading axes, or none. The long way and
# the closed form are equally right.

# %% answer="layernorm-backward"
@add_to_class(LayerNorm)
def backward(self, dy):
    ### BEGIN SOLUTION
    xhat, r = self.xhat, self.r
    rows = tuple(range(dy.ndim - 1))
    if self.beta is not None:
        self.dbeta += dy.sum(axis=rows)
    self.dgamma += (dy * xhat).sum(axis=rows)
    dxhat = dy * self.gamma
    along_one = dxhat.mean(axis=-1, keepdims=True)
    along_xhat = (dxhat * xhat).mean(axis=-1, keepdims=True)
    return r * (dxhat - along_one - xhat * along_xhat)
    ### END SOLUTION

# %% check="layernorm-backward" points=4 minutes=30 level="hard" adopts="nn.layernorm:LayerNorm"
check("layernorm-backward", LayerNorm)

# %% [markdown]
# ## Task 3: RMSNorm, forward and backward (4 points, hard, about 30 minutes)
#
# Llama leaves out the mean and the shift (Zhang and Sennrich, 2019): over the last axis,
#
# $$y = x\,r\,\gamma, \qquad r = 1/\sqrt{\tfrac1{dim}\textstyle\sum_i x_i^2 + eps} .$$
#
# Write both passes. `self.gamma` is `(dim,)`; add to `self.dgamma`, return `dx`. `y` and `dx` have
# the dtype of `x`. Before you derive: which of the two means of LayerNorm's closed form will remain?

# %% answer="rmsnorm"
class RMSNorm(Module):
    """y = x r γ, r = 1/√(mean(x²) + eps), over the last axis.  x, y: (..., dim), γ: (dim,)."""

    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros_like(self.gamma)
        self.eps = eps

    def forward(self, x):
        ### BEGIN SOLUTION
        self.r = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        self.xhat = x * self.r
        return self.xhat * self.gamma
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        self.dgamma += (dy * self.xhat).sum(axis=tuple(range(dy.ndim - 1)))
        dxhat = dy * self.gamma
        along_xhat = (dxhat * self.xhat).mean(axis=-1, keepdims=True)
        return self.r * (dxhat - self.xhat * along_xhat)
        ### END SOLUTION

# %% check="rmsnorm" points=4 minutes=30 level="hard"
check("rmsnorm", RMSNorm)
