"""class.html, what a class got wrong, to be shown to it; similar.html, for the instructor alone.

Both are one file each, without a script and without anything from elsewhere. Jinja escapes all that
stands in them, and a policy in their head keeps a browser from loading anything.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit.classroom.graded import read_class
from coursekit.classroom.misconceptions import outcome
from coursekit.classroom.sections import sections_for, title_of
from coursekit.classroom.separating import FEWEST as FEWEST_TO_SEPARATE
from coursekit.classroom.separating import separating
from coursekit.classroom.sharing import FEWEST as FEWEST_TO_SHARE
from coursekit.classroom.sharing import of_class
from coursekit.classroom.similar import EXPECTED, similar_pairs
from coursekit.classroom.similar import FEWEST as FEWEST_TO_COMPARE
from coursekit.files import write

PAGES = Path(__file__).with_name("pages")
NEXT = 3  # things to go through in the next lesson, at most
COMMON = 0.1  # of the students, and three at least, before a mistake is one to go through
UNWRITTEN = 0.25  # of the students, before a task that they left blank is one
DEAL = 20  # the seed that answers are dealt by: the same class gives the same page


@dataclass
class Lesson:
    """Something to go through in the next lesson."""

    outcome: object
    finding: object  # None: many have not written the answer
    students: int


def classroom(options):
    """`python -m coursekit classroom`: write the pages about a class that was graded."""
    counted = read_class(options.results, options.submissions)
    write_pages(options.results, counted)
    print(f"{len(counted.students)} students: {paths(options.results)}")
    if counted.changed:
        print(f"{counted.changed} handed in again since: coursekit grade grades them")
    return 0


def paths(out):
    return f"{out / 'class.html'} to show, {out / 'similar.html'} for you alone"


def write_pages(out, counted):
    """Write class.html and similar.html into `out`."""
    write(out / "class.html", class_page(counted))
    write(out / "similar.html", similar_page(counted))


def class_page(counted):
    exercises, students = counted.exercises, counted.students
    tasks = list(exercises.tasks.values())
    outcomes = [outcome(task, exercises.own_answer(task.id), students) for task in tasks]
    shared = {t.id: of_class([s.progress.get(t.id) for s in students], t) for t in tasks}
    points = np.array([[s.result.marks[t.id].points for t in tasks] for s in students])
    items = separating(points.reshape(len(students), len(tasks)))
    return filled(
        "class.html",
        counted=counted,
        outcomes=outcomes,
        titles={task.id: title_of(task).replace("`", "") for task in tasks},
        shared=shared,
        items=None if items is None else dict(zip(exercises.tasks, items, strict=True)),
        sections={task.id: sections_for(task) for task in tasks},
        lessons=lessons_of(outcomes),
        full=sum(task.points for task in tasks),
        mean=points.sum() / max(len(students), 1),
        few={"share": FEWEST_TO_SHARE, "separate": FEWEST_TO_SEPARATE},
    )


def lessons_of(outcomes):
    """What most students have in common that they got wrong, the most frequent first."""
    found = []
    for each in outcomes:
        if each.blank >= max(3, UNWRITTEN * each.handed_in):
            found.append(Lesson(each, None, each.blank))
        for finding in each.findings:
            number = len(finding.students)
            if finding.name and number >= max(3, COMMON * each.handed_in):
                found.append(Lesson(each, finding, number))
    return sorted(found, key=lambda lesson: -lesson.students)[:NEXT]


def similar_page(counted):
    students = counted.students
    tasks = {
        task: ([s.answers.get(task) for s in students], [s.state(task) for s in students])
        for task in counted.exercises.tasks
    }
    names = [student.result.student for student in students]
    with_answers = sum(bool(student.answers) for student in students)
    return filled(
        "similar.html",
        counted=counted,
        pairs=similar_pairs(names, tasks, np.random.default_rng(DEAL)),
        with_answers=with_answers,
        few=FEWEST_TO_COMPARE,
        expected=EXPECTED,
    )


def filled(name, **facts):
    """A page with these facts in it."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["share"] = lambda part, whole: f"{100 * part / whole:.0f}%" if whole else "–"
    return pages.get_template(name).render(**facts)
