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


def token_log_probs(logits, targets):
    """Return log p of each target, (B, T), for logits (B, T, V); 0 where it is IGNORE."""
    counts = targets != IGNORE
    return np.where(counts, -token_losses(logits, np.where(counts, targets, 0)), 0)


def answer_log_probs(logits, targets):
    """Return log p of each row's answer, (B,): the sum over its tokens."""
    answer_tokens(targets)  # refuses a row without one
    return token_log_probs(logits, targets).sum(axis=-1)


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
