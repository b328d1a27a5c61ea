"""Linear: y = x W + b. Derived in chapter 03."""

import math

import numpy as np

from numpygpt.nn.module import Module


class Linear(Module):
    """y = x W + b.  x: (..., n_in), W: (n_in, n_out), b: (n_out,), y: (..., n_out)."""

    def __init__(self, n_in, n_out, bias=True, *, rng, dtype=np.float32):
        # Variance 1/(3 n_in), as in PyTorch: the size of y does not depend on n_in.
        bound = 1 / math.sqrt(n_in)
        self.W = rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype)
        self.dW = np.zeros_like(self.W)
        self.b = np.zeros(n_out, dtype) if bias else None
        self.db = np.zeros(n_out, dtype) if bias else None

    def forward(self, x):
        self.x = x
        # One large matrix product is faster than a stack of small ones.
        y = x.reshape(-1, x.shape[-1]) @ self.W  # (N, n_out)
        if self.b is not None:
            y += self.b
        return y.reshape(*x.shape[:-1], self.W.shape[1])

    def backward(self, dy):
        x = self.x.reshape(-1, self.x.shape[-1])  # (N, n_in)
        rows = dy.reshape(-1, dy.shape[-1])  # (N, n_out)
        # y = x W + b
        if self.b is not None:
            self.db += rows.sum(axis=0)
        self.dW += x.T @ rows
        return (rows @ self.W.T).reshape(self.x.shape)
