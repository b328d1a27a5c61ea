"""What positions cost and give: the losses that chapter 22 draws. About six minutes on one core.

    python benchmarks/rotary.py     # writes data/rotary.json

Trains small GPTs of three kinds at T = 64, three seeds each: learned positions with LayerNorm, RoPE
with LayerNorm, RoPE with RMSNorm. Then the second kind reads windows of 256: as it is, with slower
angles (position interpolation, a larger base), and each after 100 more steps at T = 256. Beside it
two that a skeptic would ask for: windows of 64 that slide along, and models trained at 256 from the
start. All read the same text.
"""

import copy
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from numpygpt import GPT, GPTConfig
from numpygpt.data import split
from numpygpt.nn import Module, RMSNorm, Rotary, Sequential
from numpygpt.nn.functional import log_softmax
from numpygpt.tokenizers import CharTokenizer
from numpygpt.training import TrainConfig, Trainer

DATA = Path(__file__).parents[1] / "data"
N_LAYER, N_HEAD, N_EMBD = 3, 2, 64
STEPS, MORE_STEPS, TOKENS = 1000, 100, 768  # tokens in a batch
SHORT, LONG, BIN = 64, 256, 16
SEEDS = (0, 1, 2)


class TurnQK(Module):
    """Turns queries and keys, the first two thirds of what `qkv` gives.  x, y: (B, T, 3C)."""

    def __init__(self, n_heads, rotary):
        self.n_heads, self.rotary = n_heads, rotary

    def turned(self, turn, y):
        y = y.copy()
        B, T, _ = y.shape
        qk = y.reshape(B, T, 3, self.n_heads, -1).transpose(2, 0, 3, 1, 4)[:2]  # (2, B, H, T, D)
        qk[...] = turn(qk)
        return y

    def forward(self, y):
        return self.turned(self.rotary, y)

    def backward(self, dy):
        return self.turned(self.rotary.backward, dy)


class NoPositions(Module):
    """In place of `wpe`: adds nothing."""

    def forward(self, positions):
        return 0.0

    def backward(self, dy):
        pass


def new_model(kind, seed, block_size, vocab_size):
    config = GPTConfig(vocab_size, block_size, N_LAYER, N_HEAD, N_EMBD)
    model = GPT(config, rng=np.random.default_rng(seed))
    if kind != "learned":
        model.wpe, model.rotary = NoPositions(), Rotary(N_EMBD // N_HEAD, layout="halves")
        for block in model.blocks:
            block.attn.qkv = Sequential(block.attn.qkv, TurnQK(N_HEAD, model.rotary))
    if kind == "RoPE, RMSNorm":
        model.ln_f = RMSNorm(N_EMBD)
        for block in model.blocks:
            block.ln1, block.ln2 = RMSNorm(N_EMBD), RMSNorm(N_EMBD)
    return model


def train(model, tokens, seed, steps=STEPS, lr=2e-3):
    """Train, with batches of TOKENS tokens."""
    settings = {"eval_interval": 10**9, "eval_iters": 1, "warmup_iters": steps // 10, "seed": seed}
    batch_size = TOKENS // model.config.block_size
    config = TrainConfig(batch_size=batch_size, max_iters=steps, lr=lr, **settings)
    for _ in Trainer(model, tokens, tokens, config).run():
        pass


def read(model, windows):
    """The loss of each prediction for windows of ids (n, T + 1): (n, T)."""
    losses, at_once = [], TOKENS // (windows.shape[1] - 1)
    model.config = replace(model.config, block_size=max(model.config.block_size, LONG))
    for i in range(0, len(windows), at_once):
        x, y = windows[i : i + at_once, :-1], windows[i : i + at_once, 1:]
        losses.append(-np.take_along_axis(log_softmax(model(x)), y[..., None], axis=-1)[..., 0])
    return np.concatenate(losses)


def by_position(model, windows):
    """Mean loss of each BIN positions; of the last window, four decimals are more than enough."""
    losses = read(model, windows)
    return losses.mean(axis=0, dtype=np.float64).reshape(-1, BIN).mean(axis=1).round(4).tolist()


def sliding(model, tokens):
    """The same bins of the windows of LONG, each read from the last 49 to 64 tokens alone."""
    starts = np.arange(0, len(tokens) - LONG, LONG)  # of the windows of LONG
    found = by_position(model, tokens[starts[:, None] + np.arange(SHORT + 1)])
    for first in range(SHORT, LONG, BIN):
        windows = tokens[(starts + first + BIN - SHORT)[:, None] + np.arange(SHORT + 1)]
        found.append(float(read(model, windows)[:, -BIN:].mean(dtype=np.float64).round(4)))
    return found


def slower(model, way):
    """A copy with slower angles: at position 256 they are known ones, or closer to them."""
    other = copy.deepcopy(model)
    factor, D = LONG / SHORT, N_EMBD // N_HEAD
    if way == "interpolated":  # every pair: position 256 has the angles of position 64
        other.rotary.freqs = model.rotary.freqs / factor
    if way == "larger base":  # the slowest pair by the factor, the fastest not at all
        other.rotary.freqs = Rotary(D, base=10_000.0 * factor ** (D / (D - 2))).freqs
    return other


def main(path):
    text = (DATA / "shakespeare.txt").read_text("utf-8")
    train_text, val_text = split(text)
    tokenizer = CharTokenizer.train(text)
    tokens, val = (
        np.array(tokenizer.encode(part)) for part in (train_text, val_text[: len(val_text) // 2])
    )
    n = (len(val) - 1) // LONG * LONG
    val = val[: n + 1]
    windows = {T: val[np.arange(0, n, T)[:, None] + np.arange(T + 1)] for T in (SHORT, LONG)}
    V, losses = tokenizer.vocab_size, {}

    def note(name, found):
        losses.setdefault(name, []).append(found)
        print(
            f"{time.process_time():5.0f} s  {name:34} {np.round(found[:4], 3)} ... {found[-1]:.3f}",
            flush=True,
        )

    for seed in SEEDS:
        models = {}
        for kind in ("learned", "RoPE", "RoPE, RMSNorm"):
            models[kind] = new_model(kind, seed, SHORT, V)
            train(models[kind], tokens, seed)
            note(kind, by_position(models[kind], windows[SHORT]))
        for kind in ("learned", "RoPE"):
            note(f"{kind}, sliding", sliding(models[kind], val))
        for way in ("as it is", "interpolated", "larger base"):
            model = slower(models["RoPE"], way)
            note(f"RoPE at 256, {way}", by_position(model, windows[LONG]))
            train(model, tokens, seed + 100, MORE_STEPS, lr=5e-4)
            note(f"RoPE at 256, {way}, tuned", by_position(model, windows[LONG]))
        model = new_model("RoPE", seed, LONG, V)
        train(model, tokens, seed)
        note("RoPE, trained at 256", by_position(model, windows[LONG]))
    about = {"made by": "python benchmarks/rotary.py", "steps": STEPS, "more steps": MORE_STEPS}
    about |= {"layers": N_LAYER, "heads": N_HEAD, "width": N_EMBD, "characters read": n, "bin": BIN}
    Path(path).write_text(json.dumps({**about, "losses": losses}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DATA / "rotary.json")
