"""GPT-2's 124M shape, random weights: how long it takes to load, and memory at the peak.

    python benchmarks/pretrained.py [FOLDER]

FOLDER may hold the real files; else a folder is written first. Each row is a process of its own;
the memory is its largest resident size, Python and NumPy included.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from numpygpt import GPTConfig
from numpygpt.pretrained.gpt2 import layout
from numpygpt.pretrained.gpt2_config import config_of
from numpygpt.pretrained.safetensors import write_safetensors

HERE = Path(__file__).resolve().parent  # where the child finds measure.py
CONFIG = GPTConfig(50257, 1024, n_layer=12, n_head=12, n_embd=768, activation="gelu")

LOAD = """
import sys, time
import numpy as np
from measure import peak_memory
from numpygpt import from_pretrained
from numpygpt.generate import generate
before = peak_memory()
start = time.perf_counter()
model = from_pretrained(sys.argv[1])
seconds = time.perf_counter() - start
n = int(sys.argv[2])
if n:
    start = time.perf_counter()
    generate(model, np.arange(20)[None], n, rng=np.random.default_rng(0))
    seconds = (time.perf_counter() - start) / n
print(seconds, before, peak_memory())
"""


def write_folder(folder):
    rng = np.random.default_rng(0)
    draw = {1: lambda shape: np.ones(shape, np.float32)}
    draw[2] = lambda shape: rng.standard_normal(shape, np.float32) * np.float32(0.02)
    arrays = {theirs: draw[len(shape)](shape) for theirs, shape in layout(CONFIG).values()}
    write_safetensors(folder / "model.safetensors", arrays)
    (folder / "config.json").write_text(json.dumps(config_of(CONFIG)), encoding="utf-8")


def main():
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made).resolve()
        if len(sys.argv) == 1:
            write_folder(folder)
        size = (folder / "model.safetensors").stat().st_size
        print(f"model.safetensors: {size / 1e6:.0f} MB")
        for n, what in ((0, "to load"), (0, "to load, again"), (20, "a token sampled")):
            command = [sys.executable, "-c", LOAD, str(folder), str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
            seconds, before, peak = map(float, done.stdout.split())
            print(
                f"{seconds:6.2f} s {what:16} peak {peak / 1e6:4.0f} MB,"
                f" {peak / size:.2f} x the file ({before / 1e6:.0f} MB before)"
            )


if __name__ == "__main__":
    main()
