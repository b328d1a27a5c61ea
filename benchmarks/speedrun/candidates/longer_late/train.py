"""Short sequences first, long ones in the end: RoPE has no table of positions to be learned."""

import numpy as np
import rules

from numpygpt.data import DataLoader
from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer

# (part of the steps, sequences, length): as many characters a step, in ever longer sequences
STAGES = ((0.5, 24, 64), (0.85, 12, 128), (1.0, 6, 256))

args = rules.arguments()
vocab_size, train, val = rules.load()
shape = LlamaConfig(vocab_size, 256, 4, 4, 128, n_kv_head=2, qk_norm=True)
model = Llama(shape, rng=np.random.default_rng([args.seed, 0]))
engine = ThreadedEngine(model)
config = TrainConfig(batch_size=6, max_iters=args.steps(2500), lr=0.02, min_lr=0.0, seed=args.seed)
muon = Muon(model, 0.02, weight_decay=0.3, adam_lr=4e-3, betas=(0.9, 0.99), engine=engine)
trainer = Trainer(model, train, val, config, engine, muon)
for until, rows, length in STAGES:
    trainer.loader = DataLoader(train, rows, length, rng=trainer.rng)
    while trainer.step_count < until * config.max_iters:
        record = trainer.step()
        rules.progress(record["step"], record["train_loss"])
rules.report(rules.in_pieces(engine, 256), val, context=256)
