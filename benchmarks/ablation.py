"""One change at a time, from our GPT to a modern one: the losses that chapter 23 draws.

    python benchmarks/ablation.py           # fills data/ablation.json: ten minutes of a core
    python benchmarks/ablation.py --table   # prints what is there

All models have two blocks, half as wide as make train's. Each row is trained for STEPS steps, from
SEEDS, with the same batches in all rows; three for twice STEPS, too, with a schedule of their own.
What the GPT has after the time that another row takes (by the processor time of a step, measured
first) lies between its two lengths. A run that is in the file is not run again: stop when you like.
"""

import json
import math
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.data import split, write_beside
from numpygpt.nn import GroupedQueryAttention, Module, RMSNorm, Rotary, SquaredReLU, SwiGLU
from numpygpt.tokenizers import CharTokenizer
from numpygpt.training import TrainConfig, Trainer

DATA = Path(__file__).parents[1] / "data"
SHAPE = {"block_size": 64, "n_layer": 2, "n_head": 2, "n_embd": 64}
C, H, D, HIDDEN = 64, 2, 32, 176
STEPS, SEEDS = 700, (0, 1, 2)
SETTINGS = {"batch_size": 12, "lr": 2e-3, "min_lr": 1e-4, "eval_iters": 60, "eval_interval": 10**9}
BASE, AGAIN = "GPT of chapter 12", "GPT, other first weights"
SIX = "all six"


class NoPositions(Module):
    """In place of `wpe`: adds nothing."""

    def forward(self, positions):
        return 0.0

    def backward(self, dy):
        pass


def changed(model, change, made):
    """Put the new part into every block of a GPT that keeps all else, its biases too."""
    made = {"bias": True, **made}
    for block in model.blocks:
        if change == "RMSNorm":
            block.ln1, block.ln2, model.ln_f = RMSNorm(C), RMSNorm(C), RMSNorm(C)
        elif change == "RoPE":
            block.attn = GroupedQueryAttention(C, H, H, D, rotary=Rotary(D), **made)
            model.wpe = NoPositions()
        elif change == "GQA, 1 head for 2":
            block.attn = GroupedQueryAttention(C, H, H // 2, D, **made)
        elif change == "QK-norm":
            block.attn = GroupedQueryAttention(C, H, H, D, qk_norm=True, **made)
        elif change == "SwiGLU":
            block.ffn = SwiGLU(C, HIDDEN, **made)
        elif change == "ReLU²":
            block.ffn = SquaredReLU(C, 4 * C, **made)
    return model


CHANGES = ("RMSNorm", "RoPE", "SwiGLU", "ReLU²", "GQA, 1 head for 2", "QK-norm")
GPTS = {"no biases": {"bias": False}}
GPTS |= dict.fromkeys(("head of its own", "head of its own, zeros"), {"tie_weights": False})
LLAMAS = {
    SIX: {},
    "all six, ReLU²": {"activation": "relu2"},
    "all six, head of zeros": {"tie_weights": False, "zero_init_head": True},
}
ROWS = (BASE, AGAIN, *CHANGES, *GPTS, *LLAMAS)


def build(row, seed, vocab_size):
    """Return the model of a row; all matrices are drawn by the same rule."""
    rng = np.random.default_rng([seed, row == AGAIN])
    made = {"rng": rng, "dtype": np.float32}
    if row in LLAMAS:
        options = {"n_kv_head": H // 2, "qk_norm": True, **LLAMAS[row]}
        return Llama(LlamaConfig(vocab_size, **SHAPE, **options), **made)
    model = GPT(GPTConfig(vocab_size, **SHAPE, **GPTS.get(row, {})), **made)
    model = changed(model, row, made)
    for name, p in model.params().items():
        if p.ndim == 2:
            branch = name.endswith(("proj.W", "fc2.W", "down.W"))
            p[...] = rng.normal(0, 0.02 / math.sqrt(2 * SHAPE["n_layer"]) ** branch, p.shape)
    if row == "head of its own, zeros":
        model.head.W[...] = 0
    return model


def tokens():
    text = (DATA / "shakespeare.txt").read_text(encoding="utf-8")
    tokenizer = CharTokenizer.train(text)
    return tokenizer.vocab_size, *(np.array(tokenizer.encode(part)) for part in split(text))


def costs(vocab_size, train_tokens, val_tokens, rounds=15):
    """Return {row: processor time of a step, as a multiple of the GPT's}: medians over rounds."""
    config = TrainConfig(**SETTINGS, max_iters=10**6)
    trainers = {
        row: Trainer(build(row, 0, vocab_size), train_tokens, val_tokens, config) for row in ROWS
    }
    seconds = {row: [] for row in ROWS}
    for _ in range(rounds + 1):  # the first warms up
        for row, trainer in trainers.items():
            start = time.process_time()
            trainer.step()
            seconds[row].append(time.process_time() - start)
    for times in seconds.values():
        del times[0]
    ratios = {
        row: [s / base for s, base in zip(times, seconds[BASE], strict=True)]
        for row, times in seconds.items()
    }
    about = {row: round(statistics.median(r), 3) for row, r in ratios.items()}
    return about, round(1000 * statistics.median(seconds[BASE]), 1)


def train(row, steps, seed, vocab_size, train_tokens, val_tokens):
    """Return (last validation loss, processor seconds)."""
    start = time.process_time()
    config = TrainConfig(**SETTINGS, max_iters=steps, warmup_iters=steps // 10, seed=seed)
    trainer = Trainer(build(row, seed, vocab_size), train_tokens, val_tokens, config)
    *_, last = trainer.run()
    return round(last["val_loss"], 4), round(time.process_time() - start, 1)


def wanted():
    """All runs: (row, steps, seed)."""
    lengths = [(row, STEPS) for row in ROWS] + [(row, 2 * STEPS) for row in (BASE, "RoPE", SIX)]
    return [(row, steps, seed) for seed in SEEDS for row, steps in lengths]


def gap(runs, row, steps):
    """Return (mean, half of the 95% interval) of the difference to the GPT with so many steps.

    The GPT's loss is taken to be linear in log(steps) near its two runs.
    """
    gaps = []
    for seed in SEEDS:
        short, long = runs[BASE, STEPS, seed], runs[BASE, 2 * STEPS, seed]
        gpt = short + (long - short) * math.log2(steps / STEPS)
        gaps.append(runs[row, STEPS, seed] - gpt)
    return statistics.mean(gaps), 4.303 * statistics.stdev(gaps) / math.sqrt(len(gaps))  # t, 2 df


def table(found):
    runs = {(r["row"], r["steps"], r["seed"]): r["val_loss"] for r in found["runs"]}
    print(f"{'':26}{'parameters':>11}{'cost':>7}  {'equal steps':>18}{'equal time':>18}")
    for row in ROWS:
        cost = found["cost"][row]
        line = f"{row:26}{found['parameters'][row]:>11,}{cost:>7.2f}"
        for steps in (STEPS, cost * STEPS):
            if row != BASE:
                line += "  {:+.3f} ± {:.3f}".format(*gap(runs, row, steps))
        print(line)
    for row in (BASE, "RoPE", SIX):
        for steps in (STEPS, 2 * STEPS):
            print(f"{row}, {steps} steps: {[runs[row, steps, s] for s in SEEDS]}")


def main(path, only_table):
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if only_table:
        return table(found)

    def save():
        text = json.dumps(found, indent=0, ensure_ascii=False) + "\n"
        write_beside(path, lambda beside: Path(beside).write_text(text, encoding="utf-8"))

    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        raise SystemExit("set OPENBLAS_NUM_THREADS=1: times are those of one thread")
    data = tokens()
    if not found:
        cost, ms = costs(*data)
        numbers = {row: build(row, 0, data[0]).num_params() for row in ROWS}
        found |= {"made_by": "python benchmarks/ablation.py", "shape": SHAPE, "settings": SETTINGS}
        found |= {"steps": STEPS, "ms": ms, "cost": cost, "parameters": numbers, "runs": []}
        save()
    done = {(r["row"], r["steps"], r["seed"]) for r in found["runs"]}
    for row, steps, seed in wanted():
        if (row, steps, seed) not in done:
            loss, seconds = train(row, steps, seed, *data)
            run = {"row": row, "steps": steps, "seed": seed, "val_loss": loss}
            found["runs"].append(run | {"seconds": seconds})
            save()
            print(f"seed {seed}  {row:26}{steps:5} steps  {loss:.4f}  {seconds} s", flush=True)
    table(found)


if __name__ == "__main__":
    main(DATA / "ablation.json", "--table" in sys.argv[1:])
