"""What a call uses, counted and not timed: lines of the reader's own code, and memory."""

import sys
import tracemalloc


class Meter:
    """Counts, within a `with` block, what a case limits; counts nothing where it sets no limit."""

    def __init__(self, case, reader_wrote):
        self.case, self.reader_wrote = case, reader_wrote
        self.lines = self.bytes = 0

    def __enter__(self):
        if self.case.max_bytes:
            self.outer = tracemalloc.is_tracing()  # somebody else's: leave it running
            if self.outer:
                tracemalloc.reset_peak()
            else:
                tracemalloc.start()
            self.before = tracemalloc.get_traced_memory()[0]
        if self.case.max_lines:
            self.other_trace = sys.gettrace()
            sys.settrace(self.on_call)
        return self

    def __exit__(self, *_):
        if self.case.max_lines:
            sys.settrace(self.other_trace)
        if self.case.max_bytes:
            self.bytes = tracemalloc.get_traced_memory()[1] - self.before
            if not self.outer:
                tracemalloc.stop()

    def on_call(self, frame, event, arg):
        # What NumPy does inside does not count.
        return self.on_line if self.reader_wrote(frame.f_code.co_filename) else None

    def on_line(self, frame, event, arg):
        self.lines += event == "line"
        return self.on_line

    def exceeded(self):
        """The names of the limits that were passed."""
        names = []
        if self.lines > self.case.max_lines:
            names.append("limit: lines that run")
        if self.bytes > self.case.max_bytes:
            names.append("limit: memory")
        return names
