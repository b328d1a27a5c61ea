"""`numpygpt plot`: the curves of a run. Written by hand."""

from pathlib import Path

from numpygpt.cli.errors import UsageError
from numpygpt.cli.runs import DEFAULT_OUT
from numpygpt.data import write_beside
from numpygpt.metrics import read_metrics

ABOUT = "Draw loss, gradient norm and learning rate of a run."


def add_options(parser):
    parser.add_argument(
        "--out_dir", type=Path, default=DEFAULT_OUT, metavar="DIR", help="of the run; %(default)s"
    )


def run(args):
    try:
        import matplotlib
    except ImportError:
        raise UsageError("plot needs matplotlib: python -m pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    path = args.out_dir / "metrics.jsonl"
    try:
        records = read_metrics(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist: train first, or name the run with --out_dir"
        ) from None
    if not records:
        raise UsageError(f"{path} holds no steps yet")
    steps = [r["step"] for r in records]
    evaluated = [r for r in records if "val_loss" in r]
    figure, (loss, norm, rate) = plt.subplots(
        3, 1, figsize=(8, 9), sharex=True, layout="constrained"
    )
    loss.plot(
        steps,
        [r["train_loss"] for r in records],
        color="#0072B2",
        alpha=0.4,
        label="training batch",
    )
    loss.plot(
        [r["step"] for r in evaluated],
        [r["val_loss"] for r in evaluated],
        "o-",
        color="#D55E00",
        label="validation",
    )
    loss.set_ylabel("loss (nats per token)")
    loss.legend()
    norm.plot(steps, [r["grad_norm"] for r in records], color="#009E73")
    norm.set_ylabel("gradient norm before clipping")
    norm.set_yscale("log")
    rate.plot(steps, [r["lr"] for r in records], color="#CC79A7")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    for axes in (loss, norm, rate):
        axes.grid(alpha=0.3)
    target = args.out_dir / "training_curves.png"
    write_beside(target, lambda beside: figure.savefig(beside, format="png", dpi=120))
    print(target)
