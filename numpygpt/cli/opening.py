"""The model that a command shall use: of a run, or of published files. Written by hand."""

import sys
from dataclasses import replace
from pathlib import Path

from numpygpt.cli import models
from numpygpt.cli.errors import UsageError
from numpygpt.cli.runs import DEFAULT_OUT, check_finite, checkpoint_path, read_checkpoint
from numpygpt.llama import Llama
from numpygpt.pretrained import load_pretrained

BUNDLED = Path("data/checkpoints/shakespeare_char")


def load_any(out_dir, pretrained):
    """Return (model, tokenizer) of a run's folder, or else of a folder with published files."""
    if out_dir and pretrained:
        raise UsageError("--out_dir and --pretrained name two models: give one of them")
    if pretrained:
        path, (model, tokenizer) = pretrained, load_pretrained(pretrained)
    else:
        path, (model, tokenizer, _) = (
            checkpoint_path(out_dir),
            read_checkpoint(out_dir, models.load),
        )
    check_finite(path, model.params())
    return model, tokenizer


def load_or_ours(out_dir, pretrained):
    """Return (folder of the run or None, model, tokenizer), as load_any.

    Who names neither gets the last run, or, before the first training, the model that we ship.
    """
    ours = not (out_dir or pretrained or DEFAULT_OUT.exists()) and BUNDLED.exists()
    folder = BUNDLED if ours else out_dir or (None if pretrained else DEFAULT_OUT)
    model, tokenizer = load_any(folder, pretrained)
    if ours:
        print(f"{DEFAULT_OUT} holds no model yet: this is {BUNDLED}", file=sys.stderr)
    return folder, model, tokenizer


def shorten(model, n_tokens):
    """Let a Llama's cache hold no more than n_tokens. A GPT's window is as long as its wpe."""
    if isinstance(model, Llama) and n_tokens < model.config.block_size:
        model.config = replace(model.config, block_size=n_tokens)
