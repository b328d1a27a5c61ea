"""GPT-2's tokenizer files, vocab.json and merges.txt, to merges. Derived in chapter 14."""

import json
from pathlib import Path

from numpygpt.tokenizers.pieces import BYTE_ORDER

CHARS = [chr(b) for b in BYTE_ORDER[:188]] + [chr(256 + i) for i in range(68)]


def read_merges(path):
    """Return the merges in the file `path` as pairs of ids, and the id of each token."""
    id_of, merges = {char: i for i, char in enumerate(CHARS)}, []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if left not in id_of or right not in id_of or left + right in id_of:
            raise ValueError(f"{path}, line {number}: {line!r} is no new pair of earlier tokens")
        merges.append((id_of[left], id_of[right]))
        id_of[left + right] = len(id_of)
    return merges, id_of


def read_text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start})") from None


def read_gpt2_files(vocab_path, merges_path, special_tokens):
    """Return the merges of a tokenizer in GPT-2's two files.

    Raises:
        ValueError: a file is damaged, or the ids in `vocab_path` are not those that follow from
            the merges and the special tokens.
    """
    merges, id_of = read_merges(merges_path)
    for token in special_tokens:
        id_of[token] = len(id_of)
    try:
        vocab = json.loads(read_text(vocab_path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{vocab_path} is not JSON: {error}") from None
    if not isinstance(vocab, dict) or not all(type(i) is int for i in vocab.values()):
        raise ValueError(f"{vocab_path} is no vocabulary: tokens, and for each its id")
    for token in id_of | vocab:
        theirs, ours = vocab.get(token, "none"), id_of.get(token, "none")
        if theirs != ours:
            raise ValueError(
                f"{vocab_path} and {merges_path} disagree: the id of {token!r} is {theirs} in the "
                f"one, {ours} by the other and the special tokens {list(special_tokens)}"
            )
    return merges
