"""Cross-entropy with a weight for each token, or with a mask. Derived in chapter 27."""

import numpy as np

from numpygpt.evaluate import token_losses
from numpygpt.nn.functional import cross_entropy_backward
from numpygpt.nn.module import Module

IGNORE = -100  # a target that has no loss; the number is that of PyTorch's ignore_index


def weighted_cross_entropy(logits, targets, weights, total=None):
    """Return the loss Σ w (-log p[target]) / total, in nats; p = softmax(logits).

    Args:
        logits: (..., V) scores.
        targets: (...) ids in [0, V); where the weight is 0 any number.
        weights: (...) numbers, of either sign; 1 and 0, or booleans, are a mask.
        total: what the sum is divided by; by default Σ w, if no weight is negative.

    Raises:
        ValueError: the shapes do not fit, a target that counts is not in the vocabulary, all
            weights are 0, or some are negative and there is no total.
    """
    targets, total = _checked(logits, targets, weights, total)
    losses = token_losses(logits, targets)
    # np.where, not just a product: 0 times inf, from a stray logit, would be NaN.
    return float(np.where(weights != 0, weights * losses, 0).sum() / total)


def _checked(logits, targets, weights, total):
    """Return (targets, 0 where they do not count; total) or raise ValueError."""
    if not targets.shape == weights.shape == logits.shape[:-1]:
        raise ValueError(
            f"targets have shape {targets.shape}, weights {weights.shape}, logits {logits.shape}"
        )
    if total is None:
        if (weights < 0).any():
            raise ValueError("a weight is negative, so the weights may sum to 0: give a total")
        total = weights.sum()
    if not total > 0:
        raise ValueError(f"the loss would be divided by {total}: no token has a weight")
    targets = np.where(weights != 0, targets, 0)
    # A negative id would pick from the end of the vocabulary, silently.
    if targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(f"targets that count must be ids from 0 to {logits.shape[-1] - 1}")
    return targets, float(total)


def weighted_cross_entropy_backward(logits, targets, weights, total=None, dloss=1.0):
    """Return dlogits = dloss w (p - y) / total; y is one-hot at the target. Arguments as above."""
    targets, total = _checked(logits, targets, weights, total)
    # Times the number of targets: without the mean that chapter 5 divides by, p - y.
    dlogits = cross_entropy_backward(logits, targets, targets.size)
    # Σ w (-log softmax(logits)[target]) / total: each row of p - y gets its own factor
    dlogits *= (weights * (dloss / total)).astype(dlogits.dtype)[..., None]
    return dlogits


class MaskedLoss(Module):
    """loss = -mean log softmax(logits)[target] over the targets that are not IGNORE, in nats.

    logits: (..., V), targets: (...).
    """

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        return weighted_cross_entropy(logits, targets, targets != IGNORE)

    def backward(self, dloss=1.0):
        mask = self.targets != IGNORE
        return weighted_cross_entropy_backward(self.logits, self.targets, mask, dloss=dloss)
