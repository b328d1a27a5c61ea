"""An answer that does not come to an end is ended: its calls need milliseconds, and get seconds."""

import _thread
import ast
import ctypes
import linecache
import os
import sys
import threading
import time
from contextlib import suppress

SECONDS = 2  # that the calls of a case may compute
ASLEEP = 60  # seconds after which they are ended even if they compute nothing
TICK = 0.05  # seconds between two looks
IDLE = 1  # seconds with nothing to look at


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
        self.end, self.latest = self.clock() + SECONDS, time.monotonic() + ASLEEP
        self.late, self.stays = self.end - SECONDS / 2, None
        self.over, self.lock = False, threading.Lock()
        self.block = sys._getframe(1)  # the frame with the `with` block
        WATCH.add(self)
        return self

    def __exit__(self, *_):
        while True:
            try:
                with self.lock:
                    self.over = True
                for _ in range(3):  # one that is under way arrives here
                    pass
                WATCH.remove(self)
                return
            except Endless:
                continue

    def look(self):
        """Look on, from another thread, now and then; return whether the block still runs."""
        now = self.stack()
        if now is None:
            self.block = None
            return False
        computed = self.clock()
        if computed > self.late:
            # Frames that stay: what is called again and again has a new one each time.
            stay = zip(self.stays or now, now, strict=False)
            self.stays = [old for old, new in stay if old is new]
        if computed > self.end or time.monotonic() > self.latest:
            self.line = self.line or self.loop_in(self.stays or []) or self.loop_in(now)
            with self.lock:
                # Again and again: an answer may have an `except:` of its own.
                if not self.over and self.stack() is not None:
                    raise_in(self.thread, Endless)
        return True

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


class Watch:
    """A thread that looks at every Limit at work, and ends when there has been none for a while.

    One for all: to start a thread takes as long as an answer takes in a case. It has no lock, which
    a Ctrl-C could leave closed: what it does to its list is one step.
    """

    def __init__(self):
        self.limits = []
        self.current = None  # what is true of the thread that looks, and of no other

    def add(self, limit):
        self.limits.append(limit)
        if self.current is None:
            self.current = token = object()
            try:
                # Not a Thread: that would set itself a trace while a Meter sets the one of its own.
                _thread.start_new_thread(self.look_on, (token,))
            except RuntimeError:  # there may be no room for a thread
                self.current = None

    def remove(self, limit):
        with suppress(ValueError):  # it is gone already
            self.limits.remove(limit)

    def look_on(self, token):
        idle = 0
        try:
            while self.current is token:
                time.sleep(TICK)
                for limit in list(self.limits):
                    if not limit.look():
                        self.remove(limit)
                idle = 0 if self.limits else idle + 1
                if idle * TICK > IDLE and self.current is token:
                    self.current = None
                    if self.limits and self.current is None:  # one was added just before that
                        self.current = token
        finally:  # an answer may have left no memory: the next limit gets another thread
            if self.current is token:
                self.current = None

    def forget(self):
        """In a fork, which has no such thread, and nothing to look at."""
        self.__init__()


WATCH = Watch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WATCH.forget)


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
