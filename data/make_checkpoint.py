"""Make a checkpoint of data/checkpoints from a finished run: weights, no optimizer.

Run from the project's folder, after `numpygpt train` or `numpygpt finetune`:

    python data/make_checkpoint.py out/char shakespeare_char
    python data/make_checkpoint.py out/dialogue dialogue
"""

import sys
from pathlib import Path

from numpygpt.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

HERE = Path(__file__).parent / "checkpoints"
KEPT = ("kind", "model", "tokenizer", "train", "step", "base", "lora", "template")
LIMIT = 4_000_000  # bytes: it is part of every clone


def main(run, name):
    target = HERE / name / "checkpoint.npz"
    arrays, meta = load_checkpoint(Path(run) / "checkpoint.npz")
    # The optimizer's two averages of each weight would triple the size; sampling needs neither.
    weights = {name: a for name, a in arrays.items() if name.startswith("model.")}
    save_checkpoint(target, weights, {key: meta[key] for key in KEPT if key in meta})
    size = target.stat().st_size
    print(f"{target}: {size:,} bytes, {meta['step']} steps")
    return 0 if size < LIMIT else f"more than {LIMIT:,} bytes: train a smaller model"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except CheckpointError as error:
        sys.exit(f"make_checkpoint: {error}")
