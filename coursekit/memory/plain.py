"""The formulas of a question as a terminal can show them."""

import re

FORMULA = re.compile(r"\$\$?([^$]+)\$\$?")
CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)


def plain(text):
    r"""Markdown with signs for what stands between dollars: `$x^\top dy$` becomes x^⊤ dy.

    Without pylatexenc it stays as it is, which a reader of TeX can read.
    """
    try:
        from pylatexenc.latex2text import LatexNodes2Text
    except ImportError:
        return text
    spaces = {"between-latex-constructs": True}  # or \log p is one word
    signs = LatexNodes2Text(math_mode="text", strict_latex_spaces=spaces)
    return "".join(
        part if CODE.fullmatch(part) else FORMULA.sub(lambda m: signs.latex_to_text(m[1]), part)
        for part in CODE.split(text)
    )
