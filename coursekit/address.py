"""The address of the book's repository. It stands in pyproject.toml, and nowhere else."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def repository(root=ROOT):
    """The address of the book's repository, as pyproject.toml or the installed package has it."""
    path = Path(root, "pyproject.toml")
    if path.is_file():
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        return project["urls"]["Repository"]
    from importlib import metadata  # here: each student's sandbox imports this module

    urls = metadata.metadata("numpygpt").get_all("Project-URL")
    return next(url.partition(", ")[2] for url in urls if url.startswith("Repository, "))
