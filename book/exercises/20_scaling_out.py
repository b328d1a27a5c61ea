# %% [markdown]
# # Exercises for chapter 20: Scaling out
#
# What many ranks must agree on, as arrays in one process: you need no MPI here. Write your code in
# place of `raise NotImplementedError()`, all of it in that cell. The check below it runs your
# code on cases that you do not see, and says what is wrong. `hint("ranks-shard")` in a cell of your
# own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: whose rows? (2 points, easy, about 10 minutes)
#
# A batch has B rows, numbered from 0, and there are p ranks. Rank r takes the rows from
# $\lfloor rB/p \rfloor$ up to $\lfloor (r+1)B/p \rfloor$, the last one not included. Return the first
# row and this end, two whole numbers.

# %% answer="ranks-shard"
def rows_of(rank, p, B):
    """Return (first row, end) of a rank's rows."""
    ### BEGIN SOLUTION
    return rank * B // p, (rank + 1) * B // p
    ### END SOLUTION

# %% check="ranks-shard" points=2 minutes=10 level="easy"
check("ranks-shard", rows_of)

# %% [markdown]
# ## Task 2: one gradient from many (3 points, medium, about 15 minutes)
#
# Rank r has the gradient of the mean loss over its `rows[r]` rows: `gradients[r]`, all of one shape.
# Return the gradient of the mean loss over all rows, of that shape. The given arrays must stay as
# they are.

# %% answer="ranks-mean"
def batch_gradient(gradients, rows):
    """Return the gradient of the batch from a list of gradients and a list of numbers of rows."""
    ### BEGIN SOLUTION
    total = np.zeros_like(gradients[0])
    for g, n in zip(gradients, rows):
        total += n / sum(rows) * g
    return total
    ### END SOLUTION

# %% check="ranks-mean" points=3 minutes=15 level="medium"
check("ranks-mean", batch_gradient)

# %% [markdown]
# ## Task 3: into a bucket and back (3 points, medium, about 20 minutes)
#
# `to_bucket` takes a list of arrays of any shapes and returns one flat array: one after the other, each
# row by row. `from_bucket` takes such a bucket and the shapes, and returns the list of arrays.

# %% answer="ranks-bucket"
def to_bucket(arrays):
    """Return (n,): all numbers of the arrays."""
    ### BEGIN SOLUTION
    return np.concatenate([a.reshape(-1) for a in arrays])
    ### END SOLUTION

def from_bucket(bucket, shapes):
    """Return the list of arrays of these shapes."""
    ### BEGIN SOLUTION
    arrays, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        arrays.append(bucket[start : start + size].reshape(shape))
        start += size
    return arrays
    ### END SOLUTION

# %% check="ranks-bucket" points=3 minutes=20 level="medium"
def there_and_back(arrays, other, shapes):    # `other` is another bucket, to be cut into these shapes
    return to_bucket(arrays), from_bucket(other, shapes)

check("ranks-bucket", there_and_back)

# %% [markdown]
# ## Task 4: the ring (4 points, hard, about 30 minutes)
#
# `pieces[rank, number]` is piece `number` of the bucket of `rank`: an array of shape (p, p, m). In turn
# t of the first half of a ring all-reduce, each rank r sends its piece number $(r - t) \bmod p$ to its
# right neighbor, rank $r + 1$, and the last rank sends to rank 0. The neighbor adds it to its own
# piece of that number; the sender keeps its own. Return the pieces after turns 0, 1, … `turns` - 1, a
# new array.

# %% answer="ranks-ring"
def ring(pieces, turns):
    """Return the pieces (p, p, m) after so many turns."""
    ### BEGIN SOLUTION
    p, pieces = len(pieces), pieces.copy()
    for turn in range(turns):
        before = pieces.copy()
        for rank in range(p):
            number = (rank - turn) % p
            pieces[(rank + 1) % p, number] += before[rank, number]
    return pieces
    ### END SOLUTION

# %% check="ranks-ring" points=4 minutes=30 level="hard"
def pieces_after(pieces, turns):    # the check looks whether the array is a new one
    after = ring(pieces, turns)
    return after, not np.shares_memory(after, pieces)

check("ranks-ring", pieces_after)
