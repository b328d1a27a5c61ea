"""GPT-2's files into our GPT: names, shapes, weights. Derived in chapter 21."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.gpt import GPT
from numpygpt.pretrained.gpt2_config import read_config
from numpygpt.pretrained.safetensors import read_array, read_header
from numpygpt.tokenizers.bpe import BPETokenizer
from numpygpt.tokenizers.char import CharTokenizer
from numpygpt.tokenizers.gpt2_files import CHARS, read_merges
from numpygpt.tokenizers.pieces import BYTE_ORDER

# In a block, our name -> GPT-2's, and the shape in multiples of C.
BLOCK = {
    "ln1.gamma": ("ln_1.weight", (1,)),
    "ln1.beta": ("ln_1.bias", (1,)),
    "attn.qkv.W": ("attn.c_attn.weight", (1, 3)),
    "attn.qkv.b": ("attn.c_attn.bias", (3,)),
    "attn.proj.W": ("attn.c_proj.weight", (1, 1)),
    "attn.proj.b": ("attn.c_proj.bias", (1,)),
    "ln2.gamma": ("ln_2.weight", (1,)),
    "ln2.beta": ("ln_2.bias", (1,)),
    "ffn.fc1.W": ("mlp.c_fc.weight", (1, 4)),
    "ffn.fc1.b": ("mlp.c_fc.bias", (4,)),
    "ffn.fc2.W": ("mlp.c_proj.weight", (4, 1)),
    "ffn.fc2.b": ("mlp.c_proj.bias", (1,)),
}


def layout(config, prefix="transformer."):
    """Return {our name: (GPT-2's name, shape in the file)} for a GPT of this configuration."""
    V, T, C = config.vocab_size, config.block_size, config.n_embd
    names = {"wte.W": (f"{prefix}wte.weight", (V, C)), "wpe.W": (f"{prefix}wpe.weight", (T, C))}
    for i in range(config.n_layer):
        for ours, (theirs, multiples) in BLOCK.items():
            shape = tuple(n * C for n in multiples)
            names[f"blocks.{i}.{ours}"] = f"{prefix}h.{i}.{theirs}", shape
    names["ln_f.gamma"] = f"{prefix}ln_f.weight", (C,)
    names["ln_f.beta"] = f"{prefix}ln_f.bias", (C,)
    if not config.tie_weights:
        names["head.W"] = "lm_head.weight", (V, C)  # as in PyTorch's Linear: (n_out, n_in)
    return names


# The causal masks that the code of 2019 kept among the weights.
MASK = re.compile(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias")


def check_names(path, entries, names, ignored=MASK):
    """Raise DataError unless the header `entries` holds just what the layout `names` asks for."""
    wanted = {theirs: shape for theirs, shape in names.values()}
    missing = [name for name in wanted if name not in entries]
    extra = [name for name in entries if name not in wanted and not ignored.fullmatch(name)]
    for problem, found in (("lacks", missing), ("has left over", extra)):
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise DataError(f"{path} does not fit config.json: it {problem} {found[0]}{more}")
    for name, shape in wanted.items():
        if entries[name].shape != shape:
            raise DataError(f"{path}: {name} has shape {entries[name].shape}, not {shape}")
        if entries[name].kind in ("U8", "BOOL"):
            raise DataError(f"{path}: {name} holds {entries[name].kind} instead of fractions")


def drop_tied_head(path, config, entries, names):
    """Take lm_head.weight out of `entries` if it is wte.weight once more, in a tied model."""
    head, wte = entries.get("lm_head.weight"), entries.get(names["wte.W"][0])
    if config.tie_weights and head and wte and head.shape == wte.shape:
        if np.array_equal(read_array(path, head), read_array(path, wte)):
            del entries["lm_head.weight"]


def filled(model, config, arrays):
    """Give a small model the parameters {our name: array} of a large one; none is copied."""
    model.config = config
    parts = dict(model.modules())
    for name, a in arrays.items():
        prefix, dot, last = name.rpartition(".")
        setattr(parts[prefix + dot], last, a)
        order = "F" if a.flags.fnc else "C"
        setattr(parts[prefix + dot], f"d{last}", np.zeros(a.shape, a.dtype, order))
    return model


def around(config, arrays):
    """Return a GPT with these parameters; none is drawn."""
    small = replace(config, vocab_size=1, block_size=1, n_embd=config.n_head)
    return filled(GPT(small, rng=np.random.default_rng(0)), config, arrays)


def from_pretrained(folder, dtype=np.float32):
    """Return the GPT of a GPT-2 folder: of its config.json and its model.safetensors.

    Raises:
        DataError: a file is missing or damaged, asks for what our GPT does not do, or holds
            other names or shapes.
    """
    path = Path(folder, "model.safetensors")
    config, entries = read_config(Path(folder, "config.json")), read_header(path)
    if config.n_layer > len(entries):  # a layout of a million layers would take a minute
        raise DataError(f"{path} has {len(entries)} arrays, too few for {config.n_layer} layers")
    # GPT-2's own file has wte.weight, newer ones transformer.wte.weight.
    names = layout(config, "transformer." if "transformer.wte.weight" in entries else "")
    drop_tied_head(path, config, entries, names)
    check_names(path, entries, names)
    arrays = {ours: read_array(path, entries[theirs], dtype) for ours, (theirs, _) in names.items()}
    if not config.tie_weights:
        arrays["head.W"] = np.ascontiguousarray(arrays["head.W"].T)  # (C, V), as in our Linear
    return around(config, arrays)


def read_tokenizer(folder):
    """Return the tokenizer of a folder's vocab.json and merges.txt, or raise ValueError."""
    vocab_path, merges_path = Path(folder, "vocab.json"), Path(folder, "merges.txt")
    merges, id_of = read_merges(merges_path)
    vocab = json.loads(vocab_path.read_text(encoding="utf-8"))
    tokens = sorted(vocab, key=vocab.get)  # by id
    if len(tokens) < 256 and not merges:
        chars = [chr(BYTE_ORDER[CHARS.index(token)]) for token in tokens]
        if list(vocab.values()) != list(range(len(chars))):
            raise ValueError(f"the ids in {vocab_path} are not 0, 1, 2 and so on")
        return CharTokenizer(chars)
    special = [token for token in tokens if token not in id_of]
    return BPETokenizer.from_gpt2(vocab_path, merges_path, special)


def load_pretrained(folder, dtype=np.float32):
    """Return (model, tokenizer) of a GPT-2 folder.

    Raises:
        DataError: as from_pretrained, or the tokenizer's files are damaged or do not fit.
    """
    try:
        tokenizer = read_tokenizer(folder)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} does not exist") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder} holds no tokenizer that we can read: {error}") from None
    model = from_pretrained(folder, dtype)
    V = model.config.vocab_size
    if tokenizer.vocab_size != V:
        raise DataError(f"{folder}: vocab.json has {tokenizer.vocab_size} tokens, the model {V}")
    return model, tokenizer
