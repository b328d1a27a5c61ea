"""The files of the code host, by the programs that know them: actionlint, and published schemas."""

import subprocess
import sys
from pathlib import Path

import pytest

from coursekit.classroom.workflow import workflow

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-issue-forms": sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")),
    "vendor.github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [ROOT / ".github/dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


def run(program, *arguments):
    done = subprocess.run([BIN / program, *arguments], capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


def test_actionlint_finds_nothing_in_the_workflows():
    assert len(WORKFLOWS) >= 4
    assert run("actionlint", "-no-color", *WORKFLOWS) == (0, "")


def test_actionlint_finds_nothing_in_the_workflow_of_a_handout(tmp_path):
    path = tmp_path / "autograding.yml"
    path.write_text(workflow(["03_linear", "09_layernorm"]), "utf-8")
    assert run("actionlint", "-no-color", path) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("needs: build", "needs: built", "job"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-last", "label"),
        ("github.ref ==", "github.reff ==", "property"),
        ("contents: write", "contents: rite", "permission"),
    ],
)
def test_actionlint_sees_a_mistake(tmp_path, right, wrong, said):
    text = (ROOT / ".github/workflows/site.yml").read_text("utf-8")
    assert right in text
    path = tmp_path / "site.yml"
    path.write_text(text.replace(right, wrong, 1), "utf-8")
    code, found = run("actionlint", "-no-color", path)
    assert code == 1 and said in found, found


@pytest.mark.parametrize("schema", SCHEMAS)
def test_forms_and_citation_follow_their_schemas(tmp_path, schema):
    assert SCHEMAS[schema]
    code, said = run("check-jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])
    assert code == 0, said
    broken = tmp_path / "broken.yml"
    broken.write_text("nobody: knows this\nversion: what\n" + "blank_issues_enabled: maybe\n")
    assert run("check-jsonschema", "--builtin-schema", schema, broken)[0] == 1
