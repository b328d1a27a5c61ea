"""`python -m coursekit check 09` and `reset 09`: a reader's whole notebook."""

import sys

from coursekit.checking import progress
from coursekit.checking.tasks import ROOT, find_set
from coursekit.files import BookError, keep_old, read, say, write
from coursekit.source import exercise_cells

CELL_TIMEOUT = 120  # seconds


def check_sets(names):
    """Run sets as nbval does, and print a verdict a task.

    Returns:
        The exit code: 0 if all is right, 1 if something is not, 2 if something could not be judged.
    """
    return max([check_set(exercises) for exercises in [find_set(name) for name in names]])


def check_set(exercises):
    from coursekit.checking.checked import Checked  # loads Jupyter: `reset` needs none

    code = 0
    try:
        path = progress.exercise_path(exercises.name)
        with Checked(exercises, path, CELL_TIMEOUT) as checked:
            say(path.relative_to(ROOT).as_posix())
            for task in exercises.tasks.values():
                found = checked.finding(task.id)
                lines = found.lines
                if found.state == "right":
                    lines = [f"{task.id}: right, {task.points} point{'s' * (task.points != 1)}"]
                say(*(f"  {line}" for line in lines))
                sys.stdout.flush()
                if found.state in ("right", "wrong"):
                    progress.note(task.id, state=found.state)
                code = max(code, {"right": 0, "wrong": 1, "blank": 1}.get(found.state, 2))
    except BookError as error:  # the other sets are checked all the same
        print(error, file=sys.stderr)
        return 2
    return code


def reset(name):
    """Write the blank set again; keep the reader's file beside it."""
    from coursekit.build import notebook_of, render

    exercises = find_set(name)
    path = ROOT / "exercises" / f"{exercises.name}.ipynb"
    blank = render(notebook_of(exercises.page, exercise_cells(exercises.page, answers=False)))
    old = read(path)
    if old is not None and old != blank:
        say(f"exercises/{path.name} is kept as exercises/{keep_old(path).name}")
    if old != blank:
        write(path, blank)
    progress.forget(exercises.tasks)
    say(f"exercises/{path.name} is blank {'already' if old == blank else 'again'}")
    return 0
