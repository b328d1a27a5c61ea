"""A workflow for GitHub: each push of a student's runs `check` on the saved notebooks.

Its name, and that of its only job, are those that GitHub Classroom takes results from, as is said
in github.com/classroom-resources/autograding-grading-reporter. That page also says that Classroom
has come to its end and its actions are not kept up; so none of them is used, and a plain repository
on GitHub runs this, too.
"""

import re

from coursekit.checking.tasks import ROOT
from coursekit.files import BookError, read

TEXT = """\
name: Autograding Tests

on: [push, workflow_dispatch]

permissions:
  contents: read

jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    timeout-minutes: 20
    steps:
      - uses: {checkout}
      - uses: {python}
        with:
          python-version: "3.12"
      - run: python -m pip install -r requirements.txt
{checks}"""
CHECK = """\
      - name: {name}
        if: ${{{{ !cancelled() }}}}
        run: python -m coursekit check {name}
"""


def workflow(names):
    """The text of the workflow for some sets. Which actions, our own workflows say."""
    ours = read(ROOT / ".github" / "workflows" / "tests.yml") or ""
    pinned = {}
    for action in ("checkout", "setup-python"):
        found = re.search(rf"uses: (actions/{action}@\S+  # \S+)", ours)
        if not found:
            raise BookError(".github/workflows/tests.yml is missing: handout takes actions from it")
        pinned[action] = found[1]
    checks = "".join(CHECK.format(name=name) for name in names)
    return TEXT.format(checkout=pinned["checkout"], python=pinned["setup-python"], checks=checks)
