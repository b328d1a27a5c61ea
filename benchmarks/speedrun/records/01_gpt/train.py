"""The book's GPT, as `make train` trains it."""

import numpy as np
import rules

from numpygpt import GPT, GPTConfig
from numpygpt.engine import ThreadedEngine
from numpygpt.training import TrainConfig, Trainer

args = rules.arguments()
vocab_size, train, val = rules.load()
model = GPT(GPTConfig(vocab_size, 64, 4, 4, 128), rng=np.random.default_rng([args.seed, 0]))
engine = ThreadedEngine(model)
config = TrainConfig(max_iters=args.steps(2000), seed=args.seed)
trainer = Trainer(model, train, val, config, engine)
for _ in range(config.max_iters):
    record = trainer.step()
    rules.progress(record["step"], record["train_loss"])
rules.report(rules.in_pieces(engine, 64), val, context=64)
