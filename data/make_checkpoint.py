"""Make data/checkpoints/shakespeare_char/checkpoint.npz from a finished run: weights, no optimizer.

Run from the project's folder, after `numpygpt train`:

    python data/make_checkpoint.py out/char
"""

import sys
from pathlib import Path

from numpygpt.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

TARGET = Path(__file__).parent / "checkpoints/shakespeare_char/checkpoint.npz"
LIMIT = 4_000_000  # bytes: it is part of every clone


def main(run):
    arrays, meta = load_checkpoint(Path(run) / "checkpoint.npz")
    # The optimizer's two averages of each weight would triple the size; sampling needs neither.
    weights = {name: a for name, a in arrays.items() if name.startswith("model.")}
    kept = {name: meta[name] for name in ("model", "tokenizer", "train", "step")}
    save_checkpoint(TARGET, weights, kept)
    size = TARGET.stat().st_size
    print(f"{TARGET}: {size:,} bytes, {meta['step']} steps")
    return 0 if size < LIMIT else f"more than {LIMIT:,} bytes: train a smaller model"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1]))
    except CheckpointError as error:
        sys.exit(f"make_checkpoint: {error}")
