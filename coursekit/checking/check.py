"""What an exercise notebook calls: `check`, `hint`, `status`."""

import os
from contextlib import suppress
from inspect import isclass
from pathlib import Path

import numpy as np

from coursekit.checking.covered import covered
from coursekit.checking.outcomes import outcomes, owner
from coursekit.checking.record import INPUTS, record
from coursekit.checking.tasks import ROOT, find_task
from coursekit.checking.whose import written
from coursekit.files import say


class CheckError(AssertionError):
    """An answer that is not right yet; `check` has printed why."""

    def _render_traceback_(self):
        # IPython calls this: the reader needs the verdict above, not our frames.
        return [str(self)]


class Interrupted(KeyboardInterrupt):
    """The reader has stopped a check."""

    def _render_traceback_(self):
        return [str(self)]


def check(task, answer):
    """Run an answer on hidden random cases, print the verdict, and raise if it is not right.

    Args:
        task: its id, such as "linear-backward".
        answer: the class or function asked for. Of a method, its class is run.

    Raises:
        CheckError: the answer is wrong, or not written yet.
        BookError: there is no such task.
    """
    if INPUTS in os.environ:
        record(task, answer)  # somebody else judges: nbval's process, or the grader
        return
    try:
        verdict = verdict_on(find_task(task), task, answer)
    except KeyboardInterrupt:
        raise Interrupted(f"the check of {task} was interrupted") from None
    tell(task, verdict, note)


def tell(task, verdict, note):
    """Print a verdict and let `note` keep it.

    Raises:
        CheckError: the answer is wrong, or not written yet.
    """
    say(*verdict.lines())
    if verdict.written:
        note(task, state="right" if verdict.is_right else "wrong")
    if not verdict.is_right:
        state = "right" if verdict.written else "written"
        raise CheckError(f"{task} is not {state} yet: see above; hint({task!r}) may help")


def note(task, **changes):
    """Keep what the reader did. Our own answers are nobody's progress, whoever runs them."""
    from coursekit.checking import progress

    # A kernel works in the folder of its notebook.
    if Path.cwd() != (ROOT / "solutions").resolve():
        progress.note(task, **changes)


def verdict_on(exercises, task, answer, seed=None, text=None):
    """Judge an answer on fresh cases.

    Args:
        seed: makes them repeatable.
        text: the answer's; without it, that of the cells that have defined it.
    """
    from coursekit.checking.judge import Reference, judge

    cases = list(exercises.tasks[task].cases(np.random.default_rng(seed)))
    reference = Reference(exercises, task, cases)
    own = exercises.variant_answer(task)
    with covered(exercises.page.number):
        answer = owner(answer, own.__name__ if isclass(own) else None)
        got = outcomes(answer, cases, quiet=False)
    return judge(reference, got, written(answer, exercises.defined(task)) if text is None else text)


def hint(task, rung=None):
    """Print the next hint for a task: the idea, then the shapes, then the line in words.

    Args:
        task: its id, such as "linear-backward".
        rung: 1, 2 or 3 to see that one; without it, the next that you have not seen.
    """
    if INPUTS in os.environ:
        return  # nobody reads it there, and a grader's sandbox has no hints
    exercises = find_task(task)
    after = f"the solution is in solutions/{exercises.name}.ipynb"
    give_hint(task, exercises.tasks[task].hints, rung, note, after)


def give_hint(task, hints, rung, note, after):
    """Print one of the hints, as `hint` says, and let `note` keep it; `after`: what comes then."""
    from coursekit.checking import progress

    seen = 0
    with suppress(OSError):  # a hint does not depend on it
        seen = progress.load(task).get("hints", 0) if progress.folder() else 0
    number = min(seen + 1, len(hints) + 1) if rung is None else rung
    if number > len(hints):
        say(f"No more hints: {after}")
        return
    if number < 1:
        raise ValueError(f"rung={rung}: hints are numbered 1 to {len(hints)}")
    say(f"Hint {number} of {len(hints)}: {hints[number - 1]}")
    note(task, hints=max(seen, number))


def status():
    """Print every task: untouched, wrong or right, the hints used, the minutes."""
    if INPUTS in os.environ:
        return
    from coursekit.checking import progress

    say(*progress.table())
