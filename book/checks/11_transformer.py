# %%
OPTIONS = [{}, {"strided": True}, {"float32": True}]
FLOAT32 = {"float32": True, "dtypes": ("y", "dx")}
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def named(options):
    return "".join(f", {name}" for name in options if name != "dtypes")

def linear(rng, name, n_in, n_out, bias=True):
    params = {f"{name}.W": rng.normal(0, 0.5, (n_in, n_out))}
    return params | ({f"{name}.b": rng.normal(0, 0.5, n_out)} if bias else {})

def rounds(rng, shape, *names, grows=True):
    """Two rounds of x and dy; the second has more rows: a layer may not count on a size."""
    shapes = [shape, (shape[0] + 2 * grows, *shape[1:]) if len(shape) > 1 else shape]
    return [[{name: rng.normal(size=some)} for some in shapes] for name in names or ("x", "dy")]

# %% task="feedforward-backward" cases=true
def cases(rng):
    sizes = [((5,), 3, 7), ((2, 3), 4, 4), ((1, 1), 5, 2), ((), 3, 3), ((2, 2, 2), 2, 5), ((40,), 3, 33)]
    for number, (leading, dim, hidden) in enumerate(sizes):
        for options in OPTIONS if len(leading) == 2 else OPTIONS[:2]:
            activation, bias = ["gelu", "relu"][number % 2 and not options], number % 3 != 2
            new = {"dim": dim, "hidden": hidden, "activation": activation, "bias": bias, "rng": Rng(1)}
            params = linear(rng, "fc1", dim, hidden, bias) | linear(rng, "fc2", hidden, dim, bias)
            shape = (*leading, dim)
            large = number == 0 and not options
            if large:
                params["fc2.W"] *= LARGE
            yield layer(f"x of shape {shape}, hidden {hidden}, {activation}" + ", large fc2.W" * large + named(options),
                        new | {"dtype": "float64"}, params, *rounds(rng, shape, grows=not options), **options)

# %% [markdown] task="feedforward-backward" hint=1
# the forward pass calls three layers; the way back calls them in reverse, each with what the one
# after it returned.

# %% [markdown] task="feedforward-backward" hint=2
# fc2.backward turns (..., dim) into (..., hidden), the activation keeps it, fc1.backward turns it
# into (..., dim).

# %% [markdown] task="feedforward-backward" hint=3
# hand dy to fc2's backward pass, the result to the activation's, that result to fc1's, and return
# what comes out.

# %% [markdown] task="feedforward-backward" mistake="no-activation"
# it goes past the activation, which has a slope of its own
# ```diff
# - self.act.backward(self.fc2.backward(dy))
# + self.fc2.backward(dy)
# ```

# %% [markdown] task="feedforward-backward" mistake="fc1-only-dx"
# it stays as it was: fc1's gradients come from fc1.backward
# ```diff
# - return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))
# + return self.act.backward(self.fc2.backward(dy)) @ self.fc1.W.T
# ```

# %% [markdown] task="feedforward-backward" mistake="fc2-only-dx"
# it stays as it was: fc2's gradients come from fc2.backward
# ```diff
# - self.fc2.backward(dy)
# + dy @ self.fc2.W.T
# ```

# %% [markdown] task="feedforward-backward" mistake="residual"
# it adds dy: the residual connection is in the block, not in this layer
# ```diff
# - return self
# + return dy + self
# ```

# %% [markdown] task="feedforward-backward" mistake="fc2-twice"
# it is counted twice: each backward pass adds to the gradients, so call it once
# ```diff
# -     return
# +     self.fc2.backward(dy)
# +     return
# ```

# %% [markdown] task="feedforward-backward" mistake="hidden-returned"
# it is the gradient of the hidden layer: fc1 is still to come
# ```diff
# - return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))
# + dh = self.act.backward(self.fc2.backward(dy))
# +     self.fc1.backward(dh)
# +     return dh
# ```

# %% [markdown] task="feedforward-backward" mistake="nothing-returned"
# it is None: return what fc1's backward pass gives
# ```diff
# - return self
# + self
# ```

# %% [markdown] task="feedforward-backward" mistake="activation-twice"
# it goes through the activation twice
# ```diff
# - self.act.backward(self.fc2.backward(dy))
# + self.act.backward(self.act.backward(self.fc2.backward(dy)))
# ```

# %% [markdown] task="feedforward-backward" mistake="negative"
# it has the opposite sign
# ```diff
# - return self
# + return -self
# ```

# %% task="feedforward-backward" right="by-steps"
@add_to_class(FeedForward)
def backward(self, dy):
    dh = self.fc2.backward(dy)
    da = self.act.backward(dh)
    dx = self.fc1.backward(da)
    return dx

# %% task="feedforward-backward" right="loop"
@add_to_class(FeedForward)
def backward(self, dy):
    for part in (self.fc2, self.act, self.fc1):
        dy = part.backward(dy)
    return dy

# %% task="feedforward-backward" right="list-kept"
@add_to_class(FeedForward)
def backward(self, dy):
    self.way_back = [self.fc2, self.act, self.fc1]
    for part in self.way_back:
        dy = part.backward(dy)
    return dy

# %% task="feedforward-backward" right="written-out"
@add_to_class(FeedForward)
def backward(self, dy):
    rows, h = dy.reshape(-1, dy.shape[-1]), self.fc2.x.reshape(-1, self.fc2.x.shape[-1])
    self.fc2.dW += h.T @ rows
    if self.fc2.b is not None:
        self.fc2.db += rows.sum(axis=0)
    da = self.act.backward((rows @ self.fc2.W.T).reshape(self.fc2.x.shape))
    return self.fc1.backward(da)

# %% [markdown] task="feedforward-backward" reject="dy-changed"
# ```diff
# -     return
# +     dy *= 1.0 + 1e-3
# +     return
# ```

# %% [markdown] task="feedforward-backward" reject="cached-dh"
# ```diff
# - return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))
# + self.dh = self.fc2.backward(dy)
# +     self.h = self.act.backward(self.dh)
# +     return self.fc1.backward(self.h)
# ```

# %% task="block-backward" cases=true
def cases(rng):
    for number, (B, T, C, H, hidden) in enumerate([(2, 3, 4, 2, 5), (1, 4, 6, 3, 7), (3, 2, 3, 1, 4), (2, 1, 4, 4, 3), (33, 2, 2, 1, 3)]):
        for options in OPTIONS:
            activation, bias = ["relu", "gelu"][number % 2 or bool(options)], number % 3 != 2
            new = {"dim": C, "n_heads": H, "hidden": hidden, "activation": activation, "bias": bias}
            params = {"ln1.gamma": rng.normal(1, 0.5, C), "ln2.gamma": rng.normal(1, 0.5, C)}
            if bias:
                params |= {"ln1.beta": rng.normal(0, 0.5, C), "ln2.beta": rng.normal(0, 0.5, C)}
            params |= linear(rng, "attn.qkv", C, 3 * C, bias) | linear(rng, "attn.proj", C, C, bias)
            params |= linear(rng, "ffn.fc1", C, hidden, bias) | linear(rng, "ffn.fc2", hidden, C, bias)
            large = number == 1 and not options
            if large:
                params["ffn.fc2.W"] *= LARGE
            yield layer(f"x of shape {(B, T, C)}, {H} heads, {activation}" + ", large fc2.W" * large + named(options),
                        new | {"rng": Rng(1), "dtype": "float64"}, params,
                        *rounds(rng, (B, T, C), grows=not options), **options)

# %% [markdown] task="block-backward" hint=1
# a sum passes its gradient on to both of its terms: straight along the stream, and down the
# branch.

# %% [markdown] task="block-backward" hint=2
# everything is (B, T, dim). Begin at y: its two terms are x₁ and the branch through ffn and ln2,
# both of which lead to x₁.

# %% [markdown] task="block-backward" hint=3
# dx₁ is dy plus what ln2 gives for what ffn gives for dy; dx is dx₁ plus what ln1 gives for what
# attn gives for dx₁.

# %% [markdown] task="block-backward" mistake="no-first-residual" shows="Where `x` was used twice, two gradients add up"
# it has lost the straight path around attention: x is a term of x₁
# ```diff
# - return dx1 + self.ln1
# + return self.ln1
# ```

# %% [markdown] task="block-backward" mistake="no-second-residual"
# it has lost the straight path around the feed-forward layer: x₁ is a term of y
# ```diff
# - dx1 = dy + self
# + dx1 = self
# ```

# %% [markdown] task="block-backward" mistake="branch-from-dy"
# it sends dy into attention: what flows into x₁ is the gradient after the second branch
# ```diff
# - self.attn.backward(dx1)
# + self.attn.backward(dy)
# ```

# %% [markdown] task="block-backward" mistake="dy-at-the-end"
# it adds dy at the end where dx₁ belongs
# ```diff
# - return dx1 + self
# + return dy + self
# ```

# %% [markdown] task="block-backward" mistake="no-ln1"
# it goes past ln1
# ```diff
# - self.ln1.backward(self.attn.backward(dx1))
# + self.attn.backward(dx1)
# ```

# %% [markdown] task="block-backward" mistake="no-ln2"
# it goes past ln2
# ```diff
# - self.ln2.backward(self.ffn.backward(dy))
# + self.ffn.backward(dy)
# ```

# %% [markdown] task="block-backward" mistake="norms-swapped"
# it has swapped ln1 and ln2
# ```diff
# - self.ln2.
# + self.lnX.
# - self.ln1.
# + self.ln2.
# - self.lnX.
# + self.ln1.
# ```

# %% [markdown] task="block-backward" mistake="dy-twice"
# it adds dy twice: dx₁ already contains it
# ```diff
# - return dx1 + self
# + return dy + dx1 + self
# ```

# %% [markdown] task="block-backward" mistake="ffn-twice"
# it is counted twice: call each backward pass once
# ```diff
# -     return
# +     self.ffn.backward(dy)
# +     return
# ```

# %% [markdown] task="block-backward" mistake="attn-twice"
# it is counted twice: call each backward pass once, and keep what it returns
# ```diff
# -     return dx1
# +     self.attn.backward(dx1)
# +     return dx1
# ```

# %% [markdown] task="block-backward" mistake="ln1-twice"
# it is counted twice: each backward pass adds to the gradients, so call ln1's once
# ```diff
# -     return dx1 + self.ln1.backward(self.attn.backward(dx1))
# +     d = self.attn.backward(dx1)
# +     self.ln1.backward(d)
# +     return dx1 + self.ln1.backward(d)
# ```

# %% [markdown] task="block-backward" reject="norms-change-places"
# ```diff
# - return dx1 + self.ln1.backward(self.attn.backward(dx1))
# + dx = dx1 + self.ln1.backward(self.attn.backward(dx1))
# +     self.ln1, self.ln2 = self.ln2, self.ln1
# +     return dx
# ```

# %% [markdown] task="block-backward" mistake="halved"
# it halves the gradient at each sum: a sum passes all of it to each term
# ```diff
# - dx1 = dy + self.ln2
# + dx1 = 0.5 * dy + 0.5 * self.ln2
# ```

# %% task="block-backward" right="by-steps"
@add_to_class(TransformerBlock)
def backward(self, dy):
    dbranch = self.ffn.backward(dy)
    dbranch = self.ln2.backward(dbranch)
    dx1 = dy + dbranch
    dbranch = self.attn.backward(dx1)
    dbranch = self.ln1.backward(dbranch)
    return dx1 + dbranch

# %% task="block-backward" right="loop"
@add_to_class(TransformerBlock)
def backward(self, dy):
    for norm, branch in [(self.ln2, self.ffn), (self.ln1, self.attn)]:
        dy = dy + norm.backward(branch.backward(dy))
    return dy

# %% task="block-backward" right="in-place-copy"
@add_to_class(TransformerBlock)
def backward(self, dy):
    dx = dy.copy()
    dx += self.ln2.backward(self.ffn.backward(dy))
    dx += self.ln1.backward(self.attn.backward(dx.copy()))
    return dx

# %% [markdown] task="block-backward" reject="dy-in-place"
# ```diff
# - dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
# + dy += self.ln2.backward(self.ffn.backward(dy))
# +     dx1 = dy
# ```

# %% [markdown] task="block-backward" reject="scaled-residual"
# ```diff
# - return dx1 + self
# + return 0.999 * dx1 + self
# ```

# %% [markdown] task="block-backward" reject="backward-twice" shows="it adds to its gradients"
# ```diff
# - dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
# + self.ln2.backward(self.ffn.backward(dy))
# +     dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
# ```

# %% [markdown] task="block-backward" reject="half-and-half" shows="it adds to its gradients"
# ```diff
# - dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
# + dx1 = dy + self.ln2.backward(self.ffn.backward(dy)) / 2 + self.ln2.backward(self.ffn.backward(dy)) / 2
# ```

# %% [markdown] task="block-backward" reject="dx1-in-place"
# ```diff
# - dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
# -     return dx1 + self.ln1.backward(self.attn.backward(dx1))
# + dx = dy
# +     dx += self.ln2.backward(self.ffn.backward(dy))
# +     dx += self.ln1.backward(self.attn.backward(dx))
# +     return dx
# ```

# %% [markdown] task="block-backward" reject="only-first-token"
# ```diff
# - return dx1 + self.ln1.backward(self.attn.backward(dx1))
# + dx = self.ln1.backward(self.attn.backward(dx1))
# +     return dx1 + dx[:32].mean() * 0 + np.concatenate([dx[:32], 0 * dx[32:]])
# ```

# %% task="dropout" cases=true
def cases(rng):
    for shape in [(5,), (3, 4), (2, 3, 5), (1, 1), (40,), (2, 1, 2, 3)]:
        for p, options in [(0.104, {}), (0.5, OPTIONS[1]), (0.93, {}), (0.0, {}), (0.4, FLOAT32)]:
            inputs, dy = rounds(rng, shape, grows=not options)
            for args in inputs:
                u = rng.random(args["x"].shape)
                u.flat[0], u.flat[-1] = 0.05, 0.95 if u.size > 1 else 0.05
                if u.size > 2:
                    u.flat[1] = p    # exactly p: it stays
                    args["x"].flat[-1] = 0    # what stays may be 0
                if u.size > 4 and p:    # the number before p is less; and what is nearly p
                    u.flat[2], u.flat[3] = np.nextafter(p, 0), p + 1e-9
                if options.get("float32"):    # rounding must not move p to its other side
                    u = np.where(np.abs(u - p) < 1e-3, 0.99, u)
                args["u"] = u
            yield layer(f"x of shape {shape}, p = {p}{named(options)}", {"p": p}, {}, inputs, dy, **options)

# %% [markdown] task="dropout" hint=1
# an entry that was dropped did not reach y; an entry that stayed was multiplied by a number.

# %% [markdown] task="dropout" hint=2
# u, x, y and dy have one shape. Each entry has the same factor in both passes, so keep it.

# %% [markdown] task="dropout" hint=3
# the factor is 1/(1 - p) where u is at least p, and 0 elsewhere; both passes multiply by it.

# %% [markdown] task="dropout" mistake="scale-forward-only"
# it lacks the factor 1/(1 - p), which forward has
# ```diff
# - return dy * self.keep
# + return dy * (self.keep > 0)
# ```

# %% [markdown] task="dropout" mistake="no-scale" shows="so that the mean stays as it is"
# it lacks the factor 1/(1 - p): the mean would shrink
# ```diff
# -  / (1 - self.p)
# +
# ```

# %% [markdown] task="dropout" mistake="inverted"
# it keeps what should be dropped
# ```diff
# - (u >= self.p)
# + (u < self.p)
# ```

# %% [markdown] task="dropout" mistake="keeps-p"
# it keeps a share of p: p is the probability of being dropped
# ```diff
# - (u >= self.p) / (1 - self.p)
# + (u >= 1 - self.p) / max(self.p, 1e-9)
# ```

# %% [markdown] task="dropout" mistake="scale-p"
# it is divided by p: 1 - p is the share that stays
# ```diff
# - / (1 - self.p)
# + / (self.p or 1)
# ```

# %% [markdown] task="dropout" mistake="through"
# it is dy everywhere: what was dropped has no gradient
# ```diff
# - return dy * self.keep
# + return dy.copy()
# ```

# %% [markdown] task="dropout" mistake="strictly" shows="an entry stays if its `u` is at least `p`"
# it drops an entry whose u is exactly p: it stays if u is at least p
# ```diff
# - (u >= self.p)
# + (u > self.p)
# ```

# %% [markdown] task="dropout" mistake="multiplied"
# it multiplies by 1 - p, as one would where nothing is dropped: here, the entries that stay grow
# ```diff
# - / (1 - self.p)
# + * (1 - self.p)
# ```

# %% [markdown] task="dropout" mistake="no-mask"
# lets through what was dropped: y does not depend on that x, so its gradient is 0
# ```diff
# - return dy * self.keep
# + return dy / (1 - self.p)
# ```

# %% [markdown] task="dropout" mistake="mask-in-float64" shows="`y` and `dx` have the dtype of `x`"
# is float64 where x is float32: booleans divided by a number are float64, and so is all that they
# multiply; divide x, or give the mask the dtype of x
# ```diff
# - .astype(x.dtype)
# +
# ```

# %% [markdown] task="dropout" reject="floor"
# ```diff
# - (u >= self.p)
# + np.floor(u + (1 - self.p))
# ```

# %% [markdown] task="dropout" reject="p-in-percent"
# ```diff
# - (u >= self.p)
# + (u >= round(self.p, 2))
# ```

# %% [markdown] task="dropout" reject="all-from-0.9"
# ```diff
# - (u >= self.p)
# + (u >= (self.p if self.p < 0.9 else 1))
# ```

# %% [markdown] task="dropout" reject="no-module"
# ```diff
# - class Dropout(Module):
# + class Dropout:
# ```

# %% task="dropout" right="where"
class Dropout(Module):
    def __init__(self, p):
        self.p = p

    def forward(self, x, u):
        self.stays = ~(u < self.p)
        return np.where(self.stays, x / (1 - self.p), 0)

    def backward(self, dy):
        return np.where(self.stays, dy / (1 - self.p), 0)

# %% task="dropout" right="cleared-copy"
class Dropout(Module):
    def __init__(self, p):
        self.p = p

    def forward(self, x, u):
        self.gone = u < self.p
        y = x / (1 - self.p)
        y[self.gone] = 0
        return y

    def backward(self, dy):
        dx = dy.copy()
        dx[self.gone] = 0
        return dx / (1 - self.p)

# %% task="dropout" right="loop"
class Dropout(Module):
    def __init__(self, p):
        self.p = p

    def forward(self, x, u):
        self.factor = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            if u[i] >= self.p:
                self.factor[i] = 1 / (1 - self.p)
        return self.factor * x

    def backward(self, dy):
        return self.factor * dy

# %% [markdown] task="dropout" reject="x-changed"
# ```diff
# -         return x * self.keep
# +         x *= self.keep
# +         return x
# ```

# %% [markdown] task="dropout" reject="actual-share"
# ```diff
# - (u >= self.p) / (1 - self.p)
# + (u >= self.p) / max((u >= self.p).mean(), 1e-9)
# ```

# %% task="dropout" reject="y-not-zero"
class Dropout(Module):
    def __init__(self, p):
        self.p = p
    def forward(self, x, u):
        self.y = x * (u >= self.p) / (1 - self.p)
        return self.y
    def backward(self, dy):
        return dy * (self.y != 0) / (1 - self.p)

# %% task="dropout" reject="ratio"
class Dropout(Module):
    def __init__(self, p):
        self.p = p
    def forward(self, x, u):
        self.x = x
        self.y = x * (u >= self.p) / (1 - self.p)
        return self.y
    def backward(self, dy):
        return dy * self.y / self.x

# %% [markdown] task="dropout" reject="own-draws"
# ```diff
# - (u >= self.p)
# + (np.random.random(x.shape) >= self.p)
# ```

# %% [markdown] task="dropout" reject="sign"
# ```diff
# - (u >= self.p)
# + (u >= self.p) * (x != 0)
# ```

# %% task="dropout" reject="global-factor"
class Dropout(Module):
    def __init__(self, p):
        global factor
        self.p, factor = p, 1 / (1 - p)
    def forward(self, x, u):
        self.keep = u >= self.p
        return x * self.keep * factor
    def backward(self, dy):
        return dy * self.keep * factor

# %% task="dropout" reject="parameter"
class Dropout(Module):
    def __init__(self, p):
        self.p = p
    def forward(self, x, u):
        self.keep = (u >= self.p) / (1 - self.p)
        self.x = x
        return x * self.keep
    def backward(self, dy):
        self.dx = dy * self.keep
        return self.dx

# %% [markdown] task="dropout" reject="keep-spoilt"
# ```diff
# - return dy * self.keep
# + self.keep *= dy
# +         return self.keep
# ```

# %% [markdown] task="dropout" reject="p-zero-cut" shows="With `p = 0`, nothing happens"
# ```diff
# - self.keep = ((u >= self.p) / (1 - self.p)).astype(x.dtype)
# + self.keep = ((u >= self.p) / (1 - self.p)).astype(x.dtype) if self.p else np.zeros_like(u)
# ```


# %% [markdown] task="dropout" reject="u-in-float32"
# ```diff
# - (u >= self.p)
# + (u.astype(np.float32) >= np.float32(self.p))
# ```


# %% [markdown] task="dropout" reject="u-rounded"
# ```diff
# - (u >= self.p)
# + (np.round(u, 6) >= self.p)
# ```


# %% task="swiglu" cases=true
def cases(rng):
    for number, (leading, dim, hidden) in enumerate([((5,), 3, 7), ((2, 3), 4, 4), ((1, 1), 5, 2), ((2, 2, 2), 2, 5), ((35,), 2, 3)]):
        for options in (*OPTIONS[:2], FLOAT32):
            params = linear(rng, "fc1", dim, hidden, False) | linear(rng, "fc3", dim, hidden, False)
            params |= linear(rng, "fc2", hidden, dim, False)
            shape = (*leading, dim)
            large = {0: "fc1.W", 1: "fc2.W" if not options else "", 2: "fc1.W"}.get(number, "")
            if large:    # fc1: a gate that is wide open or shut; fc2: see LARGE
                params[large] *= 1000 if large == "fc1.W" else LARGE
            new = {"dim": dim, "hidden": hidden, "rng": Rng(1), "dtype": "float64"}
            yield layer(f"x of shape {shape}, hidden {hidden}" + f", large {large}" * bool(large) + named(options), new, params,
                        *rounds(rng, shape, grows=not options), **options)
    new = {"dim": 3, "hidden": 4, "rng": Rng(1), "dtype": "float64"}
    yield layer("as the layer starts", new, {}, *rounds(rng, (2, 3)), others=("fc1.b", "fc2.b", "fc3.b"))

# %% [markdown] task="swiglu" without="warnings"
# 1/(1 + e^-a) is a right way to write the sigmoid: far out it overflows to the 0 that it should be.

# %% [markdown] task="swiglu" hint=1
# a product passes to each factor the gradient times the other factor; x was used twice, so two
# gradients add up.

# %% [markdown] task="swiglu" hint=2
# fc1(x), fc3(x) and their product are (..., hidden). Keep both, and σ of the first.

# %% [markdown] task="swiglu" hint=3
# with a from fc1, b from fc3 and dh from fc2's backward pass: a gets dh times b times SiLU's
# slope, b gets dh times SiLU(a); dx adds what fc1 and fc3 return.

# %% [markdown] task="swiglu" mistake="one-branch"
# it lacks the gradient through fc3: x was used twice
# ```diff
# - return self.fc1.backward(da) + self.fc3.backward(db)
# + dx = self.fc1.backward(da)
# +         self.fc3.backward(db)
# +         return dx
# ```

# %% [markdown] task="swiglu" mistake="no-b"
# it lacks the factor fc3(x): a product passes to each factor the gradient times the other
# ```diff
# - da = dh * b * (
# + da = dh * (
# ```

# %% [markdown] task="swiglu" mistake="no-slope"
# it lacks the slope of SiLU
# ```diff
# - da = dh * b * (s + a * s * (1 - s))
# + da = dh * b
# ```

# %% [markdown] task="swiglu" mistake="sigmoid-slope"
# it has the slope of σ where that of SiLU belongs
# ```diff
# - (s + a * s * (1 - s))
# + (s * (1 - s))
# ```

# %% [markdown] task="swiglu" mistake="gate-without-a"
# it has σ(a) for SiLU(a) = a σ(a)
# ```diff
# - db = dh * a * s
# + db = dh * s
# ```

# %% [markdown] task="swiglu" mistake="sigmoid-gate"
# its gate is σ(a): SiLU is a σ(a)
# ```diff
# - self.fc2(self.a * self.s * self.b)
# + self.fc2(self.s * self.b)
# ```

# %% [markdown] task="swiglu" mistake="gate-on-wrong-branch"
# it has SiLU on the wrong branch: it bends fc1(x), not fc3(x)
# ```diff
# - self.a, self.b = self.fc1(x), self.fc3(x)
# + self.b, self.a = self.fc1(x), self.fc3(x)
# - return self.fc1.backward(da) + self.fc3.backward(db)
# + return self.fc3.backward(da) + self.fc1.backward(db)
# ```

# %% [markdown] task="swiglu" mistake="relu-gate"
# its gate is a ReLU: SiLU is smooth
# ```diff
# - self.s = 0.5 * (1 + np.tanh(self.a / 2))    # σ(a)
# + self.s = (self.a > 0) * 1.0
# ```

# %% [markdown] task="swiglu" mistake="averaged"
# it is half of the sum: gradients of two uses add up
# ```diff
# - return self.fc1.backward(da) + self.fc3.backward(db)
# + return 0.5 * (self.fc1.backward(da) + self.fc3.backward(db))
# ```

# %% [markdown] task="swiglu" mistake="layers-in-another-order"
# has changed with __init__, which makes fc1, then fc3, then fc2: leave it as it is
# ```diff
# -         self.fc3 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
# -         self.fc2 = Linear(hidden, dim, bias=False, rng=rng, dtype=dtype)
# +         self.fc2 = Linear(hidden, dim, bias=False, rng=rng, dtype=dtype)
# +         self.fc3 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
# ```

# %% task="swiglu" right="written-out"
class SwiGLU(Module):
    def __init__(self, dim, hidden, *, rng, dtype=np.float32):
        self.fc1 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc3 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc2 = Linear(hidden, dim, bias=False, rng=rng, dtype=dtype)

    def forward(self, x):
        self.x, self.a, self.b = x, x @ self.fc1.W, x @ self.fc3.W
        self.silu = self.a / (1 + np.exp(-self.a))
        return (self.silu * self.b) @ self.fc2.W

    def backward(self, dy):
        def flat(array):
            return array.reshape(-1, array.shape[-1])

        self.fc2.dW += flat(self.silu * self.b).T @ flat(dy)
        dh = dy @ self.fc2.W.T
        s = 1 / (1 + np.exp(-self.a))
        da, db = dh * self.b * (s + self.silu * (1 - s)), dh * self.silu
        self.fc1.dW += flat(self.x).T @ flat(da)
        self.fc3.dW += flat(self.x).T @ flat(db)
        return da @ self.fc1.W.T + db @ self.fc3.W.T

# %% task="swiglu" right="through-layers"
class SiLU(Module):
    def forward(self, a):
        self.a = a
        return a / (1 + np.exp(-a))

    def backward(self, dy):
        s = 1 / (1 + np.exp(-self.a))
        return dy * s * (1 + self.a * (1 - s))

class SwiGLU(Module):
    def __init__(self, dim, hidden, *, rng, dtype=np.float32):
        self.fc1 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc3 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc2 = Linear(hidden, dim, bias=False, rng=rng, dtype=dtype)
        self.act = SiLU()

    def forward(self, x):
        self.gate, self.value = self.act(self.fc1(x)), self.fc3(x)
        return self.fc2(self.gate * self.value)

    def backward(self, dy):
        dh = self.fc2.backward(dy)
        dx = self.fc3.backward(dh * self.gate)
        return dx + self.fc1.backward(self.act.backward(dh * self.value))

# %% [markdown] task="swiglu" right="recomputed"
# ```diff
# - self.s = 0.5 * (1 + np.tanh(self.a / 2))    # σ(a)
# + self.s = np.exp(-np.logaddexp(0, -self.a))
# ```

# %% [markdown] task="swiglu" mistake="fc2-twice"
# it is counted twice: each backward pass adds to the gradients, so call fc2's once
# ```diff
# - dh = self.fc2.backward(dy)
# + self.fc2.backward(dy)
# +         dh = self.fc2.backward(dy)
# ```

# %% [markdown] task="swiglu" reject="no-module"
# ```diff
# - class SwiGLU(Module):
# + class SwiGLU:
# +     __call__ = lambda self, x: self.forward(x)
# ```

# %% [markdown] task="swiglu" reject="float64" shows="`y` and `dx` have the dtype of `x`"
# ```diff
# - 0.5 * (1 + np.tanh
# + np.float64(0.5) * (1 + np.tanh
# ```

# %% [markdown] task="swiglu" reject="tanh-approximation"
# ```diff
# - self.s = 0.5 * (1 + np.tanh(self.a / 2))    # σ(a)
# + self.s = np.clip(self.a / 6 + 0.5, 0, 1)
# ```

# %% [markdown] task="swiglu" reject="dy-scaled"
# ```diff
# - dh = self.fc2.backward(dy)
# + dy /= 2
# +         dh = 2 * self.fc2.backward(dy)
# ```

# %% [markdown] task="swiglu" reject="biases" shows="no biases"
# ```diff
# - bias=False, rng=rng
# + rng=rng
# ```

# %% [markdown] task="swiglu" reject="exp-ratio"
# ```diff
# - self.s = 0.5 * (1 + np.tanh(self.a / 2))    # σ(a)
# + e = np.exp(self.a)
# +         self.s = e / (1 + e)
# ```

# %% [markdown] task="swiglu" reject="clip-a"
# ```diff
# - self.s = 0.5
# + self.a = np.clip(self.a, -50, 50)
# +         self.s = 0.5
# ```

# %% [markdown] task="swiglu" right="slope-line"
# ```diff
# - da = dh * b * (s + a * s * (1 - s))
# + slope = s * (1 + a * (1 - s))
# +         da = slope * b * dh
# ```

# %% [markdown] task="swiglu" reject="s-spoilt"
# ```diff
# - da = dh * b * (s + a * s * (1 - s))
# -         db = dh * a * s
# + db = dh * a * s
# +         s += a * s * (1 - s)
# +         da = dh * b * s
# ```

# %% [markdown] task="swiglu" reject="a-parameter"
# ```diff
# - da = dh * b
# + da = self.da = dh * b
# ```

# %% [markdown] task="swiglu" reject="class-s"
# ```diff
# - self.s = 0.5 * (1
# + SwiGLU.s = 0.5 * (1
# ```

# %% [markdown] task="swiglu" reject="fc2-x-overwritten"
# ```diff
# - dh = self.fc2.backward(dy)
# + dh = self.fc2.backward(dy)
# +         self.fc2.x *= 0
# ```
