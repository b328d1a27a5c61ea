"""How `make test` shares the tests among its workers."""

import gc
import os
import signal

import pytest
from hypothesis import settings
from warm import pytest_configure  # noqa: F401

from coursekit.environment import ONE_THREAD

# A worker has a core at most, and the threads of a product wait for each other at work: the cells
# of a chapter take twice the processor's time with two, and no less of the clock's.
os.environ.update(ONE_THREAD)

# Each collection of garbage goes through all that thousands of tests keep: half of the time in
# which they are found, and some of the time in which they run.
gc.set_threshold(100_000, 20, 50)

# Nor is a test wrong because the machine is busy.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")

# A shell starts a job in the background with Ctrl-C ignored, and nohup one with SIGHUP ignored;
# what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Of these, each parameter (a chapter, a set, a task) takes seconds and needs none of the others.
DEALT_BY_PARAMETER = ("test_alone.py", "test_answers.py", "test_answers_nbval.py")
# These take minutes each: they begin first, or one worker is left with them at the end.
LONG = ("test_grading.py", "test_odd_notebooks.py", "test_checking.py", "test_mutants.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)  # else as they were


def pytest_collection_finish():
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # there may be no xdist
def pytest_xdist_make_scheduler(config, log):
    """For `--dist loadfile`: a file stays whole, and a notebook is one; these do not."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            parameter = nodeid.partition("[")[2]
            return f"{file}[{parameter}" if file.endswith(DEALT_BY_PARAMETER) else file

    return Scheduling(config, log)
