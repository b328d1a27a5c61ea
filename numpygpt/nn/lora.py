"""LoRALinear and Adapter: frozen weights, and a change of low rank. Derived in chapter 27."""

import math

import numpy as np

from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


class LoRALinear(Module):
    """y = x W + b + s (x A) B, s = alpha / rank.  W and b have no gradient: they are frozen.

    x: (..., n_in), A: (n_in, rank), B: (rank, n_out), y: (..., n_out). B starts at 0, and so does
    the change. Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
    """

    def __init__(self, linear, rank, alpha, *, rng):
        n_in, n_out = linear.W.shape
        if not 1 <= rank <= min(n_in, n_out):
            raise ValueError(
                f"rank={rank} must be from 1 to {min(n_in, n_out)}, W is {n_in, n_out}"
            )
        self.W, self.b = linear.W, linear.b  # the arrays themselves, not copies
        self.scale = float(alpha) / rank  # a NumPy float64 would turn float32 into float64
        bound = 1 / math.sqrt(n_in)
        self.A = rng.uniform(-bound, bound, (n_in, rank)).astype(linear.W.dtype)
        self.dA = np.zeros_like(self.A)
        self.B = np.zeros((rank, n_out), linear.W.dtype)
        self.dB = np.zeros_like(self.B)

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])  # (N, n_in)
        h = flat @ self.A  # (N, rank)
        self.x, self.h = x, h  # for backward
        y = flat @ self.W  # (N, n_out)
        y += self.scale * h @ self.B
        if self.b is not None:
            y += self.b
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def backward(self, dy):
        x = self.x.reshape(-1, self.x.shape[-1])  # (N, n_in)
        flat = dy.reshape(-1, dy.shape[-1])  # (N, n_out)
        # y = x W + b + s h B
        self.dB += self.scale * self.h.T @ flat
        dh = self.scale * flat @ self.B.T  # (N, rank)
        dx = flat @ self.W.T
        # h = x A
        self.dA += x.T @ dh
        dx += dh @ self.A.T
        return dx.reshape(self.x.shape)

    def merged(self):
        """Return W + s A B, (n_in, n_out): a Linear with this W computes the same."""
        return self.W + self.scale * self.A @ self.B


class Adapter(Module):
    """A model with a LoRALinear in place of each Linear in its blocks; params() are A and B alone.

    The model itself is changed: `take_off` makes it what it was, and `put_on` undoes that.
    """

    def __init__(self, model, rank, alpha=16.0, *, rng):
        self.model, self.config = model, model.config
        self.rank, self.alpha = rank, float(alpha)
        self.places = []  # (layer, attribute, the Linear, the LoRALinear)
        for prefix, layer in model.modules():
            if prefix.startswith("blocks."):
                self.places += [
                    (layer, name, linear, LoRALinear(linear, rank, alpha, rng=rng))
                    for name, linear in vars(layer).items()
                    if isinstance(linear, Linear)
                ]
        self.put_on()

    def put_on(self):
        """Set each LoRALinear in its place."""
        for layer, name, _, lora in self.places:
            setattr(layer, name, lora)

    def take_off(self):
        """Set the Linears in their places again, and return the model."""
        for layer, name, linear, _ in self.places:
            setattr(layer, name, linear)
        return self.model

    def merge(self):
        """Add the change to the Linears' own W, take the adapter off, and return the model."""
        for _, _, linear, lora in self.places:
            linear.W[...] = lora.merged()
            lora.B[...] = 0  # put on again, it changes nothing
        return self.take_off()

    def modules(self, prefix=""):
        """Yield each LoRALinear, under the model's names: all else is frozen, and no parameter."""
        for name, layer in self.model.modules(prefix):
            if isinstance(layer, LoRALinear):
                yield name, layer

    def forward(self, *args):
        return self.model(*args)

    def backward(self, dy=1.0):
        return self.model.backward(dy)

    def zero_grad(self):
        self.model.zero_grad()  # those of the frozen layers, too, which nobody reads
