"""A file of a download, which may lie in a zip; it is read when somebody asks for it."""

import zipfile
import zlib
from dataclasses import dataclass

from coursekit.checking.answers import LARGEST
from coursekit.files import BookError
from coursekit.grading.names import shown

# What Python raises where a zip is damaged, encrypted, or too much.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
DAMAGED += (ValueError, OSError, OverflowError, MemoryError)


@dataclass
class Found:
    """A file of the download."""

    parts: tuple  # of its path: folders, zips that it lies in, its name
    time: float  # when it was changed; zips know no time zone
    open: object  # function of no arguments: a binary file

    @property
    def name(self):
        return self.parts[-1]

    @property
    def path(self):
        return shown("/".join(self.parts))

    def read(self, largest=None):
        """The bytes of the file.

        Args:
            largest: number of them; without it, as many as a notebook may have.

        Raises:
            BookError: they are too many, or cannot be read.
        """
        largest = LARGEST if largest is None else largest
        try:
            with self.open() as file:
                data = file.read(largest + 1)
        except DAMAGED as error:
            raise BookError(f"{self.path}: {reason(error)}") from None
        if len(data) > largest:
            raise BookError(f"{self.path} is larger than {largest >> 20} MB")
        return data


def reason(error):
    """What is wrong with a zip or a file, in words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, NotImplementedError):
        return "is compressed in a way that Python does not know: unpack it by hand"
    if "password" in str(error) or "encrypted" in str(error):
        return "is encrypted: it needs a password"
    return "is not a zip, or is damaged" if isinstance(error, zipfile.BadZipFile) else "is damaged"
