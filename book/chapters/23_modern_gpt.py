# %% [markdown]
# # Chapter 23: A modern GPT
#
# Here are two models from one experiment. Both have two blocks of 64 channels and read the same batches of
# Shakespeare. The first is the GPT of [chapter 12](12_gpt.ipynb). The second has six changes: five that most
# open models of recent years share, and QK-norm, which some of the newest add.

# %%
import json
import math
import statistics
from pathlib import Path

import numpy as np

from coursekit import add_to_class, export, figures
from numpygpt.gradcheck import GradientError, gradcheck
from numpygpt.nn import GELU, FeedForward, MultiHeadAttention, ReLU, RMSNorm, Rotary

# %%
found = json.loads(Path("../data/ablation.json").read_text("utf-8"))
runs, steps = {}, found["steps"]
for run in found["runs"]:
    runs.setdefault((run["row"], run["steps"]), []).append(run["val_loss"])    # one for each seed
print(f"a step of the second model costs {found['cost']['all six']:.2f} times a step of the first")
for row, n in (("GPT of chapter 12", steps), ("GPT of chapter 12", 2 * steps), ("all six", steps)):
    print(f"{row:18}{n:4} steps: validation loss {statistics.mean(runs[row, n]):.3f} nats, "
          f"{found['parameters'][row]:,} parameters")

# %% [markdown]
# Half the steps, at nearly the same price per step, and the same loss. Of the six changes four are deletions:
#
# | change | what it takes away, or adds |
# |---|---|
# | RMSNorm ([chapter 22](22_rotary.ipynb)) | no mean, no shift β |
# | RoPE (chapter 22) | no table of positions |
# | no biases | none in any Linear |
# | grouped-query attention | fewer heads of keys and values than of queries |
# | SwiGLU | adds a gate to the feed-forward layer |
# | QK-norm | adds two small norms to each attention layer |
#
# The questions of this chapter: what do the last three compute, what are their gradients, and which of
# the six have earned their place?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `a`, `u` | what the matrices `gate` and `up` of a gated layer give | `(..., hidden)` |
# | `s`, `h` | σ(a), and silu(a) = a σ(a) | `(..., hidden)` |
# | `H`, `G` | heads of keys; heads of queries for each of them | whole numbers |
# | `q` | queries, those of a group stacked below each other | `(B, H, G T, D)` |
# | `k`, `v` | keys and values | `(B, H, T, D)` |
# | `scores`, `p` | as in chapter 10 | `(B, H, G T, T)` |
#
# ## A gate, by hand
#
# The feed-forward layer of [chapter 11](11_transformer.ipynb) is `fc2(relu(fc1(x)))`: a hidden unit is open or shut, and
# what comes through is its own input. A *gated* layer (Shazeer, 2020) makes two numbers for each
# hidden unit, with two matrices. One says what, the other how much, and they are multiplied:
#
# $$y = \mathrm{down}\big(\mathrm{silu}(a) \cdot u\big), \qquad a = \mathrm{gate}(x), \quad u =
# \mathrm{up}(x), \quad \mathrm{silu}(a) = a\,\sigma(a), \quad \sigma(a) = \frac{1}{1 + e^{-a}}$$
#
# **Before you run the next cell:** three hidden units have $a = -4, 0, 4$, and all have $u = 5$. What
# comes through, about?

# %%
a, u = np.array([-4.0, 0.0, 4.0]), np.array([5.0, 5.0, 5.0])
s = 1 / (1 + np.exp(-a))
print("σ(a)   ", s.round(3))
print("silu(a)", (a * s).round(3))
print("product", (a * s * u).round(2))

# %% [markdown]
# A little, nothing, and almost $4 \cdot 5$. A product of two functions of $x$ is what chapter 11's layer
# cannot make. The figure shows silu between its relatives, with the square of ReLU (*ReLU²*; So et
# al., 2021), which needs no second matrix.

# %%
x = np.linspace(-4, 4, 401)
squared = lambda x: np.maximum(x, 0) ** 2 / 2
shapes = {"ReLU": ReLU(), "GELU": GELU(), "silu": lambda x: x / (1 + np.exp(-x)), "ReLU² / 2": squared}
figure, axes = figures.subplots(1, 2)
for (name, f), style in zip(shapes.items(), ("-", "--", "-", ":")):
    axes[0].plot(x, f(x), style, label=name)
    axes[1].plot(x, np.gradient(f(x), x), style)

# %%
axes[0].set(xlabel="x", ylabel="value", ylim=(-0.5, 4.2))
axes[1].set(xlabel="x", ylabel="slope", ylim=(-0.3, 2.2))
axes[0].legend()
figures.show(
    figure,
    "Value and slope of ReLU, GELU, silu and half of ReLU squared from -4 to 4. Silu is a smooth ReLU "
    "like GELU, with a wider dip below zero; the slope of ReLU squared grows without end.",
)

# %% [markdown]
# One trap lies in the formula. **Before you run the next cell:** in float32 the largest number is about
# $3.4 \cdot 10^{38} \approx e^{88.7}$. What happens at $a = -100$?

# %%
a32 = np.array([-100.0, -1.0, 100.0], np.float32)
with np.errstate(over="ignore"):    # else NumPy warns: overflow encountered in exp
    print("exp(-a):              ", np.exp(-a32).round(4))
    print("1 / (1 + exp(-a)):    ", (1 / (1 + np.exp(-a32))).round(4))
print("(1 + tanh(a / 2)) / 2:", (0.5 * (1 + np.tanh(0.5 * a32))).round(4))

# %% [markdown]
# The value is right, since $1/\infty = 0$. But NumPy warns of the overflow, and a warning that means nothing
# hides those that do. $\sigma(a) = (1 + \tanh(a/2))/2$ is the same function, and tanh cannot overflow.
#
# ## Backward
#
# For one hidden unit, with $m = h\,u$ and $dm$ from `down`: a product gives each factor the gradient times
# the **other** factor.
#
# $$dh = dm\,u \qquad\qquad du = dm\,h$$
#
# For $h = a\,\sigma(a)$ we need σ's slope. From $\sigma = 1/(1+e^{-a})$:
#
# $$\sigma' = \frac{e^{-a}}{(1+e^{-a})^2} = \sigma\,(1-\sigma) \qquad\qquad h' = \sigma + a\,\sigma\,(1-\sigma) = \sigma + h\,(1-\sigma)$$
#
# And $x$ was read twice, by `gate` and by `up`: two gradients add up.

# %% tags=["export"] module="nn/gates.py"
"""SwiGLU and SquaredReLU: today's feed-forward layers. Derived in chapter 23."""

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


# %% [markdown]
# Products in place save memory traffic ([chapter 18](18_speed.ipynb)); `dh` is our own array.

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


# %%
rng = np.random.default_rng(23)
made = {"rng": rng, "dtype": np.float64}

def check(layer, *inputs):
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return gradcheck(layer, *inputs, rng=rng)

x = rng.normal(size=(2, 5, 7))
print(check(SwiGLU(7, 13, **made), x))
print(check(SquaredReLU(7, 13, **made), x))

# %% [markdown]
# Now the mistake that this layer invites: each factor gets the gradient times **itself**. All shapes are
# right.

# %%
class Exchanged(SwiGLU):
    def backward(self, dy):
        dm = self.down.backward(dy)
        dh, du = dm * self.h, dm * self.u
        da = dh * (self.s + self.h * (1 - self.s))
        return self.gate.backward(da) + self.up.backward(du)

try:
    check(Exchanged(7, 13, **made), x)
except GradientError as error:
    print(str(error).split("[")[0] + ":", str(error).split("(")[-1].rstrip(")"))

# %% [markdown]
# A gated layer has three matrices, not two. At the same size its hidden layer is narrower, $\frac83 C$ in place of $4C$:
# $3 \cdot \frac83 = 2 \cdot 4$. We round up to a multiple of 8.

# %%
for name, ffn in (("ReLU, 512", FeedForward(128, 512, bias=False, rng=rng)),
                  ("ReLU², 512", SquaredReLU(128, 512, rng=rng)),
                  ("SwiGLU, 344", SwiGLU(128, 344, rng=rng))):
    print(f"{name:12}{ffn.num_params():,} parameters")

# %% [markdown]
# ## Queries that share a key
#
# With a KV cache ([chapter 17](17_sampling.ipynb)) every token leaves a key and a value in each head of each layer, and each new
# token reads them all. In **grouped-query attention** (GQA; Ainslie et al., 2023) $G$ heads of queries
# share one head of keys and values. Nothing else changes: each head of queries has scores and
# weights of its own.
#
# What about the gradient? **Before you run the next cell:** queries $q_1$ and $q_2$, of two heads, meet the same key
# $k$: $s_1 = q_1 \cdot k$, $s_2 = q_2 \cdot k$. Given $ds_1 = 3$ and $ds_2 = -1$, what is $dk$?

# %%
q1, q2, k = np.array([1.0, 0.0]), np.array([0.0, 2.0]), np.array([5.0, 7.0])
dk = 3 * q1 + -1 * q2
print("dk by hand:      ", dk)
q = np.stack([q1, q2])            # below each other: (2, D)
dscores = np.array([[3.0], [-1.0]])    # (2, 1): two queries, one key
print("as one product:  ", (dscores.T @ q)[0])

# %% [markdown]
# A sum: $k$ was used twice ([chapter 1](01_gradients.ipynb)). And the sum comes for free. Stack the queries of a group, as
# if it had $G\,T$ positions. Then chapter 10's $dK = dS^\top Q$ sums over all rows of $Q$, those of the whole group. For
# the values, $dV = P^\top dO$ does the same. In index form, with $g$ for the heads of a group:
#
# $$dk_{jd} = \frac{1}{\sqrt D}\sum_g \sum_i ds_{gij}\,q_{gid} \qquad\qquad dv_{jd} = \sum_g \sum_i p_{gij}\,do_{gid}$$
#
# ## Norms for queries and keys
#
# Scores are dot products, and nothing bounds the lengths of $q$ and $k$. When training makes them long, a
# softmax puts all weight on one key, and little gradient comes back (chapter 10). **QK-norm** bounds them. Henry
# et al. (2020) scale each query and key to length 1 and learn one factor for the scores. Newer models, and we,
# use one RMSNorm for all queries of a layer and one for all keys, with gains of size $D$. Where: before
# RoPE turns them, or after? **Before you run the next cell:** a rotation keeps lengths. Does the order matter?

# %%
rotary, norm, q = Rotary(4), RMSNorm(4, dtype=np.float64), rng.normal(size=(6, 4))    # 6 positions
for gamma in ([1.0, 1, 1, 1], [1.0, 2, 3, 4]):
    norm.gamma[...] = gamma
    same = np.allclose(rotary(norm(q)), norm(rotary(q)))
    print(f"gain {gamma}: the same in both orders: {same}")

# %% [markdown]
# The length is the same either way. But a gain belongs to an entry, and RoPE mixes entries in pairs: after the
# turn, it would mean something else at each position. So the norm comes first, and backward goes
# through the rotation first.
#
# ## The layer
#
# `q`, `k` and `v` are three Linears here, not one, because their widths differ.

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
    """y = proj(concat over heads of softmax(q kᵀ / √D) v), causal, with shared k and v.

    x, y: (B, T, dim), D = head_dim, H = n_kv_heads of k and v, n_heads = G H of queries.
    Sources: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models from
    Multi-Head Checkpoints, 2023; for the idea of qk_norm, with length 1 in place of RMSNorm,
    Henry et al., Query-Key Normalization for Transformers, 2020.

    Args:
        rotary: a Rotary of size head_dim, which turns queries and keys; None turns nothing.
        qk_norm: one RMSNorm for all queries, one for all keys, before they are turned.
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


# %% [markdown]
# `split` cuts channels into heads, with the $G$ heads of queries that share a head of keys side by side; `join`
# is its reverse. For keys and values, a group has one head.

# %% tags=["export"]
@add_to_class(GroupedQueryAttention)
def split(self, a, n):
    """Return the array a, (B, T, H n D), as a view cut into heads: (B, H, n, T, D)."""
    B, T, _ = a.shape
    return a.reshape(B, T, self.n_kv_heads, n, self.head_dim).transpose(0, 2, 3, 1, 4)


@add_to_class(GroupedQueryAttention)
def join(self, a):
    """Return the array a, (B, H, n, T, D), as (B, T, H n D): what `split` has cut."""
    B, _, _, T, _ = a.shape
    return a.transpose(0, 3, 1, 2, 4).reshape(B, T, -1)


# %% [markdown]
# Forward is chapter 10's, with norm, rotation, the stack, a mask for each of the $G$ heads, and `extend`, where a
# KV cache comes in.

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


# %% [markdown]
# Backward mirrors it. No line sums over a group: the two products with a transposed first factor do.

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


# %%
qk = {"rotary": Rotary(4), "qk_norm": True}
print(check(GroupedQueryAttention(7, 6, 3, 4, **qk, **made), x))    # 6 heads of queries, 3 of keys

# %% [markdown]
# A control: with as many heads of keys as of queries it is the layer of chapter 10.

# %%
new, old = GroupedQueryAttention(12, 3, 3, 4, **made), MultiHeadAttention(12, 3, bias=False, **made)
old.qkv.W[...] = np.concatenate([new.q.W, new.k.W, new.v.W], axis=1)
old.proj.W[...] = new.proj.W
x12, dy = rng.normal(size=(2, 2, 5, 12))
print("forward and backward agree:", np.allclose(new(x12), old(x12)),
      np.allclose(new.backward(dy), old.backward(dy)))

# %% [markdown]
# And a mistake that would still train: the matrix that makes the values gets the mean over a group, not the sum.
# The shape is right, the direction is right, and Adam, which divides a gradient by its own size
# ([chapter 6](06_optimizers.ipynb)), would take nearly the same steps. **Before you run the next cell:** what
# will the check say, with two heads of queries for each of keys?

# %%
class Mean(GroupedQueryAttention):
    def backward(self, dy):
        before = self.v.dW.copy()
        dx = super().backward(dy)
        self.v.dW[...] = before + (self.v.dW - before) * self.n_kv_heads / self.n_heads
        return dx

try:
    check(Mean(7, 6, 3, 4, **made), x)
except GradientError as error:
    print(str(error).split("[")[0], "...", str(error).split(";")[-1])

# %% [markdown]
# It names the array and the factor. What the sharing buys is memory. The next cell counts what a token leaves
# in the cache of two models, at two bytes a number, with the sizes of their model cards.

# %%
for name, layers, heads, shared, D in (
    ("SmolLM2-135M", 30, 9, 3, 64), ("Llama 3 8B", 32, 32, 8, 128),
):
    kept, full = (2 * layers * n * D * 2 / 1024 for n in (shared, heads))
    print(f"{name:14}{kept:5.1f} KB a token, {kept / 128:5.3f} GB for 8,192; "
          f"with as many heads of keys as of queries {full:5.1f} KB, {full / 128:5.3f} GB")

# %% [markdown]
# They keep a third and a quarter of that.
#
# Try it: in *multi-query attention* (Shazeer, 2019) all heads share one head of keys. What would a token of
# Llama 3 8B leave?
#
# <details><summary>Answer</summary>
#
# 16 KB, an eighth of the 128; 0.125 GB for 8,192 tokens.
#
# </details>
#
# ## The block, and its configuration
#
# The rest is assembly. `LlamaConfig` has the fields of `GPTConfig` except `bias` (there are no biases), and new ones.
# A field left at None is worked out from the others.

# %% tags=["export"] module="llama_block.py"
"""LlamaBlock: the pre-norm block, built from today's parts. Derived in chapter 23."""

import numpy as np

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


# %% tags=["export"] module="llama.py"
"""LlamaConfig and Llama: today's decoder, put together. Derived in chapter 23."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from numpygpt.nn.embedding import Embedding
from numpygpt.nn.linear import Linear
from numpygpt.nn.loss import CrossEntropyLoss
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm
from numpygpt.nn.rotary import Rotary


# %% tags=["export"]
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


# %% tags=["export"]
@add_to_class(LlamaConfig)
def _check_sizes(self, *names):
    for name in names:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1")


@add_to_class(LlamaConfig)
def _check_words(self, **words):
    for name, (one, other) in words.items():
        if (value := getattr(self, name)) not in (one, other):
            raise ValueError(f"{name}={value!r} is neither {one!r} nor {other!r}")


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


# %%
config = LlamaConfig(vocab_size=63, block_size=64, n_layer=4, n_head=4, n_embd=128, n_kv_head=2)
print(config)
for mistake in ({"n_kv_head": 3}, {"n_head": 3}, {"zero_init_head": True}):
    try:
        LlamaConfig(**vars(config) | {"head_dim": None} | mistake)
    except ValueError as error:
        print("ValueError:", error)

# %% [markdown]
# ## The model
#
# Tokens in, logits out, as in chapter 12. `wpe` is gone: positions enter where queries and keys are turned, in
# every block.

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
        # The same angles in all blocks.
        rotary = Rotary(config.head_dim, config.rope_base, config.rope_layout)
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


# %% [markdown]
# A KV cache calls a model's `read` if it has one. It hands each block the cache's `extend`: the same forward
# pass, from position `start` on.

# %% tags=["export"]
@add_to_class(Llama)
def read(self, ids, cache):
    """Return the logits (B, V) after ids (B, n), which are the newest of the cache's window."""
    start = cache.window.shape[1] - ids.shape[1]
    x = self.wte(ids)
    for layer, block in enumerate(self.blocks):
        x = block(x, start, partial(cache.extend, layer))
    return self._logits(x[:, -1])


# %% [markdown]
# All of it, checked, in four forms, with sizes that all differ. The last has a head of its own.

# %%
ids, targets = rng.integers(0, 11, (2, 3, 5))    # two arrays of shape (B, T) = (3, 5)
sizes = {"vocab_size": 11, "block_size": 9, "n_layer": 1, "n_head": 8, "n_embd": 7, "n_kv_head": 2,
         "head_dim": 6, "hidden": 13}
forms = ({}, {"qk_norm": True}, {"activation": "relu2"}, {"tie_weights": False})
for form in forms:
    model = Llama(LlamaConfig(**sizes | form), **made)
    report = check(model, ids, targets)
    print(f"{form or 'as it is'}: {len(report.rows)} arrays, {model.num_params()} parameters, all right")

# %% [markdown]
# And the cache: at every step it must give the logits of the full pass over its window, also after the window
# has been full. RoPE goes on past `block_size`, the model does not (chapter 22), so the cache halves its window
# here, too.

# %%
from numpygpt.generate import KVCache

cache, worst, lengths = KVCache(model), 0, []
for new in rng.integers(0, 11, (20, 1, 1)):    # one token at a time
    logits = cache.append(new)
    worst = max(worst, np.abs(logits - model(cache.window)[:, -1]).max())
    lengths.append(cache.window.shape[1])
print("window:", lengths)
print("the logits of the full pass, to 1e-12:", worst < 1e-12)

# %% [markdown]
# ## A head of zeros
#
# Chapter 12's first check of a new model is its first loss. **Before you run the next cell:** with a tied head a
# model favors the token it has just read. With which head is the loss exactly $\ln V$: tied, of its own, or of
# its own and zeros at first?

# %%
shape = {"vocab_size": 63, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}
some, after = np.random.default_rng(0).integers(0, 63, (2, 8, 64))
heads = {"tied": {}, "of its own": {"tie_weights": False}}
heads["of its own, zeros"] = heads["of its own"] | {"zero_init_head": True}
for name, head in heads.items():
    fresh = Llama(LlamaConfig(**shape, **head), rng=np.random.default_rng(0))
    print(f"head {name:18} first loss {fresh(some, after)[1]:.3f}; ln V = {math.log(63):.3f}")

# %% [markdown]
# The third: zeros give every token the same logit. Its first step trains the head alone, since no gradient
# passes through zeros; from the second on, all of it learns.
#
# Trainer, checkpoints, threads and sampling (chapters 16 to 18) take a Llama as they take a GPT:
#
# ```
# numpygpt train --model llama --n_kv_head 2 --qk_norm true --out_dir out/llama
# numpygpt sample --out_dir out/llama
# ```
#
# ## Which of the six have earned their place?
#
# An **ablation** takes away one part at a time. We add one: `benchmarks/ablation.py` has trained the GPT of
# chapter 12 with each change alone, and with all six; also with ReLU², and with a head of its own, random or
# zeros: 700 steps on the same batches, three seeds, ten minutes of one core. The GPT was also trained for twice
# the steps: a straight line between, in the logarithm of the steps, tells what it would have after the *time* that
# another row takes. We compare runs of the same seed; a band is the 95% interval of the mean of three differences,
# 4.3 standard errors to each side (Student's t, for so few). The control: the same GPT with other initial weights.
#
# **Before you run the next cells:** which single change helps most? And for which will the band contain 0?

# %%
BASE, SIX = "GPT of chapter 12", "all six"

def gap(row, n):
    """Mean difference, over the seeds, to the GPT with n steps, and half of its 95% interval."""
    short, long = np.array(runs[BASE, steps]), np.array(runs[BASE, 2 * steps])
    gpt = short + (long - short) * math.log2(n / steps)    # linear in log n
    gaps = np.array(runs[row, steps]) - gpt
    return gaps.mean(), 4.303 * gaps.std(ddof=1) / math.sqrt(len(gaps))

# %%
print(f"{'':25}{'parameters':>10}{'cost':>6}{'equal steps':>17}{'equal time':>17}")
for row, cost in found["cost"].items():
    if row != BASE:
        (d, half), (d2, half2) = gap(row, steps), gap(row, cost * steps)
        print(f"{row:25}{found['parameters'][row]:>10,}{cost:6.2f}  {d:+.3f} ± {half:.3f}  {d2:+.3f} ± {half2:.3f}")

# %%
rows = [row for row in found["cost"] if row != BASE]
figure, axis = figures.subplots(size=(7.5, 4.6))
for shift, timed, color, label in ((-0.15, False, figures.BLUE, "equal steps"),
                                   (0.15, True, figures.ORANGE, "equal time")):
    for y, row in enumerate(rows):
        d, half = gap(row, steps * (found["cost"][row] if timed else 1))
        axis.errorbar(d, y + shift, xerr=half, fmt="o", ms=4, color=color, label=label if y == 0 else None)
axis.axvline(0, color=figures.GRAY, lw=1)
axis.set(yticks=range(len(rows)), yticklabels=rows, xlabel="validation loss minus the GPT's (nats)")
axis.invert_yaxis()
axis.legend(loc="center left")
figures.show(
    figure,
    "Difference of the validation loss to the GPT's for each change, at equal steps and at equal time, "
    "with 95% intervals. RoPE and all rows with all six are at about -0.26; all other rows are near 0, "
    "most of their intervals across it.",
)

# %% [markdown]
# RoPE alone takes off more than a quarter of a nat, and all six take off no more. A skeptic would ask for the
# difference between these two, and whether the other five help later:

# %%
for n in (steps, 2 * steps):
    gaps = np.array(runs[SIX, n]) - runs["RoPE", n]
    half = 4.303 * gaps.std(ddof=1) / math.sqrt(len(gaps))
    print(f"{n:4} steps: GPT {np.mean(runs[BASE, n]):.3f}, RoPE {np.mean(runs['RoPE', n]):.3f}, all six "
          f"{np.mean(runs[SIX, n]):.3f}; all six minus RoPE {gaps.mean():+.3f} ± {half:.3f}")

# %% [markdown]
# At neither length is there a difference between RoPE alone and all six. But the lead over the GPT shrinks, from
# 0.27 nats to 0.11: the table of positions catches up, at least in part.
#
# **Outside the band** is RoPE, with all that contains it: the "half the steps" above is its doing, at this
# length.
#
# **Inside** are most others. That is not "no effect": a band of ± 0.07 hides much. But a step with RMSNorm, with
# GQA or without biases costs 4 or 5% less (2% is noise: the control was measured at 0.98), and GQA
# halves the cache. They are worth having for their price.
#
# **Perhaps negative** is SwiGLU: inside at equal steps, but its step costs 5% more, and at equal time it is
# worse by 0.035 ± 0.019. Without biases, 0 is at the edge of the band. Of two dozen intervals of 95%, one
# or so misses by chance. QK-norm adds 10% to a step at this width, and gives nothing for it that we can see.
# ReLU² is free; we see no difference, within ± 0.07.
#
# These changes come from models a thousand times as large, where training is long, scores grow, and keys fill
# the memory. For SwiGLU others report something similar at 124 million parameters, at equal size: ahead of GELU
# at first, level in the end (`karpathy/llm.c`, pull request 755). An ablation answers for its own size.
#
# ## Exercises
#
# Now write it yourself: [exercises/23_modern_gpt.ipynb](../exercises/23_modern_gpt.ipynb). A check says what is
# wrong, and `hint("gates-swiglu")` helps.
#
# | task | | minutes |
# |---|---|---|
# | squared ReLU | easy | 10 |
# | SwiGLU | medium | 20 |
# | queries that share keys | hard | 40 |
# | what a Llama holds | easy | 15 |
#
# ## Recap
#
# - A gate multiplies: each factor's gradient is the other factor's value. Written with tanh, its silu
#   cannot overflow.
# - Heads that share a key add up its gradient. Queries stacked below each other make the matrix product do
#   it.
# - QK-norm bounds the scores, and comes before the rotation; backward goes through the rotation first.
# - Of six changes one carried the loss at our size, RoPE; its lead shrank with more steps. Three others make a
#   step cheaper; SwiGLU, if anything, was worse at equal time.
# - We exported `nn/gates.py`, `nn/grouped_attention.py`, `llama_block.py` and `llama.py`: `LlamaConfig` and
#   `Llama`. Next: Muon, an optimizer for matrices.

# %%
export("23_modern_gpt")
