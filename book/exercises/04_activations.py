# %% [markdown]
# # Exercises for chapter 4: Activations
#
# Every function here works entry by entry, so one rule gives all backward passes: $dx = dy \odot
# f'(x)$. What differs is the slope, and what the forward pass should keep for it.
#
# Write your code in place of `raise NotImplementedError()`, and all of it into that cell. The check
# below it runs your code on cases that you do not see, and says what is wrong.
# `hint("relu-backward")` in a cell of your own gives a hint; call it again for the next.

# %%
import math

import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module

class ReLU(Module):
    """y = max(x, 0).  x, y: any shape."""

    def forward(self, x):
        self.positive = x > 0
        return np.maximum(x, 0)

class GELU(Module):
    """y = x/2 (1 + tanh(u)), u = a (x + c x³).  x, y: any shape."""

    a = math.sqrt(2 / math.pi)
    c = 0.044715

    def forward(self, x):
        self.x = x
        self.t = np.tanh(self.a * x * (1 + self.c * x * x))
        return 0.5 * x * (1 + self.t)

# %% [markdown]
# ## Task 1: ReLU backward (1 point, easy, about 5 minutes)
#
# `dy` and the returned `dx` have the shape of `x`. `forward` has kept `self.positive`, an array of
# True and False: where `x > 0`. At `x = 0` the slope is 0.

# %% answer="relu-backward"
@add_to_class(ReLU)
def backward(self, dy):
    ### BEGIN SOLUTION
    return dy * self.positive
    ### END SOLUTION

# %% check="relu-backward" points=1 minutes=5 level="easy" adopts="nn.activations:ReLU"
check("relu-backward", ReLU)

# %% [markdown]
# ## Task 2: sigmoid and tanh, from their outputs (2 points, easy, about 10 minutes)
#
# For both, the slope can be written with the output alone. For $y = 1/(1 + e^{-x})$ derive it, and
# return `dx` from `dy` and `y`; then do the same for $t = \tanh(x)$. All arrays have one shape. For a
# large $|x|$, rounding makes `y` exactly 0 or 1, and `t` exactly -1 or 1: no formula leads back to $x$.

# %% answer="sigmoid-tanh"
def sigmoid_backward(dy, y):
    """Return dx, given y = sigmoid(x) and its gradient dy."""
    ### BEGIN SOLUTION
    return dy * y * (1 - y)
    ### END SOLUTION

def tanh_backward(dt, t):
    """Return dx, given t = tanh(x) and its gradient dt."""
    ### BEGIN SOLUTION
    return dt * (1 - t * t)
    ### END SOLUTION

def both(dy, y, dt, t):    # the check runs your two functions through this one
    return sigmoid_backward(dy, y), tanh_backward(dt, t)

# %% check="sigmoid-tanh" points=2 minutes=10 level="easy"
check("sigmoid-tanh", both)

# %% [markdown]
# ## Task 3: GELU backward (3 points, medium, about 20 minutes)
#
# `forward` has kept `self.x` and `self.t`, the tanh. `self.a` and `self.c` are the two constants.
# $y$ is a product of $x/2$ and $1 + t$, and $t$ depends on $x$ through $u = a\,(x + c\,x^3)$. Entries
# of any size must come out right, even -1000 and 1000.

# %% answer="gelu-backward"
@add_to_class(GELU)
def backward(self, dy):
    ### BEGIN SOLUTION
    x, t = self.x, self.t
    u_slope = self.a * (1 + 3 * self.c * x * x)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
    ### END SOLUTION

# %% check="gelu-backward" points=3 minutes=20 level="medium" adopts="nn.activations:GELU"
check("gelu-backward", GELU)

# %% [markdown]
# ## Task 4: SiLU, forward and backward (3 points, medium, about 20 minutes)
#
# $y = x\,\sigma(x)$ with $\sigma(x) = 1/(1 + e^{-x})$: the activation of Llama. Write both passes.
# Entries of any size must come out right, even -1000 and 1000, and without a warning of an overflow:
# `np.tanh` never overflows, and $\sigma(x) = \frac12 (1 + \tanh \frac x2)$. `backward` may not change
# what `forward` has kept: it may be called twice.

# %% answer="silu"
class SiLU(Module):
    """y = x σ(x).  x, y: any shape."""

    def forward(self, x):
        ### BEGIN SOLUTION
        self.x = x
        self.s = 0.5 * (1 + np.tanh(x / 2))
        return x * self.s
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        x, s = self.x, self.s
        return dy * (s + x * s * (1 - s))
        ### END SOLUTION

# %% check="silu" points=3 minutes=20 level="medium"
check("silu", SiLU)
