"""A text of any length: read in parts, it gives the files that it gives as a whole."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from numpygpt.cli import datagen, main, progress, texts
from numpygpt.cli.errors import UsageError
from numpygpt.cli.texts import TextFile, beyond, end_of_word, up_to
from numpygpt.data import prepare, read_tokens, split
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

LINES = [
    "First Citizen:\r\nThat's o'er-done,   my lord -- 12½ times!\n\n\n",
    "  'Tis thé same ☃, wîth 😀 and 中文字 \t and\u00a0tabs\x1c here.\n",
    "\n \n  \r\r\n a\rb  ...?!  well-beloved\u2028line   ",
]
TEXT = "".join(LINES[i % 3].replace("12", str(i)) for i in range(90))
PLAIN = TEXT.replace("\r\n", "\n")
KINDS = {
    "char": lambda text: CharTokenizer.train(text),
    "word": lambda text: WordTokenizer.train(text),
    "bpe": lambda text: BPETokenizer.train(text, 400),
}
OPTIONS = {"char": [], "word": [], "bpe": ["--vocab_size", "400"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_bytes(TEXT.encode())
    return tmp_path


def run(*argv):
    return main([str(a) for a in argv])


def parts_of(path="t.txt", anywhere=False):
    with TextFile(path, anywhere) as text:
        return list(text)


def contents(folder):
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100, 10**6])
@pytest.mark.parametrize("anywhere", [False, True])
def test_the_parts_are_the_text(folder, monkeypatch, size, anywhere):
    monkeypatch.setattr(texts, "PART", size)
    parts = parts_of(anywhere=anywhere)
    assert "".join(parts) == PLAIN and all(parts)
    if not anywhere:
        for before, after in zip(parts, parts[1:], strict=False):
            assert not before[-1].isspace() and after[0] in " \n"
    if size < 10:
        assert max(map(len, parts)) < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
def test_datagen_writes_what_prepare_writes(folder, monkeypatch, kind, size):
    monkeypatch.setattr(texts, "PART", size)
    tokenizer = KINDS[kind](split(PLAIN)[0])
    prepare(PLAIN, tokenizer, folder / "whole")
    options = ["--output_dir", "parts", "--tokenizer_type", kind, *OPTIONS[kind]]
    assert run("datagen", "t.txt", *options) == 0
    whole, parts = contents("whole"), contents("parts")
    assert type(tokenizer).load("parts/tokenizer.json").to_json() == tokenizer.to_json()
    del whole["tokenizer.json"], parts["tokenizer.json"]
    assert whole == parts and whole.keys() == {"train.bin", "train.json", "val.bin", "val.json"}


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
def test_words_and_merges_are_learned_from_the_training_part_alone(folder, monkeypatch, kind, size):
    monkeypatch.setattr(texts, "PART", size)
    new = "newfound wordings " * (len(PLAIN) // 200)
    train_text, val_text = split(PLAIN + new)
    assert "newfound" not in train_text
    Path("t.txt").write_bytes((TEXT + new).encode())
    options = ["--output_dir", "d", "--tokenizer_type", kind, *OPTIONS[kind]]
    assert run("datagen", "t.txt", *options) == 0
    expected = KINDS[kind](train_text)
    assert expected.to_json() != KINDS[kind](PLAIN + new).to_json()
    tokenizer = type(expected).load("d/tokenizer.json")
    assert tokenizer.to_json() == expected.to_json()
    assert read_tokens("d/val.bin")[0].tolist() == tokenizer.encode(val_text)
    if kind == "word":
        assert tokenizer.encode("newfound wordings") == [0, 0]


@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
def test_characters_that_only_the_validation_part_has_get_an_id_and_are_told(
    folder, capsys, monkeypatch, size
):
    monkeypatch.setattr(texts, "PART", size)
    Path("t.txt").write_text("to be " * 100 + "Zoë be", encoding="utf-8")
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    note = "characters that only the validation part has, where no model learns them: "
    assert capsys.readouterr().out.endswith(f"(606 characters)\n{note}'Z' 'ë'\n")
    assert CharTokenizer.load("d/tokenizer.json").chars == [*" Zbeot", "ë"]
    letters = "".join(map(chr, range(0x3B1, 0x3BB)))
    Path("t.txt").write_text("to be " * 100 + letters, encoding="utf-8")
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert capsys.readouterr().out.endswith(f"{note}'α' 'β' 'γ' 'δ' 'ε' 'ζ' 'η' 'θ' and 2 more\n")
    # The last character of the training part is in it, and the next is not.
    Path("t.txt").write_text("a" * 89 + "b" + "c" * 10)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert capsys.readouterr().out.endswith("no model learns them: 'c'\n")


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 11, 12, 99])
def test_a_text_in_parts_is_cut_at_the_character(length):
    parts = ["hello ", "you", " all"]
    assert "".join(up_to(parts, length)) == "hello you all"[:length]
    assert "".join(beyond(parts, length)) == "hello you all"[length:]


@pytest.mark.parametrize(
    ("text", "cut"),
    [("", 0), ("ab", 0), ("ab c", 2), ("ab c d", 4), ("ab  ", 2), ("a\n", 1), (" a", 0),
     (" ", 0), ("a \t b", 1), ("a\tb", 0), ("ab \n\n c", 2), ("中 a", 1)],
)  # fmt: skip
def test_a_part_ends_with_the_last_word_that_is_whole(text, cut):
    assert end_of_word(text) == cut


@pytest.mark.parametrize("size", [1, 2, 10**6])
def test_a_mark_of_byte_order_is_no_text_but_further_on_it_is(folder, monkeypatch, size):
    monkeypatch.setattr(texts, "PART", size)
    for text, read in (("\ufeffone \ufefftwo", "one \ufefftwo"), ("a\ufeffb", "a\ufeffb")):
        Path("t.txt").write_bytes(text.encode())
        assert "".join(parts_of()) == read
    Path("t.txt").write_bytes(("\ufeff" + "abc " * 50).encode())
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert CharTokenizer.load("d/tokenizer.json").chars == [" ", "a", "b", "c"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10**6])
@pytest.mark.parametrize(
    ("content", "byte"),
    [(b"caf\xe9 and more", 3), (b"\xef\xbb\xbfab\xff", 5), ("é€😀".encode() + b"\xf0\x9f\x98", 9),
     (b"\xff", 0), ("é".encode()[:1] + b"a", 0)],
)  # fmt: skip
def test_what_is_not_utf8_is_named_by_its_byte_wherever_a_part_ends(
    folder, monkeypatch, size, content, byte
):
    monkeypatch.setattr(texts, "PART", size)
    Path("t.txt").write_bytes(content)
    with pytest.raises(UsageError, match=rf"t.txt is not UTF-8 text \(byte {byte}\)"):
        parts_of()


@pytest.mark.skipif(os.name == "nt", reason="no such devices and pipes")
def test_a_device_is_refused_and_a_pipe_is_read(folder, capsys):
    # /dev/zero would have no end.
    assert run("datagen", "/dev/null", "--output_dir", "d") == 2
    assert capsys.readouterr().err == "numpygpt datagen: /dev/null is a device, not a text file\n"
    assert not Path("d").exists()
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(TEXT.encode(),))
    writer.start()
    assert run("datagen", "pipe", "--output_dir", "d") == 0
    writer.join()
    assert run("datagen", "t.txt", "--output_dir", "e") == 0
    assert contents("d") == contents("e")


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_of_a_long_text_parts_all_over_it_are_learnt_from_and_the_number_is_told(
    folder, capsys, monkeypatch, kind
):
    early, late = "early words here now, ", "later things there then, "
    Path("t.txt").write_text(early * 400 + late * 400)
    monkeypatch.setattr(texts, "PART", 100)
    monkeypatch.setattr(datagen, "LEARN_FROM", 4000)
    seen, cls = [], datagen.WordTokenizer if kind == "word" else datagen.BPETokenizer
    learn = cls.train
    monkeypatch.setattr(cls, "train", lambda text, **o: seen.append(text) or learn(text, **o))
    options = ["--tokenizer_type", kind, *OPTIONS[kind]]
    assert run("datagen", "t.txt", "--output_dir", "d", *options) == 0
    total = 400 * (len(early) + len(late))
    assert 3000 < len(seen[0]) < 4500 and "early" in seen[0] and "later" in seen[0]
    note = f"the vocabulary is learned from {len(seen[0]):,} characters of the training part\n"
    assert capsys.readouterr().out.endswith(f"({total:,} characters)\n{note}")
    # Characters are all counted: none may be missing.
    Path("t.txt").write_text("a " * 5000 + "ÿ")
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert "learned" not in capsys.readouterr().out
    assert CharTokenizer.load("d/tokenizer.json").chars == [" ", "a", "ÿ"]


# Linux charges a program with the peak of the one that started it in ru_maxrss, not in VmHWM.
PEAK = """
import re
from pathlib import Path
from numpygpt.cli import main
import numpygpt.cli.program
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
assert main(["datagen", "long.txt", "--output_dir", "d"]) == 0
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others measure memory in other ways")
def test_the_memory_does_not_grow_with_the_text(folder):
    Path("long.txt").write_text("To be, or not to be, that is the question.\n" * 300_000)
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    megabytes = float(done.stdout.splitlines()[-1])
    assert 1 < megabytes < 60, "13 million characters would take 200 as a list of ids"


def test_a_bar_shows_how_far_the_text_is_read_on_a_terminal_alone(folder, capsys, monkeypatch):
    monkeypatch.setattr(texts, "PART", 100)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    assert "\r" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress.time, "monotonic", iter(range(10**6)).__next__)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    out = capsys.readouterr().out
    bars = [part for part in out.split("\r\x1b[K") if "░" in part]
    assert len(bars) > 100 and "reading t.txt" in bars[0] and "encoding t.txt" in bars[-1]
    full = [bar.count("█") for bar in bars]
    assert min(full) == 0 and max(full) >= 19 and "\r\x1b[Kd: " in out
