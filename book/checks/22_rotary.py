# %%
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7
OPTIONS = [{}, {"strided": True}, {"float32": True}]

def named(options):
    return "".join(f", {name}" for name in options)

# %% task="rotary-slower" cases=true
def cases(rng):
    for D, base, factor, low, high, length in [
        (128, 500_000.0, 8.0, 1.0, 4.0, 8192), (64, 500_000.0, 32.0, 1.0, 4.0, 8192), (16, 100.0, 2.5, 0.5, 2.0, 64),
        (32, 10_000.0, 4, 2, 3, 256), (2, 10_000.0, 4.0, 1.0, 4.0, 64), (6, 10.0, 2.0, 5.0, 9.0, 20), (24, 10_000.0, 5.0, 0.01, 0.3, 100),
        (64, 500_000.0, 1.5, 1.0, 4.0, 131_072),
    ]:
        freqs = base ** (-np.arange(0, D, 2) / D)
        for options in OPTIONS[:2]:
            args = {"freqs": freqs, "factor": factor, "low": low, "high": high, "length": length}
            yield Case(f"{D // 2} pairs, base {base:g}, factor {factor}, low {low}, high {high}, length {length}{named(options)}",
                       [Call(args, returns="the frequencies")], **options)
    # Frequencies in no order, and some just at the two bounds: 1 and 4 turns.
    freqs = 2 * np.pi * np.array([3.0, 0.5, 4.0, 7.0, 1.0, 2.0, 0.001]) / 512
    args = {"freqs": freqs, "factor": 10.0, "low": 1.0, "high": 4.0, "length": 512}
    yield Case("7 pairs in no order", [Call(args, returns="the frequencies")])

# %% [markdown] task="rotary-slower" hint=1
# three cases, and s tells them apart: it is 1 or more for fast pairs, 0 or less for slow ones. What is the
# third formula at s = 1 and at s = 0?

# %% [markdown] task="rotary-slower" hint=2
# n and s are (D/2,), one number a pair. A turn is 2π, and a pair turns by ω at each of `length` positions.

# %% [markdown] task="rotary-slower" hint=3
# clip s to 0 and 1, and use the third formula for all pairs.

# %% [markdown] task="rotary-slower" mistake="all-slower" shows="fast pairs stay as they are"
# it slows all pairs: that is position interpolation; here fast ones stay as they are
# ```diff
# - return s * freqs + (1 - s) * freqs / factor
# + return freqs / factor
# ```

# %% [markdown] task="rotary-slower" mistake="exchanged"
# it slows the fast pairs and leaves the slow ones: s belongs to ω, 1 - s to ω/factor
# ```diff
# - s * freqs + (1 - s) * freqs / factor
# + (1 - s) * freqs + s * freqs / factor
# ```

# %% [markdown] task="rotary-slower" mistake="unclipped" shows="If $n$ is `high` or more, $\\omega$ stays. If it is `low` or less, the new frequency is $\\omega/\\text{factor}$"
# it goes on beyond `low` and `high`: above the one ω stays, below the other it is ω/factor
# ```diff
# - np.clip((n - low) / (high - low), 0, 1)
# + (n - low) / (high - low)
# ```

# %% [markdown] task="rotary-slower" mistake="step"
# it jumps between the two bounds: there is a way from the one to the other
# ```diff
# - np.clip((n - low) / (high - low), 0, 1)
# + np.where(n > low, 1, 0)
# ```

# %% [markdown] task="rotary-slower" mistake="radians"
# it counts radians for turns: a turn is 2π
# ```diff
# - length * freqs / (2 * np.pi)
# + length * freqs
# ```

# %% [markdown] task="rotary-slower" mistake="wavelength"
# it has the positions of a turn, 2π/ω, where the turns within the window belong
# ```diff
# - length * freqs / (2 * np.pi)
# + 2 * np.pi / freqs
# ```

# %% [markdown] task="rotary-slower" mistake="new-length"
# it counts turns within the longer window: it is those of the training that the model knows
# ```diff
# - length * freqs / (2 * np.pi)
# + length * factor * freqs / (2 * np.pi)
# ```

# %% [markdown] task="rotary-slower" mistake="faster"
# it makes slow pairs faster: the window is longer, so they turn factor times as slowly
# ```diff
# - freqs / factor
# + freqs * factor
# ```

# %% [markdown] task="rotary-slower" mistake="wavelengths-mixed"
# it mixes the lengths of a turn: the formula mixes frequencies
# ```diff
# - s * freqs + (1 - s) * freqs / factor
# + 1 / (s / freqs + (1 - s) * factor / freqs)
# ```

# %% task="rotary-slower" right="three-cases"
def slower(freqs, factor, low, high, length):
    n = length * freqs / (2 * np.pi)
    s = (n - low) / (high - low)
    between = s * freqs + (1 - s) * freqs / factor
    return np.where(n > high, freqs, np.where(n < low, freqs / factor, between))

# %% task="rotary-slower" right="loop"
def slower(freqs, factor, low, high, length):
    new = np.zeros(len(freqs))
    for i, omega in enumerate(freqs):
        wavelength = 2 * np.pi / omega
        if wavelength <= length / high:
            new[i] = omega
        elif wavelength >= length / low:
            new[i] = omega / factor
        else:
            s = (length / wavelength - low) / (high - low)
            new[i] = (1 - s) * omega / factor + s * omega
    return new

# %% task="rotary-slower" right="one-factor"
def slower(freqs, factor, low, high, length):
    s = np.interp(length * freqs / 2 / np.pi, [low, high], [0.0, 1.0])
    return freqs * (s + (1 - s) / factor)

# %% task="rotary-slower" reject="in-place" shows="leave `freqs` as it is"
def slower(freqs, factor, low, high, length):
    n = length * freqs / (2 * np.pi)
    s = np.clip((n - low) / (high - low), 0, 1)
    freqs *= s + (1 - s) / factor
    return freqs

# %% [markdown] task="rotary-slower" reject="whole-factor"
# ```diff
# - (1 - s) * freqs / factor
# + (1 - s) * freqs / int(factor)
# ```

# %% [markdown] task="rotary-slower" reject="short-windows"
# ```diff
# - length * freqs / (2 * np.pi)
# + min(length, 65_536) * freqs / (2 * np.pi)
# ```

# %% [markdown] task="rotary-slower" reject="eight"
# ```diff
# - freqs / factor
# + freqs / 8
# ```

# %% [markdown] task="rotary-slower" reject="llamas-length"
# ```diff
# - length * freqs / (2 * np.pi)
# + 8192 * freqs / (2 * np.pi)
# ```

# %% task="rotary-slower" reject="in-order-only"
def slower(freqs, factor, low, high, length):
    n = length * freqs / (2 * np.pi)
    first, last = (n > high).sum(), (n < low).sum()
    s = (n - low) / (high - low)
    s[:first] = 1
    s[len(s) - last :] = 0
    return s * freqs + (1 - s) * freqs / factor

# %% task="rotary-halves" cases=true
def cases(rng):
    for number, (shape, start) in enumerate([
        ((5, 4), 3), ((2, 3, 6), 0), ((1, 2, 3, 2), 7), ((2, 1, 4), 40), ((7, 2), 1), ((2, 2, 5, 8), 0), ((2, 1, 3, 2, 4), 5), ((40, 16), 2),
    ]):
        base = [10_000.0, 100.0, 500_000.0][number % 3]
        for options in [OPTIONS[0], OPTIONS[1 + number % 2]]:
            starts = [start, start + 6] if number % 2 else [start, max(0, start - 2)]
            more = shape if options else (*shape[:-2], shape[-2] + 2, shape[-1])
            x = [{"x": rng.normal(size=some), "start": s} for some, s in zip((shape, more), starts)]
            dy = [{"dy": rng.normal(size=some)} for some in (shape, more)]
            yield layer(f"x of shape {shape}, start {starts[0]}, base {base:g}{named(options)}",
                        {"head_dim": shape[-1], "base": base}, {}, x, dy, dtypes=True, **options)
    for shape in [(4, 6), (2, 3, 5, 4)]:
        x, dy = [{"x": rng.normal(size=shape)}], [{"dy": rng.normal(size=shape)}]
        yield layer(f"x of shape {shape}, no start given", {"head_dim": shape[-1]}, {}, x, dy, dtypes=True)
    # Longer, and further, than a table that one might make beforehand.
    for shape, start in [((1100, 2), 0), ((3, 4), 131_000)]:
        x, dy = [{"x": rng.normal(size=shape), "start": start}], [{"dy": rng.normal(size=shape)}]
        yield layer(f"x of shape {shape}, start {start}", {"head_dim": shape[-1]}, {}, x, dy)
    # Angles in which float32 has two digits left behind the point; and a wide head.
    for D, start, base, options in [(20, 131_000, 2.0, OPTIONS[2]), (600, 5, 10_000.0, {})]:
        x = [{"x": rng.normal(size=(5, D)), "start": start} for _ in range(2)]
        dy = [{"dy": rng.normal(size=(5, D))} for _ in range(2)]
        yield layer(f"x of shape (5, {D}), start {start}, base {base:g}{named(options)}",
                    {"head_dim": D, "base": base}, {}, x, dy, **options)
    # A float32 prompt at position 0, where nothing turns, and then float64.
    x = [{"x": rng.normal(size=(1, 6)).astype(np.float32)}, {"x": rng.normal(size=(3, 6)), "start": 5}]
    dy = [{"dy": rng.normal(size=a["x"].shape)} for a in x]
    mixed = layer("x of float32, dy of float64; then all of float64", {"head_dim": 6}, {}, x, dy, dtypes=True)
    mixed.calls[0].returns = None
    yield mixed
    # One shape and one start, but other frequencies, in no order: of one object, and of two.
    def turns(title, **options):
        x = [{"x": rng.normal(size=(3, 10)), "start": 11} for _ in range(3)]
        return layer(title, {"head_dim": 10}, {}, x, [{"dy": rng.normal(size=(3, 10))} for _ in x], **options)
    changing = turns("self.freqs are changed before the first and the third forward, and before the second backward")
    for number in (0, 3, 4):
        changing.calls[number].sets["freqs"] = rng.uniform(0.01, 1, 5)
    yield changing
    other = turns("other frequencies")
    other.calls[0].sets["freqs"] = rng.uniform(0.01, 1, 5)
    yield turns("beside another object with other frequencies", clause="two objects", beside=(other,))
    x, dy = [{"x": LARGE * rng.normal(size=(4, 6)), "start": 2}], [{"dy": rng.normal(size=(4, 6))}]
    yield layer("large numbers", {"head_dim": 6}, {}, x, dy)
    # A prompt, then one token after another, as with a cache.
    x = [{"x": rng.normal(size=(2, T, 4)), "start": s} for T, s in ((5, 0), (1, 5), (1, 6))]
    dy = [{"dy": rng.normal(size=a["x"].shape)} for a in x]
    yield layer("five tokens, then one and one", {"head_dim": 4}, {}, x, dy)

# %% [markdown] task="rotary-halves" hint=1
# the angles are an outer product of positions and frequencies; only the positions know of `start`. And
# what does the transpose of a turn do?

# %% [markdown] task="rotary-halves" hint=2
# positions are (T,), start to start + T - 1; angles are (T, D/2); the two halves of x are (..., T, D/2).

# %% [markdown] task="rotary-halves" hint=3
# keep cos and sin in forward; backward uses the same two formulas on the halves of dy with the sign of sin
# changed. At the end, astype the dtype of x.

# %% [markdown] task="rotary-halves" mistake="forward-again"
# it turns the gradient forward: the way back turns the other way
# ```diff
# - da * self.cos + db * self.sin, db * self.cos - da * self.sin
# + da * self.cos - db * self.sin, db * self.cos + da * self.sin
# ```

# %% [markdown] task="rotary-halves" mistake="interleaved"
# its pairs are neighbors: here entry i belongs to entry i + D/2
# ```diff
# - a, b = np.split(x, 2, axis=-1)
# -     y = np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1)
# + a, b = x[..., ::2], x[..., 1::2]
# +     y = np.stack([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).reshape(x.shape)
# - da, db = np.split(dy, 2, axis=-1)
# -     dx = np.concatenate([da * self.cos + db * self.sin, db * self.cos - da * self.sin], axis=-1)
# + da, db = dy[..., ::2], dy[..., 1::2]
# +     dx = np.stack([da * self.cos + db * self.sin, db * self.cos - da * self.sin], axis=-1).reshape(dy.shape)
# ```

# %% [markdown] task="rotary-halves" mistake="no-start" shows="need not begin at position 0"
# it begins at position 0: the first row stands at `start`
# ```diff
# - start + np.arange(x.shape[-2])
# + np.arange(x.shape[-2])
# ```

# %% [markdown] task="rotary-halves" mistake="from-one"
# it is one position too far: the first row stands at `start`
# ```diff
# - start + np.arange(x.shape[-2])
# + start + 1 + np.arange(x.shape[-2])
# ```

# %% [markdown] task="rotary-halves" mistake="start-scaled"
# it multiplies start into the positions: they are start, start + 1, and so on
# ```diff
# - start + np.arange(x.shape[-2])
# + (1 + start) * np.arange(x.shape[-2])
# ```

# %% [markdown] task="rotary-halves" mistake="sign"
# it turns the other way: look at the two signs of sin
# ```diff
# - a * self.cos - b * self.sin, a * self.sin + b * self.cos
# + a * self.cos + b * self.sin, b * self.cos - a * self.sin
# - da * self.cos + db * self.sin, db * self.cos - da * self.sin
# + da * self.cos - db * self.sin, db * self.cos + da * self.sin
# ```

# %% [markdown] task="rotary-halves" mistake="mirror"
# it is a reflection, not a rotation: one of the two sines has a minus, in forward
# ```diff
# - a * self.cos - b * self.sin, a * self.sin
# + a * self.cos + b * self.sin, a * self.sin
# ```

# %% [markdown] task="rotary-halves" mistake="identity"
# it is dy: y is not x
# ```diff
# - dx = np.concatenate([da * self.cos + db * self.sin, db * self.cos - da * self.sin], axis=-1)
# + dx = dy.copy()
# ```

# %% [markdown] task="rotary-halves" mistake="negated"
# it is turned forward and negated: to turn back, change the sign of the angle
# ```diff
# - da * self.cos + db * self.sin, db * self.cos - da * self.sin
# + db * self.sin - da * self.cos, -db * self.cos - da * self.sin
# ```

# %% [markdown] task="rotary-halves" mistake="backward-from-zero" shows="`backward(dy)` belongs to the last `forward`"
# it turns back from position 0: x began at `start`, and so does dy
# ```diff
# - da, db = np.split(dy, 2, axis=-1)
# + da, db = np.split(dy, 2, axis=-1)
# +     angles = np.outer(np.arange(dy.shape[-2]), self.freqs)
# +     self.cos, self.sin = np.cos(angles), np.sin(angles)
# ```

# %% [markdown] task="rotary-halves" mistake="present-freqs" shows="`backward(dy)` belongs to the last `forward`"
# it turns back by what self.freqs are now: backward belongs to the last forward, so keep the angles of that
# ```diff
# - angles = np
# + self.start = start
# +     angles = np
# - da, db = np.split(dy, 2, axis=-1)
# + angles = np.outer(self.start + np.arange(dy.shape[-2]), self.freqs)
# +     self.cos, self.sin = np.cos(angles), np.sin(angles)
# +     da, db = np.split(dy, 2, axis=-1)
# ```

# %% [markdown] task="rotary-halves" mistake="float64" shows="Both results have the dtype of what they are made from, float32 or float64, although `self.freqs` is float64"
# it comes out as float64: `self.freqs` is float64, and what it touches becomes so
# ```diff
# - return y.astype(x.dtype)
# + return y
# - return dx.astype(dy.dtype)
# + return dx
# ```

# %% [markdown] task="rotary-halves" mistake="angles-in-float32" shows="Take $\\theta$ in float64: far out, float32 has few digits left"
# it takes the angles in float32: far out, that has few digits left
# ```diff
# - np.outer(start + np.arange(x.shape[-2]), self.freqs)
# + np.outer(start + np.arange(x.shape[-2]), self.freqs).astype(x.dtype)
# ```

# %% task="rotary-halves" mistake="table-kept" shows="`self.freqs` may change from call to call"
# it turns by a table of earlier frequencies: self.freqs have changed since
@add_to_class(Rotary)
def forward(self, x, start=0):
    key = start, x.shape[-2]
    if getattr(self, "key", None) != key:
        angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)
        self.cos, self.sin, self.key = np.cos(angles), np.sin(angles), key
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return np.concatenate([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1).astype(dy.dtype)

# %% task="rotary-halves" right="views"
@add_to_class(Rotary)
def forward(self, x, start=0):
    theta = (start + np.arange(x.shape[-2]))[:, None] * self.freqs
    self.theta, half = theta, len(self.freqs)
    y, cos, sin = np.empty_like(x), np.cos(theta), np.sin(theta)
    y[..., :half] = x[..., :half] * cos - x[..., half:] * sin
    y[..., half:] = x[..., :half] * sin + x[..., half:] * cos
    return y
@add_to_class(Rotary)
def backward(self, dy):
    dx, cos, sin, half = np.empty_like(dy), np.cos(self.theta), np.sin(self.theta), len(self.freqs)
    dx[..., :half] = dy[..., :half] * cos + dy[..., half:] * sin
    dx[..., half:] = dy[..., half:] * cos - dy[..., :half] * sin
    return dx

# %% task="rotary-halves" right="complex"
@add_to_class(Rotary)
def forward(self, x, start=0):
    T, D = x.shape[-2:]
    self.turn = np.exp(1j * np.outer(np.arange(start, start + T), self.freqs))
    z = (x[..., : D // 2] + 1j * x[..., D // 2 :]) * self.turn
    return np.concatenate([z.real, z.imag], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    D = dy.shape[-1]
    z = (dy[..., : D // 2] + 1j * dy[..., D // 2 :]) * self.turn.conj()
    return np.concatenate([z.real, z.imag], axis=-1).astype(dy.dtype)

# %% task="rotary-halves" right="rotate-half"
@add_to_class(Rotary)
def forward(self, x, start=0):
    angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)
    angles = np.concatenate([angles, angles], axis=-1)
    self.cos, self.sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = np.split(x, 2, axis=-1)
    return x * self.cos + np.concatenate([-b, a], axis=-1) * self.sin
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return dy * self.cos + np.concatenate([b, -a], axis=-1) * self.sin

# %% task="rotary-halves" right="matrices"
@add_to_class(Rotary)
def forward(self, x, start=0):
    T, D = x.shape[-2:]
    self.R = np.zeros((T, D, D), x.dtype)
    for t in range(T):
        for i, omega in enumerate(self.freqs):
            c, s, j = np.cos((start + t) * omega), np.sin((start + t) * omega), i + D // 2
            self.R[t, i, i], self.R[t, i, j], self.R[t, j, i], self.R[t, j, j] = c, -s, s, c
    return np.einsum("tij,...tj->...ti", self.R, x)
@add_to_class(Rotary)
def backward(self, dy):
    return np.einsum("tij,...ti->...tj", self.R, dy)

# %% [markdown] task="rotary-halves" reject="freqs-rounded"
# ```diff
# - self.cos, self.sin =
# + self.freqs = self.freqs.astype(x.dtype)
# +     self.cos, self.sin =
# ```

# %% [markdown] task="rotary-halves" reject="in-place"
# ```diff
# - y = np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1)
# + x[...] = y = np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1)
# ```

# %% task="rotary-halves" reject="table-of-1024"
@add_to_class(Rotary)
def forward(self, x, start=0):
    angles = np.outer(np.arange(1024), self.freqs)
    here = np.arange(start, start + x.shape[-2]) % 1024
    self.cos, self.sin = np.cos(angles)[here], np.sin(angles)[here]
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return np.concatenate([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1).astype(dy.dtype)

# %% task="rotary-halves" reject="first-angles"
@add_to_class(Rotary)
def forward(self, x, start=0):
    if not hasattr(self, "cos") or len(self.cos) != x.shape[-2]:
        angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)
        self.cos, self.sin = np.cos(angles), np.sin(angles)
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return np.concatenate([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1).astype(dy.dtype)

# %% task="rotary-halves" reject="class-angles"
@add_to_class(Rotary)
def forward(self, x, start=0):
    angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)
    Rotary.cos, Rotary.sin = np.cos(angles), np.sin(angles)
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return np.concatenate([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1).astype(dy.dtype)

# %% task="rotary-halves" reject="sin-negated"
@add_to_class(Rotary)
def turn(self, x):
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def forward(self, x, start=0):
    angles = np.outer(np.arange(start, start + x.shape[-2]), self.freqs)
    self.cos, self.sin = np.cos(angles), np.sin(angles)
    return self.turn(x)
@add_to_class(Rotary)
def backward(self, dy):
    self.sin *= -1
    return self.turn(dy)

# %% [markdown] task="rotary-halves" reject="freqs-not-copied"
# ```diff
# - angles = np
# + self.positions, self.omega = start + np.arange(x.shape[-2]), self.freqs
# +     angles = np
# - da, db = np.split(dy, 2, axis=-1)
# + angles = np.outer(self.positions, self.omega)
# +     self.cos, self.sin = np.cos(angles), np.sin(angles)
# +     da, db = np.split(dy, 2, axis=-1)
# ```

# %% [markdown] task="rotary-halves" reject="ten-thousand"
# ```diff
# - self.freqs)    # (T, D/2)
# + 10000.0 ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1]))
# ```

# %% [markdown] task="rotary-halves" reject="freqs-narrowed"
# ```diff
# - angles = np
# + self.freqs = self.freqs.astype(x.dtype)
# +     angles = np
# ```

# %% [markdown] task="rotary-halves" reject="freqs-sorted"
# ```diff
# - return y.astype(x.dtype)
# + self.freqs = np.sort(self.freqs)[::-1]
# +     return y.astype(x.dtype)
# ```

# %% [markdown] task="rotary-halves" reject="dtype-of-x"
# ```diff
# - return y.astype(x.dtype)
# + self.dtype = x.dtype
# +     return y.astype(x.dtype)
# - return dx.astype(dy.dtype)
# + return dx.astype(self.dtype)
# ```

# %% [markdown] task="rotary-halves" reject="narrow-heads"
# ```diff
# - self.cos, self.sin = np.cos(angles), np.sin(angles)
# + angles[:, 64:] = 0
# +     self.cos, self.sin = np.cos(angles), np.sin(angles)
# ```

# %% task="rotary-halves" reject="table-of-the-class"
@add_to_class(Rotary)
def forward(self, x, start=0):
    if not hasattr(Rotary, "tables"):
        Rotary.tables = {}
    T, D = x.shape[-2:]
    if (T, D, start) not in Rotary.tables:
        angles = np.outer(np.arange(start, start + T), self.freqs)
        Rotary.tables[T, D, start] = np.cos(angles), np.sin(angles)
    self.cos, self.sin = Rotary.tables[T, D, start]
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1).astype(x.dtype)
@add_to_class(Rotary)
def backward(self, dy):
    a, b = np.split(dy, 2, axis=-1)
    return np.concatenate([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1).astype(dy.dtype)

# %% [markdown] task="rotary-halves" reject="start-from-one" shows="start=0"
# ```diff
# - start=0
# + start=1
# ```

# %% task="rotary-to-interleaved" cases=true
def cases(rng):
    for H, D, shape in [(2, 6, (5,)), (1, 8, (3,)), (3, 4, (12,)), (4, 2, (7,)), (5, 10, ()), (1, 4, ()), (2, 32, (9,)), (1, 2, ()), (1, 2, (3,))]:
        for options in OPTIONS:
            W = rng.normal(size=(*shape, H * D))
            by_column = H == 3 and not options    # as what is read from another library's file is, transposed
            W = np.asfortranarray(W) if by_column else W
            yield Case(f"W of shape {W.shape}, {H} heads of {D}{', column by column in memory' * by_column}{named(options)}",
                       [Call({"W": W, "n_heads": H}, returns="the array")], dtypes=True, **options)
    # Many heads, of a dtype that files have; and wide ones.
    for H, D, dtype in [(300, 4, np.float16), (1, 600, np.float64)]:
        W = rng.normal(size=H * D).astype(dtype)
        yield Case(f"W of shape {W.shape}, {H} heads of {D}, {W.dtype}",
                   [Call({"W": W, "n_heads": H}, returns="the array")], dtypes=True)

# %% [markdown] task="rotary-to-interleaved" hint=1
# for one head of 6 the new order is 0, 3, 1, 4, 2, 5. An order is an array of indices, and an index
# copies.

# %% [markdown] task="rotary-to-interleaved" hint=2
# the last axis is heads, first or second, pairs: (H, 2, D/2). You want (H, D/2, 2).

# %% [markdown] task="rotary-to-interleaved" hint=3
# reshape np.arange(H D) to (H, 2, D/2), swap its last two axes, make it flat, and index the last axis of
# W with it.

# %% [markdown] task="rotary-to-interleaved" mistake="the-other-way"
# it goes from interleaved pairs to halves: the way back is another order
# ```diff
# - reshape(n_heads, 2, -1)
# + reshape(n_heads, -1, 2)
# ```

# %% [markdown] task="rotary-to-interleaved" mistake="across-heads" shows="The heads keep their places"
# it takes the halves of the whole axis: each head has two halves of its own
# ```diff
# - reshape(n_heads, 2, -1).swapaxes(1, 2)
# + reshape(2, -1).swapaxes(0, 1)
# ```

# %% [markdown] task="rotary-to-interleaved" mistake="heads-and-pairs"
# it exchanges heads and entries: the heads stay where they are
# ```diff
# - swapaxes(1, 2)
# + swapaxes(0, 1)
# ```

# %% [markdown] task="rotary-to-interleaved" mistake="first-axis"
# it reorders the first axis of the matrix: the queries are along the last one
# ```diff
# - order = np.arange(W.shape[-1]).reshape(n_heads, 2, -1).swapaxes(1, 2).ravel()
# -     return W[..., order]
# + rows = W.shape[0]
# +     if rows % (2 * n_heads):
# +         return W.copy()
# +     order = np.arange(rows).reshape(n_heads, 2, -1).swapaxes(1, 2).ravel()
# +     return W[order]
# ```

# %% [markdown] task="rotary-to-interleaved" mistake="second-first"
# it puts the second entry of each pair first
# ```diff
# - swapaxes(1, 2).ravel()
# + swapaxes(1, 2)[..., ::-1].ravel()
# ```

# %% [markdown] task="rotary-to-interleaved" mistake="reshaped"
# it is W again: a reshape and the reshape back move nothing
# ```diff
# - .swapaxes(1, 2)
# +
# ```

# %% task="rotary-to-interleaved" right="slices"
def to_interleaved(W, n_heads):
    parts = []
    for head in np.split(W, n_heads, axis=-1):
        new = np.empty_like(head)
        new[..., 0::2], new[..., 1::2] = np.split(head, 2, axis=-1)
        parts.append(new)
    return np.concatenate(parts, axis=-1)

# %% task="rotary-to-interleaved" right="axes"
def to_interleaved(W, n_heads):
    halves = W.reshape(*W.shape[:-1], n_heads, 2, -1)
    return np.moveaxis(halves, -2, -1).copy().reshape(W.shape)

# %% task="rotary-to-interleaved" right="loop"
def to_interleaved(W, n_heads):
    new, D = np.empty_like(W), W.shape[-1] // n_heads
    for h in range(n_heads):
        for i in range(D // 2):
            new[..., h * D + 2 * i] = W[..., h * D + i]
            new[..., h * D + 2 * i + 1] = W[..., h * D + D // 2 + i]
    return new

# %% task="rotary-to-interleaved" right="matrix-product"
def to_interleaved(W, n_heads):
    D = W.shape[-1] // n_heads
    one = np.zeros((D, D), W.dtype)
    one[np.arange(D), np.r_[0:D:2, 1:D:2]] = 1
    return W @ np.kron(np.eye(n_heads, dtype=W.dtype), one)

# %% task="rotary-to-interleaved" right="stack"
def to_interleaved(W, n_heads):
    heads = W.reshape(*W.shape[:-1], n_heads, -1)
    a, b = np.split(heads, 2, axis=-1)
    return np.stack([a, b], axis=-1).reshape(W.shape)

# %% task="rotary-to-interleaved" right="views"
def to_interleaved(W, n_heads):
    return W.reshape(*W.shape[:-1], n_heads, 2, -1).swapaxes(-1, -2).reshape(W.shape)

# %% task="rotary-to-interleaved" reject="float16-widened" shows="Return an array of the same shape and dtype"
def to_interleaved(W, n_heads):
    halves = W.reshape(*W.shape[:-1], n_heads, 2, -1)
    pairs = np.ascontiguousarray(halves[..., 0, :] + 1j * halves[..., 1, :])
    return pairs.view(pairs.real.dtype).reshape(W.shape)

# %% task="rotary-to-interleaved" reject="few-heads"
def to_interleaved(W, n_heads):
    new, D = W.copy(), W.shape[-1] // n_heads
    for a in range(0, min(n_heads, 16) * D, D):
        new[..., a : a + D : 2] = W[..., a : a + D // 2]
        new[..., a + 1 : a + D : 2] = W[..., a + D // 2 : a + D]
    return new

# %% [markdown] task="rotary-to-interleaved" reject="in-the-order-of-memory"
# ```diff
# - return W[..., order]
# + return np.frombuffer(W.tobytes("A"), W.dtype).reshape(W.shape)[..., order]
# ```

# %% task="rotary-to-interleaved" reject="narrow-heads"
def to_interleaved(W, n_heads):
    new, D = W.copy(), W.shape[-1] // n_heads
    for h in range(n_heads):
        for i in range(min(D // 2, 64)):
            new[..., h * D + 2 * i] = W[..., h * D + i]
            new[..., h * D + 2 * i + 1] = W[..., h * D + D // 2 + i]
    return new

# %% [markdown] task="rotary-to-interleaved" reject="in-place" shows="leave `W` as it is"
# ```diff
# - return W[..., order]
# + W[...] = W[..., order]
# +     return W
# ```

# %% [markdown] task="rotary-to-interleaved" reject="pairs-reversed" shows="The heads keep their places, the pairs their order"
# ```diff
# - .swapaxes(1, 2).ravel()
# + .swapaxes(1, 2)[:, ::-1].ravel()
# ```

# %% [markdown] task="rotary-to-interleaved" reject="matrices-only"
# ```diff
# - return W[..., order]
# + return W[:, order] if W.ndim == 2 else W.copy()
# ```

# %% [markdown] task="rotary-to-interleaved" reject="float64"
# ```diff
# - return W[..., order]
# + return W[..., order].astype(float)
# ```

# %% task="rmsnorm-around-one" cases=true
def cases(rng):
    SHAPES = [(5,), (3, 4), (2, 3, 5), (4, 2), (1, 7), (4, 4), (2, 1, 3), (2, 3, 2, 4), (2, 1, 2, 3, 2, 3), (1100,), (35, 33)]
    for number, shape in enumerate(SHAPES):
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (len(shape) in (2, 3))]:
            eps = [0.3, 1e-5, 1e-2][number % 3]
            params = {"gamma": rng.normal(0, 0.5, shape[-1])}
            new = {"dim": shape[-1], "eps": eps, "dtype": "float64"}
            grows = len(shape) > 1 and not options    # a layer may not count on a size
            shapes = [shape, (shape[0] + 2 * grows, *shape[1:])]
            x = [{"x": rng.normal(0.7, 1.5, some)} for some in shapes]
            dy = [{"dy": rng.normal(size=some)} for some in shapes]
            yield layer(f"x of shape {shape}, eps {eps}{named(options)}", new, params, x, dy, dtypes=True, **options)
    x, dy = [{"x": 1e-5 * rng.normal(0.7, 1.5, (4, 5))}], [{"dy": rng.normal(size=(4, 5))}]
    yield layer("eps 0, small x", {"dim": 5, "eps": 0.0, "dtype": "float64"}, {"gamma": rng.normal(0, 0.5, 5)}, x, dy)
    x, dy = [{"x": LARGE * rng.normal(0.7, 1.5, (4, 5))}], [{"dy": LARGE * rng.normal(size=(4, 5))}]
    yield layer("large numbers", {"dim": 5, "dtype": "float64"}, {"gamma": rng.normal(0, 0.5, 5)}, x, dy)
    # Nothing set from outside; with entries so small, eps counts.
    for dtype in ("float64", "float32"):
        x, dy = [{"x": 1e-3 * rng.normal(0.7, 1.5, (4, 5))}], [{"dy": rng.normal(size=(4, 5))}]
        yield layer(f"as the layer starts, {dtype}", {"dim": 5, "dtype": dtype}, {}, x, dy, others=("gamma", "dgamma"),
                    dtypes=True, float32=dtype == "float32")
    x, dy = [{"x": rng.normal(0.7, 1.5, (4, 5))}], [{"dy": rng.normal(size=(4, 5))}]
    yield layer("no dtype given", {"dim": 5}, {}, x, dy, others=("gamma", "dgamma"), dtypes=True, float32=True)

# %% [markdown] task="rmsnorm-around-one" hint=1
# the chapter's RMSNorm with 1 + γ where γ stood. The slope of 1 + γ in γ is 1: what changes in dγ?

# %% [markdown] task="rmsnorm-around-one" hint=2
# keep r, (..., 1), and x r, (..., dim). dgamma is (dim,): every axis but the last goes.

# %% [markdown] task="rmsnorm-around-one" hint=3
# with dxhat = dy times 1 + gamma: take away xhat times the mean of dxhat times xhat, and multiply by r.
# dgamma gets the sum of dy times xhat over all rows.

# %% [markdown] task="rmsnorm-around-one" mistake="gamma-for-gain"
# it multiplies by γ: the gain is 1 + γ
# ```diff
# - self.xhat * (1 + self.gamma)
# + self.xhat * self.gamma
# - dy * (1 + self.gamma)
# + dy * self.gamma
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="gamma-back"
# it has dy γ: the gain is 1 + γ on the way back, too
# ```diff
# - dxhat = dy * (1 + self.gamma)
# + dxhat = dy * self.gamma
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="no-gain-back"
# it uses dy where dy (1 + γ) belongs
# ```diff
# - dxhat = dy * (1 + self.gamma)
# + dxhat = dy
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="starts-at-one" shows="$\gamma$ begins at 0"
# γ begins at 1, and so the gain at 2: here γ begins at 0
# ```diff
# - self.gamma = np.zeros(dim, dtype)
# + self.gamma = np.ones(dim, dtype)
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="dgamma-one-more"
# it has 1 + x̂: the slope of x̂ (1 + γ) in γ is x̂ alone
# ```diff
# - (dy * self.xhat).sum(
# + (dy * (1 + self.xhat)).sum(
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="dgamma-gain"
# it is multiplied by the gain: γ multiplies x̂
# ```diff
# - (dy * self.xhat).sum(
# + (dy * self.xhat * (1 + self.gamma)).sum(
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="mean-term"
# it subtracts the mean of dx̂: RMSNorm subtracts no mean
# ```diff
# - dxhat - self.xhat
# + dxhat - dxhat.mean(axis=-1, keepdims=True) - self.xhat
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="no-r-term"
# it lacks the term of r: r depends on every x of the row
# ```diff
# -  - self.xhat * along_xhat
# +
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="centered"
# it subtracts the mean first: that is LayerNorm
# ```diff
# - def forward(self, x):
# + def forward(self, x):
# +         x = x - x.mean(axis=-1, keepdims=True)
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="no-r"
# it lacks the factor r
# ```diff
# - return self.r * (dxhat
# + return (dxhat
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="sum-for-mean"
# it has a sum where a mean belongs: r holds the mean of the squares
# ```diff
# - (dxhat * self.xhat).mean(
# + (dxhat * self.xhat).sum(
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="overwritten" shows="`backward` adds to `self.dgamma`"
# it is overwritten: gradients of several passes add up
# ```diff
# - self.dgamma +=
# + self.dgamma[...] =
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="eps-outside"
# eps is added outside the root: it belongs under it
# ```diff
# - np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
# + (np.sqrt((x * x).mean(axis=-1, keepdims=True)) + self.eps)
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="sum-of-squares"
# it divides by the length of x: the root is of the mean of the squares, not of their sum
# ```diff
# - (x * x).mean(
# + (x * x).sum(
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="gamma-is-dgamma" shows="`self.gamma` and `self.dgamma` are `(dim,)`"
# self.gamma and self.dgamma are one array here, so what is added to the one changes the other: make two
# ```diff
# - self.dgamma = np.zeros(dim, dtype)
# + self.dgamma = self.gamma
# ```

# %% [markdown] task="rmsnorm-around-one" mistake="gain-kept-at-start"
# the gain is made once, of the γ that the layer starts with: γ changes in training, so take 1 + γ in each pass
# ```diff
# - self.eps = eps
# + self.eps = eps
# +         self.gain = 1 + self.gamma
# - self.xhat * (1 + self.gamma)
# + self.xhat * self.gain
# - dy * (1 + self.gamma)
# + dy * self.gain
# ```

# %% task="rmsnorm-around-one" right="long-way"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-6, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.zeros(dim, dtype), np.zeros(dim, dtype), eps

    def forward(self, x):
        self.x, self.ms = x, np.mean(x**2, axis=-1, keepdims=True)
        return x / np.sqrt(self.ms + self.eps) * (self.gamma + 1)

    def backward(self, dy):
        x, dim = self.x, dy.shape[-1]
        r = (self.ms + self.eps) ** -0.5
        self.dgamma += (dy * x * r).reshape(-1, dim).sum(axis=0)
        dxhat = dy + dy * self.gamma
        dr = (dxhat * x).sum(axis=-1, keepdims=True)
        return dxhat * r - r**3 * dr * x / dim

# %% task="rmsnorm-around-one" right="jacobian-loop"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-6, dtype=np.float32):
        self.gamma, self.dgamma, self.eps = np.zeros(dim, dtype), np.zeros(dim, dtype), eps

    def forward(self, x):
        self.x = x
        return x * (1 + self.gamma) / np.sqrt(np.square(x).mean(-1, keepdims=True) + self.eps)

    def backward(self, dy):
        dx, dim = np.empty(dy.shape, dy.dtype), dy.shape[-1]
        for n in np.ndindex(dy.shape[:-1]):
            x = self.x[n]
            r = 1 / np.sqrt(x @ x / dim + self.eps)
            self.dgamma += dy[n] * x * r
            dx[n] = (r * np.eye(dim) - r**3 / dim * np.outer(x, x)) @ (dy[n] * (1 + self.gamma))
        return dx

# %% task="rmsnorm-around-one" right="einsum" shows="x has any number of leading axes, or none"
class RMSNorm(Module):
    def __init__(self, dim, eps=1e-6, dtype=np.float32):
        self.gamma = np.zeros((dim,), dtype=dtype)
        self.dgamma = np.zeros_like(self.gamma)
        self.eps = eps

    def forward(self, x):
        self.r = (np.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1] + self.eps) ** -0.5
        self.x = x
        return x * self.r * (1 + self.gamma)

    def backward(self, dy):
        dim = dy.shape[-1]
        xr, d = (self.x * self.r).reshape(-1, dim), dy.reshape(-1, dim)
        self.dgamma += np.einsum("nd,nd->d", d, xr)
        d = d * (1 + self.gamma)
        d = d - xr * (np.einsum("nd,nd->n", d, xr) / dim)[:, None]
        return d.reshape(dy.shape) * self.r

# %% [markdown] task="rmsnorm-around-one" reject="default-eps" shows="eps=1e-6"
# ```diff
# - eps=1e-6
# + eps=1e-5
# ```

# %% [markdown] task="rmsnorm-around-one" reject="float-eps"
# ```diff
# - + self.eps)
# + + 1e-6)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="eps-never-0"
# ```diff
# - self.eps = eps
# + self.eps = eps or 1e-6
# ```

# %% [markdown] task="rmsnorm-around-one" reject="eps-floor"
# ```diff
# - self.eps = eps
# + self.eps = max(eps, 1e-8)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="mean-of-1024"
# ```diff
# - (x * x).mean(
# + (x * x)[..., :1024].mean(
# ```

# %% [markdown] task="rmsnorm-around-one" reject="three-axes" shows="x has any number of leading axes, or none"
# ```diff
# - .sum(axis=tuple(range(dy.ndim - 1)))
# + .sum(axis=(0, 1, 2)[: dy.ndim - 1]).reshape(-1, dy.shape[-1])[0]
# ```

# %% [markdown] task="rmsnorm-around-one" reject="float32-always" shows="of the dtype that is asked for"
# ```diff
# - self.gamma = np.zeros(dim, dtype)
# + self.gamma = np.zeros(dim, np.float32)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="float64-by-default" shows="dtype=np.float32"
# ```diff
# - dtype=np.float32
# + dtype=np.float64
# ```

# %% [markdown] task="rmsnorm-around-one" reject="ones-of-float64" shows="where x and dy are of it, so are y and dx"
# ```diff
# - return self.xhat * (1 + self.gamma)
# + return self.xhat * (np.ones(self.gamma.shape) + self.gamma)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="gain-back-of-float64"
# ```diff
# - dxhat = dy * (1 + self.gamma)
# + dxhat = dy * (np.ones(self.gamma.shape) + self.gamma)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="gain-kept"
# ```diff
# - return self.xhat * (1 + self.gamma)
# + self.gain = 1 + self.gamma if not hasattr(self, "gain") else self.gain
# +         return self.xhat * self.gain
# ```

# %% [markdown] task="rmsnorm-around-one" reject="gamma-is-the-gain"
# ```diff
# - self.gamma = np.zeros(dim, dtype)
# + self.gamma = np.ones(dim, dtype)
# - self.xhat * (1 + self.gamma)
# + self.xhat * self.gamma
# - dy * (1 + self.gamma)
# + dy * self.gamma
# ```

# %% [markdown] task="rmsnorm-around-one" reject="dgamma-ones"
# ```diff
# - self.dgamma = np.zeros(dim, dtype)
# + self.dgamma = np.ones(dim, dtype)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="two-axes"
# ```diff
# - axis=tuple(range(dy.ndim - 1))
# + axis=tuple(range(min(dy.ndim - 1, 2)))
# ```

# %% [markdown] task="rmsnorm-around-one" reject="class-gamma"
# ```diff
# - self.gamma = np.zeros(dim, dtype)
# + RMSNorm.gamma = np.zeros(dim, dtype)
# ```

# %% [markdown] task="rmsnorm-around-one" reject="xhat-spoilt"
# ```diff
# - return self.r * (dxhat - self.xhat * along_xhat)
# + self.xhat *= along_xhat
# +         return self.r * (dxhat - self.xhat)
# ```
