"""All mutants of a piece of code: each rule is tried at each place, and the code is written anew.

The code is changed as a syntax tree and written by `ast.unparse`: a mutant needs no comments.
cosmic-ray and mutmut, which do this for packages, start pytest on a file for each mutant, and know
nothing of axes, shapes, caches and memory; our answers are cells, and are judged in milliseconds.
"""

import ast
import difflib
import re
import warnings
from dataclasses import dataclass

from coursekit.checking.slips.rules import EXPRESSION_RULES, PAIR_RULES, STATEMENT_RULES, Scope
from coursekit.checking.slips.words import in_words


@dataclass(frozen=True)
class Mutant:
    """One change of one piece of code."""

    of: str  # what is changed: "linear-backward/einsum", "nn/linear.py"
    line: int  # of the code before the change
    rule: str
    was: str  # the lines that the change touches, before and after
    now: str
    source: str  # all of the code, changed
    words: str = ""  # what has changed, as a reader is told it

    @property
    def id(self):
        return f"{self.of}:{self.line} {self.rule}: {self.was} → {self.now}"


def key(mutant_id):
    """An id without what one version of Python writes otherwise than another."""
    return re.sub(r"""[\s()"']""", "", mutant_id)


def mutants(of, source, forms=None, *, defaults=False, seen=()):
    """Every Mutant of `source`, in the order of its lines; no two have the same code.

    Args:
        of: the name of the code.
        source: its text.
        forms: function name -> {variable: its forms, as `answers.forms` sees them}; without it, a
            variable is exchanged for the next one of its function.
        defaults: change what lies outside functions, and the defaults of arguments, too.
        seen: codes, as `plain` writes them, that are no mutants.
    """
    tree = ast.parse(source)
    before, seen = ast.unparse(tree), set(seen)
    seen.add(before)
    for place, node, scope in places(tree, Scope(forms), defaults):
        for rule, width, new in changes(place, node, scope):
            text = place.written(tree, new, width)
            if text in seen or not compiles(text):
                continue
            seen.add(text)
            was, now = difference(before, text)
            if width == 2:
                was, now = heads(new[::-1]), heads(new)
            yield Mutant(of, node.lineno, rule, was, now, text, in_words(rule, node, new))


def plain(source):
    return ast.unparse(ast.parse(source))


def changes(place, node, scope):
    """Triples of a rule's name, how many neighbors it replaces, and the list of what by."""
    if isinstance(node, ast.stmt):
        for name, rule in STATEMENT_RULES.items():
            yield from ((name, 1, new) for new in rule(node, scope))
        body = getattr(place.parent, place.field)
        if isinstance(body, list) and place.index + 1 < len(body):
            for name, rule in PAIR_RULES.items():
                yield from ((name, 2, new) for new in rule(node, body[place.index + 1]))
    else:
        for name, rule in EXPRESSION_RULES.items():
            yield from ((name, 1, [new]) for new in rule(node, scope))


@dataclass
class Place:
    """Where a node stands in the tree."""

    parent: ast.AST
    field: str
    index: int | None  # None: the field is no list

    def written(self, tree, new, width):
        """The code with other nodes in this place; the tree stays as it was."""
        old = getattr(self.parent, self.field)
        if self.index is None:
            [changed] = new
        else:
            changed = [*old[: self.index], *new, *old[self.index + width :]]
            if not changed and self.field == "body":
                changed = [ast.Pass()]
        setattr(self.parent, self.field, changed)
        try:
            return ast.unparse(tree)
        finally:
            setattr(self.parent, self.field, old)


def places(node, scope, defaults):
    """Triples of Place, node and Scope for all that may be changed, in the order of the code."""
    for field, value in ast.iter_fields(node):
        if field in ("decorator_list", "annotation", "returns", "bases", "ctx"):
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or untouched(child, defaults):
                continue
            inside = scope
            if isinstance(child, (ast.FunctionDef, ast.Lambda)):
                inside = scope.within(child)
            elif isinstance(child, (ast.stmt, ast.expr)) and (scope.function or defaults):
                place = Place(node, field, index if isinstance(value, list) else None)
                if not isinstance(child, ast.ClassDef):
                    yield place, child, scope
            yield from places(child, inside, defaults)


def untouched(node, defaults):
    """Whether a node is what nobody gets wrong: documentation, imports, messages."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.arguments):
        return not defaults
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr))


def compiles(text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def heads(nodes):
    """The first line of each statement."""
    return " | ".join(ast.unparse(node).partition("\n")[0] for node in nodes)


def difference(before, after):
    """The lines that differ, before and after, each as one line."""
    a, b = before.splitlines(), after.splitlines()
    was, now = [], []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            was += a[i:j]
            now += b[k:m]
    return " | ".join(map(str.strip, was)), " | ".join(map(str.strip, now))
