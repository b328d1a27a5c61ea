"""A student's answer as a syntax tree: read and never run, and of bounded size."""

import ast
import re
import warnings
from collections import Counter

LONGEST = 10_000  # characters; the longest answer that book/checks keeps has 1,104
DEEPEST = 60  # nested levels of a tree
MOST = 5_000  # nodes
BRACKETS = 40  # nested; Python's own reader is never shown more
MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)  # lines that are IPython's


def tree_of(source):
    """The syntax tree of an answer without its docstrings; None if it is no Python that we read."""
    source = MAGIC.sub("", source)
    if len(source) > LONGEST or nesting(source) > BRACKETS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    level, nodes = [tree], 0
    for _ in range(DEEPEST):
        nodes += len(level)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if nodes > MOST:
            return None
    if level:
        return None
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [part for part in body if not is_text(part)] or [ast.Pass()]
    return ast.fix_missing_locations(tree)


def nesting(source):
    """How deep brackets are nested, at most; those of strings and comments count, too."""
    deep = most = 0
    for bracket in re.findall(r"[(\[{)\]}]", source):
        deep = deep + 1 if bracket in "([{" else max(deep - 1, 0)
        most = max(most, deep)
    return most


def is_text(node):
    """Whether a statement is a string alone, as a docstring is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def chosen_names(tree):
    """The names that an answer gives to its own things: arguments, variables, what self keeps."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def label(node, chosen):
    """What a node is, without the names that are the answer's own and without texts."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return f"{type(node).__name__} {'_' if name in chosen else name}"
    if isinstance(node, ast.Constant):
        return "text" if isinstance(node.value, (str, bytes)) else repr(node.value)
    if isinstance(node, ast.keyword):
        return f"{node.arg}="
    return type(node).__name__


def subtrees(tree):
    """(the key of the whole tree, how often each part of three nodes or more stands in it).

    Two answers have the same key if they differ in names of their own, comments and layout only.
    """
    chosen, found = chosen_names(tree), Counter()

    def key_of(node):
        parts = [key_of(child) for child in ast.iter_child_nodes(node)]
        key = hash((label(node, chosen), *(key for key, _ in parts)))
        size = 1 + sum(size for _, size in parts)
        if size >= 3:
            found[key] += 1
        return key, size

    return key_of(tree)[0], found
