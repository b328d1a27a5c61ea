"""The reader's progress: one small file for each task, in .progress/ beside book/.

A file is written beside and renamed, so that a crash leaves the old or the new one; what a later
version adds to a file, an earlier one keeps.
"""

import json
import os
import time
from pathlib import Path

from coursekit.checking.tasks import ROOT, load_set, set_names
from coursekit.files import BookError, failed, keep_old, read, say, write

PAUSE = 10 * 60  # seconds; after a longer silence, nobody was at work


def folder():
    """Where progress is kept; None where it is not the reader who runs the check."""
    place = os.environ.get("COURSEKIT_PROGRESS")
    if place is not None:
        return Path(place) if place else None
    return None if "COURSEKIT_NOTEBOOK" in os.environ else ROOT / ".progress"


def load(task):
    """What is known of a task: state, hints, seconds, last (a time)."""
    path = folder() / f"{task}.json"
    text = read(path)
    if text is None:
        return {}
    try:
        known = json.loads(text)
        if not isinstance(known, dict):
            raise ValueError
        return known
    except ValueError:
        keep_old(path)  # damaged by something else: kept, and begun anew
        path.unlink()
        return {}


def note(task, **changes):
    """Record that the reader did something, and add the time since the last thing they did."""
    if folder() is None:
        return
    try:
        known = load(task)
        now = time.time()
        since = now - number(known.get("last"), now)
        known["seconds"] = number(known.get("seconds"), 0) + (since if 0 < since < PAUSE else 0)
        known["last"] = now
        known |= {"version": 1} | changes
        write(folder() / f"{task}.json", json.dumps(known, indent=1) + "\n")
    except OSError as error:  # a verdict does not depend on it
        say(f"(progress is not kept: {failed(error)})")


def number(value, default):
    return value if isinstance(value, (int, float)) else default


def forget(tasks):
    """Forget all about some tasks."""
    for task in tasks:
        if folder() is not None:
            (folder() / f"{task}.json").unlink(missing_ok=True)


def table(root=ROOT):
    """Lines that show every task: untouched, wrong or right, hints used, minutes."""
    lines, done, total = [], 0, 0
    for name in set_names(root):
        lines.append(name)
        for task in load_set(name, root).tasks.values():
            known = load(task.id) if folder() else {}
            state = known.get("state", "untouched")
            hints, minutes = number(known.get("hints"), 0), number(known.get("seconds"), 0) / 60
            lines.append(
                f"  {task.id:28} {state:10} {task.points} point{'s' * (task.points != 1)}"
                + (f", {hints} hint{'s' * (hints != 1)}" if hints else "")
                + (f", {minutes:.0f} min" if known else f", about {task.minutes} min")
            )
            total += task.points
            done += task.points * (state == "right")
    return [*lines, f"{done} of {total} points"]


def exercise_path(name, root=ROOT):
    """Where the reader works on a set."""
    path = root / "exercises" / f"{name}.ipynb"
    if not path.is_file():
        # Not `make build`, which makes all other sets blank, too.
        reset = f"python -m coursekit reset {name[:2]}"
        raise BookError(f"exercises/{name}.ipynb is missing: {reset} writes it")
    return path
