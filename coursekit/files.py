"""Writing files so that none is ever half-written or lost; the one kind of error we raise."""

import os
from pathlib import Path


class BookError(Exception):
    """A mistake in the book or in the reader's notebook: one line that says what to mend."""

    def _render_traceback_(self):
        # IPython calls this: a reader sees the line, not the exporter's own frames.
        return [str(self)]


def write(path, text):
    """Write `text` to `path` as UTF-8, all of it or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path):
    """The text of `path`, or None if there is no such file."""
    try:
        return Path(path).read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def keep_old(path):
    """Keep a copy of `path` beside it as `.old1`, `.old2`, ...; return the copy's path."""
    number = 1
    while (old := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    write(old, read(path))
    return old
