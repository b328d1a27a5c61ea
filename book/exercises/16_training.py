# %% [markdown]
# # Exercises for chapter 16: Training
#
# The loop around the model. A mistake here raises no error: the loss still falls, only more slowly.
# Write your code in place of `raise NotImplementedError()`, all of it in that cell. The check below it
# runs your code on cases that you do not see, and says what is wrong. `hint("training-step")` in a cell
# of your own gives a hint; call it again for the next.
#
# The model here is small: $loss = \frac1N \sum_n (x_n \cdot w - y_n)^2$, with its backward pass.

# %%
import math

import numpy as np

from coursekit import check, hint
from numpygpt.nn import Module
from numpygpt.optim import SGD, clip_grad_norm

class LeastSquares(Module):
    """loss = mean (x w - y)².  x: (N, C), w: (C,), y: (N,)."""

    def __init__(self, w):
        self.w, self.dw = w.copy(), np.zeros_like(w)

    def forward(self, x, y):
        self.x, self.error = x, x @ self.w - y
        return float((self.error**2).mean())

    def backward(self, dloss=1.0):
        self.dw += dloss * 2 / len(self.error) * self.x.T @ self.error

# %% [markdown]
# ## Task 1: one step (2 points, easy, about 15 minutes)
#
# Do one training step on the batch `x, y`, with `model`, `optimizer` and `max_norm`: clear old
# gradients, compute loss and gradients, clip them so that their norm is at most `max_norm`, update.
# The gradients stay in the model. Return two numbers, the loss and the norm before clipping, which
# `clip_grad_norm(model, max_norm)` returns. This small model has no logits: `model(x, y)` gives the
# loss alone. `optimizer.zero_grad()` and `optimizer.step()` are chapter 6's. Gradients may hold
# anything when you are called, even nan.

# %% answer="training-step"
def train_step(model, optimizer, x, y, max_norm):
    """Return (loss, gradient norm before clipping)."""
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = model(x, y)
    model.backward()
    norm = clip_grad_norm(model, max_norm)
    optimizer.step()
    return loss, norm
    ### END SOLUTION

# %% check="training-step" points=2 minutes=15 level="easy"
def a_few_steps(w, x, y, lr, max_norm):    # the check runs your step three times with this
    model = LeastSquares(w)
    model.dw[...] = np.nan
    optimizer = SGD(model, lr, momentum=0.5)
    results = [train_step(model, optimizer, x, y, max_norm) for _ in range(3)]
    return [loss for loss, _ in results], [norm for _, norm in results], model.w, model.dw

check("training-step", a_few_steps)

# %% [markdown]
# ## Task 2: a large batch in small parts (3 points, medium, about 20 minutes)
#
# A batch that does not fit into memory is cut into parts. Clear the gradients, fill them with those of
# the whole batch, though the model sees one part at a time, and return the loss of the whole batch.
# `parts` is a list of `(x, y)`, each `x` of shape (rows, C). The chapter's parts were all equal and
# counted $1/A$ each. These need not be of equal size: how much does each count?

# %% answer="training-accumulate"
def accumulate(model, parts):
    """Fill the gradients with those of all parts together; return the loss of all."""
    ### BEGIN SOLUTION
    model.zero_grad()
    total, loss = sum(len(y) for _, y in parts), 0.0
    for x, y in parts:
        share = len(y) / total
        loss += share * model(x, y)
        model.backward(share)
    return loss
    ### END SOLUTION

# %% check="training-accumulate" points=3 minutes=20 level="medium"
class Watched(LeastSquares):
    """Notes how many rows each forward pass has seen."""

    def forward(self, x, y):
        self.rows.append(len(x))
        return super().forward(x, y)

def loss_and_gradient(w, parts):
    model = Watched(w)
    model.dw[...] = np.nan
    model.rows, sizes = [], {len(y) for _, y in parts}
    if np.array_equal(parts[-1][1], parts[0][1]):
        parts[-1] = parts[0]    # a part that comes twice is listed twice
    loss = accumulate(model, parts)
    return loss, model.dw, model.w, set(model.rows) == sizes

check("training-accumulate", loss_and_gradient)

# %% [markdown]
# ## Task 3: a moving average (2 points, easy, about 15 minutes)
#
# The losses of single batches are noisy. Return a smooth curve of the shape of `losses`, (N,): the
# exponential moving average $m_t = \beta\,m_{t-1} + (1 - \beta)\,loss_t$, starting from $m_0 = 0$, with
# Adam's bias correction: entry number t, counted from 1, is $m_t / (1 - \beta^t)$.

# %% answer="training-average"
def smoothed(losses, beta):
    """Return the bias-corrected exponential moving average, (N,)."""
    ### BEGIN SOLUTION
    m, out = 0.0, np.empty(len(losses))
    for t, loss in enumerate(losses, 1):
        m = beta * m + (1 - beta) * loss
        out[t - 1] = m / (1 - beta**t)
    return out
    ### END SOLUTION

# %% check="training-average" points=2 minutes=15 level="easy"
check("training-average", smoothed)

# %% [markdown]
# ## Task 4: stop and go on (3 points, hard, about 25 minutes)
#
# A run draws its batches with `self.rng` and counts its steps in `self.steps`. Write `state()`, which
# returns all that a resumed run needs, as a dict (but for `lr`, which a new run is given again), and `load_state(state)`, which restores it: after that,
# the run must go on as if it had never stopped, with the same batches, bit for bit. What `state()`
# returned may not change when the run goes on, nor when a run that has loaded it goes on: one can
# resume from it twice. The state of a generator is `rng.bit_generator.state`, a dict that you can read
# and set; `self.momentum` and `self.w` are arrays.

# %% answer="training-resume"
class Run:
    """SGD with momentum on batches drawn from (x, y)."""

    def __init__(self, w, seed, lr=0.05):
        self.w, self.momentum = w.copy(), np.zeros_like(w)
        self.rng = np.random.default_rng(seed)
        self.steps, self.lr = 0, lr

    def step(self, x, y):
        rows = self.rng.integers(len(y), size=4)
        error = x[rows] @ self.w - y[rows]
        self.momentum *= 0.9
        self.momentum += 2 / len(rows) * x[rows].T @ error
        self.w -= self.lr / math.sqrt(1 + self.steps) * self.momentum
        self.steps += 1

    def state(self):
        ### BEGIN SOLUTION
        return {
            "w": self.w.copy(),
            "momentum": self.momentum.copy(),
            "steps": self.steps,
            "rng": self.rng.bit_generator.state,
        }
        ### END SOLUTION

    def load_state(self, state):
        ### BEGIN SOLUTION
        self.w[...] = state["w"]
        self.momentum[...] = state["momentum"]
        self.steps = state["steps"]
        self.rng.bit_generator.state = state["rng"]
        ### END SOLUTION

# %% check="training-resume" points=3 minutes=25 level="hard"
def stopped_and_resumed(w, x, y, seed, lr, before, after):
    run, straight = Run(w, seed, lr), Run(w, seed, lr)
    for each in (run, straight):
        each.rng.integers(9)    # half of a random number of 64 bits: the state has the other half
    for _ in range(before):
        run.step(x, y)
    for _ in range(before + after):    # a run that is never stopped
        straight.step(x, y)
    state, saved = run.state(), (run.w.copy(), run.momentum.copy())
    entries = [*state] if isinstance(state, dict) else []
    for _ in range(2):    # the first run goes on, and saves again: the state must stay
        run.step(x, y)
        run.state()
    w_of_the_first = run.w.copy()
    runs, exact = [Run(np.zeros_like(w), seed + i, lr) for i in (1, 2)] + [run], True
    for resumed in runs:    # one after the other, from the same state; the first run goes back to it
        resumed.load_state(state)
        exact = exact and all(map(np.array_equal, (resumed.w, resumed.momentum), saved))
        for _ in range(after):
            resumed.step(x, y)
    stays = isinstance(state, dict) and [*state] == entries
    latest = Run(np.zeros_like(w), seed, lr)
    latest.load_state(run.state())    # what a later state holds is the later run
    numbers = [int(resumed.rng.integers(1 << 30)) for resumed in runs]
    weights = [r.w for r in runs] + [w_of_the_first, latest.w]
    for r in runs:    # from the same bits, the last ones may differ with the place in memory
        exact = exact and abs(r.w - straight.w).max() <= 1e-14 * abs(straight.w).max()
    is_dict = isinstance(state, dict)
    return weights, [r.momentum for r in runs], [r.steps for r in runs], numbers, bool(exact), is_dict, stays

check("training-resume", stopped_and_resumed)
