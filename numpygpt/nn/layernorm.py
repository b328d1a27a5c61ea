"""LayerNorm: each vector to mean 0 and variance 1, scaled and shifted. Derived in chapter 09."""

import numpy as np

from numpygpt.nn.module import Module


class LayerNorm(Module):
    """y = x̂ γ + β, x̂ = (x - μ) r, r = 1/√(σ² + eps), over the last axis.

    x, y: (..., dim), γ, β: (dim,).
    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
    """

    def __init__(self, dim, eps=1e-5, bias=True, dtype=np.float32):
        self.eps = float(eps)  # a NumPy float64 would turn float32 arrays into float64
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros(dim, dtype)
        self.beta = np.zeros(dim, dtype) if bias else None
        self.dbeta = np.zeros(dim, dtype) if bias else None

    def forward(self, x):
        n = x.shape[-1]
        xc = x - x.sum(axis=-1, keepdims=True) / n  # x - μ
        var = np.vecdot(xc, xc)[..., None] / n  # σ²
        r = 1 / np.sqrt(var + self.eps)
        xhat = xc * r
        self.xhat, self.r = xhat, r  # for backward
        y = xhat * self.gamma
        if self.beta is not None:
            y += self.beta
        return y

    def backward(self, dy):
        xhat, r = self.xhat, self.r
        rows = tuple(range(dy.ndim - 1))
        # y = x̂ γ + β
        if self.beta is not None:
            self.dbeta += dy.sum(axis=rows)
        self.dgamma += (dy * xhat).sum(axis=rows)
        dx = dxhat = dy * self.gamma
        # x̂ = (x - μ) r: subtract what μ and r undo, the parts of dxhat along 1 and along x̂.
        n = dy.shape[-1]
        along_one = dxhat.sum(axis=-1, keepdims=True) / n
        along_xhat = np.vecdot(dxhat, xhat)[..., None] / n
        dx -= along_one
        dx -= xhat * along_xhat
        dx *= r
        return dx
