"""What of a student's hand-in goes into the student's folder."""

import hashlib
import json
import re
from collections import defaultdict

from coursekit.checking.answers import cells_of, grade_id
from coursekit.checking.tasks import set_names, task_ids
from coursekit.classroom.collected import folder_name
from coursekit.files import BookError, keep_old, read, write
from coursekit.grading.names import shown
from coursekit.grading.submission import ENDING

NOTEBOOK = re.compile(f".*{ENDING}", re.IGNORECASE)
FEW = 3  # files of a student that are printed


def take(items, folder, known, report):
    """Put the newest notebook of each set into a student's folder."""
    choices, left = defaultdict(list), []
    for item in items:
        if item.found is None or is_progress(item) and take_progress(item, folder):
            continue
        if not NOTEBOOK.fullmatch(item.parts[-1]):
            left.append(shown("/".join(item.parts)))
        else:
            try:
                data = item.found.read()
            except BookError as error:
                report.troubles.append(f"{folder.name}: {error}")
                continue
            choices[target(item.parts[-1], data)].append((item, data))
    if left:
        more = f", and {len(left) - FEW} more" if len(left) > FEW else ""
        report.left.append(f"{folder.name}: {', '.join(left[:FEW])}{more}")
    if not choices:
        report.nothing.append(folder.name)
    for name, found in sorted(choices.items()):
        found.sort(key=lambda pair: rank(pair[0], name))
        item, data = found[-1]
        remarks = [f"{name} was handed in late"] if item.late else []
        for other, its_data in found[:-1]:
            if its_data != data:
                which = shown(other.when) or shown(other.found.path)  # as in the download
                remarks.append(f"{len(found)} of {name}: the newest was taken, and not {which}")
        remarks += put(folder / name, item, data, known, report)
        known.notebooks.setdefault(name, {})["remarks"] = remarks
        report.remarks += [f"{folder.name}: {remark}" for remark in remarks]


def rank(item, name):
    """Later hand-ins come last; in one of them what has the set's name, and lies on top."""
    return item.order, item.parts[-1].casefold() == name, -len(item.parts), item.found.time


def put(path, item, data, known, report):
    """Write a notebook; return the remarks. What another run put there is kept beside it."""
    digest = hashlib.sha256(data).hexdigest()
    about = {"sha256": digest, "from": item.found.path, "order": list(item.order)}
    about |= {"when": item.when, "late": item.late, "variant": variant_of(data)}
    before = known.notebooks.get(path.name, {})
    there = path.read_bytes() if path.is_file() else None
    if there == data:
        report.same += 1
        known.notebooks[path.name] = about
        return []
    if there is not None and before.get("order", []) > about["order"]:
        report.same += 1
        return [f"{path.name} is newer than the one of this download: it stays"]
    remarks = []
    if there is not None:
        remarks = [f"{path.name} has changed; the old one is kept as {keep_old(path).name}"]
    write(path, data)
    report.new += 1
    known.notebooks[path.name] = about
    return remarks


def variant_of(data):
    """The key of the handout that a notebook comes from, or ""."""
    try:
        cells_of("", data)  # refuses what would fill the memory
        return str(json.loads(data)["metadata"]["numpygpt"]["variant"])
    except (BookError, KeyError, TypeError):
        return ""


def target(name, data):
    """What a notebook is called in a student's folder: by its name, or by most of its answers."""
    for set_name in set_names():
        if set_name in name.casefold():
            return f"{set_name}.ipynb"
    try:
        homes = task_ids()
        tasks = map(grade_id, cells_of(name, data))
        sets = [homes[task] for task in tasks if task in homes]
    except BookError:  # `grade` says so, of one student
        sets = []
    stem = re.sub(f"{ENDING}$", "", name, flags=re.IGNORECASE)
    return f"{max(sets, key=sets.count) if sets else folder_name(stem)}.ipynb"


def is_progress(item):
    """Whether this is what `check` and `hint` keep: .progress/TASK.json."""
    return item.parts[-2:-1] == (".progress",) and item.found.name.endswith(".json")


def take_progress(item, folder):
    """Keep a file of progress; return whether it is one."""
    try:
        data = item.found.read(1 << 16)
        task = item.found.name.removesuffix(".json")
        if task not in task_ids() or not isinstance(json.loads(data), dict):
            return False
    except (BookError, ValueError, RecursionError):
        return False
    path = folder / ".progress" / f"{task}.json"
    if read(path) != data.decode("utf-8", "replace"):
        write(path, data)
    return True
