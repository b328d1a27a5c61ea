"""What a reader handed in: the answer cells of a notebook, by their grade_id, and nothing else."""

import copy
import json
from dataclasses import dataclass, field

from coursekit.exporter import source_of
from coursekit.files import BookError
from coursekit.source import exercise_cells

LARGEST = 20 << 20  # bytes; the largest set has a hundredth of it


@dataclass
class Answers:
    """The answer cells found in one notebook."""

    sources: dict = field(default_factory=dict)  # task -> source
    problems: dict = field(default_factory=dict)  # task -> why its answer does not count


def read_answers(path, tasks):
    """The answers to `tasks` in the notebook at `path`.

    Raises:
        BookError: the file is not a notebook that holds answers; one line that says why.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BookError(f"{path.name} is larger than {LARGEST >> 20} MB")
        notebook = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise BookError(f"{path.name} is missing") from None
    except OSError as error:
        raise BookError(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BookError(f"{path.name} is not a notebook, or is damaged") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise BookError(f"{path.name} is not a notebook of the present format (nbformat 4)")
    answers = Answers()
    for cell in notebook["cells"]:
        task = grade_id(cell)
        if task not in tasks:
            continue
        if cell.get("cell_type") != "code":
            answers.problems[task] = "its answer cell is no longer a code cell"
        elif task in answers.sources:
            answers.problems[task] = "two cells claim to be its answer"
        else:
            try:
                answers.sources[task] = str(source_of(cell))
            except (KeyError, TypeError):
                answers.problems[task] = "its answer cell is damaged"
    for task in tasks:
        if task not in answers.sources:
            answers.problems.setdefault(task, "its answer cell is missing")
    for task in answers.problems:
        answers.sources.pop(task, None)
    if not answers.sources:
        raise BookError(f"{path.name} holds none of the answer cells of this set")
    return answers


def grade_id(cell):
    """The task that a cell says it answers, or None."""
    try:
        about = cell["metadata"]["nbgrader"]
        return (
            about["grade_id"] if about["solution"] and isinstance(about["grade_id"], str) else None
        )
    except (KeyError, TypeError):
        return None


def with_answers(page, sources):
    """The set as the book hands it out, with a reader's answers in place: its cells.

    Whatever else the reader changed (checks, set-up, order, outputs) is left behind.
    """
    cells = copy.deepcopy(exercise_cells(page, answers=False))
    for cell in cells:
        if (task := grade_id(cell)) in sources:
            cell["source"] = sources[task]
    return cells


def task_checked(cell):
    """The task that a check cell checks, or None."""
    about = cell["metadata"].get("nbgrader", {})
    return about["grade_id"].removesuffix("-check") if about.get("grade") else None
