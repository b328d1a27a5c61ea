"""BPETokenizer: byte-level byte-pair encoding. Derived in chapter 14."""

import heapq
import math
import re
from collections import Counter, defaultdict
from itertools import pairwise

from numpygpt.tokenizers.base import Tokenizer
from numpygpt.tokenizers.gpt2_files import read_gpt2_files
from numpygpt.tokenizers.pieces import BYTE_ORDER, PIECE, to_ids


def merge_pair(ids, pair, new_id):
    """Return `ids` with each occurrence of `pair`, from the left, replaced by `new_id`."""
    merged = []
    for i in ids:
        if merged and (merged[-1], i) == pair:
            merged[-1] = new_id
        else:
            merged.append(i)
    return merged


def learn_merges(words, counts, n_merges):
    """Return the merges, best first: the most frequent pair, of equals the one with smaller ids.

    Args:
        words: the ids of each distinct piece; they are merged in place.
        counts: how often each piece occurs.
        n_merges: how many to learn; fewer where no pair occurs twice any more.
    """
    pair_count, words_with = Counter(), defaultdict(set)
    for w, ids in enumerate(words):
        for pair in pairwise(ids):
            pair_count[pair] += counts[w]
            words_with[pair].add(w)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        n, pair = heapq.heappop(heap)
        if -n < 2:
            break
        if -n != pair_count[pair]:
            continue  # out of date: the true count has an entry of its own
        for p in apply_merge(words, counts, pair, 256 + len(merges), pair_count, words_with):
            heapq.heappush(heap, (-pair_count[p], p))
        merges.append(pair)
    return merges


def apply_merge(words, counts, pair, new_id, pair_count, words_with):
    """Merge `pair` in each word that holds it, keep counts and index true; return what changed."""
    changed = set()
    for w in words_with.pop(pair):
        old, new = words[w], merge_pair(words[w], pair, new_id)
        for p in pairwise(old):
            pair_count[p] -= counts[w]
        for p in pairwise(new):
            pair_count[p] += counts[w]
            words_with[p].add(w)
        changed.update(pairwise(old), pairwise(new))
        words[w] = new
    return changed


class BPETokenizer(Tokenizer):
    """Tokens are bytes and merged pairs of tokens; lossless on any text and any bytes.

    Ids: 0-255 the bytes in GPT-2's order, then the merges as learnt, then the special tokens.
    Source: Sennrich, Haddow and Birch, 2016; the byte level: Radford et al., 2019 (GPT-2).
    """

    kind = "bpe"

    def __init__(self, merges, special_tokens=()):
        self.merges = [(a, b) for a, b in merges]
        self.bytes_of = [bytes([b]) for b in BYTE_ORDER]
        self.id_of_pair = {}
        for pair in self.merges:
            new_id = len(self.bytes_of)
            if not all(0 <= i < new_id for i in pair) or pair in self.id_of_pair:
                raise ValueError(f"merge {new_id - 256}, {pair}, is no new pair of earlier tokens")
            self.id_of_pair[pair] = new_id
            self.bytes_of.append(self.bytes_of[pair[0]] + self.bytes_of[pair[1]])
        self.special_tokens = {s: len(self.bytes_of) + i for i, s in enumerate(special_tokens)}
        if (
            isinstance(special_tokens, str)  # "<end>" for ["<end>"] would give five tokens
            or len(self.special_tokens) != len(special_tokens)
            or not all(isinstance(s, str) and s for s in special_tokens)
        ):
            raise ValueError("special_tokens must be a list of different, not empty strings")
        self.bytes_of += [s.encode() for s in special_tokens]
        self.vocab_size = len(self.bytes_of)
        self.cache = {}  # piece -> ids: a text repeats its words

    @classmethod
    def train(cls, text, vocab_size, special_tokens=()):
        """Learn merges from `text` until there are `vocab_size` tokens or no pair occurs twice.

        Args:
            vocab_size: bytes, merges and special tokens together.
            special_tokens: strings that `encode` keeps whole where it is allowed to.
        """
        n_merges = vocab_size - 256 - len(special_tokens)
        if n_merges < 0:
            raise ValueError(f"vocab_size={vocab_size} must be at least {vocab_size - n_merges}")
        counts = Counter(PIECE.findall(text))
        words = [to_ids(piece) for piece in counts]
        return cls(learn_merges(words, list(counts.values()), n_merges), special_tokens)

    def decode_bytes(self, ids):
        """Return the bytes of `ids`: decode_bytes(encode(data)) == data for any bytes."""
        return b"".join(self.bytes_of[i] for i in ids)

    def decode(self, ids):
        """Return the text of `ids`; bytes that are not UTF-8 (a character cut in two) become �."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def merge_all(self, piece):
        """Return the ids of one piece: apply the merges that fit, the earliest learnt first."""
        ids = to_ids(piece)
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda p: self.id_of_pair.get(p, math.inf))
            if pair not in self.id_of_pair:
                break
            ids = merge_pair(ids, pair, self.id_of_pair[pair])
        return ids

    def encode_ordinary(self, text):
        """Return the ids of `text` with no token special in it."""
        ids = []
        for piece in PIECE.findall(text):
            if piece not in self.cache:
                self.cache[piece] = self.merge_all(piece)
            ids += self.cache[piece]
        return ids

    def encode(self, text, allowed_special=()):
        """Return the ids of `text`, a str or bytes.

        Args:
            allowed_special: the special tokens that count as such where they occur ("all" for all);
                the others are encoded like any other text, so that no user's text can forge them.

        Raises:
            ValueError: `allowed_special` names a token that is not special.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        allowed = set(self.special_tokens if allowed_special == "all" else allowed_special)
        if unknown := sorted(allowed - self.special_tokens.keys()):
            raise ValueError(f"{unknown} not among the special tokens {list(self.special_tokens)}")
        if not allowed:
            return self.encode_ordinary(text)
        ids = []
        # Longest first: of "<end>" and "<end>>" the longer one must win.
        pattern = "|".join(re.escape(s) for s in sorted(allowed, key=len, reverse=True))
        for part in re.split(f"({pattern})", text):
            ids += [self.special_tokens[part]] if part in allowed else self.encode_ordinary(part)
        return ids

    def to_dict(self):
        # Lists, not tuples: equal to what comes back from a file.
        merges = [list(pair) for pair in self.merges]
        return {"merges": merges, "special_tokens": list(self.special_tokens)}

    @classmethod
    def from_dict(cls, content):
        return cls(content["merges"], content["special_tokens"])

    @classmethod
    def from_gpt2(cls, vocab_path, merges_path, special_tokens=("<|endoftext|>",)):
        """Read GPT-2's vocab.json and merges.txt, or files of that form; the ids are GPT-2's.

        Raises:
            ValueError: a file is damaged, or they do not belong together.
        """
        return cls(read_gpt2_files(vocab_path, merges_path, special_tokens), special_tokens)
