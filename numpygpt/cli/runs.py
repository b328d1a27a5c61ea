"""A run's folder: its checkpoint, and setting it aside for the next run. Written by hand."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import CheckpointError, save_checkpoint
from numpygpt.cli.errors import UsageError
from numpygpt.data import write_beside

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
        older = [old.name for old in kept_checkpoints(path) if not same_file(old, path)]
        copy = f"{older[-1]}, the one before," if older else "a good copy"
        raise UsageError(f"{error}; put {copy} in its place, or train again") from None


def kept_checkpoints(path):
    """The names by step that `keep_last` gave to checkpoints beside `path`, the oldest first."""
    found = path.parent.glob("checkpoint-*.npz")
    by_step = {int(p.stem.split("-")[1]): p for p in found if p.stem.split("-")[1].isdigit()}
    return [p for _, p in sorted(by_step.items())]


def same_file(one, other):
    return os.path.samestat(os.stat(one), os.stat(other))


def save_run(path, arrays, meta, keep):
    try:
        save_checkpoint(path, arrays, meta)
        keep_last(path, meta["step"], keep)
    except OSError as error:
        raise cannot_write(path, error, path) from None


def cannot_write(path, error, checkpoint):
    reason = error.strerror or error
    return UsageError(f"{path} cannot be written ({reason}); {last_checkpoint(checkpoint)}")


def keep_last(path, step, number):
    """Keep the checkpoint at `path` under a name of its step, too; of such names the last few."""
    if number == 1:
        return
    name = path.with_name(f"checkpoint-{step}.npz")
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)  # a second name takes no second space
    except OSError:  # some disks know one name for a file only
        write_beside(name, lambda beside: shutil.copyfile(path, beside))
    kept = kept_checkpoints(path)
    # A run that was taken back to an earlier checkpoint has left later ones, of another future.
    later = kept[kept.index(name) + 1 :]
    for old in [*kept[: kept.index(name) + 1][:-number], *later]:
        old.unlink()


def set_aside(out_dir):
    """Keep the run that is in out_dir, if there is one, under the first free name beside it."""
    if checkpoint_path(out_dir).exists():
        n = 1
        while (old := out_dir.with_name(f"{out_dir.name}.{n}")).exists():
            n += 1
        os.rename(out_dir, old)
        print(f"the run that was in {out_dir} is now in {old}")
    out_dir.mkdir(parents=True, exist_ok=True)


def last_checkpoint(path):
    """Say which checkpoint is on the disk, in half a line."""
    try:
        with np.load(path, allow_pickle=False) as file:
            step = json.loads(str(file["__json__"]))["meta"]["step"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return "there is no checkpoint yet"
    return f"the last checkpoint is {path}, of step {step}: --resume goes on from it"
