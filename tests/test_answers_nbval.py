"""Every answer that book/checks keeps, through nbval, as a reader or a course runs it."""

from itertools import zip_longest

import pytest
from answers import WRONG, check_cells, nbval, type_in

from coursekit.checking.check import verdict_on
from coursekit.checking.tasks import load_set, set_names


@pytest.mark.parametrize("name", set_names())
def test_nbval_is_red_for_every_wrong_answer_and_green_for_right_ones(name, tmp_path):
    exercises = load_set(name)
    sheets = []
    for kinds in (WRONG, ("right",)):
        # Notebooks that hold, together, every variant of these kinds: one of each task in each.
        columns = [
            [(task.id, v.source) for v in task.variants if v.kind in kinds]
            for task in exercises.tasks.values()
        ]
        for row in zip_longest(*columns):
            chosen = dict(filter(None, row))
            # Two mistakes may cancel, where one answer calls another: such a one stands alone.
            for task in list(chosen):
                answer = exercises.answer(task, chosen)
                if kinds is WRONG and verdict_on(exercises, task, answer).is_right:
                    sheets.append(({task: chosen.pop(task)}, True))
            sheets.append((chosen, kinds is WRONG))
    for number, (chosen, _) in enumerate(sheets):
        type_in(name, tmp_path / f"sheet{number}.ipynb", chosen)
    seen, place = nbval(tmp_path, cwd=tmp_path), check_cells(name)
    for number, (chosen, wrong) in enumerate(sheets):
        for task in chosen:
            failure = seen[f"sheet{number}", place[task]]
            assert (failure is not None) == wrong, (number, task, failure)
