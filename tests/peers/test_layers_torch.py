"""Every layer against PyTorch: forward, dx and every gradient, float64, to 1e-10."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from numpygpt import nn
from numpygpt.nn.functional import cross_entropy, log_softmax, softmax, softmax_backward
from numpygpt.optim import SGD, Adam, clip_grad_norm
from numpygpt.optim.lr_scheduler import StepLR

B, T, C, H, V = 3, 7, 20, 5, 11
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def tensor(a):
    return torch.tensor(a, requires_grad=True)


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), **CLOSE)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def half(layer, rng):
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return layer


def check(layer, forward, x, rng):
    """Compare layer(x) and its gradients with torch's forward(x, parameters by name)."""
    params = {name: tensor(p) for name, p in layer.params().items()}
    tx = tensor(x) if x.dtype == np.float64 else torch.tensor(x)
    ty = forward(tx, params)
    y = layer(x)
    same(y, ty)
    dy = rng.normal(size=y.shape)
    ty.backward(torch.tensor(dy))
    dx = layer.backward(dy)
    if tx.requires_grad:
        same(dx, tx.grad)
    for name, g in layer.grads().items():
        same(g, params[name].grad)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(rng, bias):
    layer = half(nn.Linear(C, 13, bias, rng=rng, dtype=np.float64), rng)
    check(layer, lambda x, p: F.linear(x, p["W"].T, p.get("b")), rng.normal(size=(B, T, C)), rng)


def test_embedding_with_repeated_ids(rng):
    layer = half(nn.Embedding(V, C, rng=rng, dtype=np.float64), rng)
    ids = rng.integers(0, 4, (B, T))  # 21 ids out of 4
    check(layer, lambda i, p: F.embedding(i, p["W"]), ids, rng)


def test_layernorm(rng):
    layer = half(nn.LayerNorm(C, dtype=np.float64), rng)
    check(
        layer,
        lambda x, p: F.layer_norm(x, (C,), p["gamma"], p["beta"], layer.eps),
        rng.normal(2, 3, size=(B, T, C)),
        rng,
    )


def test_rmsnorm(rng):
    layer = half(nn.RMSNorm(C, dtype=np.float64), rng)
    check(
        layer,
        lambda x, p: F.rms_norm(x, (C,), p["gamma"], layer.eps),
        rng.normal(2, 3, size=(B, T, C)),
        rng,
    )


def in_halves(x, angles):
    """As transformers does it: cos and sin for both halves, and `rotate_half`."""
    angles = torch.cat([angles, angles], dim=-1)[None]
    return apply_rotary_pos_emb(x, x, angles.cos(), angles.sin())[0]


def interleaved(x, angles):
    """As Meta's Llama does it: neighbors are a complex number, and so is the turn."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


@pytest.mark.parametrize(
    ("layout", "theirs"), [("halves", in_halves), ("interleaved", interleaved)]
)
@pytest.mark.parametrize(("start", "base"), [(0, 10_000.0), (100, 500_000.0)])
def test_rotary(rng, layout, theirs, start, base):
    D = 6
    angles = torch.outer(
        torch.arange(start, start + T, dtype=torch.float64), base ** (-torch.arange(0, D, 2) / D)
    )
    layer, x = nn.Rotary(D, base, layout), rng.normal(size=(B, H, T, D))
    tx, dy = tensor(x), rng.normal(size=x.shape)
    ty = theirs(tx, angles)
    ty.backward(torch.tensor(dy))
    same(layer(x, start), ty)
    same(layer.backward(dy), tx.grad)


@pytest.mark.parametrize(("ours", "theirs"), [(nn.ReLU, F.relu), (nn.GELU, None)])
def test_activations(rng, ours, theirs):
    theirs = theirs or (lambda x: F.gelu(x, approximate="tanh"))
    check(ours(), lambda x, p: theirs(x), rng.normal(0, 2, size=(B, T, C)), rng)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax(rng, axis):
    x = rng.normal(0, 5, size=(B, T, C))
    check(nn.Softmax(axis), lambda x, p: torch.softmax(x, axis), x, rng)
    tx, dp = tensor(x), rng.normal(size=x.shape)
    torch.softmax(tx, axis).backward(torch.tensor(dp))
    same(softmax_backward(dp, softmax(x, axis), axis), tx.grad)
    same(log_softmax(x, axis), torch.log_softmax(tensor(x), axis))


def test_cross_entropy(rng):
    logits, targets = rng.normal(0, 5, size=(B, T, V)), rng.integers(0, V, (B, T))
    t_logits = tensor(logits)
    t_loss = F.cross_entropy(t_logits.reshape(-1, V), torch.tensor(targets.reshape(-1)))
    (t_loss * 0.7).backward()
    loss = nn.CrossEntropyLoss()
    same(loss(logits, targets), t_loss)
    same(cross_entropy(logits, targets), t_loss)
    same(loss.backward(0.7), t_logits.grad)


@pytest.mark.parametrize("scale", [1, 300])
def test_cross_entropy_of_logits_that_overflow_exp(rng, scale):
    logits, targets = scale * rng.normal(0, 5, size=(B, V)), rng.integers(0, V, B)
    same(
        cross_entropy(logits, targets), F.cross_entropy(torch.tensor(logits), torch.tensor(targets))
    )


@pytest.mark.parametrize("causal", [True, False])
def test_multi_head_attention(rng, causal):
    layer = half(nn.MultiHeadAttention(C, H, causal=causal, rng=rng, dtype=np.float64), rng)
    theirs = torch.nn.MultiheadAttention(C, H, batch_first=True)
    x = rng.normal(size=(B, T, C))
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.tensor(layer.qkv.W.T))
        theirs.in_proj_bias.copy_(torch.tensor(layer.qkv.b))
        theirs.out_proj.weight.copy_(torch.tensor(layer.proj.W.T))
        theirs.out_proj.bias.copy_(torch.tensor(layer.proj.b))
    tx = tensor(x)
    mask = torch.triu(torch.ones(T, T, dtype=torch.bool), 1) if causal else None
    ty, _ = theirs(tx, tx, tx, attn_mask=mask, need_weights=False)
    same(layer(x), ty)
    dy = rng.normal(size=x.shape)
    ty.backward(torch.tensor(dy))
    same(layer.backward(dy), tx.grad)
    same(layer.qkv.dW, theirs.in_proj_weight.grad.T)
    same(layer.qkv.db, theirs.in_proj_bias.grad)
    same(layer.proj.dW, theirs.out_proj.weight.grad.T)
    same(layer.proj.db, theirs.out_proj.bias.grad)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block(rng, activation):
    layer = half(nn.TransformerBlock(C, H, 31, activation, rng=rng, dtype=np.float64), rng)

    def forward(x, p):
        def norm(x, name):
            return F.layer_norm(x, (C,), p[f"{name}.gamma"], p[f"{name}.beta"])

        q, k, v = F.linear(norm(x, "ln1"), p["attn.qkv.W"].T, p["attn.qkv.b"]).split(C, -1)
        q, k, v = (a.view(B, T, H, C // H).transpose(1, 2) for a in (q, k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        a = a.transpose(1, 2).reshape(B, T, C)
        x = x + F.linear(a, p["attn.proj.W"].T, p["attn.proj.b"])
        h = F.linear(norm(x, "ln2"), p["ffn.fc1.W"].T, p["ffn.fc1.b"])
        h = F.relu(h) if activation == "relu" else F.gelu(h, approximate="tanh")
        return x + F.linear(h, p["ffn.fc2.W"].T, p["ffn.fc2.b"])

    check(layer, forward, rng.normal(size=(B, T, C)), rng)


class Two(nn.Module):
    """A matrix and a vector with gradients that the test sets."""

    def __init__(self, rng):
        self.W, self.b = rng.normal(size=(5, 3)), rng.normal(size=4)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)


def run_100_steps(rng, make_ours, make_theirs, each_step=lambda *_: None):
    model = Two(rng)
    params = {name: tensor(p.copy()) for name, p in model.params().items()}
    # PyTorch leaves out what it is told to: here the decay of the vector.
    ours, theirs = make_ours(model), make_theirs(params)
    for step in range(100):
        for name, g in model.grads().items():
            g[...] = rng.normal(size=g.shape) * 10 ** rng.normal()
            params[name].grad = torch.tensor(g)
        each_step(step, model, params, ours, theirs)
        ours.step()
        theirs.step()
        for name, p in model.params().items():
            same(p, params[name])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_over_100_steps(rng, decay):
    def theirs(params):
        groups = [
            {"params": [params["W"]], "weight_decay": decay},
            {"params": [params["b"]], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=3e-2, betas=(0.9, 0.95), eps=1e-8)

    def rates(step, model, params, ours, theirs):
        ours.lr = 3e-2 * (1 - step / 200)
        for group in theirs.param_groups:
            group["lr"] = ours.lr

    run_100_steps(rng, lambda m: Adam(m, 3e-2, (0.9, 0.95), weight_decay=decay), theirs, rates)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_over_100_steps(rng, momentum):
    run_100_steps(
        rng,
        lambda m: SGD(m, 1e-3, momentum),
        lambda p: torch.optim.SGD(p.values(), 1e-3, momentum=momentum),
    )


def test_gradient_clipping(rng):
    norms = []

    def clip(step, model, params, ours, theirs):
        norm = clip_grad_norm(model, 3.0)
        same(norm, torch.nn.utils.clip_grad_norm_(params.values(), 3.0))
        for name, g in model.grads().items():
            same(g, params[name].grad)
        norms.append(norm)

    run_100_steps(rng, lambda m: SGD(m, 1e-3), lambda p: torch.optim.SGD(p.values(), 1e-3), clip)
    assert min(norms) < 3.0 < max(norms), "both cases must occur"


def test_step_lr(rng):
    ours = SGD(Two(rng), 0.1)
    theirs = torch.optim.SGD([tensor(np.ones(2))], 0.1)
    a, b = StepLR(ours, 7, 0.3), torch.optim.lr_scheduler.StepLR(theirs, 7, 0.3)
    for _ in range(30):
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        a.step()
        b.step()
