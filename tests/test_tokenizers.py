"""Tokenizers: what comes back, what is learned, what is saved, and what is refused."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer
from numpygpt.tokenizers.bpe import Cache
from numpygpt.tokenizers.pieces import PIECE

SHAKESPEARE = (Path(__file__).parents[1] / "data/shakespeare.txt").read_text(encoding="utf-8")
# Some pairs of bytes here are parts of characters, so merges cut and join within characters, too.
MIXED = SHAKESPEARE[:20_000] + "你好，世界！ 你好 🙂🙂🙃 naïve café\t\r\n\x00\x00 " * 5
SPECIAL = ["<end>", "<end>>", "a+b", "<pad>"]
BPE = BPETokenizer.train(MIXED, 600, SPECIAL)


# --- BPE: everything comes back ---


@given(st.binary())
@example(b"")
@example(b"\xff\xfe\x00\x80")  # never UTF-8
@example("café".encode()[:-1])  # a character cut in two
@example(b"\xed\xa0\x80")  # a surrogate, which UTF-8 forbids
@example(bytes(range(256)))
def test_bpe_gives_back_any_bytes(data):
    assert BPE.decode_bytes(BPE.encode(data)) == data


@given(st.text())
@example("")
@example("🙂🙂 🇫🇷 👩‍👧")
@example("你好，世界")
@example("\x00\x1c\x7f\x85\u2028\ufeff\r\n\t ")
@example("_ ½ ² Ⅷ ٣ e\u0301 ' 's 'S")
def test_bpe_gives_back_any_text(text):
    assert BPE.decode(BPE.encode(text)) == text
    assert BPE.encode(text) == BPE.encode(text.encode())


def test_bpe_gives_back_all_of_shakespeare_in_fewer_tokens():
    ids = BPE.encode(SHAKESPEARE)
    assert BPE.decode(ids) == SHAKESPEARE
    assert len(ids) < len(SHAKESPEARE) * 0.6
    assert set(ids) <= set(range(BPE.vocab_size))


def test_a_character_cut_in_two_is_shown_as_the_replacement_character():
    ids = BPETokenizer([]).encode("é!")
    assert len(ids) == 3
    assert BPETokenizer([]).decode(ids[1:]) == "\ufffd!"


# With each half of a surrogate pair that is left of a character; those from DC80 to DCFF stand for
# bytes that are not UTF-8, and are encoded as these bytes.
ANY = st.text(st.characters())


@given(ANY)
@example("\ud83d")
@example("is a 🙂 not \ud83d\ude42?")
@example("two\ndays \udbff<end>\ud83d")
@example("\udc7f\udc80\udcff")
@example("<end>\udd00 x")
def test_a_character_without_bytes_is_named_with_its_place_and_all_other_text_comes_back(text):
    lost = [i for i, c in enumerate(text) if "\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff"]
    uses = [BPE.encode, lambda text: BPE.encode(text, "all")]
    if not lost:
        data = text.encode("utf-8", "surrogateescape")
        assert [BPE.decode_bytes(encode(text)) for encode in uses] == [data, data]
        return
    for use in [*uses, lambda text: BPETokenizer.train(text, 300)]:
        with pytest.raises(ValueError, match="half of a surrogate pair") as error:
            use(text)
        assert type(error.value) is ValueError and "\n" not in str(error.value)
        named = f"character {text[lost[0]]!r} at position {lost[0]} is half"
        assert str(error.value).startswith(named)


# --- BPE: special tokens ---


def special_id(token, bpe=BPE):
    return bpe.vocab_size - len(SPECIAL) + SPECIAL.index(token)


def test_special_tokens_have_the_last_ids_and_spell_themselves():
    assert [BPE.decode([BPE.vocab_size - 4 + i]) for i in range(4)] == SPECIAL


def test_a_special_token_is_only_text_unless_it_is_allowed():
    ids = BPE.encode("go<end>on")
    assert max(ids) < special_id("<end>")
    assert BPE.decode(ids) == "go<end>on"


@pytest.mark.parametrize("allowed", [["<end>"], {"<end>", "<pad>"}, "all"])
def test_an_allowed_special_token_is_one_id(allowed):
    expected = [*BPE.encode("go"), special_id("<end>"), *BPE.encode("on")]
    assert BPE.encode("go<end>on", allowed_special=allowed) == expected


def test_of_overlapping_special_tokens_the_longest_allowed_one_wins():
    assert BPE.encode("<end>>", allowed_special="all") == [special_id("<end>>")]
    only_short = BPE.encode("<end>>", allowed_special=["<end>"])
    assert only_short == [special_id("<end>"), *BPE.encode(">")]


def test_a_token_that_is_not_allowed_cannot_hide_between_allowed_ones():
    ids = BPE.encode("<pad><end><pad>", allowed_special=["<pad>"])
    assert ids == [special_id("<pad>"), *BPE.encode("<end>"), special_id("<pad>")]


def test_a_special_token_is_no_regular_expression():
    ids = BPE.encode("aab a+b!", allowed_special="all")
    assert ids == [*BPE.encode("aab "), special_id("a+b"), *BPE.encode("!")]


def test_only_known_special_tokens_can_be_allowed():
    with pytest.raises(ValueError, match=r"\['<eos>'\] not among the special tokens \['<end>'"):
        BPE.encode("go", allowed_special=["<end>", "<eos>"])


@given(st.lists(st.one_of(st.text(), st.sampled_from(SPECIAL))))
def test_text_with_special_tokens_comes_back(parts):
    text = "".join(parts)
    assert BPE.decode(BPE.encode(text, allowed_special="all")) == text


# --- BPE: training ---


def gpt2_byte_order():
    """As GPT-2 has it: bytes that print stand for themselves, the others for 256, 257, ..."""
    prints = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    others = [b for b in range(256) if b not in prints]
    code = {b: b for b in prints} | {b: 256 + i for i, b in enumerate(others)}
    return sorted(range(256), key=code.get)


def naive_bpe(words, n_merges):
    """The definition, on byte strings: returns the pairs learned, and each word as it was cut."""
    tokens = [bytes([b]) for b in gpt2_byte_order()]
    counts = Counter(words)
    cut = {word: [bytes([b]) for b in word.encode()] for word in counts}
    learned = []
    while len(learned) < n_merges:
        pairs = Counter()
        for word, parts in cut.items():
            for left, right in pairwise(parts):
                pairs[left, right] += counts[word]
        if not pairs or max(pairs.values()) < 2:
            break
        most = max(pairs.values())
        ties = [pair for pair, n in pairs.items() if n == most]
        best = min(ties, key=lambda pair: [tokens.index(part) for part in pair])
        learned.append(best)
        tokens.append(best[0] + best[1])
        for parts in cut.values():
            position = 0
            while position < len(parts) - 1:
                if (parts[position], parts[position + 1]) == best:
                    parts[position : position + 2] = [best[0] + best[1]]
                position += 1
    return learned, cut


WORDS = st.sampled_from(["ab", "aab", "abc", "aé"]).flatmap(
    lambda letters: st.lists(st.text(letters, min_size=1, max_size=9), min_size=1, max_size=9)
)


@settings(max_examples=300)
@given(WORDS, st.integers(0, 40))
@example(["aaaaaaa", "aaaa", "aaa"], 10)  # repeated letters: pairs that share a letter
@example(["ba", "ab", "ba", "ab"], 5)  # ties, in each of the two orders
@example(["abab", "abab"], 1)
def test_the_trainer_learns_what_the_definition_says(words, n_merges):
    bpe = BPETokenizer.train(" ".join(words), 256 + n_merges)
    pieces = [words[0], *(" " + word for word in words[1:])]
    learned, cut = naive_bpe(pieces, n_merges)
    assert [(bpe.bytes_of[a], bpe.bytes_of[b]) for a, b in bpe.merges] == learned
    for piece, parts in cut.items():  # encoding cuts each piece as training left it
        assert [bpe.bytes_of[i] for i in bpe.encode(piece)] == parts


def test_a_long_piece_is_merged_as_the_definition_says_and_at_once():
    bpe = BPETokenizer.train("aab abab " * 9, 300)
    piece = "aabababb" * 30
    ids = bpe.encode(piece)
    parts = [bytes([b]) for b in piece.encode()]
    for a, b in bpe.merges:  # in the order learned, each everywhere, from the left
        i = 0
        while i < len(parts) - 1:
            if (parts[i], parts[i + 1]) == (bpe.bytes_of[a], bpe.bytes_of[b]):
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
            i += 1
    assert [bpe.bytes_of[i] for i in ids] == parts
    assert bpe.decode(bpe.encode("ab" * 300_000)) == "ab" * 300_000  # hours if it were quadratic


def test_the_cache_of_pieces_is_bounded():
    cache = Cache(lambda piece: [len(piece)])
    found = [cache[str(i)] for i in range(120_000)]
    assert found == [[len(str(i))] for i in range(120_000)]
    assert 0 < len(cache) <= 50_000
    cache["x" * 1000]
    assert max(map(len, cache)) < 1000


def test_training_is_the_same_on_real_text():
    text = SHAKESPEARE[:3000]
    bpe = BPETokenizer.train(text, 256 + 60)
    learned, _ = naive_bpe(PIECE.findall(text), 60)
    assert [(bpe.bytes_of[a], bpe.bytes_of[b]) for a, b in bpe.merges] == learned


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("I'll go, and can't.", ["I", "'ll", " go", ",", " and", " can", "'t", "."]),
        ("'Tis 1623 -- O'er", ["'", "Tis", " 1623", " --", " O", "'", "er"]),
        ("a  b\n\n c ", ["a", " ", " b", "\n\n", " c", " "]),
        ("x_1 naïve你好", ["x", "_", "1", " naïve你好"]),
    ],
)
def test_pieces_are_those_of_gpt2(text, pieces):
    assert PIECE.findall(text) == pieces  # the lists are what GPT-2's own expression gives


def test_the_vocabulary_has_the_size_that_was_asked_for():
    bpe = BPETokenizer.train(SHAKESPEARE[:50_000], 700, ["<end>"])
    assert bpe.vocab_size == len(bpe.bytes_of) == 700
    assert len(bpe.merges) == 700 - 256 - 1


def test_training_stops_where_no_pair_occurs_twice():
    bpe = BPETokenizer.train("abab cd", 1000)
    assert [bpe.bytes_of[256:], bpe.vocab_size] == [[b"ab"], 257]


def test_without_merges_the_ids_are_the_bytes_in_gpt2s_order():
    bpe = BPETokenizer.train("abab", 256)
    assert bpe.bytes_of == [bytes([b]) for b in gpt2_byte_order()]
    assert bpe.decode_bytes(range(256)) == bytes(gpt2_byte_order())


def test_bpe_needs_room_for_the_bytes_and_the_special_tokens():
    with pytest.raises(ValueError, match="vocab_size=257 must be at least 258"):
        BPETokenizer.train("abab", 257, ["<a>", "<b>"])


@pytest.mark.parametrize("special", ["<end>", ["<end>", "<end>"], [""], [7]])
def test_special_tokens_are_different_strings_with_something_in_them(special):
    with pytest.raises(ValueError, match="special_tokens must be a list of different, not empty"):
        BPETokenizer([], special)


def test_a_special_token_has_bytes():
    with pytest.raises(ValueError, match=r"character '\\ud83d' at position 1 is half of a surrog"):
        BPETokenizer([], ["<\ud83d>"])
    bpe = BPETokenizer([], ["\udc80"])  # a byte that is not UTF-8
    assert bpe.decode_bytes(bpe.encode("a\udc80", "all")) == b"a\x80"


# --- characters ---


def test_characters_are_numbered_in_sorted_order():
    char = CharTokenizer.train("to be\n")
    assert char.chars == ["\n", " ", "b", "e", "o", "t"]
    assert char.vocab_size == 6
    assert char.encode("bet") == [2, 3, 5]


@given(st.text(min_size=1))
def test_characters_give_back_the_text_that_they_were_learnt_from(text):
    char = CharTokenizer.train(text)
    assert char.decode(char.encode(text)) == text
    assert char.vocab_size == len(set(text))


def test_an_unknown_character_is_named_with_its_place():
    with pytest.raises(ValueError, match="character 'é' at position 3 is not among the 4"):
        CharTokenizer.train("face").encode("café é")


@pytest.mark.parametrize("chars", [[], ["a", "bc"], ["a", ""], ["a", 7]])
def test_a_vocabulary_of_characters_is_single_characters(chars):
    with pytest.raises(ValueError, match="must be a list of single characters"):
        CharTokenizer(chars)


def test_characters_need_a_text():
    with pytest.raises(ValueError, match="empty text"):
        CharTokenizer.train("")


# --- words ---

COUNTED = "d d d d c c c b b b a a e"  # b and c tie; only d, b, c, a occur twice


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["<unk>", "d", "b", "c", "a", "e"]),
        ({"min_freq": 2}, ["<unk>", "d", "b", "c", "a"]),
        ({"min_freq": 3}, ["<unk>", "d", "b", "c"]),
        ({"max_vocab_size": 3}, ["<unk>", "d", "b"]),
        ({"max_vocab_size": 100}, ["<unk>", "d", "b", "c", "a", "e"]),
        ({"min_freq": 2, "max_vocab_size": 4}, ["<unk>", "d", "b", "c"]),
        ({"min_freq": 4, "max_vocab_size": 4}, ["<unk>", "d"]),
    ],
)
def test_the_vocabulary_holds_the_most_frequent_words(options, words):
    word = WordTokenizer.train(COUNTED, **options)
    assert word.words == words
    assert word.vocab_size == len(words)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (" \t ", {}, "a text without words"),
        ("a b", {"min_freq": 0}, "min_freq=0 must be at least 1"),
        ("a b", {"min_freq": 2}, "min_freq=2 leaves no word"),
        ("a b", {"max_vocab_size": 1}, "max_vocab_size=1 must be at least 2"),
    ],
)
def test_a_vocabulary_of_no_words_is_refused(text, options, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer.train(text, **options)


def test_apostrophes_and_hyphens_belong_to_words_and_a_dash_is_one_mark():
    word = WordTokenizer.train("'Tis o'er th' well-beloved--no!\n")
    pieces = ["'Tis", "o'er", "th'", "well-beloved", "--", "no", "!", "\n"]
    assert set(word.words) == {"<unk>", *pieces}


def test_unknown_words_become_unk():
    word = WordTokenizer.train("to be or not")
    assert word.encode("to bee or knot")[1::2] == [0, 0]
    assert word.decode(word.encode("to bee or knot")) == "to <unk> or <unk>"


@pytest.mark.parametrize(
    "text",
    [
        "First Citizen:\nSpeak, speak.\n\nAll:\nNo more!",
        "'Tis o'er: th' unweeded, well-beloved o' the gods' own",
        "I had thought,--so please you--no: 'twas nothing.--",
        "'Alas,' quoth he; 'poor Tom!' 'Ay.'",
        "“Well,” he said (softly), ‘go’—and {he} [went].",
        "snake_case x_1 _",
    ],
)
def test_words_give_back_what_follows_the_rules(text):
    word = WordTokenizer.train(text)
    assert word.decode(word.encode(text)) == text


@pytest.mark.parametrize(
    ("text", "comes_back"),
    [
        ("two  spaces\tand a tab", "two spaces and a tab"),
        ("  an end of line  \n next", "an end of line\nnext"),
        ("well -- so", "well--so"),
        ("come,'tis he", "come, 'tis he"),
        ('she said "go" twice', 'she said " go " twice'),
        ("a Windows\r\nline", "a Windows\nline"),
    ],
)
def test_what_words_cannot_give_back(text, comes_back):
    word = WordTokenizer.train(text)
    assert word.decode(word.encode(text)) == comes_back


def test_words_give_back_all_but_25_lines_of_shakespeare():
    lines = SHAKESPEARE.splitlines()
    word = WordTokenizer.train(SHAKESPEARE)
    wrong = [line for line in lines if word.decode(word.encode(line)) != line]
    assert (len(wrong), len(lines)) == (25, 42_533)  # chapter 13 says the same: 99.94 % come back


@given(st.text())
def test_words_keep_every_character_but_white_space(text):
    word = WordTokenizer.train(text + " a")
    assert "".join(word.decode(word.encode(text)).split()) == "".join(text.split())


# --- files ---

ALL_KINDS = [
    CharTokenizer.train("naïve 你\n"),
    WordTokenizer.train("'Tis naïve, 你 said.\n"),
    BPETokenizer.train("naïve naïve 你你 你你", 270, ["<end>"]),
]
EACH_KIND = pytest.mark.parametrize("tokenizer", ALL_KINDS, ids=lambda t: t.kind)


@EACH_KIND
def test_a_saved_tokenizer_comes_back_the_same(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = type(tokenizer).load(path)
    ids = tokenizer.encode("naïve 你", allowed_special=())
    assert len(ids) > 1
    assert loaded.encode("naïve 你") == ids
    assert [loaded.decode([i]) for i in range(loaded.vocab_size)] == [
        tokenizer.decode([i]) for i in range(tokenizer.vocab_size)
    ]
    assert loaded.to_json() == tokenizer.to_json()


@given(ANY.filter(str.strip))
@example("\ud83d")
@example("half \ud83d\ude42 a \udcc3 character")
def test_characters_and_words_of_any_text_are_saved_and_come_back(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.json"
    for kind in (CharTokenizer, WordTokenizer):
        tokenizer = kind.train(text)
        tokenizer.save(path)
        path.read_bytes().decode("utf-8")
        assert kind.load(path).to_json() == tokenizer.to_json()
        assert kind.load(path).encode(text) == tokenizer.encode(text)


@EACH_KIND
def test_the_file_is_versioned_json_in_utf8_and_nothing_is_left_beside_it(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    content = json.loads(path.read_bytes().decode("utf-8"))
    assert (content["kind"], content["version"]) == (tokenizer.kind, 1)
    assert ("ï" in path.read_text(encoding="utf-8")) == (tokenizer.kind != "bpe")
    assert list(tmp_path.iterdir()) == [path]


@EACH_KIND
def test_what_is_saved_equals_what_is_read(tokenizer):
    # A resumed training compares the two to see whether the vocabulary is still the same.
    assert json.loads(json.dumps(tokenizer.to_json())) == tokenizer.to_json()


def test_special_tokens_are_saved(tmp_path):
    BPE.save(tmp_path / "bpe.json")
    ids = BPETokenizer.load(tmp_path / "bpe.json").encode("x<pad>", allowed_special="all")
    assert ids[-1] == special_id("<pad>")


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "char.json"
    CharTokenizer.train("old").save(path)
    monkeypatch.setattr(CharTokenizer, "to_dict", lambda self: {"chars": {"n", "e", "w"}})
    with pytest.raises(TypeError):  # JSON knows no sets
        CharTokenizer.train("new").save(path)
    monkeypatch.undo()
    assert CharTokenizer.load(path).chars == ["d", "l", "o"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_stops_half_way_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "char.json"
    CharTokenizer.train("old").save(path)

    def stop_half_way(self, data):
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", stop_half_way)
    with pytest.raises(OSError, match="disk full"):
        CharTokenizer.train("new").save(path)
    assert CharTokenizer.load(path).chars == ["d", "l", "o"]


WHOLE = {tokenizer.kind: tokenizer.to_json() for tokenizer in ALL_KINDS}
KINDS = {tokenizer.kind: type(tokenizer) for tokenizer in ALL_KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a tokenizer"),
        (b'{"kind": "char", "version": 1, "chars": ["a"', "is not a tokenizer"),
        (b"\xff\xfe\x00", "is not a tokenizer"),
        (b"[" * 100_000, "is not a tokenizer"),
        ([], "does not hold a"),
        ({}, "does not hold a"),
        ({"kind": "sentencepiece", "version": 1}, "does not hold a"),
    ],
    ids=["empty", "cut short", "not UTF-8", "nested", "a list", "an empty dict", "another kind"],
)
def test_a_file_that_is_no_tokenizer_is_named(kind, content, message, tmp_path):
    assert_refused(KINDS[kind], content, message, tmp_path)


@pytest.mark.parametrize(("kind", "other"), [("char", "word"), ("word", "bpe"), ("bpe", "char")])
def test_a_tokenizer_of_another_kind_is_refused(kind, other, tmp_path):
    assert_refused(KINDS[kind], WHOLE[other], f"does not hold a {kind} tokenizer", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_another_version_is_refused(kind, tmp_path):
    assert_refused(KINDS[kind], WHOLE[kind] | {"version": 2}, "has version 2", tmp_path)
    without = {key: value for key, value in WHOLE[kind].items() if key != "version"}
    assert_refused(KINDS[kind], without, "has version None", tmp_path)


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [("char", "chars"), ("word", "words"), ("bpe", "merges"), ("bpe", "special_tokens")],
)
def test_what_is_missing_is_named(kind, lacks, tmp_path):
    content = {key: value for key, value in WHOLE[kind].items() if key != lacks}
    assert_refused(KINDS[kind], content, f"is damaged: it lacks '{lacks}'", tmp_path)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("char", {"chars": None}),
        ("char", {"chars": []}),
        ("char", {"chars": ["a", "b", "a"]}),
        ("char", {"chars": ["a", "bc"]}),
        ("char", {"chars": ["a", ""]}),
        ("char", {"chars": ["a", 7]}),
        ("char", {"chars": ["a", ["b"]]}),
        ("word", {"words": None}),
        ("word", {"words": []}),
        ("word", {"words": ["a", "<unk>"]}),
        ("word", {"words": ["<unk>", "a", "a"]}),
        ("word", {"words": ["<unk>", 7]}),
        ("bpe", {"merges": None}),
        ("bpe", {"merges": [[1, 2, 3]]}),
        ("bpe", {"merges": [[1]]}),
        ("bpe", {"merges": [["a", "b"]]}),
        ("bpe", {"merges": [[1, 256]]}),  # merge 0 makes 256, so it cannot use it
        ("bpe", {"merges": [[-1, 1]]}),
        ("bpe", {"merges": [[1.5, 1]]}),
        ("bpe", {"merges": [[1, 2], [1, 2]]}),
        ("bpe", {"special_tokens": None}),
        ("bpe", {"special_tokens": "<end>"}),
        ("bpe", {"special_tokens": ["<end>", "<end>"]}),
        ("bpe", {"special_tokens": [""]}),
        ("bpe", {"special_tokens": [7]}),
        ("bpe", {"special_tokens": [["<end>"]]}),
    ],
    ids=str,
)
def test_a_damaged_tokenizer_is_refused(kind, damage, tmp_path):
    assert_refused(KINDS[kind], WHOLE[kind] | damage, "is damaged: ", tmp_path)


def assert_refused(cls, content, message, folder):
    """Loading fails with one line that begins with the path and holds `message`."""
    path = folder / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match="tokenizer.json") as error:
        cls.load(path)
    assert str(error.value).startswith(f"{path} {message}")
    assert "\n" not in str(error.value)
