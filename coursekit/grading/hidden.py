"""What a sandbox may read, and what of that must not be seen: the answers, and others' work."""

import os
import sys
from pathlib import Path

from coursekit.checking.tasks import ROOT, set_names

SYSTEM = ["/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives"]
# Of a Python, or of /usr, what programs need: a clone of a repository may lie beside it.
PARTS = ["bin", "lib", "lib32", "lib64", "libexec", "share", "pyvenv.cfg"]


def readable():
    """The paths that Python needs, and no more: of /etc only what finds libraries."""
    prefixes = ["/usr", "/usr/local", sys.base_prefix, sys.prefix]
    prefixes.append(str(Path(sys.executable).resolve().parents[1]))
    parts = [os.path.join(prefix, part) for prefix in prefixes for part in PARTS]
    return [path for path in dict.fromkeys(SYSTEM + parts) if os.path.lexists(path)]


def masked(paths, private):
    """Which folders and files below `paths` to cover: (folders, files).

    Args:
        paths: what the sandbox can read.
        private: folders that it must not see. One of them may hold a Python that it needs; then
            only that Python can be read, and the folder itself is not there.
    """
    places = [path for path in paths if not os.path.islink(path)]
    folders, files = copies(tuple(places))
    for folder in map(os.path.realpath, private):
        for place in places:
            if is_below(folder, real := os.path.realpath(place)):
                folders = folders | {place + folder[len(real) :]}
    return sorted(folders), sorted(files)


def copies(places):
    """What lies below `places` and may be of the book: a set of folders, and one of files."""
    folders, files, names = set(), set(), set(set_names())
    for place in places:
        for folder, inside, names_here in os.walk(place):
            for name in [name for name in inside if is_ours(name)]:
                inside.remove(name)
                folders.add(os.path.join(folder, name))
            for name in names_here:
                stem, ending = os.path.splitext(name)
                if is_ours(name) or ending in (".py", ".ipynb", ".json") and stem in names:
                    files.add(os.path.join(folder, name))
    return folders, {path for path in files if not os.path.islink(path)}


def is_ours(name):
    """Whether this may be a copy of the book, a package of it, or a clone."""
    return name.casefold().startswith(("numpygpt", "coursekit"))


def is_below(path, place):
    return path == place or path.startswith(place.rstrip("/") + "/")


def private_folders(submissions, out, scratch):
    """What a student's code must never see."""
    return [ROOT, Path(submissions), Path(out), Path(scratch)]
