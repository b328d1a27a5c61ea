# %% [markdown]
# # Chapter 16: Training
#
# The loop that trains a GPT has six steps: take a batch, clear the gradients, go forward, go
# backward, clip, step. Here it is, on a model small enough to train in seconds.

# %%
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, show, subplots

from numpygpt.data import DataLoader
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.nn.module import Module
from numpygpt.optim.adam import Adam
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.optim.sgd import SGD
from numpygpt.tokenizers.char import CharTokenizer

# %%
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
tokenizer = CharTokenizer.train(text)
tokens = np.array(tokenizer.encode(text))
train_tokens, val_tokens = tokens[:1_000_000], tokens[1_000_000:]

def tiny_gpt():
    config = GPTConfig(tokenizer.vocab_size, block_size=32, n_layer=2, n_head=2, n_embd=32)
    return GPT(config, rng=np.random.default_rng(0), dtype=np.float64)

def train_steps(model, optimizer, loader, n_steps):
    """Train, and return the validation loss after each step, always on the same batch."""
    x_val, y_val = next(DataLoader(val_tokens, 32, 32, rng=np.random.default_rng(5)))
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
# We train for 120 steps. Then we do it again, but with a break after step 80: we keep the
# weights, throw everything else away, and go on with a new model that has only these weights.

# %%
def fresh_loader():
    return DataLoader(train_tokens, batch_size=8, block_size=32, rng=np.random.default_rng(1))

model, loader = tiny_gpt(), fresh_loader()
optimizer = Adam(model, lr=3e-3, betas=(0.9, 0.99))
losses = train_steps(model, optimizer, loader, 80)
weights = {name: p.copy() for name, p in model.params().items()}
losses += train_steps(model, optimizer, loader, 40)

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
axes.plot(range(80, 121), losses[79:80] + resumed_losses, "--", color=ORANGE,
          label="weights kept, the rest new")
axes.axvline(80, color=GREY, linestyle=":")
axes.set_xlabel("step")
axes.set_ylabel("validation loss (nats per character)")
axes.legend()
show(
    figure,
    "Validation loss from step 60 to 120. The run that was stopped after step 80 and resumed from "
    "its weights alone jumps upwards after the break and then takes a course of its own.",
)

# %% [markdown]
# Every weight was restored exactly, and still the loss jumps after the break. Some steps later it
# is as low as before, but the second run is now another run. So the weights are not the run.
# **What is the whole state of a training run, and how do we keep it safe?** When we have answered
# that, a run that is killed and resumed must go on as if nothing had happened.
#
# ## The state, and its shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `model.*` | each parameter | its own |
# | `optimizer.m.*`, `optimizer.v.*` | Adam's two running means (chapter 6) | the same |
# | `optimizer.t` | steps that Adam has taken: its bias correction needs it | `()` |
# | `step` | steps done: the learning-rate schedule needs it | a number |
# | `rng` | state of the generator that draws the batches | a few whole numbers, two of them of 128 bits |
#
# The second run had only the first row. Its new Adam began with `m = v = 0`, where the very first
# step moves every weight by the full learning rate, and its new loader served the first batches
# again.

# %% [markdown]
# ## One file that is whole
#
# The arrays and the counters must go to disk together. NumPy's `.npz` is a zip file of arrays.
# For the counters we write JSON, and store its text as one more array. What we do not
# use is *pickle*, Python's own format for any object: loading a pickle can run any code that its
# author put into it. NumPy refuses it if we ask:

# %%
folder = Path(tempfile.mkdtemp())
np.savez(folder / "objects.npz", a=np.array([{"step": 3}], dtype=object))
try:
    with np.load(folder / "objects.npz", allow_pickle=False) as file:
        file["a"]
except ValueError as error:
    print("refused:", "pickle" in str(error))

# %% [markdown]
# A file can be changed, by a failing disk or by a script that meant well. We store a SHA-256
# digest with it, as for the token files of chapter 15. Before you run the next cell: do a (2, 3)
# and a (3, 2) array of zeros have the same bytes? Should they have the same digest?

# %%
a, b = np.zeros((2, 3)), np.zeros((3, 2))
print("same bytes:", a.tobytes() == b.tobytes())

# %% [markdown]
# So the digest must cover names, types and shapes, too. Here begins `numpygpt/checkpoint.py`.

# %% tags=["export"] module="checkpoint.py"
"""Checkpoints: one .npz file that is never torn. Derived in chapter 16."""

import hashlib
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from numpygpt.data import tokenizer_from_json, write_beside
from numpygpt.gpt import GPT, GPTConfig

VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model; the message says which."""

# %% tags=["export"]
def digest_of(arrays):
    """Return the SHA-256 over names, dtypes, shapes and bytes of {name: array}."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {a.dtype.str} {a.shape}\n".encode())
        digest.update(a.tobytes())
    return digest.hexdigest()

# %%
print("same digest:", digest_of({"W": a}) == digest_of({"W": b}))
print("same digest under another name:", digest_of({"W": a}) == digest_of({"V": a}))

# %% [markdown]
# To save, we use the trick of chapter 15: write beside the file, then rename. One line is new.
# The operating system keeps written bytes in memory for a while; `os.fsync` waits until they are
# on the disk. Without it, a power failure can leave the new name on an empty file.

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

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_beside(path, write)

# %% tags=["export"]
def load_checkpoint(path):
    """Return (arrays, meta) as they were saved.

    Raises:
        CheckpointError: the file is missing, cut short, changed, or of another version.
    """
    # All that a reader of zip files raises on a damaged one; RuntimeError: "file is encrypted".
    damage = (ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError)
    try:
        # We open the file, since NumPy leaves a damaged one open.
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            everything = {name: file[name] for name in file.files}
        expected = str(everything.pop("__sha256__"))
        intact = digest_of(everything) == expected
        content = json.loads(str(everything.pop("__json__")))
        version, meta = content["version"], content["meta"]
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    except (*damage, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {error}") from None
    if not intact:
        raise CheckpointError(f"{path} was changed after it was saved: its SHA-256 does not match")
    if version != VERSION:
        raise CheckpointError(f"{path} has version {version}, this program reads {VERSION}")
    return everything, meta

# %% [markdown]
# First the round trip. The state of a generator holds whole numbers of 128 bits, more than any
# NumPy integer. Do they survive JSON?

# %%
path = folder / "tiny.npz"
rng = np.random.default_rng(7)
save_checkpoint(path, {"W": np.arange(6.0).reshape(2, 3)}, {"rng": rng.bit_generator.state})
arrays, meta = load_checkpoint(path)
print(arrays["W"].tolist(), "rng state survives:", meta["rng"] == rng.bit_generator.state)

# %% [markdown]
# Then we break it on purpose: the file cut at half its length, as an ordinary write leaves it when
# the power fails; and one weight changed by a program that leaves the digest as it was.

# %%
def complaint(path):
    try:
        load_checkpoint(path)
        return "no complaint"
    except CheckpointError as error:
        return str(error).removeprefix(f"{path} ").split(":")[0]

(folder / "half.npz").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
with np.load(path) as file:
    everything = dict(file)
everything["W"][0, 0] = 1e-3
np.savez(folder / "changed.npz", **everything)
for name in ("half.npz", "changed.npz", "nowhere.npz", "tiny.npz"):
    print(f"{name:12} {complaint(folder / name)}")

# %% [markdown]
# A checkpoint of a model also carries its configuration and its tokenizer, so that one file is
# enough to build both again. `part` picks the arrays of one prefix.

# %% tags=["export"]
def part(arrays, prefix):
    """Return the entries of {name: array} whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def load_model(path, dtype=np.float32):
    """Return (model, tokenizer, meta) from the checkpoint at `path`.

    Raises:
        CheckpointError: as `load_checkpoint`, or the arrays do not fit the configuration.
    """
    arrays, meta = load_checkpoint(path)
    try:
        model = GPT(GPTConfig(**meta["model"]), rng=np.random.default_rng(0), dtype=dtype)
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
# Now the loop itself. A large batch gives a less noisy gradient, but its activations may not fit
# into memory. Gradients add up in our layers, so we can split a batch into $A$ parts and go
# forward and backward with one part at a time. By which number must each part's gradient be
# multiplied? The loss of the whole batch, of B sequences and T tokens each, is the mean
#
# $$L = \frac{1}{BT} \sum_{b} \sum_{t} \ell_{bt}.$$
#
# Group the sequences into $A$ parts of $B/A$ each. Part $a$ has the mean loss $L_a$:
#
# $$L_a = \frac{A}{BT} \sum_{b \in a} \sum_t \ell_{bt}
# \quad\Longrightarrow\quad L = \frac{1}{A} \sum_a L_a.$$
#
# The derivative of a sum is the sum of the derivatives, for each parameter $p$:
#
# $$\frac{\partial L}{\partial p} = \sum_a \frac{1}{A} \frac{\partial L_a}{\partial p}.$$
#
# So each part goes backward with the upstream gradient $1/A$ in place of 1, and `+=` does the sum.
# A batch of 4 sequences at once, then as 2 parts:

# %%
model = tiny_gpt()
x, y = next(DataLoader(train_tokens, 4, 32, rng=np.random.default_rng(2)))
loss = model(x, y)[1]
model.backward()
whole = {name: g.copy() for name, g in model.grads().items()}

model.zero_grad()
loss_in_parts = 0.0
for x_a, y_a in zip(np.split(x, 2), np.split(y, 2), strict=True):
    loss_in_parts += model(x_a, y_a)[1] / 2
    model.backward(1 / 2)
print("same loss:", math.isclose(loss, loss_in_parts))
print("same gradients:", all(np.allclose(g, whole[name]) for name, g in model.grads().items()))

# %% [markdown]
# That compares our code with our code. The gradient check of [chapter 1](01_gradients.ipynb)
# compares it with slopes. We wrap the loop into a layer whose `factor` we can get wrong.

# %%
from numpygpt.gradcheck import GradientError, gradcheck

class InTwoParts(Module):
    def __init__(self, model, factor):
        self.model, self.factor = model, factor

    def forward(self, ids, targets):
        self.parts = [*zip(np.split(ids, 2), np.split(targets, 2), strict=True)]
        return sum(self.model(x, y)[1] for x, y in self.parts) / 2

    def backward(self, dloss):
        for x, y in self.parts:
            self.model(x, y)  # the caches must be those of this part
            self.model.backward(dloss * self.factor)

# %%
rng = np.random.default_rng(16)
small = GPT(GPTConfig(11, 7, 1, 3, 6), rng=rng, dtype=np.float64)
for p in small.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
ids, targets = rng.integers(0, 11, (2, 4, 5))
report = gradcheck(InTwoParts(small, factor=1 / 2), ids, targets, rng=rng)
print(len(report.rows), "arrays right")

# %% [markdown]
# Now we forget the factor, a bug that people do write. Before you run the next cell: what will the
# check say about the ratio?

# %%
try:
    gradcheck(InTwoParts(small, factor=1), ids, targets, rng=rng)
except GradientError as error:
    print(str(error).split(":")[0].split("[")[0], "is wrong;", str(error).split("; ")[-1])

# %% [markdown]
# Would you have seen it in the training curve? Let us train with the right and the wrong factor,
# with SGD and with Adam.

# %%
def train_in_parts(optimizer_class, lr, factor, n_steps=40):
    model, loader = tiny_gpt(), fresh_loader()
    optimizer = optimizer_class(model, lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        for x, y in (next(loader), next(loader)):
            loss = model(x, y)[1]
            model.backward(factor)
        optimizer.step()
    return loss

for kind, lr in ((SGD, 0.1), (Adam, 1e-3)):
    right, wrong = (train_in_parts(kind, lr, factor) for factor in (1 / 2, 1))
    print(f"{kind.__name__:4} last loss: {right:.3f} with 1/2, {wrong:.3f} without")

# %% [markdown]
# With SGD the bug acts as a doubled learning rate. With Adam it leaves no trace: Adam divides
# the mean gradient by its size, and a constant factor cancels. Clipping, however, would see
# gradients twice as large and cut more often. A loss that falls is no proof that a gradient is
# right.

# %% [markdown]
# ## How well do we know the validation loss?
#
# The loss of one batch is a noisy measurement. The mean of $n$ independent batches has the
# standard error $\sigma/\sqrt{n}$, with $\sigma$ the standard deviation of one. Here are 200
# batches of validation windows, read by the resumed model of the first section:

# %%
loader = DataLoader(val_tokens, 12, 32, rng=np.random.default_rng(3))
values = np.array([resumed(*next(loader))[1] for _ in range(200)])
sigma = values.std(ddof=1)
for n in (1, 10, 50, 200):
    print(f"{n:3} batches: {values[:n].mean():.3f} ± {sigma / math.sqrt(n):.3f}")

# %% [markdown]
# One batch cannot tell two models apart whose losses differ by 0.02; 200 can. There is a second
# trick: we evaluate on the *same* batches every time, from a generator of their own. Then the
# difference of two evaluations is the model's and not the draw's. And a run that evaluates more
# often must not train on other batches, so the two generators are kept apart.

# %% [markdown]
# ## The Trainer
#
# Its settings first. A frozen dataclass refuses impossible values by name, before hours are spent.

# %% tags=["export"] module="training.py"
"""The training loop: accumulate, clip, step, evaluate, log, resume. Derived in chapter 16."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from numpygpt.data import DataLoader, write_beside
from numpygpt.optim.adam import Adam
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.optim.lr_scheduler import WarmupCosineLR


class DivergedError(ArithmeticError):
    """A loss, a gradient or a weight became infinite or NaN."""

# %% tags=["export"]
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

# %%
try:
    TrainConfig(beta2=1.0)
except ValueError as error:
    print(error)

# %% [markdown]
# The trainer holds what the table of states lists: the model, the optimizer, the step count, and
# the generator of the batches.

# %% tags=["export"]
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

# %% tags=["export"]
@add_to_class(Trainer)
def batches(self, tokens, rng):
    """Return the loader of batches of `tokens`, to train on or to evaluate with."""
    return DataLoader(tokens, self.config.batch_size, self.block_size, rng=rng)

# %% [markdown]
# The gradients come from `accumulate` batches, each with the factor that we derived.

# %% tags=["export"]
@add_to_class(Trainer)
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

# %% [markdown]
# One step clips, looks at the numbers, sets the learning rate and moves the weights. Where the loss
# or the gradient is not finite, the weights are left as they were.

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
    return {
        "step": self.step_count,
        "train_loss": loss,
        "lr": lr,
        "grad_norm": norm,
        "tokens_per_s": tokens / (time.perf_counter() - start),
    }

# %% tags=["export"]
@add_to_class(Trainer)
def evaluate(self):
    """Return the mean loss over `eval_iters` validation batches, the same ones every time."""
    rng = np.random.default_rng([self.config.seed, 2])
    loader = self.batches(self.val_tokens, rng)
    losses = [self.model(*next(loader))[1] for _ in range(self.config.eval_iters)]
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
# And the state, out and in. One update can throw the weights so far off that they overflow, with a
# loss that was still finite before it. A checkpoint of such weights must not replace a good one, so
# there is none.

# %% tags=["export"]
@add_to_class(Trainer)
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
# The test that the first section asked for. One trainer does 40 steps. Another is stopped
# after 25; its state goes through a file into a third, which does the other 15. Before you run
# the cell: must the weights agree to 10 digits, to 15, or in every bit?

# %%
config = TrainConfig(batch_size=8, max_iters=40, lr=3e-3, warmup_iters=10, accumulate=2,
                     eval_interval=20, eval_iters=10)

def new_trainer(config=config):
    return Trainer(tiny_gpt(), train_tokens, val_tokens, config)

def same_weights(one, other):
    pairs = zip(one.model.params().values(), other.model.params().values(), strict=True)
    return all(np.array_equal(p, q) for p, q in pairs)

# %%
unbroken, killed, third = new_trainer(), new_trainer(), new_trainer()
for _ in range(40):
    unbroken.step()
for _ in range(25):
    killed.step()
save_checkpoint(folder / "run.npz", *killed.state())
third.load_state(*load_checkpoint(folder / "run.npz"))
for _ in range(15):
    third.step()
print("same weights, bit for bit:", same_weights(unbroken, third))

# %% [markdown]
# Every bit. Floating-point addition gives the same result for the same numbers in the same order,
# and the state holds all the numbers. (Another machine, or another NumPy, may add in another
# order.)
#
# Is each part of the state needed? We leave out one at a time and measure how far the weights
# drift from the unbroken run.

# %%
def forget(missing, arrays, meta, fresh):
    """The state (arrays, meta) with one part as in the trainer `fresh`, which has done no step."""
    fresh_arrays, fresh_meta = fresh.state()
    if missing in meta:
        return arrays, meta | {missing: fresh_meta[missing]}
    forgotten = {name: a for name, a in fresh_arrays.items() if name.startswith(missing)}
    return arrays | forgotten, meta

def drift_without(missing):
    """Largest weight difference after each of 15 steps when `missing` was not restored."""
    whole, lacking = new_trainer(), new_trainer()
    state = load_checkpoint(folder / "run.npz")
    whole.load_state(*state)
    lacking.load_state(*forget(missing, *state, lacking))
    drift = []
    for _ in range(15):
        whole.step()
        lacking.step()
        pairs = zip(whole.model.params().values(), lacking.model.params().values(), strict=True)
        drift.append(max(float(np.abs(p - q).max()) for p, q in pairs))
    return drift

# %%
figure, axes = subplots(size=(6, 3.2))
for missing, color, style in [
    ("optimizer.m.", ORANGE, "o-"), ("optimizer.v.", BLACK, "s-"), ("optimizer.t", PINK, "^-"),
    ("step", GREEN, "D--"), ("rng", BLUE, "v:"),
]:
    drift = drift_without(missing)
    axes.plot(range(26, 41), drift, style, markersize=4, color=color, label=f"without {missing}")
    print(f"without {missing:12}  largest difference after 15 steps: {drift[-1]:.1g}")
nothing = drift_without("nothing")[-1]
print(f"without nothing       largest difference after 15 steps: {nothing:.1g}")
axes.set_yscale("log")
axes.set_xlabel("step")
axes.set_ylabel("largest weight difference")
axes.legend()
show(
    figure,
    "How far the weights drift from an unbroken run when one part of the state is left out, on a "
    "logarithmic axis: thousandths to hundredths for four parts, hundreds without Adam's v.",
)

# %% [markdown]
# Each of them matters, so none can be left out. Without `step` the schedule starts its warm-up
# anew, and the learning rates are those of other steps. Without `v` the model is ruined: Adam
# divides the mean of many gradients by the size of a single one, and where that one happens to be
# tiny, the weight is thrown far away. If you write a trainer of your own, this experiment is the
# test to start with.

# %% [markdown]
# ## A log that survives
#
# Each record becomes a line of `metrics.jsonl`, one JSON object a line, written at once. A crash
# can cut the last line in two, and a resumed run repeats the steps after its checkpoint. So on
# opening we drop half lines and lines of steps that are still to come.

# %% tags=["export"]
def read_metrics(path):
    """Return the records of metrics.jsonl; a last line that a crash cut short is left out."""
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records

# %% tags=["export"]
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
# Now 400 steps of the real thing. The learning rate rises for 40 steps and then falls along a
# cosine. A model that knows nothing has a loss of $\ln V$. Before you run the next two cells: will
# the training and the validation loss part, and does clipping, at norm 1, ever act?

# %%
config = TrainConfig(batch_size=8, max_iters=400, lr=3e-3, min_lr=3e-4, warmup_iters=40,
                     eval_interval=50, eval_iters=40)
trainer = new_trainer(config)
print(f"ln V = {math.log(tokenizer.vocab_size):.3f}, before training {trainer.evaluate():.3f}")
records = list(trainer.run())
evaluated = [r for r in records if "val_loss" in r]
read = config.max_iters * config.batch_size * trainer.block_size
print(f"{read:,} characters read, {read / len(train_tokens):.2f} of the training text")
for r in evaluated[1::2]:
    print(f"step {r['step']}: validation loss {r['val_loss']:.3f}")

# %%
clipped = np.mean([r["grad_norm"] > config.grad_clip for r in records])
print(f"clipping acted in {clipped:.0%} of the steps")
steps = [r["step"] for r in records]
figure, (loss, norm, rate) = subplots(1, 3, size=(11, 3))
loss.plot(steps, [r["train_loss"] for r in records], color=GREY, label="training batch")
loss.plot([r["step"] for r in evaluated], [r["val_loss"] for r in evaluated], "o-", color=ORANGE,
          label="validation")
loss.axhline(math.log(tokenizer.vocab_size), color=BLUE, linestyle=":", label="ln V")
loss.set_ylabel("loss (nats per character)")
loss.legend()
norm.plot(steps, [r["grad_norm"] for r in records], color=GREEN)
norm.axhline(config.grad_clip, color=GREY, linestyle=":")
norm.set_ylabel("gradient norm before clipping")
rate.plot(steps, [r["lr"] for r in records], color=PINK)
rate.set_ylabel("learning rate")
for axes in (loss, norm, rate):
    axes.set_xlabel("step")
show(
    figure,
    "Three plots over 400 steps. The loss falls from ln V, fast at first. The norm of the gradient "
    "falls from 2, then swings around the dotted line at 1 where clipping begins. The learning "
    "rate rises for 40 steps and falls along a cosine.",
)

# %% [markdown]
# The two losses stay together: the run read a tenth of the text, nearly everything once, so there
# is nothing yet to recite. The loss falls fastest in the first hundred steps. The norm starts high,
# falls, and then swings around 1, so that clipping acts again and again until the end.
#
# How fast was that on your machine?

# %% tags=["measurement"]
print(f"{np.median([r['tokens_per_s'] for r in records]):,.0f} tokens per second")

# %% [markdown]
# And when it goes wrong? We plant a NaN in one weight. The trainer must stop before the optimizer
# spreads it to the others.

# %%
trainer = new_trainer(config)
trainer.model.wte.W[0, 0] = np.nan
try:
    trainer.step()
except DivergedError as error:
    print(error)
nans = sum(int(np.isnan(p).sum()) for p in trainer.model.params().values())
print("weights that are NaN:", nans)

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
# - A checkpoint is one `.npz` without pickle, with a digest, renamed into place when it is on the
#   disk.
# - Accumulating $A$ batches needs the factor $1/A$; Adam hides its absence, gradcheck does not.
# - We exported `numpygpt/checkpoint.py` and `numpygpt/training.py`.
# - Next: Sampling, where the trained model writes.
