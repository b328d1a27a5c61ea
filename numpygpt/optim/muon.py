"""Muon: momentum, made orthogonal, for the matrices of the blocks. Derived in chapter 24."""

import contextvars
import math

import numpy as np

from numpygpt.optim.adam import Adam

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(G, steps=5, eps=1e-7):
    """Return nearly U Vᵀ for G = U S Vᵀ, (n, m): the same directions, each of a size near 1.

    X = G / ‖G‖, then X ← (a I + b X Xᵀ + c (X Xᵀ)²) X for each of `steps`: a singular value s of
    X becomes a s + b s³ + c s⁵. After 5 steps those that began above 0.002 are between 0.68 and
    1.21; smaller ones are on their way. Zeros stay zeros.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    a, b, c = COEFFICIENTS
    wide = G.shape[0] <= G.shape[1]
    X = G if wide else G.T  # X Xᵀ is then the smaller of the two products
    X = X / max(np.linalg.norm(X), eps)  # no singular value is larger than this norm
    for _ in range(steps):
        A = X @ X.T
        P = A @ A
        P *= c
        P += b * A
        P.flat[:: len(P) + 1] += a  # the diagonal: a I
        X = P @ X
    return X if wide else X.T


def in_blocks(name, p):
    """Whether Muon takes a parameter: a matrix of the blocks, not embedding, head, gain or bias."""
    return name.startswith("blocks.") and p.ndim == 2


def matrices(name, W):
    """Return the matrices in W, as views: in qkv.W there are three, side by side."""
    return np.split(W, 3, axis=1) if name.endswith("qkv.W") else [W]


class Part:
    """Some of a model's parameters, by name: all of it that an optimizer sees."""

    def __init__(self, model, names):
        self.model, self.names = model, names

    def params(self):
        return {name: p for name, p in self.model.params().items() if name in self.names}

    def grads(self):
        return {name: g for name, g in self.model.grads().items() if name in self.names}


class Muon:
    """W ← W - lr √max(1, n_out/n_in) orthogonalize(u), for each matrix W (n_in, n_out) it takes.

    m ← μ m + (1-μ) g, u = μ m + (1-μ) g: Nesterov momentum, with g the gradient of W. With
    weight_decay > 0, W ← (1 - lr · weight_decay) W first. AdamW steps all other parameters, at a
    rate that is adam_lr at first, and changes as lr does.

    Args:
        takes: function of a parameter's name and the parameter: whether Muon steps it.
        apart: function of the same that returns the matrices in it, as views.
        engine: a ThreadedEngine shares the matrices out to its threads.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """

    def __init__(
        self,
        model,
        lr=0.02,
        momentum=0.95,
        weight_decay=0.0,
        *,
        adam_lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        takes=in_blocks,
        apart=matrices,
        engine=None,
    ):
        params = model.params()
        taken = {name: p for name, p in params.items() if takes(name, p)}
        if not taken:
            raise ValueError(
                "Muon found no matrix to take: it looks for names that begin with blocks."
            )
        if lr <= 0:
            raise ValueError(
                f"lr={lr} must be more than 0: AdamW's rate is kept in proportion to it"
            )
        self.model, self.apart, self.engine = model, apart, engine
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.m = {name: np.zeros_like(p) for name, p in taken.items()}
        self.ratio = adam_lr / lr
        rest = Part(model, params.keys() - taken.keys())
        self.adam = Adam(rest, adam_lr, betas, eps, weight_decay)

    @property
    def t(self):
        """Steps taken."""
        return self.adam.t

    def direction(self, u):
        return orthogonalize(u)

    def move(self, W, g, m):
        """Step one matrix W with gradient g; its mean gradient m changes in place, too."""
        mu = self.momentum
        m *= mu
        m += (1 - mu) * g
        u = mu * m + (1 - mu) * g
        W *= 1 - self.lr * self.weight_decay
        W -= self.lr * math.sqrt(max(1, W.shape[1] / W.shape[0])) * self.direction(u)

    def step(self):
        self.adam.lr = self.ratio * self.lr
        self.adam.step()
        params, grads = self.model.params(), self.model.grads()
        jobs = []
        for name, m in self.m.items():
            jobs += zip(*(self.apart(name, a) for a in (params[name], grads[name], m)), strict=True)
        pool = getattr(self.engine, "pool", None)
        if pool is None:
            for job in jobs:
                self.move(*job)
            return
        # As for a batch: BLAS starts no threads of its own, and np.errstate goes along.
        with self.engine.blas.limited(1):
            contexts = [contextvars.copy_context() for _ in jobs]
            list(pool.map(lambda c, job: c.run(self.move, *job), contexts, jobs))

    def zero_grad(self):
        self.model.zero_grad()

    def state(self):
        """Return {name: array}: all that a resumed run needs."""
        return {f"m.{name}": m for name, m in self.m.items()} | self.adam.state()

    def load_state(self, arrays):
        if arrays.keys() != self.state().keys():
            raise ValueError("this is the state of another optimizer, or of another model")
        self.adam.load_state(arrays)
        for name, m in self.m.items():
            m[...] = arrays[f"m.{name}"]
