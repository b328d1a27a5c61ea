"""Cases and results as bytes: NumPy's .npz with one JSON string, never pickle.

`loads` takes bytes from a process that ran a student's code, and trusts none of them.
"""

import io
import json
import math
import zipfile

import numpy as np

from coursekit.checking.cases import Call, Case, Model, Result, Rng

RECORDS = {cls.__name__: cls for cls in (Call, Case, Model, Result, Rng)}


def dumps(value):
    """Bytes that hold a list of cases or results."""
    arrays = {}
    skeleton = json.dumps(encoded(value, arrays))
    file = io.BytesIO()
    np.savez(file, skeleton=np.frombuffer(skeleton.encode(), np.uint8), **arrays)
    return file.getvalue()


def encoded(value, arrays):
    """The value with arrays moved to `arrays`, and what JSON lacks in dicts with a $ key."""
    if isinstance(value, np.ndarray):
        arrays[f"a{len(arrays)}"] = value
        return {"$array": f"a{len(arrays) - 1}"}
    if isinstance(value, np.generic):
        return encoded(np.asarray(value), arrays)
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, tuple):
        return {"$tuple": [encoded(v, arrays) for v in value]}
    if isinstance(value, list):
        return [encoded(v, arrays) for v in value]
    if isinstance(value, dict):
        return {"$dict": [[encoded(k, arrays), encoded(v, arrays)] for k, v in value.items()]}
    if type(value).__name__ in RECORDS:
        return {f"${type(value).__name__}": encoded(vars(value), arrays)}
    return value


def loads(data):
    """The value that `dumps` made into bytes.

    Raises:
        ValueError: the bytes are anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {}
            for entry in archive.infolist():
                # Stored, not compressed: a megabyte cannot unfold into a gigabyte.
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
                    raise ValueError("compressed")
                arrays[entry.filename.removesuffix(".npy")] = array_of(archive.read(entry))
        return decoded(json.loads(arrays["skeleton"].tobytes()), arrays)
    except Exception as error:  # the bytes may be anything at all
        raise ValueError(f"unreadable results: {type(error).__name__}") from None


def array_of(data):
    """The array in the bytes of a .npy file, if they hold as much as they promise."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, by_columns, dtype = read[version](file)
    if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError("not an array of numbers")
    numbers = np.frombuffer(data, dtype, offset=file.tell())
    return numbers.reshape(shape, order="F" if by_columns else "C").copy(order="K")


def decoded(value, arrays):
    if isinstance(value, list):
        return [decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    [(key, inside)] = value.items()
    if key == "$array":
        return arrays[inside]
    if key == "$bytes":
        return bytes.fromhex(inside)
    if key == "$tuple":
        return tuple(decoded(v, arrays) for v in inside)
    if key == "$dict":
        return {decoded(k, arrays): decoded(v, arrays) for k, v in inside}
    return RECORDS[key.removeprefix("$")](**decoded(inside, arrays))
