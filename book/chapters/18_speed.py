# %% [markdown]
# # Chapter 18: Speed
#
# A linear layer multiplies 768 rows by a matrix. Here are three lines of NumPy for it. Each does the
# same multiplications and the same additions, and none has a loop in Python.

# %%
import math
import time
import tracemalloc

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLUE, GREEN, GRAY, ORANGE, PINK, show, subplots

rng = np.random.default_rng(18)
x = rng.normal(size=(768, 128)).astype(np.float32)
W = rng.normal(size=(128, 512)).astype(np.float32)

# %%
ways = {
    "broadcast": lambda: (x[:, :, None] * W).sum(axis=1),
    "einsum": lambda: np.einsum("nc,cd->nd", x, W),
    "matrix product": lambda: x @ W,
}

def same(a, b):
    return np.allclose(a, b, rtol=1e-3, atol=1e-4)

for name, way in ways.items():
    print(f"{name:15} the same numbers: {same(way(), x @ W)}")

# %% [markdown]
# **Before you run the next cell:** which is slowest, and by what factor? We take the fastest of
# several calls. Whatever else the machine does can make a call slower, but nothing makes it faster.

# %%
def best_ms(work, *args, rounds=20):
    """Milliseconds of the fastest work(*args); the first call, which fills caches, does not count."""
    times = []
    while len(times) < 2 or len(times) <= rounds and sum(times) < 1:    # a second at most
        start, calls, seconds = time.perf_counter(), 0, 0
        while seconds < 1e-3:    # a coarse clock cannot time anything shorter
            work(*args)
            calls, seconds = calls + 1, time.perf_counter() - start
        times.append(seconds / calls)
    return 1000 * min(times[1:])

# %% tags=["measurement"]
for name, way in ways.items():
    print(f"{name:15} {best_ms(way):7.2f} ms")

# %% [markdown]
# The same arithmetic takes more than ten times as long. So counting operations does not tell us how long
# they take. **What does? How fast can a training step be on this machine, and what
# keeps ours from it?** One rule holds for the whole chapter: whatever we make faster must give the
# same numbers, and a cell shows that it does.
#
# ## Shapes
#
# We take the model and the batch that `numpygpt train` has by default.
#
# | name | meaning | shape or value |
# |---|---|---|
# | `ids`, `targets` | a batch: `B` = 12 sequences of `T` = 64 tokens | `(B, T)` |
# | `x` | a row for each of the N = BT tokens, `C` = 128 channels | `(B, T, C)` or `(N, C)` |
# | `hidden` | inside the feed-forward layer | `(B, T, 4C)` |
# | `scores` | of `H` = 4 heads | `(B, H, T, T)` |
# | `s` | one piece of the batch, `B_s` sequences | |

# %%
from numpygpt import GPT, GPTConfig
from numpygpt.training import LayersEngine

B, T, C, H, V, n_layer = 12, 64, 128, 4, 63, 4
model = GPT(GPTConfig(V, T, n_layer, H, C), rng=rng)
ids, targets = rng.integers(0, V, (2, B, T))    # random ids are as much work as Shakespeare's
x = rng.normal(size=(B, T, C)).astype(np.float32)
hidden = rng.normal(size=(B, T, 4 * C)).astype(np.float32)
scores = rng.normal(size=(B, H, T, T)).astype(np.float32)

# %% [markdown]
# ## By hand: operations and bytes
#
# Multiply a 2×3 matrix by a 3×4 matrix. Each of the 8 results takes 3 multiplications and 3
# additions (the first one to 0). We count both as a *floating-point operation*, FLOP. Both matrices
# must be fetched from memory and the result put there, 4 bytes a number in float32. (The processor
# keeps what it used most recently in a *cache*, a small, fast memory of its own.) The **arithmetic
# intensity** is the number of FLOP for each byte that moves. For $(m, k)$ times $(k, n)$:
#
# $$\text{FLOP} = 2\,m\,k\,n, \qquad \text{bytes} = 4\,(m k + k n + m n).$$
#
# **Predict**: two matrices of shape (128, 128), added or multiplied. Which has more FLOP per byte?

# %%
def product_cost(m, k, n):
    return 2 * m * k * n, 4 * (m * k + k * n + m * n)

costs = {
    "product, 2×3 and 3×4": product_cost(2, 3, 4),
    "sum, 128×128": (128 * 128, 3 * 4 * 128 * 128),
    "product, 128×128": product_cost(128, 128, 128),
    "product of fc1, 768×128 and 128×512": product_cost(B * T, C, 4 * C),
}
for name, (flop, size) in costs.items():
    print(f"{name:36} {flop:11,} FLOP {size:9,} bytes {flop / size:6.2f} FLOP per byte")

# %% [markdown]
# A sum uses each number once. A product uses each number many times: the larger the matrices, the
# more often. The broadcast at the top of the chapter lost that: it wrote every single product to
# memory and read it back. `einsum` does not write them: it runs a plain loop in C, which fetches
# the same numbers again and again. A library for matrix products works on blocks that fit into the
# cache.
#
# Now the whole step. Each weight meets each token once forward and twice backward, for `dx` and
# `dW`, 2 FLOP each time. A block has $12 C^2$ weights, and attention adds $4TC$ FLOP for each token
# forward, $2TC$ each for its two products (scores and values), and twice that backward:

# %%
N = B * T
flop_weights = 6 * N * (n_layer * 12 * C**2 + V * C)
flop_attention = 12 * N * n_layer * T * C
step_flop = flop_weights + flop_attention
print(f"{step_flop / 1e9:.2f} GFLOP a step, {flop_attention / step_flop:.0%} of it in attention")

# %% [markdown]
# ## One core at a time
#
# The matrix products of NumPy come from a library, a *BLAS* (basic linear algebra subprograms):
# usually OpenBLAS, which starts a thread for each core without being asked. To see what one core
# does, we must tell it so. OpenBLAS has two functions for that, which Python can call through
# `ctypes`. `numpygpt/engine.py` begins with them.

# %% tags=["export"] module="engine.py"
"""ThreadedEngine: a batch shared out over threads. Derived in chapter 18."""

import contextlib
import contextvars
import copy
import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PIECE_TOKENS = 2048  # enough rows for fast matrix products; more would only take memory
# %% tags=["export"]
class BLASThreads:
    """The number of threads that OpenBLAS, NumPy's matrix product, uses; for any other BLAS, 1."""

    def __init__(self):
        self.library, self.name = None, None
        root = Path(np.__file__).parent
        for folder in (root.parent / "numpy.libs", root / ".dylibs"):
            for path in sorted(folder.glob("*openblas*")):
                self.library = ctypes.CDLL(str(path))  # the one that NumPy has loaded
        for name in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):
            if self.library and hasattr(self.library, name.format("set_num_threads")):
                self.name = name
# %% tags=["export"]
@add_to_class(BLASThreads)
def get(self):
    return self.library[self.name.format("get_num_threads")]() if self.name else 1

@add_to_class(BLASThreads)
def set(self, n):
    if self.name:
        self.library[self.name.format("set_num_threads")](n)
# %% tags=["export"]
@add_to_class(BLASThreads)
@contextlib.contextmanager
def limited(self, n):
    """Use n threads within the block, and then as many as before."""
    before = self.get()
    self.set(n)
    try:
        yield
    finally:
        self.set(before)
# %%
blas = BLASThreads()
cores = blas.get()
with blas.limited(1):
    inside = blas.get()
print("one thread inside, then as many as before:", inside == 1 and blas.get() == cores)
blas.set(1)    # until we come to threads

# %% [markdown]
# ## Profile first
#
# We time the forward and the backward pass of each kind of layer, and multiply by the number of such
# layers. **Predict**: which has the longest bar? And how large is the part of attention
# between its two `Linear` layers?

# %%
from numpygpt.nn import GELU
from numpygpt.optim import Adam, clip_grad_norm

block, optimizer = model.blocks[0], Adam(model)
logits, _ = model(ids, targets)

def both_ways(layer, *inputs):
    dy = np.ones_like(layer(*inputs))
    return best_ms(layer, *inputs) + best_ms(layer.backward, dy)

# %% tags=["measurement"]
attn, ffn = block.attn, block.ffn
pairs = ((attn.qkv, x), (attn.proj, x), (ffn.fc1, x), (ffn.fc2, hidden))
linears = [both_ways(layer, x) for layer, x in pairs]
parts = {
    "Linear": n_layer * sum(linears),
    "attention between": n_layer * (both_ways(attn, x) - linears[0] - linears[1]),
    "LayerNorm": (2 * n_layer + 1) * both_ways(block.ln1, x),
    "ReLU": n_layer * both_ways(ffn.act, hidden),
    "token embedding": both_ways(model.wte, ids),
    "loss": both_ways(model.loss, logits, targets),
    "clip and Adam": best_ms(clip_grad_norm, model, 1.0) + best_ms(optimizer.step),
}

# %% tags=["measurement"]
whole = LayersEngine(model)
step_ms = best_ms(whole.backprop, ids, targets) + parts["clip and Adam"]
parts["head, sums, the rest"] = max(0, step_ms - sum(parts.values()))
for name, ms in parts.items():
    print(f"{name:21} {ms:6.2f} ms  {ms / step_ms:4.0%}")

# %% tags=["measurement"]
figure, axes = subplots(size=(6, 3))
colors = [BLUE, PINK] + [ORANGE] * 5 + [GRAY]    # products, both, passes over arrays
axes.barh(list(parts)[::-1], list(parts.values())[::-1], color=colors[::-1])
axes.set(xlabel="milliseconds of a step",
         title="blue: products, orange: passes, pink: both, gray: rest")
show(figure, "Bars of the time that each kind of layer takes in a training step, on one core. "
             "Linear has the longest by far; attention and the rest follow; the others are short.")

# %% [markdown]
# The blue bar is matrix products: few calls, many FLOP per byte. The orange ones are *element-wise
# passes*: each call reads arrays, does one operation on each number, and writes an array. The pink
# one has both, and takes more than its 8% of the operations. The gray bar is what a whole step
# takes beyond these: the head, the residual sums, and cache misses. A layer timed alone finds its
# arrays in the cache; within a step, others have pushed them out. If a part takes the share $f$ of
# a step and becomes $s$ times as fast, the step takes $1 - f + f/s$ of the time (**Amdahl's law**):
# a bar of 2% is worth 2% at most.
#
# ## Idea 1: float32
#
# Half the bytes to move, and twice as many numbers in each instruction of the processor. But one
# careless number undoes it. A Python float adapts to the array; a float64 from NumPy does not:

# %%
print("times a Python float:   ", (x * math.sqrt(2)).dtype)
print("times a float of NumPy: ", (x * np.sqrt(2)).dtype)

# %% [markdown]
# We break a copy of the model on purpose: one LayerNorm, the first of block 1, gets its `eps` from
# NumPy. The loss stays the same, so no test of numbers can see it; only a look at the arrays that
# the layers keep can. **Predict**: in which of the four blocks are the keys of attention float64?

# %%
broken = copy.deepcopy(model)
broken.blocks[1].ln1.eps = np.float64(1e-5)
print("the loss is the same:", same(broken(ids, targets)[1], model(ids, targets)[1]))
print("keys, block by block:", [block.attn.k.dtype.name for block in broken.blocks])

# %% [markdown]
# One number is enough to change everything after it. What does it cost? Here, and for each idea to
# come, we time "before" and "after" alternately.

# %%
gains = {}

def compare(idea, before, after, rounds=9):
    """Time two versions alternately, and keep how many times as fast the second is."""
    pairs, start = [], time.perf_counter()
    while len(pairs) < 3 or len(pairs) < rounds and time.perf_counter() - start < 10:    # seconds
        pairs.append((best_ms(before, rounds=1), best_ms(after, rounds=1)))
    old, new = np.min(pairs, axis=0)
    gains[idea] = old / new
    print(f"{idea}: {old:.3f} ms, then {new:.3f} ms: {old / new:.1f} times as fast")

# %% tags=["measurement"]
compare("float32 in all layers", lambda: broken(ids, targets), lambda: model(ids, targets))

# %% [markdown]
# ## Idea 2: one large product
#
# `x @ W` with `x` of shape `(B, T, C)` is a stack of B products, and each of them fetches `W` again. In
# [chapter 3](03_linear.ipynb) `Linear` laid the sequences end to end first. At the extreme, each row
# has a product of its own:

# %%
W1 = block.ffn.fc1.W                                  # (C, 4C)
rows = x.reshape(N, C)
row_by_row = lambda: (rows[:, None] @ W1)[:, 0]       # N products of (1, C) and (C, 4C)
print("a stack of B:", same((x @ W1).reshape(N, -1), rows @ W1),
      "| a stack of N:", same(row_by_row(), rows @ W1))

# %% tags=["measurement"]
compare("one product, not N", row_by_row, lambda: rows @ W1)

# %% [markdown]
# ## Idea 3: fewer passes
#
# GELU written as in the equation makes one new array after another. The layer of [chapter
# 4](04_activations.ipynb) writes into the arrays that it has made itself, with `*=` and `+=`.
# `tracemalloc` tells us the most memory that was in use at any moment. **Predict**: which of the
# two has more arrays of the size of `hidden` at a time?

# %%
a, c = GELU.a, GELU.c
gelu = GELU()

def as_written(x):
    return 0.5 * x * (1 + np.tanh(a * (x + c * x * x * x)))

def peak(work, *args):
    """Bytes in use at the highest point of work(*args), beyond those in use before."""
    tracemalloc.start()
    work(*args)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest

# %%
before, after = (peak(f, hidden) / hidden.nbytes for f in (as_written, gelu))
print("the same numbers:", same(as_written(hidden), gelu(hidden)),
      "| of the cube:", same(hidden**3, hidden * hidden * hidden))
print(f"arrays at a time: {before:.0f} as written, {after:.0f} in place")

# %% [markdown]
# Neither: Python frees an array as soon as nothing refers to it, and one of the layer's three is
# the tanh, kept for its backward pass. What it saves is time: a new array is not in the cache yet.
# Beware of `**`, too: NumPy has a fast path for squares, but a cube goes through its general, slow
# `pow`.

# %% tags=["measurement"]
compare("GELU in place", lambda: as_written(hidden), lambda: gelu(hidden))
compare("x * x * x for x**3", lambda: hidden**3, lambda: hidden * hidden * hidden)

# %% [markdown]
# A sum of products along rows, as in the backward passes of softmax and LayerNorm, needs no array
# of products: `np.vecdot` multiplies and adds as it reads. And a plain sum along short rows is a
# product with a vector of ones, which the BLAS computes:

# %%
ones = np.ones(T, np.float32)
print("vecdot:", same(np.vecdot(scores, scores), (scores * scores).sum(axis=-1)))
print("@ ones:", same(scores @ ones, scores.sum(axis=-1)))

# %% tags=["measurement"]
compare("vecdot", lambda: (scores * scores).sum(axis=-1), lambda: np.vecdot(scores, scores))
compare("row sums by @ ones", lambda: scores.sum(axis=-1), lambda: scores @ ones)

# %% [markdown]
# ## Idea 4: add the mask
#
# With a boolean index, NumPy looks up one by one which places to write to. Adding $-\infty$ to
# some and 0 to the others is a pass like any other.

# %%
future = np.triu(np.ones((T, T), bool), 1)
minus_inf = np.triu(np.full((T, T), -np.inf, np.float32), 1)

def by_index(scores):
    scores = scores.copy()
    scores[..., future] = -np.inf
    return scores

print("the same numbers:", np.array_equal(by_index(scores), scores + minus_inf))

# %% tags=["measurement"]
compare("mask by adding", lambda: by_index(scores), lambda: scores + minus_inf)

# %% [markdown]
# ## Idea 5: sort, then add runs
#
# `np.add.at` of [chapter 8](08_embedding.ipynb) takes one id after another. If we sort the ids, and the
# rows of `dy` with them, equal ids stand side by side, in *runs*. `np.add.reduceat` adds each run, from
# its start up to the next start. **Predict** the three sums:

# %%
print(np.add.reduceat(np.array([1, 2, 3, 4, 5]), [0, 2, 3]))

# %% [markdown]
# The first exercise turns this into a faster backward pass for `Embedding`. The layer itself keeps
# its one clear line, `np.add.at`: its bar in the profile is short. `softmax`, too, keeps its plain
# `sum`, which works along any axis: what `@ ones` saves is too little to show in a step. Here is
# what each idea that we timed gains on its own piece of code:

# %% tags=["measurement"]
figure, axes = subplots(size=(6, 3.2))
names = sorted(gains, key=gains.get)
bars = axes.barh(names, [gains[name] - 1 for name in names], left=1, color=BLUE)
axes.bar_label(bars, [f"{gains[name]:.1f}" for name in names], padding=3)
axes.set(xscale="log", xlabel="times as fast as before, on one core")
show(figure, "Bars of how many times as fast each idea made its own piece of code, on a logarithmic "
     "axis. Multiplying instead of raising to the third power gains most.")

# %% [markdown]
# ## Idea 6: share the batch out over threads
#
# There is more than one core. OpenBLAS can use them all within a product, but during the passes all
# but one wait. Instead, we can give each core a piece of the batch and let it do everything for
# that piece. Is that exact? The loss is a mean over the batch. Cut it into pieces $s$ of $B_s$
# sequences:
#
# $$L = \frac{1}{B} \sum_{b} \ell_b = \frac{1}{B} \sum_s \sum_{b \in s} \ell_b = \sum_s \frac{B_s}{B} \, L_s,
# \qquad L_s = \frac{1}{B_s} \sum_{b \in s} \ell_b .$$
#
# The slope of a sum is the sum of the slopes, so for every parameter $W$
#
# $$\frac{\partial L}{\partial W} = \sum_s \frac{B_s}{B} \, \frac{\partial L_s}{\partial W} .$$
#
# No layer mixes two sequences, so a piece needs nothing from the others. The factor $B_s/B$ is the piece's
# **share**. Here are seven sequences in pieces of 1, 2 and 4. **Predict**: which of the two is the
# loss of the batch: the mean of the three losses, or their sum by shares?

# %%
small = GPT(GPTConfig(11, 5, 2, 3, 6), rng=rng, dtype=np.float64)
small.wte.W *= 20    # a new model gives nearly the same loss to all
few = rng.integers(0, 11, (2, 7, 5))    # ids and targets of 7 sequences
losses = [small(few[0, s], few[1, s])[1] for s in (slice(0, 1), slice(1, 3), slice(3, 7))]
by_shares = np.average(losses, weights=[1, 2, 4])
print(f"batch {small(*few)[1]:.4f}, mean {np.mean(losses):.4f}, by shares {by_shares:.4f}")

# %% [markdown]
# With pieces of equal size the mean would be right, too, and the mistake would pass every test.
#
# Python has a lock, the **GIL** (global interpreter lock), that lets only one thread at a time run Python
# code. NumPy releases it while it works on an array. So threads help us, and would not help a loop in
# Python. (On a machine with one core, or a busy one, neither gains.)

# %%
pool = ThreadPoolExecutor(2)
many = np.concatenate([hidden] * 16)    # enough work to be worth waking a thread

def compare_threads(name, work):
    once = lambda _: work() is None    # keeps no array
    one_thread = lambda: pool.submit(lambda: [once(i) for i in range(2)]).result()
    two_at_once = lambda: list(pool.map(once, range(2)))
    compare(f"{name}, two at once", one_thread, two_at_once, rounds=10)

# %% tags=["measurement", "own-computer"]
compare_threads("np.tanh of an array", lambda: np.tanh(np.tanh(np.tanh(many))))
compare_threads("a sum in Python", lambda: sum(i for i in range(200_000)))

# %% [markdown]
# Each thread needs layers of its own: a layer adds to its gradients, and keeps its `x` between
# forward and backward. But all share the weights: a copy of them would need optimizer steps of its
# own. We call such a model a *twin*.

# %% tags=["export"]
def twin(model):
    """Return a model that shares the parameters, with gradients and caches of its own."""
    # deepcopy treats what its memo holds as copied already.
    other = copy.deepcopy(model, {id(p): p for p in model.params().values()})
    other.zero_grad()
    return other
# %%
other = twin(small)
print("the same weights: ", all(other.params()[name] is p for name, p in small.params().items()))
print("other gradients:  ", not np.shares_memory(other.wpe.dW, small.wpe.dW))

# %% [markdown]
# The engine has a model for each thread and a pool of threads. It has the methods of `LayersEngine`,
# `loss` and `backprop`, so the trainer of [chapter 16](16_training.ipynb) can use it.

# %% tags=["export"]
class ThreadedEngine:
    """Loss and gradients of a model for ids x and targets y (B, T), the batch shared by threads.

    Each thread takes the sequences of its pieces, one piece after another, through layers of its
    own; their gradients are added in a fixed order. So with another number of threads the results
    differ by rounding only, and for a given number they are always the same.

    Args:
        model: whose own gradients receive the sum.
        threads: how many; by default as many as BLAS uses.
        piece_tokens: the most tokens in a piece: it bounds the memory for what layers cache.
    """

    def __init__(self, model, threads=None, piece_tokens=PIECE_TOKENS):
        self.blas = BLASThreads()
        self.threads = threads or self.blas.get()
        self.piece_tokens = piece_tokens
        self.models = [model] + [twin(model) for _ in range(self.threads - 1)]
        self.pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
# %% [markdown]
# A piece takes memory, so its size has a limit: as many whole sequences as fit into `piece_tokens`, one at
# least. The number of pieces is a multiple of the number of threads if the batch is large enough.

# %% tags=["export"]
@add_to_class(ThreadedEngine)
def pieces(self, B, T):
    """Return slices of the batch, equally many per thread, of at most piece_tokens or 1 row."""
    rounds = math.ceil(B / (max(1, self.piece_tokens // T) * self.threads))
    edges = np.linspace(0, B, min(B, rounds * self.threads) + 1).astype(int)
    return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
# %%
for n in (7, 12, 100):
    sizes = [int(s.stop - s.start) for s in ThreadedEngine(small, threads=2).pieces(n, T)]
    print(f"{n} sequences on 2 threads: pieces of {sizes}")

# %% [markdown]
# Thread $i$ takes pieces $i$, $i$ + threads, and so on: a fixed order, so that the same batch gives the
# same bits every time. Settings such as `np.errstate` belong to the context of a thread; each job runs in a
# copy of ours.

# %% tags=["export"]
@add_to_class(ThreadedEngine)
def share_out(self, work, x, y):
    """Return the sum of work(model, x, y, share of the batch) over all pieces."""
    pieces = self.pieces(*x.shape)

    def one_thread(i):
        done = [
            work(self.models[i], x[p], y[p], (p.stop - p.start) / len(x))
            for p in pieces[i :: self.threads]
        ]
        return sum(done)

    # While we have a thread for each core, BLAS must not start its own.
    with self.blas.limited(1):
        if self.pool is None:  # one thread is this one: a browser can start no other
            return one_thread(0)
        # Settings such as np.errstate go along in a context.
        contexts = [contextvars.copy_context() for _ in self.models]
        jobs = [self.pool.submit(c.run, one_thread, i) for i, c in enumerate(contexts)]
        return sum([job.result() for job in jobs])
# %% tags=["export"]
@add_to_class(ThreadedEngine)
def loss(self, x, y):
    """Return the mean loss of the batch."""
    return self.share_out(lambda model, x, y, share: model(x, y)[1] * share, x, y)
# %% [markdown]
# A model's `backward` takes a factor that scales its gradient: that is where the share goes.

# %% tags=["export"]
@add_to_class(ThreadedEngine)
def backprop(self, x, y, scale=1.0):
    """Add `scale` times the gradient of the mean loss to the gradients; return the loss."""

    def work(model, x, y, share):
        loss = model(x, y)[1] * share
        model.backward(scale * share)
        return loss

    for model in self.models[1:]:
        model.zero_grad()
    loss = self.share_out(work, x, y)
    total = self.models[0].grads()
    for model in self.models[1:]:
        for name, g in model.grads().items():
            total[name] += g
    return loss
# %% [markdown]
# The check: the loss and every gradient, compared with the whole batch at once. Then the same run
# twice, compared bit for bit.

# %% tags=["own-computer"]
def results(engine):
    small.zero_grad()
    loss = engine.backprop(*few)
    return [np.array(loss)] + [g.copy() for g in small.grads().values()]

expected = results(LayersEngine(small))
for threads, piece_tokens in [(1, 5), (2, 1000), (3, 10)]:
    got = results(ThreadedEngine(small, threads, piece_tokens))
    agree = all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(got, expected))
    print(f"threads: {threads}, pieces of at most {piece_tokens:4} tokens: right: {agree}")

# %% tags=["own-computer"]
first, second = (results(ThreadedEngine(small, 3, 10)) for _ in range(2))
print("the same bits:", all(np.array_equal(a, b) for a, b in zip(first, second)))

# %% [markdown]
# **Before you run the next cell**, rank the three: one thread; two threads that OpenBLAS uses within
# each product; two threads of ours with half the batch each, BLAS limited to one.

# %%
def on_blas_threads(n):
    with blas.limited(n):
        whole.backprop(ids, targets)

engine = ThreadedEngine(model, threads=2)
runs = {
    "one thread": lambda: on_blas_threads(1),
    "two BLAS threads": lambda: on_blas_threads(2),
    "two threads of ours": lambda: engine.backprop(ids, targets),
}

# %% tags=["measurement", "own-computer"]
times = [best_ms(run, rounds=10) for run in runs.values()]
for name, ms in zip(runs, times):
    print(f"{name:20} {ms:6.1f} ms: {times[0] / ms:.2f} times as fast, {1000 * N / ms:,.0f} tokens/s")

# %% [markdown]
# Our threads meet once a step. Those of BLAS meet in every product; where one of them has to wait for a
# core, two can even be slower than one.
#
# ## Pieces against memory
#
# The forward pass keeps arrays for the backward pass, so memory grows with the number of tokens in
# a pass. A batch in pieces keeps those of one piece at a time. **Predict**: how many times as much
# memory do 48 sequences take in one pass as in pieces of 4?

# %%
large = rng.integers(0, V, (2, 48, T))
piece_tokens = [48 * T, 16 * T, 4 * T, T]
engines = [ThreadedEngine(twin(model), threads=1, piece_tokens=n) for n in piece_tokens]
peaks = [peak(engine.backprop, *large) / 1e6 for engine in engines]
print("one pass needs more than 5 times the memory of pieces of 4:", peaks[0] > 5 * peaks[2])

# %% tags=["measurement"]
times = [best_ms(engine.backprop, *large, rounds=8) for engine in engines]
figure, panels = subplots(1, 2, size=(8, 2.8))
labels = ("peak memory (MB)", "time (ms)")
for axes, values, color, label in zip(panels, (peaks, times), (GREEN, BLUE), labels):
    bars = axes.bar([str(n) for n in piece_tokens], values, color=color)
    axes.bar_label(bars, fmt="%.0f")
    axes.set(xlabel=f"tokens in a piece, of {48 * T:,}", ylabel=label)
show(figure, "Bars for one batch in pieces of 3,072, 1,024, 256 and 64 tokens. Peak memory falls in "
             "proportion to the piece. The time is nearly the same, and longer for the smallest.")

# %% [markdown]
# A twelfth of the tokens takes about a twelfth of the memory, and the time hardly changes until the
# pieces are so small that their products have few rows. `PIECE_TOKENS` stays well above that. One
# might hope that pieces whose arrays fit into a cache are faster. The bars say no.
#
# ## The roofline
#
# How far are we from what this machine can do? Two limits hold for code of intensity $I$ in FLOP
# per byte: no more FLOP per second than the processor has, its **peak** $P$, and no more bytes per
# second than the memory delivers, its **bandwidth** $\beta$. So
#
# $$\text{FLOP per second} \le \min(P, \; \beta I) .$$
#
# Plotted against $I$ on logarithmic axes, that is a slope and then a flat roof. A core's own peak
# is its clock, times the numbers in one instruction, times 2 for multiply and add, times such
# instructions at once: 3 GHz · 8 · 2 · 2 = 96 GFLOP/s with AVX2, whose instructions work on 8
# numbers of float32 at a time, and twice that with AVX-512, on 16. We cannot look that up from
# Python, so our roof is the fastest product that we see, and $\beta$ comes from a sum of arrays
# that fit in no cache. An `exp` counts as one operation, though inside it is many.

# %%
from numpygpt.nn.functional import softmax

def product_point(m, k, n):
    A, M = (rng.random(shape, np.float32) for shape in ((m, k), (k, n)))
    return *product_cost(m, k, n), lambda: A @ M

points = {f"product {n}": product_point(n, n, n) for n in (16, 64, 1024)}
points["fc1"] = product_point(N, C, 4 * C)

# %%
def sum_point(n):
    u, v, out = np.ones((3, n), np.float32)
    return n, 12 * n, lambda: np.add(u, v, out=out)

points |= {"sum, memory": sum_point(2**24), "sum, cache": sum_point(2**15)}    # 64 MB, 128 KB each
points["exp"] = hidden.size, 8 * hidden.size, lambda: np.exp(hidden)
# softmax: its 5 passes move 8 numbers of 4 bytes for each score
points["softmax"] = 5 * scores.size, 32 * scores.size, lambda: softmax(scores)
offsets = {"exp": (-14, -16), "softmax": (7, -4), "product 64": (-14, -16),    # of labels, below
           "sum, memory": (-78, -4), "sum, cache": (-65, -4)}

# %% tags=["measurement"]
rates = {name: flop / best_ms(work) / 1e6 for name, (flop, _, work) in points.items()}    # GFLOP/s
peak_rate = max(rates.values())
bandwidth = rates["sum, memory"] * 12      # GB/s
print(f"peak {peak_rate:.0f} GFLOP/s, bandwidth {bandwidth:.0f} GB/s, on one core")
print(f"the roof is flat from {peak_rate / bandwidth:.1f} FLOP per byte on")

# %% tags=["measurement"]
figure, axes = subplots(size=(7, 4))
I, from_cache = np.geomspace(0.05, 400, 300), 12 * rates["sum, cache"]
axes.plot(I, np.minimum(peak_rate, bandwidth * I), color=GRAY, label="roof, from memory")
axes.plot(I, np.minimum(peak_rate, from_cache * I), ":", color=GRAY, label="roof, from cache")
for name, (flop, size, _) in points.items():
    color, at = BLUE if "product" in name or name == "fc1" else ORANGE, (flop / size, rates[name])
    axes.plot(*at, "o", color=color)
    axes.annotate(name, at, xytext=offsets.get(name, (4, -11)), textcoords="offset points")
axes.set(xscale="log", yscale="log", xlim=(0.007, 700))    # room for labels
axes.set(xlabel="arithmetic intensity (FLOP per byte)", ylabel="GFLOP/s")
axes.legend(loc="lower right")
show(figure, "A roofline: GFLOP/s against FLOP per byte, both logarithmic. A gray roof rises and "
             "then is flat; a dotted one, for data in the cache, lies above it on the slope. Large "
             "products lie on the flat part; sums, exp and softmax lie far to the left and low.")

# %% [markdown]
# Blue points are products, orange ones passes. The fastest product is our roof; that the other
# large ones lie near it says that they have nothing to gain from a better shape. A product of 16×16
# lies below, since the call itself takes time. A pass has a small intensity, whoever writes it. But
# does it wait for bytes? Then it would move as many per second as a sum does:

# %% tags=["measurement"]
for name in ("sum, memory", "sum, cache", "exp", "softmax"):
    flop, size, _ = points[name]
    print(f"{name:12} moves {rates[name] * size / flop:5.1f} GB/s")

# %% [markdown]
# `exp` and softmax move fewer bytes per second than even the sum from memory. So it is not bytes
# that they wait for, but their own arithmetic: `exp` for the many operations inside it, softmax for
# that and for NumPy's reductions along short rows. The additions and multiplications of GELU, Adam
# and the residual stream wait for bytes; all that helps there is to make fewer passes. And the step
# as a whole?

# %% tags=["measurement"]
floor_ms = step_flop / peak_rate / 1e6
print(f"a whole step on one core takes {step_ms:.1f} ms; its products at the peak: {floor_ms:.1f} ms")
print(f"so it runs at {floor_ms / step_ms:.0%} of the peak, and if all the rest were free,"
      f" it would be {step_ms / floor_ms:.2f} times as fast")

# %% [markdown]
# The field compares training runs by such a percentage: **MFU**, *model FLOPs utilization*. It
# divides by the peak that the manufacturer states; we divide by our fastest product.
#
# ## What NumPy cannot do
#
# A *compiler* that knows a chain of passes can **fuse** them: read each number once, do everything
# to it in registers, write it once. NumPy runs one pass after another, and each goes through memory
# or cache. How much could fusing gain where bytes are the limit? Count the numbers that move for
# each entry, read and written, pass by pass:

# %%
moved = {    # numbers an entry, in NumPy's passes and fused
    "softmax": (1 + 2 + 2 + 1 + 2, 2),             # max, subtract, exp, sum, divide
    "GELU": (2 + 2 + 2 + 3 + 2 + 2 + 3 + 2, 3),    # the lines of GELU.forward; the tanh is kept
    "Adam": (2 + 2 + 3 + 2 + 2 + 3 + 3 + 2 + 2 + 2 + 2 + 3 + 3, 7),    # p, g, m, v in; p, m, v out
}
for name, (passes, fused) in moved.items():
    print(f"{name:7} {passes:2} numbers, fused {fused}: at most {passes / fused:.1f} times as fast")

# %% [markdown]
# Good factors, but on short bars of the profile, and for softmax not even that: its `exp` would still take
# its time. A *GPU*, a processor with thousands of small cores,
# raises the roof itself. Let us assume one with 30 TFLOP/s, 5 microseconds to start each operation, and
# 400 operations a step.

# %%
launches_ms = 400 * 5e-3
for c in (C, 8 * C):    # the blocks' weights grow with its square, the head and attention with c itself
    flop = 6 * N * (n_layer * 12 * c**2 + V * c) + 12 * N * n_layer * T * c
    print(f"C = {c:4}: products {flop / 30e9:5.2f} ms, starting them {launches_ms:.2f} ms")

# %% [markdown]
# The GPU would spend its time starting work: our model is too small for it. One that is eight times
# as wide is not.
#
# **Experiment.** Set `C = 256`, or `T = 256`, in the cell below "Shapes", and run all cells: which bar of the
# profile grows faster than the others, and does the share of the peak rise? With more cores, put more
# threads into `runs`.
#
# <details><summary>Answer</summary>
#
# With `C = 256`, Linear: its work grows with the square of C, as does that of clipping and Adam, a
# short bar. The rest grows with C at most, so that attention falls to 4% of the operations. Larger
# products come nearer to the roof, and the share of the peak rises. With `T = 256`, attention:
# scores grow with the square of T, and it has 25% of the operations instead of 8%. The share of the
# peak falls, because softmax and the mask work on scores.
#
# </details>
#
# ## Export

# %%
blas.set(cores)
export("18_speed")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/18_speed.ipynb](../exercises/18_speed.ipynb). A check says what is
# wrong, and `hint("speed-add-rows")` helps.
#
# | task | | minutes |
# |---|---|---|
# | add rows by id, without a loop | medium | 25 |
# | GELU in place | medium | 20 |
# | attention in blocks | hard | 35 |
# | a batch in shares | medium | 20 |
#
# ## Recap
#
# - Profile first; Amdahl's law says what a faster part is worth to the whole.
# - FLOP per byte decides: large products run near the peak; element-wise passes wait for bytes, or
#   for the `exp` inside. So: float32, one large product, fewer passes, no one-by-one lookups.
# - A batch cut into pieces gives the same loss and gradient if each counts by its share: that makes threads
#   exact, and bounds the memory.
# - We exported `numpygpt/engine.py`: `ThreadedEngine`, `twin`, `BLASThreads`. `numpygpt train` uses it.
# - Next: Shakespeare, where three GPTs compete, and your own layers can run in one.
