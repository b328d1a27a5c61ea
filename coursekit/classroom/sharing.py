"""Hints and minutes of students who hand in their progress: the folder .progress beside a notebook.

coursekit/checking/progress.py writes these files on the student's computer. Here they are somebody
else's: a number counts if a reader could have come to it, and nothing else of a file is used.
"""

import json
from dataclasses import dataclass
from statistics import median

from coursekit.checking.answers import read_bytes
from coursekit.files import BookError

FOLDER = ".progress"
FEWEST = 5  # students who share theirs, before a number of them is shown
LARGEST = 10_000  # bytes of a file; ours have a hundred
LONGEST = 100 * 3600  # seconds


@dataclass
class Progress:
    """What one student's file says of one task."""

    hints: int
    minutes: float


def shared_progress(folders, task):
    """The Progress of a task, in the first of these folders that holds a file of it, or None."""
    for folder in folders:
        place = folder / FOLDER
        path = place / f"{task.id}.json"
        try:
            if place.is_symlink() or path.is_symlink() or not path.is_file():
                continue
            data = read_bytes(path)
            known = json.loads(data) if len(data) <= LARGEST else None
            hints, seconds = known.get("hints", 0), known.get("seconds", 0)
        except (OSError, BookError, ValueError, AttributeError, RecursionError):
            continue
        if type(hints) is not int or type(seconds) not in (int, float):
            continue
        if 0 <= hints <= len(task.hints) and 0 <= seconds <= LONGEST:
            return Progress(hints, seconds / 60)
    return None


@dataclass
class Shared:
    """What the students of a class say of one task."""

    students: int
    hints: list  # how many students took 0, 1, 2, ... hints
    minutes: float  # the median
    at_work: int  # students whose time is more than nothing


def of_class(found, task):
    """Shared, of some Progress; None if it would be about too few."""
    found = [each for each in found if each]
    if len(found) < FEWEST:
        return None
    hints = [sum(each.hints == n for each in found) for n in range(len(task.hints) + 1)]
    minutes = [each.minutes for each in found if each.minutes]
    return Shared(len(found), hints, median(minutes) if minutes else 0.0, len(minutes))
