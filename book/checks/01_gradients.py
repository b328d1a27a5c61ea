# %%
OPTIONS = [{}, {"strided": True}, {"float32": True}]
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7
# Of numbers of this size, rounding to some decimals leaves little.
SMALL = 1e-4

def named(options):
    return "".join(f", {name}" for name in options)

# %% task="gradients-numeric" cases=true
def cases(rng):
    for shape in [(5,), (2, 3), (1, 1), (1, 2, 1, 3, 1), (), (4, 4)]:
        for options in OPTIONS[:2]:
            a = np.asarray(rng.normal(1, 0.6, shape))
            args = {"a": a, "c": np.asarray(rng.normal(0, 2, shape))}
            yield Case(f"a of shape {shape}{named(options)}", [Call(args, returns="the gradient")], **options)
    # A large step: who does not use eps, or measures while another entry is moved, is far off.
    for shape in [(4,), (3, 2)]:
        a = rng.normal(1, 0.6, shape)
        a[..., 1] = a[..., 0]    # neighbors of one value have slopes of their own
        args = {"a": a, "c": rng.normal(0, 2, shape), "k": 1.0, "eps": 0.3}
        yield Case(f"a of shape {shape}, eps 0.3", [Call(args, returns="the gradient")])
    # A function so steep that the step shows in the result, when eps is not given.
    args = {"a": rng.normal(1, 0.6, 3), "c": rng.uniform(1, 2, 3), "k": 1000.0}
    yield Case("a steep function, eps not given", [Call(args, returns="the gradient")])
    for shape in [(0,), (2, 0)]:
        args = {"a": np.zeros(shape), "c": np.zeros(shape)}
        yield Case(f"a of shape {shape}, no entries", [Call(args, returns="the gradient")])
    # An entry with the same f on both sides, exactly: of these numbers, no sum is rounded.
    for at in (0, 1):
        a, c = np.array([0.5, -0.75, 0.25]), rng.uniform(1, 2, 3)
        c[at] = 0
        args = {"a": a, "c": c, "k": 1.0, "eps": 0.25}
        yield Case(f"entry {at} has the slope 0, eps 0.25", [Call(args, returns="the gradient")])
    # As a bias starts: entries that are exactly 0 have a slope as well.
    a = rng.normal(1, 0.6, (2, 3))
    a[0, 0] = a[1, 2] = 0
    yield Case("entries of a are 0", [Call({"a": a, "c": rng.uniform(1, 2, (2, 3))}, returns="the gradient")])
    args = {"a": SMALL * rng.normal(1, 0.6, 4), "c": SMALL * rng.uniform(1, 2, 4)}
    yield Case("small numbers", [Call(args, returns="the gradient")])

# %% [markdown] task="gradients-numeric" hint=1
# go through all indices; for each, measure f a little to the right and a little to the left.

# %% [markdown] task="gradients-numeric" hint=2
# np.ndindex(a.shape) gives every index, for any number of axes; the result has the shape of a.

# %% [markdown] task="gradients-numeric" hint=3
# keep the entry; set it to kept + eps and call f; set it to kept - eps and call f; put the kept
# value back; divide the difference by twice eps.

# %% [markdown] task="gradients-numeric" mistake="one-sided"
# is measured on one side only: (f(a + eps) - f(a)) / eps is wrong by half of eps times the
# curvature
# ```diff
# - a[index] = kept - eps
# -         below = f()
# -         a[index] = kept
# -         grad[index] = (above - below) / (2 * eps)
# + a[index] = kept
# +         grad[index] = (above - f()) / eps
# ```

# %% [markdown] task="gradients-numeric" mistake="no-two"
# is divided by eps: the two points are 2 eps apart
# ```diff
# - (2 * eps)
# + eps
# ```

# %% [markdown] task="gradients-numeric" mistake="never-back"
# is measured with entries that were not put back: keep each entry, and restore it
# ```diff
# -         a[index] = kept
# -         grad
# +         grad
# ```

# %% [markdown] task="gradients-numeric" mistake="not-divided"
# is a difference: divide it by the distance
# ```diff
# -  / (2 * eps)
# +
# ```

# %% [markdown] task="gradients-numeric" mistake="sign"
# has the opposite sign: what lies above minus what lies below
# ```diff
# - above - below
# + below - above
# ```

# %% [markdown] task="gradients-numeric" mistake="all-at-once"
# moves all entries at once: each entry has a slope of its own
# ```diff
# - kept = a[index]
# -         a[index] = kept + eps
# -         above = f()
# -         a[index] = kept - eps
# -         below = f()
# -         a[index] = kept
# + kept = a.copy()
# +         a += eps
# +         above = f()
# +         a[...] = kept - eps
# +         below = f()
# +         a[...] = kept
# ```

# %% [markdown] task="gradients-numeric" mistake="first-axis" shows="of any shape"
# goes along the first axis only
# ```diff
# - for index in np.ndindex(a.shape):
# + for index in range(len(a)) if a.ndim else [()]:
# ```

# %% task="gradients-numeric" mistake="first-axis-added"
# goes along the first axis only: np.ndindex(a.shape) gives every index, for any number of axes
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    for i in range(len(a)):
        a[i] += eps
        above = f()
        a[i] -= 2 * eps
        below = f()
        a[i] += eps
        grad[i] = (above - below) / (2 * eps)
    return grad

# %% task="gradients-numeric" mistake="first-axis-view"
# goes along the first axis only, so a[i] may be a whole row: np.ndindex(a.shape) gives every index
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    for i in range(len(a)):
        kept = a[i]
        a[i] = kept + eps
        above = f()
        a[i] = kept - eps
        below = f()
        a[i] = kept
        grad[i] = (above - below) / (2 * eps)
    return grad

# %% task="gradients-numeric" mistake="added-back"
# is not put back exactly: adding and taking away eps rounds; keep the old entry, and assign it again
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        a[index] += eps
        above = f()
        a[index] -= 2 * eps
        below = f()
        a[index] += eps
        grad[index] = (above - below) / (2 * eps)
    return grad

# %% [markdown] task="gradients-numeric" mistake="no-brackets"
# is multiplied by eps at the end: / 2 * eps divides by 2 and then multiplies; write / (2 * eps)
# ```diff
# - (2 * eps)
# + 2 * eps
# ```

# %% [markdown] task="gradients-numeric" mistake="copy" shows="change one entry of `a` in place"
# is zero: f reads `a` itself, and what is moved here is something else, such as a copy
# ```diff
# - kept = a[index]
# -         a[index] = kept + eps
# -         above = f()
# -         a[index] = kept - eps
# -         below = f()
# -         a[index] = kept
# + above = below = f()
# ```

# %% [markdown] task="gradients-numeric" mistake="returns-early"
# stops after the first entry: `return` stands inside the loop
# ```diff
# -     return grad
# +         return grad
# +     return grad
# ```

# %% task="gradients-numeric" right="flat"
def numeric_gradient(f, a, eps=1e-5):
    slopes = []
    for index in np.ndindex(a.shape):
        kept = float(a[index])
        values = []
        for step in (eps, -eps):
            a[index] = kept + step
            values.append(f())
        a[index] = kept
        slopes.append((values[0] - values[1]) / (2 * eps))
    return np.array(slopes).reshape(a.shape)

# %% task="gradients-numeric" right="copies"
def numeric_gradient(f, a, eps=1e-5):
    original, grad = a.copy(), np.empty(a.shape)
    for index in np.ndindex(*a.shape):
        step = np.zeros(a.shape)
        step[index] = eps
        a[...] = original + step
        above = f()
        a[...] = original - step
        grad[index] = (above - f()) / eps / 2
        a[...] = original
    return grad

# %% task="gradients-numeric" right="finer"
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    for i, kept in np.ndenumerate(a):
        a[i] = kept + eps
        grad[i] += f()
        a[i] = kept - eps
        grad[i] -= f()
        a[i] = kept
    return grad / 2 / eps

# %% task="gradients-numeric" reject="nearly-back" shows="put it back, exactly as it was"
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        a[index] += eps
        above = f()
        a[index] -= 2 * eps
        below = f()
        a[index] += eps * (1 + 1e-9)
        grad[index] = (above - below) / (2 * eps)
    return grad

# %% task="gradients-numeric" reject="needs-an-entry" shows="without entries, too"
def numeric_gradient(f, a, eps=1e-5):
    grad = np.zeros_like(a)
    it = np.nditer(a, flags=["multi_index"])
    for _ in it:
        i = it.multi_index
        kept = a[i].copy()
        a[i] = kept + eps
        grad[i] += f()
        a[i] = kept - eps
        grad[i] -= f()
        a[i] = kept
    return grad / 2 / eps

# %% [markdown] task="gradients-numeric" reject="stops-at-slope-0"
# ```diff
# -         grad[index] = (above - below) / (2 * eps)
# +         if above == below:
# +             break
# +         grad[index] = (above - below) / (2 * eps)
# ```

# %% [markdown] task="gradients-numeric" mistake="eps-ignored" shows="eps=1e-5"
# is measured with a step of your own: the step is the argument eps
# ```diff
# - kept + eps
# + kept + 1e-5
# - kept - eps
# + kept - 1e-5
# - (2 * eps)
# + 2e-5
# ```

# %% [markdown] task="gradients-numeric" reject="eps-ignored-below" shows="eps=1e-5"
# ```diff
# - (2 * eps)
# + 2e-5
# - kept + eps
# + kept + 1e-5
# - kept - eps
# + kept - 1e-5
# ```

# %% [markdown] task="gradients-numeric" reject="other-default" shows="eps=1e-5"
# ```diff
# - eps=1e-5
# + eps=1e-6
# ```

# %% task="gradients-numeric" reject="back-at-the-end" shows="put it back"
def numeric_gradient(f, a, eps=1e-5):
    kept = a.copy()
    grad = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        a[index] = kept[index] + eps
        above = f()
        a[index] = kept[index] - eps
        grad[index] = (above - f()) / (2 * eps)
    a[...] = kept
    return grad

# %% task="gradients-numeric" reject="reshaped-copy"
def numeric_gradient(f, a, eps=1e-5):
    flat = a.reshape(-1)
    grad = np.zeros(flat.size)
    for i in range(flat.size):
        kept = flat[i]
        flat[i] = kept + eps
        above = f()
        flat[i] = kept - eps
        below = f()
        flat[i] = kept
        grad[i] = (above - below) / (2 * eps)
    return grad.reshape(a.shape)


# %% [markdown] task="gradients-numeric" mistake="zeros-skipped"
# an entry that is 0 is left out: f has a slope there as well, so change it like any other
# ```diff
# -         kept = a[index]
# +         kept = a[index]
# +         if kept == 0:
# +             continue
# ```


# %% [markdown] task="gradients-numeric" reject="rounded"
# ```diff
# - return grad
# + return np.round(grad, 8)
# ```


# %% task="gradients-broadcast" cases=true
def cases(rng):
    for B, T, C in [(2, 3, 5), (1, 4, 2), (3, 1, 1), (2, 2, 2), (1, 1, 7), (3, 3, 3), (2, 11, 35)]:
        for options in OPTIONS:
            args = {"dy": rng.normal(size=(B, T, C)), "x": rng.normal(size=(B, T, C)), "w": rng.normal(size=C)}
            yield Case(f"x of shape {(B, T, C)}{named(options)}", [Call(args, returns=("dx", "dw", "db"))], **options)
    args = {"dy": rng.normal(size=(2, 3, 4)), "x": LARGE * rng.normal(size=(2, 3, 4)), "w": LARGE * rng.normal(size=4)}
    yield Case("large numbers", [Call(args, returns=("dx", "dw", "db"))])
    args = {"dy": SMALL * rng.normal(size=(2, 3, 4)), "x": rng.normal(size=(2, 3, 4)), "w": rng.normal(size=4)}
    yield Case("a small dy", [Call(args, returns=("dx", "dw", "db"))])
    args = {"dy": rng.normal(size=(2, 3, 500)), "x": rng.normal(size=(2, 3, 500)), "w": rng.normal(size=500)}
    yield Case("3000 entries", [Call(args, returns=("dx", "dw", "db"))], max_lines=6 * 3000)

# %% [markdown] task="gradients-broadcast" hint=1
# w[c] is used at every position of every sequence: its gradient gathers from all of them.

# %% [markdown] task="gradients-broadcast" hint=2
# dx is (B, T, C): nothing is summed. dw and db are (C,): the first two axes go.

# %% [markdown] task="gradients-broadcast" hint=3
# dx is dy times w; dw is the sum of dy times x over the first two axes; db is the sum of dy over
# them.

# %% [markdown] task="gradients-broadcast" mistake="means"
# is a mean: what was broadcast is summed
# ```diff
# - .sum(axis=(0, 1))
# + .mean(axis=(0, 1))
# ```

# %% [markdown] task="gradients-broadcast" mistake="first-axis"
# is summed over the first axis only: every axis along which it was repeated must go
# ```diff
# - .sum(axis=(0, 1))
# + .sum(axis=0)
# ```

# %% [markdown] task="gradients-broadcast" mistake="not-summed"
# has the shape of x: sum over the axes along which w and b were repeated
# ```diff
# - (dy * x).sum(axis=(0, 1)), dy.sum(axis=(0, 1))
# + dy * x, dy
# ```

# %% [markdown] task="gradients-broadcast" mistake="dw-no-x"
# lacks x: the slope of x w with respect to w is x
# ```diff
# - (dy * x).sum
# + dy.sum
# ```

# %% [markdown] task="gradients-broadcast" mistake="dx-no-w"
# lacks w: the slope of x w with respect to x is w
# ```diff
# - return dy * w
# + return dy * 1.0
# ```

# %% [markdown] task="gradients-broadcast" mistake="db-with-x"
# has x in it: the slope with respect to b is 1
# ```diff
# - , dy.sum(axis=(0, 1))
# + , (dy * x).sum(axis=(0, 1))
# ```

# %% [markdown] task="gradients-broadcast" mistake="swapped"
# is swapped with another: the order is dx, dw, db
# ```diff
# - (dy * x).sum(axis=(0, 1)), dy.sum(axis=(0, 1))
# + dy.sum(axis=(0, 1)), (dy * x).sum(axis=(0, 1))
# ```

# %% [markdown] task="gradients-broadcast" mistake="last-axis"
# is summed over the wrong axes: the last one must stay
# ```diff
# - .sum(axis=(0, 1))
# + .sum(axis=(1, 2)).repeat(w.size)[: w.size]
# ```

# %% [markdown] task="gradients-broadcast" mistake="product-of-sums"
# is a product of sums: multiply entry by entry first, then sum
# ```diff
# - (dy * x).sum(axis=(0, 1))
# + dy.sum(axis=(0, 1)) * x.sum(axis=(0, 1))
# ```

# %% [markdown] task="gradients-broadcast" mistake="dx-by-x"
# is multiplied by x: the slope of x w with respect to x is the other factor, w
# ```diff
# - return dy * w
# + return dy * x
# ```

# %% [markdown] task="gradients-broadcast" mistake="dx-no-dy"
# lacks dy: w is the slope of y, and the chain rule multiplies it by the slope of the loss
# ```diff
# - return dy * w
# + return np.broadcast_to(w, x.shape)
# ```

# %% [markdown] task="gradients-broadcast" mistake="dw-no-dy"
# lacks dy: x is the slope of y, and the chain rule multiplies it by the slope of the loss
# ```diff
# - (dy * x).sum
# + x.sum
# ```

# %% [markdown] task="gradients-broadcast" mistake="dw-by-w"
# is multiplied by w: the slope of x w with respect to w is the other factor, x
# ```diff
# - (dy * x).sum
# + (dy * w).sum
# ```

# %% [markdown] task="gradients-broadcast" mistake="db-ones"
# is 1: that is the slope of one y; the slope of the loss is dy, summed over all that b reaches
# ```diff
# - , dy.sum(axis=(0, 1))
# + , np.ones_like(w)
# ```

# %% task="gradients-broadcast" right="einsum"
def scale_shift_backward(dy, x, w):
    return np.einsum("btc,c->btc", dy, w), np.einsum("btc,btc->c", dy, x), np.einsum("btc->c", dy)

# %% task="gradients-broadcast" right="loop"
def scale_shift_backward(dy, x, w):
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(w.shape)
    for b, t, c in np.ndindex(x.shape):
        dx[b, t, c] = dy[b, t, c] * w[c]
        dw[c] += dy[b, t, c] * x[b, t, c]
        db[c] += dy[b, t, c]
    return dx, dw, db

# %% task="gradients-broadcast" right="flat"
def scale_shift_backward(dy, x, w):
    rows, xs = dy.reshape(-1, len(w)), x.reshape(-1, len(w))
    return [w * dy, (rows * xs).sum(0), np.ones(len(rows)) @ rows]

# %% [markdown] task="gradients-broadcast" reject="kept-axes"
# ```diff
# - .sum(axis=(0, 1))
# + .sum(axis=(0, 1), keepdims=True)
# ```

# %% [markdown] task="gradients-broadcast" reject="first-batch"
# ```diff
# - (dy * x).sum(axis=(0, 1))
# + (dy * x)[:2].sum(axis=(0, 1))
# ```

# %% task="gradients-broadcast" reject="measured"
def scale_shift_backward(dy, x, w):
    def slopes(a, f, eps=1e-5):
        grad = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            kept = a[i]
            a[i] = kept + eps
            above = f()
            a[i] = kept - eps
            below = f()
            a[i] = kept
            grad[i] = (above - below) / (2 * eps)
        return grad
    x, w, b = x.astype(float), w.astype(float), np.zeros(w.shape)
    f = lambda: float((dy * (x * w + b)).sum())
    return slopes(x, f), slopes(w, f), slopes(b, f)

# %% task="gradients-broadcast" reject="measured-with-own-tool"
def scale_shift_backward(dy, x, w):
    x, w, b = x.astype(float), w.astype(float), np.zeros(w.shape)
    f = lambda: float((dy * (x * w + b)).sum())
    return numeric_gradient(f, x), numeric_gradient(f, w), numeric_gradient(f, b)

# %% [markdown] task="gradients-broadcast" reject="first-ten-positions"
# ```diff
# - dy.sum(axis=(0, 1))
# + dy[:, :10].sum(axis=(0, 1))
# ```

# %% task="gradients-broadcast" right="unbroadcast"
def scale_shift_backward(dy, x, w):
    def unbroadcast(g, shape):
        while g.ndim > len(shape):
            g = g.sum(axis=0)
        return g
    return dy * np.broadcast_to(w, x.shape), unbroadcast(dy * x, w.shape), unbroadcast(dy, w.shape)


# %% [markdown] task="gradients-broadcast" reject="rounded"
# ```diff
# - return dy * w, (dy * x).sum(axis=(0, 1)), dy.sum(axis=(0, 1))
# + return np.round(dy * w, 8), (dy * x).sum(axis=(0, 1)), np.round(dy.sum(axis=(0, 1)), 8)
# ```


# %% task="gradients-matmul" cases=true
def cases(rng):
    for N, I, O in [(5, 3, 2), (1, 4, 3), (2, 1, 5), (3, 3, 3), (4, 2, 1), (2, 2, 2), (33, 2, 12)]:
        for options in OPTIONS:
            args = {"dy": rng.normal(size=(N, O)), "x": rng.normal(size=(N, I)), "w": rng.normal(size=(I, O))}
            yield Case(f"x of shape {(N, I)}, w of shape {(I, O)}{named(options)}", [Call(args, returns=("dx", "dw"))], **options)
    args = {"dy": rng.normal(size=(3, 4)), "x": LARGE * rng.normal(size=(3, 5)), "w": LARGE * rng.normal(size=(5, 4))}
    yield Case("large numbers", [Call(args, returns=("dx", "dw"))])
    args = {"dy": SMALL * rng.normal(size=(3, 4)), "x": rng.normal(size=(3, 5)), "w": rng.normal(size=(5, 4))}
    yield Case("a small dy", [Call(args, returns=("dx", "dw"))])
    # Loops by index run some 3 lines for each product, a measured slope 10 for each entry.
    args = {"dy": rng.normal(size=(1, 60)), "x": rng.normal(size=(1, 60)), "w": rng.normal(size=(60, 60))}
    yield Case("w of shape (60, 60)", [Call(args, returns=("dx", "dw"))], max_lines=5 * 60 * 60)

# %% [markdown] task="gradients-matmul" hint=1
# which y does x[n, i] reach, and with what slope? Which does w[i, o] reach?

# %% [markdown] task="gradients-matmul" hint=2
# x[n, i] reaches y[n, o] for every o: sum over o. w[i, o] reaches y[n, o] for every n: sum over
# n.

# %% [markdown] task="gradients-matmul" hint=3
# dx is dy times w transposed; dw is x transposed times dy.

# %% [markdown] task="gradients-matmul" mistake="dw-turned"
# is made from dyᵀ x: dw[i, o] sums x[n, i] dy[n, o] over n
# ```diff
# - x.T @ dy
# + (dy.T @ x).reshape(w.shape)
# ```

# %% [markdown] task="gradients-matmul" mistake="dx-untransposed"
# uses w where wᵀ belongs: dx[n, i] sums dy[n, o] w[i, o] over o
# ```diff
# - dy @ w.T
# + dy @ w.reshape(w.T.shape)
# ```

# %% [markdown] task="gradients-matmul" mistake="mean"
# is divided by N: nothing here takes a mean
# ```diff
# - x.T @ dy
# + x.T @ dy / len(x)
# ```

# %% [markdown] task="gradients-matmul" mistake="swapped"
# is swapped with the other: first dx, then dw
# ```diff
# - return dy @ w.T, x.T @ dy
# + return x.T @ dy, dy @ w.T
# ```

# %% [markdown] task="gradients-matmul" mistake="no-w"
# lacks w: the slope of y[n, o] with respect to x[n, i] is w[i, o]
# ```diff
# - dy @ w.T
# + dy.sum(axis=1, keepdims=True) * np.ones(len(w))
# ```

# %% [markdown] task="gradients-matmul" mistake="no-x"
# lacks x: the slope with respect to w[i, o] is x[n, i]
# ```diff
# - x.T @ dy
# + np.ones(x.T.shape) @ dy
# ```

# %% [markdown] task="gradients-matmul" mistake="minus"
# has the opposite sign
# ```diff
# - x.T @ dy
# + -(x.T @ dy)
# ```

# %% [markdown] task="gradients-matmul" mistake="one-row"
# counts the first row of x only: every row used w
# ```diff
# - x.T @ dy
# + np.outer(x[0], dy[0])
# ```

# %% task="gradients-matmul" mistake="last-term"
# is the last term of its sum: write += where you have =
def matmul_backward(dy, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            for o in range(w.shape[1]):
                dx[n, i] = dy[n, o] * w[i, o]
                dw[i, o] = dy[n, o] * x[n, i]
    return dx, dw

# %% task="gradients-matmul" right="einsum"
def matmul_backward(dy, x, w):
    return np.einsum("no,io->ni", dy, w), np.einsum("ni,no->io", x, dy)

# %% task="gradients-matmul" right="loop"
def matmul_backward(dy, x, w):
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            for o in range(w.shape[1]):
                dx[n, i] += dy[n, o] * w[i, o]
                dw[i, o] += x[n, i] * dy[n, o]
    return dx, dw

# %% task="gradients-matmul" right="outer"
def matmul_backward(dy, x, w):
    dw = sum(np.outer(x_row, dy_row) for x_row, dy_row in zip(x, dy))
    return (w @ dy.T).T, dw

# %% [markdown] task="gradients-matmul" reject="float16"
# ```diff
# - x.T @ dy
# + (x.T.astype(np.float16) @ dy.astype(np.float16)).astype(float)
# ```

# %% [markdown] task="gradients-matmul" reject="last-output"
# ```diff
# - dy @ w.T
# + dy[:, :2] @ w[:, :2].T
# ```

# %% task="gradients-matmul" reject="measured"
def matmul_backward(dy, x, w):
    def slopes(a, f, eps=1e-5):
        grad = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            kept = a[i]
            a[i] = kept + eps
            above = f()
            a[i] = kept - eps
            below = f()
            a[i] = kept
            grad[i] = (above - below) / (2 * eps)
        return grad
    x, w = x.astype(float), w.astype(float)
    f = lambda: float((dy * (x @ w)).sum())
    return slopes(x, f), slopes(w, f)

# %% [markdown] task="gradients-matmul" reject="ten-rows"
# ```diff
# - x.T @ dy
# + x[:10].T @ dy[:10]
# ```

# %% task="gradients-matmul" right="sums"
def matmul_backward(dy, x, w):
    dx = (dy[:, None, :] * w[None]).sum(axis=2)
    dw = (x[:, :, None] * dy[:, None, :]).sum(axis=0)
    return dx, dw


# %% [markdown] task="gradients-matmul" reject="rounded"
# ```diff
# - return dy @ w.T, x.T @ dy
# + return np.round(dy @ w.T, 8), x.T @ dy
# ```


# %% task="gradients-centre" cases=true
def cases(rng):
    for shape in [(5,), (3, 4), (2, 3, 5), (1, 1), (4, 1), (3, 3), (1, 6), (2, 1, 3, 2, 4), (2, 130)]:
        for options in OPTIONS[: 1 + 2 * (len(shape) > 1)]:
            yield Case(f"dy of shape {shape}{named(options)}", [Call({"dy": rng.normal(0.5, 1, shape)}, returns="dx")], **options)
    # Rows of very different size: each has its own mean, and a sum over all loses the small ones.
    dy = [rng.normal(0.5, 1, 4) * 10.0**n for n in range(0, -4, -1)]
    yield Case("dy with small rows", [Call({"dy": np.stack(dy)}, returns="dx")])
    yield Case("a small dy", [Call({"dy": SMALL * rng.normal(0.5, 1, (3, 4))}, returns="dx")])

# %% [markdown] task="gradients-centre" hint=1
# raise one x_j a little: its own y_j goes up, and all y of the row, that one included, go down by
# 1/C.

# %% [markdown] task="gradients-centre" hint=2
# dx and dy are (..., C); the slope of y_i with respect to x_j is δᵢⱼ - 1/C; the sum over i runs
# along the last axis.

# %% [markdown] task="gradients-centre" hint=3
# dx is dy minus the mean of dy along the last axis, which keeps its axis.

# %% [markdown] task="gradients-centre" mistake="identity"
# is dy: the mean depends on x, too
# ```diff
# -  - dy.mean(axis=-1, keepdims=True)
# +
# ```

# %% [markdown] task="gradients-centre" mistake="sum"
# subtracts the sum: the mean has a 1/C in it
# ```diff
# - dy.mean(
# + dy.sum(
# ```

# %% [markdown] task="gradients-centre" mistake="whole-array"
# subtracts the mean of the whole array: each row has its own
# ```diff
# - dy.mean(axis=-1, keepdims=True)
# + dy.mean()
# ```

# %% [markdown] task="gradients-centre" mistake="first-axis"
# takes the mean along the first axis: the rows run along the last
# ```diff
# - axis=-1
# + axis=0
# ```

# %% [markdown] task="gradients-centre" mistake="plus"
# adds the mean: raising x_j lowers the others
# ```diff
# - dy - dy
# + dy + dy
# ```

# %% [markdown] task="gradients-centre" mistake="diagonal"
# has the Jacobian's diagonal only: every x reaches every y of its row
# ```diff
# - dy - dy.mean(axis=-1, keepdims=True)
# + dy * (1 - 1 / dy.shape[-1])
# ```

# %% [markdown] task="gradients-centre" mistake="off-diagonal"
# leaves x_j's own share out of the mean: the mean holds all C entries
# ```diff
# - dy - dy.mean(axis=-1, keepdims=True)
# + dy - (dy.sum(axis=-1, keepdims=True) - dy) / dy.shape[-1]
# ```

# %% [markdown] task="gradients-centre" mistake="unbiased"
# divides by C - 1: the mean divides by C
# ```diff
# - dy.mean(axis=-1, keepdims=True)
# + dy.sum(axis=-1, keepdims=True) / max(dy.shape[-1] - 1, 1)
# ```

# %% [markdown] task="gradients-centre" mistake="mean-only"
# lacks the direct path: x_j also stands in front of the mean, in its own y_j
# ```diff
# - dy - dy.mean(axis=-1, keepdims=True)
# + 0 * dy - dy.mean(axis=-1, keepdims=True)
# ```

# %% [markdown] task="gradients-centre" mistake="no-dy-in-mean"
# lacks dy in the second term: each y_i of the row falls by 1/C, and counts with its own dy_i
# ```diff
# - dy.mean(axis=-1, keepdims=True)
# + 1 / dy.shape[-1]
# ```

# %% [markdown] task="gradients-centre" mistake="no-keepdims"
# the means have lost their axis, and align with the columns: keepdims=True leaves an axis of size 1
# ```diff
# - , keepdims=True
# +
# ```

# %% task="gradients-centre" right="jacobian"
def centre_backward(dy):
    C = dy.shape[-1]
    return dy @ (np.eye(C) - np.ones((C, C)) / C)

# %% task="gradients-centre" right="loop"
def centre_backward(dy):
    dx = np.zeros(dy.shape)
    for n in np.ndindex(dy.shape[:-1]):
        for j in range(dy.shape[-1]):
            for i in range(dy.shape[-1]):
                dx[(*n, j)] += dy[(*n, i)] * ((i == j) - 1 / dy.shape[-1])
    return dx

# %% task="gradients-centre" right="einsum"
def centre_backward(dy):
    return dy - np.einsum("...c->...", dy)[..., None] / dy.shape[-1]

# %% [markdown] task="gradients-centre" reject="in-place"
# ```diff
# - return dy - dy.mean(axis=-1, keepdims=True)
# + dy -= dy.mean(axis=-1, keepdims=True)
# +     return dy
# ```

# %% [markdown] task="gradients-centre" reject="two-or-three-axes"
# ```diff
# - axis=-1
# + axis=min(dy.ndim - 1, 2)
# ```


# %% [markdown] task="gradients-centre" reject="rounded"
# ```diff
# - return dy - dy.mean(axis=-1, keepdims=True)
# + return np.round(dy - dy.mean(axis=-1, keepdims=True), 8)
# ```


# %% task="gradients-reused" cases=true
def cases(rng):
    for C in (1, 2, 3, 5, 7, 11, 40):
        for options in OPTIONS:
            args = {"dy": rng.normal(0.5, 1, C), "x": rng.normal(0.3, 1, C)}
            yield Case(f"{C} {'entry' if C == 1 else 'entries'}{named(options)}", [Call(args, returns="dx")], **options)
    for size in (LARGE, 1 / LARGE):
        args = {"dy": rng.normal(0.5, 1, 6), "x": size * rng.normal(0.3, 1, 6)}
        yield Case(f"entries of size {size:g}", [Call(args, returns="dx")])
    args = {"dy": SMALL * rng.normal(0.5, 1, 6), "x": rng.normal(0.3, 1, 6)}
    yield Case("a small dy", [Call(args, returns="dx")])

# %% [markdown] task="gradients-reused" hint=1
# treat s as a step of its own: y = x s, then s = Σ x². Go backward through both, and add what x
# gets.

# %% [markdown] task="gradients-reused" hint=2
# ds is one number: s is used for every y_i. dx is (C,), a sum of two parts.

# %% [markdown] task="gradients-reused" hint=3
# ds is the sum of dy times x; dx is dy times s, plus ds times two x.

# %% [markdown] task="gradients-reused" mistake="direct-only"
# lacks the path through s
# ```diff
# - dy * s + ds * 2 * x
# + dy * s
# ```

# %% [markdown] task="gradients-reused" mistake="through-s-only"
# lacks the direct path from x to y
# ```diff
# - dy * s + ds * 2 * x
# + ds * 2 * x
# ```

# %% [markdown] task="gradients-reused" mistake="no-two"
# lacks the 2 of the power rule
# ```diff
# - ds * 2 * x
# + ds * x
# ```

# %% [markdown] task="gradients-reused" mistake="ds-not-summed"
# does not sum for ds: s reaches every y
# ```diff
# - (dy * x).sum()
# + dy * x
# ```

# %% [markdown] task="gradients-reused" mistake="ds-no-x"
# lacks x in ds: the slope of x s with respect to s is x
# ```diff
# - (dy * x).sum()
# + dy.sum()
# ```

# %% [markdown] task="gradients-reused" mistake="no-last-x"
# lacks the factor x: the slope of s with respect to x_j is 2 x_j
# ```diff
# - ds * 2 * x
# + ds * 2
# ```

# %% [markdown] task="gradients-reused" mistake="s-not-squared"
# has s = Σ x: it is the sum of the squares
# ```diff
# - (x * x).sum()
# + x.sum()
# ```

# %% [markdown] task="gradients-reused" mistake="mean"
# has a mean where a sum belongs
# ```diff
# - (x * x).sum()
# + (x * x).mean()
# ```

# %% [markdown] task="gradients-reused" mistake="ds-no-dy"
# lacks dy in ds: x_i is the slope of y_i, and the chain rule multiplies it by dy_i
# ```diff
# - (dy * x).sum()
# + x.sum()
# ```

# %% [markdown] task="gradients-reused" mistake="slope-summed"
# sums the slopes of s: x_j changes s by 2 x_j alone, and the sum belongs to ds
# ```diff
# - (dy * x).sum()
# + dy * x
# - ds * 2 * x
# + ds * 2 * x.sum()
# ```

# %% task="gradients-reused" mistake="cube"
# is the slope of x³: s is not x_j², but the sum over the whole row, and reaches every y_i
def reused_backward(dy, x):
    return dy * 3 * x**2

# %% task="gradients-reused" right="jacobian"
def reused_backward(dy, x):
    return dy @ (np.eye(len(x)) * (x @ x) + 2 * np.outer(x, x))

# %% task="gradients-reused" right="loop"
def reused_backward(dy, x):
    dx = np.zeros(len(x))
    for j in range(len(x)):
        for i in range(len(x)):
            dx[j] += dy[i] * ((i == j) * (x**2).sum() + x[i] * 2 * x[j])
    return dx

# %% task="gradients-reused" right="dots"
def reused_backward(dy, x):
    return np.dot(x, x) * dy + 2 * np.dot(dy, x) * x

# %% [markdown] task="gradients-reused" reject="x-twice"
# ```diff
# - ds * 2 * x
# + 2 * (dy * x * x).sum()
# ```

# %% task="gradients-reused" reject="measured"
def reused_backward(dy, x):
    x, grad = x.astype(float), np.zeros(len(x))
    f = lambda: float((dy * x * (x * x).sum()).sum())
    for i in range(len(x)):
        kept = x[i]
        x[i] = kept + 1e-5
        above = f()
        x[i] = kept - 1e-5
        grad[i] = (above - f()) / 2e-5
        x[i] = kept
    return grad

# %% [markdown] task="gradients-reused" reject="x-overwritten"
# ```diff
# - s = (x * x).sum()
# -     ds = (dy * x).sum()
# -     return dy * s + ds * 2 * x
# + s = (x * x).sum()
# +     ds = (dy * x).sum()
# +     x *= 2 * ds
# +     x += dy * s
# +     return x
# ```


# %% [markdown] task="gradients-reused" reject="rounded"
# ```diff
# - return dy * s + ds * 2 * x
# + return np.round(dy * s + ds * 2 * x, 8)
# ```

# %% [markdown] task="gradients-numeric" reject="slope-of-an-equal-neighbor"
# ```diff
# -         kept = a[index]
# +         kept = a[index]
# +         if index and index[-1] and kept == a[(*index[:-1], index[-1] - 1)]:
# +             grad[index] = grad[(*index[:-1], index[-1] - 1)]
# +             continue
# ```

# %% [markdown] task="gradients-numeric" reject="at-most-four-axes" shows="of any shape"
# ```diff
# - grad = np.zeros_like(a)
# + assert a.ndim < 5
# +     grad = np.zeros_like(a)
# ```

# %% [markdown] task="gradients-centre" reject="at-most-four-axes"
# ```diff
# - return dy -
# + assert dy.ndim < 5
# +     return dy -
# ```

# %% [markdown] task="gradients-centre" reject="mean-of-the-first-hundred"
# ```diff
# - dy.mean(
# + dy[..., :100].mean(
# ```
