"""Do twelve blocks learn? Four kinds, three seeds each: what chapter 11 draws. Half a minute.

    python benchmarks/depth.py      # writes data/depth.json

The chapter's own code: attention and a feed-forward network, plain, with LayerNorm, with residual
connections, with both; weights as drawn, and three times as large. Losses are means of ten steps.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.nn import (
    CrossEntropyLoss,
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Module,
    MultiHeadAttention,
    Sequential,
)
from numpygpt.optim import Adam

DATA = Path(__file__).parents[1] / "data"
V, T, WIDTH, HEADS, DEPTH, STEPS = 5, 7, 12, 3, 12, 150
GAINS, SEEDS = (1, 3), (0, 1, 2)


class Plain(Module):
    def __init__(self, rng):
        f64 = {"rng": rng, "dtype": np.float64}
        attention = MultiHeadAttention(WIDTH, HEADS, **f64)
        self.branches = [attention, FeedForward(WIDTH, 4 * WIDTH, **f64)]

    def forward(self, x):
        for branch in self.branches:
            x = branch(x)
        return x

    def backward(self, dy):
        for branch in reversed(self.branches):
            dy = branch.backward(dy)
        return dy


class Residual(Plain):
    def forward(self, x):
        for branch in self.branches:
            x = x + branch(x)
        return x

    def backward(self, dy):
        for branch in reversed(self.branches):
            dy = dy + branch.backward(dy)
        return dy


def with_norms(block):
    block.branches = [Sequential(LayerNorm(WIDTH, dtype=np.float64), b) for b in block.branches]


class NormOnly(Plain):
    def __init__(self, rng):
        super().__init__(rng)
        with_norms(self)


class PreNorm(Residual):
    def __init__(self, rng):
        super().__init__(rng)
        with_norms(self)


class FirstToken(Module):
    """Names the first token at each position."""

    def __init__(self, kind, gain, rng):
        f64 = {"rng": rng, "dtype": np.float64}
        self.wte, self.wpe = Embedding(V, WIDTH, **f64), Embedding(T, WIDTH, **f64)
        self.blocks = Sequential(*[kind(rng) for _ in range(DEPTH)])
        for p in self.blocks.params().values():
            if p.ndim == 2:
                p *= gain
        self.ln_f, self.head = LayerNorm(WIDTH, dtype=np.float64), Linear(WIDTH, V, **f64)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(np.arange(T))
        return self.head(self.ln_f(self.blocks(x)))

    def backward(self, dlogits):
        dx = self.blocks.backward(self.ln_f.backward(self.head.backward(dlogits)))
        self.wpe.backward(dx.sum(axis=0))
        self.wte.backward(dx)


def losses(kind, gain, seed):
    """Return the loss of each step."""
    rng = np.random.default_rng(seed)
    model, loss, values = FirstToken(kind, gain, rng), CrossEntropyLoss(), []
    optimizer = Adam(model, lr=3e-3)
    for _ in range(STEPS):
        ids = rng.integers(0, V, (16, T))
        values.append(loss(model(ids), np.repeat(ids[:, :1], T, axis=1)))
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return np.array(values)


def main(path):
    runs = []
    for gain in GAINS:
        for kind in (Plain, NormOnly, Residual, PreNorm):
            for seed in SEEDS:
                means = losses(kind, gain, seed).reshape(-1, 10).mean(axis=1)
                run = {"kind": kind.__name__, "gain": gain, "seed": seed}
                runs.append({**run, "losses": means.round(4).tolist()})
                print(run, means[-2:].mean().round(4), flush=True)
    lines = ",\n".join(json.dumps(run) for run in runs)
    about = '{"made by": "python benchmarks/depth.py", "runs": [\n'
    path.write_text(about + lines + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "depth.json")
