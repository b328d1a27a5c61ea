"""All files of a download, as it comes: a folder, a zip, zips in them. Nothing is unpacked to disk.

Names in a zip are data and never paths. A zip may lie about the size of what it holds, or hold
itself: so bytes are counted as they come out, and there is a limit to everything.
"""

import io
import os
import stat
import time
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from coursekit.classroom.found import DAMAGED, Found, reason
from coursekit.files import BookError, failed

MOST_FILES = 200_000  # in a download
MOST_IN_ONE = 20_000  # in a zip inside it: a student's, not the class's
DEEPEST = 4  # zips in a zip
LARGEST_ZIP = 256 << 20  # bytes of a zip inside another
MOST_BYTES = 8 << 30  # that zips inside others have together
# Made by systems and editors, not by students.
JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".git", "__pycache__", ".venv"}
JUNK |= {".ipynb_checkpoints", "node_modules", ".vscode", ".idea"}


@dataclass
class Download:
    """What a download holds."""

    files: list = field(default_factory=list)
    folders: set = field(default_factory=set)  # parts of each, also of an empty one
    junk: int = 0  # files that systems made
    repositories: set = field(default_factory=set)  # parts of each folder that holds a .git
    problems: list = field(default_factory=list)  # pairs of parts and words: what was not read
    bytes: int = 0

    def add_folder(self, place, parts=()):
        """Add a folder of the disk. Links are not followed."""
        try:
            with os.scandir(place) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not parts:
                raise BookError(failed(error)) from None
            self.problems.append((parts, error.strerror))
            return
        for entry in entries:
            here = (*parts, entry.name)
            if self.is_junk(here):
                continue
            if entry.is_symlink():
                self.problems.append((here, "is a link, which is not followed"))
            elif entry.is_dir():
                self.folders.add(here)
                self.add_folder(entry.path, here)
            elif entry.is_file():
                path = Path(entry.path)
                self.add(Found(here, entry.stat().st_mtime, partial(path.open, "rb")))
            else:
                self.problems.append((here, "is not an ordinary file"))

    def add(self, found, depth=0):
        """Add a file, or what it holds if it is a zip."""
        if len(self.files) >= MOST_FILES:
            raise BookError(f"the download holds more than {MOST_FILES:,} files")
        if not found.name.casefold().endswith(".zip"):
            self.files.append(found)
        elif depth >= DEEPEST:
            self.problems.append((found.parts, f"lies in {DEEPEST} other zips: it is not opened"))
        else:
            self.add_inner_zip(found, depth)

    def add_inner_zip(self, found, depth):
        try:
            self.bytes += len(found.read(LARGEST_ZIP))
            if self.bytes > MOST_BYTES:
                raise BookError(f"the zips hold more than {MOST_BYTES >> 30} GB together")
            self.add_zip(lambda: io.BytesIO(found.read(LARGEST_ZIP)), found.parts, depth + 1)
        except BookError as error:
            self.problems.append((found.parts, str(error).removeprefix(f"{found.path}: ")))
        except DAMAGED as error:
            self.problems.append((found.parts, reason(error)))

    def add_zip(self, source, parts=(), depth=0):
        """Add what a zip holds.

        Args:
            source: its path; or a function that gives a file in memory: a class's zips would not
                all fit there, so each is read again for each of its files that is asked for.
        """
        is_path = isinstance(source, Path)
        archive = zipfile.ZipFile(source if is_path else source())
        entries = archive.infolist()
        if depth and len(entries) > MOST_IN_ONE:
            raise BookError(f"holds more than {MOST_IN_ONE:,} files: it is not opened")
        for entry in sorted(entries, key=lambda entry: entry.filename):
            here = (*parts, *safe_parts(name_of(entry)))
            if self.is_junk(here) or here == parts:
                continue
            self.folders |= {here[:end] for end in range(max(len(parts), 1), len(here))}
            if entry.is_dir():
                self.folders.add(here)
            elif stat.S_ISLNK(entry.external_attr >> 16):
                self.problems.append((here, "is a link, which is not followed"))
            elif entry.flag_bits & 1:
                self.problems.append((here, "is encrypted: it needs a password"))
            else:
                opened = archive.open if is_path else again(source)
                self.add(Found(here, time_of(entry), partial(opened, entry)), depth)

    def is_junk(self, parts):
        """Whether this was made by a system; a repository is remembered."""
        names = [n for n, part in enumerate(parts) if part in JUNK or part.startswith("._")]
        if names and parts[names[0]] == ".git":
            self.repositories.add(parts[: names[0]])
            self.folders.add(parts[: names[0]])
        self.junk += bool(names)
        return bool(names)


def read_download(path):
    """The Download in a folder or a zip.

    Raises:
        BookError: there is none.
    """
    path, download = Path(path), Download()
    if path.is_dir():
        download.add_folder(path)
    elif path.is_file():
        try:
            download.add_zip(path)
        except DAMAGED as error:
            raise BookError(f"{path}: {reason(error)}") from None
    else:
        raise BookError(f"{path}: there is no such folder or zip")
    return download


def again(source):
    """A function that opens an entry of a zip which is not kept in memory."""

    def opened(entry):
        archive = zipfile.ZipFile(source())
        return archive.open(entry)

    return opened


def name_of(entry):
    """The name of a zip's entry. Without the flag for UTF-8 it may be UTF-8 all the same."""
    if not entry.flag_bits & 0x800:
        try:
            return entry.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return entry.filename


def safe_parts(name):
    """The parts of a path in a zip that lead down, and nowhere else."""
    parts = name.replace("\\", "/").replace("\0", "").split("/")
    return tuple(part for part in parts if part.strip(". ") and not part.endswith(":"))


def time_of(entry):
    try:
        return time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
