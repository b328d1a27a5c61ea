"""A class made from the answers that the book knows, so that what each student got wrong is known.

`python tests/made_class.py FOLDER [--set 03] [--students 120]` writes one.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from answers import type_in

from coursekit.checking.answers import blank_answer
from coursekit.checking.tasks import find_set

SHARES = 40  # students of a hundred who share their progress


@dataclass
class Made:
    """What a class was made with."""

    right: Counter = field(default_factory=Counter)  # task -> students
    blank: Counter = field(default_factory=Counter)
    mistakes: dict = field(default_factory=dict)  # task -> Counter of the names of mistakes
    points: dict = field(default_factory=dict)  # student -> task -> points
    hints: dict = field(default_factory=dict)  # task -> list of hints of those who share
    minutes: dict = field(default_factory=dict)


def make_class(folder, exercises, students, rng):
    """Write the hand-ins of a class into `folder`; return Made."""
    made, tasks = Made(), list(exercises.tasks.values())
    skill = rng.normal(size=students)
    for number in range(students):
        name, sources = f"student {number:03}", {}
        made.points[name] = {}
        for task in tasks:
            kind, variant, source = one_answer(exercises, task, skill[number], rng)
            sources[task.id] = source
            made.points[name][task.id] = task.points * (kind == "right")
            if kind == "mistake":
                made.mistakes.setdefault(task.id, Counter())[variant] += 1
            else:
                getattr(made, kind)[task.id] += 1
        type_in(exercises.name, Path(folder) / name / f"{exercises.name}.ipynb", sources)
        if number % 100 < SHARES:
            share_progress(Path(folder) / name / ".progress", tasks, made, rng)
    return made


def one_answer(exercises, task, skill, rng):
    """(kind, name of the mistake, source) of a student's answer to a task."""
    drawn = skill + rng.normal()
    if drawn > -0.18:  # 55 of 100
        styles = [exercises.own_answer(task.id), *(v.source for v in task.of_kind("right"))]
        return "right", "", styles[rng.integers(len(styles))]
    if drawn < -2.3:  # 5 of 100
        return "blank", "", blank_answer(task)
    mistakes = task.of_kind("mistake")
    often = 1 / np.arange(1, len(mistakes) + 1)  # some are frequent, most are not
    variant = mistakes[rng.choice(len(mistakes), p=often / often.sum())]
    return "mistake", variant.name, variant.source


def share_progress(folder, tasks, made, rng):
    folder.mkdir(parents=True)
    for task in tasks:
        hints, minutes = int(rng.integers(len(task.hints) + 1)), int(rng.integers(3, 60))
        about = {"state": "right", "hints": hints, "seconds": 60 * minutes, "version": 1}
        (folder / f"{task.id}.json").write_text(json.dumps(about), "utf-8")
        made.hints.setdefault(task.id, []).append(hints)
        made.minutes.setdefault(task.id, []).append(minutes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="03")
    parser.add_argument("--students", type=int, default=120)
    options = parser.parse_args()
    rng = np.random.default_rng(20)
    print(make_class(options.folder, find_set(options.set), options.students, rng))


if __name__ == "__main__":
    main()
