"""How large a model or a setting may be, known before anything is built. Written by hand."""

import math
import os

from numpygpt.cli.errors import UsageError
from numpygpt.cli.models import class_of, n_params

LARGEST = 2**31 - 1  # whole number that a size can be: arrays index with such
LARGEST_SEED = 2**63 - 1
MAX_THREADS = 1024


def largest(name):
    return LARGEST_SEED if name == "seed" else LARGEST


def check_memory(model, train):
    """Raise UsageError if a run with these configurations needs far more memory than there is."""
    # Weights, gradients, Adam's two means: four bytes each. A batch's ids: eight, read and to come.
    n, tokens = n_params(model), train.batch_size * model.block_size
    for what, needed in (
        (f"a {class_of(model).__name__} of {n:,} parameters", 16 * n),
        (f"a batch of {tokens:,} tokens", 16 * tokens),
    ):
        if needed > 2 * memory():  # some of it may be on a disk
            raise UsageError(
                f"{what} takes {needed / 1e9:,.0f} GB to train, this machine has "
                f"{memory() / 1e9:,.0f}"
            )


def memory():
    """Return the bytes of memory of this machine; infinity where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf
