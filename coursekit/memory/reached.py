"""How far the reader is, so that no card asks what they have not read yet.

The latest of: a chapter that they named themselves, those whose exercises they have begun, and the
one whose notebook asks. It is remembered.
"""

import os
from pathlib import Path

from coursekit.address import ROOT
from coursekit.checking import progress
from coursekit.checking.tasks import task_ids
from coursekit.files import BookError
from coursekit.memory.history import load, save
from coursekit.source import page_names

FILE = "review"  # of .progress/: what the reader named


def chapter(text, root=ROOT):
    """The number of the chapter that a reader means by "9", "09" or "09_layernorm"."""
    names = page_names(root, "chapters")
    for name in names:
        if str(text) in (name, name[:2], f"{int(name[:2])}"):
            return int(name[:2])
    raise BookError(f"there is no chapter {text}: there are {names[0][:2]} to {names[-1][:2]}")


def reached(upto=None, root=ROOT):
    """The number of the last chapter that the reader has read: `upto`, or as far as we know."""
    known = load(FILE, names_chapter)
    if upto is not None:
        last = chapter(upto, root)
    else:
        last = max([known.get("upto", 0), opened(root), *begun(root)])
    if known.get("upto", 0) != last:
        save(FILE, known | {"upto": last})
    return last


def begun(root):
    """The chapters whose exercises the reader has begun."""
    if progress.folder() is None:
        return []
    done = {path.stem for path in progress.folder().glob("*.json")}
    return [int(name[:2]) for task, name in task_ids(root).items() if task in done]


def opened(root):
    """The chapter whose notebook this is; 0 in others and in a terminal."""
    name = Path(os.environ.get("JPY_SESSION_NAME", "")).stem  # set by JupyterLab
    return chapter(name, root) if name in page_names(root, "chapters") else 0


def names_chapter(known):
    return type(known.get("upto", 0)) is int
