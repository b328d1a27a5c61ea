# %%
OPTIONS = [{}, {"strided": True}, {"float32": True}]
DW = ("dW", "no np.add.at", "no map")

def named(options):
    return "".join(f", {name}" for name in options)

# %% task="speed-add-rows" cases=true
def cases(rng):
    # ids that come twice, ids that never come, the last and the first among them
    # ids too large for float16, and so many channels that a loop over them shows
    for N, n, C in [(200, 17, 3), (150, 4000, 2), (120, 5, 70), (1, 3, 2)]:
        for options in OPTIONS[:2]:
            n += bool(options)    # no two cases of one shape: what an answer keeps does not look like their doing
            ids = rng.choice(n, max(1, n - 3), replace=False)[rng.integers(0, max(1, n - 3), N)]
            yield Case(f"{N} ids below {n}, C = {C}{named(options)}",
                       [Call({"ids": ids, "dy": rng.normal(size=(N, C)), "n": n}, returns=DW)],
                       max_lines=60, **options)
    for ids in ([0, 0, 0, 2, 2, 4] * 20, [4, 3, 2, 1, 0] * 24):
        yield Case("ids in a pattern, n = 5",
                   [Call({"ids": np.array(ids), "dy": rng.normal(size=(120, 3)), "n": 5}, returns=DW)],
                   max_lines=60)
    # Each row is finite, and each sum; those of rows with different ids are not.
    for sign in (1, -1):
        ids, dy = rng.permutation(90) % 6, rng.normal(size=(90, 3))
        for i in (1, 2, 4):
            dy[np.flatnonzero(ids == i)[:1]] = sign * 1e308
        yield Case("huge rows of some ids", [Call({"ids": ids, "dy": dy, "n": 7}, returns=DW)], max_lines=60)

# %% task="speed-add-rows" reject="cumsum-diff"
def add_rows(ids, dy, n):
    order = np.argsort(ids, kind="stable")
    cum = np.zeros((len(ids) + 1, dy.shape[1]), dy.dtype)
    with np.errstate(all="ignore"):
        np.cumsum(dy[order], axis=0, out=cum[1:])
        return np.diff(cum[np.searchsorted(ids[order], np.arange(n + 1))], axis=0)

# %% [markdown] task="speed-add-rows" hint=1
# once equal ids stand side by side, each id is one run, and a run is known by where it begins.

# %% [markdown] task="speed-add-rows" hint=2
# argsort gives an order, (N,), that both ids and dy are put into. A run begins at place 0 and wherever
# an id differs from the one before. There is one start, and one sum, for each different id.

# %% [markdown] task="speed-add-rows" hint=3
# sort; find the starts with np.diff and np.flatnonzero; let np.add.reduceat add the sorted rows of dy
# from start to start; write the sums into zeros, at the rows that the ids at the starts name.

# %% [markdown] task="speed-add-rows" mistake="loop" shows="and without a loop"
# add row after row in Python: sort, and let reduceat add whole runs
# ```diff
# -     order = np.argsort(ids, kind="stable")
# +     dW = np.zeros((n, dy.shape[1]), dy.dtype)
# +     for i, row in zip(ids, dy):
# +         dW[i] += row
# +     return dW
# ```

# %% [markdown] task="speed-add-rows" mistake="brackets"
# counts a repeated id once: brackets with += write the last row only
# ```diff
# -     order = np.argsort(ids, kind="stable")
# +     dW = np.zeros((n, dy.shape[1]), dy.dtype)
# +     dW[ids] += dy
# +     return dW
# ```

# %% [markdown] task="speed-add-rows" mistake="not-sorted"
# adds only neighbors with equal ids, and of several runs of an id keeps the last: sort first
# ```diff
# - np.argsort(ids, kind="stable")
# + np.arange(len(ids))
# ```

# %% [markdown] task="speed-add-rows" mistake="dy-not-sorted"
# has the ids in order but the rows of dy as they came: both need the same order
# ```diff
# - np.add.reduceat(dy[order], starts)
# + np.add.reduceat(dy, starts)
# ```

# %% [markdown] task="speed-add-rows" mistake="first-run-lost"
# lacks the first run: it begins at place 0, where no id differs from one before
# ```diff
# - np.flatnonzero(np.diff(in_order, prepend=-1))
# + np.flatnonzero(np.diff(in_order, prepend=in_order[0]))
# +     if not len(starts):
# +         return np.zeros((n, dy.shape[1]), dy.dtype)
# ```

# %% [markdown] task="speed-add-rows" mistake="ends"
# cuts each run before its last row: a start is where an id differs from the one before, not from the
# one after
# ```diff
# - np.diff(in_order, prepend=-1)
# + np.diff(in_order, append=n)
# ```

# %% [markdown] task="speed-add-rows" mistake="side-by-side"
# puts the sums side by side: a sum belongs into the row of its id, and some ids never come
# ```diff
# - dW[in_order[starts]] =
# + dW[: len(starts)] =
# ```

# %% [markdown] task="speed-add-rows" mistake="mean"
# is the mean of each id's rows: gradients add up
# ```diff
# -     return dW
# +     return dW / np.maximum(np.bincount(ids, minlength=n), 1)[:, None]
# ```

# %% task="speed-add-rows" reject="add-at" shows="without `np.add.at`"
def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    np.add.at(dW, ids, dy)
    return dW

# %% task="speed-add-rows" right="one-hot"
def add_rows(ids, dy, n):
    return (np.arange(n)[:, None] == ids) @ dy

# %% task="speed-add-rows" right="bincount" shows="any other way without a loop is right"
def add_rows(ids, dy, n):
    C = dy.shape[1]
    places = ids[:, None] * C + np.arange(C)
    return np.bincount(places.ravel(), weights=dy.ravel(), minlength=n * C).reshape(n, C)

# %% task="speed-add-rows" reject="loop-over-channels" shows="and without a loop"
def add_rows(ids, dy, n):
    columns = [np.bincount(ids, weights=column, minlength=n) for column in dy.T]
    return np.stack(columns, axis=1)

# %% task="speed-add-rows" reject="map"
def add_rows(ids, dy, n):
    import functools, operator
    masks = map(functools.partial(operator.eq, ids), range(n))
    return np.array(list(map(functools.partial(np.sum, axis=0), map(dy.__getitem__, masks))))

# %% task="speed-add-rows" reject="ids-in-float16"
def add_rows(ids, dy, n):
    far = np.abs(ids.astype(np.float16) - np.arange(n, dtype=np.float16)[:, None])
    return (far < 0.5) @ dy

# %% task="speed-add-rows" right="unique"
def add_rows(ids, dy, n):
    order = np.argsort(ids)
    seen, starts = np.unique(ids[order], return_index=True)
    dW = np.zeros((n, dy.shape[1]))
    dW[seen] += np.add.reduceat(dy[order], starts, axis=0)
    return dW

# %% task="speed-add-rows" reject="loop-over-ids"
def add_rows(ids, dy, n):
    return np.array([dy[ids == i].sum(axis=0) for i in range(n)])

# %% [markdown] task="speed-add-rows" reject="sorted-dy"
# ```diff
# - dy[order]
# + np.sort(dy, axis=0)
# ```

# %% task="speed-add-rows" reject="subtract-at"
def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    np.subtract.at(dW, ids, -dy)
    return dW

# %% task="speed-add-rows" reject="ufunc-alias"
def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    add = np.add
    add.at(dW, ids, dy)
    return dW

# %% task="speed-add-rows" mistake="cumsum" shows="Large rows of one id may not change the sum of another"
# adds up over all ids and takes differences: where the running sum is large, small rows are lost in it, and
# it may overflow; add each run by itself
def add_rows(ids, dy, n):
    order = np.argsort(ids, kind="stable")
    sums = np.vstack([np.zeros((1, dy.shape[1])), np.cumsum(dy[order], axis=0)])
    ends = np.searchsorted(ids[order], np.arange(n), side="right")
    starts = np.searchsorted(ids[order], np.arange(n), side="left")
    return sums[ends] - sums[starts]

# %% task="speed-gelu" cases=true
def cases(rng):
    for N, C in [(60, 70), (50, 90), (80, 60)]:
        for options in OPTIONS:
            x = rng.normal(0, 2, (N, C))
            x[1, :4] = [30, -30, 5e-324, 1e-45]    # far out, and so small that a half of it is 0
            size = x.nbytes // 2 if options.get("float32") else x.nbytes
            yield Case(f"x of shape {(N, C)}{named(options)}", [Call({"x": x}, returns="y")],
                       max_bytes=round(2.4 * size), dtypes=True, **options)
        if N == 50:    # where y is nearly 0 or nearly x: beside larger numbers, what is missing does not show
            for x in (rng.uniform(-5.5, -4.9, (N, C)), rng.uniform(4.9, 5.1, (N, C))):
                yield Case(f"x near {round(x[0, 0])}", [Call({"x": x}, returns="y")], max_bytes=round(2.4 * x.nbytes))

# %% [markdown] task="speed-gelu" hint=1
# make one array of your own, and let every later step write into it.

# %% [markdown] task="speed-gelu" hint=2
# u is x times (a + a c x²): it can be built from x² with *= and +=. np.tanh takes out=, where the
# result goes.

# %% [markdown] task="speed-gelu" hint=3
# square x into u; multiply by a times c, add a, multiply by x; tanh from u into u; add one, multiply by
# x and by one half.

# %% [markdown] task="speed-gelu" mistake="in-x" shows="`x` must stay as it is"
# uses x for its own arrays: the first step must make a new one
# ```diff
# -     u = x * x
# +     u = x
# +     u *= x
# ```

# %% task="speed-gelu" mistake="as-written" shows=["At no time may your code have more than two arrays", "with at most two new arrays at a time"]
# is too much: as the equation stands, each sign makes a new array; write into your own with *= and out=,
# and keep none of them for the next call
def gelu(x):
    return 0.5 * x * (1 + np.tanh(a * (x + c * x * x * x)))

# %% [markdown] task="speed-gelu" mistake="float64" shows="In float32, too: y has the dtype of `x`"
# is float64 where x is float32, and takes twice the memory: keep the dtype of x; a number of NumPy's that is
# float64, such as np.sqrt(2 / np.pi), makes what it touches so, one of Python's does not
# ```diff
# - u = x * x
# + u = x.astype(np.float64)
# +     u *= u
# ```

# %% [markdown] task="speed-gelu" mistake="no-a"
# lacks the factor √(2/π) of u
# ```diff
# -     u *= a * c
# -     u += a
# +     u *= c
# +     u += 1
# ```

# %% [markdown] task="speed-gelu" mistake="a-on-x-only"
# has a on x alone: it multiplies both terms of u
# ```diff
# - u *= a * c
# + u *= c
# ```

# %% [markdown] task="speed-gelu" mistake="a-on-cube-only"
# has a on x³ alone: it multiplies both terms of u
# ```diff
# - u += a
# + u += 1
# ```

# %% [markdown] task="speed-gelu" mistake="no-half"
# is twice as large as it should be: the factor 1/2 is missing
# ```diff
# -     u *= 0.5
# ```

# %% [markdown] task="speed-gelu" mistake="cube-is-square"
# has x² where x³ is due: u needs another factor x
# ```diff
# -     u *= a * c
# -     u += a
# -     u *= x    # a (x + c x³)
# +     u *= c
# +     u += x
# +     u *= a
# ```

# %% [markdown] task="speed-gelu" mistake="no-one"
# lacks the 1 that is added to the tanh
# ```diff
# -     u += 1
# ```

# %% [markdown] task="speed-gelu" reject="zero-far-out"
# ```diff
# -     return u
# +     u[x < -5] = 0
# +     return u
# ```

# %% [markdown] task="speed-gelu" reject="x-far-out"
# ```diff
# -     return u
# +     u[x > 5] = x[x > 5]
# +     return u
# ```

# %% task="speed-gelu" right="two-arrays"
def gelu(x):
    y, t = x * x, np.empty_like(x)
    y *= c
    y += 1
    np.multiply(y, x, out=y)
    y *= a
    np.tanh(y, out=t)
    t += 1
    np.multiply(t, x, out=y)
    y /= 2
    return y

# %% task="speed-gelu" right="row-by-row"
def gelu(x):
    y = np.empty_like(x)
    for row, out in zip(x, y):
        out[:] = 0.5 * row * (1 + np.tanh(a * (row + c * row**3)))
    return y

# %% task="speed-gelu" right="copy-first"
def gelu(x):
    y = x.copy()
    y **= 2
    y *= c
    y += 1
    y *= x
    y *= a
    np.tanh(y, y)
    y += 1
    y *= x
    y *= 0.5
    return y

# %% [markdown] task="speed-gelu" reject="float64-on-the-way"
# ```diff
# - u = x * x
# + u = (x * np.float64(1)) * x
# -     return u
# +     return u.astype(np.float64) + np.zeros(u.shape)
# ```

# %% task="speed-gelu" reject="kept" shows="At no time may your code have more than two arrays"
KEPT = []

def gelu(x):
    u = x * x
    KEPT.append(u)
    y = u * c
    y += 1
    y *= x
    y *= a
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= 0.5
    return y

# %% task="speed-gelu" reject="buffers-of-its-own" shows="At no time may your code have more than two arrays"
def gelu(x):
    if getattr(gelu, "u", np.empty(0)).shape != x.shape or gelu.u.dtype != x.dtype:
        gelu.u, gelu.v = np.empty_like(x), np.empty_like(x)
    u, v = gelu.u, gelu.v
    np.multiply(x, x, out=u)
    u *= a * c
    u += a
    u *= x
    np.tanh(u, out=v)
    v += 1
    v *= x
    return 0.5 * v

# %% task="speed-gelu" reject="tanh-by-hand"
def gelu(x):
    with np.errstate(all="ignore"):
        u = x * x
        u *= 2 * a * c
        u += 2 * a
        u *= x
        np.exp(u, out=u)    # tanh u = (e - 1) / (e + 1) with e = exp(2u)
        t = u - 1
        u += 1
        t /= u
        t += 1
        t *= x
        t *= 0.5
        return t

# %% [markdown] task="speed-gelu" reject="x-halved-and-doubled" shows="`x` must stay as it is"
# ```diff
# -     u *= x
# -     u *= 0.5
# +     x *= 0.5
# +     u *= x
# +     x *= 2
# ```

# %% task="speed-gelu" reject="sigmoid-form"
def gelu(x):
    u = np.exp(-1.702 * x)
    u += 1
    np.divide(x, u, out=u)
    return u

# %% task="speed-blocks" cases=true
def cases(rng):
    for T, D, size in [(7, 3, 3), (300, 2, 50), (301, 5, 60), (96, 4, 96), (240, 3, 4), (5, 2, 1), (4, 3, 9), (64, 3, 16),
                       (23, 3, 5), (162, 3, 100), (21, 4, 6)]:
        for options in OPTIONS[: {7: 3, 162: 1}.get(T, 2)]:
            q, k, v = rng.normal(0, 1.5, (3, T, D))
            late, large, larger = T == 64, T == 21, T == 23
            if large:    # all scores near 1000: exp of them overflows; or all below what a mask of -1e4 adds
                q[:, 0], k[:, 0] = -50_000 if options else 2000, 1
            if larger:    # for half of the queries, the later a key the larger its score, by hundreds of thousands
                q[:, 0], k[:, 0] = rng.permutation(np.arange(T) % 2 * 2 - 1), (1 + np.arange(T) // 2) * 400_000
            if late:    # the last block may look at these, no other: each of its queries sees one
                k[-size:] = v[-size:] = np.nan
            blocks = -(-T // size)
            # Room for keys in blocks: 16 lines for each pair of blocks. With 6 blocks of 50 queries that
            # is far from 300 times the lines of a loop over single queries; where blocks are many, it is not.
            pairs = blocks * (blocks + 1) // 2
            lines = 40 + 22 * blocks + 16 * pairs if size >= 50 else 0
            # Five blocks of scores, where each step has a name of its own, and masks of theirs; the result, and what
            # Python needs. With a large block and a small one, all keys are half as many again as those that count.
            ends = [min(start + size, T) for start in range(0, T, size)]
            largest = max((end - start) * end for start, end in zip([0, *ends], ends))
            room = (5 * 8 + 4) * largest + 2 * q.nbytes + 10_000
            said = ", the last keys are nan" * late + ", large scores" * large + ", larger scores of later keys" * larger
            yield Case(f"T = {T}, D = {D}, blocks of {size}{said}{named(options)}",
                       [Call({"q": q, "k": k, "v": v, "size": size}, returns="the output")],
                       max_lines=lines, max_bytes=room, dtypes=True, **options)

# %% [markdown] task="speed-blocks" hint=1
# a block of queries is attention with fewer queries than keys: those of the block, and all up to its end.

# %% [markdown] task="speed-blocks" hint=2
# for queries start to end the scores are (end - start, end). Row r of a block is query start + r: it sees
# the columns up to start + r, so the diagonal of the mask is moved by start.

# %% [markdown] task="speed-blocks" hint=3
# loop over the starts, size apart; the end is the start plus size, at most T; scores of the block's
# queries with the keys before the end, scaled; minus infinity above the moved diagonal; softmax; times
# the values before the end.

# %% task="speed-blocks" mistake="all-at-once" shows="Only scores and masks of a few blocks may be in use at a time"
# is too much: all scores are in use at a time, those of the future, too
def attention_in_blocks(q, k, v, size):
    scores = q @ k.T / math.sqrt(q.shape[1])
    scores += np.triu(np.full(scores.shape, -np.inf), 1)
    return softmax(scores) @ v

# %% [markdown] task="speed-blocks" mistake="no-mask"
# lets a query see the later keys of its own block: mask them
# ```diff
# -         scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# ```

# %% [markdown] task="speed-blocks" mistake="mask-not-moved"
# masks the past: row 0 of a block is query `start`, so the diagonal moves by start
# ```diff
# - scores.dtype), start + 1)
# + scores.dtype), 1)
# ```

# %% [markdown] task="speed-blocks" mistake="not-itself"
# does not let a query see its own key: j goes up to i, i included
# ```diff
# - scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# + future = np.arange(end) >= np.maximum(np.arange(start, end), 1)[:, None]
# +         scores[future] = -np.inf
# ```

# %% [markdown] task="speed-blocks" mistake="one-later"
# lets a query see the key after its own: j goes up to i, and no further
# ```diff
# - scores.dtype), start + 1)
# + scores.dtype), start + 2)
# ```

# %% [markdown] task="speed-blocks" mistake="mask-subtracted"
# hides later keys by a number that is taken away: where scores are larger than that, they count all the same;
# make them minus infinity
# ```diff
# - np.full(scores.shape, -np.inf, scores.dtype)
# + np.full(scores.shape, -1e4, scores.dtype)
# ```

# %% [markdown] task="speed-blocks" reject="mask-of-all" shows="Only scores and masks of a few blocks may be in use at a time"
# ```diff
# - out = np.empty_like(q)
# + out = np.empty_like(q)
# +     future = np.tri(T, dtype=bool) == 0
# - scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# + scores[future[start:end, :end]] = -np.inf
# ```

# %% task="speed-blocks" reject="later-keys-wiped-out" shows="of the keys only those up to the last query of the block"
def attention_in_blocks(q, k, v, size):
    T, D = q.shape
    out = np.empty_like(q)
    for start in range(0, T, size):
        end = min(start + size, T)
        scores = q[start:end] @ k.T / math.sqrt(D)
        future = np.arange(T) > np.arange(start, end)[:, None]
        values = np.where(np.arange(T)[:, None] < end, v, 0)
        out[start:end] = softmax(np.where(future, -np.inf, scores)) @ values
    return out

# %% [markdown] task="speed-blocks" mistake="float64" shows="so is the result, of their dtype"
# is float64 where q, k and v are float32: keep their dtype; an array that is made without one, and a number of
# NumPy's such as np.sqrt(D), make what they touch float64
# ```diff
# - np.empty_like(q)
# + np.empty(q.shape)
# ```

# %% [markdown] task="speed-blocks" mistake="no-scale"
# lacks the 1/√D
# ```diff
# -         scores *= 1 / math.sqrt(D)
# ```

# %% [markdown] task="speed-blocks" mistake="own-block-only"
# looks at the keys of the query's own block only: the past belongs to it, too
# ```diff
# - q[start:end] @ k[:end].T
# + q[start:end] @ k[start:end].T
# - scores.dtype), start + 1)
# + scores.dtype), 1)
# - softmax(scores) @ v[:end]
# + softmax(scores) @ v[start:end]
# ```

# %% [markdown] task="speed-blocks" mistake="last-block-lost" shows="the last block may be smaller"
# lacks the last block where T is no multiple of the size
# ```diff
# - np.empty_like(q)
# + np.zeros_like(q)
# - range(0, T, size)
# + range(0, T - size + 1, size)
# ```

# %% [markdown] task="speed-blocks" mistake="over-queries"
# is normalized over the queries of a block: the weights of each query sum to 1, over the keys
# ```diff
# - scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# + scores += np.triu(np.full(scores.shape, -1e30, scores.dtype), start + 1)
# - softmax(scores)
# + softmax(scores, axis=0)
# ```

# %% task="speed-blocks" right="boolean-mask"
def attention_in_blocks(q, k, v, size):
    T, D = q.shape
    parts = []
    for start in range(0, T, size):
        rows = np.arange(start, min(start + size, T))
        s = q[rows] @ k[: rows[-1] + 1].T / math.sqrt(D)
        s[np.arange(s.shape[1]) > rows[:, None]] = -np.inf
        parts.append(softmax(s) @ v[: rows[-1] + 1])
    return np.concatenate(parts)

# %% task="speed-blocks" right="exp-by-hand"
def attention_in_blocks(q, k, v, size):
    scaled, out = q / q.shape[1] ** 0.5, []
    for i in range(0, len(q), size):
        block = scaled[i : i + size]
        end = i + len(block)
        w = block @ k[:end].T
        w[np.tri(len(block), end, i) == 0] = -np.inf
        w -= w.max(axis=1, keepdims=True)
        np.exp(w, out=w)
        out.append(w @ v[:end] / w.sum(axis=1, keepdims=True))
    return np.vstack(out)

# %% task="speed-blocks" mistake="maximum-of-all"
# subtracts the largest score of the row, those of later keys among them: beside a large one of the future,
# all that count become 0; mask first
def attention_in_blocks(q, k, v, size):
    scaled, out = q / q.shape[1] ** 0.5, []
    for i in range(0, len(q), size):
        block = scaled[i : i + size]
        end = i + len(block)
        w = block @ k[:end].T
        w -= w.max(axis=1, keepdims=True)
        np.exp(w, out=w)
        w *= np.tri(len(block), end, i)
        out.append(w @ v[:end] / w.sum(axis=1, keepdims=True))
    return np.vstack(out)

# %% task="speed-blocks" reject="maximum-of-the-block"
def attention_in_blocks(q, k, v, size):
    T, D = q.shape
    out = np.empty_like(v)
    for s in range(0, T, size):
        e = min(s + size, T)
        z = q[s:e] @ k[:e].T / math.sqrt(D)
        p = np.exp(z - z[np.isfinite(z)].max())
        p[np.arange(e) > np.arange(s, e)[:, None]] = 0
        with np.errstate(all="ignore"):
            out[s:e] = p @ v[:e] / p.sum(1, keepdims=True)
    return out

# %% task="speed-blocks" right="each-step-named"
def attention_in_blocks(q, k, v, size):
    T, D = q.shape
    out = np.empty_like(v)
    for s in range(0, T, size):
        e = min(s + size, T)
        scores = q[s:e] @ k[:e].T / math.sqrt(D)
        future = np.arange(e) > np.arange(s, e)[:, None]
        z = np.where(future, -np.inf, scores)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        out[s:e] = p / p.sum(axis=1, keepdims=True) @ v[:e]
    return out

# %% task="speed-blocks" right="last-block-first"
def attention_in_blocks(q, k, v, size):
    out = np.zeros(q.shape, q.dtype)
    for i in reversed(range(0, len(q), size)):
        rows = slice(i, i + size)
        end = min(i + size, len(q))
        scores = np.einsum("id,jd->ij", q[rows], k[:end]) / np.sqrt(q.shape[-1])
        future = np.tri(*scores.shape, i) == 0
        out[rows] = softmax(np.where(future, -np.inf, scores)) @ v[:end]
    return out

# %% task="speed-blocks" reject="query-by-query" shows="no loop may run over single queries"
def attention_in_blocks(q, k, v, size):
    out = np.empty_like(q)
    for i in range(len(q)):
        seen = slice(0, i + 1)
        scores = q[i] @ k[seen].T
        scores = scores / math.sqrt(q.shape[1])
        weights = softmax(scores)
        out[i] = weights @ v[seen]
    return out

# %% task="speed-blocks" reject="exp-overflows"
def attention_in_blocks(q, k, v, size):
    out = np.empty_like(q)
    for i in range(0, len(q), size):
        block = q[i : i + size]
        end = i + len(block)
        w = np.exp(block @ k[:end].T / q.shape[1] ** 0.5) * np.tri(len(block), end, i)
        out[i:end] = (w / w.sum(axis=1, keepdims=True)) @ v[:end]
    return out

# %% [markdown] task="speed-blocks" reject="window-of-two-blocks"
# ```diff
# - softmax(scores) @ v[:end]
# + softmax(np.where(np.arange(end) < start - size, -np.inf, scores)) @ v[:end]
# ```

# %% [markdown] task="speed-blocks" reject="all-keys" shows=["of the keys only those up to the last query of the block", "what comes later, even nan, may not count"]
# ```diff
# - scores = q[start:end] @ k[:end].T
# + scores = q[start:end] @ k.T
# - softmax(scores) @ v[:end]
# + softmax(scores) @ v
# ```

# %% [markdown] task="speed-blocks" reject="mask-that-leaks"
# ```diff
# - scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# + scores[np.triu(np.ones(scores.shape, bool), start + 1)] = -100
# ```

# %% [markdown] task="speed-blocks" reject="mask-that-leaks-less"
# ```diff
# - scores += np.triu(np.full(scores.shape, -np.inf, scores.dtype), start + 1)
# + scores[np.triu(np.ones(scores.shape, bool), start + 1)] = -1e4
# ```

# %% task="speed-blocks" right="online"
def attention_in_blocks(q, k, v, size):
    T, D = q.shape
    out = np.empty_like(q)
    for start in range(0, T, size):
        end = min(start + size, T)
        top = np.full((end - start, 1), -np.inf)
        total = np.zeros((end - start, 1))
        mixed = np.zeros((end - start, D))
        for first in range(0, end, size):
            last = min(first + size, end)
            s = q[start:end] @ k[first:last].T / math.sqrt(D)
            late = np.arange(first, last)[None] > np.arange(start, end)[:, None]
            s[late] = -np.inf
            new = np.maximum(top, s.max(axis=1, keepdims=True))
            e = np.exp(s - new)
            shrink = np.exp(top - new)
            total = total * shrink + e.sum(axis=1, keepdims=True)
            mixed = mixed * shrink + e @ v[first:last]
            top = new
        out[start:end] = mixed / total
    return out

# %% task="speed-shares" cases=true
def cases(rng):
    for N, C, V, edges in [
        (12, 3, 5, [0, 2, 3, 12]), (7, 2, 3, [0, 7]), (9, 4, 2, [0, 3, 6, 9]), (5, 3, 4, [0, 1, 2, 3, 4, 5]),
        (200, 3, 40, [*range(0, 190, 10), 183, 200]), (150, 2, 50, [0, 1, 20, 40, 60, 80, 100, 120, 140, 150]),
        (8, 3, 4, [0, 3, 8]),
    ]:
        for options in OPTIONS[:2]:
            large = N == 8    # logits of thousands: exp of them overflows
            args = {"W": rng.normal(size=(C, V)) * (3000 if large else 1), "x": rng.normal(size=(N, C)),
                    "y": rng.integers(0, V, N), "edges": edges}
            largest = max(np.diff(edges))
            # Room for a few logits of a piece, for all gradients at once, as np.average wants them, and for x.
            room = 8 * V * (5 * largest + 4 * C * len(edges)) + 8 * N * C + 12_000
            # 25 lines for each piece, far from what a loop over all rows needs.
            lines = 100 + 25 * len(edges) if N >= 150 else 0
            yield Case(f"N = {N}, C = {C}, V = {V}, edges {edges if len(edges) < 6 else 'up to 20 apart'}" + ", large logits" * large + named(options),
                       [Call(args, returns=("loss", "dW"))], max_lines=lines, max_bytes=room, **options)

# %% [markdown] task="speed-shares" hint=1
# a mean over all rows is not the mean of the pieces' means: a piece counts by its size.

# %% [markdown] task="speed-shares" hint=2
# the loss is a number, dW is like W. The share of a piece is its number of rows over N; all shares sum
# to 1.

# %% [markdown] task="speed-shares" hint=3
# for each pair of neighboring edges: loss and gradient of these rows, both times the share, added up.

# %% [markdown] task="speed-shares" mistake="mean-of-means" shows="the pieces may differ in size"
# gives each piece the same weight: a piece counts by its number of rows
# ```diff
# - (stop - start) / len(x)
# + 1 / (len(edges) - 1)
# ```

# %% [markdown] task="speed-shares" mistake="no-share"
# adds the means of the pieces as they are: each must be multiplied by its share
# ```diff
# - (stop - start) / len(x)
# + 1
# ```

# %% [markdown] task="speed-shares" mistake="loss-only"
# has no share: the gradient of a piece is multiplied by the share as its loss is
# ```diff
# - dW += share * piece_dW
# + dW += piece_dW
# ```

# %% [markdown] task="speed-shares" mistake="gradient-only"
# has no share: the loss of a piece is multiplied by the share as its gradient is
# ```diff
# - loss += share * piece_loss
# + loss += piece_loss
# ```

# %% [markdown] task="speed-shares" mistake="share-twice"
# has the square of the share: multiply once
# ```diff
# - dW += share * piece_dW
# + dW += share**2 * piece_dW
# - loss += share * piece_loss
# + loss += share**2 * piece_loss
# ```

# %% [markdown] task="speed-shares" mistake="sum-over-rows"
# is multiplied by the number of rows and divided by nothing: the sum is still to be divided by N
# ```diff
# - (stop - start) / len(x)
# + stop - start
# ```

# %% [markdown] task="speed-shares" mistake="last-piece"
# is that of the last piece alone: add up
# ```diff
# - loss += share * piece_loss
# + loss = share * piece_loss
# - dW += share * piece_dW
# + dW = share * piece_dW
# ```

# %% [markdown] task="speed-shares" mistake="first-left-out"
# leaves the first piece out: there is one piece fewer than edges, not two
# ```diff
# - zip(edges[:-1], edges[1:])
# + zip(edges[1:-1], edges[2:])
# ```

# %% [markdown] task="speed-shares" mistake="whole" shows="the check does not leave memory for the logits of all"
# is too much: the logits of all rows are in use at a time
# ```diff
# -     loss, dW = 0.0, np.zeros_like(W)
# +     return loss_and_gradient(W, x, y)
# ```

# %% task="speed-shares" right="weighted-at-the-end"
def in_shares(W, x, y, edges):
    sizes = np.diff(edges)
    pieces = [loss_and_gradient(W, x[b - n : b], y[b - n : b]) for b, n in zip(edges[1:], sizes)]
    loss = sum(n * piece[0] for n, piece in zip(sizes, pieces)) / len(x)
    return loss, sum(n * piece[1] for n, piece in zip(sizes, pieces)) / len(x)

# %% task="speed-shares" right="sum-then-divide"
def in_shares(W, x, y, edges):
    loss, dW = 0.0, np.zeros(W.shape)
    for i in range(len(edges) - 1):
        rows = slice(edges[i], edges[i + 1])
        l, d = loss_and_gradient(W, x[rows], y[rows])
        loss += l * len(y[rows])
        dW += d * len(y[rows])
    return loss / edges[-1], dW / edges[-1]

# %% task="speed-shares" right="running-mean"
def in_shares(W, x, y, edges):
    loss, dW = 0.0, 0.0
    for start, stop in zip(edges, edges[1:]):
        l, d = loss_and_gradient(W, x[start:stop], y[start:stop])
        loss += (l - loss) * (stop - start) / stop
        dW = dW + (d - dW) * (stop - start) / stop
    return loss, dW

# %% task="speed-shares" right="average"
def in_shares(W, x, y, edges):
    pieces = [loss_and_gradient(W, x[a:b], y[a:b]) for a, b in zip(edges[:-1], edges[1:])]
    losses, gradients = zip(*pieces)
    sizes = np.diff(edges)
    return np.average(losses, weights=sizes), np.average(gradients, axis=0, weights=sizes)

# %% task="speed-shares" reject="row-by-row" shows="Call `loss_and_gradient` on one piece at a time"
def in_shares(W, x, y, edges):
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(len(y)):
        l, d = loss_and_gradient(W, x[i : i + 1], y[i : i + 1])
        loss += l / len(y)
        dW += d / len(y)
    return loss, dW

# %% task="speed-shares" reject="all-like-the-first" shows="the pieces may differ in size"
def in_shares(W, x, y, edges):
    loss, dW, size = 0.0, np.zeros_like(W), edges[1]
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        share = len(x[rows]) / len(x)
        piece_loss, piece_dW = loss_and_gradient(W, x[rows], y[rows])
        loss += share * piece_loss
        dW += share * piece_dW
    return loss, dW

# %% task="speed-shares" reject="softmax-by-hand" shows="Call `loss_and_gradient` on one piece at a time"
def in_shares(W, x, y, edges):
    loss, dW = 0.0, np.zeros_like(W)
    for a, b in zip(edges[:-1], edges[1:]):
        rows = np.arange(b - a)
        with np.errstate(all="ignore"):
            p = np.exp(x[a:b] @ W)
            p /= p.sum(axis=1, keepdims=True)
            loss -= np.log(p[rows, y[a:b]]).sum() / len(y)
        p[rows, y[a:b]] -= 1
        dW += x[a:b].T @ p / len(y)
    return loss, dW

# %% [markdown] task="speed-shares" reject="share-of-the-rest"
# ```diff
# - (stop - start) / len(x)
# + (stop - start) / stop
# ```

# %% [markdown] task="speed-shares" reject="one-row-early" shows="up to, but without, `edges[i + 1]`"
# ```diff
# - x[start:stop], y[start:stop])
# + x[start:stop - 1] if stop - start > 1 else x[start:stop], y[start:stop - 1] if stop - start > 1 else y[start:stop])
# ```

# %% task="speed-add-rows" reject="add-at-in-a-helper"
def helper(dW, ids, dy):
    np.add.at(dW, ids, dy)

def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    helper(dW, ids, dy)
    return dW

# %% task="speed-add-rows" reject="add-at-by-another-name"
add_at = np.add.at

def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    add_at(dW, ids, dy)
    return dW

# %% task="speed-add-rows" reject="add-at-inside"
def add_rows(ids, dy, n):
    dW = np.zeros((n, dy.shape[1]))
    (lambda: np.add.at(dW, ids, dy))()
    return dW

# %% [markdown] task="speed-blocks" reject="one-key-too-many"
# ```diff
# - k[:end].T
# + k[: end + 1].T
# - v[:end]
# + v[: end + 1]
# ```
