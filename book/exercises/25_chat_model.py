# %% [markdown]
# # Exercises for chapter 25: A chat model
#
# What stands between published files and a conversation: matrices, tokens, turns, characters. Write your
# code in place of `raise NotImplementedError()`, all of it in that cell. The check below it runs your
# code on cases that you do not see, and says what is wrong. `hint("chat-widen")` in a cell of your own
# gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import check, hint

# %% [markdown]
# ## Task 1: widened and transposed (3 points, medium, about 15 minutes)
#
# `bits` has the numbers of a matrix as a file holds them: shape (out, in), each the upper half of a
# float32 whose lower half is 0. Return the matrix as our Linear wants it: float32, shape (in, out), row
# by row in memory, so that `.flags.c_contiguous` is true, and ready to be trained, so that `.flags.writeable`
# is. `bits` stays as it is.

# %% answer="chat-widen"
def widen(bits):
    """Return the matrix (in, out), float32, for the bits (out, in), uint16."""
    ### BEGIN SOLUTION
    W = (bits.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(W.T)
    ### END SOLUTION

# %% check="chat-widen" points=3 minutes=15 level="medium"
def matrix_and_how_it_lies(bits):    # the check looks at the dtype, the memory and each bit, too
    given = np.array(bits)    # in the order in which they lie
    W = widen(given)
    bits[...] = given    # whoever changes given is seen
    return W, str(W.dtype), W.flags.c_contiguous, W.flags.writeable, W.astype(np.float32).view(np.uint32)

check("chat-widen", matrix_and_how_it_lies)

# %% [markdown]
# ## Task 2: merges by rank (3 points, hard, about 30 minutes)
#
# `merges` is a list of pairs of strings; the rank of a pair is its place in the list. `vocab` gives the id of
# each string. Start from the characters of `piece`. While some two neighbors are a pair of the list,
# take the pair of lowest rank, of equal ones the leftmost, and join these two. Return the ids of what is
# left.

# %% answer="chat-merge"
def merge(piece, merges, vocab):
    """Return the list of ids of a piece."""
    ### BEGIN SOLUTION
    ranks, parts = {tuple(pair): rank for rank, pair in enumerate(merges)}, list(piece)
    while True:
        found = [(ranks[p], i) for i in range(len(parts) - 1) if (p := (parts[i], parts[i + 1])) in ranks]
        if not found:
            return [vocab[part] for part in parts]
        i = min(found)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    ### END SOLUTION

# %% check="chat-merge" points=3 minutes=30 level="hard"
check("chat-merge", merge)

# %% [markdown]
# ## Task 3: a chat to tokens (3 points, medium, about 20 minutes)
#
# `messages` are pairs of a role and a content. A turn begins with the token `start` and ends with the token
# `end`. Between them stand the tokens of the role, a line break and the content, encoded as one text;
# after the turn come those of a line break. Behind the last turn, begin one of the role `assistant`, up to
# and including its line break. `encode(text)` gives the ids of ordinary text; the two tokens are ids
# themselves.

# %% answer="chat-render"
def render(messages, encode, start, end):
    """Return the list of ids of a chat, up to where the next answer begins."""
    ### BEGIN SOLUTION
    ids = []
    for role, content in messages:
        ids += [start, *encode(f"{role}\n{content}"), end, *encode("\n")]
    return [*ids, start, *encode("assistant\n")]
    ### END SOLUTION

# %% check="chat-render" points=3 minutes=20 level="medium"
def rendered(messages, start, end):
    def encode(text):    # another one for each chat; tells in its first id how much was one text
        return [1000 + start + len(text), *map(ord, text)]

    return render(messages, encode, start, end)

check("chat-render", rendered)

# %% [markdown]
# ## Task 4: whole characters (3 points, medium, about 20 minutes)
#
# `tokens` is a list of bytes objects, as a model writes them one after another. Joined, they are text in
# UTF-8, but for the last character, which may lack its end. Return a list of as many strings: for each
# token the text that can be printed when it arrives. A character is printed with its last byte; what never
# becomes whole is left out.

# %% answer="chat-whole"
def whole(tokens):
    """Return for each token the characters that it completes."""
    ### BEGIN SOLUTION
    texts, held = [], b""
    for token in tokens:
        held += token
        for cut in range(len(held), -1, -1):    # at most 3 bytes are not yet a character
            try:
                texts.append(held[:cut].decode("utf-8"))
            except UnicodeDecodeError:
                continue
            held = held[cut:]
            break
    return texts
    ### END SOLUTION

# %% check="chat-whole" points=3 minutes=20 level="medium"
check("chat-whole", whole)
