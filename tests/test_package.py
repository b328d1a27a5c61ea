"""What the package may import, and where its files come from."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coursekit.dependencies import package_order

ROOT = Path(__file__).parents[1]
MODULES = sorted(p.relative_to(ROOT) for p in (ROOT / "numpygpt").rglob("*.py"))
ORDER = package_order(ROOT)
# Matplotlib draws the curves, mpi4py joins the ranks, and only when asked to: each is imported
# inside the function that needs it.
ALLOWED_INSIDE_A_FUNCTION = {
    ("numpygpt/cli/plot.py", "matplotlib"),
    ("numpygpt/distributed.py", "mpi4py"),
}


def imports(path):
    """Yield (module, whether it is imported inside a function) for a Python file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node in inside
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in inside


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_numpy_the_standard_library_and_the_package_alone(path):
    for name, inside in imports(path):
        top = name.split(".")[0]
        if inside and (path.as_posix(), top) in ALLOWED_INSIDE_A_FUNCTION:
            continue
        assert top in {"numpy", "numpygpt"} | sys.stdlib_module_names, f"{path} imports {name}"
        assert top not in {"pickle", "shelve", "marshal"}, f"{path} imports {name}"


def exported_module(name):
    """The exported module that `numpygpt.nn.linear.Linear` or `numpygpt.nn.linear` lives in."""
    parts = name.split(".")[1:]
    candidates = {"/".join(parts) + ".py", "/".join(parts[:-1]) + ".py"}
    return next((c for c in candidates if c in ORDER), None)


@pytest.mark.parametrize("module", sorted(ORDER))
def test_an_exported_module_imports_from_earlier_chapters_only(module):
    for name, _ in imports(Path("numpygpt") / module):
        if not name.startswith("numpygpt"):
            continue
        other = exported_module(name)
        assert other, f"{module} imports {name}, which no chapter exports"
        # Modules of one chapter may use each other as long as there is no circle; Python would say.
        assert ORDER[other] <= ORDER[module], f"{module} imports {name} of chapter {ORDER[other]}"


def test_every_module_is_exported_or_says_that_it_is_written_by_hand():
    for path in MODULES:
        first = (ROOT / path).read_text(encoding="utf-8").splitlines()[0]
        by_hand = "ritten by hand" in first
        exported = path.relative_to("numpygpt").as_posix() in ORDER
        assert by_hand != exported, f"{path}: {first}"


def test_chapters_export_what_the_design_says():
    expected = {
        1: {"gradcheck.py"},
        2: {"nn/module.py"},
        3: {"nn/linear.py"},
        4: {"nn/activations.py"},
        5: {"nn/functional.py", "nn/loss.py"},
        6: {"optim/sgd.py", "optim/adam.py", "optim/lr_scheduler.py", "optim/clip.py"},
        8: {"nn/embedding.py"},
        9: {"nn/layernorm.py"},
        10: {"nn/attention.py"},
        11: {"nn/transformer.py"},
        12: {"gpt.py"},
        13: {"tokenizers/base.py", "tokenizers/char.py", "tokenizers/word.py"},
        14: {f"tokenizers/{name}.py" for name in ("pieces", "gpt2_files", "merges", "bpe")},
        15: {"data.py"},
        16: {"training.py", "checkpoint.py", "metrics.py"},
        17: {"generate.py"},
        18: {"engine.py"},
        20: {"distributed.py"},
        21: {f"pretrained/{n}.py" for n in ("safetensors", "gpt2_config", "gpt2", "gpt2_export")},
        22: {"nn/rotary.py", "nn/rmsnorm.py"},
        23: {"nn/gates.py", "nn/grouped_attention.py", "llama_block.py", "llama.py"},
        24: {"optim/muon.py"},
        25: {f"pretrained/{n}.py" for n in ("llama_config", "llama", "llama_export", "folder")}
        | {"tokenizers/pretokenizers.py", "tokenizers/tokenizer_json.py", "chat.py"},
        27: {f"posttraining/{n}.py" for n in ("masked", "examples", "finetune", "adder")}
        | {"nn/lora.py"},
        28: {"posttraining/preferences.py"},
        29: {"posttraining/sampling.py", "posttraining/grpo.py"},
    }
    found = {}
    for module, chapter in ORDER.items():
        found.setdefault(chapter, set()).add(module)
    assert found == expected


def test_public_names_are_where_the_design_says():
    code = """
from numpygpt import GPT, GPTConfig, from_pretrained, gradcheck
import numpygpt.gradcheck
from numpygpt import gradcheck as again
assert callable(gradcheck) and again is gradcheck
from numpygpt import nn, optim, posttraining, pretrained, tokenizers
for package in (nn, optim, posttraining, pretrained, tokenizers):
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
from numpygpt.nn.functional import softmax, softmax_backward, log_softmax
from numpygpt.nn.functional import cross_entropy, cross_entropy_backward
from numpygpt.optim.lr_scheduler import WarmupCosineLR, StepLR
from numpygpt.data import DataLoader
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_later_module_that_is_broken_does_not_break_an_earlier_one(tmp_path):
    shutil.copytree(ROOT / "numpygpt", tmp_path / "numpygpt")
    for later in ("nn/attention.py", "optim/adam.py", "gpt.py"):
        (tmp_path / "numpygpt" / later).write_text("a reader's unfinished line\n")
    code = "from numpygpt import gradcheck; from numpygpt.nn import Linear; "
    code += "from numpygpt.optim import SGD; print(Linear.__module__)"
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout == "numpygpt.nn.linear\n"


def test_no_global_random_state_is_touched():
    for path in MODULES:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert set(re.findall(r"np\.random\.(\w+)", text)) <= {"default_rng", "Generator"}, path


def test_the_core_stays_small_enough_to_be_read():
    # What parts I to III export: a full GPT, and no line for part V. Chapter 1's checker, which no
    # model needs, is not counted.
    core = [module for module, chapter in ORDER.items() if chapter <= 19 and chapter != 1]
    assert "gpt.py" in core and not {"llama.py", "nn/gates.py", "nn/rotary.py"} & set(core)
    lines = {m: len((ROOT / "numpygpt" / m).read_text("utf-8").splitlines()) for m in core}
    assert sum(lines.values()) <= 2200, lines


def test_modules_are_small():
    for path in MODULES:
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        assert lines <= 200, f"{path} has {lines} lines: split it by what it does"
