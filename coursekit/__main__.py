"""python -m coursekit build: see `python -m coursekit build --help`."""

import argparse
import sys
from functools import partial
from pathlib import Path

from coursekit.files import BookError


def main(arguments=None):
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="coursekit", description="What makes the book.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make the notebooks and the package from book/")
    build.add_argument("names", nargs="*", help="chapters, such as 03 or 03_linear (default: all)")
    build.add_argument("--check", action="store_true", help="write nothing; say what is stale")
    build.add_argument("--force", action="store_true", help="execute every notebook again")
    build.add_argument("--jobs", type=int, help="notebooks to run at once (default: the cores)")
    build.add_argument("--root", type=Path, help="the folder that holds book/")
    options = parser.parse_args(arguments)
    if options.jobs is not None and options.jobs < 1:
        parser.error("--jobs must be 1 or more")

    from coursekit.build import build

    here = Path.cwd() if Path("book").is_dir() else Path(__file__).parents[1]
    try:
        return build(
            options.root or here,
            options.names,
            check=options.check,
            force=options.force,
            jobs=options.jobs,
            say=partial(print, flush=True),
        )
    except BookError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
