# %% [markdown]
# # Chapter 24: Muon
#
# Chapter 23 changed the model in six places. In this chapter the model stays as it was in chapter 16, and
# one thing changes in the optimizer: whatever the gradient of a matrix is, *all of its sizes are thrown
# away*, and only its directions are kept. (In a moment we say what sizes and directions are.) Here is
# the GPT of `numpygpt train` after 600 steps, with its batch size. Each optimizer runs at the best learning
# rate that a search found, with three seeds.

# %%
import json
import math
import time
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLUE, GRAY, ORANGE, show, subplots

runs = json.loads(Path("../data/muon.json").read_text())["runs"]

def best_rate(optimizer):
    found = [run for run in runs if run["optimizer"] == optimizer and run["steps"] == 600 and run["seed"] == 0]
    return min(found, key=lambda run: run["loss"])["lr"]

def of(optimizer, steps, what="loss"):
    return np.array([run[what] for run in runs if (run["optimizer"], run["steps"], run["lr"])
                     == (optimizer, steps, best_rate(optimizer))])

# %%
for optimizer in ("AdamW", "Muon"):
    losses = of(optimizer, 600)
    print(f"{optimizer:5}  validation loss {losses.mean():.3f}, three seeds from {losses.min():.3f} to {losses.max():.3f}")

# %% [markdown]
# The one that knows less is better, by more than fifteen times the spread of the seeds. **The question of this
# chapter: how can a step get better when it forgets how large the gradient is, and what does that cost?**
# The optimizer is **Muon** (Jordan and others, 2024): *momentum, orthogonalized by Newton–Schulz*. (The
# runs took minutes; `python benchmarks/muon.py` makes them again.)
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `W`, `G` | a matrix of the model, and its gradient | `(n_in, n_out)` |
# | `U`, `s`, `Vt` | directions of the inputs, sizes, directions of the outputs | `(n_in, k)`, `(k,)`, `(k, n_out)`, k the smaller of the two |
# | `D` | a step, to be multiplied by the rate | as `W` |
# | `X` | `G`, on its way to equal sizes | as `W` |
# | `m`, `u` | in the optimizer: the mean gradient; what is made orthogonal | as `W` |
#
# ## Directions and sizes, by hand
#
# The **singular value decomposition** (SVD) writes any matrix as a sum
#
# $$G = \sigma_1 u_1 v_1^\top + \sigma_2 u_2 v_2^\top + \dots = U S V^\top$$
#
# in which the $u_k$ are columns of length 1 at right angles to each other, and so are the $v_k$. The
# **singular values** $\sigma_k \ge 0$ are the sizes: a row $u_k^\top$ that goes in comes out as
# $\sigma_k v_k^\top$, stretched by $\sigma_k$ and by nothing else.

# %%
M = np.array([[3.0, 0.0], [4.0, 5.0]])
U, s, Vt = np.linalg.svd(M)
parts = [s[k] * np.outer(U[:, k], Vt[k]) for k in (0, 1)]
print("sizes:", s.round(4), "the roots of", (s**2).round(4))
print("the sum of both parts is the matrix:", np.allclose(parts[0] + parts[1], M))

# %% [markdown]
# **Before you run the next cell:** we put 1 in place of both sizes, which leaves $U V^\top$. How long
# are its rows, and what is the angle between them?

# %%
print((U @ Vt * 20**0.5).round(4), "/ √20")
print("rows times rows:\n", (U @ Vt @ (U @ Vt).T).round(4) + 0.0)    # 0.0 takes the sign off a -0

# %% [markdown]
# Length 1, at a right angle: $U V^\top$ is **orthogonal**. It turns what comes in, and stretches nothing.
# And a gradient of our GPT? We take the trained model of the repository and one batch.

# %%
from numpygpt.checkpoint import load_model
from numpygpt.data import DataLoader, split

model, tokenizer, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz", np.float64)
ids = np.array(tokenizer.encode(Path("../data/shakespeare.txt").read_text()))
train_ids, val_ids = split(ids)
x, y = next(DataLoader(train_ids, 12, 64, rng=np.random.default_rng(24)))
before = model(x, y)[1]
model.backward()
W, G = model.blocks[1].ffn.fc1.W, model.blocks[1].ffn.fc1.dW    # (128, 512)

# %%
U, s, _ = np.linalg.svd(G, full_matrices=False)
print(f"{len(s)} sizes: the largest is {s[0] / s[9]:.0f} times the tenth, {s[0] / s[63]:.0f} times the middle "
      f"one, {s[0] / s[126]:.0f} times the last but one")
print(f"the first ten hold {(s[:10] ** 2).sum() / (s**2).sum():.0%} of the sum of squares")
w = 1 / model.blocks[1].ln2.gamma
print(f"the last is {s[127] / s[0]:.0e} of the largest; the cosine of its u and 1/γ is "
      f"{abs(U[:, 127] @ w) / np.linalg.norm(w):.2f}")

# %% [markdown]
# Most of this gradient lies in ten directions. A step along it moves those, and hardly touches the other
# 118. (The last size is almost 0: LayerNorm's $\hat x$ sums to 0, so the inputs $\gamma \hat x + \beta$ have next to
# nothing along $1/\gamma$.)
#
# ## What is a step of size 1?
#
# For a small rate the step $W \leftarrow W - \text{lr}\, D$ changes the loss by $-\text{lr} \langle G, D
# \rangle$, with $\langle G, D \rangle = \sum_{ij} G_{ij} D_{ij}$. Of all $D$ of size 1, which one is best?
# That depends on what we call the size:
#
# | size of D | best D of size 1 | known as |
# |---|---|---|
# | root of the sum of squares, $\lVert D \rVert$ | $G / \lVert G \rVert$ | SGD |
# | largest entry | sign of $G$ | Adam's first step (chapter 6) |
# | largest singular value | $U V^\top$ | this chapter |
#
# The last line, derived: $\langle G, D \rangle = \sum_k \sigma_k\, u_k^\top D\, v_k$. No vector of length
# 1 comes out of $D$ longer than 1, so each $u_k^\top D\, v_k \le 1$, and the sum is at most $\sum_k
# \sigma_k$. With $D = U V^\top$ each is exactly 1. $\square$
#
# Why should that be the right size? A layer computes $x W$, so a step moves its output by
# $\text{lr}\, x D$. The largest singular value of $D$ says how far, at most, for *any* $x$ of length 1.
# It is a promise about what the layer does, where the others are promises about numbers in a table.
#
# **Before you run the next cell:** we scale all three steps so that they stretch nothing by more than 1.
# Which lowers the loss the most, and by about how many times?

# %%
U, s, Vt = np.linalg.svd(G, full_matrices=False)
steps = {"G": G, "sign of G": np.sign(G), "U Vᵀ": U @ Vt}
for name, D in steps.items():
    D = D / np.linalg.norm(D, 2)    # the largest singular value
    W -= 0.01 * D
    fell = before - model(x, y)[1]
    W += 0.01 * D
    print(f"{name:9}  G·D = {np.sum(G * D):.3f}   the loss fell by {fell:.5f}")

# %% [markdown]
# On the batch that gave the gradient, $U V^\top$ gains most, about three times as much, for the same promise.
# Whether that helps on other batches too, only training can tell. First we need it cheaper.
#
# ## Orthogonal without a decomposition
#
# An SVD takes several times as long as all we do below. Matrix products are what our machine does best,
# so: which products change the sizes and nothing else? Take $G G^\top G$ and remember $U^\top U =
# V^\top V = I$:
#
# $$G\, G^\top G = U S V^\top\; V S U^\top\; U S V^\top = U S^3 V^\top$$
#
# Cubes of the sizes, the same directions. In the same way $(G G^\top)^2 G = U S^5 V^\top$. An even power
# has no such product: $G G^\top = U S^2 U^\top$ has lost $V$. So every **odd polynomial** $p(s) = a s + b
# s^3 + c s^5$ can be applied to all sizes at once, without computing any of them:
#
# $$a G + b\, (G G^\top)\, G + c\, (G G^\top)^2 G = U\, p(S)\, V^\top$$
#
# Now we want a $p$ that brings every $s$ to 1 when it is applied again and again. The classical one,
# **Newton–Schulz**, has $p(1) = 1$ with slope 0, so that what is near 1 arrives fast: $p(s) = 1.5 s - 0.5
# s^3$. It needs sizes below $\sqrt 3$: we divide by $\lVert G \rVert$, which is at least the largest one.
#
# **Before you run the next cell:** small sizes grow by a factor of 1.5 a step. How many steps does 0.01 need to pass
# 0.9? Jordan and his coauthors took $a, b, c = 3.4445, -4.7750, 2.0315$. What do these make of a 1?

# %%
def apply(coefficients, s, steps):
    for _ in range(steps):
        s = sum(c * s**power for c, power in zip(coefficients, (1, 3, 5)))
    return s

cubic, jordan = (1.5, -0.5, 0.0), (3.4445, -4.7750, 2.0315)
needed = next(n for n in range(99) if apply(cubic, 0.01, n) > 0.9)
print(f"0.01 needs {needed} steps of the cubic one, and is {apply(jordan, 0.01, 5):.2f} after 5 of Jordan's")
print("a 1, after 1 to 5 of Jordan's:", [round(apply(jordan, 1.0, n), 2) for n in range(1, 6)])

# %% [markdown]
# A 1 does not stay a 1! That is the bargain. The slope at 0 should be as steep as it can be, since the
# small sizes need all the steps. A steep polynomial overshoots: where $p'(s) = 0$ it has a top and a
# bottom. If sizes of *about* 1 will do, there is no need to arrive: it is enough to stay near.

# %%
a, b, c = jordan
turns = np.sqrt(np.roots([5 * c, 3 * b, a]).real)[::-1]          # p' = a + 3b s² + 5c s⁴ = 0
print(f"its top is {apply(jordan, turns[0], 1):.3f} at {turns[0]:.3f}, bottom {apply(jordan, turns[1], 1):.3f} at {turns[1]:.3f}")
between = np.linspace(apply(jordan, turns[1], 1), apply(jordan, turns[0], 1), 10_001)
again = apply(jordan, between, 1)
print(f"sizes from {between.min():.2f} to {between.max():.2f} lie from {again.min():.2f} to {again.max():.2f} a step later")

# %%
figure, (one, five) = subplots(1, 2, size=(9, 3.2))
s01, small = np.linspace(0, 1.25, 300), np.geomspace(1e-4, 1, 2000)
for ax, sizes, n in ((one, s01, 1), (five, small, 5)):
    ax.plot(sizes, apply(cubic, sizes, n), "--", color=BLUE, label="cubic")
    ax.plot(sizes, apply(jordan, sizes, n), color=ORANGE, label="Jordan's")
    ax.axhspan(0.682, 1.203, color=GRAY, alpha=0.2)
    ax.set(xlabel="size before", ylabel=f"size after {n} step{'s' * (n > 1)}", ylim=(0, 1.3))
one.plot(s01, s01, color=GRAY, lw=0.8); one.legend(); five.set_xscale("log")
show(figure, "Left, one step: the cubic curve rises to 1 at 1 and turns there. Jordan's is more than twice as steep "
             "at 0, has its top, 1.20, at 0.55 and its bottom, 0.68, at 1.05. Right, five steps, the size before on a "
             "logarithmic axis: Jordan's curve is in the gray band from 0.68 to 1.20 from 0.002 on, wavy; the "
             "cubic one is below the band up to a size of 0.1.")

# %% [markdown]
# So after five steps everything that began above 0.002 lies between 0.68 and 1.20: sizes five
# hundred times apart are within a factor of two. "Orthogonalized" is a generous word for that; whether the
# difference matters, we shall measure.

# %% tags=["export"] module="optim/muon.py"
"""Muon: momentum, made orthogonal, for the matrices of the blocks. Derived in chapter 24."""

import contextvars
import math

import numpy as np

from numpygpt.optim.adam import Adam

COEFFICIENTS = (3.4445, -4.7750, 2.0315)

# %% tags=["export"]
def orthogonalize(G, steps=5, eps=1e-7):
    """Return nearly U Vᵀ for G = U S Vᵀ, (n, m): the same directions, each of a size near 1.

    X = G / ‖G‖, then X ← (a I + b X Xᵀ + c (X Xᵀ)²) X for each of `steps`: a singular value s of
    X becomes a s + b s³ + c s⁵. After 5 steps those that began above 0.002 are between 0.68 and
    1.21; smaller ones are on their way. Zeros stay zeros.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    a, b, c = COEFFICIENTS
    wide = G.shape[0] <= G.shape[1]
    X = G if wide else G.T  # X Xᵀ is then the smaller of the two products
    X = X / max(np.linalg.norm(X), eps)  # no singular value is larger than this norm
    for _ in range(steps):
        A = X @ X.T
        P = A @ A
        P *= c
        P += b * A
        P.flat[:: len(P) + 1] += a  # the diagonal: a I
        X = P @ X
    return X if wide else X.T

# %% [markdown]
# The check: the same result from the decomposition, with $p$ applied to each size, for wide, square and
# tall matrices.

# %%
def by_svd(G, steps=5):
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    return (U * apply(jordan, s / np.linalg.norm(s), steps)) @ Vt

rng = np.random.default_rng(24)
for shape in ((5, 9), (6, 6), (9, 4)):
    other = rng.normal(size=shape)
    print(shape, "agree:", np.allclose(orthogonalize(other), by_svd(other), atol=1e-6))

# %%
after = np.linalg.svd(orthogonalize(G), compute_uv=False)
inside = (after > 0.68) & (after < 1.21)
print(f"of the {len(s)} sizes of the real gradient {inside.sum()} end between 0.68 and 1.21; the others began "
      f"below {s[inside.sum() - 1] / np.linalg.norm(s):.4f}")
figure, ax = subplots(size=(6, 2.8))
ax.plot(s / np.linalg.norm(s), color=GRAY, label="before, over their norm")
ax.plot(after, color=ORANGE, label="after")
ax.axhline(1, color=BLUE, lw=0.8, ls=":")
ax.set(xlabel="number of the size, largest first", ylabel="singular value", ylim=(0, 1.3)); ax.legend()
show(figure, "The 128 singular values of a gradient, largest first. Before, the curve falls from 0.5 to near 0 "
             "within the first fifty. After, nearly all lie between 0.68 and 1.2, falling slowly; two are a little "
             "below, and the very last is almost 0.")

# %% [markdown]
# Now break it. **Before you run the next cell:** what becomes of our 2×2 matrix, with its sizes of 6.7 and
# 2.2, if somebody forgets to divide by the norm?

# %%
for n in range(4):
    print(n, "steps:", " ".join(f"{size:.1e}" for size in apply(jordan, np.array([6.7, 2.2]), n)))
print(f"above {np.roots([c, b, a - 1]).max() ** 0.5:.2f} every step makes a size larger")    # p(s) = s there

# %% [markdown]
# ## Which arrays, and which matrices
#
# Muon is for matrices that turn vectors into vectors: those of the blocks. Gains and biases are not
# matrices. The embedding is one by its shape only: a batch reads a few of its rows, each by itself. It
# and the head stay with AdamW, as in Jordan's version. (We shall see what happens if not.)
#
# One array hides three matrices: `qkv.W` holds those of queries, keys and values side by side, because one
# product is faster. $U V^\top$ of the three together is not the three $U V^\top$:

# %%
qkv = model.blocks[1].attn.qkv.dW    # (128, 384)
names, together = ("q", "k", "v"), np.split(orthogonalize(qkv), 3, axis=1)
for name, part, O in zip(names, np.split(qkv, 3, axis=1), together):
    print(f"{name}: size of the gradient {np.linalg.norm(part):.3f}, of its part of the step: "
          f"together {np.linalg.norm(O):.1f}, apart {np.linalg.norm(orthogonalize(part)):.1f}")

# %% [markdown]
# Together, the values get the largest part of the step, because their gradient is the largest. Apart, all three
# get nearly the same, and more: each has 128 directions of its own. So we cut the array into three views, each
# a matrix of its own.

# %% tags=["export"]
def in_blocks(name, p):
    """Whether Muon takes a parameter: a matrix of the blocks, not embedding, head, gain or bias."""
    return name.startswith("blocks.") and p.ndim == 2


def matrices(name, W):
    """Return the matrices in W, as views: in qkv.W there are three, side by side."""
    return np.split(W, 3, axis=1) if name.endswith("qkv.W") else [W]

# %% [markdown]
# AdamW asks a model for its parameters and gradients, so the rest can be shown to it as a smaller model:

# %% tags=["export"]
class Part:
    """Some of a model's parameters, by name: all of it that an optimizer sees."""

    def __init__(self, model, names):
        self.model, self.names = model, names

    def params(self):
        return {name: p for name, p in self.model.params().items() if name in self.names}

    def grads(self):
        return {name: g for name, g in self.model.grads().items() if name in self.names}

# %% [markdown]
# ## The optimizer
#
# What is made orthogonal is not one gradient but a mean of many, as in Adam, with Nesterov's look ahead (the
# last exercise of chapter 6). And one factor: an orthogonal $D$ from 128 inputs to 512 outputs keeps the
# length of a vector, but spreads it over four times as many entries, each half as large. $\sqrt{n_\text{out} / n_\text{in}}$ makes up for it; from many to few there is nothing to make up for.

# %% tags=["export"]
class Muon:
    """W ← W - lr √max(1, n_out/n_in) orthogonalize(u), for each matrix W (n_in, n_out) it takes.

    m ← μ m + (1-μ) g, u = μ m + (1-μ) g: Nesterov momentum, with g the gradient of W. With
    weight_decay > 0, W ← (1 - lr · weight_decay) W first. AdamW steps all other parameters, at a
    rate that is adam_lr at first, and changes as lr does.

    Args:
        takes: function of a parameter's name and the parameter: whether Muon steps it.
        apart: function of the same that returns the matrices in it, as views.
        engine: a ThreadedEngine shares the matrices out to its threads.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """

    def __init__(
        self, model, lr=0.02, momentum=0.95, weight_decay=0.0, *, adam_lr=2e-3, betas=(0.9, 0.999),
        eps=1e-8, takes=in_blocks, apart=matrices, engine=None,
    ):
        params = model.params()
        taken = {name: p for name, p in params.items() if takes(name, p)}
        if not taken:
            raise ValueError("Muon found no matrix to take: it looks for names that begin with blocks.")
        if lr <= 0:
            raise ValueError(f"lr={lr} must be more than 0: AdamW's rate is kept in proportion to it")
        self.model, self.apart, self.engine = model, apart, engine
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.m = {name: np.zeros_like(p) for name, p in taken.items()}
        self.ratio = adam_lr / lr
        rest = Part(model, params.keys() - taken.keys())
        self.adam = Adam(rest, adam_lr, betas, eps, weight_decay)

    @property
    def t(self):
        """Steps taken."""
        return self.adam.t

# %% tags=["export"]
@add_to_class(Muon)
def direction(self, u):
    return orthogonalize(u)


@add_to_class(Muon)
def move(self, W, g, m):
    """Step one matrix W with gradient g; its mean gradient m changes in place, too."""
    mu = self.momentum
    m *= mu
    m += (1 - mu) * g
    u = mu * m + (1 - mu) * g
    W *= 1 - self.lr * self.weight_decay
    W -= self.lr * math.sqrt(max(1, W.shape[1] / W.shape[0])) * self.direction(u)

# %% [markdown]
# A step moves the rest, then each matrix. The matrices have nothing to do with each other: the threads of
# [chapter 18](18_speed.ipynb) can share them. Ranks ([chapter 20](20_scaling_out.ipynb)) need nothing new,
# since they step with equal gradients.

# %% tags=["export"]
@add_to_class(Muon)
def step(self):
    self.adam.lr = self.ratio * self.lr
    self.adam.step()
    params, grads = self.model.params(), self.model.grads()
    jobs = []
    for name, m in self.m.items():
        jobs += zip(*(self.apart(name, a) for a in (params[name], grads[name], m)), strict=True)
    pool = getattr(self.engine, "pool", None)
    if pool is None:
        for job in jobs:
            self.move(*job)
        return
    # As for a batch: BLAS starts no threads of its own, and np.errstate goes along.
    with self.engine.blas.limited(1):
        contexts = [contextvars.copy_context() for _ in jobs]
        list(pool.map(lambda c, job: c.run(self.move, *job), contexts, jobs))

# %% tags=["export"]
@add_to_class(Muon)
def zero_grad(self):
    self.model.zero_grad()


@add_to_class(Muon)
def state(self):
    """Return {name: array}: all that a resumed run needs."""
    return {f"m.{name}": m for name, m in self.m.items()} | self.adam.state()


@add_to_class(Muon)
def load_state(self, arrays):
    if arrays.keys() != self.state().keys():
        raise ValueError("this is the state of another optimizer, or of another model")
    self.adam.load_state(arrays)
    for name, m in self.m.items():
        m[...] = arrays[f"m.{name}"]

# %% [markdown]
# A check by hand: two steps of a small GPT, and the same steps of one of its matrices by decomposition. The
# rest must move as AdamW alone would move it, bit for bit.

# %%
from numpygpt import GPT, GPTConfig

def small_gpt(seed=0, dtype=np.float32):
    return GPT(GPTConfig(tokenizer.vocab_size, 32, 2, 4, 48), rng=np.random.default_rng(seed), dtype=dtype)

ours, theirs = small_gpt(dtype=np.float64), small_gpt(dtype=np.float64)
muon, adam = Muon(ours, 0.02, adam_lr=5e-3), Adam(theirs, 5e-3)
name, expected, mean = "blocks.0.ffn.fc1.W", ours.blocks[0].ffn.fc1.W.copy(), 0.0
for _ in range(2):
    for g, h in zip(ours.grads().values(), theirs.grads().values()):
        g[...] = h[...] = rng.normal(size=g.shape)
    mean = 0.95 * mean + 0.05 * ours.grads()[name]
    expected -= 0.02 * 2 * by_svd(0.95 * mean + 0.05 * ours.grads()[name])    # √(192/48) = 2
    muon.step(); adam.step()

# %%
print("the matrix moved as by hand:", np.allclose(ours.params()[name], expected, atol=1e-6))
print("the rest moved as with AdamW:", all(np.array_equal(ours.params()[key], theirs.params()[key]) for key in muon.adam.m))

# %% [markdown]
# ## What it costs
#
# For a matrix whose sides are $n \le m$, one of the five steps takes two products of $2 n^2 m$ operations and one of
# $2 n^3$. The training step itself does about $6 n m$ for each token (chapter 19), of $N$ in the batch:
#
# $$\frac{5\,(4 n^2 m + 2 n^3)}{6\, n m N} = \frac{5 n}{3 N} \left(2 + \frac nm \right)$$
#
# **Before you run the next cell:** what is this for our blocks, with $n = 128$ and batches of 12 × 64
# tokens? And with ten times the batch?

# %%
def share(tokens, n=128):
    square, oblong = (5 * n / (3 * tokens) * (2 + ratio) for ratio in (1, 1 / 4))
    return (4 * square + 8 * oblong) / 12    # q, k, v, proj of n² numbers each; fc1, fc2 of 4 n²

for tokens in (768, 7680):
    print(f"{tokens:5} tokens: Newton–Schulz adds {share(tokens):.0%} to the products of both passes")

# %%
from numpygpt.engine import BLASThreads

def milliseconds(work, rounds=5):
    """Of one core, whatever else the machine does."""
    times = []
    with BLASThreads().limited(1):
        for _ in range(rounds):
            start = time.process_time(); work(); times.append(time.process_time() - start)
    return 1e3 * min(times)

# %% tags=["measurement"]
big = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz")[0]
for rows in (12, 48):
    batch = next(DataLoader(train_ids, rows, 64, rng=rng))
    pass_ms = milliseconds(lambda batch=batch: (big(*batch), big.backward()))
    adam_ms, muon_ms = (milliseconds(kind(big).step) for kind in (Adam, Muon))
    print(f"batch {rows}: both passes {pass_ms:.0f} ms, a step of AdamW {adam_ms:.0f} ms, of Muon {muon_ms:.0f} ms")
G32 = G.astype(np.float32)
print(f"an SVD of one 128 x 512 takes {milliseconds(lambda: np.linalg.svd(G32, full_matrices=False)):.1f} ms, "
      f"orthogonalize {milliseconds(lambda: orthogonalize(G32)):.1f} ms")

# %% [markdown]
# That is an upper bound for the time: layers do more than multiply. With four times the batch both passes take four
# times as long, and Muon's step as long as before.
#
# ## Does it help? And which part of it?
#
# A small GPT that trains in seconds: 150 steps, two blocks of width 48. Here is one run of each optimizer, from
# the same weights and on the same batches.

# %%
from numpygpt.training import TrainConfig, Trainer

def final_loss(make, lr, seed):
    model = small_gpt(seed)
    config = TrainConfig(batch_size=8, max_iters=150, lr=lr, min_lr=lr / 20, warmup_iters=15,
                         eval_interval=150, eval_iters=40, seed=seed)
    trainer = Trainer(model, train_ids, val_ids, config, optimizer=make(model, lr))
    return list(trainer.run())[-1]["val_loss"]

def by_adam(model, lr):
    return Adam(model, lr, (0.9, 0.99), weight_decay=0.1)

def muon_like(kind, **options):
    return lambda model, lr: kind(model, lr, weight_decay=0.1, adam_lr=5e-3, betas=(0.9, 0.99), **options)

# %% tags=["measurement"]
for name, make, lr in (("AdamW", by_adam, 2.5e-3), ("Muon", muon_like(Muon), 0.02)):
    print(f"{name:5}  rate {lr}: validation loss {final_loss(make, lr, seed=0):.2f}")

# %% [markdown]
# Are these good rates? Is it luck? `python benchmarks/muon_parts.py` makes many such runs, in a minute: for each
# optimizer three rates and one seed, then the best rate with two more seeds. We read its file.

# %%
small_runs = json.loads(Path("../data/muon_parts.json").read_text())["runs"]

def tried(name):
    """The loss at each rate, with the first seed."""
    return {run["lr"]: run["loss"] for run in small_runs if (run["optimizer"], run["seed"]) == (name, 0)}

def at_best_rate(name):
    best = min(tried(name), key=tried(name).get)
    return [run["loss"] for run in small_runs if (run["optimizer"], run["lr"]) == (name, best)]

for name in ("AdamW", "Muon"):
    print(f"{name:5}  rates {[*tried(name)]}: {np.round([*tried(name).values()], 2)}")

# %% [markdown]
# Muon changes little over a factor of four in its rate. Now the skeptic's questions. Is it the equal
# sizes, or is it that all steps have the same length? (*Same length* is the mean gradient $u$ itself,
# scaled to $\lVert U V^\top \rVert$, at the best of four rates.) Would sizes of exactly 1 be better
# than 0.68 to 1.20? What if `qkv.W` is one matrix? What if Muon takes the embeddings, too?
#
# **Before you run the next cells:** which of the four will lose?

# %%
class SameLength(Muon):
    def direction(self, u):
        return u * (min(u.shape) ** 0.5 / np.linalg.norm(u))

class Exact(Muon):
    def direction(self, u):
        U, _, Vt = np.linalg.svd(u, full_matrices=False)
        return U @ Vt

changes = {
    "same length, unequal sizes": (muon_like(SameLength), 0.0025),
    "sizes of exactly 1": (muon_like(Exact), 0.02),
    "q, k, v as one matrix": (muon_like(Muon, apart=lambda name, W: [W]), 0.02),
    "embeddings, too": (muon_like(Muon, takes=lambda name, p: p.ndim == 2), 0.02),
}

# %% [markdown]
# One of them, one run; put in another name and another seed:

# %% tags=["measurement"]
name = "same length, unequal sizes"
print(f"{name}: validation loss {final_loss(*changes[name], seed=0):.2f}")

# %% [markdown]
# All of them, three seeds each, from the file:

# %%
found = {name: at_best_rate(name) for name in ("AdamW", "Muon", *changes)}
losses = tried("same length, unequal sizes")
print(f"same length, rates {[*losses]}: {np.round([*losses.values()], 2)}")
for name, losses in found.items():
    print(f"{name:27} {np.mean(losses):.2f}   from {min(losses):.2f} to {max(losses):.2f}")

# %%
def worse(one, other, by=0.0):
    return min(found[one]) > max(found[other]) + by

print("AdamW is worse than Muon, by more than both spreads:", worse("AdamW", "Muon"))
print("same length is worse than Muon by more than 0.1:", worse("same length, unequal sizes", "Muon", by=0.1))
rest = list(found)[3:]
print("the other three are within 0.03 of Muon:", all(abs(np.mean(found[name]) - np.mean(found["Muon"])) < 0.03 for name in rest))
seen, _ = next(DataLoader(train_ids, 8, 32, rng=np.random.default_rng(0)))    # as in these trainings
print("a batch of", seen.size, "holds", len(np.unique(seen)), "of", tokenizer.vocab_size, "characters")

# %% [markdown]
# It is the equal sizes. A step of the same length that keeps the proportions of the gradient ends near AdamW,
# far behind Muon. The other three make little difference or none: sizes of about 1 are as good as 1, which is why
# nobody pays for an SVD; q, k and v as one matrix end one or two hundredths behind; and even the embeddings may be
# taken. Here at least: a batch holds 39 of 63 characters; of 50,000 words, 256 at most.
#
# Try it: how many of the five steps of Newton–Schulz does this training need? Give `muon_like` a class whose
# `direction` returns `orthogonalize(u, 1)`, then 2, 3 and 8.
#
# <details><summary>Answer</summary>
#
# With seeds 0, 1 and 2 we got 2.60, 2.59 and 2.59 for one step, 2.51 three times for two, and for three 2.49, 2.48
# and 2.47: the same as with five, and with eight. One step alone is enough to be ahead of AdamW. (The speedrun's
# larger model wants all five, says its README.)
#
# </details>
#
# ## At full size, at equal steps and at equal time

# %%
print("best rates: AdamW", best_rate("AdamW"), "of five, Muon", best_rate("Muon"), "of three")
budgets = (150, 300, 600)
for steps in budgets:
    for optimizer in ("AdamW", "Muon"):
        losses, seconds = of(optimizer, steps), of(optimizer, steps, "seconds")
        print(f"{steps:5} steps  {optimizer:5}  {losses.mean():.3f} (from {losses.min():.3f} to {losses.max():.3f})"
              f"  in {seconds.mean():4.0f} s of one core")

# %%
figure, axes = subplots(1, 2, size=(9, 3.2), sharey=True)
for optimizer, style, color in (("AdamW", "o--", BLUE), ("Muon", "s-", ORANGE)):
    losses = np.array([of(optimizer, n) for n in budgets])          # (budgets, seeds)
    seconds = [of(optimizer, n, "seconds").mean() for n in budgets]
    for ax, places in zip(axes, (budgets, seconds)):
        ax.fill_between(places, losses.min(axis=1), losses.max(axis=1), color=color, alpha=0.3, lw=0)
        ax.plot(places, losses.mean(axis=1), style, color=color, label=optimizer)
for ax, label, ticks in zip(axes, ("steps", "seconds of one core"), (budgets, (10, 20, 40, 60))):
    ax.set(xscale="log", xlabel=label)
    ax.minorticks_off(); ax.set_xticks(ticks, ticks)
axes[0].set_ylabel("validation loss (nats)"); axes[0].legend()
show(figure, "Validation loss of AdamW and Muon after 150, 300 and 600 steps, each the mean of three seeds in a "
             "narrow band. Left against steps, right against seconds, both logarithmic. Muon's line is below on both "
             "sides; on the right it is moved towards AdamW's.")

# %% [markdown]
# The dots are ends of runs, each with a falling rate of its own. Between them we may read off, along the logarithm of
# the time, what AdamW reaches in the seconds that Muon takes:

# %%
def rival_in(seconds):
    times = [of("AdamW", n, "seconds").mean() for n in budgets]
    return np.interp(math.log(seconds), np.log(times), [of("AdamW", n).mean() for n in budgets])

for n in (150, 300):
    seconds, loss = of("Muon", n, "seconds").mean(), of("Muon", n).mean()
    print(f"in {seconds:.0f} s: Muon {loss:.3f}, AdamW {rival_in(seconds):.3f}, {rival_in(seconds) - loss:.3f} behind; "
          f"at equal steps {of('AdamW', n).mean() - loss:.3f}")

# %% [markdown]
# At equal steps Muon is ahead by more than 0.2, while its seeds differ by one or two hundredths. At equal time about half
# of that lead is left, since a step takes 1.4 times as long; it is still many times the spread. So here Muon wins on
# both counts. What these runs do not say: how it ends over many thousand steps, or at the width of a large
# model, where a batch has a million tokens and Muon's share of the time nearly vanishes.
#
# ## The speedrun
#
# Now you have all the parts. How good a model can be trained in NumPy, in **five minutes on two cores**, from
# the start of the process to its score? `benchmarks/speedrun/` has rules, in the manner of the speedruns of
# GPT-2 (Jordan and others): one text, one score over all of its validation part, each record a folder with its
# script and the logs of at least four seeds, and better than the last one with $p < 0.01$. `make speedrun` runs the
# last program; the README there tells which are records, with the lesson of each, and what did not help.
#
# Why four seeds, and a test? [Chapter 16](16_training.ipynb) said it: a single run is luck in part. The last
# exercise computes such a p-value, and finds a surprise.
#
# ## Export

# %%
export("24_muon")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/24_muon.ipynb](../exercises/24_muon.ipynb). A check says what is
# wrong, and `hint("muon-polynomial")` helps.
#
# | task | | minutes |
# |---|---|---|
# | an odd polynomial | easy | 10 |
# | orthogonalize | medium | 20 |
# | what is fused | easy | 15 |
# | a step of Muon | hard | 30 |
# | is it a record? | medium | 20 |
#
# ## Recap
#
# - A matrix is directions and sizes. Muon keeps the directions of the mean gradient and makes all sizes about 1: the best
#   step that stretches no input by more than the rate.
# - Odd powers of a matrix change its sizes alone; five steps of a steep polynomial bring them to between 0.68 and
#   1.20, by matrix products.
# - It takes the matrices of the blocks, q, k and v apart; AdamW keeps the rest. A step costs more; the share falls with
#   the batch.
# - We exported `numpygpt/optim/muon.py`; `numpygpt train --optimizer muon` uses it.
# - Next: A chat model, where somebody else's weights come into our own layers.
