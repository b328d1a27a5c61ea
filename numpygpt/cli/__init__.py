"""The command line: datagen, train, sample, export, plot, test. Written by hand."""

import signal
import sys
import threading


def main(argv=None):
    """Run the program and return its exit code: 0, 2 for a user's mistake, 130 when interrupted."""
    before = signal.getsignal(signal.SIGINT)
    # In a thread, or where Ctrl-C is ignored or somebody else's, we leave it alone.
    in_main_thread = threading.current_thread() is threading.main_thread()
    ours = in_main_thread and before is signal.default_int_handler
    if ours:
        # NumPy takes a moment to load. Until then there is nothing to tidy up: just end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from numpygpt.cli.program import run
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    try:
        code = run(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    if ours and argv is None:  # we are the program itself, and all that is left is to end
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code
