# %% [markdown]
# # Exercises for chapter 14: BPE
#
# Byte-pair encoding from its parts. To keep numbers small, tokens here are ids in lists; what an id
# stands for matters only in the last task. Write your code in place of `raise
# NotImplementedError()`, and all of it into that cell. The check below it runs your code on lists
# that you do not see, and says what is wrong. `hint("bpe-merge")` in a cell of your own gives a hint;
# call it again for the next.

# %%
from collections import Counter
from itertools import pairwise

from coursekit import check, hint

# %% [markdown]
# ## Task 1: by hand (1 point, easy, about 10 minutes)
#
# Take pencil and paper. The text is one word, `abababcabcc`. Do three merges: each time, find the
# most frequent pair of neighbors (overlapping occurrences count, as in `aaa`, which has the pair `aa`
# twice; in a tie, take the alphabetically first), and merge it from the left. Return two things, `pairs,
# word`: the three pairs, each as a tuple of two strings, and the word after them, a list of strings.
# You are free to compute it, but do it by hand first.

# %% answer="bpe-by-hand"
def by_hand():
    """Return (the three pairs, the word after them)."""
    ### BEGIN SOLUTION
    # a b a b a b c a b c c: ab 4, ba 2, bc 2, ca 1, cc 1
    # ab ab ab c ab c c: (ab, ab) 2, (ab, c) 2, (c, ab) 1, (c, c) 1: "ab" comes before "c"
    # abab ab c ab c c: (ab, c) 2, all others 1
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], ["abab", "abc", "abc", "c"]
    ### END SOLUTION

# %% check="bpe-by-hand" points=1 minutes=10 level="easy"
check("bpe-by-hand", by_hand)

# %% [markdown]
# ## Task 2: merge a pair (2 points, easy, about 10 minutes)
#
# Return a new list in which each occurrence of `pair`, from the left, is replaced by `new_id`. In
# `[5, 5, 5]`, the pair `(5, 5)` occurs twice, but only the first can be merged. `ids` stays as it is.
# `ids` may hold thousands: a function that calls itself for each of them is too deep for Python.

# %% answer="bpe-merge"
def merge_pair(ids, pair, new_id):
    """Return `ids` with each occurrence of `pair` replaced by `new_id`."""
    ### BEGIN SOLUTION
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == tuple(pair):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
    ### END SOLUTION

# %% check="bpe-merge" points=2 minutes=10 level="easy"
def merged_list(ids, pair, new_id):    # the check looks whether the list is a new one
    merged = merge_pair(ids, pair, new_id)
    return merged, merged is not ids

check("bpe-merge", merged_list)

# %% [markdown]
# ## Task 3: learn merges (4 points, medium, about 30 minutes)
#
# `words` is a list of lists of ids, and `counts[w]` says how often word `w` occurs. Learn at most
# `n_merges` merges, the first of which makes the id `first_id`, the next `first_id + 1`, and so on. Each
# time, merge the pair that occurs most often, in a tie the one with the smaller ids; stop when no
# pair occurs twice. A word that occurs five times counts its pairs five times. Return the list of
# pairs. `words` stays as it is. You may use your `merge_pair`.

# %% answer="bpe-train"
def learn_merges(words, counts, n_merges, first_id):
    """Return the merges as a list of pairs, in the order learned."""
    ### BEGIN SOLUTION
    merges = []
    for new_id in range(first_id, first_id + n_merges):
        pairs = Counter()
        for ids, n in zip(words, counts):
            for pair in pairwise(ids):
                pairs[pair] += n
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [merge_pair(ids, best, new_id) for ids in words]
    return merges
    ### END SOLUTION

# %% check="bpe-train" points=4 minutes=30 level="medium"
check("bpe-train", learn_merges)

# %% [markdown]
# ## Task 4: encode (3 points, medium, about 20 minutes)
#
# `merges` is a list of pairs in the order learned; merge number k makes the id `first_id + k`. Encode
# `ids`: as long as a pair of neighbors is among the merges, merge the pair that was learned first,
# wherever it stands, and not the leftmost one. Return the new list; `ids` stays as it is. You may use
# your `merge_pair`.

# %% answer="bpe-encode"
def encode(ids, merges, first_id):
    """Return the ids after all merges that apply."""
    ### BEGIN SOLUTION
    rank = {tuple(pair): k for k, pair in enumerate(merges)}
    ids = list(ids)
    while True:
        known = [pair for pair in pairwise(ids) if pair in rank]
        if not known:
            return ids
        pair = min(known, key=rank.get)
        ids = merge_pair(ids, pair, first_id + rank[pair])
    ### END SOLUTION

# %% check="bpe-encode" points=3 minutes=20 level="medium"
def encoded_list(ids, merges, first_id):
    encoded, again = (encode(ids, merges, first_id) for _ in range(2))
    return encoded, encoded is not ids and encoded is not again

check("bpe-encode", encoded_list)

# %% [markdown]
# ## Task 5: decode (2 points, medium, about 15 minutes)
#
# Here ids 0 to 255 are the bytes themselves, and merge number k makes the id 256 + k. Return the text
# of `ids`. A token may end in the middle of a character, so join bytes first and decode once; invalid
# UTF-8 becomes `�`, with `errors="replace"`.

# %% answer="bpe-decode"
def decode(ids, merges):
    """Return the text that `ids` stand for."""
    ### BEGIN SOLUTION
    bytes_of = [bytes([b]) for b in range(256)]
    for a, b in merges:
        bytes_of.append(bytes_of[a] + bytes_of[b])
    return b"".join(bytes_of[i] for i in ids).decode("utf-8", errors="replace")
    ### END SOLUTION

# %% check="bpe-decode" points=2 minutes=15 level="medium"
check("bpe-decode", decode)
