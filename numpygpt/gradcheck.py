"""Checking a backward pass against central differences. Derived in chapter 01."""

from dataclasses import dataclass

import numpy as np


def numeric_gradient(f, a, eps=1e-5):
    """Return df/da by central differences, (f(a + eps) - f(a - eps)) / (2 eps), entry by entry.

    Args:
        f: function without arguments that reads `a` and returns a number.
        a: float64 array of any shape; changed in place while measuring, and put back.
        eps: half the width of the difference, in units of `a`.

    Raises:
        TypeError: `a` is not float64. Integers cannot move by eps; in float32 rounding hides it.
    """
    if a.dtype != np.float64:
        raise TypeError(f"numeric_gradient needs float64, but a is {a.dtype}: use a.astype(float)")
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


def gradcheck(layer, x, *args, rng, rtol=1e-6, atol=1e-8, eps=1e-5):
    """Compare every gradient of a layer with central differences; return a GradReport.

    What is differentiated is sum(dy * y), with a random upstream gradient dy: ones would hide
    errors. The layer's gradients change, its parameters do not.

    Args:
        layer: has `forward(x, *args)` and `backward(dy)`, and `params()` and `grads()` where it has
            parameters. A tuple from `forward` is read as (logits, loss): the loss is checked.
        x: float64 array, then dx is checked, too; or integer ids.
        args: further inputs of `forward`, such as targets; not differentiated.
        rng: np.random.Generator for dy.
        rtol, atol: an entry passes if |analytic - numeric| <= atol + rtol * |numeric|.
        eps: half the width of the central difference.

    Raises:
        GradientError: an entry differs, a gradient is overwritten where it must be added to, or
            `backward` changes dy, x, a parameter, or what a second backward pass needs.
        TypeError: an array is not float64 (float32 is too coarse to tell right from wrong).
    """
    params = layer.params() if hasattr(layer, "params") else {}
    x = np.array(x)
    inputs = _inputs_with_slopes(x, params)

    def output():
        y = layer.forward(x, *args)
        return y[1] if isinstance(y, tuple) else y

    dy = rng.normal(size=np.shape(output()))
    dx, grads = _analytic(layer, output, dy, x, params)
    if not inputs and dx is not None:
        raise TypeError(f"x is {x.dtype}, so its dx cannot be checked: write x as float64")
    if inputs and np.shape(dx) != x.shape:
        raise GradientError(f"dx has shape {np.shape(dx)}, but x has shape {x.shape}")
    checked = [("dx", a, dx) for a in inputs.values()]
    checked += [(_dname(name), p, grads[name]) for name, p in params.items()]
    rows = {}
    for name, a, analytic in checked:
        numeric = numeric_gradient(lambda: float(np.sum(dy * output())), a, eps)
        rows[name] = _compare(name, analytic, numeric, rtol, atol)
    _check_repeated(layer, output, dy, dx, grads, rtol, atol)
    return GradReport(rows)


def _compare(name, analytic, numeric, rtol, atol):
    """Return (entries, worst absolute error, worst relative error) or raise GradientError."""
    analytic = np.asarray(analytic)
    if analytic.shape != numeric.shape:
        raise GradientError(f"{name} has shape {analytic.shape}, expected {numeric.shape}")
    error = np.abs(analytic - numeric)
    excess = error - (atol + rtol * np.abs(numeric))
    if not (excess <= 0).all():  # with (excess > 0).any() a NaN would pass
        raise GradientError(_complaint(name, analytic, numeric, excess))
    largest, worst = (float(a.max(initial=0)) for a in (np.abs(numeric), error))
    return error.size, worst, worst / largest if largest > atol else 0.0  # 0: truly zero


def _analytic(layer, output, dy, x, params):
    """Run one backward pass from cleared gradients: dx and a copy of each gradient."""
    read_only = [("dy", dy), ("x", x), *params.items()]
    for g in _grads(layer).values():
        g[...] = 0
    output()
    before = [np.array(a) for _, a in read_only]
    dx = layer.backward(dy if np.ndim(dy) else float(dy))
    for (name, a), b in zip(read_only, before, strict=True):
        if not np.array_equal(a, b):
            raise GradientError(f"backward changed {name}, which it may only read; copy it first")
    # A copy: a layer may hand out one array again and again.
    return None if dx is None else np.array(dx), {n: g.copy() for n, g in _grads(layer).items()}


_SUM = (
    "after two backward passes the gradient is not twice that of one; "
    "add to it (+=), do not overwrite it"
)

_SPENT = "a backward pass right after another gives something else; leave what forward has kept"


def _check_repeated(layer, output, dy, dx, grads, rtol, atol):
    """Further backward passes must add to the gradients; the last has no forward before it."""
    output()
    for passes, mistake in ((2, _SUM), (3, _SPENT)):
        again = layer.backward(dy if np.ndim(dy) else float(dy))
        pairs = [(_dname(name), g, passes * grads[name]) for name, g in _grads(layer).items()]
        pairs += [("dx", again, dx)] if dx is not None and passes == 3 else []
        for name, now, right in pairs:
            if not np.allclose(now, right, rtol=rtol, atol=atol):
                raise GradientError(f"{name}: {mistake}")


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
        rows = self.rows.items()
        return "\n".join(f"{name:24}{entries:>7} entries  right" for name, (entries, *_) in rows)


def _complaint(name, analytic, numeric, excess):
    """Name the entry that exceeds its tolerance the most, and say why if we can."""
    worst = np.unravel_index(excess.argmax(), excess.shape)  # of a NaN, if there is one
    return (
        f"{name}{[int(i) for i in worst]}: backward gives {analytic[worst]:.8g}, central "
        f"differences give {numeric[worst]:.8g} ({int((~(excess <= 0)).sum())} of {excess.size} "
        f"entries differ)" + _explain(analytic, numeric)
    )


def _explain(analytic, numeric):
    """Say so when one factor, or a transpose, turns the right gradient into the wrong one."""
    if not np.isfinite(analytic).all():
        return "; the gradient is not finite"
    if not analytic.any():
        return "; the gradient is zero everywhere"
    if not numeric.any():
        return ""
    near = {"rtol": 1e-4, "atol": 1e-6 * np.abs(numeric).max()}
    ratio = float(np.vdot(numeric, analytic) / np.vdot(numeric, numeric))
    if np.allclose(analytic, ratio * numeric, **near):
        return f"; every entry is {ratio:.5g} times what it should be"
    square = analytic.ndim == 2 and analytic.shape[0] == analytic.shape[1]
    if square and np.allclose(analytic.T, numeric, **near):
        return "; it is the transpose of what it should be"
    return ""


def _inputs_with_slopes(x, params):
    """Return {"x": x}, or {} where x holds integers; TypeError if an array is too coarse."""
    inputs = {"x": x} if np.issubdtype(x.dtype, np.floating) else {}
    for name, a in [*params.items(), *inputs.items()]:
        if a.dtype != np.float64:
            raise TypeError(f"gradcheck needs float64, but {name} is {a.dtype}")
    return inputs


def _grads(layer):
    return layer.grads() if hasattr(layer, "grads") else {}


def _dname(name):
    """The gradient's name: layers.0.W -> layers.0.dW."""
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}d{last}"
