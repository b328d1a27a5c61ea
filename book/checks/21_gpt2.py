# %%
import json
import math

KINDS = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "I16": 2, "F8_E4M3": 1, "BOOL": 1}

def file_of(rng, names, metadata, padding, odd=False):
    """The bytes of a safetensors file with arrays of these names, in an order of their own.

    If odd, JSON is written in another way: letters escaped, keys in another order, no spaces, or many.
    The numbers of a large array, and of all that come after it, are cut off.
    """
    header, data, place = ({"__metadata__": {"format": "pt"}} if metadata else {}), b"", 0
    for name in names:
        kind = list(KINDS)[int(rng.integers(len(KINDS)))]
        shape = [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4)))]
        shape = [] if name == "scale" else shape    # one number
        shape = [0, 3] if name.startswith("nothing") else shape
        shape = [100_000, 50_000] if name == "large" else shape
        n = KINDS[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + n]}
        place += n
        data += rng.bytes(n) if place < 1e9 else b""
    header = dict(reversed(header.items()))
    if odd:
        header = {name: dict(reversed(a.items())) for name, a in header.items()}
    words = json.dumps(header, ensure_ascii=odd, indent=odd or None, separators=(",", ":") if odd else None)
    words = words.encode() + b" " * padding
    return len(words).to_bytes(8, "little") + words + data

# %% task="gpt2-header" cases=true
def cases(rng):
    for names, metadata, padding in [
        (["a"], False, 0), (["W", "b"], False, 3), (["wte.weight", "h.0.ln_1.bias"], True, 0),
        (["Ünï", "x"], False, 1), ([f"h.{i}.attn.c_attn.weight" for i in range(9)], True, 5), ([], True, 0), ([], False, 0), (["a"], True, 70_000),
        ([f"h.{i}.mlp.c_proj.weight" for i in range(40)], False, 2), (["ours__", "__theirs", "metadata", "x.__metadata__"], True, 0),
        (["scale", "large", "W"], True, 0), (["Ünï", 'a "b"', "back\\slash", "{W}: [0, 1],", "dtype", " x "], True, 0),
        (["nothing", "W", "nothing.too"], False, 0),
    ]:
        odd = "dtype" in names
        notes = ", with metadata" * metadata + ", spaces after the header" * (padding > 0) + ", JSON in another style" * odd
        yield Case(f"{len(names)} arrays{notes}",
                   [Call({"data": file_of(rng, names, metadata, padding, odd)}, returns="the dict")])

# %% [markdown] task="gpt2-header" hint=1
# take the file apart in three steps: 8 bytes, then N bytes, then the rest, which you can ignore.

# %% [markdown] task="gpt2-header" hint=2
# int.from_bytes(..., "little") gives N; the numbers begin at byte 8 + N of the file.

# %% [markdown] task="gpt2-header" hint=3
# json.loads on the bytes 8 to 8 + N; drop __metadata__; the first byte is 8 + N plus the first of the
# data_offsets.

# %% [markdown] task="gpt2-header" mistake="from-the-header"
# counts places from the end of the header: the whole file has 8 + N bytes before them
# ```diff
# - start + a["data_offsets"][0]
# + a["data_offsets"][0]
# ```

# %% [markdown] task="gpt2-header" mistake="eight-forgotten"
# is 8 too small: the bytes that hold N come before the header
# ```diff
# - start + a["data_offsets"][0]
# + start - 8 + a["data_offsets"][0]
# ```

# %% [markdown] task="gpt2-header" mistake="the-end"
# has the place after the last byte: data_offsets begins with the first
# ```diff
# - a["data_offsets"][0]
# + a["data_offsets"][1]
# ```

# %% [markdown] task="gpt2-header" mistake="length"
# has the number of bytes where the first byte is asked for
# ```diff
# - start + a["data_offsets"][0]
# + a["data_offsets"][1] - a["data_offsets"][0]
# ```

# %% task="gpt2-header" mistake="metadata-stays"
# has an entry for __metadata__, which is not an array
def arrays_in(data):
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: [a.get("dtype"), a.get("shape"), start + a.get("data_offsets", [0])[0]]
        for name, a in header.items()
    }

# %% [markdown] task="gpt2-header" mistake="latin-1"
# has names with wrong letters: the header is UTF-8
# ```diff
# - decode("utf-8")
# + decode("latin-1")
# ```

# %% [markdown] task="gpt2-header" mistake="shape-reversed"
# has shapes the wrong way round
# ```diff
# - a["shape"], start
# + a["shape"][::-1], start
# ```

# %% [markdown] task="gpt2-header" mistake="bytes-for-shape"
# has sizes in bytes: a shape counts numbers
# ```diff
# - a["shape"], start
# + [n * {"F32": 4}.get(a["dtype"], 2) for n in a["shape"]], start
# ```

# %% task="gpt2-header" reject="by-a-pattern" shows="JSON in UTF-8"
def arrays_in(data):
    import re

    n = int.from_bytes(data[:8], "little")
    pattern = r'"([^"]+)":\s*\{"dtype":\s*"(\w+)",\s*"shape":\s*(\[[^\]]*\]),\s*"data_offsets":\s*\[(\d+),\s*\d+\]\}'
    found = re.finditer(pattern, data[8 : 8 + n].decode())
    return {m[1]: [m[2], json.loads(m[3]), 8 + n + int(m[4])] for m in found}

# %% task="gpt2-header" reject="by-a-pattern-in-any-order"
def arrays_in(data):
    import re

    n = int.from_bytes(data[:8], "little")
    out = {}
    for name, entry in re.findall(r'"([^"]+)":\s*(\{[^{}]*\})', data[8 : 8 + n].decode()):
        if name != "__metadata__":
            a = json.loads(entry)
            out[name] = [a["dtype"], a["shape"], 8 + n + a["data_offsets"][0]]
    return out

# %% [markdown] task="gpt2-header" reject="known-dtypes"
# ```diff
# - for name, a in header.items()
# + for name, a in header.items() if a["dtype"] in ("F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL")
# ```

# %% task="gpt2-header" right="struct"
def arrays_in(data):
    import struct

    (n,) = struct.unpack("<Q", data[:8])
    found = {}
    for name, a in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            found[name] = [a["dtype"], a["shape"], 8 + n + a["data_offsets"][0]]
    return found

# %% task="gpt2-header" right="numpy"
def arrays_in(data):
    n = int(np.frombuffer(data, "<u8", 1)[0])
    header = json.loads(str(data[8 : 8 + n], "utf-8"))
    return {k: [v["dtype"], v["shape"], 8 + n + min(v["data_offsets"])] for k, v in header.items()
            if k not in {"__metadata__"}}

# %% [markdown] task="gpt2-header" mistake="all-with-underscores"
# leaves out every name that begins with __: only `__metadata__` is no array
# ```diff
# - for name, a in header.items()
# + for name, a in header.items() if not name.startswith("__")
# ```

# %% [markdown] task="gpt2-header" mistake="all-with-metadata"
# leaves out every name that contains metadata: only `__metadata__` is no array
# ```diff
# - for name, a in header.items()
# + for name, a in header.items() if "metadata" not in name
# ```

# %% [markdown] task="gpt2-header" reject="place-in-32-bits"
# ```diff
# - start + a["data_offsets"][0]
# + int(np.array(start + a["data_offsets"][0]).astype(np.int32))
# ```

# %% [markdown] task="gpt2-header" reject="names-stripped"
# ```diff
# - name: [
# + name.strip(): [
# ```

# %% task="gpt2-header" right="byte-by-byte"
def arrays_in(data):
    n = 0
    for byte in reversed(data[:8]):
        n = 256 * n + byte
    header = json.loads(data[8:][:n])
    if "__metadata__" in header:
        del header["__metadata__"]
    return dict((name, [a["dtype"], a["shape"], a["data_offsets"][0] + n + 8]) for name, a in header.items())

# %% [markdown] task="gpt2-header" reject="empty-left-out"
# ```diff
# - for name, a in header.items()
# + for name, a in header.items() if a["data_offsets"][0] < a["data_offsets"][1]
# ```

# %% task="gpt2-header" reject="from-the-back"
def arrays_in(data):
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n].rstrip())
    header.pop("__metadata__", None)
    start = 8 + len(data[8 : 8 + n].rstrip())
    return {name: [a["dtype"], a["shape"], start + a["data_offsets"][0]] for name, a in header.items()}

# %% task="gpt2-header" reject="in-the-order-of-the-header"
def arrays_in(data):
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, a in header.items():
        found[name] = [a["dtype"], a["shape"], start]
        start += a["data_offsets"][1] - a["data_offsets"][0]
    return found

# %% [markdown] task="gpt2-header" reject="two-bytes"
# ```diff
# - data[:8]
# + data[:2]
# ```

# %% task="gpt2-from-bf16" cases=true
def cases(rng):
    for shape in [(7,), (3, 2), (1, 1), (2, 3, 2), (0,), ()]:
        x = rng.normal(size=shape).astype(np.float32) * np.float32(10.0) ** rng.integers(-30, 30, shape)
        bits = np.asarray(np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        by_column = shape == (3, 2)
        bits = np.asfortranarray(bits) if by_column else bits
        yield Case(f"bits of shape {shape}" + ", column by column in memory" * by_column,
                   [Call({"bits": bits}, returns=("x", "the dtype", "the bits of x"))], strided=bits.ndim > 1 and not by_column)
    special = np.array([0, 0x8000, 0x7F80, 0xFF80, 0x3F80, 0xC000, 1, 0x7F7F, 0x8003, 0x7F], np.uint16)
    yield Case("zeros, infinities, the smallest and the largest",
               [Call({"bits": special}, returns=("x", "the dtype", "the bits of x"))])
    # NaN of both signs, and signaling ones: float64, or Python's floats, would change their bits.
    special = np.array([0x7FC0, 0x3F80, 0xFFC0, 0x7FC1, 0xFFE3, 0x7FFF, 0xFFFF, 0x7F80, 0x7F81, 0xFFA5], np.uint16)
    yield Case("NaN", [Call({"bits": special}, returns=("x", "the dtype", "the bits of x"))])

# %% [markdown] task="gpt2-from-bf16" hint=1
# move the 16 bits up by 16 places, with zeros below them. Then read the 32 bits as a float32.

# %% [markdown] task="gpt2-from-bf16" hint=2
# a uint16 has no room for that: make it wider first. astype changes the type and keeps the number, view
# changes the type and keeps the bits.

# %% [markdown] task="gpt2-from-bf16" hint=3
# to uint32 by value, shift left by 16, then to float32 by bits.

# %% [markdown] task="gpt2-from-bf16" mistake="by-value"
# has the bits read as a whole number: view keeps bits, astype keeps values
# ```diff
# - .view(np.float32)
# + .astype(np.float32)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="not-shifted"
# has the bits in the lower half
# ```diff
# - (bits.astype(np.uint32) << 16)
# + bits.astype(np.uint32)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="no-room"
# is 0: a uint16 shifted by 16 places has lost all its bits; make it wider first
# ```diff
# - (bits.astype(np.uint32) << 16)
# + (bits << np.uint16(16)).astype(np.uint32)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="float16" shows="Return the float32 numbers"
# has the bits read as F16, which has 5 bits of exponent where BF16 has 8
# ```diff
# - (bits.astype(np.uint32) << 16).view(np.float32)
# + np.ascontiguousarray(bits).view(np.float16).astype(np.float32).reshape(bits.shape)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="float64" shows="Return those numbers, float32"
# is float64, and float32 is asked for
# ```diff
# - .view(np.float32)
# + .view(np.float32).astype(np.float64)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="no-sign"
# has lost the sign, the topmost bit
# ```diff
# - (bits.astype(np.uint32) << 16)
# + ((bits & 0x7FFF).astype(np.uint32) << 16)
# ```

# %% [markdown] task="gpt2-from-bf16" mistake="ones-below"
# has ones in the lower half, where zeros are due
# ```diff
# - (bits.astype(np.uint32) << 16)
# + (bits.astype(np.uint32) << 16 | 0xFFFF)
# ```

# %% task="gpt2-from-bf16" reject="nan-is-infinite"
def from_bf16(bits):
    b = bits.astype(np.int64)
    sign = np.where(b >> 15, -1.0, 1.0)
    e, m = (b >> 7) & 255, b & 127
    x = np.where(e == 0, sign * m * 2.0 ** -133, sign * 2.0 ** (e - 127.0) * (1 + m / 128))
    return np.where(e == 255, sign * np.inf, x).astype(np.float32)

# %% task="gpt2-from-bf16" reject="nan-is-zero"
def from_bf16(bits):
    x = (bits.astype(np.uint32) << 16).view(np.float32)
    return np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf)

# %% task="gpt2-from-bf16" reject="one-nan" shows="Those that are NaN keep their bits"
def from_bf16(bits):
    x = (bits.astype(np.uint32) << 16).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), x)

# %% [markdown] task="gpt2-from-bf16" right="times-65536"
# ```diff
# - (bits.astype(np.uint32) << 16).view(np.float32)
# + (bits * np.uint32(65536)).view("f4")
# ```

# %% task="gpt2-from-bf16" right="two-halves"
def from_bf16(bits):
    halves = np.zeros((bits.size, 2), "<u2")    # the lower half comes first
    halves[:, 1] = bits.ravel()
    return halves.view("<f4").reshape(bits.shape)

# %% task="gpt2-from-bf16" right="loop"
def from_bf16(bits):
    numbers = b"".join(b"\0\0" + int(n).to_bytes(2, "little") for n in bits.ravel())
    return np.frombuffer(numbers, "<f4").reshape(bits.shape)

# %% [markdown] task="gpt2-from-bf16" mistake="through-float64" shows="Those that are NaN keep their bits"
# goes through float64, which changes the bits of a NaN that signals: change the type of the bits, not of the number
# ```diff
# - .view(np.float32)
# + .view(np.float32).astype(np.float64).astype(np.float32)
# ```

# %% task="gpt2-from-bf16" reject="in-the-order-of-memory" shows="in the same shape"
def from_bf16(bits):
    halves = np.zeros((bits.size, 2), np.uint16)
    halves[:, 1] = np.frombuffer(bits.tobytes("A"), np.uint16)
    return halves.view(np.float32).reshape(bits.shape)

# %% [markdown] task="gpt2-from-bf16" reject="flat"
# ```diff
# - .view(np.float32)
# + .view(np.float32).ravel()
# ```

# %% [markdown] task="gpt2-from-bf16" reject="no-infinity"
# ```diff
# - return (bits.astype(np.uint32) << 16).view(np.float32)
# + return np.nan_to_num((bits.astype(np.uint32) << 16).view(np.float32))
# ```

# %% task="gpt2-to-bf16" cases=true
def cases(rng):
    def numbers(bits):
        return np.array(bits, np.uint32).view(np.float32)

    for shape in [(9,), (3, 2), (1, 1), (2, 3, 4), (0,), ()]:
        x = np.asarray(rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(np.float32)
        yield Case(f"x of shape {shape}", [Call({"x": x}, returns=("the bits", "the dtype"))])
    for title, low in [("halfway between two", 0x8000), ("a little above halfway", 0x8001),
                       ("a little below halfway", 0x7FFF), ("exact", 0)]:
        upper = rng.integers(0x3F00, 0x4100, 6).astype(np.uint32)
        upper[:2] = [0x3F80, 0x3F81]    # one whose last bit is 0, and one where it is 1
        x = numbers(upper << 16 | low)
        yield Case(title, [Call({"x": np.concatenate([x, -x])}, returns=("the bits", "the dtype"))])
    for title, bits in [("zeros", [0, 0x80000000]), ("infinities", [0x7F800000, 0xFF800000]),
                        ("the largest", [0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F8000, 0x7F7F7FFF]),
                        ("a carry into the exponent", [0x3FFFFFFF, 0xBFFF8000]),
                        ("the smallest", [1, 0x8000, 0x18000, 0x12345, 0x80412345, 0x7FFFFF])]:
        yield Case(title, [Call({"x": numbers(bits)}, returns=("the bits", "the dtype"))])

# %% [markdown] task="gpt2-to-bf16" hint=1
# look at the bits as a whole number, as in task 2. To round to a multiple of 65,536, add about half of it
# and cut.

# %% [markdown] task="gpt2-to-bf16" hint=2
# half is 0x8000. With 0x7FFF, halfway goes down; with 0x8000, up. Which of the two you want depends on
# the last bit of the upper half.

# %% [markdown] task="gpt2-to-bf16" hint=3
# add 0x7FFF and, on top, bit 16 itself; then shift right by 16 and make it uint16.

# %% [markdown] task="gpt2-to-bf16" mistake="cut"
# is cut off, not rounded: the lower half decides which neighbor is nearer
# ```diff
# - (bits + 0x7FFF + last)
# + bits
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="halfway-up"
# goes up at every halfway: of the two neighbors, take the one whose last bit is 0
# ```diff
# - 0x7FFF + last
# + 0x8000
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="halfway-down"
# goes down at every halfway: of the two neighbors, take the one whose last bit is 0
# ```diff
# - 0x7FFF + last
# + 0x7FFF
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="to-odd"
# takes, halfway, the neighbor whose last bit is 1: it should be 0
# ```diff
# - 0x7FFF + last
# + 0x8000 - last
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="always-up"
# always goes up: add about half, not all, of what is cut off
# ```diff
# - 0x7FFF + last
# + 0xFFFF
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="lower-half"
# is the lower half: the sign, the exponent and the leading bits of the fraction are in the upper one
# ```diff
# - ((bits + 0x7FFF + last) >> 16)
# + (bits & 0xFFFF)
# ```

# %% task="gpt2-to-bf16" mistake="float16"
# is F16, whose exponent has fewer bits
def to_bf16(x):
    with np.errstate(over="ignore"):
        return x.astype(np.float16).view(np.uint16)

# %% [markdown] task="gpt2-to-bf16" mistake="by-value"
# is the number itself, rounded to an integer: look at its bits with view
# ```diff
# - x.view(np.uint32)
# + np.nan_to_num(np.abs(x), posinf=0).astype(np.uint64).astype(np.uint32)
# ```

# %% [markdown] task="gpt2-to-bf16" mistake="never-infinite" shows="A number too large for bfloat16 becomes infinite"
# is the largest finite number where it should be infinite: let the rounding carry into the exponent
# ```diff
# - return ((bits + 0x7FFF + last) >> 16).astype(np.uint16)
# + upper = (bits + 0x7FFF + last) >> 16
# +     return (upper - ((upper & 0x7FFF) == 0x7F80)).astype(np.uint16)
# ```

# %% task="gpt2-to-bf16" right="compare"
def to_bf16(x):
    bits = x.view(np.uint32)
    upper, lower = bits >> 16, bits & 0xFFFF
    up = (lower > 0x8000) | ((lower == 0x8000) & (upper % 2 == 1))
    return (upper + up).astype(np.uint16)

# %% task="gpt2-to-bf16" right="loop"
def to_bf16(x):
    out = np.empty(x.shape, np.uint16)
    for place in np.ndindex(x.shape):
        n = int(x[place].view(np.uint32))
        upper, lower = divmod(n, 65536)
        out[place] = upper + (lower > 32768 or (lower == 32768 and upper % 2))
    return out

# %% task="gpt2-to-bf16" right="round"
def to_bf16(x):
    # np.round goes, halfway, to the even one
    return np.round(x.view(np.uint32).astype(np.float64) / 65536).astype(np.uint16)

# %% [markdown] task="gpt2-to-bf16" reject="subnormals-to-zero"
# ```diff
# - bits = x.view(np.uint32)
# + bits = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x).view(np.uint32)
# ```

# %% [markdown] task="gpt2-to-bf16" reject="negative-numbers-down"
# ```diff
# - 0x7FFF + last
# + np.where(x < 0, 0x7FFF, 0x7FFF + last).astype(np.uint32)
# ```

# %% [markdown] task="gpt2-to-bf16" reject="uint32" shows="Return the uint16 bits"
# ```diff
# - .astype(np.uint16)
# +
# ```

# %% task="gpt2-names" cases=true
def cases(rng):
    parts = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]
    inside = [f"h.{i}.{part}.{kind}" for i, part in enumerate(parts) for kind in ("weight", "bias")]
    others = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
    none = ["h.0.attn.bias", "h.3.attn.masked_bias", "h.1.attn.c_attn.scale", "wpe.bias", "h.weight", "ln_f.scale",
            "foo.wte.weight", "xwpe.weight", "h.x.ln_1.weight", "h..ln_1.weight", "h.1a.ln_1.bias", "lm_head.weight",
            "wte.bias", "h.2.mlp.c_up.weight", "g.0.ln_1.weight", "h.1.ln_3.weight", "store.h.0.ln_1.weight", "h.0.ln_1",
            "h.0.ln_1.weight_g", "h.0.attn.c_attn.weight.scale", "h.0.ln_2.running_mean", "h.0.ln_1.weight.bias", "wte.weight.0",
            "h.0.transformer.ln_1.weight", "transformer.transformer.wte.weight", "h.0.mlp.c_fc.bias\n", "h.3.ln_f.weight",
            "H.0.ln_1.weight", "h.0.LN_1.weight", "h.2.mlp.c_fc.Bias", "WTE.weight", "Transformer.wpe.weight"]
    far = ["h.10.ln_1.weight", "h.47.mlp.c_proj.bias", "h.11.attn.c_attn.weight", "h.100.ln_2.bias", "h.119.mlp.c_fc.weight"]
    for title, names in [("in a block", inside), ("outside the blocks", others), ("blocks 10 and more", far),
                         ("what we do not have", none)]:
        for prefix in ("", "transformer."):
            yield Case(title + (", with transformer. before it" if prefix else ""),
                       [Call({"theirs": prefix + name}, returns="the name") for name in names])

# %% [markdown] task="gpt2-names" hint=1
# first take off the prefix, if there is one; then there are four names outside the blocks, and all
# others begin with h, a dot, a number, a dot.

# %% [markdown] task="gpt2-names" hint=2
# what is left is a part, a dot, and weight or bias. A part may have a dot in it, so cut at the last one.

# %% [markdown] task="gpt2-names" hint=3
# weight is gamma and bias is beta where the part is a norm, else W and b; None for a part that is not in
# PARTS. In h.0.attn.bias the part is attn.

# %% [markdown] task="gpt2-names" mistake="prefix-stays" shows="There may be `transformer.` before their name"
# is None for names with transformer. before them
# ```diff
# -     theirs = theirs.removeprefix("transformer.")
# +     theirs = theirs
# ```

# %% [markdown] task="gpt2-names" mistake="norms-as-linear"
# has W and b in a norm: they are gamma and beta there
# ```diff
# -     names = ("gamma", "beta") if part.startswith("ln") else ("W", "b")
# +     names = ("W", "b")
# ```

# %% [markdown] task="gpt2-names" mistake="weight-and-bias-exchanged"
# has weight and bias exchanged
# ```diff
# - names[kind == 'bias']
# + names[kind != 'bias']
# ```

# %% [markdown] task="gpt2-names" mistake="one-digit"
# is wrong for blocks 10 and more, whose number has two digits
# ```diff
# -     number, _, rest = rest.partition(".")
# +     number, rest = rest[:1], rest.partition(".")[2]
# ```

# %% [markdown] task="gpt2-names" mistake="one-name-for-c_proj"
# is the same for two arrays: there is a c_proj in attn and one in mlp
# ```diff
# - PARTS[part]
# + PARTS['attn.c_proj' if part.endswith('c_proj') else part]
# ```

# %% task="gpt2-names" mistake="mask" shows="whatever else our GPT does not have, gives None"
# takes the mask, or something else that we do not have, for a parameter
def our_name(theirs):
    theirs = theirs.removeprefix("transformer.")
    if theirs in OUTSIDE:
        return OUTSIDE[theirs]
    name = theirs.replace("h.", "blocks.", 1)
    for old, new in PARTS.items():
        name = name.replace(old, new)
    norm = ".ln" in name
    return name.replace("weight", "gamma" if norm else "W").replace("bias", "beta" if norm else "b")

# %% [markdown] task="gpt2-names" mistake="h-stays"
# begins with h: we call it blocks
# ```diff
# - f"blocks.
# + f"h.
# ```

# %% [markdown] task="gpt2-names" mistake="any-kind"
# is a bias where the last part is neither weight nor bias
# ```diff
# -  or kind not in ("weight", "bias")
# +
# - names[kind == 'bias']
# + names[kind != 'weight']
# ```

# %% [markdown] task="gpt2-names" mistake="no-biases"
# is None for biases: our layers have them, too
# ```diff
# - kind not in ("weight", "bias")
# + kind != "weight"
# ```

# %% [markdown] task="gpt2-names" mistake="mask-by-its-end"
# is None for the bias of c_attn, whose name ends as the mask's does: the mask is h.0.attn.bias as a whole
# ```diff
# -     if theirs in OUTSIDE:
# +     if theirs.endswith("attn.bias"):
# +         return None
# +     if theirs in OUTSIDE:
# ```

# %% [markdown] task="gpt2-names" mistake="few-blocks"
# is None for blocks of larger numbers: there may be any number of them
# ```diff
# - not number.isdigit()
# + number not in tuple("0123456789")
# ```

# %% [markdown] task="gpt2-names" mistake="first-word-off"
# is None where there is no transformer. before the name: take off this word alone, not whatever comes first
# ```diff
# - theirs.removeprefix("transformer.")
# + theirs.partition(".")[2]
# ```

# %% [markdown] task="gpt2-names" mistake="twelve-letters"
# is None where there is no transformer. before the name: take it off only where it is
# ```diff
# - theirs.removeprefix("transformer.")
# + theirs[len("transformer.") :]
# ```

# %% [markdown] task="gpt2-names" mistake="norm-outside"
# is None for ln_f, the norm that stands outside the blocks
# ```diff
# - if theirs in OUTSIDE:
# + if theirs in OUTSIDE and "ln_f" not in theirs:
# ```

# %% [markdown] task="gpt2-names" mistake="no-mlp"
# is None for what GPT-2 has in mlp: it is our ffn
# ```diff
# - part not in PARTS
# + part not in PARTS or part.startswith("mlp")
# ```

# %% [markdown] task="gpt2-names" reject="two-digits"
# ```diff
# - not number.isdigit()
# + not number.isdigit() or len(number) > 2
# ```

# %% [markdown] task="gpt2-names" reject="any-case" shows="whatever else our GPT does not have, gives None"
# ```diff
# - theirs = theirs.removeprefix("transformer.")
# + theirs = theirs.lower().removeprefix("transformer.")
# ```

# %% task="gpt2-names" right="regular-expression"
def our_name(theirs):
    import re

    theirs = re.sub(r"^transformer\.", "", theirs)
    found = re.fullmatch(r"h\.(\d+)\.(ln_[12]|attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.(weight|bias)", theirs)
    if not found:
        return OUTSIDE.get(theirs)
    number, part, kind = found.groups()
    last = {"weight": "gamma", "bias": "beta"} if part[:2] == "ln" else {"weight": "W", "bias": "b"}
    return ".".join(["blocks", number, PARTS[part], last[kind]])

# %% task="gpt2-names" right="table"
def our_name(theirs):
    table = dict(OUTSIDE)
    for i in range(120):
        for part, ours in PARTS.items():
            for kind, last in zip(("weight", "bias"), ("gamma", "beta") if "ln" in part else ("W", "b")):
                table[f"h.{i}.{part}.{kind}"] = f"blocks.{i}.{ours}.{last}"
    return table.get(theirs.removeprefix("transformer."))

# %% task="gpt2-names" right="split"
def our_name(theirs):
    words = theirs.split(".")
    if words[0] == "transformer":
        words = words[1:]
    if ".".join(words) in OUTSIDE:
        return OUTSIDE[".".join(words)]
    if len(words) < 4 or words[0] != "h" or not words[1].isdigit():
        return None
    part = PARTS.get(".".join(words[2:-1]))
    kinds = {"weight": "gamma", "bias": "beta"} if part in ("ln1", "ln2") else {"weight": "W", "bias": "b"}
    return f"blocks.{words[1]}.{part}.{kinds[words[-1]]}" if part and words[-1] in kinds else None

# %% [markdown] task="gpt2-names" reject="every-transformer" shows="There may be `transformer.` before their name"
# ```diff
# - theirs.removeprefix("transformer.")
# + theirs.replace("transformer.", "")
# ```

# %% task="gpt2-names" reject="match-at-the-start"
def our_name(theirs):
    import re
    found = re.match(r"(?:transformer\.)?h\.(\d+)\.(\w+(?:\.\w+)?)\.(weight|bias)", theirs)
    if not found:
        return OUTSIDE.get(theirs.removeprefix("transformer."))
    number, part, kind = found.groups()
    if part not in PARTS:
        return None
    last = {"weight": "gamma", "bias": "beta"} if part[:2] == "ln" else {"weight": "W", "bias": "b"}
    return f"blocks.{number}.{PARTS[part]}.{last[kind]}"

# %% task="gpt2-names" reject="before-a-line-break"
def our_name(theirs):
    import re
    theirs = theirs.removeprefix("transformer.")
    found = re.match(r"h\.(\d+)\.(.+)\.(weight|bias)$", theirs)
    if not found or found[2] not in PARTS:
        return OUTSIDE.get(theirs)
    last = {"weight": "gamma", "bias": "beta"} if found[2][:2] == "ln" else {"weight": "W", "bias": "b"}
    return f"blocks.{found[1]}.{PARTS[found[2]]}.{last[found[3]]}"

# %% [markdown] task="gpt2-names" reject="any-first-word"
# ```diff
# - h != "h" or not
# + not
# ```

# %% [markdown] task="gpt2-names" reject="lstrip"
# ```diff
# - theirs.removeprefix("transformer.")
# + theirs.lstrip("transformer.")
# ```

# %% [markdown] task="gpt2-names" reject="kind-not-checked"
# ```diff
# - or kind not in ("weight", "bias")
# +
# ```

# %% task="gpt2-heads" cases=true
def cases(rng):
    for number, (H, D) in enumerate([(2, 3), (3, 2), (1, 4), (4, 1), (2, 2), (5, 3), (12, 3)]):
        C = H * D
        for options in [{}, {"strided": True}, {"float32": True}]:
            W = rng.normal(size=(C, 3 * C))
            by_column = number == 1 and not options
            W = np.asfortranarray(W) if by_column else W
            yield Case(f"{H} heads of {D}" + ", W column by column in memory" * by_column + "".join(f", {name}" for name in options),
                       [Call({"W": W, "b": rng.normal(size=3 * C), "n_heads": H}, returns=("W", "b"))], **options)

# %% [markdown] task="gpt2-heads" hint=1
# three indices number the 3C columns. Write down which runs slowest and which fastest, in their order
# and in ours.

# %% [markdown] task="gpt2-heads" hint=2
# theirs: (H, 3, D). Ours: (3, H, D). D is the fastest in both.

# %% [markdown] task="gpt2-heads" hint=3
# reshape the last axis to (H, 3, D), exchange the first two of these axes, reshape back. A reshape alone
# never moves a number.

# %% task="gpt2-heads" mistake="unchanged"
# is unchanged: a reshape alone moves no number
def heads_inside(W, b, n_heads):
    C = len(W)
    W = W.reshape(C, n_heads, 3, -1).reshape(C, 3, n_heads, -1).reshape(C, 3 * C)
    return W, b.reshape(3, n_heads, -1).reshape(3 * C)

# %% [markdown] task="gpt2-heads" mistake="the-way-back"
# goes from our order to theirs
# ```diff
# - W.reshape(C, n_heads, 3, C // n_heads)
# + W.reshape(C, 3, n_heads, C // n_heads)
# - b.reshape(n_heads, 3, C // n_heads)
# + b.reshape(3, n_heads, C // n_heads)
# ```

# %% [markdown] task="gpt2-heads" mistake="bias-as-it-was"
# is unchanged: its entries belong to the columns of W, and move with them
# ```diff
# -     b = b.reshape(n_heads, 3, C // n_heads).swapaxes(0, 1).reshape(3 * C)
# ```

# %% [markdown] task="gpt2-heads" mistake="rows-too"
# has its rows moved, too: they are the channels that are read, and stay
# ```diff
# -     b = b.reshape
# +     W = W.reshape(n_heads, C // n_heads, -1).swapaxes(0, 1).reshape(C, 3 * C)
# +     b = b.reshape
# ```

# %% [markdown] task="gpt2-heads" mistake="three-fastest"
# has q, k and v alternating column by column: each head has D queries in a row
# ```diff
# - W.reshape(C, n_heads, 3, C // n_heads).swapaxes(1, 2)
# + W.reshape(C, n_heads, C // n_heads, 3).transpose(0, 3, 1, 2)
# - b.reshape(n_heads, 3, C // n_heads).swapaxes(0, 1)
# + b.reshape(n_heads, C // n_heads, 3).transpose(2, 0, 1)
# ```

# %% [markdown] task="gpt2-heads" mistake="heads-fastest"
# has the heads running fastest: the D columns of a head stay together
# ```diff
# - .swapaxes(1, 2)
# + .transpose(0, 2, 3, 1)
# - .swapaxes(0, 1)
# + .transpose(1, 2, 0)
# ```

# %% task="gpt2-heads" mistake="keys-first"
# has the keys before the queries: the order is q, k, v
def heads_inside(W, b, n_heads):
    C = len(W)
    W = W.reshape(C, n_heads, 3, C // n_heads).swapaxes(1, 2)[:, [1, 0, 2]].reshape(C, 3 * C)
    b = b.reshape(n_heads, 3, C // n_heads).swapaxes(0, 1)[[1, 0, 2]].reshape(3 * C)
    return W, b

# %% task="gpt2-heads" right="slices"
def heads_inside(W, b, n_heads):
    D = len(W) // n_heads
    places = [(3 * head + kind) * D for kind in range(3) for head in range(n_heads)]
    columns = np.concatenate([np.arange(place, place + D) for place in places])
    return W[:, columns], b[columns]

# %% task="gpt2-heads" right="split"
def heads_inside(W, b, n_heads):
    def move(a):
        heads = np.split(a, n_heads, axis=-1)
        kinds = zip(*(np.split(head, 3, axis=-1) for head in heads))
        return np.concatenate([piece for kind in kinds for piece in kind], axis=-1)

    return move(W), move(b)

# %% task="gpt2-heads" right="loop"
def heads_inside(W, b, n_heads):
    C, D = len(W), len(W) // n_heads
    new_W, new_b = np.empty_like(W), np.empty_like(b)
    for h in range(n_heads):
        for kind in range(3):
            old, new = slice((3 * h + kind) * D, (3 * h + kind + 1) * D), kind * C + h * D
            new_W[:, new : new + D] = W[:, old]
            new_b[new : new + D] = b[old]
    return new_W, new_b

# %% task="gpt2-heads" reject="two-heads-only"
def heads_inside(W, b, n_heads):
    C = len(W)
    if n_heads != 2:
        return W, b
    order = np.arange(3 * C).reshape(2, 3, -1).swapaxes(0, 1).ravel()
    return W[:, order], b[order]

# %% [markdown] task="gpt2-heads" reject="in-the-order-of-memory"
# ```diff
# - W.reshape(C, n_heads, 3, C // n_heads)
# + np.frombuffer(W.tobytes("A"), W.dtype).reshape(C, n_heads, 3, C // n_heads)
# ```

# %% [markdown] task="gpt2-heads" reject="thirty-columns"
# ```diff
# - return W, b
# + W = W.copy()
# +     W[:, 100:] = W[:, 100:][:, ::-1]
# +     return W, b
# ```

# %% task="gpt2-letters" cases=true
def cases(rng):
    tokens = {
        "letters": b"hello", "a space before": b" the", "line breaks and tabs": b"\n\n\t\t",
        "an accent": "théâtre".encode(), "Chinese": "中文".encode(), "nothing": b"",
        "the bytes around the gaps": bytes([0, 32, 33, 126, 127, 128, 160, 161, 172, 173, 174, 255]),
        "all bytes": bytes(range(256)), "at random": rng.bytes(20),
        "zeros at the ends": b"\0\0a\0\0", "white space at the ends": b"  \t a\r\n  ",
    }
    for title, token in tokens.items():
        yield Case(title, [Call({"token": token}, returns="the text")])
    ends = [0, 9, 10, 11, 12, 13, 27, 28, 32, 34, 39, 127, 133, 160, 173, 255]
    yield Case("the same byte at both ends", [Call({"token": bytes([b, 97, b])}, returns="the text") for b in ends])
    yield Case("tokens that begin alike", [Call({"token": token}, returns="the text") for token in (b" ab", b" ac", b" Ab")])

# %% [markdown] task="gpt2-letters" hint=1
# make the table of all 256 bytes first; then the token is a lookup.

# %% [markdown] task="gpt2-letters" hint=2
# 188 bytes print. The others are 0 to 32, 127 to 160 and 173: a space is number 32 of them.

# %% [markdown] task="gpt2-letters" hint=3
# count n up from 0 over the bytes that do not print, and give each chr(256 + n).

# %% [markdown] task="gpt2-letters" mistake="own-number"
# has the characters 256 plus the byte: they are counted without the bytes that print
# ```diff
# - chr(256 + n)
# + chr(256 + byte)
# ```

# %% task="gpt2-letters" mistake="latin-1"
# has control characters and spaces as they are: they do not print
def as_letters(token):
    return token.decode("latin-1")

# %% task="gpt2-letters" mistake="utf-8"
# is the text that the bytes stand for: each byte gets a letter of its own
def as_letters(token):
    return token.decode("utf-8", "replace").replace(" ", "Ġ").replace("\n", "Ċ").replace("\t", "ĉ")

# %% [markdown] task="gpt2-letters" mistake="soft-hyphen"
# treats byte 173 as one that prints: it is the soft hyphen, and shows only at the end of a line
# ```diff
# - *range(161, 173), *range(174, 256)
# + *range(161, 256)
# ```

# %% [markdown] task="gpt2-letters" mistake="last-left-out"
# treats 126, 172 and 255 as bytes that do not print: range leaves out its end
# ```diff
# - [*range(33, 127), *range(161, 173), *range(174, 256)]
# + [*range(33, 126), *range(161, 172), *range(174, 255)]
# ```

# %% [markdown] task="gpt2-letters" mistake="ascii-only"
# treats all bytes from 127 on as ones that do not print
# ```diff
# - [*range(33, 127), *range(161, 173), *range(174, 256)]
# + [*range(33, 127)]
# ```

# %% [markdown] task="gpt2-letters" mistake="from-255"
# is one too small: the characters begin at 256
# ```diff
# - chr(256 + n)
# + chr(255 + n)
# ```

# %% task="gpt2-letters" mistake="counted-in-the-token"
# depends on the other bytes of the token: count over all 256 bytes
def as_letters(token):
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    n, text = 0, ""
    for byte in token:
        text += chr(byte) if byte in prints else chr(256 + n)
        n += byte not in prints
    return text

# %% [markdown] task="gpt2-letters" reject="carriage-returns-off"
# ```diff
# - for byte in token)
# + for byte in token.strip(b"\r"))
# ```

# %% [markdown] task="gpt2-letters" reject="one-space-of-several" shows="one letter for each byte"
# ```diff
# - for byte in token)
# + for byte in token.replace(b"  ", b" "))
# ```

# %% task="gpt2-letters" right="counting"
def as_letters(token):
    table, n = [], 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte:
            table.append(chr(byte))
        else:
            table.append(chr(256 + n))
            n += 1
    return "".join(table[byte] for byte in token)

# %% task="gpt2-letters" right="arithmetic"
def as_letters(token):
    def letter(byte):
        if byte <= 32:
            return chr(256 + byte)
        if 127 <= byte <= 160:
            return chr(256 + 33 + byte - 127)
        return chr(323) if byte == 173 else chr(byte)

    return "".join(map(letter, token))

# %% task="gpt2-letters" right="translate"
def as_letters(token):
    others = [*range(33), *range(127, 161), 173]
    return token.decode("latin-1").translate({byte: 256 + n for n, byte in enumerate(others)})

# %% [markdown] task="gpt2-letters" reject="zeros-off"
# ```diff
# - for byte in token)
# + for byte in token.rstrip(b"\0"))
# ```

# %% [markdown] task="gpt2-letters" reject="no-break-space"
# ```diff
# - *range(161, 173)
# + *range(160, 173)
# ```

# %% [markdown] task="gpt2-header" reject="no-single-numbers"
# ```diff
# -         name: [a["dtype"], a["shape"], start + a["data_offsets"][0]] for name, a in header.items()
# +         name: [a["dtype"], a["shape"], start + a["data_offsets"][0]]
# +         for name, a in header.items()
# +         if a["shape"]
# ```

# %% task="gpt2-from-bf16" reject="by-arithmetic"
def from_bf16(bits):
    bits = np.asarray(bits).astype(np.int64)
    sign, e, m = 1 - 2 * (bits >> 15), (bits >> 7) & 255, bits & 127
    with np.errstate(over="ignore"):
        return np.where((e == 255) & (m == 0), sign * np.inf, sign * 2.0 ** (e - 127) * (1 + m / 128)).astype(np.float32)

# %% [markdown] task="gpt2-names" reject="ends-like-one"
# ```diff
# -     if theirs in OUTSIDE:
# -         return OUTSIDE[theirs]
# +     for key, name in OUTSIDE.items():
# +         if theirs.endswith(key):
# +             return name
# ```

# %% [markdown] task="gpt2-names" reject="any-number"
# ```diff
# - h != "h" or not number.isdigit() or part
# + h != "h" or part
# ```
