"""Forward passes against numbers worked out by hand, first weights, and inputs that do not fit."""

import math

import numpy as np
import pytest

from numpygpt import nn
from numpygpt.nn.functional import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    softmax,
)


def rng():
    return np.random.default_rng(0)


def test_a_layernorm_without_a_bias_has_neither_it_nor_its_gradient():
    layer = nn.LayerNorm(3, bias=False)
    assert layer.beta is None and layer.dbeta is None
    assert list(layer.params()) == list(layer.grads()) == ["gamma"]


def test_relu_is_flat_at_zero():
    relu = nn.ReLU()
    np.testing.assert_array_equal(relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])
    np.testing.assert_array_equal(relu.backward(np.ones(3)), [0, 0, 1])


def test_gelu_is_the_tanh_form_of_gpt_2():
    for x in (-3.0, -0.5, 1.0, 2.5):
        expected = x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        assert nn.GELU()(np.array(x)) == pytest.approx(expected, rel=1e-12)
        normal = (1 + math.erf(x / math.sqrt(2))) / 2  # what the tanh form stands for
        assert expected == pytest.approx(x * normal, abs=1e-3)


def test_gelu_of_integers_is_that_of_the_same_floats():
    layer = nn.GELU()
    np.testing.assert_array_equal(layer(np.array([-1, 0, 2])), layer(np.array([-1.0, 0.0, 2.0])))
    layer(np.array([-1, 0, 2]))
    assert layer.backward(np.ones(3)).dtype == np.float64


def test_large_scores_neither_overflow_nor_lose_the_small_ones():
    x = np.array([[1000.0, 0.0], [0.0, -1000.0]])
    np.testing.assert_array_equal(softmax(x), [[1, 0], [1, 0]])
    np.testing.assert_array_equal(log_softmax(x), [[0, -1000], [0, -1000]])
    assert cross_entropy(x, np.array([1, 1])) == 1000


def test_cross_entropy_is_the_mean_over_all_targets():
    p = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    loss = -(math.log(0.25) + math.log(0.8)) / 2
    assert cross_entropy(np.log(p) + 7, np.array([2, 1])) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_backward])
def test_targets_that_do_not_fit_the_logits_are_refused(function):
    logits = np.zeros((2, 3, 5))
    for shape in [(3, 2), (6,), (2, 1)]:
        with pytest.raises(ValueError, match=r"need \(2, 3\)"):
            function(logits, np.zeros(shape, int))
    for bad in (-1, 5):
        with pytest.raises(ValueError, match="ids from 0 to 4"):
            function(logits, np.full((2, 3), bad))
    with pytest.raises(ValueError, match="and not empty"):
        function(np.zeros((0, 5)), np.zeros(0, int))


def test_layernorm_by_hand_and_eps_beside_the_variance():
    a = math.sqrt(1e-5)
    # The second row's variance is eps: x̂ is 1/√2. The third has none: 0, where 0/0 would be NaN.
    x = np.array([[1.0, 5.0], [-a, a], [4.0, 4.0]])
    layer = nn.LayerNorm(2, dtype=np.float64)
    y = [[-1, 1], [-math.sqrt(0.5), math.sqrt(0.5)], [0, 0]]
    np.testing.assert_allclose(layer(x), y, rtol=2e-6)  # 2e-6: eps beside a variance of 4


def test_rmsnorm_by_hand_and_eps_beside_the_mean_square():
    a = math.sqrt(1e-5)
    # The second row's mean square is eps: x̂ is 1/√2. The third is 0, where 0/0 would be NaN.
    x = np.array([[3.0, 4.0], [-a, a], [0.0, 0.0]])
    layer = nn.RMSNorm(2, dtype=np.float64)
    layer.gamma[...] = [1, 10]
    y = [[3 / 12.5**0.5, 40 / 12.5**0.5], [-math.sqrt(0.5), 10 * math.sqrt(0.5)], [0, 0]]
    np.testing.assert_allclose(layer(x), y, rtol=1e-6)  # 1e-6: eps beside a mean square of 12.5


@pytest.mark.parametrize(
    ("layout", "order"), [("halves", [0, 1, 2, 3]), ("interleaved", [0, 2, 1, 3])]
)
def test_rotary_by_hand(layout, order):
    # With base 4 and four entries, the pairs turn by 1 and 1/2 a position: at 2 by 2 and by 1.
    x = np.zeros((3, 4))
    x[2] = np.array([1.0, 0.0, 0.0, 10.0])[order]  # the pairs are (1, 0) and (0, 10)
    y = np.zeros((3, 4))
    y[2] = np.array([math.cos(2), -10 * math.sin(1), math.sin(2), 10 * math.cos(1)])[order]
    layer = nn.Rotary(4, base=4, layout=layout)
    np.testing.assert_allclose(layer(x), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer(x[2:], 2), y[2:], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["halves", "interleaved"])
def test_scores_of_turned_vectors_depend_on_their_distance_alone(layout):
    layer, (q, k) = nn.Rotary(6, layout=layout), rng().normal(size=(2, 2, 5, 6))
    scores = [layer(q, start) @ layer(k, start).swapaxes(-1, -2) for start in (0, 7, 1000)]
    np.testing.assert_allclose(scores[1:], [scores[0]] * 2, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(layer(q), axis=-1), np.linalg.norm(q, axis=-1))


def test_rotary_read_in_parts_is_what_it_is_read_whole():
    layer, x = nn.Rotary(6), rng().normal(size=(2, 3, 9, 6)).astype(np.float32)
    parts = [layer(x[..., a:b, :], a) for a, b in ((0, 4), (4, 5), (5, 9))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=-2), layer(x))


def test_rotary_in_float32_is_exact_far_out():
    # An angle of 100,000 radians in float32 would be off by some thousandths.
    layer, x = nn.Rotary(6), rng().normal(size=(3, 6))
    np.testing.assert_allclose(
        layer(x.astype(np.float32), 100_000), layer(x, 100_000), rtol=0, atol=1e-6
    )


def test_attention_by_hand_with_and_without_the_mask():
    # Keys and queries of zeros: every token that may be seen has the same weight.
    x = np.array([[[1.0, 10.0], [3.0, 30.0], [8.0, 20.0]]])
    for causal, y in (
        (True, [[1, 10], [2, 20], [4, 20]]),
        (False, [[4, 20], [4, 20], [4, 20]]),
    ):
        layer = nn.MultiHeadAttention(2, 1, causal=causal, rng=rng(), dtype=np.float64)
        layer.qkv.W[...] = np.hstack([np.zeros((2, 4)), np.eye(2)])
        layer.proj.W[...] = np.eye(2)
        np.testing.assert_allclose(layer(x), [y], rtol=1e-12)


def test_scores_are_divided_by_the_root_of_the_head_size():
    # Two heads of size 4: q·k = 4 ln 3 at the same token, 0 at the other. Over √4: 2 ln 3, so 9:1.
    layer = nn.MultiHeadAttention(8, 2, causal=False, rng=rng(), dtype=np.float64)
    layer.qkv.W[...] = np.hstack([np.eye(8)] * 3)
    layer.proj.W[...] = np.eye(8)
    s = math.sqrt(4 * math.log(3))
    x = np.zeros((1, 2, 8))
    x[0, 0, [0, 4]] = x[0, 1, [1, 5]] = s
    y = np.zeros((1, 2, 8))
    y[0, 0, [0, 4]] = y[0, 1, [1, 5]] = 0.9 * s
    y[0, 0, [1, 5]] = y[0, 1, [0, 4]] = 0.1 * s
    np.testing.assert_allclose(layer(x), y, rtol=1e-12)


@pytest.mark.parametrize(("activation", "at_minus_one"), [("relu", 0.0), ("gelu", -0.158808)])
def test_feed_forward_uses_the_activation_that_was_asked_for(activation, at_minus_one):
    layer = nn.FeedForward(1, 1, activation, rng=rng(), dtype=np.float64)
    layer.load_params(
        {"fc1.W": np.eye(1), "fc1.b": np.zeros(1), "fc2.W": np.eye(1), "fc2.b": np.array([2.0])}
    )
    np.testing.assert_allclose(layer(np.array([[-1.0]])), [[2 + at_minus_one]], atol=1e-6)


def test_sizes_and_names_that_no_layer_can_have_are_refused():
    with pytest.raises(ValueError, match="dim=10 is not divisible by n_heads=3"):
        nn.MultiHeadAttention(10, 3, rng=rng())
    with pytest.raises(ValueError, match="activation='swish'"):
        nn.FeedForward(4, 8, "swish", rng=rng())
    for head_dim in (5, 0):
        with pytest.raises(ValueError, match=f"head_dim={head_dim} must be even"):
            nn.Rotary(head_dim)
    with pytest.raises(ValueError, match="layout='pairs' is neither"):
        nn.Rotary(4, layout="pairs")
    with pytest.raises(ValueError, match="x has 4 entries a head, this Rotary turns 2"):
        nn.Rotary(2)(np.zeros((3, 4)))


def test_first_weights_have_the_documented_size():
    linear, embedding = nn.Linear(64, 50, rng=rng()), nn.Embedding(100, 50, rng=rng())
    # Uniform between -1/√n_in and 1/√n_in: of 3,200 draws some come close to either end.
    assert -0.125 <= linear.W.min() < -0.124 and 0.124 < linear.W.max() <= 0.125
    assert not linear.b.any()
    # Over 4 standard errors of 5,000 draws.
    assert abs(embedding.W.mean()) < 0.06 and abs(embedding.W.std() - 1) < 0.05


def test_no_ids_give_no_rows():
    layer = nn.Embedding(5, 3, rng=rng())
    assert layer(np.zeros((2, 0), int)).shape == (2, 0, 3)


ALIKE = {  # two of a kind that differ in what they were made with
    "LayerNorm": [lambda: nn.LayerNorm(6, eps=1e-5), lambda: nn.LayerNorm(6, eps=0.5, bias=False)],
    "RMSNorm": [lambda: nn.RMSNorm(6, eps=1e-5), lambda: nn.RMSNorm(6, eps=0.5)],
    "Softmax": [lambda: nn.Softmax(axis=0), lambda: nn.Softmax()],
    "Linear": [lambda: nn.Linear(6, 5, rng=rng()), lambda: nn.Linear(6, 7, bias=False, rng=rng())],
    "Rotary": [lambda: nn.Rotary(6), lambda: nn.Rotary(6, base=100.0, layout="halves")],
    "MultiHeadAttention": [
        lambda: nn.MultiHeadAttention(6, 2, rng=rng()),
        lambda: nn.MultiHeadAttention(6, 3, causal=False, bias=False, rng=rng()),
    ],
    "GroupedQueryAttention": [
        lambda: nn.GroupedQueryAttention(6, 6, 2, 4, qk_norm=True, rng=rng()),
        lambda: nn.GroupedQueryAttention(6, 4, 1, 2, rng=rng()),
    ],
    "FeedForward": [
        lambda: nn.FeedForward(6, 4, "gelu", rng=rng()),
        lambda: nn.FeedForward(6, 9, "relu", bias=False, rng=rng()),
    ],
    "LoRALinear": [
        lambda: nn.LoRALinear(nn.Linear(6, 5, rng=rng()), 2, 4.0, rng=rng()),
        lambda: nn.LoRALinear(nn.Linear(6, 3, rng=rng()), 1, 1.0, rng=rng()),
    ],
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_second_object_of_a_class_changes_nothing_of_the_first(name):
    make, make_other = ALIKE[name]
    x = rng().normal(size=(2, 5, 6)).astype(np.float32)

    def both_passes(layer):
        return layer(x), layer.backward(np.ones_like(layer(x)))

    first = make()
    assert type(first).__name__ == name
    alone = both_passes(first)
    other = both_passes(make_other())
    assert other[0].shape != alone[0].shape or not np.allclose(other[0], alone[0])
    for again, before in zip(both_passes(first), alone, strict=True):
        np.testing.assert_array_equal(again, before)
