"""Every answer that book/checks keeps: right ones are accepted, wrong ones rejected, told why.

SEEDS=50 runs each on that many draws of the hidden cases.
"""

import copy
import functools
import os
import re

import numpy as np
import pytest
from answers import REPOSITORY, TASKS, WRONG, solutions
from each_case import cases_of

from coursekit.checking import wire
from coursekit.checking.answers import grade_id
from coursekit.checking.cases import result_names
from coursekit.checking.check import verdict_on
from coursekit.checking.judge import Reference, judge, rank
from coursekit.checking.outcomes import outcomes
from coursekit.checking.tasks import load_set, set_names
from coursekit.grading.judging import judged as judged_by_the_grader
from coursekit.grading.judging import room_for
from coursekit.source import exercise_cells
from numpygpt import nn

SEEDS = int(os.environ.get("SEEDS", 2))


@functools.lru_cache(maxsize=SEEDS)  # what the mistakes give would fill the memory
def reference_for(name, task, seed):
    """What is right for one draw of the cases."""
    exercises = load_set(name)
    cases = list(exercises.tasks[task].cases(np.random.default_rng([seed, 5])))
    return Reference(exercises, task, cases)


def judged(name, task, variant, seed, diagnose=False):
    """The verdict on one of our variants, for one draw of the cases."""
    reference = copy.copy(reference_for(name, task, seed))
    if not diagnose:
        reference.suspects = lambda table, wrong: []
        answer = load_set(name).variant_answer(task, variant)
        return judge(reference, listed(reference.cases, outcomes(answer, reference.cases)))
    # What it gives is needed again, as a mistake that may explain what others give.
    found = reference.of_mistake(variant, range(len(reference.cases)))
    return judge(reference, listed(reference.cases, found))


def listed(cases, results):
    """The results of some cases: the grader reads those whose names it asked for."""
    for case, some in zip(cases, results, strict=True):
        assert {result.name for result in some} <= set(result_names(case))
    return results


def is_rejected(name, task, variant, seed):
    """Whether one of the cases of a draw shows that a variant is wrong."""
    answer = load_set(name).variant_answer(task, variant)
    for one in cases_of(reference_for(name, task, seed)):
        one.suspects = lambda table, wrong: []
        if not judge(one, listed(one.cases, outcomes(answer, one.cases))).is_right:
            return True
    return False


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_right_answers_of_every_style_are_accepted(name, task):
    styles = load_set(name).tasks[task].of_kind("right")
    assert len(styles) >= 3
    for variant in styles:
        for seed in range(SEEDS):
            verdict = judged(name, task, variant.name, seed)
            assert verdict.is_right, (variant.name, seed, verdict.lines())


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_wrong_answers_are_rejected_whatever_the_cases(name, task):
    variants = [v for v in load_set(name).tasks[task].variants if v.kind in WRONG]
    for variant in variants:
        for seed in range(1, SEEDS):  # the first draw is that of the next test
            assert is_rejected(name, task, variant.name, seed), (variant.name, seed)


# Mistakes of shape that no case gets past. Any other one that always stops is broken itself.
STOPS = {"positions-not-summed", "one-start"}


def stops_everywhere(name, task, variant):
    reference = reference_for(name, task, seed=0)
    found = reference.of_mistake(variant.name, range(len(reference.cases)))
    return variant.kind == "mistake" and all("error" in {r.name for r in some} for some in found)


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_mistakes_are_named_and_other_wrong_answers_get_a_useful_message(name, task):
    own = []
    for variant in load_set(name).tasks[task].variants:
        if variant.kind not in WRONG:
            continue
        verdict = judged(name, task, variant.name, seed=0, diagnose=True)
        assert not verdict.is_right, variant.name
        assert not stops_everywhere(name, task, variant) or variant.name in STOPS, variant.name
        own += [variant.message in [p.text for p in verdict.problems]] * (variant.kind == "mistake")
        ranks = [rank(problem.name) for problem in verdict.problems]
        assert ranks == sorted(ranks), (variant.name, verdict.lines())  # errors come first
        for problem in verdict.problems:
            # Either the mistake itself, or numbers to start from.
            assert problem.known or problem.detail, (variant.name, verdict.lines())
            # What explains an error does not hide it.
            assert problem.name != "error" or problem.detail, (variant.name, verdict.lines())
    assert sum(own) >= 0.75 * len(own), f"{sum(own)} of {len(own)} mistakes got their own message"


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_the_grader_reads_all_that_a_right_answer_gives(name, task):
    reference = reference_for(name, task, seed=0)
    sent = wire.dumps(listed(reference.cases, reference.expected))
    assert judged_by_the_grader(reference, room_for(reference), sent)[0]


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_there_are_mistakes_enough_each_with_a_message_of_its_own(name, task):
    exercises = load_set(name)
    mistakes = exercises.tasks[task].of_kind("mistake")
    calls = [
        c for case in exercises.tasks[task].cases(np.random.default_rng(0)) for c in case.calls
    ]
    # A backward pass is given a gradient: dy, dp, dloss, ...; no other argument begins with d.
    given = [name for call in calls for name in call.args if name.startswith("d")]
    backward = given or any(call.method == "backward" for call in calls)
    assert len(mistakes) >= (8 if backward or "backward" in task else 6)
    messages = [variant.message for variant in mistakes]
    assert all(len(message) > 10 for message in messages)
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_no_known_answer_hides_another_of_its_name(name, task):
    names = [variant.name for variant in load_set(name).tasks[task].variants]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", set_names())
def test_a_set_keeps_wrong_answers_that_its_mistakes_do_not_list(name):
    rejects = [v for task in load_set(name).tasks.values() for v in task.of_kind("reject")]
    assert len(rejects) >= 5
    assert 3 <= len(load_set(name).tasks) <= 6


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_hints_climb_three_rungs_and_hold_no_line_of_the_solution(name, task):
    hints = load_set(name).tasks[task].hints
    assert len(hints) == 3
    blank = re.sub(r"\s", "", solutions(name)[task])
    lines = [
        re.sub(r"\s", "", line.partition("#")[0]) for line in solutions(name)[task].split("\n")
    ]
    told = re.sub(r"\s", "", " ".join(hints))
    for line in lines:
        if len(line) > 12 and not line.startswith(("def", "@", '"""')) and line in blank:
            assert line not in told, line


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_blank_answer_is_told_to_be_written_in_one_friendly_line(name, task):
    exercises = load_set(name)
    blanks = {grade_id(c): c["source"] for c in exercise_cells(exercises.page, answers=False)}
    assert "raise NotImplementedError()" in blanks[task]
    # The cell itself runs: only the check says something.
    verdict = verdict_on(exercises, task, exercises.answer(task, {task: blanks[task]}))
    [line] = verdict.lines()
    assert line.startswith(f"{task}: not written yet.")


@pytest.mark.parametrize("name", set_names())
def test_headings_say_what_the_tasks_are_worth(name):
    exercises = load_set(name)
    text = "\n".join(c["source"] for c in exercises.page.cells if c["cell_type"] == "markdown")
    headings = re.findall(r"^## .*\((\d+) points?, (\w+), about (\d+) minutes\)$", text, re.M)
    told = [(int(points), level, int(minutes)) for points, level, minutes in headings]
    assert told == [(t.points, t.level, t.minutes) for t in exercises.tasks.values()]


@pytest.mark.parametrize("name", set_names())
def test_checks_belong_to_tasks(name):
    exercises = load_set(name)
    named = {cell["metadata"].get("task") for cell in exercises.checks.cells} - {None}
    assert named == set(exercises.tasks)
    assert all(task.split("-")[0].isidentifier() for task in named)


def test_every_backward_pass_of_the_package_is_an_exercise():
    adopted = {t.adopts for name in set_names() for t in load_set(name).tasks.values()} - {None}
    layers = {f"nn.{home}:{layer}" for layer, home in nn.HOMES.items() if layer != "Module"}
    functions = {"nn.functional:softmax_backward", "nn.functional:cross_entropy_backward"}
    # Written in sets 9 and 10, before the package has them.
    layers -= {"nn.rmsnorm:RMSNorm", "nn.rotary:Rotary"}
    # Set 27 writes it around arrays, the package around a layer.
    layers -= {"nn.lora:LoRALinear"}
    assert layers | functions | {"gpt:GPT"} <= adopted


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_the_books_own_answer_is_right_on_a_handful_of_cases(name, task):
    exercises = load_set(name)
    cases = exercises.tasks[task].cases(np.random.default_rng(1))
    # A reader waits for them: two seconds at most. Those of the contract are counted in its test.
    assert 4 <= len([case for case in cases if not case.clause]) <= 40
    assert verdict_on(exercises, task, exercises.variant_answer(task)).is_right


@pytest.mark.parametrize("name", set_names())
def test_a_chapter_lists_the_tasks_of_its_set(name):
    text = "\n".join(c["source"] for c in load_set(name).page.cells)
    chapter = (REPOSITORY / "book" / "chapters" / f"{name}.py").read_text("utf-8")
    assert f"(../exercises/{name}.ipynb)" in chapter
    for title, level, minutes in re.findall(
        r"^## Task \d+: (.*) \(\d+ points?, (\w+), about (\d+) minutes\)$", text, re.M
    ):
        assert f"# | {title} | {level} | {minutes} |" in chapter
