"""The contract that every answer is held to: for each clause, answers that keep all the others.

Small layers and functions stand in for the answers of readers. `verdict_on_answer` runs one beside
a right one, as a check does, on cases like those of book/checks.
"""

import _thread
import inspect
import linecache
import os
import re
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from answers import TASKS

from coursekit.checking import cases as case_module
from coursekit.checking import ending
from coursekit.checking.cases import Call, Case, Rng, dname, layer, result_names
from coursekit.checking.comparing import Row
from coursekit.checking.contract import CLAUSES, with_contract
from coursekit.checking.explaining import other_parameters
from coursekit.checking.judge import Reference, judge
from coursekit.checking.outcomes import outcomes
from coursekit.checking.running import run, run_all
from coursekit.checking.tasks import load_set
from coursekit.checking.trials import caches_of, sharing
from numpygpt.nn import Module


class Scale:
    """y = x s; keeps x for its backward pass."""

    def __init__(self, n):
        self.s, self.ds = np.ones(n), np.zeros(n)

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, dy):
        self.ds += (dy * self.x).sum(axis=0)
        return dy * self.s


def scale_cases(rng):
    for N, n in [(4, 3), (5, 2), (2, 6)]:
        x, dy = rng.normal(size=(2, 2, N, n))
        params = {"s": rng.normal(1, 0.5, n)}
        yield layer(f"{N} rows", {"n": n}, params, [{"x": a} for a in x], [{"dy": a} for a in dy])


class OwnTask:
    """A set of one task, as a Reference wants it."""

    def __init__(self, answer, without=()):
        self.answer, self.without = answer, dict.fromkeys(without, "for a test")
        self.tasks = {"task": self}

    def variant_answer(self, task, name=None):
        return self.answer

    def of_kind(self, kind):
        return []

    def own_answer(self, task):
        return ""  # of which there are no mutants

    def defined(self, task):
        return set()


def verdict_on_answer(answer, right, cases, without=(), caches=()):
    """The verdict on an answer, held to the contract beside a right one."""
    rng = np.random.default_rng(0)
    whole = with_contract(list(cases(rng)), list(cases(rng)), right, caches, without)
    return judge(Reference(OwnTask(right, without), "task", whole), outcomes(answer, whole))


def scaled(**changes):
    """A layer like Scale, with other methods."""
    return type("Scale", (Scale,), changes)


# One answer for each way of breaking a clause; all give the right numbers in the task's own cases.


def keeps_its_cache_in_the_class(self, x):
    type(self).x = x
    return x * self.s


CACHE = {}


def keeps_its_cache_outside(self, x):
    CACHE["x"] = x
    return x * self.s


def takes_its_cache_from_outside(self, dy):
    self.ds += (dy * CACHE["x"]).sum(axis=0)
    return dy * self.s


def keeps_its_size_in_the_class(self, n):
    self.s, self.ds = np.ones(n), np.zeros(n)
    type(self).n = n


def takes_its_size_from_the_class(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    return (dy * self.s)[:, : self.n]


def spends_its_cache(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    del self.x
    return dy * self.s


def spoils_its_cache(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    self.x = self.x * 2
    return dy * self.s


def keeps_the_first_number_of_rows(self, dy):
    self.rows = getattr(self, "rows", len(dy))
    self.ds += (dy * self.x).sum(axis=0) * (len(dy) / self.rows)
    return dy * self.s


def hands_out_one_buffer(self, x):
    self.x = x
    if not hasattr(self, "y") or self.y.shape != x.shape:
        self.y = np.empty(x.shape)
    self.y[...] = x * self.s
    return self.y


def writes_into_what_it_was_given_before(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    self.x[...] = dy * self.s
    return self.x.copy()


def keeps_x_twice(self, x):
    self.given, self.x = x, x.copy()
    return x * self.s


def clears_what_it_was_given(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    self.given[...] = 0
    return dy * self.s


def keeps_what_looks_like_a_gradient(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    self.dx = dy * self.s
    return self.dx.copy()


def forgets_its_answer_at_the_next_forward(self, x):
    self.x, self.answer = x, None
    return x * self.s


def answers_from_memory(self, dy):
    """Right for one dy, as often as it is asked."""
    self.ds += (dy * self.x).sum(axis=0)
    if self.answer is None:
        self.answer = dy * self.s
    return self.answer.copy()


def keeps_a_copy_of_its_weights(self, x):
    self.x, self.kept = x, getattr(self, "kept", self.s.copy())
    return x * self.kept


def passes_no_zeros(self, dy):
    if dy.any():
        self.ds += (dy * self.x).sum(axis=0)
        return dy * self.s
    return np.ones_like(dy)


def divides_by_its_weights(self, dy):
    self.ds += (dy * self.x).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return dy * self.s**2 / self.s


def divides_by_its_input(self, dy):
    with np.errstate(invalid="ignore"):
        self.ds += (dy * self.x**2 / self.x).sum(axis=0)
    return dy * self.s


def gives_an_input_seen_before_its_old_answer(self, x):
    if not np.array_equal(x, self.__dict__.get("seen")):
        self.seen, self.given = x.copy(), x * self.s
    self.x = x
    return self.given.copy()


def copies_an_array_once(self, x):
    if x is not self.__dict__.get("seen"):
        self.seen, self.x = x, x.copy()
    return x * self.s


def gives_a_gradient_seen_before_its_old_part(self, dy):
    if not np.array_equal(dy, self.__dict__.get("seen")):
        self.seen, self.part = dy.copy(), (dy * self.x).sum(axis=0)
    self.ds += self.part
    return dy * self.s


def counts_rows_in_a_byte(self, dy):
    self.ds += (dy * self.x)[: np.uint8(min(len(dy), 255))].sum(axis=0)
    return dy * self.s


def warns(self, x):
    self.x = x
    np.log(np.zeros(1))
    return x * self.s


BROKEN = [
    ("two objects", {"forward": keeps_its_cache_in_the_class}),
    ("two objects", {"forward": keeps_its_cache_outside, "backward": takes_its_cache_from_outside}),
    (
        "two objects",
        {"__init__": keeps_its_size_in_the_class, "backward": takes_its_size_from_the_class},
    ),
    ("backward twice", {"backward": spends_its_cache}),
    ("backward twice", {"backward": spoils_its_cache}),
    (
        "backward twice",
        {"forward": forgets_its_answer_at_the_next_forward, "backward": answers_from_memory},
    ),
    ("new weights", {"forward": keeps_a_copy_of_its_weights}),
    ("new weights", {"forward": gives_an_input_seen_before_its_old_answer}),
    ("same arrays", {"forward": copies_an_array_once}),
    ("same arrays", {"backward": gives_a_gradient_seen_before_its_old_part}),
    ("zeros", {"backward": passes_no_zeros}),
    ("zeros", {"backward": divides_by_its_weights}),
    ("zeros", {"backward": divides_by_its_input}),
    ("other sizes", {"backward": keeps_the_first_number_of_rows}),
    ("long inputs", {"backward": counts_rows_in_a_byte}),
    ("earlier arrays", {"forward": hands_out_one_buffer}),
    ("earlier arrays", {"forward": keeps_x_twice, "backward": clears_what_it_was_given}),
    ("parameters", {"backward": keeps_what_looks_like_a_gradient}),
    ("warnings", {"forward": warns}),
]


@pytest.mark.parametrize(("clause", "changes"), BROKEN)
def test_a_layer_that_breaks_a_clause_is_rejected_for_that(clause, changes):
    verdict = verdict_on_answer(scaled(**changes), Scale, scale_cases)
    assert not verdict.is_right
    if CLAUSES[clause]:
        assert any(CLAUSES[clause] in problem.text for problem in verdict.problems)
    # Nothing else is wrong with it: without its clause it would have passed.
    assert verdict_on_answer(scaled(**changes), Scale, scale_cases, without=[clause]).is_right


class Gate:
    """Lets through what is positive; keeps where that is."""

    def forward(self, x):
        self.keep = x > 0
        return x * self.keep

    def backward(self, dy):
        return dy * self.keep


def test_two_objects_are_tried_where_they_keep_different_things():
    """Those of the first, the last and the middle case keep the same: nothing would show there."""

    def cases(rng):
        for number in range(7):
            x, dy = rng.normal(size=(2, 2, 4))
            x = x if number in (2, 5) else abs(x)
            yield layer(f"case {number}", {}, {}, [{"x": a} for a in x], [{"dy": a} for a in dy])

    def forward(self, x):
        Gate.keep = x > 0
        return x * Gate.keep

    shared = type("Gate", (Gate,), {"forward": forward})
    assert verdict_on_answer(Gate, Gate, cases).is_right
    verdict = verdict_on_answer(shared, Gate, cases)
    assert CLAUSES["two objects"] in [problem.text for problem in verdict.problems]


def test_a_layer_that_keeps_every_clause_is_right():
    assert verdict_on_answer(Scale, Scale, scale_cases, caches=["x"]).is_right


def test_what_our_forward_has_kept_stays_for_others_to_see():
    answer = scaled(backward=writes_into_what_it_was_given_before)
    assert caches_of(Scale, next(scale_cases(np.random.default_rng(0)))) == ["x"]
    others = [clause for clause in CLAUSES if clause != "caches"]
    verdict = verdict_on_answer(answer, Scale, scale_cases, without=others, caches=["x"])
    assert CLAUSES["caches"] in [problem.text for problem in verdict.problems]
    assert verdict_on_answer(answer, Scale, scale_cases, without=CLAUSES, caches=["x"]).is_right


def test_a_reader_whose_forward_keeps_it_under_another_name_has_changed_nothing():
    def forward(self, x):
        self.inputs = x
        return x * self.s

    def backward(self, dy):
        self.ds += (dy * self.inputs).sum(axis=0)
        return dy * self.s

    answer = scaled(forward=forward, backward=backward)
    assert verdict_on_answer(answer, Scale, scale_cases, caches=["x"]).is_right


def test_parameters_are_named_that_a_layer_has_too_many():
    answer = scaled(backward=keeps_what_looks_like_a_gradient)
    [problem] = verdict_on_answer(answer, Scale, scale_cases).problems
    assert "Module takes x for one, since dx stands beside it" in problem.text


def test_parameters_in_another_order_are_not_called_lost():
    row = Row(Case("a case", []), "parameters", 0, ["W", "b"], ["b", "W"])
    assert "another order" in other_parameters("parameters", row).text


def test_a_class_that_is_a_module_stays_one():
    module = type("Scale", (Scale, Module), {})
    [problem] = verdict_on_answer(Scale, module, scale_cases).problems
    assert problem.text.startswith("is no base class of yours")
    assert verdict_on_answer(Scale, module, scale_cases, without=["parameters"]).is_right
    assert verdict_on_answer(module, Scale, scale_cases).is_right


class Stack:
    """Two layers, one after the other, in a list."""

    def __init__(self, n):
        self.parts = [Scale(n), Scale(n)]

    def forward(self, x):
        for part in self.parts:
            x = part.forward(x)
        return x

    def backward(self, dy):
        for part in reversed(self.parts):
            dy = part.backward(dy)
        return dy


def stack_cases(rng):
    for case in scale_cases(rng):
        weights = {f"parts.{i}.s": rng.normal(1, 0.5, case.new["n"]) for i in range(2)}
        inputs, dy = ([call.args for call in case.calls[start::2]] for start in (0, 1))
        yield layer(case.title, case.new, weights, inputs, dy)


def turns_its_list_around(self, dy):
    self.parts.reverse()
    for part in self.parts:
        dy = part.backward(dy)
    return dy


def empties_its_list(self, dy):
    while self.parts:
        dy = self.parts.pop().backward(dy)
    return dy


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        (turns_its_list_around, "is now what had another name before the call"),
        (empties_its_list, "leaves parts shorter than it was"),
    ],
)
def test_a_list_of_layers_that_backward_changes_is_named(backward, said):
    answer = type("Stack", (Stack,), {"backward": backward})
    verdict = verdict_on_answer(answer, Stack, stack_cases)
    assert verdict.problems[0].text.startswith(said)


def test_a_layer_that_stands_in_a_list_too_is_no_parameter_more():
    def backward(self, dy):
        self.way_back = self.parts[::-1]
        for part in self.way_back:
            dy = part.backward(dy)
        return dy

    def keeps_one_more(self, dy):
        self.spare = [Scale(2)]
        return Stack.backward(self, dy)

    answer = type("Stack", (Stack,), {"backward": backward})
    assert verdict_on_answer(answer, Stack, stack_cases).is_right
    answer = type("Stack", (Stack,), {"backward": keeps_one_more})
    [problem] = verdict_on_answer(answer, Stack, stack_cases).problems
    assert "Module takes spare.0.s for one" in problem.text


def test_a_warning_is_told_with_its_line():
    source = "def f(x):\n    y = x * 0\n    return x + 0 * np.exp(1000 + y)\n"
    answer = typed(source, "f")
    verdict = verdict_on_answer(answer, lambda x: x * np.nan, function_cases)
    [problem] = [problem for problem in verdict.problems if problem.name == "warning"]
    assert problem.text == "warns of overflow encountered in exp"
    assert problem.detail.startswith("at your line `return x + 0 * np.exp(1000 + y)`, ")


@pytest.mark.parametrize(("where", "counts"), [("matmul", False), ("exp", True)])
def test_what_blas_makes_numpy_warn_of_in_a_product_is_no_fault(where, counts):
    source = (
        "import warnings\ndef f(x):\n"
        f"    warnings.warn('invalid value encountered in {where}', RuntimeWarning)\n"
        "    return 2 * x\n"
    )
    verdict = verdict_on_answer(typed(source, "f"), double, function_cases)
    assert [problem.name for problem in verdict.problems] == ["warning"] * counts


def typed(source, name, filename="<cell 7>"):
    """A function as a reader's cell defines it, with its lines where tracebacks look for them."""
    namespace = {"np": np}
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


# Functions


def function_cases(rng):
    for n in (3, 5):
        yield Case(f"{n} numbers", [Call({"x": rng.normal(size=n)}, returns="y")])


def double(x):
    return x * 2


def weighted(x, w):
    return x * w


def test_a_function_may_take_no_size_for_granted():
    def cases(rng):
        for shape in [(2, 3), (2, 4, 3), (5,)]:
            yield Case(f"shape {shape}", [Call({"x": rng.normal(size=shape)}, returns="y")])

    def short(x, axis, most):
        return double(x) * (x.shape[axis] <= most if x.ndim >= -axis else 1)

    assert verdict_on_answer(double, double, cases).is_right
    for axis, most in ((0, 50), (-2, 299)):
        answer = partial(short, axis=axis, most=most)
        [problem] = verdict_on_answer(answer, double, cases).problems
        assert problem.text == CLAUSES["long inputs"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_function_may_not_remember_some_of_its_arguments(number):
    def weighted_cases(rng):
        for n in (3, 5):
            args = {"x": rng.normal(size=n), "w": rng.normal(size=n)}
            yield Case(f"{n} numbers", [Call(args, returns="y")])

    known = {}

    def remembers(*args):
        return known.setdefault(args[number].tobytes(), weighted(*args)).copy()

    assert verdict_on_answer(weighted, weighted, weighted_cases).is_right
    [problem] = verdict_on_answer(remembers, weighted, weighted_cases).problems
    assert problem.text == CLAUSES["calls in a row"]


@pytest.mark.parametrize("together", [("a", "twice"), ()])
def test_what_is_made_of_another_argument_may_be_made_again(together):
    def cases(rng):
        for n in (3, 5):
            a, w = rng.normal(size=(2, n))
            args = {"a": a, "w": w, "twice": 2 * a}
            yield Case(f"{n} numbers", [Call(args, returns="y")], together=together)

    known = {}

    def takes_it(a, w, twice):
        return w * twice

    def makes_it_again(a, w, twice):
        return w * (2 * a)

    def remembers(a, w, twice):
        return known.setdefault(a.tobytes(), w * twice).copy()

    assert verdict_on_answer(makes_it_again, takes_it, cases).is_right is bool(together)
    assert not verdict_on_answer(remembers, takes_it, cases).is_right


def test_a_function_may_keep_nothing_from_call_to_call():
    known = {}

    def remembers(x):
        return known.setdefault(x.shape, x * 2)

    verdict = verdict_on_answer(remembers, double, function_cases)
    assert [problem.text for problem in verdict.problems] == [CLAUSES["calls in a row"]]
    others = ["calls in a row", "zeros"]
    known.clear()
    assert verdict_on_answer(remembers, double, function_cases, without=others).is_right


def test_a_function_gives_away_a_new_array_each_time():
    room = {}

    def reuses(x):
        y = room.setdefault(x.shape, np.empty(x.shape))
        y[...] = x * 2
        return y

    verdict = verdict_on_answer(reuses, double, function_cases)
    assert [problem.text for problem in verdict.problems] == [CLAUSES["earlier arrays"]]
    assert verdict_on_answer(reuses, double, function_cases, without=["earlier arrays"]).is_right


def reused_cases(rng):
    """Of a function, or of an object that adds up what it is given."""
    yield Case("3 numbers", [Call({"x": rng.normal(size=3)}, returns="y")])
    calls = [Call({"x": rng.normal(size=3)}, returns="y") for _ in range(3)]
    yield Case("3 numbers that the caller writes over", calls, reused=True)


def held_cases(rng):
    for case in reused_cases(rng):
        calls = [replace(call, method="add") for call in case.calls]
        yield replace(case, calls=calls, new={}, reads=("total",))


class Sum:
    """Holds what it is given, and returns the sum of it."""

    def __init__(self):
        self.held, self.total = [], np.zeros(3)

    def add(self, x):
        self.held.append(x.copy())
        self.total = np.sum(self.held, axis=0)
        return self.total.copy()


def holds_what_is_the_callers(self, x):
    self.held.append(x)
    self.total = np.sum(self.held, axis=0)
    return self.total.copy()


def gives_away_its_own(self, x):
    self.total = self.total + x if self.total.shape == x.shape else x.copy()
    return self.total


@pytest.mark.parametrize(
    ("right", "other", "cases"),
    [
        (lambda x: abs(x), lambda x: x if (x > 0).all() else abs(x), reused_cases),
        (Sum, type("Sum", (Sum,), {"add": holds_what_is_the_callers}), held_cases),
        (Sum, type("Sum", (Sum,), {"add": gives_away_its_own}), held_cases),
    ],
)
def test_what_the_caller_writes_over_is_no_part_of_an_answer(right, other, cases):
    def positive(rng):
        return cases(SimpleNamespace(normal=lambda size: abs(rng.normal(size=size))))

    assert verdict_on_answer(right, right, positive).is_right
    verdict = verdict_on_answer(other, right, positive)
    assert {problem.text for problem in verdict.problems} == {CLAUSES["own arrays"]}
    assert verdict_on_answer(other, right, positive, without=["own arrays"]).is_right


@pytest.mark.parametrize(
    ("right", "other", "said"),
    [
        (lambda x: x * 2, lambda x: (x * 2).tolist(), "is a list; an array is asked for"),
        (lambda x: x > 0, lambda x: (x > 0) * 1, "holds integers; booleans are asked for"),
        (lambda x: x * 0, lambda x: x > 0, "holds booleans; floats are asked for"),
        (lambda x: len(x), lambda x: float(len(x)), "is one of the floats; one of the integers is"),
        (lambda x: [len(x)] * 2, lambda x: [1.0 * len(x)] * 2, "is one of the floats"),
    ],
)
def test_numbers_are_of_the_kind_that_is_asked_for(right, other, said):
    def cases(rng):
        for n in (3, 4):
            yield Case("negative numbers", [Call({"x": -1 - rng.random(n)}, returns="y")])

    verdict = verdict_on_answer(other, right, cases)
    assert verdict.problems[0].text.startswith(said)
    assert verdict_on_answer(right, right, cases).is_right
    assert verdict_on_answer(other, right, cases, without=["dtype"]).is_right


@pytest.mark.parametrize(
    ("right", "other", "said", "clause"),
    [
        (lambda n: [n], lambda n: (n,), "is a tuple; a list is asked for", "lists"),
        (lambda n: [n], lambda n: np.array([n]), "is an array; a list is asked for", "lists"),
        (lambda n: (n,), lambda n: [n], "is a list; a tuple is asked for", "tuples"),
        (lambda n: [(n,)], lambda n: [[n]], "holds lists; tuples are asked for", "tuples"),
        (lambda n: {"a": [n]}, lambda n: {"a": (n,)}, "holds tuples; lists are asked for", "lists"),
    ],
)
def test_a_tuple_is_no_list_where_the_text_asks_for_one(right, other, said, clause):
    def cases(rng):
        yield from (Case(f"{n}", [Call({"n": n}, returns="y")]) for n in (3, 4))

    [problem] = verdict_on_answer(other, right, cases).problems
    assert problem.text == said
    assert verdict_on_answer(right, right, cases).is_right
    assert verdict_on_answer(other, right, cases, without=[clause]).is_right


def test_lists_count_where_the_text_of_a_task_has_the_word():
    tasks = {
        task.id: task for name in ("14_bpe", "15_data") for task in load_set(name).tasks.values()
    }
    assert "lists" not in tasks["bpe-merge"].without and "tuples" in tasks["bpe-merge"].without
    assert {"lists", "tuples"} <= set(tasks["data-starts"].without)


def test_a_function_may_not_remember_the_array_that_it_was_given():
    known = {}

    def remembers(x):
        if known.get("x") is not x:
            known.update(x=x, y=x * 2)
        return known["y"].copy()

    verdict = verdict_on_answer(remembers, double, function_cases)
    assert [problem.text for problem in verdict.problems] == [CLAUSES["calls in a row"]]


def test_what_the_caller_writes_into_its_own_array_is_no_change_of_the_answers():
    """Here y is x itself, which is right: it changes with the numbers that come next."""

    def same(x):
        return x

    assert verdict_on_answer(same, same, function_cases, without=["earlier arrays"]).is_right
    calls = [Call({"x": np.ones(2)}, returns="y")]
    calls.append(replace(calls[0], args={"x": np.zeros(2)}, same=("x",)))
    names = [result.name for result in run(same, Case("twice", calls))]
    assert names == ["y", "y"]


@pytest.mark.parametrize("shape", [(3, 3, 2), (1, 4), (5,)])
def test_what_has_two_axes_of_one_length_or_one_row_is_not_made_long(shape):
    """They may have to be equal; a single axis is repeated only where there is nothing else."""

    def cases(rng):
        yield Case("square", [Call({"x": rng.normal(size=shape)}, returns="y")])

    given, again = (list(cases(np.random.default_rng(seed))) for seed in (1, 2))
    tried = with_contract(given, again, double)
    assert [case.clause for case in tried].count("long inputs") == (len(shape) == 1)


def test_a_dtype_that_the_text_names_is_kept():
    def narrow(x):
        return (x * 2).astype(np.float32)

    def cases(rng):
        yield from (replace(case, float32=True) for case in function_cases(rng))

    def exact(rng):
        yield from (replace(case, dtypes=True) for case in cases(rng))

    def wide(x):
        return x.astype(np.float64) * 2

    assert verdict_on_answer(wide, narrow, cases).is_right
    [problem] = verdict_on_answer(wide, narrow, exact).problems
    assert problem.text == "is float64; it should be float32"


# Generators


def drawing(answer, right, **options):
    def cases(rng):
        for seed in rng.integers(1 << 30, size=3):
            call = Call({"rng": Rng(int(seed))}, returns="how many")
            yield Case("three numbers", [call], **options)

    return verdict_on_answer(answer, right, cases)


def one_call(rng):
    return len(rng.random(3))


def three_calls(rng):
    return len([rng.random() for _ in range(3)]) + 0 * rng.integers(5)


def own_generator(rng):
    return len(np.random.default_rng(1).random(3))


def everybodys_generator(rng):
    rng.random(3)
    return len(np.random.rand(3))  # noqa: NPY002  (that is the mistake)


def test_the_generator_that_is_passed_is_used():
    assert drawing(three_calls, one_call).is_right
    [problem] = drawing(own_generator, one_call).problems
    assert problem.text.startswith("is not used")
    [problem] = drawing(everybodys_generator, one_call).problems
    assert "from np.random or random" in problem.text


def test_where_the_text_fixes_the_draws_the_generator_is_left_as_ours_leaves_it():
    [problem] = drawing(three_calls, one_call, order_of_draws=True).problems
    assert problem.text.startswith("is left in another state")
    assert drawing(one_call, one_call, order_of_draws=True).is_right


# All tasks


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_task_is_held_to_every_clause_that_concerns_it(name, task):
    about = load_set(name).tasks[task]
    cases = about.cases(np.random.default_rng(2))
    own = [case for case in cases if not case.clause]
    tried = {case.clause for case in cases} - {""}
    if own[0].new is not None:
        assert "two objects" in tried or "two objects" in about.without
    elif any(case.calls[0].args for case in own):
        assert "calls in a row" in tried or "calls in a row" in about.without
    if any(call.method == "backward" for case in own for call in case.calls):
        assert {"backward twice", "other sizes", "zeros"} <= tried | set(about.without)
        if any(dname(name) in case.params for case in own for name in case.params):
            assert "new weights" in tried | set(about.without)
    if [call.method for call in own[0].calls[:3:2]] == ["forward"] * 2:
        assert "same arrays" in tried | set(about.without)
    assert len(cases) - len(own) <= 21  # a reader waits for them


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_objects_that_share_what_they_keep_are_found_out_in_every_draw(name, task):
    """By chance two of them keep the same: two masks of five entries, or all of p = 0."""
    exercises = load_set(name)
    answer = exercises.variant_answer(task)
    for seed in range(12):
        cases = exercises.tasks[task].cases(np.random.default_rng([seed, 9]))
        if cases[0].new is None or "two objects" in exercises.tasks[task].without:
            return
        kept = caches_of(answer, cases[0])
        trial = [case for case in cases if case.clause == "two objects"]
        if not any(call.method == "backward" for case in cases for call in case.calls):
            return  # nothing reads what it keeps
        shared = sharing(answer, kept)
        assert not kept or not all(is_right(exercises, task, case, shared) for case in trial), seed


def is_right(exercises, task, case, answer):
    reference = Reference(exercises, task, [case])
    reference.suspects = lambda table, wrong: []  # nobody asks why it is wrong
    return judge(reference, outcomes(answer, [case])).is_right


@pytest.mark.parametrize(
    ("name", "task", "kept"),
    [
        ("03_linear", "linear-backward", {"x"}),
        ("09_layernorm", "layernorm-backward", {"r", "xhat"}),
        ("10_attention", "attention-backward", {"q", "k", "v", "p"}),
        ("09_layernorm", "rmsnorm", set()),  # its forward is the reader's
    ],
)
def test_caches_are_those_of_a_forward_pass_of_ours(name, task, kept):
    cases = load_set(name).tasks[task].cases(np.random.default_rng(4))
    assert all(set(case.caches) == kept for case in cases)


def test_the_trouble_that_run_can_report_is_listed_in_full():
    """Whatever is written in `run` as a name is among those of a case that has everything."""
    call = Call({"x": np.ones(2)}, "backward", ("y", "dx"), kwargs={"rng": Rng(0)})
    case = Case("", [call], {}, {"W": np.ones(2)}, ("dW",), caches=("p",))
    listed = result_names(replace(case, beside=(case,)))
    written = inspect.getsource(case_module)
    for literal in re.findall(r'Result\(\w+, f?"([^"]+)"', written):
        kind = literal.split("{")[0]
        assert any(name == kind or "{" in literal and name.startswith(kind) for name in listed), (
            kind
        )
    assert {"y", "dx", "y and dx", "dW", "limit: memory", "limit: lines that run"} <= listed


# An answer that does not come to an end

ENDLESS = {
    "while i < 3:": "def f(x):\n    i = 0\n    while i < 3:\n        x = x + 1\n    return x\n",
    "while len(x):": (
        "def g(x):\n    i = 0\n    while i < 50:\n        i += 1\n    return x\n"
        "def f(x):\n    while len(x):\n        x = g(x)\n"
    ),
    "while True:": (
        "def f(x):\n    while True:\n        try:\n            x = x + 1\n"
        "        except:\n            pass\n"
    ),
    "for n in iter(int, 1):": "def f(x):\n    for n in iter(int, 1):\n        x = x + 1\n",
}


@pytest.fixture
def short_limit(monkeypatch):
    monkeypatch.setattr(ending, "SECONDS", 0.3)


@pytest.mark.parametrize("line", ENDLESS)
def test_an_answer_that_does_not_end_is_told_the_line_of_its_loop(line, short_limit):
    answer = typed(ENDLESS[line], "f")
    [problem] = verdict_on_answer(answer, double, function_cases).problems
    assert problem.text == f"does not come to an end, at your line `{line}`"
    assert problem.detail.startswith("in the case: 3 numbers: it may be endless, or slow")


def test_of_a_layer_that_does_not_end_nothing_else_is_said(short_limit):
    def never(self, dy):
        while True:
            pass

    [problem] = verdict_on_answer(scaled(backward=never), Scale, scale_cases).problems
    assert problem.text.startswith("does not come to an end")


def test_an_answer_that_reports_nothing_is_not_right():
    cases = list(scale_cases(np.random.default_rng(0)))
    verdict = judge(Reference(OwnTask(Scale), "task", cases), [[]] * len(cases))
    assert not verdict.is_right


def test_it_is_not_run_in_the_cases_that_follow(short_limit):
    tries = []

    def f(x):
        tries.append(x)
        while True:
            pass

    results = run_all(f, list(function_cases(np.random.default_rng(0))) * 5, 3)
    assert len(tries) == 1 and results[1:] == [[]] * 9


def test_a_loop_is_named_though_its_frame_is_between_two_lines():
    source = "def f():\n    while True:\n        pass\n"
    linecache.cache["<between>"] = len(source), None, source.splitlines(True), "<between>"
    code = SimpleNamespace(co_filename="<between>", co_firstlineno=1)
    frames = [SimpleNamespace(f_code=code, f_lineno=number) for number in (None, 3)]
    limit = ending.Limit(lambda name: True)
    assert limit.loop_in(frames) == "while True:"
    assert limit.loop_in(frames[:1]) == "def f():"


def test_a_loop_that_begins_late_is_named_and_not_what_called_the_check(short_limit):
    answer = typed(ENDLESS["while i < 3:"], "f")

    def prepares_slowly():
        while time.thread_time() < start + 0.2:  # past the first look
            pass

    def makes_the_call():
        prepares_slowly()
        answer(0)

    start, ended = time.thread_time(), False
    for _ in range(1):  # the reader's loop around a check is not the one
        with ending.Limit(lambda name: name == "<cell 7>") as limit:
            try:
                makes_the_call()
            except ending.Endless:
                ended = True
    assert ended and limit.line == "while i < 3:"


def test_a_loop_in_another_thread_is_ended_and_computing_counts_not_waiting(short_limit):
    def waits(x):
        time.sleep(0.6)
        return x * 2

    found = []
    case = next(function_cases(np.random.default_rng(0)))
    endless = typed(ENDLESS["while i < 3:"], "f")
    thread = threading.Thread(target=lambda: found.extend([run(endless, case), run(waits, case)]))
    thread.start()
    thread.join()
    assert [[result.name for result in results] for results in found] == [["error"], ["y"]]


def test_a_limit_that_was_left_without_its_exit_ends_nothing_later(short_limit):
    """Endless may arrive as `__exit__` begins: then nothing of it has run."""

    def block():
        ending.Limit(lambda name: True).__enter__()

    block()
    end = time.thread_time() + 3 * ending.SECONDS
    while time.thread_time() < end:
        pass


def test_who_looks_on_takes_over_no_trace_that_is_set_for_threads():
    """It may be set just then; to set two at a time is an error."""
    traced = []
    threading.settrace(lambda frame, event, arg: traced.append(frame.f_code.co_name))
    try:
        with ending.Limit(lambda name: True):
            time.sleep(3 * ending.TICK)
    finally:
        threading.settrace(None)
    assert not traced


def test_one_thread_looks_on_for_many_cases(monkeypatch):
    started, start = [], _thread.start_new_thread
    counted = SimpleNamespace(start_new_thread=lambda *given: started.append(start(*given)))
    monkeypatch.setattr(ending, "_thread", counted)
    monkeypatch.setattr(ending, "WATCH", ending.Watch())
    case = next(function_cases(np.random.default_rng(0)))
    for _ in range(20):
        run(double, case)
    assert len(started) == 1


def test_another_thread_looks_on_if_the_first_has_failed(short_limit, monkeypatch):
    """A case may have left no memory for it."""
    monkeypatch.setattr(ending, "WATCH", watch := ending.Watch())
    monkeypatch.setattr(watch, "limits", None)
    watch.current = token = object()
    with pytest.raises(TypeError):
        watch.look_on(token)
    assert watch.current is None  # or nobody would look at the next one
    watch.limits = []
    case = next(function_cases(np.random.default_rng(0)))
    [result] = run(typed(ENDLESS["while i < 3:"], "f"), case)
    assert result.name == "error" and result.value["kind"] == "Endless"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_ends_what_does_not_end_too(short_limit):
    case = next(function_cases(np.random.default_rng(0)))
    endless = typed(ENDLESS["while i < 3:"], "f")
    run(double, case)  # somebody looks on, in this process
    pid = os.fork()
    if pid == 0:
        os._exit(0 if [result.name for result in run(endless, case)] == ["error"] else 1)
    end = time.monotonic() + 30
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(ending.TICK)
    if done == (0, 0):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert done == (pid, 0)


def test_a_limit_that_is_not_reached_leaves_nothing_behind(short_limit):
    case = next(function_cases(np.random.default_rng(0)))
    threads = _thread._count()
    for _ in range(20):
        assert [result.name for result in run(double, case)] == ["y"]
    end = time.monotonic() + 30
    while _thread._count() > threads and time.monotonic() < end:
        time.sleep(ending.TICK)
    assert _thread._count() <= threads
