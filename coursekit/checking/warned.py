"""What NumPy warns of while an answer runs."""

import linecache
import sys
import warnings

import numpy as np

# A product may warn though all its numbers are finite: BLAS reads beyond the end of a row, and
# throws away what it makes of that. What is truly wrong with a product is in its result.
PRODUCTS = ("matmul", "dot", "vecdot", "matvec", "vecmat")


class Warned:
    """Hears, within a `with` block, the first warning about numbers; lets none be printed."""

    def __init__(self, reader_wrote):
        self.reader_wrote, self.said = reader_wrote, None

    def __enter__(self):
        self.caught = warnings.catch_warnings()
        self.errstate = np.errstate(divide="warn", over="warn", invalid="warn")
        self.caught.__enter__()
        self.errstate.__enter__()
        warnings.simplefilter("always")
        warnings.showwarning = self.hear
        return self

    def __exit__(self, *_):
        self.errstate.__exit__()
        self.caught.__exit__()

    def hear(self, message, category, *_):
        # Others, such as that a name will go in NumPy's next version, say nothing of the numbers.
        of_product = str(message).endswith(tuple(f" encountered in {name}" for name in PRODUCTS))
        if self.said is None and issubclass(category, RuntimeWarning) and not of_product:
            frame = sys._getframe()
            while frame and not self.reader_wrote(frame.f_code.co_filename):
                frame = frame.f_back
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno) if frame else ""
            self.said = {"message": str(message), "line": line.strip()}
