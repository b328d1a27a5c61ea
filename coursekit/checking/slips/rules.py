"""The rules: what a hand that slips, or a mind that mixes up two things, makes of a line of NumPy.

A rule is given a node of the syntax tree and yields what may stand in its place: a node for an
expression, a list of statements for a statement. It never changes the node itself.
"""

import ast
from functools import cached_property


class Scope:
    """The function that a node stands in, and what its variables have been seen to hold."""

    def __init__(self, seen=None, function=None):
        self.seen, self.function = seen, function

    def within(self, function):
        return Scope(self.seen, function)

    @property
    def name(self):
        return getattr(self.function, "name", "<lambda>")

    @cached_property
    def locals(self):
        """Names that the function binds, in order, and attributes of self that it mentions."""
        names = {}
        for node in ast.walk(self.function) if self.function else ():
            if isinstance(node, ast.arg) and node.arg != "self":
                names.setdefault(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.setdefault(node.id)
            elif text := of_self(node):
                names.setdefault(text)
        return list(names)

    def forms(self, name):
        """The forms of a variable in each call that was seen: [("array", (2, 3), "f"), …]."""
        return (self.seen or {}).get(self.name, {}).get(name, ())

    def others(self, name):
        """What `name` may be mistaken for: others of one form with it, or else the next one."""
        if name not in self.locals or len(self.locals) < 2:
            return ()
        if self.seen is None:
            return [self.locals[(self.locals.index(name) + 1) % len(self.locals)]]
        same = self.seen.get(self.name, {}).get("is", {}).get(name, ())  # the object itself
        forms = set(self.forms(name))
        return [
            n for n in self.locals if n != name and n not in same and forms & set(self.forms(n))
        ]

    @cached_property
    def measured(self):
        """Nodes of which only the shape is read: x of x.shape, len(x), np.zeros_like(x)."""
        found = set()
        for node in ast.walk(self.function) if self.function else ():
            if isinstance(node, ast.Attribute) and node.attr in MEASURES:
                found.add(id(node.value))
            elif method_of(node) in MEASURES:
                found.update(map(id, node.args[:1]))
        return found

    @cached_property
    def rests(self):
        """The 1 of each x.reshape(-1, …): NumPy takes any negative length for the rest."""
        calls = [n for n in ast.walk(self.function or ast.Module([])) if method_of(n) == "reshape"]
        signs = [n for c in calls for a in c.args for n in ast.walk(a) if is_minus(n)]
        return {id(n.operand) for n in signs}

    def only_measured(self, node):
        return id(node) in self.measured

    def is_own(self, node):
        """Whether a variable holds a number, or an array that is nobody else's."""
        name = text_of(node)
        return self.kind(name) in ("int", "float", "bool", "str") or self.is_new(name)

    def is_new(self, name):
        """Whether a local array is nobody else's: each value it is given is a new one."""
        new = False
        if self.function is None or name is None or "." in name:
            return False
        for node in ast.walk(self.function):
            if isinstance(node, ast.arg) and node.arg == name:
                return False
            if isinstance(node, ast.Assign):
                if text_of(node.targets[0]) == name:
                    if not makes_new(node.value):
                        return False
                    new = True
                elif text_of(node.value) == name:
                    return False  # it has a second name
        return new

    def is_read_after(self, name, place):
        """Whether a variable is read below or right of a place, or the place is in a loop."""
        end = place.end_lineno, place.end_col_offset
        for node in ast.walk(self.function):
            if isinstance(node, (ast.For, ast.While, ast.comprehension)):
                if any(part is place for part in ast.walk(node)):
                    return True
            if text_of(node) == name and isinstance(node.ctx, ast.Load):
                if (node.lineno, node.col_offset) >= end:
                    return True
        return False

    def kind(self, name):
        """What a variable holds: "array", "float", "Generator", …; None if that is not known."""
        return next(iter(self.forms(name)), (None,))[0]


def is_minus(node):
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def of_self(node):
    """The text of an attribute of self: "self.W"."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id == "self":
            return f"self.{node.attr}"
    return None


MEASURES = "shape ndim size dtype len zeros_like ones_like empty_like".split()
NEW = (
    "dict list zeros zeros_like empty exp sqrt sum mean max min where einsum copy astype tanh log"
).split()


NEW_SYNTAX = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Dict, ast.List, ast.DictComp, ast.ListComp)


def reads(node, name):
    return any(text_of(part) == name for part in ast.walk(node))


def makes_new(value):
    """Whether an expression makes an array that nobody else has."""
    if isinstance(value, NEW_SYNTAX):
        return True
    return method_of(value) in NEW


def expression(text):
    return ast.parse(text, mode="eval").body


def call(function, *args):
    return ast.Call(expression(function), list(args), [])


def text_of(node):
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else None


def method_of(node):
    """The name of the function or method that a call names last: "sum" of np.sum(x), x.sum()."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "attr", None) or getattr(node.func, "id", None)


def replaced(node, **fields):
    """The node with other fields."""
    return type(node)(**(dict(ast.iter_fields(node)) | fields))


# Operators, signs, comparisons

OTHER = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.MatMult: [ast.Mult],
    ast.FloorDiv: [ast.Div],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.LShift: [ast.RShift],
    ast.RShift: [ast.LShift],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
COMMUTES = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)


def operator(node, scope):
    if isinstance(node, ast.BinOp):
        for other in OTHER.get(type(node.op), ()):
            yield replaced(node, op=other())
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in OTHER[type(op)]:
                yield replaced(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
    if isinstance(node, ast.BoolOp):
        yield replaced(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())


def sign(node, scope):
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.BinOp) or method_of(node) in NUMERIC:
        yield ast.UnaryOp(ast.USub(), node)


NUMERIC = "sum mean exp sqrt reshape einsum where log tanh outer dot matmul transpose".split()


def term(node, scope):
    """A term, factor or condition dropped."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
    elif isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            left = node.values[:i] + node.values[i + 1 :]
            yield left[0] if len(left) == 1 else replaced(node, values=left)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
        yield replaced(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)):
        for i, part in enumerate(node.generators):
            if part.ifs:
                free = replaced(part, ifs=[])
                parts = [*node.generators[:i], free, *node.generators[i + 1 :]]
                yield replaced(node, generators=parts)


# Numbers, axes, slices


def constant(node, scope):
    if not isinstance(node, ast.Constant) or id(node) in scope.rests:
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield from [ast.Constant(value - 1)] if value else [expression("-1")]
    elif isinstance(value, float):
        yield ast.Constant(2 * value if value else 1e-3)
        yield ast.Constant(value + 1)
        yield ast.Constant(0.0)


def keyword(node, scope):
    """axis=, keepdims=, dtype=, out=, … left out."""
    if isinstance(node, ast.Call):
        for i in range(len(node.keywords)):
            yield replaced(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def keepdims(node, scope):
    names = [k.arg for k in getattr(node, "keywords", ())]
    if "keepdims" not in names and method_of(node) in ("sum", "mean", "max", "min", "var"):
        kept = ast.keyword("keepdims", ast.Constant(True))
        yield replaced(node, keywords=[*node.keywords, kept])


def axes(node, scope):
    """Entries of a tuple or list dropped, or exchanged with their neighbors."""
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        parts = node.elts
        for i in range(len(parts) - 1):
            yield replaced(node, elts=[*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]])
        for i in range(len(parts) if len(parts) > 1 else 0):
            yield replaced(node, elts=parts[:i] + parts[i + 1 :])


def slice_ends(node, scope):
    if not isinstance(node, ast.Slice):
        return
    if node.lower:
        yield replaced(node, lower=None)
        if not isinstance(node.lower, ast.Constant):
            yield replaced(node, lower=ast.BinOp(node.lower, ast.Add(), ast.Constant(1)))
    else:
        yield replaced(node, lower=ast.Constant(1))
    if node.upper:
        yield replaced(node, upper=None)
        if not isinstance(node.upper, ast.Constant):
            for op in (ast.Add(), ast.Sub()):
                yield replaced(node, upper=ast.BinOp(node.upper, op, ast.Constant(1)))
    else:
        yield replaced(node, upper=expression("-1"))
    if node.step:
        yield replaced(node, step=None)


def range_ends(node, scope):
    """One round less, at either end."""
    if method_of(node) != "range" or not node.args:
        return
    where = min(1, len(node.args) - 1)
    fewer = ast.BinOp(node.args[where], ast.Sub(), ast.Constant(1))
    yield replaced(node, args=[*node.args[:where], fewer, *node.args[where + 1 :]])
    if len(node.args) == 1:
        yield replaced(node, args=[ast.Constant(1), *node.args])
    else:
        later = ast.BinOp(node.args[0], ast.Add(), ast.Constant(1))
        yield replaced(node, args=[later, *node.args[1:]])


def transpose(node, scope):
    """.T forgotten, or one too many."""
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield replaced(node, left=ast.Attribute(node.left, "T"))
        yield replaced(node, right=ast.Attribute(node.right, "T"))


# Exchanges


SYMMETRIC = "add multiply maximum minimum max min logaddexp".split()


def exchanged(node, scope):
    """Arguments, or the sides of an operator that does not commute."""
    if isinstance(node, ast.BinOp) and not isinstance(node.op, COMMUTES):
        yield replaced(node, left=node.right, right=node.left)
    if isinstance(node, ast.Call) and method_of(node) not in SYMMETRIC:
        a = node.args
        if method_of(node) == "swapaxes" and len(a) == 2:
            return
        for i in range(len(a) - 1):
            yield replaced(node, args=[*a[:i], a[i + 1], a[i], *a[i + 2 :]])


def variable(node, scope):
    """A variable for another of its shape; a generator of random numbers for a new one."""
    name = text_of(node)
    if name is None or not isinstance(node.ctx, ast.Load):
        return
    if scope.only_measured(node):
        return  # for another of its shape
    for other in scope.others(name):
        yield expression(other)
    if scope.kind(name) == "Generator":
        yield expression("np.random.default_rng(0)")


FUNCTIONS = {
    "sum": ["mean"],
    "mean": ["sum"],
    "max": ["min"],
    "min": ["max"],
    "maximum": ["minimum"],
    "minimum": ["maximum"],
    "argmax": ["argmin"],
    "argmin": ["argmax"],
    "any": ["all"],
    "all": ["any"],
    "zeros": ["ones", "empty"],
    "zeros_like": ["ones_like", "empty_like"],
    "ones": ["zeros"],
    "ones_like": ["zeros_like"],
    "exp": ["exp2", "expm1"],
    "log": ["log2", "log1p"],
    "floor": ["ceil"],
    "ceil": ["floor"],
    "tril": ["triu"],
    "triu": ["tril"],
    "sin": ["cos"],
    "cos": ["sin"],
    "tanh": ["sinh"],
    "var": ["std"],
    "std": ["var"],
    "append": ["extend"],
    "extend": ["append"],
    "repeat": ["tile"],
    "tile": ["repeat"],
    "items": ["keys"],
    "float32": ["float64", "float16"],
    "float64": ["float32"],
    "int64": ["int32"],
    "uint16": ["uint32", "int16"],
    "uint32": ["int32", "uint16"],
    "startswith": ["endswith"],
    "endswith": ["startswith"],
}


def function(node, scope):
    """One function for its neighbor, one dtype for another."""
    if isinstance(node, ast.Attribute):
        for other in FUNCTIONS.get(node.attr, ()):
            yield replaced(node, attr=other)
    if isinstance(node, ast.Name):
        for other in {"max": ["min"], "min": ["max"], "float": ["int"], "any": ["all"]}.get(
            node.id, ()
        ):
            yield ast.Name(other)
    if isinstance(node, ast.Constant) and node.value in ("float32", "float64"):
        yield ast.Constant("float64" if node.value == "float32" else "float32")


def call_dropped(node, scope):
    """A function not applied: x for np.exp(x), x for x.copy(), x for self.norm(x)."""
    if isinstance(node, ast.Call) and method_of(node) != "float":
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if owner is not None and ast.unparse(owner) not in ("np", "math", "self", "np.random"):
            yield owner
        if node.args and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]


# Memory


def in_place(node, scope):
    """The left side of an operator, which holds an array that others see, takes the result."""
    if isinstance(node, ast.BinOp) and scope.kind(name := text_of(node.left)) == "array":
        if scope.is_new(name) and not scope.is_read_after(name, node):
            return  # nobody sees it
        ufunc = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}
        if type(node.op) in ufunc:
            out = ast.keyword("out", node.left)
            yield replaced(
                call(f"np.{ufunc[type(node.op)]}", node.left, node.right), keywords=[out]
            )


def assignment(node, scope):
    """+= for = and back, a copy for in place, and the reverse."""
    if isinstance(node, ast.AugAssign):
        yield [ast.Assign([node.target], node.value, lineno=0)]
        for other in OTHER.get(type(node.op), ()):
            yield [replaced(node, op=other())]
        if not isinstance(node.target, ast.Subscript) and not scope.is_own(node.target):
            copied = ast.BinOp(node.target, node.op, node.value)
            yield [ast.Assign([node.target], copied, lineno=0)]
        if not isinstance(node.op, (ast.BitOr, ast.BitAnd)):
            yield [node, node]
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        # Without knowing what it holds, most would stop at once: nothing is there to add to.
        if not isinstance(target, ast.Tuple if scope.seen is not None else (ast.Tuple, ast.Name)):
            yield [ast.AugAssign(target, ast.Add(), node.value)]
        if isinstance(target, ast.Subscript) and ast.unparse(target.slice) in ("...", ":"):
            yield [ast.Assign([target.value], node.value, lineno=0)]
        if isinstance(target, ast.Name) and scope.kind(target.id) == "array":
            if scope.is_own(target) and reads(node.value, target.id):
                return  # the same
            filled = ast.Subscript(target, expression("..."))
            yield [ast.Assign([filled], node.value, lineno=0)]


def cache(node, scope):
    """What is kept for the backward pass: kept once for all layers, or given up, or handed out."""
    if isinstance(node, ast.Assign) and of_self(node.targets[0]):
        everyones = ast.Attribute(expression("type(self)"), node.targets[0].attr)
        yield [ast.Assign([everyones], node.value, lineno=0)]
    if isinstance(node, ast.Return) and node.value is not None and scope.function is not None:
        result = ast.Assign([ast.Name("_result")], node.value, lineno=0)
        for name in scope.locals:
            if name.startswith("self.") and scope.kind(name):
                yield [result, *ast.parse(f"{name} = None\nreturn _result").body]
                if scope.kind(name) == "array" and scope.name != "__init__":
                    yield [result, *ast.parse(f"{name} *= 2\nreturn _result").body]


BUFFER = """
if np.shape(getattr({owner}, '_buffer', None)) == np.shape(_result):
    {owner}._buffer[...] = _result
else:
    {owner}._buffer = _result
return {owner}._buffer
"""


def buffer(node, scope):
    """What is returned is the same array each time, filled anew."""
    if isinstance(node, ast.Return) and node.value is not None:
        if scope.kind("return") == "array":
            arguments = [a.arg for a in scope.function.args.args]
            if "self" in arguments:
                result = ast.Assign([ast.Name("_result")], node.value, lineno=0)
                yield [result, *ast.parse(BUFFER.format(owner="self")).body]


def dtype(node, scope):
    """A result in half the precision; in twice as much, whatever was given."""
    if isinstance(node, ast.Return) and scope.kind("return") == "array":
        for name in ("float32", "float64"):
            yield [ast.Return(call("np.asarray", node.value, expression(f"np.{name}")))]


# Statements


def dropped(node, scope):
    if isinstance(node, ast.Return):
        if node.value is not None and ast.unparse(node.value) != "None":
            yield [ast.Return()]
    elif isinstance(node, ast.If) and node.orelse:
        pass  # `guard` has both branches
    elif not isinstance(node, (ast.Pass, ast.FunctionDef)):
        yield []


def guard(node, scope):
    if isinstance(node, (ast.If, ast.While)):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield [replaced(node, test=negated)]
    if isinstance(node, ast.If):
        yield node.body
        if node.orelse:
            yield node.orelse
    if isinstance(node, ast.Break):
        yield [ast.Continue()]
    if isinstance(node, ast.Continue):
        yield [ast.Break()]
    if isinstance(node, ast.With):
        yield node.body
    if isinstance(node, ast.Try):
        yield [*node.body, *node.orelse, *node.finalbody]


def order(first, second):
    """Two lines exchanged, unless it is plain that neither cares for the other."""
    if not isinstance(second, ast.FunctionDef) and not independent(first, second):
        yield [second, first]


PURE = (
    "sum mean reshape transpose max min exp sqrt einsum argmax var log tanh astype zeros arange"
    " zeros_like ones_like empty_like empty ones len int float where maximum minimum array asarray"
    " copy swapaxes ndindex range list tuple dict set expand_dims outer prod norm cumsum items"
    " at errstate softmax log_softmax softmax_backward take_along_axis eye broadcast_to"
    " params grads values keys zip enumerate sorted log1p cos sin tril triu concatenate stack erf"
).split()
LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue, ast.Yield, ast.FunctionDef)


def independent(first, second):
    """Whether both only compute, by known functions, and neither reads what the other binds."""
    bound, read = [set(), set()], [set(), set()]
    for i, statement in enumerate((first, second)):
        for node in ast.walk(statement):
            if isinstance(node, LEAVES) or isinstance(node, ast.Call) and not known(node):
                return False
            stored = isinstance(getattr(node, "ctx", None), ast.Store)
            while stored and isinstance(node, ast.Subscript):
                node = node.value
            if name := text_of(node):
                (bound if stored else read)[i].add(name)
            if method_of(node) == "at":  # np.add.at(a, …)
                bound[i].add(ast.unparse(node.args[0]))
    return not (bound[0] & (bound[1] | read[1]) or bound[1] & read[0])


def known(call):
    return method_of(call) in PURE


EXPRESSION_RULES = {
    "operator": operator,
    "sign": sign,
    "term": term,
    "constant": constant,
    "keyword": keyword,
    "keepdims": keepdims,
    "axes": axes,
    "slice": slice_ends,
    "range": range_ends,
    "transpose": transpose,
    "exchanged": exchanged,
    "variable": variable,
    "function": function,
    "call": call_dropped,
    "in place": in_place,
}
STATEMENT_RULES = {
    "assignment": assignment,
    "cache": cache,
    "buffer": buffer,
    "dtype": dtype,
    "dropped": dropped,
    "guard": guard,
}
PAIR_RULES = {"order": order}
