# %% [markdown]
# # Exercises for chapter 23: A modern GPT
#
# Gates, shared keys, and what they save. Write your code in place of `raise NotImplementedError()`, all
# of it in that cell. The check below it runs your code on cases that you do not see, and says what is
# wrong. `hint("gates-swiglu")` in a cell of your own gives a hint; call it again for the next.

# %%
import math

import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Linear, Module, RMSNorm, Rotary
from numpygpt.nn.functional import softmax, softmax_backward

# %% [markdown]
# ## Task 1: squared ReLU (2 points, easy, about 10 minutes)
#
# $y = down(r^2)$ with $r = \max(up(x), 0)$. `forward` has kept `self.r`. `dy` and the `dx` that you return are
# `(..., dim)`, of one dtype. `self.up` and `self.down` have backward passes of their own, which add to their
# gradients: call them. What `forward` has kept must stay as it is.

# %%
class SquaredReLU(Module):
    """y = down(max(up(x), 0)²).  x, y: (..., dim), hidden layer: (..., hidden)."""

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        self.r = np.maximum(self.up(x), 0)
        return self.down(self.r * self.r)

# %% answer="gates-squared-relu"
@add_to_class(SquaredReLU)
def backward(self, dy):
    ### BEGIN SOLUTION
    dm = self.down.backward(dy)
    return self.up.backward(2 * self.r * dm)
    ### END SOLUTION

# %% check="gates-squared-relu" points=2 minutes=10 level="easy" adopts="nn.gates:SquaredReLU"
check("gates-squared-relu", SquaredReLU)

# %% [markdown]
# ## Task 2: SwiGLU (3 points, medium, about 20 minutes)
#
# $y = down(h \cdot u)$ with $h = a\,\sigma(a)$, $a = gate(x)$ and $u = up(x)$. `forward` has kept
# `self.s`, which is $\sigma(a)$, `self.h` and `self.u`, all `(..., hidden)`. $a$ may be -100 or 100,
# where $\sigma(a)$ is 0 or 1. `dy` and the `dx` that you return are `(..., dim)`, of one
# dtype. Again the three Linears have backward passes of their own.

# %%
class SwiGLU(Module):
    """y = down(silu(gate(x)) · up(x)).  x, y: (..., dim), the two factors: (..., hidden)."""

    def __init__(self, dim, hidden, *, bias=False, rng, dtype=np.float32):
        self.gate = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.up = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.down = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        a = self.gate(x)
        self.s = 0.5 * (1 + np.tanh(0.5 * a))
        self.h, self.u = a * self.s, self.up(x)
        return self.down(self.h * self.u)

# %% answer="gates-swiglu"
@add_to_class(SwiGLU)
def backward(self, dy):
    ### BEGIN SOLUTION
    dm = self.down.backward(dy)
    dh, du = dm * self.u, dm * self.h
    da = dh * (self.s + self.h * (1 - self.s))
    return self.gate.backward(da) + self.up.backward(du)
    ### END SOLUTION

# %% check="gates-swiglu" points=3 minutes=20 level="medium" adopts="nn.gates:SwiGLU"
check("gates-swiglu", SwiGLU)

# %% [markdown]
# ## Task 3: queries that share keys (5 points, hard, about 40 minutes)
#
# The layer of the chapter: H = `n_kv_heads` heads of keys and values, for each of them G heads of
# queries. `forward` is there, write `backward`. It has kept `self.queries`, `(B, H, G T, D)`, the queries of a
# group stacked below each other, `self.keys` and `self.values`, `(B, H, T, D)`, `self.p`, `(B, H, G T, T)`, and
# `self.scale`. `self.split(a, n)` turns `(B, T, H n D)` into `(B, H, n, T, D)`, and `self.join` is its
# reverse. `dx` is like `dy` in shape and dtype. Where `self.rotary` and `self.q_norm` are None, there is
# nothing to go through. All parts have backward passes: `self.q`, `self.k`, `self.v`, `self.proj`, `self.rotary`, `self.q_norm`, `self.k_norm`.

# %%
class GroupedQueryAttention(Module):
    """Causal attention; n_heads / n_kv_heads heads of queries share keys and values."""

    def __init__(self, dim, n_heads, n_kv_heads, head_dim, *, rope=True, qk_norm=True, rng, dtype=np.float32):
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, head_dim
        self.q = Linear(dim, n_heads * head_dim, False, rng=rng, dtype=dtype)
        self.k = Linear(dim, n_kv_heads * head_dim, False, rng=rng, dtype=dtype)
        self.v = Linear(dim, n_kv_heads * head_dim, False, rng=rng, dtype=dtype)
        self.proj = Linear(n_heads * head_dim, dim, False, rng=rng, dtype=dtype)
        self.rotary = Rotary(head_dim) if rope else None
        self.q_norm = RMSNorm(head_dim, dtype=dtype) if qk_norm else None
        self.k_norm = RMSNorm(head_dim, dtype=dtype) if qk_norm else None

    def split(self, a, n):
        B, T, _ = a.shape
        return a.reshape(B, T, self.n_kv_heads, n, self.head_dim).transpose(0, 2, 3, 1, 4)

    def join(self, a):
        B, _, _, T, _ = a.shape
        return a.transpose(0, 3, 1, 2, 4).reshape(B, T, -1)

    def forward(self, x, start=0, extend=None):
        B, T, _ = x.shape
        H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
        q, k, v = self.split(self.q(x), G), self.split(self.k(x), 1), self.split(self.v(x), 1)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary is not None:
            q, k = self.rotary(q, start), self.rotary(k, start)
        q, k, v = q.reshape(B, H, G * T, D), k[:, :, 0], v[:, :, 0]
        if extend is not None:    # a KV cache
            k, v = extend(k, v)
        S = k.shape[2]
        future = np.tile(np.triu(np.ones((T, S), bool), S - T + 1), (G, 1))
        self.scale = 1 / math.sqrt(D)
        self.p = softmax(np.where(future, -np.inf, (q @ k.swapaxes(-1, -2)) * self.scale))
        self.queries, self.keys, self.values = q, k, v
        return self.proj(self.join((self.p @ v).reshape(B, H, G, T, D)))

# %% answer="grouped-backward"
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    ### BEGIN SOLUTION
    B, T, _ = dy.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    dout = self.split(self.proj.backward(dy), G).reshape(B, H, G * T, D)
    dp = dout @ self.values.swapaxes(-1, -2)
    dv = self.p.swapaxes(-1, -2) @ dout
    dscores = softmax_backward(dp, self.p) * self.scale
    dq = (dscores @ self.keys).reshape(B, H, G, T, D)
    dk = (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
    if self.rotary is not None:
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
    if self.q_norm is not None:
        dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
    dx = self.q.backward(self.join(dq)) + self.k.backward(self.join(dk))
    return dx + self.v.backward(self.join(dv[:, :, None]))
    ### END SOLUTION

# %% check="grouped-backward" points=5 minutes=40 level="hard" adopts="nn.grouped_attention:GroupedQueryAttention"
check("grouped-backward", GroupedQueryAttention)

# %% [markdown]
# ## Task 4: what a Llama holds (2 points, easy, about 15 minutes)
#
# Return two whole numbers: how many numbers a Llama trains, and how many a KV cache keeps for each token. The
# table of tokens is V × C. Each block has two norms, RMSNorm of size C; attention with `q` (C to `n_head` D), `k` and
# `v` (C to `n_kv_head` D each) and `proj` (`n_head` D to C), where D = `head_dim` need not be C / `n_head`;
# with `qk_norm` two more norms, of size D; and a SwiGLU with `gate` and `up` (C to `hidden`) and `down`
# (`hidden` to C). After the blocks comes one more RMSNorm, then the head: with `tie_weights` it is the
# table, without it a C × V matrix. There are no biases. A cache keeps the keys and the values of each block.

# %% answer="llama-count"
def count(vocab_size, n_layer, n_head, n_kv_head, n_embd, head_dim, hidden, qk_norm=False, tie_weights=True):
    """Return (how many numbers are trained, how many a cache keeps for each token)."""
    ### BEGIN SOLUTION
    V, C, D = vocab_size, n_embd, head_dim
    attn = 2 * C * n_head * D + 2 * C * n_kv_head * D + (2 * D if qk_norm else 0)
    block = 2 * C + attn + 3 * C * hidden
    trained = V * C + n_layer * block + C + (0 if tie_weights else C * V)
    return trained, 2 * n_layer * n_kv_head * D
    ### END SOLUTION

# %% check="llama-count" points=2 minutes=15 level="easy"
check("llama-count", count)
