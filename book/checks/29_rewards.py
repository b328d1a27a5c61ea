# %%
OPTIONS = [{}, {"strided": True}, {"float32": True}]

def named(options):
    return "".join(f", {name}" for name in options)

def answers_of(rng, N, T):
    """A mask (N, T): each answer begins and ends somewhere, one has a hole, and all have a token."""
    mask = np.zeros((N, T), bool)
    for row in mask:
        start, end = sorted(rng.choice(T + 1, 2, replace=False))
        row[start:end] = True
    mask[0], mask[-1, -1] = np.arange(T) % 3 != 1, True
    return mask

def astray(a, mask, rng):
    """`a`, with numbers outside of the answers that no exponential survives."""
    out = a.copy()
    out[~mask] = rng.choice([-np.inf, -1e4, 900.0, np.nan], (~mask).sum())
    out[0, 4] = np.nan    # where answers_of has a hole
    return out

# %% task="rewards-advantages" cases=true
def cases(rng):
    sizes = [(4, 4, 4), (1, 5, 2), (3,), (1,), (2, 2), (7, 1, 3, 4)]
    for number, counts in enumerate(sizes):
        for scale in (False, True):
            prompt = np.repeat(rng.permutation(20)[: len(counts)], counts)
            order = rng.permutation(len(prompt)) if number % 2 else slice(None)
            rewards = rng.normal(2, 3, len(prompt))
            options = {"strided": True} if number == 1 else {"float32": True} if number == 2 else {}
            yield Case(f"answers to each prompt {list(counts)}, scale {scale}{named(options)}",
                       [Call({"rewards": rewards[order], "prompt": prompt[order], "scale": scale})], **options)
    for scale in (False, True):
        # 0.1 three times has a mean of 0.10000000000000002.
        for rewards in ([0.1, 0.1, 0.1, 1.0, 0.0, 0.0], [0.7] * 3 + [0.0] * 3, [1.0] * 6, [-50.0, 30.0, 1.0, 1e6, 1e6, 1e6],
                        [0.0, 8e-10, 0.0, 0.0, 9e-10, -9e-10], [1.0, 1 + 5e-10, 1.0, 0.0, 1.03e-9, 0.0], [1e-6, 0.0, 0.0, 2.0, 2.0, 2 + 4e-6]):
            prompt = np.array([0, 0, 0, 3, 3, 3])
            yield Case(f"rewards {rewards}, prompt {prompt.tolist()}, scale {scale}",
                       [Call({"rewards": np.array(rewards), "prompt": prompt, "scale": scale})])
        # A part of 4.7e-10 of these rewards is more than 1e-9.
        rewards = 1024 + 2.0**-21 * np.array([0, 1, 1, 0, 0, 3])
        yield Case(f"rewards near 1024, scale {scale}",
                   [Call({"rewards": rewards, "prompt": np.array([8, 8, 8, 8, 1, 1]), "scale": scale})])
        # Many answers to the last prompt, of which one is right; its number is that of another prompt in 32 bits, or in
        # float64; and one prompt's number is that of another without its sign.
        right = np.append(rng.random(24) < 0.3, np.arange(120) == 7).astype(int)
        yield Case(f"rewards of 0 and 1, integers, scale {scale}",
                   [Call({"rewards": right, "prompt": np.append(np.tile([5, -5, 2**60 + 6], 8), [2**60 + 5] * 120), "scale": scale})])

# %% [markdown] task="rewards-advantages" hint=1
# an answer is compared with the answers to its own prompt, and with no others. Take one prompt at a time.

# %% [markdown] task="rewards-advantages" hint=2
# `prompt == one` is a boolean array, (N,): it picks the rewards of this prompt, and the places in the result
# where their advantages belong.

# %% [markdown] task="rewards-advantages" hint=3
# for each number in `prompt`, once: pick its rewards; if the largest exceeds the smallest by more than a
# billionth, subtract their mean, perhaps divide by np.std, and write them to their places in an array of zeros.

# %% [markdown] task="rewards-advantages" mistake="whole-batch" shows="each reward minus the mean reward of its prompt"
# takes one mean for the whole batch: then an easy prompt's answers are all better than average, and a hard one's all worse
# ```diff
# - if R.max() - R.min() > 1e-9:
# -             A[mine] = R - R.mean()
# + if R.max() - R.min() > 1e-9:
# +             A[mine] = R - rewards.mean()
# ```

# %% task="rewards-advantages" mistake="side-by-side" shows="Answers to one prompt need not stand side by side, and one prompt may have more of them than another"
# counts on answers that stand side by side: `prompt` says which prompt each one answers
def advantages(rewards, prompt, scale):
    A = np.zeros(len(rewards))
    starts = np.flatnonzero(np.diff(prompt, prepend=prompt[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(prompt)]):
        R = rewards[start:end]
        if R.max() - R.min() > 1e-9:
            A[start:end] = (R - R.mean()) / (R.std() if scale else 1)
    return A

# %% task="rewards-advantages" mistake="equal-groups"
# counts on equally many answers to each prompt
def advantages(rewards, prompt, scale):
    order = np.argsort(prompt, kind="stable")
    n = int((prompt == prompt[0]).sum())
    n = n if len(prompt) % n == 0 else 1
    R = rewards[order].reshape(-1, n).astype(float)
    B = R - R.mean(axis=1, keepdims=True)
    equal = R.max(axis=1) - R.min(axis=1) <= 1e-9
    B[equal] = 0
    if scale:
        B /= np.where(equal, 1, R.std(axis=1))[:, None]
    A = np.empty(len(rewards))
    A[order] = B.reshape(-1)
    return A

# %% [markdown] task="rewards-advantages" mistake="rounding-decides" shows="Rewards of a prompt that all lie within 1e-9 of each other are equal"
# lets rounding decide: the mean of 0.1, 0.1 and 0.1 is not quite 0.1, and divided by a spread of the same size the difference is about 1
# ```diff
# - R.max() - R.min() > 1e-9
# + R.std() > 0
# ```

# %% [markdown] task="rewards-advantages" mistake="nan-for-equals" shows="their advantages are 0, with `scale` and without, and no warning is given"
# divides by 0 where all rewards of a prompt are equal
# ```diff
# - if R.max() - R.min() > 1e-9:
# -             A[mine] = R - R.mean()
# -             if scale:
# -                 A[mine] /= R.std()
# + A[mine] = R - R.mean()
# +         if scale:
# +             A[mine] /= R.std()
# ```

# %% [markdown] task="rewards-advantages" mistake="sample-deviation" shows="the root of the mean squared distance from that mean"
# divides by n - 1 within the standard deviation: here it is the mean of n squares
# ```diff
# - R.std()
# + R.std(ddof=1)
# ```

# %% [markdown] task="rewards-advantages" mistake="variance"
# divides by the variance: the standard deviation is its root
# ```diff
# - R.std()
# + R.var()
# ```

# %% [markdown] task="rewards-advantages" mistake="always-scaled" shows="With `scale` divide them"
# divides by the standard deviation though `scale` is False
# ```diff
# -             if scale:
# -                 A[mine] /= R.std()
# +             A[mine] /= R.std()
# ```

# %% [markdown] task="rewards-advantages" mistake="eps"
# adds something to the standard deviation: divide by it as it is, since groups of equals are told apart before
# ```diff
# - R.std()
# + (R.std() + 1e-4)
# ```

# %% [markdown] task="rewards-advantages" mistake="others-mean"
# leaves the answer itself out of the mean: that is a good baseline too, but not this one
# ```diff
# - A[mine] = R - R.mean()
# + A[mine] = R - (R.sum() - R) / (len(R) - 1)
# ```

# %% [markdown] task="rewards-advantages" mistake="deviation-of-all"
# divides by the standard deviation of the whole batch: that of the prompt's rewards is asked for
# ```diff
# - R.std()
# + rewards.std()
# ```

# %% [markdown] task="rewards-advantages" reject="prompts-as-floats" shows="by a whole number, of any size"
# ```diff
# - A = np.zeros(len(rewards))
# + A, prompt = np.zeros(len(rewards)), prompt.astype(float)
# ```

# %% [markdown] task="rewards-advantages" reject="prompts-without-sign"
# ```diff
# - A = np.zeros(len(rewards))
# + A, prompt = np.zeros(len(rewards)), abs(prompt)
# ```

# %% [markdown] task="rewards-advantages" reject="integers-stay" shows="Return the advantages, `(N,)` floats"
# ```diff
# - np.zeros(len(rewards))
# + np.zeros_like(rewards)
# ```

# %% [markdown] task="rewards-advantages" reject="coarse"
# ```diff
# - 1e-9
# + 1e-5
# ```

# %% [markdown] task="rewards-advantages" reject="fine" shows="within 1e-9"
# ```diff
# - 1e-9
# + 1e-12
# ```

# %% [markdown] task="rewards-advantages" reject="relative"
# ```diff
# - R.max() - R.min() > 1e-9
# + not np.allclose(R, R[0], rtol=1e-5, atol=1e-9)
# ```

# %% [markdown] task="rewards-advantages" reject="part-of-the-size"
# ```diff
# - R.max() - R.min() > 1e-9
# + R.max() - R.min() > 1e-9 * max(1, np.abs(R).max())
# ```

# %% [markdown] task="rewards-advantages" reject="near-the-first"
# ```diff
# - R.max() - R.min() > 1e-9
# + np.abs(R - R[0]).max() > 1e-9
# ```

# %% [markdown] task="rewards-advantages" reject="near-the-next"
# ```diff
# - if R.max() - R.min() > 1e-9:
# + if (np.diff(np.sort(R)) > 1e-9).any():
# ```

# %% [markdown] task="rewards-advantages" mistake="clipped"
# cuts large advantages off: where one answer of many is right, it is far above the rest
# ```diff
# - A[mine] /= R.std()
# + A[mine] = np.clip(A[mine] / R.std(), -3, 3)
# ```

# %% [markdown] task="rewards-advantages" reject="clipped-far-out"
# ```diff
# - A[mine] /= R.std()
# + A[mine] = np.clip(A[mine] / R.std(), -10, 10)
# ```

# %% [markdown] task="rewards-advantages" reject="a-byte"
# ```diff
# - mine = prompt == one
# + mine = prompt % 256 == one % 256
# ```

# %% [markdown] task="rewards-advantages" reject="names-in-float32" shows="names by a whole number, of any size"
# ```diff
# - mine = prompt == one
# + mine = prompt.astype(np.float32) == np.float32(one)
# ```

# %% [markdown] task="rewards-advantages" reject="a-place-for-each-name"
# ```diff
# - A = np.zeros(len(rewards))
# + counts = np.zeros(prompt.max() - prompt.min() + 1)
# +     A = np.zeros(len(rewards))
# ```

# %% [markdown] task="rewards-advantages" reject="deviation-for-the-distance" shows="within 1e-9 of each other"
# ```diff
# - R.max() - R.min() > 1e-9
# + R.std() > 5e-10
# ```

# %% [markdown] task="rewards-advantages" reject="a-single-one" shows="or a single one"
# ```diff
# - if R.max() - R.min() > 1e-9:
# + if len(R) == 1:
# +             A[mine] = R
# +         elif R.max() - R.min() > 1e-9:
# ```

# %% [markdown] task="rewards-advantages" reject="first-prompts"
# ```diff
# - np.unique(prompt)
# + range(prompt.max() + 1)
# ```

# %% [markdown] task="rewards-advantages" reject="in-place"
# ```diff
# - R = rewards[mine]
# + R = rewards[mine]
# +         rewards[mine] = 0
# ```

# %% task="rewards-advantages" right="inverse"
def advantages(rewards, prompt, scale):
    _, which, n = np.unique(prompt, return_inverse=True, return_counts=True)
    total = np.bincount(which, rewards)
    A = rewards - (total / n)[which]
    spread = np.sqrt(np.bincount(which, A * A) / n)
    equal = np.array([np.ptp(rewards[which == i]) <= 1e-9 for i in range(len(n))])
    A = np.where(equal[which], 0.0, A)
    return A / np.where(equal, 1.0, spread)[which] if scale else A

# %% task="rewards-advantages" right="loop"
def advantages(rewards, prompt, scale):
    out = []
    for reward, mine in zip(rewards, prompt):
        R = [float(r) for r, other in zip(rewards, prompt) if other == mine]
        mean = sum(R) / len(R)
        spread = math.sqrt(sum(pow(r - mean, 2) for r in R) / len(R))
        A = 0.0 if max(R) - min(R) <= 1e-9 else float(reward) - mean
        out.append(A / spread if scale and A else A)
    return np.array(out)

# %% task="rewards-advantages" right="table"
def advantages(rewards, prompt, scale):
    same = prompt[:, None] == prompt    # (N, N)
    n = same.sum(axis=1)
    A = rewards - same @ rewards / n
    highest = np.where(same, rewards, -np.inf).max(axis=1)
    lowest = np.where(same, rewards, np.inf).min(axis=1)
    A = np.where(highest - lowest > 1e-9, A, 0.0)
    if scale:
        spread = np.sqrt(same @ (A * A) / n)
        A = A / np.where(spread > 0, spread, 1.0)
    return A

# %% task="rewards-reinforce" cases=true
def cases(rng):
    for number, (N, T, V) in enumerate([(3, 5, 7), (4, 4, 4), (1, 300, 3), (4, 1, 2), (5, 6, 3)]):
        for options in OPTIONS if number in (0, 4) else OPTIONS[:1]:
            args = {"logits": rng.normal(0, 2, (N, T, V)), "ids": rng.integers(0, V, (N, T)),
                    "mask": answers_of(rng, N, T), "advantages": rng.normal(0, 1, N)}
            yield Case(f"logits of shape {(N, T, V)}{named(options)}",
                       [Call(args, returns=("loss", "dlogits"))], **options, dtypes=("dlogits",))
    N, T, V = 4, 3, 6
    def args():
        return {"logits": rng.normal(0, 2, (N, T, V)), "ids": rng.integers(0, V, (N, T)),
                "mask": answers_of(rng, N, T), "advantages": rng.normal(0, 1, N)}
    apart = rng.choice([-1000.0, -1.0, 999.0, 1000.0], (N, T, V))
    apart[:, 0] = rng.choice([-1000.0, -998.0], (N, V))    # each position has a largest logit of its own
    for said, change in (
        ("a row of mask all False", {"mask": np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]], bool)}),
        ("one token in all", {"mask": np.arange(N * T).reshape(N, T) == 4}),
        ("all tokens", {"mask": np.ones((N, T), bool)}),
        ("all advantages 1", {"advantages": np.ones(N)}),
        ("all advantages negative", {"advantages": -rng.random(N)}),
        ("advantages that sum to 0", {"advantages": np.array([1.5, -0.5, -2.0, 1.0])}),
        # Both results are 0, so that no rounding shows.
        ("all advantages 0, logits float32", {"advantages": np.zeros(N), "logits": rng.normal(0, 2, (N, T, V)).astype(np.float32)}),
        ("logits up to 1,000", {"logits": apart}),
    ):
        yield Case(said, [Call(args() | change, returns=("loss", "dlogits"))], dtypes=("dlogits",))

# %% [markdown] task="rewards-reinforce" hint=1
# for one token with advantage 1 this is cross-entropy, with the token that was drawn as its target. What does a
# factor in front of a loss do to its gradient?

# %% [markdown] task="rewards-reinforce" hint=2
# make one weight for each token, (N, T): the advantage of its answer, 0 outside of the answers, over M. Then
# p - y, (N, T, V), gets this weight on its last axis.

# %% [markdown] task="rewards-reinforce" hint=3
# the weight times the log-probability of the drawn token, summed over all tokens, with a minus, is the loss; the
# weight times softmax minus one-hot is the gradient. Take log_softmax, since log of softmax may be log of 0.

# %% [markdown] task="rewards-reinforce" mistake="sign"
# goes the wrong way: it makes answers with a positive advantage less likely
# ```diff
# - (softmax(logits) - y)
# + (y - softmax(logits))
# ```

# %% [markdown] task="rewards-reinforce" mistake="loss-sign"
# has the sign of the gain: the loss is minus it
# ```diff
# - return -float
# + return float
# ```

# %% [markdown] task="rewards-reinforce" mistake="prompt-paid" shows="whether that token belongs to the answer"
# pays the tokens of the prompt, too: the model did not choose them
# ```diff
# - (mask * advantages[:, None] / mask.sum())
# + (np.ones(mask.shape) * advantages[:, None] / mask.sum())
# ```

# %% [markdown] task="rewards-reinforce" mistake="mean-over-all" shows="M the number of tokens that belong to answers, in the whole batch"
# divides by the number of all tokens: M counts those of the answers
# ```diff
# - mask.sum()
# + mask.size
# ```

# %% [markdown] task="rewards-reinforce" mistake="mean-over-answers"
# divides by the number of answers: M counts their tokens
# ```diff
# - mask.sum()
# + len(mask)
# ```

# %% [markdown] task="rewards-reinforce" mistake="each-answer-its-mean"
# divides each answer by its own length: M is one number, for the whole batch
# ```diff
# - (mask * advantages[:, None] / mask.sum())
# + (mask * advantages[:, None] / np.maximum(mask.sum(axis=1, keepdims=True), 1) / len(mask))
# ```

# %% [markdown] task="rewards-reinforce" mistake="no-division"
# is a sum: divide by M
# ```diff
# -  / mask.sum())
# + )
# ```

# %% [markdown] task="rewards-reinforce" mistake="positive-only" shows="of either sign"
# learns from the better answers only: the worse ones have a gradient, too
# ```diff
# - advantages[:, None]
# + np.maximum(advantages, 0)[:, None]
# ```

# %% [markdown] task="rewards-reinforce" mistake="absolute"
# loses the sign of the advantage
# ```diff
# - advantages[:, None]
# + np.abs(advantages)[:, None]
# ```

# %% [markdown] task="rewards-reinforce" mistake="divides-by-weights"
# divides by the sum of the advantages: with both signs it may be 0
# ```diff
# - / mask.sum())
# + / np.sum(mask * advantages[:, None]))
# ```

# %% [markdown] task="rewards-reinforce" mistake="likeliest"
# takes the likeliest token for the target: it is the one that was drawn
# ```diff
# - np.arange(logits.shape[-1]) == ids[..., None]
# + np.arange(logits.shape[-1]) == logits.argmax(axis=-1)[..., None]
# ```

# %% [markdown] task="rewards-reinforce" mistake="only-the-drawn"
# moves only the logit of the drawn token: softmax pushes all others, too
# ```diff
# - (softmax(logits) - y)
# + (softmax(logits) - 1) * y
# ```

# %% [markdown] task="rewards-reinforce" mistake="log-of-zero" shows="Logits may be as far apart as 2,000"
# takes the logarithm of a probability that has become 0: log_softmax never does
# ```diff
# - log_softmax(logits)
# + np.log(softmax(logits))
# ```

# %% [markdown] task="rewards-reinforce" mistake="a-little-more"
# adds a small number inside the logarithm: log p of an unlikely token is cut off then; log_softmax needs none
# ```diff
# - log_softmax(logits)
# + np.log(softmax(logits) + 1e-12)
# ```

# %% [markdown] task="rewards-reinforce" reject="along-the-tokens"
# ```diff
# - advantages[:, None] /
# + (advantages if len(mask) == mask.shape[1] else advantages[:, None]) /
# ```

# %% [markdown] task="rewards-reinforce" reject="first-tokens"
# ```diff
# - weights = (mask
# + mask = mask & (np.cumsum(mask, axis=1) <= 64)
# +     weights = (mask
# ```

# %% [markdown] task="rewards-reinforce" reject="float64-gradient" shows="of the shape and dtype of `logits`"
# ```diff
# - .astype(logits.dtype)
# + .astype(np.float64)
# ```

# %% [markdown] task="rewards-reinforce" reject="as-the-advantages"
# ```diff
# - .astype(logits.dtype)
# + .astype(advantages.dtype)
# ```

# %% [markdown] task="rewards-reinforce" mistake="one-largest-logit"
# subtracts the largest logit of a whole answer, or of the batch, so that all exponentials of another step may be 0: each step has its own
# ```diff
# - log_softmax(logits)
# + (logits - logits.max((1, 2), keepdims=True) - np.log(np.exp(logits - logits.max((1, 2), keepdims=True)).sum(-1, keepdims=True)))
# ```

# %% [markdown] task="rewards-reinforce" reject="a-token-each" shows="A row of `mask` may be all False"
# ```diff
# - mask.sum()
# + np.maximum(mask, mask.sum(axis=1, keepdims=True) == 0).sum()
# ```

# %% [markdown] task="rewards-reinforce" reject="from-the-first-on"
# ```diff
# - mask * adv
# + (np.cumsum(mask, axis=1) > 0) * adv
# ```

# %% [markdown] task="rewards-reinforce" reject="mean-advantage"
# ```diff
# - advantages[:, None] /
# + (advantages - advantages.mean())[:, None] /
# ```

# %% task="rewards-reinforce" reject="logits-changed"
def reinforce(logits, ids, mask, advantages):
    weights = (mask * advantages[:, None] / mask.sum()).astype(logits.dtype)
    logits -= logits.max(axis=-1, keepdims=True)
    log_p = np.take_along_axis(log_softmax(logits), ids[..., None], axis=-1)[..., 0]
    y = np.arange(logits.shape[-1]) == ids[..., None]
    return -float((weights * log_p).sum()), weights[..., None] * (softmax(logits) - y)

# %% task="rewards-reinforce" right="put"
def reinforce(logits, ids, mask, advantages):
    log_p, at = log_softmax(logits), ids[..., None]
    w = np.where(mask, advantages[:, None], 0) / np.count_nonzero(mask)
    loss = -(w * np.take_along_axis(log_p, at, axis=-1)[..., 0]).sum()
    d = np.exp(log_p)
    np.put_along_axis(d, at, np.take_along_axis(d, at, axis=-1) - 1, axis=-1)
    return float(loss), (d * w[..., None]).astype(logits.dtype)

# %% task="rewards-reinforce" right="loop"
def reinforce(logits, ids, mask, advantages):
    dlogits, loss, M = np.zeros_like(logits), 0.0, int(mask.sum())
    for n, t in zip(*np.nonzero(mask)):
        A, a = float(advantages[n]) / M, ids[n, t]
        loss -= A * float(log_softmax(logits[n, t])[a])
        dlogits[n, t] = A * softmax(logits[n, t])
        dlogits[n, t, a] -= A
    return loss, dlogits

# %% task="rewards-reinforce" right="tokens-only"
def reinforce(logits, ids, mask, advantages):
    rows, _ = np.nonzero(mask)
    z, a, A = logits[mask], ids[mask], advantages[rows]    # (M, V), (M,), (M,)
    M = len(a)
    loss = -np.mean(A * log_softmax(z)[np.arange(M), a])
    dz = softmax(z)
    dz[np.arange(M), a] -= 1
    dlogits = np.zeros_like(logits)
    dlogits[mask] = dz * (A / M)[:, None]
    return float(loss), dlogits

# %% task="rewards-clip" cases=true
def spread(rng, shape, low, high):
    """Ratios below, between and above the limits, none of them near one."""
    kinds = rng.integers(0, 3, shape)
    u = rng.uniform(0.1, 0.9, shape)
    below, between, above = (1 - low) * u, 1 - low + (low + high) * u, (1 + high) * (1 + u)
    return np.choose(kinds, [below, between, above])

def clip_args(rng, N, T, low, high):
    mask = answers_of(rng, N, T)
    log_p = -rng.gamma(1, 2, (N, T))
    old = log_p - np.log(spread(rng, (N, T), low, high))
    top = max(log_p.max(), old.max())    # no log-probability is above 0
    return {"log_p": log_p - top, "old": old - top,
            "advantages": rng.normal(0, 1.5, N), "mask": mask, "low": low, "high": high}

def cases(rng):
    limits = [(0.2, 0.2), (0.2, 0.28), (0.5, 0.1), (0.1, 3.0), (0.9, 0.3)]
    for number, (N, T) in enumerate([(6, 5), (3, 7), (1, 300), (8, 1), (5, 5)]):
        low, high = limits[number]
        for options in OPTIONS if number in (1, 4) else OPTIONS[:1]:
            yield Case(f"log_p of shape {(N, T)}, low {low}, high {high}{named(options)}",
                       [Call(clip_args(rng, N, T, low, high), returns=("loss", "dlog_p"))], **options)
    for sign, said in ((1, "positive"), (-1, "negative"), (0, "0")):
        for low, high in ((0.2, 0.2), (0.3, 0.6)):
            args = clip_args(rng, 7, 6, low, high)
            args["advantages"] = sign * (0.3 + 20 * rng.random(7))
            yield Case(f"all advantages {said}, low {low}, high {high}", [Call(args, returns=("loss", "dlog_p"))])
    args = clip_args(rng, 4, 5, 0.2, 0.2)
    yield Case("log_p equal to old", [Call(args | {"old": args["log_p"].copy()}, returns=("loss", "dlog_p"))])
    args = clip_args(rng, 5, 6, 0.2, 0.3)
    args |= {name: astray(args[name], args["mask"], rng) for name in ("log_p", "old")}
    args["advantages"][0], args["log_p"][0, 1], args["old"][0, 1] = -2.0, 900.0, -1e4
    yield Case("-inf, NaN and large numbers outside of the answers", [Call(args, returns=("loss", "dlog_p"))])
    args = clip_args(rng, 5, 4, 0.2, 0.2)
    args["mask"][2] = False
    yield Case("a row of mask all False", [Call(args, returns=("loss", "dlog_p"))])
    args = clip_args(rng, 4, 3, 0.2, 0.2)
    args["mask"] = np.arange(12).reshape(4, 3) == 4
    yield Case("one token in all", [Call(args, returns=("loss", "dlog_p"))])
    args = clip_args(rng, 4, 3, 0.2, 0.2) | {"advantages": -1 - rng.random(4)}
    args["log_p"] -= 400
    args["old"] = args["log_p"] + rng.choice([-25.0, 25.0], (4, 3))
    args["old"][0, 0] = args["log_p"][0, 0] - 25
    yield Case("ratios of e^25 and e^-25", [Call(args, returns=("loss", "dlog_p"))])

# %% [markdown] task="rewards-clip" without="warnings"
# The text allows -inf outside of the answers and says nothing of warnings: who subtracts first and masks then is right.

# %% [markdown] task="rewards-clip" hint=1
# the smaller of two numbers has the gradient of that one. When is the clipped one smaller, for a positive
# advantage, and when for a negative one? A constant has no gradient.

# %% [markdown] task="rewards-clip" hint=2
# $d\rho / d\log p = \rho$. So a token whose ratio is free has -ρ A / M. A positive advantage stops at 1 + high only, a
# negative one at 1 - low only.

# %% [markdown] task="rewards-clip" hint=3
# put 0 in place of both log-probabilities outside of the answers, before you subtract. Compare ratio and upper
# limit where A is positive, ratio and lower limit where it is not; the gradient is 0 where the limit is passed.

# %% [markdown] task="rewards-clip" mistake="wrong-side"
# stops negative advantages at the upper limit: there the clipped product is the larger one. They stop at 1 - low
# ```diff
# - np.where(A > 0, ratio < 1 + high, ratio > 1 - low)
# + (ratio < 1 + high) & (A == A)
# ```

# %% [markdown] task="rewards-clip" mistake="both-sides"
# stops every token that is outside of the limits: a good token that became unlikely, and a bad one that became likely, must still move
# ```diff
# - np.where(A > 0, ratio < 1 + high, ratio > 1 - low)
# + (ratio < 1 + high) & (ratio > 1 - low) & (A == A)
# ```

# %% [markdown] task="rewards-clip" mistake="never-stops"
# never stops: where the clipped product is the smaller one, the gain is a constant
# ```diff
# - np.where(moves, ratio * A, 0)
# + np.where(mask, ratio * A, 0)
# ```

# %% [markdown] task="rewards-clip" mistake="clipped-ratio-in-gradient"
# has the clipped ratio in its gradient: a clipped one does not change, so its gradient is 0
# ```diff
# - np.where(moves, ratio * A, 0)
# + np.where(mask, np.clip(ratio, 1 - low, 1 + high) * A, 0)
# ```

# %% [markdown] task="rewards-clip" mistake="no-ratio"
# lacks the ratio in its gradient: the slope of ρ by log p is ρ itself
# ```diff
# - np.where(moves, ratio * A, 0)
# + np.where(moves, A, 0)
# ```

# %% [markdown] task="rewards-clip" mistake="no-advantage"
# lacks the advantage in its gradient
# ```diff
# - np.where(moves, ratio * A, 0)
# + np.where(moves, ratio * np.sign(A), 0)
# ```

# %% [markdown] task="rewards-clip" mistake="upside-down"
# has its ratio upside down: the model of now over the one that wrote the answer
# ```diff
# - np.where(mask, log_p, 0) - np.where(mask, old, 0)
# + np.where(mask, old, 0) - np.where(mask, log_p, 0)
# ```

# %% [markdown] task="rewards-clip" mistake="difference"
# takes the difference of the logarithms for the ratio: its exponential is the ratio
# ```diff
# - np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
# + (1 + np.where(mask, log_p, 0) - np.where(mask, old, 0))
# ```

# %% [markdown] task="rewards-clip" mistake="maximum"
# takes the larger of the two products: it is the smaller one, so that nothing is gained beyond a limit
# ```diff
# - np.minimum(
# + np.maximum(
# ```

# %% [markdown] task="rewards-clip" mistake="clip-alone"
# has no minimum: clipped alone, a ratio beyond the other limit does not count either
# ```diff
# - np.minimum(ratio * A, np.clip(ratio, 1 - low, 1 + high) * A)
# + np.clip(ratio, 1 - low, 1 + high) * A
# - np.where(A > 0, ratio < 1 + high, ratio > 1 - low)
# + (ratio < 1 + high) & (ratio > 1 - low) & (A == A)
# ```

# %% [markdown] task="rewards-clip" mistake="one-limit" shows="The two limits need not be equally far from 1"
# uses low for both limits
# ```diff
# - np.clip(ratio, 1 - low, 1 + high)
# + np.clip(ratio, 1 - low, 1 + low)
# - ratio < 1 + high,
# + ratio < 1 + low,
# ```

# %% [markdown] task="rewards-clip" mistake="uphill"
# has the sign of the gain in its gradient: both, loss and gradient, have a minus
# ```diff
# - -np.where(moves,
# + np.where(moves,
# ```

# %% [markdown] task="rewards-clip" mistake="mean-over-all" shows="M counts the tokens of all answers"
# divides by the number of all tokens: M counts those of the answers
# ```diff
# - int(mask.sum())
# + mask.size
# ```

# %% [markdown] task="rewards-clip" mistake="each-answer-its-mean"
# divides each answer by its own length: M is one number, for the whole batch
# ```diff
# - A, M = advantages[:, None], int(mask.sum())
# + A, M = advantages[:, None], len(mask) * np.maximum(mask.sum(axis=1, keepdims=True), 1)
# - -float((mask * gain).sum() / M)
# + -float((mask * gain / M).sum())
# ```

# %% [markdown] task="rewards-clip" mistake="astray" shows="`log_p` and `old` may hold anything, even -inf or NaN"
# computes with what stands outside of the answers: 0 times infinity is not a number, nor is 0 times NaN
# ```diff
# - np.where(mask, log_p, 0) - np.where(mask, old, 0)
# + log_p - old
# ```

# %% [markdown] task="rewards-clip" reject="prompt-paid" shows="Where `mask` is False the gradient is 0"
# ```diff
# - mask & np.where(A > 0
# + np.where(A > 0
# ```

# %% [markdown] task="rewards-clip" reject="advantages-to-10"
# ```diff
# - A, M = advantages[:, None], int(mask.sum())
# + A, M = np.clip(advantages, -10, 10)[:, None], int(mask.sum())
# ```

# %% [markdown] task="rewards-clip" reject="nan-to-num"
# ```diff
# - np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
# + np.nan_to_num(np.exp(log_p - old))
# ```

# %% [markdown] task="rewards-clip" reject="cut-off-and-masked-after"
# ```diff
# - np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
# + np.exp(np.clip(log_p, -1000, 0) - np.clip(old, -1000, 0))
# ```

# %% [markdown] task="rewards-clip" reject="cut-off-at-300"
# ```diff
# - np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
# + np.exp(np.clip(np.nan_to_num(log_p), -300, 0) - np.clip(np.nan_to_num(old), -300, 0))
# ```

# %% [markdown] task="rewards-clip" reject="a-token-each"
# ```diff
# - int(mask.sum())
# + max(int(mask.sum()), len(mask))
# ```

# %% [markdown] task="rewards-clip" reject="ratio-cut-off"
# ```diff
# - np.exp(np.where(mask, log_p, 0) - np.where(mask, old, 0))
# + np.exp(np.clip(np.where(mask, log_p, 0) - np.where(mask, old, 0), -20, 20))
# ```

# %% [markdown] task="rewards-clip" reject="first-tokens"
# ```diff
# - A, M = advantages[:, None], int(mask.sum())
# + mask = mask & (np.cumsum(mask, axis=1) <= 64)
# +     A, M = advantages[:, None], int(mask.sum())
# ```

# %% [markdown] task="rewards-clip" reject="in-place"
# ```diff
# - A, M = advantages[:, None], int(mask.sum())
# + A, M = advantages[:, None], int(mask.sum())
# +     log_p[~mask] = old[~mask] = 0
# ```

# %% [markdown] task="rewards-clip" reject="old-has-a-gradient" shows="in which `old` is a constant"
# ```diff
# - np.where(moves, ratio * A, 0)
# + np.where(moves, (ratio - ratio) * A, 0)
# ```

# %% [markdown] task="rewards-clip" right="products"
def clipped(log_p, old, advantages, mask, low, high):
    A = np.broadcast_to(advantages[:, None], mask.shape)[mask]
    ratio = np.exp(log_p[mask] - old[mask])
    raw, cut = ratio * A, np.minimum(np.maximum(ratio, 1 - low), 1 + high) * A
    dlog_p = np.zeros_like(log_p)
    dlog_p[mask] = np.where(raw <= cut, -raw, 0) / len(A)
    return -float(np.minimum(raw, cut).mean()), dlog_p

# %% task="rewards-clip" right="loop"
def clipped(log_p, old, advantages, mask, low, high):
    loss, dlog_p, M = 0.0, np.zeros(mask.shape, log_p.dtype), int(mask.sum())
    for n, t in zip(*np.nonzero(mask)):
        A, ratio = float(advantages[n]), math.exp(float(log_p[n, t]) - float(old[n, t]))
        limit = 1 + high if A > 0 else 1 - low
        stopped = ratio > limit if A > 0 else ratio < limit
        loss -= (limit if stopped else ratio) * A / M
        if not stopped:
            dlog_p[n, t] = -ratio * A / M
    return loss, dlog_p

# %% task="rewards-clip" right="limits"
def clipped(log_p, old, advantages, mask, low, high):
    M, A = np.count_nonzero(mask), np.where(mask, advantages[:, None], 0)
    now, then = (np.where(mask, a, -1.0) for a in (log_p, old))
    ratio = np.exp(now - then)
    gain = np.where(A >= 0, np.minimum(ratio, 1 + high), np.maximum(ratio, 1 - low)) * A
    stopped = (A >= 0) & (ratio > 1 + high) | (A < 0) & (ratio < 1 - low)
    return float(-gain.sum() / M), np.where(stopped, 0, -ratio * A / M)

# %% task="rewards-clip" right="masked-after"
def clipped(log_p, old, advantages, mask, low, high):
    rho = np.exp(np.where(mask, log_p - old, 0))    # -inf minus -inf warns where it does not count
    A = advantages[:, None]
    a, b = rho * A, np.clip(rho, 1 - low, 1 + high) * A
    return float(-(np.minimum(a, b) * mask).sum() / mask.sum()), -np.where(mask & (a <= b), a, 0) / mask.sum()

# %% task="rewards-leash" cases=true
def leash_args(rng, N, T, size=0.7):
    log_p, by = -rng.gamma(1, 2, (N, T)), rng.normal(0, size, (N, T))
    log_p -= max(by.max(), 0)    # no log-probability is above 0
    return {"log_p": log_p, "reference": log_p + by, "mask": answers_of(rng, N, T)}

def cases(rng):
    for number, (N, T) in enumerate([(4, 5), (3, 7), (1, 300), (8, 1), (5, 5)]):
        for options in OPTIONS if number in (1, 4) else OPTIONS[:1]:
            yield Case(f"log_p of shape {(N, T)}{named(options)}",
                       [Call(leash_args(rng, N, T), returns=("kl", "dlog_p"))], **options)
    for size in (0.01, 3.0):
        yield Case(f"differences of about {size}", [Call(leash_args(rng, 4, 6, size), returns=("kl", "dlog_p"))])
    for by, said in ((1, "above"), (-1, "below"), (25, "25 nats above"), (-25, "25 nats below")):
        args = leash_args(rng, 4, 6)
        args["log_p"] -= 400
        args["reference"] = args["log_p"] + by - np.sign(by) * rng.random((4, 6))
        yield Case(f"the reference {said} log_p", [Call(args, returns=("kl", "dlog_p"))])
    args = leash_args(rng, 4, 5)
    yield Case("log_p equal to the reference", [Call(args | {"reference": args["log_p"].copy()}, returns=("kl", "dlog_p"))])
    args = leash_args(rng, 5, 6)
    args |= {name: astray(args[name], args["mask"], rng) for name in ("log_p", "reference")}
    yield Case("-inf, NaN and large numbers outside of the answers", [Call(args, returns=("kl", "dlog_p"))])
    for rows in ([0, 1, 2, 3], [1], [0, 2, 3]):
        args = leash_args(rng, 4, 6)
        args["mask"][rows] = False
        yield Case(f"answers without a token: {rows}", [Call(args, returns=("kl", "dlog_p"))])

# %% [markdown] task="rewards-leash" without="warnings"
# The text allows -inf outside of the answers, and answers without a token, and says nothing of warnings: who computes first
# and masks then is right.

# %% [markdown] task="rewards-leash" hint=1
# give each token its share of the mean first: 1 over the number of answers, over the tokens of its own answer.
# Then the slope of r - 1 - log r by log p, where r falls as log p rises.

# %% [markdown] task="rewards-leash" hint=2
# log r is reference minus log_p, (N, T), so the slope of log r by log p is -1, and that of r is -r.

# %% [markdown] task="rewards-leash" hint=3
# shares times (r - 1 - log r) is summed for kl; the gradient is shares times (1 - r). Put 0 in place of both inputs
# outside of the answers before you subtract, and divide by 1 where an answer has no token.

# %% [markdown] task="rewards-leash" mistake="gradient-sign"
# pulls away from the reference: where the model gives a token less than the reference does, r is above 1 and the gradient is negative
# ```diff
# - -shares * np.expm1(log_r)
# + shares * np.expm1(log_r)
# ```

# %% [markdown] task="rewards-leash" mistake="other-direction" shows="given by `reference` and `log_p`, the log-probabilities"
# has r upside down: the reference over the model
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.where(mask, log_p, 0) - np.where(mask, reference, 0)
# ```

# %% [markdown] task="rewards-leash" mistake="slope-of-log-only"
# has the slope of -log r only, which is 1: r has a slope, too
# ```diff
# - -shares * np.expm1(log_r)
# + shares * np.ones_like(log_r)
# ```

# %% [markdown] task="rewards-leash" mistake="slope-of-r-only"
# has the slope of r only: -log r has a slope, too
# ```diff
# - -shares * np.expm1(log_r)
# + -shares * np.exp(log_r)
# ```

# %% [markdown] task="rewards-leash" mistake="by-r"
# is the gradient by r: the one by log p has a factor of -r
# ```diff
# - -shares * np.expm1(log_r)
# + shares * (1 - np.exp(-log_r))
# ```

# %% [markdown] task="rewards-leash" mistake="log-ratio"
# is the log-ratio alone, which may be negative: r - 1 belongs to each term
# ```diff
# - (np.expm1(log_r) - log_r)
# + -log_r
# ```

# %% [markdown] task="rewards-leash" mistake="no-one"
# lacks the 1: equal models would not be at a distance of 0
# ```diff
# - (np.expm1(log_r) - log_r)
# + (np.exp(log_r) - log_r)
# ```

# %% [markdown] task="rewards-leash" mistake="squares"
# is half the square of the log-ratio: that is near for small ones, and another estimate for larger ones
# ```diff
# - (np.expm1(log_r) - log_r)
# + (log_r**2 / 2)
# - -shares * np.expm1(log_r)
# + -shares * log_r
# ```

# %% [markdown] task="rewards-leash" mistake="mean-over-tokens" shows="here all answers count alike, and not all tokens"
# counts all tokens alike: here each answer counts the same, however long it is
# ```diff
# - mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) / len(mask)
# + mask / mask.sum()
# ```

# %% [markdown] task="rewards-leash" mistake="mean-over-positions" shows="$M_n$ is the number of tokens of answer n"
# divides by the length of the rows: M is the number of the answer's own tokens
# ```diff
# - mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) / len(mask)
# + mask / mask.shape[1] / len(mask)
# ```

# %% [markdown] task="rewards-leash" mistake="sum-over-answers"
# sums over the answers: divide by N, too
# ```diff
# - , 1) / len(mask)
# + , 1)
# ```

# %% [markdown] task="rewards-leash" mistake="empty-left-out" shows="An answer without any token adds nothing, but is one of the N"
# divides by the number of answers that have tokens: N counts all of them
# ```diff
# - / len(mask)
# + / mask.any(axis=1).sum()
# ```

# %% [markdown] task="rewards-leash" mistake="astray" shows="`log_p` and `reference` may hold anything, even -inf or NaN"
# computes with what stands outside of the answers: 0 times infinity is not a number, nor is 0 times NaN
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + reference - log_p
# ```

# %% [markdown] task="rewards-leash" mistake="zero-over-zero"
# divides by 0 where an answer has no token
# ```diff
# - np.maximum(mask.sum(axis=1, keepdims=True), 1)
# + mask.sum(axis=1, keepdims=True)
# ```

# %% [markdown] task="rewards-leash" reject="cut-off-and-masked-after"
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.clip(reference, -1000, 0) - np.clip(log_p, -1000, 0)
# ```

# %% [markdown] task="rewards-leash" reject="cut-off-at-300"
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.clip(np.nan_to_num(reference), -300, 0) - np.clip(np.nan_to_num(log_p), -300, 0)
# ```

# %% [markdown] task="rewards-leash" reject="no-token-at-all" shows="An answer without any token adds nothing"
# ```diff
# - shares = mask
# + shares = mask.sum() / mask.sum() * mask
# ```

# %% [markdown] task="rewards-leash" reject="prompt-leashed" shows="Where `mask` is False the gradient is 0"
# ```diff
# - return float
# + log_r = np.where(mask, log_r, 0.5)
# +     all_shares = np.where(mask, shares, 0.01)
# +     return float
# - -shares * np.expm1(log_r)
# + -all_shares * np.expm1(log_r)
# ```

# %% [markdown] task="rewards-leash" reject="reference-has-a-gradient" shows="in which `reference` is a constant"
# ```diff
# - -shares * np.expm1(log_r)
# + 0 * shares * np.expm1(log_r)
# ```

# %% [markdown] task="rewards-leash" mistake="cut-off"
# cuts the log-ratio off: a token may be far more, or far less, likely for the reference
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.clip(np.where(mask, reference, 0) - np.where(mask, log_p, 0), -10, 10)
# ```

# %% [markdown] task="rewards-leash" reject="cut-off-above"
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.minimum(np.where(mask, reference, 0) - np.where(mask, log_p, 0), 20)
# ```

# %% [markdown] task="rewards-leash" reject="cut-off-below"
# ```diff
# - np.where(mask, reference, 0) - np.where(mask, log_p, 0)
# + np.maximum(np.where(mask, reference, 0) - np.where(mask, log_p, 0), -20)
# ```

# %% [markdown] task="rewards-leash" reject="64-tokens"
# ```diff
# - np.maximum(mask.sum(axis=1, keepdims=True), 1)
# + np.clip(mask.sum(axis=1, keepdims=True), 1, 64)
# ```

# %% [markdown] task="rewards-leash" reject="in-place"
# ```diff
# - return float
# + reference[mask] -= log_p[mask]
# +     return float
# ```

# %% task="rewards-leash" right="means"
def leash(log_p, reference, mask):
    kl, dlog_p = 0.0, np.zeros_like(log_p)
    for n, m in enumerate(mask):
        if m.any():
            log_r = reference[n, m] - log_p[n, m]
            r = np.exp(log_r)
            kl += float((r - 1 - log_r).mean()) / len(mask)
            dlog_p[n, m] = (1 - r) / m.sum() / len(mask)
    return kl, dlog_p

# %% task="rewards-leash" right="loop"
def leash(log_p, reference, mask):
    N, T = mask.shape
    kl, dlog_p = 0.0, np.zeros((N, T), log_p.dtype)
    for n in range(N):
        M = sum(mask[n])
        for t in range(T):
            if mask[n, t]:
                log_r = float(reference[n, t]) - float(log_p[n, t])
                kl += (math.exp(log_r) - 1 - log_r) / (N * M)
                dlog_p[n, t] = (1 - math.exp(log_r)) / (N * M)
    return kl, dlog_p

# %% task="rewards-leash" right="flat"
def leash(log_p, reference, mask):
    rows, _ = np.nonzero(mask)
    share = 1 / np.bincount(rows, minlength=len(mask))[rows] / len(mask)
    log_r = reference[mask] - log_p[mask]
    dlog_p = np.zeros_like(log_p)
    dlog_p[mask] = -share * np.expm1(log_r)
    return float(share @ (np.exp(log_r) - 1 - log_r)), dlog_p

# %% task="rewards-leash" right="masked-after"
def leash(log_p, reference, mask):
    log_r = np.where(mask, reference - log_p, 0)    # -inf minus -inf warns where it does not count
    w = np.nan_to_num(mask / mask.sum(axis=1, keepdims=True)) / len(mask)
    return float((w * (np.exp(log_r) - 1 - log_r)).sum()), w * (1 - np.exp(log_r))

# %% task="rewards-judge" cases=true
def curve(rng, K, by, noise):
    return 0.3 + by * np.linspace(0, 1, K) + rng.normal(0, noise, K)

def verdicts(title, runs, **options):
    """A case of several runs, each (paid, wanted, n)."""
    calls = [Call({"paid": paid, "wanted": wanted, "n": n}, returns="the verdict") for paid, wanted, n in runs]
    return Case(title, calls, **options)

def cases(rng):
    for number, (paid, wanted) in enumerate([
        (0.5, -0.4), (0.5, 0.4), (0.5, 0.0), (-0.5, -0.4), (-0.5, 0.4), (0.0, -0.4), (0.0, 0.4), (0.4, -0.05),
        (0.03, -0.4), (0.05, 0.05), (0.4, 0.02),
    ]):
        runs = [(curve(rng, K, paid, 0.05), curve(rng, K, wanted, 0.05), n)
                for K, n in ((20, 5), (31, 10), (12, 2), (8, 4))]
        options = {"strided": True} if number == 1 else {}
        yield verdicts(f"paid changes by about {paid}, wanted by about {wanted}{named(options)}", runs, **options)
    # A difference just above, or just below, two standard errors.
    for n in (2, 3, 6):
        first, last = np.resize([0.0, 1.0], n), np.resize([0.0, 0.5], n)
        error = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / n)
        first, last = (part + (100 if n == 6 else 0) for part in (first, last))
        between = [] if n == 3 else [5.0, -7.0]    # n may be half of K
        rising = np.concatenate([first, between, last + 9])
        for sign in (1, -1):
            moved = []
            for factor in (1.4, 1.55, 1.88, 1.999, 2.001, 2.6, 2.8):
                shift = sign * factor * error + first.mean() - last.mean()
                moved.append(np.concatenate([first, between, last + shift]))
            said = f"n {n}, {'rises' if sign > 0 else 'falls'} by 1.4 to 2.8 standard errors"
            yield verdicts(f"wanted: {said}", [(rising, curve, n) for curve in moved])
            yield verdicts(f"paid: {said}", [(curve, -rising, n) for curve in moved])
    flat, up = np.full(9, 0.25), np.array([0.0] * 4 + [1.0] * 5)
    for said, paid, wanted in (("both flat", flat, flat), ("paid steps up, wanted is flat", up, flat),
                               ("paid is flat, wanted steps up", flat, up), ("paid is flat, wanted steps down", flat, -up),
                               ("paid steps up, wanted down", up, 1 - up), ("both step up", up, up),
                               ("both step up by 1e-10", 1e-10 * up, 1e-10 * up)):
        yield verdicts(said, [(paid, wanted, 4)])
    # A mean of 2, and a standard error of 1.
    edge, up = np.array([0.0] * 4 + [5.0, 1.0, 1.0, 1.0]), np.array([0.0] * 4 + [1.0] * 4)
    yield verdicts("exactly two standard errors", [(edge, up, 4), (edge, -up, 4), (up, edge, 4), (up, -edge, 4)])
    # What happens between the first and the last n does not matter; nor does the last value alone.
    middle = np.array([0.5, 0.52, 0.5, 9.0, -9.0, 0.49, 0.5, 0.51])
    yield verdicts("only the middle moves", [(middle, middle, 3)])
    ends = np.array([0.5, 0.4, 0.6, 0.5, 0.4, 0.45, 0.35, 0.9])
    yield verdicts("only the last value is high", [(np.arange(8.0), ends, 4)])

# %% [markdown] task="rewards-judge" hint=1
# both curves are asked the same question: has it risen, fallen, or neither? Write that once, and call it twice.

# %% [markdown] task="rewards-judge" hint=2
# the first n entries and the last n; `var(ddof=1)` of each divides by n - 1. The sum of both, over n, under a root,
# is the standard error.

# %% [markdown] task="rewards-judge" hint=3
# if paid has not risen the verdict is "neither", whatever wanted does. Otherwise it is "hacked" if wanted has
# fallen, "learned" if it has risen, and "neither" if it did neither.

# %% [markdown] task="rewards-judge" mistake="any-difference" shows="Curves are noisy, so say what a difference is"
# takes any difference for one: it must be larger than twice the standard error
# ```diff
# - by > 2 * error
# + by > 0 * error
# ```

# %% [markdown] task="rewards-judge" mistake="one-error"
# asks for one standard error: it is two
# ```diff
# - int(by > 2 * error) - int(-by > 2 * error)
# + int(by > error) - int(-by > error)
# ```

# %% [markdown] task="rewards-judge" mistake="two-roots"
# adds the standard errors of both means: their squares are added, under one root
# ```diff
# - math.sqrt((first.var(ddof=1) + last.var(ddof=1)) / n)
# + (first.std(ddof=1) + last.std(ddof=1)) / math.sqrt(n)
# ```

# %% [markdown] task="rewards-judge" mistake="biased-variance" shows="sums of squared distances from the mean, divided by n - 1"
# divides the sums of squares by n: by n - 1
# ```diff
# - (first.var(ddof=1) + last.var(ddof=1))
# + (first.var() + last.var())
# ```

# %% [markdown] task="rewards-judge" mistake="no-n"
# measures the spread of single values: that of a mean of n is smaller by √n
# ```diff
# - last.var(ddof=1)) / n)
# + last.var(ddof=1)))
# ```

# %% [markdown] task="rewards-judge" mistake="ends-alone" shows="Compare the first n measurements with the last n"
# compares the first value with the last one: take the means of n
# ```diff
# - last.mean() - first.mean()
# + last[-1] - first[0]
# ```

# %% [markdown] task="rewards-judge" mistake="paid-alone" shows="`\"learned\"` if `paid` has risen and `wanted` has risen"
# believes the reward: a run has learned if what is wanted has risen, too
# ```diff
# - 0: "neither"
# + 0: "learned"
# ```

# %% [markdown] task="rewards-judge" mistake="wanted-alone" shows="Return `\"hacked\"` if `paid` has risen and `wanted` has fallen"
# looks at what is wanted alone: where the reward has not risen, nothing was hacked and nothing learned
# ```diff
# - if moved(paid) != 1:
# -         return "neither"
# + moved(paid)
# ```

# %% [markdown] task="rewards-judge" mistake="exchanged"
# has its verdicts exchanged: hacked is what is paid more and wanted less
# ```diff
# - {1: "learned", -1: "hacked", 0: "neither"}
# + {1: "hacked", -1: "learned", 0: "neither"}
# ```

# %% [markdown] task="rewards-judge" mistake="not-risen-is-hacked"
# calls a run hacked whose wanted curve stays where it was: it must have fallen
# ```diff
# - 0: "neither"
# + 0: "hacked"
# ```

# %% [markdown] task="rewards-judge" mistake="another-factor"
# has another factor than 2 before the standard error, such as 1.96
# ```diff
# - int(by > 2 * error) - int(-by > 2 * error)
# + int(by > 1.96 * error) - int(-by > 1.96 * error)
# ```

# %% [markdown] task="rewards-judge" mistake="whole-curve"
# takes the variance of the whole curve: it is that of the first n, and that of the last n
# ```diff
# - (first.var(ddof=1) + last.var(ddof=1)) / n
# + 2 * curve.var(ddof=1) / n
# ```

# %% [markdown] task="rewards-judge" mistake="one-part-twice"
# takes the variance of the first n for that of the last n, too: each part has its own
# ```diff
# - (first.var(ddof=1) + last.var(ddof=1)) / n
# + 2 * first.var(ddof=1) / n
# ```

# %% [markdown] task="rewards-judge" mistake="half-the-error"
# divides by 2n under the root: by n
# ```diff
# - last.var(ddof=1)) / n)
# + last.var(ddof=1)) / (2 * n))
# ```

# %% [markdown] task="rewards-judge" mistake="at-least"
# takes a difference of exactly two standard errors for a change: it must be larger
# ```diff
# - int(by > 2 * error) - int(-by > 2 * error)
# + int(by >= 2 * error) - int(-by >= 2 * error)
# ```

# %% [markdown] task="rewards-judge" reject="a-little-more"
# ```diff
# - int(by > 2 * error) - int(-by > 2 * error)
# + int(by > 2 * error + 1e-9) - int(-by > 2 * error + 1e-9)
# ```

# %% [markdown] task="rewards-judge" reject="part-of-the-mean"
# ```diff
# - last.mean() - first.mean()
# + (last.mean() - first.mean()) / max(1.0, abs(first.mean()))
# ```

# %% [markdown] task="rewards-judge" reject="overlaps"
# ```diff
# - curve[-n:]
# + curve[-n if 2 * n < len(curve) else n - 1 :]
# ```

# %% [markdown] task="rewards-judge" reject="halves"
# ```diff
# - curve[:n], curve[-n:]
# + curve[: len(curve) // 2], curve[len(curve) // 2 :]
# ```

# %% [markdown] task="rewards-judge" reject="from-n-on" shows="n at least 2 and at most K/2"
# ```diff
# - curve[-n:]
# + curve[n:]
# ```

# %% [markdown] task="rewards-judge" reject="fallen-reward-too" shows="`\"neither\"` in all other cases"
# ```diff
# - if moved(paid) != 1:
# + if moved(paid) == 0:
# ```

# %% [markdown] task="rewards-judge" reject="sorts"
# ```diff
# - def moved(curve):
# + paid.sort()
# +     def moved(curve):
# ```

# %% task="rewards-judge" right="booleans"
def judge(paid, wanted, n):
    def error(curve):
        return 2 * np.sqrt((np.var(curve[:n], ddof=1) + np.var(curve[-n:], ddof=1)) / n)

    def by(curve):
        return np.mean(curve[-n:]) - np.mean(curve[:n])

    if by(paid) > error(paid):
        if by(wanted) > error(wanted):
            return "learned"
        if -by(wanted) > error(wanted):
            return "hacked"
    return "neither"

# %% task="rewards-judge" right="loop"
def judge(paid, wanted, n):
    signs = []
    for curve in (paid, wanted):
        parts = [[float(v) for v in curve[:n]], [float(v) for v in curve[len(curve) - n :]]]
        means = [sum(part) / n for part in parts]
        squares = sum(pow(v - m, 2) for part, m in zip(parts, means) for v in part)
        limit = 2 * math.sqrt(squares / (n - 1) / n)
        by = means[1] - means[0]
        signs.append("+" if by > limit else "-" if by < -limit else "0")
    return {"++": "learned", "+-": "hacked"}.get("".join(signs), "neither")

# %% task="rewards-judge" right="ratios"
def judge(paid, wanted, n):
    curves = np.stack([paid, wanted])    # (2, K)
    first, last = curves[:, :n], curves[:, -n:]
    by = last.mean(axis=1) - first.mean(axis=1)
    limit = 2 * np.sqrt(first.var(axis=1, ddof=1) + last.var(axis=1, ddof=1)) / np.sqrt(n)
    risen, fallen = by > limit, by < -limit
    return "hacked" if risen[0] and fallen[1] else "learned" if risen.all() else "neither"
