"""A set as a handout holds it: the cases of each task and what is right for them; no answers."""

import json
import zlib
from pathlib import Path

from coursekit.checking import wire
from coursekit.checking.judge import Reference
from coursekit.files import BookError, write
from coursekit.source import Page

FOLDER = Path(__file__).parents[2] / "handed_out"  # coursekit/handed_out, in a handout
# A NumPy of another system may warn where ours does not, and the answer is right all the same.
NOT_JUDGED_HERE = ("warnings",)


class StoredReference(Reference):
    """Right results that were computed where the handout was made."""

    def __init__(self, task, about, cases, expected):
        self.task, self.about, self.cases, self.expected = task, about, cases, expected
        self.without = (*about["without"], *NOT_JUDGED_HERE)

    def needs(self, blank):
        if other := self.about["others"].get(blank):
            return f"it calls {blank}, which is not written yet: that is {other}"
        return ""

    def suspects(self, table, wrong):
        return []  # a known mistake is an answer with one line changed

    def slips(self, table, wrong, text):
        return []


def save(folder, name, about, references):
    """Write a set.

    Args:
        about: what `load_about` returns.
        references: {task: Reference}.
    """
    write(folder / f"{name}.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    for task, reference in references.items():
        both = {"cases": reference.cases, "expected": reference.expected}
        write(folder / f"{task}.cases", zlib.compress(wire.dumps(both), 9))


def load_about(folder=FOLDER):
    """{name of a set: what is known of it}, in order."""
    try:
        paths = sorted(folder.glob("*.json"))
        return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}
    except (OSError, ValueError) as error:
        raise BookError(f"{folder} is damaged: unpack the handout again ({error})") from None


def page_of(name, about):
    """The page of a set, without answers."""
    return Page(f"book/exercises/{name}.py", **about["page"])


def find_task(task, folder=FOLDER):
    """What is known of a task, and of its set.

    Raises:
        BookError: no set here has it.
    """
    sets = load_about(folder)
    for about in sets.values():
        if task in about["tasks"]:
            return about["tasks"][task], about
    known = ", ".join(task for about in sets.values() for task in about["tasks"])
    raise BookError(f'there is no task "{task}" here: there are {known}')


def load_reference(task, folder=FOLDER):
    """The StoredReference of a task."""
    about, _ = find_task(task, folder)
    try:
        both = wire.loads(zlib.decompress((folder / f"{task}.cases").read_bytes()))
        return StoredReference(task, about, both["cases"], both["expected"])
    except (OSError, ValueError, zlib.error):
        raise BookError(f"{folder / task}.cases is damaged: unpack the handout again") from None
