"""Checkpoints: one .npz file that is never torn. Derived in chapter 16."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from numpygpt.data import tokenizer_from_json, write_beside
from numpygpt.gpt import GPT, GPTConfig

VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model; the message says which."""


def digest_of(arrays):
    """Return the SHA-256 over names, dtypes, shapes and bytes of {name: array}."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {a.dtype.str} {a.shape}\n".encode())
        digest.update(a.tobytes())
    return digest.hexdigest()


def save_checkpoint(path, arrays, meta):
    """Write {name: array} and `meta`, which JSON can hold, to the one file `path`.

    The bytes go to a temporary file, to the disk, and only then to the name: a crash at any moment
    leaves the old checkpoint or the new one.
    """
    text = json.dumps({"version": VERSION, "meta": meta})
    # The digest covers the text, too: a changed counter is as bad as a changed weight.
    everything = {**arrays, "__json__": np.array(text)}
    digest = np.array(digest_of(everything))

    def write(beside):
        with open(beside, "wb") as file:
            np.savez(file, **everything, __sha256__=digest)
            file.flush()
            os.fsync(file.fileno())

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_beside(Path(path), write)


def _read(path):
    """Return (arrays, version, meta, whether the digest fits)."""
    # We open the file, since NumPy leaves a damaged one open.
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
        everything = {name: file[name] for name in file.files}
    expected = str(everything.pop("__sha256__"))
    intact = digest_of(everything) == expected
    content = json.loads(str(everything.pop("__json__")))
    return everything, content["version"], content["meta"], intact


def load_checkpoint(path):
    """Return (arrays, meta) as they were saved.

    Raises:
        CheckpointError: the file is missing, cut short, changed, or of another version.
    """
    try:
        arrays, version, meta, intact = _read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    # On damaged files the readers of zip, of arrays and of JSON raise nearly every error there is.
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {error}") from None
    if not intact:
        raise CheckpointError(f"{path} was changed after it was saved: its SHA-256 does not match")
    if version != VERSION:
        raise CheckpointError(f"{path} has version {version}, this program reads {VERSION}")
    return arrays, meta


def part(arrays, prefix):
    """Return the entries of {name: array} whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def gpt_of(meta, **options):
    """Return the GPT of a checkpoint's meta, with new weights; options as for GPT."""
    return GPT(GPTConfig(**meta["model"]), **options)


def load_model(path, dtype=np.float32, build=gpt_of):
    """Return (model, tokenizer, meta) from the checkpoint at `path`.

    Args:
        build: what makes the model, where it is not a GPT: as `gpt_of`.

    Raises:
        CheckpointError: as `load_checkpoint`, or the arrays do not fit the configuration.
    """
    arrays, meta = load_checkpoint(path)
    try:
        model = build(meta, rng=np.random.default_rng(0), dtype=dtype)
        model.load_params(part(arrays, "model."))
        tokenizer = tokenizer_from_json(meta["tokenizer"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a model that we can build: {error}") from None
    if tokenizer.vocab_size != model.config.vocab_size:
        raise CheckpointError(
            f"{path}: {tokenizer.vocab_size} tokens do not fit vocab_size={model.config.vocab_size}"
        )
    return model, tokenizer, meta
