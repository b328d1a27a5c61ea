"""GRPO: a policy gradient with a baseline, a clip and a leash. Derived in chapter 29."""

import math

import numpy as np

from numpygpt.nn.module import Module
from numpygpt.optim.clip import clip_grad_norm
from numpygpt.posttraining.masked import IGNORE, weighted_cross_entropy_backward
from numpygpt.posttraining.preferences import token_log_probs
from numpygpt.posttraining.sampling import pay, rollouts
from numpygpt.training import DivergedError


def group_advantages(rewards, scale=True, eps=1e-4):
    """Return how much better each answer was paid than its group, (P, G), for rewards (P, G).

    A = R - mean; with scale, A = (R - mean) / (std + eps). Source: Shao et al., DeepSeekMath, 2024;
    without scale: Liu et al., Understanding R1-Zero-Like Training, 2025.
    """
    advantages = rewards - rewards.mean(axis=1, keepdims=True)
    return advantages / (rewards.std(axis=1, keepdims=True) + eps) if scale else advantages


def token_shares(counts, by_answer=False):
    """Return each token's share in a mean, (N, T): equal for all that count, or for all answers.

    by_answer: 1 / length of the answer / N, as in the first GRPO.
    """
    if by_answer:
        return counts / counts.sum(axis=1, keepdims=True) / len(counts)
    return counts / counts.sum()


class PolicyLoss(Module):
    """loss = -Σ share (min(ρ A, clip(ρ, 1 - ε, 1 + ε) A) - β k3), over targets other than IGNORE.

    ρ = p / p_old and k3 = r - 1 - log r, r = p_ref / p, at each target; A is that of its answer,
    its share is from `token_shares`. logits: (N, T, V), targets, old, reference: (N, T),
    advantages: (N,). Sources: Schulman et al., Proximal Policy Optimization Algorithms, 2017;
    Schulman, Approximating KL Divergence, 2020 (k3); Shao et al., DeepSeekMath, 2024 (both).
    """

    def __init__(self, clip=0.2, beta=0.0, by_answer=False):
        self.clip, self.beta, self.by_answer = clip, beta, by_answer

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

    def backward(self, dloss=1.0):
        # loss = -Σ share gain: cross-entropy with the weights share dgain
        return weighted_cross_entropy_backward(
            self.logits, self.targets, self.weights, total=1.0, dloss=dloss
        )


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
        self,
        model,
        optimizer,
        reward,
        *,
        group,
        max_new_tokens,
        end=None,
        updates=1,
        advantages=group_advantages,
        clip=0.2,
        beta=0.0,
        reference=None,
        max_norm=1.0,
        rng,
    ):
        if beta and reference is None:
            raise ValueError(f"beta={beta} needs a reference, the model to stay near")
        self.model, self.optimizer, self.reward, self.rng = model, optimizer, reward, rng
        self.group, self.max_new_tokens, self.end = group, max_new_tokens, end
        self.updates, self.advantages, self.max_norm = updates, advantages, max_norm
        self.loss, self.reference = PolicyLoss(clip, beta), reference

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
