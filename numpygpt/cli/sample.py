"""`numpygpt sample`: let a trained model write. Written by hand."""

import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

from numpygpt.chat import TextStream
from numpygpt.cli.errors import UsageError
from numpygpt.cli.opening import load_any, shorten
from numpygpt.cli.printing import Printer, print_rate
from numpygpt.cli.runs import DEFAULT_OUT
from numpygpt.cli.sizes import largest
from numpygpt.generate import stream

ABOUT = "Let a trained model write."
BUNDLED = Path("data/checkpoints/shakespeare_char")
BATCH = 16  # samples that are made at a time: more need more memory


def add_options(parser):
    add = parser.add_argument
    add("--out_dir", type=Path, metavar="DIR", help=f"of the run; {DEFAULT_OUT}, else {BUNDLED}")
    add("--pretrained", type=Path, metavar="DIR", help="files of GPT-2, Llama or Qwen3 instead")
    add("--num_samples", type=int, default=3, metavar="N", help="how many texts; %(default)s")
    add("--max_new_tokens", type=int, default=500, metavar="N", help="tokens to add; %(default)s")
    add("--prompt", metavar="TEXT", help="the text to go on from; a line break")
    add("--temperature", type=float, default=0.8, metavar="X", help="0 is greedy; %(default)s")
    add("--top_k", type=int, metavar="N", help="draw from the N likeliest tokens; all")
    add("--top_p", type=float, metavar="X", help="draw from the likeliest of joint mass X; all")
    add("--seed", type=int, default=1337, metavar="N", help="same seed, same text; %(default)s")


def check_range(args, *limits):
    """Raise UsageError unless each (option, least value) of `limits` is kept."""
    for name, low in limits:
        if getattr(args, name) < low:
            raise UsageError(f"--{name} {getattr(args, name)} must be at least {low}")
        if getattr(args, name) > largest(name):
            raise UsageError(f"--{name} {getattr(args, name)} must be at most {largest(name)}")


def run(args):
    check_range(args, ("num_samples", 1), ("max_new_tokens", 1), ("seed", 0))
    # Before the first training there is still a model to play with: the one that we ship.
    bundled = not (args.out_dir or args.pretrained or DEFAULT_OUT.exists()) and BUNDLED.exists()
    folder = BUNDLED if bundled else args.out_dir or (None if args.pretrained else DEFAULT_OUT)
    model, tokenizer, _ = load_any(folder, args.pretrained)
    if bundled:
        print(f"{DEFAULT_OUT} holds no model yet: this is {BUNDLED}", file=sys.stderr)
    prompt = default_prompt(tokenizer) if args.prompt is None else args.prompt
    rng = np.random.default_rng(args.seed)
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    write_samples(
        model, tokenizer, prompt, args.num_samples, args.max_new_tokens, rng=rng, **options
    )


def default_prompt(tokenizer):
    """A line break, after which anything may start; the first token of a vocabulary without one."""
    try:
        tokenizer.encode("\n")
    except ValueError:
        return tokenizer.decode([0])
    return "\n"


def write_samples(model, tokenizer, prompt, num_samples, max_new_tokens, **options):
    """Print what the model writes after the prompt, several times; options as `stream`.

    The samples are made side by side, BATCH at a time. The first is printed as it grows, the others
    when they are whole. Ctrl-C ends them all: what there is of each is printed first.
    """
    try:
        ids = tokenizer.encode(prompt)
        if not ids:
            raise UsageError("the prompt is empty: give at least one token")
        ids = [*getattr(tokenizer, "start", []), *ids]
        shorten(model, len(ids) + max_new_tokens)
        start, count = time.perf_counter(), 0
        for first in range(1, num_samples + 1, BATCH):
            numbers = range(first, min(first + BATCH, num_samples + 1))
            prompts = np.array([ids] * len(numbers))  # (B, T)
            tokens = islice(stream(model, prompts, **options), max_new_tokens)
            count += write_batch(tokenizer, prompt, numbers, tokens)
        print_rate(count, time.perf_counter() - start)
    except ValueError as error:
        raise UsageError(str(error)) from None


def write_batch(tokenizer, prompt, numbers, tokens):
    """Print the prompt and the tokens (B, 1) after it as samples of these numbers; count them."""
    texts, parts = [TextStream(tokenizer) for _ in numbers], [[] for _ in numbers]
    ids = tokenizer.encode(prompt)
    for text, part in zip(texts, parts, strict=True):
        part.append(text.add(ids))
    printer, count, stopped = None, 0, False
    try:
        for new in tokens:
            for text, part, added in zip(texts, parts, new.tolist(), strict=True):
                part.append(text.add(added))
            if printer is None:  # what is wrong with an option is known by now
                print(f"---- sample {numbers[0]} ----")
                printer = Printer()
                printer.write(parts[0][0])
            printer.write(parts[0][-1])
            count += new.size
    except KeyboardInterrupt:
        stopped = True
    if printer:
        printer.close()
    for number, part in list(zip(numbers, parts, strict=True))[1 if printer else 0 :]:
        text = "".join(part).strip("\n")
        print(f"---- sample {number} ----\n{text}", flush=True)
    if stopped:
        raise KeyboardInterrupt
    return count
