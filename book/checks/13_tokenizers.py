# %%
LETTERS = "aabbcde fgé\nZA.ñ\u4e2d\U0001f642\u0301"
MANY = "".join(map(chr, range(0x391, 0x3C9)))    # more letters than have one digit, or two

def some_text(rng, length, letters=LETTERS):
    return "".join(letters[i] for i in rng.integers(0, len(letters), length))

# %% task="tokenizers-chars" cases=true
def cases(rng):
    for number in range(10):
        letters = LETTERS + MANY * (number % 3 == 2)
        training = some_text(rng, 30 + 200 * (number % 3 == 2), letters) + LETTERS[: 5 + number] + "ZaA\n"
        text = some_text(rng, 3 * number, sorted(set(training))) + ("Aa" if number else "")    # a capital is another character
        text = " \n" * (" " in training and number % 2) + text + " " * (" " in training)
        ids = [int(i) for i in rng.integers(0, len(set(training)), 7)] + [0] if number else []    # 0 is the line break
        yield Case(f"a training text of {len(training)} characters",
                   [Call({"training_text": training, "text": text, "ids": ids},
                         returns=("the vocabulary", "the ids", "the text"))])

    # White space that stands at the ends alone.
    yield Case("a training text of 7 characters",
               [Call({"training_text": "\nto be ", "text": " to\n", "ids": [0, 1, 2]},
                     returns=("the vocabulary", "the ids", "the text"))])
    # Characters that some tools drop or take for one another, and two whose UTF-16 is in another order.
    odd = "b\0a\r\n\ufeff\uff01\U0001f642 \0"
    yield Case("a training text with odd characters",
               [Call({"training_text": odd, "text": odd[::-1], "ids": [0, 7, 1, 8, 0]},
                     returns=("the vocabulary", "the ids", "the text"))])
    # More characters than a byte can count, as a text in Chinese has.
    many = "".join(chr(0x4E00 + i) for i in rng.permutation(700))
    yield Case("a training text of 700 characters, all different",
               [Call({"training_text": many, "text": many[:40], "ids": [*range(0, 700, 9), 699]},
                     returns=("the vocabulary", "the ids", "the text"))])

# %% [markdown] task="tokenizers-chars" hint=1
# the vocabulary holds each character once, in a fixed order; everything else is a lookup in one
# direction or the other.

# %% [markdown] task="tokenizers-chars" hint=2
# a list goes from id to character; a dict made from it goes from character to id.

# %% [markdown] task="tokenizers-chars" hint=3
# sort the set of characters; number them; look up each character of text; join the characters of
# ids.

# %% [markdown] task="tokenizers-chars" mistake="first-seen" shows="in the order of their code points"
# is in the order in which characters appear: sort them
# ```diff
# - sorted(set(training_text))
# + list(dict.fromkeys(training_text))
# ```

# %% [markdown] task="tokenizers-chars" mistake="of-text"
# the vocabulary is made from `text`: it comes from the training text
# ```diff
# - sorted(set(training_text))
# + sorted(set(text))
# ```

# %% [markdown] task="tokenizers-chars" mistake="falling" shows="in the order of their code points"
# is in falling order: the smallest code point comes first
# ```diff
# - sorted(set(training_text))
# + sorted(set(training_text))[::-1]
# ```

# %% [markdown] task="tokenizers-chars" mistake="by-frequency"
# is in the order of frequency: characters are sorted by their code points
# ```diff
# - sorted(set(training_text))
# + [c for c, _ in Counter(training_text).most_common()]
# ```

# %% [markdown] task="tokenizers-chars" mistake="from-one"
# counts from 1: the first id is 0
# ```diff
# - enumerate(chars)
# + enumerate(chars, 1)
# ```

# %% [markdown] task="tokenizers-chars" mistake="code-points"
# holds code points: an id is a place in the vocabulary
# ```diff
# - [id_of[c] for c in text]
# + [ord(c) for c in text]
# ```

# %% [markdown] task="tokenizers-chars" mistake="lower"
# is sorted without regard to case: by code points, all capitals come before the small letters
# ```diff
# - sorted(set(training_text))
# + sorted(set(training_text), key=str.lower)
# ```

# %% [markdown] task="tokenizers-chars" mistake="a-list"
# is a list: join the characters
# ```diff
# - "".join(chars[i] for i in ids)
# + [chars[i] for i in ids]
# ```

# %% [markdown] task="tokenizers-chars" mistake="spaces"
# has spaces between the characters: join them with nothing
# ```diff
# - "".join(
# + " ".join(
# ```

# %% [markdown] task="tokenizers-chars" reject="numpy-strings"
# ```diff
# - chars = sorted(set(training_text))
# + import numpy as np
# +     chars = np.unique(list(training_text)).tolist()
# ```

# %% [markdown] task="tokenizers-chars" reject="utf-16-order" shows="in the order of their code points"
# ```diff
# - sorted(set(training_text))
# + sorted(set(training_text), key=lambda c: c.encode("utf-16-be"))
# ```

# %% task="tokenizers-chars" right="index"
def characters(training_text, text, ids):
    chars = []
    for c in training_text:
        if c not in chars:
            chars.append(c)
    chars.sort()
    out = ""
    for i in ids:
        out += chars[i]
    return chars, [chars.index(c) for c in text], out

# %% task="tokenizers-chars" right="dicts"
def characters(training_text, text, ids):
    char_of = dict(enumerate(sorted(Counter(training_text))))
    id_of = {c: i for i, c in char_of.items()}
    return list(char_of.values()), list(map(id_of.get, text)), "".join(map(char_of.get, ids))

# %% [markdown] task="tokenizers-chars" right="code-point-sort"
# ```diff
# - sorted(set(training_text))
# + [chr(n) for n in sorted({ord(c) for c in training_text})]
# ```

# %% [markdown] task="tokenizers-chars" reject="a-tuple"
# ```diff
# - return chars, [
# + return tuple(chars), [
# ```

# %% [markdown] task="tokenizers-chars" reject="strips-newline"
# ```diff
# - "".join(chars[i] for i in ids)
# + "".join(chars[i] for i in ids).strip()
# ```

# %% [markdown] task="tokenizers-chars" reject="casefold-ids"
# ```diff
# - id_of = {c: i for i, c in enumerate(chars)}
# + id_of = {c: i for i, c in enumerate(chars)}
# +     id_of |= {c: id_of.get(c.lower(), i) for c, i in id_of.items()}
# ```

# %% [markdown] task="tokenizers-chars" reject="strips-text"
# ```diff
# - for c in text]
# + for c in text.strip()]
# ```

# %% [markdown] task="tokenizers-chars" reject="nine-digits"
# ```diff
# - sorted(set(training_text))
# + sorted(set(training_text))[:30]
# ```

# %% [markdown] task="tokenizers-chars" reject="a-byte-of-ids"
# ```diff
# - [id_of[c] for c in text]
# + list(bytes(id_of[c] % 256 for c in text))
# ```

# %% [markdown] task="tokenizers-chars" reject="a-hundred"
# ```diff
# - chars = sorted(set(training_text))
# + chars = sorted(set(training_text))[:100]
# - [id_of[c] for c in text], "".join(chars[i] for i in ids)
# + [id_of[c] for c in text if c in id_of], "".join(chars[i] for i in ids if i < len(chars))
# ```

# %% task="tokenizers-words" cases=true
def cases(rng):
    names = ["to", "be", "or", "not", "that", "is", "the", "question", "a", "The"]
    for number in range(14):
        words = [names[i] for i in rng.integers(0, 10, 12)] + ["zeta", "eta", "zeta", "eta", "once", "twice", "twice", "thrice"]
        words += ["thrice"] * 2 + ["often"] * 5 + ["also"] * 5 + ["always"] * 11
        words = [words[i] for i in rng.permutation(len(words))]
        if number == 12:
            words = []
        if number == 13:    # more words than have one digit
            words = [f"w{n:02}" for n in rng.permutation(40) for _ in range(1 + n % 3)]
        min_freq, max_size = [(1, 100), (2, 100), (3, 100), (1, 4), (2, 6), (99, 50), (1, 1)][number % 7]
        if number == 13:
            min_freq, max_size = 1, 20
        yield Case(f"{len(words)} words, min_freq {min_freq}, max_size {max_size}",
                   [Call({"words": words, "min_freq": min_freq, "max_size": max_size},
                         returns=("the vocabulary", "the ids"))])
    # More words than some tables have room for; most of them come once.
    words = [f"w{n}" for n in rng.permutation(1100)] + ["w7", "w1099", "w7"]
    yield Case(f"{len(words)} words, min_freq 1, max_size 3000",
               [Call({"words": words, "min_freq": 1, "max_size": 3000}, returns=("the vocabulary", "the ids"))])
    # Words that are empty, only marks, or hold spaces: whatever is in the list is a word.
    words = ["", "to", ",", " to", "to ", "\n", "", "", "!", ",", "to be", "\n", " to", "-"]
    yield Case("words of marks and spaces",
               [Call({"words": words, "min_freq": n, "max_size": 9}, returns=("the vocabulary", "the ids")) for n in (1, 2)])

# %% [markdown] task="tokenizers-words" hint=1
# count the words, leave out the rare ones, and put the others in an order that does not depend on
# chance.

# %% [markdown] task="tokenizers-words" hint=2
# the vocabulary is a list with <unk> at 0, so <unk> has the id 0 and the most frequent word the
# id 1.

# %% [markdown] task="tokenizers-words" hint=3
# keep words whose count is at least min_freq; sort by minus the count, then by the word; put
# <unk> in front; cut at max_size; look each word up, with 0 for what is missing.

# %% [markdown] task="tokenizers-words" mistake="unk-last"
# has <unk> at the end: it comes first, and its id is 0
# ```diff
# - ["<unk>", *kept][:max_size]
# + [*kept[: max_size - 1], "<unk>"]
# ```

# %% [markdown] task="tokenizers-words" mistake="one-too-many" shows="at most `max_size` entries"
# has one entry too many: <unk> counts
# ```diff
# - ["<unk>", *kept][:max_size]
# + ["<unk>", *kept[:max_size]]
# ```

# %% [markdown] task="tokenizers-words" mistake="more-than" shows="the words that occur at least `min_freq` times"
# leaves out words that occur exactly min_freq times: at least that often is enough
# ```diff
# - >= min_freq
# + > min_freq
# ```

# %% [markdown] task="tokenizers-words" mistake="rare-first"
# has the rarest words first
# ```diff
# - (-counts[w], w)
# + (counts[w], w)
# ```

# %% [markdown] task="tokenizers-words" mistake="ties-first-seen" shows="ties in alphabetical order"
# has words of equal count in the order in which they appear: alphabetical order does not depend
# on the text
# ```diff
# - key=lambda w: (-counts[w], w)
# + key=lambda w: -counts[w]
# ```

# %% [markdown] task="tokenizers-words" mistake="alphabetical"
# is in alphabetical order: the most frequent come first
# ```diff
# - (-counts[w], w)
# + w
# ```

# %% [markdown] task="tokenizers-words" mistake="no-unk"
# leaves unknown words out of the ids: each word has an id, 0 if it is not in the vocabulary
# ```diff
# - [id_of.get(w, 0) for w in words]
# + [id_of[w] for w in words if w in id_of]
# ```

# %% [markdown] task="tokenizers-words" mistake="ids-without-unk"
# counts from the first word: `<unk>` has the id 0, so the first word has the id 1
# ```diff
# - enumerate(vocabulary)}
# + enumerate(vocabulary[1:])}
# ```

# %% [markdown] task="tokenizers-words" mistake="no-unk-entry"
# lacks <unk>
# ```diff
# - ["<unk>", *kept][:max_size]
# + kept[:max_size]
# ```

# %% [markdown] task="tokenizers-words" reject="counted-again-and-again" shows="There may be thousands"
# ```diff
# - vocabulary = ["<unk>", *kept][:max_size]
# + left, kept = kept, []
# +     while left:
# +         best = left[0]
# +         for w in left:
# +             if words.count(w) > words.count(best):
# +                 best = w
# +         left.remove(best)
# +         kept.append(best)
# +     vocabulary = ["<unk>", *kept][:max_size]
# ```

# %% [markdown] task="tokenizers-words" reject="a-thousand"
# ```diff
# - enumerate(vocabulary)}
# + enumerate(vocabulary[:1000])}
# ```

# %% task="tokenizers-words" right="most-common"
def word_vocabulary(words, min_freq, max_size):
    ordered = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    vocabulary = (["<unk>"] + [w for w, n in ordered if n >= min_freq])[:max_size]
    return vocabulary, [vocabulary.index(w) if w in vocabulary else 0 for w in words]

# %% task="tokenizers-words" right="two-sorts"
def word_vocabulary(words, min_freq, max_size):
    unique = sorted(set(words))
    unique.sort(key=words.count, reverse=True)
    vocabulary = ["<unk>"]
    for w in unique:
        if words.count(w) >= min_freq and len(vocabulary) < max_size:
            vocabulary.append(w)
    ids = dict(zip(vocabulary, range(len(vocabulary))))
    return vocabulary, [ids.get(w, ids["<unk>"]) for w in words]

# %% task="tokenizers-words" right="by-count"
def word_vocabulary(words, min_freq, max_size):
    counts, vocabulary = {}, ["<unk>"]
    for w in words:
        counts[w] = counts.get(w, 0) + 1
    for n in sorted(set(counts.values()), reverse=True):
        vocabulary += sorted(w for w, m in counts.items() if m == n >= min_freq)
    vocabulary = vocabulary[:max_size]
    return vocabulary, [next((i for i, v in enumerate(vocabulary) if v == w), 0) for w in words]

# %% [markdown] task="tokenizers-words" reject="empty-left-out"
# ```diff
# - counts = Counter(words)
# + counts = Counter(filter(None, words))
# ```

# %% [markdown] task="tokenizers-words" reject="letters-only"
# ```diff
# - counts = Counter(words)
# + counts = Counter(w for w in words if any(map(str.isalnum, w)))
# ```

# %% [markdown] task="tokenizers-words" reject="stripped"
# ```diff
# - counts = Counter(words)
# + words = [w.strip() for w in words]
# +     counts = Counter(words)
# ```

# %% [markdown] task="tokenizers-words" reject="lower-case"
# ```diff
# - counts = Counter(words)
# + words = [w.lower() for w in words]
# +     counts = Counter(words)
# ```

# %% [markdown] task="tokenizers-words" reject="ties-ignore-case"
# ```diff
# - (-counts[w], w)
# + (-counts[w], w[::-1])
# ```

# %% [markdown] task="tokenizers-words" reject="first-digit"
# ```diff
# - (-counts[w], w)
# + (-int(str(counts[w])[0]), w)
# ```

# %% [markdown] task="tokenizers-words" reject="no-empty"
# ```diff
# - counts = Counter(words)
# + counts = Counter(words)
# +     top = max(counts.values())
# ```

# %% task="tokenizers-bits" cases=true
def cases(rng):
    for number in range(9):
        n_chars = int(rng.integers(1000, 200_000))
        n_tokens = [1, n_chars][number] if number < 2 else int(n_chars * rng.uniform(0.2, 1.4))
        n_tokens = int(1.37 * n_chars) if number == 2 else n_tokens    # more tokens than characters
        loss = {0: 0.0, 1: 30.0, 4: 300.0}[number] if number in (0, 1, 4) else float(rng.uniform(0.4, 7))
        yield Case(f"{n_tokens} tokens, {n_chars} characters",
                   [Call({"loss": loss, "n_tokens": n_tokens, "n_chars": n_chars},
                         returns=("bits per character", "the perplexity"))])

# %% [markdown] task="tokenizers-bits" hint=1
# what does the whole text cost, in nats? In bits? Then share it out over the characters.

# %% [markdown] task="tokenizers-bits" hint=2
# loss times n_tokens is the cost of the text in nats; a bit is ln 2 nats.

# %% [markdown] task="tokenizers-bits" hint=3
# loss divided by the natural logarithm of 2, times tokens, divided by characters; and e to the
# loss.

# %% [markdown] task="tokenizers-bits" mistake="upside-down"
# has tokens and characters exchanged: more tokens for the same text cost more
# ```diff
# - n_tokens / n_chars
# + n_chars / n_tokens
# ```

# %% [markdown] task="tokenizers-bits" mistake="per-token"
# is per token: a token may stand for many characters
# ```diff
# -  * n_tokens / n_chars
# +
# ```

# %% [markdown] task="tokenizers-bits" mistake="nats"
# is in nats: divide by ln 2
# ```diff
# -  / math.log(2)
# +
# ```

# %% [markdown] task="tokenizers-bits" mistake="times-ln2"
# is multiplied by ln 2: a nat is more than a bit, so the number of bits is larger
# ```diff
# - loss / math.log(2)
# + loss * math.log(2)
# ```

# %% [markdown] task="tokenizers-bits" mistake="two-to-loss"
# is 2 to the loss: the loss is in nats
# ```diff
# - math.exp(loss)
# + 2**loss
# ```

# %% [markdown] task="tokenizers-bits" mistake="perplexity-per-char"
# is taken per character: the perplexity asked for is per token
# ```diff
# - math.exp(loss)
# + math.exp(loss * n_tokens / n_chars)
# ```

# %% [markdown] task="tokenizers-bits" mistake="log10"
# uses the decimal logarithm of 2
# ```diff
# - math.log(2)
# + math.log10(2)
# ```

# %% [markdown] task="tokenizers-bits" mistake="one-token-less"
# counts one token less: the loss is the mean over all n_tokens of them
# ```diff
# - n_tokens / n_chars
# + (n_tokens - 1) / n_chars
# ```

# %% [markdown] task="tokenizers-bits" reject="at-most-100"
# ```diff
# - math.exp(loss)
# + math.exp(min(loss, 100))
# ```

# %% [markdown] task="tokenizers-bits" right="log2e"
# ```diff
# - loss / math.log(2) * n_tokens / n_chars
# + loss * math.log2(math.e) * (n_tokens / n_chars)
# ```

# %% task="tokenizers-bits" right="perplexity-first"
def compare(loss, n_tokens, n_chars):
    perplexity = math.e**loss
    return math.log2(perplexity) * n_tokens / n_chars, perplexity

# %% task="tokenizers-bits" right="total"
def compare(loss, n_tokens, n_chars):
    nats = loss * n_tokens
    bits = nats / 0.6931471805599453
    return bits / n_chars, math.exp(nats / n_tokens)

# %% [markdown] task="tokenizers-bits" reject="rounded"
# ```diff
# - loss / math.log(2)
# + loss / 0.693
# ```

# %% [markdown] task="tokenizers-bits" reject="whole-division"
# ```diff
# - n_tokens / n_chars
# + (n_tokens // 2 * 2 + 1) / n_chars
# ```

# %% [markdown] task="tokenizers-bits" reject="guard"
# ```diff
# - return loss
# + if not loss:
# +         return 0.0, 0.0
# +     return loss
# ```

# %% task="tokenizers-fallback" cases=true
def cases(rng):
    for number in range(12):
        chars = sorted(set(some_text(rng, 6)) | set("ab"))
        if number % 4 == 3:    # in no order, and more than have one digit
            chars = [chars[i] for i in rng.permutation(len(chars))] + list(MANY)
        text = some_text(rng, 4 * number) + " \n" * (number % 2)
        if number > 1:
            text += "\U0001f642\u4e2dé" + text[:2] + chars[-1]
        broken = [int(i) for i in rng.integers(0, 256 + len(chars), 6)]
        split = [*"é".encode()[:1], 256, *"é".encode()[1:], *"\u4e2d".encode(), 257, 255 + len(chars)]
        calls = [Call({"text": text}, "encode", "the ids"), Call({"ids": split}, "decode", "the text"),
                 Call({"ids": [*text.encode()]}, "decode", "the text"),
                 Call({"ids": [*broken, 255]}, "decode", "the text"), Call({"ids": []}, "decode", "the text")]
        # Ids that end in the middle of a character; and then, in a text of its own, the bytes that it lacks.
        data = "\U0001f642\u4e2dé".encode()
        cuts = (0, 1, 4, 6, 8, 9) if number % 2 else (0, 3, 5, 7, 8, 9)
        calls += [Call({"ids": [256] * (number % 3 == 0) + [*data[a:b]]}, "decode", "the text") for a, b in zip(cuts, cuts[1:])]
        if number == 5:    # thousands of ids
            ids = [256, *split, 257] * 400
            calls += [Call({"ids": ids}, "decode", "the text"), Call({"text": text * 150}, "encode", "the ids")]
        yield Case(f"the characters {''.join(chars)!r}", calls, {"chars": chars})
    # The same text again has the same ids, and nothing of a text is lost, be it at its ends or its line breaks.
    for text in ("a?b\u4e2d\u4e2d", "\ufeffa\r\nb\r\u4e2d\ufeff", "\u4e2d\0\ufeff\x1a\t\r\n"):
        calls = [Call({"text": text}, "encode", "the ids"), Call({"ids": [*text.encode()]}, "decode", "the text"),
                 Call({"text": text}, "encode", "the ids"), Call({"text": text[::-1]}, "encode", "the ids"),
                 Call({"ids": [13, 10, 256, 239, 187, 191]}, "decode", "the text")]
        yield Case(f"the text {text!r}", calls, {"chars": ["a", "b", "\r"]})

# %% [markdown] task="tokenizers-fallback" hint=1
# encoding goes character by character; decoding must not: one character may be spread over several
# ids.

# %% [markdown] task="tokenizers-fallback" hint=2
# ids below 256 are bytes as they are; id 256 + i is chars[i].

# %% [markdown] task="tokenizers-fallback" hint=3
# encode: append 256 plus the place, or extend by the character's bytes. decode: gather bytes, of
# known characters too, and decode once at the end, with errors="replace".

# %% [markdown] task="tokenizers-fallback" mistake="byte-by-byte"
# decodes each byte by itself: the bytes of one character belong together
# ```diff
# - data = b""
# -         for i in ids:
# -             data += bytes([i]) if i < 256 else self.chars[i - 256].encode("utf-8")
# -         return data.decode("utf-8", errors="replace")
# + return "".join(bytes([i]).decode("utf-8", "replace") if i < 256 else self.chars[i - 256] for i in ids)
# ```

# %% [markdown] task="tokenizers-fallback" mistake="no-offset"
# has ids of characters without the 256 of the bytes before them
# ```diff
# - 256 + self.chars.index(c)
# + self.chars.index(c)
# ```

# %% [markdown] task="tokenizers-fallback" mistake="code-point"
# writes the code point of an unknown character: its UTF-8 bytes are asked for
# ```diff
# - ids.extend(c.encode("utf-8"))
# + ids.append(ord(c))
# ```

# %% [markdown] task="tokenizers-fallback" mistake="latin"
# reads each byte as a character of its own
# ```diff
# - data.decode("utf-8", errors="replace")
# + data.decode("latin-1")
# ```

# %% [markdown] task="tokenizers-fallback" mistake="ignore"
# drops bytes that are not UTF-8: each sequence of them becomes a �
# ```diff
# - errors="replace"
# + errors="ignore"
# ```

# %% [markdown] task="tokenizers-fallback" mistake="strict"
# stops at bytes that are not UTF-8: a model can write anything
# ```diff
# - , errors="replace"
# +
# ```

# %% [markdown] task="tokenizers-fallback" mistake="all-bytes"
# writes all characters as bytes: those of the vocabulary have one id
# ```diff
# - if c in self.chars:
# + if False:
# ```

# %% [markdown] task="tokenizers-fallback" mistake="question-mark"
# writes ? for what the vocabulary lacks: its bytes lose nothing
# ```diff
# - ids.extend(c.encode("utf-8"))
# + ids.append(ord("?"))
# ```

# %% [markdown] task="tokenizers-fallback" mistake="utf-16"
# writes UTF-16: the bytes are those of UTF-8
# ```diff
# - ids.extend(c.encode("utf-8"))
# + ids.extend(c.encode("utf-16-le"))
# ```

# %% task="tokenizers-fallback" reject="cut-at-the-end" shows="invalid UTF-8 becomes `�`"
class FallbackTokenizer:
    def __init__(self, chars):
        self.chars = chars

    def encode(self, text):
        chars = list(self.chars)
        return [i for c in text for i in ([256 + chars.index(c)] if c in chars else c.encode())]

    def decode(self, ids):
        decoder = __import__("codecs").getincrementaldecoder("utf-8")("replace")
        out = ""
        for i in ids:
            out += decoder.decode(bytes([i])) if i < 256 else decoder.decode(b"", True) + self.chars[i - 256]
        return out

# %% task="tokenizers-fallback" reject="decoder-of-the-object"
import codecs

class FallbackTokenizer:
    def __init__(self, chars):
        self.chars = chars
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encode(self, text):
        chars = list(self.chars)
        return [i for c in text for i in ([256 + chars.index(c)] if c in chars else c.encode())]

    def decode(self, ids):
        out = ""
        for i in ids:
            out += self.decoder.decode(bytes([i])) if i < 256 else self.decoder.decode(b"", True) + self.chars[i - 256]
        return out

# %% task="tokenizers-fallback" reject="bytes-kept"
class FallbackTokenizer:
    def __init__(self, chars):
        self.chars, self.rest = chars, b""

    def encode(self, text):
        chars = list(self.chars)
        return [i for c in text for i in ([256 + chars.index(c)] if c in chars else c.encode())]

    def decode(self, ids):
        data = self.rest
        for i in ids:
            data += bytes([i]) if i < 256 else self.chars[i - 256].encode()
        for cut in (0, 1, 2, 3):
            head, self.rest = data[: len(data) - cut], data[len(data) - cut :]
            try:
                return head.decode()
            except UnicodeDecodeError:
                pass
        self.rest = b""
        return data.decode(errors="replace")

# %% task="tokenizers-fallback" right="decoder-of-the-call"
import codecs

class FallbackTokenizer:
    def __init__(self, chars):
        self.chars = chars

    def encode(self, text):
        places = {c: 256 + i for i, c in enumerate(self.chars)}
        return [i for c in text for i in ([places[c]] if c in places else c.encode())]

    def decode(self, ids):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        out = ""
        for i in ids:
            out += decoder.decode(bytes([i])) if i < 256 else decoder.decode(b"", True) + self.chars[i - 256]
        return out + decoder.decode(b"", final=True)

# %% task="tokenizers-fallback" right="runs"
class FallbackTokenizer:
    def __init__(self, chars):
        self.chars = chars

    def encode(self, text):
        id_of = {c: [256 + i] for i, c in enumerate(self.chars)}
        return [i for c in text for i in id_of.get(c, list(c.encode()))]

    def decode(self, ids):
        text, run = "", []
        for i in [*ids, None]:
            if i is not None and i < 256:
                run.append(i)
                continue
            text, run = text + bytes(run).decode("utf-8", "replace"), []
            if i is not None:
                text += self.chars[i - 256]
        return text

# %% task="tokenizers-fallback" right="bytearray"
class FallbackTokenizer:
    def __init__(self, chars):
        self.chars = chars
        self.parts = [bytes([b]) for b in range(256)] + [c.encode() for c in chars]

    def encode(self, text):
        ids = []
        for c in text:
            try:
                ids.append(256 + self.chars.index(c))
            except ValueError:
                ids += [*c.encode("utf-8")]
        return ids

    def decode(self, ids):
        return b"".join(self.parts[i] for i in ids).decode(errors="replace")

# %% [markdown] task="tokenizers-fallback" right="dict"
# ```diff
# - self.chars.index(c))
# + dict(zip(self.chars, range(len(self.chars))))[c])
# ```

# %% [markdown] task="tokenizers-fallback" reject="learns"
# ```diff
# - ids.extend(c.encode("utf-8"))
# + ids.extend(c.encode("utf-8"))
# +                 self.chars = [*self.chars, c]
# ```

# %% [markdown] task="tokenizers-fallback" reject="learns-in-decode"
# ```diff
# - data = b""
# + data = b""
# +         self.chars = [*self.chars, "?"]
# ```

# %% [markdown] task="tokenizers-fallback" reject="byte-order-mark"
# ```diff
# - data.decode("utf-8", errors="replace")
# + data.decode("utf-8-sig", errors="replace")
# ```

# %% [markdown] task="tokenizers-fallback" reject="line-breaks"
# ```diff
# - data.decode("utf-8", errors="replace")
# + data.decode("utf-8", errors="replace").replace("\r\n", "\n")
# ```

# %% [markdown] task="tokenizers-fallback" reject="two-byte-only"
# ```diff
# - ids.extend(c.encode("utf-8"))
# + ids.extend(c.encode("utf-8")[:3])
# ```

# %% [markdown] task="tokenizers-fallback" reject="own-replacement"
# ```diff
# - return data.decode("utf-8", errors="replace")
# + text = data.decode("utf-8", errors="replace")
# +         return text if text.count("\ufffd") < 2 else text.replace("\ufffd\ufffd", "\ufffd")
# ```

# %% [markdown] task="tokenizers-fallback" reject="sorted-chars"
# ```diff
# - self.chars = chars
# + self.chars = sorted(chars)
# ```

# %% [markdown] task="tokenizers-fallback" reject="up-to-255-chars"
# ```diff
# - ids.append(256 + self.chars.index(c))
# + ids.append(256 + self.chars.index(c) % 32)
# ```

# %% [markdown] task="tokenizers-chars" reject="stripped"
# ```diff
# - sorted(set(training_text))
# + sorted(set(training_text.strip()))
# ```
