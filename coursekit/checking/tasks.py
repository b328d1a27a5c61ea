"""The tasks: what book/exercises asks, and what book/checks knows of right and wrong answers.

Answers of all kinds (the book's own, other right ones, mistakes) are kept as what a reader would
type into the answer cell. `ExerciseSet.answer` runs the set's cells with one of them in place.
"""

import ast
import contextlib
import difflib
import functools
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit.address import repository
from coursekit.checking import cases as case_module
from coursekit.checking import trials
from coursekit.checking.contract import CLAUSES, with_contract
from coursekit.checking.outcomes import owner
from coursekit.files import BookError
from coursekit.source import BEGIN, END, answer_lines, header_values, page_names, read_page

ROOT = Path(__file__).parents[2]
FOR_CASES = ("Call", "Case", "Model", "Rng", "layer", "dname")  # what a `cases` function may use


@dataclass
class Variant:
    """One answer that book/checks keeps: a mistake, a right answer, or a wrong one to be seen."""

    kind: str  # "mistake", "right" or "reject"
    name: str
    message: str  # a mistake's: what the reader is told
    source: str


@dataclass
class Task:
    """One exercise: its place, its worth, its hidden cases, hints, and known answers."""

    id: str
    page: object  # of book/exercises
    points: int
    minutes: int
    level: str  # "easy", "medium" or "hard"
    adopts: str | None  # "nn.linear:Linear": what of the package the answer can stand in for
    hints: list
    cases: object  # function of an np.random.Generator: a list of Case, those of the contract too
    variants: list
    without: dict  # clauses of the contract that it opts out of: why

    @property
    def set_name(self):
        return self.page.name

    def of_kind(self, kind):
        return [variant for variant in self.variants if variant.kind == kind]


class ExerciseSet:
    """One page of book/exercises with its page of book/checks."""

    def __init__(self, root, name):
        self.name = name
        self.page = read_page(root, f"book/exercises/{name}.py")
        self.checks = read_page(root, f"book/checks/{name}.py")
        self.tasks = {}
        for cell in self.page.cells:
            if "check" in cell["metadata"]:
                task = self.task(cell["metadata"])
                self.tasks[task.id] = task

    def task(self, options):
        name = options["check"]
        hints, cases, variants, without = [], None, [], {}
        namespace = {"np": np} | {key: getattr(case_module, key) for key in FOR_CASES}
        for index, cell in enumerate(self.checks.cells):
            here, source = cell["metadata"], cell["source"]
            if here.get("task", name) != name:
                continue
            if "hint" in here:
                hints.append(source)
            elif "without" in here:
                if here["without"] not in CLAUSES or not source.strip():
                    where, known = self.checks.where(index), ", ".join(CLAUSES)
                    raise BookError(f"{where}: without= one of {known}, and below it the reason")
                without[here["without"]] = source
            elif kind := next((k for k in ("mistake", "right", "reject") if k in here), None):
                message = "" if kind != "mistake" else leading_text(source)
                if cell["cell_type"] == "markdown":
                    source = edited(self.own_answer(name), source, self.checks.where(index))
                variants.append(Variant(kind, here[kind], message, source))
            elif cell["cell_type"] == "code" and ("cases" in here or "task" not in here):
                exec(compile(source, f"<{self.checks.where(index)}>", "exec"), namespace)
                cases = namespace.pop("cases", cases)
        told = self.text(name)
        for word in ("list", "tuple"):
            if not re.search(rf"\b{word}s?\b", told):
                without.setdefault(f"{word}s", "The text of the task does not ask for any.")
        if cases is None:
            raise BookError(f'{self.checks.path}: task="{name}" has no cell with cases=true')
        return Task(
            name,
            self.page,
            options["points"],
            options["minutes"],
            options["level"],
            options.get("adopts"),
            hints,
            functools.partial(self.cases, name, cases, without),
            variants,
            without,
        )

    def text(self, task):
        """What a reader is told of a task: its text, and the first lines of the blank."""
        told, mine = [], ""
        for index, cell in enumerate(self.page.cells):
            options = cell["metadata"]
            if cell["cell_type"] == "markdown":
                # Without the set's introduction, which says how to use it, and the heading.
                _, heading, text = cell["source"].rpartition("## Task")
                told = [text.partition("\n")[2]] if heading else [*told, text]
            if "answer" in options:
                lines = answer_lines(cell["source"], self.page, index, answers=False)
                first = [s for s in lines if s.lstrip().startswith(('"""', "def "))]
                mine = " ".join("\n".join([*told, *first]).split())
            if "check" in options:
                if options["check"] == task:
                    return mine
                told = []
        raise KeyError(task)

    def cases(self, task, own_cases, without, rng):
        """The task's own cases, and those that try the contract."""
        given, again = list(own_cases(rng)), list(own_cases(rng))
        answer = self.variant_answer(task)
        caches = []
        # Where forward is not the reader's, what it keeps has a name that others may count on.
        own_forward = any(name.endswith("forward") for name in self.defined(task))
        if given[0].calls[0].method == "forward" and not own_forward:
            caches = trials.caches_of(answer, given[0])
        return with_contract(given, again, answer, caches, without)

    @functools.cache  # noqa: B019  (a set lives as long as the process)
    def defined(self, task):
        """The names of what the answer to a task defines, such as "Linear.backward"."""
        names = set()
        for node in ast.parse(self.own_answer(task)).body:
            homes = [
                re.fullmatch(r"add_to_class\((\w+)\)", ast.unparse(d))
                for d in getattr(node, "decorator_list", [])
            ]
            if isinstance(node, ast.FunctionDef):
                names.add(".".join([m[1] for m in homes if m] + [node.name]))
            elif isinstance(node, ast.ClassDef):
                methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                names |= {f"{node.name}.{method.name}" for method in methods}
        return names

    def own_answer(self, task):
        """The text of our own answer cell."""
        [cell] = [cell for cell in self.page.cells if cell["metadata"].get("answer") == task]
        lines = cell["source"].split("\n")
        return "\n".join(line for line in lines if line.strip() not in (BEGIN, END))

    def answer(self, task, sources=None, name=None):
        """What the check cell of `task` would be given, with `sources` in place of our answers.

        Args:
            task: its id.
            sources: answer cells by task id; those of other tasks are ours.
            name: return what the cells have defined under this name instead.

        Raises:
            whatever the cells raise.
        """
        namespace, given = {"__name__": "__main__"}, {}
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for index, cell in enumerate(self.page.cells):
                if cell["cell_type"] != "code":
                    continue
                options = cell["metadata"]
                source = "\n".join(answer_lines(cell["source"], self.page, index, answers=True))
                source = (sources or {}).get(options.get("answer"), source)
                if "check" in options:
                    namespace["check"] = given.__setitem__
                exec(compile(source, f"<{self.name}, cell {index + 1}>", "exec"), namespace)
                if options.get("check") == task:
                    return owner(given[task]) if name is None else namespace[name]
        raise KeyError(task)

    @functools.cache  # noqa: B019  (a set lives as long as the process)
    def variant_answer(self, task, variant_name=None):
        """The answer of one of our variants; without a name, the book's own."""
        if variant_name is None:
            return self.answer(task)
        variants = {variant.name: variant for variant in self.tasks[task].variants}
        return self.answer(task, {task: variants[variant_name].source})


def leading_text(source):
    """What a cell says before its code or its edits, as one line of text."""
    words = source.partition("```diff")[0]
    if words == source:  # code: its first comment
        words = re.match(r"(?:#.*\n)*", source)[0].replace("#", "")
    return " ".join(words.split())


def edited(source, text, where):
    """`source` with the edits of a ```diff block: what stands after - becomes what stands after +.

    Each edit is a part of a line, or some lines, and is made wherever it fits. With nothing after
    it, lines that follow a - go altogether.

    Raises:
        BookError: an edit does not fit anywhere.
    """
    block = text.partition("```diff\n")[2].rpartition("```")[0]
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)*)", block, re.M):
        old, replaced = ("\n".join(line[2:] for line in part.splitlines()) for part in (old, new))
        if old not in source:
            raise BookError(f"{where}: its edit does not fit our answer: {old}")
        if not new:
            old = f"{old}\n" if f"{old}\n" in source else f"\n{old}"
        source = source.replace(old, replaced)
    return source


def set_names(root=ROOT):
    """The names of all sets that can be checked, in order.

    Raises:
        BookError: the package was installed without the book.
    """
    names = page_names(root, "checks")
    if not names:
        raise BookError(f"the exercises come with the book, not with the package: {repository()}")
    return names


@functools.cache
def load_set(name, root=ROOT):
    return ExerciseSet(root, name)


def find_set(number, root=ROOT):
    """The set that a reader means by "9", "09" or "09_layernorm"."""
    names = set_names(root)
    for name in names:
        if number in (name, name[:2], name[:2].lstrip("0")):
            return load_set(name, root)
    raise BookError(f"there is no exercise set {number}: there are {', '.join(names)}")


def task_ids(root=ROOT):
    """{task: its set}, of all sets, without reading any in full: that takes a second."""
    ids = {}
    for name in set_names(root):
        path = Path(root, "book", "exercises", f"{name}.py")
        if path.is_file():
            found = header_values(path, "check")
        else:  # JSON is read at once
            cells = read_page(root, f"book/exercises/{name}.py").cells
            found = [cell["metadata"]["check"] for cell in cells if "check" in cell["metadata"]]
        ids |= dict.fromkeys(found, name)
    return ids


def find_task(task, root=ROOT):
    """The set that a task belongs to.

    Raises:
        BookError: no set has it; the message names the nearest.
    """
    ids = task_ids(root)
    if task not in ids:
        near = difflib.get_close_matches(str(task), ids, n=1)
        meant = f': did you mean "{near[0]}"?' if near else ""
        raise BookError(f'there is no task "{task}"{meant}')
    return load_set(ids[task], root)
