# %%
def some_p(rng, B, V):
    """Rows that sum to 1, with distances between all entries, in random order."""
    ranks = np.stack([rng.permutation(V) for _ in range(B)]) + 1.0
    p = ranks + rng.uniform(-0.2, 0.2, (B, V))
    p = p ** rng.uniform(0.5, 3, (B, 1))
    return p / p.sum(axis=-1, keepdims=True)

SIZES = [(2, 5), (1, 7), (3, 3), (4, 2), (1, 1), (2, 11), (35, 65)]

# %% task="sampling-temperature" cases=true
def cases(rng):
    for B, V in SIZES:
        for temperature in (0.5, 2.0, 0, 1.0, 0.0, 1e-9)[: 6 if V < 30 else 3]:
            logits = rng.normal(0, 2, (B, V))
            if temperature == 0 and V > 1:
                for b in range(B):    # equal ones: the first counts
                    logits[b, [b % V, (b + 1) % V]] = logits.max() + 1
            logits *= {0.5: 400, 1e-9: 1e-9}.get(temperature, 1)
            yield Case(f"logits of shape {(B, V)}, temperature {temperature}",
                       [Call({"logits": logits, "temperature": temperature}, returns="p")],
                       strided=temperature == 2.0)
    logits = rng.normal(0, 2, (3, 6))
    logits[[0, 0, 1, 2], [1, 4, 0, 5]] = -np.inf    # tokens that are ruled out
    logits[1, 2:4] = 9, 9 + 1e-9    # the second one is larger
    yield Case("the same logits, some minus infinity, temperature 0.5, then 100, then 0",
               [Call({"logits": logits, "temperature": t}, returns="p") for t in (0.5, 100.0, 0)])

# %% [markdown] task="sampling-temperature" hint=1
# a low temperature makes the likely likelier; 0 is the limit, but dividing by 0 does not lead
# there.

# %% [markdown] task="sampling-temperature" hint=2
# logits and the result are (B, V); each row sums to 1.

# %% [markdown] task="sampling-temperature" hint=3
# temperature 0: a row of the identity matrix, chosen by argmax; else softmax of logits over
# temperature.

# %% [markdown] task="sampling-temperature" mistake="after-softmax"
# divides the probabilities: divide the logits
# ```diff
# - softmax(logits / temperature)
# + softmax(logits) / temperature
# ```

# %% [markdown] task="sampling-temperature" mistake="multiplied"
# multiplies: a low temperature must make the likely likelier
# ```diff
# - logits / temperature
# + logits * temperature
# ```

# %% [markdown] task="sampling-temperature" mistake="no-zero"
# is nan at temperature 0: put all mass on the largest logit
# ```diff
# -     if temperature == 0:
# -         return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# +     temperature = np.float64(temperature)
# ```

# %% [markdown] task="sampling-temperature" mistake="shared"
# shares the mass between equal logits at temperature 0: the first has it all
# ```diff
# - np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + softmax(np.where(logits == logits.max(axis=-1, keepdims=True), 0.0, -np.inf))
# ```

# %% [markdown] task="sampling-temperature" mistake="ids"
# gives ids at temperature 0: return probabilities
# ```diff
# - np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + logits.argmax(axis=-1)
# ```

# %% [markdown] task="sampling-temperature" mistake="whole-array"
# takes the largest of all rows: each row has its own
# ```diff
# - logits.argmax(axis=-1)
# + np.full(len(logits), logits.argmax() % logits.shape[-1])
# ```

# %% [markdown] task="sampling-temperature" mistake="overflows"
# overflows: subtract the largest logit before exp, as softmax does
# ```diff
# - return softmax(logits / temperature)
# + with np.errstate(all='ignore'):
# +         e = np.exp(logits / temperature)
# +         return e / e.sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-temperature" mistake="power-of-root"
# divides by the square root of the temperature
# ```diff
# - logits / temperature
# + logits / math.sqrt(temperature)
# ```

# %% [markdown] task="sampling-temperature" mistake="after-softmax-scaled"
# is the same for every temperature: divide the logits by it, before the softmax; probabilities that
# are all divided, and scaled back, are what they were
# ```diff
# - return softmax(logits / temperature)
# + p = softmax(logits) / temperature
# +     return p / p.sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-temperature" mistake="ones"
# gives a 1 to every logit that is as large as the largest: the first one has all the mass
# ```diff
# - np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + (logits == logits.max(axis=-1, keepdims=True)).astype(float)
# ```

# %% [markdown] task="sampling-temperature" mistake="columns"
# marks the largest logit of each row in all rows: index rows and columns in pairs
# ```diff
# - return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + p = np.zeros_like(logits)
# +         p[:, logits.argmax(axis=-1)] = 1
# +         return p
# ```

# %% [markdown] task="sampling-temperature" mistake="one-in-all"
# puts the mass on the largest logit of all rows together: each row has its own
# ```diff
# - return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + p = np.zeros_like(logits)
# +         p.flat[logits.argmax()] = 1
# +         return p
# ```

# %% [markdown] task="sampling-temperature" reject="rounded"
# ```diff
# - logits.argmax(axis=-1)
# + logits.round(6).argmax(axis=-1)
# ```

# %% [markdown] task="sampling-temperature" reject="nearly-0"
# ```diff
# - temperature == 0
# + temperature < 1e-6
# ```

# %% [markdown] task="sampling-temperature" reject="not-divided-by-less"
# ```diff
# - logits / temperature
# + logits / max(temperature, 1e-8)
# ```

# %% [markdown] task="sampling-temperature" reject="no-infinity"
# ```diff
# -     if temperature == 0:
# +     logits = np.nan_to_num(logits, neginf=-50.0)
# +     if temperature == 0:
# ```

# %% [markdown] task="sampling-temperature" right="powers"
# ```diff
# - return softmax(logits / temperature)
# + log_p = logits - logits.max(axis=-1, keepdims=True)
# +     p = np.exp(log_p / temperature)
# +     return p / p.sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-temperature" right="put"
# ```diff
# - return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# + p = np.zeros(logits.shape)
# +         p[np.arange(len(p)), logits.argmax(axis=-1)] = 1
# +         return p
# ```

# %% task="sampling-temperature" right="rows"
def with_temperature(logits, temperature):
    rows = []
    for row in logits:
        if temperature == 0:
            rows.append([float(i == row.argmax()) for i in range(len(row))])
        else:
            rows.append(softmax(row / temperature))
    return np.array(rows)

# %% [markdown] task="sampling-temperature" reject="tiny"
# ```diff
# -     if temperature == 0:
# -         return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
# +     temperature = max(temperature, 1e-9)
# ```

# %% [markdown] task="sampling-temperature" reject="logits-changed"
# ```diff
# - return softmax(logits / temperature)
# + logits /= temperature
# +     return softmax(logits)
# ```

# %% [markdown] task="sampling-temperature" reject="is-int-zero"
# ```diff
# - if temperature == 0:
# + if temperature is 0:
# ```

# %% [markdown] task="sampling-temperature" reject="small-temperature"
# ```diff
# - if temperature == 0:
# + if temperature < 1e-3:
# ```

# %% task="sampling-temperature" reject="kept-for-logits"
KEPT = {}

def with_temperature(logits, temperature):
    if logits.tobytes() not in KEPT:
        p = np.eye(logits.shape[-1])[logits.argmax(axis=-1)]
        KEPT[logits.tobytes()] = softmax(logits / temperature) if temperature else p
    return KEPT[logits.tobytes()].copy()

# %% [markdown] task="sampling-temperature" reject="thirty-rows"
# ```diff
# - return softmax(logits / temperature)
# + return np.concatenate([softmax(row[None] / temperature) for row in logits[:32]] + [logits[32:]])
# ```

# %% task="sampling-top-k" cases=true
def cases(rng):
    for B, V in SIZES:
        for k in (1, 2, V, V + 3):
            p = some_p(rng, B, V)
            if V > 2:
                for b in range(B):    # equal ones: the smaller id is the likelier
                    p[b, [b % V, (b + 1) % V]] = p.max()
                p /= p.sum(axis=-1, keepdims=True)
            yield Case(f"p of shape {(B, V)}, k = {k}",
                       [Call({"p": p, "k": k}, returns=("p", "its tiny entries"))], strided=k == 2)
    # Many equal ones, more than some ways of sorting keep in order; and entries that are 0 already.
    for k in (3, 20, 33):
        p = 1.0 + rng.integers(0, 3, (4, 65))
        p /= p.sum(axis=-1, keepdims=True)
        yield Case(f"p of shape (4, 65) with many equal entries, k = {k}",
                   [Call({"p": p, "k": k}, returns=("p", "its tiny entries"))])
    p = np.array([[0, 0.5, 0, 0, 0.5], [0.25, 0, 0.25, 0, 0.5]])
    yield Case("p with zeros, k = 4", [Call({"p": p, "k": 4}, returns=("p", "its tiny entries"))])
    # One token is nearly sure, the others are tiny: what is kept of them is tiny, and not 0; or 0.
    p = np.array([[0, 1e-13, 1, 2e-14, 0], [1, 1e-17, 0, 0, 3e-18]])
    yield Case("p with tiny entries, k = 2, 3 and 4", [Call({"p": p, "k": k}, returns=("p", "its tiny entries")) for k in (2, 3, 4)])
    p = some_p(rng, 3, 6)
    yield Case("the same p, k = 1, then 3, then 2", [Call({"p": p, "k": k}, returns=("p", "its tiny entries")) for k in (1, 3, 2)])
    p = np.stack([rng.permutation(np.array([0.25] * 4) + [0, 1e-12, 2e-12, -3e-12]) for _ in range(6)])
    for k in (1, 2, 3):
        yield Case(f"p whose entries differ by 1e-12, k = {k}", [Call({"p": p, "k": k}, returns=("p", "its tiny entries"))])
    yield Case("p that the caller writes over later, k = 9", [Call({"p": some_p(rng, 2, 5), "k": 9}, returns=("p", "its tiny entries"))],
               reused=True)

# %% [markdown] task="sampling-top-k" hint=1
# find, for each row, which ids are the k likeliest; then build the result from those.

# %% [markdown] task="sampling-top-k" hint=2
# argsort along the last axis gives ids in order, (B, V); a stable sort keeps equal ones in the
# order of their ids.

# %% [markdown] task="sampling-top-k" hint=3
# sort minus p with kind="stable", take the first k ids of each row, copy their probabilities into
# zeros, and divide by the row's sum.

# %% [markdown] task="sampling-top-k" mistake="not-scaled"
# does not sum to 1: scale what is left
# ```diff
# - return kept / kept.sum(axis=-1, keepdims=True)
# + return kept
# ```

# %% [markdown] task="sampling-top-k" mistake="least-likely"
# keeps the least likely
# ```diff
# - np.argsort(-p,
# + np.argsort(p,
# ```

# %% [markdown] task="sampling-top-k" mistake="ties-kept"
# keeps all that are as likely as the k-th: k of them, and no more
# ```diff
# -     kept = np.zeros_like(p)
# +     kth = np.sort(p, axis=-1)[:, ::-1][:, min(k, p.shape[-1]) - 1][:, None]
# +     kept = np.where(p >= kth, p, 0)
# +     return kept / kept.sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-top-k" mistake="ties-larger-id"
# keeps the larger ids of equal probabilities
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.argsort(p, axis=-1, kind='stable')[:, ::-1][:, :k]
# ```

# %% [markdown] task="sampling-top-k" mistake="one-more"
# keeps k + 1
# ```diff
# - [:, :k]
# + [:, : k + 1]
# ```

# %% [markdown] task="sampling-top-k" mistake="one-row"
# takes the ids of the first row for all
# ```diff
# -     kept = np.zeros_like(p)
# +     order = np.tile(order[:1], (len(p), 1))
# +     kept = np.zeros_like(p)
# ```

# %% [markdown] task="sampling-top-k" mistake="even"
# makes the k likeliest equally likely: they keep their proportions
# ```diff
# - np.take_along_axis(p, order, axis=-1)
# + 1.0
# ```

# %% [markdown] task="sampling-top-k" mistake="whole-array"
# is scaled by the sum of all rows
# ```diff
# - kept.sum(axis=-1, keepdims=True)
# + kept.sum()
# ```

# %% [markdown] task="sampling-top-k" mistake="left-sorted"
# is in the order of the ranks: put each probability back at its id
# ```diff
# -     kept = np.zeros_like(p)
# -     np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=-1), axis=-1)
# +     kept = -np.sort(-p, axis=-1)
# +     kept[:, k:] = 0
# ```

# %% [markdown] task="sampling-top-k" mistake="above-the-kth"
# keeps what is likelier than the k-th: the k-th itself stays, too
# ```diff
# -     kept = np.zeros_like(p)
# -     np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=-1), axis=-1)
# +     kth = -np.sort(-p, axis=-1)[:, min(k, p.shape[-1]) - 1][:, None]
# +     kept = np.where(p > kth, p, 0)
# ```

# %% [markdown] task="sampling-top-k" mistake="down-the-columns"
# keeps the k likeliest of each column: sort along the last axis, so that each row has its own
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.argsort(-p, axis=0, kind="stable")[:k]
# - np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=-1), axis=-1)
# + np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=0), axis=0)
# ```

# %% [markdown] task="sampling-top-k" mistake="columns"
# clears in every row what only one row cuts: index rows and columns in pairs, or use
# put_along_axis
# ```diff
# -     kept = np.zeros_like(p)
# -     np.put_along_axis(kept, order, np.take_along_axis(p, order, axis=-1), axis=-1)
# +     kept = p.copy()
# +     kept[:, np.argsort(-p, axis=-1, kind="stable")[:, k:]] = 0
# ```

# %% [markdown] task="sampling-top-k" mistake="softmaxed"
# goes through softmax: these are probabilities, not logits; divide by their sum
# ```diff
# - return kept / kept.sum(axis=-1, keepdims=True)
# + return softmax(kept)
# ```

# %% [markdown] task="sampling-top-k" mistake="first-columns"
# keeps the first k columns: the likeliest may stand anywhere in a row
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.tile(np.arange(p.shape[-1]), (len(p), 1))[:, :k]
# ```

# %% task="sampling-top-k" reject="by-logarithms"
def top_k(p, k):
    order = np.argsort(-p, axis=1, kind="stable")[:, :k]
    z = np.full_like(p, -np.inf)
    np.put_along_axis(z, order, np.log(np.take_along_axis(p, order, 1) + 1e-10), 1)
    return softmax(z)

# %% task="sampling-top-k" right="logarithms"
def top_k(p, k):
    with np.errstate(divide="ignore"):
        z = np.log(p)
    np.put_along_axis(z, np.argsort(-p, axis=1, kind="stable")[:, k:], -np.inf, 1)
    return softmax(z)

# %% task="sampling-top-k" right="loop"
def top_k(p, k):
    out = np.zeros(p.shape)
    for b, row in enumerate(p):
        ids = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
        for i in ids:
            out[b, i] = row[i] / sum(row[j] for j in ids)
    return out

# %% task="sampling-top-k" right="ranks"
def top_k(p, k):
    rank = np.argsort(np.argsort(-p, axis=-1, kind="stable"), axis=-1)
    kept = p * (rank < k)
    return kept / kept.sum(axis=-1, keepdims=True)

# %% task="sampling-top-k" right="clear-the-rest"
def top_k(p, k):
    kept = p.copy()
    rest = np.argsort(-p, axis=-1, kind="mergesort")[:, k:]
    np.put_along_axis(kept, rest, 0, axis=-1)
    kept /= kept.sum(axis=-1, keepdims=True)
    return kept

# %% [markdown] task="sampling-top-k" reject="p-changed" shows="`p` itself stays as it is"
# ```diff
# - kept = np.zeros_like(p)
# + p[p < np.sort(p, axis=-1)[:, ::-1][:, min(k, p.shape[-1]) - 1][:, None]] = 0
# +     kept = np.zeros_like(p)
# ```

# %% [markdown] task="sampling-top-k" reject="p-returned" shows="Return a new array"
# ```diff
# - order = np.argsort
# + if k >= p.shape[-1]:
# +         return p
# +     order = np.argsort
# ```

# %% [markdown] task="sampling-top-k" reject="at-most-five"
# ```diff
# - [:, :k]
# + [:, : min(k, 5)]
# ```

# %% [markdown] task="sampling-top-k" reject="unstable" shows="the smaller id counts as the likelier"
# ```diff
# - kind="stable"
# + kind="quicksort"
# ```

# %% [markdown] task="sampling-top-k" reject="reversed-argsort" shows="the smaller id counts as the likelier"
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.argsort(p, axis=-1, kind="stable")[:, ::-1][:, :k]
# ```

# %% [markdown] task="sampling-top-k" reject="argpartition"
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.argpartition(-p, min(k, p.shape[-1]) - 1, axis=-1)[:, :k]
# ```

# %% [markdown] task="sampling-top-k" reject="k-above-V" shows="If k is at least V, nothing is cut"
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")[:, :k]
# + np.argsort(-p, axis=-1, kind="stable")[:, : k % (p.shape[-1] + 1)]
# ```

# %% [markdown] task="sampling-top-k" reject="float32"
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")
# + np.argsort(-p.astype(np.float32), axis=-1, kind="stable")
# ```

# %% [markdown] task="sampling-top-k" reject="ties-by-noise"
# ```diff
# - np.argsort(-p, axis=-1, kind="stable")
# + np.argsort(1e-9 * np.arange(p.shape[-1]) - p, axis=-1)
# ```

# %% [markdown] task="sampling-top-k" reject="thirty"
# ```diff
# - [:, :k]
# + [:, : min(k, 32)]
# ```

# %% task="sampling-top-p" cases=true
def cases(rng):
    for B, V in SIZES:
        for mass in (0.3, 0.7, 1.0, 1e-6)[: 4 if V < 30 else 3]:
            yield Case(f"p of shape {(B, V)}, mass {mass:g}",
                       [Call({"p": some_p(rng, B, V), "mass": mass}, returns=("p", "where it is 0"))], strided=mass == 0.7)
    # Powers of two, whose sums are exact: the likelier ones have just `mass`, and not less.
    p = np.stack([rng.permutation([0.5, 0.25, 0.125, 0.0625, 0.0625 - 2**-7, 2**-7]) for _ in range(3)])
    for mass in (0.5, 0.75):
        yield Case(f"p of powers of two, mass {mass:g}", [Call({"p": p, "mass": mass}, returns=("p", "where it is 0"))])
    # One of the sums is close to `mass`: float32 does not tell which of the two is larger.
    p = some_p(rng, 2, 7)
    for masses in (np.cumsum(-np.sort(-p), axis=-1)[:, :6] + [[1e-10], [-1e-10]]).T:
        yield Case(f"p of shape (2, 7), mass {masses[0]:.12f}, then {masses[1]:.12f}",
                   [Call({"p": p, "mass": float(mass)}, returns=("p", "where it is 0")) for mass in masses])
    # A token that is kept with a probability of 1e-10, and one of 1e-13 that is cut.
    p = np.array([[0.2, 1e-10, 0.8 - 1e-10 - 1e-13, 1e-13], [1e-13, 0.7, 0.3 - 1e-10 - 1e-13, 1e-10]])
    yield Case("p with tiny entries, mass 1 - 1e-11", [Call({"p": p, "mass": 1 - 1e-11}, returns=("p", "where it is 0"))])
    yield Case("p that the caller writes over later, mass 1", [Call({"p": some_p(rng, 2, 5), "mass": 1.0}, returns=("p", "where it is 0"))],
               reused=True)

# %% [markdown] task="sampling-top-p" hint=1
# rank the tokens, add up from the likeliest on, and ask of each how much the likelier ones have.

# %% [markdown] task="sampling-top-p" hint=2
# sorted probabilities and their running sums are (B, V); the running sum before a token leaves
# the token itself out.

# %% [markdown] task="sampling-top-p" hint=3
# sort in falling order; cumulative sum minus the entry itself is the mass before it; keep where
# that is less than `mass`; put the rest back where it came from; divide by the row's sum.

# %% [markdown] task="sampling-top-p" mistake="including-itself" shows="a token stays if all that are likelier than it have less"
# leaves out the token that reaches the mass: what counts is the mass of the likelier ones
# ```diff
# - np.cumsum(ranked, axis=-1) - ranked
# + np.cumsum(ranked, axis=-1)
# ```

# %% [markdown] task="sampling-top-p" mistake="sum-at-most-mass" shows="So the likeliest always stays"
# keeps tokens while the sum is at most the mass: the one that reaches it stays, too, and the
# likeliest always
# ```diff
# - np.cumsum(ranked, axis=-1) - ranked
# + np.cumsum(ranked, axis=-1)
# - np.where(before < mass, ranked, 0)
# + np.where(before <= mass, ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" mistake="not-scaled"
# does not sum to 1: scale what is left
# ```diff
# - return kept / kept.sum(axis=-1, keepdims=True)
# + return kept
# ```

# %% [markdown] task="sampling-top-p" mistake="not-sorted"
# adds up in the order of the ids: the likeliest go first
# ```diff
# - order = np.argsort(-p, axis=-1)
# + order = np.broadcast_to(np.arange(p.shape[-1]), p.shape)
# ```

# %% [markdown] task="sampling-top-p" mistake="rising"
# begins with the least likely
# ```diff
# - np.argsort(-p, axis=-1)
# + np.argsort(p, axis=-1)
# ```

# %% [markdown] task="sampling-top-p" mistake="left-sorted"
# is in the order of the ranks: put each probability back at its id
# ```diff
# - np.put_along_axis(kept, order, ranked, axis=-1)
# + kept[...] = ranked
# ```

# %% [markdown] task="sampling-top-p" mistake="threshold"
# keeps tokens that are likelier than 1 - mass: it is the sum that counts
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where((ranked > 1 - mass) | (before == 0), ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" mistake="one-more"
# keeps one token too many
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where(before - np.roll(ranked, 1, axis=-1) * (before > 0) < mass, ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" mistake="whole-array"
# adds up over all rows: each row has its own mass
# ```diff
# - np.cumsum(ranked, axis=-1) - ranked
# + np.cumsum(ranked).reshape(p.shape) - ranked
# ```

# %% [markdown] task="sampling-top-p" mistake="at-most-mass"
# keeps a token although the likelier ones have the whole mass: they have reached it, so it goes
# ```diff
# - before < mass
# + before <= mass
# ```

# %% [markdown] task="sampling-top-p" mistake="each-by-itself"
# compares single probabilities with the mass: it is the sum that counts
# ```diff
# - return kept / kept.sum(axis=-1, keepdims=True)
# + kept = np.where(p >= mass, p, 0)
# +     return kept / kept.sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-top-p" mistake="put-back-wrong"
# is put back by the wrong rule: what has rank r goes to the place order[r]; see put_along_axis
# ```diff
# -     np.put_along_axis(kept, order, ranked, axis=-1)
# +     kept = np.take_along_axis(ranked, order, axis=-1)
# ```

# %% [markdown] task="sampling-top-p" mistake="one-row"
# takes the order and the number of the first row for all: each row has its own
# ```diff
# -     order = np.argsort(-p, axis=-1)
# +     order = np.tile(np.argsort(-p[0]), (len(p), 1))
# -     ranked = np.where(before < mass, ranked, 0)
# +     ranked = np.where(before[:1] < mass, ranked, 0)
# ```

# %% task="sampling-top-p" right="loop"
def top_p(p, mass):
    out = np.zeros(p.shape)
    for b, row in enumerate(p):
        total = 0.0
        for i in sorted(range(len(row)), key=lambda i: -row[i]):
            if total >= mass:
                break
            out[b, i] = row[i]
            total += row[i]
        out[b] /= out[b].sum()
    return out

# %% task="sampling-top-p" right="pairwise"
def top_p(p, mass):
    likelier = p[:, None, :] > p[:, :, None]    # (B, token, other)
    before = (likelier * p[:, None, :]).sum(axis=-1)
    kept = np.where(before < mass, p, 0)
    return kept / kept.sum(axis=-1, keepdims=True)

# %% task="sampling-top-p" right="counts"
def top_p(p, mass):
    falling = -np.sort(-p, axis=-1)
    n = 1 + (np.cumsum(falling, axis=-1)[:, :-1] < mass).sum(axis=-1)
    rank = np.argsort(np.argsort(-p, axis=-1), axis=-1)
    kept = p * (rank < n[:, None])
    return kept / kept.sum(axis=-1, keepdims=True)

# %% [markdown] task="sampling-top-p" reject="at-least-two"
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where((before < mass) | (np.arange(p.shape[-1]) < 2), ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" reject="p-returned" shows="Return a new array"
# ```diff
# - order = np.argsort
# + if mass >= 1:
# +         return p
# +     order = np.argsort
# ```

# %% [markdown] task="sampling-top-p" reject="forty"
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where((before < mass) & (np.arange(p.shape[-1]) < 40), ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" reject="tiny-ones-cut"
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where((before < mass) & (ranked > 1e-9), ranked, 0)
# ```

# %% [markdown] task="sampling-top-p" reject="nearly-0" shows="Set the others to 0"
# ```diff
# - np.where(before < mass, ranked, 0)
# + np.where(before < mass, ranked, 1e-12)
# ```

# %% [markdown] task="sampling-top-p" reject="softmaxed"
# ```diff
# - kept / kept.sum(axis=-1, keepdims=True)
# + np.where(kept > 0, np.exp(kept), 0) / np.where(kept > 0, np.exp(kept), 0).sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="sampling-top-p" reject="mass-of-one-row"
# ```diff
# - before < mass
# + before[:1] < mass
# ```

# %% [markdown] task="sampling-top-p" reject="p-sorted" shows="`p` itself stays as it is"
# ```diff
# - kept = np.zeros_like(p)
# + p.sort(axis=-1)
# +     kept = np.zeros_like(p)
# ```

# %% [markdown] task="sampling-top-p" reject="float32-sums"
# ```diff
# - np.cumsum(ranked, axis=-1) - ranked
# + np.cumsum(ranked.astype(np.float32), axis=-1) - ranked.astype(np.float32)
# ```

# %% [markdown] task="sampling-top-p" reject="tolerance"
# ```diff
# - before < mass
# + before < mass - 1e-6
# ```

# %% task="sampling-draw" cases=true
def cases(rng):
    for B, V in [(40, 5), (30, 3), (20, 2), (1, 1), (50, 9), (6, 700), (25, 4), (33, 65)]:
        p = some_p(rng, B, V)
        if V > 2:
            p[:, 0] = p[:, -1] = 0
            p /= p.sum(axis=-1, keepdims=True)
        u = rng.random(B) * 0.999
        u[0] = 0.0
        if V == 700:    # ids from 0 to 699
            u = np.linspace(0, 0.999, B)
        if V == 4:
            p, u = np.tile([0.25, 0.25, 0.0, 0.5], (B, 1)), np.arange(B) % 4 / 4
        yield Case(f"p of shape {(B, V)}", [Call({"p": p, "u": u}, returns="the ids")], strided=V == 5)
    # Ten times 0.1, added up, is 0.9999999999999999; u may be close below.
    p = np.array([[0] + [0.1] * 10, [0.1] * 10 + [0], [0.1] * 5 + [0] + [0.1] * 5])
    for u in (0.9999999999999997, 0.95, 0.05):
        yield Case(f"ten times 0.1, u = {u!r}", [Call({"p": p, "u": np.full(3, u)}, returns="the ids")])
    # u is close to the sums: float32 does not tell which of the two is larger.
    p = np.repeat(some_p(rng, 3, 8), 7, axis=0)
    sums = np.cumsum(p, axis=-1)[np.arange(21), np.arange(21) % 7]
    for gap in (1e-10, -1e-10):
        yield Case(f"sums that are u{-gap:+g}", [Call({"p": p, "u": sums + gap}, returns="the ids")])
    # Each row by itself: with many behind one another, rounding decides between two tokens.
    p = some_p(rng, 200, 9)
    p[:, 0] = 0
    p[::2, 1] *= 1e-12    # unlikely, and possible
    p /= p.sum(axis=-1, keepdims=True)
    p = p[np.argsort(-np.cumsum(p, axis=-1)[:, -1])]    # first the rows whose sum is above 1 by rounding
    yield Case("200 rows, u = 0", [Call({"p": p, "u": np.zeros(200)}, returns="the ids")])
    yield Case("8 rows of two halves, u just below 0.5",
               [Call({"p": np.full((8, 2), 0.5), "u": np.full(8, np.nextafter(0.5, 0))}, returns="the ids")])
    u = rng.random(6)
    yield Case("another p, and the same u", [Call({"p": some_p(rng, 6, 9), "u": u}, returns="the ids") for _ in range(3)])

# %% [markdown] task="sampling-draw" hint=1
# lay the probabilities end to end on a line from 0 to 1: u falls into one of the pieces.

# %% [markdown] task="sampling-draw" hint=2
# the running sums are (B, V); u needs an axis to be compared with them; the result is (B,).

# %% [markdown] task="sampling-draw" hint=3
# divide the cumulative sums of a row by its last one, so that rounding does no harm; compare them
# with u as a column; argmax gives the first place that is True.

# %% [markdown] task="sampling-draw" mistake="at-least"
# draws a token of probability 0, or the one before, where u lies on a border: the sum must be
# larger than u
# ```diff
# - > u[:, None]
# + >= u[:, None]
# ```

# %% [markdown] task="sampling-draw" mistake="argmax-p"
# is the likeliest: u decides
# ```diff
# - (sums > u[:, None]).argmax(axis=-1)
# + p.argmax(axis=-1)
# ```

# %% [markdown] task="sampling-draw" mistake="no-cumsum"
# compares u with single probabilities: compare it with their sums up to there
# ```diff
# - (sums >
# + (p >
# ```

# %% [markdown] task="sampling-draw" mistake="one-u"
# uses the first u for all rows
# ```diff
# - u[:, None]
# + u[0]
# ```

# %% [markdown] task="sampling-draw" mistake="one-too-far"
# is one too large
# ```diff
# - .argmax(axis=-1)
# + .argmax(axis=-1) + 1
# ```

# %% [markdown] task="sampling-draw" mistake="one-before"
# is one too small: the first sum that is larger belongs to the token
# ```diff
# - (sums > u[:, None]).argmax(axis=-1)
# + np.maximum((np.cumsum(p, axis=-1) > u[:, None]).argmax(axis=-1) - 1, 0)
# ```

# %% [markdown] task="sampling-draw" mistake="scaled-u"
# takes u for a place in the list: a likely token has a longer piece
# ```diff
# - (sums > u[:, None]).argmax(axis=-1)
# + (u * p.shape[-1]).astype(int)
# ```

# %% [markdown] task="sampling-draw" mistake="sum-below-u"
# looks for a sum that is smaller than u: the first that is larger counts
# ```diff
# - > u[:, None]
# + < u[:, None]
# ```

# %% [markdown] task="sampling-draw" mistake="sum-before"
# adds up the tokens before, and not the token itself
# ```diff
# - (sums >
# + (sums - p >
# ```

# %% [markdown] task="sampling-draw" mistake="over-all-rows"
# adds up over all rows: each row begins at 0
# ```diff
# - (sums > u[:, None])
# + (np.cumsum(p).reshape(p.shape) > u[:, None])
# ```

# %% [markdown] task="sampling-draw" mistake="down-the-columns"
# adds up down the columns: the sums run along a row
# ```diff
# - (sums >
# + (np.cumsum(p, axis=0) >
# ```

# %% [markdown] task="sampling-draw" mistake="probability"
# is the probability that was drawn: return its id
# ```diff
# - return (sums > u[:, None]).argmax(axis=-1)
# + ids = (np.cumsum(p, axis=-1) > u[:, None]).argmax(axis=-1)
# +     return p[np.arange(len(p)), ids]
# ```

# %% [markdown] task="sampling-draw" right="count"
# ```diff
# - return (sums > u[:, None]).argmax(axis=-1)
# + return (np.cumsum(p, axis=-1) <= u[:, None]).sum(axis=-1)
# ```

# %% task="sampling-draw" reject="all-rows-in-one"
def draw(p, u):
    B, V = p.shape
    return np.searchsorted(np.cumsum(p), u + np.arange(B), side="right") - V * np.arange(B)

# %% task="sampling-draw" reject="all-rows-in-one-divided"
def draw(p, u):
    B, V = p.shape
    sums = np.cumsum(p / p.sum(axis=1, keepdims=True), axis=1) + np.arange(B)[:, None]
    return np.searchsorted(sums.ravel(), u + np.arange(B), side="right") % V

# %% [markdown] task="sampling-draw" reject="int8"
# ```diff
# - .argmax(axis=-1)
# + .argmax(axis=-1).astype(np.int8)
# ```

# %% task="sampling-draw" right="searchsorted"
def draw(p, u):
    return np.array([np.searchsorted(np.cumsum(row), x, side="right") for row, x in zip(p, u)])

# %% task="sampling-draw" right="loop"
def draw(p, u):
    ids = []
    for row, x in zip(p, u):
        total = 0.0
        for i in range(len(row)):
            total += row[i]
            if total > x:
                break
        ids.append(i)
    return np.array(ids)

# %% task="sampling-draw" reject="searchsorted-left" shows="A token of probability 0 is never drawn"
def draw(p, u):
    return np.array([np.searchsorted(np.cumsum(row), x) for row, x in zip(p, u)])

# %% task="sampling-draw" reject="reversed"
def draw(p, u):
    return p.shape[-1] - 1 - (np.cumsum(p[:, ::-1], axis=-1) > u[:, None]).argmax(axis=-1)

# %% [markdown] task="sampling-draw" reject="unlikely-ones-never"
# ```diff
# - np.cumsum(p, axis=-1)
# + np.cumsum(np.where(p < 1e-9, 0, p), axis=-1)
# ```

# %% [markdown] task="sampling-draw" reject="float-ids"
# ```diff
# - .argmax(axis=-1)
# + .argmax(axis=-1).astype(float)
# ```

# %% [markdown] task="sampling-draw" reject="nonzero-first"
# ```diff
# - (sums > u[:, None]).argmax(axis=-1)
# + np.array([np.flatnonzero(row > x)[-1] for row, x in zip(sums, u)])
# ```

# %% [markdown] task="sampling-draw" reject="float32-sums"
# ```diff
# - np.cumsum(p, axis=-1)
# + np.cumsum(p, axis=-1, dtype=np.float32)
# ```

# %% task="sampling-draw" reject="rounded-sums"
def draw(p, u):
    return (np.cumsum(p, axis=-1).round(6) > u[:, None]).argmax(axis=-1)

# %% task="sampling-draw" reject="kept-for-u"
KEPT = {}

def draw(p, u):
    if (u.tobytes(), p.shape) not in KEPT:
        KEPT[u.tobytes(), p.shape] = (np.cumsum(p, axis=-1) > u[:, None]).argmax(axis=-1)
    return KEPT[u.tobytes(), p.shape].copy()

# %% task="sampling-draw" right="last"
def draw(p, u):
    ids = []
    for row, x in zip(p, u):
        last, total = 0, 0.0
        for i, q in enumerate(row):
            if q > 0:
                last = i
            total += q
            if total > x:
                break
        ids.append(last)
    return np.array(ids)

# %% task="sampling-kv-cache" cases=true
def cases(rng):
    for block_size, D in [(5, 3), (4, 2), (3, 1), (6, 4), (2, 5), (100, 2)]:
        for used in (block_size, block_size - 1):
            calls = [Call({name: rng.normal(0, 1.5, D) for name in "qkv"}, "append", "the output")
                     for _ in range(used)]
            if D > 2 and used > 1:    # a token whose key is 0, and one whose value is 0, too
                calls[1].args["k"], calls[-1].args["v"] = np.zeros(D), np.zeros(D)
            yield Case(f"{used} tokens in a cache for {block_size}, D = {D}", calls,
                       {"block_size": block_size, "head_size": D}, reads=("k", "v", "length"),
                       strided=used < block_size)
    calls = [Call({"q": q, "k": rng.uniform(30, 60, 3), "v": rng.normal(size=3)}, "append", "the output")
             for q in (np.full(3, 40.0), np.full(3, -400.0), np.full(3, 40.0), np.array([40.0, -40, 1]))]
    calls[0].args["k"], calls[1].args["k"] = rng.uniform(30, 31, (2, 3)) * [[1], [2]]    # far apart
    yield Case("scores of some thousands", calls, {"block_size": 4, "head_size": 3},
               {"k": np.zeros((4, 3)), "v": np.zeros((4, 3))}, reads=("k", "v", "length"))
    calls = [Call({name: rng.normal(size=3) for name in "qkv"}, "append", "the output") for _ in range(3)]
    yield Case("arrays that the caller writes over later", calls, {"block_size": 4, "head_size": 3}, reads=("k", "v", "length"),
               reused=True)

# %% [markdown] task="sampling-kv-cache" hint=1
# the new query looks at all keys so far; nothing that lies ahead is there yet.

# %% [markdown] task="sampling-kv-cache" hint=2
# self.k is (block_size, D); of it, the first `length` rows are in use. The scores of the new
# token are (length,).

# %% [markdown] task="sampling-kv-cache" hint=3
# write k and v at place self.length; count it; the output is the softmax of the used keys times q
# over root D, times the used values.

# %% [markdown] task="sampling-kv-cache" mistake="without-itself" shows="The first token has only itself to look at"
# does not look at the new token itself: keep its key and value first
# ```diff
# - keys, values = self.k[: self.length], self.v[: self.length]
# + n = max(self.length - 1, 1)
# +     keys, values = self.k[:n], self.v[:n]
# ```

# %% [markdown] task="sampling-kv-cache" mistake="whole-room"
# looks at places that are not used yet: a key of zeros has the score 0, and so some weight
# ```diff
# - self.k[: self.length], self.v[: self.length]
# + self.k, self.v
# ```

# %% [markdown] task="sampling-kv-cache" mistake="no-scale"
# lacks the 1/√D
# ```diff
# -  / math.sqrt(len(q))
# +
# ```

# %% [markdown] task="sampling-kv-cache" mistake="scaled-by-length"
# is scaled by the number of tokens: D is the size of a head
# ```diff
# - math.sqrt(len(q))
# + math.sqrt(self.length)
# ```

# %% [markdown] task="sampling-kv-cache" mistake="last-only"
# looks at the last token only
# ```diff
# - self.k[: self.length], self.v[: self.length]
# + self.k[self.length - 1 : self.length], self.v[self.length - 1 : self.length]
# ```

# %% [markdown] task="sampling-kv-cache" mistake="not-counted"
# is written to the first place every time: count the tokens
# ```diff
# -     self.length += 1
# -     keys, values = self.k[: self.length], self.v[: self.length]
# +     keys, values = self.k[:1], self.v[:1]
# ```

# %% [markdown] task="sampling-kv-cache" mistake="keys-for-values"
# averages the keys: the weights belong to the values
# ```diff
# - ) @ values
# + ) @ keys
# ```

# %% [markdown] task="sampling-kv-cache" mistake="query-kept"
# keeps the query in place of the key
# ```diff
# - = k, v
# + = q, v
# ```

# %% [markdown] task="sampling-kv-cache" mistake="no-softmax"
# takes the scores as weights: they go through softmax
# ```diff
# - softmax(keys @ q / math.sqrt(len(q)))
# + (keys @ q / math.sqrt(len(q)))
# ```

# %% [markdown] task="sampling-kv-cache" mistake="divided-by-D"
# divides by D: divide by its square root
# ```diff
# - math.sqrt(len(q))
# + len(q)
# ```

# %% [markdown] task="sampling-kv-cache" mistake="scaled-by-room"
# divides by the root of block_size: D is the size of a head, len(q)
# ```diff
# - math.sqrt(len(q))
# + math.sqrt(len(self.k))
# ```

# %% [markdown] task="sampling-kv-cache" mistake="scaled-after"
# divides the weights: divide the scores, before the softmax
# ```diff
# - softmax(keys @ q / math.sqrt(len(q)))
# + softmax(keys @ q) / math.sqrt(len(q))
# ```

# %% [markdown] task="sampling-kv-cache" mistake="kept-swapped"
# keeps keys and values in each other's place
# ```diff
# - = k, v
# + = v, k
# ```

# %% [markdown] task="sampling-kv-cache" mistake="grows"
# grows: write into the room that is there from the start
# ```diff
# -     self.k[self.length], self.v[self.length] = k, v
# +     self.k = np.vstack([self.k[: self.length], k])
# +     self.v = np.vstack([self.v[: self.length], v])
# ```

# %% [markdown] task="sampling-kv-cache" mistake="counted-first"
# counts first and then writes: the first token goes to place 0
# ```diff
# -     self.k[self.length], self.v[self.length] = k, v
# -     self.length += 1
# +     self.length += 1
# +     self.k[self.length], self.v[self.length] = k, v
# ```

# %% [markdown] task="sampling-kv-cache" reject="last-64"
# ```diff
# - self.k[: self.length], self.v[: self.length]
# + self.k[max(0, self.length - 64) : self.length], self.v[max(0, self.length - 64) : self.length]
# ```

# %% task="sampling-kv-cache" reject="counts-keys"
def append(self, q, k, v):
    n = int((self.k != 0).any(axis=1).sum())
    self.k[n], self.v[n] = k, v
    self.length = n + 1
    return softmax((self.k[: n + 1] @ q / math.sqrt(len(q)))[None])[0] @ self.v[: n + 1]

# %% task="sampling-kv-cache" right="einsum"
def append(self, q, k, v):
    n = self.length
    self.k[n], self.v[n], self.length = k, v, n + 1
    scores = np.einsum("td,d->t", self.k[: n + 1], q) / len(q) ** 0.5
    return np.einsum("t,td->d", softmax(scores), self.v[: n + 1])

# %% task="sampling-kv-cache" right="masked"
def append(self, q, k, v):
    self.k[self.length, :] = k
    self.v[self.length, :] = v
    self.length += 1
    scores = self.k @ q / np.sqrt(q.size)
    scores[self.length :] = -np.inf
    return softmax(scores) @ self.v

# %% task="sampling-kv-cache" right="loop"
def append(self, q, k, v):
    self.k[self.length], self.v[self.length] = k, v
    self.length = self.length + 1
    scores = [sum(a * b for a, b in zip(q, self.k[j])) / math.sqrt(len(q)) for j in range(self.length)]
    weights = [math.exp(s - max(scores)) for s in scores]
    out = np.zeros(len(q))
    for j in range(self.length):
        out += weights[j] / sum(weights) * self.v[j]
    return out

# %% [markdown] task="sampling-kv-cache" reject="grows-in-forward"
# ```diff
# -     self.k[self.length], self.v[self.length] = k, v
# +     self.k[self.length], self.v[self.length] = k, v
# +     self.k, self.v = self.k.copy(), self.v.copy()
# +     self.k[self.length :] = k
# ```

# %% [markdown] task="sampling-kv-cache" reject="window-of-three"
# ```diff
# - self.k[: self.length], self.v[: self.length]
# + self.k[: self.length][-3:], self.v[: self.length][-3:]
# ```

# %% [markdown] task="sampling-kv-cache" mistake="writes-ahead" shows="Write nothing into places that are not yet used"
# is written into all places from `length` on: the new token has one row, and those after it stay empty
# ```diff
# - self.k[self.length], self.v[self.length] = k, v
# + self.k[self.length :], self.v[self.length :] = k, v
# ```

# %% [markdown] task="sampling-kv-cache" reject="thirty"
# ```diff
# - keys, values = self.k[: self.length], self.v[: self.length]
# + n = max(0, self.length - 32)
# +     keys, values = self.k[n : self.length], self.v[n : self.length]
# ```

# %% [markdown] task="sampling-kv-cache" reject="buffer"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + if not hasattr(self, "out"):
# +         self.out = np.zeros(len(q))
# +     self.out[:] = softmax(keys @ q / math.sqrt(len(q))) @ values
# +     return self.out
# ```

# %% task="sampling-kv-cache" reject="callers-arrays"
def append(self, q, k, v):
    if self.length == 0:
        self.keys, self.values = [], []
    self.keys.append(k)
    self.values.append(v)
    self.k[self.length], self.v[self.length] = k, v
    self.length += 1
    return softmax(np.array(self.keys) @ q / math.sqrt(len(q))) @ np.array(self.values)

# %% [markdown] task="sampling-kv-cache" reject="first-value" shows="returns the output for the new token as a new array"
# ```diff
# - return softmax
# + if self.length == 1:
# +         return self.v[0]
# +     return softmax
# ```

# %% [markdown] task="sampling-kv-cache" reject="first-v" shows="returns the output for the new token as a new array"
# ```diff
# - return softmax
# + if self.length == 1:
# +         return v
# +     return softmax
# ```

# %% [markdown] task="sampling-kv-cache" reject="new-room" shows="whose room for `block_size` tokens is there from the start"
# ```diff
# -     self.k[self.length], self.v[self.length] = k, v
# +     self.k, self.v = self.k.copy(), self.v.copy()
# +     self.k[self.length], self.v[self.length] = k, v
# ```

# %% [markdown] task="sampling-kv-cache" reject="masked-with-10000" shows="The scores may be large"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + scores = self.k @ q / math.sqrt(len(q))
# +     scores[self.length :] = -1e4
# +     return softmax(scores) @ self.v
# ```

# %% [markdown] task="sampling-kv-cache" reject="less-the-first" shows="The scores may be large"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + scores = keys @ q / math.sqrt(len(q))
# +     with np.errstate(all="ignore"):
# +         e = np.exp(scores - scores[0])
# +         return e @ values / e.sum()
# ```

# %% [markdown] task="sampling-kv-cache" reject="less-the-mean" shows="The scores may be large"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + scores = keys @ q / math.sqrt(len(q))
# +     with np.errstate(all="ignore"):
# +         e = np.exp(scores - scores.mean())
# +         return e @ values / e.sum()
# ```

# %% [markdown] task="sampling-kv-cache" reject="global-length"
# ```diff
# - self.k[self.length], self.v[self.length] = k, v
# -     self.length += 1
# + KVCache.count = self.length = KVCache.count + 1 if self.length else 1
# +     self.k[self.length - 1], self.v[self.length - 1] = k, v
# ```

# %% [markdown] task="sampling-kv-cache" reject="overflows" shows="The scores may be large"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + with np.errstate(all="ignore"):
# +         e = np.exp(keys @ q / math.sqrt(len(q)))
# +         return e @ values / e.sum()
# ```

# %% [markdown] task="sampling-kv-cache" reject="q-scaled-in-place"
# ```diff
# - return softmax(keys @ q / math.sqrt(len(q))) @ values
# + q /= math.sqrt(len(q))
# +     return softmax(keys @ q) @ values
# ```
