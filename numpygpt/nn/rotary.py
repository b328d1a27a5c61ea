"""Rotary: positions as rotations (RoPE). Derived in chapter 22."""

import numpy as np

from numpygpt.nn.module import Module


class Rotary(Module):
    """y = R(t) x: pair i of the entries at position t is turned by t ω_i, ω_i = base^(-2i/D).

    x, y: (..., T, D), D = head_dim. No parameters. For queries and keys; values stay as they are.
    Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.

    Args:
        base: the slowest pair needs 2π base^(1 - 2/D) positions for a whole turn.
        layout: which entries are pair i. "interleaved": 2i and 2i + 1, as in the paper and in
            Meta's own files of Llama. "halves": i and i + D/2, as in files of Hugging Face.

    Raises:
        ValueError: head_dim is odd or below 2, layout is another word, or x has another D.
    """

    def __init__(self, head_dim, base=10_000.0, layout="interleaved"):
        if head_dim < 2 or head_dim % 2:
            raise ValueError(f"head_dim={head_dim} must be even: entries are turned in pairs")
        if layout not in ("interleaved", "halves"):
            raise ValueError(f"layout={layout!r} is neither 'interleaved' nor 'halves'")
        self.layout = layout
        self.freqs = float(base) ** (-np.arange(0, head_dim, 2) / head_dim)  # ω: (D/2,)

    def turned(self, x, turn):
        """Return x with each pair, as a complex number, times `turn` (T, D/2)."""
        half = len(self.freqs)
        if x.shape[-1] != 2 * half:
            raise ValueError(f"x has {x.shape[-1]} entries a head, this Rotary turns {2 * half}")
        pairs, real = x, turn.real.dtype
        if self.layout == "halves":
            pairs = x.reshape(*x.shape[:-1], 2, half).swapaxes(-1, -2)  # (..., T, D/2, 2)
        pairs = np.ascontiguousarray(pairs, real).reshape(x.shape)
        y = (pairs.view(turn.dtype) * turn).view(real)
        if self.layout == "halves":
            y = y.reshape(*x.shape[:-1], half, 2).swapaxes(-1, -2).reshape(x.shape)
        return y

    def forward(self, x, start=0):
        """Turn x, whose first position is `start`: with a KV cache, the number of tokens in it."""
        # Angles in float64: float32 has few digits left for the fraction of a turn, far out.
        angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)  # (T, D/2)
        dtype = np.result_type(x.dtype, np.complex64)
        self.turn = np.exp(1j * angles).astype(dtype)  # for backward
        return self.turned(x, self.turn)

    def backward(self, dy):
        # y = R x, so dx = Rᵀ dy, and the transpose of a rotation turns back.
        return self.turned(dy, self.turn.conj())
