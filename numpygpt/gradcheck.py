"""Checking a backward pass against central differences. Derived in chapter 01."""

from dataclasses import dataclass

import numpy as np


def numeric_gradient(f, a, eps=1e-5):
    """Return df/da by central differences, (f(a + eps) - f(a - eps)) / (2 eps), entry by entry.

    Args:
        f: function without arguments that reads `a` and returns a number.
        a: float64 array of any shape; changed in place while measuring, and put back.
        eps: half the width of the difference, in units of `a`.
    """
    grad = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        kept = a[index]
        a[index] = kept + eps
        above = f()
        a[index] = kept - eps
        below = f()
        a[index] = kept
        grad[index] = (above - below) / (2 * eps)
    return grad


class GradientError(AssertionError):
    """A backward pass that disagrees with the slope of its forward pass."""


@dataclass
class GradReport:
    """A check that passed: name -> (entries, worst absolute error, worst relative error).

    The relative error is the absolute one, relative to the largest entry of the array.
    """

    rows: dict

    @property
    def max_error(self):
        """The largest of the relative errors."""
        return max((rel for _, _, rel in self.rows.values()), default=0.0)

    def __str__(self):
        # No digits of the errors: they differ from one processor to the next, and notebooks
        # compare text.
        return "\n".join(
            f"{name:24}{entries:>7} entries  right" for name, (entries, _, _) in self.rows.items()
        )


def _compare(name, analytic, numeric, rtol, atol):
    """Return (entries, worst absolute error, worst relative error) or raise GradientError."""
    analytic = np.asarray(analytic)
    if analytic.shape != numeric.shape:
        raise GradientError(f"{name} has shape {analytic.shape}, expected {numeric.shape}")
    if numeric.size == 0:
        return 0, 0.0, 0.0
    error = np.abs(analytic - numeric)
    excess = error - (atol + rtol * np.abs(numeric))
    excess = np.where(np.isnan(excess), np.inf, excess)  # NaN > 0 is false: it would pass
    if excess.max() > 0:
        index = tuple(int(i) for i in np.unravel_index(excess.argmax(), excess.shape))
        raise GradientError(
            f"{name}{list(index)}: backward gives {analytic[index]:.8g}, central differences give "
            f"{numeric[index]:.8g} ({int((excess > 0).sum())} of {error.size} entries differ)"
            + _explain(analytic, numeric)
        )
    # Relative to the array's largest entry: a gradient that is truly zero has no relative error.
    largest = np.abs(numeric).max()
    return error.size, float(error.max()), float(error.max() / largest) if largest > atol else 0.0


def _explain(analytic, numeric):
    """Say so when one factor, or a transpose, turns the right gradient into the wrong one."""
    if not np.isfinite(analytic).all():
        return "; the gradient is not finite"
    if not analytic.any():
        return "; the gradient is zero everywhere"
    scale = np.abs(numeric).max()
    if scale == 0:
        return ""
    ratio = float(np.vdot(numeric, analytic) / np.vdot(numeric, numeric))
    if np.allclose(analytic, ratio * numeric, rtol=1e-4, atol=1e-6 * scale):
        return f"; every entry is {ratio:.5g} times what it should be"
    if analytic.ndim == 2 and analytic.shape[0] == analytic.shape[1]:
        if np.allclose(analytic.T, numeric, rtol=1e-4, atol=1e-6 * scale):
            return "; it is the transpose of what it should be"
    return ""


def _analytic(layer, output, dy, x, params):
    """Run one backward pass from cleared gradients: dx and a copy of each gradient."""
    read_only = {"dy": dy, "x": x, **params}
    for g in _grads(layer).values():
        g[...] = 0
    output()
    before = {name: np.array(a) for name, a in read_only.items()}
    dx = layer.backward(dy if np.ndim(dy) else float(dy))
    for name, a in read_only.items():
        if not np.array_equal(a, before[name]):
            raise GradientError(f"backward changed {name}, which it may only read; copy it first")
    return dx, {name: g.copy() for name, g in _grads(layer).items()}


def _grads(layer):
    return layer.grads() if hasattr(layer, "grads") else {}


def _dname(name):
    """The gradient's name: layers.0.W -> layers.0.dW."""
    head, _, last = name.rpartition(".")
    return f"{head}.d{last}" if head else f"d{last}"


def _check_accumulation(layer, output, dy, once, rtol, atol):
    """A second backward pass must add to the gradients of the first."""
    output()
    layer.backward(dy if np.ndim(dy) else float(dy))
    for name, g in _grads(layer).items():
        if not np.allclose(g, 2 * once[name], rtol=rtol, atol=atol):
            raise GradientError(
                f"{_dname(name)}: after two backward passes the gradient is not twice that of one; "
                "add to it (+=), do not overwrite it"
            )


def gradcheck(layer, x, *args, rng, rtol=1e-6, atol=1e-8, eps=1e-5):
    """Compare every gradient of a layer with central differences.

    The scalar that is differentiated is sum(dy * y), with a random upstream gradient dy. Ones would
    hide errors: behind a layer that subtracts a mean, every gradient is zero then. The layer's
    gradients change, its parameters do not.

    Args:
        layer: has `forward(x, *args)` and `backward(dy)`; its arrays come from `params()` and
            `grads()` where it has them. A tuple from `forward` is read as (logits, loss), and
            the loss is checked.
        x: float64 array, then dx is checked, too; or integer ids.
        args: further inputs of `forward`, such as targets; not differentiated.
        rng: np.random.Generator for dy.
        rtol, atol: an entry passes if |analytic - numeric| <= atol + rtol * |numeric|.
        eps: half the width of the central difference.

    Returns:
        GradReport with the worst error of each array.

    Raises:
        GradientError: an entry differs, a gradient is overwritten where it must be added to, or
            `backward` changes dy, x or a parameter.
        TypeError: an array is not float64 (float32 is too coarse to tell right from wrong).
    """
    params = layer.params() if hasattr(layer, "params") else {}
    x = np.array(x)
    differentiable = np.issubdtype(x.dtype, np.floating)
    for name, a in [*params.items()] + [("x", x)] * differentiable:
        if a.dtype != np.float64:
            raise TypeError(f"gradcheck needs float64, but {name} is {a.dtype}")

    def output():
        y = layer.forward(x, *args)
        return y[1] if isinstance(y, tuple) else y

    dy = rng.normal(size=np.shape(output()))
    dx, grads = _analytic(layer, output, dy, x, params)
    if differentiable and np.shape(dx) != x.shape:
        raise GradientError(f"dx has shape {np.shape(dx)}, but x has shape {x.shape}")

    rows = {}
    checked = [("dx", x, dx)] * differentiable
    checked += [(_dname(name), p, grads[name]) for name, p in params.items()]
    for name, a, analytic in checked:
        numeric = numeric_gradient(lambda: float(np.sum(dy * output())), a, eps)
        rows[name] = _compare(name, analytic, numeric, rtol, atol)

    _check_accumulation(layer, output, dy, grads, rtol, atol)
    return GradReport(rows)
