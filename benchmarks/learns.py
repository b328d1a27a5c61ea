"""Does `numpygpt train` learn, repeat itself and resume? About six minutes; run on an idle machine.

    python benchmarks/learns.py                         # the bundled text
    python benchmarks/learns.py path/to/input.txt       # tinyshakespeare, to compare with others

Trains with the defaults and compares the last validation loss and the time with what we promise.
Then trains 150 steps three times, the third time killed and resumed at three moments, and compares
weights and losses bit for bit.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from numpygpt.checkpoint import load_checkpoint
from numpygpt.metrics import read_metrics

BUNDLED = Path(__file__).parents[1] / "data/shakespeare.txt"
PROGRAM = [sys.executable, "-m", "numpygpt"]
MINUTES = 4
SHORT = "--max_iters 150 --eval_interval 50 --eval_iters 20".split()


def main(text):
    # Other texts end elsewhere; nanoGPT publishes 1.88 for tinyshakespeare at this size.
    promised = 1.84 if text == BUNDLED else 1.82
    with tempfile.TemporaryDirectory() as folder:
        run("datagen", text, "--output_dir", "data", folder=folder)
        start = time.monotonic()
        run("train", "--data_dir", "data", "--out_dir", "full", folder=folder)
        minutes = (time.monotonic() - start) / 60
        loss = read_metrics(Path(folder, "full/metrics.jsonl"))[-1]["val_loss"]
        for name in ("first", "second"):
            run("train", "--data_dir", "data", "--out_dir", name, *SHORT, folder=folder)
        killed_and_resumed(folder, "killed", kill_at=(37, 70, 120))
        first, second, killed = (
            what_is_left(Path(folder, n)) for n in ("first", "second", "killed")
        )
    results = [
        (f"validation loss {loss:.4f}, at most {promised}", loss <= promised),
        (f"{minutes:.1f} minutes, at most {MINUTES}", minutes <= MINUTES),
        ("the same seed gives the same weights and losses", first == second),
        ("killed three times and resumed: the same weights and losses", first == killed),
    ]
    for what, holds in results:
        print(f"{'yes' if holds else 'NO ':4}{what}")
    return 0 if all(holds for _, holds in results) else 1


def run(*argv, folder):
    subprocess.run([*PROGRAM, *map(str, argv)], cwd=folder, check=True)


def killed_and_resumed(folder, name, kill_at):
    argv = ["train", "--data_dir", "data", "--out_dir", name, *SHORT]
    metrics = Path(folder, name, "metrics.jsonl")
    for steps in kill_at:
        process = subprocess.Popen([*PROGRAM, *argv], cwd=folder)
        while not metrics.exists() or metrics.read_bytes().count(b"\n") < steps:
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was killed")
            time.sleep(0.01)
        process.kill()
        process.wait()
        argv = ["train", "--out_dir", name, "--resume"]
    run(*argv, folder=folder)


def what_is_left(out_dir):
    """All that must not differ: weights, optimizer state, and each step's loss."""
    arrays, _ = load_checkpoint(out_dir / "checkpoint.npz")
    losses = [
        (r["step"], r["train_loss"], r.get("val_loss"))
        for r in read_metrics(out_dir / "metrics.jsonl")
    ]
    return {name: a.tobytes() for name, a in arrays.items()}, losses


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else BUNDLED).resolve()))
