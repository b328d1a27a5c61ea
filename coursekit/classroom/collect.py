"""`python -m coursekit collect`: from what an LMS hands out to one folder for each student.

The notebooks are taken, and the files of progress that a student handed in with them; what else
there is stays where it is, and is named. The newest hand-in counts.
"""

from collections import Counter, defaultdict
from pathlib import Path

from coursekit.classroom.archive import read_download
from coursekit.classroom.collected import Collected
from coursekit.classroom.downloads import items_of
from coursekit.classroom.gradescope import METADATA
from coursekit.classroom.taking import take
from coursekit.files import BookError, say, write
from coursekit.grading.names import shown

OF_THE_LMS = {"index.html", METADATA}
REPORT = ".collected.txt"  # all lines of the report: `grade` leaves names with a dot out
SHOWN = 20  # lines of one kind that are printed


def collect(options):
    """Sort a download into folders; return the exit code: 1 if something could not be read."""
    from tqdm import tqdm

    source, out = Path(options.download), options.out
    places = source.resolve(), out.resolve()
    if places[0].is_relative_to(places[1]) or places[1].is_relative_to(places[0]):
        raise BookError(f"--out {out} and {source} lie in each other: choose another folder")
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
    out.mkdir(mode=0o700, parents=True, exist_ok=True)  # what students wrote is nobody else's
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
        """Print the first lines of each kind, and write all of them."""
        first = f"{out}: {students} students, {self.new} new notebooks, {self.same} as they were"
        printed, written = [first], [first]
        parts = {
            "please note": self.remarks,
            "no notebook in what they handed in": self.nothing,
            "left out, no notebook": self.left,
            "NOT READ: unpack or ask": self.troubles,
        }
        for title, found in parts.items():
            lines = [f"{title}: {len(found)}"] * bool(found) + [f"  {line}" for line in found]
            written += lines
            printed += lines[: SHOWN + 1]
            if len(found) > SHOWN:
                printed.append(f"  and {len(found) - SHOWN} more: {out / REPORT}")
        if junk:
            printed.append(f"left out, made by systems (.DS_Store, .git, …): {junk}")
        write(out / REPORT, "\n".join(written) + "\n")
        say(*printed)


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
