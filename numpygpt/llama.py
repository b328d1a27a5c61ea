"""LlamaConfig and Llama: today's decoder, put together. Derived in chapter 23."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from numpygpt.llama_block import LlamaBlock
from numpygpt.nn.embedding import Embedding
from numpygpt.nn.linear import Linear
from numpygpt.nn.loss import CrossEntropyLoss
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm
from numpygpt.nn.rotary import Rotary


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a Llama: GPTConfig's fields without bias, and new ones. None: from the others.

    Raises:
        ValueError: a field has a value that no Llama can have; the message names it.
    """

    vocab_size: int
    block_size: int  # the longest T in training
    n_layer: int
    n_head: int
    n_embd: int
    n_kv_head: int = None  # n_head
    head_dim: int = None  # n_embd / n_head
    hidden: int = None  # swiglu: 8/3 n_embd, up to a multiple of 8; relu2: 4 n_embd
    activation: str = "swiglu"
    qk_norm: bool = False
    tie_weights: bool = True
    zero_init_head: bool = False
    rope_base: float = 10_000.0
    rope_layout: str = "interleaved"  # or "halves", as in files of Hugging Face
    norm_eps: float = 1e-5

    def __post_init__(self):
        self._check_sizes("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        self._check_words(activation=("swiglu", "relu2"), rope_layout=("interleaved", "halves"))
        if self.head_dim is None and self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd={self.n_embd} is not divisible by n_head={self.n_head}: give head_dim"
            )
        C = self.n_embd
        chosen = {
            "n_kv_head": self.n_head,
            "head_dim": C // self.n_head,
            "hidden": 8 * math.ceil(C / 3) if self.activation == "swiglu" else 4 * C,
        }
        for name, value in chosen.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # how a frozen dataclass sets its fields
        self._check_sizes(*chosen)
        self._check_the_rest()

    def _check_sizes(self, *names):
        for name in names:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")

    def _check_words(self, **words):
        for name, (one, other) in words.items():
            if (value := getattr(self, name)) not in (one, other):
                raise ValueError(f"{name}={value!r} is neither {one!r} nor {other!r}")

    def _check_the_rest(self):
        if self.n_head % self.n_kv_head:
            raise ValueError(f"n_head={self.n_head} is not divisible by n_kv_head={self.n_kv_head}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} must be even: RoPE turns pairs")
        for name in ("qk_norm", "tie_weights", "zero_init_head"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")
        if self.zero_init_head and self.tie_weights:
            raise ValueError("zero_init_head=True needs tie_weights=False: a tied head is wte")
        for name, high in (("rope_base", 1e300), ("norm_eps", 1)):
            value = getattr(self, name)
            if not (type(value) in (int, float) and 0 < value < high):
                raise ValueError(f"{name}={value!r} must be a number between 0 and {high}")


class Llama(Module):
    """logits = head(ln_f(blocks(wte[ids]))).  ids: (B, T), logits: (B, T, V).

    T may exceed block_size, but what the model makes of such positions is not trained (chapter 22).
    Source: Touvron et al., LLaMA: Open and Efficient Foundation Language Models, 2023.
    """

    def __init__(self, config, *, rng, dtype=np.float32):
        V, C = config.vocab_size, config.n_embd
        self.config = config
        self.wte = Embedding(V, C, rng=rng, dtype=dtype)
        # The same angles in all blocks.
        rotary = Rotary(config.head_dim, config.rope_base, config.rope_layout)
        self.blocks = [
            LlamaBlock(config, rotary, rng=rng, dtype=dtype) for _ in range(config.n_layer)
        ]
        self.ln_f = RMSNorm(C, config.norm_eps, dtype)
        self.head = None if config.tie_weights else Linear(C, V, bias=False, rng=rng, dtype=dtype)
        self.loss = CrossEntropyLoss()
        self._init_weights(rng)

    def _init_weights(self, rng):
        """As chapter 12 does: small, the last matrix of each branch smaller; or a head of zeros."""
        for name, p in self.params().items():
            if p.ndim == 2:
                branch = name.endswith(("attn.proj.W", "ffn.down.W"))
                std = 0.02 / math.sqrt(2 * self.config.n_layer) if branch else 0.02
                p[...] = rng.normal(0, std, p.shape)
        if self.config.zero_init_head:
            self.head.W[...] = 0

    def forward(self, ids, targets=None):
        """Return logits; with targets (B, T), return (logits, loss)."""
        x = self.wte(ids)  # (B, T, C)
        for block in self.blocks:
            x = block(x)
        logits = self._logits(x)
        self.has_loss = targets is not None  # for backward
        return (logits, self.loss(logits, targets)) if self.has_loss else logits

    def _logits(self, x):
        self.x = x = self.ln_f(x)  # for backward
        return x @ self.wte.W.T if self.head is None else self.head(x)

    def backward(self, dy=1.0):
        """Add to all gradients; dy: dloss after a pass with targets, else dlogits (B, T, V)."""
        # loss(logits, targets)
        dlogits = self.loss.backward(dy) if self.has_loss else dy
        # logits = head(ln_f(x)), or ln_f(x) wteᵀ
        if self.head is not None:
            dx = self.head.backward(dlogits)
        else:
            V, C = self.wte.W.shape
            self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
            dx = dlogits @ self.wte.W
        dx = self.ln_f.backward(dx)
        # x = block(x), for each block
        for block in reversed(self.blocks):
            dx = block.backward(dx)
        # x = wte(ids)
        self.wte.backward(dx)

    def read(self, ids, cache):
        """Return the logits (B, V) after ids (B, n), which are the newest of the cache's window."""
        start = cache.window.shape[1] - ids.shape[1]
        x = self.wte(ids)
        for layer, block in enumerate(self.blocks):
            x = block(x, start, partial(cache.extend, layer))
        return self._logits(x[:, -1])
