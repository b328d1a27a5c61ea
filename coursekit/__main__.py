"""python -m coursekit COMMAND: build, check, status, reset, review, adopt, grade, and so on."""

import signal
import sys

if __name__ == "__main__":  # until `main` there is nothing to tidy up: Ctrl-C just ends us
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from coursekit.files import BookError, failed

FORMS = ("canvas", "moodle", "gradescope", "brightspace", "github", "folders")


def main(arguments=None):
    """Run the command line; return its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as in `status >&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")  # a console lacks a sign: no matter
    try:
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        options = parsed(arguments)
        code = options.run(options)
        sys.stdout.flush()  # here, where an error is still ours to report, not at the exit
        return code
    except BrokenPipeError:  # whoever read our output has seen enough: `status | head`
        print_nothing_more()
        return 141  # 128 + SIGPIPE
    except BookError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full or read-only, a folder that is not ours
        if error.filename is None:  # our output's own
            print_nothing_more()
        print(failed(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130


def print_nothing_more():
    """Let what could not be printed go nowhere, or Python tries it again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def parsed(arguments):
    parser = Parser(prog="coursekit", description="What makes the book, and checks its exercises.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    build = command("build", run_build, "make the notebooks and the package from book/")
    build.add_argument("names", nargs="*", help="chapters, such as 03 or 03_linear (default: all)")
    build.add_argument("--check", action="store_true", help="write nothing; say what is stale")
    build.add_argument("--force", action="store_true", help="execute every notebook again")
    build.add_argument("--jobs", type=whole, help="notebooks to run at once (default: the cores)")
    build.add_argument("--root", type=Path, help="the folder that holds book/")

    check = command("check", run_check, "check the answers in exercises/")
    check.add_argument("sets", nargs="+", help="sets, such as 09 or 09_layernorm")

    command("status", run_status, "show every task: untouched, wrong or right, hints, minutes")

    reset = command("reset", run_reset, "make a set blank again; the old one is kept beside it")
    reset.add_argument("set", help="such as 09")

    review = command("review", run_review, "recall what you have read: a few questions a day")
    review.add_argument(
        "--upto",
        metavar="NN",
        help="the last chapter that you have read; kept (default: that of your exercises)",
    )
    review.add_argument(
        "--number", type=whole, default=10, help="questions a day, half of them new (default: 10)"
    )
    review.add_argument(
        "--anki", type=file, metavar="FILE", help="write all questions to an .apkg file for Anki"
    )

    adopt = command("adopt", run_adopt, "build the GPT with your own checked answers in it")
    adopt.add_argument(
        "numpygpt",
        nargs=argparse.REMAINDER,
        help="a numpygpt command to run with them, such as: train --max_iters 500",
    )

    grade = command("grade", run_grade, "grade a folder of submissions, in a sandbox")
    grade.add_argument("submissions", type=Path, help="a folder with a folder for each student")
    grade.add_argument("--assignment", required=True, help="the set, such as 09")
    grade.add_argument("--out", type=folder, required=True, help="where the marks and pages go")
    grade.add_argument(
        "--again",
        action="append",
        metavar="NAME",
        help='grade this student again, or "all"; may be given several times',
    )
    grade.add_argument(
        "--doctor",
        nargs=0,
        action=Doctor,
        help="say what this machine offers to keep students' code apart, and what to do",
    )
    grade.add_argument("-j", "--jobs", type=whole, help="students at once (default: the cores)")
    grade.add_argument("--seed", type=seed, help="of the hidden cases (default: drawn, and kept)")
    grade.add_argument(
        "--timeout", type=whole, default=60, help="seconds of work a student (default: 60)"
    )
    grade.add_argument("--memory", type=whole, default=2, help="GiB a student (default: 2)")
    grade.add_argument("--no-nbval", action="store_true", help="marks only, without nbval's report")
    grade.add_argument(
        "--no-sandbox",
        action="store_true",
        help="run students' code with your own rights: it can read and delete what you can",
    )

    classroom = command("classroom", run_classroom, "show what a graded class got wrong, as a page")
    classroom.add_argument("results", type=folder, help="what grade wrote; the pages go there, too")
    classroom.add_argument(
        "--submissions",
        type=folder,
        help="what grade read: for the examples, similar answers, hints and minutes",
    )

    collect = command("collect", run_collect, "sort what an LMS hands out into students' folders")
    collect.add_argument("download", type=Path, help="the zip, or the folder that it was")
    collect.add_argument("--out", type=folder, required=True, help="where the folders go")
    collect.add_argument("--lms", choices=FORMS, help="whose it is (default: told by the names)")
    collect.add_argument(
        "--prefix", help='of the names of repositories, such as "ch09-" (default: what all share)'
    )

    marks = command("marks", run_marks, "fill a gradebook with what grade found")
    marks.add_argument("results", type=Path, help="the folder that grade wrote")
    kinds = marks.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--canvas", type=Path, metavar="FILE", help="the exported gradebook")
    kinds.add_argument("--moodle", type=Path, metavar="FILE", help="the grading worksheet")
    kinds.add_argument("--csv", type=Path, metavar="FILE", help="any table with a row a student")
    marks.add_argument(
        "--submissions",
        type=Path,
        default=Path("submissions"),
        help="the folder that collect wrote (default: submissions)",
    )
    marks.add_argument("--column", help="of the gradebook, if it cannot be told by the set's name")
    marks.add_argument("--scale", action="store_true", help="to the points of the gradebook")
    marks.add_argument("--out", type=folder, help="the file to import (default: in the results)")

    handout = command("handout", run_handout, "write what students get: no answer is in it")
    handout.add_argument("sets", nargs="+", metavar="SET", help="such as 09")
    handout.add_argument("--out", type=folder, required=True, help="the folder to write")
    handout.add_argument("--zip", action="store_true", help="as OUT.zip")
    handout.add_argument("--github", action="store_true", help="with a workflow that checks")
    handout.add_argument(
        "--variant",
        action="append",
        metavar="KEY",
        help="draw other cases for this student or group; with several, OUT has a folder for each",
    )
    return parser.parse_args(arguments)


def whole(text):
    number = int(text)
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError("must be 1 or more, and a million at most")
    return number


def folder(text):
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a folder")
    return Path(text)


def file(text):
    if Path(text).suffix != ".apkg":
        raise argparse.ArgumentTypeError("Anki opens files that end in .apkg: name such a one")
    return Path(text)


def seed(text):
    number = int(text)
    if not 0 <= number < 1 << 63:
        raise argparse.ArgumentTypeError("must be 0 or more, and below 2**63")
    return number


class Doctor(argparse.Action):
    """Like --help: needs none of the other arguments."""

    def __call__(self, parser, *_):
        from coursekit.grading.doctor import doctor

        parser.exit(doctor())


def run_build(options):
    from coursekit.build import build

    here = Path.cwd() if Path("book").is_dir() else Path(__file__).parents[1]
    return build(
        options.root or here,
        options.names,
        check=options.check,
        force=options.force,
        jobs=options.jobs,
        say=partial(print, flush=True),
    )


def run_check(options):
    from coursekit.checking.check_notebook import check_sets

    return check_sets(options.sets)


def run_status(options):
    from coursekit.checking.check import status

    status()
    return 0


def run_reset(options):
    from coursekit.checking.check_notebook import reset

    return reset(options.set)


def run_review(options):
    if options.anki:
        from coursekit.memory.anki import export

        export(options.anki, options.upto)
    else:
        from coursekit.memory.ask import ask

        ask(options.upto, options.number)
    return 0


def run_adopt(options):
    from coursekit.checking.adopt import adopt

    os.environ.setdefault("MPLBACKEND", "agg")  # an answer may show figures: here, nowhere
    adopt()
    if not options.numpygpt:
        return 0
    print()
    from numpygpt.cli import main as numpygpt

    return numpygpt(options.numpygpt)


def run_grade(options):
    # `python -m` looks for modules in the folder it was started in first, and students name theirs.
    here, ours = Path.cwd(), Path(__file__).resolve().parents[1]
    if here != ours:
        sys.path[:] = [path for path in sys.path if path and Path(path).resolve() != here]
    from coursekit.grading.grade import grade

    return grade(options)


def run_classroom(options):
    from coursekit.classroom.class_page import classroom

    return classroom(options)


def run_collect(options):
    from coursekit.classroom.collect import collect

    return collect(options)


def run_marks(options):
    from coursekit.classroom.marks import marks

    return marks(options)


def run_handout(options):
    from coursekit.classroom.handout import handout

    return handout(options)


if __name__ == "__main__":
    sys.exit(main())
