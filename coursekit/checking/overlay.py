"""A pytest plugin: nbval runs the exercise that we handed out, with the reader's answers in it.

nbval compares with the outputs stored in the same file, so a wrong answer, run and saved, would
pass. `exercise_file` closes that for notebooks of ours, wherever they lie. Of a figure, nbval then
compares the alt text and not the pixels. And a kernel whose port was taken is started again.
"""

import functools

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Put our file in the place of nbval's for the notebooks that hold answers to our tasks."""
    collected = yield
    # Imported late: pytest loads this module wherever numpygpt is installed, also without nbval.
    if any(type(file).__name__ == "IPyNbFile" for file in collected):
        from nbval import kernel

        from coursekit.checking.exercise_file import replaced
        from coursekit.figures import PICTURE

        if not hasattr(kernel.start_new_kernel, "__wrapped__"):
            kernel.start_new_kernel = tried_again(kernel.start_new_kernel)
        files = [replaced(file) for file in collected]
        for file in files:
            getattr(file, "sanitize_patterns", {})[PICTURE] = "a picture"
        return files
    return collected


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
