# %% [markdown]
# # Exercises for chapter 1: Gradients
#
# Backward passes of small functions: ask which outputs an entry reaches, with what slope, and add up.
# Write your code in place of `raise NotImplementedError()`, and all of it into that cell. The check
# below it runs your code on cases that you do not see, and says what is wrong. This set uses
# nothing from the package. `hint("gradients-broadcast")` in a cell of your own
# gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: measure a gradient (2 points, easy, about 15 minutes)
#
# `f` is a function without arguments that reads the array `a`, of any shape (without entries, too),
# and returns a number. Return an array of the shape of `a` with
# $(f(a + eps) - f(a - eps)) / (2\,eps)$, entry by entry: change one entry of `a` in place, call `f`,
# and put it back, exactly as it was.

# %% answer="gradients-numeric"
def numeric_gradient(f, a, eps=1e-5):
    """Return df/da by central differences, entry by entry."""
    ### BEGIN SOLUTION
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
    ### END SOLUTION

# %% check="gradients-numeric" points=2 minutes=15 level="easy" adopts="gradcheck:numeric_gradient"
def measured_slopes(a, c, k=1.0, *eps):    # the check measures, with your function, f = Σ c sin(k a) + (Σ a)²/2
    return numeric_gradient(lambda: float(np.sum(c * np.sin(k * a)) + a.sum() ** 2 / 2), a, *eps)

check("gradients-numeric", measured_slopes)

# %% [markdown]
# ## Task 2: what was broadcast is summed (3 points, easy, about 15 minutes)
#
# $y = x\,w + b$, entry by entry: `x`, `y` and `dy` are `(B, T, C)`, `w` and `b` are `(C,)`. Return
# `dx`, `dw` and `db`, each of the shape of its array.

# %% answer="gradients-broadcast"
def scale_shift_backward(dy, x, w):
    """Return dx (B, T, C), dw (C,) and db (C,) of y = x w + b."""
    ### BEGIN SOLUTION
    return dy * w, (dy * x).sum(axis=(0, 1)), dy.sum(axis=(0, 1))
    ### END SOLUTION

# %% check="gradients-broadcast" points=3 minutes=15 level="easy"
check("gradients-broadcast", scale_shift_backward)

# %% [markdown]
# ## Task 3: a matrix product (3 points, medium, about 20 minutes)
#
# $y_{no} = \sum_i x_{ni} w_{io}$: `x` is `(N, I)`, `w` is `(I, O)`, `dy` is `(N, O)`. Return `dx` and
# `dw`. First write them by index; then, if you like, as matrix products. Loops are right, too.

# %% answer="gradients-matmul"
def matmul_backward(dy, x, w):
    """Return dx (N, I) and dw (I, O) of y = x @ w."""
    ### BEGIN SOLUTION
    return dy @ w.T, x.T @ dy
    ### END SOLUTION

# %% check="gradients-matmul" points=3 minutes=20 level="medium"
check("gradients-matmul", matmul_backward)

# %% [markdown]
# ## Task 4: take away the mean (2 points, medium, about 20 minutes)
#
# $y_i = x_i - \frac1C \sum_j x_j$ along the last axis: `x`, `y` and `dy` are `(..., C)`. Every $x_j$
# reaches every $y_i$ of its row, as in `Share` of the chapter. Return `dx`.

# %% answer="gradients-centre"
def centre_backward(dy):
    """Return dx (..., C) of y = x - mean(x), the mean along the last axis."""
    ### BEGIN SOLUTION
    return dy - dy.mean(axis=-1, keepdims=True)
    ### END SOLUTION

# %% check="gradients-centre" points=2 minutes=20 level="medium"
check("gradients-centre", centre_backward)

# %% [markdown]
# ## Task 5: used in two places (3 points, hard, about 20 minutes)
#
# $y_i = x_i \, s$ with $s = \sum_j x_j^2$, where x is one row: `x`, `y` and `dy` are `(C,)`. Each
# $x_j$ reaches $y_j$ directly, and every $y_i$ through $s$. Return `dx`.

# %% answer="gradients-reused"
def reused_backward(dy, x):
    """Return dx (C,) of y = x Σ x²."""
    ### BEGIN SOLUTION
    s = (x * x).sum()
    ds = (dy * x).sum()
    return dy * s + ds * 2 * x
    ### END SOLUTION

# %% check="gradients-reused" points=3 minutes=20 level="hard"
check("gradients-reused", reused_backward)
