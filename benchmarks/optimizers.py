"""At how many learning rates does each optimizer learn? What chapter 6 draws. Half a minute.

    python benchmarks/optimizers.py      # writes data/optimizers.json

The chapter's own code: a small network, 200 updates, eleven rates, three starts, five optimizers;
and four tasks, which differ in the units of the two inputs.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.nn import CrossEntropyLoss, Linear, ReLU, Sequential
from numpygpt.optim import SGD, Adam

DATA = Path(__file__).parents[1] / "data"
RATES, SEEDS = np.logspace(-4, 1, 11), (1, 2, 3)
UNITS = {
    "inputs alike": (1, 1),
    "first input times 10": (10, 1),
    "first input times 0.1": (0.1, 1),
    "second input times 0.1": (1, 0.1),
}
MAKERS = {
    "SGD": SGD,
    "momentum 0.9": lambda model, lr: SGD(model, lr, momentum=0.9),
    "momentum 0.99": lambda model, lr: SGD(model, lr, momentum=0.99),
    "Adam": Adam,
    "Adam, beta1 = 0": lambda model, lr: Adam(model, lr, betas=(0, 0.999)),
}


def two_arms():
    """Return points (200, 2) on two arcs that curl around each other, and the arc of each."""
    rng = np.random.default_rng(0)
    radius = np.linspace(0.2, 1, 100)
    arm = np.stack([radius * np.cos(5 * radius), radius * np.sin(5 * radius)], axis=1)
    points = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (200, 2))
    return points, np.repeat([0, 1], 100)


def final_loss(make, lr, units, seed, steps=200):
    """Return the loss of the last update; None if it is not a finite number."""
    (points, labels), rng = two_arms(), np.random.default_rng(seed)
    model = Sequential(
        Linear(2, 32, rng=rng, dtype=np.float64), ReLU(), Linear(32, 2, rng=rng, dtype=np.float64)
    )
    loss, optimizer = CrossEntropyLoss(), make(model, lr)
    for _ in range(steps):
        value = loss(model(points * units), labels)
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return round(float(value), 5) if np.isfinite(value) else None


def sweep(units):
    """Return {optimizer: losses}, each (rates, starts)."""
    with np.errstate(all="ignore"):  # a rate that is far too high may overflow
        return {
            name: [[final_loss(make, lr, units, seed) for seed in SEEDS] for lr in RATES]
            for name, make in MAKERS.items()
        }


def main(path):
    found = {}
    for name, units in UNITS.items():
        found[name] = sweep(units)
        print(name, "done", flush=True)
    about = {"made by": "python benchmarks/optimizers.py", "starts": SEEDS}
    path.write_text(json.dumps({**about, "losses": found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "optimizers.json")
