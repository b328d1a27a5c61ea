"""What a class got wrong in a task: how many, by which misconception, with one example of each."""

from collections import Counter
from dataclasses import dataclass, field

from coursekit.classroom.excerpt import Excerpts
from coursekit.classroom.told import in_our_words

MOST = 6  # findings without a name that are listed for a task
TRIED = 8  # answers that are tried, to find the shortest example
FEW = 3  # students; of fewer, chance may be why all of them got an earlier task wrong


@dataclass(eq=False)
class Finding:
    """One thing that is wrong with some answers to a task."""

    name: str  # of the misconception in book/checks; "" if it is none of them
    text: str  # what these students were told
    outputs: Counter = field(default_factory=Counter)  # what it was found in, such as dW
    students: list = field(default_factory=list)  # the Students
    example: list = field(default_factory=list)  # lines of one of their answers
    follows: str = ""  # an earlier task of the set that none of them got right

    @property
    def output(self):
        return self.outputs.most_common(1)[0][0] if self.outputs else ""


@dataclass
class Outcome:
    """How a class did in one task."""

    task: object
    handed_in: int
    right: int
    blank: int
    wrong: int
    findings: list  # of Finding, the most frequent first
    left_out: int  # further findings without a name
    not_kept: int  # wrong answers of which an earlier grader kept no names


def outcome(task, own_answer, students):
    """The Outcome of a task.

    Args:
        own_answer: the book's.
        students: of the class, all that were graded.
    """
    states = Counter(student.state(task.id) for student in students)
    findings, not_kept = {}, 0
    messages = {mistake.name: mistake.message for mistake in task.of_kind("mistake")}
    for student in students:
        if student.state(task.id) != "wrong":
            continue
        found = student.result.marks[task.id].found
        not_kept += found is None
        for output, name, text in found or ():
            where, said = output_of(output), messages.get(name) or in_our_words(output, text)
            finding = findings.setdefault(name or (where, said), Finding(name, said))
            finding.outputs[where] += bool(where)
            if student not in finding.students:
                finding.students.append(student)
    order = sorted(findings.values(), key=lambda f: (-len(f.students), not f.name, f.name, f.text))
    without_name = [finding for finding in order if not finding.name]
    kept = [finding for finding in order if finding.name or finding in without_name[:MOST]]
    answers = [s.answers[task.id] for s in students if task.id in s.answers]
    excerpts = Excerpts(task, own_answer, answers)
    earlier = list(students[0].result.marks) if students else []
    for finding in kept:
        finding.example = example(task.id, finding, excerpts)
        finding.follows = follows(finding, earlier[: earlier.index(task.id)])
    return Outcome(
        task,
        len(students),
        states["right"],
        states["blank"],
        states["wrong"],
        kept,
        len(order) - len(kept),
        not_kept,
    )


def output_of(name):
    """The output that something is wrong with; "" where the answer as a whole is."""
    name = name.rpartition(": ")[2]
    return "" if name in ("error", "warning") else name


def follows(finding, earlier):
    """An earlier task whose answer may be what is wrong: a set's cells run in one notebook."""
    if finding.name or len(finding.students) < FEW:
        return ""
    failed = (t for t in earlier if all(s.state(t) != "right" for s in finding.students))
    return next(failed, "")


def example(task, finding, excerpts):
    """The shortest excerpt of those students who have the fewest other things wrong."""

    def others(student):
        return len(student.result.marks[task].found)

    written = [student for student in finding.students if task in student.answers]
    fewest = min(map(others, written), default=0)
    sources = {s.answers[task] for s in written if others(s) == fewest}
    found = [excerpts.of(source) for source in sorted(sources, key=lambda s: (len(s), s))[:TRIED]]
    return min(found, key=lambda lines: (len(lines), sum(map(len, lines)), lines), default=[])
