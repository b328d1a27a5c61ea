"""SwiGLU and SquaredReLU: the feed-forward layers of today. Derived in chapter 23."""

import numpy as np

from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


class SwiGLU(Module):
    """y = down(silu(gate(x)) · up(x)), silu(a) = a σ(a), σ(a) = 1/(1 + e⁻ᵃ).

    x, y: (..., dim), the two factors: (..., hidden).
    Source: Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.gate = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        a, u = self.gate(x), self.up(x)  # (..., hidden)
        # Not above e⁸⁰: float32 overflows at e⁸⁹, with a warning, and σ is 0 long before.
        s = 1 / (1 + np.exp(np.minimum(-a, 80)))
        h = a * s  # silu(a)
        self.s, self.h, self.u = s, h, u  # for backward
        return self.down(h * u)

    def backward(self, dy):
        s, h, u = self.s, self.h, self.u
        # y = down(h u): a product, so each factor gets dm times the other
        dm = self.down.backward(dy)
        dh, du = dm * u, dm * h
        # h = a σ(a): its slope is σ + a σ (1 - σ)
        da = dh * (s + h * (1 - s))
        # a = gate(x), u = up(x)
        return self.gate.backward(da) + self.up.backward(du)


class SquaredReLU(Module):
    """y = down(max(up(x), 0)²).  x, y: (..., dim), hidden layer: (..., hidden).

    Source: So et al., Primer: Searching for Efficient Transformers, 2021.
    """

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        self.r = np.maximum(self.up(x), 0)  # for backward
        return self.down(self.r * self.r)

    def backward(self, dy):
        # y = down(r²), r = max(up(x), 0): the slope 2 r is 0 where ReLU's is
        return self.up.backward(2 * self.r * self.down.backward(dy))
