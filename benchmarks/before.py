"""Is the package slower than it was? Training steps of two revisions, in turns.

    python benchmarks/before.py REVISION [--rounds 30]

takes `numpygpt` of a Git revision beside that of the working tree, trains the same model with both
on one thread, one step at a time, and prints the fastest steps and their ratio. Each has its own
process.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from steps import CONFIGS

ROOT = Path(__file__).parents[1]
CHILD = """
import sys, time
import steps
from numpygpt.optim import Adam
for line in sys.stdin:
    word, *rest = line.split()
    if word == "model":
        model = steps.our_model(*rest)
        optimizer, (x, y) = Adam(model, lr=1e-3), steps.batch(rest[0])
    start = time.perf_counter()
    model(x, y)
    optimizer.zero_grad()
    model.backward()
    optimizer.step()
    print(1000 * (time.perf_counter() - start), flush=True)
"""


def started(folder):
    """A process that imports the package of a folder, and answers each line with milliseconds."""
    path = os.pathsep.join([str(folder), str(ROOT / "benchmarks")])
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )


def asked(process, line):
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    command = ["git", "-C", str(ROOT), "archive", options.revision, "numpygpt"]
    packed = subprocess.run(command, capture_output=True)
    if packed.returncode:
        sys.exit(f"git knows no {options.revision} with a numpygpt in it")
    with tempfile.TemporaryDirectory() as folder:
        tarfile.open(fileobj=BytesIO(packed.stdout)).extractall(folder, filter="data")
        sides = [started(folder), started(ROOT)]
        for name in list(CONFIGS)[:2]:
            for activation in ("relu", "gelu"):
                for side in sides:
                    asked(side, f"model {name} {activation}")
                times = [[asked(s, "step") for s in sides] for _ in range(options.rounds)]
                before, now = map(min, zip(*times, strict=True))
                print(
                    f"{name} {activation}: {before:.1f} ms, now {now:.1f} ms, "
                    f"{before / now:.2f} times as fast"
                )
        for side in sides:
            side.stdin.close()
            side.wait()


if __name__ == "__main__":
    main()
