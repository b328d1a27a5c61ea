"""Gradebooks as an LMS exports them and takes them back: which rows and columns hold what.

canvas  Student, ID, …, Section, a column for each assignment with its number, and under the
        headings a row "Points Possible". Which columns and rows it reads on the way back:
        github.com/instructure/canvas-lms, lib/gradebook_exporter.rb and lib/gradebook_importer.rb
        community.instructure.com, "How do I import grades in the Gradebook?"
moodle  The grading worksheet of one assignment: Identifier ("Participant 12345"), Full name, …,
        Grade, Maximum Grade, Grade can be changed. It is read by
        github.com/moodle/moodle, mod/assign/feedback/offline/importgradeslib.php
csv     Any table with headings and a column that names the students, such as Brightspace's export
        (community.d2l.com/brightspace/kb/articles/3538-importing-grades) or the roster of a
        classroom on GitHub.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from coursekit.classroom.table import letters, number_in, read_table, ways_to_write, write_table
from coursekit.files import BookError
from coursekit.grading.names import shown

SCORES = re.compile(r"(Unposted )?(Current|Final|Override) (Score|Points|Grade|Status)")
MAX_POINTS = re.compile(r"MaxPoints:([\d.]+)")  # in a heading of Brightspace's
# Columns that name a student, by their headings in small letters and without what is no letter.
NUMBERS = ("id", "studentid", "sid", "sisuserid", "idnumber", "orgdefinedid", "identifier")
LOGINS = ("email", "emailaddress", "login", "loginid", "sisloginid", "username", "githubusername")
NAMES = ("student", "name", "fullname", "studentname")
FOR_PEOPLE = {*NUMBERS, *LOGINS, *NAMES, "lastname", "firstname", "section", "githubid"}
CANVAS_WORDS = {"ex": "is excused", "n/a": "is not assigned this"}
LAST = "endoflineindicator"  # Brightspace wants it to be the last


@dataclass
class Row:
    """One student's row of a gradebook."""

    cells: list
    of: dict  # heading -> cell, in small letters
    name: str  # as it is printed
    names: set  # ways to write the name

    def has(self, text, headings):
        """Whether one of these columns holds a number, a login or an address."""
        return any(self.of.get(heading) == text.casefold() for heading in headings)


class Gradebook:
    """A table of marks, of which one column is to be filled.

    Args:
        path: the file that the LMS exported.
        kind: "canvas", "moodle" or "csv".
        column: of the marks, as its heading says it; None if it can be told.
        set_name: such as "03_linear".

    Raises:
        BookError: the file is not of this kind, or which column is meant cannot be told.
    """

    def __init__(self, path, kind, column, set_name):
        self.path, self.kind = Path(path), kind
        self.text, self.delimiter, rows = read_table(self.path)
        self.head, rows = rows[0], rows[1:]
        self.plain = [letters(heading) for heading in self.head]
        self.best = None  # points that the column is out of, if the file says it
        self.above = []  # rows that are no student's, to be written back
        getattr(self, f"look_at_{kind}")()
        width = len(self.head)
        self.column = self.find_column(column, set_name)
        for cells in rows:
            cells += [""] * (width - len(cells))
            if len(self.head) > width:  # a new column
                cells.insert(self.column, "")
        self.rows = [self.row(cells) for cells in rows if not self.is_special(cells)]

    def look_at_canvas(self):
        named = {"student"} & set(self.plain) or {"lastname", "firstname"} <= set(self.plain)
        if not named or not {"id", "section"} <= set(self.plain):
            raise self.not_what("Canvas exports: Student, ID, Section")
        self.fixed = self.plain.index("section") + 1  # columns that name the student

    def look_at_moodle(self):
        if not {"identifier", "grade", "lastmodifiedgrade"} <= set(self.plain):
            raise self.not_what("Moodle's grading worksheet: Identifier, Grade. Set it to English")

    def look_at_csv(self):
        if not set(self.plain) & (FOR_PEOPLE - {"section", "firstname"}):
            raise self.not_what("a table of students: name a column email, id, username or name")

    def not_what(self, wanted):
        return BookError(f"{self.path} has not the headings of what {wanted}")

    def find_column(self, column, set_name):
        """The number of the column to fill; a plain table that has none of its name gets one."""
        if self.kind == "moodle":
            return self.plain.index("grade")
        first = self.fixed if self.kind == "canvas" else 0
        known = {
            n: re.sub(r" \(\d+\)$", "", heading)  # without Canvas's number
            for n, heading in enumerate(self.head)
            if n >= first and not SCORES.search(heading) and self.plain[n] not in FOR_PEOPLE
        }
        if column is None:
            means_the_set = heading_of(set_name)
            meant = [n for n in known if means_the_set.fullmatch(letters(known[n]))]
        else:
            meant = [n for n in known if column in (known[n], self.head[n])]
        if not meant and self.kind == "csv" and column not in self.head:
            at = self.plain.index(LAST) if LAST in self.plain else len(self.head)
            self.head.insert(at, column or set_name)
            self.plain.insert(at, letters(column or set_name))
            return at
        if len(meant) != 1:
            names = ", ".join(f'"{shown(known[n])}"' for n in known if self.plain[n] != LAST)
            raise BookError(f"{self.path}: --column must name one of {names or 'no columns'}")
        if found := MAX_POINTS.search(self.head[meant[0]]):
            self.best = number_in(found[1])
        return meant[0]

    def is_special(self, cells):
        """Whether a row is no student's: two under the headings of Canvas's, one at its end."""
        if not any(cells):
            return True
        if self.kind != "canvas":
            return False
        if "Points Possible" in cells[0]:
            self.above.append(cells)
            self.best = number_in(cells[self.column])
            if "read only" in cells[self.column]:
                raise BookError(f"{self.path}: Canvas computes this column itself")
            return True
        return not cells[0].strip() or cells[0] == "Student, Test"

    def row(self, cells):
        """The Row of some cells."""
        said = dict(zip(self.plain, (cell.strip() for cell in cells), strict=False))
        of = {heading: cell.casefold().lstrip("#") for heading, cell in said.items() if cell}
        if self.kind == "moodle":
            of["identifier"] = re.sub(r".*\D", "", of.get("identifier", ""))
            self.best = number_in(said.get("maximumgrade", ""))
        names = [said[key] for key in NAMES if said.get(key)]
        if said.get("lastname"):
            names.append(f"{said['lastname']}, {said.get('firstname', '')}")
        name = next(iter(names), "") or next(filter(None, cells))
        return Row(cells, of, name, {way for n in names for way in ways_to_write(n)})

    def may_change(self, row):
        """ "" if a mark may be written into a row; else why not."""
        there = row.cells[self.column].strip().casefold()
        if self.kind == "canvas" and there in CANVAS_WORDS:
            return CANVAS_WORDS[there]
        if self.kind == "moodle":
            at = self.plain.index("gradecanbechanged") if "gradecanbechanged" in self.plain else -1
            if at >= 0 and row.cells[at].strip().casefold() == "no":
                return "has a grade that Moodle lets nobody change"
        return ""

    def write(self, out, filled):
        """Write what the LMS takes.

        Canvas and Moodle get the rows of `filled` only, and of their columns those that name the
        student and the one that is filled: so nothing else can change, whatever has been marked
        since the export. Any other table is written whole.
        """
        columns = list(range(len(self.head)))
        if self.kind == "canvas":
            columns = [*range(self.fixed), self.column]
        elif self.kind == "moodle":
            wanted = {"identifier", "fullname", "emailaddress", "grade", "maximumgrade"}
            columns = [n for n in columns if self.plain[n] in wanted | {"lastmodifiedgrade"}]
        rows = [row.cells for row in (self.rows if self.kind == "csv" else filled)]
        table = [[cells[n] for n in columns] for cells in [self.head, *self.above, *rows]]
        write_table(out, table, self.delimiter, self.text.startswith("\ufeff"))


def heading_of(set_name):
    """The pattern of a heading that can mean nothing but this set: "Set 3: Linear", "03_linear"."""
    number, words = int(set_name[:2]), letters(set_name[3:])
    return re.compile(rf"(([a-z]*0*{number})?{words}|(exercise)?set0*{number})(pointsgrade.*)?")
