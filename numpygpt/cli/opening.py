"""The model that a command shall use: of a run, or of published files. Written by hand."""

from dataclasses import replace

from numpygpt.cli import models
from numpygpt.cli.errors import UsageError
from numpygpt.cli.runs import check_finite, checkpoint_path, read_checkpoint
from numpygpt.llama import Llama
from numpygpt.pretrained import load_pretrained


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


def shorten(model, n_tokens):
    """Let a Llama's cache hold no more than n_tokens. A GPT's window is as long as its wpe."""
    if isinstance(model, Llama) and n_tokens < model.config.block_size:
        model.config = replace(model.config, block_size=n_tokens)
