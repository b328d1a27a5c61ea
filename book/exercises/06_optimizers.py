# %% [markdown]
# # Exercises for chapter 6: Optimizers
#
# Write your code in place of `raise NotImplementedError()`, run the cell, then run the check below
# it. The check runs your code on cases that you do not see here, and says what is wrong. Stuck?
# `hint("sgd-step")` in a cell of your own gives a first hint; call it again for the next.
#
# The classes are those of [chapter 6](../notebooks/06_optimizers.ipynb). An optimizer holds a
# model. `self.model.params()` is a dict, name → parameter; `self.model.grads()` is a dict with the
# same names, in any order, name → gradient, each of its parameter's shape. A name can be anything
# (`W`, `b`, `gain`), and so can a shape, even `()`. A step changes the parameters in place and leaves
# the gradients as they are. Run the next cell first.

# %%
import math
import numpy as np

from coursekit import add_to_class, check, hint

class SGD:
    """v ← momentum · v + g; p ← p - lr · v, for each parameter p with gradient g."""

    def __init__(self, model, lr, momentum=0.0):
        self.model = model
        self.lr = lr
        self.momentum = momentum
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

    def zero_grad(self):
        self.model.zero_grad()

    def state(self):
        """Return {name: array}: all that a resumed run needs."""
        return {f"v.{name}": np.asarray(v) for name, v in self.v.items()}

    def load_state(self, arrays):
        for name, v in self.v.items():
            self.v[name] = np.asarray(v)  # NumPy makes a number of a new array of shape ()
            self.v[name][...] = arrays[f"v.{name}"]

# %% [markdown]
# ## Task 1: a step of SGD (2 points, easy, about 10 minutes)
#
# Do one step for every parameter `p` with its gradient `g`, even where `g` is 0: first
# `v ← momentum · v + g`, then `p ← p - lr · v`. Here `v` is `self.v[name]`, of the shape of `p`. It
# must hold the new value afterwards, for the next step and for `state`. The settings are `self.lr`
# and `self.momentum`. A schedule may change `self.lr` between two steps. Parameters change in place;
# gradients stay as they are. `step` returns nothing.

# %% answer="sgd-step"
@add_to_class(SGD)
def step(self):
    ### BEGIN SOLUTION
    grads = self.model.grads()
    for name, p in self.model.params().items():
        v = self.v[name]
        v *= self.momentum
        v += grads[name]
        p -= self.lr * v
    ### END SOLUTION

# %% check="sgd-step" points=2 minutes=10 level="easy" adopts="optim.sgd:SGD"
check("sgd-step", SGD)

# %% [markdown]
# ## Task 2: a schedule (2 points, easy, about 10 minutes)
#
# Return the learning rate of update number `step`, an integer counted from 0. It rises in a
# straight line: the first update has `base_lr / warmup_steps`, and update `warmup_steps - 1` has
# all of `base_lr`. From update `warmup_steps` to `total_steps` it falls from `base_lr` to `min_lr`
# along half a cosine. It is `min_lr` from `total_steps` on. `warmup_steps` may be 0.
#
# Use `self.base_lr`, `self.warmup_steps`, `self.total_steps` and `self.min_lr`. The answer depends
# on `step` and on these four alone, so that a run can resume anywhere. `lr_at` returns a rate and
# changes nothing.

# %%
class LRScheduler:
    """Sets optimizer.lr: to lr_at(0) when made, to lr_at(1), lr_at(2), … at each step()."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.t = 0
        optimizer.lr = self.lr_at(0)

    def step(self):
        self.t += 1
        self.optimizer.lr = self.lr_at(self.t)

    def rates(self, steps):
        """Return the rates of several updates, and what the objects hold then: for the check."""
        return [self.lr_at(step) for step in steps], [*vars(self), *vars(self.optimizer)]

class WarmupCosineLR(LRScheduler):
    """A straight line up to the base rate over warmup_steps, then half a cosine down to min_lr."""

    def __init__(self, optimizer, warmup_steps, total_steps, min_lr):
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.min_lr = min_lr
        super().__init__(optimizer)

# %% answer="lr-warmup-cosine"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    """Return the rate of update number `step`, counted from 0."""
    ### BEGIN SOLUTION
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)
    ### END SOLUTION

# %% check="lr-warmup-cosine" points=2 minutes=10 level="easy" adopts="optim.lr_scheduler:WarmupCosineLR"
check("lr-warmup-cosine", WarmupCosineLR)

# %% [markdown]
# ## Task 3: clipping by norm (2 points, medium, about 15 minutes)
#
# Take all gradients of `model` together as one long vector. Return its norm, a number. If the norm
# is larger than `max_norm` (it may be 0), multiply all gradients, in place, by
# `max_norm / (norm + 1e-6)`. The 1e-6 is PyTorch's, and we want the same numbers. If the norm is not
# larger (it may be equal, and `max_norm` may be `inf`), or if it is `inf` or `nan`, leave all
# gradients as they are. The norm that you return is always the one before clipping.

# %% answer="clip-grad-norm"
def clip_grad_norm(model, max_norm):
    ### BEGIN SOLUTION
    grads = model.grads().values()
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
    # Not if infinite: the scale would be 0, and inf * 0 is nan. Not if nan: that compares as False.
    if max_norm < norm < math.inf:
        scale = max_norm / (norm + 1e-6)
        for g in grads:
            g *= scale
    return norm
    ### END SOLUTION

# %% check="clip-grad-norm" points=2 minutes=15 level="medium" adopts="optim.clip:clip_grad_norm"
check("clip-grad-norm", clip_grad_norm)

# %% [markdown]
# ## Task 4: a step of Adam (4 points, medium, about 25 minutes)
#
# Do one step for every parameter, even where its gradient is 0, by the equations in the docstring.
# `self.t` counts the steps taken, so it is 1 in the equations of the first step. `self.m[name]` and
# `self.v[name]`, each of the shape of its parameter, hold `m` and `v` themselves, not `m̂` and `v̂`.
# `state` saves all three, so they must be right after the step.
#
# The decay comes first and shrinks the parameter itself. It skips arrays with fewer than two
# dimensions; those of two or more are all decayed, whatever their name. `step` returns nothing.

# %%
class Adam:
    """p ← p - lr m̂ / (√v̂ + eps), for each parameter p with gradient g.

    m ← β₁ m + (1-β₁) g,  m̂ = m / (1-β₁ᵗ);  v ← β₂ v + (1-β₂) g²,  v̂ = v / (1-β₂ᵗ).
    With weight_decay > 0, p ← (1 - lr · weight_decay) p first, for arrays of two or more
    dimensions (gains and biases are not decayed).
    """

    def __init__(self, model, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        self.model = model
        self.lr = lr
        self.betas = betas  # (β₁, β₂)
        self.eps = eps
        self.weight_decay = weight_decay
        self.t = 0  # steps taken
        self.m = {name: np.zeros_like(p) for name, p in model.params().items()}
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

    def zero_grad(self):
        self.model.zero_grad()

    def state(self):
        """Return {name: array}: all that a resumed run needs."""
        arrays = {f"m.{name}": np.asarray(m) for name, m in self.m.items()}
        arrays |= {f"v.{name}": np.asarray(v) for name, v in self.v.items()}
        return arrays | {"t": np.array(self.t)}

    def load_state(self, arrays):
        self.t = int(arrays["t"])
        for kind, kept in (("m", self.m), ("v", self.v)):
            for name in kept:
                kept[name] = np.asarray(kept[name])
                kept[name][...] = arrays[f"{kind}.{name}"]

# %% answer="adam-step"
@add_to_class(Adam)
def step(self):
    ### BEGIN SOLUTION
    self.t += 1
    beta1, beta2 = self.betas
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
        v *= beta2
        v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
        m_hat = m / (1 - beta1**self.t)
        v_hat = v / (1 - beta2**self.t)
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
    ### END SOLUTION

# %% check="adam-step" points=4 minutes=25 level="medium" adopts="optim.adam:Adam"
check("adam-step", Adam)

# %% [markdown]
# ## Task 5: Nesterov momentum (3 points, hard, about 20 minutes)
#
# The chapter does not have this one. SGD with momentum steps along `v`, the sum that it has right
# now. **Nesterov momentum** looks one step ahead: `self.v[name]` is updated as in task 1, and keeps
# that value. But the parameter moves along another vector, `u`: what `v` would become in one
# further update if that update met the same gradient `g` again. The move is `p ← p - lr · u`.
#
# Express `u` by `g`, the new `v` and `momentum`, on paper first. Two checks for your formula:
# without momentum the step is that of plain SGD. And the very first step, where the old `v` is 0,
# is `-lr · (1 + momentum) · g`. `step` returns nothing.

# %%
class NesterovSGD:
    """v ← momentum · v + g; p ← p - lr · u, with u the v of one further update by the same g."""

    def __init__(self, model, lr, momentum=0.9):
        self.model = model
        self.lr = lr
        self.momentum = momentum
        self.v = {name: np.zeros_like(p) for name, p in model.params().items()}

    def zero_grad(self):
        self.model.zero_grad()

# %% answer="nesterov-step"
@add_to_class(NesterovSGD)
def step(self):
    ### BEGIN SOLUTION
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, v = grads[name], self.v[name]
        v *= self.momentum
        v += g
        u = self.momentum * v + g    # one further update; v itself stays
        p -= self.lr * u
    ### END SOLUTION

# %% check="nesterov-step" points=3 minutes=20 level="hard"
check("nesterov-step", NesterovSGD)
