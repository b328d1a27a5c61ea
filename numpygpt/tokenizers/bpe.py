"""BPETokenizer: byte-level byte-pair encoding. Derived in chapter 14."""

import heapq
import re
from collections import Counter
from itertools import chain, pairwise

from numpygpt.tokenizers.base import Tokenizer
from numpygpt.tokenizers.gpt2_files import read_gpt2_files
from numpygpt.tokenizers.merges import learn_merges
from numpygpt.tokenizers.pieces import BYTE_ORDER, check_characters, pieces_of, to_ids


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


def check_special(tokens):
    """Raise ValueError unless `tokens` is a list of different strings, none of them empty."""
    strings = all(isinstance(s, str) and s for s in tokens)
    # "<end>" for ["<end>"] would give five tokens.
    if isinstance(tokens, str) or not strings or len(set(tokens)) != len(tokens):
        raise ValueError("special_tokens must be a list of different, not empty strings")
    check_characters("".join(tokens))


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

    def decode_bytes(self, ids):
        """Return the bytes of `ids`: decode_bytes(encode(data)) == data for any bytes."""
        return b"".join(self.bytes_of[i] for i in ids)

    def decode(self, ids):
        """Return the text of `ids`; bytes that are not UTF-8 (a character cut in two) become �."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

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

    def encode_ordinary(self, text):
        """Return the ids of `text` with no token special in it."""
        ids = []
        for pieces in pieces_of(text):
            ids += chain.from_iterable(map(self.cache.__getitem__, pieces))
        return ids

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
