"""survivors.md: the mutants that nothing notices, each under the reason why.

Each line is a mutant's id; in a line, … stands for anything: one reason may be that of a pattern.
"""

import re
from pathlib import Path

from coursekit.checking.slips.making import key

FILE = Path(__file__).with_name("survivors.md")


class Reviewed:
    """The lines of survivors.md."""

    def __init__(self, text):
        lines = re.findall(r"^    (\S.*)$", text, re.M)
        self.exact = {key(line): line for line in lines if "…" not in line}
        self.patterns = {line: pattern(line) for line in lines if "…" in line}

    def lines_of(self, mutant_id):
        """The lines that a mutant is meant by: one says why it may survive."""
        text = key(mutant_id)
        lines = [line for line, matches in self.patterns.items() if matches(text)]
        return lines + ([self.exact[text]] if text in self.exact else [])

    def lines_about(self, pieces, patterns):
        """The lines about some tasks or modules, and those of patterns if they are asked for."""
        exact = [line for line in self.exact.values() if piece(line) in pieces]
        return exact + (list(self.patterns) if patterns else [])


def read():
    return Reviewed(FILE.read_text("utf-8"))


def pattern(line):
    return re.compile(".*".join(map(re.escape, key(line).split("…")))).fullmatch


def piece(line):
    """The task or the module that a line is about."""
    name = line.partition(":")[0]
    return name if name.startswith("numpygpt/") else name.partition("/")[0]
