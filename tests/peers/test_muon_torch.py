"""Steps of Muon against those of torch.optim.Muon, in float64."""

import numpy as np
import pytest
import torch

from numpygpt import GPT, GPTConfig
from numpygpt.optim import Muon
from numpygpt.optim.muon import matrices, orthogonalize


@pytest.fixture(autouse=True)
def without_bfloat16(monkeypatch):
    # PyTorch orthogonalizes in bfloat16, whose three digits would hide what we look for.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.double)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_are_those_of_torch(momentum, weight_decay):
    model = GPT(GPTConfig(11, 8, 2, 3, 12), rng=np.random.default_rng(0), dtype=np.float64)
    ours = Muon(model, 0.05, momentum, weight_decay)
    rng = np.random.default_rng(1)
    pairs = [  # (our matrix, its gradient, theirs, which is (out, in)): q, k and v apart
        (W, g, torch.nn.Parameter(torch.tensor(W.T.copy())))
        for name in ours.m
        for W, g in zip(
            matrices(name, model.params()[name]), matrices(name, model.grads()[name]), strict=True
        )
    ]
    assert len(pairs) == 2 * 6
    theirs = torch.optim.Muon(
        [p for _, _, p in pairs], lr=0.05, momentum=momentum, weight_decay=weight_decay
    )
    for lr in (0.05, 0.05, 0.02, 0.02):
        ours.lr = theirs.param_groups[0]["lr"] = lr
        for W, g, p in pairs:
            g[...] = rng.normal(0, 0.5, W.shape)
            p.grad = torch.tensor(g.T.copy())
        ours.step()
        theirs.step()
        for W, _, p in pairs:
            np.testing.assert_allclose(W, p.detach().numpy().T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalize_is_theirs(shape):
    from torch.optim._muon import _zeropower_via_newtonschulz

    G = np.random.default_rng(0).normal(size=shape)
    theirs = _zeropower_via_newtonschulz(torch.tensor(G), (3.4445, -4.7750, 2.0315), 5, 1e-7)
    np.testing.assert_allclose(orthogonalize(G), theirs.numpy(), rtol=1e-10, atol=1e-12)
