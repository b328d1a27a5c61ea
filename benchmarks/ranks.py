"""What do ranks bring? Speed-up of 2 over 1, and where the time goes. Two minutes; idle machine.

    python benchmarks/ranks.py            # batch 16, block 128, 4 layers, 4 heads, 256 wide
    python benchmarks/ranks.py --rounds 9

Starts `mpiexec -n 1` and `mpiexec -n 2` of itself in turns, one BLAS thread each, and compares the
medians of all rounds; beside them, one rank whose engine has two threads. Then three ways to add
the gradients on 2 ranks: one bucket after the backward pass (what numpygpt does), one bucket a
block, and a bucket a block that travels while the backward pass goes on.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from numpygpt.distributed import DistributedTrainer, connect, flatten, unflatten
from numpygpt.engine import ThreadedEngine
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.training import LayersEngine, TrainConfig, Trainer

STEPS = 6
PROMISED = 1.7


class BlockBuckets(DistributedTrainer):
    """A bucket for each block, sent when the backward pass leaves it; one more for the rest."""

    overlap = True

    def __init__(self, *args):
        super().__init__(*args)
        self.parts = []  # (gradients, bucket): the rest, then the blocks
        names = set()
        for block in self.model.blocks:
            grads = list(block.grads().values())
            names |= {id(g) for g in grads}
            self.parts.append((grads, np.empty(sum(g.size for g in grads), self.bucket.dtype)))
            block.backward = self.then_send(block.backward, len(self.parts) - 1)
        rest = [g for g in self.model.grads().values() if id(g) not in names]
        self.parts.append((rest, np.empty(sum(g.size for g in rest), self.bucket.dtype)))
        self.requests = []

    def then_send(self, backward, number):
        def wrapped(dy):
            dx = backward(dy)
            self.send(number)
            return dx

        return wrapped

    def send(self, number):
        grads, bucket = self.parts[number]
        flatten(grads, bucket)
        np.multiply(bucket, self.weight, out=bucket)
        request = self.world.comm.Iallreduce(self.world.in_place, bucket)
        if not self.overlap:
            request.Wait()
        self.requests.append((request, number))

    def accumulate_gradients(self):
        loss = Trainer.accumulate_gradients(self)
        self.send(len(self.parts) - 1)
        for request, number in self.requests:
            request.Wait()
            grads, bucket = self.parts[number]
            unflatten(bucket, grads)
        self.requests.clear()
        return self.mean(loss)


class BlockBucketsInTurn(BlockBuckets):
    overlap = False


WAYS = {"one bucket": DistributedTrainer, "a bucket a block": BlockBucketsInTurn,
        "a bucket a block, overlapped": BlockBuckets}  # fmt: skip


def on_a_rank(way, threads):
    """Train, and print seconds of each step, and of adding the gradients in a step."""
    world = connect()
    tokens = np.random.default_rng(0).integers(0, 65, 100_000)
    config = TrainConfig(batch_size=16, max_iters=100)
    model = GPT(GPTConfig(65, 128, 4, 4, 256), rng=np.random.default_rng(0))
    engine = ThreadedEngine(model, threads) if threads > 1 else LayersEngine(model)
    trainer = WAYS[way](model, tokens, tokens, config, world, engine)
    adding, real = [0.0], world.sum

    def timed(array):
        start = time.perf_counter()
        real(array)
        adding[0] += time.perf_counter() - start

    world.sum = timed
    steps = []
    for _ in range(STEPS + 1):
        world.gather(None)
        adding[0], start = 0.0, time.perf_counter()
        trainer.step()
        steps.append((time.perf_counter() - start, adding[0]))
    if world.rank == 0:
        print("found:" + json.dumps(steps[1:]))


def measure(n_ranks, threads, way):
    """Return the seconds of each step and of its sums, waiting for the others included."""
    here = str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=here) or shutil.which("mpiexec")
    environment = {
        **os.environ, "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }  # fmt: skip
    # Open MPI ties a rank to one core, all its threads with it.
    free = ["--bind-to", "none"] if threads > 1 else []
    command = [mpiexec, "-n", str(n_ranks), *free, sys.executable, __file__, "--rank", way]
    command += ["--threads", str(threads)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.partition("found:")[2])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.rank:
        return on_a_rank(args.rank, args.threads)
    sides = [(1, 1, "one bucket"), *((2, 1, way) for way in WAYS), (1, 2, "one bucket")]
    found = {side: [] for side in sides}
    for number in range(args.rounds):
        for side in sides if number % 2 else reversed(sides):
            found[side] += measure(*side)
    seconds = {side: statistics.median(s for s, _ in steps) for side, steps in found.items()}
    one = seconds[sides[0]]
    for (n, threads, way), s in seconds.items():
        adding = statistics.median(a for _, a in found[n, threads, way])
        print(f"{n} ranks of {threads} threads, {way:29} {s:.3f} s a step, "
              f"{16 * 128 / s:7,.0f} tokens/s, "
              f"{one / s:.2f} x; sums {adding * 1e3:.1f} ms")  # fmt: skip
    speed_up = one / seconds[sides[1]]
    holds = speed_up >= PROMISED
    print(f"{'yes' if holds else 'NO '} speed-up {speed_up:.2f}, at least {PROMISED}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
