"""Texts on the terminal while a model writes them. Written by hand."""

import sys


class Printer:
    """Prints a text as it grows, without the line breaks before and after it."""

    def __init__(self):
        self.begun, self.held = False, ""

    def write(self, piece):
        text = self.held + piece
        text = text if self.begun else text.lstrip("\n")
        body = text.rstrip("\n")
        self.held = text[len(body) :]
        if body:
            self.begun = True
            print(body, end="", flush=True)

    def close(self):
        print(flush=True)


def print_rate(n_tokens, seconds):
    """Say how fast it went, to somebody who sits there; a file or another program gets the text."""
    if sys.stderr.isatty() and seconds > 0:
        print(f"{n_tokens} tokens, {n_tokens / seconds:.1f} a second", file=sys.stderr)
