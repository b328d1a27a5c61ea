# %% [markdown]
# # Chapter 14: Byte-pair encoding
#
# The tokenizers of [chapter 13](13_tokenizers.ipynb) have both read all of our Shakespeare. We
# give them a line that he did not write.

# %% tags=["widget"]
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import show, subplots, token_row
from numpygpt.tokenizers import CharTokenizer, WordTokenizer

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")

# %%
line = "Romeo met Zoë at the café."
try:
    CharTokenizer.train(text).encode(line)
except ValueError as error:
    print("characters:", error)
words = WordTokenizer.train(text)
print("words:     ", words.decode(words.encode(line)))

# %% [markdown]
# One gives up at the `ë`; the other forgets who was met and where. Yet 256 tokens are enough to
# write this line, and Chinese, and a photograph: the *bytes*. Computers store text as numbers from
# 0 to 255, today mostly by a rule called UTF-8.

# %%
data = line.encode("utf-8")
print(list(data[:14]))
print(len(line), "characters,", len(data), "bytes")
print(data.decode("utf-8") == line)

# %% [markdown]
# Nothing is unknown any more. But a letter with an accent costs two tokens, and to write *the*, a
# model of bytes must predict three times. **Can we have both, a vocabulary that can write anything,
# and short sequences?**
#
# The answer is *byte-pair encoding*, BPE: start from the bytes, find the pair of tokens that occurs
# most often side by side, make it a new token, and repeat (Sennrich, Haddow and Birch, 2016).
#
# ## Names and sizes
#
# | name | meaning | size |
# |---|---|---|
# | `piece` | a part of the text, mostly a word with the space before it; no token crosses its ends | some characters |
# | `ids` | the tokens of a piece or a text | list of integers |
# | `pair` | two ids side by side | 2 integers |
# | `merges` | the pairs that were learned, in order | `n_merges` pairs |
# | `vocab_size` | 256 bytes + `n_merges` + special tokens | one integer |
#
# ## By hand
#
# Four pieces, and how often each occurs, with letters in place of ids.

# %%
from collections import Counter
from itertools import pairwise

counts = {"the": 5, "then": 2, "he": 3, "hen": 1}
words = [list(piece) for piece in counts]
print(words)

# %% [markdown]
# `pairwise` gives the neighbors in a list. Each pair counts as often as its piece occurs.

# %%
def count_pairs(words, counts):
    total = Counter()
    for tokens, n in zip(words, counts):
        for pair in pairwise(tokens):
            total[pair] += n
    return total

print(count_pairs(words, counts.values()).most_common())

# %% [markdown]
# `h e` occurs in all pieces, $5 + 2 + 3 + 1 = 11$ times, so `he` becomes the first new token. The step
# that everything rests on: replace a pair by its new id, from the left.

# %% tags=["export"] module="tokenizers/merges.py"
"""Learn the merges of byte-pair encoding. Derived in chapter 14."""

import heapq
from collections import defaultdict
from itertools import pairwise

# %% tags=["export"]
def merge_pair(ids, pair, new_id):
    """Return `ids` with each occurrence of `pair`, from the left, replaced by `new_id`."""
    first, second = pair
    merged, last = [], None
    for i in ids:
        if last == first and i == second:
            merged[-1] = last = new_id
        else:
            merged.append(i)
            last = i
    return merged

# %% [markdown]
# **Before you run the next cell:** what becomes of `[7, 7, 7, 7, 7]` when the pair `(7, 7)` becomes 300?

# %%
print(merge_pair([7, 7, 7, 7, 7], (7, 7), 300))

# %% [markdown]
# **And before you run this one:** we merge the best pair three times. Which will be the second and the
# third? Count again after each.

# %%
for _ in range(3):
    pair, n = count_pairs(words, counts.values()).most_common(1)[0]
    words = [merge_pair(tokens, pair, "".join(pair)) for tokens in words]
    print(pair, n, "times:", words)

# %% [markdown]
# Common words end up whole. A rare one, *hen*, stays in parts. No word is ever unknown, since the
# single letters are still tokens.
#
# ## Why the most frequent pair
#
# Let piece $w$ occur $n_w$ times and consist of $|w|$ tokens. The whole text has $N$ tokens. Merge a
# pair $ab$ that occurs $c_w(ab)$ times in piece $w$: each time two tokens become one.
#
# $$
# \begin{aligned}
# N &= \sum_w n_w \, |w|\\
# |w|' &= |w| - c_w(ab)\\
# N' &= \sum_w n_w \, |w|' = N - \sum_w n_w \, c_w(ab) = N - c(ab)
# \end{aligned}
# $$
#
# $c(ab)$ is what `count_pairs` counts, so the most frequent pair shortens the text most in this
# step. The choice is *greedy*: three best steps need not be the best three steps. One case breaks the
# formula: in `aaa` the pair `a a` counts twice, but only one can be merged.
#
# Our four pieces again: the formula says 11, 7 and 2 tokens fewer.

# %%
print("at first:", sum(n * len(piece) for piece, n in counts.items()), "tokens")
print("now:     ", sum(n * len(tokens) for tokens, n in zip(words, counts.values())), "tokens")

# %% [markdown]
# ## Pieces
#
# If pairs could cross spaces and commas, we would soon have tokens like `e, the`. So GPT-2 first
# cuts the text into pieces, by a regular expression, and merges only inside them. A word takes
# along the space before it (` ?`), so spaces mostly cost nothing. In the notation of [chapter
# 13](13_tokenizers.ipynb):
#
# | alternative | what it takes |
# |---|---|
# | `'(?:s\|t\|re\|ve\|m\|ll\|d)` | an apostrophe and one of these endings |
# | ` ?[^\W\d_]+` | letters: in `\w`, that is, not in its opposite `\W`, but neither a digit `\d` nor `_` |
# | ` ?\d+` | digits |
# | ` ?(?:[^\s\w]\|_)+` | a run of marks |
# | `\s+(?!\S)` | white space that ends before more white space or at the end of the text: of three spaces before a word, the first two |
# | `\s+` | white space, what is left of it |
#
# GPT-2 also numbers the 256 bytes in an order of its own. For training, the order matters only when
# there is a tie: of two pairs that occur equally often, we merge the one with the smaller ids.

# %% tags=["export"] module="tokenizers/pieces.py"
"""Text to pieces, exactly as GPT-2 cuts it, and pieces to ids of bytes. Derived in chapter 14."""

import re
from unicodedata import category

# %% tags=["export"]
# GPT-2's order of the 256 bytes: the printable ones first. It decides ties, so we keep it.
BYTE_ORDER = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_ORDER += [b for b in range(256) if b not in BYTE_ORDER]
ID_OF_BYTE = bytes(BYTE_ORDER.index(b) for b in range(256))

# %% [markdown]
# To GPT-2 ½, ² and Ⅷ are numbers, too. Python's `\d` lacks them, so we name them all, as ranges.

# %% tags=["export"]
def character_ranges(chars):
    """Return sorted characters as a part of a regular expression: a, b, c, x as `a-cx-x`."""
    ranges = []
    for c in chars:
        if ranges and ord(c) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    return "".join(f"{first}-{last}" for first, last in ranges)

# Numbers that are not decimal digits. Beyond 1FFFF (hex), Unicode has none.
NUMERIC = filter(str.isnumeric, map(chr, range(0x20000)))    # the Chinese 三 too, but it is a letter
OTHER = character_ranges(c for c in NUMERIC if category(c) in ("Nl", "No"))

# %%
print(character_ranges("abcx"))
print(OTHER[:3], OTHER[3:6], OTHER[6:9], "and so on")

# %% [markdown]
# Each Python version knows the Unicode of its time: 3.11 knows that of 2021. The folded cell lists
# what was added later, so that all versions cut alike.

# %% tags=["export"] jupyter={"source_hidden": true}
def ranges(text):
    """Return ranges of hexadecimal numbers as a part of a regular expression."""
    return "".join("-".join(chr(int(n, 16)) for n in r.split("-")) for r in text.split())

# What Unicode 15 to 18 added. Other programs draw the line elsewhere: tiktoken 0.14 has Unicode 16.
NEW_LETTERS = ranges("""558 58B-58C 88F C5C CDC 1C89-1C8A 208F 209D-209F A7CB-A7CF A7D2 A7D4
A7DA-A7DD A7E2 A7F1 AB6C-AB6D 105C0-105F3 107BB-107BF 10940-10959 10D4A-10D65 10D6F-10D85
10EC2-10EC7 10ED9-10EEE 1123F-11240 11380-11389 1138B 1138E 11390-113B5 113B7 113D1 113D3 11B0A
11BC0-11BE0 11DB0-11DDB 11DF1 11F02 11F04-11F10 11F12-11F33 1342F 13441-13446 13460-143FA
16100-1611D 16D40-16D6C 16EA0-16EB8 16EBB-16ED3 16FF2-16FF3 187F8-187FF 18CD6-18CDA 18CFF
18D09-18D20 18D80-18DF2 18E00-19191 191A0-191D2 1B123-1B128 1B132 1B155 1B168 1D6A6 1DF1F-1DF81
1DF90-1DF96 1DFCD-1DFFF 1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0 1E6C0-1E6DE 1E6E0-1E6E2
1E6E4-1E6E5 1E6E7-1E6ED 1E6F0-1E6F4 1E6FE-1E6FF 2B739-2B73F 2B81E 2CEA2-2CEAD 2EBF0-2EE5D
31350-33479 3D000-3FC3F""")
NEW_NUMBERS = ranges("""10D40-10D49 116D0-116E3 11BF0-11BF9 11DE0-11DE9 11F50-11F59 1246F
12475-1247F 12550-12686 16130-16139 16D70-16D79 16FF4-16FF6 1CCF0-1CCF9 1D2C0-1D2D3 1E4F0-1E4F9
1E5F1-1E5FA""")
OTHER += NEW_NUMBERS

# %% [markdown]
# The first alternative below is there for speed: with it, a plain English word never has to be
# compared with those long ranges. (`++` never gives back what it took.)

# %% tags=["export"]
LETTER = rf"[^\W\d_{OTHER}]"  # except the new ones
NUMBER = rf"[\d{OTHER}]"
SPACE = r"[^\S\x1c-\x1f]"  # to Python alone, the control characters 1C to 1F are white space
# All that is none of the three; ASCII's own first, for speed again.
MARK = rf"(?:[!-/:-@\[-`{{-~\x1c-\x1f]|[^\s\w{OTHER}{NEW_LETTERS}])"

# GPT-2's pieces: words, contractions, numbers, marks, each with the space before; white space, of
# which the last character is left for the next piece.
PIECE = re.compile(
    rf" ?[A-Za-z]++(?![^\x00-\x7f])| ?(?:{LETTER}++|[{NEW_LETTERS}])+|'(?:s|t|re|ve|m|ll|d)"
    rf"| ?{NUMBER}+| ?{MARK}+|{SPACE}+(?![\S\x1c-\x1f])|{SPACE}+"
)

# %%
for example in ["You'll know 'tis true, I'd say!", "  two  spaces,\n\n and 1623", "½ Ⅷ x² 三 café_"]:
    print(PIECE.findall(example))

# %% [markdown]
# Nothing is lost: there is an alternative for every character.
#
# A list of all pieces takes far more memory than its text. So we cut a part at a time, up to a place
# where a piece always ends.

# %% tags=["export"]
PART_END = re.compile(r"\S(?=[ \n])")

def pieces_of(text, part=1_000_000):
    """Yield the pieces of `text`, in one list for each part of some `part` characters."""
    start = 0
    while start < len(text):
        found = PART_END.search(text, start + part)
        end = found.end() if found else len(text)
        yield PIECE.findall(text, start, end)
        start = end

# %%
print(list(pieces_of("Now is  the winter", part=2)))

# %% [markdown]
# Bytes that are not UTF-8 pass through a Python string as stand-ins (*surrogates*), so the same code
# takes a photograph.

# %% tags=["export"]
def to_ids(piece):
    """Return the ids of the bytes of `piece`, not yet merged."""
    # Bytes that were not UTF-8 came in as lone surrogates and leave as the bytes they were.
    return list(piece.encode("utf-8", "surrogateescape").translate(ID_OF_BYTE))

# %% [markdown]
# Other surrogates have no bytes, such as one half of the pair that some programs write for 🙂. We
# refuse them rather than lose them.

# %% tags=["export"]
def check_characters(text):
    """Raise ValueError if a character of `text` has no bytes: half of a surrogate pair."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {text[error.start]!r} at position {error.start} is half of a surrogate "
            "pair, which has no bytes: leave it out, or join it to its other half"
        ) from None

# %%
print(to_ids("!"), to_ids("a"), to_ids(" "), to_ids("é"))
broken = b"caf\xc3".decode("utf-8", "surrogateescape")    # the é is cut in two
print(to_ids(broken) == [ID_OF_BYTE[b] for b in b"caf\xc3"])

# %% [markdown]
# GPT-2's files write each byte as one character: itself where it prints, otherwise the next one from
# 256 on. A space becomes `Ġ`.

# %% tags=["export"] module="tokenizers/gpt2_files.py"
"""GPT-2's tokenizer files, vocab.json and merges.txt, to merges. Derived in chapter 14."""

import json
from pathlib import Path

CHARS = [chr(b) for b in BYTE_ORDER[:188]] + [chr(256 + i) for i in range(68)]

# %%
print(CHARS[:6], CHARS[ID_OF_BYTE[ord(" ")]], CHARS[ID_OF_BYTE[ord("\n")]])

# %% [markdown]
# ## Training, as plain as it can be
#
# Count all pairs, take the best, merge it everywhere; stop early when no pair occurs twice. Ties go
# to the smaller pair. `words` holds the ids of each distinct piece, `counts` how often it occurs.

# %%
def learn_merges_naive(words, counts, n_merges):
    merges = []
    for new_id in range(256, 256 + n_merges):
        pair_count = count_pairs(words, counts)
        best = min(pair_count, key=lambda p: (-pair_count[p], p), default=None)
        if best is None or pair_count[best] < 2:
            break
        merges.append(best)
        words = [merge_pair(ids, best, new_id) for ids in words]
    return merges

# %%
piece_counts = Counter(PIECE.findall(text[:100_000]))
some_words, some_counts = [to_ids(p) for p in piece_counts], list(piece_counts.values())
naive = learn_merges_naive(some_words, some_counts, 40)

# %% [markdown]
# What do these merges spell?

# %%
def spell(merges):
    bytes_of = [bytes([b]) for b in BYTE_ORDER]
    for a, b in merges:
        bytes_of.append(bytes_of[a] + bytes_of[b])
    return [token.decode("utf-8", "replace") for token in bytes_of[256:]]

print(spell(naive))

# %% [markdown]
# Letters pair up into common sounds, then ` the`, ` you` and ` to` become whole, each with its space.
#
# ## Training, faster
#
# The naive trainer counts everything again at each step, though a merge changes only the words that
# hold the pair. So we keep three things up to date:
#
# - `pair_count`: how often each pair occurs;
# - `words_with`: in which words each pair may be found (an *index*);
# - `heap`: a list that gives its smallest entry in $O(\log n)$ steps. We put in `(-count, pair)`, so
#   the smallest entry is the most frequent pair and, of equals, the smaller one.

# %% tags=["export"] module="tokenizers/merges.py"
def index_pairs(words, counts):
    """Return {pair: how often it occurs} and {pair: the numbers of the words that hold it}."""
    pair_count, words_with = defaultdict(int), defaultdict(set)
    for w, ids in enumerate(words):
        for pair in pairwise(ids):
            pair_count[pair] += counts[w]
            words_with[pair].add(w)
    return pair_count, words_with

# %% [markdown]
# New pairs, which have the new id in them, get entries in the heap. The count of any other pair
# can only fall. Its entry then promises too much: it is *stale*. When it comes out we put it back with
# the true count. The first true entry is the best pair.

# %% tags=["export"]
def learn_merges(words, counts, n_merges):
    """Return the merges, best first: the most frequent pair, of equals the one with smaller ids.

    Args:
        words: the ids of each distinct piece; they are merged in place.
        counts: how often each piece occurs.
        n_merges: how many to learn; fewer where no pair occurs twice any more.
    """
    pair_count, words_with = index_pairs(words, counts)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        n, pair = heapq.heappop(heap)
        if -n != pair_count[pair]:  # it has fallen since
            heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        if -n < 2:
            break
        new = apply_merge(words, counts, pair, 256 + len(merges), pair_count, words_with)
        for p in new:
            heapq.heappush(heap, (-pair_count[p], p))
        merges.append(pair)
    return merges

# %% [markdown]
# `apply_merge` updates counts and index. In a word, only the pairs beside a merge change. Where
# `x a b y` becomes `x c y`, the pair `x c` replaces `x a`, and `c y` replaces `b y`. Where `a b a b`
# becomes `c c`, that pair replaces `b a`. So from each pair of the merged word that has a `c` we get the
# old one: put `b` for a left `c`, and `a` for a right one.

# %% tags=["export"]
def apply_merge(words, counts, pair, new_id, pair_count, words_with):
    """Merge `pair` in each word that holds it, keep counts and index true; return the new pairs."""
    first, second = pair
    new_pairs = set()
    for w in words_with.pop(pair):
        words[w] = merge_pair(words[w], pair, new_id)
        for new in pairwise(words[w]):
            if new_id in new:
                left, right = new
                old = second if left == new_id else left, first if right == new_id else right
                pair_count[old] -= counts[w]
                pair_count[new] += counts[w]
                words_with[new].add(w)
                new_pairs.add(new)
    del pair_count[pair]
    return new_pairs

# %% [markdown]
# Do both trainers learn the same, and how long do they take?

# %%
fast = learn_merges([list(w) for w in some_words], some_counts, 40)
print("same merges:", fast == naive)

# %% tags=["measurement"]
from time import perf_counter

for trainer in [learn_merges_naive, learn_merges]:
    start = perf_counter()
    trainer([list(w) for w in some_words], some_counts, 40)
    print(f"{trainer.__name__:19} {perf_counter() - start:6.3f} s")

# %% [markdown]
# Trainers disagree over ties and repeated letters, if anywhere. So we try 300 small texts that are full
# of both.

# %%
rng, agree = np.random.default_rng(14), 0
for _ in range(300):
    small = ["".join(rng.choice(list("aab"), size=rng.integers(1, 12))) for _ in range(4)]
    small_words, small_counts = [to_ids(w) for w in small], rng.integers(1, 4, size=4).tolist()
    expected = learn_merges_naive(small_words, small_counts, 20)
    agree += learn_merges(list(small_words), small_counts, 20) == expected
print(agree, "of 300 agree")

# %% [markdown]
# ## The tokenizer
#
# The merges and the special tokens are all there is to save. Merge number $i$ makes id $256 + i$.
#
# A `Cache` will remember the ids of each piece; `__missing__` makes what is not there yet.

# %% tags=["export"] module="tokenizers/bpe.py"
"""BPETokenizer: byte-level byte-pair encoding. Derived in chapter 14."""

import heapq
import re
from collections import Counter
from itertools import chain, pairwise

from numpygpt.tokenizers.base import Tokenizer

# %% tags=["export"]
class Cache(dict):
    """The ids of pieces, found by `merge_all` when first asked for; at most 50,000 short pieces."""

    def __init__(self, merge_all):
        self.merge_all = merge_all

    def __missing__(self, piece):
        ids = self.merge_all(piece)
        if len(piece) <= 30:  # a longer one takes much memory, and seldom comes again
            if len(self) >= 50_000:
                self.clear()
            self[piece] = ids
        return ids

# %% [markdown]
# Special tokens get the last ids. Everything is checked, since it may come from a damaged file.
# `id_of_pair` has the new id of each pair, `bytes_of` what an id spells.

# %% tags=["export"]
def check_special(tokens):
    """Raise ValueError unless `tokens` is a list of different strings, none of them empty."""
    strings = all(isinstance(s, str) and s for s in tokens)
    # "<end>" for ["<end>"] would give five tokens.
    if isinstance(tokens, str) or not strings or len(set(tokens)) != len(tokens):
        raise ValueError("special_tokens must be a list of different, not empty strings")
    check_characters("".join(tokens))

# %% tags=["export"]
class BPETokenizer(Tokenizer):
    """Tokens are bytes and merged pairs of tokens; lossless on any bytes, so on all text in UTF-8.

    Ids: 0-255 the bytes in GPT-2's order, then the merges as learned, then the special tokens.
    Source: Sennrich, Haddow and Birch, 2016; the byte level: Radford et al., 2019 (GPT-2).
    """

    kind = "bpe"

    def __init__(self, merges, special_tokens=()):
        check_special(special_tokens)
        self.merges = [(a, b) for a, b in merges]
        self.bytes_of, self.id_of_pair = [bytes([b]) for b in BYTE_ORDER], {}
        for pair in self.merges:
            new_id = len(self.bytes_of)
            if not all(0 <= i < new_id for i in pair) or pair in self.id_of_pair:
                raise ValueError(f"merge {new_id - 256}, {pair}, is no new pair of earlier tokens")
            self.id_of_pair[pair] = new_id
            self.bytes_of.append(self.bytes_of[pair[0]] + self.bytes_of[pair[1]])
        self.special_tokens = {s: len(self.bytes_of) + i for i, s in enumerate(special_tokens)}
        self.bytes_of += [s.encode("utf-8", "surrogateescape") for s in special_tokens]
        self.vocab_size = len(self.bytes_of)
        self.cache = Cache(self.merge_all)

# %% tags=["export"]
@add_to_class(BPETokenizer)
@classmethod
def train(cls, text, vocab_size, special_tokens=()):
    """Learn merges from `text` until there are `vocab_size` tokens or no pair occurs twice.

    Args:
        vocab_size: bytes, merges and special tokens together.
        special_tokens: strings that `encode` keeps whole where it is allowed to.

    Raises:
        ValueError: `vocab_size` is too small, or `text` holds half of a surrogate pair.
    """
    n_merges = vocab_size - 256 - len(special_tokens)
    if n_merges < 0:
        raise ValueError(f"vocab_size={vocab_size} must be at least {vocab_size - n_merges}")
    check_characters(text)
    counts = Counter(chain.from_iterable(pieces_of(text)))
    words = [to_ids(piece) for piece in counts]
    return cls(learn_merges(words, list(counts.values()), n_merges), special_tokens)

# %% [markdown]
# ## Decoding
#
# Decoding is one line: look up what each id spells, and join. Where a model stops in the middle of
# a character, `decode` shows the character `�` instead of failing.

# %% tags=["export"]
@add_to_class(BPETokenizer)
def decode_bytes(self, ids):
    """Return the bytes of `ids`: decode_bytes(encode(data)) == data for any bytes."""
    return b"".join(self.bytes_of[i] for i in ids)

@add_to_class(BPETokenizer)
def decode(self, ids):
    """Return the text of `ids`; bytes that are not UTF-8 (a character cut in two) become �."""
    return self.decode_bytes(ids).decode("utf-8", "replace")

# %% [markdown]
# ## Encoding
#
# A new text must be cut as the training text was. There, an early merge was applied everywhere
# before a later one was learned. So in a piece we always apply the earliest merge that fits, the one
# with the smallest new id.

# %%
def merge_all_naive(id_of_pair, piece):
    ids = to_ids(piece)
    while known := [pair for pair in pairwise(ids) if pair in id_of_pair]:
        pair = min(known, key=id_of_pair.get)
        ids = merge_pair(ids, pair, id_of_pair[pair])
    return ids

# %% [markdown]
# This looks at the whole piece again for each merge, and a piece may be long. So here, too, we keep a
# heap: of all merges that are possible, each as its new id and its place. It gives the smallest id, of
# equals the leftmost. A merge frees one place. Nothing moves: each place notes which one comes `before`
# and `after` it. An entry whose pair was broken by another merge is stale, and is dropped when it comes
# out.

# %% tags=["export"]
@add_to_class(BPETokenizer)
def merge_all(self, piece):
    """Return the ids of one piece: apply the merges that fit, the earliest learned first."""
    ids, made_by = to_ids(piece), self.id_of_pair.get
    before, after = list(range(-1, len(ids) - 1)), list(range(1, len(ids) + 1))
    heap = [(new, i) for i, pair in enumerate(pairwise(ids)) if (new := made_by(pair))]
    heapq.heapify(heap)
    while heap:
        new, i = heapq.heappop(heap)
        j = after[i]
        if j == len(ids) or made_by((ids[i], ids[j])) != new:
            continue  # stale
        ids[i], ids[j] = new, None  # place j is free
        after[i] = j = after[j]
        if j < len(ids):
            before[j] = i
            if made := made_by((new, ids[j])):
                heapq.heappush(heap, (made, i))
        if i > 0 and (made := made_by((ids[before[i]], new))):
            heapq.heappush(heap, (made, before[i]))
    return [i for i in ids if i is not None]

# %%
small = BPETokenizer(naive)
print(all(small.merge_all(p) == merge_all_naive(small.id_of_pair, p) for p in piece_counts))

# %% [markdown]
# Let us watch it at work on `abab`, with the merges `a b`, `b a` and `ab ab`, learned in this order.
# **Before you look at the figure:** which entry will be stale?

# %%
import sys
from unittest.mock import patch

def watch(tokenizer, piece):
    """The entries that `merge_all` takes; its ids and heap before each, and at the end."""
    taken, states = [], []

    def heappop(heap, pop=heapq.heappop):
        states.append((list(sys._getframe(1).f_locals["ids"]), sorted(heap)))
        taken.append(pop(heap))
        return taken[-1]

    with patch("heapq.heappop", heappop):
        ids = tokenizer.merge_all(piece)
    return taken, [*states, (ids, [])]

# %%
def name(entry):
    new_id, place = entry
    return f"{tiny.decode([new_id])} at {place}"

a, b = to_ids("ab")
tiny = BPETokenizer([(a, b), (b, a), (256, 256)])
taken, states = watch(tiny, "abab")
tokens = [[tiny.decode([i]) for i in ids if i is not None] for ids, _ in states]
labels = ["start"] + [f"takes {name(entry)}" + ": stale" * (before == after)
                      for entry, (before, after) in zip(taken, pairwise(tokens))]

# %%
figure, ax = subplots(size=(6, 2.4))
for y, (row, (_, heap)) in enumerate(zip(tokens, states)):
    token_row(ax, y, row)
    ax.text(5.5, y, ",   ".join(map(name, heap)) or "empty", va="center")
ax.text(2, -0.8, "tokens", ha="center")
ax.text(5.5, -0.8, "heap, smallest first")
ax.set(yticks=range(len(labels)), yticklabels=labels, xlim=(0, 10.5), ylim=(4.6, -1.2),
       xticks=[0.5, 1.5, 2.5, 3.5], xticklabels=range(4))
ax.set_xlabel("place", loc="left")
ax.spines["bottom"].set_bounds(0, 4)
show(figure, "The tokens of abab and the heap, one row for each entry taken. Start: a b a b; heap: ab at 0, "
     "ab at 2, ba at 1. Takes ab at 0: ab a b. Takes ab at 2: ab ab, and abab at 0 joins the heap. Takes "
     "ba at 1: stale, nothing changes. Takes abab at 0: abab, and the heap is empty.")

# %% [markdown]
# `ba` at 1: the first merge has taken its `b`, the second its `a`. The second merge also gave the
# first `ab` a new neighbor, and so a new entry.
#
# A text repeats its words, so the cache has most pieces already.

# %% tags=["export"]
@add_to_class(BPETokenizer)
def encode_ordinary(self, text):
    """Return the ids of `text` with no token special in it."""
    ids = []
    for pieces in pieces_of(text):
        ids += chain.from_iterable(map(self.cache.__getitem__, pieces))
    return ids

# %% [markdown]
# If `<end>` in a stranger's message became the token that ends a document, the stranger could steer
# our model. So by default it is only text; the caller names the special tokens that count.

# %% tags=["export"]
@add_to_class(BPETokenizer)
def encode(self, text, allowed_special=()):
    """Return the ids of `text`, a str or bytes.

    Args:
        allowed_special: the special tokens that count as such where they occur ("all" for all);
            the others are encoded like any other text, so that no user's text can forge them.

    Raises:
        ValueError: `allowed_special` names a token that is not special, or `text` holds half of
            a surrogate pair.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    allowed = set(self.special_tokens if allowed_special == "all" else allowed_special)
    if unknown := sorted(allowed - self.special_tokens.keys()):
        raise ValueError(f"{unknown} not among the special tokens {list(self.special_tokens)}")
    check_characters(text)
    if not allowed:
        return self.encode_ordinary(text)
    ids = []
    # Longest first: of "<end>" and "<end>>" the longer one must win.
    pattern = "|".join(re.escape(s) for s in sorted(allowed, key=len, reverse=True))
    for part in re.split(f"({pattern})", text):
        ids += [self.special_tokens[part]] if part in allowed else self.encode_ordinary(part)
    return ids

# %% tags=["export"]
@add_to_class(BPETokenizer)
def to_dict(self):
    # Lists, not tuples: equal to what comes back from a file.
    merges = [list(pair) for pair in self.merges]
    return {"merges": merges, "special_tokens": list(self.special_tokens)}

@add_to_class(BPETokenizer)
@classmethod
def from_dict(cls, content):
    return cls(content["merges"], content["special_tokens"])

# %% [markdown]
# We train on the first nine tenths of the text, for 1,024 merges and one special token. **Before you
# run the two cells:** what will the last merges look like: letters, syllables or words?

# %% tags=["widget"]
cut = len(text) * 9 // 10
train_text, val_text = text[:cut], text[cut:]
tokenizer = BPETokenizer.train(train_text, 256 + 1024 + 1, special_tokens=["<end>"])

# %%
learned = spell(tokenizer.merges)
print(learned[:10])
print(learned[-10:])

# %% [markdown]
# Short words, and syllables of longer ones. Now one text without and with `<end>` allowed, and one that
# ends in half a 🙂.

# %%
for allowed in [(), ["<end>"]]:
    ids = tokenizer.encode("Exit.<end>", allowed_special=allowed)
    print(ids, [tokenizer.decode([i]) for i in ids])
try:
    tokenizer.encode("Exit.\ud83d")
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## Check the round trip, then break it where it does not show
#
# Any bytes must come back, even random ones.

# %%
samples = [line.encode(), "你好，世界".encode(), b"\x00\x01\r\n\t", b"", rng.bytes(1000)]

def round_trip(tokenizer):
    return [tokenizer.decode_bytes(tokenizer.encode(data)) == data for data in samples]

print(round_trip(tokenizer))
print(tokenizer.decode(tokenizer.encode(line)), len(tokenizer.encode(line)), "tokens")

# %% [markdown]
# Now we plant a bug: `merge_all` takes the first pair that fits, from the left, not the earliest
# learned. **Before you run the next cell:** which of the samples will fail?

# %%
class LeftmostFirst(BPETokenizer):
    def merge_all(self, piece):
        ids = to_ids(piece)
        while pair := next((p for p in pairwise(ids) if p in self.id_of_pair), None):
            ids = merge_pair(ids, pair, self.id_of_pair[pair])
        return ids

wrong = LeftmostFirst(tokenizer.merges, ["<end>"])
print(round_trip(wrong))

# %% [markdown]
# None. Whatever the merges do, the bytes stay in order, so the round trip is blind to this bug. A
# second check sees it: `encode` must cut each piece of the training text as training left it.

# %%
piece_counts = Counter(PIECE.findall(train_text))
trained = [to_ids(p) for p in piece_counts]
merges = learn_merges(trained, list(piece_counts.values()), 1024)    # merges the words in place

# %%
for candidate in [tokenizer, wrong]:
    differ = [(p, ids) for p, ids in zip(piece_counts, trained) if candidate.merge_all(p) != ids]
    print(f"{type(candidate).__name__}: {len(differ)} of {len(trained)} pieces differ")
    for p, ids in differ[:3]:
        print("   trained:", [tokenizer.decode([i]) for i in ids],
              "  encoded:", [tokenizer.decode([i]) for i in candidate.merge_all(p)])

# %% [markdown]
# A model trained with one and sampled with the other would read familiar words in parts that it
# has seldom seen, and nothing would raise an error.
#
# ## Experiment: merge by merge
#
# What happens to a line as the merges come in? The first $k$ merges are what a shorter training would
# have learned, so one training is enough.

# %% tags=["widget"]
def tokens_after(k, line):
    younger = BPETokenizer(tokenizer.merges[:k])
    ids = younger.encode(line.encode("utf-8", "replace"))    # half a character becomes ?
    return [younger.bytes_of[i].decode("utf-8", "surrogateescape") for i in ids]

# %% tags=["widget"]
def draw_tokens(steps, line):
    """One row of boxes for each number of merges in `steps`."""
    rows = [tokens_after(k, line) for k in steps]
    figure, ax = subplots(size=(8, 0.6 + 0.4 * len(steps)))
    width = max([20, *(token_row(ax, y, tokens) for y, tokens in enumerate(rows))])
    ax.set(yticks=range(len(steps)), ylabel="merges", xticks=[],
           yticklabels=[f"{k}:  {len(tokens)} tokens" for k, tokens in zip(steps, rows)],
           xlim=(0, width), ylim=(len(steps) - 0.5, -0.5))
    show(figure, f"The line '{line}' cut into tokens, one row for each number of merges.")
    return figure

# %%
figure = draw_tokens([0, 16, 64, 256, 1024], "Now is the winter of our discontent")

# %% [markdown]
# Type a line of your own and raise the number of merges. Which words become whole? (In a running
# notebook you see the controls here. Parts of a character are shown as bytes: é is *c3 a9*.)

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import IntSlider, Text, interactive

panel = interactive(lambda merges, line: draw_tokens([merges], line),
                    merges=IntSlider(64, min=0, max=1024), line=Text("Now is the winter of our discontent"))
panel

# %% [markdown]
# How much does each merge buy? On `val_text`, which the tokenizer has not seen, we measure the characters
# per token, and the bits per character of chapter 13's unigram. **Before you run the two cells:** which
# will shorten the text more, the first 256 merges or the 768 after them?

# %%
def unigram_bits(tokenizer):
    counts = np.bincount(tokenizer.encode(train_text), minlength=tokenizer.vocab_size) + 1
    ids = np.array(tokenizer.encode(val_text))
    loss = -np.log(counts / counts.sum())[ids].mean()    # nats per token
    return float(loss / np.log(2) * len(ids) / len(val_text)), len(val_text) / len(ids)

# %%
steps = [0, 4, 16, 64, 256, 512, 1024]
bits, chars_per_token = zip(*[unigram_bits(BPETokenizer(tokenizer.merges[:k])) for k in steps])
for k, b, c in zip(steps, bits, chars_per_token):
    print(f"{k:5} merges: {c:.4f} characters per token, {b:.4f} bits per character")

# %%
fig, axes = subplots(1, 2)
labels = ["characters per token", "bits per character (unigram)"]
for ax, values, label in zip(axes, (chars_per_token, bits), labels):
    ax.plot([256 + k for k in steps], values, "o-")
    ax.set(xlabel="vocabulary size: 256 bytes + merges", ylabel=label, ylim=(0, 1.1 * max(values)))
    ax.set(xlim=(0, None), xticks=[0, 256, 512, 768, 1024, 1280])
show(fig, "Two curves against the size of the vocabulary, 256 to 1,280. Characters per token rise "
     "steeply at first, then ever more slowly; bits per character fall in the same way.")

# %% [markdown]
# Both curves bend: the first 256 merges buy more than the next 768. Each further token needs a row
# in the embedding and a column in the logits, and is seen less often in training. Our text is short,
# so we stay near a thousand tokens; GPT-2 learned from 40 gigabytes of text and has 50,257.
#
# ## What tokens do to a model
#
# A tokenizer shortens what looks like its training text. **Before you run the next cell:** which of
# these texts will have the most characters per token, and which the fewest?

# %%
texts = {
    "English": "The weather will be fine tomorrow, so we shall walk along the river.",
    "German": "Morgen wird das Wetter schön, also gehen wir am Fluss spazieren.",
    "Chinese": "明天天气会很好，所以我们要去河边散步。",
    "digits": "In 1623: 3.14159265358979",
    "Python": "for i in range(10):\n    print(i, i * i)\n",
}
for name, sample in texts.items():
    n = len(tokenizer.encode(sample))
    print(f"{name:8} {len(sample):3} characters, {len(sample.encode()):3} bytes, {n:3} tokens: "
          f"{len(sample) / n:.2f} characters per token")

# %% [markdown]
# The same sentence has 22 tokens in English and 57 in Chinese, where each byte is one: no merge was
# learned for it. Computing time, memory and price are all counted in tokens. Our text has no digits
# and no two spaces in a row, so each digit is a token, and each space of an indentation but the
# last.
#
# Three more effects. **Spelling:** a model sees ids, not letters. It must learn from use that these are
# one word, and which letters it has.

# %%
for word in ["father", " father", " Father", " FATHER", " fathers"]:
    ids = tokenizer.encode(word)
    print(f"{word!r:10}", ids, [tokenizer.decode([i]) for i in ids])

# %% [markdown]
# **Digits:** a tokenizer trained on years keeps those whole, and cuts up other numbers.

# %%
years = BPETokenizer.train(2 * " ".join(["", *map(str, range(1900, 2027))]), 1000)
for number in [" 1984", "1984", " 1884", " 19840"]:
    print(f"{number!r:9}", [years.decode([i]) for i in years.encode(number)])

# %% [markdown]
# The same digit is sometimes part of a token and sometimes a token of its own, which makes
# arithmetic hard to learn. So Llama 2 cuts all numbers into single digits, GPT-4 into groups of up
# to three.
#
# **A trailing space:** a prompt is `Now is the `, with a space at the end. Where has the model met a space
# that is a token by itself?

# %%
ids, space = np.array(tokenizer.encode(train_text)), tokenizer.encode(" ")[0]
after = Counter(tokenizer.decode([i])[:1] for i in ids[1:][ids[:-1] == space].tolist())
print(f"{after.total():,} of {len(ids):,} tokens are a space alone; the next one begins with")
print(after.most_common(6), "... and with w:", after["w"])

# %% [markdown]
# Before tokens that no merge has joined to the space, and never before *winter*, whose token ` w`
# has the space inside. So end a prompt without a space.
#
# ## GPT-2's own files
#
# GPT-2's tokenizer is public, as two text files, both written in `CHARS`. `merges.txt` has a line for
# each merge, `vocab.json` the id of every token. Ids follow from merges and special tokens, so
# `vocab.json` is only a check: it finds a file cut short, or one of another model.

# %% tags=["export"] module="tokenizers/gpt2_files.py"
def read_merges(path):
    """Return the merges in the file `path` as pairs of ids, and the id of each token."""
    id_of, merges = {char: i for i, char in enumerate(CHARS)}, []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if left not in id_of or right not in id_of or left + right in id_of:
            raise ValueError(f"{path}, line {number}: {line!r} is no new pair of earlier tokens")
        merges.append((id_of[left], id_of[right]))
        id_of[left + right] = len(id_of)
    return merges, id_of

def read_text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start})") from None

# %% tags=["export"]
def read_gpt2_files(vocab_path, merges_path, special_tokens):
    """Return the merges of a tokenizer in GPT-2's two files.

    Raises:
        ValueError: a file is damaged, or the ids in `vocab_path` are not those that follow from
            the merges and the special tokens.
    """
    merges, id_of = read_merges(merges_path)
    for token in special_tokens:
        id_of[token] = len(id_of)
    try:
        vocab = json.loads(read_text(vocab_path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{vocab_path} is not JSON: {error}") from None
    if not isinstance(vocab, dict) or not all(type(i) is int for i in vocab.values()):
        raise ValueError(f"{vocab_path} is no vocabulary: tokens, and for each its id")
    for token in id_of | vocab:
        theirs, ours = vocab.get(token, "none"), id_of.get(token, "none")
        if theirs != ours:
            raise ValueError(
                f"{vocab_path} and {merges_path} disagree: the id of {token!r} is {theirs} in the "
                f"one, {ours} by the other and the special tokens {list(special_tokens)}"
            )
    return merges

# %% tags=["export"] module="tokenizers/bpe.py"
@add_to_class(BPETokenizer)
@classmethod
def from_gpt2(cls, vocab_path, merges_path, special_tokens=("<|endoftext|>",)):
    """Read GPT-2's vocab.json and merges.txt, or files of that form; the ids are GPT-2's.

    Raises:
        ValueError: a file is damaged, or they do not belong together.
    """
    return cls(read_gpt2_files(vocab_path, merges_path, special_tokens), special_tokens)

# %% [markdown]
# We write our own tokenizer in that form and read it back. Then we cut off the last line.

# %%
from shutil import rmtree
from tempfile import mkdtemp

folder = Path(mkdtemp())
names = ["".join(CHARS[ID_OF_BYTE[b]] for b in token) for token in tokenizer.bytes_of]
lines = ["#version: 0.2"] + [f"{names[a]} {names[b]}" for a, b in tokenizer.merges]
(folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}), "utf-8")
print(lines[:6])

# %%
def read_back(lines):
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    return BPETokenizer.from_gpt2(folder / "vocab.json", folder / "merges.txt", ["<end>"])

print("same ids:", read_back(lines).encode(val_text) == tokenizer.encode(val_text))
try:
    read_back(lines[:-1])
except ValueError as error:
    print(str(error).replace(str(folder), "..."))
rmtree(folder)

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/14_bpe.ipynb](../exercises/14_bpe.ipynb). A check says what is
# wrong, and `hint("bpe-by-hand")` helps.
#
# | task | | minutes |
# |---|---|---|
# | by hand | easy | 10 |
# | merge a pair | easy | 10 |
# | learn merges | medium | 30 |
# | encode | medium | 20 |
# | decode | medium | 15 |
#
# ## Recap
#
# - Byte-pair encoding: start from 256 bytes, merge the most frequent pair, repeat. No bytes are lost.
# - Training with counts, an index and a heap gives the merges of the naive trainer, ties included.
# - Encoding applies the earliest merge first. The round trip cannot see a wrong order; a comparison
#   with the training text can.
# - A model sees ids, not letters: spelling, digits and spaces depend on the cut.
# - The next cell exports `tokenizers/bpe.py` and the three modules that it rests on.
# - Next: the data, from a file of tokens to batches.

# %%
export("14_bpe")
