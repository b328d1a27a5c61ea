"""The reader's own GPT: their checked answers in the place of the package's methods."""

import sys
from dataclasses import dataclass
from importlib import import_module
from inspect import isclass, isfunction
from itertools import groupby
from pathlib import Path
from textwrap import shorten

from coursekit.checking.answers import read_answers
from coursekit.checking.check import verdict_on
from coursekit.checking.definitions import imported, only_definitions
from coursekit.checking.inside import run_cells
from coursekit.checking.tasks import ROOT, load_set, set_names
from coursekit.files import BookError, say


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
        try:
            states = checked(exercises, wanted, Path(folder)) if wanted else {}
        except BookError as error:
            states = dict.fromkeys((task.id for task in wanted), (f"not there ({error})", None))
        for task in wanted:
            state, answer = states[task.id]
            if answer is not None:
                fitted.append((task.adopts, answer))
            parts.append(Part(task.adopts, f"exercises/{name}.ipynb", state))
    # Only now: while answers are checked, the package's own code must be its own.
    for target, answer in fitted:
        fit(target, answer)
    yours = sum(part.state == "yours" for part in parts)
    say(f"{yours} of {len(parts)} parts of the package run your code:")
    for notebook, its_parts in groupby(parts, key=lambda part: part.notebook):
        say(notebook, *map(str, its_parts))
    return parts


def checked(exercises, wanted, folder):
    """{task: ("yours", the answer) if its check accepts it; else (why not, None)}.

    Raises:
        BookError: there is no notebook that can be read.
    """
    sources = read_answers(folder / f"{exercises.name}.ipynb", exercises.tasks).sources
    code = [cell for cell in exercises.page.cells if cell["cell_type"] == "code"]
    given = imported(c["source"] for c in code if "answer" not in c["metadata"])
    tasks = {task.id: task for task in wanted if task.id in sources}
    states = judged(exercises, tasks, sources, folder)
    for task in tasks:
        others = {t: only_definitions(s, given) for t, s in sources.items() if t != task}
        if states[task][1] is None and others | {task: sources[task]} != sources:
            # Another answer does more than to define: it may be to blame.
            alone = judged(exercises, {task: tasks[task]}, sources | others, folder)[task]
            states[task] = alone if alone[1] is not None else states[task]
    return {task.id: states.get(task.id, ("not there", None)) for task in wanted}


def judged(exercises, tasks, sources, folder):
    """The same for some tasks, from one run of the set's cells."""
    states = {}

    def check(task, answer, names):
        if task not in tasks:
            return
        try:
            verdict = verdict_on(exercises, task, answer)
        except Exception as error:  # of ours: it says nothing of the answer
            states[task] = f"not judged ({type(error).__name__})", None
            return
        states[task] = "not right yet" if verdict.written else "not written yet", None
        # What was checked may be a function that calls it: take it by its name.
        if verdict.is_right and (answer := names.get(tasks[task].adopts.partition(":")[2])):
            states[task] = "yours", answer

    failed = run_cells(exercises, sources, folder, check)
    for task in tasks:
        if states.get(task, ("", None))[1] is None and task in failed:
            error = failed[task]
            said = f"{error['kind']}: {error['message']}".removesuffix(": ")
            said = shorten(said, 40, placeholder=" ...")  # the report is a table
            states[task] = f"not running ({said})", None
    return {task: states.get(task, ("not running", None)) for task in tasks}


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
