"""An embedding for each pair of characters beside that of the character."""

import numpy as np
import rules

from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.nn import Embedding
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer


class Pairs(Embedding):
    """y = W[ids] + P[V · the id before + id]; the first of a sequence has none before it."""

    def __init__(self, table):
        self.W, self.dW = table.W, table.dW
        self.P = np.zeros((len(self.W) ** 2, self.W.shape[1]), self.W.dtype)
        self.dP = np.zeros_like(self.P)

    def forward(self, ids):
        y = Embedding.forward(self, ids)
        self.pairs = len(self.W) * ids[:, :-1] + ids[:, 1:]
        y[:, 1:] += self.P[self.pairs]
        return y

    def backward(self, dy):
        # y = W[ids] + P[pairs]
        Embedding.backward(self, dy)
        np.add.at(self.dP, self.pairs, dy[:, 1:])


def main():
    args = rules.arguments()
    vocab_size, train, val = rules.load()
    shape = LlamaConfig(vocab_size, 128, 4, 4, 128, n_kv_head=2, qk_norm=True)
    model = Llama(shape, rng=np.random.default_rng([args.seed, 0]))
    model.wte = Pairs(model.wte)
    engine = ThreadedEngine(model)
    config = TrainConfig(max_iters=args.steps(2500), lr=0.02, min_lr=0.0, seed=args.seed)
    muon = Muon(model, 0.02, weight_decay=0.05, adam_lr=4e-3, betas=(0.9, 0.99), engine=engine)
    trainer = Trainer(model, train, val, config, engine, muon)
    for _ in range(config.max_iters):
        record = trainer.step()
        rules.progress(record["step"], record["train_loss"])
    rules.report(rules.in_pieces(engine, 128), val, context=128)


if __name__ == "__main__":
    main()
