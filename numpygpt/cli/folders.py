"""A folder of data, written by hand: whole or not at all, and read if its files belong together."""

import contextlib
import hashlib
import json
import os
import shutil

from numpygpt.cli.errors import UsageError
from numpygpt.data import DataError, DataLoader, load_tokenizer, read_tokens, write_tokens

PARTS = ("train", "val")
MOST_BYTES = 1 << 28  # of all tokens of a tokenizer


def digest_of_data(tokenizer, digests):
    """Return one SHA-256 over the tokenizer and the SHA-256 of each token file."""
    text = json.dumps([tokenizer.to_json(), digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_folder(folder, tokenizer, texts):
    """Write the tokens of `texts`, {"train": parts, "val": parts}, and the tokenizer.

    All is written beside what is there, and takes its place only when it is whole. Until the last
    file has come there is no tokenizer.json: nobody can read the old one with new tokens.

    Returns:
        The number of tokens of each.
    """
    new = folder / "numpygpt.unfinished"
    try:
        shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
        new.mkdir()
        about = {
            name: write_tokens(
                new / f"{name}.bin", map(tokenizer.encode, texts[name]), tokenizer.vocab_size
            )
            for name in PARTS
        }
        if not all(about[name]["length"] for name in PARTS):
            raise DataError("the text is too short to split into training and validation parts")
        digest = digest_of_data(tokenizer, [about[name]["sha256"] for name in PARTS])
        content = json.dumps(tokenizer.to_json() | {"sha256": digest}, ensure_ascii=False)
        (new / "tokenizer.json").write_text(content, encoding="utf-8")
        os.replace(new / "train.bin", folder / "train.bin")  # where this fails nothing is lost yet
        (folder / "tokenizer.json").unlink(missing_ok=True)
        for name in ("train.json", "val.bin", "val.json", "tokenizer.json"):
            os.replace(new / name, folder / name)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(new)
    return [about[name]["length"] for name in PARTS]


def open_data(folder):
    """Return (tokenizer, train tokens, val tokens, digest of all three)."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} does not exist: make it with numpygpt datagen TEXT --output_dir {folder}"
        )
    tokenizer = load_tokenizer(checked_tokenizer(folder / "tokenizer.json"))
    parts, digests = [], []
    for name in PARTS:
        path = folder / f"{name}.bin"
        tokens, vocab_size = read_tokens(path)
        if vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"{path} was made with {vocab_size} tokens, the tokenizer has "
                f"{tokenizer.vocab_size}: run numpygpt datagen again"
            )
        parts.append(tokens)
        digests.append(read_json(path.with_suffix(".json"))["sha256"])
    digest = digest_of_data(tokenizer, digests)
    # Folders of earlier versions have no digest.
    if read_json(folder / "tokenizer.json").get("sha256", digest) != digest:
        raise UsageError(
            f"{folder} holds files of different texts: make it again with numpygpt datagen"
        )
    return tokenizer, *parts, digest


def checked_tokenizer(path):
    """Return the path; UsageError if what it holds would fill the memory."""
    with contextlib.suppress(OSError, ValueError, RecursionError):  # `load_tokenizer` tells those
        content = read_json(path)
        if isinstance(content, dict) and are_too_long(content.get("merges", [])):
            raise UsageError(f"{path}: its merges make tokens longer than any text")
    return path


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def are_too_long(merges):
    """Whether the tokens that these merges make have more bytes than a text to learn them from."""
    lengths = [1] * 256
    try:
        for left, right in merges:
            lengths.append(lengths[left] + lengths[right])
    except (TypeError, ValueError, IndexError):
        return False  # they are none: the tokenizer says so
    return sum(lengths) > MOST_BYTES


def check_lengths(folder, tokens, block_size):
    """Raise UsageError if one of the token files is too short for a window."""
    for name, part in zip(PARTS, tokens, strict=True):
        try:
            DataLoader(part, 1, block_size, rng=None)
        except DataError as error:
            raise UsageError(f"{folder / name}.bin: {error}") from None
