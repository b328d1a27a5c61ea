"""The layers, from chapters 2 to 11, 22, 23 and 27. This file is written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "Module": "module",
    "Sequential": "module",
    "Linear": "linear",
    "ReLU": "activations",
    "GELU": "activations",
    "Softmax": "functional",
    "CrossEntropyLoss": "loss",
    "Embedding": "embedding",
    "LayerNorm": "layernorm",
    "MultiHeadAttention": "attention",
    "FeedForward": "transformer",
    "TransformerBlock": "transformer",
    "Rotary": "rotary",
    "RMSNorm": "rmsnorm",
    "SwiGLU": "gates",
    "SquaredReLU": "gates",
    "GroupedQueryAttention": "grouped_attention",
    "LoRALinear": "lora",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)
