"""What a checkpoint says of itself, compared before a model is built of it. Written by hand."""

import json
import math
import os
import warnings
import zipfile
from dataclasses import fields

import numpy as np

from numpygpt.chat import Template
from numpygpt.checkpoint import VERSION, CheckpointError
from numpygpt.cli import optimizers
from numpygpt.cli.folders import are_too_long
from numpygpt.cli.models import config_of, n_adapter_params, n_params
from numpygpt.cli.sizes import LARGEST, MAX_THREADS, largest
from numpygpt.training import TrainConfig


def check_header(path):
    """Raise CheckpointError if a checkpoint is not what it claims, or what no run would write.

    The digest tells damage, but anybody can compute it again. No weight is read here: a header that
    asks for a million layers is refused at once.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of headers that are not quite in order
            arrays, content = read_header(path)
        # Of another version `load_checkpoint` will say so.
        problem = problem_of(arrays, content["meta"]) if content["version"] == VERSION else None
    except Exception as error:
        problem = error
    if problem:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {problem}")


def read_header(path):
    """Return {name: (dtype, shape)} of the arrays, and the JSON text that stands beside them."""
    arrays, text = {}, None
    with zipfile.ZipFile(path) as file:
        entries = file.infolist()
        if sum(entry.file_size for entry in entries) > os.path.getsize(path):
            raise ValueError("its arrays are larger than the file")  # we compress nothing
        for entry in entries:
            with file.open(entry) as array:
                dtype, shape = header_of(array)
                if math.prod(shape) * dtype.itemsize != entry.file_size - array.tell():
                    raise ValueError(f"{entry.filename} is not as long as its header says")
                if entry.filename == "__json__.npy":
                    text = np.frombuffer(array.read(), dtype)[0]
                arrays[entry.filename.removesuffix(".npy")] = dtype, shape
    if text is None:
        raise ValueError("its arrays stand alone")
    return arrays, json.loads(text)


def header_of(file):
    """Return (dtype, shape) of an open file of one array."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array is of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return dtype, shape


def problem_of(arrays, meta):
    """Say what no run of ours would have written, or return None."""
    held = {n: about for n, about in arrays.items() if n not in ("__json__", "__sha256__")}
    for name, (dtype, shape) in held.items():
        kinds, like = ("iu", ()) if name == "optimizer.t" else ("fiu", like_of(name, held))
        if dtype.kind not in kinds or shape != like or min(shape, default=0) < 0:
            return f"{name} has dtype {dtype} and shape {shape}"
    if not isinstance(meta, dict):
        return "it says nothing of its run"
    for name, can_be in CAN_BE.items():
        if name in meta and not can_be(meta[name]):
            return f"no run has such a value of {name!r}"
    try:
        config = config_of(meta)
    except (KeyError, TypeError, ValueError):
        return None  # who needs the model says what is wrong with it
    shapes = [shape for name, (_, shape) in held.items() if name.startswith("model.")]
    n, expected = sum(map(math.prod, shapes)), n_params(config)
    if "lora" in meta:
        expected = n_adapter_params(config, meta["lora"]["rank"])
    if n != expected or config.n_layer > len(shapes):
        return f"it has {n:,} parameters, its configuration asks for {expected:,}"
    return None


def like_of(name, arrays):
    """Return the shape that an array must have: Adam's means that of their parameter."""
    for prefix in ("optimizer.m.", "optimizer.v."):
        name = f"model.{name.removeprefix(prefix)}" if name.startswith(prefix) else name
    return arrays[name][1]


def is_whole(value, low=0, high=LARGEST):
    return type(value) is int and low <= value <= high


def is_text(value):
    return isinstance(value, str) and "\0" not in value


def is_tokenizer(value):
    return not (isinstance(value, dict) and are_too_long(value.get("merges", [])))


def is_engine(value):
    if not isinstance(value, dict) or value.get("kind") not in ("threads", "layers"):
        return False
    return is_whole(value.get("threads", 1), 1, MAX_THREADS)


def is_optimizer(value):
    if not isinstance(value, dict) or value.get("kind") not in optimizers.KINDS:
        return False
    return all(is_number(value.get(name, 0.0)) for name in optimizers.MUON_DEFAULTS)


def is_base(value):
    return isinstance(value, dict) and all(is_text(value.get(key)) for key in ("path", "sha256"))


def is_lora(value):
    return isinstance(value, dict) and is_whole(value.get("rank"), 1) and is_number(value["alpha"])


def is_template(value):
    names = {field.name for field in fields(Template)}
    return isinstance(value, dict) and value.keys() <= names and all(map(is_text, value.values()))


def are_settings(value):
    """Whether each setting of a TrainConfig that is there has a number of its type."""
    if not isinstance(value, dict):
        return False
    given = [(field, value[field.name]) for field in fields(TrainConfig) if field.name in value]
    return all(
        is_whole(number, high=largest(field.name)) if field.type is int else is_number(number)
        for field, number in given
    )


def is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def is_state(value):
    """Whether a generator can be set to this state."""
    try:
        np.random.default_rng(0).bit_generator.state = value
    except Exception:  # whatever it makes of such a thing
        return False
    return True


# What of its counters and settings a checkpoint need not have, but must be right where it is there.
CAN_BE = {
    "step": is_whole,
    "data_dir": is_text,
    "data": is_text,
    "engine": is_engine,
    "optimizer": is_optimizer,
    "base": is_base,
    "lora": is_lora,
    "template": is_template,
    "train": are_settings,
    "rng": is_state,
    "tokenizer": is_tokenizer,
}
