"""`python -m coursekit handout`: what students get, and no answer in it.

A folder with the blank notebooks, numpygpt up to the chapter before, and of coursekit what `check`
needs. Its cases and the right results for them are stored in it: numbers, and no code that makes
them. So `check` compares up to rounding, and says which output is wrong and how. Digests would give
away less, and could do neither: a right answer differs in its last digits from ours. An answer that
looks the numbers up is right there; `grade` draws other cases.
"""

import hashlib
import os
import re
import shutil
import zipfile
from contextlib import suppress
from inspect import isclass

import numpy as np

from coursekit.checking.judge import Reference
from coursekit.checking.tasks import find_set
from coursekit.classroom.contents import leaks, texts_of
from coursekit.classroom.light import stored
from coursekit.files import BookError, write
from coursekit.grading.names import file_key
from coursekit.source import BEGIN, BLANK, END, Page, exercise_cells, parts_of

LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)\s]*\)")  # to a file of the book


def handout(options):
    """Write handouts; return the exit code."""
    sets = [find_set(name) for name in dict.fromkeys(options.sets)]
    if found := leaks(sets):
        module, chapter = found[0]
        raise BookError(
            f"set {chapter} asks for numpygpt/{module}, and another of these sets needs it: "
            "hand them out one after the other"
        )
    texts = texts_of(sets, options.github)
    keys = list(dict.fromkeys(options.variant or [""]))
    if not options.out.name.strip("."):
        raise BookError(f"--out {options.out} has no name of its own: name a new folder")
    for key in keys:
        out = options.out / file_key(key) if len(keys) > 1 else options.out
        place = write_one(sets, texts, key, out, options.zip)
        print(f"{place}: {', '.join(each.name for each in sets)}", flush=True)
    print("your students need Python 3.11 or later; README.md in it says how they set it up")
    return 0


def write_one(sets, texts, key, out, zipped):
    """Write one handout: all of it or nothing. Return its path."""
    place = out.with_name(f"{out.name}.zip") if zipped else out
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise BookError(f"{place} is there already: choose another --out, or remove it")
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        for path, text in (texts | notebooks_of(sets, key)).items():
            write(beside / path, text)
        for exercises in sets:
            save_cases(exercises, key, beside / "coursekit" / stored.FOLDER.name)
        if zipped:
            pack(beside, out.name)
            os.replace(beside / "packed", place)
        else:
            with suppress(FileNotFoundError):
                place.rmdir()  # an empty one
            os.replace(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def pack(folder, name):
    """Write all files of a folder into the zip `packed` in it; the same files give the same zip."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder / "packed", "w", zipfile.ZIP_DEFLATED) as into:
        for path in paths:
            entry = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}")
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            into.writestr(entry, path.read_bytes())


def blank_page(page):
    """A page without its answers, and without links to files that a student has not."""
    cells = []
    for cell in page.cells:
        lines, inside = [], False
        for line in cell["source"].split("\n"):
            inside = inside and line.strip() != END
            lines += [] if inside else [line]
            if line.strip() == BEGIN:
                inside = True
                lines.append(line.replace(BEGIN, BLANK[-1]))
        source = "\n".join(lines)
        is_text = cell["cell_type"] == "markdown"
        cells.append(cell | {"source": LINK.sub(r"\1", source) if is_text else source})
    return Page(page.path, cells, [0] * len(cells))


def notebooks_of(sets, key):
    """{path: text} of the blank notebooks."""
    from coursekit.build import notebook_of, render

    found = {}
    for exercises in sets:
        page = blank_page(exercises.page)
        notebook = notebook_of(page, exercise_cells(page, answers=False))
        if key:
            notebook["metadata"]["numpygpt"]["variant"] = key
        found[f"{exercises.name}.ipynb"] = render(notebook)
    return found


def save_cases(exercises, key, folder):
    """Store the cases of a set, what is right for them, and its hints."""
    about = {
        "name": exercises.name,
        "chapter": exercises.page.number,
        "tasks": {},
        "page": parts_of(blank_page(exercises.page)),
    }
    blanks = {n: task for task in exercises.tasks for n in sorted(exercises.defined(task))}
    references = {}
    for task in exercises.tasks.values():
        digest = hashlib.sha256(f"{task.id}\n{key}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        references[task.id] = Reference(exercises, task.id, list(task.cases(rng)))
        own = exercises.variant_answer(task.id)
        about["tasks"][task.id] = {
            "points": task.points,
            "minutes": task.minutes,
            "hints": task.hints,
            "class": own.__name__ if isclass(own) else None,
            "without": sorted(task.without),
            "others": {name: home for name, home in blanks.items() if home != task.id},
        }
    stored.save(folder, exercises.name, about, references)
