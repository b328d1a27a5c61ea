"""A lock on a folder: one process at a time writes there. Written by hand."""

import contextlib
import os
from pathlib import Path

from numpygpt.cli.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


def create(path, flags):
    """Open a file as `open` does, and make it where there is none; what is in it stays."""
    return os.open(path, flags | os.O_CREAT, 0o666)


class Lock:
    """The file `numpygpt.lock` in a folder, held until `release`, or until the process ends.

    It is the system that holds it, not the file: one that a killed process left stops nobody.

    Raises:
        UsageError: another process holds it.
        OSError: we cannot write there.
    """

    def __init__(self, folder):
        real = Path(os.path.realpath(folder))  # where a link leads to
        self.folder, self.path = folder, real / "numpygpt.lock"
        self.made = [p for p in (real, *real.parents) if not p.exists()]
        real.mkdir(parents=True, exist_ok=True)
        for _ in range(10):
            self.file = open(self.path, "r+b", opener=create)
            if not self.take() or self.is_there():
                break
            self.file.close()  # its owner has just removed it
        self.file.seek(0)
        self.file.write(b"process %-12d" % os.getpid())
        self.file.flush()

    def take(self):
        """Lock the open file, without waiting; return whether this disk knows locks."""
        try:
            if fcntl is None:
                os.lseek(self.file.fileno(), 1 << 30, os.SEEK_SET)  # far behind what others read
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if fcntl and not isinstance(error, BlockingIOError):
                return False
            self.file.seek(0)
            owner = self.file.read(20).decode("ascii", "replace").strip() or "another process"
            self.file.close()
            raise UsageError(
                f"{owner} of numpygpt writes in {self.folder}: wait for it, or name another folder"
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
            if fcntl is None:  # there an open file cannot be removed
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
