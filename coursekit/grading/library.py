"""What a student's notebook can import in the sandbox."""

import ast
import compileall
import os

from coursekit import dependencies
from coursekit.checking.tasks import ROOT
from coursekit.files import write


def make_library(library, chapter):
    """Copy what a student's notebook imports: coursekit, and numpygpt up to the chapter before.

    Of what the set asks for, and of what comes later, only the names are there: an import harms
    nobody, a call is refused.
    """
    order = {f"numpygpt/{m}": number for m, number in dependencies.package_order(ROOT).items()}
    for package in ("numpygpt", "coursekit"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith("numpygpt/cli/"):
                continue
            text = path.read_text("utf-8")
            write(library / name, text if order.get(name, 0) < chapter else names_only(text))
    compileall.compile_dir(library, quiet=2)  # once, and not in every sandbox
    for path in [library, *library.rglob("*")]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)


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
