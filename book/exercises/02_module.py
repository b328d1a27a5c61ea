# %% [markdown]
# # Exercises for chapter 2: Module
#
# Containers: layers made of layers. Their backward passes compute little; what matters is the order,
# and where gradients add up. Write your code in place of `raise NotImplementedError()`, and all of it
# into that cell. The check below it runs your code on cases that you do not see, and says what is
# wrong. `hint("module-sequential")` in a cell of your own gives a hint; call it again for the next.
#
# The next cell has a `Module` with only its call, and one layer to build with.

# %%
import numpy as np

from coursekit import add_to_class, check, hint

class Module:
    """A layer: `forward` computes and caches, `backward` adds to the gradients and returns dx."""

    def __call__(self, *args):
        return self.forward(*args)

class Bend(Module):
    """y = tanh(x s + b).  x, y: (N, C), s, b: (C,)."""

    def __init__(self, s, b):
        self.s, self.b = s, b
        self.ds, self.db = np.zeros_like(s), np.zeros_like(b)

    def forward(self, x):
        self.x = x
        self.y = np.tanh(x * self.s + self.b)
        return self.y

    def backward(self, dy):
        da = dy * (1 - self.y**2)
        self.ds += (da * self.x).sum(axis=0)
        self.db += da.sum(axis=0)
        return da * self.s

def passes(build, s, b, x, dy):
    """Two models side by side, forward and backward for each x; a step changes weights in between.

    The last x and dy come twice. At the end two more backward passes: for the same dy, and another.
    Returns all y, all dx, and the gradients of all layers.
    """
    layers = [[Bend(*numbers) for numbers in zip(s, b)] for _ in range(2)]
    models = [build(some) for some in layers]
    y, dx = [], []
    all_layers = layers[0] + layers[1]
    for x_now, dy_now in zip([*x, x[-1]], [*dy, dy[-1]]):
        for layer in all_layers:
            layer.s = 0.9 * layer.s
        y += [models[0](x_now), models[1](-x_now)]
        dx += [model.backward(dy_now) for model in models]
    for scale in (1, -0.5):
        dx += [model.backward(scale * dy_now) for model in models]
    return y, dx, [layer.ds for layer in all_layers], [layer.db for layer in all_layers]

# %% [markdown]
# ## Task 1: Sequential backward (2 points, easy, about 10 minutes)
#
# `forward` runs the layers in order, each on what the one before returned. Write `backward`: it gets
# `dy`, the gradient of what the last layer returned, and returns `dx`, that of what the first one
# got. A Sequential without layers returns what it got.

# %%
class Sequential(Module):
    """y = layers[-1](... layers[0](x))."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

# %% answer="module-sequential"
@add_to_class(Sequential)
def backward(self, dy):
    ### BEGIN SOLUTION
    for layer in reversed(self.layers):
        dy = layer.backward(dy)
    return dy
    ### END SOLUTION

# %% check="module-sequential" points=2 minutes=10 level="easy" adopts="nn.module:Sequential"
def in_a_row(s, b, x, dy):    # the check builds your Sequential with this
    return passes(lambda layers: Sequential(*layers), s, b, x, dy)

check("module-sequential", in_a_row)

# %% [markdown]
# ## Task 2: a way around (3 points, medium, about 15 minutes)
#
# $y = x + layer(x)$: the chapter has no such container, and every GPT has two of them in each block.
# `x` is used twice. Write both passes. `self.layer` is a layer; `dy` must not be changed.

# %% answer="module-residual"
class Residual(Module):
    """y = x + layer(x)."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        ### BEGIN SOLUTION
        return x + self.layer(x)
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        return dy + self.layer.backward(dy)
        ### END SOLUTION

# %% check="module-residual" points=3 minutes=15 level="medium"
def with_a_way_around(s, b, x, dy):
    def build(layers):
        model = Residual(layers[0] if layers else Same())
        for layer in layers[1:]:
            model = Residual(In([model, layer]))
        return model

    return passes(build, s, b, x, dy)

class Same(Module):
    """y = x, and dx is the very array dy."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy

class In(Module):
    """Two layers in a row."""

    def __init__(self, parts):
        self.first, self.second = parts

    def forward(self, x):
        return self.second(self.first(x))

    def backward(self, dy):
        return self.first.backward(self.second.backward(dy))

check("module-residual", with_a_way_around)

# %% [markdown]
# ## Task 3: side by side (3 points, medium, about 15 minutes)
#
# $y = layer_0(x) \odot layer_1(x) \odot \dots$, the product, entry by entry, of what two or more
# layers make of the same `x`. Write both passes. A result may be 0 somewhere, or nearly 0, so do not
# divide.

# %% answer="module-product"
class Product(Module):
    """y = layers[0](x) · layers[1](x) · ...  x, y: (N, C)."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        ### BEGIN SOLUTION
        self.results = [layer(x) for layer in self.layers]
        return np.prod(self.results, axis=0)
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        dx = 0
        for i, layer in enumerate(self.layers):
            others = np.prod(self.results[:i] + self.results[i + 1 :], axis=0)
            dx = dx + layer.backward(dy * others)
        return dx
        ### END SOLUTION

# %% check="module-product" points=3 minutes=15 level="medium"
def side_by_side(s, b, x, dy):
    return passes(lambda layers: Product(*layers), s, b, x, dy)

check("module-product", side_by_side)

# %% [markdown]
# ## Task 4: find all parameters (3 points, hard, about 25 minutes)
#
# Return `{dotted name: array}` of a tree of modules. An array attribute, whatever its name, is a
# parameter if its gradient, an array too, stands beside it: `W` and `dW`. Attributes that are Modules, and Modules
# in lists, belong to the tree: the array `W` of the second entry of the list `layers` is `layers.1.W`.
# A list may hold other things, too, such as numbers and arrays, which are no parameters. A parameter
# that is met twice is listed once, under its first name; two arrays that happen to hold equal numbers
# are two, and so are two views of one memory. Names come in the order in which attributes were set:
# `vars(module)` keeps it. `prefix` stands before every name. Return the arrays themselves, no copies.

# %% answer="module-params"
def params(module, prefix=""):
    """Return {dotted name: array} of a module and all inside it."""
    ### BEGIN SOLUTION
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, np.ndarray) and isinstance(vars(module).get(f"d{name}"), np.ndarray):
            found[prefix + name] = value
        elif isinstance(value, Module):
            found |= params(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            for i, part in enumerate(value):
                if isinstance(part, Module):
                    found |= params(part, f"{prefix}{name}.{i}.")
    once = {}
    for name, value in found.items():
        if not any(value is other for other in once.values()):
            once[name] = value
    return once
    ### END SOLUTION

# %% check="module-params" points=3 minutes=25 level="hard"
class Layer(Module):
    """As real layers are: of a class of their own."""

def names_and_arrays(tree, shared, *prefix):
    """Build modules from dicts; an array whose number is in `shared` stands in several places."""
    arrays = []
    first = shared[0]
    shared = [*shared, first[:], first[:2], first[2:]]    # three more, in the memory of the first

    def build(part):
        if isinstance(part, dict):
            module = Layer() if len(part) % 2 else Module()
            for name, value in part.items():
                setattr(module, name, build(value))
            return module
        if isinstance(part, list):
            return [build(p) for p in part]
        arrays.append(shared[part] if isinstance(part, int) else part)
        return arrays[-1]

    model = build(tree)
    model.early, model.dearly = np.ones(1), np.ones(1)
    params(model, *prefix)    # and once more, without these two: nothing may be left of the first call
    del model.early, model.dearly
    found = params(model, *prefix)
    return list(found.items()), [any(value is a for a in arrays) for value in found.values()]

check("module-params", names_and_arrays)
