# %% [markdown]
# # Chapter 7: A first language model
#
# We have layers, a loss and an optimizer. Before we train anything, let us see how far mere
# counting goes. We take nine tenths of our Shakespeare and count, for each character, which
# character comes next and how often.

# %%
import json
import math
from pathlib import Path

import numpy as np

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
chars = sorted(set(text))                           # the vocabulary
id_of = {c: i for i, c in enumerate(chars)}
ids = np.array([id_of[c] for c in text])            # (N,)
N, V = len(ids), len(chars)
n = N * 9 // 10                                     # training: ids[:n], validation: ids[n:]
print(f"{N:,} characters, {V} different ones; {n:,} to count, {N - n:,} held back")

# %% [markdown]
# The function below gives each pair $(i, j)$ the number $iV + j$. `np.bincount` counts how often
# each number occurs.

# %%
def count_pairs(ids):
    """counts[i, j]: how often character j follows character i."""
    pairs = ids[:-1] * V + ids[1:]                  # one number for each pair
    return np.bincount(pairs, minlength=V * V).reshape(V, V)

# %% [markdown]
# Each row of counts, divided by its sum, is a row of probabilities. We measure them with the
# cross-entropy of [chapter 5](05_softmax_cross_entropy.ipynb), first on the text that we counted,
# then on the last tenth. Equal pairs have equal losses, so we compute each loss once and multiply
# it by its count. Look at the second number.

# %%
def pair_loss(counts, P):
    used = counts > 0                               # a pair that never occurs costs nothing
    with np.errstate(divide="ignore"):
        return -(counts[used] * np.log(P[used])).sum() / counts.sum()

train_counts, val_counts = count_pairs(ids[:n]), count_pairs(ids[n:])
P_raw = train_counts / train_counts.sum(axis=1, keepdims=True)
print(f"training   {pair_loss(train_counts, P_raw):.4f} nats per character")
print(f"validation {pair_loss(val_counts, P_raw):.4f}")

# %% [markdown]
# Infinite. On the text that it has seen, this table is the best of its kind, as we will prove. On
# new text it is as wrong as it can be. Here is why:

# %%
unseen = (train_counts == 0) & (val_counts > 0)
start = text.index("Master:\nBoatswain!")  # where The Tempest begins
print(f"{(N - start) / (N - n):.0%} of the last tenth is The Tempest")
print(f"{unseen.sum()} new pairs:", [chars[i] + chars[j] for i, j in np.argwhere(unseen)])
print(f"they stand at {val_counts[unseen].sum()} of {val_counts.sum():,} places; of these")
for name in ["PROSPERO", "SEBASTIAN", "GONZALO", "CALIBAN", "FERDINAND"]:
    last, rest = text[n:].count(name), text[:n].count(name)
    print(f"{last:4} are in {name}, which occurs {rest} times in the rest")

# %% [markdown]
# Three quarters of the last tenth is a play that the rest does not contain, *The Tempest*. Nearly
# all places with a new pair are in its names: SP, for one, in PROSPERO. The table gives probability
# 0 to what it has not seen, and $-\log 0$ is infinite. One such place would have been enough.
#
# **The question of this chapter:** how do we predict the next character so well that a text we have
# never seen is no surprise? We count, then learn the same table by gradient descent, and then train
# a network that reads more than one character. Everything comes from chapters 1 to 6.
#
# ## What a language model is
#
# A **language model** gives a probability to each possible next character, given the characters
# before it, the **context**. Its loss on a text $c_1 \dots c_N$ is the mean of
# $-\log p(c_t \mid \text{context})$, in nats per character. Divided by $\ln 2$, it is in **bits**
# per character. $e$ to the power of the loss is its **perplexity**: the number of equally likely
# characters among which the choice would be as hard. The held-back text is the **validation** set: we
# measure on it and never train on it. A model with no context is a **unigram**; with one character of context it is a **bigram**.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `ids` | the text, an integer from 0 to V − 1 for each character | `(N,)` |
# | `counts` | how often $j$ follows $i$ | `(V, V)` |
# | `P` | probability of $j$ after $i$; each row sums to 1 | `(V, V)` |
# | `W` | the logits of `P`: `P = softmax(W)` | `(V, V)` |
# | `x` | `K` ids of context for each of `B` examples | `(B, K)` |
# | `targets` | the id that came next | `(B,)` |
# | `logits` | a score for each next character | `(B, V)` |
#
# ## By hand
#
# The text `abbab` has four pairs: ab, bb, ba, ab. After a comes b twice; after b comes b once and a
# once. **Before you run the next cell:** what are the four probabilities, and what is the loss of
# this text? Two of its pairs were certain and two were even chances.

# %%
tiny = np.array([[0, 2], [1, 1]])                   # row: first character; column: next
P_tiny = tiny / tiny.sum(axis=1, keepdims=True)
print(P_tiny.tolist(), f"  loss {pair_loss(tiny, P_tiny):.4f},  ln 2 / 2 = {math.log(2) / 2:.4f}")

# %% [markdown]
# Our counting took a detour through the numbers $iV + j$. The plain loop must agree:

# %%
def count_pairs_loop(ids):
    counts = np.zeros((V, V), dtype=int)
    for i, j in zip(ids[:-1], ids[1:], strict=True):
        counts[i, j] += 1
    return counts

print("loop and bincount agree:", np.array_equal(count_pairs_loop(ids[:n]), train_counts))

# %% [markdown]
# ## Smoothing
#
# The oldest cure for zeros is to add the same number $\alpha$ to every count, as if each pair had
# been seen $\alpha$ times more:
#
# $$P_{ij} = \frac{C_{ij} + \alpha}{\sum_k (C_{ik} + \alpha)}$$
#
# **Before you run the next cell:** as $\alpha$ grows, what happens to the training loss? And to the
# validation loss?

# %%
def smoothed(counts, alpha):
    return (counts + alpha) / (counts + alpha).sum(axis=1, keepdims=True)

for alpha in [0.01, 0.1, 1, 10, 100]:
    P = smoothed(train_counts, alpha)
    print(f"alpha {alpha:6}: training {pair_loss(train_counts, P):.4f}, "
          f"validation {pair_loss(val_counts, P):.4f}")

# %% [markdown]
# The training loss only gets worse: we mix invented data with the real data. The validation loss
# falls and then rises. We take $\alpha = 1$. Two caveats. We chose $\alpha$ on the validation set, so
# 2.4885 is slightly too good, though one number tuned on 119,000 characters gains little. And the
# invention is not small everywhere. A row gets 63 invented pairs, and the rarest character has few
# real ones:

# %%
P = smoothed(train_counts, 1)
rare, seen = train_counts.sum(axis=1).argmin(), train_counts.sum(axis=1).min()
print(f"{chars[rare]!r}: {seen} real pairs, {V} invented; 'e': {train_counts[id_of['e']].sum():,}")

# %% [markdown]
# Here is the table, rows for the first character and columns for the next. **Before you look:**
# which row has nearly everything in one column? Why is one large block, small letters followed by
# capitals, dark?

# %%
from matplotlib.colors import PowerNorm

from coursekit.figures import GRAY, POSITIVE, show, subplots

names = ["↵" if c == "\n" else "␣" if c == " " else c for c in chars]
figure, ax = subplots(size=(8.4, 7.4))
image = ax.imshow(P, cmap=POSITIVE, norm=PowerNorm(0.5, 0, 1))    # brings out small ones
for axis in (ax.xaxis, ax.yaxis): axis.set_ticks(range(V), names, fontsize=7)
ax.set(xlabel="next character", ylabel="character", title="P(next | character)")
figure.colorbar(image, label="probability", shrink=0.7)
show(figure, "A 63 by 63 grid of probabilities, characters on both axes. Row q is bright in column "
             "u alone; the columns of the vowels and of the space are bright; small letters are never "
             "followed by capitals; the rows of &, X and Z have an even tint.")

# %%
print(f"P(u | q) = {P[id_of['q'], id_of['u']]:.2f},  P(space | ,) = {P[id_of[','], id_of[' ']]:.2f}")

# %% [markdown]
# It is row `q`. A capital stands at the start of a word or in a name that is all capitals, never
# after a small letter. The even tint of the rows of rare characters, such as `&` and `X`, is our
# smoothing.
#
# ## The same table, learned
#
# Now we forget how to count and train `P = softmax(W)` from a random `W`. In row $i$ stand the
# logits after character $i$. A one-hot row picks it: $x W$ is row $i$ of $W$ if $x$ is 1 at $i$ and
# 0 elsewhere. So the bigram is a `Linear(V, V, bias=False)`.
#
# What does gradient descent find? Let pair $m$ of the $M$ pairs have the first character $i_m$
# and the target $t_m$. Chapter 5 gives the gradient $dl$ of its logits, $\frac1M (p - y)$:
#
# $$dl_{mj} = \frac1M \left( P_{i_m j} - \delta_{j t_m} \right)$$
#
# Row $i$ of $W$ was used wherever $i_m = i$, so it gathers from there:
#
# $$dW_{ij} = \frac1M \sum_m \delta_{i i_m} \left( P_{ij} - \delta_{j t_m} \right)$$
#
# $P_{ij}$ does not depend on $m$, and the first sum counts how often $i$ occurs: $n_i$. The second
# counts how often $j$ follows $i$: $C_{ij}$.
#
# $$dW_{ij} = \frac1M \left( n_i P_{ij} - C_{ij} \right) \qquad\Longrightarrow\qquad
# dW = \frac1M \left( \mathrm{diag}(n)\, P - C \right)$$
#
# Here $\mathrm{diag}(n)$ is the matrix with $n$ on its diagonal; it multiplies row $i$ of $P$ by
# $n_i$. The gradient is zero where $P_{ij} = C_{ij} / n_i$. As a function of the logits,
# cross-entropy is a bowl, so a point without slope is a lowest point: **it is the counted
# table.** And we need not go through a million positions: their counts say it all. So we write a
# loss that takes counts as targets.

# %%
from coursekit import add_to_class
from numpygpt.nn import CrossEntropyLoss, Linear, Module, ReLU, Sequential
from numpygpt.nn.functional import cross_entropy, log_softmax, softmax

# %%
class CountsLoss(Module):
    """loss = -Σ C log softmax(W) / Σ C.  W: logits, C: counts, both (rows, V)."""

    def __init__(self, C): self.C = C

    def forward(self, W):
        self.W = W
        return -float((self.C * log_softmax(W)).sum() / self.C.sum())

# %%
@add_to_class(CountsLoss)
def backward(self, dloss=1.0):
    n = self.C.sum(axis=1, keepdims=True)           # (rows, 1)
    return dloss * (n * softmax(self.W) - self.C) / self.C.sum()

# %% [markdown]
# Position by position, and by counts, for the first 3,000 characters. Then the check, with three
# rows and five columns, so that the axes cannot be confused.

# %%
from numpygpt.gradcheck import GradientError, gradcheck

rng = np.random.default_rng(7)
W, some = rng.normal(size=(V, V)), ids[:3000]
by_position = cross_entropy(W[some[:-1]], some[1:])
print("both losses agree:", np.isclose(by_position, CountsLoss(count_pairs(some))(W)))
print(gradcheck(CountsLoss(rng.integers(0, 9, (3, 5))), rng.normal(size=(3, 5)), rng=rng))

# %% [markdown]
# Is it really a bowl? It is one if halfway between any two points the loss is at most the mean of
# their losses (the word for it is *convex*). We try a thousand random pairs of points.

# %%
bowl, below = CountsLoss(rng.integers(1, 9, (3, 5))), 0
for _ in range(1000):
    W1, W2 = rng.normal(0, 3, (2, 3, 5))
    below += bowl((W1 + W2) / 2) <= (bowl(W1) + bowl(W2)) / 2
print(f"halfway lies at or below the mean: {below} of 1000 times")

# %% [markdown]
# We train twice: on the text alone, and on the text with one more of each pair, which is smoothing
# with $\alpha = 1$. At every step we note both losses.

# %%
from numpygpt.optim import Adam, WarmupCosineLR, clip_grad_norm

def learn_table(counts, steps=3000):
    table = Linear(V, V, bias=False, rng=np.random.default_rng(7), dtype=np.float64)
    model = Sequential(table, CountsLoss(counts))
    optimizer, history = Adam(model, lr=0.3), []
    schedule = WarmupCosineLR(optimizer, 10, steps, 0.0)
    for _ in range(steps):
        model(np.eye(V))                            # each character once, one-hot
        history.append([CountsLoss(c)(table.W) for c in (train_counts, val_counts)])
        optimizer.zero_grad()
        model.backward(1.0)
        optimizer.step()
        schedule.step()
    return softmax(table.W), np.array(history)

# %%
_, text_only = learn_table(train_counts)
P_learned, one_more = learn_table(train_counts + 1)
for name, Q in [("counted", P), ("learned", P_learned)]:
    print(f"{name}: training {pair_loss(train_counts, Q):.4f}, "
          f"validation {pair_loss(val_counts, Q):.4f}")
print("no probability differs by more than 0.0001:", bool(np.abs(P_learned - P).max() < 1e-4))

# %% [markdown]
# They agree, entry by entry. Gradient descent has found a table that we could have written down.
# That is the point: where we know the answer, it finds it, and we may trust it where we do not.
#
# The other run has no lowest point that it could reach. Its zeros would need logits of minus
# infinity. **Before you look:** what does its validation loss do, step by step?

# %%
figure, ax = subplots(size=(6.4, 3.4))
ax.plot(text_only[:, 0], "-", color="C0", label="text alone, training")
ax.plot(text_only[:, 1], "-", color="C1", label="text alone, validation")
ax.plot(one_more[:, 1], "--", color="C2", label="one more of each pair, validation")
ax.axhline(pair_loss(val_counts, P), color=GRAY, linewidth=0.8)
ax.text(2900, 2.487, "counted, alpha = 1", ha="right", va="top", color="#555555")
ax.set(xscale="log", xlim=(10, 3000), ylim=(2.44, 2.64), xlabel="step", ylabel="nats per character")
ax.legend()
show(figure, "Loss against step. On the text alone the training loss keeps falling, the validation loss "
             "turns upward near step 100; with one more of each pair it settles on the table's line.")

# %%
best = text_only[:, 1].argmin()
print(f"text alone: best validation {text_only[best, 1]:.4f}, at the end {text_only[-1, 1]:.4f}")

# %% [markdown]
# It turns and climbs, on its way to the infinity of the first screen, while the training loss
# still falls. This is **overfitting**, in its smallest form. Stopping early would have helped, too.
# (The bump on all three curves, near step 20, is Adam's: at this large rate its momentum
# carries it too far at first, as in the valley of chapter 6.)
#
# ## More context: an MLP
#
# A table for two characters of context needs $63^3$ = 250,047 entries; one for five, $63^6$ or
# $6 \times 10^{10}$, far more than there is text. We need a model in which contexts share what they
# know. Bengio and others (2003) gave each word a vector of `C` numbers, the same wherever it stands,
# put the `K` vectors of the context in a row, and let a network read that row. We do the same with
# characters. Such a network, Linear layers with an activation between, is a **multilayer
# perceptron**, MLP:
#
# $$h = x W_{\text{read}} \;(B, K, C), \qquad r_{b,\,kC + c} = h_{bkc} \;(B, KC), \qquad
# \text{logits} = \mathrm{ReLU}(r W_1 + b_1)\, W_2 + b_2$$

# %%
class MLP(Module):
    """Logits of the next character.  x: (B, K) ids, logits: (B, V)."""

    def __init__(self, V, K, C, H, *, rng):
        self.read = Linear(V, C, bias=False, rng=rng, dtype=np.float64)
        # Linear made W small, ±1/√V, for V inputs of size 1. A one-hot row has a single 1.
        self.read.W *= math.sqrt(V)
        self.net = Sequential(Linear(K * C, H, rng=rng, dtype=np.float64), ReLU(),
                              Linear(H, V, rng=rng, dtype=np.float64))
        self.one_hot = np.eye(V)

# %% [markdown]
# `reshape` only renames indices, so backward renames them back: $dh_{bkc} = dr_{b,\,kC + c}$. The
# ids have no gradient, and nothing is returned.

# %%
@add_to_class(MLP)
def forward(self, x):
    self.h = self.read(self.one_hot[x])             # (B, K, C)
    return self.net(self.h.reshape(len(x), -1))

@add_to_class(MLP)
def backward(self, dlogits):
    dr = self.net.backward(dlogits)                 # (B, K·C)
    self.read.backward(dr.reshape(self.h.shape))

# %% [markdown]
# One more layer puts the loss after the model, so that we can check and train the two as one.

# %%
class WithLoss(Module):
    def __init__(self, model):
        self.model, self.loss = model, CrossEntropyLoss()

    def forward(self, x, targets):
        return self.loss(self.model(x), targets)

    def backward(self, dloss=1.0):
        self.model.backward(self.loss.backward(dloss))

# %% [markdown]
# The check comes before the training: float64, weights of size 0.5, all sizes different, and
# characters that repeat, as they do in text.

# %%
def check(kind):
    rng = np.random.default_rng(7)
    net = WithLoss(kind(V=7, K=3, C=2, H=5, rng=rng))
    for p in net.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return gradcheck(net, rng.integers(0, 7, (4, 3)), rng.integers(0, 7, 4), rng=rng)

print(check(MLP))

# %% [markdown]
# ### Break it
#
# Here is a version by somebody in a hurry. It has the right shapes, but reads `dr` as if the channels
# came before the positions.

# %%
class SwappedMLP(MLP):
    def backward(self, dlogits):
        B, K, C = self.h.shape
        dr = self.net.backward(dlogits)
        self.read.backward(dr.reshape(B, C, K).transpose(0, 2, 1))

# %% [markdown]
# Would we notice in training? A batch is 256 random places of the training text. `contexts` picks
# the `K` characters before each.

# %%
def contexts(at, K):
    return ids[at[:, None] + np.arange(-K, 0)]      # (B, K)

# %%
def train(net, K, steps, lr=1e-2):
    rng = np.random.default_rng(7)
    optimizer, losses, norms = Adam(net, lr), [], []
    schedule = WarmupCosineLR(optimizer, 100, steps, lr / 20)
    for _ in range(steps):
        at = rng.integers(K, n, 256)
        losses.append(net(contexts(at, K), ids[at]))
        optimizer.zero_grad()
        net.backward()
        norms.append(clip_grad_norm(net, 1.0))
        optimizer.step()
        schedule.step()
    return np.array(losses), np.array(norms)

# %% [markdown]
# We train both versions, from the same start, on the same batches. **Before you look at the answer in
# the cell after the figure:** which curve belongs to the wrong gradient?

# %%
K = 5
def new_net(kind, K=K): return WithLoss(kind(V, K, C=16, H=128, rng=np.random.default_rng(7)))

def smooth(losses, width=25):
    return losses[: len(losses) // width * width].reshape(-1, width).mean(axis=1)

curves = {name: smooth(train(new_net(kind), K, steps=600)[0])
          for name, kind in [("A", SwappedMLP), ("B", MLP)]}

# %%
figure, ax = subplots(size=(6, 3.2))
for (name, values), style in zip(curves.items(), ("o-", "s--"), strict=True):
    ax.plot(np.arange(len(values)) * 25 + 12, values, style, ms=4, label=name)
ax.axhline(pair_loss(val_counts, P), color=GRAY, linewidth=0.8)
ax.text(600, 2.5, "bigram", ha="right", va="bottom", color="#555555")
ax.set(xlabel="step", ylabel="training loss, mean of 25 steps\n(nats per character)")
ax.legend()
show(figure, "Two training curves, A and B, over 600 steps. Both fall quickly and smoothly from "
             "above 3 nats to far below the bigram's line and end close to each other.")

# %%
print("last 25 steps:", {name: round(float(values[-1]), 2) for name, values in curves.items()})
for kind in (SwappedMLP, MLP):
    try:
        check(kind)
        print(f"{kind.__name__}: right")
    except GradientError as error:
        print(f"{kind.__name__}: {str(error).split('[')[0]} is wrong")

# %% [markdown]
# It is A. Its curve is smooth, falls, and beats the bigram: the layers behind `read` have right
# gradients and learn to live with vectors that are pushed in wrong directions. With no curve B
# beside it, nobody would ask. **A falling loss says that something learns. It does not say that the
# gradient is right.**
#
# ## Train it
#
# A new model should start near $\ln V$. We measure the validation loss on every character of the
# last tenth except the first, as for the bigram; the training loss on every ninth character.

# %% tags=["slow"]
def evaluate(net, at, K):
    parts = np.array_split(at, len(at) // 500)
    return sum(net(contexts(part, K), ids[part]) * len(part) for part in parts) / len(at)

val_at, train_at = np.arange(n + 1, N), np.arange(12, n, 9)
net = new_net(MLP)
print(f"start {evaluate(net, val_at, K):.2f}, ln V = {math.log(V):.2f}")
losses, norms = train(net, K, steps=3000)
mlp_losses = [evaluate(net, at, K) for at in (train_at, val_at)]
print(f"longest gradient {norms.max():.1f}; clipped at {(norms > 1).sum()} of {len(norms)} steps")

# %% [markdown]
# No step was clipped: here, clipping is a seat belt. Now the table. The unigram needs no smoothing,
# because all 63 characters occur in the training text. **Before you run the next cell:** the bigram's
# validation loss is 2.4885 nats. What do you expect of the unigram, and of five characters?

# %%
p_unigram = np.bincount(ids[:n], minlength=V) / n
table = [("uniform, ln V", 0, math.log(V), math.log(V))]
table += [("unigram", V, *(-np.log(p_unigram[ids[part]]).mean()
                          for part in (slice(0, n), slice(n + 1, N))))]
for name, Q in [("bigram, counted", P), ("bigram, learned", P_learned)]:
    table += [(name, V * V, *(pair_loss(counts, Q) for counts in (train_counts, val_counts)))]
table += [(f"MLP, {K} characters", net.num_params(), *mlp_losses)]

# %%
print(f"{'':18} numbers   training   validation   validation")
print(f"{'':18} learned       nats         nats         bits  (per character)")
for name, size, training, validation in table:
    print(f"{name:18}{size:8,}{training:11.3f}{validation:13.3f}{validation / math.log(2):13.3f}")

# %%
figure, ax = subplots(size=(6.4, 3.4))
ax.plot(np.arange(0, len(losses), 25) + 12, smooth(losses), label="MLP, training (mean of 25)")
ax.plot(len(losses), mlp_losses[1], "o", color="C1", label="MLP, validation, at the end")
for name, _, _, validation in (table[0], table[1], table[3]):
    ax.axhline(validation, color=GRAY, linewidth=0.8)
    ax.text(len(losses), validation + 0.02, name, ha="right", va="bottom", color="#555555")
ax.set(xlabel="step", ylabel="nats per character", ylim=(1.5, 4.4))
ax.legend(loc="upper center", bbox_to_anchor=(0.45, 0.85))
show(figure, "Training loss of the MLP over 3,000 steps. It starts at ln V, soon passes the unigram's and "
             "the bigram's lines and levels off near 1.7. A dot shows its validation loss, about 1.9.")

# %% [markdown]
# From almost 6 bits per character to under 2.8, and the MLP has only about five times as many
# numbers as the bigram. Its gap between training and validation is wider than the others'. Has it
# learned the training text by heart? Its 3,000 batches of 256 are 768,000 draws from a million
# places, so about half of the places were never drawn. **Before you run the next cell:** what will
# the loss at those places be, compared with the others?

# %%
rng = np.random.default_rng(7)                      # the batches of train, once more
seen = np.zeros(n, bool)
seen[[rng.integers(K, n, 256) for _ in range(3000)]] = True
drawn, never = np.flatnonzero(seen), np.flatnonzero(~seen[K:]) + K
for name, at in [("drawn", drawn), ("never drawn", never)]:
    print(f"places {name:11}: {len(at):,}, loss {evaluate(net, at[::9], K):.2f}")

# %% [markdown]
# Nearly the same, and far below the validation loss. Little is learned by heart; most of the gap is
# the text: mostly another play, with other names and words. Even the unigram, which can hardly
# overfit, does worse there.
#
# ## Let it write
#
# To **sample**, we draw the next character from the model's probabilities, append it, and repeat.
# All models here start from newlines.

# %%
from itertools import zip_longest
from textwrap import wrap

def sample(probabilities, length, rng):
    out = [id_of["\n"]] * K
    for _ in range(length):
        out.append(int(rng.choice(V, p=probabilities(np.array(out[-K:])))))
    return "".join(chars[i] for i in out[K:])

models = {
    "unigram": lambda context: p_unigram,
    "bigram": lambda context: P_learned[context[-1]],
    "MLP": lambda context: softmax(net.model(context[None]))[0],
}

# %%
columns = []
for name, probabilities in models.items():
    written = sample(probabilities, 340, np.random.default_rng(7))
    lines = [piece for line in written.split("\n") for piece in wrap(line, 26) or [""]]
    columns.append([name.upper(), ""] + lines[:14])
for row in zip_longest(*columns, fillvalue=""):
    print("   ".join(f"{piece:26}" for piece in row).rstrip())

# %% [markdown]
# The unigram has the right letters. The bigram has vowels after consonants and words of a plausible
# length. The MLP has speakers with their colons (one of them nearly real: the plays have a
# `KING EDWARD IV`), capitals at the start of lines (long lines are wrapped here), and many English
# words. None of them knows what it says: five characters are about one word.
#
# ## Experiment: how much context helps?
#
# More context holds more information. So why not take twelve characters? Here is a model for three,
# from a new start, after 600 steps on batches of 256:

# %%
def with_context(length):
    """Training and validation loss of a model that sees so many characters."""
    trial = new_net(MLP, length)
    train(trial, length, steps=600)
    return [evaluate(trial, at, length) for at in (train_at[::5], val_at[::5])]

print(f"K = 3: validation {with_context(3)[1]:.2f}")

# %% [markdown]
# `python benchmarks/context.py` has trained six lengths with the code of this chapter. We read its file.
# **Before you run the next cell:** sketch the curve. Where should the model with one character of context
# end, at best?

# %%
found = json.loads(Path("../data/context.json").read_text(encoding="utf-8"))["lengths"]
for row in found:
    print(f"K = {row['K']:2}: {row['numbers']:6,} numbers, validation {row['losses'][1]:.2f}")

# %%
figure, ax = subplots(size=(6, 3.2))
lengths, both = [row["K"] for row in found], np.array([row["losses"] for row in found])
for values, style, name in zip(both.T, ("o-", "s--"), ("training", "validation")):
    ax.plot(lengths, values, style, label=name)
ax.axhline(pair_loss(val_counts, P), color=GRAY, linewidth=0.8)
ax.text(12, 2.48, "bigram, validation", ha="right", va="top", color="#555555")
ax.set(xlabel="characters of context, K", ylabel="nats per character", xticks=lengths)
ax.legend()
show(figure, "Training and validation loss after 600 steps against the context length. Both fall "
             "steeply from one to three characters, are lowest near five, rise slowly toward twelve.")

# %% [markdown]
# With one character the MLP knows what the bigram knows, and comes close to it. The second and
# third character help most. After five, the losses rise again, and the training loss with them, so
# this is not overfitting alone. Nor is it a lack of ability: the network for twelve characters
# could set the weights of the seven farthest to 0 and equal the one for five. But each position has
# weights of its own, 16 × 128 for each additional character, and in 600 steps it does not learn
# what to do with them. With more steps, eight characters catch up with five, but hardly get ahead.
# To profit from what stands far back, a model needs another way to use its context than laying it
# out in a row. The coming chapters are about that way.
#
# Try it: set `H` to 200 in `new_net`, or import `GELU` and put it in place of `ReLU` in `MLP`, and
# run the notebook again. Or train for 6,000 steps, or with `K = 8`. Which helps the validation loss
# most?
#
# <details><summary>Answer</summary>
#
# 200 hidden units: 1.878 after 3,000 steps, against 1.923. GELU does nothing here (1.929), and
# 6,000 steps help on the training text alone: 1.650 instead of 1.703, but 1.924 on the validation
# text. Eight characters give 1.915 after 3,000 steps; twelve give 1.952.
#
# </details>
#
# ## Recap
#
# - We built a bigram twice, by counting and by gradient descent, and the two tables agree.
# - A probability of 0 makes the loss infinite; smoothing, or stopping early, keeps it finite.
# - An MLP with five characters of context beats both by far; `gradcheck` found the wrong gradient
#   that its loss curve hid.
# - This chapter exports nothing: it used what chapters 1 to 6 built.
# - Next: Embedding, which reads a vector for each character without the one-hot product.
