"""Module: finding, sharing, clearing and loading parameters."""

import numpy as np
import pytest

from numpygpt import gradcheck
from numpygpt.nn import Linear, Module, ReLU, Sequential


def linear(n_in=3, n_out=4):
    return Linear(n_in, n_out, rng=np.random.default_rng(0), dtype=np.float64)


class Twice(Module):
    """The same layer at two places."""

    def __init__(self):
        self.first = linear(4, 4)
        self.second = self.first

    def forward(self, x):
        self.x = x
        self.y = self.first(x)
        return self.second(self.y)

    def backward(self, dy):
        # One cache, two calls: each finds what it saw, however often backward is called.
        self.second.x = self.y
        dy = self.second.backward(dy)
        self.first.x = self.x
        return self.first.backward(dy)


def test_a_shared_layer_counts_once_and_gets_the_gradient_of_both_uses():
    rng = np.random.default_rng(1)
    layer = Twice()
    assert sorted(layer.params()) == ["first.W", "first.b"]
    assert layer.num_params() == 4 * 4 + 4
    gradcheck(layer, rng.normal(size=(3, 4)), rng=rng)


def test_one_array_with_two_gradients_is_refused():
    a, b = linear(), linear()
    b.W = a.W
    with pytest.raises(ValueError, match="layers.1.W shares its array"):
        Sequential(a, b).params()


def test_one_array_with_one_gradient_is_found_once():
    a, b = linear(), linear()
    b.W, b.dW = a.W, a.dW
    assert sorted(Sequential(a, b).params()) == ["layers.0.W", "layers.0.b", "layers.1.b"]


def test_caches_are_not_parameters():
    layer = Sequential(linear(), ReLU())
    layer.backward(layer(np.ones((2, 3))))
    assert sorted(layer.params()) == ["layers.0.W", "layers.0.b"]


def test_layers_in_a_list_or_a_tuple_are_found():
    layer = Module()
    layer.pair, layer.rest = (linear(), ReLU()), [linear()]
    assert sorted(layer.params()) == ["pair.0.W", "pair.0.b", "rest.0.W", "rest.0.b"]


def test_params_are_the_arrays_themselves():
    layer = linear()
    layer.params()["W"][0, 0] = 7
    assert layer.W[0, 0] == 7


def test_zero_grad_clears_what_backward_added():
    layer = linear()
    layer.backward(layer(np.ones((2, 3))))
    assert layer.dW.any() and layer.db.any()
    layer.zero_grad()
    assert not layer.dW.any() and not layer.db.any()


def test_load_params_copies_all_or_changes_nothing():
    layer = linear()
    before = {name: p.copy() for name, p in layer.params().items()}
    good = {"W": np.full((3, 4), 2.0), "b": np.full(4, 3.0)}
    for bad, message in (
        ({"W": good["W"]}, r"missing \['b'\]"),
        ({**good, "c": good["b"]}, r"left over \['c'\]"),
        ({"W": good["W"], "b": np.zeros(5)}, r"b has shape \(5,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.load_params(bad)
        assert all((layer.params()[n] == before[n]).all() for n in before)
    layer.load_params(good)
    assert (layer.W == 2).all() and (layer.b == 3).all()


def test_a_module_without_a_pass_says_which():
    class Half(Module):
        def forward(self, x):
            return x

    with pytest.raises(NotImplementedError, match="Half has no backward pass"):
        Half().backward(1.0)
    with pytest.raises(NotImplementedError, match="Module has no forward pass"):
        Module()(1.0)
