"""The files that `numpygpt finetune` reads: a line of JSON for each example. Written by hand."""

import hashlib
import json

from numpygpt.chat import PLAY, template_of
from numpygpt.cli.errors import UsageError
from numpygpt.data import split
from numpygpt.posttraining.examples import Example, turns

FORMS = 'a line is {"messages": [{"role": …, "content": …}, …]} or {"prompt": …, "completion": …}'


def read_lines(path):
    """Return ({"train": [(place, line), …], "val": …}, SHA-256 of all of it).

    Args:
        path: a folder with train.jsonl and val.jsonl, or one file, whose last tenth is for
            validation.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist: name a file of JSON lines, with --data")
    files = [path / f"{name}.jsonl" for name in ("train", "val")] if path.is_dir() else [path]
    contents = [file.read_bytes() for file in files]
    parts = [
        [
            (f"{file}, line {number}", line)
            for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
            if line.strip()
        ]
        for file, content in zip(files, contents, strict=True)
    ]
    parts = parts if path.is_dir() else split(parts[0])
    if not all(parts):
        raise UsageError(f"{path} has too few lines to train on some and to hold out others")
    digest = hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in contents)).hexdigest()
    return dict(zip(("train", "val"), parts, strict=True)), digest


def template_for(model, tokenizer):
    """Return how a model gets its turns: by its special tokens; without any, as in a play."""
    try:
        return template_of(model, tokenizer)
    except ValueError:
        return PLAY


def examples_of(lines, tokenizer, template, block_size):
    """Return the Examples of (place, line) pairs; UsageError names the line that cannot be used."""
    examples = []
    for place, line in lines:
        try:
            found = parsed(json.loads(line), tokenizer, template)
            if too_long := [n for n in map(len, found) if n > block_size]:
                raise ValueError(f"{too_long[0]} tokens are more than block_size={block_size}")
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON; a letter that is new
            raise UsageError(f"{place}: {error}") from None
        examples += found
    return examples


def parsed(content, tokenizer, template):
    """Return the Examples of one line's JSON; ValueError if it has another form."""
    match content:
        case {"messages": [*messages]} if len(messages) > 1:
            chat = []
            for message in messages:
                match message:
                    case {"role": str(role), "content": str(text)}:
                        chat.append((role, text))
                    case _:
                        raise ValueError(FORMS)
            if not any(role == "assistant" for role, _ in chat[1:]):
                raise ValueError("nobody answers: no message has the role assistant")
            return turns(tokenizer, chat, template)
        case {"prompt": str(prompt), "completion": str(completion)}:
            return [Example(tokenizer.encode(prompt), tokenizer.encode(completion))]
        case _:
            raise ValueError(FORMS)
