"""The training loop: accumulate, clip, step, evaluate, resume. Derived in chapter 16."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np

from numpygpt.checkpoint import CheckpointError, part
from numpygpt.data import DataLoader
from numpygpt.optim.adam import Adam
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.optim.lr_scheduler import WarmupCosineLR


class DivergedError(ArithmeticError):
    """A loss, a gradient or a weight became infinite or NaN."""


def _problem(name, value):
    """Say what is wrong with the value of a setting, or return None."""
    if name in ("batch_size", "max_iters", "accumulate", "eval_interval", "eval_iters"):
        return None if value >= 1 else "must be at least 1"
    if name in ("beta1", "beta2"):
        return None if 0 <= value < 1 else "must be at least 0 and less than 1"
    fine = math.isfinite(value) and value >= 0
    return None if fine else "must be a finite number, not negative"


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of `numpygpt train`. A bad value raises ValueError."""

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
        for name, value in vars(self).items():
            if problem := _problem(name, value):
                raise ValueError(f"{name}={value} {problem}")


class LayersEngine:
    """Loss and gradients of a model for ids x and targets y (B, T), the whole batch at once."""

    def __init__(self, model):
        self.model = model

    def loss(self, x, y):
        """Return the mean loss of the batch."""
        return self.model(x, y)[1]

    def backprop(self, x, y, scale=1.0):
        """Add `scale` times the gradient of the mean loss to the gradients; return the loss."""
        loss = self.loss(x, y)
        self.model.backward(scale)
        return loss


class Trainer:
    """Trains a model: `for record in trainer.run(): ...`; `state()` is all that resuming needs."""

    def __init__(self, model, train_tokens, val_tokens, config, engine=None, optimizer=None):
        self.model, self.config, self.val_tokens = model, config, val_tokens
        self.engine = engine or LayersEngine(model)
        self.block_size = model.config.block_size
        self.step_count = 0  # steps done
        betas = (config.beta1, config.beta2)
        self.optimizer = optimizer or Adam(
            model, config.lr, betas, weight_decay=config.weight_decay
        )
        self.schedule = WarmupCosineLR(
            self.optimizer, config.warmup_iters, config.max_iters, config.min_lr
        )
        self.rng = np.random.default_rng([config.seed, 1])  # not that of evaluate()
        self.loader = self.batches(train_tokens, self.rng)
        self.batches(
            val_tokens, self.rng
        )  # is it long enough? The first evaluation may be hours off

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
            loss += self.engine.backprop(x, y, 1 / n_batches) / n_batches
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
        record = {"step": self.step_count, "train_loss": loss, "lr": lr, "grad_norm": norm}
        return {**record, "tokens_per_s": tokens / (time.perf_counter() - start)}

    def evaluate(self):
        """Return the mean loss over `eval_iters` validation batches, the same ones every time."""
        rng = np.random.default_rng([self.config.seed, 2])
        loader = self.batches(self.val_tokens, rng)
        losses = [self.engine.loss(*next(loader)) for _ in range(self.config.eval_iters)]
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
        if lost := [name for name, p in arrays.items() if not np.isfinite(p).all()]:
            raise DivergedError(f"step {self.step_count}: {lost[0]} became infinite or NaN")
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state().items()}
        meta = {"kind": type(self.model).__name__, "model": asdict(self.model.config)}
        meta |= {"train": asdict(self.config)}
        return arrays, {**meta, "step": self.step_count, "rng": self.rng.bit_generator.state}

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
