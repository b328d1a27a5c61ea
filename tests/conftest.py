"""How `make test` shares the tests among its workers."""

import pytest

# Of these, each test takes seconds and needs none of the others.
DEALT_ONE_BY_ONE = ("test_alone.py", "test_answers_nbval.py")


@pytest.hookimpl(optionalhook=True)  # there may be no xdist
def pytest_xdist_make_scheduler(config, log):
    """For `--dist loadfile`: a file stays whole, and a notebook is one; these do not."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return nodeid if file.endswith(DEALT_ONE_BY_ONE) else file

    return Scheduling(config, log)
