# %% [markdown]
# # Chapter 23: A modern GPT

# %%
import math

import numpy as np

from coursekit import add_to_class, export
from numpygpt.gradcheck import gradcheck
from numpygpt.nn import CrossEntropyLoss, Embedding, Linear, Module, RMSNorm, Rotary

# %% [markdown]
# ## Gates

# %% tags=["export"] module="nn/gates.py"
"""SwiGLU and SquaredReLU: the feed-forward layers of today. Derived in chapter 23."""

import numpy as np

from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


# %% tags=["export"]
def sigmoid(a):
    """Return σ(a) = 1/(1 + e⁻ᵃ) as (1 + tanh(a/2)) / 2: in float32 e⁻ᵃ overflows below -88."""
    s = np.tanh(0.5 * a)
    s += 1
    s *= 0.5
    return s


# %% tags=["export"]
class SwiGLU(Module):
    """y = down(silu(gate(x)) · up(x)), silu(a) = a σ(a), σ(a) = 1/(1 + e⁻ᵃ).

    x, y: (..., dim), the two factors: (..., hidden).
    Source: Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.gate = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        a, u = self.gate(x), self.up(x)  # (..., hidden)
        s = sigmoid(a)
        h = a * s  # silu(a)
        self.s, self.h, self.u = s, h, u  # for backward
        return self.down(h * u)


# %% tags=["export"]
@add_to_class(SwiGLU)
def backward(self, dy):
    s, h, u = self.s, self.h, self.u
    # y = down(h u): a product, so each factor gets the gradient times the other
    dh = self.down.backward(dy)
    du = dh * h
    dh *= u
    # h = a σ(a): its slope is σ + a σ (1 - σ) = σ + h (1 - σ)
    slope = 1 - s
    slope *= h
    slope += s
    # a = gate(x), u = up(x)
    dx = self.gate.backward(dh * slope)
    dx += self.up.backward(du)
    return dx


# %% tags=["export"]
class SquaredReLU(Module):
    """y = down(max(up(x), 0)²).  x, y: (..., dim), hidden layer: (..., hidden).

    Source: So et al., Primer: Searching for Efficient Transformers, 2021.
    """

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        self.r = np.maximum(self.up(x), 0)  # for backward
        return self.down(self.r * self.r)

    def backward(self, dy):
        # y = down(r²), r = max(up(x), 0): the slope 2 r is 0 where ReLU's is
        return self.up.backward(2 * self.r * self.down.backward(dy))


# %% [markdown]
# ## Grouped-query attention

# %% tags=["export"] module="nn/grouped_attention.py"
"""GroupedQueryAttention: several heads of queries share one of keys. Derived in chapter 23."""

import math

import numpy as np

from numpygpt.nn.functional import softmax, softmax_backward
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm


# %% tags=["export"]
class GroupedQueryAttention(Module):
    """Causal attention in which n_heads / n_kv_heads heads of queries share keys and values.

    x, y: (B, T, dim), queries: n_heads · head_dim, keys and values: n_kv_heads · head_dim.
    Sources: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models from
    Multi-Head Checkpoints, 2023; Henry et al., Query-Key Normalization for Transformers, 2020.

    Args:
        rotary: a Rotary of size head_dim, which turns queries and keys; None turns nothing.
        qk_norm: an RMSNorm for each query and each key, before it is turned.
        norm_eps: that of these norms.

    Raises:
        ValueError: n_heads is not a multiple of n_kv_heads.
    """

    def __init__(
        self, dim, n_heads, n_kv_heads, head_dim, *, rotary=None, qk_norm=False, norm_eps=1e-5,
        bias=False, rng, dtype=np.float32
    ):
        if n_heads % n_kv_heads:
            raise ValueError(f"n_heads={n_heads} is not divisible by n_kv_heads={n_kv_heads}")
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, head_dim
        self.q = Linear(dim, n_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.k = Linear(dim, n_kv_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.v = Linear(dim, n_kv_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.proj = Linear(n_heads * head_dim, dim, bias, rng=rng, dtype=dtype)
        self.rotary = rotary
        self.q_norm = RMSNorm(head_dim, norm_eps, dtype) if qk_norm else None
        self.k_norm = RMSNorm(head_dim, norm_eps, dtype) if qk_norm else None


# %% tags=["export"]
@add_to_class(GroupedQueryAttention)
def split(self, a, n):
    """Return a view of a (B, T, H G D), cut into heads: (B, H, n = G, T, D)."""
    B, T, _ = a.shape
    return a.reshape(B, T, self.n_kv_heads, n, self.head_dim).transpose(0, 2, 3, 1, 4)


@add_to_class(GroupedQueryAttention)
def join(self, a):
    """Return a (B, H, G, T, D) as (B, T, H G D): what `split` has cut."""
    B, _, _, T, _ = a.shape
    return a.transpose(0, 3, 1, 2, 4).reshape(B, T, -1)


# %% tags=["export"]
@add_to_class(GroupedQueryAttention)
def forward(self, x, start=0, extend=None):
    """Return y.

    Args:
        start: position of x[:, 0].
        extend: a function of the keys and values of x, (B, H, T, D), which returns those of all
            positions so far, (B, H, start + T, D): a KV cache. None: x is all there is.
    """
    B, T, _ = x.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    q, k, v = self.split(self.q(x), G), self.split(self.k(x), 1), self.split(self.v(x), 1)
    if self.q_norm is not None:
        q, k = self.q_norm(q), self.k_norm(k)
    if self.rotary is not None:
        q, k = self.rotary(q, start), self.rotary(k, start)
    q, k, v = q.reshape(B, H, G * T, D), k[:, :, 0], v[:, :, 0]  # a group's queries: one matrix
    if extend is not None:
        k, v = extend(k, v)
    scale = 1 / math.sqrt(D)
    scores = q @ k.swapaxes(-1, -2)  # (B, H, G T, keys)
    scores *= scale
    if T > 1:
        S = k.shape[2]  # x has the last T of S positions
        future = np.triu(np.full((T, S), -np.inf, scores.dtype), S - T + 1)
        scores += np.tile(future, (G, 1))
    p = softmax(scores)
    self.queries, self.keys, self.values, self.p, self.scale = q, k, v, p, scale  # for backward
    return self.proj(self.join((p @ v).reshape(B, H, G, T, D)))


# %% tags=["export"]
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    B, T, _ = dy.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    # y = proj(out), the heads of out joined
    dout = self.split(self.proj.backward(dy), G).reshape(B, H, G * T, D)
    # out = p v: the product sums over all rows of p, those of every query in the group
    dp = dout @ self.values.swapaxes(-1, -2)  # (B, H, G T, T)
    dv = self.p.swapaxes(-1, -2) @ dout  # (B, H, T, D)
    # p = softmax(scores + mask), scores = q kᵀ / √D
    dscores = softmax_backward(dp, self.p)
    dscores *= self.scale
    dq = (dscores @ self.keys).reshape(B, H, G, T, D)
    dk = (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]  # a sum again
    # q, k = rotary(q_norm(q)), rotary(k_norm(k))
    if self.rotary is not None:
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
    if self.q_norm is not None:
        dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
    # q, k, v = q(x), k(x), v(x), cut into heads
    dx = self.q.backward(self.join(dq))
    dx += self.k.backward(self.join(dk))
    dx += self.v.backward(self.join(dv[:, :, None]))
    return dx


# %% [markdown]
# ## The block

# %% tags=["export"] module="llama_block.py"
"""LlamaBlock: the pre-norm block, of the parts of today. Derived in chapter 23."""

import numpy as np

from numpygpt.nn.gates import SquaredReLU, SwiGLU
from numpygpt.nn.grouped_attention import GroupedQueryAttention
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm


# %% tags=["export"]
class LlamaBlock(Module):
    """x₁ = x + attn(norm1(x)); y = x₁ + ffn(norm2(x₁)).  x, y: (B, T, C)."""

    def __init__(self, config, rotary, *, rng, dtype=np.float32):
        C, eps, made = config.n_embd, config.norm_eps, {"rng": rng, "dtype": dtype}
        self.norm1 = RMSNorm(C, eps, dtype)
        self.attn = GroupedQueryAttention(
            C, config.n_head, config.n_kv_head, config.head_dim,
            rotary=rotary, qk_norm=config.qk_norm, norm_eps=eps, **made
        )
        self.norm2 = RMSNorm(C, eps, dtype)
        ffn = {"swiglu": SwiGLU, "relu2": SquaredReLU}[config.activation]
        self.ffn = ffn(C, config.hidden, **made)

    def forward(self, x, start=0, extend=None):
        x = x + self.attn(self.norm1(x), start, extend)
        return x + self.ffn(self.norm2(x))

    def backward(self, dy):
        # y = x₁ + ffn(norm2(x₁))
        dx = dy + self.norm2.backward(self.ffn.backward(dy))
        # x₁ = x + attn(norm1(x))
        return dx + self.norm1.backward(self.attn.backward(dx))


# %% [markdown]
# ## The configuration

# %% tags=["export"] module="llama.py"
"""LlamaConfig and Llama: the decoder of today, put together. Derived in chapter 23."""

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


# %% tags=["export"]
@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a Llama: the fields of GPTConfig, and what is new. None: by the others.

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
    norm_eps: float = 1e-5

    def __post_init__(self):
        self._check_sizes("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        if self.activation not in ("swiglu", "relu2"):
            raise ValueError(f"activation={self.activation!r} is neither 'swiglu' nor 'relu2'")
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


# %% tags=["export"]
@add_to_class(LlamaConfig)
def _check_sizes(self, *names):
    for name in names:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1")


@add_to_class(LlamaConfig)
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


# %% [markdown]
# ## The model

# %% tags=["export"]
class Llama(Module):
    """logits = head(ln_f(blocks(wte[ids]))).  ids: (B, T), logits: (B, T, V).

    T may exceed block_size, but what the model makes of such positions is not trained (chapter 22).
    Source: Touvron et al., LLaMA: Open and Efficient Foundation Language Models, 2023.
    """

    def __init__(self, config, *, rng, dtype=np.float32):
        V, C = config.vocab_size, config.n_embd
        self.config = config
        self.wte = Embedding(V, C, rng=rng, dtype=dtype)
        rotary = Rotary(config.head_dim, config.rope_base)  # the same angles in all blocks
        self.blocks = [
            LlamaBlock(config, rotary, rng=rng, dtype=dtype) for _ in range(config.n_layer)
        ]
        self.ln_f = RMSNorm(C, config.norm_eps, dtype)
        self.head = None if config.tie_weights else Linear(C, V, bias=False, rng=rng, dtype=dtype)
        self.loss = CrossEntropyLoss()
        self._init_weights(rng)


# %% tags=["export"]
@add_to_class(Llama)
def _init_weights(self, rng):
    """As chapter 12 does: small, the last matrix of each branch smaller; or a head of zeros."""
    for name, p in self.params().items():
        if p.ndim == 2:
            branch = name.endswith(("attn.proj.W", "ffn.down.W"))
            std = 0.02 / math.sqrt(2 * self.config.n_layer) if branch else 0.02
            p[...] = rng.normal(0, std, p.shape)
    if self.config.zero_init_head:
        self.head.W[...] = 0


# %% tags=["export"]
@add_to_class(Llama)
def forward(self, ids, targets=None):
    """Return logits; with targets (B, T), return (logits, loss)."""
    x = self.wte(ids)  # (B, T, C)
    for block in self.blocks:
        x = block(x)
    logits = self._logits(x)
    self.has_loss = targets is not None  # for backward
    return (logits, self.loss(logits, targets)) if self.has_loss else logits


@add_to_class(Llama)
def _logits(self, x):
    self.x = x = self.ln_f(x)  # for backward
    return x @ self.wte.W.T if self.head is None else self.head(x)


# %% tags=["export"]
@add_to_class(Llama)
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


# %% tags=["export"]
@add_to_class(Llama)
def read(self, ids, cache):
    """Return the logits (B, V) after ids (B, n), which are the newest of the cache's window."""
    start = cache.window.shape[1] - ids.shape[1]
    x = self.wte(ids)
    for layer, block in enumerate(self.blocks):
        x = block(x, start, partial(cache.extend, layer))
    return self._logits(x[:, -1])


# %%
export("23_modern_gpt")
