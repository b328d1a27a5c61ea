"""From a percent file of book/ to the cells of its notebooks, without outputs."""

import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import coursekit.quick  # noqa: F401  (before jupytext and nbformat)
from coursekit.exporter import LANDS_IN, source_of
from coursekit.files import BookError
from coursekit.kept import kept_beside

# Without magics: jupytext would take the comment "# cat sat on the mat" for a shell command.
PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
CELL_KEYS = {
    "chapters": {"tags", "module", "jupyter"},
    "exercises": {"tags", "jupyter", "answer", "check", "points", "minutes", "level", "adopts"},
    "checks": {"task", "cases", "hint", "mistake", "right", "reject", "shows", "without"},
}
LEVELS = ("easy", "medium", "hard")
TAGS = {"export", "measurement", "skip-execution", "raises-exception", "widget"}
TAGS |= {"slow", "own-computer"}  # for a page that runs in a browser: a minute, or not at all
NBVAL_TAGS = {"measurement": "nbval-ignore-output", "skip-execution": "nbval-skip"}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
BLANK = ["# YOUR CODE HERE", "raise NotImplementedError()"]  # as nbgrader writes it


@dataclass
class Page:
    """One file of book/chapters, book/exercises or book/checks."""

    path: str  # relative to the root, such as "book/chapters/03_linear.py"
    cells: list  # as in a notebook's JSON, with the metadata of the percent file
    lines: list  # for each cell, the line of the file that its first line is

    @property
    def name(self):
        return Path(self.path).stem

    @property
    def number(self):
        return int(self.name[:2])

    @property
    def folder(self):
        return Path(self.path).parent.name

    @property
    def is_exercise(self):
        return self.folder == "exercises"

    def where(self, index, line=1):
        """Name a place for an error: the file and its line, the cell and its line."""
        place = self.lines[index] + line - 1
        return f"{self.path}:{place}: {self.name}, cell {index + 1}, line {line}"


def page_names(root, folder):
    """The names of the pages in a folder of book/, in order, as percent files or as JSON."""
    files = Path(root, "book", folder).glob("*")
    return sorted({path.stem for path in files if path.suffix in (".py", ".json")})


def as_json(page):
    """The text of a page for where there is no jupytext, as in a browser; `read_page` reads it."""
    return json.dumps(parts_of(page), ensure_ascii=False, separators=(",", ":"))


def parts_of(page):
    parts = asdict(page)
    del parts["path"]
    return parts


def read_page(root, path):
    """Read one percent file, or what `as_json` made of it where the percent file is missing.

    Raises:
        BookError: naming the line that is not as the build expects it.
    """
    file = Path(root, path)
    made = file.with_suffix(".json")
    if not file.is_file() and made.is_file():
        return Page(path, **json.loads(made.read_text("utf-8")))
    if not re.fullmatch(r"\d\d_\w+\.py", Path(path).name):
        raise BookError(f"{path}: a file of the book is named like 03_linear.py")
    return Page(path, **kept_beside(file, partial(parse, path)))


def parse(path, data):
    """The parts of a page but for its path, from the bytes of its percent file."""
    import jupytext  # takes a third of a second to import

    try:
        text = io.TextIOWrapper(io.BytesIO(data), "utf-8").read()  # any line ends
    except UnicodeDecodeError as error:
        raise BookError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from None
    lines = text.split("\n")
    header = re.compile(r"# ?%%(\s|$)")
    if not header.match(lines[0]):
        raise BookError(f"{path}:1: the first line must start a cell, with # %%")
    if "<<<<<<<" in text and re.search(r"^<{7} ", text, re.M):
        raise BookError(f"{path}: has unresolved merge conflicts")
    page = Page(path, [], [])
    end = 0
    for cell in jupytext.reads(text, fmt=PERCENT).cells:
        start = next(i for i in range(end, len(lines)) if header.match(lines[i])) + 1
        source = cell.source.rstrip("\n")
        end = start + (cell.source.count("\n") + 1 if cell.source else 0)
        metadata = {k: v for k, v in cell.metadata.items() if k != "lines_to_next_cell"}
        page.cells.append(
            {"cell_type": cell.cell_type, "metadata": metadata, "source": source}
            | ({"execution_count": None, "outputs": []} if cell.cell_type == "code" else {})
        )
        page.lines.append(start + 1)
    add_ids(page)
    check_metadata(page)
    return parts_of(page)


def header_values(file, option):
    """The values of an option in the headers of a percent file, which is not parsed for it."""
    return re.findall(rf'^# ?%%.* {option}="([^"]+)"', file.read_text("utf-8"), re.M)


def add_ids(page):
    """Give each cell an id made from its text, so that a new cell leaves the others' ids alone."""
    taken = set()
    for cell in page.cells:
        text = f"{page.name}\n{cell['cell_type']}\n{cell['source']}"
        repeats = 0
        while (cell_id := hashlib.sha256(f"{text}\n{repeats}".encode()).hexdigest()[:8]) in taken:
            repeats += 1
        taken.add(cell_id)
        cell["id"] = cell_id


def check_metadata(page):
    """Refuse misspelt or misplaced cell options, which would be ignored without a word."""
    for index, cell in enumerate(page.cells):
        options = cell["metadata"]
        tags = options.get("tags", [])
        keys = CELL_KEYS[page.folder]
        elsewhere = set().union(*CELL_KEYS.values()) - keys
        unknown = [f"{key}=" for key in options if key not in keys | elsewhere]
        unknown += [f'tag "{tag}"' for tag in tags if tag not in TAGS]
        if unknown:
            raise BookError(f"{page.where(index)}: unknown {unknown[0]} in the cell's first line")
        if options and cell["cell_type"] != "code" and page.folder != "checks":
            raise BookError(f"{page.where(index)}: only code cells have options")
        if misplaced := sorted(elsewhere & options.keys()):
            home = next(f for f, keys in CELL_KEYS.items() if misplaced[0] in keys)
            raise BookError(f"{page.where(index)}: {misplaced[0]}= belongs in book/{home}")
        if "export" in tags and page.is_exercise:
            raise BookError(f"{page.where(index)}: only chapters export")


def chapter_cells(page):
    """The cells of a chapter's notebook.

    A cell that is exported says where it lands, in a last comment, which does not go along. A cell
    that only draws has the tag `figure`: a page can fold it.
    """
    cells, module = [], None
    for cell in map(clean, page.cells):
        source, tags = source_of(cell), cell["metadata"].get("tags", [])
        if "export" in tags:
            module = cell["metadata"].get("module", module)
            cell["source"] = f"{source}\n{LANDS_IN}{landing(source, module)}"
        elif cell["cell_type"] == "code" and re.search(r"^(figures\.)?show\(", source, re.M):
            cell["metadata"]["tags"] = [*tags, "figure"]
        cells.append(cell)
    return cells


def landing(source, module):
    """Where an exported cell lands: "nn/linear.py, in Linear"."""
    classes = dict.fromkeys(re.findall(r"^@(?:coursekit\.)?add_to_class\((\w+)\)", source, re.M))
    return module + (f", in {' and '.join(classes)}" if classes else "")


def exercise_cells(page, answers):
    """The cells of an exercise set, with nbgrader's metadata.

    Args:
        page: the exercise set.
        answers: True for solutions/ (answers in place), False for exercises/ (answers blanked).
    """
    tasks, cells = {}, []
    for index, cell in enumerate(page.cells):
        cell = clean(cell)
        options = page.cells[index]["metadata"]
        marked = find_solution(cell["source"].split("\n"))
        task = options.get("answer")
        if task is not None:
            if task in tasks:
                raise BookError(f'{page.where(index)}: answer="{task}" is here twice')
            if not marked:
                raise BookError(f'{page.where(index)}: answer="{task}" has no {BEGIN} ... {END}')
            tasks[task] = index
            cell["source"] = "\n".join(answer_lines(cell["source"], page, index, answers))
            cell["metadata"]["nbgrader"] = nbgrader(task, solution=True)
        elif marked:
            raise BookError(f'{page.where(index)}: {BEGIN}, but the cell has no answer="..."')
        if (task := options.get("check")) is not None:
            if task not in tasks:
                raise BookError(f'{page.where(index)}: check="{task}" has no answer before it')
            if any(page.cells[i]["metadata"].get("check") == task for i in range(index)):
                raise BookError(f'{page.where(index)}: check="{task}" is here twice')
            for key in ("points", "minutes"):
                if not isinstance(options.get(key), int) or options[key] < 1:
                    raise BookError(f'{page.where(index)}: check="{task}" needs {key}=1 or more')
            if options.get("level") not in LEVELS:
                known = ", ".join(LEVELS)
                raise BookError(f'{page.where(index)}: check="{task}" needs level= one of {known}')
            points = options["points"]
            cell["metadata"]["nbgrader"] = nbgrader(f"{task}-check", points=points)
        cells.append(cell)
    for task, index in tasks.items():
        if not any(cell["metadata"].get("check") == task for cell in page.cells):
            raise BookError(f'{page.where(index)}: answer="{task}" has no check cell')
    return cells


def clean(cell):
    """A copy of a cell with the metadata that its notebook keeps."""
    metadata = {k: v for k, v in cell["metadata"].items() if k in ("tags", "module", "jupyter")}
    if tags := metadata.get("tags"):
        metadata["tags"] = tags + [NBVAL_TAGS[tag] for tag in tags if tag in NBVAL_TAGS]
    return cell | {"metadata": metadata}


def nbgrader(grade_id, solution=False, points=None):
    """nbgrader's metadata, schema 3, for an answer cell or (with points) for a check cell."""
    grade = points is not None
    metadata = {
        "grade": grade,
        "grade_id": grade_id,
        "locked": grade,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata | ({"points": points} if grade else {})


def find_solution(lines):
    return [line for line in lines if line.strip() in (BEGIN, END)]


def answer_lines(source, page, index, answers):
    """The lines of an answer cell; without `answers`, what stands between the markers is blanked.

    The markers stay beside the answers: nbgrader makes its own blank version by them.
    """
    lines, indent = [], None  # indentation of the open BEGIN marker
    for number, line in enumerate(source.split("\n"), 1):
        here = line[: len(line) - len(line.lstrip())]
        inside = indent is not None
        if line.strip() == BEGIN:
            if inside:
                raise BookError(f"{page.where(index, number)}: {BEGIN} inside a solution")
            indent, inside = here, True
            lines += [] if answers else [indent + text for text in BLANK]
        elif line.strip() == END:
            if indent != here:
                raise BookError(
                    f"{page.where(index, number)}: {END} without a {BEGIN} of the same indentation"
                )
            indent = None
        if answers or not inside:
            lines.append(line)
    if indent is not None:
        raise BookError(f"{page.where(index)}: {BEGIN} without {END}")
    return lines


def code_of(cells):
    """The sources and tags of the code cells: what the outputs can depend on."""
    return [
        [source_of(cell), sorted(cell["metadata"].get("tags", []))]
        for cell in cells
        if cell["cell_type"] == "code"
    ]
