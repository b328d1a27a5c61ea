# %% [markdown]
# # Chapter 3: Linear
#
# Most of the numbers in a GPT sit in one kind of layer: multiply by a matrix, add a vector. Its
# backward pass needs the gradient of that matrix, and there is a popular way to find it: try
# products until the shapes fit. Here are two that fit. We let each of them teach a $3 \times 3$
# matrix `W` to imitate another one, by moving `W`, again and again, a small step against what the
# formula says is its gradient (downhill, as chapter 2 showed, if the formula is right).

# %%
import numpy as np

rng = np.random.default_rng(3)
x = rng.normal(size=(20, 3))
target = x @ rng.normal(size=(3, 3))

def error_after_training(gradient_of_W, steps):
    W = np.zeros((3, 3))
    for _ in range(steps):
        dy = x @ W - target                    # the slope of (y - target)² / 2
        W -= 0.01 * gradient_of_W(x, dy)
    return np.sum((x @ W - target) ** 2) / 2

# %%
for steps in [0, 10, 30]:
    a = error_after_training(lambda x, dy: x.T @ dy, steps)
    b = error_after_training(lambda x, dy: dy.T @ x, steps)
    print(f"after {steps:2} steps:   error with xᵀ dy {a:8.2f}   error with dyᵀ x {b:10.2f}")

# %% [markdown]
# Both formulas give a $3 \times 3$ matrix. With one of them `W` learns, with the other the error
# grows without end. No shape told us which is which.
#
# **The question of this chapter:** what are the gradients of $y = xW + b$, and how do we get them
# so that we know, rather than guess? Rule 4 of [chapter 1](01_gradients.ipynb) answers it for any
# matrix product. For the layer that does most of a GPT's work we go through it once more, entry by
# entry, with the bias, and for inputs with more axes.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x` | inputs, one example per row | `(N, n_in)` |
# | `W` | weights | `(n_in, n_out)` |
# | `b` | bias | `(n_out,)` |
# | `y` | outputs, `y = x W + b` | `(N, n_out)` |
# | `dy` | upstream gradient $\partial L/\partial y$, given to `backward` | `(N, n_out)` |
# | `dx`, `dW`, `db` | the gradients of `x`, `W`, `b` | as `x`, `W`, `b` |
#
# $L$ is the one number at the end, the loss. As in chapter 1, the gradient of an array has the
# array's own shape, and its name with a `d` in front.
#
# ## By hand
#
# Two examples, three inputs, two outputs. Take a pencil: the first output of the first example is
# $1 \cdot 1 + 2 \cdot 0 + 3 \cdot 2 + 10$.

# %%
x = np.array([[1.0, 2.0, 3.0],
              [4.0, 5.0, 6.0]])
W = np.array([[1.0, -1.0],
              [0.0, 2.0],
              [2.0, 1.0]])
b = np.array([10.0, 20.0])

y = x @ W + b
print(y)

# %% [markdown]
# The same by index. Each $y_{no}$ is a sum over the inputs $i$, plus the bias of its column:
#
# $$y_{no} = \sum_i x_{ni}\, W_{io} + b_o$$

# %%
def forward_loop(x, W, b):
    y = np.zeros((len(x), len(b)))
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for i in range(x.shape[1]):
                y[n, o] += x[n, i] * W[i, o]
            y[n, o] += b[o]
    return y

print("loop and matrix product agree:", np.allclose(forward_loop(x, W, b), y))

# %% [markdown]
# One weight takes part in many outputs. **Before you run the next cell:** we raise `W[1, 0]` by 1.
# Which entries of `y` change, and by how much?

# %%
W_raised = W.copy()
W_raised[1, 0] += 1
print(x @ W_raised + b - y)

# %% [markdown]
# Column 0 changes, in every row, and row $n$ by $x_{n1}$: by 2 and by 5. That is all we need to
# know about a weight: **$W_{io}$ reaches the outputs $y_{no}$ for every example $n$, with slope
# $x_{ni}$.**
#
# ## The gradients, by index
#
# We are given $dy_{no} = \partial L / \partial y_{no}$. The chain rule adds up all the paths from
# $W_{io}$ to the loss. They lead through the outputs $y_{mk}$:
#
# $$dW_{io} = \sum_m \sum_k dy_{mk}\, \frac{\partial y_{mk}}{\partial W_{io}}$$
#
# Put in the forward pass, $y_{mk} = \sum_j x_{mj} W_{jk} + b_k$. Of its sum, only the term with
# $j = i$ holds $W_{io}$, and only if $k = o$. With the $\delta$ of chapter 1,
#
# $$\frac{\partial y_{mk}}{\partial W_{io}} = x_{mi}\,\delta_{ko}$$
#
# The $\delta$ removes the sum over $k$:
#
# $$dW_{io} = \sum_m x_{mi}\, dy_{mo}$$
#
# The bias goes the same way, with slope 1 in place of $x_{mi}$. Forward, broadcasting spread $b_o$
# over all rows; backward, we gather from all rows:
#
# $$db_o = \sum_m dy_{mo}$$
#
# An input $x_{ni}$ reaches only its own row, but there every output $k$, with slope $W_{ik}$:
#
# $$dx_{ni} = \sum_k dy_{nk}\, W_{ik}$$
#
# **Before you run the second of the next cells:** we let a single output matter, so `dy` is zero except
# for `dy[1, 0] = 1`. Which entries of `dW`, `db` and `dx` are not zero? The three formulas tell you.

# %%
def backward_loop(dy, x, W):
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(W.shape[1])
    for n in range(dy.shape[0]):
        for o in range(dy.shape[1]):
            db[o] += dy[n, o]
            for i in range(x.shape[1]):
                dW[i, o] += x[n, i] * dy[n, o]
                dx[n, i] += dy[n, o] * W[i, o]
    return dx, dW, db

# %%
dy = np.array([[0.0, 0.0],
               [1.0, 0.0]])
for name, value in zip(["dx", "dW", "db"], backward_loop(dy, x, W), strict=True):
    print(f"{name} =\n{value}")

# %% [markdown]
# Output 0 of example 1 was made from row 1 of `x`, from column 0 of `W` and from `b[0]`. Row 1 of
# `dx` holds that column of `W`; column 0 of `dW` holds that row of `x`. In a product, the
# slope for each factor is the other factor.
#
# ## The gradients, as matrices
#
# A matrix product sums over *neighboring* indices: $(AB)_{ij} = \sum_k A_{ik} B_{kj}$. We only
# have to turn the factors until the summed index stands in the middle. In
# $dW_{io} = \sum_m x_{mi}\, dy_{mo}$ it is $m$, and $x_{mi} = (x^\top)_{im}$:
#
# $$dW_{io} = \sum_m (x^\top)_{im}\, dy_{mo} \quad\Longrightarrow\quad dW = x^\top dy$$
#
# In $dx_{ni} = \sum_k dy_{nk}\, W_{ik}$ it is $k$, and $W_{ik} = (W^\top)_{ki}$:
#
# $$dx_{ni} = \sum_k dy_{nk}\, (W^\top)_{ki} \quad\Longrightarrow\quad dx = dy\, W^\top$$
#
# The shapes agree, but now as a check afterward and not as the argument:
# $(n_{in}, N)(N, n_{out})$ gives the shape of $W$. With a random `dy`, loops and matrices give the same:

# %%
dy = rng.normal(size=y.shape)
dx, dW, db = backward_loop(dy, x, W)
print("dW = xᵀ dy:", np.allclose(dW, x.T @ dy))
print("db = sum of dy over the rows:", np.allclose(db, dy.sum(axis=0)))
print("dx = dy Wᵀ:", np.allclose(dx, dy @ W.T))

# %% [markdown]
# The picture shows $dW = x^\top dy$ with whole numbers. One entry of `dW` is framed, and with it
# the row of $x^\top$ and the column of `dy` that made it. The row of $x^\top$ is one input over all
# examples; the column of `dy` is the slope of one output over all examples. **A weight's gradient
# asks: over the examples, do this input and the slope of this output have the same sign, and how large
# are they?**

# %%
from matplotlib.patches import Rectangle

from coursekit.figures import BLACK, ORANGE, SIGNED, show, subplots

def grid(axis, a, title, frame):
    axis.imshow(a, cmap=SIGNED, vmin=-14, vmax=14)
    for (r, c), value in np.ndenumerate(a):
        axis.text(c, r, f"{value:.0f}", ha="center", va="center")
    left, top, width, height = frame
    axis.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False,
                             edgecolor=BLACK, linewidth=3, clip_on=False))
    axis.set(title=title, xticks=range(a.shape[1]), yticks=range(a.shape[0]))

# %%
xs = np.array([[1, -2, 3], [0, 2, 1], [3, 1, -1], [-2, 0, 2]])    # 4 examples, 3 inputs
dys = np.array([[2, -1], [1, 3], [-2, 1], [0, 2]])                # 4 examples, 2 outputs
i, o = 2, 1
figure, axes = subplots(1, 3, size=(8, 3.2), width_ratios=[4, 2, 2])
grid(axes[0], xs.T, "$x^\\top$", (0, i, 4, 1))
grid(axes[1], dys, "$dy$", (o, 0, 1, 4))
grid(axes[2], xs.T @ dys, "$dW = x^\\top\\,dy$", (o, i, 1, 1))
for axis, (across, down) in zip(axes, [("example n", "input i"), ("output o", "example n"),
                                       ("output o", "input i")], strict=True):
    axis.set(xlabel=across, ylabel=down)
show(figure, "Three colored grids: x transposed, dy, and their product dW. Entry (2, 1) of dW is "
             "framed, with row 2 of x transposed and column 1 of dy, whose products sum to it.")

# %% [markdown]
# ## The layer
#
# Now we write the class that the rest of the book uses. The next cell starts the module
# `numpygpt/nn/linear.py`.

# %% tags=["export"] module="nn/linear.py"
"""Linear: y = x W + b. Derived in chapter 03."""

import math

import numpy as np

from numpygpt.nn.module import Module

from coursekit import add_to_class, export

# %% [markdown]
# `__init__` makes the parameters, each with its gradient beside it, as [chapter
# 2](02_module.ipynb) requires. The weights are drawn from a range of $\pm 1/\sqrt{n_{in}}$; an
# experiment below shows why. The bias starts at zero, and can be left out.

# %% tags=["export"]
class Linear(Module):
    """y = x W + b.  x: (..., n_in), W: (n_in, n_out), b: (n_out,), y: (..., n_out)."""

    def __init__(self, n_in, n_out, bias=True, *, rng, dtype=np.float32):
        # Variance 1/(3 n_in), as in PyTorch: the size of y does not depend on n_in.
        bound = 1 / math.sqrt(n_in)
        self.W = rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype)
        self.dW = np.zeros_like(self.W)
        self.b = np.zeros(n_out, dtype) if bias else None
        self.db = np.zeros(n_out, dtype) if bias else None

# %% [markdown]
# ### Forward
#
# In a language model, `x` will not be a table of examples. It will have the shape `(B, T, C)`: `B`
# texts in a batch, `T` positions in each, `C` numbers (channels) at each position. The layer treats
# every position alike, so to the layer these are $N = B \cdot T$ examples. `reshape(-1, C)` stacks
# them as rows (NumPy works out the size that we give as -1), and at the end the rows go back to
# their places.

# %% tags=["export"]
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    # One large matrix product is faster than a stack of small ones.
    y = x.reshape(-1, x.shape[-1]) @ self.W    # (N, n_out)
    if self.b is not None:
        y += self.b
    return y.reshape(*x.shape[:-1], self.W.shape[1])

# %% [markdown]
# It also keeps `x`: the backward pass will need it. The first line of the output repeats the numbers
# that we computed by hand. The second checks our flattened product against NumPy's product of a stack.

# %%
linear = Linear(3, 2, rng=rng, dtype=np.float64)
linear.W[...], linear.b[...] = W, b
print(linear(x).tolist())

stack = rng.normal(size=(5, 7, 3))    # (B, T, n_in)
print(np.allclose(linear(stack), stack @ W + b), linear(stack).shape)

# %% [markdown]
# Is the comment in `forward` true? The next cell measures both ways at a size that a small GPT
# has. The times are those of our machine; run the cell to see yours. The gain is small, and a busy
# machine can hide it.

# %% tags=["measurement"]
from timeit import Timer

big = rng.normal(size=(12, 64, 128)).astype(np.float32)
W_big = rng.normal(size=(128, 512)).astype(np.float32)
def milliseconds(f):
    timer = Timer(f)
    number, _ = timer.autorange()    # as many calls as take a fifth of a second
    return min(timer.repeat(3, number)) / number * 1000

print(f"one large product        {milliseconds(lambda: big.reshape(-1, 128) @ W_big):.2f} ms")
print(f"a stack of 12 products   {milliseconds(lambda: big @ W_big):.2f} ms")

# %% [markdown]
# ### Backward
#
# The forward pass in reverse order: first the bias, then the product. `dy` is laid out in rows,
# too, so that the sum over all examples is a sum over `B` *and* `T`. We add to the gradients (`+=`),
# so that a matrix that two layers share gets the sum of both; `zero_grad()` clears them.

# %% tags=["export"]
@add_to_class(Linear)
def backward(self, dy):
    x = self.x.reshape(-1, self.x.shape[-1])    # (N, n_in)
    rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
    # y = x W + b
    if self.b is not None:
        self.db += rows.sum(axis=0)
    self.dW += x.T @ rows
    return (rows @ self.W.T).reshape(self.x.shape)

# %% [markdown]
# **Before you run the next cell:** `x` has the shape `(5, 7, 3)` and every entry of `dy` is 1.
# What is `db`?

# %%
linear.zero_grad()
linear(stack)
dx = linear.backward(np.ones((5, 7, 2)))
print("db", linear.db, "  dx", dx.shape, "  dW", linear.dW.shape)

# %% [markdown]
# Each bias was added at $5 \cdot 7 = 35$ positions, and each of them sends back a 1. This is rule
# 3' of chapter 1: a broadcast sums.
#
# ## Is it right?
#
# `gradcheck` compares every entry of `dx`, `dW` and `db` with central differences, for a random
# upstream gradient. All sizes differ, so that no two axes can be confused. We use float64 and
# weights of size 0.5.

# %%
from numpygpt.gradcheck import GradientError, gradcheck

def check(layer, shape):
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return gradcheck(layer, rng.normal(size=shape), rng=rng)

print(check(Linear(3, 4, rng=rng, dtype=np.float64), (2, 5, 3)))
print("without bias:")
print(check(Linear(4, 3, bias=False, rng=rng, dtype=np.float64), (7, 4)))

# %% [markdown]
# ### Break it
#
# A check is worth something only if wrong code fails it. Here are three wrong backward passes, all
# with the right shapes. The first is the one from the top of this chapter, with a square `W` so that
# the shapes hide it.
#
# **Before you run the third of the next cells:** which array will `gradcheck` name for each?

# %%
class TransposedProduct(Linear):
    def backward(self, dy):
        self.dW += dy.T @ self.x
        self.db += dy.sum(axis=0)
        return dy @ self.W.T

class MeanOfRows(Linear):
    def backward(self, dy):
        self.dW += self.x.T @ dy
        self.db += dy.mean(axis=0)    # the sum over 5 rows, divided by 5
        return dy @ self.W.T

# %%
class Overwritten(Linear):
    def backward(self, dy):
        self.dW[...] = self.x.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.W.T

# %%
for wrong in [TransposedProduct, MeanOfRows, Overwritten]:
    try:
        check(wrong(4, 4, rng=rng, dtype=np.float64), (5, 4))
    except GradientError as error:
        array, _, message = str(error).partition(":")
        print(f"{wrong.__name__}: {array.split('[')[0]}: {message.split('; ')[-1].strip()}")

# %% [markdown]
# The third one deserves a second look: it overwrites `dW` instead of adding to it. Its gradient is
# right as long as `W` is used once after `zero_grad()`, and a check with a single backward pass lets
# it through. `gradcheck` runs more than one.
#
# ## Experiment: how large should the weights be at the start?
#
# The *variance* of numbers around zero is the mean of their squares; its square root, the *standard
# deviation*, says how large they are. Each output is a sum of $n_{in}$ products. Take inputs of
# variance 1 and weights of variance $v$, all independent and around zero. Each product has the
# variance $1 \cdot v$, variances of independent numbers add, and $y$ has the variance $n_{in}\, v$.
# With weights of one fixed size, wide layers give large outputs.
#
# **Before you run the next cell:** a uniform draw from $\pm a$ has the variance $a^2/3$. With our
# $a = 1/\sqrt{n_{in}}$, what is the standard deviation of $y$?

# %%
widths = [4, 16, 64, 256, 1024]
ours, fixed = [], []
for n_in in widths:
    x = rng.normal(size=(400, n_in))
    ours.append(Linear(n_in, 100, rng=rng)(x).std())
    fixed.append((x @ rng.uniform(-0.5, 0.5, (n_in, 100))).std())
print(f"ours: from {min(ours):.2f} to {max(ours):.2f}, over all widths")
print(f"1/√3 = {1 / math.sqrt(3):.2f}")

# %% [markdown]
# The left plot shows both choices against the width. The right plot asks what follows when layers are
# stacked: thirty of them, 256 wide, each fed the output of the one before.

# %%
def std_by_depth(bound, depth=30, width=256):
    x, stds = rng.normal(size=(100, width)), []
    for _ in range(depth):
        x = x @ rng.uniform(-bound, bound, (width, width))
        stds.append(x.std())
    return stds

root = math.sqrt(256)
depths = {"$\\pm 1/\\sqrt{n}$ (ours)": std_by_depth(1 / root),
          "$\\pm\\sqrt{3}/\\sqrt{n}$": std_by_depth(math.sqrt(3) / root),
          "$\\pm 3/\\sqrt{n}$": std_by_depth(3 / root)}

# %%
figure, (left, right) = subplots(1, 2, size=(9, 3.4))
left.loglog(widths, fixed, "s--", color=ORANGE, label="$\\pm 0.5$, whatever the width")
left.loglog(widths, ours, "o-", label="$\\pm 1/\\sqrt{n_{in}}$ (ours)")
left.set(xlabel="n_in", ylabel="standard deviation of y", title="one layer")
for (label, stds), style in zip(depths.items(), ["-", "--", ":"], strict=True):
    right.semilogy(range(1, 31), stds, style, label=label)
right.set(xlabel="layer", ylabel="standard deviation of y", title="30 layers, 256 wide")
left.legend(); right.legend()
show(figure, "Left: with weights in ±0.5 the outputs grow with the width, with ±1/√n_in they do "
             "not. Right: over 30 layers, ±1/√n shrinks the outputs by the same factor in each "
             "layer, ±√3/√n keeps their size, and ±3/√n makes them grow.")

# %% [markdown]
# Dividing by $\sqrt{n_{in}}$ makes the width irrelevant. The depth is another matter. With our
# bound, each layer makes the numbers smaller by the factor $1/\sqrt 3$. With $\sqrt 3/\sqrt{n}$
# they keep their size, and with anything larger they grow from layer to layer. That holds for Linear
# layers alone; what stands between them in a real network changes the numbers' size as well, and the
# next chapter corrects the bound for it. Ours is PyTorch's default, and fine for a few layers. A deep
# model has to choose its initial weights with care, and may overwrite ours.
#
# Try it: change the 3 in $3/\sqrt n$ to 1.8 and run the last two cells again. Before you do: by what
# factor does each layer make the numbers larger, and what is that after thirty layers?

# %% [markdown]
# <details><summary>Answer</summary>
#
# By $1.8/\sqrt 3 = 1.04$. That is only a little too much, but its 30th power is 3.17.
#
# </details>

# %% [markdown]
# ## Exercises
#
# Now write them yourself: [exercises/03_linear.ipynb](../exercises/03_linear.ipynb). A check says what is
# wrong, and `hint("linear-forward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | forward | easy | 10 |
# | backward | medium | 20 |
# | the same weights, met twice | medium | 10 |
#
# ## Recap
#
# - The backward pass of $y = xW + b$ is $dW = x^\top dy$, $db = \sum_n dy_n$, $dx = dy\,W^\top$.
# - We derived it by index: each array gathers from all the outputs that it reached. Shapes confirm
#   a formula; they do not find it.
# - `Linear` takes any number of leading axes, adds to its gradients, and draws weights from
#   $\pm 1/\sqrt{n_{in}}$.
# - The next cell writes it to `numpygpt/nn/linear.py`. If you changed the code, save first: your
#   version goes into the package.
# - Next: Activations, without which a stack of these layers is no better than one.

# %%
export("03_linear")
