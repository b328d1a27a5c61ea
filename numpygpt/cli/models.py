"""The models that the commands train and sample: GPT and Llama. Written by hand."""

import numpy as np

from numpygpt.checkpoint import load_model
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.llama import Llama, LlamaConfig

# As --model names it, the class and its configuration. Checkpoints name the class.
MODELS = {"gpt": (GPT, GPTConfig), "llama": (Llama, LlamaConfig)}


def kind_of(meta):
    """Return the name, as in MODELS, of the model of a checkpoint; earlier versions had GPTs only.

    Raises:
        ValueError: it is none of ours.
    """
    saved = meta.get("kind", "GPT")
    for kind, (model, _) in MODELS.items():
        if saved == model.__name__:
            return kind
    raise ValueError(f"a model of kind {saved!r} is none of ours")


def config_of(meta):
    """Return the configuration of a checkpoint's model; KeyError, TypeError, ValueError if none."""
    return MODELS[kind_of(meta)][1](**meta["model"])


def class_of(config):
    """Return the class of the models that a configuration describes."""
    return next(model for model, fits in MODELS.values() if isinstance(config, fits))


def build(config, *, rng, dtype=np.float32):
    """Return a new model of this configuration."""
    return class_of(config)(config, rng=rng, dtype=dtype)


def load(path):
    """Return (model, tokenizer, meta) of the checkpoint at `path`, whichever model it is."""
    return load_model(path, build=lambda meta, **options: build(config_of(meta), **options))


def n_adapter_params(config, rank):
    """Return how many numbers an adapter of this rank has for a model of this configuration."""
    C = config.n_embd
    if isinstance(config, GPTConfig):  # n_in + n_out of qkv, proj, fc1 and fc2
        widths = 4 * C + 2 * C + 5 * C + 5 * C
    else:
        D, matrices = config.head_dim, 3 if config.activation == "swiglu" else 2
        widths = 4 * C + 2 * D * (config.n_head + config.n_kv_head) + matrices * (C + config.hidden)
    return config.n_layer * rank * widths


def n_params(config):
    """Return how many numbers a model of this configuration has, without making it."""
    V, T, L, C = config.vocab_size, config.block_size, config.n_layer, config.n_embd
    head = 0 if config.tie_weights else V * C
    if isinstance(config, GPTConfig):  # as chapter 21 counts them
        block = 12 * C * C + (13 if config.bias else 2) * C
        return V * C + T * C + L * block + (2 if config.bias else 1) * C + head
    D, factors = config.head_dim, 3 if config.activation == "swiglu" else 2
    attn = 2 * C * D * (config.n_head + config.n_kv_head) + 2 * D * config.qk_norm
    return V * C + L * (attn + factors * C * config.hidden + 2 * C) + C + head
