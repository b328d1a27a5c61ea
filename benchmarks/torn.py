"""Is a checkpoint ever torn? Kills a run that saves after every step, 100 times, at random moments.

    python benchmarks/torn.py             # 100 times: some minutes
    python benchmarks/torn.py --times 5

After each kill -9 the checkpoint must load, its digest must agree, and the run must go on from it.
At the end one more step must go through.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import digest_of, load_checkpoint

TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(120))
# A checkpoint after every step: most kills hit one in the middle of being written.
RUN = (
    "train --data_dir data --n_layer 2 --n_head 2 --n_embd 64 --block_size 8 --batch_size 2 "
    "--eval_iters 1 --eval_interval 1 --max_iters 1000000 --keep 3"
).split()


def numpygpt(*argv, folder, **options):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "numpygpt", *argv]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, **quiet, **options)


def killed(times, folder, rng):
    """Kill and resume; return (steps after each kill, how many times a save was under way)."""
    path, steps, under_way = Path(folder, "out/checkpoint.npz"), [0], 0
    for number in range(times):
        argv = ["--resume", "--out_dir", "out"] if path.exists() else [*RUN[1:], "--out_dir", "out"]
        process = numpygpt("train", *argv, "--keep", "3", folder=folder)
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not path.exists() or path.stat().st_mtime_ns == before:  # until it runs
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read())
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        process.communicate()
        under_way += path.with_name("checkpoint.npz.tmp").exists()
        for file in [path, *path.parent.glob("checkpoint-*.npz")]:
            step = load_checkpoint(file)[1]["step"]  # raises if the file is torn
            assert file == path or file.stem == f"checkpoint-{step}", file
        steps.append(load_checkpoint(path)[1]["step"])
        assert steps[-1] >= steps[-2], f"kill {number + 1}: the run went back"
    return steps, under_way


def main(times):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "text.txt").write_text(TEXT, encoding="utf-8")
        made = numpygpt("datagen", "text.txt", "--output_dir", "data", folder=folder)
        assert made.wait() == 0, made.stderr.read()
        steps, under_way = killed(times, folder, np.random.default_rng(0))
        end = ["--max_iters", str(steps[-1] + 1)]
        last = numpygpt("train", "--resume", "--out_dir", "out", *end, folder=folder)
        assert last.wait() == 0, last.stderr.read()
        files = sorted(p.name for p in Path(folder, "out").glob("*.npz*"))
        digest = digest_of(load_checkpoint(Path(folder, "out/checkpoint.npz"))[0])
    print(
        f"yes killed {times} times, {under_way} of them while a checkpoint was being written: "
        f"{steps[-1]} steps done, no checkpoint torn; {len(files)} files, digest {digest[:8]}"
    )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=100)
    sys.exit(main(parser.parse_args().times))
