"""Clipping the gradient by its norm. Derived in chapter 06."""

import math

import numpy as np


def clip_grad_norm(model, max_norm):
    """Scale all gradients of `model` in place so that their joint norm is at most `max_norm`.

    Returns:
        The norm before clipping, √ Σ g² over all entries of all gradients; inf or nan is returned
        as it is, and then nothing is scaled.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks,
    2013.
    """
    grads = model.grads().values()
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
    # Not if infinite: the scale would be 0, and inf * 0 is nan. Not if nan: that compares as False.
    if max_norm < norm < math.inf:
        # The 1e-6 is PyTorch's, so that both give the same numbers.
        scale = max_norm / (norm + 1e-6)
        for g in grads:
            g *= scale
    return norm
