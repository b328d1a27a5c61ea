"""What others made and the site serves itself, or is tested with: fetched once, kept outside git.

`python site/assets.py` brings it into build/web; `make site` then needs no network. npm fetches
what package.json names, and holds each file to the checksum in package-lock.json; pip does the same
with wheels.txt. With --tests the packages come, too, that only look at the finished site.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from coursekit.files import BookError, read, write

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / "build" / "web"
PINS = ("package.json", "package-lock.json", "wheels.txt")


def package(name):
    """The folder of a package of npm; BookError where it was never fetched."""
    folder = HOME / "node_modules" / name
    if not folder.is_dir():
        raise BookError(f"{name} is not here: run `python site/assets.py` once, with a network")
    return folder


def wheels():
    """The fetched wheels, as paths."""
    return sorted((HOME / "wheels").glob("*.whl"))


def stamp(tests):
    """What build/web/stamp holds when all is there: the pins, and how much of it was fetched."""
    pins = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in PINS)).hexdigest()
    return f"{pins} {'with what tests need' if tests else 'for the pages'}"


def fetch(tests=False):
    """Bring everything into build/web, unless it is there in these versions."""
    if read(HOME / "stamp") in {stamp(tests), stamp(tests=True)}:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BookError("npm is missing; on Debian and Ubuntu: sudo apt install npm")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    for name in PINS:
        shutil.copy(HERE / name, HOME)
    omit = [] if tests else ["--omit=dev"]
    started([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *omit])
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    started([*pip, "--disable-pip-version-check", "-d", "wheels", "-r", "wheels.txt"])
    write(HOME / "stamp", stamp(tests))


def started(command):
    done = subprocess.run(command, cwd=HOME, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        # npm names a code, then the reason, then where its log lies; pip says its reason last.
        reasons = [line for line in lines if "error" in line.lower() and "error code" not in line]
        name = Path(command[0]).name
        raise BookError(f"{name} could not fetch what the site needs: {(reasons or lines)[0]}")


def main():
    try:
        fetch(tests="--tests" in sys.argv[1:])
    except BookError as error:
        sys.exit(f"assets: {error}")


if __name__ == "__main__":
    main()
