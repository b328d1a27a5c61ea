"""SmolLM2-135M's shape, random weights: time and memory to load, tokens a second, beside HF's.

    python benchmarks/chat.py [FOLDER]

Writes data/chat.json, which chapter 25 shows; it wants an idle machine, and two minutes.
FOLDER may hold the real files; else a folder in bfloat16 is written first. Loading is measured in
processes of their own; memory is the largest resident size, Python and NumPy included. Writing is
measured in one process, round after round, with one thread: ours and transformers' generate, both
in float32, greedy, with a cache, after the same prompt of 16 tokens.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import side_by_side

from numpygpt import Llama, LlamaConfig, from_pretrained
from numpygpt.cli.opening import shorten
from numpygpt.generate import generate
from numpygpt.pretrained.llama_export import save_llama
from numpygpt.tokenizers import BPETokenizer

HERE = Path(__file__).resolve().parent  # where the child finds measure.py
RESULTS = HERE.parent / "data/chat.json"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
CONFIG = LlamaConfig(49152, 8192, 30, 9, 576, n_kv_head=3, hidden=1536, rope_base=100_000.0)
N_NEW = 48

LOAD = """
import sys, time
from measure import peak_memory
from numpygpt import from_pretrained
start = time.perf_counter()
model = from_pretrained(sys.argv[1])
seconds = time.perf_counter() - start
print(seconds, peak_memory(), 4 * model.num_params())
"""


def write_folder(folder):
    model = Llama(CONFIG, rng=np.random.default_rng(0))
    for p in model.params().values():
        p *= 3  # so that logits differ by more than rounding
    save_llama(model, BPETokenizer([]), folder, bfloat16=True)


def child(*command):
    """Return what a Python of its own, with one thread, prints."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
    )
    return done.stdout


def write(folder):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours = from_pretrained(folder)
    shorten(ours, 16 + N_NEW)  # as `numpygpt sample` does
    prompt = np.random.default_rng(1).integers(0, 1000, (1, 16))
    written = {}

    def our_turn():
        rng = np.random.default_rng(0)
        written["ours"] = generate(ours, prompt, N_NEW, temperature=0, rng=rng)

    def their_turn():
        ids = torch.tensor(prompt)
        written["theirs"] = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=N_NEW,
            min_new_tokens=N_NEW,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        ).numpy()

    result = side_by_side(
        "write, SmolLM2-135M, one thread",
        our_turn,
        their_turn,
        peer="transformers generate",
        unit="tokens/s",
        amount=N_NEW,
        rounds=5,
    )
    equal = (written["ours"] == written["theirs"]).mean()
    print(result.row(), f"{equal:.0%} of the tokens equal", sep="; ", file=sys.stderr)
    rates = {side: N_NEW / min(getattr(result, side)) for side in ("ours", "theirs")}
    print(json.dumps({**rates, "ratio": result.ratio, "equal": equal}))


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(*sys.argv[1:2]) if sys.argv[1:] else Path(scratch, "smollm2")
        if not sys.argv[1:]:
            write_folder(folder)
        for _ in range(3):
            seconds, peak, weights = map(float, child("-c", LOAD, folder).split())
            print(f"load: {seconds:.2f} s, {peak / 1e6:.0f} MB at the peak, "
                  f"{peak / weights:.2f} times the float32 weights")  # fmt: skip
        found = {"load_seconds": seconds, "peak_bytes": peak, "weight_bytes": weights}
        found |= json.loads(child(__file__, "--write", folder))
        found = {name: float(f"{value:.4g}") for name, value in found.items()}
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[2]) if sys.argv[1:2] == ["--write"] else main()
