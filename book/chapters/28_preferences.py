# %% [markdown]
# # Chapter 28: Preferences
#
# In [chapter 27](27_finetuning.ipynb) somebody wrote down the right answers. It is easier to say which of two answers
# is better. So we take the forgetful adder and tell it, for 500 sums with a carry, that the right answer is better than
# the forgetful one. Before, its probability is on these two answers, mostly on the forgetful one. After
# 100 steps, two seconds, we ask it about sums that it has not seen:

# %%
import copy
import json
from pathlib import Path

import numpy as np
from coursekit import export
from coursekit.figures import BLUE, ORANGE, show, subplots

found = json.loads(Path("../data/preferences.json").read_text())

def of(name, what, step, table="sums"):
    """A number for each of five seeds, measured after so many steps."""
    runs = [run for run in found[table] if run["name"] == name]
    return np.array([run[what][run["steps"].index(step)] for run in runs])

def band(values, digits=0):
    return f"{values.mean():.{digits}f} (from {values.min():.{digits}f} to {values.max():.{digits}f})"

# %%
for step in (0, 100):
    print(f"step {step:3}: the right answer is likelier in {band(100 * of('DPO', 'wins', step))} of 100 "
          f"sums, "
          f"and is what the likeliest digits spell in {band(100 * of('DPO', 'right', step))}")
    print(f"          probability of the right answer {of('DPO', 'p chosen', step).mean():.2f}, "
          f"of the forgetful one {of('DPO', 'p rejected', step).mean():.2f}")

# %% [markdown]
# It knows which is better, every time. And it hardly ever gives either of them. (Five seeds, by
# `python benchmarks/preferences.py`.) **How does a choice become a gradient? And how can a model learn that A is better than B
# by forgetting both?**
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | rows of chapter 27: first the chosen answers, then the rejected ones; `IGNORE` in place of the prompt's targets | `(2N, T)` |
# | `r` | rewards | `(2N,)` |
# | `margin` | the lead of the chosen answer of each pair | `(N,)` |
# | `log_p`, `reference` | log p of each answer: of the model, and of the model as it was | `(2N,)` |
# | `beta` | the price of a nat of distance from the reference | a number |
#
# ## The pairs
#
# Other sums have but one answer. A batch is N rows with right answers, then the same prompts with
# forgetful ones.

# %%
from numpygpt.checkpoint import load_model
from numpygpt.posttraining import adder
from numpygpt.posttraining.masked import IGNORE

reference_model, tokenizer, _ = load_model("../data/checkpoints/forgetful_adder/checkpoint.npz", np.float64)
rng = np.random.default_rng(28)

def with_carries(sums):
    return sums[(adder.right_answers(sums) != adder.forgetful_answers(sums)).any(axis=1)]

train, held_out = map(with_carries, adder.split_sums())
train = rng.permutation(train)[:500]

# %%
def rows_of(sums):
    """Return x, y (2N, 8): the chosen answers, then the rejected ones."""
    answers = np.concatenate([adder.right_answers(sums), adder.forgetful_answers(sums)])
    return adder.rows(np.concatenate([sums, sums]), answers)

x, y = rows_of(train[:2])
for row, targets in zip(x, y):
    print(tokenizer.decode(row[:6].tolist()), tokenizer.decode(targets[targets != IGNORE].tolist()))

# %% [markdown]
# ## From choices to scores, by hand
#
# Give each answer a score $r$, its **reward**, and let the chance that $a$ is preferred to $b$ depend on the lead alone:
#
# $$P(a \succ b) = \frac{e^{r_a}}{e^{r_a} + e^{r_b}} = \frac{1}{1 + e^{-(r_a - r_b)}} = \sigma(r_a - r_b)$$
#
# It is the softmax of two scores, and $\sigma$ is the **sigmoid**. This is the **Bradley–Terry** model (1952); chess
# players know it as Elo. Judges may contradict themselves: if $a$ wins 3 times out of 4, which lead $m = r_a - r_b$ makes that
# likeliest? The log-likelihood is $3 \log\sigma(m) + \log\sigma(-m)$, since $1 - \sigma(m) = \sigma(-m)$. **Before you run the
# next cell:** guess the best of these leads.

# %%
def sigmoid(m):
    return 1 / (1 + np.exp(-m))

for m in (0.0, 1.0, np.log(3), 2.0):
    print(f"lead {m:.4f}: log-likelihood {3 * np.log(sigmoid(m)) + np.log(sigmoid(-m)):.4f}, "
          f"slope {3 * sigmoid(-m) - sigmoid(m):+.4f}")

# %% [markdown]
# At $m = \ln 3$ the slope is 0, and $\sigma(m) = 3/4$: the share of wins. Scores have no fixed zero: add 10 to all, and no lead changes.
#
# For pairs that are each judged once, the loss is the mean of $L = -\log \sigma(m)$. Its slope:
#
# $$L = \log(1 + e^{-m}) \qquad \frac{dL}{dm} = \frac{-e^{-m}}{1 + e^{-m}} = -\sigma(-m)$$
#
# In words, its size is *how surprised the scores are by the choice*: nearly 1 where a pair is clearly lost, nearly 0 where
# it is clearly won. And overflow: at $m = -1000$ the power $e^{1000}$ is infinite, though $L$ is 1000. `np.logaddexp(a, b)` is
# $\log(e^a + e^b)$ without it, by the trick of log-softmax in chapter 5, and $\sigma(-m) = e^{-\log(1 + e^m)}$.

# %% tags=["export"] module="posttraining/preferences.py"
"""Learning from preferences: Bradley and Terry, a reward model, DPO. Derived in chapter 28."""

import copy

import numpy as np

from numpygpt.evaluate import token_losses
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
# Three pairs in float32, far behind, far ahead and undecided:

# %%
loss, margin = PreferenceLoss(), np.array([-1000.0, 1000.0, 0.0], np.float32)
print(f"{loss(margin):.3f} = ({1000 + np.log(2):.3f}) / 3; slopes times 3:", 3 * loss.backward() + 0.0)

# %% [markdown]
# ## A reward model
#
# What gives rewards? Our GPT already reads. In place of its last layer, which turns a vector $h$ into V logits, we put
# one that turns it into a single number, $r = w \cdot h$, at every position. Only at the answer's last token has it read the
# whole answer, so we take that $r$. On the way back the gradient goes there, and 0 everywhere else. The backward pass of the
# GPT does the rest.

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

    def forward(self, x, targets):
        """Return the rewards (B,) of rows of `padded`: x and targets (B, T)."""
        counts, rows = answer_tokens(targets), np.arange(len(x))
        last = counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)  # of the targets that count
        # The last token of an answer is a target only: here it is read, too.
        ids = np.pad(x, ((0, 0), (0, 1)))  # (B, T + 1)
        ids[rows, last + 1] = targets[rows, last]
        scores = self.model(ids)  # (B, T + 1, 1)
        self.shape, self.at = scores.shape, (rows, last + 1, 0)
        return scores[self.at]

    def backward(self, dr):
        # r = scores[row, last + 1, 0]
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
# Now 100 steps with 32 pairs each. **Before you run it:** how often will it side with us on pairs that it has not seen?

# %%
from numpygpt.optim import Adam

def learn_rewards(judge, steps):
    loss, optimizer = PreferenceLoss(), Adam(judge, 1e-3, (0.9, 0.99))
    for _ in range(steps):
        chosen, rejected = np.split(judge(*rows_of(train[rng.integers(len(train), size=32)])), 2)
        loss(chosen - rejected)
        dmargin = loss.backward()
        judge.zero_grad()
        judge.backward(np.concatenate([dmargin, -dmargin]))
        optimizer.step()

# %%
judge, (x, y) = RewardModel(reference_model, rng=rng), rows_of(held_out)
for steps in (0, 100):
    learn_rewards(judge, steps)
    chosen, rejected = np.split(judge(x, y), 2)
    print(f"{steps:3} steps: right in {(chosen > rejected).mean():.0%} of {len(chosen)} unseen pairs")

# %% [markdown]
# A good judge, between these two. But it gives a reward to *any* answer, and there are only 1,000. Which one does it like best?

# %%
all_answers = adder.digits(np.arange(1000), 3)
for pair in held_out[:6]:
    rewards = judge(*adder.rows(np.tile(pair, (1000, 1)), all_answers))
    k = rewards.argmax()
    print(f"{pair[0]:2} + {pair[1]:2}: the best is {k:03}, with {rewards[k]:.1f}; the right answer "
          f"{pair.sum():03} gets {rewards[pair.sum()]:.1f}")

# %%
judges = {key: np.array([judge[key] for judge in found["judges"]])
          for key in ("wins", "favorite is right", "likes better")}
print("five seeds: right in", band(100 * judges["wins"]), "of 100 pairs; of all answers it likes the",
      "right one best in", band(100 * judges["favorite is right"]),
      "of 100 sums,\nand likes", band(judges["likes better"]), "wrong ones better")

# %% [markdown]
# It is right where there were pairs to learn from. Far away nobody ever corrected it, and whoever makes its reward as large as
# possible goes far away. This is called **reward hacking**. So a model that is trained for a reward is kept on a leash.
#
# ## The leash, and what it allows
#
# We look for the distribution $\pi$ over answers that earns much and stays near the model as it was,
# the **reference** $\pi_\text{ref}$. The distance is the **Kullback–Leibler divergence** (KL), the mean of
# $\log \pi - \log \pi_\text{ref}$ over the answers that $\pi$ gives; it is never negative, and 0 only if the two are equal. With β as the
# price of one nat:
#
# $$J(\pi) = \sum_a \pi(a)\, r(a) - \beta \sum_a \pi(a) \log \frac{\pi(a)}{\pi_\text{ref}(a)}$$
#
# Combine the two sums, with $r = \beta \log e^{r/\beta}$:
#
# $$J(\pi) = -\beta \sum_a \pi(a) \log \frac{\pi(a)}{\pi_\text{ref}(a)\, e^{r(a)/\beta}}$$
#
# The denominator sums to some number $Z$, not to 1. Divided by $Z$, it is a distribution,
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
# A small β goes for the largest reward, however rare.
#
# ## The reward cancels
#
# We could train towards $\pi^*$ by sampling and scoring: that is [chapter 29](29_rewards.ipynb). But read the
# formula from right to left. *Every* $\pi$ is the best one for some reward:
#
# $$r(a) = \beta \log \frac{\pi(a)}{\pi_\text{ref}(a)} + \beta \log Z$$
#
# $Z$ is a sum over all answers to this prompt, far too many. But a choice depends only on the lead; both answers have the
# same prompt, so $\beta \log Z$ cancels:
#
# $$m = r(a) - r(b) = \beta\, \Big( \underbrace{\log \frac{\pi(a)}{\pi_\text{ref}(a)}}_{\Delta_a} - \underbrace{\log \frac{\pi(b)}{\pi_\text{ref}(b)}}_{\Delta_b} \Big)$$
#
# for the chosen answer $a$ and the rejected $b$. Put that into $-\log \sigma(m)$, and you have **direct preference optimization**
# (**DPO**; Rafailov and others, 2023). No reward model, no sampling: the reward of an answer is how much likelier the model has made it.
#
# The gradient. $\pi_\text{ref}$ is a number that never changes. With the slope from above,
#
# $$\frac{dL}{d \log\pi(a)} = -\beta\, \sigma(-m) \qquad\qquad \frac{dL}{d \log\pi(b)} = +\beta\, \sigma(-m)$$
#
# and $\log \pi$ of an answer is the sum of $\log p$ over its own tokens, without the prompt's. What follows is the
# $p - y$ of chapter 5, times a weight for each row: $+\beta\sigma(-m)/N$ for the chosen answer, $-\beta\sigma(-m)/N$ for the
# rejected one. **DPO is the fine-tuning of chapter 27 with weights of both signs.** First the sums:

# %% tags=["export"]
def token_log_probs(logits, targets):
    """Return log p of each target, (B, T), for logits (B, T, V); 0 where it is IGNORE."""
    counts = targets != IGNORE
    return np.where(counts, -token_losses(logits, np.where(counts, targets, 0)), 0)


def answer_log_probs(logits, targets):
    """Return log p of each row's answer, (B,): the sum over its tokens."""
    answer_tokens(targets)  # refuses a row without one
    return token_log_probs(logits, targets).sum(axis=-1)

# %% [markdown]
# Then the loss; we come back to `per_token`.

# %% tags=["export"]
class DPOLoss(Module):
    """loss = -mean log σ(β (Δ chosen - Δ rejected)),  Δ = log p(answer) - log p_ref(answer).

    logits: (2N, T, V), targets: (2N, T): N rows with chosen answers, then the N rejected ones in
    the same order. reference: (2N,), the `answer_log_probs` of a model that stays as it is.
    per_token: each Δ is divided by the number of tokens of its answer.
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
        ahead = answer_log_probs(logits, targets) - reference
        if self.per_token:
            ahead /= (targets != IGNORE).sum(axis=-1)
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
# $(p - y_a) - (p - y_b)$ both $p$ cancel. The third and the fourth answer get nothing, neither up nor down.
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
# ## Fifty steps
#
# One thing in the loop is new: the reference's numbers. (With an adapter of chapter 27
# you need no second model: take the adapter off.) **Before you run it:** draw the two curves that you expect.

# %%
def prefer(loss, steps, lr=3e-4, every=5):
    """Train the adder by DPO; return it, and log p of the held-out answers every so many steps."""
    model, (x, y), marks = copy.deepcopy(reference_model), rows_of(held_out[:200]), []
    optimizer = Adam(model, lr, (0.9, 0.99))
    for step in range(steps + 1):
        if step % every == 0:
            marks.append(np.split(answer_log_probs(model(x), y), 2))
        ids, targets = rows_of(train[rng.integers(len(train), size=32)])
        loss(model(ids), targets, answer_log_probs(reference_model(ids), targets))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return model, np.array(marks)    # (marks, 2, sums)

# %%
tuned, marks = prefer(DPOLoss(0.1), steps=50)
figure, axes = subplots(1, 2, size=(8, 3))
for k, (name, style, color) in enumerate((("chosen", "o-", BLUE), ("rejected", "s--", ORANGE))):
    for ax, values in zip(axes, (np.exp(marks[:, k]), marks[:, k])):
        ax.plot(range(0, 51, 5), values.mean(axis=1), style, color=color, ms=4, label=name)
axes[0].set(xlabel="step", ylabel="probability"); axes[0].legend()
axes[1].set(xlabel="step", ylabel="log p (nats)")
show(figure, "Two panels over 50 steps. Left: the probability of the chosen answer rises from 0.3 to 0.55 "
             "in five steps, then falls to almost 0; the rejected one falls from 0.7 to 0 within 15 "
             "steps. Right: log p of the chosen answer ends at about -11 nats, of the rejected one at "
             "about -33.")

# %%
answers_now = adder.says(tuned, held_out)
for pair, said in zip(held_out[:6], answers_now):
    print(f"{pair[0]:2} + {pair[1]:2}: right {pair.sum():03}, forgetful "
          f"{tokenizer.decode(adder.forgetful_answers(pair[None])[0].tolist())}, "
          f"now {tokenizer.decode(said.tolist())}")
numbers, right = answers_now @ [100, 10, 1], held_out.sum(axis=1)
print(f"too large: {(numbers > right).mean():.0%}, right: {(numbers == right).mean():.0%}, too small: "
      f"{(numbers < right).mean():.0%}")

# %% [markdown]
# Forgetful answers are too small, so the right ones lie above them. The model went up, and past them. What we gave it is
# not a place to go to but a *direction*, from rejected to chosen.
#
# ## Why both fall
#
# In the table it cannot happen. A step moves the chosen logit up by some $\eta$ and the rejected one down by as much, and
#
# $$d \log p_a = dz_a - \sum_k p_k\, dz_k = \eta\, (1 - p_a + p_b) > 0.$$
#
# But our model is no table: all answers share all weights. The loss asks for a *difference*, and log p rises to 0 at
# most, while it can fall without end. So most of the difference must come from the fall of the rejected answer. And what makes that one
# unlikely does the same to the chosen one, which has digits in common with it. What both lose goes to answers that were in *no* pair.
#
# If so, a loss that also asks for the chosen answer should hold it up, and so should a larger β, content
# with fewer nats. The controls: fine-tuning on the chosen answers alone (**SFT**, chapter 27), and a third of the rate, in case long steps
# are to blame.

# %%
print("of 100 unseen sums     right            sides with us   log p: chosen, rejected   right without "
      "carries")
names = ("SFT", "DPO", "DPO, lower rate", "DPO, beta 1", "DPO, beta 5", "DPO + SFT")
rows = [(name, name, 100) for name in names]
for label, name, step in [("before", "SFT", 0), *rows]:
    logs = ", ".join(f"{of(name, what, step).mean():6.1f}" for what in ("chosen", "rejected"))
    print(f"{label:16} {band(100 * of(name, 'right', step)):>20} {of(name, 'wins', step).mean():>14.1%} "
          f"{logs:>22} "
          f"{100 * of(name, 'others right', step).mean():>20.0f}")

# %%
figure, axes = subplots(1, 3, size=(9, 3), sharey=True)
steps = [0, 10, 25, 50, 100]
for ax, name in zip(axes, ("DPO", "DPO, beta 5", "DPO + SFT")):
    for what, style, color in (("p chosen", "o-", BLUE), ("p rejected", "s--", ORANGE)):
        values = np.array([of(name, what, step) for step in steps])    # (marks, seeds)
        ax.fill_between(steps, values.min(axis=1), values.max(axis=1), color=color, alpha=0.3, lw=0)
        ax.plot(steps, values.mean(axis=1), style, color=color, ms=4, label=what)
    ax.set(title=name, xlabel="step")
axes[0].set_ylabel("probability"); axes[0].legend()
show(figure, "Three panels: probabilities of the chosen and the rejected answer over 100 steps, with "
             "bands over five seeds. DPO at β = 0.1: chosen rises to 0.4 at step 10, then both go to 0. "
             "At β = 5: chosen settles at about 0.6, rejected at 0.1. DPO with SFT: chosen goes to 0.95, "
             "rejected to 0.")

# %% [markdown]
# The loss that asks for the chosen answer holds it up. So does a β of 5, though less reliably: it stops where the lead has grown by three or
# four nats. A lower rate only takes longer. And all six side with us: *a model that wins every pair may still write nonsense*. (All six
# lose most sums without a carry, which no pair showed; the β of 5 loses the fewest.)
#
# On sums like those of the pairs, fine-tuning alone was best. What are rejected answers good for, then?
#
# ## What must not be said
#
# We take the Shakespeare model of chapter 17 and pairs of lines by the same character. The chosen line says neither
# *thou* nor *you*, the rejected one says *you* (or *your*). After 20 steps of 8 pairs, at β = 1, it writes lines for
# Romeo. **Before you look:** can SFT on the chosen lines learn what they do not say?

# %%
def lines(name, step, *whats):
    return ", ".join(f"{what} {band(100 * of(name, what, step, 'runs'))}" for what in whats)

print("in 100 lines of its own, and in 100 words:")
for name, step in (("not you, SFT", 0), ("not you, SFT", 20), ("not you, DPO", 20)):
    print(f"{name if step else 'before':13} {lines(name, step, 'you', 'words')} real")

# %% [markdown]
# SFT copies lines, and *you* becomes rarer. DPO is shown the difference, and *you* is gone, with all five seeds. It has its price: fewer
# words are real than before.
#
# ## Length
#
# Again *you* is rejected; this time *thou* is chosen. But let the chosen lines *also* be shorter, by ten letters at least, or longer. Nobody
# asks for length. (A pair is won here if the chosen line gains more on the reference than the rejected one.) **Before you look:** what
# will the model take to be the reason for our choice?

# %%
print("before:", lines("DPO", 0, "thou"))
for name in ("DPO", "longer", "shorter", "longer, per token"):
    wins, letters = of(name, "wins", 20, "runs"), of(name, "length", 20, "runs")
    print(f"{name:18} wins {100 * wins.mean():3.0f} of 100 unseen pairs; letters a line "
          f"{of(name, 'length', 0, 'runs').mean():.0f} -> "
          f"{band(letters)}; {lines(name, 20, 'thou')}")

# %%
print("after 40 steps, the second line of three seeds:")
for name in ("not you, SFT", "not you, DPO", "longer", "shorter"):
    runs = [run for run in found["runs"] if run["name"] == name and run["seed"] < 3]
    print(f"{name:13}", *(repr(run["lines"][1]) for run in runs))

# %% [markdown]
# Taught by shorter lines, it wins all pairs, writes lines of seven
# letters after 20 steps, and says *thou* more rarely than before: length was the easier difference. After 40 they look like speakers' names. A
# sum over tokens grows with their number, so some divide by it (`per_token`, with β = 4 in place of 0.1). Here that
# does not help: its lines are no shorter (all are cut at 56 letters). What helps is pairs that differ in nothing but what we mean.
#
# Try it: for which β between 1 and 20 does `tuned, _ = prefer(DPOLoss(beta), steps=50)` give the most right answers?
# `adder.says(tuned, held_out)` returns them.
#
# <details><summary>Answer</summary>
#
# For β = 1 two draws of the batches gave 18 and 7 in 100, for 2 they gave 51 and 32. From 5 to 50 it is between 53 and 95, and the draws
# differ more than the βs.
#
# </details>
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
# - A reward model is a GPT with one output, read at the last token. Its favorite of all answers may be nonsense.
# - The best policy on a leash is $\pi_\text{ref}\, e^{r/\beta} / Z$. Solved for $r$, $Z$ cancels in a pair, and DPO is left:
#   cross-entropy with weights of both signs.
# - The loss sees a difference, whatever it is, such as length: a direction, not a place. Both answers may fall to nothing while every pair is won. A larger β, or the
#   fine-tuning loss beside it, holds the chosen one up.
# - We exported `numpygpt/posttraining/preferences.py`. Next: Rewards, where the model's own samples are all the data there is.
