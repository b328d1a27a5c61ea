"""SGD, with momentum. Derived in chapter 06."""

import numpy as np


class SGD:
    """v ← momentum · v + g; p ← p - lr · v, for each parameter p with gradient g."""

    def __init__(self, model, lr, momentum=0.0):
        self.model = model
        self.lr = lr
        self.momentum = momentum
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

    def step(self):
        grads = self.model.grads()
        for name, p in self.model.params().items():
            v = self.v[name]
            v *= self.momentum
            v += grads[name]
            p -= self.lr * v

    def zero_grad(self):
        self.model.zero_grad()

    def state(self):
        """Return {name: array}: all that a resumed run needs."""
        return {f"v.{name}": v for name, v in self.v.items()}

    def load_state(self, arrays):
        for name, v in self.v.items():
            v[...] = arrays[f"v.{name}"]
