"""GPT-2's pieces, from the definition, and GPT-2's tokenizer files: what is read and refused."""

import hashlib
import json
import random
import re
import sys
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numpygpt.tokenizers import BPETokenizer
from numpygpt.tokenizers.pieces import LETTER, MARK, NEW_LETTERS, NUMBER, PIECE, SPACE, pieces_of

# --- pieces ---

# Unicode's White_Space, from its PropList.txt.
WHITE = {
    *"\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000",
    *map(chr, range(0x2000, 0x200B)),
}
NEW_LETTER, NEW_NUMBER = re.compile(f"[{NEW_LETTERS}]"), re.compile(NUMBER)
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]


def kind(c):
    """What \\p{L}, \\p{N}, \\s and the rest are: the kind of a character."""
    if category(c) == "Cn":  # new to this Python, or no character at all
        return "letter" if NEW_LETTER.match(c) else "number" if NEW_NUMBER.match(c) else "mark"
    return "white" if c in WHITE else {"L": "letter", "N": "number"}.get(category(c)[0], "mark")


def test_every_python_takes_each_character_for_what_unicode_18_says():
    # An l, n, w or m for each character, as \p{L}, \p{N} and \s of the package regex say. A Python
    # with a newer Unicode makes this fail: then pieces.py needs what that one adds.
    kinds = "".join(kind(chr(number))[0] for number in range(sys.maxunicode + 1))
    unicode_18 = "0f115304654f10723c4877aa040c66df542473314a4b660e1678e1308a9d67ab"
    assert hashlib.sha256(kinds.encode()).hexdigest() == unicode_18


def run_end(text, start):
    """Where the run of characters of one kind that begins at `start` ends."""
    end = start
    while end < len(text) and kind(text[end]) == kind(text[start]):
        end += 1
    return end


def gpt2_pieces(text):
    """Of 's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^sLN]+|s+(?!S)|s+ with L, N, s as in `kind`."""
    pieces, start = [], 0
    while start < len(text):
        after_space = start + (text[start] == " ")
        if short := next((c for c in CONTRACTIONS if text.startswith(c, start)), None):
            end = start + len(short)
        elif after_space < len(text) and kind(text[after_space]) != "white":
            end = run_end(text, after_space)
        else:
            end = run_end(text, start)
            if end < len(text) and end - start > 1:
                end -= 1  # the last one is left for the next piece
        pieces.append(text[start:end])
        start = end
    return pieces


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (f"{LETTER}|[{NEW_LETTERS}]", "letter"),
        (NUMBER, "number"),
        (SPACE, "white"),
        (MARK, "mark"),
    ],
)
def test_every_character_is_of_the_kind_that_unicode_says(pattern, name):
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert re.findall(pattern, every) == [c for c in every if kind(c) == name]


ODD = "aZé你'stdrevml'  \n\t\x1c\x1f\x85\xa0\u200b7٣½²Ⅷ〇三_-!\u0301🙂"
ODD += "\U00010107\U0001d7ce\U00020000\udc80"
ODD += "\u1c89\U00011f04\U00011f50\U00012550\U0003d000"  # newer than Python 3.11, some than 3.15


@given(st.one_of(st.text(), st.text(ODD), st.text(ODD[:20])))
@example("can't 'll  x² ½cup Ⅷ  \n\n a_b\x1c \x1d")
@example("abcé abc\u0301 don’t don't'S 's'")
def test_pieces_are_those_of_the_definition(text):
    assert PIECE.findall(text) == gpt2_pieces(text)


@given(st.text(ODD), st.integers(1, 9))
@example("a\x1c b!\x1c c  \n\n d é\u0301 f", 1)
def test_cutting_in_parts_changes_no_piece(text, part):
    parts = list(pieces_of(text, part))
    assert [piece for pieces in parts for piece in pieces] == PIECE.findall(text)


def test_parts_are_of_bounded_size():
    sizes = [sum(map(len, pieces)) for pieces in pieces_of("some words\n" * 1000, 100)]
    assert len(sizes) > 90 and max(sizes) < 120


# --- files ---

TEXT = "the café's 10 cafés, the the ½ cup\n\tnaïve: you'll thaw the 你好你好 # # ## Ġ\x00\x00 " * 3
BPE = BPETokenizer.train(TEXT, 290, ["<|endoftext|>"])


def gpt2_char(byte):
    """GPT-2's bytes_to_unicode: a byte that prints is itself, the others count up from 256."""
    prints = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    others = [b for b in range(256) if b not in prints]
    return chr(byte) if byte in prints else chr(256 + others.index(byte))


def vocab_and_merges(bpe=BPE):
    names = ["".join(map(gpt2_char, token)) for token in bpe.bytes_of]
    lines = ["#version: 0.2"] + [f"{names[a]} {names[b]}" for a, b in bpe.merges]
    return {name: i for i, name in enumerate(names)}, lines


@pytest.fixture
def read(tmp_path):
    """Write the files, read them, and see that an error is one line that names a file."""

    def read(vocab, lines, **options):
        vocab_path, merges_path = tmp_path / "vocab.json", tmp_path / "merges.txt"
        vocab = vocab if isinstance(vocab, str) else json.dumps(vocab)
        vocab_path.write_text(vocab, encoding="utf-8")
        merges_path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        try:
            return BPETokenizer.from_gpt2(vocab_path, merges_path, **options)
        except ValueError as error:
            assert "\n" not in str(error) and str(tmp_path) in str(error)
            raise

    return read


def test_the_two_files_give_back_the_tokenizer(read):
    again = read(*vocab_and_merges())
    assert again.merges == BPE.merges
    assert again.special_tokens == {"<|endoftext|>": 289}
    assert again.encode(TEXT) == BPE.encode(TEXT)
    assert again.encode("a<|endoftext|>", allowed_special="all")[-1] == 289


def test_the_order_within_the_vocabulary_and_the_first_line_of_the_merges_do_not_matter(read):
    vocab, lines = vocab_and_merges()
    shuffled = list(vocab.items())
    random.Random(0).shuffle(shuffled)
    assert read(dict(shuffled), lines[1:]).merges == BPE.merges


def test_lines_may_end_as_on_windows(read):
    vocab, lines = vocab_and_merges()
    assert read(vocab, [line + "\r" for line in lines]).merges == BPE.merges


def test_other_special_tokens_are_named_by_the_caller(read):
    bpe = BPETokenizer.train(TEXT, 280, ["<a>", "<b>"])
    assert read(*vocab_and_merges(bpe), special_tokens=["<a>", "<b>"]).vocab_size == 280
    with pytest.raises(ValueError, match="the id of '<a>' is 278 in the one, none by the other"):
        read(*vocab_and_merges(bpe), special_tokens=[])


def test_a_tokenizer_from_the_files_is_saved_as_any_other(read, tmp_path):
    read(*vocab_and_merges()).save(tmp_path / "bpe.json")
    assert BPETokenizer.load(tmp_path / "bpe.json").encode(TEXT) == BPE.encode(TEXT)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v, m: (v, m[:-1]), "the id of '<|endoftext|>' is 289 in the one, 288 by the other"),
        (lambda v, m: (v, m[:30] + m[31:]), "line [0-9]+: .* is no new pair|the id of"),
        (lambda v, m: (v, [*m, "Ġ"]), "line 35: 'Ġ' is no new pair of earlier tokens"),
        (lambda v, m: (v, [*m, "t h e"]), "line 35: 't h e' is no new pair"),
        (lambda v, m: (v, [*m, m[5]]), "line 35: .* is no new pair"),
        (lambda v, m: (v, m[:1] + m[:0:-1]), "line 2: .* is no new pair"),
        (lambda v, m: (v, []), "the id of '<|endoftext|>' is 289 in the one, 256 by the other"),
        (lambda v, m: ({**v, "!": 1, '"': 0}, m), "the id of '!' is 1 in the one, 0 by the other"),
        (lambda v, m: ({**v, "more": 290}, m), "the id of 'more' is 290 in the one, none by"),
        (lambda v, m: ({k: i for k, i in v.items() if i < 289}, m), "is none in the one, 289 by"),
        (lambda v, m: ({**v, "!": "0"}, m), "is no vocabulary"),
        (lambda v, m: ({**v, "!": False}, m), "is no vocabulary"),
        (lambda v, m: ([*v], m), "is no vocabulary"),
        (lambda v, m: (json.dumps(v)[:-9], m), "vocab.json is not JSON"),
        (lambda v, m: ("[" * 100_000, m), "vocab.json is not JSON"),
    ],
)
def test_damaged_files_are_refused_in_one_line(read, spoil, message):
    with pytest.raises(ValueError, match=message.replace("|endoftext|", r"\|endoftext\|")):
        read(*spoil(*vocab_and_merges()))


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_file_that_is_no_text_is_named(read, tmp_path, name):
    read(*vocab_and_merges())
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{name} is not UTF-8 text \\(byte 0\\)"):
        BPETokenizer.from_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt")
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        BPETokenizer.from_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt")
