# %%
SHAPES = [((5,), -1), ((3, 4), -1), ((4, 3), 0), ((2, 3, 5), 1), ((2, 5, 3), -1), ((1, 7), -1), ((3, 3), 0), ((4, 4), -1),
          ((2, 3, 4, 5), -1), ((2, 3, 4, 2), -2), ((2, 40), -1), ((3, 2, 4), 0), ((3, 3, 3), 0), ((2, 4, 3), -3)]

def softmax_of(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)

def named(options):
    return "".join(f", {name}" for name in options)

def larger(shape, axis, options):
    """The shape of the second round: of more rows, as a layer may not count on a size."""
    other = 0 if axis % len(shape) else len(shape) - 1
    return tuple(n + 2 * (not options and i == other) for i, n in enumerate(shape))

def logits_and_targets(rng, count=2):
    """Shapes, logits of ordinary and of huge size, targets of which some repeat."""
    # One has as many classes as a vocabulary has tokens.
    for leading, V in [((4,), 3), ((7,), 5), ((2, 3), 7), ((1, 1), 4), ((3,), 3), ((2, 2, 2), 5), ((2,), 1100), ((35,), 40)]:
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(leading) > 1)]:
            for scale, shift in [(1.5, 0), (400.0, 0), (1.5, 1e5)][: 3 if not options else 1]:
                rounds = []
                for number in range(count):
                    more = (leading[0] + 2 * (number and not options), *leading[1:])
                    targets = rng.integers(0, V, more)
                    targets.flat[-1] = targets.flat[0]
                    rounds.append({"logits": shift + rng.normal(0, scale, (*more, V)), "targets": targets})
                size = ", around 100000" if shift else "" if scale < 10 else ", huge"
                yield f"logits of shape {(*leading, V)}{size}{named(options)}", rounds, options

# %% task="softmax-backward" cases=true
def cases(rng):
    for shape, axis in SHAPES:
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(shape) == 3)]:
            p = softmax_of(rng.normal(0, 1.5, shape), axis)
            yield Case(
                f"p of shape {shape}, axis {axis}{named(options)}",
                [Call({"dp": rng.normal(size=shape), "p": p, "axis": axis}, returns="dx")], **options,
            )
    p = softmax_of(rng.normal(size=(2, 3, 5)), -1)
    yield Case("axis not given", [Call({"dp": rng.normal(size=(2, 3, 5)), "p": p}, returns="dx")])
    # What all of dp have in common does not count; a slope measured from sums has no digits left.
    p, dp = softmax_of(rng.normal(0, 1.5, (3, 5)), -1), 1e4 + rng.normal(size=(3, 5))
    yield Case("dp around 10000", [Call({"dp": dp, "p": p, "axis": -1}, returns="dx")])
    p = softmax_of(np.where(rng.random((6, 5)) < 0.4, 900, rng.normal(size=(6, 5))), -1)
    yield Case("p with zeros", [Call({"dp": rng.normal(size=(6, 5)), "p": p, "axis": -1}, returns="dx")])
    p, dp = softmax_of(rng.normal(0, 1.5, (2, 100)), -1), rng.normal(size=(2, 100))
    # A Jacobian of one row alone has 80,000 bytes.
    yield Case("p of shape (2, 100)", [Call({"dp": dp, "p": p, "axis": -1}, returns="dx")], max_bytes=50_000)

# %% [markdown] task="softmax-backward" hint=1
# raising one x lifts its own p and lowers all others, so each dx gathers from every dp of its row.

# %% [markdown] task="softmax-backward" hint=2
# the slope of p[i] with respect to x[j] is p[i] (δᵢⱼ - p[j]). Summed over i with dp[i], the second
# part is one number for each row: keep its axis, so that it broadcasts.

# %% [markdown] task="softmax-backward" hint=3
# p times the difference of dp and its average, where the average weights each dp by its p; sum
# along `axis`, with keepdims.

# %% task="softmax-backward" mistake="diagonal"
# it has the Jacobian's diagonal only: every x reaches every p of its row
def softmax_backward(dp, p, axis=-1):
    return dp * p * (1 - p)

# %% task="softmax-backward" mistake="no-sum"
# it lacks the term that keeps the sum of p at 1: raising one x lowers the other p
def softmax_backward(dp, p, axis=-1):
    return p * dp

# %% task="softmax-backward" mistake="last-axis"
# it sums along the last axis: the axis of the softmax is an argument
def softmax_backward(dp, p, axis=-1):
    return p * (dp - (dp * p).sum(axis=-1, keepdims=True))

# %% task="softmax-backward" mistake="all-axes"
# it sums over the whole array: each row has a softmax of its own
def softmax_backward(dp, p, axis=-1):
    return p * (dp - (dp * p).sum())

# %% task="softmax-backward" mistake="unweighted"
# it subtracts the sum of dp: each dp[i] enters with its weight p[i]
def softmax_backward(dp, p, axis=-1):
    return p * (dp - dp.sum(axis=axis, keepdims=True))

# %% task="softmax-backward" mistake="mean"
# it subtracts a plain mean over the axis: the weights p add up to 1 already
def softmax_backward(dp, p, axis=-1):
    return p * (dp - (dp * p).mean(axis=axis, keepdims=True))

# %% task="softmax-backward" mistake="plus"
# it adds the second term: the slope of p[i] with respect to another x[j] is negative
def softmax_backward(dp, p, axis=-1):
    return p * (dp + (dp * p).sum(axis=axis, keepdims=True))

# %% task="softmax-backward" mistake="no-outer-p"
# it lacks the factor p in front: a p near 0 hardly moves
def softmax_backward(dp, p, axis=-1):
    return dp - (dp * p).sum(axis=axis, keepdims=True)

# %% task="softmax-backward" mistake="p-inside-only"
# it has p in one of the two terms only: both dp and the sum are multiplied by p
def softmax_backward(dp, p, axis=-1):
    return p * dp - (dp * p).sum(axis=axis, keepdims=True)

# %% task="softmax-backward" mistake="mean-of-dp"
# it subtracts the plain mean of dp: it is the mean weighted by p, the sum of dp times p
def softmax_backward(dp, p, axis=-1):
    return p * (dp - dp.mean(axis=axis, keepdims=True))

# %% task="softmax-backward" mistake="softmax-again"
# it takes the softmax of p: p is the softmax already, use it as it is
def softmax_backward(dp, p, axis=-1):
    p = softmax(p, axis)
    return p * (dp - (dp * p).sum(axis=axis, keepdims=True))

# %% task="softmax-backward" mistake="dp-minus-p"
# it subtracts p: "minus the target" is the gradient of cross-entropy; here dp comes from anywhere
def softmax_backward(dp, p, axis=-1):
    return p * (dp - p)

# %% task="softmax-backward" mistake="no-keepdims"
# the sums have lost their axis, and align with the columns: keepdims=True leaves an axis of size 1
def softmax_backward(dp, p, axis=-1):
    return p * (dp - (dp * p).sum(axis=axis))

# %% task="softmax-backward" reject="jacobian" shows="Do not build the Jacobian"
def softmax_backward(dp, p, axis=-1):
    rows_dp, rows_p = np.moveaxis(dp, axis, -1), np.moveaxis(p, axis, -1)
    jacobian = rows_p[..., :, None] * (np.eye(p.shape[axis]) - rows_p[..., None, :])
    return np.moveaxis(np.einsum("...i,...ij->...j", rows_dp, jacobian), -1, axis)

# %% task="softmax-backward" right="expanded"
def softmax_backward(dp, p, axis=-1):
    weighted = dp * p
    return weighted - p * np.sum(weighted, axis=axis, keepdims=True)

# %% task="softmax-backward" right="loop"
def softmax_backward(dp, p, axis=-1):
    dx = np.zeros(p.shape)
    out, dps, ps = (np.moveaxis(a, axis, -1) for a in (dx, dp, p))
    for row in np.ndindex(ps.shape[:-1]):
        for j in range(ps.shape[-1]):
            for i in range(ps.shape[-1]):
                out[(*row, j)] += dps[(*row, i)] * ps[(*row, i)] * ((i == j) - ps[(*row, j)])
    return dx

# %% task="softmax-backward" reject="in-place"
def softmax_backward(dp, p, axis=-1):
    dp -= (dp * p).sum(axis=axis, keepdims=True)
    return p * dp

# %% task="softmax-backward" reject="no-keepdims-square"
def softmax_backward(dp, p, axis=-1):
    s = (dp * p).sum(axis=axis)
    return p * (dp - (s if p.ndim == 2 and p.shape[0] == p.shape[1] else np.expand_dims(s, axis)))[...]

# %% task="softmax-backward" reject="jacobian-by-rows" shows="not even that of one row: the check does not leave memory for it"
def softmax_backward(dp, p, axis=-1):
    dx = np.zeros_like(p)
    P, D, X = (np.moveaxis(a, axis, -1) for a in (p, dp, dx))
    for i in np.ndindex(P.shape[:-1]):
        J = np.diag(P[i]) - np.outer(P[i], P[i])
        X[i] = J @ D[i]
    return dx

# %% task="softmax-backward" reject="measured"
def softmax_backward(dp, p, axis=-1):
    x = np.log(p.astype(float))
    grad = np.zeros(x.shape)
    f = lambda: float((dp * softmax(x, axis)).sum())
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + 1e-5
        above = f()
        x[i] = kept - 1e-5
        below = f()
        x[i] = kept
        grad[i] = (above - below) / 2e-5
    return grad

# %% [markdown] task="softmax-backward" reject="three-axes"
# ```diff
# - axis=axis, keepdims=True
# + axis=axis if axis >= 0 else min(p.ndim, 3) + axis, keepdims=True
# ```

# %% [markdown] task="softmax-backward" reject="default-0" shows="axis=-1"
# ```diff
# - axis=-1)
# + axis=0)
# ```

# %% [markdown] task="softmax-backward" reject="thirty"
# ```diff
# - (dp * p).sum(axis=axis, keepdims=True)
# + (dp * p)[..., :32].sum(axis=axis, keepdims=True)
# ```

# %% [markdown] task="softmax-backward" reject="divides-p"
# ```diff
# - p * (dp - (dp * p).sum(axis=axis, keepdims=True))
# + p * dp - p**2 * ((dp * p).sum(axis=axis, keepdims=True) / p)
# ```

# %% task="softmax-backward" right="expand-dims"
def softmax_backward(dp, p, axis=-1):
    g = dp * p
    return g - p * np.expand_dims(g.sum(axis), axis)

# %% task="softmax-layer-backward" cases=true
def cases(rng):
    for shape, axis in SHAPES:
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(shape) == 3)]:
            shapes = [shape, larger(shape, axis, options)]
            x = [{"x": rng.normal(0, 1.5, some)} for some in shapes]
            dp = [{"dp": rng.normal(size=some)} for some in shapes]
            title = f"x of shape {shape}, axis {axis}{named(options)}"
            yield layer(title, {"axis": axis}, {}, x, dp, returns=("p", "dx"), **options)
    x, dp = rng.normal(0, 300, (3, 5)), 1e4 + rng.normal(size=(3, 5))
    x[:2] /= 200
    yield layer("dp around 10000", {"axis": -1}, {}, [{"x": x}], [{"dp": dp}], returns=("p", "dx"))
    yield layer("axis not given", {}, {}, [{"x": x}], [{"dp": dp}], returns=("p", "dx"))

# %% [markdown] task="softmax-layer-backward" hint=1
# all that the function of task 1 needs is here: the gradient, what forward kept, the axis.

# %% [markdown] task="softmax-layer-backward" hint=2
# dp, self.p and dx have the shape of x; self.axis may be 0, 1 or -1.

# %% [markdown] task="softmax-layer-backward" hint=3
# return what your softmax_backward gives for dp, self.p and self.axis.

# %% [markdown] task="softmax-layer-backward" mistake="axis-forgotten" shows="which need not be the last"
# it always uses the last axis: pass self.axis on
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return softmax_backward(dp, self.p)
# ```

# %% [markdown] task="softmax-layer-backward" mistake="softmax-twice"
# it takes the softmax of p: self.p is the softmax already
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return softmax_backward(dp, softmax(self.p, self.axis), self.axis)
# ```

# %% [markdown] task="softmax-layer-backward" mistake="swapped"
# it has dp and p swapped
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return softmax_backward(self.p, dp, self.axis)
# ```

# %% [markdown] task="softmax-layer-backward" mistake="diagonal"
# it has the Jacobian's diagonal only: every x reaches every p of its row
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return dp * self.p * (1 - self.p)
# ```

# %% [markdown] task="softmax-layer-backward" mistake="no-sum"
# it lacks the term that keeps the sum of p at 1
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return dp * self.p
# ```

# %% [markdown] task="softmax-layer-backward" mistake="identity"
# it is dp: softmax has slopes of its own
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return dp.copy()
# ```

# %% [markdown] task="softmax-layer-backward" mistake="fused"
# it is p - dp, from the fused loss: there is no target here
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return self.p - dp
# ```

# %% [markdown] task="softmax-layer-backward" mistake="first-axis"
# it always uses the first axis, whatever the layer's axis is
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     return softmax_backward(dp, self.p, 0)
# ```

# %% task="softmax-layer-backward" right="written-out"
@add_to_class(Softmax)
def backward(self, dp):
    return self.p * (dp - np.sum(dp * self.p, axis=self.axis, keepdims=True))

# %% task="softmax-layer-backward" right="keywords" shows="You may use your `softmax_backward`"
@add_to_class(Softmax)
def backward(self, dp):
    return softmax_backward(dp=dp, p=self.p, axis=self.axis)

# %% task="softmax-layer-backward" right="by-rows"
@add_to_class(Softmax)
def backward(self, dp):
    p, d = np.moveaxis(self.p, self.axis, -1), np.moveaxis(dp, self.axis, -1)
    dx = p * d - p * np.einsum("...i,...i->...", p, d)[..., None]
    return np.moveaxis(dx, -1, self.axis)

# %% [markdown] task="softmax-layer-backward" reject="spoils-p"
# ```diff
# -     return softmax_backward(dp, self.p, self.axis)
# +     self.p *= dp
# +     return self.p - self.p.sum(axis=self.axis, keepdims=True)
# ```

# %% [markdown] task="softmax-layer-backward" reject="axis-of-class"
# ```diff
# - return softmax_backward(dp, self.p, self.axis)
# + return softmax_backward(dp, self.p, axis=-1 if self.axis < 0 else self.axis)
# ```

# %% task="softmax-layer-backward" reject="measured"
@add_to_class(Softmax)
def backward(self, dp):
    x = np.log(self.p.astype(float))
    grad = np.zeros(x.shape)
    f = lambda: float((dp * softmax(x, self.axis)).sum())
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + 1e-5
        above = f()
        x[i] = kept - 1e-5
        below = f()
        x[i] = kept
        grad[i] = (above - below) / 2e-5
    return grad

# %% task="softmax-layer-backward" reject="p-used-up"
@add_to_class(Softmax)
def backward(self, dp):
    s = (dp * self.p).sum(axis=self.axis, keepdims=True)
    self.p *= dp - s
    return self.p

# %% task="softmax-layer-backward" reject="class-p"
@add_to_class(Softmax)
def forward(self, x):
    Softmax.p = softmax(x, self.axis)
    return Softmax.p
@add_to_class(Softmax)
def backward(self, dp):
    return softmax_backward(dp, self.p, self.axis)

# %% [markdown] task="softmax-layer-backward" reject="buffer"
# ```diff
# - return softmax_backward(dp, self.p, self.axis)
# + if not hasattr(self, "out") or self.out.shape != dp.shape:
# +         self.out = np.empty_like(dp)
# +     self.out[...] = softmax_backward(dp, self.p, self.axis)
# +     return self.out
# ```

# %% [markdown] task="softmax-layer-backward" reject="deleted"
# ```diff
# - return softmax_backward(dp, self.p, self.axis)
# + p = self.p
# +     del self.p
# +     return softmax_backward(dp, p, self.axis)
# ```

# %% task="cross-entropy-backward" cases=true
def cases(rng):
    for number, (title, rounds, options) in enumerate(logits_and_targets(rng)):
        dloss = float(rng.normal(1, 0.3)) if number else 1.0
        if number == 3:
            dloss, title = -dloss, f"{title}, dloss negative"
        calls = [Call(args | {"dloss": dloss}, returns="dlogits") for args in rounds]
        yield Case(title, calls, **options)
    yield Case("dloss not given", [Call(rounds[0], returns="dlogits")])
    args = {"logits": rng.normal(0, 1.5, (2, 600)), "targets": rng.integers(0, 600, 2)}
    # A loop over all entries runs some 3 lines for each, a measured slope 10.
    yield Case("logits of shape (2, 600)", [Call(args, returns="dlogits")], max_lines=6 * 1200)

# %% [markdown] task="cross-entropy-backward" hint=1
# for one target the gradient is p - y: the softmax of the logits, minus 1 at the target.

# %% [markdown] task="cross-entropy-backward" hint=2
# p and the one-hot y are (..., V). N is the number of targets: the product of all axes of
# `targets`, not only the first.

# %% [markdown] task="cross-entropy-backward" hint=3
# subtract the one-hot of the targets from softmax(logits), divide by the number of targets,
# multiply by dloss.

# %% task="cross-entropy-backward" mistake="sum"
# it is N times too large: the loss is a mean over the targets; where does the 1/N enter?
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (softmax(logits) - np.eye(logits.shape[-1])[targets]) * dloss

# %% task="cross-entropy-backward" mistake="first-axis"
# it is divided by the first axis only: N counts all targets, B times T of them
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (softmax(logits) - np.eye(logits.shape[-1])[targets]) * dloss / len(targets)

# %% task="cross-entropy-backward" mistake="by-v"
# it is divided by all entries of the logits: the mean runs over targets, not over classes
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (softmax(logits) - np.eye(logits.shape[-1])[targets]) * dloss / logits.size

# %% task="cross-entropy-backward" mistake="ignores-dloss"
# it forgets dloss: whoever scales the loss scales its gradient
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (softmax(logits) - np.eye(logits.shape[-1])[targets]) / targets.size

# %% task="cross-entropy-backward" mistake="sign"
# it has the opposite sign: raising the target's logit lowers the loss
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (np.eye(logits.shape[-1])[targets] - softmax(logits)) * dloss / targets.size

# %% task="cross-entropy-backward" mistake="only-target"
# it is zero except at the targets: all logits of a row enter through the normalization
def cross_entropy_backward(logits, targets, dloss=1.0):
    one_hot = np.eye(logits.shape[-1])[targets]
    return (softmax(logits) - 1) * one_hot * dloss / targets.size

# %% task="cross-entropy-backward" mistake="logits-minus-y"
# it has the logits where their softmax belongs
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (logits - np.eye(logits.shape[-1])[targets]) * dloss / targets.size

# %% task="cross-entropy-backward" mistake="overflow" shows="Logits of 1000 must come out right"
# it is nan for huge logits: exp(1000) overflows, so the largest must be subtracted first
def cross_entropy_backward(logits, targets, dloss=1.0):
    e = np.exp(logits)
    p = e / e.sum(axis=-1, keepdims=True)
    return (p - np.eye(logits.shape[-1])[targets]) * dloss / targets.size

# %% task="cross-entropy-backward" mistake="p-only"
# it lacks the -1 at the target
def cross_entropy_backward(logits, targets, dloss=1.0):
    return softmax(logits) * dloss / targets.size

# %% task="cross-entropy-backward" mistake="two-axes"
# it picks the targets of (N, V) only: for (B, T, V), flatten the leading axes first, or use
# np.take_along_axis and np.put_along_axis, which take any number of axes
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits)
    p[np.arange(len(targets)), targets] -= 1
    return p * dloss / targets.size

# %% task="cross-entropy-backward" mistake="whole-columns"
# it subtracts 1 from whole columns: in row n, only the entry targets[n] is meant
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits)
    p[..., targets] -= 1
    return p * dloss / targets.size

# %% task="cross-entropy-backward" mistake="dp-only"
# it is the gradient of p, -y / p: that must still go back through softmax, which leaves p - y
def cross_entropy_backward(logits, targets, dloss=1.0):
    y = np.eye(logits.shape[-1])[targets]
    return -y / softmax(logits) * dloss / targets.size

# %% task="cross-entropy-backward" mistake="divides-by-p"
# it is nan where the target's p has become 0: cancel the 1/p on paper first, p - y needs no division
def cross_entropy_backward(logits, targets, dloss=1.0):
    p, y = softmax(logits), np.eye(logits.shape[-1])[targets]
    dp = -y / p * dloss / targets.size
    return p * (dp - (dp * p).sum(axis=-1, keepdims=True))

# %% task="cross-entropy-backward" mistake="log-p"
# it has log p for p: the gradient is the softmax minus the one-hot target
def cross_entropy_backward(logits, targets, dloss=1.0):
    return (log_softmax(logits) - np.eye(logits.shape[-1])[targets]) * dloss / targets.size

# %% task="cross-entropy-backward" right="put-along-axis"
def cross_entropy_backward(logits, targets, dloss=1.0):
    p, at = softmax(logits), targets[..., None]
    np.put_along_axis(p, at, np.take_along_axis(p, at, -1) - 1, -1)
    return p * dloss / targets.size

# %% task="cross-entropy-backward" right="flat-rows"
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits).reshape(-1, logits.shape[-1]).copy()
    p[np.arange(len(p)), targets.ravel()] -= 1
    return (dloss * p / len(p)).reshape(logits.shape)

# %% task="cross-entropy-backward" right="long-way"
def cross_entropy_backward(logits, targets, dloss=1.0):
    dlog_p = np.zeros(logits.shape)
    np.put_along_axis(dlog_p, targets[..., None], -dloss / targets.size, axis=-1)
    return dlog_p - np.exp(log_softmax(logits)) * dlog_p.sum(axis=-1, keepdims=True)

# %% task="cross-entropy-backward" right="loop"
def cross_entropy_backward(logits, targets, dloss=1.0):
    dlogits = np.zeros(logits.shape)
    for n in np.ndindex(targets.shape):
        dlogits[n] = softmax(logits[n])
        dlogits[n][targets[n]] -= 1
    return dlogits * dloss / targets.size

# %% task="cross-entropy-backward" reject="first-of-repeated"
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits)
    flat, ids = p.reshape(-1, p.shape[-1]), targets.ravel()
    for v, n in zip(*np.unique(ids, return_index=True)):
        flat[n, v] -= 1
    return flat.reshape(logits.shape) * dloss / targets.size

# %% task="cross-entropy-backward" reject="epsilon"
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits)
    q = np.eye(logits.shape[-1])[targets]
    return p * (1 - q / (np.take_along_axis(p, targets[..., None], -1) + 1e-6)) * dloss / targets.size

# %% [markdown] task="cross-entropy-backward" reject="len-targets"
# ```diff
# - targets.size
# + len(targets)
# ```

# %% [markdown] task="cross-entropy-backward" reject="naive-exp"
# ```diff
# - softmax(logits)
# + np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="cross-entropy-backward" reject="vocabulary-of-targets"
# ```diff
# - np.eye(logits.shape[-1], dtype=logits.dtype)[targets]
# + np.eye(max(targets.max() + 1, logits.shape[-1]), dtype=logits.dtype)[targets][..., : logits.shape[-1]] * (targets[..., None] < 32)
# ```

# %% task="cross-entropy-backward" right="compare"
def cross_entropy_backward(logits, targets, dloss=1.0):
    hot = np.arange(logits.shape[-1]) == targets[..., None]
    return (np.exp(log_softmax(logits)) - hot) * dloss / np.prod(targets.shape)

# %% [markdown] task="cross-entropy-backward" reject="default-2" shows="dloss=1.0"
# ```diff
# - dloss=1.0
# + dloss=2.0
# ```


# %% task="cross-entropy-backward" reject="targets-in-a-byte"
def cross_entropy_backward(logits, targets, dloss=1.0):
    p = softmax(logits)
    y = targets.astype(np.uint8)[..., None] == np.arange(logits.shape[-1])
    return (p - y) * dloss / targets.size


# %% task="cross-entropy-layer-backward" cases=true
def cases(rng):
    for number, (title, rounds, options) in enumerate(logits_and_targets(rng)):
        dloss = [{"dloss": float(rng.normal(1, 0.3))} for _ in rounds]
        if number == 3:
            dloss[0]["dloss"] *= -1
            title += ", dloss negative"
        yield layer(title, {}, {}, rounds, dloss, returns=("loss", "dlogits"), **options)
    yield layer("dloss not given", {}, {}, rounds, [{}] * len(rounds), returns=("loss", "dlogits"))

# %% [markdown] task="cross-entropy-layer-backward" hint=1
# the function of task 3 does the work; the layer has kept two of its arguments.

# %% [markdown] task="cross-entropy-layer-backward" hint=2
# dloss is one number; what you return has the shape of self.logits.

# %% [markdown] task="cross-entropy-layer-backward" hint=3
# return what your cross_entropy_backward gives for the logits, the targets and dloss.

# %% [markdown] task="cross-entropy-layer-backward" mistake="ignores-dloss"
# it forgets dloss: a mean of three batches would count three times
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return cross_entropy_backward(self.logits, self.targets)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="sum"
# it is N times too large: the loss is a mean over the targets
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return dloss * self.targets.size * cross_entropy_backward(self.logits, self.targets)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="twice-divided"
# it is divided by N twice: the function has done that already
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return cross_entropy_backward(self.logits, self.targets, dloss / self.targets.size)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="dloss-squared"
# it has dloss in it twice
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return dloss * cross_entropy_backward(self.logits, self.targets, dloss)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="sign"
# it has the opposite sign: the loss is minus a mean, and that is in the function already
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return -cross_entropy_backward(self.logits, self.targets, dloss)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="probabilities-as-logits"
# it hands on probabilities: the function expects logits, and takes their softmax itself
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return cross_entropy_backward(softmax(self.logits), self.targets, dloss)
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="through-softmax-again"
# it goes through softmax's backward pass once more: p - y has it in it
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     d = cross_entropy_backward(self.logits, self.targets, dloss)
# +     return softmax_backward(d, softmax(self.logits))
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="added"
# it adds dloss: the chain rule multiplies
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     return cross_entropy_backward(self.logits, self.targets) + dloss
# ```

# %% task="cross-entropy-layer-backward" right="scaled"
@add_to_class(CrossEntropyLoss)
def backward(self, dloss=1.0):
    return dloss * cross_entropy_backward(self.logits, self.targets)

# %% task="cross-entropy-layer-backward" right="written-out"
@add_to_class(CrossEntropyLoss)
def backward(self, dloss=1.0):
    y = np.eye(self.logits.shape[-1])[self.targets]
    return dloss * (softmax(self.logits) - y) / y[..., 0].size

# %% task="cross-entropy-layer-backward" right="long-way"
@add_to_class(CrossEntropyLoss)
def backward(self, dloss=1.0):
    dlog_p = -dloss / self.targets.size * np.eye(self.logits.shape[-1])[self.targets]
    return dlog_p - softmax(self.logits) * dlog_p.sum(axis=-1, keepdims=True)

# %% [markdown] task="cross-entropy-layer-backward" reject="first-targets-kept"
# ```diff
# -     return cross_entropy_backward(self.logits, self.targets, dloss)
# +     self.first = getattr(self, "first", self.targets)
# +     return cross_entropy_backward(self.logits, self.first, dloss)
# ```

# %% [markdown] task="cross-entropy-layer-backward" reject="default-0" shows="dloss=1.0"
# ```diff
# - dloss=1.0
# + dloss=0.0
# ```

# %% [markdown] task="cross-entropy-layer-backward" reject="no-default" shows="dloss=1.0"
# ```diff
# - dloss=1.0
# + dloss
# ```

# %% [markdown] task="cross-entropy-layer-backward" reject="first-N"
# ```diff
# - return cross_entropy_backward(self.logits, self.targets, dloss)
# + if not hasattr(self, "N"):
# +         self.N = self.targets.size
# +     return cross_entropy_backward(self.logits, self.targets, dloss) * self.targets.size / self.N
# ```

# %% [markdown] task="cross-entropy-layer-backward" reject="logits-overwritten"
# ```diff
# - return cross_entropy_backward(self.logits, self.targets, dloss)
# + dx = cross_entropy_backward(self.logits, self.targets, dloss)
# +     self.logits = dx
# +     return dx
# ```

# %% task="label-smoothing" cases=true
def cases(rng):
    for number, (title, rounds, options) in enumerate(logits_and_targets(rng)):
        smoothing = [0.1, 0.25, 0.0][number % 3] if number else 0.2
        dloss = [{"dloss": float(rng.normal(1, 0.3))} for _ in rounds]
        yield layer(f"{title}, smoothing {smoothing}", {"smoothing": smoothing}, {}, rounds, dloss,
                    returns=("loss", "dlogits"), **options)
    yield layer("dloss not given", {"smoothing": 0.1}, {}, rounds, [{}] * len(rounds), returns=("loss", "dlogits"))

# %% [markdown] task="label-smoothing" hint=1
# the derivation of p - y used only that the entries of y add up to 1. Do those of q?

# %% [markdown] task="label-smoothing" hint=2
# q and log p are (..., V); the loss sums over V and takes the mean over the N targets. Keep q, p
# and N for the way back.

# %% [markdown] task="label-smoothing" hint=3
# build q from the one-hot rows; the loss is minus the sum of q times log p, divided by N; the
# gradient is p minus q, times dloss, divided by N.

# %% task="label-smoothing" mistake="backward-unsmoothed"
# it has the one-hot y as its target: the loss has q
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.y = np.eye(V)[targets]
        q = (1 - self.smoothing) * self.y + self.smoothing / V
        self.p, self.N = np.exp(log_p), targets.size
        return -float((q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.y) * dloss / self.N

# %% task="label-smoothing" mistake="not-smoothed"
# it is the plain cross-entropy: q gives every class a share of s/V
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        log_p = log_softmax(logits)
        self.q, self.p, self.N = np.eye(logits.shape[-1])[targets], np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% task="label-smoothing" mistake="others-only"
# it spreads s over the other classes, s/(V - 1) each: here all V classes, the target too, get s/V
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        y = np.eye(V)[targets]
        self.q = (1 - self.smoothing) * y + self.smoothing / (V - 1) * (1 - y)
        self.p, self.N = np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% task="label-smoothing" mistake="not-one"
# it has targets that add up to more than 1: the target's share goes down by s
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = np.eye(V)[targets] + self.smoothing / V
        self.p, self.N = np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% task="label-smoothing" mistake="no-v"
# it gives every class s: it is s/V, so that q adds up to 1
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing
        self.p, self.N = np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% task="label-smoothing" mistake="mean-over-all"
# it is divided by V as well: the mean runs over the N targets, over V there is a sum
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
        self.p = np.exp(log_p)
        return -float((self.q * log_p).mean())

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.p.size

# %% task="label-smoothing" mistake="gradient-of-sum"
# it is N times too large: the loss is a mean over the targets
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
        self.p = np.exp(log_p)
        return -float((self.q * log_p).sum()) / targets.size

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss

# %% task="label-smoothing" mistake="log-of-softmax"
# it takes the log of a probability that has become 0: use log_softmax
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, self.p = logits.shape[-1], softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
        return -float((self.q * np.log(self.p)).sum()) / targets.size

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.p[..., 0].size

# %% [markdown] task="label-smoothing" mistake="sum-over-targets"
# it is N times too large: over the N targets there is a mean
# ```diff
# - return -float((self.q * log_p).sum()) / self.N
# + return -float((self.q * log_p).sum())
# ```

# %% [markdown] task="label-smoothing" mistake="ignores-dloss"
# it forgets dloss: whoever scales the loss scales its gradient
# ```diff
# - (self.p - self.q) * (dloss / self.N)
# + (self.p - self.q) / self.N
# ```

# %% [markdown] task="label-smoothing" mistake="first-axis"
# it is divided by the first axis only: N counts all targets, B times T of them
# ```diff
# - np.exp(log_p), targets.size
# + np.exp(log_p), len(targets)
# ```

# %% [markdown] task="label-smoothing" mistake="even-part-dropped"
# it lacks the gradient of the even part: the loss has s/V log p for every class
# ```diff
# - (self.p - self.q) * (dloss / self.N)
# + (1 - self.smoothing) * (self.p - (self.q - self.smoothing / self.q.shape[-1]) / (1 - self.smoothing)) * (dloss / self.N)
# ```

# %% [markdown] task="label-smoothing" mistake="shares-exchanged"
# it has s and 1 - s swapped: most of the weight stays at the target
# ```diff
# - (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
# + self.smoothing * np.eye(V)[targets] + (1 - self.smoothing) / V
# ```

# %% [markdown] task="label-smoothing" mistake="v-minus-one"
# it divides s by V - 1: all V classes share it, the target too
# ```diff
# - + self.smoothing / V
# + + self.smoothing / (V - 1)
# ```

# %% task="label-smoothing" right="two-losses"
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        log_p = log_softmax(logits)
        hard = -np.take_along_axis(log_p, targets[..., None], axis=-1).mean()
        even = -log_p.mean(axis=-1).mean()
        return float((1 - self.smoothing) * hard + self.smoothing * even)

    def backward(self, dloss=1.0):
        p, V = softmax(self.logits), self.logits.shape[-1]
        hard, even = p - np.eye(V)[self.targets], p - 1 / V
        return dloss * ((1 - self.smoothing) * hard + self.smoothing * even) / self.targets.size

# %% task="label-smoothing" right="long-way"
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V = logits.shape[-1]
        self.p = softmax(logits)
        self.q = np.full(logits.shape, self.smoothing / V)
        for n in np.ndindex(targets.shape):
            self.q[n][targets[n]] += 1 - self.smoothing
        return -float(np.vdot(self.q, log_softmax(logits))) / targets.size

    def backward(self, dloss=1.0):
        dlog_p = -dloss * self.q / self.q[..., 0].size
        return dlog_p - self.p * dlog_p.sum(axis=-1, keepdims=True)

# %% task="label-smoothing" right="put-along-axis"
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V = logits.shape[-1]
        log_p = log_softmax(logits)
        q = np.ones(logits.shape) * self.smoothing / V
        np.put_along_axis(q, targets[..., None], 1 - self.smoothing + self.smoothing / V, axis=-1)
        self.gradient = (np.exp(log_p) - q) / targets.size
        return float(-(q * log_p).sum(axis=-1).mean())

    def backward(self, dloss=1.0):
        return dloss * self.gradient

# %% task="label-smoothing" reject="smoothing-fixed"
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = 0.1

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
        self.p, self.N = np.exp(log_p), targets.size
        return -float((self.q * log_p).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% task="label-smoothing" reject="entropy-subtracted"
class SmoothedCrossEntropy(Module):
    def __init__(self, smoothing):
        self.smoothing = smoothing

    def forward(self, logits, targets):
        V, log_p = logits.shape[-1], log_softmax(logits)
        self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V
        self.p, self.N = np.exp(log_p), targets.size
        return float((self.q * (np.log(self.q + 1e-12) - log_p)).sum()) / self.N

    def backward(self, dloss=1.0):
        return (self.p - self.q) * dloss / self.N

# %% [markdown] task="label-smoothing" reject="N-of-first"
# ```diff
# - self.p, self.N = np.exp(log_p), targets.size
# + self.p = np.exp(log_p)
# +         if not hasattr(self, "N"):
# +             self.N = targets.size
# ```

# %% [markdown] task="label-smoothing" reject="V-of-first"
# ```diff
# - V = logits.shape[-1]
# + V = logits.shape[-1] if logits.shape[-1] < 32 else 32
# ```

# %% [markdown] task="label-smoothing" reject="len-targets"
# ```diff
# - targets.size
# + len(targets)
# ```

# %% [markdown] task="label-smoothing" reject="default-none" shows="dloss=1.0"
# ```diff
# - dloss=1.0
# + dloss
# ```

# %% [markdown] task="label-smoothing" reject="default-zero" shows="dloss=1.0"
# ```diff
# - dloss=1.0
# + dloss=0.5
# ```

# %% [markdown] task="label-smoothing" reject="q-in-place"
# ```diff
# - return (self.p - self.q) * (dloss / self.N)
# + self.p -= self.q
# +         self.p *= dloss / self.N
# +         return self.p
# ```

# %% [markdown] task="label-smoothing" reject="class-state"
# ```diff
# - self.p, self.N = np.exp(log_p), targets.size
# + SmoothedCrossEntropy.p, self.N = np.exp(log_p), targets.size
# ```

# %% [markdown] task="label-smoothing" reject="number-in-array"
# ```diff
# - return -float((self.q * log_p).sum()) / self.N
# + return np.array([-float((self.q * log_p).sum()) / self.N])
# ```

# %% task="softmax-backward" reject="axes-not-put-back"
def softmax_backward(dp, p, axis=-1):
    dp, p = np.moveaxis(dp, axis, -1), np.moveaxis(p, axis, -1)
    return np.moveaxis(p * (dp - (dp * p).sum(axis=-1, keepdims=True)), axis, -1)

# %% task="softmax-backward" reject="first-axis-is-the-second"
def softmax_backward(dp, p, axis=-1):
    if axis == 0 and p.ndim > 2:
        axis = 1
    return p * (dp - (dp * p).sum(axis=axis, keepdims=True))


# %% [markdown] task="label-smoothing" reject="1000-classes-at-most"
# ```diff
# -         V = logits.shape[-1]
# +         V = logits.shape[-1]
# +         share = self.smoothing / min(V, 1000)
# -         self.q = (1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V    # (..., V)
# +         self.q = (1 - self.smoothing) * np.eye(V)[targets] + share
# ```

# %% [markdown] task="softmax-backward" reject="second-axis-if-not-given"
# ```diff
# - axis=-1
# + axis=1
# ```

# %% [markdown] task="cross-entropy-backward" mistake="size-of-dloss"
# it has lost the sign of dloss: whoever wants the loss large hands in a negative one
# ```diff
# - dloss / targets.size
# + abs(dloss) / targets.size
# ```

# %% [markdown] task="cross-entropy-layer-backward" mistake="size-of-dloss"
# it has lost the sign of dloss: whoever wants the loss large hands in a negative one
# ```diff
# - self.targets, dloss)
# + self.targets, abs(dloss))
# ```
