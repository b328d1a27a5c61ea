# %% [markdown]
# # Chapter 19: Shakespeare
#
# Everything is built. Now three GPTs get the same text, cut in three ways: into characters, into
# words, and into BPE tokens ([chapter 14](14_bpe.ipynb)). Before we train them, let us see what
# they know. It should be nothing: each gives every one of its V tokens the probability $1/V$, with
# a loss of $\ln V$. We turn that into bits per character, as in [chapter 13](13_tokenizers.ipynb), where
# it was $\log_2 63$ for characters. **Before you run the cells below:** will it be the same for all three?
#
# The two numbers in the first cell set the size of everything that follows.

# %%
SCALE = 1   # 2: twice as wide, as deep, and as much context, for about ten times the arithmetic
STEPS = 2000

# %%
import math
from pathlib import Path

import numpy as np

from numpygpt.data import split
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
train_text, val_text = split(text)    # as in chapter 15
tokenizers = {
    "char": CharTokenizer.train(train_text),
    "word": WordTokenizer.train(train_text, min_freq=4),
    "BPE": BPETokenizer.train(train_text, vocab_size=1024),
}

# %%
train = {name: np.array(tok.encode(train_text)) for name, tok in tokenizers.items()}
val = {name: np.array(tok.encode(val_text)) for name, tok in tokenizers.items()}

def to_bits(nats_per_token, name):
    """Bits per character of the validation text."""
    return nats_per_token / math.log(2) * len(val[name]) / len(val_text)

for name, tok in tokenizers.items():
    nats = math.log(tok.vocab_size)
    print(f"{name:4}  V = {tok.vocab_size:4}   {len(val_text) / len(val[name]):.2f} characters a token"
          f"   loss {nats:.2f} nats   {to_bits(nats, name):.2f} bits per character")

# %% [markdown]
# Three models that know nothing, and one of them needs little more than half the bits of another.
# (It does not pay for its unknown words yet; we come to that.) Nothing has been learned yet, so its
# lead must come from its tokens: whoever knows the words of a language knows a good part of it.
#
# **The question of this chapter:** with the same layers, the same number of steps and the same
# text, which tokens give the best model? And which of the possible answers is honest?
#
# ## Shapes, sizes and budget
#
# | name | meaning | value or shape |
# |---|---|---|
# | `T` | tokens of context, `block_size` | 32 · SCALE |
# | `B` | windows in a batch | 24 |
# | `C` | width, `n_embd`, in `H` = 4 heads | 64 · SCALE |
# | `n_layer` | blocks | 2 · SCALE |
# | `wte.W` | an embedding for each token, and the head | `(V, C)` |
# | `train[name]`, `val[name]` | ids of the two texts, nine tenths and one tenth | `(N,)` |
#
# All three see the same number of tokens. For each token, a model of $P$ parameters does about $2P$
# operations forward, a multiplication and an addition for each weight, and twice that backward: one
# product for the gradient of the weight, one for the gradient of its input. The embedding is read
# forward without any arithmetic, but as head it is multiplied in full. Without the products inside
# attention, 2 to 8 percent more here, the cost of a step is about
#
# $$6 \, B T \,(P_{\text{blocks}} + V C)$$
#
# operations on floating-point numbers. A GFLOP is a billion of them.

# %%
from numpygpt import GPT, GPTConfig

B, T, C, H = 24, 32 * SCALE, 64 * SCALE, 4

def new_model(name, seed=0):
    config = GPTConfig(tokenizers[name].vocab_size, T, 2 * SCALE, H, C)
    return GPT(config, rng=np.random.default_rng(seed))

# %%
def in_blocks(model):
    return sum(p.size for key, p in model.params().items() if key.startswith("blocks"))

step_flop = {}
for name, tok in tokenizers.items():
    model, in_table = new_model(name), tok.vocab_size * C
    step_flop[name] = 6 * B * T * (in_blocks(model) + in_table)
    print(f"{name:4}  {model.num_params():7,} parameters: {in_blocks(model):,} in blocks, "
          f"{in_table:7,} in wte   {step_flop[name] / 1e9:.2f} GFLOP a step")

# %% [markdown]
# The blocks are equal. The word model spends most of its parameters, and most of its work, on
# the table of its words. So "the same budget" is a choice. The same number of tokens, as here, is
# neither the same arithmetic nor the same text: a step of the word model reads several times as many
# characters.
#
# ## By hand: which loss is lower?
#
# Take a line of 8 characters. The char model needs 8 tokens for it, with a mean loss of 2.5 nats.
# The word model needs 4, with a mean loss of 4.5. **Before you run the next cell:** which of the two
# gave the line the higher probability?

# %%
for name, n_tokens, loss in [("char", 8, 2.5), ("word", 4, 4.5)]:
    print(f"{name}: log P = -{n_tokens} · {loss} = {-n_tokens * loss}, "
          f"{n_tokens * loss / math.log(2) / 8:.2f} bits per character")

# %% [markdown]
# The word model did, with the higher loss. Losses per token cannot be compared between models with
# different tokens.
#
# ## Measuring on every character
#
# [Chapter 16](16_training.ipynb) estimated the validation loss from random windows. To compare
# tokenizers we want the same text for each, and a fair share of context: the first prediction of a
# window is made from one token. So each window starts half a window after the one before, and only
# the second half of its predictions counts. Every token is scored once, except at the two ends: the
# first half window, and up to half a window that is left over at the end.

# %%
from numpygpt.nn.functional import cross_entropy

def windows(ids):
    starts = np.arange(0, len(ids) - T, T // 2)
    both = ids[starts[:, None] + np.arange(T + 1)]          # (n, T+1)
    return both[:, :-1], both[:, 1:]                        # x, y: (n, T)

# %% [markdown]
# First one window at a time, then many at once; they must agree.

# %%
def nats_loop(model, ids):
    pairs = zip(*windows(ids), strict=True)
    return np.mean([cross_entropy(model(x[None])[0, T // 2 :], y[T // 2 :]) for x, y in pairs])

def nats(model, ids, at_once=128):
    (x, y), total = windows(ids), 0.0
    for i in range(0, len(x), at_once):
        part = slice(i, i + at_once)
        loss = cross_entropy(model(x[part])[:, T // 2 :], y[part, T // 2 :])
        total += loss * len(x[part])
    return total / len(x)

# %%
model = new_model("BPE")
few = val["BPE"][:10_000]
print("one at a time and many at once agree:", np.isclose(nats_loop(model, few), nats(model, few)))
print(f"before training {nats(model, few):.2f}, ln V = {math.log(1024):.2f}")

# %% [markdown]
# One thing is missing. The word tokenizer writes `<unk>` for each word that it does not know, and a
# score that does not charge it for saying which word that was is not honest. As in chapter 13, we
# charge it the letters of each unknown word, and a space. How much is a letter? There the unigram
# set the price, like everything else in that chapter. Here the models are better, so the speller
# must be, too, or we would blame the words for a poor speller.
#
# Ours counts letters in the rare words of the training text, those that became `<unk>`. To predict
# a letter from the $n$ before it, it takes the prediction from $n - 1$ letters and corrects it by
# what followed those $n$ letters in the rare words:
#
# $$p_n = \frac{\text{times the letter followed these } n + 10 \, p_{n-1}}{\text{times these } n
# \text{ occurred} + 10}, \qquad p_{-1} = \tfrac{1}{63}$$
#
# With no letter known, each of the 63 characters is equally likely. The shorter prediction counts
# like ten occurrences, a number that we chose. Many occurrences outweigh it; with none, $p_n =
# p_{n-1}$.

# %%
from collections import Counter

from numpygpt.tokenizers.word import PIECE

def endings(word, order):
    """For each letter, and a space at the end: the text up to it, in pieces of 1 to order + 1."""
    padded = " " * order + word + " "
    for i in range(order, len(padded)):
        yield [padded[i - n : i + 1] for n in range(order + 1)]

def spelling_bits(words, examples, order):
    """Bits for all letters of `words`, from letters counted in `examples`."""
    pieces = [p for word in examples for letter in endings(word, order) for p in letter]
    times, before = Counter(pieces), Counter(p[:-1] for p in pieces)
    bits = 0.0
    for word in words:
        for letter in endings(word, order):
            p = 1 / tokenizers["char"].vocab_size
            for piece in letter:
                p = (times[piece] + 10 * p) / (before[piece[:-1]] + 10)
            bits -= math.log2(p)
    return bits

# %%
known = tokenizers["word"].id_of
rare = [p for p in PIECE.findall(train_text) if p not in known]
unknown = [p for p in PIECE.findall(val_text) if p not in known]
words = [p for p in PIECE.findall(val_text) if p.isalpha()]
print(f"unknown: {len(unknown) / len(val['word']):.1%} of the tokens, "
      f"{sum(w not in known for w in words) / len(words):.1%} of the words")
for order in range(5):
    spelling = spelling_bits(unknown, rare, order) / len(val_text)
    print(f"spelled from {order} letters before: {spelling:.2f} bits per character of the text")

# %% [markdown]
# We take the last, the cheapest. (Choosing it on the validation text favors the words slightly.)

# %%
def bits(name, model):
    """Bits per character of all validation text, unknown words paid for."""
    return to_bits(nats(model, val[name]), name) + (spelling if name == "word" else 0)

# %% [markdown]
# ## What is a good number?
#
# A model that predicts well compresses well: with $-\log_2 p$ bits for each token it can write down
# the text. So any program that compresses files is a rival. We take two from Python's library, give
# them the training text, and count the bytes that the validation text adds.

# %%
import zlib

def added_bits(compress):
    both, first = (len(compress(part.encode())) for part in (text, train_text))
    return (both - first) * 8 / len(val_text)

counts = np.bincount(train["char"], minlength=tokenizers["char"].vocab_size)
letter_bits = -np.log2(counts / counts.sum())
rows = [("knows nothing (characters)", 0, math.log2(tokenizers["char"].vocab_size))]
rows += [("unigram of characters", 62, letter_bits[val["char"]].mean())]
rows += [("zlib, as in zip files", 0, added_bits(zlib.compress))]
rows += [("MLP of chapter 7", 19_503, 2.774)]    # from the table there
for name, size, value in rows:
    print(f"{name:28} {size:8,} parameters   {value:.2f} bits per character")

# %% tags=["own-computer"]
import lzma    # Python in a web page comes without it

rows += [("lzma, as in xz files", 0, added_bits(lzma.compress))]
print("{:28} {:8,} parameters   {:.2f} bits per character".format(*rows[-1]))

# %% [markdown]
# `lzma` knows nothing of English either. It remembers every string of the training text and points
# back to it. Shannon (1951) let people guess English, reduced to 26 letters and the space, and
# estimated that 0.6 to 1.3 bits per character would do; our text has capitals and punctuation as
# well. **Before you train:** write down where you expect our three models.
#
# ## Train
#
# We measure eight times on the way, and at steps 0, 100, 500 and 2,000 the model writes a few lines.
# Everything else is the `Trainer` of [chapter 16](16_training.ipynb) with the threads of [chapter
# 18](18_speed.ipynb).

# %%
from numpygpt.engine import ThreadedEngine
from numpygpt.generate import generate
from numpygpt.training import TrainConfig, Trainer

def write(name, model, n_chars=180):
    """A sample that starts after a line break."""
    tok = tokenizers[name]
    start = np.array([tok.encode("\n")])
    n_tokens = round(n_chars * len(val[name]) / len(val_text))
    ids = generate(model, start, n_tokens, temperature=0.8, rng=np.random.default_rng(3))
    return tok.decode(ids[0].tolist()).strip()

# %%
def new_trainer(name, steps=STEPS):
    config = TrainConfig(batch_size=B, max_iters=steps, lr=5e-3, eval_interval=10**9, eval_iters=1)
    model = new_model(name)
    return Trainer(model, train[name], val[name], config, ThreadedEngine(model))

# %%
def train_and_watch(name):
    trainer, curve, samples = new_trainer(name), [], {}
    for step in range(STEPS + 1):
        if step in (0, 100, 250, 500, 750, 1000, 1500, STEPS):
            curve.append((step, bits(name, trainer.model)))
            print(f"{name:4}  step {step:4}   {curve[-1][1]:.3f} bits per character")
        if step in (0, 100, 500, STEPS):
            samples[step] = write(name, trainer.model)
        if step < STEPS:
            trainer.step()
    return trainer.model, curve, samples

# %% tags=["measurement", "own-computer"]
import time

models, curves, samples = {}, {}, {}

def run(name):
    start = time.perf_counter()
    models[name], curves[name], samples[name] = train_and_watch(name)
    print(f"{name:4}  {time.perf_counter() - start:.0f} seconds")

run("char")

# %% tags=["measurement", "own-computer"]
run("word")

# %% tags=["measurement", "own-computer"]
run("BPE")

# %% [markdown]
# Your digits will differ from these: after hundreds of steps in float32, a sum taken in another order
# has become another model. The numbers of this chapter are those of one run. What must hold everywhere
# is this:

# %%
final = {name: curve[-1][1] for name, curve in curves.items()}
print("each has learned:", all(curve[-1][1] < 0.8 * curve[0][1] for curve in curves.values()))
print("each is better than zlib, and than the MLP:", max(final.values()) < rows[3][2])

# %% tags=["measurement"]
rows += [(f"GPT, {name}", models[name].num_params(), value) for name, value in final.items()]
for name, size, value in sorted(rows, key=lambda row: -row[2]):
    print(f"{name:28} {size:8,} parameters   {value:.2f} bits per character")

# %%
from coursekit.figures import BLACK, BLUE, GREEN, GRAY, ORANGE, show, subplots

figure, axes = subplots(size=(8, 3.2))
for place, (name, _, value) in enumerate(sorted(rows, key=lambda row: -row[2])):
    axes.barh(place, value, color=BLUE if name.startswith("GPT") else GRAY)
    if name == "GPT, word":
        axes.barh(place, spelling, left=value - spelling, color=BLUE, edgecolor="white", hatch="//")
    axes.text(value + 0.05, place, f"{name}, {value:.2f}", va="center")
axes.set(xlabel="bits per character, validation (hatched: the spelling of unknown words)",
         xlim=(0, 7.5), yticks=[])
show(figure, "Bars of bits per character, longest first. Knowing nothing costs 5.98, a unigram 4.81, "
             "zlib 3.19, the MLP of chapter 7 2.77. The GPT over characters is below that, lzma below "
             "it; the GPTs over words and BPE are shortest, and about as long as each other. A third of "
             "the word model's bar is hatched: the price of spelling unknown words.")

# %% [markdown]
# And on the way there, step by step:

# %%
def characters_read(name, steps):
    return steps * B * T * len(train_text) / len(train[name])

def draw_curves(by_step, by_chars):
    for name, color, style in [("char", BLUE, "o-"), ("word", ORANGE, "s-"), ("BPE", GREEN, "^-")]:
        steps, values = np.array(curves[name]).T
        by_step.plot(steps, values, style, color=color, label=name)
        by_chars.plot(characters_read(name, steps)[1:], values[1:], style, color=color)

# %%
figure, (by_step, by_chars) = subplots(1, 2, size=(9, 3.4), sharey=True)
draw_curves(by_step, by_chars)
by_chars.axvline(len(train_text), color=GRAY, linestyle=":")
by_chars.text(len(train_text), 5.6, " whole text, once", color="#555555")
for axes, label in ((by_step, "step"), (by_chars, "characters of the training text read")):
    axes.axhline(rows[4][2], color=BLACK, linewidth=0.8)
    axes.set(xlabel=label, ylim=(2, 6.1))
by_chars.text(8e4, rows[4][2] - 0.03, "lzma", va="top", fontsize=9)
by_step.set_ylabel("bits per character, validation")
by_chars.set_xscale("log")
by_step.legend()
show(figure, "Bits per character on the validation text. By steps, the char curve lies above the other "
             "two all the way, and the BPE curve draws near to that of words. By characters read, on a "
             "logarithmic axis, word begins far below the others and flattens, BPE meets it between two "
             "and three million, and char ends at 1.5 million, still above both. Word and BPE pass a "
             "thin line that marks lzma.")

# %% [markdown]
# At every step the char model is last, and in the first hundred the word model leaves both others
# behind: with its words it was given what they must find out. Then its curve flattens, and the BPE
# model draws near. But a step of the word model reads more text, and does more arithmetic. So we
# read off the curves how many bits each model needed once it had read the same text, or done the
# same arithmetic: first as much as the char model's whole run, then as much as the BPE model's:

# %% tags=["measurement"]
def bits_at(name, steps):
    known_steps, values = np.array(curves[name][1:]).T
    return np.interp(np.log(steps), np.log(known_steps), values)

def compare(label, cost, whose):
    steps = {name: STEPS * cost[whose] / cost[name] for name in tokenizers}
    found = [f"{name} {bits_at(name, n):.2f}" if n <= STEPS else " " * (len(name) + 5)
             for name, n in steps.items()]
    print(f"{label:34}", "   ".join(found))

one, chars = dict.fromkeys(tokenizers, 1), {n: characters_read(n, 1) for n in tokenizers}
compare(f"{STEPS:,} steps", one, "char")
for whose in ("char", "BPE"):
    compare(f"{STEPS * chars[whose] / 1e6:.1f} million characters read", chars, whose)
    compare(f"{STEPS * step_flop[whose] / 1e9:,.0f} GFLOP", step_flop, whose)

# %% [markdown]
# So several sentences are true at once. With equal steps, words are ahead of BPE, by a little. With
# equal text, words are ahead at first, and BPE has caught up when both have read its 3.7 million
# characters. With equal arithmetic, BPE is ahead on these curves, as a step of the word model costs
# more than twice as much. One caution: a value read off in the middle of a run was measured while
# the learning rate was still high. A word model trained for only that many steps would end somewhat
# better, so a lead of 0.04 is not settled. The char model is last by any measure, though its curve
# is the steepest where it ends: it has the most to gain from more steps. The MLP of chapter 7, with
# a fifth of its parameters, comes close to it: a small GPT is a slow starter.
#
# Two GPTs need fewer bits than `lzma`, and one does not. `lzma` keeps the whole text to point back to; a
# GPT has only its parameters to remember with.
#
# And the word model owes its place to the speller. Of its bits, 0.88 are the price of unknown words,
# which no training of the GPT can lower. At the price of a unigram, 1.15, it would be last of the three.
# Whenever somebody compares tokenizers, ask what became of the words that one of them does not know.
#
# Is the lead of words over BPE luck? **Try it:** give `new_model` the seed 1, then 2, and run the three
# again.
#
# <details><summary>Answer</summary>
#
# With seeds 0, 1 and 2 we got 2.43, 2.43, 2.43 for words, 2.46, 2.46, 2.45 for BPE, and 2.67, 2.67,
# 2.65 for characters. So it is not the seed. It may still be the learning rate, the same 0.005 for
# all, which nobody has tuned for any of them.
#
# </details>
#
# ## What they write

# %% tags=["measurement"]
for step, sample in samples["char"].items():
    print(f"--- char, step {step} ---\n{sample}\n")

# %% tags=["measurement"]
for name in ("word", "BPE"):
    print(f"--- {name}, step {STEPS} ---\n{samples[name][STEPS]}\n")

# %% [markdown]
# At step 0 all characters are about equally likely. After 100 steps the spaces come about as often
# as in English, and a few short words are real; after 500, there are line breaks, speakers in
# capitals and many real words; after 2,000 most words are real, or nearly so. The word model spells
# every word right, as it cannot do otherwise, and says `<unk>` where it has none. BPE can invent
# words, but out of larger pieces. None of them knows what it is talking about.
#
# ## Break it: a number that is too good
#
# A slip of one index, and the targets are the tokens that the model reads. **Before you run the
# next cell:** what loss will it reach in 200 steps, and would the curve tell you that something is
# wrong?

# %%
class SlippedLoader:
    """Gives x as its own target."""

    def __init__(self, loader):
        self.loader = loader

    def __next__(self):
        x, _ = next(self.loader)
        return x, x

# %% tags=["own-computer"]
trainer = new_trainer("char", 200)
trainer.loader = SlippedLoader(trainer.loader)
for _ in range(200):
    record = trainer.step()
slipped = trainer.model
claimed = record["train_loss"] / math.log(2)
print("it claims less than 0.5 bits per character:", claimed < 0.5)

# %% [markdown]
# That would be better than Shannon's readers. The curve falls smoothly, no gradient is wrong, and
# every test of the layers passes. Two things find it: a number that cannot be true, and the text
# that the model writes.

# %%
def repeats(model):
    """How often a greedy model repeats the character that it was given."""
    ids = val["char"][:T][None]
    return float((model(ids).argmax(axis=-1) == ids).mean())

print("the slipped model repeats what it reads:", repeats(slipped) > 0.9)
print("the honest model does not:", repeats(models["char"]) < 0.3)

# %% [markdown]
# ## Look inside: what the heads attend to
#
# Each head of the char model has learned where to look. Rows are the characters that ask, columns
# those that they read from; the stronger the blue, the larger the weight. **Before you look:** where might
# a head look to predict the next letter of a word?

# %%
line = "my lord, I will go"
models["char"](np.array([tokenizers["char"].encode(line)]))
maps = np.concatenate([block.attn.p[0] for block in models["char"].blocks[:2]])   # (2·H, T, T)
figure, grid = subplots(2, H, size=(10.4, 5.6))
for i, axes in enumerate(grid.flat):
    axes.imshow(maps[i], cmap="Blues", vmin=0, vmax=1)
    axes.set_title(f"block {i // H}, head {i % H}", fontsize=9)
    axes.set_xticks(range(len(line)), line.replace(" ", "␣"), fontsize=8)
    axes.set_yticks(range(len(line)), line.replace(" ", "␣"), fontsize=8)
show(figure, "Attention weights of eight heads over one line, rows asking, columns read. The heads of "
             "block 0 are strong near the diagonal, most often one place to its left; those of block 1 are "
             "mostly weak, spread over the whole row, with a few strong cells.")

# %% [markdown]
# The first block looks nearby, and each of its heads gives the character before more weight than
# any other. The second block looks farther back, and spreads its weight over many characters. We
# can put numbers to it: the mean weight on the character itself, on the one before, and so on.

# %% tags=["measurement"]
rows_of = np.arange(4, len(line))                  # those that have four characters to look back at
for i, p in enumerate(maps):
    back = [float(p[rows_of, rows_of - d].mean()) for d in range(4)]
    print(f"block {i // H}, head {i % H}: itself {back[0]:.2f}, one back {back[1]:.2f}, "
          f"two {back[2]:.2f}, three {back[3]:.2f}, farther {1 - sum(back):.2f}")

# %% [markdown]
# ## Look inside: which tokens are alike
#
# The model was never told what a word is. It only moved embeddings until its predictions got better.
# Tokens that can stand in the same places should have come to point the same way. We rank by cosine
# similarity.

# %%
def neighbors(name, token, k=5):
    tok, W = tokenizers[name], models[name].wte.W
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    (i,) = tok.encode(token)
    nearest = np.argsort(-unit @ unit[i])[1 : k + 1]
    return [tok.decode([int(j)]) for j in nearest]

# %% tags=["measurement"]
for name, tokens in [("char", "aTz."), ("word", ["king", "he", "shall", "ROMEO", "good"])]:
    for token in tokens:
        print(f"{name:4}  {token!r:8} {neighbors(name, token)}")

# %% [markdown]
# Vowels lie near vowels, marks that end a sentence near others, and capitals near capitals. Words
# are as clear: pronouns, verbs that go before another verb, names of speakers, adjectives of
# praise. Nobody said so; it follows from predicting the next token. Not all lists are as clear:
# look at `z`, the rarest of the four characters, and at the end of `king`'s.
#
# ## Your own layers
#
# So far the layers that the chapters exported did the work. If you have done exercises, your own can
# do it. `adopt` takes each answer in `exercises/` that its check accepts, and puts it in place of the
# package's method for the rest of this session. First, twenty steps of the package as it is:

# %% tags=["own-computer"]
def first_losses(steps=20):
    trainer = new_trainer("char")
    return [trainer.step()["train_loss"] for _ in range(steps)]

package_losses = first_losses()

# %% tags=["measurement", "own-computer"]
from coursekit import adopt

parts = adopt("../exercises")

# %% [markdown]
# **Before you run the next cell:** the twenty losses start from the same weights and read the same
# batches. How far may they differ if your gradients are right?

# %% tags=["own-computer"]
your_losses = first_losses()
print("the same losses with the layers of exercises/:",
      np.allclose(your_losses, package_losses, rtol=1e-3))

# %% [markdown]
# By rounding alone: your sums may run in another order. Want more? Run `train_and_watch("char")` in a
# new cell, and the whole GPT is yours. (If your answers have loops, bring some patience.) To see that
# it is really your code, put `print("mine")` into a backward pass of yours, restart the notebook, and
# run it again.
#
# ## Experiment
#
# Set `SCALE = 2` at the top and let the notebook run while you do something else. Or keep the size
# and ask one of these:
#
# - How far does the char model get if it may read as many characters as the word model did? Give it
#   more `STEPS`.
# - BPE with `vocab_size=512`, or 4,096: where is the best number, and what does it cost a step?
# - Let the char model spell the unknown words: does it beat our counts of four letters?
# - `activation="gelu"` in `new_model`: is the difference larger than that between two seeds?
#
# ## Recap
#
# - We trained three GPTs on one text and compared them in bits per character, on every character of
#   the validation text, with unknown words paid for.
# - Part of what a model knows is in its tokens before it has learned anything.
# - "The same budget" can mean tokens, characters or arithmetic. The ranking depends on it, and on the
#   price of unknown words, so say which you mean.
# - A number that is too good is a bug until you have found out why.
# - This chapter exports nothing: all that a GPT needs is there, and your own answers fit into it.
# - Next: Scaling out, where several processes train one model.
