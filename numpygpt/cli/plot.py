"""`numpygpt plot`: the curves of a run. Written by hand."""

from pathlib import Path

from numpygpt.cli.errors import UsageError, writing
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
    figure, (loss, norm, rate) = plt.subplots(
        3, 1, figsize=(8, 9), sharex=True, layout="constrained"
    )
    # A logarithmic axis needs a number to show.
    if any(can_be_drawn(r.get("grad_norm")) and r["grad_norm"] > 0 for r in records):
        norm.set_yscale("log")
    draw(loss, records, "train_loss", color="#0072B2", alpha=0.4, label="training batch")
    draw(loss, records, "val_loss", "o-", color="#D55E00", label="validation")
    loss.set_ylabel("loss (nats per token)")
    loss.legend()
    draw(norm, records, "grad_norm", color="#009E73")
    norm.set_ylabel("gradient norm before clipping")
    draw(rate, records, "lr", color="#CC79A7")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    for axes in (loss, norm, rate):
        axes.grid(alpha=0.3)
    target = args.out_dir / "training_curves.png"
    with writing(target):
        write_beside(target, lambda beside: figure.savefig(beside, format="png", dpi=120))
    plt.close(figure)
    print(target)


def draw(axes, records, name, *style, **look):
    """Draw what the records have under this name; what no axis could show is left out."""
    drawn = [r for r in records if can_be_drawn(r["step"]) and can_be_drawn(r.get(name))]
    axes.plot([r["step"] for r in drawn], [r[name] for r in drawn], *style, **look)


def can_be_drawn(value):
    return type(value) in (int, float) and abs(value) < 1e30  # nor is NaN
