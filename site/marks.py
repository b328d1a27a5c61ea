"""Our answers as a page shows them."""

from coursekit.source import BEGIN, END


def without_marks(source):
    """An answer without the lines that say where it begins and ends."""
    return "\n".join(line for line in source.split("\n") if line.strip() not in (BEGIN, END))
