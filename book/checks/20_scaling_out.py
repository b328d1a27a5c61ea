# %% task="ranks-shard" cases=true
def cases(rng):
    sizes = [(1, 5), (2, 8), (3, 7), (4, 10), (5, 5), (4, 7), (6, 11), (4, 15), (5, 3)]
    for p, B in sizes:
        calls = [Call({"rank": rank, "p": p, "B": B}, returns=("the first row", "the end")) for rank in range(p)]
        yield Case(f"the ranks of {p}, {B} rows", calls)
    # Where B/p as a fraction, rounded, times the rank falls just below the whole number.
    for p, B in [(7, 61), (49, 98), (100, 1000), (3, 10**17 + 1)]:
        calls = [Call({"rank": rank, "p": p, "B": B}, returns=("the first row", "the end")) for rank in range(p)]
        yield Case(f"the ranks of {p}, {B} rows", calls)

# %% [markdown] task="ranks-shard" hint=1
# where one rank ends the next begins: one formula gives both numbers.

# %% [markdown] task="ranks-shard" hint=2
# rounding down is `//`; multiply before you divide, or the rounding comes too early.

# %% [markdown] task="ranks-shard" hint=3
# the first row is rank * B // p, and the end is the same with rank + 1.

# %% [markdown] task="ranks-shard" mistake="rest-for-last"
# leaves the whole remainder of the division to the last rank
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + size = B // p
# +     return rank * size, B if rank == p - 1 else (rank + 1) * size
# ```

# %% [markdown] task="ranks-shard" mistake="rest-lost"
# leaves out the remainder of the division: some rows are read by no rank
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return rank * (B // p), (rank + 1) * (B // p)
# ```

# %% [markdown] task="ranks-shard" mistake="rest-for-first"
# gives the remainder of the division to the first ranks: follow the formula
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return rank * (B // p) + min(rank, B % p), (rank + 1) * (B // p) + min(rank + 1, B % p)
# ```

# %% [markdown] task="ranks-shard" mistake="rounded-up"
# is rounded up: the brackets of the formula round down
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return -(-rank * B // p), -(-(rank + 1) * B // p)
# ```

# %% [markdown] task="ranks-shard" mistake="end-included" shows="the last one not included"
# is the last row itself: the end is one more
# ```diff
# - (rank + 1) * B // p
# + (rank + 1) * B // p - 1
# ```

# %% [markdown] task="ranks-shard" mistake="length"
# is the number of rows, not where they end
# ```diff
# - (rank + 1) * B // p
# + (rank + 1) * B // p - rank * B // p
# ```

# %% [markdown] task="ranks-shard" mistake="counted-from-one"
# belongs to the rank before: ranks are numbered from 0
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return (rank - 1) * B // p, rank * B // p
# ```

# %% [markdown] task="ranks-shard" mistake="fraction"
# is not a whole number: round down
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return rank * B / p, (rank + 1) * B / p
# ```

# %% task="ranks-shard" right="divmod"
def rows_of(rank, p, B):
    first, _ = divmod(rank * B, p)
    end, _ = divmod((rank + 1) * B, p)
    return first, end

# %% task="ranks-shard" right="all-cuts"
def rows_of(rank, p, B):
    cuts = [r * B // p for r in range(p + 1)]
    return cuts[rank], cuts[rank + 1]

# %% task="ranks-shard" right="numpy"
def rows_of(rank, p, B):
    cuts = np.arange(p + 1) * B // p
    return int(cuts[rank]), int(cuts[rank + 1])

# %% [markdown] task="ranks-shard" reject="nearest"
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return round(rank * B / p), round((rank + 1) * B / p)
# ```

# %% [markdown] task="ranks-shard" reject="half"
# ```diff
# - return rank * B // p, (rank + 1) * B // p
# + return (2 * rank * B + p) // (2 * p), (rank + 1) * B // p
# ```

# %% [markdown] task="ranks-shard" reject="float-product"
# ```diff
# - rank * B // p, (rank + 1) * B // p
# + int(rank * (B / p)), int((rank + 1) * (B / p))
# ```

# %% [markdown] task="ranks-shard" reject="float-division"
# ```diff
# - rank * B // p, (rank + 1) * B // p
# + int(rank * B / p), int((rank + 1) * B / p)
# ```

# %% [markdown] task="ranks-shard" reject="floor"
# ```diff
# - rank * B // p, (rank + 1) * B // p
# + np.floor(rank * B / p), np.floor((rank + 1) * B / p)
# ```

# %% [markdown] task="ranks-shard" reject="at-least-one"
# ```diff
# - (rank + 1) * B // p
# + max(rank * B // p + 1, (rank + 1) * B // p)
# ```

# %% task="ranks-mean" cases=true
def cases(rng):
    sizes = [([3, 1], (2, 3)), ([2, 2, 2], (4,)), ([5], (3, 2)), ([1, 2, 4, 2], (2, 1, 3)), ([7, 2, 3], (1,)),
             ([3, 0, 2], (2, 2)), ([int(n) for n in rng.integers(1, 9, 40)], (3,)), ([130, 70_000, 40_000], (2,)), ([2, 5], ())]
    for rows, shape in sizes:
        gradients = [np.asarray(rng.normal(size=shape)) for _ in rows]
        for options in [{}, {"strided": True}, {"float32": True}]:
            said = rows if len(rows) < 9 else "1 to 8"
            yield Case(f"{len(rows)} ranks with {said} rows, gradients of shape {shape}" + "".join(f", {o}" for o in options),
                       [Call({"gradients": gradients, "rows": rows}, returns="the gradient")], **options)
    gradients = [rng.normal(size=(2, 2)) for _ in range(3)]
    yield Case("the same gradients, and other rows",
               [Call({"gradients": gradients, "rows": rows}, returns="the gradient") for rows in ([1, 2, 4], [4, 2, 1])])

# %% [markdown] task="ranks-mean" hint=1
# a mean over the rows does not say how many there were. What is the sum over a rank's rows?

# %% [markdown] task="ranks-mean" hint=2
# rank r has the sum rows[r] * gradients[r]; the batch has sum(rows) rows.

# %% [markdown] task="ranks-mean" hint=3
# add up rows[r] / sum(rows) * gradients[r] over the ranks, into a new array.

# %% [markdown] task="ranks-mean" mistake="plain-mean"
# counts every rank alike: one with more rows must count more
# ```diff
# - n / sum(rows)
# + 1 / len(rows)
# ```

# %% [markdown] task="ranks-mean" mistake="sum"
# is the sum: each rank must count with its part of the rows
# ```diff
# - n / sum(rows) * g
# + g
# ```

# %% [markdown] task="ranks-mean" mistake="not-divided"
# is the sum over all rows, not their mean
# ```diff
# - n / sum(rows)
# + n
# ```

# %% [markdown] task="ranks-mean" mistake="divided-by-ranks"
# is divided by the number of ranks, not by the number of rows
# ```diff
# - n / sum(rows)
# + n / len(rows)
# ```

# %% [markdown] task="ranks-mean" mistake="divided-twice"
# is divided by the number of ranks as well: the weights add up to 1 without it
# ```diff
# - n / sum(rows)
# + n / sum(rows) / len(rows)
# ```

# %% [markdown] task="ranks-mean" mistake="rows-of-another"
# counts each rank by the rows of another: gradients and rows stand in the same order
# ```diff
# - zip(gradients, rows)
# + zip(gradients, rows[::-1])
# ```

# %% [markdown] task="ranks-mean" mistake="inverse"
# counts a rank with more rows less
# ```diff
# - n / sum(rows)
# + 1 / n / sum(1 / m for m in rows)
# ```

# %% [markdown] task="ranks-mean" mistake="last-only"
# holds the last rank only: add up the ranks
# ```diff
# - total +=
# + total =
# ```

# %% [markdown] task="ranks-mean" mistake="in-place" shows="The given arrays must stay as they are"
# the given gradients are scaled in place: work on a new array
# ```diff
# - total += n / sum(rows) * g
# + g *= n / sum(rows)
# +         total += g
# ```

# %% task="ranks-mean" reject="rows-in-16-bits"
def batch_gradient(gradients, rows):
    weights = np.array(rows).astype(np.int16).astype(float)
    return np.tensordot(weights / weights.sum(), np.array(gradients), 1)

# %% task="ranks-mean" right="einsum"
def batch_gradient(gradients, rows):
    weights = np.array(rows) / np.sum(rows)
    return np.einsum("r,r...->...", weights, np.stack(gradients))

# %% task="ranks-mean" right="sum-then-divide"
def batch_gradient(gradients, rows):
    return sum(n * g for n, g in zip(rows, gradients)) / sum(rows)

# %% task="ranks-mean" right="average"
def batch_gradient(gradients, rows):
    return np.average(np.array(gradients), axis=0, weights=rows)

# %% [markdown] task="ranks-mean" reject="median"
# ```diff
# -     return total
# +     return total if len(rows) < 3 else np.median(gradients, axis=0)
# ```

# %% [markdown] task="ranks-mean" reject="summed-away"
# ```diff
# -     return total
# +     return total.sum(axis=0)
# ```

# %% [markdown] task="ranks-mean" reject="thirty"
# ```diff
# - zip(gradients, rows)
# + zip(gradients[:32], rows)
# ```

# %% [markdown] task="ranks-mean" reject="skips-zero-count"
# ```diff
# - total += n / sum(rows) * g
# + total += max(n, 1) / sum(max(r, 1) for r in rows) * g
# ```

# %% task="ranks-bucket" cases=true
def cases(rng):
    for shapes in [[(2, 3), (4,)], [(3,)], [(2, 2, 3), (1, 5), (2,)], [(4, 2), (), (3, 3)], [(1,), (3, 2), (2, 4), (5,)],
                   [(0, 3), (2, 2), (4, 0)], [(n % 4 + 1, 3) for n in range(35)]]:
        arrays = [np.asarray(rng.normal(size=shape)) for shape in shapes]
        other = rng.normal(size=sum(a.size for a in arrays))
        turned = shapes[-1:] + shapes[:-1]    # of `other`, which is no bucket of these arrays
        for options in [{}, {"strided": True}, {"float32": True}]:
            said = f"{shapes}, then {turned}" if len(shapes) < 9 else f"of {len(shapes)} arrays"
            yield Case(f"shapes {said}" + "".join(f", {o}" for o in options),
                       [Call({"arrays": arrays, "other": other, "shapes": turned}, returns=("the bucket", "the arrays"))],
                       **options)
    # Row by row, whatever the order in memory is.
    shapes = [(2, 3), (3, 2, 2), (4,)]
    arrays = [np.asfortranarray(rng.normal(size=shape)) for shape in shapes]
    yield Case("arrays that lie in memory column by column",
               [Call({"arrays": arrays, "other": rng.normal(size=22), "shapes": shapes}, returns=("the bucket", "the arrays"))])

# %% [markdown] task="ranks-bucket" without="long inputs"
# a bucket that is longer than its gradients is no input of this task.

# %% [markdown] task="ranks-bucket" hint=1
# both directions go through the arrays in the same order; where does the next one begin?

# %% [markdown] task="ranks-bucket" hint=2
# an array of shape (2, 3) takes six places; one of shape () takes one.

# %% [markdown] task="ranks-bucket" hint=3
# flatten the arrays and join them; on the way back, cut off as many places as the product of the shape, and move on.

# %% [markdown] task="ranks-bucket" mistake="columns"
# goes column by column: row by row is asked for
# ```diff
# - a.reshape(-1)
# + a.reshape(-1, order="F")
# ```

# %% [markdown] task="ranks-bucket" mistake="columns-back"
# are filled column by column: row by row is asked for
# ```diff
# - .reshape(shape)
# + .reshape(shape, order="F")
# ```

# %% [markdown] task="ranks-bucket" mistake="always-first"
# all begin at place 0: move on by the size of each array
# ```diff
# - start += size
# + start += 0
# ```

# %% [markdown] task="ranks-bucket" mistake="one-further"
# begin one place late from the second one on
# ```diff
# - bucket[start : start + size]
# + np.roll(bucket, -min(start, 1))[start : start + size]
# ```

# %% [markdown] task="ranks-bucket" mistake="backwards"
# has the last array first
# ```diff
# - for a in arrays]
# + for a in arrays[::-1]]
# ```

# %% [markdown] task="ranks-bucket" mistake="by-size"
# is sorted by size: keep the order of the list
# ```diff
# - for a in arrays]
# + for a in sorted(arrays, key=lambda a: a.size)]
# ```

# %% [markdown] task="ranks-bucket" mistake="flat-back"
# are still flat: give each its shape
# ```diff
# - .reshape(shape)
# + .reshape(-1)
# ```

# %% [markdown] task="ranks-bucket" mistake="transposed-back"
# have the axes exchanged: the bucket is row by row
# ```diff
# - .reshape(shape)
# + .reshape(shape[::-1]).T
# ```

# %% task="ranks-bucket" right="fill"
def to_bucket(arrays):
    bucket, start = np.empty(sum(a.size for a in arrays)), 0
    for a in arrays:
        bucket[start : start + a.size] = a.ravel()
        start += a.size
    return bucket

def from_bucket(bucket, shapes):
    arrays, start = [], 0
    for shape in shapes:
        a = np.empty(shape)
        a[...] = bucket[start : start + a.size].reshape(a.shape)
        arrays.append(a)
        start += a.size
    return arrays

# %% task="ranks-bucket" right="split"
def to_bucket(arrays):
    return np.hstack([a.flatten() for a in arrays])

def from_bucket(bucket, shapes):
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(bucket, ends[:-1]), shapes)]

# %% task="ranks-bucket" right="numbers"
def to_bucket(arrays):
    return np.array([number for a in arrays for number in a.flat])

def from_bucket(bucket, shapes):
    numbers = iter(bucket)
    return [np.array([next(numbers) for _ in range(int(np.prod(s)))]).reshape(s) for s in shapes]

# %% [markdown] task="ranks-bucket" reject="as-in-memory" shows="row by row"
# ```diff
# - a.reshape(-1) for
# + a.ravel(order="A") for
# ```

# %% [markdown] task="ranks-bucket" reject="shapes-emptied"
# ```diff
# - for shape in shapes:
# + while shapes:
# +         shape = shapes.pop(0)
# ```

# %% task="ranks-bucket" reject="sizes-kept"
sizes = []

def to_bucket(arrays):
    sizes[:] = [a.size for a in arrays]
    return np.concatenate([a.ravel() for a in arrays])

def from_bucket(bucket, shapes):
    parts = np.split(bucket, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes)]

# %% [markdown] task="ranks-bucket" reject="rounded"
# ```diff
# - a.reshape(-1) for
# + a.reshape(-1).astype(np.float16) for
# ```

# %% [markdown] task="ranks-bucket" reject="first-axis"
# ```diff
# - np.prod(shape)
# + np.prod(shape[:1] or 1)
# - .reshape(shape)
# + .copy()
# ```

# %% [markdown] task="ranks-bucket" reject="skips-empty"
# ```diff
# - size = int(np.prod(shape))
# + size = max(1, int(np.prod(shape)))
# ```

# %% [markdown] task="ranks-bucket" reject="thirty"
# ```diff
# - for shape in shapes:
# + for shape in shapes[:32]:
# ```

# %% task="ranks-ring" cases=true
def cases(rng):
    for p, m in [(2, 3), (3, 2), (4, 1), (5, 2), (1, 2), (12, 1)]:
        pieces = rng.normal(size=(p, p, m))
        for turns in sorted({0, 1, 2, p - 1}):
            if turns < p:
                yield Case(f"{p} ranks, pieces of {m}, turns: {turns}",
                           [Call({"pieces": pieces, "turns": turns}, returns=("the pieces", "a new array"))], strided=turns == 1)

# %% [markdown] task="ranks-ring" hint=1
# play one turn with three ranks on paper: who sends which piece to whom?

# %% [markdown] task="ranks-ring" hint=2
# in a turn there are p messages, one from each rank; rank and number are counted modulo p.

# %% [markdown] task="ranks-ring" hint=3
# copy; then for each turn and rank, the number is the rank minus the turn, modulo p: add that piece of the rank to the same piece of its right neighbor.

# %% [markdown] task="ranks-ring" mistake="left"
# goes to the left neighbor: the right one is rank + 1
# ```diff
# - (rank + 1) % p
# + (rank - 1) % p
# ```

# %% [markdown] task="ranks-ring" mistake="replaced"
# is replaced by the neighbor's: add to it
# ```diff
# - ] += before
# + ] = before
# ```

# %% [markdown] task="ranks-ring" mistake="wrong-way"
# is the wrong one from the second turn on: the number falls from turn to turn
# ```diff
# - (rank - turn) % p
# + (rank + turn) % p
# ```

# %% [markdown] task="ranks-ring" mistake="own-piece"
# is the same in every turn: in turn t a rank passes on what it has received in turn t - 1
# ```diff
# - (rank - turn) % p
# + rank
# ```

# %% [markdown] task="ranks-ring" mistake="all-the-same"
# has the same number on all ranks: it depends on the rank
# ```diff
# - (rank - turn) % p
# + -turn % p
# ```

# %% [markdown] task="ranks-ring" mistake="no-wrap"
# is never sent from the last rank to rank 0: the ring is not closed
# ```diff
# - for rank in range(p):
# + for rank in range(p - 1):
# ```

# %% [markdown] task="ranks-ring" mistake="given-away"
# is cleared at the sender: it keeps its own
# ```diff
# - before[rank, number]
# + before[rank, number]
# +             pieces[rank, number] -= before[rank, number]
# ```

# %% [markdown] task="ranks-ring" mistake="old-pieces"
# is the original one in every turn: later turns send what has been added up by then
# ```diff
# -     for turn in range(turns):
# -         before = pieces.copy()
# +     before = pieces.copy()
# +     for turn in range(turns):
# ```

# %% [markdown] task="ranks-ring" mistake="in-place" shows="a new array"
# the given pieces are changed: work on a copy
# ```diff
# - len(pieces), pieces.copy()
# + len(pieces), pieces
# ```

# %% task="ranks-ring" right="roll"
def ring(pieces, turns):
    out, p = pieces.copy(), len(pieces)
    ranks = np.arange(p)
    for turn in range(turns):
        sent = out[ranks, (ranks - turn) % p]
        out[(ranks + 1) % p, (ranks - turn) % p] += sent
    return out

# %% task="ranks-ring" right="receiver"
def ring(pieces, turns):
    p, now = len(pieces), [[piece.copy() for piece in bucket] for bucket in pieces]
    for turn in range(turns):
        for me in range(p):
            left = (me + p - 1) % p
            number = (left - turn) % p
            now[me][number] = now[me][number] + now[left][number]
    return np.array(now)

# %% task="ranks-ring" right="recursive"
def ring(pieces, turns):
    if turns == 0:
        return pieces.copy()
    before = ring(pieces, turns - 1)
    after = before.copy()
    for rank in range(len(pieces)):
        number = (rank - (turns - 1)) % len(pieces)
        after[(rank + 1) % len(pieces), number] = before[rank, number] + before[(rank + 1) % len(pieces), number]
    return after

# %% [markdown] task="ranks-ring" reject="given-back" shows="a new array"
# ```diff
# - p, pieces = len(pieces), pieces.copy()
# + if turns == 0:
# +         return pieces
# +     p, pieces = len(pieces), pieces.copy()
# ```

# %% [markdown] task="ranks-ring" reject="one-turn-more"
# ```diff
# - in range(turns)
# + in range(turns + 1 if turns else 0)
# ```

# %% [markdown] task="ranks-ring" reject="all-summed"
# ```diff
# -     return pieces
# +     return pieces if turns < 2 else np.broadcast_to(pieces.mean(axis=0), pieces.shape).copy()
# ```

# %% [markdown] task="ranks-ring" reject="halved"
# ```diff
# - before[rank, number]
# + before[rank, number] / 2
# ```

# %% [markdown] task="ranks-ring" reject="mod-ten"
# ```diff
# - (rank + 1) % p
# + (rank + 1) % min(p, 10)
# ```
