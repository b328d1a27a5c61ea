"""softmax, log_softmax, cross-entropy, and the Softmax layer. Derived in chapter 05."""

import numpy as np

from numpygpt.nn.module import Module


def softmax(x, axis=-1):
    """Return p = exp(x) / Σ exp(x) along `axis`; x: any shape, p: the same, sums of 1."""
    # Subtract the max: exp(1000) overflows, and p stays the same. Integers become floats.
    p = np.subtract(x, x.max(axis=axis, keepdims=True), dtype=np.result_type(x, np.float16))
    np.exp(p, out=p)
    p /= p.sum(axis=axis, keepdims=True)
    return p


def softmax_backward(dp, p, axis=-1):
    """Return dx = p (dp - Σ dp p), given p = softmax(x) and its gradient dp, both of x's shape."""
    # p = exp(x) / Σ exp(x)
    dx = dp - np.expand_dims(np.vecdot(dp, p, axis=axis), axis)  # dp - Σ dp p
    dx *= p
    return dx


class Softmax(Module):
    """p = softmax(x) along `axis`.  x, p: any shape."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        self.p = softmax(x, self.axis)
        return self.p

    def backward(self, dp):
        return softmax_backward(dp, self.p, self.axis)


def log_softmax(x, axis=-1):
    """Return log p = x - log Σ exp(x) along `axis`, without the underflow of log(softmax(x))."""
    z = x - x.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))


def cross_entropy(logits, targets):
    """Return the loss -mean log p[target], in nats; p = softmax(logits).

    Args:
        logits: (..., V) scores.
        targets: (...) integer ids in [0, V).

    Raises:
        ValueError: the shapes do not fit, or a target lies outside the vocabulary.
    """
    _check_targets(logits, targets)
    log_p = log_softmax(logits)
    return -float(np.take_along_axis(log_p, targets[..., None], axis=-1).mean())


def _check_targets(logits, targets):
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets have shape {targets.shape}, logits {logits.shape} need {logits.shape[:-1]}"
        )
    # A negative id would pick from the end of the vocabulary, silently.
    if targets.size == 0 or targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(f"targets must be ids from 0 to {logits.shape[-1] - 1}, and not empty")


def cross_entropy_backward(logits, targets, dloss=1.0):
    """Return dlogits = dloss (p - y) / N; y is one-hot at the target, N the number of targets."""
    _check_targets(logits, targets)
    # loss = -Σ log softmax(logits)[target] / N
    dlogits, at_target = softmax(logits), targets[..., None]
    p_target = np.take_along_axis(dlogits, at_target, axis=-1)
    np.put_along_axis(dlogits, at_target, p_target - 1, axis=-1)
    dlogits *= dloss / targets.size
    return dlogits
