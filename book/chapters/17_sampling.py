# %% [markdown]
# # Chapter 17: Sampling
#
# The folder `data/checkpoints` holds a GPT that was trained as in [chapter 16](16_training.ipynb),
# on characters of Shakespeare. It gives a probability to every possible next character. The natural
# thing to do: take the likeliest character, append it, ask again. This is *greedy decoding*.

# %% tags=["widget"]
import json
import math
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLACK, BLUE, GREEN, GRAY, ORANGE, show, subplots

from numpygpt.checkpoint import load_model

# %% tags=["widget"]
path = Path("../data/checkpoints/shakespeare_char/checkpoint.npz")
# float64: its rounding is far too small to decide between two characters, on any machine.
model, tokenizer, meta = load_model(path, dtype=np.float64)
print(f"{model.num_params():,} parameters, block size {model.config.block_size}")

# %% tags=["widget"]
def next_logits(ids):
    """Logits after the last of ids (B, T), by a full forward pass over the last block_size."""
    return model(ids[:, -model.config.block_size :])[:, -1]  # (B, V)

# %%
prompt = np.array([tokenizer.encode("ROMEO:\n")])  # (1, 7)
ids = prompt
for _ in range(180):
    ids = np.concatenate([ids, next_logits(ids).argmax(axis=-1)[:, None]], axis=1)
print(tokenizer.decode(ids[0].tolist()))

# %% [markdown]
# Each character is the best one, yet the text runs in circles. Shakespeare's own next character is
# often *not* the likeliest one. We can measure how often, on text from the validation part:

# %%
text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
T = model.config.block_size
held_out = np.array(tokenizer.encode(text[-64 * (T + 1) :])).reshape(64, T + 1)
logits, loss = model(held_out[:, :-1], held_out[:, 1:])
hit = logits.argmax(axis=-1) == held_out[:, 1:]
print(f"loss {loss:.2f} nats; the likeliest character is the true one in {hit.mean():.0%} of cases")

# %% [markdown]
# In all other cases the author took a character that the model ranks second or lower. So we must draw
# from the distribution. But a pure draw errs the other way. Look at the *tail*, all characters to which
# the model gives less than 1%:

# %%
from numpygpt.nn.functional import softmax

p = softmax(logits)  # (64, T, V)
tail = np.where(p < 0.01, p, 0).sum(axis=-1)  # (64, T)
print(f"below 1%: {(p < 0.01).sum(axis=-1).mean():.0f} of {p.shape[-1]} characters, on average; "
      f"together they have {tail.mean():.1%}")
true = np.take_along_axis(p, held_out[:, 1:, None], axis=-1)
print(f"in 200 characters drawn by the model: {200 * tail.mean():.0f} from the tail; "
      f"in 200 of Shakespeare's: {200 * (true < 0.01).mean():.0f}")

# %% [markdown]
# Each of them is nearly impossible, but together they add up. Shakespeare takes even more of them, and
# knows where one fits; the model draws blindly, and one that fits nowhere spoils its word. **How do we draw
# the next token so that the text is neither a circle nor a mess? And how do we do it without reading the
# whole text again for every token?**
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `logits` | scores of the next token | `(B, V)` |
# | `p` | probabilities, each row sums to 1 | `(B, V)` |
# | `ids` | prompt, then prompt and continuation | `(B, T)`, `(B, T + new)` |
# | `u` | uniform random numbers in [0, 1) | `(B, 1)` |
# | `q`, `k`, `v` | of the n tokens that are new | `(B, H, n, D)` |
# | `cache.k`, `cache.v` | of all tokens in the window, for each block | `(n_layer, B, H, block_size, D)` |

# %% [markdown]
# ## Temperature
#
# Divide the logits $z$ by a temperature $\tau$ before the softmax:
#
# $$p_i = \frac{e^{z_i/\tau}}{\sum_j e^{z_j/\tau}}.$$
#
# Its effect shows in the ratio of two probabilities, where the sum cancels:
#
# $$\frac{p_i}{p_j} = e^{(z_i - z_j)/\tau} = \left(e^{z_i - z_j}\right)^{1/\tau}.$$
#
# At $\tau = 1$ it is the model's ratio. At $\tau = 1/2$ the ratio is squared: the likely
# gets likelier. As $\tau \to 0$ the ratio of every other token to the likeliest goes to 0, which is
# greedy decoding. As $\tau \to \infty$ every ratio goes to 1: all tokens are equally likely, like
# the faces of a die. **Before you run the next cell:** the first two tokens have the ratio 2 at
# $\tau = 1$. What is it at $\tau = 1/2$, and at $\tau = 2$?

# %%
z = np.log([0.5, 0.25, 0.15, 0.1])
for tau in (0.5, 1.0, 2.0, 100.0):
    p = softmax(z / tau)
    print(f"temperature {tau:5}: {p.round(3)}, ratio {p[0] / p[1]:.3f}")

# %% [markdown]
# ## Top-k and top-p
#
# *Top-k* keeps the k likeliest tokens, sets the others to 0 and divides by the sum of what is left.
# *Top-p*, also called *nucleus sampling*, keeps the smallest set of likeliest tokens whose mass
# reaches a limit, also called p (`top_p` in the code): many tokens where the model is unsure, few
# where it is sure. By hand, as a loop over one row:

# %%
def top_p_loop(p, top_p):
    kept, mass = np.zeros_like(p), 0.0
    for i in np.argsort(-p, kind="stable"):  # the likeliest first
        if mass >= top_p:
            break
        kept[i] = p[i]
        mass += p[i]
    return kept / mass

# %% [markdown]
# **Before you run the next cell:** how many of the probabilities 0.1, 0.5, 0.15, 0.25 does top-p keep
# at p = 0.7? And at p = 0.4?

# %%
p = np.array([0.1, 0.5, 0.15, 0.25])
for top_p in (0.7, 0.4):
    print(top_p, top_p_loop(p, top_p).round(3))

# %% [markdown]
# The vector form sorts all rows at once, cuts them, and puts the numbers back where they came from. Two
# choices: the cut by k comes before the cut by p, and p counts the mass of what k has left, as in Hugging
# Face's library `transformers`.

# %% tags=["export"] module="generate.py"
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

# %% [markdown]
# Does it agree with the loop, on rows from our model and for several p?

# %%
rows = softmax(logits[:5, -1])  # (5, V)
for top_p in (0.1, 0.5, 0.9, 0.99, 1.0):
    same = np.allclose(keep_likeliest(rows, top_p=top_p), [top_p_loop(q, top_p) for q in rows])
    print(f"top_p = {top_p}: loop and vectors agree: {same}")

# %% [markdown]
# The two cuts and the temperature make one distribution. Temperature 0 is the limit that we found
# above. The largest logit is subtracted before the division: divided by 1e-308, a logit of 2 is infinite,
# and a softmax over infinities is not a number. Values that make no sense are refused by name.

# %% tags=["export"]
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

# %%
z = np.array([[2.0, 1.0, 0.5]])
with np.errstate(over="ignore", invalid="ignore"):
    print("temperature 1e-308, divided first:", softmax(z / 1e-308)[0])
print("temperature 1e-308, as above:     ", next_token_probs(z, temperature=1e-308)[0])


# %% [markdown]
# Now real distributions: what may follow when Romeo says `I `, and when he says `What say'st t`? The bars
# show the model's probabilities; color and hatching show which cut keeps a character. The black line is
# the sum of the bars so far: top-p keeps all up to the first at which it reaches 0.9, and top-k the first
# five. The symbol ␣ stands for the space.

# %%
# (top-k keeps it, top-p keeps it): color, hatching, label
looks = {
    (True, True): (BLUE, "", "both keep it"),
    (False, True): (ORANGE, "///", "top-p 0.9 only"),
    (True, False): (GREEN, "...", "top-k 5 only"),
    (False, False): (GRAY, "xxx", "neither"),
}

# %%
def draw_bars(axes, start):
    z = next_logits(np.array([tokenizer.encode(start)]))
    p = softmax(z)[0]
    order = np.argsort(-p, kind="stable")[:16]
    by_k, by_p = next_token_probs(z, top_k=5)[0] > 0, next_token_probs(z, top_p=0.9)[0] > 0
    names = [repr(tokenizer.decode([i]))[1:-1].replace(" ", "␣") for i in order.tolist()]
    for bar, i in zip(axes.bar(names, p[order]), order, strict=True):
        color, hatch, _ = looks[by_k[i], by_p[i]]
        bar.set(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0)
    axes.step(range(len(order)), np.cumsum(p[order]), where="mid", color=BLACK, lw=1)
    axes.axhline(0.9, color=BLACK, linestyle=":", lw=0.8)
    axes.set(title=f"after {start[7:]!r}", xlabel="next character", ylim=(0, 1.03))
    print(f"after {start[7:]!r:17} top-k 5 keeps {p[by_k].sum():.2f} of the mass; "
          f"top-p 0.9 keeps {p[by_p].sum():.2f}, {by_p.sum():2} characters")

# %%
figure, panels = subplots(1, 2, size=(9, 3.2), sharey=True)
for axes, start in zip(panels, ["ROMEO:\nI ", "ROMEO:\nWhat say'st t"], strict=True):
    draw_bars(axes, start)
panels[0].set_ylabel("probability")
for color, hatch, label in looks.values():    # bars of height 0, for the legend
    panels[1].bar([0], [0], facecolor=color, hatch=hatch, edgecolor="white", label=label)
panels[1].legend(loc="center right")
show(figure, "Two bar charts of next-character probabilities, with their running sums. After 'I ' "
             "the mass is spread, and top-p keeps more characters than top-k 5; after \"What "
             "say'st t\" one character has most of the mass, and top-p keeps fewer.")

# %% [markdown]
# A fixed k does not know how sure the model is. After `I ` five characters hold little more than half
# of the mass, and the model's other good ideas are lost; after `What say'st t` three would have done.
# Top-p adapts to the model.
#
# Temperature comes before the cuts, so it moves them, too. Here the gray bars are the model's
# probabilities, and the blue ones what is left to draw from, at a temperature of 0.7 with both cuts.

# %% tags=["widget"]
def draw_kept(prompt, temperature, top_k, top_p):
    known = [tokenizer.id_of[c] for c in prompt if c in tokenizer.id_of] or [0]
    z = next_logits(np.array([known]))
    p, kept = softmax(z)[0], next_token_probs(z, temperature, top_k, top_p)[0]
    order = np.argsort(-p, kind="stable")[:20]
    names = [repr(tokenizer.decode([i]))[1:-1].replace(" ", "␣") for i in order.tolist()]
    figure, axes = subplots(size=(7, 3))
    axes.bar(names, p[order], width=0.9, color=GRAY, label="the model's")
    axes.bar(names, kept[order], width=0.5, color=BLUE, label="to draw from")
    axes.set(xlabel="next character", ylabel="probability", ylim=(0, max(0.5, 1.05 * kept.max())),
             title=f"{(kept > 0).sum()} of {len(p)} characters are left")
    axes.legend()
    show(figure, f"Probabilities after {prompt!r}: gray, the model's; blue, what the settings leave.")
    return figure

# %%
figure = draw_kept("ROMEO:\nI ", 0.7, 10, 0.9)

# %% [markdown]
# Two questions for the sliders of a running notebook. After `What say'st t`, which of the two cuts leaves
# fewer characters? And with top-k at 63, where it cuts nothing, how far must you raise the temperature
# until top-p leaves twice as many?

# %% tags=["skip-execution", "widget"]
from coursekit.widgets import FloatSlider, IntSlider, Textarea, interactive

panel = interactive(
    draw_kept,
    prompt=Textarea("ROMEO:\nI ", rows=2),
    temperature=FloatSlider(0.7, min=0, max=3, step=0.1),
    top_k=IntSlider(10, min=1, max=63),
    top_p=FloatSlider(0.9, min=0.05, max=1, step=0.05),
)
for control in panel.children[:-1]:    # the last child is the figure
    control.style.description_width = "7em"    # room for "temperature"
panel

# %% [markdown]
# <details><summary>Answer</summary>
#
# Top-p: at temperature 0.7 it leaves 2 characters, while top-k leaves 10. Raise the temperature to
# 1.1, and top-p leaves 4. After `I ` that takes longer: 10 at temperature 0.7, and 21 at 1.7.
#
# </details>

# %% [markdown]
# ## Drawing one token
#
# We have probabilities and need a token. Lay the $p_i$ end to end on a line of length 1 and throw
# a dart $u$, uniform in [0, 1). It hits piece $i$ when
#
# $$c_{i-1} \le u < c_i, \qquad c_i = \sum_{j \le i} p_j,$$
#
# and the length of this piece is $c_i - c_{i-1} = p_i$. So the token is the first $i$ with $c_i >
# u$. The field calls this *inverse transform sampling*.

# %% tags=["export"]
def draw(probs, rng):
    """Return one id for each row of probs (B, V), by inverting the cumulative distribution."""
    u = rng.random((len(probs), 1))
    cumulative = np.cumsum(probs, axis=-1)
    if not (cumulative[:, -1] > 0).all():  # refuses NaN, too
        raise ValueError("a row of probabilities holds only zeros, or NaN")
    # Rounding can leave the last sum at 0.9999...: scale u, so that it always falls below it.
    return (cumulative > u * cumulative[:, -1:]).argmax(axis=-1)

# %% [markdown]
# A check by counting: 100,000 darts on four pieces, one of length 0. Then the same check on a draw with
# a bug: one dart for the whole batch. **Before you run the next cell:** what will the second line say? And
# would you notice the bug with a batch of 1?

# %%
def frequencies(draw):
    probs = np.tile([0.1, 0.6, 0.0, 0.3], (100_000, 1))
    return np.bincount(draw(probs, np.random.default_rng(0)), minlength=4) / len(probs)

def draw_with_one_dart(probs, rng):
    return (np.cumsum(probs, axis=-1) > rng.random()).argmax(axis=-1)

# %%
print("draw:    ", frequencies(draw).round(2).tolist())
print("one dart:", frequencies(draw_with_one_dart).round(2).tolist())

# %% [markdown]
# With one dart, all rows hit the same piece. A batch of 1 has only one row, so nothing looks wrong
# there.
#
# ## What the past costs
#
# So far each new character costs a full forward pass over the window: with 64 characters in it,
# 63 have been read before. Look at attention, for the query at position $i$ and one head:
#
# $$o_i = \sum_{j \le i} p_{ij} v_j, \qquad p_{ij} = \operatorname{softmax}_j\!\left(\frac{q_i \cdot k_j}{\sqrt{D}}\right).$$
#
# The last position needs its own query $q_i$, but the keys and values of all positions. In the
# first block $k_j$ and $v_j$ depend on token $j$ and its position alone. What the block gives at
# position $j$ depends on tokens up to $j$, so in the second block $k_j$ and $v_j$ depend on tokens
# up to $j$; and so on upward. In no block do they depend on a later token: the causal mask sees to
# that. So we can keep them.
#
# The next cell reads 6 tokens, then 7, and compares the first 6 keys. With the mask all should
# agree. **Before you run the one after it:** how many agree with the mask switched off, in the last
# block and in the first?

# %%
def keys_that_agree(layer, causal):
    kept = []
    for block in model.blocks:
        block.attn.causal = causal
    for n in (6, 7):
        model(prompt[:, :n])
        kept.append(model.blocks[layer].attn.k[0, :, :6].copy())  # (H, 6, D)
    for block in model.blocks:
        block.attn.causal = True
    return [bool(np.allclose(kept[0][:, j], kept[1][:, j])) for j in range(6)]

# %%
print("last block, with the mask:    ", keys_that_agree(-1, causal=True))
print("last block, without the mask: ", keys_that_agree(-1, causal=False))
print("first block, without the mask:", keys_that_agree(0, causal=False))

# %% [markdown]
# With the mask, nothing that has been read ever changes. Without it, every key of the last block
# has heard of the seventh token. In the first block no key has, even then: there a key depends on
# its own token and position alone.
#
# ## The KV cache
#
# The *KV cache* keeps `k` and `v` of the window, for every layer. One question remains: the position
# embedding has `block_size` rows, so what happens when the window is full? We cannot shift the kept keys
# by one: they were computed at their old positions. We drop the older half of the window and read the
# newer half again, from position 0. Half a window read again for every half window of new tokens is
# about one more token read for each new one.

# %% tags=["export"]
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

# %% [markdown]
# Each layer hands its new keys and values to `extend`, and gets back all that the window has. The
# arrays have room for a full window: a new token writes one row, and nothing is copied.

# %% tags=["export"]
@add_to_class(KVCache)
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

# %% [markdown]
# `append` is what others call. It halves the window when it must, and leaves the reading to `_read`.

# %% tags=["export"]
@add_to_class(KVCache)
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

# %% [markdown]
# `_read` is `GPT.forward` of [chapter 12](12_gpt.ipynb), for the new tokens only. Two things
# differ: positions count from `start`, and the head sees only the last position. A model of another
# build may have a method `read(ids, cache)` for this; our GPT has none.

# %% tags=["export"]
@add_to_class(KVCache)
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

# %% [markdown]
# And `_attend` is the attention of [chapter 10](10_attention.ipynb) with n queries and `end` keys.
# Query $i$ of the new ones stands at position `end - n + i`, so it may see the keys up to there. In
# `np.triu(…, end - n + 1)` the diagonal moves right by `end - n`: nothing of the past is masked.

# %% tags=["export"]
@add_to_class(KVCache)
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

# %% [markdown]
# ## Check it, then break it
#
# Sampling has no backward pass. What we check is that, at every step, the cache gives the logits of the
# full forward pass over its window. We feed it 110 characters of Shakespeare, two sequences at once,
# first 5 characters and then one by one: the window fills up and is halved, more than once. **Before you
# run the cells:** which token halves it first?

# %%
def check_cache(cache_class, n_tokens=110):
    """Compare each step with the full pass; return the first token that differs, and the sizes."""
    ids = np.array([tokenizer.encode(text[s : s + n_tokens]) for s in (1000, 5000)])  # (2, n)
    cache, sizes = cache_class(model, batch_size=2), []
    for n, new in enumerate(np.split(ids, range(5, n_tokens), axis=1)):
        logits = cache.append(new)
        sizes.append(cache.window.shape[1])
        if np.abs(logits - model(cache.window)[:, -1]).max() > 1e-11:
            return f"WRONG at token {n + 5}", sizes
    return f"right for {n_tokens} tokens", sizes

# %%
verdict, sizes = check_cache(KVCache)
print(verdict, "| window sizes:", sizes[0], "...", sizes[58:62], "...", sizes[90:94], "...")

# %% [markdown]
# The 64th token fills the window, so the 65th halves it. How much does each pass of the cache read, for
# 250 tokens that come one by one?

# %%
class CountingCache(KVCache):
    def _read(self, ids):
        self.count += ids.shape[1]
        return KVCache._read(self, ids)

cache, reads = CountingCache(model), []
for i in tokenizer.encode(text[1000:1250]):
    cache.count = 0
    cache.append(np.array([[i]]))
    reads.append(cache.count)
print("passes that read more than 1 token:", {n + 1: r for n, r in enumerate(reads) if r > 1})
print(f"five periods, tokens 65 to 229: {np.mean(reads[64:229]):.2f} tokens read for each new one")

# %%
figure, axes = subplots(size=(7, 2.6))
n = np.arange(1, 251)
axes.plot(n, np.minimum(n, T), color=ORANGE, label="full pass over the window")
axes.bar(n, reads, width=1, color=BLUE, label="KV cache")
axes.set(xlabel="new token, number", ylabel="tokens read for it")
axes.legend(loc="upper right", bbox_to_anchor=(1, 0.95))
show(figure, "Tokens read for each of 250 new tokens. The full pass reads all of the window: 1, 2, "
             "and so on up to 64. The cache reads 1 each time, except for spikes of 32 whenever "
             "the window is full.")

# %% [markdown]
# A period has 33 tokens: one pass over 32, then 32 passes over 1, until the window is full again.
# That is 64 tokens read for 33 new ones, about one more each, as we said. Now a tempting
# improvement: reading half a window again looks wasteful, since its keys are already there. This
# class moves them to the front and goes on. **Before you run the cell:** at which token will the
# check notice?

# %%
class MovesOldKeys(KVCache):
    def append(self, ids):
        block_size = self.model.config.block_size
        if self.window.shape[1] == block_size:
            half = block_size // 2
            self.k[..., :half, :] = self.k[..., half:, :].copy()
            self.v[..., :half, :] = self.v[..., half:, :].copy()
            self.window = self.window[:, half:]
        return KVCache.append(self, ids)

print(check_cache(MovesOldKeys)[0])
print("a test of 60 tokens says:", check_cache(MovesOldKeys, n_tokens=60)[0])

# %% [markdown]
# A short test would have let it pass. The first 64 tokens are right; at the 65th the moved keys
# still carry the positions 32 to 63, while the model takes them for 0 to 31.
#
# ## Generate
#
# What is left is the loop of the first cells. Here it has no end: it yields token after token, and the
# caller takes as many as it likes. The first pass reads the whole prompt at once, which the field calls
# *prefill*; then comes *decoding*, one token a pass. All prompts of a batch have the same length.

# %% tags=["export"]
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

# %% tags=["export"]
def generate(model, ids, max_new_tokens, **options):
    """Return ids (B, T) and max_new_tokens more, (B, T + max_new_tokens); options as `stream`."""
    return np.concatenate([ids, *islice(stream(model, ids, **options), max_new_tokens)], axis=1)

# %% [markdown]
# Temperature 0 must give the greedy text of the first cells until the window is full: after that,
# the two drop old tokens in different ways. Then three temperatures. Read them aloud.

# %%
greedy = generate(model, prompt, 57, temperature=0, rng=np.random.default_rng(0))
print("greedy as before:", np.array_equal(greedy, ids[:, :64]))
for temperature in (0.5, 0.8, 1.5):
    out = generate(model, prompt, 200, temperature=temperature, rng=np.random.default_rng(1))
    print(f"\n---- temperature {temperature}\n{tokenizer.decode(out[0].tolist())}")

# %% [markdown]
# ## How much does the cache save?
#
# Count multiplications for one new token with $n$ tokens in the window. The matrices of a block
# hold $12 C^2$ weights (4 in attention, 8 in the feed-forward part, times $C^2$), and each is used
# once for every token that is read. Scores and weighted sum take $2 n C$ for each query. With
# $n_{layer}$ blocks, and the head left out:
#
# $$\text{full pass: } n\, n_{layer}\,(12 C^2 + 2 n C), \qquad \text{cache: } n_{layer}\,(12 C^2 + 2 n C).$$
#
# The ratio is $n$. The second cell looks at the clock: 57 new tokens after a prompt of 7. The first
# costs the same both ways, since the prompt must be read. After that, by the count, the factor
# grows from 8 to 63. **Before you run it:** how many times as fast do you expect the cache to be?

# %%
n_layer, C = model.config.n_layer, model.config.n_embd
for n in (8, 63):
    cached = n_layer * (12 * C**2 + 2 * n * C) / 1e6
    print(f"{n:2} tokens: {n * cached:4.1f} million by a full pass, {cached:.2f} million with the cache")

# %% tags=["measurement"]
import time

start = time.perf_counter()
generate(model, prompt, 57, rng=np.random.default_rng(0))
with_cache = time.perf_counter() - start
start = time.perf_counter()
for t in range(7, 64):
    next_logits(ids[:, :t])
without = time.perf_counter() - start
print(f"57 tokens: the cache is {without / with_cache:.1f} times as fast here")

# %% [markdown]
# Passes of one token make small products. Each has a fixed overhead in Python and NumPy, and reads all the
# weights for a single row. So the measured speed-up is smaller than the count predicts.
#
# ## Between circle and mess
#
# Which temperature is good? We measure two things on samples. *Real words*: the share of the words
# that occur somewhere in Shakespeare's text. *Variety*: the number of different runs of 8
# characters, as a share of all such runs. Circles have little variety; a mess has few real words.
# One draw may be lucky (chapter 16), so each setting gets eight, each of eight samples; we print
# mean and standard deviation.

# %%
import re

known = set(re.findall(r"[a-z']+", text.lower()))

def judge(samples):
    """The share of real words, and that of runs of 8 characters, equal ones counted once."""
    words = [w for s in samples for w in re.findall(r"[a-z']+", s.lower())]
    runs = [s[i : i + 8] for s in samples for i in range(len(s) - 7)]
    return sum(w in known for w in words) / len(words), len(set(runs)) / len(runs)

def measure(**settings):
    """Real words and variety of eight draws, each of eight samples of 150 characters: (8, 2)."""
    prompts = np.repeat(prompt, 64, axis=0)
    out = generate(model, prompts, 150, rng=np.random.default_rng(2), **settings)
    samples = [tokenizer.decode(row[7:].tolist()) for row in out]
    return np.array([judge(samples[i : i + 8]) for i in range(0, 64, 8)])

# %%
def report(name, draws):
    (real, variety), (d_real, d_variety) = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    print(f"{name:16}  real words {real:.3f} ± {d_real:.3f}, variety {variety:.3f} ± {d_variety:.3f}")

# %% [markdown]
# One setting takes a second or two. Put in another temperature, above 1 for a mess:

# %%
report("temperature 0.8", measure(temperature=0.8))

# %% [markdown]
# `python benchmarks/sampling.py` has measured seven more temperatures and four cuts, with the code of these
# cells. We read its file. **Before you run the next cell:** at temperature 0, why will the variety be near
# 0, and not higher?

# %%
found = json.loads(Path("../data/sampling.json").read_text(encoding="utf-8"))

def from_file(name, value):
    """The eight draws with one setting, (8, 2)."""
    return np.array(next(s["draws"] for s in found["settings"] if s.get(name) == value))

temperatures = [0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5]
measured = np.array([from_file("temperature", t) for t in temperatures])    # (temperatures, draws, 2)
for t, draws in zip(temperatures, measured, strict=True):
    report(f"temperature {t:4}", draws)

# %%
figure, axes = subplots(size=(5.5, 3.2))
lines = [("o-", BLUE, "words that Shakespeare has"), ("s-", ORANGE, "runs of 8 that differ")]
for (style, color, label), y in zip(lines, np.moveaxis(measured, 2, 0)):    # y: (temperatures, draws)
    axes.fill_between(temperatures, y.min(axis=1), y.max(axis=1), color=color, alpha=0.25, lw=0)
    axes.plot(temperatures, y.mean(axis=1), style, ms=4, color=color, label=label)
axes.set(xlabel="temperature", ylabel="share of the sample", ylim=(0, 1.05))
axes.legend(loc=(0.22, 0.06))
show(figure, "Real words and variety of samples against temperature, means of eight draws inside "
             "bands from lowest to highest. Variety rises from near 0 at temperature 0 to almost 1 "
             "at 0.6; real words fall from 0.25 on, to less than half at 1.5. The bands are narrow.")

# %% [markdown]
# At temperature 0 all eight samples of a draw are the same text, so the variety cannot exceed 1/8;
# and that text runs in circles, which brings it down to 0.081. As the temperature rises, variety
# grows first and the words fall apart later. In between lies a range that is good at both; the
# command `numpygpt sample` takes 0.8.
#
# And the cuts? We measure them at temperature 1, where they take away the tail. Is there a
# temperature without cuts that does as well on both scales?

# %%
cuts = {}
for name, value in (("top_k", 5), ("top_k", 10), ("top_p", 0.9), ("top_p", 0.7)):
    cuts[f"{name} {value}"] = draws = from_file(name, value)
    report(f"{name} {value}", draws)

# %%
for name, t in (("top_p 0.9", 0.8), ("top_p 0.7", 0.6), ("top_k 5", 0.7)):
    gap = cuts[name] - measured[temperatures.index(t)]    # (draws, 2)
    (real, variety), error = gap.mean(axis=0), gap.std(axis=0, ddof=1) / math.sqrt(8)
    print(f"{name} minus temperature {t}: real words {real:+.3f}, variety {variety:+.3f}, "
          f"standard errors {error[0]:.3f} and {error[1]:.3f}")

# %%
figure, axes = subplots(size=(5.8, 3.6))
axes.plot(*measured[2:7].mean(axis=1)[:, ::-1].T, color=BLUE)    # temperatures 0.5 to 1
points = {f"$\\tau$ = {t}": draws for t, draws in zip(temperatures[2:7], measured[2:7])}
for name, draws in (points | cuts).items():
    (y, x), (dy, dx) = draws.mean(axis=0), draws.std(axis=0, ddof=1) / math.sqrt(8)
    color, shift = ORANGE if name in cuts else BLUE, 8 if "top_p" in name else -8
    axes.errorbar(x, y, dy, dx, fmt="o", ms=4, color=color)
    axes.annotate(name, (x, y), (shift, shift), textcoords="offset points", color=color, va="center",
                  ha="left" if shift > 0 else "right")
axes.set(xlabel="variety", ylabel="real words", xlim=(0.947, 1.006))
show(figure, "Real words against variety, means of eight draws with their standard errors. From "
             "temperature 0.5 to 1 a curve falls from upper left to lower right. Top-p 0.7 and 0.9 lie on "
             "its outer side, close by; top-k 10 lies on it and top-k 5 well inside.")

# %% [markdown]
# Every cut makes more words real than temperature 1 alone. Top-p lies near the curve of the
# temperatures $\tau$, or a little outside, which is the better side: 0.9 beside 0.8, 0.7 beside
# 0.6, each ahead on one scale by about two standard errors. Top-k 5 lies inside. It has the real
# words of temperature 0.7 and less variety, by more than three standard errors: it cuts most where
# the model is unsure. So for this model top-p and a lower temperature are nearly the same trade.
#
# Try it: a cut and a higher temperature together,
# `report("both", measure(temperature=1.2, top_p=0.7))`. Is that better on both scales than
# temperature 0.7 alone?

# %% [markdown]
# <details><summary>Answer</summary>
#
# A little: 0.863 and 0.990, against 0.836 and 0.987. The differences, 0.027 and 0.003, are 2.4 and 1.5 of
# their standard errors, so we believe the first only.
#
# </details>

# %% [markdown]
# ## Export

# %%
export("17_sampling")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/17_sampling.ipynb](../exercises/17_sampling.ipynb). A check says what is
# wrong, and `hint("sampling-temperature")` helps.
#
# | task | | minutes |
# |---|---|---|
# | temperature | easy | 10 |
# | top-k | medium | 15 |
# | top-p | hard | 25 |
# | draw | medium | 15 |
# | the KV cache | hard | 30 |
#
# ## Recap
#
# - The likeliest next token, again and again, gives circles; a pure draw gives a mess now and then.
# - Temperature raises ratios to the power $1/\tau$; top-k and top-p cut the tail and renormalize.
# - Within a window, keys and values never change, thanks to the causal mask: the KV cache keeps
#   them, and gives the logits of the full pass.
# - We exported `numpygpt/generate.py`: `next_token_probs`, `draw`, `KVCache`, `stream`, `generate`.
# - You have now built everything it takes to train a GPT and to let it write.
# - Next: Speed, where the same numbers come sooner.
