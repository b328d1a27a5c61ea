"""What a reader waits for: no module is loaded that nothing needs, and none is lost by it."""

import subprocess
import sys

import pytest
from answers import REPOSITORY

from coursekit.checking.check import verdict_on
from coursekit.checking.tasks import load_set


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_notebooks_are_read_without_building_parsers_of_addresses():
    code = "import sys, coursekit.quick, nbformat, jupytext, nbval.plugin, nbclient\n"
    assert run(code + "print('lark' in sys.modules)") == ["False"]


ADDRESSES = """
from jsonschema import FormatChecker
for kind in ("iri", "iri-reference"):
    for text in ("http://example/ü", "http://example/a b", "#ü", "%"):
        print(kind, text, FormatChecker().conforms(text, kind))
"""


def test_addresses_are_still_told_from_what_is_none():
    pytest.importorskip("rfc3987_syntax", reason="jsonschema is installed without it")
    assert run(f"import coursekit.quick\n{ADDRESSES}") == run(ADDRESSES)


def test_pytest_loads_it_before_nbval():
    code = "import pytest, sys; pytest.main(['--collect-only', '-q', 'tests/test_quick.py'])\n"
    assert run(code + "print('nbval' in sys.modules, 'lark' in sys.modules)")[-1] == "True False"


def test_known_mistakes_run_only_where_something_is_wrong(monkeypatch):
    linear = load_set("03_linear")
    right = linear.variant_answer("linear-backward")
    monkeypatch.setattr(linear.tasks["linear-backward"], "variants", None)
    assert verdict_on(linear, "linear-backward", right).is_right
