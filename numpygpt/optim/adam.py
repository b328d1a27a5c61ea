"""Adam, with the decoupled weight decay of AdamW. Derived in chapter 06."""

import math

import numpy as np


class Adam:
    """p ← p - lr m̂ / (√v̂ + eps), for each parameter p with gradient g.

    m ← β₁ m + (1-β₁) g,  m̂ = m / (1-β₁ᵗ);  v ← β₂ v + (1-β₂) g²,  v̂ = v / (1-β₂ᵗ).
    With weight_decay > 0, p ← (1 - lr · weight_decay) p first, for arrays of two or more
    dimensions (gains and biases are not decayed). Sources: Kingma and Ba, Adam, 2014;
    Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017.
    """

    def __init__(self, model, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        self.model = model
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.t = 0  # steps taken
        self.m = {name: np.zeros_like(p) for name, p in model.params().items()}
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

    def step(self):
        self.t += 1
        beta1, beta2 = self.betas
        # m̂ and v̂ differ from m and v by one number each; that of m̂ goes into the step size.
        step_size = self.lr / (1 - beta1**self.t)
        root2 = math.sqrt(1 - beta2**self.t)
        grads = self.model.grads()
        for name, p in self.model.params().items():
            g, m, v = grads[name], self.m[name], self.v[name]
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * g * g
            if self.weight_decay and p.ndim >= 2:
                p *= 1 - self.lr * self.weight_decay
            p -= step_size * m / (np.sqrt(v) / root2 + self.eps)

    def zero_grad(self):
        self.model.zero_grad()

    def state(self):
        """Return {name: array}: all that a resumed run needs."""
        arrays = {f"m.{name}": m for name, m in self.m.items()}
        arrays |= {f"v.{name}": v for name, v in self.v.items()}
        return arrays | {"t": np.array(self.t)}

    def load_state(self, arrays):
        self.t = int(arrays["t"])
        for name in self.m:
            self.m[name][...] = arrays[f"m.{name}"]
            self.v[name][...] = arrays[f"v.{name}"]
