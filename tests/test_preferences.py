"""Reward model and DPO: gradients through whole models, and what must not move."""

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig, gradcheck
from numpygpt.nn import Module
from numpygpt.nn.functional import log_softmax
from numpygpt.optim import Adam
from numpygpt.posttraining import (
    DPOLoss,
    Example,
    MaskedLoss,
    PreferenceLoss,
    RewardModel,
    answer_log_probs,
    padded,
)
from numpygpt.posttraining.masked import IGNORE

V, N, T = 11, 3, 6
EXACT = {"rtol": 1e-6, "atol": 1e-8}


def gpt(rng, tied=True, dtype=np.float64):
    return GPT(GPTConfig(V, 9, 2, 2, 4, tie_weights=tied), rng=rng, dtype=dtype)


def llama(rng):
    config = LlamaConfig(V, 9, 1, 2, 6, n_kv_head=1, head_dim=4, hidden=9)
    return Llama(config, rng=rng, dtype=np.float64)


def half(layer, rng):
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return layer


def rows(rng):
    """x, y (2N, T) of prompts and answers whose lengths all differ within a pair."""
    sizes = [(2, 3), (1, 5), (3, 1), (4, 3), (2, 2), (1, 1)]
    draw = lambda n: rng.integers(0, V, n).tolist()  # noqa: E731
    return padded([Example(draw(n), draw(m)) for n, m in sizes], 7)


class Preferring(Module):
    """A model and its DPO loss, as one function of all weights."""

    def __init__(self, model, loss):
        self.model, self.loss = model, loss

    def forward(self, ids, targets, reference):
        return self.loss(self.model(ids), targets, reference)

    def backward(self, dloss):
        self.model.backward(self.loss.backward(dloss))


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("make", [gpt, llama])
def test_dpo_through_a_whole_model(make, per_token):
    rng = np.random.default_rng(0)
    x, y = rows(rng)
    layer = Preferring(half(make(rng), rng), DPOLoss(0.7, per_token))
    report = gradcheck(layer, x, y, rng.normal(-5, 1, 2 * N), rng=rng, **EXACT)
    assert len(report.rows) == len(layer.model.params())


@pytest.mark.parametrize("per_token", [False, True])
def test_dpo_to_each_logit(per_token):
    rng = np.random.default_rng(1)
    _, y = rows(rng)
    logits = rng.normal(0, 1.5, (*y.shape, V))
    loss, reference = DPOLoss(0.7, per_token), rng.normal(-5, 1, 2 * N)
    gradcheck(loss, logits, y, reference, rng=rng, **EXACT)
    assert not loss.backward()[y == IGNORE].any()


@pytest.mark.parametrize("make", [gpt, lambda rng: gpt(rng, tied=False), llama])
def test_the_reward_through_a_whole_model(make):
    rng = np.random.default_rng(2)
    x, y = rows(rng)
    layer = half(RewardModel(make(rng), rng=rng), rng)
    report = gradcheck(layer, x, y, rng=rng, **EXACT)
    assert layer.model.head.W.shape == (layer.model.config.n_embd, 1)
    # The old head is gone, and the embedding is no longer one.
    assert "model.head.dW" in report.rows and "model.wte.dW" in report.rows


def test_the_loss_of_a_choice():
    rng = np.random.default_rng(3)
    gradcheck(PreferenceLoss(), rng.normal(0, 3, 5), rng=rng, **EXACT)
    loss = PreferenceLoss()
    assert loss(np.array([1e4, -1e4, 0.0])) == pytest.approx((1e4 + np.log(2)) / 3, rel=1e-14)
    np.testing.assert_allclose(3 * loss.backward(), [0, -1, -0.5], atol=1e-15)
    assert loss(np.array([40.0])) == pytest.approx(np.exp(-40.0), rel=1e-12)
    assert loss.backward()[0] == pytest.approx(-np.exp(-40.0), rel=1e-12)


def test_an_answer_s_log_probability_is_the_sum_over_its_own_tokens():
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (2, 5, V))
    y = np.array([[IGNORE, IGNORE, 3, 0, IGNORE], [IGNORE, 7, 7, 1, 10]])
    log_p = log_softmax(logits)
    by_hand = [
        log_p[0, 2, 3] + log_p[0, 3, 0],
        log_p[1, 1, 7] + log_p[1, 2, 7] + log_p[1, 3, 1] + log_p[1, 4, 10],
    ]
    np.testing.assert_allclose(answer_log_probs(logits, y), by_hand, rtol=1e-14)
    logits[0, 0] = np.nan  # the prompt has no part in it
    assert np.isfinite(answer_log_probs(logits, y)).all()


def test_padding_behind_an_answer_changes_no_reward_and_no_gradient():
    rng = np.random.default_rng(5)
    layer = half(RewardModel(gpt(rng), rng=rng), rng)
    x, y = rows(rng)
    dr = rng.normal(size=len(x))
    rewards = layer(x, y)
    layer.zero_grad()
    layer.backward(dr)
    found = {name: g.copy() for name, g in layer.grads().items()}
    x, y = (
        np.pad(a, ((0, 0), (0, 1)), constant_values=value) for a, value in ((x, 5), (y, IGNORE))
    )
    np.testing.assert_allclose(layer(x, y), rewards, rtol=1e-12)
    layer.zero_grad()
    layer.backward(dr)
    for name, g in layer.grads().items():
        np.testing.assert_allclose(g, found[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_reward_is_read_where_the_answer_ends():
    rng = np.random.default_rng(6)
    layer = half(RewardModel(gpt(rng), rng=rng), rng)
    x, y = rows(rng)
    before, last = layer(x, y), (y != IGNORE).cumsum(axis=1).argmax(axis=1)
    assert last.tolist() == [3, 4, 2, 5, 2, 0]  # lengths of prompt and answer, less two
    # The answer's last token, which x does not hold, has been read, and so has all before it.
    for a, places in ((y, last), (x, last), (x, 0 * last)):
        row = np.arange(len(a))
        kept = a[row, places].copy()
        a[row, places] = (kept + 1) % V
        assert (layer(x, y) != before).all()
        a[row, places] = kept
    np.testing.assert_array_equal(layer(x, y), before)


def test_training_a_reward_model_leaves_the_language_model_alone():
    rng = np.random.default_rng(7)
    model = half(gpt(rng), rng)
    kept = {name: p.copy() for name, p in model.params().items()}
    layer, (x, y) = RewardModel(model, rng=rng), rows(rng)
    assert layer.model.head is not None and model.head is None
    optimizer = Adam(layer, 0.1)
    layer(x, y)
    layer.backward(np.ones(2 * N))
    optimizer.step()
    for name, p in model.params().items():
        np.testing.assert_array_equal(p, kept[name])
    assert not any(g.any() for g in model.grads().values())
    assert not np.array_equal(layer.model.wte.W, model.wte.W)


def test_dpo_is_cross_entropy_with_weights_of_both_signs():
    rng = np.random.default_rng(8)
    _, y = rows(rng)
    logits, beta = rng.normal(0, 1.5, (*y.shape, V)), 0.3
    loss, plain = DPOLoss(beta), MaskedLoss()
    reference = answer_log_probs(logits, y)  # so that each margin is 0, and each surprise 1/2
    assert loss(logits, y, reference) == pytest.approx(np.log(2))
    dlogits = loss.backward()
    for row, sign in enumerate([1, 1, 1, -1, -1, -1]):
        plain(logits[row], y[row])
        tokens = (y[row] != IGNORE).sum()
        expected = sign * beta * 0.5 / N * tokens * plain.backward()
        np.testing.assert_allclose(dlogits[row], expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("per_token", [False, True])
def test_a_model_that_is_its_own_reference_has_no_lead(per_token):
    rng = np.random.default_rng(11)
    _, y = rows(rng)
    assert len(set((y != IGNORE).sum(axis=1).tolist())) > 1  # a sum is no mean
    logits = rng.normal(0, 1.5, (*y.shape, V))
    loss = DPOLoss(4.0, per_token)(logits, y, answer_log_probs(logits, y))
    assert loss == pytest.approx(np.log(2), rel=1e-12)


def test_per_token_divides_what_each_answer_has_gained_by_its_length():
    y = np.array([[IGNORE, 1], [0, 2]])  # one token chosen, two rejected, at -ln 4 each
    loss = DPOLoss(2.0, per_token=True)(np.zeros((2, 2, 4)), y, np.array([-3.0, -5.0]))
    # 2 ((3 - ln 4) / 1 - (5 - 2 ln 4) / 2) = 2 (3 - 2.5) = 1
    assert loss == pytest.approx(np.log(1 + np.exp(-1.0)), rel=1e-12)


def test_the_pull_ends_when_beta_times_the_lead_is_large():
    y = np.array([[1], [0]])
    pulls = []
    for beta in (0.01, 0.1, 1.0):
        loss = DPOLoss(beta)
        loss(np.zeros((2, 1, 3)), y, np.log(1 / 3) + np.array([-10.0, 10.0]))  # a lead of 20 nats
        pulls.append(np.abs(loss.backward()).max() / beta)
    assert pulls[0] > 0.2 and pulls[2] < 1e-8  # the surprise, over three by the softmax
    assert pulls == sorted(pulls, reverse=True)


def test_float32_stays_float32_and_nothing_that_is_given_changes():
    rng = np.random.default_rng(9)
    model, (x, y) = gpt(rng, dtype=np.float32), rows(rng)
    layer, loss = RewardModel(model, rng=rng), PreferenceLoss()
    chosen, rejected = np.split(layer(x, y), 2)
    loss(chosen - rejected)
    dmargin = loss.backward()
    layer.backward(np.concatenate([dmargin, -dmargin]))
    logits = model(x)
    reference = answer_log_probs(logits, y)
    given = [a.copy() for a in (x, y, logits, reference)]
    dpo = [DPOLoss(0.1), DPOLoss(0.1, per_token=True)]
    for each in dpo:
        each(logits, y, reference)
    arrays = [chosen, dmargin, reference, *layer.grads().values()]
    layer.model.backward = arrays.append  # what the model is given
    layer.backward(np.concatenate([dmargin, -dmargin]))
    arrays += [each.backward() for each in dpo]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    for a, b in zip(given, (x, y, logits, reference), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_makes_no_sense_is_refused_in_one_line():
    rng = np.random.default_rng(10)
    _, y = rows(rng)
    logits = rng.normal(size=(*y.shape, V))
    for beta in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"beta=.* must be more than 0"):
            DPOLoss(beta)
    with pytest.raises(ValueError, match="5 rows are not pairs"):
        DPOLoss()(logits[:5], y[:5], np.zeros(5))
    with pytest.raises(ValueError, match=r"reference has shape \(3,\)"):
        DPOLoss()(logits, y, np.zeros(3))
    y[2] = IGNORE
    with pytest.raises(ValueError, match="a row has no answer"):
        RewardModel(gpt(rng), rng=rng)(np.zeros_like(y), y)
    with pytest.raises(ValueError, match="a row has no answer"):
        answer_log_probs(logits, y)
    with pytest.raises(ValueError, match="a row has no answer"):
        DPOLoss()(logits, y, np.zeros(6))
