"""The whole model: configuration, first loss, tying, causality."""

import math

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig
from numpygpt.nn import GELU, ReLU

CONFIG = {"vocab_size": 13, "block_size": 7, "n_layer": 2, "n_head": 3, "n_embd": 6}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("block_size", -1),
        ("n_layer", 1.5),
        ("n_head", 4),
        ("n_layer", True),
        ("n_embd", 0),
        ("activation", "swish"),
        ("tie_weights", "yes"),
        ("bias", 1),
    ],
)
def test_a_bad_value_raises_an_error_that_names_the_field(field, value):
    with pytest.raises(ValueError, match=rf"{field}={value!r}"):
        GPTConfig(**{**CONFIG, field: value})


def test_by_default_a_gpt_has_relus_biases_and_a_tied_head():
    assert GPTConfig(**CONFIG) == GPTConfig(
        **CONFIG, activation="relu", tie_weights=True, bias=True
    )


def test_a_configuration_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        GPTConfig(**CONFIG).n_layer = 3


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("vocab_size", [65, 1000])
def test_the_first_loss_is_ln_v(tied, vocab_size):
    rng = np.random.default_rng(0)
    model = GPT(GPTConfig(vocab_size, 64, 4, 4, 128, tie_weights=tied), rng=rng)
    ids, targets = rng.integers(0, vocab_size, (2, 8, 64))
    _, loss = model(ids, targets)
    assert abs(loss - math.log(vocab_size)) < 0.05


def test_branches_start_smaller_the_more_of_them_there_are():
    model = GPT(GPTConfig(100, 50, 3, 4, 60), rng=np.random.default_rng(0))
    for name, p in model.params().items():
        if p.ndim == 2:
            # Six branches are added to the stream: 1/√6 each keeps its size.
            adds = name.endswith(("attn.proj.W", "ffn.fc2.W"))
            std = 0.02 / math.sqrt(6) if adds else 0.02
            assert p.std() == pytest.approx(std, rel=0.06), name  # 4 standard errors of wpe
        else:
            assert (p == ("gamma" in name)).all(), name


@pytest.mark.parametrize(("activation", "kind"), [("relu", ReLU), ("gelu", GELU)])
def test_every_block_has_the_activation_of_the_configuration(activation, kind):
    model = GPT(GPTConfig(**CONFIG, activation=activation), rng=np.random.default_rng(0))
    assert [type(block.ffn.act) for block in model.blocks] == [kind, kind]


def test_tying_saves_one_matrix():
    rng = np.random.default_rng(0)
    tied = GPT(GPTConfig(**CONFIG), rng=rng)
    untied = GPT(GPTConfig(**CONFIG, tie_weights=False), rng=rng)
    V, C = CONFIG["vocab_size"], CONFIG["n_embd"]
    assert untied.num_params() - tied.num_params() == V * C
    # By hand: embeddings, two blocks (qkv, proj, two layers of the FFN, two norms), the last norm.
    block = (C * 3 * C + 3 * C) + (C * C + C) + (C * 4 * C + 4 * C) + (4 * C * C + C) + 4 * C
    assert tied.num_params() == V * C + CONFIG["block_size"] * C + 2 * block + 2 * C


def test_without_bias_there_are_only_matrices_and_gains():
    model = GPT(GPTConfig(**CONFIG, bias=False), rng=np.random.default_rng(0))
    assert {name.rsplit(".", 1)[-1] for name in model.params()} == {"W", "gamma"}


def test_names_of_parameters_are_dotted_paths():
    names = GPT(GPTConfig(**CONFIG), rng=np.random.default_rng(0)).params()
    assert {"wte.W", "wpe.W", "blocks.0.attn.qkv.W", "blocks.1.ffn.fc2.b", "ln_f.gamma"} <= set(
        names
    )


def test_a_position_sees_nothing_that_comes_later():
    rng = np.random.default_rng(1)
    model = GPT(GPTConfig(**CONFIG), rng=rng, dtype=np.float64)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    ids = rng.integers(0, 13, (1, 7))
    changed = ids.copy()
    changed[0, 4] = (changed[0, 4] + 1) % 13
    before, after = model(ids), model(changed)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (np.abs(before - after)[:, 4:].max(axis=-1) > 1e-6).all()


def test_ids_and_lengths_out_of_range_are_refused():
    model = GPT(GPTConfig(**CONFIG), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="8 tokens are more than block_size=7"):
        model(np.zeros((1, 8), int))
    for bad in (-1, 13):
        with pytest.raises(ValueError, match="rows 0 to 12"):
            model(np.full((1, 3), bad))
        with pytest.raises(ValueError, match="targets must be ids from 0 to 12"):
            model(np.zeros((1, 3), int), np.full((1, 3), bad))


def test_the_same_seed_gives_the_same_weights():
    a, b, c = (GPT(GPTConfig(**CONFIG), rng=np.random.default_rng(s)).params() for s in (1, 1, 2))
    assert all((a[n] == b[n]).all() for n in a)
    assert not (a["wte.W"] == c["wte.W"]).all()
