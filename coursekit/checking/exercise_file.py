"""An exercise notebook as nbval runs it: our cells, the reader's answers, our verdict.

The outputs that nbval compares with are those of solutions/; `checked` says what ran, and judges.
"""

import json
import warnings
from contextlib import contextmanager

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams, find_metadata_tags

from coursekit.checking import answers
from coursekit.checking.checked import Checked, failure
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
    """An exercise set as the book hands it out, with the answers of one notebook.

    Its cells run in their order, up to the one that pytest asks for: a plugin that shuffles,
    selects or repeats them changes no verdict.
    """

    def __init__(self, *args, exercises, **kwargs):
        super().__init__(*args, **kwargs)
        self.exercises = exercises

    def collect(self):
        options = self.config.option
        limits = options.nbval_cell_timeout, options.nbval_kernel_startup_timeout
        with undisturbed():
            try:
                self.checked = Checked(self.exercises, self.path, *limits)
            except BookError as error:
                raise self.CollectError(str(error)) from None
            stored = stored_outputs(self.exercises.name)
            return [self.item(number, stored) for number in range(len(self.checked.cells))]

    def item(self, number, stored):
        cell = self.checked.cells[number]
        cell = nbformat.from_dict(cell | stored.get(cell["id"], {}))
        return ExerciseCell.from_parent(
            self, name=f"Cell {number}", cell_num=number, cell=cell, options={}
        )

    def setup(self):
        self.setup_sanitize_files()

    def teardown(self):
        self.checked.__exit__()


class ExerciseCell(IPyNbCell):
    """A cell of the book, whose outputs are compared; or an answer; or a check, judged here."""

    def runtest(self):
        checked, number = self.parent.checked, self.cell_num
        with undisturbed():
            if task := checked.checks[number]:
                finding = checked.finding(task)
                said = [] if finding.state == "right" else finding.lines
            elif checked.answered[number]:  # what it shows is the reader's own business
                said = problem(checked.ran(number))
            else:
                if self.tags.get("skip"):
                    pytest.skip()
                said = self.difference(checked.ran(number, lambda ran: not self.difference(ran)))
        if said:
            self.raise_cell_error("\n".join(said), "")

    @property
    def tags(self):
        return dict(find_metadata_tags(self.cell.metadata))

    def difference(self, ran):
        """Lines on how a cell of the book did not run as in solutions/; none: it did."""
        if ran.why and not (ran.why == "error" and self.tags.get("check_exception")):
            return problem(ran)
        compared = self.parent.compare_outputs and self.tags.get("check", True)
        if not compared or self.cell.execution_count is None:
            return []
        if self.compare_outputs(seen(ran.outputs), seen(self.cell.outputs)):
            return []
        return ["Cell outputs differ", *self.comparison_traceback]


def problem(ran):
    """Lines on how a cell failed; none: it did not."""
    if ran.why == "ended":
        return ["the kernel ended while it ran, or before"]
    return failure("it", ran) if ran.why else []


def seen(outputs):
    return coalesce_streams([nbformat.from_dict(output) for output in outputs])


@contextmanager
def undisturbed():
    """Without whatever pytest was told to make of warnings: they are no part of a verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def stored_outputs(name):
    """{the id of a code cell: its outputs in solutions/}."""
    path = ROOT / "solutions" / f"{name}.ipynb"
    cells = nbformat.read(path, as_version=4).cells if path.is_file() else []
    keys = ("outputs", "execution_count")
    return {c.id: {key: c[key] for key in keys} for c in cells if c.cell_type == "code"}
