"""Muon beside AdamW: loss after equal steps and after equal time. A quarter of an hour on one core.

    python benchmarks/muon.py      # writes data/muon.json, which chapter 24 draws

The model and the batches of `numpygpt train`. First each optimizer's best rate of a few, at 600
steps and with one seed; what AdamW steps beside Muon has AdamW's best. Then, with these rates, runs
of 150, 300 and 600 steps with three seeds, each with a schedule of its own. Seconds are those of
the processor, on one thread, and without the evaluation. What is in the file is not done again.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt import GPT, GPTConfig
from numpygpt.data import split
from numpygpt.optim import Muon
from numpygpt.tokenizers import CharTokenizer
from numpygpt.training import TrainConfig, Trainer

ROOT = Path(__file__).parents[1]
RATES = {"AdamW": (2e-3, 4e-3, 8e-3, 16e-3), "Muon": (0.01, 0.02, 0.04)}
STEPS, SEEDS = (150, 300, 600), (0, 1, 2)


def train(optimizer, lr, steps, seed, adam_lr=None):
    """Return the validation loss, and the seconds that the steps took."""
    text = (ROOT / "data/shakespeare.txt").read_text(encoding="utf-8")
    ids = np.array(CharTokenizer.train(text).encode(text))
    config = TrainConfig(
        max_iters=steps, lr=lr, min_lr=lr / 20, warmup_iters=steps // 10, seed=seed
    )
    shape = GPTConfig(int(ids.max()) + 1, 64, 4, 4, 128)
    model = GPT(shape, rng=np.random.default_rng([seed, 0]))
    muon = None
    if optimizer == "Muon":
        decay, betas = config.weight_decay, (config.beta1, config.beta2)
        muon = Muon(model, lr, weight_decay=decay, adam_lr=adam_lr, betas=betas)
    trainer = Trainer(model, *split(ids), config, optimizer=muon)
    start = time.process_time()
    for _ in range(steps):
        trainer.step()
    seconds = time.process_time() - start
    return trainer.evaluate(), seconds


class Results:
    """The runs that are done, in a file that is written after each of them."""

    def __init__(self, path):
        self.path, self.runs = path, []
        if path.exists():
            self.runs = json.loads(path.read_text(encoding="utf-8"))["runs"]

    def loss(self, **setting):
        """Return the loss of a run; do it if it is not there."""
        for run in self.runs:
            if setting.items() <= run.items():
                return run["loss"]
        loss, seconds = train(**setting)
        self.runs.append({**setting, "loss": round(loss, 4), "seconds": round(seconds, 1)})
        print(self.runs[-1], flush=True)
        lines = ",\n".join(json.dumps(run) for run in self.runs)
        text = '{"made by": "python benchmarks/muon.py", "runs": [\n' + lines + "\n]}\n"
        self.path.write_text(text, encoding="utf-8")
        return loss


def main(path):
    results, best = Results(path), {}
    for optimizer, rates in RATES.items():
        more = {"adam_lr": best["AdamW"]} if optimizer == "Muon" else {}
        found = {
            lr: results.loss(optimizer=optimizer, lr=lr, steps=600, seed=0, **more) for lr in rates
        }
        best[optimizer] = min(found, key=found.get)
    for steps in STEPS:
        for seed in SEEDS:
            for optimizer, lr in best.items():
                more = {"adam_lr": best["AdamW"]} if optimizer == "Muon" else {}
                results.loss(optimizer=optimizer, lr=lr, steps=steps, seed=seed, **more)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data/muon.json")
