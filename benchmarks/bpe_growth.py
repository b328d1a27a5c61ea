"""How time and memory of our BPE grow with the text: `python benchmarks/bpe_growth.py`, minutes.

    python benchmarks/bpe_growth.py datagen     # the command, for each tokenizer, to 300 MB

Trains (vocabulary 1000) and encodes texts of 0.1 to 50 million characters, each in a process of its
own, so that the peak of its memory is known; the text is a part of that. Times are those of the
processor. "repeated" is our Shakespeare again and again; in "mixed", three words in ten have their
letters shuffled and one in ten is Chinese, so that new pieces never end. Writes
benchmarks/bpe_growth.json and .png.
"""

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from measure import peak_memory

from numpygpt.cli import main as numpygpt
from numpygpt.tokenizers import BPETokenizer

HERE = Path(__file__).parent
TEXT = (HERE.parent / "data/shakespeare.txt").read_text(encoding="utf-8")
SIZES = [0.1, 0.3, 1, 3, 10, 30, 50]  # million characters
LONG = [3, 30, 100, 300]  # for the command


def text_of(kind, characters, seed=0):
    if kind == "repeated":
        return (TEXT * (characters // len(TEXT) + 1))[:characters]
    rng = random.Random(seed)
    words, parts, length = re.findall(r"\S+\s+", TEXT[:1_000_000]), StringIO(), 0
    while length < characters:
        word, chance = rng.choice(words), rng.random()
        if chance < 0.1:
            word = "".join(chr(rng.randrange(0x4E00, 0x5200)) for _ in range(2)) + " "
        elif chance < 0.4:
            word = "".join(rng.sample(word[:-1], len(word) - 1)) + word[-1]
        parts.write(word)
        length += len(word)
    return parts.getvalue()[:characters]


def measure(kind, characters):
    text = text_of(kind, characters)
    result = {"kind": kind, "characters": characters, "bytes": len(text.encode())}
    start = time.process_time()
    tokenizer = BPETokenizer.train(text, 1000)
    result["train_s"], result["train_MB"] = time.process_time() - start, peak_memory() / 1e6
    start = time.process_time()
    ids = tokenizer.encode(text)
    result["encode_s"], result["encode_MB"] = time.process_time() - start, peak_memory() / 1e6
    return {**result, "tokens": len(ids), "cached_pieces": len(tokenizer.cache)}


def write_text(path, characters):
    """Write the mixed text, a new million characters at a time, since memory is measured."""
    with open(path, "w", encoding="utf-8") as file:
        for part in range(round(characters / 1e6)):
            file.write(text_of("mixed", 1_000_000, seed=part))


def measure_datagen():
    for size in LONG:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "text.txt")
            write_text(path, size * 1e6)
            for kind in ("char", "word", "bpe"):
                command = [sys.executable, __file__, "datagen", kind, path]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                told, peak = done.stdout.splitlines()
                print(f"{path.stat().st_size / 1e6:4.0f} MB {peak}\n    {told[len(folder) :]}")


def datagen(kind, path):
    """Run the command on the text and print the time and the memory that it took."""
    start = time.process_time()
    options = ["--output_dir", Path(path).parent / kind, "--tokenizer_type", kind]
    assert numpygpt(["datagen", path, *map(str, options)]) == 0
    seconds = time.process_time() - start
    print(f"{kind:4}: {seconds:4.0f} s, peak memory {peak_memory() / 1e6:4.0f} MB")


def draw(rows, path):
    from coursekit.figures import BLUE, ORANGE, subplots

    figure, (left, right) = subplots(1, 2)
    for kind, style in (("repeated", "-"), ("mixed", "--")):
        of_kind = [r for r in rows if r["kind"] == kind]
        sizes = [r["characters"] / 1e6 for r in of_kind]
        for what, colour in (("train", BLUE), ("encode", ORANGE)):
            look = {"color": colour, "linestyle": style, "marker": "o", "label": f"{what}, {kind}"}
            left.plot(sizes, [r[f"{what}_s"] for r in of_kind], **look)
            right.plot(sizes, [r[f"{what}_MB"] for r in of_kind], **look)
    left.set(xscale="log", yscale="log", xlabel="million characters", ylabel="processor time, s")
    right.set(xlabel="million characters", ylabel="peak memory of the process, MB")
    left.legend()
    figure.savefig(path, dpi=120)


def main():
    if sys.argv[1:2] == ["datagen"]:
        datagen(*sys.argv[2:]) if sys.argv[2:] else measure_datagen()
        return
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
        return
    rows = []
    for kind in ("repeated", "mixed"):
        for size in SIZES:
            command = [sys.executable, __file__, kind, str(int(size * 1e6))]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            row = rows[-1]
            print(
                f"{kind:9}{size:5} M characters: train {row['train_s']:6.2f} s, "
                f"encode {row['encode_s']:6.2f} s, peak memory {row['encode_MB']:4.0f} MB, "
                f"{row['cached_pieces']:,} pieces cached",
                flush=True,
            )
    text = json.dumps(rows, indent=1) + "\n"
    (HERE / "bpe_growth.json").write_text(text, encoding="utf-8")
    draw(rows, HERE / "bpe_growth.png")


if __name__ == "__main__":
    main()
