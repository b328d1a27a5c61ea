"""The package on its own: made as a release makes it, installed away from the book, and used."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAGE = (ROOT / "docs/PACKAGE.md").read_text("utf-8")
TEXT = "numpygpt/shakespeare.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of the wheel, made from the source archive, and of the archive."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True)
    return out


@pytest.fixture(scope="module")
def alone(made, tmp_path_factory):
    """Run Python in an empty folder, with the wheel, NumPy, and nothing of the repository."""
    home = tmp_path_factory.mktemp("alone")
    [wheel] = made.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
    python = home / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True)
    settings = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def run(folder, *arguments):
        return subprocess.run(
            [python, *map(str, arguments)],
            cwd=folder,
            env=settings,
            capture_output=True,
            encoding="utf-8",
        )

    return run


def test_the_wheel_holds_the_two_packages_the_text_and_nothing_else(made):
    [wheel] = made.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    # Two packages, because what a chapter shows and what it exports are two; one wheel, because a
    # notebook imports both.
    assert {top for top in tops if not top.endswith(".dist-info")} == {"numpygpt", "coursekit"}
    others = [n for n in names if not n.endswith(".py") and ".dist-info/" not in n]
    assert others == [TEXT]
    here = {p.relative_to(ROOT).as_posix() for top in tops for p in (ROOT / top).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == here
    assert wheel.stat().st_size < 1_000_000


def test_the_source_archive_makes_the_wheel_and_has_no_tests_that_cannot_run(made):
    [archive] = made.glob("*.tar.gz")  # the wheel above was made from it
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"data/shakespeare.txt", "docs/PACKAGE.md", "LICENSE", "CITATION.cff"} <= names
    assert not [name for name in names if name.startswith(("tests", "book", "notebooks"))]


def test_the_page_of_the_package_needs_no_file_beside_it():
    assert "](" not in PAGE and "<img" not in PAGE and "mermaid" not in PAGE
    assert PROJECT["readme"] == "docs/PACKAGE.md"


def test_the_commands_of_the_page_work_in_an_empty_folder(alone, tmp_path):
    commands = re.findall(r"^numpygpt (\w+)(.*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    assert [name for name, _ in commands] == ["train", "sample", "test"]
    short = {"train": ["--max_iters", "3"], "sample": ["--max_new_tokens", "5"], "test": []}
    for name, options in commands:
        given = options.replace('"', "").split() + short[name]
        done = alone(tmp_path, "-m", "numpygpt", name, *given)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = alone(tmp_path, "-c", code + "\nprint(float(loss))")
    assert done.returncode == 0 and 3.5 < float(done.stdout) < 5, done.stderr


def test_without_a_run_sample_says_what_to_do_first(alone, tmp_path):
    done = alone(tmp_path, "-m", "numpygpt", "sample")
    assert done.returncode == 2 and "train first (numpygpt train)" in done.stderr
    assert done.stderr.count("\n") == 1
    version = alone(tmp_path, "-m", "numpygpt", "--version")
    assert version.stdout == f"numpygpt {PROJECT['version']}\n"


@pytest.mark.parametrize("command", ["status", "check 09", "reset 09", "adopt", "build"])
def test_what_needs_the_book_says_so_in_a_line(alone, tmp_path, command):
    done = alone(tmp_path, "-m", "coursekit", *command.split())
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
    assert "book" in done.stderr
    if command != "build":
        assert PROJECT["urls"]["Repository"] in done.stderr


def test_hint_says_so_too(alone, tmp_path):
    code = (
        "import coursekit\ntry: coursekit.hint('linear-backward')\nexcept Exception as e: print(e)"
    )
    done = alone(tmp_path, "-c", code)
    assert done.stdout.startswith("the exercises come with the book, not with the package: https")


def test_a_tag_is_the_version_and_nothing_is_missing():
    tag = os.environ.get("RELEASE_TAG")
    if not tag:
        pytest.skip("no release: make test-release TAG=v1.0.0 tries one")
    assert tag == f"v{PROJECT['version']}"
    assert "OWNER" not in PROJECT["urls"]["Repository"], "pyproject.toml: whose repository is it?"
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    [heading] = re.findall(rf"^## {re.escape(PROJECT['version'])}.*$", changes, re.MULTILINE)
    assert re.search(r", \d{4}-\d\d-\d\d$", heading), "CHANGELOG.md: when does it come out?"
