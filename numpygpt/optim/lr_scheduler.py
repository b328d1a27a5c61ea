"""Learning-rate schedules: warm-up then cosine, and step decay. Derived in chapter 06."""

import math


class LRScheduler:
    """Sets optimizer.lr: to lr_at(0) when made, to lr_at(1), lr_at(2), … at each step()."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.t = 0
        optimizer.lr = self.lr_at(0)

    def lr_at(self, step):
        raise NotImplementedError

    def step(self):
        self.t += 1
        self.optimizer.lr = self.lr_at(self.t)


class WarmupCosineLR(LRScheduler):
    """A straight line up to the base rate over warmup_steps, then half a cosine down to min_lr.

    min_lr is reached at total_steps and kept from there on.
    Source: Loshchilov and Hutter, SGDR, 2016 (the cosine); Goyal et al., 2017 (the warm-up).
    """

    def __init__(self, optimizer, warmup_steps, total_steps, min_lr):
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.min_lr = min_lr
        super().__init__(optimizer)

    def lr_at(self, step):
        """Return the rate of update number `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.base_lr * (step + 1) / self.warmup_steps
        if step >= self.total_steps:
            return self.min_lr
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
        return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)


class StepLR(LRScheduler):
    """The base rate, times gamma after every step_size steps."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, step):
        """Return the rate of update number `step`, counted from 0."""
        return self.base_lr * self.gamma ** (step // self.step_size)
