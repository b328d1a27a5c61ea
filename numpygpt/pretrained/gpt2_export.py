"""Our GPT into GPT-2's files, which transformers reads, too. Derived in chapter 21."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.pretrained.gpt2 import layout
from numpygpt.pretrained.gpt2_config import config_of
from numpygpt.pretrained.safetensors import write_safetensors
from numpygpt.tokenizers.gpt2_files import CHARS
from numpygpt.tokenizers.pieces import ID_OF_BYTE


def as_letters(token):
    """Return the bytes of a token as vocab.json writes them: a letter for each."""
    return "".join(CHARS[ID_OF_BYTE[byte]] for byte in token)


def gpt2_tokens(tokenizer):
    """Return the tokens by id and the merges, both as GPT-2's two files write them."""
    special = []
    if tokenizer.kind == "char":
        tokens, merges = [char.encode() for char in tokenizer.chars], []
        if long := [char for char in tokenizer.chars if len(char.encode()) > 1]:
            raise DataError(f"GPT-2's vocabulary is made of bytes, and {long[0]!r} is several")
    elif tokenizer.kind == "bpe":
        special = list(tokenizer.special_tokens)
        tokens = tokenizer.bytes_of[: tokenizer.vocab_size - len(special)]
        merges = [(tokens[a], tokens[b]) for a, b in tokenizer.merges]
    else:
        raise DataError(f"GPT-2's files cannot hold a {tokenizer.kind} tokenizer")
    lines = [f"{as_letters(a)} {as_letters(b)}" for a, b in merges]
    return [*map(as_letters, tokens), *special], lines


def gpt2_arrays(model):
    """Return {GPT-2's name: array} for the parameters of the model."""
    params, arrays = model.params(), {}
    for ours, (theirs, shape) in layout(model.config).items():
        a = params.get(ours, np.zeros(shape, model.wte.W.dtype))
        arrays[theirs] = a.T if ours == "head.W" else a
    return arrays


def write_folder(folder, arrays, texts):
    """Write a new folder with model.safetensors {name: array} and the files {name: text}."""
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder} is there already: name a new folder")
    beside = folder.with_name(folder.name + ".tmp")
    beside.mkdir(parents=True)
    try:
        write_safetensors(beside / "model.safetensors", arrays)
        for name, content in texts.items():
            (beside / name).write_text(content, encoding="utf-8", newline="\n")
        os.rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def save_pretrained(model, tokenizer, folder):
    """Write a GPT-2 folder: config.json, model.safetensors, vocab.json, merges.txt.

    Raises:
        DataError: the folder is there already, or the files cannot hold this tokenizer.
    """
    tokens, merges = gpt2_tokens(tokenizer)
    texts = {
        "config.json": json.dumps(config_of(model.config), indent=2),
        "vocab.json": json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
    }
    write_folder(folder, gpt2_arrays(model), texts)
