"""What the commands raise for a user's mistake, and how it is told. Written by hand."""

from numpygpt.checkpoint import CheckpointError
from numpygpt.data import DataError
from numpygpt.distributed import DistributedError
from numpygpt.training import DivergedError


class UsageError(Exception):
    """A mistake of the user's: the program prints this one line and ends with exit code 2."""


# OSError: a disk that is full, a folder that is not ours.
MISTAKES = (UsageError, DataError, CheckpointError, DistributedError, DivergedError, OSError)


def message_of(error):
    """Return the one line that tells a mistake."""
    if isinstance(error, OSError):
        return f"{error.filename or 'writing'}: {error.strerror or error}"
    return str(error)
