"""What `numpygpt` does with its arguments, and how it ends. Written by hand."""

import argparse
import contextlib
import os
import sys

import numpy as np

from numpygpt import __version__
from numpygpt.cli import chat, datagen, export, finetune, plot, sample, test, train
from numpygpt.cli.errors import MISTAKES, message_of, one_line

COMMANDS = {
    "datagen": datagen,
    "train": train,
    "finetune": finetune,
    "sample": sample,
    "chat": chat,
    "export": export,
    "plot": plot,
    "test": test,
}


def run(argv=None):
    """Run a command and return its exit code: 0, or 2 for a user's mistake."""
    # A terminal that cannot show a character must not end a training run.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        # What is not finite the commands report themselves, and in one line.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            code = args.run(args) or 0
        sys.stdout.flush()  # here, where an error is still ours to report, not at the exit
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `numpygpt sample | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, what other programs end with
    except MISTAKES as error:
        with contextlib.suppress(OSError):  # a terminal that was closed
            print(f"numpygpt {args.command}: {message_of(error)}", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")


def parse(argv):
    # --min-freq and --min_freq are one option; values stay as they are.
    argv = ["--" + dashes_to_underscores(a[2:]) if a.startswith("--") else a for a in argv]
    parser = Parser(prog="numpygpt", description="A GPT in NumPy.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"numpygpt {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="command", parser_class=Parser
    )
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name, help=command.ABOUT, description=command.ABOUT, allow_abbrev=False
        )
        command.add_options(sub)
        sub.set_defaults(run=command.run)
    args, unknown = parser.parse_known_args(argv)
    if unknown:  # parse_args would point to the help of the program, not of the command
        commands.choices[args.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def dashes_to_underscores(option):
    name, equals, value = option.partition("=")
    return name.replace("-", "_") + equals + value
