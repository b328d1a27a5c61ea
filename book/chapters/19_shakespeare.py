# %% [markdown]
# # Chapter 19: Shakespeare
#
# Everything is built. Now three GPTs get the same text, cut in three ways: into characters, into
# words, and into BPE tokens. Before any training, let us see what they know, which should be
# nothing: each gives its V tokens the probability $1/V$. We measure in bits per character
# ([chapter 13](13_tokenizers.ipynb)).

# %%
SCALE = 1  # 2: four layers, 128 wide, twice the context; about ten times as long

# %%
import math
from pathlib import Path

import numpy as np

from numpygpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

text = Path("../data/shakespeare.txt").read_text(encoding="utf-8")
cut = round(len(text) * 0.9)
train_text, val_text = text[:cut], text[cut:]
tokenizers = {
    "char": CharTokenizer.train(train_text),
    "word": WordTokenizer.train(train_text, min_freq=2),
    "BPE": BPETokenizer.train(train_text, vocab_size=1024),
}

# %%
val = {name: np.array(tok.encode(val_text)) for name, tok in tokenizers.items()}

def bits_per_character(nats_per_token, name):
    """As chapter 13: the loss per token, in bits, times the tokens per character."""
    return nats_per_token / math.log(2) * len(val[name]) / len(val_text)

for name, tok in tokenizers.items():
    nats = math.log(tok.vocab_size)
    print(f"{name:4}  V = {tok.vocab_size:5}   {len(val[name]):7,} tokens   ln V = {nats:.2f} nats"
          f"   {bits_per_character(nats, name):.2f} bits per character")
