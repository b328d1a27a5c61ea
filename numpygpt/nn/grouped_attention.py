"""GroupedQueryAttention: several heads of queries share one of keys. Derived in chapter 23."""

import math

import numpy as np

from numpygpt.nn.functional import softmax, softmax_backward
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module
from numpygpt.nn.rmsnorm import RMSNorm


class GroupedQueryAttention(Module):
    """y = proj(concat over heads of softmax(q kᵀ / √D) v), causal, with shared k and v.

    x, y: (B, T, dim), D = head_dim, H = n_kv_heads of k and v, n_heads = G H of queries.
    Sources: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models from
    Multi-Head Checkpoints, 2023; for the idea of qk_norm, with length 1 in place of RMSNorm,
    Henry et al., Query-Key Normalization for Transformers, 2020.

    Args:
        rotary: a Rotary of size head_dim, which turns queries and keys; None turns nothing.
        qk_norm: one RMSNorm for all queries, one for all keys, before they are turned.
        norm_eps: that of these norms.

    Raises:
        ValueError: n_heads is not a multiple of n_kv_heads.
    """

    def __init__(
        self,
        dim,
        n_heads,
        n_kv_heads,
        head_dim,
        *,
        rotary=None,
        qk_norm=False,
        norm_eps=1e-5,
        bias=False,
        rng,
        dtype=np.float32,
    ):
        if n_heads % n_kv_heads:
            raise ValueError(f"n_heads={n_heads} is not divisible by n_kv_heads={n_kv_heads}")
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, head_dim
        self.q = Linear(dim, n_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.k = Linear(dim, n_kv_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.v = Linear(dim, n_kv_heads * head_dim, bias, rng=rng, dtype=dtype)
        self.proj = Linear(n_heads * head_dim, dim, bias, rng=rng, dtype=dtype)
        self.rotary = rotary
        self.q_norm = RMSNorm(head_dim, norm_eps, dtype) if qk_norm else None
        self.k_norm = RMSNorm(head_dim, norm_eps, dtype) if qk_norm else None

    def split(self, a, n):
        """Return the array a, (B, T, H n D), as a view cut into heads: (B, H, n, T, D)."""
        B, T, _ = a.shape
        return a.reshape(B, T, self.n_kv_heads, n, self.head_dim).transpose(0, 2, 3, 1, 4)

    def join(self, a):
        """Return the array a, (B, H, n, T, D), as (B, T, H n D): what `split` has cut."""
        B, _, _, T, _ = a.shape
        return a.transpose(0, 3, 1, 2, 4).reshape(B, T, -1)

    def forward(self, x, start=0, extend=None):
        """Return y.

        Args:
            start: position of x[:, 0].
            extend: a function of the keys and values of x, (B, H, T, D), which returns those of all
                positions so far, (B, H, start + T, D): a KV cache. None: x is all there is.
        """
        B, T, _ = x.shape
        H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
        q, k, v = self.split(self.q(x), G), self.split(self.k(x), 1), self.split(self.v(x), 1)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary is not None:
            q, k = self.rotary(q, start), self.rotary(k, start)
        q, k, v = q.reshape(B, H, G * T, D), k[:, :, 0], v[:, :, 0]  # a group's queries: one matrix
        if extend is not None:
            k, v = extend(k, v)
        scale = 1 / math.sqrt(D)
        scores = q @ k.swapaxes(-1, -2)  # (B, H, G T, keys)
        scores *= scale
        if T > 1:
            S = k.shape[2]  # x has the last T of S positions
            future = np.triu(np.full((T, S), -np.inf, scores.dtype), S - T + 1)
            scores += np.tile(future, (G, 1))
        p = softmax(scores)
        self.queries, self.keys, self.values, self.p, self.scale = q, k, v, p, scale  # for backward
        return self.proj(self.join((p @ v).reshape(B, H, G, T, D)))

    def backward(self, dy):
        B, T, _ = dy.shape
        H, G, D = self.n_kv_heads, self.n_heads // self.n_kv_heads, self.head_dim
        # y = proj(out), the heads of out joined
        dout = self.split(self.proj.backward(dy), G).reshape(B, H, G * T, D)
        # out = p v: the product sums over all rows of p, those of every query in the group
        dp = dout @ self.values.swapaxes(-1, -2)  # (B, H, G T, T)
        dv = self.p.swapaxes(-1, -2) @ dout  # (B, H, T, D)
        # p = softmax(scores + mask), scores = q kᵀ / √D
        dscores = softmax_backward(dp, self.p)
        dscores *= self.scale
        dq = (dscores @ self.keys).reshape(B, H, G, T, D)
        dk = (dscores.swapaxes(-1, -2) @ self.queries)[:, :, None]  # a sum again
        # q, k = rotary(q_norm(q)), rotary(k_norm(k))
        if self.rotary is not None:
            dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
        if self.q_norm is not None:
            dq, dk = self.q_norm.backward(dq), self.k_norm.backward(dk)
        # q, k, v = q(x), k(x), v(x), cut into heads
        dx = self.q.backward(self.join(dq))
        dx += self.k.backward(self.join(dk))
        dx += self.v.backward(self.join(dv[:, :, None]))
        return dx
