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
# The same text, where numpygpt was installed by itself and there is no book around it.
OUR_COPY = Path(__file__).parents[1] / "shakespeare.txt"
DEFAULT_DATA = Path("data/shakespeare_char")
DEFAULT_BPE_VOCAB = 1000
# Words and merges are learned from so many bytes; of a longer text from parts all over it.
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
    add(
        "--tokenizer_type",
        choices=("char", "word", "bpe"),
        default="char",
        help="%(default)s; words and merges are learned from the first nine tenths of the text, "
        "the training part; characters are those of the whole text",
    )
    add("--vocab_size", type=int, metavar="N", help=f"bpe: number of tokens; {DEFAULT_BPE_VOCAB}")
    add(
        "--min_freq",
        type=int,
        metavar="N",
        help="word: words rarer than this in the training part become <unk>, as do those that only "
        "the validation part has; 1, with which training never meets an <unk>",
    )
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

    The last tenth is the validation part. Words and merges are learned from the rest alone. Every
    character gets an id, and the user is told which of them only the validation part has: a list of
    characters gives nothing away, and one more is no reason to refuse a text.

    No text is too long: it is read part by part, once to learn and twice to encode.
    """
    path = default_text() if path == DEFAULT_TEXT else path
    with TextFile(path, anywhere=kind == "char") as text:
        try:
            with writing(folder), Lock(folder):
                tokenizer, length, cut, note = learn(text, kind, options)
                train = up_to(watched(text, "encoding"), cut)
                val = beyond(watched(text, "encoding"), cut)
                n_train, n_val = write_folder(folder, tokenizer, {"train": train, "val": val})
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from None
    print(
        f"{folder}: {tokenizer.vocab_size} tokens in the vocabulary, {n_train:,} to train on, "
        f"{n_val:,} to validate on ({length:,} characters)"
    )
    if note:
        print(note)


def default_text():
    """Return the path of the text that is there where nobody names one."""
    return OUR_COPY if OUR_COPY.exists() and not DEFAULT_TEXT.exists() else DEFAULT_TEXT


def learn(text, kind, options):
    """Return (tokenizer, characters of the text, where to cut it, a note to the user or "")."""
    every = math.ceil(text.size / LEARN_FROM)  # one part of so many
    first, sample, length, blank = {}, [], 0, True
    for number, part in enumerate(watched(text, "reading")):
        if kind == "char":
            first |= {c: length + part.index(c) for c in set(part) - first.keys()}
        elif number % every == 0:
            sample.append((length, part))
        length += len(part)
        blank = blank and part.isspace()
    if blank:
        raise UsageError(f"{text.path} is empty")
    cut = round(length * 0.9)  # through the text, as in numpygpt.data.split
    if kind == "char":
        return CharTokenizer(sorted(first)), length, cut, unseen(first, cut)
    sample = "".join(part[: max(cut - start, 0)] for start, part in sample)
    note = ""
    if len(sample) < cut:
        note = f"the vocabulary is learned from {len(sample):,} characters of the training part"
    if kind == "word":
        return WordTokenizer.train(sample, **options), length, cut, note
    options = {"vocab_size": DEFAULT_BPE_VOCAB, **options}
    return BPETokenizer.train(sample, **options), length, cut, note


def unseen(first, cut):
    """Return a note on the characters that come after `cut` only; `first` has each one's place."""
    late = sorted(c for c, place in first.items() if place >= cut)
    if not late:
        return ""
    shown = " ".join(map(repr, late[:8])) + f" and {len(late) - 8} more" * (len(late) > 8)
    return f"characters that only the validation part has, where no model learns them: {shown}"
