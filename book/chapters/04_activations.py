# %% [markdown]
# # Chapter 4: Activations
#
# Here is a task with four examples: the output should be 1 if exactly one of the two inputs is 1 (an
# *exclusive or*, XOR). We give it to three `Linear` layers in a row, with 8 numbers between one and the
# next. Such a number inside a network is called a *hidden unit*. That is 105 parameters for four
# targets.

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
# It answers 0.5 to everything, and more training changes nothing. The reason is not the training.
# One line of algebra, without biases:
#
# $$y = (x W_1) W_2 = x\, (W_1 W_2)$$
#
# Two matrices in a row are one matrix. The next cell multiplies our three layers out into one and
# compares.

# %%
first, second, third = model.layers
W = first.W @ second.W @ third.W
b = (first.b @ second.W + second.b) @ third.W + third.b
print("three layers equal one:", np.allclose(model(x), x @ W + b))

# %% [markdown]
# A stack of Linear layers is a Linear layer, however deep. **The question of this chapter:** what
# can we put between them to break this, and what is its backward pass?
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
# The *rectified linear unit*, ReLU, is about the least that one can do to break a straight line:
#
# $$\mathrm{ReLU}(x) = \max(x, 0)$$
#
# **Before you run the next cell:** copy its `x` and `dy` to paper. Positive inputs pass and the
# others become 0. Which entries of `dx` will be zero, and what will the others be? The cell
# measures, with `numeric_gradient` from [chapter 1](01_gradients.ipynb).

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
# not change `y`, and nothing comes back.
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
# One term of the sum is left, and the whole rule is a product entry by entry:
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
# The backward pass needs to know where `x` was positive, and nothing else. So the layer keeps the
# booleans, one byte each, and not `x`.

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
# ## GELU: a ReLU without a corner
#
# GPT-2 uses the *Gaussian error linear unit*. ReLU multiplies $x$ by a switch that is 0 or 1. GELU
# multiplies it by a number in between, the probability $\Phi(x)$ that a standard normal number, one
# that `rng.normal()` draws, is below $x$. Large inputs pass, very negative ones do not, and there
# is a smooth change in between:
#
# $$\mathrm{GELU}(x) = x\, \Phi(x) = \frac{x}{2}\left(1 + \mathrm{erf}\frac{x}{\sqrt 2}\right)$$
#
# NumPy has no erf, the error function. GPT-2 was trained with an approximation by tanh, which the
# authors of GELU proposed, and that is the one that we need:
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
# one step at a time, and write $u'$, $t'$ and $y'$ for the slopes in $x$. The inner polynomial:
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
# `forward` keeps both and the tanh is computed once. With $1 - t^2 = (1 - t)(1 + t)$ the slope
# becomes $y' = \frac12\,(1 + t)\,(1 + x\,(1 - t)\,u')$, which `backward` builds from the inside out.
# Each line works on the array of the line before, in place: to make a new array for every step would
# cost more time than the arithmetic.

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
    self.x = x
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
    dx = x * x
    dx *= 3 * self.a * self.c
    dx += self.a             # u'
    dx *= x
    dx *= 1 - t              # 1 - t² = (1 - t)(1 + t)
    dx += 1
    dx *= 1 + t              # (1 + t) (1 + x (1 - t) u')
    dx *= 0.5 * dy
    return dx

# %% [markdown]
# **Before you run the next cell:** it prints GELU's slope at five points. ReLU's slopes there
# would be 0, 0, no slope at all, 1, 1. What is GELU's slope at 0? Can a slope be negative, or
# larger than 1?

# %%
layer, points = GELU(), np.array([-4.0, -1.0, 0.0, 1.5, 4.0])
layer(points)
print(layer.backward(np.ones(5)).round(4).tolist())

# %% [markdown]
# At 0 the slope is one half, midway between the 0 and the 1 of ReLU. At -1 the slope is negative:
# GELU falls a little before it rises. At 1.5 it is above 1. The plot shows both functions on the
# left. On the right are their slopes, and on each of them the central differences of chapter 1, as
# dots: measured, without any formula.

# %% tags=["widget"]
from coursekit.figures import GREY, PALETTE, show, subplots

# %%
def plot_value_and_slope(value, slope, layer, color, style):
    y = layer(xs)
    few = xs[5::50].copy()
    measured = numeric_gradient(lambda: np.sum(layer(few)), few)
    value.plot(xs, y, style, color=color, label=type(layer).__name__)
    layer(xs)    # the cache held the few points of the measurement
    slope.plot(xs, layer.backward(np.ones_like(xs)), style, color=color)
    slope.plot(few, measured, ".", color=color)

# %%
figure, (value, slope) = subplots(1, 2, size=(9, 3.4))
plot_value_and_slope(value, slope, ReLU(), PALETTE[1], "--")
plot_value_and_slope(value, slope, GELU(), PALETTE[0], "-")
value.set(xlabel="x", ylabel="y", title="value", xlim=(-4, 4), ylim=(-0.5, 4)); value.legend()
slope.set(xlabel="x", ylabel="slope of y", title="slope; dots: measured", xlim=(-4, 4))
for axis in (value, slope): axis.axhline(0, color=GREY, linewidth=0.5)
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
# Two mistakes that are easily made. The first forgets the 3 in the slope of the cube. The
# second masks by the sign of `dy`, which happens if one writes the backward pass by looking at the
# forward pass and changing names. **Before you run the cell after the next:** with an upstream
# gradient of ones, could the second one be found?

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
# The check itself has a blind spot, too. Central differences look a little to the left and to the
# right of a point, and average. **Before you run the next cell:** what will they say about ReLU at
# exactly 0, and what does our layer say?

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
# biases, as one step that was far too large could do.

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
# many of ReLU's dead units will come back to life in 3,000 steps? And of GELU's units below zero,
# how many will have moved at all?

# %%
runs, far = {}, 2
for activation in [ReLU, GELU]:
    for push in [0, far]:
        before, after, loss = learn_wave(activation(), push)
        runs[activation.__name__, push] = before, after
        below = before <= 0
        moved = (before != after) & below
        print(f"{activation.__name__}, push {push}:  loss {loss:.2f},  {below.sum():2} of 50 units "
              f"start below zero everywhere,  {moved.sum():2} of them moved")

# %% [markdown]
# Not one of ReLU's 35 dead units has moved, in 3,000 steps, and the loss ends far higher than
# without the push. The slope of GELU is small for negative inputs, but not zero: all 35 have
# moved, and the loss ends lower than that of ReLU. GELU pays for the push, too, only less.
#
# One point of the picture is one unit, before and after training. A unit that did not move lies on
# the diagonal; in the shaded part it is dead.

# %%
figure, axes = subplots(size=(5, 3.6))
for name, marker, color in [("GELU", "^", PALETTE[0]), ("ReLU", "o", PALETTE[1])]:
    axes.plot(*runs[name, far], marker, color=color, markersize=4, label=name)
axes.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
axes.axvspan(-far, 0, color=GREY, alpha=0.25); axes.legend()
axes.set(xlabel="highest pre-activation before", ylabel="highest pre-activation after",
         title=f"50 units, push {far}")
show(figure, "The highest pre-activation of each unit after training against before. Below zero, "
             "ReLU's units lie exactly on the diagonal, and GELU's do not.")

# %% [markdown]
# Set `far` to 3 and run the last two cells again. What can a ReLU network still learn when all of
# its units are dead, and which parameter does that?
#
# Only the bias of the last layer still gets a gradient. It becomes the mean of the targets, and the
# network says that number for every input.
#
# How dead a unit is can be read off before any training. `draw_units` multiplies the fresh weights
# by `size` and subtracts `push` from the biases. On the left it counts the units by their highest
# pre-activation. On the right it shows what part of the gradient comes back through each: the mean
# of $|f'|$ over the examples.

# %% tags=["widget"]
def draw_highest(ax, highest, push):
    ax.hist(highest, bins=np.arange(-5, 10.5, 0.5), color=PALETTE[2], edgecolor="white")
    ax.set(xlabel="highest pre-activation", ylabel="number of units", xlim=(-5, 10),
           title=f"push {push:.1f}: {np.sum(highest <= 0)} of 50 are dead, if ReLU")

def draw_slopes(ax, z):
    for layer, marker, color in [(GELU(), "^", PALETTE[0]), (ReLU(), "o", PALETTE[1])]:
        layer(z)
        slopes = np.abs(layer.backward(np.ones_like(z))).mean(axis=0)    # (50,)
        ax.plot(z.max(axis=0), slopes, marker, color=color, markersize=4, label=type(layer).__name__)
    ax.set_yscale("symlog", linthresh=1e-4)    # logarithmic, with room for 0
    ax.set(xlabel="highest pre-activation", ylabel="mean |slope|", xlim=(-5, 10), ylim=(0, 2))

# %% tags=["widget"]
def draw_units(push, size):
    first = Linear(1, 50, rng=np.random.default_rng(4), dtype=np.float64)
    z = wave_x @ (size * first.W) + first.b - push    # (200, 50)
    margins = {"left": 0.06, "right": 0.99, "bottom": 0.15, "top": 0.91, "wspace": 0.2}
    figure, (left, right) = subplots(1, 2, size=(9, 3.4), margins=margins)
    draw_highest(left, z.max(axis=0), push)
    draw_slopes(right, z)
    for axes in (left, right): axes.axvspan(-5, 0, color=GREY, alpha=0.25, zorder=0)
    right.legend(loc="lower right")
    show(figure, "Left: a histogram of the highest pre-activation of 50 units, the dead part shaded. "
                 "Right: the mean slope of each unit; in the shaded part ReLU's is exactly 0, "
                 "and GELU's is not.")
    return figure

# %%
figure = draw_units(push=2, size=1)

# %% [markdown]
# Play with both numbers. Do larger weights kill units or wake them? And how far below zero must a
# unit be until GELU, too, passes less than a thousandth of the gradient? (In a notebook that is
# running you see sliders here.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatSlider, interactive

panel = interactive(draw_units, push=FloatSlider(2, min=0, max=4), size=FloatSlider(1, min=0.2, max=3))
panel

# %% [markdown]
# Larger weights wake them: a steeper line through the same bias reaches above zero somewhere in the
# data. And GELU only dies later. The next cell gives its slope at three depths:

# %%
depths = np.array([-2.0, -4.0, -6.0])
layer = GELU(); layer(depths)
for depth, slope in zip(depths, layer.backward(np.ones(3))):
    print(f"slope of GELU at {depth}: below a thousandth: {abs(slope) < 1e-3}")

# %% [markdown]
# A unit that is 4 below zero everywhere gets less than a thousandth of the gradient. For GELU it is
# a matter of degree, and a push can be large enough to stop it, too.
#
# ## Exercises
#
# Now write it yourself: [exercises/04_activations.ipynb](../exercises/04_activations.ipynb). A check says what is
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
# - Without something bent between them, Linear layers in a row are one Linear layer.
# - A function applied entry by entry has the backward pass $dx = dy \odot f'(x)$.
# - ReLU's slope is 0 or 1, and a unit that is never above zero is dead. GELU is smooth, with the
#   slope $\frac12(1+t) + \frac x2(1-t^2)\,u'$.
# - The next cell writes `ReLU` and `GELU` to `numpygpt/nn/activations.py`.
# - Next: Softmax and cross-entropy, which turn the last layer's numbers into probabilities and a
#   loss.

# %%
export("04_activations")
