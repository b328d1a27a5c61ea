"""Which part of Muon helps: a small GPT, three seeds each: what chapter 24 tells. A minute.

    python benchmarks/muon_parts.py      # writes data/muon_parts.json

The chapter's own code: 150 steps, two blocks of width 48. AdamW, Muon, and a rival that keeps the
length of Muon's step and not its equal sizes, each at the best of its rates for one seed; then four
changes to Muon. The runs of the search come first.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt import GPT, GPTConfig
from numpygpt.checkpoint import load_model
from numpygpt.data import split
from numpygpt.optim import Adam, Muon
from numpygpt.training import TrainConfig, Trainer

DATA = Path(__file__).parents[1] / "data"
SEEDS = (0, 1, 2)


class SameLength(Muon):
    def direction(self, u):
        return u * (min(u.shape) ** 0.5 / np.linalg.norm(u))


class Exact(Muon):
    def direction(self, u):
        U, _, Vt = np.linalg.svd(u, full_matrices=False)
        return U @ Vt


def adamw(model, lr):
    return Adam(model, lr, (0.9, 0.99), weight_decay=0.1)


def muon_like(kind, **options):
    settings = {"weight_decay": 0.1, "adam_lr": 5e-3, "betas": (0.9, 0.99)}
    return lambda model, lr: kind(model, lr, **settings, **options)


KINDS = {  # what makes the optimizer, and the rates to choose from
    "AdamW": (adamw, (1.25e-3, 2.5e-3, 5e-3)),
    "Muon": (muon_like(Muon), (0.01, 0.02, 0.04)),
    "same length, unequal sizes": (muon_like(SameLength), (0.00125, 0.0025, 0.005, 0.01)),
    "sizes of exactly 1": (muon_like(Exact), (0.02,)),
    "q, k, v as one matrix": (muon_like(Muon, apart=lambda name, W: [W]), (0.02,)),
    "embeddings, too": (muon_like(Muon, takes=lambda name, p: p.ndim == 2), (0.02,)),
}


def final_loss(make, lr, seed, ids, vocab_size):
    shape = GPTConfig(vocab_size, 32, 2, 4, 48)
    model = GPT(shape, rng=np.random.default_rng(seed))
    schedule = {"max_iters": 150, "lr": lr, "min_lr": lr / 20, "warmup_iters": 15, "seed": seed}
    config = TrainConfig(batch_size=8, eval_interval=150, eval_iters=40, **schedule)
    trainer = Trainer(model, *split(ids), config, optimizer=make(model, lr))
    return list(trainer.run())[-1]["val_loss"]


def main(path):
    # The tokenizer of the chapter's model, and so the same ids.
    checkpoint = DATA / "checkpoints/shakespeare_char/checkpoint.npz"
    tokenizer = load_model(checkpoint)[1]
    ids = np.array(tokenizer.encode((DATA / "shakespeare.txt").read_text(encoding="utf-8")))
    runs = []
    for name, (make, rates) in KINDS.items():

        def run(lr, seed, name=name, make=make):
            loss = float(final_loss(make, lr, seed, ids, tokenizer.vocab_size))
            runs.append({"optimizer": name, "lr": lr, "seed": seed, "loss": round(loss, 4)})
            print(runs[-1], flush=True)
            return loss

        losses = [run(lr, SEEDS[0]) for lr in rates]
        for seed in SEEDS[1:]:
            run(rates[int(np.argmin(losses))], seed)
    lines = ",\n".join(json.dumps(run) for run in runs)
    about = '{"made by": "python benchmarks/muon_parts.py", "runs": [\n'
    path.write_text(about + lines + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "muon_parts.json")
