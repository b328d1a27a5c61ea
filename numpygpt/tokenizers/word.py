"""WordTokenizer: one token for each word, mark or line break. Derived in chapter 13."""

import re
from collections import Counter

from numpygpt.tokenizers.base import Tokenizer

UNK = "<unk>"

# A word may hold apostrophes and hyphens ('tis, o'er, th', well-beloved); "--" is one mark.
PIECE = re.compile(r"\n|['’]?\w+(?:['’-]\w+)*['’]?|--|[^\w\s]")

# An apostrophe that is in no word closes a quotation: 'Alas,' she said.
NO_SPACE_BEFORE = {*".,;:!?)]}'’”—\n", "--"}

NO_SPACE_AFTER = {*"([{‘“—\n", "--"}


class WordTokenizer(Tokenizer):
    """Words, punctuation marks and line breaks; `<unk>` for what the vocabulary lacks.

    Python's own Unicode tables decide what a letter is; one that they do not know yet is a mark.
    Decoding puts one space between tokens, but none before a closing mark, none after an opening
    one, and none around dashes and line breaks. It cannot restore unknown words, runs of spaces,
    tabs, spaces at the ends of lines, or spacing that breaks these rules: "-- so", ",'tis", and
    straight double quotes, of which it cannot tell the opening one.
    """

    kind = "word"

    def __init__(self, words):
        self.words = list(words)
        if self.words[:1] != [UNK] or not all(isinstance(w, str) for w in self.words):
            raise ValueError(f"the vocabulary must be a list of words, {UNK} first")
        self.id_of = {w: i for i, w in enumerate(self.words)}
        if len(self.id_of) != len(self.words):
            raise ValueError("the vocabulary holds a word twice")
        self.vocab_size = len(self.words)

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
            raise ValueError(
                f"max_vocab_size={max_vocab_size} must be at least 2: {UNK} and one word"
            )
        counts = Counter(PIECE.findall(text))
        if not counts:
            raise ValueError("cannot learn a vocabulary from a text without words")
        words = [w for w, n in counts.items() if n >= min_freq]
        if not words:
            raise ValueError(f"min_freq={min_freq} leaves no word: none occurs so often")
        # Equal counts in alphabetical order, so that the same text always gives the same ids.
        words.sort(key=lambda w: (-counts[w], w))
        return cls([UNK, *words][:max_vocab_size])

    def encode(self, text, allowed_special=()):
        """Return the ids of `text`, 0 for an unknown word; there are no special tokens to allow."""
        return [self.id_of.get(piece, 0) for piece in PIECE.findall(text)]

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

    def to_dict(self):
        return {"words": self.words}

    @classmethod
    def from_dict(cls, content):
        return cls(content["words"])
