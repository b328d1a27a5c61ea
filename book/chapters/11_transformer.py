# %% [markdown]
# # Chapter 11: Transformer
#
# One attention layer found the first token of a sequence. Twelve should do better. We send five
# random vectors through twelve attention layers, one after another, and watch how much the five
# positions still differ from each other.

# %%
import json
import math
from pathlib import Path

import numpy as np

from coursekit import add_to_class, export, figures
from numpygpt.gradcheck import GradientError, gradcheck
from numpygpt.nn import (
    CrossEntropyLoss, Embedding, LayerNorm, Linear, Module, MultiHeadAttention, Sequential,
)
from numpygpt.optim import Adam

# %%
def difference(x):
    """Size of what differs between positions, as a fraction of the whole; x: (B, T, C)."""
    return np.linalg.norm(x - x.mean(axis=1, keepdims=True)) / np.linalg.norm(x)


def size(x):
    """Root of the mean square of the entries."""
    return math.sqrt((x * x).mean())


# %%
rng = np.random.default_rng(11)
C, H = 24, 3  # channels, heads
f64 = {"rng": rng, "dtype": np.float64}
x = rng.normal(0, 1, (1, 5, C))
for depth in range(13):
    if depth % 3 == 0:
        print(f"after {depth:2} layers: difference {difference(x):.4f}, size {size(x):.0e}")
    x = MultiHeadAttention(C, H, **f64)(x)

# %% [markdown]
# After twelve layers all positions hold nearly the same vector, and that vector is nearly zero.
# Each attention layer takes an average over positions, and an average of averages is flat
# (Dong, Cordonnier and Loukas, 2021). And its Linear layers shrink the numbers, as those of
# chapter 9 did. A model that must say something different at every position has nothing left to
# say it with.
#
# The question of this chapter: what must we put around attention, so that we can stack it?
#
# ## Shapes
#
# We will build a **block**, which has two **branches**, one with attention and one with a small
# network. The names are those of its parts.
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | input and output of a block: the **residual stream** | `(B, T, C)` |
# | `ln1(x)`, `attn(...)` | first branch | `(B, T, C)` |
# | `ln2(x)`, `ffn(...)` | second branch | `(B, T, C)` |
# | `fc1(...)` | hidden layer of `ffn`, the small network | `(B, T, hidden)` |
#
# ## By hand: adding instead of replacing
#
# Take twelve "layers" of one number, each far too weak: $f(x) = 0.1\,x$. Instead of replacing $x$ by
# $f(x)$ we can **add**: $y = x + f(x)$. This is a **residual connection** or skip connection (He et
# al., 2015). Its slope is $1 + f'(x)$.
#
# **Before you run the next cell:** the slope of all twelve together is a product of twelve slopes.
# Estimate it for both.

# %%
print(f"replacing: 0.1 ** 12 = {0.1**12:.0e}")
print(f"adding:    1.1 ** 12 = {1.1**12:.4f}")

# %% [markdown]
# The first gradient is lost. The second is alive, because the 1 in $1 + f'$ does not depend on
# $f$. In such a network a **residual stream** runs from the input, at the bottom, to the output, at
# the top. Each layer reads from it and adds to it, and none replaces it.
#
# ## The feed-forward network
#
# Attention moves information between positions, but what it moves is a weighted sum of values.
# Something must also compute on what has arrived. That is the **feed-forward network**: a Linear up
# to `hidden` channels, an activation, a Linear back. `hidden` is usually $4C$. The 4 is not derived
# from anything: the paper that introduced the transformer (Vaswani et al., 2017) chose it, and most
# models have kept it. The parts are those of chapters 3 and 4. In index form, for one position,
# with hidden unit $m$:
#
# $$h_m = \sum_c x_c W^1_{cm} + b^1_m$$
#
# $$a_m = \mathrm{act}(h_m)$$
#
# $$y_c = \sum_m a_m W^2_{mc} + b^2_c$$
#
# The raised 1 and 2 are not powers: $W^1, b^1$ belong to `fc1`, $W^2, b^2$ to `fc2`.
#
# Its backward pass is the chain rule in three steps, each of which a layer already knows:
#
# $$da_m = \sum_c dy_c W^2_{mc}$$
#
# $$dh_m = da_m\,\mathrm{act}'(h_m)$$
#
# $$dx_c = \sum_m dh_m W^1_{cm}$$

# %% tags=["export"] module="nn/transformer.py"
"""FeedForward and TransformerBlock: attention and a small network on a residual stream.

Derived in chapter 11.
"""

import numpy as np

from numpygpt.nn.activations import GELU, ReLU
from numpygpt.nn.attention import MultiHeadAttention
from numpygpt.nn.layernorm import LayerNorm
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module


# %% tags=["export"]
class FeedForward(Module):
    """y = fc2(act(fc1(x))), each position by itself.

    x, y: (..., dim), hidden layer: (..., hidden).
    """

    def __init__(self, dim, hidden, activation="relu", *, bias=True, rng, dtype=np.float32):
        if activation not in ("relu", "gelu"):
            raise ValueError(f"activation={activation!r} is neither 'relu' nor 'gelu'")
        self.fc1 = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.act = ReLU() if activation == "relu" else GELU()
        self.fc2 = Linear(hidden, dim, bias, rng=rng, dtype=dtype)


# %% tags=["export"]
@add_to_class(FeedForward)
def forward(self, x):
    return self.fc2(self.act(self.fc1(x)))


@add_to_class(FeedForward)
def backward(self, dy):
    # y = fc2(act(fc1(x)))
    return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))


# %% [markdown]
# We compare a loop over positions with the whole array at once. Then we change the input at
# position 3 only. **Before you run the next cell:** at which positions does the output of the
# feed-forward network change? And that of causal attention?

# %%
ffn, attn = FeedForward(C, 96, **f64), MultiHeadAttention(C, H, **f64)
x = rng.normal(0, 1, (2, 5, C))
loop = np.array([[ffn(x[b, t]) for t in range(5)] for b in range(2)])
print("loop and array agree:", np.allclose(loop, ffn(x)))

changed = x.copy()
changed[:, 3] += 1
for name, layer in (("feed-forward", ffn), ("attention", attn)):
    moved = np.abs(layer(changed) - layer(x)).max(axis=(0, 2)) > 1e-9
    print(f"{name:12} changes at positions", np.flatnonzero(moved).tolist())

# %% [markdown]
# The first changes at position 3 alone, the second at 3 and 4. The two layers divide the work:
# attention carries information between positions, the feed-forward network computes at each
# position.
#
# ## The backward pass of a residual connection
#
# Write all entries of $x$ in one row, $x_j$. Then
#
# $$y_i = x_i + f_i(x)$$
#
# $$\frac{\partial y_i}{\partial x_j} = \delta_{ij} + \frac{\partial f_i}{\partial x_j}$$
#
# $$dx_j = \sum_i dy_i\,\frac{\partial y_i}{\partial x_j}$$
#
# $$dx_j = \sum_i dy_i\,\delta_{ij} + \sum_i dy_i\,\frac{\partial f_i}{\partial x_j}$$
#
# $$dx_j = dy_j + \sum_i dy_i\,J_{ij}, \qquad J_{ij} = \frac{\partial f_i}{\partial x_j}$$
#
# Here $\delta_{ij}$ is 1 if $i = j$ and 0 otherwise, and $J$ is the Jacobian of $f$. In matrix form
# $dx = dy + J^\top dy$, with `dy` as a column. (As a row it is $dy\,J$, as in chapter 2.) The
# second term is what `f.backward(dy)` returns. This is chapter 1's rule for a value that is used
# twice: `x` goes into the sum and into $f$, and the two gradients add.
#
# The next cell builds $J$ in a loop, column by column, by central differences, and compares.

# %%
f = FeedForward(4, 7, "gelu", **f64)
x1, dy1 = rng.normal(0, 1, (2, 4))
J = np.zeros((4, 4))
for j, step in enumerate(1e-5 * np.eye(4)):
    J[:, j] = (f(x1 + step) - f(x1 - step)) / 2e-5
f(x1)
print("dy + Jᵀ dy agrees with dy + f.backward(dy):",
      np.allclose(dy1 + J.T @ dy1, dy1 + f.backward(dy1)))


# %% [markdown]
# ## Why normalize each branch
#
# With adding, nothing vanishes. Can it explode? The weights of a trained model are usually
# larger than those of a fresh one. So we compare four blocks, with weights as `Linear` draws
# them and with weights three times as large: plain layers; layers that read a LayerNorm of their
# input; residual connections; and residual connections whose branches read a LayerNorm of the
# stream. The last is called **pre-norm**, and is the form that GPT-2 uses.

# %%
class Plain(Module):
    def __init__(self, rng, C=C):
        f64 = {"rng": rng, "dtype": np.float64}
        self.branches = [MultiHeadAttention(C, H, **f64), FeedForward(C, 4 * C, **f64)]

    def forward(self, x):
        for branch in self.branches:
            x = branch(x)
        return x

    def backward(self, dy):
        for branch in reversed(self.branches):
            dy = branch.backward(dy)
        return dy


# %%
class Residual(Plain):
    def forward(self, x):
        for branch in self.branches:
            x = x + branch(x)
        return x

    def backward(self, dy):
        for branch in reversed(self.branches):
            dy = dy + branch.backward(dy)
        return dy


# %%
def with_norms(block, C):
    block.branches = [Sequential(LayerNorm(C, dtype=np.float64), b) for b in block.branches]


class NormOnly(Plain):
    def __init__(self, rng, C=C):
        super().__init__(rng, C)
        with_norms(self, C)


class PreNorm(Residual):
    def __init__(self, rng, C=C):
        super().__init__(rng, C)
        with_norms(self, C)


# %% [markdown]
# We send random vectors up through twelve blocks and note, at the top, their size and how much the
# positions still differ; then a random gradient down, and note its size after each block.

# %%
def twelve(kind, gain, rng, C=C, depth=12):
    blocks = Sequential(*[kind(rng, C) for _ in range(depth)])
    for p in blocks.params().values():
        if p.ndim == 2:
            p *= gain
    return blocks


def stream_and_gradients(kind, gain):
    rng = np.random.default_rng(0)
    blocks = twelve(kind, gain, rng)
    top = blocks(rng.normal(0, 1, (2, 5, C)))
    dx = rng.normal(0, 1, (2, 5, C))
    gradients = [size(dx)]
    for block in reversed(blocks.layers):
        dx = block.backward(dx)
        gradients.append(size(dx))
    return size(top), difference(top), gradients


# %%
styles = {Plain: "o-", NormOnly: "d-.", Residual: "s--", PreNorm: "^:"}
sizes = {(kind, gain): stream_and_gradients(kind, gain) for gain in (1, 3) for kind in styles}
print("                       at the top:             at the bottom:")
for (kind, gain), (top, differ, gradients) in sizes.items():
    bottom = gradients[-1]
    gradient = f"{bottom:.0e}" if bottom < 1e9 else "above 1e+09"
    print(f"weights × {gain}, {kind.__name__:8}  "
          f"values {top:.0e}, difference {differ:.3f}, gradient {gradient}")

# %%
figure, axes = figures.subplots(1, 2, sharey=True)
for axis, gain in zip(axes, (1, 3), strict=True):
    for kind, style in styles.items():
        axis.semilogy(sizes[kind, gain][-1], style, ms=5, label=kind.__name__)
    axis.set(title=f"weights × {gain}", xlabel="blocks passed on the way down")
axes[0].set_ylabel("size of the gradient")
axes[1].legend()
figures.show(
    figure,
    "Gradient size, log scale, over twelve blocks, for weights times 1 and times 3. Plain falls by "
    "14 or rises by about 10 orders of magnitude, Residual stays level or rises by 10, and the two with a "
    "LayerNorm stay within about one.",
)

# %% [markdown]
# Plain layers multiply the slopes of their branches, so the gradient vanishes or explodes with the
# size of the weights. Residual connections cure the first and not the second: $1 + f'$ is
# multiplied, too, and with the large weights the values and the gradients grow by a factor of a
# billion and more. LayerNorm prevents that, because its backward pass has the factor $r = 1/\sigma$ (chapter
# 9): **the larger the stream, the smaller the slope of the branch that reads it.** With pre-norm
# the gradient grows by a factor of about 2 for the small weights and about 20 for the large ones.
#
# Above 1e9 no digits are printed, since those of `Plain` depend on the machine: its positions agree up to
# rounding errors. The scores, as large as the values squared, magnify these errors, and so they decide which
# position the softmax picks, and what comes back from it.
#
# LayerNorm without the residual connection keeps the gradient's size just as well. But see its
# difference: the positions have become one. Which of the two, then, does learning need? First the
# block itself.
#
# ## The block
#
# Both branches, each with a residual connection and its LayerNorm:
#
# $$x_1 = x + \mathrm{attn}(\mathrm{ln}_1(x))$$
#
# $$y = x_1 + \mathrm{ffn}(\mathrm{ln}_2(x_1))$$
#
# The picture in the paper of 2017 has the norm elsewhere: $\mathrm{ln}(x + \mathrm{attn}(x))$. That
# is **post-norm**. There the stream itself goes through every LayerNorm, so no term of the gradient
# runs straight from top to bottom.
#
# Here is our block, with the shape beside each arrow. The stream runs up on the left. Each branch
# reads from it, computes, and adds.

# %%
def draw_branch(ax, y, layers, shapes):
    """A branch that leaves the stream at height y and comes back above its last layer."""
    figures.arrow(ax, (0, y), (3, y), (3, y + 0.5), label=shapes[0], side="right")
    for layer, shape in zip(layers, shapes[1:]):
        figures.box(ax, 3, y + 0.75, layer)
        y += 1
        if layer != layers[-1]:
            figures.arrow(ax, (3, y), (3, y + 0.5), label=shape, side="right")
    figures.arrow(ax, (3, y), (3, y + 0.5), (0.25, y + 0.5))
    ax.text(1.5, y + 0.6, shapes[-1], color="#555555", fontsize=9, ha="center")
    figures.box(ax, 0, y + 0.5, "+", width=0.5, color=figures.YELLOW)

# %%
def draw_block(ax):
    stream, hidden = "(B, T, C)", "(B, T, hidden)"
    draw_branch(ax, 0.5, ["ln1", "attn"], [stream] * 3)
    draw_branch(ax, 3.8, ["ln2", "fc1", "act", "fc2"], [stream, stream, hidden, hidden, stream])
    for name, start, end in (("x", 0, 2.75), ("x₁", 3.25, 8.05), ("y", 8.55, 9.2)):
        figures.arrow(ax, (0, start), (0, end), label=f"{name}  {stream}")
    ax.text(5.1, 1.75, "attn: mixes\npositions", va="center")
    ax.text(5.1, 6.05, "ffn: computes\nat each position", va="center")
    ax.set(xlim=(-1.9, 6.7), ylim=(-0.1, 9.3))
    ax.axis("off")

# %%
figure, ax = figures.subplots(size=(5.6, 6.4))
draw_block(ax)
figures.show(
    figure,
    "A block from bottom to top. The stream x runs straight up through two plus signs. A first "
    "branch leaves it, goes through ln1 and attn and is added; a second goes through ln2, fc1, act "
    "and fc2 and is added. All shapes are (B, T, C), except (B, T, hidden) around act.",
)

# %% [markdown]
# For the backward pass, turn all arrows around. Where a branch leaves the stream, two gradients meet
# and add. Backward mirrors forward, last line first, and uses the rule from above twice. $J_f$ is
# again the Jacobian of a layer $f$, and a chain of layers goes back through its Jacobians in
# reverse order:
#
# $$dx_1 = dy + J_{\mathrm{ln}_2}^\top J_{\mathrm{ffn}}^\top\,dy$$
#
# $$dx = dx_1 + J_{\mathrm{ln}_1}^\top J_{\mathrm{attn}}^\top\,dx_1$$
#
# Note what goes into attention on the way down: $dx_1$, the sum of what came along the stream and
# what came through the second branch.

# %% tags=["export"]
class TransformerBlock(Module):
    """x₁ = x + attn(ln1(x)); y = x₁ + ffn(ln2(x₁)): the pre-norm form of GPT-2.

    x, y: (B, T, dim).  Source: Radford et al., Language Models are Unsupervised Multitask
    Learners, 2019.
    """

    def __init__(
        self, dim, n_heads, hidden, activation="relu", *, bias=True, rng, dtype=np.float32
    ):
        self.ln1 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.attn = MultiHeadAttention(dim, n_heads, bias=bias, rng=rng, dtype=dtype)
        self.ln2 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.ffn = FeedForward(dim, hidden, activation, bias=bias, rng=rng, dtype=dtype)


# %% tags=["export"]
@add_to_class(TransformerBlock)
def forward(self, x):
    x = x + self.attn(self.ln1(x))
    return x + self.ffn(self.ln2(x))


# %% [markdown]
# We write `x = x + ...` and not `x += ...`. The second would change the caller's array in place.

# %% tags=["export"]
@add_to_class(TransformerBlock)
def backward(self, dy):
    # A sum passes dy to both of its terms: down the branch, and straight along the stream.
    # y = x₁ + ffn(ln2(x₁))
    dx = dy + self.ln2.backward(self.ffn.backward(dy))
    # x₁ = x + attn(ln1(x))
    return dx + self.ln1.backward(self.attn.backward(dx))


# %% [markdown]
# **Before you run the next cell:** we set the last matrix of each branch, `attn.proj.W` and
# `ffn.fc2.W`, to zero. What does the block compute now? What is `dx`?

# %%
block = TransformerBlock(C, H, 4 * C, **f64)
block.attn.proj.W[...] = 0
block.ffn.fc2.W[...] = 0
y, dy = block(x), rng.normal(0, 1, x.shape)
print("y equals x:  ", np.array_equal(y, x))
print("dx equals dy:", np.array_equal(block.backward(dy), dy))

# %% [markdown]
# A block with silent branches is the identity, in both directions. A deep model can begin as a
# shallow one.
#
# Now we repeat the experiment from the top of the chapter, with blocks in place of attention.

# %%
x = rng.normal(0, 1, (1, 5, C))
for depth in range(13):
    if depth % 3 == 0:
        print(f"after {depth:2} blocks: difference {difference(x):.4f}, size {size(x):.1f}")
    x = TransformerBlock(C, H, 4 * C, **f64)(x)

# %% [markdown]
# Twelve blocks, and the positions are still nearly as different as they were. To see it, we draw how
# similar every two positions are, by their **cosine similarity**: the dot product of their vectors,
# both scaled to length 1. It is 1 where they point in the same direction, and near 0 where they have
# nothing in common. Both stacks get the same input. **Before you look:** what will the last picture
# of the upper row be?

# %%
def cosine_similarity(x):
    """Dot products of the vectors of all positions, scaled to length 1.  x: (1, T, C)."""
    rows = x[0] / np.linalg.norm(x[0], axis=-1, keepdims=True)
    return rows @ rows.T  # (T, T)


def draw_stack(row, make_layer, x, title):
    shown = dict(zip((0, 1, 2, 12), row))
    for depth in range(13):
        if depth in shown:
            image = shown[depth].imshow(cosine_similarity(x), cmap=figures.SIGNED, vmin=-1, vmax=1)
            shown[depth].set(title=f"{title}, depth {depth}")
        x = make_layer()(x)
    return image

# %%
x = rng.normal(0, 1, (1, 5, C))
figure, axes = figures.subplots(2, 4, size=(8.4, 4.2), sharex=True, sharey=True)
draw_stack(axes[0], lambda: MultiHeadAttention(C, H, **f64), x, "attention")
image = draw_stack(axes[1], lambda: TransformerBlock(C, H, 4 * C, **f64), x, "blocks")
figure.colorbar(image, ax=axes, label="cosine similarity", shrink=0.6)
figure.supxlabel("position", fontsize=10)
figure.supylabel("position", fontsize=10)
figures.show(
    figure,
    "Two rows of 5 by 5 grids, the similarity of every two positions after 0, 1, 2 and 12 layers. "
    "Above, with attention alone, the grids are soon near 1 everywhere. Below, with blocks, the "
    "diagonal stays the only place that is 1.",
)

# %% [markdown]
# With attention alone, all five positions point the same way, and two layers are enough to see it
# coming. In the blocks they grow a little more alike, but stay apart.
#
# ## Gradient check
#
# All sizes differ: $B, T, C, H = 4, 5, 6, 3$, so $D = 2$, and `hidden` is 13.

# %%
def check(block_class, activation="relu"):
    rng = np.random.default_rng(3)
    block = block_class(6, 3, 13, activation, rng=rng, dtype=np.float64)
    for p in block.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return gradcheck(block, rng.normal(0, 1, (4, 5, 6)), rng=rng)


print(check(TransformerBlock))

# %% [markdown]
# The same with GELU, and the feed-forward network by itself:

# %%
check(TransformerBlock, "gelu")
ffn = FeedForward(6, 13, "gelu", **f64)
gradcheck(ffn, rng.normal(0, 1, (4, 5, 6)), rng=rng)
print("both right")


# %% [markdown]
# Here are three ways to get it wrong. The first forgets the stream. The second sends `dy` into
# attention, where `dx` belongs. The third looks like a way to save an array: it adds in place, and
# then `dy` is `dx`.
#
# **Before you run the next cell:** which of the three does the check let through?

# %%
class ForgetsStream(TransformerBlock):
    def backward(self, dy):
        dx = self.ln2.backward(self.ffn.backward(dy))
        return dx + self.ln1.backward(self.attn.backward(dx))


class WrongInput(TransformerBlock):
    def backward(self, dy):
        dx = dy + self.ln2.backward(self.ffn.backward(dy))
        return dx + self.ln1.backward(self.attn.backward(dy))


class InPlace(TransformerBlock):
    def backward(self, dy):
        dy += self.ln2.backward(self.ffn.backward(dy))
        return dy + self.ln1.backward(self.attn.backward(dy))


# %%
for wrong in (ForgetsStream, WrongInput, InPlace):
    try:
        check(wrong)
        print(f"{wrong.__name__:14} passes")
    except GradientError as error:
        print(f"{wrong.__name__:14} {str(error).split(':')[0].split('[')[0]}")

# %% [markdown]
# None. For the first two the check names `dx`, the first array that it compares. The third is
# caught because the check keeps a copy of the `dy` that it passes. Our caller may need that array
# again: `TransformerBlock.backward` itself hands `dy` to a branch and then adds it.
#
# ## Does depth learn?
#
# Back to the task of chapter 10: at each position, name the first token. We stack twelve blocks of
# each of the four kinds, with weights times 1 and times 3. Everything else is the same: a last
# LayerNorm in front of the head, the batches, the optimizer.

# %%
V, T, width = 5, 7, 12  # vocabulary, time, channels of this small model


class FirstToken(Module):
    def __init__(self, kind, gain, rng, depth=12):
        f64 = {"rng": rng, "dtype": np.float64}
        self.wte, self.wpe = Embedding(V, width, **f64), Embedding(T, width, **f64)
        self.blocks = twelve(kind, gain, rng, width, depth)
        self.ln_f, self.head = LayerNorm(width, dtype=np.float64), Linear(width, V, **f64)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(np.arange(T))
        return self.head(self.ln_f(self.blocks(x)))

    def backward(self, dlogits):
        dx = self.blocks.backward(self.ln_f.backward(self.head.backward(dlogits)))
        self.wpe.backward(dx.sum(axis=0))
        self.wte.backward(dx)


# %%
def losses(kind, gain, seed=0, depth=12, steps=150):
    rng = np.random.default_rng(seed)
    model, loss, values = FirstToken(kind, gain, rng, depth), CrossEntropyLoss(), []
    optimizer = Adam(model, lr=3e-3)
    for _ in range(steps):
        ids = rng.integers(0, V, (16, T))
        values.append(loss(model(ids), np.repeat(ids[:, :1], T, axis=1)))
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return np.array(values)


# %% [markdown]
# One of the eight, from one seed:

# %%
values = losses(PreNorm, gain=1)
print(f"PreNorm, weights × 1: loss {values[0]:.2f} in the first step, "
      f"below 0.1 in the last 20: {values[-20:].mean() < 0.1}")

# %% [markdown]
# `python benchmarks/depth.py` has trained all eight from three seeds each, with the code of these cells.
# We read its file. **Before you run the cells:** which of the two matters, the residual connection or the
# LayerNorm?

# %%
runs = json.loads(Path("../data/depth.json").read_text(encoding="utf-8"))["runs"]

def from_file(kind, gain):
    """The mean loss of each 10 steps, (seeds, 15)."""
    return np.array([r["losses"] for r in runs if (r["kind"], r["gain"]) == (kind.__name__, gain)])

curves = {(kind, gain): from_file(kind, gain) for gain in (1, 3) for kind in styles}
for (kind, gain), values in curves.items():
    low = (values[:, -2:].mean(axis=1) < 0.1).sum()
    print(f"weights × {gain}, {kind.__name__:8} last 20 steps below 0.1: {low} of {len(values)} seeds")

# %%
figure, axes = figures.subplots(1, 2, sharey=True)
for axis, gain in zip(axes, (1, 3), strict=True):
    for kind, style in styles.items():
        steps, values = np.arange(5, 150, 10), curves[kind, gain]
        line, = axis.plot(steps, values.mean(axis=0), style, ms=5, label=kind.__name__)
        low, high, color = values.min(axis=0), values.max(axis=0), line.get_color()
        axis.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
    axis.axhline(math.log(V), color=figures.GRAY, lw=0.8, zorder=0)
    axis.set(title=f"weights × {gain}", xlabel="step", ylim=(0, 2.2))
axes[0].set_ylabel("loss, mean of 10 steps\nand 3 seeds (nats)")
axes[0].text(150, math.log(V) + 0.06, "ln V", color="#555555", ha="right")
axes[0].legend(loc="center right")
figures.show(
    figure,
    "Loss over 150 steps for 12 blocks of four kinds, means of three seeds inside their bands. With "
    "weights times 1, the two kinds with a residual connection fall close to 0 and the other two stay "
    "at ln V. With weights times 3 only PreNorm falls close to 0, and its band is narrow. Plain gets "
    "most of the way; Residual and NormOnly end at or a little below ln V, with wide bands.",
)

# %% [markdown]
# With the weights as drawn, the residual connection does it all: with it twelve blocks learn, with
# a LayerNorm or without. LayerNorm by itself does not help, though its gradient had a good size.
# With weights times 3, residual connections alone are not enough either: the branches drown the
# stream that they add to. Only pre-norm learns both times, and the three seeds agree on all eight
# verdicts. Compare the differences at the top that we printed for fresh blocks: the kinds that
# learn are those whose positions still differed. **The stream keeps what the positions know;
# LayerNorm keeps the scale of the weights from mattering.**
#
# Try it: where does the trouble of `Plain` and `NormOnly` begin? Call `losses(Plain, 1, depth=4)`,
# then 8, and print the mean of the last 20.
#
# <details><summary>Answer</summary>
#
# Between 4 blocks and 8. `Plain` ends at 0.05 with 4 blocks and at 1.04 with 8, `NormOnly` at 0.03
# and 1.10.
#
# </details>
#
# One last question. **Before you run the next cell:** which of the two branches has more
# parameters?

# %%
block = TransformerBlock(C, H, 4 * C, **f64)
for name, part in (("attention", block.attn), ("feed-forward", block.ffn)):
    print(f"{name:12} {part.num_params():5} parameters = {part.num_params() / C**2:.1f} C²")
print(f"{'whole block':12} {block.num_params():5} parameters = {block.num_params() / C**2:.1f} C²")

# %% [markdown]
# Without biases attention has $4C^2$ and, with `hidden` $= 4C$, the feed-forward network $8C^2$:
# two thirds of a block's weights are in the small network to which we gave the least thought.
#
# ## Exercises
#
# Now write it yourself: [exercises/11_transformer.ipynb](../exercises/11_transformer.ipynb). A check says what is
# wrong, and `hint("feedforward-backward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | FeedForward backward | easy | 5 |
# | the block | medium | 15 |
# | dropout | medium | 15 |
# | SwiGLU | hard | 30 |
#
# ## Recap
#
# - Attention alone averages the differences between positions away.
# - A residual connection adds instead of replacing: $dx = dy + J^\top dy$, and the first term
#   cannot vanish.
# - Pre-norm makes the scale of the weights matter less: LayerNorm's backward divides a branch's
#   gradient by the size of the stream.
# - Attention mixes positions, the feed-forward network computes at each of them.
# - We exported `nn/transformer.py`: `FeedForward` and `TransformerBlock`. Next: GPT, where the
#   blocks become a model.

# %%
export("11_transformer")
