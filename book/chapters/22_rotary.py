# %% [markdown]
# # Chapter 22: Positions as rotations
#
# Attention compares: the score of a query and a key says how well they fit. Here is the trained GPT of
# `data/`, and the last 20 letters of the text, which it was not trained on. In its first head we ask for
# the score of letter 12 with letter 3. Then we put the same 20 letters further down the window, with
# nothing before them, so that only the rows of `wpe` differ. **Before you run the cells:** by how much
# will the score change, and by how much the weights that the softmax makes from the scores?

# %%
import json
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLACK, BLUE, GREEN, ORANGE, PINK, SIGNED, show, subplots

from numpygpt.checkpoint import load_model

path = Path("../data/checkpoints/shakespeare_char/checkpoint.npz")
gpt, tokenizer, _ = load_model(path, dtype=np.float64)
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
ids = np.array([tokenizer.encode(text[-20:])])    # (1, 20)

# %%
def first_head(start):
    """Scores and weights of the first head, each (20, 20), the text beginning at `start`."""
    x = gpt.wte(ids) + gpt.wpe(np.arange(start, start + 20))
    attn = gpt.blocks[0].attn
    attn(gpt.blocks[0].ln1(x))
    return attn.q[0, 0] @ attn.k[0, 0].T * attn.scale, attn.p[0, 0]

# %%
_, p0 = first_head(0)
for start in (0, 8, 16, 32, 44):
    scores, p = first_head(start)
    moved = np.abs(p - p0).sum(axis=-1).mean() / 2
    print(f"from position {start:2}: score {scores[12, 3]:5.2f}, {moved:3.0%} of the weight on other letters")
try:
    first_head(45)
except ValueError as error:
    print("from position 45:", error)

# %% [markdown]
# The same letters at the same distance get a different score at each place. A softmax does not see the part
# of the change that all keys of a query share. Even so, about a tenth of the weight moves. And after position
# 63 the model ends: `wpe` has no more rows.
#
# A learned position is a name. Names do not tell us that 12 is as far from 3 as 21 is from 12. The model
# had to learn this for one pair of places after another. It has come close, but all of it was extra work.
#
# But what a text asks is mostly a distance: the letter before, the word before. **The question of this
# chapter: can a score depend on two vectors and their distance, and on nothing else?**
# Nearly all open models since Llama (2023) give the same answer: **RoPE**, rotary position embedding (Su
# et al., 2021). Most of them also replace LayerNorm by **RMSNorm**, the second half of this chapter.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `q`, `k` | queries and keys of a head, D even | `(..., T, D)` |
# | `freqs` | ω: by how many radians each pair turns from one position to the next | `(D/2,)` |
# | `turn` | the turns by $\theta = t\,\omega_i$, for position $t$ and pair $i$, as complex numbers | `(T, D/2)` |
# | `x`, `y` | input and output of a norm | `(..., C)` |
# | `r`, `xhat` | 1 / root mean square, and x̂ = x r | `(..., 1)`, `(..., C)` |
# | `gamma` | the gain γ | `(C,)` |
#
# ## By hand: two entries
#
# Let a query and a key have two entries each: arrows on paper. At position $t$ we turn them by the angle
# $t\,\omega$. With $\omega$ = 30°, three positions are a quarter turn, as on the face of a clock.
#
# **Before you run the next cell:** $q = (2, 1)$ stands at position 12, $k = (1, 0)$ at position 3. Where
# do they point after their turns? And which dot products will be equal: those at positions 12 and 3, 30 and
# 21, 12 and 4?

# %%
def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

omega = np.radians(30)
q, k = np.array([2.0, 1.0]), np.array([1.0, 0.0])
print("q at 12:", (rotation(12 * omega) @ q).round(4), "  k at 3:", (rotation(3 * omega) @ k).round(4))
for m, n in ((12, 3), (30, 21), (12, 4)):
    dot = rotation(m * omega) @ q @ (rotation(n * omega) @ k)
    print(f"q({m}) · k({n}) = {dot:.4f}")

# %% [markdown]
# Twelve positions are a whole turn: the query is where it was, the key points up. The first two dot
# products are equal, because both arrows were turned further, by the same 18 positions. In the third the key
# is one position closer.
#
# ## Why only the distance is left
#
# Turning back is the transpose, $R(a)^\top = R(-a)$, and angles of turns in a row add up,
# $R(a)\,R(b) = R(a+b)$. So for a query at position $m$ and a key at position $n$
#
# $$\big(R(m\omega)\,q\big)^\top \big(R(n\omega)\,k\big) = q^\top R(m\omega)^\top R(n\omega)\,k = q^\top
# R\big((n-m)\,\omega\big)\,k$$
#
# Absolute positions go in, and their difference comes out. There is no table of distances: each vector is
# turned once, by its own position, and the dot products that attention computes anyway do the rest.
#
# One pair is not enough: a clock, too, has more than one hand. At 30° a position, a distance of 12 looks
# like none; at 1°, neighbors look alike. So the D entries of a head make D/2 pairs, and pair $i$ turns by
#
# $$\omega_i = \text{base}^{-2i/D}, \qquad i = 0, \dots, \tfrac D2 - 1$$
#
# radians a position. The first pair turns by 1; with the usual base of 10,000 and D = 32, the last one needs
# some 35,000 positions to come around. A score is the sum over the pairs, so it, too, depends on the
# distance alone.

# %%
D, base = 32, 10_000
slowest = base ** (-(D - 2) / D)
print(f"slowest pair: {2 * np.pi / slowest:,.0f} positions for a turn")

# %% [markdown]
# ## A loop, then vectors
#
# In coordinates, with $(a, b)$ for a pair and $\theta = t\,\omega_i$:
#
# $$y_a = a \cos\theta - b \sin\theta \qquad\qquad y_b = a \sin\theta + b \cos\theta$$

# %%
def turn_loop(x, freqs, pairs):
    """x: (T, D); pairs: for each frequency, the two entries that it turns."""
    y = np.zeros_like(x)
    for t in range(len(x)):
        for omega, (i, j) in zip(freqs, pairs, strict=True):
            y[t, [i, j]] = rotation(t * omega) @ x[t, [i, j]]
    return y

# %% [markdown]
# Which two entries are a pair? Two layouts are in use. **Interleaved**: entries 0 and 1, then 2 and 3, and
# so on, as in the paper and in the files of Llama's makers. **Halves**: entry $i$ with entry $i + D/2$,
# as in the files of the Hugging Face hub. The entries of a head have no order of their own, so one layout
# is as good as the other.

# There is a shorter way to write a turn. Read the pair as a complex number, $z = a + \mathrm{i}b$ (upright,
# to tell it from the index $i$). Then turning is one product, since $e^{\mathrm{i}\theta} = \cos\theta +
# \mathrm{i} \sin\theta$:
#
# $$z\,e^{\mathrm{i}\theta} = (a \cos\theta - b \sin\theta) + \mathrm{i}\,(a \sin\theta + b \cos\theta)$$

# %% tags=["export"] module="nn/rotary.py"
"""Rotary: positions as rotations (RoPE). Derived in chapter 22."""

import numpy as np

from numpygpt.nn.module import Module

# %% tags=["export"]
class Rotary(Module):
    """y = R(t) x: pair i of the entries at position t is turned by t ω_i, ω_i = base^(-2i/D).

    x, y: (..., T, D), D = head_dim. No parameters. For queries and keys; values stay as they are.
    Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.

    Args:
        base: the slowest pair needs 2π base^(1 - 2/D) positions for a whole turn.
        layout: which entries are pair i. "interleaved": 2i and 2i + 1, as in the paper and in
            Meta's own files of Llama. "halves": i and i + D/2, as in files of Hugging Face.

    Raises:
        ValueError: head_dim is odd or below 2, layout is another word, or x has another D.
    """

    def __init__(self, head_dim, base=10_000.0, layout="interleaved"):
        if head_dim < 2 or head_dim % 2:
            raise ValueError(f"head_dim={head_dim} must be even: entries are turned in pairs")
        if layout not in ("interleaved", "halves"):
            raise ValueError(f"layout={layout!r} is neither 'interleaved' nor 'halves'")
        self.layout = layout
        self.freqs = float(base) ** (-np.arange(0, head_dim, 2) / head_dim)  # ω: (D/2,)

# %% [markdown]
# In memory, a complex number is its two parts side by side. So an interleaved array *is* an array of
# complex numbers: `view` reads it as one, without a copy. Halves have to be brought together, and apart
# again.

# %% tags=["export"]
@add_to_class(Rotary)
def turned(self, x, turn):
    """Return x with each pair, as a complex number, times `turn` (T, D/2)."""
    half = len(self.freqs)
    if x.shape[-1] != 2 * half:
        raise ValueError(f"x has {x.shape[-1]} entries a head, this Rotary turns {2 * half}")
    pairs, real = x, turn.real.dtype
    if self.layout == "halves":
        pairs = x.reshape(*x.shape[:-1], 2, half).swapaxes(-1, -2)  # (..., T, D/2, 2)
    pairs = np.ascontiguousarray(pairs, real).reshape(x.shape)
    y = (pairs.view(turn.dtype) * turn).view(real)
    if self.layout == "halves":
        y = y.reshape(*x.shape[:-1], half, 2).swapaxes(-1, -2).reshape(x.shape)
    return y

# %% [markdown]
# The positions begin at `start`, for the KV cache of [chapter 17](17_sampling.ipynb): a new token stands
# where the cache ends.

# %% tags=["export"]
@add_to_class(Rotary)
def forward(self, x, start=0):
    """Turn x, whose first position is `start`: with a KV cache, the number of tokens in it."""
    # Angles in float64: float32 has few digits left for the fraction of a turn, far out.
    angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)  # (T, D/2)
    dtype = np.result_type(x.dtype, np.complex64)
    self.turn = np.exp(1j * angles).astype(dtype)  # for backward
    return self.turned(x, self.turn)

# %% [markdown]
# **Backward.** Each vector is multiplied by a matrix, $y = R x$, so $dx = R^\top dy$: the gradient is
# turned *back*, by $e^{-\mathrm{i}\theta}$. Nothing has to be kept but the turns.

# %% tags=["export"]
@add_to_class(Rotary)
def backward(self, dy):
    # y = R x, so dx = Rᵀ dy, and the transpose of a rotation turns back.
    return self.turned(dy, self.turn.conj())

# %%
from numpygpt import gradcheck

rng = np.random.default_rng(22)
x = rng.normal(size=(2, 5, 6))    # (B, T, D)
pairs = {"halves": [(0, 3), (1, 4), (2, 5)], "interleaved": [(0, 1), (2, 3), (4, 5)]}
for layout in pairs:
    rotary = Rotary(6, layout=layout)
    same = np.allclose(rotary(x)[1], turn_loop(x[1], rotary.freqs, pairs[layout]))
    print(f"{layout}, as the loop: {same}")
    print(gradcheck(rotary, x, rng=rng))

# %% [markdown]
# Now break it on purpose, and turn the gradient forward again. **Before you run the next cell:** a turn
# changes no length, so this `dx` is as long as the right one. Will the check see it?

# %%
from numpygpt.gradcheck import GradientError

class TurnedAgain(Rotary):
    def backward(self, dy):
        return self.turned(dy, self.turn)

try:
    gradcheck(TurnedAgain(6), x, rng=rng)
except GradientError as error:
    print("rejected, in", str(error).split("[")[0])
rotary = Rotary(6)
print("lengths stay:", np.allclose(np.linalg.norm(rotary(x), axis=-1), np.linalg.norm(x, axis=-1)))

# %% [markdown]
# ## The wrong layout passes every test but one
#
# We compute scores of the same queries and keys in both layouts, and test them. **Before you run it:** which
# of the four lines will say `False`?

# %%
q, k = rng.normal(size=(2, 40, 6))

def scores(rotary, start=0):
    return rotary(q, start) @ rotary(k, start).T    # (T, T)

one, other = Rotary(6, layout="interleaved"), Rotary(6, layout="halves")
S, wrong = scores(one), scores(other)
print("the same shape:", S.shape == wrong.shape)
print("the same on the diagonal:", np.allclose(np.diag(S), np.diag(wrong)))
print("the wrong ones depend on distances alone:", np.allclose(wrong, scores(other, 100)))
print("the same scores:", np.allclose(S, wrong))

# %% [markdown]
# The last. (On the diagonal the distance is 0.) Trained from the start, a model with the other layout is as
# good as ours: it is ours with its entries renamed. It fails, without an error, on weights that were trained
# with the other layout. The remedy is to reorder the entries of each head, once, in the weights that make `q`
# and `k`:

# %%
order = np.arange(6).reshape(2, 3).T.ravel()
print("order", order.tolist())
q, k = q[:, order], k[:, order]
print("reordered, then interleaved: the scores of halves:", np.allclose(scores(one), wrong))

# %% [markdown]
# Interleaved is our default: no entry has to move, and it needs about a fifth of the time of halves, or of
# the formula with cos and sin on slices:

# %% tags=["measurement"]
from timeit import repeat

big = rng.normal(size=(12, 4, 64, 32)).astype(np.float32)
def microseconds(f):
    return 1e6 * min(repeat(f, number=10, repeat=30)) / 10

def with_slices(x):
    angles = np.outer(np.arange(64), Rotary(32).freqs)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :16], x[..., 16:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

ways = {layout: Rotary(32, layout=layout) for layout in ("interleaved", "halves")}
for name, f in (ways | {"slices": with_slices}).items():
    print(f"{name:12} {microseconds(lambda f=f: f(big)):.0f} µs")

# %% [markdown]
# ## In a cache
#
# Keys are kept turned. A new token turns its own query and key, and no old key is touched, because a score
# depends on the distance alone. We read ten tokens at once, then nine and one:

# %%
q, k = rng.normal(size=(2, 10, 6))
cache = one(k[:9])                               # (9, D), turned
cache = np.concatenate([cache, one(k[9:], 9)])   # (10, D)
print("the same last row:", np.allclose(one(q[9:], 9) @ cache.T, (one(q) @ one(k).T)[9:]))

# %% [markdown]
# ## A GPT without `wpe`
#
# Queries, keys and values come out of attention's `qkv` side by side. A layer behind it turns the first
# two thirds, head by head.

# %%
from numpygpt.nn import Module, Sequential

class TurnQK(Module):
    """Turn the queries and keys in the output of `qkv`.  x, y: (B, T, 3C)."""

    def __init__(self, n_heads, rotary):
        self.n_heads, self.rotary, self.start = n_heads, rotary, 0

    def qk(self, y):
        """A view of both, (2, B, H, T, D)."""
        B, T, _ = y.shape
        return y.reshape(B, T, 3, self.n_heads, -1).transpose(2, 0, 3, 1, 4)[:2]

    def forward(self, x):
        y = x.copy()
        self.qk(y)[...] = self.rotary(self.qk(x), self.start)
        return y

    def backward(self, dy):
        dx = dy.copy()
        self.qk(dx)[...] = self.rotary.backward(self.qk(dy))
        return dx

# %%
class NoPositions(Module):
    """In place of `wpe`: adds nothing, learns nothing."""

    def forward(self, positions):
        return 0.0

    def backward(self, dy):
        pass

def with_rotary(gpt):
    H, C = gpt.config.n_head, gpt.config.n_embd
    gpt.wpe = NoPositions()
    for block in gpt.blocks:
        block.attn.qkv = Sequential(block.attn.qkv, TurnQK(H, Rotary(C // H)))
    return gpt

# %%
from numpygpt import GPT, GPTConfig

tiny = with_rotary(GPT(GPTConfig(11, 7, 1, 3, 12), rng=rng, dtype=np.float64))
for p in tiny.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
few, targets = rng.integers(0, 11, (2, 2, 5))
report = gradcheck(tiny, few, targets, rng=rng)
print(f"right: the gradients of all {tiny.num_params()} parameters, in {len(report.rows)} arrays")
logits = tiny(few)
tiny.blocks[0].attn.qkv.layers[1].start = 1000
print("the same logits at position 1000:", np.allclose(tiny(few), logits, rtol=0, atol=1e-12))

# %% [markdown]
# That is the answer to the question, for a whole GPT: what it makes of a text does not depend on where the
# text stands.
#
# ## RMSNorm
#
# LayerNorm ([chapter 9](09_layernorm.ipynb)) subtracts the mean, divides by the standard deviation,
# multiplies by γ and adds β. RMSNorm (Zhang and Sennrich, 2019) leaves out the first and the last step. It
# divides by the root of the mean square:
#
# $$r = \frac{1}{\sqrt{\frac1C\sum_j x_j^2 + \text{eps}}} \qquad \hat x_i = x_i\,r \qquad y_i = \gamma_i\,
# \hat x_i$$
#
# If you did the third exercise of chapter 9, you have written both passes already. Line by line, from the
# last to the first, with $s$ for the mean square $\frac1C\sum_j x_j^2$:
#
# $$d\gamma_i = \sum_n dy_{ni}\,\hat x_{ni} \qquad d\hat x_i = dy_i\,\gamma_i$$
#
# $$dr = \sum_j d\hat x_j\,x_j \qquad ds = -\tfrac12\,r^3\,dr \qquad dx_i = d\hat x_i\,r + \tfrac2C\,x_i\,ds$$
#
# Here $dx_i$ has two terms, because $x_i$ is used twice, in $\hat x_i$ and in $s$. Put the second row
# together, with $x_i = \hat x_i / r$; as in chapter 9, all powers of $r$ but one cancel:
#
# $$\boxed{\,dx_i = r\,\big(d\hat x_i - \hat x_i\;\mathrm{mean}(d\hat x\,\hat x)\big)\,}$$
#
# LayerNorm's had one term more, $-\mathrm{mean}(d\hat x)$, which undid the mean.

# %% tags=["export"] module="nn/rmsnorm.py"
"""RMSNorm: each vector to a mean square of 1, scaled. Derived in chapter 22."""

import numpy as np

from numpygpt.nn.module import Module

# %% tags=["export"]
class RMSNorm(Module):
    """y = x̂ γ, x̂ = x r, r = 1/√(mean(x²) + eps), over the last axis.

    x, y: (..., dim), γ: (dim,).
    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.eps = float(eps)  # a NumPy float64 would turn float32 arrays into float64
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros(dim, dtype)

# %% tags=["export"]
@add_to_class(RMSNorm)
def forward(self, x):
    r = 1 / np.sqrt(np.vecdot(x, x)[..., None] / x.shape[-1] + self.eps)  # (..., 1)
    xhat = x * r
    self.xhat, self.r = xhat, r  # for backward
    return xhat * self.gamma

# %% tags=["export"]
@add_to_class(RMSNorm)
def backward(self, dy):
    xhat, r = self.xhat, self.r
    # y = x̂ γ
    self.dgamma += (dy * xhat).sum(axis=tuple(range(dy.ndim - 1)))
    dx = dxhat = dy * self.gamma
    # x̂ = x r: subtract what r undoes, the part of dxhat along x̂.
    dx -= xhat * (np.vecdot(dxhat, xhat)[..., None] / dy.shape[-1])
    dx *= r
    return dx

# %%
norm = RMSNorm(6, dtype=np.float64)
norm.gamma[...] = rng.normal(0, 0.5, 6)
print(gradcheck(norm, x, rng=rng))

def backward_long(norm, x, dy):
    dxhat = dy * norm.gamma
    dr = (dxhat * x).sum(axis=-1, keepdims=True)
    ds = -0.5 * norm.r**3 * dr
    return dxhat * norm.r + 2 / x.shape[-1] * x * ds

# %%
dy = rng.normal(size=x.shape)
norm(x)
print("long and closed agree:", np.allclose(backward_long(norm, x, dy), norm.backward(dy)))

# %% [markdown]
# ## What is lost, what it costs
#
# LayerNorm forgets a vector's mean and size, RMSNorm its size alone. **Before you run the next cell:** of
# the two dot products of chapter 9, $dx \cdot \mathbf 1$ and $dx \cdot \hat x$, which will be 0? And what does
# each norm make of `x + 5`?

# %%
from numpygpt.nn import LayerNorm

for cls in (LayerNorm, RMSNorm):
    norm = cls(6, eps=0, dtype=np.float64)
    moved = np.abs(norm(x + 5) - norm(x)).max()
    dx = norm.backward(dy)
    along = np.abs([dx.sum(axis=-1), (dx * norm.xhat).sum(axis=-1)]).max(axis=(1, 2))
    print(f"{cls.__name__:9} x + 5 moves y by {moved:.4f}   dx·1 = {along[0]:.4f}   dx·xhat = {along[1]:.4f}")

# %% [markdown]
# Only $dx \cdot \hat x$ is 0 for both. So RMSNorm lets a mean through, and its gradient may ask for one.
# Does it matter? We ask the trained GPT, which has LayerNorm: in the residual stream, how large is the
# square of the mean, as a share of the mean square? For $C$ random numbers around 0 it would be about $1/C$.

# %%
def share_of_mean(x):
    return np.mean(x.mean(axis=-1) ** 2) / np.mean(x**2)

stream = gpt.wte(ids) + gpt.wpe(np.arange(20))
print(f"1/C = {1 / gpt.config.n_embd:.2%}; after the embeddings {share_of_mean(stream):.2%}")
for number, block in enumerate(gpt.blocks):
    stream = block(stream)
    print(f"after block {number}: {share_of_mean(stream):.2%}")

# %% [markdown]
# There is hardly a mean to subtract: on this stream RMSNorm does nearly what LayerNorm does. A skeptic will
# say that this model was trained with LayerNorm, where no gradient asks for a mean, and weight decay shrinks
# what no gradient sustains. True: we must train one with RMSNorm. What it saves is passes over the data:

# %% tags=["measurement"]
rows, upstream = rng.normal(size=(2, 768, 128)).astype(np.float32)
for cls in (LayerNorm, RMSNorm):
    norm = cls(128)
    time = microseconds(lambda norm=norm: (norm(rows), norm.backward(upstream)))
    print(f"{cls.__name__:9} {time:.0f} µs forward and backward")

# %% [markdown]
# ## Experiment: the same steps
#
# We train a small GPT, 3 blocks with 2 heads of 32, for 1,000 steps of 12 windows of 64 letters: with
# learned positions and LayerNorm, with RoPE and LayerNorm, with RoPE and RMSNorm, from three seeds each.
# That takes minutes; we read the file that `python benchmarks/rotary.py` has written. All models are scored
# on the same half of the validation text. **Before you look:** which of the two changes will show in the
# loss?

# %%
found = json.loads(Path("../data/rotary.json").read_text(encoding="utf-8"))
losses = {name: np.array(runs) for name, runs in found["losses"].items()}    # (seeds, bins)

for name in ("learned", "RoPE", "RoPE, RMSNorm"):
    seeds = losses[name].mean(axis=1)
    print(f"{name:14} {seeds.mean():.3f}   seeds {seeds.min():.3f} to {seeds.max():.3f}")

# %%
last = found["bin"] * np.arange(1, 17)    # the last position of each bin, counted from 1

def draw(ax, name, label, color, style="o-"):
    values = losses[name]
    at = last[: values.shape[1]]
    ax.fill_between(at, values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, lw=0)
    ax.plot(at, values.mean(axis=0), style, color=color, ms=4, label=label)

# %%
figure, ax = subplots(size=(6, 3.2))
draw(ax, "learned", "learned positions", BLUE)
draw(ax, "RoPE", "RoPE", ORANGE, "s-")
draw(ax, "RoPE, RMSNorm", "RoPE and RMSNorm", GREEN, "^--")
ax.set(xlabel="position, means of 16", ylabel="loss (nats per letter)", xticks=last[:4])
ax.legend()
show(figure, "Loss against position, the mean of three seeds inside their band. Learned positions lie "
     "about 0.2 above the other two everywhere; RoPE with LayerNorm and with RMSNorm lie on each other.")

# %% [markdown]
# RoPE shows: 0.2 nats less at all positions, six times the width of its band. It was given what `wpe` has to
# learn. (After 1,000 steps; how much of the lead is left after many more, we did not measure.) RMSNorm does
# not: its band and that of LayerNorm overlap. Choose it for its speed.
#
# ## Experiment: past the end
#
# A learned model stops at 64. RoPE has an angle for every position, so its GPT accepts 256 letters at once.
# Can it read them? Here are the angles. To the left of the line is what it was trained on.
#
# **Before you look:** which pairs will meet something new to the right of it, the fast ones or the slow ones?

# %%
speeds, positions = Rotary(32).freqs, np.arange(257)
figure, ax = subplots(size=(7, 3))
image = ax.imshow(np.sin(np.outer(speeds, positions)), aspect="auto", cmap=SIGNED, vmin=-1, vmax=1)
ax.axvline(64, color=BLACK)
ax.set(xlabel="position", ylabel="pair")
figure.colorbar(image, ax=ax, label="sine of the angle")
show(figure, "The sine of the angle of each of 16 pairs at positions 0 to 256. The first pairs go round "
     "again and again; those in the middle change color for the first time beyond position 64; the last "
     "ones hardly move.")

# %% [markdown]
# The slow ones. By position 64 a fast pair has been everywhere. A slow one has shown only part of its turn,
# and distances beyond 64 bring angles that no weight was trained for. Two rules slow the pairs down, to bring
# the angles at 256 closer to known ones:
#
# - **position interpolation** (Chen et al., 2023) divides all speeds by 4: `rotary.freqs /= 4`;
# - **a larger base**, times $4^{D/(D-2)}$, slows the last pair by a factor of 4, the first not at all, the
#   rest by something in between (first in a post by "bloc97" in 2023, as NTK-aware scaling).

# %%
larger = Rotary(32, base=10_000 * 4 ** (32 / 30)).freqs
for i in (0, 5, 10, 15):
    print(f"pair {i:2}: a quarter of the speed {speeds[i] / 4:.5f}, larger base {larger[i]:.5f}, "
          f"slower by a factor of {speeds[i] / larger[i]:.2f}")

# %% [markdown]
# Interpolation brings all angles at 256 into the range that training has seen. The larger base slows
# only the last pair enough for that, but leaves the fastest, and with them the neighbors, almost as they were.
#
# And two controls that a skeptic would ask for: **sliding windows**, where each letter is predicted from the
# 49 to 64 letters before it, which is all that a learned model can do; and models trained at 256 from the
# start, on as many letters. Then each way (*as it is*, *interpolated*, *larger base*) gets 100 more steps, at
# 256. **Before you look:** which of the three is best on letters 129 to 256, before these steps and after?
# Does any beat the sliding window?

# %%
print("letters                         1 to 64   65 to 128   129 to 256")
ways = ["as it is", "interpolated", "larger base"]
rows = ["learned, sliding", "RoPE, sliding", *(f"RoPE at 256, {way}" for way in ways),
        *(f"RoPE at 256, {way}, tuned" for way in ways), "RoPE, trained at 256"]
for name in rows:
    means = [losses[name][:, a:b].mean() for a, b in ((0, 4), (4, 8), (8, 16))]
    print(f"{name:32}" + "".join(f"{mean:7.3f}    " for mean in means))

# %%
figure, axes = subplots(1, 2, size=(9, 3.4), sharey=True)
for ax, end in zip(axes, ("", ", tuned"), strict=True):
    draw(ax, "RoPE, sliding", "sliding windows of 64", BLACK, "-")
    for way, color, style in zip(ways, (BLUE, ORANGE, GREEN), ("o-", "s-", "^-"), strict=True):
        draw(ax, f"RoPE at 256, {way}{end}", way, color, style)
    ax.set(xlabel="position, means of 16", xticks=[64, 128, 192, 256])
draw(axes[1], "RoPE, trained at 256", "trained at 256", PINK, "v:")
axes[0].set(ylabel="loss (nats per letter)", title="trained at 64")
axes[1].set(title="and 100 more steps at 256")
axes[1].legend()
show(figure, "Loss against position up to 256. Left: as it is, the loss rises from about 100 on; with "
     "a larger base it rises half as much; interpolated, it is near 3 everywhere. Right, after 100 more "
     "steps: as it is and with a larger base lie on the line of sliding windows, the model trained at 256 "
     "slightly above them, interpolated well above.")

# %% [markdown]
# RoPE alone does **not** extrapolate. It works for another half window; then the loss climbs, without any
# error message. A larger base halves the climb and costs little within 64. Interpolation without more
# training is the worst, even on the first letters: neighbors are now a quarter of a step apart, and the model
# has never met such neighbors.
#
# A hundred steps mend it. But look at the control: *as it is*, without any rule, they do as much as with a
# larger base, and interpolation still lags. (Chen et al. brought Llama from 2,048 to as many as 32,768
# positions by interpolation and at most 1,000 steps: what holds for our small model need not hold there.)
#
# And no row beats the sliding window, not even the model that was trained at 256. It is 0.04 behind already
# on the first 64 letters, where both read the same, and its longer window does not win that back.
#
# **Try it:** newer models choose the base for the window before they train; Llama 3 has 500,000. Which
# base lets the slowest pair of a head with D = 32 make just one turn in 8,192 positions?
#
# <details><summary>Answer</summary>
#
# $2\pi\,\text{base}^{30/32} = 8192$, so the base is $(8192 / 2\pi)^{16/15}$: 2,103. With 10,000 the slowest
# pair makes a quarter of a turn there. With D = 128 it is 1,461.
#
# </details>
#
# ## Exercises
#
# Now write it yourself: [exercises/22_rotary.ipynb](../exercises/22_rotary.ipynb). A check says what is
# wrong, and `hint("rotary-slower")` helps.
#
# | task | | minutes |
# |---|---|---|
# | slower hands | easy | 15 |
# | halves, and a place to start | hard | 30 |
# | from one layout to the other | medium | 15 |
# | a gain around 1 | medium | 25 |
#
# ## Recap
#
# - RoPE turns each pair of entries of queries and keys by an angle that grows with the position, so that
#   their dot product depends on the distance alone. Backward turns back.
# - Two layouts are in use. The wrong one passes tests of shapes and gradients; only weights trained with the
#   other one show it.
# - RMSNorm is LayerNorm without mean and shift: one term less backward, the same loss, less time.
# - RoPE learned faster than `wpe`. It does not extrapolate; a larger base helped, interpolation hurt, 100 more
#   steps helped most, and nothing beat a sliding window.
# - We exported `nn/rotary.py` and `nn/rmsnorm.py`. Next: the other parts of a modern GPT.

# %%
export("22_rotary")
