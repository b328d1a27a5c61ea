"""Pandoc, as its wheel brings it."""

import json
import os
import subprocess

# What Jupyter shows as Markdown; raw_attribute marks the places of the cells between two texts.
MARKDOWN = "commonmark+pipe_tables+tex_math_dollars+strikeout+smart+raw_attribute"

MADE = "315532800"  # 1980, in seconds: what the files of an EPUB are dated


class PandocError(Exception):
    """Pandoc refused, or warned; the message is what it said."""


def pandoc(text, *arguments, **more):
    """What pandoc makes of a text, as text. A warning is an error; `more` goes to subprocess."""
    import pypandoc  # only who makes the book needs it

    command = [pypandoc.get_pandoc_path(), "--fail-if-warnings", *arguments]
    # The same files give the same book, whenever it is made.
    environment = os.environ | {"SOURCE_DATE_EPOCH": MADE}
    run = subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", env=environment, **more
    )
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["nothing said"]
        raise PandocError(f"pandoc: {said[0][:300]}")
    return run.stdout


def parsed(markdown):
    """The blocks of a Markdown text."""
    return json.loads(pandoc(markdown, "-f", MARKDOWN, "-t", "json"))["blocks"]


def document(blocks, meta=None):
    """A tree as pandoc reads it."""
    tree = {"pandoc-api-version": [1, 23, 1], "meta": meta or {}, "blocks": blocks}
    return json.dumps(tree, ensure_ascii=False)
