"""Our BPE against Hugging Face's byte-level trainer and encoder, on the bundled text.

Ties: of pairs that occur equally often both take the one with the smaller token ids, the left id
first. Ids of single bytes therefore matter. Ours are in GPT-2's order, which is the order of the
characters that Hugging Face maps bytes to and sorts, so that the same pair wins every tie.
"""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from numpygpt.tokenizers import BPETokenizer
from numpygpt.tokenizers.pieces import BYTE_ORDER

TEXT = (Path(__file__).parents[2] / "data/shakespeare.txt").read_text(encoding="utf-8")
CHARS = sorted(pre_tokenizers.ByteLevel.alphabet())
BYTE_OF_CHAR = dict(zip(CHARS, BYTE_ORDER, strict=True))


def theirs(text, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=CHARS,
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def as_bytes(token):
    return bytes(BYTE_OF_CHAR[c] for c in token)


def test_the_alphabet_is_in_the_order_of_our_ids():
    by_codepoint = {c: i for i, c in enumerate(CHARS)}
    assert by_codepoint["!"] == BYTE_ORDER.index(ord("!")) == 0
    assert by_codepoint["Ġ"] == BYTE_ORDER.index(ord(" "))
    assert by_codepoint["Ċ"] == BYTE_ORDER.index(ord("\n"))


@pytest.mark.parametrize("vocab_size", [300, 1000, 5000])
def test_merges_and_ids_are_those_of_hugging_face(vocab_size):
    hf = theirs(TEXT, vocab_size)
    ours = BPETokenizer.train(TEXT, vocab_size)
    vocab = hf.get_vocab()
    assert ours.vocab_size == len(vocab) == vocab_size
    assert {as_bytes(t): i for t, i in vocab.items()} == {t: i for i, t in enumerate(ours.bytes_of)}
    merges = [tuple(m) for m in json.loads(hf.to_str())["model"]["merges"]]
    our_merges = [(ours.bytes_of[a], ours.bytes_of[b]) for a, b in ours.merges]
    assert [(as_bytes(a), as_bytes(b)) for a, b in merges] == our_merges


def test_encoding_is_that_of_hugging_face():
    hf, ours = theirs(TEXT, 1000), BPETokenizer.train(TEXT, 1000)
    assert ours.encode(TEXT) == hf.encode(TEXT).ids
