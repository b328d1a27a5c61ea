"""`numpygpt train`: train a model, or go on training one. Written by hand."""

import argparse
import contextlib
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import load_checkpoint
from numpygpt.cli import engines, models, optimizers
from numpygpt.cli.datagen import DEFAULT_DATA, DEFAULT_TEXT, write_data
from numpygpt.cli.errors import UsageError
from numpygpt.cli.folders import check_lengths, open_data
from numpygpt.cli.options import add_model_fields, add_train_fields, configure, positive
from numpygpt.cli.ranks import Alone, on_every_rank, refuse_to_be_many
from numpygpt.cli.runs import (
    DEFAULT_OUT,
    check_finite,
    check_there,
    checkpoint_path,
    claim,
    read_checkpoint,
    save_run,
)
from numpygpt.cli.sample import default_prompt, write_samples
from numpygpt.cli.steps import check_same_data, resume, run_steps
from numpygpt.distributed import DistributedTrainer
from numpygpt.training import Trainer

ABOUT = "Train a GPT, or a Llama."


def add_options(parser):
    add = parser.add_argument
    add(
        "--data_dir",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help=f"from datagen; {DEFAULT_DATA}",
    )
    add("--out_dir", type=Path, default=DEFAULT_OUT, metavar="DIR", help="of the run; %(default)s")
    add("--resume", action="store_true", help="continue the run in out_dir")
    engines.add_options(add)
    optimizers.add_options(add)
    add("--keep", type=positive, default=1, metavar="N", help="checkpoints to keep; %(default)s")
    add(
        "--distributed",
        action="store_true",
        help="share each batch: mpiexec -n 4 numpygpt train --distributed",
    )
    add_model_fields(parser)
    add_train_fields(parser)


def run(args):
    if args.distributed:
        return on_every_rank(lambda world: train(args, world), checkpoint_path(args.out_dir))
    refuse_to_be_many()
    return train(args, Alone())


def train(args, world):
    with contextlib.ExitStack() as locks:
        return train_locked(args, world, locks)


def train_locked(args, world, locks):
    """Train; `locks` keeps the lock on the run's folder, as soon as there is one, to the end."""
    speaks = world.rank == 0  # one rank prints and writes for all
    path = checkpoint_path(args.out_dir)
    arrays, meta = {}, {}
    if args.resume:
        check_there(path)
        if speaks:  # before it is read: whoever writes there now may end in between
            locks.enter_context(claim(args.out_dir, fresh=False))
        arrays, meta = read_checkpoint(args.out_dir, load_checkpoint)
        check_finite(path, arrays)
        if "base" in meta:
            raise UsageError(f"{path} was fine-tuned: numpygpt finetune --resume goes on with it")
    data_dir = getattr(args, "data_dir", Path(meta.get("data_dir", DEFAULT_DATA)))
    # The tokenizer is written last: without it, preparing the data was interrupted.
    if speaks and data_dir == DEFAULT_DATA and not (data_dir / "tokenizer.json").exists():
        write_data(DEFAULT_TEXT, DEFAULT_DATA, "char")
    world.gather("the data are there")
    tokenizer, train_tokens, val_tokens, digest = open_data(data_dir)
    about_optimizer = optimizers.about(args, meta)
    defaults = optimizers.train_defaults(about_optimizer)
    model_config, train_config = configure(args, meta, tokenizer.vocab_size, defaults)
    check_lengths(data_dir, (train_tokens, val_tokens), model_config.block_size)
    model = models.build(model_config, rng=np.random.default_rng([train_config.seed, 0]))
    engine, about_engine = engines.choose(args, meta, model)
    optimizer = optimizers.choose(about_optimizer, model, train_config, engine)
    data = train_tokens, val_tokens, train_config
    if args.distributed:
        trainer = DistributedTrainer(model, *data, world, engine, optimizer)
    else:
        trainer = Trainer(model, *data, engine, optimizer)
    if args.resume:
        check_same_data(data_dir, tokenizer, digest, meta)
        resume(trainer, path, arrays, meta)
        if trainer.step_count >= train_config.max_iters:
            if speaks:
                done = f"{path} has done its {trainer.step_count} steps"
                print(f"{done}; a larger --max_iters goes on")
            return 0
    elif speaks:
        locks.enter_context(claim(args.out_dir, fresh=True))

    def save():
        arrays, meta = trainer.state()
        if speaks:
            meta |= {"tokenizer": tokenizer.to_json(), "data_dir": str(data_dir), "data": digest}
            meta |= {"engine": about_engine, "optimizer": about_optimizer}
            save_run(path, arrays, meta, args.keep)

    if speaks:
        sequences = train_config.batch_size * train_config.accumulate
        ranks = f", shared by {world.size} ranks" if args.distributed else ""
        print(
            f"{model.num_params():,} parameters, {len(train_tokens):,} training tokens, "
            f"{train_config.max_iters} steps of {sequences} x {model_config.block_size} tokens"
            f"{ranks}",
            flush=True,
        )
    save()
    if run_steps(trainer, args.out_dir / "metrics.jsonl", save, world):
        if speaks:
            print(
                f"stopped after step {trainer.step_count}; "
                f"numpygpt train --out_dir {args.out_dir} --resume goes on"
            )
        return 130
    if not speaks:
        return 0
    rng, prompt = np.random.default_rng(train_config.seed), default_prompt(tokenizer)
    print(f"\nSamples of the trained model, {path}; numpygpt sample prints more:")
    write_samples(model, tokenizer, prompt, 2, 300, rng=rng, temperature=0.8)
