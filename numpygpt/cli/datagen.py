"""`numpygpt datagen`: a text to tokens. Written by hand."""

import math
from pathlib import Path

from numpygpt.cli.errors import UsageError, writing
from numpygpt.cli.folders import write_folder
from numpygpt.cli.lock import Lock
from numpygpt.cli.progress import watched
from numpygpt.cli.texts import TextFile, beyond, up_to
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

ABOUT = "Turn a text into tokens to train on."
DEFAULT_TEXT = Path("data/shakespeare.txt")
DEFAULT_DATA = Path("data/shakespeare_char")
DEFAULT_BPE_VOCAB = 1000
# Words and merges are learnt from so many bytes; of a longer text from parts all over it.
LEARN_FROM = 32 << 20


def add_options(parser):
    add = parser.add_argument
    add("input", nargs="?", type=Path, default=DEFAULT_TEXT, help="UTF-8 text; %(default)s")
    add(
        "--output_dir",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help="for the tokens; %(default)s",
    )
    add("--tokenizer_type", choices=("char", "word", "bpe"), default="char", help="%(default)s")
    add("--vocab_size", type=int, metavar="N", help=f"bpe: number of tokens; {DEFAULT_BPE_VOCAB}")
    add("--min_freq", type=int, metavar="N", help="word: rarer words become <unk>; 1")
    add(
        "--max_vocab_size",
        type=int,
        metavar="N",
        help="word: keep so many tokens, the most frequent; all",
    )


def run(args):
    belongs_to = {"vocab_size": "bpe", "min_freq": "word", "max_vocab_size": "word"}
    options = {name: getattr(args, name) for name in belongs_to if getattr(args, name) is not None}
    for name in options:
        if belongs_to[name] != args.tokenizer_type:
            raise UsageError(f"--{name} needs --tokenizer_type {belongs_to[name]}")
    write_data(args.input, args.output_dir, args.tokenizer_type, **options)


def write_data(path, folder, kind, **options):
    """Learn a tokenizer from the text at `path` and write the tokens to `folder`.

    No text is too long: it is read part by part, once to learn and twice to encode.
    """
    with TextFile(path, anywhere=kind == "char") as text:
        try:
            with writing(folder), Lock(folder):
                tokenizer, length, learnt = learn(text, kind, options)
                cut = round(length * 0.9)  # through the text, as in numpygpt.data.prepare
                train = up_to(watched(text, "encoding"), cut)
                val = beyond(watched(text, "encoding"), cut)
                n_train, n_val = write_folder(folder, tokenizer, {"train": train, "val": val})
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from None
    part = "" if learnt == length else f", the vocabulary learnt from {learnt:,} of them"
    print(
        f"{folder}: {tokenizer.vocab_size} tokens in the vocabulary, {n_train:,} to train on, "
        f"{n_val:,} to validate on ({length:,} characters{part})"
    )


def learn(text, kind, options):
    """Return (tokenizer, characters of the text, how many of them it was learnt from)."""
    every = math.ceil(text.size / LEARN_FROM)  # one part of so many
    chars, sample, length, blank = set(), [], 0, True
    for number, part in enumerate(watched(text, "reading")):
        length += len(part)
        blank = blank and part.isspace()
        if kind == "char":
            chars.update(part)
        elif number % every == 0:
            sample.append(part)
    if blank:
        raise UsageError(f"{text.path} is empty")
    if kind == "char":
        return CharTokenizer(sorted(chars)), length, length
    sample = "".join(sample)
    if kind == "word":
        return WordTokenizer.train(sample, **options), length, len(sample)
    options = {"vocab_size": DEFAULT_BPE_VOCAB, **options}
    return BPETokenizer.train(sample, **options), length, len(sample)
