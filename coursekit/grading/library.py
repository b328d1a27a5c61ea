"""What a student's notebook can import in the sandbox."""

import ast
import compileall
import os
from functools import cache

from coursekit import dependencies
from coursekit.checking.tasks import ROOT
from coursekit.files import write


def make_library(library, chapter):
    """Copy what a student's notebook imports: coursekit, and numpygpt up to the chapter before.

    Of what the set asks for, and of what comes later, only the names are there: an import harms
    nobody, a call is refused.
    """
    texts = package_texts(chapter)
    for path in sorted((ROOT / "coursekit").rglob("*.py")):
        texts[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
    for name, text in texts.items():
        write(library / name, text)
    compileall.compile_dir(library, quiet=2)  # once, and not in every sandbox
    for path in [library, *library.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)


def package_texts(chapter, needed=()):
    """{path: text} of numpygpt up to the chapter before; of what comes later, the names.

    Args:
        needed: paths of later modules to be given whole.
    """
    order = {f"numpygpt/{m}": number for m, number in dependencies.package_order(ROOT).items()}
    texts = {}
    for path in sorted((ROOT / "numpygpt").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("numpygpt/cli/"):
            text = path.read_text("utf-8")
            is_given = order.get(name, 0) < chapter or name in needed
            texts[name] = text if is_given else names_only(text)
    return texts


@cache
def names_only(text):
    """A module with the names of another, whose functions and classes refuse to be called."""
    lines = ["from coursekit.checking.covered import refuse", ""]
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            lines.append(f"def {node.name}(*args, **kwargs):\n    refuse()\n")
        elif isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            methods = " = ".join(dict.fromkeys(["__new__", *methods]))
            lines.append(f"class {node.name}:\n    {methods} = refuse\n")
        elif isinstance(node, ast.Assign):
            names = [name.id for name in node.targets if isinstance(name, ast.Name)]
            lines += [f"{name} = None" for name in names]
    return "\n".join(lines) + "\n"
