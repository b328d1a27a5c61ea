"""What the code host is told to do can be done: each step is a target of make, or is named here."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import numpygpt

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = {
    path.stem: yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # `on` is a word, and not True
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}
STEPS = [
    (name, job, step)
    for name, workflow in WORKFLOWS.items()
    for job, content in workflow["jobs"].items()
    for step in content["steps"]
]
# Steps that are no target of make. What talks to the host itself could not be run before there is
# one: sysctl of its machines, `uv publish` (only its --dry-run was), `gh release`.
COMMANDS = {
    "sudo apt-get update -qq && sudo apt-get install -y -qq bubblewrap",
    "sudo sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0",
    "bash .ci/run",
    'python -m pip install -c constraints.txt -e ".[dev]"',
    'python -m pip install "numpy==${{ matrix.version }}"',
    "python -m pytest -n auto --dist loadfile tests",
    "tar -czf out/numpygpt-site.tar.gz -C out site",
    "python -m pip install -c constraints.txt uv",
    "uv publish --trusted-publishing always out/dist/*",
    "find files -type f -print0 | "
    'xargs -0 gh release create "$GITHUB_REF_NAME" --verify-tag --generate-notes',
}


def targets():
    text = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][a-z-]*)(?: [a-z-]+)*:(?!=)", text, re.MULTILINE))


def test_each_step_is_a_target_of_make_or_a_command_that_was_run():
    runs = [step["run"] for *_, step in STEPS if "run" in step]
    made = {run.split()[1] for run in runs if run.startswith("make ")}
    assert made <= targets()
    assert {run for run in runs if not run.startswith("make ")} == COMMANDS


def test_actions_are_pinned_by_the_hash_of_a_commit():
    uses = [step["uses"] for *_, step in STEPS if "uses" in step]
    assert len(uses) > 10
    assert not [use for use in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use)]
    for path in (ROOT / ".github/workflows").glob("*.yml"):  # and the version is said beside it
        lines = re.findall(r"uses: .*", path.read_text("utf-8"))
        assert all(re.search(r"  # v\d+\.\d+\.\d+$", line) for line in lines)


def test_a_workflow_may_read_and_each_job_says_what_it_may_do_besides():
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {"contents": "read"}
        assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    more = {
        (name, job): content["permissions"]
        for name, workflow in WORKFLOWS.items()
        for job, content in workflow["jobs"].items()
        if "permissions" in content
    }
    assert more == {
        ("site", "deploy"): {"pages": "write", "id-token": "write"},
        ("site", "colab"): {"contents": "write"},
        ("release", "package"): {"contents": "read", "id-token": "write"},
        ("release", "page"): {"contents": "write"},
    }
    assert "pull_request_target" not in str(WORKFLOWS)


def test_the_matrix_holds_every_system_and_python_with_both_ends_of_numpy():
    matrix = WORKFLOWS["tests"]["jobs"]["units"]["strategy"]["matrix"]
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    supported = SpecifierSet(PROJECT["requires-python"])
    assert matrix["python"] == [f"3.{n}" for n in range(15) if f"3.{n}" in supported]
    assert matrix["numpy"] == ["newest", "oldest"]
    oldest = {row["python"]: Version(row["version"]) for row in matrix["include"]}
    assert list(oldest) == matrix["python"]
    [numpy] = [line for line in PROJECT["dependencies"] if line.startswith("numpy")]
    low = Version(re.search(r">=([\d.]+)", numpy)[1])
    assert min(oldest.values()).release[:2] == low.release[:2]
    assert all(
        str(version) in SpecifierSet(numpy.removeprefix("numpy")) for version in oldest.values()
    )


def test_one_version_stands_for_the_edition_and_the_package():
    version = PROJECT["version"]
    assert numpygpt.__version__ == version
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == version and citation["title"].startswith(PROJECT["name"])
    assert [a["name"] for a in citation["authors"]] == [a["name"] for a in PROJECT["authors"]]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.MULTILINE)[0] == version


def test_a_container_is_set_up_as_at_home():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"].removeprefix("make ") in targets()
    assert container["image"].split(":")[1] in SpecifierSet(PROJECT["requires-python"])
    editor = container["customizations"]["vscode"]
    assert editor["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    # A notebook works in its own folder: chapters read ../data.
    assert editor["settings"]["jupyter.notebookFileRoot"] == "${fileDirname}"
    for path in container["customizations"]["codespaces"]["openFiles"]:
        assert (ROOT / path).is_file()


def test_binder_installs_what_a_reader_needs_and_no_tests():
    lines = (ROOT / ".binder/requirements.txt").read_text("utf-8").splitlines()
    assert lines == ["-c ../constraints.txt", "-e .[book,mpi]"]
    runtime = (ROOT / ".binder/runtime.txt").read_text("utf-8").strip()
    assert runtime.removeprefix("python-") in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=str
)
def test_what_a_form_asks_has_a_name_of_its_own(path):
    form = yaml.safe_load(path.read_text("utf-8"))
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) >= 2
    assert any(field.get("validations", {}).get("required") for field in form["body"])
