"""check, hint, status, nbval's overlay, and the command line."""

import ctypes
import errno
import gc
import heapq
import inspect
import json
import mmap
import os
import re
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import types
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import ipykernel
import IPython
import numpy as np
import pytest
from answers import ONLY_THESE, PLUGINS, REPOSITORY, check_cells, nbval, solutions, type_in
from nbval import kernel as nbval_kernel

import numpygpt
from coursekit import add_to_class, check, hint, status
from coursekit.__main__ import main
from coursekit.checking import check as checking
from coursekit.checking import check_notebook, kernel, progress, wire
from coursekit.checking import checked as checked_module
from coursekit.checking.cases import Call, Case, Model, Result, Rng, layer
from coursekit.checking.check import CheckError, verdict_on
from coursekit.checking.checked import Checked, Finding
from coursekit.checking.comparing import Table, close
from coursekit.checking.covered import OwnVersion, covered
from coursekit.checking.definitions import only_definitions, reaches_others
from coursekit.checking.judge import problems_of
from coursekit.checking.kernel import tried_again
from coursekit.checking.outcomes import outcomes
from coursekit.checking.record import INPUTS, OUTPUTS, ask, record
from coursekit.checking.running import named, run
from coursekit.checking.tasks import find_set, find_task, load_set, set_names
from coursekit.checking.values import frozen
from coursekit.checking.whose import described, library_folders, names_used, reader_wrote
from coursekit.files import BookError

SET, TASK = "03_linear", "linear-backward"


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROGRESS", str(tmp_path / "progress"))
    return tmp_path / "progress"


def variant(name, task=TASK):
    return load_set(SET).variant_answer(task, name)


def told(answer, task=TASK):
    return "\n".join(verdict_on(load_set(SET), task, answer).lines())


def linear(source):
    """The answer that this text in the answer cell of linear-backward gives."""
    return load_set(SET).answer(TASK, {TASK: source})


# check


def test_check_folds_what_is_right_into_one_line(capsys):
    check(TASK, variant(None))
    first, others = capsys.readouterr().out.splitlines()
    assert first == "linear-backward: right"
    assert re.fullmatch("  y, dW, db, dx: right in [0-9]+ cases", others)


def test_what_is_wrong_comes_before_what_is_right(capsys):
    with pytest.raises(CheckError):
        check(TASK, variant("dw-mean"))
    _, wrong, right = capsys.readouterr().out.splitlines()
    assert wrong.startswith("  dW WRONG: ") and right.startswith("  y, db, dx: right in ")


def test_check_raises_a_line_without_traceback_for_a_wrong_one(capsys):
    with pytest.raises(CheckError) as error:
        check(TASK, variant("dw-mean"))
    assert "divided by the number of rows" in capsys.readouterr().out
    assert error.value._render_traceback_() == [str(error.value)]
    assert "\n" not in str(error.value)


def test_check_takes_the_method_or_its_class(capsys):
    cls = variant(None)
    check(TASK, cls.backward)
    check(TASK, cls)
    assert capsys.readouterr().out.count("right\n") == 2


NOTEBOOK = """
from coursekit import add_to_class
from numpygpt.nn import Module
import numpy as np

class Linear(Module):
    def __init__(self, n_in, n_out, bias=True, *, rng, dtype=np.float32):
        self.W, self.dW = (np.zeros((n_in, n_out), dtype) for _ in "Wd")
        self.b, self.db = (np.zeros(n_out, dtype) if bias else None for _ in "bd")

    def forward(self, x):
        self.x = x
        return x @ self.W + (0 if self.b is None else self.b)

class Other(Linear):
    pass
"""
BACKWARD = """
def backward(self, dy):
    x, rows = self.x.reshape(-1, self.x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    if self.b is not None:
        self.db += rows.sum(axis=0)
    self.dW += x.T @ rows
    return dy @ self.W.T
"""
ADDED = f"\n@add_to_class(Linear){BACKWARD}"
OVER = "\n@add_to_class(Other)\ndef backward(self, dy):\n    return None\n"


@pytest.mark.parametrize(
    ("cells", "handed_over"),
    [
        ([NOTEBOOK, ADDED], "Linear"),
        ([NOTEBOOK, ADDED], "backward"),
        ([NOTEBOOK, ADDED], "Linear.backward"),
        # Another task's method has the name by now.
        ([NOTEBOOK, ADDED, OVER], "Linear"),
        ([NOTEBOOK, ADDED, OVER], "backward"),
        # The class is written anew: by running its cell again, and in the answer cell.
        ([NOTEBOOK, ADDED, NOTEBOOK, ADDED], "backward"),
        ([NOTEBOOK, ADDED, NOTEBOOK + BACKWARD.replace("\n", "\n    ")], "backward"),
        ([NOTEBOOK.replace("class Other", f"{BACKWARD}\nclass Other").replace(
            BACKWARD, BACKWARD.replace("\n", "\n    "))], "Linear.backward"),
    ],
)  # fmt: skip
def test_the_answer_is_judged_and_not_its_name(cells, handed_over):
    notebook = {"__name__": "notebook"}
    for cell in cells:
        if cell.startswith(NOTEBOOK) and cell != NOTEBOOK:  # the class with its method inside
            cell = NOTEBOOK.replace("class Other", cell[len(NOTEBOOK) :] + "\nclass Other")
        exec(cell, notebook)
    verdict = verdict_on(load_set(SET), TASK, eval(handed_over, notebook))
    assert verdict.is_right, verdict.lines()


@pytest.mark.parametrize(
    ("cell", "handed_over", "said"),
    [
        (BACKWARD, "backward", "write @add_to_class(Linear) in the line above"),
        (BACKWARD, "Linear", "write @add_to_class(Linear) in the line above"),
        (ADDED.replace("def backward", "def backwards"), "Linear", "has a method backwards, but"),
        ("", "Linear", "has no method backward: run your answer cell again"),
    ],
)
def test_a_method_that_is_not_there_is_named(cell, handed_over, said, monkeypatch):
    notebook = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    exec(NOTEBOOK + cell, vars(notebook))
    [problem] = verdict_on(load_set(SET), TASK, eval(handed_over, vars(notebook))).problems
    assert said in problem.text


def test_a_blank_of_another_task_is_named():
    exercises = load_set("08_embedding")
    source = exercises.own_answer("embedding-positions-backward")
    source = source.replace("np.add.at(self.wte.dW, self.wte.ids, dy)", "self.wte.backward(dy)")
    blank = "@add_to_class(Embedding)\ndef backward(self, dy):\n    raise NotImplementedError()\n"
    sources = {"embedding-positions-backward": source, "embedding-backward": blank}
    answer = exercises.answer("embedding-positions-backward", sources)
    [line] = verdict_on(exercises, "embedding-positions-backward", answer).lines()
    assert line.endswith(
        "not checked yet: it calls Embedding.backward, which is not written yet: that is "
        "embedding-backward"
    )


def test_a_reader_who_interrupts_a_check_sees_a_line(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "verdict_on", interrupted)
    with pytest.raises(KeyboardInterrupt) as error:
        check(TASK, variant(None))
    assert error.value._render_traceback_() == ["the check of linear-backward was interrupted"]


def test_a_blank_answer_gets_a_friendly_line(capsys):
    blank = "@add_to_class(Linear)\ndef backward(self, dy):\n    raise NotImplementedError()"
    with pytest.raises(CheckError):
        check(TASK, linear(blank))
    assert capsys.readouterr().out.startswith("linear-backward: not written yet. Put your code")


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(
        BookError, match='no task "linear-backwards": did you mean "linear-backward"'
    ):
        check("linear-backwards", None)


def test_two_checks_draw_different_cases():
    draws = [
        next(iter(find_task(TASK).tasks[TASK].cases(np.random.default_rng()))).params["W"]
        for _ in range(2)
    ]
    assert not np.array_equal(*draws)


def test_an_answer_that_calls_the_package_is_refused_however_it_was_imported():
    source = "from numpygpt.nn.linear import Linear as Own\n"
    source += "@add_to_class(Linear)\ndef backward(self, dy):\n    return Own.backward(self, dy)"
    assert "calls numpygpt's own version" in told(linear(source))


def test_the_package_works_again_after_a_check():
    from numpygpt.nn import Linear

    code = Linear.backward.__code__
    with pytest.raises(ZeroDivisionError), covered(3):
        assert Linear.backward.__code__ is not code
        raise ZeroDivisionError
    assert Linear.backward.__code__ is code


def test_what_yields_is_refused_too_as_soon_as_it_is_asked():
    from numpygpt.tokenizers.pieces import pieces_of

    with covered(14), pytest.raises(OwnVersion):
        next(pieces_of("to be"))
    assert list(pieces_of("to be")) == [["to", " be"]]


def test_the_packages_own_version_refuses_without_docstrings_too():
    code = (
        "from coursekit.checking.covered import OwnVersion, covered\n"
        "from numpygpt.nn.functional import softmax\n"
        "try:\n    with covered(5): softmax([1.0])\n"
        "except OwnVersion: print('refused')\n"
    )
    command = [sys.executable, "-OO", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "refused\n", done.stderr


def test_a_wrong_answer_that_no_list_knows_is_told_its_worst_entry():
    text = told(variant("half-a-gradient"))
    assert "dW WRONG" in text and "expected" in text and "in the case: x of shape" in text


def test_what_an_answer_raises_is_told_with_the_case():
    source = "@add_to_class(Linear)\ndef backward(self, dy):\n    return undefined"
    text = told(linear(source))
    assert "raises NameError; is the name defined in the answer cell?" in text
    assert "'undefined'" in text


def test_an_array_that_an_answer_has_locked_is_named_where_its_caller_cannot_write():
    source = (
        "@add_to_class(Linear)\ndef backward(self, dy):\n"
        "    rows, x = dy.reshape(-1, dy.shape[-1]), self.x.reshape(-1, self.x.shape[-1])\n"
        "    self.W.flags.writeable = False\n"
        "    self.dW += x.T @ rows\n"
        "    if self.b is not None:\n        self.db += rows.sum(axis=0)\n"
        "    return dy @ self.W.T\n"
    )
    text = told(linear(source))
    assert "leaves an array read-only into which its caller writes" in text
    assert "right once" not in text


def test_sys_exit_in_an_answer_does_not_end_the_notebook():
    source = "@add_to_class(Linear)\ndef backward(self, dy):\n    raise SystemExit"
    assert "raises SystemExit" in told(linear(source))


# Messages


def told_of(got, expected, **options):
    """The problems of a function that returns `got` where `expected` is right, in each case."""
    cases = [Case("a case", [Call({}, **options)]) for _ in got]
    results = [[Result(0, n, v) for n, v in named(cases[0].calls[0].returns, g)] for g in got]
    right = [[Result(0, n, v) for n, v in named(cases[0].calls[0].returns, e)] for e in expected]
    table = Table(cases, right, results)
    return problems_of(table, table.wrong(), [])


@pytest.mark.parametrize(
    ("got", "expected", "text", "detail"),
    [
        # Numbers with as many digits as it takes to tell them apart.
        ([0.8740761], [0.8740762], "right in its first digits", "0.8740761, expected 0.8740762,"),
        ([1.0], [2.0], "is not what it should be", "the result is 1, expected 2, in the case"),
        # Lists, texts and dicts from where they differ.
        ([[1, 2, 3]], [[1, 2, 4]], "wrong entries: the last", "the result[2] is 3, expected 4"),
        ([[]], [[[1, 2]]], "has too few entries", "has 0 entries, expected 1: the next is [1, 2]"),
        ([[(1, 2)]], [[]], "has too many entries", "has 1 entry, expected 0: [1, 2] is too many"),
        ([[[1, 2]], [1]], [[], [1, 2]], "has wrong entries", "has 1 entry, expected 0"),
        ([["a"]], [["a", "b"]], "is not what", "has 1 entry, expected 2: the next is 'b'"),
        ([["a", "b"]], [["a"]], "is not what", "has 2 entries, expected 1: 'b' is too many"),
        (["a" * 99 + "b"], ["a" * 99 + "c"], "is not what", "aab', expected …'"),
        ([{"a": 1, "b": 2}], [{"a": 1, "b": 3}], "is not what", "['b'] is 2, expected 3"),
        ([{"a": 1}], [{"a": 1, "b": 3}], "is not what", "has no 'b'"),
        ([[["W", np.ones(2)]]], [[["W", np.ones(3)]]], "is not what", "[0][1] has the shape (2,)"),
        # None, and other kinds of things.
        ([None], [1.0], "is None: a function that ends without `return` gives None", ""),
        ([None, None], [1.0, None], "is None where it should not be: what is right is refused", ""),
        ([None, 1.0], [1.0, 1.0], "is None where it should not be: does every way", ""),
        (["x"], [None], "is a text; None is asked for here", "is 'x', expected None"),
        ([{}], [np.ones(2)], "is of another kind: an array is asked for", ""),
        # One text, one case: the entry that is not finite is the one that is shown.
        ([np.ones(2), np.array([np.nan, 1])], [np.zeros(2), np.ones(2)], "not finite", "is nan"),
        # Infinity minus infinity is no difference; texts that look alike are told apart.
        ([np.array([np.inf, 2, np.nan])], [np.array([np.inf, 1, np.nan])], "", "[1] is 2, exp"),
        ([["é"]], [["e\u0301"]], "is not what", r"[0] is '\xe9', expected 'e\u0301'"),
        (["é"], ["e"], "is not what", "is 'é', expected 'e'"),
        # A factor where there is one, and only there.
        ([np.zeros(3)], [np.arange(3.0)], "is zero everywhere", ""),
        ([0.0, 2.0], [1.0, 2.0], "is zero where it should not be", "is 0, expected 1"),
        ([99.99, 999.9, 9999.9], [100.0, 1000.0, 1e4], "is not what it should be", ""),
        ([np.arange(4) * 0.5], [np.arange(4.0)], "is 0.5 times what it should be, everywhere", ""),
        ([np.array([1.0, 0]), np.array([3.0, 0])], [np.array([2.0, 0]), np.array([4.0, 0])],
         "has wrong entries: the first", ""),
        ([np.ones((2, 1)) * 3], [np.ones(2) * 3], "has the right entries in the wrong shape", ""),
        ([np.arange(6.0).reshape(2, 3)], [np.arange(6.0).reshape(2, 3).T], "is the transpose", ""),
        ([np.array([9, 1, 2, 4])], [np.array([1, 2, 4, 7])], "is one place late", ""),
        ([np.array([7, 7, 9])], [np.array([7, 7, 7])], "has wrong entries: the last", ""),
        ([np.array([3, 5])], [np.array([2, 4])], "is 1 too large, everywhere", ""),
        # Of float32 there are seven digits; one small number among large ones is no rounding.
        ([np.float32([3.1, 1 / 3])], [np.array([3.1, 1 / 3])], "right in its first digits", ""),
        ([np.array([1e7, 2.0])], [np.array([1e7, 1.0])], "has wrong entries: the last", ""),
        ([np.array([2.0, 1, 3])], [np.array([1.0, 2, 3])], "right entries in the wrong places", ""),
        # Where nearly all are next to 0, one place is like another.
        ([np.array([1, 1e-9, 0])], [np.array([1e-10, 0, 1])], "has wrong entries", ""),
        ([np.array([0.0, 1, 0])], [np.array([0, 1e-9, 1])], "has wrong entries", ""),
        ([np.zeros(2), np.ones(2)], [np.ones(2), np.ones(2)], "is zero where it should not", ""),
        # The same entries, turned around: a sign.
        ([np.ones(2), np.array([-1.0, 1])], [np.ones(2), np.array([1.0, -1])],
         "has the wrong sign where it is wrong", ""),
    ],
)  # fmt: skip
def test_a_message_says_what_is_wrong_and_shows_where(got, expected, text, detail):
    [problem] = told_of([frozen(g) for g in got], [frozen(e) for e in expected])
    assert text in problem.text and detail in problem.detail


def test_the_case_that_is_shown_is_one_of_those_that_are_named():
    cases = [Case(f"case {n}", [Call()], strided=n == 0) for n in range(4)]
    right = [[Result(0, "the result", "right")] for _ in cases]
    got = [[Result(0, "the result", "wrong")] for _ in cases[:3]] + right[3:]
    table = Table(cases, right, got)
    [problem] = problems_of(table, table.wrong(), [])
    assert "in the case: case 1" in problem.detail and "case 3" in problem.where


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (np.ones(3), "returned one array; two are asked for: X, dW"),
        ({"X": 1}, "returned one dict; two are asked for: X, dW"),
        ([np.ones(3)], "returned one of them; two are asked for: X, dW"),
        (None, "returned nothing (None); two are asked for: X, dW"),
    ],
)
def test_too_few_results_are_counted(got, said):
    [problem] = told_of([got], [[np.ones(2), np.ones(3)]], returns=("X", "dW"))
    assert problem.text == said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("self.db += rows.sum(axis=0)", "self.db += rows.mean(axis=0)"), "`mean` stands where"),
        (("rows.sum(axis=0)", "rows.sum()"), "`axis=` is left out"),
    ],
)
def test_a_slip_that_no_list_has_is_named_where_it_alone_explains_all(edit, said, monkeypatch):
    exercises = load_set(SET)
    monkeypatch.setattr(exercises.tasks[TASK], "variants", [])

    def told(text, wrote=None):
        answer = exercises.answer(TASK, {TASK: text})
        verdict = verdict_on(exercises, TASK, answer, seed=1, text=wrote or text)
        return [problem.text for problem in verdict.problems]

    once = exercises.own_answer(TASK).replace(*edit)
    assert f"is what comes out if {said}" in told(once)[0]
    texts = told(once.replace("self.W.T", "abs(self.W.T)"))
    assert any("is what comes out" in text for text in texts)
    assert not all("is what comes out" in text for text in texts), "dx has a fault of its own"
    # The same numbers, from what is written otherwise: nobody knows what slipped there.
    for wrote in (exercises.own_answer(TASK), "self.db += 7", "not Python"):
        assert not any("is what comes out" in text for text in told(once, wrote))


def test_it_is_told_which_cases_are_wrong_or_which_are_right_if_those_are_fewer():
    def said(*wrong):
        cases = [Case(f"case {n}", [Call({}, returns="y")]) for n in range(7)]
        cases[6] = replace(cases[0], title="case 0, strided", strided=True)
        expected = [[Result(0, "y", frozen(np.arange(3.0) + n % 6))] for n in range(7)]
        got = [[Result(0, "y", frozen(np.array([n, 4.0, n % 2])))] for n in range(7)]
        table = Table(cases, expected, [got[n] if n in wrong else expected[n] for n in range(7)])
        [problem] = problems_of(table, table.wrong(), [])
        return problem.where

    assert said(1, 3) == "wrong in 2 of 6 cases: case 1; case 3"
    assert said(0, 1, 3, 4, 5, 6) == "right in 1 of 6 cases: case 2"
    assert said(0, 6) == "wrong in 1 of 6 cases: case 0"
    assert said(*range(7)) == ""


def test_a_result_that_is_none_by_name_is_no_forgotten_return():
    [problem] = told_of([[np.ones(2), None]], [[np.ones(2), np.ones(3)]], returns=("X", "dW"))
    assert problem.text == "is None: it stands in what is returned, but has no value"


def test_results_that_are_exchanged_are_named():
    a, b = np.arange(3.0), np.arange(3.0) ** 2
    problems = told_of([[b, a]], [[a, b]], returns=("dk", "dv"))
    assert [p.text for p in problems] == ["is what dv should be", "is what dk should be"]


def test_a_factor_has_the_name_of_the_size_that_it_is_in_all_cases():
    cases, right, results = [], [], []
    for n, m in [(2, 3), (5, 4), (7, 2)]:
        x = np.arange(1.0, 1 + n * m).reshape(n, m)
        cases.append(Case("a case", [Call({"x": x}, returns="y")]))
        right.append([Result(0, "y", x)])
        results.append([Result(0, "y", x / np.sqrt(m))])
    table = Table(cases, right, results)
    [problem] = problems_of(table, ["y"], [])
    assert "divided by √(the length of the last axis of x)" in problem.text


def test_a_gradient_that_nothing_is_added_to_stays_as_it_was():
    source = "@add_to_class(Linear)\ndef backward(self, dy):\n    return dy @ self.W.T\n"
    problems = {p.name: p.text for p in verdict_on(load_set(SET), TASK, linear(source)).problems}
    assert problems["dW"] == "stays as it was: nothing is added to it"


def test_a_known_mistake_is_named_beside_a_second_one():
    """Each array clipped on its own, and no guard for a norm that is inf."""
    source = """
def clip_grad_norm(model, max_norm):
    total = 0.0
    for g in model.grads().values():
        norm = math.sqrt(float((g * g).sum()))
        total += norm**2
        g *= min(1.0, max_norm / (norm + 1e-6))
    return math.sqrt(total)
"""
    exercises, known = load_set("06_optimizers"), []
    for variant_ in exercises.tasks["clip-grad-norm"].of_kind("mistake"):
        known.append(variant_.message)
    answer = exercises.answer("clip-grad-norm", {"clip-grad-norm": source})
    problems = verdict_on(exercises, "clip-grad-norm", answer).problems
    assert any(problem.text in known for problem in problems)
    assert any(problem.text not in known for problem in problems)


@pytest.mark.parametrize(
    ("task", "old", "new", "said", "never"),
    [
        # A known cause is told, and no clause that breaks with it.
        ("linear-backward", "x.T @ rows", "((rows.T @ x) if x.shape == rows.shape else x.T @ rows)",
         "it is made from dyᵀ x", "at work beside it"),
        ("relu-backward", "dy * self.positive", "self.positive", "without dy", "all zeros"),
        # In these cases t holds a 0 where y does: either may be the cause.
        ("sigmoid-tanh", "dy * y * (1 - y)", "dy * np.clip(y, 1e-3, 1) * (1 - y)",
         "only where t holds a 0 and y holds a 0", "only where t holds a 0\n"),
        ("clip-grad-norm", "if max_norm <", "if max_norm * (1 + 1e-6) <",
         "is left as it was where it must be changed", "changed in place"),
        # Where the answer stops, a slip that fits the rest by chance is none.
        ("label-smoothing", "(1 - self.smoothing) * np.eye(V)[targets] + self.smoothing / V ",
         "np.full(logits.shape, self.smoothing / V)\n"
         "        self.q[np.arange(len(self.q)), targets] += 1 - self.smoothing ",
         "raises IndexError", "is what comes out"),
        ("gradients-numeric", "kept = a[index]", "kept = a[*index, ...]",    # a view
         "a WRONG: is not as it was before", "not yours"),
    ],
)  # fmt: skip
def test_a_message_is_true_of_whoever_gets_it(task, old, new, said, never):
    exercises = find_task(task)
    assert old in exercises.own_answer(task)
    source = exercises.own_answer(task).replace(old, new)
    answer = exercises.answer(task, {task: source})
    lines = "\n".join(verdict_on(exercises, task, answer, seed=1, text=source).lines())
    assert said in lines and never not in lines


# What run reports


def f(x):
    x += 1
    return x


def test_arguments_changed_in_place_are_reported():
    [result, changed] = run(f, Case("", [Call({"x": np.ones(2)})]))
    assert result.value.tolist() == [2, 2] and changed.name == "changed: x"


def test_a_case_hands_out_new_arrays_each_time():
    case = Case("", [Call({"x": np.ones(2)}), Call({"x": np.ones(2)})])
    assert [r.value.tolist() for r in run(f, case)] == [r.value.tolist() for r in run(f, case)]
    assert case.calls[0].args["x"].tolist() == [1, 1]


def test_strided_and_float32_arrays_are_what_they_say():
    def describe(x):
        return [x.flags.c_contiguous, x.flags.f_contiguous, str(x.dtype), x.tolist()]

    x = np.arange(6.0).reshape(2, 3)
    [strided] = run(describe, Case("", [Call({"x": x})], strided=True))
    assert strided.value == [False, False, "float64", x.tolist()]
    [single] = run(describe, Case("", [Call({"x": x})], float32=True))
    assert single.value == [True, False, "float32", x.tolist()]


def test_a_replaced_gradient_and_a_changed_parameter_are_reported():
    class Layer:
        def __init__(self):
            self.W, self.dW = np.ones(2), np.zeros(2)

        def forward(self, x):
            self.W *= 2
            return x

        def backward(self, dy):
            self.dW = self.dW + dy
            return dy

    x = np.ones(2)
    results = run(Layer, layer("", {}, {"W": x}, [{"x": x}], [{"dy": x}]))
    names = [r.name for r in results]
    assert names.count("changed: W") == 1 and names.count("replaced: dW") == 1


def one_by_one(x):
    total = 0.0
    for value in x:
        total += value
    return total


def in_a_comprehension(x):
    return sum([value for value in x])


def at_once(x):
    return x.sum()


@pytest.mark.parametrize(("f", "loops"), [(one_by_one, 1), (in_a_comprehension, 1), (at_once, 0)])
def test_lines_of_the_readers_code_are_counted_each_time_they_run(f, loops):
    source = inspect.getsource(f)
    namespace = {}
    exec(compile(source, "<cell>", "exec"), namespace)
    results = run(namespace[f.__name__], Case("", [Call({"x": np.ones(50)})], max_lines=40))
    assert [r.name for r in results if r.name != "the result"] == ["limit: lines that run"] * loops


def test_lines_of_a_library_are_not_counted():
    results = run(
        lambda x: len(list(heapq.merge(x, x))), Case("", [Call({"x": [0.0] * 50})], max_lines=40)
    )
    assert [result.name for result in results] == ["the result"]


@pytest.mark.parametrize(
    ("source", "kind", "message", "line"),
    [
        ("y = (1\n", "SyntaxError", "'(' was never closed", "y = (1"),
        ("x = 1\n  y = 2", "IndentationError", "unexpected indent", "y = 2"),
        ("json.loads('[')", "JSONDecodeError", "Expecting value: line 1 column 2 (char 1)", ""),
        ("raise ValueError(open)", "ValueError", "<built-in function open>", ""),
    ],
)
def test_an_error_is_described_by_its_kind_its_text_and_a_line_of_the_readers(
    source, kind, message, line
):
    with pytest.raises(Exception) as error:
        exec(compile(source, "<cell>", "exec"), {"json": json})
    error.value.__traceback__ = error.tb.tb_next  # without this test's own line
    assert described(error.value) == {"kind": kind, "message": message, "line": line}


@pytest.mark.parametrize(
    ("file", "readers"),
    [
        (json.__file__, False),
        (np.__file__, False),
        (IPython.__file__, False),
        (ipykernel.__file__, False),  # where print() ends in a notebook
        (numpygpt.__file__, False),
        (check_notebook.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        ("/tmp/ipykernel_12/34.py", True),  # a notebook's cell
        ("<03_linear, cell 5>", True),
        ("<string>", True),
        ("json.py", True),
        (str(REPOSITORY / "exercises" / "ipykernel.py"), True),
        ("/usr/src/app/exercises/own.py", True),  # below the prefix of a system's Python
    ],
)
def test_what_lies_in_a_library_no_reader_wrote(file, readers):
    assert reader_wrote(file) is readers


@pytest.mark.parametrize("library", [np, numpygpt, check_notebook, IPython, ipykernel])
def test_a_library_of_ours_is_known_wherever_it_is_installed(library):
    inside = os.path.realpath(library.__file__)
    folders = [folder for folder in library_folders() if inside.startswith(folder)]
    assert any(Path(folder).name == library.__name__.partition(".")[0] for folder in folders)


def test_memory_in_use_at_a_time_is_counted():
    x = np.ones(20_000)
    in_turn = "def f(x):\n    for _ in range(5):\n        y = x + 1\n        del y"
    together = "def f(x):\n    return [x + 1 for _ in range(5)][0]"
    for source, passed in [(in_turn, 0), (together, 1)]:
        namespace = {}
        exec(source, namespace)
        case = Case("", [Call({"x": x}, returns=None)], max_bytes=round(1.5 * x.nbytes))
        for _ in range(2):  # it begins at 0 each time
            assert [r.name for r in run(namespace["f"], case)] == ["limit: memory"] * passed


def test_what_the_process_does_beside_an_answer_is_not_the_answers_memory():
    beside, held = iter([np.ones(50_000)]), []

    def f(x):
        held.append(next(beside, x).copy())  # as a kernel draws a figure at the first call
        return held.pop().sum()

    def always(x):
        return np.ones(50_000).sum()

    case = Case("", [Call({"x": np.ones(10)})], max_bytes=100_000)
    assert [r.name for r in run(f, case)] == ["limit: memory", "the result"]
    beside = iter([np.ones(50_000)])
    assert [r.name for r in outcomes(f, [case])[0]] == ["the result"]
    assert [r.name for r in outcomes(always, [case])[0]] == ["limit: memory", "the result"]


def test_a_meter_leaves_the_tracing_of_others_as_it_was():
    def trace(*_):
        return None

    before = sys.gettrace()
    case = Case("", [Call({"x": np.ones(9)})], max_lines=9, max_bytes=9999)
    try:
        sys.settrace(trace)
        tracemalloc.start()
        run(at_once, case)
        seen = sys.gettrace(), tracemalloc.is_tracing()
        tracemalloc.stop()
        run(at_once, case)
        assert (*seen, tracemalloc.is_tracing()) == (trace, True, False)
    finally:
        sys.settrace(before)
        tracemalloc.stop()


def test_random_generators_and_models_are_made_anew():
    def draw(rng, model):
        model.W -= rng.random(2)
        return model

    case = Case("", [Call({"rng": Rng(1), "model": Model({"W": np.ones(2)}, {"W": np.zeros(2)})})])
    assert close(run(draw, case)[0].value, run(draw, case)[0].value)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (np.array([1.0, 2]), np.array([1.0, 2 + 1e-7]), False),
        (np.array([1.0, 2]), np.array([1.0, 2 + 1e-12]), True),
        (np.array([np.nan]), np.array([1.0]), False),
        (np.array([1.0]), np.array([np.nan]), False),
        (np.array([np.inf]), np.array([-np.inf]), False),
        (np.array([1.0]), np.array([[1.0]]), False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ("a", "a", True),
        (None, 1.0, False),
        (1.0, None, False),
        ("1.0", 1.0, False),
        ([[1], [1, 2]], [[1], [1, 2]], True),
        ({"a": 1.0}, {"b": 1.0}, False),
        (True, 1, True),
    ],
)
def test_close(a, b, same):
    assert close(a, b) is same


# Hints and progress


def test_hints_climb_and_end_with_the_place_of_the_solution(capsys):
    for _ in range(4):
        hint(TASK)
    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("Hint", "No"))
    ]
    assert [line[:11] for line in lines] == [
        "Hint 1 of 3",
        "Hint 2 of 3",
        "Hint 3 of 3",
        "No more hin",
    ]
    assert "solutions/03_linear.ipynb" in lines[-1]
    assert progress.load(TASK)["hints"] == 3


def test_status_shows_every_task(capsys):
    with pytest.raises(CheckError):
        check("linear-forward", variant("no-bias", "linear-forward"))
    check(TASK, variant(None))
    hint(TASK, 1)
    capsys.readouterr()
    status()
    out = capsys.readouterr().out
    words = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert " wrong " in words["linear-forward"]
    assert " right " in words[TASK] and "1 hint," in words[TASK]
    assert " untouched " in words["linear-shared"]
    assert out.splitlines()[-1].startswith("3 of ")


@pytest.mark.parametrize(
    ("failures", "says", "starts"), [(2, "died", 3), (3, "died", 3), (1, "is slow", 1)]
)
def test_a_kernel_whose_port_was_taken_is_started_again(failures, says, starts):
    calls = []

    def start(name):
        calls.append(name)
        if len(calls) <= failures:
            raise RuntimeError(f"Kernel {says}")
        return "a kernel"

    if starts > failures:
        assert tried_again(start)("python") == "a kernel"
    else:
        with pytest.raises(RuntimeError, match=says):
            tried_again(start)("python")
    assert calls == ["python"] * starts


DIES_ONCE = """
from nbval import kernel
start, starts = kernel.start_new_kernel, []
def start_new_kernel(*args, **kwargs):
    starts.append(args)
    if len(starts) == 1:
        raise RuntimeError("Kernel died before replying to kernel_info")
    return start(*args, **kwargs)
kernel.start_new_kernel = start_new_kernel
"""


def test_nbval_starts_such_a_kernel_again(tmp_path, monkeypatch):
    (tmp_path / "dies_once.py").write_text(DIES_ONCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p dies_once")
    type_in(SET, tmp_path / f"{SET}.ipynb")
    assert not any(nbval(tmp_path / f"{SET}.ipynb", cwd=tmp_path).values())


def test_a_solution_that_is_run_is_nobodys_progress(monkeypatch):
    monkeypatch.chdir(REPOSITORY / "solutions")
    check(TASK, variant(None))
    hint(TASK, 1)
    assert progress.load(TASK) == {}
    monkeypatch.chdir(REPOSITORY / "exercises")
    check(TASK, variant(None))
    assert progress.load(TASK)["state"] == "right"
    monkeypatch.chdir(REPOSITORY / "solutions")  # as a terminal may be
    assert any(f"  {TASK} " in line and " right " in line for line in progress.table())


def test_a_pipe_that_has_seen_enough_ends_quietly():
    command = [sys.executable, "-m", "coursekit", "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_minutes_count_work_and_leave_out_the_night(monkeypatch):
    clock = iter([1000.0, 1120.0, 1120.0 + 8 * 3600, 1180.0 + 8 * 3600])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    for _ in range(4):
        progress.note(TASK, state="wrong")
    assert progress.load(TASK)["seconds"] == pytest.approx(180)


def test_progress_survives_a_damaged_file_and_keeps_what_it_does_not_know(own_progress):
    progress.note(TASK, state="right", medal="of a later version")
    progress.note(TASK, hints=1)
    assert progress.load(TASK)["medal"] == "of a later version"
    (own_progress / f"{TASK}.json").write_text('{"state": "ri')
    progress.note(TASK, state="wrong")
    assert progress.load(TASK)["state"] == "wrong"
    assert (own_progress / f"{TASK}.json.old1").read_text() == '{"state": "ri'


# nbval's overlay


FAKED = [{"name": "stdout", "output_type": "stream", "text": ["linear-backward: right\n"]}]
CLEVER = {
    "check in the answer cell": "import coursekit\ncoursekit.check = print\ncheck = print",
    "record in the answer cell": "import coursekit.checking.check as c\nc.record = print",
    "send in the answer cell": "import coursekit.checking.record as r\nr.send = lambda *a: None",
    "inputs hidden": "import os\ndel os.environ['COURSEKIT_INPUTS']",
    "wrong numbers sent": (
        "import coursekit.checking.record as r\nfrom coursekit.checking.cases import Result\n"
        "made_up = [Result(k, n, 0.0) for k in (0, 1, 2, 3) for n in ('y', 'dx')]\n"
        "r.outcomes = lambda answer, cases, **options: [made_up for _ in cases]"
    ),
    "numpy": "np.allclose = np.array_equal = lambda *a, **k: True",
    "skip": "# NBVAL_SKIP\n1",
    "ignore": "# NBVAL_IGNORE_OUTPUT\n1",
    "leave": "import sys\nsys.exit(0)",
    "same exit of the kernel": "get_ipython().kernel.do_shutdown(False)",
    "death of the kernel": "import os\nos._exit(0)",
    "stack searched": (
        "def backward(self, dy):\n    import gc, sys\n    frame = sys._getframe()\n"
        "    while frame:\n        for value in list(frame.f_locals.values()):\n"
        "            if hasattr(value, 'expected'): return value.expected\n"
        "        frame = frame.f_back\n"
        "    for thing in gc.get_objects():\n"
        "        if type(thing).__name__ == 'Reference': return thing.expected\n"
        "    return dy\nLinear.backward = backward"
    ),
    "cases emptied": (
        "def backward(self, dy):\n    import sys\n    frame = sys._getframe()\n"
        "    while frame:\n        asked = frame.f_locals.get('asked')\n"
        "        if asked: asked['cases'].clear()\n        frame = frame.f_back\n"
        "    return dy\nLinear.backward = backward"
    ),
}


def test_clever_cells_and_saved_outputs_do_not_turn_nbval_green(tmp_path):
    blank = "@add_to_class(Linear)\ndef backward(self, dy):\n    return dy\n"
    for number, source in enumerate(CLEVER.values()):
        type_in(SET, tmp_path / f"clever{number}.ipynb", {TASK: blank + source})
    faked = type_in(SET, tmp_path / "faked.ipynb", {TASK: blank})
    for cell in faked["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = FAKED, 1
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["source"] = "print('linear-backward: right')"
    (tmp_path / "faked.ipynb").write_text(json.dumps(faked))
    stems = [f"clever{number}" for number in range(len(CLEVER))] + ["faked"]
    # The check of that answer alone: nothing after it has to run.
    seen = nbval(*(f"{tmp_path / stem}.ipynb::Cell 4" for stem in stems), cwd=tmp_path)
    for stem in stems:
        assert seen[stem, 4] is not None, stem


OURS = solutions(SET)


def found(tmp_path, answers, name=SET, timeout=120):
    """{task: its Finding} for a notebook with these answers in it."""
    type_in(name, tmp_path / f"{name}.ipynb", answers)
    with Checked(load_set(name), tmp_path / f"{name}.ipynb", timeout) as checked:
        return {task: checked.finding(task) for task in load_set(name).tasks}


# What a notebook allows, and what concerns nobody: before, inside and after a right answer.
AT_HOME = """%matplotlib inline
get_ipython().kernel
hint("speed-add-rows")
# NBVAL_SKIP
print(1)
display(3)
import matplotlib.pyplot as plt
plt.plot([1, 2]); plt.show()
!echo not Python
"""


def test_a_right_answer_is_right_whatever_it_shows(tmp_path):
    """In nbval, too, where nothing that an answer shows is compared."""
    name, task = "18_speed", "speed-add-rows"
    ours = solutions(name)
    chatty = re.sub(
        r"^( +)(\w.*)$", r"\1\2\n\1print(1); print(2); print(3)", ours[task], count=1, flags=re.M
    )
    assert chatty.count("print") == 3
    path = tmp_path / f"{name}.ipynb"
    # From there on, all of pylab is there, and some of Python's own names mean NumPy's functions.
    chatty = f"%pylab inline\nplot(zeros(3))\n{chatty}"
    type_in(name, path, {t: AT_HOME + (chatty if t == task else ours[t]) for t in ours})
    assert not any(nbval(path, cwd=tmp_path).values())


def test_an_answer_that_reaches_further_is_the_only_one_that_is_judged_by_it(tmp_path):
    further = "\nprint(1)\nnp = None\ncheck = 1.0\nimport numpy\nnumpy.einsum = numpy.exp = print"
    path = tmp_path / f"{SET}.ipynb"
    type_in(SET, path, {"linear-forward": OURS["linear-forward"] + further})
    seen = nbval(path, cwd=tmp_path)
    [wrong] = [number for (_, number), failure in seen.items() if failure]
    assert wrong == check_cells(SET)["linear-forward"]
    assert "it gives another meaning to check, np, which the set imports" in seen[SET, wrong]


def test_the_cell_that_failed_is_told_with_its_error_and_its_line(tmp_path):
    answers = {
        "linear-forward": OURS["linear-forward"].replace("x @ self.W", "(x @ self.W"),
        TASK: "import not_there\n" + OURS[TASK],
        "linear-shared": "%not_a_magic\n" + OURS["linear-shared"],
    }
    told = {task: finding.lines for task, finding in found(tmp_path, answers).items()}
    assert told["linear-forward"] == [
        "linear-forward: not right yet",
        "  WRONG: its cell raises SyntaxError: '(' was never closed",
        "      in the line: y = (x @ self.W",
    ]
    assert told[TASK][:3] == [
        "linear-backward: not right yet",
        "  WRONG: its cell raises ModuleNotFoundError: No module named 'not_there'",
        "      in the line: import not_there",
    ]
    assert told[TASK][3].startswith("  before it, the cell of linear-forward raises SyntaxError")
    assert told["linear-shared"][1:3] == [
        "  WRONG: its cell raises UsageError: Line magic function `%not_a_magic` not found.",
        "      in the line: %not_a_magic",
    ]


FRAME = "Cell In[1], line {}{}\n{}\n"


@pytest.mark.parametrize(
    ("reply", "error", "line"),
    [
        (
            (
                "SyntaxError",
                "invalid syntax (123.py, line 2)",
                [FRAME.format(2, "", "    y = = 1")],
            ),
            "SyntaxError: invalid syntax",
            "y = 2 / 0",  # of this cell: a SyntaxError is of no other
        ),
        (
            (
                "ZeroDivisionError",
                "division by zero",
                [
                    FRAME.format(2, "", "----> 2 y = 2 / 0"),
                    FRAME.format(3, ", in f(x)", "----> 3     return x / 0"),
                    "File /lib/numpy/x.py:1, in g(x)\n----> 1 g(x)",
                ],
            ),
            "ZeroDivisionError: division by zero",
            "return x / 0",
        ),
        # As IPython shows a line in the body of a class: with the right number, and another text.
        (
            ("NameError", "name 'z' is not defined", [FRAME.format(2, ", in A()", "----> 2 more")]),
            "NameError: name 'z' is not defined",
            "y = 2 / 0",
        ),
        (("KeyboardInterrupt", "", []), "KeyboardInterrupt", ""),
    ],
)
def test_the_line_is_found_in_what_ipython_shows(reply, error, line):
    reply = dict(zip(("ename", "evalue", "traceback"), reply, strict=True))
    cells = ["def f(x):\n    y = x\n    return x / 0", "x = 1\ny = 2 / 0\nf(2)"]
    assert kernel.told(reply, cells) == (error, line)


# Trouble is not a wrong answer


def test_an_answer_that_ends_the_kernel_costs_no_other_and_is_not_called_wrong(
    readers_files, capsys
):
    answers = {"linear-forward": OURS["linear-forward"] + "\nquit()"}
    answers["linear-shared"] = OURS["linear-shared"].replace("return", "exit_now()\n    return")
    answers["linear-shared"] += "\ndef exit_now():\n    import os; os._exit(1)"
    type_in(SET, readers_files / f"{SET}.ipynb", answers)
    assert main(["check", "3"]) == 2
    ended = "not judged: the kernel ended while it ran (quit(), exit() or a crash)"
    assert capsys.readouterr().out.splitlines() == [
        f"exercises/{SET}.ipynb",
        f"  linear-forward: {ended}",
        f"  {TASK}: right, 3 points",
        f"  linear-shared: {ended}",
    ]
    states = [progress.load(task).get("state") for task in load_set(SET).tasks]
    assert states == [None, "right", None]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Kernel didn't respond in 60 seconds"),
        RuntimeError("Kernel info reqest timed out after 10 seconds!"),
        OSError(28, "No space left on device", "/tmp/kernel.json"),
    ],
)
def test_a_kernel_that_does_not_start_is_one_line_and_the_next_set_is_checked(
    error, readers_files, capsys, monkeypatch
):
    starts = []

    def start(**kwargs):
        starts.append(kwargs)
        raise error

    monkeypatch.setattr(nbval_kernel, "start_new_kernel", start)
    for name in (SET, "09_layernorm"):
        type_in(name, readers_files / f"{name}.ipynb")
    assert main(["check", "3", "9"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"exercises/{SET}.ipynb", "exercises/09_layernorm.ipynb"]
    first, second = said.err.splitlines()
    assert first.startswith(f"{SET}.ipynb: not judged: no kernel could be started (")
    assert second.startswith("09_layernorm.ipynb: not judged: ")
    assert progress.load(TASK) == {}
    assert len(starts) == 2
    with Checked(load_set(SET), readers_files / f"{SET}.ipynb", timeout=1) as checked:
        for task in load_set(SET).tasks:
            with pytest.raises(BookError):
                checked.finding(task)
    assert len(starts) == 3  # not one for each cell


def test_an_endless_loop_is_stopped_with_its_line_and_the_others_go_on(tmp_path):
    loop = f"{OURS[TASK]}\nwhile True: pass"  # inside the method, the check would end it sooner
    findings = found(tmp_path, {TASK: loop}, timeout=4)
    assert [finding.state for finding in findings.values()] == ["right", "wrong", "right"]
    assert findings[TASK].lines == [
        "linear-backward: not right yet",
        "  WRONG: it ran for longer than 4 s and was stopped",
        "      in the line: while True: pass",
    ]


def test_a_module_that_a_file_beside_the_notebook_hides_is_no_wrong_answer(tmp_path):
    (tmp_path / "numpy.py").write_text("def zeros(): pass")
    findings = found(tmp_path, {})
    assert {finding.state for finding in findings.values()} == {"not judged"}
    lines = findings[TASK].lines
    assert lines[0] == "linear-backward: not judged, as the set itself does not run here"
    assert "AttributeError: module 'numpy' has no attribute 'float32'" in lines[1]
    assert lines[-1] == "  numpy.py, beside it, takes the place of the module numpy"


def test_a_check_that_fails_itself_is_no_wrong_answer(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("the check of it cannot run; try make build")

    monkeypatch.setattr(checked_module, "Reference", broken)
    monkeypatch.setattr(checked_module, "Run", lambda *args: Recorded())
    findings = found(tmp_path, {})
    assert findings[TASK] == Finding(
        "not judged", [f"{TASK}: not judged: the check of it cannot run; try make build"]
    )


class Recorded:
    """Stands for a run in which every cell ran and every check has recorded something."""

    ended = None

    def to(self, number, checks):
        self.ran = [kernel.Ran()] * (number + 1)
        return self

    def recorded(self, task):
        return wire.dumps([])

    def close(self):
        pass


# What the reader has set


USERS = """
import warnings
from nbval import kernel

def pytest_configure(config):
    config.option.cov_source = ["numpygpt"]  # as pytest-cov does

def start_new_kernel(*args, start=kernel.start_new_kernel, **kwargs):
    warnings.warn("as Jupyter does with each new Python", DeprecationWarning)
    return start(*args, **kwargs)

kernel.start_new_kernel = start_new_kernel

def pytest_collection_modifyitems(items):
    items.reverse()  # as a plugin that shuffles
"""


def test_no_setting_of_the_readers_reaches_a_verdict(tmp_path, monkeypatch):
    spoilt = "import builtins, numpy\nbuiltins.sum = numpy.exp = None\nraise SystemExit\n"
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text(spoilt)
    (tmp_path / "startup.py").write_text(spoilt)
    (tmp_path / "users_plugin.py").write_text(USERS)
    (tmp_path / "matplotlibrc").write_text("no: such thing")
    for name, value in {
        "IPYTHONDIR": tmp_path / "ipython",
        "PYTHONSTARTUP": tmp_path / "startup.py",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)]),
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "cp1252",
        "MPLBACKEND": "no such backend",
        "MATPLOTLIBRC": tmp_path / "matplotlibrc",
        "IPYKERNEL_CELL_NAME": json.__file__,
        "COURSEKIT_NOTEBOOK": "nowhere",
        "PYTEST_ADDOPTS": "-W error -p users_plugin",
    }.items():
        monkeypatch.setenv(name, str(value))
    name = "18_speed"  # which counts lines
    type_in(name, tmp_path / f"{name}.ipynb")
    wrong = {"speed-add-rows": load_set(name).tasks["speed-add-rows"].of_kind("reject")[0].source}
    type_in(name, tmp_path / "wrong.ipynb", wrong)
    seen = nbval(tmp_path, cwd=tmp_path)
    red = {where: failure for where, failure in seen.items() if failure}
    assert list(red) == [("wrong", check_cells(name)["speed-add-rows"])], red


def test_warnings_and_floating_point_are_as_ever_while_an_answer_runs(tmp_path, monkeypatch):
    def divided(x):
        with np.errstate():  # what an answer sets holds
            return x / 0

    case = Case("", [Call({"x": np.ones(2)})])
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        [results] = outcomes(divided, [case])
        ask(tmp_path, "any", None, [case])
        monkeypatch.setenv(INPUTS, str(tmp_path))
        monkeypatch.setenv(OUTPUTS, str(tmp_path / "out"))
        (tmp_path / "out").mkdir()
        check("any", divided)
    [recorded] = wire.loads((tmp_path / "out" / "any.bin").read_bytes())
    for found in (results, recorded):
        [value] = [r.value for r in found if r.name == "the result"]
        assert value.tolist() == [np.inf, np.inf]
        assert [r.name for r in found if r.name != "the result"] == ["warning"]


# What an answer defines, and what it does besides

IMPORTED = {"np": ("numpy", None), "check": ("coursekit", "check")}


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("def f(x):\n    return x", None),
        ("class A:\n    'A doc.'\nimport numpy as np\nN = np.zeros(3)\nN[0] = 1\nA.f = N", None),
        ("'text'\nN\nif N:\n    M = 1\ntry:\n    import x\nexcept ImportError:\n    x = 0", None),
        ("def f(:", None),
        ("\0", None),
        ("quit()\nN = 1", "N = 1"),
        ("quit\nN = 1", "N = 1"),
        ("%matplotlib inline\nN = 1\n!ls", "N = 1"),
        ("%%time\ndef f(x): pass", ""),
        ("np = None\nN = 1", "N = 1"),
        ("def check(*a): pass\nN = 1", "N = 1"),
        ("import math as np\nN = 1", "N = 1"),
        ("from x import check\nN = 1", "N = 1"),
        ("sum = 3\nN = 1", "N = 1"),
        ("np.exp = np.log\nN = 1", "N = 1"),
        ("import os\nos.environ['A'] = 'b'\nN = 1", "import os\nN = 1"),
        ("del np\nfor i in N: print(i)\nwhile N: N()\nwith N: N()\nassert N\nraise N", ""),
        ("if N:\n    quit()\nN = 1", "N = 1"),
    ],
)
def test_of_an_answer_only_what_it_defines_is_left_to_the_others(source, left):
    kept = only_definitions(source, IMPORTED)
    assert kept == (source if left is None else left)
    assert reaches_others(source, IMPORTED) is (left is not None)


@pytest.mark.parametrize(
    ("source", "reaches"),
    [
        ("def f(x):\n    np.exp = x", True),
        ("def f(x):\n    global np\n    np = x", True),
        ("def f(x):\n    global N\n    N = x", False),
        ("def f(x):\n    x.exp = np", False),
    ],
)
def test_an_answer_may_reach_others_when_it_is_called(source, reaches):
    assert reaches_others(source, IMPORTED) is reaches
    assert only_definitions(source, IMPORTED) == source


def test_right_answers_to_another_set_do_not_turn_this_one_green(tmp_path):
    other = type_in("02_module", tmp_path / "other.ipynb")
    paths = [tmp_path / place / f"{SET}.ipynb" for place in ("exercises", "solutions", "ann")]
    for path in paths:
        blank = json.loads((REPOSITORY / "exercises" / path.name).read_text("utf-8"))
        cells = [] if path.parent.name == "ann" else blank["cells"]
        path.parent.mkdir()
        path.write_text(json.dumps(blank | {"cells": [*other["cells"], *cells]}))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, "--nbval", "--nbval-current-env", *paths]
        + ["--continue-on-collection-errors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | ONLY_THESE,
    )
    assert "holds none of the answer cells of this set" in done.stdout
    assert "6 failed" in done.stdout and "1 error" in done.stdout, done.stdout


def test_cells_of_the_readers_own_and_a_mended_order_do_not_matter(tmp_path):
    notebook = type_in(SET, tmp_path / "mine.ipynb")
    extra = {"cell_type": "code", "metadata": {}, "source": "1 / 0", "outputs": []}
    notebook["cells"] = [extra | {"execution_count": None, "id": "x"}, *notebook["cells"][::-1]]
    (tmp_path / "mine.ipynb").write_text(json.dumps(notebook))
    assert set(nbval(tmp_path, cwd=tmp_path).values()) == {None}


def test_an_answer_missing_or_turned_into_text_is_red_and_a_copy_of_it_is_not(tmp_path):
    for stem in ("twice", "missing", "text"):
        notebook = type_in(SET, tmp_path / f"{stem}.ipynb")
        [cell] = [
            c
            for c in notebook["cells"]
            if c["metadata"].get("nbgrader", {}).get("grade_id") == TASK
        ]
        if stem == "twice":
            notebook["cells"].append(cell | {"id": "other"})
        elif stem == "missing":
            notebook["cells"].remove(cell)
        else:
            cell["cell_type"] = "markdown"
            del cell["outputs"], cell["execution_count"]
        (tmp_path / f"{stem}.ipynb").write_text(json.dumps(notebook))
    seen = nbval(tmp_path, cwd=tmp_path)
    assert [stem for stem in ("twice", "missing", "text") if seen[stem, 4]] == ["missing", "text"]
    assert not any(seen[stem, 2] for stem in ("twice", "missing", "text"))


# The command line


@pytest.fixture
def readers_files(tmp_path, monkeypatch):
    """The reader's folder of exercises, without touching the real one."""
    monkeypatch.setattr(progress, "ROOT", tmp_path)
    monkeypatch.setattr(check_notebook, "ROOT", tmp_path)
    monkeypatch.setattr(progress.exercise_path, "__defaults__", (tmp_path,))
    return tmp_path / "exercises"


def test_coursekit_check_reports_each_task_and_counts_in_its_exit_code(readers_files, capsys):
    type_in(
        SET, readers_files / f"{SET}.ipynb", {TASK: load_set(SET).tasks[TASK].variants[0].source}
    )
    assert main(["check", "3"]) == 1
    out = capsys.readouterr().out
    assert "  linear-forward: right, 2 points" in out
    assert "  linear-backward: not right yet" in out and "dW WRONG: it is made from" in out
    type_in(SET, readers_files / f"{SET}.ipynb")
    assert main(["check", "03_linear"]) == 0
    assert progress.load(TASK)["state"] == "right"


def test_reset_keeps_the_old_notebook_beside_a_blank_one(readers_files, capsys):
    path = readers_files / f"{SET}.ipynb"
    type_in(SET, path)
    mine = path.read_bytes()
    progress.note(TASK, state="right")
    assert main(["reset", "03"]) == 0
    assert path.read_bytes() == (REPOSITORY / "exercises" / path.name).read_bytes()
    assert path.with_name(f"{path.name}.old1").read_bytes() == mine
    assert progress.load(TASK) == {}
    assert main(["reset", "03"]) == 0
    assert not path.with_name(f"{path.name}.old2").exists()


def test_a_set_that_is_blank_already_has_no_progress_after_a_reset(readers_files, capsys):
    assert main(["reset", "03"]) == 0
    progress.note(TASK, state="right")
    assert main(["reset", "03"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"exercises/{SET}.ipynb is blank already"
    assert progress.load(TASK) == {}


def test_reset_writes_a_missing_set_and_no_other(readers_files):
    type_in("09_layernorm", readers_files / "09_layernorm.ipynb")
    mine = (readers_files / "09_layernorm.ipynb").read_bytes()
    assert main(["check", "3"]) == 2
    assert main(["reset", "3"]) == 0
    blank = (REPOSITORY / "exercises" / f"{SET}.ipynb").read_bytes()
    assert (readers_files / f"{SET}.ipynb").read_bytes() == blank
    assert (readers_files / "09_layernorm.ipynb").read_bytes() == mine


def test_reset_keeps_whatever_the_old_file_holds_byte_for_byte(readers_files):
    readers_files.mkdir()
    (readers_files / f"{SET}.ipynb").write_bytes(b"\xff\xfe{ no UTF-8")
    assert main(["reset", "3"]) == 0
    assert (readers_files / f"{SET}.ipynb.old1").read_bytes() == b"\xff\xfe{ no UTF-8"


@pytest.fixture
def disk(monkeypatch):
    """A function of an errno: from then on, no file can be written."""

    def fail(number):
        def refuse(path, data):
            raise OSError(number, os.strerror(number), str(path))

        monkeypatch.setattr(Path, "write_bytes", refuse)

    return fail


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_takes_nothing_is_one_line_that_names_the_file(
    number, readers_files, capsys, disk
):
    type_in(SET, readers_files / f"{SET}.ipynb")
    mine = (readers_files / f"{SET}.ipynb").read_bytes()
    disk(number)
    assert main(["reset", "3"]) == 2
    said = capsys.readouterr().err
    assert said == f"{readers_files / SET}.ipynb.old1: {os.strerror(number)}\n"
    assert (readers_files / f"{SET}.ipynb").read_bytes() == mine
    assert os.listdir(readers_files) == [f"{SET}.ipynb"]


def test_a_verdict_does_not_need_a_disk(capsys, disk, own_progress):
    disk(errno.EROFS)
    check(TASK, variant(None))
    hint(TASK, 1)
    said = capsys.readouterr().out
    assert f"{TASK}: right\n" in said and "Hint 1 of 3: " in said
    assert said.count(f"(progress is not kept: {own_progress / TASK}.json: Read-only") == 2
    (own_progress / f"{TASK}.json").mkdir(parents=True)  # not even to be read
    check(TASK, variant(None))
    hint(TASK, 1)
    assert f"{TASK}: right\n" in capsys.readouterr().out
    assert main(["status"]) == 2
    assert capsys.readouterr().err == f"{own_progress / TASK}.json: Is a directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "77"], "there is no exercise set 77: there are "),
        (["check", "3"], "exercises/03_linear.ipynb is missing: python -m coursekit reset 03"),
        (["reset", "linear"], "there is no exercise set linear"),
    ],
)
def test_mistakes_on_the_command_line_get_one_line(readers_files, capsys, arguments, message):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message) and captured.err.count("\n") == 1


def test_without_the_book_there_is_nothing_to_check(tmp_path):
    asked = set_names, partial(find_set, "3"), partial(find_task, TASK), progress.table
    for question in asked:
        with pytest.raises(BookError, match="the exercises come with the book, not with the pack"):
            question(root=tmp_path)


def test_a_damaged_notebook_gets_one_line(readers_files, capsys):
    readers_files.mkdir()
    (readers_files / f"{SET}.ipynb").write_text("{")
    assert main(["check", "3"]) == 2
    assert capsys.readouterr().err == "03_linear.ipynb is not a notebook, or is damaged\n"


def test_add_to_class_tells_check_the_class():
    class Layer:
        pass

    @add_to_class(Layer)
    def backward(self, dy):
        return dy

    assert backward.__objclass__ is Layer


def test_an_answer_may_use_threads_while_its_lines_are_counted():
    def add_rows(x):
        found = []
        thread = threading.Thread(target=lambda: found.append(x.sum(axis=0)))
        thread.start()
        thread.join()
        return found[0]

    [results] = outcomes(add_rows, [Case("", [Call({"x": np.ones((3, 2))})], max_lines=20)])
    assert [result.name for result in results] == ["the result"]


@pytest.mark.parametrize(
    "line",
    [
        "sys.settrace(None)",
        "sys.setprofile(None)",
        "tracemalloc.stop()",
        "tracemalloc.reset_peak()",
        "tracemalloc.clear_traces()",
        "sys.gettrace().__self__.lines = 0",
        "sys._getframe().f_trace_lines = False",
        "sys._getframe(1).f_locals['meter'].lines = 0",
        "inspect.currentframe().f_trace = None",
        "next(traceback.walk_tb(caught().__traceback__))[0].f_trace = None",
        "caught().__traceback__.tb_frame.f_back.f_trace_lines = False",
        "mmap.mmap(-1, 4096)",
        "gc.get_objects()",
        "gc.get_referrers(sys)",
        "ctypes.CDLL(None)",
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        "sys.audit('coursekit.begin')",
    ],
)
def test_an_answer_that_changes_the_counters_has_no_count(line):
    modules = (sys, tracemalloc, inspect, traceback, mmap, ctypes, os, gc)
    namespace = {module.__name__: module for module in modules} | {"caught": caught}
    exec(f"def answer(x):\n    {line}\n    return x + 1", namespace)
    case = Case("", [Call({"x": np.ones(3)})], max_lines=20, max_bytes=100_000)
    [results] = outcomes(namespace["answer"], [case])
    assert "limit: the counters" in [result.name for result in results]
    [results] = outcomes(lambda x: x + 1, [case])
    assert [result.name for result in results] == ["the result"], "another answer has its count"


def test_what_other_threads_do_meanwhile_misleads_no_count():
    """A kernel's threads go on while an answer is judged, and so may one that looks on."""
    program = """
import sys, threading
import numpy as np
from coursekit.checking.cases import Call, Case
from coursekit.checking.outcomes import outcomes

OTHERS = "def others():\\n    while True: sys._current_frames()"
exec(compile(OTHERS, np.__file__, "exec"))  # not the reader's
sys.setswitchinterval(1e-6)
threading.Thread(target=others, daemon=True).start()
case = Case("", [Call({"x": np.ones(3)})], max_lines=20, max_bytes=100_000)
for _ in range(500):
    names = [result.name for result in outcomes(lambda x: x + 1, [case])[0]]
    assert names == ["the result"], names
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


def test_what_is_raised_at_any_moment_leaves_no_thread_unheard():
    """An endless answer is ended wherever it is, and a Ctrl-C comes at any time."""
    program = """
import signal, sys, time
import numpy as np
from coursekit.checking.cases import Call, Case
from coursekit.checking.outcomes import outcomes

case = Case("", [Call({"x": np.ones(3)})], max_lines=20, max_bytes=100_000)
outcomes(lambda x: x, [case])  # from now on it listens

class Now(Exception):
    pass

def now(*_):
    raise Now

signal.signal(signal.SIGALRM, now)
end, raised = time.monotonic() + 4, 0
while time.monotonic() < end:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 5e-5, 5e-2)  # again, should the first be lost
            while True:
                sys._getframe()
        except Now:
            raised += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Now:  # a second one, on a busy machine
        signal.setitimer(signal.ITIMER_REAL, 0)
assert raised > 1000, raised
names = [result.name for result in outcomes(lambda x: x + 1, [case])[0]]
assert names == ["the result"], names
sly = "def answer(x):\\n    sys.settrace(None)\\n    return x"
exec(compile(sly, "<cell 7>", "exec"))
assert "limit: the counters" in [result.name for result in outcomes(answer, [case])[0]]
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == 0, done.stderr


def caught():
    try:
        raise ValueError
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "before",
    [
        "exec(compile(LOOP, np.__file__, 'exec'))",
        "exec(compile(LOOP, '<frozen os>', 'exec'))",
        "exec(compile(LOOP, 'own', 'exec').replace(co_filename=np.__file__))",
        "import queue; exec(LOOP.replace('answer', 'loop')); q = queue.Queue()\n"
        "from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(1)\n"
        "pool.submit(int).result()\n"
        "answer = lambda x: pool.submit(loop, x).result()",
        "import _thread, time; exec(LOOP.replace('answer', 'loop'))\n"
        "def answer(x):\n    _thread.start_new_thread(loop, (x,)); time.sleep(0.1); return x + 99",
    ],
)
def test_an_answer_that_hides_whose_it_is_has_no_count(before):
    """In a process of its own: what was done there is remembered."""
    program = f"""
import gc, sys
import numpy as np
from coursekit.checking.cases import Call, Case
from coursekit.checking.meter import guard
from coursekit.checking.running import run
from coursekit.checking.whose import reader_wrote

guard(reader_wrote, others=False)
LOOP = "def answer(x):\\n    for _ in range(99):\\n        x = x + 1\\n    return x"
{before}
print([r.name for r in run(answer, Case("", [Call({{"x": 1}})], max_lines=40))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert "limit: the counters" in done.stdout, done.stderr


def test_what_a_reader_did_before_harms_no_count_and_never_the_reference():
    """In a process of its own: what was done there is remembered."""
    program = """
import gc
import numpy as np
from coursekit.checking.cases import Call, Case
from coursekit.checking.judge import Reference
from coursekit.checking.meter import guard
from coursekit.checking.running import run
from coursekit.checking.tasks import load_set
from coursekit.checking.whose import reader_wrote

guard(reader_wrote)
case = Case("", [Call({"x": 1})], max_lines=40)
gc.get_objects()
(lambda: 0).__code__.replace(co_name="x")
print([r.name for r in run(lambda x: x, case)])
exec(compile("y = 1", np.__file__, "exec"))
print([r.name for r in run(lambda x: x, case)])
exercises = load_set("18_speed")
cases = list(exercises.tasks["speed-gelu"].cases(np.random.default_rng(0)))
Reference(exercises, "speed-gelu", cases)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    counted = "['the result']\n['limit: the counters', 'the result']\n"
    assert (done.stdout, done.returncode) == (counted, 0), done.stderr


def test_the_guard_of_the_counters_says_nothing_where_an_event_has_no_frame():
    """As when Python itself reports an error that nobody caught."""
    program = (
        "from coursekit.checking.meter import guard\nguard(lambda name: True)\nraise SystemError(7)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 1 and done.stderr.endswith("SystemError: 7\n")
    assert "audit hook" not in done.stderr


def test_names_are_found_however_a_function_uses_them():
    namespace = {"np": np}
    exec(
        compile(
            "add_at = np.add.at\n"
            "def directly(a): np.add.at(a, 0, 1)\n"
            "def by_alias(a): add_at(a, 0, 1)\n"
            "def by_string(a): getattr(np.add, 'at')(a, 0, 1)\n"
            "def by_helper(a): directly(a)\n"
            "def inside(a): return [np.add.at for _ in a]\n"
            "def by_default(a, add=np.add.at): add(a, 0, 1)\n"
            "def by_name(a, *, add=np.add.at): add(a, 0, 1)\n"
            "def made(add): return lambda a: add(a, 0, 1)\n"
            "by_closure = made(np.add.at)\n"
            "part = __import__('functools').partial(np.add.at)\n"
            "def by_partial(a): part(a, 0, 1)\n"
            "class Adder:\n    def add(self, a): np.add.at(a, 0, 1)\n"
            "def by_class(a): Adder().add(a)\n"
            "def by_nobody(a): return by_nobody(a) if len(a) else np.add(a, 1)\n",
            "<cell>",
            "exec",
        ),
        namespace,
    )
    found = "directly by_alias by_string by_helper inside by_default by_name by_closure".split()
    for name in (*found, "by_partial", "by_class"):
        assert "at" in names_used(namespace[name]), name
    assert "at" not in names_used(namespace["by_nobody"])


def test_what_a_first_try_keeps_is_not_free_in_the_graders_only_one(monkeypatch):
    kept = []

    def gelu(x):
        if not kept:
            kept.append([np.empty_like(x) for _ in range(4)])
        return x + 1

    case = Case("", [Call({"x": np.ones(10_000)})], max_bytes=200_000)
    [results] = outcomes(gelu, [case], tries=1)
    assert "limit: memory" in [result.name for result in results]

    asked = []
    monkeypatch.setattr(
        "coursekit.checking.record.outcomes", lambda *_, tries, **__: asked.append(tries) or []
    )
    monkeypatch.setattr("coursekit.checking.record.send", lambda *_: None)
    monkeypatch.setattr(
        "coursekit.checking.record.Path.read_bytes",
        lambda _: wire.dumps({"chapter": 3, "cases": []}),
    )
    monkeypatch.setenv(INPUTS, "in")
    for place in ("fd:7", "out"):
        monkeypatch.setenv(OUTPUTS, place)
        record("linear-forward", gelu)
    assert asked == [1, 3]


def test_what_stopped_an_answer_is_told_first_and_by_the_mistake_that_explains_it():
    case = Case("a case", [])
    error = {"kind": "TypeError", "message": "no such thing", "line": "x + None"}
    gave = {"y": 1.0, "dx": 2.0, "error": error}
    rows = {name: [types.SimpleNamespace(case=case, got=got)] for name, got in gave.items()}
    table = types.SimpleNamespace(rows=rows, wrong_rows=lambda name: rows[name])
    one, other = (
        types.SimpleNamespace(message=text, explains={name: rows[name] for name in names})
        for text, names in (("forgets the bias", ("dx", "error")), ("is another fault", ("y",)))
    )
    for names in (["y", "dx", "error"], ["error", "y", "dx"], ["dx", "error", "y"]):
        first, second = problems_of(table, names, [one, other])
        assert (first.name, first.text) == ("error", "forgets the bias")
        assert "no such thing, at `x + None`" in first.detail
        assert (second.name, second.text) == ("y", "is another fault")
