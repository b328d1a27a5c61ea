"""The answers that book/checks keeps, through nbval, as a reader or a course runs it.

Without nbval, test_answers.py judges them all. Here, one sheet of wrong answers to all tasks of a
set and one of right ones show that nbval says of each task what the check says: a kernel takes a
second for each sheet. With NBVAL=all in the environment all of them.
"""

import os
from itertools import zip_longest

import pytest
from answers import WRONG, check_cells, nbval, type_in

from coursekit.checking.tasks import load_set, set_names

ALL = os.environ.get("NBVAL") == "all"


def sheets(name, kinds):
    """Choices of {task: answer} that hold, together, every answer of these kinds to a set."""
    tasks = load_set(name).tasks.values()
    columns = [[(task.id, v.source) for v in task.variants if v.kind in kinds] for task in tasks]
    return [dict(filter(None, row)) for row in zip_longest(*columns)]


def run(name, folder, chosen):
    """Run a notebook for each choice of answers; return what nbval says of them: [{task: failure}].

    The tasks of a set that are not in a choice have our answers.
    """
    for number, answers in enumerate(chosen):
        type_in(name, folder / f"sheet{number}.ipynb", answers)
    seen, place = nbval(folder, cwd=folder), check_cells(name)
    return [{t: seen[f"sheet{n}", place[t]] for t in answers} for n, answers in enumerate(chosen)]


@pytest.mark.parametrize("name", set_names())
def test_nbval_is_red_for_every_wrong_answer_and_green_for_right_ones(name, tmp_path):
    wrong, right = sheets(name, WRONG), sheets(name, ["right"])
    if not ALL:
        wrong, right = wrong[:1], right[:1]
    seen = run(name, tmp_path / "together", wrong + right)
    for failures in seen[len(wrong) :]:
        assert not any(failures.values()), failures
    # Two mistakes may cancel, where one answer calls another: what was green must be red alone.
    alone = [
        {task: answers[task]}
        for answers, failures in zip(wrong, seen, strict=False)
        for task, failure in failures.items()
        if failure is None
    ]
    for failures in run(name, tmp_path / "alone", alone) if alone else []:
        assert all(failures.values()), failures
