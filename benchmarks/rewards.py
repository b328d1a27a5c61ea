"""Rewards: what GRPO and its rivals learn, and a reward that is hacked: ten minutes on one core.

    python benchmarks/rewards.py             # writes data/rewards.json, which chapter 29 draws
    python benchmarks/rewards.py adder       # one of its tasks: adder, rare, lipogram

Five seeds of each. `adder`: the forgetful adder of chapter 27, paid 1 for a right sum. `rare`: the
same, after 300 steps with a teacher who forgets 49 times out of 50, asked only for sums with a
carry. `lipogram`: the book's Shakespeare model, fined for each letter e, then for E, too. Seconds
are those of the processor on one thread, for sampling and learning alone. What is in the file is
not done again.
"""

import copy
import json
import os
import re
import sys
import time
from functools import cache
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.checkpoint import load_model
from numpygpt.optim import Adam
from numpygpt.posttraining import GRPO, adder, group_advantages, rollouts, token_log_probs
from numpygpt.posttraining.finetune import Finetuner
from numpygpt.training import TrainConfig

ROOT = Path(__file__).parents[1]
ADDER, POET = (
    ROOT / f"data/checkpoints/{name}/checkpoint.npz"
    for name in ("forgetful_adder", "shakespeare_char")
)
SEEDS = range(5)
PROMPTS, GROUP, RATE = 32, 16, 5e-4
# The advantages, and what else differs.
METHODS = {
    "GRPO": (group_advantages, {"updates": 2, "beta": 0.01}),
    "group mean": (lambda R: group_advantages(R, scale=False), {}),
    "rejection": (lambda R: R, {}),
    "paid 0 or -1": (lambda R: R - 1, {}),
}
LETTERS, SAMPLES = 47, 96
# The letters that cost a point, and beta.
FINES = {"e": ("e", 0.0), "e and E": ("eE", 0.0), "leash 0.2": ("eE", 0.2)}
# The steps after which a run is measured; the last ends it.
MOMENTS = {
    "adder": (2, 5, 10, 20, 30, 40, 60),
    "rare": (2, 5, 10, 20, 30, 40, 60),
    "lipogram": (2, 5, 10, 15, 20),
}
SHORTER = {"GRPO": 30}  # a step of two updates takes more than twice as long


def right(prompt, answer):
    """1 for the sum, 0 for anything else."""
    a, b = 10 * prompt[0] + prompt[1], 10 * prompt[3] + prompt[4]
    return float(answer == [int(digit) for digit in f"{a + b:03}"])


def run(trainer, prompts, moments, measure):
    """Take steps; return what was measured before and at these steps, with the seconds so far."""
    points, seconds = [{"step": 0, "seconds": 0.0, **measure()}], 0.0
    for step in range(1, moments[-1] + 1):
        asked, start = prompts(), time.process_time()
        trainer.step(asked)
        seconds += time.process_time() - start
        if step in moments:
            points.append({"step": step, "seconds": round(seconds, 2), **measure()})
    return points


def with_carry(pairs):
    """The pairs whose sum a teacher who forgets gets wrong."""
    differ = adder.right_answers(pairs) != adder.forgetful_answers(pairs)
    return pairs[differ.any(axis=1)]


@cache
def more_forgetful():
    """The adder, trained on by a teacher who forgets 49 times out of 50."""
    model, _, _ = load_model(ADDER)
    pairs, _ = adder.split_sums()
    rng = np.random.default_rng(50)
    taught = adder.rows(pairs, adder.taught_answers(pairs, rng=rng, forgets=0.98))
    config = TrainConfig(batch_size=64, max_iters=300, lr=1e-3, eval_interval=300, eval_iters=1)
    list(Finetuner(model, taught, taught, config).run())
    return model


def sums(task, method, seed):
    """A run on sums: the share of held-out ones that are right, greedy and drawn."""
    model = copy.deepcopy(more_forgetful()) if task == "rare" else load_model(ADDER)[0]
    train, held_out = adder.split_sums()
    if task == "rare":
        train, held_out = with_carry(train), with_carry(held_out)
    rng = np.random.default_rng([seed, 29])
    advantages, options = METHODS[method]
    trainer = GRPO(
        model, Adam(model, RATE), right, group=GROUP, max_new_tokens=3, advantages=advantages,
        reference=copy.deepcopy(model), rng=rng, **options,
    )  # fmt: skip
    answers = adder.right_answers(held_out)

    def measure():
        drawn = {"temperature": 1.0, "rng": np.random.default_rng(1)}
        return {
            "greedy": round(adder.share_saying(model, held_out, answers), 4),
            "drawn": round(adder.share_saying(model, held_out, answers, **drawn), 4),
        }

    moments = [n for n in MOMENTS[task] if n <= SHORTER.get(method, n)]
    prompts = lambda: adder.prompts(rng.choice(train, PROMPTS))  # noqa: E731
    return {"points": run(trainer, prompts, moments, measure)}


def lipogram(task, method, seed):
    """A run fined for each e: the shares of e and E and of letters in real words, and more."""
    model, tokenizer, _ = load_model(POET)
    old, (letters, beta) = copy.deepcopy(model), FINES[method]
    costly, (e, capital) = set(tokenizer.encode(letters)), tokenizer.encode("eE")
    fine = lambda prompt, answer: -sum(id in costly for id in answer)  # noqa: E731
    text = (ROOT / "data/shakespeare.txt").read_text(encoding="utf-8")
    known = set(re.findall(r"[a-z']+", text.lower()))
    start = np.array([tokenizer.encode("\n")])
    rng = np.random.default_rng([seed, 29])
    trainer = GRPO(
        model, Adam(model, RATE), fine, group=SAMPLES,
        max_new_tokens=LETTERS, beta=beta, reference=old, rng=rng,
    )  # fmt: skip
    kept = {}

    def measure():
        x, y = rollouts(model, start, 200, LETTERS, rng=np.random.default_rng(1))
        samples = [tokenizer.decode(row.tolist()) for row in y]
        kept["sample"] = samples[0]
        words = [w for s in samples for w in re.findall(r"[a-z']+", s.lower())]
        inside = sum(len(w) for w in words if w in known)
        return {
            "e": round(float((y == e).mean()), 5),
            "capital": round(float((y == capital).mean()), 5),
            "without": round(float((y != e).all(axis=1).mean()), 4),
            "words": round(inside / sum(map(len, words)), 4),
            "old_loss": round(-float(token_log_probs(old(x), y).mean()), 4),
        }

    return {"points": run(trainer, lambda: start, MOMENTS[task], measure), **kept}


TASKS = {"adder": (sums, METHODS), "rare": (sums, METHODS), "lipogram": (lipogram, FINES)}


class Results:
    """The runs that are done, in a file that is written after each of them."""

    def __init__(self, path):
        self.path, self.runs = path, []
        if path.exists():
            self.runs = json.loads(path.read_text(encoding="utf-8"))["runs"]

    def add(self, task, method, seed):
        """Do a run if it is not there."""
        setting = {"task": task, "method": method, "seed": seed}
        if any(setting.items() <= run.items() for run in self.runs):
            return
        self.runs.append({**setting, **TASKS[task][0](task, method, seed)})
        print(setting, self.runs[-1]["points"][-1], flush=True)
        lines = ",\n".join(json.dumps(run) for run in self.runs)
        text = '{"made by": "python benchmarks/rewards.py", "runs": [\n' + lines + "\n]}\n"
        self.path.write_text(text, encoding="utf-8")


def main(tasks, path):
    results = Results(path)
    for task in tasks:
        for seed in SEEDS:
            for method in TASKS[task][1]:
                results.add(task, method, seed)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(TASKS)
    if unknown := [name for name in chosen if name not in TASKS]:
        sys.exit(f"no task is named {unknown[0]}: there are {', '.join(TASKS)}")
    main(chosen, ROOT / "data/rewards.json")
