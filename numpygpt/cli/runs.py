"""A run's folder: its checkpoint, its log, and setting it aside. Written by hand."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import CheckpointError, save_checkpoint
from numpygpt.cli.errors import UsageError
from numpygpt.cli.headers import check_header
from numpygpt.cli.lock import Lock
from numpygpt.data import write_beside
from numpygpt.metrics import record_of

DEFAULT_OUT = Path("out/char")


def checkpoint_path(out_dir):
    return out_dir / "checkpoint.npz"


def read_checkpoint(out_dir, load):
    """Return load(path of the run's checkpoint); say how to mend it if there is none to be read."""
    path = checkpoint_path(out_dir)
    check_there(path)
    try:
        check_header(path)
        return load(path)
    except CheckpointError as error:
        older = [old.name for old in kept_checkpoints(path) if not same_file(old, path)]
        copy = f"{older[-1]}, the one before," if older else "a good copy"
        raise UsageError(f"{error}; put {copy} in its place, or train again") from None


def check_there(path):
    if not path.exists():
        raise UsageError(
            f"{path} does not exist: train first (numpygpt train), or name the run with --out_dir"
        )


def check_finite(path, arrays):
    """Raise UsageError if an array of {name: array} holds what is no number."""
    for name, a in arrays.items():
        if not np.isfinite(a).all():
            raise UsageError(f"{path}: {name} holds NaN or infinity; it is of no use any more")


def kept_checkpoints(path):
    """The names by step that `keep_last` gave to checkpoints beside `path`, the oldest first."""
    names = {p: re.fullmatch(r"checkpoint-([0-9]+)\.npz", p.name) for p in path.parent.iterdir()}
    by_step = {int(name[1]): p for p, name in names.items() if name}
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


def claim(out_dir, fresh):
    """Lock the run's folder; if the run is a fresh one, set aside the one that is there.

    Returns:
        The lock: nobody else writes there until it is released.
    """
    path = checkpoint_path(out_dir)
    try:
        lock = Lock(out_dir)
    except OSError as error:
        raise cannot_write(path, error, path) from None
    if not (fresh and path.exists()):
        return lock
    try:
        return set_aside(out_dir, lock)
    finally:
        lock.release()


def set_aside(out_dir, lock):
    """Keep the run in out_dir under the first free name beside it; return the new folder's lock."""
    # What a link names goes aside, and the link stays.
    folder = Path(os.path.realpath(out_dir))
    n = 1
    while (old := folder.with_name(f"{folder.name}.{n}")).exists():
        n += 1
    if os.name == "nt":  # where a folder cannot be renamed that has an open file in it
        lock.release()
    try:
        if Path.cwd().is_relative_to(folder):
            raise OSError("it is the folder we are in")
        os.rename(folder, old)
    except OSError as error:
        raise UsageError(
            f"the run in {out_dir} cannot be set aside ({error.strerror or error}): go on with it "
            "by --resume, or name another --out_dir"
        ) from None
    lock.path = old / lock.path.name
    new = Lock(folder)
    print(f"the run that was in {out_dir} is now in {old_name(out_dir, old)}")
    return new


def old_name(out_dir, old):
    """How the user would write where the old run is."""
    beside = out_dir.with_name(old.name) if out_dir.name else old
    return beside if beside.exists() and same_file(beside, old) else old


def keep_bad_lines(path):
    """Copy the lines of the log that hold no record to a file beside it; there they are kept."""
    if not path.exists():
        return
    # Behind the last line break there may be a line that a crash cut short: nothing to keep.
    *lines, _ = path.read_bytes().split(b"\n")
    bad = [line + b"\n" for line in lines if line.strip() and not record_of(line)]
    if bad:
        aside = path.with_name(path.name + ".bad")
        with open(aside, "ab") as file:
            file.writelines(bad)
        print(f"{path}: {len(bad)} lines of it hold no record, and are now in {aside}")


def last_checkpoint(path):
    """Say which checkpoint is on the disk, in half a line."""
    try:
        with np.load(path, allow_pickle=False) as file:
            step = json.loads(str(file["__json__"]))["meta"]["step"]
    except Exception:  # whatever is wrong with it
        return "there is no checkpoint yet"
    return f"the last checkpoint is {path}, of step {step}: --resume goes on from it"
