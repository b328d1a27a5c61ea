"""The container file: it names what is there, and lets in nothing else."""

import re

from answers import REPOSITORY

LINES = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
FILE = (REPOSITORY / "Containerfile").read_text("utf-8")


def test_only_parts_of_the_book_are_sent_into_an_image():
    rules = [line for line in LINES if line and not line.startswith("#")]
    assert rules[0] == "*"  # so a folder of submissions stays outside, whatever its name
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    assert len(let_in) > 8 and all((REPOSITORY / path).exists() for path in let_in)
    assert all(rule.startswith("**/") for rule in rules[1:] if not rule.startswith("!"))


def test_what_is_installed_before_the_book_is_copied_is_let_in():
    [first] = re.findall(r"^COPY (pyproject.+) \./$", FILE, re.M)
    names = [*first.split(), *re.findall(r"^COPY (docs/\S+) docs/$", FILE, re.M)]
    assert len(names) == 5 and all(f"!{name}" in LINES for name in names)
