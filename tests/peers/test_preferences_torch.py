"""Reward model and DPO against a plain twin in PyTorch: losses, and gradients by its autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numpygpt import GPT, GPTConfig
from numpygpt.posttraining import (
    DPOLoss,
    Example,
    PreferenceLoss,
    RewardModel,
    answer_log_probs,
    padded,
)
from numpygpt.posttraining.masked import IGNORE

V, N, C, H = 11, 3, 12, 3
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def twin(p, ids, head):
    """A GPT, from its parameters by name to what `head` makes of its last vectors."""
    x = p["wte.W"][ids] + p["wpe.W"][: ids.shape[1]]
    for i in (0, 1):
        q = {name.removeprefix(f"blocks.{i}."): a for name, a in p.items()}
        h = F.layer_norm(x, (C,), q["ln1.gamma"], q["ln1.beta"])
        qkv = (
            (h @ q["attn.qkv.W"] + q["attn.qkv.b"])
            .unflatten(-1, (3, H, C // H))
            .permute(2, 0, 3, 1, 4)
        )
        h = F.scaled_dot_product_attention(*qkv, is_causal=True).transpose(1, 2).flatten(2)
        x = x + h @ q["attn.proj.W"] + q["attn.proj.b"]
        h = F.layer_norm(x, (C,), q["ln2.gamma"], q["ln2.beta"])
        x = x + torch.relu(h @ q["ffn.fc1.W"] + q["ffn.fc1.b"]) @ q["ffn.fc2.W"] + q["ffn.fc2.b"]
    return F.layer_norm(x, (C,), p["ln_f.gamma"], p["ln_f.beta"]) @ head


def log_probs(logits, y):
    """log p of each answer, and the number of its tokens."""
    mask = y != IGNORE
    each = torch.log_softmax(logits, -1).gather(-1, y.clamp(min=0)[..., None])[..., 0]
    return (each * mask).sum(-1), mask.sum(-1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def batch(rng):
    draw = lambda n: rng.integers(0, V, n).tolist()  # noqa: E731
    sizes = [(2, 3), (1, 6), (3, 1), (4, 3), (2, 2), (1, 1)]
    return padded([Example(draw(n), draw(m)) for n, m in sizes], 8)


def half(model, rng):
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return model


def tensors(model):
    return {name: torch.tensor(p, requires_grad=True) for name, p in model.params().items()}


def same_gradients(model, theirs):
    for name, g in model.grads().items():
        np.testing.assert_allclose(g, theirs[name].grad.numpy(), **CLOSE, err_msg=name)


def new_gpt(rng):
    return half(GPT(GPTConfig(V, 8, 2, H, C), rng=rng, dtype=np.float64), rng)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("beta", [0.1, 1.5])
def test_dpo(rng, batch, beta, per_token):
    x, y = batch
    model, other = new_gpt(rng), new_gpt(rng)
    reference = answer_log_probs(other(x), y)
    loss = DPOLoss(beta, per_token)
    ours = loss(model(x), y, reference)
    model.backward(loss.backward())

    p, frozen = tensors(model), {name: torch.tensor(a) for name, a in other.params().items()}
    ahead = 0
    for sign, weights in ((1, p), (-1, frozen)):
        sums, counts = log_probs(
            twin(weights, torch.tensor(x), weights["wte.W"].T), torch.tensor(y)
        )
        ahead = ahead + sign * (sums / counts if per_token else sums)
    theirs = -F.logsigmoid(beta * (ahead[:N] - ahead[N:])).mean()
    theirs.backward()
    np.testing.assert_allclose(ours, theirs.item(), **CLOSE)
    same_gradients(model, p)


def test_reward_model(rng, batch):
    x, y = batch
    model, loss = half(RewardModel(new_gpt(rng), rng=rng), rng), PreferenceLoss()
    rewards = model(x, y)
    ours = loss(rewards[:N] - rewards[N:])
    dmargin = loss.backward()
    model.backward(np.concatenate([dmargin, -dmargin]))

    p = tensors(model)
    body = {name.removeprefix("model."): a for name, a in p.items()}
    theirs = []
    for row in range(2 * N):  # each alone, and without padding
        n = max(t for t in range(x.shape[1]) if y[row, t] != IGNORE)
        ids = torch.tensor([[*x[row, : n + 1], y[row, n]]])
        theirs.append(twin(body, ids, body["head.W"])[0, -1, 0])
    theirs = torch.stack(theirs)
    np.testing.assert_allclose(rewards, theirs.detach().numpy(), **CLOSE)
    t_loss = -F.logsigmoid(theirs[:N] - theirs[N:]).mean()
    t_loss.backward()
    np.testing.assert_allclose(ours, t_loss.item(), **CLOSE)
    same_gradients(model, p)


def test_the_loss_of_margins_that_overflow(rng):
    margin = rng.normal(0, 500, 40)
    loss, t = PreferenceLoss(), torch.tensor(margin, requires_grad=True)
    theirs = -F.logsigmoid(t).mean()
    theirs.backward()
    np.testing.assert_allclose(loss(margin), theirs.item(), rtol=1e-12)
    np.testing.assert_allclose(loss.backward(), t.grad.numpy(), rtol=1e-10, atol=1e-300)
