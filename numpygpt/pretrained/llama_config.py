"""config.json of Llama and Qwen3 to our LlamaConfig, and back. Derived in chapter 25."""

from numpygpt.llama import LlamaConfig
from numpygpt.pretrained.gpt2_config import read_json

# Our field -> the name in config.json.
SIZES = {
    "vocab_size": "vocab_size",
    "block_size": "max_position_embeddings",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
    "hidden": "intermediate_size",
}


# What config.json can say in several ways, and our Llama does in one.
FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_interleaved": False,
    "use_sliding_window": False,
    "partial_rotary_factor": 1,
    "quantization_config": None,
}


def rope_base_from(about):
    """Return the base of RoPE's angles; ValueError if they are stretched in some way."""
    # Newer files have rope_parameters, older ones rope_theta and perhaps rope_scaling.
    rope = about.get("rope_parameters") or about.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"rope_type is {kind!r}, our Llama knows only 'default'")
    if rope.get("partial_rotary_factor", 1) != 1:
        raise ValueError("only a part of each head is turned, our Llama turns the whole")
    return rope.get("rope_theta", about.get("rope_theta", 10_000.0))


def config_from(about):
    """Return the LlamaConfig of a parsed config.json; ValueError or KeyError for what we lack."""
    if not isinstance(about, dict):
        raise ValueError("it is not a JSON object")
    kind = about.get("model_type")
    if kind not in ("llama", "qwen3"):
        raise ValueError(f"model_type is {kind!r}, we read gpt2, llama and qwen3")
    for name, value in FIXED.items():
        if about.get(name, value) != value:
            raise ValueError(f"{name} is {about[name]!r}, our Llama knows only {value!r}")
    if layers := set(about.get("layer_types") or ()) - {"full_attention"}:
        raise ValueError(f"layer_types has {min(layers)!r}, our Llama knows only full_attention")
    sizes = {ours: about[theirs] for ours, theirs in SIZES.items()}
    return LlamaConfig(
        **sizes,
        n_kv_head=about.get("num_key_value_heads", sizes["n_head"]),
        head_dim=about.get("head_dim", 128 if kind == "qwen3" else None),
        qk_norm=kind == "qwen3",
        tie_weights=about.get("tie_word_embeddings", False),
        rope_base=rope_base_from(about),
        rope_layout="halves",
        norm_eps=about.get("rms_norm_eps", 1e-6),
    )


def config_of(config):
    """Return what config.json says of a Llama of this configuration; ValueError if it cannot."""
    if config.activation != "swiglu":
        raise ValueError(f"the layout of Llama has no activation={config.activation!r}")
    kind, family = ("qwen3", "Qwen3") if config.qk_norm else ("llama", "Llama")
    return {
        "model_type": kind,
        "architectures": [f"{family}ForCausalLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": config.tie_weights,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "bos_token_id": None,  # else those of Llama, which may lie outside our vocabulary
        "eos_token_id": None,
    }


def read_config(path):
    """Return the LlamaConfig that config.json describes.

    Raises:
        DataError: the file is missing or damaged, or asks for what our Llama does not do.
    """
    return read_json(path, config_from)
