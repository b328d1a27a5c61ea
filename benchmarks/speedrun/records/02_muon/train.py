"""The same model, its matrices stepped by Muon (chapter 24), and a rate that falls to 0."""

import numpy as np
import rules

from numpygpt import GPT, GPTConfig
from numpygpt.engine import ThreadedEngine
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer

args = rules.arguments()
vocab_size, train, val = rules.load()
model = GPT(GPTConfig(vocab_size, 64, 4, 4, 128), rng=np.random.default_rng([args.seed, 0]))
engine = ThreadedEngine(model)
config = TrainConfig(max_iters=args.steps(2000), lr=0.02, min_lr=0.0, seed=args.seed)
muon = Muon(model, 0.02, weight_decay=0.3, adam_lr=8e-3, betas=(0.9, 0.99), engine=engine)
trainer = Trainer(model, train, val, config, engine, muon)
for _ in range(config.max_iters):
    record = trainer.step()
    rules.progress(record["step"], record["train_loss"])
rules.report(rules.in_pieces(engine, 64), val, context=64)
