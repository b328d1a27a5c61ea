"""A whole Llama against transformers' LlamaForCausalLM and Qwen3ForCausalLM, the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig as TheirLlamaConfig
from transformers import LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

from numpygpt import Llama, LlamaConfig
from numpygpt.generate import generate

# Our names -> theirs, in a block. Their Linear stores weights as (out, in): ours transposed.
LAYER = {
    "norm1.gamma": "input_layernorm.weight",
    "attn.q.W": "self_attn.q_proj.weight",
    "attn.k.W": "self_attn.k_proj.weight",
    "attn.v.W": "self_attn.v_proj.weight",
    "attn.proj.W": "self_attn.o_proj.weight",
    "attn.q_norm.gamma": "self_attn.q_norm.weight",
    "attn.k_norm.gamma": "self_attn.k_norm.weight",
    "norm2.gamma": "post_attention_layernorm.weight",
    "ffn.gate.W": "mlp.gate_proj.weight",
    "ffn.up.W": "mlp.up_proj.weight",
    "ffn.down.W": "mlp.down_proj.weight",
}
OUTER = {
    "wte.W": "model.embed_tokens.weight",
    "ln_f.gamma": "model.norm.weight",
    "head.W": "lm_head.weight",
}
V, T = 37, 64
KINDS = {
    "Llama": (LlamaForCausalLM, TheirLlamaConfig, modeling_llama, {"n_embd": 20, "n_head": 10}),
    "Qwen3": (Qwen3ForCausalLM, Qwen3Config, modeling_qwen3, {"qk_norm": True, "head_dim": 6}),
}


@pytest.fixture(autouse=True)
def float64_all_the_way(monkeypatch):
    """Theirs computes norms and angles in float32, whatever its dtype: here in float64."""

    def norm(self, x):
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * x * torch.rsqrt(mean_square + self.variance_epsilon)

    def angles(self, x, position_ids):
        D = self.config.head_dim
        freqs = self.config.rope_parameters["rope_theta"] ** (-torch.arange(0, D, 2) / D)
        turns = torch.cat(2 * [position_ids[..., None] * freqs.double()], dim=-1)
        return turns.cos(), turns.sin()

    for kind, (_, _, module, _) in KINDS.items():
        monkeypatch.setattr(getattr(module, f"{kind}RMSNorm"), "forward", norm)
        monkeypatch.setattr(getattr(module, f"{kind}RotaryEmbedding"), "forward", angles)


def their_name(name):
    if name in OUTER:
        return OUTER[name]
    _, i, rest = name.split(".", 2)
    return f"model.layers.{i}.{LAYER[rest]}"


def theirs_is(name, a):
    """An array of ours as it lies in theirs."""
    return a if name == "wte.W" else a.T


def pair(kind, tied):
    """Our Llama and theirs with the same weights, of size 0.5."""
    their_class, their_config, _, options = KINDS[kind]
    rng = np.random.default_rng(0)
    sizes = {"n_layer": 3, "n_head": 6, "n_embd": 22, "n_kv_head": 2, "hidden": 17}
    config = LlamaConfig(V, T, **sizes | options, rope_base=500.0, tie_weights=tied)
    config = replace(config, rope_layout="halves")
    ours = Llama(config, rng=rng, dtype=np.float64)
    for p in ours.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    theirs = their_class(
        their_config(
            vocab_size=V,
            hidden_size=config.n_embd,
            intermediate_size=config.hidden,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            num_key_value_heads=config.n_kv_head,
            head_dim=config.head_dim,
            max_position_embeddings=T,
            rms_norm_eps=config.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            tie_word_embeddings=tied,
            attn_implementation="sdpa",  # their own takes the softmax in float32
            bos_token_id=None,
            eos_token_id=None,
        )
    ).double()
    state = dict(theirs.named_parameters())
    assert {their_name(n) for n in ours.params()} == state.keys()
    with torch.no_grad():
        for name, p in ours.params().items():
            state[their_name(name)].copy_(torch.tensor(theirs_is(name, p)))
    return ours, theirs.eval(), state


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_and_every_gradient(kind, tied):
    ours, theirs, state = pair(kind, tied)
    x, y = np.random.default_rng(1).integers(0, V, (2, 3, 11))
    logits, loss = ours(x, y)
    t_logits = theirs(torch.tensor(x)).logits
    t_loss = torch.nn.functional.cross_entropy(t_logits.reshape(-1, V), torch.tensor(y.reshape(-1)))
    np.testing.assert_allclose(logits, t_logits.detach(), rtol=1e-9, atol=1e-9)
    assert loss == pytest.approx(t_loss.item(), rel=1e-9)
    ours.backward()
    t_loss.backward()
    for name, g in ours.grads().items():
        t_g = state[their_name(name)].grad.numpy()
        np.testing.assert_allclose(theirs_is(name, g), t_g, rtol=1e-9, atol=1e-9, err_msg=name)
        assert np.abs(t_g).max() > 1e-6, name


@pytest.mark.parametrize("kind", KINDS)
def test_50_greedy_tokens(kind):
    ours, theirs, _ = pair(kind, tied=False)
    start = np.random.default_rng(2).integers(0, V, (4, 5))
    mine = generate(ours, start, 50, temperature=0, rng=np.random.default_rng(0))
    ids = torch.tensor(start)
    with torch.no_grad():
        out = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=50,
            min_new_tokens=50,
            do_sample=False,
            pad_token_id=0,
        )
    np.testing.assert_array_equal(mine, out.numpy())
    assert len(set(mine[:, 5:].ravel().tolist())) > 5, "the same token again and again shows little"
