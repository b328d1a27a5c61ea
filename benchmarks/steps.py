"""Training steps of our GPT and of transformers' of the same shape, for bench.py.

    python benchmarks/steps.py ours|theirs A|B|C relu|gelu

does two steps in this process, which imports the other side's libraries nowhere, and prints its
peak memory in MB, interpreter and libraries included (Linux).
"""

import sys

import numpy as np
from measure import peak_memory

V = 65
# batch, block, layers, heads, width
CONFIGS = {"A": (12, 64, 4, 4, 128), "B": (16, 128, 4, 4, 256), "C": (64, 256, 6, 6, 384)}


def batch(name):
    return np.random.default_rng(1).integers(0, V, (2, *CONFIGS[name][:2]))


def our_model(name, activation):
    from numpygpt import GPT, GPTConfig

    _, block_size, n_layer, n_head, n_embd = CONFIGS[name]
    shape = GPTConfig(V, block_size, n_layer, n_head, n_embd, activation)
    return GPT(shape, rng=np.random.default_rng(0))


def their_model(name, activation):
    from transformers import GPT2Config, GPT2LMHeadModel

    _, block_size, n_layer, n_head, n_embd = CONFIGS[name]
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=V,
            n_positions=block_size,
            n_embd=n_embd,
            n_layer=n_layer,
            n_head=n_head,
            activation_function={"relu": "relu", "gelu": "gelu_new"}[activation],
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def our_step(name, activation):
    """Return a function that does one step: forward, loss, backward, clipping, AdamW."""
    from numpygpt.engine import ThreadedEngine
    from numpygpt.optim import Adam, clip_grad_norm

    model, (x, y) = our_model(name, activation), batch(name)
    engine = ThreadedEngine(model)
    optimizer = Adam(model, 1e-3, (0.9, 0.99), weight_decay=0.1)

    def step():
        optimizer.zero_grad()
        engine.backprop(x, y)
        clip_grad_norm(model, 1.0)
        optimizer.step()

    return step


def their_step(name, activation):
    import torch

    model, (x, y) = their_model(name, activation), map(torch.tensor, batch(name))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))

    def step():
        optimizer.zero_grad()
        logits = model(x).logits
        torch.nn.functional.cross_entropy(logits.view(-1, V), y.view(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


if __name__ == "__main__":
    side, name, activation = sys.argv[1:]
    step = {"ours": our_step, "theirs": their_step}[side](name, activation)
    step()
    step()
    print(peak_memory() / 1e6)
