"""FeedForward and TransformerBlock: attention and a small network on a residual stream.

Derived in chapter 11.
"""

import numpy as np

from numpygpt.nn.activations import GELU, ReLU
from numpygpt.nn.attention import MultiHeadAttention
from numpygpt.nn.layernorm import LayerNorm
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


class FeedForward(Module):
    """y = fc2(act(fc1(x))), each position by itself.

    x, y: (..., dim), hidden layer: (..., hidden).
    """

    def __init__(self, dim, hidden, activation="relu", *, bias=True, rng, dtype=np.float32):
        if activation not in ("relu", "gelu"):
            raise ValueError(f"activation={activation!r} is neither 'relu' nor 'gelu'")
        self.fc1 = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.act = ReLU() if activation == "relu" else GELU()
        self.fc2 = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))

    def backward(self, dy):
        # y = fc2(act(fc1(x)))
        return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))


class TransformerBlock(Module):
    """x₁ = x + attn(ln1(x)); y = x₁ + ffn(ln2(x₁)): the pre-norm form of GPT-2.

    x, y: (B, T, dim).  Source: Radford et al., Language Models are Unsupervised Multitask
    Learners, 2019.
    """

    def __init__(
        self, dim, n_heads, hidden, activation="relu", *, bias=True, rng, dtype=np.float32
    ):
        self.ln1 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.attn = MultiHeadAttention(dim, n_heads, bias=bias, rng=rng, dtype=dtype)
        self.ln2 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.ffn = FeedForward(dim, hidden, activation, bias=bias, rng=rng, dtype=dtype)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))

    def backward(self, dy):
        # A sum passes dy to both of its terms: down the branch, and straight along the stream.
        # y = x₁ + ffn(ln2(x₁))
        dx = dy + self.ln2.backward(self.ffn.backward(dy))
        # x₁ = x + attn(ln1(x))
        return dx + self.ln1.backward(self.attn.backward(dx))
