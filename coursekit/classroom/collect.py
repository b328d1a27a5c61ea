"""`python -m coursekit collect`: from what an LMS hands out to one folder for each student.

The notebooks are taken, and the files of progress that a student handed in with them; what else
there is stays where it is, and is named. The newest hand-in counts.
"""

import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from coursekit.checking.answers import cells_of, grade_id
from coursekit.checking.tasks import set_names, task_ids
from coursekit.classroom.archive import read_download
from coursekit.classroom.collected import Collected, folder_name
from coursekit.classroom.downloads import items_of
from coursekit.classroom.gradescope import METADATA
from coursekit.files import BookError, keep_old, read, write
from coursekit.grading.names import shown
from coursekit.grading.submission import ENDING

NOTEBOOK = re.compile(f".*{ENDING}", re.IGNORECASE)
OF_THE_LMS = {"index.html", METADATA}
FEW = 3  # files of a student that are printed
SHOWN = 20  # lines of one kind that are printed


def collect(options):
    """Sort a download into folders; return the exit code: 1 if something could not be read."""
    source, out = Path(options.download), options.out
    if out.resolve().is_relative_to(source.resolve()) or source.resolve().is_relative_to(
        out.resolve()
    ):
        raise BookError(f"--out {out} and {source} lie in each other: choose another folder")
    from tqdm import tqdm

    download = read_download(source)
    form, items = items_of(download, options.lms, options.prefix)
    print(f"{source}: {len(download.files)} files, as {form} hands them out")
    collected = Collected(out)
    report = Report()
    students = defaultdict(list)
    for item in items:
        students[item.student].append(item)
    names = Counter(student.name for student in students)
    in_order = sorted(students, key=lambda student: (student.name, student.id, student.email))
    folders = {}
    for student in in_order:
        folders[student] = collected.name_for(student, form, names[student.name] > 1)
        if names[student.name] > 1:
            report.remarks.append(f"{folders[student]}: another student has the same name")
        (out / folders[student]).mkdir(parents=True, exist_ok=True)
    collected.save()  # whatever happens now, the next run gives everybody the same folder
    try:
        for student in tqdm(in_order, unit="student", disable=None):  # a bar, on a terminal
            name = folders[student]
            take(students[student], out / name, collected.folders[name], report)
    finally:
        collected.save()
    of_students = {id(item.found) for item in items}
    for found in download.files:
        if id(found) not in of_students and found.name not in OF_THE_LMS:
            report.left.append(f"{found.path}: of which student?")
    report.remarks += same_variants(collected)
    report.troubles += [f"{shown('/'.join(parts))} {why}" for parts, why in download.problems]
    report.show(out, len(students), download.junk)
    return 1 if report.troubles else 0


class Report:
    """What an instructor must know of a run."""

    def __init__(self):
        self.new = self.same = 0
        self.remarks, self.nothing, self.troubles, self.left = [], [], [], []

    def show(self, out, students, junk):
        print(f"{out}: {students} students, {self.new} new notebooks, {self.same} as they were")
        parts = {
            "please note": self.remarks,
            "no notebook in what they handed in": self.nothing,
            "left out, no notebook": self.left,
            "NOT READ: unpack or ask": self.troubles,
        }
        for title, lines in parts.items():
            if lines:
                print(f"{title}: {len(lines)}", *(f"  {line}" for line in lines[:SHOWN]), sep="\n")
                if len(lines) > SHOWN:
                    print(f"  and {len(lines) - SHOWN} more")
        if junk:
            print(f"left out, made by systems (.DS_Store, .git, …): {junk}")
        sys.stdout.flush()


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
                which = other.when or shown("/".join(other.parts))
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
        return str(json.loads(data)["metadata"]["numpygpt"]["variant"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def same_variants(collected):
    """Lines on students whose notebooks come from one handout, where each student has one."""
    students = defaultdict(lambda: defaultdict(list))
    for name, folder in sorted(collected.folders.items()):
        for notebook, about in folder.notebooks.items():
            if about.get("variant"):
                students[notebook][about["variant"]].append(name)
    for notebook, keys in students.items():
        if 2 * len(keys) > sum(map(len, keys.values())):  # else there is one for each group
            for key, names in keys.items():
                if len(names) > 1:
                    yield f'{", ".join(names)}: {notebook} from the same handout, "{shown(key)}"'


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
