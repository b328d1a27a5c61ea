# %%
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def softmax_of(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def named(options):
    return "".join(f", {name}" for name in options if name != "dtypes")

OPTIONS = [{}, {"strided": True}, {"float32": True}]
BELONG = ("q", "k", "p")    # p is made of q and k: one of them alone is never new

# %% task="attention-core-backward" cases=true
def cases(rng):
    def case(Tq, Tk, D, note="", size=1.0, spread=1.0, **options):
        q, k, v = (rng.normal(size=(T, D)) for T in (Tq, Tk, Tk))
        args = {"dout": rng.normal(size=(Tq, D)), "q": spread * q, "k": spread * k, "v": size * v}
        args["p"] = softmax_of(spread**2 * q @ k.T / D**0.5)
        return Case(f"{Tq} queries, {Tk} keys, D = {D}{note}{named(options)}",
                    [Call(args, returns=("dq", "dk", "dv"))], dtypes=True, together=BELONG, **options)

    for Tq, Tk, D in [(3, 5, 2), (4, 4, 4), (1, 3, 5), (5, 1, 3), (7, 2, 1), (3, 3, 2), (33, 34, 3)]:
        for options in OPTIONS:
            yield case(Tq, Tk, D, **options)
    yield case(4, 3, 5, ", large values", size=LARGE)
    yield case(4, 3, 5, ", p that is nearly one-hot", spread=50)

# %% [markdown] task="attention-core-backward" hint=1
# go backwards line by line: out = p v, then the softmax, then the scores. Each line is a matrix
# product or known from chapter 5.

# %% [markdown] task="attention-core-backward" hint=2
# dv is (Tk, D), dp and dscores are (Tq, Tk), dq is (Tq, D), dk is (Tk, D). A transpose puts the
# axis that goes in the middle.

# %% [markdown] task="attention-core-backward" hint=3
# dv is p transposed times dout; dp is dout times v transposed; dscores is the softmax's backward
# pass, scaled; dq is dscores times k; dk is dscores transposed times q.

# %% [markdown] task="attention-core-backward" mistake="no-scale"
# it lacks the 1/√D: the scores are divided by it on the way forward, and so are their gradients
# on the way back
# ```diff
# - softmax_backward(dp, p) * scale
# + softmax_backward(dp, p)
# ```

# %% [markdown] task="attention-core-backward" mistake="scale-squared"
# it has 1/D where 1/√D belongs
# ```diff
# - 1 / math.sqrt(q.shape[-1])
# + 1 / q.shape[-1]
# ```

# %% [markdown] task="attention-core-backward" mistake="scaled-by-keys"
# it is scaled by the number of keys: √D belongs to the size of a head
# ```diff
# - 1 / math.sqrt(q.shape[-1])
# + 1 / math.sqrt(k.shape[0])
# ```

# %% [markdown] task="attention-core-backward" mistake="dk-reshaped"
# it is qᵀ dscores in another shape: dk is dscoresᵀ q, and a reshape is not a transpose
# ```diff
# - dscores.T @ q, dv
# + (q.T @ dscores).reshape(k.shape), dv
# ```

# %% [markdown] task="attention-core-backward" mistake="no-softmax"
# it goes past the softmax: dp is the gradient of p, the scores come before
# ```diff
# - softmax_backward(dp, p) * scale
# + dp * scale
# ```

# %% [markdown] task="attention-core-backward" mistake="diagonal"
# it has the diagonal of softmax's Jacobian only: raising one score lowers the other p of its row
# ```diff
# - softmax_backward(dp, p) * scale
# + dp * p * (1 - p) * scale
# ```

# %% [markdown] task="attention-core-backward" mistake="dv-untransposed"
# it uses p where pᵀ belongs: dv[j] gathers over the queries i, p[i, j] dout[i]
# ```diff
# - dv = p.T @ dout
# + dv = p @ dout
# ```

# %% [markdown] task="attention-core-backward" mistake="dv-scaled"
# it is scaled by 1/√D: the values are not
# ```diff
# - dv = p.T @ dout
# + dv = p.T @ dout * scale
# ```

# %% [markdown] task="attention-core-backward" mistake="dv-uniform"
# it gives every value the same share: p says how much each query took of it
# ```diff
# - dv = p.T @ dout
# + dv = np.ones_like(p).T @ dout / len(k)
# ```

# %% [markdown] task="attention-core-backward" mistake="q-k-swapped"
# it has swapped q and k: dq is made from the keys, dk from the queries
# ```diff
# - return dscores @ k, dscores.T @ q, dv
# + return dscores @ q, dscores.T @ k, dv
# ```

# %% [markdown] task="attention-core-backward" mistake="wrong-axis"
# it has the softmax's backward pass along the queries: each row of p, one query, has a softmax of
# its own
# ```diff
# - softmax_backward(dp, p) * scale
# + softmax_backward(dp, p, axis=0) * scale
# ```

# %% [markdown] task="attention-core-backward" mistake="arguments-swapped"
# it gives softmax_backward p first: it takes dp, then p
# ```diff
# - softmax_backward(dp, p)
# + softmax_backward(p, dp)
# ```

# %% [markdown] task="attention-core-backward" mistake="no-row-sum"
# it is p dp, without the sum over the row: softmax_backward(dp, p) has both parts
# ```diff
# - softmax_backward(dp, p)
# + (p * dp)
# ```

# %% [markdown] task="attention-core-backward" mistake="multiplied"
# it is multiplied by √D: the scores are divided by it
# ```diff
# - 1 / math.sqrt(q.shape[-1])
# + math.sqrt(q.shape[-1])
# ```

# %% [markdown] task="attention-core-backward" mistake="by-queries"
# it is scaled by the number of queries: D is the last axis of q
# ```diff
# - q.shape[-1]
# + len(q)
# ```

# %% [markdown] task="attention-core-backward" mistake="dk-untransposed"
# it uses dscores where dscoresᵀ belongs: dk[j] gathers over the queries i
# ```diff
# - dscores.T @ q
# + dscores @ q
# ```

# %% [markdown] task="attention-core-backward" mistake="dv-from-v"
# it is made from v: dv gathers dout, with the weights that made out from v
# ```diff
# - p.T @ dout
# + p.T @ v
# ```

# %% [markdown] task="attention-core-backward" mistake="order"
# it stands in the wrong place: return dq, dk, dv in this order
# ```diff
# - return dscores @ k, dscores.T @ q, dv
# + return dv, dscores.T @ q, dscores @ k
# ```

# %% task="attention-core-backward" right="einsum"
def attention_backward(dout, q, k, v, p):
    dp = np.einsum("id,jd->ij", dout, v)
    ds = p * (dp - np.einsum("ij,ij->i", dp, p)[:, None]) / math.sqrt(q.shape[1])
    return (np.einsum("ij,jd->id", ds, k), np.einsum("ij,id->jd", ds, q),
            np.einsum("ij,id->jd", p, dout))

# %% task="attention-core-backward" right="loop"
def attention_backward(dout, q, k, v, p):
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for i in range(len(q)):
        dp = v @ dout[i]
        ds = (np.diag(p[i]) - np.outer(p[i], p[i])) @ dp / len(q[i]) ** 0.5
        for j in range(len(k)):
            dv[j] += p[i, j] * dout[i]
            dq[i] += ds[j] * k[j]
            dk[j] += ds[j] * q[i]
    return dq, dk, dv

# %% task="attention-core-backward" right="output-trick"
def attention_backward(dout, q, k, v, p):
    row = (dout * (p @ v)).sum(axis=-1, keepdims=True)    # as FlashAttention does
    ds = p * (dout @ v.T - row) / math.sqrt(q.shape[-1])
    return ds @ k, (q.T @ ds).T, (dout.T @ p).T

# %% [markdown] task="attention-core-backward" reject="p-changed"
# ```diff
# -     return dscores @ k
# +     p *= scale
# +     return dscores @ k
# ```

# %% [markdown] task="attention-core-backward" reject="scores-centred"
# ```diff
# -     return dscores @ k
# +     dscores = dscores - dscores.mean(axis=0)
# +     return dscores @ k
# ```

# %% task="attention-core-backward" reject="measured"
def attention_backward(dout, q, k, v, p):
    q, k, v = q.astype(float), k.astype(float), v.astype(float)
    loss = lambda: float((dout * (softmax(q @ k.T / math.sqrt(q.shape[-1])) @ v)).sum())
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
    return slopes(q), slopes(k), slopes(v)

# %% task="attention-core-backward" right="p-again"
def attention_backward(dout, q, k, v, p):
    scale = 1 / math.sqrt(k.shape[1])
    p = softmax(scale * (q @ k.T))
    ds = scale * softmax_backward(dout @ v.T, p)
    return ds @ k, ds.T @ q, p.T @ dout

# %% [markdown] task="attention-core-backward" mistake="root-in-float64" shows="what you return has the dtype of `dout`"
# is float64 where dout is float32: np.sqrt of an int is a float64 of NumPy, which makes all that
# it multiplies float64; math.sqrt gives a number of Python, which does not
# ```diff
# - math.sqrt(
# + np.sqrt(
# ```

# %% [markdown] task="attention-core-backward" reject="thirty"
# ```diff
# - p.T @ dout
# + p[:32].T @ dout[:32]
# ```

# %% [markdown] task="attention-core-backward" reject="divides-p"
# ```diff
# - dscores = softmax_backward(dp, p) * scale
# + dx = softmax_backward(dp, p)
# +     dscores = dx / p * p * scale
# ```

# %% task="attention-backward" cases=true
def cases(rng):
    sizes = [(2, 5, 6, 3), (1, 3, 4, 1), (3, 4, 8, 2), (2, 1, 6, 2), (2, 4, 4, 4), (1, 2, 10, 5), (1, 33, 4, 2)]
    for number, (B, T, C, H) in enumerate(sizes):
        for options in [OPTIONS[0], OPTIONS[1 + number % 2]]:
            for causal in (True, False):
                bias = (number + causal) % 3 != 0
                params = {"qkv.W": rng.normal(0, 0.5, (C, 3 * C)), "proj.W": rng.normal(0, 0.5, (C, C))}
                if bias:
                    params |= {"qkv.b": rng.normal(0, 0.5, 3 * C), "proj.b": rng.normal(0, 0.5, C)}
                large = number == 2 and not options
                if large:
                    params["proj.W"] *= LARGE
                new = {"dim": C, "n_heads": H, "causal": causal, "bias": bias, "rng": Rng(1)}
                grows = 2 * (not options)    # a layer may not count on a size
                shapes = [(B, T, C), (B + grows, T + grows, C)]
                x = [{"x": rng.normal(size=shape)} for shape in shapes]
                dy = [{"dy": rng.normal(size=shape)} for shape in shapes]
                title = f"x of shape {(B, T, C)}, {H} heads, {'causal' if causal else 'no mask'}" + ", large proj.W" * large
                new["dtype"] = "float64"
                yield layer(title + named(options), new, params, x, dy, dtypes=("dx",), **options)

# %% [markdown] task="attention-backward" hint=1
# go through forward from its end, line by line: proj, the heads joined, p v, the softmax, the
# scores, the split, qkv. Mirror each reshape and swap.

# %% [markdown] task="attention-backward" hint=2
# proj.backward gives (B, T, C): reshape to (B, T, H, D), then swap to (B, H, T, D). From there it
# is task 1 with two more axes in front. dqkv goes back to (B, T, 3, H, D) before it is flattened.

# %% [markdown] task="attention-backward" hint=3
# split what proj.backward returns into heads; do task 1 with swapaxes(-1, -2) for each transpose;
# stack dq, dk, dv, put the axes in the order of forward's reshape, flatten, and hand it to
# qkv.backward.

# %% [markdown] task="attention-backward" mistake="dk-reshaped"
# it is made from a dk that is qᵀ dscores in another shape: dk is dscoresᵀ q, and a reshape is no
# transpose
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ self.q
# + dk = (self.q.swapaxes(-1, -2) @ dscores).reshape(self.k.shape)
# ```

# %% [markdown] task="attention-backward" mistake="dk-untransposed"
# it is made from a dk that uses dscores where dscoresᵀ belongs
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ self.q
# + dk = dscores @ self.q
# ```

# %% [markdown] task="attention-backward" mistake="no-scale"
# it is made from dscores without the 1/√D
# ```diff
# -  * self.scale
# +
# ```

# %% [markdown] task="attention-backward" mistake="dv-untransposed"
# it is made from a dv that uses p where pᵀ belongs
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p @ dout
# ```

# %% [markdown] task="attention-backward" mistake="no-softmax"
# it goes past the softmax: dp is the gradient of p, the scores come before
# ```diff
# - softmax_backward(dp, self.p)
# + dp
# ```

# %% [markdown] task="attention-backward" mistake="unmasked"
# it uses probabilities without the mask: self.p already has it
# ```diff
# - softmax_backward(dp, self.p)
# + softmax_backward(dp, softmax(self.q @ self.k.swapaxes(-1, -2) * self.scale))
# ```

# %% [markdown] task="attention-backward" mistake="heads-mixed"
# it splits the heads by a reshape alone: (B, T, C) goes to (B, T, H, D) first, and then two axes
# change places
# ```diff
# - .reshape(B, T, H, D).swapaxes(1, 2)
# + .reshape(B, H, T, D)
# ```

# %% [markdown] task="attention-backward" mistake="merge-mixed"
# it puts the heads together in the wrong order of axes: mirror the transpose of forward before
# you flatten
# ```diff
# - .transpose(1, 3, 0, 2, 4)
# + .transpose(1, 0, 2, 3, 4)
# ```

# %% [markdown] task="attention-backward" mistake="qkv-order"
# it has dq, dk and dv in the wrong order: forward splits into q, k, v
# ```diff
# - np.stack([dq, dk, dv])
# + np.stack([dk, dq, dv])
# ```

# %% [markdown] task="attention-backward" mistake="proj-not-counted"
# it stays as it was: proj's own gradients come from proj.backward
# ```diff
# - self.proj.backward(dy).reshape
# + (dy @ self.proj.W.T).reshape
# ```

# %% [markdown] task="attention-backward" mistake="proj-skipped"
# it goes past proj: call its backward pass first
# ```diff
# - self.proj.backward(dy).reshape
# + dy.reshape
# ```

# %% [markdown] task="attention-backward" mistake="qkv-not-counted"
# it stays as it was: qkv's own gradients come from qkv.backward
# ```diff
# - return self.qkv.backward(dqkv.reshape(B, T, 3 * C))
# + return dqkv.reshape(B, T, 3 * C) @ self.qkv.W.T
# ```

# %% [markdown] task="attention-backward" mistake="joined-by-reshape"
# it joins dq, dk and dv by a reshape alone: their axes are (3, B, H, T, D), qkv has (B, T, 3, H, D)
# ```diff
# - .transpose(1, 3, 0, 2, 4)
# +
# ```

# %% [markdown] task="attention-backward" mistake="joined-per-head"
# it joins dq, dk and dv within each head: in qkv all heads of q come first, then those of k and of
# v
# ```diff
# - np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4)
# + np.concatenate([dq, dk, dv], axis=-1).swapaxes(1, 2)
# ```

# %% [markdown] task="attention-backward" mistake="heads-before-kinds"
# it flattens the axes in the order H, 3, D: qkv has 3, H, D
# ```diff
# - .transpose(1, 3, 0, 2, 4)
# + .transpose(1, 3, 2, 0, 4)
# ```

# %% [markdown] task="attention-backward" mistake="reversed-order"
# it has dv, dk, dq: forward splits into q, k, v
# ```diff
# - np.stack([dq, dk, dv])
# + np.stack([dv, dk, dq])
# ```

# %% [markdown] task="attention-backward" mistake="divided"
# it divides by self.scale, which is 1/√D already: multiply by it
# ```diff
# - * self.scale
# + / self.scale
# ```

# %% task="attention-backward" right="fill-in"
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    B, T, C = dy.shape
    H, D = self.n_heads, C // self.n_heads
    dout = self.proj.backward(dy).reshape(B, T, H, D).transpose(0, 2, 1, 3)
    dscores = softmax_backward(dout @ self.v.swapaxes(-1, -2), self.p) * self.scale
    dqkv = np.empty((B, T, 3, H, D), dy.dtype)
    dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)
    dq[...] = dscores @ self.k
    dk[...] = dscores.swapaxes(-1, -2) @ self.q
    dv[...] = self.p.swapaxes(-1, -2) @ dout
    return self.qkv.backward(dqkv.reshape(B, T, 3 * C))

# %% task="attention-backward" right="einsum"
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    B, T, C = dy.shape
    H = self.n_heads
    dout = self.proj.backward(dy).reshape(B, T, H, C // H)
    dp = np.einsum("bihd,bhjd->bhij", dout, self.v)
    ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) / math.sqrt(C // H)
    dq = np.einsum("bhij,bhjd->bihd", ds, self.k).reshape(B, T, C)
    dk = np.einsum("bhij,bhid->bjhd", ds, self.q).reshape(B, T, C)
    dv = np.einsum("bhij,bihd->bjhd", self.p, dout).reshape(B, T, C)
    return self.qkv.backward(np.concatenate([dq, dk, dv], axis=-1))

# %% task="attention-backward" right="loop"
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    B, T, C = dy.shape
    H, D = self.n_heads, C // self.n_heads
    dmerged = self.proj.backward(dy)
    dqkv = np.zeros((B, T, 3 * C))
    for b in range(B):
        for h in range(H):
            q, k, v, p = self.q[b, h], self.k[b, h], self.v[b, h], self.p[b, h]
            here = slice(h * D, (h + 1) * D)
            dout = dmerged[b, :, here]
            ds = softmax_backward(dout @ v.T, p) * self.scale
            for number, part in enumerate([ds @ k, ds.T @ q, p.T @ dout]):
                dqkv[b, :, number * C + h * D : number * C + (h + 1) * D] = part
    return self.qkv.backward(dqkv.astype(dy.dtype))

# %% [markdown] task="attention-backward" reject="first-batch-only"
# ```diff
# -     dqkv = np.stack
# +     dk[1:] = dk[:1] if len(dk) > 1 else dk[1:]
# +     dqkv = np.stack
# ```

# %% [markdown] task="attention-backward" mistake="room-in-float64" shows="`dx` has the dtype of `dy`"
# is float64 where dy is float32: np.zeros and np.empty make float64 unless they are given a dtype
# ```diff
# - dqkv = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4)
# + dqkv = np.zeros((B, T, 3, H, D))
# +     dqkv[...] = np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4)
# ```

# %% [markdown] task="attention-backward" mistake="proj-twice"
# it is counted twice: each backward pass adds to the gradients, so call proj's once
# ```diff
# -     B, T, C = dy.shape
# +     B, T, C = dy.shape
# +     self.proj.backward(dy)
# ```

# %% [markdown] task="attention-backward" mistake="qkv-twice"
# it is counted twice: each backward pass adds to the gradients, so call qkv's once
# ```diff
# - return self.qkv
# + self.qkv.backward(dqkv.reshape(B, T, 3 * C))
# +     return self.qkv
# ```

# %% task="attention-backward" right="written-out"
@add_to_class(MultiHeadAttention)
def backward(self, dy):
    B, T, C = dy.shape
    H, D = self.n_heads, C // self.n_heads

    def linear_backward(layer, dy):
        rows = dy.reshape(-1, dy.shape[-1])
        layer.dW += layer.x.reshape(-1, C).T @ rows
        if layer.b is not None:
            layer.db += rows.sum(axis=0)
        return dy @ layer.W.T

    dout = linear_backward(self.proj, dy).reshape(B, T, H, D).swapaxes(1, 2)
    dp = dout @ self.v.swapaxes(-1, -2)
    ds = softmax_backward(dp, self.p) * self.scale
    parts = [ds @ self.k, ds.swapaxes(-1, -2) @ self.q, self.p.swapaxes(-1, -2) @ dout]
    dqkv = np.stack(parts, axis=2).transpose(0, 3, 2, 1, 4)    # (B, T, 3, H, D)
    return linear_backward(self.qkv, dqkv.reshape(B, T, 3 * C))

# %% [markdown] task="attention-backward" reject="p-spoilt"
# ```diff
# -     dqkv = np.stack
# +     self.q *= self.scale
# +     dk = dscores.swapaxes(-1, -2) @ self.q
# +     dqkv = np.stack
# ```

# %% [markdown] task="attention-backward" reject="T-of-first"
# ```diff
# - B, T, C = dy.shape
# + B, T, C = dy.shape
# +     if not hasattr(self, "mask"):
# +         self.mask = np.tri(T, dtype=bool) if self.causal else np.ones((T, T), bool)
# - softmax_backward(dp, self.p) * self.scale
# + softmax_backward(dp, self.p) * self.scale * self.mask[:T, :T]
# ```

# %% [markdown] task="attention-backward" reject="thirty"
# ```diff
# - dv = self.p.swapaxes(-1, -2) @ dout
# + dv = self.p[:, :, :32].swapaxes(-1, -2) @ dout[:, :, :32]
# ```

# %% [markdown] task="attention-backward" reject="dv-dk"
# ```diff
# - np.stack([dq, dk, dv])
# + np.stack([dq, dv, dk])
# ```

# %% [markdown] task="attention-backward" reject="q-parameter"
# ```diff
# - dq = dscores @ self.k
# + dq = self.dq = dscores @ self.k
# ```

# %% [markdown] task="attention-backward" reject="q-overwritten"
# ```diff
# - dq = dscores @ self.k
# -     dk = dscores.swapaxes(-1, -2) @ self.q
# + dk = dscores.swapaxes(-1, -2) @ self.q
# +     self.q[...] = dscores @ self.k
# +     dq = self.q
# ```

# %% task="attention-find-the-bug" cases=true
def cases(rng):
    for B, H, T, D in [(2, 3, 5, 7), (1, 1, 3, 2), (2, 2, 4, 4), (1, 3, 1, 5), (3, 1, 6, 1), (2, 2, 3, 3)]:
        for options in OPTIONS:
            q, k, v, dout = rng.normal(size=(4, B, H, T, D))
            p = softmax_of(q @ k.swapaxes(-1, -2) / D**0.5)
            args = {"dout": dout, "q": q, "k": k, "v": v, "p": p}
            yield Case(f"q of shape {(B, H, T, D)}{named(options)}",
                       [Call(args, returns=("dq", "dk", "dv"))], together=BELONG, **options)

# %% [markdown] task="attention-find-the-bug" hint=1
# go through the lines and ask of each gradient which index it sums over, and whether an entry keeps
# its index when the shape changes.

# %% [markdown] task="attention-find-the-bug" hint=2
# scores[i, j] is the sum over d of q[i, d] k[j, d]. So dk[j, d] sums over i; what are the axes of
# each factor?

# %% [markdown] task="attention-find-the-bug" hint=3
# in the line of dk, dscores must stand first, with its last two axes swapped, and q second; the
# reshape goes.

# %% [markdown] task="attention-find-the-bug" mistake="as-it-was"
# it is as it was: qᵀ dscores is (D, T), and the reshape makes (T, D) of it without a transpose
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = (q.swapaxes(-1, -2) @ dscores).reshape(k.shape)
# ```

# %% [markdown] task="attention-find-the-bug" mistake="untransposed"
# it gathers over the keys: dk[j] is a sum over the queries i, so dscores must be transposed
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = dscores @ q
# ```

# %% [markdown] task="attention-find-the-bug" mistake="with-k"
# it is made from k: the other factor of the product q kᵀ is q
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = dscores.swapaxes(-1, -2) @ k
# ```

# %% [markdown] task="attention-find-the-bug" mistake="unscaled"
# it has lost its 1/√D
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = dscores.swapaxes(-1, -2) @ q / scale
# ```

# %% [markdown] task="attention-find-the-bug" mistake="dq-broken" shows="Exactly one line of its backward pass is wrong"
# it was right before: only one line is wrong
# ```diff
# - dq = dscores @ k
# + dq = dscores.swapaxes(-1, -2) @ k
# ```

# %% [markdown] task="attention-find-the-bug" mistake="dv-broken"
# it was right before: only one line is wrong, and it is not this one
# ```diff
# - dv = p.swapaxes(-1, -2) @ dout
# + dv = p @ dout
# ```

# %% [markdown] task="attention-find-the-bug" mistake="wrong-axes"
# it swaps the wrong axes: heads and positions
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = (dscores.transpose(0, 1, 3, 2) @ q).swapaxes(1, 2).reshape(k.shape)
# ```

# %% [markdown] task="attention-find-the-bug" mistake="dp-for-dscores"
# it is made from dp: the gradient has to go through the softmax first
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = dp.swapaxes(-1, -2) @ q * scale
# ```

# %% [markdown] task="attention-find-the-bug" right="turned-back"
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = (q.swapaxes(-1, -2) @ dscores).swapaxes(-1, -2)
# ```

# %% [markdown] task="attention-find-the-bug" right="einsum"
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = np.einsum("bhij,bhid->bhjd", dscores, q)
# ```

# %% [markdown] task="attention-find-the-bug" right="loop"
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = np.zeros_like(k)
# +     for i in range(q.shape[2]):
# +         dk += dscores[:, :, i, :, None] * q[:, :, i, None, :]
# ```

# %% [markdown] task="attention-find-the-bug" reject="order-f"
# ```diff
# - dk = dscores.swapaxes(-1, -2) @ q
# + dk = (q.swapaxes(-1, -2) @ dscores).reshape(k.shape, order='F')
# ```

# %% task="rotary" cases=true
FLOAT32 = {"float32": True, "dtypes": True}

def cases(rng):
    for shape in [(5, 4), (2, 3, 6), (1, 2, 3, 2), (2, 1, 4), (7, 2), (2, 2, 5, 8), (2, 2, 1, 3, 4), (40, 16)]:
        for options in [OPTIONS[0], [OPTIONS[1], FLOAT32][len(shape) % 2]]:
            for grows in (3, -2)[: 1 if options or shape[-2] < 3 else 2]:    # longer, or shorter, the second time
                more = shape if options else (*shape[:-2], shape[-2] + grows, shape[-1])
                x = [{"x": rng.normal(size=some)} for some in (shape, more)]
                dy = [{"dy": rng.normal(size=some)} for some in (shape, more)]
                yield layer(f"x of shape {shape}{named(options)}", {}, {}, x, dy, **options)
    # Longer than a table that one might make beforehand.
    x, dy = [{"x": rng.normal(size=(4100, 2))}], [{"dy": rng.normal(size=(4100, 2))}]
    yield layer("x of shape (4100, 2)", {}, {}, x, dy)
    x, dy = [{"x": LARGE * rng.normal(size=(4, 6))}], [{"dy": rng.normal(size=(4, 6))}]
    yield layer("large numbers", {}, {}, x, dy)
    x = [{"x": rng.normal(size=(2, 4, D))} for D in (6, 2, 10)]
    dy = [{"dy": rng.normal(size=(2, 4, D))} for D in (6, 2, 10)]
    yield layer("x of shape (2, 4, 6), then with another D", {}, {}, x, dy)

# %% [markdown] task="rotary" hint=1
# a turn is a matrix with cos and sin; its backward pass is the transposed matrix. What does the
# transpose of a turn do?

# %% [markdown] task="rotary" hint=2
# theta is (T, D/2): an outer product of the positions and the D/2 speeds. Even and odd entries of
# x are (..., T, D/2).

# %% [markdown] task="rotary" hint=3
# compute cos and sin of theta; even and odd parts of y by the two formulas; backward does the
# same to dy with the angle's sign changed.

# %% [markdown] task="rotary" mistake="forward-again"
# it turns the gradient forward: the way back turns the other way
# ```diff
# - return self.turned(dy, -1)
# + return self.turned(dy, 1)
# ```

# %% [markdown] task="rotary" mistake="identity"
# it is dy: y is not x
# ```diff
# - return self.turned(dy, -1)
# + return dy.copy()
# ```

# %% [markdown] task="rotary" mistake="halves"
# it pairs entry i with entry i + D/2, as some programs do: here pair i is 2 i and 2 i + 1
# ```diff
# - x[..., 0::2], x[..., 1::2]
# + x[..., : D // 2], x[..., D // 2 :]
# - y[..., 0::2]
# + y[..., : D // 2]
# - y[..., 1::2]
# + y[..., D // 2 :]
# ```

# %% [markdown] task="rotary" mistake="from-one"
# it counts positions from 1: the first is 0, and is not turned
# ```diff
# - np.arange(T)
# + np.arange(1, T + 1)
# ```

# %% [markdown] task="rotary" mistake="no-two"
# its speeds fall too slowly: the exponent is -2 i / D
# ```diff
# - -2 * np.arange(D // 2) / D
# + -np.arange(D // 2) / D
# ```

# %% [markdown] task="rotary" mistake="rising"
# its speeds rise with i: the exponent is negative
# ```diff
# - -2 * np.arange(D // 2) / D
# + 2 * np.arange(D // 2) / D
# ```

# %% [markdown] task="rotary" mistake="sign"
# it turns the other way: look at the two signs of sin
# ```diff
# - even * cos - odd * sin
# + even * cos + odd * sin
# - even * sin + odd * cos
# + odd * cos - even * sin
# ```

# %% [markdown] task="rotary" mistake="mirror"
# it is a reflection, not a rotation: one of the two sines has a minus
# ```diff
# - even * cos - odd * sin
# + even * cos + odd * sin
# ```

# %% [markdown] task="rotary" mistake="same-speed"
# it turns all pairs at the same speed: pair i has 10000^(-2i/D)
# ```diff
# - 10000.0 ** (-2 * np.arange(D // 2) / D)
# + np.ones(D // 2)
# ```

# %% [markdown] task="rotary" mistake="both-minus"
# it has a minus in both lines: only y[2 i] has one
# ```diff
# - even * sin + odd * cos
# + even * sin - odd * cos
# ```

# %% [markdown] task="rotary" mistake="negated"
# it is turned forward and negated: to turn back, change the sign of the angle
# ```diff
# - return self.turned(dy, -1)
# + return -self.turned(dy, 1)
# ```

# %% [markdown] task="rotary" mistake="half-overwritten"
# its odd entries are made from even ones that are turned already: keep the old ones
# ```diff
# - y[..., 1::2] = even * sin
# + y[..., 1::2] = y[..., 0::2] * sin
# ```

# %% [markdown] task="rotary" mistake="pairs-for-D"
# its speeds fall too fast: the exponent is -2 i / D, with D entries, not D/2 pairs
# ```diff
# - -2 * np.arange(D // 2) / D
# + -2 * np.arange(D // 2) / (D // 2)
# ```

# %% task="rotary" right="complex"
class Rotary(Module):
    def turn(self, x):
        T, D = x.shape[-2:]
        speed = 10000.0 ** (-2 * np.arange(D // 2) / D)
        return np.exp(1j * np.arange(T)[:, None] * speed)

    def pairs(self, x):
        return x[..., 0::2] + 1j * x[..., 1::2]

    def flat(self, z):
        return np.stack([z.real, z.imag], axis=-1).reshape(*z.shape[:-1], -1)

    def forward(self, x):
        return self.flat(self.pairs(x) * self.turn(x)).astype(x.dtype)

    def backward(self, dy):
        return self.flat(self.pairs(dy) * self.turn(dy).conj()).astype(dy.dtype)

# %% task="rotary" right="matrices" shows="What both have in common may go into `turned(x, sign)`; if you do without it, leave it as it is"
class Rotary(Module):
    def matrix(self, T, D):
        R = np.zeros((T, D, D))
        for t in range(T):
            for i in range(D // 2):
                a = t * 10000.0 ** (-2 * i / D)
                R[t, 2 * i, 2 * i], R[t, 2 * i, 2 * i + 1] = np.cos(a), -np.sin(a)
                R[t, 2 * i + 1, 2 * i], R[t, 2 * i + 1, 2 * i + 1] = np.sin(a), np.cos(a)
        return R

    def forward(self, x):
        return np.einsum("tij,...tj->...ti", self.matrix(*x.shape[-2:]).astype(x.dtype), x)

    def backward(self, dy):
        return np.einsum("tij,...ti->...tj", self.matrix(*dy.shape[-2:]).astype(dy.dtype), dy)

# %% task="rotary" right="kept"
class Rotary(Module):
    def forward(self, x):
        T, D = x.shape[-2:]
        angle = np.arange(T)[:, None] / 10000 ** (np.arange(0, D, 2) / D)
        self.cos, self.sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
        a, b = x.reshape(*x.shape[:-1], -1, 2).transpose(-1, *range(x.ndim))
        y = np.stack([a * self.cos - b * self.sin, a * self.sin + b * self.cos], axis=-1)
        return y.reshape(x.shape)

    def backward(self, dy):
        a, b = dy[..., ::2], dy[..., 1::2]
        dx = np.stack([a * self.cos + b * self.sin, b * self.cos - a * self.sin], axis=-1)
        return dx.reshape(dy.shape)

# %% [markdown] task="rotary" mistake="float64" shows="have the dtype of `x`"
# is float64 where x is float32: so are cos and sin, and all that is multiplied by them
# ```diff
# - y = np.empty_like(x)
# + y = np.empty(x.shape)
# ```

# %% [markdown] task="rotary" reject="half-turned"
# ```diff
# - return self.turned(dy, -1)
# + dx = self.turned(dy, -1)
# +         dx[..., -1:, :] = dy[..., -1:, :]
# +         return dx
# ```

# %% [markdown] task="rotary" reject="in-place"
# ```diff
# - y = np.empty_like(x)
# + y = x
# ```

# %% task="rotary" reject="first-T-table"
class Rotary(Module):
    def turned(self, x, sign):
        T, D = x.shape[-2:]
        if not hasattr(self, "theta"):
            self.theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
        cos, sin = np.cos(self.theta[:T]), sign * np.sin(self.theta[:T])
        y = np.empty_like(x)
        y[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        y[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return y
    def forward(self, x):
        return self.turned(x, 1)
    def backward(self, dy):
        return self.turned(dy, -1)

# %% task="rotary" reject="cos-kept-from-longest"
class Rotary(Module):
    def turned(self, x, sign):
        T, D = x.shape[-2:]
        if not hasattr(self, "theta") or len(self.theta) < T:
            self.theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
        cos, sin = np.cos(self.theta[-T:]), sign * np.sin(self.theta[-T:])
        y = np.empty_like(x)
        y[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        y[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return y
    def forward(self, x):
        return self.turned(x, 1)
    def backward(self, dy):
        return self.turned(dy, -1)

# %% [markdown] task="rotary" reject="measured"
# ```diff
# - return self.turned(dy, -1)    # the transpose of a rotation turns back
# + x, grad = self.x.astype(float), np.zeros(dy.shape)
# +         for i in np.ndindex(x.shape):
# +             kept = x[i]
# +             x[i] = kept + 1e-5
# +             above = float((dy * self.turned(x, 1)).sum())
# +             x[i] = kept - 1e-5
# +             grad[i] = (above - float((dy * self.turned(x, 1)).sum())) / 2e-5
# +             x[i] = kept
# +         return grad
# - return self.turned(x, 1)
# + self.x = x
# +         return self.turned(x, 1)
# ```

# %% [markdown] task="rotary" reject="thirty"
# ```diff
# - np.arange(T)
# + np.minimum(np.arange(T), 31)
# ```

# %% [markdown] task="rotary" reject="positions-mod"
# ```diff
# - np.outer(np.arange(T)
# + np.outer(np.arange(T) % 8
# ```

# %% [markdown] task="rotary" reject="four-axes-only"
# ```diff
# - theta = np.outer
# + if x.ndim > 4:
# +             x = x[:1]
# +         theta = np.outer
# ```

# %% task="rotary" right="stack"
class Rotary(Module):
    def turned(self, x, sign):
        T, D = x.shape[-2:]
        t, i = np.arange(T)[:, None], np.arange(D // 2)[None]
        theta = sign * t / 10000 ** (2 * i / D)
        c, s = np.cos(theta), np.sin(theta)
        a, b = x[..., ::2], x[..., 1::2]
        return np.stack([a * c - b * s, a * s + b * c], axis=-1).reshape(x.shape).astype(x.dtype)
    def forward(self, x):
        return self.turned(x, 1)
    def backward(self, dy):
        return self.turned(dy, -1)

# %% task="rotary" reject="class-table"
class Rotary(Module):
    def turned(self, x, sign):
        y = np.empty_like(x)
        cos, sin = Rotary.cos, sign * Rotary.sin
        y[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        y[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return y
    def forward(self, x):
        T, D = x.shape[-2:]
        theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
        Rotary.cos, Rotary.sin = np.cos(theta), np.sin(theta)
        return self.turned(x, 1)
    def backward(self, dy):
        return self.turned(dy, -1)

# %% task="rotary" reject="global-table"
class Rotary(Module):
    def turned(self, x, sign):
        y = np.empty_like(x)
        y[..., 0::2] = x[..., 0::2] * cos - sign * x[..., 1::2] * sin
        y[..., 1::2] = sign * x[..., 0::2] * sin + x[..., 1::2] * cos
        return y
    def forward(self, x):
        global cos, sin
        T, D = x.shape[-2:]
        theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
        cos, sin = np.cos(theta), np.sin(theta)
        return self.turned(x, 1)
    def backward(self, dy):
        return self.turned(dy, -1)

# %% [markdown] task="rotary" reject="buffer"
# ```diff
# - y = np.empty_like(x)
# + if getattr(self, "y", x[..., :0]).shape != x.shape:
# +             self.y = np.empty_like(x)
# +         y = self.y
# ```

# %% task="rotary" reject="sin-negated"
class Rotary(Module):
    def turn(self, x):
        y = np.empty_like(x)
        y[..., 0::2] = x[..., 0::2] * self.cos - x[..., 1::2] * self.sin
        y[..., 1::2] = x[..., 0::2] * self.sin + x[..., 1::2] * self.cos
        return y
    def forward(self, x):
        T, D = x.shape[-2:]
        theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
        self.cos, self.sin = np.cos(theta), np.sin(theta)
        return self.turn(x)
    def backward(self, dy):
        self.sin *= -1
        return self.turn(dy)

# %% [markdown] task="rotary" reject="tables-by-T"
# ```diff
# -         T, D = x.shape[-2:]
# -         theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))    # (T, D/2)
# +         T, D = x.shape[-2:]
# +         if len(getattr(self, "theta", ())) != T:
# +             self.theta = np.outer(np.arange(T), 10000.0 ** (-2 * np.arange(D // 2) / D))
# +         theta = self.theta
# ```


# %% [markdown] task="rotary" reject="positions-start-again"
# ```diff
# - np.arange(T)
# + (np.arange(T) % 4096)
# ```
