"""python -m coursekit.links: whether the links to other places still lead somewhere. `make links`.

It asks the network, so no test runs it; links inside the book are tests/test_text.py's.
"""

import re
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coursekit.address import ROOT

TEXTS = ("*.md", "docs/*.md", "data/*.md", "book/chapters/*.py", "book/exercises/*.py")
ADDRESS = re.compile(r"https?://[^\s<>)\"'`\]]*[^\s<>)\"'`\].,;:]")
TIMEOUT, PAUSE = 30, 5  # seconds
# They answer a program like this, though not a reader, with a refusal.
REFUSALS = (401, 403, 405, 429)


def addresses(root):
    """{address: the files that name it}."""
    found = {}
    for path in sorted(path for pattern in TEXTS for path in Path(root).glob(pattern)):
        for address in ADDRESS.findall(path.read_text("utf-8")):
            names = found.setdefault(address.partition("#")[0], [])
            if (name := path.relative_to(root).as_posix()) not in names:
                names.append(name)
    return found


def trouble(address, tries=3):
    """What is wrong with a link, in a line; None if it leads somewhere."""
    request = urllib.request.Request(address, headers={"User-Agent": "numpygpt-links"})
    for number in range(tries):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return None
        except urllib.error.HTTPError as error:
            if error.code in REFUSALS:
                return None
            said = f"{error.code} {error.reason}"
            if error.code < 500:
                return said
        except (OSError, ValueError) as error:
            said = str(getattr(error, "reason", error))
        if number + 1 < tries:
            time.sleep(PAUSE)
    return said


def main(root=ROOT):
    """Print what is broken; return the exit code: 1 if anything is."""
    found = addresses(root)
    with ThreadPoolExecutor(8) as pool:
        broken = [
            (a, said) for a, said in zip(found, pool.map(trouble, found), strict=True) if said
        ]
    for address, said in broken:
        print(f"{', '.join(found[address])}: {address}: {said}")
    print(f"{len(found)} links to other places, {len(broken)} of them broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
