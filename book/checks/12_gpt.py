# %%
def linear(rng, name, n_in, n_out, bias):
    params = {f"{name}.W": rng.normal(0, 0.5, (n_in, n_out))}
    return params | ({f"{name}.b": rng.normal(0, 0.5, n_out)} if bias else {})

def norm(rng, name, C, bias):
    params = {f"{name}.gamma": rng.normal(1, 0.5, C)}
    return params | ({f"{name}.beta": rng.normal(0, 0.5, C)} if bias else {})

def gpt_params(rng, V, block_size, n_layer, C, tied, bias):
    params = {"wte.W": rng.normal(0, 0.5, (V, C)), "wpe.W": rng.normal(0, 0.5, (block_size, C))}
    for i in range(n_layer):
        block = f"blocks.{i}"
        params |= norm(rng, f"{block}.ln1", C, bias) | norm(rng, f"{block}.ln2", C, bias)
        params |= linear(rng, f"{block}.attn.qkv", C, 3 * C, bias)
        params |= linear(rng, f"{block}.attn.proj", C, C, bias)
        params |= linear(rng, f"{block}.ffn.fc1", C, 4 * C, bias)
        params |= linear(rng, f"{block}.ffn.fc2", 4 * C, C, bias)
    params |= norm(rng, "ln_f", C, bias)
    return params if tied else params | linear(rng, "head", C, V, False)

# %% task="gpt-count" cases=true
def cases(rng):
    for tied in (True, False):
        for bias in (True, False):
            for number in range(3):
                V, block_size, C = (int(n) for n in rng.integers(3, 90, 3))
                n_layer = [0, 40][number] if number < 2 else int(rng.integers(1, 9))
                args = {"vocab_size": V, "block_size": block_size + 100, "n_layer": n_layer, "n_embd": C}
                yield Case(f"V {V}, {n_layer} layers, C {C}, tied {tied}, bias {bias}",
                           [Call(args | {"tie_weights": tied, "bias": bias}, returns="the number")])
    args = {"vocab_size": 65, "block_size": 64, "n_layer": 4, "n_embd": 128}
    yield Case("the model of `make train`", [Call(args, returns="the number")])
    for key in ("tie_weights", "bias"):    # one of the two is given, by its name
        yield Case(f"{key} False", [Call(args, returns="the number", kwargs={key: False})])
    args = {"vocab_size": 50_257, "block_size": 1024, "n_layer": 48, "n_embd": 1600}
    yield Case("GPT-2 XL", [Call(args, returns="the number")])
    # Last, as the contract tries the last case several times: narrow, so that it can be built.
    args = {"vocab_size": 50_257, "block_size": 2048, "n_layer": 5000, "n_embd": 300}
    yield Case("more numbers than 32 bits can count", [Call(args, returns="the number")])

# %% [markdown] task="gpt-count" hint=1
# make a list of all arrays with their shapes, and add up.

# %% [markdown] task="gpt-count" hint=2
# a Linear from n to m has n m weights, and m biases; a LayerNorm has C gains, and C shifts; the
# tables are V × C and block_size × C.

# %% [markdown] task="gpt-count" hint=3
# tables, plus n_layer times a block (two norms, qkv, proj, fc1, fc2), plus the last norm, plus
# the head unless it is tied.

# %% [markdown] task="gpt-count" mistake="no-positions"
# the table of positions is missing
# ```diff
# -  + block_size * C
# +
# ```

# %% [markdown] task="gpt-count" mistake="tied-counted" shows=["it is the token table and adds nothing", "shared ones counted once"]
# a tied head is counted: it is the token table, whose numbers are there already
# ```diff
# - (0 if tie_weights else C * V)
# + C * V
# ```

# %% [markdown] task="gpt-count" mistake="head-never"
# the head is missing where it is not tied
# ```diff
# - (0 if tie_weights else C * V)
# + 0
# ```

# %% [markdown] task="gpt-count" mistake="no-final-norm"
# the LayerNorm after the blocks is missing
# ```diff
# -  + blocks + norm +
# +  + blocks +
# ```

# %% [markdown] task="gpt-count" mistake="one-norm"
# each block has two LayerNorms
# ```diff
# - 2 * norm
# + norm
# ```

# %% [markdown] task="gpt-count" mistake="qkv-single"
# qkv has 3 C outputs: queries, keys and values
# ```diff
# - C * 3 * C + 3 * C * bias
# + C * C + C * bias
# ```

# %% [markdown] task="gpt-count" mistake="biases-always"
# without bias, there are no biases and no β
# ```diff
# - V, C = vocab_size, n_embd
# + V, C, bias = vocab_size, n_embd, True
# ```

# %% [markdown] task="gpt-count" mistake="qkv-bias"
# lacks 3 C biases in each block: qkv has 3 C of them, and fc1 has 4 C
# ```diff
# - C * 3 * C + 3 * C * bias
# + C * 3 * C
# ```

# %% [markdown] task="gpt-count" mistake="beta-always" shows="without, LayerNorms keep their γ alone"
# a LayerNorm without bias has gains only
# ```diff
# - norm = C + C * bias
# + norm = 2 * C
# ```

# %% [markdown] task="gpt-count" mistake="no-tokens"
# the table of tokens is missing
# ```diff
# - return V * C + block_size
# + return block_size
# ```

# %% [markdown] task="gpt-count" mistake="no-gains"
# without bias a LayerNorm has lost its gains, too: only β goes
# ```diff
# - norm = C + C * bias
# + norm = 2 * C * bias
# ```

# %% [markdown] task="gpt-count" mistake="weights-only"
# the biases of qkv, proj, fc1 and fc2 are missing
# ```diff
# -  + 3 * C * bias
# +
# -  + C * C + C * bias
# +  + C * C
# -  + 4 * C * bias
# +
# -  + 4 * C * C + C * bias
# +  + 4 * C * C
# ```

# %% [markdown] task="gpt-count" mistake="tied-reversed"
# the head is counted where it is tied, and not where it has a matrix of its own
# ```diff
# - (0 if tie_weights else C * V)
# + (C * V if tie_weights else 0)
# ```

# %% [markdown] task="gpt-count" mistake="matrices-only"
# the blocks have biases and LayerNorms, too: 12 C² is their matrices
# ```diff
# - 2 * norm + attn + ffn
# + 12 * C * C
# ```

# %% [markdown] task="gpt-count" mistake="head-bias" shows="a C × V matrix that never has a bias"
# the head has no bias
# ```diff
# - C * V)
# + (C + bias) * V)
# ```

# %% [markdown] task="gpt-count" mistake="fc2-bias"
# counts 4 C biases for fc2: a bias belongs to an output, and fc2 has C of them
# ```diff
# - 4 * C * C + C * bias
# + 4 * C * C + 4 * C * bias
# ```

# %% [markdown] task="gpt-count" mistake="no-proj"
# the matrix of proj is missing: C × C in each block
# ```diff
# -  + C * C + C * bias
# +  + C * bias
# ```

# %% [markdown] task="gpt-count" mistake="head-each-block"
# counts the head in each block: it comes once, after the last
# ```diff
# - + norm + (0 if tie_weights else C * V)
# + + norm + n_layer * (0 if tie_weights else C * V)
# ```

# %% [markdown] task="gpt-count" mistake="last-norm-beta"
# the LayerNorm after the blocks loses its β without bias, like the others
# ```diff
# - blocks + norm +
# + blocks + 2 * C +
# ```

# %% [markdown] task="gpt-count" mistake="hidden-two"
# the feed-forward layer is not 4 C wide inside
# ```diff
# - 4 * C * bias + 4 * C * C
# + 2 * C * bias + 2 * C * C
# - ffn = C * 4 * C
# + ffn = C * 2 * C
# ```

# %% task="gpt-count" right="formula"
def num_params(vocab_size, block_size, n_layer, n_embd, tie_weights=True, bias=True):
    C = n_embd
    weights = 12 * C * C * n_layer + (2 * n_layer + 1) * C
    biases = ((3 + 1 + 4 + 1 + 2) * n_layer + 1) * C if bias else 0
    return weights + biases + (vocab_size * (1 if tie_weights else 2) + block_size) * C

# %% task="gpt-count" right="shapes"
def num_params(vocab_size, block_size, n_layer, n_embd, tie_weights=True, bias=True):
    C = n_embd
    shapes = [(vocab_size, C), (block_size, C)] + [(vocab_size, C)] * (not tie_weights)
    norms = [(C,)] * (2 * n_layer + 1)
    for _ in range(n_layer):
        for n_in, n_out in [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)]:
            shapes.append((n_in, n_out))
            if bias:
                shapes.append((n_out,))
    shapes += norms * (2 if bias else 1)
    return sum(int(np.prod(shape)) for shape in shapes)

# %% task="gpt-count" right="built"
def num_params(vocab_size, block_size, n_layer, n_embd, tie_weights=True, bias=True):
    rng = np.random.default_rng(0)
    block = TransformerBlock(n_embd, 1, 4 * n_embd, bias=bias, rng=rng)
    total = n_layer * block.num_params() + LayerNorm(n_embd, bias=bias).num_params()
    return total + (vocab_size * (2 - tie_weights) + block_size) * n_embd

# %% [markdown] task="gpt-count" reject="fc2-from-two"
# ```diff
# - 4 * C
# + 2 * C
# ```

# %% [markdown] task="gpt-count" mistake="head-bias-always"
# counts V biases of the head, with bias and without: it never has one
# ```diff
# - C * V)
# + C * V + V)
# ```

# %% [markdown] task="gpt-count" reject="default-tie" shows="tie_weights=True"
# ```diff
# - tie_weights=True
# + tie_weights=False
# ```

# %% [markdown] task="gpt-count" reject="default-bias" shows="bias=True"
# ```diff
# - bias=True
# + bias=False
# ```

# %% [markdown] task="gpt-count" reject="positional-order" shows="tie_weights=True, bias=True"
# ```diff
# - tie_weights=True, bias=True
# + bias=True, tie_weights=True
# ```

# %% [markdown] task="gpt-count" reject="one-block-at-least"
# ```diff
# - blocks = n_layer * (
# + blocks = max(n_layer, 1) * (
# ```

# %% [markdown] task="gpt-count" reject="int32"
# ```diff
# - V, C = vocab_size, n_embd
# + V, C = np.int32(vocab_size), np.int32(n_embd)
# ```

# %% [markdown] task="gpt-count" reject="float"
# ```diff
# - return V * C
# + return float(V) * C
# ```

# %% task="gpt-start" cases=true
def cases(rng):
    names = ["wte.W", "wpe.W", "head.W"]
    names += [f"blocks.{i}.{part}.W" for i in (0, 2, 3, 11, 12) for part in
              ("attn.qkv", "attn.proj", "ffn.fc1", "ffn.fc2")]
    for name in names:
        n_layer, V = int(rng.integers(12, 40)), int(rng.integers(30, 60_000))
        args = {"name": name, "n_layer": n_layer, "vocab_size": V}
        yield Case(f"{name}, {n_layer} layers, V = {V}",
                   [Call(args, returns=("the standard deviation", "the loss"))])
    calls = [Call({"name": f"blocks.3.{part}.W", "n_layer": 12, "vocab_size": 500},
                  returns=("the standard deviation", "the loss")) for part in ("ffn.fc1", "ffn.fc2", "ffn.fc1")]
    yield Case("fc1, fc2 and fc1 of one model", calls)
    for n_layer, V in [(1, 63), (2, 2), (1000, 200_000), (12, 63)]:    # the last block is like the others
        for part in ("attn.proj", "ffn.fc2"):
            args = {"name": f"blocks.{n_layer - 1}.{part}.W", "n_layer": n_layer, "vocab_size": V}
            yield Case(f"{args['name']}, {n_layer} layers, V = {V}",
                       [Call(args, returns=("the standard deviation", "the loss"))])

# %% [markdown] task="gpt-start" hint=1
# two kinds of matrices, told apart by the end of the name. How many branches has the model, and what becomes
# of variances when independent things are added?

# %% [markdown] task="gpt-start" hint=2
# everything is one number. A branch adds the square of its standard deviation; two branches a block.
# With V tokens alike, each has the probability 1/V.

# %% [markdown] task="gpt-start" hint=3
# 0.02, divided by the root of twice the number of layers for names that end with attn.proj.W or
# ffn.fc2.W; the loss is the logarithm of V.

# %% [markdown] task="gpt-start" mistake="never-scaled"
# is 0.02 for all: the matrices that end a branch start smaller
# ```diff
# - 0.02 / math.sqrt(2 * n_layer) if branch else 0.02
# + 0.02
# ```

# %% [markdown] task="gpt-start" mistake="all-scaled"
# is scaled for all: only the matrices that end a branch start smaller
# ```diff
# -  if branch else 0.02
# +
# ```

# %% [markdown] task="gpt-start" mistake="no-two"
# has √n_layer: each block adds two branches, so there are 2 n_layer of them
# ```diff
# - 2 * n_layer
# + n_layer
# ```

# %% [markdown] task="gpt-start" mistake="no-root"
# has no root: variances add up, standard deviations do not
# ```diff
# - math.sqrt(2 * n_layer)
# + (2 * n_layer)
# ```

# %% [markdown] task="gpt-start" mistake="proj-only"
# is scaled for attn.proj only: ffn.fc2 ends a branch, too
# ```diff
# - ("attn.proj.W", "ffn.fc2.W")
# + "attn.proj.W"
# ```

# %% [markdown] task="gpt-start" mistake="last-block-only"
# is scaled in the last block only: the branches of all blocks add up
# ```diff
# - branch = name.endswith
# + branch = f".{n_layer - 1}." in name and name.endswith
# ```

# %% [markdown] task="gpt-start" mistake="multiplied"
# is multiplied by √(2 n_layer): the more branches, the smaller each must be
# ```diff
# - 0.02 / math.sqrt
# + 0.02 * math.sqrt
# ```

# %% [markdown] task="gpt-start" mistake="variance"
# is the variance: the standard deviation is its root
# ```diff
# - return std,
# + return std**2,
# ```

# %% [markdown] task="gpt-start" mistake="own-depth"
# depends on the number of the block: all blocks have the same share
# ```diff
# - 2 * n_layer)
# + 2 * (int(name.split(".")[1]) + 1))
# ```

# %% [markdown] task="gpt-start" mistake="perplexity"
# is e to the power of the loss: the loss is the logarithm
# ```diff
# - math.log(vocab_size)
# + float(vocab_size)
# ```

# %% [markdown] task="gpt-start" mistake="bits"
# is in bits: the book's losses are in nats, with the natural logarithm
# ```diff
# - math.log(vocab_size)
# + math.log2(vocab_size)
# ```

# %% [markdown] task="gpt-start" mistake="probability"
# is the probability: the loss is minus its logarithm
# ```diff
# - math.log(vocab_size)
# + 1 / vocab_size
# ```

# %% [markdown] task="gpt-start" mistake="negative"
# is negative: the logarithm of a probability is, the loss is minus that
# ```diff
# - math.log(vocab_size)
# + -math.log(vocab_size)
# ```

# %% [markdown] task="gpt-start" mistake="reversed"
# is the smaller one for all but the matrices that end a branch: it is the other way round
# ```diff
# - if branch else 0.02
# + if not branch else 0.02
# ```

# %% [markdown] task="gpt-start" mistake="whole-branch"
# is scaled for qkv and fc1, too: only the matrix that ends a branch adds to the stream
# ```diff
# - name.endswith(("attn.proj.W", "ffn.fc2.W"))
# + "attn" in name or "ffn" in name
# ```

# %% [markdown] task="gpt-start" mistake="fc1-too"
# is scaled for fc1, too: fc2 ends the branch
# ```diff
# - ("attn.proj.W", "ffn.fc2.W")
# + ("attn.proj.W", "ffn.fc1.W", "ffn.fc2.W")
# ```

# %% [markdown] task="gpt-start" mistake="two-outside"
# has 2 √n_layer: the 2 belongs under the root
# ```diff
# - math.sqrt(2 * n_layer)
# + (2 * math.sqrt(n_layer))
# ```

# %% [markdown] task="gpt-start" mistake="order"
# is in the wrong place: return the standard deviation, then the loss
# ```diff
# - return std, math.log(vocab_size)
# + return math.log(vocab_size), std
# ```

# %% [markdown] task="gpt-start" reject="at-most-48-layers"
# ```diff
# - math.sqrt(2 * n_layer)
# + math.sqrt(2 * min(n_layer, 48))
# ```

# %% [markdown] task="gpt-start" right="numpy"
# ```diff
# - math.sqrt(2 * n_layer)
# + np.sqrt(2 * n_layer)
# - math.log(vocab_size)
# + -np.log(1 / vocab_size)
# ```

# %% task="gpt-start" right="split"
def start(name, n_layer, vocab_size):
    layer = name.split(".")[-2]
    std = 0.02
    if layer in ("proj", "fc2"):
        std *= (2 * n_layer) ** -0.5
    return std, math.log(vocab_size)

# %% task="gpt-start" right="loss-by-function"
def start(name, n_layer, vocab_size):
    loss = CrossEntropyLoss()(np.zeros((1, vocab_size)), np.array([0]))
    if "attn.proj" in name or "fc2" in name:
        return 0.02 / (2 * n_layer) ** 0.5, loss
    return 0.02, loss

# %% task="gpt-start" reject="kept-by-length"
kept_starts = {}
def start(name, n_layer, vocab_size):
    key = len(name), n_layer, vocab_size
    if key not in kept_starts:
        branch = name.endswith(("attn.proj.W", "ffn.fc2.W"))
        kept_starts[key] = 0.02 / math.sqrt(2 * n_layer) if branch else 0.02, math.log(vocab_size)
    return kept_starts[key]

# %% [markdown] task="gpt-start" reject="first-block-only"
# ```diff
# - name.endswith(("attn.proj.W", "ffn.fc2.W"))
# + name.startswith("blocks.0") and name.endswith(("attn.proj.W", "ffn.fc2.W"))
# ```

# %% [markdown] task="gpt-start" reject="rounded-loss"
# ```diff
# - math.log(vocab_size)
# + round(math.log(vocab_size), 4)
# ```

# %% [markdown] task="gpt-start" reject="contains"
# ```diff
# - name.endswith(("attn.proj.W", "ffn.fc2.W"))
# + "proj" in name or "2" in name
# ```

# %% task="gpt-backward" cases=true
def cases(rng):
    number = 0
    for tied in (True, False):
        for with_loss in (True, False):
            for options in [{}, {"strided": True}, {"float32": True}]:
                B, T, V, C, H = [(2, 3, 11, 6, 3), (1, 4, 7, 4, 2), (3, 1, 5, 4, 1), (2, 5, 6, 6, 2)][number % 4]
                bias, activation = number % 3 != 2, ["relu", "gelu"][bool(options) or number % 2]
                n_layer, number = 2 - number % 2, number + 1    # a loss with two layers is no odd case
                yield gpt_case(rng, B, T, V, C, H, n_layer, tied, bias, activation, [with_loss] * 2, **options)
        # One object, with targets and without; a loss whose gradient is 1, and not given, and one whose
        # gradient is large, and an int. Then a large gradient of the logits.
        yield gpt_case(rng, 2, 3, 7, 4, 2, 3, tied, True, "relu", [True, False, True], dloss=None)
        yield gpt_case(rng, 2, 3, 7, 4, 2, 1, tied, True, "gelu", [False], large=1e7)

def gpt_case(rng, B, T, V, C, H, n_layer, tied, bias, activation, with_loss, dloss=1.0, large=1, **options):
    """Some rounds, with a loss or without; the second batch is larger: no size may be counted on."""
    config = {"vocab_size": V, "block_size": T + 2, "n_layer": n_layer, "n_head": H,
              "n_embd": C, "activation": activation, "tie_weights": tied, "bias": bias}
    params = gpt_params(rng, V, T + 2, n_layer, C, tied, bias)
    params["ln_f.gamma"] *= large
    params |= {dname(name): 0.1 + 0.01 * np.arange(p.size).reshape(p.shape) for name, p in params.items()}
    calls = []
    for turn, loss in enumerate(with_loss):
        shape = (B + turn % 2 * (not options), T + turn % 2 * (not options))
        ids = rng.integers(0, V, shape)
        ids.flat[-1] = ids.flat[0]
        args = {"ids": ids} | ({"targets": rng.integers(0, V, shape)} if loss else {})
        calls.append(Call(args, "forward", ("logits", "loss") if loss else "logits"))
        dy = {"dy": rng.normal(size=(*shape, V)) * min(large, 300)}
        if loss:
            dy = {"dy": float(rng.normal(1, 0.3))}
            if dloss is None:
                dy = {"dy": 500} if turn else {}
        calls.append(Call(dy, "backward", "the returned value"))
    kinds = " then ".join("loss" if loss else "logits" for loss in dict.fromkeys(with_loss))
    title = f"{'tied' if tied else 'own'} head, {kinds}, ids {(B, T)}"
    title += ", large ln_f.gamma" * (large > 1) + ", dy not given, then 500" * (dloss is None)
    return Case(title + "".join(f", {name}" for name in options), calls,
                {"config": config, "rng": Rng(1), "dtype": "float64"}, params,
                tuple(name for name in params if name.rpartition(".")[2].startswith("d")), **options)

# %% [markdown] task="gpt-backward" hint=1
# go through forward from its last line to its first; each part has a backward pass, except the
# tied head.

# %% [markdown] task="gpt-backward" hint=2
# dlogits is (B, T, V), everything between is (B, T, C). The tied head is a Linear without bias
# whose matrix is wteᵀ. wpe was read at (T, C).

# %% [markdown] task="gpt-backward" hint=3
# loss; then the head (tied: add dlogits transposed times x to the token table's gradient, and go
# on with dlogits times the table); ln_f; the blocks from last to first; wpe with the sum over the
# batch; wte with all of it.

# %% [markdown] task="gpt-backward" mistake="tied-writing-forgotten"
# it lacks the gradient of writing: logits = x Wᵀ depends on the table directly
# ```diff
# -         self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
# ```

# %% [markdown] task="gpt-backward" mistake="reading-forgotten"
# it lacks the gradient of reading: the table was read at the ids
# ```diff
# -     self.wte.backward(dx)
# +
# ```

# %% [markdown] task="gpt-backward" mistake="positions-mean"
# it is a mean over the batch: every sequence used the same positions, and their gradients add up
# ```diff
# - dx.sum(axis=0)
# + dx.mean(axis=0)
# ```

# %% [markdown] task="gpt-backward" mistake="positions-first"
# it comes from the first sequence only: all of them used the same positions
# ```diff
# - dx.sum(axis=0)
# + dx[0]
# ```

# %% [markdown] task="gpt-backward" mistake="positions-forgotten"
# it stays as it was: positions are learned, too
# ```diff
# -     self.wpe.backward(dx.sum(axis=0))
# ```

# %% [markdown] task="gpt-backward" mistake="blocks-in-order"
# it goes through the blocks from first to last: the way back is the other way
# ```diff
# - reversed(self.blocks)
# + self.blocks
# ```

# %% [markdown] task="gpt-backward" mistake="no-ln-f"
# it goes past ln_f
# ```diff
# -     dx = self.ln_f.backward(dx)
# ```

# %% [markdown] task="gpt-backward" mistake="ignores-dloss"
# it forgets dy where there is a loss: pass it to the loss
# ```diff
# - self.loss.backward(dy) if
# + self.loss.backward() if
# ```

# %% [markdown] task="gpt-backward" mistake="always-loss"
# it treats dy as a gradient of the loss, even after a pass without targets
# ```diff
# - self.loss.backward(dy) if self.has_loss else dy
# + self.loss.backward(dy)
# ```

# %% [markdown] task="gpt-backward" mistake="tied-overwritten"
# it has lost what was there: the gradients of writing and of reading are added
# ```diff
# - self.wte.dW += dlogits
# + self.wte.dW[...] = dlogits
# ```

# %% [markdown] task="gpt-backward" mistake="clears-first"
# has lost what was there: backward only adds to the gradients; who trains calls zero_grad
# ```diff
# -     dlogits = self.loss
# +     self.zero_grad()
# +     dlogits = self.loss
# ```

# %% [markdown] task="gpt-backward" reject="blocks-taken-out"
# ```diff
# -     for block in reversed(self.blocks):
# -         dx = block.backward(dx)
# +     while self.blocks:
# +         dx = self.blocks.pop().backward(dx)
# ```

# %% [markdown] task="gpt-backward" mistake="dy-twice"
# has dy in it twice: self.loss.backward(dy) has multiplied by it already
# ```diff
# - self.loss.backward(dy) if
# + self.loss.backward(dy) * dy if
# ```

# %% [markdown] task="gpt-backward" mistake="ln_f-twice"
# it is counted twice: each backward pass adds to the gradients, so call ln_f's once
# ```diff
# -     dx = self.ln_f.backward(dx)
# +     self.ln_f.backward(dx)
# +     dx = self.ln_f.backward(dx)
# ```

# %% [markdown] task="gpt-backward" mistake="wte-twice"
# it is counted twice: each backward pass adds to the gradients, so call wte's once
# ```diff
# - self.wte.backward(dx)
# + self.wte.backward(dx)
# +     self.wte.backward(dx)
# ```

# %% [markdown] task="gpt-backward" mistake="blocks-reversed"
# is that of a model whose blocks have changed places: self.blocks.reverse() turns the list itself
# around, reversed(self.blocks) leaves it as it is
# ```diff
# - for block in reversed(self.blocks):
# + self.blocks.reverse()
# +     for block in self.blocks:
# ```

# %% [markdown] task="gpt-backward" mistake="last-block-only"
# it goes through the last block only
# ```diff
# - reversed(self.blocks)
# + self.blocks[-1:]
# ```

# %% [markdown] task="gpt-backward" mistake="x-before-norm"
# it is made from what went into the last LayerNorm: the head reads what came out, self.x
# ```diff
# - self.x.reshape(-1, C)
# + self.ln_f.xhat.reshape(-1, C)
# ```

# %% [markdown] task="gpt-backward" mistake="positions-not-summed"
# the position table gets (B, T, C): all sequences used the same T rows, so sum over the batch
# ```diff
# - dx.sum(axis=0)
# + dx
# ```

# %% [markdown] task="gpt-backward" mistake="positions-over-time"
# the sum runs over the positions: sum over the batch, axis 0, and keep one row for each position
# ```diff
# - dx.sum(axis=0)
# + dx.sum(axis=1)
# ```

# %% [markdown] task="gpt-backward" mistake="writing-transposed"
# the token table is (V, C): its gradient from writing is dlogitsᵀ x, not xᵀ dlogits
# ```diff
# - dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
# + self.x.reshape(-1, C).T @ dlogits.reshape(-1, V)
# ```

# %% [markdown] task="gpt-backward" mistake="table-transposed"
# forward multiplied by wteᵀ, so the way back is dlogits times wte, not wteᵀ
# ```diff
# - dlogits @ self.wte.W
# + dlogits @ self.wte.W.T
# ```

# %% [markdown] task="gpt-backward" mistake="batch-not-summed"
# dlogits and x have a batch axis, wte.dW has none: make rows of all B T positions first
# ```diff
# - dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
# + dlogits.swapaxes(-1, -2) @ self.x
# ```

# %% [markdown] task="gpt-backward" mistake="never-loss"
# after a pass with targets dy is the gradient of the loss: self.loss.backward(dy) turns it into
# that of the logits
# ```diff
# - self.loss.backward(dy) if self.has_loss else dy
# + dy
# ```

# %% [markdown] task="gpt-backward" mistake="never-tied"
# with tied weights self.head is None: there is no backward pass to call, write the two products
# ```diff
# - if self.head is None:
# + if False:
# ```

# %% [markdown] task="gpt-backward" mistake="always-tied" shows=["with tied weights it is None", "without tied weights"]
# a head of its own is skipped: where self.head is there, its backward pass does the work
# ```diff
# - if self.head is None:
# + if True:
# ```

# %% [markdown] task="gpt-backward" reject="floats-only" shows="after a pass with targets"
# ```diff
# - self.loss.backward(dy) if self.has_loss else dy
# + self.loss.backward(dy) if isinstance(dy, float) else dy
# ```

# %% [markdown] task="gpt-backward" reject="clipped"
# ```diff
# - self.loss.backward(dy) if self.has_loss else dy
# + np.clip(self.loss.backward(dy) if self.has_loss else dy, -10, 10)
# ```

# %% [markdown] task="gpt-backward" reject="clipped-without-loss"
# ```diff
# - self.loss.backward(dy) if self.has_loss else dy
# + self.loss.backward(dy) if self.has_loss else np.clip(dy, -100, 100)
# ```

# %% task="gpt-backward" right="head-method"
@add_to_class(GPT)
def _head_backward(self, dlogits):
    if self.head is not None:
        return self.head.backward(dlogits)
    self.wte.dW += np.einsum("btv,btc->vc", dlogits, self.x)
    return np.einsum("btv,vc->btc", dlogits, self.wte.W)

@add_to_class(GPT)
def backward(self, dy=1.0):
    dlogits = self.loss.backward(dy) if self.has_loss else dy
    dx = self.ln_f.backward(self._head_backward(dlogits))
    for block in self.blocks[::-1]:
        dx = block.backward(dx)
    self.wpe.backward(dx.sum(axis=0))
    self.wte.backward(dx)

# %% [markdown] task="gpt-backward" right="add-at"
# ```diff
# -     self.wpe.backward(dx.sum(axis=0))
# -     self.wte.backward(dx)
# +     np.add.at(self.wte.dW, self.wte.ids, dx)
# +     for sequence in dx:
# +         self.wpe.dW[: len(sequence)] += sequence
# ```

# %% [markdown] task="gpt-backward" right="tied-loop"
# ```diff
# -         self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
# +         for d, x in zip(dlogits.reshape(-1, V), self.x.reshape(-1, C)):
# +             self.wte.dW += np.outer(d, x)
# ```

# %% [markdown] task="gpt-backward" reject="repeats-once"
# ```diff
# -     self.wte.backward(dx)
# +     self.wte.dW[self.wte.ids] += dx
# ```

# %% [markdown] task="gpt-backward" reject="dx-scaled"
# ```diff
# -     dx = self.ln_f.backward(dx)
# +     dx = self.ln_f.backward(dx) * 0.9999
# ```

# %% [markdown] task="gpt-backward" reject="no-default" shows="dy=1.0"
# ```diff
# - dy=1.0
# + dy
# ```

# %% [markdown] task="gpt-backward" reject="default-2" shows="dy=1.0"
# ```diff
# - dy=1.0
# + dy=0.5
# ```

# %% [markdown] task="gpt-backward" reject="returns-dx" shows="return nothing"
# ```diff
# - self.wte.backward(dx)
# + self.wte.backward(dx)
# +     return dx
# ```

# %% [markdown] task="gpt-backward" reject="new-array" shows="add to its `dW` in place"
# ```diff
# - self.wte.dW += dlogits
# + self.wte.dW = self.wte.dW + dlogits
# ```

# %% [markdown] task="gpt-backward" reject="loss-once-seen" shows=["after a pass with targets", "without targets"]
# ```diff
# - dlogits = self.loss.backward(dy) if self.has_loss else dy
# + dlogits = self.loss.backward(dy) if hasattr(self.loss, "targets") else dy
# ```

# %% [markdown] task="gpt-backward" reject="T-of-first"
# ```diff
# - self.wpe.backward(dx.sum(axis=0))
# + if not hasattr(self, "T"):
# +         self.T = dx.shape[1]
# +     self.wpe.dW[: self.T] += dx.sum(axis=0)[: self.T]
# ```

# %% [markdown] task="gpt-backward" reject="two-blocks"
# ```diff
# - reversed(self.blocks)
# + reversed(self.blocks[:2])
# ```

# %% [markdown] task="gpt-backward" reject="blocks-popped"
# ```diff
# - for block in reversed(self.blocks):
# -         dx = block.backward(dx)
# + while self.blocks:
# +         dx = self.blocks.pop().backward(dx)
# ```

# %% task="gpt-backward" right="if-dy"
@add_to_class(GPT)
def backward(self, dy=1.0):
    d = dy
    if self.has_loss:
        d = self.loss.backward(dy)
    if self.config.tie_weights:
        self.wte.dW[...] += np.tensordot(d, self.x, axes=([0, 1], [0, 1]))
        d = d @ self.wte.W
    else:
        d = self.head.backward(d)
    d = self.ln_f.backward(d)
    for i in range(len(self.blocks) - 1, -1, -1):
        d = self.blocks[i].backward(d)
    self.wte.backward(d)
    self.wpe.dW[: d.shape[1]] += d.sum(axis=0)

# %% [markdown] task="gpt-backward" reject="x-spoilt"
# ```diff
# - dx = dlogits @ self.wte.W
# + self.x[...] = dlogits @ self.wte.W
# +         dx = self.x
# ```

# %% [markdown] task="gpt-backward" reject="dx-param"
# ```diff
# - dx = self.ln_f.backward(dx)
# + dx = self.dx = self.ln_f.backward(dx)
# ```

# %% [markdown] task="gpt-start" reject="last-block-not-scaled"
# ```diff
# -     branch = name.endswith
# +     branch = f".{n_layer - 1}." not in name and name.endswith
# ```
