"""What is different about a wrong answer, as a few lines that do not say who wrote it.

Comments, docstrings and layout are gone, texts that the book does not have are "…", and a name
that only a few students use is name1. Of our answers nothing is shown: the lines are the student's,
where they differ from ours.
"""

import ast
import builtins
import difflib
import io
import keyword
import re
import tokenize
from collections import Counter
from functools import cache

import numpy as np

from coursekit.classroom.trees import chosen_names, tree_of

FEW = 3  # students who use a name before it is shown
LINES = 5  # of an excerpt
WIDTH = 110  # characters of a line
LONG_NUMBER = 10_000  # a whole number from here on might be somebody's
MISSING = "# a line is missing here"
CUT = "…"


class Excerpts:
    """Makes excerpts of the wrong answers to one task.

    Args:
        task: of the book: its right answers are what others are held beside.
        own_answer: the book's.
        answers: those of the whole class, as text.
    """

    def __init__(self, task, own_answer, answers):
        variants = [variant.source for variant in task.variants]
        page = [cell["source"] for cell in task.page.cells if cell["cell_type"] == "code"]
        used = Counter(name for source in answers for name in names_in(source))
        self.names = python_names() | names_in("\n".join([own_answer, *variants, *page]))
        self.names |= {name for name, students in used.items() if students >= FEW}
        self.texts = {text for source in [own_answer, *variants] for text in texts_in(source)}
        sources = [own_answer, *(variant.source for variant in task.of_kind("right"))]
        self.right = [keys_of(self.lines_of(source)) for source in sources]

    def of(self, source):
        """The lines of an answer that differ from the right answer nearest to it; [] if none."""
        if not (lines := self.lines_of(source)):
            return []
        blind, numbered = keys_of(lines)
        found = [differing(lines, blind, other) for other, _ in self.right]
        if [] in found:  # the same but for its names: they may be exchanged
            same = [other for (_, other), lines in zip(self.right, found, strict=True) if not lines]
            found = [differing(lines, numbered, other) for other in same]
        return shortened(min(found, key=len))

    def lines_of(self, source):
        """An answer's lines, one statement each, with nothing in them that is a student's own."""
        if (tree := tree_of(source)) is None:
            return []
        try:
            neutral = ast.fix_missing_locations(Neutral(self.texts).visit(tree))
            lines = renamed(ast.unparse(neutral), self.names).split("\n")
        except (RecursionError, ValueError, tokenize.TokenError):
            return []
        return [line for line in lines if line.strip()]


@cache
def python_names():
    """Names that everybody may use: Python's and NumPy's."""
    of_types = {name for kind in (list, dict, str, set, tuple, float) for name in dir(kind)}
    return {
        *keyword.kwlist,
        *keyword.softkwlist,
        *dir(builtins),
        *of_types,
        *dir(np),
        *dir(np.ndarray),
        *dir(np.linalg),
        *dir(np.random.Generator),
        *("np", "numpy", "self", "math", "cls", "axis", "keepdims", "dtype", "out", "where"),
    }


def names_in(source):
    return set(re.findall(r"[^\W\d]\w*", re.sub(r"#.*", "", source)))


class Neutral(ast.NodeTransformer):
    """Takes out what might say who wrote an answer, save for names.

    Args:
        texts: that may stay.
    """

    def __init__(self, texts):
        self.texts = texts

    def visit_Constant(self, node):
        if isinstance(node.value, (str, bytes)) and node.value not in self.texts:
            return ast.Constant(CUT)
        if type(node.value) is int and node.value >= LONG_NUMBER:
            return ast.Name("number", ast.Load())
        return node

    def visit_JoinedStr(self, node):
        return ast.Constant(CUT)


def texts_in(source):
    nodes = ast.walk(tree_of(source) or ast.Module([], []))
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, (str, bytes))}


def renamed(text, names):
    """A program with name1, name2, ... in the place of the names that are not among `names`."""
    lines, own = text.split("\n"), {}
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    strange = [t for t in tokens if t.type == tokenize.NAME and t.string not in names]
    for token in strange:
        own.setdefault(token.string, f"name{len(own) + 1}")
    for token in reversed(strange):
        (row, start), (_, end) = token.start, token.end
        line = lines[row - 1]
        lines[row - 1] = line[:start] + own[token.string] + line[end:]
    return "\n".join(lines)


def keys_of(lines):
    """Two forms of an answer's lines, to be compared: its own names are _, or numbered in order."""
    tree, order = tree_of("\n".join(lines)), {}
    chosen = chosen_names(tree) if tree else set()

    def number(name):
        return f"_{order.setdefault(name[0], len(order))}" if name[0] in chosen else name[0]

    name = re.compile(r"[^\W\d]\w*")
    blind = [name.sub(lambda n: "_" if n[0] in chosen else n[0], line) for line in lines]
    return blind, [name.sub(number, line) for line in lines]


def differing(lines, keys, right):
    """Those of `lines` whose keys a right answer has not, with a mark where it has more."""
    found, end = [], 0
    matcher = difflib.SequenceMatcher(a=keys, b=right, autojunk=False)
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind == "equal":
            continue
        if kind == "insert":
            here = [*lines[max(first - 1, end) : first], MISSING]
        else:
            here = lines[first:last]
        if found and first > end:
            found.append(CUT)
        found += here
        end = last
    return found


def shortened(lines):
    """A few lines, without the space that all of them begin with."""
    cut = [*lines[:LINES], CUT] if len(lines) > LINES + 1 else lines
    code = [line for line in cut if line not in (CUT, MISSING)]
    space = min((len(line) - len(line.lstrip(" ")) for line in code), default=0)
    cut = [line if line in (CUT, MISSING) else line[space:] for line in cut]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}{CUT}" for line in cut]
