"""Every gradient against central differences, and gradcheck against wrong gradients."""

import numpy as np
import pytest
from wrong_backwards import cases

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig, gradcheck, nn
from numpygpt.cli.test import layers
from numpygpt.gradcheck import GradientError, GradReport, numeric_gradient

RTOL, ATOL = 1e-6, 1e-8
LAYERS = [name for name, *_ in layers(np.random.default_rng(0))]
WRONG = [type(wrong).__name__ for wrong, *_ in cases(np.random.default_rng(0))]


def weights_of_size_half(layer, rng):
    # With the usual 0.02 a wrong gradient can hide below the tolerance.
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return layer


def independent_check(layer, inputs, rng):
    """Central differences without gradcheck: what it says must not rest on itself alone."""
    x = inputs[0]

    def output():
        y = layer(*inputs)
        return y[1] if isinstance(y, tuple) else y

    dy = rng.normal(size=np.shape(output()))
    layer.zero_grad()
    output()
    dx = layer.backward(dy.copy() if dy.ndim else float(dy))
    arrays = dict(layer.params())
    gradients = {name: g.copy() for name, g in layer.grads().items()}
    if np.issubdtype(x.dtype, np.floating):
        arrays["x"], gradients["x"] = x, dx
    for name, a in arrays.items():
        numeric = np.zeros(a.size)
        flat = a.reshape(-1)
        assert np.shares_memory(flat, a)
        for i in range(a.size):
            kept, values = flat[i], []
            for shift in (1e-5, -1e-5):
                flat[i] = kept + shift
                values.append(np.vdot(dy, output()))
            flat[i] = kept
            numeric[i] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(
            gradients[name].reshape(-1), numeric, rtol=RTOL, atol=ATOL, err_msg=name
        )
    return len(arrays)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_gradient_of_every_layer_agrees_with_central_differences(name, seed):
    rng = np.random.default_rng(seed)
    layer, *inputs = next(rest for n, *rest in layers(rng) if n == name)
    weights_of_size_half(layer, rng)
    assert independent_check(layer, inputs, rng) > 0
    if seed == 1:  # gradcheck agrees: what it would say of another draw, the line above has said
        gradcheck(layer, *inputs, rng=rng, rtol=RTOL, atol=ATOL)


def test_the_list_of_layers_leaves_none_out():
    found = {name: layer for name, layer, *_ in layers(np.random.default_rng(0))}
    names = set(nn.__all__) - {"Module"} | {"GPT", "Llama", "MaskedLoss", "Adapter"}
    assert {type(layer).__name__ for layer in found.values()} == names
    # And the names say what the layers are.
    assert found["Linear without bias"].b is None and found["Linear"].b is not None
    assert found["Softmax over axis 1"].axis == 1
    grouped = "GroupedQueryAttention, "
    assert found[grouped + "with biases"].q.b is not None and found[grouped + "plain"].q.b is None
    assert found["SwiGLU with biases"].up.b is not None and found["SwiGLU"].up.b is None
    attention = "MultiHeadAttention, "
    assert found[attention + "causal"].causal and not found[attention + "unmasked"].causal
    for name, layer in found.items():
        kinds = {type(m) for _, m in layer.modules()} & {nn.ReLU, nn.GELU}
        if ", relu" in name or ", gelu" in name:
            assert kinds == {nn.ReLU if ", relu" in name else nn.GELU}, name
        if "head " in name:
            assert (layer.head is None) == ("head tied" in name), name


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_every_gradient_of_a_whole_gpt(activation, tied, bias):
    rng = np.random.default_rng(3)
    V, T, H, C = 11, 5, 3, 6
    config = GPTConfig(V, 7, 2, H, C, activation, tie_weights=tied, bias=bias)
    model = weights_of_size_half(GPT(config, rng=rng, dtype=np.float64), rng)
    ids, targets = rng.integers(0, V, (2, 2, T))
    report = gradcheck(model, ids, targets, rng=rng, rtol=RTOL, atol=ATOL)
    assert len(report.rows) == len(model.params())
    # The same with an upstream gradient for each logit, which a loss of targets never sends.
    gradcheck(model, ids, rng=rng, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["swiglu", "relu2"])
def test_every_gradient_of_a_whole_llama(activation, tied, qk_norm):
    rng = np.random.default_rng(3)
    V, T, C = 11, 5, 7
    # Two heads of queries for each of keys; 6 x 4 channels of queries, not C.
    shape = {"n_kv_head": 3, "head_dim": 4, "hidden": 13}
    options = {"activation": activation, "tie_weights": tied, "qk_norm": qk_norm}
    n_layer = 2 if (activation, tied, qk_norm) == ("swiglu", True, True) else 1
    config = LlamaConfig(V, 7, n_layer, 6, C, **shape, **options)
    model = weights_of_size_half(Llama(config, rng=rng, dtype=np.float64), rng)
    # It is the model that was asked for.
    assert ("head.W" in model.params()) == (not tied)
    assert ("blocks.0.attn.q_norm.gamma" in model.params()) == qk_norm
    assert ("blocks.0.ffn.gate.W" in model.params()) == (activation == "swiglu")
    ids, targets = rng.integers(0, V, (2, 2, T))
    report = gradcheck(model, ids, targets, rng=rng, rtol=RTOL, atol=ATOL)
    assert len(report.rows) == len(model.params())
    gradcheck(model, ids, rng=rng, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", LAYERS)
def test_backward_passes_over_two_batches_add_up(name):
    rng = np.random.default_rng(4)
    layer, *first = next(rest for n, *rest in layers(rng) if n == name)
    second = [a[::-1] for a in first]

    def run(inputs, upstream):
        y = layer(*inputs)
        scalar = isinstance(y, tuple) or np.ndim(y) == 0
        layer.backward(upstream if scalar else np.full_like(y, upstream) * np.arange(y.shape[-1]))

    alone = []
    for inputs, upstream in ((first, 0.7), (second, -1.3)):
        layer.zero_grad()
        run(inputs, upstream)
        alone.append({n: g.copy() for n, g in layer.grads().items()})
    layer.zero_grad()
    held = layer.grads()  # as an optimizer may hold them, from its first step to its last
    run(first, 0.7)
    run(second, -1.3)
    for n, g in layer.grads().items():
        assert g is held[n], f"{n}: a new array, not the one that was there"
        np.testing.assert_allclose(g, alone[0][n] + alone[1][n], rtol=1e-12, atol=1e-14)
        assert alone[0][n].any() or alone[1][n].any(), f"{n}: nothing was added"


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_arguments_stay_as_they_are(name):
    rng = np.random.default_rng(5)
    layer, *inputs = next(rest for n, *rest in layers(rng, np.float32) if n == name)
    inputs = [a.astype(np.float32) if a.dtype == np.float64 else a for a in inputs]
    given = [a.copy() for a in inputs]
    y = layer(*inputs)
    logits = y[0] if isinstance(y, tuple) else y
    dy = (
        1.0
        if isinstance(y, tuple) or np.ndim(y) == 0
        else rng.normal(size=y.shape).astype(np.float32)
    )
    upstream = np.array(dy)
    dx = layer.backward(dy)
    for a, b in zip([*given, upstream], [*inputs, dy], strict=True):
        np.testing.assert_array_equal(a, b)
    arrays = [a for a in (logits, dx) if isinstance(a, np.ndarray)]
    arrays += [*layer.params().values(), *layer.grads().values()]
    assert {a.dtype for a in arrays} <= {np.dtype(np.float32)}


def test_layers_take_non_contiguous_inputs_and_upstream_gradients():
    rng = np.random.default_rng(6)
    layer = weights_of_size_half(nn.TransformerBlock(6, 3, 13, rng=rng, dtype=np.float64), rng)
    x, dy = (
        rng.normal(size=(2, 6, 5, 2)).transpose(0, 3, 2, 1)[:, 0],
        rng.normal(size=(5, 2, 6)).swapaxes(0, 1),
    )
    y, dx = layer(x), layer.backward(dy)
    np.testing.assert_allclose(layer(np.ascontiguousarray(x)), y, rtol=1e-13)
    np.testing.assert_allclose(layer.backward(np.ascontiguousarray(dy)), dx, rtol=1e-12)


@pytest.mark.parametrize("name", WRONG)
def test_gradcheck_rejects_a_wrong_backward_pass(name):
    rng = np.random.default_rng(7)
    wrong, right, inputs = next(c for c in cases(rng) if type(c[0]).__name__ == name)
    weights_of_size_half(wrong, rng)
    right.load_params(wrong.params())
    gradcheck(right, *inputs, rng=rng, rtol=RTOL, atol=ATOL)
    with pytest.raises(GradientError):
        gradcheck(wrong, *inputs, rng=rng, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_backward_passes_would_pass_a_test_of_shapes(name):
    rng = np.random.default_rng(8)
    wrong, right, inputs = next(c for c in cases(rng) if type(c[0]).__name__ == name)
    for layer in (wrong, right):
        y = layer(*inputs)
        scalar = isinstance(y, tuple) or np.ndim(y) == 0
        layer.dx = layer.backward(1.0 if scalar else rng.normal(size=y.shape))
    assert np.shape(wrong.dx) == np.shape(right.dx)
    assert {n: g.shape for n, g in wrong.grads().items()} == {
        n: g.shape for n, g in right.grads().items()
    }


def test_gradcheck_names_the_array_the_index_both_values_and_the_ratio():
    rng = np.random.default_rng(9)
    wrong, _, inputs = next(c for c in cases(rng) if type(c[0]).__name__ == "CrossEntropySum")
    with pytest.raises(
        GradientError, match=r"^dx\[\d, \d, \d+\]: backward gives \S+, central differences give \S+"
    ) as error:
        gradcheck(wrong, *inputs, rng=rng)
    assert "every entry is 10 times what it should be" in str(error.value)  # N = B T = 10

    wrong, _, inputs = next(c for c in cases(rng) if type(c[0]).__name__ == "LinearOverwrittenDb")
    with pytest.raises(GradientError, match="db: after two backward passes"):
        gradcheck(wrong, *inputs, rng=rng)


def test_gradcheck_says_when_a_gradient_is_transposed():
    rng = np.random.default_rng(10)

    class Transposed(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.dW[...] = self.dW.T
            return dx

    with pytest.raises(GradientError, match="dW.*it is the transpose of what it should be"):
        gradcheck(Transposed(4, 4, rng=rng, dtype=np.float64), rng.normal(size=(3, 4)), rng=rng)


def test_gradcheck_finds_one_wrong_entry_among_many():
    rng = np.random.default_rng(11)

    class OneWrong(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.dW[3, 2] *= 1 + 1e-5
            return dx

    layer, x = OneWrong(5, 6, rng=rng, dtype=np.float64), rng.normal(size=(4, 5))
    with pytest.raises(GradientError, match=r"dW\[3, 2\].*1 of 30 entries"):
        gradcheck(layer, x, rng=rng)
    gradcheck(layer, x, rng=rng, rtol=1e-4)


def test_gradcheck_says_nothing_of_a_factor_where_each_entry_has_its_own():
    rng = np.random.default_rng(25)

    class Uneven(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.dW *= np.linspace(0.5, 1.5, self.dW.size).reshape(self.dW.shape)
            return dx

    with pytest.raises(GradientError, match="dW.* entries differ[)]$"):
        gradcheck(Uneven(4, 3, rng=rng, dtype=np.float64), rng.normal(size=(5, 4)), rng=rng)


class Cube:
    """x³, and its gradient as often as `times` says."""

    def __init__(self, times=1):
        self.times = times

    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return dy * self.times * 3 * self.x**2


def test_a_factor_is_named_though_the_differences_are_coarse():
    x = np.linspace(0.9, 1.1, 6)
    with pytest.raises(GradientError, match="every entry is 1.9999 times"):
        gradcheck(Cube(times=2), x, rng=np.random.default_rng(26), eps=0.01)


def test_gradcheck_sees_a_small_gradient_that_comes_with_the_second_pass():
    class Drifts(nn.Linear):
        passes = 0

        def backward(self, dy):
            self.passes += 1
            self.dW += 1e-6 * (self.passes > 1)
            return super().backward(dy)

    rng = np.random.default_rng(27)
    with pytest.raises(GradientError, match="dW: after two backward passes"):
        gradcheck(Drifts(3, 2, rng=rng, dtype=np.float64), np.zeros((4, 3)), rng=rng)


def test_gradcheck_takes_any_object_with_the_two_passes_and_any_eps():
    x = np.random.default_rng(23).normal(size=(2, 3))
    gradcheck(Cube(), x, rng=np.random.default_rng(24))
    with pytest.raises(GradientError):  # too wide: the central difference is off by eps²
        gradcheck(Cube(), x, rng=np.random.default_rng(24), eps=0.1)


def test_gradcheck_measures_a_small_entry_by_itself():
    class Scales(nn.Module):
        c = np.array([10.0, 1e-3])

        def forward(self, x):
            return x * self.c

        def backward(self, dy):
            return dy * self.c * [1, 1.001]  # 1e-6, which is little beside the other's 10

    with pytest.raises(GradientError, match=r"dx\[0, 1\].*1 of 2 entries"):
        gradcheck(Scales(), np.ones((1, 2)), rng=np.random.default_rng(18))


def test_the_report_gives_entries_and_errors():
    class NearlyRight(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.dW *= 1 + 5e-7
            return dx

    rng = np.random.default_rng(19)
    layer = NearlyRight(5, 6, rng=rng, dtype=np.float64)
    report = gradcheck(layer, rng.normal(size=(4, 5)), rng=rng)
    assert 4e-7 < report.max_error == report.rows["dW"][2] < 6e-7
    assert [line.split() for line in str(report).splitlines()] == [
        [name, entries, "entries", "right"]
        for name, entries in (("dx", "20"), ("dW", "30"), ("db", "6"))
    ]
    # No error, and nothing to divide it by: where x is 0, so is dW; where x is empty, so is dx.
    assert gradcheck(nn.Linear(2, 3, rng=rng, dtype=np.float64), np.zeros((4, 2)), rng=rng).rows[
        "dW"
    ] == (6, 0.0, 0.0)
    assert gradcheck(nn.ReLU(), np.zeros((0, 3)), rng=rng).rows["dx"] == (0, 0.0, 0.0)
    assert GradReport({}).max_error == 0


def test_the_report_names_gradients_by_their_place_in_the_model():
    rng = np.random.default_rng(20)
    layer = nn.Sequential(nn.ReLU(), nn.Linear(3, 2, rng=rng, dtype=np.float64))
    report = gradcheck(layer, rng.normal(size=(4, 3)), rng=rng)
    assert list(report.rows) == ["dx", "layers.1.dW", "layers.1.db"]


def test_gradcheck_starts_from_cleared_gradients():
    rng = np.random.default_rng(21)
    layer = nn.Linear(3, 2, rng=rng, dtype=np.float64)
    layer.dW[...] = 7
    gradcheck(layer, rng.normal(size=(4, 3)), rng=rng)


def test_gradcheck_rejects_a_gradient_where_there_is_none():
    class OneTooMuch(nn.Linear):
        def backward(self, dy):
            self.dW += 1
            return super().backward(dy)

    rng = np.random.default_rng(22)
    layer = OneTooMuch(3, 2, rng=rng, dtype=np.float64)
    with pytest.raises(GradientError, match="dW.*6 of 6 entries differ"):
        gradcheck(layer, np.zeros((4, 3)), rng=rng)


def test_gradcheck_rejects_nan_and_wrong_shapes_and_float32():
    rng = np.random.default_rng(12)
    x = rng.normal(size=(3, 4))

    class NaN(nn.ReLU):
        def backward(self, dy):
            return dy * np.nan

    class WrongShape(nn.ReLU):
        def backward(self, dy):
            return (dy * self.positive).sum(axis=0)

    class WrongShapeDb(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.db = self.db.reshape(1, -1)  # would broadcast in silence
            return dx

    with pytest.raises(GradientError, match=r"db has shape \(1, 2\), expected \(2,\)"):
        gradcheck(WrongShapeDb(4, 2, rng=rng, dtype=np.float64), x, rng=rng)
    with pytest.raises(GradientError, match="not finite"):
        gradcheck(NaN(), x, rng=rng)
    with pytest.raises(GradientError, match="dx has shape"):
        gradcheck(WrongShape(), x, rng=rng)
    with pytest.raises(TypeError, match="W is float32"):
        gradcheck(nn.Linear(4, 2, rng=rng), x, rng=rng)
    with pytest.raises(TypeError, match="x is float32"):
        gradcheck(nn.ReLU(), x.astype(np.float32), rng=rng)


def test_the_key_bias_has_a_gradient_that_is_truly_zero():
    rng = np.random.default_rng(13)
    C, H = 6, 3
    attn = weights_of_size_half(nn.MultiHeadAttention(C, H, rng=rng, dtype=np.float64), rng)
    x = rng.normal(size=(2, 5, C))
    gradcheck(attn, x, rng=rng, rtol=RTOL, atol=ATOL)
    # A key bias adds the same number to all scores of a query, and softmax does not see it.
    attn.zero_grad()
    attn(x)
    attn.backward(rng.normal(size=x.shape))
    dq_bias, dk_bias, dv_bias = attn.qkv.db.reshape(3, C)
    assert np.abs(dk_bias).max() < 1e-13 < 1e-3 < min(np.abs(dq_bias).max(), np.abs(dv_bias).max())


def test_numeric_gradient_puts_the_array_back():
    a = np.random.default_rng(14).normal(size=(3, 2))
    before = a.copy()
    np.testing.assert_allclose(
        numeric_gradient(lambda: float((a**3).sum()), a), 3 * a**2, rtol=1e-8
    )
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_numeric_gradient_refuses_what_is_too_coarse(dtype):
    a = np.array([1, 2, 3], dtype)
    with pytest.raises(TypeError, match=f"needs float64, but a is {a.dtype}"):
        numeric_gradient(lambda: (a * a).sum(), a)


def test_gradcheck_takes_a_parameter_that_is_one_number():
    class Gain(nn.Module):
        def __init__(self, wrong):
            self.g, self.dg, self.wrong = np.array(0.7), np.array(0.0), wrong

        def forward(self, x):
            self.x = x
            return x * self.g

        def backward(self, dy):
            self.dg += (dy * self.x).sum() * self.wrong
            return dy * self.g

    rng = np.random.default_rng(15)
    x = rng.normal(size=(3, 4))
    gradcheck(Gain(1.0), x, rng=rng)
    with pytest.raises(GradientError, match="every entry is 2 times"):
        gradcheck(Gain(2.0), x, rng=rng)
    with pytest.raises(GradientError, match="zero everywhere"):
        gradcheck(Gain(0.0), x, rng=rng)


def test_gradcheck_tells_the_input_from_a_parameter_of_the_same_name():
    class Gain(nn.Module):
        def __init__(self, wrong, change=False):
            self.x, self.dx = np.array([0.7, -1.2]), np.zeros(2)
            self.wrong, self.change = wrong, change

        def forward(self, inputs):
            self.inputs = inputs
            return inputs * self.x

        def backward(self, dy):
            self.dx += (dy * self.inputs).sum(axis=0)
            dinputs = self.wrong * dy * self.x
            if self.change:
                self.inputs[0] += 1
            return dinputs

    rng = np.random.default_rng(16)
    inputs = rng.normal(size=(3, 2))
    gradcheck(Gain(1.0), inputs, rng=rng)
    with pytest.raises(GradientError, match="every entry is 2 times"):
        gradcheck(Gain(2.0), inputs, rng=rng)
    with pytest.raises(GradientError, match="backward changed x"):
        gradcheck(Gain(1.0, change=True), inputs, rng=rng)


@pytest.mark.parametrize("name", ["dy", "x", "W"])
def test_gradcheck_rejects_a_backward_pass_that_changes_what_it_may_only_read(name):
    class Changes(nn.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            {"dy": dy, "x": self.x, "W": self.W}[name][...] *= 2
            return dx

    rng = np.random.default_rng(16)
    layer = Changes(4, 3, rng=rng, dtype=np.float64)
    with pytest.raises(GradientError, match=f"backward changed {name}, which it may only read"):
        gradcheck(layer, rng.normal(size=(2, 4)), rng=rng)


@pytest.mark.parametrize("kept", ["x", "y"])
def test_gradcheck_rejects_a_backward_pass_that_can_run_once_only(kept):
    class Once(nn.Module):
        """y = tanh(x s); backward spoils its cache, or hands it out as dx."""

        def __init__(self, s):
            self.s, self.ds = s, np.zeros_like(s)

        def forward(self, x):
            self.x, self.y = x.copy(), np.tanh(x * self.s)
            return self.y.copy()

        def backward(self, dy):
            slope = dy * (1 - self.y**2)
            self.ds += (slope * self.x).sum(axis=0)
            spoilt = {"x": self.x, "y": self.y}[kept]
            spoilt[...] = slope * self.s
            return spoilt

    rng = np.random.default_rng(18)
    with pytest.raises(GradientError, match="a backward pass right after another"):
        gradcheck(Once(rng.normal(size=3)), rng.normal(size=(4, 3)), rng=rng)


def test_gradcheck_refuses_whole_numbers_where_dx_is_to_be_checked():
    rng = np.random.default_rng(19)
    layer = nn.Linear(3, 2, rng=rng, dtype=np.float64)
    with pytest.raises(TypeError, match="x is int64, so its dx cannot be checked"):
        gradcheck(layer, rng.integers(5, size=(4, 3)), rng=rng)
    embedding = nn.Embedding(5, 2, rng=rng, dtype=np.float64)
    gradcheck(embedding, rng.integers(5, size=4), rng=rng)  # ids have no slope


def test_cross_entropy_takes_logits_in_any_memory_layout():
    rng = np.random.default_rng(17)
    logits = rng.normal(size=(5, 2, 11)).transpose(1, 0, 2)  # a reshape of it is a copy
    targets = rng.integers(0, 11, (2, 5))
    loss = nn.CrossEntropyLoss()
    expected = loss(np.ascontiguousarray(logits), targets)
    expected_d = loss.backward()
    assert loss(logits, targets) == expected
    np.testing.assert_array_equal(loss.backward(), expected_d)
    # Rows of p - y add up to 0 if and only if the -1 has reached its place.
    np.testing.assert_allclose(expected_d.sum(axis=-1), 0, atol=1e-15)
