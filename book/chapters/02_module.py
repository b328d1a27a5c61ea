# %% [markdown]
# # Chapter 2: Module
#
# Here is a layer with two parameters per channel, a factor and a shift:
# $y_{nc} = x_{nc}\, s_c + b_c$. As in chapter 1, two methods list its parameters and their gradients
# by name.

# %%
import numpy as np

class HandListed:
    def __init__(self, C):
        self.s, self.ds = np.ones(C), np.zeros(C)
        self.b, self.db = np.zeros(C), np.zeros(C)

    def forward(self, x):
        self.x = x
        return x * self.s + self.b

    def backward(self, dy):
        # y = x s + b
        self.ds += (dy * self.x).sum(axis=0)
        self.db += dy.sum(axis=0)
        return dy * self.s

    def params(self): return {"s": self.s}
    def grads(self): return {"s": self.ds}

# %% [markdown]
# Its backward pass is right. `gradcheck` says so.

# %%
from numpygpt.gradcheck import GradientError, gradcheck

rng = np.random.default_rng(2)
x = rng.normal(size=(7, 3))                       # (N, C)
print(gradcheck(HandListed(3), x, rng=rng))

# %% [markdown]
# Now we let it learn. The targets are $t = 2x + 3$, which the layer can represent without error:
# $s = 2$, $b = 3$. The loss is the mean squared error; its slope for $y$ is $2(y - t)$ divided by
# the number of entries. Before each backward pass the gradients are set to 0, because `backward` adds
# to them; after it every parameter takes a small step against its gradient, `p -= lr * dp`. The factor
# `lr` is the **learning rate**. Code that takes such steps is called an **optimizer**.
#
# Why does that go downhill? By chapter 1, a small change $\Delta_i$ of each parameter changes the loss by
# nearly $\sum_i dp_i\, \Delta_i$. Put in $\Delta_i = -\text{lr}\; dp_i$:
#
# $$L(p - \text{lr}\; dp) \approx L(p) - \text{lr} \sum_i dp_i^2$$
#
# A sum of squares is never negative. So the loss falls, as long as `lr` is small enough for $\approx$ to
# hold, until all gradients are 0. The cell compares one small step with that promise, then trains.

# %%
target = 2 * x + 3

def train(layer, steps=200, lr=0.5):
    losses = []
    for _ in range(steps):
        y = layer.forward(x)
        losses.append(float(np.mean((y - target) ** 2)))
        for g in layer.grads().values():
            g[...] = 0
        layer.backward(2 * (y - target) / y.size)
        for name, p in layer.params().items():
            p -= lr * layer.grads()[name]
    return losses

# %%
layer = HandListed(3)
first = train(layer, steps=1, lr=0.01)[0]
promised = first - 0.01 * sum(np.sum(g**2) for g in layer.grads().values())
print(f"loss {first:.4f}, promised after a step: {promised:.4f}, found: {train(layer, steps=1)[0]:.4f}")

stuck = train(HandListed(3))
print(f"loss: first step {stuck[0]:.4f}, last step {stuck[-1]:.4f}")

# %% [markdown]
# The loss should go to 0. It stops far above. Look again at `params`: it does not list `b`. So the
# check never looked at `db`, and training never moved `b`. Nothing failed; a list written by hand was
# one entry short.
#
# A GPT has dozens of parameter arrays, in layers inside layers. The question of this chapter: **can
# a layer find its parameters by itself?** We build the class that all layers share, `Module`.
#
# ## Shapes
#
# | name | meaning | shape |
# |---|---|---|
# | `x`, `y` | input and output of the layers here | `(N, C)` |
# | `s`, `b` | factor and shift per channel | `(C,)` |
# | `dx`, `dy` | gradients of `x` and `y` | `(N, C)` |
# | `p`, `dp` | any parameter and its gradient | the same, whatever it is |
#
# ## By hand: what an object knows about itself
#
# Python keeps an object's attributes in a dictionary, and `vars` returns it. The next cell prints
# the attributes of the layer from above, after one forward pass.
#
# **Before you run it:** which attributes are parameters, and how could a program tell?

# %%
layer = HandListed(3)
layer.forward(x)
for name, value in vars(layer).items():
    print(f"{name:3} shape {value.shape!s:7} has d{name} beside it: {'d' + name in vars(layer)}")

# %% [markdown]
# `x` is an array, too, but not a parameter: it has no `dx` beside it. So the book's naming rule is
# all we need: **an attribute `W` is a parameter if `dW` stands beside it.** As a one-line function:

# %%
def own_params(layer):
    return {name: p for name, p in vars(layer).items() if f"d{name}" in vars(layer)}

print(list(own_params(layer)))

# %% [markdown]
# ## The class
#
# `Module` is the parent of every layer. It starts small: `layer(x)` calls `forward`, and a layer
# that lacks a method says which.

# %% tags=["export"] module="nn/module.py"
"""Module: what all layers share, and Sequential. Derived in chapter 02."""

import numpy as np

# %% tags=["export"]
class Module:
    """A layer: `forward` computes and caches, `backward` adds to the gradients and returns dx.

    An array attribute is a parameter if its gradient stands beside it: `W` and `dW`. Attributes
    that are Modules, or lists of Modules, belong to the layer, and so do their parameters.
    """

    def __call__(self, *args):
        return self.forward(*args)

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} has no forward pass")

    def backward(self, dy):
        raise NotImplementedError(f"{type(self).__name__} has no backward pass")

# %% [markdown]
# A model is a tree: a layer holds layers, which hold layers. To find all parameters we walk through
# the tree. The method `modules` is what Python calls a *generator* (not of random numbers). A loop over
# it gets one result for each `yield`, and `yield from` passes on all results of another generator. Here
# the other generator is the same method of a part, so the walk reaches every depth. Each module comes
# with a prefix, the path that leads to it.
#
# From here on we add methods to the class one by one, with `@add_to_class(Module)`; in the exported
# file they all stand inside the class.

# %% tags=["export"]
from coursekit import add_to_class

@add_to_class(Module)
def modules(self, prefix=""):
    """Yield (prefix, module) for this module and all inside it; a prefix ends with a dot."""
    yield prefix, self
    for name, value in vars(self).items():
        parts = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        for i, part in parts:
            if isinstance(part, Module):
                here = name if i is None else f"{name}.{i}"
                yield from part.modules(f"{prefix}{here}.")

# %% [markdown]
# We write our layer again as a `Module`, without its two lists, and put it into a small tree: one
# layer as an attribute, two in a list.
#
# **Before you run the next cell:** how many lines will it print, and what is the prefix of the last
# one?

# %%
class Affine(Module):
    def __init__(self, C):
        self.s, self.ds = np.ones(C), np.zeros(C)
        self.b, self.db = np.zeros(C), np.zeros(C)

    forward = HandListed.forward        # the same two methods as before
    backward = HandListed.backward

tree = Module()
tree.first = Affine(3)
tree.rest = [Affine(3), Affine(3)]
for prefix, module in tree.modules():
    print(f"{prefix!r:10} {type(module).__name__}")

# %% [markdown]
# Four lines: the tree itself has the empty prefix, and the last layer is `rest.1.`.
#
# ## Finding parameters
#
# Now we go through all modules and apply the naming rule in each. One case needs thought. Two
# layers may hold **the same array**, on purpose: some models use one matrix both to read words and
# to score them. Such an array must be listed once. Listed twice, it would take two steps downhill
# instead of one. And if the two layers share the array but not the gradient, each gradient holds only
# a part of the whole; that is an error, and we say so. `id(p)` is a number that only one object has: it
# tells whether two names mean the same array.

# %% tags=["export"]
@add_to_class(Module)
def _param_slots(self):
    """Yield (dotted name, parameter, gradient), a shared array only once."""
    seen = {}
    for prefix, module in self.modules():
        for name, p in vars(module).items():
            dp = vars(module).get(f"d{name}")
            if not (isinstance(p, np.ndarray) and isinstance(dp, np.ndarray)):
                continue
            # A shared array would be stepped twice, each time with a part of its gradient.
            if id(p) in seen and seen[id(p)] is not dp:
                raise ValueError(
                    f"{prefix}{name} shares its array with another layer, but not the gradient"
                )
            if id(p) not in seen:
                seen[id(p)] = dp
                yield f"{prefix}{name}", p, dp

# %% [markdown]
# The methods for everyday use are short. `params` and `grads` return the arrays themselves, not
# copies, so a change made through the dictionary is a change of the layer.

# %% tags=["export"]
@add_to_class(Module)
def params(self):
    """Return {dotted name: array}, the arrays themselves: change them in place."""
    return {name: p for name, p, _ in self._param_slots()}

@add_to_class(Module)
def grads(self):
    """Return {dotted name: gradient array}, under the names of `params()`."""
    return {name: dp for name, _, dp in self._param_slots()}

# %% tags=["export"]
@add_to_class(Module)
def zero_grad(self):
    """Clear all gradients; without it they add up over backward passes."""
    for dp in self.grads().values():
        dp[...] = 0

@add_to_class(Module)
def num_params(self):
    """Return the number of trainable numbers, shared ones counted once."""
    return sum(p.size for p in self.params().values())

# %% [markdown]
# The tree has six arrays of 3 numbers. Then the layer from the first screen is checked and trained
# again. Look for `db` in the report.

# %%
print(list(tree.params()), tree.num_params())
print(gradcheck(Affine(3), x, rng=rng))
found = train(Affine(3))
print(f"loss: first step {found[0]:.4f}, last step {found[-1]:.4f}")

# %%
from coursekit.figures import show, subplots

fig, ax = subplots(size=(5.5, 3.2))
ax.semilogy(stuck, "--", label="list by hand, b forgotten")
ax.semilogy(found, label="Module")
ax.set(xlabel="step", ylabel="mean squared error", xlim=(0, 60), ylim=(1e-6, 30))
ax.legend()
show(fig, "Mean squared error over the first 60 steps, logarithmic. With the forgotten shift it stays "
          "flat; with Module it falls by many orders of magnitude.")

# %% [markdown]
# The check now reports `db`, and the loss goes to 0 (it leaves the figure at the bottom).
#
# ## In place or not?
#
# `train` wrote `p -= lr * ...`. Would `p = p - lr * ...` do as well?
#
# **Before you run the next cell:** which of the three lines changes `layer.s`?

# %%
layer = Affine(3)
p = layer.params()["s"]
p = p - 1
print("p = p - 1    ", layer.s)
p = layer.params()["s"]
p -= 1
print("p -= 1       ", layer.s)
p[...] = 5
print("p[...] = 5   ", layer.s)

# %% [markdown]
# `p = p - 1` computes a new array and gives it the old name; the layer still holds the old array.
# `p -= 1` and `p[...] = 5` change the numbers inside the array that both names mean. The same holds
# for gradients: `self.ds += ...` adds into the array, so that every layer that shares it sees the sum.
#
# ## A chain of layers: Sequential
#
# Most models are chains: the output of a layer is the input of the next. We number the values on
# the way: $h_0 = x$, $h_l = f_l(h_{l-1})$, and $y = h_K$ after the last of the $K$ layers. Write
# $dh_l$ for the gradient of $h_l$. The chain rule of [chapter 1](01_gradients.ipynb) for one layer
# reads, with an index $i$ for all entries of its input and $j$ for all of its output,
#
# $$
# \begin{aligned}
# (dh_{l-1})_i &= \sum_j (dh_l)_j\, \frac{\partial (h_l)_j}{\partial (h_{l-1})_i} && \text{chain rule}\\
# &= \sum_j (dh_l)_j\, (J_l)_{ji} && J_l \text{: all slopes of layer } l\text{, row } j \text{, column } i\\
# dh_{l-1} &= dh_l\, J_l && \text{as vector times matrix}
# \end{aligned}
# $$
#
# The matrix $J_l$ of all slopes is called the **Jacobian** of layer $l$. The product is what the
# layer's `backward` computes, without ever building the matrix. From the end to the start:
#
# $$dx = dh_0 = \big(\big((dy\, J_K)\, J_{K-1}\big) \cdots \big) J_1$$
#
# So forward visits the layers from first to last, and backward visits them from last to first.

# %% tags=["export"]
class Sequential(Module):
    """y = layers[-1](... layers[0](x)).  dx: the same layers' backward passes, last to first."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dy):
        # x = layer(x)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

# %% [markdown]
# We compare its `backward` with the formula, a loop over matrices. Two more layers make the chain
# interesting: the slope of `Tanh` changes with its input, and `Center`, which subtracts the mean of
# each row (task 4 of chapter 1's exercises), lets channels influence each other. The Jacobians are
# measured, one row for each output.

# %%
from numpygpt.gradcheck import numeric_gradient

class Tanh(Module):
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y
    def backward(self, dy): return dy * (1 - self.y**2)      # the slope of tanh is 1 - tanh²

class Center(Module):
    def forward(self, x): return x - x.mean(axis=-1, keepdims=True)
    def backward(self, dy): return dy - dy.mean(axis=-1, keepdims=True)

# %%
def random_affine(C):
    layer = Affine(C)
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    return layer

# %%
def slopes_of_output(f, h, j):
    return numeric_gradient(lambda: f(h)[0, j], h)[0]

net = Sequential(random_affine(3), Tanh(), Center(), random_affine(3))
h, jacobians = rng.normal(size=(1, 3)), []
for f in net.layers:
    jacobians.append(np.array([slopes_of_output(f, h, j) for j in range(3)]))    # (3, 3)
    h = f(h)

# %%
dy = rng.normal(size=(1, 3))
dx = dy
for J in reversed(jacobians):
    dx = dx @ J
print("chain of Jacobians equals Sequential.backward:", np.allclose(dx, net.backward(dy)))
print(gradcheck(net, x, rng=rng))

# %% [markdown]
# The names in the report are the paths through the tree: `layers.3.ds` belongs to the parameter
# `layers.3.s`. `Tanh` and `Center` have no parameters, so they have no lines in the report.
#
# ## Gradients add up
#
# A big batch may not fit into memory. By rule 6, the gradient of $L_1 + L_2$ is the sum of the
# gradients of $L_1$ and $L_2$, and `backward` adds. So two passes over two parts give the gradient
# of the whole, **if the loss is a sum over the examples.** A mean, such as the loss of `train`, divides
# each part by its own size: of 7 rows, parts of 4 and 3 need the weights $\frac47$ and $\frac37$.
# Forgetting them is a classic bug in *gradient accumulation*.
#
# **Before you run the second of the next cells:** what will its last line say, where we do not clear the
# gradients first, and why?

# %%
dy = rng.normal(size=(7, 3))

def grads_of(parts, clear=True, weights=(1, 1)):
    if clear:
        net.zero_grad()
    for part, weight in zip(parts, weights):
        net(x[part])
        net.backward(weight * dy[part])
    return {name: g.copy() for name, g in net.grads().items()}

# %%
def equal(a, b):
    return all(np.allclose(a[name], b[name]) for name in b)

whole, parts = grads_of([slice(0, 7)]), [slice(0, 4), slice(4, 7)]
mean = {name: g / 7 for name, g in whole.items()}
print("a sum:  4 rows, then 3, equals 7 rows:   ", equal(grads_of(parts), whole))
print("a mean: the same, each part a mean:      ", equal(grads_of(parts, weights=(1 / 4, 1 / 3)), mean))
weights = (4 / 7 * 1 / 4, 3 / 7 * 1 / 3)
print("a mean: with the weights 4/7 and 3/7:    ", equal(grads_of(parts, weights=weights), mean))
print("7 rows again, without clearing:          ", equal(grads_of([slice(0, 7)], clear=False), whole))

# %% [markdown]
# Without `zero_grad` the old gradients are still there. Accumulation is a tool, and a trap: **clear
# the gradients before each step.**
#
# ## One array in two places
#
# Now two layers share one factor `s`: $y = s\,(s\,x + b) + b'$. By rule 6, `ds` is the sum over
# both uses. We give the second layer the first one's arrays, parameter and gradient, and run the
# check. There are 9 different numbers now, not 12.

# %%
first, second = random_affine(3), random_affine(3)
second.s, second.ds = first.s, first.ds
shared = Sequential(first, second)
print(list(shared.params()), shared.num_params())
print(gradcheck(shared, x, rng=rng))

# %% [markdown]
# Each layer adds its part to the same `ds`. A layer that assigns would wipe out the other's part.
#
# ## Break it on purpose
#
# Five mistakes with modules:
#
# 1. sharing the array, but not its gradient;
# 2. putting *one layer* twice into a chain, instead of two layers that share arrays;
# 3. a chain that runs `backward` first to last;
# 4. assigning `ds` where the array is shared;
# 5. keeping `dx` as an attribute.
#
# **Before you run the third of the next cells:** which arrays will be named for 2 and 3? Hint for 3:
# `dx` through `Affine` and `Tanh` is a product of factors, and factors may change places.

# %%
class FirstToLast(Sequential):
    def backward(self, dy):
        for layer in self.layers:
            dy = layer.backward(dy)
        return dy

class Assigns(Affine):
    def backward(self, dy):
        self.ds[...] = (dy * self.x).sum(axis=0)
        self.db += dy.sum(axis=0)
        return dy * self.s

# %%
half = random_affine(3)
half.s = first.s
assigning = Assigns(3)
assigning.s, assigning.ds = first.s, first.ds
nets = [Sequential(first, half), Sequential(first, first),
        FirstToLast(random_affine(3), Tanh()), Sequential(assigning, first)]

# %%
for number, wrong in enumerate(nets, 1):
    try:
        gradcheck(wrong, x, rng=rng)
        print(number, "passed, which it should not")
    except (ValueError, GradientError) as error:
        print(number, str(error).split("[")[0])

# %% [markdown]
# In 1 `Module` itself objects. In 2 the layer's cache `self.x` holds only the last input when the
# backward pass of the first use begins, so `ds` is wrong; share arrays, not layers. In 3 `dx` is
# right, but `ds` was computed from a `dy` that had not been through `Tanh`. In 4 the assignment wipes
# out what the other use had added.
#
# The fifth mistake is harder to read. A layer that keeps `self.x` **and** `self.dx` makes `x` look like a
# parameter. `gradcheck` stumbles over it, but blames `+=`:

# %%
class Keeps(Tanh):
    def forward(self, x):
        self.x = x
        return Tanh.forward(self, x)

    def backward(self, dy):
        self.dx = Tanh.backward(self, dy)
        return self.dx

try:
    gradcheck(Keeps(), x, rng=rng)
except GradientError as error:
    print(error)

# %%
keeps = Keeps()
print("parameters of the new layer:  ", list(keeps.params()), keeps.num_params())
keeps.backward(rng.normal(size=keeps(x).shape))
print("after its first backward pass:", list(keeps.params()), keeps.num_params())

# %% [markdown]
# Training would change the data. The rule that finds parameters is short, so it can be fooled:
# **return `dx`, do not keep it.** And look at a model's `num_params()` twice, when it is new and
# after its first backward pass: you can count by hand what it should be, and it should not grow.
# The first look also shows when layers are missing: the walk looks into attributes and lists, not
# into dictionaries.
#
# ## Saving and loading
#
# Copies of the arrays in `params()` are all that we need to save of a model. Loading copies them
# back, under three conditions: no name is missing, none is left over, every shape is right. All are
# tested **before** the first array changes, so a failed load leaves the model as it was.

# %% tags=["export"]
@add_to_class(Module)
def load_params(self, arrays):
    """Copy `arrays` {dotted name: array} into the parameters.

    Raises:
        ValueError: names are missing or left over, or a shape differs; nothing is changed then.
    """
    params = self.params()
    missing, extra = params.keys() - arrays.keys(), arrays.keys() - params.keys()
    if missing or extra:
        raise ValueError(
            f"parameters do not match: missing {sorted(missing)}, left over {sorted(extra)}"
        )
    for name, p in params.items():
        if arrays[name].shape != p.shape:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}, the model needs {p.shape}"
            )
    for name, p in params.items():
        p[...] = arrays[name]

# %%
saved = {name: p.copy() for name, p in net.params().items()}
other = Sequential(Affine(3), Tanh(), Center(), Affine(3))
other.load_params(saved)
print("same outputs after loading:", np.allclose(other(x), net(x)))

# %% [markdown]
# Now we spoil two of the arrays, one by its shape, one by its numbers. **Before you run the next
# cell:** is `layers.0.s`, which comes first and has the right shape, changed when the load fails?

# %%
saved["layers.3.b"] = np.zeros(4)
saved["layers.0.s"] = saved["layers.0.s"] + 1
try:
    other.load_params(saved)
except ValueError as error:
    print(error)
print("still the same outputs:    ", np.allclose(other(x), net(x)))

# %% [markdown]
# ## Experiment: why backward, and not forward?
#
# The product $dy\, J_K \cdots J_1$ may be multiplied in any order. Starting at the input, with
# $J_2 J_1$, works as well. How much does the order cost? A vector of size $C$ times a $C \times C$
# matrix takes $C^2$ multiplications, a matrix times a matrix $C^3$. We count both for a chain of 4
# layers.

# %%
K, C = 4, np.array([1, 2, 4, 8, 16, 32, 64, 128])
from_the_loss = K * C**2                          # vector times matrix, K times
from_the_input = (K - 1) * C**3 + C**2            # matrix times matrix, then the vector
print(f"C = {C[-1]}: from the loss {from_the_loss[-1]:,}, from the input {from_the_input[-1]:,}")
print(f"{from_the_input[-1] / from_the_loss[-1]:.0f} times as many")

# %%
fig, ax = subplots(size=(5.5, 3.2))
ax.loglog(C, from_the_input, "--", marker="s", ms=4, label="from the input: matrix times matrix")
ax.loglog(C, from_the_loss, marker="o", ms=4, label="from the loss: vector times matrix")
ax.set(xlabel="C, numbers between two layers", ylabel="multiplications")
ax.legend()
show(fig, "Multiplications against C for a chain of four layers, both axes logarithmic. Starting "
          "at the input costs C cubed and rises faster than C squared, the cost from the loss.")

# %% [markdown]
# The loss is one number, so starting there keeps a vector all the way. This order is called
# **reverse mode**, or *backpropagation*. The price is memory: each layer must keep what its backward
# pass needs until that pass arrives. That is why `forward` caches.
#
# Try it: change `K` to 40, ten times as deep, and run the last two cells again. Before you do: will the
# lines come closer, drift apart, or keep their distance?

# %% [markdown]
# <details><summary>Answer</summary>
#
# They nearly keep it: at $C = 128$ the ratio goes from 96 to 125. One count is about $C\,(K-1)/K$ times
# the other, so what makes the difference is the size $C$, not the depth.
#
# </details>

# %% [markdown]
# ## Exercises
#
# Now write them yourself: [exercises/02_module.ipynb](../exercises/02_module.ipynb). A check says what is
# wrong, and `hint("module-sequential")` helps.
#
# | task | | minutes |
# |---|---|---|
# | Sequential backward | easy | 10 |
# | a way around | medium | 15 |
# | side by side | medium | 15 |
# | find all parameters | hard | 25 |
#
# ## Recap
#
# - A list of parameters written by hand can be one short, and no check will notice.
# - A small step against the gradient lowers the loss by about $\text{lr} \sum dp^2$.
# - `Module` finds parameters by name: `W` is one if `dW` stands beside it, at any depth, a shared
#   array once.
# - `Sequential` runs forward first to last and backward last to first; starting at the loss,
#   every product is a vector times a matrix.
# - Gradients add up until `zero_grad`; arrays change in place; layers return `dx` and do not keep
#   it.
# - The next cell writes `numpygpt/nn/module.py`. Next: Linear, the layer that holds most of the
#   parameters.

# %%
from coursekit import export

export("02_module")
