"""What became of a line, in words that end the sentence "it is what comes out if ..."."""

import ast

from coursekit.checking.slips.rules import method_of, of_self

SIGNS = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"},
    **{ast.FloorDiv: "//", ast.Mod: "%", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"},
    **{ast.LShift: "<<", ast.RShift: ">>", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">"},
    **{ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not"},
    **{ast.In: "in", ast.NotIn: "not in", ast.And: "and", ast.Or: "or"},
}
TERMS = {ast.Add: "term", ast.Sub: "term", ast.Mult: "factor", ast.Div: "factor", ast.Pow: "power"}


def in_words(rule, old, new):
    """What `rule` has made of `old`, a node, by putting the nodes `new` in its place; "" if that
    is nothing that a reader would recognize."""
    say = WORDS.get(rule)
    return say(old, new) if say else ""


def stands_for(one, other):
    return f"`{one}` stands where `{other}` should"


def operator(old, new):
    [new] = new
    if isinstance(old, ast.Compare):
        pairs = zip(new.ops, old.ops, strict=True)
        [(one, other)] = [(a, b) for a, b in pairs if type(a) is not type(b)]
    else:
        one, other = new.op, old.op
    return stands_for(SIGNS[type(one)], SIGNS[type(other)])


def term(old, new):
    if isinstance(old, ast.BinOp):
        return f"a {TERMS.get(type(old.op), 'part')} is left out"
    return (
        "one of two ways is always taken"
        if isinstance(old, ast.IfExp)
        else ("a condition is left out")
    )


def constant(old, new):
    if isinstance(old.value, bool):
        return stands_for(not old.value, old.value)
    if isinstance(old.value, int):
        return "a whole number, such as an axis, a bound or a factor, is one off"
    return "a constant is another one"


def keyword(old, new):
    gone = [k.arg for k in old.keywords]
    for kept in new[0].keywords:
        gone.remove(kept.arg)  # one of them: there may be several **
    return f"`{gone[0]}=` is left out" if gone[0] else ""


def axes(old, new):
    if len(new[0].elts) < len(old.elts):
        return "an entry of a tuple or a list is left out"
    return "two entries of a tuple or a list, such as axes or results, are exchanged"


def transpose(old, new):
    return "a `.T` is missing" if isinstance(old, ast.Attribute) else "there is a `.T` too many"


def exchanged(old, new):
    if isinstance(old, ast.BinOp):
        return f"the two sides of `{SIGNS[type(old.op)]}` are exchanged"
    return f"two arguments of `{method_of(old)}` are exchanged"


def variable(old, new):
    return "one variable stands where another should"


def function(old, new):
    if isinstance(old, ast.Attribute):
        return stands_for(new[0].attr, old.attr)
    if isinstance(old, ast.Name):
        return stands_for(new[0].id, old.id)
    return ""


def call(old, new):
    return f"`{method_of(old)}` is left out" if method_of(old) else ""


def assignment(old, new):
    if len(new) == 2:
        return "a line is there twice"
    if isinstance(old, ast.AugAssign) and isinstance(new[0], ast.AugAssign):
        return stands_for(f"{SIGNS[type(new[0].op)]}=", f"{SIGNS[type(old.op)]}=")
    if isinstance(old, ast.AugAssign):
        sign = f"{SIGNS[type(old.op)]}="
        return "" if isinstance(new[0].value, ast.BinOp) else stands_for("=", sign)
    return stands_for("+=", "=") if isinstance(new[0], ast.AugAssign) else ""


def dropped(old, new):
    target = old.targets[0] if isinstance(old, ast.Assign) else getattr(old, "target", None)
    name = of_self(target)
    return f"the line that sets `{name}` is left out" if name else "a line is left out"


def guard(old, new):
    if isinstance(old, ast.If):
        return (
            "a condition is turned around"
            if isinstance(new[0], ast.If)
            else ("a condition is left out")
        )
    return ""


WORDS = {
    "operator": operator,
    "sign": lambda old, new: "a sign is turned",
    "term": term,
    "constant": constant,
    "keyword": keyword,
    "keepdims": lambda old, new: "there is a `keepdims=True` too many",
    "axes": axes,
    "slice": lambda old, new: "a slice begins or ends elsewhere",
    "range": lambda old, new: "a loop runs a round less",
    "transpose": transpose,
    "exchanged": exchanged,
    "variable": variable,
    "function": function,
    "call": call,
    "assignment": assignment,
    "dropped": dropped,
    "guard": guard,
    "order": lambda old, new: "two lines are exchanged",
}
