"""What jupytext makes of a page is kept beside it, as Python keeps what it compiles.

Every kernel, every check and every test reads pages; jupytext takes half a second for the first.
"""

import contextlib
import functools
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from coursekit.files import write


def kept_beside(file, make):
    """What `make` makes of a file's bytes, in JSON's types; or what it made of the same before.

    Raises:
        whatever `make` raises: then nothing is kept.
    """
    data = file.read_bytes()
    name = "/".join(file.parts[-2:]).encode()
    digest = hashlib.sha256(b"\0".join([*program(), name, data])).hexdigest()
    place = file.parent / "__pycache__" / f"{file.stem}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        before = json.loads(place.read_text("utf-8"))
        if before["digest"] == digest:
            return before["made"]
    made = make(data)
    if not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):  # a folder that only others may write
            write(place, json.dumps({"digest": digest, "made": made}, ensure_ascii=False))
    return made


@functools.cache
def program():
    """What the result depends on besides the file."""
    ours = [Path(__file__).with_name(name).read_bytes() for name in ("source.py", "kept.py")]
    return [*ours, version("jupytext").encode()]
