"""Mutants of numpygpt/, each in a copy of the repository where the tests that guard it run."""

import contextlib
import functools
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from coursekit.checking.slips.making import mutants
from mutants.child import Outcome, in_children, in_sample

ROOT = Path(__file__).resolve().parents[2]
UNIT = "pieces"
PIECE = 10  # mutants
FOLDERS = ("numpygpt", "coursekit", "tests", "book", "data", "notebooks", "exercises", "solutions")
FILES = ("pyproject.toml", "constraints.txt", "environment.yml", "README.md", "LICENSE", "Makefile")

# The tests that guard a module, those that take least first. The longest beginning counts.
LAYERS = "module layers gpt gradients"
GUARDS = {
    "": "package",
    "chat": "chat finetuning",
    "checkpoint": "checkpoint training cli",
    "cli/": "cli",
    "cli/chat": "chat cli",
    "cli/evaluate": "evaluate",
    "cli/finetune": "finetuning",
    "cli/folders": "cli run_folders",
    "cli/lock": "run_folders cli",
    "cli/ranks": "ranks distributed",
    "cli/runs": "cli run_folders",
    "cli/test": "cli gradients",
    "cli/texts": "texts",
    "cli/train": "cli distributed",
    "data": "data_files checkpoint training",
    "distributed": "ranks distributed",
    "engine": "engine training",
    "evaluate": "evaluate",
    "generate": "generate",
    "gpt": "gpt gradients",
    "gradcheck": "gradients",
    "llama": "llama gradients",
    "metrics": "training cli",
    "nn/": LAYERS,
    "nn/g": f"{LAYERS} llama",  # gates, grouped_attention
    "nn/lora": "finetuning layers gradients",
    "nn/r": f"{LAYERS} llama",  # rmsnorm, rotary
    "optim/": "optim training",
    "optim/muon": "muon",
    "posttraining/": "finetuning",
    "posttraining/grpo": "rewards",
    "posttraining/preferences": "preferences",
    "posttraining/sampling": "rewards",
    "pretrained/": "pretrained",
    "pretrained/folder": "chat pretrained",
    "pretrained/llama": "chat",
    "tokenizers/": "tokenizers",
    "tokenizers/bpe": "tokenizers gpt2_files",
    "tokenizers/gpt2_files": "gpt2_files",
    "tokenizers/pieces": "tokenizers gpt2_files",
    "tokenizers/pretokenizers": "chat",
    "tokenizers/tokenizer_json": "chat",
    "training": "training checkpoint",
}


def modules(chosen=()):
    """Paths of the modules within numpygpt/: all, or those that are named, with or without .py."""
    home = ROOT / "numpygpt"
    names = [p.relative_to(home).with_suffix("").as_posix() for p in sorted(home.rglob("*.py"))]
    if unknown := {name.removesuffix(".py") for name in chosen} - set(names):
        raise SystemExit(f"mutants: numpygpt has no module {', '.join(sorted(unknown))}")
    return [n for n in names if not chosen or n in {name.removesuffix(".py") for name in chosen}]


def guards(module):
    """The test files that guard a module, in the order in which they run."""
    beginning = max((b for b in GUARDS if module.startswith(b)), key=len)
    return [f"tests/test_{name}.py" for name in GUARDS[beginning].split()]


@contextlib.contextmanager
def prepared(chosen, sample):
    """(what to run one after the other, the function that runs it) for the command."""
    pieces = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        for module in modules(chosen):
            source = (ROOT / f"numpygpt/{module}.py").read_text("utf-8")
            every = list(mutants(f"numpygpt/{module}.py", source, defaults=True))
            ran = [m for m in every if in_sample(m)] if sample else every
            ids = [m.id for m in every]
            for start in range(0, len(ran), PIECE):
                pieces.append((scratch, module, ids, ran[start : start + PIECE]))
                ids = []
        try:
            yield pieces, run
        finally:
            end_all_in(scratch)


def run(piece):
    """The Outcome of some mutants of one module."""
    scratch, module, ids, mutants = piece
    warm()
    copy = copied(scratch, os.getpid())
    seconds = 60 + 4 * seconds_of(copy, module)
    ended = [(m.id, fate(copy, module, m.source, seconds)) for m in mutants]
    return Outcome(module, f"numpygpt/{module}.py", ids, ended)


@functools.cache
def copied(scratch, process):
    """A copy of the repository, for one process alone."""
    copy = Path(scratch, str(process))
    unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "mutants")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=unwanted)
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    return copy


@functools.cache
def seconds_of(copy, module):
    """How long the tests of a module take while nothing is changed."""
    start = time.monotonic()
    source = (ROOT / f"numpygpt/{module}.py").read_text("utf-8")
    if (ended := fate(copy, module, source, 1800)) != "survived":
        raise SystemExit(f"mutants: {' '.join(guards(module))}: {ended} as they are")
    return int(time.monotonic() - start)


def fate(copy, module, source, seconds):
    """How a mutant ends: "killed", "endless" or "survived"."""
    path = copy / f"numpygpt/{module}.py"
    original = path.read_bytes()
    path.write_text(source, "utf-8")
    # Python takes a compiled module for new by its second and its size.
    Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)
    try:
        work = functools.partial(tested, copy)
        [ended] = in_children(work, [guards(module)], seconds, seconds, memory=8)
        return "killed" if ended.startswith("crashed") else ended
    finally:
        path.write_bytes(original)
        end_all_in(copy)


def tested(copy, files):
    """In the child: what pytest finds."""
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "MUTANTS": str(copy)}
    sys.path = [str(copy), *(p for p in sys.path if not p.startswith(str(ROOT / "tests")))]
    import pytest

    # Its plugin of ours is loaded already: pytest warns that it cannot rewrite it.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *quiet, *files])
    return "survived" if code == 0 else "killed"


def end_all_in(copy):
    """End what the tests have started and not ended: each such process knows the copy's name."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("MUTANTS", "").startswith(str(copy)):
                process.kill()


def warm():
    """Load what each child needs, but nothing of the repository."""
    import numpy  # noqa: F401
    import pytest  # noqa: F401
