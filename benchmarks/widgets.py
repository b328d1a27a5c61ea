"""How long a reader waits after moving a control: every control of every widget of the book.

    python benchmarks/widgets.py

Each control is moved to six other values, the others staying where they were. What is timed is the
callback, from the new value to the finished picture; the way to the browser comes on top.
"""

import contextlib
import io
import os
import statistics
import sys
from pathlib import Path

import matplotlib

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "widgets"))

from headless import Widget  # noqa: E402

from coursekit.source import read_page  # noqa: E402


def values(control):
    """Six values to which a control can be moved."""
    if hasattr(control, "options"):
        return [list(control.options)[i % len(control.options)] for i in range(6)]
    if isinstance(control.value, bool):
        return [False, True] * 3
    if isinstance(control.value, str):
        return [control.value[:n] for n in range(6)]
    low, high = control.min, control.max
    if hasattr(control, "base"):
        return [control.base ** (low + (high - low) * i / 5) for i in range(6)]
    return [type(control.value)(low + (high - low) * i / 5) for i in range(6)]


def main():
    matplotlib.use("Agg")
    os.chdir(ROOT / "notebooks")
    print(f"{'chapter':28}{'control':14}{'median':>8}{'longest':>9}   ms")
    for path in sorted((ROOT / "book" / "chapters").glob("*.py")):
        if '"widget"' not in path.read_text(encoding="utf-8"):
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            widget = Widget(read_page(ROOT, f"book/chapters/{path.name}"))
        for name, control in widget.controls.items():
            widget.seconds.clear()
            with contextlib.redirect_stdout(io.StringIO()):
                for value in values(control):
                    widget.move(**{name: value})
            # A move to the value that a control already has draws nothing.
            times = [1000 * s for s in widget.seconds if s > 0.002]
            print(f"{path.stem:28}{name:14}{statistics.median(times):8.0f}{max(times):9.0f}")


if __name__ == "__main__":
    main()
