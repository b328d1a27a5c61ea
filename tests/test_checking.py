"""check, hint, status, nbval's overlay, and the command line."""

import inspect
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
import types

import numpy as np
import pytest
from answers import REPOSITORY, nbval, type_in

from coursekit import add_to_class, check, hint, status
from coursekit.__main__ import main
from coursekit.checking import check as checking
from coursekit.checking import check_notebook, progress
from coursekit.checking.cases import Call, Case, Model, Result, Rng, frozen, layer, named, run
from coursekit.checking.check import CheckError, verdict_on
from coursekit.checking.check_notebook import ONLY_THESE, PLUGINS
from coursekit.checking.comparing import Table, close
from coursekit.checking.covered import OwnVersion, covered
from coursekit.checking.judge import problems_of
from coursekit.checking.overlay import tried_again
from coursekit.checking.tasks import find_task, load_set
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


def test_a_wrong_answer_that_no_list_knows_is_told_its_worst_entry():
    text = told(variant("half-a-gradient"))
    assert "dW WRONG" in text and "expected" in text and "in the case: x of shape" in text


def test_what_an_answer_raises_is_told_with_the_case():
    source = "@add_to_class(Linear)\ndef backward(self, dy):\n    return undefined"
    text = told(linear(source))
    assert "raises NameError; is the name defined in the answer cell?" in text
    assert "'undefined'" in text


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
        ([0.8740761], [0.8740762], "is not what it should be", "is 0.8740761, expected 0.8740762,"),
        ([1.0], [2.0], "is not what it should be", "the result is 1, expected 2, in the case"),
        # Lists, texts and dicts from where they differ.
        ([[1, 2, 3]], [[1, 2, 4]], "wrong entries: the last", "the result[2] is 3, expected 4"),
        ([["a"]], [["a", "b"]], "is not what", "has 1 entry, expected 2: the next is 'b'"),
        ([["a", "b"]], [["a"]], "is not what", "has 2 entries, expected 1: 'b' is too many"),
        (["a" * 99 + "b"], ["a" * 99 + "c"], "is not what", "aab', expected …'"),
        ([{"a": 1, "b": 2}], [{"a": 1, "b": 3}], "is not what", "['b'] is 2, expected 3"),
        ([{"a": 1}], [{"a": 1, "b": 3}], "is not what", "has no 'b'"),
        ([[["W", np.ones(2)]]], [[["W", np.ones(3)]]], "is not what", "[0][1] has the shape (2,)"),
        # None, and other kinds of things.
        ([None], [1.0], "is None: a function that ends without `return` gives None", ""),
        ([None, None], [1.0, None], "is None where it should not be", ""),
        (["x"], [None], "is a text; None is asked for here", "is 'x', expected None"),
        ([{}], [np.ones(2)], "is of another kind: an array is asked for", ""),
        # One text, one case: the entry that is not finite is the one that is shown.
        ([np.ones(2), np.array([np.nan, 1])], [np.zeros(2), np.ones(2)], "not finite", "is nan"),
        # A factor where there is one, and only there.
        ([np.zeros(3)], [np.arange(3.0)], "is zero everywhere", ""),
        ([np.arange(4) * 0.5], [np.arange(4.0)], "is 0.5 times what it should be, everywhere", ""),
        ([np.array([1.0, 0]), np.array([3.0, 0])], [np.array([2.0, 0]), np.array([4.0, 0])],
         "has wrong entries: the first", ""),
        ([np.ones((2, 1)) * 3], [np.ones(2) * 3], "has the right entries in the wrong shape", ""),
        ([np.arange(6.0).reshape(2, 3)], [np.arange(6.0).reshape(2, 3).T], "is the transpose", ""),
        ([np.array([9, 1, 2, 4])], [np.array([1, 2, 4, 7])], "is one place late", ""),
        ([np.array([3, 5])], [np.array([2, 4])], "is 1 too large, everywhere", ""),
        ([np.array([2.0, 1, 3])], [np.array([1.0, 2, 3])], "right entries in the wrong places", ""),
    ],
)  # fmt: skip
def test_a_message_says_what_is_wrong_and_shows_where(got, expected, text, detail):
    [problem] = told_of([frozen(g) for g in got], [frozen(e) for e in expected])
    assert text in problem.text and detail in problem.detail


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
    # Not a reader's code: a file of its own.
    assert len(run(f, Case("", [Call({"x": np.ones(50)})], max_lines=40))) == 1


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
        "r.run = lambda *a: [Result(k, n, 0.0) for k in (0, 1, 2, 3) for n in ('y', 'dx')]"
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
    seen = nbval(tmp_path, cwd=tmp_path)
    for stem in [f"clever{number}" for number in range(len(CLEVER))] + ["faked"]:
        assert seen[stem, 4] is not None, stem


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


def test_an_answer_twice_or_missing_or_turned_into_text_is_red(tmp_path):
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
    assert all(seen[stem, 4] for stem in ("twice", "missing", "text"))
    assert all(seen[stem, 2] is None for stem in ("twice", "missing", "text"))


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "77"], "there is no exercise set 77: there are "),
        (["check", "3"], "exercises/03_linear.ipynb is missing: make build writes it"),
        (["reset", "linear"], "there is no exercise set linear"),
    ],
)
def test_mistakes_on_the_command_line_get_one_line(readers_files, capsys, arguments, message):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message) and captured.err.count("\n") == 1


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
