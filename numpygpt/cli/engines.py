"""What computes the gradients of `numpygpt train`: --engine and --threads. Written by hand."""

import argparse
from functools import partial

from numpygpt.cli.errors import UsageError
from numpygpt.cli.options import positive
from numpygpt.cli.sizes import MAX_THREADS
from numpygpt.engine import ThreadedEngine
from numpygpt.training import LayersEngine


def add_options(add):
    add(
        "--engine",
        choices=("threads", "layers"),
        default=argparse.SUPPRESS,
        help="share each batch out over threads, or send it through the layers whole; threads",
    )
    add(
        "--threads",
        type=partial(positive, high=MAX_THREADS),
        default=argparse.SUPPRESS,
        metavar="N",
        help="of --engine threads; one for each core, or one for each rank",
    )


def choose(args, meta, model):
    """Return (engine, what to keep of it): of the options, else as the checkpoint's run had it."""
    about = meta.get("engine", {"kind": "threads"})
    if hasattr(args, "engine"):
        about = {"kind": args.engine}
    if hasattr(args, "threads"):
        about = about | {"threads": args.threads}
    if about["kind"] == "layers":
        if hasattr(args, "threads"):
            raise UsageError("--threads needs --engine threads")
        return LayersEngine(model), about
    # Ranks share the cores among themselves.
    engine = ThreadedEngine(model, about.get("threads", 1 if args.distributed else None))
    # A resumed run repeats the numbers of a whole one only with as many threads.
    return engine, {"kind": "threads", "threads": engine.threads}
