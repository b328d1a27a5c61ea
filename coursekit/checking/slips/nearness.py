"""Whether a slip is a likely account of what a reader wrote: it brings our text nearer to theirs.

Two mistakes may give the same numbers. Who wrote `dy @ self.W`, where `self.W.T` is due, is not to
read of a `.T` too many, although another matrix, transposed twice, may give those numbers as well.
"""

import ast
import re
from collections import Counter
from itertools import pairwise

FAR = 0.75  # of the pairs of a text: what shares fewer is written in another way
TOKEN = re.compile(r"\w+|[*/<>=]{2}=?|[-+*/@%&|^<>=!]=|\S|\n")


def pairs(text):
    """How often each pair of neighboring tokens occurs in a piece of Python.

    Raises:
        SyntaxError: it is none.
    """
    return Counter(pairwise(TOKEN.findall(ast.unparse(ast.parse(text)))))


def distance(one, other):
    """How many pairs of tokens two Counters of them do not share."""
    return ((one - other) + (other - one)).total()


def nearer(text, sources):
    """A function of one of our sources and a change of it: has that brought it nearer to `text`?

    Args:
        text: what the reader wrote; where it is no Python, no change is nearer.
        sources: our right answers.
    """
    try:
        theirs = pairs(text)
    except SyntaxError:
        return lambda source, changed: False
    before = {source: distance(theirs, pairs(source)) for source in sources}
    near = FAR * theirs.total()
    return lambda source, changed: distance(theirs, pairs(changed)) < min(before[source], near)
