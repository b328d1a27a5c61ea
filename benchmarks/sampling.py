"""Real words and variety by temperature and by cut: what chapter 17 draws. Half a minute.

    python benchmarks/sampling.py      # writes data/sampling.json

The chapter's own code: for each setting eight draws, each of eight samples of 150 characters, from
the trained model of the repository, in float64.
"""

import json
import os
import re
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded

import numpy as np

from numpygpt.checkpoint import load_model
from numpygpt.generate import generate

DATA = Path(__file__).parents[1] / "data"
SETTINGS = [{"temperature": t} for t in (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5)]
SETTINGS += [{"top_k": 5}, {"top_k": 10}, {"top_p": 0.9}, {"top_p": 0.7}]


def judge(samples, known):
    """The share of real words, and that of runs of 8 characters, equal ones counted once."""
    words = [w for s in samples for w in re.findall(r"[a-z']+", s.lower())]
    runs = [s[i : i + 8] for s in samples for i in range(len(s) - 7)]
    return sum(w in known for w in words) / len(words), len(set(runs)) / len(runs)


def main(path):
    known = set(re.findall(r"[a-z']+", (DATA / "shakespeare.txt").read_text("utf-8").lower()))
    checkpoint = DATA / "checkpoints/shakespeare_char/checkpoint.npz"
    model, tokenizer, _ = load_model(checkpoint, dtype=np.float64)
    prompts, found = np.array([tokenizer.encode("ROMEO:\n")] * 64), []
    for settings in SETTINGS:
        out = generate(model, prompts, 150, rng=np.random.default_rng(2), **settings)
        samples = [tokenizer.decode(row[7:].tolist()) for row in out]
        draws = [judge(samples[i : i + 8], known) for i in range(0, 64, 8)]
        found.append({**settings, "draws": np.round(draws, 6).tolist()})
        print(settings, np.mean(draws, axis=0).round(3), flush=True)
    lines = ",\n".join(json.dumps(setting) for setting in found)
    about = '{"made by": "python benchmarks/sampling.py", "settings": [\n'
    path.write_text(about + lines + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "sampling.json")
