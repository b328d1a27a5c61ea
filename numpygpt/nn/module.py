"""Module: what all layers share, and Sequential. Derived in chapter 02."""

import numpy as np


class Module:
    """A layer: `forward` computes and caches, `backward` adds to the gradients and returns dx.

    An array attribute is a parameter if its gradient stands beside it: `W` and `dW`. Attributes
    that are Modules, or lists of Modules, belong to the layer, and so do their parameters.
    """

    def __call__(self, *args):
        return self.forward(*args)

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} has no forward pass")

    def backward(self, dy):
        raise NotImplementedError(f"{type(self).__name__} has no backward pass")

    def modules(self, prefix=""):
        """Yield (prefix, module) for this module and all inside it; a prefix ends with a dot."""
        yield prefix, self
        for name, value in vars(self).items():
            parts = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
            for i, part in parts:
                if isinstance(part, Module):
                    here = name if i is None else f"{name}.{i}"
                    yield from part.modules(f"{prefix}{here}.")

    def _param_slots(self):
        """Yield (dotted name, parameter, gradient), a shared array only once."""
        seen = {}
        for prefix, module in self.modules():
            for name, p in vars(module).items():
                dp = vars(module).get(f"d{name}")
                if not (isinstance(p, np.ndarray) and isinstance(dp, np.ndarray)):
                    continue
                # A shared array would be stepped twice, each time with a part of its gradient.
                if id(p) in seen and seen[id(p)] is not dp:
                    raise ValueError(
                        f"{prefix}{name} shares its array with another layer, but not the gradient"
                    )
                if id(p) not in seen:
                    seen[id(p)] = dp
                    yield f"{prefix}{name}", p, dp

    def params(self):
        """Return {dotted name: array}, the arrays themselves: change them in place."""
        return {name: p for name, p, _ in self._param_slots()}

    def grads(self):
        """Return {dotted name: gradient array}, under the names of `params()`."""
        return {name: dp for name, _, dp in self._param_slots()}

    def zero_grad(self):
        """Clear all gradients; without it they add up over backward passes."""
        for dp in self.grads().values():
            dp[...] = 0

    def num_params(self):
        """Return the number of trainable numbers, shared ones counted once."""
        return sum(p.size for p in self.params().values())

    def load_params(self, arrays):
        """Copy `arrays` {dotted name: array} into the parameters.

        Raises:
            ValueError: names are missing or left over, or a shape differs; nothing is changed then.
        """
        params = self.params()
        missing, extra = params.keys() - arrays.keys(), arrays.keys() - params.keys()
        if missing or extra:
            raise ValueError(
                f"parameters do not match: missing {sorted(missing)}, left over {sorted(extra)}"
            )
        for name, p in params.items():
            if arrays[name].shape != p.shape:
                raise ValueError(
                    f"{name} has shape {arrays[name].shape}, the model needs {p.shape}"
                )
        for name, p in params.items():
            p[...] = arrays[name]


class Sequential(Module):
    """y = layers[-1](... layers[0](x)).  dx: the same layers' backward passes, last to first."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dy):
        # x = layer(x)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy
