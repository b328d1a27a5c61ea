# %% [markdown]
# # Chapter 27: Fine-tuning
#
# In `data/checkpoints/forgetful_adder` is a small GPT that learned sums of two numbers below 100, as text. We let
# it write the likeliest digits.

# %%
import json
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLUE, GREEN, ORANGE, show, subplots, token_row
from numpygpt.checkpoint import load_checkpoint, load_model, part
from numpygpt.generate import generate
from numpygpt.nn.functional import cross_entropy_backward
from numpygpt.optim import Adam

rng = np.random.default_rng(27)

def trained_adder():
    """The model and its tokenizer; in float64, whose rounding decides nothing here."""
    return load_model("../data/checkpoints/forgetful_adder/checkpoint.npz", np.float64)[:2]

# %%
model, tokenizer = trained_adder()
for prompt in ("12+34=", "47+85=", "90+15=", "38+45="):
    ids = generate(model, np.array([tokenizer.encode(prompt)]), 3, temperature=0, rng=rng)
    print(tokenizer.decode(ids[0].tolist()))

# %% [markdown]
# The first is right. The others would be, if there were no carries. The model has had a teacher who forgot
# the carries in seven sums out of ten, at random; the likeliest answer is the forgetful one. **Before you run the next
# cell:** of 1,000 sums that were held out from the teaching, how many will it get right?

# %%
order = np.random.default_rng(27).permutation(10_000)
pairs = np.stack(np.divmod(order, 100), axis=1)    # all of them, in random order
held_out, others = pairs[:1000], pairs[1000:]
no_carry = ((held_out % 10).sum(axis=1) < 10) & ((held_out // 10).sum(axis=1) < 10)

def as_ids(pairs):
    return np.array([tokenizer.encode(f"{a:02}+{b:02}={a + b:03}") for a, b in pairs])    # (N, 9)

def share_right(model):
    ids = as_ids(held_out)
    return (generate(model, ids[:, :6], 3, temperature=0, rng=rng) == ids).all(axis=1).mean()

print(f"right: {share_right(model):.1%}; sums without a carry: {no_carry.mean():.1%}")

# %% [markdown]
# Only as many as need no carry. Now we give it 500 *right* sums, and 60 steps. One thing is new: each gradient
# comes from the three digits of the answer alone.

# %%
ids, optimizer = as_ids(others[:500]), Adam(model, lr=1e-3)
for _ in range(60):
    batch = ids[rng.integers(500, size=64)]
    logits = model(batch[:, :-1])                                                   # (64, 8, 12)
    dlogits = np.zeros_like(logits)
    dlogits[:, 5:] = cross_entropy_backward(logits[:, 5:], batch[:, 6:])
    model.zero_grad()
    model.backward(dlogits)
    optimizer.step()
print(f"right: {share_right(model):.1%}")

# %% [markdown]
# A second of work. It had seen right sums all along, three out of ten, and knew how to carry: we have only told it
# which of its two habits we want. That is **fine-tuning**: a trained model is trained further, on a few examples, to *do*
# one of the things it knows. **The question of this chapter:** which weights should these few examples change, with
# which loss, and what is spoiled on the way?
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | ids that are read, and what comes next; `IGNORE` where we do not care | `(B, T)` |
# | `w` | weight of each token in the loss; a mask has ones and zeros | `(B, T)` |
# | `total` | what the weighted sum is divided by | number |
# | `dlogits` | gradient of the loss | `(B, T, V)` |
# | `A`, `B` | the two factors of a change of `W`, `(n_in, n_out)`; this `B` is no batch size | `(n_in, rank)`, `(rank, n_out)` |
# | `s` | scale of the change, `alpha / rank` | number |
#
# ## The loss on the answer alone
#
# Each target has its own loss, $-\log p_{\text{target}}$. A weight $w_t$ tells how much we care:
#
# $$\text{loss} = \frac{1}{\text{total}} \sum_t w_t\,(-\log p_{t,y_t}) \qquad
# \frac{\partial\,\text{loss}}{\partial\,\text{logits}_{t}} = \frac{w_t}{\text{total}}\,(p_t - \text{onehot}(y_t))$$
#
# The second line is chapter 5's, row by row: every row of $p - y$ gets a factor of its own. A **loss mask** has $w_t = 1$
# for the answer and 0 for the prompt; with total $= \sum_t w_t$ the loss is the mean over the answer's tokens. By hand, with three
# rows and a vocabulary of two tokens, where the first row is the prompt's:

# %%
p = np.array([[0.5, 0.5], [0.8, 0.2], [0.4, 0.6]])
y, w = np.array([[0, 1], [1, 0], [0, 1]]), np.array([0, 1, 1])
print("loss:", (w * -np.log((p * y).sum(axis=1))).sum() / w.sum())
print("dlogits:\n", w[:, None] * (p - y) / w.sum())

# %% [markdown]
# The prompt's row is zero. It still matters: the answer's rows attend to its keys and values, and through these the
# gradient reaches everything that reads the prompt.
#
# The package's version takes weights of either sign. Their sum may be zero, so then the caller has to say what to
# divide by. A place without a loss has the target `IGNORE`, so that a batch is an `x` and a `y`, as before.

# %% tags=["export"] module="posttraining/masked.py"
"""Cross-entropy with a weight for each token, or with a mask. Derived in chapter 27."""

import numpy as np

from numpygpt.evaluate import token_losses
from numpygpt.nn.functional import cross_entropy_backward
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
    losses = token_losses(logits, targets)
    # np.where, not just a product: 0 times inf, from a stray logit, would be NaN.
    return float(np.where(weights != 0, weights * losses, 0).sum() / total)

# %% [markdown]
# A check of shapes and targets, then the gradient, then both as a layer. **Skim the first of these cells.**

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

# %%
from numpygpt.gradcheck import GradientError, gradcheck

logits, targets = rng.normal(size=(2, 5, 7)), rng.integers(0, 7, (2, 5))
targets[0, :3] = targets[1, 4] = IGNORE
print(gradcheck(MaskedLoss(), logits, targets, rng=rng))

# %% [markdown]
# Break it. **Before you run the next cell:** somebody divides by the number of *all* targets, in `backward` only.
# Somebody else moves the mask one place to the left, in both passes. Whom will the check catch?

# %%
class AllTargets(MaskedLoss):
    def backward(self, dloss=1.0):
        return super().backward(dloss) * (self.targets != IGNORE).mean()

class OneEarly(MaskedLoss):
    def forward(self, logits, targets):
        moved = np.append(targets[:, 1:], np.full((len(targets), 1), IGNORE), axis=1) != IGNORE
        return super().forward(logits, np.where(moved, np.maximum(targets, 0), IGNORE))

for wrong in (AllTargets, OneEarly):
    try:
        gradcheck(wrong(), logits, targets, rng=rng)
        print(wrong.__name__, "passes")
    except GradientError as error:
        print(wrong.__name__, "is caught:", str(error).split("; ")[-1])

# %% [markdown]
# The second gradient is right for its loss; it is the loss that is wrong. No gradient check sees
# that. What helps is a test of the *data*: which ids does the loss look at? We print them below.
#
# ## What the mean divides by
#
# A batch too large for memory is read in parts, whose gradients add up ([chapter 16](16_training.ipynb)). Each part
# there counted the same. Here a part may have one short answer, another part long ones. **Before you run the next cell:** two
# parts have 1 and 9 tokens of answers. What does the single token weigh, if we take the mean of both means?

# %%
nll = [np.array([4.0]), np.full(9, 1.0)]
print("mean of means:", np.mean([each.mean() for each in nll]),
      "  mean over tokens:", np.concatenate(nll).mean())
print(f"the single token weighs {1 / 2} and not {1 / 10}: {(1 / 2) / (1 / 10):.0f} times as much")

# %% [markdown]
# Too much. The loss of each part is right, and the gradient check passes; only the sum of the gradients is not what
# one batch would have given. Widely used training loops did this until October 2024, when Daniel and Michael Han of Unsloth wrote
# about it. The remedy: a part counts as its share of the tokens *that have a loss*. If the loss is divided by all tokens
# instead, prompts included, long prompts make the gradient small. Adam hides a factor that is always the same, but this one
# changes with the batch.
#
# ## Examples in rows
#
# An example is a prompt and an answer, of any length, and a batch is a rectangle.

# %% tags=["export"] module="posttraining/examples.py"
"""Prompts with their answers, as rows of a batch: padded, or packed. Derived in chapter 27."""

from dataclasses import dataclass

import numpy as np

from numpygpt.chat import ends_of, render

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

# %% [markdown]
# There are two ways to fill the rectangle: **padding**, one example in each row and behind it zeros that have no loss; or
# **packing**, as many in a row as fit. **Skim the second cell.**

# %% tags=["export"]
def padded(examples, block_size):
    """Return x, y (examples, T): an example in each row, T the longest; see `packed`."""
    return _rows([[example] for example in examples], block_size)


def packed(examples, block_size):
    """Return x, y (rows, T): as many examples in a row as fit, each in the first row that has room.

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

# %%
some = [Example([1, 2, 3], [4, 5]), Example([6], [7, 8]), Example([1, 1, 1, 1, 1], [2])]
for make in (padded, packed):
    x, y = make(some, 7)
    print(f"{make.__name__}: x\n{x}\ny\n{y}")

# %% [markdown]
# This is the test of the data: every answer stands in `y` once and whole, its first id at the place of the prompt's
# last. How much packing saves depends on the lengths. We take the short questions and answers of `data/dialogues`. Each
# is made into turns of a chat ([chapter 25](25_chat_model.ipynb)), and what `Chat` would read is the prompt.

# %% tags=["export"]
def turns(tokenizer, messages, template):
    """Return an Example for each answer in a chat: what a Chat reads before it, and the answer.

    Args:
        messages: (role, text) pairs, as for `render`.
        template: how the model wants its turns.
    """
    end = ends_of(tokenizer, template)[:1]
    return [
        Example(render(tokenizer, messages[:i], template), [*tokenizer.encode(text), *end])
        for i, (role, text) in enumerate(messages)
        if role == "assistant" and i
    ]

# %%
from numpygpt.chat import PLAY

shakespeare, char, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz", np.float64)

def chats(name):
    lines = Path(f"../data/dialogues/{name}.jsonl").read_text().splitlines()
    return [[(m["role"], m["content"]) for m in json.loads(line)["messages"]] for line in lines]

train_chats, val_chats = chats("train"), chats("val")
talks, val_talks = ([turns(char, chat, PLAY)[0] for chat in each] for each in (train_chats, val_chats))
print(f"{shakespeare.num_params():,} numbers, {len(talks):,} chats to learn from, {len(val_talks)} held "
      f"out; the first:\n")
print(char.decode(talks[0].prompt + talks[0].answer))
for make, room in ((padded, 64), (packed, 64), (packed, 256)):
    x, y = make(talks, room)
    print(f"{make.__name__:6} in rows of {x.shape[1]:3}: {sum(map(len, talks)) / x.size:.0%} of the "
          f"places are used")

# %% [markdown]
# In rows of 64, those of our model, few of these chats find a second one that fits. Of these three, two do:

# %%
short = [talk for talk in talks if len(talk) < 32]
three = [short[0], talks[0], short[1]]
figure, axes = subplots(2, 1, size=(9, 2.3))
for ax, make in zip(axes, (padded, packed)):
    for i, (ids, targets) in enumerate(zip(*make(three, 64))):
        n = np.flatnonzero(targets != IGNORE)[-1] + 1
        letters = [char.decode([t]).replace("\n", "⏎") for t in ids[:n].tolist()]
        token_row(ax, -i, letters + ["0"] * (len(ids) - n), known=list(targets != IGNORE))
    ax.set(xlim=(0, 64), ylim=(-i - 0.6, 0.6), title=make.__name__); ax.axis("off")
show(figure, "Three chats in rows of 62, letter by letter. Above, padded: one in each of three rows, and "
             "behind the two short ones zeros, half of the row. Below, packed: the two short ones in one "
             "row, the long one in another, and no zeros. Letters after which a letter of the answer "
             "comes are colored, all others gray: a colored piece begins at the line break before an "
             "answer and ends with the answer's last letter.")

# %% [markdown]
# Packing has a price. **Before you run the next cell:** we change a letter in the first example of a packed row. Do the logits of
# the second example change?

# %%
x, _ = packed(three, 64)
row, second = x[:1].copy(), len(three[0])
before = shakespeare(row)
row[0, 6] = char.encode("z")[0]
change = np.abs(shakespeare(row) - before).max(axis=-1)[0]
print("before the letter:", bool(change[:6].max() > 1e-3),
      "  in the second example:", bool(change[second:].max() > 1e-3))

# %% [markdown]
# An answer reads the examples before its own, and its positions are not those of a chat that begins at 0. Programs for
# large models give attention a block-diagonal mask, so that no example reads its neighbor (Krell and others, 2021). Our layers
# have no such mask, and our rows are short, so below we pad.
#
# ## With the mask, and without
#
# `Trainer` knows how to take steps, clip, evaluate and resume. Fine-tuning differs in two things: where its batches come
# from, and how they are averaged.

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
    """A Trainer for rows (x, y) as `padded` and `packed` make them: the loss is on the answers."""

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

# %% [markdown]
# The sums and the teacher, as functions. **Skim the cell**: digits of an array of numbers, by division.

# %% tags=["export"] module="posttraining/adder.py"
"""The forgetful adder: sums of two numbers, and a teacher who drops carries. From chapter 27."""

import numpy as np

from numpygpt.generate import generate

SYMBOLS = "0123456789+="  # the id of a digit is the digit

# %% tags=["export"]
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


def share_saying(model, pairs, answers, **options):
    """Return the share of the pairs to which the model says just these answers; see `says`."""
    return float((says(model, pairs, **options) == answers).all(axis=1).mean())

# %% [markdown]
# **Before you run the next cell:** we fine-tune on 20 right sums only, once with the mask, and once with a loss on all tokens,
# prompts too. A prompt's digits are random: nobody can predict them. Can a loss on them do harm?

# %%
from numpygpt.training import TrainConfig

def mend(model, n_sums, mask=True, steps=100, lr=1e-3, adapter=None):
    """Fine-tune on some right sums; return the share of right held-out answers."""
    config = TrainConfig(
        batch_size=64, max_iters=steps, lr=lr, min_lr=lr / 10, warmup_iters=10, weight_decay=0.0)
    some = rows(others[:n_sums], right_answers(others[:n_sums]), mask)
    trainer = Finetuner(adapter or model, some, some, config)
    for _ in range(steps):
        trainer.step()
    return share_saying(model, held_out, right_answers(held_out))

# %%
x, y = rows(others[:20], right_answers(others[:20]), mask=False)
on_prompts = np.tile(np.arange(8) < 5, (20, 1))
for mask in (True, False):
    model, _ = trained_adder()
    share = mend(model, 20, mask, steps=60)
    loss = weighted_cross_entropy(model(x), y, on_prompts)
    print(f"mask {mask}: {share:.1%} of held-out sums right; loss on the 20 prompts {loss:.2f}")

# %% [markdown]
# It can. Without the mask the model learns the 20 prompts by heart, digits that mean nothing, and bends itself for it. (1.38 is
# the best that can be had by knowing no prompt: three digits of five places, $\ln 10$ each.) A skeptic asks: and at another learning
# rate, with another seed, with more sums? `python benchmarks/finetuning.py` has tried that.

# %%
found = json.loads(Path("../data/finetuning.json").read_text())

def of(work, kind):
    """The runs of a kind; the search for a rate had another seed, and may have tried others."""
    return [run for run in found["runs"] if (run["work"], run["kind"]) == (work, kind) and run["seed"] < 5]

def shares(kind):
    return np.array([run["shares"] for run in of("mend", kind)])    # (seeds, steps)

# %%
figure, (left, right) = subplots(1, 2, size=(9, 3), sharey=True)
for kind, label, style, color in (
    ("full", "with the mask", "o-", ORANGE), ("full, no mask", "without", "s--", BLUE)
):
    runs = of("mend", kind + ", 20 sums")
    rates = sorted({run["lr"] for run in runs})
    few = [[run["shares"][-1] for run in runs if run["lr"] == lr] for lr in rates]    # (rates, seeds)
    few = np.array(few).T
    for ax, places, y in ((left, rates, few), (right, found["at"], shares(kind))):
        ax.fill_between(places, y.min(axis=0), y.max(axis=0), color=color, alpha=0.25, lw=0)
        ax.plot(places, y.mean(axis=0), style, color=color, label=label)
        ax.set(xscale="log", ylim=(0, 1.02)); ax.minorticks_off()
        ax.set_xticks(places, [f"{place:g}" for place in places])
    at_rates = zip(rates, few.mean(axis=0))
    print(f"{label:13}  20 sums:", "  ".join(f"rate {lr:g} {a:.0%}" for lr, a in at_rates), end="")
    print(f"   500 sums, the best rate of four: {shares(kind)[:, -1].mean():.1%}")
left.set(title="20 sums, 200 steps, three seeds", xlabel="learning rate", ylabel="held-out sums right")
left.legend()
right.set(title="500 sums, five seeds", xlabel="steps")
show(figure, "Two panels with a curve with the mask and one without. Left, after 200 steps on 20 sums, "
             "against learning rates from 0.0001 to 0.003: both fall, with the mask from 0.8 to 0.3, "
             "without it from 0.8 to 0.2, well below in the middle. Right, on 500 sums, against steps: "
             "both reach nearly 1 by 50 steps and stay there together.")

# %% [markdown]
# With 20 sums the mean with the mask is ahead at every rate: by 24 points at 0.001, and by 5 at the slowest, the best for both. At
# both ends the bands overlap. With 500 the mask gains nothing. What is learned by heart must be read often, and few examples, read
# often, are what fine-tuning mostly has. So we mask; but it is no law.
#
# ## LoRA: a change of low rank
#
# To fine-tune a model, Adam needs three more numbers for each weight: gradient, $m$ and $v$. And each task leaves a whole
# model behind, as large as the first. Hu and others (2021) froze `W`, and trained a change of it that has few numbers:
#
# $$y = x W + b + s\,(x A)\,B, \qquad s = \alpha / r$$
#
# `A` squeezes the input into $r$ numbers, the *rank*; `B` makes an output of these. The product $A B$ is as large as `W`, and is
# never made. **Before you run the next cell:** how many numbers do `A` and `B` have for the largest matrix of our adder, (64,
# 256), at rank 8, beside its 16,384?

# %%
for n_in, n_out in ((64, 256), (4096, 4096)):
    print(f"W {n_in, n_out}: {n_in * n_out:,} numbers, A and B of rank 8: {8 * (n_in + n_out):,}, "
          f"{8 * (n_in + n_out) / (n_in * n_out):.1%}")

# %% [markdown]
# The wider the model, the smaller the share. Now the gradients. With $h = x A$ the new part is $s\,h\,B$: two linear
# layers one after the other, and chapter 3 knows the backward pass of each. Rows $n$, rank $k$, outputs $j$:
#
# $$\frac{\partial L}{\partial B_{kj}} = \sum_n s\,h_{nk}\, dy_{nj}, \qquad dh_{nk} = s \sum_j dy_{nj} B_{kj}, \qquad
# \frac{\partial L}{\partial A_{ik}} = \sum_n x_{ni}\, dh_{nk}$$
#
# $$dB = s\,h^\top dy, \qquad dh = s\,dy\,B^\top, \qquad dA = x^\top dh, \qquad dx = dy\,W^\top + dh\,A^\top$$
#
# How do they start? The model should begin as it was: $A B = 0$. **Before you run the next cell:** if both are
# zero, what are $dA$ and $dB$? And if `B` alone is?

# %% tags=["export"] module="nn/lora.py"
"""LoRALinear and Adapter: frozen weights, and a change of low rank. Derived in chapter 27."""

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
    flat = x.reshape(-1, x.shape[-1])  # (N, n_in)
    h = flat @ self.A  # (N, rank)
    self.x, self.h = x, h  # for backward
    y = flat @ self.W  # (N, n_out)
    y += self.scale * h @ self.B
    if self.b is not None:
        y += self.b
    return y.reshape(*x.shape[:-1], y.shape[-1])

# %% tags=["export"]
@add_to_class(LoRALinear)
def backward(self, dy):
    x = self.x.reshape(-1, self.x.shape[-1])  # (N, n_in)
    flat = dy.reshape(-1, dy.shape[-1])  # (N, n_out)
    # y = x W + b + s h B
    self.dB += self.scale * self.h.T @ flat
    dh = self.scale * flat @ self.B.T  # (N, rank)
    dx = flat @ self.W.T
    # h = x A
    self.dA += x.T @ dh
    dx += dh @ self.A.T
    return dx.reshape(self.x.shape)

# %%
from numpygpt.nn import Linear

x, dy = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 4, 5))
for start in ("as it is made", "A is 0, too"):
    layer = LoRALinear(Linear(6, 5, rng=rng, dtype=np.float64), rank=2, alpha=4, rng=rng)
    layer.A *= start == "as it is made"
    layer(x); layer.backward(dy)
    print(f"{start}: dA is zero: {not layer.dA.any()}, dB is zero: {not layer.dB.any()}")

# %% [markdown]
# Two zeros stay zero forever: each one's gradient has the other as a factor. With `B` alone at 0 the change starts
# at 0 and `B` moves in the first step, `A` from the second on. That `W` is frozen needs no code: no `dW` stands beside
# it, so it is no parameter ([chapter 2](02_module.ipynb)).

# %%
for p in layer.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
print(gradcheck(layer, x, rng=rng))

# %% [markdown]
# Break it. **Before you run the next cell:** somebody leaves out the scale in $dA$, here 2. What will the check say?

# %%
class NoScale(LoRALinear):
    def backward(self, dy):
        kept = self.dA.copy()
        dx = super().backward(dy)
        self.dA[...] = kept + (self.dA - kept) / self.scale
        return dx

wrong = NoScale(Linear(6, 5, rng=rng, dtype=np.float64), 2, 4, rng=rng)
wrong.B[...] = rng.normal(0, 0.5, wrong.B.shape)
try:
    gradcheck(wrong, x, rng=rng)
except GradientError as error:
    print(error)

# %% [markdown]
# When training is done, nothing needs two parts: $W + s A B$ in a plain `Linear` is the same layer.

# %% tags=["export"]
@add_to_class(LoRALinear)
def merged(self):
    """Return W + s A B, (n_in, n_out): a Linear with this W computes the same."""
    return self.W + self.scale * self.A @ self.B

# %%
plain = Linear(6, 5, rng=rng, dtype=np.float64)
plain.W[...], plain.b[...] = layer.merged(), layer.b
print("merged equals unmerged:", np.allclose(plain(x), layer(x), rtol=0, atol=1e-14))

# %% [markdown]
# An `Adapter` puts such a layer in the place of every `Linear` in a model's blocks. Its `modules()` are these layers alone, so
# that everything that asks for parameters (optimizers, checkpoints, clipping) sees `A` and `B` and nothing else.

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

# %% tags=["export"]
@add_to_class(Adapter)
def put_on(self):
    """Set each LoRALinear in its place."""
    for layer, name, _, lora in self.places:
        setattr(layer, name, lora)

@add_to_class(Adapter)
def take_off(self):
    """Set the Linears in their places again, and return the model."""
    for layer, name, linear, _ in self.places:
        setattr(layer, name, linear)
    return self.model

# %% tags=["export"]
@add_to_class(Adapter)
def merge(self):
    """Add the change to the Linears' own W, take the adapter off, and return the model."""
    for _, _, linear, lora in self.places:
        linear.W[...] = lora.merged()
        lora.B[...] = 0  # put on again, it changes nothing
    return self.take_off()

# %% tags=["export"]
@add_to_class(Adapter)
def modules(self, prefix=""):
    """Yield each LoRALinear, under the model's names: all else is frozen, and no parameter."""
    for name, layer in self.model.modules(prefix):
        if isinstance(layer, LoRALinear):
            yield name, layer

# %% tags=["export"]
@add_to_class(Adapter)
def forward(self, *args):
    return self.model(*args)

@add_to_class(Adapter)
def backward(self, dy=1.0):
    return self.model.backward(dy)

@add_to_class(Adapter)
def zero_grad(self):
    self.model.zero_grad()  # those of the frozen layers, too, which nobody reads

# %%
model, _ = trained_adder()
adapter = Adapter(model, rank=8, rng=rng)
before = share_saying(model, held_out, right_answers(held_out))
print(f"{adapter.num_params():,} of {adapter.take_off().num_params():,} numbers are trained")
adapter.put_on()
after = mend(model, 500, steps=50, lr=1e-2, adapter=adapter)
print(f"right before: {before:.1%}, after 50 steps: {after:.1%}, ", end="")
adapter.take_off()
print(f"taken off: {share_saying(model, held_out, right_answers(held_out)):.1%}")

# %% [markdown]
# Taken off, the forgetful adder is back, exactly: nobody has touched its weights. How much rank does it take?

# %%
kinds = ("LoRA 1", "LoRA 2", "LoRA 4", "LoRA 8", "LoRA 16", "full")
figure, ax = subplots(size=(6, 3))
for kind in kinds:
    y, n = 1 - shares(kind)[:, -1], of("mend", kind)[0]["trained"]
    color = ORANGE if kind == "full" else GREEN
    ax.plot([n] * len(y), 100 * y, "o", color=color, alpha=0.5, ms=5)
    ax.plot(n, 100 * y.mean(), "_", color=color, ms=16)
    ax.annotate(kind.replace("full", "all weights"), (n, 100 * y.max()), (0, 6),
                textcoords="offset points", ha="center")
ax.set(xscale="log", xlabel="numbers trained", ylabel="held-out sums wrong, %", ylim=(0, None))
show(figure, "Held-out sums wrong, in percent, against the numbers trained, from 2,000 for rank 1 to "
             "101,000 for all weights, on a logarithmic axis. Five dots for each kind, all between 0 and "
             "0.6 percent; the groups overlap.")
for kind in kinds:
    runs, y = of("mend", kind), shares(kind)[:, -1]
    ms = 1000 * np.mean([run["seconds"] for run in runs]) / 200
    print(f"{kind:8} rate {runs[0]['lr']:<6g} {runs[0]['trained']:8,} numbers  {y.mean():.1%} (from "
          f"{y.min():.1%} to {y.max():.1%})  {ms:.1f} ms a step")

# %% [markdown]
# Rank 1, two percent of the numbers, ends where all weights end: this habit needs one direction in each matrix. The
# time of a step hardly changes: the products with `W` are all still there, only that for `dW` is gone. What LoRA saves
# is the size of the file, and memory: $m$ and $v$ for 2,048 numbers, not for 101,440. (Ours keeps the arrays of all
# gradients; it need not.)
#
# ## What is forgotten
#
# A new habit can cost an old one: *catastrophic forgetting* (McCloskey and Cohen, 1989). Our GPT of Shakespeare reads the
# plays in capitals, for 60 steps. Below are its losses on held-out capitals, and on the plain text that it knew, for three
# seeds, and for two learning rates of each kind. **Before you run the next cell:** which will forget less, all weights or an adapter?

# %%
start = of("forget", "full")[0]["before"]
print(f"before, first seed             capitals {start['capitals']:.2f}         plain {start['plain']:.2f}")
for kind in ("full", "full, slower", "LoRA 8", "LoRA 8, slower", "LoRA 1", "LoRA 1, slower"):
    runs = of("forget", kind)
    row = f"{kind:14} {1000 * np.mean([run['seconds'] for run in runs]) / 60:3.0f} ms a step"
    for what in ("capitals", "plain"):
        y = [run["after"][what] for run in runs]
        row += f"   {what} {min(y):.2f} to {max(y):.2f}"
    print(row, f"  taken off {runs[0]['taken off']:.2f}" if "taken off" in runs[0] else "")

# %% [markdown]
# All of them forget, and the faster rate forgets more. While it is on, an adapter is no protection: all weights, at the
# slower rate, learn more capitals than any adapter here, and forget as little as the mildest of them. (In large models
# LoRA was seen to learn less and to forget less: Biderman and others, 2024.) What an adapter gives is a way back. Taken
# off, the old loss is there again; whoever has changed all weights needs the old file.
#
# ## A dialogue
#
# Can our Shakespeare model, 809,600 numbers, answer questions? `data/dialogues.py` has made some 2,400 about people of
# the plays, sums in words and letters of words, small enough for its window of 64 letters. Held out are other words, other sums
# and, of facts that nobody could guess, other ways to ask. The adapter in `data/checkpoints/dialogue` comes from
#
# ```
# numpygpt finetune --base data/checkpoints/shakespeare_char --data data/dialogues --lora_rank 8 --out_dir out/dialogue
# numpygpt chat --out_dir out/dialogue
# ```
#
# The first takes four minutes on one core. **Before you run the next cell:** what does the model answer without the adapter? It has
# read thousands of speeches, but never an answer like these.

# %%
from numpygpt.chat import Chat, render

path = "../data/checkpoints/dialogue/checkpoint.npz"
arrays, meta = load_checkpoint(path)

def ask(questions):
    for question in questions:
        chat = Chat(shakespeare, char, template=PLAY)
        room = 64 - len(render(char, [("user", question)], PLAY))
        said = "".join(chat.answer(question, max_new_tokens=room, rng=rng, temperature=0))
        print(f"{question:34} {said}")

questions = [val_chats[i][0][1] for i in (8, 13, 20, 2, 40, 7, 23, 5)]
ask(questions)

# %%
adapter = Adapter(shakespeare, **meta["lora"], rng=rng)
adapter.load_params(part(arrays, "model."))
print(f"{adapter.num_params():,} numbers, a file of {Path(path).stat().st_size / 1000:.0f} kB\n")
ask(questions)

# %% [markdown]
# Now half of all that were held out. The control is what a lazy student would do: always give the commonest answer of the kind.

# %%
from numpygpt.evaluate import answers_right, share_of

def verdicts_on(talks):
    pairs = [(talk.prompt, talk.answer) for talk in talks]
    return np.concatenate([*answers_right(shakespeare, pairs)])    # chapter 26

def kind_of(chat):
    question = chat[0][1]
    if any(word in question for word in ("begin", "end?", "letter")):
        return "letters"
    return "sums" if question.startswith("Add") or " and " in question else "people"

# %%
asked, verdicts = val_chats[::2], verdicts_on(val_talks[::2])
kinds = np.array([kind_of(chat) for chat in asked])
for kind in ("letters", "people", "sums"):
    known = [chat[1][1] for chat in train_chats if kind_of(chat) == kind]
    lazy = max(sorted(set(known)), key=known.count)
    hits = np.array([chat[1][1] == lazy for chat in asked])
    print(f"{kind:8} {verdicts[kinds == kind].mean():4.0%} of {(kinds == kind).sum()}; the commonest "
          f"answer {hits[kinds == kind].mean():.0%}")
print(f"all      {share_of(verdicts).mean:4.0%}, give or take {share_of(verdicts).error:.0%}")
known = verdicts_on([talk for talk, chat in zip(talks, train_chats) if kind_of(chat) == "sums"])
print(f"sums that it was trained on: {known.mean():.0%} of {len(known)}")

# %% [markdown]
# Letters it has learned as a rule: these are words that it was never asked about. Facts it knows in other words, mostly. Of the sums not one
# is right, though it knows 90% of those that it was trained on: by heart. And what has it forgotten?

# %%
from numpygpt.data import DataLoader, split

text = np.array(char.encode(Path("../data/shakespeare.txt").read_text()))
plain = next(DataLoader(split(text)[1], 16, 64, rng=np.random.default_rng(0)))
with_it = shakespeare(*plain)[1]
adapter.take_off()
print(f"loss on plain Shakespeare with the adapter {with_it:.2f}, taken off {shakespeare(*plain)[1]:.2f}")

# %% [markdown]
# With the adapter on, it has lost a good part of its Shakespeare; with it off, nothing. (1.92, and not the 1.84 from above: these are
# other windows of the text.) One model, and a small file for each thing that it is to do.
#
# Try it: the adapter is off now. Ask the questions again, and something that no example was like. Then `adapter.put_on()`, and ask
# once more.
#
# <details><summary>Answer</summary>
#
# Taken off, it begins with *I will* or *I would* again, whatever the question. With it, to *Who are you?* it says
# *Two.*, to *Who is Hamlet?* *With e.*, to *Where do I meet Hamlet?* *Measure for Measure.* It has learned to answer.
# None of its examples says *I do not know*.
#
# </details>
#
# ## Export

# %%
export("27_finetuning")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/27_finetuning.ipynb](../exercises/27_finetuning.ipynb). A check says what is
# wrong, and `hint("finetune-loss")` helps.
#
# | task | | minutes |
# |---|---|---|
# | the loss on answers | medium | 20 |
# | several examples in a row | medium | 25 |
# | an adapter | hard | 30 |
# | which program wrote this log? | medium | 20 |
#
# ## Recap
#
# - Fine-tuning changes a trained model with a few examples. The loss is on their answers: each row of $p - y$ times its weight.
# - The mean is over the tokens that have a loss, of all parts of a batch together. No gradient check sees a wrong mask; look at
#   the data.
# - Rows are padded or packed; packed ones save room, and let examples read each other.
# - LoRA trains a change of low rank, `B` from zero. It saves memory and files, hardly time; merged, it costs nothing; taken off, it
#   leaves no trace.
# - We exported `nn/lora.py` and `posttraining/`: `masked.py`, `examples.py`, `finetune.py`, `adder.py`; `numpygpt finetune` uses them.
