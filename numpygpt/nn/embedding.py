"""Embedding: a row of W for each id. Derived in chapter 08."""

import numpy as np

from numpygpt.nn.module import Module


class Embedding(Module):
    """y = W[ids].  ids: (...) integers, W: (num_embeddings, dim), y: (..., dim)."""

    def __init__(self, num_embeddings, dim, *, rng, dtype=np.float32):
        self.W = rng.normal(0, 1, (num_embeddings, dim)).astype(dtype)
        self.dW = np.zeros_like(self.W)

    def forward(self, ids):
        # A negative id would read from the end of W, silently.
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.W)):
            raise ValueError(
                f"ids run from {ids.min()} to {ids.max()}, "
                f"the embedding has rows 0 to {len(self.W) - 1}"
            )
        self.ids = ids
        return self.W[ids]

    def backward(self, dy):
        # y = W[ids]. dW[ids] += dy would count a repeated id once only. ids have no slope: no dx.
        np.add.at(self.dW, self.ids, dy)
