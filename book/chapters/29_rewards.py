# %% [markdown]
# # Chapter 29: Rewards
#
# The forgetful adder of [chapter 27](27_finetuning.ipynb) learned to add from a teacher who drops every carry seven
# times out of ten, and it adds as he does. Five hundred right sums mended it. In this chapter it sees not a single
# one. It writes answers of its own, and is told one thing about each: right, or wrong. Five runs:

# %%
import json
from pathlib import Path

import numpy as np
from coursekit import add_to_class, export
from coursekit.figures import BLACK, BLUE, GRAY, GREEN, ORANGE, show, subplots

# %%
found = json.loads(Path("../data/rewards.json").read_text(encoding="utf-8"))["runs"]

def curves(task, method, what):
    """What the runs of all seeds measured, (seeds, moments)."""
    runs = [run for run in found if (run["task"], run["method"]) == (task, method)]
    return np.array([[point[what] for point in run["points"]] for run in runs])

# %%
greedy, seconds = (curves("adder", "group mean", what) for what in ("greedy", "seconds"))
print(f"held-out sums right: {greedy[0, 0]:.1%} before, from {greedy[:, -1].min():.1%} to "
      f"{greedy[:, -1].max():.1%} "
      f"after {seconds[:, -1].mean():.1f} seconds of one core")

# %% [markdown]
# A student better than every teacher it had, without one label. **The question of this chapter: how does a model
# learn from a number that comes only after its last token, and that has no gradient? And what does it learn when that
# number is not quite what we want?** (`python benchmarks/rewards.py` makes these runs.)
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `R`, `A` | rewards and advantages: of G answers to each of P prompts | `(P, G)` |
# | `x`, `y` | ids to read and ids to come; IGNORE where `y` is not the answer's, N = P G | `(N, T)` |
# | `log_p` | log-probability of each `y`, under the model that learns | `(N, T)` |
# | `old`, `reference` | the same under the model that wrote the answers, and under one to stay near | `(N, T)` |
# | `ratio` | ρ = exp(log_p - old) | `(N, T)` |
# | `shares` | how much each token counts in the loss; 0 outside the answers | `(N, T)` |
#
# ## Three answers, by hand
#
# Reinforcement learning calls a model that acts a **policy**. For each answer it gets a reward, and we want more of it on
# average. Take three answers, with logits $z$, probabilities $p$ and rewards $R_a$. The average
# is $J = \sum_a p_a R_a$, and softmax's backward pass (chapter 5) gives its gradient, $p\,(R - J)$. But this needs
# the reward of every answer there is, and three tokens from our 12 make 1,728 answers. So we rewrite it:
#
# $$\nabla J = \sum_a R_a \nabla p_a = \sum_a p_a\, R_a \nabla \log p_a,$$
#
# since $\nabla \log p_a = \nabla p_a / p_a$. This **log-derivative identity** turns a sum over all answers into a
# mean over answers that the model draws, each with $R_a \nabla \log p_a$. For a softmax $\nabla_z \log p_a = y - p$,
# $y$ one-hot at $a$. The estimate is called **REINFORCE** (Williams, 1992).

# %%
from numpygpt.nn.functional import softmax

rng = np.random.default_rng(29)
z, R = np.array([0.2, -0.3, 0.5]), np.array([1.0, 0.0, 4.0])
p = softmax(z)
slopes = np.eye(3) - p                        # row a: ∇ log p_a = y - p
drawn = rng.choice(3, 400_000, p=p)
print("exact:    ", (p * (R - p @ R)).round(2))
print("by drawing:", (R[drawn, None] * slopes[drawn]).mean(axis=0).round(2))

# %% [markdown]
# Nothing had to be differentiated but $\log p$. The reward may come from anywhere: a program that adds, a
# person, a dictionary.
#
# ## Nothing new to derive
#
# An answer of a GPT has the probability $\prod_t p_t$, so $\log p(\text{answer}) = \sum_t \log p_t$: each of its
# tokens gets the reward of the whole answer. To raise $R \log p$ is to lower $-R \log p$, and that is cross-entropy with
# the model's *own* tokens as targets, each with the weight $R$. Chapter 27 derived it, for weights of
# either sign: $\text{dlogits} = R\,(p - y)$. There is no new backward pass.
#
# First the answers. They are sampled in groups, many to each prompt, all at once and with the cache of
# [chapter 17](17_sampling.ipynb); such an answer is a *rollout*.

# %% tags=["export"] module="posttraining/sampling.py"
"""Rollouts: groups of answers that a model samples, and what they are paid. From chapter 29."""

import numpy as np

from numpygpt.generate import generate
from numpygpt.posttraining.masked import IGNORE

# %% tags=["export"]
def rollouts(model, prompts, group, max_new_tokens, *, end=None, rng):
    """Sample `group` answers to each of the prompts (P, T); those to one prompt stand side by side.

    They are drawn as the model gives them, at temperature 1 and without cuts: the model that learns
    must be the one that wrote them.

    Args:
        end: the id that ends an answer, as its last token; None: all have max_new_tokens.

    Returns:
        x, y (P · group, T + max_new_tokens - 1) as `padded` makes them: what is read, and what
        comes next; IGNORE in the prompt and after the end.

    Raises:
        ValueError: prompt and answer do not fit into the model's window.
    """
    T, size = prompts.shape[1], model.config.block_size
    if T + max_new_tokens - 1 > size:
        raise ValueError(f"{T} tokens and {max_new_tokens} new ones do not fit block_size={size}")
    ids = generate(model, np.repeat(prompts, group, axis=0), max_new_tokens, rng=rng)
    x, y = ids[:, :-1], ids[:, 1:].copy()
    y[:, : T - 1] = IGNORE
    ends = ids[:, T:] == end
    y[:, T - 1 :][np.cumsum(ends, axis=1) > ends] = IGNORE  # an end stands before this token
    return x, y

# %% tags=["export"]
def pay(reward, x, y, group):
    """Return rewards (P, group): reward(ids of the prompt, ids of the answer), two lists, of each.

    Raises:
        ValueError: a reward is not a finite number.
    """
    counts = y != IGNORE
    T = counts[0].argmax() + 1  # the first token of the answer comes after the prompt's T
    rewards = np.array(
        [reward(a[:T].tolist(), b[c].tolist()) for a, b, c in zip(x, y, counts, strict=True)],
        np.float64,
    )
    if not np.isfinite(rewards).all():
        raise ValueError("a reward is infinite or NaN")
    return rewards.reshape(-1, group)

# %% [markdown]
# Ours is a *verifiable reward*: a program decides. Look at 16 answers to one prompt.

# %%
from numpygpt.checkpoint import load_model
from numpygpt.posttraining import adder

path = "../data/checkpoints/forgetful_adder/checkpoint.npz"
student, sums, _ = load_model(path, np.float64)
train_pairs, held_out = adder.split_sums()

def right(prompt, answer):
    a, b = 10 * prompt[0] + prompt[1], 10 * prompt[3] + prompt[4]
    return float(answer == [int(digit) for digit in f"{a + b:03}"])

# %%
prompt = np.array([sums.encode("47+85=")])
x, y = rollouts(student, prompt, 16, 3, rng=rng)
R = pay(right, x, y, 16)
print(" ".join(sums.decode(row[5:].tolist()) for row in y))
print(" ".join(f"{reward:3.0f}" for reward in R[0]))

# %% [markdown]
# Does the identity hold for a whole GPT, in all of its 101,440 parameters? Only one answer to this prompt is paid, so $J$ is the
# probability of 132, and $\nabla J = p\, \nabla \log p$ of that answer alone. Against it stands the sum over
# all 1,728 answers, which for once we can write down.

# %%
from numpygpt.posttraining import answer_log_probs, weighted_cross_entropy_backward

def gradients(x, y, *weights):
    """For each of the weights (N,): the gradient of Σ weight log p(answer) / N, in all parameters."""
    logits, found = student(x), []
    for w in weights:
        student.zero_grad()
        w = np.where(y != IGNORE, w[:, None], 0)
        student.backward(weighted_cross_entropy_backward(logits, y, w, total=len(x)))
        found.append(-np.concatenate([g.ravel() for g in student.grads().values()]))
    return found

# %%
x, y = adder.rows(np.array([[47, 85]]), np.array([[1, 3, 2]]))
exact = np.exp(answer_log_probs(student(x), y)) * gradients(x, y, np.ones(1))[0]

answers = np.indices((12, 12, 12)).reshape(3, -1).T
x, y = adder.rows(np.repeat([[47, 85]], len(answers), axis=0), answers)
p_of = np.exp(answer_log_probs(student(x), y))           # (1728,), its sum is 1
paid = (answers == [1, 3, 2]).all(axis=1)
with_rewards, with_ones = (len(x) * g for g in gradients(x, y, p_of * paid, p_of))
print("Σ p R ∇ log p is the gradient:", np.allclose(with_rewards, exact, rtol=1e-9, atol=1e-12))
print("Σ p ∇ log p is 0:", np.allclose(with_ones, 0, atol=1e-12))

# %% [markdown]
# ## The baseline
#
# The last line was to be expected: the probabilities always sum to 1, so $\sum_a p_a \nabla \log p_a = \sum_a \nabla p_a = 0$.
# We may subtract any number $b$ that does not depend on the answer:
#
# $$\nabla J = \sum_a p_a\, (R_a - b) \nabla \log p_a .$$
#
# It changes nothing on average, but it does change the noise. **Before you run the next cells:** somebody adds 10 to all
# rewards. What happens to the mean and the variance? And what if the mean reward is the **baseline** $b$? First the three answers,
# exactly, then batches of 64 answers of the GPT.

# %%
R = np.array([1.0, 0.0, 4.0])
for name, b in (("as paid", 0.0), ("10 more for all", -10.0), ("less the mean reward", p @ R)):
    estimates = (R - b)[:, None] * slopes                # for each answer that may be drawn
    mean = p @ estimates
    print(f"{name:20}  mean {mean.round(2)}   variance {p @ ((estimates - mean) ** 2).sum(axis=1):6.2f}")

# %%
noise = {"paid 1 or 0": [], "paid 2 or 1": [], "paid 11 or 10": [], "less the mean reward": []}
for _ in range(16):
    x, y = rollouts(student, prompt, 64, 3, rng=rng)
    R = pay(right, x, y, 64)[0]
    of_rewards, of_ones = gradients(x, y, R, np.ones(64))
    for name, b in zip(noise, (0, -1, -10, R.mean())):
        noise[name].append(np.sum((of_rewards - b * of_ones - exact) ** 2))
for name, squares in noise.items():
    print(f"{name:20}  off by {np.sqrt(np.mean(squares) / (exact @ exact)):.2f} times the gradient")

# %% [markdown]
# The noise grows with what every answer is paid regardless: at *11 or 10* a batch tells us nothing at all. With the
# baseline the model is told how much **better than expected** an answer was, its *advantage* $A = R - b$, and what is
# added to all rewards cancels.
#
# GRPO (*group relative policy optimization*, Shao and others, 2024) takes the mean of the answers to the same
# prompt: the group is its own baseline, and no second model has to guess it. Each answer is part of the mean that it is
# compared with; that shortens the estimate by the factor $(G - 1)/G$, and leaves its direction alone. (With $m$ the mean of
# the *others*, $R - \text{mean} = \frac{G-1}{G} (R - m)$.) A group in which all are right, or all wrong, teaches nothing.

# %% tags=["export"] module="posttraining/grpo.py"
"""GRPO: a policy gradient with a baseline, a clip and a leash. Derived in chapter 29."""

import math

import numpy as np

from numpygpt.nn.module import Module
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.posttraining.masked import IGNORE, weighted_cross_entropy_backward
from numpygpt.posttraining.preferences import token_log_probs
from numpygpt.training import DivergedError

# %% tags=["export"]
def group_advantages(rewards, scale=True, eps=1e-4):
    """Return how much better each answer was paid than its group, (P, G), for rewards (P, G).

    A = R - mean; with scale, A = (R - mean) / (std + eps). Source: Shao et al., DeepSeekMath, 2024;
    without scale: Liu et al., Understanding R1-Zero-Like Training, 2025.
    """
    advantages = rewards - rewards.mean(axis=1, keepdims=True)
    return advantages / (rewards.std(axis=1, keepdims=True) + eps) if scale else advantages

# %% tags=["export"]
def token_shares(counts, by_answer=False):
    """Return each token's share in a mean, (N, T): equal for all that count, or for all answers.

    by_answer: 1 / length of the answer / N, as in the first GRPO.
    """
    if by_answer:
        return counts / counts.sum(axis=1, keepdims=True) / len(counts)
    return counts / counts.sum()

# %% [markdown]
# ## More than one step from the same answers
#
# In large models sampling is the expensive part, so the same answers should serve for several steps. But after the first of
# them they are no longer the model's own. The mean over answers of the *old* model is corrected by the ratio of the answers'
# probabilities, a product over tokens. The field takes each token's own ratio, which is good near 1:
# the gain is $\rho A$ with $\rho = p / p_\text{old}$. Its slope is $\rho A\, \nabla \log p$: at $\rho = 1$,
# REINFORCE. Far from 1 it cannot be trusted, so PPO (*proximal policy optimization*, Schulman and others,
# 2017) takes the *clipped objective*
#
# $$\min\big(\rho A,\ \text{clip}(\rho, 1 - \varepsilon, 1 + \varepsilon)\, A\big).$$
#
# **Before you run the next cell:** on which side is this flat for a bad answer, $A < 0$?

# %%
rho = np.linspace(0.4, 1.6, 241)
figure, axes = subplots(1, 2, size=(7.5, 2.8))
for ax, A in zip(axes, (1.0, -1.0)):
    clipped = np.clip(rho, 0.8, 1.2) * A
    ax.plot(rho, rho * A, "--", color=GRAY, label="ρ A")
    ax.plot(rho, np.minimum(rho * A, clipped), color=ORANGE, label="the minimum")
    ax.plot(1, A, "o", color=BLACK)
    ax.set(xlabel="ratio ρ", title=f"A = {A:+.0f}"); ax.legend()
axes[0].set_ylabel("gain")
show(figure, "The clipped gain against the ratio. For a positive advantage it rises with the ratio up to "
             "1.2, then is flat. For a negative one it is flat below 0.8, and from there falls with the "
             "ratio, also beyond 1.2.")

# %% [markdown]
# A token of a good answer gains nothing more once it is 1.2 times as likely as it was, one of a bad answer once it is down to
# 0.8. On the other side nothing is clipped: what went the wrong way can always come back.
#
# ## The leash
#
# A reward says nothing about what else the model can do. To keep those abilities, we stay near a reference, as in
# [chapter 28](28_preferences.ipynb). The distance is again KL$(p, p_\text{ref})$, the mean of $\log p / p_\text{ref}$ over
# what the model writes. With $r = p_\text{ref} / p$ its plain estimate is $-\log r$, of either sign. Schulman (2020) adds
# $r - 1$, whose mean is 0:
#
# $$k_3 = r - 1 - \log r \ \ge\ 0, \qquad \frac{d k_3}{d \log p} = 1 - r .$$

# %%
shift = np.array([0.8, -0.5, 0.1])
r = softmax(z + shift) / p                    # the reference is the softmax of moved logits
for name, k in (("-log r", -np.log(r)), ("k3", r - 1 - np.log(r))):
    print(f"{name:6}  mean {p @ k:.4f}, standard deviation {np.sqrt(p @ (k - p @ k) ** 2):.4f}")

# %% [markdown]
# The same mean with less noise. But we use its *gradient*, and that holds a surprise. **Before you run the next cell:** is
# the mean gradient of $k_3$ the gradient of its mean?

# %%
for size in (1.0, 0.1):
    q = softmax(z + size * shift)
    KL, mean_gradient = p @ np.log(p / q), p @ ((1 - q / p)[:, None] * slopes)
    print(f"logits moved by {size} of it: mean gradient of k3 {mean_gradient.round(4)}, gradient of "
          f"KL(p, ref) "
          f"{(p * (np.log(p / q) - KL)).round(4)}; the first is p - p_ref: "
          f"{np.allclose(mean_gradient, p - q)}")

# %% [markdown]
# It is not: the answers are drawn from $p$, and $p$ moves as well (Tang and Munos, 2025). What we get is the gradient of
# KL$(p_\text{ref}, p)$, the other way around: $p - p_\text{ref}$, chapter 5's $p - y$ with the reference in place of the
# one-hot target. So the leash that GRPO's authors wrote, and many programs use, *teaches the model what the reference
# says*. Near the reference the two nearly agree, as the second line shows. We keep it, and know what it is.
#
# ## The loss
#
# Ratio, clip and leash act on $\log p$ of each token. Whatever slope they give is a weight for the cross-entropy of chapter 27.

# %% tags=["export"]
class PolicyLoss(Module):
    """loss = -Σ share (min(ρ A, clip(ρ, 1 - ε, 1 + ε) A) - β k3), over targets other than IGNORE.

    ρ = p / p_old and k3 = r - 1 - log r, r = p_ref / p, at each target; A is that of its answer,
    its share is from `token_shares`. logits: (N, T, V), targets, old, reference: (N, T),
    advantages: (N,). Sources: Schulman et al., Proximal Policy Optimization Algorithms, 2017;
    Schulman, Approximating KL Divergence, 2020 (k3); Shao et al., DeepSeekMath, 2024 (both).
    """

    def __init__(self, clip=0.2, beta=0.0, by_answer=False):
        self.clip, self.beta, self.by_answer = clip, beta, by_answer

# %% tags=["export"]
@add_to_class(PolicyLoss)
def forward(self, logits, targets, advantages, old=None, reference=None):
    """Return the loss; old and reference are `token_log_probs`, old None if p itself."""
    log_p = token_log_probs(logits, targets)
    ratio = np.exp(log_p - (log_p if old is None else old))
    free = ratio * advantages[:, None]
    clipped = np.clip(ratio, 1 - self.clip, 1 + self.clip) * advantages[:, None]
    gain = np.minimum(free, clipped)
    dgain = np.where(free <= clipped, free, 0)  # dρ/dlog_p = ρ; a clipped one is a constant
    if self.beta:
        log_r = reference - log_p
        gain -= self.beta * (np.expm1(log_r) - log_r)
        dgain += self.beta * np.expm1(log_r)  # dk3/dlog_p = 1 - r
    shares = token_shares(targets != IGNORE, self.by_answer)
    self.logits, self.targets, self.log_p = logits, targets, log_p
    self.weights = shares * dgain
    return -float((shares * gain).sum())

# %% tags=["export"]
@add_to_class(PolicyLoss)
def backward(self, dloss=1.0):
    # loss = -Σ share gain: cross-entropy with the weights share dgain
    return weighted_cross_entropy_backward(
        self.logits, self.targets, self.weights, total=1.0, dloss=dloss
    )

# %% [markdown]
# The check by central differences, down to every parameter of a small GPT, with ratios on both sides of both limits. Then
# we break it: bad answers are clipped where good ones would be.

# %%
from numpygpt import GPT, GPTConfig, gradcheck
from numpygpt.gradcheck import GradientError
from numpygpt.posttraining import MaskedLoss

# %%
class Through(PolicyLoss):
    """The loss of a model's logits, given the rest, as a layer that gradcheck can take."""

    def __init__(self, model, **options):
        super().__init__(clip=0.2, beta=0.3, **options)
        self.model = model

    def forward(self, x, *rest):
        return super().forward(self.model(x), *rest)

    def backward(self, dloss=1.0):
        self.model.backward(super().backward(dloss))

# %%
small = GPT(GPTConfig(7, 6, 1, 2, 4), rng=rng, dtype=np.float64)
for w in small.params().values():
    w[...] = rng.normal(0, 0.5, w.shape)
x, y = rng.integers(0, 7, (2, 5, 6))
y[:, :2], A = IGNORE, np.array([1.2, -0.7, 0.4, -1.5, -0.9])
log_p = token_log_probs(small(x), y)
old, reference = (log_p - rng.uniform(-0.6, 0.6, log_p.shape) for _ in range(2))
report = gradcheck(Through(small), x, y, A, old, reference, rng=rng, rtol=1e-6, atol=1e-8)
print(f"{len(report.rows)} arrays right, largest relative error below 1e-6: {report.max_error < 1e-6}")

# %%
logits, policy_loss, plain = small(x), PolicyLoss(), MaskedLoss()
policy_loss(logits, y, np.ones(5)); plain(logits, y)
same = np.allclose(policy_loss.backward(), plain.backward(), rtol=0, atol=1e-17)
print("with ρ = 1 and A = 1 it is cross-entropy:", same)

# %%
class ClippedAsIfGood(Through):
    def backward(self, dloss=1.0):
        ratio, shares = np.exp(self.log_p - old), token_shares(y != IGNORE)
        leash = self.beta * np.expm1(reference - self.log_p)
        self.weights = shares * (np.where(ratio < 1.2, ratio * A[:, None], 0) + leash)
        super().backward(dloss)

try:
    gradcheck(ClippedAsIfGood(small), x, y, A, old, reference, rng=rng)
except GradientError as error:
    print(str(error).split(":")[0].split("[")[0], "is wrong")

# %% [markdown]
# ## The whole algorithm
#
# Sample, pay, compare within the group, step. An answer whose advantage is 0 has no gradient, and without a leash we leave
# it out.

# %% tags=["export"]
class GRPO:
    """Group relative policy optimization: sample, pay, compare within the group, step.

    Args:
        model, optimizer: the policy, and what steps it.
        reward: function of the ids of a prompt and of an answer, two lists; returns a number.
        group, max_new_tokens, end: see `rollouts`.
        updates: steps taken on the same answers.
        advantages: function of rewards (P, G): the baseline. `lambda R: R` has none.
        clip, beta: see `PolicyLoss`.
        reference: a model to stay near, which is not changed; needed if beta is not 0.
        max_norm: the gradient is clipped to this norm.

    Source: Shao et al., DeepSeekMath, 2024. Answers of advantage 0 are left out of the mean, as in
    Yu et al., DAPO, 2025.
    """

    def __init__(
        self, model, optimizer, reward, *, group, max_new_tokens, end=None, updates=1,
        advantages=group_advantages, clip=0.2, beta=0.0, reference=None, max_norm=1.0, rng,
    ):
        if beta and reference is None:
            raise ValueError(f"beta={beta} needs a reference, the model to stay near")
        self.model, self.optimizer, self.reward, self.rng = model, optimizer, reward, rng
        self.group, self.max_new_tokens, self.end = group, max_new_tokens, end
        self.updates, self.advantages, self.max_norm = updates, advantages, max_norm
        self.loss, self.reference = PolicyLoss(clip, beta), reference

# %% tags=["export"]
@add_to_class(GRPO)
def step(self, prompts):
    """Sample answers to the prompts (P, T), learn from them, return their rewards (P, G)."""
    options = {"end": self.end, "rng": self.rng}
    x, y = rollouts(self.model, prompts, self.group, self.max_new_tokens, **options)
    rewards = pay(self.reward, x, y, self.group)
    advantages = self.advantages(rewards).reshape(-1)
    # Without a leash, an advantage of 0 has no gradient.
    used = (advantages != 0) | bool(self.loss.beta)
    if used.any():
        self.learn(x[used], y[used], advantages[used])
    return rewards

# %% tags=["export"]
@add_to_class(GRPO)
def learn(self, x, y, advantages):
    """Take `updates` steps on answers, rows of x and y (N, T), with advantages (N,)."""
    beta, old, reference = self.loss.beta, None, None
    if beta:
        reference = token_log_probs(self.reference(x), y)
    for _ in range(self.updates):
        self.loss(self.model(x), y, advantages, old, reference)
        old = self.loss.log_p if old is None else old  # of the model that wrote the answers
        self.optimizer.zero_grad()
        self.model.backward(self.loss.backward())
        norm = clip_grad_norm(self.model, self.max_norm)
        if not math.isfinite(norm):
            raise DivergedError(f"the gradient's norm is {norm:.4g}: try a lower learning rate")
        self.optimizer.step()

# %% [markdown]
# Now live, and shorter than in the first cell: 32 prompts a step, 16 answers to each, one update. (And
# it divides by the standard deviation; those runs did not.)

# %%
from numpygpt.optim import Adam

policy = load_model(path)[0]
rng = np.random.default_rng(0)
grpo = GRPO(policy, Adam(policy, 5e-4), right, group=16, max_new_tokens=3, rng=rng)

def accuracy(model, pairs=held_out):
    return adder.share_saying(model, pairs, adder.right_answers(pairs))

# %% tags=["measurement"]
print(f"step  0: {accuracy(policy):.1%} of the held-out sums are right")
for n in range(1, 21):
    rewards = grpo.step(adder.prompts(rng.choice(train_pairs, 32)))
    if n % 5 == 0:
        print(f"step {n:2}: {accuracy(policy):.1%}; of the answers drawn in it {rewards.mean():.0%}")

# %% [markdown]
# ## What a skeptic would run
#
# Half of the first answers are right. Why not keep those and train on them, as chapter 27 does? That is **rejection
# sampling**, and it is our algorithm without a baseline: $A = R$, weights of 1 and 0. So is the baseline worth anything
# here? The noise is a matter of the squared weights: with a share $p$ of right answers their mean is $p$ without
# a baseline, and $p (1 - p)^2 + (1 - p)\, p^2 = p (1 - p)$ with it.
#
# **Before you run the next cell:** for which task does the baseline matter more, one with 1 right answer in 50 or one with
# 9 in 10?

# %%
for p_right in (0.02, 0.5, 0.9):
    print(f"{p_right:4.0%} right: a baseline leaves {1 - p_right:.0%} of the squared weights")

# %% [markdown]
# Where success is rare, weights of 1 and 0 are nearly as good as any. The baseline should earn its keep where most answers are
# right already, or where rewards are not 1 and 0. Here are two tasks, five seeds each: on the left the one above; on the
# right the adder after more lessons, from a teacher who forgets 49 times out of 50, asked only for sums with a carry.
# *GRPO* divides by the standard deviation and makes two updates a step, with clip and leash; *paid 0 or -1* has no baseline.

# %%
looks = {"GRPO": (ORANGE, "-"), "group mean": (BLUE, "-"),
         "rejection": (GREEN, "--"), "paid 0 or -1": (GRAY, ":")}
figure, axes = subplots(1, 2, size=(9, 3.2), sharey=True)
for ax, task in zip(axes, ("adder", "rare")):
    for method, (color, style) in looks.items():
        seconds, right_ones = (curves(task, method, what)[:, 1:] for what in ("seconds", "greedy"))
        band = right_ones.min(axis=0), right_ones.max(axis=0)
        ax.fill_between(seconds.mean(axis=0), *band, color=color, alpha=0.2, lw=0)
        ax.plot(seconds.mean(axis=0), right_ones.mean(axis=0), style, color=color, label=method)
    title = {"adder": "at first half are right", "rare": "at first 1 in 50 is right"}[task]
    ax.set(xscale="log", xlabel="seconds of one core", title=title)
    ax.minorticks_off(); ax.set_xticks((0.1, 0.3, 1, 3), (0.1, 0.3, 1, 3))
axes[0].set_ylabel("held-out sums right"); axes[1].legend(loc="upper left")
show(figure, "Share of right sums against seconds on a logarithmic axis, a band over five seeds for each "
             "of four methods. Left all four have reached about 90 percent or more within a third of a "
             "second. Right rejection rises first, then the mean of the group, then paid 0 or -1 and "
             "GRPO. All end near 100 percent.")

# %%
for task in ("adder", "rare"):
    print(f"{task}: at first {curves(task, 'GRPO', 'drawn')[0, 0]:.1%} of drawn answers are right")
    for method in looks:
        steps, seconds, shares = (curves(task, method, what) for what in ("step", "seconds", "greedy"))
        for n in (steps[0].tolist().index(10), -1):
            print(f"    {method:13} {steps[0, n]:2} steps, {seconds[:, n].mean():.1f} s: "
                  f"{shares[:, n].mean():.1%} right, "
                  f"from {shares[:, n].min():.0%} to {shares[:, n].max():.0%}")

# %% [markdown]
# All runs arrive, even from 1 right answer in 50, and none diverged. At equal steps rejection sampling and the
# mean of the group are tied. Where success is rare, the squared weights said so; elsewhere the smaller noise did not
# show. Where success is rare, rejection is ahead on the clock, at first: it learns from right answers alone, and ten steps take
# 0.4 seconds, not 0.6. Later it is slower: the group mean leaves out groups in which all are right.
# *Paid 0 or -1* learns from mistakes alone. On the left that is as good, and soon the cheapest. On the right 49 weights
# out of 50 are -1, and it catches up only later. The full GRPO does more than twice the work a step. On the right ten steps
# bring it to 90 percent, the group mean to 63; on the clock it is behind. It would pay if sampling were expensive.
#
# So here the simplest method is good enough, and 500 labels (chapter 27) would do as well. Two limits hold for all of them:
# what is never drawn is never paid, and a program must be able to tell.
#
# ## Two known biases
#
# The first GRPO took the mean of each answer first, then the mean of the answers. And it divides by the standard
# deviation of the group.

# %%
two_wrong = np.arange(20) < np.array([[2], [20]])    # answers of 2 and of 20 tokens
print("push on each token:", token_shares(two_wrong, by_answer=True)[:, 0])
for n in (1, 8, 15):
    R = (np.arange(16) < n)[None].astype(float)
    plain, scaled = (abs(group_advantages(R, scale)).mean() for scale in (False, True))
    print(f"{n:2} of 16 right: mean size of an advantage {plain:.2f}, divided {scaled:.2f}")

# %% [markdown]
# A long wrong answer is pushed down a tenth as hard, token by token: being wrong at length is cheap, and answers grow. And
# divided, a group with one right answer weighs half as much as an even one; it was a quarter before. That is
# no longer the gradient of the mean reward (Liu and others, 2025). Our loss counts all tokens alike, and
# `scale=False` all groups: the gradient has the right direction. (In the adder all answers have three tokens, so the first cannot show.)
#
# ## A reward that is hacked
#
# A sum is right or wrong, and that is all we want of it. Now we want Shakespeare without the letter e, as Georges Perec
# wrote a whole novel without one. We fine the book's own model one point for each e, in answers of 31 letters.
#
# **Before you run the next cells:** how would you avoid the fine?

# %%
poet, letters, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz")
e, start = letters.id_of["e"], np.array([letters.encode("\n")])
rng = np.random.default_rng(1)
options = {"group": 64, "max_new_tokens": 31, "rng": rng}
grpo = GRPO(poet, Adam(poet, 5e-4), lambda prompt, answer: -answer.count(e), **options)

# %% tags=["measurement"]
fines = [abs(grpo.step(start).mean()) for _ in range(10)]
print("mean fine, step by step:", " ".join(f"{fine:.1f}" for fine in fines))
_, y = rollouts(poet, start, 4, 31, rng=rng)
print(*(repr(letters.decode(row.tolist())) for row in y), sep="\n")

# %% [markdown]
# It shouts. An E is another letter, and nobody had fined it. The reward rose to its maximum within seconds, and what we
# wanted did not come: reward hacking, as in chapter 28, but here the reward was ours. Every gradient was right.
#
# We mend it, and fine E as well. A third model has this second fine, and a leash. The benchmark's runs are longer, 20 steps with 96
# answers of 47 letters, five seeds; and they measure what we wanted: what share of the letters belongs to words that
# Shakespeare uses.

# %%
runs_of = {"e": (ORANGE, ":"), "e and E": (BLUE, "-"), "leash 0.2": (GREEN, "--")}
figure, axes = subplots(1, 3, size=(9.5, 3))
for method, (color, style) in runs_of.items():
    names = ("step", "e", "capital", "words", "old_loss")
    steps, low, high, words, loss = (curves("lipogram", method, name) for name in names)
    for ax, values in zip(axes, (low + high, words, loss)):
        ax.fill_between(steps[0], values.min(axis=0), values.max(axis=0), color=color, alpha=0.25, lw=0)
        ax.plot(steps[0], values.mean(axis=0), style, color=color, label=method)
for ax, label in zip(axes, ("share of e and E", "letters in real words", "loss under the old model (nats)")):
    ax.set(xlabel="step", ylabel=label, ylim=(0, None))
axes[0].legend()
show(figure, "Three panels over 20 steps, bands over five seeds. The share of e and E: fined for e alone "
             "it falls, then rises, in most runs above where it began; fined for both it falls to 0, with "
             "the leash to about one percent. The part of the letters in real words falls from 54 percent "
             "to 1, to a quarter, and with the leash to 46. The loss under the old model rises from 1.7 "
             "to about 4, to 3, and to 1.9.")

# %%
for method in runs_of:
    low, high, words = (curves("lipogram", method, what) for what in ("e", "capital", "words"))
    print(f"{method:9}  e {low[0, 0]:.1%} to {low[:, -1].mean():.2%}, E {high[0, 0]:.1%} to "
          f"{high[:, -1].mean():.2%}, in words "
          f"{words[0, 0]:.0%} to {words[:, -1].mean():.0%} (from {words[:, -1].min():.0%} to "
          f"{words[:, -1].max():.0%})")
    for run in [run for run in found if run["method"] == method][:2]:
        print("   ", repr(run["sample"]))

# %% [markdown]
# The mended reward is paid in full as well, and the words go: nobody had asked for words. One could pay for those next,
# and the model would find what *that* reward forgot. (Krakovna and others, 2020, collect such cases.) The leash need not
# know what will be forgotten. It keeps most of what the old model knew, and gives up some of the reward for it: one e in a
# hundred letters stays.
#
# Try it: load the poet again (`poet` has learned to shout), and give it 12 steps with a leash, `beta=0.2, reference=load_model(…)[0]`,
# fined for e alone. How much of the fine is left?
#
# <details><summary>Answer</summary>
#
# It falls from 2.4 to 0.1 a line, and the lines are lines still: `Thou, sich killwing our his thi` is one. But 1.8 of
# 100 letters are now an E, up from 0.6: a leash narrows that way out and does not close it.
#
# </details>
#
# ## Export

# %%
export("29_rewards")

# %% [markdown]
# ## Exercises
#
# Now write it yourself: [exercises/29_rewards.ipynb](../exercises/29_rewards.ipynb). A check says what is wrong,
# and `hint("rewards-advantages")` helps.
#
# | task | | minutes |
# |---|---|---|
# | better than its group | easy | 15 |
# | REINFORCE | medium | 20 |
# | the clip | hard | 30 |
# | the leash | medium | 20 |
# | who was fooled? | medium | 20 |
#
# ## Recap
#
# - The log-derivative identity turns rewards into weights on the model's own answers: cross-entropy, with either sign.
# - A baseline changes the noise, not the mean. A group is its own.
# - The ratio allows several steps on the same answers, the clip ends them, the leash keeps what no reward mentions. As a loss $k_3$
#   teaches what the reference says.
# - What is paid is what you get, and not what you meant. Measure what you meant.
# - We exported `sampling.py` and `grpo.py` in `posttraining/`.
#
# ## Where to go from here
#
# You have derived every gradient between a letter and a chat model that learns from rewards. This is what you can
# read now, and what you will recognize in it.
#
# | where | what you will find |
# |---|---|
# | [llm.c](https://github.com/karpathy/llm.c) | GPT-2 in C and CUDA, without a framework: your backward passes, line by line |
# | [nanochat](https://github.com/karpathy/nanochat) | the whole path of this book, from tokenizer to reward, at the size of a real chat model |
# | [modded-nanogpt](https://github.com/KellerJordan/modded-nanogpt) | the speedrun of chapter 24 on eight GPUs: each record with its script and its reason |
# | [How to Scale Your Model](https://jax-ml.github.io/scaling-book/) | chapter 18's roofline and chapter 20's collectives, for thousands of chips |
# | [ARENA](https://www.arena.education/) | chapter 26 as a craft: circuits, probes, evaluations, with exercises |
# | *Attention Is All You Need*, 2017 | chapter 10, in the words of those who found it |
# | *The Llama 3 Herd of Models*, 2024 | most of part V, at 405 billion parameters, with what went wrong |
# | *DeepSeek-R1*, 2025 | this chapter's loss, and what a large model does with it |
#
# And what to write? Take a layer that you miss, a paper without code, a number that you do not believe. Derive it, check it
# by central differences, break it on purpose, and compare it with what a skeptic would run. You know how.
