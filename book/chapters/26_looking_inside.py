# %% [markdown]
# # Chapter 26: Looking inside
#
# Draw 32 characters at random, and write them down twice. Nobody can guess the first half. The second half
# is free: whoever has read the first one copies it. We give 64 such texts to the GPT of `data/`, which was
# trained on Shakespeare. **Before you run the cells:** who knows nothing pays $\ln 63 = 4.14$ nats a
# character. What will our GPT pay, the first time and the second?

# %%
from pathlib import Path

import numpy as np
from coursekit import export
from coursekit.figures import BLACK, BLUE, GRAY, GREEN, ORANGE, PINK, POSITIVE, show, subplots

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
letters = rng.integers(0, 63, (64, 32))
lines = np.array(tokenizer.encode(text[-64 * 32 :])).reshape(64, 32)
for name, once in (("random characters", letters), ("Shakespeare", lines)):
    ids = np.concatenate([once, once], axis=1)    # (64, 64)
    losses = token_losses(gpt(ids[:, :-1]), ids[:, 1:])
    print(f"{name:17}  first time {losses[:, :31].mean():.2f}, second time {losses[:, 31:].mean():.2f}")

# %% [markdown]
# It cannot copy a word. The second time costs more, if anything, even where the text is what it has learned.
# It is sure of itself, too: 8 nats are twice what ignorance costs.
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
# We shall compare losses that differ by hundredths, so we need error bars. Chapter 16 had the standard error
# $\sigma/\sqrt n$ of $n$ *independent* numbers. The losses of neighboring letters are not independent: a
# hard word is hard for several letters, a hard scene for a thousand. So we cut the text into a few long
# stretches, which are nearly independent, and take the spread of *their* means.

# %% tags=["export"]
@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error: two times of three the truth is not further off than that."""

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
    are nearly independent: the error is that of the mean of their means. Of a single value it is
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
    """Return how many rows of T tokens one pass shall take."""
    return max(1, min(TOKENS, LOGITS // model.config.vocab_size) // T)

# %% tags=["export"]
def text_losses(model, ids, context=None):
    """Yield the losses of ids[1:] in nats, each once and in order, some windows at a time: (n,).

    Args:
        ids: (N,). They are cut into windows, each read by itself: its first prediction has one
            token to go by, its last one `context`. A shorter window comes last.
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
# stretches of a thousand letters. Which error is the largest?

# %%
val = np.array(tokenizer.encode(text[-118_903:][:20_001]))    # of the part that is for validation
losses = np.concatenate([*text_losses(gpt, val)])
for stretches in (20_000, 20_000 // 64, 20):
    print(f"{stretches:6} stretches: {mean_of(losses, stretches)}")

# %% [markdown]
# The last, by a good half: letters taken as independent promise too much. `bits_per` turns nats per token into the
# unit of [chapter 13](13_tokenizers.ipynb). For yes and no there is `share_of`, and whether a model solves a
# task, such as `2+3=` with the answer `5`, can be read off in one pass: writing greedily, it gives the
# answer if at each place, all before it given, the next token is the likeliest. **Skim these cells.**

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

    It does if at each token of the answer, those before it given, the next one is the likeliest.
    So one pass tells, and nothing is sampled.

    Args:
        pairs: of ids, prompt and answer. An answer that does not hold its own end, such as a line
            break, is right too where the model would go on.

    Raises:
        ValueError: one of a pair is empty, or both are longer than a window and its target.
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
        hit = model(ids[:, :-1]).argmax(axis=-1) == ids[:, 1:]
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
tasks = [(start, name[n:] + ":\n") for name in ("KATHERINA", "PETRUCHIO", "PROSPERO")
         for n in range(1, len(name)) for start in ["\n\n" + name[:n]]]
pairs = [(tokenizer.encode(prompt), tokenizer.encode(answer)) for prompt, answer in tasks]
right = np.concatenate([*answers_right(gpt, pairs)])
solved = share_of(right)
print(f"names completed: {right.sum()} of {len(right)}, {solved.mean:.0%} ± {solved.error:.0%}; "
      f"the shortest start: {min((tasks[i][0] for i in np.flatnonzero(right)), key=len)!r}")
print("bits per character:", bits_per(mean_of(losses), 20_000, 20_000))

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
x, y = (val[i : i + 24 * 64].reshape(24, 64) for i in (0, 1))
found = streams(x)
for n, stream in enumerate(found):
    logits = lens(stream)
    guess = logits.argmax(axis=-1)
    bare = token_losses(stream @ gpt.wte.W.T, y).mean()
    print(f"after {n} blocks: loss {token_losses(logits, y).mean():.2f}, {np.mean(guess == x):4.0%} guess "
          f"what stands there, {np.mean(guess == y):3.0%} what comes next; without the norm {bare:.2f}")

# %% [markdown]
# It reads the letter that stands there, every time: its own row of `wte` fits best. One block makes a letter
# pair model of it, and the others add ever less. And the norm belongs to the lens: without it the logits have the
# wrong size. A line of the play, guess by guess:

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
     "probability. After 0 blocks it is the character itself, nearly sure. Further up the guesses turn into "
     "those of the line, and grow surer.")

# %% [markdown]
# ## Take a head away
#
# What does a head contribute? Head h writes to the stream through its own rows of `proj.W`. Set them to 0, and it is
# gone. A skeptic will say that the layers after it have never seen such a stream: they miss its mean output, too.
# So we do it twice, the second time leaving that mean in place. (The skeptic's term is *mean ablation*.)
#
# **Before you run the next cell:** there are 16 heads. How many will cost more than 0.02 nats?

# %%
heads = [(layer, h) for layer in range(4) for h in range(4)]
before = token_losses(lens(found[4]), y)
means = [(block.attn.p @ block.attn.v).mean(axis=(0, 2)) for block in gpt.blocks]    # (H, D)

def cost_without(taken, keep_mean=False):
    """What the loss rises by without these heads, (layer, head), on the same text."""
    kept = {name: p.copy() for name, p in gpt.params().items() if ".proj." in name}
    for layer, h in taken:
        proj, rows = gpt.blocks[layer].attn.proj, slice(32 * h, 32 * h + 32)
        proj.b += keep_mean * (means[layer][h] @ proj.W[rows])
        proj.W[rows] = 0
    stream = found[first := min(taken)[0]]
    for block in gpt.blocks[first:]:
        stream = block(stream)
    gpt.load_params(gpt.params() | kept)
    return mean_of((token_losses(lens(stream), y) - before).ravel())

# %%
costs = [[cost_without([head], keep) for head in heads] for keep in (False, True)]
figure, axes = subplots(1, 2, size=(7, 2.8), sharey=True)
for ax, found_costs, title in zip(axes, costs, ("output 0", "output its mean")):
    grid = np.array([cost.mean for cost in found_costs]).reshape(4, 4)
    image = ax.imshow(grid, cmap=POSITIVE, vmin=0, vmax=0.45)
    for (layer, h), cost in np.ndenumerate(grid):
        ax.text(h, layer, f"{cost:.2f}", ha="center", va="center", color="white" if cost < 0.3 else BLACK)
    ax.set(title=title, xlabel="head", xticks=range(4), yticks=range(4))
axes[0].set_ylabel("block")
figure.colorbar(image, ax=axes, label="loss rises by (nats)")
show(figure, "What the loss rises by without each of 16 heads, set to 0 and to its mean. Both grids agree: the four "
     "heads of block 0 cost from 0.05 to about 0.4, all others next to nothing.")

# %% [markdown]
# Four, those of block 0. Both ways agree; the others' errors are ± 0.005 at most, since both losses are of the same
# text, where what is hard cancels. **Before you run the next cell:** so we can do without the other
# twelve?

# %%
print("one at a time, added up:", " ".join(f"{sum(c.mean for c in costs[0][n : n + 4]):.2f}" for n in (0, 4, 8, 12)))
for taken in (heads[:4], heads[4:]):
    print(f"together, blocks {taken[0][0]} to {taken[-1][0]}: {cost_without(taken)}")
t = np.arange(1, 64)
gpt(x)
looks_back = [block.attn.p[:, :, t, t - 1].mean(axis=(0, 2)) for block in gpt.blocks]
print("weight on the letter before, block 0:", looks_back[0].round(2), " block 3:", looks_back[3].round(2))

# %% [markdown]
# Nearly: 0.1 nats for all twelve. But the four of block 0 cost more together than one by one, since they
# stand in for each other. A head that seems useless alone may only have an understudy. Two of the four look at
# the letter before; that is how a network learns letter pairs.

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
# A head of the first block cannot do the second step: its keys know their own token alone. In a text that repeats
# after P tokens, an induction head at t looks at $t - P + 1$. Its weight on that place is its **induction score**.

# %%
def induction_scores(attn, P):
    """The mean weight of each head on the place after the token's last one, (H,)."""
    t = np.arange(P, attn.p.shape[-1])
    return attn.p[:, :, t, t - P + 1].mean(axis=(0, 2))

ids = np.concatenate([letters, letters], axis=1)
gpt(ids)
scores = np.array([induction_scores(block.attn, 32) for block in gpt.blocks])
print(f"the best of our GPT's 16 heads: {scores.max():.3f}; spread evenly, the weight would be {np.mean(1 / np.arange(33, 65)):.3f}")

# %% [markdown]
# Our GPT has the first kind of head, and none of the second. It had no reason to grow one: within 64 letters
# of a play, little is said twice.
#
# ## Grow one
#
# So we give it a reason: texts of 32 random tokens that repeat after 8 to 28, a new period each time. (With one fixed
# period, "look 19 places back" would do, and that is a matter of positions alone.) And we leave out everything
# that is not needed: a Llama ([chapter 23](23_modern_gpt.ipynb)) without feed-forward parts.

# %%
from numpygpt import Llama, LlamaConfig
from numpygpt.nn import Module
from numpygpt.optim import Muon

class Nothing(Module):
    """In place of a feed-forward part and its norm: adds nothing."""

    def forward(self, x):
        return 0.0

    def backward(self, dy):
        return 0.0

def attention_only(n_layer, rng, dtype=np.float32):
    config = LlamaConfig(32, 56, n_layer, 4, 64, hidden=1, tie_weights=False)
    model = Llama(config, rng=rng, dtype=dtype)
    for block in model.blocks:
        block.norm2 = block.ffn = Nothing()
    return model

# %%
from numpygpt import gradcheck

tiny = attention_only(2, rng, np.float64)
for p in tiny.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
