"""What imports what, found without importing anything.

The build asks it which modules a notebook's outputs depend on; a test asks it whether imports in
the package only ever point to an earlier chapter. Modules are named with dots; `texts` is a dict
of every module of the package, and of coursekit, to its source.
"""

import ast
from functools import cache
from pathlib import Path

from coursekit.exporter import source_of
from coursekit.files import BookError
from coursekit.source import header_values


def module_texts(root, exported=None):
    """Return `{"numpygpt.nn.linear": source}` for numpygpt and coursekit.

    Args:
        root: the folder that holds numpygpt.
        exported: `{"nn/linear.py": text}` to take instead of the files of the package.
    """
    texts = {}
    for package in (Path(root, "numpygpt"), Path(__file__).parent):
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package.parent).as_posix()
            if name.removeprefix("numpygpt/") in (exported or {}):
                continue  # about to be written: what is wrong with the file is no matter
            try:
                texts[dotted(name)] = text = path.read_text("utf-8")
                parsed(text)
            except SyntaxError as error:
                raise BookError(f"{name}:{error.lineno}: {error.msg}") from None
            except ValueError as error:
                raise BookError(f"{name}: {error}") from None
    for module, text in (exported or {}).items():
        texts[dotted(f"numpygpt/{module}")] = text
    return texts


def dotted(path):
    """`numpygpt/nn/linear.py` -> `numpygpt.nn.linear`; a package's `__init__.py` -> the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def homes_of(text):
    """The literal dict `HOMES` of a lazy package: public name -> module that defines it."""
    for node in parsed(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "HOMES":
            return ast.literal_eval(node.value)
    return {}


@cache
def parsed(text):
    return ast.parse(text)


@cache  # a build asks for the same module for every page, and the tests build the book often
def nodes_of(text):
    """All nodes of a source."""
    return list(ast.walk(parsed(text)))


def imports_of(text, texts, module=None):
    """The modules that a source imports directly, each with the line that does.

    A name that a package only passes on counts as an import of the module that defines it:
    `from numpygpt.nn import Linear` is an import of `numpygpt.nn.linear` and of nothing else.

    Args:
        text: the source.
        texts: every known module; others are left out of the result.
        module: the name of the source itself, needed for relative imports.
    """
    found, packages = {}, {}  # packages: name in this source -> package that it stands for

    def add(name, line):
        found.setdefault(name, line)

    for node in nodes_of(text):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level and module is not None:
                parts = module.split(".")
                inside = parts if is_package(module, texts) else parts[:-1]
                parts = inside[: len(inside) - node.level + 1]
                base = ".".join([*parts, base]).rstrip(".")
            for alias in node.names:
                home = home_of(base, alias.name, texts)
                if home in texts and is_package(home, texts):
                    packages[alias.asname or alias.name] = home
                elif home is not None:
                    add(home, node.lineno)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name
                if name.split(".")[0] not in ("numpygpt", "coursekit"):
                    continue
                if name in texts and not is_package(name, texts):
                    add(name, node.lineno)
                if alias.asname is None:
                    packages[name.split(".")[0]] = name.split(".")[0]
                elif is_package(name, texts):
                    packages[alias.asname] = name
    for name, line in package_uses(nodes_of(text), packages, texts) if packages else ():
        add(name, line)
    return found


def is_package(name, texts):
    return any(other.startswith(f"{name}.") for other in texts)


def home_of(base, name, texts):
    """The module that `from base import name` needs, or None if it is not one of ours."""
    if base not in texts:
        return None
    if is_package(base, texts):
        homes = homes_of(texts[base])
        if name in homes:
            return f"{base}.{homes[name]}"
        for node in parsed(texts[base]).body:
            if isinstance(node, ast.ImportFrom) and any(a.name == name for a in node.names):
                # cli/__init__.py may say `from numpygpt.cli import data`: its own module
                if node.module in texts and not node.level and node.module != base:
                    return home_of(node.module, name, texts)
        if f"{base}.{name}" in texts:
            return f"{base}.{name}"
    return base


def package_uses(nodes, packages, texts):
    """Yield the modules behind `nn.Linear` where `nn` is a package, and the line of each use.

    A package that is used in any other way (passed on, looked into) may need all its modules.
    """
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        chain, base = [], node
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name) or base.id not in packages or id(node) in inner:
            continue
        current = packages[base.id]
        for attribute in chain:
            current = home_of(current, attribute, texts)
            if current is None or not is_package(current, texts):
                break
        if current is not None and is_package(current, texts):
            for home in homes_of(texts[current]).values():
                yield f"{current}.{home}", node.lineno
        elif current is not None:
            yield current, node.lineno


def graph_of(texts):
    """Which modules each module imports directly."""
    return {name: set(imports_of(text, texts, name)) for name, text in texts.items()}


def closure(names, graph):
    """The modules in `names` and everything of ours that they import, directly or not."""
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name in graph and name not in seen:
            seen.add(name)
            todo += graph[name]
    return seen


def python_of(cell):
    """A cell's Python: IPython commands translated; nothing if it is an example of a mistake."""
    source = source_of(cell) if cell["cell_type"] == "code" else ""
    try:
        ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        source = TransformerManager().transform_cell(source)
        try:
            ast.parse(source)
        except SyntaxError:
            return ""
    return source


def chapter_imports(page, texts):
    """The modules that a page imports directly: name -> (cell's index, line in the cell)."""
    lines, places = [], []
    for index, cell in enumerate(page.cells):
        source = python_of(cell).split("\n")
        lines += source
        places += [(index, line) for line in range(1, len(source) + 1)]
    # One source, because a package imported in one cell is used in others.
    found = imports_of("\n".join(lines), texts)
    return {name: places[line - 1] for name, line in found.items()}


def package_order(root):
    """Which chapter exports each module: `{"nn/linear.py": 3}`, from the sources in book/.

    Only their headers are read: to parse all chapters takes more than a second.
    """
    order = {}
    for path in sorted(Path(root, "book", "chapters").glob("*.py")):
        order |= dict.fromkeys(header_values(path, "module"), int(path.name[:2]))
    return order


def later_imports(pages, exported_by, texts, graph):
    """`(page, line)` for each import that points to a chapter that the reader has not reached.

    Args:
        pages: the chapters and exercise sets.
        exported_by: `{"nn/linear.py": page}` for every exported module.
        texts: every module's source, as from `module_texts`.
        graph: which module imports which, as from `graph_of`.
    """
    number = {dotted(f"numpygpt/{m}"): page.number for m, page in exported_by.items()}

    def too_late(names, limit):
        late = [m for m in closure(names, graph) if number.get(m, -1) > limit]
        return max(late, key=lambda m: (number[m], m), default=None)

    problems = []
    for page in pages:
        # A chapter has not exported its own module yet, and its exercises are to write it again.
        limit = page.number - 1
        for name, (index, line) in chapter_imports(page, texts).items():
            if late := too_late([name], limit):
                how = f"needs {late}" if late == name else f"needs {name}, which needs {late}"
                problems.append(
                    (
                        page,
                        f"{page.where(index, line)}: {how}, which chapter {number[late]} exports",
                    )
                )
    return problems
