"""What a handout holds: which files, of which modules, and no module that is an answer."""

import functools
import re
import tomllib
from pathlib import Path

from coursekit import dependencies
from coursekit.checking.tasks import ROOT
from coursekit.classroom.student_readme import student_readme
from coursekit.classroom.workflow import workflow
from coursekit.files import BookError, read
from coursekit.grading.library import package_texts

LIGHT = "coursekit.classroom.light"
STARTS = [f"{LIGHT}.check", f"{LIGHT}.__main__", "coursekit.notebook", "coursekit.checking.whose"]
NEEDED = ("numpy", "jupyterlab", "ipykernel", "nbclient", "nbformat")  # of pyproject.toml
# Progress is not shared by chance: a student who wants to, zips it.
IGNORED = "__pycache__/\n.ipynb_checkpoints/\n.venv/\n.progress/\n"


def texts_of(sets, github=False):
    """{path: text} of all that is the same for every student."""
    names = [exercises.name for exercises in sets]
    texts = {
        "README.md": student_readme(sets),
        "LICENSE": read(ROOT / "LICENSE"),
        ".gitignore": IGNORED,
        "requirements.txt": "".join(f"{line}\n" for line in requirements()),
    }
    if github:
        texts[".github/workflows/autograding.yml"] = workflow(names)
    modules, graph = our_modules()
    chapter = min(exercises.page.number for exercises in sets)
    needed = {f"{name.replace('.', '/')}.py" for name in needed_by(sets)}
    texts |= package_texts(chapter, needed)
    for module in dependencies.closure(STARTS, graph):
        if module.startswith("coursekit."):
            path = f"{module.replace('.', '/')}.py"
            texts[path] = modules[module]
            for parent in Path(path).parents[:-1]:  # packages
                texts[f"{parent.as_posix()}/__init__.py"] = modules[
                    parent.as_posix().replace("/", ".")
                ]
    texts["coursekit/__main__.py"] = texts.pop(f"{LIGHT.replace('.', '/')}/__main__.py")
    texts["coursekit/__init__.py"] = without_the_book(modules["coursekit"])
    del texts["numpygpt/__main__.py"]  # a command line, which is not in it
    return texts


def without_the_book(text):
    """coursekit/__init__.py with the light `check` in the place of the book's."""
    text, replaced = re.subn(r'"checking\.check"', '"classroom.light.check"', text)
    text, dropped = re.subn(r'\n    "adopt": .*', "", text)
    if (replaced, dropped) != (3, 1):
        raise BookError("coursekit/__init__.py is not as handout expects it")
    return text


@functools.cache
def our_modules():
    """{module: text} of numpygpt and coursekit, and which imports which."""
    modules = dependencies.module_texts(ROOT)
    return modules, dependencies.graph_of(modules)


def needed_by(sets):
    """The modules of numpygpt that the sets import, directly or not."""
    modules, graph = our_modules()
    direct = set()
    for exercises in sets:
        for cell in exercises.page.cells:
            direct |= set(dependencies.imports_of(dependencies.python_of(cell), modules))
    return {name for name in dependencies.closure(direct, graph) if name.startswith("numpygpt.")}


def leaks(sets):
    """Pairs of module and chapter: what one set needs, and another one asks for."""
    needed = needed_by(sets)
    asked = {exercises.page.number for exercises in sets}
    order = dependencies.package_order(ROOT)
    first = min(asked)
    return sorted(
        (module, chapter)
        for module, chapter in order.items()
        if chapter >= first
        and chapter in asked
        and dependencies.dotted(f"numpygpt/{module}") in needed
    )


def requirements():
    """The lines of requirements.txt: what a student installs."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["book"]]
    return [line for line in lines if re.match(r"[\w-]+", line)[0] in NEEDED]
