"""What preferences do to small models: the figures that chapter 28 draws. Seven minutes on a core.

    python benchmarks/preferences.py     # writes data/preferences.json

The Shakespeare model of data/checkpoints learns from pairs of lines by the same character: chosen
is the one that says *thou*, rejected the one that says *you*. Five seeds draw the pairs and their
order. All runs have as many steps of as many pairs, measured on pairs that no step has seen, and on
lines that the model writes for Romeo. Then a reward model of the same pairs, and a search for what
it likes best; and the forgetful adder of chapter 27, which is told which of two sums is better.
"""

import copy
import json
import re
import sys
import time
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import load_model
from numpygpt.generate import generate
from numpygpt.optim import Adam
from numpygpt.posttraining import (
    IGNORE,
    DPOLoss,
    Example,
    MaskedLoss,
    PreferenceLoss,
    RewardModel,
    adder,
    answer_log_probs,
    padded,
)

DATA = Path(__file__).parents[1] / "data"
SEEDS = (0, 1, 2, 3, 4)
MARKS = (0, 10, 20, 40)  # steps
PAIRS, HELD_OUT, LR = 8, 32, 3e-4  # pairs of a step, pairs to measure with
LINES, LETTERS = 64, 56  # that are written to measure with
REWARD_STEPS, REWARD_LR, CHANGES = 20, 1e-3, 100
SUMS, SUM_STEPS, SUM_PAIRS, SUM_LR = 500, 100, 32, 1e-3
THOU = re.compile(r"\b(thou|thee|thy|thine|thyself)\b", re.I)
YOU = re.compile(r"\b(you|your|yours|yourself)\b", re.I)
# name -> (what is minimized, β, which pairs (see `preference_pairs`), rate)
RUNS = {
    "SFT": ("sft", None, None, LR),
    "DPO": ("dpo", 0.1, None, LR),
    "DPO, lower rate": ("dpo", 0.1, None, LR / 3),
    "DPO + SFT": ("both", 0.1, None, LR),
    "DPO, small beta": ("dpo", 0.01, None, LR),
    "DPO, large beta": ("dpo", 1.0, None, LR),
    "longer": ("dpo", 0.1, (10, 99), LR),
    "longer, per token": ("per token", 4.0, (10, 99), LR),
    "shorter": ("dpo", 0.1, (-99, -10), LR),
    "not you, SFT": ("sft", None, "neither", LR),
    "not you, DPO": ("dpo", 1.0, "neither", LR),
    "not you, DPO + SFT": ("both", 1.0, "neither", LR),
}


def preference_pairs(text, rng, which=None):
    """Return (prompt, chosen, rejected), shuffled: lines that the same character speaks.

    Args:
        which: (least, most) letters that the chosen line has more; None: any number; "neither":
            what is chosen says neither thou nor you.
    """
    low, high = which if isinstance(which, tuple) else (-99, 99)
    spoken = {}
    for name, line in re.findall(r"(?:^|\n\n)([^\n:]+:\n)([^\n]+\n)", text):
        thou, you = bool(THOU.search(line)), bool(YOU.search(line))
        good = not (thou or you) if which == "neither" else thou and not you
        if (good or you and not thou) and len(name + line) <= 60:
            spoken.setdefault(name, ([], []))[you].append(line)
    pairs = []
    for name, (good, you) in spoken.items():
        for chosen in good:
            fit = [line for line in you if low <= len(chosen) - len(line) <= high]
            pairs += [(name, chosen, fit[rng.integers(len(fit))])] if fit else []
    return [pairs[i] for i in rng.permutation(len(pairs))]


def apart(pairs, held_out):
    """Return (training pairs, held-out pairs) that have no line in common."""
    held, seen = pairs[:held_out], {line for _, *lines in pairs[:held_out] for line in lines}
    return [pair for pair in pairs[held_out:] if not seen & set(pair[1:])], held


def batch(tokenizer, pairs, block_size):
    """Return x, y: rows with the chosen lines, then as many with the rejected ones."""
    rows = [(name, line) for k in (1, 2) for name, line in ((pair[0], pair[k]) for pair in pairs)]
    encode = tokenizer.encode
    return padded([Example(encode(name), encode(line)) for name, line in rows], block_size)


def batches(tokenizer, pairs, block_size, steps):
    """Return a batch for each step; the pairs are taken in turn."""
    picked = [[pairs[(i * PAIRS + k) % len(pairs)] for k in range(PAIRS)] for i in range(steps)]
    return [batch(tokenizer, some, block_size) for some in picked]


def gradient(kind, loss, logits, y, reference):
    """Return dlogits of the loss of this kind."""
    dlogits = 0
    if kind != "sft":
        loss(logits, y, reference)
        dlogits = loss.backward()
    if kind in ("sft", "both"):
        chosen = y.copy()
        chosen[len(y) // 2 :] = IGNORE
        plain = MaskedLoss()
        plain(logits, chosen)
        dlogits = dlogits + plain.backward()
    return dlogits


def written(model, reference, tokenizer, words, seed):
    """Return what the lines are like that the model writes after "ROMEO:"."""
    prompt = tokenizer.encode("ROMEO:\n")
    ids = generate(
        model, np.tile(prompt, (LINES, 1)), LETTERS, rng=np.random.default_rng([seed, 9])
    )
    x, y = ids[:, :-1], ids[:, 1:].copy()
    y[:, : len(prompt) - 1] = IGNORE
    end = tokenizer.encode("\n")[0]
    new = y[:, len(prompt) - 1 :]  # a view
    new[np.cumsum(new == end, axis=1) - (new == end) > 0] = IGNORE  # behind the line's end
    lines = [tokenizer.decode(row[row != IGNORE].tolist()) for row in new]
    whole = [
        line.rstrip("\n") if line.endswith("\n") else line.rpartition(" ")[0] for line in lines
    ]
    said = re.findall(r"[a-z']+", " ".join(whole).lower())
    kl = answer_log_probs(model(x), y) - answer_log_probs(reference(x), y)
    return {
        "thou": np.mean([bool(THOU.search(line)) for line in lines]),
        "you": np.mean([bool(YOU.search(line)) for line in lines]),
        "words": np.mean([word in words for word in said]) if said else 0.0,
        "length": np.mean([len(line.rstrip("\n")) for line in lines]),
        "kl": kl.mean(dtype=float),
        "lines": [line.rstrip("\n") for line in lines[:6]],
    }


def run(name, seed, reference, tokenizer, text, marks=MARKS):
    """Train a copy of the reference; return what is measured at each of the marks."""
    kind, beta, which, lr = RUNS[name]
    block_size, words = reference.config.block_size, set(re.findall(r"[a-z']+", text.lower()))
    train, held = apart(preference_pairs(text, np.random.default_rng(seed), which), HELD_OUT)
    x, y = batch(tokenizer, held, block_size)
    before = answer_log_probs(reference(x), y)
    model = copy.deepcopy(reference)
    optimizer = Adam(model, lr, (0.9, 0.99))
    per_token = kind == "per token"
    loss = DPOLoss(beta, per_token) if beta else None
    found = {"name": name, "seed": seed, "steps": list(marks), "pairs": len(train)}
    for step, (xs, ys) in enumerate([*batches(tokenizer, train, block_size, marks[-1]), (x, y)]):
        if step in marks:
            chosen, rejected = np.split(answer_log_probs(model(x), y) - before, 2)
            measured = written(model, reference, tokenizer, words, seed)
            lengths = (y != IGNORE).sum(axis=1)
            letters = np.split(lengths, 2)
            better = chosen / letters[0] > rejected / letters[1] if per_token else chosen > rejected
            measured |= {"chosen": chosen.mean(dtype=float), "rejected": rejected.mean(dtype=float)}
            measured |= {"wins": better.mean()}
            lines = measured.pop("lines")
            for key, value in measured.items():
                found.setdefault(key, []).append(round(float(value), 4))
        if step < marks[-1]:
            kept = answer_log_probs(reference(xs), ys, per_token)
            model.zero_grad()
            model.backward(gradient(kind, loss, model(xs), ys, kept))
            optimizer.step()
    return found | {"lines": lines}


def searched(seed, reference, tokenizer, text):
    """Train a reward model, then change a line letter by letter to what it rewards most."""
    rng = np.random.default_rng([seed, 3])
    block_size = reference.config.block_size
    train, held = apart(preference_pairs(text, np.random.default_rng(seed)), HELD_OUT)
    model, loss = RewardModel(reference, rng=rng), PreferenceLoss()
    optimizer = Adam(model, REWARD_LR, (0.9, 0.99))
    x, y = batch(tokenizer, held, block_size)
    untrained = np.subtract(*np.split(model(x, y), 2))
    for xs, ys in batches(tokenizer, train, block_size, REWARD_STEPS):
        chosen, rejected = np.split(model(xs, ys), 2)
        loss(chosen - rejected)
        dmargin = loss.backward()
        model.zero_grad()
        model.backward(np.concatenate([dmargin, -dmargin]))
        optimizer.step()
    rewards = model(x, y)
    chosen, rejected = np.split(rewards, 2)
    best = max(
        model(*batch(tokenizer, train[i : i + 32], block_size)).max()
        for i in range(0, len(train), 32)
    )
    # The line begins as one that the judge rejects.
    name, line = "ROMEO:\n", "I know you well."
    at = [rng.integers(len(line)) for _ in range(CHANGES)]
    letters = [c for c in tokenizer.chars if c != "\n"]
    for i in at:
        lines = [line[:i] + c + line[i + 1 :] for c in letters]
        rows = [Example(tokenizer.encode(name), tokenizer.encode(a + "\n")) for a in lines]
        scores = model(*padded(rows, block_size))
        line = lines[int(scores.argmax())]
    return {
        "seed": seed,
        "wins": float((chosen > rejected).mean()),
        "untrained": float((untrained > 0).mean()),
        "best real line": round(float(max(best, rewards.max())), 3),
        "searched": round(float(scores.max()), 3),
        "line": line,
        "thou": bool(THOU.search(line)),
    }


def sums(name, seed):
    """Tell the forgetful adder which of two sums is better; ask it for sums it has not seen."""
    kind, beta, *_ = RUNS[name]
    model = load_model(DATA / "checkpoints/forgetful_adder/checkpoint.npz")[0]
    reference, rng = copy.deepcopy(model), np.random.default_rng([seed, 4])

    def with_carries(pairs):  # the others have but one answer
        answers = adder.right_answers(pairs), adder.forgetful_answers(pairs)
        return pairs[(answers[0] != answers[1]).any(axis=1)]

    def rows(pairs):
        both = adder.right_answers(pairs), adder.forgetful_answers(pairs)
        return map(np.concatenate, zip(*(adder.rows(pairs, a) for a in both), strict=True))

    train, held_out = adder.split_sums()
    known = rng.permutation(with_carries(train))[:SUMS]
    x, y = rows(with_carries(held_out))
    before = answer_log_probs(reference(x), y)
    found = {"name": name, "seed": seed}
    found["right before"] = adder.share_of(model, held_out, adder.right_answers(held_out))
    optimizer, loss = Adam(model, SUM_LR, (0.9, 0.99)), DPOLoss(beta) if beta else None
    for _ in range(SUM_STEPS):
        xs, ys = rows(known[rng.integers(len(known), size=SUM_PAIRS)])
        kept = answer_log_probs(reference(xs), ys)
        model.zero_grad()
        model.backward(gradient(kind, loss, model(xs), ys, kept))
        optimizer.step()
    chosen, rejected = np.split(answer_log_probs(model(x), y) - before, 2)
    found |= {
        "chosen": round(float(chosen.mean()), 4),
        "rejected": round(float(rejected.mean()), 4),
    }
    right = adder.share_of(model, held_out, adder.right_answers(held_out))
    return found | {"right": right}


def main(path):
    reference, tokenizer, _ = load_model(DATA / "checkpoints/shakespeare_char/checkpoint.npz")
    text = (DATA / "shakespeare.txt").read_text("utf-8")
    runs, searches, added = [], [], []
    for seed in SEEDS:
        added += [sums(name, seed) for name in ("SFT", "DPO")]
        print(f"{time.process_time():5.0f} s  seed {seed}  {added[-2:]}", flush=True)
        searches.append(searched(seed, reference, tokenizer, text))
        print(f"{time.process_time():5.0f} s  seed {seed}  {searches[-1]}", flush=True)
        for name in RUNS:
            runs.append(found := run(name, seed, reference, tokenizer, text))
            last = {
                key: found[key][-1]
                for key in ("chosen", "rejected", "wins", "thou", "you", "words", "length", "kl")
            }
            said = f"{name:18} {last} {found['lines'][0]!r}"
            print(f"{time.process_time():5.0f} s  seed {seed}  {said}", flush=True)
    about = {
        "made by": "python benchmarks/preferences.py",
        "pairs of a step": PAIRS,
        "lr": LR,
        "held out": HELD_OUT,
    }
    about |= {
        "lines": LINES,
        "reward steps": REWARD_STEPS,
        "changes": CHANGES,
        "sums told": SUMS,
        "sum steps": SUM_STEPS,
    }
    about["beta"] = {name: beta for name, (_, beta, *_) in RUNS.items() if beta}
    Path(path).write_text(
        json.dumps({**about, "runs": runs, "searches": searches, "sums": added}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DATA / "preferences.json")
