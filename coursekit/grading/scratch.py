"""The grader's temporary folder: nobody else looks into it, and none is left behind."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "coursekit-grade-"
LOCK = "in use"
AN_HOUR = 3600


@contextmanager
def scratch_folder():
    """A folder of ours alone, removed at the end; those of graders that were killed go first."""
    remove_left_over()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # with 0700
    try:
        # The kernel lets go of a lock when its process ends, however it ends.
        with open(folder / LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_over():
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if not (folder / LOCK).exists() and time.time() > folder.stat().st_mtime + AN_HOUR:
                shutil.rmtree(folder, ignore_errors=True)  # its grader was killed at once
            with open(folder / LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
