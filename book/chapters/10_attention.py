# %% [markdown]
# # Chapter 10: Attention
#
# Here is a task that would bore a child. Read seven tokens from left to right, and at every
# position say which came **first**. We draw batches of such sequences.

# %% tags=["widget"]
import math

import numpy as np

from coursekit import add_to_class, export, figures
from numpygpt.gradcheck import GradientError, gradcheck, numeric_gradient
from numpygpt.nn import Embedding, Linear, Module, ReLU, Sequential
from numpygpt.nn.functional import log_softmax, softmax, softmax_backward
from numpygpt.nn.loss import CrossEntropyLoss
from numpygpt.optim import Adam

# %%
rng = np.random.default_rng(10)
V, B, T, C = 5, 32, 7, 12  # vocabulary, batch, time, channels


def first_token_batch(rng, B=B):
    ids = rng.integers(0, V, (B, T))
    return ids, np.repeat(ids[:, :1], T, axis=1)


ids, targets = first_token_batch(rng)
print("ids    ", ids[0])
print("targets", targets[0])


# %% [markdown]
# We build a model from what we have: tables of token and position embeddings, `wte` and `wpe` (GPT-2's
# names for them), some layer in the middle, and a Linear, the `head`, for the logits. The middle layer is
# an argument, because we will replace it.

# %%
class FirstToken(Module):
    def __init__(self, middle, rng):
        self.wte = Embedding(V, C, rng=rng, dtype=np.float64)
        self.wpe = Embedding(T, C, rng=rng, dtype=np.float64)
        self.middle = middle
        self.head = Linear(C, V, rng=rng, dtype=np.float64)

    def forward(self, ids):
        return self.head(self.middle(self.wte(ids) + self.wpe(np.arange(T))))

    def backward(self, dlogits):
        dx = self.middle.backward(self.head.backward(dlogits))
        self.wpe.backward(dx.sum(axis=0))
        self.wte.backward(dx)


# %% [markdown]
# At first, the middle layer is a small network. We train for 300 steps on fresh batches and print the
# loss at each position. **Before you run the two cells:** a guess without any knowledge has a loss of
# $\ln V$. Where will the model do better?

# %%
def train(model, steps=300, draw=first_token_batch):
    rng, loss, optimizer = np.random.default_rng(0), CrossEntropyLoss(), Adam(model, lr=1e-2)
    losses = []
    for _ in range(steps):
        ids, targets = draw(rng)
        losses.append(loss(model(ids), targets))
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return np.array(losses)

# %%
def loss_by_position(model):
    ids, targets = first_token_batch(np.random.default_rng(1), B=500)
    log_p = np.take_along_axis(log_softmax(model(ids)), targets[..., None], axis=-1)
    return -log_p.mean(axis=(0, 2))  # (T,)


f64 = {"rng": rng, "dtype": np.float64}
mlp = FirstToken(Sequential(Linear(C, 48, **f64), ReLU(), Linear(48, C, **f64)), rng)
train(mlp)
print("loss by position:", loss_by_position(mlp).round(2), "  ln V =", round(math.log(V), 2))

# %% [markdown]
# Position 0 is solved. Everywhere else the loss is $\ln V$, that of a random guess among 5 tokens.
# More steps or hidden units would not help: every layer of chapters 3 to 9 works on each position
# **by itself**. Chapter 7's MLP did read five positions at once, by a reshape. But it needed
# weights of its own for each of them, and learned less from twelve than from five in as many steps.
#
# The question of this chapter: how can a position read from the others, and choose which ones?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | input and output of the layer | `(B, T, C)` |
# | `H`, `D` | number of heads, head size; `C = H D` | whole numbers |
# | `q`, `k`, `v` | queries, keys, values | `(B, H, T, D)` |
# | `scores` | how well query $i$ fits key $j$ | `(B, H, T, T)` |
# | `p` | attention weights: each row sums to 1 | `(B, H, T, T)` |
# | `out` | weighted sums of values, head by head | `(B, H, T, D)` |
#
# We start with one sequence and one head: `q`, `k` and `v` are $(T, D)$.
#
# ## First an average
#
# The simplest way to read the past is to average it: position $i$ gets the mean of all vectors up to
# its own. **Before you run the next cell:** the loop is also one product with a matrix. What stands
# in its row 2? And above the diagonal?

# %%
x4 = np.arange(8.0).reshape(4, 2)  # (T, C)
means = np.array([x4[: i + 1].mean(axis=0) for i in range(4)])
triangle = np.tril(np.ones((4, 4)))
P = triangle / triangle.sum(axis=1, keepdims=True)
print(P.round(2))
print("P @ x is the mean of the past:", np.allclose(P @ x4, means))

# %% [markdown]
# Row $i$ holds $i + 1$ equal weights, and the zeros above the diagonal hide the future. Is an average
# enough for our task? We put it in the middle. It has no parameters.

# %%
class Average(Module):
    def forward(self, x):
        triangle = np.tril(np.ones((x.shape[1], x.shape[1])))
        self.P = triangle / triangle.sum(axis=1, keepdims=True)
        return self.P @ x  # (T, T) @ (B, T, C)

    def backward(self, dy):
        return self.P.T @ dy


average = FirstToken(Average(), np.random.default_rng(10))
train(average)
print("loss by position:", loss_by_position(average).round(2))

# %% [markdown]
# Better than $\ln V$: the first token is part of the average, but the more tokens there are, the
# smaller its share. Some weights should be larger than others. Equal weights are also a softmax of
# **scores** that are all 0, and $-\infty$ where the future is. With scores we can choose. We give
# position 3 a larger score for position 1:

# %%
scores = np.where(triangle == 1, 0, -np.inf)
print("softmax of 0 and -inf gives P:", np.allclose(softmax(scores), P))
scores[3, 1] = 2
print("row 3 of the weights:", softmax(scores)[3].round(2))

# %% [markdown]
# Now position 3 reads mostly from position 1. The scores should depend on the data: on what stands at
# position 3, and on what stands at position 1.
#
# ## One query, by hand
#
# Each position sends out three vectors. Its **query** says what it looks for. Its **key** says what
# it offers. Its **value** is what others get when they read it. The dot product of a query and a
# key is their score. A softmax turns the scores into weights, and the output is the sum of the
# values, each times its weight. This is **attention**. It is called **self-attention** when
# queries, keys and values all come from the same sequence.
#
# **Before you run the next cell:** the query is $(2, 1)$, the keys are $(1, 0)$, $(0, 1)$ and
# $(1, 1)$, the values $(10, 0)$, $(0, 10)$ and $(5, 5)$. Compute the three scores. Which value will
# the output be closest to?

# %%
q1 = np.array([2.0, 1.0])
k3 = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
v3 = np.array([[10.0, 0.0], [0.0, 10.0], [5.0, 5.0]])
scores = k3 @ q1
p = softmax(scores)
print("scores ", scores)
print("weights", p.round(4))
print("output ", (p @ v3).round(4))

# %% [markdown]
# The scores are 2, 1 and 3. The third key fits best and gets two thirds of the weight, so the
# output is nearest to $(5, 5)$. It is a soft lookup in a table: no entry is picked, all are
# mixed, and so the result has a slope with respect to each of them.
#
# ## All queries: a loop, then matrices
#
# A language model predicts the next token, so position $i$ may read positions $j \le i$ only. That
# is **causal** attention. In a loop over queries, it is where the inner loop ends. Each score is
# divided by $\sqrt D$; we will see why. In this form it is called **scaled dot-product attention**.

# %%
def attend_loop(q, k, v):
    T, D = q.shape
    out = np.zeros((T, D))
    for i in range(T):
        scores = [sum(q[i, d] * k[j, d] for d in range(D)) / math.sqrt(D) for j in range(i + 1)]
        p = softmax(np.array(scores))
        for j in range(i + 1):
            out[i] += p[j] * v[j]
    return out


# %% [markdown]
# We write a whole matrix as a capital letter: $Q$, $K$, $V$ and $P$ are `q`, `k`, `v` and `p`, and
# $S$ is `scores`. All scores are one product, $S = QK^\top/\sqrt D$: row $i$ belongs to query $i$,
# column $j$ to key $j$. With $T$ tokens these are $T^2$ scores: twice the text, four times the work.
# The products with $j > i$ lie above the diagonal, and must not count.
#
# **Before you run the next cell:** one idea is to take the softmax of whole rows and then set the
# weights above the diagonal to 0. What do the rows of weights sum to?

# %%
q, k, v = rng.normal(0, 1, (3, 4, 3))  # T = 4, D = 3
scores = q @ k.T / math.sqrt(3)  # (T, T)
future = np.triu(np.ones((4, 4), bool), 1)  # True where j > i
zeroed = np.where(future, 0, softmax(scores))
print("zero after softmax, row sums:   ", zeroed.sum(axis=-1).round(4))
p = softmax(np.where(future, -np.inf, scores))
print("-inf before softmax, row sums:  ", p.sum(axis=-1).round(4))
print("agrees with the loop:", np.allclose(p @ v, attend_loop(q, k, v)))
print("zeroed agrees with the loop:", np.allclose(zeroed @ v, attend_loop(q, k, v)))

# %% [markdown]
# With the first idea only the last row sums to 1: the others have lost the weight that went to
# the future. It also leaks, because the future scores are in the denominator. With $-\infty$ in
# the **scores**, each row is a distribution over what it may read: the triangular matrix of the
# average, with weights that depend on the data. This is the **causal mask**.
#
# The next figure shows the three matrices for six words. Each word has one random vector, both as
# its query and as its key, so that equal words fit each other. Look at the row of the second `to`.

# %% tags=["widget"]
words = "to be or not to be".split()


def attend_words(D, divide, mask):
    """Scores, masked scores and weights of the six words, with random vectors of D numbers."""
    rng = np.random.default_rng(10)
    vectors = {word: rng.normal(0, 1, D) for word in dict.fromkeys(words)}
    e = np.array([vectors[word] for word in words])  # (6, D)
    S = e @ e.T / (math.sqrt(D) if divide else 1)
    masked = np.where(np.triu(np.ones((6, 6), bool), 1) & mask, -np.inf, S)
    return {"scores": S, "masked scores": masked, "weights": softmax(masked)}

# %% tags=["widget"]
def draw_attention(D, divide, mask):
    margins = {"left": 0.08, "right": 0.94, "bottom": 0.19, "top": 0.91, "wspace": 0.42}
    figure, axes = figures.subplots(1, 3, size=(9, 2.6), margins=margins)
    for axis, (title, matrix) in zip(axes, attend_words(D, divide, mask).items(), strict=True):
        image = axis.imshow(matrix, cmap=figures.POSITIVE)
        axis.set(title=title, xlabel="key")
        axis.set(xticks=range(6), xticklabels=words, yticks=range(6), yticklabels=words)
        if title != "scores":  # the first two share their colors
            figure.colorbar(image, cax=axis.inset_axes([1.04, 0, 0.05, 1]))
    axes[0].set_ylabel("query")
    figures.show(
        figure, "Three 6 by 6 grids, the words of 'to be or not to be' on both axes: scores, scores with "
        "the masked ones left blank, and weights. The second 'to' puts most of its weight on both 'to'.")
    return figure


# %%
figure = draw_attention(D=16, divide=True, mask=True)

# %% [markdown]
# It reads from both `to` alike, and a little from the rest. The first `to` can read only from itself.
#
# ## Why divide by √D
#
# Let the entries of $q$ and $k$ be independent, with mean 0 and variance 1. Each product
# $q_d k_d$ then has variance 1, and a sum of $D$ of them has variance $D$: scores grow like
# $\sqrt D$.
#
# **Before you run the next cell:** what standard deviation do you expect for $D = 4$, 64 and 1024?

# %%
for D in (4, 64, 1024):
    q, k = rng.normal(0, 1, (2, 4000, D))
    print(f"D = {D:4}: standard deviation of the scores {(q * k).sum(axis=1).std():.1f}")

# %% [markdown]
# A softmax over scores of size 30 puts nearly all weight on one key. Where a weight is near 0
# or 1 its slope $p(1 - p)$ is near 0, so little gradient comes back. The figure draws, for 16
# keys, the largest weight and the mean slope, without the factor $1/\sqrt D$ and with it.

# %%
sizes = [2**n for n in range(1, 11)]
curves = {"q·k": [], "q·k / √D": []}
for D in sizes:
    raw = np.einsum("nd,njd->nj", rng.normal(0, 1, (300, D)), rng.normal(0, 1, (300, 16, D)))
    for name, factor in zip(curves, (1, 1 / math.sqrt(D)), strict=True):
        p = softmax(raw * factor)
        curves[name].append((p.max(axis=1).mean(), (p * (1 - p)).mean()))

# %%
figure, axes = figures.subplots(1, 2)
for (name, values), style in zip(curves.items(), ("o-", "s--"), strict=True):
    for axis, series in zip(axes, np.transpose(values), strict=True):
        axis.plot(sizes, series, style, label=name)
axes[0].set(xscale="log", xlabel="head size D", ylabel="largest weight", ylim=(0, 1))
axes[1].set(xscale="log", xlabel="head size D", ylabel="mean slope p(1 − p)", ylim=(0, None))
axes[0].legend()
figures.show(
    figure,
    "Two plots against head size. Without the factor the largest of 16 weights rises toward 1 and "
    "the mean slope falls toward 0; divided by the square root of D, both stay level.",
)

# %% [markdown]
# With the factor, neither depends on the head size. Back to the six words, with the same vectors of
# 16 numbers. **Before you look:** which rows of the weights can still have more than one bright cell
# without the factor?

# %%
figure = draw_attention(D=16, divide=False, mask=True)

# %% [markdown]
# Those of the second `to` and `be`: equal words have equal scores. All scores are four times as
# large now.
#
# Now play. Leave the factor out and make `D` smaller: at which size do different words begin to share?
# Then take the mask away: which rows change? (A running notebook shows the controls here.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import SelectionSlider, interactive

panel = interactive(
    draw_attention, D=SelectionSlider(options=[1, 2, 4, 8, 16, 32, 64], value=16), divide=True, mask=True
)
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# At 8 a little: the second `be` gives 0.10 of its weight to other words. At 4 clearly: `not` gives
# 0.26 to `or`. With fewer numbers in a vector the scores are smaller, even without the factor. The
# mask changes every row but the last, which may read everything anyway.
#
# </details>
#
# ## Backward
#
# One sequence and one head, in index form, with $s$ for `scores` and $o$ for `out`. Forward:
#
# $$s_{ij} = \frac{1}{\sqrt D}\sum_d q_{id}\,k_{jd}$$
#
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_{m \le i} e^{s_{im}}} \quad (j \le i, \text{ else } 0)$$
#
# $$o_{id} = \sum_j p_{ij}\,v_{jd}$$
#
# We are given $do_{id}$ and go back line by line. The last line is a product: the gradient of each
# factor is $do$ times the other factor, summed over the index that the factor lacks.
#
# $$dv_{jd} = \sum_i p_{ij}\,do_{id} \qquad\qquad dp_{ij} = \sum_d do_{id}\,v_{jd}$$
#
# The softmax is chapter 5's, row by row:
#
# $$ds_{ij} = p_{ij}\Big(dp_{ij} - \sum_m dp_{im}\,p_{im}\Big)$$
#
# The mask needs no line of its own: where $p_{ij} = 0$, this gives $ds_{ij} = 0$. The scores
# are again a product:
#
# $$dq_{id} = \frac{1}{\sqrt D}\sum_j ds_{ij}\,k_{jd}$$
#
# $$dk_{jd} = \frac{1}{\sqrt D}\sum_i ds_{ij}\,q_{id}$$
#
# To write these as matrices, look at which index is summed. In a product $AB$ it is the last of
# $A$ and the first of $B$. In $dk$ we sum over $i$, the **first** index of $ds$: so it is
# transposed.
#
# $$dV = P^\top dO \qquad dP = dO\,V^\top \qquad dQ = dS\,K/\sqrt D \qquad dK = dS^\top Q/\sqrt D$$
#
# For a first version, let `k` and `v` belong to the layer, as parameters do, with their gradients
# beside them; its input is `q`. Then the gradient check of chapter 1 names each of the three.

# %%
class Head(Module):
    def __init__(self, k, v):
        self.k, self.v = k, v
        self.dk, self.dv = np.zeros_like(k), np.zeros_like(v)

    def forward(self, q):
        T, D = q.shape[-2:]
        scores = q @ self.k.swapaxes(-1, -2) / math.sqrt(D)
        self.q = q
        self.p = softmax(np.where(np.triu(np.ones((T, T), bool), 1), -np.inf, scores))
        return self.p @ self.v


# %% [markdown]
# `swapaxes(-1, -2)` transposes the last two axes, whatever stands before them: the same line
# serves $(T, D)$ and $(B, H, T, D)$. The key's gradient is a method of its own, because we are
# going to break it.

# %%
@add_to_class(Head)
def backward(self, dout):
    # out = p v
    dp = dout @ self.v.swapaxes(-1, -2)
    self.dv += self.p.swapaxes(-1, -2) @ dout
    # p = softmax(s)
    ds = softmax_backward(dp, self.p)
    # s = q kᵀ / √D
    self.dk += self.key_gradient(ds)
    return ds @ self.k / math.sqrt(dout.shape[-1])


@add_to_class(Head)
def key_gradient(self, ds):
    return ds.swapaxes(-1, -2) @ self.q / math.sqrt(self.q.shape[-1])


# %% [markdown]
# The index formula for $dk$, as a loop, against the matrix product:

# %%
q, k, v, dout = rng.normal(0, 1, (4, 5, 3))  # T = 5, D = 3
head = Head(k, v)
head(q)
head.backward(dout)
ds = softmax_backward(dout @ v.T, head.p)
dk = np.zeros_like(k)
for j in range(5):
    for d in range(3):
        dk[j, d] = sum(ds[i, j] * q[i, d] for i in range(5)) / math.sqrt(3)
print("dk: loop and matrices agree:", np.allclose(dk, head.dk))

# %% [markdown]
# And against the numeric gradient, for a batch of 2. In the report, `dx` is the query's gradient.

# %%
q, k, v = rng.normal(0, 1, (3, 2, 5, 3))  # B, T, D = 2, 5, 3
print(gradcheck(Head(k, v), q, rng=rng))


# %% [markdown]
# ## A wrong gradient that passes its tests
#
# Suppose we mix up the transpose and write $Q^\top dS$. Its shape is $(D, T)$, where `k` needs
# $(T, D)$, so NumPy complains, and we "fix" it with a reshape. All the numbers are correct, since
# $Q^\top dS = (dS^\top Q)^\top$. But a reshape is not a transpose: the numbers stand in the wrong
# places.

# %%
class WrongHead(Head):
    def key_gradient(self, ds):
        wrong = self.q.swapaxes(-1, -2) @ ds / math.sqrt(self.q.shape[-1])
        return wrong.reshape(self.k.shape)


# %% [markdown]
# Two tests are common: that the shape is right; and that `allclose` with `atol=1e-4` finds no
# difference from the numeric gradient, with numbers of size 0.02 and a loss that is a mean.
# **Before you run the next cell:** which of the two tests fails?

# %%
q, k, v = rng.normal(0, 0.02, (3, 2, 5, 3))
wrong = WrongHead(k, v)
dy = rng.normal(0, 1, q.shape) / q.size
wrong(q)
wrong.backward(dy)
numeric = numeric_gradient(lambda: np.sum(dy * wrong(q)), k)
print("shape test passes:     ", wrong.dk.shape == k.shape)
print("allclose, atol=1e-4:   ", np.allclose(wrong.dk, numeric, atol=1e-4))
print("a gradient of all zeros:", np.allclose(0 * numeric, numeric, atol=1e-4))

# %% [markdown]
# Neither. The last line says why: the tolerance is larger than the gradient, and even zeros would
# pass. Now numbers of size 1, a random upstream gradient and a tight tolerance:

# %%
q, k, v = rng.normal(0, 1, (3, 2, 5, 3))
try:
    gradcheck(WrongHead(k, v), q, rng=rng)
except GradientError as error:
    print("GradientError in", str(error).split("[")[0])


# %% [markdown]
# It names `dk`. A second mistake: we forget $1/\sqrt D$ on the way back, which makes
# the query's gradient too large. **Before you run the next cell:** by which factor, with $D = 3$?

# %%
class ForgetsScale(Head):
    def backward(self, dout):  # what comes out without the factor
        return super().backward(dout) * math.sqrt(dout.shape[-1])


try:
    gradcheck(ForgetsScale(k, v), q, rng=rng)
except GradientError as error:
    print(str(error).split("[")[0] + ":", str(error).split("; ")[-1])

# %% [markdown]
# By $\sqrt 3$.
#
# ## Several heads
#
# One head makes one distribution per position. A position that needs two things at once, say
# the first token and the one before it, gets a blur of both; an experiment below will show it. So we
# use $H$ heads side by side, each with $D = C/H$ channels of its own, and join their outputs back to
# $C$ channels. Heads are one more batch axis: the matrix products above do not change.
#
# Splitting needs care. Take $T = 2$, $C = 4$, $H = 2$, where the entry $10\,t + c$ tells its
# own place. **Before you run the next cell:** head 0 should get channels 0 and 1 of both
# positions. Which line does that?

# %%
x = 10 * np.arange(2)[:, None] + np.arange(4)  # (T, C); reshape makes it (T, H, D)
print("reshape, then swap axes: head 0 =", x.reshape(2, 2, 2).swapaxes(0, 1)[0].tolist())
print("reshape alone:           head 0 =", x.reshape(2, 2, 2)[0].tolist())

# %% [markdown]
# The first one. A reshape alone gives head 0 all channels of position 0, in an array of the same
# shape.
#
# Where do `q`, `k` and `v` come from? From `x`, by three Linear layers. Three products with the
# same `x` are one product with the three matrices side by side, so we use one Linear of $3C$
# outputs, `qkv`, and cut the result in three. A last Linear, `proj`, mixes the joined heads.
#
# The picture shows the whole layer, with the shape beside each arrow, and in gray the sizes for
# $B, T, C, H = 2, 5, 12, 3$. The strip below shows what the 36 numbers of one position are.

# %%
def draw_layer(ax):
    steps = [("qkv", -0.6, 0.6), ("reshape, transpose", -0.6, 1.8), ("q kᵀ / √D, mask", -1.6, 3.2),
             ("softmax", -1.6, 4.4), ("p v", -1.6, 5.6), ("swap axes, reshape", -1.6, 6.8),
             ("proj", -1.6, 8)]
    for text, x, y in steps:
        figures.box(ax, x, y, text, width=4.6 if text.endswith("transpose") else 3.4)
    ax.text(1.9, 1.8, "split into heads", va="center", color="#555555")
    ax.text(0.3, 6.8, "join the heads", va="center", color="#555555")
    for x, y, name, sizes in [
        (-0.6, -0.4, "x  (B, T, C)", "2, 5, 12"), (-0.6, 0.85, "(B, T, 3C)", "2, 5, 36"),
        (-1.6, 3.45, "scores  (B, H, T, T)", "2, 3, 5, 5"), (-1.6, 4.65, "p  (B, H, T, T)", "2, 3, 5, 5"),
        (-1.6, 5.85, "out  (B, H, T, D)", "2, 3, 5, 4"), (-1.6, 7.05, "(B, T, C)", "2, 5, 12"),
        (-1.6, 8.25, "y  (B, T, C)", "2, 5, 12"),
    ]:
        top = y + 0.75 if y < 0 else y + 0.7
        figures.arrow(ax, (x, y), (x, top), label=name)
        ax.text(x + 0.15, (y + top) / 2, sizes, color=figures.GRAY, fontsize=9, va="center")


# %%
def draw_qkv(ax):
    for x, name in ((-2.6, "q"), (-0.6, "k")):
        figures.arrow(ax, (x, 2.05), (x, 2.95), label=name)
    figures.arrow(ax, (1.4, 2.05), (1.4, 5.6), (0.1, 5.6))
    ax.text(1.25, 2.5, "v", color="#555555", fontsize=9, ha="right", va="center")
    ax.text(1.6, 2.7, "each  (B, H, T, D)", color="#555555", fontsize=9, va="center")
    ax.text(1.6, 2.35, "2, 3, 5, 4", color=figures.GRAY, fontsize=9, va="center")
    ax.set(xlim=(-5, 4.2), ylim=(-0.5, 9))
    ax.axis("off")


def draw_strip(ax):
    for part, (name, color) in enumerate(zip("qkv", figures.PALETTE)):
        for h in range(3):
            left = 12 * part + 4 * h
            ax.barh([0] * 4, 1, left=range(left, left + 4), color=color, alpha=0.3 + 0.2 * h, edgecolor="w")
            ax.text(left + 2, 0, f"{name}, head {h}", ha="center", va="center", fontsize=8)
    ax.set(xlim=(0, 36), yticks=[], xticks=range(0, 37, 4), xlabel="channel of qkv")


# %%
figure, axes = figures.subplots(2, 1, size=(7.4, 7.8), height_ratios=[12, 1])
draw_layer(axes[0])
draw_qkv(axes[0])
draw_strip(axes[1])
figures.show(
    figure,
    "From bottom to top: x (B, T, C) goes through the Linear qkv to (B, T, 3C), which is split into q, k "
    "and v, each (B, H, T, D). q and k make the scores (B, H, T, T); a softmax turns them into p; p and v "
    "make out (B, H, T, D); the heads are joined to (B, T, C), and proj gives y. Below, the 36 channels "
    "of qkv: q, k and v, each with three heads of four channels.",
)

# %% [markdown]
# ## The layer

# %% tags=["export"] module="nn/attention.py"
"""MultiHeadAttention: every position reads from those before it. Derived in chapter 10."""

import math

import numpy as np

from numpygpt.nn.functional import softmax, softmax_backward
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


# %% tags=["export"]
class MultiHeadAttention(Module):
    """y = proj(concat over heads of softmax(q kᵀ / √D) v).  x, y: (B, T, C), C = n_heads · D.

    Source: Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(self, dim, n_heads, *, causal=True, bias=True, rng, dtype=np.float32):
        if dim % n_heads:
            raise ValueError(f"dim={dim} is not divisible by n_heads={n_heads}")
        self.n_heads = n_heads
        self.causal = causal
        self.qkv = Linear(dim, 3 * dim, bias, rng=rng, dtype=dtype)
        self.proj = Linear(dim, dim, bias, rng=rng, dtype=dtype)


# %% [markdown]
# Forward: cut, attend, join. `reshape(B, T, 3, H, D)` splits the last axis as the strip shows:
# query, key or value; head; channel. The transpose brings the 3 to the front, so that Python can
# unpack it. The mask is a matrix of 0 and $-\infty$ that we add. `out=` gets a view of the joined
# array: each head's result is written in place, without a copy.

# %% tags=["export"]
@add_to_class(MultiHeadAttention)
def forward(self, x):
    B, T, C = x.shape
    H, D = self.n_heads, C // self.n_heads
    # A Python float: np.sqrt would give a float64 and turn float32 scores into float64.
    scale = 1 / math.sqrt(D)
    qkv = self.qkv(x).reshape(B, T, 3, H, D)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each (B, H, T, D)
    scores = q @ k.swapaxes(-1, -2)  # (B, H, T, T)
    scores *= scale
    if self.causal:
        scores += np.triu(np.full((T, T), -np.inf, scores.dtype), 1)
    p = softmax(scores)
    out = np.empty((B, T, H, D), p.dtype)
    np.matmul(p, v, out=out.swapaxes(1, 2))  # p v, written where the joined heads lie
    self.q, self.k, self.v, self.p, self.scale = q, k, v, p, scale  # for backward
    return self.proj(out.reshape(B, T, C))


# %% [markdown]
# Backward goes through the same lines in reverse. The gradient of a reshape is the reshape back,
# that of a transpose the transpose back (chapter 1). Both `dq` and `dk` need $dS/\sqrt D$, so here
# `dscores` contains the factor. `dq`, `dk` and `dv` are views of one array `dqkv` with the layout
# that `qkv` had: what we write into them lands in the right place.

# %% tags=["export"]
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    B, T, C = dy.shape
    H, D = self.n_heads, C // self.n_heads
    # y = proj(out), the heads of out joined
    dout = self.proj.backward(dy).reshape(B, T, H, D).swapaxes(1, 2)  # (B, H, T, D)
    dqkv = np.empty((B, T, 3, H, D), dy.dtype)
    dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)  # views: each (B, H, T, D)
    # out = p v
    dp = dout @ self.v.swapaxes(-1, -2)  # (B, H, T, T)
    np.matmul(self.p.swapaxes(-1, -2), dout, out=dv)
    # p = softmax(scores + mask). The mask needs no line: where p = 0, dscores = p (...) = 0.
    dscores = softmax_backward(dp, self.p)
    # scores = q kᵀ / √D
    dscores *= self.scale
    np.matmul(dscores, self.k, out=dq)
    np.matmul(dscores.swapaxes(-1, -2), self.q, out=dk)
    # q, k, v = qkv(x), cut in three
    return self.qkv.backward(dqkv.reshape(B, T, 3 * C))


# %% [markdown]
# The same check as always, with sizes that all differ: $B, T, H, D = 2, 5, 3, 4$, so $C = 12$.

# %%
attn = MultiHeadAttention(12, 3, **f64)
for array in attn.params().values():
    array[...] = rng.normal(0, 0.5, array.shape)
x = rng.normal(0, 1, (2, 5, 12))
print(gradcheck(attn, x, rng=rng))

# %% [markdown]
# Is it the head that we derived, three times? We give each head's `q`, `k` and `v` to our class
# `Head`, join the three outputs, and compare.

# %%
y = attn(x)
heads = [Head(attn.k[:, h], attn.v[:, h])(attn.q[:, h]) for h in range(3)]  # each (B, T, D)
print("three heads, joined:", np.allclose(attn.proj(np.concatenate(heads, axis=-1)), y))

# %% [markdown]
# Does the future stay hidden? The gradient tells. **Before you run the next cell:** `dy` is zero
# except at position 2. Which rows of `dx` are zero?

# %%
attn(x)
dy = np.zeros_like(x)
dy[:, 2] = rng.normal(0, 1, (2, 12))
dx = attn.backward(dy)
print("dx is not zero at positions", np.flatnonzero(np.abs(dx).max(axis=(0, 2)) > 1e-12).tolist())

# %% [markdown]
# Rows 3 and 4: position 2 reads nothing after itself. Next, `qkv.b` has 12 numbers each for queries,
# keys and values. **Before you run the next cell:** for one of the three the gradient is zero. Which?

# %%
attn.zero_grad()
attn(x)
attn.backward(rng.normal(0, 1, x.shape))
for name, part in zip(("query", "key", "value"), attn.qkv.db.reshape(3, 12), strict=True):
    print(f"{name:6} bias, gradient is zero: {bool(np.abs(part).max() < 1e-10)}")

# %% [markdown]
# The key's. A bias on all keys adds the same number $q_i \cdot b$ to every score of query $i$,
# and a softmax does not change when all its inputs move together. Rounding leaves something
# tiny instead of zero: that is why our check has an absolute tolerance beside the relative one.
#
# ## Back to the first token
#
# The same model and the same 300 steps, with attention in the middle. We note the mean weights of
# the three heads before and after, over 500 new sequences.

# %%
def mean_weights(model):
    test_ids, _ = first_token_batch(np.random.default_rng(2), B=500)
    model(test_ids)
    return model.middle.p.mean(axis=0)  # (H, T, T)


attention = FirstToken(MultiHeadAttention(C, 3, **f64), rng)
for name, model in (("network", mlp), ("attention", attention)):
    print(f"{name:9} {model.num_params():4} parameters")

# %%
fresh = mean_weights(attention)
train(attention)
trained = mean_weights(attention)
before, after = loss_by_position(mlp), loss_by_position(attention)
print("loss by position:", after.round(2))
for name, weights in (("before", fresh), ("after", trained)):
    print(f"weight on position 0, by head, {name:6}", weights[:, :, 0].mean(axis=1).round(2))

# %% [markdown]
# All three heads end up alike, so we draw one. **Before you look:** which weight in a fresh layer
# do you know exactly, whatever the scores? And how large are those in the last row, more or less?

# %%
def draw_weights(axis, weights, title):
    image = axis.imshow(weights, cmap=figures.POSITIVE, vmin=0, vmax=1)
    axis.set(title=title, xlabel="key position", ylabel="query position")
    return image


def draw_losses(axis):
    axis.plot(before, marker="o", label="each by itself")
    axis.plot(after, marker="s", label="attention")
    axis.axhline(math.log(V), color=figures.GRAY, linestyle="--", label="ln V")
    axis.set(title="loss", xlabel="position", ylabel="loss (nats)", ylim=(-0.1, 2))
    axis.legend(loc="center")


# %%
figure, axes = figures.subplots(1, 3, size=(10, 3))
draw_losses(axes[0])
draw_weights(axes[1], fresh[0], "head 0 before training")
image = draw_weights(axes[2], trained[0], "head 0 after")
figure.colorbar(image, ax=axes[2], label="mean weight")
figures.show(
    figure,
    "Left: loss by position. Without attention it is ln V from position 1 on, with attention it is "
    "near 0 everywhere. Right: mean attention weights of a head. Before training each row is spread, "
    "unevenly, over all that it may read; after it, all weight is on position 0.",
)

# %% [markdown]
# Position 0 can read only from itself, so its weight is 1. Position 6 may read from seven, and the
# small random scores of a fresh layer give each something like a seventh. After training the loss is
# near 0 at every position, with fewer parameters than the network. Nobody told the layer to look at
# position 0; the gradient did: the position embedding gives position 0 a key of its own, and all queries
# have learned to fit it.
#
# ## A task for two heads
#
# There, all heads did the same thing. Now the model must name two tokens at every position: the
# first, and the **previous** one. (Position 0 has none, and names itself.) The vocabulary has 12
# tokens. We train one head of 12 channels, and two heads of 6, with the same number of parameters,
# each from two seeds. **Before you look:** what will the weights of the single head be?

# %%
def two_token_batch(rng, B=B):
    ids = rng.integers(0, 12, (B, T))
    previous = np.concatenate([ids[:, :1], ids[:, :-1]], axis=1)
    return ids, np.stack([np.repeat(ids[:, :1], T, axis=1), previous], axis=-1)  # (B, T, 2)


class FirstAndPrevious(FirstToken):
    def __init__(self, n_heads, seed):
        f64 = {"rng": np.random.default_rng(seed), "dtype": np.float64}
        super().__init__(MultiHeadAttention(C, n_heads, **f64), f64["rng"])
        self.wte, self.head = Embedding(12, C, **f64), Linear(C, 2 * 12, **f64)

    def forward(self, ids):
        return super().forward(ids).reshape(*ids.shape, 2, 12)

    def backward(self, dlogits):
        super().backward(dlogits.reshape(*dlogits.shape[:2], 2 * 12))


# %%
models = {(n, seed): FirstAndPrevious(n, seed) for n in (1, 2) for seed in (0, 1)}
losses = {key: train(model, 500, two_token_batch) for key, model in models.items()}
for (n, seed), model in models.items():
    end = losses[n, seed][-20:].mean()
    print(f"heads: {n}, seed {seed}, {model.num_params()} parameters, last 20 losses below 0.01: {end < 0.01}")

# %%
figure, axes = figures.subplots(1, 4, size=(11, 2.9), width_ratios=[1.5, 1, 1, 1])
for (n, seed), values in losses.items():
    style = {"color": figures.PALETTE[n - 1], "ls": "-" if n == 1 else "--"}
    label = None if seed else f"{n} head{'s' * (n > 1)}, two seeds"
    axes[0].plot(range(5, 500, 10), values.reshape(-1, 10).mean(axis=1), label=label, **style)
axes[0].set(xlabel="step", ylabel="loss, mean of 10 steps (nats)", ylim=(0, None))
axes[0].legend()
for axis, n, h in zip(axes[1:], (1, 2, 2), (0, 0, 1)):
    models[n, 0](two_token_batch(np.random.default_rng(2), B=500)[0])
    image = draw_weights(axis, models[n, 0].middle.p.mean(axis=0)[h], f"{n} head{'s' * (n > 1)}: head {h}")
figure.colorbar(image, cax=axes[3].inset_axes([1.05, 0, 0.05, 1]), label="mean weight")
figures.show(
    figure,
    "Left: loss over 500 steps. Two heads reach 0 within 100 steps, one head is still above 0.2 after 500. "
    "Right: mean weights. The single head divides them between position 0 and the position before; of "
    "two heads, one reads position 0 alone and the other the position before.",
)

# %%
for n in (1, 2):
    p = models[n, 0].middle.p.mean(axis=0)[:, 2:]  # (H, T - 2, T): mean weights of positions 2 to 6
    previous = p[:, range(5), range(1, 6)].mean(axis=1)
    print(f"{n} heads: weight on the first {p[:, :, 0].mean(axis=1).round(1)}, "
          f"on the previous {previous.round(1)}")

# %% [markdown]
# A blur: the single head gives 0.4 to the first token and 0.5 to the previous one. It passes on one
# sum of two values, and the layers behind it, `proj` and the output layer `head`, must tell which
# was which. That improves, slowly. Two heads have one job each, and are done within 100 steps.
#
# ## A set, not a sequence
#
# **Before you run the next cell:** take attention without mask and without position embeddings, and
# shuffle its input vectors. What happens to its output vectors?

# %%
unmasked = MultiHeadAttention(12, 3, causal=False, **f64)
order = rng.permutation(5)
print("order:", order)
print("shuffled in, shuffled out:", np.allclose(unmasked(x)[:, order], unmasked(x[:, order])))

# %% [markdown]
# They are shuffled in the same way and otherwise unchanged (the word for it is *equivariant*):
# without a mask, attention sees a set, not a sequence. The position embeddings of [chapter
# 8](08_embedding.ipynb) give it an order.
#
# ## Exercises
#
# Now write it yourself: [exercises/10_attention.ipynb](../exercises/10_attention.ipynb). A check says what is
# wrong, and `hint("attention-core-backward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | one head | medium | 25 |
# | all heads | hard | 40 |
# | find the bug | medium | 15 |
# | rotary positions | hard | 30 |
#
# ## Recap
#
# - Attention is a soft lookup: scores $QK^\top/\sqrt D$, a mask, a softmax, a weighted sum of
#   values. It is an average of the past whose weights depend on the data.
# - The mask is $-\infty$ before the softmax, and needs nothing in the backward pass.
# - Each head reads one blend. Heads are a batch axis; splitting them is a reshape **and** a swap.
# - A wrong $dK$ passed a shape test and a loose comparison. Numbers of size 1 and a tight
#   tolerance caught it.
# - We exported `nn/attention.py`: `MultiHeadAttention`. Next: Transformer, where we stack it.

# %%
export("10_attention")
