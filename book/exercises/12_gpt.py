# %% [markdown]
# # Exercises for chapter 12: GPT
#
# The whole model: its size, where it starts, and its backward pass. Write your code in place of
# `raise NotImplementedError()`, all of it in that cell. The check below it runs your code on
# cases that you do not see, and says what is wrong. `hint("gpt-count")` in a cell of your own gives a
# hint; call it again for the next.

# %%
import math
from dataclasses import dataclass

import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import CrossEntropyLoss, Embedding, LayerNorm, Linear, Module, TransformerBlock

# %% [markdown]
# ## Task 1: how many parameters? (2 points, easy, about 15 minutes)
#
# Return the number of trainable numbers of a GPT: V = `vocab_size`, `block_size`, `n_layer`, and
# C = `n_embd`. At the bottom are two tables, V × C for the tokens and `block_size` × C for the
# positions. Each block has two LayerNorms, attention with `qkv` (C to 3C) and `proj` (C to C), and a
# feed-forward layer with `fc1` (C to 4C) and `fc2` (4C to C). With `bias`, each of these four Linear
# layers has one, and each LayerNorm a β; without, LayerNorms keep their γ alone. After the blocks
# comes one more LayerNorm, then the head, a C × V matrix that never has a bias: with `tie_weights`
# it is the token table and adds nothing.

# %% answer="gpt-count"
def num_params(vocab_size, block_size, n_layer, n_embd, tie_weights=True, bias=True):
    """Return how many numbers are trained, shared ones counted once."""
    ### BEGIN SOLUTION
    V, C = vocab_size, n_embd
    norm = C + C * bias
    attn = C * 3 * C + 3 * C * bias + C * C + C * bias
    ffn = C * 4 * C + 4 * C * bias + 4 * C * C + C * bias
    blocks = n_layer * (2 * norm + attn + ffn)
    return V * C + block_size * C + blocks + norm + (0 if tie_weights else C * V)
    ### END SOLUTION

# %% check="gpt-count" points=2 minutes=15 level="easy"
check("gpt-count", num_params)

# %% [markdown]
# ## Task 2: where the loss starts (2 points, medium, about 15 minutes)
#
# The first loss is good if the first weights are small. Return the standard deviation that chapter
# 12 gives a matrix: 0.02, but less for the two matrices of a block that end a branch, `attn.proj` and
# `ffn.fc2`. Their branches add up in the stream, and are random and independent at the start:
# choose theirs so that all branches of the model together add the variance that a single one would
# add with 0.02. `name` is a dotted name as in `params()`, such as `blocks.3.ffn.fc2.W`. Also return
# the loss of a model whose logits are all equal.

# %% answer="gpt-start"
def start(name, n_layer, vocab_size):
    """Return (standard deviation of the matrix `name`, first loss in nats)."""
    ### BEGIN SOLUTION
    branch = name.endswith(("attn.proj.W", "ffn.fc2.W"))
    std = 0.02 / math.sqrt(2 * n_layer) if branch else 0.02
    return std, math.log(vocab_size)
    ### END SOLUTION

# %% check="gpt-start" points=2 minutes=15 level="medium"
check("gpt-start", start)

# %% [markdown]
# ## Task 3: GPT backward (5 points, hard, about 40 minutes)
#
# The class is that of the chapter. Write `backward`, from the loss down to the tables:
#
# - after a pass with targets (`self.has_loss`), `dy` is the gradient of the loss, and
#   `self.loss.backward(dy)` gives that of the logits;
# - without targets, `dy` is the gradient of the logits itself, `(B, T, V)`;
# - without tied weights, the head is `self.head`, a Linear;
# - with tied weights it is None, and $logits = x\,W_{te}^\top$ with `self.x`, `(B, T, C)`, and
#   `self.wte.W`, `(V, C)`;
# - the tied table gets a gradient from writing as well as from reading: add to its `dW` in place;
# - position vectors are read once, and used by all sequences;
# - all other parts have a `backward` to call, from the last to the first;
# - ids have no gradient: return nothing.

# %%
@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT."""

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    activation: str = "relu"
    tie_weights: bool = True
    bias: bool = True

class GPT(Module):
    """logits = head(ln_f(blocks(wte[ids] + wpe[0..T-1]))).  ids: (B, T), logits: (B, T, V)."""

    def __init__(self, config, *, rng, dtype=np.float32):
        config = GPTConfig(**config) if isinstance(config, dict) else config
        V, C, bias = config.vocab_size, config.n_embd, config.bias
        self.config = config
        self.wte = Embedding(V, C, rng=rng, dtype=dtype)
        self.wpe = Embedding(config.block_size, C, rng=rng, dtype=dtype)
        self.blocks = [
            TransformerBlock(
                C, config.n_head, 4 * C, config.activation, bias=bias, rng=rng, dtype=dtype
            )
            for _ in range(config.n_layer)
        ]
        self.ln_f = LayerNorm(C, bias=bias, dtype=dtype)
        self.head = None if config.tie_weights else Linear(C, V, bias=False, rng=rng, dtype=dtype)
        self.loss = CrossEntropyLoss()

    def forward(self, ids, targets=None):
        B, T = ids.shape
        if T > self.config.block_size:
            raise ValueError(f"{T} tokens are more than block_size={self.config.block_size}")
        x = self.wte(ids) + self.wpe(np.arange(T))    # (B, T, C)
        for block in self.blocks:
            x = block(x)
        self.x = self.ln_f(x)
        logits = self.x @ self.wte.W.T if self.head is None else self.head(self.x)    # (B, T, V)
        self.has_loss = targets is not None
        return (logits, self.loss(logits, targets)) if self.has_loss else logits

# %% answer="gpt-backward"
@add_to_class(GPT)
def backward(self, dy=1.0):
    ### BEGIN SOLUTION
    dlogits = self.loss.backward(dy) if self.has_loss else dy
    if self.head is None:
        V, C = self.wte.W.shape
        self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
        dx = dlogits @ self.wte.W
    else:
        dx = self.head.backward(dlogits)
    dx = self.ln_f.backward(dx)
    for block in reversed(self.blocks):
        dx = block.backward(dx)
    self.wpe.backward(dx.sum(axis=0))
    self.wte.backward(dx)
    ### END SOLUTION

# %% check="gpt-backward" points=5 minutes=40 level="hard" adopts="gpt:GPT"
check("gpt-backward", GPT)
