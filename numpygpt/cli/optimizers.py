"""What moves the weights of `numpygpt train`: --optimizer and its settings. Written by hand."""

import argparse
import math

from numpygpt.cli.errors import UsageError
from numpygpt.optim.muon import Muon

KINDS = ("adamw", "muon")
# Muon's rate is that of the matrices in the blocks. AdamW, which steps the rest, keeps its own.
MUON_DEFAULTS = {"momentum": 0.95, "adam_lr": 2e-3}
MUON_TRAIN_DEFAULTS = {"lr": 0.02}


def add_options(add):
    add(
        "--optimizer",
        choices=KINDS,
        default=argparse.SUPPRESS,
        help="muon: the matrices of the blocks by Muon, the rest by AdamW; adamw",
    )
    for name, help in (
        ("momentum", "of --optimizer muon: the part of the mean gradient that a step keeps"),
        ("adam_lr", "of --optimizer muon: highest learning rate of what AdamW steps"),
    ):
        add(
            f"--{name}",
            type=float,
            default=argparse.SUPPRESS,
            metavar="X",
            help=f"{help}; {MUON_DEFAULTS[name]}",
        )


def about(args, meta):
    """Return what a checkpoint keeps of the optimizer: of its run, else as the options say."""
    kept = meta.get("optimizer", {"kind": "adamw"}) if meta else {}
    kind = getattr(args, "optimizer", kept.get("kind", "adamw"))
    if kept and kind != kept["kind"]:
        raise UsageError(f"--optimizer {kind} does not fit the checkpoint: {kept['kind']}")
    given = {name: getattr(args, name) for name in MUON_DEFAULTS if hasattr(args, name)}
    if kind == "adamw":
        for name in given:
            raise UsageError(f"--{name} needs --optimizer muon")
        return {"kind": "adamw"}
    settings = {"kind": "muon", **MUON_DEFAULTS, **kept, **given}
    if not 0 <= settings["momentum"] < 1:
        raise UsageError(f"--momentum {settings['momentum']} must be at least 0 and less than 1")
    if not (math.isfinite(settings["adam_lr"]) and settings["adam_lr"] >= 0):
        raise UsageError(f"--adam_lr {settings['adam_lr']} must be a finite number, not negative")
    return settings


def train_defaults(about):
    """Return the defaults of the training's settings that the optimizer changes."""
    return MUON_TRAIN_DEFAULTS if about["kind"] == "muon" else {}


def choose(about, model, config, engine):
    """Return the optimizer for a Trainer; None for its own, AdamW."""
    if about["kind"] == "adamw":
        return None
    try:
        return Muon(
            model,
            config.lr,
            about["momentum"],
            config.weight_decay,
            adam_lr=about["adam_lr"],
            betas=(config.beta1, config.beta2),
            engine=engine,
        )
    except ValueError as error:
        raise UsageError(f"--optimizer muon: {error}") from None
