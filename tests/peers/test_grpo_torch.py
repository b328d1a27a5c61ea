"""GRPO's loss and gradient against a plain twin in PyTorch, through a whole GPT, in float64."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from numpygpt import GPT, GPTConfig
from numpygpt.posttraining import PolicyLoss, group_advantages, token_log_probs
from numpygpt.posttraining.masked import IGNORE

N, T, V, GROUP = 12, 7, 11, 4
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def example(seed):
    """Logits, targets, rewards, and log-probabilities of an old and of a reference model."""
    rng = np.random.default_rng(seed)
    model = GPT(GPTConfig(V, T, 2, 3, 6), rng=rng, dtype=np.float64)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    x, y = rng.integers(0, V, (2, N, T))
    y[:, :2] = IGNORE
    for row, length in enumerate(rng.integers(1, T - 1, N)):
        y[row, 2 + length :] = IGNORE
    logits = model(x)
    log_p = token_log_probs(logits, y)
    old, reference = (log_p + rng.normal(0, 0.4, log_p.shape) for _ in range(2))
    return logits, y, rng.normal(0, 1, (N // GROUP, GROUP)), old, reference


def theirs(logits, y, rewards, old, reference, clip, beta, by_answer):
    """The loss as the papers and libraries write it, for autograd."""
    y, rewards, old, reference = map(torch.tensor, (y, rewards, old, reference))
    mask = (y != IGNORE).double()
    log_p = log_softmax(logits, -1).gather(-1, y.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    mean = rewards.mean(1, keepdim=True)
    A = (rewards - mean) / (rewards.std(1, keepdim=True, unbiased=False) + 1e-4)
    A = A.reshape(-1, 1)
    ratio = torch.exp(log_p - old)
    per_token = -torch.min(ratio * A, torch.clamp(ratio, 1 - clip, 1 + clip) * A)
    difference = reference - log_p
    per_token = per_token + beta * (torch.exp(difference) - difference - 1)
    if by_answer:
        return ((per_token * mask).sum(1) / mask.sum(1)).mean()
    return (per_token * mask).sum() / mask.sum()


@pytest.mark.parametrize("by_answer", [False, True])
@pytest.mark.parametrize(("clip", "beta"), [(0.2, 0.0), (0.2, 0.04), (0.1, 1.0), (1e3, 0.3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_loss_and_gradient_are_those_of_torch(seed, clip, beta, by_answer):
    logits, y, rewards, old, reference = example(seed)
    leaf = torch.tensor(logits, requires_grad=True)
    expected = theirs(leaf, y, rewards, old, reference, clip, beta, by_answer)
    expected.backward()
    ours = PolicyLoss(clip, beta, by_answer)
    loss = ours(logits, y, group_advantages(rewards).reshape(-1), old, reference)
    np.testing.assert_allclose(loss, expected.item(), **CLOSE)
    np.testing.assert_allclose(ours.backward(), leaf.grad.numpy(), **CLOSE)
    assert abs(leaf.grad).max() > 1e-3


def test_reinforce_is_torchs_cross_entropy_of_each_answer_times_its_advantage():
    logits, y, rewards, _, _ = example(2)
    A = group_advantages(rewards, scale=False).reshape(-1)
    leaf = torch.tensor(logits, requires_grad=True)
    each = cross_entropy(
        leaf.transpose(1, 2), torch.tensor(y), ignore_index=IGNORE, reduction="none"
    )
    loss = (each * torch.tensor(A)[:, None]).sum() / (y != IGNORE).sum()
    loss.backward()
    ours = PolicyLoss()
    ours(logits, y, A)
    np.testing.assert_allclose(ours.backward(), leaf.grad.numpy(), **CLOSE)
