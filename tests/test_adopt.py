"""The reader's own GPT: an answer that is adopted is the code that runs."""

import os
import re
import subprocess
import sys
from inspect import isclass

import pytest
from answers import REPOSITORY, TASKS, solutions, type_in

from coursekit.checking.tasks import load_set
from coursekit.source import read_page

SET, TASK = "03_linear", "linear-backward"


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_PROGRESS", str(tmp_path / "progress"))


ADOPT = """
import sys, numpy as np
from coursekit import adopt
adopt(sys.argv[1])
from numpygpt import GPT, GPTConfig, gradcheck, nn, optim
target = sys.argv[2]
rng = np.random.default_rng(0)
ids = rng.integers(0, 11, (2, 5))
model = GPT(GPTConfig(11, 5, 1, 3, 6, "gelu" if "GELU" in target else "relu"), rng=rng)
optimizer = (optim.SGD if "SGD" in target else optim.Adam)(model, lr=0.1)
optim.WarmupCosineLR(optimizer, 2, 5, 0.01).step()
model(ids, ids)
model.backward()
optim.clip_grad_norm(model, 1.0)
optimizer.step()
outside = {"Sequential": nn.Sequential(nn.ReLU()), "Softmax": nn.Softmax()}
if (name := target.partition(":")[2]) in outside:  # no part of a GPT
    outside[name].forward(np.ones((2, 3)))
    outside[name].backward(np.ones((2, 3)))
if name == "numeric_gradient":
    gradcheck(nn.ReLU(), rng.normal(size=3), rng=rng)
print("it ran")
"""


def adopted(folder, target="nn.linear:Linear"):
    return subprocess.run(
        [sys.executable, "-c", ADOPT, str(folder), target], capture_output=True, text=True
    )


# Right when checked; an error when a model of the package runs it.
TRAP = """
import functools, sys
def trapped(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        frame = sys._getframe()
        while frame and frame.f_globals["__name__"] != "coursekit.checking.cases":
            frame = frame.f_back
        if frame is None:  # nobody checks: a model runs
            raise RuntimeError("this is the reader's code")
        return function(*args, **kwargs)
    return call
"""
LIVE = [(name, t) for name, t in TASKS if load_set(name).tasks[t].adopts]


@pytest.mark.parametrize(("name", "task"), LIVE)
def test_an_error_raised_in_an_adopted_answer_stops_the_model(name, task, tmp_path):
    target = load_set(name).tasks[task].adopts
    module, _, thing = target.partition(":")
    exercises = load_set(name)
    answer = exercises.answer(task, name=thing)
    source = solutions(name)[task] + TRAP
    if isclass(answer):
        methods = re.findall(r"^(?:@add_to_class.*\n)?\s*def (\w+)\(self", source, re.M)
        method = next(m for m in ("backward", "step", "lr_at", *methods) if hasattr(answer, m))
        source += f"{thing}.{method} = trapped({thing}.{method})\n"
        source += f"{method} = {thing}.{method}\n{method}.__objclass__ = {thing}\n"
    else:
        source += f"{answer.__name__} = trapped({answer.__name__})\n"
    type_in(name, tmp_path / f"{name}.ipynb")
    done = adopted(tmp_path, target)
    assert f"{target:36} yours" in done.stdout and "it ran" in done.stdout, done.stderr
    type_in(name, tmp_path / f"{name}.ipynb", {task: source})
    done = adopted(tmp_path, target)
    assert f"{target:36} yours" in done.stdout, done.stdout
    assert "this is the reader's code" in done.stderr and "it ran" not in done.stdout


def run_capstone(folder, answers):
    """Run chapter 19 on a fifth of the text for two steps, beside a reader's exercises."""
    for name in ("notebooks", "data", "exercises"):
        (folder / name).mkdir(parents=True)
    text = (REPOSITORY / "data/shakespeare.txt").read_text()
    (folder / "data/shakespeare.txt").write_text(text[:220_000])
    type_in(SET, folder / f"exercises/{SET}.ipynb", answers)
    cells = read_page(REPOSITORY, "book/chapters/19_shakespeare.py").cells
    chapter = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    assert "\nSTEPS = 2000\n" in chapter  # enough to adopt; too few to learn
    return subprocess.run(
        [sys.executable, "-c", chapter.replace("\nSTEPS = 2000\n", "\nSTEPS = 2\n")],
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


def test_a_wrong_answer_is_not_adopted(tmp_path):
    type_in(SET, tmp_path / f"{SET}.ipynb", {TASK: load_set(SET).tasks[TASK].variants[0].source})
    done = adopted(tmp_path)
    assert (
        "the package's (exercises/03_linear.ipynb: linear-backward is not right yet)" in done.stdout
    )
    assert "it ran" in done.stdout
