"""Which tasks separate students who know the rest from those who do not: item-total correlation.

It is the corrected one, between a task and the points of all *other* tasks, with the 95% interval
of Fisher's transformation. Of a small class it would be noise.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

FEWEST = 30  # students: with so many, the interval around 0 still reaches from -0.36 to 0.36


@dataclass
class Item:
    """How a task goes with the rest; None where all students got the same."""

    correlation: float | None
    low: float = 0.0
    high: float = 0.0

    @property
    def says(self):
        if self.correlation is None:
            return "nothing: all got the same in it, or in all other tasks"
        if self.low > 0:
            return "separates: who got it right has more points elsewhere, too"
        if self.high < 0:
            return "the wrong way round: look at its text, and at its check"
        return "cannot be said: the interval holds 0"


def separating(points):
    """An Item for each task.

    Args:
        points: (students, tasks), what each got.

    Returns:
        list of Item; None if there are too few students or tasks.
    """
    students, tasks = points.shape
    if students < FEWEST or tasks < 2:
        return None
    return [item(points[:, task], np.delete(points, task, 1).sum(axis=1)) for task in range(tasks)]


def item(own, rest):
    if not own.std() or not rest.std():
        return Item(None)
    r = float(np.corrcoef(own, rest)[0, 1])
    half = NormalDist().inv_cdf(0.975) / np.sqrt(len(own) - 3)
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    return Item(r, float(np.tanh(z - half)), float(np.tanh(z + half)))
