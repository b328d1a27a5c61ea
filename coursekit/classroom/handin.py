"""What one student handed in: the same for every LMS."""

from dataclasses import dataclass

from coursekit.classroom.found import Found


@dataclass(frozen=True)
class Student:
    """Whom a hand-in is of, as the LMS names them; "" where it does not say."""

    name: str
    id: str = ""
    email: str = ""


@dataclass
class Item:
    """One file that a student handed in."""

    student: Student
    parts: tuple  # of its path in the hand-in
    found: Found | None  # None: an empty hand-in
    order: tuple = ()  # later hand-ins have larger ones
    when: str = ""  # where the LMS says it
    late: bool = False
