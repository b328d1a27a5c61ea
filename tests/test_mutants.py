"""Machine-made mistakes: a fixed sample of them, and the machine itself."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from answers import TASKS
from mutants import package, reviewed

from coursekit.checking import ending
from coursekit.checking.slips.making import mutants
from coursekit.checking.slips.rules import EXPRESSION_RULES, PAIR_RULES, STATEMENT_RULES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="each mutant runs in a fork")
HERE = Path(__file__).parent


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, **options
    )


def test_every_module_of_the_package_has_tests_that_guard_it():
    alone = [m for m in package.modules() if package.guards(m) == ["tests/test_package.py"]]
    assert alone == ["__init__", "__main__", "lazy"]
    named = {name for names in package.GUARDS.values() for name in names.split()}
    assert [name for name in named if not (HERE / f"test_{name}.py").is_file()] == []


def test_none_of_a_sample_of_the_mutants_of_our_answers_survives_unexplained():
    # Of every eighth task: to make them all takes longer than to run the sample.
    done = python(HERE / "mutants", "--sample", *[task for _, task in TASKS[::8]])
    assert done.returncode == 0, done.stdout + done.stderr


# A line of each rule: before, and one of the lines that it makes of it.
MADE = [
    ("operator", "y = a + b", "y = a - b"),
    ("operator", "y = a @ b", "y = a * b"),
    ("operator", "y = a < b", "y = a <= b"),
    ("operator", "y = a and b", "y = a or b"),
    ("sign", "y = -x", "y = x"),
    ("sign", "y = a * b", "y = -(a * b)"),
    ("term", "y = a + b", "y = a"),
    ("term", "y = a if c else b", "y = a"),
    ("term", "y = a and b", "y = b"),
    ("constant", "y = x[1]", "y = x[2]"),
    ("constant", "y = f(x, True)", "y = f(x, False)"),
    ("keyword", "y = x.sum(axis=0)", "y = x.sum()"),
    ("keepdims", "y = x.sum(axis=0)", "y = x.sum(axis=0, keepdims=True)"),
    ("axes", "y = x.transpose((0, 2, 1))", "y = x.transpose((0, 1, 2))"),
    ("axes", "y = x.sum(axis=(0, 1))", "y = x.sum(axis=(1,))"),
    ("slice", "y = x[:n]", "y = x[:n + 1]"),
    ("slice", "y = x[1:]", "y = x[:]"),
    ("range", "y = list(range(n))", "y = list(range(n - 1))"),
    ("transpose", "y = x.T @ a", "y = x @ a"),
    ("transpose", "y = a @ b", "y = a.T @ b"),
    ("exchanged", "y = f(a, b)", "y = f(b, a)"),
    ("exchanged", "y = a - b", "y = b - a"),
    ("axes", "return (a, b)", "return (b, a)"),
    ("variable", "y = a * 2", "y = b * 2"),
    ("function", "y = np.max(x)", "y = np.min(x)"),
    ("function", "y = np.float32", "y = np.float64"),
    ("call", "y = x.copy()", "y = x"),
    ("call", "y = np.exp(x)", "y = x"),
    ("in place", "y = a * b", "y = np.multiply(a, b, out=a)"),
    ("assignment", "self.W += a", "self.W = a"),
    ("assignment", "self.W += a", "self.W -= a"),
    ("assignment", "self.W += a", "self.W = self.W + a"),
    ("assignment", "self.W = a", "self.W += a"),
    ("assignment", "self.W[...] = a", "self.W = a"),
    ("cache", "self.x = x", "type(self).x = x"),
    ("cache", "return self.x * 2", "_result = self.x * 2\nself.x = None\nreturn _result"),
    ("cache", "return self.x * 2", "_result = self.x * 2\nself.x *= 2\nreturn _result"),
    ("buffer", "return a * 2", "_buffer"),
    ("dtype", "return a * 2", "return np.asarray(a * 2, np.float32)"),
    ("dropped", "a += b\nreturn a", "return a"),
    ("dropped", "return a", "return"),
    ("guard", "if c:\n    a += b", "a += b"),
    ("guard", "if c:\n    a += b", "if not c:\n    a += b"),
    ("guard", "for i in x:\n    break", "for i in x:\n    continue"),
    ("order", "a += b\nb += a", "b += a\na += b"),
]
FORMS = {"f": {n: [("array", (2, 3), "f")] for n in ("self.x", "self.W", "a", "b", "return")}}


def made(body, forms=FORMS):
    """{rule: the bodies it makes} of a method's body."""
    head = "def f(self, a, b, c, f, n, x):\n"
    text = head + "".join(f"    {line}\n" for line in body.splitlines())
    found = {}
    for mutant in mutants("f", text, forms):
        lines = mutant.source.splitlines()[1:]
        found.setdefault(mutant.rule, []).append("\n".join(line[4:] for line in lines))
    return found


@pytest.mark.parametrize(("rule", "before", "after"), MADE)
def test_a_rule_makes_the_mistake_that_it_is_there_for(rule, before, after):
    assert any(after in (text, "_buffer" * ("_buffer" in text)) for text in made(before)[rule])


def test_every_rule_is_shown():
    assert {rule for rule, *_ in MADE} == {*EXPRESSION_RULES, *STATEMENT_RULES, *PAIR_RULES}


def test_lines_that_do_not_care_for_each_other_are_not_exchanged():
    for lines in ("y = a * 2\nz = b.sum()", "self.W += a\nself.x += b"):
        assert "order" not in made(lines)
    for lines in ("y = a * 2\nz = y + 1", "y = f(a)\nz = f(b)", "y = a * 2\nreturn b"):
        assert "order" in made(lines)


def test_keywords_of_which_several_have_no_name_are_left_out():
    assert made("y = f(**a, **b, c=1)")["keyword"] == [
        "y = f(**b, c=1)",
        "y = f(**a, c=1)",
        "y = f(**a, **b)",
    ]


def test_what_nobody_else_sees_is_not_changed_in_place_for_nothing():
    assert "in place" in made("y = self.x * 2\nreturn y")
    forms = {"f": FORMS["f"] | {"y": [("array", (2, 3), "f")]}}
    own = made("y = a * 2\nz = y * 3\nreturn z", forms)["in place"]
    assert own == ["y = np.multiply(a, 2, out=a)\nz = y * 3\nreturn z"]
    assert len(made("y = a * 2\nz = y * 3\nreturn z + y", forms)["in place"]) > len(own)


def test_mutants_are_different_and_have_ids_of_their_own():
    source = (HERE.parent / "numpygpt/nn/layernorm.py").read_text("utf-8")
    found = list(mutants("numpygpt/nn/layernorm.py", source, defaults=True))
    assert len(found) > 150
    sources = {mutant.source for mutant in found} | {ast.unparse(ast.parse(source))}
    assert len(sources) == len(found) + 1
    assert all(mutant.id.startswith("numpygpt/nn/layernorm.py:") for mutant in found)


def test_the_same_mutants_are_made_each_time():
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from mutants.answers import all_mutants; "
        "print([m.id for m in all_mutants('03_linear', 'linear-backward')])"
    )
    lists = [
        python("-c", code, env=os.environ | {"PYTHONHASHSEED": seed}, cwd=HERE.parent).stdout
        for seed in "12"
    ]
    assert len(lists[0]) > 10_000 and lists[0] == lists[1]


def test_a_case_may_run_for_as_long_as_a_right_answer_needs(monkeypatch):
    from mutants.answers import patience

    monkeypatch.setattr(ending, "SECONDS", 0.01)
    start = time.process_time()
    with patience():
        while time.process_time() < start + 0.05:
            pass
    assert 0.2 < ending.SECONDS <= 2
    before = ending.SECONDS
    with patience():
        pass
    assert ending.SECONDS == before


CHILD = """
import sys, time
sys.path.insert(0, {here!r})
from mutants.child import in_children

def work(item):
    if item == "loops":
        while True:
            pass
    if item == "waits":
        time.sleep(100)
    if item == "eats":
        return str(len(bytearray(4 << 30)))
    if item == "raises":
        raise ValueError("in\\ntwo lines")
    if item == "ends":
        import os
        os._exit(0)
    print("nobody sees this")
    return item

print(in_children(work, {items!r}, seconds=1, by_the_clock=5, each={each}))
"""


@pytest.mark.parametrize("each", [1, 3])
def test_a_mutant_that_does_not_end_or_takes_too_much_ends_alone(each):
    items = ["a", "loops", "b", "raises", "ends", "c", "waits", "d"]
    expected = ["a", "endless", "b", "crashed with ValueError: in two lines", "crashed with 0"]
    expected += ["c", "endless", "d"]
    if sys.platform == "linux":
        items.append("eats")
        expected.append("crashed with MemoryError: ")
    done = python("-c", CHILD.format(here=str(HERE), items=items, each=each))
    assert done.stdout == f"{expected}\n", done.stderr


def test_an_interrupt_leaves_no_process_behind():
    process = subprocess.Popen(
        [sys.executable, HERE / "mutants", "03", "04"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # as a terminal would
    )
    main, end = psutil.Process(process.pid), time.monotonic() + 120
    while not (family := main.children(recursive=True)):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in err, err.decode()
    assert psutil.wait_procs(family, timeout=10)[1] == []


IN_A_FORK = """
import os, signal, sys, threading, time
from mutants.child import in_children

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # as tqdm has one
os.register_at_fork(after_in_parent=interrupt)
try:
    in_children(str, ["a", "b"], 5, 10)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_an_interrupt_in_a_hook_of_a_fork_is_not_lost():
    command = [sys.executable, "-c", IN_A_FORK]
    done = subprocess.run(command, cwd=HERE, capture_output=True, timeout=60)
    assert done.returncode == 130, done.stderr.decode()


def test_a_reviewed_line_is_found_whatever_the_version_of_python_writes():
    known = reviewed.Reviewed(
        "text\n\n    t/ours:3 term: y = x[(*n, o)] → y = 'a'\n    …: f() → …\n"
    )
    assert len(known.lines_of('t/ours:3 term: y = x[*n, o] → y = "a"')) == 1
    assert known.lines_of("t/ours:4 term: y = x[*n, o] → y = 'a'") == []
    assert known.lines_of("any/thing:7 call: f() → f") == ["…: f() → …"]
    assert known.lines_about({"t"}, patterns=False) == ["t/ours:3 term: y = x[(*n, o)] → y = 'a'"]
