# %% [markdown]
# # Chapter 26: Looking inside
#
# Draw 32 characters at random, and write them down twice. Nobody can guess the first half. The second half
# is free but for its first character: whoever has read the first half copies it. We give 32 such texts to the GPT of
# `data/`, which was trained on Shakespeare. **Before you run the cells:** a model that knows nothing pays
# $\ln 63 = 4.14$ nats per character. What will our GPT pay, the first time and the second?

# %%
import re
from pathlib import Path

import numpy as np
from coursekit import export
from coursekit.figures import BLACK, BLUE, GRAY, ORANGE, POSITIVE, show, subplots

from numpygpt.checkpoint import load_checkpoint, load_model, part
from numpygpt.nn.functional import softmax

gpt, tokenizer, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz")
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")

# %% tags=["export"] module="evaluate.py"
"""Measurements of a model, with standard errors: loss, bits, tasks. Derived in chapter 26."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numpygpt.data import DataError
from numpygpt.nn.functional import log_softmax

# %% tags=["export"]
def token_losses(logits, targets):
    """Return -log p of each target (...), in nats, for logits (..., V)."""
    return -np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]

# %%
rng = np.random.default_rng(26)
letters = rng.integers(0, 63, (32, 32))
lines = np.array(tokenizer.encode(text[-32 * 32 :])).reshape(32, 32)
for name, once in (("random characters", letters), ("Shakespeare", lines)):
    ids = np.concatenate([once, once], axis=1)    # (32, 64)
    losses = token_losses(gpt(ids[:, :-1]), ids[:, 1:])
    first, second = losses[:, :31], losses[:, 32:]    # both without the first character
    print(f"{name:17}  first time {first.mean():.2f}, second time {second.mean():.2f}")

# %% [markdown]
# It cannot copy a word. The second time costs more than the first, even of lines of Shakespeare. And it is sure of
# itself: 8 nats are twice what ignorance costs.
#
# **The questions of this chapter:** what does each part of a trained network do, and how can we tell? Which
# parts would copying need? Other books reach into a network with *hooks*, functions that a library calls on
# the way. We need none: our layers keep what they compute, for the backward pass.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x` | the residual stream | `(B, T, C)` |
# | `attn.p` | attention weights: row t says where position t looks | `(B, H, T, T)` |
# | `attn.proj.W` | its rows h D to (h + 1) D belong to head h | `(H D, C)` |
# | `P` | period: after so many tokens the text repeats | a number |
# | `q`, `scale` | whole numbers from -127 to 127, and what one of them is worth | as `W`, `(1, n_out)` |
#
# ## How sure is a loss?
#
# We shall compare losses that differ by hundredths, so we need error bars. [Chapter 16](16_training.ipynb) had the standard error
# $\sigma/\sqrt n$ of $n$ *independent* numbers. The losses of neighboring letters are not independent: a
# hard word is hard for several letters, a hard scene for a thousand. So we cut the text into a few long
# stretches, which are nearly independent, and take the spread of *their* means.

# %% tags=["export"]
@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error: two times out of three the truth is no further off."""

    mean: float
    error: float

    def __mul__(self, factor):
        return Estimate(self.mean * factor, self.error * factor)

    def __str__(self):
        return f"{self.mean:.4f} ± {self.error:.4f}"

# %% tags=["export"]
STRETCHES = 20

def mean_of(values, stretches=STRETCHES):
    """Return the Estimate of the mean of values (n,) that stand in the order of a text.

    Neighbors are alike, so n of them tell less than n independent ones. Whole stretches of a text
    are nearly independent: the error is that of the mean of their means. For a single value it is
    infinite.
    """
    parts = np.array_split(np.asarray(values, np.float64), min(stretches, len(values)))
    means = np.array([part.mean() for part in parts])
    error = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.inf
    return Estimate(float(np.mean(values, dtype=np.float64)), float(error))

# %% [markdown]
# A text is read in windows, every token once; all losses of a window come out of one pass.

# %% tags=["export"]
TOKENS, LOGITS = 1024, 1 << 22  # of one pass, at most: fast products, and little memory

def rows_of(model, T):
    """Return how many rows of T tokens one pass should take."""
    return max(1, min(TOKENS, LOGITS // model.config.vocab_size) // T)

# %% tags=["export"]
def text_losses(model, ids, context=None):
    """Yield the losses of ids[1:] in nats, each once and in order, some windows at a time: (n,).

    Args:
        ids: (N,). They are cut into windows, each read by itself: the first prediction has
            one token to go by, the last has `context` of them. A shorter window comes last.
        context: tokens of a window; by default block_size.

    Raises:
        ValueError: there are fewer than two ids.
    """
    if len(ids) < 2:
        raise ValueError("it needs two tokens at least: nothing comes before the first")
    x, y, T = ids[:-1], ids[1:], context or model.config.block_size
    n = T * rows_of(model, T)
    whole = len(x) // T * T
    for start in range(0, whole, n):
        here = slice(start, min(start + n, whole))
        yield token_losses(model(x[here].reshape(-1, T)), y[here].reshape(-1, T)).ravel()
    if whole < len(x):
        yield token_losses(model(x[None, whole:]), y[None, whole:])[0]

# %% [markdown]
# **Before you run the next cell:** we take each letter as a stretch of its own, then each window, then 20
# stretches of 750 letters. Which error is the largest?

# %%
val = np.array(tokenizer.encode(text[-118_903:][:15_001]))    # of the part that is for validation
losses = np.concatenate([*text_losses(gpt, val)])
for stretches in (15_000, 15_000 // 64, 20):
    print(f"{stretches:6} stretches: {mean_of(losses, stretches)}")

# %% [markdown]
# The last, by more than half: letters taken as independent promise too much. `bits_per` turns nats per token into the
# unit of [chapter 13](13_tokenizers.ipynb). For yes-or-no results there is `share_of`, and whether a model solves a
# task, such as `2+3=` with the answer `5`, can be read off in one pass: a greedy model gives the answer if at each
# place, given all that comes before, the right token is the likeliest. **Skim these cells.**

# %% tags=["export"]
def bits_per(loss, n_tokens, n_units):
    """Return the loss in nats per token as bits per unit: of n_units characters, or bytes."""
    return loss * (n_tokens / n_units / math.log(2))


def share_of(hits):
    """Return the Estimate of how often independent trials succeed; hits (n,): whether each did.

    Its error is half of Wilson's interval of one standard error: that of 0 of 20 is not 0.
    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    n, p = len(hits), float(np.mean(hits))
    return Estimate(p, math.sqrt(p * (1 - p) / n + 1 / (4 * n * n)) / (1 + 1 / n))

# %% tags=["export"]
def answers_right(model, pairs):
    """Yield whether the model, greedy, answers each prompt with just that answer: (n,) at a time.

    It does if each token of the answer is the likeliest one, given those before it. So one pass
    tells, and nothing is sampled.

    Args:
        pairs: of ids, prompt and answer. An answer that does not hold its own end, such as a line
            break, is right too where the model would go on.

    Raises:
        ValueError: one of a pair is empty, or both are longer than a window and its target; or a
            logit is NaN or infinite.
    """
    T = model.config.block_size
    for number, (prompt, answer) in enumerate(pairs, 1):
        if not (len(prompt) and len(answer) and len(prompt) + len(answer) <= T + 1):
            raise ValueError(
                f"task {number} has {len(prompt)} tokens to read and {len(answer)} to answer: each "
                f"needs one at least, and together they may be {T + 1}"
            )
    T = max(len(prompt) + len(answer) for prompt, answer in pairs) - 1
    n = rows_of(model, T)
    for start in range(0, len(pairs), n):
        part = pairs[start : start + n]
        ids = np.zeros((len(part), T + 1), np.int64)  # zeros behind: no token sees what comes later
        asked = np.zeros((len(part), T), bool)
        for row, (prompt, answer) in enumerate(part):
            end = len(prompt) + len(answer)
            ids[row, :end] = [*prompt, *answer]
            asked[row, len(prompt) - 1 : end - 1] = True
        logits = model(ids[:, :-1])
        if not np.isfinite(logits).all():
            raise ValueError("a logit is NaN or infinite: the weights of the model are lost")
        hit = logits.argmax(axis=-1) == ids[:, 1:]
        yield (hit | ~asked).all(axis=1)

# %% tags=["export"]
def read_tasks(path):
    """Return the pairs of a file, one a line: {"prompt": "2+3=", "answer": "5\\n"}, as texts.

    Raises:
        DataError: the file holds no line, or one that is no such object; the message names it.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            task = json.loads(line)
            pairs.append((task["prompt"], task["answer"]))
            if not all(isinstance(text, str) and text for text in pairs[-1]):
                raise ValueError("prompt and answer must be texts, and not empty")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f'{path}, line {number} is no task such as {{"prompt": "2+3=", "answer": "5"}}: '
                f"{error}"
            ) from None
    if not pairs:
        raise DataError(f"{path} holds no task")
    return pairs

# %%
names = sorted(set(re.findall(r"\n\n([A-Z ]{4,}:\n)", text)))    # of those who speak
pairs = [(tokenizer.encode("\n\n" + name[:3]), tokenizer.encode(name[3:])) for name in names]
right = np.concatenate([*answers_right(gpt, pairs)])
solved = share_of(right)
print(f"names completed after three letters: {right.sum()} of {len(right)}, {solved.mean:.0%} ± "
      f"{solved.error:.0%}")
print("bits per character:", bits_per(mean_of(losses), 15_000, 15_000))

# %% [markdown]
# In a terminal, `numpygpt evaluate --out_dir DIR`, with `--data FILE` or `--task FILE`, does all of this.
#
# ## The logit lens
#
# In [chapter 11](11_transformer.ipynb) each block *added* something to the residual stream. So we can stop after
# any block: the final norm and the head make logits of the stream as it is. This is called the **logit lens**
# (nostalgebraist, 2020). **Before you run the next cell:** the head is `wte` transposed. What will the lens
# read right after the embeddings, where nobody has computed anything?

# %%
def streams(ids):
    """The residual stream after the embeddings, and after each block."""
    found = [gpt.wte(ids) + gpt.wpe(np.arange(ids.shape[1]))]
    for block in gpt.blocks:
        found.append(block(found[-1]))
    return found

def lens(x):
    return gpt.ln_f(x) @ gpt.wte.W.T

# %%
val_x, val_y = (val[i : i + 16 * 64].reshape(16, 64) for i in (0, 1))
stages = streams(val_x)
for n, stream in enumerate(stages):
    logits = lens(stream)
    guess = logits.argmax(axis=-1)
    bare = token_losses(stream @ gpt.wte.W.T, val_y).mean()
    print(f"after {n} blocks: loss {token_losses(logits, val_y).mean():.2f}, "
          f"{np.mean(guess == val_x):4.0%} guess "
          f"what stands there, {np.mean(guess == val_y):3.0%} what comes next; without the norm {bare:.2f}")

# %% [markdown]
# It reads the letter that stands there, every time: its own row of `wte` fits best. The first block does most of the
# work: it gets as far as the bigram of [chapter 7](07_first_language_model.ipynb), and none of the others adds nearly as much. The
# norm belongs to the lens, since the head was trained behind it: after four blocks, 2.13 without it is far from 1.80. (After 0 blocks
# it only makes wrong guesses surer.) A line of the play, guess by guess:

# %%
line = np.array([tokenizer.encode("PROSPERO:\nMy brother and thy")])
probabilities = np.array([softmax(lens(stream))[0] for stream in streams(line)])    # (5, T, V)
shown = [c.replace("\n", "↵").replace(" ", "␣") for c in (tokenizer.decode([i]) for i in range(63))]
figure, ax = subplots(size=(9, 2.6))
image = ax.imshow(probabilities.max(axis=-1), cmap=POSITIVE, vmin=0, vmax=1, aspect="auto")
for (n, t), i in np.ndenumerate(probabilities.argmax(axis=-1)):
    ax.text(t, n, shown[i], ha="center", va="center", color="white" if probabilities[n, t, i] < 0.6 else BLACK)
ax.set(xlabel="read so far", ylabel="blocks", xticks=range(line.size), xticklabels=[shown[i] for i in line[0]])
figure.colorbar(image, ax=ax, label="probability")
show(figure, "The likeliest next character after 0 to 4 blocks at each character of a line, colored by its "
     "probability. After 0 blocks it is the character itself, nearly sure. Further down, after more blocks, "
     "it is a guess of the next character, right about half the time.")

# %% [markdown]
# ## Take a head away
#
# What does a head contribute? Head h writes to the stream through its own rows of `proj.W`. Set them to 0, and it is
# gone. A skeptic will say that the layers after it have never seen such a stream: they miss its mean output, too.
# So we do it twice, the second time leaving that mean in place. (The skeptic's term is *mean ablation*.)
#
# **Before you run the next cell:** there are 16 heads. How many will cost more than 0.05 nats?

# %%
heads = [(layer, h) for layer in range(4) for h in range(4)]
stages = streams(val_x)    # once more: layers keep their last pass, and that was of a line
before = token_losses(lens(stages[4]), val_y)
means = [(block.attn.p @ block.attn.v).mean(axis=(0, 2)) for block in gpt.blocks]    # (H, D)

def losses_without(taken, keep_mean=False):
    """How much the loss of each letter rises without these heads, (layer, head)."""
    kept = {name: p.copy() for name, p in gpt.params().items() if ".proj." in name}
    for layer, h in taken:
        proj, rows = gpt.blocks[layer].attn.proj, slice(32 * h, 32 * h + 32)
        proj.b += keep_mean * (means[layer][h] @ proj.W[rows])
        proj.W[rows] = 0
    stream = stages[first := min(taken)[0]]
    for block in gpt.blocks[first:]:
        stream = block(stream)
    gpt.load_params(gpt.params() | kept)
    return (token_losses(lens(stream), val_y) - before).ravel()

# %%
costs = [[mean_of(losses_without([head], keep)) for head in heads] for keep in (False, True)]
figure, axes = subplots(1, 2, size=(7, 2.8), sharey=True)
for ax, found_costs, title in zip(axes, costs, ("output 0", "output its mean")):
    grid = np.array([cost.mean for cost in found_costs]).reshape(4, 4)
    image = ax.imshow(grid, cmap=POSITIVE, vmin=0, vmax=0.6)
    for (layer, h), cost in np.ndenumerate(grid):
        ax.text(h, layer, f"{round(cost, 2) + 0:.2f}", ha="center", va="center",
                color="white" if cost < 0.4 else BLACK)
    ax.set(title=title, xlabel="head", xticks=range(4), yticks=range(4))
axes[0].set_ylabel("block")
print("heads that cost more than 0.05, both ways:",
      [[head for head, cost in zip(heads, row) if cost.mean > 0.05] for row in costs])
figure.colorbar(image, ax=axes, label="loss rises by (nats)")
show(figure, "How much the loss rises without each of 16 heads, set to 0 and to its mean. Both grids "
             "agree: the four heads of block 0 cost from 0.07 to more than 0.5, all others 0.03 at most.")

# %% [markdown]
# Four, those of block 0, and both ways agree. So can we do without the other twelve? **Before you run the next cell:**
# add up what they cost one by one. Will they cost that together?

# %%
print(f"the largest error of a cost: {max(cost.error for cost in costs[0]):.3f}, of the twelve: "
      f"{max(cost.error for cost in costs[0][4:]):.3f}")
for name, part_of in (("block 0", slice(0, 4)), ("the other twelve", slice(4, 16))):
    alone, together = sum(losses_without([head]) for head in heads[part_of]), losses_without(heads[part_of])
    print(f"{name}: {alone.mean():.2f} added up, {together.mean():.2f} together; difference "
          f"{mean_of(together - alone)}")

# %%
gpt(val_x)
t = np.arange(1, 64)
for n, block in enumerate(gpt.blocks):
    print(f"block {n}, weight on the letter before:", block.attn.p[:, :, t, t - 1].mean(axis=(0, 2)).round(2))

# %% [markdown]
# More, both times: heads stand in for each other, and one that seems useless alone may only have an understudy.
# Still, twelve of sixteen heads are worth 0.2 nats together, and the four of block 0 eight times as much. The most
# expensive one of all looks at the letter before. (The errors are small because both losses are of the same
# text, where what is hard cancels.)

# %% [markdown]
# ## What copying takes
#
# Suppose the text so far is `…ab…a`. To write `b`, a head at the last `a` must look at the place *after* the
# earlier `a`. Its query says "I am an `a`". So the key at that place must say "before me stood an `a`", and
# a key is made of what stands in the stream there: of `b`, and of what earlier blocks have added. It takes two steps:
#
# 1. a **previous-token head**, in an earlier block, writes to each place which token came before it;
# 2. an **induction head** (Elhage et al., 2021; Olsson et al., 2022), in a later block, looks for the place
#    where this is its own token, and copies what stands there.
#
# A head of the first block cannot do the second step: its keys know only their own token and its place. In a text that repeats
# after P tokens, an induction head at t looks at $t - P + 1$. Its weight on that place is its **induction score**.

# %%
def induction_scores(attn, P):
    """The mean weight of each head on the place after the token's last one, (H,)."""
    t = np.arange(P, attn.p.shape[-1])
    return attn.p[:, :, t, t - P + 1].mean(axis=(0, 2))

ids = np.concatenate([letters, letters], axis=1)
gpt(ids)
scores = np.array([induction_scores(block.attn, 32) for block in gpt.blocks])
print(f"the best of our GPT's 16 heads: {scores.max():.3f}; spread evenly, the weight would be "
      f"{np.mean(1 / np.arange(33, 65)):.3f}")
windows = [text[-118_903:][i : i + 64] for i in range(0, 15_000, 64)]
back = [s[t - 4 : t] in s[: t - 1] for s in windows for t in range(4, 64)]
print(f"places in the plays whose last four letters came before, within a window: {np.mean(back):.0%}")

# %% [markdown]
# Our GPT has the first kind of head, and none of the second. Perhaps it had no reason to grow one: within 64 letters of
# a play, next to nothing comes back.
#
# ## Grow one
#
# So we give it a reason: random texts over a vocabulary of 32 tokens, which repeat after 8 to 28 places, each
# with a period of its own. (A fixed one would allow a shortcut, as we shall see.) And we leave out everything
# that is not needed: a Llama ([chapter 23](23_modern_gpt.ipynb)) without feed-forward parts.

# %%
from numpygpt import Llama, LlamaConfig
from numpygpt.nn import Module
from numpygpt.optim import Adam

class Nothing(Module):
    """In place of a feed-forward part and its norm: adds nothing."""

    def forward(self, x):
        return 0.0

    def backward(self, dy):
        return 0.0

def attention_only(n_layer, rng, dtype=np.float32):
    """Two heads of size 16 in each block; a vocabulary of 32 tokens."""
    config = LlamaConfig(32, 56, n_layer, 2, 32, hidden=1, tie_weights=False)
    model = Llama(config, rng=rng, dtype=dtype)
    for block in model.blocks:
        block.norm2 = block.ffn = Nothing()
    for p in model.params().values():
        if p.ndim == 2:    # larger than a Llama's own start, from which so small a model takes long
            p[...] = rng.normal(0, 32**-0.5, p.shape)
    return model

# %%
def repeats(n, rng):
    """Return n texts (n, 57) of random tokens that repeat, and the period of each, (n, 1)."""
    periods = rng.integers(8, 29, (n, 1))
    first = rng.integers(0, 32, (n, 28))
    return np.take_along_axis(first, np.arange(57) % periods, axis=1), periods

def grow(n_layer, steps=450, seed=0):
    rng = np.random.default_rng([seed, n_layer])
    model = attention_only(n_layer, rng)
    optimizer = Adam(model, 6e-3, betas=(0.9, 0.99))
    for _ in range(steps):
        batch, _ = repeats(16, rng)
        optimizer.zero_grad()
        model(batch[:, :-1], batch[:, 1:])
        model.backward()
        optimizer.step()
    return model

# %% [markdown]
# **Before you run the next cell:** a model of one block and one of two train for a few seconds, always on
# fresh texts. Which will guess more than a quarter of the repeats right, and which three quarters?

# %%
held_out, periods = repeats(128, np.random.default_rng(1_000_000))
x, y = held_out[:, :-1], held_out[:, 1:]
again = np.arange(56) >= periods    # (n, T): here the next token can be copied

def right_again(logits):
    return np.mean((logits.argmax(axis=-1) == y)[again])

one, two = grow(1), grow(2)
print("one block guesses more than 25% of the repeats:", bool(right_again(one(x)) > 0.25))
print("two blocks guess more than 75%:", bool(right_again(two(x)) > 0.75))

# %% [markdown]
# One run each proves little. `python benchmarks/induction.py` grew five of each, for 1,000 steps, and measured
# on the way: the loss on repeats, and the best induction score of any head.

# %%
runs = json.loads(Path("../data/induction.json").read_text(encoding="utf-8"))["runs"]

def curves(layers, name):
    return np.array([run[name] for run in runs if run["layers"] == layers])    # (seeds, measurements)

for layers in (1, 2):
    right, best = curves(layers, "right")[:, -1], curves(layers, "induction")[:, -1]
    print(f"{layers} blocks: right on repeats {right.min():.1%} to {right.max():.1%}, best induction "
          f"score {best.min():.2f} to {best.max():.2f}")
for name, score in (("previous", 0.2), ("induction", 0.2), ("induction", 0.5)):
    first = [run["step"][int(np.argmax(np.array(run[name]) >= score))] for run in runs if run["layers"] == 2]
    print(f"two blocks, steps until a head has a score of {score} ({name}): {first}")

# %%
figure, axes = subplots(1, 2, size=(9, 3.2))
steps = runs[0]["step"]
for layers, name, ax, color, style, label in (
    (1, "loss, again", axes[0], GRAY, ":", "one block"), (2, "loss, again", axes[0], BLUE, "-", "two blocks"),
    (1, "induction", axes[1], GRAY, ":", "induction, one block"),
    (2, "previous", axes[1], ORANGE, "--", "previous token, first block of two"),
    (2, "induction", axes[1], BLUE, "-", "induction, two blocks"),
):
    values = curves(layers, name)
    ax.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, lw=0)
    ax.plot(steps, values.mean(axis=0), style, color=color, label=label)
    ax.set(xlabel="step"); ax.legend()
axes[0].set(ylabel="loss on repeats (nats)", ylim=(0, 3.8))
axes[1].set(ylabel="best score of a head", ylim=(0, 1))
show(figure, "Left, the loss on repeats against the step: both fall from 4 to 2.9 in 300 steps. With one "
             "block it then creeps down to 2.8, with two it falls to below 0.3 by step 700. Right: in the "
             "same steps the previous-token score of the first block and then the induction score of the "
             "second rise from near 0 to about 0.4 and 0.6; with one block the induction score stays near "
             "0.")

# %% [markdown]
# With one block the score stays flat for all 1,000 steps, and the loss creeps down to 2.8. With two it looks the same for 300
# steps or more; then a head is born, and the loss falls with it, at a different step for each seed (which is why the band
# is wide). Before the induction head, or with it, comes the previous-token head. Large language models have such a
# moment, too (Olsson et al., 2022).
#
# **Try it:** in `repeats`, make every period 20, and let `grow(1)` run on that. How much of such repeats does
# one block guess right, and how much of those in `held_out`?
#
# <details><summary>Answer</summary>
#
# 93% of the first, 11% of the others, and 4% where the period is 19: there it looks at the token itself. One block has found the
# shortcut: a head that looks 19 places back, by position alone. A test with the period of the training would have called it an induction head.
#
# </details>
#
# ## Path by path
#
# The model of the first seed is in `data/checkpoints/induction`. Which of its heads does what?

# %%
arrays, _ = load_checkpoint("../data/checkpoints/induction/checkpoint.npz")
circuit = attention_only(2, rng, np.float64)
circuit.load_params(part(arrays, "model."))
logits = circuit(x)
rows, t = np.nonzero(again)
for n, block in enumerate(circuit.blocks):
    p = block.attn.p    # (n, H, T, T)
    print(f"block {n}: previous {p[:, :, np.arange(1, 56), np.arange(55)].mean(axis=(0, 2)).round(2)}, "
          f"induction {p[rows, :, t, t - periods[rows, 0] + 1].mean(axis=0).round(2)}")
print(f"right on repeats: {right_again(logits):.1%}")

# %% [markdown]
# **Before you run the next cell:** we take away one head at a time. Which ones can it not copy without?

# %%
def without(block, h):
    """The share right on repeats without a head."""
    W = circuit.blocks[block].attn.proj.W
    kept = W.copy()
    W[16 * h : 16 * h + 16] = 0
    found = right_again(circuit(x))
    W[...] = kept
    return found

for block in (0, 1):
    print(f"block {block}:", "  ".join(f"without head {h} {without(block, h):.0%}" for h in (0, 1)))

# %% [markdown]
# Both kinds are needed. But does the one feed the other as we said: through the *keys*? What a head of block 0 adds
# to the stream can go four ways: into the queries, the keys or the values of block 1, or past it, to the logits. We cut one way
# at a time: in place of the `Linear` of the queries, say, we put one that reads the stream without that head.

# %%
class Reads(Module):
    """In place of a Linear: reads x, whatever it is given."""

    def __init__(self, linear, x):
        self.linear, self.x = linear, x

    def forward(self, _):
        return self.linear(self.x)

def cut(path):
    """The share right on repeats if nothing of head 0 of block 0 comes by a path."""
    first, second = circuit.blocks
    stream = first(circuit.wte(x))
    attn = first.attn
    less = stream - attn.p[:, 0] @ attn.values[:, 0] @ attn.proj.W[:16]
    if path == "past it":
        return right_again(circuit._logits(second(stream) - stream + less))
    linear = getattr(second.attn, path)
    setattr(second.attn, path, Reads(linear, second.norm1(less)))
    found = right_again(circuit._logits(second(stream)))
    setattr(second.attn, path, linear)
    return found

for path in ("q", "k", "v", "past it"):
    print(f"cut {path:8} {cut(path):.0%}")

# %% [markdown]
# As we said: through the keys. Without that path next to nothing is copied, while values and logits do not need
# this head. The queries make some use of it, which we did not predict. Perhaps because the head is blurred, as you see
# below: it looks one *and* two places back, so a query that knows what came before its own token could tell two places of
# the same token apart. (All this is one model. Another seed may deal the roles to other heads.)

# %%
once = np.random.default_rng(3).permutation(32)[:14]
circuit(np.concatenate([once, once])[None])
figure, axes = subplots(1, 2, size=(8, 3.8), sharey=True)
for ax, (block, h), title in zip(axes, ((0, 0), (1, 0)), ("previous token", "induction")):
    image = ax.imshow(circuit.blocks[block].attn.p[0, h], cmap=POSITIVE, vmin=0, vmax=1)
    ax.set(title=f"block {block}, head {h}: {title}", xlabel="looks at place")
axes[0].set_ylabel("place")
figure.colorbar(image, ax=axes, label="weight")
show(figure, "Attention of two heads on 14 tokens that come twice. Left, the previous-token head: a "
             "blurred line just below the diagonal. Right, the induction head: in the second half a clear "
             "line 13 places below the diagonal.")

# %% [markdown]
# ## Eight bits
#
# One more look, at the numbers themselves: how many of their 32 bits are needed? *Quantization* writes a matrix as whole numbers
# from -127 to 127, a byte each, times a scale: $W_{ij} \approx q_{ij}\, s_j$. The largest entry of column j becomes 127, so
# $s_j = \max_i |W_{ij}| / 127$. Rounding is off by $s_j / 2$ at most, and its root mean square is about $s_j/\sqrt{12}$: that of a
# number spread evenly between $-\frac12$ and $\frac12$, times $s_j$.
#
# **Before you run the next cells:** one scale for the whole matrix, one per row, or one per column; 8 bits, or as few as 3.
# What will it cost?

# %%
def rounded(W, axis, bits=8):
    """W as whole numbers of so many bits times scales along an axis, and back."""
    scale = np.abs(W).max(axis=axis, keepdims=True) / (2 ** (bits - 1) - 1)
    return np.round(W / scale) * scale

W = gpt.blocks[0].ffn.fc1.W
print(f"off by {np.std(rounded(W, 0) - W):.6f}; s/√12 is "
      f"{np.sqrt(np.mean((np.abs(W).max(axis=0) / 127) ** 2 / 12)):.6f}")

# %%
def cost_of(axis, bits):
    kept = {name: p.copy() for name, p in gpt.params().items()}
    for p in gpt.params().values():
        if p.ndim == 2:
            p[...] = rounded(p, axis, bits)
    found = mean_of((token_losses(gpt(val_x), val_y) - before).ravel())
    gpt.load_params(kept)
    return found

ways = {"matrix": (0, 1), "row": 1, "column": 0}
bits = (8, 5, 4, 3)
found = {way: [cost_of(axis, n) for n in bits] for way, axis in ways.items()}
for way in ways:
    print(f"one scale per {way:8}" + "   ".join(
        f"{n} bits: {c}" for n, c in zip(bits, found[way]) if n in (8, 4)))

# %%
figure, ax = subplots(size=(6, 3))
for (way, costs_of_way), color, style in zip(found.items(), (GRAY, BLUE, ORANGE), ("s:", "o-", "^--")):
    ax.errorbar(bits, [c.mean for c in costs_of_way], [c.error for c in costs_of_way],
                fmt=style, color=color, label=f"one scale per {way}")
ax.set(xlabel="bits per weight", ylabel="loss rises by (nats)", ylim=(-0.01, 0.25), xticks=bits); ax.legend()
show(figure, "How much the loss rises when all matrices are rounded to 8, 5, 4 or 3 bits. At 8 bits all "
             "three lines are near 0. With one scale per matrix it is 0.03 at 5 bits, 0.16 at 4 and off "
             "the figure at 3; with one scale per row or column it is near 0 at 5 bits, 0.03 at 4 and 0.2 "
             "at 3.")

# %% [markdown]
# With 8 bits the loss changes by a thousandth at most, whichever way. With 4, the finer scales win clearly: one large entry
# makes the steps of all others coarse, and a column has its own steps. A row or a column makes no difference here;
# a column's scale can wait until after the product, $x\,(q\,s) = (x\,q)\,s$. And bytes and time? An output matrix
# of 16,384 rows, a third of that in [chapter 25](25_chat_model.ipynb), times one vector:

# %% tags=["measurement"]
from time import perf_counter

big = rng.standard_normal((16_384, 576), np.float32)    # (out, in): one scale per row is here one per output
big_scale = np.abs(big).max(axis=1) / 127
q = np.round(big / big_scale[:, None]).astype(np.int8)
by_columns, vector = np.ascontiguousarray(big.T), rng.standard_normal(576, np.float32)

def in_blocks(rows=512):
    blocks = [q[i : i + rows].astype(np.float32) @ vector for i in range(0, len(q), rows)]
    return np.concatenate(blocks) * big_scale

def milliseconds(work):
    times = []
    for _ in range(9):
        start = perf_counter(); work(); times.append(1000 * (perf_counter() - start))
    return min(times)

# %% tags=["measurement"]
times = {"float32, as in a file": milliseconds(lambda: big @ vector),
         "float32, by columns": milliseconds(lambda: vector @ by_columns),
         "int8, widened at once": milliseconds(lambda: q.astype(np.float32) @ vector * big_scale),
         "int8, 512 rows at a time": milliseconds(in_blocks)}
for way, ms in times.items():
    print(f"{way:25} {(q if 'int8' in way else big).nbytes / 1e6:5.1f} MB   {ms:5.1f} ms")

# %%
exact = big @ vector
print(f"the product is off by {np.std(in_blocks() - exact) / np.std(exact):.1%} of its size")
print("512 rows at a time are faster than all at once:",
      times["int8, 512 rows at a time"] < times["int8, widened at once"])

# %% [markdown]
# A quarter of the memory, for sure. Time is another matter: NumPy has no product of int8 with floats, so the
# numbers must be widened first. All at once that takes several times as long as the float32 product. Block by block,
# while each is in the processor's cache, it is faster than float32 in the order of the file, but not by columns.
#
# ## Exercises
#
# Now write it yourself: [exercises/26_looking_inside.ipynb](../exercises/26_looking_inside.ipynb). A check says what is
# wrong, and `hint("looking-lens")` helps.
#
# | task | | minutes |
# |---|---|---|
# | through the lens | medium | 20 |
# | what a head adds | easy | 15 |
# | eight bits | medium | 20 |
# | what does it look at? | hard | 30 |
#
# ## Recap
#
# - The losses of a text are not independent: their error comes from stretches of it.
# - The logit lens reads the stream after any block, with the final norm. A head is taken away by setting its rows of `proj.W`
#   to 0; alone and together are two questions.
# - Copying takes two heads, one after the other: one that writes down the token before, one that finds it by its keys. One block cannot.
# - Eight bits per weight cost a thousandth of a nat at most, and save memory rather than time.
# - We exported `evaluate.py`. Next: a trained model learns a task.

# %%
export("26_looking_inside")
