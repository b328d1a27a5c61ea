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
        return dy * self.positive


class GELU(Module):
    """y = x/2 (1 + tanh(u)), u = a (x + c x³): the tanh form that GPT-2 uses.  x, y: any shape.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    a = math.sqrt(2 / math.pi)
    c = 0.044715

    def forward(self, x):
        self.x = x
        self.t = np.tanh(self.a * x * (1 + self.c * x * x))  # x * x: x**3 is many times slower
        return 0.5 * x * (1 + self.t)

    def backward(self, dy):
        x, t = self.x, self.t
        u_slope = self.a * (1 + 3 * self.c * x * x)  # u'
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * u_slope)
