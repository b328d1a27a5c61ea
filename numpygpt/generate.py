"""Sampling: temperature, top-k, top-p and the KV cache. Derived in chapter 17."""

from itertools import islice

import numpy as np

from numpygpt.nn.functional import softmax


def keep_likeliest(p, top_k=None, top_p=None):
    """Return p (B, V) cut to the likeliest tokens of each row and scaled to sum to 1 again."""
    order = np.argsort(-p, axis=-1, kind="stable")  # the likeliest first
    ranked = np.take_along_axis(p, order, axis=-1)
    if top_k is not None:
        ranked[:, top_k:] = 0
    if top_p is not None:
        ranked /= ranked.sum(axis=-1, keepdims=True)
        mass = np.cumsum(ranked, axis=-1)
        # A token goes when the likelier ones alone reach p; so the likeliest always stays.
        ranked[:, 1:][mass[:, :-1] >= top_p] = 0
    kept = np.empty_like(p)
    np.put_along_axis(kept, order, ranked, axis=-1)
    return kept / kept.sum(axis=-1, keepdims=True)


def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    """Return the distribution to draw from, (B, V), for logits (B, V).

    Args:
        temperature: divides the logits; 0 puts all mass on the largest (greedy).
        top_k: keep the k largest logits.
        top_p: keep the smallest set of tokens whose mass reaches p; of what top_k has left.
            Source: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019.

    Raises:
        ValueError: an argument is out of range, or a logit is NaN or infinite.
    """
    if not temperature >= 0:  # this form refuses NaN, too
        raise ValueError(f"temperature={temperature} must not be negative")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} must be more than 0 and at most 1")
    if not (logits < np.inf).all():
        raise ValueError("a logit is NaN or infinite: the weights of the model are lost")
    if temperature == 0:
        likeliest = logits.argmax(axis=-1)[:, None]
        return (np.arange(logits.shape[-1]) == likeliest).astype(np.float64)
    z = logits.astype(np.float64)
    z -= z.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # -inf is right: the token is never drawn
        p = softmax(z / temperature)
    return p if top_k is top_p is None else keep_likeliest(p, top_k, top_p)


def draw(probs, rng):
    """Return one id for each row of probs (B, V), by inverting the cumulative distribution."""
    u = rng.random((len(probs), 1))
    cumulative = np.cumsum(probs, axis=-1)
    if not (cumulative[:, -1] > 0).all():  # refuses NaN, too
        raise ValueError("a row of probabilities holds only zeros, or NaN")
    # Rounding can leave the last sum at 0.9999...: scale u, so that it always falls below it.
    return (cumulative > u * cumulative[:, -1:]).argmax(axis=-1)


class KVCache:
    """Keys and values of the tokens seen so far, for every layer: what a new token attends to.

    A window holds at most block_size tokens. When the next would not fit, the older half is dropped
    and the newer half is read again from position 0: positions are learned for a window, so keys
    that were computed at old positions are of no use at new ones.
    """

    def __init__(self, model, batch_size=1):
        self.model = model
        self.window = np.zeros((batch_size, 0), np.int64)  # ids that the cache holds
        self.k = self.v = None  # (n_layer, B, H, block_size, D): `extend` makes them

    def extend(self, layer, k, v):
        """Keep keys and values (B, H, n, D) of the newest tokens; return those of the window."""
        if self.k is None:
            B, H, _, D = k.shape
            shape = (self.model.config.n_layer, B, H, self.model.config.block_size, D)
            self.k, self.v = np.empty(shape, k.dtype), np.empty(shape, v.dtype)
        end = self.window.shape[1]
        new = slice(end - k.shape[2], end)
        self.k[layer, :, :, new], self.v[layer, :, :, new] = k, v
        return self.k[layer, :, :, :end], self.v[layer, :, :, :end]

    def append(self, ids):
        """Read the ids (B, n) that come next and return the logits after the last, (B, V).

        They are those of `model(cache.window)[:, -1]`, at the cost of n tokens, not of the window.
        """
        block_size = self.model.config.block_size
        for start in range(0, ids.shape[1], block_size):
            part = ids[:, start : start + block_size]
            if self.window.shape[1] + part.shape[1] > block_size:
                recent = np.concatenate([self.window, part], axis=1)
                part = recent[:, -max(block_size // 2, 1) :]
                self.window = self.window[:, :0]
            logits = self._read(part)
        return logits

    def _read(self, ids):
        """One forward pass over ids (B, n) at the end of the window; no gradients are wanted."""
        model, start = self.model, self.window.shape[1]
        self.window = np.concatenate([self.window, ids], axis=1)
        if hasattr(model, "read"):  # it knows how to read on from a cache
            return model.read(ids, self)
        x = model.wte(ids) + model.wpe(np.arange(start, self.window.shape[1]))  # (B, n, C)
        for layer, block in enumerate(model.blocks):
            x = x + self._attend(block.attn, block.ln1(x), layer)
            x = x + block.ffn(block.ln2(x))
        x = model.ln_f(x[:, -1])  # only the last position predicts what comes next
        return x @ model.wte.W.T if model.head is None else model.head(x)

    def _attend(self, attn, x, layer):
        """MultiHeadAttention.forward for the newest tokens, over the keys of the whole window."""
        B, n, C = x.shape
        H = attn.n_heads
        q, k, v = attn.qkv(x).reshape(B, n, 3, H, C // H).transpose(2, 0, 3, 1, 4)  # (B, H, n, D)
        keys, values = self.extend(layer, k, v)
        end = keys.shape[2]
        scores = q @ keys.swapaxes(-1, -2) / (C // H) ** 0.5  # (B, H, n, end)
        if n > 1:
            scores[..., np.triu(np.ones((n, end), bool), end - n + 1)] = -np.inf
        out = softmax(scores) @ values  # (B, H, n, D)
        return attn.proj(out.swapaxes(1, 2).reshape(B, n, C))


def stream(model, ids, *, temperature=1.0, top_k=None, top_p=None, rng):
    """Yield sampled tokens (B, 1) that continue ids (B, T), one after another, without end.

    Args:
        model: a GPT, or another model that a KVCache can read.
        ids: (B, T) integers, T at least 1: the prompt of each sequence. Only its last block_size
            tokens can be read; see KVCache for what happens past block_size.
        temperature, top_k, top_p: see `next_token_probs`.
        rng: np.random.Generator; the same state gives the same tokens.
    """
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(
            f"the prompt has shape {ids.shape}; it needs (B, T) with at least one token"
        )
    cache = KVCache(model, len(ids))
    new = ids[:, -model.config.block_size :]  # the prompt, or the part that a window can hold
    while True:
        probs = next_token_probs(cache.append(new), temperature, top_k, top_p)
        new = draw(probs, rng)[:, None]  # (B, 1)
        yield new


def generate(model, ids, max_new_tokens, **options):
    """Return ids (B, T) and max_new_tokens more, (B, T + max_new_tokens); options as `stream`."""
    return np.concatenate([ids, *islice(stream(model, ids, **options), max_new_tokens)], axis=1)
