"""What fine-tuning gives and what it costs: the runs that chapter 27 draws. Six minutes of a core.

    python benchmarks/finetuning.py      # writes data/finetuning.json

Two parts. The forgetful adder learns from 500 right sums: all of its weights, adapters of several
ranks, or all of them with a loss on prompts, too; each at the best of four rates, which a search of
200 steps with a seed of its own finds, for adapters at rank 8; five seeds. From 20 sums with and
without the mask, at every rate. Then the model of Shakespeare learns capitals, and forgets; each
kind at two rates. Three seeds each. Seconds are those of the processor, on one thread. What is in
the file is not done again.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.checkpoint import load_model
from numpygpt.data import split
from numpygpt.nn.lora import Adapter
from numpygpt.posttraining import Finetuner, adder
from numpygpt.training import TrainConfig, Trainer

ROOT = Path(__file__).parents[1]
SEEDS = (0, 1, 2, 3, 4)
SEARCH_SEED = 9
AT = (5, 10, 25, 50, 100, 200)  # the steps after which it is tested
RANKS = (1, 2, 4, 8, 16)
RATES = {"full": (1e-4, 3e-4, 1e-3, 3e-3), "LoRA": (1e-3, 3e-3, 1e-2, 3e-2)}
CAPITALS = {"full": 1e-3, "LoRA 1": 1e-2, "LoRA 8": 3e-3}
CAPITALS |= {"full, slower": 3e-4, "LoRA 1, slower": 3e-3, "LoRA 8, slower": 1e-3}


def checkpoint(name):
    return load_model(ROOT / f"data/checkpoints/{name}/checkpoint.npz")[:2]


def of_kind(kind, model, seed):
    """Return what is trained: the model, or an adapter of the rank that `kind` names."""
    if not kind.startswith("LoRA"):
        return model
    rank = int(kind.split(",")[0].split()[1])
    return Adapter(model, rank, rng=np.random.default_rng([seed, 7]))


def settings(steps, lr, seed, **options):
    return TrainConfig(
        max_iters=steps,
        lr=lr,
        min_lr=lr / 10,
        warmup_iters=10,
        weight_decay=0.0,
        seed=seed,
        **options,
    )


def mend(kind, lr, seed, at=AT):
    """Train the adder on right sums; return the shares of right held-out answers, and more."""
    model, _ = checkpoint("forgetful_adder")
    pairs, held_out = adder.split_sums()
    n_sums = 20 if "20 sums" in kind else 500
    pairs = np.random.default_rng([seed, 5]).permutation(pairs)[:n_sums]
    rows = adder.rows(pairs, adder.right_answers(pairs), mask="no mask" not in kind)
    test = adder.rows(held_out, adder.right_answers(held_out))
    trained = of_kind(kind, model, seed)
    trainer = Finetuner(trained, rows, test, settings(max(at), lr, seed, batch_size=64))
    shares, seconds = [], 0.0
    for _ in range(max(at)):
        start = time.process_time()
        trainer.step()
        seconds += time.process_time() - start
        if trainer.step_count in at:
            shares.append(adder.share_saying(model, held_out, adder.right_answers(held_out)))
    return {"shares": shares, "seconds": seconds, "trained": trained.num_params()}


def forget(kind, lr, seed):
    """Train the model of Shakespeare on capitals; return its losses on both kinds of text."""
    model, tokenizer = checkpoint("shakespeare_char")
    text = (ROOT / "data/shakespeare.txt").read_text(encoding="utf-8")
    plain, capitals = (split(np.array(tokenizer.encode(t))) for t in (text, text.upper()))
    trained = of_kind(kind, model, seed)
    config = settings(60, lr, seed, eval_iters=20)
    trainer = Trainer(trained, *capitals, config)
    reader = Trainer(trained, *plain, config)
    before = {"capitals": trainer.evaluate(), "plain": reader.evaluate()}
    start = time.process_time()
    for _ in range(config.max_iters):
        trainer.step()
    seconds = time.process_time() - start
    after = {"capitals": trainer.evaluate(), "plain": reader.evaluate()}
    found = {"before": before, "after": after, "seconds": seconds, "trained": trained.num_params()}
    if trained is not model:
        trained.take_off()
        found["taken off"] = Trainer(model, *plain, config).evaluate()
    return found


class Results:
    """The runs that are done, in a file that is written after each of them."""

    def __init__(self, path):
        self.path, self.runs = path, []
        if path.exists():
            self.runs = json.loads(path.read_text(encoding="utf-8"))["runs"]

    def get(self, work, kind, lr, seed):
        key = {"work": work.__name__, "kind": kind, "lr": lr, "seed": seed}
        for run in self.runs:
            if run.items() >= key.items():
                return run
        found = rounded({**key, **work(kind, lr, seed)})
        self.runs.append(found)
        lines = ",\n".join(json.dumps(run) for run in self.runs)
        self.path.write_text(f'{{"at": {list(AT)}, "runs": [\n{lines}\n]}}\n', encoding="utf-8")
        print(json.dumps(found), flush=True)
        return found


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def main(path):
    results = Results(Path(path))
    best = {}
    for kind in ("full", "full, no mask", "LoRA 8"):
        rates = RATES[kind[:4]]
        found = {lr: results.get(mend, kind, lr, SEARCH_SEED)["shares"][-1] for lr in rates}
        best[kind] = max(found, key=found.get)
    for kind in ("full", "full, no mask", *(f"LoRA {rank}" for rank in RANKS)):
        for seed in SEEDS:
            results.get(mend, kind, best.get(kind, best["LoRA 8"]), seed)
    for seed in SEEDS[:3]:
        for lr in RATES["full"]:
            for kind in ("full, 20 sums", "full, no mask, 20 sums"):
                results.get(mend, kind, lr, seed)
        for kind, lr in CAPITALS.items():
            results.get(forget, kind, lr, seed)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ROOT / "data/finetuning.json")
