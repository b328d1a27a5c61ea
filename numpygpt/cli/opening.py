"""The model that a command shall use: of a run, or of published files. Written by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import digest_of, load_checkpoint, load_model, part
from numpygpt.cli import models
from numpygpt.cli.errors import UsageError
from numpygpt.cli.runs import check_finite, checkpoint_path, read_checkpoint
from numpygpt.llama import Llama
from numpygpt.nn.lora import Adapter
from numpygpt.pretrained import load_pretrained


def load_any(out_dir, pretrained):
    """Return (model, tokenizer, meta): of a run's folder, or of published files, which have {}."""
    if out_dir and pretrained:
        raise UsageError("--out_dir and --pretrained name two models: give one of them")
    if pretrained:
        model, tokenizer = load_pretrained(pretrained)
        check_finite(pretrained, model.params())
        return model, tokenizer, {}
    return load_run(out_dir)


def load_run(out_dir):
    """Return (model, tokenizer, meta) of a run's folder; an adapter is merged into its model."""
    model, tokenizer, meta = read_checkpoint(out_dir, lambda path: load_model(path, build=built))
    check_finite(checkpoint_path(out_dir), model.params())
    return model.merge() if isinstance(model, Adapter) else model, tokenizer, meta


def built(meta, *, rng, dtype=np.float32):
    """Return the model of a checkpoint's meta; an adapter on the model that it was trained on."""
    if "lora" not in meta:
        return models.build(models.config_of(meta), rng=rng, dtype=dtype)
    base = Path(meta["base"]["path"])
    if digest_of_run(base) != meta["base"]["sha256"]:
        raise UsageError(f"the model in {base} is not the one that the adapter was trained on")
    return Adapter(load_run(base)[0], meta["lora"]["rank"], meta["lora"]["alpha"], rng=rng)


def digest_of_run(out_dir):
    """Return the SHA-256 of the weights in a run's folder."""
    return digest_of(part(read_checkpoint(out_dir, load_checkpoint)[0], "model."))


def shorten(model, n_tokens):
    """Let a Llama's cache hold no more than n_tokens. A GPT's window is as long as its wpe."""
    if isinstance(model, Llama) and n_tokens < model.config.block_size:
        model.config = replace(model.config, block_size=n_tokens)
