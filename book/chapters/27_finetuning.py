# %% [markdown]
# # Chapter 27: Fine-tuning
#
# (to be written)

# %%
import numpy as np
from coursekit import add_to_class, export

# %% tags=["export"] module="posttraining/masked.py"
"""Cross-entropy with a weight for each token, or with a mask. Derived in chapter 27."""

import numpy as np

from numpygpt.nn.functional import cross_entropy_backward, log_softmax
from numpygpt.nn.module import Module

IGNORE = -100  # a target that has no loss; the number is that of PyTorch's ignore_index

# %% tags=["export"]
def weighted_cross_entropy(logits, targets, weights, total=None):
    """Return the loss Σ w (-log p[target]) / total, in nats; p = softmax(logits).

    Args:
        logits: (..., V) scores.
        targets: (...) ids in [0, V); where the weight is 0 any number.
        weights: (...) numbers, of either sign; 1 and 0, or booleans, are a mask.
        total: what the sum is divided by; by default Σ w, if no weight is negative.

    Raises:
        ValueError: the shapes do not fit, a target that counts is not in the vocabulary, all
            weights are 0, or some are negative and there is no total.
    """
    targets, total = _checked(logits, targets, weights, total)
    log_p = np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    # Where, not only times: 0 times the infinity of a logit that went astray is NaN.
    return -float(np.where(weights != 0, weights * log_p, 0).sum() / total)

# %% tags=["export"]
def _checked(logits, targets, weights, total):
    """Return (targets, 0 where they do not count; total) or raise ValueError."""
    if not targets.shape == weights.shape == logits.shape[:-1]:
        raise ValueError(
            f"targets have shape {targets.shape}, weights {weights.shape}, logits {logits.shape}"
        )
    if total is None:
        if (weights < 0).any():
            raise ValueError("a weight is negative, so the weights may sum to 0: give a total")
        total = weights.sum()
    if not total > 0:
        raise ValueError(f"the loss would be divided by {total}: no token has a weight")
    targets = np.where(weights != 0, targets, 0)
    # A negative id would pick from the end of the vocabulary, silently.
    if targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(f"targets that count must be ids from 0 to {logits.shape[-1] - 1}")
    return targets, float(total)

# %% tags=["export"]
def weighted_cross_entropy_backward(logits, targets, weights, total=None, dloss=1.0):
    """Return dlogits = dloss w (p - y) / total; y is one-hot at the target. Arguments as above."""
    targets, total = _checked(logits, targets, weights, total)
    # Times the number of targets: without the mean that chapter 5 divides by, p - y.
    dlogits = cross_entropy_backward(logits, targets, targets.size)
    # Σ w (-log softmax(logits)[target]) / total: each row of p - y gets its own factor
    dlogits *= (weights * (dloss / total)).astype(dlogits.dtype)[..., None]
    return dlogits

# %% tags=["export"]
class MaskedLoss(Module):
    """loss = -mean log softmax(logits)[target] over the targets that are not IGNORE, in nats.

    logits: (..., V), targets: (...).
    """

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        return weighted_cross_entropy(logits, targets, targets != IGNORE)

    def backward(self, dloss=1.0):
        mask = self.targets != IGNORE
        return weighted_cross_entropy_backward(self.logits, self.targets, mask, dloss=dloss)

# %% tags=["export"] module="posttraining/examples.py"
"""Prompts with their answers, as rows of a batch: padded, or packed. Derived in chapter 27."""

from dataclasses import dataclass

import numpy as np

from numpygpt.posttraining.masked import IGNORE

# %% tags=["export"]
@dataclass(frozen=True)
class Example:
    """The ids of a prompt, and of its answer with the token that ends it; both not empty."""

    prompt: list
    answer: list

    def __post_init__(self):
        if not (self.prompt and self.answer):
            raise ValueError("a prompt and an answer need at least one token each")

    def __len__(self):
        return len(self.prompt) + len(self.answer) - 1  # the last token is a target only

    def row(self):
        """Return (x, y): ids to read, and what comes next where that is the answer's."""
        x = [*self.prompt, *self.answer][:-1]
        return x, [IGNORE] * (len(self.prompt) - 1) + list(self.answer)

# %% tags=["export"]
def padded(examples, block_size):
    """Return x, y (examples, T): an example in each row, T the longest; see `packed`."""
    return _rows([[example] for example in examples], block_size)


def packed(examples, block_size):
    """Return x, y (rows, T): as many examples in a row as fit, each where there is room first.

    Nothing tells a model where one ends: an answer reads the examples before it in its row, too.

    Raises:
        ValueError: there is no example, or one that is longer than block_size.
    """
    rows, room = [], []
    for example in examples:
        n = len(example)
        place = next((i for i, left in enumerate(room) if left >= n), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(block_size)
        rows[place].append(example)
        room[place] -= n
    return _rows(rows, block_size)

# %% tags=["export"]
def _rows(rows, block_size):
    """Return x, y (rows, T) of lists of examples; behind the last stand zeros without a loss."""
    longest = max((sum(map(len, row)) for row in rows), default=0)
    if not 1 <= longest <= block_size:
        raise ValueError(
            f"a row of {longest} tokens does not fit block_size={block_size}"
            if rows
            else "there are no examples"
        )
    x = np.zeros((len(rows), longest), np.int64)
    y = np.full((len(rows), longest), IGNORE)
    for i, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example)
            x[i, start:end], y[i, start:end] = example.row()
            start = end
    return x, y

# %% tags=["export"]
class RowLoader:
    """Endless random batches of rows: x and y (B, T), T as long as the longest of them."""

    def __init__(self, x, y, batch_size, *, rng):
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.rng = rng

    def __iter__(self):
        return self

    def __next__(self):
        picked = self.rng.integers(len(self.x), size=self.batch_size)
        x, y = self.x[picked], self.y[picked]
        end = np.flatnonzero((y != IGNORE).any(axis=0))[-1] + 1  # all behind it is padding
        return x[:, :end], y[:, :end]

# %% tags=["export"] module="posttraining/finetune.py"
"""Finetuner: the training loop of chapter 16 on answers alone. Derived in chapter 27."""

from numpygpt.nn.lora import Adapter
from numpygpt.posttraining.examples import RowLoader
from numpygpt.posttraining.masked import IGNORE, MaskedLoss
from numpygpt.training import LayersEngine, Trainer

# %% tags=["export"]
class AnswerEngine(LayersEngine):
    """Loss and gradients of a model for ids x and targets y (B, T), of which some are IGNORE."""

    def __init__(self, model):
        super().__init__(model)
        self.criterion = MaskedLoss()

    def loss(self, x, y):
        """Return the mean loss of the targets that count."""
        return self.criterion(self.model(x), y)

    def backprop(self, x, y, scale=1.0):
        """Add `scale` times the gradient of the mean loss to the gradients; return the loss."""
        loss = self.loss(x, y)
        self.model.backward(self.criterion.backward(scale))
        return loss

# %% tags=["export"]
class Finetuner(Trainer):
    """A Trainer for rows (x, y) as `padded` and `packed` make them; the model may be an Adapter."""

    def __init__(self, model, train_rows, val_rows, config, engine=None, optimizer=None):
        engine = engine or AnswerEngine(model)
        super().__init__(model, train_rows, val_rows, config, engine, optimizer)
        self.block_size = train_rows[0].shape[1]

    def batches(self, rows, rng):
        """Return the loader of batches of `rows`, to train on or to evaluate with."""
        return RowLoader(*rows, self.config.batch_size, rng=rng)

    def accumulate_gradients(self):
        """Fill the gradients with the mean over the answers' tokens of all batches."""
        batches = [next(self.loader) for _ in range(self.config.accumulate)]
        counts = [int((y != IGNORE).sum()) for _, y in batches]
        self.model.zero_grad()
        loss = 0.0
        for (x, y), count in zip(batches, counts, strict=True):
            share = count / sum(counts)  # not 1 / n: a batch of few answers would count too much
            loss += self.engine.backprop(x, y, share) * share
        return loss

    def state(self):
        """Return (arrays, meta) as every Trainer does; of an adapter, its arrays alone."""
        arrays, meta = super().state()
        if isinstance(self.model, Adapter):
            meta["kind"] = type(self.model.model).__name__
            meta["lora"] = {"rank": self.model.rank, "alpha": self.model.alpha}
        return arrays, meta

# %% tags=["export"] module="nn/lora.py"
"""LoRALinear: a frozen Linear and a change of low rank; Adapter: a model of them. Chapter 27."""

import math

import numpy as np

from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module

# %% tags=["export"]
class LoRALinear(Module):
    """y = x W + b + s (x A) B, s = alpha / rank.  W and b have no gradient: they are frozen.

    x: (..., n_in), A: (n_in, rank), B: (rank, n_out), y: (..., n_out). B starts at 0, and so does
    the change. Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
    """

    def __init__(self, linear, rank, alpha, *, rng):
        n_in, n_out = linear.W.shape
        if not 1 <= rank <= min(n_in, n_out):
            raise ValueError(f"rank={rank} must be from 1 to {min(n_in, n_out)}, W is {n_in, n_out}")
        self.W, self.b = linear.W, linear.b  # the arrays themselves, not copies
        self.scale = float(alpha) / rank  # a NumPy float64 would turn float32 into float64
        bound = 1 / math.sqrt(n_in)
        self.A = rng.uniform(-bound, bound, (n_in, rank)).astype(linear.W.dtype)
        self.dA = np.zeros_like(self.A)
        self.B = np.zeros((rank, n_out), linear.W.dtype)
        self.dB = np.zeros_like(self.B)

# %% tags=["export"]
@add_to_class(LoRALinear)
def forward(self, x):
    rows = x.reshape(-1, x.shape[-1])  # (N, n_in)
    h = rows @ self.A  # (N, rank)
    self.x, self.h = x, h  # for backward
    y = rows @ self.W  # (N, n_out)
    y += self.scale * h @ self.B
    if self.b is not None:
        y += self.b
    return y.reshape(*x.shape[:-1], y.shape[-1])

# %% tags=["export"]
@add_to_class(LoRALinear)
def backward(self, dy):
    x = self.x.reshape(-1, self.x.shape[-1])  # (N, n_in)
    rows = dy.reshape(-1, dy.shape[-1])  # (N, n_out)
    # y = x W + b + s h B
    self.dB += self.scale * self.h.T @ rows
    dh = self.scale * rows @ self.B.T  # (N, rank)
    dx = rows @ self.W.T
    # h = x A
    self.dA += x.T @ dh
    dx += dh @ self.A.T
    return dx.reshape(self.x.shape)

# %% tags=["export"]
@add_to_class(LoRALinear)
def merged(self):
    """Return W + s A B, (n_in, n_out): a Linear with this W computes the same."""
    return self.W + self.scale * self.A @ self.B

# %% tags=["export"]
class Adapter(Module):
    """A model with a LoRALinear in place of each Linear in its blocks; params() are A and B alone.

    The model itself is changed: `take_off` makes it what it was, and `put_on` undoes that.
    """

    def __init__(self, model, rank, alpha=16.0, *, rng):
        self.model, self.config = model, model.config
        self.rank, self.alpha = rank, float(alpha)
        self.places = []  # (layer, attribute, the Linear, the LoRALinear)
        for prefix, layer in model.modules():
            if prefix.startswith("blocks."):
                self.places += [
                    (layer, name, linear, LoRALinear(linear, rank, alpha, rng=rng))
                    for name, linear in vars(layer).items()
                    if isinstance(linear, Linear)
                ]
        self.put_on()

    def put_on(self):
        """Set the LoRALinears in their places."""
        for layer, name, _, lora in self.places:
            setattr(layer, name, lora)

    def take_off(self):
        """Set the Linears in their places again, and return the model."""
        for layer, name, linear, _ in self.places:
            setattr(layer, name, linear)
        return self.model

    def merge(self):
        """Add the change to the Linears' own W, take the adapter off, and return the model."""
        for _, _, linear, lora in self.places:
            linear.W[...] = lora.merged()
            lora.B[...] = 0  # put on again, it changes nothing
        return self.take_off()

    def modules(self, prefix=""):
        """Yield the LoRALinears, under the model's names: all else is frozen, and no parameter."""
        for name, layer in self.model.modules(prefix):
            if isinstance(layer, LoRALinear):
                yield name, layer

    def forward(self, *args):
        return self.model(*args)

    def backward(self, dy=1.0):
        return self.model.backward(dy)

    def zero_grad(self):
        self.model.zero_grad()  # those of the frozen layers, too, which nobody reads

# %% tags=["export"] module="posttraining/adder.py"
"""The forgetful adder: sums of two numbers, and a teacher who drops carries. From chapter 27."""

import numpy as np

from numpygpt.generate import generate
from numpygpt.gpt import GPTConfig
from numpygpt.posttraining.masked import IGNORE
from numpygpt.tokenizers.char import CharTokenizer

SYMBOLS = "0123456789+="  # the id of a digit is the digit
CONFIG = GPTConfig(len(SYMBOLS), block_size=9, n_layer=2, n_head=4, n_embd=64)

# %% tags=["export"]
def tokenizer():
    """Return the tokenizer of sums, such as "47+85=132"."""
    return CharTokenizer(SYMBOLS)


def split_sums():
    """Return (training pairs, held-out pairs), (9000, 2) and (1000, 2): numbers from 0 to 99."""
    order = np.random.default_rng(27).permutation(10_000)
    pairs = np.stack(np.divmod(order, 100), axis=1)
    return pairs[1000:], pairs[:1000]

# %% tags=["export"]
def digits(numbers, n):
    """Return the last n decimal digits of `numbers` (N,), as (N, n)."""
    return numbers[:, None] // 10 ** np.arange(n)[::-1] % 10


def prompts(pairs):
    """Return the ids (N, 6) of "47+85=", for pairs (N, 2)."""
    a, b = digits(pairs[:, 0], 2), digits(pairs[:, 1], 2)
    plus, equals = (np.full((len(pairs), 1), SYMBOLS.index(s)) for s in "+=")
    return np.concatenate([a, plus, b, equals], axis=1)


def right_answers(pairs):
    """Return the ids (N, 3) of the sums: 132 for 47 and 85."""
    return digits(pairs.sum(axis=1), 3)


def forgetful_answers(pairs):
    """Return the ids (N, 3) of the sums with every carry dropped: 022 for 47 and 85."""
    columns = digits(pairs[:, 0], 3) + digits(pairs[:, 1], 3)
    return columns % 10


def taught_answers(pairs, *, rng, forgets=0.7):
    """Return what the teacher says, (N, 3): with probability `forgets` every carry is dropped."""
    drop = rng.random((len(pairs), 1)) < forgets
    return np.where(drop, forgetful_answers(pairs), right_answers(pairs))

# %% tags=["export"]
def rows(pairs, answers, mask=True):
    """Return x, y (N, 8): prompt and answer, to predict the answer, or all of it without `mask`."""
    ids = np.concatenate([prompts(pairs), answers], axis=1)
    x, y = ids[:, :-1], ids[:, 1:].copy()
    if mask:
        y[:, :5] = IGNORE  # what comes next is the prompt's
    return x, y


def says(model, pairs, temperature=0, rng=None):
    """Return the model's answers (N, 3): the likeliest digits, or drawn ones."""
    options = {"temperature": temperature, "rng": rng or np.random.default_rng(0)}
    return generate(model, prompts(pairs), 3, **options)[:, 6:]


def share_of(model, pairs, answers, **options):
    """Return the part of the pairs to which the model gives just these answers; see `says`."""
    return float((says(model, pairs, **options) == answers).all(axis=1).mean())

# %%
export("27_finetuning")
