"""GPT-2 folders: what is written comes back, and what does not fit is named in one line."""

import json
import os
import struct

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, from_pretrained
from numpygpt.data import DataError
from numpygpt.generate import generate
from numpygpt.optim import SGD
from numpygpt.pretrained.gpt2 import around, layout, load_pretrained, read_config
from numpygpt.pretrained.gpt2_export import save_pretrained
from numpygpt.pretrained.safetensors import read_array, read_header, write_safetensors
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

CHARS = CharTokenizer.train("abcdefg \n.")
SIZES = {"vocab_size": CHARS.vocab_size, "block_size": 7, "n_layer": 3, "n_head": 2, "n_embd": 6}


def model_of(dtype=np.float64, **options):
    """A GPT with weights of size 0.5, biases and norms, too."""
    rng = np.random.default_rng(0)
    model = GPT(GPTConfig(**SIZES | options), rng=rng, dtype=dtype)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return model


def ids(B=2, T=7):
    return np.random.default_rng(1).integers(0, CHARS.vocab_size, (B, T))


@pytest.fixture
def folder(tmp_path):
    save_pretrained(model_of(), CHARS, tmp_path / "a folder")
    return tmp_path / "a folder"


# ---- safetensors, by hand ----


def file_of(header, data=b"", *, length=None):
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(words) if length is None else length) + words + data


def about(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def test_every_type_is_read_from_bytes_that_we_know(tmp_path):
    path = tmp_path / "x.safetensors"
    bytes_of = {
        "F64": struct.pack("<2d", 1.5, -2.0),
        "F32": struct.pack("<2f", 1.5, -2.0),
        "F16": struct.pack("<2e", 1.5, -2.0),
        "BF16": bytes.fromhex("c03f 00c0"),
        "U8": bytes([1, 0]),
        "BOOL": bytes([1, 0]),
    }
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for kind, content in bytes_of.items():
        header[kind] = about(kind, (1, 2), (len(data), len(data) + len(content)))
        data += content
    for pad in range(8):  # whether the numbers start at a multiple of their size or not
        path.write_bytes(file_of(json.dumps(header).encode() + b" " * pad, data))
        for kind, entry in read_header(path).items():
            a = read_array(path, entry)
            expected = [[1, 0]] if kind in ("U8", "BOOL") else [[1.5, -2.0]]
            assert (a.tolist(), a.shape) == (expected, (1, 2)), kind
            assert a.flags.aligned and a.flags.writeable and a.dtype.isnative
            assert read_array(path, entry, np.float64).dtype == np.float64


def test_bfloat16_keeps_signs_zeros_infinities_and_nan(tmp_path):
    path = tmp_path / "x.safetensors"
    data = bytes.fromhex("0080 807f 80ff c07f 0100")
    path.write_bytes(file_of({"a": about("BF16", (5,), (0, 10))}, data))
    a = read_array(path, read_header(path)["a"])
    assert a.dtype == np.float32 and np.signbit(a[0]) and a[0] == 0
    assert a[1] == np.inf and a[2] == -np.inf and np.isnan(a[3])
    assert a[4] == 2.0**-133  # the smallest there is: 2^-126 · 2^-7


def test_arrays_without_axes_or_numbers_and_an_empty_file_are_fine(tmp_path):
    path = tmp_path / "x.safetensors"
    header = {"none": about(shape=(0, 3), offsets=(0, 0)), "one": about(shape=(), offsets=(0, 4))}
    path.write_bytes(file_of(header, struct.pack("<f", 2.5)))
    arrays = {name: read_array(path, entry) for name, entry in read_header(path).items()}
    assert arrays["none"].shape == (0, 3) and arrays["one"] == 2.5 and arrays["one"].shape == ()
    path.write_bytes(file_of({}))
    assert read_header(path) == {}


A, B = about(), about(offsets=(8, 16))
DAMAGED = {
    "no bytes": (b"", "a header of 0 bytes does not fit a file of 0"),
    "seven bytes": (b"\0" * 7, "does not fit a file of 7"),
    "a header longer than the file": (file_of({"a": A}, b"\0" * 8, length=10**6), "1000000 bytes"),
    "the longest header": (b"\xff" * 8 + b"{}", "a header of 18446744073709551615 bytes"),
    "no header": (file_of(b""), "Expecting value"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "utf-8"),
    "not JSON": (file_of(b"{'a': 1}"), "property name"),
    "nested without end": (file_of(b"[" * 100_000), "recursion"),
    "a list": (file_of([A]), "not a JSON object"),
    "a pickle": (b"\x80\x04\x95\x0b\0\0\0\0" + b"\0" * 20, "does not fit a file of 28"),
    "a name twice": (
        file_of(b'{"a": %b, "a": %b}' % ((json.dumps(A).encode(),) * 2), b"\0" * 8),
        "a name appears in it twice",
    ),
    "an entry that is a number": (file_of({"a": 5}), "a does not have a dtype"),
    "no shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, b"\0" * 8), "a shape"),
    "one key too many": (file_of({"a": about(order="F")}, b"\0" * 8), "does not have a dtype"),
    "an unknown type": (file_of({"a": about("I64", (1,))}, b"\0" * 8), "dtype 'I64', we read F64"),
    "a type that is a list": (file_of({"a": about([])}, b"\0" * 8), "dtype \\[\\]"),
    "a negative size": (file_of({"a": about(shape=(-1, -2))}, b"\0" * 8), "whole numbers from 0"),
    "half a size": (file_of({"a": about(shape=(2.0,))}, b"\0" * 8), "whole numbers from 0"),
    "a size that is true": (file_of({"a": about(shape=(True, 2))}, b"\0" * 8), "whole numbers"),
    "a shape that is a number": (
        file_of({"a": {**A, "shape": 2}}, b"\0" * 8),
        "2 is not a list of whole numbers",
    ),
    "three offsets": (file_of({"a": about(offsets=(0, 4, 8))}, b"\0" * 8), "3 data_offsets"),
    "more axes than an array can have": (
        file_of({"a": about(shape=[10**18] * 10_000)}, b"\0" * 8),
        "a has 10000 axes",
    ),
    "offsets backwards": (file_of({"a": about(offsets=(8, 0))}, b"\0" * 8), "does not fit"),
    "more numbers than bytes": (file_of({"a": about(shape=(3,))}, b"\0" * 8), "does not fit"),
    "more numbers than there can be": (
        file_of({"a": about(shape=(2**62, 2**62))}, b"\0" * 8),
        "does not fit data_offsets",
    ),
    "an overlap": (file_of({"a": A, "b": about(offsets=(4, 12))}, b"\0" * 12), "byte .* instead"),
    "the same bytes twice": (file_of({"a": A, "b": A}, b"\0" * 8), "instead of"),
    "a gap": (file_of({"a": A, "b": about(offsets=(9, 17))}, b"\0" * 17), "b starts at byte"),
    "a gap before the first": (file_of({"b": B}, b"\0" * 16), "b starts at byte"),
    "cut off": (file_of({"a": A, "b": B}, b"\0" * 15), "its arrays end at byte"),
    "more behind": (file_of({"a": A, "b": B}, b"\0" * 17), "its arrays end at byte"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_named_in_one_line(tmp_path, what):
    path = tmp_path / "x.safetensors"
    content, message = DAMAGED[what]
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_header(path)
    line = str(caught.value)
    assert line.startswith(f"{path} is damaged or not a safetensors file: ") and "\n" not in line


def test_a_file_that_is_cut_is_refused_at_every_length(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for length in [*range(0, 9), *range(9, len(whole), 131), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="damaged or not a safetensors file"):
            from_pretrained(folder)


def test_a_file_that_shrinks_while_it_is_read(folder):
    path = folder / "model.safetensors"
    entries = read_header(path)
    path.write_bytes(path.read_bytes()[:-1])
    last = max(entries.values(), key=lambda entry: entry.start)
    with pytest.raises(DataError, match="became shorter while we read it"):
        read_array(path, last)


def test_what_is_written_is_read_and_starts_at_a_multiple_of_eight(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.safetensors"
    for dtype in (np.float32, np.float64):
        arrays = {"a": rng.normal(size=(5, 3)).astype(dtype).T, "b": np.array(2, dtype)}
        arrays["Ünï"] = np.zeros((0, 4), dtype)
        write_safetensors(path, arrays)
        entries = read_header(path)
        assert list(entries) == list(arrays) and entries["a"].start % 8 == 0
        for name, a in arrays.items():
            back = read_array(path, entries[name])
            assert back.dtype == a.dtype and back.shape == a.shape and (back == a).all()
    assert os.listdir(tmp_path) == ["x.safetensors"]


# ---- into our GPT, and back ----


@pytest.mark.parametrize("tied", [True, False])
def test_the_layout_has_the_names_and_shapes_of_our_gpt(tied):
    model = model_of(tie_weights=tied)
    shapes = {name: p.shape for name, p in model.params().items()}
    if not tied:
        shapes["head.W"] = shapes["head.W"][::-1]  # (V, C), as PyTorch's Linear has it
    assert {ours: shape for ours, (_, shape) in layout(model.config).items()} == shapes


@pytest.mark.parametrize(
    "options",
    [{}, {"activation": "gelu"}, {"tie_weights": False}, {"bias": False}],
    ids=["as it is", "gelu", "untied", "no bias"],
)
def test_a_saved_model_comes_back_with_its_logits(tmp_path, options):
    model = model_of(**options)
    save_pretrained(model, CHARS, tmp_path / "f")
    back = from_pretrained(tmp_path / "f", np.float64)
    expected = {**vars(model.config), "bias": True}  # GPT-2 has them all: zeros change nothing
    assert vars(back.config) == expected
    np.testing.assert_allclose(back(ids()), model(ids()), rtol=0, atol=1e-12)
    assert back.params().keys() == GPT(back.config, rng=np.random.default_rng(0)).params().keys()


def test_float32_comes_back_bit_for_bit(tmp_path):
    model = model_of(np.float32)
    save_pretrained(model, CHARS, tmp_path / "f")
    back = from_pretrained(tmp_path / "f")
    for name, p in back.params().items():
        assert p.dtype == np.float32 and (p == model.params()[name]).all(), name


def rewrite(folder, change):
    """Change {name: array} of the folder's weights by a function."""
    path = folder / "model.safetensors"
    arrays = {name: read_array(path, entry) for name, entry in read_header(path).items()}
    write_safetensors(path, change(arrays))


def test_both_ways_of_naming_and_old_masks_are_read(folder):
    expected = from_pretrained(folder, np.float64)(ids())

    def as_in_2019(arrays):
        named = {name.removeprefix("transformer."): a for name, a in arrays.items()}
        named |= {f"h.{i}.attn.bias": np.ones((1, 1, 7, 7)) for i in range(3)}
        return named | {f"h.{i}.attn.masked_bias": np.array(-1e4) for i in range(3)}

    rewrite(folder, as_in_2019)
    np.testing.assert_array_equal(from_pretrained(folder, np.float64)(ids()), expected)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_weights_of_half_the_size_are_read(folder, kind):
    path = folder / "model.safetensors"
    exact = {name: read_array(path, entry) for name, entry in read_header(path).items()}
    header, data = {}, b""
    for name, a in exact.items():
        half = a.astype("<f2") if kind == "F16" else a.astype("<f4").view("<u2")[..., 1::2]
        header[name] = about(kind, a.shape, (len(data), len(data) + half.nbytes))
        data += half.tobytes()
    path.write_bytes(file_of(header, data))
    model = from_pretrained(folder)
    for name, (theirs, _) in layout(model.config).items():
        p = model.params()[name]
        assert p.dtype == np.float32
        np.testing.assert_allclose(p, exact[theirs], rtol=2**-7, atol=1e-6)


def test_loading_draws_no_random_weights_and_copies_none(tmp_path, monkeypatch):
    drawn = []

    class Counting:
        def __init__(self, seed):
            self.rng = np.random.Generator(np.random.PCG64(seed))

        def __getattr__(self, name):
            def draw(*args):
                drawn.append(np.prod(args[-1]))
                return getattr(self.rng, name)(*args)

            return draw

    monkeypatch.setattr(np.random, "default_rng", Counting)
    config = GPTConfig(**SIZES | {"n_embd": 40})
    arrays = {name: np.ones(shape, np.float32) for name, (_, shape) in layout(config).items()}
    model = around(config, arrays)
    assert 0 < sum(drawn) < model.num_params() / 50
    assert all(p is arrays[name] for name, p in model.params().items())


def test_a_loaded_model_samples_with_its_cache_and_can_be_trained(folder):
    model = from_pretrained(folder, np.float64)
    prompt = ids(2, 3)
    out = generate(model, prompt, 4, temperature=0, rng=np.random.default_rng(0))
    for t in range(3, 7):
        assert (out[:, t] == model(out[:, :t])[:, -1].argmax(axis=-1)).all()
    optimizer = SGD(model, 0.01)
    losses = []
    for _ in range(3):
        losses.append(model(ids()[:, :-1], ids()[:, 1:])[1])
        optimizer.zero_grad()
        model.backward()
        optimizer.step()
    assert losses[0] > losses[1] > losses[2]


# ---- what does not fit ----


def lacks(arrays):
    del arrays["transformer.h.1.mlp.c_fc.bias"]
    return arrays


MISFITS = {
    "one is missing": (lacks, "it lacks transformer.h.1.mlp.c_fc.bias$"),
    "many are missing": (
        lambda arrays: {n: a for n, a in arrays.items() if ".h.2." not in n},
        r"it lacks transformer.h.2.ln_1.weight and 11 more$",
    ),
    "one is left over": (
        lambda arrays: arrays | {"transformer.h.3.ln_1.weight": np.zeros(6)},
        "it has left over transformer.h.3.ln_1.weight$",
    ),
    "a head that the config does not use": (
        lambda arrays: arrays | {"lm_head.weight": np.zeros((CHARS.vocab_size, 6))},
        "it has left over lm_head.weight$",
    ),
    "both ways of naming": (
        lambda arrays: arrays | {"wte.weight": np.zeros((CHARS.vocab_size, 6))},
        "it has left over wte.weight$",
    ),
    "transposed": (
        lambda arrays: {n: a.T if "c_attn.weight" in n else a for n, a in arrays.items()},
        r"transformer.h.0.attn.c_attn.weight has shape \(18, 6\), not \(6, 18\)$",
    ),
    "a row too few": (
        lambda arrays: {n: a[:-1] if "wpe" in n else a for n, a in arrays.items()},
        r"transformer.wpe.weight has shape \(6, 6\), not \(7, 6\)$",
    ),
    "an axis too many": (
        lambda arrays: {n: a[None] if "ln_f.bias" in n else a for n, a in arrays.items()},
        r"transformer.ln_f.bias has shape \(1, 6\), not \(6,\)$",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_names_and_shapes_that_do_not_fit(folder, what):
    change, message = MISFITS[what]
    rewrite(folder, change)
    with pytest.raises(DataError, match=message) as caught:
        from_pretrained(folder)
    assert str(caught.value).startswith(str(folder / "model.safetensors"))


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_a_tied_head_that_is_the_embedding_once_more_is_read(folder, prefix):
    expected = from_pretrained(folder, np.float64)(ids())

    def named(arrays):
        return {n.replace("transformer.", prefix): a for n, a in arrays.items()}

    def with_head(arrays):
        return named(arrays) | {"lm_head.weight": arrays["transformer.wte.weight"]}

    rewrite(folder, with_head)
    model = from_pretrained(folder, np.float64)
    np.testing.assert_array_equal(model(ids()), expected)
    assert model.head is None
    # One number that differs is another head than the config's.
    path = folder / "model.safetensors"
    head = read_header(path)["lm_head.weight"]
    whole = bytearray(path.read_bytes())
    whole[head.start + head.nbytes - 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"it has left over lm_head.weight$"):
        from_pretrained(folder)


@pytest.mark.parametrize("n_layer", [41, 10**6, 10**15])
def test_more_layers_than_the_file_has_arrays_are_refused_before_they_are_laid_out(
    folder, n_layer, monkeypatch
):
    monkeypatch.setattr("numpygpt.pretrained.gpt2.layout", None)  # of a million it takes a minute
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_layer": n_layer}))
    with pytest.raises(DataError, match=f"has 40 arrays, too few for {n_layer} layers$"):
        from_pretrained(folder)


def test_a_mask_where_a_weight_should_be(folder):
    path = folder / "model.safetensors"
    entries = read_header(path)
    header, data = {}, b""
    for name, entry in entries.items():
        kind, size = ("U8", 1) if name.endswith("ln_f.bias") else ("F64", 8)
        n = size * int(np.prod(entry.shape))
        header[name] = about(kind, entry.shape, (len(data), len(data) + n))
        data += b"\0" * n
    path.write_bytes(file_of(header, data))
    with pytest.raises(DataError, match="ln_f.bias holds U8 instead of fractions"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt_neo"}, "model_type is 'gpt_neo', we read gpt2, llama and qwen3"),
        ({"activation_function": "gelu"}, "activation_function is 'gelu', our GPT knows only gelu"),
        ({"activation_function": ["relu"]}, "unhashable"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06, our GPT knows only 1e-05"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"n_inner": 23}, "n_inner is 23, our GPT knows only 4 n_embd"),
        ({"n_head": 4}, "n_embd=6 is not divisible by n_head=4"),
        ({"n_layer": "3"}, "n_layer='3' must be a whole number"),
        ({"tie_word_embeddings": None}, "tie_weights=None must be True or False"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_config_that_asks_for_another_model(folder, change, message):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message) as caught:
        from_pretrained(folder)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_the_config_may_say_or_leave_out(folder):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    expected = read_config(path)
    for name in ("layer_norm_epsilon", "scale_attn_weights", "tie_word_embeddings", "model_type"):
        del content[name]
    content |= {"n_inner": 24, "resid_pdrop": 0.1, "n_ctx": 7, "unknown": [1]}
    path.write_text(json.dumps(content))
    assert read_config(path) == expected
    path.write_text(json.dumps(content | {"activation_function": "gelu_pytorch_tanh"}))
    assert read_config(path).activation == "gelu"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json", "merges.txt"])
def test_a_file_that_is_missing(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name} does not exist$"):
        load_pretrained(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "Expecting"), ("[1]", "not a JSON object"), ("{}", "does not say 'n_embd'"),
     ("[" * 100_000, "recursion"), ('{"n_embd": "x"}', "n_inner|does not say")],
)  # fmt: skip
def test_a_config_that_cannot_be_read(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises(DataError, match=message):
        from_pretrained(folder)


def test_a_tokenizer_that_does_not_fit_or_cannot_be_read(folder):
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(vocab | {"z": len(vocab)}))
    with pytest.raises(DataError, match="vocab.json has 11 tokens, the model 10"):
        load_pretrained(folder)
    for damaged in (
        "{",
        "[1]",
        '{"a": [0]}',
        '{"ab": 0}',
        '{"a": 1}',
        '{"a": 0, "b": 0}',
        "[" * 10**5,
    ):
        path.write_text(damaged)
        with pytest.raises(DataError, match="no tokenizer that we can read") as caught:
            load_pretrained(folder)
        assert "\n" not in str(caught.value)


# ---- the tokenizer's files ----


def test_characters_come_back_as_the_same_ids(tmp_path):
    tokenizer = CharTokenizer.train("To be, or not!\n\t\0'")
    save_pretrained(model_of(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "f")
    _, back = load_pretrained(tmp_path / "f")
    for text in ("To be,\nor\t\tnot\0'", "  Tnt  \n\n ", "'not", "o"):
        assert back.encode(text) == tokenizer.encode(text)
        assert back.decode(back.encode(text)) == text


def test_bpe_comes_back_as_the_same_ids(tmp_path):
    text = "the thin thing thinks, that's théâtre ½ 中文 \r\n  there\x1c" * 9
    tokenizer = BPETokenizer.train(text, 300, special_tokens=["<|endoftext|>"])
    assert len(tokenizer.merges) > 30
    save_pretrained(model_of(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "f")
    _, back = load_pretrained(tmp_path / "f")
    sample = "the théâtre thinks 中<|endoftext|>  \n"
    for allowed in ((), "all"):
        assert back.encode(sample, allowed) == tokenizer.encode(sample, allowed)
    assert back.decode(back.encode(sample)) == sample


def test_a_tokenizer_that_the_files_cannot_hold(tmp_path):
    words = WordTokenizer.train("to be or not to be")
    accents = CharTokenizer.train("théâtre")
    for tokenizer, message in ((words, "word tokenizer"), (accents, "'â' is several")):
        with pytest.raises(DataError, match=message):
            save_pretrained(model_of(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "f")
        assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_is_kept(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(DataError, match="is there already: name a new folder"):
        save_pretrained(model_of(), CHARS, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_pretrained(model_of(), CHARS, tmp_path / "f")
    assert os.listdir(tmp_path) == []
