"""Optimizers, clipping and schedules, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from numpygpt.nn import Module
from numpygpt.optim import SGD, Adam, clip_grad_norm
from numpygpt.optim.lr_scheduler import StepLR, WarmupCosineLR


class Two(Module):
    """A matrix and a vector, without a forward pass: the optimizers need none."""

    def __init__(self):
        self.W = np.array([[1.0, -2.0]])
        self.dW = np.array([[0.5, 0.25]])
        self.b = np.array([3.0])
        self.db = np.array([-2.0])


def test_sgd_takes_equal_steps_against_the_gradient():
    model = Two()
    optimizer = SGD(model, lr=0.1)
    optimizer.step()
    np.testing.assert_allclose(model.W, [[0.95, -2.025]])
    np.testing.assert_allclose(model.b, [3.2])
    optimizer.step()
    np.testing.assert_allclose(model.b, [3.4])


def test_momentum_adds_up_steps_in_the_same_direction():
    model = Two()
    optimizer = SGD(model, lr=0.1, momentum=0.9)
    optimizer.step()
    optimizer.step()  # v = 0.9 g + g
    np.testing.assert_allclose(model.b, [3 + 0.1 * 2 + 0.1 * 2 * 1.9])


def test_adams_first_step_is_lr_in_the_direction_of_the_sign():
    model = Two()
    Adam(model, lr=0.01, eps=0.0).step()
    np.testing.assert_allclose(model.W, [[0.99, -2.01]])
    np.testing.assert_allclose(model.b, [3.01])


def test_the_defaults_are_those_of_the_papers():
    adam = Adam(Two())
    assert (adam.lr, adam.betas, adam.eps, adam.weight_decay) == (1e-3, (0.9, 0.999), 1e-8, 0)
    assert StepLR(SGD(Two(), lr=1.0), step_size=1).gamma == 0.1


def test_adams_second_step_by_hand():
    model = Two()
    optimizer = Adam(model, lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    optimizer.step()
    model.db[...] = 1.0
    optimizer.step()
    m = 0.9 * (0.1 * -2.0) + 0.1 * 1.0
    v = 0.99 * (0.01 * 4.0) + 0.01 * 1.0
    second = 0.01 * (m / (1 - 0.9**2)) / (math.sqrt(v / (1 - 0.99**2)) + 1e-8)
    first = 0.01 * -2.0 / (2.0 + 1e-8)
    np.testing.assert_allclose(model.b, [3.0 - first - second], rtol=1e-13)


def test_weight_decay_is_decoupled_and_spares_vectors():
    model = Two()
    model.dW[...] = 0
    model.db[...] = 0
    Adam(model, lr=0.1, weight_decay=0.5).step()
    # Without a gradient only the decay acts, by lr times weight_decay, not through m and v.
    np.testing.assert_allclose(model.W, [[0.95, -1.9]])
    np.testing.assert_allclose(model.b, [3.0])
    # With one, the decay comes first: it does not shrink the step.
    model = Two()
    Adam(model, lr=0.1, weight_decay=0.5, eps=0.0).step()
    np.testing.assert_allclose(model.W, [[0.95 - 0.1, -1.9 - 0.1]])


@pytest.mark.parametrize("make", [lambda m: SGD(m, 0.1, 0.9), lambda m: Adam(m, 0.1)])
def test_a_restored_optimizer_goes_on_with_the_same_steps(make):
    straight, resumed = Two(), Two()
    a = make(straight)
    a.step()
    b = make(resumed)
    resumed.load_params(straight.params())
    b.load_state({name: array.copy() for name, array in a.state().items()})
    for optimizer, model in ((a, straight), (b, resumed)):
        model.dW[...] = [[-1.0, 0.3]]
        optimizer.step()
    np.testing.assert_array_equal(straight.W, resumed.W)
    np.testing.assert_array_equal(straight.b, resumed.b)


@pytest.mark.parametrize("make", [lambda m: SGD(m, 0.1), lambda m: Adam(m)])
def test_zero_grad_clears_the_models_gradients(make):
    model = Two()
    make(model).zero_grad()
    assert not model.dW.any() and not model.db.any()


def test_optimizers_keep_float32():
    class Small(Module):
        def __init__(self):
            self.W, self.dW = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)

    for make in (lambda m: SGD(m, 0.1, 0.9), lambda m: Adam(m, 0.1, weight_decay=0.1)):
        model = Small()
        optimizer = make(model)
        optimizer.step()
        arrays = [model.W, *(a for a in optimizer.state().values() if a.ndim)]
        assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


def test_clipping_scales_all_gradients_by_one_factor():
    model = Two()
    norm = clip_grad_norm(model, 1.0)
    assert norm == pytest.approx(math.sqrt(0.5**2 + 0.25**2 + 2**2))
    np.testing.assert_allclose(model.db, [-2 / norm], rtol=1e-5)
    np.testing.assert_allclose(model.dW, [[0.5 / norm, 0.25 / norm]], rtol=1e-5)


def test_clipping_leaves_a_small_gradient_alone_and_reports_what_is_not_finite():
    model = Two()
    clip_grad_norm(model, 10.0)
    np.testing.assert_array_equal(model.db, [-2.0])
    model.dW[0, 0] = np.inf
    assert clip_grad_norm(model, 1.0) == math.inf
    np.testing.assert_array_equal(model.db, [-2.0])
    np.testing.assert_array_equal(model.dW, [[np.inf, 0.25]])
    model.dW[0, 0] = np.nan
    assert math.isnan(clip_grad_norm(model, 1.0))


def test_warm_up_then_cosine():
    optimizer = SGD(Two(), lr=1.0)
    schedule = WarmupCosineLR(optimizer, warmup_steps=4, total_steps=14, min_lr=0.2)
    assert [schedule.lr_at(s) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule.lr_at(4) == 1.0
    assert schedule.lr_at(9) == pytest.approx(0.6)  # half way: the middle of 1.0 and 0.2
    assert schedule.lr_at(14) == schedule.lr_at(15) == schedule.lr_at(1000) == 0.2
    rates = [schedule.lr_at(s) for s in range(4, 15)]
    assert rates == sorted(rates, reverse=True)
    # A warm-up as long as the run leaves no cosine, and nothing to divide by.
    assert WarmupCosineLR(optimizer, 4, 4, min_lr=0.2).lr_at(4) == 0.2


def test_step_decay():
    optimizer = SGD(Two(), lr=1.0)
    schedule = StepLR(optimizer, step_size=3, gamma=0.5)
    rates = []
    for _ in range(7):
        rates.append(optimizer.lr)
        schedule.step()
    assert rates == [schedule.lr_at(s) for s in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_step_applies_the_rate_and_lr_at_does_not():
    optimizer = SGD(Two(), lr=1.0)
    schedule = WarmupCosineLR(optimizer, warmup_steps=2, total_steps=6, min_lr=0.0)
    assert optimizer.lr == 0.5
    schedule.lr_at(5)
    assert optimizer.lr == 0.5
    schedule.step()
    assert optimizer.lr == 1.0
