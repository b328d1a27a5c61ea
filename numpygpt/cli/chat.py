"""`numpygpt chat`: questions and answers with a model that knows turns. Written by hand."""

import contextlib
import sys
import time
from pathlib import Path

import numpy as np

from numpygpt.chat import Chat, Template, render
from numpygpt.cli.errors import UsageError, one_line
from numpygpt.cli.opening import load_any, shorten
from numpygpt.cli.printing import Printer, print_rate
from numpygpt.cli.sample import check_range
from numpygpt.generate import next_token_probs

ABOUT = "Chat with a model that knows turns. Ctrl-C ends an answer, Ctrl-D the chat."


def add_options(parser):
    add = parser.add_argument
    add("--pretrained", type=Path, metavar="DIR", help="files of SmolLM2, Qwen3 or their kin")
    add("--out_dir", type=Path, metavar="DIR", help="of a run of numpygpt finetune, instead")
    add("--system", metavar="TEXT", help="what the model is told first; its family's own text")
    add("--think", action="store_true", help="let a Qwen3 think aloud before it answers")
    add("--max_new_tokens", type=int, metavar="N", help="of an answer; what fits, at most 512")
    add("--block_size", type=int, default=2048, metavar="N", help="of a chat; %(default)s")
    add("--temperature", type=float, default=0.2, metavar="X", help="0 is greedy; %(default)s")
    add("--top_k", type=int, metavar="N", help="draw from the N likeliest tokens; all")
    add("--top_p", type=float, default=0.9, metavar="X", help="or of joint mass X; %(default)s")
    add("--seed", type=int, default=1337, metavar="N", help="same seed, same answers; %(default)s")


def run(args):
    limits = [("max_new_tokens", 1)] if args.max_new_tokens is not None else []
    check_range(args, *limits, ("block_size", 2), ("seed", 0))
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    if not (args.pretrained or args.out_dir):
        raise UsageError(
            "name a model: --pretrained DIR, a folder with the files of a chat model, or --out_dir "
            "DIR, of a run of numpygpt finetune"
        )
    try:
        next_token_probs(np.zeros((1, 2)), **options)  # what is wrong with an option it says now
        model, tokenizer, meta = load_any(args.out_dir, args.pretrained)
        shorten(model, args.block_size)
        messages = [] if args.system is None else [("system", args.system)]
        template = Template(**meta["template"]) if "template" in meta else None
        chat = Chat(model, tokenizer, messages, template, args.think)
        render(tokenizer, [*messages, ("user", "")], chat.template)  # does it know such turns?
    except ValueError as error:
        raise UsageError(str(error)) from None
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    options |= {"rng": np.random.default_rng(args.seed)}
    while (question := ask()) is not None:
        if question.strip():
            answer(chat, messages, question, args.max_new_tokens, options)


def ask():
    """Return a line of the user's, or None at the end of them."""
    person = sys.stdin.isatty()
    try:
        return input("> " if person else "")
    except EOFError:
        if person:
            print()
        return None
    except KeyboardInterrupt:
        if not person:
            raise
        print("\nCtrl-D ends the chat")  # one Ctrl-C too many shall not: the answer may be over
        return ""


def room_for(chat, messages, question):
    """Return how many tokens an answer may have by default: at most 512, and what the window has.

    Args:
        messages: what begins every chat: a system turn, perhaps.
    """
    asked = [*messages, ("user", question)]
    ids = render(chat.tokenizer, asked, chat.template, chat.think)
    return max(1, min(512, chat.model.config.block_size - len(ids)))


def answer(chat, messages, question, max_new_tokens, options):
    """Print the answer as it is made."""
    printer, start = Printer(), time.perf_counter()
    try:
        room = max_new_tokens or room_for(chat, messages, question)
        with contextlib.closing(chat.answer(question, max_new_tokens=room, **options)) as pieces:
            for piece in pieces:
                printer.write(piece)
    except KeyboardInterrupt:
        pass  # what there is of the answer is in the chat
    except ValueError as error:
        print(f"numpygpt chat: {one_line(str(error))}", file=sys.stderr)
        return
    printer.close()
    print_rate(chat.n_tokens, time.perf_counter() - start)
