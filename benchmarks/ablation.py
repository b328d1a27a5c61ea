"""One change at a time, from our GPT to a modern one: the losses that chapter 23 draws.

    python benchmarks/ablation.py           # fills data/ablation.json: twenty minutes of a core
    python benchmarks/ablation.py --table   # prints what is there

All models have two blocks of make train's shape. Each row is trained for STEPS steps, for as many
steps as take the time of the GPT's (by the processor time of a step, measured first), and the GPT
for twice STEPS, too; each with a schedule of its own, and from SEEDS, with the same batches in all
rows. A run that is in the file is not run again: stop it whenever you like.
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
SHAPE = {"block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 128}
C, H, D, HIDDEN = 128, 4, 32, 344
STEPS, SEEDS = 450, (0, 1, 2)
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
        elif change == "GQA, 2 of 4 heads":
            block.attn = GroupedQueryAttention(C, H, H // 2, D, **made)
        elif change == "QK-norm":
            block.attn = GroupedQueryAttention(C, H, H, D, qk_norm=True, **made)
        elif change == "SwiGLU":
            block.ffn = SwiGLU(C, HIDDEN, **made)
        elif change == "ReLU²":
            block.ffn = SquaredReLU(C, 4 * C, **made)
    return model


CHANGES = ("RMSNorm", "RoPE", "SwiGLU", "ReLU²", "GQA, 2 of 4 heads", "QK-norm")
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
        options = {"n_kv_head": 2, "qk_norm": True, **LLAMAS[row]}
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


def in_equal_time(row, cost):
    """How many steps of this row take the time of STEPS of the GPT's; within 1%, as many."""
    return STEPS if abs(cost[row] - 1) < 0.01 or row == AGAIN else round(STEPS / cost[row])


def wanted(cost):
    """Yield (row, steps) of all runs: equal steps, equal time, and the GPT for twice the steps."""
    for row in ROWS:
        yield row, STEPS
        yield row, in_equal_time(row, cost)
    yield BASE, 2 * STEPS


def paired(found, row, steps):
    """Return (mean, half width) of the difference to the GPT over seeds: a 95% interval."""
    runs = {(r["row"], r["steps"], r["seed"]): r["val_loss"] for r in found["runs"]}
    gaps = [runs[row, steps, s] - runs[BASE, STEPS, s] for s in SEEDS]
    return statistics.mean(gaps), 4.303 * statistics.stdev(gaps) / math.sqrt(len(gaps))  # t, 2 df


def table(found):
    runs = {(r["row"], r["steps"], r["seed"]): r["val_loss"] for r in found["runs"]}
    print(f"{'':26}{'parameters':>11}{'cost':>7}  {'equal steps':>18}{'equal time':>18}")
    for row in ROWS:
        line = f"{row:26}{found['parameters'][row]:>11,}{found['cost'][row]:>7.2f}"
        for steps in (STEPS, in_equal_time(row, found["cost"])):
            if row != BASE and all((row, steps, s) in runs for s in SEEDS):
                mean, half = paired(found, row, steps)
                line += f"  {mean:+.3f} ± {half:.3f}"
        print(line)
    for row, steps in ((BASE, STEPS), (BASE, 2 * STEPS), (SIX, STEPS)):
        losses = [runs[row, steps, s] for s in SEEDS if (row, steps, s) in runs]
        print(f"{row}, {steps} steps: {losses}")


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
    for seed in SEEDS:
        for row, steps in dict.fromkeys(wanted(found["cost"])):
            if (row, steps, seed) not in done:
                loss, seconds = train(row, steps, seed, *data)
                run = {"row": row, "steps": steps, "seed": seed, "val_loss": loss}
                found["runs"].append(run | {"seconds": seconds})
                save()
                print(f"seed {seed}  {row:26}{steps:5} steps  {loss:.4f}  {seconds} s", flush=True)
    table(found)


if __name__ == "__main__":
    main(DATA / "ablation.json", "--table" in sys.argv[1:])
