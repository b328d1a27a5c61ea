"""ByteLevelBPE: the tokenizer in a tokenizer.json of Hugging Face. Derived in chapter 25."""

import heapq
import re
from itertools import chain
from unicodedata import normalize

from numpygpt.tokenizers.base import Tokenizer
from numpygpt.tokenizers.bpe import Cache
from numpygpt.tokenizers.gpt2_files import CHARS
from numpygpt.tokenizers.pieces import BYTE_ORDER, ID_OF_BYTE, check_characters
from numpygpt.tokenizers.pretokenizers import cut, only, steps_of

# GPT-2's letter for each byte, and back.
LETTER_OF = {byte: CHARS[ID_OF_BYTE[byte]] for byte in range(256)}


BYTE_OF = dict(zip(CHARS, BYTE_ORDER, strict=True))


def start_of(about):
    """Return the special tokens that the entry "post_processor" puts before a text."""
    found = []
    for part in about.get("processors", [about]) if about else []:
        if part["type"] == "TemplateProcessing":
            for item in part["single"]:
                if "Sequence" in item:
                    break
                found.append(item["SpecialToken"]["id"])
    return found


class ByteLevelBPE(Tokenizer):
    """Byte-level BPE as a file of others has it: their pieces, their merges, their ids.

    `special_tokens` are all "added tokens" of the file, {text: id}; `start` are the ids that it
    puts before a text, for the caller to add. Lossless, except that NFC, where the file asks for
    it, writes what can be written as e and an accent, or as é, in the second way.

    Args:
        file: the parsed tokenizer.json.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is damaged, or asks for what we lack.
    """

    kind = "byte_level_bpe"

    def __init__(self, file):
        model, normalizer = file["model"], file.get("normalizer")
        only("model", model, type="BPE", byte_fallback=False)
        for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(name):
                raise ValueError(f"model: {name} is {model[name]!r}, we know none")
        if normalizer not in (None, {"type": "NFC"}):
            raise ValueError(f"normalizer is {normalizer!r}, we know only NFC")
        self.file, self.nfc = file, normalizer is not None
        self.steps = steps_of(file["pre_tokenizer"])
        self._read_added(file.get("added_tokens", []))
        self._read_vocab(model["vocab"], model["merges"])
        self.ignore_merges = bool(model.get("ignore_merges"))
        self.start = [self.special_tokens[s] for s in start_of(file.get("post_processor"))]
        self.cache = Cache(self.merge_all)

    def _read_added(self, tokens):
        self.special_tokens = {}
        for token in tokens:
            where = f"added token {token['content']!r}"
            only(where, token, lstrip=False, rstrip=False, single_word=False)
            if self.nfc:
                only(where, token, normalized=False)
            self.special_tokens[token["content"]] = token["id"]
        if not all(isinstance(s, str) and s for s in self.special_tokens):
            raise ValueError("an added token is empty or not text")

    def _read_vocab(self, vocab, merges):
        ids = [*vocab.values(), *self.special_tokens.values()]
        if not all(type(i) is int and 0 <= i < 1 << 31 for i in ids):
            raise ValueError("an id is not a whole number from 0 on")
        if odd := set("".join(vocab.keys() - self.special_tokens.keys())) - BYTE_OF.keys():
            raise ValueError(f"its tokens hold {min(odd)!r}, which stands for no byte")
        self.id_of, self.ranks = vocab, {}
        for rank, pair in enumerate(merges):
            left, right = pair.split(" ") if isinstance(pair, str) else pair
            if not {left, right, left + right} <= vocab.keys():
                raise ValueError(f"merge {rank}, {pair!r}, is not of tokens of the vocabulary")
            self.ranks[left, right] = rank
        self.token_of = {i: token for token, i in vocab.items()}
        self.text_of_special = {i: s for s, i in self.special_tokens.items()}
        everything = (vocab | self.special_tokens).items()
        if len({i for _, i in everything}) != len(everything):
            raise ValueError("two of its tokens have one id")
        self.vocab_size = max(ids) + 1

    def merge_all(self, piece):
        """Return the ids of one piece: of the merges that fit, the one of lowest rank first."""
        data = piece.encode("utf-8", "surrogateescape")
        parts = [LETTER_OF[byte] for byte in data]
        if self.ignore_merges and (whole := self.id_of.get("".join(parts))) is not None:
            return [whole]
        n, ranks = len(parts), self.ranks
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))
        heap = [(ranks[p], i) for i in range(n - 1) if (p := (parts[i], parts[i + 1])) in ranks]
        heapq.heapify(heap)
        while heap:
            rank, i = heapq.heappop(heap)
            j = after[i]
            if j == n or ranks.get((parts[i], parts[j])) != rank:
                continue  # stale
            parts[i], parts[j] = parts[i] + parts[j], None  # place j is free
            after[i] = k = after[j]
            if k < n:
                before[k] = i
            for a, b in ((before[i], i), (i, k)):
                if a >= 0 and b < n and (new := ranks.get((parts[a], parts[b]))) is not None:
                    heapq.heappush(heap, (new, a))
        try:
            return [self.id_of[part] for part in parts if part is not None]
        except KeyError as error:
            byte = BYTE_OF[error.args[0]]
            raise ValueError(f"byte {byte} of {piece!r} is not in the vocabulary") from None

    def encode_ordinary(self, text):
        """Return the ids of `text` with no token special in it."""
        text = normalize("NFC", text) if self.nfc else text
        return list(chain.from_iterable(map(self.cache.__getitem__, cut(text, self.steps))))

    def encode(self, text, allowed_special=()):
        """Return the ids of `text`, a str or bytes; as BPETokenizer's, nothing special by itself.

        Args:
            allowed_special: the added tokens that count as such where they occur ("all" for all).

        Raises:
            ValueError: `allowed_special` names another token, or `text` has what has no bytes.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        check_characters(text)
        allowed = set(self.special_tokens if allowed_special == "all" else allowed_special)
        if unknown := sorted(allowed - self.special_tokens.keys()):
            raise ValueError(f"{unknown} not among the added tokens of the file")
        if not allowed:
            return self.encode_ordinary(text)
        ids = []
        longest_first = sorted(allowed, key=len, reverse=True)
        for part in re.split(f"({'|'.join(map(re.escape, longest_first))})", text):
            ids += [self.special_tokens[part]] if part in allowed else self.encode_ordinary(part)
        return ids

    def decode_bytes(self, ids):
        """Return the bytes of `ids`; an id that the file does not name has none."""
        parts = []
        for i in ids:
            if i in self.text_of_special:
                parts.append(self.text_of_special[i].encode("utf-8", "surrogateescape"))
            else:
                parts.append(bytes(map(BYTE_OF.__getitem__, self.token_of.get(i, ""))))
        return b"".join(parts)

    def decode(self, ids):
        """Return the text of `ids`; bytes that are not UTF-8 (a character cut in two) become �."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def to_dict(self):
        return {"file": self.file}

    @classmethod
    def from_dict(cls, content):
        return cls(content["file"])
