"""How much context helps a small MLP over characters: what chapter 7 draws. A few seconds.

    python benchmarks/context.py      # writes data/context.json

The chapter's own code: six lengths, 600 steps each, one start; losses on a part of the training
text and of the validation text.
"""

import json
import math
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.nn import CrossEntropyLoss, Linear, Module, ReLU, Sequential
from numpygpt.optim import Adam, WarmupCosineLR, clip_grad_norm

DATA = Path(__file__).parents[1] / "data"
TEXT = (DATA / "shakespeare.txt").read_text(encoding="utf-8")
CHARS = sorted(set(TEXT))
ID_OF = {c: i for i, c in enumerate(CHARS)}
IDS = np.array([ID_OF[c] for c in TEXT])
N_TRAIN = len(IDS) * 9 // 10
LENGTHS, STEPS = (1, 2, 3, 5, 8, 12), 600


class MLP(Module):
    """The loss of the next character.  x: (B, K) ids, targets: (B,)."""

    def __init__(self, V, K, C, H, *, rng):
        self.read = Linear(V, C, bias=False, rng=rng, dtype=np.float64)
        self.read.W *= math.sqrt(V)
        self.net = Sequential(
            Linear(K * C, H, rng=rng, dtype=np.float64),
            ReLU(),
            Linear(H, V, rng=rng, dtype=np.float64),
        )
        self.loss, self.one_hot = CrossEntropyLoss(), np.eye(V)

    def forward(self, x, targets):
        self.h = self.read(self.one_hot[x])
        return self.loss(self.net(self.h.reshape(len(x), -1)), targets)

    def backward(self):
        dr = self.net.backward(self.loss.backward())
        self.read.backward(dr.reshape(self.h.shape))


def contexts(at, K):
    return IDS[at[:, None] + np.arange(-K, 0)]


def train(net, K, lr=1e-2):
    rng, optimizer = np.random.default_rng(7), Adam(net, lr)
    schedule = WarmupCosineLR(optimizer, 100, STEPS, lr / 20)
    for _ in range(STEPS):
        at = rng.integers(K, N_TRAIN, 256)
        net(contexts(at, K), IDS[at])
        optimizer.zero_grad()
        net.backward()
        clip_grad_norm(net, 1.0)
        optimizer.step()
        schedule.step()


def evaluate(net, at, K):
    parts = np.array_split(at, len(at) // 500)
    return sum(net(contexts(part, K), IDS[part]) * len(part) for part in parts) / len(at)


def main(path):
    val_at, train_at = np.arange(N_TRAIN + 1, len(IDS)), np.arange(12, N_TRAIN, 9)
    found = []
    for K in LENGTHS:
        net = MLP(len(CHARS), K, C=16, H=128, rng=np.random.default_rng(7))
        train(net, K)
        losses = [round(evaluate(net, at[::5], K), 4) for at in (train_at, val_at)]
        found.append({"K": K, "numbers": net.num_params(), "losses": losses})
        print(found[-1], flush=True)
    about = {"made by": "python benchmarks/context.py", "losses": ["training", "validation"]}
    path.write_text(json.dumps({**about, "lengths": found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "context.json")
