# %% [markdown]
# # Chapter 16: Training
#
# The loop that trains a GPT has six steps: take a batch, clear the gradients, go forward, go
# backward, clip, step. We write it for a GPT that learns in seconds: two blocks, 32 channels,
# characters. (The first million characters are for training, kept in memory without [chapter
# 15](15_data.ipynb)'s files.)

# %%
import json
import math
import shutil
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLACK, BLUE, GREEN, GRAY, ORANGE, PINK, show, subplots

# %%
from numpygpt import GPT, GPTConfig
from numpygpt.data import DataLoader
from numpygpt.nn import Module
from numpygpt.optim import SGD, Adam, clip_grad_norm
from numpygpt.tokenizers import CharTokenizer

# %%
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
train_text, val_text = text[:1_000_000], text[1_000_000:]
tokenizer = CharTokenizer.train(train_text)
train_tokens, val_tokens = (np.array(tokenizer.encode(t)) for t in (train_text, val_text))

def tiny_gpt(seed=0):
    config = GPTConfig(tokenizer.vocab_size, block_size=32, n_layer=2, n_head=2, n_embd=32)
    return GPT(config, rng=np.random.default_rng(seed), dtype=np.float64)

# %% [markdown]
# The loop. After each step we measure the validation loss, always on the same batch.

# %%
x_val, y_val = next(DataLoader(val_tokens, 32, 32, rng=np.random.default_rng(5)))

def train_steps(model, optimizer, loader, n_steps):
    """Train, and return the validation loss after each step."""
    losses = []
    for _ in range(n_steps):
        x, y = next(loader)
        model.zero_grad()
        logits, loss = model(x, y)
        model.backward()
        clip_grad_norm(model, 1.0)
        optimizer.step()
        losses.append(model(x_val, y_val)[1])
    return losses

# %% [markdown]
# We train for 80 steps, keep a copy of the weights, and train for 40 more.

# %%
def fresh_loader():
    return DataLoader(train_tokens, batch_size=8, block_size=32, rng=np.random.default_rng(1))

model, loader = tiny_gpt(), fresh_loader()
optimizer = Adam(model, lr=3e-3, betas=(0.9, 0.99))
losses = train_steps(model, optimizer, loader, 80)
weights = {name: p.copy() for name, p in model.params().items()}
losses += train_steps(model, optimizer, loader, 40)

# %% [markdown]
# Now the same run with a break after step 80. Of the first run we keep only the weights: a new model
# gets them, with a new optimizer and a new loader. **Before you run the next cell:** every weight is
# restored exactly. What will the losses of the next steps be?

# %%
resumed = tiny_gpt()
resumed.load_params(weights)
optimizer2 = Adam(resumed, lr=3e-3, betas=(0.9, 0.99))
resumed_losses = train_steps(resumed, optimizer2, fresh_loader(), 40)
print(f"step 80: {losses[79]:.3f}")
for n in (81, 82, 83):
    print(f"step {n}: {losses[n - 1]:.3f} without a break, {resumed_losses[n - 81]:.3f} with")

# %%
figure, axes = subplots(size=(6, 3.2))
axes.plot(range(60, 121), losses[59:], color=BLUE, label="without a break")
resumed_curve = losses[79:80] + resumed_losses
axes.plot(range(80, 121), resumed_curve, "--", color=ORANGE, label="weights kept, the rest new")
axes.axvline(80, color=GRAY, linestyle=":")
axes.set(xlabel="step", ylabel="validation loss (nats per character)")
axes.legend()
show(figure, "Validation loss from step 60 to 120. The run that was resumed after step 80 from its "
             "weights alone jumps upward there and then takes a course of its own.")

# %% [markdown]
# The loss jumps after the break. From step 101 on it is mostly the lower of the two, but one pair
# of runs proves nothing: the second run reads other batches now. So the weights are not the run.
# **What is the whole state of a training run, and how do we keep it safe?**
#
# ## The state, and its shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `model.*` | each parameter | its own |
# | `optimizer.m.*`, `optimizer.v.*` | Adam's two running means (chapter 6) | the same |
# | `optimizer.t` | steps that Adam has taken: its bias correction needs it | `()` |
# | `step` | steps done: the learning-rate schedule needs it | a number |
# | `rng` | state of the generator that draws the batches | integers, two of them of 128 bits |
#
# The second run had only the first row. Its new Adam began with `m = v = 0`, and then $\hat m /
# \sqrt{\hat v} = \pm 1$, so the very first step moves every weight by about the full learning rate
# (chapter 6). Its new loader served the first batches again.
#
# ## One file that is whole
#
# Arrays and counters must reach the disk together. NumPy's `.npz` is a zip file of arrays; we write the
# counters as JSON and store that text as one more array. We avoid *pickle*, Python's own format for any
# object: loading a pickle can run any code that its author put into it.

# %% tags=["export"] module="checkpoint.py"
"""Checkpoints: one .npz file that is never torn. Derived in chapter 16."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from numpygpt.data import tokenizer_from_json, write_beside
from numpygpt.gpt import GPT, GPTConfig

VERSION = 1

class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model; the message says which."""

# %% [markdown]
# A failing disk can change a file, and so can a script that meant well. So we store a SHA-256
# digest of all names, types, shapes and bytes in the file, as we did for the token files of chapter
# 15.

# %% tags=["export"]
def digest_of(arrays):
    """Return the SHA-256 over names, dtypes, shapes and bytes of {name: array}."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {a.dtype.str} {a.shape}\n".encode())
        digest.update(a.tobytes())
    return digest.hexdigest()

# %% [markdown]
# To save, we use the trick of chapter 15: write beside the file, then rename. One line is new. The
# operating system keeps written bytes in memory for a while; `os.fsync` waits until they are on the disk.
# Without it, a power failure can leave the new name on an empty file.

# %% tags=["export"]
def save_checkpoint(path, arrays, meta):
    """Write {name: array} and `meta`, which JSON can hold, to the one file `path`.

    The bytes go to a temporary file, to the disk, and only then to the name: a crash at any moment
    leaves the old checkpoint or the new one.
    """
    text = json.dumps({"version": VERSION, "meta": meta})
    # The digest covers the text, too: a changed counter is as bad as a changed weight.
    everything = {**arrays, "__json__": np.array(text)}
    digest = np.array(digest_of(everything))

    def write(beside):
        with open(beside, "wb") as file:
            np.savez(file, **everything, __sha256__=digest)
            file.flush()
            os.fsync(file.fileno())

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_beside(Path(path), write)

# %% [markdown]
# To read, we take the file apart; `allow_pickle=False` refuses a pickle. Much can go wrong there, and
# each failure must become one clear line.

# %% tags=["export"]
def _read(path):
    """Return (arrays, version, meta, whether the digest fits)."""
    # We open the file, since NumPy leaves a damaged one open.
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
        everything = {name: file[name] for name in file.files}
    expected = str(everything.pop("__sha256__"))
    intact = digest_of(everything) == expected
    content = json.loads(str(everything.pop("__json__")))
    return everything, content["version"], content["meta"], intact

# %% tags=["export"]
def load_checkpoint(path):
    """Return (arrays, meta) as they were saved.

    Raises:
        CheckpointError: the file is missing, cut short, changed, or of another version.
    """
    try:
        arrays, version, meta, intact = _read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    # On damaged files the readers of zip, of arrays and of JSON raise nearly every error there is.
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {error}") from None
    if not intact:
        raise CheckpointError(f"{path} was changed after it was saved: its SHA-256 does not match")
    if version != VERSION:
        raise CheckpointError(f"{path} has version {version}, this program reads {VERSION}")
    return arrays, meta

# %% [markdown]
# First the round trip. Do the 128-bit integers of a generator's state, larger than any of NumPy's,
# survive JSON?

# %%
folder = Path(tempfile.mkdtemp())
path, rng = folder / "tiny.npz", np.random.default_rng(7)
save_checkpoint(path, {"W": np.arange(6.0).reshape(2, 3)}, {"rng": rng.bit_generator.state})
arrays, meta = load_checkpoint(path)
print(arrays["W"].tolist(), "rng state survives:", meta["rng"] == rng.bit_generator.state)

# %% [markdown]
# Then we break it on purpose: a file cut to half its length; weights changed by a program that
# keeps the old digest; a pickle; and a file that does not exist.

# %%
(folder / "half.npz").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
with np.load(path) as file:
    everything = dict(file)
np.savez(folder / "changed.npz", **everything | {"W": everything["W"] + 1e-3})
np.savez(folder / "pickle.npz", a=np.array([{"step": 3}], dtype=object))

# %%
for name in ("half.npz", "changed.npz", "pickle.npz", "nowhere.npz"):
    try:
        load_checkpoint(folder / name)
    except CheckpointError as error:
        print(f"{name:12}", str(error).removeprefix(f"{folder / name} ").split(":")[0])

# %% [markdown]
# A checkpoint of a model also carries its configuration and its tokenizer, so that one file is enough
# to rebuild both. All arrays of a run share one dict, told apart by prefixes such as `model.`; `part`
# picks those of one prefix.

# %% tags=["export"]
def part(arrays, prefix):
    """Return the entries of {name: array} whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}

# %% tags=["export"]
def gpt_of(meta, **options):
    """Return the GPT of a checkpoint's meta, with new weights; options as for GPT."""
    return GPT(GPTConfig(**meta["model"]), **options)

# %% tags=["export"]
def load_model(path, dtype=np.float32, build=gpt_of):
    """Return (model, tokenizer, meta) from the checkpoint at `path`.

    Args:
        build: what makes the model, where it is not a GPT: as `gpt_of`.

    Raises:
        CheckpointError: as `load_checkpoint`, or the arrays do not fit the configuration.
    """
    arrays, meta = load_checkpoint(path)
    try:
        model = build(meta, rng=np.random.default_rng(0), dtype=dtype)
        model.load_params(part(arrays, "model."))
        tokenizer = tokenizer_from_json(meta["tokenizer"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a model that we can build: {error}") from None
    if tokenizer.vocab_size != model.config.vocab_size:
        raise CheckpointError(
            f"{path}: {tokenizer.vocab_size} tokens do not fit vocab_size={model.config.vocab_size}"
        )
    return model, tokenizer, meta

# %% [markdown]
# ## Gradient accumulation
#
# A large batch gives a less noisy gradient, but its activations may not fit into memory. Gradients
# add up in our layers, so we can split a batch into $A$ parts, which the field calls
# *micro-batches*, and go forward and backward with one at a time. By what must each part's gradient
# be multiplied? The loss of a batch of $B$ sequences of $T$ tokens is a mean. Group the sequences
# into $A$ parts of $B/A$ each, where part $a$ has the mean loss $L_a$:
#
# $$
# \begin{aligned}
# L &= \frac{1}{BT} \sum_{b} \sum_{t} \ell_{bt}, \qquad L_a = \frac{A}{BT} \sum_{b \in a} \sum_t \ell_{bt}\\
# L &= \frac{1}{A} \sum_a L_a && \text{sum over all parts}\\
# \frac{\partial L}{\partial p} &= \sum_a \frac{1}{A} \frac{\partial L_a}{\partial p} && \text{for each parameter } p
# \end{aligned}
# $$
#
# So each part goes backward with the upstream gradient $1/A$ instead of 1, and `+=` does the sum.
# To check this with [chapter 1](01_gradients.ipynb)'s `gradcheck`, we wrap the loop in a layer:
# forward gives the loss of the whole batch, backward goes through two parts, with a `factor` that
# we can get wrong.

# %%
class InTwoParts(Module):
    def __init__(self, model, factor):
        self.model, self.factor = model, factor

    def forward(self, ids, targets):
        self.parts = [*zip(np.split(ids, 2), np.split(targets, 2))]
        return self.model(ids, targets)[1]

    def backward(self, dloss):
        for x, y in self.parts:
            self.model(x, y)  # the caches must be those of this part
            self.model.backward(dloss * self.factor)

# %%
from numpygpt.gradcheck import GradientError, gradcheck

rng = np.random.default_rng(16)
small = GPT(GPTConfig(11, 7, 1, 3, 6), rng=rng, dtype=np.float64)
for p in small.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
ids, targets = rng.integers(0, 11, (2, 4, 5))
report = gradcheck(InTwoParts(small, factor=1 / 2), ids, targets, rng=rng)
print(len(report.rows), "arrays right")

# %% [markdown]
# Now we forget the factor. **Before you run the next cell:** by how much will the gradients be off?

# %%
try:
    gradcheck(InTwoParts(small, factor=1), ids, targets, rng=rng)
except GradientError as error:
    print(str(error).split(":")[0].split("[")[0], "is wrong;", str(error).split("; ")[-1])

# %% [markdown]
# Would the loss have told you? We train with both factors, from the same weights on the same
# batches. **Before you run the two cells:** which will notice, SGD or Adam?

# %%
def train_in_parts(optimizer_class, lr, factor, n_steps=40):
    model, loader = tiny_gpt(), fresh_loader()
    optimizer = optimizer_class(model, lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        for x, y in (next(loader), next(loader)):
            model(x, y)
            model.backward(factor)
        optimizer.step()
    return model(x_val, y_val)[1]

# %%
for kind, lr in ((SGD, 0.1), (SGD, 0.2), (Adam, 1e-3)):
    right, wrong = (train_in_parts(kind, lr, factor) for factor in (1 / 2, 1))
    print(f"{kind.__name__:4} lr {lr:5}: validation loss {right:.4f} with 1/2, {wrong:.4f} without")

# %% [markdown]
# With SGD the bug is a doubled learning rate: without the factor, 0.1 ends exactly where 0.2 ends with
# it. That helps at 0.1 and hurts at 0.2, and looks like a bug at neither. With Adam it leaves no trace:
# Adam divides the mean gradient by its size, and a constant factor cancels. A loss that falls is no proof
# that a gradient is right.
#
# ## How well do we know the validation loss?
#
# The loss of one batch is a noisy measurement. The mean of $n$ independent batches is less noisy:
# its *standard error*, the standard deviation of such means, is $\sigma/\sqrt{n}$, with $\sigma$
# the standard deviation of one batch. To compare two models we subtract two such means. Variances
# of independent numbers add up, so the difference has the standard error $\sqrt 2\,\sigma/\sqrt n$.
# A common rule is to believe a difference $\delta$ of at least two standard errors:
#
# $$2 \sqrt 2\,\frac{\sigma}{\sqrt n} \le \delta \quad\Longleftrightarrow\quad n \ge \frac{8 \sigma^2}{\delta^2}.$$
#
# Here are 200 batches of validation windows, read by our resumed model. **Before you run the next
# cell:** $\sigma$ will turn out to be about 0.064. How many batches does it take to tell apart two
# models whose losses differ by 0.02?

# %%
def batch_losses(model, seed=3):
    loader = DataLoader(val_tokens, 12, 32, rng=np.random.default_rng(seed))
    return np.array([model(*next(loader))[1] for _ in range(200)])

values = batch_losses(resumed)
sigma = values.std(ddof=1)
for n in (1, 10, 50, 200):
    print(f"{n:3} batches: {values[:n].mean():.3f} ± {sigma / math.sqrt(n):.3f}")
for delta in (0.02, 0.01, 0.005):
    print(f"for a difference of {delta}: {math.ceil(8 * sigma**2 / delta**2)} batches")

# %% [markdown]
# Does the formula hold? The means of 20 groups of 10 should spread by $0.064/\sqrt{10} = 0.020$:

# %%
groups = values.reshape(20, 10).mean(axis=1)
print(f"standard deviation of 20 means of 10 batches: {groups.std(ddof=1):.3f}")

# %% [markdown]
# About as predicted. There is a cheaper way: let both models read the *same* batches. What is hard
# for one is hard for the other, and cancels in the difference. The difference of two batch losses
# has a standard deviation $\sigma_d$ of its own. It already contains the $\sqrt 2$, so $n \ge
# 4\sigma_d^2/\delta^2$. Here is the resumed model minus the unbroken one, both ways:

# %%
for name, seed in (("other batches", 4), ("the same batches", 3)):
    d = values - batch_losses(model, seed)
    print(f"{name:16}: difference {d.mean():6.3f} ± {d.std(ddof=1) / math.sqrt(200):.4f}; "
          f"for 0.02, {math.ceil(4 * d.var(ddof=1) / 0.02**2)} batches")

# %% [markdown]
# So the trainer will evaluate on the same batches every time.
#
# ## The Trainer
#
# Now the loop that we keep.

# %% tags=["export"] module="training.py"
"""The training loop: accumulate, clip, step, evaluate, resume. Derived in chapter 16."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np

from numpygpt.data import DataLoader
from numpygpt.optim.adam import Adam
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.optim.lr_scheduler import WarmupCosineLR

class DivergedError(ArithmeticError):
    """A loss, a gradient or a weight became infinite or NaN."""

# %% [markdown]
# The settings of a run, its *hyperparameters*, are a frozen dataclass like those of the model in
# [chapter 12](12_gpt.ipynb); it refuses impossible values by name.

# %% tags=["export"]
def _problem(name, value):
    """Say what is wrong with the value of a setting, or return None."""
    if name in ("batch_size", "max_iters", "accumulate", "eval_interval", "eval_iters"):
        return None if value >= 1 else "must be at least 1"
    if name in ("beta1", "beta2"):
        return None if 0 <= value < 1 else "must be at least 0 and less than 1"
    fine = math.isfinite(value) and value >= 0
    return None if fine else "must be a finite number, not negative"

# %% tags=["export"]
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

# %% [markdown]
# How a loss and its gradient are computed need not concern the loop, so that has a class of its
# own, the **engine**. (Chapter 18 writes a faster one.) This one sends the whole batch through the
# layers at once.

# %% tags=["export"]
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

# %% [markdown]
# The trainer holds what the table of states lists. One generator, seeded with `[seed, 1]`, draws
# the batches to train on. Another, seeded with `[seed, 2]`, draws those to evaluate on: how often a
# run evaluates must not change what it trains on.

# %% tags=["export"]
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
        self.batches(val_tokens, self.rng)  # is it long enough? The first evaluation may be hours off

    def batches(self, tokens, rng):
        """Return the loader of batches of `tokens`, to train on or to evaluate with."""
        return DataLoader(tokens, self.config.batch_size, self.block_size, rng=rng)

# %% tags=["export"]
@add_to_class(Trainer)
def accumulate_gradients(self):
    """Fill the gradients with the mean over `accumulate` batches; return the mean loss."""
    n_batches = self.config.accumulate
    self.model.zero_grad()
    loss = 0.0
    for _ in range(n_batches):
        x, y = next(self.loader)
        loss += self.engine.backprop(x, y, 1 / n_batches) / n_batches
    return loss

# %% [markdown]
# If the loss or the gradient is not finite, a step leaves the weights as they were.

# %% tags=["export"]
@add_to_class(Trainer)
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

# %% tags=["export"]
@add_to_class(Trainer)
def evaluate(self):
    """Return the mean loss over `eval_iters` validation batches, the same ones every time."""
    rng = np.random.default_rng([self.config.seed, 2])
    loader = self.batches(self.val_tokens, rng)
    losses = [self.engine.loss(*next(loader)) for _ in range(self.config.eval_iters)]
    return sum(losses) / len(losses)

# %% tags=["export"]
@add_to_class(Trainer)
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

# %% [markdown]
# And the state. One update can throw the weights so far off that they overflow, although the loss
# before it was still finite. Such weights must not replace a good checkpoint, so they have no
# state. The trainer does not know the tokenizer; `numpygpt train` adds it to `meta`, where
# `load_model` looks for it.

# %% tags=["export"]
@add_to_class(Trainer)
def state(self):
    """Return (arrays, meta) for `save_checkpoint`; the arrays are the live ones, not copies."""
    arrays = {f"model.{name}": p for name, p in self.model.params().items()}
    if lost := [name for name, p in arrays.items() if not np.isfinite(p).all()]:
        raise DivergedError(f"step {self.step_count}: {lost[0]} became infinite or NaN")
    arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state().items()}
    meta = {"kind": type(self.model).__name__, "model": asdict(self.model.config)}
    meta |= {"train": asdict(self.config)}
    return arrays, {**meta, "step": self.step_count, "rng": self.rng.bit_generator.state}

# %% tags=["export"]
@add_to_class(Trainer)
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

# %% [markdown]
# ## Killed and resumed
#
# One trainer does 40 steps. Another stops after 25; its state goes through a file into a third, which
# does the other 15.

# %%
config = TrainConfig(batch_size=8, max_iters=40, lr=3e-3, warmup_iters=10, accumulate=2)

def new_trainer(config=config):
    return Trainer(tiny_gpt(config.seed), train_tokens, val_tokens, config)

def advance(trainer, n_steps):
    for _ in range(n_steps):
        trainer.step()

# %%
def gap(one, other):
    """The largest difference between the weights of two trainers."""
    pairs = zip(one.model.params().values(), other.model.params().values())
    return max(float(np.abs(p - q).max()) for p, q in pairs)

# %% [markdown]
# **Before you run the next cell:** must the weights agree to 10 digits, to 15, or in every bit?

# %%
unbroken, killed, third = new_trainer(), new_trainer(), new_trainer()
advance(unbroken, 40)
advance(killed, 25)
save_checkpoint(folder / "run.npz", *killed.state())
third.load_state(*load_checkpoint(folder / "run.npz"))
advance(third, 15)
print("largest difference of the weights:", gap(unbroken, third))

# %% [markdown]
# Every bit. On one machine, the same operations on the same numbers in the same order give the same
# bits, and the state holds all the numbers.
#
# Do we need each part of the state? `forget` replaces one by that of a `fresh` trainer, which has done no
# step.

# %%
def forget(missing, arrays, meta, fresh):
    fresh_arrays, fresh_meta = fresh.state()
    if missing in meta:
        return arrays, meta | {missing: fresh_meta[missing]}
    forgotten = {name: a for name, a in fresh_arrays.items() if name.startswith(missing)}
    return arrays | forgotten, meta

# %% [markdown]
# Two trainers take up the run at step 25, one with the whole state and one with a part forgotten. How far
# do their weights drift apart? **Before you run the cells:** we forget Adam's `m`, `v` and `t`, the step,
# and the generator in turn. Which one does the most harm?

# %%
def weights_without(missing):
    """All weights after each of 15 steps, (15, N), when `missing` was not restored."""
    trainer, weights = new_trainer(), []
    trainer.load_state(*forget(missing, *load_checkpoint(folder / "run.npz"), trainer))
    for _ in range(15):
        advance(trainer, 1)
        weights.append(np.concatenate([p.ravel() for p in trainer.model.params().values()]))
    return np.array(weights)

# %%
parts = ["optimizer.m.", "optimizer.v.", "optimizer.t", "step", "rng", "nothing"]
whole = weights_without("nothing")
drifts = {missing: np.abs(weights_without(missing) - whole).max(axis=1) for missing in parts}
for missing, drift in drifts.items():
    print(f"without {missing:12}  largest difference after 15 steps: {drift[-1]:.1g}")

# %%
figure, axes = subplots(size=(6, 3.2))
styles = [(ORANGE, "o-"), (BLACK, "s-"), (PINK, "^-"), (GREEN, "D--"), (BLUE, "v:")]
for missing, (color, style) in zip(parts, styles):
    axes.plot(range(26, 41), drifts[missing], style, ms=4, color=color, label=f"without {missing}")
axes.set(xlabel="step", ylabel="largest weight difference", yscale="log")
axes.legend()
show(figure, "How far the weights drift when one part of the state is left out, on a logarithmic "
             "axis: by thousandths to hundredths for four parts, by hundreds without Adam's v.")

# %% [markdown]
# Each of the five matters. Without `v` the model is ruined: Adam divides the mean of many gradients by
# the size of a single one, and where that one happens to be tiny, the weight is thrown far away.
#
# The text belongs to the run, too: `numpygpt train` keeps the digest of its data in the checkpoint and
# refuses another text.
#
# ## A log that survives
#
# Each record becomes a line of `metrics.jsonl`, written at once. A crash can cut the last line in two, and
# a resumed run repeats the steps after its checkpoint. So when we open the log we drop broken lines, and
# lines of steps that are still to come.

# %% tags=["export"] module="metrics.py"
"""The log of a run, metrics.jsonl: written line by line, read back. Derived in chapter 16."""

import json
from pathlib import Path

from numpygpt.data import write_beside

# %% tags=["export"]
def record_of(line):
    """Return the record in a line of metrics.jsonl; None if it was cut short or damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested without end
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def read_metrics(path):
    """Return the records of metrics.jsonl; a line that is not a record is skipped."""
    return [record for record in map(record_of, Path(path).read_bytes().splitlines()) if record]

# %% tags=["export"]
class MetricsLog:
    """Appends each record to metrics.jsonl at once, as a line of JSON; a killed run keeps them."""

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

# %%
path = folder / "metrics.jsonl"
path.write_text('{"step": 1, "loss": 4.1}\n{"step": 2, "loss": 3.9}\n{"step": 3, "lo')
print("after a crash:", read_metrics(path))
log = MetricsLog(path, steps_done=1)
log.write({"step": 2, "loss": 3.8})
log.close()
print("resumed from step 1:", read_metrics(path))

# %% [markdown]
# ## It learns
#
# Now 2,000 steps of the real thing. Each record holds loss, learning rate and norm. We add two
# instruments. The first lets the model write, one character after another, as in [chapter
# 7](07_first_language_model.ipynb).

# %%
from numpygpt.nn.functional import softmax

def write(model, n_chars=110):
    """What the model writes after a line break."""
    rng, ids = np.random.default_rng(4), tokenizer.encode("\n")
    for _ in range(n_chars):
        p = softmax(model(np.array([ids[-32:]]))[0, -1])    # (V,)
        ids.append(int(rng.choice(len(p), p=p)))
    return tokenizer.decode(ids).strip()

# %% [markdown]
# The second is the **update-to-weight ratio** of a matrix: the standard deviation of its change in one
# step over that of its entries. At 1 a step rewrites the matrix; at 0.000001 nothing is learned.

# %%
watched = ["wte.W", "blocks.0.attn.qkv.W", "blocks.1.ffn.fc2.W"]

def watched_step(trainer):
    params = trainer.model.params()
    before = {name: params[name].copy() for name in watched}
    record = trainer.step()
    record["ratio"] = [(params[name] - p).std() / p.std() for name, p in before.items()]
    record["size"] = before["wte.W"].std()
    return record

# %% [markdown]
# **Before you run the next cells**, three guesses. Adam moves each weight by about the learning rate at
# most (chapter 6). The rate rises to 0.005, and the entries of `wte` begin with a standard deviation of
# 0.02. How large will the ratio of `wte` get? Does clipping, at norm 1, ever act? And will the training
# and the validation loss part?

# %%
config = TrainConfig(batch_size=8, max_iters=2000, lr=5e-3, min_lr=5e-4, warmup_iters=100,
                     eval_interval=250, eval_iters=40, seed=0)
trainer = new_trainer(config)
print(f"ln V = {math.log(tokenizer.vocab_size):.3f}, before training {trainer.evaluate():.3f}")
read = config.max_iters * config.batch_size * trainer.block_size
share = 1 - math.exp(-read / len(train_tokens))    # chapter 15
print(f"{read:,} characters to read: {share:.0%} of the training text at least once")

# %% [markdown]
# The warm-up, 100 steps, runs here. The other 1,900 would take longer than you want to wait:
# `python benchmarks/training.py` has done all 2,000 with the same code, and we read its file.

# %%
samples = {0: write(trainer.model)}
records = [watched_step(trainer) for _ in range(100)]
samples[100] = write(trainer.model)

found = json.loads(Path("../data/training.json").read_text(encoding="utf-8"))
run = found["run"]
names = ("train_loss", "grad_norm", "ratio", "size")
same = all(np.allclose([r[name] for r in records], run[name][:100], rtol=1e-3) for name in names)
print("the file begins with our 100 steps:", same)

# %%
samples |= {int(step): sample for step, sample in run["samples"].items()}
evaluated = {int(step): loss for step, loss in run["val_loss"].items()}
for step in (500, 1000, 1500, 2000):
    print(f"step {step:4}: validation loss {evaluated[step]:.3f}")
print(f"clipping acted in {np.mean(np.array(run['grad_norm']) > config.grad_clip):.0%} of the steps")

# %%
rates = np.array([trainer.schedule.lr_at(i) for i in range(config.max_iters)])
ratios, rows = np.array(run["ratio"]), [("guess", 1.0, 0.005, 0.02)]    # (steps, matrices)
for i in (int(ratios[:, 0].argmax()), config.warmup_iters - 1, config.max_iters - 1):
    size = run["size"][i]
    rows.append((f"step {i + 1}", ratios[i, 0] * size / rates[i], rates[i], size))
print("wte        update/rate  ×   rate  ÷  matrix  =  ratio")
for name, moved, lr, matrix in rows:
    print(f"{name:10} {moved:11.2f} {lr:10.5f} {matrix:9.4f} {moved * lr / matrix:9.4f}")

# %%
def draw_run(loss, norm, ratio, rate):
    steps = np.arange(1, config.max_iters + 1)
    loss.plot(steps, run["train_loss"], color=GRAY, lw=0.7, label="training batch")
    loss.plot([*evaluated], [*evaluated.values()], "o-", color=ORANGE, label="validation")
    loss.axhline(math.log(tokenizer.vocab_size), color=BLUE, linestyle=":", label="ln V")
    norm.plot(steps, run["grad_norm"], color=GREEN, lw=0.7)
    norm.axhline(config.grad_clip, color=BLACK, linestyle=":")
    ratio.plot(steps, ratios, lw=0.7, label=watched)
    rate.plot(steps, rates, color=BLUE)

# %%
figure, panels = subplots(2, 2, size=(9, 5.6), sharex=True)
draw_run(*panels.flat)
names = ["loss (nats per character)", "norm before clipping", "update-to-weight ratio", "learning rate"]
for ax, name in zip(panels.flat, names):
    ax.set(ylabel=name)
panels[1, 0].set(yscale="log", xlabel="step"); panels[1, 1].set(xlabel="step")
panels[0, 0].legend(); panels[1, 0].legend(fontsize=8)
show(figure, "Four plots over 2,000 steps. Training and validation loss fall together from ln V. "
             "The gradient norm falls from 2 to below 1, then rises slowly to about 1.8, with "
             "spikes. Three ratios rise to a few hundredths and fall to a thousandth. The learning "
             "rate rises, then falls along a cosine.")

# %% [markdown]
# Training and validation loss stay together: the run has read 40% of the text, so there is nothing to
# recite yet. The norm of the gradient falls during the warm-up, then rises while the model gets better,
# so that clipping acts in most of the later steps. That costs little, since Adam cancels a factor that
# all recent gradients share. Clipping is there for the spikes.
#
# The guess put the highest rate beside the smallest matrix, but the two never meet. At step 27, where the
# ratio is largest, the update is nearly the whole rate of that step, but the warm-up has reached
# only a quarter of the highest rate. At step 100 the rate is at its height, but the matrix is four
# times as large as at first, and the update a quarter of the rate: Adam moves a weight by all of it
# only where the recent gradients agree. Then the ratio falls with the rate and ends near 0.001,
# which many people take for healthy. A line a hundred times above or below the others would be the
# first place to look. And the samples:

# %%
for step, sample in samples.items():
    print(f"--- step {step} ---\n{sample}\n")

# %% [markdown]
# At first all characters are almost equally likely. After 100 steps spaces come at the distances of
# words; after 500, vowels stand between consonants; after 2,000 there is a speaker, with a name that
# nobody has, and here and there a word of English.
#
# ## Experiment: better, or lucky?
#
# Would a lower learning rate have been better? Two curves cannot tell us: another seed gives other
# initial weights and other batches, and so another curve. The same program has trained with two rates
# and many seeds, for 300 steps each. Here is one of these runs, up to step 120.

# %%
def validation_curve(lr, seed, stop=300):
    config = TrainConfig(batch_size=8, max_iters=300, lr=lr, min_lr=lr / 10, warmup_iters=30,
                         eval_interval=60, eval_iters=60, seed=seed)
    records = islice(new_trainer(config).run(), stop)
    return [r["val_loss"] for r in records if "val_loss" in r]

recorded = {(r["lr"], r["seed"]): r["val_loss"] for r in found["curves"]}
print("computed now:", np.round(validation_curve(5e-3, seed=0, stop=120), 3))
print("in the file: ", np.round(recorded[5e-3, 0], 3))

# %% [markdown]
# From three seeds of each rate we draw a **band** from the lowest to the highest. **Before you look:**
# will the bands overlap?

# %%
seeds = range(3)
curves = {lr: np.array([recorded[lr, seed] for seed in seeds]) for lr in (5e-3, 2.5e-3)}
for lr, values in curves.items():    # values: (seeds, evaluations)
    low, high = values[:, -1].min(), values[:, -1].max()
    print(f"lr {lr}: after 300 steps {low:.3f} to {high:.3f}, a band of {high - low:.3f}")
print(f"standard error of one evaluation: {sigma * math.sqrt(12 / 8 / 60):.3f}")    # batches of 8, not 12

# %%
figure, axes = subplots(size=(6, 3.2))
for (lr, values), color, style in zip(curves.items(), (BLUE, ORANGE), ("o-", "s--")):
    at = np.arange(60, 301, 60)
    axes.fill_between(at, values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, lw=0)
    axes.plot(at, values.mean(axis=0), style, color=color, label=f"lr {lr}, mean of {len(seeds)} seeds")
axes.set(xlabel="step", ylabel="validation loss\n(nats per character)")
axes.legend()
show(figure, "Validation loss for two learning rates, each the mean of three seeds inside a band "
             "from lowest to highest. From step 120 on, the band of rate 0.005 contains the other; it is "
             "more than twice as wide, later four times. The means are close.")

# %% [markdown]
# They overlap from the first evaluation to the last, and the evaluations' own error is too small to
# be the reason. Both the best and the worst of the six runs have the high rate: with one seed each,
# either rate could have won. Try it: the file has ten seeds. Take `range(10)`, and print the mean and
# `std(ddof=1)` of `curves[lr][:, -1]`. Can you now say which is better?

# %% [markdown]
# <details><summary>Answer</summary>
#
# No. The means are 2.583 for the high rate and 2.579 for the low one, and their difference has a
# standard error of 0.024. The high rate is ahead for 6 of the 10 seeds and level for one, but two of its
# runs end at 2.70 and 2.72: it leaves more to chance, with a standard deviation of 0.072 against 0.019.
#
# </details>

# %% [markdown]
# ## When it goes wrong
#
# We plant a NaN in one weight. The trainer must stop before the optimizer spreads it to the others.

# %%
trainer = new_trainer(config)
trainer.model.wte.W[0, 0] = np.nan
try:
    trainer.step()
except DivergedError as error:
    print(error)
print("weights that are NaN:", sum(int(np.isnan(p).sum()) for p in trainer.model.params().values()))

# %% [markdown]
# ## Export

# %%
shutil.rmtree(folder, ignore_errors=True)
export("16_training")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/16_training.ipynb](../exercises/16_training.ipynb). A check says what is
# wrong, and `hint("training-step")` helps.
#
# | task | | minutes |
# |---|---|---|
# | one step | easy | 15 |
# | a large batch in small parts | medium | 20 |
# | a moving average | easy | 15 |
# | stop and go on | hard | 25 |
#
# ## Recap
#
# - The state of a run: weights, Adam's means and its step count, the schedule's step, the
#   generator.
# - A checkpoint is one `.npz` without pickle, with a digest, renamed into place once it is on the
#   disk.
# - Accumulating $A$ batches needs the factor $1/A$. Adam hides its absence; gradcheck does not.
# - Watch the validation loss, the gradient's norm and the update-to-weight ratio. A difference needs its
#   own standard error; compare settings on the same batches, and with several seeds.
# - We exported `numpygpt/checkpoint.py`, `numpygpt/training.py` and `numpygpt/metrics.py`. Next:
#   Sampling, where the trained model writes.
