"""The tests that guard what differs from the last commit: `make test-changed`, within a minute.

    python tests/changed.py           what differs from HEAD, new files included
    python tests/changed.py main~3    what differs from another commit

It builds the pages that differ, and no others: `make build` does that before a commit. What it
does not know the tests of (the grader, the site, what tests share) it names: `make test` has them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mutants import package  # noqa: E402

from coursekit.source import read_page  # noqa: E402

TEXT = ["tests/test_text.py", "tests/test_texts.py"]
PAGE = re.compile(r"book/(chapters|exercises|checks)/((\d\d)_\w+)\.py")
BUILT = re.compile(r"(notebooks|exercises|solutions)/.*\.ipynb")
DOCS = re.compile(r"(docs/.*|book/keys/.*|README|CONTRIBUTING|CHANGELOG)\.?(md|png)?")


def changed(since):
    """Paths that differ from a commit, and new ones that git does not ignore."""
    names = git("diff", "--name-only", "--diff-filter=d", since)
    return sorted({*names, *git("ls-files", "--others", "--exclude-standard")})


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"changed: {done.stderr.strip() or 'git failed'}")
    return done.stdout.splitlines()


def guards(path):
    """The tests of a file, as pytest names them; None where that is not known."""
    if page := PAGE.fullmatch(path):
        folder, name, _ = page.groups()
        return of_chapter(name) if folder == "chapters" else of_set(name)
    if path.startswith("numpygpt/") and path.endswith(".py"):
        return package.guards(path.removeprefix("numpygpt/").removesuffix(".py"))
    if re.fullmatch(r"tests/(widgets/)?test_\w+\.py", path):
        return [path]
    if DOCS.fullmatch(path):
        return [*TEXT, "tests/test_guides.py", "tests/test_teaching.py"]
    if path.startswith("site/slides/"):
        return ["tests/test_slides.py"]
    return [] if BUILT.fullmatch(path) else None  # what is built has a source, which changed, too


def of_chapter(name):
    cells = read_page(ROOT, f"book/chapters/{name}.py").cells
    modules = {cell["metadata"].get("module") for cell in cells} - {None}
    alone = "tests/test_alone.py::test_a_chapter_passes_without_later_modules_and_then_adds_its_own"
    tests = [f"{alone}[{name}]", *TEXT, "tests/test_chapters.py"]
    return tests + [t for module in modules for t in guards(f"numpygpt/{module}")]


def of_set(name):
    files = ("answers", "statements", "contract", "answers_nbval")
    chosen = [f"tests/test_{file}.py" for file in files]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *chosen, "-k", name],
        env={k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if "::" in line]
    return [*found, f"solutions/{name}.ipynb", *TEXT]


def main(since="HEAD"):
    paths = changed(since)
    if pages := sorted({page[2] for page in map(PAGE.fullmatch, paths) if page}):
        subprocess.run([sys.executable, "-m", "coursekit", "build", *pages], cwd=ROOT, check=True)
        paths = changed(since)  # with the modules that these export
    tests, unknown = {}, []
    for path in paths:
        found = guards(path)
        if found is None:
            unknown.append(path)
        else:
            tests |= dict.fromkeys(found)
    for path in unknown:
        print(f"{path}: its tests are not known here; make test runs them all")
    if not tests:
        print(f"nothing that differs from {since} has tests that are known here")
        return 1 if unknown else 0
    options = ["--nbval", "--nbval-current-env", "-n", "2", "--dist", "worksteal", "-q"]
    return subprocess.run([sys.executable, "-m", "pytest", *options, *tests], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
