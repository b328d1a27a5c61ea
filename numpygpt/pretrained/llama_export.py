"""Our Llama into files of the Llama layout, which transformers reads. Derived in chapter 25."""

import json

import numpy as np

from numpygpt.data import DataError
from numpygpt.pretrained.gpt2_export import gpt2_tokens, write_folder
from numpygpt.pretrained.llama import layout
from numpygpt.pretrained.llama_config import config_of
from numpygpt.tokenizers.tokenizer_json import ByteLevelBPE


def tokenizer_file(tokenizer):
    """Return the tokenizer.json, not yet text, of a char or BPE tokenizer or of one read."""
    if isinstance(tokenizer, ByteLevelBPE):
        return tokenizer.file
    tokens, merges = gpt2_tokens(tokenizer)
    special = getattr(tokenizer, "special_tokens", {})
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [{"id": i, "content": s, **flags, "special": True} for s, i in special.items()]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    model = {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": level | {"use_regex": True},
        "decoder": level,
        "model": model,
    }


def to_bfloat16(x):
    """Return float32 numbers, rounded to even, as bfloat16: the upper halves of their bits."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def in_halves(name, a, config):
    """Return an array of queries or keys in the order of the files, whose pairs are halves."""
    if config.rope_layout == "halves" or not name.endswith(("q.W", "k.W", "_norm.gamma")):
        return a
    heads = a.reshape(*a.shape[:-1], -1, config.head_dim)
    return np.concatenate([heads[..., 0::2], heads[..., 1::2]], axis=-1).reshape(a.shape)


def save_llama(model, tokenizer, folder, bfloat16=False):
    """Write a folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

    Raises:
        DataError: the folder is there already, or the files cannot hold this model or tokenizer.
    """
    try:
        about = config_of(model.config)
    except ValueError as error:
        raise DataError(str(error)) from None
    params, arrays = model.params(), {}
    for ours, (theirs, _) in layout(model.config).items():
        a = in_halves(ours, params[ours], model.config)
        a = a if ours == "wte.W" else a.T
        arrays[theirs] = to_bfloat16(a) if bfloat16 else a
    dtype = "bfloat16" if bfloat16 else str(model.wte.W.dtype)
    texts = {
        "config.json": json.dumps(about | {"dtype": dtype, "torch_dtype": dtype}, indent=2),
        "tokenizer.json": json.dumps(tokenizer_file(tokenizer), ensure_ascii=False),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}),
    }
    write_folder(folder, arrays, texts)
