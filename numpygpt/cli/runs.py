"""A run's folder: its checkpoint, and setting it aside for the next run. Written by hand."""

import os
from pathlib import Path

from numpygpt.checkpoint import CheckpointError
from numpygpt.cli.errors import UsageError

DEFAULT_OUT = Path("out/char")


def checkpoint_path(out_dir):
    return out_dir / "checkpoint.npz"


def read_checkpoint(out_dir, load):
    """Return load(path of the run's checkpoint); say how to mend it if there is none to be read."""
    path = checkpoint_path(out_dir)
    if not path.exists():
        raise UsageError(f"{path} does not exist: train first, or name the run with --out_dir")
    try:
        return load(path)
    except CheckpointError as error:
        raise UsageError(f"{error}; put a good copy in its place, or train again") from None


def set_aside(out_dir):
    """Keep the run that is in out_dir, if there is one, under the first free name beside it."""
    if checkpoint_path(out_dir).exists():
        n = 1
        while (old := out_dir.with_name(f"{out_dir.name}.{n}")).exists():
            n += 1
        os.rename(out_dir, old)
        print(f"the run that was in {out_dir} is now in {old}")
    out_dir.mkdir(parents=True, exist_ok=True)
