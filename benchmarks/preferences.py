"""What preferences do to small models: the figures that chapter 28 draws. Five minutes on a core.

    python benchmarks/preferences.py     # writes data/preferences.json

Two models, five seeds. The forgetful adder of chapter 27 is told which of two sums is better, the
right one or the one without carries; a reward model of the same pairs is asked what it likes best
of all answers there are. The Shakespeare model of data/checkpoints learns from pairs of lines by
the same character, of which one says *thou* and one says *you*, and is measured on lines that no
step has seen and on lines that it writes for Romeo.
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
    DPOLoss,
    Example,
    MaskedLoss,
    PreferenceLoss,
    RewardModel,
    adder,
    answer_log_probs,
    padded,
)
from numpygpt.posttraining.masked import IGNORE

DATA = Path(__file__).parents[1] / "data"
SEEDS = (0, 1, 2, 3, 4)
MARKS = (0, 10, 20, 40)  # steps
PAIRS, HELD_OUT, LR = 8, 32, 3e-4  # pairs of a step, pairs to measure with
LINES, LETTERS = 64, 56  # that are written to measure with
SUMS, SUM_PAIRS, SUM_MARKS = 500, 32, (0, 10, 25, 50, 100)
REWARD_STEPS, REWARD_LR, ASKED = 100, 1e-3, 50
THOU = re.compile(r"\b(thou|thee|thy|thine|thyself)\b", re.I)
YOU = re.compile(r"\b(you|your|yours|yourself)\b", re.I)
# name -> (what is minimized, β, which pairs (see `preference_pairs`), rate)
RUNS = {
    "DPO": ("dpo", 0.1, None, LR),
    "longer": ("dpo", 0.1, (10, 99), LR),
    "longer, per token": ("per token", 4.0, (10, 99), LR),
    "shorter": ("dpo", 0.1, (-99, -10), LR),
    "not you, SFT": ("sft", None, "neither", LR),
    "not you, DPO": ("dpo", 1.0, "neither", LR),
}


# name -> (what is minimized, β, rate)
SUM_RUNS = {
    "SFT": ("sft", None, LR),
    "DPO": ("dpo", 0.1, LR),
    "DPO, lower rate": ("dpo", 0.1, LR / 3),
    "DPO, beta 1": ("dpo", 1.0, LR),
    "DPO, beta 5": ("dpo", 5.0, LR),
    "DPO + SFT": ("both", 0.1, LR),
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
            kept = answer_log_probs(reference(xs), ys)
            model.zero_grad()
            model.backward(gradient(kind, loss, model(xs), ys, kept))
            optimizer.step()
    return found | {"lines": lines}


def with_carries(pairs):
    """The pairs (N, 2) whose right sum is not the one without carries."""
    answers = adder.right_answers(pairs), adder.forgetful_answers(pairs)
    return pairs[(answers[0] != answers[1]).any(axis=1)]


def told(pairs):
    """Return x, y (2N, 8): rows with the right sums, then as many without carries."""
    answers = adder.right_answers(pairs), adder.forgetful_answers(pairs)
    return map(np.concatenate, zip(*(adder.rows(pairs, a) for a in answers), strict=True))


def sum_data(rng):
    """Return (the adder, pairs to learn from, held-out pairs), all with carries."""
    model = load_model(DATA / "checkpoints/forgetful_adder/checkpoint.npz")[0]
    train, held_out = adder.split_sums()
    return model, rng.permutation(with_carries(train))[:SUMS], with_carries(held_out)


def sums(name, seed):
    """Tell the forgetful adder which of two sums is better; return what is measured."""
    kind, beta, lr = SUM_RUNS[name]
    rng = np.random.default_rng([seed, 4])
    model, known, held_out = sum_data(rng)
    reference, (x, y) = copy.deepcopy(model), told(held_out)
    right, forgetful = adder.right_answers(held_out), adder.forgetful_answers(held_out)
    others = adder.split_sums()[1]
    others = others[(adder.right_answers(others) == adder.forgetful_answers(others)).all(axis=1)]
    optimizer, loss = Adam(model, lr, (0.9, 0.99)), DPOLoss(beta) if beta else None
    found = {"name": name, "seed": seed, "steps": list(SUM_MARKS)}
    for step in range(SUM_MARKS[-1] + 1):
        if step in SUM_MARKS:
            chosen, rejected = np.split(answer_log_probs(model(x), y).astype(float), 2)
            said = adder.says(model, held_out)
            measured = {
                "chosen": chosen.mean(),
                "rejected": rejected.mean(),
                "p chosen": np.exp(chosen).mean(),
                "p rejected": np.exp(rejected).mean(),
                "wins": (chosen > rejected).mean(),
                "right": (said == right).all(axis=1).mean(),
                "forgetful": (said == forgetful).all(axis=1).mean(),
                "others right": adder.share_saying(model, others, adder.right_answers(others)),
            }
            for key, value in measured.items():
                found.setdefault(key, []).append(round(float(value), 4))
        xs, ys = told(known[rng.integers(len(known), size=SUM_PAIRS)])
        kept = answer_log_probs(reference(xs), ys)
        model.zero_grad()
        model.backward(gradient(kind, loss, model(xs), ys, kept))
        optimizer.step()
    return found


def judged(seed):
    """Train a reward model of the same pairs; ask it for its favorite of all 1000 answers."""
    rng = np.random.default_rng([seed, 5])
    model, known, held_out = sum_data(rng)
    judge, loss = RewardModel(model, rng=rng), PreferenceLoss()
    optimizer = Adam(judge, REWARD_LR, (0.9, 0.99))
    for _ in range(REWARD_STEPS):
        chosen, rejected = np.split(
            judge(*told(known[rng.integers(len(known), size=SUM_PAIRS)])), 2
        )
        loss(chosen - rejected)
        dmargin = loss.backward()
        judge.zero_grad()
        judge.backward(np.concatenate([dmargin, -dmargin]))
        optimizer.step()
    chosen, rejected = np.split(judge(*told(held_out)), 2)
    answers, better = adder.digits(np.arange(1000), 3), []
    for pair, right in zip(held_out[:ASKED], chosen, strict=False):
        rewards = judge(*adder.rows(np.tile(pair, (1000, 1)), answers))
        better.append(int((rewards > right + 1e-4).sum()))
    found = {"seed": seed, "wins": round(float((chosen > rejected).mean()), 4)}
    favorite = round(float(np.mean(np.array(better) == 0)), 4)
    return found | {"favorite is right": favorite, "likes better": round(float(np.mean(better)), 1)}


def main(path):
    reference, tokenizer, _ = load_model(DATA / "checkpoints/shakespeare_char/checkpoint.npz")
    text = (DATA / "shakespeare.txt").read_text("utf-8")

    def note(found):
        last = {key: a[-1] if isinstance(a, list) else a for key, a in found.items()}
        print(f"{time.process_time():5.0f} s  {last}", flush=True)
        return found

    results = {"sums": [], "judges": [], "runs": []}
    for seed in SEEDS:
        results["sums"] += [note(sums(name, seed)) for name in SUM_RUNS]
        results["judges"].append(note(judged(seed)))
        for name in RUNS:
            results["runs"].append(note(run(name, seed, reference, tokenizer, text)))
    about = {"made by": "python benchmarks/preferences.py", "pairs of a step": PAIRS, "lr": LR}
    about |= {"held out": HELD_OUT, "lines": LINES, "sums told": SUMS, "sums a step": SUM_PAIRS}
    for key, table in (("beta", RUNS), ("beta of sums", SUM_RUNS)):
        about[key] = {name: beta for name, (_, beta, *_) in table.items() if beta}
    Path(path).write_text(json.dumps(about | results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DATA / "preferences.json")
