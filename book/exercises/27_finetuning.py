# %% [markdown]
# # Exercises for chapter 27: Fine-tuning
#
# A loss on answers alone, rows with several examples in them, an adapter, and a log that betrays its program.
# Write your code in place of `raise NotImplementedError()`, all of it in that cell. The check below it runs
# your code on cases that you do not see, and says what is wrong. `hint("finetune-loss")` in a cell of your own
# gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import Module
from numpygpt.nn.functional import log_softmax, softmax

IGNORE = -100

# %% [markdown]
# ## Task 1: the loss on answers (3 points, medium, about 20 minutes)
#
# `logits` is `(..., V)`, with one axis or more before the last, `targets` are ids of shape `(...)`; some of
# them are `IGNORE`, but not all. With $N$ for the number of the others and $p$ for the softmax of the logits,
#
# $$\text{loss} = -\frac1N \sum_{\text{targets that are not IGNORE}} \log p_{\text{target}} .$$
#
# Write both passes. `forward` returns the loss, a float. `backward(dloss)` returns `dlogits`, of the shape and
# the dtype of the logits, for the last `forward`. Logits may be as large as 10,000, also where the target is
# IGNORE.

# %% answer="finetune-loss"
class MaskedLoss(Module):
    """loss = -mean log softmax(logits)[target] over the targets that are not IGNORE."""

    def forward(self, logits, targets):
        ### BEGIN SOLUTION
        self.mask = targets != IGNORE
        self.at = np.where(self.mask, targets, 0)[..., None]
        self.p = softmax(logits)
        log_p = np.take_along_axis(log_softmax(logits), self.at, axis=-1)[..., 0]
        return -float(log_p[self.mask].mean())
        ### END SOLUTION

    def backward(self, dloss=1.0):
        ### BEGIN SOLUTION
        dlogits = self.p.copy()
        np.put_along_axis(dlogits, self.at, np.take_along_axis(dlogits, self.at, -1) - 1, axis=-1)
        dlogits *= (self.mask * (dloss / self.mask.sum()))[..., None]
        return dlogits
        ### END SOLUTION

# %% check="finetune-loss" points=3 minutes=20 level="medium"
check("finetune-loss", MaskedLoss)

# %% [markdown]
# ## Task 2: several examples in a row (3 points, medium, about 25 minutes)
#
# An example is a pair of lists of ids, `(prompt, answer)`; neither is empty. In a row it takes
# `len(prompt) + len(answer) - 1` places, and no example takes more than `room`. There `x` has its ids but for
# the last one, `y` the id that comes next if that is one of the answer's, and `IGNORE` if it is one of the
# prompt's. `segment` has the number of the example in its row, counted from 1.
#
# Take the examples in their order. Each goes into the first row that has room for it, behind what is there
# already; if no row has, it begins a new one at the end. Behind the last example of a row `x` is 0, `y` is
# `IGNORE`, and `segment` is 0. Return the three arrays of integers, each of shape `(rows, room)`, and leave
# `examples` as they are. If there are no examples, there are no rows.

# %% answer="finetune-pack"
def pack(examples, room):
    """Return (x, y, segment), each (rows, room)."""
    ### BEGIN SOLUTION
    rows, ends = [], []
    for prompt, answer in examples:
        n = len(prompt) + len(answer) - 1
        i = next((i for i, end in enumerate(ends) if end + n <= room), len(rows))
        if i == len(rows):
            rows.append([])
            ends.append(0)
        rows[i].append((prompt, answer))
        ends[i] += n
    x, segment = np.zeros((2, len(rows), room), int)
    y = np.full((len(rows), room), IGNORE)
    for i, row in enumerate(rows):
        start = 0
        for number, (prompt, answer) in enumerate(row, 1):
            ids = [*prompt, *answer]
            end = start + len(ids) - 1
            x[i, start:end] = ids[:-1]
            y[i, end - len(answer) : end] = answer
            segment[i, start:end] = number
            start = end
    return x, y, segment
    ### END SOLUTION

# %% check="finetune-pack" points=3 minutes=25 level="medium"
check("finetune-pack", pack)

# %% [markdown]
# ## Task 3: an adapter (4 points, hard, about 30 minutes)
#
# $$y = x W + b + s\,(x A)\,B$$
#
# `x` is `(..., n_in)` with any number of leading axes, or none; `W` is `(n_in, n_out)`, `b` `(n_out,)` or None, `A`
# `(n_in, rank)`, `B` `(rank, n_out)`, and `self.scale` is the float $s$. Write `forward`, `backward`, and `merged`,
# which returns, in a new array, the W of a plain layer that computes the same. `backward(dy)` adds to `self.dA` and `self.dB`
# and returns `dx`; `W` and `b` are frozen, nothing changes them, and they have no gradients.
#
# The rank is much smaller than n_in and n_out. Only `merged` may make an array of the shape of `W`; the other
# two must not.

# %%
class LoRALinear(Module):
    """y = x W + b + s (x A) B."""

    def __init__(self, n_in, n_out, rank, scale, bias):
        self.scale = scale
        self.W, self.b = np.zeros((n_in, n_out)), np.zeros(n_out) if bias else None
        self.A, self.B = np.zeros((n_in, rank)), np.zeros((rank, n_out))
        self.dA, self.dB = np.zeros((n_in, rank)), np.zeros((rank, n_out))

# %% answer="finetune-lora"
@add_to_class(LoRALinear)
def forward(self, x):
    ### BEGIN SOLUTION
    self.x, self.h = x, x @ self.A
    y = x @ self.W + self.scale * (self.h @ self.B)
    return y if self.b is None else y + self.b
    ### END SOLUTION

@add_to_class(LoRALinear)
def backward(self, dy):
    ### BEGIN SOLUTION
    x, h, rows = (a.reshape(-1, a.shape[-1]) for a in (self.x, self.h, dy))
    dh = self.scale * (rows @ self.B.T)
    self.dB += self.scale * (h.T @ rows)
    self.dA += x.T @ dh
    return (rows @ self.W.T + dh @ self.A.T).reshape(self.x.shape)
    ### END SOLUTION

@add_to_class(LoRALinear)
def merged(self):
    ### BEGIN SOLUTION
    return self.W + self.scale * (self.A @ self.B)
    ### END SOLUTION

# %% check="finetune-lora" points=4 minutes=30 level="hard"
check("finetune-lora", LoRALinear)

# %% [markdown]
# ## Task 4: which program wrote this log? (3 points, medium, about 20 minutes)
#
# Five programs fine-tune the same model, and each logs the loss of its first batch. You know what each target of
# the batch costs, `nll`, `(B, T)`, which is $-\log p_{\text{target}}$, and which of them belong to answers, `mask`,
# `(B, T)`, booleans. Given these and one logged `loss`, return the name of the program:
#
# | name | its loss |
# |---|---|
# | `"right"` | the mean over all tokens of answers |
# | `"no mask"` | the mean over all tokens |
# | `"wrong divisor"` | the sum over the tokens of answers, divided by the number of all tokens |
# | `"one late"` | the mean where the mask is moved one place to the right: the first column is False, what falls off the end is gone |
# | `"by rows"` | for each row the mean over the tokens of its answers, then the mean of these means |
#
# The log is rounded to three decimals; return the name whose loss is nearest. Every row has at least one token of an
# answer before its last column.

# %% answer="finetune-diagnose"
def diagnose(nll, mask, loss):
    """Return the name of the program that wrote `loss`."""
    ### BEGIN SOLUTION
    late = np.zeros_like(mask)
    late[:, 1:] = mask[:, :-1]
    losses = {
        "right": nll[mask].mean(),
        "no mask": nll.mean(),
        "wrong divisor": nll[mask].sum() / nll.size,
        "one late": nll[late].mean(),
        "by rows": np.mean([row[m].mean() for row, m in zip(nll, mask)]),
    }
    return min(losses, key=lambda name: abs(losses[name] - loss))
    ### END SOLUTION

# %% check="finetune-diagnose" points=3 minutes=20 level="medium"
check("finetune-diagnose", diagnose)

# %% [markdown]
# Which of the five would you not see in the log at all, if every answer had three tokens, as in the sums of the
# chapter? And whose mistake does Adam nearly hide, though the log shows it?
#
# <details><summary>Answer</summary>
#
# `"by rows"`: with answers of equal length the mean of means is the mean. `"wrong divisor"`: it scales all gradients
# by the same factor, and Adam divides by their size; only where the share of the answers changes from batch to
# batch does the step differ.
#
# </details>
