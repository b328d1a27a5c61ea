# %% [markdown]
# # Chapter 1: Gradients
#
# The slope of $f$ at $x$ is what $\frac{f(x + \epsilon) - f(x)}{\epsilon}$ tends to as $\epsilon$
# gets smaller. So let us make $\epsilon$ smaller. The function is $f(x) = x^2$ and the slope at
# $x = 3$ is 6.

# %%
def f(x):
    return x * x

for eps in (1e-1, 1e-5, 1e-8, 1e-12, 1e-14, 1e-15, 1e-16):
    print(f"eps = {eps:.0e}   slope = {(f(3.0 + eps) - f(3.0)) / eps:.4f}")

# %% [markdown]
# It gets better, and then worse: at $10^{-15}$ it is far from 6, and at $10^{-16}$ it is 0.
# A computer cannot take the limit.
#
# Training a GPT needs millions of slopes, from formulas that we derive by hand. Sooner or later one
# will be wrong. That raises no error; the model learns a little worse, or not at all. **How do we
# make sure that a formula for a slope is right, when all we can do is measure?** With a function,
# `gradcheck`, that serves every layer of the book.
#
# ## Shapes
#
# A model is a chain of **layers**. A layer turns one array into another, and may hold
# **parameters**, the numbers that training changes. The chain ends in the **loss**, one number: the
# smaller it is, the better the model. Our example is a small layer, `Scale`, that multiplies each
# channel by a number of its own: $y_{nc} = x_{nc}\, s_c$.
#
# | name | meaning | shape |
# |---|---|---|
# | `x` | input: `N` examples of `C` channels | `(N, C)` |
# | `s` | the layer's parameter, one factor per channel | `(C,)` |
# | `y` | output | `(N, C)` |
# | `L` | the loss, computed from `y` | `()` |
# | `dy` | slope of `L` for each entry of `y`: the **upstream gradient** | `(N, C)` |
# | `dx`, `ds` | slope of `L` for each entry of `x` and of `s` | `(N, C)`, `(C,)` |
#
# The **gradient** of `L` with respect to an array `name` is the array of its slopes, one per entry, of
# the shape of `name`. We write it `dname`.
#
# ## Measuring a slope well
#
# Two errors fight each other in the first cell. For the first, Taylor's formula gives
#
# $$
# \begin{aligned}
# f(x+\epsilon) &= f(x) + \epsilon f'(x) + \tfrac{\epsilon^2}{2} f''(x) + \tfrac{\epsilon^3}{6} f'''(x) + \dots\\
# \frac{f(x+\epsilon)-f(x)}{\epsilon} &= f'(x) + \tfrac{\epsilon}{2} f''(x) + \dots && \text{error like } \epsilon
# \end{aligned}
# $$
#
# Stepping to both sides, a **central difference**, cancels the even terms:
#
# $$
# \begin{aligned}
# f(x-\epsilon) &= f(x) - \epsilon f'(x) + \tfrac{\epsilon^2}{2} f''(x) - \tfrac{\epsilon^3}{6} f'''(x) + \dots\\
# \frac{f(x+\epsilon)-f(x-\epsilon)}{2\epsilon} &= f'(x) + \tfrac{\epsilon^2}{6} f'''(x) + \dots && \text{error like } \epsilon^2
# \end{aligned}
# $$
#
# This **truncation error** shrinks with $\epsilon$. The other error grows: the computer keeps about
# 16 digits of $f$ (type float64), so $f$ carries a **rounding error** near $10^{-16} f$, and we divide
# it by $\epsilon$. We measure both ways, on $x^3$ at $x = 1.3$, where the slope is $3 x^2$.

# %% tags=["widget"]
import numpy as np

def cube(x):
    return x * x * x

def one_side(x, eps):
    return (cube(x + eps) - cube(x)) / eps

def central(x, eps):
    return (cube(x + eps) - cube(x - eps)) / (2 * eps)

# %% tags=["widget"]
methods = [("one side, float64", one_side, np.float64), ("central, float64", central, np.float64),
           ("central, float32", central, np.float32)]

def slope_error(measure, eps, dtype=np.float64):
    x = dtype(1.3)    # so all that follows is of this type; float32 keeps about 7 digits
    return abs(float(measure(x, dtype(eps))) - 3 * float(x) ** 2)

# %% [markdown]
# **Before you run the next cell:** where is $\epsilon^2$ as large as $10^{-16} / \epsilon$? And as
# $10^{-7} / \epsilon$ (float32)? Near there the central difference should be at its best.

# %% tags=["widget"]
curves = []
for label, measure, dtype in methods:
    steps = [1 / 10**k for k in range(1, 17 if dtype is np.float64 else 7)]
    errors = [slope_error(measure, eps, dtype) for eps in steps]
    curves.append((label, steps, errors))
    digits = int(-np.log10(min(errors) / (3 * 1.3**2)))
    print(f"{label:18} best eps {steps[np.argmin(errors)]:.0e}, right to {digits} digits")

# %% [markdown]
# The two errors, $\epsilon^2$ and rounding, are equal at
# $\sqrt[3]{10^{-16}} \approx 5 \cdot 10^{-6}$ in float64 and at
# $\sqrt[3]{10^{-7}} \approx 5 \cdot 10^{-3}$ in float32; the nearest of our steps are best.
#
# We draw these errors, and beside them the curve under a magnifying glass, with both axes in units of
# $\epsilon$. The straight lines through two measured points are called **secants**; their slopes are
# the two differences.

# %% tags=["widget"]
from coursekit.figures import BLACK, BLUE, GREEN, GRAY, ORANGE, show, subplots

def magnify(ax, eps):
    """The cube within 2 eps of x, its tangent and its secants, all in units of eps."""
    u, ends = np.linspace(-2, 2, 401), np.array([-2, 2])
    low = (cube(1.3 - eps) - cube(1.3)) / eps    # the left end of the central secant
    ax.plot(u, (cube(1.3 + eps * u) - cube(1.3)) / eps, color=BLACK, lw=1, label="$x^3$")
    ax.plot(ends, 3 * 1.3**2 * ends, color=GRAY, lw=4, alpha=0.5, label="tangent")
    ax.plot(ends, one_side(1.3, eps) * ends, "--", color=ORANGE, label="one side")
    ax.plot(ends, low + central(1.3, eps) * (ends + 1), color=BLUE, label="central")

# %% tags=["widget"]
def draw_errors(ax, eps):
    looks = [("--", ORANGE), ("-", BLUE), (":", GREEN)]
    for (label, steps, errors), (style, color) in zip(curves, looks):
        ax.loglog(steps, errors, style, color=color, label=label)
    for measure, color in [(one_side, ORANGE), (central, BLUE)]:
        ax.plot(eps, slope_error(measure, eps), "o", color=color, ms=9)

# %% tags=["widget"]
def draw(eps):
    margins = {"left": 0.08, "right": 0.99, "bottom": 0.14, "top": 0.91}
    figure, (left, right) = subplots(1, 2, size=(8.6, 3.5), margins=margins)
    magnify(left, eps)
    left.set(xlabel="distance from x, in eps", ylabel="rise, in eps", ylim=(-16, 16),
             title=f"eps = {eps:.1e}")
    draw_errors(right, eps)
    right.set(xlabel="eps", ylabel="error of the measured slope", title="error", ylim=(1e-14, 1e2))
    left.legend(loc="upper left"); right.legend(loc="lower left")
    seen = ("x cubed is a staircase" if eps < 1e-14 else
            "the one-sided secant is steeper than the tangent, the central one less so" if eps > 0.03 else
            "tangent and secants lie on the curve")
    show(figure, f"Left: x cubed close to x, with its tangent and two secants, at eps = {eps:.0e}: {seen}. "
                 "Right: error against eps, both axes logarithmic. Each curve is a V; the central "
                 "difference in float64 reaches lowest.")
    return figure

# %%
figure = draw(1e-15)

# %% [markdown]
# Three V shapes: the left arm is rounding, the right arm truncation (in float32 it is hidden under
# the solid line). The left arms are ragged: a rounding error is a matter of luck, and so is the dip
# of the solid line at $10^{-10}$. From here on: **central differences, `eps = 1e-5`, float64.**
#
# On the left the smooth curve has become a staircase, because the numbers between two stairs do not
# exist in float64. A secant joins two stairs, and its slope depends on where they happen to lie.
#
# **Before you drag:** at which $\epsilon$ do the stairs become too small to be seen? And as it keeps
# growing, which secant leaves the tangent first? (A running notebook has a slider here.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import IntSlider, interactive

exponent = IntSlider(-15, min=-16, max=-1, description="log10 eps")
panel = interactive(lambda exponent: draw(10.0**exponent), exponent=exponent)
panel

# %% [markdown]
# The stairs are gone by $10^{-14}$, long before the error is at its lowest. At large steps the one-sided
# secant tilts first:

# %%
figure = draw(0.3)

# %% [markdown]
# The central secant stays nearly parallel: its two ends are off by nearly the same amount.
#
# A function of an array has one slope per entry, and we measure them one by one. The exported module
# begins here.

# %% tags=["export"] module="gradcheck.py"
"""Checking a backward pass against central differences. Derived in chapter 01."""

from dataclasses import dataclass

import numpy as np

# %% tags=["export"]
def numeric_gradient(f, a, eps=1e-5):
    """Return df/da by central differences, (f(a + eps) - f(a - eps)) / (2 eps), entry by entry.

    Args:
        f: function without arguments that reads `a` and returns a number.
        a: float64 array of any shape; changed in place while measuring, and put back.
        eps: half the width of the difference, in units of `a`.

    Raises:
        TypeError: `a` is not float64. Integers cannot move by eps; in float32 rounding hides it.
    """
    if a.dtype != np.float64:
        raise TypeError(f"numeric_gradient needs float64, but a is {a.dtype}: use a.astype(float)")
    grad = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        kept = a[index]
        a[index] = kept + eps
        above = f()
        a[index] = kept - eps
        below = f()
        a[index] = kept
        grad[index] = (above - below) / (2 * eps)
    return grad

# %% [markdown]
# By hand, with a 2×3 `x`: let the loss be a weighted sum of `y`, $L = \sum_{nc} dy_{nc}\, y_{nc}$. The
# slope of $L$ for $y_{nc}$ is the weight $dy_{nc}$, so the upstream gradient is whatever we choose.
#
# **Before you run the next cell:** which entries of `dx` are zero? What is the first entry of `ds`?

# %%
x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])     # (N, C) = (2, 3)
s = np.array([10.0, 0.0, -1.0])                      # (C,)
dy = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0]])    # (N, C)

def loss():
    return np.sum(dy * (x * s))

print("dx measured:", np.round(numeric_gradient(loss, x), 4).tolist())
print("ds measured:", np.round(numeric_gradient(loss, s), 4).tolist())

# %% [markdown]
# `dx` is zero where $s_c = 0$ (the middle column) and where $dy_{nc} = 0$ (top right). The first
# entry of `ds` is $1\cdot 1 + 3\cdot 4 = 13$: both rows used the factor $s_0$, and both count.
#
# Measuring takes two runs of the function for every entry. So we derive formulas, and measure only to
# check them.
#
# ## The chain rule, on a graph
#
# Start with plain numbers: $u = x s$, then $v = u + x$, then $L = v^2$, at $x = 2$ and $s = 3$. $L$
# depends on two numbers now. Its slope with respect to one of them, while the other stays fixed, is
# called a **partial derivative** and written with a round d: $\partial L/\partial x$. Otherwise it
# is the derivative that you know from school.
#
# The graph shows what is computed from what, forward along the arrows, with the slope of each
# single step beside its arrow. Gradients go **backward**: from a node to those it was computed
# from, times the slope on the arrow. **On paper, before you look at the gradients:** what is
# $\partial L/\partial x$?

# %%
from coursekit.figures import arrow, box

nodes = {"x": (0, 1.6, 2, 64), "s": (0, 0, 3, 32), "u = x s": (3.2, 0, 6, 16), "v = u + x": (6.4, 0.8, 8, 16),
         "L = v²": (9.6, 0.8, 64, 1)}    # place, value, gradient
figure, ax = subplots(size=(8.6, 2.9))
for name, (left, height, value, gradient) in nodes.items():
    box(ax, left, height, f"{name}\nvalue {value}", width=1.8, height=0.75)
    ax.text(left, height - 0.44, f"gradient {gradient}", ha="center", va="top", color=ORANGE)
for start, end, slope in [((0.9, 1.5), (2.3, 0.15), "s = 3"), ((0.9, 0), (2.3, 0), "x = 2"),
                          ((0.9, 1.75), (5.5, 0.95), "1"), ((4.1, 0.1), (5.5, 0.65), "1"),
                          ((7.3, 0.8), (8.7, 0.8), "2v = 16")]:
    arrow(ax, start, end)
    at = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.06
    ax.text(*at, slope, ha="left" if slope == "s = 3" else "center", va="bottom", color=BLUE)
ax.set(xlim=(-1, 10.6), ylim=(-0.8, 2.1)); ax.axis("off")
show(figure, "A graph. x with the value 2 leads to u by the slope s = 3 and to v by the slope 1; s with the "
             "value 3 leads to u = 6 by the slope x = 2; u leads to v = 8 by 1; v leads to L = 64 by 16. "
             "The gradients below: L 1, v 16, u 16, s 32, x 64.")

# %% [markdown]
# Move $x$ by a little $h$. By way of $u$, the move reaches $v$ as $3h$; by the direct arrow, as
# $1h$; and $v$ moves by both: $4h$. Then $L$ moves by $16 \cdot 4h = 64h$. So we multiply along a
# path and **add over all paths**:
# $\partial L/\partial x = 16 \cdot 1 \cdot 3 + 16 \cdot 1 = 48 + 16 = 64$. Measured:

# %%
p = np.array([2.0, 3.0])    # x and s
print(numeric_gradient(lambda: (p[0] * p[1] + p[0]) ** 2, p).round(4))

# %% [markdown]
# ## The chain rule, in index form
#
# The same holds for arrays: each entry is a node. A change of $x_{nc}$ changes some entries of $y$,
# and each of those changes $L$. The total is the sum over all paths:
#
# $$
# dx_{nc} \;=\; \frac{\partial L}{\partial x_{nc}} \;=\; \sum_{m,k} \frac{\partial L}{\partial y_{mk}}\,\frac{\partial y_{mk}}{\partial x_{nc}}
# \;=\; \sum_{m,k} dy_{mk}\,\frac{\partial y_{mk}}{\partial x_{nc}}
# $$
#
# From the rest of the model a layer needs nothing but `dy`. We write $\delta_{ij}$ for 1 if
# $i = j$ and 0 otherwise. For `Scale`, $y_{mk} = x_{mk}\, s_k$, so the derivative for $x_{nc}$ is
# $\delta_{mn}\,\delta_{kc}\, s_k$: it is 0 unless $m = n$ and $k = c$. In a sum, a $\delta$ leaves one
# term:
#
# $$
# \begin{aligned}
# dx_{nc} &= \sum_{m,k} dy_{mk}\,\delta_{mn}\,\delta_{kc}\, s_k && \text{chain rule}\\
# &= dy_{nc}\, s_c
# \end{aligned}
# $$
#
# The factor $s_c$ is used in **every** row $m$, so one sum stays:
#
# $$
# \begin{aligned}
# ds_c &= \sum_{m,k} dy_{mk}\,\delta_{kc}\, x_{mk} && \text{chain rule}\\
# &= \sum_{m} dy_{mc}\, x_{mc}
# \end{aligned}
# $$
#
# Every derivation in this book takes these three steps. Write one entry of the output, with indices
# of its own. Differentiate: "is it the same entry?" becomes a $\delta$. Put that into the chain
# rule, and let each $\delta$ remove a sum.
#
# For whole arrays: `dx = dy * s` and `ds = (dy * x).sum(axis=0)`. Broadcasting spread `s` over the
# rows, and a sum gathers `ds`. A loop that adds term by term agrees:

# %%
def scale_backward_loop(x, s, dy):
    dx, ds = np.zeros_like(x), np.zeros_like(s)
    for n, c in np.ndindex(x.shape):
        dx[n, c] += dy[n, c] * s[c]
        ds[c] += dy[n, c] * x[n, c]
    return dx, ds

dx, ds = scale_backward_loop(x, s, dy)
print("loops and vectors agree: ", np.allclose(dx, dy * s), np.allclose(ds, (dy * x).sum(axis=0)))
print("formula and slopes agree:", np.allclose(dx, numeric_gradient(loss, x)),
      np.allclose(ds, numeric_gradient(loss, s)))

# %% [markdown]
# A layer is an object with two methods. `forward` computes `y`. It also keeps `x`, which the formula
# for `ds` needs. `backward` takes `dy`, **adds** to the gradients of its parameters (one that is used
# twice lies on two paths), and returns `dx`. `params` and `grads` list the arrays by name.

# %%
class Scale:
    def __init__(self, s):
        self.s = s
        self.ds = np.zeros_like(s)

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, dy):
        # y = x s
        self.ds += (dy * self.x).sum(axis=0)
        return dy * self.s

    def params(self): return {"s": self.s}
    def grads(self): return {"s": self.ds}

# %% [markdown]
# ## The rules that keep coming back
#
# Nearly every line of a backward pass follows one of these rules; `Scale` used 1 and 3'. $a^\top$ is
# $a$ with its last two axes exchanged.
#
# | | forward | backward | in words |
# |---|---|---|---|
# | 0 | `y = a + b` | `da = dy`, `db = dy` | hands `dy` to both |
# | 1 | `y = a * b` | `da = dy * b`, `db = dy * a` | times the other factor |
# | 2 | `y = f(a)`, entry by entry | `da = dy * f'(a)` | times the slope |
# | 3 | `y = a.sum(axis=k)` | `da` = `dy` broadcast along axis `k` | a sum broadcasts |
# | 3' | `y` = `a` broadcast along axis `k` | `da = dy.sum(axis=k)` | a broadcast sums |
# | 4 | `y = a @ b` | `da` $= dy\; b^\top$, `db` $= a^\top dy$ | matrix product |
# | 5 | `y` = `a` reshaped, transposed, or a slice of it | the same move, undone; 0 where no slice was | moves are undone |
# | 6 | `a` used twice | `da` = sum of both gradients | reuse adds |
#
# A mean is a sum times $1/n$, a quotient is a product with $1/b$, and a root is a function (rule
# 2). Where a line broadcasts without saying so, as `x * s` does, its rule goes together with 3'.
#
# We derive rule 4 in the three steps. With
# $y_{ij} = \sum_k a_{ik} b_{kj}$,
#
# $$
# \begin{aligned}
# da_{pq} &= \sum_{ij} dy_{ij}\,\frac{\partial y_{ij}}{\partial a_{pq}} && \text{chain rule}\\
# &= \sum_{ij} dy_{ij} \sum_k \delta_{ip}\,\delta_{kq}\, b_{kj} && \text{is } a_{ik} \text{ our } a_{pq}\text{?}\\
# &= \sum_{j} dy_{pj}\, b_{qj} && \text{that is } dy\; b^\top
# \end{aligned}
# $$
#
# In the same way $db_{kj} = \sum_i a_{ik}\, dy_{ij}$, that is $a^\top dy$. Rule 6 is the chain rule
# again: two uses of $a$ are two paths to $L$, and paths add.
#
# Next, functions of `a`, each with its rule's formula for `da`, compared with central differences.

# %%
rng = np.random.default_rng(1)
a, k, m = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(3, 5))
stack = rng.normal(size=(2, 5, 4))
rules = [
    ("0, 3' a + ones", lambda: a + np.ones((2, 4, 3)), lambda dy: dy.sum(axis=0)),
    ("2 function", lambda: np.tanh(a), lambda dy: dy * (1 - np.tanh(a) ** 2)),
    ("3 sum", lambda: a.sum(axis=1), lambda dy: np.broadcast_to(dy[:, None], a.shape)),
    ("4 product a @ m", lambda: a @ m, lambda dy: dy @ m.T),
    ("4 product k @ a", lambda: k @ a, lambda dy: k.T @ dy),
    ("4, 3' stack @ a", lambda: stack @ a, lambda dy: (stack.transpose(0, 2, 1) @ dy).sum(axis=0)),
    ("5 moves", lambda: a.T.reshape(2, 6), lambda dy: dy.reshape(3, 4).T),
    ("5 slice a[1:3]", lambda: a[1:3], lambda dy: np.pad(dy, [(1, 1), (0, 0)])),
    ("1, 6 reuse: a * a", lambda: a * a, lambda dy: dy * a + dy * a)]

# %%
def agrees(forward, backward, a, dy):
    measured = numeric_gradient(lambda: np.sum(dy * forward()), a)
    return np.allclose(backward(dy), measured)

for name, forward, backward in rules:
    dy = rng.normal(size=forward().shape)
    print(f"{name:18} agrees: {agrees(forward, backward, a, dy)}")

# %% [markdown]
# ## A layer from the rules, line by line
#
# `Share` turns the numbers of each row into shares of their sum: $y_{nc} = x_{nc} / s_n$ with
# $s_n = \sum_k x_{nk}$. We write the forward pass in lines that do one thing each, and go through
# them **from last to first**. Each name on the right of a line gets a gradient from a rule; if it has
# one already, the new one is added.
#
# In $y = x / s$, `s` needs three rules: 1, because $1/s$ is a factor; 2, with $(1/s)' = -1/s^2$; and
# 3', because it was spread over its row.

# %%
class Share:
    def forward(self, x):
        self.x, self.s = x, x.sum(axis=-1, keepdims=True)    # s: (N, 1)
        return x / self.s

    def backward(self, dy):
        # y = x / s
        dx = dy / self.s                                               # rule 1
        ds = -(dy * self.x / self.s**2).sum(axis=-1, keepdims=True)    # rules 1, 2 and 3'
        # s = x.sum(axis=-1, keepdims=True)
        return dx + ds                        # rule 3; x is used twice: rule 6

# %% [markdown]
# **Before you run the next cell:** what does the chain rule give for $dx_{nc}$, in index form, on
# paper? (Hint: $\partial s_n / \partial x_{nc} = 1$.)

# %%
x, dy = rng.uniform(1, 2, size=(5, 3)), rng.normal(size=(5, 3))
layer, by_index = Share(), np.zeros((5, 3))
layer.forward(x)
for n, c, k in np.ndindex(5, 3, 3):
    s_n = x[n].sum()
    by_index[n, c] += dy[n, k] * ((k == c) / s_n - x[n, k] / s_n**2)    # (k == c): the delta
print("rules and index form agree:", np.allclose(layer.backward(dy), by_index))
print("rules and slopes agree:    ", agrees(lambda: Share().forward(x), layer.backward, x, dy))

# %% [markdown]
# It gives $dx_{nc} = \sum_k dy_{nk} \left( \delta_{kc}/s_n - x_{nk}/s_n^2 \right)$, and the loop is
# that sum.
#
# ## A check that lies
#
# A colleague writes a `backward` for `Share` that returns zeros. She checks it with the obvious loss,
# $L = \sum_{nc} y_{nc}$; its upstream gradient is all ones.
#
# **Before you run the next cell:** does a gradient of all zeros pass?

# %%
for label, upstream in [("ones", np.ones((5, 3))), ("random", dy)]:
    for name, backward in [("Share", layer.backward), ("zeros", np.zeros_like)]:
        passes = agrees(lambda: Share().forward(x), backward, x, upstream)
        print(f"dy = {label:7} {name:6} agrees: {passes}")

# %% [markdown]
# With ones, the zeros pass: every row of `y` sums to 1 whatever `x` is, so the slope is 0. Ones also
# hide a `backward` that forgets to multiply by `dy`. **Always check with a random upstream gradient.**
#
# ## When are two numbers equal?
#
# Measured slopes are right to about ten digits; a tolerance must allow for that. Two kinds are common,
# for a derived $a$ and a measured $b$: **absolute**, $|a - b| \le t$, and
# **relative**, $|a - b| \le t\,|b|$. Three pairs show that neither is enough alone.

# %%
pairs = [("right, usual size", 0.5, 0.5 + 1e-10), ("right, truly zero", 0.0, 1e-11),
         ("wrong by factor 2", 2e-5, 1e-5)]
print(f"{'':20}{'absolute 1e-4':>15}{'relative 1e-6':>15}{'both':>8}")
for label, derived, measured in pairs:
    gap = abs(derived - measured)
    passes = [gap <= 1e-4, gap <= 1e-6 * abs(measured), gap <= 1e-8 + 1e-6 * abs(measured)]
    print(f"{label:20}{passes[0]!s:>15}{passes[1]!s:>15}{passes[2]!s:>8}")

# %% [markdown]
# A relative tolerance rejects the second pair, a true zero measured with noise. An absolute one
# accepts the third, a wrong gradient, because it is small. Their sum, `atol + rtol * |measured|` with
# a small `atol`, gets all three right. (We also give parameters a size near 0.5, so that gradients are
# not tiny.)
#
# ## `gradcheck`
#
# `gradcheck` does what `agrees` does, for every array of a layer: one `forward` to see the shape of the
# output, a random `dy`, one backward pass, and then the loop: measure, compare. `output()` is the
# forward pass, which may also give one number, a loss.

# %% tags=["export"]
def gradcheck(layer, x, *args, rng, rtol=1e-6, atol=1e-8, eps=1e-5):
    """Compare every gradient of a layer with central differences; return a GradReport.

    What is differentiated is sum(dy * y), with a random upstream gradient dy: ones would hide
    errors. The layer's gradients change, its parameters do not.

    Args:
        layer: has `forward(x, *args)` and `backward(dy)`, and `params()` and `grads()` where it has
            parameters. A tuple from `forward` is read as (logits, loss): the loss is checked.
        x: float64 array, then dx is checked, too; or integer ids.
        args: further inputs of `forward`, such as targets; not differentiated.
        rng: np.random.Generator for dy.
        rtol, atol: an entry passes if |analytic - numeric| <= atol + rtol * |numeric|.
        eps: half the width of the central difference.

    Raises:
        GradientError: an entry differs, a gradient is overwritten where it must be added to, or
            `backward` changes dy, x, a parameter, or what a second backward pass needs.
        TypeError: an array is not float64 (float32 is too coarse to tell right from wrong).
    """
    params = layer.params() if hasattr(layer, "params") else {}
    x = np.array(x)
    inputs = _inputs_with_slopes(x, params)

    def output():
        y = layer.forward(x, *args)
        return y[1] if isinstance(y, tuple) else y

    dy = rng.normal(size=np.shape(output()))
    dx, grads = _analytic(layer, output, dy, x, params)
    if not inputs and dx is not None:
        raise TypeError(f"x is {x.dtype}, so its dx cannot be checked: write x as float64")
    if inputs and np.shape(dx) != x.shape:
        raise GradientError(f"dx has shape {np.shape(dx)}, but x has shape {x.shape}")
    checked = [("dx", a, dx) for a in inputs.values()]
    checked += [(_dname(name), p, grads[name]) for name, p in params.items()]
    rows = {}
    for name, a, analytic in checked:
        numeric = numeric_gradient(lambda: float(np.sum(dy * output())), a, eps)
        rows[name] = _compare(name, analytic, numeric, rtol, atol)
    _check_repeated(layer, output, dy, dx, grads, rtol, atol)
    return GradReport(rows)

# %% [markdown]
# The comparison has both tolerances. NaN (*not a number*) is neither smaller nor larger than anything.
# So we ask whether all entries are within their tolerance, not whether one is beyond it.

# %% tags=["export"]
def _compare(name, analytic, numeric, rtol, atol):
    """Return (entries, worst absolute error, worst relative error) or raise GradientError."""
    analytic = np.asarray(analytic)
    if analytic.shape != numeric.shape:
        raise GradientError(f"{name} has shape {analytic.shape}, expected {numeric.shape}")
    error = np.abs(analytic - numeric)
    excess = error - (atol + rtol * np.abs(numeric))
    if not (excess <= 0).all():  # with (excess > 0).any() a NaN would pass
        raise GradientError(_complaint(name, analytic, numeric, excess))
    largest, worst = (float(a.max(initial=0)) for a in (np.abs(numeric), error))
    return error.size, worst, worst / largest if largest > atol else 0.0  # 0: truly zero

# %% [markdown]
# The backward pass starts from cleared gradients. It must not change what it may only read: another
# layer may need `dy`, too, and a parameter that moves before it is measured hides a mistake.

# %% tags=["export"]
def _analytic(layer, output, dy, x, params):
    """Run one backward pass from cleared gradients: dx and a copy of each gradient."""
    read_only = [("dy", dy), ("x", x), *params.items()]
    for g in _grads(layer).values():
        g[...] = 0
    output()
    before = [np.array(a) for _, a in read_only]
    dx = layer.backward(dy if np.ndim(dy) else float(dy))
    for (name, a), b in zip(read_only, before, strict=True):
        if not np.array_equal(a, b):
            raise GradientError(f"backward changed {name}, which it may only read; copy it first")
    # A copy: a layer may hand out one array again and again.
    return None if dx is None else np.array(dx), {n: g.copy() for n, g in _grads(layer).items()}

# %% [markdown]
# A `backward` that assigns (`=`) instead of adding (`+=`, rule 6) is right as long as the gradients were
# cleared and each parameter is used once. So we run a second backward pass, and expect twice the
# gradient. One that spoils what `forward` has kept is right when called once. So we run a third, with
# no forward pass before it, and expect the same `dx` and three times the gradient.

# %% tags=["export"]
_SUM = (
    "after two backward passes the gradient is not twice that of one; "
    "add to it (+=), do not overwrite it"
)
_SPENT = "a backward pass right after another gives something else; leave what forward has kept"

def _check_repeated(layer, output, dy, dx, grads, rtol, atol):
    """Further backward passes must add to the gradients; the last has no forward before it."""
    output()
    for passes, mistake in ((2, _SUM), (3, _SPENT)):
        again = layer.backward(dy if np.ndim(dy) else float(dy))
        pairs = [(_dname(name), g, passes * grads[name]) for name, g in _grads(layer).items()]
        pairs += [("dx", again, dx)] if dx is not None and passes == 3 else []
        for name, now, right in pairs:
            if not np.allclose(now, right, rtol=rtol, atol=atol):
                raise GradientError(f"{name}: {mistake}")

# %% [markdown]
# That is the check. The rest is mostly the text of its messages; **skim the next cell, or skip
# it.** Two common mistakes get messages of their own: the whole gradient is off by one factor (a
# mean where a sum belongs, a sign, a forgotten 2), or it is transposed. For derived $a$ and
# measured $n$, the factor $r$ that fits best makes $\sum_i (a_i - r\, n_i)^2$ smallest. There the
# slope $-2 \sum_i n_i (a_i - r\, n_i)$ is 0, so $r = \sum_i n_i a_i \,/ \sum_i n_i^2$. Integer
# inputs have no slope; for them we check the parameters only.

# %% tags=["export"]
class GradientError(AssertionError):
    """A backward pass that disagrees with the slope of its forward pass."""

@dataclass
class GradReport:
    """A check that passed: name -> (entries, worst absolute error, worst relative error).

    The relative error is the absolute one, relative to the largest entry of the array.
    """

    rows: dict

    @property
    def max_error(self):
        """The largest of the relative errors."""
        return max((rel for _, _, rel in self.rows.values()), default=0.0)

    def __str__(self):
        rows = self.rows.items()
        return "\n".join(f"{name:24}{entries:>7} entries  right" for name, (entries, *_) in rows)

def _complaint(name, analytic, numeric, excess):
    """Name the entry that exceeds its tolerance the most, and say why if we can."""
    worst = np.unravel_index(excess.argmax(), excess.shape)  # of a NaN, if there is one
    return (
        f"{name}{[int(i) for i in worst]}: backward gives {analytic[worst]:.8g}, central "
        f"differences give {numeric[worst]:.8g} ({int((~(excess <= 0)).sum())} of {excess.size} "
        f"entries differ)" + _explain(analytic, numeric)
    )

def _explain(analytic, numeric):
    """Say so when one factor, or a transpose, turns the right gradient into the wrong one."""
    if not np.isfinite(analytic).all():
        return "; the gradient is not finite"
    if not analytic.any():
        return "; the gradient is zero everywhere"
    if not numeric.any():
        return ""
    near = {"rtol": 1e-4, "atol": 1e-6 * np.abs(numeric).max()}
    ratio = float(np.vdot(numeric, analytic) / np.vdot(numeric, numeric))
    if np.allclose(analytic, ratio * numeric, **near):
        return f"; every entry is {ratio:.5g} times what it should be"
    square = analytic.ndim == 2 and analytic.shape[0] == analytic.shape[1]
    if square and np.allclose(analytic.T, numeric, **near):
        return "; it is the transpose of what it should be"
    return ""

def _inputs_with_slopes(x, params):
    """Return {"x": x}, or {} where x holds integers; TypeError if an array is too coarse."""
    inputs = {"x": x} if np.issubdtype(x.dtype, np.floating) else {}
    for name, a in [*params.items(), *inputs.items()]:
        if a.dtype != np.float64:
            raise TypeError(f"gradcheck needs float64, but {name} is {a.dtype}")
    return inputs

def _grads(layer):
    return layer.grads() if hasattr(layer, "grads") else {}

def _dname(name):
    """The gradient's name: layers.0.W -> layers.0.dW."""
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}d{last}"

# %% [markdown]
# Each line of the report is an array that agrees.

# %%
s = rng.normal(0, 0.5, size=3)
print(gradcheck(Scale(s), rng.normal(size=(5, 3)), rng=rng))
print(gradcheck(Share(), rng.uniform(1, 2, size=(5, 3)), rng=rng))

# %% [markdown]
# ## Break it on purpose
#
# A check that has never failed proves nothing. Here are four easy mistakes in `Scale`.
# **Before you run the third of the next cells:** for each class, which array will be named, and will
# the mistake be explained?

# %%
class MeanNotSum(Scale):
    def backward(self, dy):
        self.ds += (dy * self.x).mean(axis=0)
        return dy * self.s

class Overwritten(Scale):
    def backward(self, dy):
        self.ds[...] = (dy * self.x).sum(axis=0)
        return dy * self.s

# %%
class ForgetsDy(Scale):
    def backward(self, dy):
        self.ds += (dy * self.x).sum(axis=0)
        return np.broadcast_to(self.s, dy.shape)

class ChangesDy(Scale):
    def backward(self, dy):
        self.ds += (dy * self.x).sum(axis=0)
        dy *= self.s
        return dy

# %%
def gist(error):
    """The stable parts of the message: the array, and the explanation where there is one."""
    head, _, tail = str(error).partition(": ")
    return head.split("[")[0] + (" |" + str(error).partition(";")[2] if ";" in tail else "")

for Wrong in (MeanNotSum, Overwritten, ForgetsDy, ChangesDy):
    try:
        gradcheck(Wrong(s.copy()), rng.normal(size=(5, 3)), rng=rng)
        print(f"{Wrong.__name__:14} passed, which it should not")
    except GradientError as error:
        print(f"{Wrong.__name__:14} {gist(error)}")

# %% [markdown]
# All four are caught, three with a reason: a factor of 0.2 over 5 rows is a mean. A fifth mistake
# would be our own: checking in float32.

# %%
try:
    gradcheck(Scale(s.astype(np.float32)), rng.normal(size=(5, 3)), rng=rng)
except TypeError as error:
    print(error)

# %% [markdown]
# ## Experiment: how small a mistake does the check see?
#
# We take $y = \tanh(x s)$, for which rules 1, 2 and 3' give
# $ds_c = \sum_n dy_{nc}\, x_{nc}\,(1 - y_{nc}^2)$, and multiply that formula by $1 + \delta$, where
# $\delta$ is now the size of a mistake. Then we compare it with central differences, in float64 and
# in float32, each with its best $\epsilon$ from above.

# %%
x64, s64, dy64 = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=(5, 3))
deltas = 10.0 ** np.arange(-13, 1)

def gap(delta, dtype, eps):
    x, s, dy = x64.astype(dtype), s64.copy(), dy64.astype(dtype)
    # numeric_gradient moves s in float64; the function rounds it to `dtype`.
    measured = numeric_gradient(lambda: np.sum(dy * np.tanh(x * s.astype(dtype))), s, eps)
    right = (dy64 * x64 * (1 - np.tanh(x64 * s64) ** 2)).sum(axis=0)
    return np.abs((1 + delta) * right - measured).max() / np.abs(right).max()

# %%
fig, ax = subplots(size=(6.2, 3.6))
for label, kind, eps, line in [("float64", np.float64, 1e-5, "-"), ("float32", np.float32, 1e-2, "--")]:
    ax.loglog(deltas, [gap(d, kind, eps) for d in deltas], line, marker="o", ms=4, label=label)
    print(f"{label}: a mistake of 1e-06 is seen: {gap(1e-6, kind, eps) > 2 * gap(0, kind, eps)}")
ax.axhline(1e-6, color=GRAY, lw=1, label="rtol = 1e-6")
ax.set(xlabel="size of the mistake, delta", ylabel="gap to central differences, relative")
ax.legend()
show(fig, "Gap between a spoiled formula and the measured slope against the size of the mistake. "
          "In float64 the gap follows the mistake down to about 1e-10; in float32 it levels off "
          "a little below 1e-4.")

# %% [markdown]
# A mistake of one in a million shows in float64 and drowns in float32. Where a curve is flat, it shows
# the error of the measurement. In float64 that error lies far below the line of `rtol`; in float32
# `rtol` would have to lie above the flat part, and every smaller mistake would pass. Training runs in
# float32, for speed; checks run in float64.
#
# ## Exercises
#
# Now write them yourself: [exercises/01_gradients.ipynb](../exercises/01_gradients.ipynb). A check says what is
# wrong, and `hint("gradients-numeric")` helps.
#
# | task | | minutes |
# |---|---|---|
# | measure a gradient | easy | 15 |
# | what was broadcast is summed | easy | 15 |
# | a matrix product | medium | 20 |
# | take away the mean | medium | 20 |
# | used in two places | hard | 20 |
#
# ## Recap
#
# - A central difference with `eps = 1e-5` in float64 measures a slope to about ten digits; smaller
#   is not better.
# - The chain rule multiplies along a path and sums over all paths; its index form does so for arrays.
# - Rules 0 to 6 give nearly every line of a backward pass.
# - A check needs a random `dy`, float64, both tolerances, and a second backward pass.
# - The next cell writes `numpygpt/gradcheck.py`. Next: Module, the class that all layers share.

# %%
from coursekit import export

export("01_gradients")
