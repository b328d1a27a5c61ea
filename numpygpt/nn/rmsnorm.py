"""RMSNorm: each vector to a mean square of 1, scaled. Derived in chapter 22."""

import numpy as np

from numpygpt.nn.module import Module


class RMSNorm(Module):
    """y = x̂ γ, x̂ = x r, r = 1/√(mean(x²) + eps), over the last axis.

    x, y: (..., dim), γ: (dim,).
    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.eps = float(eps)  # a NumPy float64 would turn float32 arrays into float64
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros(dim, dtype)

    def forward(self, x):
        r = 1 / np.sqrt(np.vecdot(x, x)[..., None] / x.shape[-1] + self.eps)  # (..., 1)
        xhat = x * r
        self.xhat, self.r = xhat, r  # for backward
        return xhat * self.gamma

    def backward(self, dy):
        xhat, r = self.xhat, self.r
        # y = x̂ γ
        self.dgamma += (dy * xhat).sum(axis=tuple(range(dy.ndim - 1)))
        dx = dxhat = dy * self.gamma
        # x̂ = x r: subtract what r undoes, the part of dxhat along x̂.
        dx -= xhat * (np.vecdot(dxhat, xhat)[..., None] / dy.shape[-1])
        dx *= r
        return dx
