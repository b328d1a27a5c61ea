"""Losses and gradients of fine-tuning and of LoRA against a plain torch twin, in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from numpygpt import GPT, GPTConfig
from numpygpt.nn import Linear, LoRALinear
from numpygpt.nn.lora import Adapter
from numpygpt.optim import Adam
from numpygpt.posttraining import weighted_cross_entropy, weighted_cross_entropy_backward
from numpygpt.posttraining.finetune import AnswerEngine
from numpygpt.posttraining.masked import IGNORE, MaskedLoss

CLOSE = {"rtol": 1e-10, "atol": 1e-12}
V, B, T, C, H, L = 13, 3, 7, 12, 3, 2


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), **CLOSE)


def some_targets(rng):
    targets = rng.integers(0, V, (B, T))
    targets[0, :4] = targets[1, 6] = IGNORE
    targets[2] = IGNORE
    return targets


def test_the_masked_loss_is_cross_entropy_with_ignore_index():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (B, T, V)), some_targets(rng)
    theirs = torch.tensor(logits, requires_grad=True)
    loss = F.cross_entropy(theirs.reshape(-1, V), torch.tensor(targets).reshape(-1))
    (1.7 * loss).backward()
    ours = MaskedLoss()
    same(ours(logits, targets), loss)
    same(ours.backward(1.7), theirs.grad)
    assert torch.nn.CrossEntropyLoss().ignore_index == IGNORE


def test_weights_of_either_sign():
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(B, T, V)), rng.integers(0, V, (B, T))
    weights = rng.normal(size=(B, T))
    theirs = torch.tensor(logits, requires_grad=True)
    nll = -F.log_softmax(theirs, -1).gather(-1, torch.tensor(targets)[..., None])[..., 0]
    loss = (torch.tensor(weights) * nll).sum() / 5.0
    loss.backward()
    same(weighted_cross_entropy(logits, targets, weights, 5.0), loss)
    same(weighted_cross_entropy_backward(logits, targets, weights, 5.0), theirs.grad)


@pytest.mark.parametrize("bias", [True, False])
def test_a_lora_layer(bias):
    rng = np.random.default_rng(2)
    layer = LoRALinear(Linear(5, 8, bias, rng=rng, dtype=np.float64), 3, 7.0, rng=rng)
    layer.B[...] = rng.normal(0, 0.5, layer.B.shape)
    x, dy = rng.normal(size=(2, 4, 5)), rng.normal(size=(2, 4, 8))
    W, A, B_, X = (torch.tensor(a, requires_grad=True) for a in (layer.W, layer.A, layer.B, x))
    y = X @ W + (7.0 / 3) * (X @ A) @ B_
    y = y + torch.tensor(layer.b) if bias else y
    y.backward(torch.tensor(dy))
    same(layer(x), y)
    same(layer.backward(dy), X.grad)
    same(layer.dA, A.grad)
    same(layer.dB, B_.grad)
    same(layer.merged(), W + (7.0 / 3) * A @ B_)


def twin(params, lora, x, scale):
    """The logits of our GPT, by torch, from {name: tensor}; `lora` has A and B by layer."""

    def linear(name, x):
        y = x @ params[f"{name}.W"] + params[f"{name}.b"]
        return y + scale * (x @ lora[f"{name}.A"]) @ lora[f"{name}.B"] if lora else y

    def norm(name, x):
        return F.layer_norm(x, (C,), params[f"{name}.gamma"], params[f"{name}.beta"], 1e-5)

    h = params["wte.W"][x] + params["wpe.W"][: x.shape[1]]
    for i in range(L):
        block = f"blocks.{i}"
        q, k, v = (
            a.reshape(*x.shape, H, C // H).transpose(1, 2)
            for a in linear(f"{block}.attn.qkv", norm(f"{block}.ln1", h)).split(C, -1)
        )
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + linear(f"{block}.attn.proj", out.transpose(1, 2).reshape(h.shape))
        inner = linear(f"{block}.ffn.fc1", norm(f"{block}.ln2", h)).relu()
        h = h + linear(f"{block}.ffn.fc2", inner)
    return norm("ln_f", h) @ params["wte.W"].T


@pytest.mark.parametrize("rank", [None, 2])
def test_fine_tuning_a_gpt_loss_gradients_and_steps(rank):
    rng = np.random.default_rng(3)
    model = GPT(GPTConfig(V, T, L, H, C), rng=rng, dtype=np.float64)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    params = {name: torch.tensor(p) for name, p in model.params().items()}
    trained = model if rank is None else Adapter(model, rank, 5.0, rng=rng)
    if rank:
        for p in trained.params().values():
            p[...] = rng.normal(0, 0.5, p.shape)
    lora = {} if rank is None else {name: torch.tensor(p) for name, p in trained.params().items()}
    theirs = lora or params
    for p in theirs.values():
        p.requires_grad_()
    engine, ours = AnswerEngine(trained), Adam(trained, 1e-2)
    optimizer = torch.optim.Adam(list(theirs.values()), 1e-2)
    for _ in range(3):
        x, y = rng.integers(0, V, (B, T)), some_targets(rng)
        trained.zero_grad()
        loss = engine.backprop(x, y)
        logits = twin(params, lora, torch.tensor(x), 5.0 / rank if rank else 0.0)
        target = F.cross_entropy(logits.reshape(-1, V), torch.tensor(y).reshape(-1))
        optimizer.zero_grad()
        target.backward()
        same(loss, target)
        assert trained.grads().keys() == theirs.keys()
        for name, g in trained.grads().items():
            scale = max(1.0, theirs[name].grad.abs().max().item())
            np.testing.assert_allclose(g, theirs[name].grad.numpy(), rtol=1e-9, atol=1e-10 * scale)
        ours.step()
        optimizer.step()
        for name, p in trained.params().items():
            np.testing.assert_allclose(p, theirs[name].detach().numpy(), rtol=1e-7, atol=1e-9)
            p[...] = theirs[name].detach().numpy()  # rounding does not add up
