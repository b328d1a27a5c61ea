"""Rotary: positions as rotations (RoPE). Derived in chapter 22."""

import numpy as np

from numpygpt.nn.module import Module


class Rotary(Module):
    """y = R(t) x: pair i of the entries at position t is turned by t ω_i, ω_i = base^(-2i/D).

    x, y: (..., T, D), D = head_dim. No parameters. For queries and keys; values stay as they are.
    Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.

    Args:
        base: the slowest pair needs 2π base^(1 - 2/D) positions for a whole turn.
        layout: which entries are pair i. "halves": i and i + D/2, as in files of Hugging Face.
            "interleaved": 2i and 2i + 1, as in the paper and in Meta's own files of Llama.

    Raises:
        ValueError: head_dim is odd or below 2, layout is another word, or x has another D.
    """

    def __init__(self, head_dim, base=10_000.0, layout="halves"):
        if head_dim < 2 or head_dim % 2:
            raise ValueError(f"head_dim={head_dim} must be even: entries are turned in pairs")
        if layout not in ("halves", "interleaved"):
            raise ValueError(f"layout={layout!r} is neither 'halves' nor 'interleaved'")
        self.layout = layout
        self.freqs = float(base) ** (-np.arange(0, head_dim, 2) / head_dim)  # ω: (D/2,)

    def pairs(self, x):
        """Return two views of x, (..., T, D/2): the first and the second entry of each pair."""
        half = len(self.freqs)
        if x.shape[-1] != 2 * half:
            raise ValueError(f"x has {x.shape[-1]} entries a head, this Rotary turns {2 * half}")
        if self.layout == "halves":
            return x[..., :half], x[..., half:]
        return x[..., ::2], x[..., 1::2]

    def turned(self, x, cos, sin):
        y = np.empty_like(x)
        (a, b), (ya, yb) = self.pairs(x), self.pairs(y)
        np.multiply(a, cos, out=ya)
        ya -= b * sin
        np.multiply(a, sin, out=yb)
        yb += b * cos
        return y

    def forward(self, x, start=0):
        """Turn x, whose first position is `start`: with a KV cache, the number of tokens in it."""
        # Angles in float64: float32 has few digits left for the fraction of a turn, far out.
        angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)  # (T, D/2)
        self.cos, self.sin = (f(angles).astype(x.dtype) for f in (np.cos, np.sin))  # for backward
        return self.turned(x, self.cos, self.sin)

    def backward(self, dy):
        # y = R x, so dx = Rᵀ dy, and the transpose of a rotation turns back.
        return self.turned(dy, self.cos, -self.sin)
