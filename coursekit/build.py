"""The build: from book/ to notebooks/, solutions/, exercises/, numpygpt/ and two pages of docs/.

Each built notebook remembers, in its metadata, a digest of what its outputs depend on (`inputs`)
and a digest of itself (`contents`). The first tells whether it must run again, the second whether
somebody changed it since.
"""

import asyncio
import copy
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from coursekit import dependencies, elsewhere, notation
from coursekit import map as map_of_the_book
from coursekit.address import repository
from coursekit.exporter import formatted, modules_of, undefined_name
from coursekit.files import BookError, keep_old, read, write
from coursekit.memory.cards import read_cards
from coursekit.memory.folded import ID as FOLDED
from coursekit.memory.folded import folded
from coursekit.source import chapter_cells, code_of, exercise_cells, read_page

FOLDERS = ("notebooks", "exercises", "solutions")
CHANGED = "changed since it was built"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


@dataclass
class Target:
    """One notebook to be built."""

    path: str  # relative to the root, such as "notebooks/03_linear.ipynb"
    page: object
    notebook: dict  # without outputs

    @property
    def runs(self):
        return "inputs" in self.notebook["metadata"]["numpygpt"]


class Book:
    """All of book/ read in: its pages, the modules they export, the notebooks they become.

    A page with a mistake is left out, its mistake is in `errors`, and the others go on.
    """

    def __init__(self, root):
        self.root = root
        self.errors = []  # (the page's path, one line that says what is wrong)
        self.sources = [
            path.relative_to(root).as_posix()
            for folder in ("chapters", "exercises")
            for path in sorted(Path(root, "book", folder).glob("*.py"))
        ]
        self.pages = []
        for path in self.sources:
            if page := self.attempt(path, read_page, root, path):
                self.pages.append(page)
        self.modules = {}  # "nn/linear.py" -> text
        self.exported_by = {}  # "nn/linear.py" -> page
        self.export()
        self.texts = dependencies.module_texts(root, self.modules)
        self.graph = dependencies.graph_of(self.texts)
        self.check_order()
        self.targets = []
        wrong = {path for path, _ in self.errors}
        for page in [page for page in self.pages if page.path not in wrong]:
            self.targets += self.attempt(page.path, self.targets_of, page) or []

    def attempt(self, path, do, *arguments):
        try:
            return do(*arguments)
        except BookError as error:
            self.errors.append((path, str(error)))

    def export(self):
        raw = {}
        for page in self.pages:
            modules = self.attempt(page.path, modules_of, page.cells, page.where) or {}
            for module, text in modules.items():
                if module in raw:
                    first = self.exported_by[module].path
                    self.errors.append((page.path, f"{page.path}: {first} exports {module} too"))
                else:
                    raw[module] = text
                    self.exported_by[module] = page
        self.modules, undefined = formatted(raw)
        for module, message, line in undefined:
            page = self.exported_by[module]
            self.modules.pop(module, None)
            text = undefined_name(page.cells, page.where, module, message, line)
            self.errors.append((page.path, text))

    def check_order(self):
        exported_by = {m: p for m, p in self.exported_by.items() if m in self.modules}
        late = dependencies.later_imports(self.pages, exported_by, self.texts, self.graph)
        for page, line in late:
            self.errors.append((page.path, line))

    def targets_of(self, page):
        if page.is_exercise:
            blanked = notebook_of(page, exercise_cells(page, answers=False))
            solved = notebook_of(page, exercise_cells(page, answers=True))
            solved["metadata"]["numpygpt"]["inputs"] = self.inputs(page, solved)
            return [
                Target(f"exercises/{page.name}.ipynb", page, blanked),
                Target(f"solutions/{page.name}.ipynb", page, solved),
            ]
        cards = read_cards(self.root, page.name[:2])
        notebook = notebook_of(page, [*chapter_cells(page), *folded(cards)])
        notebook["metadata"]["numpygpt"]["inputs"] = self.inputs(page, notebook)
        return [Target(f"notebooks/{page.name}.ipynb", page, notebook)]

    def inputs(self, page, notebook):
        """Digest of all that the outputs of a notebook depend on."""
        code = code_of(notebook["cells"])
        imported = dependencies.chapter_imports(page, self.texts)
        names = sorted(dependencies.closure(imported, self.graph))
        parts = [repr(code), *(f"{name}\n{self.texts[name]}" for name in names)]
        if page.is_exercise:  # the verdicts come from the page's checks
            parts.append(read(self.root / "book" / "checks" / f"{page.name}.py") or "")
        # As a notebook opens it, from its own folder: a path in a docstring's example is no input,
        # and may name a file that only some readers have.
        for path in sorted(set(re.findall(r"\.\./(data/[\w./-]*\w)", repr(code)))):
            if (self.root / path).is_file():
                digest = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
                parts.append(f"{path}\n{digest}")
        return sha256("\0".join(parts))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def notebook_of(page, cells):
    metadata = copy.deepcopy(METADATA) | {"numpygpt": {"source": page.path}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def render(notebook):
    """The bytes of a notebook, with the digest of its own contents put in."""
    import nbformat

    notebook = nbformat.from_dict(notebook)
    notebook.metadata.numpygpt.pop("contents", None)
    notebook.metadata.numpygpt["contents"] = sha256(nbformat.writes(without_measurements(notebook)))
    return nbformat.writes(notebook) + "\n"


def without_measurements(notebook):
    """A copy whose measurement cells have no outputs: those differ from run to run."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        if "measurement" in cell["metadata"].get("tags", []):
            cell["outputs"] = []
    return notebook


def load(text):
    """The notebook in a built file, or None if the file is not just as the build wrote it."""
    import nbformat

    try:
        notebook = nbformat.reads(text, as_version=4)
        if render(notebook) == text:
            return notebook
    except Exception:  # whatever is wrong with the file: it is not what we wrote
        pass
    return None


def with_outputs(target, old):
    """The target's notebook with the outputs of the built one, or None if they are out of date."""
    notebook = copy.deepcopy(target.notebook)
    if not target.runs:
        return notebook
    if (
        old is None
        or old.metadata.numpygpt.get("inputs") != notebook["metadata"]["numpygpt"]["inputs"]
    ):
        return None
    ran = [cell for cell in old.cells if cell.cell_type == "code"]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if len(ran) != len(code):
        return None
    for cell, source in zip(code, ran, strict=True):
        cell["outputs"] = source.outputs
        cell["execution_count"] = source.execution_count
    return notebook


def why_stale(root, target):
    """One line that says why a built notebook is not up to date, or None if it is."""
    text = read(root / target.path)
    if text is None:
        return f"{target.path}: missing"
    old = load(text)
    if old is None:
        return f"{target.path}: {CHANGED}"
    notebook = with_outputs(target, old)
    if notebook is None:
        return f"{target.path}: the code of {target.page.path}, or what it imports, has changed"
    if render(notebook) != text:
        cards = " or its cards" * any(c["id"] == FOLDED for c in notebook["cells"])
        return f"{target.path}: {target.page.path}{cards} has changed"
    return None


def stale_docs(book):
    """Yield (path, what is wrong, what it should hold) besides notebooks and modules.

    Nothing while a page cannot be read. README's addresses and the map are kept where they are.
    """
    if book.errors:
        return
    text = notation.index(book.pages)
    if read(book.root / notation.PATH) != text:
        yield notation.PATH, "is not what the chapters' tables of names say", text
    if (old := read(book.root / "README.md")) and elsewhere.BEGIN in old:
        text = elsewhere.with_links(old, repository(book.root))
        if text != old:
            yield "README.md", "does not have the addresses that follow from pyproject.toml", text
    if (path := book.root / map_of_the_book.PATH).exists():
        names = map_of_the_book.titles(book.pages)
        edges = map_of_the_book.arrows(book.pages, book.exported_by, book.texts)
        if map_of_the_book.stale(path.read_bytes(), names, edges):
            wrong = "does not show what the chapters need"
            yield map_of_the_book.PATH, wrong, map_of_the_book.draw(names, edges)


def orphans(book):
    """Built files that no source makes any more."""
    stems = {Path(path).parent.name: set() for path in book.sources}
    for path in book.sources:
        stems[Path(path).parent.name].add(Path(path).stem)
    for folder in FOLDERS:
        known = stems.get("chapters" if folder == "notebooks" else "exercises", set())
        for path in sorted(Path(book.root, folder).glob("*.ipynb")):
            if path.stem not in known:
                yield path.relative_to(book.root).as_posix()
    if book.errors:
        return  # a chapter that cannot be read may export any module
    for path in sorted(Path(book.root, "numpygpt").rglob("*.py")):
        module = path.relative_to(book.root / "numpygpt").as_posix()
        if module not in book.modules:
            if "written by hand" not in (read(path).split("\n") or [""])[0].lower():
                yield f"numpygpt/{module}"


def build(root, names=(), check=False, force=False, jobs=None, say=print):
    """Build the book, or with `check` only say what is not up to date.

    Args:
        root: the folder that holds book/.
        names: chapters such as "03" or "03_linear"; all of them if empty.
        check: write nothing.
        force: execute every notebook, stale or not.
        jobs: how many notebooks run at the same time; the number of cores if None.
        say: called with each line of the report.

    Returns:
        The exit code: 0; 1 if something is (or, after a build, is still) not as it should be;
        2 if the book has a mistake.
    """
    root = Path(root).resolve()
    if not Path(root, "book", "chapters").is_dir():
        raise BookError(f"there is no book/chapters in {root}: run this in the book's folder")
    book = Book(root)
    selected = select(book, names)
    targets = [t for t in book.targets if t.page.path in selected]
    errors = [line for path, line in book.errors if path in selected]
    run = check_all if check else build_all
    return run(book, targets, errors, force, jobs, say, everything=not names)


def select(book, names):
    """The sources that the names on the command line mean."""
    if not names:
        return set(book.sources)
    chosen = set()
    for name in names:
        found = [p for p in book.sources if name in (Path(p).stem, Path(p).stem.split("_")[0])]
        if not found:
            raise BookError(f"no chapter is called {name}: give a name like 03 or 03_linear")
        chosen.update(found)
    return chosen


def check_all(book, targets, errors, force, jobs, say, everything):
    problems = []
    paths = {target.page.path for target in targets}
    for module, text in book.modules.items():
        source = book.exported_by[module].path
        if source in paths or everything:
            old = read(book.root / "numpygpt" / module)
            if old is None:
                problems.append(f"numpygpt/{module}: missing")
            elif old != text:
                problems.append(f"numpygpt/{module}: is not what {source} exports")
    problems += filter(None, (why_stale(book.root, target) for target in targets))
    problems += [f"{path}: {wrong}" for path, wrong, _ in stale_docs(book)]
    if everything:
        problems += [f"{path}: nothing in book/ makes it" for path in orphans(book)]
    if force and not problems and not errors:
        for target, notebook in run(book, [t for t in targets if t.runs], jobs, errors, say):
            old = load(read(book.root / target.path))
            if render(without_measurements(notebook)) != render(without_measurements(old)):
                problems.append(f"{target.path}: other outputs than stored when run again")
    for line in errors + problems:
        say(line)
    if errors:
        return 2
    if problems:
        kept = ", and keeps a copy of what was changed" * any(CHANGED in p for p in problems)
        say(f"{count(len(problems), 'file')} not up to date: make build mends it{kept}")
        return 1
    say(f"up to date: {count(len(targets), 'notebook')}, {count(len(book.modules), 'module')}")
    return 0


def build_all(book, targets, errors, force, jobs, say, everything):
    written = 0
    for module, text in book.modules.items():
        if read(book.root / "numpygpt" / module) != text:
            write(book.root / "numpygpt" / module, text)
            say(f"exported numpygpt/{module}")
            written += 1
    for path, _, content in stale_docs(book):
        write(book.root / path, content)
        say(f"wrote {path}")
        written += 1
    stale = []
    for target in targets:
        text = read(book.root / target.path)
        old = load(text) if text is not None else None
        notebook = with_outputs(target, None if force else old)
        if notebook is None:
            stale.append(target)
        else:
            written += replace(book.root / target.path, notebook, say)
    for target, notebook in run(book, stale, jobs, errors, say):
        written += replace(book.root / target.path, notebook, say)
    left = 0
    for path in list(orphans(book)) if everything else []:
        if path.endswith(".ipynb") and load(read(book.root / path)) is not None:
            os.remove(book.root / path)
            say(f"removed {path}: nothing in book/ makes it")
        else:
            left += 1
            say(f"{path}: nothing in book/ makes it; remove it if you do not need it")
    for line in errors:
        say(line)
    say(f"built: {count(written, 'file')} written, the rest was up to date")
    return 2 if errors else min(left, 1)  # what --check calls wrong is not done


def replace(path, notebook, say):
    """Write a built notebook if it differs; keep a copy of what a reader changed. Return 0 or 1."""
    text, old = render(notebook), read(path)
    if old == text:
        return 0
    if old is not None and load(old) is None:
        say(f"{path.name} was {CHANGED}: kept as {keep_old(path).name}")
    write(path, text)
    return 1


def run(book, targets, jobs, errors, say):
    """Execute notebooks; return those that succeeded as (target, notebook), in order."""
    import nbformat

    from coursekit.execute import execute_all

    notebooks = [nbformat.from_dict(target.notebook) for target in targets]
    done = []

    def finished(number, seconds, problem):
        name = targets[number].path.removesuffix(".ipynb")
        if problem is None:
            done.append(number)
            say(f"executed {name} {seconds:.1f} s")
        else:
            errors.append(str(problem))
            say(f"failed   {name} {seconds:.1f} s")

    work = []
    for target, notebook in zip(targets, notebooks, strict=True):
        folder = (book.root / target.path).parent
        folder.mkdir(exist_ok=True)
        work.append((target.page, notebook, folder))
    if work:
        asyncio.run(execute_all(work, book.root, jobs or os.cpu_count() or 1, finished))
    sys.stdout.flush()
    return [(targets[number], notebooks[number]) for number in sorted(done)]


def count(number, thing):
    return f"{number} {thing}" + ("" if number == 1 else "s")
