"""Whose file is it? The forms in which an LMS hands out what students handed in.

Each form, and what was read to know it:

canvas       name_LATE_user_file_name.ipynb, all in one folder.
             github.com/instructure/canvas-lms, lib/content_zipper.rb
moodle       First Last_12345_assignsubmission_file/…, or all in one folder.
             github.com/moodle/moodle, mod/assign/classes/downloader.php; before Moodle 4.1
             mod/assign/locallib.php, whose folders end in _assignsubmission_file_
gradescope   submission_12345/… and submission_metadata.yml: gradescope.py
brightspace  12345-67890 - First Last - Nov 3, 2026 912 AM/…, and index.html. D2L documents the
             import of grades, not this; public programs that read it agree on it.
github       assignment-username/…, as `gh classroom clone student-repos` makes them.
             github.com/github/gh-classroom, cmd/gh-classroom/clone/student-repos
folders      a folder for each student
"""

import os
import re
from datetime import datetime

from coursekit.classroom.gradescope import gradescope
from coursekit.classroom.handin import Item, Student
from coursekit.files import BookError

CANVAS = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<id>\d+|anon_[A-Za-z0-9]+)_"
    r"(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text|link)\.html)"
)
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<rest>.*))?")
BRIGHTSPACE = re.compile(r"(?P<id>\d+)-(?P<item>\d+) - (?P<name>.+?) ?- (?P<when>[^-]*\d{4}[^-]*)")
DEEPEST = 3  # folders down, a student is named


def named(download, pattern):
    """Triples of a match, the parts of the path after it, and a Found: None for an empty folder."""
    empty = {}
    for folder in sorted(download.folders):
        if match := pattern.fullmatch(folder[-1]) if len(folder) <= DEEPEST else None:
            empty[folder] = match, (), None
    for found in download.files:
        for n, part in enumerate(found.parts[:DEEPEST]):
            if match := pattern.fullmatch(part):
                empty.pop(found.parts[: n + 1], None)
                yield match, found.parts[n + 1 :], found
                break
    yield from empty.values()


def canvas(download):
    for match, below, found in named(download, CANVAS):
        student = Student(match["name"] or match["id"], match["id"])
        parts = (match["rest"] or f"{match['typed']}.html", *below)
        order = (int(match["file"] or 0),)
        yield Item(student, parts, found, order, late=bool(match["late"]))


def moodle(download):
    for match, below, found in named(download, MOODLE):
        rest = (match["rest"],) if match["rest"] else ()
        yield Item(Student(match["name"], match["id"]), (*rest, *below), found)


def brightspace(download):
    for match, below, found in named(download, BRIGHTSPACE):
        when = moment(match["when"])
        order = (when.timestamp(),) if when else ()
        student = Student(match["name"].strip(), match["id"])
        yield Item(student, below, found, order, match["when"])


def moment(text):
    """The time in the name of a folder, whose "912 AM" is 9:12; None if it cannot be told."""
    text = re.sub(
        r"\b(\d{1,2}):?(\d\d)(?= ?[AP]M\b|$)", lambda m: f"{m[1]:0>2}{m[2]}", text.strip()
    )
    for day in ("%b %d, %Y", "%B %d, %Y", "%d %B, %Y", "%d %b, %Y", "%d %B %Y", "%d %b %Y"):
        for hour in ("%I%M %p", "%H%M"):
            try:
                return datetime.strptime(text, f"{day} {hour}")
            except ValueError:
                continue
    return None


def github(download, prefix=None):
    """Repositories; without a prefix, what their names have in common before a "-" is left out."""
    level = min((len(parts) for parts in download.repositories if parts), default=1)
    tops = {parts for parts in download.folders if len(parts) == level}
    names = {parts: re.sub(r"-(main|master)?(\.zip)?$", "", parts[-1]) for parts in tops}
    if prefix is None:
        prefix = os.path.commonprefix(list(names.values())) if len(names) > 1 else ""
        prefix = prefix[: prefix.rfind("-") + 1]
    students = {parts: Student(name.removeprefix(prefix)) for parts, name in names.items()}
    yield from below(download, students)


def looks_like_github(download):
    """Whether most of the folders of one level are repositories."""
    level = min((len(parts) for parts in download.repositories if parts), default=0)
    tops = {parts for parts in download.folders if len(parts) == level}
    return 0 < level < DEEPEST and len(tops & download.repositories) * 2 >= len(tops)


def folders(download):
    """The folders of the first level; of the second if one folder holds all the others."""
    level = 1
    inner = {parts[:2] for parts in download.folders if len(parts) > 1}
    outer = {parts[:1] for parts in download.folders}
    if len(outer) == 1 and len(inner) > 1 and all(len(f.parts) > 2 for f in download.files):
        level = 2
    tops = {parts for parts in download.folders if len(parts) == level}
    yield from below(download, {parts: Student(parts[-1].removesuffix(".zip")) for parts in tops})


def below(download, students):
    """The files in these folders; one that holds none is an empty hand-in."""
    empty = dict(students)
    for found in download.files:
        for end in range(len(found.parts) - 1, 0, -1):
            if found.parts[:end] in students:
                empty.pop(found.parts[:end], None)
                yield Item(students[found.parts[:end]], found.parts[end:], found)
                break
    for student in empty.values():
        yield Item(student, (), None)


FORMS = {
    "canvas": canvas,
    "moodle": moodle,
    "gradescope": gradescope,
    "brightspace": brightspace,
    "github": github,
    "folders": folders,
}


def items_of(download, form=None, prefix=None):
    """The form of a download, and its Items.

    Args:
        form: one of FORMS; without it, the first that explains half of the files.
        prefix: of the names of repositories.

    Raises:
        BookError: it is of none.
    """
    for name in [form] if form else FORMS:
        if name == "github" and not form and not looks_like_github(download):
            continue
        items = list(github(download, prefix) if name == "github" else FORMS[name](download))
        explained = {id(item.found) for item in items if item.found}
        if items and (form or 2 * len(explained) >= len(download.files)):
            return name, items
    what = (
        f"what {form} hands out" if form else "a download of an LMS, or a folder for each student"
    )
    raise BookError(f"this is not {what}: see docs/INSTRUCTORS.md")
