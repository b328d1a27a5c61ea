"""A class's submissions: which folders there are, and which notebook in each is meant."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from coursekit.checking.answers import Answers, read_answers
from coursekit.files import BookError


@dataclass
class Submission:
    """What one student handed in."""

    student: str  # the folder's name
    key: str  # the same, fit for a file name
    digest: str  # of the notebook's bytes: a resumed run grades again what has changed
    answers: Answers | None  # None: nothing that can be graded
    problem: str  # why, in a line


def read_submissions(folder, exercises):
    """One Submission for each folder in `folder`, in order of their names.

    Raises:
        BookError: there is no such folder, or no student's folder in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BookError(f"{folder}: there is no such folder")
    students = sorted(path for path in folder.iterdir() if path.is_dir() or path.is_symlink())
    students = [path for path in students if not path.name.startswith(".")]
    if not students:
        raise BookError(f"{folder} holds no folders: there must be one for each student")
    return [read_submission(path, exercises) for path in students]


def read_submission(path, exercises):
    student = Submission(shown(path.name), file_name(path.name), "", None, "")
    try:
        notebook = find_notebook(path, exercises.name)
        student.digest = hashlib.sha256(notebook.read_bytes()).hexdigest()
        student.answers = read_answers(notebook, exercises.tasks)
    except BookError as error:
        student.problem = str(error)
    except OSError as error:
        student.problem = f"the notebook cannot be read: {error.strerror}"
    return student


def find_notebook(folder, name):
    """The set's notebook in a student's folder, or the only notebook there is.

    Links are not followed: they may lead to the solutions, or to another student's work.
    """
    if folder.is_symlink():
        raise BookError("the folder is a link")
    found = sorted(folder.glob("*.ipynb"))
    named = [path for path in found if path.name == f"{name}.ipynb"]
    if not named and len(found) > 1:
        raise BookError(f"none of the notebooks is named {name}.ipynb")
    if not found:
        raise BookError("there is no notebook")
    [path] = named or found
    if path.is_symlink() or not path.is_file():
        raise BookError(f"{shown(path.name)} is not an ordinary file")
    return path


def shown(name):
    """A name that can be printed: file names may hold any bytes but two."""
    return "".join(c if c.isprintable() else "?" for c in name)


def file_name(name):
    """A name fit for a file, another one for each name."""
    safe = "".join(c if c.isalnum() or c in " -_.@+" else "_" for c in name)[:80].strip(". ")
    if safe == name:
        return safe
    return (
        f"{safe or '_'}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    )
