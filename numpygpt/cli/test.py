"""`numpygpt test`: every gradient against central differences. Written by hand."""

import numpy as np

from numpygpt import nn
from numpygpt.cli.errors import UsageError
from numpygpt.gpt import GPT, GPTConfig
from numpygpt.gradcheck import GradientError, gradcheck
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.nn.lora import Adapter
from numpygpt.posttraining.masked import IGNORE, MaskedLoss

ABOUT = "Check the gradient of every layer and of whole models."


def add_options(parser):
    parser.add_argument("--seed", type=int, default=1337, help="of weights and inputs; %(default)s")


def run(args):
    """Check every layer and whole models in float64; return 0, or 1 if a gradient is wrong."""
    if args.seed < 0:
        raise UsageError(f"--seed {args.seed} must be at least 0")
    rng = np.random.default_rng(args.seed)
    print(f"{'layer':36}{'parameters':>12}{'worst error':>14}")
    wrong = 0
    for name, layer, *inputs in layers(rng):
        of_size_half(layer, rng)
        row = f"{name:36}{layer.num_params():>12}"
        try:
            report = gradcheck(layer, *inputs, rng=rng)
            print(f"{row}{report.max_error:>14.1e}  right")
        except GradientError as error:
            wrong += 1
            print(f"{row}{'':14}  WRONG: {error}")
    print("every gradient agrees with central differences" if not wrong else f"{wrong} wrong")
    return 1 if wrong else 0


def of_size_half(layer, rng):
    """Give a layer weights of size 0.5: with the usual 0.02 an error can hide in the tolerance."""
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return layer


def layers(rng, dtype=np.float64):
    """Yield (name, layer, inputs); all sizes differ, so that no wrong transpose fits by chance."""
    B, T, C, H, V = 2, 5, 6, 3, 11
    x = rng.normal(size=(B, T, C))
    ids, targets = rng.integers(0, V, (2, B, T))
    yield "Linear", nn.Linear(C, 7, rng=rng, dtype=dtype), x
    yield "Linear without bias", nn.Linear(C, 7, bias=False, rng=rng, dtype=dtype), x
    yield "ReLU", nn.ReLU(), x
    yield "GELU", nn.GELU(), x
    yield "Softmax", nn.Softmax(), x
    yield "Softmax over axis 1", nn.Softmax(axis=1), x
    yield "CrossEntropyLoss", nn.CrossEntropyLoss(), rng.normal(size=(B, T, V)), targets
    yield "Embedding", nn.Embedding(V, C, rng=rng, dtype=dtype), ids
    yield "LayerNorm", nn.LayerNorm(C, dtype=dtype), x
    yield "RMSNorm", nn.RMSNorm(C, dtype=dtype), x
    for layout in ("interleaved", "halves"):
        yield f"Rotary, {layout}", nn.Rotary(C, layout=layout), x
    yield "MultiHeadAttention, causal", nn.MultiHeadAttention(C, H, rng=rng, dtype=dtype), x
    yield (
        "MultiHeadAttention, unmasked",
        nn.MultiHeadAttention(C, H, causal=False, rng=rng, dtype=dtype),
        x,
    )
    yield "Sequential", nn.Sequential(nn.Linear(C, 7, rng=rng, dtype=dtype), nn.GELU()), x
    for activation in ("relu", "gelu"):
        yield (
            f"FeedForward, {activation}",
            nn.FeedForward(C, 13, activation, rng=rng, dtype=dtype),
            x,
        )
        yield (
            f"TransformerBlock, {activation}",
            nn.TransformerBlock(C, H, 13, activation, rng=rng, dtype=dtype),
            x,
        )
    for activation in ("relu", "gelu"):
        for tied in (True, False):
            config = GPTConfig(V, 7, 2, H, C, activation, tie_weights=tied)
            name = f"GPT, {activation}, head {'tied' if tied else 'untied'}"
            yield name, GPT(config, rng=rng, dtype=dtype), ids, targets
    # Three heads of keys, each for two of queries; 6 x 4 channels of queries, where C is 7.
    shape = {"n_kv_head": 3, "head_dim": 4, "hidden": 13}
    x = rng.normal(size=(B, T, 7))
    yield "SwiGLU", nn.SwiGLU(7, 13, rng=rng, dtype=dtype), x
    yield "SwiGLU with biases", nn.SwiGLU(7, 13, bias=True, rng=rng, dtype=dtype), x
    yield "SquaredReLU", nn.SquaredReLU(7, 13, rng=rng, dtype=dtype), x
    for name, options in (
        ("plain", {}),
        ("with biases", {"bias": True}),
        ("RoPE, QK-norm", {"rotary": nn.Rotary(4), "qk_norm": True}),
    ):
        attn = nn.GroupedQueryAttention(7, 6, 3, 4, **options, rng=rng, dtype=dtype)
        yield f"GroupedQueryAttention, {name}", attn, x
    for activation, qk_norm, tied in (("swiglu", True, True), ("relu2", False, False)):
        options = {"activation": activation, "qk_norm": qk_norm, "tie_weights": tied}
        config = LlamaConfig(V, 7, 1, 6, 7, **shape, **options)
        name = f"Llama ({activation}), head {'tied' if tied else 'untied'}"
        yield name, Llama(config, rng=rng, dtype=dtype), ids, targets
    linear = nn.Linear(7, 11, rng=rng, dtype=dtype)
    yield "LoRALinear", of_size_half(nn.LoRALinear(linear, 3, 2.0, rng=rng), rng), x
    linear = nn.Linear(7, 11, bias=False, rng=rng, dtype=dtype)
    without = nn.LoRALinear(linear, 2, 3.0, rng=rng)
    yield "LoRALinear without bias", of_size_half(without, rng), x
    for model in (
        GPT(GPTConfig(V, 7, 1, H, C), rng=rng, dtype=dtype),
        Llama(LlamaConfig(V, 7, 1, 6, 7, **shape), rng=rng, dtype=dtype),
    ):
        adapter = Adapter(of_size_half(model, rng), 2, rng=rng)
        name = f"Adapter of a {type(model).__name__}"
        yield name, of_size_half(adapter, rng), ids, targets
    some = np.where(np.arange(T) < 2, IGNORE, targets)  # without a loss on the first two
    yield "MaskedLoss", MaskedLoss(), rng.normal(size=(B, T, V)), some
