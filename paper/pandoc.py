"""Pandoc, as its wheel brings it."""

import json
import subprocess

import pypandoc

# What Jupyter shows as Markdown; raw_attribute marks the places of the cells between two texts.
MARKDOWN = "commonmark+pipe_tables+tex_math_dollars+strikeout+smart+raw_attribute"


class PandocError(Exception):
    """Pandoc refused, or warned; the message is what it said."""


def pandoc(text, *arguments):
    """What pandoc makes of a text, as text. A warning is an error."""
    command = [pypandoc.get_pandoc_path(), "--fail-if-warnings", *arguments]
    run = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
    if run.returncode:
        raise PandocError(f"pandoc {' '.join(arguments)}: {run.stderr.strip()}")
    return run.stdout


def parsed(markdown):
    """The blocks of a Markdown text."""
    return json.loads(pandoc(markdown, "-f", MARKDOWN, "-t", "json"))["blocks"]


def document(blocks, meta=None):
    """A tree as pandoc reads it."""
    tree = {"pandoc-api-version": [1, 23, 1], "meta": meta or {}, "blocks": blocks}
    return json.dumps(tree, ensure_ascii=False)
