"""A whole GPT against transformers.GPT2LMHeadModel with the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from numpygpt import GPT, GPTConfig
from numpygpt.data import DataLoader
from numpygpt.optim import Adam, clip_grad_norm
from numpygpt.optim.lr_scheduler import WarmupCosineLR
from numpygpt.tokenizers import CharTokenizer

TEXT = (Path(__file__).parents[2] / "data/shakespeare.txt").read_text(encoding="utf-8")

# Our names -> theirs. GPT-2's Conv1D stores weights as we do, (in, out): nothing is transposed.
LAYER = {
    "ln1.gamma": "ln_1.weight",
    "ln1.beta": "ln_1.bias",
    "attn.qkv.W": "attn.c_attn.weight",
    "attn.qkv.b": "attn.c_attn.bias",
    "attn.proj.W": "attn.c_proj.weight",
    "attn.proj.b": "attn.c_proj.bias",
    "ln2.gamma": "ln_2.weight",
    "ln2.beta": "ln_2.bias",
    "ffn.fc1.W": "mlp.c_fc.weight",
    "ffn.fc1.b": "mlp.c_fc.bias",
    "ffn.fc2.W": "mlp.c_proj.weight",
    "ffn.fc2.b": "mlp.c_proj.bias",
}
OUTER = {
    "wte.W": "transformer.wte.weight",
    "wpe.W": "transformer.wpe.weight",
    "ln_f.gamma": "transformer.ln_f.weight",
    "ln_f.beta": "transformer.ln_f.bias",
}


def their_name(name):
    if name in OUTER:
        return OUTER[name]
    _, i, rest = name.split(".", 2)
    return f"transformer.h.{i}.{LAYER[rest]}"


def pair(activation, dtype, size=0.5, **sizes):
    """Our GPT and transformers' with the same weights: of this size, or as we draw them (None)."""
    rng = np.random.default_rng(0)
    ours = GPT(GPTConfig(**sizes, activation=activation), rng=rng, dtype=dtype)
    if size is not None:
        for p in ours.params().values():
            p[...] = rng.normal(0, size, p.shape)
    config = GPT2Config(
        vocab_size=sizes["vocab_size"],
        n_positions=sizes["block_size"],
        n_embd=sizes["n_embd"],
        n_layer=sizes["n_layer"],
        n_head=sizes["n_head"],
        activation_function={"relu": "relu", "gelu": "gelu_new"}[activation],
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    theirs = GPT2LMHeadModel(config).to(torch.float64 if dtype == np.float64 else torch.float32)
    state = dict(theirs.named_parameters())
    assert {their_name(n) for n in ours.params()} == state.keys()
    with torch.no_grad():
        for name, p in ours.params().items():
            assert state[their_name(name)].shape == p.shape
            state[their_name(name)].copy_(torch.tensor(p))
    return ours, theirs, state


def their_loss(theirs, x, y):
    logits = theirs(torch.tensor(x)).logits
    V = logits.shape[-1]
    return logits, torch.nn.functional.cross_entropy(
        logits.reshape(-1, V), torch.tensor(y.reshape(-1))
    )


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_logits_loss_and_every_gradient(activation):
    ours, theirs, state = pair(
        activation, np.float64, vocab_size=37, block_size=13, n_layer=3, n_head=5, n_embd=20
    )
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 37, (2, 3, 11))
    logits, loss = ours(x, y)
    t_logits, t_loss = their_loss(theirs, x, y)
    np.testing.assert_allclose(logits, t_logits.detach(), rtol=1e-9, atol=1e-9)
    assert loss == pytest.approx(t_loss.item(), rel=1e-9)
    ours.backward()
    t_loss.backward()
    for name, g in ours.grads().items():
        theirs_g = state[their_name(name)].grad.numpy()
        np.testing.assert_allclose(g, theirs_g, rtol=1e-9, atol=1e-9, err_msg=name)
        assert name == "wpe.W" or np.abs(theirs_g).max() > 1e-6


# Not ReLU in float32: there rounding decides whether an input near 0 passes. One side then has a
# tiny gradient and the other has none, and Adam's first step in an entry is lr whatever the size of
# its gradient. After 200 steps the losses differ by 0.01, and transformers' own float32 and float64
# curves do, too.
@pytest.mark.parametrize(
    ("activation", "dtype", "tolerance"),
    [("relu", np.float64, 1e-9), ("gelu", np.float32, 1e-5)],
    ids=["relu, float64", "gelu, float32"],
)
def test_loss_curves_of_200_adamw_steps_on_the_same_batches(activation, dtype, tolerance):
    # The model of `make train`, its text, its batches, its optimizer; both start from our weights.
    tokenizer = CharTokenizer.train(TEXT)
    V = tokenizer.vocab_size
    sizes = {"vocab_size": V, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}
    ours, theirs, state = pair(activation, dtype, size=None, **sizes)
    optimizer = Adam(ours, 1e-3, (0.9, 0.99), weight_decay=0.1)
    schedule = WarmupCosineLR(optimizer, 100, 2000, 1e-4)
    groups = [
        {"params": [p for p in state.values() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in state.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    t_optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), eps=1e-8)
    loader = DataLoader(np.array(tokenizer.encode(TEXT)), 12, 64, rng=np.random.default_rng(3))
    curve, t_curve = [], []
    for step in range(200):
        x, y = (np.ascontiguousarray(a) for a in next(loader))
        optimizer.zero_grad()
        t_optimizer.zero_grad()
        curve.append(ours(x, y)[1])
        ours.backward()
        _, t_loss = their_loss(theirs, x, y)
        t_loss.backward()
        t_curve.append(t_loss.item())
        clip_grad_norm(ours, 1.0)
        torch.nn.utils.clip_grad_norm_(state.values(), 1.0)
        optimizer.lr = schedule.lr_at(step)
        for group in t_optimizer.param_groups:
            group["lr"] = optimizer.lr
        optimizer.step()
        t_optimizer.step()
    assert curve[0] > 4 and curve[-1] < 2.6, "the curve must go somewhere"
    largest = np.abs(np.array(curve) - t_curve).max()
    print(f"largest difference of the losses, {np.dtype(dtype)}: {largest:.1e}")
    np.testing.assert_allclose(curve, t_curve, rtol=0, atol=tolerance)
