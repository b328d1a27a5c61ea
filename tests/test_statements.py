"""What a task's text demands is shown: a wrong answer that breaks it stands in book/checks.

A cell of book/checks quotes what it shows: `reject="divides" shows="so do not divide"`. Every word
of the text that makes a demand or gives a leave must lie in such a quotation, or be listed below.
`tests/test_answers.py` sees that the wrong answers are rejected.
"""

import re

import pytest
from answers import TASKS

from coursekit.checking.tasks import load_set, set_names

# What a demand is made of: duty and leave, counts and order, what stays, kinds of numbers.
WORDS = re.compile(
    r"\b(must|may|not|never|without|nothing|None|only|twice|order|(?<!equally )likely|equally|"
    r"in place|at most|at least|stays?|leaves?|float64|float32|int64|uint16|uint32|integers|"
    r"new (?:list|array)|any (?:number|shape|size)|exactly|(?:listed|counted|decode) once)\b"
)
# Words that demand nothing which an answer could break, each with the reason.
NO_DEMAND = {
    "gradients-numeric": {"is a function without arguments": "f is the check's own"},
    "module-params": {'prefix=""': "the default, which the check takes in most cases"},
    "linear-shared": {"so they will not help you": "a warning"},
    "silu": {
        "`np.tanh` never overflows": "a fact",
        "x, y: any shape": "entry by entry, nothing depends on it; the cases have 1 to 4 axes",
    },
    "nesterov-step": {"The chapter does not have this one": "a fact"},
    "rmsnorm": {
        "Llama leaves out the mean": "a fact",
        "dtype=np.float32": "stands there already, and the check gives another",
    },
    "dropout": {"x, u, y: any shape": "entry by entry; the cases have 1 to 4 axes"},
    "swiglu": {"dtype=np.float32": "stands there already, and the check gives another"},
    "tokenizers-fallback": {
        "The chapter has nothing like it": "a fact",
        'errors="replace"': "an argument of Python's own",
        "for those that are not among them": "the sentence before says it, and is shown",
    },
    "data-dtype": {
        "should be small, and never wrong": "the reason for what follows",
        "`ids`, a list of integers": "what the check hands over",
    },
    "training-accumulate": {"A batch that does not fit into memory": "the reason for what follows"},
    "training-resume": {"lr=0.05": "stands there already, outside of the blanks"},
    "sampling-draw": {
        "Rounding may leave the sum of a whole row a little below 1": "a fact",
        "a sampler's need not be": "the check's u are, so it is no demand",
    },
    "speed-blocks": {"half of them for nothing": "the reason for what follows"},
    "gpt2-from-bf16": {
        "`bits` is an array of uint16": "what the check hands over",
        "the upper half of a float32 whose lower half is 0": "what the bits are",
    },
    "gpt2-to-bf16": {
        "`x` is float32 and holds no NaN": "what the check hands over",
        "of the float32 numbers x": "what the check hands over",
    },
    "gpt2-heads": {"in their order": "what the check hands over"},
    "gpt2-letters": {"must write any bytes as text": "the reason; the cases have all bytes"},
    "chat-widen": {
        "a float32 whose lower half is 0": "what the bits are",
        "the bits (out, in), uint16": "what the check hands over",
    },
    "finetune-loss": {
        "some of them are `IGNORE`, but not all": "what the check hands over",
        "dloss=1.0": "stands there already, outside of the blanks",
    },
    "finetune-diagnose": {
        "Every row has at least one token of an answer": "what the check hands over",
    },
}


def plain(text):
    return " ".join(text.split())


def quotations(name, task):
    """(place, quotation) of every cell of book/checks that shows a part of the task's text."""
    checks = load_set(name).checks
    for index, cell in enumerate(checks.cells):
        options = cell["metadata"]
        if options.get("task") == task and "shows" in options:
            shown = options["shows"]
            for quotation in [shown] if isinstance(shown, str) else shown:
                yield checks.where(index), plain(quotation)


def spans(text, part):
    return [(m.start(), m.end()) for m in re.finditer(re.escape(part), text)]


def demands(text):
    """Places in a text that demand something: words, and defaults of arguments."""
    defaults = [m.span() for m in re.finditer(r"\b\w+=[^,)=\s]+(?=[,)])", text)]
    return sorted([m.span() for m in WORDS.finditer(text)] + defaults)


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_every_demand_of_a_text_is_shown_by_an_answer(name, task):
    text = load_set(name).text(task)
    covered = [s for _, part in quotations(name, task) for s in spans(text, part)]
    for part in NO_DEMAND.get(task, {}):
        covered += spans(text, part)
    missing = [
        f"…{text[max(0, a - 50) : b + 40]}…"
        for a, b in demands(text)
        if not any(start <= a and b <= end for start, end in covered)
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", set_names())
def test_what_is_quoted_stands_in_the_text(name):
    for task in load_set(name).tasks:
        text = load_set(name).text(task)
        for place, part in quotations(name, task):
            assert part in text, f"{place}: {part}"
        for part, reason in NO_DEMAND.get(task, {}).items():
            assert part in text and reason, f"{task}: {part}"


def test_only_answers_show_something():
    for name in set_names():
        for cell in load_set(name).checks.cells:
            if "shows" in cell["metadata"]:
                assert {"mistake", "reject", "right"} & cell["metadata"].keys()
