"""Token files, the train/validation split, and the DataLoader. Derived in chapter 15."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from numpygpt.tokenizers.bpe import BPETokenizer
from numpygpt.tokenizers.char import CharTokenizer
from numpygpt.tokenizers.word import WordTokenizer


class DataError(ValueError):
    """A data file that is missing, damaged, or does not fit; the message says how to mend it."""


def write_beside(path, write):
    """Call write(temporary path), then rename it to `path`: the old file or the new, no half."""
    beside = path.with_name(path.name + ".tmp")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_tokens(path, parts, vocab_size):
    """Write token ids as a flat binary file and its description as JSON beside it.

    Args:
        path: such as data/shakespeare_char/train.bin; the description goes to train.json.
        parts: lists of integers in [0, vocab_size); together they may exceed the memory.
        vocab_size: kept in the description; two bytes per token up to 65,536, beyond that four.

    Returns:
        The description.

    Raises:
        DataError: an id is not in the vocabulary.
    """
    path, digest = Path(path), hashlib.sha256()
    dtype = "<u2" if vocab_size <= 1 << 16 else "<u4"
    about = {"dtype": dtype, "length": 0, "vocab_size": vocab_size}

    def write(beside):
        with open(beside, "wb") as file:
            for ids in map(np.asarray, parts):
                # Narrowing wraps silently: 70,000 would become 4,464.
                if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
                    raise DataError(f"ids {ids.min()} to {ids.max()} do not fit {vocab_size=}")
                tokens = ids.astype(dtype)
                file.write(tokens)
                digest.update(tokens)
                about["length"] += len(tokens)

    write_beside(path, write)
    about["sha256"] = digest.hexdigest()
    write_beside(path.with_suffix(".json"), lambda p: p.write_text(json.dumps(about), "utf-8"))
    return about


def read_tokens(path):
    """Return (tokens, vocab_size): the tokens stay on disk (memory-mapped), read as needed.

    Raises:
        DataError: a file is missing, or is not what its description says.
    """
    path = Path(path)
    again = "make it again with numpygpt datagen"
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        dtype, *expected, vocab_size = (
            about[k] for k in ("dtype", "length", "sha256", "vocab_size")
        )
        if dtype not in ("<u2", "<u4") or not isinstance(vocab_size, int):
            raise ValueError(f"dtype {dtype!r}, vocab_size {vocab_size!r}")
        tokens = np.memmap(path, dtype, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: make it with numpygpt datagen") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} or its .json is damaged ({error}): {again}") from None
    # Read the file, not the memory map: each page of it that is touched counts as our own memory.
    digest, largest = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            largest = max(largest, np.frombuffer(piece, dtype).max())
    if expected != [len(tokens), digest.hexdigest()] or largest >= vocab_size:
        raise DataError(f"{path} is not the file that its .json describes: {again}")
    return tokens, vocab_size


def split(text, val_fraction=0.1):
    """Return (training text, validation text): the last tenth is for validation."""
    cut = round(len(text) * (1 - val_fraction))
    return text[:cut], text[cut:]


def prepare(text, tokenizer, folder, val_fraction=0.1):
    """Write train.bin, val.bin and tokenizer.json into `folder`; the last tenth is for validation.

    Args:
        tokenizer: trained on the training part alone, the first that `split` returns.

    Returns:
        (number of training tokens, number of validation tokens).

    Raises:
        DataError: one part of the text has no tokens.
        ValueError: the tokenizer lacks a character of the text.
    """
    folder = Path(folder)
    # Split the text, not the tokens: the validation text is then the same for every tokenizer.
    train_text, val_text = split(text, val_fraction)
    parts = {"train": tokenizer.encode(train_text), "val": tokenizer.encode(val_text)}
    if not all(parts.values()):
        raise DataError("the text is too short to split into training and validation parts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").unlink(missing_ok=True)  # until all files fit together again
    for name, ids in parts.items():
        write_tokens(folder / f"{name}.bin", [ids], tokenizer.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    return len(parts["train"]), len(parts["val"])


def tokenizer_from_json(content, path="the tokenizer"):
    """Return the tokenizer that parsed JSON describes."""
    kind = content.get("kind") if isinstance(content, dict) else None
    for cls in (CharTokenizer, WordTokenizer, BPETokenizer):
        if cls.kind == kind:
            return cls.from_json(content, path)
    raise ValueError(f"{path} holds no tokenizer that we know: kind {kind!r}")


def load_tokenizer(path):
    """Return the tokenizer saved at `path`, of any kind."""
    again = "make it again with numpygpt datagen"
    try:
        return tokenizer_from_json(json.loads(Path(path).read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: make it with numpygpt datagen") from None
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise DataError(f"{path} is not a tokenizer ({error}): {again}") from None


class DataLoader:
    """Endless random windows of a token array: x (B, T), and y (B, T), the same one token later."""

    def __init__(self, tokens, batch_size, block_size, *, rng):
        if len(tokens) <= block_size:
            raise DataError(
                f"{len(tokens)} tokens are too few for a window of block_size={block_size} "
                "and its target: take a longer text or a smaller block_size"
            )
        self.tokens = tokens
        self.batch_size = batch_size
        self.block_size = block_size
        self.rng = rng

    def __iter__(self):
        return self

    def __next__(self):
        starts = self.rng.integers(len(self.tokens) - self.block_size, size=self.batch_size)
        return self.windows(starts)

    def windows(self, starts):
        """Return x and y of the windows that begin at `starts`."""
        windows = self.tokens[starts[:, None] + np.arange(self.block_size + 1)]  # (B, T+1)
        windows = windows.astype(np.int64)
        return windows[:, :-1], windows[:, 1:]
