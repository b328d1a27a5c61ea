"""Learn the merges of byte-pair encoding. Derived in chapter 14."""

import heapq
from collections import defaultdict
from itertools import pairwise


def merge_pair(ids, pair, new_id):
    """Return `ids` with each occurrence of `pair`, from the left, replaced by `new_id`."""
    first, second = pair
    merged, last = [], None
    for i in ids:
        if last == first and i == second:
            merged[-1] = last = new_id
        else:
            merged.append(i)
            last = i
    return merged


def index_pairs(words, counts):
    """Return {pair: how often it occurs} and {pair: the numbers of the words that hold it}."""
    pair_count, words_with = defaultdict(int), defaultdict(set)
    for w, ids in enumerate(words):
        for pair in pairwise(ids):
            pair_count[pair] += counts[w]
            words_with[pair].add(w)
    return pair_count, words_with


def learn_merges(words, counts, n_merges):
    """Return the merges, best first: the most frequent pair, of equals the one with smaller ids.

    Args:
        words: the ids of each distinct piece; they are merged in place.
        counts: how often each piece occurs.
        n_merges: how many to learn; fewer where no pair occurs twice any more.
    """
    pair_count, words_with = index_pairs(words, counts)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        n, pair = heapq.heappop(heap)
        if -n != pair_count[pair]:  # it has fallen since
            heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        if -n < 2:
            break
        new = apply_merge(words, counts, pair, 256 + len(merges), pair_count, words_with)
        for p in new:
            heapq.heappush(heap, (-pair_count[p], p))
        merges.append(pair)
    return merges


def apply_merge(words, counts, pair, new_id, pair_count, words_with):
    """Merge `pair` in each word that holds it, keep counts and index true; return the new pairs."""
    first, second = pair
    new_pairs = set()
    for w in words_with.pop(pair):
        words[w] = merge_pair(words[w], pair, new_id)
        for new in pairwise(words[w]):
            if new_id in new:
                left, right = new
                old = second if left == new_id else left, first if right == new_id else right
                pair_count[old] -= counts[w]
                pair_count[new] += counts[w]
                words_with[new].add(w)
                new_pairs.add(new)
    del pair_count[pair]
    return new_pairs
