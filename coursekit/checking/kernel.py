"""A kernel that runs cells: what each shows, how it fails, and whether the kernel outlives it."""

import functools
import logging
import re
import time
from dataclasses import dataclass, field
from queue import Empty
from subprocess import DEVNULL

import nbval.kernel

from coursekit.files import BookError

PATIENCE = 60  # seconds for a kernel to start, to stop a cell, to hand over what a cell showed
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Ran:
    """What became of a cell."""

    outputs: list = field(default_factory=list)  # as a notebook stores them
    error: str = ""  # "NameError: name 'x' is not defined", and the line on a line of its own
    line: str = ""  # of a cell, on which it happened
    why: str = ""  # "error"; "time": it was stopped; "ended": the kernel is gone; "": all is well


class Kernel(nbval.kernel.RunningKernel):
    """This Python, in a process of its own that works in `folder`.

    Raises:
        BookError: it does not start; that is nobody's mistake.
    """

    def __init__(self, folder, patience=PATIENCE):
        self.sources = []
        logging.getLogger("nbval").disabled = True  # would print a traceback of hundreds of lines
        try:
            self.km, self.kc = nbval.kernel.start_new_kernel(
                startup_timeout=patience,
                kernel_name=nbval.kernel.CURRENT_ENV_KERNEL_NAME,
                cwd=str(folder),
                stdout=DEVNULL,
                stderr=DEVNULL,
            )
            try:
                self._ensure_iopub_up()
            except BaseException:
                self.stop()
                raise
        except Exception as error:  # of jupyter_client, of ZeroMQ, of the system
            said = " ".join(str(error).split()) or type(error).__name__
            raise BookError(f"no kernel could be started ({said[:200]}): try again") from None

    def run(self, source, timeout):
        """Run a cell for at most `timeout` seconds; return Ran."""
        if not self.is_alive():
            return Ran(why="ended")
        self.sources.append(source)
        message = self.execute_cell_input(source, allow_stdin=False)
        reply, stopped = self.reply_to(message, timeout), False
        if reply is None and self.is_alive():
            self.interrupt()
            reply, stopped = self.reply_to(message, PATIENCE), True
        if reply is None:
            self.end()
            return Ran(why="time" if stopped else "ended")
        ran = Ran(self.outputs_of(message))
        if reply["status"] == "error":
            ran.error, ran.line = told(reply, self.sources)
            ran.why = "time" if stopped else "error"
        asked = [part for part in reply.get("payload", []) if part.get("source") == "ask_exit"]
        if asked and not asked[0].get("keepkernel"):
            self.end()  # quit() does so itself a moment later: cells may still run till then
        return ran

    def end(self):
        if hasattr(self, "km"):  # not stopped before; one that died has its sockets still
            self.stop()

    def reply_to(self, message, timeout):
        """The reply to a request; None if time is up, or the kernel has ended."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                heard = self.get_message("shell", timeout=min(left, 1))
            except Empty:
                if not self.is_alive():
                    return None
                continue
            if heard["parent_header"].get("msg_id") == message:
                return heard["content"]
        return None

    def outputs_of(self, message):
        """What a cell that has ended has shown."""
        outputs, end = [], time.monotonic() + PATIENCE
        while time.monotonic() < end and self.is_alive():
            try:
                heard = self.get_message("iopub", timeout=1)
            except Empty:
                continue
            kind, said = heard["msg_type"], heard["content"]
            if heard["parent_header"].get("msg_id") != message:
                continue
            if kind == "status" and said["execution_state"] == "idle":
                break
            if kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append(said | {"output_type": kind})
        return outputs


def told(reply, sources):
    """How a cell failed, from the kernel's reply: (kind and message, the line of a cell).

    Args:
        reply: to the request to run it.
        sources: of all cells so far, the one that failed last.
    """
    message = re.sub(r" \(\d+\.py, line \d+\)$", "", reply["evalue"])  # the cell's own file
    message = " ".join(f"{reply['ename']}: {message}".split()).removesuffix(":")
    shown = COLOURS.sub("", "\n".join(reply["traceback"]))
    # Where a cell called a function of another cell, the last frame in a cell has the line.
    frames = re.findall(r"^ *Cell In\[\d+\], line (\d+)(.*?)(?=^ *Cell In|\Z)", shown, re.M | re.S)
    if frames:
        number, text = int(frames[-1][0]), frames[-1][1]
        arrow = re.search(r"^-+> \d+ (.*)$", text, re.M)
        # IPython says which line it is, not of which cell, and may show one beside it.
        lines = [(source.split("\n") + [""] * number)[number - 1].strip() for source in sources]
        return message, arrow[1].strip() if arrow and arrow[1].strip() in lines else lines[-1]
    if reply["ename"] == "UsageError":  # of a magic, which shows no frames
        lines = [line.strip() for line in sources[-1].split("\n")]
        return message, next((line for line in lines if line.startswith("%")), "")
    return message, ""


def tried_again(start, tries=3):
    """A function that starts a kernel, and starts another where one died before it was ready.

    Jupyter looks for free ports and hands them to the kernel, which takes them a moment later. On a
    busy machine another program, such as the next kernel, has one of them by then.
    """

    @functools.wraps(start)
    def start_new_kernel(*args, **kwargs):
        for left in reversed(range(tries)):
            try:
                return start(*args, **kwargs)
            except RuntimeError as error:
                if not left or "died" not in str(error):
                    raise

    return start_new_kernel


if not hasattr(nbval.kernel.start_new_kernel, "__wrapped__"):
    nbval.kernel.start_new_kernel = tried_again(nbval.kernel.start_new_kernel)
