"""GPT-2's pieces and ids: Hugging Face and tiktoken, with the same two files, on odd text.

Left out are the letters and numbers that we know and the peers do not yet: they have Unicode 16.
"""

import json
import random
import re
import sys
from unicodedata import category

import pytest
import tiktoken
from test_bpe_tokenizers import TEXT, theirs
from tokenizers import Tokenizer, models, pre_tokenizers

from numpygpt.tokenizers import BPETokenizer
from numpygpt.tokenizers.pieces import NEW_LETTERS, NEW_NUMBERS, PIECE

# As in OpenAI's code for GPT-2.
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
END = "<|endoftext|>"
BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)
NEW = re.compile(f"[{NEW_LETTERS}{NEW_NUMBERS}]")


def too_new(c):
    """Whether this is a letter or number to us, and to Hugging Face neither."""
    return NEW.match(c) and all(len(BYTE_LEVEL.pre_tokenize_str(a + c)) == 2 for a in "a1")


EVERY = [c for c in map(chr, range(sys.maxunicode + 1)) if category(c) != "Cs"]
KNOWN = [c for c in EVERY if not too_new(c)]
RARE = [c for c in KNOWN if category(c) in ("Nl", "No", "Mn", "Cc", "Cf", "Zs", "Zl", "Zp")]
POOLS = [
    KNOWN,
    RARE,
    "the quick'",
    " \n\t\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2028\u3000",
    ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "’s", " '", "''", "  ", " the", "--", " _"],
    ["e\u0301", "👩\u200d👧", "🇫🇷", "👍🏽", "١٢", "x²", "½", "10", "naïve", "你好"],
]
FOREIGN = "你好，世界！ naïve café déjà vu 🙂👩\u200d👧🇫🇷 здравствуй мир ½ cup x² Ⅷ مرحبا 1234 ٣٤ "


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """Ours, Hugging Face's and tiktoken's, all from one pair of files."""
    folder = tmp_path_factory.mktemp("gpt2")
    theirs(TEXT[:200_000] + FOREIGN * 50, 3000).model.save(str(folder))
    vocab_path, merges_path = folder / "vocab.json", folder / "merges.txt"
    vocab = json.loads(vocab_path.read_text(encoding="utf-8"))
    vocab_path.write_text(json.dumps({**vocab, END: len(vocab)}), encoding="utf-8")
    ours = BPETokenizer.from_gpt2(vocab_path, merges_path)
    hf = Tokenizer(models.BPE.from_file(str(vocab_path), str(merges_path)))
    hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    hf.add_special_tokens([END])
    ranks = {token: i for i, token in enumerate(ours.bytes_of[:-1])}
    special = {END: len(ranks)}
    tik = tiktoken.Encoding("ours", pat_str=GPT2, mergeable_ranks=ranks, special_tokens=special)
    return ours, hf, tik


def odd_text(rng):
    """A string in which characters of all planes stand beside what the pattern asks for."""
    return "".join(rng.choice(rng.choice(POOLS)) for _ in range(rng.randrange(1, 40)))


def test_every_known_character_falls_into_the_piece_that_it_does_for_hugging_face():
    # Of the new ones, they know those of Unicode 15 and 16.
    assert 9000 < sum(map(bool, map(NEW.match, KNOWN))) < sum(map(bool, map(NEW.match, EVERY)))
    shuffled = random.Random(14).sample(KNOWN, len(KNOWN))
    for text in ("".join(KNOWN), "".join(shuffled), " a1".join(shuffled)):
        cuts = [end for _, (_, end) in BYTE_LEVEL.pre_tokenize_str(text)]
        found = [match.end() for match in PIECE.finditer(text)]
        assert found == cuts


def test_ids_on_10_000_odd_texts(peers):
    ours, hf, tik = peers
    rng = random.Random(7)
    for _ in range(10_000):
        text = odd_text(rng)
        ids = ours.encode(text)
        assert ids == hf.encode(text).ids, repr(text)
        assert ids == tik.encode_ordinary(text), repr(text)
        assert ours.decode(ids) == text


def test_the_special_token(peers):
    ours, hf, tik = peers
    text = f"the end{END} {END}\n"
    ids = ours.encode(text, allowed_special=[END])
    assert ids == hf.encode(text).ids == tik.encode(text, allowed_special={END})
    assert ids.count(len(ours.merges) + 256) == 2
    assert ours.encode(text) == tik.encode_ordinary(text)
