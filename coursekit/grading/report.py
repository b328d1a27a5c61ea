"""Marks as CSV and JSON, and a page for each student.

What a student wrote, their name included, is only ever one line in a code span or a fenced block.
"""

import csv
import io
import json
from dataclasses import asdict

from coursekit.files import write
from coursekit.grading.names import cell, inert


def write_all(out, exercises, results):
    """Write marks.csv, marks.json and feedback/NAME.md into `out`."""
    tasks = list(exercises.tasks)
    rows = [["student", *tasks, "points", "out of", "remark"]]
    for result in results:
        marks = [result.marks[task].points for task in tasks] + [result.points]
        if result.trouble:  # no mark is not a mark of 0
            marks = [""] * len(marks)
        rows.append([cell(result.student), *marks, full(exercises), cell(remark(result))])
    table = io.StringIO()
    # Quoted: some spreadsheets split at a semicolon, too, and compute what begins with "=" then.
    csv.writer(table, csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    write(out / "marks.csv", table.getvalue())
    content = [asdict(result) | {"points": result.points} for result in results]
    for row in content:
        # No marks, and not always the same: time may run out before memory does, or after.
        del row["nbval"], row["seconds"]
    write(out / "marks.json", json.dumps(content, indent=1) + "\n")
    for result in results:
        write(out / "feedback" / f"{result.key}.md", page(exercises, result))


def remark(result):
    if result.trouble:
        return f"not graded, run grade again: {result.trouble}"
    return "; ".join(filter(None, [result.problem, *result.remarks]))


def full(exercises):
    return sum(task.points for task in exercises.tasks.values())


def page(exercises, result):
    """What a student reads: the marks, what is wrong, what nbval said."""
    lines = [f"# {exercises.name}: {result.points} of {full(exercises)} points", ""]
    if result.trouble:
        lines = [f"# {exercises.name}: not graded yet", ""]
    lines += [f"For `{inert(result.student, 300)}`.", ""]
    if result.trouble:
        return "\n".join([*lines, "The grader could not run this. Nothing is wrong with it.", ""])
    if result.problem:
        lines += ["Nothing could be graded:", "", *block([result.problem]), ""]
    if result.remarks:
        lines += ["Please note:", "", *block(result.remarks), ""]
    lines += ["| task | points | |", "|---|---|---|"]
    for task, mark in result.marks.items():
        word = "not graded" if result.problem else in_a_word(task, mark)
        lines.append(f"| {task} | {mark.points} of {mark.out_of} | {word} |")
    for task, mark in result.marks.items():
        if not mark.points and not result.problem:
            lines += ["", f"## {task}", "", *what_to_do(task, mark)]
    if result.nbval:
        lines += ["", "## Cells that failed when the notebook was run as a whole", ""]
        lines += block(result.nbval)
    return "\n".join(lines) + "\n"


def in_a_word(task, mark):
    if mark.points:
        return "right"
    return "not written yet" if is_blank(task, mark) else "not right yet"


def what_to_do(task, mark):
    """The diagnosis, or how to begin: what `check` says of a blank is meant for a notebook."""
    if is_blank(task, mark):
        told = "Put your code in place of `raise NotImplementedError()` in its cell."
        return [f"{told} `hint({task!r})` in your notebook helps to begin."]
    more = f"`check({task!r}, …)` and `hint({task!r})` in your notebook say more."
    return [*block(mark.lines), "", more]


def is_blank(task, mark):
    return mark.lines[0].startswith(f"{task}: not written yet")


def block(lines):
    """Lines as they are, in a fence that none of them can close."""
    return ["```text", *(inert_line(line) for line in lines[:60]), "```"]


def inert_line(line):
    return line[: len(line) - len(line.lstrip(" "))][:8] + inert(line, 300)


def summary(out, exercises, results):
    best = full(exercises)
    graded = [result for result in results if not result.trouble]
    mean = sum(result.points for result in graded) / max(len(graded), 1)
    all_right = sum(result.points == best for result in graded)
    none = sum(bool(result.problem) for result in graded)
    s = "s" * (len(graded) != 1)
    lines = [
        f"{len(graded)} student{s}: {mean:.1f} of {best} points on average, {all_right} with all, "
        f"{none} with nothing that could be graded"
    ]
    if missing := [result for result in results if result.trouble]:
        lines.append(f"NOT GRADED, {len(missing)}: run the same command again")
        lines += [f"  {result.student}: {result.trouble}" for result in missing[:10]]
    return "\n".join([*lines, f"{out / 'marks.csv'}, {out / 'marks.json'}, {out / 'feedback'}"])
