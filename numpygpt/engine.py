"""ThreadedEngine: a batch shared out over threads. Derived in chapter 18."""

import contextlib
import contextvars
import copy
import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PIECE_TOKENS = 2048  # enough rows for fast matrix products; more would only take memory


class BLASThreads:
    """The number of threads that OpenBLAS, NumPy's matrix product, uses; for any other BLAS, 1."""

    def __init__(self):
        self.library, self.name = None, None
        root = Path(np.__file__).parent
        for folder in (root.parent / "numpy.libs", root / ".dylibs"):
            for path in sorted(folder.glob("*openblas*")):
                self.library = ctypes.CDLL(str(path))  # the one that NumPy has loaded
        for name in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):
            if self.library and hasattr(self.library, name.format("set_num_threads")):
                self.name = name

    def get(self):
        return self.library[self.name.format("get_num_threads")]() if self.name else 1

    def set(self, n):
        if self.name:
            self.library[self.name.format("set_num_threads")](n)

    @contextlib.contextmanager
    def limited(self, n):
        """Use n threads within the block, and then as many as before."""
        before = self.get()
        self.set(n)
        try:
            yield
        finally:
            self.set(before)


def twin(model):
    """Return a model that shares the parameters, with gradients and caches of its own."""
    # deepcopy treats what its memo holds as copied already.
    other = copy.deepcopy(model, {id(p): p for p in model.params().values()})
    other.zero_grad()
    return other


class ThreadedEngine:
    """Loss and gradients of a model for ids x and targets y (B, T), the batch shared by threads.

    Each thread takes the sequences of its pieces, one piece after another, through layers of its
    own; their gradients are added in a fixed order. So with another number of threads the results
    differ by rounding only, and for a given number they are always the same.

    Args:
        model: whose own gradients receive the sum.
        threads: how many; by default as many as BLAS uses.
        piece_tokens: the most tokens in a piece: it bounds the memory for what layers cache.
    """

    def __init__(self, model, threads=None, piece_tokens=PIECE_TOKENS):
        self.blas = BLASThreads()
        self.threads = threads or self.blas.get()
        self.piece_tokens = piece_tokens
        self.models = [model] + [twin(model) for _ in range(self.threads - 1)]
        self.pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def pieces(self, B, T):
        """Return slices of the batch, equally many per thread, of at most piece_tokens or 1 row."""
        rounds = math.ceil(B / (max(1, self.piece_tokens // T) * self.threads))
        edges = np.linspace(0, B, min(B, rounds * self.threads) + 1).astype(int)
        return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def share_out(self, work, x, y):
        """Return the sum of work(model, x, y, share of the batch) over all pieces."""
        pieces = self.pieces(*x.shape)

        def one_thread(i):
            done = [
                work(self.models[i], x[p], y[p], (p.stop - p.start) / len(x))
                for p in pieces[i :: self.threads]
            ]
            return sum(done)

        # While we have a thread for each core, BLAS must not start its own.
        with self.blas.limited(1):
            if self.pool is None:  # one thread is this one: a browser can start no other
                return one_thread(0)
            # Settings such as np.errstate go along in a context.
            contexts = [contextvars.copy_context() for _ in self.models]
            jobs = [self.pool.submit(c.run, one_thread, i) for i, c in enumerate(contexts)]
            return sum([job.result() for job in jobs])

    def loss(self, x, y):
        """Return the mean loss of the batch."""
        return self.share_out(lambda model, x, y, share: model(x, y)[1] * share, x, y)

    def backprop(self, x, y, scale=1.0):
        """Add `scale` times the gradient of the mean loss to the gradients; return the loss."""

        def work(model, x, y, share):
            loss = model(x, y)[1] * share
            model.backward(scale * share)
            return loss

        for model in self.models[1:]:
            model.zero_grad()
        loss = self.share_out(work, x, y)
        total = self.models[0].grads()
        for model in self.models[1:]:
            for name, g in model.grads().items():
                total[name] += g
        return loss
