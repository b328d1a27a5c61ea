# %% [markdown]
# # Chapter 0: Welcome
#
# Three houses, three prices, three predictions. The predictions are perfect. We ask for the **mean
# squared error**, the average of (prediction - price)². Click on the cell below and press
# `Shift+Enter` to run it.

# %%
import numpy as np

y = np.array([1.0, 2.0, 3.0])              # the true prices
y_hat = np.array([[1.0], [2.0], [3.0]])    # the predictions, one row per house
print(f"mean squared error: {np.mean((y_hat - y) ** 2):.4f}")

# %% [markdown]
# The error of perfect predictions should be 0. NumPy says 1.3333, without an error message or a
# warning.
#
# A program with such a bug runs to the end, prints plausible numbers, and learns nothing. The cause is
# the *shape* of an array, as in many silent mistakes in this field. So this chapter answers one
# question: **given the shapes that go in, which shape comes out, and what was copied or added up on the
# way?**

# %% [markdown]
# ## How the book works
#
# You will build a GPT (a *generative pre-trained transformer*, a model that writes text one piece at a
# time) from nothing but arrays. You need Python and school calculus.
#
# **Read, predict, run, change.** A chapter is a notebook: text and *cells* of code, to be run from top
# to bottom. Where the text says **Before you run the next cell**, answer its question first, on paper
# or aloud. A wrong guess is worth more than a right one: it shows where the picture in your head
# differs from the machine. Then change a number in the cell and run it again. Where the text says
# **Try it**, the answer is folded up below. Nothing breaks for good: *Kernel > Restart Kernel and Run
# All Cells* starts over. `Ctrl+S` saves.
#
# **Where the code goes.** Some cells are tagged `export`. Together they form a Python package,
# `numpygpt`, which later chapters import. The last code cell of such a chapter writes them, as you
# saved them, into the package, and keeps the old file with the ending `.old1`. If you changed the
# code, later chapters run on your version; `make build`, run in a terminal, restores ours.
#
# **Exercises.** Most chapters have exercises, a notebook in the folder `exercises`. You write a
# function where the blank is; the cell below checks it on cases that you do not see, and says what is
# wrong. `hint` gives a hint, and a stronger one each time. Our answers are in `solutions`.

# %% [markdown]
# ## Where the book leads
#
# At the end you have a GPT of your own, trained on Shakespeare. In chapter 17 you turn the knobs of
# one while it decides on the next letter:
#
# ![A notebook with sliders for temperature, top-k and top-p above a bar chart of the probabilities of the next letter](../docs/sampling.png)
#
# The chapters build on one another. An arrow leads from what you need first:
#
# ![A box for each chapter, with these arrows: 1 → 2, 2 → 3, 2 → 5, 3 → 4, 4 → 6, 5 → 6, 6 → 7, 6 → 8, 6 → 9, 8 → 10, 9 → 11, 10 → 11, 11 → 12, 12 → 16, 13 → 14, 14 → 15, 15 → 16, 16 → 17, 16 → 18, 16 → 20, 16 → 22, 17 → 19, 17 → 21, 17 → 23, 18 → 19, 18 → 24, 21 → 25, 22 → 23, 23 → 25, 23 → 26, 25 → 27, 26 → 27, 27 → 28, 28 → 29](../docs/map.png)
#
# Take an evening for a chapter. The minutes are for reading and running, and after the plus for the
# exercises. In a hurry, read chapters 1, 3, 5, 10 and 12, and skim the rest.
#
# | chapter | you build | minutes |
# |---|---|---|
# | [1 Gradients](01_gradients.ipynb) | a checker for all gradients | 85 + 90 |
# | [2 Module](02_module.ipynb) | what all layers share | 65 + 65 |
# | [3 Linear](03_linear.ipynb) | y = xW + b, and its three gradients | 45 + 40 |
# | [4 Activations](04_activations.ipynb) | ReLU, GELU | 60 + 55 |
# | [5 Softmax and cross-entropy](05_softmax_cross_entropy.ipynb) | the loss, and its gradient p - y | 50 + 65 |
# | [6 Optimizers](06_optimizers.ipynb) | SGD, momentum, AdamW | 95 + 80 |
# | [7 A first language model](07_first_language_model.ipynb) | two small models of Shakespeare | 65 |
# | [8 Embedding](08_embedding.ipynb) | vectors for tokens and positions | 50 + 65 |
# | [9 LayerNorm](09_layernorm.ipynb) | a long derivation, a short result | 75 + 75 |
# | [10 Attention](10_attention.ipynb) | queries, keys, masks and heads | 90 + 110 |
# | [11 Transformer](11_transformer.ipynb) | the residual stream and its blocks | 70 + 65 |
# | [12 GPT](12_gpt.ipynb) | the whole model | 75 + 70 |
# | [13 Tokenizers](13_tokenizers.ipynb) | characters and words | 75 + 75 |
# | [14 BPE](14_bpe.ipynb) | byte-pair encoding | 115 + 85 |
# | [15 Data](15_data.ipynb) | token files and batches | 70 + 65 |
# | [16 Training](16_training.ipynb) | the loop, checkpoints, resume | 110 + 75 |
# | [17 Sampling](17_sampling.ipynb) | temperature, top-k, top-p, the KV cache | 85 + 95 |
# | [18 Speed](18_speed.ipynb) | where the time goes; threads | 85 + 100 |
# | [19 Shakespeare](19_shakespeare.ipynb) | three GPTs, one of your own layers | 60 |
# | [20 Scaling out](20_scaling_out.ipynb) | training in many processes at a time | 80 + 75 |
# | [21 GPT-2](21_gpt2.ipynb) | the published weights in your GPT | 115 + 115 |
# | [22 Positions as rotations](22_rotary.ipynb) | RoPE and RMSNorm | 70 + 85 |
# | [23 A modern GPT](23_modern_gpt.ipynb) | the decoder of today | 100 + 85 |
# | [24 Muon](24_muon.ipynb) | an optimizer for matrices, and a speedrun | 80 + 95 |
# | [25 A chat model](25_chat_model.ipynb) | a published chat model in your code | 165 + 85 |
# | [26 Looking inside](26_looking_inside.ipynb) | the logit lens, heads, and copying | 90 + 85 |
# | [27 Fine-tuning](27_finetuning.ipynb) | a loss on answers alone; adapters of low rank | 120 + 95 |
# | [28 Preferences](28_preferences.ipynb) | a reward model, and DPO | 70 + 95 |
# | [29 Rewards](29_rewards.ipynb) | a model that learns from rewards | 80 + 105 |

# %% [markdown]
# ## Shapes
#
# An **array** is a block of numbers of one type. Its **shape** is a tuple with one size for each
# **axis**. Axis 0 is the first one, axis -1 is the last one. We give sizes a letter and keep it
# through the book:
#
# | name | meaning | shape |
# |---|---|---|
# | `x` | data: `N` examples (rows) of `C` numbers each (channels) | `(N, C)` |
# | `b` | one number per channel | `(C,)` |
# | `W` | a matrix that turns `C` numbers into `D` numbers | `(C, D)` |
# | `x` of texts | a batch of `B` texts, `T` positions each, `C` channels | `(B, T, C)` |
#
# `(C,)` has one axis. `(C, 1)` and `(1, C)` have two. Arrays of these shapes can hold the same numbers,
# and behave differently. In an index, `:` takes a whole axis and `None` adds one of size 1. The next
# cell makes small arrays; look at the shape, the number of axes and the type of each.

# %%
x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])    # (N, C) = (2, 3)
b = np.array([10.0, 20.0, 30.0])                    # (C,)
for name, a in [("x", x), ("b", b), ("b as a row", b[None, :]), ("b as a column", b[:, None])]:
    print(f"{name:14} shape {str(a.shape):8} axes {a.ndim}  type {a.dtype}")

# %% [markdown]
# Two operations change a shape and leave the numbers alone, and they are easy to mix up.
# `reshape` reads the numbers row by row and fills a new shape in the same order. `transpose` (short:
# `.T`) turns rows into columns.
#
# **Before you run the next cell:** `x.reshape(3, 2)` and `x.T` both have shape `(3, 2)`. Do they
# hold the same rows?

# %%
print("x.reshape(3, 2):", x.reshape(3, 2).tolist())
print("x.T:            ", x.T.tolist())

# %% [markdown]
# They do not. A shape that fits is no proof that the numbers are where they belong.
#
# ## Broadcasting
#
# `x + b` adds a `(2, 3)` array and a `(3,)` array. NumPy **broadcasts** the smaller one: it acts as
# if `b` were copied until the shapes agree. The rule has three steps:
#
# 1. Write the shapes one above the other, aligned at the **right**.
# 2. Where one shape is shorter, fill in 1 on its left.
# 3. On each axis the sizes must be equal, or one of them must be 1. An axis of size 1 is copied to
#    the other's size.
#
# Here is the rule as a loop; `zip` walks through both shapes side by side. Then we compare it with
# NumPy's own, `np.broadcast_shapes`, on four pairs.
#
# **Before you run the second of the next cells:** the last pair is `(3, 1)` with `(3,)`. What comes
# out?

# %%
def broadcast_shape(a, b):
    length = max(len(a), len(b))
    a, b = (1,) * (length - len(a)) + a, (1,) * (length - len(b)) + b
    for m, n in zip(a, b, strict=True):
        if m != n and 1 not in (m, n):
            raise ValueError(f"{m} and {n} do not fit")
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))

# %%
for s, t in [((2, 3), (3,)), ((2, 3), (2, 1)), ((4, 2, 3), (2, 3)), ((3, 1), (3,))]:
    ours, numpys = broadcast_shape(s, t), np.broadcast_shapes(s, t)
    print(f"{str(s):10} with {str(t):7} -> {str(ours):10} same as NumPy: {ours == numpys}")

# %% [markdown]
# The last pair is the one of the first cell: predictions `(3, 1)`, prices `(3,)`. Step 2 turns
# `(3,)` into `(1, 3)`, and step 3 copies both. The difference is a 3×3 table of every prediction
# against every price.

# %%
from coursekit.figures import SIGNED, show, subplots

def grid(ax, a, title):
    ax.imshow(a, cmap=SIGNED, vmin=-6, vmax=6)
    for i, j in np.ndindex(a.shape):
        ax.text(j, i, f"{a[i, j]:.0f}", ha="center", va="center", fontsize=12)
    ax.set(title=title, xlabel="column", ylabel="row", xticks=range(3), yticks=range(3))

# %%
fig, axes = subplots(1, 3, size=(8.6, 3.3))
grid(axes[0], np.broadcast_to(y_hat, (3, 3)), "y_hat: (3, 1), copied across")
grid(axes[1], np.broadcast_to(y, (3, 3)), "y: (3,), copied down")
grid(axes[2], y_hat - y, "y_hat - y: (3, 3)")
show(fig, "Three 3 by 3 grids. The column y_hat is copied to three columns, the row y to "
          "three rows; their difference has zeros on the diagonal only.")

# %% [markdown]
# Only the diagonal compares a prediction with its own price. The mean ran over all nine entries:
# their squares add up to 12, and 12/9 is 1.3333. The cure is to bring both arrays to one shape
# before subtracting: `y_hat[:, 0] - y`.
#
# **Before you run the next cell:** `x` has shape `(2, 3)`. Which of these two works, and which one
# fails? `x + np.array([10, 20, 30])`, `x + np.array([10, 20])`

# %%
print("mean squared error:", float(np.mean((y_hat[:, 0] - y) ** 2)))
for v in ([10, 20, 30], [10, 20]):
    try:
        print(f"x + {v} has shape {(x + np.array(v)).shape}")
    except ValueError:
        print(f"x + {v} fails: shapes {x.shape} and {np.shape(v)}")

# %% [markdown]
# `(2, 3)` and `(2,)` are aligned at the right, so 3 meets 2. To add one number per row, give it the
# shape `(2, 1)`. The failure is the lucky case. With `x` of shape `(2, 2)`, the `[10, 20]` that you
# meant for the rows would be added to the columns in silence. **That is why our examples use sizes
# that differ.**
#
# ## Sums over an axis
#
# `x.sum(axis=0)` adds along axis 0. In index form, with $i$ for the row and $j$ for the column,
#
# $$s_j = \sum_i x_{ij}$$
#
# The index under the $\sum$ is the axis that disappears; the other index remains. `keepdims=True`
# leaves an axis of size 1 in its place, so that the result broadcasts against `x` again.
#
# **Before you run the next cell:** what are the shapes of the four sums, and which of them can be
# subtracted from `x` (shape `(2, 3)`) without an error?

# %%
for label, s in [
    ("x.sum()", x.sum()),
    ("x.sum(axis=0)", x.sum(axis=0)),
    ("x.sum(axis=1)", x.sum(axis=1)),
    ("x.sum(axis=1, keepdims=True)", x.sum(axis=1, keepdims=True)),
]:
    print(f"{label:30} shape {str(np.shape(s)):7} {np.asarray(s).tolist()}")

# %% [markdown]
# Three of the four can be subtracted: the number, the `(3,)` and the `(2, 1)`. The `(2,)` cannot.
# We use `axis=-1` most, "along the channels", because it means the same for `(N, C)` and for
# `(B, T, C)`.
#
# ## What broadcasting spread, a sum gathers
#
# Broadcasting copies; a sum over the axes of the copies brings the old shape back. Take $y = x + b$
# with `x` of shape `(B, T, C)` and `b` of shape `(C,)`. How often was each entry of `b` used? We
# count: put a 1 at every place of the result and add up the places that belong to each entry.

# %%
B, T, C = 2, 3, 5
b = np.arange(C, dtype=float)
spread = np.broadcast_to(b, (B, T, C))          # what x + b makes of b
ones = np.ones((B, T, C))
print("spread to", spread.shape, "and gathered to", ones.sum(axis=(0, 1)).shape)
print("uses of each entry of b:", ones.sum(axis=(0, 1)).astype(int).tolist())

# %% [markdown]
# Each of the 5 entries was used $B \cdot T = 6$ times. In training, not all places count alike: each
# entry of the result matters more or less to the error at the end. Write $g_{itc}$ for how much ($i$
# for the text, $t$ for the position, $c$ for the channel). How much does each entry of `b` matter? We
# weight the spread `b` by $g$, and see what stands beside each entry:
#
# $$
# \begin{aligned}
# \sum_{itc} g_{itc}\,\mathrm{spread}(b)_{itc}
# &= \sum_{itc} g_{itc}\, b_c && \text{the copy at } (i,t,c) \text{ is } b_c\\
# &= \sum_c b_c \sum_{it} g_{itc} && b_c \text{ does not depend on } i, t\text{: take it out}\\
# &= \sum_c b_c\,\mathrm{gather}(g)_c && \text{gather: sum over the axes that were spread}
# \end{aligned}
# $$
#
# So an entry of `b` matters as much as all its copies together: we gather their weights. We write the
# gathering as a loop over every place (`np.ndindex` gives the indices one by one), then as a function
# for any shape, and see that they agree.

# %%
def gather_loop(g):
    total = np.zeros(g.shape[-1])
    for i, t, c in np.ndindex(g.shape):
        total[c] += g[i, t, c]
    return total

# %%
def gather(g, shape):
    """Sum g over the axes that broadcasting an array of this shape would copy."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))              # axes that were missing
    copied = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=copied, keepdims=True)                       # axes of size 1

# %%
rng = np.random.default_rng(0)
g = rng.normal(size=(B, T, C))
print("loop and vectors agree:", np.allclose(gather_loop(g), gather(g, (C,))))
print("both totals agree:     ", np.allclose((g * spread).sum(), (b * gather(g, (C,))).sum()))
print("gathered to (3, 1):    ", gather(g, (T, 1)).shape)

# %% [markdown]
# `np.random.default_rng(0)` made a **generator** of random numbers with seed 0, which gives the
# same numbers each time. All randomness in the book comes from such generators, so every result but
# a measured time can be repeated.
#
# A model computes *forward*, from the data to the error. The next chapter goes *backward*, from the
# error to what each number contributed to it. **What broadcasting spreads forward, a sum gathers
# backward.** The two shapes alone tell which axes to sum over.
#
# ## Matrix products: `@`
#
# `x @ W` with `x` of shape `(N, C)` and `W` of shape `(C, D)` gives `(N, D)`:
#
# $$y_{nd} = \sum_c x_{nc}\, W_{cd}$$
#
# The index that both share, $c$, is summed over and disappears. On paper, first entry: row 0 of `x`
# is 1, 2, 3; column 0 of `W` below is 1, 0, 2; so $y_{00} = 1\cdot 1 + 2\cdot 0 + 3\cdot 2 = 7$.
# Find it in the output.

# %%
W = np.array([[1.0, -1, 0, 2], [0, 1, 1, 0], [2, 3, 1, -1]])    # (C, D) = (3, 4)

def matmul_loop(x, W):
    y = np.zeros((x.shape[0], W.shape[1]))
    for n, d, c in np.ndindex(x.shape[0], W.shape[1], W.shape[0]):
        y[n, d] += x[n, c] * W[c, d]
    return y

print(matmul_loop(x, W))
print("loop and @ agree:", np.allclose(matmul_loop(x, W), x @ W))

# %% [markdown]
# With more axes, `@` multiplies the last two and treats the others as a stack: `(B, T, C) @ (C, D)`
# gives `(B, T, D)`, one product for each text.
#
# We write the loop to understand and `@` to run. The next cell measures why, and takes the best of
# five runs. Until you run it, the output shows the times of the machine that built the book.

# %% tags=["measurement"]
from timeit import repeat

big, weights = rng.normal(size=(60, 50)), rng.normal(size=(50, 40))
loop = min(repeat(lambda: matmul_loop(big, weights), number=1, repeat=5))
at = min(repeat(lambda: big @ weights, number=1, repeat=5))
print(f"loop {loop * 1e3:.1f} ms, @ {at * 1e3:.3f} ms")
print(f"@ is about {loop / at:.0f} times as fast")

# %% [markdown]
# ## `einsum`: name the indices
#
# `np.einsum` takes the index form itself. Each array gets one letter per axis. A letter that is
# missing after the arrow is summed over. The table translates.
#
# | index form | `einsum` | otherwise |
# |---|---|---|
# | $s_c = \sum_n x_{nc}$ | `"nc->c"` | `x.sum(axis=0)` |
# | $t_{cn} = x_{nc}$ | `"nc->cn"` | `x.T` |
# | $y_{nd} = \sum_c x_{nc} W_{cd}$ | `"nc,cd->nd"` | `x @ W` |
# | $y_{btd} = \sum_c x_{btc} W_{cd}$ | `"btc,cd->btd"` | `x @ W` |
#
# **Before you run the next cell:** `g` has the shape of `x @ W`, that is `(N, D)`. What is the
# shape of `np.einsum("nc,nd->cd", x, g)`, and how would you write it with `@`?

# %%
g = rng.normal(size=(2, 4))    # (N, D)
M = np.einsum("nc,nd->cd", x, g)
print("shape:", M.shape)
print("equals x.T @ g:", np.allclose(M, x.T @ g))
print("nc,cd->nd equals x @ W:", np.allclose(np.einsum("nc,cd->nd", x, W), x @ W))

# %% [markdown]
# The index $n$ is shared and summed over, $c$ and $d$ stay: `(C, D)`, the shape of `W`. With `@` the
# summed index must be last on the left and first on the right, hence the transpose: `x.T @ g`.
#
# ## Break it on purpose
#
# A colleague writes `x @ W.T` where `x @ W` is meant. We test both on a `W` of 3×4 and on one of
# 3×3.

# %%
for D in (4, 3):
    W = rng.normal(size=(3, D))
    try:
        same_shape = (x @ W.T).shape == (x @ W).shape
        print(f"W is (3, {D}): same shape {same_shape}, same numbers {np.allclose(x @ W.T, x @ W)}")
    except ValueError:
        print(f"W is (3, {D}): x @ W.T fails at once")

# %% [markdown]
# With sizes that differ the mistake cannot run. With a square matrix it runs, the shape is right,
# and the numbers are wrong.
#
# ## Experiment: what does the shape bug do to learning?
#
# Back to the first cell. Let $x_i$ be the size of a house and $y_i$ its price, both measured from
# their average, so that they can be negative. Suppose that prices follow $y_i = 2 x_i$, and our
# model is $\hat y_i = w x_i$ with one unknown, $w$. Training looks for the $w$ with the smallest
# mean squared error. The right answer is 2. Which $w$ does the buggy error prefer? Expand it: with
# every prediction against every price,
#
# $$
# \begin{aligned}
# \frac{1}{N^2}\sum_{ij} (w x_i - y_j)^2
# &= \frac{1}{N^2}\sum_{ij} \left( w^2 x_i^2 - 2 w x_i y_j + y_j^2 \right)\\
# &= w^2\, \overline{x^2} - 2 w\, \bar x\, \bar y + \overline{y^2} && \text{a bar is a mean}
# \end{aligned}
# $$
#
# The only term that connects the model with the prices is $\bar x\,\bar y$, the product of two
# means. It does not know which price belongs to which house. Our sizes have mean 0, so the term
# vanishes, and $w^2\,\overline{x^2}$ is smallest at $w = 0$.

# %%
x1 = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])       # (N,)
y1 = 2 * x1                                      # (N,)
ws = np.arange(-20, 81) / 20                     # -1 to 4
right = [np.mean((w * x1 - y1) ** 2) for w in ws]
wrong = [np.mean((w * x1[:, None] - y1) ** 2) for w in ws]      # (N, 1) - (N,)
for label, errors in [("right shapes", right), ("(N, 1) - (N,)", wrong)]:
    print(f"{label:14} smallest error {min(errors):.2f}, at w = {ws[np.argmin(errors)]:.2f}")

# %%
from coursekit.figures import BLUE, ORANGE

fig, ax = subplots(size=(5.5, 3.2))
ax.plot(ws, right, color=BLUE, label="(N,) - (N,)")
ax.plot(ws, wrong, color=ORANGE, ls="--", label="(N, 1) - (N,)")
ax.plot([2, 0], [min(right), min(wrong)], "ko", ms=5, label="smallest error")
ax.set(xlabel="w (price per unit of x)", ylabel="mean squared error")
ax.legend()
show(fig, "Mean squared error against w. With matching shapes the minimum is 0 at w = 2; "
          "with the broadcast bug the curve has its minimum, 8, at w = 0.")

# %% [markdown]
# Follow the dashed curve downhill, as training would: the error falls, nothing complains, and at
# the bottom stands a model for which a house's size says nothing about its price.
#
# Try it: add 1 to all of `x1`, so that its mean is not 0 (`y1` follows). Where does the minimum of
# the buggy error move?

# %% [markdown]
# <details><summary>Answer</summary>
#
# To $w = 0.65$, the nearest of our steps to $\bar x\,\bar y / \overline{x^2} = 1 \cdot 2 / 3$. The error
# there is 10.67. It is still far from 2, where the right error stays 0.
#
# </details>

# %% [markdown]
# ## Recap
#
# - Broadcasting: shapes align at the right; an axis of size 1, or a missing one, is copied.
# - `sum(axis=k)` removes axis $k$. What broadcasting spread, a sum over the same axes gathers.
# - `@` sums over the shared inner index; `einsum` writes the index form down as it is.
# - A fitting shape proves little. Sizes that all differ turn silent mistakes into loud ones.
# - Next: Gradients, and how to prove that one is right.
