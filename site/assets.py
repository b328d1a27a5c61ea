"""Packages of the web that the site serves itself: fetched once, checked, kept outside git.

`python site/assets.py` fetches what is missing into .venv/site-assets, by npm; `make site` then
needs no network. A package is a line of PACKAGES; its files come from the archive that npm packs,
whose SHA-256 must be the one that stands there.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / ".venv" / "site-assets"
PACKAGES = {
    # Equations. The last 3: 4 fetches its fonts from elsewhere unless they are bundled by hand.
    "mathjax@3.2.2": "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
    # Finds what a screen reader or a keyboard cannot use: `make test-site` asks it.
    "axe-core@4.14.1": "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
}


class AssetError(Exception):
    """A package that is not here, or is not what it should be; the message is one line."""


def folder_of(package):
    """Where the files of `name@version` lie."""
    return HOME / package.replace("/", "+")


def asset(name):
    """The folder of a package, by its name alone; AssetError where it was never fetched."""
    [package] = [package for package in PACKAGES if package.rpartition("@")[0] == name]
    if not folder_of(package).is_dir():
        raise AssetError(f"{package} is not here: run `python site/assets.py` once, with a network")
    return folder_of(package)


def fetch(package, digest):
    """Fetch a package's archive through npm, compare its SHA-256, and unpack it."""
    npm = shutil.which("npm")
    if npm is None:
        raise AssetError("npm is missing; on Debian and Ubuntu: sudo apt install npm")
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        run = subprocess.run(
            [npm, "pack", "--silent", package], cwd=folder, capture_output=True, encoding="utf-8"
        )
        archives = list(Path(folder).glob("*.tgz"))
        if run.returncode or len(archives) != 1:
            reason = (run.stderr.strip() or "npm packed nothing").splitlines()[-1]
            raise AssetError(f"{package} could not be fetched: {reason}")
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if found != digest:
            raise AssetError(f"{package} is another one: its SHA-256 is {found}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
        Path(folder, "package").rename(folder_of(package))


def main():
    try:
        for package, digest in PACKAGES.items():
            if not folder_of(package).is_dir():
                fetch(package, digest)
    except AssetError as error:
        sys.exit(f"assets: {error}")


if __name__ == "__main__":
    main()
