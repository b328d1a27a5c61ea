"""`numpygpt datagen`: a text to tokens. Written by hand."""

from pathlib import Path

from numpygpt.cli.errors import UsageError
from numpygpt.data import prepare
from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

ABOUT = "Turn a text into tokens to train on."
DEFAULT_TEXT = Path("data/shakespeare.txt")
DEFAULT_DATA = Path("data/shakespeare_char")
DEFAULT_BPE_VOCAB = 1000


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
    """Learn a tokenizer from the text at `path` and write the tokens to `folder`."""
    text = read_text(path)
    try:
        if kind == "char":
            tokenizer = CharTokenizer.train(text)
        elif kind == "word":
            tokenizer = WordTokenizer.train(text, **options)
        else:
            tokenizer = BPETokenizer.train(text, **{"vocab_size": DEFAULT_BPE_VOCAB, **options})
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    n_train, n_val = prepare(text, tokenizer, folder)
    print(
        f"{folder}: {tokenizer.vocab_size} tokens in the vocabulary, {n_train:,} to train on, "
        f"{n_val:,} to validate on ({len(text):,} characters)"
    )


def read_text(path):
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist: name a text file, or run in the project's folder"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise UsageError(f"{path} is empty")
    return text.replace("\r\n", "\n")
