# %%
IGNORE = -100

def some_targets(rng, shape, V, share=0.5):
    """Targets of which about a share is IGNORE, and one at least of the first half of the rows is not."""
    targets = rng.integers(0, V, shape)
    ignored = rng.random(shape) < share
    ignored.flat[rng.integers(targets[: max(1, len(targets) // 2)].size)] = False
    return np.where(ignored, IGNORE, targets)

# %% task="finetune-loss" cases=true
def cases(rng):
    def one(*rounds, said="", **options):
        """Forward and backward for each (logits, targets, dloss)."""
        calls = []
        for logits, targets, dloss in rounds:
            calls += [Call({"logits": logits, "targets": targets}, "forward", "the loss"),
                      Call({"dloss": dloss}, "backward", "dlogits")]
        logits, targets, dloss = rounds[0]
        title = f"logits of shape {logits.shape}, {(targets == IGNORE).sum()} of {targets.size} targets ignored, dloss {dloss:g}{said}"
        return Case(title, calls, new={}, **options)

    for number, shape in enumerate([(2, 5), (3, 4), (7,), (1, 1), (2, 3, 4), (4, 1), (1, 6)]):
        V = (7, 3, 5, 4, 6, 9, 2)[number]
        rounds = [(rng.normal(0, 2, (*shape, V)), some_targets(rng, shape, V), dloss)
                  for dloss in ((1.0, -0.3, -2.0, 0.3, 1.5, 0.6, -1.2)[number], 0.8)]
        options = ({}, {"strided": True}, {"float32": True, "dtypes": ("dlogits",)})[number % 3]
        yield one(*rounds, **options)
    # No target is ignored; all but one are; one row has none that counts; the last of V.
    logits = rng.normal(0, 2, (3, 4, 5))
    yield one((logits, rng.integers(0, 5, (3, 4)), 1.0))
    targets = np.full((3, 4), IGNORE)
    targets[1, 2] = 4
    yield one((logits, targets, 0.7))
    targets = some_targets(rng, (3, 4), 5)
    targets[0] = IGNORE
    targets[2] = 0
    yield one((logits, targets, 1.0))
    logits = rng.normal(0, 1, (2, 4, 3))
    logits[0, 1], logits[1, 2] = [9_000.0, -9_000.0, 8_999.0], [-10_000.0, 10_000.0, 3.0]
    targets = np.array([[0, IGNORE, 1, 2], [IGNORE, 2, 0, IGNORE]])
    yield one((logits, targets, 1.5), said=", logits up to 10,000")
    yield one((rng.normal(0, 2, (4, 300)), np.array([299, IGNORE, 128, 255]), 1.0), said=", 300 ids")
    yield Case("dloss not given", new={}, calls=[
        Call({"logits": logits[:1], "targets": targets[:1]}, "forward", "the loss"), Call({}, "backward", "dlogits")])

# %% [markdown] task="finetune-loss" hint=1
# it is the loss of chapter 5 on some of the rows. What is the slope of the loss for a logit whose row has no
# target?

# %% [markdown] task="finetune-loss" hint=2
# the mask has the shape of the targets, dlogits one axis more. -100 is no index that you want: where the mask is
# False, take any other.

# %% [markdown] task="finetune-loss" hint=3
# loss: the mean of minus log_softmax at the targets, over the mask. dlogits: softmax, minus 1 at the target, times
# dloss over the number of True in the mask, and 0 where the mask is False.

# %% [markdown] task="finetune-loss" mistake="mean-over-all" shows="With $N$ for the number of the others"
# it divides by the number of all targets: N counts those that are not IGNORE
# ```diff
# - -float(log_p[self.mask].mean())
# + -float(log_p[self.mask].sum() / log_p.size)
# - dloss / self.mask.sum()
# + dloss / self.mask.size
# ```

# %% [markdown] task="finetune-loss" mistake="dlogits-over-all"
# its gradient is divided by the number of all targets, its loss by N: both by N
# ```diff
# - dloss / self.mask.sum()
# + dloss / self.mask.size
# ```

# %% [markdown] task="finetune-loss" mistake="not-divided"
# its gradient is not divided by N: the loss is a mean
# ```diff
# - self.mask * (dloss / self.mask.sum())
# + self.mask * dloss
# ```

# %% [markdown] task="finetune-loss" mistake="no-mask-in-backward" shows="over the targets that are not IGNORE"
# its rows without a target have a gradient: the loss does not depend on them
# ```diff
# - (self.mask * (dloss / self.mask.sum()))[..., None]
# + dloss / self.mask.sum()
# ```

# %% [markdown] task="finetune-loss" mistake="ignore-as-index"
# it takes IGNORE for an index, which counts from the end of the vocabulary
# ```diff
# - np.where(self.mask, targets, 0)[..., None]
# + np.where(self.mask, targets, targets % logits.shape[-1])[..., None]
# - log_p[self.mask].mean()
# + log_p.mean()
# ```

# %% [markdown] task="finetune-loss" mistake="no-dloss"
# its gradient lacks dloss
# ```diff
# - (dloss / self.mask.sum())
# + (1 / self.mask.sum())
# ```

# %% [markdown] task="finetune-loss" mistake="mask-one-late" shows="targets that are not IGNORE}} \\log"
# it masks one place late: the mask belongs to the targets as they are, which are shifted already
# ```diff
# - self.mask = targets != IGNORE
# + self.mask = np.roll(targets != IGNORE, 1, axis=-1)
# ```

# %% [markdown] task="finetune-loss" mistake="by-rows"
# it is a mean of the rows' means: all targets that count have the same weight
# ```diff
# - return -float(log_p[self.mask].mean())
# + counts = np.maximum(self.mask.sum(axis=-1), 1)
# +         return -float(((log_p * self.mask).sum(axis=-1) / counts).mean())
# ```

# %% [markdown] task="finetune-loss" mistake="sign"
# it has the sign of a likelihood: a loss is minus log p
# ```diff
# - return -float
# + return float
# ```

# %% [markdown] task="finetune-loss" reject="overflows" shows="Logits may be as large as 10,000, also where the target is"
# ```diff
# - self.p = softmax(logits)
# + self.p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
# ```

# %% [markdown] task="finetune-loss" mistake="log-of-softmax"
# it takes the log of a probability that has become 0 where logits are large: log_softmax has no such step
# ```diff
# - np.take_along_axis(log_softmax(logits), self.at, axis=-1)[..., 0]
# + np.log(np.take_along_axis(softmax(logits), self.at, axis=-1)[..., 0])
# ```

# %% [markdown] task="finetune-loss" mistake="a-small-number-in-the-log"
# it adds a small number under the log: a loss can be larger than minus the log of that
# ```diff
# - np.take_along_axis(log_softmax(logits), self.at, axis=-1)[..., 0]
# + np.log(np.take_along_axis(softmax(logits), self.at, axis=-1)[..., 0] + 1e-12)
# ```

# %% [markdown] task="finetune-loss" mistake="clipped-logits"
# it clips the logits: large ones have a loss of their size, no overflow comes where the largest is subtracted first
# ```diff
# - log_p = np.take_along_axis(log_softmax(logits)
# + logits = np.clip(logits, -1000, 1000)
# +         log_p = np.take_along_axis(log_softmax(logits)
# ```

# %% [markdown] task="finetune-loss" reject="ignore-is-an-id-of-many"
# ```diff
# - self.mask = targets != IGNORE
# + self.mask = targets >= -logits.shape[-1]
# ```

# %% [markdown] task="finetune-loss" reject="a-byte-of-ids"
# ```diff
# - self.at = np.where(self.mask, targets, 0)[..., None]
# + self.at = np.where(self.mask, targets, 0).astype(np.int8)[..., None]
# ```

# %% [markdown] task="finetune-loss" reject="float64" shows="of the shape and"
# ```diff
# - return dlogits
# + return dlogits.astype(np.float64)
# ```

# %% [markdown] task="finetune-loss" reject="two-axes" shows="with one axis or more before the last"
# ```diff
# - return -float(log_p[self.mask].mean())
# + B, T = targets.shape
# +         return -float(log_p[self.mask].mean())
# ```

# %% [markdown] task="finetune-loss" reject="uses-p-up"
# ```diff
# - dlogits = self.p.copy()
# + dlogits = self.p
# ```

# %% [markdown] task="finetune-loss" reject="writes-into-targets"
# ```diff
# - self.at = np.where(self.mask, targets, 0)[..., None]
# + targets[~self.mask] = 0
# +         self.at = targets[..., None]
# ```

# %% [markdown] task="finetune-loss" reject="negative-targets-count-never"
# ```diff
# - self.mask = targets != IGNORE
# + self.mask = targets > 0
# ```

# %% [markdown] task="finetune-loss" mistake="positive-dloss-only"
# its gradient has lost the sign of dloss
# ```diff
# - dloss / self.mask.sum()
# + abs(dloss) / self.mask.sum()
# ```

# %% task="finetune-loss" right="rows-that-count"
class MaskedLoss(Module):
    def forward(self, logits, targets):
        self.shape, self.mask = logits.shape, targets != IGNORE
        self.rows, self.targets = logits[self.mask], targets[self.mask]    # (N, V), (N,)
        log_p = log_softmax(self.rows)
        return -float(log_p[np.arange(len(self.rows)), self.targets].mean())

    def backward(self, dloss=1.0):
        d = softmax(self.rows)
        d[np.arange(len(d)), self.targets] -= 1
        dlogits = np.zeros(self.shape, d.dtype)
        dlogits[self.mask] = d * (dloss / len(d))
        return dlogits

# %% task="finetune-loss" right="one-hot"
class MaskedLoss(Module):
    def forward(self, logits, targets):
        V = logits.shape[-1]
        self.onehot = (targets[..., None] == np.arange(V)).astype(logits.dtype)
        self.n = int(self.onehot.sum())
        self.logits = logits
        return float(-np.sum(self.onehot * log_softmax(logits)) / self.n)

    def backward(self, dloss=1.0):
        counts = self.onehot.sum(axis=-1, keepdims=True)
        return float(dloss) / self.n * (softmax(self.logits) - self.onehot) * counts

# %% task="finetune-loss" right="weights"
class MaskedLoss(Module):
    def forward(self, logits, targets):
        self.w = (targets != IGNORE) / (targets != IGNORE).sum()
        self.logp, self.t = log_softmax(logits), np.maximum(targets, 0)
        return -float(np.sum(self.w * np.take_along_axis(self.logp, self.t[..., None], -1)[..., 0]))

    def backward(self, dloss=1.0):
        y = np.eye(self.logp.shape[-1])[self.t]
        return (dloss * self.w[..., None] * (np.exp(self.logp) - y)).astype(self.logp.dtype)

# %% task="finetune-pack" cases=true
def cases(rng):
    def example(prompt, answer):
        return rng.integers(1, 50, prompt).tolist(), rng.integers(1, 50, answer).tolist()

    def one(sizes, room):
        examples = [example(*pair) for pair in sizes]
        many = f"{len(sizes)} examples" if len(sizes) > 20 else f"prompts and answers of {sizes} ids"
        return Case(f"{many}, room {room}",
                    [Call({"examples": examples, "room": room}, returns=("x", "y", "segment"))])

    yield one([(2, 1), (3, 3), (1, 1), (2, 2), (1, 2)], 5)
    yield one([(1, 1)], 1)
    yield one([(1, 1), (1, 1), (1, 1)], 2)
    yield one([(4, 4)], 7)
    yield one([(4, 4)], 9)
    # First fit: the fourth goes back to the first row; the fifth to the second.
    yield one([(3, 2), (4, 3), (5, 2), (1, 2), (1, 1), (2, 2)], 6)
    yield one([(5, 2), (3, 2), (1, 1), (2, 1), (1, 3)], 7)
    yield one([(1, 6), (6, 1), (2, 3), (1, 1)], 6)
    # The fullest row with room is the second, the first that has any the first.
    yield one([(2, 2), (3, 3), (4, 3), (1, 1), (2, 1)], 6)
    yield one([(2, 1), (3, 3), (2, 5), (1, 1)], 6)
    yield one([], 4)
    for _ in range(4):
        sizes = [tuple(int(n) for n in rng.integers(1, 5, 2)) for _ in range(rng.integers(4, 12))]
        yield one(sizes, int(rng.integers(7, 16)))
    # Ids that are 0, and a prompt that is like its answer.
    yield Case("ids of 0", [Call({"examples": [([0, 0], [0]), ([5], [0, 5]), ([5, 0], [5, 0])], "room": 6},
                                 returns=("x", "y", "segment"))])
    # GPT-2 has 50,257 ids, other models more; the same example comes twice.
    large = [([128, 256], [32_768]), ([65_536], [40_000, 65_536]), ([70_000, 150_000], [150_000, 128])]
    yield Case("large ids", [Call({"examples": [*large, *large], "room": 8}, returns=("x", "y", "segment"))])
    # More examples in a row than a byte counts; the only row with room is one of many.
    yield one([(1, 1)] * 300, 310)
    yield one([(2, 1)] * 70 + [(1, 1)] + [(2, 1)] * 80 + [(1, 1)], 2)

# %% [markdown] task="finetune-pack" hint=1
# do it in two rounds: first deal the examples out to rows, with the room that each row has left; then write the
# rows.

# %% [markdown] task="finetune-pack" hint=2
# an example of n ids takes n - 1 places. Its answer's ids are the last targets of these places: as many as the
# answer is long.

# %% [markdown] task="finetune-pack" hint=3
# for each example: start is where the row's last one ended, end is start plus its places. x[start:end] has all
# ids but the last, y[end - len(answer):end] the answer, segment[start:end] the number.

# %% [markdown] task="finetune-pack" mistake="next-fit" shows="Each goes into the first row that has room for it"
# it looks at the last row only: an earlier one may still have room
# ```diff
# - for i, end in enumerate(ends) if end + n <= room
# + for i, end in enumerate(ends) if i == len(ends) - 1 and end + n <= room
# ```

# %% [markdown] task="finetune-pack" mistake="no-packing"
# it begins a row for each example
# ```diff
# - for i, end in enumerate(ends) if end + n <= room
# + for i, end in enumerate(ends) if False
# ```

# %% [markdown] task="finetune-pack" mistake="one-place-too-many"
# it takes a place for the last id, too, which is a target only
# ```diff
# - n = len(prompt) + len(answer) - 1
# + n = min(len(prompt) + len(answer), room)
# ```

# %% [markdown] task="finetune-pack" mistake="not-quite-full"
# it leaves a row that would be just full: room for it is room
# ```diff
# - if end + n <= room
# + if end + n < room
# ```

# %% [markdown] task="finetune-pack" mistake="prompt-has-a-loss"
# its prompts have a loss: there y is IGNORE
# ```diff
# - y[i, end - len(answer) : end] = answer
# + y[i, start:end] = ids[1:]
# ```

# %% [markdown] task="finetune-pack" mistake="first-of-the-answer-lacks" shows="`y` the id that comes next if that is one of the answer's"
# it ignores the first id of the answer: the last place of the prompt predicts it
# ```diff
# - y[i, end - len(answer) : end] = answer
# + y[i, end - len(answer) + 1 : end] = answer[1:]
# ```

# %% [markdown] task="finetune-pack" mistake="not-shifted"
# its targets are the ids at the places themselves: y has what comes next
# ```diff
# - y[i, end - len(answer) : end] = answer
# + y[i, start + len(prompt) : end] = answer[:-1]
# ```

# %% [markdown] task="finetune-pack" mistake="numbered-over-all"
# it numbers the examples over all rows: each row counts from 1
# ```diff
# - segment[i, start:end] = number
# + segment[i, start:end] = examples.index((prompt, answer)) + 1
# ```

# %% [markdown] task="finetune-pack" mistake="counts-from-0" shows="counted from 1"
# it counts from 0: 0 is for the places behind the last example
# ```diff
# - enumerate(row, 1)
# + enumerate(row)
# ```

# %% [markdown] task="finetune-pack" mistake="zeros-as-targets" shows="Behind the last example of a row `x` is 0, `y` is"
# its targets behind the last example are 0: they are IGNORE
# ```diff
# - y = np.full((len(rows), room), IGNORE)
# + y = np.where(np.arange(room) < np.array(ends, int)[:, None], IGNORE, 0)
# ```

# %% [markdown] task="finetune-pack" mistake="longest-first" shows="Take the examples in their order"
# it takes the longest first: they come in their order
# ```diff
# - for prompt, answer in examples:
# + for prompt, answer in sorted(examples, key=lambda e: -len(e[0]) - len(e[1])):
# ```

# %% [markdown] task="finetune-pack" mistake="fullest-row"
# it takes the fullest row with room: the first is asked for
# ```diff
# - i = next((i for i, end in enumerate(ends) if end + n <= room), len(rows))
# + fitting = [i for i, end in enumerate(ends) if end + n <= room]
# +         i = max(fitting, key=lambda i: ends[i]) if fitting else len(rows)
# ```

# %% [markdown] task="finetune-pack" mistake="lists"
# it is lists of lists: arrays are asked for
# ```diff
# - return x, y, segment
# + return x.tolist(), y.tolist(), segment.tolist()
# ```

# %% [markdown] task="finetune-pack" reject="as-long-as-the-longest" shows="each of shape `(rows, room)`"
# ```diff
# - return x, y, segment
# + T = max(ends, default=0)
# +     return x[:, :T], y[:, :T], segment[:, :T]
# ```

# %% [markdown] task="finetune-pack" reject="floats" shows="Return the three arrays of integers"
# ```diff
# - x, segment = np.zeros((2, len(rows), room), int)
# + x, segment = np.zeros((2, len(rows), room))
# ```

# %% [markdown] task="finetune-pack" reject="empty-fails" shows="If there are no examples, there are no rows"
# ```diff
# - rows, ends = [], []
# + examples[0]
# +     rows, ends = [], []
# ```

# %% [markdown] task="finetune-pack" reject="pops" shows="leave"
# ```diff
# - rows[i].append((prompt, answer))
# + rows[i].append((list(prompt), list(answer)))
# +         prompt.clear()
# ```

# %% [markdown] task="finetune-pack" reject="zero-is-padding"
# ```diff
# - return x, y, segment
# + return x, y, np.where((x == 0) & (y == IGNORE), 0, segment)
# ```

# %% [markdown] task="finetune-pack" reject="x-of-two-bytes"
# ```diff
# - return x, y, segment
# + return x.astype(np.uint16), y, segment
# ```

# %% [markdown] task="finetune-pack" reject="y-of-two-bytes"
# ```diff
# - return x, y, segment
# + return x, y.astype(np.int16), segment
# ```

# %% [markdown] task="finetune-pack" reject="segment-of-a-byte"
# ```diff
# - return x, y, segment
# + return x, y, segment.astype(np.uint8)
# ```

# %% [markdown] task="finetune-pack" reject="eight-in-a-row"
# ```diff
# - if end + n <= room
# + if end + n <= room and len(rows[i]) < 8
# ```

# %% [markdown] task="finetune-pack" reject="first-64-rows"
# ```diff
# - if end + n <= room
# + if end + n <= room and i < 64
# ```

# %% [markdown] task="finetune-pack" reject="last-64-rows"
# ```diff
# - if end + n <= room
# + if end + n <= room and i >= len(rows) - 64
# ```

# %% [markdown] task="finetune-pack" reject="first-100-examples"
# ```diff
# - for prompt, answer in examples:
# + for prompt, answer in examples[:100]:
# ```

# %% [markdown] task="finetune-pack" reject="each-example-once"
# ```diff
# - for prompt, answer in examples:
# + for prompt, answer in [e for n, e in enumerate(examples) if e not in examples[:n]]:
# ```

# %% task="finetune-pack" right="row-by-row-lists"
def pack(examples, room):
    rows = []    # lists of (id, target, number)
    for prompt, answer in examples:
        ids = list(prompt) + list(answer)
        targets = [IGNORE] * (len(prompt) - 1) + list(answer)
        for row in rows:
            if len(row) + len(targets) <= room:
                break
        else:
            rows.append([])
            row = rows[-1]
        number = row[-1][2] + 1 if row else 1
        row += [(a, b, number) for a, b in zip(ids[:-1], targets)]
    table = np.array([row + [(0, IGNORE, 0)] * (room - len(row)) for row in rows], int)
    return tuple(table.reshape(len(rows), room, 3).transpose(2, 0, 1))

# %% task="finetune-pack" right="grows"
def pack(examples, room):
    x = np.zeros((len(examples), room), np.int64)
    segment, y = np.zeros_like(x), np.full_like(x, IGNORE)
    used = np.zeros(len(examples), int)
    for prompt, answer in examples:
        n = len(prompt) + len(answer) - 1
        i = int(np.argmax(used + n <= room))
        a, b = used[i], used[i] + n
        x[i, a:b] = (prompt + answer)[:n]
        y[i, b - len(answer):b] = answer
        segment[i, a:b] = segment[i, a - 1] + 1 if a else 1
        used[i] = b
    rows = np.count_nonzero(used)
    return x[:rows], y[:rows], segment[:rows]

# %% task="finetune-pack" right="two-rounds"
def pack(examples, room):
    free, row_of, place_of, number_of, count = [], [], [], [], []
    for prompt, answer in examples:
        n = len(prompt) + len(answer) - 1
        fits = [i for i in range(len(free)) if free[i] >= n]
        if not fits:
            fits = [len(free)]
            free.append(room)
            count.append(0)
        i = fits[0]
        row_of.append(i)
        place_of.append(room - free[i])
        count[i] += 1
        number_of.append(count[i])
        free[i] -= n
    x = np.zeros((len(free), room), dtype=int)
    y, segment = x + IGNORE, x.copy()
    for (prompt, answer), i, start, number in zip(examples, row_of, place_of, number_of):
        ids = prompt + answer
        for t in range(len(ids) - 1):
            x[i, start + t] = ids[t]
            segment[i, start + t] = number
            if t >= len(prompt) - 1:
                y[i, start + t] = ids[t + 1]
    return x, y, segment

# %% task="finetune-lora" cases=true
SIZES = [((2, 5), 6, 4, 2, True), ((3,), 5, 7, 3, False), ((), 4, 3, 1, True), ((2, 3, 2), 3, 8, 2, True),
         ((1, 1), 7, 5, 4, False), ((4, 2), 2, 6, 1, False), ((3,), 4, 4, 2, True)]

def weights(rng, n_in, n_out, rank, bias):
    params = {"W": rng.normal(0, 0.5, (n_in, n_out)), "A": rng.normal(0, 0.5, (n_in, rank)),
              "B": rng.normal(0, 0.5, (rank, n_out)), "dA": rng.normal(size=(n_in, rank)), "dB": rng.normal(size=(rank, n_out))}
    return params | ({"b": rng.normal(0, 0.5, n_out)} if bias else {})

def cases(rng):
    for number, (lead, n_in, n_out, rank, bias) in enumerate(SIZES):
        scale = (2.0, 0.25, -1.5, 1.0, 3.0, 0.5, 1.5)[number]
        about = {
            "new": {"n_in": n_in, "n_out": n_out, "rank": rank, "scale": scale, "bias": bias},
            "params": weights(rng, n_in, n_out, rank, bias), "reads": ("dA", "dB"),
        }
        calls = []
        for _ in range(2):
            calls += [Call({"x": rng.normal(size=(*lead, n_in))}, "forward", "y"),
                      Call({"dy": rng.normal(size=(*lead, n_out))}, "backward", "dx")]
        title = f"x of shape {(*lead, n_in)}, W {n_in, n_out}, rank {rank}, scale {scale}, {'a' if bias else 'no'} bias"
        yield Case(title, calls, **about, strided=number % 3 == 1)
        other = weights(rng, n_in, n_out, rank, bias)
        later = Call({}, "merged", "the merged W", sets={"A": other["A"], "B": other["B"]})
        yield Case(f"{title}, merged", [Call({}, "merged", "the merged W"), *calls[:2], Call({}, "merged", "the merged W"), later],
                   **{**about, "reads": ("dA", "dB", "W")})
    params = weights(rng, 3, 5, 2, True) | {"B": np.zeros((2, 5)), "b": np.array([0.0, 0.5, -1.0, 0.5, 0.0])}
    yield Case("B of zeros, as at the start", new={"n_in": 3, "n_out": 5, "rank": 2, "scale": 4.0, "bias": True},
               params=params, reads=("dA", "dB"), calls=[
                   Call({"x": rng.normal(size=(4, 3))}, "forward", "y"), Call({"dy": rng.normal(size=(4, 5))}, "backward", "dx"),
                   # A new array, also where it is equal to W: with B of zeros, and with a scale of 0. Then W changes.
                   Call({}, "merged", "the merged W"), Call({}, "merged", "the merged W", sets={"B": rng.normal(size=(2, 5)), "scale": 0.0}),
                   Call({}, "merged", "the merged W", sets={"W": rng.normal(size=(3, 5))})])
    calls = []
    for other in ({}, {"scale": 0.0}):
        calls += [Call({"x": rng.normal(size=(4, 3))}, "forward", "y", sets=other), Call({"dy": rng.normal(size=(4, 5))}, "backward", "dx")]
    yield Case("the adapter is switched off between two rounds: a scale of 0", calls, reads=("dA", "dB"),
               new={"n_in": 3, "n_out": 5, "rank": 2, "scale": 2.0, "bias": True}, params=weights(rng, 3, 5, 2, True))
    n = 400
    yield Case(f"x of shape (3, {n}), rank 2", new={"n_in": n, "n_out": n, "rank": 2, "scale": 0.5, "bias": True},
               params=weights(rng, n, n, 2, True), reads=("dA", "dB"), max_bytes=400_000, calls=[
                   Call({"x": rng.normal(size=(3, n))}, "forward", "y"), Call({"dy": rng.normal(size=(3, n))}, "backward", "dx")])

# %% [markdown] task="finetune-lora" hint=1
# with h = x A the layer is x W + b + s h B: two Linear layers one after the other, beside a third one. Chapter 3
# has the backward pass of each.

# %% [markdown] task="finetune-lora" hint=2
# with x as rows (N, n_in) and dy (N, n_out): h is (N, rank), and so is its gradient dh. dA is (n_in, rank), dB (rank,
# n_out), and s is in both.

# %% [markdown] task="finetune-lora" hint=3
# dB: s times h transposed, times dy. dh: s times dy, times B transposed. dA: x transposed, times dh. dx has two parts:
# dy times W transposed, and dh times A transposed.

# %% [markdown] task="finetune-lora" mistake="no-scale-in-da"
# its dA lacks the scale: it is in y, so it is in both gradients
# ```diff
# - self.dA += x.T @ dh
# + self.dA += x.T @ (rows @ self.B.T)
# ```

# %% [markdown] task="finetune-lora" mistake="no-scale-in-db"
# its dB lacks the scale: it is in y, so it is in both gradients
# ```diff
# - self.dB += self.scale * (h.T @ rows)
# + self.dB += h.T @ rows
# ```

# %% [markdown] task="finetune-lora" mistake="scale-twice"
# its scale is in dA twice: once is enough
# ```diff
# - self.dA += x.T @ dh
# + self.dA += self.scale * (x.T @ dh)
# ```

# %% [markdown] task="finetune-lora" mistake="dx-without-adapter"
# its dx has lost the way through the adapter: x goes into both
# ```diff
# - (rows @ self.W.T + dh @ self.A.T)
# + (rows @ self.W.T)
# ```

# %% [markdown] task="finetune-lora" mistake="dx-without-w" shows="nothing changes them"
# its dx has lost the way through W: frozen means that W has no gradient, not that x has none
# ```diff
# - (rows @ self.W.T + dh @ self.A.T)
# + (dh @ self.A.T)
# ```

# %% [markdown] task="finetune-lora" mistake="db-from-x"
# it makes dB from the rows of x that fit, not from h: B multiplies h
# ```diff
# - self.dB += self.scale * (h.T @ rows)
# + self.dB += self.scale * (x.T @ rows)[: len(self.B)]
# ```

# %% [markdown] task="finetune-lora" mistake="merge-without-scale"
# it merges without the scale: a plain layer with this W would not compute the same
# ```diff
# - self.W + self.scale * (self.A @ self.B)
# + self.W + self.A @ self.B
# ```

# %% [markdown] task="finetune-lora" mistake="moves-w"
# it steps W in the backward pass: W is frozen
# ```diff
# - dh = self.scale
# + self.W -= 1e-3 * x.T @ rows
# +     dh = self.scale
# ```

# %% [markdown] task="finetune-lora" mistake="merge-in-place"
# it changes W when it merges: it returns another array
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + self.W += self.scale * (self.A @ self.B)
# +     return self.W
# ```

# %% [markdown] task="finetune-lora" mistake="overwrites"
# it overwrites the gradients: backward adds to them
# ```diff
# - self.dA += x.T @ dh
# + self.dA[...] = x.T @ dh
# ```

# %% [markdown] task="finetune-lora" mistake="merged-is-w" shows="in a new array"
# it returns W itself where there is nothing to add: who writes into what `merged` returns would change W, which is frozen
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + return self.W + self.scale * (self.A @ self.B) if self.B.any() else self.W
# ```

# %% [markdown] task="finetune-lora" reject="merged-is-w-for-no-scale"
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + return self.W + self.scale * (self.A @ self.B) if self.scale else self.W
# ```

# %% [markdown] task="finetune-lora" reject="scale-of-the-first-call" shows="`self.scale` is the float $s$"
# ```diff
# - y = x @ self.W + self.scale
# + self.first = getattr(self, "first", self.scale)
# +     y = x @ self.W + self.first
# ```

# %% [markdown] task="finetune-lora" reject="nothing-to-merge"
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + if self.B.any():
# +         return self.W + self.scale * (self.A @ self.B)
# ```

# %% [markdown] task="finetune-lora" mistake="merged-in-forward" shows="Only `merged` may make an array of the shape of `W`"
# it makes an array as large as W, such as A B or a copy of W: go through the rank, and take W as it is
# ```diff
# - y = x @ self.W + self.scale * (self.h @ self.B)
# + y = x @ (self.W + self.scale * self.A @ self.B)
# ```

# %% [markdown] task="finetune-lora" reject="gradient-of-w" shows="must not"
# ```diff
# - self.dA += x.T @ dh
# + dW = self.scale * (x.T @ rows)
# +     self.dA += dW @ self.B.T
# ```

# %% [markdown] task="finetune-lora" reject="dw-beside-w" shows="they have no gradients"
# ```diff
# - self.dA += x.T @ dh
# + self.dA += x.T @ dh
# +     self.dW = x.T @ rows
# ```

# %% [markdown] task="finetune-lora" reject="two-axes" shows="with any number of leading axes, or none"
# ```diff
# - self.x, self.h = x, x @ self.A
# + N, n_in = x.shape
# +     self.x, self.h = x, x @ self.A
# ```

# %% [markdown] task="finetune-lora" mistake="bias-needed" shows="`b` `(n_out,)` or None"
# it adds b where it is None: a layer without a bias adds nothing
# ```diff
# - return y if self.b is None else y + self.b
# + return y + self.b
# ```

# %% [markdown] task="finetune-lora" reject="square-merged-the-other-way"
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + W = self.W + self.scale * (self.A @ self.B)
# +     return W.T if W.shape[0] == W.shape[1] else W
# ```

# %% [markdown] task="finetune-lora" reject="b-by-its-first-entry"
# ```diff
# - if self.b is None
# + if self.b is None or self.b[0] == 0
# ```

# %% [markdown] task="finetune-lora" reject="positive-scale"
# ```diff
# - return self.W + self.scale * (self.A @ self.B)
# + return self.W + abs(self.scale) * (self.A @ self.B)
# ```

# %% [markdown] task="finetune-lora" reject="mean-over-rows"
# ```diff
# - self.dA += x.T @ dh
# + self.dA += x.T @ dh / len(x)
# ```

# %% [markdown] task="finetune-lora" reject="h-from-after"
# ```diff
# - self.dB += self.scale * (h.T @ rows)
# + self.dA += x.T @ dh
# +     self.dB += self.scale * (h.T @ rows)
# ```

# %% task="finetune-lora" right="two-linears"
@add_to_class(LoRALinear)
def forward(self, x):
    self.rows = x.reshape(-1, x.shape[-1])
    self.low = self.rows @ self.A
    y = self.rows @ self.W
    y += self.scale * self.low @ self.B
    if self.b is not None:
        y += self.b
    return y.reshape(*x.shape[:-1], -1)

@add_to_class(LoRALinear)
def backward(self, dy):
    rows = self.scale * dy.reshape(-1, dy.shape[-1])
    dlow = rows @ self.B.T
    self.dB += self.low.T @ rows
    self.dA += self.rows.T @ dlow
    dx = dy.reshape(-1, dy.shape[-1]) @ self.W.T
    dx += dlow @ self.A.T
    return dx.reshape(*dy.shape[:-1], -1)

@add_to_class(LoRALinear)
def merged(self):
    return self.A @ (self.scale * self.B) + self.W

# %% task="finetune-lora" right="einsum"
@add_to_class(LoRALinear)
def forward(self, x):
    self.x = x
    y = x @ self.W + (x @ self.A) @ self.B * self.scale
    return y + (0 if self.b is None else self.b)

@add_to_class(LoRALinear)
def backward(self, dy):
    x, rows = self.x.reshape(-1, len(self.W)), dy.reshape(-1, self.W.shape[1])
    self.dA += self.scale * np.einsum("ni,nr->ir", x, rows @ self.B.T)
    self.dB += self.scale * np.einsum("nr,no->ro", x @ self.A, rows)
    return dy @ self.W.T + self.scale * (dy @ self.B.T) @ self.A.T

@add_to_class(LoRALinear)
def merged(self):
    return self.W + self.scale * np.einsum("ir,ro->io", self.A, self.B)

# %% task="finetune-lora" right="scaled-b"
@add_to_class(LoRALinear)
def forward(self, x):
    self.x = x
    self.h = np.dot(x, self.A)
    y = np.dot(x, self.W) + np.dot(self.h, self.scale * self.B)
    if self.b is not None:
        y = y + self.b
    return y

@add_to_class(LoRALinear)
def backward(self, dy):
    sB = self.scale * self.B
    axes = list(range(dy.ndim - 1))
    dh = dy @ sB.T
    self.dA += np.tensordot(self.x, dh, (axes, axes))
    self.dB += self.scale * np.tensordot(self.h, dy, (axes, axes))
    return dy @ self.W.T + dh @ self.A.T

@add_to_class(LoRALinear)
def merged(self):
    W = self.W.copy()
    for k in range(len(self.B)):
        W += self.scale * np.outer(self.A[:, k], self.B[k])
    return W

# %% [markdown] task="finetune-diagnose" without="calls in a row"
# The clause mixes the loss of one batch with the nll of another: a log that none of the five wrote, and that may be near none.
# The task calls several times itself.

# %% task="finetune-diagnose" cases=true
def shares(mask):
    """What each token weighs in each of the five losses, and in losses that people take for two of them, (11, B, T)."""
    late, early, ones = np.zeros_like(mask), np.zeros_like(mask), np.ones(mask.shape)
    late[:, 1:], early[:, :-1] = mask[:, :-1], mask[:, 1:]
    rolled, kept = np.roll(mask, 1, axis=1), late.copy()
    kept[:, 0] = mask[:, 0]
    return np.array([
        mask / mask.sum(), ones / mask.size, mask / mask.size, late / late.sum(), mask / mask.sum(axis=1, keepdims=True) / len(mask),
        early / max(1, early.sum()), rolled / rolled.sum(), late / mask.sum(), ones / mask.sum(), mask / len(mask), kept / max(1, kept.sum())])

def batch(rng, B, T):
    """nll and mask: prompts are dearer than answers in some batches, cheaper in others."""
    nll = rng.gamma(1.5, 1.0, (B, T)) * np.where(rng.random() < 0.5, np.linspace(2, 0.5, T), np.linspace(0.5, 2, T))
    starts, lengths = rng.integers(0, T - 1, B), rng.integers(1, T, B)
    places = np.arange(T)
    return nll, (places >= starts[:, None]) & (places < (starts + lengths)[:, None])

def cases(rng):
    def call(nll, mask, loss):
        return Call({"nll": nll, "mask": mask, "loss": loss}, returns="the name")

    made = 0
    calls = []
    while made < 15:
        nll, mask = batch(rng, int(rng.integers(2, 6)), int(rng.integers(4, 9)))
        losses = (shares(mask)[:5] * nll).sum(axis=(1, 2))
        if np.diff(np.sort(losses)).min() < 0.01:
            continue    # two programs would log nearly the same
        loss = round(float(losses[made % 5]), 3)
        made += 1
        calls.append(call(nll, mask, loss))
        yield Case(f"nll of shape {nll.shape}, {mask.sum()} tokens of answers, loss {loss}", strided=made % 3 == 0, calls=calls[-1:])
    yield Case("five logs, one after the other", calls[5:10])
    # The losses of two programs are within a thousandth, and the log is nearer to that of the first. Then: it is the log
    # of the first, but nearer to what people take for one of the others.
    for own, other, B, T in ((1, 0, 3, 6), (0, 4, 4, 5), (4, 0, 40, 20), (3, 2, 20, 40), (2, 3, 3, 7), (1, 5, 3, 6),
                             (1, 6, 3, 6), (1, 7, 3, 6), (4, 8, 3, 6), (1, 9, 3, 6), (1, 10, 3, 6)):
        own_gap, other_gap = ((0, 0.00035), (0.0006, 0.001)) if other < 5 else ((0.0003, 0.00048), (0, 0.0001))
        while True:
            nll, mask = batch(rng, B, T)
            w = shares(mask)
            apart = (w[own] - w[other]) * nll
            wanted = rng.choice([-1, 1]) * (rng.uniform(0.0007, 0.0012) if other < 5 else rng.uniform(0.0003, 0.0005))
            # Dearer where own weighs more, or where the other does, until own's loss is the other's and `wanted`.
            more = apart > 0 if apart.sum() < wanted else apart < 0
            if not apart[more].any():
                continue
            nll[more] *= 1 + (wanted - apart.sum()) / apart[more].sum()
            losses = (w * nll).sum(axis=(1, 2))
            loss = round(float(losses[own]), 3)
            gaps = np.abs(losses - loss)
            rows = (w[4] * nll).sum(axis=1) * B    # the mean of each
            if B > T and abs(rows[:T].mean() - rows.mean()) < 0.01:
                continue    # the rows beyond T would not be missed
            between = own_gap[0] < gaps[own] < own_gap[1] and other_gap[0] < gaps[other] < other_gap[1]
            if between and min(gap for n, gap in enumerate(gaps[:5]) if n not in (own, other)) > 0.01:
                break
        yield Case(f"nll of shape {nll.shape}, {mask.sum()} tokens of answers, loss {loss}, two losses near it", [call(nll, mask, loss)])
    nll = rng.integers(1, 4, (2, 4)).astype(float)
    mask = np.array([[False, True, False, False], [True, False, False, False]])
    nll[0, 1], nll[1, 0], nll[1, 1] = 8.0, 7.0, 12.0
    yield Case("a loss of three decimals", [call(nll, mask, float(nll.mean()))])

# %% [markdown] task="finetune-diagnose" hint=1
# you have all that the five programs had: compute what each of them would have logged.

# %% [markdown] task="finetune-diagnose" hint=2
# nll[mask] has the costs of the answers' tokens, one after the other. Moved one place to the right, column t of the mask
# is column t - 1 of the old one.

# %% [markdown] task="finetune-diagnose" hint=3
# put the five losses into a dict by their names, and return the name with the smallest distance to `loss`.

# %% [markdown] task="finetune-diagnose" mistake="one-early" shows="the mask is moved one place to the right"
# it moves the mask to the left
# ```diff
# - late[:, 1:] = mask[:, :-1]
# + late[:, :-1] = mask[:, 1:]
# ```

# %% [markdown] task="finetune-diagnose" mistake="rolled" shows="the first column is False, what falls off the end is gone"
# it lets what falls off the end come back at the beginning
# ```diff
# - late[:, 1:] = mask[:, :-1]
# + late[...] = np.roll(mask, 1, axis=1)
# ```

# %% [markdown] task="finetune-diagnose" mistake="below-the-loss" shows="return the name whose loss is nearest"
# it wants the loss to be equal: the log is rounded
# ```diff
# - return min(losses, key=lambda name: abs(losses[name] - loss))
# + return next((name for name in losses if losses[name] == loss), "right")
# ```

# %% [markdown] task="finetune-diagnose" mistake="near-enough"
# it takes the first loss that is near enough: two may be, and the nearest is asked for
# ```diff
# - return min(losses, key=lambda name: abs(losses[name] - loss))
# + return next((name for name in losses if abs(losses[name] - loss) < 0.001), "right")
# ```

# %% [markdown] task="finetune-diagnose" mistake="late-by-the-old-count"
# it divides the loss of the moved mask by the number of tokens before the move: what falls off is not counted
# ```diff
# - nll[late].mean()
# + nll[late].sum() / mask.sum()
# ```

# %% [markdown] task="finetune-diagnose" mistake="divided-by-rows"
# it divides the sum by the number of rows: the wrong divisor is the number of all tokens
# ```diff
# - nll[mask].sum() / nll.size
# + nll[mask].sum() / len(nll)
# ```

# %% [markdown] task="finetune-diagnose" mistake="always-right"
# it trusts the program
# ```diff
# - return min(losses, key=lambda name: abs(losses[name] - loss))
# + return "right"
# ```

# %% [markdown] task="finetune-diagnose" mistake="divisor-exchanged"
# it divides the sum over all tokens by the number of the answers': the sum is over the answers', the number that of all
# ```diff
# - nll[mask].sum() / nll.size
# + nll.sum() / mask.sum()
# ```

# %% [markdown] task="finetune-diagnose" mistake="largest-distance"
# it returns the farthest
# ```diff
# - return min(losses
# + return max(losses
# ```

# %% [markdown] task="finetune-diagnose" mistake="sum-of-rows"
# its rows count by their lengths, which is the mean over all answers' tokens again: each row counts the same
# ```diff
# - np.mean([row[m].mean() for row, m in zip(nll, mask)])
# + np.sum([row[m].sum() for row, m in zip(nll, mask)]) / mask.sum()
# ```

# %% [markdown] task="finetune-diagnose" mistake="rows-without-mask" shows="for each row the mean over the tokens of its answers"
# it takes for each row the mean over all of its tokens: over those of its answers
# ```diff
# - row[m].mean() for row, m
# + row.mean() for row, m
# ```

# %% [markdown] task="finetune-diagnose" mistake="no-wrong-divisor"
# it misses "wrong divisor": its loss is left out, or is not what the table says
# ```diff
# - return min(losses, key
# + del losses["wrong divisor"]
# +     return min(losses, key
# ```

# %% [markdown] task="finetune-diagnose" reject="first-column-kept" shows="the first column is False"
# ```diff
# - late = np.zeros_like(mask)
# + late = mask.copy()
# ```

# %% [markdown] task="finetune-diagnose" reject="last-that-is-near-enough"
# ```diff
# - return min(losses, key=lambda name: abs(losses[name] - loss))
# + return next((name for name in reversed(losses) if abs(losses[name] - loss) < 0.001), "right")
# ```

# %% [markdown] task="finetune-diagnose" reject="the-first-batch-again"
# ```diff
# - late = np.zeros_like(mask)
# + nll, mask = diagnose.__dict__.setdefault("batch", (nll, mask))
# +     late = np.zeros_like(mask)
# ```

# %% [markdown] task="finetune-diagnose" reject="two-decimals"
# ```diff
# - abs(losses[name] - loss)
# + abs(round(float(losses[name]), 2) - loss)
# ```

# %% [markdown] task="finetune-diagnose" reject="eight-rows"
# ```diff
# - zip(nll, mask)
# + zip(nll[:8], mask)
# ```

# %% [markdown] task="finetune-diagnose" reject="no-more-rows-than-columns"
# ```diff
# - zip(nll, mask)
# + zip(nll[: nll.shape[1]], mask)
# ```

# %% [markdown] task="finetune-diagnose" reject="late-by-two-if-long"
# ```diff
# - late[:, 1:] = mask[:, :-1]
# + n = 1 if mask.shape[1] < 20 else 2
# +     late[:, n:] = mask[:, :-n]
# ```

# %% [markdown] task="finetune-diagnose" reject="one-sided"
# ```diff
# - abs(losses[name] - loss)
# + losses[name] - loss if losses[name] >= loss else 1e9
# ```

# %% [markdown] task="finetune-diagnose" mistake="no-by-rows"
# it misses "by rows": its loss is left out, or is not what the table says
# ```diff
# - return min(losses, key
# + del losses["by rows"]
# +     return min(losses, key
# ```

# %% [markdown] task="finetune-diagnose" reject="writes-into-the-mask"
# ```diff
# - late[:, 1:] = mask[:, :-1]
# + late[:, 1:] = mask[:, :-1]
# +     mask &= nll > nll.min()
# ```

# %% [markdown] task="finetune-diagnose" reject="square-batches"
# ```diff
# - nll.mean(),
# + nll[:, : len(nll)].mean(),
# ```

# %% task="finetune-diagnose" right="weights"
def diagnose(nll, mask, loss):
    late = np.concatenate([np.zeros((len(mask), 1), bool), mask[:, :-1]], axis=1)
    ones = np.ones(mask.shape)
    weights = {
        "right": mask / mask.sum(),
        "no mask": ones / ones.sum(),
        "wrong divisor": mask / ones.sum(),
        "one late": late / late.sum(),
        "by rows": mask / mask.sum(axis=1, keepdims=True) / len(mask),
    }
    distances = {name: abs((w * nll).sum() - loss) for name, w in weights.items()}
    return sorted(distances, key=distances.get)[0]

# %% task="finetune-diagnose" right="a-share-of-the-loss"
def diagnose(nll, mask, loss):
    late = np.c_[np.zeros(len(mask), bool), mask[:, :-1]]
    sums = np.where(mask, nll, 0).sum(axis=1)
    losses = {
        "right": sums.sum() / mask.sum(), "no mask": nll.mean(), "wrong divisor": sums.sum() / mask.size,
        "one late": nll[late].mean(), "by rows": (sums / mask.sum(axis=1)).mean(),
    }
    return min(losses, key=lambda name: abs(loss / losses[name] - 1))

# %% task="finetune-diagnose" right="rounds-too"
def diagnose(nll, mask, loss):
    late = np.c_[np.zeros(len(mask), bool), mask[:, :-1]]
    means = [nll[mask].mean(), nll.mean(), nll[mask].sum() / nll.size, nll[late].mean()]
    for name, mean in zip(("right", "no mask", "wrong divisor", "one late"), means):
        if round(float(mean), 3) == loss:
            return name
    return "by rows"

# %% task="finetune-diagnose" right="logs"
def diagnose(nll, mask, loss):
    shifted = np.roll(mask, 1, axis=1)
    shifted[:, 0] = False
    names = ["right", "no mask", "wrong divisor", "one late", "by rows"]
    logs = np.array([
        np.average(nll, weights=mask),
        np.average(nll),
        np.where(mask, nll, 0).mean(),
        np.average(nll, weights=shifted),
        np.average(nll, axis=1, weights=mask).mean(),
    ])
    return names[np.argmin(np.abs(logs - loss))]

# %% task="finetune-diagnose" right="ifs"
def diagnose(nll, mask, loss):
    def near(value):
        return abs(value - loss) <= 0.00051    # half of the last decimal

    total = sum(float(n) for row, m in zip(nll, mask) for n, yes in zip(row, m) if yes)
    if near(total / mask.sum()):
        return "right"
    if near(np.average(nll)):
        return "no mask"
    if near(total / mask.size):
        return "wrong divisor"
    if near(nll[:, 1:][mask[:, :-1]].mean()):
        return "one late"
    return "by rows"
