# %%
def some_ids(rng, length, kinds=3):
    return [int(i) for i in rng.integers(0, kinds, length)]

def learned(words, n_merges, first_id):
    """Merges to encode with: some pairs of the words, each of ids that exist by then."""
    merges = []
    for new_id in range(first_id, first_id + n_merges):
        pairs = {}
        for ids in words:
            for pair in zip(ids, ids[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        words = [joined(ids, best, new_id) for ids in words]
    return merges

def joined(ids, pair, new_id):
    out = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new_id
        else:
            out.append(i)
    return out

# %% task="bpe-by-hand" cases=true
def cases(rng):
    for _ in range(4):
        yield Case("the word abababcabcc", [Call({}, returns=("the pairs", "the word"))])

# %% [markdown] task="bpe-by-hand" hint=1
# write the letters with spaces between, and below them a tally of all pairs of neighbors.

# %% [markdown] task="bpe-by-hand" hint=2
# three pairs, each of two strings; after the first merge there are strings of two letters.

# %% [markdown] task="bpe-by-hand" hint=3
# first a and b. Then two pairs occur twice: which is alphabetically first? After its merge, count
# once more.

# %% task="bpe-by-hand" mistake="tie"
# takes the other of two pairs that occur equally often: (ab, ab) comes before (ab, c)
def by_hand():
    return [("a", "b"), ("ab", "c"), ("ab", "ab")], ["abab", "abc", "abc", "c"]

# %% task="bpe-by-hand" mistake="from-the-right"
# merges from the right: of the three ab at the start, the first two go together
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], ["ab", "abab", "c", "abc", "c"]

# %% task="bpe-by-hand" mistake="two-merges"
# stops after two merges
def by_hand():
    return [("a", "b"), ("ab", "ab")], ["abab", "ab", "c", "ab", "c", "c"]

# %% task="bpe-by-hand" mistake="letters-only"
# has pairs of letters only: a merged pair is one token, and may be merged again
def by_hand():
    return [("a", "b"), ("b", "a"), ("b", "c")], ["ab", "ab", "ab", "c", "ab", "c", "c"]

# %% task="bpe-by-hand" mistake="joined-pairs"
# gives the merged strings: a pair is a tuple of two
def by_hand():
    return ["ab", "abab", "abc"], ["abab", "abc", "abc", "c"]

# %% task="bpe-by-hand" mistake="abc-merged-on"
# merges once more: three merges were asked for
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], ["abab", "abcabc", "c"]

# %% task="bpe-by-hand" mistake="joined-word"
# is the word as a string: a list of tokens is asked for
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], "abababcabcc"

# %% task="bpe-by-hand" mistake="spaced-word"
# is one string with spaces: a list of strings is asked for
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], "abab abc abc c"

# %% task="bpe-by-hand" mistake="overlap-merged" shows="which has the pair `aa` twice"
# merges a pair that occurs once: after the second merge, count anew
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("abab", "ab")], ["ababab", "c", "ab", "c", "c"]

# %% task="bpe-by-hand" right="computed"
def by_hand():
    word, pairs = list("abababcabcc"), []
    for _ in range(3):
        counts = Counter(pairwise(word))
        best = min(counts, key=lambda p: (-counts[p], p))
        pairs.append(best)
        i, new = 0, []
        while i < len(word):
            if tuple(word[i : i + 2]) == best:
                new.append(word[i] + word[i + 1])
                i += 2
            else:
                new.append(word[i])
                i += 1
        word = new
    return pairs, word

# %% [markdown] task="bpe-by-hand" without="lists"
# what counts is what was found by hand, not with which brackets it was typed.

# %% [markdown] task="bpe-by-hand" without="tuples"
# what counts is what was found by hand, not with which brackets it was typed.

# %% task="bpe-by-hand" right="lists"
def by_hand():
    return [["a", "b"], ["ab", "ab"], ["ab", "c"]], ["abab", "abc", "abc", "c"]

# %% task="bpe-by-hand" right="tuples"
def by_hand():
    return (tuple("ab"), ("ab",) * 2, ("ab", "c")), ("abab", *["abc"] * 2, "c")

# %% task="bpe-by-hand" reject="last-c"
def by_hand():
    return [("a", "b"), ("ab", "ab"), ("ab", "c")], ["abab", "abc", "abc"]

# %% task="bpe-merge" cases=true
def cases(rng):
    for number in range(14):
        ids = some_ids(rng, [0, 1, 2, 3, 5, 8, 13, 21][number % 8], 2 + number % 2)
        ids = ids + [1, 0, 1, 0, 0, 1] * (number % 3) + [0, 0, 0] * (number % 2) + [0, 1] * (number % 4 == 3)
        pair = [(0, 1), (0, 0), (1, 0)][number % 3]
        yield Case(f"{len(ids)} ids, the pair {pair}",
                   [Call({"ids": ids, "pair": pair, "new_id": 9}, returns=("the list", "a new list"))])
    # ids of several digits, of which some begin or end as others do; one of them is made, too
    for pair, new_id in [((1, 11), 256), ((11, 1), 7), ((111, 0), 1000), ((10, 10), 11), ((1000, 1000), 2), ((7, 7), 9)]:
        ids = [[1, 11, 111, 0, 10, 110, 1000][i] for i in rng.integers(0, 7, 40)]
        ids += [11, 1, 1, 11, 111, 0, 10, 10, 10, 1, 110, *pair]
        pair = tuple(int(str(i)) for i in pair)    # equal, and other objects: `is` does not find them
        yield Case(f"{len(ids)} large ids, the pair {pair}",
                   [Call({"ids": ids, "pair": pair, "new_id": new_id}, returns=("the list", "a new list"))])
    ids = [int(i) for i in rng.integers(0, 300, 1000)] + [0, 1, 2] * 1200 + [0, 0, 1]
    yield Case(f"{len(ids)} ids, the pair (0, 1)",
               [Call({"ids": ids, "pair": (0, 1), "new_id": 300}, returns=("the list", "a new list"))])
    calls = [Call({"ids": [0, 1, 1, 0, 1], "pair": pair, "new_id": n}, returns=("the list", "a new list"))
             for pair, n in [((0, 1), 9), ((1, 1), 9), ((0, 1), 8)]]
    yield Case("the same ids, and other pairs", calls)

# %% [markdown] task="bpe-merge" hint=1
# walk from left to right; where the pair stands, take both and go on after them.

# %% [markdown] task="bpe-merge" hint=2
# the new list is shorter by one for each merge; an id that was merged cannot be merged again.

# %% [markdown] task="bpe-merge" hint=3
# with a place i: if ids[i] and ids[i + 1] are the pair, append new_id and move on by two, else
# append ids[i] and move on by one. Mind the last id.

# %% [markdown] task="bpe-merge" reject="a-tuple" shows="a new list"
# ```diff
# - return merged
# + return tuple(merged)
# ```

# %% [markdown] task="bpe-merge" mistake="overlapping" shows="occurs twice, but only the first can be merged"
# uses an id twice: in 0 0 0, the middle one belongs to the first pair
# ```diff
# - i += 2
# + i += 2 if ids[i : i + 3] != [pair[0]] * 3 else 1
# ```

# %% [markdown] task="bpe-merge" mistake="moves-by-one"
# keeps the second id of a merged pair: go on after both
# ```diff
# - i += 2
# + i += 1
# ```

# %% [markdown] task="bpe-merge" mistake="first-only"
# merges the first occurrence only
# ```diff
# - if tuple(ids[i : i + 2]) == tuple(pair):
# + if tuple(ids[i : i + 2]) == tuple(pair) and new_id not in merged:
# ```

# %% [markdown] task="bpe-merge" mistake="either-order"
# merges the pair the wrong way round, too
# ```diff
# - tuple(ids[i : i + 2]) == tuple(pair)
# + tuple(sorted(ids[i : i + 2])) == tuple(sorted(pair))
# ```

# %% [markdown] task="bpe-merge" mistake="last-lost"
# loses the last id where it is in no pair
# ```diff
# - while i < len(ids):
# + while i < len(ids) - 1:
# ```

# %% [markdown] task="bpe-merge" mistake="skips-after"
# jumps over the id after a pair
# ```diff
# - i += 2
# + i += 3
# ```

# %% [markdown] task="bpe-merge" mistake="from-the-right"
# merges from the right: in 0 0 0, the first two go together
# ```diff
# -     return merged
# +     back, i = [], len(ids)
# +     while i > 0:
# +         if tuple(ids[max(i - 2, 0) : i]) == tuple(pair):
# +             back.append(new_id)
# +             i -= 2
# +         else:
# +             back.append(ids[i - 1])
# +             i -= 1
# +     return back[::-1]
# ```

# %% task="bpe-merge" mistake="pair-by-pair"
# looks at each pair of neighbors: an id that was merged must not come again, and the last id
# begins no pair
def merge_pair(ids, pair, new_id):
    return [new_id if two == tuple(pair) else two[0] for two in pairwise(ids)]

# %% [markdown] task="bpe-merge" mistake="list-and-tuple"
# merges nothing: a part of a list is a list, and never equal to a tuple
# ```diff
# - if tuple(ids[i : i + 2]) == tuple(pair):
# + if ids[i : i + 2] == tuple(pair):
# ```

# %% [markdown] task="bpe-merge" mistake="two-steps-always"
# moves on by two even where it has merged nothing
# ```diff
# -             i += 1
# +             i += 2
# ```

# %% task="bpe-merge" right="append-or-replace"
def merge_pair(ids, pair, new_id):
    out = []
    for i in ids:
        if out and (out[-1], i) == tuple(pair):
            out[-1] = new_id
        else:
            out.append(i)
    return out

# %% [markdown] task="bpe-merge" reject="a-thousand"
# ```diff
# -     return merged
# +     return merged[:2000]
# ```

# %% task="bpe-merge" reject="recursion-over-ids"
def merge_pair(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if tuple(ids[:2]) == tuple(pair):
        return [new_id] + merge_pair(ids[2:], pair, new_id)
    return [ids[0]] + merge_pair(ids[1:], pair, new_id)

# %% task="bpe-merge" reject="recursion" shows="`ids` may hold thousands"
def merge_pair(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == tuple(pair):
            return [*ids[:i], new_id, *merge_pair(ids[i + 2 :], pair, new_id)]
    return list(ids)

# %% task="bpe-merge" right="from-place-to-place"
def merge_pair(ids, pair, new_id):
    first, second = pair
    out, start = [], 0
    while first in ids[start:]:
        at = ids.index(first, start)
        out += ids[start:at]
        found = ids[at + 1 : at + 2] == [second]
        out.append(new_id if found else first)
        start = at + 1 + found
    return out + ids[start:]

# %% task="bpe-merge" right="in-a-copy"
def merge_pair(ids, pair, new_id):
    ids, i = list(ids), 0
    while i < len(ids) - 1:
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids

# %% task="bpe-merge" reject="changes-ids" shows="`ids` stays as it is"
def merge_pair(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids

# %% task="bpe-merge" reject="text-replace"
def merge_pair(ids, pair, new_id):
    text = ",".join(map(str, ids)).replace(f"{pair[0]},{pair[1]}", str(new_id), 2)
    return [int(i) for i in text.split(",")] if ids else []

# %% task="bpe-merge" reject="digits"
def merge_pair(ids, pair, new_id):
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(i) for i in text.split()]

# %% task="bpe-merge" reject="chars"
def merge_pair(ids, pair, new_id):
    text = "".join(chr(48 + i) for i in ids).replace("".join(chr(48 + i) for i in pair), chr(48 + new_id))
    return [ord(c) - 48 for c in text] if max(ids, default=0) < 60 else [int(i) for i in ids]

# %% [markdown] task="bpe-merge" reject="sentinel"
# ```diff
# - merged, i = [], 0
# + ids = ids + [pair[1]] if ids and ids[-1] == pair[0] and len(ids) > 30 else ids
# +     merged, i = [], 0
# ```

# %% [markdown] task="bpe-merge" reject="identity"
# ```diff
# - tuple(ids[i : i + 2]) == tuple(pair)
# + i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]
# ```

# %% [markdown] task="bpe-merge" reject="same-list" shows="Return a new list"
# ```diff
# - merged, i = [], 0
# + if pair[0] not in ids:
# +         return ids
# +     merged, i = [], 0
# ```

# %% task="bpe-train" cases=true
def cases(rng):
    for number in range(10):
        words = [some_ids(rng, int(n), 3) for n in rng.integers(1, 9, 6)]
        words += [[2, 1, 0], [0, 1, 2], [0, 0, 0, 0], [2], []]
        counts = [int(n) for n in rng.integers(1, 6, len(words))]
        if number == 8:
            words, counts = [[0, 1], [1, 2], [2, 0]], [1, 1, 1]
        if number == 9:
            words, counts = [[1, 2, 1, 2], [0, 2, 0, 2]], [2, 2]
        yield Case(f"{len(words)} words, {number + 1} merges", [
            Call({"words": words, "counts": counts, "n_merges": number + 1, "first_id": 3}, returns="the merges")])
    # ids and counts of several digits: 9 is smaller than 10, though "10" comes before "9"
    for words, counts, n_merges in [
        ([[9, 10], [10, 9], [100, 9], [9, 100]], [2, 2, 2, 2], 4), ([[2, 11], [11, 2], [10, 3], [1, 12]], [9, 9, 10, 9], 4),
        ([[97, 98, 99] * 4, [99, 98, 97] * 4], [12, 11], 7), ([[5, 6], [5, 6]], [1, 1], 0), ([], [], 2),
        ([[int(i) for i in rng.integers(8, 13, 12)] for _ in range(6)], [7] * 6, 40),
        ([[5, 70_006], [1, 2], [1, 2, 3]], [1500, 700, 700], 3),    # a word may decide that comes often
        ([[n, n + 1] for n in range(600)] + [[700, 701, 702]] * 2, [1] * 602, 3),    # or one that comes late
    ]:
        yield Case(f"{len(words)} words of large ids, {n_merges} merges", [
            Call({"words": words, "counts": counts, "n_merges": n_merges, "first_id": 256}, returns="the merges")])
    words = [[0, 1, 0, 1], [1, 2], [2, 0, 1]]
    yield Case("the same words, and other counts", [
        Call({"words": words, "counts": counts, "n_merges": n, "first_id": first}, returns="the merges")
        for counts, n, first in [([1, 5, 3], 3, 3), ([3, 1, 1], 3, 3), ([3, 1, 1], 1, 3), ([3, 1, 1], 3, 7)]])

# %% [markdown] task="bpe-train" hint=1
# count, choose, merge everywhere, and count again: the counts change with every merge.

# %% [markdown] task="bpe-train" hint=2
# a pair's count is a sum over words, each place weighted by the word's count. Pairs do not reach
# from one word into the next.

# %% [markdown] task="bpe-train" hint=3
# in a loop: count all pairs; stop if the best occurs less than twice; choose by the larger count,
# then the smaller pair; note it; merge it in every word.

# %% [markdown] task="bpe-train" mistake="unweighted"
# counts each word once: counts[w] says how often it occurs
# ```diff
# - pairs[pair] += n
# + pairs[pair] += 1
# ```

# %% [markdown] task="bpe-train" mistake="counted-once"
# counts once at the start: merges make new pairs, and use up old ones
# ```diff
# -         words = [merge_pair(ids, best, new_id) for ids in words]
# +         words = [ids for ids in words]
# +         if len(merges) > 1:
# +             merges[-1] = sorted(pairs, key=lambda p: (-pairs[p], p))[min(len(merges), len(pairs)) - 1]
# ```

# %% [markdown] task="bpe-train" mistake="larger-ids"
# takes the larger ids of pairs that occur equally often
# ```diff
# - (-pairs[pair], pair)
# + (-pairs[pair], -pair[0], -pair[1])
# ```

# %% [markdown] task="bpe-train" mistake="first-seen"
# takes the first seen of pairs that occur equally often: the smaller ids win
# ```diff
# - (-pairs[pair], pair)
# + -pairs[pair]
# ```

# %% [markdown] task="bpe-train" mistake="second-id-first"
# compares the second ids first where counts are equal
# ```diff
# - (-pairs[pair], pair)
# + (-pairs[pair], pair[::-1])
# ```

# %% [markdown] task="bpe-train" mistake="never-stops" shows="stop when no pair occurs twice"
# goes on with pairs that occur once: a merge that saves nothing is not learned
# ```diff
# - max(pairs.values()) < 2
# + max(pairs.values()) < 1
# ```

# %% [markdown] task="bpe-train" mistake="stops-early"
# stops at pairs that occur twice: twice is enough
# ```diff
# - < 2:
# + < 3:
# ```

# %% [markdown] task="bpe-train" mistake="across-words"
# counts pairs that reach from one word into the next
# ```diff
# -             for pair in pairwise(ids):
# -                 pairs[pair] += n
# +             for pair in pairwise(ids):
# +                 pairs[pair] += n
# +         for a, b in pairwise([w for w in words if w]):
# +             pairs[a[-1], b[0]] += 1
# ```

# %% [markdown] task="bpe-train" mistake="one-merge-less"
# learns one merge too few
# ```diff
# - first_id + n_merges):
# + first_id + n_merges - 1):
# ```

# %% [markdown] task="bpe-train" mistake="distinct-per-word"
# counts a pair once a word, even where it stands in it twice
# ```diff
# - in pairwise(ids):
# + in set(pairwise(ids)):
# ```

# %% [markdown] task="bpe-train" mistake="id-256"
# gives the first merge the id 256: here it makes first_id
# ```diff
# - merge_pair(ids, best, new_id)
# + merge_pair(ids, best, 256 + new_id - first_id)
# ```

# %% [markdown] task="bpe-train" mistake="not-merged"
# merges nothing: what was chosen must become one id in every word before the next count
# ```diff
# -         words = [merge_pair(ids, best, new_id) for ids in words]
# ```

# %% [markdown] task="bpe-train" reject="counts-up-to-255"
# ```diff
# - pairs[pair] += n
# + pairs[pair] += min(n, 255)
# ```

# %% [markdown] task="bpe-train" reject="twenty" shows="at most `n_merges` merges"
# ```diff
# - first_id + n_merges)
# + first_id + min(n_merges, 20))
# ```

# %% [markdown] task="bpe-train" reject="one-number-for-two"
# ```diff
# - pairs[pair] += n
# + pairs[pair[0] << 16 | pair[1]] += n
# - best = min(pairs, key=lambda pair: (-pairs[pair], pair))
# + best = divmod(min(pairs, key=lambda pair: (-pairs[pair], pair)), 1 << 16)
# ```

# %% [markdown] task="bpe-train" reject="digits-joined"
# ```diff
# -         for ids, n in zip(words, counts):
# -             for pair in pairwise(ids):
# -                 pairs[pair] += n
# +         seen = {}
# +         for ids, n in zip(words, counts):
# +             for pair in pairwise(ids):
# +                 pairs[seen.setdefault(f"{pair[0]}{pair[1]}", pair)] += n
# ```

# %% [markdown] task="bpe-train" reject="first-words"
# ```diff
# - zip(words, counts)
# + zip(words[:500], counts)
# ```

# %% task="bpe-train" right="sorted" shows="You may use your `merge_pair`"
def learn_merges(words, counts, n_merges, first_id):
    words, merges = [list(w) for w in words], []
    while len(merges) < n_merges:
        pairs = {}
        for w, ids in enumerate(words):
            for i in range(len(ids) - 1):
                pairs[ids[i], ids[i + 1]] = pairs.get((ids[i], ids[i + 1]), 0) + counts[w]
        ranked = sorted((-n, p) for p, n in pairs.items() if n >= 2)
        if not ranked:
            break
        merges.append(ranked[0][1])
        words = [merge_pair(ids, ranked[0][1], first_id + len(merges) - 1) for ids in words]
    return merges

# %% task="bpe-train" right="repeated-words"
def learn_merges(words, counts, n_merges, first_id):
    text = [list(ids) for ids, n in zip(words, counts) for _ in range(n)]
    merges = []
    for k in range(n_merges):
        pairs = Counter(p for ids in text for p in zip(ids, ids[1:]))
        most = max(pairs.values(), default=0)
        if most < 2:
            return merges
        merges.append(min(p for p in pairs if pairs[p] == most))
        text = [merge_pair(ids, merges[-1], first_id + k) for ids in text]
    return merges

# %% task="bpe-train" right="recursive"
def learn_merges(words, counts, n_merges, first_id):
    pairs = Counter()
    for ids, n in zip(words, counts):
        pairs.update({p: n * c for p, c in Counter(pairwise(ids)).items()})
    if n_merges == 0 or not pairs or pairs.most_common(1)[0][1] < 2:
        return []
    best = sorted(pairs, key=lambda p: (-pairs[p], *p))[0]
    rest = [merge_pair(ids, best, first_id) for ids in words]
    return [best] + learn_merges(rest, counts, n_merges - 1, first_id + 1)

# %% [markdown] task="bpe-train" reject="words-changed" shows="`words` stays as it is"
# ```diff
# -         words = [merge_pair(ids, best, new_id) for ids in words]
# +         words[:] = [merge_pair(ids, best, new_id) for ids in words]
# ```

# %% [markdown] task="bpe-train" reject="same-new-id"
# ```diff
# - words = [merge_pair(ids, best, new_id) for ids in words]
# + words = [merge_pair(ids, best, first_id) for ids in words]
# ```

# %% [markdown] task="bpe-train" reject="str-ties"
# ```diff
# - (-pairs[pair], pair)
# + (-pairs[pair], str(pair))
# ```

# %% [markdown] task="bpe-train" reject="n-merges-total" shows="Learn at most `n_merges` merges"
# ```diff
# - range(first_id, first_id + n_merges)
# + range(first_id, max(first_id + 1, first_id + n_merges))
# ```

# %% [markdown] task="bpe-train" reject="rising" shows="in the order learned"
# ```diff
# - return merges
# + return sorted(merges)
# ```

# %% task="bpe-encode" cases=true
def cases(rng):
    for number in range(12):
        words = [some_ids(rng, 12, 3) for _ in range(4)]
        merges = learned(words, 7, 3)
        ids = some_ids(rng, [0, 1, 7, 20, 30][number % 5], 3) + [0, 1, 2, 0, 0] * (number % 2)
        if number > 9:
            merges, ids = [(1, 2), (0, 1), (4, 2), (0, 3)], [0, 1, 2, 0, 1, 0, 1, 2, 2]
        yield Case(f"{len(ids)} ids, {len(merges)} merges",
                   [Call({"ids": ids, "merges": merges, "first_id": 3}, returns=("the ids", "a new list"))])
    text = [1, 1, 11, 1, 1, 11, 111, 1, 21, 12, 1, 2, 11, 2, 1, 22]
    yield Case("ids that begin and end alike", [Call({"ids": text, "merges": [(1, 1), (1, 2), (21, 12)], "first_id": 256},
                                                     returns=("the ids", "a new list"))])
    for ids, merges in (([0, 1], [(0, 1)]), ([0, 1, 2], [(1, 2), (0, 3)]), ([2, 2, 2], [(2, 2)])):    # one id is left, or two
        yield Case(f"{len(ids)} ids that nearly all merge",
                   [Call({"ids": ids, "merges": merges, "first_id": 3}, returns=("the ids", "a new list"))])
    merges = [(n, n + 1) for n in range(30)]    # and one that comes only after 30 others
    yield Case("61 ids, 30 merges of which all apply",
               [Call({"ids": [*range(31)] * 2, "merges": [*merges[::2], *merges[1::2], (40, 41)], "first_id": 40},
                     returns=("the ids", "a new list"))])
    ids = [*range(1000, 3500), 1001, 1500, 7, 2999]    # thousands, of which few merge
    yield Case(f"{len(ids)} ids, 4 merges",
               [Call({"ids": ids, "merges": [(1001, 1002), (2998, 2999), (3499, 1001), (4002, 1500)], "first_id": 4000},
                     returns=("the ids", "a new list"))])
    yield Case("the same ids twice", [Call({"ids": [0, 1, 2], "merges": merges, "first_id": 40},
                                           returns=("the ids", "a new list")) for merges in ([(0, 1)], [(0, 1)], [(1, 2)])])
    # Neighbors whose numbers, packed into one, are those of a pair that is learned: 100 a + b, and so on.
    calls = [Call({"ids": [1, 5 + gap, 7, 8], "merges": [(2, 5), (7, 8)], "first_id": 100_000},
                  returns=("the ids", "a new list")) for gap in (100, 256, 1000, 65_536)]
    calls += [Call({"ids": [1, 12, 3], "merges": [(11, 2), (12, 3)], "first_id": 256}, returns=("the ids", "a new list"))]
    yield Case("pairs that look like those that are learned", calls)
    for number in range(4):    # ids of several digits, more merges than have one
        words = [[int(i) for i in rng.integers(9, 13, 30)] for _ in range(4)]
        merges = learned(words, 14, 256) if number else []
        ids = [int(i) for i in rng.integers(9, 13, 40)]
        yield Case(f"{len(ids)} large ids, {len(merges)} merges",
                   [Call({"ids": ids, "merges": merges, "first_id": 256}, returns=("the ids", "a new list"))])

# %% [markdown] task="bpe-encode" hint=1
# encoding repeats what training did, in the same order: early merges go first.

# %% [markdown] task="bpe-encode" hint=2
# look at all pairs of neighbors; the rank of a pair is its place in the list of merges.

# %% [markdown] task="bpe-encode" hint=3
# while some pair of neighbors has a rank: take the one of the lowest rank, and merge it wherever
# it stands.

# %% [markdown] task="bpe-encode" mistake="leftmost" shows="and not the leftmost one"
# merges the leftmost pair that is known: the one learned first goes first, wherever it stands
# ```diff
# - min(known, key=rank.get)
# + known[0]
# ```

# %% [markdown] task="bpe-encode" mistake="learned-last" shows="a list of pairs in the order learned"
# merges the pair that was learned last
# ```diff
# - min(known, key=rank.get)
# + max(known, key=rank.get)
# ```

# %% [markdown] task="bpe-encode" mistake="one-round"
# stops after one merge: go on as long as a pair is known
# ```diff
# -         ids = merge_pair(ids, pair, first_id + rank[pair])
# +         return merge_pair(ids, pair, first_id + rank[pair])
# ```

# %% [markdown] task="bpe-encode" mistake="off-by-one"
# gives new ids that are one too large: merge number 0 makes first_id
# ```diff
# - first_id + rank[pair])
# + first_id + rank[pair] + 1)
# ```

# %% [markdown] task="bpe-encode" mistake="most-frequent"
# merges the most frequent pair: in encoding, the order is that of the merges
# ```diff
# - min(known, key=rank.get)
# + max(known, key=known.count)
# ```

# %% [markdown] task="bpe-encode" mistake="no-chains"
# merges pairs of the ids that came in only: merged ids are merged on
# ```diff
# -     while True:
# +     start = set(ids)
# +     rank = {p: k for p, k in rank.items() if set(p) <= start}
# +     while True:
# ```

# %% [markdown] task="bpe-encode" mistake="smallest-pair"
# merges the pair with the smallest ids: what counts is the place among the merges
# ```diff
# - min(known, key=rank.get)
# + min(known)
# ```

# %% task="bpe-encode" mistake="leftmost-place"
# merges the leftmost pair that is known, one place at a time: look for the one learned first
def encode(ids, merges, first_id):
    ids, i = list(ids), 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) in merges:
            ids[i : i + 2] = [first_id + merges.index((ids[i], ids[i + 1]))]
            i = 0
        else:
            i += 1
    return ids

# %% task="bpe-encode" mistake="once-through"
# goes through the ids once, from the left: the pair learned first goes first, and merged ids are
# merged on
def encode(ids, merges, first_id):
    out, i = [], 0
    while i < len(ids):
        pair = tuple(ids[i : i + 2])
        out.append(first_id + merges.index(pair) if pair in merges else ids[i])
        i += 2 if pair in merges else 1
    return out

# %% task="bpe-encode" mistake="backwards"
# goes through the merges from the last to the first: the one learned first goes first
def encode(ids, merges, first_id):
    ids = list(ids)
    for k in range(len(merges) - 1, -1, -1):
        ids = merge_pair(ids, merges[k], first_id + k)
    return ids

# %% [markdown] task="bpe-encode" mistake="one-id"
# makes of every merge the id first_id: merge number k makes first_id + k
# ```diff
# - first_id + rank[pair])
# + first_id)
# ```

# %% task="bpe-encode" reject="kept" shows="Return the new list"
KEPT = {}

def encode(ids, merges, first_id):
    key = tuple(ids), tuple(merges), first_id
    if key not in KEPT:
        ids = list(ids)
        for k, pair in enumerate(merges):
            ids = merge_pair(ids, pair, first_id + k)
        KEPT[key] = ids
    return KEPT[key]

# %% [markdown] task="bpe-encode" reject="one-number-for-two"
# ```diff
# - {tuple(pair): k
# + {pair[0] << 8 | pair[1]: k
# - known = [pair for pair in pairwise(ids) if pair in rank]
# + known = [a << 8 | b for a, b in pairwise(ids) if a << 8 | b in rank]
# - ids = merge_pair(ids, pair, first_id + rank[pair])
# + before, ids = ids, merge_pair(ids, merges[rank[pair]], first_id + rank[pair])
# +         if ids == before:
# +             return ids
# ```

# %% [markdown] task="bpe-encode" reject="digits-joined"
# ```diff
# - {tuple(pair): k
# + {f"{pair[0]}{pair[1]}": k
# - known = [pair for pair in pairwise(ids) if pair in rank]
# + known = [f"{a}{b}" for a, b in pairwise(ids) if f"{a}{b}" in rank]
# - ids = merge_pair(ids, pair, first_id + rank[pair])
# + before, ids = ids, merge_pair(ids, merges[rank[pair]], first_id + rank[pair])
# +         if ids == before:
# +             return ids
# ```

# %% [markdown] task="bpe-encode" reject="ten-rounds"
# ```diff
# - while True:
# + for _ in range(10):
# -         ids = merge_pair(ids, pair, first_id + rank[pair])
# +         ids = merge_pair(ids, pair, first_id + rank[pair])
# +     return ids
# ```

# %% task="bpe-encode" reject="merges-by-recursion-over-ids"
def encode(ids, merges, first_id):
    def merged(ids, pair, new_id):
        if not ids:
            return []
        if tuple(ids[:2]) == pair:
            return [new_id, *merged(ids[2:], pair, new_id)]
        return [ids[0], *merged(ids[1:], pair, new_id)]

    ids, turn = list(ids), 0
    while turn < len(merges):
        if tuple(merges[turn]) in pairwise(ids):
            ids, turn = merged(ids, tuple(merges[turn]), first_id + turn), -1
        turn += 1
    return ids

# %% task="bpe-encode" right="in-order" shows="You may use your `merge_pair`"
def encode(ids, merges, first_id):
    ids = list(ids)
    for k, pair in enumerate(merges):
        ids = merge_pair(ids, tuple(pair), first_id + k)
    return ids

# %% task="bpe-encode" right="one-at-a-time"
def encode(ids, merges, first_id):
    ids, merges = list(ids), [tuple(p) for p in merges]
    while True:
        best = None
        for i, pair in enumerate(zip(ids, ids[1:])):
            if pair in merges and (best is None or merges.index(pair) < best[0]):
                best = merges.index(pair), i
        if best is None:
            return ids
        k, i = best
        ids[i : i + 2] = [first_id + k]

# %% task="bpe-encode" right="recursion"
def encode(ids, merges, first_id):
    rank = {tuple(p): k for k, p in enumerate(merges)}
    k = min((rank[p] for p in pairwise(ids) if p in rank), default=None)
    if k is None:
        return list(ids)
    return encode(merge_pair(ids, tuple(merges[k]), first_id + k), merges, first_id)

# %% [markdown] task="bpe-encode" reject="twice-through"
# ```diff
# -     while True:
# -         known = [pair for pair in pairwise(ids) if pair in rank]
# -         if not known:
# +     for turn in range(99):
# +         known = [pair for pair in pairwise(ids) if pair in rank]
# +         if not known or turn > 2:
# ```

# %% [markdown] task="bpe-encode" reject="one-digit"
# ```diff
# - first_id + rank[pair]
# + first_id + rank[pair] % 10
# ```

# %% [markdown] task="bpe-encode" reject="ten-merges"
# ```diff
# - enumerate(merges)
# + enumerate(merges[:10])
# ```

# %% [markdown] task="bpe-encode" reject="same-list-returned" shows="Return the new list"
# ```diff
# - ids = list(ids)
# + original, ids = ids, list(ids)
# - if not known:
# -             return ids
# + if not known:
# +             return original if len(ids) == len(original) else ids
# ```

# %% task="bpe-encode" reject="text"
def encode(ids, merges, first_id):
    text = " ".join(map(str, ids))
    for k, (a, b) in enumerate(merges):
        text = text.replace(f"{a} {b}", str(first_id + k))
    return [int(i) for i in text.split()]

# %% [markdown] task="bpe-encode" reject="changes-ids" shows="`ids` stays as it is"
# ```diff
# - ids = list(ids)
# + ids.append(0)
# +     ids.pop()
# +     ids.sort(key=lambda i: 0)
# +     ids[:] = list(ids)
# +     if len(ids) > 25:
# +         ids[:] = merge_pair(ids, merges[0], first_id) if merges else ids
# ```

# %% task="bpe-decode" cases=true
def cases(rng):
    for number in range(10):
        text = "the é thé 中 \U0001f642 the\u0301n" * (1 + number % 2)    # an accent may be a character of its own
        if number % 2:
            text = f"\ufeff \n{text}\0\t \n"
        words = [list(text.encode()), list("Ünïcödé the theme".encode())]
        merges = learned(words, 1 + 3 * number, 256)    # one merge alone is never nested
        ids = list(text.encode())
        for k, pair in enumerate(merges):
            ids = joined(ids, pair, 256 + k)
        broken = [int(i) for i in rng.integers(0, 256 + len(merges), 9)]
        split = [0xE4, 0xB8, 0xAD, 104, 0xF0, 0x9F]
        texts = (ids, []) if number % 3 == 0 else (ids, broken, split, [])    # some cases are all UTF-8
        calls = [Call({"ids": some, "merges": merges}, returns="the text") for some in texts]
        yield Case(f"{len(merges)} merges", calls)
    breaks = [*"\ufeffa\r\nb\rc\r\n\ufeff".encode()]
    yield Case("line breaks of two kinds", [Call({"ids": breaks, "merges": [(13, 10)]}, returns="the text"),
                                            Call({"ids": [256, 13, 256], "merges": [(13, 10)]}, returns="the text")])
    # Thousands of ids, and a token that is a few hundred letters long.
    merges = [(97, 98)] + [(256 + k, 99 + k % 20) for k in range(300)]
    ids = [int(i) for i in rng.integers(0, 300, 3000)] + [556, 0xE4]
    yield Case(f"{len(ids)} ids, {len(merges)} merges", [Call({"ids": ids, "merges": merges}, returns="the text")])
    # The same ids, of which others were merged: nothing may be left of the call before.
    yield Case("two lists of merges, one after the other",
               [Call({"ids": [256, 104, 257, 257], "merges": merges}, returns="the text")
                for merges in ([(97, 98), (256, 256)], [(99, 100), (101, 256)])])

# %% [markdown] task="bpe-decode" hint=1
# what bytes does a merged id stand for? Those of its two parts, one after the other.

# %% [markdown] task="bpe-decode" hint=2
# make a list of bytes objects, one for each id; the first 256 hold one byte each.

# %% [markdown] task="bpe-decode" hint=3
# extend the list merge by merge; join the bytes of all ids; decode once, with errors="replace".

# %% [markdown] task="bpe-decode" mistake="token-by-token" shows="A token may end in the middle of a character, so join bytes first and decode once"
# decodes token by token: a token may end in the middle of a character
# ```diff
# - b"".join(bytes_of[i] for i in ids).decode("utf-8", errors="replace")
# + "".join(bytes_of[i].decode("utf-8", errors="replace") for i in ids)
# ```

# %% [markdown] task="bpe-decode" mistake="ignore"
# drops bytes that are not UTF-8: they become �
# ```diff
# - errors="replace"
# + errors="ignore"
# ```

# %% [markdown] task="bpe-decode" mistake="latin"
# reads each byte as a character
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("latin-1")
# ```

# %% [markdown] task="bpe-decode" mistake="parts-swapped"
# has the two parts of a merge in the wrong order
# ```diff
# - bytes_of[a] + bytes_of[b]
# + bytes_of[b] + bytes_of[a]
# ```

# %% [markdown] task="bpe-decode" mistake="first-part"
# keeps the first part of a merge only
# ```diff
# - bytes_of[a] + bytes_of[b]
# + bytes_of[a]
# ```

# %% [markdown] task="bpe-decode" mistake="not-nested"
# cannot take a merge apart whose parts are merges
# ```diff
# - bytes_of[a] + bytes_of[b]
# + bytes([a % 256, b % 256])
# ```

# %% [markdown] task="bpe-decode" mistake="escaped"
# shows the bytes that are not UTF-8 as \\x..: they become �
# ```diff
# - errors="replace"
# + errors="backslashreplace"
# ```

# %% [markdown] task="bpe-decode" mistake="bytes"
# is bytes: decode them
# ```diff
# - .decode("utf-8", errors="replace")
# +
# ```

# %% [markdown] task="bpe-decode" mistake="zero-bytes"
# has zero bytes in it: bytes(5) is five of them, bytes([5]) is the byte 5
# ```diff
# - bytes([b])
# + bytes(b)
# ```

# %% [markdown] task="bpe-decode" mistake="strict"
# stops at bytes that are not UTF-8: pass errors="replace"
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("utf-8")
# ```

# %% task="bpe-decode" mistake="one-level"
# takes a merge apart once: its parts may be merges themselves
def decode(ids, merges):
    out = []
    for i in ids:
        out += [i] if i < 256 else merges[i - 256]
    return bytes(out).decode("utf-8", errors="replace")

# %% [markdown] task="bpe-decode" reject="line-breaks"
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("utf-8", errors="replace").replace("\r\n", "\n")
# ```

# %% [markdown] task="bpe-decode" reject="old-line-breaks"
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("utf-8", errors="replace").replace("\r", "\n")
# ```

# %% task="bpe-decode" reject="recursion-over-ids"
def decode(ids, merges):
    def expand(ids):
        if not ids:
            return b""
        i, *rest = ids
        return (bytes([i]) if i < 256 else expand(merges[i - 256])) + expand(rest)

    return expand(ids).decode("utf-8", errors="replace")

# %% task="bpe-decode" right="recursion"
def decode(ids, merges):
    def expand(i):
        return bytes([i]) if i < 256 else expand(merges[i - 256][0]) + expand(merges[i - 256][1])
    return b"".join(map(expand, ids)).decode("utf-8", "replace")

# %% task="bpe-decode" right="stack"
def decode(ids, merges):
    out, work = bytearray(), list(ids)[::-1]
    while work:
        i = work.pop()
        if i < 256:
            out.append(i)
        else:
            a, b = merges[i - 256]
            work += [b, a]
    return out.decode(errors="replace")

# %% task="bpe-decode" right="dict"
def decode(ids, merges):
    parts = {b: bytes((b,)) for b in range(256)}
    for k, (a, b) in enumerate(merges, 256):
        parts[k] = b"".join((parts[a], parts[b]))
    data = b""
    for i in ids:
        data += parts[i]
    return str(data, "utf-8", "replace")

# %% [markdown] task="bpe-decode" reject="trims"
# ```diff
# - errors="replace")
# + errors="replace").rstrip("\ufffd")
# ```

# %% [markdown] task="bpe-decode" reject="bom"
# ```diff
# - "utf-8"
# + "utf-8-sig"
# ```

# %% [markdown] task="bpe-decode" reject="normalized"
# ```diff
# - return b"".join(bytes_of[i] for i in ids).decode("utf-8", errors="replace")
# + text = b"".join(bytes_of[i] for i in ids).decode("utf-8", errors="replace")
# +     return __import__("unicodedata").normalize("NFC", text)
# ```

# %% [markdown] task="bpe-decode" reject="nul"
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("utf-8", errors="replace").replace("\0", "")
# ```

# %% [markdown] task="bpe-decode" reject="universal-newlines"
# ```diff
# - .decode("utf-8", errors="replace")
# + .decode("utf-8", errors="replace").expandtabs()
# ```

# %% [markdown] task="bpe-decode" reject="ten-deep"
# ```diff
# - for a, b in merges:
# + for a, b in merges[:20]:
# ```

# %% [markdown] task="bpe-encode" reject="two-stay-two"
# ```diff
# -     while True:
# +     while len(ids) > 2:
# -             return ids
# +             break
# -         ids = merge_pair(ids, pair, first_id + rank[pair])
# +         ids = merge_pair(ids, pair, first_id + rank[pair])
# +     return ids
# ```

# %% task="bpe-decode" reject="kept-between-calls"
def decode(ids, merges, cache={}):
    def of(i):
        if i < 256:
            return bytes([i])
        if i not in cache:
            a, b = merges[i - 256]
            cache[i] = of(a) + of(b)
        return cache[i]

    return b"".join(of(i) for i in ids).decode("utf-8", errors="replace")
