"""ReLU and GELU. Derived in chapter 04."""

import math

import numpy as np

from numpygpt.nn.module import Module


class ReLU(Module):
    """y = max(x, 0).  x, y: any shape."""

    def forward(self, x):
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        # y = max(x, 0)
        return dy * self.positive


class GELU(Module):
    """y = x/2 (1 + tanh(u)), u = a (x + c x³): the tanh form that GPT-2 uses.  x, y: any shape.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    a = math.sqrt(2 / math.pi)
    c = 0.044715

    def forward(self, x):
        self.x = x = np.asarray(x, np.result_type(x, 0.0))  # integers become floats
        u = x * x  # not x**3, which is many times slower
        u *= self.a * self.c
        u += self.a
        u *= x  # a (x + c x³)
        self.t = np.tanh(u)
        y = self.t + 1
        y *= x
        y *= 0.5
        return y

    def backward(self, dy):
        x, t = self.x, self.t
        # u = a (x + c x³)
        dx = x * x
        dx *= 3 * self.a * self.c
        dx += self.a  # u'
        # t = tanh u, y = x/2 (1 + t)
        dx *= x
        dx *= 1 - t  # 1 - t² = (1 - t)(1 + t)
        dx += 1
        dx *= 1 + t  # (1 + t) (1 + x (1 - t) u')
        dx *= 0.5 * dy
        return dx
