"""The command line: datagen, train, sample, chat, evaluate, export, plot, test. Written by hand."""

import signal
import sys


def main(argv=None):
    """Run the program and return its exit code: 0, 2 for a user's mistake, 130 when interrupted."""
    # NumPy takes a moment to load. Until then there is nothing to tidy up: Ctrl-C just ends us.
    before = let_ctrl_c(signal.SIG_DFL)
    try:
        from numpygpt.cli.program import run
    finally:
        let_ctrl_c(before)
    try:
        code = run(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    if argv is None:  # we are the program itself, and all that is left is to end
        let_ctrl_c(signal.SIG_DFL)
    return code


def let_ctrl_c(do):
    """Give Ctrl-C another handler and return the one before; one that is not Python's own stays."""
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.default_int_handler, signal.SIG_DFL):
        try:
            signal.signal(signal.SIGINT, do)
        except ValueError:
            pass  # in a thread: there Ctrl-C does not arrive
    return before
