"""Rollouts, advantages, the clipped loss with its leash, and GRPO as a whole."""

import copy
import warnings

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig, gradcheck
from numpygpt.gradcheck import numeric_gradient
from numpygpt.nn import CrossEntropyLoss
from numpygpt.nn.functional import log_softmax, softmax
from numpygpt.optim import SGD, Adam, clip_grad_norm
from numpygpt.posttraining import (
    GRPO,
    PolicyLoss,
    group_advantages,
    pay,
    rollouts,
    token_log_probs,
    token_shares,
)
from numpygpt.posttraining.masked import IGNORE
from numpygpt.training import DivergedError

V, T = 7, 6


def make(seed=0, dtype=np.float64, size=0.5):
    rng = np.random.default_rng(seed)
    model = GPT(GPTConfig(V, T, 1, 2, 4), rng=rng, dtype=dtype)
    for p in model.params().values():
        p[...] = rng.normal(0, size, p.shape)
    return model


def example(seed=0, N=5):
    """(x, targets, advantages): answers of several lengths, one with a hole."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, V, (2, N, T))
    y[:, :2] = y[0, 4:] = y[1, 3] = y[3, 5:] = IGNORE
    return x, y, np.array([1.2, -0.7, 0.4, -1.5, -0.9])


def around(log_p, seed=1):
    """Old and reference log-probabilities: ratios on both sides of both limits, none at one."""
    rng = np.random.default_rng(seed)
    ratio = rng.choice([0.5, 0.75, 0.85, 1.0, 1.1, 1.3, 1.7], log_p.shape)
    return log_p - np.log(ratio), log_p - rng.uniform(-0.7, 0.7, log_p.shape)


# ---- rollouts and their pay ----


def test_answers_to_a_prompt_stand_side_by_side_and_are_what_the_model_would_write():
    model, prompts = make(), np.array([[1, 2, 3], [4, 5, 6]])
    x, y = rollouts(model, prompts, 3, 4, rng=np.random.default_rng(0))
    assert x.shape == y.shape == (6, 6)
    np.testing.assert_array_equal(x[:, :3], np.repeat(prompts, 3, axis=0))
    np.testing.assert_array_equal(x[:, 3:], y[:, 2:-1])
    assert (y[:, :2] == IGNORE).all() and (y[:, 2:] != IGNORE).all()
    again = rollouts(model, prompts, 3, 4, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again[0], x)


def test_answers_are_drawn_with_the_models_own_probabilities():
    model = make(size=1.0)
    x, y = rollouts(model, np.array([[1, 2]]), 4000, 1, rng=np.random.default_rng(0))
    p = softmax(model(x[:1]))[0, -1]
    share = np.bincount(y[:, -1], minlength=V) / len(y)
    assert p.max() > 2 / V  # not flat: a temperature would show
    assert (abs(share - p) < 5 * np.sqrt(p * (1 - p) / len(y))).all()


def test_nothing_counts_after_the_end_and_the_end_itself_does():
    x, y = rollouts(make(), np.array([[1, 2]]), 60, 5, end=3, rng=np.random.default_rng(0))
    lengths = set()
    for a, b in zip(x, y, strict=True):
        answer = b[b != IGNORE]
        new = [*a[2:], b[-1]]  # what was written, but for a last token that does not count
        lengths.add(len(answer))
        assert 3 not in answer[:-1]
        assert len(answer) == 5 or answer[-1] == 3
        assert list(answer) == new[: len(answer)]
    assert lengths == {1, 2, 3, 4, 5}


def test_an_answer_that_does_not_fit_the_window_is_refused():
    rollouts(make(), np.array([[1, 2, 3]]), 1, 4, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 tokens and 5 new ones do not fit block_size=6"):
        rollouts(make(), np.array([[1, 2, 3]]), 1, 5, rng=np.random.default_rng(0))


def test_a_reward_sees_its_prompt_and_its_answer():
    x, y = rollouts(make(), np.array([[1, 2], [3, 4]]), 2, 3, end=5, rng=np.random.default_rng(3))
    seen = []

    def reward(prompt, answer):
        seen.append((prompt, answer))
        return len(seen)

    np.testing.assert_array_equal(pay(reward, x, y, 2), [[1, 2], [3, 4]])
    assert [prompt for prompt, _ in seen] == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert [answer for _, answer in seen] == [row[row != IGNORE].tolist() for row in y]
    with pytest.raises(ValueError, match="infinite or NaN"):
        pay(lambda prompt, answer: np.nan, x, y, 2)


# ---- advantages and shares ----


def test_each_group_is_its_own_baseline():
    rewards = np.array([[1.0, 0, 0, 0], [1, 1, 1, 0], [10, 12, 10, 12]])
    expected = [[0.75, -0.25, -0.25, -0.25], [0.25, 0.25, 0.25, -0.75], [-1, 1, -1, 1]]
    np.testing.assert_allclose(group_advantages(rewards, scale=False), expected)
    scaled = group_advantages(rewards)
    np.testing.assert_allclose(scaled.std(axis=1), 1, rtol=1e-3)
    np.testing.assert_allclose(scaled * rewards.std(axis=1, keepdims=True), expected, rtol=1e-3)


@pytest.mark.parametrize("scale", [True, False])
def test_a_group_of_equals_teaches_nothing(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The mean of three times 0.1 is not quite 0.1.
        found = group_advantages(np.array([[0.1] * 3, [1.0] * 3, [-7.3] * 3]), scale)
    assert abs(found).max() < 1e-9


def test_shares_sum_to_1_over_tokens_or_give_each_answer_the_same():
    counts = np.array([[0, 1, 1, 1], [0, 1, 0, 0]], bool)
    np.testing.assert_allclose(token_shares(counts), counts / 4)
    np.testing.assert_allclose(
        token_shares(counts, by_answer=True), [[0, 1 / 6, 1 / 6, 1 / 6], [0, 0.5, 0, 0]]
    )


# ---- the loss ----


def by_hand(log_p, old, reference, y, A, clip, beta, by_answer):
    """The loss and its slope by log_p, token by token, in the words of the text."""
    loss, slope = 0.0, np.zeros(y.shape)
    for n, t in zip(*np.nonzero(y != IGNORE), strict=True):
        length, total = (y[n] != IGNORE).sum(), (y != IGNORE).sum()
        share = 1 / length / len(y) if by_answer else 1 / total
        ratio, log_r = np.exp(log_p[n, t] - old[n, t]), reference[n, t] - log_p[n, t]
        limit = 1 + clip if A[n] > 0 else 1 - clip
        stopped = ratio > limit if A[n] > 0 else ratio < limit
        loss -= share * ((limit if stopped else ratio) * A[n] - beta * (np.exp(log_r) - 1 - log_r))
        slope[n, t] = -share * ((0 if stopped else ratio * A[n]) - beta * (1 - np.exp(log_r)))
    return loss, slope


@pytest.mark.parametrize("by_answer", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_loss_and_its_gradient_are_those_by_hand(beta, by_answer):
    x, y, A = example()
    logits = np.random.default_rng(2).normal(size=(*y.shape, V))
    log_p = token_log_probs(logits, y)
    old, reference = around(log_p)
    loss = PolicyLoss(0.2, beta, by_answer)
    value, slope = by_hand(log_p, old, reference, y, A, 0.2, beta, by_answer)
    assert loss(logits, y, A, old, reference) == pytest.approx(value, rel=1e-12)
    onehot = np.arange(V) == np.where(y == IGNORE, 0, y)[..., None]
    expected = 0.7 * slope[..., None] * (onehot - softmax(logits))
    np.testing.assert_allclose(loss.backward(0.7), expected, rtol=1e-10, atol=1e-14)
    ratio = np.exp(log_p - old)[y != IGNORE]
    assert (ratio < 0.8).any() and (ratio > 1.2).any()


class Through(PolicyLoss):
    """The loss of a model's logits, as a layer that gradcheck can take."""

    def __init__(self, model, **options):
        super().__init__(**options)
        self.model = model

    def forward(self, x, *rest):
        return super().forward(self.model(x), *rest)

    def backward(self, dloss=1.0):
        self.model.backward(super().backward(dloss))


@pytest.mark.parametrize("by_answer", [False, True])
def test_every_parameter_of_a_model_gets_the_slope_of_the_loss(by_answer):
    model = make()
    x, y, A = example()
    old, reference = around(token_log_probs(model(x), y))
    layer = Through(model, clip=0.2, beta=0.3, by_answer=by_answer)
    report = gradcheck(
        layer, x, y, A, old, reference, rng=np.random.default_rng(3), rtol=1e-6, atol=1e-8
    )
    assert len(report.rows) == len(model.params())
    assert sum(entries for entries, *_ in report.rows.values()) == model.num_params()


def test_at_a_ratio_of_1_the_gradient_is_that_of_cross_entropy_on_its_own_samples():
    model = make()
    x, y = rollouts(model, np.array([[1], [2]]), 4, 5, rng=np.random.default_rng(0))
    logits, plain, policy = model(x), CrossEntropyLoss(), PolicyLoss()
    policy(logits, y, np.ones(len(x)))
    plain(logits, y)
    np.testing.assert_allclose(policy.backward(), plain.backward(), rtol=0, atol=1e-17)
    # Weights of either sign: the gradients of each row, times its advantage.
    A = np.random.default_rng(1).normal(size=len(x))
    policy(logits, y, A)
    expected = A[:, None, None] * plain.backward()
    np.testing.assert_allclose(policy.backward(), expected, rtol=0, atol=1e-17)


def test_the_mean_over_all_answers_is_the_gradient_whatever_the_baseline():
    model, answers = make(size=1.0), np.indices((V, V)).reshape(2, -1).T
    x = np.column_stack([np.full((len(answers), 2), 4), answers[:, 0]])
    y = np.column_stack([np.full(len(answers), IGNORE), answers])
    rewards = np.random.default_rng(0).normal(size=len(answers))

    def chances():
        return np.exp(token_log_probs(model(x), y).sum(axis=1))

    p, loss, found = chances(), PolicyLoss(), []
    assert p.sum() == pytest.approx(1)
    for baseline in (0.0, 5.0):
        model.zero_grad()
        loss(model(x), y, p * (rewards - baseline) * 2 * len(x))  # shares are 1 / tokens
        model.backward(loss.backward())
        found.append(copy.deepcopy(model.grads()))
    for name, g in found[0].items():
        np.testing.assert_allclose(g, found[1][name], rtol=1e-9, atol=1e-11)
    W = model.blocks[0].ffn.fc1.W
    slopes = numeric_gradient(lambda: -float(chances() @ rewards), W)
    np.testing.assert_allclose(found[0]["blocks.0.ffn.fc1.W"], slopes, rtol=1e-6, atol=1e-8)


def test_a_token_beyond_its_limit_has_no_gradient_and_one_that_went_the_wrong_way_has():
    logits = np.random.default_rng(0).normal(size=(4, 1, V))
    y, A = np.array([[1], [2], [3], [4]]), np.array([1.0, 1.0, -1.0, -1.0])
    log_p = token_log_probs(logits, y)
    old = log_p - np.log([[1.5], [0.5], [1.5], [0.5]])
    loss = PolicyLoss(0.2)
    assert loss(logits, y, A, old) == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    moves = abs(loss.backward()).max(axis=(1, 2)) > 0
    assert moves.tolist() == [False, True, True, False]


def test_the_leash_pulls_towards_the_reference_and_ends_there():
    z = np.random.default_rng(0).normal(size=(1, 1, V))
    target = np.random.default_rng(1).normal(size=(1, 1, V))
    y = np.arange(V)[:, None]
    p, q = softmax(z)[0, 0], softmax(target)[0, 0]
    loss, logits = PolicyLoss(beta=1.0, by_answer=True), np.repeat(z, V, axis=0)
    loss(logits, y, np.zeros(V), None, np.log(q)[:, None])
    # Its mean over the answers, each as often as it is drawn, is p - q.
    mean = (p[:, None, None] * V * loss.backward()).sum(axis=0)[0]
    np.testing.assert_allclose(mean, p - q, atol=1e-14)
    assert loss(logits, y, np.zeros(V), None, np.log(p)[:, None]) == pytest.approx(0, abs=1e-15)
    assert abs(loss.backward()).max() < 1e-15


def test_float32_stays_float32_and_nothing_is_changed():
    x, y, A = example()
    logits = np.random.default_rng(2).normal(size=(*y.shape, V)).astype(np.float32)
    old, reference = around(token_log_probs(logits, y))
    given = [logits, y, A, old, reference]
    before = [a.copy() for a in given]
    loss = PolicyLoss(beta=0.1)
    loss(*given)
    assert loss.backward().dtype == np.float32
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the whole ----


def first_is_3(prompt, answer):
    return float(answer[0] == 3)


def test_a_model_learns_what_it_is_paid_for():
    model = make(dtype=np.float32, size=0.1)
    options = {"group": 8, "max_new_tokens": 3, "rng": np.random.default_rng(0)}
    trainer = GRPO(model, Adam(model, 0.02), first_is_3, **options)
    shares = [trainer.step(np.array([[1, 2], [4, 5]])).mean() for _ in range(40)]
    assert np.mean(shares[:5]) < 0.4 and np.mean(shares[-5:]) > 0.9


@pytest.mark.parametrize("updates", [1, 3])
def test_a_step_is_the_one_by_hand(updates):
    ours, theirs, reference = make(), make(), make(seed=9)
    prompts, rng = np.array([[1, 2], [4, 5]]), np.random.default_rng(0)
    options = {"updates": updates, "beta": 0.2, "clip": 0.1, "max_norm": 0.02}
    trainer = GRPO(
        ours, SGD(ours, 0.5), first_is_3, group=4, max_new_tokens=3, reference=reference,
        rng=np.random.default_rng(0), **options,
    )  # fmt: skip
    frozen = copy.deepcopy(reference.params())
    rewards = trainer.step(prompts)
    x, y = rollouts(theirs, prompts, 4, 3, rng=rng)
    np.testing.assert_array_equal(rewards, pay(first_is_3, x, y, 4))
    A = group_advantages(rewards).reshape(-1)
    assert A.any()
    at = np.where(y == IGNORE, 0, y)[..., None]
    taken = lambda model: np.take_along_axis(log_softmax(model(x)), at, -1)[..., 0]  # noqa: E731
    old, ref = taken(theirs), taken(reference)
    for _ in range(updates):
        log_p = taken(theirs)
        _, slope = by_hand(log_p, old, ref, y, A, 0.1, 0.2, by_answer=False)
        onehot = np.arange(V) == at
        theirs.zero_grad()
        theirs.backward(slope[..., None] * (onehot - softmax(theirs(x))))
        assert clip_grad_norm(theirs, 0.02) > 0.02
        for p, g in zip(theirs.params().values(), theirs.grads().values(), strict=True):
            p -= 0.5 * g
    if updates > 1:  # the old ones are those of the model that wrote the answers
        assert abs(log_p - old).max() > 1e-3
    for name, p in ours.params().items():
        np.testing.assert_allclose(p, theirs.params()[name], rtol=1e-9, atol=1e-12)
    for name, p in reference.params().items():
        np.testing.assert_array_equal(p, frozen[name])


def test_without_a_leash_equal_rewards_change_nothing_and_with_one_they_do():
    for beta, changes in ((0.0, False), (0.5, True)):
        model = make()
        before = copy.deepcopy(model.params())
        options = {"beta": beta, "reference": make(seed=5), "rng": np.random.default_rng(0)}
        GRPO(model, SGD(model, 0.1), lambda p, a: 1.0, group=4, max_new_tokens=3, **options).step(
            np.array([[1, 2]])
        )
        moved = any((p != before[name]).any() for name, p in model.params().items())
        assert moved == changes


def test_what_is_added_to_all_rewards_changes_nothing_with_a_baseline():
    models = []
    for added in (0, 100):
        model = make()
        reward = lambda p, a, added=added: first_is_3(p, a) + added  # noqa: E731
        options = {"group": 8, "max_new_tokens": 2, "rng": np.random.default_rng(0)}
        GRPO(model, SGD(model, 0.1), reward, **options).step(np.array([[1, 2]]))
        models.append(model.params())
    for name, p in models[0].items():
        np.testing.assert_allclose(p, models[1][name], rtol=1e-9, atol=1e-12)


def test_a_leash_without_a_reference_and_a_lost_model_are_refused():
    options = {"group": 4, "max_new_tokens": 2, "rng": np.random.default_rng(0)}
    model = make()
    with pytest.raises(ValueError, match=r"beta=0\.1 needs a reference"):
        GRPO(model, SGD(model, 0.1), first_is_3, beta=0.1, **options)
    trainer = GRPO(model, SGD(model, 0.1), first_is_3, **options)
    x, y = rollouts(model, np.array([[1, 2]]), 4, 2, rng=np.random.default_rng(0))
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="lower learning rate"):
        trainer.learn(x, y, np.array([1e200, 1, 1, -1]))
