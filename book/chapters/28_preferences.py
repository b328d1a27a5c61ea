# %% [markdown]
# # Chapter 28: Preferences
#
# [Chapter 27](27_finetuning.ipynb) wrote down the right answers. Often nobody can, and yet anybody can say
# which of two answers is better. Here are such choices, with a judge whom we can check: of two
# lines that the same character of Shakespeare's speaks, he prefers the one with *thou* to the one with *you*.
# The model of [chapter 17](17_sampling.ipynb) learns from 80 choices, in ten steps and less than a second. Five
# seeds draw the pairs:

# %%
import json
import re
from pathlib import Path

import numpy as np
from coursekit import export
from coursekit.figures import BLUE, GRAY, GREEN, ORANGE, show, subplots

found = json.loads(Path("../data/preferences.json").read_text())

def of(name, what, step):
    """A number a seed, measured after so many steps."""
    return np.array([run[what][run["steps"].index(step)] for run in found["runs"] if run["name"] == name])

def band(values, digits=1):
    return f"{values.mean():.{digits}f} (from {values.min():.{digits}f} to {values.max():.{digits}f})"

# %%
print("lines of its own with thou, before:", band(100 * of("DPO", "thou", 0), 0), "in 100")
print("                    after 10 steps:", band(100 * of("DPO", "thou", 10), 0), "in 100")
print("it sides with the judge on unseen pairs:", band(100 * of("DPO", "wins", 10), 0), "times in 100")
for what in ("chosen", "rejected"):
    print(f"log p of the {what:8} lines has changed by {band(of('DPO', what, 10))}")

# %% [markdown]
# It has understood. Now look at the last two lines: the lines that we *preferred* have become less likely, too,
# by a factor of $e^{3}$ or so. We said that they are good, and it says them more rarely. **How does a choice become a
# gradient? And how can a model learn to prefer A to B while both get less likely?**
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | rows of chapter 27: first the chosen answers, then the rejected ones; `IGNORE` in place of the prompt's targets | `(2N, T)` |
# | `r` | rewards | `(2N,)` |
# | `margin` | the lead of the chosen answer in each pair | `(N,)` |
# | `log_p`, `reference` | log p of each answer: of the model, and of the model as it was | `(2N,)` |
# | `beta` | how much a nat of distance from the reference costs | a number |
#
# ## The pairs
#
# The rule and the text are all that we need. A pair is two lines by one character; the prompt is his name.

# %%
THOU = re.compile(r"\b(thou|thee|thy|thine|thyself)\b", re.I)
YOU = re.compile(r"\b(you|your|yours|yourself)\b", re.I)
text = Path("../data/shakespeare.txt").read_text()
spoken = {}    # name -> (lines with thou, lines with you)
for name, line in re.findall(r"(?:^|\n\n)([^\n:]+:\n)([^\n]+\n)", text):
    thou, you = bool(THOU.search(line)), bool(YOU.search(line))
    if thou != you and len(name + line) <= 60:
        spoken.setdefault(name, ([], []))[you].append(line)

# %%
rng = np.random.default_rng(28)
pairs = [(name, line, you[rng.integers(len(you))]) for name, (thou, you) in spoken.items() if you for line in thou]
pairs = [pairs[i] for i in rng.permutation(len(pairs))]
held_out = pairs[:24]
seen = {line for pair in held_out for line in pair[1:]}
pairs = [pair for pair in pairs[24:] if not seen & set(pair[1:])]    # no line of the held-out ones
print(len(pairs), "pairs to learn from. The first:", pairs[0])

# %%
from numpygpt.checkpoint import load_model
from numpygpt.posttraining import IGNORE, Example, padded

model, tokenizer, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz")
encode = tokenizer.encode

def rows_of(pairs):
    """Return x, y (2N, T): the chosen lines, then the rejected ones."""
    rows = [(name, a) for name, a, _ in pairs] + [(name, b) for name, _, b in pairs]
    return padded([Example(encode(name), encode(line)) for name, line in rows], block_size=64)

x, y = rows_of(pairs[:8])
print(x.shape, "the first row's targets:", repr(tokenizer.decode(y[0][y[0] != IGNORE].tolist())))

# %% [markdown]
# ## From choices to scores, by hand
#
# Give each answer a score $r$, its **reward**, and let the chance that $a$ is preferred to $b$ depend on the lead alone:
#
# $$P(a \succ b) = \frac{e^{r_a}}{e^{r_a} + e^{r_b}} = \frac{1}{1 + e^{-(r_a - r_b)}} = \sigma(r_a - r_b)$$
#
# This is the softmax of two scores, with $\sigma$ for the **sigmoid**. It is known as the **Bradley–Terry model** (1952), and chess
# players know it as Elo. Judges may contradict themselves: if $a$ wins 3 times of 4, which lead $m = r_a - r_b$ makes that
# likeliest? The log-likelihood is $3 \log\sigma(m) + \log\sigma(-m)$, since $1 - \sigma(m) = \sigma(-m)$. **Before you run the
# next cell:** guess the best of these four leads.

# %%
def sigmoid(m):
    return 1 / (1 + np.exp(-m))

for m in (0.0, 1.0, np.log(3), 2.0):
    print(f"lead {m:.4f}: log-likelihood {3 * np.log(sigmoid(m)) + np.log(sigmoid(-m)):.4f}, "
          f"slope {3 * sigmoid(-m) - sigmoid(m):+.4f}")

# %% [markdown]
# At $m = \ln 3$ the slope is 0, and $\sigma(m) = 3/4$: the share of wins. Scores of choices have no zero. Add 10 to all
# rewards, and no lead changes.
#
# For pairs that are each judged once the loss is the mean of $L = -\log \sigma(m)$. Its slope:
#
# $$L = \log(1 + e^{-m}) \qquad \frac{dL}{dm} = \frac{-e^{-m}}{1 + e^{-m}} = -\sigma(-m)$$
#
# In words: *how surprised the model is by the choice*. A pair that is won by 5 gets a push of 0.0067; one that is lost by 5,
# of nearly 1. Then overflow: at $m = -1000$ the power $e^{1000}$ is infinite, though $L$ is only 1000.
# `np.logaddexp(a, b)` is $\log(e^a + e^b)$ without that, as log-softmax was in chapter 5, and $\sigma(-m) = e^{-\log(1 + e^m)}$.

# %% tags=["export"] module="posttraining/preferences.py"
"""Learning from preferences: Bradley and Terry, a reward model, DPO. Derived in chapter 28."""

import copy

import numpy as np

from numpygpt.nn.functional import log_softmax
from numpygpt.nn.linear import Linear
from numpygpt.nn.module import Module
from numpygpt.posttraining.masked import IGNORE, weighted_cross_entropy_backward


class PreferenceLoss(Module):
    """loss = -mean log σ(margin), in nats.  margin: (N,), the lead of the chosen over the rejected.

    Source: Bradley and Terry, Rank Analysis of Incomplete Block Designs, 1952.
    """

    def forward(self, margin):
        self.margin = margin
        return float(np.logaddexp(0, -margin).mean())  # log(1 + e^-m): e^-m alone may overflow

    def backward(self, dloss=1.0):
        # -log σ(m) has the slope -σ(-m), and σ(-m) = e^(-log(1 + e^m))
        return -dloss / len(self.margin) * np.exp(-np.logaddexp(0, self.margin))

# %% [markdown]
# By hand for two pairs, one far behind and one far ahead, and in float32:

# %%
loss, margin = PreferenceLoss(), np.array([-1000.0, 1000.0, 0.0], np.float32)
print(loss(margin), "=", (1000 + 0 + np.log(2)).round(4), "/ 3; slopes times 3:", 3 * loss.backward() + 0.0)

# %% [markdown]
# ## A reward model
#
# What gives rewards? Our GPT already reads. Its last layer makes V logits of a vector $h$ with C numbers; we put in its place
# one that makes a single number, $r = w \cdot h$. There is one for every position. Only the last position has read the
# whole answer, so we take its $r$, and going back we put the gradient there and 0 everywhere else. (What stands behind it
# is padding, which it cannot see: [chapter 10](10_attention.ipynb) masked the future.) The backward pass of
# the GPT does the rest: any `head` will do.

# %% tags=["export"]
def answer_tokens(targets):
    """Return whether each target belongs to the answer, (B, T): is not IGNORE."""
    counts = targets != IGNORE
    if not counts.any(axis=1).all():
        raise ValueError("a row has no answer: each of its targets is IGNORE")
    return counts


class RewardModel(Module):
    """r = w · h, h the model's vector at the last token of an answer.  r: (B,).

    The given model is copied, and its head replaced by one with a single output.
    Source: Stiennon et al., Learning to Summarize from Human Feedback, 2020.
    """

    def __init__(self, model, *, rng):
        self.model = copy.deepcopy(model)
        options = {"rng": rng, "dtype": model.wte.W.dtype}
        self.model.head = Linear(model.config.n_embd, 1, bias=False, **options)

    def forward(self, ids, targets):
        """Return rewards (B,) for rows of `padded`: ids and targets (B, T)."""
        counts = answer_tokens(targets)
        last = counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)  # of the targets that count
        scores = self.model(ids)  # (B, T, 1)
        self.shape, self.at = scores.shape, (np.arange(len(ids)), last, 0)
        return scores[self.at]

    def backward(self, dr):
        # r = scores[row, last, 0]
        dscores = np.zeros(self.shape, dr.dtype)
        dscores[self.at] = dr
        self.model.backward(dscores)

# %% [markdown]
# The check goes through the whole model, from each reward to each weight. Rows end at different positions.

# %%
from numpygpt import GPT, GPTConfig, gradcheck

def tiny(rng):
    return GPT(GPTConfig(7, 6, 1, 2, 4), rng=rng, dtype=np.float64)

ids, answers = rng.integers(0, 7, (2, 6, 5))
answers[:, :2] = answers[1, 4:] = answers[4, 3:] = IGNORE    # prompts of 3 ids, and padding
judge = RewardModel(tiny(rng), rng=rng)
for p in judge.params().values():
    p[...] = rng.normal(0, 0.5, p.shape)
report = gradcheck(judge, ids, answers, rng=rng)
print(len(report.rows), "arrays,", sum(n for n, *_ in report.rows.values()), "entries, all right")

# %% [markdown]
# Now 20 steps with 8 pairs each. **Before you run it:** how often will it side with the judge on the pairs that it has
# not seen? Its controls are its own guesses before the first step, and the rule "the longer line wins".

# %%
from numpygpt.optim import Adam

def take(pairs, step, n=8):
    return rows_of([pairs[(step * n + k) % len(pairs)] for k in range(n)])

def learn_rewards(judge, steps):
    loss, optimizer = PreferenceLoss(), Adam(judge, 1e-3, (0.9, 0.99))
    for step in range(steps):
        chosen, rejected = np.split(judge(*take(pairs, step)), 2)
        loss(chosen - rejected)
        dmargin = loss.backward()
        judge.zero_grad()
        judge.backward(np.concatenate([dmargin, -dmargin]))
        optimizer.step()

# %% tags=["measurement"]
judge, (x, y) = RewardModel(model, rng=rng), rows_of(held_out)
for name in ("before", "after"):
    chosen, rejected = np.split(judge(x, y), 2)
    print(f"{name:6} {(chosen > rejected).mean():.0%} of {len(held_out)} unseen pairs, best reward {chosen.max():.2f}")
    learn_rewards(judge, 20 if name == "before" else 0)
print(f"longer {np.mean([len(a) > len(b) for _, a, b in held_out]):.0%}")

# %% [markdown]
# So cheap is a judge of our own, and we may ask it about any text whatever. That is its use, and its danger: it was
# trained on Shakespeare's lines, and says something about *anything*. Let us search for what it likes best. We begin
# with a line that the true judge rejects, go to one letter after another, and put there what makes the reward largest.

# %% tags=["measurement"]
line, letters = "I know you well.", [c for c in tokenizer.chars if c != "\n"]
for i in rng.permutation(2 * list(range(len(line)))):
    lines = [line[:i] + c + line[i + 1 :] for c in letters]
    rewards = judge(*padded([Example(encode("ROMEO:\n"), encode(a + "\n")) for a in lines], 64))
    line = lines[int(rewards.argmax())]
print(f"{line!r} gets {rewards.max():.2f}; says thou: {bool(THOU.search(line))}")

# %%
searches = found["searches"]
print("five seeds, 100 changes each, the reward and that of the best real line:")
for s in searches:
    print(f"  {s['searched']:5.2f} ({s['best real line']:.2f})  {s['line']!r:22} says thou: {s['thou']}")

# %% [markdown]
# More than the best line in all the plays, for gibberish. The reward model knows the judge where there were lines to
# learn from. Far away nobody ever corrected it, and whoever makes its reward large goes far away. This is called **reward
# hacking**. So a model that is trained for a reward is kept on a leash.
#
# ## The leash, and what it allows
#
# We look for the distribution $\pi$ over answers that earns much but stays near the model as it was,
# the **reference** $\pi_\text{ref}$. The distance is the **Kullback–Leibler divergence** (KL), the mean of
# $\log \pi - \log \pi_\text{ref}$ over the answers that $\pi$ gives; it is at least 0, and 0 for equal ones only. With β for the
# price of a nat:
#
# $$J(\pi) = \sum_a \pi(a)\, r(a) - \beta \sum_a \pi(a) \log \frac{\pi(a)}{\pi_\text{ref}(a)}$$
#
# There is a formula for the best $\pi$. Take both sums together, and write $r = \beta \log e^{r/\beta}$:
#
# $$J(\pi) = -\beta \sum_a \pi(a) \log \frac{\pi(a)}{\pi_\text{ref}(a)\, e^{r(a)/\beta}}$$
#
# The denominator sums to some number $Z = \sum_a \pi_\text{ref}(a)\, e^{r(a)/\beta}$, not to 1. Divided by it, it is a distribution,
#
# $$\pi^*(a) = \frac{1}{Z}\, \pi_\text{ref}(a)\, e^{r(a)/\beta}, \qquad\text{and so}\qquad J(\pi) = -\beta\, \text{KL}(\pi, \pi^*) + \beta \log Z.$$
#
# $Z$ does not depend on $\pi$, and the KL is smallest where it is 0. So $\pi^*$ is the best. $\square$
#
# **Before you run the next cell:** three answers, of which the first has the largest reward, and is rare. What is $\pi^*$ for
# a β of 100, and of 0.01?

# %%
ref, r = np.array([0.1, 0.6, 0.3]), np.array([1.0, 0.5, 0.0])

def best(beta):
    p = ref * np.exp(r / beta)
    return p / p.sum()

def J(p, beta):
    return p @ r - beta * (p @ np.log(p / ref))

for beta in (100, 1, 0.3, 0.01):
    others = np.random.default_rng(0).dirichlet(np.ones(3), 10_000)
    print(f"β {beta:6}: π* {best(beta).round(3)}, J {J(best(beta), beta):.4f}; "
          f"the best of 10,000 others {max(J(p, beta) for p in others):.4f}")

# %% [markdown]
# ## The reward cancels
#
# We could train towards $\pi^*$ by sampling and scoring, which is the subject of [chapter 29](29_rewards.ipynb). But read the
# formula from right to left. *Every* $\pi$ is the best one for some reward. Solve for it:
#
# $$r(a) = \beta \log \frac{\pi(a)}{\pi_\text{ref}(a)} + \beta \log Z$$
#
# $Z$ is a sum over all answers to this prompt, far too many. But choices see leads alone, both answers have the
# same prompt, and $\beta \log Z$ cancels:
#
# $$m = r_c - r_r = \beta\, \Big( \underbrace{\log \frac{\pi(c)}{\pi_\text{ref}(c)}}_{\Delta_c} - \underbrace{\log \frac{\pi(r)}{\pi_\text{ref}(r)}}_{\Delta_r} \Big)$$
#
# for the chosen answer $c$ and the rejected $r$. Put that into $-\log \sigma(m)$, and you have **direct preference optimization**
# (**DPO**; Rafailov and others, 2023). No reward model, no sampling: the language model *is* the reward model, and its
# rewards are how much likelier it has made an answer.
#
# The gradient. $\pi_\text{ref}$ is a number that never changes. With the slope from above,
#
# $$\frac{dL}{d \log\pi(c)} = -\beta\, \sigma(-m) \qquad\qquad \frac{dL}{d \log\pi(r)} = +\beta\, \sigma(-m)$$
#
# and $\log \pi$ of an answer is the sum of $\log p$ over its tokens, the prompt's not among them. What follows is the
# $p - y$ of chapter 5, times a weight for each row: $+\beta\sigma(-m)/N$ for the chosen one, and the same with a minus for the
# rejected. **DPO is the fine-tuning of chapter 27 with weights of both signs.** First the sums:

# %% tags=["export"]
def token_log_probs(logits, targets):
    """Return log p of each target, (B, T), for logits (B, T, V); 0 where it is IGNORE."""
    counts = targets != IGNORE
    at_target = np.where(counts, targets, 0)[..., None]
    log_p = np.take_along_axis(log_softmax(logits), at_target, axis=-1)[..., 0]
    return np.where(counts, log_p, 0)


def answer_log_probs(logits, targets, per_token=False):
    """Return log p of each row's answer, (B,): the sum over its tokens, or their mean."""
    counts = answer_tokens(targets)
    total = token_log_probs(logits, targets).sum(axis=-1)
    return total / counts.sum(axis=-1, dtype=total.dtype) if per_token else total

# %% [markdown]
# `per_token` takes the mean instead of the sum; we come back to it. Then the loss, in which `PreferenceLoss` and chapter
# 27's `weighted_cross_entropy_backward` do the work.

# %% tags=["export"]
class DPOLoss(Module):
    """loss = -mean log σ(β (Δ chosen - Δ rejected)),  Δ = log p(answer) - log p_ref(answer).

    logits: (2N, T, V), targets: (2N, T): N rows with chosen answers, then the N rejected ones in
    the same order. reference: (2N,), the `answer_log_probs` of a model that stays as it is.
    Source: Rafailov et al., Direct Preference Optimization, 2023.
    """

    def __init__(self, beta=0.1, per_token=False):
        if not beta > 0:
            raise ValueError(f"beta={beta} must be more than 0")
        self.beta, self.per_token = beta, per_token
        self.loss = PreferenceLoss()

    def forward(self, logits, targets, reference):
        if len(targets) % 2:
            raise ValueError(f"{len(targets)} rows are not pairs: the chosen ones, then as many")
        if reference.shape != targets.shape[:1]:
            raise ValueError(f"reference has shape {reference.shape}, not {targets.shape[:1]}")
        self.logits, self.targets = logits, targets
        ahead = answer_log_probs(logits, targets, self.per_token) - reference
        chosen, rejected = np.split(ahead, 2)
        return self.loss(self.beta * (chosen - rejected))

    def backward(self, dloss=1.0):
        # margin = β (chosen - rejected)
        dmargin = self.loss.backward(dloss)
        dlog_p = self.beta * np.concatenate([dmargin, -dmargin])  # (2N,)
        # log p = Σ log softmax(logits)[target]: cross-entropy, with weights of both signs
        counts = self.targets != IGNORE
        if self.per_token:
            dlog_p = dlog_p / counts.sum(axis=-1)
        weights = np.where(counts, -dlog_p[:, None], 0)
        return weighted_cross_entropy_backward(self.logits, self.targets, weights, total=1.0)

# %% [markdown]
# By hand. A "model" that is a table of four logits, and answers of one token. The chosen one is the second, the rejected
# one the first. **Before you run the next cell:** which entries of the table's gradient are 0? And the slope at
# the start, with β = 0.5?

# %%
table = np.log([0.4, 0.3, 0.2, 0.1])
two = np.stack([table, table])[:, None]    # (2, 1, 4): both rows read the same table
targets = np.array([[1], [0]])
loss = DPOLoss(beta=0.5)
print("loss", round(loss(two, targets, answer_log_probs(two, targets)), 4))
dlogits = loss.backward()[:, 0]
print(dlogits.round(3), "\nof the table:", dlogits.sum(axis=0).round(3) + 0.0)

# %% [markdown]
# At the start the model is the reference: $m = 0$, the loss $\ln 2$, and $\beta\sigma(0) = 0.25$. In the sum
# $(p - y_c) - (p - y_r)$ both $p$ cancel. The third and the fourth answer get nothing, neither up nor down.
#
# Now the check through a whole model, and three ways to get it wrong.

# %%
from numpygpt.gradcheck import GradientError
from numpygpt.nn import Module

class Preferring(Module):
    """A model and its loss, as one function of all weights."""

    def __init__(self, loss, rng):
        self.model, self.loss = tiny(rng), loss
        for p in self.params().values():
            p[...] = rng.normal(0, 0.5, p.shape)

    def forward(self, ids, targets, reference):
        return self.loss(self.model(ids), targets, reference)

    def backward(self, dloss):
        self.model.backward(self.loss.backward(dloss))

# %%
class ChosenAlone(DPOLoss):
    def backward(self, dloss=1.0):
        dlogits = super().backward(dloss)
        dlogits[len(dlogits) // 2 :] = 0    # as if the rejected ones stood still
        return dlogits

class BetaForgotten(DPOLoss):
    def backward(self, dloss=1.0):
        return super().backward(dloss) / self.beta

class WrongSurprise(DPOLoss):
    def backward(self, dloss=1.0):
        self.loss.margin = -self.loss.margin    # σ(m) in place of σ(-m)
        dlogits = super().backward(dloss)
        self.loss.margin = -self.loss.margin
        return dlogits

# %%
reference = rng.normal(-8, 1, 6)
for kind in (DPOLoss, ChosenAlone, BetaForgotten, WrongSurprise):
    try:
        report = gradcheck(Preferring(kind(0.3), rng), ids, answers, reference, rng=rng)
        print(f"{kind.__name__:13} right, {len(report.rows)} arrays")
    except GradientError as error:
        print(f"{kind.__name__:13} rejected: {str(error).split(';')[-1].strip()[:60]}")

# %% [markdown]
# ## Ten steps
#
# The loop has one thing that is new: the reference's numbers, asked for once before a step. (With an adapter of chapter 27
# you need no second model: take the adapter off.) **Before you run it:** draw the two curves that you expect.

# %%
import copy

def prefer(model, reference, loss, steps, lr=3e-4, every=2):
    """Train by DPO; return how log p of the held-out lines has changed, every so many steps."""
    optimizer, (x, y), changes = Adam(model, lr, (0.9, 0.99)), rows_of(held_out), []
    before = answer_log_probs(reference(x), y)
    for step in range(steps + 1):
        if step % every == 0:
            changes.append(np.split(answer_log_probs(model(x), y) - before, 2))
        ids, targets = take(pairs, step)
        loss(model(ids), targets, answer_log_probs(reference(ids), targets))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return np.array(changes)    # (marks, 2, pairs)

# %% tags=["measurement"]
tuned = copy.deepcopy(model)
changes = prefer(tuned, model, DPOLoss(0.1), steps=12)
for step, (chosen, rejected) in zip(range(0, 13, 2), changes):
    print(f"step {step:2}: chosen {chosen.mean():+6.2f}, rejected {rejected.mean():+6.2f} nats, "
          f"the chosen one gained more in {(chosen > rejected).mean():.0%}")

# %% tags=["measurement"]
from numpygpt.generate import generate

for name, writer in (("before", model), ("after", tuned)):
    print(name)
    ids = generate(writer, np.array([encode("ROMEO:\n")] * 5), 44, rng=np.random.default_rng(5))
    for row in ids.tolist():
        print("   ", tokenizer.decode(row[7:]).split("\n")[0])

# %% [markdown]
# It took up the word, and it writes as before, nearly. And both curves fall.
#
# ## Why both fall
#
# In the table it cannot happen. A step moves the chosen logit up by some $\eta$ and the rejected one down by as much, and
#
# $$d \log p_c = \eta - \sum_k p_k\, dz_k = \eta\, (1 - p_c + p_r) > 0.$$
#
# But our model is no table: all lines share all weights. The loss asks for a *difference* of, say, 8 nats. Up by 4
# and down by 4 would do, and so would down by 3 and down by 11. The second is easier. Most letters of a chosen line
# are those of a rejected one, and a log-probability can fall without end and rises to 0 at most. What is lost goes to
# lines that were in *no* pair: of those that say *thou*, there are more than we showed.
#
# If this is right, a loss that also asks for the chosen line itself should hold it up. The controls: fine-tuning on the
# chosen lines alone (chapter 27), DPO with that loss added, and DPO at a third of the rate, in case long steps
# are to blame. Five seeds, 60 steps.

# %%
for name in ("SFT", "DPO", "DPO, lower rate", "DPO + SFT"):
    print(f"{name:15}  chosen {band(of(name, 'chosen', 60))}, rejected {band(of(name, 'rejected', 60))}\n"
          f"{'':15}  sides with the judge {band(100 * of(name, 'wins', 60), 0)} in 100, "
          f"says thou {band(100 * of(name, 'thou', 60), 0)}, real words {band(100 * of(name, 'words', 60), 0)}")

# %%
figure, axes = subplots(1, 3, size=(9, 3), sharey=True)
for ax, name in zip(axes, ("SFT", "DPO", "DPO + SFT")):
    for what, style, color in (("chosen", "o-", BLUE), ("rejected", "s--", ORANGE)):
        steps = [0, 10, 20, 40, 60]
        values = np.array([of(name, what, step) for step in steps])    # (marks, seeds)
        ax.fill_between(steps, values.min(axis=1), values.max(axis=1), color=color, alpha=0.3, lw=0)
        ax.plot(steps, values.mean(axis=1), style, color=color, ms=4, label=what)
    ax.axhline(0, color=GRAY, lw=0.8)
    ax.set(title=name, xlabel="step")
axes[0].set_ylabel("change of log p (nats)"); axes[0].legend()
show(figure, "TODO")

# %% [markdown]
# TODO what it shows
#
# ## How long is the leash?
#
# β is a price. The loss is content with a lead where $\beta(\Delta_c - \Delta_r)$ is a few: at β = 1 that is a few nats, at
# 0.01 some hundreds. **Before you look:** what will a model write that was asked for hundreds of nats?

# %%
betas = {"DPO, large beta": 1, "DPO": 0.1, "DPO, small beta": 0.01}
for name, beta in betas.items():
    print(f"β {beta:4}: lead {band(of(name, 'chosen', 60) - of(name, 'rejected', 60), 0)} nats, KL {band(of(name, 'kl', 60))}, "
          f"thou {band(100 * of(name, 'thou', 60), 0)}, real words {band(100 * of(name, 'words', 60), 0)}")
for name in betas:
    print(betas[name], [run["lines"][1] for run in found["runs"] if run["name"] == name][:3])

# %%
figure, axes = subplots(1, 2, size=(8, 3))
for (name, beta), style, color in zip(betas.items(), ("o-", "s--", "^:"), (GREEN, BLUE, ORANGE)):
    kl = [of(name, "kl", step).mean() for step in steps]
    for ax, what in zip(axes, ("thou", "words")):
        ax.plot(kl, [100 * of(name, what, step).mean() for step in steps], style, color=color, ms=4, label=f"β = {beta}")
for ax, title in zip(axes, ("lines with thou (%)", "real words (%)")):
    ax.set(xlabel="KL from the reference (nats a line)", ylabel=title)
axes[0].legend()
show(figure, "TODO")

# %% [markdown]
# TODO
#
# ## Length
#
# A sum over tokens grows with their number. Suppose that the chosen lines are *also* longer, by ten letters at least: as
# when people prefer thorough answers. The judge does not mind the length; does the model? Three controls: pairs with shorter
# chosen lines, pairs of any length, and means per token in place of sums (`per_token`; then β must be about a
# line's length larger: 4).

# %%
for name in ("longer", "longer, per token", "DPO", "shorter"):
    print(f"{name:18} letters a line {band(of(name, 'length', 0), 0)} -> {band(of(name, 'length', 60), 0)}, "
          f"thou {band(100 * of(name, 'thou', 60), 0)}")

# %% [markdown]
# TODO
#
# Try it: TODO
#
# ## Export

# %%
export("28_preferences")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/28_preferences.ipynb](../exercises/28_preferences.ipynb). A check says what is
# wrong, and `hint("preferences-loss")` helps.
#
# | task | | minutes |
# |---|---|---|
# | the loss of a choice | easy | 15 |
# | the best policy | medium | 20 |
# | DPO, forward and backward | hard | 35 |
# | read the log | medium | 25 |
#
# ## Recap
#
# - A choice says something about a difference: $P(a \succ b) = \sigma(r_a - r_b)$, and the slope of its loss is the surprise,
#   $-\sigma(-m)$.
# - A reward model is a GPT with one output, read at the last token. It is right near its data, and a search finds where it is not.
# - The best policy on a leash is $\pi_\text{ref}\, e^{r/\beta} / Z$. Solved for $r$, $Z$ cancels in a pair, and DPO is left:
#   cross-entropy with weights of both signs.
# - The loss sees the difference alone, so both answers may get less likely. β is how far it goes. TODO length.
# - We exported `numpygpt/posttraining/preferences.py`. Next: Rewards, where the model's own samples are all the data there is.
