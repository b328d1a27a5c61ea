# %%
SHAPES = [(5,), (3, 4), (2, 3, 5), (4, 2), (1, 7), (4, 4), (2, 1, 3), (2, 3, 2, 4), (35, 33)]
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def named(options):
    return "".join(f", {name}" for name in options if name != "dtypes")

FLOAT32 = {"float32": True, "dtypes": ("y", "dx")}

def norm_cases(rng, with_bias):
    """All shapes, with and without bias; a large and a small eps, so that eps counts.

    With two entries a row and a small eps, dx is nearly zero, and float32 has no digits left of it.
    """
    for number, shape in enumerate(SHAPES):
        for options in [{}, {"strided": True}, FLOAT32][: 1 + 2 * (len(shape) in (2, 3))]:
            bias = with_bias and not (number + bool(options)) % 3 == 0
            eps = [0.3, 1e-5, 1e-2][number % 3]
            params = {"gamma": rng.normal(1, 0.5, shape[-1])}
            if bias:
                params["beta"] = rng.normal(0, 0.5, shape[-1])
            new = {"dim": shape[-1], "eps": eps, "dtype": "float64"}
            grows = len(shape) > 1 and not options    # a layer may not count on a size
            shapes = [shape, (shape[0] + 2 * grows, *shape[1:])]
            x = [{"x": rng.normal(0.7, 1.5, some)} for some in shapes]
            dy = [{"dy": rng.normal(size=some)} for some in shapes]
            title = f"x of shape {shape}, eps {eps}{named(options)}"
            if with_bias:
                title += ", with bias" if bias else ", no bias"
            others = () if bias or not with_bias else ("dbeta",)
            yield layer(title, new | ({"bias": bias} if with_bias else {}), params, x, dy,
                        others=others, **options)
    x, dy = [{"x": LARGE * rng.normal(0.7, 1.5, (4, 5))}], [{"dy": LARGE * rng.normal(size=(4, 5))}]
    yield layer("large numbers", {"dim": 5, "dtype": "float64"}, {"gamma": rng.normal(1, 0.5, 5)}, x, dy)
    # Nothing set from outside; with entries so small, eps counts.
    x, dy = [{"x": 1e-3 * rng.normal(0.7, 1.5, (4, 5))}], [{"dy": rng.normal(size=(4, 5))}]
    others = ("gamma", "dgamma", *("beta", "dbeta")[: 2 * with_bias])
    for options in ({}, {"float32": True, "dtypes": True}):
        yield layer(f"as the layer starts{named(options)}", {"dim": 5, "dtype": "float64"}, {}, x, dy,
                    others=others, **options)

# %% task="variance-backward" cases=true
def cases(rng):
    for shape in [*SHAPES, (3, 1)]:
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(shape) > 1 and shape[-1] > 1)]:
            args = {"dvar": rng.normal(size=(*shape[:-1], 1)), "x": rng.normal(0.7, 1.5, shape)}
            yield Case(f"x of shape {shape}{named(options)}", [Call(args, returns="dx")], **options)
    for size in (LARGE, 1 / LARGE):
        args = {"dvar": rng.normal(size=(4, 1)) / size, "x": size * rng.normal(0.7, 1.5, (4, 5))}
        yield Case(f"x of size {size:g}", [Call(args, returns="dx")])

# %% [markdown] task="variance-backward" hint=1
# x enters twice: as itself, and through the mean. Take both, and see what the second adds up to.

# %% [markdown] task="variance-backward" hint=2
# dvar is (..., 1) and broadcasts over the row; dx is (..., dim). The sum of the centered entries
# of a row is 0.

# %% [markdown] task="variance-backward" hint=3
# twice the centered x, divided by dim, times dvar: the path through the mean adds nothing.

# %% [markdown] task="variance-backward" mistake="not-centred"
# it has x where x - μ belongs
# ```diff
# - xc = x - x.mean(axis=-1, keepdims=True)
# + xc = x
# ```

# %% [markdown] task="variance-backward" mistake="no-two"
# it lacks the 2 of the power rule
# ```diff
# - dvar * 2 * xc
# + dvar * xc
# ```

# %% [markdown] task="variance-backward" mistake="no-mean"
# it is dim times too large: the variance is a mean, where does the 1/dim enter?
# ```diff
# -  / x.shape[-1]
# +
# ```

# %% [markdown] task="variance-backward" mistake="unbiased"
# it is divided by dim - 1: this variance is a plain mean over dim
# ```diff
# - return dvar * 2 * xc / x.shape[-1]
# + return dvar * 2 * xc / (x.shape[-1] - 1)
# ```

# %% [markdown] task="variance-backward" mistake="by-std"
# it is divided by the standard deviation: this is the gradient of the variance, not of its root
# ```diff
# - / x.shape[-1]
# + / x.shape[-1] / np.sqrt((xc * xc).mean(axis=-1, keepdims=True) + 1e-12)
# ```

# %% [markdown] task="variance-backward" mistake="mean-term"
# it has one term too many, for the mean: the path through μ adds up to 0
# ```diff
# - return dvar * 2 * xc / x.shape[-1]
# + dx = dvar * 2 * xc / x.shape[-1]
# +     return dx - 2 * dvar * x.mean(axis=-1, keepdims=True) / x.shape[-1]
# ```

# %% [markdown] task="variance-backward" mistake="whole-array"
# it is centered with the mean of the whole array: each row has its own
# ```diff
# - x.mean(axis=-1, keepdims=True)
# + x.mean()
# ```

# %% [markdown] task="variance-backward" mistake="all-entries"
# it is divided by the number of all entries: the mean runs over the last axis
# ```diff
# - / x.shape[-1]
# + / x.size
# ```

# %% [markdown] task="variance-backward" mistake="no-dvar"
# it is the slope without dvar
# ```diff
# - return dvar * 2
# + return np.ones_like(dvar) * 2
# ```

# %% [markdown] task="variance-backward" mistake="own-share"
# it counts only what x does to its own x - μ, 1 - 1/dim: μ moves with every x of the row, and over
# the whole row that part adds up to 0
# ```diff
# - / x.shape[-1]
# + / x.shape[-1] * (1 - 1 / x.shape[-1])
# ```

# %% [markdown] task="variance-backward" mistake="by-rows"
# it is divided by len(x), the length of the first axis: the mean runs over the last one
# ```diff
# - / x.shape[-1]
# + / len(x)
# ```

# %% [markdown] task="variance-backward" mistake="first-axis"
# its mean runs over the first axis: each row, along the last axis, has a mean of its own
# ```diff
# - x.mean(axis=-1, keepdims=True)
# + x.mean(axis=0, keepdims=True)
# - / x.shape[-1]
# + / x.shape[0]
# ```

# %% task="variance-backward" right="long-way"
def variance_backward(dvar, x):
    dim = x.shape[-1]
    xc = x - x.mean(axis=-1, keepdims=True)
    dxc = 2 * xc * dvar / dim
    dmu = -dxc.sum(axis=-1, keepdims=True)
    return dxc + dmu / dim

# %% task="variance-backward" right="loop"
def variance_backward(dvar, x):
    dx = np.zeros(x.shape)
    for n in np.ndindex(x.shape[:-1]):
        mu = x[n].sum() / len(x[n])
        for i in range(len(x[n])):
            dx[(*n, i)] = 2 * (x[(*n, i)] - mu) * dvar[(*n, 0)] / len(x[n])
    return dx

# %% task="variance-backward" right="matrix"
def variance_backward(dvar, x):
    dim = x.shape[-1]
    centre = np.eye(dim) - 1 / dim
    return np.einsum("...i,ij->...j", x, centre) * (dvar * 2 / dim)

# %% task="variance-backward" reject="x-changed"
def variance_backward(dvar, x):
    x -= x.mean(axis=-1, keepdims=True)
    return dvar * 2 * x / x.shape[-1]

# %% task="variance-backward" reject="squares-only"
def variance_backward(dvar, x):
    return dvar * 2 * x / x.shape[-1] - 2 * dvar * x.mean(axis=-1, keepdims=True) / x.shape[-1] ** 2

# %% task="variance-backward" reject="measured"
def variance_backward(dvar, x):
    x, grad = x.astype(float), np.zeros(x.shape)
    f = lambda: float((dvar * x.var(axis=-1, keepdims=True)).sum())
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + 1e-5
        above = f()
        x[i] = kept - 1e-5
        grad[i] = (above - f()) / 2e-5
        x[i] = kept
    return grad

# %% [markdown] task="variance-backward" reject="three-axes"
# ```diff
# - x.mean(axis=-1, keepdims=True)
# + x.mean(axis=min(2, x.ndim - 1), keepdims=True)
# ```

# %% [markdown] task="variance-backward" reject="thirty"
# ```diff
# - / x.shape[-1]
# + / min(x.shape[-1], 32)
# ```

# %% task="variance-backward" reject="one-entry"
def variance_backward(dvar, x):
    if x.shape[-1] == 1:
        return 2 * dvar * x
    return 2 * dvar * (x - x.mean(axis=-1, keepdims=True)) / x.shape[-1]

# %% [markdown] task="variance-backward" reject="len-x"
# ```diff
# - x.shape[-1]
# + len(x)
# ```

# %% task="layernorm-backward" cases=true
def cases(rng):
    yield from norm_cases(rng, with_bias=True)

# %% [markdown] task="layernorm-backward" hint=1
# gamma and beta are used in every row, so their gradients sum over all rows. For dx, go through
# x̂: each x reaches it three ways, by itself, by its row's mean and by its row's variance.

# %% [markdown] task="layernorm-backward" hint=2
# dbeta and dgamma are (dim,): every axis but the last goes. The two means for dx run along the
# last axis and keep it.

# %% [markdown] task="layernorm-backward" hint=3
# with dxhat = dy times gamma: take away its mean, and xhat times the mean of dxhat times xhat;
# multiply what is left by r.

# %% [markdown] task="layernorm-backward" mistake="no-mean-term"
# it lacks the term of μ: μ depends on every x of the row
# ```diff
# - dxhat - along_one - xhat
# + dxhat - xhat
# ```

# %% [markdown] task="layernorm-backward" mistake="no-variance-term"
# it lacks the term of σ²: σ² depends on every x of the row
# ```diff
# -  - xhat * along_xhat
# +
# ```

# %% [markdown] task="layernorm-backward" mistake="no-gamma"
# it uses dy where dx̂ = dy γ belongs: γ stands between x̂ and y
# ```diff
# - dxhat = dy * self.gamma
# + dxhat = dy
# ```

# %% [markdown] task="layernorm-backward" mistake="no-r"
# it lacks the factor r: x̂ is the centered x times r
# ```diff
# - return r * (
# + return (
# ```

# %% [markdown] task="layernorm-backward" mistake="dgamma-no-xhat"
# it is Σ dy, which is dβ: γ multiplies x̂
# ```diff
# - self.dgamma += (dy * xhat)
# + self.dgamma += dy
# ```

# %% [markdown] task="layernorm-backward" mistake="dgamma-y"
# it has y where x̂ belongs: γ multiplies x̂
# ```diff
# - self.dgamma += (dy * xhat)
# + self.dgamma += (dy * xhat * self.gamma)
# ```

# %% [markdown] task="layernorm-backward" mistake="rows-mean"
# it is a mean over the rows: γ and β were used in every row, and all their gradients add up
# ```diff
# - dy.sum(axis=rows)
# + dy.mean(axis=rows)
# - (dy * xhat).sum(axis=rows)
# + (dy * xhat).mean(axis=rows)
# ```

# %% [markdown] task="layernorm-backward" mistake="overwritten"
# it is overwritten: gradients of several passes add up
# ```diff
# - self.dbeta +=
# + self.dbeta[...] =
# - self.dgamma +=
# + self.dgamma[...] =
# ```

# %% [markdown] task="layernorm-backward" mistake="sums-for-means"
# it has sums where means belong: μ and σ² are means over dim
# ```diff
# - dxhat.mean(
# + dxhat.sum(
# - (dxhat * xhat).mean(
# + (dxhat * xhat).sum(
# ```

# %% [markdown] task="layernorm-backward" mistake="whole-array"
# it takes its means over the whole array: each row has its own μ and σ²
# ```diff
# - dxhat.mean(axis=-1, keepdims=True)
# + dxhat.mean()
# - (dxhat * xhat).mean(axis=-1, keepdims=True)
# + (dxhat * xhat).mean()
# ```

# %% [markdown] task="layernorm-backward" mistake="plus"
# it adds what μ and σ² undo: both terms are subtracted
# ```diff
# - dxhat - along_one - xhat
# + dxhat + along_one + xhat
# ```

# %% [markdown] task="layernorm-backward" mistake="no-xhat"
# it lacks x̂ in the last term: what σ² undoes lies along x̂
# ```diff
# - - xhat * along_xhat
# + - along_xhat
# ```

# %% [markdown] task="layernorm-backward" mistake="bias-required"
# a layer without bias has self.dbeta = None: add to it only if it is there
# ```diff
# -     if self.beta is not None:
# -         self.dbeta
# +     self.dbeta
# ```

# %% [markdown] task="layernorm-backward" mistake="statistics-constant"
# it treats μ and r as constants: both depend on every x of the row
# ```diff
# -  - along_one - xhat * along_xhat
# +
# ```

# %% [markdown] task="layernorm-backward" mistake="one-sum"
# it has a sum where a mean belongs in the term of σ²
# ```diff
# - (dxhat * xhat).mean(
# + (dxhat * xhat).sum(
# ```

# %% [markdown] task="layernorm-backward" mistake="gamma-last"
# it multiplies by γ at the end: both means are of dx̂ = dy γ, so γ comes first
# ```diff
# - dxhat = dy * self.gamma
# + dxhat = dy
# - return r * (
# + return self.gamma * r * (
# ```

# %% [markdown] task="layernorm-backward" mistake="first-use-lost"
# it lacks the path from x̂ straight to x: the centered x is used in x̂ and in σ², and both gradients
# are added
# ```diff
# - (dxhat - along_one - xhat * along_xhat)
# + (-xhat * along_xhat)
# ```

# %% [markdown] task="layernorm-backward" mistake="r-squared"
# it has one r too few on the way through σ²: r = (σ² + eps) ** -0.5 has the slope -0.5 r³
# ```diff
# - - xhat * along_xhat
# + - xhat * along_xhat / r
# ```

# %% [markdown] task="layernorm-backward" mistake="mu-sum"
# it subtracts a sum for μ: μ is a mean, so each x gets 1/dim of its gradient
# ```diff
# - along_one = dxhat.mean(
# + along_one = dxhat.sum(
# ```

# %% [markdown] task="layernorm-backward" mistake="first-axis"
# it sums over the first axis only: x has any number of leading axes, or none, and all of them go
# ```diff
# - rows = tuple(range(dy.ndim - 1))
# + rows = 0
# ```

# %% [markdown] task="layernorm-backward" mistake="two-axes" shows="which may have any number of leading axes"
# it sums over axes 0 and 1, as if x always had three: it has any number of leading axes, or none
# ```diff
# - rows = tuple(range(dy.ndim - 1))
# + rows = (0, 1)
# ```

# %% [markdown] task="layernorm-backward" mistake="channels-summed"
# it sums over the channels: dγ and dβ keep the last axis, all others go
# ```diff
# - rows = tuple(range(dy.ndim - 1))
# + rows = -1
# ```

# %% task="layernorm-backward" right="long-way" shows="The long way and the closed form are equally right"
@add_to_class(LayerNorm)
def backward(self, dy):
    dim, rows = dy.shape[-1], tuple(range(dy.ndim - 1))
    xc = self.xhat / self.r
    if self.beta is not None:
        self.dbeta += dy.sum(axis=rows)
    self.dgamma += (dy * self.xhat).sum(axis=rows)
    dxhat = dy * self.gamma
    dr = (dxhat * xc).sum(axis=-1, keepdims=True)
    dvar = dr * -0.5 * self.r**3
    dxc = dxhat * self.r + dvar * 2 * xc / dim
    return dxc - dxc.sum(axis=-1, keepdims=True) / dim

# %% task="layernorm-backward" right="jacobian-loop"
@add_to_class(LayerNorm)
def backward(self, dy):
    dim, dx = dy.shape[-1], np.zeros_like(dy)
    for n in np.ndindex(dy.shape[:-1]):
        xhat = self.xhat[n]
        if self.beta is not None:
            self.dbeta += dy[n]
        self.dgamma += dy[n] * xhat
        jacobian = self.r[(*n, 0)] * (np.eye(dim) - 1 / dim - np.outer(xhat, xhat) / dim)
        dx[n] = jacobian @ (dy[n] * self.gamma)
    return dx

# %% task="layernorm-backward" right="einsum"
@add_to_class(LayerNorm)
def backward(self, dy):
    flat, xhat = dy.reshape(-1, dy.shape[-1]), self.xhat.reshape(-1, dy.shape[-1])
    if self.beta is not None:
        self.dbeta += np.einsum("nd->d", flat)
    self.dgamma += np.einsum("nd,nd->d", flat, xhat)
    d = flat * self.gamma
    dim = d.shape[-1]
    d = d - np.einsum("nd->n", d)[:, None] / dim - xhat * np.einsum("nd,nd->n", d, xhat)[:, None] / dim
    return d.reshape(dy.shape) * self.r

# %% [markdown] task="layernorm-backward" reject="eps-forgotten"
# ```diff
# - xhat, r = self.xhat, self.r
# + xhat, r = self.xhat, 1 / np.sqrt(1 / self.r**2 - self.eps + 1e-30)
# ```

# %% [markdown] task="layernorm-backward" reject="unit-length"
# ```diff
# - (dxhat * xhat).mean(axis=-1, keepdims=True)
# + (dxhat * xhat).sum(axis=-1, keepdims=True) / (xhat * xhat).sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="layernorm-backward" reject="one-row-short"
# ```diff
# - self.dgamma += (dy * xhat).sum(axis=rows)
# + self.dgamma += (dy * xhat).reshape(-1, dy.shape[-1])[1:].sum(axis=0)
# ```

# %% [markdown] task="layernorm-backward" reject="gamma-changed"
# ```diff
# -     dxhat = dy * self.gamma
# +     dxhat = dy * self.gamma
# +     self.gamma -= 0.001 * self.dgamma
# ```

# %% task="layernorm-backward" reject="measured"
@add_to_class(LayerNorm)
def backward(self, dy):
    def slopes(a):
        grad = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            kept = a[i]
            a[i] = kept + 1e-5
            above = loss()
            a[i] = kept - 1e-5
            below = loss()
            a[i] = kept
            grad[i] = (above - below) / 2e-5
        return grad
    x, gamma = (self.xhat / self.r).astype(float), self.gamma.astype(float)
    def loss():
        xc = x - x.mean(axis=-1, keepdims=True)
        return float((dy * (xc / np.sqrt((xc * xc).mean(axis=-1, keepdims=True) + self.eps) * gamma)).sum())
    self.dgamma += slopes(gamma)
    if self.beta is not None:
        self.dbeta += dy.sum(axis=tuple(range(dy.ndim - 1)))
    return slopes(x)

# %% [markdown] task="layernorm-backward" reject="three-axes"
# ```diff
# - rows = tuple(range(dy.ndim - 1))
# + rows = tuple(range(min(dy.ndim - 1, 2)))
# ```

# %% [markdown] task="layernorm-backward" reject="thirty"
# ```diff
# - dxhat.mean(axis=-1, keepdims=True)
# + dxhat[..., :32].mean(axis=-1, keepdims=True)
# ```

# %% [markdown] task="layernorm-backward" reject="rows-of-first"
# ```diff
# - (dy * xhat).sum(axis=rows)
# + (dy * xhat).reshape(-1, dy.shape[-1])[:30].sum(axis=0)
# ```

# %% [markdown] task="layernorm-backward" reject="minus-one"
# ```diff
# - along_one = dxhat.mean(axis=-1, keepdims=True)
# + along_one = dxhat.sum(axis=-1, keepdims=True) / max(1, dxhat.shape[-1] - 1)
# ```

# %% [markdown] task="layernorm-backward" mistake="dbeta-without-bias" shows="without one, it stays None"
# it is made where there is no bias: then there is no β either, and dbeta is None
# ```diff
# - if self.beta is not None:
# -         self.dbeta += dy.sum(axis=rows)
# + if self.dbeta is None:
# +         self.dbeta = np.zeros_like(self.gamma)
# +     self.dbeta += dy.sum(axis=rows)
# ```

# %% [markdown] task="layernorm-backward" reject="dbeta-zero"
# ```diff
# -     self.dgamma += (dy * xhat)
# +     else:
# +         self.dbeta = 0
# +     self.dgamma += (dy * xhat)
# ```

# %% [markdown] task="layernorm-backward" reject="float64" shows="of the dtype and the shape of `x`"
# ```diff
# - return r * (
# + return np.float64(1) * r * (
# ```

# %% [markdown] task="layernorm-backward" reject="xhat-spoilt"
# ```diff
# - return r * (dxhat - along_one - xhat * along_xhat)
# + self.xhat *= along_xhat
# +     return r * (dxhat - along_one - self.xhat)
# ```

# %% [markdown] task="layernorm-backward" reject="xhat-parameter"
# ```diff
# - dxhat = dy * self.gamma
# + dxhat = self.dxhat = dy * self.gamma
# ```

# %% task="layernorm-backward" reject="global"
@add_to_class(LayerNorm)
def forward(self, x):
    global XHAT, R
    xc = x - x.mean(axis=-1, keepdims=True)
    R = 1 / np.sqrt((xc * xc).mean(axis=-1, keepdims=True) + self.eps)
    XHAT = xc * R
    y = XHAT * self.gamma
    return y if self.beta is None else y + self.beta
@add_to_class(LayerNorm)
def backward(self, dy):
    rows = tuple(range(dy.ndim - 1))
    if self.beta is not None:
        self.dbeta += dy.sum(axis=rows)
    self.dgamma += (dy * XHAT).sum(axis=rows)
    d = dy * self.gamma
    return R * (d - d.mean(axis=-1, keepdims=True) - XHAT * (d * XHAT).mean(axis=-1, keepdims=True))

# %% task="rmsnorm" cases=true
def cases(rng):
    yield from norm_cases(rng, with_bias=False)

# %% [markdown] task="rmsnorm" hint=1
# there is no mean to undo, so one of LayerNorm's two terms is gone; r still depends on every x of
# its row.

# %% [markdown] task="rmsnorm" hint=2
# keep r, (..., 1), and x times r, (..., dim). dgamma is (dim,): every axis but the last goes.

# %% [markdown] task="rmsnorm" hint=3
# with dxhat = dy times gamma: take away xhat times the mean of dxhat times xhat, and multiply by
# r.

# %% [markdown] task="rmsnorm" mistake="mean-term"
# it subtracts the mean of dx̂: RMSNorm subtracts no mean
# ```diff
# - dxhat - self.xhat
# + dxhat - dxhat.mean(axis=-1, keepdims=True) - self.xhat
# ```

# %% [markdown] task="rmsnorm" mistake="no-r-term"
# it lacks the term of r: r depends on every x of the row
# ```diff
# -  - self.xhat * along_xhat
# +
# ```

# %% [markdown] task="rmsnorm" mistake="centred"
# it subtracts the mean first: that is LayerNorm
# ```diff
# - def forward(self, x):
# + def forward(self, x):
# +         x = x - x.mean(axis=-1, keepdims=True)
# ```

# %% [markdown] task="rmsnorm" mistake="no-gamma"
# it uses dy where dy γ belongs
# ```diff
# - dxhat = dy * self.gamma
# + dxhat = dy
# ```

# %% [markdown] task="rmsnorm" mistake="no-r"
# it lacks the factor r
# ```diff
# - return self.r * (dxhat
# + return (dxhat
# ```

# %% [markdown] task="rmsnorm" mistake="sum-for-mean"
# it has a sum where a mean belongs: r holds the mean of the squares
# ```diff
# - (dxhat * self.xhat).mean(
# + (dxhat * self.xhat).sum(
# ```

# %% [markdown] task="rmsnorm" mistake="dgamma-no-xhat"
# it is Σ dy: γ multiplies x r
# ```diff
# - self.dgamma += (dy * self.xhat)
# + self.dgamma += dy
# ```

# %% [markdown] task="rmsnorm" mistake="overwritten"
# it is overwritten: gradients of several passes add up
# ```diff
# - self.dgamma +=
# + self.dgamma[...] =
# ```

# %% [markdown] task="rmsnorm" mistake="eps-outside"
# eps is added outside the root: it belongs under it
# ```diff
# - np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
# + (np.sqrt((x * x).mean(axis=-1, keepdims=True)) + self.eps)
# ```

# %% [markdown] task="rmsnorm" mistake="sum-of-squares"
# it divides by the length of x: the root is of the mean of the squares, not of their sum
# ```diff
# - (x * x).mean(
# + (x * x).sum(
# ```

# %% [markdown] task="rmsnorm" mistake="variance"
# it takes the variance: there is no mean here, r has the mean of x²
# ```diff
# - (x * x).mean(axis=-1, keepdims=True)
# + x.var(axis=-1, keepdims=True)
# ```

# %% [markdown] task="rmsnorm" mistake="dgamma-x"
# it has x where x r belongs: γ multiplies x r
# ```diff
# - (dy * self.xhat).sum(
# + (dy * self.xhat / self.r).sum(
# ```

# %% task="rmsnorm" right="long-way"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.ones(dim, dtype), np.zeros(dim, dtype), eps

    def forward(self, x):
        self.x, self.ms = x, np.mean(x**2, axis=-1, keepdims=True)
        return x / np.sqrt(self.ms + self.eps) * self.gamma

    def backward(self, dy):
        x, dim = self.x, dy.shape[-1]
        r = (self.ms + self.eps) ** -0.5
        self.dgamma += (dy * x * r).reshape(-1, dim).sum(axis=0)
        dr = (dy * self.gamma * x).sum(axis=-1, keepdims=True)
        dms = dr * -0.5 * r**3
        return dy * self.gamma * r + dms * 2 * x / dim

# %% task="rmsnorm" right="jacobian-loop"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.ones(dim, dtype), np.zeros(dim, dtype), eps

    def forward(self, x):
        self.x = x
        return x * self.gamma / np.sqrt(np.square(x).mean(-1, keepdims=True) + self.eps)

    def backward(self, dy):
        dx, dim = np.zeros_like(dy), dy.shape[-1]
        for n in np.ndindex(dy.shape[:-1]):
            x = self.x[n]
            r = 1 / np.sqrt(x @ x / dim + self.eps)
            self.dgamma += dy[n] * x * r
            dx[n] = (r * np.eye(dim) - r**3 / dim * np.outer(x, x)) @ (dy[n] * self.gamma)
        return dx

# %% task="rmsnorm" right="einsum"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.ones(dim, dtype), np.zeros(dim, dtype), eps

    def forward(self, x):
        self.r = (np.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1] + self.eps) ** -0.5
        self.x = x
        return x * self.r * self.gamma

    def backward(self, dy):
        dim = dy.shape[-1]
        xr = (self.x * self.r).reshape(-1, dim)
        d = dy.reshape(-1, dim)
        self.dgamma += np.einsum("nd,nd->d", d, xr)
        d = d * self.gamma
        d = d - xr * (np.einsum("nd,nd->n", d, xr) / dim)[:, None]
        return d.reshape(dy.shape) * self.r

# %% [markdown] task="rmsnorm" reject="xhat-changed"
# ```diff
# -         along_xhat =
# +         self.xhat *= 1.0001
# +         along_xhat =
# ```

# %% [markdown] task="rmsnorm" reject="float-eps"
# ```diff
# - + self.eps)
# + + 1e-5)
# ```

# %% [markdown] task="rmsnorm" reject="zeros"
# ```diff
# - np.ones(dim, dtype)
# + np.zeros(dim, dtype)
# ```

# %% [markdown] task="rmsnorm" reject="default-eps" shows="eps=1e-5"
# ```diff
# - eps=1e-5
# + eps=1e-6
# ```

# %% [markdown] task="rmsnorm" reject="no-dgamma"
# ```diff
# - self.dgamma = np.zeros_like(self.gamma)
# + pass
# ```

# %% [markdown] task="rmsnorm" reject="dgamma-ones"
# ```diff
# - self.dgamma = np.zeros_like(self.gamma)
# + self.dgamma = np.ones_like(self.gamma)
# ```

# %% [markdown] task="rmsnorm" reject="three-axes"
# ```diff
# - axis=tuple(range(dy.ndim - 1))
# + axis=tuple(range(min(dy.ndim - 1, 2)))
# ```

# %% [markdown] task="rmsnorm" reject="rows-of-first"
# ```diff
# - self.dgamma += (dy * self.xhat).sum(axis=tuple(range(dy.ndim - 1)))
# + self.dgamma += (dy * self.xhat).reshape(-1, dy.shape[-1])[:30].sum(axis=0)
# ```

# %% task="rmsnorm" reject="measured"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma = np.ones(dim, dtype)
        self.dgamma = np.zeros_like(self.gamma)
        self.eps = eps
    def f(self, x, gamma):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps) * gamma
    def forward(self, x):
        self.x = x
        return self.f(x, self.gamma)
    def backward(self, dy):
        def slopes(a):
            grad = np.zeros(a.shape)
            for i in np.ndindex(a.shape):
                kept = a[i]
                a[i] = kept + 1e-5
                above = float((dy * self.f(x, gamma)).sum())
                a[i] = kept - 1e-5
                below = float((dy * self.f(x, gamma)).sum())
                a[i] = kept
                grad[i] = (above - below) / 2e-5
            return grad
        x, gamma = self.x.astype(float), self.gamma.astype(float)
        self.dgamma += slopes(gamma)
        return slopes(x)

# %% task="rmsnorm" right="kept-x"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-5, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.ones(dim, dtype), np.zeros(dim, dtype), eps
    def forward(self, x):
        self.x = x
        self.rms = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + self.eps)
        return x / self.rms * self.gamma
    def backward(self, dy):
        n = self.x.shape[-1]
        self.dgamma += (dy * self.x / self.rms).reshape(-1, n).sum(axis=0)
        g = dy * self.gamma
        return g / self.rms - self.x * (g * self.x).sum(-1, keepdims=True) / n / self.rms**3

# %% [markdown] task="rmsnorm" reject="float64" shows="`y` and `dx` have the dtype of `x`"
# ```diff
# - self.r = 1 / np.sqrt(
# + self.r = np.float64(1) / np.sqrt(
# ```

# %% [markdown] task="rmsnorm" mistake="gamma-in-float64"
# does not get its dtype: hand the argument on to np.ones
# ```diff
# - np.ones(dim, dtype)
# + np.ones(dim)
# ```

# %% [markdown] task="rmsnorm" reject="no-module"
# ```diff
# - class RMSNorm(Module):
# + class RMSNorm:
# ```

# %% [markdown] task="rmsnorm" reject="globals"
# ```diff
# - self.r = 1 /
# + global R, XHAT
# +         self.r = R = 1 /
# - self.xhat = x * self.r
# + self.xhat = XHAT = x * self.r
# - dxhat = dy * self.gamma
# -         along_xhat = (dxhat * self.xhat).mean(axis=-1, keepdims=True)
# -         return self.r * (dxhat - self.xhat * along_xhat)
# + dxhat = dy * self.gamma
# +         along_xhat = (dxhat * XHAT).mean(axis=-1, keepdims=True)
# +         return R * (dxhat - XHAT * along_xhat)
# ```

# %% [markdown] task="rmsnorm" reject="class-eps"
# ```diff
# - self.eps = eps
# + type(self).eps = eps
# ```

# %% [markdown] task="rmsnorm" reject="class-gamma"
# ```diff
# - self.gamma = np.ones(dim, dtype)
# + RMSNorm.gamma = np.ones(dim, dtype)
# ```

# %% [markdown] task="rmsnorm" reject="class-dgamma"
# ```diff
# - self.dgamma = np.zeros_like(self.gamma)
# + RMSNorm.dgamma = np.zeros_like(self.gamma)
# ```

# %% [markdown] task="rmsnorm" reject="xhat-spoilt"
# ```diff
# - return self.r * (dxhat - self.xhat * along_xhat)
# + self.xhat *= along_xhat
# +         return self.r * (dxhat - self.xhat)
# ```

# %% [markdown] task="rmsnorm" reject="xhat-parameter"
# ```diff
# - dxhat = dy * self.gamma
# + self.dxhat = dxhat = dy * self.gamma
# ```

# %% [markdown] task="rmsnorm" reject="buffer"
# ```diff
# - return self.r * (dxhat - self.xhat * along_xhat)
# + if getattr(self, "out", dy[..., :0]).shape != dy.shape:
# +             self.out = np.empty_like(dy)
# +         self.out[...] = self.r * (dxhat - self.xhat * along_xhat)
# +         return self.out
# ```
