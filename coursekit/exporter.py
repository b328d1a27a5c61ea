"""From the export cells of a notebook to the modules of the package.

The build and the reader's `export()` both come through `modules_of` and `formatted`, so that a
chapter exported by its reader is, byte for byte, the chapter exported by the build. Where there is
no ruff, as in a browser, `as_written` stands in for `formatted`, and syntax trees are compared.
"""

import ast
import builtins
import json
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from coursekit.files import BookError

RUFF_OPTIONS = ["--isolated", "--no-cache", "--line-length=100", "--target-version=py311"]
LANDS_IN = "# → numpygpt/"  # begins the line that tells a reader where a cell lands; it stays here
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules_of(cells, where):
    """Return `{"nn/linear.py": text}`, not yet formatted, for the export cells among `cells`.

    Args:
        cells: the notebook's cells, as in its JSON.
        where: function of a cell's index and a line in it, naming the place for an error.

    Raises:
        BookError: naming the cell and line that cannot be exported.
    """
    module, parts = None, {}
    for index, cell in enumerate(cells):
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or "export" not in tags:
            if "module" in cell["metadata"]:
                raise BookError(f"{where(index, 1)}: module= needs the tag export")
            continue
        module = cell["metadata"].get("module", module)
        if module is None:
            raise BookError(f'{where(index, 1)}: no module="..." in this or an earlier export cell')
        if not re.fullmatch(r"([a-z]\w*/)*[a-z]\w*\.py", module):
            raise BookError(f'{where(index, 1)}: module="{module}" is not like "nn/linear.py"')
        if module not in parts:
            parts[module] = Module(module)
        parts[module].add(source_of(cell), lambda line, index=index: where(index, line))
    import_between(list(parts.values()))
    return {module: part.text() for module, part in parts.items()}


def import_between(modules):
    """Import what a module uses from the chapter's earlier modules: the notebook has it at hand."""
    for number, module in enumerate(modules):
        tree = ast.parse(module.text())
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for earlier in modules[:number]:
            home = "numpygpt." + earlier.name.removesuffix(".py").replace("/", ".")
            # Where the name turns out to be a local one, ruff finds the import unused.
            for name in sorted(used & earlier.own_names() - set(module.defined)):
                module.imports.append([f"from {home} import {name}"])


def source_of(cell):
    """A cell's source; in the JSON it may be a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


class Module:
    """One module, put together from the export cells that name it."""

    def __init__(self, name):
        self.name = name
        self.docstring = None
        self.imports = []
        self.code = []  # lists of lines, in source order
        self.classes = {}  # name -> (its list of lines in `code`, the indentation of its body)
        self.defined = {}  # name -> where it was defined first

    def add(self, source, where):
        """Take in one export cell; `where(line)` names a place in it."""
        lines = [line for line in source.split("\n") if not line.startswith(LANDS_IN)]
        end, kind = 0, None  # of the statement before
        for node in parse(source, where).body:
            chunk = lines[end : node.end_lineno]  # with the comments above it
            if node.lineno <= end:
                if self.kind_of(node) != kind or kind == "method":
                    raise BookError(f"{where(node.lineno)}: put this on a line of its own")
                continue
            end, kind = node.end_lineno, self.kind_of(node)
            if kind == "docstring":
                self.docstring = chunk
            elif self.docstring is None:
                raise BookError(
                    f"{where(node.lineno)}: {self.name} must start with a docstring that says "
                    "what it is and which chapter derives it"
                )
            elif kind == "expression":
                raise BookError(
                    f"{where(node.lineno)}: an export cell only defines things: "
                    "what it shows or tries goes to a cell of its own"
                )
            elif kind == "import":
                if not is_coursekit(node):
                    self.imports.append(chunk)
            elif kind == "method":
                self.add_method(node, chunk, where)
            else:
                self.code.append(chunk)
                if isinstance(node, ast.ClassDef):
                    self.add_class(node, chunk, where)
            self.define(node, where)
        if any(line.strip() for line in lines[end:]):
            self.code.append(lines[end:])  # comments at the end of the cell

    def kind_of(self, node):
        if isinstance(node, ast.Expr):
            text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            return "docstring" if text and self.docstring is None else "expression"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return "import"
        if isinstance(node, FUNCTIONS) and class_added_to(node):
            return "method"
        return "code"

    def define(self, node, where):
        """Remember the names that `node` defines; refuse one that is there already."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            origin = getattr(node, "module", None)
            names = [((a.asname or a.name), f"{origin}.{a.name}") for a in node.names]
        else:
            names = [(name, None) for name in names_defined(node)]
        for name, origin in names:
            first, first_origin = self.defined.setdefault(name, (where(node.lineno), origin))
            again = first != where(node.lineno) and not is_accessor(node)
            if again and (origin is None or origin != first_origin):
                raise BookError(
                    f"{where(node.lineno)}: {name} is already in {self.name} (from {first})"
                )

    def add_class(self, node, chunk, where):
        if node.body[0].lineno == node.lineno:
            raise BookError(f"{where(node.lineno)}: put the body of the class on its own lines")
        self.classes[node.name] = chunk, node.body[0].col_offset
        for item in node.body:
            if isinstance(item, FUNCTIONS) and not is_accessor(item):
                self.defined[f"{node.name}.{item.name}"] = where(item.lineno), None

    def add_method(self, node, chunk, where):
        """Move an `@add_to_class(Linear)` function to the end of class Linear."""
        name = class_added_to(node)
        if name not in self.classes:
            raise BookError(
                f"{where(node.lineno)}: @add_to_class({name}), but no export cell "
                f"before this one defines class {name} in {self.name}"
            )
        if problem := breaks_outside_class(node):
            raise BookError(f"{where(problem[0])}: {problem[1]}")
        lines, indent = self.classes[name]
        decorator = next(d for d in node.decorator_list if added_by(d))
        first = node.end_lineno - len(chunk) + 1
        fixed = lines_inside_strings(node)
        lines.append("")
        for number, line in enumerate(chunk, first):
            if not decorator.lineno <= number <= decorator.end_lineno:
                keep = number in fixed or not line.strip()
                lines.append(line if keep else " " * indent + line)

    def own_names(self):
        """The names that it defines rather than imports."""
        return {name for name, (_, origin) in self.defined.items() if origin is None}

    def text(self):
        parts = [self.docstring, *self.imports, *self.code]
        return "\n\n".join("\n".join(part) for part in parts) + "\n"


def parse(source, where):
    try:
        return ast.parse(source)
    except SyntaxError as error:
        number = error.lineno or 1
        line = (source.split("\n") + [""])[number - 1].strip()
        if line.startswith(("%", "!")):
            raise BookError(
                f"{where(number)}: an export cell cannot hold an IPython command: {line}"
            ) from None
        raise BookError(f"{where(number)}: {error.msg}: {line}") from None


def added_by(decorator):
    """Whether a decorator is `add_to_class(...)`, with or without `coursekit.` before it."""
    if not isinstance(decorator, ast.Call):
        return False
    return getattr(decorator.func, "id", getattr(decorator.func, "attr", None)) == "add_to_class"


def class_added_to(node):
    """The text of the class in `@add_to_class(...)` above `node`, or None."""
    for decorator in node.decorator_list:
        if added_by(decorator):
            return ", ".join(ast.unparse(argument) for argument in decorator.args)
    return None


def names_defined(node):
    """The top-level names that a statement defines: `Linear`, or `Linear.backward` for an added
    method."""
    if isinstance(node, FUNCTIONS):
        added_to = class_added_to(node)
        return [f"{added_to}.{node.name}" if added_to else node.name]
    if isinstance(node, ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return []
    return [
        n.id
        for t in targets
        for n in ast.walk(t)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]


def is_accessor(node):
    """Whether a function is the second half of a property: `@x.setter` and its like."""
    return isinstance(node, FUNCTIONS) and any(
        isinstance(d, ast.Attribute) and d.attr in ("setter", "deleter", "getter")
        for d in node.decorator_list
    )


def is_coursekit(node):
    names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    return all((name or "").split(".")[0] == "coursekit" for name in names)


def breaks_outside_class(function):
    """The line and the reason if a method works inside its class only, not in the notebook."""
    for node in ast.walk(function):
        bare_super = isinstance(node, ast.Call) and not node.args
        if bare_super and getattr(node.func, "id", None) == "super":
            return node.lineno, (
                "super() finds no class outside one: name it, as in Module.__init__(self)"
            )
        name = getattr(node, "attr", getattr(node, "id", None))
        if isinstance(name, str) and name.startswith("__") and not name.endswith("__"):
            return node.lineno, f"{name} means another name inside a class: use one underscore"
    return None


def lines_inside_strings(function):
    """Numbers of the lines that begin inside a string: indenting them would change the string.

    Docstrings are not among them; they move with the code.
    """
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(function)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and isinstance(node.body[0], ast.Expr)
    }
    return {
        line
        for node in ast.walk(function)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in docstrings
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }


def formatted(modules):
    """Gather and sort the imports of raw modules, and lay them out as the package does.

    Args:
        modules: `{"nn/linear.py": text}`, as from `modules_of`.

    Returns:
        The same with the final texts, and a list `(module, name, line)` of names that the line
        uses but that nothing in the module defines.
    """
    if not modules:
        return {}, []
    with tempfile.TemporaryDirectory() as folder:
        for module, text in modules.items():
            path = Path(folder, module)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        findings = json.loads(
            ruff(
                folder,
                *("check", "--fix", "--exit-zero", "--output-format=json"),
                "--select=I,F401,F821,PIE790",  # imports: order, use; unknown names; needless pass
                "--config=lint.isort.known-first-party=['numpygpt']",
            )
        )
        undefined = []
        for finding in findings:
            if finding["code"] in ("F821", None):
                module = Path(finding["filename"]).resolve()
                module = module.relative_to(Path(folder).resolve()).as_posix()
                line = Path(folder, module).read_text("utf-8").split("\n")
                line = line[finding["location"]["row"] - 1].strip()
                undefined.append((module, finding["message"], line))
        ruff(folder, "format")
        texts = {m: Path(folder, m).read_text("utf-8") for m in modules}
    return texts, undefined


def ruff(folder, command, *options):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", command, *RUFF_OPTIONS, *options, "."],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise BookError(f"ruff, which formats the modules, failed: {reason}")
    return done.stdout


def has_ruff():
    """Whether ruff can run here: a browser has the file, perhaps, but starts no process."""
    return sys.platform != "emscripten" and find_spec("ruff") is not None


def as_written(modules):
    """What `formatted` returns, without ruff: the texts as they are, and the names nothing defines.

    A name counts as defined where any line of its module binds it, in whatever scope.
    """
    undefined = []
    for module, text in modules.items():
        tree, lines = ast.parse(text), text.split("\n")
        known = {*dir(builtins), "__file__", "__name__"}
        for node in ast.walk(tree):
            known |= names_bound(node)
        loads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id not in known]
        for node in sorted(loads, key=lambda node: node.lineno):
            message = f"Undefined name `{node.id}`"
            undefined.append((module, message, lines[node.lineno - 1].strip()))
    return dict(modules), undefined


def names_bound(node):
    """The names that one node of a syntax tree binds, in the scope that it stands in."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.alias):
        return {node.asname or node.name.split(".")[0]}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    bound = getattr(node, "name", None)  # except ... as error, case [*rest], case {**rest}
    return {bound} if isinstance(bound, str) else set()


def same_code(one, other):
    """Whether two modules are the same but for comments and for what ruff would change.

    That is the layout, the order of imports, imports that nothing uses, and a needless `pass`.
    """
    return bare(one) == bare(other)


def bare(text):
    """The syntax tree of a module without what ruff would change, and the imports that it uses."""
    tree = ast.parse(text)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imports = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            home = getattr(node, "module", None)
            imports |= {(home, a.name, a.asname) for a in node.names if names_bound(a) & used}
    tree.body = [n for n in tree.body if not isinstance(n, (ast.Import, ast.ImportFrom))]
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list) and len(body) > 1:
            node.body = [statement for statement in body if not isinstance(statement, ast.Pass)]
    return ast.dump(tree), imports


def exported(name, cells, where):
    """The final modules of one notebook, or BookError: what `export()` writes."""
    raw = modules_of(cells, where)
    modules, undefined = formatted(raw) if has_ruff() else as_written(raw)
    for problem in undefined:
        raise BookError(undefined_name(cells, where, *problem))
    return modules


def undefined_name(cells, where, module, message, line):
    """One line about a name that an exported module uses and nothing defines."""
    place = module
    for index, cell in enumerate(cells):
        texts = [text.strip() for text in source_of(cell).split("\n")]
        if "export" in cell["metadata"].get("tags", []) and line in texts:
            place = where(index, texts.index(line) + 1)
            break
    return f"{place}: {message} in {module}: import or define it in an export cell: {line}"
