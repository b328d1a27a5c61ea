"""An exercise notebook as nbval runs it: our cells, the reader's answers, our verdict.

The cells are taken from book/, the outputs from solutions/, and from the reader only the answer
cells. The kernel computes results; this process, which runs none of the reader's code, judges them.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from queue import Empty
from unittest import mock

import nbformat
import numpy as np
from nbval.plugin import IPyNbCell, IPyNbFile

from coursekit.checking import answers, wire
from coursekit.checking.judge import MISSING_ANSWER, Reference, judge
from coursekit.checking.record import INPUTS, OUTPUTS, ask, is_results
from coursekit.checking.tasks import ROOT, load_set, set_names, task_ids
from coursekit.files import BookError


def replaced(file):
    """The ExerciseFile in the place of nbval's file, if the notebook is one of our sets."""
    if not isinstance(file, IPyNbFile) or (name := set_of(file.path)) is None:
        return file
    return ExerciseFile.from_parent(file.parent, path=file.path, exercises=load_set(name))


def set_of(path):
    """The set that a notebook is: by its name, else by most of its answers; None for others."""
    if path.parent in (ROOT / "notebooks", ROOT / "solutions"):
        return None  # the build proves those, and nbval compares them with themselves
    named = path.stem if path.stem in set_names() else None
    if named and path.parent.name == "exercises":
        return named
    try:
        cells = json.loads(path.read_bytes())["cells"]
        homes = task_ids()
        sets = [homes[task] for task in map(answers.grade_id, cells) if task in homes]
    except Exception:  # nbval reports a damaged file
        return None
    # First by name: right answers to another set, put beside these, must not make them theirs.
    return sets and (named or max(sets, key=sets.count)) or None


class ExerciseFile(IPyNbFile):
    """An exercise set as the book hands it out, with the answers of one notebook."""

    def __init__(self, *args, exercises, **kwargs):
        super().__init__(*args, **kwargs)
        self.exercises = exercises

    def collect(self):
        tasks = self.exercises.tasks
        try:
            found = answers.read_answers(self.path, tasks)
        except BookError as error:
            raise self.CollectError(str(error)) from None
        self.problems = found.problems
        notebook = merged(self.exercises, found.sources)
        with mock.patch.object(nbformat, "read", return_value=notebook):
            items = list(super().collect())
        for item in items:
            if task := answers.task_checked(item.cell):
                item = CheckCell.from_parent(
                    self,
                    name=item.name,
                    cell_num=item.cell_num,
                    cell=item.cell,
                    options=item.options,
                )
                item.task = task
            yield item

    def setup(self):
        self.folder = tempfile.TemporaryDirectory(prefix="coursekit-")
        self.cases = {}
        places = {INPUTS: Path(self.folder.name, "in"), OUTPUTS: Path(self.folder.name, "out")}
        for place in places.values():
            place.mkdir()
        for task in self.exercises.tasks.values():
            self.cases[task.id] = list(task.cases(np.random.default_rng()))
            ask(places[INPUTS], task.id, self.exercises.page.number, self.cases[task.id])
        here = {key: str(place) for key, place in places.items()}
        with mock.patch.dict(os.environ, here | {"COURSEKIT_PROGRESS": ""}):
            super().setup()  # starts the kernel
        self.kernel.get_message = attentive(self.kernel)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()

    def verdict(self, task):
        """The verdict on what the kernel recorded for a task."""
        try:
            data = Path(self.folder.name, "out", f"{task}.npz").read_bytes()
            results = wire.loads(data)
            if not is_results(results):
                raise ValueError("unreadable results")
        except OSError:
            raise BookError(f"{task}: {MISSING_ANSWER}") from None
        except ValueError as error:
            raise BookError(f"{task}: {error}") from None
        return judge(Reference(self.exercises, task, self.cases[task]), results)


class CheckCell(IPyNbCell):
    """A check cell: it runs in the kernel, and its results are judged here."""

    def runtest(self):
        super().runtest()
        if problem := self.parent.problems.get(self.task):
            self.raise_cell_error(f"{self.task}: {problem}", "")
        try:
            verdict = self.parent.verdict(self.task)
        except BookError as error:
            self.raise_cell_error(str(error), "")
        if not verdict.is_right:
            self.raise_cell_error("\n".join(verdict.lines()), "")


def attentive(kernel):
    """Return kernel.get_message that notices when the kernel has ended.

    nbval would wait for the answer of a kernel that an answer has ended until the cell's time-out,
    which is 2000 s by default.
    """
    hear = kernel.get_message

    def get_message(stream, timeout=None):
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = end - time.monotonic()
            try:
                return hear(stream, timeout=max(min(left, 1), 0))
            except Empty:
                if not kernel.is_alive():
                    raise RuntimeError("the kernel ended before the cell did") from None
                if left <= 1:
                    raise

    return get_message


def merged(exercises, sources):
    """The notebook to run: the book's cells, the reader's answers, our solutions' outputs."""
    cells = answers.with_answers(exercises.page, sources)
    stored = {}
    path = ROOT / "solutions" / f"{exercises.name}.ipynb"
    if path.is_file():
        stored = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
    for cell in cells:
        known = stored.get(cell["id"])
        # What a check prints is judged, not compared.
        if known and cell["cell_type"] == "code" and not answers.task_checked(cell):
            cell["outputs"] = known.outputs
            cell["execution_count"] = known.execution_count
    return nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
