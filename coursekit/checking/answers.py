"""What a reader handed in: the answer cells of a notebook, by their grade_id, and nothing else."""

import copy
import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from coursekit.exporter import source_of
from coursekit.files import BookError
from coursekit.source import exercise_cells

LARGEST = 32 << 20  # bytes; the largest set has a thousandth of it, the rest may be pictures
LONGEST = 200_000  # characters of an answer
# Of a few megabytes of brackets Python would make gigabytes; of strings and numbers it makes less.
MOST = {b"[": 1_000_000, b"{": 1_000_000, b",": 4_000_000}
MOST_STRINGS = 2_000_000
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


@dataclass
class Answers:
    """The answer cells found in one notebook."""

    parts: dict = field(default_factory=dict)  # task -> the sources of its cells, in order
    problems: dict = field(default_factory=dict)  # task -> why its answer does not count
    remarks: dict = field(default_factory=dict)  # task -> what was made of its cells

    @property
    def sources(self):
        """task -> the source of its answer."""
        return {task: "\n\n".join(parts) for task, parts in self.parts.items()}


def read_answers(path, tasks, data=None):
    """The answers to `tasks` in the notebook at `path`, or in its bytes.

    Raises:
        BookError: the file is not a notebook that holds answers; one line that says why.
    """
    path = Path(path)
    try:
        cells = cells_of(path.name, read_bytes(path) if data is None else data)
    except FileNotFoundError:
        raise BookError(f"{path.name} is missing") from None
    except OSError as error:
        raise BookError(f"{path.name} cannot be read: {error.strerror}") from None
    answers, parts, text_only = Answers(), {}, set()
    for cell in cells:
        task = grade_id(cell)
        if task not in tasks:
            continue
        if cell.get("cell_type") != "code":  # a half of it, if another one is code
            text_only.add(task)
            continue
        try:
            parts.setdefault(task, []).append(str(source_of(cell)))
        except (KeyError, TypeError):
            answers.problems[task] = "its answer cell is damaged"
    for task in tasks:
        if task not in parts:
            gone = "is no longer a code cell" if task in text_only else "is missing"
            answers.problems.setdefault(task, f"its answer cell {gone}")
        elif task not in answers.problems:
            kept = own_parts(parts[task], tasks[task])
            if sum(map(len, kept)) > LONGEST:
                answers.problems[task] = f"its answer is longer than {LONGEST:,} characters"
                continue
            answers.parts[task] = kept
            if len(kept) > 1:
                answers.remarks[task] = f"{len(kept)} cells hold its answer: they are run in order"
    if not answers.parts:
        if not any(grade_id(cell) for cell in cells):
            raise BookError(
                f"{path.name} holds no answer cells: its cells have lost their metadata, as a tool "
                "that strips notebooks leaves them. Put the answers into a fresh copy of the set"
            )
        raise BookError(f"{path.name} holds none of the answer cells of this set")
    return answers


def read_bytes(path):
    """The bytes of a notebook, of an ordinary file that is not too large.

    Raises:
        BookError: it is none.
        OSError: it cannot be read.
    """

    def opener(name, flags):
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for ever

    with open(path, "rb", opener=opener) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BookError(f"{path.name} is not an ordinary file")
        data = file.read(LARGEST + 1) if about.st_size <= LARGEST else None
    if data is None or len(data) > LARGEST:
        raise BookError(
            f"{path.name} is larger than {LARGEST >> 20} MB: take its pictures and outputs out"
        )
    return data


def cells_of(name, data):
    """The cells of a notebook, from its bytes.

    Raises:
        BookError: they are not those of a notebook.
    """
    structure, strings = STRING.subn(b"", data)
    if strings > MOST_STRINGS or any(structure.count(mark) > most for mark, most in MOST.items()):
        raise BookError(f"{name} holds too much: clear its outputs")
    try:
        notebook = json.loads(data)  # finds out by itself which UTF it is
    except UnicodeDecodeError:
        raise BookError(f"{name} is not a notebook: its text is not UTF-8") from None
    except (ValueError, RecursionError):
        raise BookError(f"{name} is not a notebook, or is damaged") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise BookError(f"{name} is not a notebook of the present format (nbformat 4)")
    return notebook["cells"]


def own_parts(parts, task):
    """What a reader wrote, of all cells that say they hold one answer.

    A notebook's "copy" and "split cell" take the metadata with them. A cell that says the same as
    the one before it, that holds comments only, or that is still as it was handed out, says
    nothing.
    """
    blank, kept = blank_answer(task).strip(), []
    for part in parts:
        is_new = not kept or part.strip() != kept[-1].strip()
        if is_new and part.strip() != blank and has_code(part):
            kept.append(part)
    return kept or parts[:1]


def has_code(source):
    return any(line.strip() and not line.strip().startswith("#") for line in source.split("\n"))


def blank_answer(task):
    """A task's answer cell as it was handed out."""
    cells = exercise_cells(task.page, answers=False)
    return next((cell["source"] for cell in cells if grade_id(cell) == task.id), "")


def grade_id(cell):
    """The task that a cell says it answers, or None."""
    try:
        about = cell["metadata"]["nbgrader"]
        return (
            about["grade_id"] if about["solution"] and isinstance(about["grade_id"], str) else None
        )
    except (KeyError, TypeError):
        return None


def with_answers(page, parts):
    """The set as the book hands it out, with a reader's answers in place: its cells.

    Whatever else the reader changed (checks, set-up, order, outputs) is left behind.
    """
    cells = []
    for cell in exercise_cells(page, answers=False):
        for source in parts.get(grade_id(cell), [cell["source"]]):
            cells.append(copy.deepcopy(cell) | {"source": source})
    return cells


def task_checked(cell):
    """The task that a check cell checks, or None."""
    about = cell["metadata"].get("nbgrader", {})
    return about["grade_id"].removesuffix("-check") if about.get("grade") else None
