"""The reader's own GPT: an answer that is adopted is the code that runs."""

import os
import re
import subprocess
import sys
from inspect import isclass

import pytest
from answers import REPOSITORY, TASKS, solutions, type_in

from coursekit.checking import progress
from coursekit.checking.adopt import checked
from coursekit.checking.tasks import load_set
from coursekit.source import read_page

SET, TASK = "03_linear", "linear-backward"


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROGRESS", str(tmp_path / "progress"))


# For each folder that it reads: adopt the answers there, in a process of its own, and then run all
# that they can be. The sets are read once, not by each of these processes.
ADOPT = """
import os, sys
import numpy as np
from coursekit import adopt
from coursekit.checking.tasks import load_set, set_names
from numpygpt import GPT, GPTConfig, Llama, LlamaConfig, gradcheck, nn, optim
from numpygpt.generate import generate

def adopt_and_run(folder):
    adopt(folder)
    os.environ["ADOPTED"] = "yes"
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 11, (2, 5))
    for activation, optimizer in [("relu", optim.Adam), ("gelu", optim.SGD)]:
        model = GPT(GPTConfig(11, 5, 1, 3, 6, activation), rng=rng)
        stepping = optimizer(model, lr=0.1)
        optim.WarmupCosineLR(stepping, 2, 5, 0.01).step()
        model(ids, ids)
        model.backward()
        optim.clip_grad_norm(model, 1.0)
        stepping.step()
    for activation in ("swiglu", "relu2"):
        config = LlamaConfig(11, 5, 1, 4, 8, n_kv_head=2, activation=activation, qk_norm=True)
        llama = Llama(config, rng=rng)
        llama(ids, ids)
        llama.backward()
        optim.Muon(llama).step()
    generate(llama, ids, 3, rng=rng)
    for outside in (nn.Sequential(nn.ReLU()), nn.Softmax()):  # no part of a GPT
        outside.forward(np.ones((2, 3)))
        outside.backward(np.ones((2, 3)))
    gradcheck(nn.ReLU(), rng.normal(size=3), rng=rng)
    print("it ran")

for name in set_names():
    load_set(name)
for line in sys.stdin:
    folder = line.strip()
    if os.fork() == 0:
        for place, fd in [("said", 1), ("failed", 2)]:
            os.dup2(os.open(f"{folder}/{place}.txt", os.O_WRONLY | os.O_CREAT), fd)
        adopt_and_run(folder)
        sys.exit()
    os.wait()
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def adopted():
    """A function of a folder: what is said, and what fails, when the answers there are adopted."""
    with subprocess.Popen(
        [sys.executable, "-c", ADOPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(folder):
            print(folder, file=process.stdin, flush=True)
            assert process.stdout.readline() == "done\n"
            return (folder / "said.txt").read_text(), (folder / "failed.txt").read_text()

        yield run
        process.stdin.close()


# Right when checked; an error when a model of the package runs it.
TRAP = """
import functools, os
def trapped(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        if "ADOPTED" in os.environ:
            raise RuntimeError("this is the reader's code")
        return function(*args, **kwargs)
    return call
"""
LIVE = [(name, task) for name, task in TASKS if load_set(name).tasks[task].adopts]


def test_right_answers_are_adopted_all_together(tmp_path, adopted):
    for name in {name for name, _ in LIVE}:
        type_in(name, tmp_path / f"{name}.ipynb")
    said, failed = adopted(tmp_path)
    for name, task in LIVE:
        assert f"{load_set(name).tasks[task].adopts:36} yours" in said
    assert "it ran" in said, failed


@pytest.mark.parametrize(("name", "task"), LIVE)
def test_an_error_raised_in_an_adopted_answer_stops_the_model(name, task, tmp_path, adopted):
    target = load_set(name).tasks[task].adopts
    thing = target.partition(":")[2]
    answer = load_set(name).answer(task, name=thing)
    source = solutions(name)[task] + TRAP
    if isclass(answer):
        methods = re.findall(r"^(?:@add_to_class.*\n)?\s*def (\w+)\(self", source, re.M)
        method = next(m for m in ("backward", "step", "lr_at", *methods) if hasattr(answer, m))
        source += f"{thing}.{method} = trapped({thing}.{method})\n"
        source += f"{method} = {thing}.{method}\n{method}.__objclass__ = {thing}\n"
    else:
        source += f"{answer.__name__} = trapped({answer.__name__})\n"
    type_in(name, tmp_path / f"{name}.ipynb", {task: source})
    said, failed = adopted(tmp_path)
    assert f"{target:36} yours" in said, said
    assert "this is the reader's code" in failed and "it ran" not in said


FORWARD = "linear-forward"
OURS = solutions(SET)
WITH_PYLAB = OURS[TASK].replace("return", "linspace(0, 1, 3)\n    return")


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        # What a notebook allows is allowed.
        ({TASK: "%matplotlib inline\n!ls\nget_ipython().kernel.shell\n" + OURS[TASK]}, "yours"),
        ({TASK: "%pylab inline\n" + WITH_PYLAB}, "yours"),
        ({TASK: "%%time\n" + OURS[TASK], FORWARD: "%time n = 1\n" + OURS[FORWARD]}, "yours"),
        ({TASK: "display(1)\nprint(1)\nhint('linear-backward')\n" + OURS[TASK]}, "yours"),
        ({TASK: "import own_module\nopen('own_module.py')\n" + OURS[TASK]}, "yours"),
        # What another answer does reaches this one no more than in a check.
        ({FORWARD: OURS[FORWARD] + "\nnp = None\ncheck = 1\nquit()"}, "yours"),
        ({FORWARD: "%%bash\nls\n"}, "not right yet"),
        ({FORWARD: "raise KeyError\n" + OURS[FORWARD]}, "yours"),
        # Its own faults are its own.
        ({TASK: OURS[TASK] + "\n)"}, "not running (SyntaxError: unmatched ')')"),
        (
            {TASK: "import not_there\n" + OURS[TASK]},
            "not running (ModuleNotFoundError: No module named ...)",
        ),
        ({TASK: "n = input()\n" + OURS[TASK]}, "not running (EOFError: EOF when reading a line)"),
        ({TASK: "quit()\n" + OURS[TASK]}, "not running (SystemExit: None)"),
    ],
)
def test_an_answer_is_adopted_if_a_kernel_would_run_it(answers, state, tmp_path, capsys):
    type_in(SET, tmp_path / f"{SET}.ipynb", answers)
    (tmp_path / "own_module.py").write_text("")
    before = os.getcwd(), sys.stdin, list(sys.path), dict(os.environ)
    exercises = load_set(SET)
    [(said, _)] = checked(exercises, [exercises.tasks[TASK]], tmp_path).values()
    assert said == state
    assert before == (os.getcwd(), sys.stdin, list(sys.path), dict(os.environ))
    assert capsys.readouterr() == ("", "")
    assert progress.load(TASK) == {}


def test_a_check_that_fails_itself_says_nothing_of_the_answer(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("the check cannot run")

    monkeypatch.setattr("coursekit.checking.adopt.verdict_on", broken)
    type_in(SET, tmp_path / f"{SET}.ipynb")
    exercises = load_set(SET)
    states = checked(exercises, [exercises.tasks[TASK]], tmp_path)
    assert states == {TASK: ("not judged (RuntimeError)", None)}


def run_capstone(folder, answers):
    """Run chapter 19 on a tenth of the text, for two steps at a time, beside a reader's answers."""
    for name in ("notebooks", "data", "exercises"):
        (folder / name).mkdir(parents=True)
    text = (REPOSITORY / "data/shakespeare.txt").read_text()
    (folder / "data/shakespeare.txt").write_text(text[:110_000])
    type_in(SET, folder / f"exercises/{SET}.ipynb", answers)
    cells = read_page(REPOSITORY, "book/chapters/19_shakespeare.py").cells
    chapter = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    adopts = 'parts = adopt("../exercises")\n'
    for line, other in [
        ("\nSTEPS = 2000\n", "\nSTEPS = 2\n"),  # enough to adopt; too few to learn
        ("in range(200):", "in range(2):"),
        (adopts, f'{adopts}import os; os.environ["ADOPTED"] = "yes"\n'),
    ]:
        assert line in chapter
        chapter = chapter.replace(line, other)
    return subprocess.run(
        [sys.executable, "-c", chapter],
        cwd=folder / "notebooks", capture_output=True, text=True,
        env=os.environ | {"MPLBACKEND": "agg"},
    )  # fmt: skip


def test_the_capstone_runs_the_readers_layers(tmp_path):
    done = run_capstone(tmp_path / "right", {})
    assert "nn.linear:Linear                     yours" in done.stdout, done.stderr
    assert "the same losses with the layers of exercises/: True" in done.stdout

    trapped = solutions(SET)[TASK] + TRAP + "Linear.backward = trapped(Linear.backward)\n"
    trapped += "backward = Linear.backward\nbackward.__objclass__ = Linear\n"
    done = run_capstone(tmp_path / "trapped", {TASK: trapped})
    assert "nn.linear:Linear                     yours" in done.stdout, done.stderr
    assert done.returncode != 0 and "this is the reader's code" in done.stderr
    assert "in first_losses" in done.stderr


def test_a_wrong_answer_is_not_adopted(tmp_path, adopted):
    type_in(SET, tmp_path / f"{SET}.ipynb", {TASK: load_set(SET).tasks[TASK].variants[0].source})
    said, failed = adopted(tmp_path)
    assert "exercises/03_linear.ipynb\n  nn.linear:Linear    " in said
    assert re.search("nn.linear:Linear +the package's: not right yet\n", said)
    assert "it ran" in said, failed
