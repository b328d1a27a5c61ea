"""Deep networks with and without LayerNorm, by optimizer and scale of the weights. Half a minute.

    python benchmarks/layernorm.py      # writes data/layernorm.json, which chapter 9 draws

The chapter's own code: 20 layers, 200 updates, two seeds; three optimizers by three scales.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.nn import CrossEntropyLoss, LayerNorm, Linear, ReLU, Sequential
from numpygpt.optim import SGD, Adam

DATA = Path(__file__).parents[1] / "data"
GAINS, SEEDS = (1, 6**0.5, 5), (5, 6)
OPTIMIZERS = (
    lambda model: SGD(model, lr=1e-3, momentum=0.9),
    lambda model: SGD(model, lr=1e-2, momentum=0.9),
    lambda model: Adam(model, lr=1e-3),
)


def deep(normalized, gain, rng, depth=20, width=64):
    layers = [Linear(16, width, rng=rng)]
    for _ in range(depth):
        layers += [Linear(width, width, rng=rng)]
        layers[-1].W *= np.float32(gain)
        layers += [LayerNorm(width)] if normalized else []
        layers += [ReLU()]
    return Sequential(*layers, Linear(width, 4, rng=rng))


def train(normalized, gain, make_optimizer, seed):
    """Return the loss after 200 updates; None if it exploded."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(128, 16)).astype(np.float32)
    targets = (x @ rng.normal(size=(16, 4))).argmax(axis=-1)
    model, loss = deep(normalized, gain, rng), CrossEntropyLoss()
    optimizer = make_optimizer(model)
    for _ in range(200):
        value = loss(model(x), targets)
        if not np.isfinite(value):
            return None
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return round(abs(float(value)), 5)  # a loss of 0 may come out as -0


def main(path):
    losses = {}
    for normalized, name in ((False, "without LayerNorm"), (True, "with LayerNorm")):
        with np.errstate(all="ignore"):  # some of these explode
            losses[name] = [
                [[train(normalized, gain, make, seed) for seed in SEEDS] for gain in GAINS]
                for make in OPTIMIZERS
            ]
        print(name, losses[name], flush=True)
    about = {"made by": "python benchmarks/layernorm.py", "axes": ["optimizers", "scales", "seeds"]}
    path.write_text(json.dumps({**about, "losses": losses}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "layernorm.json")
