# %% [markdown]
# # Chapter 15: Data
#
# Here is a language model that needs no gradient at all. It keeps a dictionary. For every run of
# $k$ characters in the training text, the **context**, it writes down the character that followed.
# To predict, it looks up the last $k$ characters; if they are not in the dictionary, that counts as
# wrong. This is memory, not understanding: a large $k$ should make it worse on new text, because
# long contexts hardly ever come twice.
#
# We cut the first 100,000 characters of Shakespeare into windows of 64, one every 8 characters, and
# keep a tenth of the windows for validation. We do it in two ways: draw the tenth at random, or
# take the last tenth. As a control, we also draw at random from windows that do not overlap, one
# every 64 characters.

# %% tags=["widget"]
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLUE, GREEN, GRAY, ORANGE, show, subplots, token_row

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
rng = np.random.default_rng(15)

# %%
def accuracy(text, train, val, k, T=64):
    """Fraction of the characters in `val` windows that a dictionary of `train` windows knows."""
    table = {}
    for s in train:
        for i in range(s + k, s + T):
            table[text[i - k : i]] = text[i]
    hits = [table.get(text[i - k : i]) == text[i] for s in val for i in range(s + k, s + T)]
    return sum(hits) / len(hits)

# %% [markdown]
# **Before you run the next cells:** which $k$ will look best under each of these splits?

# %%
starts = np.arange(0, 100_000, 8)
mixed, apart = rng.permutation(starts), rng.permutation(starts[::8])
tenth, few = len(starts) // 10, len(apart) // 10
splits = {
    "at random": (mixed[:-tenth], mixed[-tenth:]),
    "at random, no overlap": (apart[:-few], apart[-few:]),
    "the last tenth": (starts[: -tenth - 7], starts[-tenth:]),  # 7 would reach into the last tenth
}

# %%
ks = [2, 4, 6, 8, 12, 16, 20]
print(" " * 22 + "".join(f"  k = {k:2}" for k in ks))
results = {}
for name, (train, val) in splits.items():
    results[name] = [accuracy(text, train.tolist(), val.tolist(), k) for k in ks]
    print(f"{name:22}" + "".join(f"{value:8.0%}" for value in results[name]))

# %%
figure, axes = subplots(size=(5.5, 3.2))
for (name, values), style, color in zip(results.items(), ["o-", "^-", "s-"], [ORANGE, GREEN, BLUE]):
    axes.plot(ks, values, style, color=color, label=name)
axes.set(xticks=ks, ylim=(0, 1.05), xlabel="k, characters of context in the dictionary",
         ylabel="fraction of the characters predicted")
axes.legend(title="validation windows")
show(figure, "Accuracy of a dictionary model against its context length. With validation windows "
             "drawn at random it rises toward 1. Drawn at random from windows that do not overlap, "
             "it peaks early and falls to 0, and so it does with the last tenth as validation.")

# %% [markdown]
# The first split and the last give opposite advice, and the control says why. Drawn at random, the validation
# windows overlap with training windows that start a few characters earlier or later: nearly every long
# context in them was seen, with its answer. The dictionary recites. Without overlap it has nothing to
# recite, and only the short contexts help, wherever the windows come from.
#
# A GPT can recite, too. So the question of this chapter: **how do we cut, store and serve a text so
# that the validation loss means what it says?** We make one cut, one file for each part, and a
# loader that cannot reach over the cut.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `tokens` | all ids of one part, training or validation | `(N,)` |
# | `starts` | where the windows of a batch begin | `(B,)` |
# | `windows` | ids at `starts[b]` … `starts[b] + T` | `(B, T+1)` |
# | `x` | what the model reads: all but the last of each window | `(B, T)` |
# | `y` | what it should predict: all but the first | `(B, T)` |
#
# B is the batch size and T the block size. N is the number of tokens.

# %% [markdown]
# ## A token file
#
# Every run reads the same tokens, so we encode once and store the ids. The plainest file is the ids
# one after another, each in two bytes: the number is 256 times the high byte plus the low byte.
# *Little-endian* order puts the low byte first.
#
# **Before you run the next cell:** what are the four bytes of the ids 1 and 258 (258 is 256 + 2)? And
# what does a program get that expects the high byte first?

# %%
two_ids = np.array([1, 258], "<u2")  # < little-endian, u unsigned, 2 bytes
print("bytes:", two_ids.tobytes().hex(" "))
print("read as high byte first:", np.frombuffer(two_ids.tobytes(), ">u2").tolist())

# %% [markdown]
# A wrong reading gives wrong numbers, not an error. There is a second trap of this kind. Two
# bytes hold $2^{16} = 65{,}536$ different ids, 0 to 65,535. **Before you run the next cell:** what
# becomes of 65,536 in two bytes? And of $3 - 5$?

# %%
print(np.array([65_535, 65_536, 70_000]).astype("<u2").tolist())
print("3 - 5 in two unsigned bytes:", int((np.array([3], "<u2") - np.array([5], "<u2"))[0]))

# %% [markdown]
# It wraps around silently: 70,000 turns into $70{,}000 - 65{,}536$. So a file of bytes needs a
# description beside it: the type, the length, the vocabulary size, and the SHA-256 digest, a
# fingerprint of 64 hexadecimal digits that changes when any byte does. We put it in a small JSON
# file, a *sidecar*. And the ids are checked before they are squeezed into two bytes.
#
# The next cells go into the package as `numpygpt/data.py`.

# %% tags=["export"] module="data.py"
"""Token files, the train/validation split, and the DataLoader. Derived in chapter 15."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from numpygpt.tokenizers.bpe import BPETokenizer
from numpygpt.tokenizers.char import CharTokenizer
from numpygpt.tokenizers.word import WordTokenizer


# %% tags=["export"]
class DataError(ValueError):
    """A data file that is missing, damaged, or does not fit; the message says how to mend it."""

# %% [markdown]
# A program that writes a file may be interrupted in the middle. So, as for the tokenizers of chapter
# 13, we write to a temporary name, and rename at the end. The system renames in one step, so others
# find the old file or the new one, never half of one.

# %% tags=["export"]
def write_beside(path, write):
    """Call write(temporary path), then rename it to `path`: the old file or the new, no half."""
    beside = path.with_name(path.name + ".tmp")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)

# %% [markdown]
# As Python integers, ids take 8 bytes or more each. Those of a long text might not fit into memory,
# so they come in parts. The sidecar is written last. If the program dies between the two files, the
# new tokens stand beside an old digest, and reading will say so.

# %% tags=["export"]
def write_tokens(path, parts, vocab_size):
    """Write token ids as a flat binary file and its description as JSON beside it.

    Args:
        path: such as data/shakespeare_char/train.bin; the description goes to train.json.
        parts: lists of integers in [0, vocab_size); together they may exceed the memory.
        vocab_size: kept in the description; two bytes per token up to 65,536, beyond that four.

    Returns:
        The description.

    Raises:
        DataError: an id is not in the vocabulary.
    """
    path, digest = Path(path), hashlib.sha256()
    dtype = "<u2" if vocab_size <= 1 << 16 else "<u4"
    about = {"dtype": dtype, "length": 0, "vocab_size": vocab_size}

    def write(beside):
        with open(beside, "wb") as file:
            for ids in map(np.asarray, parts):
                # Narrowing wraps silently: 70,000 would become 4,464.
                if len(ids) and not 0 <= ids.min() <= ids.max() < vocab_size:
                    raise DataError(f"ids {ids.min()} to {ids.max()} do not fit {vocab_size=}")
                tokens = ids.astype(dtype)
                file.write(tokens)
                digest.update(tokens)
                about["length"] += len(tokens)

    write_beside(path, write)
    about["sha256"] = digest.hexdigest()
    write_beside(path.with_suffix(".json"), lambda p: p.write_text(json.dumps(about), "utf-8"))
    return about

# %% [markdown]
# Reading trusts nothing. `np.memmap` gives an array whose bytes stay on disk until they are
# indexed, so a file larger than the memory is no problem. One pass through the file gives the digest
# and the largest id. Whatever is wrong with the pair of files, a `DataError` says what to do.

# %% tags=["export"]
def read_tokens(path):
    """Return (tokens, vocab_size): the tokens stay on disk (memory-mapped), read as needed.

    Raises:
        DataError: a file is missing, or is not what its description says.
    """
    path = Path(path)
    again = "make it again with numpygpt datagen"
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        dtype, *expected, vocab_size = (
            about[k] for k in ("dtype", "length", "sha256", "vocab_size")
        )
        if dtype not in ("<u2", "<u4") or not isinstance(vocab_size, int):
            raise ValueError(f"dtype {dtype!r}, vocab_size {vocab_size!r}")
        tokens = np.memmap(path, dtype, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: make it with numpygpt datagen") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} or its .json is damaged ({error}): {again}") from None
    # Read the file, not the memory map: each page of it that is touched counts as our own memory.
    digest, largest = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            largest = max(largest, np.frombuffer(piece, dtype).max())
    if expected != [len(tokens), digest.hexdigest()] or largest >= vocab_size:
        raise DataError(f"{path} is not the file that its .json describes: {again}")
    return tokens, vocab_size

# %% [markdown]
# Now the round trip, in a temporary folder. The vocabulary has 70,001 tokens, so the writer must
# choose four bytes per token.

# %%
import tempfile

folder = Path(tempfile.mkdtemp())
write_tokens(folder / "tiny.bin", [[3, 1], [70_000]], vocab_size=70_001)
tokens, vocab_size = read_tokens(folder / "tiny.bin")
print(tokens.tolist(), vocab_size, tokens.dtype, (folder / "tiny.bin").stat().st_size, "bytes")

# %% [markdown]
# Then we break things on purpose: a flipped bit, a file cut short, a missing sidecar, an id that
# the vocabulary lacks. Each complaint should name its own culprit.

# %%
def complaint(action):
    try:
        action()
        return "no complaint"
    except DataError as error:
        return str(error).replace(str(folder), "").lstrip("\\/")

# %%
path = folder / "broken.bin"
write_tokens(path, [[3, 1, 70_000]], vocab_size=70_001)
whole = path.read_bytes()
path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
print("flipped bit: ", complaint(lambda: read_tokens(path)))
path.write_bytes(whole[:-1])
print("cut short:   ", complaint(lambda: read_tokens(path)).split(" (")[0])
path.with_suffix(".json").unlink()
print("no sidecar:  ", complaint(lambda: read_tokens(path)))
print("id too large:", complaint(lambda: write_tokens(path, [[3, 70_000]], 65)))

# %% [markdown]
# ## One cut, through the text
#
# Where do we cut? At nine tenths of the *text*, before it is encoded. If we cut at nine
# tenths of the *tokens*, each tokenizer would put the cut at another character, and their
# validation losses would be about different texts. Chapter 13's bits per character can be compared
# only on the same characters. The next cell shows how far the cut would move, for 200,000 characters.

# %%
piece = text[:200_000]
for tokenizer in (CharTokenizer.train(piece), BPETokenizer.train(piece, vocab_size=400)):
    ids = tokenizer.encode(piece)
    kept = tokenizer.decode(ids[: round(0.9 * len(ids))])
    print(f"{tokenizer.kind:5} nine tenths of the tokens end at character {len(kept):,}")

# %% [markdown]
# So the cut comes first, and whatever learns may learn only from the training part: the model, and
# the tokenizer, too. What if the tokenizer had read it all? We count the unknown words and the BPE
# tokens of the validation part.

# %% tags=["export"]
def split(text, val_fraction=0.1):
    """Return (training text, validation text): the last tenth is for validation."""
    cut = round(len(text) * (1 - val_fraction))
    return text[:cut], text[cut:]

# %%
train_text, val_text = split(text)
for name, learn_from in {"all text": text, "training part": train_text}.items():
    word_ids = np.array(WordTokenizer.train(learn_from).encode(val_text))
    bpe_ids = BPETokenizer.train(learn_from, vocab_size=1000).encode(val_text)
    print(f"trained on {name:13}   {np.mean(word_ids == 0):.2%} unknown words   {len(bpe_ids):,} BPE tokens")
print("characters that only the validation part has:", sorted(set(val_text) - set(train_text)))

# %% [markdown]
# A tokenizer that has read the validation part knows all of its words, and its merges fit it
# better: 2% fewer tokens. Both would flatter a model: it never has to spell a new word (the honest
# cost of chapter 13), and it has fewer tokens to predict. A character tokenizer learns only which
# characters exist. Here the training part has them all; where it does not, `prepare` stops with the
# message of chapter 13.
#
# `prepare` cuts the text, encodes both parts and writes the files. An interruption must not leave new
# tokens beside an old tokenizer: they would be read without complaint, as another text. So
# `tokenizer.json` is removed first and written last; without it a folder is unfinished.

# %% tags=["export"]
def prepare(text, tokenizer, folder, val_fraction=0.1):
    """Write train.bin, val.bin and tokenizer.json into `folder`; the last tenth is for validation.

    Args:
        tokenizer: trained on the training part alone, the first that `split` returns.

    Returns:
        (number of training tokens, number of validation tokens).

    Raises:
        DataError: one part of the text has no tokens.
        ValueError: the tokenizer lacks a character of the text.
    """
    folder = Path(folder)
    # Split the text, not the tokens: the validation text is then the same for every tokenizer.
    train_text, val_text = split(text, val_fraction)
    parts = {"train": tokenizer.encode(train_text), "val": tokenizer.encode(val_text)}
    if not all(parts.values()):
        raise DataError("the text is too short to split into training and validation parts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").unlink(missing_ok=True)  # until all files fit together again
    for name, ids in parts.items():
        write_tokens(folder / f"{name}.bin", [ids], tokenizer.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    return len(parts["train"]), len(parts["val"])

# %% [markdown]
# The command `numpygpt datagen`, which the error messages name, trains the tokenizer on the
# training part and writes the same files, for a text of any length: it reads, encodes and writes
# part by part. It does not refuse a text because of one rare character. A character that only the
# validation part has gets an id, too, and a note names it. (Knowing that a character exists gives
# away next to nothing about the validation text, and the model, which never meets that character in
# training, pays for it in full.) In `tokenizer.json` it stores one digest of the tokenizer and both
# token files, so that files mixed from different runs are detected.
#
# Two helpers read a saved tokenizer of any kind.

# %% tags=["export"]
def tokenizer_from_json(content, path="the tokenizer"):
    """Return the tokenizer that parsed JSON describes."""
    kind = content.get("kind") if isinstance(content, dict) else None
    for cls in (CharTokenizer, WordTokenizer, BPETokenizer):
        if cls.kind == kind:
            return cls.from_json(content, path)
    raise ValueError(f"{path} holds no tokenizer that we know: kind {kind!r}")

# %% tags=["export"]
def load_tokenizer(path):
    """Return the tokenizer saved at `path`, of any kind."""
    again = "make it again with numpygpt datagen"
    try:
        return tokenizer_from_json(json.loads(Path(path).read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: make it with numpygpt datagen") from None
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise DataError(f"{path} is not a tokenizer ({error}): {again}") from None

# %% [markdown]
# Now the whole of our text, nine plays, one token per character. The last characters of the
# training part and the first of the validation part show the cut.

# %%
n_train, n_val = prepare(text, CharTokenizer.train(train_text), folder)
tokenizer = load_tokenizer(folder / "tokenizer.json")
train_tokens, vocab_size = read_tokens(folder / "train.bin")
val_tokens, _ = read_tokens(folder / "val.bin")
print(f"{n_train:,} + {n_val:,} tokens, {vocab_size} different ones")
print(f"train.bin has {train_tokens.nbytes:,} bytes")
print("training ends:    ", repr(tokenizer.decode(train_tokens[-30:].tolist())))
print("validation begins:", repr(tokenizer.decode(val_tokens[:30].tolist())))

# %% [markdown]
# ## Windows, by hand
#
# A window of T+1 tokens holds T lessons: read the first 1, predict the 2nd; read the first 2,
# predict the 3rd; and so on. So `y` is `x` one token later. Ten tokens, T = 4, and the window
# that begins at 3:

# %%
ten, T, s = np.arange(10) * 10, 4, 3
window = ten[s : s + T + 1]
x, y = window[:-1], window[1:]
for t in range(T):
    print(f"read {x[: t + 1].tolist()!s:18} predict {y[t]}")

# %% [markdown]
# Where may a window begin? Token $s + t$ is read and token $s + t + 1$ is the target, for
# $t = 0 \dots T-1$:
#
# $$x_{bt} = \text{tokens}[s_b + t], \qquad y_{bt} = \text{tokens}[s_b + t + 1].$$
#
# The largest index that we touch is $s + T$, with $t = T - 1$ in $y$. It must not pass the last
# token:
#
# $$s + T \le N - 1 \quad\Longleftrightarrow\quad 0 \le s \le N - T - 1,$$
#
# which gives $N - T$ possible starts. **Before you run the next cell:** how many is that for N = 10
# and T = 4, and is the last token, 90, ever read as `x`? Ever predicted?

# %%
N = len(ten)
print("starts:", list(range(N - T)))
print("read:     ", sorted({int(ten[s + t]) for s in range(N - T) for t in range(T)}))
print("predicted:", sorted({int(ten[s + t + 1]) for s in range(N - T) for t in range(T)}))

# %% [markdown]
# The same with a text of 27 characters, each one a token:

# %% tags=["widget"]
def draw_window(start, block_size):
    text = "First Citizen: speak, speak"
    N, T = len(text), block_size
    figure, ax = subplots(size=(8, 1.9), margins={"left": 0.09, "bottom": 0.28, "top": 0.86})
    for y, begin, end in ((0, 0, N), (1, start, start + T), (2, start + 1, start + 1 + T)):
        row = [None] * begin + list(text[begin:end].ljust(end - begin, "?"))
        token_row(ax, y, row, known=[True] * N + [False] * T)
    ax.axvline(N, color=GRAY, linewidth=0.8)
    verdict = "is one" if start <= N - T - 1 else "is too late"
    ax.set(yticks=range(3), yticklabels=["tokens", "x", "y"], xlim=(0, N + 4), xlabel="position")
    ax.set_title(f"N - T = {N - T} starts: {start} {verdict}")
    ax.invert_yaxis()
    show(figure, "Rows of boxes: the tokens of a text, x, and y, one token later. A line marks the "
                 "end of the text; boxes past it are gray.")
    return figure

# %%
figure = draw_window(start=6, block_size=8)

# %% [markdown]
# Push the window to the right until a gray box appears: a target that does not exist. Is that where
# the formula says? Then try other block sizes. (In a running notebook you see sliders.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import IntSlider, interactive

panel = interactive(draw_window, start=IntSlider(6, min=0, max=25), block_size=IntSlider(8, min=1, max=16))
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# With T = 8 there are 27 - 8 = 19 starts, 0 to 18; at 19 the last box of `y` is gray. With T = 16 the
# last start is 10.
#
# </details>

# %% [markdown]
# ## A batch: loop, then vectors
#
# The loop is the formula. The vector form adds a column of starts, (B, 1), to a row of offsets,
# (T+1,). Broadcasting makes all B·(T+1) indices, and indexing once fetches all windows.

# %%
def batch_loop(tokens, starts, T):
    x, y = np.zeros((2, len(starts), T), np.int64)
    for b, s in enumerate(starts):
        for t in range(T):
            x[b, t] = tokens[s + t]
            y[b, t] = tokens[s + t + 1]
    return x, y

# %%
starts = np.array([3, 0, 5])
index = starts[:, None] + np.arange(T + 1)  # (B, T+1)
windows = ten[index]
print(index)
x, y = batch_loop(ten, starts, T)
print("the loop agrees:", np.array_equal(x, windows[:, :-1]) and np.array_equal(y, windows[:, 1:]))

# %% [markdown]
# The loader draws the starts at random, all equally likely, and never ends. Because it draws with
# replacement it keeps no list of what was seen. So its state is the state of its random generator,
# which makes resuming easy. The ids are widened to 64 bits on the way out, since you
# saw what a subtraction in two unsigned bytes does.

# %% tags=["export"]
class DataLoader:
    """Endless random windows of a token array: x (B, T), and y (B, T), the same one token later."""

    def __init__(self, tokens, batch_size, block_size, *, rng):
        if len(tokens) <= block_size:
            raise DataError(
                f"{len(tokens)} tokens are too few for a window of block_size={block_size} "
                "and its target: take a longer text or a smaller block_size"
            )
        self.tokens = tokens
        self.batch_size = batch_size
        self.block_size = block_size
        self.rng = rng

    def __iter__(self):
        return self

# %% tags=["export"]
@add_to_class(DataLoader)
def __next__(self):
    starts = self.rng.integers(len(self.tokens) - self.block_size, size=self.batch_size)
    return self.windows(starts)

@add_to_class(DataLoader)
def windows(self, starts):
    """Return x and y of the windows that begin at `starts`."""
    windows = self.tokens[starts[:, None] + np.arange(self.block_size + 1)]  # (B, T+1)
    windows = windows.astype(np.int64)
    return windows[:, :-1], windows[:, 1:]

# %% [markdown]
# A batch of real text. The second line of each pair is the first, one character later.

# %%
x, y = next(DataLoader(train_tokens, batch_size=3, block_size=24, rng=np.random.default_rng(0)))
for b in range(3):
    print("x", repr(tokenizer.decode(x[b].tolist())))
    print("y", repr(tokenizer.decode(y[b].tolist())))

# %% [markdown]
# ## Where one document ends
#
# Our nine plays stand one after another, and a window does not care where one ends and the next
# begins. A window crosses a border if it starts on one of the T tokens before it. So where
# documents have L tokens on average, about T/L of the windows cross one.

# %%
border = text.index("GLOUCESTER:\nNow is the winter")
print(repr(text[border - 34 : border + 30]))
for name, L in {"our plays": len(text) // 9, "messages": 200}.items():
    print(f"{name}: {L:,} characters each, {64 / L:.2%} of the windows of 64 cross a border")

# %% [markdown]
# For nine plays that hardly matters. For messages, a third of the windows ask the model to predict
# the beginning of one from the end of another. So people put a *separator* after each document: a
# special token, such as `<end>` in chapter 14 or GPT-2's `<|endoftext|>`. Windows still cross it,
# but the model can learn where a document ends, and that what stands before it says nothing about
# the next. Some programs also mask attention at the separator. The programs of this book treat a
# text as one document.
#
# ## Check it, then break it
#
# Nothing here is differentiable, so there is no gradient to check. But the loader makes promises,
# and a promise can be checked. On ten tokens, 300 draws see every start. Three promises can then be
# checked: `y` is `x` one token later, every token but the first is predicted, and no window reaches
# past the last token.

# %%
def check_loader(loader_class):
    """Return which promise a loader breaks, on tokens that equal their own positions."""
    loader = loader_class(np.arange(10), 3, 4, rng=np.random.default_rng(0))
    try:
        batches = [next(loader) for _ in range(100)]
    except IndexError:
        return "WRONG: a window reaches past the last token"
    if not all(np.array_equal(x + 1, y) for x, y in batches):
        return "WRONG: y is not x one token later"
    if set(np.concatenate([y for _, y in batches]).ravel().tolist()) != set(range(1, 10)):
        return "WRONG: a token is never predicted"
    return "right"

# %%
print("DataLoader:", check_loader(DataLoader))

# %% [markdown]
# Now three loaders with bugs. The first shows the model the answers, so it only has to copy. The
# second forgets one start. The third draws one start too many; on a million tokens it would crash
# about once in a million windows, late in some long run.

# %%
class ForgetsShift(DataLoader):
    def __next__(self):
        x, _ = DataLoader.__next__(self)
        return x, x

class OneStartTooFew(DataLoader):
    def __next__(self, n_starts=10 - 4 - 1):
        windows = self.tokens[self.rng.integers(n_starts, size=3)[:, None] + np.arange(4 + 1)]
        return windows[:, :-1], windows[:, 1:]

class OneStartTooMany(OneStartTooFew):
    def __next__(self):
        return OneStartTooFew.__next__(self, n_starts=10 - 4 + 1)

# %% [markdown]
# **Before you run the next cell:** what will the check say to each?

# %%
for bug in (ForgetsShift, OneStartTooFew, OneStartTooMany):
    print(f"{bug.__name__:16} {check_loader(bug)}")

# %% [markdown]
# ## How much of the text does a run see?
#
# Random windows overlap, so some tokens come often and others never. One window covers
# a given token (away from the ends) with probability $T / (N - T) \approx T/N$. After $n$ batches
# of $B$ windows the token was missed by all of them with probability
#
# $$\left(1 - \frac{T}{N}\right)^{Bn} \approx e^{-BTn/N},$$
#
# since $\ln(1 - u) \approx -u$ for small $u$. The exponent $BTn/N$ is the number of *epochs*: how
# often the run could have read the text from end to end. We count for B = 12 and T = 64, the sizes that
# `numpygpt train` takes by default. To know which places a batch covers, we let each token be its own
# position. **Before you run the next cells:** after 2,000 batches the run has read 1.44 times as many
# tokens as the text has. What fraction of the text has it seen?

# %%
B, T, N = 12, 64, len(train_tokens)
loader = DataLoader(np.arange(N), B, T, rng=np.random.default_rng(0))
seen, measured = np.zeros(N, bool), {}
for n in range(1, 4001):
    seen[next(loader)[1]] = True
    if n % 250 == 0:
        measured[n] = seen.mean()

# %%
for n in (1000, 2000, 3000, 4000):
    epochs = B * T * n / N
    print(f"{n} batches, {epochs:.2f} epochs: {measured[n]:.3f} seen, "
          f"{1 - np.exp(-epochs):.3f} predicted")

# %%
figure, axes = subplots(size=(5.5, 3.2))
n = np.arange(0, 4001)
axes.plot(n, np.minimum(1, B * T * n / N), "--", color=GRAY, label="reading end to end")
axes.plot(n, 1 - np.exp(-B * T * n / N), color=BLUE, label=r"$1 - e^{-BTn/N}$")
axes.plot(list(measured), list(measured.values()), "o", color=ORANGE, label="counted")
axes.set(xlabel="batches", ylabel="fraction of the training text seen", ylim=(0, 1.05))
axes.legend()
show(figure, "Fraction of the training text seen against batches. The counted points lie on the curve one "
             "minus e to the minus epochs, below the dashed line of reading end to end, which rises "
             "straight to 1 and stays there.")

# %% [markdown]
# The formula and the count agree. A run of 2,000 batches leaves about a quarter of the text unread.
# That is the price of a loader without memory. To read every token once, cut the text into windows that
# do not overlap, and shuffle them anew for each pass; to resume, a seed and a position are enough.
#
# ## Export

# %%
export("15_data")

# %%
import shutil

del tokens, train_tokens, val_tokens, loader  # some systems keep a mapped file in place
shutil.rmtree(folder, ignore_errors=True)

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/15_data.ipynb](../exercises/15_data.ipynb). A check says what is
# wrong, and `hint("data-windows")` helps.
#
# | task | | minutes |
# |---|---|---|
# | windows | easy | 15 |
# | where may a window start? | medium | 15 |
# | which dtype? | easy | 10 |
# | all of the validation text, once | hard | 25 |
#
# ## Recap
#
# - A validation set drawn at random from overlapping windows rewards memory. So we cut the text once,
#   and the tokenizer, too, learns from the training part alone.
# - Tokens are a flat binary file with a JSON sidecar: type, length, vocabulary size, SHA-256.
# - A window of T+1 tokens gives `x` and `y`; there are N − T places where it can begin.
# - We exported `numpygpt/data.py`: `split`, `prepare`, `read_tokens`, `load_tokenizer`, `DataLoader`.
# - Next: training, where these batches meet the model of [chapter 12](12_gpt.ipynb).
