# %% [markdown]
# # Chapter 13: Tokenizers
#
# A GPT reads integers. Something has to turn text into them, and there is more than one way. Here
# is the poorest language model of all, the *unigram*: it knows how often each token occurs in the
# first nine tenths of our Shakespeare, and nothing else. We measure its loss on the last tenth
# twice: once with characters as the tokens, once with words and punctuation marks. (The pattern that
# cuts words out of the text is explained later.)

# %% tags=["widget"]
import math, re
from collections import Counter
from pathlib import Path

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
cut = len(text) * 9 // 10
train_text, val_text = text[:cut], text[cut:]

# %%
def unigram_loss(train_tokens, val_tokens):
    """The mean cross-entropy on val, in nats per token; all unseen tokens share one entry."""
    counts = Counter(train_tokens)
    total = len(train_tokens) + len(counts) + 1    # one extra count each: no probability is 0
    return -sum(math.log((counts[t] + 1) / total) for t in val_tokens) / len(val_tokens)

# %%
for name, cut_up in {"characters": list, "words": re.compile(r"\w+|[^\w\s]").findall}.items():
    train_tokens, val_tokens = cut_up(train_text), cut_up(val_text)
    loss = unigram_loss(train_tokens, val_tokens)
    bits = loss / math.log(2) * len(val_tokens) / len(val_text)
    print(f"{name:10}   loss {loss:.4f} per token   {bits:.4f} bits per character")

# %% [markdown]
# The word model has nearly twice the loss of the character model. Yet by the last column, which
# divides by the same number for both, it needs less than half the bits to write down the same text.
# So the loss per token does not say which model is better. (The last column flatters the words, too.
# We will find out how.)
#
# **The question of this chapter:** how do we turn text into ids and back, what does each way lose,
# and how do we compare models whose tokens differ?
#
# ## Names and sizes
#
# A *tokenizer* cuts a text into *tokens* and gives each distinct token a number, its *id*. The list of
# the tokens that it knows is its *vocabulary*.
#
# | name | meaning | size |
# |---|---|---|
# | `text` | what people read | `n_chars` characters |
# | `ids` | what the model reads: integers from 0 to `vocab_size - 1` | `n_tokens` integers |
# | `vocab_size` | $V$ of the earlier chapters: rows of the embedding, columns of the logits | one integer |
# | `chars`, `words` | the vocabulary: token number `i` is `words[i]` | `vocab_size` strings |
# | `id_of` | the other direction: the id of a token | `vocab_size` entries |
#
# ## By hand
#
# One line, one token for each character. Sort the distinct characters, and number them.

# %%
line = "to be or not to be"
chars = sorted(set(line))
id_of = {c: i for i, c in enumerate(chars)}
print(len(chars), chars)
print([id_of[c] for c in line])

# %% [markdown]
# The space sorts first, so it is number 0. The five ids of `to be` stand at both ends, as they
# should.
#
# **Before you run the next cell:** we encode three words with this vocabulary. One of them cannot be
# encoded. Which one, and what will Python say?

# %%
for word in ["note", "robe", "tube"]:
    try:
        print(word, [id_of[c] for c in word])
    except KeyError as error:
        print(word, "KeyError:", error)

# %% [markdown]
# There is no `u` in our line. A vocabulary is learned from one text, and a later text may go
# beyond it. For characters our answer is a clear error.
#
# ## Characters
#
# All our tokenizers are subclasses of `Tokenizer`. At the end of the chapter it learns to save and
# load them; until then it holds no more than a name.

# %% tags=["export"] module="tokenizers/base.py"
"""Tokenizer: what all tokenizers share, and how they are saved. Derived in chapter 13."""

VERSION = 1

class Tokenizer:
    """Text to integer ids and back; each subclass is one kind of tokenizer.

    A subclass has `kind`, `vocab_size`, `encode`, `decode`, `to_dict` and `from_dict`.
    """

    kind = "?"

# %%
from coursekit import add_to_class, export

# %% tags=["export"] module="tokenizers/char.py"
"""CharTokenizer: one token for each character. Derived in chapter 13."""

class CharTokenizer(Tokenizer):
    """The distinct characters of the training text, sorted; decode(encode(text)) == text."""

    kind = "char"

# %% [markdown]
# The vocabulary is checked when it arrives, because it may come from a file that somebody edited.

# %% tags=["export"]
@add_to_class(CharTokenizer)
def __init__(self, chars):
    self.chars = list(chars)
    if not self.chars or not all(isinstance(c, str) and len(c) == 1 for c in self.chars):
        raise ValueError("the vocabulary must be a list of single characters")
    self.id_of = {c: i for i, c in enumerate(self.chars)}
    if len(self.id_of) != len(self.chars):
        raise ValueError("the vocabulary holds a character twice")
    self.vocab_size = len(self.chars)

# %% [markdown]
# Sorting makes the ids the same on every computer: the order of a Python set may change from run
# to run.

# %% tags=["export"]
@add_to_class(CharTokenizer)
@classmethod
def train(cls, text):
    """Return the tokenizer of all characters of `text`."""
    if not text:
        raise ValueError("cannot learn a vocabulary from an empty text")
    return cls(sorted(set(text)))

# %% [markdown]
# Some tokenizers have *special tokens*, for things that are not text, such as the end of a
# document. Those of this chapter have none, but `encode` takes `allowed_special`, so that all are
# called in the same way.

# %% tags=["export"]
@add_to_class(CharTokenizer)
def encode(self, text, allowed_special=()):
    """Return the ids of `text`; there are no special tokens to allow.

    Raises:
        ValueError: a character is not in the vocabulary.
    """
    try:
        return [self.id_of[c] for c in text]
    except KeyError as error:
        char = error.args[0]
        raise ValueError(
            f"character {char!r} at position {text.index(char)} is not among the "
            f"{self.vocab_size} of the vocabulary: leave it out, or train on a text that has it"
        ) from None

# %% tags=["export"]
@add_to_class(CharTokenizer)
def decode(self, ids):
    """Return the text of `ids`."""
    return "".join(self.chars[i] for i in ids)

# %% [markdown]
# Now the training part of our text. How many characters does Shakespeare need, do they suffice for the
# whole text, and what is the message for one that he never used?

# %% tags=["widget"]
char_tokenizer = CharTokenizer.train(train_text)

# %%
print(char_tokenizer.vocab_size, "".join(char_tokenizer.chars).replace("\n", "⏎"))
print(char_tokenizer.decode(char_tokenizer.encode(text)) == text)
try:
    char_tokenizer.encode("café")
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## Words: where to cut
#
# The shortest program for words is `text.split()`. Look at what it takes for a word.

# %%
print(len(set(text.split())), "different pieces")
print([w for w in Counter(text.split()) if w.strip(".,:;!?-'").lower() == "death"])

# %% [markdown]
# *death* and *death,* are as different to the model as *death* and *lettuce*: it learns each of
# them from its own few examples. So punctuation marks become tokens of their own. A *regular
# expression* says how. It is a pattern; `findall` returns every match, from left to right. Ours is
# `\n|\w+|[^\w\s]`. There `\w` is a letter, a digit or `_`, `\s` is white space, `\w+` a run of such
# letters and digits, `[^\w\s]` any one character that is neither, `|` means "or else", and `\n` is
# the line break, which is worth keeping in verse.
#
# To decode, we must put the spaces back. Our rules: one space between two tokens, but none before a
# closing mark, none after an opening one, and none around a line break.
#
# **Before you run the next two cells:** they cut and join `'Tis well: I know't--come, go.` What will
# come back wrong?

# %%
closing, opening = set(".,;:!?)]}\n"), set("([{\n")

def join(pieces, closing=closing, opening=opening):
    result, before = "", "\n"
    for piece in pieces:
        result += piece if piece in closing or before in opening else " " + piece
        before = piece
    return result

# %%
pieces = re.findall(r"\n|\w+|[^\w\s]", "'Tis well: I know't--come, go.")
print(pieces)
print(join(pieces))

# %% [markdown]
# `'Tis` and `know't` were cut to bits. That is the expression's fault: an apostrophe may belong to a
# word, before, inside or after it (*'tis, o'er, th'*), and so may a hyphen inside it
# (*well-beloved*). The dash `--` was one mark and became two, again a fault of cutting, and then
# got spaces around it, a fault of joining. One more does not show here: a quotation ends in `,'`
# or `!'`. That apostrophe stands alone, and wants no space before it.
#
# So a word needs a longer pattern, with three more symbols. `['’]?` is an apostrophe or none, since
# `?` says "once or not at all". `(?:['’-]\w+)*` is an apostrophe or hyphen with letters after it,
# any number of times: `*` says how often, and `(?:…)` holds together what it counts.

# %%
word, dash = r"['’]?\w+(?:['’-]\w+)*['’]?", "--"
print(re.findall(word, "'Tis well: I know't, th' well-beloved"))

# %% [markdown]
# How much does each fault matter? We count the lines of the text that come back exactly, and mend
# three things, one after another: apostrophes and hyphens in words, dashes, closing quotes.
# **Before you run the two cells:** which of them saves the most lines?

# %%
lines = text.splitlines()
steps = [
    ("first try", r"\n|\w+|[^\w\s]", set(), set()),
    ("apostrophes in words", rf"\n|{word}|[^\w\s]", set(), set()),
    ("dashes", rf"\n|{word}|--|[^\w\s]", {dash}, {dash}),
    ("closing quotes", rf"\n|{word}|--|[^\w\s]", {dash, "'"}, {dash}),
]

# %%
for name, pattern, before, after in steps:
    rules = closing | before, opening | after    # no space before these, none after those
    wrong = [x for x in lines if join(re.findall(pattern, x), *rules) != x]
    right = 1 - len(wrong) / len(lines)
    print(f"{name:21} {len(wrong):5} of {len(lines)} lines wrong: {right:.4%} right")

# %% [markdown]
# The first, by far. Together they take the damaged lines from thousands to a couple of dozen. We keep
# all three, with the curly quotes and the long dash that other texts use, and build the class.

# %% tags=["export"] module="tokenizers/word.py"
"""WordTokenizer: one token for each word, mark or line break. Derived in chapter 13."""

import re
from collections import Counter

# %% tags=["export"]
UNK = "<unk>"
# A word may hold apostrophes and hyphens ('tis, o'er, th', well-beloved); "--" is one mark.
PIECE = re.compile(r"\n|['’]?\w+(?:['’-]\w+)*['’]?|--|[^\w\s]")
# An apostrophe that is in no word closes a quotation: 'Alas,' she said.
NO_SPACE_BEFORE = {*".,;:!?)]}'’”—\n", "--"}
NO_SPACE_AFTER = {*"([{‘“—\n", "--"}

# %% [markdown]
# ## Words: which to keep
#
# There are far more words than characters. How many of them are rare?

# %%
counts = Counter(PIECE.findall(text))
once = sum(n == 1 for n in counts.values())
print(f"{len(counts):,} different words, of which {once:,} occur once: {once / len(counts):.0%}")

# %% [markdown]
# About half of them. A word that occurs once teaches the model next to nothing, and costs a row of
# the embedding. So the vocabulary may be cut: keep only words that occur at least `min_freq` times,
# or only the `max_vocab_size` most frequent. Every other word, and any new word of a later text,
# becomes the token `<unk>`, *unknown*, with id 0.

# %% tags=["export"]
class WordTokenizer(Tokenizer):
    """Words, punctuation marks and line breaks; `<unk>` for what the vocabulary lacks.

    Python's own Unicode tables decide what a letter is; one that they do not know yet is a mark.
    Decoding puts one space between tokens, but none before a closing mark, none after an opening
    one, and none around dashes and line breaks. It cannot restore unknown words, runs of spaces,
    tabs, spaces at the ends of lines, or spacing that breaks these rules: "-- so", ",'tis", and
    straight double quotes, of which it cannot tell the opening one.
    """

    kind = "word"

# %% tags=["export"]
@add_to_class(WordTokenizer)
def __init__(self, words):
    self.words = list(words)
    if self.words[:1] != [UNK] or not all(isinstance(w, str) for w in self.words):
        raise ValueError(f"the vocabulary must be a list of words, {UNK} first")
    self.id_of = {w: i for i, w in enumerate(self.words)}
    if len(self.id_of) != len(self.words):
        raise ValueError("the vocabulary holds a word twice")
    self.vocab_size = len(self.words)

# %% [markdown]
# Training counts, drops the rare words, and sorts.

# %% tags=["export"]
@add_to_class(WordTokenizer)
@classmethod
def train(cls, text, min_freq=1, max_vocab_size=None):
    """Return the tokenizer of the words of `text`, the most frequent first.

    Args:
        min_freq: a word that occurs less often becomes `<unk>`.
        max_vocab_size: keep that many entries at most, `<unk>` counted.

    Raises:
        ValueError: an argument is too small, or no word is left.
    """
    if min_freq < 1:
        raise ValueError(f"min_freq={min_freq} must be at least 1")
    if max_vocab_size is not None and max_vocab_size < 2:
        raise ValueError(f"max_vocab_size={max_vocab_size} must be at least 2: {UNK} and one word")
    counts = Counter(PIECE.findall(text))
    if not counts:
        raise ValueError("cannot learn a vocabulary from a text without words")
    words = [w for w, n in counts.items() if n >= min_freq]
    if not words:
        raise ValueError(f"min_freq={min_freq} leaves no word: none occurs so often")
    # Equal counts in alphabetical order, so that the same text always gives the same ids.
    words.sort(key=lambda w: (-counts[w], w))
    return cls([UNK, *words][:max_vocab_size])

# %% tags=["export"]
@add_to_class(WordTokenizer)
def encode(self, text, allowed_special=()):
    """Return the ids of `text`, 0 for an unknown word; there are no special tokens to allow."""
    return [self.id_of.get(piece, 0) for piece in PIECE.findall(text)]

# %% tags=["export"]
@add_to_class(WordTokenizer)
def decode(self, ids):
    """Return the text of `ids`, spaced by the rules above."""
    parts, before = [], "\n"
    for i in ids:
        word = self.words[i]
        if word not in NO_SPACE_BEFORE and before not in NO_SPACE_AFTER:
            parts.append(" ")
        parts.append(word)
        before = word
    return "".join(parts)

# %% [markdown]
# **Before you run the two cells:** we keep 2,000 entries, learned from `train_text`. What is the most
# frequent token? And which words of the line `'Tis an unweeded garden, my lord!` will be unknown?

# %% tags=["widget"]
small = WordTokenizer.train(train_text, max_vocab_size=2000)

# %%
print(small.words[:12])
ids = small.encode("'Tis an unweeded garden, my lord!")
print(ids)
print(small.decode(ids))

# %% [markdown]
# The most frequent token is the line break. (`<unk>` comes first because its id is 0, not because
# of its count.) *unweeded* is lost for good: no `decode` can bring it back. That is the price of
# words.
#
# Side by side: each box is a token; the gray ones are unknown. A gap between words is a space that
# no token holds.

# %% tags=["widget"]
from coursekit.figures import show, subplots, token_row

def words_of(line):
    """The pieces of a line, with None for each character between them."""
    pieces, end = [], 0
    for match in PIECE.finditer(line):
        pieces += [None] * (match.start() - end) + [match[0]]
        end = match.end()
    return pieces

# %% tags=["widget"]
def draw_tokens(line):
    figure, ax = subplots(size=(9, 1.5))
    tokenizers, width = {"characters": char_tokenizer, "2,000 words": small}, 20
    for y, (name, tokenizer) in enumerate(tokenizers.items()):
        tokens = list(line) if y == 0 else words_of(line)
        known = [token in tokenizer.id_of for token in tokens]
        width = max(width, token_row(ax, y, tokens, known))
        n = len(tokens) - tokens.count(None)
        unknown = sum(t is not None and not k for t, k in zip(tokens, known))
        ax.text(-0.5, y, f"{name}: {n} tokens, {unknown} unknown", ha="right", va="center")
    ax.set(yticks=[], xticks=[], xlim=(0, width), ylim=(1.5, -0.5))
    show(figure, f"The line '{line}' as boxes, one for each token: characters above, words below.")
    return figure

# %%
figure = draw_tokens("'Tis an unweeded garden, my lord!")

# %% [markdown]
# Now type lines of your own. Can you find one that the characters cannot write, and one in which no
# word is known? (In a running notebook you see a field for text here. A character that no font can draw
# is shown by its number, such as U+4F60.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import Text, interactive

panel = interactive(draw_tokens, line=Text("'Tis an unweeded garden, my lord!"))
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# `Act 2` will do for the characters: the text has no digits. In `Robots tweet selfies` all 20
# characters are known, and none of the three words.
#
# </details>

# %% [markdown]
# ## Check the round trip, then break it
#
# A layer has its gradient check; a tokenizer has its round trip, `decode(encode(x)) == x`. We count the
# lines that fail and show the first four.

# %%
def round_trip(tokenizer, lines):
    wrong = [x for x in lines if tokenizer.decode(tokenizer.encode(x)) != x]
    print(f"{tokenizer.kind}: {len(wrong)} of {len(lines)} lines differ")
    for x in wrong[:4]:
        print("   in: ", x)
        print("   out:", tokenizer.decode(tokenizer.encode(x)))

words = WordTokenizer.train(text)
round_trip(char_tokenizer, lines)
round_trip(words, lines)

# %% [markdown]
# The characters are *lossless*. Words lose 25 lines, though here the vocabulary has every word:
# mostly a space is missing before *'tis*, a word breaks off with a hyphen, or a space stands where
# our rules put none. The ids say nothing about spaces, so whatever breaks the rules is lost.
#
# Now we break it. Suppose that somebody tidies `NO_SPACE_AFTER` and drops the dash. **Before you run the
# next cell:** which kind of line will the check show?

# %%
NO_SPACE_AFTER.remove("--")
round_trip(words, lines)
NO_SPACE_AFTER.add("--")

# %% [markdown]
# Lines with a dash inside, on top of nearly all of the 25 from before. (The table above also has a
# 237. That is a coincidence: most of those lines were different ones.)
#
# ## Bits per character
#
# Back to the question of which model is better. Write $t_1, \dots, t_N$ for the tokens of a text,
# and $M$ for the number of its characters (`n_tokens` and `n_chars` in the code). The model gives
# the text a probability, and its `loss` $\ell$ is the mean over the tokens, in nats:
#
# $$P(\text{text}) = \prod_{i=1}^{N} p(t_i \mid t_1 \dots t_{i-1})$$
#
# $$\ell = -\frac{1}{N} \sum_{i=1}^{N} \ln p(t_i \mid t_1 \dots t_{i-1}) = -\frac{1}{N} \ln P(\text{text})$$
#
# So $N \ell = -\ln P(\text{text})$: the loss of the whole text depends on its probability, and no
# longer on the number of pieces into which it was cut. One bit is $\ln 2$ nats, because
# $\log_2 P = \ln P / \ln 2$. Spread over the characters, of which every tokenizer sees the same
# number,
#
# $$\text{bits per character} = \frac{-\log_2 P(\text{text})}{M} = \frac{\ell}{\ln 2} \cdot \frac{N}{M}.$$
#
# The factor $N / M$ is what a loss per token hides: a word is a few characters long, so its loss may
# be a few times higher. (Papers often give *bits per byte*, the same cost divided by the bytes of the
# text in UTF-8: equal for our text, lower where characters beyond ASCII take two to four bytes each.)
# First as a loop over the tokens, as in the formula for $P$:

# %%
def bits_loop(tokenizer, train_text, val_text):
    counts = Counter(tokenizer.encode(train_text))
    total = sum(counts.values()) + tokenizer.vocab_size
    bits = 0.0
    for i in tokenizer.encode(val_text):
        bits -= math.log2((counts[i] + 1) / total)
    return bits / len(val_text)

# %% [markdown]
# Then with arrays, through the loss: `np.bincount` counts how often each id occurs.

# %%
import numpy as np

def bits_per_character(loss, n_tokens, n_chars):
    return loss / math.log(2) * n_tokens / n_chars

def unigram_bits(tokenizer, train_text, val_text):
    counts = np.bincount(tokenizer.encode(train_text), minlength=tokenizer.vocab_size) + 1
    ids = tokenizer.encode(val_text)
    loss = -np.log(counts / counts.sum())[ids].mean()    # nats per token
    return float(bits_per_character(loss, len(ids), len(val_text)))

# %% [markdown]
# Both ways must agree. The last line is a check that we can do in our heads: a model that knows
# nothing gives each of the $V$ characters the probability $1/V$, so it needs $\log_2 V$ bits.

# %%
for tokenizer in [char_tokenizer, WordTokenizer.train(train_text)]:
    a, b = bits_loop(tokenizer, train_text, val_text), unigram_bits(tokenizer, train_text, val_text)
    print(f"{tokenizer.kind:5} V = {tokenizer.vocab_size:6}   "
          f"loop {a:.4f}   arrays {b:.4f} bits per character")
V = char_tokenizer.vocab_size
print(f"knows nothing: log2({V}) = {math.log2(V):.4f}")

# %% [markdown]
# The words need more than in the first cell, 2.3641 bits instead of 2.2843. Two things have
# changed: line breaks are tokens now, and the pattern is better. One at a time:

# %%
def word_bits(pattern):
    train_tokens, val_tokens = (re.findall(pattern, part) for part in (train_text, val_text))
    loss = unigram_loss(train_tokens, val_tokens)
    return bits_per_character(loss, len(val_tokens), len(val_text))

for name, pattern in [("first pattern", r"\w+|[^\w\s]"), ("better pattern", rf"{word}|--|[^\w\s]")]:
    dropped, kept = word_bits(pattern), word_bits(r"\n|" + pattern)
    print(f"{name:14}   line breaks dropped {dropped:.4f}, kept {kept:.4f}: {kept - dropped:+.4f}")

# %% [markdown]
# The line breaks cost 0.16 bits, and the better pattern saves half of that. So the first cell
# flattered the words: it let them drop the line breaks.
#
# ## Experiment: is a smaller vocabulary better?
#
# Words still win by far. We keep fewer and fewer of them and watch the bits per character.
#
# **Before you run the next cell:** does the number rise or fall as more words become `<unk>`?

# %%
min_freqs = [1, 2, 3, 5, 10, 30, 100, 300, 1000]
tokenizers = [WordTokenizer.train(train_text, min_freq=n) for n in min_freqs]
counted = [unigram_bits(t, train_text, val_text) for t in tokenizers]
for n, t, bits in [*zip(min_freqs, tokenizers, counted)][::2]:    # every other one
    unknown = np.mean(np.array(t.encode(val_text)) == 0)
    print(f"min_freq {n:4}   V {t.vocab_size:6}   {unknown:6.2%} unknown   {bits:.4f}")

# %% [markdown]
# It falls, and the best score goes to the tokenizer that knows the least. Taken to the end, this gives
# a text of nothing but `<unk>`, and a loss of 0. What went wrong? $P(\text{text})$ must be the
# probability of the text, and after `<unk>` it is that of some other text with holes in it. Bits per
# character compare honestly only when the tokenizer is lossless.
#
# We can make words pay: whoever meets `<unk>` must also spell the word out, letter by letter, with
# the unigram model of characters, and a space to end it.

# %%
char_ids = char_tokenizer.encode(train_text)
char_counts = np.bincount(char_ids, minlength=char_tokenizer.vocab_size) + 1
char_bits = -np.log2(char_counts / char_counts.sum())

def spelling_bits(tokenizer, val_text):
    """What the unknown words cost in letters, in bits per character."""
    unknown = [p for p in PIECE.findall(val_text) if p not in tokenizer.id_of]
    bits = sum(char_bits[char_tokenizer.encode(p + " ")].sum() for p in unknown)
    return float(bits) / len(val_text)

# %%
from coursekit import figures

honest = [b + spelling_bits(t, val_text) for b, t in zip(counted, tokenizers)]
for n, free, paid in zip(min_freqs, counted, honest):
    print(f"min_freq {n:4}   as counted {free:.2f}   with spelling {paid:.2f}")

# %%
fig, ax = figures.subplots(size=(6, 3.4))
ax.semilogx(min_freqs, counted, "o-", label="words, <unk> for free")
ax.semilogx(min_freqs, honest, "s-", label="words, <unk> spelled out")
characters = unigram_bits(char_tokenizer, train_text, val_text)
ax.axhline(characters, color=figures.GRAY, label="characters")
ax.set(xlabel="min_freq (words rarer than this are unknown)", ylabel="bits per character",
       ylim=(0, 5.2), xticks=min_freqs, xticklabels=min_freqs)
ax.minorticks_off()
ax.legend()
figures.show(fig, "Bits per character of unigram models against min_freq. With unknown words for "
             "free the curve falls steadily; with unknown words spelled out it lies higher, dips "
             "at 2, then rises toward the gray line of the characters, which is highest.")

# %% [markdown]
# When the unknown words are paid for in full, the curve turns around. With `min_freq=1` no `<unk>`
# occurs in `train_text`, so the model takes it to be all but impossible; leaving out the words that
# occur once teaches it how often a new word comes. From there on each word that leaves the
# vocabulary costs more than it saves. The upper curve starts well above the lower one, because even
# the full vocabulary of `train_text` lacks many words of `val_text`: that, too, flattered the words
# in the first cell.
#
# Words beat the characters even so. A whole word holds what its letters say about each other. The
# unigram of characters cannot see that; a model that looks back, such as our GPT, can.
#
# **Try it:** in the cell that computes `counted` and `honest`, measure on `train_text` instead of
# `val_text`. Where do the two curves part now?

# %% [markdown]
# <details><summary>Answer</summary>
#
# At `min_freq=1` they meet, at 2.26: the vocabulary has every word of this text, so there is nothing to
# spell. From 2 on they part: 2.17 as counted, 2.45 with spelling.
#
# </details>

# %% [markdown]
# ## Saving
#
# A model is worth nothing without the vocabulary that it was trained with: id 17 must mean the same
# character next year. So we save tokenizers, as JSON, a format that people can read and that
# cannot run code. Each kind says with `to_dict` and `from_dict` what is worth saving.

# %% tags=["export"] module="tokenizers/char.py"
@add_to_class(CharTokenizer)
def to_dict(self):
    return {"chars": self.chars}

@add_to_class(CharTokenizer)
@classmethod
def from_dict(cls, content):
    return cls(content["chars"])

# %% tags=["export"] module="tokenizers/word.py"
@add_to_class(WordTokenizer)
def to_dict(self):
    return {"words": self.words}

@add_to_class(WordTokenizer)
@classmethod
def from_dict(cls, content):
    return cls(content["words"])

# %% [markdown]
# The base class does the rest. Saving writes a second file beside the first and renames it at the
# end: if the program dies halfway, the old file is still whole. (Chapter 16 adds what a power
# failure needs.)

# %% tags=["export"] module="tokenizers/base.py"
import json
import os
from pathlib import Path

@add_to_class(Tokenizer)
def to_json(self):
    """Return what `from_json` reads: a dict that JSON can hold."""
    return {"kind": self.kind, "version": VERSION, **self.to_dict()}

# %% tags=["export"]
@add_to_class(Tokenizer)
def save(self, path):
    """Write the tokenizer as JSON, first beside the file, then renamed: never half a file."""
    path = Path(path)
    # Half of a surrogate pair has no bytes; as \ud83d, say, JSON can hold it.
    content = json.dumps(self.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace")
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)

# %% [markdown]
# Loading trusts nothing. A file may be cut short, be something else, or come from a later program.
# Each case gets one line that names the file.

# %% tags=["export"]
@add_to_class(Tokenizer)
@classmethod
def load(cls, path):
    """Read a tokenizer of this kind from the JSON file `path`.

    Raises:
        ValueError: the file is not JSON, of another kind, of an unknown version, or damaged.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:    # not UTF-8, not JSON, or nested without end
        raise ValueError(f"{path} is not a tokenizer: {error}") from None
    return cls.from_json(content, path)

# %% tags=["export"]
@add_to_class(Tokenizer)
@classmethod
def from_json(cls, content, path="the tokenizer"):
    """Build a tokenizer of this kind from parsed JSON; `path` only names it in messages."""
    if not isinstance(content, dict) or content.get("kind") != cls.kind:
        raise ValueError(f"{path} does not hold a {cls.kind} tokenizer")
    version = content.get("version")
    if version != VERSION:
        raise ValueError(f"{path} has version {version!r}, this program reads {VERSION}")
    try:
        return cls.from_dict(content)
    except KeyError as error:
        raise ValueError(f"{path} is damaged: it lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None

# %% [markdown]
# A saved tokenizer comes back the same. Then we cut its file short on purpose, and the message says
# where the JSON stopped making sense.

# %%
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "tokenizer.json"
    CharTokenizer.train(line).save(path)
    print(path.read_text(encoding="utf-8"))
    print(CharTokenizer.load(path).chars == chars)
    path.write_text(path.read_text(encoding="utf-8")[:30], encoding="utf-8")
    try:
        CharTokenizer.load(path)
    except ValueError as error:
        print("ValueError:", str(error).removeprefix(folder).lstrip("\\/"))

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/13_tokenizers.ipynb](../exercises/13_tokenizers.ipynb). A check says what is
# wrong, and `hint("tokenizers-chars")` helps.
#
# | task | | minutes |
# |---|---|---|
# | characters | easy | 15 |
# | words | medium | 20 |
# | bits per character | easy | 10 |
# | byte fallback | hard | 30 |
#
# ## Recap
#
# - A tokenizer turns text into ids and back. Characters lose nothing and give long sequences; words
#   give short ones and lose what they do not know.
# - The round trip is the check. On our text, words restore all but 25 of 42,533 lines.
# - Losses per token cannot be compared across tokenizers. Bits per character can,
#   $\ell / \ln 2 \cdot N / M$, as long as nothing is lost.
# - The next cell exports `tokenizers/base.py`, `tokenizers/char.py` and `tokenizers/word.py`.
# - Next: byte-pair encoding, which has no unknown words and still writes whole ones.

# %%
export("13_tokenizers")
