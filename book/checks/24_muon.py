# %%
SHAPES = [(3, 5), (4, 4), (6, 2), (1, 7), (5, 1), (1, 1), (6, 7), (8, 6)]

# %% task="muon-polynomial" cases=true
def cases(rng):
    names = ("the polynomial of X", "whether a larger square is made")
    for number, shape in enumerate(SHAPES):
        a, b, c = (float(rng.uniform(0.5, 3) * sign) for sign in (1, -1, 1))
        X = rng.normal(0, 0.7, shape)
        options = ({}, {"strided": True}, {"float32": True})[number % 3]
        yield Case(f"X of shape {shape}, a {a:.2f}, b {b:.2f}, c {c:.2f}",
                   [Call({"X": X, "a": a, "b": b, "c": c}, returns=names)], dtypes=True, **options)
    for a, b, c in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -0.5, 0.7), (1.0, -0.5, 0.7)):
        X = rng.normal(0, 0.7, (4, 4))
        yield Case(f"X of shape (4, 4), a {a}, b {b}, c {c}",
                   [Call({"X": X, "a": a, "b": b, "c": c}, returns=names)])
    for shape in ((3, 900), (900, 3)):
        X = rng.normal(0, 0.05, shape)
        yield Case(f"X of shape {shape}", max_bytes=12 * X.nbytes, calls=[
            Call({"X": X, "a": 3.4, "b": -4.8, "c": 2.0}, returns=names)])

# %% [markdown] task="muon-polynomial" hint=1
# all three terms begin with X. What is multiplied onto it is a square matrix, of which the second and the
# third are made: which square, and from which side?

# %% [markdown] task="muon-polynomial" hint=2
# for a wide X, of shape (n, m) with n at most m, the square is (n, n) and stands to the left; for a tall one it
# is (m, m) and stands to the right.

# %% [markdown] task="muon-polynomial" hint=3
# make A, the smaller square. Add b times A to c times the matrix product of A with itself, multiply with X
# from the side where the shapes fit, and add a times X.

# %% [markdown] task="muon-polynomial" mistake="cubes-of-entries"
# takes powers of the entries: it is the singular values that should be cubed, and matrix products do it
# ```diff
# -     if X.shape[0] <= X.shape[1]:
# +     return a * X + b * X**3 + c * X**5
# +     if X.shape[0] <= X.shape[1]:
# ```

# %% task="muon-polynomial" mistake="square-of-entries"
# squares the entries of the square: (X Xᵀ)² is the matrix product of X Xᵀ with itself
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return a * X + (b * A + c * A * A) @ X
    A = X.T @ X
    return a * X + X @ (b * A + c * A * A)

# %% task="muon-polynomial" mistake="no-square"
# has a cube where a fifth power should be: the third term takes X Xᵀ twice
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        return a * X + (b + c) * (X @ X.T) @ X
    return a * X + (b + c) * X @ (X.T @ X)

# %% task="muon-polynomial" mistake="no-linear-term"
# lacks its first term, a X: small sizes would stay as small as they are
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return (b * A + c * A @ A) @ X
    A = X.T @ X
    return X @ (b * A + c * A @ A)

# %% task="muon-polynomial" mistake="wrong-side" shows="X may be wide or tall"
# uses Xᵀ X from the left, which is not the same matrix where X is square: X Xᵀ stands to the left, Xᵀ X to the right
def odd_polynomial(X, a, b, c):
    if X.shape[0] < X.shape[1]:
        A = X @ X.T
        return a * X + (b * A + c * A @ A) @ X
    A = X.T @ X
    if X.shape[0] == X.shape[1]:
        return a * X + (b * A + c * A @ A) @ X
    return a * X + X @ (b * A + c * A @ A)

# %% task="muon-polynomial" mistake="larger-square" shows="make the smaller of the two squares, and never the other one"
# makes the larger square of a tall matrix: use Xᵀ X there, from the right
def odd_polynomial(X, a, b, c):
    A = X @ X.T
    return a * X + b * A @ X + c * A @ (A @ X)

# %% task="muon-polynomial" mistake="a-on-the-diagonal-of-all"
# adds a to every entry of the square: only on its diagonal does it give a X
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return (a + b * A + c * A @ A) @ X
    A = X.T @ X
    return X @ (a + b * A + c * A @ A)

# %% task="muon-polynomial" mistake="signs"
# has the sign of b changed: all terms are added, and it is b itself that may be negative
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return a * X - b * A @ X + c * A @ (A @ X)
    A = X.T @ X
    return a * X - b * X @ A + c * (X @ A) @ A

# %% task="muon-polynomial" reject="in-place" shows="X stays as it is"
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= X.shape[1]:
        A = X @ X.T
        more = (b * A + c * A @ A) @ X
    else:
        A = X.T @ X
        more = X @ (b * A + c * A @ A)
    X *= a
    X += more
    return X

# %% task="muon-polynomial" mistake="larger-square-of-a-wide-one" shows="and very much so"
# makes the larger square of a wide matrix: use X Xᵀ there, from the left
def odd_polynomial(X, a, b, c):
    A = X.T @ X
    return a * X + X @ (b * A + c * A @ A)

# %% task="muon-polynomial" mistake="larger-square-of-a-slightly-wide-one" shows="make the smaller of the two squares"
# makes the larger square of a matrix that is a little wider than tall: compare rows with columns, and nothing else
def odd_polynomial(X, a, b, c):
    if 2 * X.shape[0] <= X.shape[1]:
        A = X @ X.T
        return a * X + (b * A + c * A @ A) @ X
    A = X.T @ X
    return a * X + X @ (b * A + c * A @ A)

# %% task="muon-polynomial" mistake="larger-square-of-a-slightly-tall-one"
# makes the larger square of a matrix that is a little taller than wide: compare rows with columns, and nothing else
def odd_polynomial(X, a, b, c):
    if X.shape[0] <= 1.4 * X.shape[1]:
        A = X @ X.T
        return a * X + (b * A + c * A @ A) @ X
    A = X.T @ X
    return a * X + X @ (b * A + c * A @ A)

# %% [markdown] task="muon-polynomial" reject="float64-inside" shows="The result has the dtype of X"
# ```diff
# -     if X.shape[0] <= X.shape[1]:
# +     X = X.astype(float)
# +     if X.shape[0] <= X.shape[1]:
# ```

# %% [markdown] task="muon-polynomial" reject="into-x-where-a-is-1"
# ```diff
# -         return a * X + (b * A + c * A @ A) @ X
# +         Y = X if a == 1 else a * X
# +         Y += (b * A + c * A @ A) @ X
# +         return Y
# ```

# %% task="muon-polynomial" right="identity"
def odd_polynomial(X, a, b, c):
    wide = X.shape[0] <= X.shape[1]
    A = X @ X.T if wide else X.T @ X
    P = a * np.eye(len(A), dtype=X.dtype) + b * A + c * A @ A
    return P @ X if wide else X @ P

# %% task="muon-polynomial" right="turned"
def odd_polynomial(X, a, b, c):
    if X.shape[0] > X.shape[1]:
        return odd_polynomial(X.T, a, b, c).T
    A = X @ X.T
    cube = A @ X
    return a * X + b * cube + c * (A @ cube)

# %% task="muon-polynomial" right="decomposition"
def odd_polynomial(X, a, b, c):
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    return (U * (a * s + b * s**3 + c * s**5)) @ Vt

# %% task="muon-orthogonalize" cases=true
def cases(rng):
    for number, shape in enumerate(SHAPES):
        steps = (5, 3, 1, 0, 4, 2, 12, 3)[number]
        G = rng.normal(0, 10.0 ** rng.integers(-3, 4), shape)
        options = ({}, {"strided": True}, {})[number % 3]
        yield Case(f"G of shape {shape}, steps {steps}",
                   [Call({"G": G, "steps": steps, "eps": 1e-7}, returns="the result")], **options)
    for shape in ((4, 6), (6, 4)):
        G = rng.normal(size=shape)
        yield Case(f"G of shape {shape}, steps and eps by default", [Call({"G": G}, returns="the result")])
        yield Case(f"G of shape {shape}, float32", [Call({"G": G, "steps": 3}, returns="the result")],
                   float32=True, dtypes=True)
    for shape in ((3, 900), (900, 3)):
        G = rng.normal(size=shape)
        yield Case(f"G of shape {shape}", [Call({"G": G, "steps": 2}, returns="the result")],
                   max_bytes=12 * G.nbytes)
    for scale, eps in ((1e-7, 1e-3), (1e-9, 0.5)):
        G = scale * rng.normal(size=(3, 4))
        yield Case(f"G of size {scale:g}, eps by default", [Call({"G": G, "steps": 2}, returns="the result")])
        yield Case(f"G of size {scale:g}, eps {eps:g}",
                   [Call({"G": G, "steps": 2, "eps": eps}, returns="the result")])
    for options in ({}, {"float32": True}):
        yield Case(f"G of zeros{', float32' * len(options)}", [Call({"G": np.zeros((2, 3))}, returns="the result")],
                   dtypes=True, **options)

# %% [markdown] task="muon-orthogonalize" hint=1
# one division, then the same polynomial again and again; a tall matrix can be turned before and after.

# %% [markdown] task="muon-orthogonalize" hint=2
# the norm is one number, of all entries of G. Whatever the shape, the loop works on a wide X, (n, m) with n at
# most m, and its square is (n, n).

# %% [markdown] task="muon-orthogonalize" hint=3
# X is G over its norm and eps, turned if tall; in each step make the square of X, then a times X plus b and c
# times its powers times X; turn back at the end.

# %% [markdown] task="muon-orthogonalize" mistake="no-norm"
# is not divided by its norm first: sizes above 1.2 grow without end
# ```diff
# - X = G / max(np.linalg.norm(G), eps)
# + X = G
# ```

# %% [markdown] task="muon-orthogonalize" mistake="largest-singular-value" shows="the root of the sum of its squares"
# is divided by its largest singular value: that is the norm of a matrix with 2 as its second argument; here it is the root of the sum of
# squares
# ```diff
# - np.linalg.norm(G)
# + np.linalg.norm(G, 2)
# ```

# %% [markdown] task="muon-orthogonalize" mistake="rows"
# is divided row by row: one norm for the whole matrix, or the directions change
# ```diff
# - np.linalg.norm(G)
# + np.linalg.norm(G, axis=1, keepdims=True)
# ```

# %% [markdown] task="muon-orthogonalize" mistake="norm-in-each-step"
# is divided by its norm in each step: once is enough, and later it undoes what the polynomial did
# ```diff
# -     for _ in range(steps):
# +     for _ in range(steps):
# +         X = X / max(np.linalg.norm(X), eps)
# ```

# %% [markdown] task="muon-orthogonalize" mistake="not-turned-back" shows="of the shape and dtype of G"
# is turned on its side: a tall G is turned before the loop, so turn the result back
# ```diff
# - return X.T if G.shape[0] > G.shape[1] else X
# + return X
# ```

# %% [markdown] task="muon-orthogonalize" mistake="one-step"
# has had one step only: apply the polynomial `steps` times, each time to the last result
# ```diff
# - for _ in range(steps):
# + for _ in range(min(steps, 1)):
# ```

# %% [markdown] task="muon-orthogonalize" mistake="same-square"
# makes its square once, before the loop: X changes, and its square with it
# ```diff
# -     for _ in range(steps):
# -         A = X @ X.T
# +     A = X @ X.T
# +     for _ in range(steps):
# ```

# %% [markdown] task="muon-orthogonalize" mistake="cubic"
# uses the coefficients of the cubic polynomial, 1.5 and -0.5: COEFFICIENTS holds those that are asked for
# ```diff
# - a, b, c = COEFFICIENTS
# + a, b, c = 1.5, -0.5, 0.0
# ```

# %% [markdown] task="muon-orthogonalize" mistake="order-of-coefficients"
# takes the coefficients in the wrong order: the first belongs to X, the last to the fifth power
# ```diff
# - a, b, c = COEFFICIENTS
# + c, b, a = COEFFICIENTS
# ```

# %% task="muon-orthogonalize" mistake="larger-square"
# makes the larger square of a tall matrix: use Xᵀ X there, from the right, or turn it first
def orthogonalize(G, steps=5, eps=1e-7):
    a, b, c = COEFFICIENTS
    X = G / max(np.linalg.norm(G), eps)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X

# %% task="muon-orthogonalize" mistake="larger-square-of-a-wide-one"
# makes the larger square of a wide matrix: use X Xᵀ there, from the left
def orthogonalize(G, steps=5, eps=1e-7):
    a, b, c = COEFFICIENTS
    X = G / max(np.linalg.norm(G), eps)
    for _ in range(steps):
        A = X.T @ X
        X = a * X + X @ (b * A + c * A @ A)
    return X

# %% [markdown] task="muon-orthogonalize" reject="eps-in-float64" shows="of the shape and dtype of G"
# ```diff
# - X = G / max(np.linalg.norm(G), eps)
# + X = G / max(np.linalg.norm(G), np.float64(eps))
# ```

# %% [markdown] task="muon-orthogonalize" reject="float64-inside" shows="of the shape and dtype of G"
# ```diff
# - X = G / max(np.linalg.norm(G), eps)
# + X = G.astype(float) / max(np.linalg.norm(G), eps)
# ```

# %% [markdown] task="muon-orthogonalize" reject="ten-steps-at-most"
# ```diff
# - range(steps)
# + range(min(steps, 10))
# ```

# %% [markdown] task="muon-orthogonalize" reject="small-eps-only"
# ```diff
# - max(np.linalg.norm(G), eps)
# + max(np.linalg.norm(G), min(eps, 1e-3))
# ```

# %% [markdown] task="muon-orthogonalize" reject="in-place" shows="G stays as it is"
# ```diff
# - X = G / max(np.linalg.norm(G), eps)
# + X = G
# +     X /= max(np.linalg.norm(G), eps)
# ```

# %% [markdown] task="muon-orthogonalize" reject="four-steps" shows="steps=5"
# ```diff
# - steps=5
# + steps=4
# ```

# %% [markdown] task="muon-orthogonalize" reject="another-eps" shows="eps=1e-7"
# ```diff
# - eps=1e-7
# + eps=1e-8
# ```

# %% [markdown] task="muon-orthogonalize" reject="eps-added" shows="or by eps where that is larger"
# ```diff
# - max(np.linalg.norm(G), eps)
# + (np.linalg.norm(G) + eps)
# ```

# %% [markdown] task="muon-orthogonalize" reject="at-least-a-step" shows="(it may be 0)"
# ```diff
# - range(steps)
# + range(max(steps, 1))
# ```

# %% [markdown] task="muon-orthogonalize" reject="zeros-are-nan" shows="A G of zeros gives zeros"
# ```diff
# - max(np.linalg.norm(G), eps)
# + (max(np.linalg.norm(G), eps) if G.any() else np.nan)
# ```

# %% task="muon-orthogonalize" right="both-squares"
def orthogonalize(G, steps=5, eps=1e-7):
    a, b, c = COEFFICIENTS
    X = G / np.maximum(np.sqrt((G * G).sum()), eps).astype(G.dtype)
    for _ in range(steps):
        if X.shape[0] <= X.shape[1]:
            A = X @ X.T
            X = a * X + b * A @ X + c * A @ (A @ X)
        else:
            A = X.T @ X
            X = a * X + b * X @ A + c * (X @ A) @ A
    return X

# %% task="muon-orthogonalize" right="decomposition"
def orthogonalize(G, steps=5, eps=1e-7):
    a, b, c = COEFFICIENTS
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    s = s / max(np.linalg.norm(G), eps)
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (U * s) @ Vt

# %% task="muon-orthogonalize" right="recursion"
def orthogonalize(G, steps=5, eps=1e-7):
    if G.shape[0] > G.shape[1]:
        return orthogonalize(G.T, steps, eps).T
    if steps == 0:
        return G / max(np.linalg.norm(G), eps)
    X = orthogonalize(G, steps - 1, eps)
    A, (a, b, c) = X @ X.T, COEFFICIENTS
    P = b * A + c * A @ A
    P += a * np.eye(len(A), dtype=P.dtype)
    return P @ X

# %% task="muon-matrices" cases=true
def cases(rng):
    widths = {"qkv": [6, 2, 2], "gates": [5, 5], "kv": [3, 1]}
    shown = str(widths)
    for number, (name, n, m) in enumerate((
        ("blocks.0.attn.qkv.W", 4, 10), ("blocks.11.ffn.gates.W", 3, 10), ("kv.W", 5, 4),
        ("blocks.0.attn.proj.W", 6, 4), ("blocks.0.ffn.qkv_like.W", 3, 10), ("qkv.proj.W", 2, 10),
        ("blocks.qkv.2.gates.W", 7, 10), ("qkv2.W", 2, 10), ("blocks.0.attn.qkv.weight", 4, 10), ("x.my_qkv.W", 3, 10),
        ("x.QKV.W", 3, 10), ("x.kvW.W", 2, 4), ("model.decoder.blocks.2.attn.kv.W", 1, 4), ("attn.qkv.W", 4, 10),
        ("attn.qkv.W", 4, 10),
    )):
        options = {"strided": number == 13, "float32": number == 14}
        yield Case(f"{name}, W of shape {(n, m)}, widths {shown}" + ", float32" * options["float32"],
                   [Call({"name": name, "W": rng.normal(size=(n, m)), "widths": widths},
                         returns=("whether it is a list", "the shapes", "W, numbered"))], **options)
    for widths in ({}, {"qkv": [9]}, {"qkv": [3, 3, 3]}, {"qkv": [1, 2, 3, 3]}):
        yield Case(f"attn.qkv.W, W of shape (4, 9), widths {widths}",
                   [Call({"name": "attn.qkv.W", "W": rng.normal(size=(4, 9)), "widths": widths},
                         returns=("whether it is a list", "the shapes", "W, numbered"))])

# %% [markdown] task="muon-matrices" hint=1
# first the kind of layer, from the name; then the columns where one matrix ends and the next begins.

# %% [markdown] task="muon-matrices" hint=2
# a slice of an array is a view of it. The first matrix has the columns 0 to w₀, the second w₀ to w₀ + w₁, ….

# %% [markdown] task="muon-matrices" hint=3
# split the name at its dots and take the last part but one. Split W along its columns at the sums of the first
# one, two, … widths, without the sum of all.

# %% [markdown] task="muon-matrices" mistake="rows"
# cuts W into rows: its matrices stand side by side, so it is the columns that are cut
# ```diff
# - axis=1
# + axis=0
# ```

# %% [markdown] task="muon-matrices" mistake="widths-as-places"
# takes the widths for the places where to cut: these are sums of widths
# ```diff
# - np.cumsum(widths[kind])[:-1]
# + widths[kind][:-1]
# ```

# %% [markdown] task="muon-matrices" mistake="empty-last"
# has an empty matrix at its end: the last sum is the end of W, where nothing is to be cut
# ```diff
# - np.cumsum(widths[kind])[:-1]
# + np.cumsum(widths[kind])
# ```

# %% [markdown] task="muon-matrices" mistake="equal-parts"
# cuts equal parts: the matrices may have different widths
# ```diff
# - np.cumsum(widths[kind])[:-1]
# + len(widths[kind])
# ```

# %% [markdown] task="muon-matrices" mistake="copies" shows="as views: whoever changes one of them changes W"
# are copies, and W stays as it was: return views, which slices are
# ```diff
# - return np.split(W, np.cumsum(widths[kind])[:-1], axis=1)
# + return [part.copy() for part in np.split(W, np.cumsum(widths[kind])[:-1], axis=1)]
# ```

# %% [markdown] task="muon-matrices" mistake="anywhere-in-the-name" shows="whatever else its path holds"
# looks for the kind anywhere in the name: it is the last part but one
# ```diff
# - kind = name.split(".")[-2]
# + kind = next((kind for kind in widths if kind in name), None)
# ```

# %% [markdown] task="muon-matrices" mistake="not-in-a-list" shows="A kind that is not in `widths` has one matrix, W itself"
# is W alone, and not a list of one: whoever walks over it would get rows
# ```diff
# - return [W]
# + return W
# ```

# %% [markdown] task="muon-matrices" mistake="none-of-other-kinds"
# has no view of W where the kind is not in widths: such a W is one matrix, and stands in the list itself
# ```diff
# - return [W]
# + return []
# ```

# %% [markdown] task="muon-matrices" mistake="end-of-the-name"
# looks at how the name ends: the kind is all of the last part but one, and a parameter may have any name
# ```diff
# - kind = name.split(".")[-2]
# + kind = next((kind for kind in widths if name.endswith(kind + ".W")), None)
# ```

# %% [markdown] task="muon-matrices" reject="end-of-the-kind"
# ```diff
# - kind = name.split(".")[-2]
# + last = name.split(".")[-2]
# +     kind = next((kind for kind in widths if last.endswith(kind)), None)
# ```

# %% [markdown] task="muon-matrices" reject="two-letters-off"
# ```diff
# - name.split(".")[-2]
# + name[:-2].split(".")[-1]
# ```

# %% [markdown] task="muon-matrices" reject="letters-stripped"
# ```diff
# - name.split(".")[-2]
# + (name.rstrip(".W") if name.endswith("W") else name.rpartition(".")[0]).split(".")[-1]
# ```

# %% [markdown] task="muon-matrices" reject="lower-case"
# ```diff
# - name.split(".")[-2]
# + name.split(".")[-2].lower()
# ```

# %% [markdown] task="muon-matrices" reject="one-row"
# ```diff
# - if kind not in widths:
# + if kind not in widths or len(W) == 1:
# ```

# %% [markdown] task="muon-matrices" reject="contiguous-first"
# ```diff
# - kind = name.split(".")[-2]
# + kind, W = name.split(".")[-2], np.ascontiguousarray(W)
# ```

# %% [markdown] task="muon-matrices" reject="float64-first"
# ```diff
# - kind = name.split(".")[-2]
# + kind, W = name.split(".")[-2], np.asarray(W, float)
# ```

# %% [markdown] task="muon-matrices" reject="last-part"
# ```diff
# - name.split(".")[-2]
# + name.split(".")[-1]
# ```

# %% [markdown] task="muon-matrices" reject="other-order" shows="a list of the matrices in W, in order"
# ```diff
# - return np.split(W, np.cumsum(widths[kind])[:-1], axis=1)
# + return np.split(W, np.cumsum(widths[kind])[:-1], axis=1)[::-1]
# ```

# %% [markdown] task="muon-matrices" reject="a-tuple" shows="Return a list of the matrices"
# ```diff
# - return np.split(W, np.cumsum(widths[kind])[:-1], axis=1)
# + return tuple(np.split(W, np.cumsum(widths[kind])[:-1], axis=1))
# ```

# %% [markdown] task="muon-matrices" reject="three" shows="A layer may hold several matrices in one array"
# ```diff
# - np.cumsum(widths[kind])[:-1]
# + np.cumsum(widths[kind])[:2]
# ```

# %% task="muon-matrices" right="slices"
def matrices(name, W, widths):
    *path, kind, parameter = name.split(".")
    start, found = 0, []
    for width in widths.get(kind, [W.shape[1]]):
        found.append(W[:, start : start + width])
        start += width
    return found

# %% task="muon-matrices" right="ends"
def matrices(name, W, widths):
    layer = name.rpartition(".")[0].rpartition(".")[2]
    if layer in widths:
        ends = np.cumsum(widths[layer])
        return [W[:, end - width : end] for end, width in zip(ends, widths[layer])]
    return [W]

# %% task="muon-matrices" right="sums"
def matrices(name, W, widths):
    w = widths.get(name.split(".")[-2])
    if w is None:
        return [W]
    return [W[:, sum(w[:i]) : sum(w[: i + 1])] for i in range(len(w))]

# %% task="muon-step" cases=true
def cases(rng):
    models = [
        {"W": (3, 5), "b": (5,)}, {"b": (4,), "K": (2, 3, 2), "wpe": (6, 2)}, {"lm_head": (4, 4), "norm_bias": (4, 4)},
        {"gain": (3, 2), "b": (1, 70), "s": ()}, {"wte": (5, 3), "embedding": (7, 1), "W": (3,)},
    ]
    for number, shapes in enumerate(models):
        for decay in (0.0, float(rng.uniform(0.1, 0.9))):
            lr, mu = float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.3, 0.9))
            options = ({}, {"strided": True}, {}, {"float32": True, "dtypes": True}, {})[number]
            yield step_case(rng, shapes, [lr, lr, lr, 0.3 * lr], mu, decay, **options)
    yield step_case(rng, models[0], [0.2, 0.2, 0.0, 0.1], 0.0, 0.3)
    yield step_case(rng, models[1], [0.2, 0.1, 0.1], 0.6, 0.2, zeros=True)
    yield step_case(rng, models[0], [0.2, 0.1], 0.5, 0.3, size=0.0)
    yield step_case(rng, models[0], [0.2, 2.5, 2.5], 0.5, 0.8, later={"momentum": 0.9, "weight_decay": 0.6})

def step_case(rng, shapes, rates, momentum, decay, zeros=False, size=0.5, later=None, **options):
    """A case of some steps, each with gradients of its own, the rate changing at times."""
    start = {name: np.asarray(rng.normal(0, size, shape)) for name, shape in shapes.items()}
    # Only the same names are promised: the gradients come in another order.
    grads = {name: np.zeros(shape) for name, shape in reversed(shapes.items())}
    calls = []
    for number, lr in enumerate(rates):
        slope = rng.uniform(0.5, 3) * (not (zeros and number == 1))
        g = {f"model.d{name}": np.asarray(rng.normal(0, 1, shape) * slope) for name, shape in shapes.items()}
        changes = {"lr": lr} if number and lr != rates[number - 1] else {}
        changes |= (later or {}) if number == 2 else {}
        calls.append(Call({}, "step", "the returned value", sets=g | changes))
    calls.append(Call({}, "zero_grad", None))
    reads = [f"m.{name}" for name, shape in shapes.items() if len(shape) == 2]
    reads += [f"model.{name}" for name in shapes]
    params = {f"model.{name}": p for name, p in start.items()}
    params |= {f"model.d{name}": g for name, g in grads.items()}
    new = {"model": Model(start, grads), "lr": rates[0], "momentum": momentum, "weight_decay": decay}
    title = f"parameters {', '.join(f'{n} {s}' for n, s in shapes.items())}; momentum {momentum:.2f}, "
    title += f"weight_decay {decay:.2f}" + ", gradients of 0" * zeros
    title += ", weights that start at 0" * (not size)
    title += f", from the third step on {later}" if later else ""
    return Case(title, calls, new, params, tuple(reads), **options)

# %% [markdown] task="muon-step" hint=1
# walk over the parameters by name and pass over those that are no matrices; for the others write the three
# formulas one after another.

# %% [markdown] task="muon-step" hint=2
# g, `self.m[name]`, u and W have the same shape, (inputs, outputs). M and W change in place; u is a new array.

# %% [markdown] task="muon-step" hint=3
# M times μ, plus 1 - μ times g; u the same again, from the new M; W times 1 minus lr times the decay; then
# subtract lr, times the root of outputs over inputs if that is more than 1, times the direction of u.

# %% [markdown] task="muon-step" mistake="no-nesterov"
# steps along the mean itself: update M first, and then u takes the gradient in once more
# ```diff
# - u = mu * m + (1 - mu) * g
# + u = m
# ```

# %% task="muon-step" reject="old-mean" shows="Here $u$ is made with the new $M$"
@add_to_class(Muon)
def step(self):
    mu, grads = self.momentum, self.model.grads()
    for name, W in self.model.params().items():
        if W.ndim != 2:
            continue
        g, m = grads[name], self.m[name]
        u = mu * m + (1 - mu) * g
        m *= mu
        m += (1 - mu) * g
        n_in, n_out = W.shape
        W *= 1 - self.lr * self.weight_decay
        W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)

# %% [markdown] task="muon-step" mistake="a-sum"
# is a sum, as in SGD, where a mean should be: the gradient counts 1 - μ
# ```diff
# - m += (1 - mu) * g
# + m += g
# ```

# %% [markdown] task="muon-step" mistake="no-memory" shows="`self.m[name]`, which must hold it afterwards"
# stays as it was: write the new mean into self.m[name], or the next step starts from the old one
# ```diff
# - g, m = grads[name], self.m[name]
# + g, m = grads[name], self.m[name].copy()
# ```

# %% [markdown] task="muon-step" mistake="upside-down"
# has its factor upside down: outputs over inputs, the columns of W over its rows
# ```diff
# - n_out / n_in
# + n_in / n_out
# ```

# %% [markdown] task="muon-step" mistake="no-max"
# shrinks the step of matrices with fewer outputs than inputs: their factor is 1
# ```diff
# - max(1, n_out / n_in)
# + n_out / n_in
# ```

# %% [markdown] task="muon-step" mistake="no-root"
# lacks the root of the factor
# ```diff
# - math.sqrt(max(1, n_out / n_in))
# + max(1, n_out / n_in)
# ```

# %% [markdown] task="muon-step" mistake="decay-without-rate"
# decays by weight_decay alone: by lr times weight_decay
# ```diff
# - 1 - self.lr * self.weight_decay
# + 1 - self.weight_decay
# ```

# %% [markdown] task="muon-step" mistake="decay-after"
# decays after the step, and shrinks the step with the weight: the decay comes first
# ```diff
# -         W *= 1 - self.lr * self.weight_decay
# -         W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)
# +         W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)
# +         W *= 1 - self.lr * self.weight_decay
# ```

# %% [markdown] task="muon-step" mistake="raw"
# steps along u itself: direction(u) is what makes it Muon
# ```diff
# - self.direction(u)
# + u
# ```

# %% [markdown] task="muon-step" mistake="own-direction" shows="a subclass may have another"
# has a direction of its own: call self.direction(u), which a subclass may have changed
# ```diff
# - self.direction(u)
# + u / (1 + np.linalg.norm(u))
# ```

# %% [markdown] task="muon-step" reject="direction-of-muon"
# ```diff
# - self.direction(u)
# + Muon.direction(self, u)
# ```

# %% [markdown] task="muon-step" mistake="uphill"
# goes uphill: subtract the step
# ```diff
# - W -= self.lr * math
# + W += self.lr * math
# ```

# %% [markdown] task="muon-step" reject="not-in-place" shows="Weights change in place"
# ```diff
# - W *= 1 - self.lr * self.weight_decay
# + W = W * (1 - self.lr * self.weight_decay)
# ```

# %% task="muon-step" reject="vectors-too" shows="what has more or fewer axes is for another optimizer, and stays"
@add_to_class(Muon)
def step(self):
    mu, grads = self.momentum, self.model.grads()
    for name, W in self.model.params().items():
        if W.ndim != 2:
            W -= self.lr * grads[name]
            continue
        g, m = grads[name], self.m[name]
        m *= mu
        m += (1 - mu) * g
        u = mu * m + (1 - mu) * g
        W *= 1 - self.lr * self.weight_decay
        W -= self.lr * math.sqrt(max(1, W.shape[1] / W.shape[0])) * self.direction(u)

# %% [markdown] task="muon-step" reject="by-name" shows="Step every matrix of the model, that is, each array with two axes, whatever its name"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or name not in ("W", "V", "U"):
# ```

# %% [markdown] task="muon-step" reject="not-the-embeddings"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or "emb" in name or "wpe" in name:
# ```

# %% [markdown] task="muon-step" reject="not-the-head"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or "head" in name:
# ```

# %% [markdown] task="muon-step" reject="not-biases"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or "bias" in name or name.endswith("b"):
# ```

# %% [markdown] task="muon-step" reject="zero-weights-stay"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or not W.any():
# ```

# %% [markdown] task="muon-step" reject="decay-not-below-0"
# ```diff
# - 1 - self.lr * self.weight_decay
# + max(0, 1 - self.lr * self.weight_decay)
# ```

# %% [markdown] task="muon-step" reject="first-momentum"
# ```diff
# - mu, grads = self.momentum, self.model.grads()
# + self.first = getattr(self, "first", self.momentum)
# +     mu, grads = self.first, self.model.grads()
# ```

# %% [markdown] task="muon-step" reject="uses-the-gradient-up" shows="gradients stay as they are"
# ```diff
# - u = mu * m + (1 - mu) * g
# + g *= 1 - mu
# +         g += mu * m
# +         u = g
# ```

# %% [markdown] task="muon-step" reject="first-rate" shows="A schedule may change `self.lr` between two steps"
# ```diff
# - mu, grads = self.momentum, self.model.grads()
# + mu, grads = self.momentum, self.model.grads()
# +     self.first = getattr(self, "first", self.lr)
# - W -= self.lr * math
# + W -= self.first * math
# ```

# %% [markdown] task="muon-step" reject="returns-model" shows="`step` returns nothing"
# ```diff
# - W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)
# + W -= self.lr * math.sqrt(max(1, n_out / n_in)) * self.direction(u)
# +     return self.model
# ```

# %% [markdown] task="muon-step" reject="mean-in-float64" shows="in the dtype of W"
# ```diff
# - g, m = grads[name], self.m[name]
# -         m *= mu
# + g, m = grads[name], self.m[name].astype(float)
# +         self.m[name] = m
# +         m *= mu
# ```

# %% [markdown] task="muon-step" reject="rests-without-gradient"
# ```diff
# - if W.ndim != 2:
# + if W.ndim != 2 or not grads[name].any():
# ```

# %% task="muon-step" right="by-mean"
@add_to_class(Muon)
def step(self):
    params, grads = self.model.params(), self.model.grads()
    for name in self.m:
        W, g = params[name], grads[name]
        self.m[name] = self.momentum * self.m[name] + (1 - self.momentum) * g
        u = self.momentum * self.m[name] + (1 - self.momentum) * g
        factor = max(1.0, (W.shape[1] / W.shape[0]) ** 0.5)
        W[...] = (1 - self.lr * self.weight_decay) * W - self.lr * factor * self.direction(u)

# %% task="muon-step" right="lerp"
@add_to_class(Muon)
def step(self):
    def between(a, b, t):
        return a + t * (b - a)

    for name, W in self.model.params().items():
        if name in self.m:
            g = self.model.grads()[name]
            self.m[name][...] = between(g, self.m[name], self.momentum)
            D = self.direction(between(g, self.m[name], self.momentum))
            if W.shape[1] > W.shape[0]:
                D = D * math.sqrt(W.shape[1] / W.shape[0])
            W -= self.lr * self.weight_decay * W
            W -= self.lr * D

# %% task="muon-step" right="two-loops"
@add_to_class(Muon)
def step(self):
    grads, u = self.model.grads(), {}
    for name, m in self.m.items():
        np.multiply(m, self.momentum, out=m)
        np.add(m, (1 - self.momentum) * grads[name], out=m)
        u[name] = self.momentum * m + (1 - self.momentum) * grads[name]
    for name, W in self.model.params().items():
        if W.ndim == 2:
            np.multiply(W, 1 - self.lr * self.weight_decay, out=W)
            rate = self.lr * math.sqrt(max(W.shape) / W.shape[0])
            np.subtract(W, rate * self.direction(u[name]), out=W)

# %% task="muon-p-value" cases=true
def cases(rng):
    for n, k in ((4, 4), (3, 5), (5, 3), (2, 2), (1, 4), (4, 1), (1, 1), (6, 4), (5, 10)):
        new = [round(float(x), 4) for x in rng.normal(1.60, 0.01, n)]
        old = [round(float(x), 4) for x in rng.normal(1.605, 0.012, k)]
        yield Case(f"new {new}, old {old}", [Call({"new": new, "old": old}, returns="the p-value")])
    for new, old in (
        ([1.1, 1.2, 1.3], [2.1, 2.2, 2.3]), ([2.1, 2.2, 2.3], [1.1, 1.2, 1.3]), ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1]),
        ([1.0, 1.0], [1.0, 1.0, 1.0]), ([0.1, 0.7, 0.3], [0.3, 0.4, 0.4]), ([0.3, 0.1], [0.2, 0.2, 0.2, 0.2]),
        ([1.5, 1.5, 1.5, 1.7], [1.5, 1.6, 1.9]), ([0.0, 1e-4], [2e-4, 3e-4]), ([5e4, 7e4], [6e4, 9e4, 8e4]),
        ([1.0], [1.000000003, 2.0]), ([1.0], [1.00000000045, 3.000000001]), ([0.0], [5e-7, 2000.0, 2000.0]),
        ([-0.5, 0.2], [0.1, -0.3, 0.4]), ([0.1, 0.4], [0.5, 0.2, 0.3]),
    ):
        yield Case(f"new {new}, old {old}", [Call({"new": new, "old": old}, returns="the p-value")])

# %% [markdown] task="muon-p-value" hint=1
# put all losses into one list. Whoever is in the first group, the others are in the second.

# %% [markdown] task="muon-p-value" hint=2
# `combinations` gives tuples of places, each as long as `new`. Compute the lead of each such group over the
# rest, and count.

# %% [markdown] task="muon-p-value" hint=3
# for each way: the mean of the losses that are not chosen, minus the mean of those that are. Count those that
# are above the lead of `new` minus a billionth, and divide by the number of ways.

# %% [markdown] task="muon-p-value" mistake="strictly-larger" shows="a lead at least as large as that of `new`"
# counts larger leads alone: the way they were dealt is one of them, so that no p-value is 0
# ```diff
# - - 1e-9
# + + 1e-9
# ```

# %% [markdown] task="muon-p-value" mistake="both-sides"
# counts leads of both signs: only a lead of the first group would make a record
# ```diff
# - lead(places) > lead(range(n)) - 1e-9
# + abs(lead(places)) > abs(lead(range(n))) - 1e-9
# ```

# %% [markdown] task="muon-p-value" mistake="higher-is-better" shows="lower is better"
# counts leads that are at most as large as that of new: lower losses are better, so the lead is the mean of old minus the
# mean of new, and what counts is at least as large
# ```diff
# - return (sum(losses) - first) / len(old) - first / n
# + return first / n - (sum(losses) - first) / len(old)
# ```

# %% [markdown] task="muon-p-value" mistake="a-count" shows="Return the part of them, a float from 0 to 1"
# is a count: divide by the number of ways
# ```diff
# - - 1e-9 for places in ways) / len(ways)
# + - 1e-9 for places in ways)
# ```

# %% [markdown] task="muon-p-value" mistake="other-size" shows="into two groups of the sizes of `new` and `old`"
# deals as many to the first group as old has: it is new that is compared
# ```diff
# - combinations(range(len(losses)), n)
# + combinations(range(len(losses)), len(old))
# ```

# %% task="muon-p-value" mistake="equal-losses-once" shows="each choice of places counted once, also where losses are equal"
# counts a group once where the same losses come from different places: every choice of places is a way
def p_value(new, old):
    losses, n = [*new, *old], len(new)
    ways = {tuple(sorted(group)) for group in combinations(losses, n)}

    def lead(group):
        return (sum(losses) - sum(group)) / len(old) - sum(group) / n

    return sum(lead(group) > lead(new) - 1e-9 for group in ways) / len(ways)

# %% [markdown] task="muon-p-value" mistake="medians"
# compares medians: a lead is the difference of two means
# ```diff
# - return (sum(losses) - first) / len(old) - first / n
# + rest = [loss for i, loss in enumerate(losses) if i not in places]
# +         return float(np.median(rest) - np.median([losses[i] for i in places]))
# ```

# %% task="muon-p-value" mistake="pairs"
# compares seed by seed: seed 1 of one program has nothing to do with seed 1 of the other
def p_value(new, old):
    ahead = sum(a >= b for a in new for b in old)
    return ahead / (len(new) * len(old))

# %% [markdown] task="muon-p-value" reject="rounding-decides" shows="Rounding must not decide: leads that differ by less than 1e-9 are equal"
# ```diff
# - lead(places) > lead(range(n)) - 1e-9
# + lead(places) >= lead(range(n))
# ```

# %% [markdown] task="muon-p-value" reject="coarse"
# ```diff
# - - 1e-9
# + - 1e-3
# ```

# %% [markdown] task="muon-p-value" reject="a-little-coarse"
# ```diff
# - - 1e-9
# + - 8e-9
# ```

# %% [markdown] task="muon-p-value" reject="too-fine"
# ```diff
# - - 1e-9
# + - 6e-10
# ```

# %% [markdown] task="muon-p-value" mistake="larger-tolerance"
# takes leads for equal that are more than 1e-9 apart: allow 1e-9 and no more, do not round, stay in float64, and mind
# that isclose has a relative tolerance, too
# ```diff
# - lead(places) > lead(range(n)) - 1e-9
# + lead(places) > lead(range(n)) or np.isclose(lead(places), lead(range(n)), atol=1e-9)
# ```

# %% [markdown] task="muon-p-value" reject="relative-1e-9"
# ```diff
# - lead(places) > lead(range(n)) - 1e-9
# + lead(places) > lead(range(n)) or math.isclose(lead(places), lead(range(n)), abs_tol=1e-9)
# ```

# %% [markdown] task="muon-p-value" reject="rounded"
# ```diff
# - lead(places) > lead(range(n)) - 1e-9
# + round(lead(places), 9) >= round(lead(range(n)), 9)
# ```

# %% [markdown] task="muon-p-value" reject="first-thousands" shows="Take all ways to deal them"
# ```diff
# - ways = list(combinations(range(len(losses)), n))
# + ways = list(combinations(range(len(losses)), n))[:2500]
# ```

# %% [markdown] task="muon-p-value" reject="no-negative-loss"
# ```diff
# - losses, n = [*new, *old], len(new)
# + losses, n = [abs(loss) for loss in [*new, *old]], len(new)
# ```

# %% [markdown] task="muon-p-value" reject="without-the-first"
# ```diff
# - for places in ways) / len(ways)
# + for places in ways[1:]) / max(1, len(ways[1:]))
# ```

# %% task="muon-p-value" reject="sorts-its-arguments"
def p_value(new, old):
    old.sort()
    losses, n = [*new, *old], len(new)
    sums = [sum(group) for group in combinations(losses, n)]
    return sum(s < sums[0] + 1e-9 for s in sums) / len(sums)

# %% task="muon-p-value" right="by-sum-of-the-group"
def p_value(new, old):
    # The smaller the sum of the first group, the larger its lead.
    sums = np.array([sum(group) for group in combinations([*new, *old], len(new))])
    return float(np.mean(sums < sums[0] + 1e-9))

# %% task="muon-p-value" right="both-groups"
def p_value(new, old):
    losses = np.array([*new, *old])
    observed, count, total = np.mean(old) - np.mean(new), 0, 0
    for chosen in combinations(range(len(losses)), len(new)):
        mask = np.zeros(len(losses), bool)
        mask[list(chosen)] = True
        count += bool(losses[~mask].mean() - losses[mask].mean() >= observed - 1e-9)
        total += 1
    return count / total

# %% task="muon-p-value" right="binary-numbers"
def p_value(new, old):
    losses, n = [*new, *old], len(new)
    observed = sum(old) / len(old) - sum(new) / n
    leads = []
    for bits in range(2 ** len(losses)):
        first = [x for i, x in enumerate(losses) if bits >> i & 1]
        rest = [x for i, x in enumerate(losses) if not bits >> i & 1]
        if len(first) == n:
            leads.append(sum(rest) / len(rest) - sum(first) / n)
    return sum(lead >= observed or math.isclose(lead, observed, rel_tol=0, abs_tol=1e-9) for lead in leads) / len(leads)
