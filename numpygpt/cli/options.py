"""The options of `numpygpt train`: one a field of its configurations. Written by hand."""

import argparse
from dataclasses import fields, replace

from numpygpt.checkpoint import CheckpointError
from numpygpt.cli.errors import UsageError
from numpygpt.cli.models import MODELS, config_of, kind_of
from numpygpt.cli.sizes import LARGEST, check_memory, largest
from numpygpt.training import TrainConfig

HELP = {
    "block_size": "longest context, in tokens",
    "n_layer": "transformer blocks",
    "n_head": "attention heads in a block",
    "n_embd": "width of the residual stream",
    "activation": "relu or gelu; of a llama, swiglu or relu2",
    "tie_weights": "one matrix reads tokens and writes them",
    "bias": "of a gpt: biases in linear layers and layer norms",
    "n_kv_head": "of a llama, as all that follow: heads of keys and values; n_head",
    "head_dim": "size of a head; n_embd / n_head",
    "hidden": "width of the feed-forward layers; 8/3 n_embd, or 4 n_embd with relu2",
    "qk_norm": "an RMSNorm for queries and keys",
    "zero_init_head": "a head that starts at 0; with --tie_weights false",
    "rope_base": "of the angles of positions",
    "rope_layout": "of the pairs that are turned: interleaved or halves",
    "norm_eps": "beside the mean square in an RMSNorm",
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


def add_fields(parser, fields, defaults):
    """One option for each field of a configuration; absent ones stay absent: --resume must tell."""
    for field in fields:
        if field.name in HELP:
            default = defaults.get(field.name, field.default)
            parser.add_argument(
                f"--{field.name}",
                type=boolean if field.type is bool else field.type,
                default=argparse.SUPPRESS,
                metavar={int: "N", float: "X", bool: "true|false"}.get(field.type, "NAME"),
                help=HELP[field.name] + ("" if default is None else f"; {default}"),
            )


def add_train_fields(parser, defaults=()):
    add_fields(parser, fields(TrainConfig), dict(defaults))


def add_model_fields(parser):
    """--model, and one option for each field that one of the models has."""
    parser.add_argument(
        "--model", choices=list(MODELS), default=argparse.SUPPRESS, help="which; gpt"
    )
    by_name = {f.name: f for _, config in reversed(MODELS.values()) for f in fields(config)}
    names = dict.fromkeys(f.name for _, config in MODELS.values() for f in fields(config))
    add_fields(parser, [by_name[name] for name in names], MODEL_DEFAULTS)


def given_fields(args, config):
    given = {f.name: getattr(args, f.name) for f in fields(config) if hasattr(args, f.name)}
    for name, value in given.items():
        if isinstance(value, int) and value > largest(name):
            raise UsageError(f"--{name} {value} must be at most {largest(name)}")
    return given


def model_fields(args, kind):
    """Return the fields that were given of the model; UsageError for one that it does not have."""
    given = given_fields(args, MODELS[kind][1])
    for other, (_, config) in MODELS.items():
        for name in given_fields(args, config):
            if name not in given:
                raise UsageError(f"--{name} needs --model {other}")
    return given


def configure(args, meta, vocab_size, train_defaults):
    """The configurations: the checkpoint's or the defaults, then what the user gave."""
    try:
        kind = kind_of(meta) if meta else getattr(args, "model", "gpt")
        if getattr(args, "model", kind) != kind:
            raise UsageError(f"--model {args.model} does not fit the checkpoint: {kind}")
        model = model_fields(args, kind)
        if meta:
            config = config_of(meta)
            for name, value in model.items():
                if value != getattr(config, name):
                    raise UsageError(
                        f"--{name} {value} does not fit the checkpoint: {getattr(config, name)}"
                    )
        else:
            config = MODELS[kind][1](vocab_size, **{**MODEL_DEFAULTS, **model})
    except (TypeError, KeyError) as error:
        raise unreadable(error) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    train = configure_training(args, meta, train_defaults)
    check_memory(config, train)
    return config, train


def configure_training(args, meta, defaults):
    """The settings: the checkpoint's or the defaults, then what the user gave."""
    try:
        given = given_fields(args, TrainConfig)
        return replace(TrainConfig(**(meta["train"] if meta else defaults)), **given)
    except (TypeError, KeyError) as error:
        raise unreadable(error) from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def unreadable(error):
    return CheckpointError(f"the checkpoint has a configuration that we cannot read: {error}")
