# %%
def problem(rng, N, C):
    """w, x, y of a small least-squares problem."""
    return {"w": rng.normal(size=C), "x": rng.normal(size=(N, C)), "y": rng.normal(size=N)}

def steep(rng, N, C):
    """One whose gradient has a norm of hundreds: there the 1e-6 of clip_grad_norm does not count."""
    x = rng.uniform(0.5, 2, (N, C)) * rng.choice([-1, 1], C)
    return {"w": rng.normal(size=C), "x": x, "y": 1000 * rng.uniform(1, 2, N)}

# %% task="training-step" cases=true
def cases(rng):
    for number, (N, C) in enumerate([(5, 3), (1, 2), (7, 1), (4, 4), (6, 5), (40, 3)]):
        for max_norm in (1e9, 1e5, 0.5):    # of 1e5: more than the norm, less than the loss
            lr = float(rng.uniform(0.02, 0.08))
            args = steep(rng, N, C) | {"lr": lr / 10 if max_norm > 1 else lr, "max_norm": max_norm}
            for strided in (False, True)[: 1 + number % 2]:
                yield Case(f"x of shape {(N, C)}, max_norm {max_norm:g}" + ", strided" * strided,
                           [Call(args, returns=("the losses", "the norms", "w", "dw"))], strided=strided)
    # A norm below 1 that is too long all the same. There the 1e-6 of clip_grad_norm does count: so float32.
    args = steep(rng, 6, 3)
    error = rng.normal(size=6)
    args["y"] = args["x"] @ args["w"] + 0.8 * error / np.linalg.norm(2 / 6 * args["x"].T @ error)
    for max_norm in (0.3, 0.9):
        yield Case(f"a norm of 0.8, max_norm {max_norm:g}, float32",
                   [Call(args | {"lr": 0.001, "max_norm": max_norm}, returns=("the losses", "the norms", "w", "dw"))], float32=True)

# %% [markdown] task="training-step" hint=1
# five calls, in the right order; ask of each what must have happened before it.

# %% [markdown] task="training-step" hint=2
# the loss and the norm are two numbers; everything else happens inside model and optimizer.

# %% [markdown] task="training-step" hint=3
# clear, forward, backward, clip, step; return the loss and the norm.

# %% [markdown] task="training-step" mistake="not-cleared"
# is made from old gradients, too: they add up until they are cleared
# ```diff
# -     optimizer.zero_grad()
# ```

# %% [markdown] task="training-step" mistake="cleared-late"
# is made from cleared gradients: clear before backward, not after
# ```diff
# -     norm = clip
# +     optimizer.zero_grad()
# +     norm = clip
# ```

# %% [markdown] task="training-step" mistake="clipped-late"
# is clipped after the step: the update has been made with the whole gradient
# ```diff
# -     norm = clip_grad_norm(model, max_norm)
# -     optimizer.step()
# +     optimizer.step()
# +     norm = clip_grad_norm(model, max_norm)
# ```

# %% [markdown] task="training-step" mistake="not-clipped" shows="clip them so that their norm is at most `max_norm`"
# is not clipped
# ```diff
# - norm = clip_grad_norm(model, max_norm)
# + norm = clip_grad_norm(model, float('inf'))
# ```

# %% [markdown] task="training-step" mistake="norm-after"
# is the norm after clipping: return the one before it, which shows trouble
# ```diff
# - norm = clip_grad_norm(model, max_norm)
# + clip_grad_norm(model, max_norm)
# +     norm = float(np.linalg.norm(model.dw))
# ```

# %% [markdown] task="training-step" mistake="no-backward"
# is made without new gradients: backward computes them
# ```diff
# -     model.backward()
# ```

# %% [markdown] task="training-step" mistake="no-step"
# stays as it was: the optimizer's step changes the weights
# ```diff
# -     optimizer.step()
# ```

# %% [markdown] task="training-step" mistake="loss-after"
# is the loss after the step: return that of the batch before it
# ```diff
# -     return loss, norm
# +     return model(x, y), norm
# ```

# %% [markdown] task="training-step" mistake="cleared-last"
# clears the gradients at the end: whatever they hold when the step begins is added in
# ```diff
# -     optimizer.zero_grad()
# -     loss
# +     loss
# -     return loss, norm
# +     optimizer.zero_grad()
# +     return loss, norm
# ```

# %% [markdown] task="training-step" mistake="cleared-again" shows="The gradients stay in the model"
# is zero when you are done: clear at the start, and leave the new gradients for whoever looks at them
# ```diff
# -     return loss, norm
# +     optimizer.zero_grad()
# +     return loss, norm
# ```

# %% [markdown] task="training-step" mistake="clipped-early"
# clips before backward: there is no new gradient yet to be clipped
# ```diff
# -     model.backward()
# -     norm = clip_grad_norm(model, max_norm)
# +     norm = clip_grad_norm(model, max_norm)
# +     model.backward()
# ```

# %% [markdown] task="training-step" mistake="loss-backward"
# starts backward from the loss itself: the derivative of the loss with respect to itself is 1
# ```diff
# - model.backward()
# + model.backward(loss)
# ```

# %% [markdown] task="training-step" mistake="returned-swapped"
# stands in the place of the other: the loss comes first, then the norm
# ```diff
# - return loss, norm
# + return norm, loss
# ```

# %% [markdown] task="training-step" mistake="always-scaled"
# is scaled to max_norm even where it was shorter: only a longer gradient is cut
# ```diff
# - norm = clip_grad_norm(model, max_norm)
# + norm = float(np.linalg.norm(model.dw))
# +     model.dw *= max_norm / norm
# ```

# %% [markdown] task="training-step" mistake="entries-clipped"
# clips each entry by itself, which turns the gradient: the limit is for the norm
# ```diff
# - norm = clip_grad_norm(model, max_norm)
# + norm = float(np.linalg.norm(model.dw))
# +     np.clip(model.dw, -max_norm, max_norm, out=model.dw)
# ```

# %% [markdown] task="training-step" right="model-cleared"
# ```diff
# - optimizer.zero_grad()
# + model.zero_grad()
# ```

# %% task="training-step" right="forward-first"
def train_step(model, optimizer, x, y, max_norm):
    loss = model.forward(x, y)
    model.zero_grad()
    model.backward(1.0)
    norm = clip_grad_norm(model, max_norm)
    optimizer.step()
    return [loss, norm]

# %% task="training-step" right="by-hand"
def train_step(model, optimizer, x, y, max_norm):
    for g in model.grads().values():
        g[...] = 0
    loss = model(x, y)
    model.backward()
    norm = float(np.sqrt(sum((g**2).sum() for g in model.grads().values())))
    if norm > max_norm:
        for g in model.grads().values():
            g *= max_norm / (norm + 1e-6)
    optimizer.step()
    return loss, norm

# %% [markdown] task="training-step" reject="two-steps"
# ```diff
# -     optimizer.step()
# +     optimizer.step()
# +     optimizer.lr *= 0.999
# ```

# %% task="training-step" reject="clipped-by-the-loss"
def train_step(model, optimizer, x, y, max_norm):
    optimizer.zero_grad()
    loss = model(x, y)
    model.backward()
    norm = float(np.sqrt(sum((g * g).sum() for g in model.grads().values())))
    if loss > max_norm:
        for g in model.grads().values():
            g *= max_norm / norm
    optimizer.step()
    return loss, norm

# %% [markdown] task="training-step" reject="batch-cut"
# ```diff
# - loss = model(x, y)
# + loss = model(x[: max(len(x) - 1, 1)], y[: max(len(y) - 1, 1)])
# ```

# %% [markdown] task="training-step" reject="times-zero" shows="Gradients may hold anything"
# ```diff
# - optimizer.zero_grad()
# + for g in model.grads().values():
# +         g *= 0
# ```

# %% [markdown] task="training-step" reject="subtracts-old" shows="Gradients may hold anything"
# ```diff
# - optimizer.zero_grad()
# -     loss = model(x, y)
# -     model.backward()
# + old = model.dw.copy()
# +     loss = model(x, y)
# +     model.backward()
# +     model.dw -= old
# ```

# %% [markdown] task="training-step" reject="clipped-above-1" shows="clip them so that their norm is at most `max_norm`"
# ```diff
# - clip_grad_norm(model, max_norm)
# + clip_grad_norm(model, max_norm if np.linalg.norm(model.dw) > 1 else 1e9)
# ```

# %% [markdown] task="training-step" right="exact"
# ```diff
# - norm = clip_grad_norm(model, max_norm)
# + norm = math.sqrt(sum(float((g * g).sum()) for g in model.grads().values()))
# +     if norm > max_norm:
# +         for g in model.grads().values():
# +             g *= max_norm / norm
# ```

# %% task="training-accumulate" cases=true
def cases(rng):
    for sizes in [(4, 4, 4), (5, 3, 1), (2, 7), (6,), (1, 1, 5, 2), (3, 3), (1,) * 35]:
        C = int(rng.integers(2, 6))
        twice = sizes == (2, 7)
        for float32 in (False, True):
            parts = [(rng.normal(size=(n, C)), rng.normal(size=n)) for n in sizes]
            parts += parts[:1] * twice    # equal ones count each time
            said = sizes if len(sizes) < 9 else f"1, {len(sizes)} times,"
            yield Case(f"parts of {said} rows" + ", and the first one again" * twice + ", float32" * float32,
                       [Call({"w": rng.normal(size=C), "parts": parts}, returns=("the loss", "dw", "w", "one part at a time"))],
                       float32=float32)

# %% [markdown] task="training-accumulate" hint=1
# the loss of the whole batch is a mean over all rows; each part's loss is a mean over its own.

# %% [markdown] task="training-accumulate" hint=2
# with N rows in all and n in a part, the part's mean counts n/N. The same factor belongs to its
# gradient.

# %% [markdown] task="training-accumulate" hint=3
# clear once; for each part: forward, add its share of the loss, and call backward with that
# share.

# %% [markdown] task="training-accumulate" mistake="sum"
# is the sum over the parts: each part's loss is a mean already, and counts with its share
# ```diff
# - share = len(y) / total
# + share = 1.0
# ```

# %% [markdown] task="training-accumulate" mistake="equal-shares" shows="These need not be of equal size"
# gives every part the same weight: a part of one row counts less than a part of five
# ```diff
# - share = len(y) / total
# + share = 1 / len(parts)
# ```

# %% [markdown] task="training-accumulate" mistake="cleared-each-time"
# has the last part only: clear the gradients once, before all parts
# ```diff
# -         share =
# +         model.zero_grad()
# +         share =
# ```

# %% [markdown] task="training-accumulate" mistake="not-cleared"
# has old gradients in it: clear them first
# ```diff
# -     model.zero_grad()
# ```

# %% [markdown] task="training-accumulate" mistake="gradient-unscaled"
# has the parts' gradients in full: scale them as you scale the losses
# ```diff
# - model.backward(share)
# + model.backward()
# ```

# %% [markdown] task="training-accumulate" mistake="loss-unscaled"
# adds the losses of the parts in full: each counts with its share
# ```diff
# - loss += share * model(x, y)
# + loss += model(x, y)
# ```

# %% [markdown] task="training-accumulate" mistake="last-loss"
# is the loss of the last part
# ```diff
# - loss += share * model(x, y)
# + loss = model(x, y)
# ```

# %% [markdown] task="training-accumulate" mistake="per-row"
# is divided by the number of all rows: each part has divided by its own already
# ```diff
# - share = len(y) / total
# + share = 1 / total
# ```

# %% [markdown] task="training-accumulate" mistake="loss-backward"
# starts backward from the part's loss: the upstream gradient is the share, not the loss
# ```diff
# - loss += share * model(x, y)
# + part = share * model(x, y)
# +         loss += part
# - model.backward(share)
# + model.backward(part)
# ```

# %% [markdown] task="training-accumulate" mistake="rows-not-shares"
# counts each part by its number of rows, and does not divide by that of all rows
# ```diff
# - share = len(y) / total
# + share = len(y)
# ```

# %% [markdown] task="training-accumulate" mistake="gradient-rows"
# scales the gradient by the rows of the part, and does not divide by those of all parts
# ```diff
# - model.backward(share)
# + model.backward(len(y))
# ```

# %% [markdown] task="training-accumulate" mistake="backward-at-the-end"
# goes backward once, after all parts: the model remembers only the last one that went forward
# ```diff
# -         model.backward(share)
# -     return loss
# +     model.backward()
# +     return loss
# ```

# %% [markdown] task="training-accumulate" mistake="backward-after-all"
# goes backward after all parts have gone forward: the model remembers only the last of them
# ```diff
# -         model.backward(share)
# -     return loss
# +     for x, y in parts:
# +         model.backward(len(y) / total)
# +     return loss
# ```

# %% [markdown] task="training-accumulate" reject="equal-parts-once"
# ```diff
# -     for x, y in parts:
# +     parts = list({float(y[0]): (x, y) for x, y in parts}.values())
# +     for x, y in parts:
# ```

# %% [markdown] task="training-accumulate" reject="same-part-once"
# ```diff
# -     total, loss
# +     parts = list({id(x): (x, y) for x, y in parts}.values())
# +     total, loss
# ```

# %% task="training-accumulate" right="scaled-at-the-end"
def accumulate(model, parts):
    model.zero_grad()
    loss, rows = 0.0, 0
    for x, y in parts:
        loss += len(y) * model(x, y)
        model.backward(float(len(y)))
        rows += len(y)
    for g in model.grads().values():
        g /= rows
    return loss / rows

# %% task="training-accumulate" right="running-mean"
def accumulate(model, parts):
    model.zero_grad()
    loss, rows = 0.0, 0
    for x, y in parts:
        old = rows / (rows + len(y))
        rows += len(y)
        model.dw *= old
        loss = old * loss + (1 - old) * model(x, y)
        model.backward(1 - old)
    return loss

# %% task="training-accumulate" reject="one-large-batch" shows="the model sees one part at a time"
def accumulate(model, parts):
    model.zero_grad()
    x, y = (np.concatenate(arrays) for arrays in zip(*parts))
    loss = model(x, y)
    model.backward()
    return loss

# %% [markdown] task="training-accumulate" reject="weights-changed"
# ```diff
# -         model.backward(share)
# +         model.backward(share)
# +         model.w -= 1e-4 * model.dw
# ```

# %% [markdown] task="training-accumulate" reject="first-size"
# ```diff
# - share = len(y) / total
# + share = len(parts[0][1]) / total
# ```

# %% [markdown] task="training-accumulate" reject="times-zero"
# ```diff
# - model.zero_grad()
# + model.dw *= 0
# ```

# %% task="training-accumulate" reject="concatenated" shows="the model sees one part at a time"
def accumulate(model, parts):
    model.zero_grad()
    loss = model(np.vstack([x for x, _ in parts]), np.hstack([y for _, y in parts]))
    model.backward()
    return loss

# %% [markdown] task="training-accumulate" reject="parts-count"
# ```diff
# - share = len(y) / total
# + share = len(y) / total if len(parts) < 30 else 1 / 30
# ```

# %% task="training-accumulate" reject="other-parts" shows="the model sees one part at a time"
def accumulate(model, parts):
    model.zero_grad()
    x, y = (np.concatenate(arrays) for arrays in zip(*parts))
    loss, size = 0.0, max(len(part[1]) for part in parts)
    for start in range(0, len(y), size):
        rows = slice(start, start + size)
        share = len(y[rows]) / len(y)
        loss += share * model(x[rows], y[rows])
        model.backward(share)
    return loss

# %% [markdown] task="training-accumulate" reject="parts-taken-out"
# ```diff
# -     for x, y in parts:
# +     while parts:
# +         x, y = parts.pop()
# ```

# %% task="training-accumulate" reject="by-hand" shows="the model sees one part at a time"
def accumulate(model, parts):
    model.zero_grad()
    x, y = (np.concatenate(arrays) for arrays in zip(*parts))
    error = x @ model.w - y
    model.dw += 2 / len(y) * x.T @ error
    return float((error**2).mean())

# %% task="training-accumulate" right="two-loops"
def accumulate(model, parts):
    for g in model.grads().values():
        g.fill(0)
    rows = [len(x) for x, _ in parts]
    losses = []
    for (x, y), n in zip(parts, rows):
        losses.append(model.forward(x, y) * n)
        model.backward(n / sum(rows))
    return sum(losses) / sum(rows)

# %% task="training-average" cases=true
def cases(rng):
    for N in (1, 2, 5, 9, 30, 200):
        for beta in (0.9, 0.5, 0.0, 0.999):
            yield Case(f"{N} losses, beta {beta}",
                       [Call({"losses": rng.uniform(-4 if N == 30 else 1, 5, N), "beta": beta}, returns="the curve")],
                       strided=N == 9)    # some losses are negative: that of a density may be
    yield Case("losses that are integers", [Call({"losses": rng.integers(1, 90, 12), "beta": 0.9}, returns="the curve")])
    losses = rng.uniform(1, 5, 7)
    losses[0] = np.nan    # it stays in the average for ever
    yield Case("a first loss that is nan", [Call({"losses": losses, "beta": 0.9}, returns="the curve")])
    losses = rng.uniform(1, 5, 500)    # with a beta so near 1, the first losses count to the end
    yield Case("500 losses, beta 0.999, then 0.9",
               [Call({"losses": losses, "beta": beta}, returns="the curve") for beta in (0.999, 0.9)])

# %% [markdown] task="training-average" hint=1
# go through the losses once, with one number that remembers.

# %% [markdown] task="training-average" hint=2
# the result has as many entries as losses. For t = 1 the correction makes the entry equal to the
# first loss.

# %% [markdown] task="training-average" hint=3
# m is beta times the old m plus (1 - beta) times the loss; the entry is m divided by 1 minus beta
# to the t.

# %% [markdown] task="training-average" mistake="uncorrected"
# is pulled toward 0 at the start: divide by 1 - βᵗ
# ```diff
# -  / (1 - beta**t)
# +
# ```

# %% [markdown] task="training-average" mistake="from-zero"
# counts t from 0: the first loss has t = 1
# ```diff
# - enumerate(losses, 1)
# + enumerate(losses)
# - out[t - 1]
# + out[t]
# ```

# %% [markdown] task="training-average" mistake="from-two"
# has an exponent that is one too large: the first loss has t = 1
# ```diff
# - (1 - beta**t)
# + (1 - beta ** (t + 1))
# ```

# %% [markdown] task="training-average" mistake="corrected-inside"
# corrects m itself: the corrected value must not go into the next average
# ```diff
# -         out[t - 1] = m / (1 - beta**t)
# +         m = m / (1 - beta**t)
# +         out[t - 1] = m
# ```

# %% [markdown] task="training-average" mistake="swapped"
# has β and 1 - β exchanged: a large β remembers long
# ```diff
# - beta * m + (1 - beta) * loss
# + (1 - beta) * m + beta * loss
# ```

# %% [markdown] task="training-average" mistake="started-at-first"
# starts from the first loss: start from 0, and correct
# ```diff
# - m, out = 0.0,
# + m, out = losses[0],
# -  / (1 - beta**t)
# +
# ```

# %% [markdown] task="training-average" mistake="no-weight"
# adds the losses in full: each has the weight 1 - β
# ```diff
# - (1 - beta) * loss
# + loss
# ```

# %% [markdown] task="training-average" mistake="plain-mean"
# is the plain mean of all losses so far
# ```diff
# - out[t - 1] = m / (1 - beta**t)
# + out[t - 1] = np.mean(losses[:t])
# ```

# %% [markdown] task="training-average" mistake="beta-times-t"
# has β t where it should have βᵗ
# ```diff
# - beta**t
# + beta * t / (1 + t)
# ```

# %% [markdown] task="training-average" mistake="first-and-corrected"
# starts from the first loss and corrects as well: start from 0
# ```diff
# - m, out = 0.0,
# + m, out = losses[0],
# ```

# %% [markdown] task="training-average" mistake="multiplied"
# multiplies by the correction: the average is too small at first, so divide
# ```diff
# - m / (1 - beta**t)
# + m * (1 - beta**t)
# ```

# %% [markdown] task="training-average" mistake="last-entry"
# is the last entry alone: return one for each loss
# ```diff
# -     return out
# +     return out[-1]
# ```

# %% [markdown] task="training-average" reject="integers"
# ```diff
# - np.empty(len(losses))
# + np.zeros_like(losses)
# ```

# %% [markdown] task="training-average" reject="negative-as-0"
# ```diff
# - (1 - beta) * loss
# + (1 - beta) * max(loss, 0)
# ```

# %% [markdown] task="training-average" reject="nan-left-out"
# ```diff
# - enumerate(losses, 1)
# + enumerate(np.nan_to_num(losses), 1)
# ```

# %% task="training-average" right="weights"
def smoothed(losses, beta):
    out = []
    for t in range(1, len(losses) + 1):
        weights = np.array([beta ** (t - 1 - i) for i in range(t)])
        out.append((weights * losses[:t]).sum() / weights.sum())
    return np.array(out)

# %% task="training-average" right="running-sum"
def smoothed(losses, beta):
    total, weight, out = 0.0, 0.0, []
    for loss in losses:
        total, weight = beta * total + loss, beta * weight + 1
        out.append(total / weight)
    return np.array(out)

# %% task="training-average" right="decay-product"
def smoothed(losses, beta):
    m, decay, out = 0.0, 1.0, np.zeros(losses.shape)
    for i in range(len(losses)):
        decay *= beta
        m += (1 - beta) * (losses[i] - m)
        out[i] = m / (1 - decay)
    return out

# %% [markdown] task="training-average" reject="ten-only"
# ```diff
# - (1 - beta**t)
# + (1 - beta ** min(t, 4))
# ```

# %% [markdown] task="training-average" reject="losses-changed"
# ```diff
# -     return out
# +     losses[...] = out
# +     return out
# ```

# %% [markdown] task="training-average" reject="thirty"
# ```diff
# - 1 - beta**t
# + 1 - beta ** min(t, 31)
# ```

# %% [markdown] task="training-average" reject="guard"
# ```diff
# - 1 - beta**t
# + max(1 - beta**t, 0.01)
# ```

# %% task="training-resume" cases=true
def cases(rng):
    for number, (N, C) in enumerate([(9, 3), (6, 2), (12, 4), (8, 1), (10, 5), (7, 3)]):
        args = problem(rng, N, C) | {"seed": int(rng.integers(1 << 30)), "lr": float(rng.uniform(0.01, 0.04))}
        args |= {"before": [3, 0, 5, 1, 40, 2][number], "after": [4, 3, 2, 5, 0, 6][number]}
        yield Case(f"stopped after {args['before']} steps, then {args['after']} more",
                   [Call(args, returns=("w", "momentum", "the steps", "the next random number", "bit for bit",
                                       "the state is a dict", "the state has its entries"))])

# %% [markdown] task="training-resume" hint=1
# what does `step` read that changes from step to step?

# %% [markdown] task="training-resume" hint=2
# two arrays, one number, and the generator's state. An array in the dict must be a copy, or the
# run that goes on writes into it.

# %% [markdown] task="training-resume" hint=3
# state: copies of w and momentum, steps, and rng.bit_generator.state; load_state puts each back
# where it was.

# %% [markdown] task="training-resume" mistake="no-momentum"
# goes on without momentum
# ```diff
# -         self.momentum[...] = state["momentum"]
# ```

# %% [markdown] task="training-resume" mistake="no-rng" shows="the run must go on as if it had never stopped"
# goes on with other batches: the generator has a state, too
# ```diff
# -         self.rng.bit_generator.state = state["rng"]
# ```

# %% [markdown] task="training-resume" mistake="no-steps"
# counts from 0 again: the learning rate depends on the step
# ```diff
# -         self.steps = state["steps"]
# ```

# %% [markdown] task="training-resume" mistake="views" shows="What `state()` returned may not change when the run goes on"
# has changed with the run that went on: keep copies
# ```diff
# - "w": self.w.copy()
# + "w": self.w
# - "momentum": self.momentum.copy()
# + "momentum": self.momentum
# ```

# %% [markdown] task="training-resume" mistake="momentum-view"
# holds the momentum itself: the run that goes on writes into it
# ```diff
# - "momentum": self.momentum.copy()
# + "momentum": self.momentum
# ```

# %% [markdown] task="training-resume" mistake="w-view"
# holds `w` itself: the run that goes on writes into it
# ```diff
# - "w": self.w.copy()
# + "w": self.w
# ```

# %% [markdown] task="training-resume" mistake="steps-added"
# adds the steps that were saved to those of the run that loads: it goes on from the number that was saved
# ```diff
# - self.steps = state["steps"]
# + self.steps += state["steps"]
# ```

# %% [markdown] task="training-resume" mistake="rng-shared"
# holds the generator itself: it goes on with the first run
# ```diff
# - "rng": self.rng.bit_generator.state
# + "rng": self.rng
# - self.rng.bit_generator.state = state["rng"]
# + self.rng = state["rng"]
# ```

# %% [markdown] task="training-resume" mistake="no-weights"
# goes on from the weights of the new run
# ```diff
# -         self.w[...] = state["w"]
# ```

# %% [markdown] task="training-resume" mistake="seeded-again"
# seeds its generator again: it must go on from where it was
# ```diff
# - self.rng.bit_generator.state = state["rng"]
# + self.rng = np.random.default_rng(1)
# ```

# %% [markdown] task="training-resume" mistake="weights-alone"
# goes on from the weights alone: what else does `step` read that it has changed before?
# ```diff
# -         self.momentum[...] = state["momentum"]
# -         self.steps = state["steps"]
# -         self.rng.bit_generator.state = state["rng"]
# ```

# %% [markdown] task="training-resume" mistake="the-run-itself"
# is the run itself: it goes on, and what you have kept goes on with it
# ```diff
# - {
# -             "w": self.w.copy(),
# -             "momentum": self.momentum.copy(),
# -             "steps": self.steps,
# -             "rng": self.rng.bit_generator.state,
# -         }
# + vars(self)
# -         self.w[...] = state["w"]
# -         self.momentum[...] = state["momentum"]
# -         self.steps = state["steps"]
# -         self.rng.bit_generator.state = state["rng"]
# +         vars(self).update(state)
# ```

# %% [markdown] task="training-resume" mistake="shallow"
# is a copy of the dict but not of what is in it: arrays and generator go on with the first run
# ```diff
# - {
# -             "w": self.w.copy(),
# -             "momentum": self.momentum.copy(),
# -             "steps": self.steps,
# -             "rng": self.rng.bit_generator.state,
# -         }
# + dict(vars(self))
# -         self.w[...] = state["w"]
# -         self.momentum[...] = state["momentum"]
# -         self.steps = state["steps"]
# -         self.rng.bit_generator.state = state["rng"]
# +         vars(self).update(state)
# ```

# %% [markdown] task="training-resume" mistake="nothing-loaded"
# is not restored: load_state must change the run that it is called on, self.w and the rest
# ```diff
# -         self.w[...] = state["w"]
# -         self.momentum[...] = state["momentum"]
# -         self.steps = state["steps"]
# -         self.rng.bit_generator.state = state["rng"]
# +         w, momentum, steps, rng = state.values()
# ```

# %% [markdown] task="training-resume" reject="a-list" shows="as a dict"
# ```diff
# - return {
# + return list({
# -             "rng": self.rng.bit_generator.state,
# -         }
# +             "rng": self.rng.bit_generator.state,
# +         }.values())
# -         self.w[...] = state["w"]
# +         state = dict(zip(["w", "momentum", "steps", "rng"], state))
# +         self.w[...] = state["w"]
# ```

# %% [markdown] task="training-resume" right="rate-too"
# ```diff
# - "steps": self.steps,
# + "steps": self.steps, "lr": self.lr,
# - self.steps = state["steps"]
# + self.steps, self.lr = state["steps"], state["lr"]
# ```

# %% task="training-resume" right="deepcopy"
import copy

class Run:
    def __init__(self, w, seed, lr=0.05):
        self.w, self.momentum = w.copy(), np.zeros_like(w)
        self.rng = np.random.default_rng(seed)
        self.steps, self.lr = 0, lr

    def step(self, x, y):
        rows = self.rng.integers(len(y), size=4)
        error = x[rows] @ self.w - y[rows]
        self.momentum *= 0.9
        self.momentum += 2 / len(rows) * x[rows].T @ error
        self.w -= self.lr / math.sqrt(1 + self.steps) * self.momentum
        self.steps += 1

    def state(self):
        return copy.deepcopy(vars(self))

    def load_state(self, state):
        vars(self).update(copy.deepcopy(state))

# %% [markdown] task="training-resume" right="json-like"
# ```diff
# - "w": self.w.copy()
# + "w": self.w.tolist()
# - "momentum": self.momentum.copy()
# + "momentum": self.momentum.tolist()
# ```

# %% [markdown] task="training-resume" right="new-arrays"
# ```diff
# - self.w[...] = state["w"]
# + self.w = np.array(state["w"])
# - self.momentum[...] = state["momentum"]
# + self.momentum = state["momentum"].copy()
# ```

# %% [markdown] task="training-resume" reject="float32-state"
# ```diff
# - "momentum": self.momentum.copy()
# + "momentum": self.momentum.astype(np.float32)
# ```

# %% [markdown] task="training-resume" reject="state-ends-the-run"
# ```diff
# - return {
# + state = {
# - "rng": self.rng.bit_generator.state,
# -         }
# + "rng": self.rng.bit_generator.state,
# +         }
# +         self.momentum *= 0
# +         return state
# ```

# %% [markdown] task="training-resume" reject="one-draw-more"
# ```diff
# -         self.steps = state
# +         self.rng.random()
# +         self.steps = state
# -         self.rng.bit_generator.state = state["rng"]
# +         self.rng.bit_generator.state = state["rng"]
# +         self.rng.random()
# ```

# %% [markdown] task="training-resume" reject="keeps-arrays" shows="resume from it twice"
# ```diff
# - self.w[...] = state["w"]
# + self.w = state["w"]
# - self.momentum[...] = state["momentum"]
# + self.momentum = state["momentum"]
# ```

# %% [markdown] task="training-resume" reject="keeps-momentum" shows="resume from it twice"
# ```diff
# - self.momentum[...] = state["momentum"]
# + self.momentum = state["momentum"]
# ```

# %% [markdown] task="training-resume" reject="pops-state"
# ```diff
# - self.steps = state["steps"]
# + self.steps = state.pop("steps")
# ```

# %% [markdown] task="training-resume" reject="seeded-by-steps"
# ```diff
# - self.rng.bit_generator.state = state["rng"]
# + self.rng = np.random.default_rng(1)
# +         self.rng.integers(10, size=4 * self.steps)
# ```

# %% [markdown] task="training-resume" reject="steps-capped"
# ```diff
# - "steps": self.steps
# + "steps": self.steps % 32
# ```

# %% [markdown] task="training-resume" reject="one-dict-for-all"
# ```diff
# -         return {
# -             "w": self.w.copy(),
# -             "momentum": self.momentum.copy(),
# -             "steps": self.steps,
# -             "rng": self.rng.bit_generator.state,
# -         }
# +         self.kept = getattr(self, "kept", {})
# +         self.kept |= {"w": self.w.copy(), "momentum": self.momentum.copy(), "steps": self.steps, "rng": self.rng.bit_generator.state}
# +         return self.kept
# ```

# %% [markdown] task="training-resume" reject="rounded" shows="bit for bit"
# ```diff
# - "w": self.w.copy(),
# + "w": self.w.round(9),
# ```

# %% [markdown] task="training-resume" reject="written-as-text" shows="bit for bit"
# ```diff
# - "momentum": self.momentum.copy(),
# + "momentum": [float(f"{m:.10f}") for m in self.momentum],
# ```

# %% [markdown] task="training-resume" reject="sixteen-digits" shows="bit for bit"
# ```diff
# - "w": self.w.copy(),
# + "w": [float(f"{w:.16g}") for w in self.w],
# ```

# %% [markdown] task="training-resume" reject="momentum-of-fifteen-digits" shows="bit for bit"
# ```diff
# - "momentum": self.momentum.copy(),
# + "momentum": self.momentum.round(15),
# ```

# %% [markdown] task="training-resume" reject="half-of-a-generator" shows="The state of a generator is `rng.bit_generator.state`"
# ```diff
# - "rng": self.rng.bit_generator.state,
# + "rng": self.rng.bit_generator.state | {"has_uint32": 0, "uinteger": 0},
# ```

# %% [markdown] task="training-resume" reject="marks-the-state" shows="nor when a run that has loaded it goes on"
# ```diff
# - self.steps = state["steps"]
# + self.steps = state["steps"]
# +         state["loaded"] = True
# ```

# %% [markdown] task="training-resume" reject="usual-rate"
# ```diff
# - self.steps = state["steps"]
# + self.steps = state["steps"]
# +         self.lr = 0.05
# ```

# %% [markdown] task="training-resume" reject="first-state-for-ever"
# ```diff
# -         return {
# +         if hasattr(self, "kept"):
# +             return self.kept
# +         self.kept = {
# -             "rng": self.rng.bit_generator.state,
# -         }
# +             "rng": self.rng.bit_generator.state,
# +         }
# +         return self.kept
# ```
