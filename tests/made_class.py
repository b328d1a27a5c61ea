"""A class made from the answers that the book knows, so that what each student got wrong is known.

`python tests/made_class.py FOLDER [--set 09] [--students 120]` writes its hand-ins.
"""

import argparse
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from answers import type_in

from coursekit.checking.answers import blank_answer
from coursekit.checking.judge import Reference, judge
from coursekit.checking.outcomes import outcomes
from coursekit.checking.tasks import find_set
from coursekit.classroom.graded import Class, Student
from coursekit.classroom.sharing import Progress
from coursekit.grading.judging import found_by
from coursekit.grading.results import Mark, Result

SHARES = 40  # of a hundred students share their progress
PAIRS = 3  # of students who hand in the same answers, with other names and comments


@dataclass
class Answer:
    """One answer to a task, and what is known of it."""

    kind: str  # "right", "blank" or "mistake"
    mistake: str  # its name
    source: str


@dataclass
class Member:
    """One student of a class that was made."""

    name: str
    answers: dict = field(default_factory=dict)  # task -> Answer
    progress: dict = field(default_factory=dict)  # task -> (hints, minutes), if it is shared


def make_class(exercises, students, rng, pairs=PAIRS):
    """A list of Members: some 55 of 100 answers are right, 5 blank; some mistakes are common."""
    tasks, members = list(exercises.tasks.values()), []
    for number in range(students):
        member = Member(f"student {number:03}")
        skill = rng.normal()
        member.answers = {task.id: one_answer(exercises, task, skill, rng) for task in tasks}
        if number % 100 < SHARES:
            member.progress = {
                task.id: (int(rng.integers(len(task.hints) + 1)), int(rng.integers(1, 60)))
                for task in tasks
            }
        members.append(member)
    for pair in range(pairs):
        one, other = members[2 * pair], members[2 * pair + 1]
        for task in tasks:
            rare = task.of_kind("mistake")[-1 - pair]
            one.answers[task.id] = Answer("mistake", rare.name, rare.source)
            other.answers[task.id] = Answer("mistake", rare.name, disguised(rare.source))
    return members


def one_answer(exercises, task, skill, rng):
    drawn = skill + rng.normal()
    if drawn > -0.18:
        styles = [exercises.own_answer(task.id), *(v.source for v in task.of_kind("right"))]
        return Answer("right", "", styles[rng.integers(len(styles))])
    if drawn < -2.3:
        return Answer("blank", "", blank_answer(task))
    mistakes = task.of_kind("mistake")
    often = 1 / np.arange(1, len(mistakes) + 1)
    mistake = mistakes[rng.choice(len(mistakes), p=often / often.sum())]
    return Answer("mistake", mistake.name, mistake.source)


def disguised(source):
    """The same answer with other variables and a comment on each line."""
    for name in set(re.findall(r"^ +(\w+) = ", source, re.MULTILINE)):
        source = re.sub(rf"(?<![.\w]){name}\b", f"my_{name}", source)
    return re.sub(r"$", "  # by Zoë", source, flags=re.MULTILINE)


def hand_in(members, exercises, folder):
    """Write the notebooks and the progress of a class into `folder`."""
    for member in members:
        place = Path(folder) / member.name
        sources = {task: answer.source for task, answer in member.answers.items()}
        type_in(exercises.name, place / f"{exercises.name}.ipynb", sources)
        for task, (hints, minutes) in member.progress.items():
            about = {"state": "right", "hints": hints, "seconds": 60 * minutes, "version": 1}
            path = place / ".progress" / f"{task}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(about), "utf-8")


@cache
def reference(name, task):
    exercises = find_set(name)
    rng = np.random.default_rng([1, list(exercises.tasks).index(task)])
    return Reference(exercises, task, list(exercises.tasks[task].cases(rng)))


@cache
def judged(name, task, source):
    """What grade would find, without a sandbox: these answers are the book's."""
    exercises, right = find_set(name), reference(name, task)
    verdict = judge(right, outcomes(exercises.answer(task, {task: source}), right.cases))
    found = found_by(verdict, exercises.tasks[task])
    return verdict.is_right, verdict.lines(detail=False), found


def results_of(members, exercises):
    """The Result of each member."""
    results = []
    for member in members:
        result = Result(member.name, member.name, "", {})
        for task in exercises.tasks.values():
            right, *found = judged(exercises.name, task.id, member.answers[task.id].source)
            result.marks[task.id] = Mark(task.points * right, task.points, *found)
        results.append(result)
    return results


def mistakes_of(members, task):
    """{name of a mistake: how many members made it}."""
    found = [member.answers[task] for member in members]
    return Counter(answer.mistake for answer in found if answer.kind == "mistake")


def counted(members, exercises, **more):
    """The Class of these members, as it would be read after it was graded."""
    students = []
    for member, result in zip(members, results_of(members, exercises), strict=True):
        sources = {task: answer.source for task, answer in member.answers.items()}
        progress = {task: Progress(*about) for task, about in member.progress.items()}
        students.append(Student(result, sources, progress))
    return Class(exercises, students, **more)


class Page(HTMLParser):
    """What a reader finds on a page: `tables`, by caption, rows of texts; `code`, its lines."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.tags, self.attributes, self.text = {}, set(), set(), ""
        self.open, self.caption, self.rows, self.code = [], "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "rect"):
            self.open.append(tag)
        if tag == "table":
            self.caption, self.rows = "", []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag
        if tag == "table":
            self.tables[" ".join(self.caption.split())] = self.rows[1:]

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        self.code += data.split("\n") if "pre" in self.open else []
        if "caption" in self.open:
            self.caption += data
        elif "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def table(self, words):
        [found] = [rows for caption, rows in self.tables.items() if words in caption]
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="09")
    parser.add_argument("--students", type=int, default=120)
    options = parser.parse_args()
    exercises = find_set(options.set)
    hand_in(
        make_class(exercises, options.students, np.random.default_rng(20)),
        exercises,
        options.folder,
    )


if __name__ == "__main__":
    main()
