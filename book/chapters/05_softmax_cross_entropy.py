# %% [markdown]
# # Chapter 5: Softmax and cross-entropy
#
# A language model ends with one score for each entry of its *vocabulary*, the list of everything it
# can write next: for example, one score for each character. A score can be any number; we want
# probabilities. The usual way is the *softmax*: take the exponential of each score, which makes it
# positive, and divide by the sum.

# %%
import numpy as np

def naive_softmax(x):
    e = np.exp(x)
    return e / e.sum()

print(naive_softmax(np.array([1.0, 2.0, 3.0])).round(4))
with np.errstate(all="ignore"):    # NumPy would warn; we look at the result
    print(naive_softmax(np.array([100.0, 101.0, 102.0], dtype=np.float32)))

# %% [markdown]
# The second line should be no harder: every score is 99 higher, so the ranking is the same. The
# answer is `nan`, *not a number*. Once a `nan` is in the loss, it is in every gradient, and after
# one step in every weight.
#
# **The question of this chapter:** how do we turn scores into probabilities and a loss that never
# break, and what gradient goes back to the scores?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `logits` | scores, one row per example | `(N, V)` |
# | `p` | probabilities, `softmax(x)`; each row sums to 1 | `(N, V)` |
# | `targets` | which entry was right, an integer from 0 to V - 1 | `(N,)` |
# | `y` | the same, *one-hot*: 1 at the target and 0 elsewhere | `(N, V)` |
# | `loss` | one number for the whole batch | `()` |
#
# Scores that go into a softmax are called *logits*. `V` is the size of the vocabulary. The code
# takes any number of leading axes, such as `(B, T, V)`.
#
# ## A softmax that does not break
#
# $$p_i = \frac{e^{x_i}}{\sum_k e^{x_k}}$$
#
# In float32, $e^{100}$ is too large and becomes infinity, and infinity divided by infinity is
# `nan`. But we may subtract any number $m$ from all scores of a row, because its exponential
# cancels:
#
# $$\frac{e^{x_i - m}}{\sum_k e^{x_k - m}} = \frac{e^{-m}\, e^{x_i}}{e^{-m} \sum_k e^{x_k}} = p_i$$
#
# We choose the largest score of the row for $m$. Then the largest exponent is 0, nothing
# overflows, and the sum is at least 1, so that we never divide by 0. Here the module
# `numpygpt/nn/functional.py` starts. It holds functions; the layers around them follow.

# %% tags=["export"] module="nn/functional.py"
"""softmax, log_softmax, cross-entropy, and the Softmax layer. Derived in chapter 05."""

import numpy as np

from numpygpt.nn.module import Module

from coursekit import export

# %% tags=["export"]
def softmax(x, axis=-1):
    """Return p = exp(x) / Σ exp(x) along `axis`; x: any shape, p: the same, sums of 1."""
    # Subtract the max: exp(1000) overflows, and p stays the same. Integers become floats.
    p = np.subtract(x, x.max(axis=axis, keepdims=True), dtype=np.result_type(x, np.float16))
    np.exp(p, out=p)
    p /= p.sum(axis=axis, keepdims=True)
    return p

# %% [markdown]
# By hand, two rows of three. In the first row, the exponentials are 1, 2 and 5. **Before you run
# the next cell:** what is the first row of `p`? And what is the second row, whose scores are those
# of the first plus 1000?

# %%
x = np.log([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]) + np.array([[0.0], [1000.0]])
print(softmax(x).round(4))

# %% [markdown]
# Here is the same with loops, in the order of the formula. For ordinary scores the two must agree.

# %%
def softmax_loop(x):
    p = np.zeros_like(x)
    for n in range(x.shape[0]):
        total = sum(np.exp(x[n, k]) for k in range(x.shape[1]))
        for i in range(x.shape[1]):
            p[n, i] = np.exp(x[n, i]) / total
    return p

rng = np.random.default_rng(5)
x = rng.normal(size=(4, 7))
print("loops and arrays agree:", np.allclose(softmax_loop(x), softmax(x)))

# %% [markdown]
# ## The gradient of softmax
#
# Unlike ReLU, softmax mixes its inputs: through the sum, each score reaches each probability of
# its row. We look at one row and write $s = \sum_k e^{x_k}$, so that $p_i = e^{x_i} / s$. We need
# the slope of every $p_i$ with respect to every $x_j$; the table of them is the Jacobian, which we
# met in [chapter 2](02_module.ipynb). By the quotient rule,
#
# $$\frac{\partial p_i}{\partial x_j} =
# \frac{1}{s}\,\frac{\partial e^{x_i}}{\partial x_j} -
# \frac{e^{x_i}}{s^2}\,\frac{\partial s}{\partial x_j}$$
#
# In the first term, $e^{x_i}$ depends on $x_j$ only if $i = j$: that is chapter 1's $\delta_{ij}$. In
# the second, $\partial s/\partial x_j = e^{x_j}$:
#
# $$\frac{\partial p_i}{\partial x_j} =
# \frac{e^{x_i}}{s}\,\delta_{ij} - \frac{e^{x_i}}{s}\,\frac{e^{x_j}}{s}$$
#
# $$\frac{\partial p_i}{\partial x_j} = p_i\,(\delta_{ij} - p_j)$$
#
# **Before you run the next cell:** all probabilities of a row sum to 1, whatever the scores. What
# does that say about the columns of the Jacobian?

# %%
p = np.array([0.125, 0.25, 0.625])
jacobian = p[:, None] * (np.eye(3) - p)    # (i, j)
print(jacobian)    # binary fractions: exact
print("column sums", np.abs(jacobian.sum(axis=0)).round(4))

# %% [markdown]
# Raising $x_j$ moves probability from the others to $p_j$; none is made or lost. Now the chain
# rule. The score $x_j$ reaches all $p_i$:
#
# $$dx_j = \sum_i dp_i\, \frac{\partial p_i}{\partial x_j}
# = \sum_i dp_i\, p_i\,(\delta_{ij} - p_j)$$
#
# We take the two terms of the bracket apart. In the first, $\delta_{ij}$ leaves only $i = j$; in
# the second, $p_j$ does not depend on $i$:
#
# $$dx_j = dp_j\, p_j - p_j \sum_i dp_i\, p_i$$
#
# $$dx_j = p_j \left( dp_j - \sum_i dp_i\, p_i \right)$$
#
# The rules of chapter 1 lead to the same place: softmax is an exponential, entry by entry, and then
# `Share`. The sum in the bracket is the same for the whole row: the mean of `dp`, weighted by the
# probabilities. So the $V \times V$ Jacobian never has to be built. That matters: $V$ is about
# 50,000 in GPT-2. `np.vecdot` multiplies two arrays and sums along an axis, in one pass.

# %% tags=["export"]
def softmax_backward(dp, p, axis=-1):
    """Return dx = p (dp - Σ dp p), given p = softmax(x) and its gradient dp, both of x's shape."""
    # p = exp(x) / Σ exp(x)
    dx = dp - np.expand_dims(np.vecdot(dp, p, axis=axis), axis)    # dp - Σ dp p
    dx *= p
    return dx

# %% [markdown]
# The long way, with a Jacobian for every row, and the short way:

# %%
dp, p = rng.normal(size=x.shape), softmax(x)
dx = np.zeros_like(x)
for n in range(len(x)):
    jacobian = p[n][:, None] * (np.eye(x.shape[1]) - p[n])
    dx[n] = dp[n] @ jacobian
print("Jacobian and closed form agree:", np.allclose(dx, softmax_backward(dp, p)))

# %% [markdown]
# The layer around the two functions keeps `p`, which is all that the backward pass needs.

# %% tags=["export"]
class Softmax(Module):
    """p = softmax(x) along `axis`.  x, p: any shape."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        self.p = softmax(x, self.axis)
        return self.p

    def backward(self, dp):
        return softmax_backward(dp, self.p, self.axis)

# %%
from numpygpt.gradcheck import GradientError, gradcheck

for axis in [-1, 1]:
    print(f"axis {axis}:", gradcheck(Softmax(axis), rng.normal(size=(2, 5, 3)), rng=rng))

# %% [markdown]
# ## Cross-entropy: how surprised was the model?
#
# How good are the probabilities of a model? Ask how probable it made what really happened. If it gave
# $p_{n t_n}$ to the target $t_n$ of example $n$, all $N$ targets together had the probability
#
# $$\prod_n p_{n t_n},$$
#
# the *likelihood* of the data; the best model makes it largest. A product of a thousand such numbers
# is too small for a float64, though, and its slope is awkward. The logarithm grows with its argument,
# so it has its maximum at the same place, and it turns the product into a sum. We add a minus sign, so
# that smaller is better, and divide by $N$, so that batches of any size can be compared:
#
# $$L = -\frac{1}{N} \log \prod_n p_{n t_n} = -\frac{1}{N} \sum_n \log p_{n t_n}$$
#
# This is the *negative log-likelihood*. One example costs $-\log p_t$, the *surprise*: 0 if the
# model was certain and right, and more without limit as $p_t$ goes to 0. The unit is the *nat*,
# because the logarithm is the natural one.
#
# Its other name is *cross-entropy*. The entropy of a distribution $q$, $-\sum_i q_i \log q_i$, is the
# mean surprise of someone who expects $q$ and gets $q$. The *cross*-entropy, $-\sum_i q_i \log p_i$, is
# that of someone who expects $p$ and gets $q$. Our $q$ is the one-hot $y$, and one term is left: $-\log p_t$.
#
# By hand: the model below gives its targets the probabilities 0.5 and 0.25. The last number is why we
# do not multiply: the likelihood of a thousand targets, with 0.4 each.

# %%
p = np.array([[0.5, 0.25, 0.25],
              [0.25, 0.25, 0.5]])
targets = np.array([0, 1])
losses = -np.log(p[[0, 1], targets])
print("each", losses.round(4), f"  mean {losses.mean():.4f}   likelihood {p[[0, 1], targets].prod():.4f}")
print("likelihood of a thousand:", np.prod(np.full(1000, 0.4)), "  mean of -log p:", -np.log(0.4).round(4))

# %% [markdown]
# **Before you run the next cell:** a model that knows nothing gives the same probability to each
# of $V = 65$ characters. What is its loss? And what is the loss of a model that is wrong with
# scores of 0 and 1000?

# %%
p = softmax(np.zeros((1, 65)))
print(f"knows nothing: {-np.log(p[0, 3]):.4f}    ln 65 = {np.log(65):.4f}")

p = softmax(np.array([[0.0, 1000.0]]))
with np.errstate(divide="ignore"):
    print("very wrong:", -np.log(p[0, 0]))

# %% [markdown]
# The first number is worth remembering: **a model should start near $\ln V$**, and if it does not,
# something is wrong with its initial weights. The second is infinite. The probability was
# $e^{-1000}$, which is too small for a float64, and became 0. The true loss is 1000, an ordinary
# number. We lose it between `exp` and `log`, so we avoid that detour. With $m$ the largest score,
#
# $$\log p_i = \log \frac{e^{x_i - m}}{\sum_k e^{x_k - m}} = (x_i - m) - \log \sum_k e^{x_k - m}$$

# %% tags=["export"]
def log_softmax(x, axis=-1):
    """Return log p = x - log Σ exp(x) along `axis`, without the underflow of log(softmax(x))."""
    z = x - x.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))

# %%
print("very wrong:", -log_softmax(np.array([[0.0, 1000.0]]))[0, 0])
print("agrees for ordinary scores:", np.allclose(log_softmax(x), np.log(softmax(x))))

# %% [markdown]
# Now the loss. `np.take_along_axis` picks the target's entry from each row. One mistake would go
# unnoticed: to NumPy, index -1 is the last entry, so a target of -1 would quietly count as V - 1. So
# the function checks.

# %% tags=["export"]
def cross_entropy(logits, targets):
    """Return the loss -mean log p[target], in nats; p = softmax(logits).

    Args:
        logits: (..., V) scores.
        targets: (...) integer ids in [0, V).

    Raises:
        ValueError: the shapes do not fit, or a target lies outside the vocabulary.
    """
    _check_targets(logits, targets)
    log_p = log_softmax(logits)
    return -float(np.take_along_axis(log_p, targets[..., None], axis=-1).mean())

# %% tags=["export"]
def _check_targets(logits, targets):
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets have shape {targets.shape}, logits {logits.shape} need {logits.shape[:-1]}"
        )
    # A negative id would pick from the end of the vocabulary, silently.
    if targets.size == 0 or targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(f"targets must be ids from 0 to {logits.shape[-1] - 1}, and not empty")

# %%
by_hand = np.log([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
print(f"{cross_entropy(by_hand, targets):.4f}, as by hand")
try:
    cross_entropy(np.zeros((2, 3)), np.array([0, -1]))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## The gradient: p - y
#
# First the long way, through what we have. Take one example with target $t$. The loss $-\log p_t$
# depends on one probability only:
#
# $$dp_i = -\frac{1}{p_i}\,\delta_{it}$$
#
# We put that into the backward pass of softmax. In its sum, only $i = t$ is left, and there $p$
# cancels:
#
# $$\sum_i dp_i\, p_i = -\frac{1}{p_t}\, p_t = -1$$
#
# $$dx_j = p_j\,(dp_j + 1) = p_j - \delta_{jt}$$
#
# At the target, $p_j\, dp_j$ is $-1$; elsewhere it is 0. With $y_j = \delta_{jt}$, the one-hot
# target, and the mean over $N$ examples:
#
# $$dx = \frac{1}{N}\,(p - y)$$
#
# After all these fractions and logarithms, **the gradient is what the model said minus what was
# true**. And the division by $p_t$, dangerous if $p_t$ is tiny, is gone. In the code, $x$
# is called `logits`, and $dx$ is `dlogits`. The code starts from $p$ and subtracts 1 at the target of
# each row: nothing else of $y$ is needed. `dloss`, the upstream gradient, is a number: 1 where the
# loss comes last.

# %% tags=["export"]
def cross_entropy_backward(logits, targets, dloss=1.0):
    """Return dlogits = dloss (p - y) / N; y is one-hot at the target, N the number of targets."""
    _check_targets(logits, targets)
    # loss = -Σ log softmax(logits)[target] / N
    dlogits, at_target = softmax(logits), targets[..., None]
    p_target = np.take_along_axis(dlogits, at_target, axis=-1)
    np.put_along_axis(dlogits, at_target, p_target - 1, axis=-1)
    dlogits *= dloss / targets.size
    return dlogits

# %% [markdown]
# **Before you run the next cell:** each row of `p` sums to 1, and so does each row of `y`. What do
# the rows of `dlogits` sum to? The cell also compares with the long way.

# %%
targets = np.array([6, 0, 2, 2])
p = softmax(x)
dp = np.zeros_like(p)
for n, t in enumerate(targets):
    dp[n, t] = -1 / p[n, t] / len(targets)
dlogits = cross_entropy_backward(x, targets)
print("long way and closed form agree:", np.allclose(softmax_backward(dp, p), dlogits))
print("row sums", np.abs(dlogits.sum(axis=1)).round(4))

# %% [markdown]
# Each row sums to 0. A step against the gradient raises the target's score and lowers each of the
# others in proportion to its probability; what one gains, the others lose. For one row of five scores,
# with id 2 as the target:

# %%
scores, target = np.array([2.0, 0.5, 1.5, -1.0, 0.0]), 2
p, push = softmax(scores), -cross_entropy_backward(scores[None], np.array([target]))[0]
print("p    ", p.round(3))
print("y - p", push.round(3))

# %% tags=["widget"]
from coursekit.figures import BLUE, ORANGE, show, subplots

def two_bars(left, right, p, push, colors):
    left.bar(range(5), p, color=colors)
    left.set(ylabel="probability p", title="what the model says", ylim=(0, 1))
    right.axhline(0, color="black", linewidth=0.8)
    right.bar(range(5), push, color=colors)
    for i, size in enumerate(push):
        right.text(i, size, f"{size:+.2f}", ha="center", va="bottom" if size > 0 else "top")
    right.set(ylabel="y - p", title="the push on each logit", xlim=(-0.5, 4.5), ylim=(-1, 1))

# %% tags=["widget"]
def draw(scores, target):
    p, push = softmax(scores), -cross_entropy_backward(scores[None], np.array([target]))[0]
    figure, (left, right) = subplots(1, 2, size=(8, 3.2))
    two_bars(left, right, p, push, [ORANGE if i == target else BLUE for i in range(5)])
    for axes in (left, right):
        axes.set_xticks(range(5), [f"{i}\ntarget" if i == target else str(i) for i in range(5)])
        axes.set_xlabel("id")
    show(figure, "Left: the probabilities of five ids, the target in orange. Right: bars of y minus p: "
                 "the target's logit is pushed up, every other one down by its own probability.")
    return figure

# %%
figure = draw(scores, target)

# %% [markdown]
# Can the push on the target be larger than 1? Can an id that is not the target be pushed up? Drag
# the five logits and look for either. (In a notebook that is running you see sliders here.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatSlider, IntSlider, interactive

def drag(target, **logits):
    return draw(np.array([*logits.values()]), target)

logits = {f"logit {i}": FloatSlider(v, min=-6, max=6) for i, v in enumerate([2, 0.5, 1.5, -1, 0])}
panel = interactive(drag, target=IntSlider(2, min=0, max=4), **logits)
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# Neither happens. The push on the target is $1 - p_t$, between 0 and 1; on any other id it is $-p_i$,
# never above 0.
#
# </details>

# %% [markdown]
# ## The layer
#
# `CrossEntropyLoss` goes into a module of its own, `numpygpt/nn/loss.py`.

# %% tags=["export"] module="nn/loss.py"
"""CrossEntropyLoss: softmax and negative log-likelihood in one. Derived in chapter 05."""

from numpygpt.nn.module import Module

# %% tags=["export"]
class CrossEntropyLoss(Module):
    """loss = -mean log softmax(logits)[target], in nats.  logits: (..., V), targets: (...)."""

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        return cross_entropy(logits, targets)

    def backward(self, dloss=1.0):
        return cross_entropy_backward(self.logits, self.targets, dloss)

# %% [markdown]
# Here is the check, with logits of three axes, and with integer targets, which have no gradient:

# %%
logits, targets = rng.normal(size=(2, 5, 7)), rng.integers(0, 7, size=(2, 5))
print(gradcheck(CrossEntropyLoss(), logits, targets, rng=rng))

# %% [markdown]
# ### Break it
#
# Three easy mistakes. One forgets that the loss is a mean. One forgets the sum in softmax's
# backward pass, as if its Jacobian were diagonal. One sums over the wrong axis. **Before you run
# the second of the next cells:** for which of them can `gradcheck` name the wrong factor?

# %%
class NoMean(CrossEntropyLoss):
    def backward(self, dloss=1.0):
        return cross_entropy_backward(self.logits, self.targets, dloss) * self.targets.size

class Diagonal(Softmax):
    def backward(self, dp):
        return dp * self.p * (1 - self.p)

class WrongAxis(Softmax):
    def backward(self, dp):
        return softmax_backward(dp, self.p, axis=0)

# %%
for wrong, extra in [(NoMean(), [targets]), (Diagonal(), []), (WrongAxis(), [])]:
    try:
        gradcheck(wrong, logits, *extra, rng=rng)
    except GradientError as error:
        reason = str(error).partition("; ")[2] or "no single factor explains it"
        print(f"{type(wrong).__name__}: {str(error).split('[')[0]} is wrong; {reason}")

# %% [markdown]
# ## Experiment: why not the squared error?
#
# We could also measure how far the probabilities are from the one-hot target, with the loss
# $\frac12 \sum_i (p_i - y_i)^2$. It is 0 at the same place, where $p$ equals $y$. The difference
# is in the gradient. Take two classes and target 0, and let the model be more and more wrong: the
# score of class 1 is ahead by a margin that goes from -10 to 10. We compare how strongly each loss
# pushes the right score up.

# %%
margin = np.linspace(-10, 10, 201)
scores = np.stack([np.zeros_like(margin), margin], axis=1)
target = np.zeros(len(margin), dtype=int)
y = np.eye(2)[target]
p = softmax(scores)
push_ce = -cross_entropy_backward(scores, target, dloss=len(margin))[:, 0]    # undo the mean
push_square = -softmax_backward(p - y, p)[:, 0]    # d of the squared error is p - y
print(f"the last pushes: cross-entropy {push_ce[-1]:.4f}, squared error {push_square[-1]:.4f}")

# %%
figure, (left, right) = subplots(1, 2, size=(9, 3.3), sharex=True)
left.plot(margin, -log_softmax(scores)[:, 0], label="cross-entropy")
left.plot(margin, ((p - y) ** 2).sum(axis=1) / 2, "--", label="squared error")
left.set(xlabel="margin of the wrong class (logits)", ylabel="loss", title="loss"); left.legend()
right.plot(margin, push_ce, label="cross-entropy")
right.plot(margin, push_square, "--", label="squared error")
right.set(xlabel="margin of the wrong class (logits)", ylabel="push on the right logit",
          title="push"); right.legend()
show(figure, "Left: cross-entropy grows in a straight line as the model gets more wrong, the "
             "squared error levels off. Right: the push of cross-entropy goes to 1, that of the "
             "squared error back to 0.")

# %% [markdown]
# Far to the right, the model is certain and wrong. There it should learn most. Cross-entropy
# pushes with full strength, close to 1. The squared error has gone flat: its gradient passes
# through softmax's Jacobian, whose entries $p_i(\delta_{ij} - p_j)$ all vanish when one
# probability is near 1. In cross-entropy, the logarithm's $1/p_t$ cancels the factor $p_t$ in the
# target's entries.
#
# Try it: let the margin run from -1000 to 1000 and run the two cells again. Before you do: does either
# loss break, and does either push ever get larger than 1?

# %% [markdown]
# <details><summary>Answer</summary>
#
# No and no. The cross-entropy ends at 1000 and the squared error at 1; their pushes end at 1 and 0.
#
# </details>

# %% [markdown]
# ## Exercises
#
# Now write them yourself: [exercises/05_softmax_cross_entropy.ipynb](../exercises/05_softmax_cross_entropy.ipynb). A check says what is
# wrong, and `hint("softmax-backward")` helps.
#
# | task | | minutes |
# |---|---|---|
# | softmax backward | medium | 15 |
# | the Softmax layer | easy | 5 |
# | cross-entropy backward | medium | 15 |
# | the CrossEntropyLoss layer | easy | 5 |
# | label smoothing | hard | 25 |
#
# ## Recap
#
# - `softmax` subtracts the largest score first; `log_softmax` never takes the logarithm of a
#   number that has become 0.
# - Softmax's backward pass is $dx = p\,(dp - \sum dp\,p)$; the Jacobian is never built.
# - Cross-entropy is the negative logarithm of the targets' likelihood, per target.
# - Softmax and cross-entropy together have the gradient $(p - y)/N$, and a model that knows
#   nothing has the loss $\ln V$.
# - The next cell writes `numpygpt/nn/functional.py` and `numpygpt/nn/loss.py`.
# - Next: Optimizers, which turn gradients into good steps.

# %%
export("05_softmax_cross_entropy")
