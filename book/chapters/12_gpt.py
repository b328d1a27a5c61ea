# %% [markdown]
# # Chapter 12: GPT
#
# We have all the parts of a GPT. Let us put them in a row and ask a fresh model, which has never
# seen a text, for its loss on a piece of Shakespeare.

# %%
import math
from pathlib import Path

import numpy as np

from coursekit import add_to_class, export, figures
from numpygpt.gradcheck import GradientError, gradcheck, numeric_gradient
from numpygpt.nn import CrossEntropyLoss, Embedding, LayerNorm, Linear, Module, TransformerBlock
from numpygpt.nn.functional import cross_entropy, cross_entropy_backward, softmax
from numpygpt.optim import Adam

# %%
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
chars = sorted(set(text))  # the vocabulary: every character that occurs
ids_of = {char: i for i, char in enumerate(chars)}
B, T, C, H, V = 8, 32, 64, 4, len(chars)
print("V =", V, "characters, such as", chars[20:30])

tokens = np.array([ids_of[char] for char in text[: B * T + 1]])
ids = tokens[: B * T].reshape(B, T)
targets = tokens[1 : B * T + 1].reshape(B, T)  # the character after each

# %%
rng = np.random.default_rng(12)
wte, wpe = Embedding(V, C, rng=rng), Embedding(T, C, rng=rng)
blocks = [TransformerBlock(C, H, 4 * C, rng=rng) for _ in range(4)]
ln_f = LayerNorm(C)

x = wte(ids) + wpe(np.arange(T))  # (B, T, C)
for block in blocks:
    x = block(x)
logits = ln_f(x) @ wte.W.T  # (B, T, V): how well the vector fits each row of wte
loss = cross_entropy(logits, targets)
print(f"loss {loss:.1f} nats; a uniform guess has ln V = {math.log(V):.1f}")
print(f"favors the character it has just read: {(logits.argmax(axis=-1) == ids).mean():.0%}")

# %% [markdown]
# A model that knows nothing should say so: give every character the probability $1/V$ and have a
# loss of $\ln V$. The loss of this one is more than nine times as large. It is sure, and it is
# wrong: everywhere it predicts that the character it has read will come again.
#
# The questions of this chapter: how do the parts make a GPT, what are good weights to begin
# with, and how do we know that the whole of it is right?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `ids`, `targets` | tokens, and the token after each | `(B, T)` |
# | `wte.W` | a row for each token of the vocabulary | `(V, C)` |
# | `wpe.W` | a row for each position | `(block_size, C)` |
# | `x` | the residual stream | `(B, T, C)` |
# | `logits` | scores of the next token | `(B, T, V)` |
# | `loss` | mean over all positions, in nats | a number |
#
# The diagram shows the order of the computation, from the ids at the bottom to the loss at the top,
# with the shape beside each arrow.

# %%
parts = ["wte[ids]", "+", "block 0", "block 1", "...", "ln_f", "head: times wteᵀ", "cross-entropy"]
shapes = ["ids  (B, T)", "(B, T, C)", "x  (B, T, C)", "(B, T, C)", "(B, T, C)", "(B, T, C)", "(B, T, C)",
          "logits  (B, T, V)", "loss  ()"]

def draw_column(ax):
    for y, (part, shape) in enumerate(zip(parts, shapes)):
        color = figures.YELLOW if part == "+" else figures.SKY
        figures.box(ax, 0, y, part, width=0.5 if part == "+" else 2.6, color=color)
        figures.arrow(ax, (0, y - 0.75), (0, y - 0.25), label=shape)
    figures.arrow(ax, (0, 7.25), (0, 7.75), label=shapes[-1])

def draw_side(ax, y, part, shape, end, color):
    figures.box(ax, 4, y, part, width=2.4, color=color)
    figures.arrow(ax, (2.8, y), (end, y))
    ax.text(2.1, y + 0.12, shape, color="#555555", fontsize=9, ha="center")

# %%
figure, ax = figures.subplots(size=(5.6, 6.4))
draw_column(ax)
draw_side(ax, 1, "wpe[0 .. T-1]", "(T, C)", end=0.25, color=figures.SKY)
draw_side(ax, 7, "targets", "(B, T)", end=1.3, color="none")
ax.set(xlim=(-2.6, 5.4), ylim=(-0.8, 7.8))
ax.axis("off")
figures.show(
    figure,
    "From bottom to top: ids (B, T) go into wte, wpe is added, and the stream x of shape (B, T, C) "
    "goes through the blocks and ln_f. The head turns it into logits (B, T, V), which the "
    "cross-entropy compares with the targets (B, T) to give the loss.",
)

# %% [markdown]
# Every position predicts its own next token, so one pass over T tokens gives T predictions at
# once. The causal mask hides the answer from each of them.
#
# ## By hand: how many parameters?
#
# Take a GPT with $V = 11$, `block_size` 7, $C = 6$ and 2 blocks. **Before you run the next
# cell**, count on paper: both embeddings, then in each block two LayerNorms, `qkv`, `proj`,
# `fc1`, `fc2` with their biases and a hidden layer of $4C$, then `ln_f`. The head is the matrix
# of `wte` again and costs nothing. Is it more or less than 1,000?

# %%
def count(V, block_size, C, n_layer):
    norm = 2 * C  # gamma and beta
    attention = (C * 3 * C + 3 * C) + (C * C + C)  # qkv, proj
    ffn = (C * 4 * C + 4 * C) + (4 * C * C + C)  # fc1, fc2
    return {
        "wte": V * C, "wpe": block_size * C, "norms": (2 * n_layer + 1) * norm,
        "attention": n_layer * attention, "ffn": n_layer * ffn,
    }

# %%
parts = count(V=11, block_size=7, C=6, n_layer=2)
print(parts, "sum", sum(parts.values()))

# %% [markdown]
# More: 1,140. We will compare this with the finished model.
#
# ## The configuration
#
# The shape of a GPT is a handful of numbers. They travel together: into the model, into the
# file in which it is saved, and back. A frozen dataclass holds them, and refuses what no GPT can
# have, with a message that names the field.

# %% tags=["export"] module="gpt.py"
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


# %% tags=["export"]
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


# %% [markdown]
# A dataclass calls `__post_init__` as soon as it has stored the fields. In Python `True` counts
# as the whole number 1, hence the test for `bool`. Here are three mistakes and what they say:

# %%
good = {"vocab_size": 11, "block_size": 7, "n_layer": 2, "n_head": 3, "n_embd": 6}
for mistake in ({"n_embd": 130, "n_head": 4}, {"n_layer": 0}, {"activation": "tanh"}):
    try:
        GPTConfig(**good | mistake)
    except ValueError as error:
        print("ValueError:", error)

# %% [markdown]
# ## One matrix, used twice
#
# `wte` turns a token into a vector. The head turns a vector into a score for each token. If
# tokens that mean the same have similar rows, both can use one matrix: the score of token $v$
# is the dot product of the final vector with row $v$. This is **weight tying** (Press and Wolf,
# 2016).
#
# Let $n$ run over the $N = BT$ positions. Let $x^0$ be the stream at the bottom and $x$ what
# leaves `ln_f` at the top. The dots stand for the row of `wpe`:
#
# $$x^0_{nc} = W_{\mathrm{ids}_n,\,c} + \dots \qquad\qquad \mathrm{logits}_{nv} = \sum_c x_{nc}\,W_{vc}$$
#
# $W$ is used twice, so its gradient is the sum of two (chapter 1). From the head, a product:
#
# $$dW_{vc} \mathrel{+}= \sum_n d\mathrm{logits}_{nv}\,x_{nc}$$
#
# From the bottom, the scatter-add of chapter 8: row $v$ collects the gradient of every place where
# token $v$ stands.
#
# $$dW_{vc} \mathrel{+}= \sum_{n:\,\mathrm{ids}_n = v} dx^0_{nc}$$
#
# In matrix form the first is $d\mathrm{logits}^\top x$, and $dx = d\mathrm{logits}\;W$.
#
# We try it with `wte` and nothing else: $x = x^0 = W[\mathrm{ids}]$, so $dx^0 = dx$. We take 5
# tokens, 3 channels, 7 positions. **Before you run the next cell:** will either of the two terms by
# itself agree with the numeric gradient?

# %%
W = rng.normal(0, 1, (5, 3))
ids7, targets7 = rng.integers(0, 5, (2, 7))
x = W[ids7]  # (7, 3)
dlogits = cross_entropy_backward(x @ W.T, targets7)  # (7, 5)
dx = dlogits @ W  # (7, 3)

head, bottom = np.zeros_like(W), np.zeros_like(W)
for n in range(7):
    bottom[ids7[n]] += dx[n]
    for v in range(5):
        head[v] += dlogits[n, v] * x[n]

# %%
numeric = numeric_gradient(lambda: cross_entropy(W[ids7] @ W.T, targets7), W)
print("head term, loop and matrices agree:", np.allclose(head, dlogits.T @ x))
print("head term is the gradient:  ", np.allclose(head, numeric))
print("bottom term is the gradient:", np.allclose(bottom, numeric))
print("their sum is the gradient:  ", np.allclose(head + bottom, numeric))

# %% [markdown]
# Neither does, only their sum.
#
# ## The model
#
# The parts, in the order of the diagram. `head` is a Linear only where weights are not tied.

# %% tags=["export"]
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


# %% [markdown]
# The initial weights are GPT-2's, except that GPT-2 drew its position embeddings with 0.01.
# Matrices have a standard deviation of 0.02, small enough that all logits are near 0. The last
# matrix of each branch is smaller still; an experiment below will show why. Biases stay 0 and
# `gamma` stays 1, as their layers made them: they have one dimension.

# %% tags=["export"]
@add_to_class(GPT)
def _init_weights(self, rng):
    """Draw weights nearly as GPT-2 does: small, so that all logits start near 0."""
    for name, p in self.params().items():
        if p.ndim == 2:
            # Each block adds two branches to the stream: scaled down, they keep its size.
            branch = name.endswith(("attn.proj.W", "ffn.fc2.W"))
            std = 0.02 / math.sqrt(2 * self.config.n_layer) if branch else 0.02
            p[...] = rng.normal(0, std, p.shape)


# %% [markdown]
# Forward is the diagram, line by line. It keeps `self.x`, the input of the tied head, because the
# head's gradient needs it.

# %% tags=["export"]
@add_to_class(GPT)
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


# %% [markdown]
# Backward is the diagram in reverse. At the bottom the stream was a sum, so both embeddings
# get `dx`. The rows of `wpe` were spread over the batch in the forward pass, so their gradient
# is summed over it: what broadcasting spreads, a sum gathers.

# %% tags=["export"]
@add_to_class(GPT)
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


# %% [markdown]
# The head adds its part to `wte.dW`. It must **add**: later `wte.backward` adds the other.

# %% tags=["export"]
@add_to_class(GPT)
def _head_backward(self, dlogits):
    if self.head is not None:
        return self.head.backward(dlogits)
    # logits = x wteᵀ
    V, C = self.wte.W.shape
    self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
    return dlogits @ self.wte.W


# %% [markdown]
# ## Did we count right?
#
# We also count a model whose head is a Linear of its own: it should have $VC = 66$ more.

# %%
tiny = GPT(GPTConfig(**good), rng=rng)
print("model:", tiny.num_params(), " by hand:", sum(parts.values()))
print("untied:", GPT(GPTConfig(**good, tie_weights=False), rng=rng).num_params())

# %% [markdown]
# The same function counts a model that is too large to build here. GPT-2 small has 50,257 tokens,
# 1,024 positions, 768 channels and 12 blocks. Where are its parameters, and where are those of a
# small character model?

# %%
shapes = {
    "char model": count(V, block_size=64, C=128, n_layer=4),
    "GPT-2 small": count(V=50257, block_size=1024, C=768, n_layer=12),
}
def print_shares(counts, unit):
    for name, parts in counts.items():
        total = sum(parts.values())
        share = ", ".join(f"{part} {n / total:.1%}" for part, n in parts.items())
        print(f"{name:12}{total:>16,} {unit}: {share}")

print_shares(shapes, "parameters")
print(f"a head of its own for GPT-2 small: {50257 * 768:,} more")

# %% [markdown]
# GPT-2 small has 124,439,808 parameters, as many as the published weights. (The paper says 117
# million; its authors later corrected that to 124.) With a large vocabulary tying matters: without
# it, the model would need 38.6 million more.
#
# ## Where the work is
#
# Parameters take memory. Time goes into arithmetic, counted in **FLOPs** (floating-point
# operations): one for each addition or multiplication of two numbers. Nearly all of them are in
# matrix products. A product of an $(m, k)$ and a $(k, n)$ matrix makes $mn$ numbers, each from $k$
# multiplications and about as many additions: $2mkn$ FLOPs. So a text of $T$ tokens costs
# $2T$ FLOPs for each weight of a matrix that it is multiplied by. Attention has two products
# without weights, $QK^\top$ and $PV$, over $T$ positions times $T$: $2T^2C$ each, all heads
# together. Adding, normalizing and softmax are left out.
#
# **Before you run the next two cells:** in GPT-2 small, `wte` holds 31% of the parameters. How much
# of the work is reading from it? And how much is the head, which is the same matrix?

# %%
def forward_flops(V, T, C, n_layer):
    return {
        "wte": 0,  # a lookup picks rows, it computes nothing
        "attention": n_layer * 2 * T * 4 * C * C,  # qkv, proj
        "QKᵀ, PV": n_layer * 2 * 2 * T * T * C,  # two products
        "ffn": n_layer * 2 * T * 8 * C * C,  # fc1, fc2
        "head": 2 * T * C * V,
    }

# %%
lengths = {"char model": 64, "GPT-2 small": 1024}  # T
flops = {
    "char model": forward_flops(V, lengths["char model"], C=128, n_layer=4),
    "GPT-2 small": forward_flops(50257, lengths["GPT-2 small"], C=768, n_layer=12),
}
print_shares(flops, "FLOPs")
for name, length in lengths.items():
    per_token = sum(flops[name].values()) / length
    print(f"{name:12}{per_token / sum(shapes[name].values()):.1f} FLOPs a token and parameter")

# %% [markdown]
# Reading is free, and the head is more than a quarter of the work. In the small model the head is
# next to nothing. Remember the last two lines, a rule of thumb of the field: a forward pass takes
# about two FLOPs for each parameter and token. Backward has two products for each one of forward
# (chapter 3: $dW$ and $dx$), so a training step takes about six.
#
# Is the formula right? We count again from the arrays of a real model after a pass: two FLOPs for
# each weight and token, except in `wpe`, and $2BHT^2D$ for each of the two products in a block.

# %%
counted = GPT(GPTConfig(vocab_size=V, block_size=T, n_layer=2, n_head=H, n_embd=C), rng=rng)
counted(ids)  # B texts of T tokens
weights = {name: p for name, p in counted.params().items() if p.ndim == 2 and name != "wpe.W"}
total = 2 * B * T * sum(p.size for p in weights.values())
for block in counted.blocks:
    total += 2 * (2 * block.attn.q.size * block.attn.p.shape[-1])  # q: (B, H, T, D), p: (..., T)
print("as by the formula:", total == B * sum(forward_flops(V, T, C, 2).values()))

# %% [markdown]
# The picture puts both counts side by side, for both models. Look for what takes many parameters
# and little work, and for the opposite.

# %%
from matplotlib.patches import Patch

COLORS = {"wte": figures.BLUE, "head": figures.BLUE, "wpe": figures.ORANGE, "norms": figures.GRAY,
          "attention": figures.GREEN, "QKᵀ, PV": figures.YELLOW, "ffn": figures.SKY}

def stack(axis, counts):
    for name, parts in counts.items():
        left = 0
        for part, n in parts.items():
            width = 100 * n / sum(parts.values())
            axis.barh(name, width, left=left, color=COLORS[part], alpha=0.7, edgecolor="white")
            if width > 7:
                axis.text(left + width / 2, name, part, ha="center", va="center", fontsize=8)
            left += width
    patches = [Patch(color=COLORS[part], alpha=0.7, label=part) for part in parts]
    axis.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1.1), fontsize=8)

# %%
figure, axes = figures.subplots(2, 1, size=(8, 3.6), sharex=True)
for axis, counts, title in zip(axes, (shapes, flops), ("parameters", "FLOPs of a forward pass")):
    stack(axis, counts)
    axis.set(title=title, xlim=(0, 100))
axes[1].set(xlabel="share (%)")
figures.show(
    figure,
    "Stacked bars of shares. Of the parameters of the small character model nearly all are in "
    "attention and feed-forward; in GPT-2 small almost a third is in wte. Of the FLOPs of GPT-2 "
    "small, more than a quarter goes into the head and an eighth into the products without weights.",
)

# %% [markdown]
# `wte` costs nothing to read, and a lot to write with. The products $QK^\top$ and $PV$ have no
# parameters at all. Their work grows with $T^2$, that of all other parts with $T$.
#
# Try it: suppose GPT-2 small had a `block_size` of 4096 and got a text of that length. Set it in
# `lengths`, and run from there: which part is then the largest?
#
# <details><summary>Answer</summary>
#
# $QK^\top$ and $PV$, with 37.9% of the work; `ffn` has 28.4%, the head 19.4%, the matrices of attention
# 14.2%.
#
# </details>
#
# ## The whole model, checked
#
# Each layer by itself was right. Did we put them together correctly? We check every one of the
# 1,140 parameters, in float64, with weights of size 0.5. What we differentiate is the loss itself.

# %%
def check(gpt_class, **changes):
    rng = np.random.default_rng(5)
    model = gpt_class(GPTConfig(**good | changes), rng=rng, dtype=np.float64)
    for p in model.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    ids, targets = rng.integers(0, 11, (2, 2, 5))  # two arrays of shape (B, T) = (2, 5)
    return gradcheck(model, ids, targets, rng=rng)


report = check(GPT)
print("\n".join(line for line in str(report).splitlines() if "blocks.1" not in line))
print("... and the same for blocks.1:", len(report.rows), "arrays in all")

# %% [markdown]
# And the other forms that a configuration can ask for:

# %%
for changes in ({"tie_weights": False}, {"activation": "gelu"}, {"bias": False}):
    print(changes, len(check(GPT, **changes).rows), "arrays right")


# %% [markdown]
# Two mistakes with the shared matrix. One forgets the head's part. The other **overwrites**
# `wte.dW` with the head's part. Gradients are cleared before each step, the head comes first on
# the way back, and so overwriting does no harm at all in an ordinary training loop.
#
# **Before you run the next cell:** will the check catch the second?

# %%
class ForgetsHead(GPT):
    def _head_backward(self, dlogits):
        return dlogits @ self.wte.W


class Overwrites(GPT):
    def _head_backward(self, dlogits):
        self.wte.dW[...] = np.einsum("btv,btc->vc", dlogits, self.x)
        return dlogits @ self.wte.W


# %%
for wrong in (ForgetsHead, Overwrites):
    try:
        check(wrong)
    except GradientError as error:
        print(f"{wrong.__name__}:", str(error).split("[")[0])

# %% [markdown]
# It does, because it runs backward twice without clearing, and expects twice the gradient. This
# matters as soon as we add up the gradients of several small batches before one step.
#
# ## The first loss
#
# Back to the text, with the weights of `_init_weights`. The head is still tied. **Before you run
# the next cell:** does the fresh model still favor the character that it has just read? And
# what does that do to its loss?

# %%
config = GPTConfig(vocab_size=V, block_size=T, n_layer=4, n_head=H, n_embd=C)
model = GPT(config, rng=rng)
logits, loss = model(ids, targets)
print(f"loss {loss:.2f}, ln V = {math.log(V):.2f}, size of the logits {logits.std():.2f}")
p_read = np.take_along_axis(softmax(logits), ids[..., None], axis=-1)
print(f"favors the character it has just read: {(logits.argmax(axis=-1) == ids).mean():.0%}")
print(f"gives it a probability of {p_read.mean():.3f}; 1/V = {1 / V:.3f}")

# %% [markdown]
# It does, nearly everywhere. A vector of the stream still holds the row of `wte` that it came
# from, and fits that row best. But now the fit is a small number: the favorite gets about twice
# the share of a blind guess, and the loss is within 0.02 of $\ln V$. The model at the top
# of the chapter drew its embeddings with standard deviation 1, and the same fit was enough to be
# sure. Whenever you start a training run, look at the first loss. If it is not near $\ln V$,
# something is wrong, and you know it before the first step.
#
# Why are the last matrices of the branches divided by $\sqrt{2\,n_{layer}}$? The stream is a
# sum of $2\,n_{layer}$ branches. Sums of independent terms grow like the square root of their
# number (chapter 10 met the same with $\sqrt D$). The figure shows the size of the stream at
# the top, as a multiple of its size at the bottom, for models of 1 to 32 blocks.

# %%
def growth(n_layer, scaled):
    rng = np.random.default_rng(0)
    model = GPT(GPTConfig(V, T, n_layer, H, C), rng=rng)
    x = bottom = model.wte(ids) + model.wpe(np.arange(T))
    for block in model.blocks:
        if not scaled:
            block.attn.proj.W *= math.sqrt(2 * n_layer)
            block.ffn.fc2.W *= math.sqrt(2 * n_layer)
        x = block(x)
    return x.std() / bottom.std()


# %%
depths = [1, 2, 4, 8, 16, 32]
plain, scaled = ([growth(n, s) for n in depths] for s in (False, True))
print("without:", np.round(plain, 1))
print("with:   ", np.round(scaled, 1))

# %%
figure, axis = figures.subplots(size=(5, 3))
axis.plot(depths, plain, marker="o", label="0.02 everywhere")
axis.plot(depths, scaled, marker="s", label="last matrices divided by √(2 n_layer)")
axis.set(xscale="log", xlabel="n_layer", ylabel="stream: size at top / bottom", ylim=(0, None))
axis.set_xticks(depths, labels=depths)
axis.minorticks_off()
axis.legend()
figures.show(
    figure,
    "Size of the residual stream at the top over its size at the bottom, against the number of "
    "blocks. Without the factor it grows with depth; with it, it stays nearly the same.",
)

# %% [markdown]
# Without the factor the stream grows with every block. With it, the top is about 1.4 times the
# bottom at every depth.
#
# ## Two more properties
#
# The future stays hidden through the whole model. And for the end of a text longer than
# `block_size` there are no position embeddings: the model says so.

# %%
later = ids.copy()
later[:, 20] = (later[:, 20] + 1) % V
moved = np.abs(model(later) - model(ids)).max(axis=(0, 2)) > 1e-5
print("change position 20: the first logits that change are at position", np.flatnonzero(moved)[0])
try:
    model(np.zeros((1, 40), int))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## Can it learn? Overfit one batch
#
# Before a long training run there is one cheap test. Train on a single batch, again and again. A
# model with far more parameters than the batch has characters should learn it by heart. If it
# cannot, do not look for better settings: look for a bug.
#
# **Before you run the next cell:** which number should the loss approach?

# %%
small = GPT(GPTConfig(V, T, n_layer=2, n_head=H, n_embd=C), rng=np.random.default_rng(1))
optimizer = Adam(small, lr=3e-3)
losses = []
for _ in range(100):
    losses.append(small(ids, targets)[1])
    optimizer.zero_grad()
    small.backward()
    optimizer.step()
print("first loss near ln V:", abs(losses[0] - math.log(V)) < 0.1)
print("last loss below 0.1: ", losses[-1] < 0.1)

# %%
figure, axis = figures.subplots(size=(5, 3))
axis.plot(losses, label="one batch, again and again")
axis.axhline(math.log(V), color=figures.GRAY, linestyle="--", label="ln V")
axis.set(xlabel="step", ylabel="loss (nats)", ylim=(0, None))
axis.legend()
figures.show(
    figure, "The loss on one batch falls from ln V to nearly 0 within 100 steps of Adam."
)

# %% [markdown]
# Toward 0: to know a text by heart is to give each of its characters the probability 1. We read the
# first line of the batch, and below it the model's guess for each next character.

# %%
guess = small(ids).argmax(axis=-1)
print("next characters right:", f"{(guess == targets).mean():.0%}")
print("read: ", repr("".join(chars[i] for i in ids[0])))
print("guess:", repr("".join(chars[i] for i in guess[0])))

# %% [markdown]
# It has learned the batch by heart. Can it write, then? We give it the first 8 characters of that
# line, append the character that it finds most likely, and repeat. This is **greedy decoding**.
# **Before you run the next cell:** what will it write?

# %%
def write(start, n=24):
    written = np.array([[ids_of[char] for char in start]])  # (1, T)
    for _ in range(n):
        likeliest = small(written)[:, -1:].argmax(axis=-1)  # (1, 1)
        written = np.concatenate([written, likeliest], axis=1)
    return "".join(chars[i] for i in written[0])


print("the text itself:", write("First Ci") == text[:32])
print(repr(write("First Ci")))

# %% [markdown]
# The text itself. Ask it for anything else, such as `write("Romeo")`, and it soon recites pieces of
# these 256 characters: it has learned nothing else. To learn the language it needs all of the text,
# in ever new batches.
#
# ## Exercises
#
# Now write it yourself: [exercises/12_gpt.ipynb](../exercises/12_gpt.ipynb). A check says what is
# wrong, and `hint("gpt-count")` helps.
#
# | task | | minutes |
# |---|---|---|
# | how many parameters? | easy | 15 |
# | where the loss starts | medium | 15 |
# | GPT backward | hard | 40 |
#
# ## Recap
#
# - A GPT is embeddings, blocks, a norm and a head; the whole backward pass is that list in
#   reverse. A forward pass takes about two FLOPs for each parameter and token.
# - A tied matrix gets two gradients, and both must be added.
# - Small weights give a first loss of $\ln V$; smaller last matrices keep the stream from growing
#   with depth.
# - The whole model passes the gradient check, and learns one batch by heart.
# - We exported `gpt.py`: `GPTConfig` and `GPT`. Next, text becomes tokens: "Tokenizers".

# %%
export("12_gpt")
