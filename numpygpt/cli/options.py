"""The options of `numpygpt train`: one a field of its configurations. Written by hand."""

import argparse
from dataclasses import fields, replace

from numpygpt.checkpoint import CheckpointError
from numpygpt.cli.errors import UsageError
from numpygpt.cli.sizes import LARGEST, check_memory, largest
from numpygpt.gpt import GPTConfig
from numpygpt.training import TrainConfig

HELP = {
    "block_size": "longest context, in tokens",
    "n_layer": "transformer blocks",
    "n_head": "attention heads in a block",
    "n_embd": "width of the residual stream",
    "activation": "relu or gelu",
    "tie_weights": "one matrix reads tokens and writes them",
    "bias": "biases in linear layers and layer norms",
    "batch_size": "sequences in a batch",
    "max_iters": "optimizer steps",
    "lr": "highest learning rate (of Muon: 0.02)",
    "min_lr": "learning rate at the end",
    "warmup_iters": "steps until the highest learning rate",
    "beta1": "AdamW's decay of the mean gradient",
    "beta2": "AdamW's decay of the mean squared gradient",
    "weight_decay": "the pull of matrices towards 0",
    "grad_clip": "largest gradient norm, 0 for none",
    "accumulate": "batches averaged for one step",
    "eval_interval": "steps between evaluations and checkpoints",
    "eval_iters": "batches of one evaluation",
    "seed": "of weights and batches",
}
MODEL_DEFAULTS = {"block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}


def boolean(text):
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def positive(text, high=LARGEST):
    if not text.isdecimal() or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    if len(text) > 18 or int(text) > high:
        raise argparse.ArgumentTypeError(f"{text} is more than {high:,}")
    return int(text)


def add_fields(parser, config, defaults):
    """One option for each field of a configuration; absent ones stay absent: --resume must tell."""
    for field in fields(config):
        if field.name in HELP:
            default = defaults.get(field.name, field.default)
            parser.add_argument(
                f"--{field.name}",
                type=boolean if field.type is bool else field.type,
                default=argparse.SUPPRESS,
                metavar={int: "N", float: "X", bool: "true|false"}.get(field.type, "NAME"),
                help=f"{HELP[field.name]}; {default}",
            )


def given_fields(args, config):
    given = {f.name: getattr(args, f.name) for f in fields(config) if hasattr(args, f.name)}
    for name, value in given.items():
        if isinstance(value, int) and value > largest(name):
            raise UsageError(f"--{name} {value} must be at most {largest(name)}")
    return given


def configure(args, meta, vocab_size, train_defaults):
    """The configurations: the checkpoint's or the defaults, then what the user gave."""
    try:
        model = given_fields(args, GPTConfig)
        if meta:
            config = GPTConfig(**meta["model"])
            for name, value in model.items():
                if value != getattr(config, name):
                    raise UsageError(
                        f"--{name} {value} does not fit the checkpoint: {getattr(config, name)}"
                    )
            train = replace(TrainConfig(**meta["train"]), **given_fields(args, TrainConfig))
        else:
            config = GPTConfig(vocab_size, **{**MODEL_DEFAULTS, **model})
            train = TrainConfig(**{**train_defaults, **given_fields(args, TrainConfig)})
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            f"the checkpoint has a configuration that we cannot read: {error}"
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    check_memory(config, train)
    return config, train
