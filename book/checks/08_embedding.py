# %%
SIZES = [((5,), 7, 3), ((2, 3), 5, 4), ((3, 4), 2, 1), ((1, 1), 3, 5), ((2, 2, 3), 11, 2), ((4, 4), 4, 4), ((2, 1, 3, 2), 6, 3), ((40,), 50, 2)]
NOTHING = "the returned value"
# One number of this size in a sum, and a slope measured from that sum has no digits left.
LARGE = 1e7

def some_ids(rng, leading, V):
    """Ids of which at least one stands twice, where there is room, and the first and last row."""
    ids = rng.integers(0, V, leading)
    if ids.size > 1:
        ids.flat[-1] = ids.flat[0]
    if ids.size > 2:
        ids.flat[1] = V - 1
    if ids.size > 4:
        ids.flat[2] = 0
    return ids

def many_ids(rng, leading, V):
    """Ids of which one stands at every other place: more often than a byte can count."""
    ids = some_ids(rng, leading, V)
    ids.flat[::2] = V - 2
    return ids

def named(options):
    return "".join(f", {name}" for name in options)

def options_of(number):
    return [{}] + [[{"strided": True}], [{"float32": True}]][number % 2]

def larger(shape, options):
    """The shape of the second round: of more rows, as a layer may not count on a size."""
    return shape if options else (shape[0] + 2, *shape[1:])

# %% task="embedding-backward" cases=true
def cases(rng):
    def new(V, dim):
        return {"num_embeddings": V, "dim": dim, "rng": Rng(1), "dtype": "float64"}

    for number, (leading, V, dim) in enumerate(SIZES):
        for options in options_of(number):
            shapes = [leading, larger(leading, options)]
            ids = [{"ids": some_ids(rng, some, V)} for some in shapes]
            dy = [{"dy": rng.normal(size=(*some, dim))} for some in shapes]
            yield layer(f"ids of shape {leading} in {V} rows of {dim}{named(options)}", new(V, dim),
                        {"W": rng.normal(0, 0.5, (V, dim))}, ids, dy, returns=("y", NOTHING), **options)
    ids = [{"ids": np.asarray(rng.integers(0, 5))} for _ in range(2)]
    dy = [{"dy": rng.normal(size=3)} for _ in ids]
    yield layer("ids of shape ()", new(5, 3), {"W": rng.normal(0, 0.5, (5, 3))}, ids, dy, returns=("y", NOTHING))
    # Ids that a byte does not hold.
    ids, dy = [{"ids": many_ids(rng, (2, 300), 310)}], [{"dy": rng.normal(size=(2, 300, 2))}]
    yield layer("ids of shape (2, 300) in 310 rows of 2", new(310, 2), {"W": rng.normal(0, 0.5, (310, 2))},
                ids, dy, returns=("y", NOTHING))
    ids, dy = [{"ids": some_ids(rng, (2, 3), 5)}], [{"dy": rng.normal(size=(2, 3, 2))}]
    yield layer("large weights", new(5, 2), {"W": LARGE * rng.normal(size=(5, 2))}, ids, dy, returns=("y", NOTHING))
    ids, dy = [{"ids": some_ids(rng, (6,), 60)}], [{"dy": rng.normal(size=(6, 40))}]
    yield layer("W of shape (60, 40)", new(60, 40), {"W": rng.normal(size=(60, 40))}, ids, dy,
                returns=("y", NOTHING), max_lines=3000)

# %% [markdown] task="embedding-backward" hint=1
# row i of W is copied to every place where ids is i: its gradient is the sum of dy over those places.

# %% [markdown] task="embedding-backward" hint=2
# dW is (num_embeddings, dim), dy is (..., dim): the leading axes of dy are those of ids.

# %% [markdown] task="embedding-backward" hint=3
# NumPy has a ufunc method that adds at indices and counts repeated ones each time; an assignment
# with += at an array of indices does not.

# %% [markdown] task="embedding-backward" mistake="repeats-once"
# it counts a repeated id only once: `dW[ids] += dy` reads, adds and writes, and the last write wins
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     self.dW[self.ids] += dy
# ```

# %% [markdown] task="embedding-backward" mistake="overwritten"
# it is overwritten: gradients of several passes add up
# ```diff
# - def backward(self, dy):
# + def backward(self, dy):
# +     self.dW[...] = 0
# ```

# %% [markdown] task="embedding-backward" mistake="averaged"
# it is a mean over the places of an id: they add up
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     total = np.zeros_like(self.W)
# +     np.add.at(total, self.ids, dy)
# +     count = np.bincount(self.ids.ravel(), minlength=len(self.W))
# +     self.dW += total / np.maximum(count, 1)[:, None]
# ```

# %% [markdown] task="embedding-backward" mistake="divided-by-n"
# it is divided by the number of ids: where a loss is a mean, dy already contains the division
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     np.add.at(self.dW, self.ids, dy / self.ids.size)
# ```

# %% [markdown] task="embedding-backward" mistake="in-order"
# it goes to the first rows, in order: the row is given by the id
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     rows = dy.reshape(-1, dy.shape[-1])
# +     np.add.at(self.dW, np.arange(len(rows)) % len(self.dW), rows)
# ```

# %% [markdown] task="embedding-backward" mistake="times-w"
# it is multiplied by the row itself: a copy has the slope 1
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     np.add.at(self.dW, self.ids, dy * self.W[self.ids])
# ```

# %% [markdown] task="embedding-backward" mistake="every-row"
# it goes to every row: rows that were not read have the gradient 0
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     self.dW += dy.reshape(-1, dy.shape[-1]).sum(axis=0)
# ```

# %% [markdown] task="embedding-backward" mistake="first-sequence"
# it counts the first entry of the leading axis only
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     np.add.at(self.dW, self.ids[:1], dy[:1])
# ```

# %% task="embedding-backward" right="loop"
@add_to_class(Embedding)
def backward(self, dy):
    for place in np.ndindex(self.ids.shape):
        self.dW[self.ids[place]] += dy[place]

# %% task="embedding-backward" right="one-hot"
@add_to_class(Embedding)
def backward(self, dy):
    X = np.eye(len(self.W))[self.ids.ravel()]
    self.dW += X.T @ dy.reshape(len(X), -1)

# %% task="embedding-backward" right="sorted"
@add_to_class(Embedding)
def backward(self, dy):
    ids, rows = self.ids.ravel(), dy.reshape(-1, dy.shape[-1])
    order = np.argsort(ids, kind="stable")
    unique, start = np.unique(ids[order], return_index=True)
    self.dW[unique] += np.add.reduceat(rows[order], start, axis=0)

# %% [markdown] task="embedding-backward" reject="row-zero-is-padding"
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     np.add.at(self.dW, self.ids, dy)
# +     self.dW[len(self.dW) - 1] = 0
# ```

# %% [markdown] task="embedding-backward" reject="new-array"
# ```diff
# -     np.add.at(self.dW, self.ids, dy)
# +     X = np.eye(len(self.W))[self.ids.ravel()]
# +     self.dW = self.dW + X.T @ dy.reshape(len(X), -1)
# ```

# %% [markdown] task="embedding-backward" reject="returns-dy" shows="Return nothing"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + np.add.at(self.dW, self.ids, dy)
# +     return dy
# ```

# %% [markdown] task="embedding-backward" reject="returns-dW" shows="Return nothing"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + np.add.at(self.dW, self.ids, dy)
# +     return self.dW
# ```

# %% task="embedding-backward" reject="measured"
@add_to_class(Embedding)
def backward(self, dy):
    W = self.W.astype(float)
    for i in np.ndindex(W.shape):
        kept = W[i]
        W[i] = kept + 1e-5
        above = float((dy * W[self.ids]).sum())
        W[i] = kept - 1e-5
        below = float((dy * W[self.ids]).sum())
        W[i] = kept
        self.dW[i] += (above - below) / 2e-5

# %% [markdown] task="embedding-backward" reject="needs-an-axis" shows="if there are any"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + for i in range(len(self.ids)):
# +         np.add.at(self.dW, self.ids[i], dy[i])
# ```

# %% [markdown] task="embedding-backward" reject="thirty-ids"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + ids, rows = self.ids.reshape(-1), dy.reshape(-1, dy.shape[-1])
# +     np.add.at(self.dW, ids[:32], rows[:32])
# ```

# %% [markdown] task="embedding-backward" reject="sorted-ids"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + np.add.at(self.dW, np.sort(self.ids, axis=-1), dy)
# ```

# %% task="embedding-backward" right="return-none"
@add_to_class(Embedding)
def backward(self, dy):
    flat = self.ids.ravel()
    for i, row in zip(flat, dy.reshape(len(flat), -1)):
        self.dW[i] = self.dW[i] + row
    return None

# %% task="embedding-backward" reject="ids-flattened"
@add_to_class(Embedding)
def backward(self, dy):
    self.ids.shape = (-1,)
    np.add.at(self.dW, self.ids, dy.reshape(len(self.ids), -1))

# %% [markdown] task="embedding-backward" reject="ids-dropped"
# ```diff
# - np.add.at(self.dW, self.ids, dy)
# + ids, self.ids = self.ids, None
# +     np.add.at(self.dW, ids, dy)
# ```

# %% task="embedding-backward" reject="class-ids"
@add_to_class(Embedding)
def forward(self, ids):
    Embedding.ids = ids
    return self.W[ids]
@add_to_class(Embedding)
def backward(self, dy):
    np.add.at(self.dW, self.ids, dy)

# %% task="embedding-backward" reject="global-ids"
@add_to_class(Embedding)
def forward(self, ids):
    global last_ids
    last_ids = ids
    return self.W[ids]
@add_to_class(Embedding)
def backward(self, dy):
    np.add.at(self.dW, last_ids, dy)


# %% task="embedding-backward" reject="ids-in-a-byte"
@add_to_class(Embedding)
def backward(self, dy):
    np.add.at(self.dW, self.ids.astype(np.uint8), dy)


# %% task="embedding-backward" reject="one-id-255-times"
@add_to_class(Embedding)
def backward(self, dy):
    for i in np.unique(self.ids):
        self.dW[i] += dy[self.ids == i][:255].sum(axis=0)


# %% task="embedding-one-hot" cases=true
def cases(rng):
    for number, (leading, V, dim) in enumerate(SIZES):
        for options in options_of(number):
            # one row more than ids are drawn from: X has a column for each row of W
            args = {"ids": some_ids(rng, leading, V), "dy": rng.normal(size=(*leading, dim)),
                    "num_embeddings": V + (not options)}
            yield Case(f"ids of shape {leading} in {args['num_embeddings']} rows of {dim}{named(options)}",
                       [Call(args, returns=("X", "dW"))], dtypes=("X",), **options)
        if number == 1:
            args = {"ids": many_ids(rng, (2, 300), 310), "dy": rng.normal(size=(2, 300, 2)), "num_embeddings": 310}
            yield Case("ids of shape (2, 300) in 310 rows of 2", [Call(args, returns=("X", "dW"))], dtypes=("X",))

# %% [markdown] task="embedding-one-hot" hint=1
# a row of X that is 1 at i and 0 elsewhere picks row i of W.

# %% [markdown] task="embedding-one-hot" hint=2
# X is (N, num_embeddings), dy flattened is (N, dim), dW is (num_embeddings, dim): N goes.

# %% [markdown] task="embedding-one-hot" hint=3
# the rows of X are rows of the identity matrix, chosen by the ids; dW is X transposed times dy.

# %% task="embedding-one-hot" mistake="transposed"
# is the transpose of what it should be, or made from it: X has a row for each id
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    return X.T.reshape(X.shape), X.T @ dy.reshape(len(X), -1)

# %% task="embedding-one-hot" mistake="repeats-once"
# counts a repeated id once
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    dW = np.zeros((num_embeddings, dy.shape[-1]))
    dW[ids] = dy
    return X, dW

# %% task="embedding-one-hot" mistake="counts"
# holds counts in every row: each row of X has a single 1
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    return np.tile(X.sum(axis=0), (len(X), 1)), X.T @ dy.reshape(len(X), -1)

# %% [markdown] task="embedding-one-hot" mistake="off-by-one"
# has its 1 one column too far: ids count from 0
# ```diff
# -     """Return X (N, num_embeddings) and dW (num_embeddings, dim)."""
# -     X = np.eye(num_embeddings)[ids.reshape(-1)]
# +     X = np.eye(num_embeddings)[(ids.reshape(-1) + 1) % num_embeddings]
# ```

# %% task="embedding-one-hot" mistake="mean"
# is divided by N: the product sums over the rows
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    return X, X.T @ dy.reshape(len(X), -1) / len(X)

# %% task="embedding-one-hot" mistake="not-flat"
# keeps the leading axes of ids: X is (N, num_embeddings)
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids]
    return X, X.reshape(-1, num_embeddings).T @ dy.reshape(-1, dy.shape[-1])

# %% task="embedding-one-hot" mistake="mean-of-repeats"
# is the mean over the places of a repeated id: the product adds them up
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    counts = np.maximum(X.sum(axis=0), 1)
    return X, X.T @ dy.reshape(len(X), -1) / counts[:, None]

# %% task="embedding-one-hot" mistake="reshaped-for-transposed"
# mixes the vectors of different ids: flatten dy to (N, dim), so that row n belongs to id n
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    return X, X.T @ dy.reshape(-1, len(X)).T

# %% task="embedding-one-hot" right="compared"
def one_hot_backward(ids, dy, num_embeddings):
    X = (ids.reshape(-1, 1) == np.arange(num_embeddings)).astype(float)
    return X, np.einsum("nv,nd->vd", X, dy.reshape(-1, dy.shape[-1]))

# %% task="embedding-one-hot" right="loop"
def one_hot_backward(ids, dy, num_embeddings):
    X = np.zeros((ids.size, num_embeddings))
    dW = np.zeros((num_embeddings, dy.shape[-1]))
    for n, (i, row) in enumerate(zip(ids.ravel(), dy.reshape(-1, dy.shape[-1]))):
        X[n, i] = 1
        dW[i] += row
    return X, dW

# %% task="embedding-one-hot" right="add-at"
def one_hot_backward(ids, dy, num_embeddings):
    X = np.zeros((ids.size, num_embeddings))
    np.put_along_axis(X, ids.reshape(-1, 1), 1, axis=1)
    dW = np.zeros((num_embeddings, dy.shape[-1]))
    np.add.at(dW, ids, dy)
    return X, dW

# %% task="embedding-one-hot" reject="last-id-left-out"
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1)]
    rows = dy.reshape(len(X), -1)
    return X, X[:-1].T @ rows[:-1]

# %% [markdown] task="embedding-one-hot" reject="max-id"
# ```diff
# - np.eye(num_embeddings)
# + np.eye(ids.max() + 1)
# ```

# %% [markdown] task="embedding-one-hot" reject="thirty"
# ```diff
# - X.T @ dy.reshape(len(X), -1)
# + X[:30].T @ dy.reshape(len(X), -1)[:30]
# ```

# %% [markdown] task="embedding-one-hot" right="astype"
# ```diff
# - np.eye(num_embeddings)[ids.reshape(-1)]
# + (ids.reshape(-1, 1) == np.arange(num_embeddings)).astype(float)
# ```

# %% [markdown] task="embedding-one-hot" reject="bool" shows="float64"
# ```diff
# - X = np.eye(num_embeddings)[ids.reshape(-1)]
# -     return X, X.T @ dy.reshape(len(X), -1)
# + X = ids.reshape(-1, 1) == np.arange(num_embeddings)
# +     return X, X.T @ dy.reshape(len(X), -1)
# ```

# %% [markdown] task="embedding-one-hot" reject="int" shows="float64"
# ```diff
# - np.eye(num_embeddings)[ids.reshape(-1)]
# + np.eye(num_embeddings, dtype=int)[ids.reshape(-1)]
# ```


# %% task="embedding-one-hot" reject="ids-in-a-byte"
def one_hot_backward(ids, dy, num_embeddings):
    X = np.eye(num_embeddings)[ids.reshape(-1).astype(np.uint8)]
    return X, X.T @ dy.reshape(len(X), -1)


# %% task="embedding-positions-backward" cases=true
def cases(rng):
    for number, (B, T, V, block_size, dim) in enumerate(
        [(2, 3, 7, 5, 4), (1, 4, 3, 4, 2), (3, 1, 5, 6, 3), (4, 4, 4, 4, 4), (3, 5, 2, 7, 1), (33, 34, 40, 35, 2)]
    ):
        for options in [{}, *options_of(number)[1:]]:
            shapes = [(B, T), (B, T) if options else (B + 1, block_size)]
            ids = [{"ids": some_ids(rng, some, V)} for some in shapes]
            dy = [{"dy": rng.normal(size=(*some, dim))} for some in shapes]
            new = {"num_embeddings": V, "block_size": block_size, "dim": dim, "rng": Rng(1)}
            params = {"wte.W": rng.normal(0, 0.5, (V, dim)),
                      "wpe.W": rng.normal(0, 0.5, (block_size, dim))}
            if number == 4:
                params = {name: LARGE * p for name, p in params.items()}
            yield layer(f"ids of shape {(B, T)}, block_size {block_size}{named(options)}",
                        new | {"dtype": "float64"}, params, ids, dy, returns=("y", NOTHING),
                        **options)
    ids, dy = [{"ids": many_ids(rng, (2, 300), 310)}], [{"dy": rng.normal(size=(2, 300, 2))}]
    params = {"wte.W": rng.normal(0, 0.5, (310, 2)), "wpe.W": rng.normal(0, 0.5, (305, 2))}
    new = {"num_embeddings": 310, "block_size": 305, "dim": 2, "rng": Rng(1), "dtype": "float64"}
    yield layer("ids of shape (2, 300), block_size 305", new, params, ids, dy, returns=("y", NOTHING))

# %% [markdown] task="embedding-positions-backward" hint=1
# a sum passes dy on to both of its terms. What does broadcasting over the batch mean on the way back?

# %% [markdown] task="embedding-positions-backward" hint=2
# wte's gradient is that of task 1. wpe was read once for each position, and used by B sequences:
# (B, T, dim) must become (T, dim).

# %% [markdown] task="embedding-positions-backward" hint=3
# add dy at the ids; and add the sum of dy over the batch to the first T rows of wpe's gradient.

# %% [markdown] task="embedding-positions-backward" mistake="positions-mean"
# it is a mean over the batch: every sequence read the same position, and all their gradients add up
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[: dy.shape[1]] += dy.mean(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" mistake="first-sequence"
# it comes from the first sequence only: the vectors were added to every sequence of the batch
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[: dy.shape[1]] += dy[0]
# ```

# %% [markdown] task="embedding-positions-backward" mistake="last-sequence"
# it comes from the last sequence only: += at repeated indices keeps one of them
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     B, T = dy.shape[:2]
# +     self.wpe.dW[np.tile(np.arange(T), (B, 1))] += dy
# ```

# %% [markdown] task="embedding-positions-backward" mistake="no-positions"
# it stays as it was: positions are learned, too
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" mistake="no-tokens"
# it stays as it was: the sum passes dy on to both tables
# ```diff
# -     np.add.at(self.wte.dW, self.wte.ids, dy)
# ```

# %% [markdown] task="embedding-positions-backward" mistake="repeats-once"
# it counts a repeated id only once
# ```diff
# -     np.add.at(self.wte.dW, self.wte.ids, dy)
# +     self.wte.dW[self.wte.ids] += dy
# ```

# %% task="embedding-positions-backward" mistake="halved"
# it is half of dy: a sum passes all of dy on to each of its terms
@add_to_class(TokensAndPositions)
def backward(self, dy):
    np.add.at(self.wte.dW, self.wte.ids, dy / 2)
    self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0) / 2

# %% [markdown] task="embedding-positions-backward" mistake="at-the-end"
# it is added to the last rows: the positions read were 0 to T - 1
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[-dy.shape[1] :] += dy.sum(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" mistake="summed-over-time"
# it is summed over the positions: that axis stays, the batch goes
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=(0, 1))
# ```

# %% task="embedding-positions-backward" right="loop"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    for b in range(dy.shape[0]):
        for t in range(dy.shape[1]):
            self.wte.dW[self.wte.ids[b, t]] += dy[b, t]
            self.wpe.dW[t] += dy[b, t]

# %% task="embedding-positions-backward" right="add-at-both"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    np.add.at(self.wte.dW, self.wte.ids, dy)
    np.add.at(self.wpe.dW, np.broadcast_to(np.arange(dy.shape[1]), dy.shape[:2]), dy)

# %% task="embedding-positions-backward" right="einsum"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    X = np.eye(len(self.wte.W))[self.wte.ids]
    self.wte.dW += np.einsum("btv,btd->vd", X, dy)
    self.wpe.dW[self.wpe.ids] += np.einsum("btd->td", dy)

# %% [markdown] task="embedding-positions-backward" reject="last-position-left-out"
# ```diff
# -     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[: dy.shape[1] - 1] += dy[:, :-1].sum(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" reject="returns" shows="Return nothing"
# ```diff
# - self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# + self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     return dy
# ```

# %% [markdown] task="embedding-positions-backward" reject="first-T"
# ```diff
# - self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# + if not hasattr(self, "T"):
# +         self.T = dy.shape[1]
# +     self.wpe.dW[: self.T] += dy[:, : self.T].sum(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" reject="ids-of-first"
# ```diff
# - np.add.at(self.wte.dW, self.wte.ids, dy)
# + if not hasattr(self, "first"):
# +         self.first = self.wte.ids
# +     ids = self.first if self.first.shape == dy.shape[:2] else self.wte.ids
# +     np.add.at(self.wte.dW, ids, dy)
# ```

# %% [markdown] task="embedding-positions-backward" reject="zeroed-later" shows="rows T and later stay as they are"
# ```diff
# - self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# + self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wpe.dW[dy.shape[1] :] = 0
# ```

# %% [markdown] task="embedding-positions-backward" reject="thirty"
# ```diff
# - dy.sum(axis=0)
# + dy[:32].sum(axis=0)
# ```

# %% [markdown] task="embedding-positions-backward" reject="new-dW"
# ```diff
# - self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# + dW = np.zeros_like(self.wpe.W)
# +     dW[: dy.shape[1]] = dy.sum(axis=0)
# +     self.wpe.dW = self.wpe.dW + dW
# ```

# %% task="embedding-positions-backward" right="own-backwards" shows="You may call task 1's `backward`"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    self.wte.backward(dy)
    self.wpe.backward(dy.sum(axis=0))

# %% [markdown] task="embedding-positions-backward" reject="pos-class"
# ```diff
# - self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# + dy = dy.copy()
# +     self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)
# +     self.wte.ids = self.wte.ids[:1]
# ```


# %% task="embedding-positions-backward" reject="64-positions"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    np.add.at(self.wte.dW, self.wte.ids, dy)
    self.wpe.dW[: min(64, dy.shape[1])] += dy.sum(axis=0)[:64]


# %% task="embedding-positions-backward" reject="ids-in-a-byte"
@add_to_class(TokensAndPositions)
def backward(self, dy):
    np.add.at(self.wte.dW, self.wte.ids.astype(np.uint8), dy)
    self.wpe.dW[: dy.shape[1]] += dy.sum(axis=0)


# %% task="embedding-tied-backward" cases=true
def cases(rng):
    def case(B, T, V, dim, drawn=some_ids, **options):
        shapes = [(B, T), larger((B, T), options)]
        ids = [{"ids": drawn(rng, some, V)} for some in shapes]
        dy = [{"dlogits": rng.normal(size=(*some, V))} for some in shapes]
        return layer(f"ids of shape {(B, T)}, W of shape {(V, dim)}{named(options)}",
                     {"num_embeddings": V, "dim": dim, "rng": Rng(1), "dtype": "float64"},
                     {"W": rng.normal(0, 0.5, (V, dim))}, ids, dy, returns=("logits", NOTHING), **options)

    sizes = [(2, 3, 7, 4), (1, 4, 3, 2), (3, 2, 5, 5), (2, 5, 4, 4), (1, 1, 2, 3), (34, 2, 35, 2)]
    for number, (B, T, V, dim) in enumerate(sizes):
        for options in [{}, *options_of(number)[1:]]:
            yield case(B, T, V, dim, **options)
    yield case(2, 10, 310, 3, drawn=many_ids)
    # A loop over the ids runs a few hundred lines, a measured slope 10 for each entry of W.
    yield case(1, 3, 60, 40, max_lines=5000)

# %% [markdown] task="embedding-tied-backward" hint=1
# pretend that reading and writing have tables of their own, find both gradients, and add them.

# %% [markdown] task="embedding-tied-backward" hint=2
# writing: dlogits is (N, V), h is (N, dim), dW is (V, dim). Reading: dh is (B, T, dim), goes through
# tanh, and is added at the ids.

# %% [markdown] task="embedding-tied-backward" hint=3
# add dlogits transposed times h; then take dh, dlogits times W; multiply it by one minus h squared;
# add that at the ids, repeated ones each time.

# %% task="embedding-tied-backward" mistake="reading-only"
# it lacks what writing gives: logits = h Wᵀ depends on W directly
@add_to_class(TiedModel)
def backward(self, dlogits):
    np.add.at(self.dW, self.ids, dlogits @ self.W * (1 - self.h**2))

# %% task="embedding-tied-backward" mistake="writing-only"
# it lacks what reading gives: h depends on W, too
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)

# %% task="embedding-tied-backward" mistake="no-tanh"
# it goes past tanh: its slope is 1 - h²
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    np.add.at(self.dW, self.ids, dlogits @ self.W)

# %% task="embedding-tied-backward" mistake="repeats-once"
# it counts a repeated id only once when reading
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    self.dW[self.ids] += dlogits @ self.W * (1 - self.h**2)

# %% task="embedding-tied-backward" mistake="before-tanh"
# it has W[ids] where h belongs: the head multiplies the output of tanh
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.W[self.ids].reshape(-1, dim)
    np.add.at(self.dW, self.ids, dlogits @ self.W * (1 - self.h**2))

# %% task="embedding-tied-backward" mistake="overwritten"
# it has lost what came first: the second gradient must be added to the first
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    self.dW[self.ids] = dlogits @ self.W * (1 - self.h**2)

# %% task="embedding-tied-backward" mistake="averaged"
# it is the mean of the two gradients: they add up
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim) / 2
    np.add.at(self.dW, self.ids, dlogits @ self.W * (1 - self.h**2) / 2)

# %% task="embedding-tied-backward" mistake="slope-at-input"
# it has the slope of tanh at h: 1 - h² is already written with the output
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    np.add.at(self.dW, self.ids, dlogits @ self.W * (1 - np.tanh(self.h) ** 2))

# %% task="embedding-tied-backward" right="one-hot"
@add_to_class(TiedModel)
def backward(self, dlogits):
    X = np.eye(len(self.W))[self.ids]
    da = np.einsum("btv,vd->btd", dlogits, self.W) * (1 - self.h * self.h)
    self.dW += np.einsum("btv,btd->vd", dlogits, self.h) + np.einsum("btv,btd->vd", X, da)

# %% task="embedding-tied-backward" right="loop"
@add_to_class(TiedModel)
def backward(self, dlogits):
    for place in np.ndindex(self.ids.shape):
        self.dW += np.outer(dlogits[place], self.h[place])
        self.dW[self.ids[place]] += (self.W.T @ dlogits[place]) * (1 - self.h[place] ** 2)

# %% task="embedding-tied-backward" right="reading-first"
@add_to_class(TiedModel)
def backward(self, dlogits):
    dh = np.dot(dlogits, self.W)
    np.add.at(self.dW, self.ids, dh - dh * self.h**2)
    self.dW += np.tensordot(dlogits, self.h, axes=([0, 1], [0, 1]))

# %% task="embedding-tied-backward" reject="w-changed-between"
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    dh = dlogits @ (self.W - 0.001 * self.dW)
    np.add.at(self.dW, self.ids, dh * (1 - self.h**2))

# %% [markdown] task="embedding-tied-backward" reject="returns" shows="Return nothing"
# ```diff
# - np.add.at(self.dW, self.ids, dh * (1 - self.h**2))    # h = tanh(W[ids])
# + np.add.at(self.dW, self.ids, dh * (1 - self.h**2))
# +     return dh
# ```

# %% task="embedding-tied-backward" reject="measured"
@add_to_class(TiedModel)
def backward(self, dlogits):
    W = self.W.astype(float)
    loss = lambda: float((dlogits * (np.tanh(W[self.ids]) @ W.T)).sum())
    for i in np.ndindex(W.shape):
        kept = W[i]
        W[i] = kept + 1e-5
        above = loss()
        W[i] = kept - 1e-5
        below = loss()
        W[i] = kept
        self.dW[i] += (above - below) / 2e-5

# %% [markdown] task="embedding-tied-backward" reject="thirty"
# ```diff
# - np.add.at(self.dW, self.ids, dh * (1 - self.h**2))
# + np.add.at(self.dW, self.ids[:32], (dh * (1 - self.h**2))[:32])
# ```

# %% [markdown] task="embedding-tied-backward" reject="h-spoilt"
# ```diff
# - np.add.at(self.dW, self.ids, dh * (1 - self.h**2))
# + self.h *= -self.h
# +     self.h += 1
# +     np.add.at(self.dW, self.ids, dh * self.h)
# ```

# %% task="embedding-tied-backward" reject="class-h"
@add_to_class(TiedModel)
def forward(self, ids):
    TiedModel.ids, TiedModel.h = ids, np.tanh(self.W[ids])
    return self.h @ self.W.T
@add_to_class(TiedModel)
def backward(self, dlogits):
    V, dim = self.W.shape
    self.dW += dlogits.reshape(-1, V).T @ self.h.reshape(-1, dim)
    np.add.at(self.dW, self.ids, dlogits @ self.W * (1 - self.h**2))

# %% [markdown] task="embedding-tied-backward" reject="dh-parameter"
# ```diff
# - dh = dlogits @ self.W
# + dh = self.dh = dlogits @ self.W
# ```

# %% [markdown] task="embedding-one-hot" reject="float32"
# ```diff
# - np.eye(num_embeddings)
# + np.eye(num_embeddings, dtype=np.float32)
# ```

# %% [markdown] task="embedding-one-hot" reject="of-the-kind-of-dy"
# ```diff
# - np.eye(num_embeddings)
# + np.eye(num_embeddings, dtype=dy.dtype)
# ```


# %% [markdown] task="embedding-tied-backward" reject="ids-in-a-byte"
# ```diff
# - np.add.at(self.dW, self.ids,
# + np.add.at(self.dW, self.ids.astype(np.uint8),
# ```
