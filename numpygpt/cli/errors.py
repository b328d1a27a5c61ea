"""What the commands raise for a user's mistake, and how it is told. Written by hand."""

import contextlib

from numpygpt.checkpoint import CheckpointError
from numpygpt.data import DataError
from numpygpt.distributed import DistributedError
from numpygpt.training import DivergedError


class UsageError(Exception):
    """A mistake of the user's: the program prints this one line and ends with exit code 2."""


# OSError: a disk that is full, a folder that is not ours. RecursionError: JSON nested without end.
MISTAKES = (UsageError, DataError, CheckpointError, DistributedError, DivergedError)
MISTAKES += (OSError, MemoryError, RecursionError)


@contextlib.contextmanager
def writing(path):
    """Name what could not be written: the error of a full disk does not."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error})") from None


def message_of(error):
    """Return the one line that tells a mistake."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename or 'writing'}: {error.strerror or error}"
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory ({text or 'it is full'}): try a smaller model or batch"
    elif isinstance(error, RecursionError):
        text = f"a file is nested too deeply ({text})"
    return one_line(text)


def one_line(text, longest=600):
    """Return `text` without line breaks and control characters, its middle left out if long."""
    # A message may quote a file, and a file may hold anything.
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"
