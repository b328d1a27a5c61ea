# %% [markdown]
# # Exercises for chapter 21: GPT-2
#
# Bytes, names and layouts: what stands between published weights and your model. Write your code in
# place of `raise NotImplementedError()`, all of it in that cell. The check below it runs your
# code on cases that you do not see, and says what is wrong. `hint("gpt2-header")` in a cell of your
# own gives a hint; call it again for the next.

# %%
import json

import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: a header (3 points, easy, about 20 minutes)
#
# `data` holds the bytes with which a safetensors file begins: 8 bytes with the number N, little-endian; N
# bytes of JSON in UTF-8; the numbers, or some of them. Return a dict: for each array, under its name, a list
# of its dtype (as the header spells it), its shape, and the place of its first byte in the whole file.
# `data_offsets` counts from the end of the header. `__metadata__`, where there is one, is no array.

# %% answer="gpt2-header"
def arrays_in(data):
    """Return {name: [dtype, shape, first byte]}."""
    ### BEGIN SOLUTION
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start].decode("utf-8"))
    header.pop("__metadata__", None)
    return {
        name: [a["dtype"], a["shape"], start + a["data_offsets"][0]] for name, a in header.items()
    }
    ### END SOLUTION

# %% check="gpt2-header" points=3 minutes=20 level="easy"
check("gpt2-header", arrays_in)

# %% [markdown]
# ## Task 2: bfloat16 to float32 (2 points, easy, about 10 minutes)
#
# `bits` is an array of uint16, each the upper half of a float32 whose lower half is 0. Return those
# numbers, float32, in the same shape. Those that are NaN keep their bits.

# %% answer="gpt2-from-bf16"
def from_bf16(bits):
    """Return the float32 numbers whose upper halves are `bits`."""
    ### BEGIN SOLUTION
    return (bits.astype(np.uint32) << 16).view(np.float32)
    ### END SOLUTION

# %% check="gpt2-from-bf16" points=2 minutes=10 level="easy"
def numbers_and_bits(bits):    # the check looks at the dtype and at each bit, too
    x = from_bf16(bits)
    return x, str(x.dtype), np.asarray(x, np.float32).view(np.uint32)

check("gpt2-from-bf16", numbers_and_bits)

# %% [markdown]
# ## Task 3: float32 to bfloat16 (3 points, hard, about 25 minutes)
#
# The way back loses 16 bits. Cutting them off would make every number smaller. Round instead: to the
# nearer of the two neighbors, and halfway between them to the one whose last bit is 0, as all
# arithmetic of your computer does. Return the uint16 bits; `x` is float32 and holds no NaN. A number too
# large for bfloat16 becomes infinite, which comes by itself if you round the bits as a whole number.

# %% answer="gpt2-to-bf16"
def to_bf16(x):
    """Return the upper halves, rounded, of the float32 numbers x."""
    ### BEGIN SOLUTION
    bits = x.view(np.uint32)
    last = (bits >> 16) & 1    # of the upper half
    return ((bits + 0x7FFF + last) >> 16).astype(np.uint16)
    ### END SOLUTION

# %% check="gpt2-to-bf16" points=3 minutes=25 level="hard"
def bits_and_dtype(x):
    bits = to_bf16(np.ascontiguousarray(x))
    return bits, str(bits.dtype)

check("gpt2-to-bf16", bits_and_dtype)

# %% [markdown]
# ## Task 4: names (2 points, medium, about 15 minutes)
#
# Return our name for the array that GPT-2 calls `theirs`, by the table of the chapter. There may be
# `transformer.` before their name. The mask `h.0.attn.bias`, and whatever else our GPT does not have,
# gives None; so does `lm_head.weight`, since GPT-2 ties its weights. This part of the table is enough:

# %%
PARTS = {"ln_1": "ln1", "ln_2": "ln2", "attn.c_attn": "attn.qkv", "attn.c_proj": "attn.proj",
         "mlp.c_fc": "ffn.fc1", "mlp.c_proj": "ffn.fc2"}
OUTSIDE = {"wte.weight": "wte.W", "wpe.weight": "wpe.W",
           "ln_f.weight": "ln_f.gamma", "ln_f.bias": "ln_f.beta"}

# %% answer="gpt2-names"
def our_name(theirs):
    """Return blocks.3.attn.qkv.W for transformer.h.3.attn.c_attn.weight, and so on."""
    ### BEGIN SOLUTION
    theirs = theirs.removeprefix("transformer.")
    if theirs in OUTSIDE:
        return OUTSIDE[theirs]
    h, _, rest = theirs.partition(".")
    number, _, rest = rest.partition(".")
    part, _, kind = rest.rpartition(".")
    if h != "h" or not number.isdigit() or part not in PARTS or kind not in ("weight", "bias"):
        return None
    names = ("gamma", "beta") if part.startswith("ln") else ("W", "b")
    return f"blocks.{number}.{PARTS[part]}.{names[kind == 'bias']}"
    ### END SOLUTION

# %% check="gpt2-names" points=2 minutes=15 level="medium"
check("gpt2-names", our_name)

# %% [markdown]
# ## Task 5: heads outside (3 points, hard, about 25 minutes)
#
# Our `qkv.W` is `(C, 3C)`. Its columns are all queries, all keys, all values; each of the three has D
# columns for head 0, then D for head 1, and so on. Another family of models has, for head 0, its D
# queries, D keys, D values; then the same for head 1, and so on. Given `W` `(C, 3C)` and `b` `(3C,)`
# in their order, and H = `n_heads`, return both in ours.

# %% answer="gpt2-heads"
def heads_inside(W, b, n_heads):
    """Return W (C, 3C) and b (3C,) with q, k, v outside and the heads inside."""
    ### BEGIN SOLUTION
    C = len(W)
    W = W.reshape(C, n_heads, 3, C // n_heads).swapaxes(1, 2).reshape(C, 3 * C)
    b = b.reshape(n_heads, 3, C // n_heads).swapaxes(0, 1).reshape(3 * C)
    return W, b
    ### END SOLUTION

# %% check="gpt2-heads" points=3 minutes=25 level="hard"
check("gpt2-heads", heads_inside)

# %% [markdown]
# ## Task 6: bytes as letters (2 points, medium, about 20 minutes)
#
# `vocab.json` must write any bytes as text. GPT-2 gives each byte a letter. The bytes 33 to 126, 161 to
# 172 and 174 to 255 print, and their letter is the character of the same number. All others, counted
# upward from byte 0, get the characters 256, 257, 258 and so on. Return the text for `token`, which is
# a bytes object.

# %% answer="gpt2-letters"
def as_letters(token):
    """Return one letter for each byte of token."""
    ### BEGIN SOLUTION
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in prints]
    letter = {byte: chr(byte) for byte in prints}
    letter |= {byte: chr(256 + n) for n, byte in enumerate(others)}
    return "".join(letter[byte] for byte in token)
    ### END SOLUTION

# %% check="gpt2-letters" points=2 minutes=20 level="medium"
check("gpt2-letters", as_letters)
