"""Safetensors files: named arrays, read and written with NumPy alone. Derived in chapter 21."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numpygpt.data import DataError, write_beside

# What the header calls a type, and NumPy's name for the bytes of one number. BF16 is read as whole
# numbers first. Old files have masks of U8 or BOOL among the weights.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "|u1", "BOOL": "|u1"}


MAX_HEADER = 100_000_000  # bytes: the limit of the format


@dataclass(frozen=True)
class Entry:
    """One array of a file: its type as in DTYPES, its shape, and its first byte in the file."""

    kind: str
    shape: tuple
    start: int

    @property
    def nbytes(self):
        return math.prod(self.shape) * np.dtype(DTYPES[self.kind]).itemsize


def entry_of(name, about, data_start):
    """Return the Entry of what the header says `about` an array, or raise ValueError."""
    if not isinstance(about, dict) or about.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} does not have a dtype, a shape and data_offsets")
    kind, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ValueError(f"{name} has dtype {kind!r}, we read {', '.join(DTYPES)}")
    for sizes in (shape, offsets):
        if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
            raise ValueError(f"{name}: {sizes!r} is not a list of whole numbers from 0 on")
    if len(shape) > 64 or len(offsets) != 2:  # an array of NumPy has 64 axes at most
        raise ValueError(f"{name} has {len(shape)} axes and {len(offsets)} data_offsets")
    entry = Entry(kind, tuple(shape), data_start + offsets[0])
    if offsets[1] - offsets[0] != entry.nbytes:
        raise ValueError(f"{name}: {kind} of shape {shape} does not fit data_offsets {offsets}")
    return entry


def check_no_gaps(entries, start, size):
    """Raise ValueError unless the arrays fill the file from byte `start` to its end at `size`."""
    for name, entry in sorted(entries.items(), key=lambda e: (e[1].start, e[1].nbytes)):
        if entry.start != start:
            raise ValueError(f"{name} starts at byte {entry.start} instead of {start}")
        start += entry.nbytes
    if start != size:
        raise ValueError(f"its arrays end at byte {start}, the file at {size}")


def no_name_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears in it twice")
    return found


def header_of(file):
    """Return the header of an open file, the byte after it, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    end = 8 + int.from_bytes(file.read(8), "little")
    if end > min(size, 8 + MAX_HEADER):
        raise ValueError(f"a header of {end - 8} bytes does not fit a file of {size}")
    text = file.read(end - 8).decode("utf-8")
    header = json.loads(text, object_pairs_hook=no_name_twice)
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    header.pop("__metadata__", None)  # notes, such as which program wrote it
    return header, end, size


def read_header(path):
    """Return {name: Entry} for the arrays of the file; none of their numbers is read.

    Raises:
        DataError: the file is missing, or a size, an offset or a type in it does not fit.
    """
    try:
        with open(path, "rb") as file:
            header, end, size = header_of(file)
        entries = {name: entry_of(name, about, end) for name, about in header.items()}
        check_no_gaps(entries, end, size)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise DataError(f"{path} is damaged or not a safetensors file: {error}") from None
    return entries


def read_array(path, entry, dtype=None):
    """Return the array that `entry` describes, as `dtype` or else as the file has it."""
    count = math.prod(entry.shape)
    a = np.fromfile(path, DTYPES[entry.kind], count, offset=entry.start)
    if len(a) != count:
        raise DataError(f"{path} became shorter while we read it")
    if entry.kind == "BF16":  # the upper half of a float32
        a = (a.astype(np.uint32) << 16).view(np.float32)
    return a.astype(dtype or a.dtype.newbyteorder("="), copy=False).reshape(entry.shape)


def write_safetensors(path, arrays):
    """Write {name: array of float32, float64 or, as uint16, bfloat16}; beside the file first."""
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64", np.dtype(np.uint16): "BF16"}
    header, end = {"__metadata__": {"format": "pt"}}, 0  # transformers asks for this note
    for name, a in arrays.items():
        offsets = [end, end + a.nbytes]
        header[name] = {"dtype": kinds[a.dtype], "shape": a.shape, "data_offsets": offsets}
        end += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that every number starts at a multiple of its size

    def write(beside):
        with open(beside, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for a in arrays.values():
                file.write(np.ascontiguousarray(a, a.dtype.newbyteorder("<")))
            file.flush()
            os.fsync(file.fileno())

    write_beside(Path(path), write)
