"""`numpygpt sample`: let a trained model write. Written by hand."""

import codecs
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from numpygpt.cli import models
from numpygpt.cli.errors import UsageError
from numpygpt.cli.runs import DEFAULT_OUT, check_finite, checkpoint_path, read_checkpoint
from numpygpt.cli.sizes import largest
from numpygpt.generate import stream
from numpygpt.pretrained import load_pretrained

ABOUT = "Let a trained model write."
BUNDLED = Path("data/checkpoints/shakespeare_char")


def add_options(parser):
    add = parser.add_argument
    add("--out_dir", type=Path, metavar="DIR", help=f"of the run; {DEFAULT_OUT}, else {BUNDLED}")
    add("--pretrained", type=Path, metavar="DIR", help="a folder with GPT-2's files, in its place")
    add("--num_samples", type=int, default=3, metavar="N", help="how many texts; %(default)s")
    add("--max_new_tokens", type=int, default=500, metavar="N", help="tokens to add; %(default)s")
    add("--prompt", metavar="TEXT", help="the text to go on from; a line break")
    add("--temperature", type=float, default=0.8, metavar="X", help="0 is greedy; %(default)s")
    add("--top_k", type=int, metavar="N", help="draw from the N likeliest tokens; all")
    add("--top_p", type=float, metavar="X", help="draw from the likeliest of joint mass X; all")
    add("--seed", type=int, default=1337, metavar="N", help="same seed, same text; %(default)s")


def run(args):
    for name, low in (("num_samples", 1), ("max_new_tokens", 1), ("seed", 0)):
        if getattr(args, name) < low:
            raise UsageError(f"--{name} {getattr(args, name)} must be at least {low}")
        if getattr(args, name) > largest(name):
            raise UsageError(f"--{name} {getattr(args, name)} must be at most {largest(name)}")
    if args.out_dir and args.pretrained:
        raise UsageError("--out_dir and --pretrained name two models: give one of them")
    folder = args.out_dir or DEFAULT_OUT
    # Before the first training there is still a model to play with: the one that we ship.
    bundled = not (args.out_dir or args.pretrained or DEFAULT_OUT.exists()) and BUNDLED.exists()
    if args.pretrained:
        model, tokenizer = load_pretrained(args.pretrained)
        check_finite(args.pretrained, model.params())
    else:
        folder = BUNDLED if bundled else folder
        model, tokenizer, _ = read_checkpoint(folder, models.load)
        check_finite(checkpoint_path(folder), model.params())
    prompt = default_prompt(tokenizer) if args.prompt is None else args.prompt
    rng = np.random.default_rng(args.seed)
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    for n in range(args.num_samples):
        text, stopped = sample_text(model, tokenizer, prompt, args.max_new_tokens, rng, **options)
        if bundled and n == 0:
            print(f"{DEFAULT_OUT} holds no model yet: this is {BUNDLED}", file=sys.stderr)
        print(f"---- sample {n + 1} ----\n{text}", flush=True)
        if stopped:
            raise KeyboardInterrupt


def default_prompt(tokenizer):
    """A line break, after which anything may start; the first token of a vocabulary without one."""
    try:
        tokenizer.encode("\n")
    except ValueError:
        return tokenizer.decode([0])
    return "\n"


def sample_text(model, tokenizer, prompt, max_new_tokens, rng, **options):
    """Return the prompt with what the model writes after it, and whether Ctrl-C ended it early."""
    stopped = False
    try:
        ids = tokenizer.encode(prompt)
        if not ids:
            raise UsageError("the prompt is empty: give at least one token")
        try:
            for new in islice(stream(model, np.array([ids]), rng=rng, **options), max_new_tokens):
                ids.append(int(new[0, 0]))
        except KeyboardInterrupt:
            stopped = True
    except ValueError as error:
        raise UsageError(str(error)) from None
    return text_of(tokenizer, ids), stopped


def text_of(tokenizer, ids):
    """Return the text of ids, without line breaks around it or half a character at its end."""
    if tokenizer.kind == "bpe":
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(tokenizer.decode_bytes(ids))
    else:
        text = tokenizer.decode(ids)
    return text.strip("\n")
