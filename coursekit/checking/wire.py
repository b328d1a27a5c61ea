"""Cases and results as bytes: NumPy's .npy files, one after another, never pickle.

The first holds a JSON string that says how the arrays after it belong together. `loads` takes bytes
from a process that ran a student's code, and trusts none of them: what it makes is never much
larger than what it was given.
"""

import io
import json
import math

import numpy as np

from coursekit.checking.cases import Call, Case, Model, Result, Rng
from coursekit.checking.values import FromTuple

MOST = 200_000  # lists, numbers, … in one value; ours have a hundredth

RECORDS = {cls.__name__: cls for cls in (Call, Case, Model, Result, Rng)}


def dumps(value):
    """Bytes that hold a list of cases or results."""
    arrays = []
    skeleton = json.dumps(encoded(value, arrays))
    file = io.BytesIO()
    for array in [np.frombuffer(skeleton.encode(), np.uint8), *arrays]:
        np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def encoded(value, arrays):
    """The value with arrays moved to `arrays`, and what JSON lacks in dicts with a $ key."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return encoded(np.asarray(value), arrays)
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, tuple):
        return {"$tuple": [encoded(v, arrays) for v in value]}
    if isinstance(value, list):
        inside = [encoded(v, arrays) for v in value]
        return {"$from_tuple": inside} if isinstance(value, FromTuple) else inside
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
        [skeleton, *arrays] = arrays_in(data)
        text = skeleton.tobytes()
        if sum(map(text.count, (b"[", b"{", b","))) > MOST:
            raise ValueError("too much")
        left = iter(range(len(arrays)))
        value = decoded(json.loads(text), arrays, left)
        if next(left, None) is not None:
            raise ValueError("arrays that belong nowhere")
        return value
    except Exception as error:  # the bytes may be anything at all
        raise ValueError(f"unreadable results: {type(error).__name__}") from None


def arrays_in(data):
    """The arrays in the bytes of .npy files that follow one another to the end."""
    file, found = io.BytesIO(data), []
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    while file.tell() < len(data):
        shape, by_columns, dtype = read[np.lib.format.read_magic(file)](file)
        count, start = math.prod(shape), file.tell()
        if dtype.kind not in "biuf" or count * dtype.itemsize > len(data) - start:
            raise ValueError("not an array of numbers")
        numbers = np.frombuffer(data, dtype, count, offset=start) if count else np.empty(0, dtype)
        file.seek(start + count * dtype.itemsize)
        found.append(numbers.reshape(shape, order="F" if by_columns else "C").copy(order="K"))
    return found


def decoded(value, arrays, left):
    """Undo `encoded`; each array is used once, in its turn: a repeated one would cost nothing."""
    if isinstance(value, list):
        return [decoded(v, arrays, left) for v in value]
    if not isinstance(value, dict):
        return value
    [(key, inside)] = value.items()
    if key == "$array":
        if inside != next(left):
            raise ValueError("an array out of its turn")
        return arrays[inside]
    if key == "$bytes":
        return bytes.fromhex(inside)
    if key == "$tuple":
        return tuple(decoded(v, arrays, left) for v in inside)
    if key == "$from_tuple":
        return FromTuple(decoded(v, arrays, left) for v in inside)
    if key == "$dict":
        return {decoded(k, arrays, left): decoded(v, arrays, left) for k, v in inside}
    return RECORDS[key.removeprefix("$")](**decoded(inside, arrays, left))
