"""Tokenizer: what all tokenizers share, and how they are saved. Derived in chapter 13."""

import json
import os
from pathlib import Path

VERSION = 1


class Tokenizer:
    """Text to integer ids and back; each subclass is one kind of tokenizer.

    A subclass has `kind`, `vocab_size`, `encode`, `decode`, `to_dict` and `from_dict`.
    """

    kind = "?"

    def to_json(self):
        """Return what `from_json` reads: a dict that JSON can hold."""
        return {"kind": self.kind, "version": VERSION, **self.to_dict()}

    def save(self, path):
        """Write the tokenizer as JSON, first beside the file, then renamed: never half a file."""
        path = Path(path)
        # Half of a surrogate pair has no bytes; as \ud83d, say, JSON can hold it.
        content = json.dumps(self.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace")
        beside = path.with_name(path.name + ".tmp")
        beside.write_bytes(content)
        os.replace(beside, path)

    @classmethod
    def load(cls, path):
        """Read a tokenizer of this kind from the JSON file `path`.

        Raises:
            ValueError: the file is not JSON, of another kind, of an unknown version, or damaged.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
            raise ValueError(f"{path} is not a tokenizer: {error}") from None
        return cls.from_json(content, path)

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
