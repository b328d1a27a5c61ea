"""Finetuner: the training loop of chapter 16 on answers alone. Derived in chapter 27."""

from numpygpt.posttraining.examples import RowLoader
from numpygpt.posttraining.masked import IGNORE, MaskedLoss
from numpygpt.training import LayersEngine, Trainer


class AnswerEngine(LayersEngine):
    """Loss and gradients of a model for ids x and targets y (B, T), of which some are IGNORE."""

    def __init__(self, model):
        super().__init__(model)
        self.criterion = MaskedLoss()

    def loss(self, x, y):
        """Return the mean loss of the targets that count."""
        return self.criterion(self.model(x), y)

    def backprop(self, x, y, scale=1.0):
        """Add `scale` times the gradient of the mean loss to the gradients; return the loss."""
        loss = self.loss(x, y)
        self.model.backward(self.criterion.backward(scale))
        return loss


class Finetuner(Trainer):
    """A Trainer for rows (x, y) as `padded` and `packed` make them: the loss is on the answers."""

    def __init__(self, model, train_rows, val_rows, config, engine=None, optimizer=None):
        engine = engine or AnswerEngine(model)
        super().__init__(model, train_rows, val_rows, config, engine, optimizer)
        self.block_size = train_rows[0].shape[1]

    def batches(self, rows, rng):
        """Return the loader of batches of `rows`, to train on or to evaluate with."""
        return RowLoader(*rows, self.config.batch_size, rng=rng)

    def accumulate_gradients(self):
        """Fill the gradients with the mean over the answers' tokens of all batches."""
        batches = [next(self.loader) for _ in range(self.config.accumulate)]
        counts = [int((y != IGNORE).sum()) for _, y in batches]
        self.model.zero_grad()
        loss = 0.0
        for (x, y), count in zip(batches, counts, strict=True):
            share = count / sum(counts)  # not 1 / n: a batch of few answers would count too much
            loss += self.engine.backprop(x, y, share) * share
        return loss
