# %% [markdown]
# # Exercises for chapter 5: Softmax and cross-entropy
#
# Two functions, the two layers made of them, and a loss that the chapter does not have. Write your
# code in place of `raise NotImplementedError()`, and all of it into that cell. The check below it
# runs your code on cases that you do not see, and says what is wrong.
# `hint("softmax-backward")` in a cell of your own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

def softmax(x, axis=-1):
    """Return p = exp(x) / Σ exp(x) along `axis`."""
    p = np.exp(x - x.max(axis=axis, keepdims=True))
    return p / p.sum(axis=axis, keepdims=True)

def log_softmax(x):
    """Return log p along the last axis, without the underflow of log(softmax(x))."""
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))

class Softmax(Module):
    """p = softmax(x) along `axis`.  x, p: any shape."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        self.p = softmax(x, self.axis)
        return self.p

class CrossEntropyLoss(Module):
    """loss = -mean log softmax(logits)[target], in nats.  logits: (..., V), targets: (...)."""

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        log_p = log_softmax(logits)
        return -float(np.take_along_axis(log_p, targets[..., None], axis=-1).mean())

# %% [markdown]
# ## Task 1: softmax backward (3 points, medium, about 15 minutes)
#
# `p` is the softmax of some `x` along `axis`, `dp` its gradient; both have the shape of `x`. Return
# `dx`, of that shape. Do not build the Jacobian, not even that of one row: the check does not leave
# memory for it.

# %% answer="softmax-backward"
def softmax_backward(dp, p, axis=-1):
    """Return dx, given p = softmax(x) and its gradient dp."""
    ### BEGIN SOLUTION
    return p * (dp - (dp * p).sum(axis=axis, keepdims=True))
    ### END SOLUTION

# %% check="softmax-backward" points=3 minutes=15 level="medium" adopts="nn.functional:softmax_backward"
check("softmax-backward", softmax_backward)

# %% [markdown]
# ## Task 2: the Softmax layer (1 point, easy, about 5 minutes)
#
# The layer's backward pass. `self.axis` is the axis of the softmax, which need not be the last;
# `self.p` is what `forward` returned. You may use your `softmax_backward`.

# %% answer="softmax-layer-backward"
@add_to_class(Softmax)
def backward(self, dp):
    ### BEGIN SOLUTION
    return softmax_backward(dp, self.p, self.axis)
    ### END SOLUTION

# %% check="softmax-layer-backward" points=1 minutes=5 level="easy" adopts="nn.functional:Softmax"
check("softmax-layer-backward", Softmax)

# %% [markdown]
# ## Task 3: cross-entropy backward (3 points, medium, about 15 minutes)
#
# Return `dlogits`, of the shape of `logits`, `(..., V)`. `targets`, `(...)`, holds ids, of which
# some repeat; `dloss` is the gradient of the loss, one number. The loss is a mean over all targets:
# where does that enter? Logits of 1000 must come out right.

# %% answer="cross-entropy-backward"
def cross_entropy_backward(logits, targets, dloss=1.0):
    """Return dlogits."""
    ### BEGIN SOLUTION
    one_hot = np.eye(logits.shape[-1], dtype=logits.dtype)[targets]    # (..., V)
    return (softmax(logits) - one_hot) * (dloss / targets.size)
    ### END SOLUTION

# %% check="cross-entropy-backward" points=3 minutes=15 level="medium" adopts="nn.functional:cross_entropy_backward"
check("cross-entropy-backward", cross_entropy_backward)

# %% [markdown]
# ## Task 4: the CrossEntropyLoss layer (1 point, easy, about 5 minutes)
#
# The layer's backward pass. `forward` has kept `self.logits` and `self.targets`. Someone who adds up
# the losses of three batches and takes their mean calls `backward(1 / 3)`.

# %% answer="cross-entropy-layer-backward"
@add_to_class(CrossEntropyLoss)
def backward(self, dloss=1.0):
    ### BEGIN SOLUTION
    return cross_entropy_backward(self.logits, self.targets, dloss)
    ### END SOLUTION

# %% check="cross-entropy-layer-backward" points=1 minutes=5 level="easy" adopts="nn.loss:CrossEntropyLoss"
check("cross-entropy-layer-backward", CrossEntropyLoss)

# %% [markdown]
# ## Task 5: label smoothing (3 points, hard, about 25 minutes)
#
# A model that is penalized for every probability below 1 at the target grows more and more certain.
# Label smoothing (Szegedy et al., 2016) aims a little lower: with $V$ classes and a small
# `smoothing` $s$, the aim is $q = (1 - s)\,y + s / V$, where $y$ is one-hot at the target, and
#
# $$loss = -\frac1N \sum_n \sum_v q_{nv} \log p_{nv} .$$
#
# Write both passes: `forward(logits, targets)` returns the loss as a number, `backward(dloss)`
# returns `dlogits`. Shapes are those of task 3; use `log_softmax`, so that large logits do no harm.

# %% answer="label-smoothing"
class SmoothedCrossEntropy(Module):
    """loss = -mean Σ q log softmax(logits), q = (1 - smoothing) one-hot + smoothing / V."""

    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        ### BEGIN SOLUTION
        V = logits.shape[-1]
        log_p = log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V    # (..., V)
        self.p, self.N = np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N
        ### END SOLUTION

    def backward(self, dloss=1.0):
        ### BEGIN SOLUTION
        return (self.p - self.q) * (dloss / self.N)
        ### END SOLUTION

# %% check="label-smoothing" points=3 minutes=25 level="hard"
check("label-smoothing", SmoothedCrossEntropy)
