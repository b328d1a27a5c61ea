"""Our speed beside that of PyTorch, tokenizers and tiktoken: `make bench`, about ten minutes.

    python benchmarks/bench.py [train] [memory] [sample] [bpe] [gradcheck] [build] [--quick]

Prints a table and writes benchmarks/results.json and results.png. How it measures: measure.py.
Both sides use the same number of threads, all cores. --quick leaves out configuration C, and of
the book all chapters but the first four.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tiktoken
import tokenizers
import torch
from measure import Memory, Result, side_by_side
from steps import CONFIGS, our_model, our_step, their_model, their_step

from numpygpt import GPT, GPTConfig, gradcheck
from numpygpt.generate import generate
from numpygpt.tokenizers import BPETokenizer
from numpygpt.tokenizers.pieces import BYTE_ORDER

HERE = Path(__file__).resolve().parent
TEXT = (HERE.parent / "data/shakespeare.txt").read_text(encoding="utf-8")
# As in OpenAI's code for GPT-2; ours cuts the same pieces.
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def train(name, activation):
    """Whole steps: forward, loss, backward, clipping, AdamW."""
    ours, theirs = our_step(name, activation), their_step(name, activation)
    n_batch, block_size, *_ = CONFIGS[name]
    steps = {"A": 10, "B": 3, "C": 1}[name]
    return side_by_side(
        f"train {name}, {activation}",
        lambda: [ours() for _ in range(steps)],
        lambda: [theirs() for _ in range(steps)],
        peer="PyTorch eager",
        unit="tokens/s",
        amount=steps * n_batch * block_size,
        rounds=3 if name == "C" else 9,
    )


def memory(name):
    """Peak memory of two steps, each side in a process of its own; the ratio is theirs to ours."""
    peaks = []
    for side in ("ours", "theirs"):
        command = [sys.executable, str(HERE / "steps.py"), side, name, "relu"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[-1]))
    return Memory(f"peak memory, train {name}", *peaks)


def sample(name):
    """One sequence, with the cache, from one token to a full window."""
    ours, theirs = our_model(name, "relu"), their_model(name, "relu")
    n = CONFIGS[name][1] - 1
    theirs.eval()
    start = torch.zeros((1, 1), dtype=torch.long)

    def their_sampling():
        with torch.no_grad():
            out = theirs.generate(
                start,
                attention_mask=torch.ones_like(start),
                max_new_tokens=n,
                min_new_tokens=n,
                do_sample=True,
                use_cache=True,
                pad_token_id=0,
            )
        assert out.shape[1] == n + 1

    rng = np.random.default_rng(2)
    return side_by_side(
        f"sample {name}",
        lambda: generate(ours, np.zeros((1, 1), int), n, rng=rng),
        their_sampling,
        peer="transformers generate",
        unit="tokens/s",
        amount=n,
        rounds=5,
    )


def bpe_train(megabytes, vocab_size):
    text = (TEXT * (int(megabytes * 1e6 / len(TEXT)) + 1))[: int(megabytes * 1e6)]
    return side_by_side(
        f"BPE train, {megabytes} MB, vocabulary {vocab_size}",
        lambda: BPETokenizer.train(text, vocab_size),
        lambda: their_bpe(text, vocab_size),
        peer="tokenizers",
        unit="characters/s",
        amount=len(text),
        rounds=3,
    )


def their_bpe(text, vocab_size):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        [text],
        tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return tokenizer


def bpe_encode():
    """The whole text in one call; our cache of pieces starts empty each time."""
    ours, hf = BPETokenizer.train(TEXT, 1000), their_bpe(TEXT, 1000)
    ranks = {token: i for i, token in enumerate(ours.bytes_of)}
    tik = tiktoken.Encoding("ours", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={})
    assert [BYTE_ORDER[i] for i in range(3)] == [ours.bytes_of[i][0] for i in range(3)]
    assert tik.encode_ordinary(TEXT) == ours.encode(TEXT) == hf.encode(TEXT).ids

    def fresh():
        ours.cache.clear()
        ours.encode(TEXT)

    for peer, work in (
        ("tokenizers", lambda: hf.encode(TEXT)),
        ("tiktoken", lambda: tik.encode_ordinary(TEXT)),
    ):
        yield side_by_side(
            "BPE encode, 1.2 MB",
            fresh,
            work,
            peer=peer,
            unit="characters/s",
            amount=len(TEXT),
            rounds=5,
        )


def check_gradients():
    rng = np.random.default_rng(3)
    model = GPT(GPTConfig(11, 7, 2, 3, 6), rng=rng, dtype=np.float64)
    ids, targets = rng.integers(0, 11, (2, 2, 5))
    return side_by_side(
        "gradcheck, 2-layer GPT",
        lambda: gradcheck(model, ids, targets, rng=rng),
        unit="parameters/s",
        amount=model.num_params(),
        rounds=3,
    )


def build_book(names):
    """Run every notebook of these chapters (none: of all) in a copy, once, from nothing."""
    with tempfile.TemporaryDirectory() as root:
        for folder in ("book", "data", "numpygpt"):
            shutil.copytree(HERE.parent / folder, Path(root, folder))
        command = [sys.executable, "-m", "coursekit", "build", *names, "--force", "--root", root]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        built = [json.loads(path.read_text("utf-8")) for path in Path(root).glob("*/*.ipynb")]
    cells = sum(bool(cell.get("execution_count")) for nb in built for cell in nb["cells"])
    name = f"build of {' '.join(names) or 'the book'}, {seconds:.0f} s"
    return Result(name, "", "cells an hour", 3600 * cells, [seconds], [])


def results(groups, quick):
    configs = "AB" if quick else "ABC"
    if "train" in groups:
        for name in configs:
            yield train(name, "relu")
        for kind in ("gelu", "llama"):
            for name in "AB":
                yield train(name, kind)
    if "memory" in groups:
        for name in configs:
            yield memory(name)
    if "sample" in groups:
        for name in configs:
            yield sample(name)
    if "bpe" in groups:
        yield bpe_train(1.1, 1000)
        yield bpe_train(20, 8000)
        yield from bpe_encode()
    if "gradcheck" in groups:
        yield check_gradients()
    if "build" in groups:
        yield build_book(["00", "01", "02", "03"] if quick else [])


def draw(rows, path):
    from coursekit.figures import BLUE, ORANGE, subplots

    rows = [r for r in rows if r.ratio][::-1]
    if not rows:
        return
    figure, axes = subplots(size=(8, 0.4 * len(rows) + 1))
    colours = [BLUE if r.ratio >= 1 else ORANGE for r in rows]
    bars = axes.barh([f"{r.name} / {r.peer}" for r in rows], [r.ratio for r in rows], color=colours)
    axes.bar_label(bars, fmt=" %.2f")
    axes.axvline(1, color="black", linewidth=1)
    axes.set(
        xscale="log", xlim=(0.25, 10), xlabel="times as fast as the peer, or times less memory"
    )
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
    axes.minorticks_off()
    figure.savefig(path, dpi=120)


def main():
    groups = ["train", "memory", "sample", "bpe", "gradcheck", "build"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"which of {', '.join(groups)}; all")
    parser.add_argument("--quick", action="store_true", help="without C, four chapters only")
    args = parser.parse_args()
    if unknown := set(args.groups) - set(groups):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(groups)}")
    # Spinning threads of one side lose far more than the other's to a third program.
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.5:
        print(f"not an idle machine (load {load:.1f}): these ratios will not hold")
    torch.set_num_threads(os.cpu_count())
    print(f"{'':34}{'ours':>12}{'peer':>12}{'ratio':>8}")
    rows = []
    for result in results(args.groups or groups, args.quick):
        rows.append(result)
        print(result.row(), flush=True)
    about = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }
    content = {"about": about, "results": [r.to_dict() for r in rows]}
    (HERE / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw(rows, HERE / "results.png")


if __name__ == "__main__":
    main()
