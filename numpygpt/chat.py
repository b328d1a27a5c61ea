"""Chat: turns to tokens, and tokens to text while they are made. Derived in chapter 25."""

import codecs
from dataclasses import dataclass

import numpy as np

from numpygpt.generate import KVCache, draw, next_token_probs

START, END = "<|im_start|>", "<|im_end|>"  # of a turn, in the format that is called ChatML


@dataclass(frozen=True)
class Template:
    """How a model wants its turns: ChatML, with what its family adds, or as in a play.

    Args:
        system: the system turn where the chat has none; "" for none at all.
        no_thoughts: what an answer without thinking begins with, "" for models that never think.
        user, assistant: what the two are called in a play; "" for ChatML.
    """

    system: str = ""
    no_thoughts: str = ""
    user: str = ""
    assistant: str = ""


SMOLLM2 = Template(system="You are a helpful AI assistant named SmolLM, trained by Hugging Face")


QWEN3 = Template(no_thoughts="<think>\n\n</think>\n\n")


PLAY = Template(
    user="You", assistant="I"
)  # for a model of Shakespeare, which has no special tokens


def template_of(model, tokenizer):
    """Return the template of a model that knows turns; ValueError if it knows none."""
    if not {START, END} <= set(getattr(tokenizer, "special_tokens", ())):
        raise ValueError(f"this model knows no turns: its tokenizer has no {START} and {END}")
    if "<think>" in tokenizer.special_tokens:
        return QWEN3
    # A tokenizer of this kind came with another's model; a model trained here has no default.
    return SMOLLM2 if tokenizer.kind == "byte_level_bpe" else Template()


def as_play(messages, template):
    """Return a chat as the text of a play, up to where the assistant speaks next."""
    names = {"user": template.user, "assistant": template.assistant}
    if unknown := [role for role, _ in messages if role not in names]:
        raise ValueError(f"this model knows no turns of the {unknown[0]}'s")
    turns = [(names[role], text.replace("\n", " ")) for role, text in messages]
    said = "".join(f"{name}:\n{text}\n\n" for name, text in turns)
    return f"{said}{template.assistant}:\n"


def ends_of(tokenizer, template):
    """Return the ids that end an answer; the first is what a model is trained to write."""
    if template.user:
        return tokenizer.encode("\n")
    special = tokenizer.special_tokens
    return [special[name] for name in (END, "<|endoftext|>") if name in special]


def render(tokenizer, messages, template, think=False):
    """Return the ids of a chat, up to the place where the next answer begins.

    What a message says is encoded with no token special in it: the text <|im_end|> ends no turn.

    Args:
        messages: (role, text) pairs; the roles are system, user and assistant.
        think: let a model think that can; else it is told that it has thought already.
    """
    if template.user:
        return tokenizer.encode(as_play(messages, template))
    special = tokenizer.special_tokens
    if messages[0][0] != "system" and template.system:
        messages = [("system", template.system), *messages]
    ids = []
    for role, text in messages:
        if role == "assistant" and template.no_thoughts:
            text = text.rpartition("</think>")[2].lstrip("\n")  # old thoughts are dropped
        ids += [special[START], *tokenizer.encode(f"{role}\n{text}"), special[END]]
        ids += tokenizer.encode("\n")
    ids += [special[START], *tokenizer.encode("assistant\n")]
    return ids if think else ids + tokenizer.encode(template.no_thoughts, "all")


class TextStream:
    """Tokens to text while they are made: never half of a character."""

    def __init__(self, tokenizer):
        self.tokenizer, self.last = tokenizer, []
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, ids):
        """Return the text that is whole now; bytes of a character that is not wait for the rest."""
        if hasattr(self.tokenizer, "decode_bytes"):
            return self.decoder.decode(self.tokenizer.decode_bytes(ids))
        # Whether there is a space before a word depends on the word before it.
        known, self.last, decode = self.last, ids[-1:], self.tokenizer.decode
        return decode([*known, *ids])[len(decode(known)) :]


class Chat:
    """A chat with a model: what has been said, and the keys and values of it.

    Args:
        messages: (role, text) pairs that come before the first question: a system turn, perhaps.

    Raises:
        ValueError: the model knows no turns.
    """

    def __init__(self, model, tokenizer, messages=(), template=None, think=False):
        self.model, self.tokenizer, self.messages = model, tokenizer, list(messages)
        self.template = template or template_of(model, tokenizer)
        self.think = think
        self.ends = ends_of(tokenizer, self.template)
        self.cache = KVCache(model)
        self.n_tokens = 0  # of the last answer

    def answer(self, text, *, max_new_tokens, rng, **options):
        """Yield the pieces of the answer to `text` as they are made; options as `stream`.

        However the answer ends, by itself, after max_new_tokens or by Ctrl-C, what there is of it
        goes into the chat.

        Raises:
            ValueError: the question does not fit into the model's window.
        """
        new = self._take(text, max_new_tokens)
        said, pieces, self.n_tokens = [], TextStream(self.tokenizer), 0
        try:
            while self.n_tokens < max_new_tokens:
                probs = next_token_probs(self._read(new), **options)
                token = int(draw(probs, rng)[0])
                if token in self.ends:
                    break
                self.n_tokens, new = self.n_tokens + 1, [token]
                said.append(pieces.add(new))
                yield said[-1]
        finally:
            self.messages.append(("assistant", "".join(said)))

    def _take(self, text, room):
        """Add a question; return the ids to read before the answer, for which `room` is left.

        If all is too long, the oldest questions go, with their answers. What the cache holds of the
        beginning need not be read again.
        """
        messages, size = [*self.messages, ("user", text)], self.model.config.block_size
        first = 1 if messages[0][0] == "system" else 0
        ids = render(self.tokenizer, messages, self.template, self.think)
        while len(ids) + room > size and len(messages) > first + 1:
            del messages[first : first + 2]
            ids = render(self.tokenizer, messages, self.template, self.think)
        if len(ids) + room > size:
            raise ValueError(f"{len(ids)} tokens to read and {room} to write exceed {size}")
        self.messages = messages
        n = min(self.cache.window.shape[1], len(ids) - 1)  # one at least must be read
        common = np.cumprod(self.cache.window[0, :n] == ids[:n]).sum()
        self.cache.window = self.cache.window[:, :common]
        return ids[common:]

    def _read(self, ids):
        """Return the logits after these ids; if Ctrl-C comes, the cache is as it was before."""
        before = self.cache.window
        try:
            return self.cache.append(np.array([ids]))
        except BaseException:
            self.cache.window = before
            raise
