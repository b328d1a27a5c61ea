"""Some 1,400 ways in which the files of a run can be wrong, each with the commands that read them.

`tries()` lists them, always the same ones. Whoever damages a file here may also compute its digests
again, as somebody would who knows the formats: a digest tells damage, it proves nothing.
"""

import hashlib
import json
import os
import struct
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from numpygpt.checkpoint import digest_of, load_checkpoint, save_checkpoint
from numpygpt.cli import main
from numpygpt.pretrained.safetensors import read_array, read_header, write_safetensors

TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(60))
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 8 --batch_size 2 --eval_iters 1".split()

RESUME = "train --out_dir o --resume --max_iters 4 --eval_interval 1".split()
TRAIN = ["train", "--data_dir", "d", "--out_dir", "new", *TINY, "--max_iters", "1"]
SAMPLE = "sample --out_dir o --num_samples 1 --max_new_tokens 3".split()
PRETRAINED = "sample --pretrained g --num_samples 1 --max_new_tokens 3".split()
EXPORT = "export new --out_dir o".split()
PLOT = "plot --out_dir o".split()
FINETUNE = "finetune --data q.jsonl --out_dir".split()
QUESTIONS = '{"prompt": "I c", "completion": "ount"}\n' * 12


@dataclass
class Try:
    """One damage: `damage(*arguments)` is done to the files in the working folder."""

    name: str
    damage: Any
    arguments: tuple
    commands: list


def make_files():
    """Make in the working folder what the tries damage: a text, data, runs and GPT-2's files."""
    Path("t.txt").write_text(TEXT, encoding="utf-8")
    bpe = ["--tokenizer_type", "bpe", "--vocab_size", "300"]
    for folder, kind in (("d", []), ("bpe", bpe)):
        assert main(["datagen", "t.txt", "--output_dir", folder, *kind]) == 0
    run = [*TINY, "--max_iters", "3", "--eval_interval", "2", "--engine", "layers"]
    for data, out in (("d", "o"), ("bpe", "obpe")):
        assert main(["train", "--data_dir", data, "--out_dir", out, *run]) == 0
    assert main(["train", "--data_dir", "d", "--out_dir", "llama", "--model", "llama", *run]) == 0
    Path("q.jsonl").write_text(QUESTIONS, encoding="utf-8")
    few = ["--max_iters", "2", "--batch_size", "2", "--eval_iters", "1"]
    assert main([*FINETUNE, "ol", "--base", "o", "--lora_rank", "2", *few]) == 0
    assert main(["export", "g", "--out_dir", "o"]) == 0
    assert main(["export", "gbpe", "--out_dir", "obpe"]) == 0
    assert main(["export", "l", "--out_dir", "llama"]) == 0


# ---- values that do not belong ----


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = {
    "null": None,
    "true": True,
    "minus one": -1,
    "zero": 0,
    "a fraction": 1.5,
    "huge": 10**30,
    "hugely negative": -(10**30),
    "a huge fraction": 1e308,
    "infinite": float("inf"),
    "no number": float("nan"),
    "text": "40",
    "no text": "",
    "long text": "x" * 50_000,
    "odd text": "a\nb\x1b[2J\0\ud83d",
    "a list": [1],
    "no list": [],
    "a nested list": nested(300),
    "an object": {"a": {"b": 1}},
}
# As text, since Python writes none of them.
RAW = {
    "nothing": "",
    "half": '{"a": 1',
    "a number": "7",
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "nested lists": "[" * 300_000,
    "nested objects": '{"a":' * 300_000,
    "a number of many digits": '{"version": 1, "kind": "char", "meta": ' + "9" * 5000 + "}",
    "not UTF-8": b"\xff\xfe{}",
    "zeros": b"\0" * 1000,
    "a name twice": '{"version": 1, "version": 2}',
}


def put(content, path, value):
    """Set the value at a path of names and indices in parsed JSON."""
    *way, last = path
    for name in way:
        content = content[name]
    content[last] = value


def change_json(file, path, value):
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    put(content, path, value)
    Path(file).write_text(json.dumps(content), encoding="utf-8")


def overwrite(file, content):
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())


# ---- checkpoints ----


def change_meta(path, value, run="o"):
    file = f"{run}/checkpoint.npz"
    arrays, meta = load_checkpoint(file)
    content = {"meta": meta}
    put(content, ("meta", *path), value)
    save_checkpoint(file, arrays, content["meta"])


def change_arrays(change, run="o"):
    file = f"{run}/checkpoint.npz"
    arrays, meta = load_checkpoint(file)
    save_checkpoint(file, change(arrays), meta)


def change_text(text, run="o"):
    """Replace the JSON text in the checkpoint, and sign it again."""
    file = f"{run}/checkpoint.npz"
    with np.load(file) as old:
        entries = {name: old[name] for name in old.files if name != "__sha256__"}
    entries["__json__"] = np.array(text)
    np.savez(file, **entries, __sha256__=np.array(digest_of(entries)))


def change_bytes(file, where, content):
    """Overwrite, insert or cut bytes at a place that is a part of the file's length."""
    whole = Path(file).read_bytes()
    place = int(where * len(whole))
    Path(file).write_bytes(whole[:place] + content + whole[place + max(len(content), 1) :])


def cut(file, where):
    whole = Path(file).read_bytes()
    Path(file).write_bytes(whole[: int(where * len(whole))])


def flip(file, where):
    damaged = bytearray(Path(file).read_bytes())
    damaged[int(where * (len(damaged) - 1))] ^= 0x10
    Path(file).write_bytes(damaged)


def npy(header, data=b"", version=b"\x01\x00"):
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def change_entry(content, name="model.wte.W.npy", how=zipfile.ZIP_STORED):
    """Replace the bytes of one array in the checkpoint."""
    file = Path("o/checkpoint.npz")
    with zipfile.ZipFile(BytesIO(file.read_bytes())) as old, zipfile.ZipFile(file, "w", how) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, content if entry.filename == name else old.read(entry))


def header_says(shape="(33, 8)", dtype="'<f4'", order="False"):
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}"


META = [
    (),
    *[("model", name) for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")],
    *[("model", name) for name in ("activation", "tie_weights", "bias", "colour")],
    *[("train", name) for name in ("batch_size", "max_iters", "lr", "seed", "accumulate", "beta2")],
    *[(name,) for name in ("model", "train", "step", "rng", "tokenizer", "data_dir", "engine")],
    *[("rng", name) for name in ("bit_generator", "state", "has_uint32")],
    *[("rng", "state", "inc"), ("engine", "kind"), ("engine", "threads")],
    *[("tokenizer", name) for name in ("kind", "version", "chars")],
    ("data",),
    ("kind",),
    ("optimizer",),
    *[("optimizer", name) for name in ("kind", "momentum", "adam_lr")],
]
LLAMA = ("n_kv_head", "head_dim", "hidden", "activation", "qk_norm", "zero_init_head")
LLAMA += ("rope_base", "norm_eps", "bias")
ARRAYS = {
    "turned": lambda a: a.T,
    "empty": lambda a: a[:0],
    "without axes": lambda a: a.ravel()[0],
    "one axis more": lambda a: a[None],
    "one row more": lambda a: np.concatenate([a, a[:1]]),
    "float64": lambda a: a.astype("f8"),
    "float16": lambda a: a.astype("f2"),
    "big-endian": lambda a: a.astype(">f4"),
    "huge float64": lambda a: np.full(a.shape, 1e300),
    "whole numbers": lambda a: a.astype("i8"),
    "bool": lambda a: a > 0,
    "complex": lambda a: a + 1j,
    "text": lambda a: a.astype("U9"),
    "bytes": lambda a: a.astype("S9"),
    "dates": lambda a: a.astype("i8").astype("M8[s]"),
    "records": lambda a: a.view([("x", "f4")]),
    "nothing wide": lambda a: np.zeros(a.shape, "V0"),
    "NaN": lambda a: a * np.nan,
    "one NaN": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 3, np.nan, a).astype("f4"),
    "infinite": lambda a: a + np.inf,
    "as large as can be": lambda a: np.full_like(a, 3e38),
    "minus": lambda a: -np.abs(a) - 1,
}
HEADERS = {
    "a huge shape": npy(header_says("(10000000000, 8)")),
    "a shape beyond all": npy(header_says("(99999999999999999999999999, 9999999999999999)")),
    "a negative shape": npy(header_says("(-33, -8)"), b"\0" * 4 * 33 * 8),
    "a shape of fractions": npy(header_says("(1.5, 8)")),
    "a shape of Python 2": npy(header_says("(33L, 8L)"), b"\0" * 4 * 33 * 8),
    "an unknown type": npy(header_says(dtype="'<q9'")),
    "a huge type": npy(header_says("(2,)", "'<U999999999'")),
    "objects": npy(header_says(dtype="'|O'"), b"\x80\x04K\x01."),
    "deep brackets": npy("(" * 5000),
    "deep lists": npy("[" * 5000 + "]" * 5000),
    "deep minus": npy("-" * 9000 + "1"),
    "an open string": npy("{'descr': '<f4"),
    "no dict": npy("7"),
    "code": npy("__import__('os').system('true')"),
    "version 3": npy(header_says(), version=b"\x03\x00"),
    "version 9": npy(header_says(), version=b"\x09\x00"),
    "no header": b"",
    "text": b"hello",
    "many axes": npy(header_says("(" + "1, " * 200 + ")"), b"\0" * 4),
}


def checkpoint_tries():
    for path in META:
        for what, value in VALUES.items():
            name = f"checkpoint, {'.'.join(path) or 'meta'}: {what}"
            if not path:
                yield Try(name, set_meta, (value,), [RESUME, SAMPLE])
            elif not (path[-1] == "state" and len(path) == 3):
                yield Try(name, change_meta, (path, value), [RESUME, SAMPLE])
    of_the_llama = [[word if word != "o" else "llama" for word in c] for c in (RESUME, SAMPLE)]
    for field in LLAMA:
        for what, value in VALUES.items():
            arguments = (("model", field), value, "llama")
            yield Try(f"llama, {field}: {what}", change_meta, arguments, of_the_llama)
    for what, text in RAW.items():
        if isinstance(text, str):
            yield Try(f"checkpoint, text: {what}", change_text, (text,), [RESUME, SAMPLE])
            text = f'{{"version": 1, "meta": {text}}}'
            yield Try(f"checkpoint, raw meta: {what}", change_text, (text,), [RESUME, SAMPLE])
    for version in ("null", "2", '"1"', "[1]", "1.0", "9" * 5000):
        text = f'{{"version": {version}, "meta": {{}}}}'
        yield Try(f"checkpoint, version {version[:9]}", change_text, (text,), [RESUME, SAMPLE])
    for array in ("model.wte.W", "model.blocks.0.ln1.gamma", "optimizer.v.wpe.W"):
        for what, change in ARRAYS.items():
            name = f"checkpoint, {array}: {what}"
            yield Try(name, change_arrays, (one(array, change),), [RESUME, SAMPLE, EXPORT])
        yield Try(f"checkpoint, {array}: gone", change_arrays, (without(array),), [RESUME, SAMPLE])
        yield Try(f"checkpoint, {array}: twice", change_arrays, (twice(array),), [RESUME, SAMPLE])
    for value in (-1, -9, 4, 10**18, np.nan, np.inf, 1.5, "x", [1, 2], [], True):
        step_count = one("optimizer.t", lambda _, value=value: np.array(value))
        yield Try(f"checkpoint, optimizer.t: {value}", change_arrays, (step_count,), [RESUME])
    for what, content in HEADERS.items():
        yield Try(f"checkpoint, array header: {what}", change_entry, (content,), [RESUME, SAMPLE])
    bomb = npy(header_says("(100000000,)", "'|u1'"), b"\0" * 10**8)
    packed = (bomb, "model.wte.W.npy", zipfile.ZIP_DEFLATED)
    yield Try("checkpoint, a bomb", change_entry, packed, [RESUME, SAMPLE])
    yield Try("checkpoint, no text", change_entry, (b"", "__json__.npy"), [RESUME, SAMPLE])
    yield Try("checkpoint, no digest", change_entry, (b"", "__sha256__.npy"), [RESUME, SAMPLE])
    for where in (0, 0.01, 0.3, 0.6, 0.9, 0.99, 0.999):
        yield Try(f"checkpoint, cut at {where}", cut, ("o/checkpoint.npz", where), [RESUME, SAMPLE])
        for content in (b"\xff\xff\xff\xff", b"\0" * 8, b""):
            name = f"checkpoint, {content.hex() or 'a byte less'} at {where}"
            damage = ("o/checkpoint.npz", where, content)
            yield Try(name, change_bytes, damage, [RESUME, SAMPLE])
    for where in np.linspace(0, 1, 25).tolist():
        yield Try(f"checkpoint, a bit at {where:.2f}", flip, ("o/checkpoint.npz", where), [RESUME])


def set_meta(value):
    arrays, _ = load_checkpoint("o/checkpoint.npz")
    save_checkpoint("o/checkpoint.npz", arrays, value)


def one(name, change):
    return lambda arrays: arrays | {name: np.asarray(change(arrays[name]))}


def without(name):
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


def twice(name):
    return lambda arrays: arrays | {f"{name}.again": arrays[name]}


# ---- tokens and tokenizers ----


def without_seal(folder="d"):
    """Take out the digest over all files, as in a folder of an earlier version."""
    path = Path(folder, "tokenizer.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("sha256", None)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_sidecar(path, value):
    without_seal()
    change_json("d/train.json", path, value)


def change_tokens(content, **about):
    """Replace the training tokens and sign them again."""
    without_seal()
    Path("d/train.bin").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    told = json.loads(Path("d/train.json").read_text(encoding="utf-8"))
    told |= {"sha256": digest, "length": len(content) // 2, **about}
    Path("d/train.json").write_text(json.dumps(told), encoding="utf-8")


def change_tokenizer(folder, path, value):
    without_seal(folder)
    change_json(f"{folder}/tokenizer.json", path, value)


def make_folder(file):
    Path(file).unlink()
    Path(file).mkdir()


def exchange(file, other):
    Path(file).write_bytes(Path(other).read_bytes())


def data_tries():
    for name in ("dtype", "length", "vocab_size", "sha256"):
        for what, value in VALUES.items():
            yield Try(f"train.json, {name}: {what}", change_sidecar, ((name,), value), [TRAIN])
    for dtype in ("<u4", ">u2", "O", "<f4", "<u2,<u2"):
        yield Try(f"train.json, dtype {dtype}", change_sidecar, (("dtype",), dtype), [TRAIN])
    for what, text in RAW.items():
        for file in ("d/train.json", "d/val.json", "d/tokenizer.json"):
            yield Try(f"{file}: {what}", overwrite, (file, text), [TRAIN])
    for file in ("train.bin", "val.bin", "train.json", "tokenizer.json"):
        for where in (0, 0.5, 0.999):
            yield Try(f"{file} cut at {where}", cut, (f"d/{file}", where), [TRAIN])
        yield Try(f"{file}, a bit", flip, (f"d/{file}", 0.5), [TRAIN])
        yield Try(f"{file} is a folder", make_folder, (f"d/{file}",), [TRAIN])
        yield Try(f"{file} of another text", exchange, (f"d/{file}", f"bpe/{file}"), [TRAIN])
    tokens = {
        "ids that are too large": b"\xff\xff" * 100,
        "one id that is too large": b"\0\0" * 99 + b"\x21\0",
        "one token": b"\0\0",
        "half a token": b"\0" * 101,
        "none": b"",
    }
    for what, content in tokens.items():
        yield Try(f"tokens, {what}", change_tokens, (content,), [TRAIN])
    yield Try("tokens of four bytes", lambda: change_tokens(b"\0" * 400, dtype="<u4"), (), [TRAIN])
    names_of = {"d": ("kind", "version", "chars"), "bpe": ("merges", "special_tokens")}
    for folder, names in names_of.items():
        command = [folder if part == "d" else part for part in TRAIN]
        for name in names:
            for what, value in VALUES.items():
                damage = (folder, (name,), value)
                yield Try(f"tokenizer.json, {name}: {what}", change_tokenizer, damage, [command])
    doubling = [[0, 0]] + [[255 + n, 255 + n] for n in range(1, 60)]
    merges = {
        "doubling": doubling,
        "of later tokens": [[300, 300]],
        "of fractions": [[1.0, 2.0]],
        "of one": [[1]],
        "of three": [[1, 2, 3]],
        "of text": ["ab"],
        "twice the same": [[1, 2], [1, 2]],
    }
    for what, value in merges.items():
        damage = ("bpe", ("merges",), value)
        train = ["bpe" if part == "d" else part for part in TRAIN]
        yield Try(f"tokenizer.json, merges {what}", change_tokenizer, damage, [train])
        damage = (("tokenizer", "merges"), value, "obpe")
        sample = ["obpe" if part == "o" else part for part in SAMPLE]
        yield Try(f"checkpoint, merges {what}", change_meta, damage, [sample])
    for what, chars in {"two letters": ["ab"], "twice": ["a", "a"], "numbers": [1]}.items():
        yield Try(f"tokenizer.json, {what}", change_tokenizer, ("d", ("chars",), chars), [TRAIN])


# ---- the log ----


def change_line(content, number=1):
    path = Path("o/metrics.jsonl")
    lines = path.read_bytes().split(b"\n")
    lines[number] = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(b"\n".join(lines))


def log_tries():
    for what, text in RAW.items():
        yield Try(f"a line of the log: {what}", change_line, (text,), [PLOT, RESUME])
        yield Try(f"the log: {what}", overwrite, ("o/metrics.jsonl", text), [PLOT, RESUME])
    records = ['{"step": 1}', '{"step": 1, "train_loss": "x"}', '{"step": 1e400}', '{"step": true}']
    for n in ("1e308", "-5", "9" * 300, "2.5"):
        records.append(f'{{"step": {n}, "train_loss": 1}}')
    for n in ("NaN", "Infinity", "-1", "0", "null", "1e308", "9" * 300, "[1]"):
        records.append(f'{{"step": 2, "train_loss": {n}, "lr": {n}, "grad_norm": {n}}}')
    for text in records:
        yield Try(f"a line of the log: {text[:70]}", change_line, (text,), [PLOT, RESUME])
        yield Try(f"the log: {text[:70]}", overwrite, ("o/metrics.jsonl", text), [PLOT])
    yield Try("the log is a folder", make_folder, ("o/metrics.jsonl",), [PLOT, RESUME])


# ---- GPT-2's files ----


def change_header(change):
    """Change the header of the safetensors file: {name: entry} to what shall stand there."""
    path = Path("g/model.safetensors")
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    new = change(json.loads(whole[8:end]))
    words = new if isinstance(new, bytes) else json.dumps(new).encode()
    path.write_bytes(len(words).to_bytes(8, "little") + words + whole[end:])


def change_weights(change):
    path = Path("g/model.safetensors")
    arrays = {name: read_array(path, entry) for name, entry in read_header(path).items()}
    write_safetensors(path, change(arrays))


def entry_with(name, value):
    wte = "transformer.wte.weight"
    return lambda header: header | {wte: header[wte] | {name: value}}


def pretrained_tries():
    file, names = "g/model.safetensors", ("dtype", "shape", "data_offsets")
    for name in names:
        for what, value in VALUES.items():
            change = entry_with(name, value)
            yield Try(f"safetensors, {name}: {what}", change_header, (change,), [PRETRAINED])
    shapes = {"many axes": [1] * 100_000, "huge axes": [10**18] * 100_000, "negative": [-1, -264]}
    for what, shape in shapes.items():
        change = entry_with("shape", shape)
        yield Try(f"safetensors, shape: {what}", change_header, (change,), [PRETRAINED])
    for what, text in RAW.items():
        words = text if isinstance(text, bytes) else text.encode()
        change = lambda _, words=words: words  # noqa: E731
        yield Try(f"safetensors, header: {what}", change_header, (change,), [PRETRAINED])
        for other in ("config.json", "vocab.json", "merges.txt"):
            yield Try(f"{other}: {what}", overwrite, (f"g/{other}", text), [PRETRAINED])
    odd = lambda header: {name + "\n\x1b[2J" * 99: entry for name, entry in header.items()}  # noqa: E731
    yield Try("safetensors, odd names", change_header, (odd,), [PRETRAINED])
    for where in (0, 0.001, 0.02, 0.5, 0.999):
        yield Try(f"safetensors, cut at {where}", cut, (file, where), [PRETRAINED])
        damage = (file, where, b"\xff" * 8)
        yield Try(f"safetensors, ff at {where}", change_bytes, damage, [PRETRAINED])
    for what in ("NaN", "one NaN", "infinite", "as large as can be"):
        change = one("transformer.wte.weight", ARRAYS[what])
        yield Try(f"safetensors, weights: {what}", change_weights, (change,), [PRETRAINED])
    for name in ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd", "n_inner",
                 "tie_word_embeddings", "activation_function"):  # fmt: skip
        for what, value in VALUES.items():
            damage = ("g/config.json", (name,), value)
            yield Try(f"config.json, {name}: {what}", change_json, damage, [PRETRAINED])
    for value in (10**6, 10**9):
        damage = ("g/config.json", ("n_layer",), value)
        yield Try(f"config.json, n_layer {value}", change_json, damage, [PRETRAINED])
    for what, value in VALUES.items():
        damage = ("g/vocab.json", ("a",), value)
        yield Try(f"vocab.json, an id: {what}", change_json, damage, [PRETRAINED])
    lines = {"one word": "ab", "three": "a b c", "unknown": "ab cd", "odd": "\x1b \x1b", "cut": "a"}
    gbpe = ["gbpe" if part == "g" else part for part in PRETRAINED]
    for what, text in lines.items():
        yield Try(f"merges.txt: {what}", overwrite, ("gbpe/merges.txt", text), [gbpe])
        damage = ("g/merges.txt", text)
        yield Try(f"merges.txt, none before: {what}", overwrite, damage, [PRETRAINED])


# ---- files of the Llama layout ----


LLAMA = [*PRETRAINED[:2], "l", *PRETRAINED[3:]]


def split_weights(weight_map):
    """Give the weights to a file of another name, and an index that says so, or says something."""
    os.rename("l/model.safetensors", "l/part.safetensors")
    Path("l/model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def llama_tries():
    for what, text in RAW.items():
        for other in ("config.json", "tokenizer.json"):
            yield Try(f"Llama's {other}: {what}", overwrite, (f"l/{other}", text), [LLAMA])
    for name in ("model_type", "vocab_size", "max_position_embeddings", "num_hidden_layers",
                 "num_attention_heads", "num_key_value_heads", "hidden_size", "intermediate_size",
                 "head_dim", "hidden_act", "tie_word_embeddings", "rms_norm_eps", "rope_theta",
                 "rope_parameters", "rope_scaling", "layer_types"):  # fmt: skip
        for what, value in VALUES.items():
            damage = ("l/config.json", (name,), value)
            yield Try(f"Llama's config.json, {name}: {what}", change_json, damage, [LLAMA])
    for path in (("model",), ("model", "type"), ("model", "vocab"), ("model", "vocab", "a"),
                 ("model", "merges"), ("model", "dropout"), ("model", "ignore_merges"),
                 ("added_tokens",), ("pre_tokenizer",), ("pre_tokenizer", "type"),
                 ("pre_tokenizer", "use_regex"), ("normalizer",), ("post_processor",)):  # fmt: skip
        for what, value in VALUES.items():
            damage = ("l/tokenizer.json", path, value)
            yield Try(f"tokenizer.json, {path}: {what}", change_json, damage, [LLAMA])
    for what, value in VALUES.items():
        for name in ("merges", "added_tokens", "pretokenizers", "Regex"):
            new = {
                "merges": (("model", "merges"), [value]),
                "added_tokens": (("added_tokens",), [{"content": value, "id": value}]),
                "pretokenizers": (
                    ("pre_tokenizer",),
                    {"type": "Sequence", "pretokenizers": [value]},
                ),
                "Regex": (("pre_tokenizer",), {"type": "Split", "pattern": {"Regex": value}}),
            }[name]
            damage = ("l/tokenizer.json", *new)
            yield Try(f"tokenizer.json, one of {name}: {what}", change_json, damage, [LLAMA])
        yield Try(f"an index: {what}", split_weights, (value,), [LLAMA])
        yield Try(f"a file in the index: {what}", split_weights, ({"a": value},), [LLAMA])
    for name in ("../l/part.safetensors", "/dev/zero", "none.safetensors", "part.safetensors"):
        yield Try(f"the file {name} in the index", split_weights, ({"a": name},), [LLAMA])


# ---- fine-tuned runs, and what they learn from ----

ADAPTER = [
    *[("lora",), ("lora", "rank"), ("lora", "alpha"), ("base",), ("base", "path")],
    *[("base", "sha256"), ("template",), ("template", "user"), ("packed",), ("data_dir",)],
]


def adapter_tries():
    sample = [word if word != "o" else "ol" for word in SAMPLE]
    resume = "finetune --out_dir ol --resume --max_iters 3".split()
    for path in ADAPTER:
        for what, value in VALUES.items():
            damage = (path, value, "ol")
            yield Try(f"adapter, {'.'.join(path)}: {what}", change_meta, damage, [resume, sample])
    array = "model.blocks.0.attn.qkv.B"
    for what, change in ARRAYS.items():
        damage = (one(array, change), "ol")
        yield Try(f"adapter, {array}: {what}", change_arrays, damage, [resume, sample])
    finetune = [*FINETUNE, "new", "--base", "o", "--max_iters", "1", "--batch_size", "2"]
    for what, content in RAW.items():
        yield Try(f"q.jsonl: {what}", overwrite, ("q.jsonl", content), [finetune, resume])
    for what, value in VALUES.items():
        for content in ({"prompt": value, "completion": "a"}, {"messages": [value, value]}):
            text = (json.dumps(content) + "\n") * 12
            name = f"q.jsonl, {next(iter(content))}: {what}"
            yield Try(name, overwrite, ("q.jsonl", text), [finetune])


# ---- texts ----


def text_tries():
    texts = {
        "nothing": b"",
        "a byte-order mark": b"\xef\xbb\xbf",
        "white space": b" \n\t " * 50,
        "one letter": b"a",
        "two letters": b"ab",
        "zeros": b"\0" * 500,
        "UTF-16": TEXT.encode("utf-16"),
        "Latin-1": "caf\xe9 ".encode("latin1") * 50,
        "cut in a character": ("é" * 500).encode()[:-1],
        "surrogates": b"\xed\xa0\xbd" * 30,
        "returns": b"one\rtwo\r" * 50,
        "one long word": b"ab" * 100_000,
        "beyond the plane": ("a 😀 b" * 200).encode(),
        "control characters": bytes(range(32)) * 20,
    }
    for what, content in texts.items():
        for kind in ("char", "word", "bpe"):
            command = ["datagen", "t.txt", "--output_dir", "new", "--tokenizer_type", kind]
            yield Try(f"a text, {kind}: {what}", overwrite, ("t.txt", content), [command])


def tries():
    parts = checkpoint_tries, data_tries, log_tries, pretrained_tries, llama_tries
    parts += adapter_tries, text_tries
    return [one_try for part in parts for one_try in part()]
