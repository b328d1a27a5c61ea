"""LlamaBlock: the pre-norm block, built from today's parts. Derived in chapter 23."""

import numpy as np

from numpygpt.nn.gates import SquaredReLU, SwiGLU
from numpygpt.nn.grouped_attention import GroupedQueryAttention
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm


class LlamaBlock(Module):
    """x₁ = x + attn(norm1(x)); y = x₁ + ffn(norm2(x₁)).  x, y: (B, T, C)."""

    def __init__(self, config, rotary, *, rng, dtype=np.float32):
        C, eps, made = config.n_embd, config.norm_eps, {"rng": rng, "dtype": dtype}
        self.norm1 = RMSNorm(C, eps, dtype)
        self.attn = GroupedQueryAttention(
            C,
            config.n_head,
            config.n_kv_head,
            config.head_dim,
            rotary=rotary,
            qk_norm=config.qk_norm,
            norm_eps=eps,
            **made,
        )
        self.norm2 = RMSNorm(C, eps, dtype)
        ffn = {"swiglu": SwiGLU, "relu2": SquaredReLU}[config.activation]
        self.ffn = ffn(C, config.hidden, **made)

    def forward(self, x, start=0, extend=None):
        x = x + self.attn(self.norm1(x), start, extend)
        return x + self.ffn(self.norm2(x))

    def backward(self, dy):
        # y = x₁ + ffn(norm2(x₁))
        dx = dy + self.norm2.backward(self.ffn.backward(dy))
        # x₁ = x + attn(norm1(x))
        return dx + self.norm1.backward(self.attn.backward(dx))
