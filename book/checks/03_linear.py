# %%
SHAPES = [(3, 4, (5,)), (7, 2, (2, 3)), (1, 5, (2, 3, 4)), (5, 3, ()), (4, 4, (4,)), (6, 5, (1, 1)), (2, 3, (2, 1, 3, 1, 2)), (3, 2, (40,))]
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def linear_params(rng, n_in, n_out, bias, size=0.5):
    """W and b of size 0.5, not 0.02: small weights hide errors."""
    params = {"W": rng.normal(0, size, (n_in, n_out))}
    return params | ({"b": rng.normal(0, size, n_out)} if bias else {})

def linear_new(n_in, n_out, bias):
    return {"n_in": n_in, "n_out": n_out, "bias": bias, "rng": Rng(1), "dtype": "float64"}

def variants():
    """(n_in, n_out, leading axes, bias, options): all shapes; then strided and float32 arrays."""
    for number, (n_in, n_out, leading) in enumerate(SHAPES):
        for bias in (True, False):
            yield n_in, n_out, leading, bias, {}
        yield n_in, n_out, leading, True, {"strided": True} if number % 2 else {"float32": True}

def rounds(rng, leading, n, options):
    """Two arrays (..., n); the second may have more rows: a layer may not count on a size."""
    more = leading if options or not leading else (leading[0] + 3, *leading[1:])
    return [rng.normal(size=(*some, n)) for some in (leading, more)]

def title(x_shape, n_out, bias, options):
    extra = "".join(f", {name}" for name in options)
    return f"x of shape {x_shape}, {n_out} outputs, {'with' if bias else 'no'} bias{extra}"

# %% task="linear-forward" cases=true
def cases(rng):
    for n_in, n_out, leading, bias, options in variants():
        x = rounds(rng, leading, n_in, options)
        params = linear_params(rng, n_in, n_out, bias)
        # The gradients are of backward passes before: they stay.
        grads = {f"d{name}": np.ones_like(p) for name, p in params.items()}
        yield Case(
            title(x[0].shape, n_out, bias, options),
            [Call({"x": a}, "forward", "y") for a in x],
            linear_new(n_in, n_out, bias),
            params | grads,
            () if bias else ("b",),    # it stays None
            **options,
        )

# %% [markdown] task="linear-forward" hint=1
# each output is a sum over the inputs, each input times its weight, plus the output's bias.

# %% [markdown] task="linear-forward" hint=2
# `(..., n_in)` with `(n_in, n_out)` gives `(..., n_out)`; the bias, `(n_out,)`, broadcasts over
# all axes but the last.

# %% [markdown] task="linear-forward" hint=3
# multiply x by W with the matrix product; add b unless it is None; keep x in self for later.

# %% task="linear-forward" mistake="no-bias"
# the bias is missing: y = x W + b
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    return x @ self.W

# %% [markdown] task="linear-forward" mistake="bias-twice"
# the bias is counted twice
# ```diff
# -     if self.b is not None:
# -         y = y + self.b
# -     return y
# +     return y if self.b is None else y + self.b + self.b
# ```

# %% [markdown] task="linear-forward" mistake="minus-bias"
# the bias is subtracted: y = x W + b
# ```diff
# -     if self.b is not None:
# -         y = y + self.b
# -     return y
# +     return y if self.b is None else y - self.b
# ```

# %% task="linear-forward" mistake="reshaped-weights"
# W is used with its axes swapped: y[n, o] = Σᵢ x[n, i] W[i, o], no transpose and no reshape
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = x @ self.W.T.reshape(self.W.shape)
    return y if self.b is None else y + self.b

# %% task="linear-forward" mistake="flattened" shows="`x` may have any number of axes"
# y has lost the leading axes of x: (B, T, n_in) becomes (B, T, n_out), not (B·T, n_out)
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = x.reshape(-1, x.shape[-1]) @ self.W
    return y if self.b is None else y + self.b

# %% task="linear-forward" mistake="bias-required" shows="`self.b` is `None` for a layer without bias"
# a layer without bias has self.b = None: add b only if it is there
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    return x @ self.W + self.b

# %% task="linear-forward" mistake="truth-of-an-array"
# `if self.b:` asks for one truth value of many numbers: ask `if self.b is not None:`
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = x @ self.W
    if self.b:
        y = y + self.b
    return y

# %% task="linear-forward" right="einsum"
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = np.einsum("...i,io->...o", x, self.W)
    return y if self.b is None else y + self.b

# %% task="linear-forward" right="loop"
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = np.zeros((*x.shape[:-1], self.W.shape[1]))
    for n in np.ndindex(x.shape[:-1]):
        for o in range(self.W.shape[1]):
            for i in range(x.shape[-1]):
                y[(*n, o)] += x[(*n, i)] * self.W[i, o]
            if self.b is not None:
                y[(*n, o)] += self.b[o]
    return y

# %% task="linear-forward" right="flat-in-place"
@add_to_class(Linear)
def forward(self, x):
    self.x = x
    y = x.reshape(-1, x.shape[-1]) @ self.W
    if self.b is not None:
        y += self.b
    return y.reshape(x.shape[:-1] + (-1,))

# %% [markdown] task="linear-forward" reject="writes-into-bias"
# ```diff
# -     if self.b is not None:
# +     if self.b is not None:
# +         self.b += y.reshape(-1, len(self.b)).mean(axis=0)
# ```

# %% [markdown] task="linear-forward" reject="rounded"
# ```diff
# -     if self.b is not None:
# -         y = y + self.b
# -     return y
# +     return np.round(y if self.b is None else y + self.b, 3)
# ```

# %% [markdown] task="linear-forward" reject="rows-of-first"
# ```diff
# - y = y + self.b
# + if not hasattr(self, "bias"):
# +             self.bias = np.broadcast_to(self.b, y.shape)
# +         y = y + self.bias
# ```

# %% [markdown] task="linear-forward" reject="thirty-rows"
# ```diff
# - y = x @ self.W
# + y = x @ self.W
# +     if x.ndim == 2:
# +         y[32:] = 0
# ```

# %% task="linear-backward" cases=true
def cases(rng):
    for n_in, n_out, leading, bias, options in variants():
        x = [{"x": a} for a in rounds(rng, leading, n_in, options)]
        dy = [{"dy": a} for a in rounds(rng, leading, n_out, options)]
        yield layer(
            title((*leading, n_in), n_out, bias, options),
            linear_new(n_in, n_out, bias),
            linear_params(rng, n_in, n_out, bias),
            x, dy, others=() if bias else ("db",), **options,    # it stays None
        )
    x, dy = [{"x": LARGE * rng.normal(size=(3, 5))}], [{"dy": rng.normal(size=(3, 4))}]
    yield layer("large numbers", linear_new(5, 4, True), linear_params(rng, 5, 4, True, LARGE), x, dy)
    # Loops by index run some 3 lines for each product, a measured slope 10 for each entry.
    x, dy = [{"x": rng.normal(size=(1, 60))}], [{"dy": rng.normal(size=(1, 60))}]
    yield layer("W of shape (60, 60)", linear_new(60, 60, True), linear_params(rng, 60, 60, True), x, dy,
                max_lines=6 * 60 * 60)

# %% [markdown] task="linear-backward" hint=1
# ask of each array: which entries of y does one of its entries reach, and with what slope? Its
# gradient is the sum, over all that it reaches, of that slope times the entry of dy.

# %% [markdown] task="linear-backward" hint=2
# flatten the leading axes first: x is `(N, n_in)`, dy is `(N, n_out)`. dW is `(n_in, n_out)`: the
# axis that disappears is N. dx is `(N, n_in)`: there n_out disappears. db is `(n_out,)`.

# %% [markdown] task="linear-backward" hint=3
# dW gains x transposed times dy; db gains the sum of dy over all rows; return dy times W
# transposed, back in the shape of x.

# %% [markdown] task="linear-backward" mistake="dw-transposed"
# it is made from dyᵀ x, whose axes are those of Wᵀ: dW[i, o] = Σₙ x[n, i] dy[n, o]
# ```diff
# -     self.dW += x.T @ rows
# +     self.dW += (rows.T @ x).reshape(self.W.shape)
# ```

# %% [markdown] task="linear-backward" mistake="dw-mean"
# it is divided by the number of rows: this layer sums over them; if the loss takes a mean, dy has
# the division in it already
# ```diff
# -     self.dW += x.T @ rows
# +     self.dW += x.T @ rows / len(rows)
# ```

# %% [markdown] task="linear-backward" mistake="db-mean"
# it is the mean over the rows: b is added to every row, so every row's dy counts in full
# ```diff
# -         self.db += rows.sum(axis=0)
# +         self.db += rows.mean(axis=0)
# ```

# %% [markdown] task="linear-backward" mistake="overwritten"
# it is overwritten: gradients of several passes add up, so write += where you have =
# ```diff
# -         self.db += rows.sum(axis=0)
# -     self.dW += x.T @ rows
# +         self.db[...] = rows.sum(axis=0)
# +     self.dW[...] = x.T @ rows
# ```

# %% [markdown] task="linear-backward" mistake="dx-untransposed"
# it uses W where Wᵀ belongs: dx[n, i] = Σₒ dy[n, o] W[i, o], the sum runs over the outputs
# ```diff
# -     return (rows @ self.W.T).reshape(self.x.shape)
# +     return (rows @ self.W.reshape(self.W.shape[::-1])).reshape(self.x.shape)
# ```

# %% [markdown] task="linear-backward" mistake="dx-after-step"
# it is computed with W changed by dW: backward only collects gradients, the optimizer steps later
# ```diff
# -     return (rows @ self.W.T).reshape(self.x.shape)
# +     return (rows @ (self.W - self.dW).T).reshape(self.x.shape)
# ```

# %% [markdown] task="linear-backward" mistake="bias-required"
# a layer without bias has self.db = None: add to it only if it is there
# ```diff
# -     if self.b is not None:
# -         self.db += rows.sum(axis=0)
# -     self.dW += x.T @ rows
# +     self.dW += x.T @ rows
# +     self.db += rows.sum(axis=0)
# ```

# %% [markdown] task="linear-backward" mistake="db-first-axis"
# it is summed over the first axis only: all axes but the last must go, also for x of (B, T, n_in)
# ```diff
# -     rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
# +     rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
# +     self.dW += x.T @ rows
# -         self.db += rows.sum(axis=0)
# -     self.dW += x.T @ rows
# +         self.db += dy.sum(axis=0) if dy.ndim < 3 else dy.sum(axis=0)[(0,) * (dy.ndim - 2)]
# ```

# %% [markdown] task="linear-backward" mistake="nothing-returned"
# it is None: end with `return dx`, the layer before this one needs it
# ```diff
# -     return (rows @ self.W.T).reshape(self.x.shape)
# ```

# %% task="linear-backward" mistake="two-axes"
# it works for x of two axes only: flatten the leading axes first, x.reshape(-1, n_in) and the
# same for dy; dx goes back into the shape of x
@add_to_class(Linear)
def backward(self, dy):
    self.dW += self.x.T @ dy
    if self.b is not None:
        self.db += dy.sum(axis=0)
    return dy @ self.W.T

# %% [markdown] task="linear-backward" mistake="dw-shape-of-w-transposed"
# it is made from dyᵀ x, which has the axes of Wᵀ: dW[i, o] = Σₙ x[n, i] dy[n, o] is xᵀ dy
# ```diff
# -     self.dW += x.T @ rows
# +     self.dW += rows.T @ x
# ```

# %% [markdown] task="linear-backward" mistake="db-forgotten"
# it is left as it was: b gets a gradient, too, the sum of dy over all rows
# ```diff
# -     if self.b is not None:
# -         self.db += rows.sum(axis=0)
# ```

# %% [markdown] task="linear-backward" mistake="dx-flat"
# it has lost the leading axes of x: put the rows back with reshape(self.x.shape)
# ```diff
# -     return (rows @ self.W.T).reshape(self.x.shape)
# +     return rows @ self.W.T
# ```

# %% task="linear-backward" mistake="earlier-input"
# is made from the x of an earlier pass: each forward pass must keep its own x, whatever its shape
@add_to_class(Linear)
def forward(self, x):
    if getattr(self, "kept", np.zeros(0)).shape != x.shape:
        self.kept = x
    y = x @ self.W
    return y if self.b is None else y + self.b
@add_to_class(Linear)
def backward(self, dy):
    x, rows = self.kept.reshape(-1, self.W.shape[0]), dy.reshape(-1, self.W.shape[1])
    self.dW += x.T @ rows
    if self.b is not None:
        self.db += rows.sum(axis=0)
    return dy @ self.W.T

# %% task="linear-backward" right="einsum"
@add_to_class(Linear)
def backward(self, dy):
    x = self.x.reshape(-1, self.x.shape[-1])    # (N, n_in)
    rows = dy.reshape(-1, dy.shape[-1])         # (N, n_out)
    self.dW += np.einsum("ni,no->io", x, rows)
    if self.b is not None:
        self.db += np.einsum("no->o", rows)
    return np.einsum("...o,io->...i", dy, self.W)

# %% task="linear-backward" right="loop"
@add_to_class(Linear)
def backward(self, dy):
    dx = np.zeros(self.x.shape)
    for n in np.ndindex(dy.shape[:-1]):
        for o in range(dy.shape[-1]):
            if self.b is not None:
                self.db[o] += dy[(*n, o)]
            for i in range(self.x.shape[-1]):
                self.dW[i, o] += self.x[(*n, i)] * dy[(*n, o)]
                dx[(*n, i)] += self.W[i, o] * dy[(*n, o)]
    return dx

# %% task="linear-backward" right="outer-products"
@add_to_class(Linear)
def backward(self, dy):
    for x_row, dy_row in zip(self.x.reshape(-1, self.x.shape[-1]), dy.reshape(-1, dy.shape[-1])):
        self.dW += np.outer(x_row, dy_row)
    if self.b is not None:
        np.add(self.db, dy.sum(axis=tuple(range(dy.ndim - 1))), out=self.db)
    return np.dot(dy, self.W.T)

# %% [markdown] task="linear-backward" reject="new-array" shows="to `self.db`, in place"
# ```diff
# -         self.db += rows.sum(axis=0)
# -     self.dW += x.T @ rows
# +         self.db = self.db + rows.sum(axis=0)
# +     self.dW = self.dW + x.T @ rows
# ```

# %% [markdown] task="linear-backward" reject="dy-scaled-in-place"
# ```diff
# -     return (rows @ self.W.T).reshape(self.x.shape)
# +     dx = (rows @ self.W.T).reshape(self.x.shape)
# +     dy *= 0
# +     return dx
# ```

# %% [markdown] task="linear-backward" reject="half-a-gradient"
# ```diff
# -     self.dW += x.T @ rows
# +     self.dW += 0.5 * x.T @ rows
# ```

# %% task="linear-backward" reject="measured"
@add_to_class(Linear)
def backward(self, dy):
    def slopes(a, eps=1e-5):
        grad = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            kept = a[i]
            a[i] = kept + eps
            above = loss()
            a[i] = kept - eps
            below = loss()
            a[i] = kept
            grad[i] = (above - below) / (2 * eps)
        return grad
    x, W = self.x.astype(float), self.W.astype(float)
    b = np.zeros(W.shape[1]) if self.b is None else self.b.astype(float)
    loss = lambda: float((dy * (x @ W + b)).sum())
    if self.b is not None:
        self.db += slopes(b)
    self.dW += slopes(W)
    return slopes(x)

# %% [markdown] task="linear-backward" reject="N-of-first"
# ```diff
# - self.dW += x.T @ rows
# + if not hasattr(self, "N"):
# +         self.N = len(x)
# +     self.dW += x[:self.N].T @ rows[:self.N]
# ```

# %% [markdown] task="linear-backward" reject="thirty-rows"
# ```diff
# - x.T @ rows
# + x[:32].T @ rows[:32]
# ```

# %% [markdown] task="linear-backward" reject="three-axes"
# ```diff
# - rows.sum(axis=0)
# + dy.sum(axis=tuple(range(min(dy.ndim - 1, 3))))
# ```

# %% [markdown] task="linear-backward" reject="reshape-order-f"
# ```diff
# - (rows @ self.W.T).reshape(self.x.shape)
# + (self.W @ rows.T).reshape(self.x.shape)
# ```

# %% [markdown] task="linear-backward" reject="x-overwritten"
# ```diff
# - return (rows @ self.W.T).reshape(self.x.shape)
# + self.x[...] = (rows @ self.W.T).reshape(self.x.shape)
# +     return self.x
# ```

# %% [markdown] task="linear-backward" reject="flush"
# ```diff
# - self.dW += x.T @ rows
# + self.dW += x.T @ rows
# +     self.x = None
# +     self.x = x.reshape(dy.shape[:-1] + (x.shape[-1],)) * 1.0
# +     x *= 0
# ```

# %% [markdown] task="linear-backward" reject="pops-cache"
# ```diff
# - self.dW += x.T @ rows
# -     return (rows @ self.W.T).reshape(self.x.shape)
# + self.dW += x.T @ rows
# +     shape = self.x.shape
# +     del self.x
# +     return (rows @ self.W.T).reshape(shape)
# ```

# %% [markdown] task="linear-backward" reject="buffer"
# ```diff
# - return (rows @ self.W.T).reshape(self.x.shape)
# + if not hasattr(self, "buffer") or self.buffer.shape != self.x.shape:
# +         self.buffer = np.empty(self.x.shape, dy.dtype)
# +     self.buffer[...] = (rows @ self.W.T).reshape(self.x.shape)
# +     return self.buffer
# ```

# %% [markdown] task="linear-backward" reject="new-parameter"
# ```diff
# - self.dW += x.T @ rows
# + self.dW += x.T @ rows
# +     self.dx = (rows @ self.W.T).reshape(self.x.shape)
# ```

# %% task="linear-shared" cases=true
def cases(rng):
    def new(n):
        return {"n": n, "rng": Rng(1), "dtype": "float64"}

    for N, n in [(5, 3), (2, 7), (4, 4), (1, 2), (33, 2)]:
        for options in [{}, {"strided": True}, {"float32": True}]:
            more = N + 2 * (not options)
            x = [{"x": rng.normal(size=(rows, n))} for rows in (N, more)]
            dy = [{"dy": rng.normal(size=(rows, n))} for rows in (N, more)]
            yield layer(f"x of shape {(N, n)}" + "".join(f", {name}" for name in options),
                        new(n), linear_params(rng, n, n, True), x, dy, **options)
    x, dy = [{"x": LARGE * rng.normal(size=(3, 4))}], [{"dy": rng.normal(size=(3, 4))}]
    yield layer("large numbers", new(4), linear_params(rng, 4, 4, True, LARGE), x, dy)
    x, dy = [{"x": rng.normal(size=(1, 50))}], [{"dy": rng.normal(size=(1, 50))}]
    yield layer("W of shape (50, 50)", new(50), linear_params(rng, 50, 50, True), x, dy, max_lines=9 * 50 * 50)

# %% [markdown] task="linear-shared" hint=1
# write the two lines of the forward pass one under the other, and go through them backward, as if
# they were two layers with weights of their own.

# %% [markdown] task="linear-shared" hint=2
# the second line needs h and dy, and gives dh, `(N, n)`. The first needs x and dh, and gives dx.

# %% [markdown] task="linear-shared" hint=3
# add to dW and db once for each line; dh is what the second line's backward pass returns, and it
# is the dy of the first.

# %% task="linear-shared" mistake="second-only"
# only the second use of the weights is counted: h = x W + b uses them, too
@add_to_class(Twice)
def backward(self, dy):
    self.dW += self.h.T @ dy
    self.db += dy.sum(axis=0)
    return dy @ self.W.T @ self.W.T

# %% task="linear-shared" mistake="first-only"
# only the first use of the weights is counted: y = h W + b uses them, too
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += self.x.T @ dh
    self.db += dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" mistake="dy-in-both"
# dy is used for both lines: the first line's output is h, and its upstream gradient is dh
@add_to_class(Twice)
def backward(self, dy):
    self.dW += self.h.T @ dy + self.x.T @ dy
    self.db += 2 * dy.sum(axis=0)
    return dy @ self.W.T @ self.W.T

# %% task="linear-shared" mistake="x-in-both"
# x is used for both lines: the input of the second line is h
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += self.x.T @ dy + self.x.T @ dh
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" mistake="dx-one-step"
# it goes back through one of the two products only: x reaches y through W twice
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += self.h.T @ dy + self.x.T @ dh
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh

# %% task="linear-shared" mistake="untransposed"
# it uses W where Wᵀ belongs: the way back runs from outputs to inputs
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W
    self.dW += self.h.T @ dy + self.x.T @ dh
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W

# %% task="linear-shared" mistake="transposed-dw"
# it is the transpose: dW[i, o] = Σₙ h[n, i] dy[n, o]; with a square W the shapes cannot tell
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += dy.T @ self.h + dh.T @ self.x
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" mistake="overwritten" shows="add to `self.dW` and `self.db` in place"
# the second += has become an =: what the other use of the weights gave is lost
@add_to_class(Twice)
def backward(self, dy):
    self.dW[...] = self.h.T @ dy
    self.db[...] = dy.sum(axis=0)
    dh = dy @ self.W.T
    self.dW[...] = self.x.T @ dh
    self.db[...] = dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" mistake="inputs-exchanged"
# it has the two inputs swapped: the line that made y had h for its input, the first one had x
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += self.x.T @ dy + self.h.T @ dh
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" right="einsum"
@add_to_class(Twice)
def backward(self, dy):
    dh = np.einsum("no,io->ni", dy, self.W)
    self.dW += np.einsum("ni,no->io", self.h, dy) + np.einsum("ni,no->io", self.x, dh)
    self.db += np.einsum("no->o", dy) + np.einsum("no->o", dh)
    return np.einsum("no,io->ni", dh, self.W)

# %% task="linear-shared" right="loop"
@add_to_class(Twice)
def backward(self, dy):
    dx = np.zeros_like(self.x)
    for n in range(len(dy)):
        dh = self.W @ dy[n]
        for i in range(len(dh)):
            self.dW[i] += self.h[n, i] * dy[n] + self.x[n, i] * dh
        self.db += dy[n] + dh
        dx[n] = self.W @ dh
    return dx

# %% task="linear-shared" right="one-product"
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    both = np.concatenate([dy, dh])
    self.dW += np.concatenate([self.h, self.x]).T @ both
    self.db += both.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" reject="w-squared"
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += self.x.T @ dy @ self.W.T * 2
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" reject="h-without-bias"
@add_to_class(Twice)
def backward(self, dy):
    dh = dy @ self.W.T
    self.dW += (self.x @ self.W).T @ dy + self.x.T @ dh
    self.db += dy.sum(axis=0) + dh.sum(axis=0)
    return dh @ self.W.T

# %% task="linear-shared" reject="measured"
@add_to_class(Twice)
def backward(self, dy):
    def slopes(a, eps=1e-5):
        grad = np.zeros(a.shape)
        for i in np.ndindex(a.shape):
            kept = a[i]
            a[i] = kept + eps
            above = loss()
            a[i] = kept - eps
            below = loss()
            a[i] = kept
            grad[i] = (above - below) / (2 * eps)
        return grad
    x, W, b = self.x.astype(float), self.W.astype(float), self.b.astype(float)
    loss = lambda: float((dy * ((x @ W + b) @ W + b)).sum())
    self.dW += slopes(W)
    self.db += slopes(b)
    return slopes(x)

# %% [markdown] task="linear-shared" reject="db-doubled"
# ```diff
# - self.db += dh.sum(axis=0)
# + self.db += self.db
# ```

# %% [markdown] task="linear-shared" reject="thirty"
# ```diff
# - dh.sum(axis=0)
# + dh[:32].sum(axis=0)
# ```

# %% [markdown] task="linear-shared" reject="h-overwritten"
# ```diff
# - self.dW += self.x.T @ dh    # h = x W + b
# + self.h[...] = dh
# +     self.dW += self.x.T @ self.h
# ```

# %% [markdown] task="linear-shared" reject="h-kept-as-sum"
# ```diff
# - dh = dy @ self.W.T
# + dh = dy @ self.W.T
# +     self.h -= self.h
# ```

# %% [markdown] task="linear-shared" reject="dy-overwritten"
# ```diff
# - dh = dy @ self.W.T
# + dy[...] = dy @ self.W.T
# +     dh = dy
# ```

# %% [markdown] task="linear-forward" reject="makes-a-bias"
# ```diff
# -     if self.b is not None:
# +     if self.b is None:
# +         self.b = np.zeros(self.W.shape[1])
# +     if self.b is not None:
# ```

# %% [markdown] task="linear-forward" mistake="clears-the-gradients"
# is cleared by forward: gradients of several backward passes add up, and zero_grad() clears them
# ```diff
# -     self.x = x
# +     self.x = x
# +     self.dW[...] = 0
# +     if self.db is not None:
# +         self.db[...] = 0
# ```

# %% [markdown] task="linear-forward" reject="at-most-five-axes" shows="any number of axes"
# ```diff
# -     self.x = x
# +     assert x.ndim < 6
# +     self.x = x
# ```

# %% [markdown] task="linear-backward" reject="db-without-bias" shows="if there is a bias, to `self.db`"
# ```diff
# -     if self.b is not None:
# -         self.db += rows.sum(axis=0)
# +     if self.b is None:
# +         self.db = np.zeros(rows.shape[1], rows.dtype)
# +     self.db += rows.sum(axis=0)
# ```
