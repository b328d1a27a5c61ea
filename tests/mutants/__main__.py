"""Machine-made mistakes: `make mutants`, or python tests/mutants [SET or TASK …].

    python tests/mutants                  all mutants of the answers to all exercises
    python tests/mutants 03 rmsnorm       those of a set, of a task
    python tests/mutants --sample         a fortieth, always the same: what `make test` runs
    python tests/mutants package          those of numpygpt/, against the tests
    python tests/mutants package engine   those of a module
    python tests/mutants package --sample

Prints the score of each set or module, and each mutant that survives without a reason in
survivors.md. Ends with 1 if there is one, or if a line there is about no survivor.
"""

import argparse
import importlib
import os
import signal
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Before NumPy comes: a fork takes no threads along.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from tqdm import tqdm

from mutants import reviewed


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("chosen", nargs="*", help="sets, tasks, or package and modules")
    parser.add_argument("--sample", action="store_true", help="one of forty, always the same")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = options.chosen
    package = chosen[:1] == ["package"]
    # Either one alone: the tests of the package load a package of their own.
    source = importlib.import_module("mutants.package" if package else "mutants.answers")
    chosen = chosen[package:]
    try:
        with source.prepared(chosen, options.sample) as (pieces, run):
            results = tqdm(
                map(run, pieces), total=len(pieces), unit=f" {source.UNIT}", disable=None
            )
            return report(list(results), options.sample, package, whole=not chosen)
    except KeyboardInterrupt:
        return 130


def report(results, sample, package, whole):
    """Print the scores, and what is not explained; return the exit code."""
    known = reviewed.read()
    scores, strange, met, stale = {}, [], set(), set()
    for result in results:
        score = scores.setdefault(result.group, Counter())
        for id, end in result.ended:
            lines = known.lines_of(id)
            score["mutants"] += 1
            if end in ("killed", "endless"):
                score[end] += 1
                stale.update(line for line in lines if "…" not in line)
            elif end == "survived" and lines:
                score["reviewed"] += 1
                met.update(lines)
            else:
                score["unexplained"] += 1
                strange.append(f"{end}: {id}")
        if sample:  # a line about a mutant that is not in the sample must be about one all the same
            met.update(line for id in result.ids for line in known.lines_of(id))
    about = known.lines_about({result.piece for result in results}, patterns=whole)
    stale.update(line for line in about if line not in met and is_of(line, package))
    print(table(scores))
    for line in strange:
        print(line)
    for line in sorted(stale):
        print(f"survivors.md has a line about no survivor: {line}")
    return 1 if strange or stale else 0


def is_of(line, package):
    return line.startswith("numpygpt/") == package


COLUMNS = ["mutants", "killed", "endless", "reviewed", "unexplained"]


def table(scores):
    """The counts of each set or module, and their sums; endless loops count as killed."""
    scores = scores | {"all": sum(scores.values(), Counter())}
    lines = [f"{'':<26}" + "".join(f"{name:>12}" for name in COLUMNS) + f"{'score':>9}"]
    for name, score in scores.items():
        # Of the mutants that can be told from the original.
        share = (score["killed"] + score["endless"]) / max(score["mutants"] - score["reviewed"], 1)
        lines.append(
            f"{name:<26}" + "".join(f"{score[c]:>12,}" for c in COLUMNS) + f"{share:>8.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
