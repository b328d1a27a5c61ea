"""Run a record of the speedrun: make speedrun, or

    python benchmarks/speedrun/run.py                             # the best, seed 1
    python benchmarks/speedrun/run.py 01_gpt --seeds 1 2 3 4 --keep    # write its logs
    python benchmarks/speedrun/run.py 01_gpt --fraction 0.02      # a try: a part of its steps
    python benchmarks/speedrun/run.py candidates/pairs            # what has no record yet

Each seed is a process of its own on two cores, timed from its start to its end. The log holds the
script, the machine, what the script printed, and the result. Without --keep it goes to
out/speedrun/.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rules

HERE = Path(__file__).parent
RECORDS = HERE / "records"
ROOT = HERE.parents[1]
END_OF_SCRIPT = "# ---- end of train.py ----\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description="Run a record of the speedrun.")
    parser.add_argument("record", nargs="?", help="a folder of records/, or candidates/NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="N")
    parser.add_argument("--fraction", type=float, default=1.0, metavar="X", help="of its steps")
    parser.add_argument("--keep", action="store_true", help="write the logs into the folder")
    args = parser.parse_args(argv)
    folder = named(args.record)
    if args.keep and args.fraction != 1:
        parser.error("a log of a part of the steps is no record: leave --keep or --fraction out")
    to = folder if args.keep else ROOT / "out/speedrun" / folder.name
    to.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        result = run(folder / "train.py", seed, args.fraction, to / f"seed-{seed}.log")
        late = "" if result["seconds"] <= rules.SECONDS else f": MORE than {rules.SECONDS}"
        print(f"{folder.name}, seed {seed}: {result['val_loss']:.4f} nats per character "
              f"in {result['seconds']:.0f} seconds{late}")  # fmt: skip


def named(name):
    """Return the folder of a record, or of a candidate."""
    if name and (HERE / name / "train.py").exists():
        return HERE / name
    there = {path.name: path for path in sorted(RECORDS.iterdir()) if (path / "train.py").exists()}
    if not there or (name and name not in there):
        raise SystemExit(f"no record is called {name}; there are {', '.join(there) or 'none'}")
    return there[name] if name else list(there.values())[-1]


def run(script, seed, fraction, log):
    """Run a script with a seed, show what it prints, write the log, and return its result."""
    cores = available()
    about = machine() | {"cores": len(cores), "seed": seed, "fraction": fraction}
    lines = [script.read_text(encoding="utf-8"), END_OF_SCRIPT, json.dumps(about) + "\n"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "PYTHONUNBUFFERED": "1"}
    for name in ("OPENBLAS", "OMP", "MKL"):
        environment[f"{name}_NUM_THREADS"] = str(len(cores))
    command = [sys.executable, str(script), "--seed", str(seed), "--fraction", str(fraction)]
    score, start = None, time.monotonic()
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, preexec_fn=only(cores)
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
            if line.startswith("score "):
                score = json.loads(line.removeprefix("score "))
    seconds = time.monotonic() - start
    if process.returncode or not score:
        raise SystemExit(f"{script} ended with exit code {process.returncode} and without a score")
    result = {**score, "seed": seed, "fraction": fraction, "seconds": round(seconds, 1)}
    lines.append("result " + json.dumps(result) + "\n")
    log.write_text("".join(lines), encoding="utf-8")
    return result


def available():
    """Return the cores that a run gets: at most as many as the rules say."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(min(rules.CORES, os.cpu_count() or 1)))
    return sorted(os.sched_getaffinity(0))[: rules.CORES]


def only(cores):
    """Return what ties a process to these cores before it starts; None where that cannot be."""
    return (lambda: os.sched_setaffinity(0, cores)) if hasattr(os, "sched_setaffinity") else None


def machine():
    """Return what the time depends on besides the script."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(": ")[2] if names else cpu
    git = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True, text=True,
    )  # fmt: skip
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    return {"cpu": cpu, **versions, "commit": git.stdout.strip() or "unknown"}


if __name__ == "__main__":
    main()
