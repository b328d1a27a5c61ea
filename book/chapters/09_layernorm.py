# %% [markdown]
# # Chapter 9: LayerNorm
#
# Let us build a deep network: `Linear` and `ReLU`, 20 times over. Each has passed its gradient
# check. We send 32 random vectors through it and print the size of the numbers (their standard
# deviation) on the way.

# %%
import numpy as np
from coursekit import add_to_class, export
from numpygpt.nn import Linear, Module, ReLU, Sequential

rng = np.random.default_rng(9)
layers = [Sequential(Linear(64, 64, rng=rng), ReLU()) for _ in range(20)]
x = first = rng.normal(size=(32, 64)).astype(np.float32)
for depth, layer in enumerate(layers, start=1):
    x = layer(x)
    if depth in (1, 5, 10, 20):
        print(f"after {depth:2} layers: standard deviation {x.std():.0e}")
print(f"smaller by a factor of {(first.std() / x.std()) ** (1 / 20):.1f} per layer")

# %% [markdown]
# Each layer shrinks the numbers by a factor of 2.6; after 20 almost nothing is left. Is anything
# left of the input? We send in 32 *other* vectors, three times as large, and see how far apart the
# outputs are. Then we send a gradient of size 1 backward.

# %%
other = (3 * rng.normal(size=(32, 64))).astype(np.float32)
print(f"the inputs differ by up to {np.abs(other - first).max():.0f}, "
      f"the outputs by less than 1e-6: {np.abs(Sequential(*layers)(other) - x).max() < 1e-6}")
dx = Sequential(*layers).backward(rng.normal(size=x.shape).astype(np.float32))
print(f"dy has size 1, dx has a size below 1e-6: {np.abs(dx).max() < 1e-6}")

# %% [markdown]
# To six decimals the network gives the same answer to everything, and no gradient gets through.
#
# We can compute the factor. `Linear` draws its weights from ±1/√n, which multiplies the size by
# 1/√3 (chapter 3). For an input that is as often positive as negative, ReLU then zeroes half of the
# squares, a factor of 1/√2. Together that is 1/√6, about 1/2.4. (We measured 2.6: with 64 numbers,
# chance has a part in it.) So weights √6 times as large should keep the size. We try them, and
# larger ones.

# %%
for gain in (1, 6**0.5, 5):
    x = first
    for layer in layers:
        x = np.maximum(gain * x @ layer.layers[0].W, 0)  # Linear and ReLU; the biases are 0
    print(f"weights times {gain:.1f}: standard deviation after 20 layers {x.std():.0e}")

# %% [markdown]
# At √6 it holds: this is the initialization of He et al. (2015). It has to be computed anew for each
# activation, and it says nothing about the weights after training has moved them. At 5 the numbers
# explode.
#
# **The question of this chapter: can a layer keep the size of the numbers right by itself, whatever
# comes in? And what is its gradient?** The layer is **LayerNorm** (layer normalization; Ba, Kiros
# and Hinton, 2016). Its backward pass is the longest derivation so far. We do it slowly first, then
# we make it short.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | input, output: any number of vectors | `(..., C)` |
# | `mu`, `var` | mean and variance of each vector, μ and σ² | `(..., 1)` |
# | `r` | 1 / standard deviation | `(..., 1)` |
# | `xhat` | x̂, the vector with mean 0 and variance 1 | `(..., C)` |
# | `gamma`, `beta` | gain γ and shift β, the parameters | `(C,)` |
# | `dy`, `dx`, `dgamma`, `dbeta` | the gradients | as `y`, `x`, `gamma`, `beta` |
#
# Mean and variance go over the last axis: **each vector is normalized by itself.** It does not
# matter what else is in the batch. (An older layer, **BatchNorm**, takes the mean and variance of each
# channel over the batch: there it does matter.)
#
# ## By hand
#
# For one vector $x_1, \dots, x_C$:
#
# $$\mu = \frac1C \sum_j x_j \qquad \sigma^2 = \frac1C \sum_j (x_j - \mu)^2 \qquad \hat x_i =
# \frac{x_i - \mu}{\sqrt{\sigma^2 + \text{eps}}} \qquad y_i = \gamma_i \hat x_i + \beta_i$$
#
# `eps` is a small number against division by zero. We leave it out for a moment and take two
# vectors.
#
# **Before you run the next cell: the second vector is 10 times the first, plus 5. How do the two
# rows of `xhat` differ?**

# %%
x = np.array([[1.0, 2.0, 6.0], [15.0, 25.0, 65.0]])
mu = x.mean(axis=-1, keepdims=True)
var = ((x - mu) ** 2).mean(axis=-1, keepdims=True)
xhat = (x - mu) / np.sqrt(var)
print("mean", mu.ravel(), "variance", var.ravel().round(4))
print(xhat.round(4))

# %% [markdown]
# Not at all. LayerNorm forgets two things about a vector: its mean and its size. What is left is
# its direction among vectors of mean 0. Keep this in mind: **what the forward pass forgets, the
# gradient cannot ask to change.**
#
# And `eps`? A vector whose entries are all equal has variance 0, and 0/0 is not a number. With
# `eps` the result is 0.

# %%
same = np.array([7.0, 7.0, 7.0])
print((same - same.mean()) / np.sqrt(same.var() + 1e-5))

# %% [markdown]
# ## Forward, in small steps
#
# To differentiate a long formula, cut it into lines that do one thing each. Seven lines:

# %%
def forward_long(x, gamma, beta, eps):
    mu = x.mean(axis=-1, keepdims=True)     # 1  μ = mean x
    xc = x - mu                             # 2  xc = x - μ
    sq = xc**2                              # 3
    var = sq.mean(axis=-1, keepdims=True)   # 4  σ² = mean xc²
    r = (var + eps) ** -0.5                 # 5  r = 1/√(σ² + eps)
    xhat = xc * r                           # 6  x̂ = xc r
    y = xhat * gamma + beta                 # 7  y = x̂ γ + β
    return y, (xc, r, xhat)

# %% [markdown]
# Loops and vectors must agree. The loop version takes one vector and one number at a time, as the
# formulas of the last section do. We compare on 2 × 3 vectors of 5 numbers.

# %%
def forward_loop(x, gamma, beta, eps):
    y = np.zeros_like(x)
    for n in np.ndindex(x.shape[:-1]):
        C = x.shape[-1]
        mu = sum(x[n][j] for j in range(C)) / C
        var = sum((x[n][j] - mu) ** 2 for j in range(C)) / C
        for i in range(C):
            y[n][i] = gamma[i] * (x[n][i] - mu) / (var + eps) ** 0.5 + beta[i]
    return y

# %%
rng = np.random.default_rng(9)
x, dy = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 5))
gamma, beta = rng.normal(size=5), rng.normal(size=5)
y, cache = forward_long(x, gamma, beta, eps=1e-5)
print("loop and vectors agree:", np.allclose(forward_loop(x, gamma, beta, 1e-5), y))

# %% [markdown]
# ## Backward, line by line in reverse
#
# We go from line 7 up to line 1. Each line needs one of the rules of chapter 1. $n$ numbers the
# vectors, $i$ and $j$ the entries of one vector.
#
# **Line 7**, $y_{ni} = \hat x_{ni} \gamma_i + \beta_i$. γ and β are used by every vector, so their
# gradients are sums over $n$:
#
# $$d\beta_i = \sum_n dy_{ni} \qquad d\gamma_i = \sum_n dy_{ni}\, \hat x_{ni} \qquad d\hat x_{ni} =
# dy_{ni}\, \gamma_i$$
#
# From here on every vector is on its own and we drop $n$.
#
# **Line 6**, $\hat x_i = xc_i\, r$. A product. $r$ is one number that all entries share, so its
# gradient is a sum:
#
# $$dxc_i = d\hat x_i\, r \qquad dr = \sum_j d\hat x_j\, xc_j$$
#
# **Line 5**, $r = (\sigma^2 + \text{eps})^{-1/2}$. A power; $(\sigma^2 + \text{eps})^{-3/2}$ is
# $r^3$:
#
# $$d\sigma^2 = -\tfrac12\, r^3\, dr$$
#
# **Line 4**, $\sigma^2 = \frac1C \sum_j sq_j$. A mean passes the same share to each entry:
#
# $$dsq_j = \tfrac1C\, d\sigma^2$$
#
# **Line 3**, $sq_i = xc_i^2$. This is the second use of $xc$, so it is added to the first:
#
# $$dxc_i \mathrel{+}= 2\, xc_i\, dsq_i$$
#
# **Line 2**, $xc_i = x_i - \mu$. $x$ gets $dxc$; $\mu$ is shared, with a minus:
#
# $$dx_i = dxc_i \qquad d\mu = -\sum_j dxc_j$$
#
# **Line 1**, $\mu = \frac1C \sum_j x_j$. The second use of $x$:
#
# $$dx_i \mathrel{+}= \tfrac1C\, d\mu$$
#
# The code below is this list, equation by equation.

# %%
def backward_long(dy, gamma, cache):
    xc, r, xhat = cache
    C = dy.shape[-1]
    dxhat = dy * gamma                              # 7
    dxc = dxhat * r                                 # 6
    dr = (dxhat * xc).sum(axis=-1, keepdims=True)   # 6
    dvar = -0.5 * r**3 * dr                         # 5
    dsq = dvar / C                                  # 4
    dxc = dxc + 2 * xc * dsq                        # 3
    dmu = -dxc.sum(axis=-1, keepdims=True)          # 2
    dx = dxc + dmu / C                              # 2, 1
    return dx

# %% [markdown]
# A small layer around the two functions, and the check:

# %%
class LongLayerNorm(Module):
    def __init__(self, gamma, beta):
        self.gamma, self.dgamma = gamma, np.zeros_like(gamma)
        self.beta, self.dbeta = beta, np.zeros_like(beta)

    def forward(self, x):
        y, self.cache = forward_long(x, self.gamma, self.beta, eps=1e-5)
        return y

# %%
@add_to_class(LongLayerNorm)
def backward(self, dy):
    self.dbeta += dy.sum(axis=(0, 1))
    self.dgamma += (dy * self.cache[2]).sum(axis=(0, 1))
    return backward_long(dy, self.gamma, self.cache)

# %%
from numpygpt import gradcheck
from numpygpt.gradcheck import GradientError

print(gradcheck(LongLayerNorm(gamma, beta), x, rng=rng))

# %% [markdown]
# ## The closed form
#
# Eight lines of code, and most of them pass over all the data. Now that we have something right to
# compare with, we do the algebra. Put lines 4 and 5 into line 3, with $xc = \hat x / r$ everywhere:
#
# $$2\, xc_i\, dsq_i = 2\, \frac{\hat x_i}{r} \cdot \frac1C \cdot \left(-\frac12 r^3\right) \sum_j
# d\hat x_j\, \frac{\hat x_j}{r} = -\,r\, \hat x_i \cdot \frac1C \sum_j d\hat x_j\, \hat x_j$$
#
# All powers of $r$ but one cancel. With "mean" for $\frac1C \sum_j$, line 6 and line 3 together are
#
# $$dxc_i = r \left( d\hat x_i - \hat x_i\, \mathrm{mean}(d\hat x\, \hat x) \right)$$
#
# Lines 2 and 1 subtract the mean of this. Its second part has mean 0, because $\hat x$ has. What is
# left is
#
# $$\boxed{\,dx_i = r \left( d\hat x_i - \mathrm{mean}(d\hat x) - \hat x_i\, \mathrm{mean}(d\hat x\,
# \hat x) \right)\,}$$
#
# In vectors: take $d\hat x$, remove its part along $\mathbf 1 = (1, \dots, 1)$, remove its part
# along $\hat x$ (all of it if `eps` is 0), and scale by $r$. Only two means are left.

# %%
def backward_closed(dy, gamma, cache):
    xc, r, xhat = cache
    dxhat = dy * gamma
    along_one = dxhat.mean(axis=-1, keepdims=True)
    along_xhat = (dxhat * xhat).mean(axis=-1, keepdims=True)
    return r * (dxhat - along_one - xhat * along_xhat)

# %% [markdown]
# We compare the two on our 2 × 3 vectors, then on 1,000 random cases of all sizes.

# %%
print("here:", np.allclose(backward_long(dy, gamma, cache), backward_closed(dy, gamma, cache)))
agree = 0
for _ in range(1000):
    C, scale = rng.integers(1, 20), 10 ** rng.uniform(-3, 3)
    x1, dy1, gamma1 = scale * rng.normal(size=(4, C)), rng.normal(size=(4, C)), rng.normal(size=C)
    y1, cache1 = forward_long(x1, gamma1, 0.0, eps=1e-5)
    long, closed = backward_long(dy1, gamma1, cache1), backward_closed(dy1, gamma1, cache1)
    agree += np.allclose(long, closed, rtol=1e-9, atol=1e-9 * np.abs(cache1[1] * dy1).max())
print(f"{agree} of 1000 random cases agree")

# %% [markdown]
# ## What the gradient cannot see
#
# LayerNorm forgets the mean and the size. Nudge $x$ along $\mathbf 1$, which shifts the mean, or
# along $\hat x$, which changes the size: $y$ stays the same, and so does the loss. The slope in
# these two directions must be 0: $dx$ is at a right angle to $\mathbf 1$ and to $\hat x$.
#
# We print both dot products, the largest over our six vectors, for three values of `eps`.
#
# **Before you run the next cell: with `eps` in the root, does LayerNorm still forget the mean
# altogether? And the size? So which dot product will stay 0?**

# %%
def dot_products(eps):
    _, cache = forward_long(x, gamma, beta, eps)
    dx, xhat = backward_closed(dy, gamma, cache), cache[2]
    return dx.sum(axis=-1), (dx * xhat).sum(axis=-1)

for eps in (0.0, 1e-5, 0.1):
    one, hat = (np.abs(dots).max() for dots in dot_products(eps))
    print(f"eps {eps:<7} dx·1 = {one:.4f}   dx·xhat = {hat:.4f}")

# %% [markdown]
# The first stays 0: the mean is subtracted before `eps` comes in. The second does not. A small vector
# and one ten times as long no longer have quite the same $\hat x$, because `eps` weighs more in the
# small one. How much does that matter? The mean of $\hat x^2$ is
# $\sigma^2 / (\sigma^2 + \text{eps}) = 1 - \text{eps}\, r^2$, a little below 1. Multiply the boxed
# formula by $\hat x_i$ and sum:
#
# $$\sum_i dx_i\, \hat x_i = r \left( \sum_i d\hat x_i\, \hat x_i - 0 -
# C\,(1 - \text{eps}\, r^2)\, \mathrm{mean}(d\hat x\, \hat x) \right)
# = \text{eps}\, r^3 \sum_i d\hat x_i\, \hat x_i$$

# %%
for eps in (0.0, 1e-5, 0.1):
    _, (xc, r, xhat) = forward_long(x, gamma, beta, eps)
    formula = eps * r[..., 0] ** 3 * (dy * gamma * xhat).sum(axis=-1)
    print(f"eps {eps:<7} as the formula says: {np.allclose(dot_products(eps)[1], formula)}")

# %% [markdown]
# One more prediction. Many tests use an upstream gradient of ones, `dy = np.ones_like(y)`.
#
# **Before you run the next cell: with $\gamma = 1$, what is `dx` then?**

# %%
_, cache = forward_long(x, np.ones(5), beta, eps=1e-5)
dx = backward_closed(np.ones_like(y), np.ones(5), cache)
print("dx is zero everywhere:", np.allclose(dx, 0))

# %% [markdown]
# Ones lie along $\mathbf 1$, and that part is removed. A test with ones compares zeros with zeros:
# a backward pass that lacks the last term passes it, and so does one that returns 0. This is why
# `gradcheck` draws its upstream gradient at random.
#
# ## The layer
#
# At the start γ is 1 and β is 0, so that `y` is `xhat`. `bias=False` leaves β out.

# %% tags=["export"] module="nn/layernorm.py"
"""LayerNorm: each vector to mean 0 and variance 1, scaled and shifted. Derived in chapter 09."""

import numpy as np

from numpygpt.nn.module import Module

# %% tags=["export"]
class LayerNorm(Module):
    """y = x̂ γ + β, x̂ = (x - μ) r, r = 1/√(σ² + eps), over the last axis.

    x, y: (..., dim), γ, β: (dim,).
    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
    """

    def __init__(self, dim, eps=1e-5, bias=True, dtype=np.float32):
        self.eps = float(eps)  # a NumPy float64 would turn float32 arrays into float64
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros(dim, dtype)
        self.beta = np.zeros(dim, dtype) if bias else None
        self.dbeta = np.zeros(dim, dtype) if bias else None

# %% [markdown]
# The forward pass keeps `xhat` and `r`, which is all that the closed form needs. The variance is
# also $\mathrm{mean}(x^2) - \mu^2$, which takes one pass over the data. In float32 that is a trap:

# %%
far = (1000 + np.array([-0.1, 0.0, 0.1])).astype(np.float32)
one_pass = (far * far).mean() - far.mean() ** 2
two_passes = ((far - far.mean()) ** 2).mean()
print(f"variance should be {0.02 / 3:.4f}: one pass is off by more than 0.005: "
      f"{abs(one_pass - 0.02 / 3) > 0.005}, two passes give {two_passes:.4f}")

# %% [markdown]
# Both terms are about a million, the variance is their difference, and float32 carries seven
# digits. So we subtract first and then square: `np.vecdot(xc, xc)` is the sum of squares of each
# vector.

# %% tags=["export"]
@add_to_class(LayerNorm)
def forward(self, x):
    n = x.shape[-1]
    xc = x - x.sum(axis=-1, keepdims=True) / n  # x - μ
    var = np.vecdot(xc, xc)[..., None] / n  # σ²
    r = 1 / np.sqrt(var + self.eps)
    xhat = xc * r
    self.xhat, self.r = xhat, r  # for backward
    y = xhat * self.gamma
    if self.beta is not None:
        y += self.beta
    return y

# %% tags=["export"]
@add_to_class(LayerNorm)
def backward(self, dy):
    xhat, r = self.xhat, self.r
    rows = tuple(range(dy.ndim - 1))
    # y = x̂ γ + β
    if self.beta is not None:
        self.dbeta += dy.sum(axis=rows)
    self.dgamma += (dy * xhat).sum(axis=rows)
    dx = dxhat = dy * self.gamma
    # x̂ = (x - μ) r: subtract what μ and r undo, the parts of dxhat along 1 and along x̂.
    n = dy.shape[-1]
    along_one = dxhat.sum(axis=-1, keepdims=True) / n
    along_xhat = np.vecdot(dxhat, xhat)[..., None] / n
    dx -= along_one
    dx -= xhat * along_xhat
    dx *= r
    return dx

# %% [markdown]
# The same check as before, with random γ and β:

# %%
def random_layer(cls):
    layer = cls(5, dtype=np.float64)
    for p in layer.params().values():
        p[...] = np.random.default_rng(1).normal(0, 0.5, p.shape)
    return layer

print(gradcheck(random_layer(LayerNorm), x, rng=rng))

# %% [markdown]
# Now break it on purpose, in three ways. Two of them leave out one of the two means. The third
# takes γ's gradient from `dy` alone and forgets `xhat`.
#
# **Before you run the next cell: which array will the check name in each case?**

# %%
class NoMean(LayerNorm):
    def backward(self, dy):
        dx, dxhat = LayerNorm.backward(self, dy), dy * self.gamma
        return dx + self.r * dxhat.mean(axis=-1, keepdims=True)

class NoProjection(LayerNorm):
    def backward(self, dy):
        dx, dxhat = LayerNorm.backward(self, dy), dy * self.gamma
        return dx + self.r * self.xhat * (dxhat * self.xhat).mean(axis=-1, keepdims=True)

# %%
class NoXhat(LayerNorm):
    def backward(self, dy):
        before = self.dgamma.copy()
        dx = LayerNorm.backward(self, dy)
        self.dgamma[...] = before + dy.sum(axis=(0, 1))
        return dx

# %%
for broken in (NoMean, NoProjection, NoXhat):
    try:
        gradcheck(random_layer(broken), x, rng=rng)
        print(f"{broken.__name__}: passed")
    except GradientError as error:
        print(f"{broken.__name__:13} rejected, in {str(error).split('[')[0]}")

# %% [markdown]
# ## What it does to a cloud of vectors
#
# In three dimensions we can look. The vectors of mean 0 form a plane at a right angle to
# $\mathbf 1$, so after LayerNorm all points lie in it. There they have the length $\sqrt 3$, as
# mean 0 and variance 1 demand. The figure looks straight down on this plane: points at the same
# place on the paper differ only in their mean. Those to the left of the center are triangles, so that
# you can find them again. **Before you look: what shape will the right-hand picture have?**

# %% tags=["widget"]
from coursekit.figures import BLUE, GRAY, ORANGE, show, subplots

plane = np.array([[1, -1, 0], [1, 1, -2]]).T / np.sqrt([2, 6])  # (3, 2), at right angles to 1
cloud = np.random.default_rng(9).normal(size=(300, 3)) @ np.diag([2.0, 0.7, 0.4]) + 1

# %%
normed = LayerNorm(3, dtype=np.float64)(cloud)
means, lengths = normed.mean(axis=-1), np.linalg.norm(normed, axis=-1)
print(f"after: means at most {np.abs(means).max():.4f}, "
      f"mean length {lengths.mean():.2f}, sqrt(3) = {np.sqrt(3):.2f}")

# %% tags=["widget"]
def draw_points(ax, points, title):
    flat = points @ plane  # (300, 2)
    for side, marker, color in ((1, "o", BLUE), (-1, "^", ORANGE)):
        ax.plot(*flat[side * flat[:, 0] > 0].T, marker, color=color, ms=4, alpha=0.6, mew=0)
    ax.plot(0, 0, "+", color=GRAY, ms=10)
    ax.set(title=f"{title}: mean {abs(points.mean()):.2f}", aspect="equal",
           xlabel=r"along $(1, -1, 0)/\sqrt{2}$")

# %% tags=["widget"]
def draw_cloud(points, eps):
    figure, axes = subplots(1, 2, size=(8, 3.6), sharex=True, sharey=True)
    draw_points(axes[0], points, "before LayerNorm")
    draw_points(axes[1], LayerNorm(3, eps, dtype=np.float64)(points), "after")
    axes[0].set(ylabel=r"along $(1, 1, -2)/\sqrt{6}$", xlim=(-5, 5), ylim=(-4, 4))
    show(figure, "A stretched cloud of 300 points seen along the direction (1, 1, 1), those on the "
         "left as triangles, and the same points after LayerNorm: each in the direction that it had "
         "before, on a circle of radius square root of 3 around the origin if eps is small.")
    return figure

# %%
figure = draw_cloud(cloud, eps=1e-5)

# %% [markdown]
# A circle. Every point slid along its ray from the center; dots and triangles did not mix.
#
# In the same view we can see the gradient. We take eight rays and two points on each, at distances
# 1.2 and 2.6 from the center. LayerNorm sends both to one place. All 16 get the same `dy`, drawn on
# the left; its part along $\mathbf 1$ points toward us. The right-hand picture has the points as
# they were before LayerNorm, with `dx`.
#
# **Before you look: at which angle will `dx` meet the rays? On which rays is it 0? And which of the
# two points on a ray gets the longer arrow?**

# %%
angle = np.repeat(np.pi / 4 * np.arange(8), 2)
distance = np.tile([1.2, 2.6], 8)[:, None]  # (16, 1)
points = distance * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ plane.T + 1  # (16, 3)
upstream = np.tile([0.6, 0.6], (16, 1)) @ plane.T + 0.5  # dy
layer = LayerNorm(3, dtype=np.float64)
circle, gradient = layer(points), layer.backward(upstream)  # y, dx
print("largest dx·1:", np.abs(gradient.sum(axis=1)).max().round(4) + 0)

# %%
def draw_arrows(ax, at, vectors, color, title):
    for outer in points[1::2] @ plane:
        ax.plot([0, outer[0]], [0, outer[1]], color=GRAY, lw=0.6, zorder=0)
    ax.quiver(*(at @ plane).T, *(vectors @ plane).T, color=color, angles="xy",
              scale_units="xy", scale=1, width=0.007)
    ax.plot(*(at @ plane).T, "o", color=GRAY, ms=4)
    ax.set(title=title, aspect="equal", xlabel=r"along $(1, -1, 0)/\sqrt{2}$")

# %%
figure, axes = subplots(1, 2, size=(8, 4.4), sharex=True, sharey=True)
draw_arrows(axes[0], circle, upstream, BLUE, "y and dy")
draw_arrows(axes[1], points, gradient, ORANGE, "x and dx")
axes[0].set(ylabel=r"along $(1, 1, -2)/\sqrt{6}$", xlim=(-3.4, 3.4), ylim=(-3.2, 3.2))
show(figure, "Left: eight points on a circle, all with the same arrow up and to the right. Right: "
     "two points on each of eight rays. Every arrow is at a right angle to its ray, it vanishes "
     "on the two rays along dy, and it is longer at the inner point.")

# %% [markdown]
# At a right angle, everywhere: the part along the ray ($\hat x$) is gone. Where `dy` itself lies
# along the ray, nothing is left. The part along $\mathbf 1$ is gone, too, so the picture hides nothing.
# And the inner points have the longer arrows, because of the factor $r = 1/\sigma$: the same push
# turns a short vector further.
#
# The widget multiplies the cloud by `size`, adds `shift` to every entry and sets `eps`. **Before you
# move a slider: which of the three can change the picture on the right?** And with the cloud made
# small, what does a large `eps` make of the circle? (In a notebook that is running you see sliders.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatLogSlider, FloatSlider, interactive

def change(size, shift, eps):
    return draw_cloud(size * cloud + shift, eps)

panel = interactive(
    change, size=FloatLogSlider(1, min=-2, max=0.3), shift=FloatSlider(0, min=-3, max=3),
    eps=FloatLogSlider(1e-5, min=-5, max=1, step=0.5))
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# `eps` can. A shift never changes the picture: it moves the points toward us or away from us. The
# size matters only when the variance is comparable to `eps`: then $\sqrt{\sigma^2 + \text{eps}}$ is
# larger than $\sigma$, and points end up inside the circle, the smallest ones furthest.
#
# </details>
#
# ## Experiment: what is it good for in a deep network?
#
# Back to the 20 layers of the first cell, with and without a `LayerNorm` after each `Linear`. To be
# fair, the network without it also gets weights times √6, the scale that we computed.
# First the sizes again, of the values forward and of the gradients backward.

# %%
def deep(normalized, gain, rng, depth=20, width=64):
    layers = [Linear(16, width, rng=rng)]
    for _ in range(depth):
        layers += [Linear(width, width, rng=rng)]
        layers[-1].W *= np.float32(gain)
        layers += [LayerNorm(width)] if normalized else []
        layers += [ReLU()]
    return Sequential(*layers, Linear(width, 4, rng=rng))

# %%
def sizes(model, x, rng):
    """The standard deviation after each ReLU, and of the gradient there."""
    values, gradients = [], []
    for layer in model.layers:
        x = layer(x)
        values += [x.std()] if isinstance(layer, ReLU) else []
    dx = rng.normal(size=x.shape).astype(np.float32)
    for layer in reversed(model.layers):
        gradients += [dx.std()] if isinstance(layer, ReLU) else []
        dx = layer.backward(dx)
    return values, gradients[::-1]

# %%
x = rng.normal(size=(256, 16)).astype(np.float32)
figure, axes = subplots(1, 2, size=(8, 3), sharey=True)
for normalized, gain, label, style in (
    (False, 1, "without", "s--"), (False, 6**0.5, "without, weights × √6", "^:"),
    (True, 1, "with LayerNorm", "o-"),
):
    rng = np.random.default_rng(5)
    for ax, values in zip(axes, sizes(deep(normalized, gain, rng), x, rng), strict=True):
        ax.plot(range(1, len(values) + 1), values, style, ms=4, label=label)
axes[0].set(yscale="log", xlabel="layer", ylabel="standard deviation", title="values")
axes[1].set(xlabel="layer", title="gradients")
axes[0].legend()
show(figure, "Standard deviation of values and gradients at each of 20 layers, on a logarithmic "
     "axis. Without LayerNorm the values fall by seven powers of ten from the first layer to the "
     "last, and the gradients from the last to the first. With weights times the root of 6, or with "
     "LayerNorm, both stay near the same size.")

# %% [markdown]
# Both remedies work. LayerNorm needed no √6: it forgets the size of what comes in, and so the scale
# of the weights. **Before you run the next cell:** we multiply the hidden weights by 5. What happens
# to the output of the network with LayerNorm? And to the gradient of those weights?

# %%
def output_and_gradient(gain):
    model = deep(True, gain, np.random.default_rng(5))
    y = model(x)
    model.backward(np.random.default_rng(6).normal(size=y.shape).astype(np.float32))
    return y, model.layers[1].dW

(y, dW), (y5, dW5) = output_and_gradient(1), output_and_gradient(5)
print(f"outputs differ by less than 1%: {np.abs(y5 - y).max() < 0.01 * y.std()}")
print(f"the gradient is {np.linalg.norm(dW) / np.linalg.norm(dW5):.1f} times smaller")

# %% [markdown]
# The output stays the same, and so does the loss: it has one value at $W$ and at $5W$. The
# landscape is stretched, and its slopes are a fifth as steep.
#
# Then training. Each of 128 vectors of 16 numbers belongs to one of four classes, by which of four
# random directions fits it best. We make 200 updates. Guessing costs $\ln 4$ or slightly less.

# %%
from numpygpt.nn import CrossEntropyLoss
from numpygpt.optim import SGD, Adam

def train(normalized, gain, make_optimizer, seed, depth=20):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(128, 16)).astype(np.float32)
    targets = (x @ rng.normal(size=(16, 4))).argmax(axis=-1)
    model, loss = deep(normalized, gain, rng, depth), CrossEntropyLoss()
    optimizer = make_optimizer(model)
    for _ in range(200):
        value = loss(model(x), targets)
        if not np.isfinite(value):
            return np.inf  # exploded
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return abs(value)  # a loss of 0 may come out as -0

# %%
gains = {"× 1": 1, "× √6": 6**0.5, "× 5": 5}
optimizers = {
    "SGD, 0.001": lambda model: SGD(model, lr=1e-3, momentum=0.9),
    "SGD, 0.01": lambda model: SGD(model, lr=1e-2, momentum=0.9),
    "Adam, 0.001": lambda model: Adam(model, lr=1e-3),
}

for normalized, title in ((False, "without LayerNorm"), (True, "with LayerNorm")):
    loss = train(normalized, gains["× 1"], optimizers["SGD, 0.001"], seed=5)
    print(f"SGD at 0.001, weights × 1, {title}: loss below 1.2: {loss < 1.2}")

# %% [markdown]
# That is one setting of nine. `python benchmarks/layernorm.py` has trained both networks in all of them, with
# the code of these cells: each of the three optimizers at three scales of the weights. Every setting
# runs from two seeds, and we keep the worse loss. In the file `null` stands for a run that exploded.
#
# **Before you run it: in how many of the nine settings will each network learn?**

# %%
import json
from pathlib import Path

found = json.loads(Path("../data/layernorm.json").read_text(encoding="utf-8"))["losses"]
losses = {}
for title, values in found.items():    # values: (optimizers, scales, seeds)
    losses[title] = np.nan_to_num(np.array(values, float), nan=np.inf).max(axis=-1)

# %%
figure, axes = subplots(1, 2, size=(8, 2.9), sharey=True)
for ax, (title, values) in zip(axes, losses.items(), strict=True):
    image = ax.imshow(np.minimum(values, np.log(4)), cmap="cividis_r", vmin=0, vmax=np.log(4))
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.3f}" if np.isfinite(value) else "explodes", ha="center",
                va="center", color="white" if value > 0.7 else "black")
    ax.set(title=title, xlabel="scale of the hidden weights")
    ax.set(xticks=range(3), xticklabels=gains, yticks=range(3), yticklabels=optimizers)
figure.colorbar(image, ax=axes, label="loss (nats)")
show(figure, "Two grids of losses after 200 updates, three optimizers by three scales of the weights. "
     "Without LayerNorm SGD learns in the middle column alone; it guesses with small weights and "
     "explodes with large ones. With LayerNorm only SGD at 0.01 with small weights guesses.")

# %%
for title, values in losses.items():
    print(f"{title}: loss below 1.2 in {(values < 1.2).sum()} of 9 settings")
print("Adam, weights × √6: smaller without LayerNorm:",
      bool(losses["without LayerNorm"][2, 1] < losses["with LayerNorm"][2, 1]))

# %% [markdown]
# LayerNorm is not what lets 20 layers learn. At the right scale the plain network learns with SGD,
# too, if less surely; with Adam it beats the other one. What it lacks is room: with SGD it guesses
# at smaller weights and explodes at larger ones. **With LayerNorm the scale of the weights no
# longer matters for what the network computes; it acts like a learning rate.** Weights five times
# as large have a gradient of a fifth, and are slow at 0.001. The smallest weights have the largest
# gradient: for them 0.01 is too long a step.
#
# Try it: train both at `depth=40`, with weights × √6 and SGD at 0.001, then at 0.01. Which learn?
#
# <details><summary>Answer</summary>
#
# At 0.001 only the one with LayerNorm: its two seeds end at 0.72 and 0.11, those of the plain
# network at 1.30 and 1.34. At 0.01 one run of four learns at all, a plain one: 0.63. LayerNorm
# alone does not make every depth trainable; chapter 11 adds what is missing.
#
# </details>
#
# ## Exercises
#
# Now write it yourself: [exercises/09_layernorm.ipynb](../exercises/09_layernorm.ipynb). A check says what is
# wrong, and `hint("variance-backward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | the gradient of a variance | medium | 15 |
# | LayerNorm backward | hard | 30 |
# | RMSNorm, forward and backward | hard | 30 |
#
# ## Recap
#
# - LayerNorm gives every vector mean 0 and variance 1, then a gain and a shift per channel. It
#   forgets a vector's mean and size, and with them the scale of the weights before it.
# - Seven small lines forward gave eight lines backward; algebra made two means of them, and we
#   showed that both agree.
# - $dx$ is at right angles to $\mathbf 1$ and, but for `eps`, to $\hat x$. With γ = 1 and ones as
#   upstream gradient it vanishes: never test with ones.
# - This chapter exports `numpygpt/nn/layernorm.py`.
# - Next: Attention, where the positions of a sequence look at each other.

# %%
export("09_layernorm")
