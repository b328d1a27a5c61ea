"""CrossEntropyLoss: softmax and negative log-likelihood in one. Derived in chapter 05."""

from numpygpt.nn.functional import cross_entropy, cross_entropy_backward
from numpygpt.nn.module import Module


class CrossEntropyLoss(Module):
    """loss = -mean log softmax(logits)[target], in nats.  logits: (..., V), targets: (...)."""

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        return cross_entropy(logits, targets)

    def backward(self, dloss=1.0):
        return cross_entropy_backward(self.logits, self.targets, dloss)
