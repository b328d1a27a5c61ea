# %% [markdown]
# # Exercises for chapter 15: Data
#
# Windows of tokens, and the off-by-one mistakes that no error message reports. Write your code in
# place of `raise NotImplementedError()`, and all of it into that cell. The check below it runs your
# code on cases that you do not see, and says what is wrong. `hint("data-windows")` in a cell of your
# own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: windows (2 points, easy, about 15 minutes)
#
# `tokens` is `(N,)`, `starts` is `(B,)`. Return `x`, of shape `(B, T)` with T = `block_size`: row b
# is the T tokens from `starts[b]` on; and `y`, of the same shape, the same one token later. Both are
# new arrays of int64, whatever the dtype of `tokens`.

# %% answer="data-windows"
def windows(tokens, starts, block_size):
    """Return x (B, T) and y (B, T), int64."""
    ### BEGIN SOLUTION
    both = tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)    # (B, T+1)
    return both[:, :-1], both[:, 1:]
    ### END SOLUTION

# %% check="data-windows" points=2 minutes=15 level="easy"
def windows_and_dtypes(tokens, starts, block_size):    # the check looks at the dtypes, too
    x, y = windows(tokens, starts, block_size)
    return x, y, f"{x.dtype}, {y.dtype}"

check("data-windows", windows_and_dtypes)

# %% [markdown]
# ## Task 2: where may a window start? (2 points, medium, about 15 minutes)
#
# Draw `batch_size` starts from `rng`, with `rng.integers` and its usual dtype (a small one draws
# other numbers): each start by itself, so that two may be equal, and all places equally likely. A
# window of T = `block_size` tokens and the target of its last token must lie in the `n_tokens` tokens;
# each place where one fits must be possible, the last one, too.

# %% answer="data-starts"
def draw_starts(n_tokens, batch_size, block_size, rng):
    """Return (batch_size,) starts."""
    ### BEGIN SOLUTION
    return rng.integers(n_tokens - block_size, size=batch_size)
    ### END SOLUTION

# %% check="data-starts" points=2 minutes=15 level="medium"
def many_starts(n_tokens, block_size, rng):    # the check draws many, and looks at them
    starts = draw_starts(n_tokens, 20_000, block_size, rng)
    last, new, small = starts, True, {}
    for size, n in {2: 300, 1: 60, 3: 60, 4: 60, 7: 60}.items():
        small[size] = []
        for _ in range(n):
            drawn = draw_starts(n_tokens, size, block_size, rng)
            new, last = new and not np.shares_memory(drawn, last), drawn
            small[size].append(np.array(drawn).astype(np.int64))
    shapes = [np.shape(starts)] + [np.shape(drawn[0]) for drawn in small.values()]
    kind = "integers" if np.issubdtype(starts.dtype, np.integer) else str(starts.dtype)
    # Where places are many, they are counted in 20 equal groups.
    places = n_tokens - block_size
    groups = min(places, 20)
    different = len(np.unique(starts)) / (places * -np.expm1(-len(starts) / places))    # over what chance makes it
    starts = starts.astype(np.int64) * groups // places
    shares = np.unique(starts, return_counts=True)[1] / len(starts)
    even = abs(shares - 1 / len(shares)).max() < 0.025 and different > 0.9
    # Two starts are equal as often as one place is drawn: in a large batch, one to three places apart; in
    # a batch of two; at the same place of two small batches.
    def gap(a, b):
        return abs(np.mean(a == b) - 1 / len(shares))

    by_itself = all(gap(starts[:-k], starts[k:]) < 0.035 for k in (1, 2, 3))
    for size, drawn in small.items():
        if size > 1 and by_itself:
            drawn = np.array(drawn).reshape(len(drawn), -1) * groups // places
            first, second = (drawn[:, 0], drawn[:, -1]) if size == 2 else (drawn[:-1], drawn[1:])
            by_itself = gap(first, second) < (0.19 if size == 2 else 0.25)
    smallest, largest = int(starts.min()) * places // groups, int(starts.max()) * places // groups
    return smallest, largest, shapes, kind, new, bool(even), bool(by_itself)

check("data-starts", many_starts)

# %% [markdown]
# ## Task 3: which dtype? (2 points, easy, about 10 minutes)
#
# A token file should be small, and never wrong. Return `ids`, a list of integers, as an array of
# `uint16` if every id of a vocabulary of `vocab_size` fits into it, else of `uint32`. If an id is
# negative, or is not below `vocab_size`, return None: narrowing would wrap around in silence.

# %% answer="data-dtype"
def narrowed(ids, vocab_size):
    """Return ids as uint16 or uint32, or None if one is not in the vocabulary."""
    ### BEGIN SOLUTION
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocab_size):
        return None
    return ids.astype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
    ### END SOLUTION

# %% check="data-dtype" points=2 minutes=10 level="easy"
def numbers_and_dtype(ids, vocab_size):
    array = narrowed(ids, vocab_size)
    return None if array is None else [array.astype(int).tolist(), str(array.dtype)]

check("data-dtype", numbers_and_dtype)

# %% [markdown]
# ## Task 4: all of the validation text, once (3 points, hard, about 25 minutes)
#
# The chapter's windows are drawn at random. For a loss that is the same every time and leaves out
# nothing, cut the text instead: window number w starts at w·T, and windows do not overlap. The last
# one may be shorter. Return a list of pairs `(x, y)`, each of two 1-D arrays of equal length, such
# that every token but the first is the target of exactly one position. With fewer than two tokens
# there is no pair.

# %% answer="data-cut"
def cut(tokens, block_size):
    """Return [(x, y), ...] that cover all targets once."""
    ### BEGIN SOLUTION
    pairs = []
    for start in range(0, len(tokens) - 1, block_size):
        end = min(start + block_size, len(tokens) - 1)
        pairs.append((tokens[start:end], tokens[start + 1 : end + 1]))
    return pairs
    ### END SOLUTION

# %% check="data-cut" points=3 minutes=25 level="hard"
check("data-cut", cut)
