"""SwiGLU and SquaredReLU: today's feed-forward layers. Derived in chapter 23."""

import numpy as np

from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


def sigmoid(a):
    """Return σ(a) = 1/(1 + e⁻ᵃ) as (1 + tanh(a/2)) / 2: in float32 e⁻ᵃ overflows below -88."""
    s = np.tanh(0.5 * a)
    s += 1
    s *= 0.5
    return s


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
        s = sigmoid(a)
        h = a * s  # silu(a)
        self.s, self.h, self.u = s, h, u  # for backward
        return self.down(h * u)

    def backward(self, dy):
        s, h, u = self.s, self.h, self.u
        # y = down(h u): a product, so each factor gets the gradient times the other
        dh = self.down.backward(dy)
        du = dh * h
        dh *= u
        # h = a σ(a): its slope is σ + a σ (1 - σ) = σ + h (1 - σ)
        slope = 1 - s
        slope *= h
        slope += s
        # a = gate(x), u = up(x)
        dx = self.gate.backward(dh * slope)
        dx += self.up.backward(du)
        return dx


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
