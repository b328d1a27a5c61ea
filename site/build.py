"""Build the site: `python site/build.py` writes out/site, from what is committed, offline.

It runs no notebook. `python site/assets.py` must have fetched what others made.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from assets import package
from offline import write_service_worker
from prepare import prepare
from slim import slim

from coursekit.files import BookError

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "site"  # pages for Sphinx, and what it remembers
OUT = ROOT / "out" / "site"
LETTERS = "output/chtml/fonts/woff-v2"  # of MathJax, whose drawings name them


def copy_letters():
    """Equations are drawn by slim.py; these are the letters that they are drawn with."""
    target = OUT / "_static" / "mathjax"
    target.mkdir(parents=True)
    for path in sorted((package("mathjax") / "es5" / LETTERS).glob("*.woff")):
        shutil.copy(path, target)


def archive():
    """The whole book as a reader downloads it: what is committed, nothing else."""
    target = OUT / "numpygpt.zip"
    git = ["git", "archive", "--format=zip", "--prefix=numpygpt/", f"--output={target}", "HEAD"]
    run = subprocess.run(git, cwd=ROOT, capture_output=True, encoding="utf-8")
    if run.returncode:
        raise OSError(
            f"the archive for readers needs a clone of the repository: {run.stderr.strip()}"
        )


def sphinx(pages):
    from sphinx.cmd.build import main

    # A warning is a broken link or a page that nobody finds: the build fails.
    arguments = ["-q", "-W", "--keep-going", "-j", "2", "-b", "html", "-c", str(ROOT / "site")]
    return main([*arguments, "-d", str(WORK / "doctrees"), str(pages), str(OUT)])


def copy_the_rest(files):
    """What lies beside the pages: figures, notebooks, equations, the runner, the archive, sw.js."""
    shutil.copytree(files, OUT, dirs_exist_ok=True)
    copy_letters()
    live = [sys.executable, str(ROOT / "site" / "live" / "build.py"), str(OUT / "live")]
    if subprocess.run(live).returncode:
        raise OSError("the pages cannot run without what site/live/build.py makes")
    shutil.copy(ROOT / "LICENSE", OUT / "LICENSE.txt")
    (OUT / ".nojekyll").touch()  # or a code host leaves out the folders that begin with _
    archive()
    slim(OUT)
    write_service_worker(OUT)


def main():
    start = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    try:
        package("mathjax")
        files = prepare(ROOT, WORK / "pages")
        if status := sphinx(WORK / "pages"):
            sys.exit(status)
        copy_the_rest(files)
    except (BookError, OSError, ValueError) as error:
        sys.exit(f"site: {error}")
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    pages = len(list(OUT.rglob("*.html")))
    seconds = time.monotonic() - start
    print(f"{OUT.relative_to(ROOT)}: {pages} pages, {size / 1e6:.1f} MB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
