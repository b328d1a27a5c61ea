"""Llama and its layers: forward passes against slow ones, configurations, first weights."""

import math

import numpy as np
import pytest

from numpygpt import Llama, LlamaConfig, nn
from numpygpt.cli.models import n_params
from numpygpt.nn.functional import softmax
from numpygpt.nn.gates import sigmoid

V, T, C = 11, 5, 7
CONFIG = {"vocab_size": V, "block_size": T, "n_layer": 2, "n_head": 6, "n_embd": C, "head_dim": 4}
GROUPED = CONFIG | {"n_kv_head": 3, "hidden": 13}


def rng():
    return np.random.default_rng(0)


def model(dtype=np.float64, **options):
    made = Llama(LlamaConfig(**GROUPED | options), rng=rng(), dtype=dtype)
    for p in made.params().values():
        p[...] = np.random.default_rng(1).normal(0, 0.5, p.shape)
    return made


def test_swiglu_by_hand():
    layer = nn.SwiGLU(1, 1, rng=rng(), dtype=np.float64)
    layer.load_params({"gate.W": np.eye(1), "up.W": 3 * np.eye(1), "down.W": 5 * np.eye(1)})
    # a = x, u = 3 x: 5 · x σ(x) · 3 x
    for x in (-2.0, 0.0, 0.5):
        expected = 15 * x * x / (1 + math.exp(-x))
        np.testing.assert_allclose(layer(np.array([[x]])), [[expected]], rtol=1e-14)


def test_squared_relu_by_hand():
    layer = nn.SquaredReLU(1, 1, rng=rng(), dtype=np.float64)
    layer.load_params({"up.W": 3 * np.eye(1), "down.W": 5 * np.eye(1)})
    np.testing.assert_array_equal(layer(np.array([[-2.0], [0.0], [0.5]])), [[0], [0], [11.25]])
    np.testing.assert_array_equal(layer.backward(np.ones((3, 1))), [[0], [0], [45]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gate_far_out_is_shut_or_open_and_warns_of_nothing(dtype):
    a = np.array([-1e4, -100, -20, 0, 20, 100, 1e4], dtype)
    s = sigmoid(a)  # pytest turns a warning into an error
    assert s.dtype == dtype
    expected = [0, 0, 1 / (1 + math.exp(20)), 0.5, 1 / (1 + math.exp(-20)), 1, 1]
    np.testing.assert_allclose(s, expected, atol=1e-7 if dtype == np.float32 else 1e-16)
    layer = nn.SwiGLU(1, 1, rng=rng(), dtype=dtype)
    layer.load_params({"gate.W": np.eye(1), "up.W": np.eye(1), "down.W": np.eye(1)})
    assert np.isfinite(layer(a[:, None])).all()
    assert np.isfinite(layer.backward(np.ones((7, 1), dtype))).all()


@pytest.mark.parametrize("n_kv_heads", [1, 3, 6])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_grouped_attention_is_the_loop_over_heads_and_positions(n_kv_heads, qk_norm):
    rng = np.random.default_rng(2)
    n_heads, D, start = 6, 4, 0
    rotary = nn.Rotary(D, base=100.0, layout="halves" if qk_norm else "interleaved")
    layer = nn.GroupedQueryAttention(
        C, n_heads, n_kv_heads, D, rotary=rotary, qk_norm=qk_norm, rng=rng, dtype=np.float64
    )
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    x = rng.normal(size=(2, T, C))

    def vectors(W, gamma, head, turned):
        rows = x @ W[:, head * D : (head + 1) * D]  # (B, T, D)
        if qk_norm and turned:
            rows = rows / np.sqrt((rows**2).mean(axis=-1, keepdims=True) + 1e-5) * gamma
        return nn.Rotary(D, 100.0, rotary.layout)(rows, start) if turned else rows

    gains = (layer.q_norm.gamma, layer.k_norm.gamma) if qk_norm else (None, None)
    out = np.zeros((2, T, n_heads * D))
    for h in range(n_heads):
        shared = h // (n_heads // n_kv_heads)  # neighbors share
        q = vectors(layer.q.W, gains[0], h, True)
        k, v = vectors(layer.k.W, gains[1], shared, True), vectors(layer.v.W, None, shared, False)
        for b in range(2):
            for t in range(T):
                p = softmax(q[b, t] @ k[b, : t + 1].T / math.sqrt(D))
                out[b, t, h * D : (h + 1) * D] = p @ v[b, : t + 1]
    np.testing.assert_allclose(layer(x), out @ layer.proj.W, rtol=1e-12, atol=1e-13)


def test_with_as_many_heads_of_keys_it_is_the_attention_of_chapter_10():
    layer = nn.GroupedQueryAttention(12, 3, 3, 4, bias=True, rng=rng(), dtype=np.float64)
    old = nn.MultiHeadAttention(12, 3, rng=rng(), dtype=np.float64)
    parts = [layer.q, layer.k, layer.v]
    for part in (*parts, layer.proj):
        part.b[...] = np.random.default_rng(3).normal(size=12)
    old.load_params(
        {
            "qkv.W": np.concatenate([part.W for part in parts], axis=1),
            "qkv.b": np.concatenate([part.b for part in parts]),
            "proj.W": layer.proj.W,
            "proj.b": layer.proj.b,
        }
    )
    x, dy = np.random.default_rng(4).normal(size=(2, 2, T, 12))
    np.testing.assert_allclose(layer(x), old(x), rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dy), old.backward(dy), rtol=1e-10)
    together = np.concatenate([part.dW for part in parts], axis=1)
    np.testing.assert_allclose(together, old.qkv.dW, rtol=1e-10, atol=1e-14)


def test_heads_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="n_heads=6 is not divisible by n_kv_heads=4"):
        nn.GroupedQueryAttention(C, 6, 4, 2, rng=rng())


def test_the_future_stays_hidden_and_only_distances_count():
    made = model(qk_norm=True)
    ids = np.array([[1, 2, 3, 4, 5]])
    later = np.array([[1, 2, 3, 9, 5]])
    np.testing.assert_array_equal(made(ids)[:, :3], made(later)[:, :3])
    assert np.abs(made(ids) - made(later))[:, 3:].max() > 1e-3
    x = far = made.wte(ids)
    for block in made.blocks:
        x, far = block(x), block(far, 1000)  # the same text, from position 1000 on
    np.testing.assert_allclose(far, x, rtol=1e-9, atol=1e-11)


def test_the_layouts_differ_by_the_order_of_queries_and_keys_alone():
    made = model(qk_norm=True)
    halves = Llama(LlamaConfig(**vars(made.config) | {"rope_layout": "halves"}), rng=rng())
    params = {name: p.copy() for name, p in made.params().items()}
    order = [0, 2, 1, 3]  # of the four entries of a head
    for name, p in params.items():
        if name.endswith(("q.W", "k.W")):
            params[name] = p.reshape(C, -1, 4)[..., order].reshape(C, -1)
        elif name.endswith("_norm.gamma"):
            params[name] = p[order]
    halves.load_params(params)
    ids = np.array([[1, 2, 3, 4, 5]])
    np.testing.assert_allclose(halves(ids), made(ids), rtol=1e-4, atol=1e-4)  # float32
    halves.load_params(made.params())
    assert np.abs(halves(ids) - made(ids)).max() > 1e-2


# ---- configurations ----


def test_what_is_not_given_follows_from_the_rest():
    plain = LlamaConfig(65, 64, 4, 4, 128)
    assert (plain.n_kv_head, plain.head_dim, plain.hidden) == (4, 32, 344)
    assert LlamaConfig(65, 64, 4, 4, 128, activation="relu2").hidden == 512
    given = LlamaConfig(**GROUPED)
    assert (given.n_kv_head, given.head_dim, given.hidden) == (3, 4, 13)
    assert LlamaConfig(**vars(given)) == given  # a checkpoint holds what was found


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *[(name, 0, "whole number of at least 1") for name in CONFIG],
        *[(name, -1, "whole number of at least 1") for name in ("n_kv_head", "hidden")],
        *[(name, 1.0, "whole number of at least 1") for name in ("n_embd", "hidden")],
        *[(name, True, "whole number of at least 1") for name in ("n_layer", "n_kv_head")],
        ("vocab_size", None, "whole number of at least 1"),
        ("n_kv_head", 4, "n_head=6 is not divisible by n_kv_head=4"),
        ("n_kv_head", 12, "n_head=6 is not divisible by n_kv_head=12"),
        ("head_dim", 5, "must be even"),
        ("head_dim", None, "n_embd=7 is not divisible by n_head=6: give head_dim"),
        ("activation", "relu", "neither 'swiglu' nor 'relu2'"),
        ("rope_layout", "pairs", "neither 'interleaved' nor 'halves'"),
        ("qk_norm", 1, "True or False"),
        ("tie_weights", None, "True or False"),
        ("zero_init_head", "no", "True or False"),
        ("zero_init_head", True, "needs tie_weights=False"),
        ("rope_base", 0, "must be a number between 0 and"),
        ("rope_base", math.inf, "must be a number between 0 and"),
        ("rope_base", "10000", "must be a number between 0 and"),
        ("norm_eps", math.nan, "must be a number between 0 and"),
        ("rope_base", 10**400, "must be a number between 0 and"),
        ("norm_eps", 1.0, "must be a number between 0 and 1"),
        ("norm_eps", True, "must be a number between 0 and"),
    ],
)
def test_a_value_that_no_llama_can_have_is_named(field, value, message):
    with pytest.raises(ValueError, match=message) as raised:
        LlamaConfig(**CONFIG | {field: value})
    assert field in str(raised.value)


def test_a_configuration_does_not_change():
    with pytest.raises(AttributeError):
        LlamaConfig(**CONFIG).n_layer = 3


# ---- the model ----

SHAPES = [
    {},
    {"qk_norm": True},
    {"activation": "relu2"},
    {"tie_weights": False},
    {"n_kv_head": 6, "head_dim": 2, "n_embd": 12, "n_layer": 1},
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_the_parameters_are_as_many_as_the_sizes_say(options):
    made = Llama(LlamaConfig(**GROUPED | options), rng=rng())
    assert made.num_params() == n_params(made.config)


def test_the_names_of_the_parameters():
    names = list(model(tie_weights=False, qk_norm=True, n_layer=1).params())
    attn = [f"blocks.0.attn.{n}" for n in ("q.W", "k.W", "v.W", "proj.W")]
    attn += [f"blocks.0.attn.{n}.gamma" for n in ("q_norm", "k_norm")]
    ffn = [f"blocks.0.ffn.{n}.W" for n in ("gate", "up", "down")]
    norms = ["blocks.0.norm1.gamma", "blocks.0.norm2.gamma"]
    assert names == ["wte.W", norms[0], *attn, norms[1], *ffn, "ln_f.gamma", "head.W"]
    assert not any(name.endswith(".b") for name in names)  # and no biases


@pytest.mark.parametrize("tied", [True, False])
def test_the_first_loss_is_nearly_that_of_a_blind_guess(tied):
    config = LlamaConfig(65, 64, 4, 4, 128, tie_weights=tied)
    made = Llama(config, rng=rng())
    ids, targets = rng().integers(0, 65, (2, 4, 64))
    # A tied head favors the token that was read, and no position vector hides which one it was.
    assert made(ids, targets)[1] == pytest.approx(math.log(65), abs=0.12 if tied else 0.05)
    stds = {name: p.std() for name, p in made.params().items() if p.ndim == 2}
    for name, std in stds.items():
        branch = name.endswith(("attn.proj.W", "ffn.down.W"))
        assert std == pytest.approx(0.02 / math.sqrt(8) if branch else 0.02, rel=0.05), name


def test_a_head_of_zeros_starts_at_exactly_a_blind_guess_and_learns():
    made = Llama(LlamaConfig(**GROUPED, tie_weights=False, zero_init_head=True), rng=rng())
    ids, targets = rng().integers(0, V, (2, 2, T))
    logits, loss = made(ids, targets)
    assert not logits.any() and loss == pytest.approx(math.log(V), rel=1e-6)
    made.backward()
    assert made.head.dW.any() and not made.blocks[0].attn.q.dW.any()  # the head learns first


def test_weights_and_logits_have_the_type_asked_for():
    for dtype in (np.float32, np.float64):
        made = Llama(LlamaConfig(**GROUPED, qk_norm=True), rng=rng(), dtype=dtype)
        assert {p.dtype for p in made.params().values()} == {np.dtype(dtype)}
        logits = made(np.array([[1, 2]]))
        assert logits.dtype == dtype and logits.shape == (1, 2, V)


def test_only_the_generator_decides_the_first_weights():
    a, b, c = (
        Llama(LlamaConfig(**GROUPED), rng=np.random.default_rng(s)).params() for s in (1, 1, 2)
    )
    for name, p in a.items():
        np.testing.assert_array_equal(p, b[name])
    assert any((p != c[name]).any() for name, p in a.items())
