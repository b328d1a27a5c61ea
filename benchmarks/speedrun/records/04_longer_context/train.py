"""Twice the context, read in pieces that overlap, and steps until the five minutes are over."""

import numpy as np
import rules

from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer

args = rules.arguments()
vocab_size, train, val = rules.load()
shape = LlamaConfig(vocab_size, 128, 4, 4, 128, n_kv_head=2, qk_norm=True)
model = Llama(shape, rng=np.random.default_rng([args.seed, 0]))
engine = ThreadedEngine(model)
config = TrainConfig(max_iters=args.steps(2800), lr=0.02, min_lr=0.0, seed=args.seed)
muon = Muon(model, 0.02, weight_decay=0.3, adam_lr=8e-3, betas=(0.9, 0.99), engine=engine)
trainer = Trainer(model, train, val, config, engine, muon)
for _ in range(config.max_iters):
    record = trainer.step()
    rules.progress(record["step"], record["train_loss"])
print(f"in pieces end to end: {rules.score(rules.in_pieces(engine, 128), val):.4f}", flush=True)
rules.report(rules.in_pieces(engine, 128, 32), val, context=128)
