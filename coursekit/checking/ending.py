"""An answer that does not come to an end is ended: its calls need milliseconds, and get seconds."""

import _thread
import ast
import ctypes
import linecache
import sys
import threading
import time
from contextlib import suppress

SECONDS = 2  # that the calls of a case may compute
ASLEEP = 60  # seconds after which they are ended even if they compute nothing
TICK = 0.05  # seconds between two looks


class Endless(BaseException):
    """Raised in the middle of an answer that does not come to an end."""


class Limit:
    """Raises Endless in this thread if a `with` block computes for too long.

    A second thread looks on: that works on every system, and in whatever thread a check runs. It
    counts what this thread computes and not the clock, so that a busy machine ends nothing.
    """

    def __init__(self, reader_wrote):
        self.reader_wrote, self.line = reader_wrote, ""

    def __enter__(self):
        self.thread, self.clock = threading.get_ident(), clock_of_this_thread()
        self.over, self.lock, self.done = False, threading.Lock(), threading.Event()
        self.block = sys._getframe(1)  # the frame with the `with` block
        with suppress(RuntimeError):  # there may be no room for a thread
            # Not a Thread: that would set itself a trace while a Meter sets the one of this thread.
            _thread.start_new_thread(self.look_on, ())
        return self

    def __exit__(self, *_):
        while True:
            try:
                with self.lock:
                    self.over = True
                for _ in range(3):  # one that is under way arrives here
                    pass
                self.done.set()
                return
            except Endless:
                continue

    def look_on(self):
        stack, end, latest = None, self.clock() + SECONDS, time.monotonic() + ASLEEP
        while not self.done.wait(TICK) and (now := self.stack()) is not None:
            if self.clock() > end - SECONDS / 2:
                # Frames that stay: what is called again and again has a new one each time.
                stay = zip(stack or now, now, strict=False)
                stack = [old for old, new in stay if old is new]
            if self.clock() > end or time.monotonic() > latest:
                self.line = self.line or self.loop_in(stack or []) or self.loop_in(now)
                with self.lock:
                    # Again and again: an answer may have an `except:` of its own.
                    if not self.over and self.stack() is not None:
                        raise_in(self.thread, Endless)
        self.block = None

    def stack(self):
        """The frames of what runs in the block; None if it has ended.

        It may have, without its `__exit__`: Endless may come as that begins.
        """
        frames = stack_of(self.thread)
        return frames[frames.index(self.block) + 1 :] if self.block in frames else None

    def loop_in(self, stack):
        """The line of the reader's loop that goes on, or else the line that runs."""
        # Between two lines a frame has no number.
        mine = [
            (frame.f_code.co_filename, frame.f_lineno or frame.f_code.co_firstlineno)
            for frame in stack
            if self.reader_wrote(frame.f_code.co_filename)
        ]
        lines = [loop_around(*place) for place in reversed(mine)]
        running = [linecache.getline(*place).strip() for place in mine[-1:]]
        return next(filter(None, lines + running), "")


def loop_around(filename, number):
    """The first line of the innermost `while`, or else `for`, around a line, or ""."""
    lines = linecache.getlines(filename)
    try:
        nodes = list(ast.walk(ast.parse("".join(lines))))
    except (SyntaxError, ValueError):
        return ""
    for kind in (ast.While, ast.For):
        around = [
            n.lineno for n in nodes if isinstance(n, kind) and n.lineno <= number <= n.end_lineno
        ]
        if around:
            return lines[max(around) - 1].strip()
    return ""


def stack_of(thread):
    """The frames of a thread, outermost first."""
    stack, frame = [], sys._current_frames().get(thread)
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return stack[::-1]


def raise_in(thread, exception):
    """Raise an exception in another thread, at the next line or so that it runs."""
    what = ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def clock_of_this_thread():
    """A function that returns the seconds which this thread, or else the process, has computed."""
    if hasattr(time, "pthread_getcpuclockid"):
        with suppress(OSError):  # a browser has the name, and no such clock
            own = time.pthread_getcpuclockid(threading.get_ident())
            time.clock_gettime(own)
            return lambda: time.clock_gettime(own)
    return time.process_time
