# %% task="preferences-loss" cases=true
def cases(rng):
    for N, scale in ((5, 1.0), (1, 1.0), (2, 3.0), (7, 30.0), (4, 900.0), (40, 2.0)):
        for options in [{}, {"strided": True}, {"float32": True, "dtypes": ("the loss's gradient",)}][: 1 + 2 * (N in (5, 4))]:
            margin = rng.normal(0, scale, N)
            yield Case(f"{N} margins of size {scale:g}{''.join(f', {name}' for name in options)}",
                       [Call({"margin": margin}, returns=("the loss", "the loss's gradient", "the gradient's tiny slopes"))], **options)
    for margin in ([1000.0, -1000.0, 0.0], [0.0], [40.0, 38.0, 60.0], [-1e5], [1e5], [-2.0, -0.5], [300.0, 1.0], [-800.0, -750.0, 3.0],
                   [650.0, 350.0, 17.0, 11.0, 5.2]):
        yield Case(f"margins {margin}", [
            Call({"margin": np.array(margin)}, returns=("the loss", "the loss's gradient", "the gradient's tiny slopes"))])

# %% [markdown] task="preferences-loss" hint=1
# -log σ(m) is log(1 + e⁻ᵐ), and its slope is -σ(-m). Both overflow if you write them so: which power is too large, and for
# which margins?

# %% [markdown] task="preferences-loss" hint=2
# log(1 + e⁻ᵐ) is log(e⁰ + e⁻ᵐ), and `np.logaddexp(a, b)` is log(eᵃ + eᵇ) without overflow. σ(-m) is one over 1 + eᵐ: the
# exponential of something of the same kind.

# %% [markdown] task="preferences-loss" hint=3
# the loss is the mean of logaddexp of 0 and minus the margin. The gradient is minus the exponential of minus logaddexp of 0
# and the margin, divided by the number of margins.

# %% [markdown] task="preferences-loss" mistake="wrong-surprise"
# has σ(m) for a slope: a pair that is won by a wide margin would be pushed the most; it is -σ(-m)
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + -np.exp(-np.logaddexp(0, -margin)) / len(margin)
# ```

# %% [markdown] task="preferences-loss" mistake="uphill"
# has the wrong sign: a larger margin makes the loss smaller, so the slope is negative
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + np.exp(-np.logaddexp(0, margin)) / len(margin)
# ```

# %% [markdown] task="preferences-loss" mistake="sum-of-slopes"
# is the gradient of the sum: the loss is a mean, so each slope is divided by N
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + -np.exp(-np.logaddexp(0, margin))
# ```

# %% [markdown] task="preferences-loss" mistake="sum" shows="the mean of"
# is a sum over the pairs: take the mean
# ```diff
# - .mean())
# + .sum())
# ```

# %% [markdown] task="preferences-loss" mistake="the-other-wins"
# takes the rejected answer for the chosen one: the loss is large where the margin is negative
# ```diff
# - np.logaddexp(0, -margin).mean()
# + np.logaddexp(0, margin).mean()
# ```

# %% task="preferences-loss" mistake="overflows" shows="Margins may be huge, of either sign, and no warning may come of it"
# overflows at large margins: np.logaddexp(0, x) is log(1 + eˣ) and stays finite
def preference_loss(margin):
    s = 1 / (1 + np.exp(-margin))
    return float(-np.log(s).mean()), (s - 1) / len(margin)

# %% task="preferences-loss" mistake="digits-lost" shows="A slope that is tiny has its digits: at a margin of 40 it is -4e-18 / N, and not 0"
# loses its digits at large margins: 1 - σ(m) subtracts two numbers that are equal to 16 digits; compute σ(-m) itself
def preference_loss(margin):
    loss = float(np.logaddexp(0, -margin).mean())
    return loss, (np.exp(-np.logaddexp(0, -margin)) - 1) / len(margin)

# %% task="preferences-loss" mistake="clipped"
# cuts the margins off: a margin of -1000 costs 1000 nats, and a slope at 60 has its digits
def preference_loss(margin):
    m = np.clip(margin, -30, 30)
    return float(np.log1p(np.exp(-m)).mean()), -1 / (1 + np.exp(m)) / len(margin)

# %% task="preferences-loss" mistake="a-little-more"
# adds a small number inside the logarithm: it is no longer the loss, and a margin of -1000 costs 18 nats
def preference_loss(margin):
    s = np.exp(-np.logaddexp(0, -margin))
    return float(-np.log(s + 1e-8).mean()), -np.exp(-np.logaddexp(0, margin)) / len(margin)

# %% task="preferences-loss" mistake="hinge"
# is a hinge, which is flat where a pair is won: -log σ never is
def preference_loss(margin):
    return float(np.maximum(0, -margin).mean()), np.where(margin < 0, -1.0, 0.0).astype(margin.dtype) / len(margin)

# %% [markdown] task="preferences-loss" reject="slopes-end"
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + -np.exp(-np.logaddexp(0, np.clip(margin, -500, 500))) / len(margin)
# ```

# %% [markdown] task="preferences-loss" reject="nearly-the-slope"
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + np.where(margin > 10, -np.exp(-np.abs(margin)), -np.exp(-np.logaddexp(0, margin))) / len(margin)
# ```

# %% [markdown] task="preferences-loss" reject="one-slope" shows="of the shape and dtype of `margin`"
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + (-np.exp(-np.logaddexp(0, margin)) / len(margin)).astype(np.float64)
# ```

# %% [markdown] task="preferences-loss" reject="an-array" shows="as a float"
# ```diff
# - loss = float(np.logaddexp(0, -margin).mean())
# + loss = np.logaddexp(0, -margin).mean(keepdims=True)
# ```

# %% [markdown] task="preferences-loss" reject="in-place" shows="`margin` stays as it is"
# ```diff
# - loss = float(np.logaddexp(0, -margin).mean())
# + np.negative(margin, out=margin)
# +     loss = float(np.logaddexp(0, margin).mean())
# - np.logaddexp(0, margin)) / len(margin)
# + np.logaddexp(0, -margin)) / len(margin)
# ```

# %% task="preferences-loss" right="by-sign"
def preference_loss(margin):
    small = np.exp(-np.abs(margin))    # at most 1
    losses = np.log1p(small) + np.maximum(-margin, 0)
    slopes = np.where(margin > 0, small, 1) / (1 + small)
    return float(losses.mean()), -slopes / len(margin)

# %% task="preferences-loss" right="loop"
def preference_loss(margin):
    total, dmargin = 0.0, np.zeros_like(margin)
    for i, m in enumerate(margin):
        if m > 0:
            total += np.log1p(np.exp(-m))
            dmargin[i] = -np.exp(-m) / (1 + np.exp(-m)) / len(margin)
        else:
            total += np.log1p(np.exp(m)) - m
            dmargin[i] = -1 / (1 + np.exp(m)) / len(margin)
    return float(total / len(margin)), dmargin

# %% task="preferences-loss" right="two-logits"
def preference_loss(margin):
    log_p = log_softmax(np.stack([margin, np.zeros_like(margin)], axis=1))    # a choice of two
    return float(-log_p[:, 0].mean()), -np.exp(log_p[:, 1]) / len(margin)

# %% task="preferences-policy" cases=true
def log_distribution(rng, B, K, zeros=0):
    z = rng.normal(0, 1.5, (B, K))
    for row in z:
        row[rng.permutation(K)[:zeros]] = -np.inf
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

def cases(rng):
    returns = ("the policy", "J")
    for B, K, beta in ((3, 4, 0.5), (1, 5, 2.0), (4, 3, 0.1), (2, 2, 1.0), (5, 1, 0.7), (3, 3, 30.0), (6, 7, 0.05)):
        for options in [{}, {"strided": True}, {"float32": True}][: 1 + 2 * (B == 3)]:
            args = {"log_ref": log_distribution(rng, B, K), "rewards": rng.normal(0.3, 1, (B, K)), "beta": beta}
            yield Case(f"{B} prompts, {K} answers, β {beta}{''.join(f', {name}' for name in options)}",
                       [Call(args, returns=returns)], **options)
    for B, K, zeros in ((2, 4, 1), (3, 5, 4), (1, 3, 2)):
        args = {"log_ref": log_distribution(rng, B, K, zeros), "rewards": rng.normal(0, 1, (B, K)), "beta": 0.4}
        yield Case(f"{B} prompts, {K} answers, {zeros} of them never given", [Call(args, returns=returns)])
    for shift in (5000.0, -5000.0):
        args = {"log_ref": log_distribution(rng, 3, 4), "rewards": shift + rng.normal(0, 1, (3, 4)), "beta": 0.01}
        yield Case(f"rewards around {shift:g}, β 0.01", [Call(args, returns=returns)])
    args = {"log_ref": log_distribution(rng, 3, 4), "rewards": rng.normal(0, 0.001, (3, 4)), "beta": 0.001}
    yield Case("rewards that differ by about as much as β, 0.001", [Call(args, returns=returns)])
    args = {"log_ref": log_distribution(rng, 3, 4), "rewards": rng.normal(0, 1, (3, 4)) + [[0.0], [900.0], [-900.0]], "beta": 0.5}
    yield Case("rewards around 0, 900 and -900, β 0.5", [Call(args, returns=returns)])
    # Of an answer that is never given the reward may be the largest. Rewards may be integers.
    args = {"log_ref": np.array([[np.log(0.25), np.log(0.75), -800.0]]), "rewards": np.array([[1, -2, 50]]), "beta": 0.05}
    yield Case("the best answer is next to never given, β 0.05", [Call(args, returns=returns)])
    log_ref = np.array([[-np.inf, np.log(0.5), np.log(0.5)], [np.log(0.9), np.log(0.1), -np.inf]])
    args = {"log_ref": log_ref, "rewards": np.array([[90_000.0, 1.0, -1.0], [0.5, 3.0, 900.0]]), "beta": 0.1}
    yield Case("the best answer is never given", [Call(args, returns=returns)])

# %% [markdown] task="preferences-policy" hint=1
# the chapter has a formula for the best π, with a Z that makes it sum to 1, and for J in terms of a KL and of Z. What is
# that KL at the best π?

# %% [markdown] task="preferences-policy" hint=2
# log π* + log Z is log_ref plus the rewards divided by β, (B, K): a softmax over axis 1. J of the best is β log Z, (B,).

# %% [markdown] task="preferences-policy" hint=3
# subtract the largest of each row before you exponentiate, and divide by the sum. log Z is the largest plus the logarithm of
# that sum. It needs no log π, which is -∞ for an answer that is never given.

# %% [markdown] task="preferences-policy" mistake="no-reference"
# forgets the reference: what it never gives, and hardly gives, has its weight in the formula
# ```diff
# - z = log_ref + rewards / beta
# + z = rewards / beta + 0 * np.where(np.isfinite(log_ref), log_ref, 0)
# ```

# %% [markdown] task="preferences-policy" mistake="times-beta"
# multiplies by β: a small β makes the rewards count more
# ```diff
# - rewards / beta
# + rewards * beta
# ```

# %% [markdown] task="preferences-policy" mistake="beta-over-both"
# divides the reference's log-probability by β, too: only the rewards are
# ```diff
# - log_ref + rewards / beta
# + (log_ref + rewards) / beta
# ```

# %% [markdown] task="preferences-policy" mistake="probabilities-added"
# adds rewards to probabilities: the reference's probability is a factor, its logarithm a term
# ```diff
# - log_ref + rewards / beta
# + np.exp(log_ref) + rewards / beta
# ```

# %% [markdown] task="preferences-policy" mistake="axis" shows="the distribution over the answers of each prompt"
# sums over all prompts: each row has a Z of its own
# ```diff
# - Z = e.sum(axis=1, keepdims=True)
# + Z = e.sum(keepdims=True)
# ```

# %% [markdown] task="preferences-policy" mistake="log-z-alone"
# has J without the factor β
# ```diff
# - beta * (top
# + (top
# ```

# %% [markdown] task="preferences-policy" mistake="top-forgotten"
# forgets in log Z what was subtracted before the exponential
# ```diff
# - (top + np.log(Z))
# + (np.log(Z))
# ```

# %% task="preferences-policy" mistake="greedy"
# puts all mass on the largest reward, as if the distance were free: β is its price
def best_policy(log_ref, rewards, beta):
    z = np.where(np.isfinite(log_ref), rewards, -np.inf)
    policy = np.eye(z.shape[1])[z.argmax(axis=1)]
    return policy, z.max(axis=1) + beta * log_ref[np.arange(len(z)), z.argmax(axis=1)]

# %% task="preferences-policy" mistake="mean-reward"
# has the mean reward for J: the price of the distance, β times KL, is to be subtracted
def best_policy(log_ref, rewards, beta):
    z = log_ref + rewards / beta
    e = np.exp(z - z.max(axis=1, keepdims=True))
    policy = e / e.sum(axis=1, keepdims=True)
    return policy, (policy * rewards).sum(axis=1)

# %% task="preferences-policy" mistake="overflows" shows="Rewards may be many thousand times beta, of either sign"
# overflows where rewards are large beside β: subtract the largest of each row first
def best_policy(log_ref, rewards, beta):
    w = np.exp(log_ref) * np.exp(rewards / beta)
    Z = w.sum(axis=1, keepdims=True)
    return w / Z, beta * np.log(Z)[:, 0]

# %% task="preferences-policy" mistake="not-a-number" shows=["An answer that the reference never gives has a log-probability of -∞, and gets a probability of 0", "No warning may come of either"]
# computes 0 times -∞ for an answer that is never given: take J from Z, or leave these answers out of the sum
def best_policy(log_ref, rewards, beta):
    z = log_ref + rewards / beta
    e = np.exp(z - z.max(axis=1, keepdims=True))
    policy = e / e.sum(axis=1, keepdims=True)
    kl = (policy * (np.log(policy) - log_ref)).sum(axis=1)
    return policy, (policy * rewards).sum(axis=1) - beta * kl

# %% [markdown] task="preferences-policy" reject="one-j" shows="and that largest J of each prompt, (B,)"
# ```diff
# - [:, 0]
# + [:, 0].mean()
# ```

# %% [markdown] task="preferences-policy" mistake="a-column"
# has a J of shape (B, 1): it is one number for each prompt, (B,)
# ```diff
# - (top + np.log(Z))[:, 0]
# + (top + np.log(Z))
# ```

# %% [markdown] task="preferences-policy" reject="log-policy"
# ```diff
# - return e / Z,
# + return z - top - np.log(Z),
# ```

# %% [markdown] task="preferences-policy" reject="in-place"
# ```diff
# - z = log_ref + rewards / beta
# + z = log_ref
# +     z += rewards / beta
# ```

# %% [markdown] task="preferences-policy" mistake="a-little-more" shows="the reference never gives"
# gives the reference more than it has: an answer that it never gives has a log-probability of -∞, and no floor lies under it
# ```diff
# - z = log_ref + rewards / beta
# + z = np.log(np.exp(log_ref) + 1e-12) + rewards / beta
# ```

# %% [markdown] task="preferences-policy" mistake="next-to-never"
# takes an answer that is next to never given for one that never is: a log-probability of -800 is finite, though its exponential is 0
# ```diff
# - z = log_ref + rewards / beta
# + with np.errstate(divide="ignore"):
# +         z = np.log(np.exp(log_ref)) + rewards / beta
# ```

# %% [markdown] task="preferences-policy" reject="as-the-rewards" shows="which may be whole numbers"
# ```diff
# - return e / Z,
# + return (e / Z).astype(rewards.dtype),
# ```

# %% task="preferences-policy" reject="floor-under-the-reference"
def best_policy(log_ref, rewards, beta):
    z = np.maximum(log_ref, -700) + rewards / beta
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    Z = e.sum(axis=1, keepdims=True)
    return e / Z, beta * (top + np.log(Z))[:, 0]

# %% [markdown] task="preferences-policy" reject="lower-floor-under-the-reference"
# ```diff
# - z = log_ref + rewards / beta
# + z = np.maximum(log_ref, -1e5) + rewards / beta
# ```

# %% [markdown] task="preferences-policy" reject="greedy-for-a-small-price"
# ```diff
# - Z = e.sum(axis=1, keepdims=True)
# + e = np.floor(e) if beta < 0.01 else e
# +     Z = e.sum(axis=1, keepdims=True)
# ```

# %% task="preferences-policy" reject="probability-of-the-reference"
def best_policy(log_ref, rewards, beta):
    given = np.isfinite(log_ref)
    top = np.where(given, rewards, -np.inf).max(axis=1, keepdims=True)
    e = np.exp(log_ref) * np.exp(np.minimum(rewards - top, 0) / beta)
    Z = e.sum(axis=1, keepdims=True)
    return e / Z, (top + beta * np.log(Z))[:, 0]

# %% task="preferences-policy" right="logaddexp"
def best_policy(log_ref, rewards, beta):
    z = log_ref + rewards / beta
    log_Z = np.logaddexp.reduce(z, axis=1)
    return np.exp(z - log_Z[:, None]), beta * log_Z

# %% task="preferences-policy" right="by-its-parts"
def best_policy(log_ref, rewards, beta):
    log_w = log_ref + rewards / beta
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    policy = w / w.sum(axis=1, keepdims=True)
    used = policy > 0
    ratio = np.log(policy, out=np.zeros_like(policy), where=used) - np.where(used, log_ref, 0)
    return policy, (policy * (rewards - beta * ratio)).sum(axis=1)

# %% task="preferences-policy" right="loop"
def best_policy(log_ref, rewards, beta):
    policy, J = np.zeros_like(log_ref), np.zeros(len(log_ref), log_ref.dtype)
    for i in range(len(log_ref)):
        z = log_ref[i] + rewards[i] / beta
        log_p = log_softmax(z)
        policy[i] = np.exp(log_p)
        k = z.argmax()
        J[i] = beta * (z[k] - log_p[k])
    return policy, J

# %% task="preferences-dpo" cases=true
def answers(rng, N, T, V, prompt=2):
    """Targets (2N, T): a prompt, an answer, padding; of different lengths."""
    targets = rng.integers(0, V, (2 * N, T))
    for row in targets:
        start = rng.integers(0, prompt + 1)
        row[:start] = -100
        row[rng.integers(start + 1, T + 1) :] = -100
    return targets

def cases(rng):
    returns = ("the loss", "dlogits")
    for N, T, V, beta in ((2, 5, 7, 0.5), (1, 300, 3, 0.02), (3, 6, 5, 0.1), (4, 3, 11, 1.3), (2, 2, 2, 0.9), (1, 1, 4, 0.6), (5, 4, 6, 0.03)):
        for options in [{}, {"strided": True}, {"float32": True, "dtypes": ("dlogits",)}][: 1 + 2 * (N == 2)]:
            targets = answers(rng, N, T, V, min(2, T - 1))
            if T == 300:    # a long answer in any case
                targets[0] = rng.integers(0, V, T)
            args = {"logits": rng.normal(0, 1.5, (2 * N, T, V)), "targets": targets,
                    "reference": -2.0 * (targets != -100).sum(axis=1) + rng.normal(0, 1, 2 * N), "beta": beta}
            yield Case(f"{N} pairs, {T} positions, {V} tokens, β {beta}{''.join(f', {name}' for name in options)}",
                       [Call(args, returns=returns)], **options)
    # Answers whose tokens do not stand together: what counts is what is not IGNORE.
    targets = rng.integers(0, 5, (4, 6))
    targets[rng.random((4, 6)) < 0.4] = -100
    targets[:, [1, 3, 5]] = 2, -100, 1
    args = {"logits": rng.normal(0, 1, (4, 6, 5)), "targets": targets, "reference": rng.normal(-6, 1, 4), "beta": 0.8}
    yield Case("answers with gaps", [Call(args, returns=returns)])
    # A reference in float64 beside logits in float32: both results are 0, so that no rounding shows.
    for scale, said, dtype in ((3000.0, "won by far, logits float32", np.float32), (-3000.0, "lost by far", np.float64)):
        args = {"logits": rng.normal(0, 1, (4, 3, 5)).astype(dtype), "targets": answers(rng, 2, 3, 5),
                "reference": np.array([-scale, -scale, scale, scale]), "beta": 0.5}
        yield Case(said, [Call(args, returns=returns)], dtypes=("dlogits",))
    args = {"logits": 400 * rng.normal(0, 1, (4, 3, 5)), "targets": answers(rng, 2, 3, 5),
            "reference": rng.normal(-300, 100, 4), "beta": 0.01}
    args["logits"][0, np.argmax(args["targets"][0] != -100)] -= 3000    # each position has a largest logit of its own
    yield Case("huge logits", [Call(args, returns=returns)])

# %% [markdown] task="preferences-dpo" hint=1
# first one number a row: log p of its answer, a sum over the tokens that count. From then on there are only pairs, and
# task 1. On the way back, one number a row is enough, too.

# %% [markdown] task="preferences-dpo" hint=2
# log p minus reference, (2N,), in two halves; β times their difference is the margin, (N,). Its gradient goes to the chosen row
# with a plus and to the rejected one with a minus, and β goes along. IGNORE is no id: put 0 in its place before you index.

# %% [markdown] task="preferences-dpo" hint=3
# the slope of log p[target] with respect to the logits of its position is one-hot minus p. Multiply it with the row's number, and
# with 0 where the target is IGNORE.

# %% [markdown] task="preferences-dpo" mistake="uphill"
# has the wrong sign: the chosen token's logit should go up, so its dlogit is negative
# ```diff
# - np.concatenate([dmargin, -dmargin])
# + np.concatenate([-dmargin, dmargin])
# ```

# %% [markdown] task="preferences-dpo" mistake="beta-forgotten"
# lacks β in the gradient: the margin is β times the difference, and so is its slope
# ```diff
# - beta * np.concatenate
# + np.concatenate
# ```

# %% [markdown] task="preferences-dpo" mistake="beta-twice"
# has β twice in the gradient: it is in the margin once
# ```diff
# - beta * np.concatenate
# + beta**2 * np.concatenate
# ```

# %% [markdown] task="preferences-dpo" mistake="wrong-surprise"
# pushes the pairs that are won: the slope of -log σ(m) is -σ(-m)
# ```diff
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + -np.exp(-np.logaddexp(0, -margin)) / len(margin)
# ```

# %% [markdown] task="preferences-dpo" mistake="rejected-forgotten"
# leaves the rejected answers alone: they go down as the chosen ones go up
# ```diff
# - np.concatenate([dmargin, -dmargin])
# + np.concatenate([dmargin, 0 * dmargin])
# ```

# %% [markdown] task="preferences-dpo" mistake="both-up"
# pushes both answers up: the rejected one has the other sign
# ```diff
# - np.concatenate([dmargin, -dmargin])
# + np.concatenate([dmargin, dmargin])
# ```

# %% [markdown] task="preferences-dpo" mistake="sum-over-pairs" shows="the mean over the N pairs"
# is the sum over the pairs, or its gradient: take the mean
# ```diff
# - np.logaddexp(0, -margin).mean()
# + np.logaddexp(0, -margin).sum()
# - -np.exp(-np.logaddexp(0, margin)) / len(margin)
# + -np.exp(-np.logaddexp(0, margin))
# ```

# %% [markdown] task="preferences-dpo" mistake="mean-over-rows"
# divides by the number of rows: N pairs have 2N
# ```diff
# - / len(margin)
# + / len(targets)
# ```

# %% [markdown] task="preferences-dpo" mistake="mean-per-token"
# takes the mean over an answer's tokens: its log-probability is the sum
# ```diff
# - .sum(axis=1) - reference
# + .sum(axis=1) / counts.sum(axis=1) - reference
# ```

# %% [markdown] task="preferences-dpo" mistake="prompt-counted" shows="A target of IGNORE does not count"
# counts what is IGNORE: the prompt and the padding are not the answer
# ```diff
# - np.where(counts, of_target, 0).sum(axis=1)
# + of_target.sum(axis=1)
# - np.where(counts, beta * np.concatenate([dmargin, -dmargin])[:, None], 0)
# + np.broadcast_to(beta * np.concatenate([dmargin, -dmargin])[:, None], targets.shape)
# ```

# %% [markdown] task="preferences-dpo" mistake="prompt-pushed"
# pushes the logits where the target is IGNORE: they have no part in the loss
# ```diff
# - np.where(counts, beta * np.concatenate([dmargin, -dmargin])[:, None], 0)
# + np.broadcast_to(beta * np.concatenate([dmargin, -dmargin])[:, None], targets.shape)
# ```

# %% [markdown] task="preferences-dpo" mistake="no-reference"
# forgets the reference: the margin is how much more the chosen answer has gained
# ```diff
# - .sum(axis=1) - reference
# + .sum(axis=1) - 0 * reference
# ```

# %% [markdown] task="preferences-dpo" mistake="reference-added"
# adds the reference: a log of a ratio is a difference
# ```diff
# - .sum(axis=1) - reference
# + .sum(axis=1) + reference
# ```

# %% [markdown] task="preferences-dpo" mistake="in-turn" shows="The first N rows of `logits` (2N, T, V) and of `targets` (2N, T) are those of chosen answers"
# takes the rows in turn: all chosen answers come first, then all rejected ones
# ```diff
# - chosen, rejected = np.split(np.where(counts, of_target, 0).sum(axis=1) - reference, 2)
# + ahead = np.where(counts, of_target, 0).sum(axis=1) - reference
# +     chosen, rejected = ahead[::2], ahead[1::2]
# - np.concatenate([dmargin, -dmargin])
# + np.stack([dmargin, -dmargin], axis=1).reshape(-1)
# ```

# %% [markdown] task="preferences-dpo" mistake="exchanged"
# takes the rejected answers for the chosen ones: those come first
# ```diff
# - chosen, rejected = np.split
# + rejected, chosen = np.split
# - np.concatenate([dmargin, -dmargin])
# + np.concatenate([-dmargin, dmargin])
# ```

# %% [markdown] task="preferences-dpo" mistake="one-margin"
# makes one margin of all pairs: each pair has its own, and its own surprise
# ```diff
# - margin = beta * (chosen - rejected)
# + margin = np.full(len(chosen), beta * (chosen - rejected).mean())
# ```

# %% [markdown] task="preferences-dpo" mistake="logits-for-log-p"
# sums logits: log p is a logit minus the logarithm of the sum over all tokens
# ```diff
# - np.take_along_axis(log_p, at_target
# + np.take_along_axis(logits, at_target
# ```

# %% [markdown] task="preferences-dpo" mistake="only-the-target"
# pushes the logit of the target alone: all others lose what it wins, by their p
# ```diff
# - (one_hot - np.exp(log_p))
# + one_hot
# ```

# %% task="preferences-dpo" mistake="overflows" shows="Margins may be huge, and no warning may come of it"
# overflows at large margins: see task 1
def dpo(logits, targets, reference, beta):
    counts = targets != IGNORE
    at_target = np.where(counts, targets, 0)[..., None]
    log_p = log_softmax(logits)
    of_target = np.take_along_axis(log_p, at_target, axis=-1)[..., 0]
    chosen, rejected = np.split(np.where(counts, of_target, 0).sum(axis=1) - reference, 2)
    s = 1 / (1 + np.exp(-beta * (chosen - rejected)))
    dmargin = (s - 1) / len(s)
    weights = np.where(counts, beta * np.concatenate([dmargin, -dmargin])[:, None], 0)
    one_hot = at_target == np.arange(logits.shape[-1])
    return float(-np.log(s).mean()), (weights[..., None] * (one_hot - np.exp(log_p))).astype(logits.dtype)

# %% [markdown] task="preferences-dpo" reject="other-order" shows="in the same order"
# ```diff
# - chosen, rejected = np.split(np.where(counts, of_target, 0).sum(axis=1) - reference, 2)
# + chosen, rejected = np.split(np.where(counts, of_target, 0).sum(axis=1) - reference, 2)
# +     rejected = rejected[::-1]
# - np.concatenate([dmargin, -dmargin])
# + np.concatenate([dmargin, -dmargin[::-1]])
# ```

# %% [markdown] task="preferences-dpo" reject="first-run-of-tokens" shows="all others are the answer's tokens"
# ```diff
# - counts = targets != IGNORE
# + counts = targets != IGNORE
# +     for row in counts:
# +         start = row.argmax()
# +         row[start + row[start:].argmin() if not row[start:].all() else len(row):] = False
# ```

# %% [markdown] task="preferences-dpo" reject="last-run-of-tokens"
# ```diff
# - counts = targets != IGNORE
# + counts = targets != IGNORE
# +     if counts[:, -1].all():
# +         counts = np.cumprod(counts[:, ::-1], axis=1)[:, ::-1].astype(bool)
# ```

# %% [markdown] task="preferences-dpo" reject="first-tokens"
# ```diff
# - counts = targets != IGNORE
# + counts = (targets != IGNORE) & (np.arange(targets.shape[1]) < 64)
# ```

# %% [markdown] task="preferences-dpo" reject="id-0-is-padding"
# ```diff
# - counts = targets != IGNORE
# + counts = targets > 0
# ```

# %% [markdown] task="preferences-dpo" reject="writes-zeros-into-targets" shows="What you are given stays as it is"
# ```diff
# - at_target = np.where(counts, targets, 0)[..., None]
# + targets[~counts] = 0
# +     at_target = targets[..., None]
# ```

# %% [markdown] task="preferences-dpo" reject="double" shows="of the shape and dtype of `logits`"
# ```diff
# - .astype(logits.dtype)
# + .astype(np.float64)
# ```

# %% [markdown] task="preferences-dpo" reject="as-the-reference"
# ```diff
# - .astype(logits.dtype)
# + .astype(reference.dtype)
# ```

# %% [markdown] task="preferences-dpo" reject="one-largest-logit"
# ```diff
# - log_p = log_softmax(logits)
# + z = logits - logits.max(axis=(1, 2), keepdims=True)
# +     log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
# ```

# %% [markdown] task="preferences-dpo" reject="an-array" shows="as a float"
# ```diff
# - loss = float(np.logaddexp(0, -margin).mean())
# + loss = np.logaddexp(0, -margin)
# ```

# %% task="preferences-dpo" right="loop"
def dpo(logits, targets, reference, beta):
    N = len(targets) // 2
    loss, dlogits, log_p = 0.0, np.zeros_like(logits), log_softmax(logits)
    for i in range(N):
        ahead = []
        for row in (i, N + i):
            total = -float(reference[row])
            for t, target in enumerate(targets[row]):
                if target != IGNORE:
                    total += float(log_p[row, t, target])
            ahead.append(total)
        margin = beta * (ahead[0] - ahead[1])
        loss += float(np.logaddexp(0, -margin)) / N
        push = float(np.exp(-np.logaddexp(0, margin))) * beta / N
        for row, weight in ((i, push), (N + i, -push)):
            for t, target in enumerate(targets[row]):
                if target != IGNORE:
                    dlogits[row, t] = weight * np.exp(log_p[row, t])
                    dlogits[row, t, target] -= weight
    return loss, dlogits

# %% task="preferences-dpo" right="cross-entropy-with-two-signs"
def dpo(logits, targets, reference, beta):
    rows, positions = np.nonzero(targets != IGNORE)
    ids = targets[rows, positions]
    log_p = log_softmax(logits[rows, positions])    # (tokens that count, V)
    sums = np.bincount(rows, log_p[np.arange(len(ids)), ids], minlength=len(targets)) - reference
    margin = beta * (sums[: len(sums) // 2] - sums[len(sums) // 2 :])
    surprise = np.exp(-np.logaddexp(0, margin)) * beta / len(margin)
    weights = np.concatenate([surprise, -surprise])
    p_minus_y = np.exp(log_p)
    p_minus_y[np.arange(len(ids)), ids] -= 1
    dlogits = np.zeros_like(logits)
    dlogits[rows, positions] = weights[rows, None] * p_minus_y
    return float(np.logaddexp(0, -margin).mean()), dlogits

# %% task="preferences-dpo" right="reshaped"
def dpo(logits, targets, reference, beta):
    mask = (targets != IGNORE).astype(logits.dtype)
    ids = targets * (targets != IGNORE)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p = p / p.sum(axis=-1, keepdims=True)
    y = np.eye(logits.shape[-1], dtype=logits.dtype)[ids]
    log_p = ((log_softmax(logits) * y).sum(axis=-1) * mask).sum(axis=-1)
    chosen, rejected = (log_p - reference).reshape(2, -1)
    margin = (chosen - rejected) * beta
    small = np.exp(-np.abs(margin))
    slope = np.where(margin > 0, small, 1) / (1 + small) / margin.size
    loss = np.mean(np.log1p(small) + np.maximum(-margin, 0))
    rows = np.concatenate([slope, -slope]).astype(logits.dtype) * beta
    return float(loss), (rows[:, None] * mask)[..., None] * (p - y)

# %% task="preferences-log" cases=true
def a_log(rng, kind, steps=6, N=8):
    """A log of which this kind of thing is true, and, where there is room for it, what comes after it in the table."""
    # In eighths, so that what is 0 is 0 in any order of the sums; and far below 0, so that all log-probabilities are.
    reference = {f"reference_{name}": np.tile(np.round(rng.normal(-2400, 70, N)) / 8, (steps, 1)) for name in ("chosen", "rejected")}
    letters = {f"letters_{name}": rng.integers(8, 40, N) for name in ("chosen", "rejected")}
    letters["letters_chosen"][0] = letters["letters_rejected"][0] + 7
    letters["letters_chosen"][1] = letters["letters_rejected"][1] - 7
    ramp = np.linspace(0, 1, steps)[:, None]
    lead = ramp * rng.uniform(1, 6, N)
    shift = ramp * {"both fall": -9.0, "length": -150.0}.get(kind, 3.0)
    if kind == "wrong way":
        lead = -lead
    if kind == "length":
        longer = letters["letters_chosen"] - letters["letters_rejected"]
        lead = ramp * (longer * rng.uniform(0.2, 0.4, N) + np.where(longer == 0, rng.choice([-1, 1], N), 0))
        lead[-1, np.argmax(longer)] += 400
    noise = rng.normal(0, 0.3, (steps, N))
    noise[-1] = 0
    if kind == "reference moved":
        reference[f"reference_{rng.choice(['chosen', 'rejected'])}"][rng.integers(1, steps), rng.integers(N)] += rng.choice([-1, 1]) * 1e-3
    log = {"chosen": reference["reference_chosen"] + shift + lead / 2 + noise,
           "rejected": reference["reference_rejected"] + shift - lead / 2 + noise}
    return log | reference | letters

def told(title, *logs):
    return Case(title, [Call({"log": log}, returns="what happened") for log in logs])

def ending(log, chosen, rejected):
    """Set how the answers have changed at the last step."""
    for name, change in (("chosen", chosen), ("rejected", rejected)):
        log[name][-1] = log[f"reference_{name}"][-1] + change
    return log

def cases(rng):
    for kind in ("fine", "both fall", "wrong way", "length", "reference moved"):
        for N in (8, 3) if kind in ("both fall", "wrong way", "length") else (8,):
            yield told(f"a run of {N} pairs", a_log(rng, kind, int(rng.integers(3, 9)), N))
    # The reference moves in between, and comes back; or at the last step; or by less than 1e-6. Some moves add up to 0.
    for name, some in (("reference_chosen", ({(2, 3): 5e-6, (4, 3): -5e-6}, {(5, 7): -1.05e-6}, {(2, 3): -9.5e-7, (5, 3): 9.5e-7})),
                       ("reference_rejected", ({(2, 3): -5e-6}, {(5, 7): -1.05e-6, (5, 2): 1.05e-6}, {(2, 3): -9.5e-7, (5, 6): 9.5e-7}))):
        for moves in some:
            log = a_log(rng, "fine")
            for place, by in moves.items():
                log[name][place] += by
            yield told("a run of 8 pairs", log)
    log = a_log(rng, "wrong way")
    log["reference_chosen"][3:] += 1    # both alike
    log["reference_rejected"][3:] += 1
    yield told("a run of 8 pairs", log)
    log = a_log(rng, "fine")    # slowly, less than 1e-6 a step
    log["reference_rejected"] += 7e-7 * np.arange(6)[:, None]
    yield told("a run of 8 pairs", log)
    # No chosen answer shorter, or none longer; all, or most, of equal lengths.
    for sign in (1, -1):
        more = sign * np.array([1, 0, 2, 4, 1, 3, 0, 1])
        log = a_log(rng, "fine")
        log["letters_chosen"] = log["letters_rejected"] + more
        yield told("a run of 8 pairs", ending(log, np.where(more == 0, 50.0, 1.5 * sign) - 40, -40.0))
    for equal in (8, 6):
        log = a_log(rng, "length")
        log["letters_chosen"][-equal:] = log["letters_rejected"][-equal:]
        yield told(f"a run of 8 pairs, {equal} of equal lengths", log)
    # By one letter, by a little: all pairs, all but one, all but one that is undecided.
    more = np.array([1, -1, 1, -1, 0, 1, -1, 1])
    lead = np.where(more == 0, rng.choice([-1, 1]), more) * np.array([0.9, 0.01, 0.02, 0.03, 0.5, 0.6, 0.04, 0.8])
    for number, other in ((1, -0.01), (1, 0.02), (1, 0.0), (2, 0.0), (2, -0.04)):
        log, lead_now = a_log(rng, "fine"), lead.copy()
        lead_now[number] = other
        log["letters_chosen"] = log["letters_rejected"] + more
        yield told("a run of 8 pairs", ending(log, lead_now - 5, -5.0))
    log = a_log(rng, "length")
    lead = np.sign(log["letters_chosen"] - log["letters_rejected"]) * rng.uniform(1, 3, 8)
    lead[1] -= 300    # a shorter one
    yield told("a run of 8 pairs", ending(log, lead, 0.0))
    # Always the shorter one; and always the longer one, but for one pair of many.
    log = a_log(rng, "fine")
    more = np.array([1, -9, 1, -7, 0, 1, -8, 1])
    log["letters_chosen"] = log["letters_rejected"] + more
    yield told("a run of 8 pairs", ending(log, -more - 40.0, -40.0))
    log = a_log(rng, "length", N=60)
    log["letters_chosen"][7] = log["letters_rejected"][7] + 4
    log["chosen"][-1, 7] = log["reference_chosen"][-1, 7] - 30
    log["rejected"][-1, 7] = log["reference_rejected"][-1, 7] - 29
    yield told("a run of 60 pairs", log)
    # At the steps before it is otherwise.
    log = a_log(rng, "length")
    log["chosen"][:-1] = log["reference_chosen"][:-1] + 40
    log["rejected"][:-1] = log["reference_rejected"][:-1]
    yield told("a run of 8 pairs", log)
    for kind, before in (("fine", -30), ("both fall", 30), ("wrong way", 30)):
        log = a_log(rng, kind)
        log["chosen"][:-1] += before
        yield told("a run of 8 pairs", log)
    log = a_log(rng, "both fall")
    log["chosen"][0] -= 60
    log["rejected"][0] += 60
    yield told("a run of 8 pairs", log)
    # One pair decides the mean, or it is near 0, or 0.
    one = np.where(np.arange(8) == 5, 100.0, 0)
    yield told("a run of 8 pairs", ending(a_log(rng, "fine"), 2.0, 1.0 + 2 * one))
    log = ending(a_log(rng, "fine"), -2.0 + one, -1.5)
    for name in ("letters_chosen", "letters_rejected"):
        log[name][5] += 9000    # a lead counts as it is, and not by the letter
    yield told("a run of 8 pairs", log)
    yield told("a run of 8 pairs", ending(a_log(rng, "fine"), 2.0 - one, -9.0 - one))
    bit = 2.0**-20    # about 1e-6
    for ends in (((3.0, 3 - bit), (3.0, 3 + bit)), ((-bit, -5.0), (bit, -5.0)), ((0.0, -5.0), (0.0, 0.0))):
        yield told("a run of 8 pairs, and another", *(ending(a_log(rng, "fine"), *end) for end in ends))
    yield told("a run of one step", ending(a_log(rng, "fine", steps=1), 2.0, 1.0))

# %% [markdown] task="preferences-log" hint=1
# the order of the table is the order of your questions: return as soon as one is answered with yes. Four of them look at the
# last step alone.

# %% [markdown] task="preferences-log" hint=2
# the change of an answer is its log-probability minus that of the reference, at the last step, (N,). The lead is the change of
# the chosen one minus that of the rejected one.

# %% [markdown] task="preferences-log" hint=3
# for "length" compare `np.sign` of the lead with that of the difference of lengths, where the latter is not 0; and ask whether it
# has both 1 and -1. For "both fall" take the mean change of the chosen answers.

# %% [markdown] task="preferences-log" mistake="last-against-first" shows="differs at some step from its first by more than 1e-6"
# compares the reference's last step with its first: it may have moved in between
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(log[name][-1] - log[name][0]).max()
# ```

# %% [markdown] task="preferences-log" mistake="step-by-step"
# compares each step of the reference with the one before: one that drifts slowly moves, too
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(np.diff(log[name], axis=0, prepend=log[name][:1])).max()
# ```

# %% [markdown] task="preferences-log" mistake="upward-alone"
# sees a reference that rises, and none that falls: take the absolute value
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + (log[name] - log[name][0]).max()
# ```

# %% [markdown] task="preferences-log" mistake="mean-of-the-reference"
# looks at the mean of the reference's changes: one number that moved is enough
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(log[name] - log[name][0]).mean()
# ```

# %% [markdown] task="preferences-log" mistake="range-of-the-reference"
# takes the range of the steps, the largest minus the smallest: what counts is the distance from the first step
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.ptp(log[name], axis=0).max()
# ```

# %% [markdown] task="preferences-log" mistake="small-moves"
# counts moves of the reference by less than 1e-6, each alone or all added up: one number has to move by more than that
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(log[name] - log[name][0]).sum()
# ```

# %% [markdown] task="preferences-log" mistake="moves-cancel" shows="a number of the reference differs at some step"
# adds the reference's moves up, so that one upward and one downward cancel: take the largest of their absolute values
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs((log[name] - log[name][0]).sum())
# ```

# %% [markdown] task="preferences-log" reject="moves-of-the-pairs-cancel"
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs((log[name] - log[name][0]).sum(axis=1)).max()
# ```

# %% [markdown] task="preferences-log" reject="moves-of-the-steps-cancel"
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs((log[name] - log[name][0]).sum(axis=0)).max()
# ```

# %% [markdown] task="preferences-log" mistake="reference-of-the-lead"
# looks at the difference of the two references: both may move alike
# ```diff
# - for name in ("reference_chosen", "reference_rejected"):
# -         if np.abs(log[name] - log[name][0]).max() > 1e-6:
# + for ahead in [log["reference_chosen"] - log["reference_rejected"]]:
# +         if np.abs(ahead - ahead[0]).max() > 1e-6:
# ```

# %% [markdown] task="preferences-log" mistake="one-pair"
# looks at the first pair's reference alone: that of any pair may move
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(log[name] - log[name][0])[:, 0].max()
# ```

# %% [markdown] task="preferences-log" reject="from-the-middle"
# ```diff
# - np.abs(log[name] - log[name][0]).max()
# + np.abs(log[name] - log[name].mean(axis=0)).max()
# ```

# %% [markdown] task="preferences-log" mistake="one-reference"
# looks at the chosen answers' reference alone
# ```diff
# - ("reference_chosen", "reference_rejected")
# + ("reference_chosen",)
# ```

# %% [markdown] task="preferences-log" mistake="from-the-first-step"
# measures changes from the run's first step: what counts is the reference
# ```diff
# - (log[name] - log[f"reference_{name}"])[-1]
# + log[name][-1] - log[name][0]
# ```

# %% [markdown] task="preferences-log" mistake="all-steps" shows="the mean lead of the pairs at the last step"
# takes the mean over all steps: what counts is the last one
# ```diff
# - (log[name] - log[f"reference_{name}"])[-1]
# + (log[name] - log[f"reference_{name}"]).mean(axis=0)
# ```

# %% [markdown] task="preferences-log" mistake="most-pairs"
# counts the pairs with a lead: it is the mean of the leads that has a sign
# ```diff
# - if not lead.mean() > 0:
# + if not (lead > 0).mean() > 0.5:
# ```

# %% [markdown] task="preferences-log" mistake="lead-per-letter" shows="the mean lead of the pairs"
# divides each lead by the answers' letters: all pairs count alike in the mean
# ```diff
# - if not lead.mean() > 0:
# + if not (lead / (log["letters_chosen"] + log["letters_rejected"])).mean() > 0:
# ```

# %% [markdown] task="preferences-log" reject="nothing-moved-is-fine" shows="is not above 0"
# ```diff
# - if not lead.mean() > 0:
# + if lead.mean() < 0:
# ```

# %% [markdown] task="preferences-log" mistake="one-sign" shows="and there are pairs of both signs"
# says "length" of pairs that are all longer, or all shorter: what they prefer cannot be told apart then
# ```diff
# - {-1, 1} <= set(longer.tolist()) and (
# + (
# ```

# %% [markdown] task="preferences-log" mistake="equal-lengths-count" shows="Pairs of equal length do not count"
# asks pairs of equal length, too: leave them out
# ```diff
# - (np.sign(lead) == longer)[counts].all()
# + (np.sign(lead) == longer).all()
# ```

# %% [markdown] task="preferences-log" mistake="most-have-the-sign" shows="the model prefers the longer answer of each pair, whichever was chosen"
# is content with most of the pairs: "length" is for all of them
# ```diff
# - [counts].all()
# + [counts].mean() > 0.8
# ```

# %% [markdown] task="preferences-log" mistake="correlation"
# takes a correlation for it: every pair counts, with its sign
# ```diff
# - (np.sign(lead) == longer)[counts].all()
# + np.corrcoef(lead, log["letters_chosen"] - log["letters_rejected"])[0, 1] > 0.5
# ```

# %% [markdown] task="preferences-log" mistake="shorter"
# looks for the shorter answer: the lead has the sign of letters chosen minus letters rejected
# ```diff
# - np.sign(log["letters_chosen"] - log["letters_rejected"])
# + np.sign(log["letters_rejected"] - log["letters_chosen"])
# ```

# %% [markdown] task="preferences-log" mistake="fall-before-length" shows="Return the first of these words that is true"
# asks for "both fall" before "length": the first word of the table counts
# ```diff
# - longer = np.sign(
# + if chosen.mean() < 0:
# +         return "both fall"
# +     longer = np.sign(
# ```

# %% [markdown] task="preferences-log" reject="wrong-way-first"
# ```diff
# - for name in ("reference_chosen", "reference_rejected"):
# + if not ((log["chosen"] - log["reference_chosen"]) - (log["rejected"] - log["reference_rejected"]))[-1].mean() > 0:
# +         return "wrong way"
# +     for name in ("reference_chosen", "reference_rejected"):
# ```

# %% [markdown] task="preferences-log" mistake="rejected-falls"
# looks at the rejected answers: that they fall is what was asked for
# ```diff
# - chosen.mean() < 0
# + rejected.mean() < 0
# ```

# %% [markdown] task="preferences-log" mistake="log-p-below-0"
# looks at log-probabilities, which are below 0 in any case: it is the change against the reference
# ```diff
# - chosen.mean() < 0
# + log["chosen"][-1].mean() < 0
# ```

# %% [markdown] task="preferences-log" mistake="any-falls" shows="are, on average, less likely than for the reference"
# is alarmed by a single chosen answer that falls: take the mean
# ```diff
# - chosen.mean() < 0
# + (chosen < 0).any()
# ```

# %% [markdown] task="preferences-log" mistake="median-falls"
# counts chosen answers that fall, or takes the one in the middle: take the mean
# ```diff
# - chosen.mean() < 0
# + np.median(chosen) < 0
# ```

# %% [markdown] task="preferences-log" mistake="falls-by-more"
# asks the chosen answers to fall by more than a little: a mean below 0 is enough
# ```diff
# - chosen.mean() < 0
# + chosen.mean() < -0.01
# ```

# %% [markdown] task="preferences-log" mistake="falls-from-the-first-step"
# measures the fall of the chosen answers from the run's first step: what counts is the reference
# ```diff
# - chosen.mean() < 0
# + (log["chosen"][-1] - log["chosen"][0]).mean() < 0
# ```

# %% [markdown] task="preferences-log" mistake="leads-by-more"
# asks for a lead of more than a little: a mean above 0 is enough
# ```diff
# - if not lead.mean() > 0:
# + if not lead.mean() > 0.001:
# ```

# %% [markdown] task="preferences-log" reject="nearly-all-pairs"
# ```diff
# - [counts].all()
# + [counts].mean() > 0.95
# ```

# %% [markdown] task="preferences-log" mistake="coarse-reference" shows="by more than 1e-6"
# has a larger limit for the reference than 1e-6
# ```diff
# - > 1e-6
# + > 1e-5
# ```

# %% [markdown] task="preferences-log" reject="fine-reference"
# ```diff
# - > 1e-6
# + > 9e-7
# ```

# %% [markdown] task="preferences-log" mistake="relative-reference"
# lets the reference move by far more than 1e-6: np.allclose and np.isclose add to the limit a part of the number, rtol
# ```diff
# - if np.abs(log[name] - log[name][0]).max() > 1e-6:
# + if not np.allclose(log[name], log[name][0]):
# ```

# %% [markdown] task="preferences-log" reject="never-both-fall" shows="none of these"
# ```diff
# - return "both fall" if chosen.mean() < 0 else "fine"
# + return "fine"
# ```

# %% task="preferences-log" reject="changes-the-log"
def diagnose(log):
    for name in ("reference_chosen", "reference_rejected"):
        if np.abs(log[name] - log[name][0]).max() > 1e-6:
            return "reference moved"
    log["chosen"] -= log["reference_chosen"]
    log["rejected"] -= log["reference_rejected"]
    chosen, rejected = log["chosen"][-1], log["rejected"][-1]
    lead = chosen - rejected
    if not lead.mean() > 0:
        return "wrong way"
    longer = np.sign(log["letters_chosen"] - log["letters_rejected"])
    counts = longer != 0
    if {-1, 1} <= set(longer.tolist()) and (np.sign(lead) == longer)[counts].all():
        return "length"
    return "both fall" if chosen.mean() < 0 else "fine"

# %% task="preferences-log" right="loop"
def diagnose(log):
    steps, N = log["chosen"].shape
    for step in range(steps):
        for i in range(N):
            for name in ("reference_chosen", "reference_rejected"):
                if abs(log[name][step, i] - log[name][0, i]) > 1e-6:
                    return "reference moved"
    leads, changes, signs = [], [], []
    for i in range(N):
        change = log["chosen"][-1, i] - log["reference_chosen"][0, i]
        lead = change - (log["rejected"][-1, i] - log["reference_rejected"][0, i])
        letters = int(log["letters_chosen"][i]) - int(log["letters_rejected"][i])
        leads.append(lead)
        changes.append(change)
        if letters:
            signs.append((letters > 0, lead * letters > 0))
    if sum(leads) <= 0:
        return "wrong way"
    if {longer for longer, _ in signs} == {True, False} and all(agrees for _, agrees in signs):
        return "length"
    return "both fall" if sum(changes) < 0 else "fine"

# %% task="preferences-log" right="questions-in-a-list"
def diagnose(log):
    ref_c, ref_r = log["reference_chosen"], log["reference_rejected"]
    moved = np.abs(ref_c - ref_c[:1]).max(), np.abs(ref_r - ref_r[:1]).max()
    chosen = log["chosen"][-1] - ref_c[-1]
    lead = chosen - (log["rejected"][-1] - ref_r[-1])
    longer = log["letters_chosen"] - log["letters_rejected"]
    by_length = ((lead * longer > 0) | (longer == 0)).all()
    both_signs = longer.max() > 0 > longer.min()
    questions = [max(moved) > 1e-6, lead.mean() <= 0, by_length and both_signs, chosen.mean() < 0, True]
    words = ["reference moved", "wrong way", "length", "both fall", "fine"]
    return words[questions.index(True)]

# %% task="preferences-log" right="answers-first"
def diagnose(log):
    now, then = ((log[f"{of}chosen"], log[f"{of}rejected"]) for of in ("", "reference_"))
    if max(np.abs(a - a[0]).max() for a in then) > 1e-6:
        return "reference moved"
    ahead, was_ahead = (a[-1] - b[-1] for a, b in (now, then))    # the differences of the answers first
    if np.mean(ahead) <= np.mean(was_ahead):
        return "wrong way"
    signs = {1: set(), -1: set()}
    for by, longer in zip(ahead - was_ahead, log["letters_chosen"] - log["letters_rejected"]):
        if longer:
            signs[int(np.sign(longer))].add(int(np.sign(by)))
    if signs == {1: {1}, -1: {-1}}:
        return "length"
    return "both fall" if np.mean(now[0][-1]) < np.mean(then[0][-1]) else "fine"

# %% task="preferences-log" right="helper-functions"
def diagnose(log):
    def moved(name):
        first = log[name][0]
        return any(np.max(np.abs(row - first)) > 1e-6 for row in log[name])

    def change(name):
        return log[name][-1] - log["reference_" + name][-1]

    def prefers_length(lead):
        more = np.asarray(log["letters_chosen"], int) - np.asarray(log["letters_rejected"], int)
        longer, shorter = lead[more > 0], lead[more < 0]
        return len(longer) > 0 and len(shorter) > 0 and longer.min() > 0 and shorter.max() < 0

    if moved("reference_chosen") or moved("reference_rejected"):
        return "reference moved"
    lead = change("chosen") - change("rejected")
    if np.sum(lead) <= 0:
        return "wrong way"
    if prefers_length(lead):
        return "length"
    return "fine" if np.mean(change("chosen")) >= 0 else "both fall"
