"""The steps of `numpygpt train`: where a run goes on, and how it is stopped. Written by hand."""

import signal

from numpygpt.checkpoint import CheckpointError
from numpygpt.cli.errors import UsageError
from numpygpt.cli.progress import Progress
from numpygpt.cli.ranks import Silent
from numpygpt.cli.runs import cannot_write, checkpoint_path, keep_bad_lines
from numpygpt.metrics import MetricsLog

# Ctrl-C, a request to end, a terminal that was closed: not every system has each of them.
ENDINGS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]


def check_same_data(data_dir, tokenizer, digest, meta):
    """Raise UsageError unless the data are those that the checkpoint was trained on."""
    if meta.get("tokenizer") != tokenizer.to_json():
        raise UsageError(f"{data_dir} has another vocabulary than the checkpoint was trained on")
    # Checkpoints of earlier versions have no digest of their data.
    if meta.get("data", digest) != digest:
        raise UsageError(
            f"{data_dir} holds another text than the checkpoint was trained on: name the one that "
            "it was with --data_dir, or start a run of its own with --out_dir"
        )


def resume(trainer, path, arrays, meta):
    try:
        trainer.load_state(arrays, meta)
        if not 0 <= trainer.optimizer.t <= trainer.step_count:
            raise CheckpointError(f"its optimizer has done {trainer.optimizer.t} steps")
    except CheckpointError as error:
        raise UsageError(f"{path}: {error}") from None


def run_steps(trainer, metrics_path, save, world):
    """Train to the end, logging and saving; return True if Ctrl-C or a termination stopped it."""
    stop = []
    if world.rank:
        log = progress = Silent()
    else:
        keep_bad_lines(metrics_path)
        log = MetricsLog(metrics_path, trainer.step_count)
        progress = Progress(trainer.step_count, trainer.config.max_iters)

    def finish_the_step(number, _):
        # Between two steps all is whole, in the middle of one it is not. Who asks twice cannot
        # wait: the checkpoint of the last evaluation stays as it is.
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.append(True)

    # `nohup` lets a run go on when its terminal is closed: it ignores `SIGHUP`, and so do we.
    endings = [s for s in ENDINGS if s.name != "SIGHUP" or signal.getsignal(s) != signal.SIG_IGN]
    handlers = {s: signal.signal(s, finish_the_step) for s in endings}
    try:
        for record in trainer.run():
            try:
                log.write(record)
            except OSError as error:
                checkpoint = checkpoint_path(metrics_path.parent)
                raise cannot_write(metrics_path, error, checkpoint) from None
            # The signal may reach one rank in this step, and another one in the next.
            stopped = any(world.gather(bool(stop)))
            if "val_loss" in record or stopped:
                save()
            try:
                progress.show(record)
            except OSError:  # a terminal that was closed, a reader who has left: save, and end
                stop.append(True)
            if stopped:
                return trainer.step_count < trainer.config.max_iters
    finally:
        progress.close()
        log.close()
        for s, handler in handlers.items():
            signal.signal(s, handler)
    return False
