"""GPT-2 folders against transformers and safetensors: theirs read by us, ours read by them."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors.numpy import load_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPT2Model, GPT2TokenizerFast

from numpygpt import GPT, GPTConfig, from_pretrained
from numpygpt.checkpoint import load_model
from numpygpt.data import DataError
from numpygpt.generate import generate
from numpygpt.pretrained.gpt2 import load_pretrained
from numpygpt.pretrained.gpt2_export import save_pretrained
from numpygpt.pretrained.safetensors import read_array, read_header
from numpygpt.tokenizers import BPETokenizer

ROOT = Path(__file__).parents[2]
SMALL = {"vocab_size": 97, "n_positions": 64, "n_embd": 20, "n_layer": 3, "n_head": 5}
GPT2_124M = {}  # the defaults of GPT2Config
NO_END = {"bos_token_id": None, "eos_token_id": None}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def theirs(dtype, size=0.5, kind=GPT2LMHeadModel, **options):
    """A model of theirs with random weights: of this size, or as they draw them (None)."""
    torch.manual_seed(0)
    model = kind(GPT2Config(**NO_END, **options)).to(dtype).eval()
    with torch.no_grad():
        for p in model.parameters():
            if size is not None:
                p.normal_(0, size)
    return model


def compare(model, ours, dtype, prompt_length=11):
    V = model.config.vocab_size
    x = np.random.default_rng(1).integers(0, V, (2, prompt_length))
    with torch.no_grad():
        expected = model(torch.tensor(x)).logits.numpy()
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(ours(x), expected, rtol=0, atol=TOLERANCE[dtype])
        tokens = model.generate(torch.tensor(x), max_new_tokens=50, do_sample=False).numpy()
    greedy = generate(ours, x, 50, temperature=0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(greedy, tokens)
    assert len(np.unique(tokens)) > 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"activation_function": "gelu_new"},
        {"activation_function": "gelu_pytorch_tanh"},
        {"activation_function": "relu"},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_their_model_read_by_us_gives_their_logits_and_50_greedy_tokens(tmp_path, dtype, options):
    model = theirs(dtype, **SMALL, **options)
    model.save_pretrained(tmp_path)
    compare(model, from_pretrained(tmp_path, NUMPY[dtype]), dtype)


def test_a_model_saved_without_its_head_has_other_names(tmp_path):
    model = theirs(torch.float64, **SMALL)
    model.transformer.save_pretrained(tmp_path)
    assert isinstance(model.transformer, GPT2Model)
    assert "wte.weight" in read_header(tmp_path / "model.safetensors")
    compare(model, from_pretrained(tmp_path, np.float64), torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_weights_of_half_the_size(tmp_path, dtype):
    model = theirs(dtype, **SMALL)
    model.save_pretrained(tmp_path)
    ours = from_pretrained(tmp_path)
    model = model.to(torch.float32)  # their sums in half precision would be less exact than ours
    x = np.random.default_rng(1).integers(0, 97, (2, 11))
    with torch.no_grad():
        expected = model(torch.tensor(x)).logits.numpy()
    np.testing.assert_allclose(ours(x), expected, rtol=0, atol=1e-4)


def test_the_shape_of_gpt2(tmp_path):
    model = theirs(torch.float32, None, **GPT2_124M)
    model.save_pretrained(tmp_path)
    compare(model, from_pretrained(tmp_path), torch.float32)
    compare(model.double(), from_pretrained(tmp_path, np.float64), torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"activation": "gelu"}, {"tie_weights": False}, {"bias": False}],
    ids=str,
)
def test_our_model_read_by_them(tmp_path, dtype, options):
    rng = np.random.default_rng(0)
    text = "the thin thing thinks, that's théâtre ½ 中文 \r\n  there" * 9
    tokenizer = BPETokenizer.train(text, 300, special_tokens=["<|endoftext|>"])
    config = GPTConfig(tokenizer.vocab_size, 64, 3, 5, 20, **options)
    ours = GPT(config, rng=rng, dtype=NUMPY[dtype])
    for p in ours.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    save_pretrained(ours, tokenizer, tmp_path / "f")
    model, info = GPT2LMHeadModel.from_pretrained(
        tmp_path / "f", dtype=dtype, output_loading_info=True
    )
    assert not any(info.values()), "transformers misses something, or has something left over"
    compare(model, ours, dtype)
    compare(model, from_pretrained(tmp_path / "f", NUMPY[dtype]), dtype)
    fast = GPT2TokenizerFast.from_pretrained(tmp_path / "f")
    for sample in (text, "  théâtre 中<|endoftext|>thin\n\n x"):
        assert fast(sample)["input_ids"] == tokenizer.encode(sample, "all")


def test_the_model_that_we_ship_read_by_them(tmp_path):
    path = ROOT / "data/checkpoints/shakespeare_char/checkpoint.npz"
    for dtype in (torch.float32, torch.float64):
        ours, tokenizer, _ = load_model(path, NUMPY[dtype])
        folder = tmp_path / str(dtype)
        save_pretrained(ours, tokenizer, folder)
        model = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype)
        x = np.random.default_rng(1).integers(0, tokenizer.vocab_size, (2, 64))
        with torch.no_grad():
            expected = model(torch.tensor(x)).logits.numpy()
        np.testing.assert_allclose(ours(x), expected, rtol=0, atol=TOLERANCE[dtype])
    text = (ROOT / "data/shakespeare.txt").read_text(encoding="utf-8")[:50_000]
    fast = AutoTokenizer.from_pretrained(folder)
    assert fast(text)["input_ids"] == tokenizer.encode(text)
    assert fast.decode(tokenizer.encode(text)) == text
    assert load_pretrained(folder)[1].encode(text) == tokenizer.encode(text)


def read_by_us(path):
    try:
        return {name: read_array(path, entry) for name, entry in read_header(path).items()}
    except DataError:
        return None


def read_by_them(path):
    try:
        return load_file(path)
    except safetensors.SafetensorError:
        return None


def test_what_we_accept_their_library_accepts_and_reads_the_same(tmp_path):
    """A thousand damaged headers: a byte changed, a number changed, a piece cut out."""
    rng = np.random.default_rng(0)
    path = tmp_path / "x.safetensors"
    arrays = {"a": rng.normal(size=(3, 2)).astype("f4"), "b": rng.normal(size=5).astype("f2")}
    arrays["c"] = np.zeros((0, 4), "f8")
    safetensors.numpy.save_file(arrays, path)
    whole = path.read_bytes()
    data_start = 8 + int.from_bytes(whole[:8], "little")
    outcomes = {}
    for number in range(1000):
        damaged = bytearray(whole)
        at = int(rng.integers(data_start))
        if number % 3 == 0:
            damaged[at] ^= 1 << int(rng.integers(8))
        elif number % 3 == 1:
            places = [i for i in range(8, data_start) if damaged[i : i + 1].isdigit()]
            damaged[rng.choice(places)] = ord("0") + int(rng.integers(10))
        else:
            del damaged[at : at + int(rng.integers(1, 9))]
        path.write_bytes(damaged)
        ours, peers = read_by_us(path), read_by_them(path)
        if ours is not None:
            assert peers is not None, damaged[:data_start]
            assert ours.keys() == peers.keys()
            for name, a in ours.items():
                assert a.dtype == peers[name].dtype and a.shape == peers[name].shape
                np.testing.assert_array_equal(a, peers[name])
        pair = ours is not None, peers is not None
        outcomes[pair] = outcomes.get(pair, 0) + 1
    print("(we, they) accept:", json.dumps({str(k): n for k, n in outcomes.items()}))
    assert outcomes[True, True] > 20 and outcomes[False, False] > 500
