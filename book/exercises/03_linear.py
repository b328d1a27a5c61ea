# %% [markdown]
# # Exercises for chapter 3: Linear
#
# Three tasks, about 40 minutes. Write your code in place of `raise NotImplementedError()`. The
# cell below each task checks *your* code: it says nothing but "right" if every number is right,
# and stops with the reason if not.
#
# `Linear` below is the class of [chapter 3](../notebooks/03_linear.ipynb) with its parameters and
# nothing else. They are float64 and of size 0.5, as `gradcheck` needs them. Run the next cell
# first.

# %%
import numpy as np

from coursekit import add_to_class
from numpygpt import gradcheck
from numpygpt.nn import Module

class Linear(Module):
    """y = x W + b.  x: (..., n_in), W: (n_in, n_out), b: (n_out,), y: (..., n_out)."""

    def __init__(self, n_in, n_out, bias=True, *, rng, dtype=np.float64):
        self.W = rng.normal(0, 0.5, (n_in, n_out)).astype(dtype)
        self.dW = np.zeros_like(self.W)
        self.b = rng.normal(0, 0.5, n_out).astype(dtype) if bias else None
        self.db = np.zeros(n_out, dtype) if bias else None

# %% [markdown]
# ## Task 1: forward (2 points, about 10 minutes)
#
# Return `y`, and keep in `self` what the backward pass will need (task 2 will show whether you
# did). `x` may have any number of axes, of which the last is `n_in`: `(n_in,)`, `(N, n_in)`,
# `(B, T, n_in)`. `self.b` is `None` for a layer without bias.

# %% answer="linear-forward"
@add_to_class(Linear)
def forward(self, x):
    ### BEGIN SOLUTION
    self.x = x
    y = x @ self.W
    if self.b is not None:
        y = y + self.b
    return y
    ### END SOLUTION

# %% check="linear-forward" points=2
assert Linear.forward.__module__ == __name__, "write forward in this notebook"
rng = np.random.default_rng(31)
shapes = [(3, 4, (5,)), (7, 2, (2, 3)), (1, 5, (2, 3, 4)), (5, 3, ()), (4, 4, (4,))]
for n_in, n_out, leading in shapes:
    for bias in [True, False]:
        layer, x = Linear(n_in, n_out, bias, rng=rng), rng.normal(size=(*leading, n_in))
        expected = np.einsum("...i,io->...o", x, layer.W) + (layer.b if bias else 0)
        kept = [x.copy(), *(p.copy() for p in layer.params().values())]
        for attempt in ["first", "second"]:
            y = layer(x)
            place = f"x of shape {x.shape}, {n_out} outputs, bias={bias}, {attempt} call"
            assert np.shape(y) == expected.shape, f"{place}: y has shape {np.shape(y)}"
            assert np.allclose(y, expected, rtol=1e-10, atol=1e-12), f"{place}: y has wrong entries"
        for before, now in zip(kept, [x, *layer.params().values()], strict=True):
            assert np.array_equal(before, now), f"{place}: forward changed x, W or b"
print("linear-forward: right")

# %% [markdown]
# ## Task 2: backward (3 points, about 20 minutes)
#
# `dy` has the shape of `y`. Add to `self.dW` and, if there is a bias, to `self.db`, in place;
# return `dx`, of the shape of `x`. The check runs `gradcheck` with and without bias, first for `x`
# of shape `(N, n_in)`, then for more axes, then for `(n_in,)`. It needs your `forward`, so do task
# 1 first.

# %% answer="linear-backward"
@add_to_class(Linear)
def backward(self, dy):
    ### BEGIN SOLUTION
    x = self.x.reshape(-1, self.x.shape[-1])    # (N, n_in)
    rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
    if self.b is not None:
        self.db += rows.sum(axis=0)
    self.dW += x.T @ rows
    return (rows @ self.W.T).reshape(self.x.shape)
    ### END SOLUTION

# %% check="linear-backward" points=3
assert Linear.backward.__module__ == __name__, "write backward in this notebook"
rng = np.random.default_rng(32)
shapes = [(3, 4, (5,)), (7, 2, (2, 3)), (1, 5, (2, 3, 4)), (5, 3, ()), (4, 4, (4,))]
for n_in, n_out, leading in shapes:
    for bias in [True, False]:
        layer, x = Linear(n_in, n_out, bias, rng=rng), rng.normal(size=(*leading, n_in))
        expected = np.einsum("...i,io->...o", x, layer.W) + (layer.b if bias else 0)
        assert np.allclose(layer(x), expected), "forward is wrong: go back to task 1"
        place = f"x of shape {x.shape}, {n_out} outputs, bias={bias}"
        arrays = layer.grads()
        gradcheck(layer, x, rng=rng)    # every entry of dx, dW, db; and a second backward pass
        for name, g in layer.grads().items():
            assert g is arrays[name], f"{place}: d{name} is a new array: add in place, with +="
        # Two passes with different x and dy: the gradients of both add up.
        once = {name: g.copy() for name, g in arrays.items()}
        x, dy = rng.normal(size=x.shape), rng.normal(size=expected.shape)
        kept = [x.copy(), *(p.copy() for p in layer.params().values())]
        layer(x), layer.backward(dy)
        for before, now in zip(kept, [x, *layer.params().values()], strict=True):
            assert np.array_equal(before, now), f"{place}: backward changed x, W or b"
        more = {"W": np.einsum("ni,no->io", x.reshape(-1, n_in), dy.reshape(-1, n_out))}
        more["b"] = dy.reshape(-1, n_out).sum(axis=0)
        for name, g in arrays.items():
            assert np.allclose(g, once[name] + more[name]), f"{place}: d{name} does not add up"
print("linear-backward: right")

# %% [markdown]
# ## Task 3: the same weights, met twice (2 points, about 10 minutes)
#
# This layer sends its result through the same `W` and `b` once more. Write its backward pass: add
# to `self.dW` and `self.db` in place, and return `dx`. Reused means added: `W` and `b` each get a
# gradient from both places. All the shapes here are alike, `(N, n)` and `(n, n)`, so they will not
# help you.

# %%
class Twice(Module):
    """h = x W + b, y = h W + b.  x, h, y: (N, n), W: (n, n), b: (n,)."""

    def __init__(self, n, *, rng):
        self.W, self.b = rng.normal(0, 0.5, (n, n)), rng.normal(0, 0.5, n)
        self.dW, self.db = np.zeros((n, n)), np.zeros(n)

    def forward(self, x):
        self.x = x
        self.h = x @ self.W + self.b
        return self.h @ self.W + self.b

# %% answer="linear-shared"
@add_to_class(Twice)
def backward(self, dy):
    ### BEGIN SOLUTION
    self.dW += self.h.T @ dy    # y = h W + b
    self.db += dy.sum(axis=0)
    dh = dy @ self.W.T
    self.dW += self.x.T @ dh    # h = x W + b
    self.db += dh.sum(axis=0)
    return dh @ self.W.T
    ### END SOLUTION

# %% check="linear-shared" points=2
rng = np.random.default_rng(33)
for N, n in [(5, 3), (2, 7), (4, 4), (1, 2)]:
    layer, x = Twice(n, rng=rng), rng.normal(size=(N, n))
    expected = (x @ layer.W + layer.b) @ layer.W + layer.b
    assert np.allclose(layer(x), expected), "forward of Twice was changed"
    arrays = layer.grads()
    gradcheck(layer, x, rng=rng)
    for name, g in layer.grads().items():
        assert g is arrays[name], f"d{name} is a new array: add in place, with +="
    kept = [x.copy(), layer.W.copy(), layer.b.copy()]
    layer(x), layer.backward(rng.normal(size=x.shape))
    for before, now in zip(kept, [x, layer.W, layer.b], strict=True):
        assert np.array_equal(before, now), "backward changed x, W or b"
    once = {name: g.copy() for name, g in arrays.items()}
    layer(rng.normal(size=x.shape)), layer.backward(np.zeros_like(x))
    for name, g in arrays.items():
        assert np.allclose(g, once[name]), f"with dy of zeros, d{name} must stay as it is"
print("linear-shared: right")
