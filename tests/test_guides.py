"""The guides of docs/: each line of code in them is run, each formula is held to the package."""

import ast
import inspect
import re

import numpy as np
import pytest
from answers import REPOSITORY

from coursekit.source import read_page
from numpygpt import nn
from numpygpt.gpt import GPT
from numpygpt.gradcheck import numeric_gradient
from numpygpt.nn.functional import softmax

BACKPROP = (REPOSITORY / "docs" / "BACKPROP.md").read_text("utf-8")
LAYERS = {name: getattr(nn, name) for name in nn.__all__} | {"GPT": GPT}


def rows(text, heading):
    """The rows of the table under a heading: lists of their columns."""
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.split("\n") if line.startswith("| ")]
    return [[column.strip() for column in line.strip("|").split(" | ")] for line in lines[1:]]


RULES = rows(BACKPROP, "The rules")


@pytest.mark.parametrize("rule", RULES, ids=[f"{row[0]}, {row[1]}" for row in RULES])
def test_a_rule_gives_the_slopes_that_are_measured(rule):
    forward, shapes, backward, _ = rule
    rng, values = np.random.default_rng(0), {"np": np, "softmax": softmax}
    for name, shape in re.findall(r"(\w+) (\([\d, ]+\))", shapes):
        values[name] = rng.normal(0.3, 1, ast.literal_eval(shape))
    if "ids" in values:
        values["ids"] = np.array([1, 4, 1, 0])

    def run():
        exec(forward.strip("`"), values)
        return values["y"]

    dy = rng.normal(size=run().shape)
    found = values | {"dy": dy}
    exec(backward.strip("`"), found)
    gradients = [name for name in found if name[0] == "d" and name[1:] in values and name != "dy"]
    assert len(gradients) == backward.count(" = ")
    for name in gradients:
        slopes = numeric_gradient(lambda: float((run() * dy).sum()), values[name[1:]])
        np.testing.assert_allclose(found[name], slopes, rtol=1e-6, atol=1e-8)


def test_every_layer_has_its_row():
    classes = {name: thing for name, thing in LAYERS.items() if inspect.isclass(thing)}
    with_backward = {name for name, thing in classes.items() if "backward" in vars(thing)}
    named = [row[0].strip("`") for row in rows(BACKPROP, "The layers")]
    assert sorted(named) == sorted(with_backward - {"Module", "Sequential"})


@pytest.mark.parametrize("row", rows(BACKPROP, "The layers"), ids=lambda row: row[0].strip("`"))
def test_a_row_says_what_the_layer_computes_and_keeps(row):
    layer, chapter, forward, *_, keeps = row
    thing = LAYERS[layer.strip("`")]
    assert forward in " ".join(thing.__doc__.split())
    module = inspect.getmodule(thing).__doc__
    assert re.search(rf"Derived in\s+chapter 0?{chapter}\.", module)
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(thing.forward)).strip())
    stored = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    assert sorted(stored) == sorted(re.findall(r"`(\w+)`", keeps))


def test_the_code_of_the_guide_runs():
    [block] = re.findall(r"```python\n(.*?)```", BACKPROP, re.DOTALL)
    exec(block, {})


# The words of the book

GLOSSARY = re.findall(
    r"^\| (.+?) \| (.+?) \| (\d+) \|$",
    (REPOSITORY / "docs" / "GLOSSARY.md").read_text("utf-8"),
    re.M,
)


def test_the_glossary_is_in_order_and_has_each_word_once():
    words = [word.lower() for word, *_ in GLOSSARY]
    assert words == sorted(set(words)) and len(words) > 70


@pytest.mark.parametrize("entry", GLOSSARY, ids=lambda entry: entry[0])
def test_a_word_of_the_glossary_has_one_sentence_and_stands_in_its_chapter(entry):
    word, meaning, number = entry
    assert meaning[0].isupper() and meaning[-1] == "." and ". " not in meaning
    [path] = REPOSITORY.glob(f"book/chapters/{int(number):02}_*.py")
    page = read_page(REPOSITORY, path.relative_to(REPOSITORY).as_posix())
    prose = " ".join(c["source"] for c in page.cells if c["cell_type"] == "markdown").lower()
    for each in word.lower().split(", "):
        assert each in " ".join(prose.split())
