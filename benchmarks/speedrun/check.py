"""Does a record of the speedrun keep the rules? For all of them, or for those that are named:

    python benchmarks/speedrun/check.py [FOLDER ...]

Says for each what holds and what does not, with the p-value against the record before it; exit
code 1 if something does not. The rules are in README.md.
"""

import ast
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import rules
from run import END_OF_SCRIPT, RECORDS

README = Path(__file__).with_name("README.md")
RESULT = ("val_loss", "targets", "context", "seed", "fraction", "seconds")


def student_t_tail(t, dof):
    """Return P(T > t) for Student's t with `dof` degrees of freedom.

    With t = √dof tan θ the density becomes C cos^(dof - 1) θ, which we add up from θ to π/2.
    """
    C = math.exp(math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)) / math.sqrt(math.pi)
    theta = np.linspace(math.atan(t / math.sqrt(dof)), math.pi / 2, 20_001)
    return float(C * np.trapezoid(np.cos(theta) ** (dof - 1), theta))


def p_value(new, old):
    """Return the chance of a lead such as that of `new` over `old`, were both equally good.

    Welch's test, one-sided: a lower loss is better. Two losses of each at least.
    """
    new, old = np.asarray(new), np.asarray(old)
    errors = [losses.var(ddof=1) / len(losses) for losses in (new, old)]
    lead, error = old.mean() - new.mean(), math.sqrt(sum(errors))
    if error == 0:
        return 0.0 if lead > 0 else 1.0
    dof = sum(errors) ** 2 / sum(
        e**2 / (len(losses) - 1) for e, losses in zip(errors, (new, old), strict=True)
    )
    return student_t_tail(lead / error, dof)


def read_log(path):
    """Return (script, result) of a log; ValueError says what is wrong with it."""
    script, mark, rest = path.read_text(encoding="utf-8").partition(END_OF_SCRIPT)
    if not mark:
        raise ValueError("holds no script")
    lines = [line for line in rest.splitlines() if line.startswith("result ")]
    try:
        (line,) = lines
        result = json.loads(line.removeprefix("result "))
        numbers = [result[name] for name in RESULT]
    except (ValueError, KeyError, TypeError):
        raise ValueError("holds no result") from None
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        raise ValueError("holds a result that is no number")
    about = json.loads(rest.splitlines()[0])
    return script, result | {"cores": about.get("cores")}


def foreign_imports(script):
    """Return what a script imports besides NumPy, numpygpt, the rules and the standard library."""
    ours = {"numpy", "numpygpt", "rules"} | sys.stdlib_module_names
    names = set()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return sorted(names - ours)


def losses_of(folder):
    """Return the scores of a record's logs."""
    return [read_log(path)[1]["val_loss"] for path in sorted(folder.glob("seed-*.log"))]


def row_of(folder, table):
    """Return (mean loss, longest seconds) that the README's row of a record says, or None."""
    row = re.search(rf"^\| \[{folder.name}\].*$", table, re.MULTILINE)
    if not row:
        return None
    loss, _, seconds = (cell.strip() for cell in row[0].strip("| ").split("|")[1:4])
    return loss.partition(" ")[0], seconds


def check(folder, before, table):
    """Yield (what the rules ask, whether it holds) for a record; `before` is the one before it."""
    if not (folder / "train.py").exists():
        yield "it has a train.py", False
        return
    script = (folder / "train.py").read_text(encoding="utf-8")
    strange = foreign_imports(script)
    yield f"it imports NumPy, numpygpt and the standard library alone {strange or ''}", not strange
    logs, problems = [], []
    for path in sorted(folder.glob("seed-*.log")):
        try:
            logs.append(read_log(path))
        except ValueError as error:
            problems.append(f"{path.name} {error}")
    yield f"its logs can be read {problems or ''}", not problems
    results = [result for _, result in logs]
    seeds = sorted(result["seed"] for result in results)
    wanted = list(range(1, max(rules.SEEDS, len(seeds)) + 1))
    yield f"its seeds are 1 to {wanted[-1]}: {seeds}", seeds == wanted
    if problems or seeds != wanted:
        return
    yield "each log contains the script as it is", all(text == script for text, _ in logs)
    yield "it has done all its steps", all(r["fraction"] == 1 for r in results)
    targets = rules.windows(rules.load()[2])[1].size
    yield f"scored on {targets:,} characters", all(r["targets"] == targets for r in results)
    seconds = max(r["seconds"] for r in results)
    yield f"the longest took {seconds:.0f} s of {rules.SECONDS}", seconds <= rules.SECONDS
    cores = {r["cores"] for r in results}
    yield (
        f"on at most {rules.CORES} cores: {sorted(map(str, cores))}",
        all(isinstance(n, int) and 1 <= n <= rules.CORES for n in cores),
    )
    losses = [r["val_loss"] for r in results]
    mean = float(np.mean(losses))
    if before is not None:
        old = losses_of(before)
        p = p_value(losses, old) if len(old) > 1 else 1.0
        yield f"mean {mean:.4f}, {before.name} {np.mean(old):.4f}: p = {p:.2g}", p < rules.P
    said = row_of(folder, table)
    yield f"README's row says {said}", said == (f"{mean:.4f}", f"{seconds:.0f}")


def main(argv):
    records = sorted(path for path in RECORDS.iterdir() if path.is_dir())
    table = README.read_text(encoding="utf-8")
    wrong = 0
    for name in argv or [path.name for path in records]:
        folder = RECORDS / name
        if not folder.is_dir():
            print(f"no record is called {name}", file=sys.stderr)
            return 2
        place = records.index(folder)
        print(name)
        for what, holds in check(folder, records[place - 1] if place else None, table):
            wrong += not holds
            print(f"  {'yes' if holds else 'NO ':4}{what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
