"""What is said of a wrong answer on a page that a whole class sees: in words of ours alone.

The student's own page quotes the error, the warning or the line that they wrote. On this one,
whoever named an error, or worded its message, would choose what the class reads.
"""

import builtins

from coursekit.checking.contract import CLAUSES

AN_ERROR = "stops with an error"
ENDLESS = "does not come to an end"
OWN_VERSION = "calls numpygpt's own version of what you are to write"


def in_our_words(output, text):
    """What students were told of an output, without what one of them can have written."""
    if output == "warning":
        return "warns"
    if output == "parameters":
        return text.partition(":")[0]
    if output == "error":
        return error_of(text)
    return text


def error_of(text):
    """The kind of an error, if it is one of Python's own; or the clause that it breaks."""
    word, _, kind = text.partition(";")[0].partition(":")[0].partition(" ")
    if word == "raises":
        known = getattr(builtins, kind, None)
        is_error = isinstance(known, type) and issubclass(known, BaseException)
        return f"raises {kind}" if is_error else AN_ERROR
    ours = [ENDLESS, OWN_VERSION, *filter(None, CLAUSES.values())]
    return next((said for said in ours if text.startswith(said)), AN_ERROR)
