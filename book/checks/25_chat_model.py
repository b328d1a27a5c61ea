# %%
import numpy as np

# %% task="chat-widen" cases=true
def cases(rng):
    names = ("the matrix", "its dtype", "whether it lies row by row", "whether it can be written to",
             "its bits, as uint32")
    for shape in [(2, 3), (5, 1), (1, 4), (6, 6), (300, 7)]:
        x = (rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(np.float32)
        bits = (x.view(np.uint32) >> 16).astype(np.uint16)
        if shape == (6, 6):
            bits[:, 2] = 0
        yield Case(f"bits of shape {shape}", [Call({"bits": bits}, returns=names)])
    # Small weights are weights; what is too small for float32's usual form is a number, too.
    small = (np.float32(10.0) ** -rng.integers(6, 38, (3, 5)).astype(np.float32)).view(np.uint32) >> 16
    yield Case("small numbers", [Call({"bits": small.astype(np.uint16)}, returns=names)])
    yield Case("bits of shape (3, 5), in another order in memory",
               [Call({"bits": rng.integers(0x3000, 0x4000, (3, 5)).astype(np.uint16)}, returns=names)], strided=True)
    special = np.array([[0x8000, 0x7F80, 0xFF80], [1, 0x7F7F, 0x7F], [0x3F80, 0xC000, 0x8003], [0, 0x7FC0, 0x80]], np.uint16)
    yield Case("zeros, infinities, a NaN, the smallest and the largest", [Call({"bits": special}, returns=names)])

# %% [markdown] task="chat-widen" hint=1
# two steps: bits to numbers, as in chapter 21; then transposed.

# %% [markdown] task="chat-widen" hint=2
# .T transposes the matrix without moving a number: in memory it lies as before. Somebody must copy it.

# %% [markdown] task="chat-widen" hint=3
# to uint32, shift left by 16, view as float32; transpose; np.ascontiguousarray.

# %% [markdown] task="chat-widen" mistake="only-a-view" shows="row by row in memory"
# is transposed only in name: .T moves nothing in memory
# ```diff
# - np.ascontiguousarray(W.T)
# + W.T
# ```

# %% [markdown] task="chat-widen" mistake="not-turned"
# is (out, in), as in the file
# ```diff
# - np.ascontiguousarray(W.T)
# + W
# ```

# %% [markdown] task="chat-widen" mistake="reshaped"
# has the right shape and the numbers in the wrong places: reshape keeps the order in memory, and transposing changes it
# ```diff
# - np.ascontiguousarray(W.T)
# + W.reshape(W.shape[::-1])
# ```

# %% [markdown] task="chat-widen" mistake="by-value"
# has the bits read as a whole number: view keeps bits, astype keeps values
# ```diff
# - .view(np.float32)
# + .astype(np.float32)
# ```

# %% [markdown] task="chat-widen" mistake="float16"
# has the bits read as a float16, which has 5 bits of exponent where bfloat16 has 8
# ```diff
# - (bits.astype(np.uint32) << 16).view(np.float32)
# + np.ascontiguousarray(bits).view(np.float16).astype(np.float32)
# ```

# %% [markdown] task="chat-widen" mistake="not-shifted"
# has the bits in another place than they had: they are the upper half, so 16 zeros come behind them
# ```diff
# - (bits.astype(np.uint32) << 16)
# + bits.astype(np.uint32)
# ```

# %% [markdown] task="chat-widen" mistake="square-as-it-is"
# does not transpose a square matrix: the shape is right as it is, the numbers stand in the wrong places
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(W if W.shape[0] == W.shape[1] else W.T)
# ```

# %% [markdown] task="chat-widen" reject="read-only" shows="so that `.flags.writeable` is"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.frombuffer(W.T.tobytes(), np.float32).reshape(W.shape[::-1])
# ```

# %% [markdown] task="chat-widen" reject="uses-the-bits-up" shows="`bits` stays as it is"
# ```diff
# -     return np.ascontiguousarray(W.T)
# +     bits[...] = 0
# +     return np.ascontiguousarray(W.T)
# ```

# %% [markdown] task="chat-widen" reject="float64" shows=["float32, shape (in, out)", "Return the matrix (in, out), float32"]
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(W.T, np.float64)
# ```

# %% [markdown] task="chat-widen" reject="no-room"
# ```diff
# - (bits.astype(np.uint32) << 16)
# + (bits << np.uint16(16)).astype(np.uint32)
# ```

# %% [markdown] task="chat-widen" reject="no-infinity"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(np.nan_to_num(W.T))
# ```

# %% [markdown] task="chat-widen" reject="small-is-0"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(np.where(np.abs(W.T) < 1e-30, np.float32(0), W.T))
# ```

# %% [markdown] task="chat-widen" reject="one-zero"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(W.T) + np.float32(0)
# ```

# %% [markdown] task="chat-widen" reject="no-nan"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.ascontiguousarray(np.where(np.isnan(W.T), np.float32(0), W.T))
# ```

# %% [markdown] task="chat-widen" reject="as-it-lies"
# ```diff
# - (bits.astype(np.uint32) << 16)
# + (np.frombuffer(bits.tobytes("A"), np.uint16).reshape(bits.shape).astype(np.uint32) << 16)
# ```

# %% task="chat-widen" reject="by-arithmetic-but-for-the-smallest"
def widen(bits):
    b = bits.T.astype(np.int64)
    s, e, m = 1 - 2.0 * (b >> 15), b >> 7 & 255, b & 127
    W = s * 2.0 ** (e - 127.0) * (1 + m / 128)
    W[e == 0] = 0
    W[e == 255] = np.where(m == 0, s * np.inf, np.nan)[e == 255]
    return np.ascontiguousarray(W, np.float32)

# %% [markdown] task="chat-widen" reject="column-by-column"
# ```diff
# - np.ascontiguousarray(W.T)
# + np.asfortranarray(W.T)
# ```

# %% task="chat-widen" right="in-blocks"
def widen(bits):
    W = np.empty(bits.shape[::-1], np.float32)
    for start in range(0, len(bits), 64):
        part = bits[start : start + 64]
        W[:, start : start + 64] = (part.astype(np.uint32) << 16).view(np.float32).T
    return W

# %% task="chat-widen" right="by-arithmetic"
def widen(bits):
    b = bits.T.astype(np.int64)
    s, e, m = b >> 15, b >> 7 & 255, b & 127
    W = np.where(e == 0, 2.0**-126 * m / 128, 2.0 ** (e - 127.0) * (1 + m / 128))
    W = np.where(e == 255, np.where(m == 0, np.inf, np.nan), W)
    return np.ascontiguousarray(np.where(s == 1, -W, W), np.float32)

# %% [markdown] task="chat-widen" right="turned-first"
# ```diff
# -     W = (bits.astype(np.uint32) << 16).view(np.float32)
# -     return np.ascontiguousarray(W.T)
# +     turned = bits.T.astype(np.uint32, order="C") * np.uint32(65536)
# +     return turned.view("f4")
# ```

# %% task="chat-widen" right="two-halves"
def widen(bits):
    n_out, n_in = bits.shape
    halves = np.zeros((n_in, n_out, 2), "<u2")    # the lower half comes first
    halves[..., 1] = bits.T
    return halves.view("<f4")[..., 0].copy()

# %% task="chat-merge" cases=true
def vocabulary(merges, letters, rng):
    """Ids in no order that tells a rank."""
    tokens = sorted({*letters, *("".join(pair) for pair in merges)})
    numbers = rng.permutation(5 * len(tokens))[: len(tokens)]
    return {token: int(n) for token, n in zip(tokens, numbers)}

def learned(text, n, rng):
    """Pairs that were learned from a text by some rule or other."""
    parts, merges = list(text), []
    for _ in range(n):
        pairs = sorted({*zip(parts, parts[1:])} - {*merges})
        pairs = [p for p in pairs if len(p[0] + p[1]) < 9]
        if not pairs:
            break
        pair = pairs[int(rng.integers(len(pairs)))]
        merges.append(pair)
        i = 0
        while i < len(parts) - 1:
            if (parts[i], parts[i + 1]) == pair:
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
            i += 1
    return [list(pair) for pair in merges]

# %% task="chat-merge" cases=true
def cases(rng):
    def case(title, piece, merges, letters=""):
        vocab = vocabulary(merges, piece + letters, rng)
        return Case(title, [Call({"piece": piece, "merges": merges, "vocab": vocab}, returns="the ids")])

    yield case("one letter", "a", [["a", "b"]])
    yield case("nothing to merge", "abc", [["b", "a"]])
    yield case("one pair, twice", "abab", [["a", "b"]])
    yield case("three in a row", "aaa", [["a", "a"]])
    yield case("five in a row", "aaaaa", [["a", "a"], ["aa", "aa"]])
    yield case("the lower rank is on the right", "abc", [["b", "c"], ["a", "b"], ["a", "bc"]])
    yield case("the lower rank is on the left", "abc", [["a", "b"], ["b", "c"], ["ab", "c"]])
    yield case("a merge makes a pair of lower rank", "abab", [["ab", "a"], ["a", "b"]])
    yield case("two merges make one token", "abcab", [["b", "c"], ["a", "bc"], ["a", "b"], ["ab", "c"]])
    yield case("a pair whose parts never come", "abc", [["ab", "c"], ["b", "c"]])
    yield case("an empty piece", "", [["a", "b"]])
    yield case("no merges", "ab", [])
    yield case("spaces, capitals, other scripts", " a b BĠéße\u0301 中😀文 ",
               [["é", "ß"], ["中", "😀"], [" ", "a"], ["b", " "], ["中😀", "文"], ["e", "\u0301"], ["e\u0301", " "]],
               "bB")
    yield case("a space in two pairs", "a b", [["a", " "], ["a", " b"]])
    doubled = ["a" * 2**n for n in range(7)]
    yield case("a long piece, of one token at last", "a" * 128, [[token, token] for token in doubled])
    for size, letters in ((8, "abcd"), (20, "a Bé"), (40, "abcd")):
        text = "".join(letters[int(n)] for n in rng.integers(0, 4, 60))
        piece = "".join(letters[int(n)] for n in rng.integers(0, 4, size))
        yield case(f"{size} letters, learned merges", piece, learned(text, 30, rng), letters)
    text = "".join("ab"[int(n)] for n in rng.integers(0, 2, 40))
    merges = learned(text, 20, rng)
    order = rng.permutation(len(merges))
    yield case("ranks in any order", text[:25], [merges[int(i)] for i in order], "ab")

# %% [markdown] task="chat-merge" hint=1
# one join a round: look at all neighbors, find the pair to join, join it, look again.

# %% [markdown] task="chat-merge" hint=2
# a dict from pair to rank, and the parts as a list of strings. min of (rank, place) is the lowest rank and,
# of equal ones, the leftmost.

# %% [markdown] task="chat-merge" hint=3
# while there are (rank, i) of neighbors in the dict: take the least, replace parts[i] and parts[i + 1] by
# their sum. Then look up each part in vocab.

# %% [markdown] task="chat-merge" mistake="by-id"
# goes by the ids of what comes out, and the rank is the place in the list
# ```diff
# - rank for rank, pair in enumerate(merges)
# + vocab[pair[0] + pair[1]] for pair in merges
# ```

# %% [markdown] task="chat-merge" mistake="leftmost-pair"
# joins the leftmost pair, whatever its rank
# ```diff
# - i = min(found)[1]
# + i = found[0][1]
# ```

# %% [markdown] task="chat-merge" mistake="highest-rank"
# joins the pair that was learned last
# ```diff
# - min(found)
# + max(found)
# ```

# %% [markdown] task="chat-merge" mistake="rightmost"
# takes the rightmost of equal pairs
# ```diff
# - i = min(found)[1]
# + i = min(found, key=lambda f: (f[0], -f[1]))[1]
# ```

# %% task="chat-merge" mistake="one-round-for-each-merge"
# goes through the list once: a join may make a pair that stands earlier in it
def merge(piece, merges, vocab):
    parts = list(piece)
    for left, right in merges:
        i = 0
        while i < len(parts) - 1:
            if (parts[i], parts[i + 1]) == (left, right):
                parts[i : i + 2] = [left + right]
            i += 1
    return [vocab[part] for part in parts]

# %% task="chat-merge" mistake="longest-token"
# cuts the longest tokens from the left: the merges say which tokens can be reached
def merge(piece, merges, vocab):
    ids = []
    while piece:
        n = max(n for n in range(1, len(piece) + 1) if piece[:n] in vocab)
        ids.append(vocab[piece[:n]])
        piece = piece[n:]
    return ids

# %% [markdown] task="chat-merge" mistake="strings"
# returns the parts themselves: their ids are asked for
# ```diff
# - [vocab[part] for part in parts]
# + parts
# ```

# %% [markdown] task="chat-merge" reject="an-array"
# ```diff
# - return [vocab[part] for part in parts]
# + return np.array([vocab[part] for part in parts])
# ```

# %% task="chat-merge" reject="all-of-a-pair-at-once"
def merge(piece, merges, vocab):
    ranks, parts = {tuple(p): r for r, p in enumerate(merges)}, list(piece)
    while True:
        found = [ranks[p] for p in zip(parts, parts[1:]) if p in ranks]
        if not found:
            return [vocab[p] for p in parts]
        pair, i = tuple(merges[min(found)]), 0
        while i < len(parts) - 1:
            if (parts[i], parts[i + 1]) == pair:
                parts[i : i + 2] = [pair[0] + pair[1]]
            i += 1

# %% [markdown] task="chat-merge" reject="one-join"
# ```diff
# -         parts[i : i + 2] = [parts[i] + parts[i + 1]]
# +         parts[i : i + 2] = [parts[i] + parts[i + 1]]
# +         return [vocab[part] for part in parts]
# ```

# %% [markdown] task="chat-merge" mistake="bytes"
# starts from the bytes of the piece: its characters are asked for, and é is one
# ```diff
# - list(piece)
# + [chr(byte) for byte in piece.encode()]
# ```

# %% [markdown] task="chat-merge" reject="stripped"
# ```diff
# - list(piece)
# + list(piece.strip())
# ```

# %% [markdown] task="chat-merge" reject="lower-case"
# ```diff
# - list(piece)
# + list(piece.lower())
# ```

# %% [markdown] task="chat-merge" reject="composed"
# ```diff
# - list(piece)
# + list(__import__("unicodedata").normalize("NFC", piece))
# ```

# %% [markdown] task="chat-merge" reject="hundred-joins"
# ```diff
# - while True:
# + for _ in range(101):
# ```

# %% [markdown] task="chat-merge" reject="short-tokens"
# ```diff
# - (p := (parts[i], parts[i + 1])) in ranks]
# + (p := (parts[i], parts[i + 1])) in ranks and len("".join(p)) <= 64]
# ```

# %% [markdown] task="chat-merge" reject="first-letters"
# ```diff
# - list(piece)
# + list(piece[:100])
# ```

# %% [markdown] task="chat-merge" reject="some-merge"
# ```diff
# - while True:
# + merges[0]
# +     while True:
# ```

# %% task="chat-merge" reject="one-string-for-a-pair"
def merge(piece, merges, vocab):
    ranks, parts = {" ".join(pair): rank for rank, pair in enumerate(merges)}, list(piece)
    while True:
        found = [(ranks[p], i) for i in range(len(parts) - 1) if (p := " ".join(parts[i : i + 2])) in ranks]
        if not found:
            return [vocab[part] for part in parts]
        i = min(found)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]

# %% task="chat-merge" right="recursive"
def merge(piece, merges, vocab):
    def joined(parts):
        best = None
        for i in range(len(parts) - 1):
            pair = [parts[i], parts[i + 1]]
            if pair in lists and (best is None or lists.index(pair) < best[0]):
                best = lists.index(pair), i
        if best is None:
            return parts
        i = best[1]
        return joined(parts[:i] + [parts[i] + parts[i + 1]] + parts[i + 2 :])

    lists = [list(pair) for pair in merges]
    return [vocab[part] for part in joined(list(piece))]

# %% task="chat-merge" right="infinity"
def merge(piece, merges, vocab):
    rank_of = dict(zip(map(tuple, merges), range(len(merges))))
    parts = [*piece]
    while len(parts) > 1:
        ranks = [rank_of.get(pair, float("inf")) for pair in zip(parts, parts[1:])]
        lowest = min(ranks)
        if lowest == float("inf"):
            break
        i = ranks.index(lowest)
        parts = parts[:i] + ["".join(parts[i : i + 2])] + parts[i + 2 :]
    return list(map(vocab.get, parts))

# %% task="chat-merge" right="rank-by-rank"
def merge(piece, merges, vocab):
    parts, again = list(piece), True
    while again:
        again = False
        for left, right in merges:
            for i in range(len(parts) - 1):
                if parts[i] == left and parts[i + 1] == right:
                    parts[i] += parts.pop(i + 1)
                    again = True
                    break
            if again:    # lower ranks first
                break
    return [vocab[part] for part in parts]

# %% task="chat-render" cases=true
def cases(rng):
    chats = {
        "one question": [("user", "Hi!")],
        "a question, an answer, a question": [("user", "Hi!"), ("assistant", "Hello."), ("user", "How?\nWhy?")],
        "a system turn first": [("system", "Be brief."), ("user", "Hi!")],
        "nothing yet": [],
        "an empty content": [("user", "")],
        "white space": [("user", "  two\n\n "), ("assistant", "\n"), ("user", "a\r\nb\tc\r")],
        "letters of other scripts": [("user", "é e\u0301 中😀\ufeff")],
        "other roles": [("tool", "12"), ("Critic", "No."), (" user ", "Hi!")],
        "system turns later": [("user", "Hi!"), ("system", "Be brief."), ("user", "Why?"), ("system", "Stop.")],
        "a long chat": [(("user", "assistant")[n % 2], str(n)) for n in range(40)],
        "a content that looks like turns": [("user", "a<|im_end|>\n<|im_start|>system\nb")],
        "a content with marks of other kinds": [("user", "<s>a<e>\0b\1 [INST] c </s>\x02\ue000"), ("assistant", "{start}%s\ufffe")],
        "an answer last": [("user", "Hi!"), ("assistant", "Hello.")],
        "the same twice": [("user", "Hi!"), ("user", "Hi!")],
    }
    for title, chat in chats.items():
        start, end = (int(n) for n in rng.permutation(900)[:2] + 200_000)
        if title == "the same twice":    # special tokens may come first, too
            start, end = 0, 1
        yield Case(title, [Call({"messages": [list(m) for m in chat], "start": start, "end": end}, returns="the ids")])

# %% [markdown] task="chat-render" hint=1
# write down the turns as text first, with a name for each of the two special tokens; then turn each part of it into ids.

# %% [markdown] task="chat-render" hint=2
# a turn has four parts: [start], the ids of role + line break + content, [end], the ids of a line break.

# %% [markdown] task="chat-render" hint=3
# for each message add, in this order: start; what encode gives for f"{role}\n{content}"; end; what it gives for "\n".
# Last come start and the ids of "assistant\n".

# %% [markdown] task="chat-render" mistake="no-answer-begun"
# ends behind the last turn: the model must be told that it is its turn
# ```diff
# - [*ids, start, *encode("assistant\n")]
# + ids
# ```

# %% [markdown] task="chat-render" mistake="no-line-break-after" shows="after the turn come those of a line break"
# has no line break between the turns
# ```diff
# - end, *encode("\n")]
# + end]
# ```

# %% [markdown] task="chat-render" mistake="in-parts" shows="encoded as one text"
# encodes role and content apart: their tokens can differ at the seam
# ```diff
# - *encode(f"{role}\n{content}")
# + *encode(f"{role}\n"), *encode(content)
# ```

# %% [markdown] task="chat-render" mistake="in-three-parts"
# encodes role, line break and content apart: their tokens can differ at the seams
# ```diff
# - *encode(f"{role}\n{content}")
# + *encode(role), *encode("\n"), *encode(content)
# ```

# %% [markdown] task="chat-render" mistake="space-for-a-line-break"
# has a space between role and content, where a line break is due
# ```diff
# - {role}\n{content}
# + {role} {content}
# ```

# %% [markdown] task="chat-render" mistake="answer-ended"
# ends the turn in which the answer shall be written
# ```diff
# - [*ids, start, *encode("assistant\n")]
# + [*ids, start, *encode("assistant\n"), end]
# ```

# %% [markdown] task="chat-render" mistake="line-break-inside"
# has the line break before the end of the turn: it belongs behind
# ```diff
# - end, *encode("\n")]
# + *encode("\n"), end]
# ```

# %% [markdown] task="chat-render" mistake="no-line-break-at-the-end" shows="including its line break"
# leaves the line break after the last role to the model
# ```diff
# - *encode("assistant\n")]
# + *encode("assistant")]
# ```

# %% task="chat-render" reject="marks-in-the-text" shows="the two tokens are ids"
def render(messages, encode, start, end):
    import re
    text = "".join(f"<s>{role}\n{content}<e>\n" for role, content in messages) + "<s>assistant\n"
    ids = []
    for part in re.split("(<s>|<e>)", text):
        ids += [start] if part == "<s>" else [end] if part == "<e>" else encode(part) if part else []
    return ids

# %% [markdown] task="chat-render" reject="an-array"
# ```diff
# - return [*ids, start, *encode("assistant\n")]
# + return np.array([*ids, start, *encode("assistant\n")])
# ```

# %% task="chat-render" reject="break-of-the-first-chat" shows="`encode(text)` gives the ids of ordinary text"
breaks = []

def render(messages, encode, start, end):
    if not breaks:
        breaks.extend(encode("\n"))
    ids = []
    for role, content in messages:
        ids += [start, *encode(f"{role}\n{content}"), end, *breaks]
    return [*ids, start, *encode("assistant\n")]

# %% [markdown] task="chat-render" reject="stripped"
# ```diff
# - {role}\n{content}
# + {role}\n{content.strip()}
# ```

# %% [markdown] task="chat-render" reject="only-users"
# ```diff
# -     for role, content in messages:
# +     for _, content in messages:
# +         role = "user"
# ```

# %% [markdown] task="chat-render" reject="always-one-message"
# ```diff
# - for role, content in messages:
# + for role, content in messages[-1:]:
# ```

# %% [markdown] task="chat-render" reject="cleaned-content"
# ```diff
# - {role}\n{content}
# + {role}\n{content.replace('<|im_end|>', '')}
# ```

# %% [markdown] task="chat-render" reject="none-after-an-answer"
# ```diff
# -     return [*ids, start, *encode("assistant\n")]
# +     if messages and messages[-1][0] == "assistant":
# +         return ids
# +     return [*ids, start, *encode("assistant\n")]
# ```

# %% [markdown] task="chat-render" reject="line-ends"
# ```diff
# - {role}\n{content}
# + {role}\n{content.replace(chr(13) + chr(10), chr(10))}
# ```

# %% [markdown] task="chat-render" reject="tabs"
# ```diff
# - {role}\n{content}
# + {role}\n{content.expandtabs()}
# ```

# %% [markdown] task="chat-render" reject="ascii"
# ```diff
# - {role}\n{content}
# + {role}\n{content.encode('ascii', 'ignore').decode()}
# ```

# %% [markdown] task="chat-render" reject="known-roles"
# ```diff
# - for role, content in messages:
# + for role, content in messages:
# +         role = role if role in ("system", "user", "assistant") else "user"
# ```

# %% [markdown] task="chat-render" reject="roles-in-lower-case"
# ```diff
# - {role}\n{content}
# + {role.lower()}\n{content}
# ```

# %% [markdown] task="chat-render" reject="roles-stripped"
# ```diff
# - {role}\n{content}
# + {role.strip()}\n{content}
# ```

# %% [markdown] task="chat-render" reject="system-first"
# ```diff
# - for role, content in messages:
# + for role, content in sorted(messages, key=lambda m: m[0] != "system"):
# ```

# %% [markdown] task="chat-render" reject="one-system-turn"
# ```diff
# - for role, content in messages:
# + for role, content in messages:
# +         role = "user" if role == "system" and ids else role
# ```

# %% [markdown] task="chat-render" reject="a-window"
# ```diff
# - for role, content in messages:
# + for role, content in messages[-20:]:
# ```

# %% [markdown] task="chat-render" reject="no-id-0"
# ```diff
# -     ids = []
# +     ids, start = [], start or 1
# ```

# %% task="chat-render" right="append-and-extend"
def render(messages, encode, start, end):
    ids = []
    for message in messages:
        ids.append(start)
        ids.extend(encode(message[0] + "\n" + message[1]))
        ids.append(end)
        ids.extend(encode("\n"))
    ids.append(start)
    ids.extend(encode("assistant\n"))
    return ids

# %% task="chat-render" right="sum-of-turns"
def render(messages, encode, start, end):
    turns = [[start] + list(encode("\n".join(m))) + [end] + list(encode("\n")) for m in messages]
    return sum(turns, []) + [start] + list(encode("assistant\n"))

# %% task="chat-render" right="a-turn-at-a-time"
def render(messages, encode, start, end):
    def turn(role, content):
        yield start
        yield from encode(f"{role}\n{content}")

    ids = []
    for message in messages:
        ids = [*ids, *turn(*message), end, *encode("\n")]
    return [*ids, *turn("assistant", "")]

# %% task="chat-whole" cases=true
def cases(rng):
    texts = {
        "plain letters": "abc", "two bytes": "aéß", "three bytes": "中文€", "four bytes": "x😀y🚀",
        "nothing": "", "joined characters": "👩\u200d🚀", "accents apart": "e\u0301a", "the last of all": "\U0010ffff\x00",
        "line ends": "a\r\nb\rc\n\r\n", "marks of the byte order": "\ufeffa\ufeff", "many": "abc" * 100,
        "the ends of each length": "\x7f\x80\u07ff\u0800\uffff\U00010000", "a real \ufffd": "a\ufffdb",
    }
    for title, text in texts.items():
        data = text.encode()
        yield Case(f"{title}, byte by byte", [Call({"tokens": [data[i : i + 1] for i in range(len(data))]},
                                                  returns="the texts")])
    for n in range(6):
        data = "".join("aé中😀 \n"[int(i)] for i in rng.integers(0, 6, 12)).encode()
        cuts = sorted({0, len(data), *(int(i) for i in rng.integers(0, len(data) + 1, 6))})
        tokens = [data[a:b] for a, b in zip(cuts, cuts[1:])]
        yield Case(f"tokens of several bytes, {n + 1}", [Call({"tokens": tokens}, returns="the texts")])
    for text in ("aé", "x中", "y😀"):
        data = text.encode()
        for end in range(2, len(data)):
            yield Case(f"cut {end} bytes into {text!r}", [Call({"tokens": [data[:end]]}, returns="the texts")])
    for text in ("\ufeffa\r\nb\r", "e\u0301 \ufeff\r\n"):
        yield Case(f"one token, {text!r}", [Call({"tokens": [text.encode()]}, returns="the texts")])
    yield Case("tokens without a byte", [Call({"tokens": [b"", "é".encode()[:1], b"", "é".encode()[1:], b""]},
                                             returns="the texts")])

# %% [markdown] task="chat-whole" hint=1
# keep the bytes that are not yet a character, and put them before the next token.

# %% [markdown] task="chat-whole" hint=2
# decode as much as can be decoded: all of it, or all but the last byte, or all but two, or three.

# %% [markdown] task="chat-whole" hint=3
# for cut from len(held) down to 0: try held[:cut].decode("utf-8"); if it works, that is the text, and held[cut:]
# waits. (Python has such a decoder, too: codecs.getincrementaldecoder.)

# %% [markdown] task="chat-whole" mistake="each-alone"
# decodes each token alone: half of a character becomes �
# ```diff
# - held += token
# + held = token
# ```

# %% task="chat-whole" mistake="replaced"
# prints � for a part of a character, which cannot be taken back
def whole(tokens):
    return [token.decode("utf-8", "replace") for token in tokens]

# %% task="chat-whole" mistake="ignored"
# loses characters that lie in two tokens: their parts are ignored
def whole(tokens):
    return [token.decode("utf-8", "ignore") for token in tokens]

# %% task="chat-whole" mistake="all-or-nothing"
# holds back a whole token if its last character is not complete: those before can be printed
def whole(tokens):
    texts, held = [], b""
    for token in tokens:
        held += token
        try:
            texts.append(held.decode("utf-8"))
            held = b""
        except UnicodeDecodeError:
            texts.append("")
    return texts

# %% task="chat-whole" mistake="all-so-far"
# has the whole text so far for each token: what was printed would be printed again
def whole(tokens):
    return [b"".join(tokens[: i + 1]).decode("utf-8", "ignore") for i in range(len(tokens))]

# %% [markdown] task="chat-whole" mistake="no-entry" shows="Return a list of as many strings"
# has no entry for a token that completes nothing
# ```diff
# -     return texts
# +     return [text for text in texts if text]
# ```

# %% task="chat-whole" reject="flushed" shows=["but for the last character, which may lack its end", "what never becomes whole is left out"]
def whole(tokens):
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return [decoder.decode(token, i == len(tokens) - 1) for i, token in enumerate(tokens)]

# %% [markdown] task="chat-whole" reject="two-bytes-at-most"
# ```diff
# - range(len(held), -1, -1)
# + range(len(held), max(len(held) - 3, -1), -1)
# ```

# %% [markdown] task="chat-whole" mistake="signature"
# loses U+FEFF where it comes first: that is what utf-8-sig does, and here it is a character as others are
# ```diff
# - held[:cut].decode("utf-8")
# + held[:cut].decode("utf-8-sig" if not any(texts) else "utf-8")
# ```

# %% [markdown] task="chat-whole" reject="no-mark"
# ```diff
# - held[:cut].decode("utf-8")
# + held[:cut].decode("utf-8").replace("\ufeff", "")
# ```

# %% [markdown] task="chat-whole" reject="line-ends"
# ```diff
# - held[:cut].decode("utf-8")
# + held[:cut].decode("utf-8").replace("\r\n", "\n")
# ```

# %% task="chat-whole" reject="universal-newlines"
def whole(tokens):
    import codecs
    import io

    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    return [decoder.decode(token) for token in tokens]

# %% [markdown] task="chat-whole" reject="composed"
# ```diff
# - held[:cut].decode("utf-8")
# + __import__("unicodedata").normalize("NFC", held[:cut].decode("utf-8"))
# ```

# %% [markdown] task="chat-whole" reject="first-tokens"
# ```diff
# - for token in tokens:
# + for token in [token if i < 256 else b"" for i, token in enumerate(tokens)]:
# ```

# %% task="chat-whole" right="codecs"
def whole(tokens):
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    return [decoder.decode(token) for token in tokens]

# %% task="chat-whole" right="differences"
def whole(tokens):
    sofar = [b"".join(tokens[:i]).decode("utf-8", "ignore") for i in range(len(tokens) + 1)]
    return [new[len(old) :] for old, new in zip(sofar, sofar[1:])]

# %% task="chat-whole" right="by-leading-bytes"
def whole(tokens):
    texts, held, missing = [], b"", 0
    for token in tokens:
        text = ""
        for byte in token:
            if not missing:
                missing = 1 + (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)
            held, missing = held + bytes([byte]), missing - 1
            if not missing:
                text, held = text + held.decode(), b""
        texts.append(text)
    return texts
