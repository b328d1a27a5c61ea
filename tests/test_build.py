"""The build, tried on a tiny book of two chapters and one exercise set."""

import ast
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import psutil
import pytest

from coursekit import add_to_class, elsewhere
from coursekit.__main__ import main
from coursekit.build import build
from coursekit.checking.tasks import edited
from coursekit.dependencies import chapter_imports, closure, graph_of, imports_of, package_order
from coursekit.exporter import formatted, modules_of
from coursekit.files import BookError, write
from coursekit.notebook import changed_since_saved, find_notebook
from coursekit.source import exercise_cells, read_page

REPOSITORY = Path(__file__).parents[1]

LAZY = '''
"""The layers. Written by hand."""
from importlib import import_module

HOMES = {"Module": "module", "Linear": "linear", "zeros": "linear"}

def __getattr__(name):
    if name not in HOMES:
        raise AttributeError(name)
    return getattr(import_module("numpygpt.nn." + HOMES[name]), name)
'''

MODULE = '''
# %% [markdown]
# # A layer
#
# We begin.

# %% tags=["export"] module="nn/module.py"
"""What layers share. Derived in chapter 2."""
import math
from coursekit import add_to_class, export

# %% tags=["export"]
class Module:
    """A layer: y = f(x)."""

# %%
Module.__name__

# %% tags=["export"]
# Calling a layer is running it forward.
@add_to_class(Module)
def __call__(self, x):
    return self.forward(x)

# %%
export("02_module")
'''

LINEAR = '''
# %% [markdown]
# # Linear

# %% tags=["export"] module="nn/linear.py"
"""A linear layer. Derived in chapter 3."""
import numpy as np
from numpygpt.nn import Module

# %%
import time
from coursekit import add_to_class, export

# %% tags=["export"]
class Linear(Module):
    """y = x w."""

    def __init__(self, w):
        self.w = np.asarray(w)

# %% tags=["export"]
@add_to_class(Linear)
def forward(self, x):    # x: a number
    return x * self.w

# %%
print(Linear(2)(3))

# %% tags=["measurement"]
time.perf_counter_ns()

# %% tags=["skip-execution"]
print("a widget")

# %% tags=["raises-exception"]
Module()(1)

# %%
export("03_linear")
'''

EXERCISE = '''
# %% [markdown]
# # Exercise

# %%
from numpygpt.nn import Module

class Linear(Module):
    def __init__(self, w):
        self.w = w

# %% answer="linear-backward"
def backward(layer, dy):
    """Return dx."""
    ### BEGIN SOLUTION
    dx = dy * layer.w
    return dx
    ### END SOLUTION

# %% check="linear-backward" points=2 minutes=5 level="easy"
assert backward(Linear(3), 2) == 6
print("right")
'''


def put(root, path, text):
    path = Path(root, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip("\n"), "utf-8", errors="surrogateescape")
    return path


def change(path, old, new):
    """Replace `old`, which must be there, in a file."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def tiny_book(root):
    put(root, "numpygpt/__init__.py", '"""Written by hand."""\n')
    put(root, "numpygpt/nn/__init__.py", LAZY)
    put(root, "book/chapters/02_module.py", MODULE)
    put(root, "book/chapters/03_linear.py", LINEAR)
    put(root, "book/exercises/03_linear.py", EXERCISE)
    return root


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    root = tiny_book(tmp_path_factory.mktemp("build") / "a book")  # a space in the path
    says = []
    assert build(root, say=says.append) == 0, says
    return root


@pytest.fixture
def book(built_once, tmp_path):
    """A built book of one's own."""
    return Path(shutil.copytree(built_once, tmp_path / "a book"))


@pytest.fixture
def say():
    return []


def check(root, *names, **options):
    """`build --check`: the exit code and the lines but the last, which only counts."""
    says = []
    code = build(root, names, check=True, say=says.append, **options)
    return code, says[:-1] if code < 2 else says


def contents(root):
    """Every file below `root` with its bytes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def notebook(root, path):
    return json.loads(Path(root, path).read_text("utf-8"))


def outputs(root, path):
    return [cell["outputs"] for cell in notebook(root, path)["cells"] if "outputs" in cell]


def code_cell(source, module=None, tags=("export",)):
    metadata = {"tags": list(tags)} | ({"module": module} if module else {})
    source = textwrap.dedent(source).strip("\n")
    return {"cell_type": "code", "metadata": metadata, "source": source}


def place(index, line):
    return f"cell {index + 1}, line {line}"


def export_text(*sources):
    """The final text of a module that is exported from cells with these sources."""
    cells = [code_cell('"""A module."""', "nn/one.py"), *map(code_cell, sources)]
    texts, undefined = formatted(modules_of(cells, place))
    assert undefined == []
    return texts["nn/one.py"]


# The package


def test_the_exported_module_is_an_ordinary_one_that_reads_top_to_bottom(built_once):
    assert (built_once / "numpygpt/nn/linear.py").read_text() == textwrap.dedent('''\
        """A linear layer. Derived in chapter 3."""

        import numpy as np

        from numpygpt.nn import Module


        class Linear(Module):
            """y = x w."""

            def __init__(self, w):
                self.w = np.asarray(w)

            def forward(self, x):  # x: a number
                return x * self.w
        ''')


def test_comments_above_a_method_move_with_it_and_unused_imports_go(built_once):
    assert (built_once / "numpygpt/nn/module.py").read_text() == textwrap.dedent('''\
        """What layers share. Derived in chapter 2."""


        class Module:
            """A layer: y = f(x)."""

            # Calling a layer is running it forward.
            def __call__(self, x):
                return self.forward(x)
        ''')


def test_methods_keep_their_other_decorators_and_the_text_inside_strings(tmp_path):
    text = export_text(
        "class A:\n    def first(self):\n        return 1",
        '''
        @add_to_class(A)
        @property
        def size(self):
            """A docstring

            of lines.
            """
            return """a
        b"""

        @add_to_class(A)
        @size.setter
        def size(self, value):
            self.value = value

        @add_to_class(A)
        @classmethod
        def make(cls):
            return cls()

        @add_to_class(A)
        @staticmethod
        def two():
            return f"""{2}
            and"""
        ''',
    )
    spec = spec_from_file_location("one", put(tmp_path, "one.py", text))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    a = module.A
    assert [n.name for n in ast.parse(text).body[1].body] == "first size size make two".split()
    assert "add_to_class" not in text
    assert a().size == "a\nb"
    assert a.two() == "2\n    and"
    assert isinstance(a.make(), a)
    assert a.size.fset is not None


def test_methods_come_in_the_order_of_the_cells_also_when_two_classes_grow_at_once():
    text = export_text(
        "class A:\n    pass",
        "class B:\n    pass",
        "@add_to_class(B)\ndef b1(self): ...",
        "@add_to_class(A)\ndef a1(self): ...\n@add_to_class(B)\ndef b2(self): ...",
    )
    found = {n.name: [m.name for m in n.body] for n in ast.parse(text).body[1:]}
    assert found == {"A": ["a1"], "B": ["b1", "b2"]}


def test_imports_of_all_cells_are_gathered_sorted_and_written_once():
    text = export_text(
        "import numpy as np\nfrom math import pi",
        "import numpy as np\nfrom math import e  # Euler's number\n\nX = np.array([pi, e])",
        "from collections import deque\n\nD = deque()",
    )
    lines = [line for line in text.split("\n") if "import" in line]
    assert lines[0] == "from collections import deque"
    assert text.count("numpy") == 1
    assert text.index("import numpy") < text.index("X =")
    assert "# Euler's number" in text


def test_a_module_imports_what_an_earlier_module_of_its_chapter_defines():
    cells = [
        code_cell('"""One."""\nK = 1\ndef f(x):\n    return x', "nn/one.py"),
        code_cell('"""Two."""\ndef g(x):\n    K = 2\n    return f(x) + K', "nn/two.py"),
    ]
    texts, undefined = formatted(modules_of(cells, place))
    assert "from numpygpt.nn.one import f\n" in texts["nn/two.py"]
    assert not undefined


BAD_CELLS = {
    "a syntax error": ("x = (", "cell 2, line 1: '(' was never closed: x = ("),
    "an IPython command": ("x = 1\n%timeit x", "line 2: an export cell cannot hold an IPython"),
    "an unknown class": ("@add_to_class(Nil)\ndef f(self): ...", "no export cell before this one"),
    "a method twice": (
        "class A:\n    def f(self): ...\n\n@add_to_class(A)\ndef f(self): ...",
        "line 5: A.f is already in nn/one.py (from cell 2, line 2)",
    ),
    "an added method twice": (
        "class A:\n    x = 1\n" + 2 * "@add_to_class(A)\ndef f(self): ...\n",
        "line 6: A.f is already in nn/one.py",
    ),
    "a function twice": ("def f(): ...\ndef f(): ...", "line 2: f is already in nn/one.py"),
    "a constant twice": ("A = 1\nA = 2", "line 2: A is already in nn/one.py"),
    "a name imported and defined": ("from math import pi\npi = 3", "line 2: pi is already in"),
    "super()": (
        "class A:\n    x = 1\n@add_to_class(A)\ndef f(self):\n    super().f()",
        "line 5: super() finds no class",
    ),
    "a private name": (
        "class A:\n    x = 1\n@add_to_class(A)\ndef f(self):\n    self.__x = 1",
        "line 5: __x means another name",
    ),
    "a call at the top": ("x = 1\nprint(x)", "line 2: an export cell only defines things"),
    "code after an import": ("import math; x = 1", "line 1: put this on a line of its own"),
    "a class on one line": ("class A: x = 1", "line 1: put the body of the class"),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_what_cannot_be_exported_is_refused_with_its_place(case):
    source, message = BAD_CELLS[case]
    with pytest.raises(BookError) as error:
        export_text(source)
    assert message in str(error.value)
    assert "cell 2" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([code_cell("x = 1")], 'no module="..."'),
        ([code_cell("x = 1", "nn/one.py")], "must start with a docstring"),
        ([code_cell('"""One."""', "../one.py")], 'is not like "nn/linear.py"'),
        ([code_cell('"""One."""', "nn/__init__.py")], 'is not like "nn/linear.py"'),
        ([code_cell("x = 1", "nn/one.py", tags=())], "module= needs the tag export"),
    ],
)
def test_a_module_must_be_named_and_start_with_a_docstring(cells, message):
    with pytest.raises(BookError, match="cell 1") as error:
        modules_of(cells, place)
    assert message in str(error.value)


def test_a_name_that_only_the_notebook_has_is_an_error_with_its_place(tmp_path, say):
    root = tiny_book(tmp_path)
    change(root / "book/chapters/03_linear.py", "import numpy as np\n", "")
    assert build(root, check=True, say=say.append) == 2
    place = "book/chapters/03_linear.py:17: 03_linear, cell 4, line 5: "
    errors = [line for line in say if line.startswith(place)]
    assert len(errors) == 1
    assert "`np`" in errors[0]
    assert "self.w = np.asarray(w)" in errors[0]


def test_two_chapters_cannot_export_the_same_module(tmp_path, say):
    root = tiny_book(tmp_path)
    put(root, "book/chapters/04_again.py", MODULE.replace("02_module", "04_again"))
    assert build(root, check=True, say=say.append) == 2
    assert "book/chapters/04_again.py: book/chapters/02_module.py exports nn/module.py too" in say


# add_to_class in the notebook


def test_add_to_class_adds_functions_properties_and_class_methods():
    class A:
        pass

    @add_to_class(A)
    def one(self):
        return 1

    @add_to_class(A)
    @property
    def two(self):
        return 2

    @add_to_class(A)
    @classmethod
    def three(cls):
        return cls.__name__

    assert (A().one(), A().two, A.three()) == (1, 2, "A")
    assert one(A()) == 1  # the notebook keeps the function
    assert A.one.__qualname__.endswith("A.one")


def test_add_to_class_refuses_what_works_only_inside_a_class():
    class Base:
        def f(self):
            return "base"

    class A(Base):
        pass

    with pytest.raises(TypeError, match=r"name the parent, as in Base\.f\(self\)"):

        @add_to_class(A)
        def f(self):
            return super().f()

    def g(self):
        self.__private = 1

    with pytest.raises(TypeError, match="g uses __private"):
        add_to_class(A)(g)

    @add_to_class(A)
    def f(self):
        return super(A, self).f()

    assert A().f() == "base"


# Notebooks


def test_the_notebook_is_executed_and_exports_what_the_build_exported(built_once):
    shown = outputs(built_once, "notebooks/02_module.ipynb")
    assert shown[2][0]["data"]["text/plain"] == ["'Module'"]
    lines = len((built_once / "numpygpt/nn/module.py").read_text().splitlines())
    assert shown[-1][0]["text"] == [
        f"numpygpt/nn/module.py: {lines} lines, the package already holds exactly this\n"
    ]


def test_nothing_in_a_notebook_depends_on_the_machine(built_once):
    text = (built_once / "notebooks/03_linear.ipynb").read_text("utf-8")
    assert str(built_once) not in text
    assert sys.prefix not in text
    error = outputs(built_once, "notebooks/03_linear.ipynb")[-2][0]
    assert error["ename"] == "AttributeError"
    assert "Cell" in "".join(error["traceback"])
    assert "module.py" not in "".join(error["traceback"])  # where it was raised
    assert set(notebook(built_once, "notebooks/03_linear.ipynb")["metadata"]["numpygpt"]) == {
        "source",
        "inputs",
        "contents",
    }


def test_nbval_runs_the_built_notebooks_and_agrees(built_once):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
        # Without our plugin: this book has a set of the same name, and other tasks in it.
        + ["-p", "no:coursekit", "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir=."]
        + ["notebooks", "solutions"],
        cwd=built_once,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(built_once), str(REPOSITORY)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout  # the widget, and nothing else


def test_two_forced_builds_are_byte_identical_but_for_measurements(book, say):
    before = contents(book)
    assert build(book, force=True, say=say.append) == 0
    assert sum(line.startswith("executed") for line in say) == 3
    after = contents(book)
    assert before.keys() == after.keys()
    differing = [path for path in before if before[path] != after[path]]
    assert differing in (["notebooks/03_linear.ipynb"], [])
    cells = (json.loads(b["notebooks/03_linear.ipynb"])["cells"] for b in (before, after))
    changed = [old["source"] for old, new in zip(*cells, strict=True) if old != new]
    assert changed == [["time.perf_counter_ns()"]]
    assert check(book) == (0, [])


def test_a_new_cell_leaves_the_ids_of_the_others_alone(tmp_path):
    put(tmp_path, "book/chapters/01_a.py", "# %%\n1\n\n# %%\n2\n\n# %%\n2\n")
    put(tmp_path, "book/chapters/02_a.py", "# %%\n0\n\n# %%\n1\n")
    before = [c["id"] for c in read_page(tmp_path, "book/chapters/01_a.py").cells]
    put(tmp_path, "book/chapters/01_a.py", "# %%\n1\n\n# %%\n3\n\n# %%\n2\n\n# %%\n2\n")
    after = [c["id"] for c in read_page(tmp_path, "book/chapters/01_a.py").cells]
    assert len(set(before)) == 3
    assert after[0] == before[0]
    assert after[2:] == before[1:]
    other = [c["id"] for c in read_page(tmp_path, "book/chapters/02_a.py").cells]
    assert other[1] != before[0]  # another notebook


def test_a_page_is_parsed_once_and_again_when_it_or_what_is_kept_of_it_changes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    path = "book/chapters/01_a.py"
    put(tmp_path, path, '# %% tags=["export"] module="a.py"\n1\n\n# %% [markdown]\n# é\n')
    first = read_page(tmp_path, path)
    parsed = []
    monkeypatch.setattr("coursekit.source.add_ids", lambda page: parsed.append(page.path))
    assert read_page(tmp_path, path) == first and not parsed
    [kept] = tmp_path.glob("book/chapters/__pycache__/*.json")
    for text in ("", "[]", "{}", kept.read_text("utf-8").replace('"digest": "', '"digest": "0')):
        kept.write_text(text, "utf-8")
        assert read_page(tmp_path, path).lines == first.lines and len(parsed) == 1
        parsed.clear()
    put(tmp_path, path, "# %%\n2\n")
    assert read_page(tmp_path, path).cells[0]["source"] == "2" and len(parsed) == 1
    for other in ("book/chapters/02_a.py", "book/exercises/01_a.py"):
        put(tmp_path, other, "# %%\n2\n")
        read_page(tmp_path, other)
    assert len(parsed) == 3


def test_comments_stay_comments(tmp_path):
    text = "# %%\n# cat sat on the mat\n# ls\n# %timeit x\nx = 1\n"
    put(tmp_path, "book/chapters/01_a.py", text)
    assert read_page(tmp_path, "book/chapters/01_a.py").cells[0]["source"] == text[5:].rstrip()


def test_lines_are_counted_right_where_a_string_holds_a_cell_header(tmp_path):
    text = '# %%\nx = """\n# %% no cell\n"""\n\n\n# %%\n\n# %% [markdown]\n# b\n'
    put(tmp_path, "book/chapters/01_a.py", text)
    page = read_page(tmp_path, "book/chapters/01_a.py")
    assert page.lines == [2, 8, 10]
    assert page.where(0, 3) == "book/chapters/01_a.py:4: 01_a, cell 1, line 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('# %% tags=["exprot"]\n1\n', 'unknown tag "exprot"'),
        ('# %% tag="export"\n1\n', "unknown tag="),
        ('# %% [markdown] tags=["export"]\n# 1\n', "only code cells"),
        ('# %% answer="a"\n1\n', "answer= belongs in book/exercises"),
        ("import numpy\n\n# %%\n1\n", "the first line must start a cell"),
        ("# %%\n<<<<<<< HEAD\n1\n", "merge conflicts"),
        ("# %%\n# caf\udce9\n", "is not UTF-8"),
    ],
)
def test_misspelt_cell_options_and_damaged_files_are_refused(tmp_path, text, message):
    put(tmp_path, "book/chapters/01_a.py", text)
    with pytest.raises(BookError, match=r"^book/chapters/01_a\.py") as error:
        read_page(tmp_path, "book/chapters/01_a.py")
    assert message in str(error.value)


# Exercises


def test_exercises_are_blanked_and_solutions_hold_the_marked_answers_executed(built_once):
    blanked = notebook(built_once, "exercises/03_linear.ipynb")["cells"]
    solved = notebook(built_once, "solutions/03_linear.ipynb")["cells"]
    assert "".join(blanked[2]["source"]) == textwrap.dedent('''\
        def backward(layer, dy):
            """Return dx."""
            # YOUR CODE HERE
            raise NotImplementedError()''')
    assert "".join(solved[2]["source"]) == textwrap.dedent('''\
        def backward(layer, dy):
            """Return dx."""
            ### BEGIN SOLUTION
            dx = dy * layer.w
            return dx
            ### END SOLUTION''')
    assert all(cell.get("outputs", []) == [] for cell in blanked)
    assert all(cell.get("execution_count") is None for cell in blanked)
    assert solved[3]["outputs"][0]["text"] == ["right\n"]
    assert [cell["id"] for cell in blanked] == [cell["id"] for cell in solved]


def test_exercises_carry_the_metadata_that_nbgrader_expects(built_once):
    common = {"schema_version": 3, "task": False}
    answer = {"grade": False, "grade_id": "linear-backward", "locked": False, "solution": True}
    checks = {"grade": True, "grade_id": "linear-backward-check", "locked": True, "points": 2}
    for folder in ("exercises", "solutions"):
        cells = notebook(built_once, f"{folder}/03_linear.ipynb")["cells"]
        assert cells[2]["metadata"] == {"nbgrader": common | answer}
        assert cells[3]["metadata"] == {"nbgrader": common | checks | {"solution": False}}


BAD_EXERCISES = {
    "no markers": (
        ("    ### BEGIN SOLUTION\n", "", "    ### END SOLUTION\n", ""),
        "has no ### BEGIN",
    ),
    "no end": (("    ### END SOLUTION\n", ""), "without ### END"),
    "another indentation": (("    ### END", "### END"), "same indentation"),
    "no answer name": (('# %% answer="linear-backward"', "# %%"), 'the cell has no answer="..."'),
    "check of nothing": (('check="linear-backward"', 'check="other"'), "has no answer before it"),
    "no points": ((" points=2", ""), "needs points=1"),
    "no minutes": ((" minutes=5", ""), "needs minutes=1"),
    "no level": ((' level="easy"', ' level="steep"'), "needs level= one of easy, medium, hard"),
}


@pytest.mark.parametrize("case", BAD_EXERCISES)
def test_badly_marked_exercises_are_refused_with_their_place(tmp_path, case):
    edits, message = BAD_EXERCISES[case]
    path = put(tmp_path, "book/exercises/03_linear.py", EXERCISE)
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        change(path, old, new)
    page = read_page(tmp_path, "book/exercises/03_linear.py")
    with pytest.raises(BookError, match=r"^book/exercises/03_linear\.py:\d+: ") as error:
        exercise_cells(page, answers=False)
    assert message in str(error.value)


def test_a_task_name_used_twice_and_an_answer_without_check_are_refused(tmp_path):
    answer = EXERCISE[EXERCISE.index("# %% answer") : EXERCISE.index("# %% check")]
    put(tmp_path, "book/exercises/03_linear.py", EXERCISE + "\n" + answer)
    with pytest.raises(BookError, match="is here twice"):
        exercise_cells(read_page(tmp_path, "book/exercises/03_linear.py"), answers=True)
    other = answer.replace("linear-backward", "other")
    put(tmp_path, "book/exercises/03_linear.py", EXERCISE + "\n" + other)
    with pytest.raises(BookError, match='answer="other" has no check cell'):
        exercise_cells(read_page(tmp_path, "book/exercises/03_linear.py"), answers=True)


# What is out of date


def test_a_fresh_book_is_up_to_date_and_checking_writes_nothing(book):
    before = contents(book)
    assert check(book) == (0, [])
    assert contents(book) == before


def test_building_a_fresh_book_executes_and_writes_nothing(book, say):
    before = contents(book)
    assert build(book, say=say.append) == 0
    assert say == ["built: 0 files written, the rest was up to date"]
    assert contents(book) == before


def test_changed_code_makes_its_notebook_and_module_and_all_that_import_it_stale(book):
    change(book / "book/chapters/02_module.py", "self.forward(x)", "self.forward(x) + 0")
    assert check(book) == (
        1,
        [
            "numpygpt/nn/module.py: is not what book/chapters/02_module.py exports",
            "notebooks/02_module.ipynb: the code of book/chapters/02_module.py, "
            "or what it imports, has changed",
            "notebooks/03_linear.ipynb: the code of book/chapters/03_linear.py, "
            "or what it imports, has changed",
            "solutions/03_linear.ipynb: the code of book/exercises/03_linear.py, "
            "or what it imports, has changed",
        ],
    )


def test_only_what_is_stale_is_executed_again(book, say):
    change(book / "book/chapters/03_linear.py", "Linear(2)(3)", "Linear(2)(4)")
    assert check(book)[0] == 1
    assert build(book, say=say.append) == 0
    assert [line.split()[1] for line in say if line.startswith("executed")] == [
        "notebooks/03_linear"
    ]
    assert outputs(book, "notebooks/03_linear.ipynb")[4][0]["text"] == ["8\n"]
    assert check(book) == (0, [])


CARDS = """\
# Cards of chapter 02

## a-layer
What is a $y$?
---
It is `f(x)`.

said: We begin.
"""


def test_cards_stand_at_the_end_of_their_chapter_and_a_new_text_of_one_runs_nothing(book, say):
    shown = outputs(book, "notebooks/02_module.ipynb")
    path = put(book, "book/cards/02.md", CARDS)
    assert build(book, say=say.append) == 0
    assert say == ["built: 1 file written, the rest was up to date"]
    *_, before, last = notebook(book, "notebooks/02_module.ipynb")["cells"]
    assert before["source"] == ['export("02_module")'] and last["cell_type"] == "markdown"
    assert "".join(last["source"]).endswith(
        "**1.** What is a $y$?\n\n<details><summary>Answer</summary>\n\nIt is `f(x)`.\n\n</details>"
    )
    change(path, "It is `f(x)`.", "It is f of x.")
    module = "book/chapters/02_module.py"
    wrong = f"notebooks/02_module.ipynb: {module} or its cards has changed"
    assert check(book) == (1, [wrong])
    assert build(book, say=say.append) == 0 and say[-1] == say[0]
    assert outputs(book, "notebooks/02_module.ipynb") == shown
    change(path, "---", "")
    assert check(book) == (
        2,
        ["book/cards/02.md:3: a-layer needs one line --- between question and answer"],
    )


def test_changed_prose_is_written_without_executing(book, say):
    shown = outputs(book, "notebooks/02_module.ipynb")
    change(book / "book/chapters/02_module.py", "We begin.", "We start.")
    assert check(book) == (
        1,
        ["notebooks/02_module.ipynb: book/chapters/02_module.py has changed"],
    )
    assert build(book, say=say.append) == 0
    assert say == ["built: 1 file written, the rest was up to date"]
    cells = notebook(book, "notebooks/02_module.ipynb")["cells"]
    assert cells[0]["source"][-1] == "We start."
    assert outputs(book, "notebooks/02_module.ipynb") == shown
    assert check(book) == (0, [])


def test_the_tables_of_names_are_gathered_by_name_and_what_is_stale_is_found(book, say):
    page = book / "book/chapters/02_module.py"
    page.write_text(
        page.read_text()
        + "\n# %% [markdown]\n# | name | meaning | shape |\n# |---|---|---|\n"
        + "# | `b` | a bar \\| in it | `(n,)` |\n# | `A`, `W` | two | `()` |\n"
        + "#\n# | no | row | here |\n"
    )
    index = book / "docs/NOTATION.md"
    build(book, say=say.append)
    rows = [line for line in index.read_text().split("\n") if line.startswith("| `")]
    assert rows == ["| `A`, `W` | two | `()` | 2 |", "| `b` | a bar \\| in it | `(n,)` | 2 |"]
    index.write_text(index.read_text().replace("two", "three"))
    assert build(book, check=True, say=say.append) == 1
    assert say[-2] == "docs/NOTATION.md: is not what the chapters' tables of names say"
    build(book, say=say.append)
    assert "| two |" in index.read_text()


def test_the_map_and_the_addresses_are_kept_where_they_are(book, say):
    wrong = "docs/map.png: does not show what the chapters need"
    assert check(book) == (0, [])  # this book has no map, and README no addresses
    put(book, "docs/map.png", "no picture")
    put(book, "pyproject.toml", '[project.urls]\nRepository = "https://example.org/me/b"\n')
    put(book, "README.md", f"# Ours\n\n{elsewhere.BEGIN}old\n{elsewhere.END}\nThe end.\n")
    code, says = check(book)
    assert code == 1 and says == [
        "README.md: does not have the addresses that follow from pyproject.toml", wrong
    ]  # fmt: skip
    assert build(book, say=say.append) == 0
    assert check(book) == (0, [])
    readme = (book / "README.md").read_text()
    assert readme.startswith("# Ours\n\n") and readme.endswith(f"{elsewhere.END}\nThe end.\n")
    assert "/me/b/blob/colab/notebooks/00_" in readme and "old" not in readme
    page = book / "book/chapters/03_linear.py"
    text = page.read_text()
    page.write_text(text.replace("# # Linear", "# # Chapter 3: Lines"))
    assert wrong in check(book)[1]
    page.write_text(text)
    change(book / "pyproject.toml", "example.org/me", "example.org/you")
    assert build(book, say=say.append) == 0 and say[-2] == "wrote README.md"


def test_changed_data_that_a_notebook_names_makes_it_stale(book, say):
    put(book, "data/small.txt", "one")
    change(
        book / "book/chapters/02_module.py",
        "Module.__name__",
        "open('../data/small.txt').read()  # not data/other.txt",
    )
    assert build(book, say=say.append) == 0
    assert check(book) == (0, [])
    put(book, "data/other.txt", "a reader's own")
    assert check(book) == (0, [])
    put(book, "data/small.txt", "two")
    code, lines = check(book)
    assert code == 1
    assert [line.split(":")[0] for line in lines] == ["notebooks/02_module.ipynb"]


def test_a_changed_output_or_cell_or_exercise_is_found(book):
    change(book / "notebooks/02_module.ipynb", "'Module'", "'Modules'")
    change(book / "solutions/03_linear.ipynb", '"source": [', '"source": [  ')
    change(book / "exercises/03_linear.ipynb", "raise NotImplementedError()", "return 1")
    change(book / "numpygpt/nn/linear.py", "x * self.w", "x + self.w")
    code, lines = check(book)
    assert code == 1
    assert lines == [
        "numpygpt/nn/linear.py: is not what book/chapters/03_linear.py exports",
        "notebooks/02_module.ipynb: changed since it was built",
        "exercises/03_linear.ipynb: changed since it was built",
        "solutions/03_linear.ipynb: changed since it was built",
    ]


def test_missing_files_are_found_and_made_again(book, say):
    before = contents(book)
    for path in ("numpygpt/nn/module.py", "exercises/03_linear.ipynb"):
        (book / path).unlink()
    assert check(book) == (
        1,
        ["numpygpt/nn/module.py: missing", "exercises/03_linear.ipynb: missing"],
    )
    assert build(book, say=say.append) == 0
    assert contents(book) == before


@pytest.mark.parametrize("damage", [b"<<<<<<< HEAD\n", b"\0", b"\xff\xfe"])
def test_a_built_module_is_mended_whatever_is_wrong_with_it(book, say, damage):
    before = contents(book)
    path = book / "numpygpt/nn/linear.py"
    path.write_bytes(damage + path.read_bytes())
    assert check(book)[0] == 1
    assert build(book, say=say.append) == 0
    assert contents(book) == before


@pytest.mark.parametrize("damage", [b"<<<<<<< HEAD\n", b"\0", b"\xff\xfe"])
def test_a_module_written_by_hand_that_cannot_be_read_is_one_line(book, capsys, damage):
    path = book / "numpygpt/nn/__init__.py"
    path.write_bytes(damage + path.read_bytes())
    assert main(["build", "--root", str(book)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("numpygpt/nn/__init__.py:") and said.count("\n") == 1


def test_a_readers_answers_are_kept_when_the_book_is_built_again(book, say):
    change(book / "exercises/03_linear.ipynb", "raise NotImplementedError()", "return 1")
    assert build(book, check=True, say=say.append) == 1
    told = "1 file not up to date: make build mends it, and keeps a copy of what was changed"
    assert say.pop() == told
    answers = (book / "exercises/03_linear.ipynb").read_bytes()
    assert build(book, say=say.append) == 0
    assert (book / "exercises/03_linear.ipynb.old1").read_bytes() == answers
    assert "03_linear.ipynb was changed since it was built: kept as 03_linear.ipynb.old1" in say
    assert check(book) == (0, [])


def test_built_files_without_a_source_are_orphans_and_only_the_builds_own_are_removed(book, say):
    (book / "book/exercises/03_linear.py").unlink()
    put(book, "notebooks/my_notes.ipynb", "{}")
    put(book, "numpygpt/old.py", '"""Old."""\n')
    lines = [
        "notebooks/my_notes.ipynb: nothing in book/ makes it",
        "exercises/03_linear.ipynb: nothing in book/ makes it",
        "solutions/03_linear.ipynb: nothing in book/ makes it",
        "numpygpt/old.py: nothing in book/ makes it",
    ]
    assert check(book) == (1, lines)
    assert build(book, say=say.append) == 1  # what --check calls wrong is not done
    assert check(book) == (1, [lines[0], lines[3]])
    assert not (book / "solutions/03_linear.ipynb").exists()


def test_forced_check_finds_outputs_that_are_others_when_run_again(book):
    change(book / "book/chapters/02_module.py", "Module.__name__", "import time\ntime.time_ns()")
    assert build(book, ["02"], say=lambda line: None) == 0
    assert check(book, "02") == (0, [])
    before = contents(book)
    code, lines = check(book, "02", force=True)
    assert code == 1
    assert lines[1:] == ["notebooks/02_module.ipynb: other outputs than stored when run again"]
    assert contents(book) == before
    code, lines = check(book, "03", force=True)  # which has a measurement
    assert code == 0


# Mistakes in cells


MISTAKES = {
    "10_name": ("x = 1\ny = foo\n", "cell 2, line 2: NameError: name 'foo' is not defined"),
    "11_deep": (
        "def f(x):\n    return 1 / x\n\n\nf(0)",
        "cell 2, line 2: ZeroDivisionError: division by zero",
    ),
    "12_syntax": ("x = 1\nif x\n", "cell 2, line 2: SyntaxError: "),
    "13_stderr": ("import warnings\nwarnings.warn('old')", "cell 2, line 1: writes to stderr: "),
    "14_address": ("object()", "cell 2, line 1: shows a memory address"),
    "15_path": ("import sys\nprint(sys.prefix)", "cell 2, line 1: shows a path of this machine"),
    "16_died": ("import os\nos._exit(1)", "cell 2, line 1: the kernel died"),
}


def test_a_mistake_is_named_with_chapter_cell_and_line_and_the_others_go_on(book, say):
    for name, (source, _) in MISTAKES.items():
        put(book, f"book/chapters/{name}.py", f"# %% [markdown]\n# {name}\n\n# %%\n{source}")
    put(book, "book/chapters/17_raises.py", '# %% tags=["raises-exception"]\n1\n')
    put(book, "book/chapters/18_good.py", "# %%\nprint(18)\n")
    put(book, "notebooks/10_name.ipynb", "the old file")
    assert build(book, say=say.append) == 2
    for name, (_, message) in MISTAKES.items():
        errors = [line for line in say if line.startswith(f"book/chapters/{name}.py:")]
        assert len(errors) == 1, say
        assert f"{name}, {message}" in errors[0]
    errors = {line.split(": ")[0]: line for line in say}
    assert errors["book/chapters/10_name.py:6"].endswith("\n    y = foo")
    assert errors["book/chapters/11_deep.py:6"].endswith("\n    return 1 / x")
    assert "raises none" in errors["book/chapters/17_raises.py:2"]
    assert (book / "notebooks/10_name.ipynb").read_text() == "the old file"
    assert outputs(book, "notebooks/18_good.ipynb")[0][0]["text"] == ["18\n"]
    assert psutil.Process().children(recursive=True) == []  # no kernel is left


def test_a_chapter_that_cannot_be_exported_leaves_its_old_module_and_notebook(book, say):
    before = contents(book)
    change(book / "book/chapters/03_linear.py", "return x * self.w", "return x * ")
    assert build(book, say=say.append) == 2
    assert say[0] == (
        "book/chapters/03_linear.py:23: 03_linear, cell 5, line 3: invalid syntax: return x *"
    )
    after = contents(book)
    after["book/chapters/03_linear.py"] = before["book/chapters/03_linear.py"]
    assert after == before


def test_a_syntax_error_in_a_module_written_by_hand_is_one_line(book, capsys):
    put(book, "numpygpt/cli.py", '"""Written by hand."""\nif x\n')
    assert main(["build", "--check", "--root", str(book)]) == 2
    assert capsys.readouterr().err == "numpygpt/cli.py:2: expected ':'\n"


@pytest.mark.parametrize("names", [["03"], ["03_linear"], ["2", "99"], ["nothing"]])
def test_chapters_are_chosen_by_number_or_name_and_unknown_ones_are_named(book, capsys, names):
    change(book / "book/chapters/02_module.py", "We begin.", "We start.")
    code = main(["build", "--check", "--root", str(book), *names])
    shown = capsys.readouterr()
    if names[0].startswith("03"):
        assert code == 0  # chapter 2 is stale, and nobody asked
        assert "2 modules" in shown.out
    else:
        assert code == 2
        assert shown.err == f"no chapter is called {names[0]}: give a name like 03 or 03_linear\n"


def test_a_folder_without_a_book_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["build", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("there is no book/chapters in ")


def test_ctrl_c_leaves_no_kernel_and_no_half_written_file(tmp_path):
    root = tiny_book(tmp_path)
    put(
        root,
        "book/chapters/04_slow.py",
        "# %%\nimport time\nopen('started', 'w')\ntime.sleep(60)\n",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "coursekit", "build", "04", "--root", str(root)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background ignore SIGINT, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (root / "notebooks/started").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "failed" not in output  # stopped is not failed
    assert error == "stopped; what was finished is kept\n"
    assert psutil.wait_procs(kernels, timeout=5)[1] == []
    assert [p.name for p in (root / "notebooks").iterdir()] == ["started"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = put(tmp_path, "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "new" * 10000 + "\udc80")
    assert contents(tmp_path) == {"a.txt": b"old"}


@pytest.mark.parametrize(
    "blocked", ["numpygpt/nn/linear.py", "notebooks/02_module.ipynb", "solutions/03_linear.ipynb"]
)
def test_a_file_that_cannot_be_written_is_one_line_that_names_it(
    book, capsys, monkeypatch, blocked
):
    change(book / "book/chapters/02_module.py", "# We begin.", "# We begin again.")
    change(book / blocked, "", " ")
    before = contents(book)
    keep = Path.write_bytes

    def refuse(path, data):  # as on a disk that can only be read
        if path.parent == book / Path(blocked).parent:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return keep(path, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert main(["build", "--root", str(book)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(str(book / Path(blocked).parent)) and said.count("\n") == 1
    assert said.endswith(": Read-only file system\n") and "/." not in said
    assert contents(book).keys() == before.keys()


def test_a_kernel_that_the_disk_does_not_let_start_is_one_line(book, say, monkeypatch):
    keep = Path.write_text

    def refuse(path, *args, **kwargs):
        if path.suffix == ".ipynb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return keep(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", refuse)
    assert build(book, ["02"], force=True, say=say.append) == 2
    [line] = [line for line in say if "No space" in line]
    assert line.startswith("book/chapters/02_module.py: could not be run: ")


# The reader exports a chapter


def run_as_reader(root, name, folder="notebooks"):
    """Run a saved notebook as JupyterLab would, its last cell included; return its last output."""
    import nbformat
    from nbclient import NotebookClient

    path = root / folder / f"{name}.ipynb"
    read = nbformat.read(path, as_version=4)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(REPOSITORY)])}
    env["JPY_SESSION_NAME"] = str(path)
    client = NotebookClient(read, timeout=60, allow_errors=True)
    client.execute(cwd=str(path.parent), env=env)
    return read.cells[-1].outputs[-1]


def test_a_reader_who_edits_a_chapter_finds_the_edit_in_the_package(book):
    old = (book / "numpygpt/nn/linear.py").read_bytes()
    change(book / "notebooks/03_linear.ipynb", "return x * self.w", "return self.w * x * 10")
    shown = run_as_reader(book, "03_linear")
    assert shown.text == (
        "numpygpt/nn/linear.py: 15 lines, written; the old file is kept as "
        "numpygpt/nn/linear.py.old1; make build brings the book's own back\n"
    )
    assert "return self.w * x * 10" in (book / "numpygpt/nn/linear.py").read_text()
    assert (book / "numpygpt/nn/linear.py.old1").read_bytes() == old
    # A second edit keeps the first.
    change(book / "notebooks/03_linear.ipynb", "self.w * x * 10", "self.w * x * 20")
    assert "linear.py.old2" in run_as_reader(book, "03_linear").text
    assert "* 10" in (book / "numpygpt/nn/linear.py.old2").read_text()
    # And the build brings the book's own back.
    assert build(book, say=lambda line: None) == 0
    assert (book / "numpygpt/nn/linear.py").read_bytes() == old


def test_a_damaged_cell_never_reaches_the_package(book):
    before = contents(book / "numpygpt")
    change(book / "notebooks/02_module.ipynb", "return self.forward(x)", "return self.forward(x")
    shown = run_as_reader(book, "02_module")
    assert shown.output_type == "error"
    assert shown.traceback == [
        "02_module, cell 5, line 4: '(' was never closed: return self.forward(x"
    ]
    assert contents(book / "numpygpt") == before


def test_an_unsaved_edit_is_noticed():
    saved = [
        code_cell('"""One."""\nimport math', "nn/one.py"),
        code_cell("class A:\n    x = 1"),
        code_cell("@add_to_class(A)\ndef f(self):\n    return 1"),
        code_cell("@add_to_class(A)\ndef f(self):\n    return 'broken on purpose'", tags=()),
        code_cell('export("01_one")', tags=()),
    ]
    texts = [cell["source"] for cell in saved]
    edited = texts[2].replace("1", "2")
    named = "cell 3 (@add_to_class(A))"
    assert changed_since_saved(saved, []) is None  # nbval records nothing
    assert changed_since_saved(saved, ["", *texts]) is None
    assert changed_since_saved(saved, ["", texts[-1]]) is None  # a fresh kernel, saved code
    assert changed_since_saved(saved, ["", *texts, edited, texts[-1]]) == named
    assert changed_since_saved(saved, ["", *texts[:2], edited, *texts[3:]]) == named
    assert changed_since_saved(saved, ["", *texts, edited, texts[3], texts[-1]]) == named
    assert changed_since_saved(saved, ["", *texts, edited, texts[2], texts[-1]]) is None
    renamed = texts[2].replace("def f", "def g")
    assert changed_since_saved(saved, ["", *texts[:2], renamed, *texts[3:]]) == named


def test_an_unsaved_edit_is_not_written(book, monkeypatch, capsys):
    from coursekit import notebook as module

    before = contents(book)
    edited = MODULE[MODULE.index("@add_to_class") : MODULE.index("# %%\nexport")]
    monkeypatch.chdir(book / "notebooks")
    monkeypatch.setattr(module, "package_root", lambda: book)
    monkeypatch.setattr(module, "history", lambda: ["", edited.replace("(x)\n", "(2 * x)\n")])
    module.export("02_module")
    assert capsys.readouterr().out.startswith("02_module: nothing exported: cell 2 (")
    assert contents(book) == before


def test_export_names_the_notebook_that_it_does_not_find(tmp_path, monkeypatch):
    from coursekit import export

    monkeypatch.chdir(tmp_path)
    with pytest.raises(BookError, match=r"there is no 77_none\.ipynb here"):
        export("77_none")


def test_a_copy_of_a_chapter_exports_itself_and_not_the_original(tmp_path, monkeypatch):
    copied = put(tmp_path, "03_linear-Copy1.ipynb", "{}")
    put(tmp_path, "03_linear.ipynb", "{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(copied))
    with pytest.raises(BookError, match=r'write export\("03_linear-Copy1"\)'):
        find_notebook("03_linear", tmp_path)
    assert find_notebook("03_linear-Copy1", tmp_path) == copied
    monkeypatch.setenv("JPY_SESSION_NAME", "Console 1")
    assert find_notebook("03_linear", tmp_path) == Path("03_linear.ipynb")
    monkeypatch.chdir("/")
    original = put(tmp_path, "notebooks/03_linear.ipynb", "{}")
    assert find_notebook("03_linear", tmp_path) == original


def test_importing_coursekit_in_a_notebook_is_light():
    code = "import sys; before = set(sys.modules); from coursekit import add_to_class, export; "
    code += "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    heavy = {"jupytext", "nbformat", "nbclient", "IPython", "numpy", "jupyter_client", "asyncio"}
    assert "coursekit" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())


# What imports what


TEXTS = {
    "numpygpt": "from numpygpt.check import check\nHOMES = {'GPT': 'gpt'}",
    "numpygpt.check": "",
    "numpygpt.gpt": "from numpygpt.nn import Linear\nfrom .check import check",
    "numpygpt.cli": "from numpygpt.cli import plot",
    "numpygpt.cli.plot": "",
    "numpygpt.nn": "HOMES = {'Module': 'module', 'Linear': 'linear'}",
    "numpygpt.nn.module": "import numpy",
    "numpygpt.nn.linear": "from .module import Module",
}


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from numpygpt.nn import Linear", "nn.linear"),
        ("from numpygpt.nn.linear import Linear", "nn.linear"),
        ("from numpygpt.nn import linear", "nn.linear"),
        ("import numpygpt.nn.linear as l", "nn.linear"),
        ("import numpygpt.nn as nn\nnn.Linear(1).W", "nn.linear"),
        ("from numpygpt import nn\nnn.module.Module", "nn.module"),
        ("import numpygpt\nnumpygpt.GPT", "gpt"),
        ("import numpygpt.nn\nnumpygpt.nn.Module()", "nn.module"),
        ("from numpygpt import nn\ndir(nn)", "nn.linear nn.module"),
        ("from numpygpt import check", "check"),
        ("from numpygpt.cli import plot", "cli.plot"),
        ("def f():\n    from numpygpt import GPT", "gpt"),
        ("import numpy as np\nfrom math import pi", ""),
    ],
)
def test_an_import_is_followed_to_the_module_that_defines_the_name(source, modules):
    assert sorted(imports_of(source, TEXTS)) == [f"numpygpt.{m}" for m in modules.split()]


def test_a_package_imported_in_one_cell_is_followed_into_the_others(tmp_path):
    put(
        tmp_path,
        "book/chapters/01_a.py",
        "# %%\n%time 1\nfrom numpygpt import nn\n\n# %%\nx = 1\nnn.Module()\n\n# %%\nif x\n",
    )
    found = chapter_imports(read_page(tmp_path, "book/chapters/01_a.py"), TEXTS)
    assert found == {"numpygpt.nn.module": (1, 2)}


def test_what_a_module_needs_includes_what_that_needs():
    assert closure(["numpygpt.gpt"], graph_of(TEXTS)) == {
        "numpygpt.gpt",
        "numpygpt.check",
        "numpygpt.nn.linear",
        "numpygpt.nn.module",
    }


def test_the_order_of_the_package_comes_from_the_chapters(built_once):
    assert package_order(built_once) == {"nn/module.py": 2, "nn/linear.py": 3}


def test_an_import_of_a_later_chapter_or_of_the_chapters_own_module_is_refused(book):
    path = book / "book/chapters/02_module.py"
    change(path, "import math\n", "from numpygpt.nn import Linear\n")
    place = "book/chapters/02_module.py:8: 02_module, cell 2, line 2: "
    assert check(book)[1][0] == f"{place}needs numpygpt.nn.linear, which chapter 3 exports"
    change(path, "from numpygpt.nn import Linear\n", "import numpygpt.by_hand\n")
    put(book, "numpygpt/by_hand.py", '"""Written by hand."""\nfrom numpygpt.nn import Module\n')
    assert check(book)[1][0] == (
        f"{place}needs numpygpt.by_hand, which needs numpygpt.nn.module, which chapter 2 exports"
    )


# Known answers as edits


@pytest.mark.parametrize(
    ("edits", "result"),
    [
        ("- b\n+ B", "a\nB c\n"),
        ("- a\n+ A\n- c\n+ C", "A\nb C\n"),
        ("- a", "b c\n"),
        ("- b c\n+ b\n+ c", "a\nb\nc\n"),
        ("-  c\n+", "a\nb\n"),
        ("- a\n- b\n+ x", "x c\n"),
    ],
)
def test_edits_change_parts_of_lines_and_lines(edits, result):
    assert edited("a\nb c\n", f"why\n```diff\n{edits}\n```", "here") == result


def test_an_edit_that_fits_nowhere_is_refused_with_its_place():
    with pytest.raises(BookError, match="^here: its edit does not fit our answer: z"):
        edited("a\nb c\n", "```diff\n- z\n+ y\n```", "here")
