"""Embeddings for pairs and triples of characters beside that of the character."""

import numpy as np
import rules

from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.nn import Embedding
from numpygpt.optim import Muon
from numpygpt.training import TrainConfig, Trainer


class NGrams(Embedding):
    """y = W[ids] + P[pair] + Q[hash of the triple]; pair and triple end with the id.

    There are V³ triples, most of which never occur: they share `rows` rows.
    """

    def __init__(self, table, rows):
        self.W, self.dW = table.W, table.dW
        V, C = self.W.shape
        self.P, self.Q = (np.zeros((n, C), self.W.dtype) for n in (V**2, rows))
        self.dP, self.dQ = np.zeros_like(self.P), np.zeros_like(self.Q)

    def forward(self, ids):
        V = len(self.W)
        y = Embedding.forward(self, ids)
        self.pairs = V * ids[:, :-1] + ids[:, 1:]
        triples = V**2 * ids[:, :-2] + self.pairs[:, 1:]
        self.triples = triples * 2_654_435_761 % 2**32 % len(self.Q)  # Knuth's hash
        y[:, 1:] += self.P[self.pairs]
        y[:, 2:] += self.Q[self.triples]
        return y

    def backward(self, dy):
        # y = W[ids] + P[pairs] + Q[triples]
        Embedding.backward(self, dy)
        np.add.at(self.dP, self.pairs, dy[:, 1:])
        np.add.at(self.dQ, self.triples, dy[:, 2:])


def main():
    args = rules.arguments()
    vocab_size, train, val = rules.load()
    shape = LlamaConfig(vocab_size, 128, 4, 4, 128, n_kv_head=2, qk_norm=True)
    model = Llama(shape, rng=np.random.default_rng([args.seed, 0]))
    model.wte = NGrams(model.wte, 16_384)
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
