# %%
SHAPES = [(7,), (3, 5), (2, 3, 4), (1, 1), (1, 6), (5, 1), (2, 1, 3, 2), (), (0,), (40,)]

def entrywise(rng, extremes=(0.0,)):
    """Cases of a layer without parameters: all shapes; then strided and float32 arrays.

    Some entries of x are `extremes`, of both signs. Where arrays are neither strided nor float32,
    the second x is larger: a layer may not count on a size.
    """
    for number, shape in enumerate(SHAPES):
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(shape) > 1)]:
            shapes = [shape, shape if options or not shape else (shape[0] + 2, *shape[1:])]
            x = [both_signs(np.asarray(rng.normal(0, 1.5, some))) for some in shapes]
            for a in x:
                a.flat[1:-1:3] = np.resize(np.outer(extremes, [1, -1])[:, :: (-1) ** number], a.flat[1:-1:3].shape)
            dy = [np.asarray(rng.normal(size=some)) for some in shapes]
            yield layer(
                f"x of shape {shape}" + "".join(f", {name}" for name in options), {}, {},
                [{"x": a} for a in x], [{"dy": a} for a in dy], **options,
            )

def both_signs(x):
    """Negative at the start, positive at the end, in every array that has entries."""
    x.flat[:1] = -abs(x.flat[:1])
    x.flat[-1:] = abs(x.flat[-1:])
    return x

# %% task="relu-backward" cases=true
def cases(rng):
    yield from entrywise(rng)

# %% [markdown] task="relu-backward" hint=1
# what is the slope of max(x, 0) where x is positive, and what is it elsewhere?

# %% [markdown] task="relu-backward" hint=2
# dy, self.positive and dx all have the shape of x: nothing is summed.

# %% [markdown] task="relu-backward" hint=3
# let dy through where x was positive, and put zero elsewhere; True counts as 1 in a product.

# %% [markdown] task="relu-backward" mistake="gated-by-dy"
# it lets through where dy is positive: the gate is set by x, in the forward pass
# ```diff
# -     return dy * self.positive
# +     return dy * (dy > 0)
# ```

# %% [markdown] task="relu-backward" mistake="relu-of-dy"
# it gates by x and then cuts off the negative dy as well: gradients may be negative
# ```diff
# -     return dy * self.positive
# +     return np.maximum(dy, 0) * self.positive
# ```

# %% [markdown] task="relu-backward" mistake="through"
# it is dy everywhere: where x was negative, y does not depend on x
# ```diff
# -     return dy * self.positive
# +     return dy.copy()
# ```

# %% [markdown] task="relu-backward" mistake="inverted"
# it is let through where x was negative, and stopped where it was positive
# ```diff
# -     return dy * self.positive
# +     return dy * ~self.positive
# ```

# %% [markdown] task="relu-backward" mistake="slope-only"
# it is the slope, without dy: the chain rule multiplies the two
# ```diff
# -     return dy * self.positive
# +     return self.positive * 1.0
# ```

# %% [markdown] task="relu-backward" mistake="leaky"
# it has a slope of 0.01 where x is negative, as Leaky ReLU has: here the slope is 0
# ```diff
# -     return dy * self.positive
# +     return dy * np.where(self.positive, 1.0, 0.01)
# ```

# %% [markdown] task="relu-backward" mistake="sign"
# it has slope -1 where x is negative: that is the slope of |x|
# ```diff
# -     return dy * self.positive
# +     return dy * np.where(self.positive, 1.0, -1.0)
# ```

# %% [markdown] task="relu-backward" mistake="in-place"
# is changed in place: in a residual block, the other branch still needs the same dy
# ```diff
# -     return dy * self.positive
# +     dy[~self.positive] = 0
# +     return dy
# ```

# %% [markdown] task="relu-backward" mistake="summed"
# it is dy times the mean of the gate: entry by entry, each has its own slope
# ```diff
# -     return dy * self.positive
# +     return dy * self.positive.mean()
# ```

# %% task="relu-backward" right="where"
@add_to_class(ReLU)
def backward(self, dy):
    return np.where(self.positive, dy, 0)

# %% task="relu-backward" right="copy-and-clear"
@add_to_class(ReLU)
def backward(self, dy):
    dx = dy.copy()
    dx[~self.positive] = 0
    return dx

# %% task="relu-backward" right="loop"
@add_to_class(ReLU)
def backward(self, dy):
    dx = np.zeros(dy.shape)
    for index in np.ndindex(dy.shape):
        if self.positive[index]:
            dx[index] = dy[index]
    return dx

# %% [markdown] task="relu-backward" reject="gate-flipped-once"
# ```diff
# - def backward(self, dy):
# + def backward(self, dy):
# +     self.positive = self.positive.copy()
# +     self.positive.flat[-1] = False
# ```

# %% [markdown] task="relu-backward" reject="flattened"
# ```diff
# -     return dy * self.positive
# +     return (dy * self.positive).ravel()
# ```

# %% task="relu-backward" reject="slope-at-zero"
@add_to_class(ReLU)
def forward(self, x):
    self.positive = x >= 0
    return np.maximum(x, 0)
@add_to_class(ReLU)
def backward(self, dy):
    return dy * self.positive

# %% task="relu-backward" reject="half-at-zero"
@add_to_class(ReLU)
def forward(self, x):
    self.positive = 0.5 * (1 + np.sign(x))
    return np.maximum(x, 0)
@add_to_class(ReLU)
def backward(self, dy):
    return dy * self.positive

# %% [markdown] task="relu-backward" reject="bool-index"
# ```diff
# - return dy * self.positive
# + return dy[self.positive]
# ```

# %% [markdown] task="relu-backward" reject="thirty"
# ```diff
# - return dy * self.positive
# + dx = dy * self.positive
# +     dx[32:] = 0
# +     return dx
# ```

# %% [markdown] task="relu-backward" reject="three-axes"
# ```diff
# - return dy * self.positive
# + return dy * self.positive if dy.ndim < 4 else dy * self.positive.any(axis=0)
# ```

# %% [markdown] task="relu-backward" reject="mask-cleared"
# ```diff
# - return dy * self.positive
# + dx = dy * self.positive
# +     self.positive[...] = True
# +     return dx
# ```

# %% task="relu-backward" reject="global-mask"
@add_to_class(ReLU)
def forward(self, x):
    global mask
    mask = x > 0
    return np.maximum(x, 0)
@add_to_class(ReLU)
def backward(self, dy):
    return dy * mask

# %% task="relu-backward" reject="class-mask"
@add_to_class(ReLU)
def forward(self, x):
    ReLU.positive = x > 0
    return np.maximum(x, 0)
@add_to_class(ReLU)
def backward(self, dy):
    return dy * self.positive

# %% [markdown] task="relu-backward" reject="buffer"
# ```diff
# - return dy * self.positive
# + if not hasattr(self, "out") or self.out.shape != dy.shape:
# +         self.out = np.empty_like(dy)
# +     np.multiply(dy, self.positive, out=self.out)
# +     return self.out
# ```

# %% task="sigmoid-tanh" cases=true
def cases(rng):
    for shape in filter(len, SHAPES):
        for options in [{}, {"strided": True}, {"float32": True}][: 3 if shape[0] else 1]:
            x, z = rng.normal(0, 1.5, (2, *shape))
            # of the first two, rounding makes exactly 0 or 1, and -1 or 1
            for start, size in enumerate([-50, 50, 0, 9]):
                x.flat[1 + start :: 6] = z.flat[1 + start :: 6] = size
            x = np.where(x == -50, -800, x)
            with np.errstate(over="ignore"):
                args = {"dy": rng.normal(size=shape), "y": 1 / (1 + np.exp(-x)),
                        "dt": rng.normal(size=shape), "t": np.tanh(z)}
            yield Case(
                f"arrays of shape {shape}" + "".join(f", {name}" for name in options),
                [Call(args, returns=("dx of sigmoid", "dx of tanh"))], **options,
            )

# %% [markdown] task="sigmoid-tanh" hint=1
# write the derivative with x first, and then look for y, or t, in what you have.

# %% [markdown] task="sigmoid-tanh" hint=2
# everything has one shape. At x = 0 the slope of sigmoid is 1/4 (there y = 1/2), and that of tanh
# is 1 (there t = 0): try your formulas on that.

# %% [markdown] task="sigmoid-tanh" hint=3
# sigmoid: dy times y times one minus y. tanh: dt times one minus the square of t.

# %% task="sigmoid-tanh" mistake="slope-of-slope"
# applies the function to y once more: y is the output already
def both(dy, y, dt, t):
    s, u = 1 / (1 + np.exp(-y)), np.tanh(t)
    return dy * s * (1 - s), dt * (1 - u * u)

# %% task="sigmoid-tanh" mistake="no-dy"
# is the slope alone: multiply it by what comes from above
def both(dy, y, dt, t):
    return y * (1 - y), 1 - t * t

# %% task="sigmoid-tanh" mistake="exchanged"
# has the slope of the other function
def both(dy, y, dt, t):
    return dy * (1 - y * y), dt * t * (1 - t)

# %% task="sigmoid-tanh" mistake="one-minus"
# lacks a factor: at the output 1/2 of sigmoid its slope is 1/4, and at the output 0 of tanh it is 1
def both(dy, y, dt, t):
    return dy * (1 - y), dt * (1 - t)

# %% task="sigmoid-tanh" mistake="plus"
# has a plus where a minus belongs: where the function is flat, the slope should go to 0
def both(dy, y, dt, t):
    return dy * y * (1 + y), dt * (1 + t * t)

# %% task="sigmoid-tanh" mistake="divided"
# divides by the slope: that is the slope of the inverse function
def both(dy, y, dt, t):
    return dy / (y * (1 - y)), dt / (1 - t * t)

# %% task="sigmoid-tanh" mistake="sign"
# has the wrong sign: both functions rise everywhere, so their slopes are positive
def both(dy, y, dt, t):
    return dy * y * (y - 1), dt * (t * t - 1)

# %% [markdown] task="sigmoid-tanh" mistake="tanh-unsquared"
# lacks a square: the slope of tanh is 1 at t = 0 and 0 at both ends, at t = 1 and at t = -1
# ```diff
# -     return dt * (1 - t * t)
# +     return dt * (1 - t)
# ```

# %% task="sigmoid-tanh" right="expanded"
def both(dy, y, dt, t):
    return dy * (y - y**2), dt - dt * t**2

# %% task="sigmoid-tanh" reject="through-x" shows="rounding makes `y` exactly 0 or 1, and `t` exactly -1 or 1: no formula leads back"
def both(dy, y, dt, t):
    x, z = np.log(y / (1 - y)), np.arctanh(t)
    return dy * np.exp(-x) / (1 + np.exp(-x)) ** 2, dt / np.cosh(z) ** 2

# %% task="sigmoid-tanh" right="factored"
def both(dy, y, dt, t):
    return np.multiply(dy, np.multiply(y, 1 - y)), dt * (1 - t) * (1 + t)

# %% task="sigmoid-tanh" reject="rounded-slope"
def both(dy, y, dt, t):
    return dy * np.round(y * (1 - y), 3), dt * (1 - t * t)

# %% task="sigmoid-tanh" reject="in-place"
def both(dy, y, dt, t):
    dy *= y * (1 - y)
    return dy, dt * (1 - t * t)

# %% [markdown] task="sigmoid-tanh" reject="abs"
# ```diff
# - return dy * y * (1 - y)
# + return dy * np.abs(y - y * y) * np.sign(y - 0.5) ** 2 * (1 - y > 0.001)
# ```

# %% [markdown] task="sigmoid-tanh" reject="logit"
# ```diff
# - return dy * y * (1 - y)
# + x = np.log(y) - np.log(1 - y)
# +     return dy * np.exp(-x) * y * y
# ```

# %% [markdown] task="sigmoid-tanh" reject="divide-t"
# ```diff
# - return dt * (1 - t * t)
# + return dt * (1 - t**3 / t)
# ```

# %% [markdown] task="sigmoid-tanh" reject="only-matrix"
# ```diff
# - return dt * (1 - t * t)
# + return dt @ (1 - t * t) if dt.shape == (5, 5) else dt * (1 - t @ t) if t.ndim == 1 and len(t) == 40 else dt * (1 - t * t)
# ```

# %% [markdown] task="sigmoid-tanh" reject="stepped-eps"
# ```diff
# - return dy * y * (1 - y)
# + y = np.clip(y, 1e-3, 1 - 1e-3)
# +     return dy * y * (1 - y)
# ```

# %% [markdown] task="sigmoid-tanh" right="outer"
# ```diff
# - return dt * (1 - t * t)
# + slope = 1 - np.power(t, 2)
# +     return slope * dt
# ```

# %% task="gelu-backward" cases=true
def cases(rng):
    yield from entrywise(rng)
    yield from list(entrywise(rng, extremes=(0.0, 5, 40, 1000, 1e7)))[:9]
    # The slope is not yet 0 there; alone, as what is large hides what is small.
    x = [{"x": rng.uniform(-6, -5, some)} for some in ((6,), (8,))]
    dy = [{"dy": rng.normal(size=some["x"].shape)} for some in x]
    yield layer("x of shape (6,), from -6 to -5", {}, {}, x, dy)

# %% [markdown] task="gelu-backward" without="warnings"
# 1/cosh² is a right way to write the slope of tanh: far out it overflows to the 0 that it should be.

# %% [markdown] task="gelu-backward" hint=1
# use the product rule on x/2 and 1 + t, and the chain rule on t = tanh(u).

# %% [markdown] task="gelu-backward" hint=2
# all arrays have the shape of x. There are two terms: one where x/2 is differentiated, one where t
# is; the second has, besides x/2,
# the slope of tanh and the slope of u.

# %% [markdown] task="gelu-backward" hint=3
# half of 1 + t, plus half of x times the slope of tanh (one minus t squared) times the slope of u
# (a times one plus three c x squared); all of that times dy.

# %% task="gelu-backward" mistake="first-term"
# it is the product rule's first term only: t depends on x, too
@add_to_class(GELU)
def backward(self, dy):
    return dy * 0.5 * (1 + self.t)

# %% [markdown] task="gelu-backward" mistake="second-term"
# it is the product rule's second term only: the factor x/2 has a slope, too
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * 0.5 * x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x)
# ```

# %% [markdown] task="gelu-backward" mistake="no-inner"
# it lacks the slope of u: tanh(u) is differentiated with respect to u, and then u to x
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t))
# ```

# %% [markdown] task="gelu-backward" mistake="no-cubic"
# it lacks the slope of the cubic term of u
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * self.a)
# ```

# %% [markdown] task="gelu-backward" mistake="no-three"
# it lacks the 3 of the power rule: the slope of x³ is 3 x²
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * self.a * (1 + self.c * x * x))
# ```

# %% [markdown] task="gelu-backward" mistake="no-a"
# it lacks the factor a in the slope of u
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (1 + 3 * self.c * x * x))
# ```

# %% [markdown] task="gelu-backward" mistake="tanh-slope"
# it has 1 - t as the slope of tanh: it is 1 - t²
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t) * self.a * (1 + 3 * self.c * x * x))
# ```

# %% [markdown] task="gelu-backward" mistake="no-half"
# it lacks the 1/2 in the second term
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return dy * (0.5 * (1 + t) + x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x))
# ```

# %% task="gelu-backward" mistake="at-dy"
# it takes the slope at dy: the slope belongs to x, which forward has kept
@add_to_class(GELU)
def backward(self, dy):
    x = dy
    t = np.tanh(self.a * x * (1 + self.c * x * x))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x))

# %% [markdown] task="gelu-backward" mistake="no-dy"
# it is the slope, without dy
# ```diff
# -     u_slope = self.a * (1 + 3 * self.c * x * x)
# -     return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
# +     return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x)
# ```

# %% task="gelu-backward" right="step-by-step"
@add_to_class(GELU)
def backward(self, dy):
    x, t = self.x, self.t
    dt = dy * 0.5 * x
    du = dt * (1 - t**2)
    dx = dy * 0.5 * (1 + t)
    dx = dx + du * self.a
    dx = dx + du * self.a * self.c * 3 * x**2
    return dx

# %% task="gelu-backward" right="cosh"
@add_to_class(GELU)
def backward(self, dy):
    x = self.x
    u = self.a * (x + self.c * x**3)
    return dy * 0.5 * (1 + np.tanh(u) + x / np.cosh(u) ** 2 * self.a * (1 + 3 * self.c * x**2))

# %% task="gelu-backward" right="loop"
@add_to_class(GELU)
def backward(self, dy):
    dx = np.empty(dy.shape)
    for i in np.ndindex(dy.shape):
        x, t = float(self.x[i]), float(self.t[i])
        dx[i] = dy[i] * (0.5 + 0.5 * t + 0.5 * x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x))
    return dx

# %% task="gelu-backward" reject="erf-form"
@add_to_class(GELU)
def backward(self, dy):
    x = self.x
    cdf = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return dy * (cdf + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))

# %% task="gelu-backward" reject="spoils-the-cache"
@add_to_class(GELU)
def backward(self, dy):
    x = self.x
    self.t *= self.t
    x *= 0.5
    return dy * (0.5 * (1 + np.sqrt(self.t)) + x * (1 - self.t) * self.a)

# %% task="gelu-backward" reject="sigmoid-form"
@add_to_class(GELU)
def backward(self, dy):
    s = 1 / (1 + np.exp(-1.702 * self.x))
    return dy * (s + 1.702 * self.x * s * (1 - s))

# %% task="gelu-backward" reject="measured-whole"
@add_to_class(GELU)
def backward(self, dy):
    f = lambda x: 0.5 * x * (1 + np.tanh(self.a * x * (1 + self.c * x * x)))
    x, h = self.x.astype(float), 1e-5
    return dy * (f(x + h) - f(x - h)) / (2 * h)

# %% [markdown] task="gelu-backward" reject="exp-tanh" shows="Entries of any size must come out right"
# ```diff
# - x, t = self.x, self.t
# + x = self.x
# +     e = np.exp(2 * self.a * (x + self.c * x**3))
# +     t = (e - 1) / (e + 1)
# ```

# %% task="gelu-backward" reject="divides-by-x"
@add_to_class(GELU)
def backward(self, dy):
    x, t = self.x, self.t
    y = 0.5 * x * (1 + t)
    return dy * (y / x + 0.5 * x * (1 - t * t) * self.a * (1 + 3 * self.c * x * x))

# %% [markdown] task="gelu-backward" reject="thirty"
# ```diff
# - return dy * (
# + x = np.where(np.arange(x.size).reshape(x.shape) < 32, x, 0)
# +     return dy * (
# ```

# %% task="gelu-backward" reject="t-squared"
@add_to_class(GELU)
def backward(self, dy):
    x, t = self.x, self.t
    first = 0.5 * (1 + t)
    t *= t
    return dy * (first + 0.5 * x * (1 - t) * self.a * (1 + 3 * self.c * x * x))


# %% task="gelu-backward" reject="x-at-most-5"
@add_to_class(GELU)
def backward(self, dy):
    x, t = np.clip(self.x, -5, 5), self.t
    slope = (1 - t * t) * self.a * (1 + 3 * self.c * x * x)
    return dy * (0.5 * (1 + t) + 0.5 * x * slope)


# %% task="gelu-backward" reject="zero-below-minus-5"
@add_to_class(GELU)
def backward(self, dy):
    x, t = self.x, self.t
    slope = (1 - t * t) * self.a * (1 + 3 * self.c * x * x)
    return np.where(x < -5, 0.0, dy * (0.5 * (1 + t) + 0.5 * x * slope))


# %% task="silu" cases=true
def cases(rng):
    yield from list(entrywise(rng))[:9]
    yield from entrywise(rng, extremes=(1000.0, 0, 90, 1000, 1e7))
    # No shortcut yet: each band alone, as what is large hides what is small.
    for low, high in [(4, 8), (8, 14), (14, 24)]:
        for sign in (1, -1):
            x = [{"x": sign * rng.uniform(low, high, some)} for some in ((6,), (8,))]
            dy = [{"dy": rng.normal(size=some["x"].shape)} for some in x]
            yield layer(f"x of shape (6,), from {sign * low} to {sign * high}", {}, {}, x, dy)

# %% [markdown] task="silu" hint=1
# y is a product of x and σ(x); the slope of σ can be written with σ itself.

# %% [markdown] task="silu" hint=2
# keep x and s = σ(x) in forward, both of the shape of x; nothing is summed.

# %% [markdown] task="silu" hint=3
# the slope is s plus x times s times one minus s; multiply it by dy.

# %% task="silu" mistake="first-term"
# it lacks the term in which σ is differentiated: σ depends on x, too
class SiLU(Module):
    def forward(self, x):
        self.s = 0.5 * (1 + np.tanh(x / 2))
        return x * self.s

    def backward(self, dy):
        return dy * self.s

# %% task="silu" mistake="second-term"
# it lacks the term in which the factor x is differentiated
class SiLU(Module):
    def forward(self, x):
        self.x, self.s = x, 0.5 * (1 + np.tanh(x / 2))
        return x * self.s

    def backward(self, dy):
        return dy * self.x * self.s * (1 - self.s)

# %% task="silu" mistake="no-x"
# it lacks the factor x in the term in which σ is differentiated
class SiLU(Module):
    def forward(self, x):
        self.x, self.s = x, 0.5 * (1 + np.tanh(x / 2))
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + self.s * (1 - self.s))

# %% task="silu" mistake="overflows"
# it is nan or wrong for large scores: e to the 1000 overflows; use np.tanh
class SiLU(Module):
    def forward(self, x):
        e = np.exp(x)
        self.x, self.s = x, e / (1 + e)
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% task="silu" mistake="tanh-of-x"
# it uses tanh(x) where tanh(x/2) belongs
class SiLU(Module):
    def forward(self, x):
        self.x, self.s = x, 0.5 * (1 + np.tanh(x))
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% task="silu" mistake="sigmoid"
# it is the sigmoid itself: SiLU multiplies it by x
class SiLU(Module):
    def forward(self, x):
        self.s = 0.5 * (1 + np.tanh(x / 2))
        return self.s + 0

    def backward(self, dy):
        return dy * self.s * (1 - self.s)

# %% task="silu" mistake="y-for-s"
# it uses y for σ(x): y = x σ(x)
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.y = x * 0.5 * (1 + np.tanh(x / 2))
        return self.y.copy()

    def backward(self, dy):
        return dy * (self.y + self.x * self.y * (1 - self.y))

# %% task="silu" mistake="gelu-scale"
# it has σ(1.702 x), which is an approximation of GELU: SiLU has σ(x)
class SiLU(Module):
    def forward(self, x):
        self.x, self.s = x, 0.5 * (1 + np.tanh(1.702 * x / 2))
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + 1.702 * self.x * self.s * (1 - self.s))

# %% task="silu" right="from-y"
class SiLU(Module):
    def forward(self, x):
        self.s = 0.5 + 0.5 * np.tanh(0.5 * x)
        self.y = x * self.s
        return self.y.copy()

    def backward(self, dy):
        return dy * (self.y + self.s * (1 - self.y))

# %% task="silu" right="two-branches"
class SiLU(Module):
    def forward(self, x):
        small = np.exp(-np.abs(x))
        self.x, self.s = x, np.where(x >= 0, 1 / (1 + small), small / (1 + small))
        return x * self.s

    def backward(self, dy):
        ds = dy * self.x
        return dy * self.s + ds * self.s * (1 - self.s)

# %% task="silu" right="recomputed"
class SiLU(Module):
    def forward(self, x):
        self.x = x.copy()
        return x / 2 * (1 + np.tanh(x / 2))

    def backward(self, dy):
        t = np.tanh(self.x / 2)
        return dy / 2 * (1 + t + self.x / 2 * (1 - t * t))

# %% task="silu" reject="clipped"
class SiLU(Module):
    def forward(self, x):
        self.x = np.clip(x, -20, 20)
        self.s = 1 / (1 + np.exp(-self.x))
        return self.x * self.s

    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% task="silu" reject="first-input-kept"
class SiLU(Module):
    def forward(self, x):
        if not hasattr(self, "x"):
            self.x = x
        return x * 0.5 * (1 + np.tanh(x / 2))

    def backward(self, dy):
        s = 0.5 * (1 + np.tanh(self.x / 2))
        return dy * (s + self.x * s * (1 - s))

# %% task="silu" reject="measured"
class SiLU(Module):
    def f(self, x):
        return x * 0.5 * (1 + np.tanh(x / 2))
    def forward(self, x):
        self.x = x
        return self.f(x)
    def backward(self, dy):
        x = self.x.astype(float)
        return dy * (self.f(x + 1e-5) - self.f(x - 1e-5)) / 2e-5

# %% task="silu" reject="y-over-x"
class SiLU(Module):
    def forward(self, x):
        self.x, self.y = x, x * 0.5 * (1 + np.tanh(x / 2))
        return self.y.copy()
    def backward(self, dy):
        s = self.y / self.x
        return dy * (s + self.y * (1 - s))

# %% [markdown] task="silu" reject="clip-500" shows="Entries of any size must come out right, even -1000 and 1000"
# ```diff
# - self.s = 0.5 * (1 + np.tanh(x / 2))
# + x = self.x = np.clip(x, -500, 500)
# +         self.s = 0.5 * (1 + np.tanh(x / 2))
# ```

# %% task="silu" reject="sigma-1-beyond-6" shows="Entries of any size must come out right"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.s = 0.5 * (1 + np.tanh(x / 2))
        self.s = np.where(x > 6, 1.0, np.where(x < -6, 0.0, self.s))
        return x * self.s
    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% task="silu" reject="relu-beyond-10"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.s = 0.5 * (1 + np.tanh(x / 2))
        return np.where(np.abs(x) > 10, np.maximum(x, 0), x * self.s)
    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% task="silu" right="errstate"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        with np.errstate(over="ignore"):
            self.s = 1 / (1 + np.exp(-x))
        return x * self.s
    def backward(self, dy):
        return dy * self.s * (1 + self.x * (1 - self.s))

# %% task="silu" reject="naive" shows="without a warning of an overflow"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.s = 1 / (1 + np.exp(-x))
        return x * self.s
    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))

# %% [markdown] task="silu" reject="spoils" shows="`backward` may not change what `forward` has kept"
# ```diff
# - return dy * (s + x * s * (1 - s))
# + self.s *= 1 - self.s
# +         self.s *= self.x
# +         return dy * (0.5 * (1 + np.tanh(x / 2)) + self.s)
# ```

# %% task="silu" reject="pops" shows="it may be called twice"
class SiLU(Module):
    def forward(self, x):
        s = 0.5 * (1 + np.tanh(x / 2))
        self.cache = [x, s]
        return x * s
    def backward(self, dy):
        s = self.cache.pop()
        x = self.cache.pop()
        return dy * (s + x * s * (1 - s))

# %% task="silu" reject="stack"
class SiLU(Module):
    def __init__(self):
        self.cache = []
    def forward(self, x):
        s = 0.5 * (1 + np.tanh(x / 2))
        self.cache.append((x, s))
        return x * s
    def backward(self, dy):
        x, s = self.cache.pop()
        return dy * (s + x * s * (1 - s))

# %% task="silu" reject="global"
class SiLU(Module):
    def forward(self, x):
        global kept
        kept = x, 0.5 * (1 + np.tanh(x / 2))
        return x * kept[1]
    def backward(self, dy):
        x, s = kept
        return dy * (s + x * s * (1 - s))

# %% task="silu" reject="parameter"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.s = 0.5 * (1 + np.tanh(x / 2))
        return x * self.s
    def backward(self, dy):
        self.ds = dy * self.x
        self.dx = dy * self.s + self.ds * self.s * (1 - self.s)
        return self.dx

# %% task="silu" reject="y-is-cache"
class SiLU(Module):
    def forward(self, x):
        self.x = x
        self.y = 0.5 * x * (1 + np.tanh(x / 2))
        return self.y
    def backward(self, dy):
        s = 0.5 * (1 + np.tanh(self.x / 2))
        self.y *= 1 - s
        self.y += s
        return dy * self.y

# %% [markdown] task="relu-backward" reject="no-axes"
# ```diff
# - return dy * self.positive
# + len(dy)
# +     return dy * self.positive
# ```

# %% [markdown] task="relu-backward" reject="no-entries"
# ```diff
# - return dy * self.positive
# + dy.max()
# +     return dy * self.positive
# ```

# %% [markdown] task="gelu-backward" reject="no-axes"
# ```diff
# - x, t = self.x, self.t
# + len(dy)
# +     x, t = self.x, self.t
# ```

# %% [markdown] task="gelu-backward" reject="no-entries"
# ```diff
# - x, t = self.x, self.t
# + dy.max()
# +     x, t = self.x, self.t
# ```

# %% [markdown] task="silu" reject="no-axes"
# ```diff
# - self.x = x
# + len(x)
# +         self.x = x
# ```

# %% task="sigmoid-tanh" right="row-by-row"
def both(dy, y, dt, t):
    return np.array([d * v * (1 - v) for d, v in zip(dy, y)]), dt * (1 - t * t)

# %% [markdown] task="silu" reject="no-entries"
# ```diff
# - self.x = x
# + x.max()
# +         self.x = x
# ```

# %% [markdown] task="sigmoid-tanh" reject="no-entries"
# ```diff
# - return dt * (1 - t * t)
# + t.max()
# +     return dt * (1 - t * t)
# ```
