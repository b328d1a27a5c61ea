"""`numpygpt evaluate`: a model's loss on a text, or how many tasks it solves. Written by hand."""

from pathlib import Path

import numpy as np

from numpygpt.cli.datagen import default_text
from numpygpt.cli.errors import UsageError
from numpygpt.cli.folders import open_data
from numpygpt.cli.headers import read_header
from numpygpt.cli.opening import BUNDLED, load_or_ours
from numpygpt.cli.progress import counted
from numpygpt.cli.runs import DEFAULT_OUT, checkpoint_path
from numpygpt.cli.sample import check_range
from numpygpt.cli.texts import TextFile
from numpygpt.data import DataError, split
from numpygpt.evaluate import (
    STRETCHES,
    answers_right,
    bits_per,
    mean_of,
    read_tasks,
    share_of,
    text_losses,
)

ABOUT = "Measure a model: its loss on a text, or how many tasks it solves, with standard errors."
LONGEST = 1024  # of a window, unless --context says more: memory grows with its square


def add_options(parser):
    add = parser.add_argument
    add("--out_dir", type=Path, metavar="DIR", help=f"of the run; {DEFAULT_OUT}, else {BUNDLED}")
    add("--pretrained", type=Path, metavar="DIR", help="files of GPT-2, Llama or Qwen3 instead")
    add("--data", type=Path, metavar="FILE", help="a text; the one that the run validates on")
    add(
        "--task",
        type=Path,
        metavar="FILE",
        help='tasks instead, one a line: {"prompt": "2+3=", "answer": "5\\n"}',
    )
    add("--context", type=int, metavar="N", help="tokens of a window; those of training")


def run(args):
    if args.data and args.task:
        raise UsageError("--data and --task are two measurements: give one of them")
    if args.task and args.context is not None:
        raise UsageError("--context is about texts: leave it out with --task")
    if args.context is not None:
        check_range(args, ("context", 1))
    out_dir, model, tokenizer = load_or_ours(args.out_dir, args.pretrained)
    start = getattr(tokenizer, "start", [])  # of a text, for models that were trained so
    try:
        if args.task:
            solve(model, tokenizer, start, args.task)
        else:
            read(model, tokenizer, start, args, out_dir)
    except DataError:  # it names its file
        raise
    except ValueError as error:
        raise UsageError(f"{args.task or args.data or 'the text'}: {error}") from None


def solve(model, tokenizer, start, path):
    """Print how many tasks of a file the model solves."""
    pairs = [
        ([*start, *tokenizer.encode(prompt)], tokenizer.encode(answer))
        for prompt, answer in read_tasks(path)
    ]
    right = np.concatenate([*counted(answers_right(model, pairs), len(pairs), "tasks")])
    share = share_of(right)
    print(f"{path}: {len(right):,} tasks")
    print(f"solved  {share.mean:.1%} ± {share.error:.1%}, {right.sum():,} of them")


def read(model, tokenizer, start, args, out_dir):
    """Print the loss of a model on a text, and what it is in bits."""
    name, text, ids = the_text(args.data, out_dir, tokenizer)
    context = args.context or min(model.config.block_size, LONGEST)
    if context > model.config.block_size:
        raise UsageError(f"--context {context} is more than block_size={model.config.block_size}")
    losses = text_losses(model, np.array([*start, *ids]), context)
    n = len(start) + len(ids) - 1
    loss = mean_of(np.concatenate([*counted(losses, n, "tokens")]))
    size = "" if text is None else f" ({len(text):,} characters)"
    print(f"{name}: {len(ids):,} tokens{size}, in windows of {context}")
    print(f"loss                {loss} nats per token")
    if text is None:
        print("bits per character need the text itself, which words do not hold: name it by --data")
    else:
        print(f"bits per character  {bits_per(loss, len(ids), len(text))}")
        print(f"bits per byte       {bits_per(loss, len(ids), len(text.encode()))}")
    print(f"± is the standard error, of {STRETCHES} stretches of the text")
    if tokenizer.kind == "word":
        print(f"{ids.count(0) / len(ids):.1%} of the words are unknown; their letters are not paid")


def the_text(path, out_dir, tokenizer):
    """Return (its name, the text, its ids) of a file, or what the run validates on.

    The text is None where only ids are there, and they do not hold it.
    """
    if path:
        with TextFile(path) as file:
            text = "".join(file)
        return path, text, tokenizer.encode(text)
    if out_dir is None:
        raise UsageError("name a text by --data FILE, or tasks by --task FILE")
    meta = read_header(checkpoint_path(out_dir))[1]["meta"]
    if "data_dir" not in meta:  # the model that we ship, of which we know the text
        with TextFile(default_text()) as file:
            text = split("".join(file))[1]
        return f"the last tenth of {file.path}", text, tokenizer.encode(text)
    if "base" in meta:  # a fine-tuned model: its data are questions and answers
        raise UsageError(f"{out_dir} has no text of its own: name one by --data FILE")
    folder = Path(meta["data_dir"])
    other, _, val, digest = open_data(folder)
    if other.to_json() != tokenizer.to_json() or digest != meta.get("data", digest):
        raise UsageError(f"{folder} holds another text by now: name one by --data FILE")
    ids = val.tolist()
    text = None if tokenizer.kind == "word" else tokenizer.decode(ids)
    return f"the validation part of {folder}", text, ids
