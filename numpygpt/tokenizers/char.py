"""CharTokenizer: one token for each character. Derived in chapter 13."""

from numpygpt.tokenizers.base import Tokenizer


class CharTokenizer(Tokenizer):
    """The distinct characters of the training text, sorted; decode(encode(text)) == text."""

    kind = "char"

    def __init__(self, chars):
        self.chars = list(chars)
        if not self.chars or not all(isinstance(c, str) and len(c) == 1 for c in self.chars):
            raise ValueError("the vocabulary must be a list of single characters")
        self.id_of = {c: i for i, c in enumerate(self.chars)}
        if len(self.id_of) != len(self.chars):
            raise ValueError("the vocabulary holds a character twice")
        self.vocab_size = len(self.chars)

    @classmethod
    def train(cls, text):
        """Return the tokenizer of all characters of `text`."""
        if not text:
            raise ValueError("cannot learn a vocabulary from an empty text")
        return cls(sorted(set(text)))

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

    def decode(self, ids):
        """Return the text of `ids`."""
        return "".join(self.chars[i] for i in ids)

    def to_dict(self):
        return {"chars": self.chars}

    @classmethod
    def from_dict(cls, content):
        return cls(content["chars"])
