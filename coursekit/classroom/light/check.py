"""What an exercise notebook calls in a handout: `check`, `hint`, `status`.

`check` judges as the book's does, but on the same cases each time, and by results that were stored.
"""

from coursekit.checking import progress
from coursekit.checking.check import Interrupted, give_hint, tell
from coursekit.checking.covered import covered
from coursekit.checking.judge import judge
from coursekit.checking.outcomes import outcomes, owner
from coursekit.classroom.light import stored
from coursekit.files import say


def check(task, answer):
    """Run an answer on the cases of the handout, print the verdict, and raise if it is not right.

    Args:
        task: its id, such as "linear-backward".
        answer: the class or function asked for. Of a method, its class is run.

    Raises:
        CheckError: the answer is wrong, or not written yet.
        BookError: there is no such task.
    """
    about, of_set = stored.find_task(task, stored.FOLDER)
    reference = stored.load_reference(task, stored.FOLDER)
    try:
        with covered(of_set["chapter"]):
            got = outcomes(owner(answer, about["class"]), reference.cases, quiet=False)
        verdict = judge(reference, got)
    except KeyboardInterrupt:
        raise Interrupted(f"the check of {task} was interrupted") from None
    tell(task, verdict, progress.note)


def hint(task, rung=None):
    """Print the next hint for a task: the idea, then the shapes, then the line in words.

    Args:
        task: its id, such as "linear-backward".
        rung: 1, 2 or 3 to see that one; without it, the next that you have not seen.
    """
    hints = stored.find_task(task, stored.FOLDER)[0]["hints"]
    give_hint(task, hints, rung, progress.note, "ask your instructor")


def status():
    """Print every task of the handout: untouched, wrong or right, the hints used, the minutes."""
    for name, about in stored.load_about(stored.FOLDER).items():
        say(name)
        for task in about["tasks"]:
            known = progress.load(task) if progress.folder() else {}
            minutes = progress.number(known.get("seconds"), 0) / 60
            hints = progress.number(known.get("hints"), 0)
            state = known.get("state", "untouched")
            say(f"  {task:28} {state:10} {hints} hints, {minutes:.0f} min")
