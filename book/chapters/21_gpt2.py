# %% [markdown]
# # Chapter 21: GPT-2
#
# In 2019 OpenAI published the weights of GPT-2, and our GPT has the same layers. To use those weights
# we must carry 124 million numbers from one program's arrays into another's. We practice on a model
# whose loss we know, the one that comes with this book, and make one mistake: each block's
# `attn.proj.W` arrives transposed.

# %%
from pathlib import Path

import numpy as np
from coursekit import export
from coursekit.figures import BLUE, GREEN, GRAY, ORANGE, SKY, YELLOW, show, subplots

from numpygpt.checkpoint import load_model

path = Path("../data/checkpoints/shakespeare_char/checkpoint.npz")
model, tokenizer, _ = load_model(path, dtype=np.float64)
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
T = model.config.block_size
held_out = np.array(tokenizer.encode(text[-64 * (T + 1) :])).reshape(64, T + 1)
x, y = held_out[:, :-1], held_out[:, 1:]    # (64, T)
right, loss = model(x, y)
print(f"loss {loss:.2f} nats")

# %%
ours = {name: p.copy() for name, p in model.params().items()}
turned = {name: p.T for name, p in ours.items() if name.endswith("attn.proj.W")}
model.load_params(ours | turned)    # checks every name and shape
print(f"{len(turned)} of {len(ours)} arrays transposed: loss {model(x, y)[1]:.2f} nats")
model.load_params(ours)

# %% [markdown]
# `load_params` noticed nothing: the matrix is square. The model still runs, far worse than before.
#
# **The question of this chapter:** how do we read the published files into our own GPT, and how do
# we know that each number is in its place?
#
# ## Shapes
#
# A GPT-2 folder holds four files, as Hugging Face's library of published models, `transformers`,
# reads and writes them: `config.json` has the sizes, `model.safetensors` the weights, `vocab.json`
# and `merges.txt` the tokenizer ([chapter 14](14_bpe.ipynb)).
#
# | name | meaning | shape or value |
# |---|---|---|
# | `N` | length of the weight file's header | bytes |
# | `V`, `T`, `C`, `L` | `vocab_size`, `n_positions`, `n_embd`, `n_layer` | from `config.json` |
# | `wte.weight`, `wpe.weight` | the embeddings of tokens and positions | `(V, C)`, `(T, C)` |
# | `h.0.attn.c_attn.weight` | `qkv.W` of block 0 | `(C, 3C)` |
# | `h.0.attn.c_proj.weight` | `proj.W` of block 0 | `(C, C)` |
#
# ## By hand: a file of two arrays
#
# A *safetensors* file has three parts: 8 bytes with a number N, the least significant byte first
# (*little-endian*); N bytes of JSON, the *header*; and the numbers themselves, row by row. For each
# array the header gives its type, its shape, its first byte and the byte after its last, counted from
# the end of the header.

# %%
import json

header = {
    "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "W": {"dtype": "BF16", "shape": [1, 3], "data_offsets": [8, 14]},
}
words = json.dumps(header, separators=(",", ":")).encode()
numbers = np.array([1.0, -2.5], "<f4").tobytes() + bytes.fromhex("803f 20c0 493f")
by_hand = len(words).to_bytes(8, "little") + words + numbers

# %% [markdown]
# **Before you run the next cell:** N is 111. What are the first 8 bytes? How long is the file?

# %%
print("first 8 bytes:", by_hand[:8].hex(" "))
print("header starts:", by_hand[8:51].decode())
print("numbers:      ", by_hand[8 + len(words) :].hex(" "))
print("length:       ", len(by_hand), "= 8 +", len(words), "+", len(numbers))

# %% [markdown]
# 111 is 6f in hexadecimal. Here is the whole file, sixteen bytes a row:

# %%
colors = [SKY] * 8 + [YELLOW] * len(words) + [GREEN] * 8 + [ORANGE] * 6
figure, axes = subplots(size=(8, 3.2))
for i, (byte, color) in enumerate(zip(by_hand, colors)):
    letter = chr(byte) if color == YELLOW else f"{byte:02x}"
    axes.barh(i // 16, 1, left=i % 16, height=0.9, color=color, alpha=0.6)
    axes.text(i % 16 + 0.5, i // 16, letter, ha="center", va="center", family="monospace")
for part, color in (("N", SKY), ("header", YELLOW), ("b", GREEN), ("W", ORANGE)):
    axes.barh(0, 0, color=color, alpha=0.6, label=part)    # for the legend
axes.set(xticks=range(0, 17, 8), yticks=range(9), yticklabels=[16 * row for row in range(9)],
         ylabel="first byte of the row", xlabel="byte within the row")
axes.invert_yaxis()
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
show(figure, "The 133 bytes of the file in rows of sixteen: eight bytes of N, 111 letters of the "
             "header, eight bytes of b and six of W.")

# %% [markdown]
# Such a file holds no code. A *pickle*, the usual format of weights before this one, is a program
# that Python runs while loading it, and it may do anything. That is what "safe" in the name means.
#
# ## Three types of numbers
#
# `F32` is NumPy's float32, `F16` its float16. NumPy lacks `BF16` (*bfloat16*). A float32 has 1 bit for
# the sign, 8 for the exponent, 23 for the fraction; a bfloat16 is its upper half, with 7 bits of
# fraction. So a bfloat16 with 16 zero bits after it is a float32. **Before you run the next cell:** the
# first number is `80 3f`, so the float32 is `3f 80 00 00`, most significant byte first. Which is it?

# %%
halves = np.frombuffer(numbers[8:], "<u2")                     # (3,) whole numbers
print((halves.astype(np.uint32) << 16).view(np.float32))
pi = np.array([np.pi], np.float32)
cut = (pi.view(np.uint32) >> 16 << 16).view(np.float32)
print("pi as F32, F16, BF16:", pi[0], np.float16(pi[0]), cut[0])

# %% [markdown]
# Half the bytes cost digits: BF16 keeps two or three, with the range of F32. (Both short types hold
# 3.140625 here; NumPy prints a float16 with as few digits as identify it.)
#
# ## Reading, and trusting nothing
#
# The `safetensors` library would read the file for us; with NumPy alone we see every step. If you trust
# the file, ten lines are enough:

# %%
def read_trusting(data):
    """Return {name: array} of the bytes of a file, whatever its header claims."""
    start, arrays = 8 + int.from_bytes(data[:8], "little"), {}
    for name, about in json.loads(data[8:start]).items():
        first, end = about["data_offsets"]
        a = np.frombuffer(data[start + first : start + end], "<f4" if about["dtype"] == "F32" else "<u2")
        if about["dtype"] == "BF16":
            a = (a.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = a.reshape(about["shape"])
    return arrays

# %% [markdown]
# **Before you run the next cell:** in a second file the header says that W begins at byte 2, inside b.
# Who notices?

# %%
overlap = by_hand.replace(b"[8,14]", b"[2, 8]")
for name, data in (("as it was:", by_hand), ("W inside b:", overlap)):
    print(f"{name:12}", {name: a.tolist() for name, a in read_trusting(data).items()})

# %% [markdown]
# Nobody: six bytes of b are handed out as W. So the code that we export compares each number with
# another before using it: N with the file's size, the type with those that it knows, the shape with
# the two offsets, and each array's start with the end of the one before, to the last byte. An
# `Entry` says where an array lies. **The code below makes only these comparisons: skim it or skip
# it.**

# %% tags=["export"] module="pretrained/safetensors.py"
"""Safetensors files: named arrays, read and written with NumPy alone. Derived in chapter 21."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numpygpt.data import DataError, write_beside

# What the header calls a type, and NumPy's name for the bytes of one number. BF16 is read as whole
# numbers first. Old files have masks of U8 or BOOL among the weights.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "|u1", "BOOL": "|u1"}

MAX_HEADER = 100_000_000  # bytes: the limit of the format


# %% tags=["export"]
@dataclass(frozen=True)
class Entry:
    """One array of a file: its type as in DTYPES, its shape, and its first byte in the file."""

    kind: str
    shape: tuple
    start: int

    @property
    def nbytes(self):
        return math.prod(self.shape) * np.dtype(DTYPES[self.kind]).itemsize


# %% tags=["export"]
def entry_of(name, about, data_start):
    """Return the Entry of what the header says `about` an array, or raise ValueError."""
    if not isinstance(about, dict) or about.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} does not have a dtype, a shape and data_offsets")
    kind, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ValueError(f"{name} has dtype {kind!r}, we read {', '.join(DTYPES)}")
    for sizes in (shape, offsets):
        if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
            raise ValueError(f"{name}: {sizes!r} is not a list of whole numbers from 0 on")
    if len(shape) > 64 or len(offsets) != 2:  # an array of NumPy has 64 axes at most
        raise ValueError(f"{name} has {len(shape)} axes and {len(offsets)} data_offsets")
    entry = Entry(kind, tuple(shape), data_start + offsets[0])
    if offsets[1] - offsets[0] != entry.nbytes:
        raise ValueError(f"{name}: {kind} of shape {shape} does not fit data_offsets {offsets}")
    return entry


def check_no_gaps(entries, start, size):
    """Raise ValueError unless the arrays fill the file from byte `start` to its end at `size`."""
    for name, entry in sorted(entries.items(), key=lambda e: (e[1].start, e[1].nbytes)):
        if entry.start != start:
            raise ValueError(f"{name} starts at byte {entry.start} instead of {start}")
        start += entry.nbytes
    if start != size:
        raise ValueError(f"its arrays end at byte {start}, the file at {size}")


def no_name_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears in it twice")
    return found


def header_of(file):
    """Return the header of an open file, the byte after it, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    end = 8 + int.from_bytes(file.read(8), "little")
    if end > min(size, 8 + MAX_HEADER):
        raise ValueError(f"a header of {end - 8} bytes does not fit a file of {size}")
    text = file.read(end - 8).decode("utf-8")
    header = json.loads(text, object_pairs_hook=no_name_twice)
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    header.pop("__metadata__", None)  # notes, such as which program wrote it
    return header, end, size


def read_header(path):
    """Return {name: Entry} for the arrays of the file; none of their numbers is read.

    Raises:
        DataError: the file is missing, or a size, an offset or a type in it does not fit.
    """
    try:
        with open(path, "rb") as file:
            header, end, size = header_of(file)
        entries = {name: entry_of(name, about, end) for name, about in header.items()}
        check_no_gaps(entries, end, size)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise DataError(f"{path} is damaged or not a safetensors file: {error}") from None
    return entries


# %% [markdown]
# `np.fromfile` reads one array into memory of its own. A *memory map*, as for the token files of
# [chapter 15](15_data.ipynb), would leave the numbers in the file until they are needed. But the header
# of GPT-2's file has 14,283 bytes, so its first float32 starts at byte 14,291, not a multiple of 4:
# NumPy would copy such a matrix before each product.

# %% tags=["export"]
def read_array(path, entry, dtype=None):
    """Return the array that `entry` describes, as `dtype` or else as the file has it."""
    count = math.prod(entry.shape)
    a = np.fromfile(path, DTYPES[entry.kind], count, offset=entry.start)
    if len(a) != count:
        raise DataError(f"{path} became shorter while we read it")
    if entry.kind == "BF16":  # the upper half of a float32
        a = (a.astype(np.uint32) << 16).view(np.float32)
    return a.astype(dtype or a.dtype.newbyteorder("="), copy=False).reshape(entry.shape)


# %% [markdown]
# Writing is the reverse. We pad our headers with spaces, so that every number starts at a multiple of
# its size.

# %% tags=["export"]
def write_safetensors(path, arrays):
    """Write {name: array of float32, float64 or, as uint16, bfloat16}; beside the file first."""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64", np.dtype(np.uint16): "BF16"}
    header, end = {"__metadata__": {"format": "pt"}}, 0  # transformers asks for this note
    for name, a in arrays.items():
        offsets = [end, end + a.nbytes]
        header[name] = {"dtype": kinds[a.dtype], "shape": a.shape, "data_offsets": offsets}
        end += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that every number starts at a multiple of its size

    def write(beside):
        with open(beside, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for a in arrays.values():
                file.write(np.ascontiguousarray(a, a.dtype.newbyteorder("<")))
            file.flush()
            os.fsync(file.fileno())

    write_beside(Path(path), write)


# %% [markdown]
# The file made by hand is the first test. Then we damage it in three ways.

# %%
import tempfile

scratch = tempfile.TemporaryDirectory()    # gone when the notebook ends
folder = Path(scratch.name)
file = folder / "two.safetensors"
file.write_bytes(by_hand)
for name, entry in read_header(file).items():
    print(name, entry, read_array(file, entry))

# %%
damaged = {
    "cut": by_hand[:-1],
    "huge header": b"\xff" * 8 + by_hand[8:],
    "overlap": overlap,
}
for what, content in damaged.items():
    file.write_bytes(content)
    try:
        read_header(file)
    except DataError as error:
        print(f"{what:11}", str(error).partition("file: ")[2])

# %% [markdown]
# ## The sizes
#
# Of the four files `config.json` comes first. It can ask for more than our GPT can do.

# %% tags=["export"] module="pretrained/gpt2_config.py"
"""GPT-2's config.json and our GPTConfig, each from the other. Derived in chapter 21."""

import json
from pathlib import Path

from numpygpt.data import DataError
from numpygpt.gpt import GPTConfig

# What config.json calls an activation, and our name for the same function.
ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}

# What config.json can say in several ways, and our GPT does in one.
FIXED = {
    "model_type": "gpt2",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


# %% tags=["export"]
def config_of(config):
    """Return what config.json says of a GPT with this configuration."""
    sizes = {name: getattr(config, name) for name in ("vocab_size", "n_layer", "n_head", "n_embd")}
    kinds = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    return {
        **FIXED,
        **sizes,
        "n_positions": config.block_size,
        "activation_function": kinds[config.activation],
        "tie_word_embeddings": config.tie_weights,
        "architectures": ["GPT2LMHeadModel"],
        "bos_token_id": None,  # else 50256, which may lie outside our vocabulary
        "eos_token_id": None,
    }


# %% [markdown]
# And back. A setting that changes the arithmetic, and that our GPT lacks, must stop us: with the wrong
# activation every name and shape would still fit. (`gelu_new` is the tanh form of
# [chapter 4](04_activations.ipynb); `gelu` is another function.)

# %% tags=["export"]
def config_from(about):
    """Return the GPTConfig of a parsed config.json; ValueError or KeyError for what we lack."""
    if not isinstance(about, dict):
        raise ValueError("it is not a JSON object")
    for name, value in FIXED.items():
        if about.get(name, value) != value:
            raise ValueError(f"{name} is {about[name]!r}, our GPT knows only {value!r}")
    activation = about.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation_function is {activation!r}, our GPT knows only {known}")
    if about.get("n_inner") not in (None, 4 * about["n_embd"]):
        raise ValueError(f"n_inner is {about['n_inner']!r}, our GPT knows only 4 n_embd")
    sizes = {name: about[name] for name in ("vocab_size", "n_layer", "n_head", "n_embd")}
    tied, kind = about.get("tie_word_embeddings", True), ACTIVATIONS[activation]
    return GPTConfig(**sizes, block_size=about["n_positions"], activation=kind, tie_weights=tied)


# %% tags=["export"]
def read_json(path, make, trouble=""):
    """Return what `make` makes of a JSON file.

    Args:
        trouble: what to say after the path where `make` cannot use what is in the file.

    Raises:
        DataError: the file is missing or damaged, or `make` raises; the message says why.
    """
    try:
        return make(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except KeyError as error:
        raise DataError(f"{path} does not say {error}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}{trouble}: {error}") from None


def read_config(path):
    """Return the GPTConfig that config.json describes.

    Raises:
        DataError: the file is missing or damaged, or asks for what our GPT does not do.
    """
    return read_json(path, config_from)


# %%
about = config_of(model.config)
print("there and back:", config_from(about) == model.config)
try:
    config_from(about | {"activation_function": "gelu"})
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## Which array is which
#
# The names differ, the arrays do not. GPT-2's code has a layer called Conv1D where ours has Linear,
# and both hold a matrix as `(n_in, n_out)`. (PyTorch's own Linear holds `(n_out, n_in)`. Most
# published models are stored that way, so their matrices must be transposed; code written for
# those, when it reads GPT-2, makes the mistake of our first cells.) GPT-2's `c_attn` holds queries,
# keys and values side by side in this order, as our `qkv` does. So the whole mapping is a table of
# names, and of shapes in multiples of C.

# %% tags=["export"] module="pretrained/gpt2.py"
"""GPT-2's files into our GPT: names, shapes, weights. Derived in chapter 21."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.gpt import GPT
from numpygpt.tokenizers.bpe import BPETokenizer
from numpygpt.tokenizers.char import CharTokenizer
from numpygpt.tokenizers.gpt2_files import CHARS, read_merges
from numpygpt.tokenizers.pieces import BYTE_ORDER

# %% tags=["export"]
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


# %% tags=["export"]
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


# %% [markdown]
# Is the table right? It must name all parameters of our model, with their shapes:

# %%
names = layout(model.config)
print("all names and shapes:", {n: shape for n, (_, shape) in names.items()}
      == {n: p.shape for n, p in model.params().items()})

# %% [markdown]
# ## 124 million, derived
#
# The number of parameters follows from the table. A block has matrices of $C \cdot 3C$, $C \cdot C$,
# $C \cdot 4C$ and $4C \cdot C$, biases of $3C + C + 4C + C$, and two norms of $2C$ each:
#
# $$P = \underbrace{VC + TC}_{\text{embeddings}} + L\,\underbrace{(12\,C^2 + 13\,C)}_{\text{a block}} + \underbrace{2C}_{\text{last norm}}.$$
#
# `config.json` of the smallest GPT-2 says V = 50,257, T = 1,024, C = 768 and L = 12. Its
# `model.safetensors` has 548,105,171 bytes. **Before you run the next cell:** is that P float32 numbers
# and a header?

# %%
from numpygpt import GPTConfig

gpt2 = GPTConfig(50257, 1024, n_layer=12, n_head=12, n_embd=768, activation="gelu")

def n_params(config):
    V, T, C, L = config.vocab_size, config.block_size, config.n_embd, config.n_layer
    return V * C + T * C + L * (12 * C**2 + 13 * C) + 2 * C

P = n_params(gpt2)
print(f"P = {P:,}, by the table {sum(int(np.prod(s)) for _, s in layout(gpt2).values()):,}")
print(f"4 P = {4 * P:,} bytes, {548_105_171 - 4 * P:,} fewer than the file")

# %% [markdown]
# 50 megabytes too many. They are the causal masks: in the code of 2019 each block kept a triangle
# of ones, `(1, 1, T, T)`, among its weights. Our attention makes its own.

# %%
masks = 12 * 1024 * 1024 * 4
print(f"12 masks: {masks:,} bytes; left for the header: {548_105_171 - 4 * P - masks:,} = 8 + 14,283")

# %% [markdown]
# The larger siblings have more blocks and more channels. Where do their parameters lie?

# %%
sizes = {"124M": (12, 768), "355M": (24, 1024), "774M": (36, 1280), "1558M": (48, 1600)}    # L, C
parts = np.array([((50257 + 1024) * C, L * 4 * C * C, L * 8 * C * C) for L, C in sizes.values()])

# %%
figure, axes = subplots(size=(6, 3))
left = np.zeros(len(sizes))
labels = ("embeddings", "attention", "feed-forward")
for part, label, color in zip(parts.T / 1e6, labels, (YELLOW, BLUE, SKY)):
    axes.barh(list(sizes), part, left=left, label=label, color=color)
    left += part
axes.set(xlabel="parameters in matrices (millions)", ylabel="GPT-2")
axes.invert_yaxis()
axes.legend()
show(figure, "Bars of the four sizes of GPT-2, split into embeddings, attention and feed-forward "
             "matrices. In the smallest nearly a third is embeddings; in the largest, nearly "
             "everything is in the blocks, two thirds of it feed-forward.")

# %% [markdown]
# ## Writing the folder
#
# We cannot ship GPT-2's files with a book, so we make a folder of the same form from our own model.
# Its vocabulary has characters where GPT-2's has pieces of words. That fits, too: `vocab.json` writes
# each byte as a letter, and `merges.txt` may be empty. We refuse what the format cannot hold.

# %% tags=["export"] module="pretrained/gpt2_export.py"
"""Our GPT into GPT-2's files, which transformers reads, too. Derived in chapter 21."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.tokenizers.gpt2_files import CHARS
from numpygpt.tokenizers.pieces import ID_OF_BYTE


def as_letters(token):
    """Return the bytes of a token as vocab.json writes them: a letter for each."""
    return "".join(CHARS[ID_OF_BYTE[byte]] for byte in token)


# %% tags=["export"]
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


# %% [markdown]
# A model with `bias=False` gets biases of 0: they change nothing.

# %% tags=["export"]
def gpt2_arrays(model):
    """Return {GPT-2's name: array} for the parameters of the model."""
    params, arrays = model.params(), {}
    for ours, (theirs, shape) in layout(model.config).items():
        a = params.get(ours, np.zeros(shape, model.wte.W.dtype))
        arrays[theirs] = a.T if ours == "head.W" else a
    return arrays


# %% [markdown]
# The folder is made under another name and renamed when it is whole, as our checkpoints are.

# %% tags=["export"]
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


# %% tags=["export"]
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


# %%
save_pretrained(model, tokenizer, folder / "shakespeare")
for file in sorted((folder / "shakespeare").iterdir()):
    print(f"{file.name:18} {file.stat().st_size:9,} bytes")
print((folder / "shakespeare/vocab.json").read_text(encoding="utf-8")[:57], "...")

# %% [markdown]
# `Ċ` stands for the line break, `Ġ` for the space, as in chapter 14. The weights are float64, as our
# model is: 8 bytes a number.
#
# ## Reading the folder
#
# From here to "GPT-2 writes" all cells read `FOLDER`. It is the folder that we have written, or
# that of the real GPT-2 if you have it (that section says where to get it).

# %%
FOLDER = folder / "shakespeare"     # or Path("../data/gpt2")

# %% [markdown]
# Before the model is filled, the header of the weights is compared with the layout. GPT-2's head is
# tied: it is `wte`. Some programs write the one matrix under both of its names. If the two arrays
# are equal, we lose nothing by dropping the second. **Skim this cell, too:** it only compares.

# %% tags=["export"] module="pretrained/gpt2.py"
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


# %% [markdown]
# Last, the arrays go into a model. `GPT(config, rng=...)` would draw 124 million random numbers,
# only to throw them away. But a layer has no sizes of its own: it takes them from its arrays. So we
# build the smallest GPT with the same parts, and put the arrays into it. `np.zeros` asks the system
# for memory, and the system gives none until somebody writes there: as long as nobody trains, the
# gradients cost nothing.

# %% tags=["export"]
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


# %% [markdown]
# Now the whole way, from the folder to the model. (Other libraries have a method
# `GPT.from_pretrained`. Ours is a function, since `gpt.py` may not import what a later chapter exports.)

# %% tags=["export"]
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


# %%
loaded = from_pretrained(FOLDER, np.float64)
print(loaded.config)
print(f"{loaded.num_params():,} parameters, by the formula {n_params(loaded.config):,}")

# %% [markdown]
# Now the other two files. Chapter 14 reads those of GPT-2. Ours has fewer tokens than there are bytes,
# and nothing to merge: that is a `CharTokenizer`. A token that is neither a byte nor made by a merge is
# a special one.

# %% tags=["export"]
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


# %% tags=["export"]
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


# %%
from numpygpt.generate import generate

loaded, loaded_tokenizer = load_pretrained(FOLDER, np.float64)
prompt = np.array([loaded_tokenizer.encode("First")])
out = generate(loaded, prompt, 60, temperature=0.8, rng=np.random.default_rng(3))
print(loaded_tokenizer.decode(out[0].tolist()))

# %% [markdown]
# ## Is every number in its place?
#
# Three checks, from weak to strong. The *shapes* fit. The *loss* on a text is that of a model that has
# learned something. The *logits*, for each token of some text, are those of the model that was saved,
# nearly to the last digit. For the third we need numbers computed elsewhere: here, those of the first
# cell.

# %%
n = 64 if loaded.config == model.config else 4    # a row of GPT-2's logits is 800 times as long
ids = np.array(loaded_tokenizer.encode(text[-20_000:]))[-n * (T + 1) :].reshape(n, T + 1)
new, new_loss = loaded(ids[:, :-1], ids[:, 1:])
print(f"loss {new_loss:.2f} nats, ln V = {np.log(loaded.config.vocab_size):.2f}")
if new.shape == right.shape:    # not so with the real GPT-2, of which we have no logits
    print("logits are those of the first cell:", np.allclose(new, right, rtol=0, atol=1e-9))

# %% [markdown]
# Now five ways to go wrong, and who finds them: `proj.W` transposed, as at the beginning; `fc1.W`
# transposed; queries and keys exchanged; `c_attn` read with the heads outside and q, k, v inside, as
# some models store it; and the two norms of each block exchanged. **Before you run the next cell:** which
# does the shape check find, and which of the others does the loss show least?

# %%
C, H = loaded.config.n_embd, loaded.config.n_head
good = {name: p.copy() for name, p in loaded.params().items()}

def changed(part, change):
    """The parameters with `part` in their names, each after the change."""
    return {name: change(p) for name, p in good.items() if part in name}

def exchanged(a):
    q, k, v = np.split(a, 3, axis=-1)
    return np.concatenate([k, q, v], axis=-1)

def heads_outside(a):
    return a.reshape(*a.shape[:-1], H, 3, C // H).swapaxes(-3, -2).reshape(a.shape)

# %%
swap = {"ln1": "ln2", "ln2": "ln1"}
other_norm = {n: re.sub("ln[12]", lambda found: swap[found[0]], n) for n in good if ".ln" in n}
mistakes = {
    "proj.W transposed": changed("attn.proj.W", np.transpose),
    "fc1.W transposed": changed("ffn.fc1.W", np.transpose),
    "q and k exchanged": changed("attn.qkv.", exchanged),
    "heads outside": changed("attn.qkv.", heads_outside),
    "norms exchanged": {n: good[other] for n, other in other_norm.items()},
}

# %%
wrong = {}
for what, arrays in mistakes.items():
    try:
        loaded.load_params(good | arrays)
    except ValueError:
        print(f"{what:18} the shape check finds it")
        continue
    wrong[what], loss = loaded(ids[:, :-1], ids[:, 1:])
    close = np.isclose(wrong[what], new, rtol=1e-4)
    print(f"{what:18} loss {loss:.2f}, {close.mean():.0%} of the logits right")
loaded.load_params(good)

# %% [markdown]
# The last one is the dangerous one. With the norms exchanged the loss rises so little that you
# would blame the text. The logits show it at once: next to none of them is right. (The 2% with
# queries and keys exchanged are the first position of each window: it attends only to itself,
# whatever the scores.) That is why our tests do not look at samples of a loaded model. They compare
# its logits with those of `transformers`, within $10^{-9}$ in float64, and 50 greedy tokens one by
# one.

# %%
figure, panels = subplots(1, 2, size=(8, 3.4), sharey=True)
some = np.random.default_rng(0).choice(new.size, 2000, replace=False)
for axes, what, color in zip(panels, ("proj.W transposed", "norms exchanged"), (ORANGE, GREEN)):
    axes.plot(new.ravel()[some], wrong[what].ravel()[some], ".", color=color, markersize=2)
    axes.axline((0, 0), slope=1, color=GRAY, linewidth=1)
    axes.set(title=what, xlabel="logit of the right model")
panels[0].set_ylabel("logit of the wrong model")
show(figure, "Two clouds of points, logits of a wrongly loaded model against those of the right "
             "one. With proj.W transposed the cloud is wide; with the norms exchanged it is narrow "
             "and lies along the diagonal, but not on it.")

# %% [markdown]
# Try it: exchange the first two blocks, or shift the rows of `wpe` by one with
# `np.roll(good["wpe.W"], -1, axis=0)`. Predict the loss.

# %% [markdown]
# <details><summary>Answer</summary>
#
# The exchanged blocks give 4.12, hardly better than guessing (ln V = 4.14). The shifted `wpe` gives
# 1.86, little more than the right 1.84: one more mistake that only the logits show.
#
# </details>

# %% [markdown]
# ## Where the memory goes
#
# A float32 takes 4 bytes. To sample we need the weights, and for each new token the keys and values of
# the window, `(L, H, T, D)` each ([chapter 17](17_sampling.ipynb)): $2\,L\,T\,C$ numbers. To train we
# need the gradients, too, and Adam's two averages.

# %%
for name, (L, C) in sizes.items():
    P, window = n_params(GPTConfig(50257, 1024, L, C // 64, C)), L * 1024 * C
    counts = {"weights": P, "keys, values": 2 * window, "gradients": P, "Adam": 2 * P}
    print(f"{name:5}", ", ".join(f"{what} {4 * n / 1e9:.2f}" for what, n in counts.items()), "GB")

# %% [markdown]
# What a forward pass keeps for the backward pass comes on top. Had we read the whole file into memory
# before filling a model, the first column would have doubled.
#
# ## GPT-2 writes
#
# On the Hugging Face hub, the page `openai-community/gpt2` has the smallest GPT-2 under "Files and
# versions", with an MIT license. We read four of its files; save them in the folder `data/gpt2`.
#
# | file | bytes | SHA-256 begins with |
# |---|---|---|
# | `config.json` | 665 | `0daed774` |
# | `model.safetensors` | 548,105,171 | `248dfc39` |
# | `vocab.json` | 1,042,301 | `19613966` |
# | `merges.txt` | 456,318 | `1ce16647` |
#
# (`pytorch_model.bin` beside them is a pickle; we do not read it.) **The last cell of this section needs
# these files. Without them it says so and does nothing.** The book was built without them, so you see no
# sample of our own here. But at temperature 0 a model has only one way to go on, and others have
# published how GPT-2 goes on: of the two texts below, the first is from the tests of `transformers`
# (`test_lm_generate_gpt2`), the second from the README of picoGPT, a GPT-2 in NumPy like ours.

# %%
published = {
    "The dog": " was found in a field near the intersection of West and West Streets.",
    "Alan Turing theorized that computers would one day become": " the most powerful machines on the"
    " planet.\n\nThe computer is a machine that can perform complex calculations, and it can perform"
    " these calculations in a way that is very similar to the human brain.",
}

# %% [markdown]
# For the loss of this smallest model, the paper states 1.17 bits per character on `text8`, words of
# Wikipedia (Radford and others, *Language Models are Unsupervised Multitask Learners*, 2019, table
# 3). We know of no number for our Shakespeare; the last line of the cell measures one window, to be
# set beside the table of [chapter 19](19_shakespeare.ipynb). (GPT-2 may have read these plays in
# training.)

# %% tags=["measurement"]
GPT2 = Path("../data/gpt2")
if (GPT2 / "model.safetensors").exists():
    real, bpe = load_pretrained(GPT2)
    for start, end in published.items():
        out = generate(real, np.array([bpe.encode(start)]), 40, temperature=0, rng=np.random.default_rng(0))
        written = bpe.decode(out[0].tolist())
        print(f"{written}\nas published: {written.startswith(start + end)}\n")
    ids = np.array([bpe.encode(text[-8000:])[:1025]])
    nats, letters = real(ids[:, :-1], ids[:, 1:])[1], len(bpe.decode(ids[0, 1:].tolist()))
    print(f"{nats * 1024 / letters / np.log(2):.2f} bits per character of Shakespeare")
else:
    print("no GPT-2 in data/gpt2: nothing to run here")

# %% [markdown]
# You can also set `FOLDER` above to that folder, and run the chapter again from there. Or in a terminal:
#
# ```
# numpygpt sample --pretrained data/gpt2 --prompt "The meaning of" \
#     --max_new_tokens 40 --num_samples 1
# ```
#
# The pages `openai-community/gpt2-medium`, `gpt2-large` and `gpt2-xl` have its larger siblings, in the
# same form.
#
# ## Our model in the hands of others
#
# `transformers` reads the folder that we have written, and gives our logits. This time we write it in
# float32:
#
# ```
# numpygpt export my_gpt --out_dir data/checkpoints/shakespeare_char
# python -c "from transformers import pipeline; print(pipeline('text-generation', 'my_gpt')('ROMEO:'))"
# ```

# %%
model32, tokenizer, _ = load_model(path)
save_pretrained(model32, tokenizer, folder / "my_gpt")
again, _ = load_pretrained(folder / "my_gpt")
same = all((again.params()[name] == p).all() for name, p in model32.params().items())
print("from our checkpoint to GPT-2's files and back, bit for bit:", same)

# %% [markdown]
# ## Export

# %%
export("21_gpt2")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/21_gpt2.ipynb](../exercises/21_gpt2.ipynb). A check says what is
# wrong, and `hint("gpt2-header")` helps.
#
# | task | | minutes |
# |---|---|---|
# | a header | easy | 20 |
# | bfloat16 to float32 | easy | 10 |
# | float32 to bfloat16 | hard | 25 |
# | names | medium | 15 |
# | heads outside | hard | 25 |
# | bytes as letters | medium | 20 |
#
# ## Recap
#
# - A safetensors file is 8 bytes, a JSON header, and numbers; every claim in it can be checked.
# - GPT-2's arrays are ours under other names; $P = VC + TC + L(12C^2 + 13C) + 2C$.
# - Shapes do not betray a transposed square matrix, and a loss can miss exchanged norms. Compare logits.
# - Arrays that were read go straight into the model: nothing is drawn, nothing is held twice.
# - We exported `safetensors.py`, `gpt2_config.py`, `gpt2.py` and `gpt2_export.py`, in `pretrained/`. Your
#   GPT, every line of which you have seen derived, reads the published weights of GPT-2.
