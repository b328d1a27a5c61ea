# %% [markdown]
# # Chapter 4: Activations
#
# Here is a task with four examples: the output should be 1 if exactly one of the two inputs is 1
# (an *exclusive or*, XOR). We give it to three `Linear` layers in a row, with 8 numbers passed from
# each to the next. Such a number inside a network is called a *hidden unit*. That is 105 parameters
# for four targets.

# %% tags=["widget"]
import numpy as np

from numpygpt.nn import Linear, Sequential

x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
target = np.array([[0.0], [1.0], [1.0], [0.0]])

# %% tags=["widget"]
def train_step(model, x, target, lr):
    y = model(x)
    model.zero_grad()
    model.backward(2 * (y - target) / len(x))    # the slope of the mean of (y - target)²
    grads = model.grads()
    for name, p in model.params().items():
        p -= lr * grads[name]                    # a small step against the gradient
    return float(np.mean((y - target) ** 2))

# %%
def linear(n_in, n_out, rng):
    return Linear(n_in, n_out, rng=rng, dtype=np.float64)

rng = np.random.default_rng(4)
model = Sequential(linear(2, 8, rng), linear(8, 8, rng), linear(8, 1, rng))
losses = [train_step(model, x, target, lr=0.1) for _ in range(2001)]
for step in [0, 1000, 2000]:
    print(f"step {step:4}   loss {losses[step]:.4f}")
print("outputs", model(x).ravel().round(4), "parameters", model.num_params())

# %% [markdown]
# It answers 0.5 to everything, and more training changes nothing. The training is not to blame.
# Here is one line of algebra, without biases:
#
# $$y = (x W_1) W_2 = x\, (W_1 W_2)$$
#
# The product of two matrices is one matrix. The next cell multiplies our three layers into one and
# compares.

# %%
first, second, third = model.layers
W = first.W @ second.W @ third.W
b = (first.b @ second.W + second.b) @ third.W + third.b
print("three layers equal one:", np.allclose(model(x), x @ W + b))

# %% [markdown]
# A stack of Linear layers is a Linear layer, however deep. **The question of this chapter:** what
# can we put between them so that depth counts, and what is its backward pass?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x` | inputs; called *pre-activations* where they come out of a Linear layer | any |
# | `y` | outputs, `y = f(x)` entry by entry: *activations* | as `x` |
# | `dy`, `dx` | upstream gradient and the gradient of `x` | as `x` |
# | `positive` | ReLU's memory: where `x > 0` | as `x`, booleans |
# | `t` | GELU's memory: the tanh in its formula | as `x` |
#
# There are no parameters, so there is only `dx` to derive.
#
# ## By hand
#
# The *rectified linear unit*, ReLU, is about the least that one can do to bend a straight line:
#
# $$\mathrm{ReLU}(x) = \max(x, 0)$$
#
# **Before you run the next cell:** copy its `x` and `dy` to paper. Positive inputs pass and the
# others become 0. Which entries of `dx` will be zero, and what will the others be? The cell
# measures them, with `numeric_gradient` from [chapter 1](01_gradients.ipynb).

# %%
from numpygpt.gradcheck import numeric_gradient

x = np.array([[2.0, -1.0, 0.5],
              [-3.0, 4.0, -0.5]])
dy = np.array([[10.0, 20.0, 30.0],
               [40.0, 50.0, 60.0]])
print("y =", np.maximum(x, 0).tolist())

dx = numeric_gradient(lambda: np.sum(dy * np.maximum(x, 0)), x)
print("dx =", dx.round(4).tolist())

# %% [markdown]
# Where `x` is positive, `dy` passes unchanged. Where `x` is negative, a small change of `x` does
# not change `y`, so no gradient comes back.
#
# ## The gradient of any function applied entry by entry
#
# Let $y_i = f(x_i)$, where $i$ stands for a full index, such as (row, column). The chain rule sums
# over all outputs:
#
# $$dx_j = \sum_i dy_i\, \frac{\partial y_i}{\partial x_j}$$
#
# Output $i$ depends on input $i$ alone:
#
# $$\frac{\partial y_i}{\partial x_j} = \delta_{ij}\, f'(x_j)$$
#
# One term of the sum is left, and the rule is a product entry by entry:
#
# $$dx_j = dy_j\, f'(x_j) \qquad\Longrightarrow\qquad dx = dy \odot f'(x)$$
#
# Here $\odot$ is NumPy's `*`. For ReLU the slope is
#
# $$f'(x) = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{if } x < 0 \end{cases}$$
#
# At exactly 0 the line has a corner and no slope. We take 0 there, as PyTorch does. First with
# loops, then as arrays:

# %%
def relu_backward_loop(dy, x):
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            if x[n, c] > 0:
                dx[n, c] = dy[n, c]
    return dx

print("loops and the product agree:", np.array_equal(relu_backward_loop(dy, x), dy * (x > 0)))

# %% [markdown]
# ## ReLU, the layer
#
# The backward pass needs to know where `x` was positive, and nothing else. So the layer keeps only
# the booleans, one byte each.

# %% tags=["export"] module="nn/activations.py"
"""ReLU and GELU. Derived in chapter 04."""

import math

import numpy as np

from numpygpt.nn.module import Module

from coursekit import add_to_class, export

# %% tags=["export"]
class ReLU(Module):
    """y = max(x, 0).  x, y: any shape."""

    def forward(self, x):
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        # y = max(x, 0)
        return dy * self.positive

# %% [markdown]
# Back to the task that three Linear layers could not learn. The layers are the same, with a ReLU
# after the first and after the second. **Before you run the next cell:** the loss stood at 0.25.
# Where will it end?

# %%
inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
rng = np.random.default_rng(4)
model = Sequential(linear(2, 8, rng), ReLU(), linear(8, 8, rng), ReLU(), linear(8, 1, rng))
losses = [train_step(model, inputs, target, lr=0.1) for _ in range(2001)]
print(f"loss {losses[0]:.4f} at the start, {losses[-1]:.4f} at the end")
print("outputs", model(inputs).ravel().round(4) + 0)    # + 0 turns -0 into 0

# %% [markdown]
# ### What bent pieces add up to
#
# How can that be, with functions that are straight nearly everywhere? Two units are enough, by hand.
# Let $s = x_0 + x_1$ be the sum of the two inputs: 0, 1, 1 and 2. Then
#
# $$y = \mathrm{ReLU}(s) - 2\, \mathrm{ReLU}(s - 1)$$
#
# goes up to 1 and down again. Each unit adds one joint to a broken line; many units can follow any
# curve. In two dimensions the joints are lines, and between them the output is flat and tilted, like
# a folded sheet of paper. On the right is the sheet that our network has folded.

# %%
from coursekit.figures import GRAY, PALETTE, SIGNED, show, subplots

s = np.linspace(-0.5, 2.5, 301)
first, second = np.maximum(s, 0), -2 * np.maximum(s - 1, 0)
figure, (left, right) = subplots(1, 2, size=(9, 3.4))
for y, style, label in ((first, "--", "ReLU(s)"), (second, ":", "-2 ReLU(s - 1)"), (first + second, "-", "sum")):
    left.plot(s, y, style, label=label)
left.plot([0, 1, 2], [0, 1, 0], "ko", ms=6, label="targets")
left.set(xlabel="s, the sum of the inputs", ylabel="y", title="two units, by hand", ylim=(-3.2, 2.6))
left.legend(fontsize=9)

side = np.linspace(-0.5, 1.5, 101)
sheet = model(np.stack(np.meshgrid(side, side), axis=-1))[..., 0]    # (101, 101)
image = right.contourf(side, side, sheet, np.linspace(-1.5, 1.5, 13), cmap=SIGNED, extend="both")
right.contour(side, side, sheet, [0.5], colors="k")
for (x0, x1), t in zip(inputs, target[:, 0], strict=True):
    right.text(x0, x1, f"{t:.0f}", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "white"})
right.set(xlabel="first input", ylabel="second input", title="8 + 8 units, trained", aspect="equal")
figure.colorbar(image, ax=right, label="output")
show(figure, "Left: ReLU(s), rising from 0, and -2 ReLU(s - 1), falling from 1, and their sum, a broken "
             "line through the targets 0, 1, 0. Right: the trained network's output over both inputs, "
             "as colors; two black lines at one half separate the two targets 1, between them, "
             "from the two targets 0.")

# %% [markdown]
# ### ReLU and the size of the weights
#
# In chapter 3, weights from $\pm\sqrt 3/\sqrt n$ kept the numbers' size from layer to layer. A ReLU
# between them sets about half of the numbers to 0, and with them half of the mean square: numbers
# symmetric around 0 have as much of it on either side. So each layer shrinks the numbers by a
# factor of $1/\sqrt 2$, and weights from $\pm\sqrt 2 \cdot \sqrt 3/\sqrt n = \pm\sqrt 6/\sqrt n$
# make up for it. This is *He initialization* (He and others, 2015). Here is the root of the mean
# square after 1, 10, 20 and 30 layers, 200 wide:

# %%
def sizes(factor, relu, width=200):
    rng = np.random.default_rng(4)
    x, found = rng.normal(size=(100, width)), []
    for _ in range(30):
        x = x @ rng.uniform(-1, 1, (width, width)) * (factor / width) ** 0.5
        x = np.maximum(x, 0) if relu else x
        found.append(np.sqrt(np.mean(x * x)))
    return [f"{found[i]:.1g}" for i in (0, 9, 19, 29)]

print("Linear only, √3/√n:", *sizes(3, relu=False))
print("with ReLU,   √3/√n:", *sizes(3, relu=True))
print("with ReLU,   √6/√n:", *sizes(6, relu=True))

# %% [markdown]
# He initialization keeps the order of magnitude, and no more: 30 layers of random weights leave
# room for chance.

# %% [markdown]
# ## GELU: a ReLU without a corner
#
# GPT-2 uses the *Gaussian error linear unit*. ReLU multiplies $x$ by a switch that is 0 or 1. GELU
# multiplies it by a number in between: the probability $\Phi(x)$ that a standard normal number, such
# as `rng.normal()` draws, is below $x$. Large inputs pass, very negative ones do not, and the change
# between them is smooth:
#
# $$\mathrm{GELU}(x) = x\, \Phi(x) = \frac{x}{2}\left(1 + \mathrm{erf}\frac{x}{\sqrt 2}\right)$$
#
# NumPy has no erf, the error function. GPT-2 was trained with an approximation by tanh that the
# authors of GELU proposed, so that is the one we need:
#
# $$y = \frac{x}{2}\,(1 + t), \qquad t = \tanh u, \qquad u = a\,(x + c\,x^3), \qquad
# a = \sqrt{2/\pi},\quad c = 0.044715$$
#
# How close is it? Python's `math` has an erf for one number at a time.

# %%
def gelu(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x / 2 * (1 + np.tanh(u))

xs = np.linspace(-5, 5, 1001)
exact = np.array([x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in xs])
print(f"largest difference between the two forms: {np.abs(gelu(xs) - exact).max():.4f}")

# %% [markdown]
# ### The slope of GELU
#
# The function is a chain: $x \to u \to t \to y$, and $x$ also enters $y$ directly. We go along it
# one step at a time, and write $u'$, $t'$ and $y'$ for the slopes with respect to $x$. The
# inner polynomial:
#
# $$u' = a\,(1 + 3 c\, x^2)$$
#
# The derivative of tanh is one minus its square:
#
# $$t' = (1 - t^2)\, u'$$
#
# And $y = \frac{x}{2}\,(1 + t)$ is a product, in which both factors depend on $x$:
#
# $$y' = \frac{1}{2}\,(1 + t) + \frac{x}{2}\, t'$$
#
# $$y' = \frac{1}{2}\,(1 + t) + \frac{x}{2}\,(1 - t^2)\, u'$$
#
# And $dx = dy \odot y'$. Now in code, with the same symbols. `backward` needs $x$ and $t$, so
# `forward` keeps both, and the tanh is computed only once. With $1 - t^2 = (1 - t)(1 + t)$ the slope
# becomes $y' = \frac12\,(1 + t)\,(1 + x\,(1 - t)\,u')$, which `backward` builds from the inside out.
# Each line works in place on the array of the line before: a new array for every step would cost
# more time than the arithmetic.

# %% tags=["export"]
class GELU(Module):
    """y = x/2 (1 + tanh(u)), u = a (x + c x³): the tanh form that GPT-2 uses.  x, y: any shape.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    a = math.sqrt(2 / math.pi)
    c = 0.044715

# %% tags=["export"]
@add_to_class(GELU)
def forward(self, x):
    self.x = x = np.asarray(x, np.result_type(x, 0.0))    # integers become floats
    u = x * x                # not x**3, which is many times slower
    u *= self.a * self.c
    u += self.a
    u *= x                   # a (x + c x³)
    self.t = np.tanh(u)
    y = self.t + 1
    y *= x
    y *= 0.5
    return y

# %% tags=["export"]
@add_to_class(GELU)
def backward(self, dy):
    x, t = self.x, self.t
    # u = a (x + c x³)
    dx = x * x
    dx *= 3 * self.a * self.c
    dx += self.a             # u'
    # t = tanh u, y = x/2 (1 + t)
    dx *= x
    dx *= 1 - t              # 1 - t² = (1 - t)(1 + t)
    dx += 1
    dx *= 1 + t              # (1 + t) (1 + x (1 - t) u')
    dx *= 0.5 * dy
    return dx

# %% [markdown]
# **Before you run the next cell:** it prints GELU's slope at five points. ReLU has the slopes 0, 0,
# none at all, 1, 1 there. What is GELU's slope at 0? Can it be negative, or larger than 1?

# %%
layer, points = GELU(), np.array([-4.0, -1.0, 0.0, 1.5, 4.0])
layer(points)
print(layer.backward(np.ones(5)).round(4).tolist())

# %% [markdown]
# At 0 the slope is one half, midway between ReLU's 0 and 1. At -1 it is negative: GELU falls a
# little before it rises. At 1.5 it is above 1. The plot shows both functions on the left and their
# slopes on the right. The dots are the central differences of chapter 1: measured, without any
# formula.

# %% tags=["widget"]
from coursekit.figures import GRAY, PALETTE, show, subplots

# %%
def plot_value_and_slope(value, slope, layer, color, style):
    y = layer(xs)
    few = xs[5::50].copy()
    measured = numeric_gradient(lambda: np.sum(layer(few)), few)
    value.plot(xs, y, style, color=color, label=type(layer).__name__)
    layer(xs)    # the cache held the few points of the measurement
    slopes = layer.backward(np.ones_like(xs))
    slopes[np.abs(np.gradient(slopes)) > 0.1] = np.nan    # no line across a jump
    slope.plot(xs, slopes, style, color=color)
    slope.plot(few, measured, ".", color=color)

# %%
figure, (value, slope) = subplots(1, 2, size=(9, 3.4))
plot_value_and_slope(value, slope, ReLU(), PALETTE[1], "--")
plot_value_and_slope(value, slope, GELU(), PALETTE[0], "-")
value.set(xlabel="x", ylabel="y", title="value", xlim=(-4, 4), ylim=(-0.5, 4)); value.legend()
slope.set(xlabel="x", ylabel="slope of y", title="slope; dots: measured", xlim=(-4, 4))
for axis in (value, slope): axis.axhline(0, color=GRAY, linewidth=0.5)
show(figure, "Left: ReLU and GELU against x; GELU dips a little below zero for negative x. "
             "Right: ReLU's slope jumps from 0 to 1; GELU's rises smoothly, below 0 at first and "
             "later above 1.")

# %% [markdown]
# ## Is it right?
#
# Three axes of different sizes, a random upstream gradient, float64:

# %%
from numpygpt.gradcheck import GradientError, gradcheck

rng = np.random.default_rng(4)
x = rng.normal(size=(2, 5, 3))
for layer in [ReLU(), GELU()]:
    print(type(layer).__name__, "|", gradcheck(layer, x, rng=rng))

# %% [markdown]
# ### Break it
#
# Here are two easy mistakes. The first forgets the 3 in the slope of the cube. The second also
# masks by the sign of `dy`, which happens if one copies the forward pass and changes the names.
# **Before you run the second of the next cells:** with an upstream gradient of ones, could the
# second mistake be found?

# %%
class GELUWithoutThree(GELU):
    def backward(self, dy):
        x, t = self.x, self.t
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * self.a * (1 + self.c * x * x))

class ReLUMasksTwice(ReLU):
    def backward(self, dy):
        return np.maximum(dy, 0) * self.positive

# %%
for wrong in [GELUWithoutThree(), ReLUMasksTwice()]:
    try:
        print(gradcheck(wrong, x, rng=rng))
    except GradientError as error:
        print(f"{type(wrong).__name__}: {str(error).split('[')[0]} is wrong")

right, wrong = ReLU(), ReLUMasksTwice()
right(x), wrong(x)
ones = np.ones_like(x)
print("with dy of ones nobody notices:", np.array_equal(right.backward(ones), wrong.backward(ones)))

# %% [markdown]
# Ones have no negative entries, so the wrong mask changes nothing. This is why the upstream
# gradient is random.
#
# The check itself has a blind spot, too. A central difference averages over both sides of a point.
# **Before you run the next cell:** what will it say about ReLU at exactly 0, and what does our
# layer say?

# %%
corner = np.array([0.0])
relu = ReLU()
measured = numeric_gradient(lambda: np.sum(relu(corner)), corner)
relu(corner)
print("measured", measured.round(4), "  ReLU.backward", relu.backward(np.ones(1)))

# %% [markdown]
# One half, the mean of both sides. Neither is the slope, because there is none. A gradient check
# of ReLU must keep away from its corner; random normal numbers do.
#
# ## Experiment: units that die
#
# Where the slope of ReLU is 0, no gradient comes through. If it is 0 for *every* example, the
# weights and the bias in front of the unit get no gradient at all. They do not change, and as long
# as the inputs stay the same, the slope stays 0. Such a unit is called *dead*.
#
# We let 50 hidden units learn a sine wave. Before they start, we subtract `push` from all their
# biases, as a single step that was far too large could do.

# %% tags=["widget"]
wave_x = np.linspace(-3, 3, 200)[:, None]
wave_y = np.sin(2 * wave_x)

# %%
def highest(model):
    """The highest pre-activation of each hidden unit over all examples: (50,)."""
    return model.layers[0](wave_x).max(axis=0)

def learn_wave(activation, push):
    rng = np.random.default_rng(4)
    model = Sequential(linear(1, 50, rng), activation, linear(50, 1, rng))
    model.layers[0].b -= push
    before = highest(model)
    for _ in range(3000):
        loss = train_step(model, wave_x, wave_y, lr=0.02)
    return before, highest(model), loss

# %% [markdown]
# **Before you run the next cell:** without the push, both networks learn. With a push of 2, how
# many of ReLU's dead units will have moved after 3,000 steps? How many of GELU's units that began
# below zero? And how many will have come back above it?

# %%
runs, far = {}, 2
for activation in [ReLU, GELU]:
    for push in [0, far]:
        before, after, loss = learn_wave(activation(), push)
        runs[activation.__name__, push] = before, after
        below = before <= 0
        moved = (before != after) & below
        back = (after > 0) & below
        print(f"{activation.__name__}, push {push}:  loss {loss:.2f},  {below.sum():2} of 50 units start "
              f"below zero,  {moved.sum():2} of them moved,  {back.sum()} are above it now")

# %% [markdown]
# Not one of ReLU's 35 dead units has moved in 3,000 steps, and the loss ends far higher than
# without the push. GELU's slope is small for negative inputs, but not zero. All 35 have moved, yet
# none has come back above zero. They need not: below zero a GELU is bent as well, and still learns.
# GELU pays for the push, too, only less.
#
# Each point of the picture is one unit, before and after training. A unit that did not move lies on
# the diagonal. In the shaded part, below zero before or after, a ReLU is dead.

# %%
figure, axes = subplots(size=(5, 3.6))
for name, marker, color in [("GELU", "^", PALETTE[0]), ("ReLU", "o", PALETTE[1])]:
    axes.plot(*runs[name, far], marker, color=color, markersize=4, label=name)
axes.axline((0, 0), slope=1, color=GRAY, linewidth=0.8)
low, right, high = -far - 0.3, axes.get_xlim()[1], axes.get_ylim()[1]
axes.fill_between([low, 0, 0, right], [high, high, 0, 0], low, color=GRAY, alpha=0.25, linewidth=0)
axes.text(low, high, " here a ReLU\n is dead", va="top"); axes.legend(loc="center left")
axes.set(xlabel="highest pre-activation before", ylabel="highest pre-activation after",
         title=f"50 units, push {far}", xlim=(low, right), ylim=(low, high))
show(figure, "The highest pre-activation of each unit after training against before. Below zero, "
             "ReLU's units lie exactly on the diagonal; GELU's lie around it, and none of them is above "
             "zero after training. The parts where a ReLU is dead, below zero before or after, are "
             "shaded.")

# %% [markdown]
# Try it: set `far` to 3 and run the last two cells again. What can a ReLU network still learn when
# all of its units are dead, and which parameter does that?

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only the bias of the last layer still gets a gradient. It becomes the mean of the targets, which is
# 0, and the network gives that number for every input. The loss stays at 0.52, the variance of the
# targets. GELU gets to 0.36, and again none of its units comes back above zero.
#
# </details>

# %% [markdown]
# How dead a unit is can be seen before any training. `draw_units` multiplies the fresh weights
# by `size` and subtracts `push` from the biases. On the left it counts the units by their highest
# pre-activation. On the right it shows what part of the gradient comes back through each: the mean
# of $|f'|$ over the examples.

# %% tags=["widget"]
def draw_highest(ax, highest, push, bins):
    ax.hist(highest, bins=bins, color=PALETTE[2], edgecolor="white")
    ax.set(xlabel="highest pre-activation", ylabel="number of units", xlim=(bins[0], bins[-1]),
           title=f"push {push:.1f}: with ReLU, {np.sum(highest <= 0)} of 50 are dead")

def draw_slopes(ax, z):
    for layer, marker, color in [(GELU(), "^", PALETTE[0]), (ReLU(), "o", PALETTE[1])]:
        layer(z)
        slopes = np.abs(layer.backward(np.ones_like(z))).mean(axis=0)    # (50,)
        ax.plot(z.max(axis=0), slopes, marker, color=color, markersize=4, label=type(layer).__name__)
    ax.set_yscale("symlog", linthresh=1e-4)    # logarithmic, with room for 0
    ax.set(xlabel="highest pre-activation", ylabel="mean |slope|", ylim=(0, 2))

# %% tags=["widget"]
def draw_units(push, size, span=(-5, 10.5, 0.5)):
    bins = np.arange(*span)
    first = Linear(1, 50, rng=np.random.default_rng(4), dtype=np.float64)
    z = wave_x @ (size * first.W) + first.b - push    # (200, 50)
    margins = {"left": 0.06, "right": 0.99, "bottom": 0.15, "top": 0.91, "wspace": 0.2}
    figure, (left, right) = subplots(1, 2, size=(9, 3.4), margins=margins)
    draw_highest(left, z.max(axis=0), push, bins)
    draw_slopes(right, z)
    for axes in (left, right):
        axes.axvspan(bins[0], 0, color=GRAY, alpha=0.25, zorder=0)
        axes.set_xlim(bins[0], bins[-1])
    right.legend(loc="lower right")
    show(figure, "Left: a histogram of the highest pre-activation of 50 units, the dead part shaded. "
                 "Right: the mean slope of each unit; in the shaded part ReLU's is exactly 0, "
                 "and GELU's is not.")
    return figure

# %%
figure = draw_units(push=2, size=1, span=(-2.5, 1.6, 0.25))    # no wider than these data

# %% [markdown]
# Play with both numbers. Do larger weights kill units or wake them? And how far below zero must a
# unit be until GELU, too, passes less than a thousandth of the gradient? (In a notebook that is
# running you see sliders here.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatSlider, interactive

panel = interactive(lambda push, size: draw_units(push, size),
                    push=FloatSlider(2, min=0, max=4), size=FloatSlider(1, min=0.2, max=3))
panel

# %% [markdown]
# Larger weights wake them: a steeper line through the same bias reaches above zero somewhere in the
# data. GELU dies, too, only later. The next cell takes its slope at three depths:

# %%
depths = np.array([-2.0, -4.0, -6.0])
layer = GELU(); layer(depths)
for depth, slope in zip(depths, layer.backward(np.ones(3))):
    print(f"slope of GELU at {depth}: below a thousandth: {abs(slope) < 1e-3}")

# %% [markdown]
# A unit that is 4 below zero everywhere gets less than a thousandth of the gradient. For GELU dying is
# a matter of degree, and a large enough push stops it, too.
#
# ## Exercises
#
# Now write them yourself: [exercises/04_activations.ipynb](../exercises/04_activations.ipynb). A check says what is
# wrong, and `hint("relu-backward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | ReLU backward | easy | 5 |
# | sigmoid and tanh, from their outputs | easy | 10 |
# | GELU backward | medium | 20 |
# | SiLU, forward and backward | medium | 20 |
#
# ## Recap
#
# - Without something bent between them, Linear layers in a row are one Linear layer. With it, they add
#   up bent pieces.
# - A function applied entry by entry has the backward pass $dx = dy \odot f'(x)$.
# - ReLU's slope is 0 or 1, and a unit that is never above zero is dead. ReLU halves the mean
#   square, so deep stacks start from $\pm\sqrt 6/\sqrt n$. GELU is smooth, with the slope
#   $\frac12(1+t) + \frac x2(1-t^2)\,u'$.
# - The next cell writes `ReLU` and `GELU` to `numpygpt/nn/activations.py`.
# - Next: Softmax and cross-entropy, which turn the last layer's numbers into probabilities and a
#   loss.

# %%
export("04_activations")
