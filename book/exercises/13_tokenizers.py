# %% [markdown]
# # Exercises for chapter 13: Tokenizers
#
# From text to ids and back, and what a loss per token is worth. Write your code in place of
# `raise NotImplementedError()`, and all of it into that cell. The check below it runs your code on
# texts that you do not see, and says what is wrong. `hint("tokenizers-chars")` in a cell of your own
# gives a hint; call it again for the next.

# %%
import math
from collections import Counter

from coursekit import check, hint

# %% [markdown]
# ## Task 1: characters (2 points, easy, about 15 minutes)
#
# The vocabulary is the distinct characters of the training text, in the order of their code points,
# as `sorted` puts them; a character's id is its place. Return the vocabulary as a list, the ids of
# `text`, and the text that the list of ids `ids` stands for.

# %% answer="tokenizers-chars"
def characters(training_text, text, ids):
    """Return (vocabulary, ids of text, text of ids)."""
    ### BEGIN SOLUTION
    chars = sorted(set(training_text))
    id_of = {c: i for i, c in enumerate(chars)}
    return chars, [id_of[c] for c in text], "".join(chars[i] for i in ids)
    ### END SOLUTION

# %% check="tokenizers-chars" points=2 minutes=15 level="easy"
check("tokenizers-chars", characters)

# %% [markdown]
# ## Task 2: words (3 points, medium, about 20 minutes)
#
# `words` is a text that has already been cut into words. There may be thousands of them:
# three loops in one another are too slow. Return a vocabulary: a list that begins with
# `"<unk>"`, then the words that occur at least `min_freq` times, the most frequent first, ties in
# alphabetical order; at most `max_size` entries, `<unk>` counted. Return also the ids of `words`, with 0
# for a word that the vocabulary lacks.

# %% answer="tokenizers-words"
def word_vocabulary(words, min_freq, max_size):
    """Return (vocabulary, ids of words)."""
    ### BEGIN SOLUTION
    counts = Counter(words)
    kept = [w for w in counts if counts[w] >= min_freq]
    kept.sort(key=lambda w: (-counts[w], w))
    vocabulary = ["<unk>", *kept][:max_size]
    id_of = {w: i for i, w in enumerate(vocabulary)}
    return vocabulary, [id_of.get(w, 0) for w in words]
    ### END SOLUTION

# %% check="tokenizers-words" points=3 minutes=20 level="medium"
check("tokenizers-words", word_vocabulary)

# %% [markdown]
# ## Task 3: bits per character (2 points, easy, about 10 minutes)
#
# A model's loss is `loss` nats per token. Its tokenizer cuts a text of `n_chars` characters into
# `n_tokens` tokens. Return the bits per character, which no longer depend on the tokenizer; and
# the perplexity per token, $e^{loss}$, which does.

# %% answer="tokenizers-bits"
def compare(loss, n_tokens, n_chars):
    """Return (bits per character, perplexity per token)."""
    ### BEGIN SOLUTION
    return loss / math.log(2) * n_tokens / n_chars, math.exp(loss)
    ### END SOLUTION

# %% check="tokenizers-bits" points=2 minutes=10 level="easy"
check("tokenizers-bits", compare)

# %% [markdown]
# ## Task 4: byte fallback (4 points, hard, about 30 minutes)
#
# Llama's tokenizer needs no `<unk>`: a character that the vocabulary lacks is written as its UTF-8
# bytes, one token each. The chapter has nothing like it. Ids 0 to 255 are the bytes; id 256 + i is
# the character `chars[i]`. Write `encode(text)`: a character of the vocabulary has one id, any other
# the ids of its bytes. Write `decode(ids)`: bytes that stand together are decoded together; invalid
# UTF-8 becomes `�`, as `bytes.decode("utf-8", errors="replace")` does.

# %% answer="tokenizers-fallback"
class FallbackTokenizer:
    """Characters, and bytes for those that are not among them."""

    def __init__(self, chars):
        self.chars = chars

    def encode(self, text):
        ### BEGIN SOLUTION
        ids = []
        for c in text:
            if c in self.chars:
                ids.append(256 + self.chars.index(c))
            else:
                ids.extend(c.encode("utf-8"))
        return ids
        ### END SOLUTION

    def decode(self, ids):
        ### BEGIN SOLUTION
        data = b""
        for i in ids:
            data += bytes([i]) if i < 256 else self.chars[i - 256].encode("utf-8")
        return data.decode("utf-8", errors="replace")
        ### END SOLUTION

# %% check="tokenizers-fallback" points=4 minutes=30 level="hard"
check("tokenizers-fallback", FallbackTokenizer)
