# %%
OPTIONS = [{}, {"strided": True}, {"float32": True}]
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def named(options):
    return "".join(f", {name}" for name in options)

def linear(rng, name, n_in, n_out, bias=True):
    params = {f"{name}.W": rng.normal(0, 0.5, (n_in, n_out))}
    return params | ({f"{name}.b": rng.normal(0, 0.5, n_out)} if bias else {})

def rounds(rng, shape, grows=True):
    """Two rounds of x and dy; the second has more rows: a layer may not count on a size."""
    shapes = [shape, (shape[0] + 2 * grows, *shape[1:]) if len(shape) > 1 else shape]
    return [[{name: rng.normal(size=some)} for some in shapes] for name in ("x", "dy")]

def gated(rng, names):
    """Cases of a feed-forward layer: `names` read x, and `down` makes y."""
    sizes = [((5,), 3, 7), ((2, 3), 4, 4), ((1, 1), 5, 2), ((), 3, 3), ((2, 2, 2), 2, 5), ((2,), 2, 1101), ((40,), 3, 33)]
    for number, (leading, dim, hidden) in enumerate(sizes):
        wide = hidden > 1000
        for options in OPTIONS if len(leading) == 2 else OPTIONS[: 2 - wide]:
            bias = number % 3 == 1 or wide
            params = linear(rng, "down", hidden, dim, bias)
            for name in names:
                params |= linear(rng, name, dim, hidden, bias)
            large = number == 0 and not options
            if large:
                params["down.W"] *= LARGE
            if wide and "gate" in names:
                # Far out σ is 0, or 1; in the middle a is 0; and one entry of up is 0.
                params["gate.b"] = np.linspace(-100, 100, hidden)
                # Where σ is small, so is its slope: there a large up shows an a that comes from a clipped σ.
                params["up.b"][(params["gate.b"] > -25) & (params["gate.b"] < -14)] *= 1000
                params["gate.W"][:, hidden // 2] = params["up.W"][:, -1] = params["up.b"][-1] = 0
            new = {"dim": dim, "hidden": hidden, "bias": bias, "rng": Rng(1), "dtype": "float64"}
            shape = (*leading, dim)
            said = ", large down.W" * large + ", gates from -100 to 100" * (wide and "gate" in names)
            yield layer(f"x of shape {shape}, hidden {hidden}{said}{named(options)}",
                        new, params, *rounds(rng, shape, grows=not options), dtypes=True, **options)

# %% task="gates-squared-relu" cases=true
def cases(rng):
    yield from gated(rng, ["up"])

# %% [markdown] task="gates-squared-relu" hint=1
# y = down(m) with m = r². You get the gradient of m from down; then comes the slope of a square,
# and that of a ReLU.

# %% [markdown] task="gates-squared-relu" hint=2
# down.backward turns (..., dim) into (..., hidden); r has this shape, too; up.backward turns it into (...,
# dim).

# %% [markdown] task="gates-squared-relu" hint=3
# what down's backward pass gives, times twice r, goes to up's backward pass. Where ReLU was shut, r is
# 0, and so is the slope.

# %% [markdown] task="gates-squared-relu" mistake="no-two"
# it lacks the 2: the slope of r² is 2 r
# ```diff
# - 2 * self.r * dm
# + self.r * dm
# ```

# %% [markdown] task="gates-squared-relu" mistake="relu"
# it has the slope of ReLU alone: the square has one, too
# ```diff
# - 2 * self.r * dm
# + (self.r > 0) * dm
# ```

# %% [markdown] task="gates-squared-relu" mistake="two-only"
# it is open everywhere: the slope of r² is 2 r, not 2
# ```diff
# - 2 * self.r * dm
# + 2 * dm
# ```

# %% [markdown] task="gates-squared-relu" mistake="squared"
# it multiplies by r², the value: the slope is 2 r
# ```diff
# - 2 * self.r * dm
# + 2 * self.r**2 * dm
# ```

# %% [markdown] task="gates-squared-relu" mistake="no-down"
# it goes past down: call its backward pass first
# ```diff
# - dm = self.down.backward(dy)
# + dm = dy @ self.down.W.T
# ```

# %% [markdown] task="gates-squared-relu" mistake="no-up"
# up's own gradients come from up.backward
# ```diff
# - return self.up.backward(2 * self.r * dm)
# + return (2 * self.r * dm) @ self.up.W.T
# ```

# %% [markdown] task="gates-squared-relu" mistake="hidden-returned"
# it is the gradient of the hidden layer: up is still to come
# ```diff
# - return self.up.backward(2 * self.r * dm)
# + da = 2 * self.r * dm
# +     self.up.backward(da)
# +     return da
# ```

# %% [markdown] task="gates-squared-relu" mistake="down-twice"
# it is counted twice: each backward pass adds to the gradients, so call it once
# ```diff
# - dm = self.down.backward(dy)
# + self.down.backward(dy)
# +     dm = self.down.backward(dy)
# ```

# %% [markdown] task="gates-squared-relu" mistake="up-twice"
# up's gradients are counted twice: each backward pass adds to them, so call it once
# ```diff
# - return self.up.backward(2 * self.r * dm)
# + self.up.backward(2 * self.r * dm)
# +     return self.up.backward(2 * self.r * dm)
# ```

# %% [markdown] task="gates-squared-relu" reject="float64" shows="of one dtype"
# ```diff
# - 2 * self.r * dm
# + np.full(dm.shape, 2.0) * self.r * dm
# ```

# %% task="gates-squared-relu" right="halves"
@add_to_class(SquaredReLU)
def backward(self, dy):
    half = self.r * self.down.backward(dy)
    return self.up.backward(half + half)

# %% task="gates-squared-relu" right="product-rule"
@add_to_class(SquaredReLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    return self.up.backward(dm * self.r + self.r * dm)

# %% task="gates-squared-relu" right="einsum"
@add_to_class(SquaredReLU)
def backward(self, dy):
    return self.up.backward(np.einsum("...h,...h->...h", 2 * self.r, self.down.backward(dy)))

# %% [markdown] task="gates-squared-relu" reject="r-changed" shows="What `forward` has kept must stay as it is"
# ```diff
# - return self.up.backward(2 * self.r * dm)
# + self.r *= 2 * dm
# +     return self.up.backward(self.r)
# ```

# %% [markdown] task="gates-squared-relu" reject="down-once-more"
# ```diff
# - dm = self.down.backward(dy)
# + dm = self.down.backward(dy)
# +     self.down.backward(0 * dy + 1e-3)
# ```

# %% task="gates-squared-relu" reject="few-units"
@add_to_class(SquaredReLU)
def backward(self, dy):
    slope = np.zeros_like(self.r)
    slope[..., :256] = 2 * self.r[..., :256]
    return self.up.backward(slope * self.down.backward(dy))

# %% [markdown] task="gates-squared-relu" reject="r-parameter"
# ```diff
# - return self.up.backward(2 * self.r * dm)
# + self.dr = 2 * self.r * dm
# +     return self.up.backward(self.dr)
# ```

# %% task="gates-swiglu" cases=true
def cases(rng):
    yield from gated(rng, ["gate", "up"])

# %% [markdown] task="gates-swiglu" hint=1
# down first. Then a product of two factors, h and u; then silu in one of them; and x was read twice.

# %% [markdown] task="gates-swiglu" hint=2
# all in the middle is (..., hidden). Each factor's gradient is dm times the other factor. The slope of h = a σ(a) is
# σ + a σ (1 - σ), and a σ is h.

# %% [markdown] task="gates-swiglu" hint=3
# dh is dm u, du is dm h; da is dh times (s + h (1 - s)). da goes to gate's backward pass, du to up's, and dx
# is the sum of what they return.

# %% [markdown] task="gates-swiglu" mistake="exchanged"
# the factors are exchanged: each one's gradient is dm times the other
# ```diff
# - dh, du = dm * self.u, dm * self.h
# + dh, du = dm * self.h, dm * self.u
# ```

# %% [markdown] task="gates-swiglu" mistake="sigmoid-slope"
# it has the slope of σ(a), and the gate is a σ(a): a product
# ```diff
# - self.s + self.h * (1 - self.s)
# + self.s * (1 - self.s)
# ```

# %% [markdown] task="gates-swiglu" mistake="sigmoid-constant"
# it takes σ(a) for a constant: σ has a slope, too
# ```diff
# - self.s + self.h * (1 - self.s)
# + self.s
# ```

# %% [markdown] task="gates-swiglu" mistake="a-missing"
# the second term has lost its factor a: it is a σ (1 - σ), which is h (1 - σ)
# ```diff
# - self.h * (1 - self.s)
# + self.s * (1 - self.s)
# ```

# %% [markdown] task="gates-swiglu" mistake="no-slope"
# it goes past silu, which has a slope of its own
# ```diff
# - dh * (self.s + self.h * (1 - self.s))
# + dh
# ```

# %% [markdown] task="gates-swiglu" mistake="up-through-silu"
# up's branch goes through silu: only the gate's does
# ```diff
# - self.up.backward(du)
# + self.up.backward(du * (self.s + self.h * (1 - self.s)))
# ```

# %% [markdown] task="gates-swiglu" mistake="gate-only"
# x was read twice, by gate and by up: the two gradients add up
# ```diff
# - return self.gate.backward(da) + self.up.backward(du)
# + self.up.backward(du)
# +     return self.gate.backward(da)
# ```

# %% [markdown] task="gates-swiglu" mistake="up-by-s"
# up was multiplied by h = a σ(a), not by σ(a)
# ```diff
# - dm * self.h
# + dm * self.s
# ```

# %% [markdown] task="gates-swiglu" mistake="wrong-layers"
# gate and up have got each other's gradient
# ```diff
# - self.gate.backward(da) + self.up.backward(du)
# + self.gate.backward(du) + self.up.backward(da)
# ```

# %% [markdown] task="gates-swiglu" mistake="no-down"
# down's own gradients come from down.backward
# ```diff
# - dm = self.down.backward(dy)
# + dm = dy @ self.down.W.T
# ```

# %% [markdown] task="gates-swiglu" mistake="down-twice"
# it is counted twice: each backward pass adds to the gradients, so call it once
# ```diff
# - dh, du = dm * self.u, dm * self.h
# + dh, du = dm * self.u, self.down.backward(dy) * self.h
# ```

# %% [markdown] task="gates-swiglu" mistake="h-for-a"
# it has h in place of a, so σ is in it once too often: the slope is σ (1 + a (1 - σ)), and a σ is h
# ```diff
# - self.s + self.h * (1 - self.s)
# + self.s * (1 + self.h * (1 - self.s))
# ```

# %% [markdown] task="gates-swiglu" mistake="a-by-division" shows="$a$ may be -100 or 100, where $\\sigma(a)$ is 0 or 1"
# it divides by σ(a), which is 0 far below 0: you need a σ only, and that is h
# ```diff
# - self.s + self.h * (1 - self.s)
# + self.s * (1 + self.h / self.s * (1 - self.s))
# ```

# %% [markdown] task="gates-swiglu" mistake="a-by-logarithm"
# it takes a from the logarithm of σ / (1 - σ), which far out is not finite: you need a σ only, and that is h
# ```diff
# - self.h * (1 - self.s)
# + np.log(self.s / (1 - self.s)) * self.s * (1 - self.s)
# ```

# %% [markdown] task="gates-swiglu" mistake="a-by-clipped-logarithm" shows="where $\\sigma(a)$ is 0 or 1"
# it takes a from the logarithm of σ / (1 - σ), clipped: where σ is nearly 0 or 1 that is no longer a; you need
# a σ only, and that is h
# ```diff
# - self.h * (1 - self.s)
# + np.log(np.clip(self.s, 1e-7, 1 - 1e-7) / (1 - np.clip(self.s, 1e-7, 1 - 1e-7))) * self.s * (1 - self.s)
# ```

# %% [markdown] task="gates-swiglu" reject="float64" shows="of one dtype"
# ```diff
# - self.h * (1 - self.s)
# + self.h * (np.ones(self.s.shape) - self.s)
# ```

# %% task="gates-swiglu" right="from-a"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    a = np.divide(self.h, self.s, out=np.zeros_like(self.h), where=self.s > 0)
    slope = self.s * (1 + a * (1 - self.s))
    return self.up.backward(dm * self.h) + self.gate.backward(dm * self.u * slope)

# %% task="gates-swiglu" right="branches"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    a = self.h / np.where(self.s == 0, 1, self.s)
    slope = self.s * self.s + (1 + a) * self.s * (1 - self.s)
    return self.up.backward(dm * self.h) + self.gate.backward(dm * self.u * slope)

# %% task="gates-swiglu" right="in-place"
@add_to_class(SwiGLU)
def backward(self, dy):
    da = self.down.backward(dy)
    dx = self.up.backward(da * self.h)
    da *= self.u
    slope = 1 - self.s
    slope *= self.h
    slope += self.s
    dx += self.gate.backward(da * slope)
    return dx

# %% task="gates-swiglu" right="pairs"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    pairs = [(self.gate, self.u * (self.s + self.h - self.h * self.s)), (self.up, self.h)]
    return sum(part.backward(dm * other) for part, other in pairs)

# %% [markdown] task="gates-swiglu" reject="h-changed"
# ```diff
# - da = dh
# + self.h *= 1 - self.s
# +     self.h += self.s
# +     da = dh
# - (self.s + self.h * (1 - self.s))
# + self.h
# ```

# %% task="gates-swiglu" reject="units-beyond-1000"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    da = dm * self.u * (self.s + self.h * (1 - self.s))
    da[..., 1000:] = 0
    return self.gate.backward(da) + self.up.backward(dm * self.h)

# %% task="gates-swiglu" reject="silent-below-minus-8"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    slope = self.s + self.h * (1 - self.s)
    slope[self.s < 3e-4] = 0
    return self.gate.backward(dm * self.u * slope) + self.up.backward(dm * self.h)

# %% task="gates-swiglu" reject="saturated"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    a = np.divide(self.h, self.s, out=np.zeros_like(self.h), where=self.s > 1e-3)
    return self.gate.backward(dm * self.u * self.s * (1 + a * (1 - self.s))) + self.up.backward(dm * self.h)

# %% task="gates-swiglu" reject="no-slope-at-0"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    dh = dm * self.h * self.u / np.where(self.h == 0, 1, self.h)
    return self.gate.backward(dh * (self.s + self.h * (1 - self.s))) + self.up.backward(dm * self.h)

# %% task="gates-swiglu" reject="divided-by-u"
@add_to_class(SwiGLU)
def backward(self, dy):
    dm = self.down.backward(dy)
    du = dm * (self.h * self.u) / np.where(self.u == 0, 1, self.u)
    return self.gate.backward(dm * self.u * (self.s + self.h * (1 - self.s))) + self.up.backward(du)

# %% [markdown] task="gates-swiglu" reject="u-parameter"
# ```diff
# - da = dh
# + self.du = du
# +     da = dh
# ```

# %% [markdown] task="gates-swiglu" reject="minus"
# ```diff
# - self.s + self.h * (1 - self.s)
# + self.s - self.h * (1 - self.s)
# ```

# %% task="grouped-backward" cases=true
def cases(rng):
    sizes = [(2, 5, 7, 6, 3, 4), (1, 3, 4, 2, 1, 2), (2, 4, 6, 9, 9, 2), (2, 1, 5, 4, 2, 2), (2, 4, 8, 6, 2, 2),
             (1, 17, 3, 9, 1, 2)]
    for number, (B, T, C, n_heads, H, D) in enumerate(sizes):
        for options in [OPTIONS[0], OPTIONS[1 + number % 2]]:
            for rope, qk_norm in [(True, True), (number % 2 == 0, number % 2 == 1), (False, False)]:
                params = {f"{name}.W": rng.normal(0, 0.5, (C, n * D)) for name, n in
                          (("q", n_heads), ("k", H), ("v", H))}
                params["proj.W"] = rng.normal(0, 0.5, (n_heads * D, C))
                if qk_norm:
                    params |= {f"{name}.gamma": rng.normal(1, 0.5, D) for name in ("q_norm", "k_norm")}
                large = number == 1 and not options and not rope
                if large:
                    params["proj.W"] *= LARGE
                far = number == 4 and not options and not qk_norm and not rope
                if far:    # scores whose exp overflows
                    params["q.W"] *= 1e4
                new = {"dim": C, "n_heads": n_heads, "n_kv_heads": H, "head_dim": D, "rope": rope,
                       "qk_norm": qk_norm, "rng": Rng(1), "dtype": "float64"}
                grows = 2 * (not options)    # a layer may not count on a size
                shapes = [(B, T, C), (B + grows, T + grows, C)]
                x = [{"x": rng.normal(size=shape)} for shape in shapes]
                starts = [9, 4] if rope and not qk_norm else []
                for args, start in zip(x, starts):
                    args["start"] = start
                dy = [{"dy": rng.normal(size=shape)} for shape in shapes]
                parts = ", RoPE" * rope + ", QK-norm" * qk_norm + ", large proj.W" * large + ", large q.W" * far
                parts += f", start {starts[0]}" if starts else ""
                yield layer(f"x of shape {(B, T, C)}, {n_heads} heads, {H} of keys{parts}{named(options)}",
                            new, params, x, dy, dtypes=True, **options)

# %% [markdown] task="grouped-backward" hint=1
# go through forward from its end, line by line. It is chapter 10's, with G T queries in place of T; then,
# for queries and keys, the rotation and the norm, in reverse order.

# %% [markdown] task="grouped-backward" hint=2
# split turns what proj.backward gives into (B, H, G, T, D); reshape it to (B, H, G T, D). dk and dv come
# out as (B, H, T, D): for rotary, norm and join give them the axis of their group, of length 1.

# %% [markdown] task="grouped-backward" hint=3
# dp is dout times the values transposed, dv is p transposed times dout, dscores is the softmax's backward pass,
# scaled, dq is dscores times the keys, dk is dscores transposed times the queries. Reshape dq to (B, H, G, T, D).
# Then rotary.backward, then the norms' backward, then join, and add what q, k and v return.

# %% [markdown] task="grouped-backward" mistake="mean"
# it is the mean over a group: a key that several heads use gets the sum
# ```diff
# - (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
# + (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None] / G
# ```

# %% [markdown] task="grouped-backward" mistake="mean-of-values"
# it is the mean over a group: a value that several heads use gets the sum
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p.swapaxes(-1, -2) @ dout / G
# ```

# %% [markdown] task="grouped-backward" mistake="one-head"
# it is that of one head of the group: all of them used the key
# ```diff
# - (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
# + (dscores[:, :, -T:].swapaxes(-1, -2) @ self.queries[:, :, -T:])[:, :, None]
# ```

# %% [markdown] task="grouped-backward" mistake="one-head-of-values"
# it is that of one head of the group: all of them used the value
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p[:, :, :T].swapaxes(-1, -2) @ dout[:, :, :T]
# ```

# %% [markdown] task="grouped-backward" mistake="no-scale"
# it lacks self.scale: the scores are multiplied by it, and so are their gradients
# ```diff
# - softmax_backward(dp, self.p) * self.scale
# + softmax_backward(dp, self.p)
# ```

# %% [markdown] task="grouped-backward" mistake="norm-first"
# norm and rotation are in forward's order: the way back begins with what came last, the rotation
# ```diff
# -     if self.rotary is not None:
# -         dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
# -     if self.q_norm is not None:
# -         dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
# +     if self.q_norm is not None:
# +         dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
# +     if self.rotary is not None:
# +         dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
# ```

# %% [markdown] task="grouped-backward" mistake="turned-again"
# it is turned by the same angles again: rotary.backward turns it back
# ```diff
# - dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
# + dq, dk = self.rotary(dq), self.rotary(dk)
# ```

# %% [markdown] task="grouped-backward" mistake="not-turned"
# it goes past the rotation
# ```diff
# -     if self.rotary is not None:
# -         dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
# +
# ```

# %% [markdown] task="grouped-backward" mistake="keys-not-turned"
# the keys were turned, too
# ```diff
# - self.rotary.backward(dq), self.rotary.backward(dk)
# + self.rotary.backward(dq), dk
# ```

# %% [markdown] task="grouped-backward" mistake="not-normed"
# it goes past the norms of queries and keys
# ```diff
# -     if self.q_norm is not None:
# -         dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
# +
# ```

# %% [markdown] task="grouped-backward" mistake="values-turned"
# the values were not turned: only queries and keys are
# ```diff
# - dx = self.q
# + dv = self.rotary.backward(dv) if self.rotary is not None else dv
# +     dx = self.q
# ```

# %% [markdown] task="grouped-backward" mistake="no-softmax"
# it goes past the softmax
# ```diff
# - softmax_backward(dp, self.p) * self.scale
# + dp * self.scale
# ```

# %% [markdown] task="grouped-backward" mistake="values-forgotten"
# x was read three times, by q, k and v: v's part is missing
# ```diff
# - return dx + self.v.backward(self.join(dv[:, :, None]))
# + self.v.backward(self.join(dv[:, :, None]))
# +     return dx
# ```

# %% [markdown] task="grouped-backward" mistake="heads-in-turn"
# the heads are dealt out in turn: neighbors share a key, as `split` cuts them
# ```diff
# - self.split(self.proj.backward(dy), G).reshape(B, H, G * T, D)
# + self.proj.backward(dy).reshape(B, T, G, H, D).transpose(0, 3, 2, 1, 4).reshape(B, H, G * T, D)
# ```

# %% [markdown] task="grouped-backward" mistake="proj-not-counted"
# proj's own gradients come from proj.backward
# ```diff
# - self.split(self.proj.backward(dy), G)
# + self.split(dy @ self.proj.W.T, G)
# ```

# %% task="grouped-backward" right="einsum"
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    B, T, _ = dy.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    dout = self.split(self.proj.backward(dy), G)
    p, q = self.p.reshape(B, H, G, T, T), self.queries.reshape(B, H, G, T, D)
    dp = np.einsum("bhgid,bhjd->bhgij", dout, self.values)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / math.sqrt(D)
    dq = np.einsum("bhgij,bhjd->bhgid", ds, self.keys)
    dk = np.einsum("bhgij,bhgid->bhjd", ds, q)[:, :, None]
    dv = np.einsum("bhgij,bhgid->bhjd", p, dout)[:, :, None]
    if self.rotary is not None:
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
    if self.q_norm is not None:
        dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
    parts = [(self.q, dq), (self.k, dk), (self.v, dv)]
    return sum(part.backward(self.join(d)) for part, d in parts)

# %% task="grouped-backward" right="loop"
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    B, T, _ = dy.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    dout = self.split(self.proj.backward(dy), G)
    dq = np.zeros((B, H, G, T, D), dy.dtype)
    dk, dv = np.zeros((B, H, 1, T, D), dy.dtype), np.zeros((B, H, 1, T, D), dy.dtype)
    for b in range(B):
        for h in range(H):
            for g in range(G):
                rows = slice(g * T, (g + 1) * T)
                p, q = self.p[b, h, rows], self.queries[b, h, rows]
                ds = softmax_backward(dout[b, h, g] @ self.values[b, h].T, p) * self.scale
                dq[b, h, g] = ds @ self.keys[b, h]
                dk[b, h, 0] += ds.T @ q
                dv[b, h, 0] += p.T @ dout[b, h, g]
    if self.rotary is not None:
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
    if self.q_norm is not None:
        dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
    dx = self.q.backward(self.join(dq))
    dx = dx + self.k.backward(self.join(dk))
    return dx + self.v.backward(self.join(dv))

# %% task="grouped-backward" right="repeated"
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    B, T, _ = dy.shape
    H, G = self.n_kv_heads, self.n_heads // self.n_kv_heads
    dout = self.split(self.proj.backward(dy), G)
    queries, p = self.queries.reshape(dout.shape), self.p.reshape(B, H, G, T, T)
    keys, values = self.keys[:, :, None].repeat(G, axis=2), self.values[:, :, None].repeat(G, axis=2)
    ds = softmax_backward(dout @ values.swapaxes(-1, -2), p) * self.scale
    dq, dk, dv = ds @ keys, ds.swapaxes(-1, -2) @ queries, p.swapaxes(-1, -2) @ dout
    dk, dv = dk.sum(axis=2, keepdims=True), dv.sum(axis=2, keepdims=True)
    for way_back in (self.rotary and (self.rotary, self.rotary), self.q_norm and (self.q_norm, self.k_norm)):
        if way_back:
            dq, dk = way_back[0].backward(dq), way_back[1].backward(dk)
    dx = self.v.backward(self.join(dv))
    for part, d in ((self.q, dq), (self.k, dk)):
        dx = dx + part.backward(self.join(d))
    return dx

# %% [markdown] task="grouped-backward" reject="always-turned" shows="Where `self.rotary` and `self.q_norm` are None, there is nothing to go through"
# ```diff
# -     if self.rotary is not None:
# -         dq, dk = self.rotary
# +     if True:
# +         dq, dk = self.rotary
# ```

# %% [markdown] task="grouped-backward" reject="float64" shows="`dx` is like `dy` in shape and dtype"
# ```diff
# - softmax_backward(dp, self.p) * self.scale
# + softmax_backward(dp, self.p) * np.full(dp.shape, self.scale)
# ```

# %% [markdown] task="grouped-backward" reject="queries-overwritten"
# ```diff
# - dk = (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
# + dk = (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
# +     self.queries *= 1 + self.scale
# ```

# %% [markdown] task="grouped-backward" reject="rotary-from-zero"
# ```diff
# -         dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
# +         turns = Rotary(D)
# +         turns(dq)
# +         dq, dk = turns.backward(dq), turns.backward(dk)
# ```

# %% [markdown] task="grouped-backward" reject="four-of-a-group"
# ```diff
# - (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]
# + (dscores[:, :, : 4 * T].swapaxes(-1, -2) @ self.queries[:, :, : 4 * T])[:, :, None]
# ```

# %% [markdown] task="grouped-backward" reject="eight-heads-of-keys"
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p.swapaxes(-1, -2) @ dout
# +     dv[:, 8:] = 0
# ```

# %% task="grouped-backward" reject="softmax-without-maximum"
@add_to_class(GroupedQueryAttention)
def backward(self, dy):
    B, T, _ = dy.shape
    H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
    dout = self.split(self.proj.backward(dy), G).reshape(B, H, G * T, D)
    with np.errstate(all="ignore"):
        e = np.exp(self.queries @ self.keys.swapaxes(-1, -2) * self.scale)
    e = e * np.tile(np.tril(np.ones((T, T))), (G, 1))
    p = (e / e.sum(axis=-1, keepdims=True)).astype(dy.dtype)
    dv = p.swapaxes(-1, -2) @ dout
    ds = softmax_backward(dout @ self.values.swapaxes(-1, -2), p) * self.scale
    dq, dk = (ds @ self.keys).reshape(B, H, G, T, D), (ds.swapaxes(-1, -2) @ self.queries)[:, :, None]
    if self.rotary is not None:
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
    if self.q_norm is not None:
        dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
    dx = self.q.backward(self.join(dq)) + self.k.backward(self.join(dk))
    return dx + self.v.backward(self.join(dv[:, :, None]))

# %% [markdown] task="grouped-backward" reject="sixteen"
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p[..., :16].swapaxes(-1, -2) @ dout
# +     dv = np.concatenate([dv, 0 * self.values[:, :, 16:]], axis=2)
# ```

# %% [markdown] task="grouped-backward" reject="k-norm-twice"
# ```diff
# - self.q_norm.backward(dq), self.k_norm.backward(dk)
# + self.q_norm.backward(dq), self.k_norm.backward(dk) + 0 * self.k_norm.backward(dk)
# ```

# %% task="llama-count" cases=true
def cases(rng):
    names = ("the parameters", "the cache")
    for tied in (True, False):
        for qk_norm in (True, False):
            for n_layer in (1, 7):
                V, C, hidden = (int(n) for n in rng.integers(3, 90, 3))
                # Each number of keys' heads divides each number of heads: arguments of two cases go together.
                H, heads, D = int(rng.choice([2, 3, 4, 6])), 12 * int(rng.integers(1, 5)), int(rng.integers(2, 9))
                args = {"vocab_size": V, "n_layer": n_layer, "n_head": heads, "n_kv_head": H, "n_embd": C,
                        "head_dim": D, "hidden": hidden + 90, "qk_norm": qk_norm, "tie_weights": tied}
                title = f"V {V}, {n_layer} layers, C {C}, {heads} heads, {H} of keys"
                yield Case(f"{title}, QK-norm {qk_norm}, tied {tied}", [Call(args, returns=names)])
    # Sizes that are alike by chance.
    alike = {"vocab_size": 8, "n_layer": 8, "n_head": 8, "n_kv_head": 8, "n_embd": 8, "head_dim": 8, "hidden": 8}
    for given in ({}, {"qk_norm": True, "tie_weights": False}):
        yield Case("all sizes are 8" + named(given), [Call(alike, returns=names, kwargs=given)])
    smol = {"vocab_size": 49_152, "n_layer": 30, "n_head": 9, "n_kv_head": 3, "n_embd": 576, "head_dim": 64,
            "hidden": 1536}
    yield Case("SmolLM2-135M", [Call(smol, returns=names)])
    yield Case("the same with QK-norm", [Call(smol, returns=names, kwargs={"qk_norm": True})])
    yield Case("the same with a head", [Call(smol, returns=names, kwargs={"tie_weights": False})])
    large = {"vocab_size": 128_256, "n_layer": 126, "n_head": 128, "n_kv_head": 8, "n_embd": 16_384,
             "head_dim": 128, "hidden": 53_248}
    yield Case("Llama 3 405B, its head tied", [Call(large, returns=names)])

# %% [markdown] task="llama-count" hint=1
# make a list of all arrays with their shapes, and add up: the table, what a block has times n_layer, the
# last norm, the head.

# %% [markdown] task="llama-count" hint=2
# q and proj have C × n_head D numbers each, k and v C × n_kv_head D each, gate, up and down C × hidden each. A
# key has head_dim numbers.

# %% [markdown] task="llama-count" hint=3
# a block: two norms of C, 2 C n_head D for q and proj, 2 C n_kv_head D for k and v, 2 D with QK-norm, 3 C
# hidden. The cache: a key and a value of D numbers for each head of keys, in each block.

# %% [markdown] task="llama-count" mistake="head-size" shows="D = `head_dim` need not be C / `n_head`"
# it takes C / n_head for the size of a head: head_dim is given
# ```diff
# - V, C, D = vocab_size, n_embd, head_dim
# + V, C, D = vocab_size, n_embd, n_embd // n_head
# ```

# %% [markdown] task="llama-count" mistake="all-heads"
# keys and values have n_kv_head heads, not n_head
# ```diff
# - 2 * C * n_kv_head * D
# + 2 * C * n_head * D
# ```

# %% [markdown] task="llama-count" mistake="cache-of-all-heads"
# the cache has n_kv_head heads of keys: those are what queries share
# ```diff
# - 2 * n_layer * n_kv_head * D
# + 2 * n_layer * n_head * D
# ```

# %% [markdown] task="llama-count" mistake="keys-only"
# the cache keeps the values, too
# ```diff
# - 2 * n_layer * n_kv_head * D
# + n_layer * n_kv_head * D
# ```

# %% [markdown] task="llama-count" mistake="one-block"
# each block has keys and values of its own
# ```diff
# - 2 * n_layer * n_kv_head * D
# + 2 * n_kv_head * D
# ```

# %% [markdown] task="llama-count" mistake="two-matrices"
# a SwiGLU has three matrices: gate, up and down
# ```diff
# - 3 * C * hidden
# + 2 * C * hidden
# ```

# %% [markdown] task="llama-count" mistake="one-norm"
# each block has two RMSNorms of size C
# ```diff
# - block = 2 * C
# + block = C
# ```

# %% [markdown] task="llama-count" mistake="no-last-norm"
# the RMSNorm after the blocks is missing
# ```diff
# - n_layer * block + C +
# + n_layer * block +
# ```

# %% [markdown] task="llama-count" mistake="shifts"
# an RMSNorm has gains only
# ```diff
# - block = 2 * C
# + block = 4 * C
# ```

# %% [markdown] task="llama-count" mistake="qk-norm-always"
# without qk_norm there are no norms for queries and keys
# ```diff
# - (2 * D if qk_norm else 0)
# + 2 * D
# ```

# %% [markdown] task="llama-count" mistake="qk-norm-by-head"
# the heads share the gains of their norm: D for all queries, D for all keys
# ```diff
# - (2 * D if qk_norm else 0)
# + ((n_head + n_kv_head) * D if qk_norm else 0)
# ```

# %% [markdown] task="llama-count" mistake="tied-counted"
# a tied head is counted: it is the table, whose numbers are there already
# ```diff
# - (0 if tie_weights else C * V)
# + C * V
# ```

# %% [markdown] task="llama-count" mistake="head-never" shows="without it a C × V matrix"
# the head is missing where it is not tied
# ```diff
# - (0 if tie_weights else C * V)
# + 0
# ```

# %% task="llama-count" right="by-kind"
def count(vocab_size, n_layer, n_head, n_kv_head, n_embd, head_dim, hidden, qk_norm=False, tie_weights=True):
    matrices = 2 * (n_head + n_kv_head) * head_dim + 3 * hidden
    norms = (2 * n_layer + 1) * n_embd + n_layer * qk_norm * 2 * head_dim
    tables = vocab_size * n_embd * (2 - tie_weights)
    return tables + norms + n_layer * n_embd * matrices, 2 * n_layer * n_kv_head * head_dim

# %% task="llama-count" right="looks-first"
def count(vocab_size, n_layer, n_head, n_kv_head, n_embd, head_dim, hidden, qk_norm=False, tie_weights=True):
    assert n_head % n_kv_head == 0
    q, kv = n_head * head_dim, n_kv_head * head_dim
    block = n_embd * (2 * q + 2 * kv + 3 * hidden + 2)
    if qk_norm:
        block += 2 * head_dim
    tables = 1 if tie_weights else 2
    return tables * vocab_size * n_embd + n_layer * block + n_embd, n_layer * 2 * kv

# %% task="llama-count" right="formula"
def count(vocab_size, n_layer, n_head, n_kv_head, n_embd, head_dim, hidden, qk_norm=False, tie_weights=True):
    V, C, D = vocab_size, n_embd, head_dim
    per_block = C * (2 * D * (n_head + n_kv_head) + 3 * hidden + 2) + 2 * D * qk_norm
    head = 0 if tie_weights else V
    return C * (V + head + 1) + n_layer * per_block, 2 * n_layer * n_kv_head * D

# %% task="llama-count" right="loop"
def count(vocab_size, n_layer, n_head, n_kv_head, n_embd, head_dim, hidden, qk_norm=False, tie_weights=True):
    C, D = n_embd, head_dim
    trained, cached = C * (vocab_size + 1), 0
    for _ in range(n_layer):
        trained += C * (2 + 3 * hidden) + 2 * D * (C * (n_head + n_kv_head) + qk_norm)
        cached += 2 * n_kv_head * D
    return trained + (not tie_weights) * C * vocab_size, cached

# %% [markdown] task="llama-count" mistake="default-qk" shows="qk_norm=False"
# qk_norm has another default than the first line had: without it there are no norms for queries and keys
# ```diff
# - qk_norm=False
# + qk_norm=True
# ```

# %% [markdown] task="llama-count" mistake="default-tie" shows="tie_weights=True"
# tie_weights has another default than the first line had: the head is tied where nothing is said
# ```diff
# - tie_weights=True
# + tie_weights=False
# ```

# %% [markdown] task="llama-count" reject="tied-when-square"
# ```diff
# - (0 if tie_weights else C * V)
# + (0 if tie_weights and V != C else C * V)
# ```

# %% [markdown] task="llama-count" reject="biases"
# ```diff
# - 3 * C * hidden
# + 3 * C * hidden + 2 * hidden + C
# ```

# %% [markdown] task="llama-count" reject="int32"
# ```diff
# - V, C, D = vocab_size, n_embd, head_dim
# + V, C, D = np.int32(vocab_size), np.int32(n_embd), np.int32(head_dim)
# ```

# %% [markdown] task="llama-count" reject="floats"
# ```diff
# - return trained,
# + return float(trained),
# ```
