"""`numpygpt export`: a trained model as files that transformers reads. Written by hand."""

from pathlib import Path

from numpygpt.cli.errors import writing
from numpygpt.cli.opening import load_run
from numpygpt.cli.runs import DEFAULT_OUT
from numpygpt.pretrained import save_pretrained

ABOUT = "Write a GPT as GPT-2's files or a Llama as Llama's, which transformers reads."


def add_options(parser):
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder to make")
    parser.add_argument(
        "--out_dir", type=Path, metavar="DIR", default=DEFAULT_OUT, help="of the run; %(default)s"
    )


def run(args):
    model, tokenizer, _ = load_run(args.out_dir)
    with writing(args.folder):
        save_pretrained(model, tokenizer, args.folder)
    names = ", ".join(sorted(path.name for path in args.folder.iterdir()))
    print(f"{args.folder}: {model.num_params():,} parameters in {names}")
