"""The progress bars of `numpygpt train`, `datagen` and `evaluate`. Written by hand."""

import contextlib
import shutil
import sys
import time


class Progress:
    """A bar that moves on a terminal; elsewhere one line at each evaluation."""

    def __init__(self, done, total):
        self.total = total
        self.first, self.start = done, time.monotonic()
        self.bar = sys.stdout.isatty()
        self.shown = 0.0
        self.val = ""

    def show(self, record):
        step, now = record["step"], time.monotonic()
        if "val_loss" in record:
            self.val = f"  val {record['val_loss']:.4f}"
            end = f"  {now - self.start:.0f} s\n"
            print(("\r\x1b[K" if self.bar else "") + self.line(record), end=end, flush=True)
        elif self.bar and now - self.shown > 0.1:
            self.shown = now
            left = round((now - self.start) / (step - self.first) * (self.total - step))
            draw(step / self.total, f"{self.line(record)}  {left // 60}:{left % 60:02} left")

    def line(self, record):
        return (
            f"step {record['step']:>{len(str(self.total))}}/{self.total}"
            f"  train {record['train_loss']:.4f}{self.val}"
            f"  {record['tokens_per_s']:,.0f} tokens/s"
        )

    def close(self):
        if self.bar:
            with contextlib.suppress(OSError):  # a terminal that was closed
                print("\r\x1b[K", end="", flush=True)


def draw(done, line):
    """Draw a bar and a line behind it, over the one that is there; `done` is a part of 1."""
    full = int(20 * done)
    line = "█" * full + "░" * (20 - full) + f" {line}"
    # A line that wraps cannot be overwritten.
    width = shutil.get_terminal_size().columns - 1
    print("\r\x1b[K" + line[:width], end="", flush=True)


def watched(text, what):
    """Yield the parts of a TextFile; on a terminal, a bar shows how far it is read."""
    return with_bar(text, lambda: (text.file.tell() / text.size, f"{what} {text.path}"))


def counted(arrays, total, what):
    """Yield arrays; on a terminal, a bar shows how many of `total` numbers they have brought."""
    done = 0

    def count():
        nonlocal done
        for array in arrays:
            done += array.size
            yield array

    return with_bar(count(), lambda: (done / total, f"{what} {done:,}/{total:,}"))


def with_bar(parts, state):
    """Yield the parts; on a terminal, draw(*state()) now and then."""
    bar, shown = sys.stdout.isatty(), time.monotonic()
    try:
        for part in parts:
            if bar and time.monotonic() - shown > 0.2:
                shown = time.monotonic()
                draw(*state())
            yield part
    finally:
        if bar:
            print("\r\x1b[K", end="", flush=True)
