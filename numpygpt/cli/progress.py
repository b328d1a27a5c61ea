"""The progress bar of `numpygpt train`. Written by hand."""

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
            full = 20 * step // self.total
            bar = "█" * full + "░" * (20 - full)
            line = f"{bar} {self.line(record)}  {left // 60}:{left % 60:02} left"
            # A line that wraps cannot be overwritten.
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:width], end="", flush=True)

    def line(self, record):
        return (
            f"step {record['step']:>{len(str(self.total))}}/{self.total}"
            f"  train {record['train_loss']:.4f}{self.val}"
            f"  {record['tokens_per_s']:,.0f} tokens/s"
        )

    def close(self):
        if self.bar:
            print("\r\x1b[K", end="", flush=True)
