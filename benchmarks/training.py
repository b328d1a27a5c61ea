"""A training with its instruments, and two rates with ten seeds: what chapter 16 draws. A minute.

    python benchmarks/training.py      # writes data/training.json

Both are the chapter's own code with more steps and more seeds than its cells wait for. First 2,000
steps of its small GPT: losses, gradient norms, and for three matrices the update-to-weight ratio.
Then two learning rates, 300 steps each, from ten seeds: the validation loss every 60 steps.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt import GPT, GPTConfig
from numpygpt.nn.functional import softmax
from numpygpt.tokenizers import CharTokenizer
from numpygpt.training import TrainConfig, Trainer

DATA = Path(__file__).parents[1] / "data"
TEXT = (DATA / "shakespeare.txt").read_text(encoding="utf-8")
TOKENIZER = CharTokenizer.train(TEXT[:1_000_000])
TRAIN, VAL = (np.array(TOKENIZER.encode(part)) for part in (TEXT[:1_000_000], TEXT[1_000_000:]))
WATCHED = ["wte.W", "blocks.0.attn.qkv.W", "blocks.1.ffn.fc2.W"]
RATES, SEEDS = (5e-3, 2.5e-3), range(10)


def new_trainer(config):
    shape = GPTConfig(TOKENIZER.vocab_size, block_size=32, n_layer=2, n_head=2, n_embd=32)
    model = GPT(shape, rng=np.random.default_rng(config.seed), dtype=np.float64)
    return Trainer(model, TRAIN, VAL, config)


def write(model, n_chars=110):
    """What the model writes after a line break."""
    rng, ids = np.random.default_rng(4), TOKENIZER.encode("\n")
    for _ in range(n_chars):
        p = softmax(model(np.array([ids[-32:]]))[0, -1])
        ids.append(int(rng.choice(len(p), p=p)))
    return TOKENIZER.decode(ids).strip()


def watched_step(trainer):
    params = trainer.model.params()
    before = {name: params[name].copy() for name in WATCHED}
    record = trainer.step()
    record["ratio"] = [(params[name] - p).std() / p.std() for name, p in before.items()]
    record["size"] = before["wte.W"].std()
    return record


def one_run():
    """Return what was recorded in 2,000 steps as {name: list}, four digits of each number."""
    settings = {"batch_size": 8, "lr": 5e-3, "min_lr": 5e-4, "warmup_iters": 100, "seed": 0}
    trainer = new_trainer(TrainConfig(max_iters=2000, eval_iters=40, **settings))
    records, val_loss, samples = [], {}, {}
    for step in range(1, 2001):
        records.append(watched_step(trainer))
        if step % 250 == 0:
            val_loss[step] = trainer.evaluate()
        if step in (500, 2000):
            samples[step] = write(trainer.model)
    found = {"val_loss": val_loss, "samples": samples}
    for name in ("train_loss", "grad_norm", "size"):
        found[name] = [float(f"{r[name]:.4g}") for r in records]
    found["ratio"] = [[float(f"{ratio:.4g}") for ratio in r["ratio"]] for r in records]
    return found


def validation_curve(lr, seed):
    schedule = {"max_iters": 300, "lr": lr, "min_lr": lr / 10, "warmup_iters": 30, "seed": seed}
    trainer = new_trainer(TrainConfig(batch_size=8, eval_interval=60, eval_iters=60, **schedule))
    return [round(r["val_loss"], 5) for r in trainer.run() if "val_loss" in r]


def main(path):
    run, curves = one_run(), []
    for lr in RATES:
        for seed in SEEDS:
            curves.append({"lr": lr, "seed": seed, "val_loss": validation_curve(lr, seed)})
            print(curves[-1], flush=True)
    about = {"made by": "python benchmarks/training.py"}
    text = json.dumps({**about, "curves": curves, "run": run}, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "training.json")
