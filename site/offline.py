"""What the site needs to open without a network: sw.js, and a list of all files of this edition."""

import hashlib
import json
from pathlib import Path

from coursekit.files import write

SOURCE = Path(__file__).with_name("sw.js")
NOT_KEPT = ("numpygpt.zip", ".nojekyll")  # the download; sw.js has the same


def write_service_worker(out):
    """Write files.json, `{path: SHA-256}`, and sw.js with that list's own SHA-256 in it.

    To be called last: a browser takes a site for a new edition when sw.js has changed.
    """
    for name in ("files.json", "sw.js"):
        (out / name).unlink(missing_ok=True)
    paths = sorted(p for p in out.rglob("*") if p.is_file() and not p.name.endswith(NOT_KEPT))
    digests = {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    files = json.dumps(digests, separators=(",", ":"))
    write(out / "files.json", files)
    edition = hashlib.sha256(files.encode()).hexdigest()
    write(out / "sw.js", SOURCE.read_text("utf-8").replace("<!-- edition -->", edition))
