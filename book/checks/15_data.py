# %% task="data-windows" cases=true
def cases(rng):
    kinds = [np.uint16, np.uint32, np.int64, np.int32, np.uint8]
    for number, (N, B, T) in enumerate([(20, 3, 4), (9, 1, 8), (30, 5, 1), (12, 4, 4), (50, 2, 7), (8, 3, 7), (70_000, 30, 6), (90, 40, 35)]):
        kind = kinds[number % 5]
        # some tokens are the largest of their dtype
        tokens = rng.integers(0, np.iinfo(kind).max, N, dtype=kind, endpoint=True)
        tokens[[0, -1]] = np.iinfo(kind).max, np.iinfo(kind).max - 1
        starts = rng.integers(0, N - T, B)
        starts[0] = N - T - 1
        if B > 1:
            starts[-1] = 0
        for strided in (False, True):
            yield Case(f"{N} tokens of {tokens.dtype}, {B} windows of {T}" + ", strided" * strided,
                       [Call({"tokens": tokens, "starts": starts, "block_size": T},
                             returns=("x", "y", "the dtypes"))], strided=strided)
    # What is int64 already is copied all the same: a loader may read the next part into the same array.
    calls = [Call({"tokens": rng.integers(0, 90_000, 20), "starts": np.array(starts), "block_size": 5},
                  returns=("x", "y", "the dtypes")) for starts in ([3, 0], [7])]
    yield Case("tokens that the caller writes over later", calls, reused=True)

# %% [markdown] task="data-windows" hint=1
# a window of T tokens and its targets are T + 1 tokens in a row.

# %% [markdown] task="data-windows" hint=2
# starts as a column, (B, 1), plus a row of T + 1 numbers gives the places, (B, T + 1).

# %% [markdown] task="data-windows" hint=3
# take the tokens at those places as int64; x is all but the last column, y all but the first.

# %% [markdown] task="data-windows" mistake="y-is-x"
# is not moved: the target of a token is the next one
# ```diff
# - both[:, 1:]
# + both[:, :-1]
# ```

# %% [markdown] task="data-windows" mistake="two-later"
# is two tokens later: the target is the very next token
# ```diff
# - np.arange(block_size + 1)].astype(np.int64)
# + np.arange(block_size + 1)].astype(np.int64)
# +     later = tokens[(starts[:, None] + np.arange(block_size) + 2) % len(tokens)].astype(np.int64)
# - both[:, 1:]
# + later
# ```

# %% [markdown] task="data-windows" mistake="rolled"
# wraps around at the end of each row: the last target is the token after the window
# ```diff
# - both[:, 1:]
# + np.roll(both[:, :-1], -1, axis=1)
# ```

# %% [markdown] task="data-windows" mistake="swapped"
# begins one token too late, as y should, or is exchanged with y: x begins at the start
# ```diff
# - return both[:, :-1], both[:, 1:]
# + return both[:, 1:], both[:, :-1]
# ```

# %% [markdown] task="data-windows" mistake="too-short"
# has T - 1 columns: T tokens and their T targets need T + 1 in a row
# ```diff
# - block_size + 1
# + block_size
# ```

# %% [markdown] task="data-windows" mistake="places"
# holds places, not tokens
# ```diff
# - tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)
# + (starts[:, None] + np.arange(block_size + 1)).astype(np.int64)
# ```

# %% [markdown] task="data-windows" mistake="own-dtype" shows="y (B, T), int64"
# are those of the tokens: int64 is asked for
# ```diff
# - .astype(np.int64)
# +
# ```

# %% [markdown] task="data-windows" mistake="in-blocks"
# has windows at multiples of T: each begins at its start
# ```diff
# - starts[:, None]
# + (starts[:, None] // block_size * block_size)
# ```

# %% [markdown] task="data-windows" reject="starts-up-to-65535"
# ```diff
# - starts[:, None]
# + starts.astype(np.uint16)[:, None]
# ```

# %% [markdown] task="data-windows" reject="starts-modulo"
# ```diff
# - starts[:, None]
# + starts[:, None] % 1000
# ```

# %% task="data-windows" reject="windows-on-the-tokens" shows="Both are new arrays of int64"
def windows(tokens, starts, block_size):
    view = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.int64, copy=False), block_size + 1)
    both = view[starts] if len(starts) > 1 else view[starts[0] : starts[0] + 1]
    return both[:, :-1], both[:, 1:]

# %% task="data-windows" right="loop"
def windows(tokens, starts, block_size):
    x = np.stack([tokens[s : s + block_size] for s in starts]).astype(np.int64)
    y = np.stack([tokens[s + 1 : s + 1 + block_size] for s in starts]).astype(np.int64)
    return x, y

# %% task="data-windows" right="sliding"
def windows(tokens, starts, block_size):
    view = np.lib.stride_tricks.sliding_window_view(tokens, block_size + 1)[starts].astype("int64")
    return view[:, :block_size], view[:, 1:]

# %% task="data-windows" right="fill"
def windows(tokens, starts, block_size):
    x = np.empty((len(starts), block_size), np.int64)
    y = np.empty_like(x)
    for b, start in enumerate(starts):
        for t in range(block_size):
            x[b, t], y[b, t] = tokens[start + t], tokens[start + t + 1]
    return x, y

# %% [markdown] task="data-windows" reject="last-target-lost"
# ```diff
# - return both[:, :-1], both[:, 1:]
# + y = both[:, 1:].copy()
# +     y[:, -1] = both[:, -2]
# +     return both[:, :-1], y
# ```

# %% [markdown] task="data-windows" reject="int32" shows="of int64, whatever the dtype of `tokens`"
# ```diff
# - np.int64
# + np.int32
# ```

# %% [markdown] task="data-windows" reject="int32-inside"
# ```diff
# - .astype(np.int64)
# + .astype(np.int32).astype(np.int64)
# ```

# %% [markdown] task="data-windows" reject="int16"
# ```diff
# - .astype(np.int64)
# + .astype(np.int16).astype(np.int64)
# ```

# %% [markdown] task="data-windows" reject="thirty"
# ```diff
# - np.arange(block_size + 1)
# + np.minimum(np.arange(block_size + 1), 33)
# ```

# %% task="data-starts" cases=true
def cases(rng):
    # How often the check cell calls a right answer uneven: by Hoeffding, a share of n draws is off by
    # more than t with a probability below 2 exp(-2 n t²). That is 2 exp(-25) for each of 20 places,
    # 2 exp(-21.6) for 300 pairs, 2 exp(-24.5) for 10,000, 2 exp(-22) for those of the small batches:
    # together, in all cases, below 1e-6.
    for n_tokens, block_size in [(10, 3), (11, 8), (5, 1), (40, 20), (12, 5), (100_007, 7), (8, 6)]:
        yield Case(f"{n_tokens} tokens, block_size {block_size}" + ", starts rounded down to 5,000s" * (n_tokens > 100),
                   [Call({"n_tokens": n_tokens, "block_size": block_size, "rng": Rng(int(rng.integers(1 << 30)))},
                         returns=("the smallest start", "the largest start", "the shape", "the dtype", "a new array each time",
                                  "all places equally often", "each start by itself"))], order_of_draws=True)

# %% [markdown] task="data-starts" hint=1
# what is the last place of the last window, with its target? How many starts are there?

# %% [markdown] task="data-starts" hint=2
# a window and its target are block_size + 1 tokens. With exactly that many tokens there is one
# start: 0.

# %% [markdown] task="data-starts" hint=3
# starts run from 0 to n_tokens - block_size - 1; rng.integers(high) leaves high itself out.

# %% [markdown] task="data-starts" mistake="one-too-far" shows="must lie in the `n_tokens` tokens"
# is one too large: the target of its last token lies outside
# ```diff
# - n_tokens - block_size,
# + n_tokens - block_size + 1,
# ```

# %% [markdown] task="data-starts" mistake="last-left-out" shows="each place where one fits must be possible, the last one, too"
# is one too small: the last place where a window fits is never drawn
# ```diff
# - n_tokens - block_size,
# + max(n_tokens - block_size - 1, 1),
# ```

# %% [markdown] task="data-starts" mistake="anywhere"
# is too large: the window must fit
# ```diff
# - n_tokens - block_size,
# + n_tokens,
# ```

# %% [markdown] task="data-starts" mistake="from-one"
# is 1: a window may start at 0
# ```diff
# - rng.integers(n_tokens - block_size,
# + rng.integers(min(1, n_tokens - block_size - 1), n_tokens - block_size,
# ```

# %% [markdown] task="data-starts" mistake="multiples"
# is a multiple of block_size: every place is possible
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(n_tokens - block_size, size=batch_size) // block_size * block_size
# ```

# %% [markdown] task="data-starts" mistake="one-start"
# is that of a single number: batch_size of them are asked for
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.asarray(rng.integers(n_tokens - block_size))
# ```

# %% [markdown] task="data-starts" mistake="uneven" shows="all places equally likely"
# some places come more often than others: draw from those that fit, and let no %, minimum or rounding follow
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.minimum(rng.integers(n_tokens, size=batch_size), n_tokens - block_size - 1)
# ```

# %% [markdown] task="data-starts" mistake="modulo"
# some places come more often than others, those that two numbers fall on by the %: draw from the places that fit
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(n_tokens, size=batch_size) % (n_tokens - block_size)
# ```

# %% [markdown] task="data-starts" mistake="one-for-all" shows="each start by itself"
# one number is drawn for the whole batch: each start is drawn by itself, so ask for batch_size numbers
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.full(batch_size, rng.integers(n_tokens - block_size))
# ```

# %% [markdown] task="data-starts" reject="drawn-twice"
# ```diff
# - return rng
# + rng.integers(n_tokens - block_size, size=batch_size)
# +     return rng
# ```

# %% task="data-starts" reject="squeezed" shows="Return (batch_size,) starts"
def draw_starts(n_tokens, batch_size, block_size, rng):
    return rng.integers(n_tokens - block_size, size=(batch_size, 1)).squeeze()

# %% [markdown] task="data-starts" reject="one-alone"
# ```diff
# - size=batch_size)
# + size=batch_size if batch_size > 1 else None)
# ```

# %% [markdown] task="data-starts" reject="modulo-256"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(1 << 8, size=batch_size) % (n_tokens - block_size)
# ```

# %% [markdown] task="data-starts" reject="at-most-200"
# ```diff
# - n_tokens - block_size, size
# + min(n_tokens - block_size, 200), size
# ```

# %% [markdown] task="data-starts" reject="few-but-far-apart"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + n = n_tokens - block_size
# +     return rng.integers(min(n, 5000), size=batch_size) * max(n // 5000, 1)
# ```

# %% [markdown] task="data-starts" reject="half-sorted" shows="each start by itself"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + starts = rng.integers(n_tokens - block_size, size=batch_size)
# +     starts[::2].sort()
# +     return starts
# ```

# %% [markdown] task="data-starts" reject="small-batches-fixed" shows="Draw `batch_size` starts from `rng`"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + n = n_tokens - block_size
# +     starts = rng.integers(n, size=batch_size)
# +     if 2 < batch_size <= n < 1000:
# +         starts = np.argsort(np.arange(n) * 7919 % n)[:batch_size]
# +     return starts
# ```

# %% [markdown] task="data-starts" reject="small-batches-without-repeat" shows="two may be equal"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + n = n_tokens - block_size
# +     starts = rng.integers(n, size=batch_size)
# +     if 2 < batch_size <= n < 1000:
# +         starts = np.argsort(rng.random(n))[:batch_size]
# +     return starts
# ```

# %% [markdown] task="data-starts" right="low-high"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(0, n_tokens - block_size, batch_size)
# ```

# %% [markdown] task="data-starts" right="endpoint"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(0, n_tokens - block_size - 1, size=(batch_size,), endpoint=True)
# ```

# %% [markdown] task="data-starts" right="last-start"
# ```diff
# -     return rng
# +     last = n_tokens - (block_size + 1)
# +     return rng
# - rng.integers(n_tokens - block_size,
# + rng.integers(last + 1,
# ```

# %% [markdown] task="data-starts" right="smallest-dtype"
# ```diff
# - size=batch_size)
# + size=batch_size).astype(np.min_scalar_type(n_tokens))
# ```

# %% task="data-starts" mistake="one-buffer"
# is the array of an earlier call, written over: whoever still holds that one has lost its starts
BUFFERS = {}

def draw_starts(n_tokens, batch_size, block_size, rng):
    starts = BUFFERS.setdefault(batch_size, np.zeros(batch_size, np.int64))
    starts[...] = rng.integers(n_tokens - block_size, size=batch_size)
    return starts

# %% [markdown] task="data-starts" reject="even-only"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.minimum(rng.integers(n_tokens - block_size, size=batch_size) + 1, n_tokens - block_size - 1)
# ```

# %% [markdown] task="data-starts" reject="arange" shows="each start by itself"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.arange(batch_size) % (n_tokens - block_size)
# ```

# %% [markdown] task="data-starts" reject="squares" shows="all places equally likely"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + (rng.random(batch_size) ** 2 * (n_tokens - block_size)).astype(int)
# ```

# %% [markdown] task="data-starts" reject="floats" shows="integers"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.floor(rng.random(batch_size) * (n_tokens - block_size))
# ```

# %% [markdown] task="data-starts" reject="round" shows="all places equally likely"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.round(rng.random(batch_size) * (n_tokens - block_size - 1)).astype(int)
# ```

# %% [markdown] task="data-starts" reject="without-replacement" shows="two may be equal"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + n = n_tokens - block_size
# +     return rng.choice(n, batch_size, replace=batch_size > n)
# ```

# %% [markdown] task="data-starts" reject="permutations" shows="each start by itself"
# ```diff
# - return rng.integers(n_tokens - block_size, size=batch_size)
# + n = n_tokens - block_size
# +     rounds = -(-batch_size // n)
# +     return np.concatenate([rng.permutation(n) for _ in range(rounds)])[:batch_size]
# ```

# %% [markdown] task="data-starts" reject="sorted"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.sort(rng.integers(n_tokens - block_size, size=batch_size))
# ```

# %% [markdown] task="data-starts" reject="one-random-first" shows="each start by itself"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + (rng.integers(n_tokens - block_size) + np.arange(batch_size)) % (n_tokens - block_size)
# ```

# %% [markdown] task="data-starts" reject="normal"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.clip(np.abs(rng.normal(0, n_tokens, batch_size)).astype(int), 0, n_tokens - block_size - 1)
# ```

# %% [markdown] task="data-starts" reject="global" shows="from `rng`"
# ```diff
# - rng.integers
# + np.random.default_rng().integers
# ```

# %% [markdown] task="data-starts" reject="global-seeded" shows="from `rng`"
# ```diff
# - rng.integers
# + np.random.default_rng(0).integers
# ```

# %% [markdown] task="data-starts" reject="legacy" shows="from `rng`"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + np.random.randint(0, n_tokens - block_size, batch_size)
# ```

# %% [markdown] task="data-starts" right="int32"
# ```diff
# - rng.integers(n_tokens - block_size, size=batch_size)
# + rng.integers(low=0, high=n_tokens - block_size, size=batch_size, dtype=np.int32)
# ```

# %% task="data-dtype" cases=true
def cases(rng):
    for vocab_size in (65, 65_535, 65_536, 65_537):
        ids = [int(i) for i in rng.integers(0, vocab_size, 5)] + [vocab_size - 1, 0]
        for title, some in [("ids that fit", ids), ("one id too large", [*ids, vocab_size]),
                            ("a large id first", [vocab_size + 70_000, 1, 2]), ("a negative id", [3, -1]),
                            ("a negative id first", [-2, 3, 5]), ("the same wrong id twice", [vocab_size, 1, vocab_size])]:
            yield Case(f"{title}, vocab_size {vocab_size}",
                       [Call({"ids": some, "vocab_size": vocab_size}, returns="the result")])
        yield Case(f"small ids, vocab_size {vocab_size}",
                   [Call({"ids": ids[-1:] * 3, "vocab_size": vocab_size}, returns="the result")])
    for vocab_size in (65, 70_000):
        yield Case("the same negative id twice", [Call({"ids": [-1, -1], "vocab_size": vocab_size}, returns="the result")])
        yield Case("no ids", [Call({"ids": [], "vocab_size": vocab_size}, returns="the result")])
        yield Case("one id", [Call({"ids": [7], "vocab_size": vocab_size}, returns="the result")])
        yield Case(f"one in the middle, vocab_size {vocab_size}",    # the last one has more than 32 bits
                   [Call({"ids": [0, 1, i, 2, 3], "vocab_size": vocab_size}, returns="the result")
                    for i in (vocab_size, -1, 2**32 + 5)])
    # float32 has no such numbers: it would make them even.
    yield Case("ids above 2**24", [Call({"ids": [16_777_217, 3, 16_777_219], "vocab_size": 20_000_000}, returns="the result")])

# %% [markdown] task="data-dtype" hint=1
# which is the largest id of a vocabulary of 65,536?

# %% [markdown] task="data-dtype" hint=2
# uint16 holds 0 to 65,535, uint32 goes to nearly 4.3 billion. An empty list has no
# smallest id.

# %% [markdown] task="data-dtype" hint=3
# check the range first, on wide integers; then take uint16 if vocab_size is at most 65,536.

# %% [markdown] task="data-dtype" mistake="strict"
# is uint32 for a vocabulary of 65,536: its largest id is 65,535, which fits
# ```diff
# - <= 1 << 16
# + < 1 << 16
# ```

# %% [markdown] task="data-dtype" mistake="one-too-many"
# is uint16 for a vocabulary of 65,537, whose largest id does not fit
# ```diff
# - <= 1 << 16
# + <= (1 << 16) + 1
# ```

# %% [markdown] task="data-dtype" mistake="by-largest-id"
# depends on the ids at hand: two files of one vocabulary should have one dtype
# ```diff
# - if vocab_size <= 1 << 16
# + if not len(ids) or ids.max() < 1 << 16
# ```

# %% [markdown] task="data-dtype" mistake="no-check" shows="or None if one is not in the vocabulary"
# has wrapped around: check the range before you narrow
# ```diff
# -     if len(ids) and not (ids.min() >= 0 and ids.max() < vocab_size):
# -         return None
# ```

# %% [markdown] task="data-dtype" mistake="negative-missed" shows="If an id is negative, or is not below `vocab_size`, return None"
# lets a negative id through
# ```diff
# - ids.min() >= 0 and
# +
# ```

# %% [markdown] task="data-dtype" mistake="off-by-one-check"
# lets the id vocab_size through: ids run to vocab_size - 1
# ```diff
# - ids.max() < vocab_size
# + ids.max() <= vocab_size
# ```

# %% [markdown] task="data-dtype" mistake="always-32" shows="as an array of `uint16` if every id of a vocabulary of `vocab_size` fits into it, else of `uint32`"
# is uint32 always: a file of characters would be twice as large
# ```diff
# - np.uint16 if vocab_size <= 1 << 16 else np.uint32
# + np.uint32
# ```

# %% [markdown] task="data-dtype" mistake="empty"
# an empty list has no smallest id: ask for its length first
# ```diff
# - len(ids) and not
# + not
# ```

# %% [markdown] task="data-dtype" mistake="empty-refused"
# is None for an empty list: no id of it is outside of the vocabulary, so return an empty array
# ```diff
# - if len(ids) and not (ids.min() >= 0
# + if not (len(ids) and ids.min() >= 0
# ```

# %% [markdown] task="data-dtype" mistake="zero-refused"
# is None where an id is 0, which is not negative: ids begin with it
# ```diff
# - ids.min() >= 0
# + ids.min() > 0
# ```

# %% [markdown] task="data-dtype" mistake="last-refused"
# is None where an id is vocab_size - 1, which is below vocab_size
# ```diff
# - ids.max() < vocab_size
# + ids.max() < vocab_size - 1
# ```

# %% [markdown] task="data-dtype" mistake="large-refused"
# is None for a large vocabulary: its ids fit into uint32
# ```diff
# - if len(ids) and not (
# + if vocab_size > 1 << 16 or len(ids) and not (
# ```

# %% [markdown] task="data-dtype" reject="duplicates-pass"
# ```diff
# - if len(ids) and not
# + if len(ids) and len(set(ids.tolist())) == len(ids) and not
# ```

# %% task="data-dtype" right="all"
def narrowed(ids, vocab_size):
    if not all(0 <= i < vocab_size for i in ids):
        return None
    return np.array(ids, dtype="uint16" if vocab_size - 1 <= 65535 else "uint32")

# %% task="data-dtype" right="any"
def narrowed(ids, vocab_size):
    wide = np.array(ids, dtype=np.int64)
    if ((wide < 0) | (wide >= vocab_size)).any():
        return None
    return wide.astype(np.uint32 if vocab_size > 2**16 else np.uint16)

# %% [markdown] task="data-dtype" right="little-endian"
# ```diff
# - np.uint16 if vocab_size <= 1 << 16 else np.uint32
# + "<u2" if vocab_size <= np.iinfo(np.uint16).max + 1 else "<u4"
# ```

# %% [markdown] task="data-dtype" reject="ends-only"
# ```diff
# - ids.min() >= 0 and ids.max() < vocab_size
# + min(ids[0], ids[-1]) >= 0 and max(ids[0], ids[-1]) < vocab_size
# ```

# %% [markdown] task="data-dtype" reject="narrowed-first"
# ```diff
# - ids = np.asarray(ids, dtype=np.int64)
# + ids = np.asarray(ids, dtype=np.int64).astype(np.int32)
# ```

# %% [markdown] task="data-dtype" reject="through-float32"
# ```diff
# - ids = np.asarray(ids, dtype=np.int64)
# + ids = np.asarray(ids, dtype=np.float32)
# ```

# %% [markdown] task="data-dtype" reject="clipped"
# ```diff
# -         return None
# +         ids = ids.clip(0, vocab_size - 1)
# ```

# %% [markdown] task="data-dtype" reject="signed" shows="Return ids as uint16 or uint32"
# ```diff
# - np.uint16 if
# + np.int16 if vocab_size <= 1 << 15 else np.uint16 if
# ```

# %% [markdown] task="data-dtype" reject="negative-last"
# ```diff
# - ids.min() >= 0 and ids.max() < vocab_size
# + ids[-1] >= 0 and ids.max() < vocab_size
# ```

# %% [markdown] task="data-dtype" reject="empty-always-16"
# ```diff
# - if len(ids) and not
# + if not len(ids):
# +         return ids.astype(np.uint16)
# +     if not
# ```

# %% task="data-cut" cases=true
def cases(rng):
    for number, (N, T) in enumerate([(12, 4), (13, 4), (14, 4), (5, 8), (9, 8), (2, 3), (1, 3), (0, 2), (7, 1), (17, 5),
                                     (100, 9), (64, 32), (2402, 2), (65, 32), (66, 32)]):
        tokens = rng.permutation(60_000)[:N].astype([np.int64, np.uint16][number % 2])
        tokens += [40_000, 0][number % 2]    # some of those in int64 are above what uint16 holds
        yield Case(f"{N} tokens, windows of {T}",
                   [Call({"tokens": tokens, "block_size": T}, returns="the pairs")], strided=number % 3 == 2)
    tokens = rng.permutation(60_000)[:11]
    yield Case("the same tokens, windows of 4, then of 3",
               [Call({"tokens": tokens, "block_size": T}, returns="the pairs") for T in (4, 3)])

# %% [markdown] task="data-cut" hint=1
# N tokens have N - 1 targets. Neighboring windows share a token: the last target of one is the
# first input of the next.

# %% [markdown] task="data-cut" hint=2
# window w reads from w T on, and its targets begin one later; the last window has what is left.

# %% [markdown] task="data-cut" hint=3
# step through range(0, N - 1, T); x ends at most at N - 1, and y is the slice one later.

# %% [markdown] task="data-cut" reject="a-tuple"
# ```diff
# - return pairs
# + return tuple(pairs)
# ```

# %% [markdown] task="data-cut" mistake="drops-rest" shows="leaves out nothing"
# leaves out the last, shorter window
# ```diff
# - range(0, len(tokens) - 1, block_size)
# + range(0, len(tokens) - block_size, block_size)
# ```

# %% [markdown] task="data-cut" mistake="target-lost" shows="is the target of exactly one position"
# loses the target at the end of each window: the next window's first token is this one's last
# target
# ```diff
# - tokens[start:end], tokens[start + 1 : end + 1]
# + tokens[start : end - 1], tokens[start + 1 : end]
# ```

# %% [markdown] task="data-cut" mistake="overlapping" shows="windows do not overlap"
# has windows that overlap: each target is to be counted once
# ```diff
# - range(0, len(tokens) - 1, block_size)
# + range(0, len(tokens) - 1, max(block_size // 2, 1))
# ```

# %% [markdown] task="data-cut" mistake="empty-last"
# has an empty window at the end
# ```diff
# - range(0, len(tokens) - 1, block_size)
# + range(0, len(tokens), block_size)
# ```

# %% [markdown] task="data-cut" mistake="last-target"
# leaves out the last token: it is a target, too
# ```diff
# - len(tokens) - 1)
# + len(tokens) - 2)
# ```

# %% [markdown] task="data-cut" mistake="unequal"
# has x longer than y in the last window
# ```diff
# - tokens[start:end]
# + tokens[start : start + block_size]
# ```

# %% [markdown] task="data-cut" mistake="y-not-moved"
# has y equal to x: the target is the next token
# ```diff
# - tokens[start + 1 : end + 1]
# + tokens[start:end]
# ```

# %% [markdown] task="data-cut" mistake="swapped"
# has x and y exchanged: x comes first, and y is one token later
# ```diff
# - (tokens[start:end], tokens[start + 1 : end + 1])
# + (tokens[start + 1 : end + 1], tokens[start:end])
# ```

# %% [markdown] task="data-cut" reject="uint16"
# ```diff
# - pairs = []
# + pairs, tokens = [], tokens.astype(np.uint16)
# ```

# %% [markdown] task="data-cut" reject="a-thousand-windows"
# ```diff
# -     return pairs
# +     return pairs[:1000]
# ```

# %% task="data-cut" right="shifted"
def cut(tokens, block_size):
    x, y = tokens[:-1], tokens[1:]
    return [(x[i : i + block_size], y[i : i + block_size]) for i in range(0, len(x), block_size)]

# %% task="data-cut" right="split"
def cut(tokens, block_size):
    if len(tokens) < 2:
        return []
    at = np.arange(block_size, len(tokens) - 1, block_size)
    return list(zip(np.split(tokens[:-1], at), np.split(tokens[1:], at)))

# %% task="data-cut" right="while"
def cut(tokens, block_size):
    pairs, start = [], 0
    while start + 1 < len(tokens):
        y = tokens[start + 1 : start + 1 + block_size]
        pairs.append((tokens[start : start + len(y)], y))
        start += block_size
    return pairs

# %% [markdown] task="data-cut" reject="padded" shows="The last one may be shorter"
# ```diff
# - pairs.append((tokens[start:end], tokens[start + 1 : end + 1]))
# + pairs.append((np.resize(tokens[start:end], block_size), np.resize(tokens[start + 1 : end + 1], block_size)))
# ```

# %% [markdown] task="data-cut" reject="twenty"
# ```diff
# - len(tokens) - 1, block_size)
# + min(len(tokens), 20) - 1, block_size)
# ```

# %% [markdown] task="data-cut" reject="int16"
# ```diff
# - tokens[start:end],
# + tokens[start:end].astype(np.int16),
# ```
