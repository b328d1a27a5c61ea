"""MultiHeadAttention: every position reads from those before it. Derived in chapter 10."""

import math

import numpy as np

from numpygpt.nn.functional import softmax, softmax_backward
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


class MultiHeadAttention(Module):
    """y = proj(concat over heads of softmax(q kᵀ / √D) v).  x, y: (B, T, C), C = n_heads · D.

    Source: Vaswani et al., Attention Is All You Need, 2017.
    """

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
        # A Python float: np.sqrt would give a float64 and turn float32 scores into float64.
        scale = 1 / math.sqrt(D)
        qkv = self.qkv(x).reshape(B, T, 3, H, D)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each (B, H, T, D)
        scores = q @ k.swapaxes(-1, -2)  # (B, H, T, T)
        scores *= scale
        if self.causal:
            scores += np.triu(np.full((T, T), -np.inf, scores.dtype), 1)
        p = softmax(scores)
        out = np.empty((B, T, H, D), p.dtype)
        np.matmul(p, v, out=out.swapaxes(1, 2))  # p v, written where the joined heads lie
        self.q, self.k, self.v, self.p, self.scale = q, k, v, p, scale  # for backward
        return self.proj(out.reshape(B, T, C))

    def backward(self, dy):
        B, T, C = dy.shape
        H, D = self.n_heads, C // self.n_heads
        # y = proj(out), the heads of out joined
        dout = self.proj.backward(dy).reshape(B, T, H, D).swapaxes(1, 2)  # (B, H, T, D)
        dqkv = np.empty((B, T, 3, H, D), dy.dtype)
        dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)  # views: each (B, H, T, D)
        # out = p v
        dp = dout @ self.v.swapaxes(-1, -2)  # (B, H, T, T)
        np.matmul(self.p.swapaxes(-1, -2), dout, out=dv)
        # p = softmax(scores + mask). The mask needs no line: where p = 0, dscores = p (...) = 0.
        dscores = softmax_backward(dp, self.p)
        # scores = q kᵀ / √D
        dscores *= self.scale
        np.matmul(dscores, self.k, out=dq)
        np.matmul(dscores.swapaxes(-1, -2), self.q, out=dk)
        # q, k, v = qkv(x), cut in three
        return self.qkv.backward(dqkv.reshape(B, T, 3 * C))
