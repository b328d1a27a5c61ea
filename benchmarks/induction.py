"""How an induction head grows: the curves that chapter 26 draws, and the model that it looks into.

    python benchmarks/induction.py     # writes data/induction.json and data/checkpoints/induction

Trains models of attention alone, with one block and with two, five seeds each, on random tokens
that repeat. Every EVERY steps it measures on the same held-out texts: the loss of the first time
and of the repeats, how many of the repeats are guessed right, the best induction score of a head,
the best previous-token score of a head of the first block. The two-block model of seed 0 is kept.
About a minute of one core.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import save_checkpoint
from numpygpt.data import write_beside
from numpygpt.evaluate import token_losses
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.nn import Module
from numpygpt.optim import Adam

DATA = Path(__file__).parents[1] / "data"
V, T, PERIODS = 32, 56, (8, 28)  # tokens; length of a text; shortest and longest period
N_HEAD, N_EMBD, BATCH, LR = 2, 32, 16, 6e-3
STEPS, EVERY, SEEDS = 1000, 25, (0, 1, 2, 3, 4)


class Nothing(Module):
    """Adds nothing to the stream: in place of a feed-forward part and its norm."""

    def forward(self, x):
        return 0.0

    def backward(self, dy):
        return 0.0


def attention_only(n_layer, rng, dtype=np.float32):
    config = LlamaConfig(V, T, n_layer, N_HEAD, N_EMBD, hidden=1, tie_weights=False)
    model = Llama(config, rng=rng, dtype=dtype)
    for block in model.blocks:
        block.norm2 = block.ffn = Nothing()
    for p in model.params().values():
        if p.ndim == 2:  # larger than a Llama begins: so small a model would wait for long
            p[...] = rng.normal(0, N_EMBD**-0.5, p.shape)
    return model


def repeats(n, rng):
    """Return n texts (n, T + 1) of random tokens that repeat, and the period of each, (n, 1)."""
    periods = rng.integers(PERIODS[0], PERIODS[1] + 1, (n, 1))
    first = rng.integers(0, V, (n, PERIODS[1]))
    return np.take_along_axis(first, np.arange(T + 1) % periods, axis=1), periods


def measure(model, ids, periods):
    """Return what the curves show, of texts (n, T + 1) with these periods (n, 1)."""
    logits = model(ids[:, :-1])
    losses, t = token_losses(logits, ids[:, 1:]), np.arange(T)
    again = t >= periods  # where the text has been read once: the next token can be copied
    rows, queries = np.nonzero(again)
    scores = {"induction": [], "previous": []}
    for block in model.blocks:
        p = block.attn.p  # (n, H, T, T)
        scores["induction"].append(p[rows, :, queries, queries - periods[rows, 0] + 1].mean(axis=0))
        scores["previous"].append(p[:, :, t[1:], t[:-1]].mean(axis=(0, 2)))
    return {
        "loss, first time": float(losses[t < periods - 1].mean()),
        "loss, again": float(losses[again].mean()),
        "right": float((logits.argmax(axis=-1) == ids[:, 1:])[again].mean()),
        "induction": float(np.max(scores["induction"])),
        "previous": float(np.max(scores["previous"][0])),
    }


def grow(n_layer, seed, held_out):
    """Train a model; return it, and what was measured on the way as {name: list}."""
    rng = np.random.default_rng([seed, n_layer])
    model = attention_only(n_layer, rng)
    optimizer, found = Adam(model, LR, betas=(0.9, 0.99)), {"step": []}
    for step in range(STEPS + 1):
        if step:
            ids, _ = repeats(BATCH, rng)
            optimizer.zero_grad()
            model(ids[:, :-1], ids[:, 1:])
            model.backward()
            optimizer.step()
        if step % EVERY == 0:
            found["step"].append(step)
            for name, value in measure(model, *held_out).items():
                found.setdefault(name, []).append(round(value, 4))
    return model, found


def first_above(found, name, limit):
    """Return the first measured step with a value of at least `limit`; None if there is none."""
    return next((s for s, v in zip(found["step"], found[name], strict=True) if v >= limit), None)


def main(argv=None):
    parser = argparse.ArgumentParser(description="Grow induction heads, and write what they show.")
    parser.add_argument("--out", type=Path, default=DATA, metavar="DIR", help="%(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="N")
    args = parser.parse_args(argv)
    held_out, runs = repeats(128, np.random.default_rng(1_000_000)), []
    for seed in args.seeds:
        for n_layer in (1, 2):
            start = time.process_time()
            model, found = grow(n_layer, seed, held_out)
            seconds = time.process_time() - start
            at = first_above(found, "induction", 0.5)
            runs.append({"layers": n_layer, "seed": seed, "half": at, **found})
            right, score = found["right"][-1], found["induction"][-1]
            print(
                f"{n_layer} layers, seed {seed}: right {right:.3f}, induction {score:.2f}, "
                f"0.5 at step {at}; {seconds:.0f} s",
                flush=True,
            )
            if (n_layer, seed) == (2, args.seeds[0]):
                arrays = {f"model.{name}": p for name, p in model.params().items()}
                meta = {"model": asdict(model.config), "step": STEPS, "seed": seed}
                save_checkpoint(args.out / "checkpoints/induction/checkpoint.npz", arrays, meta)
    about = {"made by": "python benchmarks/induction.py", "steps": STEPS, "chance": 1 / V}
    text = json.dumps({**about, "runs": runs}) + "\n"
    write_beside(args.out / "induction.json", lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
