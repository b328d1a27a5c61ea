"""`numpygpt finetune`: a trained model learns to answer, by examples. Written by hand."""

import contextlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from numpygpt.checkpoint import load_checkpoint
from numpygpt.cli.chats import examples_of, read_lines, template_for
from numpygpt.cli.errors import UsageError
from numpygpt.cli.opening import digest_of_run, load_run
from numpygpt.cli.options import add_train_fields, configure_training, positive
from numpygpt.cli.ranks import Alone, refuse_to_be_many
from numpygpt.cli.runs import (
    DEFAULT_OUT,
    check_finite,
    check_there,
    checkpoint_path,
    claim,
    read_checkpoint,
    save_run,
)
from numpygpt.cli.sample import BUNDLED
from numpygpt.cli.sizes import check_memory
from numpygpt.cli.steps import resume, run_steps
from numpygpt.evaluate import answers_right
from numpygpt.nn.lora import Adapter
from numpygpt.posttraining.examples import packed, padded
from numpygpt.posttraining.finetune import Finetuner

ABOUT = "Teach a trained model to answer: all of its weights, or a small adapter beside them."
DEFAULT_TARGET = Path("out/finetuned")
DEFAULT_DIALOGUES = Path("data/dialogues")
DEFAULTS = {"batch_size": 16, "max_iters": 3000, "lr": 1e-3, "weight_decay": 0.0, "eval_iters": 10}
LORA_LR = 6e-3  # by default: A and B start small
ASKED = 200  # held-out examples that are answered before and after


def add_options(parser):
    add = parser.add_argument
    add("--base", type=Path, metavar="DIR", help=f"of the run; {DEFAULT_OUT}, else {BUNDLED}")
    add(
        "--data",
        type=Path,
        metavar="PATH",
        help=f"JSON lines, or a folder with train.jsonl and val.jsonl; {DEFAULT_DIALOGUES}",
    )
    add(
        "--out_dir",
        type=Path,
        default=DEFAULT_TARGET,
        metavar="DIR",
        help="of the new run; %(default)s",
    )
    add("--resume", action="store_true", help="continue the run in out_dir")
    add(
        "--lora_rank",
        type=positive,
        metavar="N",
        help="train an adapter of this rank, with --lr 0.006; none",
    )
    add("--lora_alpha", type=float, metavar="X", help="its scale is alpha / rank; 16")
    add("--pack", action="store_true", help="as many examples in a row as fit, not one")
    add("--keep", type=positive, default=1, metavar="N", help="checkpoints to keep; %(default)s")
    add_train_fields(parser, DEFAULTS)


def run(args):
    refuse_to_be_many()
    with contextlib.ExitStack() as locks:
        return finetune(args, locks)


def finetune(args, locks):
    """Train; `locks` keeps the lock on the run's folder, as soon as there is one, to the end."""
    path = checkpoint_path(args.out_dir)
    arrays, meta = {}, {}
    if args.resume:
        check_there(path)
        locks.enter_context(claim(args.out_dir, fresh=False))
        arrays, meta = read_checkpoint(args.out_dir, load_checkpoint)
        check_finite(path, arrays)
        if "base" not in meta:
            raise UsageError(f"{path} was not fine-tuned: numpygpt train --resume goes on with it")
    about = settings(args, meta)
    base = Path(about["base"]["path"])
    model, tokenizer, _ = load_run(base)
    defaults = DEFAULTS | ({"lr": LORA_LR} if "lora" in about else {})
    config = configure_training(args, meta, defaults)
    check_memory(model.config, config)
    template = template_for(model, tokenizer)
    data = Path(about["data_dir"])
    lines, digest = read_lines(data)
    if meta.get("data", digest) != digest:
        raise UsageError(f"{data} holds other examples than the run was trained on")
    examples = {
        name: examples_of(part, tokenizer, template, model.config.block_size)
        for name, part in lines.items()
    }
    as_rows = packed if about["packed"] else padded
    rows = [as_rows(examples[name], model.config.block_size) for name in ("train", "val")]
    trained = model
    if lora := about.get("lora"):
        rng = np.random.default_rng([config.seed, 0])
        try:
            trained = Adapter(model, lora["rank"], lora["alpha"], rng=rng)
        except ValueError as error:
            raise UsageError(f"--lora_rank: {error}") from None
    trainer = Finetuner(trained, *rows, config)
    if args.resume:
        resume(trainer, path, arrays, meta)
        if trainer.step_count >= config.max_iters:
            done = f"{path} has done its {trainer.step_count} steps"
            print(f"{done}; a larger --max_iters goes on")
            return 0
    else:
        locks.enter_context(claim(args.out_dir, fresh=True))
    about |= {"tokenizer": tokenizer.to_json(), "data": digest, "template": asdict(template)}
    about["kind"] = type(model).__name__  # not that of the adapter

    def save():
        arrays, meta = trainer.state()
        save_run(path, arrays, {**meta, **about}, args.keep)

    print(
        f"{trained.num_params():,} of {model_size(trained, model):,} parameters to train, "
        f"{len(examples['train']):,} examples, {len(rows[0][0]):,} rows, "
        f"{config.max_iters} steps of {config.batch_size * config.accumulate} rows",
        flush=True,
    )
    asked = examples["val"][:ASKED]
    tell(model, asked, "before")
    save()
    if run_steps(trainer, args.out_dir / "metrics.jsonl", save, Alone()):
        print(
            f"stopped after step {trainer.step_count}; "
            f"numpygpt finetune --out_dir {args.out_dir} --resume goes on"
        )
        return 130
    tell(model, asked, "now")
    print(f"numpygpt chat --out_dir {args.out_dir} asks it more")


def settings(args, meta):
    """Return what a checkpoint keeps besides the run: its base, its data, its adapter."""
    kept = {name: meta[name] for name in ("base", "data_dir", "packed", "lora") if name in meta}
    if meta:
        for option, given, was in (
            ("--base", args.base, Path(meta["base"]["path"])),
            ("--lora_rank", args.lora_rank, meta.get("lora", {}).get("rank")),
            ("--lora_alpha", args.lora_alpha, meta.get("lora", {}).get("alpha")),
        ):
            if given is not None and given != was:
                raise UsageError(f"{option} {given} does not fit the checkpoint: {was}")
        if digest_of_run(Path(meta["base"]["path"])) != meta["base"]["sha256"]:
            raise UsageError(f"the model in {meta['base']['path']} is not the one it began with")
        if args.data:
            kept["data_dir"] = str(args.data)
        return {"packed": False, "data_dir": str(DEFAULT_DIALOGUES)} | kept
    base = args.base or (DEFAULT_OUT if DEFAULT_OUT.exists() or not BUNDLED.exists() else BUNDLED)
    if base.exists() and args.out_dir.exists() and base.samefile(args.out_dir):
        raise UsageError(f"--base and --out_dir are both {base}: name another folder to write in")
    kept["base"] = {"path": str(base), "sha256": digest_of_run(base)}
    kept["data_dir"], kept["packed"] = str(args.data or DEFAULT_DIALOGUES), args.pack
    if args.lora_rank:
        alpha = 16.0 if args.lora_alpha is None else args.lora_alpha
        if not np.isfinite(alpha):
            raise UsageError(f"--lora_alpha {alpha} must be a finite number")
        kept["lora"] = {"rank": args.lora_rank, "alpha": alpha}
    elif args.lora_alpha is not None:
        raise UsageError("--lora_alpha needs --lora_rank")
    return kept


def model_size(trained, model):
    """Return the number of parameters of the model, with those that an adapter has frozen."""
    if trained is model:
        return model.num_params()
    n = trained.take_off().num_params()
    trained.put_on()
    return n


def tell(model, examples, when):
    """Say how many of the examples the model answers right."""
    pairs = [(example.prompt, example.answer) for example in examples]
    try:
        count = sum(int(right.sum()) for right in answers_right(model, pairs))
    except ValueError as error:  # weights that are lost
        raise UsageError(str(error)) from None
    print(f"held-out answers right {when}: {count} of {len(examples)}", flush=True)
