"""The memory of `collect`, in submissions/.collected.json: who each folder is, and what came when.

`marks` finds a student in the gradebook by it: the LMS knows numbers, where a folder has a name.
"""

import json
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coursekit.files import BookError, read, write
from coursekit.grading.names import file_key

FILE = ".collected.json"
VERSION = 1


@dataclass
class Folder:
    """A student's folder in submissions/."""

    name: str  # as the LMS has it
    id: str = ""
    email: str = ""
    form: str = ""  # of the download that the student was in first
    notebooks: dict = field(default_factory=dict)  # file name -> {"sha256", "from", "order", …}

    def is_of(self, student, form):
        """Whether this is the folder of a student whom a download of this form names."""
        if self.id or student.id:  # a number means something in its own system only
            return (self.form, self.id) == (form, student.id)
        return same_name(self.name) == same_name(student.name) and self.email == student.email


class Collected:
    """{name of a folder: Folder}, as far as it is known."""

    def __init__(self, submissions):
        self.path = Path(submissions) / FILE
        self.folders = {}
        if (text := read(self.path)) is None:
            return
        try:
            known = json.loads(text)
            if known["version"] != VERSION:
                raise BookError(f"{self.path} is of another version: collect into a new folder")
            self.folders = {name: Folder(**about) for name, about in known["students"].items()}
            for folder in self.folders.values():
                assert all(type(about["sha256"]) is str for about in folder.notebooks.values())
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
            raise BookError(f"{self.path} is damaged: collect into a new folder") from None

    def save(self):
        students = {name: asdict(folder) for name, folder in sorted(self.folders.items())}
        content = {"version": VERSION, "students": students}
        write(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def name_for(self, student, form, namesakes):
        """The name of a student's folder: the one that they have, or a new one.

        Args:
            namesakes: whether another student of this download has the same name.
        """
        for name, folder in self.folders.items():
            if folder.is_of(student, form):
                return name
        wanted = folder_name(student.name or student.email or student.id)
        more = student.id or student.email
        taken = {same_name(name) for name in self.folders}
        names = {same_name(folder.name) for folder in self.folders.values()}
        if (namesakes or same_name(student.name) in names or same_name(wanted) in taken) and more:
            wanted = folder_name(f"{wanted} {more}")
        name, number = wanted, 2
        while same_name(name) in taken:
            name, number = f"{wanted} {number}", number + 1
        self.folders[name] = Folder(student.name, student.id, student.email, form)
        return name


def folder_name(text):
    """A name that `grade` takes for a student's: none that begins with a dot or with "__"."""
    return file_key(unicodedata.normalize("NFC", " ".join(text.split())).lstrip("._ ") or "student")


def same_name(name):
    """What two names have in common that are one file on some systems."""
    return unicodedata.normalize("NFC", name).casefold()
