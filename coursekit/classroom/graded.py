"""A class that was graded: what each student got, wrote and shared."""

import json
import re
from dataclasses import dataclass, field

from coursekit.checking.tasks import find_set, set_names
from coursekit.classroom.sharing import shared_progress
from coursekit.files import BookError, read
from coursekit.grading import results
from coursekit.grading.judging import BLANK
from coursekit.grading.submission import notebooks_below, read_submission, student_folders


@dataclass(eq=False)
class Student:
    """One of a class."""

    result: results.Result
    answers: dict = field(default_factory=dict)  # task -> the source that was graded
    progress: dict = field(default_factory=dict)  # task -> Progress, where it is shared

    def state(self, task):
        """ "right", "wrong" or "blank"."""
        mark = self.result.marks[task]
        if mark.points:
            return "right"
        return "blank" if mark.found == [["", "", BLANK]] else "wrong"


@dataclass
class Class:
    """All who handed in, and how many of them are not counted."""

    exercises: object
    students: list  # of Student, whose notebooks could be graded
    nothing: int = 0  # handed in nothing that could be graded
    not_graded: int = 0  # by grade, yet
    changed: int = 0  # have handed in again since they were graded: their answers are left out


def graded_set(out):
    """The exercise set that the marks in a folder are of.

    Raises:
        BookError: the folder holds no marks.
    """
    path = out / "grading.json"
    text = read(path) if path.is_file() else None
    if text is None:
        raise BookError(f"{out} holds no marks: coursekit grade writes them")
    try:
        name = json.loads(text)["assignment"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BookError(f"{path} is damaged") from None
    if name not in set_names():
        raise BookError(f"{path} is of a set that this book does not have")
    return find_set(name)


def read_class(out, submissions=None):
    """The Class whose marks are in `out`.

    Args:
        out: what grade wrote.
        submissions: what grade read; without it there are marks, and no answers.

    Raises:
        BookError: one of the folders is not there, or damaged.
    """
    exercises = graded_set(out)
    if submissions is None:
        paths = sorted((out / "students").glob("*.json"))
        found = [(None, results.load(out, path.stem, exercises)) for path in paths]
        return class_of(exercises, found)
    folders, _ = student_folders(submissions)
    handed_in = [(folder, read_submission(folder, exercises)) for folder in folders]
    return class_of(
        exercises,
        [((f, s), results.load(out, s.key, exercises)) for f, s in handed_in],
    )


def class_of(exercises, found):
    """The Class of pairs of ((folder, Submission) or None, Result or None)."""
    counted = Class(exercises, [])
    for handed_in, result in found:
        if result is None or result.trouble:
            counted.not_graded += 1
        elif result.problem:
            counted.nothing += 1
        else:
            student = Student(result)
            counted.students.append(student)
            if handed_in:
                counted.changed += not add_work(student, *handed_in, exercises)
    return counted


def add_work(student, folder, submission, exercises):
    """Add a student's answers and progress; return False if other answers were graded."""
    tasks = exercises.tasks.values()
    places = [folder, *notebook_folders(folder)]
    found = {task.id: shared_progress(places, task) for task in tasks}
    student.progress = {task: each for task, each in found.items() if each}
    if submission.digest != student.result.digest or submission.answers is None:
        return False
    student.answers = submission.answers.sources
    return True


def notebook_folders(folder):
    try:
        found, _ = notebooks_below(folder, re.compile(r".*\.ipynb", re.IGNORECASE))
    except OSError:
        return []
    return list(dict.fromkeys(path.parent for path in found))
