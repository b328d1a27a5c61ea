# %%
import numpy as np

# %% task="looking-lens" cases=true
def cases(rng):
    def case(title, L, T, C, V, size=0.7, eps=1e-5, shift=0.3, **options):
        args = {
            "streams": shift + size * rng.normal(size=(L, T, C)), "targets": rng.integers(0, V, T),
            "gamma": rng.normal(1, 0.5, C), "beta": rng.normal(0, 0.5, C), "W": rng.normal(0, 0.5, (V, C)), "eps": eps,
        }
        return Case(title, [Call(args, returns="the losses")], **options)

    for L, T, C, V in ((3, 4, 6, 5), (5, 2, 3, 7), (1, 5, 4, 4), (4, 1, 6, 3), (2, 3, 5, 5), (2, 6, 2, 1)):
        yield case(f"{L} layers, T {T}, C {C}, V {V}", L, T, C, V)
    yield case("float32", 3, 4, 6, 5, float32=True)
    yield case("not contiguous", 3, 4, 6, 5, strided=True)
    yield case("as many layers as tokens and channels", 4, 4, 4, 4)
    yield case("a large eps", 3, 4, 6, 5, eps=2.0)
    yield case("a small stream, where eps counts", 3, 4, 6, 5, size=1e-3, eps=1e-5)
    yield case("no eps", 3, 4, 6, 5, eps=0.0)
    yield case("streams far from 0", 3, 4, 6, 5, shift=1e5)
    # The layers differ in size, as those of a network do: each row has a norm of its own.
    grows = case("streams that grow", 4, 3, 5, 6)
    grows.calls[0].args["streams"] *= np.array([0.01, 1.0, 30.0, 1000.0])[:, None, None]
    yield grows
    large = case("logits in the thousands", 3, 4, 6, 5)
    large.calls[0].args["W"] *= 3000
    yield large
    one = case("one target again and again", 2, 7, 3, 4)
    one.calls[0].args["targets"][:] = 3
    yield one
    yield case("many layers", 130, 2, 3, 4)
    yield case("many tokens", 2, 700, 3, 4)
    yield case("a wide stream", 2, 3, 1030, 4, size=0.2)
    yield case("a large vocabulary", 2, 3, 4, 1100)

# %% [markdown] task="looking-lens" hint=1
# three steps that you have written before, now for all layers at once: the norm of chapter 9, the head of chapter 12,
# the loss of chapter 5. Which axis does each of them run along?

# %% [markdown] task="looking-lens" hint=2
# the stream is (L, T, C), its mean and variance (L, T, 1), the logits (L, T, V), the losses (L, T). Only then comes the
# mean over the tokens.

# %% [markdown] task="looking-lens" hint=3
# log p is z minus the log of the sum of exp(z), once the largest z of a row is subtracted from it. Take it at
# `[:, np.arange(T), targets]`, and then minus the mean along axis 1.

# %% [markdown] task="looking-lens" mistake="no-norm" shows="as it is: nothing has normalized it"
# it reads the stream without the final norm, for which the head was trained
# ```diff
# -     x = streams - streams.mean(axis=-1, keepdims=True)
# -     x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * gamma + beta
# -     z = x @ W.T    # (L, T, V)
# +     z = streams @ W.T
# ```

# %% [markdown] task="looking-lens" mistake="no-gain"
# it normalizes, but leaves out gamma and beta
# ```diff
# - + eps) * gamma + beta
# + + eps)
# ```

# %% [markdown] task="looking-lens" mistake="no-beta"
# it leaves out beta
# ```diff
# - * gamma + beta
# + * gamma
# ```

# %% [markdown] task="looking-lens" mistake="rms-norm"
# it does not subtract the mean: that is RMSNorm, and this model has LayerNorm
# ```diff
# - streams - streams.mean(axis=-1, keepdims=True)
# + streams
# ```

# %% [markdown] task="looking-lens" mistake="norm-over-tokens"
# its norm runs over the tokens: each position has a mean and a variance of its own
# ```diff
# - streams.mean(axis=-1, keepdims=True)
# + streams.mean(axis=1, keepdims=True)
# - (x * x).mean(axis=-1, keepdims=True)
# + (x * x).mean(axis=1, keepdims=True)
# ```

# %% [markdown] task="looking-lens" mistake="norm-over-all"
# its norm takes tokens and channels together: each position has a mean and a variance of its own
# ```diff
# - streams.mean(axis=-1, keepdims=True)
# + streams.mean(axis=(1, 2), keepdims=True)
# - (x * x).mean(axis=-1, keepdims=True)
# + (x * x).mean(axis=(1, 2), keepdims=True)
# ```

# %% [markdown] task="looking-lens" mistake="eps-outside" shows="`eps` added to the variance under the root"
# it adds eps to the root: it belongs under it
# ```diff
# - np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
# + (np.sqrt((x * x).mean(axis=-1, keepdims=True)) + eps)
# ```

# %% [markdown] task="looking-lens" mistake="sample-variance"
# it divides by C - 1: LayerNorm's variance is the mean of the squares
# ```diff
# - (x * x).mean(axis=-1, keepdims=True)
# + (x * x).sum(axis=-1, keepdims=True) / max(1, x.shape[-1] - 1)
# ```

# %% [markdown] task="looking-lens" mistake="overflows" shows="logits may be in the thousands, without a warning and without a loss that is infinite"
# it overflows where logits are large: subtract the largest of each row before exp
# ```diff
# -     z = z - z.max(axis=-1, keepdims=True)
# +
# ```

# %% [markdown] task="looking-lens" mistake="log-of-softmax"
# it takes the log of a probability that has become 0: log p is z minus the log of the sum, without a softmax
# ```diff
# -     log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
# +     log_p = np.log(np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True))
# ```

# %% [markdown] task="looking-lens" mistake="mean-of-squares-minus" shows="The streams may lie far from 0"
# it has its variance as a difference of two means, which far from 0 are large and nearly equal: subtract the mean
# before you square
# ```diff
# - (x * x).mean(axis=-1, keepdims=True)
# + ((streams**2).mean(axis=-1, keepdims=True) - streams.mean(axis=-1, keepdims=True) ** 2)
# ```

# %% [markdown] task="looking-lens" mistake="one-mean"
# it is one number, the mean over the layers too: each layer has a loss of its own
# ```diff
# - .mean(axis=1)
# + .mean()
# ```

# %% [markdown] task="looking-lens" mistake="mean-over-layers"
# it is a mean over the layers, one for each token: the mean is over the tokens
# ```diff
# - .mean(axis=1)
# + .mean(axis=0)
# ```

# %% [markdown] task="looking-lens" mistake="a-sum"
# it is a sum: the loss is a mean over the tokens
# ```diff
# - .mean(axis=1)
# + .sum(axis=1)
# ```

# %% [markdown] task="looking-lens" mistake="in-bits" shows="in nats, for each layer: an array of floats, (L,)"
# it is in bits: nats are asked for, the natural log
# ```diff
# - .mean(axis=1)
# + .mean(axis=1) / np.log(2)
# ```

# %% [markdown] task="looking-lens" mistake="log-p"
# it is the mean of log p: the loss is minus that
# ```diff
# - return -log_p
# + return log_p
# ```

# %% [markdown] task="looking-lens" mistake="every-pair"
# it takes every target at every place: pair them, with np.arange(T) beside the targets
# ```diff
# - log_p[:, np.arange(streams.shape[1]), targets].mean(axis=1)
# + log_p[:, :, targets].mean(axis=(1, 2))
# ```

# %% task="looking-lens" reject="in-place"
def lens_losses(streams, targets, gamma, beta, W, eps):
    streams -= streams.mean(axis=-1, keepdims=True)
    x = streams / np.sqrt((streams * streams).mean(axis=-1, keepdims=True) + eps) * gamma + beta
    z = x @ W.T
    z = z - z.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -log_p[:, np.arange(streams.shape[1]), targets].mean(axis=1)

# %% [markdown] task="looking-lens" reject="default-eps"
# ```diff
# - + eps)
# + + 1e-5)
# ```

# %% [markdown] task="looking-lens" reject="last-layer-is-normalized"
# ```diff
# -     z = x @ W.T    # (L, T, V)
# +     x[-1] = streams[-1]
# +     z = x @ W.T
# ```

# %% [markdown] task="looking-lens" reject="clipped"
# ```diff
# -     z = z - z.max(axis=-1, keepdims=True)
# +     z = np.maximum(z - z.max(axis=-1, keepdims=True), -700)
# ```

# %% [markdown] task="looking-lens" reject="one-maximum-for-all"
# ```diff
# - z = z - z.max(axis=-1, keepdims=True)
# + z = z - z.max()
# ```

# %% [markdown] task="looking-lens" reject="no-loss-above-27"
# ```diff
# -     log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
# +     log_p = np.log(np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True) + 1e-12)
# ```

# %% [markdown] task="looking-lens" reject="squeezed"
# ```diff
# - .mean(axis=1)
# + .mean(axis=1).squeeze()
# ```

# %% [markdown] task="looking-lens" reject="next-target"
# ```diff
# - log_p[:, np.arange(streams.shape[1]), targets]
# + log_p[:, np.arange(streams.shape[1]), np.roll(targets, -1)]
# ```

# %% [markdown] task="looking-lens" reject="without-the-first-place"
# ```diff
# - targets].mean(axis=1)
# + targets][:, -max(1, len(targets) - 1) :].mean(axis=1)
# ```

# %% task="looking-lens" right="loop"
def lens_losses(streams, targets, gamma, beta, W, eps):
    losses = []
    for stream in streams:
        total = 0.0
        for x, target in zip(stream, targets):
            z = W @ ((x - x.mean()) / np.sqrt(x.var() + eps) * gamma + beta)
            total += np.log(np.exp(z - z.max()).sum()) + z.max() - z[target]
        losses.append(total / len(targets))
    return np.array(losses)

# %% task="looking-lens" right="logaddexp"
def lens_losses(streams, targets, gamma, beta, W, eps):
    centered = streams - streams.mean(-1, keepdims=True)
    xhat = centered / np.sqrt(streams.var(-1, keepdims=True) + eps)
    logits = np.einsum("ltc,vc->ltv", xhat * gamma + beta, W)
    picked = np.take_along_axis(logits, targets[None, :, None], axis=-1)[..., 0]
    return (np.logaddexp.reduce(logits, axis=-1) - picked).mean(axis=-1)

# %% task="looking-lens" right="by-book"
def lens_losses(streams, targets, gamma, beta, W, eps):
    from numpygpt.nn import LayerNorm
    from numpygpt.nn.functional import cross_entropy

    norm = LayerNorm(len(gamma), eps, dtype=streams.dtype)
    norm.gamma[...], norm.beta[...] = gamma, beta
    return np.array([cross_entropy(norm(stream) @ W.T, targets) for stream in streams])

# %% task="looking-head" cases=true
def cases(rng):
    for B, H, T, D, C in ((2, 3, 4, 5, 6), (1, 2, 3, 2, 7), (3, 1, 2, 4, 3), (2, 4, 1, 2, 5), (2, 2, 2, 2, 4), (2, 3, 5, 1, 2),
                          (1, 3, 3, 3, 9), (2, 20, 2, 3, 4), (2, 2, 3, 40, 3), (1, 1, 1, 1, 1)):
        scores = rng.normal(size=(B, H, T, T))
        p = np.exp(scores) * np.tril(np.ones((T, T)))
        p /= p.sum(axis=-1, keepdims=True)
        args = {"p": p, "v": rng.normal(size=(B, H, T, D)), "W": rng.normal(0, 0.5, (H * D, C))}
        for options in ({}, {"strided": True}, {"float32": True})[: 3 if T == 4 else 1]:
            named = "".join(f", {name}" for name in options)
            yield Case(f"B {B}, H {H}, T {T}, D {D}, C {C}{named}", [Call(args, returns="what each head adds")],
                       dtypes=True, **options)
    p, v = np.zeros((1, 2, 3, 3)), rng.normal(size=(1, 2, 3, 4))
    p[..., 0] = 1e-5
    p[..., np.arange(3), np.arange(3)] += 1 - 1e-5
    v[:, :, 0] *= 1e5
    args = {"p": p, "v": v, "W": rng.normal(size=(8, 5))}
    yield Case("a small weight on a large value", [Call(args, returns="what each head adds")])

# %% [markdown] task="looking-head" hint=1
# side by side times a matrix: which rows of W does the first head meet, and which the second?

# %% [markdown] task="looking-head" hint=2
# the output of a head is p @ v, (B, H, T, D). Cut W into H pieces of D rows each: (H, D, C).

# %% [markdown] task="looking-head" hint=3
# with the pieces of W stacked along an axis of their own, one matrix product does all heads: (B, H, T, D) @ (H, D, C).

# %% [markdown] task="looking-head" mistake="heads-interleaved"
# takes every H-th row of W for a head: the heads stand one after another, D rows each
# ```diff
# - W.reshape(H, D, -1)
# + W.reshape(D, H, -1).swapaxes(0, 1)
# ```

# %% [markdown] task="looking-head" mistake="transposed-weights"
# reads p the wrong way round: row t of p says where place t looks
# ```diff
# - p @ v
# + p.swapaxes(-1, -2) @ v
# ```

# %% [markdown] task="looking-head" mistake="the-sum" shows="Return the terms of this sum"
# is the sum over the heads: its terms are asked for
# ```diff
# - return p @ v @ W.reshape(H, D, -1)
# + return (p @ v @ W.reshape(H, D, -1)).sum(axis=1)
# ```

# %% [markdown] task="looking-head" mistake="without-looking"
# has the values themselves: each place gets a mean of values, weighted by p
# ```diff
# - p @ v
# + v
# ```

# %% [markdown] task="looking-head" mistake="first-head-for-all"
# takes the rows of the first head for all of them
# ```diff
# - W.reshape(H, D, -1)
# + W[:D]
# ```

# %% [markdown] task="looking-head" mistake="divided"
# divides by the number of heads: they are added, it is no mean
# ```diff
# - W.reshape(H, D, -1)
# + W.reshape(H, D, -1) / H
# ```

# %% [markdown] task="looking-head" mistake="heads-last"
# has the heads behind the places: (B, H, T, C) is asked for
# ```diff
# - return p @ v @ W.reshape(H, D, -1)
# + return (p @ v @ W.reshape(H, D, -1)).swapaxes(1, 2)
# ```

# %% [markdown] task="looking-head" mistake="last-to-first"
# gives the first head the last rows of W: the heads keep their order
# ```diff
# - W.reshape(H, D, -1)
# + W.reshape(H, D, -1)[::-1]
# ```

# %% [markdown] task="looking-head" mistake="v-first"
# multiplies v with W's rows of all heads at once: each head has its own D rows
# ```diff
# - W.reshape(H, D, -1)
# + W.reshape(H, D, -1).mean(axis=0)
# ```

# %% [markdown] task="looking-head" mistake="softmax-again"
# takes a softmax of p: what the layer has kept are weights, after its softmax
# ```diff
# - p @ v
# + (np.exp(p) / np.exp(p).sum(axis=-1, keepdims=True)) @ v
# ```

# %% [markdown] task="looking-head" mistake="columns-add-up-to-1"
# divides p by sums over the queries: the rows of p add up to 1 already
# ```diff
# - p @ v
# + (p / p.sum(axis=-2, keepdims=True)) @ v
# ```

# %% [markdown] task="looking-head" mistake="mean-over-places"
# has the mean over the places at each of them: every place gets something of its own
# ```diff
# - return p @ v @ W.reshape(H, D, -1)
# + out = p @ v @ W.reshape(H, D, -1)
# +     return np.broadcast_to(out.mean(axis=2, keepdims=True), out.shape).copy()
# ```

# %% [markdown] task="looking-head" reject="at-most-16-heads"
# ```diff
# - return p @ v @ W.reshape(H, D, -1)
# + out = p @ v @ W.reshape(H, D, -1)
# +     out[:, 16:] = 0
# +     return out
# ```

# %% [markdown] task="looking-head" reject="small-weights-are-none"
# ```diff
# - p @ v
# + np.where(p < 1e-3, 0, p) @ v
# ```

# %% task="looking-head" reject="float64" shows="in the dtype of `v`"
def added_by_head(p, v, W):
    B, H, T, D = v.shape
    added = np.zeros((B, H, T, W.shape[1]))
    added[...] = p @ v @ W.reshape(H, D, -1)
    return added

# %% task="looking-head" reject="into-v"
def added_by_head(p, v, W):
    B, H, T, D = v.shape
    v[...] = p @ v
    return v @ W.reshape(H, D, -1)

# %% task="looking-head" right="one-head-at-a-time"
def added_by_head(p, v, W):
    B, H, T, D = v.shape
    added = np.zeros((B, H, T, W.shape[1]), v.dtype)
    for h in range(H):
        for b in range(B):
            added[b, h] = p[b, h] @ v[b, h] @ W[h * D : (h + 1) * D]
    return added

# %% task="looking-head" right="einsum"
def added_by_head(p, v, W):
    pieces = np.stack(np.split(W, v.shape[1]))
    return np.einsum("bhts,bhsd,hdc->bhtc", p, v, pieces)

# %% task="looking-head" right="others-at-0" shows="head after head"
def added_by_head(p, v, W):
    B, H, T, D = v.shape
    out = (p @ v).swapaxes(1, 2).reshape(B, T, H * D)
    terms = []
    for h in range(H):
        alone = np.zeros_like(out)
        alone[..., h * D : (h + 1) * D] = out[..., h * D : (h + 1) * D]
        terms.append(alone @ W)
    return np.stack(terms, axis=1)

# %% task="looking-head" right="w-first"
def added_by_head(p, v, W):
    heads = W.reshape(v.shape[1], v.shape[3], W.shape[1])
    return np.matmul(p, np.matmul(v, heads))

# %% task="looking-int8" cases=true
def cases(rng):
    names = ("q", "scale")
    def case(title, W, **options):
        # Between two whole numbers both are right: no value lies there, nor so near that rounding decides.
        scale = np.abs(W).max(axis=0) / 127
        halves = np.abs(np.abs(W / np.where(scale > 0, scale, 1)) % 1 - 0.5) < 1e-3
        return Case(title, [Call({"W": np.where(halves, 0.9 * W, W)}, returns=names)], dtypes=True, **options)

    for shape in ((3, 4), (5, 2), (4, 4), (1, 6), (7, 1), (1, 1), (600, 3), (3, 700)):
        W = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape[1])
        if len(W) > 9:    # the largest come last
            W[-1] = -2.2 * np.abs(W).max(axis=0)
        yield case(f"W of shape {shape}", W)
        if shape in ((3, 4), (5, 2), (1, 6)):
            yield case(f"W of shape {shape}, float32", W, float32=True)
            yield case(f"W of shape {shape}, not contiguous", W, strided=True)
    W = rng.normal(size=(5, 4))
    W[:, 2] = 0
    yield case("a column of zeros", W)
    yield case("a column of zeros, float32", W, float32=True)
    yield case("all zeros", np.zeros((2, 3)))
    W = rng.normal(size=(6, 3)) / 3
    W[1], W[4] = -2.0, 1.1
    yield case("the largest values are negative", W)
    yield case("all values negative", -np.abs(rng.normal(size=(4, 3))))
    W = rng.normal(size=(6, 4))
    W[3, 1] = 80.0
    yield case("one value is much larger than all others", W)
    W = rng.normal(size=(4, 5))
    W *= np.array([2e-30, 1e-9, 1, 1e9, 5e29]) / np.abs(W).max(axis=0)
    yield case("large and small numbers", W)
    yield case("large and small numbers, float32", W, float32=True)
    whole = rng.integers(-127, 128, (6, 3)).astype(float)
    whole[2] = 127
    yield case("whole numbers already", whole)
    yield case("equal values in a column", np.full((3, 2), -0.25))
    # Looks like a column of zeros by its sum, its first or last value, its smallest or largest.
    W = np.array([[0, 0, 0, 2.0], [2, 2, -2, -2], [-2, 0.6, -0.6, 0.6], [0, 0, 0, -0.6]])
    yield case("columns with some zeros, and with sums of 0", W * rng.uniform(0.5, 2, 4))
    yield case("float16", whole.astype(np.float16))

# %% [markdown] task="looking-int8" hint=1
# what must the scale of a column be, so that its largest absolute value divided by it is 127? And what of a column that
# has only zeros?

# %% [markdown] task="looking-int8" hint=2
# scale is (n_out,), one number a column: a maximum along axis 0. Dividing (n_in, n_out) by it broadcasts.

# %% [markdown] task="looking-int8" hint=3
# scale = the largest absolute value along axis 0, over 127; put 1 where it is 0. q = W over scale, rounded, and then
# made int8.

# %% [markdown] task="looking-int8" mistake="a-scale-a-row"
# it has a scale for each row: one for each column is asked for
# ```diff
# - np.abs(W).max(axis=0) / 127
# + np.abs(W).max(axis=1) / 127
# - np.round(W / scale).astype(np.int8)
# + np.round(W / scale[:, None]).astype(np.int8)
# ```

# %% [markdown] task="looking-int8" mistake="one-scale"
# it has the same scale for all columns: a column of small values loses nearly all of its bits
# ```diff
# - np.abs(W).max(axis=0) / 127
# + np.full(W.shape[1], np.abs(W).max(), W.dtype) / 127
# ```

# %% [markdown] task="looking-int8" mistake="largest-not-absolute" shows="The largest absolute value of a column becomes 127 or -127"
# it goes by the largest value, and not by the largest absolute one: negative values run over
# ```diff
# - np.abs(W).max(axis=0) / 127
# + W.max(axis=0) / 127
# ```

# %% [markdown] task="looking-int8" mistake="largest-not-absolute-or-1"
# it goes by the largest value, and takes a column without positive ones for zeros: the largest absolute one counts
# ```diff
# - np.abs(W).max(axis=0) / 127
# + W.max(axis=0) / 127
# - scale[scale == 0] = 1
# + scale[scale <= 0] = 1
# ```

# %% [markdown] task="looking-int8" mistake="128"
# the largest becomes 128, which int8 does not have: it runs over to -128
# ```diff
# - / 127
# + / 128
# ```

# %% [markdown] task="looking-int8" mistake="255"
# it spreads the values over 255: int8 holds -127 to 127 for both signs
# ```diff
# - / 127
# + / 255
# ```

# %% [markdown] task="looking-int8" mistake="cut-off" shows="every other one the nearest whole number"
# it cuts off instead of rounding: astype drops what is behind the point
# ```diff
# - np.round(W / scale).astype(np.int8)
# + (W / scale).astype(np.int8)
# ```

# %% [markdown] task="looking-int8" mistake="rounded-down"
# it rounds down: the nearest whole number is asked for
# ```diff
# - np.round(W / scale)
# + np.floor(W / scale)
# ```

# %% [markdown] task="looking-int8" mistake="other-way-round"
# its scale is the factor from W to q: W is q times scale
# ```diff
# - return np.round(W / scale).astype(np.int8), scale
# + return np.round(W / scale).astype(np.int8), 1 / scale
# ```

# %% [markdown] task="looking-int8" mistake="floats" shows="Return `q`, int8 and of the shape of `W`"
# it is not int8: a byte for each number is asked for, and rounding leaves floats
# ```diff
# - np.round(W / scale).astype(np.int8)
# + np.round(W / scale)
# ```

# %% [markdown] task="looking-int8" mistake="from-0"
# it shifts the values to start at 0: zero stays zero here
# ```diff
# -     return np.round(W / scale).astype(np.int8), scale
# +     low = W.min(axis=0)
# +     scale = (W.max(axis=0) - low) / 127
# +     scale[scale == 0] = 1
# +     return np.round((W - low) / scale).astype(np.int8), scale
# ```

# %% [markdown] task="looking-int8" mistake="no-scale-of-zeros" shows=["A column of zeros gets the scale 1", "there is no warning"]
# its scale is 0 for a column of zeros, where 1 is asked for: dividing by 0 warns, and gives no numbers
# ```diff
# -     scale[scale == 0] = 1
# +
# ```

# %% [markdown] task="looking-int8" mistake="kept-axis" shows="`scale`, (n_out,) and of the dtype of `W`"
# its scale has two axes: (n_out,) is asked for
# ```diff
# - np.abs(W).max(axis=0) / 127
# + np.abs(W).max(axis=0, keepdims=True) / 127
# ```

# %% [markdown] task="looking-int8" reject="float64-scale"
# ```diff
# - return np.round(W / scale).astype(np.int8), scale
# + return np.round(W / scale).astype(np.int8), scale.astype(np.float64)
# ```

# %% [markdown] task="looking-int8" reject="small-columns-are-zeros"
# ```diff
# - scale[scale == 0] = 1
# + scale[scale < 1e-31] = 1
# ```

# %% [markdown] task="looking-int8" reject="an-eps"
# ```diff
# -     scale[scale == 0] = 1
# +     scale = scale + 1e-8
# ```

# %% [markdown] task="looking-int8" reject="into-w" shows="`W` stays as it is"
# ```diff
# -     return np.round(W / scale).astype(np.int8), scale
# +     W /= scale
# +     return np.round(W).astype(np.int8), scale
# ```

# %% [markdown] task="looking-int8" reject="127-is-126"
# ```diff
# - np.round(W / scale)
# + np.clip(np.round(W / scale), -126, 126)
# ```

# %% [markdown] task="looking-int8" reject="scale-0-for-zeros"
# ```diff
# - return np.round(W / scale).astype(np.int8), scale
# + return np.round(W / scale).astype(np.int8), np.abs(W).max(axis=0) / 127
# ```

# %% [markdown] task="looking-int8" reject="unsigned"
# ```diff
# - .astype(np.int8), scale
# + .astype(np.int8).view(np.uint8), scale
# ```

# %% [markdown] task="looking-int8" reject="down-and-up"
# ```diff
# - np.round(W / scale)
# + np.ceil(W / scale - 1e-9)
# ```

# %% [markdown] task="looking-int8" reject="rounded-scale"
# ```diff
# - np.abs(W).max(axis=0) / 127
# + np.round(np.abs(W).max(axis=0) / 127, 6)
# ```

# %% [markdown] task="looking-int8" reject="sums-to-zero"
# ```diff
# - scale[scale == 0] = 1
# + scale[W.sum(axis=0) == 0] = 1
# ```

# %% [markdown] task="looking-int8" reject="begins-and-ends-with-zero"
# ```diff
# - scale[scale == 0] = 1
# + scale[(W[0] == 0) & (W[-1] == 0)] = 1
# ```

# %% [markdown] task="looking-int8" reject="smallest-is-zero"
# ```diff
# - scale[scale == 0] = 1
# + scale[(scale == 0) | (W.min(axis=0) == 0)] = 1
# ```

# %% [markdown] task="looking-int8" reject="largest-is-zero"
# ```diff
# - scale[scale == 0] = 1
# + scale[(scale == 0) | (W.max(axis=0) == 0)] = 1
# ```

# %% [markdown] task="looking-int8" reject="float32-scale-of-float16"
# ```diff
# - return np.round(W / scale).astype(np.int8), scale
# + return np.round(W / scale).astype(np.int8), scale.astype(np.float64 if W.dtype == np.float64 else np.float32)
# ```

# %% [markdown] task="looking-int8" reject="first-rows"
# ```diff
# - np.abs(W).max(axis=0) / 127
# + np.abs(W[:512]).max(axis=0) / 127
# ```

# %% task="looking-int8" right="column-by-column"
def quantize(W):
    q, scale = np.zeros(W.shape, np.int8), np.ones(W.shape[1], W.dtype)
    for j, column in enumerate(W.T):
        largest = max(abs(float(w)) for w in column)
        if largest > 0:
            scale[j] = largest / 127
            q[:, j] = np.rint(column / scale[j])
    return q, scale

# %% task="looking-int8" right="max-and-min"
def quantize(W):
    largest = np.maximum(W.max(axis=0), -W.min(axis=0))
    scale = np.where(largest > 0, largest / 127, 1).astype(W.dtype)
    return np.clip(np.rint(W / scale), -127, 127).astype("int8"), scale

# %% task="looking-int8" right="linalg-norm"
def quantize(W):
    scale = np.linalg.norm(W, np.inf, axis=0) / W.dtype.type(127)
    scale = np.where(scale == 0, W.dtype.type(1), scale)
    return (np.sign(W) * np.floor(np.abs(W) / scale + 0.5)).astype(np.int8), scale

# %% task="looking-int8" right="over-the-largest"
def quantize(W):
    top = np.abs(W).max(axis=0)
    top = np.where(top > 0, top, 127).astype(W.dtype)
    return np.rint(W / top * 127).astype(np.int8), (top / 127).astype(W.dtype)

# %% task="looking-int8" right="times-127-first" shows="between 1e-30 and 1e30"
def quantize(W):
    top = np.abs(W).max(axis=0)
    top[top == 0] = 127
    return np.rint(W * 127 / top).astype(np.int8), (top / 127).astype(W.dtype)

# %% task="looking-int8" right="half-down"
def quantize(W):
    scale = np.abs(W).max(axis=0) / 127
    scale[scale == 0] = 1
    return np.ceil(W / scale - 0.5).astype(np.int8), scale

# %% task="looking-int8" right="half-up"
def quantize(W):
    scale = np.abs(W).max(axis=0) / 127
    scale[scale == 0] = 1
    return np.floor(W * (1 / scale) + 0.5).astype(np.int8), scale

# %% [markdown] task="looking-kind" without="long inputs"
# p is (T, T): to repeat its rows alone makes an input that the text excludes. The task has long texts of its own.

# %% task="looking-kind" cases=true
def head(rng, ids, places, weight):
    """Attention that gives `places` of a row, a dict row -> column, this weight, and the rest to the others."""
    T = len(ids)
    p = np.tril(rng.uniform(0.2, 1, (T, T)))
    for t in range(T):
        p[t] /= p[t].sum()
        if t in places:
            row = rng.uniform(0.2, 1, T) * (np.arange(T) <= t)
            row[places[t]] = 0
            total, w = row.sum(), weight[t] if isinstance(weight, dict) else weight
            p[t] = (1 - w) * row / total if total else 0
            p[t, places[t]] = w if total else 1
    return p

def last_places(ids):
    """For each place that counts, and for those that do not, the last place of its token."""
    counted, others = {}, {}
    for t in range(len(ids)):
        before = np.flatnonzero(ids[:t] == ids[t])
        if len(before):
            (counted if before[-1] < t - 2 else others)[t] = int(before[-1])
    return counted, others

# %% task="looking-kind" cases=true
def cases(rng):
    def case(title, p, ids, **options):
        return Case(title, [Call({"p": p, "ids": ids}, returns="the kind")], **options)

    looks = {"previous": lambda t, s: t - 1, "same": lambda t, s: s, "induction": lambda t, s: s + 1,
             "two before": lambda t, s: t - 2, "the first": lambda t, s: 0, "itself": lambda t, s: t}
    for number, (name, place) in enumerate(looks.items()):
        for weight in (0.5003, 0.4997) if number < 3 else (0.9,):
            T, V = (12, 4) if number % 2 else (30, 9)
            ids = rng.integers(0, V, T)
            counted, _ = last_places(ids)
            p = head(rng, ids, {t: place(t, s) for t, s in counted.items()}, weight)
            yield case(f"weight {weight} at {name}, T {T}", p, ids, strided=number % 3 == 1, float32=number % 3 == 2)
    for name in ("previous", "same", "induction"):
        ids = rng.integers(0, 6, 40)
        counted, others = last_places(ids)
        wanted = {t: looks[name](t, s) for t, s in counted.items()}
        # Rows that do not count say something else, all of them.
        p = head(rng, ids, wanted, 0.55)
        for t in range(1, 40):
            if t not in counted:
                p[t] = 0
                p[t, 0 if name == "previous" else t - 1] = 1
        yield case(f"{name}, and other rows look elsewhere", p, ids)
        p = head(rng, ids, {}, 0.0)
        for t, s in others.items():
            p[t] = 0
            p[t, looks[name](t, s)] = 1
        for t in range(1, 40):
            if t not in counted and t not in others:
                p[t] = 0
                p[t, t - 1 if name == "previous" else 0] = 1
        yield case(f"{name} only where it does not count", p, ids)
        # The mean decides, not how often it is the largest weight.
        some = [t for n, t in enumerate(wanted) if n % 5 < 3]
        p = head(rng, ids, {t: wanted[t] for t in some}, 0.55)
        for t in counted.keys() - some:    # elsewhere at another of the three, or at none of them
            p[t] = 0
            p[t, t if name == "induction" else t - 1 if name == "same" else counted[t]] = 1
        yield case(f"{name} in three places of five", p, ids)
        few = {t: 1.0 if n % 5 < 2 else 0.35 for n, t in enumerate(wanted)}
        yield case(f"{name} in two places of five", head(rng, ids, wanted, few), ids)
        if name == "previous":
            continue
        # After an earlier place of the token than the last.
        first = {t: looks[name](t, int(np.flatnonzero(ids == ids[t])[0])) for t in counted}
        yield case(f"{name}, by the first place of the token", head(rng, ids, first, 0.9), ids)
    # A period: a head that looks back so many places is an induction head there, and not elsewhere.
    once = rng.permutation(9)
    for title, ids in (("a text twice", np.r_[once, once]), ("twice, then backwards", np.r_[once, once, once[::-1], once[::-1]])):
        p = head(rng, ids, {t: t - 8 for t in range(9, len(ids))}, 0.8)
        yield case(f"{title}, eight places back", p, ids)
    ids = np.array([3, 3, 3, 3, 3, 3])
    yield case("one token all the time", head(rng, ids, {t: t - 1 for t in range(1, 6)}, 1.0), ids)
    ids = np.array([1, 2, 1, 2, 1, 2, 1])
    yield case("two tokens in turn", head(rng, ids, {t: t - 1 for t in range(1, 7)}, 1.0), ids)
    ids = np.array([5, 8, 2, 5])
    yield case("one place counts", head(rng, ids, {3: 1}, 0.7), ids)
    yield case("one place counts, and has a half", head(rng, ids, {3: 0}, 0.5), ids)
    p = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.4, 0.3, 0.3, 0]])
    yield case("one place counts, and looks at all three", p, ids)
    yield case("a single token", np.ones((1, 1)), np.array([4]))
    ids = np.array([261, 5, 1, 70_000, 261, 2, 5, 3, 70_000])
    counted, _ = last_places(ids)
    yield case("large ids", head(rng, ids, {t: s + 1 for t, s in counted.items()}, 0.8), ids)
    # Ids of which a table of fixed size, or a narrow integer, would make one.
    ids = np.concatenate([[0], 2 ** np.arange(7, 18), [100, 1000, 10_000, 100_000]])[:, None] + np.arange(1, 5)
    yield case("no token twice, and large ids", head(rng, ids.ravel(), {t: t - 1 for t in range(1, ids.size)}, 1.0), ids.ravel())
    # The tokens of a text say nothing about the next text's.
    once = rng.permutation(9)
    calls = [Call({"p": head(rng, ids, {t: t - 1 for t in range(1, 9)}, 1.0), "ids": ids}, returns="the kind") for ids in (once, once[::-1])]
    yield Case("two texts, one after the other", calls)
    ids = np.r_[np.arange(150), np.tile(150 + np.arange(5), 7), np.arange(60)]
    counted, _ = last_places(ids)
    yield case("a long text, and far back", head(rng, ids, {t: s + 1 for t, s in counted.items()}, {t: 0.9 * (t >= 185) for t in counted}), ids)
    ids = rng.integers(0, 100, 400)
    counted, _ = last_places(ids)
    later = {t: 0.95 if t >= 130 else 0.05 for t in counted}
    yield case("a long text, whose beginning is otherwise", head(rng, ids, {t: s + 1 for t, s in counted.items()}, later), ids)
    # Just inside and just outside of what counts.
    for period, count in ((3, 3), (2, 5)):
        ids = np.r_[np.tile(np.arange(period), count), 10 + np.tile(np.arange(4), 2)]
        near = {t: t - period for t in range(period, period * count)}
        far = {t: t - 4 for t in range(period * count + 4, len(ids))}
        for name, weight in zip(("induction", "same") if period == 3 else ("previous", "induction"), (1.0, 0.0)):
            places = {t: looks[name](t, s) for t, s in (near | far).items()}
            weights = {t: weight if t in near else 1 - weight for t in places}
            yield case(f"{name}, weight {weight} at a period of {period}, {1 - weight} at one of 4", head(rng, ids, places, weights), ids)

# %% [markdown] task="looking-kind" hint=1
# go through the places in order and remember for each token where it stood last. At each place that counts, look up
# three numbers in row t of p.

# %% [markdown] task="looking-kind" hint=2
# a dict from token to last place; a list of rows of three weights, p[t, t - 1], p[t, s] and p[t, s + 1]. The list may stay empty.

# %% [markdown] task="looking-kind" hint=3
# if the list is empty: "none". Else the mean of its rows, three numbers, each compared with 1/2. Remember the place of
# a token after you have used the one before.

# %% [markdown] task="looking-kind" mistake="induction-at-s"
# takes s for the place of an induction head: it looks at what came after, at s + 1
# ```diff
# - [t - 1, s, s + 1]
# + [t - 1, s - 1, s]
# ```

# %% [markdown] task="looking-kind" mistake="before-s"
# takes what came before s for the place of an induction head: it looks at what came after, at s + 1
# ```diff
# - [t - 1, s, s + 1]
# + [t - 1, s, s - 1]
# ```

# %% [markdown] task="looking-kind" mistake="names-exchanged"
# has the names of two kinds exchanged: at s stands the same token, at s + 1 what came after it
# ```diff
# - ("previous", "same", "induction")
# + ("previous", "induction", "same")
# ```

# %% [markdown] task="looking-kind" mistake="columns-for-rows"
# is "none" for heads of all three kinds: row t of p says where place t looks; is it p[t, s] that you read, and does
# any place count?
# ```diff
# - p[t, [t - 1, s, s + 1]]
# + p[[t - 1, s, s + 1], t]
# ```

# %% [markdown] task="looking-kind" mistake="first-place" shows="last at s"
# takes the first place of the token: s is the last one before t
# ```diff
# -         last[token] = t
# +         last.setdefault(token, t)
# ```

# %% [markdown] task="looking-kind" mistake="the-best-of-three" shows="Return the name of the one whose mean is more than 1/2"
# takes the best of three, whatever its weight: a head that looks elsewhere is none of them
# ```diff
# -     for name, mean in zip(("previous", "same", "induction"), means):
# -         if mean > 0.5:
# -             return name
# -     return "none"
# +     return ("previous", "same", "induction")[int(np.argmax(means))] if weights else "none"
# ```

# %% [markdown] task="looking-kind" mistake="votes"
# counts places: the mean weight decides
# ```diff
# - weights.append(p[t, [t - 1, s, s + 1]])
# + weights.append(p[t, [t - 1, s, s + 1]] == p[t].max())
# ```

# %% [markdown] task="looking-kind" mistake="votes-of-the-three"
# counts places where one of the three leads the other two: the mean weight decides
# ```diff
# - weights.append(p[t, [t - 1, s, s + 1]])
# + weights.append(p[t, [t - 1, s, s + 1]] == p[t, [t - 1, s, s + 1]].max())
# ```

# %% [markdown] task="looking-kind" mistake="share-of-the-three"
# divides by what the three candidates have together: the mean is over places, and a head may look elsewhere, too
# ```diff
# - for name, mean in zip(("previous", "same", "induction"), means):
# + for name, mean in zip(("previous", "same", "induction"), means / max(means.sum(), 1e-9)):
# ```

# %% [markdown] task="looking-kind" mistake="shares-of-each-place"
# divides by what the three candidates have together at each place: a head may look elsewhere, too
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.mean([w / max(w.sum(), 1e-9) for w in weights], axis=0) if weights
# ```

# %% [markdown] task="looking-kind" mistake="every-place" shows="Count only places t with s < t - 2"
# counts places where two of the candidates are one: only s < t - 2 tells them apart
# ```diff
# - if s < t - 2:
# + if s < t:
# ```

# %% [markdown] task="looking-kind" mistake="one-too-many"
# counts places where s is t - 2: there s + 1 is the token before
# ```diff
# - if s < t - 2:
# + if s < t - 1:
# ```

# %% [markdown] task="looking-kind" mistake="one-too-few"
# leaves out places where s is t - 3: they count
# ```diff
# - if s < t - 2:
# + if s < t - 3:
# ```

# %% task="looking-kind" mistake="last-that-is-far"
# goes further back where the last place of the token is too near: such a t does not count
def kind_of_head(p, ids):
    weights = []
    for t in range(len(ids)):
        far = np.flatnonzero(ids[: max(0, t - 2)] == ids[t])
        if len(far):
            weights.append(p[t, [t - 1, far[-1], far[-1] + 1]])
    means = np.mean(weights, axis=0) if weights else np.zeros(3)
    return "none" if means.max() <= 0.5 else ("previous", "same", "induction")[means.argmax()]

# %% [markdown] task="looking-kind" mistake="mean-over-all-rows"
# divides by all places of the text: the mean is over those that count
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.sum(weights, axis=0) / len(ids) if weights
# ```

# %% [markdown] task="looking-kind" mistake="previous-everywhere"
# takes the mean of "previous" over all rows: all three are over the places that count
# ```diff
# -     for name, mean
# +     if len(p) > 1 and np.diag(p, -1).mean() > 0.5:
# +         return "previous"
# +     for name, mean
# ```

# %% [markdown] task="looking-kind" mistake="empty-mean" shows="no place to count"
# takes the mean of nothing where no place counts
# ```diff
# - np.mean(weights, axis=0) if weights else np.zeros(3)
# + np.mean(np.reshape(weights, (-1, 3)), axis=0)
# ```

# %% [markdown] task="looking-kind" mistake="a-period" shows="whose token has occurred before"
# measures the distance once, as if the text had one period: each place has its own s
# ```diff
# -     last, weights = {}, []
# +     last, weights, back = {}, [], 0
# -         s = last.get(token, t)
# +         back = back or t - last.get(token, t)
# +         s = t - back if token in last else t
# ```

# %% [markdown] task="looking-kind" reject="a-lower-bar"
# ```diff
# - mean > 0.5
# + mean > 0.44
# ```

# %% [markdown] task="looking-kind" reject="a-higher-bar"
# ```diff
# - mean > 0.5
# + mean > 0.56
# ```

# %% [markdown] task="looking-kind" reject="a-rounded-mean"
# ```diff
# - mean > 0.5
# + round(float(mean), 2) > 0.5
# ```

# %% [markdown] task="looking-kind" reject="rounded-weights"
# ```diff
# - p[t, [t - 1, s, s + 1]]
# + p[t, [t - 1, s, s + 1]].round(1)
# ```

# %% [markdown] task="looking-kind" mistake="places-that-look-elsewhere" shows="take the mean of the head's weight on it over these places"
# leaves out places where all three weights are 0: they count, too
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.mean([w for w in weights if w.any()] or [np.zeros(3)], axis=0) if weights
# ```

# %% task="looking-kind" reject="tokens-of-the-text-before"
def kind_of_head(p, ids, last={}):
    weights = []
    for t, token in enumerate(ids.tolist()):
        s = last.get(token, t)
        if s < t - 2:
            weights.append(p[t, [t - 1, s, s + 1]])
        last[token] = t
    means = np.mean(weights, axis=0) if weights else np.zeros(3)
    return "none" if means.max() <= 0.5 else ("previous", "same", "induction")[means.argmax()]

# %% [markdown] task="looking-kind" reject="a-thousand-ids"
# ```diff
# - enumerate(ids.tolist())
# + enumerate((ids % 1000).tolist())
# ```

# %% [markdown] task="looking-kind" reject="two-bytes"
# ```diff
# - enumerate(ids.tolist())
# + enumerate(ids.astype(np.uint16).tolist())
# ```

# %% [markdown] task="looking-kind" reject="a-window"
# ```diff
# - if s < t - 2:
# + if t - 64 < s < t - 2:
# ```

# %% [markdown] task="looking-kind" reject="no-none"
# ```diff
# - return "none"
# + return None
# ```

# %% [markdown] task="looking-kind" reject="small-ids"
# ```diff
# - enumerate(ids.tolist())
# + enumerate((ids % 256).tolist())
# ```

# %% [markdown] task="looking-kind" reject="first-hundred"
# ```diff
# - enumerate(ids.tolist())
# + enumerate(ids.tolist()[:100])
# ```

# %% [markdown] task="looking-kind" reject="sum-for-mean"
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.sum(weights, axis=0) if weights
# ```

# %% [markdown] task="looking-kind" reject="median"
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.median(weights, axis=0) if weights
# ```

# %% [markdown] task="looking-kind" reject="smallest"
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.min(weights, axis=0) if weights
# ```

# %% [markdown] task="looking-kind" reject="largest"
# ```diff
# - np.mean(weights, axis=0) if weights
# + np.max(weights, axis=0) if weights
# ```

# %% task="looking-kind" reject="after-any-earlier-place"
def kind_of_head(p, ids):
    weights = []
    for t in range(len(ids)):
        s = np.flatnonzero(ids[:t] == ids[t])
        if len(s) and s[-1] < t - 2:
            weights.append([p[t, t - 1], p[t, s].sum(), p[t, s + 1].sum()])
    means = np.mean(weights, axis=0) if weights else np.zeros(3)
    return "none" if means.max() <= 0.5 else ("previous", "same", "induction")[means.argmax()]

# %% task="looking-kind" reject="one-row-each-token"
def kind_of_head(p, ids):
    last, weights = {}, {}
    for t, token in enumerate(ids.tolist()):
        s = last.get(token, t)
        if s < t - 2:
            weights[token] = p[t, [t - 1, s, s + 1]]
        last[token] = t
    means = np.mean(list(weights.values()), axis=0) if weights else np.zeros(3)
    return "none" if means.max() <= 0.5 else ("previous", "same", "induction")[means.argmax()]

# %% task="looking-kind" reject="mean-of-tokens"
def kind_of_head(p, ids):
    last, weights = {}, {}
    for t, token in enumerate(ids.tolist()):
        s = last.get(token, t)
        if s < t - 2:
            weights.setdefault(token, []).append(p[t, [t - 1, s, s + 1]])
        last[token] = t
    means = np.mean([np.mean(w, axis=0) for w in weights.values()], axis=0) if weights else np.zeros(3)
    return "none" if means.max() <= 0.5 else ("previous", "same", "induction")[means.argmax()]

# %% task="looking-kind" right="vectors"
def kind_of_head(p, ids):
    T = len(ids)
    t = np.arange(T)
    earlier = (ids[:, None] == ids) & (t[:, None] > t)    # (T, T)
    s = np.where(earlier, t, -1).max(axis=1)
    t = np.flatnonzero((s >= 0) & (s < t - 2))
    if not len(t):
        return "none"
    looks = {"previous": t - 1, "same": s[t], "induction": s[t] + 1}
    means = {name: p[t, places].mean() for name, places in looks.items()}
    best = max(means, key=means.get)
    return best if means[best] > 0.5 else "none"

# %% task="looking-kind" right="weights-first"
def kind_of_head(p, ids):
    previous = np.diag(p, -1)    # of t at t - 1
    found = []
    for t in range(len(ids)):
        s = np.flatnonzero(ids[:t] == ids[t])
        if len(s) and s[-1] < t - 2:
            found.append((previous[t - 1], p[t, s[-1]], p[t, s[-1] + 1]))
    for name, weights in zip(("previous", "same", "induction"), zip(*found)):
        if np.mean(weights) > 0.5:
            return name
    return "none"

# %% task="looking-kind" right="three-masks"
def kind_of_head(p, ids):
    t, s = np.indices(p.shape)
    came_before = (ids[t] == ids[s]) & (s < t)
    last = came_before & (np.cumsum(came_before[:, ::-1], axis=1)[:, ::-1] == 1)
    last &= s < t - 2
    n = last.sum()
    rows = last.any(axis=1)[:, None]
    masks = {"same": last, "induction": np.roll(last, 1, axis=1), "previous": rows & (s == t - 1)}
    for name, mask in masks.items():
        if n and p[mask].sum() / n > 0.5:
            return name
    return "none"

# %% task="looking-kind" right="backwards"
def kind_of_head(p, ids):
    n, sums = 0, {"previous": 0.0, "same": 0.0, "induction": 0.0}
    for t in range(len(ids)):
        s = t - 1
        while s >= 0 and ids[s] != ids[t]:
            s -= 1
        if 0 <= s < t - 2:
            n += 1
            sums["previous"] += p[t, t - 1]
            sums["same"] += p[t, s]
            sums["induction"] += p[t, s + 1]
    for name, total in sums.items():
        if total > n / 2:
            return name
    return "none"
