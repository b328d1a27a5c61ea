"""Tokenizers, from chapters 13, 14 and 25. This file is written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "Tokenizer": "base",
    "CharTokenizer": "char",
    "WordTokenizer": "word",
    "BPETokenizer": "bpe",
    "ByteLevelBPE": "tokenizer_json",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)
