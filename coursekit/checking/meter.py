"""What a call uses, counted and not timed: lines of the reader's own code, and memory.

The counters run beside the reader's code, in one process, where a program that sets out to deceive
can reach them in the end. What misleads them by Python's own means is heard by an audit hook, which
no code can take away, and leaves the call without a count.
"""

import _thread
import _tracemalloc
import os
import sys
import threading
import tracemalloc

TOUCHED = "limit: the counters"
NAMES = ("limit: lines that run", "limit: memory", TOUCHED)
BEGINNING = threading.Thread._bootstrap_inner.__code__

# Whoever does it while a Meter counts: other traces, other processes, code that is not Python,
# memory that is not counted.
TRACES = {"sys.settrace", "sys.setprofile", "sys.monitoring.register_callback"}
ELSEWHERE = {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}
ELSEWHERE |= {"ctypes.dlopen", "ctypes.dlsym", "mmap.__new__"}
# By the reader's code while a Meter counts: frames, which hold a trace; objects by the collector.
ASIDE = {"sys._getframe", "sys._current_frames"}
ASIDE |= {"gc.get_objects", "gc.get_referrers", "gc.get_referents"}
FRAME_NAMES = {"tb_frame", "gi_frame", "cr_frame", "ag_frame"}
LENDERS = {"inspect", "traceback", "logging"}  # modules that give a frame to whoever calls them
# By the reader's code at any time: code that says it is a library's.
NAMED = {"compile", "code.__new__"}
# Where threads wait for work: what they then do has no trace, if they began before there was one.
POOLS = (os.path.join("concurrent", "futures", "thread.py"), "queue.py")

# Functions that raise no event of their own. `threading` has its own name for the last one.
OF_MEMORY = ("start", "stop", "reset_peak", "clear_traces")
TOLD = {tracemalloc: OF_MEMORY, _tracemalloc: OF_MEMORY, sys: ("gettrace",)}
TOLD |= {_thread: ("start_new_thread", "start_new")}

BEGIN, END, CALL = "coursekit.begin", "coursekit.end", "coursekit.call"


class Meter:
    """Counts, within a `with` block, what a case limits; counts nothing where it sets no limit.

    An answer that changes how Python traces or measures, while it is counted, has no count.
    """

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
            guard(self.reader_wrote)
            sys.audit(BEGIN, sys._current_frames())
        return self

    def __exit__(self, *_):
        if self.case.max_lines or self.case.max_bytes:
            heard = []
            sys.audit(END, heard)
            self.touched = any(heard)
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


def guard(reader_wrote, others=True):
    """Listen, from now on, for what misleads a Meter; done once in a process.

    All that it remembers is in the hook's own variables, which nothing else can name.

    Args:
        others: whether threads run here that are not the reader's, such as those of a kernel. If
            not, one that waits for work is theirs.
    """
    if getattr(tracemalloc.stop, "is_heard", False):
        return
    own = {name: getattr(module, name) for module, names in TOLD.items() for name in names}
    is_counting = was_touched = was_hidden = False
    listening = set()  # threads: an event in another one is heard all the same

    def hook(event, args):
        thread = threading.get_ident()
        if thread in listening:  # what `hear` itself does
            return
        try:  # what ends an endless answer may be raised at any moment, also in here
            listening.add(thread)
            hear(event, args, caller())
        finally:
            listening.discard(thread)

    def hear(event, args, frame):
        nonlocal is_counting, was_touched, was_hidden
        touches = False  # said in one step: other threads are heard meanwhile
        if event == BEGIN:
            is_counting, was_touched = True, is_counting or (not others and any_waits(*args))
        elif event == END:
            args[0].append(was_touched or was_hidden)
            is_counting = False
        elif event == CALL:
            name, arguments, returned = args
            touches = is_counting
            returned.append(own[name](*arguments))
        elif event in TRACES:
            # A thread that begins takes over the trace that we have set for it.
            touches = is_counting and getattr(frame, "f_code", None) is not BEGINNING
        elif event in ELSEWHERE:
            touches = is_counting
        elif event in NAMED:
            if is_readers(frame) and not may_name(args[1]):
                was_hidden = True
        elif event in ASIDE:
            touches = is_counting and is_readers(frame)
        elif event == "object.__getattr__" and args[1] in FRAME_NAMES:
            touches = is_counting and is_readers(frame)
        if touches:
            was_touched = True

    def is_readers(frame):
        if frame is None:
            return False
        while frame.f_globals.get("__name__") in LENDERS and frame.f_back:
            frame = frame.f_back
        return reader_wrote(frame.f_code.co_filename)

    def may_name(filename):
        return not isinstance(filename, (str, bytes)) or reader_wrote(os.fsdecode(filename))

    for module, names in TOLD.items():
        for name in names:
            setattr(module, name, heard(name))
    sys.addaudithook(hook)


def caller():
    """The frame in which an event happens; None where there is none, as when Python ends."""
    try:
        return sys._getframe(2)
    except ValueError:
        return None


def any_waits(frames):
    """Whether one of other threads, given by their frames, waits to be handed work."""
    own = threading.get_ident()
    return any(
        frame.f_code.co_filename.endswith(POOLS)
        for thread, top in frames.items()
        if thread != own
        for frame in stack(top)
    )


def stack(frame):
    while frame is not None:
        yield frame
        frame = frame.f_back


def heard(name):
    """A function that lets the hook call its own of that name."""

    def call(*args):
        returned = []
        sys.audit(CALL, name, args, returned)
        return returned[0]

    call.is_heard = True
    return call
