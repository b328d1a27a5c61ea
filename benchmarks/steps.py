"""Training steps of our models and of transformers' of the same shape, for bench.py.

    python benchmarks/steps.py ours|theirs A|B|C relu|gelu|llama

The first two are GPTs, the third a Llama with QK-norm and half as many heads of keys, beside Qwen3.
The program does two steps in this process, which imports the other side's libraries nowhere, and
prints its peak memory in MB, interpreter and libraries included (Linux).
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
    if activation == "llama":
        from numpygpt import Llama, LlamaConfig  # here: before.py asks older packages, too

        shape = LlamaConfig(
            V, block_size, n_layer, n_head, n_embd, n_kv_head=n_head // 2, qk_norm=True
        )
        return Llama(shape, rng=np.random.default_rng(0))
    shape = GPTConfig(V, block_size, n_layer, n_head, n_embd, activation)
    return GPT(shape, rng=np.random.default_rng(0))


def their_model(name, activation):
    from transformers import GPT2Config, GPT2LMHeadModel

    _, block_size, n_layer, n_head, n_embd = CONFIGS[name]
    if activation == "llama":
        return their_qwen(our_model(name, "llama").config)
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


def their_qwen(config):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=V,
            hidden_size=config.n_embd,
            intermediate_size=config.hidden,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            num_key_value_heads=config.n_kv_head,
            head_dim=config.head_dim,
            max_position_embeddings=config.block_size,
            rms_norm_eps=config.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
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
