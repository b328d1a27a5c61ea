"""How far the reader is, so that no card asks what they have not read yet.

The last chapter that they named themselves, or whose exercises they have begun: the later one.
"""

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


def reached(root=ROOT):
    """The number of the last chapter that the reader has read, as far as we can tell."""
    if progress.folder() is None:
        return 0
    begun = {path.stem for path in progress.folder().glob("*.json")}
    sets = [int(name[:2]) for task, name in task_ids(root).items() if task in begun]
    return max([load(FILE, names_chapter).get("upto", 0), *sets])


def remember(number):
    """Keep the chapter that the reader named."""
    save(FILE, load(FILE, names_chapter) | {"upto": number})


def names_chapter(known):
    return type(known.get("upto", 0)) is int
