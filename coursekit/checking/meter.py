"""What a call uses, counted and not timed: lines of the reader's own code, and memory."""

import sys
import threading
import tracemalloc

TOUCHED = "limit: the counters"
NAMES = ("limit: lines that run", "limit: memory", TOUCHED)
BEGINNING = threading.Thread._bootstrap_inner.__code__
TRACING = ("sys.settrace", "sys.setprofile", "sys.monitoring.register_callback")


class Meter:
    """Counts, within a `with` block, what a case limits; counts nothing where it sets no limit.

    An answer that changes how Python traces or measures, while it is counted, has no count.
    """

    counting = None  # the one that counts now

    def __init__(self, case, reader_wrote):
        self.case, self.reader_wrote = case, reader_wrote
        self.lines = self.bytes = 0
        self.touched = False

    def __enter__(self):
        if self.case.max_bytes:
            self.outer = tracemalloc.is_tracing()  # somebody else's: leave it running
            if self.outer:
                tracemalloc.reset_peak()
            else:
                tracemalloc.start()
            self.before = tracemalloc.get_traced_memory()[0]
        if self.case.max_lines:
            self.other_traces = sys.gettrace(), threading.gettrace()
            threading.settrace(self.on_call)  # a loop in a thread is a loop
            sys.settrace(self.on_call)
        if self.case.max_lines or self.case.max_bytes:
            guard()
            Meter.counting = self
        return self

    def __exit__(self, *_):
        Meter.counting = None
        if self.case.max_lines:
            self.touched |= sys.gettrace() != self.on_call
            sys.settrace(self.other_traces[0])
            threading.settrace(self.other_traces[1])
        if self.case.max_bytes:
            self.touched |= not tracemalloc.is_tracing()
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
        passed = (
            self.lines > self.case.max_lines > 0,
            self.bytes > self.case.max_bytes > 0,
            self.touched,
        )
        return [name for name, is_passed in zip(NAMES, passed, strict=True) if is_passed]


def guard():
    """Notice who changes the counters while a Meter counts; done once in a process."""
    if tracemalloc.stop.__name__ != noticed.__name__:
        import _tracemalloc

        for name in ("stop", "start", "reset_peak", "clear_traces"):
            replacement = noticed(getattr(tracemalloc, name))
            for module in (tracemalloc, _tracemalloc):
                setattr(module, name, replacement)
        sys.addaudithook(heard)


def noticed(function):
    def call(*args):
        touch()
        return function(*args)

    call.__name__ = noticed.__name__
    return call


def heard(event, _):
    # A thread that begins takes over the trace that we have set for it.
    if event in TRACING and sys._getframe(1).f_code is not BEGINNING:
        touch()


def touch():
    if Meter.counting is not None:
        Meter.counting.touched = True
