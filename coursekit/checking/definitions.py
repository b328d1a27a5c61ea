"""What an answer defines, and whether it does more: that must not reach the other answers."""

import ast
import builtins

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)


def imported(sources):
    """{name: what it stands for} of all names that some cells import."""
    names = {}
    for source in sources:
        for node in ast.walk(parsed(source)):
            if isinstance(node, IMPORTS):
                names |= imports(node)
    return names


def imports(node):
    """{name: what it stands for} of one import: ("numpy", None) is the module itself."""
    if isinstance(node, ast.ImportFrom):
        return {a.asname or a.name: (node.module, a.name) for a in node.names}
    return {a.asname or a.name.partition(".")[0]: (a.name, None) for a in node.names}


def only_definitions(source, given):
    """An answer without what it does beside defining its own names.

    A call such as `quit()` or `np.seterr(all="raise")` goes, and so does what gives a name another
    meaning that the set imports, or that Python has built in.

    Args:
        source: an answer cell.
        given: the names that the set imports, as from `imported`.
    """
    tree = parsed(source)
    names = given | imported([source])
    kept = [node for node in tree.body if only_defines(node, given, names)]
    return source if len(kept) == len(tree.body) else ast.unparse(ast.Module(kept, []))


def reaches_others(source, given):
    """Whether an answer does more than to define its own names, now or when it is called."""
    if only_definitions(source, given) != source:
        return True
    tree = parsed(source)
    names = given | imported([source])
    return any(
        isinstance(node, ast.Global)
        and taken(given) & {*node.names}
        or isinstance(node, ASSIGNMENTS)
        and changes_module(node, names)
        for node in ast.walk(tree)
    )


def only_defines(node, given, names):
    """Whether a statement of an answer does nothing that another answer could notice."""
    if isinstance(node, DEFINITIONS):
        return node.name not in taken(given)
    if isinstance(node, IMPORTS):
        return all(given.get(name, what) == what for name, what in imports(node).items())
    if isinstance(node, ASSIGNMENTS):
        return not changes_module(node, names) and not (stored(node) & taken(given))
    if isinstance(node, ast.If | ast.Try):
        parts = [*node.body, *node.orelse, *getattr(node, "finalbody", [])]
        parts += [part for handler in getattr(node, "handlers", []) for part in handler.body]
        return all(only_defines(part, given, names) for part in parts)
    if isinstance(node, ast.Expr):  # a docstring; a name, whose value a notebook shows
        quits = getattr(node.value, "id", None) in ("quit", "exit")
        return isinstance(node.value, ast.Constant | ast.Name) and not quits
    return isinstance(node, ast.Pass)


def taken(given):
    return given.keys() | vars(builtins).keys()


def stored(node):
    """The names that a statement gives a value."""
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
    }


def changes_module(node, names):
    """Whether an assignment writes into a module: np.exp = ..., os.environ["A"] = ..."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        inside = target
        while isinstance(inside, ast.Attribute | ast.Subscript):
            inside = inside.value
        is_module = names.get(getattr(inside, "id", None), ("", ""))[1] is None
        if inside is not target and is_module:
            return True
    return False


def parsed(source):
    """The tree of a cell; an empty one if it cannot run at all."""
    try:
        return ast.parse(python(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def python(source):
    """A cell as Python alone: IPython's magics become the calls that IPython makes of them."""
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(source)


def overwritten(source, given):
    """The names that a set imports and to which an answer gives another meaning, in order."""
    names = set()
    for node in parsed(source).body:
        if isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, IMPORTS):
            names |= {name for name, what in imports(node).items() if given.get(name) != what}
        else:
            names |= stored(node)
    return sorted(names & given.keys())
