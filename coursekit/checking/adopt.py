"""The reader's own GPT: their checked answers in the place of the package's methods."""

import contextlib
import io
import sys
from dataclasses import dataclass
from importlib import import_module
from inspect import isclass, isfunction
from itertools import groupby
from pathlib import Path

from coursekit.checking.answers import read_answers
from coursekit.checking.check import verdict_on
from coursekit.checking.tasks import ROOT, load_set, set_names
from coursekit.files import BookError


@dataclass
class Part:
    """One class or function of the package, and whose code runs in it."""

    name: str  # "nn.linear:Linear"
    notebook: str  # where the reader's answer is
    state: str  # "yours", "not written yet", "not right yet", ...

    def __str__(self):
        whose = "yours" if self.state == "yours" else f"the package's: {self.state}"
        return f"  {self.name:36} {whose}"


def adopt(folder=ROOT / "exercises"):
    """Put the reader's checked answers in the place of the package's methods; say what is live.

    From then on, every model of this process computes with them. An answer that its check does not
    accept is left out, and the package's own code stays.

    Args:
        folder: where the reader's notebooks are.

    Returns:
        list of Part.
    """
    parts, fitted = [], []
    for name in set_names():
        exercises = load_set(name)
        wanted = [task for task in exercises.tasks.values() if task.adopts]
        sources, problem = answers_of(Path(folder, f"{name}.ipynb"), exercises)
        for task in wanted:
            state, answer = problem, None
            if problem is None:
                state, answer = checked(exercises, task, sources)
            if answer is not None:
                fitted.append((task.adopts, answer))
            parts.append(Part(task.adopts, f"exercises/{name}.ipynb", state))
    # Only now: while answers are checked, the package's own code must be its own.
    for target, answer in fitted:
        fit(target, answer)
    yours = sum(part.state == "yours" for part in parts)
    print(f"{yours} of {len(parts)} parts of the package run your code:")
    for notebook, its_parts in groupby(parts, key=lambda part: part.notebook):
        print(notebook, *its_parts, sep="\n")
    return parts


def answers_of(path, exercises):
    """The answers of the reader's notebook, or why there are none."""
    try:
        return read_answers(path, exercises.tasks).sources, None
    except BookError as error:
        return {}, f"not there ({error})"


def checked(exercises, task, sources):
    """("yours", the answer) if its check accepts it; else why not, and None."""
    if task.id not in sources:
        return "not there", None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            answer = exercises.answer(task.id, sources)
            verdict = verdict_on(exercises, task.id, answer)
    except (Exception, SystemExit) as error:
        return f"not running ({type(error).__name__})", None
    if not verdict.written:
        return "not written yet", None
    if not verdict.is_right:
        return "not right yet", None
    # What was checked may be a function that calls it: take the class or function by its name.
    return "yours", exercises.answer(task.id, sources, name=task.adopts.partition(":")[2])


def fit(target, answer):
    """Give the package the reader's code: the methods of a class, or a function.

    A function is exchanged in every module that has imported it by name.
    """
    name = target.partition(":")[2]
    home = import_module(f"numpygpt.{target.partition(':')[0]}")
    thing = getattr(home, name)
    if isclass(thing):
        for method, function in vars(answer).items():
            if isfunction(function) and not method.startswith("__"):
                setattr(thing, method, function)
        return
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "numpygpt":
            for key in [key for key, value in vars(module).items() if value is thing]:
                setattr(module, key, answer)
