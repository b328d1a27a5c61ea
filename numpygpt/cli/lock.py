"""A lock on a folder: one process at a time writes there. Written by hand."""

import contextlib
import os
from pathlib import Path

from numpygpt.cli.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt


class Lock:
    """The file `numpygpt.lock` in a folder, held until `release`, or until the process ends.

    It is the system that holds it, not the file: one that a killed process left stops nobody.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, folder):
        folder = Path(os.path.realpath(folder))  # where a link leads to
        self.made = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "numpygpt.lock"
        self.file = open(self.path, "a+b")
        for _ in range(10):
            if not self.take() or self.is_there():
                break
            self.file.close()  # its owner has just removed it
            self.file = open(self.path, "a+b")
        self.file.truncate(0)
        self.file.write(b"process %d" % os.getpid())
        self.file.flush()

    def take(self):
        """Lock the open file, without waiting; return whether this disk knows locks."""
        try:
            if os.name == "nt":
                os.lseek(self.file.fileno(), 1 << 30, os.SEEK_SET)  # far behind what others read
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if os.name != "nt" and not isinstance(error, BlockingIOError):
                return False
            self.file.seek(0)
            owner = self.file.read(30).decode("ascii", "replace") or "another process"
            self.file.close()
            raise UsageError(
                f"{owner} of numpygpt writes in {self.path.parent}: wait for it, or name another "
                "folder"
            ) from None
        return True

    def is_there(self):
        """Whether the file that we hold is still the one in the folder."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        return False

    def release(self):
        """Set the folder free; take away what we made there, if nothing came into it."""
        if self.file.closed:
            return
        with contextlib.suppress(OSError):
            if os.name == "nt":  # where an open file cannot be removed
                self.file.close()
            if self.file.closed or self.is_there():
                self.path.unlink()
        self.file.close()
        with contextlib.suppress(OSError):
            for folder in self.made:
                folder.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
