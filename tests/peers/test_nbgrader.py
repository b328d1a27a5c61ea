"""The sets in nbgrader as it is released: made into an assignment, handed in, graded by it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from coursekit.checking.tasks import load_set

REPOSITORY = Path(__file__).parents[2]
SET = "03_linear"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one assignment: its source is our solutions notebook."""
    root = tmp_path_factory.mktemp("course")
    source = root / "source" / SET / f"{SET}.ipynb"
    source.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "solutions" / source.name, source)
    nbgrader(root, "generate_assignment", SET, "--create")
    return root


def nbgrader(root, *arguments):
    # It calls `alembic` by name, which stands beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={root}"],
        cwd=root,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def cells(path):
    return [
        ("".join(cell["source"]), cell["cell_type"])
        for cell in json.loads(path.read_text("utf-8"))["cells"]
    ]


def hand_in(root, student, sources):
    """Put a student's notebook where nbgrader collects: the released one, answers typed in."""
    released = json.loads((root / "release" / SET / f"{SET}.ipynb").read_text("utf-8"))
    for cell in released["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") and about["grade_id"] in sources:
            cell["source"] = sources[about["grade_id"]]
    path = root / "submitted" / student / SET / f"{SET}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(released), "utf-8")


def test_what_nbgrader_releases_is_our_blank_set(course):
    released = course / "release" / SET / f"{SET}.ipynb"
    assert cells(released) == cells(REPOSITORY / "exercises" / released.name)


def test_nbgrader_gives_the_points_of_the_tasks_that_are_right(course):
    exercises = load_set(SET)
    right = {task.id: task.of_kind("right")[0].source for task in exercises.tasks.values()}
    wrong = exercises.tasks["linear-backward"].of_kind("mistake")[0].source
    hand_in(course, "ann", right)
    hand_in(course, "ben", right | {"linear-backward": wrong})
    hand_in(course, "cas", {})
    nbgrader(course, "autograde", SET)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        points = {
            student: gradebook.find_submission(SET, student).score
            for student in ("ann", "ben", "cas")
        }
        assert gradebook.find_assignment(SET).max_score == 7
    assert points == {"ann": 7, "ben": 4, "cas": 0}
