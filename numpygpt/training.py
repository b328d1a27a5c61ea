"""The training loop: accumulate, clip, step, evaluate, log, resume. Derived in chapter 16."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import CheckpointError, part
from numpygpt.data import DataLoader, write_beside
from numpygpt.optim.adam import Adam
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.optim.lr_scheduler import WarmupCosineLR


class DivergedError(ArithmeticError):
    """A loss, a gradient or a weight became infinite or NaN."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of `numpygpt train`.

    Raises:
        ValueError: a field has a value that cannot be; the message names it.
    """

    batch_size: int = 12
    max_iters: int = 2000  # optimizer steps
    lr: float = 2e-3  # the highest rate
    min_lr: float = 1e-4  # the rate of the last step
    warmup_iters: int = 100
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1
    grad_clip: float = 1.0  # largest norm of the gradient; 0: no clipping
    accumulate: int = 1  # batches that one step averages
    eval_interval: int = 250  # steps between evaluations
    eval_iters: int = 200  # batches of one evaluation
    seed: int = 1337

    def __post_init__(self):
        for name in ("batch_size", "max_iters", "accumulate", "eval_interval", "eval_iters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("lr", "min_lr", "warmup_iters", "weight_decay", "grad_clip", "seed"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value} must be a finite number, not negative")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and less than 1")


class Trainer:
    """Trains a model: `for record in trainer.run(): ...`.

    Everything that a resumed run needs is in `state()`.
    """

    def __init__(self, model, train_tokens, val_tokens, config):
        self.model = model
        self.config = config
        self.val_tokens = val_tokens
        self.step_count = 0  # steps done
        self.optimizer = Adam(
            model, config.lr, (config.beta1, config.beta2), weight_decay=config.weight_decay
        )
        self.schedule = WarmupCosineLR(
            self.optimizer, config.warmup_iters, config.max_iters, config.min_lr
        )
        self.block_size = model.config.block_size
        # Streams of their own: how often we evaluate must not change what we train on.
        self.rng = np.random.default_rng([config.seed, 1])
        self.loader = self.batches(train_tokens, self.rng)

    def batches(self, tokens, rng):
        """Return the loader of batches of `tokens`, to train on or to evaluate with."""
        return DataLoader(tokens, self.config.batch_size, self.block_size, rng=rng)

    def accumulate_gradients(self):
        """Fill the gradients with the mean over `accumulate` batches; return the mean loss."""
        n_batches = self.config.accumulate
        self.model.zero_grad()
        loss = 0.0
        for _ in range(n_batches):
            x, y = next(self.loader)
            loss += self.model(x, y)[1] / n_batches
            self.model.backward(1 / n_batches)
        return loss

    def step(self):
        """Do one optimizer step and return its record."""
        start = time.perf_counter()
        loss = self.accumulate_gradients()
        norm = clip_grad_norm(self.model, self.config.grad_clip or math.inf)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                f"step {self.step_count + 1}: the loss is {loss:.4g}, the gradient's norm "
                f"{norm:.4g}; try a lower learning rate or a longer warm-up"
            )
        lr = self.optimizer.lr = self.schedule.lr_at(self.step_count)
        self.optimizer.step()
        self.step_count += 1
        tokens = self.config.accumulate * self.config.batch_size * self.block_size
        return {
            "step": self.step_count,
            "train_loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "tokens_per_s": tokens / (time.perf_counter() - start),
        }

    def evaluate(self):
        """Return the mean loss over `eval_iters` validation batches, the same ones every time."""
        rng = np.random.default_rng([self.config.seed, 2])
        loader = self.batches(self.val_tokens, rng)
        losses = [self.model(*next(loader))[1] for _ in range(self.config.eval_iters)]
        return sum(losses) / len(losses)

    def run(self):
        """Train until max_iters, yielding a record of each step: the lines of metrics.jsonl."""
        while self.step_count < self.config.max_iters:
            record = self.step()
            done = self.step_count
            if done % self.config.eval_interval == 0 or done == self.config.max_iters:
                record["val_loss"] = loss = self.evaluate()
                if not math.isfinite(loss):
                    raise DivergedError(f"step {done}: the validation loss is {loss:.4g}")
            yield record

    def state(self):
        """Return (arrays, meta) for `save_checkpoint`; the arrays are the live ones, not copies."""
        arrays = {f"model.{name}": p for name, p in self.model.params().items()}
        if not all(np.isfinite(p).all() for p in arrays.values()):
            raise DivergedError(f"step {self.step_count}: a weight became infinite or NaN")
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state().items()}
        meta = {
            "model": asdict(self.model.config),
            "train": asdict(self.config),
            "step": self.step_count,
            "rng": self.rng.bit_generator.state,
        }
        return arrays, meta

    def load_state(self, arrays, meta):
        """Continue where `state()` was taken: same weights, optimizer, and batches to come."""
        saved = meta.get("model")
        if saved != asdict(self.model.config):
            raise CheckpointError(f"the checkpoint holds a model of another shape: {saved}")
        try:
            self.model.load_params(part(arrays, "model."))
            self.optimizer.load_state(part(arrays, "optimizer."))
            self.step_count = meta["step"]
            self.rng.bit_generator.state = meta["rng"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint holds no run to go on with: {error}") from None


def read_metrics(path):
    """Return the records of metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class MetricsLog:
    """Appends records to metrics.jsonl, a JSON object a line, at once: a kill leaves its lines."""

    def __init__(self, path, steps_done=0):
        """Open the log of a run that has done `steps_done` steps; later lines are dropped."""
        path = Path(path)
        kept = [r for r in read_metrics(path) if r["step"] <= steps_done] if path.exists() else []
        text = "".join(json.dumps(r) + "\n" for r in kept)
        write_beside(path, lambda beside: beside.write_text(text, encoding="utf-8"))
        self.file = open(path, "a", encoding="utf-8")

    def write(self, record):
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()

    def close(self):
        self.file.close()
