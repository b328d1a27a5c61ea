"""Which hand-ins are more alike than chance explains: a reason to look at them, and no more.

Short right answers are alike by chance. So what counts is the rarest thing that two answers share:
a part of the syntax tree, or all of it, that few students have; of equally rare ones, how alike the
answers are as a whole. In each task a pair gets the share of all pairs of the class that have
something as rare in common, and in all tasks together the product of these shares. What would come
out without any copying is found by dealing the class's own answers out anew, task by task, among
those who did equally well in it, and counting.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from coursekit.classroom.trees import subtrees, tree_of

FEWEST = 10  # students; of fewer, nothing can be said of chance
DEALS = 100  # of the class's answers
MOST = 20  # pairs that are listed
EXPECTED = 1.0  # a pair is listed if chance gives fewer pairs like it than this


@dataclass
class Pair:
    """Two hand-ins that are alike."""

    students: tuple
    tasks: list  # of (task, how alike: 1 is the same, pairs that are as alike)
    expected: float  # pairs of this class that chance makes at least as surprising


class Alike:
    """How alike the answers of a class are in one task.

    Args:
        answers: the source of each student, or None.
        states: "right", "wrong" or "blank" of each.
    """

    def __init__(self, answers, states):
        trees = [
            tree_of(source) if source is not None and state in ("right", "wrong") else None
            for source, state in zip(answers, states, strict=True)
        ]
        parts = [subtrees(tree) if tree else None for tree in trees]
        self.there = np.array([each is not None for each in parts])
        shapes = {key: counts for key, counts in filter(None, parts)}
        order = {key: number for number, key in enumerate(shapes)}
        which = np.array([order[each[0]] if each else 0 for each in parts], int)
        both = self.there[:, None] & self.there[None, :]
        students = np.bincount(which[self.there], minlength=max(len(shapes), 1))
        shared, dice = in_common(list(shapes.values()), students)
        self.alike = np.where(both, dice[np.ix_(which, which)], 0.0)
        self.shared = np.where(both, shared[np.ix_(which, which)], 0.0)
        self.rarity = self.rarities()
        self.groups = [
            np.flatnonzero([s == state and t for s, t in zip(states, self.there, strict=True)])
            for state in ("right", "wrong")
        ]

    def rarities(self):
        """-log of the share of pairs that have as much in common; 0 where an answer is missing."""
        upper = np.triu_indices(len(self.alike), 1)
        there = (self.there[:, None] & self.there[None, :])[upper]
        values = np.sort(self.shared[upper][there])
        found = np.zeros_like(self.shared)
        if len(values):
            above = len(values) - np.searchsorted(values, self.shared[upper] - 1e-9)
            found[upper] = np.where(there, -np.log(np.maximum(above, 1) / len(values)), 0)
        return found + found.T

    def as_alike(self, i, j):
        """How many other pairs have at least as much in common as students i and j."""
        upper = np.triu_indices(len(self.alike), 1)
        return int((self.shared[upper] >= self.shared[i, j] - 1e-9).sum()) - 1

    def dealt(self, rng):
        """Who has whose answer when they are dealt out anew among those who did equally well."""
        order = np.arange(len(self.alike))
        for group in self.groups:
            order[group] = rng.permutation(group)
        return order


def in_common(shapes, students):
    """(how rare the rarest part is that two trees share, how alike they are), of each two.

    The one is log2(N / n) of a part that n of N students have, and a little more the more they
    are alike; the other is Dice's coefficient, from 0 to 1.

    Args:
        shapes: the parts of each tree, a Counter.
        students: how many have each tree.
    """
    often = Counter()
    for counts, number in zip(shapes, students, strict=bool(shapes)):
        often.update(dict.fromkeys(counts, int(number)))
    # What one student alone has is shared with nobody, and would fill the memory.
    shared_keys = sorted(key for key, number in often.items() if number > 1)
    keys = {key: column for column, key in enumerate(shared_keys)}
    table = np.zeros((max(len(shapes), 1), max(len(keys), 1)))
    for row, counts in enumerate(shapes):
        for key in keys.keys() & counts.keys():
            table[row, keys[key]] = counts[key]
    have = students @ (table > 0)
    bits = np.log2(max(students.sum(), 1) / np.maximum(have, 1))
    sizes = np.array([counts.total() for counts in shapes] or [0])
    shared = np.array([np.minimum(table, row).sum(axis=1) for row in table])
    alike = 2 * shared / np.maximum(sizes[:, None] + sizes[None, :], 1)
    rarest = np.array([np.where((table > 0) & (row > 0), bits, 0).max(axis=1) for row in table])
    return rarest + 1e-3 * alike, alike


def similar_pairs(students, tasks, rng):
    """The pairs that chance does not explain, the most surprising first.

    Args:
        students: their names.
        tasks: {task: (source of each student or None, state of each)}.
        rng: deals the answers.
    """
    if len(students) < FEWEST:
        return []
    alike = {task: Alike(*about) for task, about in tasks.items()}
    upper = np.triu_indices(len(students), 1)
    seen = sum(each.rarity for each in alike.values())[upper]
    best = np.argsort(-seen, kind="stable")[: 10 * MOST]
    by_chance = np.zeros(len(best))
    for _ in range(DEALS):
        total = np.zeros((len(students), len(students)))
        for each in alike.values():
            order = each.dealt(rng)
            total += each.rarity[np.ix_(order, order)]
        dealt = np.sort(total[upper])
        by_chance += len(dealt) - np.searchsorted(dealt, seen[best] - 1e-9)
    found = []
    for index, expected in zip(best, by_chance / DEALS, strict=True):
        if expected >= EXPECTED or len(found) == MOST:
            break
        i, j = int(upper[0][index]), int(upper[1][index])
        about = [
            (task, float(each.alike[i, j]), each.as_alike(i, j)) for task, each in alike.items()
        ]
        found.append(Pair((students[i], students[j]), about, float(expected)))
    return found
