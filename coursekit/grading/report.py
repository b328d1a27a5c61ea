"""Marks as CSV and JSON, and a page for each student."""

import csv
import io
import json
from dataclasses import asdict

from coursekit.files import write


def write_all(out, exercises, results):
    """Write marks.csv, marks.json and feedback/NAME.md into `out`."""
    tasks = list(exercises.tasks)
    rows = [["student", *tasks, "points", "out of", "remark"]]
    for result in results:
        marks = [result.marks[task].points for task in tasks]
        rows.append([plain(result.student), *marks, result.points, full(exercises), result.problem])
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    write(out / "marks.csv", encodable(table.getvalue()))
    content = [asdict(result) | {"points": result.points} for result in results]
    for row in content:
        # No mark, and not always the same: time may run out before memory does, or after.
        del row["nbval"]
    write(out / "marks.json", json.dumps(content, indent=1) + "\n")
    for result in results:
        write(out / "feedback" / f"{result.key}.md", encodable(page(exercises, result)))


def plain(name):
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name


def encodable(text):
    return text.encode("utf-8", "replace").decode("utf-8")


def full(exercises):
    return sum(task.points for task in exercises.tasks.values())


def page(exercises, result):
    """What a student reads: the marks, what is wrong, what nbval said."""
    lines = [f"# {exercises.name}: {result.points} of {full(exercises)} points", ""]
    lines += [f"For {result.student}.", ""]
    if result.problem:
        lines += [f"Nothing could be graded: {result.problem}.", ""]
    lines += ["| task | points | |", "|---|---|---|"]
    for task, mark in result.marks.items():
        word = "right" if mark.points else mark.lines[0].partition(": ")[2]
        lines.append(f"| {task} | {mark.points} of {mark.out_of} | {word.replace('|', '/')} |")
    for task, mark in result.marks.items():
        if not mark.points and not result.problem:
            lines += ["", f"## {task}", "", "```", *mark.lines, "```"]
            lines += ["", f"`check({task!r}, …)` and `hint({task!r})` in your notebook say more."]
    if result.nbval:
        lines += ["", "## Cells that failed when the notebook was run as a whole", "", "```"]
        lines += [*result.nbval, "```"]
    return "\n".join(lines) + "\n"


def summary(out, exercises, results):
    best = full(exercises)
    mean = sum(result.points for result in results) / len(results)
    all_right = sum(result.points == best for result in results)
    none = sum(bool(result.problem) for result in results)
    return (
        f"{len(results)} students: {mean:.1f} of {best} points on average, {all_right} with all, "
        f"{none} could not be graded\n{out / 'marks.csv'}, {out / 'marks.json'}, {out / 'feedback'}"
    )
