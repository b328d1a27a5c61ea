"""Dropout on what each branch adds: the text is short, and the training loss far below."""

import numpy as np
import rules

from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.nn import Module
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer


class Dropped(Module):
    """y = layer(x) · mask / (1 - p): while training, a part p of what a branch adds is left out."""

    def __init__(self, layer, p, seed):
        self.layer, self.p = layer, p
        self.rng = np.random.default_rng(seed)
        self.on = True

    def forward(self, *args):
        y = self.layer(*args)
        self.mask = None
        if self.on:
            kept = self.rng.random(y.shape, np.float32) >= self.p
            self.mask = kept.astype(y.dtype) / (1 - self.p)
            y = y * self.mask
        return y

    def backward(self, dy):
        # y = layer(x) · mask
        return self.layer.backward(dy if self.mask is None else dy * self.mask)


def main():
    args = rules.arguments()
    vocab_size, train, val = rules.load()
    shape = LlamaConfig(vocab_size, 128, 4, 4, 128, n_kv_head=2, qk_norm=True)
    model = Llama(shape, rng=np.random.default_rng([args.seed, 0]))
    for number, block in enumerate(model.blocks):
        block.attn = Dropped(block.attn, 0.1, [args.seed, 3, number])
        block.ffn = Dropped(block.ffn, 0.1, [args.seed, 4, number])
    engine = ThreadedEngine(model)
    config = TrainConfig(max_iters=args.steps(2500), lr=0.02, min_lr=0.0, seed=args.seed)
    muon = Muon(model, 0.02, weight_decay=0.05, adam_lr=4e-3, betas=(0.9, 0.99), engine=engine)
    trainer = Trainer(model, train, val, config, engine, muon)
    for _ in range(config.max_iters):
        record = trainer.step()
        rules.progress(record["step"], record["train_loss"])
    for part in engine.models:
        for block in part.blocks:
            block.attn.on = block.ffn.on = False
    rules.report(rules.in_pieces(engine, 128), val, context=128)


if __name__ == "__main__":
    main()
