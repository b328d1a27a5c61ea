"""A folder of published files, of whichever family, to a model and back. Derived in chapter 25."""

import json
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.llama import Llama
from numpygpt.pretrained import gpt2, gpt2_export
from numpygpt.pretrained.gpt2_config import read_json
from numpygpt.pretrained.llama import read_llama
from numpygpt.pretrained.llama_export import save_llama
from numpygpt.tokenizers.tokenizer_json import ByteLevelBPE


def is_gpt2(folder):
    """Whether the config.json of a folder is one of GPT-2's family, or does not say."""
    try:
        about = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
        return about.get("model_type", "gpt2") == "gpt2"
    except (OSError, ValueError, AttributeError, RecursionError):
        return True  # whoever reads it next says what is wrong


def from_pretrained(folder, dtype=np.float32):
    """Return the GPT or the Llama of a folder with config.json and model.safetensors.

    Raises:
        DataError: a file is missing or damaged, asks for what our models do not do, or holds
            other names or shapes.
    """
    return (gpt2.from_pretrained if is_gpt2(folder) else read_llama)(folder, dtype)


def read_tokenizer(path):
    """Return the tokenizer of a tokenizer.json, or raise DataError."""
    return read_json(path, ByteLevelBPE, " holds no tokenizer that we can read")


def load_pretrained(folder, dtype=np.float32):
    """Return (model, tokenizer) of a folder: GPT-2's files, or those of Llama and Qwen3.

    Raises:
        DataError: as from_pretrained, or the tokenizer's files are damaged or do not fit.
    """
    if is_gpt2(folder):
        return gpt2.load_pretrained(folder, dtype)
    tokenizer = read_tokenizer(Path(folder, "tokenizer.json"))
    model = read_llama(folder, dtype)
    V = model.config.vocab_size
    if tokenizer.vocab_size > V:  # fewer are usual: matrices have round sizes
        raise DataError(
            f"{folder}: tokenizer.json has {tokenizer.vocab_size} tokens, the model {V}"
        )
    return model, tokenizer


def save_pretrained(model, tokenizer, folder):
    """Write a new folder with the model and its tokenizer, which transformers reads, too.

    Raises:
        DataError: the folder is there already, or the files cannot hold this model or tokenizer.
    """
    save = save_llama if isinstance(model, Llama) else gpt2_export.save_pretrained
    save(model, tokenizer, folder)
