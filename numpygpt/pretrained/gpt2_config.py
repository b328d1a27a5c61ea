"""GPT-2's config.json and our GPTConfig, each from the other. Derived in chapter 21."""

import json
from pathlib import Path

from numpygpt.data import DataError
from numpygpt.gpt import GPTConfig

# What config.json calls an activation, and our name for the same function.
ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}


# What config.json can say in several ways, and our GPT does in one.
FIXED = {
    "model_type": "gpt2",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def config_of(config):
    """Return what config.json says of a GPT with this configuration."""
    sizes = {name: getattr(config, name) for name in ("vocab_size", "n_layer", "n_head", "n_embd")}
    kinds = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    return {
        **FIXED,
        **sizes,
        "n_positions": config.block_size,
        "activation_function": kinds[config.activation],
        "tie_word_embeddings": config.tie_weights,
        "architectures": ["GPT2LMHeadModel"],
        "bos_token_id": None,  # else 50256, which may lie outside our vocabulary
        "eos_token_id": None,
    }


def config_from(about):
    """Return the GPTConfig of a parsed config.json; ValueError or KeyError for what we lack."""
    if not isinstance(about, dict):
        raise ValueError("it is not a JSON object")
    for name, value in FIXED.items():
        if about.get(name, value) != value:
            raise ValueError(f"{name} is {about[name]!r}, our GPT knows only {value!r}")
    activation = about.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation_function is {activation!r}, our GPT knows only {known}")
    if about.get("n_inner") not in (None, 4 * about["n_embd"]):
        raise ValueError(f"n_inner is {about['n_inner']!r}, our GPT knows only 4 n_embd")
    sizes = {name: about[name] for name in ("vocab_size", "n_layer", "n_head", "n_embd")}
    tied, kind = about.get("tie_word_embeddings", True), ACTIVATIONS[activation]
    return GPTConfig(**sizes, block_size=about["n_positions"], activation=kind, tie_weights=tied)


def read_json(path, make, trouble=""):
    """Return what `make` makes of a JSON file.

    Args:
        trouble: what to say after the path where `make` cannot use what is in the file.

    Raises:
        DataError: the file is missing or damaged, or `make` raises; the message says why.
    """
    try:
        return make(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except KeyError as error:
        raise DataError(f"{path} does not say {error}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}{trouble}: {error}") from None


def read_config(path):
    """Return the GPTConfig that config.json describes.

    Raises:
        DataError: the file is missing or damaged, or asks for what our GPT does not do.
    """
    return read_json(path, config_from)
