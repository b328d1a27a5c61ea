"""Folders of Llama and Qwen3 against transformers: theirs read by us, ours read by them."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

import numpygpt
from numpygpt import Llama, from_pretrained
from numpygpt.generate import generate
from numpygpt.pretrained import load_pretrained, save_pretrained
from numpygpt.tokenizers import BPETokenizer

SMALL = {
    "vocab_size": 97,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
}
SMOLLM2 = SMALL | {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
}
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "llama, tied": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 10, "rms_norm_eps": 1e-6}),
    "qwen3, tied": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 10, "tie_word_embeddings": True}),
}


def norm_in_its_own_dtype(self, x):
    variance = x.pow(2).mean(-1, keepdim=True)
    return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))


def angles_in_the_dtype_of_x(self, x, position_ids, *_):
    freqs = position_ids[..., None].to(x.dtype) * self.exact
    both = torch.cat((freqs, freqs), dim=-1)
    return both.cos(), both.sin()


@pytest.fixture(autouse=True)
def in_double(monkeypatch):
    """Theirs computes norms and angles in float32 whatever the dtype: 5e-6 off in float64."""
    for module, family in ((modeling_llama, "Llama"), (modeling_qwen3, "Qwen3")):
        norm = getattr(module, f"{family}RMSNorm")
        rotary = getattr(module, f"{family}RotaryEmbedding")
        monkeypatch.setattr(norm, "forward", norm_in_its_own_dtype)
        monkeypatch.setattr(rotary, "forward", angles_in_the_dtype_of_x)


def exact_angles(model):
    rotary, config = model.model.rotary_emb, model.config
    D = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    base = config.rope_parameters["rope_theta"]
    rotary.exact = torch.tensor(base ** (-np.arange(0, D, 2) / D), dtype=torch.float64)
    return model


def theirs(family, dtype=torch.float64, size=0.5, **options):
    """A model of theirs with random weights of this size."""
    kind, config, own = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(config(**{**SMALL, **own, **options})).to(dtype).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, size)
    return exact_angles(model)


def compare(model, ours, atol=1e-9, n_new=50):
    x = np.random.default_rng(1).integers(0, model.config.vocab_size, (2, 11))
    with torch.no_grad():
        expected = model(torch.tensor(x)).logits.numpy()
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(ours(x), expected, rtol=0, atol=atol)
        tokens = model.generate(torch.tensor(x), max_new_tokens=n_new, do_sample=False).numpy()
    greedy = generate(ours, x, n_new, temperature=0, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(greedy, tokens)
    assert len(np.unique(tokens)) > 3


@pytest.mark.parametrize("family", FAMILIES)
def test_their_folder_read_by_us_gives_their_logits_and_50_greedy_tokens(tmp_path, family):
    model = theirs(family)
    model.save_pretrained(tmp_path)
    compare(model, from_pretrained(tmp_path, np.float64))


@pytest.mark.parametrize("family", ["llama", "qwen3, tied"])
def test_a_folder_in_several_files(tmp_path, family):
    model = theirs(family)
    model.save_pretrained(tmp_path, max_shard_size="20kB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    compare(model, from_pretrained(tmp_path, np.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_weights_of_half_the_size(tmp_path, dtype):
    model = theirs("llama, tied", dtype)
    model.save_pretrained(tmp_path)
    compare(exact_angles(model.to(torch.float64)), from_pretrained(tmp_path, np.float64))


def test_a_config_json_of_older_versions(tmp_path):
    model = theirs("llama, tied")
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    about = json.loads(path.read_text())
    for name in ("rope_parameters", "dtype", "head_dim"):
        about.pop(name, None)
    about |= {"rope_theta": 100_000.0, "rope_scaling": None, "torch_dtype": "bfloat16"}
    path.write_text(json.dumps(about | {"rope_interleaved": False, "pretraining_tp": 1}))
    compare(model, from_pretrained(tmp_path, np.float64))


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}, {"qk_norm": True, "head_dim": 8}])
def test_our_folder_read_by_them(tmp_path, options):
    rng = np.random.default_rng(0)
    text = "the thin thing thinks, that's théâtre ½ 中文 \r\n  there" * 9
    tokenizer = BPETokenizer.train(text, 300, special_tokens=["<|endoftext|>", "<|im_end|>"])
    config = numpygpt.LlamaConfig(tokenizer.vocab_size, 128, 3, 6, 24, n_kv_head=2, **options)
    ours = Llama(config, rng=rng, dtype=np.float64)
    for p in ours.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    save_pretrained(ours, tokenizer, tmp_path / "f")
    model, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "f", dtype=torch.float64, output_loading_info=True
    )
    assert not any(info.values()), "transformers misses something, or has something left over"
    compare(exact_angles(model), ours)
    back, ours_too = load_pretrained(tmp_path / "f", np.float64)
    compare(model, back)
    fast = AutoTokenizer.from_pretrained(tmp_path / "f")
    for sample in (text, "  théâtre 中<|endoftext|>thin\n\n x"):
        assert fast(sample)["input_ids"] == ours_too.encode(sample, "all")
        assert ours_too.encode(sample, "all") == tokenizer.encode(sample, "all")


def test_the_shape_of_smollm2_in_float32(tmp_path, monkeypatch):
    monkeypatch.undo()  # as they are
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2)).to(torch.bfloat16).eval()
    model.save_pretrained(tmp_path)
    ours = from_pretrained(tmp_path)
    assert ours.num_params() == 134_515_008
    compare(model.to(torch.float32), ours, atol=1e-3, n_new=20)
