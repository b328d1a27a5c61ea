"""Is a file ever torn? Kills runs and datagens, 100 times each, at random moments.

    python benchmarks/torn.py             # 100 times: some minutes
    python benchmarks/torn.py --times 5

The run saves after every step. After each kill -9 the checkpoint must load, its digest must agree,
and the run must go on from it: the lock that was held stops nobody. At the end one more step must
go through. Each datagen replaces the data of one text by those of another: after a kill they are of
one of the two, or say that they are none.
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
from numpygpt.cli.errors import UsageError
from numpygpt.cli.folders import open_data

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


def datagens_killed(times, folder, rng):
    """Kill datagens that take turns with two texts; return how often the data were none."""
    texts = {f"{name}.txt": TEXT.replace("count", name) * 20 for name in ("count", "tnuoc")}
    for name, text in texts.items():
        Path(folder, name).write_text(text, encoding="utf-8")
    argv, unfinished = ["--output_dir", "mix", "--tokenizer_type", "word"], 0
    for number in range(times):
        process = numpygpt("datagen", list(texts)[number % 2], *argv, folder=folder)
        if number == 0:
            process.wait()  # so that there are data
        time.sleep(rng.uniform(0.15, 0.5))  # it begins after a fifth of a second
        process.kill()
        process.communicate()
        try:
            tokenizer, train, val, _ = open_data(Path(folder, "mix"))
        except (UsageError, ValueError):
            unfinished += 1
        else:
            words = [word for word in ("count", "tnuoc") if word in tokenizer.words]
            assert len(words) == 1, f"datagen {number + 1}: a mixture"
            # Counted once in each of the lines, whichever part they are in.
            found = sum((part == tokenizer.id_of[words[0]]).sum() for part in (train, val))
            assert found == 20 * 120, f"datagen {number + 1}: a mixture"
    last = numpygpt("datagen", list(texts)[0], *argv, folder=folder)
    assert last.wait() == 0, last.stderr.read()
    assert open_data(Path(folder, "mix"))
    return unfinished


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
        unfinished = datagens_killed(times, folder, np.random.default_rng(1))
    print(
        f"yes killed {times} times, {under_way} of them while a checkpoint was being written: "
        f"{steps[-1]} steps done, no checkpoint torn; {len(files)} files, digest {digest[:8]}"
    )
    print(f"yes killed {times} datagens: no data of two texts, {unfinished} times none to be read")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=100)
    sys.exit(main(parser.parse_args().times))
