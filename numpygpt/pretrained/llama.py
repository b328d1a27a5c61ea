"""The files of Llama and Qwen3 into our Llama: names, shapes, weights. Derived in chapter 25."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.llama import Llama
from numpygpt.pretrained.gpt2 import check_names, filled
from numpygpt.pretrained.llama_config import read_config
from numpygpt.pretrained.safetensors import DTYPES, read_header

# In a block, our name -> theirs, and the shape in the file, (out, in), by the letters of `layout`.
BLOCK = {
    "norm1.gamma": ("input_layernorm", "C"),
    "attn.q.W": ("self_attn.q_proj", "QC"),
    "attn.k.W": ("self_attn.k_proj", "KC"),
    "attn.v.W": ("self_attn.v_proj", "KC"),
    "attn.proj.W": ("self_attn.o_proj", "CQ"),
    "norm2.gamma": ("post_attention_layernorm", "C"),
    "ffn.gate.W": ("mlp.gate_proj", "FC"),
    "ffn.up.W": ("mlp.up_proj", "FC"),
    "ffn.down.W": ("mlp.down_proj", "CF"),
}


QK_NORM = {
    "attn.q_norm.gamma": ("self_attn.q_norm", "D"),
    "attn.k_norm.gamma": ("self_attn.k_norm", "D"),
}


def layout(config):
    """Return {our name: (their name, shape in the file)} for a Llama of this configuration."""
    V, C, D = config.vocab_size, config.n_embd, config.head_dim
    Q, K = config.n_head * D, config.n_kv_head * D
    size = {"C": C, "D": D, "F": config.hidden, "Q": Q, "K": K}
    names = {"wte.W": ("model.embed_tokens.weight", (V, C))}
    for i in range(config.n_layer):
        for ours, (theirs, shape) in (BLOCK | (QK_NORM if config.qk_norm else {})).items():
            shape = tuple(size[letter] for letter in shape)
            names[f"blocks.{i}.{ours}"] = f"model.layers.{i}.{theirs}.weight", shape
    names["ln_f.gamma"] = "model.norm.weight", (C,)
    if not config.tie_weights:
        names["head.W"] = "lm_head.weight", (V, C)
    return names


def widened(a):
    """Return numbers of a file as NumPy has them: those of BF16 come as whole numbers, uint16."""
    # A bfloat16 is the upper half of a float32.
    return (a.astype(np.uint32) << 16).view(np.float32) if a.dtype == np.uint16 else a


def mapped(path, entry):
    """Return the array of an entry as it lies in the file: numbers are read when they are used."""
    try:
        return np.memmap(path, DTYPES[entry.kind], "r", entry.start, entry.shape)
    except ValueError:
        raise DataError(f"{path} became shorter while we read it") from None


ROWS = 256  # at a time: few enough for the cache of the processor


def read_weights(stored, dtype):
    """Return a mapped array in memory, each number widened once; the columns of a matrix lie apart.

    Files have (out, in), our Linear (in, out): W.T then lies in memory row by row.
    """
    W = np.empty(stored.shape, dtype, order="F")
    for start in range(0, len(stored), ROWS):
        W[start : start + ROWS] = widened(stored[start : start + ROWS])
    return W


def files_of(folder):
    """Return the paths of the weight files of a folder: one, or several that an index names."""
    whole, index = Path(folder, "model.safetensors"), Path(folder, "model.safetensors.index.json")
    if whole.exists() or not index.exists():
        return [whole]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if odd := [name for name in names if not re.fullmatch(r"[\w.-]+\.safetensors", name)]:
            raise ValueError(f"it names the file {odd[0]!r}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{index} is damaged: {error}") from None
    return [Path(folder, name) for name in sorted(names)]


def same(one, other):
    """Whether two mapped arrays are equal; no copy of either is made."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    parts = range(0, len(one), ROWS)
    return all(np.array_equal(one[i : i + ROWS], other[i : i + ROWS]) for i in parts)


# What old files have among the weights: the angles of RoPE, which we compute.
ANGLES = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")


def read_llama(folder, dtype=np.float32):
    """Return the Llama of a folder: of its config.json and its safetensors files.

    Raises:
        DataError: a file is missing or damaged, asks for what our Llama does not do, or holds
            other names or shapes.
    """
    config, files = read_config(Path(folder, "config.json")), files_of(folder)
    entries, home = {}, {}
    for path in files:
        found = read_header(path)
        entries |= found
        home |= dict.fromkeys(found, path)
    if config.n_layer > len(entries):  # a layout of a million layers would take a minute
        raise DataError(
            f"{files[0]} has {len(entries)} arrays, too few for {config.n_layer} layers"
        )

    def stored(name):
        return mapped(home[name], entries[name])

    names, tied = layout(config), {"lm_head.weight", "model.embed_tokens.weight"}
    if config.tie_weights and tied <= entries.keys() and same(*map(stored, tied)):
        del entries["lm_head.weight"]  # Qwen3's file has the one matrix under both names
    check_names(files[0], entries, names, ANGLES)
    arrays = {ours: read_weights(stored(theirs), dtype) for ours, (theirs, _) in names.items()}
    arrays = {ours: a if ours == "wte.W" else a.T for ours, a in arrays.items()}
    small = replace(config, vocab_size=1, block_size=1, n_embd=1, hidden=1)
    return filled(Llama(small, rng=np.random.default_rng(0)), config, arrays)
