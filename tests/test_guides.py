"""The guides of docs/: each line of code in them is run, each formula is held to the package."""

import ast
import inspect
import math
import re
import shlex
from functools import cache

import numpy as np
import pytest
from answers import REPOSITORY, TASKS
from test_chapters import printed_by

from coursekit.__main__ import parsed
from coursekit.checking.tasks import load_set, set_names
from coursekit.source import BEGIN, END, read_page
from numpygpt import nn
from numpygpt.gpt import GPT
from numpygpt.gradcheck import numeric_gradient
from numpygpt.llama import Llama
from numpygpt.nn.functional import softmax
from numpygpt.optim import SGD, Adam
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer
from numpygpt.tokenizers.word import PIECE

BACKPROP = (REPOSITORY / "docs" / "BACKPROP.md").read_text("utf-8")
LAYERS = {name: getattr(nn, name) for name in nn.__all__} | {"GPT": GPT, "Llama": Llama}


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


# --- OPTIMIZERS.md ---

OPTIMIZERS = (REPOSITORY / "docs" / "OPTIMIZERS.md").read_text("utf-8")
UPDATES = dict(re.findall(r"```python (\w+)\n(.*?)```", OPTIMIZERS, re.DOTALL))
SETTINGS = {"lr": 0.1, "momentum": 0.8, "b1": 0.7, "b2": 0.9, "eps": 1e-3, "decay": 0.3}


def side_by_side(text):
    """{name of a row: {name of a column: entry}} of a guide's table."""
    part = text.split("## Side by side\n")[1].split("\n## ")[0]
    lines = [line for line in part.split("\n") if line.startswith("|")]
    table = [[column.strip() for column in line[1:-1].split("|")] for line in lines]
    names = table[0][1:]
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in table[2:]}


class TwoArrays(nn.Module):
    """A matrix, which AdamW decays, and a vector, which it does not."""

    def __init__(self, dtype=np.float64):
        self.W, self.dW = np.ones((2, 3), dtype), np.zeros((2, 3), dtype)
        self.b, self.db = np.ones(3, dtype), np.zeros(3, dtype)


def made(code, model):
    """The optimizer that a guide's line of code makes."""
    return eval(code.strip("`"), {"SGD": SGD, "Adam": Adam, "model": model} | SETTINGS)


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_of_the_guide_is_that_of_the_package(name):
    table, model = side_by_side(OPTIMIZERS), TwoArrays()
    assert list(UPDATES) == list(table["state"])
    optimizer = made(table["in the package"][name], model)
    kept = {"W": {"p": model.W.copy()}, "b": {"p": model.b.copy()}}
    rng = np.random.default_rng(0)
    for t in range(1, 6):
        for array, values in kept.items():
            g = model.grads()[array][...] = rng.normal(size=values["p"].shape)
            zero = {n: np.zeros_like(g) for n in ("m", "v")} if t == 1 else {}
            values |= {"np": np, "g": g, "t": t} | SETTINGS | zero
            if array == "b":
                values["decay"] = 0
            exec(UPDATES[name], values)
        optimizer.step()
        np.testing.assert_allclose(model.W, kept["W"]["p"], rtol=1e-12)
        np.testing.assert_allclose(model.b, kept["b"]["p"], rtol=1e-12)


@pytest.mark.parametrize("name", UPDATES)
def test_the_guide_counts_the_state_of_an_optimizer(name):
    table, model = side_by_side(OPTIMIZERS), TwoArrays(np.float32)
    state = made(table["in the package"][name], model).state()
    n = sum(p.size for p in model.params().values())
    nbytes = sum(a.nbytes for a in state.values() if a.ndim) // n
    kinds = {key.split(".")[0] for key in state}
    if name == "SGD":  # our class keeps an array that it does not need, as the guide says
        assert (nbytes, kinds) == (4, {"v"})
        nbytes, kinds = 0, set()
    assert int(table["bytes of state a parameter, in float32"][name]) == nbytes
    assert int(table["with the weight and its gradient"][name]) == nbytes + 4 + 4
    assert set(re.findall(r"`(\w)`", table["state"][name])) == kinds


def test_the_measured_rows_of_the_guide_are_those_of_chapter_6():
    table, printed = side_by_side(OPTIMIZERS), printed_by("06_optimizers")
    runs = {"SGD": "SGD", "momentum": r"momentum 0\.9", "Adam": "Adam"}
    for name, row in runs.items():
        learns = rf"^{row} +inputs alike \[(.*)\]   first input times 10 \[(.*)\]$"
        [(alike, unlike)] = re.findall(learns, printed, re.MULTILINE)
        assert table["rates, of 11, that learn, from three starts"][name] == alike
        assert table["the same, first input times 10"][name] == unlike
        [distance] = re.findall(rf"^{row} +distance .* best rate (.*)$", printed, re.MULTILINE)
        assert table["one smooth valley: distance after 60 steps"][name] == distance


NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


def numbers_in(text):
    """The numbers of a guide's prose: without code, chapters and the numbers of a list."""
    text = re.sub(
        r"```.*?```|`[^`]*`|[Cc]hapters? [\d, and]*\d|^\d+\. ", " ", text, flags=re.S | re.M
    )
    return set(NUMBER.findall(text))


def test_every_number_of_the_guide_is_printed_by_chapter_6_or_counted_above():
    printed, table = printed_by("06_optimizers"), side_by_side(OPTIMIZERS)
    counted = {number for row in table.values() for number in row.values()}
    code = (REPOSITORY / "book/chapters/06_optimizers.py").read_text("utf-8")
    assert (
        "for lr in np.logspace(-3, 1, 81))" in code
        and "def descend(make_optimizer, steps=60" in code
    )
    assert numbers_in(OPTIMIZERS) <= {*NUMBER.findall(printed), *counted, "81", "60"}


def test_the_defaults_that_the_guide_names_are_those_of_the_package():
    [call] = re.findall(r"starts from `Adam\(model, (.*?)\)`\.", OPTIMIZERS)
    defaults = inspect.signature(Adam).parameters
    named = eval(f"dict({call})")
    assert named == {name: defaults[name].default for name in list(defaults)[1:]}


# --- TOKENIZERS.md ---

TOKENIZERS = (REPOSITORY / "docs" / "TOKENIZERS.md").read_text("utf-8")
TEXT = (REPOSITORY / "data" / "shakespeare.txt").read_text("utf-8")
TRAINED_ON, LEFT = TEXT[: int(0.9 * len(TEXT))], TEXT[int(0.9 * len(TEXT)) :]

KINDS = {kind.__name__: kind for kind in (CharTokenizer, WordTokenizer, BPETokenizer)}


@cache
def tokenizer_of(name):
    made_by = side_by_side(TOKENIZERS)["made by"][name].strip("`")
    return eval(made_by, KINDS | {"text": TRAINED_ON})


def counts_of(tokenizer, text):
    return np.bincount(tokenizer.encode(text), minlength=tokenizer.vocab_size)


def nats_of(tokenizer):
    """What each token costs a model that knows how often it occurs, with 1 added to each count."""
    counts = counts_of(tokenizer, TRAINED_ON) + 1
    return -np.log(counts / counts.sum())


def the_guides_bits(loss, n_tokens, n_chars):
    [block] = re.findall(r"```python\n(.*?)```", TOKENIZERS, re.DOTALL)
    found = {"math": math}
    exec(block, found)
    return found["bits_per_character"](loss, n_tokens, n_chars)


def shown(tokenizer, text):
    """The tokens of a text, as the guide writes them."""
    return ", ".join(f"`{tokenizer.decode([i])}`" for i in tokenizer.encode(text))


def measured(name):
    """{name of a row: what the guide must say} for one of the tokenizers."""
    t = tokenizer_of(name)
    ids = np.array(t.encode(LEFT))
    loss = nats_of(t)[ids].mean()
    bits = the_guides_bits(loss, len(ids), len(LEFT))
    spelled, unknown = 0, []
    if name == "words":
        unknown = [piece for piece in PIECE.findall(LEFT) if piece not in t.id_of]
        chars = tokenizer_of("characters")
        letters = " ".join([*unknown, ""])  # each word, and a space to end it
        spelled = nats_of(chars)[chars.encode(letters)].sum()
    more = the_guides_bits(spelled, 1, len(LEFT))
    try:
        zoe = f"{len(t.encode('Zoë'))} tokens"
    except ValueError:
        zoe = "ValueError"
    if name == "words":
        zoe = f"`{t.decode(t.encode('Zoë')).strip()}`"
    lines = LEFT.split("\n")
    back = sum(t.decode(t.encode(line)) == line for line in lines) / len(lines)
    return {
        "vocabulary": f"{t.vocab_size:,}",
        "characters a token": f"{len(LEFT) / len(ids):.2f}",
        "tokens of `My lord, farewell.`": str(len(t.encode("My lord, farewell."))),
        "an unknown word, `Zoë`": zoe,
        "unknown tokens": f"{len(unknown) / len(ids):.1%}",
        "lines that come back as they were": f"{back:.1%}",
        "bits per character": f"{bits:.2f}",
        "the same, unknown words spelled out": f"{bits + more:.2f}",
        "rows times 128 numbers of an embedding": f"{128 * t.vocab_size:,}",
    }


@pytest.mark.parametrize("name", ["characters", "words", "BPE"])
def test_the_guide_says_what_a_tokenizer_makes_of_our_text(name):
    table = side_by_side(TOKENIZERS)
    said = {row: entries[name] for row, entries in table.items()}
    del said["made by"], said["a token is"]
    assert said == measured(name)


def test_the_guide_counts_the_tokens_of_other_texts():
    bpe = tokenizer_of("BPE")
    table = rows(TOKENIZERS, "One BPE, other texts")
    assert len(table) == 5
    for text, characters, tokens in table:
        text = text.strip("`")
        assert (int(characters), int(tokens)) == (len(text), len(bpe.encode(text))), text


def test_the_guide_shows_the_tokens_of_a_prompt_with_a_space_at_its_end():
    bpe, text = tokenizer_of("BPE"), " ".join(TOKENIZERS.split())
    for prompt in ("My lord", "My lord "):
        assert f"`{prompt}` the tokens {shown(bpe, prompt)}" in text.replace(
            "has the tokens", "the tokens"
        )
    assert len(bpe.encode(" king")) == 1


def test_every_number_of_the_guide_to_tokenizers_is_computed_above():
    table = side_by_side(TOKENIZERS).values()
    of_other_texts = [entry for row in rows(TOKENIZERS, "One BPE, other texts") for entry in row]
    computed = {*of_other_texts, *(entry for row in table for entry in row.values())}
    computed = {number for entry in computed for number in NUMBER.findall(entry)}
    assert numbers_in(TOKENIZERS) <= computed | {"1", "128"}  # added to each count; wide


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


TROUBLES = (REPOSITORY / "docs" / "TROUBLESHOOTING.md").read_text("utf-8")
# Of the shell, of JupyterLab and of Python.
OTHERS = {
    "make: command not found", "The port 8888 is already in use", "NameError",
    "No module named 'coursekit'", "4E2D", "□",
}  # fmt: skip


@cache
def sources_with_messages():
    patterns = ("Makefile", "coursekit/**/*.py", "site/live/*.js", "book/chapters/*.py")
    paths = [path for pattern in patterns for path in sorted(REPOSITORY.glob(pattern))]
    code = "".join(path.read_text("utf-8") for path in paths)
    return re.sub(r'"\s*f?"', "", code)  # a text may stand on two lines


def messages():
    """What is quoted in the left columns of the page on trouble."""
    left = [row.split("|")[1] for row in TROUBLES.split("\n") if row.startswith("| ")]
    return {message for text in left for message in re.findall("`([^`]+)`", text)} - OTHERS


@pytest.mark.parametrize("message", sorted(messages()))
def test_a_message_on_the_page_about_trouble_is_one_that_is_given(message):
    assert message in sources_with_messages()


# The text for an AI assistant

TUTOR = (REPOSITORY / "docs" / "TUTOR.md").read_text("utf-8")
[RULES_OF_TUTOR] = re.findall(r"```text\n(.*?)```", TUTOR, re.DOTALL)


def test_each_message_of_the_trial_is_decided_by_a_rule_of_the_text():
    numbers = re.findall(r"^(\d+)\. ", RULES_OF_TUTOR, re.M)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    trial = rows(TUTOR, "How it was tried")
    assert len(trial) == 26 and "Twenty-six messages" in TUTOR
    for message, _, decides in trial:
        assert set(decides.split(", ")) <= {*numbers, "end"}, message


def test_what_the_text_for_an_assistant_says_of_the_book_is_so():
    assert all((REPOSITORY / name).is_dir() for name in re.findall(r"(\w+)/", RULES_OF_TUTOR))
    assert "has three\n   hints" in RULES_OF_TUTOR
    hints = {}
    for page in REPOSITORY.glob("book/checks/*.py"):
        for task, number in re.findall(r'task="(.+?)" hint=(\d)', page.read_text("utf-8")):
            hints.setdefault(task, []).append(number)
    assert hints.keys() == {task for _, task in TASKS}
    assert all(numbers == ["1", "2", "3"] for numbers in hints.values())


def test_the_text_for_an_assistant_shows_no_line_of_an_answer():
    lines = set()
    for page in REPOSITORY.glob("book/exercises/*.py"):
        for answer in page.read_text("utf-8").split(BEGIN)[1:]:
            lines |= {line.strip() for line in answer.split(END)[0].splitlines() if " = " in line}
    assert len(lines) > 300
    assert not [line for line in lines if line in TUTOR]


# --- INSTRUCTORS.md ---

INSTRUCTORS = (REPOSITORY / "docs" / "INSTRUCTORS.md").read_text("utf-8")


def test_each_command_of_the_guide_for_instructors_is_one_that_we_have():
    blocks = "".join(re.findall(r"```sh\n(.*?)```", INSTRUCTORS, re.DOTALL))
    commands = [shlex.split(line) for line in re.findall(r"python -m coursekit (.+)", blocks)]
    steps = [parsed(words) for words in commands if "--doctor" not in words]
    names = [words[0] for words in commands]
    assert names == ["grade", "handout", "collect", "grade", "marks"]
    # The steps fit together: what one writes, the next one reads; marks looks where collect wrote.
    handout, collect, grade, marks = steps
    assert handout.sets == [grade.assignment] == ["09"]
    assert collect.out == grade.submissions == marks.submissions and grade.out == marks.results
    assert "make setup\n" in blocks
    assert "\nsetup: " in (REPOSITORY / "Makefile").read_text("utf-8")


@pytest.mark.parametrize(
    ("heading", "command"),
    [
        ("Hand out: what students get", "handout"),
        ("Grade: options", "grade"),
        ("Fill the gradebook", "marks"),
    ],
)
def test_each_option_that_the_guide_explains_is_one_of_the_commands(heading, command, capsys):
    with pytest.raises(SystemExit):
        parsed([command, "--help"])
    known = set(re.findall(r"(?<!\w)--?[a-z]\w*(?:-\w+)*", capsys.readouterr().out))
    explained = {
        o for row in rows(INSTRUCTORS, heading) for o in re.findall(r"`(--?\S+?)[ `]", row[0])
    }
    assert len(explained) >= 3 and explained <= known, explained - known


def test_the_guide_lists_each_set_with_its_points_and_minutes():
    listed = rows(INSTRUCTORS, "The sets")
    assert [row[0].strip("`") for row in listed] == set_names()
    for name, tasks, points, minutes in listed:
        known = load_set(name.strip("`")).tasks.values()
        assert tasks == ", ".join(f"`{task.id}` {task.points}" for task in known)
        assert int(points) == sum(task.points for task in known)
        assert int(minutes) == sum(task.minutes for task in known)
    assert f"There are {len(listed)} sets" in INSTRUCTORS
    [_, _, points, _] = next(row for row in listed if row[0] == "`09_layernorm`")
    assert f"out of the set's points: here {points}." in INSTRUCTORS
