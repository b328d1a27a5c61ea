"""Files, of which none is ever half-written or lost; what we print; the one error that we raise."""

import os
import sys
from pathlib import Path


class BookError(Exception):
    """A mistake in the book or in the reader's notebook: one line that says what to mend."""

    def _render_traceback_(self):
        # IPython calls this: a reader sees the line, not the exporter's own frames.
        return [str(self)]


def write(path, text):
    """Write `text`, a string or bytes, to `path`: all of it or nothing."""
    path = Path(path)
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    temporary = path.with_name(f".{path.name[:20]}.{os.getpid()}")  # no longer than the name may be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:  # names the file that was to be written, not the one beside it
        raise OSError(error.errno, error.strerror, str(path)) from None


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
    write(old, path.read_bytes())
    return old


def failed(error):
    """One line for an OSError: which file, and what is wrong with it."""
    what = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {what}" if error.filename else what


def say(*lines):
    """Print lines. "?" stands for what the console's code page cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print("\n".join(lines).encode(encoding, "replace").decode(encoding, "replace"))
