"""GPT: embeddings, transformer blocks, a head, and the loss. Derived in chapter 12."""

import math
from dataclasses import dataclass

import numpy as np

from numpygpt.nn.embedding import Embedding
from numpygpt.nn.layernorm import LayerNorm
from numpygpt.nn.linear import Linear
from numpygpt.nn.loss import CrossEntropyLoss
from numpygpt.nn.module import Module
from numpygpt.nn.transformer import TransformerBlock


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT: V = vocab_size, block_size the longest T, C = n_embd, H = n_head.

    Raises:
        ValueError: a field has a value that no GPT can have; the message names it.
    """

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    activation: str = "relu"
    tie_weights: bool = True
    bias: bool = True

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd={self.n_embd} is not divisible by n_head={self.n_head}")
        if self.activation not in ("relu", "gelu"):
            raise ValueError(f"activation={self.activation!r} is neither 'relu' nor 'gelu'")
        for name in ("tie_weights", "bias"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")


class GPT(Module):
    """logits = head(ln_f(blocks(wte[ids] + wpe[0..T-1]))).  ids: (B, T), logits: (B, T, V).

    With tie_weights the head is wteᵀ: one matrix reads tokens and writes them.
    Sources: Radford et al., Language Models are Unsupervised Multitask Learners, 2019 (GPT-2);
    Press and Wolf, Using the Output Embedding to Improve Language Models, 2016 (tying).
    """

    def __init__(self, config, *, rng, dtype=np.float32):
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
        self._init_weights(rng)

    def _init_weights(self, rng):
        """Draw weights nearly as GPT-2 does: small, so that all logits start near 0."""
        for name, p in self.params().items():
            if p.ndim == 2:
                # Each block adds two branches to the stream: scaled down, they keep its size.
                branch = name.endswith(("attn.proj.W", "ffn.fc2.W"))
                std = 0.02 / math.sqrt(2 * self.config.n_layer) if branch else 0.02
                p[...] = rng.normal(0, std, p.shape)

    def forward(self, ids, targets=None):
        """Return logits; with targets (B, T), return (logits, loss)."""
        B, T = ids.shape
        if T > self.config.block_size:
            raise ValueError(f"{T} tokens are more than block_size={self.config.block_size}")
        x = self.wte(ids) + self.wpe(np.arange(T))  # (B, T, C)
        for block in self.blocks:
            x = block(x)
        x = self.ln_f(x)
        self.x, self.has_loss = x, targets is not None  # for backward
        logits = x @ self.wte.W.T if self.head is None else self.head(x)  # (B, T, V)
        return (logits, self.loss(logits, targets)) if self.has_loss else logits

    def backward(self, dy=1.0):
        """Add to all gradients; dy: dloss after a pass with targets, else dlogits (B, T, V)."""
        # loss(logits, targets)
        dlogits = self.loss.backward(dy) if self.has_loss else dy
        # logits = head(ln_f(x))
        dx = self._head_backward(dlogits)
        dx = self.ln_f.backward(dx)
        # x = block(x), for each block
        for block in reversed(self.blocks):
            dx = block.backward(dx)
        # x = wte(ids) + wpe(0..T-1): every sequence reads the same positions
        self.wpe.backward(dx.sum(axis=0))
        self.wte.backward(dx)

    def _head_backward(self, dlogits):
        if self.head is not None:
            return self.head.backward(dlogits)
        # logits = x wteᵀ
        V, C = self.wte.W.shape
        self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
        return dlogits @ self.wte.W
