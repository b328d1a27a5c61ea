# %% [markdown]
# # Chapter 6: Optimizers
#
# The gradients are right. Now we walk down them. Here is the smallest landscape that makes this
# hard: a valley that is 25 times steeper along one axis than along the other,
# $L(p) = \frac12 (1 \cdot p_0^2 + 25 \cdot p_1^2)$. Its lowest point is $(0, 0)$, its gradient is
# $(1 \cdot p_0,\ 25 \cdot p_1)$. We take 100 steps of **gradient descent**,
# $p \leftarrow p - \text{lr} \cdot dp$, at three **learning rates** `lr`. Look at the last line.

# %%
import math
import numpy as np
from coursekit import add_to_class, export

k = np.array([1.0, 25.0])
for lr in (0.020, 0.078, 0.082):
    p = np.array([-8.0, 1.0])
    for _ in range(100):
        p = p - lr * (k * p)
    print(f"lr {lr:.3f}: after 100 steps p = ({p[0]:8.4f}, {p[1]:8.4f})")

# %% [markdown]
# At 0.020 the steep axis ($p_1$) has arrived and the flat one ($p_0$) has a way to go. At 0.078 both
# are near 0. At 0.082, a rate 5% larger, the steep axis ends more than 130 times as far away as it
# began. One rate must serve two directions that need different rates; a network has far more
# directions.
#
# **The question of this chapter: what should a step be, given the gradient?** Five answers follow:
# momentum, Adam, weight decay done right, clipping, and a rate that changes over time.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `p` | a parameter, any array of the model | any |
# | `g` | its gradient, summed up by `backward` | as `p` |
# | `v` (SGD), `m` (Adam) | a running sum, a running mean of gradients | as `p` |
# | `v` (Adam) | a running mean of squared gradients | as `p` |
# | `lr`, `momentum`, `beta1`, `beta2`, `eps` | settings | numbers |
# | `t` | steps taken | number |
#
# Nearly all of it works entry by entry, so an optimizer does not care what shape a parameter has.
#
# ## A model with two parameters
#
# We make the valley a `Module` (chapter 2), with `x` for the place of its lowest point.
# $L = \frac12 \sum_i k_i (p_i - x_i)^2$ gives $dp_i = k_i (p_i - x_i)$ and $dx_i = -dp_i$.

# %% tags=["widget"]
from numpygpt.nn import Module

class Valley(Module):
    def __init__(self):
        self.k = np.array([1.0, 25.0])  # no dk beside it: not a parameter
        self.p = np.array([-8.0, 1.0])
        self.dp = np.zeros(2)

    def forward(self, x):
        self.x = x
        return 0.5 * np.sum(self.k * (self.p - x) ** 2)

# %% tags=["widget"]
@add_to_class(Valley)
def backward(self, dloss=1.0):
    dp = dloss * self.k * (self.p - self.x)
    self.dp += dp
    return -dp

# %% [markdown]
# First, the check of chapter 1:

# %%
from numpygpt import gradcheck

rng = np.random.default_rng(6)
print(gradcheck(Valley(), rng.normal(size=2), rng=rng))

# %% [markdown]
# ## SGD: how large may a step be?
#
# **Stochastic gradient descent** (SGD) takes the gradient of a *batch*, a random part of the data. We
# come to the random part soon. Without it, we can say exactly what a step does in the valley. Put
# $dp_i = k_i (p_i - x_i)$ into the update:
#
# $$p_i - x_i \leftarrow (p_i - x_i) - \text{lr}\, k_i (p_i - x_i) = (1 - \text{lr}\, k_i)(p_i -
# x_i)$$
#
# Each distance is multiplied by its own factor $1 - \text{lr}\, k_i$, again and again:
#
# $$p_i^{(t)} - x_i = (1 - \text{lr}\, k_i)^t \, (p_i^{(0)} - x_i)$$
#
# It shrinks as long as $|1 - \text{lr}\, k_i| < 1$, that is, $\text{lr} < 2 / k_i$. The steepest
# direction sets the limit, and the flattest one pays for it.
#
# **Before you run the next cell:** what is the limit for our valley, and with which factor does the
# flat direction shrink there?

# %%
limit = 2 / k.max()
print(f"largest rate {limit:.3f}")
print(f"there, the flat distance shrinks by a factor of {1 - limit * k.min():.2f} per step")

# %% [markdown]
# The limit lies between 0.078 and 0.082. The ratio of the largest to the smallest $k$ is called
# the **condition number**; here it is 25. In a network nobody knows these numbers, nor even the
# directions that they belong to.
#
# ## SGD, as a class
#
# An optimizer holds the model and walks over `params()` and `grads()`. It changes each parameter in
# place (`p -= ...`), because the layers hold these very arrays. `v` is for momentum.

# %% tags=["export"] module="optim/sgd.py"
"""SGD, with momentum. Derived in chapter 06."""

import numpy as np

# %% tags=["export"]
class SGD:
    """v ← momentum · v + g; p ← p - lr · v, for each parameter p with gradient g."""

    def __init__(self, model, lr, momentum=0.0):
        self.model = model
        self.lr = lr
        self.momentum = momentum
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

# %% tags=["export"]
@add_to_class(SGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        v = self.v[name]
        v *= self.momentum
        v += grads[name]
        p -= self.lr * v

# %% [markdown]
# With `momentum=0` this is plain SGD. Three short methods complete the class: `state` returns what a run
# must save to continue later, and `load_state` puts it back.

# %% tags=["export"]
@add_to_class(SGD)
def zero_grad(self):
    self.model.zero_grad()

@add_to_class(SGD)
def state(self):
    """Return {name: array}: all that a resumed run needs."""
    return {f"v.{name}": v for name, v in self.v.items()}

@add_to_class(SGD)
def load_state(self, arrays):
    for name, v in self.v.items():
        v[...] = arrays[f"v.{name}"]

# %% [markdown]
# Here is a training loop as you will write it from now on: forward, clear, backward, step. It keeps
# the path for a figure below; we compare its end with the formula.

# %% tags=["widget"]
def descend(make_optimizer, steps=60, clear=True):
    """Return the path of p, (steps + 1, 2), for an optimizer of the valley around (0, 0)."""
    model = Valley()
    optimizer = make_optimizer(model)
    path = [model.p.copy()]
    for _ in range(steps):
        model(np.zeros(2))
        if clear:
            optimizer.zero_grad()
        model.backward()
        optimizer.step()
        path.append(model.p.copy())
    return np.array(path)

# %%
sgd_path = descend(lambda model: SGD(model, lr=0.07))
formula = (1 - 0.07 * k) ** 60 * np.array([-8.0, 1.0])
print(f"SGD ends at ({sgd_path[-1, 0]:.4f}, {sgd_path[-1, 1]:.4f})")
print("as the formula says:", np.allclose(sgd_path[-1], formula))

# %% [markdown]
# ### The stochastic part
#
# Let 200 random examples be the data, each with a lowest point `x` of its own, and let the loss be the
# mean of their valleys. The mean of all `x` is $(0, 0)$, so the lowest point of the whole stays where it
# was. The gradient of a batch is $k_i (p_i - \bar x_i)$, with $\bar x$ the mean of that batch.
#
# **Before you run the next cells:** a batch of all 200 arrives at the lowest point. Does a batch of 10
# arrive, with the same rate? With a tenth of it?

# %%
examples = np.random.default_rng(6).normal(size=(200, 2))
examples -= examples.mean(axis=0)

def distances(lr, batch, steps=1000):
    """Return the distance from the lowest point after each step."""
    model, rng, found = Valley(), np.random.default_rng(1), []
    optimizer = SGD(model, lr)
    for _ in range(steps):
        model(rng.choice(examples, batch, replace=False).mean(axis=0))
        optimizer.zero_grad()
        model.backward()
        optimizer.step()
        found.append(np.linalg.norm(model.p))
    return found

# %%
from coursekit.figures import BLUE, GREEN, ORANGE, show, subplots

figure, ax = subplots(size=(6.6, 3))
for lr, batch, style, color in ((0.07, 200, "-", BLUE), (0.07, 10, ":", ORANGE), (0.007, 10, "--", GREEN)):
    found = distances(lr, batch)
    print(f"lr {lr:5}, batch {batch:3}: mean distance over the last 300 steps {np.mean(found[-300:]):.2f}")
    ax.semilogy(found, style, color=color, lw=1, label=f"lr {lr}, batch {batch}")
ax.set(xlabel="step", ylabel="distance from\nthe lowest point", ylim=(5e-3, 60))
ax.legend(ncols=3, loc="upper center")
show(figure, "Distance from the lowest point against the step, logarithmic. With all 200 examples it "
     "falls out of the picture after about 100 steps. With batches of 10 it soon levels off and "
     "jitters around 0.6; with a tenth of the rate it falls ten times more slowly and jitters "
     "around 0.08.")

# %% [markdown]
# A batch of 10 points in the right direction on average only. So the path never comes to rest: it
# jitters, and more at a larger rate. But a batch costs a twentieth as much as the whole data, and
# far from the lowest point it is nearly as good. Hence small batches, and a rate that ends small.

# %% [markdown]
# ## Momentum: remember where you were going
#
# Back to the whole data. Across the valley the gradient changes sign at every step; along it, the
# gradient always points the same way. A running sum cancels the first kind and collects the second.
# Write out $v$ after $t$ steps, with $\mu$ for `momentum`:
#
# $$v_t = g_t + \mu\, v_{t-1} = g_t + \mu\, g_{t-1} + \mu^2 g_{t-2} + \dots = \sum_{s=1}^{t}
# \mu^{t-s} g_s$$
#
# If $g$ stays the same, this is $g\,(1 + \mu + \mu^2 + \dots)$, which tends to $g / (1 - \mu)$.
#
# **Before you run the next cell:** with $\mu = 0.9$ and a gradient that is always 1, what does $v$
# become? And if it is 1, −1, 1, −1, …?

# %%
v_same = v_flip = 0.0
for t in range(200):
    v_same = 0.9 * v_same + 1
    v_flip = 0.9 * v_flip + (-1) ** t
print(f"always 1: v = {v_same:.4f}      1, -1, 1, ...: |v| = {abs(v_flip):.4f}")

# %% [markdown]
# Ten times the step along the valley, about half a step across. Now in our valley, 60 steps each:

# %%
momentum_path = descend(lambda model: SGD(model, lr=0.035, momentum=0.9))
for name, path in [("SGD", sgd_path), ("momentum 0.9", momentum_path)]:
    print(f"{name:14} distance from the lowest point: {np.linalg.norm(path[-1]):.4f}")

# %% [markdown]
# Momentum 0.9 is so fast here that it runs past the lowest point and swings back, yet it ends closer
# than SGD. In practice 0.9 is the usual choice, swing and all.
#
# **Before you run the next cell:** a loop forgets `zero_grad()`, so `g` is the sum of all gradients
# so far. Which setting of SGD does exactly the same?

# %%
forgot = descend(lambda model: SGD(model, lr=0.01), clear=False)
momentum_1 = descend(lambda model: SGD(model, lr=0.01, momentum=1.0))
print("the same path as with momentum 1:", np.allclose(forgot, momentum_1))
print(f"largest |p_1| in the last 20 steps: {np.abs(forgot[-20:, 1]).max():.2f}, at the start 1.00")
loss_of_path = 0.5 * (forgot**2 * k).sum(axis=1)
print("loss at every 12th step:", loss_of_path[::12].round(1))

# %% [markdown]
# A sum that forgets nothing is momentum without friction: it swings forever. So a missing `zero_grad`
# shows in a loss that goes down, then up, then down.
#
# ## Adam: a rate for every parameter
#
# SGD's step is proportional to the gradient, and that is odd: in a steep direction the step should
# be *short*. **Adam** (adaptive moment estimation) divides a mean of the gradient by its typical
# size, the root of a mean of its square, entry by entry. (This $v$ is not SGD's; both names are
# customary.)
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\,
# g_t^2$$
#
# Both are **exponential moving averages** that start at 0, so they are too small at first. Unroll one:
#
# $$m_t = (1 - \beta_1) \sum_{s=1}^{t} \beta_1^{t-s} g_s$$
#
# The weights sum to $(1 - \beta_1)(1 + \beta_1 + \dots + \beta_1^{t-1}) = 1 - \beta_1^t$, not to 1.
# Divide by that sum, and they do. This is Adam's **bias correction**:
#
# $$\hat m_t = \frac{m_t}{1 - \beta_1^t} \qquad \hat v_t = \frac{v_t}{1 - \beta_2^t} \qquad p
# \leftarrow p - \text{lr}\, \frac{\hat m_t}{\sqrt{\hat v_t} + \text{eps}}$$
#
# The first step by hand, for $g = 4$, $\beta_1 = 0.9$, $\beta_2 = 0.999$. Watch the ratio in the last
# two lines: it is the step in units of `lr`.

# %%
g = 4.0
m, v = (1 - 0.9) * g, (1 - 0.999) * g**2
m_hat, v_hat = m / (1 - 0.9**1), v / (1 - 0.999**1)
print(f"m = {m:.4f}, v = {v:.4f}, m_hat = {m_hat:.4f}, v_hat = {v_hat:.4f}")
print(f"without correction: m / sqrt(v) = {m / math.sqrt(v):.4f}")
print(f"with correction: m_hat / sqrt(v_hat) = {m_hat / math.sqrt(v_hat):.4f}")

# %% [markdown]
# With the correction the first step is `lr`, whatever $g$ is: $\hat m = g$ and
# $\sqrt{\hat v} = |g|$. Without it, the first step is 3.16 times too long, because $v$ starts
# further below its target than $m$ does.
#
# ## Adam: index by index, then in place
#
# First a slow reference: it computes each entry on its own, straight from the sums above.

# %%
def adam_by_index(p, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    p = p.copy()
    for t in range(1, len(gradients) + 1):
        for i in range(len(p)):
            g = [gradient[i] for gradient in gradients[:t]]  # g[s - 1] is the gradient of step s
            m = sum((1 - beta1) * beta1 ** (t - s) * g[s - 1] for s in range(1, t + 1))
            v = sum((1 - beta2) * beta2 ** (t - s) * g[s - 1] ** 2 for s in range(1, t + 1))
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            p[i] -= lr * m_hat / (math.sqrt(v_hat) + eps)
    return p

# %% [markdown]
# Now the class. `weight_decay` has its own section below; at 0 it does nothing.

# %% tags=["export"] module="optim/adam.py"
"""Adam, with the decoupled weight decay of AdamW. Derived in chapter 06."""

import math

import numpy as np

# %% tags=["export"]
class Adam:
    """p ← p - lr m̂ / (√v̂ + eps), for each parameter p with gradient g.

    m ← β₁ m + (1-β₁) g,  m̂ = m / (1-β₁ᵗ);  v ← β₂ v + (1-β₂) g²,  v̂ = v / (1-β₂ᵗ).
    With weight_decay > 0, p ← (1 - lr · weight_decay) p first, for arrays of two or more
    dimensions (gains and biases are not decayed). Sources: Kingma and Ba, Adam, 2014;
    Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017.
    """

    def __init__(self, model, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        self.model = model
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.t = 0  # steps taken
        self.m = {name: np.zeros_like(p) for name, p in model.params().items()}
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

# %% [markdown]
# The corrections $1 - \beta_1^t$ and $1 - \beta_2^t$ are the same for all entries. So we keep no
# arrays $\hat m$ and $\hat v$: the first goes into the step size, and the root of the second
# divides $\sqrt v$:
#
# $$\text{lr}\, \frac{\hat m}{\sqrt{\hat v} + \text{eps}} = \underbrace{\frac{\text{lr}}{1 -
# \beta_1^t}}_{\text{step size}} \cdot \frac{m}{\sqrt{v} \,/\, \sqrt{1 - \beta_2^t} + \text{eps}}$$

# %% tags=["export"]
@add_to_class(Adam)
def step(self):
    self.t += 1
    beta1, beta2 = self.betas
    # m̂ and v̂ differ from m and v by one number each; that of m̂ goes into the step size.
    step_size = self.lr / (1 - beta1**self.t)
    root2 = math.sqrt(1 - beta2**self.t)
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        if self.weight_decay and p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        p -= step_size * m / (np.sqrt(v) / root2 + self.eps)

# %% [markdown]
# `zero_grad` is as before. The state also holds `t`: a run that resumes with `t = 0` would correct a bias
# that is no longer there.

# %% tags=["export"]
@add_to_class(Adam)
def zero_grad(self):
    self.model.zero_grad()

@add_to_class(Adam)
def state(self):
    """Return {name: array}: all that a resumed run needs."""
    arrays = {f"m.{name}": m for name, m in self.m.items()}
    arrays |= {f"v.{name}": v for name, v in self.v.items()}
    return arrays | {"t": np.array(self.t)}

# %% tags=["export"]
@add_to_class(Adam)
def load_state(self, arrays):
    self.t = int(arrays["t"])
    for name in self.m:
        self.m[name][...] = arrays[f"m.{name}"]
        self.v[name][...] = arrays[f"v.{name}"]

# %% [markdown]
# An update rule has no backward pass for `gradcheck`. Instead, `check_adam` gives the same random
# gradients to the class and to the slow reference, and names the first step after which the parameters
# differ.

# %%
def check_adam(adam_class, steps=7):
    gradients = np.random.default_rng(3).normal(size=(steps, 2))
    model = Valley()
    start, optimizer = model.p.copy(), adam_class(model, lr=0.1)
    for t in range(1, steps + 1):
        model.dp[...] = gradients[t - 1]
        optimizer.step()
        expected = adam_by_index(start, gradients[:t], lr=0.1)
        if not np.allclose(model.p, expected, rtol=1e-9):
            ratio = (model.p - start) / (expected - start)
            return f"step {t} is wrong: p moved {ratio[0]:.4f} times as far as it should"
    return f"{steps} steps agree"

# %%
print(check_adam(Adam))

# %% [markdown]
# Break it on purpose: the same class without the bias correction, a common slip.
#
# **Before you run the next cell:** at which step is it caught, and with which ratio?

# %% tags=["widget"]
class NoCorrection(Adam):
    def step(self):
        self.t = 10**6  # as if the start were long ago: 1 - beta**t is 1
        Adam.step(self)

# %%
print(check_adam(NoCorrection))

# %% [markdown]
# At the first, with the 3.16 from above. Another property follows from the formula. Multiply the loss
# by 1000: every $g$, and with it $m$ and $\sqrt{v}$, becomes 1000 times larger.
#
# **Before you run the next cell:** how do the first steps of SGD and Adam change?

# %%
def first_step(make_optimizer, scale):
    model = Valley()
    before = model.p.copy()
    model(np.zeros(2))
    model.backward(scale)  # dloss = scale: the gradient of scale times the loss
    make_optimizer(model).step()
    return np.abs(model.p - before)

for name, make in (("SGD", lambda m: SGD(m, lr=0.01)), ("Adam", lambda m: Adam(m, lr=0.01))):
    one, thousand = first_step(make, 1), first_step(make, 1000)
    print(f"{name:5} step lengths {one.round(4)}, with the loss times 1000: {thousand.round(4)}")

# %% [markdown]
# Adam's step does not depend on the units of the loss. A rate means the same in every layer: about
# the most that an entry moves per step.
#
# ## Three paths over one valley
#
# Look at the zigzag, the swing, and the direction in which Adam sets out.

# %% tags=["widget"]
from coursekit.figures import BLUE, GRAY, ORANGE, show, subplots

a, b = np.meshgrid(np.linspace(-9, 6, 120), np.linspace(-2, 2, 80))

def draw_path(ax, path, title, color):
    ax.contour(a, b, 0.5 * (a**2 + 25 * b**2), levels=12, colors="#999999", linewidths=0.6)
    ax.plot(path[:, 0], path[:, 1], ".-", color=color, lw=1.2, ms=4)
    ax.plot(0, 0, "k+", ms=10)
    ax.set(title=title, ylabel="$p_1$ (steep)", xlim=(-9, 6), ylim=(-2, 2))

# %%
adam_path = descend(lambda model: Adam(model, lr=0.5))
paths = {
    "SGD, lr 0.07": sgd_path,
    "momentum 0.9, lr 0.035": momentum_path,
    "Adam, lr 0.5": adam_path,
}
figure, axes = subplots(3, 1, size=(6.6, 5.4), sharex=True)
for ax, color, (name, path) in zip(axes, ("C0", "C1", "C2"), paths.items(), strict=True):
    draw_path(ax, path, name, color)
axes[-1].set_xlabel("$p_0$ (flat)")
show(figure, "Contour lines of a long valley with the paths of three optimizers, 60 steps each. "
     "SGD zigzags across the valley while creeping along it. Momentum swings past the lowest point and "
     "comes back. Adam sets out diagonally, as fast along the flat axis as along the steep one.")

# %% [markdown]
# The picture stretches the steep axis. SGD and momentum set out across the valley, where the slope
# is. Adam's first step is as long along $p_0$ as along $p_1$.
#
# **Before you run the next cell:** who is closest after 60 steps? The rates above are ours. For a fair
# race the cell also gives each its best of 81 rates.

# %%
rules = {
    "SGD": lambda lr: descend(lambda model: SGD(model, lr))[-1],
    "momentum 0.9": lambda lr: descend(lambda model: SGD(model, lr, momentum=0.9))[-1],
    "Adam": lambda lr: descend(lambda model: Adam(model, lr))[-1],
}
with np.errstate(all="ignore"):  # SGD overflows at the largest rates
    for path, (name, end) in zip(paths.values(), rules.items(), strict=True):
        best = min(np.linalg.norm(end(lr)) for lr in np.logspace(-3, 1, 81))
        print(f"{name:14} distance {np.linalg.norm(path[-1]):.2f}, at its best rate {best:.2f}")

# %% [markdown]
# Momentum wins here, and at our rate Adam is the furthest away: it overshot along $p_0$ ($m$ is a
# kind of momentum), and after 60 steps it is still swinging. One smooth valley is not what Adam is
# good at; the last experiment shows what is.
#
# `draw_adam` shows Adam's path beside the length of every step, in units of `lr`, first without the
# correction. **Before you look:** where does the curve on the right begin?

# %% tags=["widget"]
def draw_adam(lr, beta1, beta2, correction):
    rule = Adam if correction else NoCorrection
    path = descend(lambda model: rule(model, lr, betas=(beta1, beta2)))
    margins = {"left": 0.08, "right": 0.99, "bottom": 0.17, "top": 0.9, "width_ratios": [3, 2]}
    figure, (left, right) = subplots(1, 2, size=(9, 3), margins=margins)
    draw_path(left, path, f"distance at the end: {np.linalg.norm(path[-1]):.2f}", BLUE)
    left.set_xlabel("$p_0$ (flat)")
    for i, color, style in ((0, BLUE, "-"), (1, ORANGE, "--")):
        right.plot(range(1, 61), np.abs(np.diff(path[:, i])) / lr, style, color=color, label=f"$p_{i}$")
    right.set(xlabel="step", ylabel="length of the step / lr", ylim=(0, None))
    right.legend()
    first = np.abs(path[1] - path[0]).max() / lr
    show(figure, "Left: Adam's path over the valley. Right: the length of each of 60 steps along "
         f"both axes, divided by the learning rate: {first:.2f} at the first step. It dips "
         "toward 0 wherever the path turns back.")
    return figure

# %%
figure = draw_adam(lr=0.5, beta1=0.9, beta2=0.999, correction=False)

# %% [markdown]
# It begins at 3.16 on both axes. The first few steps are the longest of all, just when Adam
# knows least. Switch the correction on. At which $\beta_1$ does the path no longer overshoot along
# $p_0$? And what is left of Adam when both betas are 0? (In a running notebook you see sliders.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatSlider, SelectionSlider, interactive

panel = interactive(
    draw_adam, correction=False, lr=FloatSlider(0.5, min=0.05, max=1, step=0.05),
    beta1=FloatSlider(0.9, min=0, max=0.95, step=0.05),
    beta2=SelectionSlider(options=[0.0, 0.5, 0.9, 0.99, 0.999], value=0.999))
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# From about $\beta_1 = 0.65$ down, as far as the eye can tell: it still overshoots by 0.006 there,
# at 0.5 not at all. With both betas at 0, $m$ is $g$ and $\sqrt v$ is $|g|$: almost every step is
# exactly `lr` long on both axes, up or down by the sign of the gradient alone. (Two are shorter,
# where $|g|$ is as small as `eps`: 0.60 `lr` on $p_1$ at step 3, 0.77 `lr` on $p_0$ at step 17.) So
# the path reaches the lowest point and then jumps back and forth around it.
#
# </details>

# %% [markdown]
# ## Weight decay: L2 is not AdamW
#
# Large weights often mean that a model has memorized its training data. A classic remedy
# adds $\frac{\lambda}{2} \lVert p \rVert^2$ to the loss (**L2 regularization**), which adds
# $\lambda p$ to the gradient. For SGD this is the same as shrinking the weights:
#
# $$p - \text{lr}\,(g + \lambda p) = (1 - \text{lr}\,\lambda)\, p - \text{lr}\, g$$
#
# In Adam it is not: there $\lambda p$ is divided by $\sqrt{\hat v}$ along with the rest.
# **AdamW** *decouples* the decay from the gradient: first $p \leftarrow (1 - \text{lr}\,\lambda)\, p$,
# then Adam's step. That is the line with `weight_decay`, our $\lambda$, in `step`. It skips arrays with
# one dimension: there is no reason to pull a bias toward 0.
#
# We test both on two weights of 1 whose gradients only change sign, $\pm 10$ and $\pm 0.1$. The gradients
# cancel, so in the long run only the decay moves the weights.
#
# **Before you run the next cell:** which of the two weights does L2 decay less?

# %%
class TwoWeights(Module):
    def __init__(self):
        self.W, self.dW = np.ones((1, 2)), np.zeros((1, 2))

def decayed(l2, decoupled, steps=1000):
    model = TwoWeights()
    optimizer = Adam(model, lr=0.01, weight_decay=decoupled)
    for t in range(steps):
        model.dW[...] = np.array([10.0, 0.1]) * (-1) ** t + l2 * model.W
        optimizer.step()
    return model.W[0]

# %%
print("gradient of size:        10      0.1")
for name, W in (("Adam + L2", decayed(0.1, 0.0)), ("AdamW", decayed(0.0, 0.1))):
    print(f"{name:16}{W[0]:11.2f}{W[1]:9.2f}")
print(f"(1 - lr * decay) ** 1000 = {(1 - 0.01 * 0.1) ** 1000:.2f}")

# %% [markdown]
# With L2 the weight with the large gradients has hardly moved, because its decay was divided by their
# size; the other weight is gone. AdamW decays both alike, to about the value in the last line.
#
# ## Clipping: one bad batch must not undo a thousand good ones
#
# Now and then a batch gives a gradient a hundred times as long as usual. **Clipping by norm** treats
# all gradients of the model as one long vector and shortens it to at most `max_norm`:
#
# $$\lVert g \rVert = \sqrt{\textstyle\sum_{\text{arrays}} \sum_i g_i^2} \qquad g \leftarrow g \cdot
# \min\left(1, \frac{\text{max\_norm}}{\lVert g \rVert}\right)$$
#
# One factor serves all arrays, so the length changes and the direction stays. Clipping each entry
# on its own would change the direction.

# %% tags=["export"] module="optim/clip.py"
"""Clipping the gradient by its norm. Derived in chapter 06."""

import math

import numpy as np

# %% tags=["export"]
def clip_grad_norm(model, max_norm):
    """Scale all gradients of `model` in place so that their joint norm is at most `max_norm`.

    Returns:
        The norm before clipping, √ Σ g² over all entries of all gradients; inf or nan is returned
        as it is, and then nothing is scaled.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks,
    2013.
    """
    grads = model.grads().values()
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
    # Not if infinite: the scale would be 0, and inf * 0 is nan. Not if nan: that compares as False.
    if max_norm < norm < math.inf:
        # The 1e-6 is PyTorch's, so that both give the same numbers.
        scale = max_norm / (norm + 1e-6)
        for g in grads:
            g *= scale
    return norm

# %% [markdown]
# A gradient of $(3, 4)$ has norm 5. We clip it at 1, then at 10; then we spoil one entry. The function
# returns the norm *before* clipping.

# %%
model = Valley()
for g, max_norm in (([3, 4], 1), ([3, 4], 10), ([3, np.inf], 1)):
    model.dp[...] = g
    norm = clip_grad_norm(model, max_norm)
    print(f"g = {g}, max_norm = {max_norm:2}: norm {norm:.1f}, afterward {model.dp.round(4)}")

# %% [markdown]
# No factor can repair an infinite gradient, so it is left as it was. A loop that gets `inf` back should
# stop.
#
# ## Schedules: large steps first, small ones last
#
# A large rate finds the valley; a small one settles in it, as the batches of 10 showed. And the very
# first steps are the least informed of all: Adam's $\hat v$ is then the mean of a handful of squares.
# So the usual schedule has a **warm-up**, a straight line up, and then half a cosine down. At step $t$,
# with `warmup` steps of warm-up, `total` steps in all, and `done` running from 0 to 1:
#
# $$\text{lr}_t = \text{base} \cdot \frac{t + 1}{\text{warmup}} \qquad (t < \text{warmup})$$
#
# $$\text{lr}_t = \text{min} + \tfrac12 (1 + \cos (\pi \cdot \text{done}))(\text{base} - \text{min})
# \qquad \text{done} = \frac{t - \text{warmup}}{\text{total} - \text{warmup}}
# \qquad (\text{warmup} \le t < \text{total})$$
#
# First, what all schedules share. `lr_at` depends on the step alone, so a run can resume anywhere.

# %% tags=["export"] module="optim/lr_scheduler.py"
"""Learning-rate schedules: warm-up then cosine, and step decay. Derived in chapter 06."""

import math

# %% tags=["export"]
class LRScheduler:
    """Sets optimizer.lr: to lr_at(0) when made, to lr_at(1), lr_at(2), … at each step()."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.t = 0
        optimizer.lr = self.lr_at(0)

    def lr_at(self, step):
        raise NotImplementedError

    def step(self):
        self.t += 1
        self.optimizer.lr = self.lr_at(self.t)

# %% tags=["export"]
class WarmupCosineLR(LRScheduler):
    """A straight line up to the base rate over warmup_steps, then half a cosine down to min_lr.

    min_lr is reached at total_steps and kept from there on.
    Source: Loshchilov and Hutter, SGDR, 2016 (the cosine); Goyal et al., 2017 (the warm-up).
    """

    def __init__(self, optimizer, warmup_steps, total_steps, min_lr):
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.min_lr = min_lr
        super().__init__(optimizer)

# %% tags=["export"]
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    """Return the rate of update number `step`, counted from 0."""
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% [markdown]
# **Step decay** is older and simpler: multiply by `gamma` after every `step_size` steps.

# %% tags=["export"]
class StepLR(LRScheduler):
    """The base rate, times gamma after every step_size steps."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, step):
        """Return the rate of update number `step`, counted from 0."""
        return self.base_lr * self.gamma ** (step // self.step_size)

# %% [markdown]
# In a loop, `scheduler.step()` comes after `optimizer.step()`.
#
# **Before you run the next cell:** base rate 1, 4 steps of warm-up, 12 in all. What is the rate of
# the very first update?

# %%
optimizer = SGD(Valley(), lr=1.0)
scheduler = WarmupCosineLR(optimizer, warmup_steps=4, total_steps=12, min_lr=0.1)
rates = []
for _ in range(14):
    rates.append(optimizer.lr)
    scheduler.step()
print(" ".join(f"{rate:.2f}" for rate in rates))

# %% [markdown]
# A quarter of the base rate: a first step of length 0 would be wasted. Here are both schedules at
# length.

# %%
figure, ax = subplots(size=(6, 2.8))
cosine = WarmupCosineLR(SGD(Valley(), lr=1e-3), 100, 1000, 1e-4)
halved = StepLR(SGD(Valley(), lr=1e-3), 250, 0.5)
ax.plot([cosine.lr_at(t) for t in range(1100)], label="WarmupCosineLR(100, 1000, 1e-4)")
ax.plot([halved.lr_at(t) for t in range(1100)], "--", label="StepLR(250, 0.5)")
ax.set(xlabel="update", ylabel="learning rate", ylim=(0, None))
ax.legend()
show(figure, "Learning rate against update. The warm-up cosine rises in a line to 0.001 over 100 "
     "updates, falls along half a cosine to 0.0001 at update 1000 and stays. The step schedule "
     "halves every 250.")

# %% [markdown]
# ## Experiment: how forgiving is each optimizer?
#
# A small network, built from the layers of chapters 3 to 5, learns to tell two curved rows of points
# apart. Each optimizer gets 200 updates at each of eleven rates, from three random starts. Over how wide
# a range of rates does it learn?
#
# Adam has two things that SGD lacks, a mean of gradients and a division by their size. So we add
# two rivals, each with only one of these: SGD with momentum 0.99, and Adam with $\beta_1 = 0$. And
# there are two tasks: the inputs as they are, and with the first one in other units, ten times
# larger.
#
# **Before you look:** which of the two differences is the one that forgives?

# %%
from numpygpt.nn import CrossEntropyLoss, Linear, ReLU, Sequential

rng = np.random.default_rng(0)
radius = np.linspace(0.2, 1, 100)
arm = np.stack([radius * np.cos(5 * radius), radius * np.sin(5 * radius)], axis=1)
points = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (200, 2))  # (200, 2)
labels = np.repeat([0, 1], 100)

# %%
def final_loss(make, lr, units, seed, steps=200):
    rng = np.random.default_rng(seed)
    model = Sequential(Linear(2, 32, rng=rng, dtype=np.float64), ReLU(),
                       Linear(32, 2, rng=rng, dtype=np.float64))
    loss, optimizer = CrossEntropyLoss(), make(model, lr)
    for _ in range(steps):
        value = loss(model(points * units), labels)
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return value

# %%
makers = {
    "SGD": SGD,
    "momentum 0.9": lambda model, lr: SGD(model, lr, momentum=0.9),
    "momentum 0.99": lambda model, lr: SGD(model, lr, momentum=0.99),
    "Adam": Adam,
    "Adam, beta1 = 0": lambda model, lr: Adam(model, lr, betas=(0, 0.999)),
}
rates = np.logspace(-4, 1, 11)

# %%
def sweep(units, seed):
    """Return {optimizer: its losses at the 11 rates} from one start."""
    with np.errstate(all="ignore"):  # a rate that is far too high may overflow
        return {
            name: np.array([final_loss(make, lr, units, seed) for lr in rates])
            for name, make in makers.items()
        }

for name, losses in sweep(units=(1, 1), seed=1).items():
    print(f"{name:16} inputs alike: {(losses < 0.1).sum()} of 11 rates end below a loss of 0.1")

# %% [markdown]
# That is one start of three, and one task of two. `python benchmarks/optimizers.py` makes the other sweeps
# with the same code, in half a minute. We read its file.

# %%
import json
from pathlib import Path

found = json.loads(Path("../data/optimizers.json").read_text(encoding="utf-8"))["losses"]

def from_file(task):
    """Return {optimizer: losses}, each (11 rates, 3 starts); NaN where a number overflowed."""
    return {name: np.array(losses, float) for name, losses in found[task].items()}

alike, unlike = from_file("inputs alike"), from_file("first input times 10")

# %%
def draw_sweep(ax, losses, title):
    for (name, values), style in zip(losses.items(), ("o-", "s--", "D--", "^-.", "v-."), strict=True):
        values = np.minimum(np.nan_to_num(values, nan=1.5), 1.5)
        line, = ax.plot(rates, np.median(values, axis=1), style, ms=4, label=name)
        ax.fill_between(rates, values.min(axis=1), values.max(axis=1), color=line.get_color(), alpha=0.2)
    ax.axhline(math.log(2), color=GRAY, lw=0.8)
    ax.text(1e-4, math.log(2) + 0.02, "guessing")
    ax.set(xscale="log", xlabel="learning rate", title=title)

# %%
figure, axes = subplots(1, 3, size=(10.5, 3.4), width_ratios=[2, 3, 3])
for label, style in ((0, "o"), (1, "^")):
    axes[0].plot(*points[labels == label].T, style, ms=3)
    axes[0].text(*(points[labels == label][-1] * 1.3), f"class {label}", ha="center", color=f"C{label}")
axes[0].set(xlabel="first input", ylabel="second input", title="the task", aspect="equal",
            xlim=(-1.3, 1.3), ylim=(-1.5, 1.5))
draw_sweep(axes[1], alike, "inputs alike")
draw_sweep(axes[2], unlike, "first input times 10")
axes[1].set(ylabel="loss at update 200\n(nats, cut at 1.5)"); axes[1].legend(fontsize=8)
show(figure, "Left: the points, two arcs that curl around each other, one for each class. Middle and "
     "right: the loss at update 200 against the learning rate for five optimizers, the median of "
     "three starts and their band, with a gray line at the loss of guessing, ln 2. Each curve falls "
     "and rises. In the middle the low parts of momentum 0.99 and Adam are equally wide. On the right "
     "those of SGD and momentum have shrunk to a point or two, and Adam's are wider.")

# %%
print("rates, of 11, that end below a loss of 0.1, for each of three starts")
for name in makers:
    counts = [(losses[name] < 0.1).sum(axis=0) for losses in (alike, unlike)]
    print(f"{name:16} inputs alike {counts[0]}   first input times 10 {counts[1]}")

# %% [markdown]
# With inputs alike, Adam is no better than momentum 0.99: each learns at about five rates. Where inputs
# differ in size, so do the gradients of the weights behind them, and no single rate fits them all. SGD
# keeps one rate or two whatever its momentum, and sometimes none. Adam keeps four, and with
# $\beta_1 = 0$ at least as many: it is the division that forgives. In a language model gradients differ
# in size from layer to layer, one reason why most are trained with Adam. The price is memory: two more
# arrays for each parameter, where SGD with momentum keeps one.
#
# Try it: make one input ten times *smaller*, then the other. The file has both sweeps: put
# `from_file("first input times 0.1")` and `from_file("second input times 0.1")` in the place of `alike`
# and `unlike`, and run the cell that counts. Who still learns?

# %% [markdown]
# <details><summary>Answer</summary>
#
# With a small first input SGD learns at no rate, momentum 0.9 at 3, momentum 0.99 at 3 or 4, Adam at 4
# or 5, and Adam with $\beta_1 = 0$ at 4 to 7. The second input is needed more: if it is the small one,
# SGD and both momenta learn at no rate, Adam at 1, with $\beta_1 = 0$ at 1 or 2. No optimizer makes up
# for badly scaled inputs: bring them to one size first where you can.
#
# </details>

# %% [markdown]
# ## Exercises
#
# Now write them yourself: [exercises/06_optimizers.ipynb](../exercises/06_optimizers.ipynb). A check says what is
# wrong, and `hint("sgd-step")` helps.
#
# | task | | minutes |
# |---|---|---|
# | a step of SGD | easy | 10 |
# | a schedule | easy | 10 |
# | clipping by norm | medium | 15 |
# | a step of Adam | medium | 25 |
# | Nesterov momentum | hard | 20 |
#
# ## Recap
#
# - We checked plain SGD against $(1 - \text{lr}\,k)^t$, and Adam against sums over the whole history. A
#   batch adds jitter that grows with the rate.
# - Momentum is a sum that forgets; Adam divides a mean by a size, which forgives gradients of unlike
#   sizes; the bias correction makes the weights of its means sum to 1.
# - The next cell writes SGD, Adam with AdamW's decay, clipping and two schedules to `numpygpt/optim/`.
# - Next: A first language model, trained on Shakespeare.

# %%
export("06_optimizers")
