# %%
# Names and shapes of the parameters: decay must look at the number of axes, not at the name. K is
# not everywhere, so that nobody counts on two names. Two of one shape can be taken for one another.
# Names may begin, or end, with other names.
MODELS = [
    {"W": (3, 5), "b": (5,)},
    {"b": (7,), "K": (2, 3, 2), "W": (1, 7)},
    {"b": (3, 4), "W": (4,), "V": (3, 4)},
    {"W": (1, 1), "b": (1,)},
    {"gain": (2, 1, 5, 3), "again": (2,), "g": ()},
]
RESUMED = {"W": (5, 2), "K": (3, 3), "b": (2,)}
WITH_A_NUMBER = {"W": (3, 2), "s": (), "b": (4,)}

def optimizer_case(rng, shapes, settings, rates, state, arrays=None, scale=1.0, **options):
    """A case of some steps, each with gradients of its own, the rate changing at the end.

    Args:
        settings: arguments of the optimizer besides model and lr.
        rates: lr of each step.
        state: what to report after each step besides the parameters: ("t", "m", "v").
        arrays: a state to resume from, or None.
        scale: how large the gradients are.
    """
    start = {name: np.asarray(rng.normal(0, 0.5, shape)) for name, shape in shapes.items()}
    # Only the same names are promised: the gradients come in another order.
    grads = {name: np.zeros(shape) for name, shape in reversed(shapes.items())}
    calls = [] if arrays is None else [Call({"arrays": arrays}, "load_state", LOADED)]
    for number, lr in enumerate(rates):
        size = scale * rng.uniform(0.5, 3)
        g = {f"model.d{name}": np.asarray(rng.normal(0, size, shape)) for name, shape in shapes.items()}
        # As a schedule does, and only then: an optimizer has to leave its rate alone.
        changes = {"lr": lr} if number and lr != rates[number - 1] else {}
        calls.append(Call({}, "step", STEPPED, sets=g | changes))
    # An optimizer must have kept what it needs: the gradients are cleared, v and m stay.
    calls.append(Call({}, "zero_grad", None))
    own = [f"{kind}.{name}" for kind in state if kind != "t" for name in shapes]
    reads = ["t"] * ("t" in state) + own + [f"model.{name}" for name in shapes]
    # The arrays of the model are written into it again, so that replacing one shows.
    params = {f"model.{name}": p for name, p in start.items()}
    params |= {f"model.d{name}": g for name, g in grads.items()}
    new = {"model": Model(start, grads), "lr": rates[0]} | settings
    extra = "".join(f", {name}" for name in options) + (", resumed" if arrays else "")
    extra += f", gradients of size {scale:g}" * (scale != 1)
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    title = f"parameters {', '.join(f'{n} {s}' for n, s in shapes.items())}; {said}{extra}"
    return Case(title, calls, new, params, tuple(reads), **options)

def with_zeros(case):
    """Gradients of 0: half of an array, then all of one, then all of all; the rest moves on."""
    steps = [call for call in case.calls if call.method == "step"]
    names = [name for name in steps[0].sets if name.startswith("model.d")]
    steps[0].sets[names[0]].flat[::2] = 0
    steps[1].sets[names[0]] *= 0
    for name in names:
        steps[2].sets[name] *= 0
    case.title += ", with gradients that are 0"
    return case

def of_all_sizes(rng, settings, state, eps=()):
    """Gradients so small that they might be taken for 0, and large ones: lr makes up for it.

    In the second step the rate is 0: nothing moves, but what is remembered does. In the last step
    of the second case one entry is nan, and goes its way.
    """
    for scale in (1e-9, 1e6):
        lr = rng.uniform(0.1, 0.3) * (1 if eps else 1 / scale)
        more = {name: scale * value for name, value in eps}
        case = optimizer_case(rng, WITH_A_NUMBER, settings | more, [lr, 0.0, lr], state, scale=scale)
        if scale > 1:
            case.calls[2].sets["model.db"][0] = np.nan
            case.title += ", at last one is nan"
        yield case

def loaded_again(case, arrays):
    """The same steps, and a state that is loaded after the first of them."""
    case.calls.insert(1, Call({"arrays": arrays}, "load_state", LOADED))
    case.title += ", a state loaded between steps"
    return case

LATER = {"W": (2, 3), "s": ()}
STEPPED, LOADED = "the returned value", "what load_state returns"
OPTIONS = [{}, {"strided": True}, {}, {"float32": True}, {}]

# %% task="sgd-step" cases=true
def cases(rng):
    for number, shapes in enumerate(MODELS):
        for momentum in (0.0, round(rng.uniform(0.5, 0.95), 3)):
            lr = rng.uniform(0.1, 0.5)
            yield optimizer_case(
                rng, shapes, {"momentum": momentum}, [lr, lr, lr, 0.3 * lr], ("v",),
                **OPTIONS[number],
            )
    for options in OPTIONS[:2]:  # resumed from a state that is not zero
        v = {f"v.{name}": rng.normal(size=shape) for name, shape in RESUMED.items()}
        yield optimizer_case(
            rng, RESUMED, {"momentum": 0.8}, [0.2, 0.1], ("v",), arrays=v, **options
        )
    for momentum in (0.0, 0.8):
        yield with_zeros(optimizer_case(rng, RESUMED, {"momentum": momentum}, [0.2, 0.2, 0.2, 0.1], ("v",)))
    yield from of_all_sizes(rng, {"momentum": 0.7}, ("v",))
    v = {f"v.{name}": np.asarray(rng.normal(size=shape)) for name, shape in LATER.items()}
    yield loaded_again(optimizer_case(rng, LATER, {"momentum": 0.8}, [0.2, 0.2, 0.1], ("v",)), v)

# %% [markdown] task="sgd-step" hint=1
# walk over `params()` and `grads()` together, by name. All is done entry by entry, so that no
# shape matters.

# %% [markdown] task="sgd-step" hint=2
# p, g and `self.v[name]` have the same shape. Update v first: the step uses the new one. Change p
# with an in-place operation, since the model holds that very array.

# %% [markdown] task="sgd-step" hint=3
# multiply v by the momentum and add g; make sure that `self.v[name]` holds the result; subtract lr
# times v from p, in place.

# %% [markdown] task="sgd-step" mistake="no-memory"
# it stays as it was: write the new v into self.v[name], for every parameter, or the next step
# starts from the old one
# ```diff
# -         v = self.v[name]
# -         v *= self.momentum
# -         v += grads[name]
# +         v = self.momentum * self.v[name] + grads[name]
# ```

# %% [markdown] task="sgd-step" mistake="mean"
# it is a running mean, as in Adam: here v ← momentum · v + g, and g counts in full
# ```diff
# -         v += grads[name]
# +         v += (1 - self.momentum) * grads[name]
# ```

# %% [markdown] task="sgd-step" mistake="lr-in-v"
# lr is inside v: v sums gradients alone, and the current lr multiplies it in the step.
# Where lr changes, the two differ
# ```diff
# -         v += grads[name]
# -         p -= self.lr * v
# +         v += self.lr * grads[name]
# +         p -= v
# ```

# %% [markdown] task="sgd-step" mistake="velocity"
# lr and the minus sign are inside v: here v sums gradients, v ← momentum · v + g, and the step
# is -lr · v
# ```diff
# -         v += grads[name]
# -         p -= self.lr * v
# +         v -= self.lr * grads[name]
# +         p += v
# ```

# %% [markdown] task="sgd-step" mistake="momentum-on-g"
# the momentum multiplies g: it is the old v that fades, and g that counts in full
# ```diff
# -         v *= self.momentum
# -         v += grads[name]
# +         v += self.momentum * grads[name]
# ```

# %% task="sgd-step" mistake="momentum-on-both"
# the momentum multiplies g, too: v ← momentum · v + g, not momentum · (v + g)
@add_to_class(SGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        v = self.v[name]
        v += grads[name]
        v *= self.momentum
        p -= self.lr * v

# %% [markdown] task="sgd-step" mistake="no-fading"
# the old v is never multiplied by the momentum: it is a sum that forgets nothing
# ```diff
# -         v *= self.momentum
# ```

# %% task="sgd-step" mistake="old-v"
# the step is made with the v of before: update v first
@add_to_class(SGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        v = self.v[name]
        p -= self.lr * v
        v *= self.momentum
        v += grads[name]

# %% [markdown] task="sgd-step" mistake="g-for-v"
# the step is made with g alone: v is right but not used
# ```diff
# -         p -= self.lr * v
# +         p -= self.lr * grads[name]
# ```

# %% [markdown] task="sgd-step" mistake="uphill"
# the step goes uphill: the gradient points to where the loss grows, so subtract
# ```diff
# -         p -= self.lr * v
# +         p += self.lr * v
# ```

# %% [markdown] task="sgd-step" mistake="not-in-place" shows="Parameters change in place"
# it never moves: change every parameter in place; `p = p - ...` makes a new array that nobody else
# sees
# ```diff
# -         p -= self.lr * v
# +         p = p - self.lr * v
# ```

# %% [markdown] task="sgd-step" mistake="no-lr"
# lr is left out of the step: p ← p - lr · v
# ```diff
# -         p -= self.lr * v
# +         p -= v
# ```

# %% task="sgd-step" right="new-v"
@add_to_class(SGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        self.v[name] = self.momentum * self.v[name] + grads[name]
        p[...] = p - self.lr * self.v[name]

# %% task="sgd-step" right="loop"
@add_to_class(SGD)
def step(self):
    params, grads = self.model.params(), self.model.grads()
    for name in params:
        for i in np.ndindex(params[name].shape):
            self.v[name][i] = self.momentum * self.v[name][i] + grads[name][i]
            params[name][i] -= self.lr * self.v[name][i]

# %% task="sgd-step" right="two-loops"
@add_to_class(SGD)
def step(self):
    for name, g in self.model.grads().items():
        if self.momentum == 0:
            self.v[name] = g.copy()
        else:
            np.multiply(self.v[name], self.momentum, out=self.v[name])
            np.add(self.v[name], g, out=self.v[name])
    for p, v in zip(self.model.params().values(), self.v.values()):
        np.subtract(p, self.lr * v, out=p)

# %% [markdown] task="sgd-step" reject="holds-the-gradient"
# ```diff
# -     for name, p in self.model.params().items():
# +     for name, p in self.model.params().items():
# +         if self.momentum == 0:
# +             self.v[name] = grads[name]  # the same array: the next gradient is written into it
# ```

# %% [markdown] task="sgd-step" reject="new-parameter"
# ```diff
# -         p -= self.lr * v
# +         setattr(self.model, name, p - self.lr * v)
# ```

# %% [markdown] task="sgd-step" reject="clears-the-gradient" shows="gradients stay as they are"
# ```diff
# -         p -= self.lr * v
# +         p -= self.lr * v
# +     self.zero_grad()
# ```

# %% [markdown] task="sgd-step" reject="first-rate" shows="A schedule may change `self.lr` between two steps"
# ```diff
# - def step(self):
# + def step(self):
# +     self.first = getattr(self, "first", self.lr)
# -         p -= self.lr * v
# +         p -= self.first * v
# ```

# %% [markdown] task="sgd-step" reject="first-parameter-only"
# ```diff
# -         p -= self.lr * v
# +         p -= self.lr * v
# +         break
# ```

# %% task="sgd-step" reject="g-kept-without-momentum" shows="must hold the new value afterwards"
@add_to_class(SGD)
def step(self):
    for name, p in self.model.params().items():
        g = self.model.grads()[name]
        if self.momentum:
            self.v[name] = self.momentum * self.v[name] + g
        else:
            self.v[name] = g
        p -= self.lr * self.v[name]

# %% [markdown] task="sgd-step" reject="returns-model" shows="`step` returns nothing"
# ```diff
# - p -= self.lr * v
# + p -= self.lr * v
# +     return self.model
# ```

# %% [markdown] task="sgd-step" mistake="still-without-gradient" shows="even where `g` is 0"
# stands still where the gradient is 0: v moves it on, and fades
# ```diff
# -         v = self.v[name]
# +         v = self.v[name]
# +         if not grads[name].any():
# +             continue
# ```

# %% [markdown] task="sgd-step" reject="entries-without-gradient"
# ```diff
# -         p -= self.lr * v
# +         p -= np.where(grads[name] == 0, 0, self.lr * v)
# ```

# %% [markdown] task="sgd-step" reject="matrices-only"
# ```diff
# - v *= self.momentum
# + if p.ndim == 0:
# +             continue
# +         v *= self.momentum
# ```

# %% task="sgd-step" mistake="by-position"
# the gradients are taken in their own order: the two dicts have the same names, but not always in the
# same order; take each gradient by its name
@add_to_class(SGD)
def step(self):
    for (name, p), g in zip(self.model.params().items(), self.model.grads().values()):
        self.v[name][...] = self.momentum * self.v[name] + g
        p -= self.lr * self.v[name]

# %% task="sgd-step" reject="names-in-the-order-of-the-gradients"
@add_to_class(SGD)
def step(self):
    grads = self.model.grads()
    self.v = {i: self.momentum * v + grads[n] for i, (n, v) in enumerate(self.v.items())}
    for v, p in zip(self.v.values(), self.model.params().values()):
        p -= self.lr * v
    self.v = dict(zip(grads, self.v.values()))

# %% [markdown] task="sgd-step" reject="small-is-zero"
# ```diff
# -         p -= self.lr * v
# +         p -= self.lr * np.where(abs(v) < 1e-8, 0, v)
# ```

# %% [markdown] task="sgd-step" reject="skips-nan" shows="one step for every parameter"
# ```diff
# -         v = self.v[name]
# +         v = self.v[name]
# +         if np.isnan(grads[name]).any():
# +             continue
# ```

# %% [markdown] task="sgd-step" reject="rests-without-rate"
# ```diff
# -     grads = self.model.grads()
# +     if self.lr == 0:
# +         return
# +     grads = self.model.grads()
# ```

# %% task="lr-warmup-cosine" cases=true
def cases(rng):
    for warmup, total in [(4, 12), (1, 7), (0, 5), (5, 6), (3, 31), (2000, 70000), (2, 3), (7, 7)]:
        for share in (0.0, rng.uniform(0.05, 0.5)):
            base = rng.uniform(0.1, 1)
            # Not in order: the answer must not depend on what was asked before. Update 0 and both
            # sides of each joint are always there.
            steps = [warmup, total, 0, total - 1, max(warmup - 1, 0), warmup + 1, total + 1]
            steps += [int(n) for n in rng.integers(0, total, 6)] + [2 * total, 1, total + 5]
            # base_lr is set once more: the optimizer that made it is a stand-in.
            yield Case(
                f"warmup_steps {warmup}, total_steps {total}, base_lr {base:.3g}, "
                f"min_lr {share * base:.3g}; updates {steps}",
                # Then again from a later update on, in some cases after the last.
                [Call({"steps": steps}, "rates", ("lr", "the names of the attributes")),
                 *[Call({}, "step", None)] * (2 + 6 * (total < 8)),
                 Call({"steps": steps}, "rates", ("lr", "the names of the attributes"))],
                {
                    "optimizer": Model({"lr": np.array(base)}, {"lr": np.array(0.0)}),
                    "warmup_steps": warmup,
                    "total_steps": total,
                    "min_lr": share * base,
                },
                {"base_lr": base},
                # asking for a rate moves nothing: step() does
                ("t", "optimizer.lr"),
            )

# %% [markdown] task="lr-warmup-cosine" hint=1
# three stretches of time, three formulas. Say for each at which `step` it begins and what the rate
# is at its two ends.

# %% [markdown] task="lr-warmup-cosine" hint=2
# all are plain numbers. In the middle stretch, first compute how much of it is done: 0 at
# `warmup_steps`, 1 at `total_steps`. (1 + cos(π · done)) / 2 then runs from 1 to 0.

# %% [markdown] task="lr-warmup-cosine" hint=3
# below `warmup_steps`: base_lr times (step + 1) over warmup_steps. From `total_steps` on: min_lr.
# Between: min_lr plus the falling half cosine times the distance from min_lr to base_lr.

# %% task="lr-warmup-cosine" mistake="from-zero"
# the warm-up starts at 0, and that update is wasted: updates are counted from 0, and the first
# one has base_lr / warmup_steps
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * step / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="whole-run"
# the cosine counts from update 0: how much of the fall is done is counted from the end of the
# warm-up
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = step / self.total_steps
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="too-long"
# the fall is too slow: it has total_steps - warmup_steps updates, not total_steps
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / self.total_steps
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="starts-late"
# update warmup_steps is one step too early: done is 0 there, and 1 at total_steps
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps + 1) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="ends-early"
# the fall ends one update too early: it reaches min_lr at total_steps, not at total_steps - 1
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps - 1)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="comes-back"
# from total_steps on, the cosine rises again: keep min_lr there
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="ends-at-zero"
# from total_steps on it is 0: it should stay at min_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return 0.0
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="falls-to-zero"
# the cosine falls to 0, not to min_lr: it covers the distance from base_lr down to min_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done)) * self.base_lr

# %% task="lr-warmup-cosine" mistake="min-on-top"
# min_lr is added to a cosine that is as high as base_lr: together they begin above base_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * self.base_lr

# %% task="lr-warmup-cosine" mistake="at-least-min"
# min_lr is a floor that cuts the cosine: the cosine should be squeezed between base_lr and min_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return max(self.min_lr, 0.5 * (1 + math.cos(math.pi * done)) * self.base_lr)

# %% task="lr-warmup-cosine" mistake="straight"
# it falls in a straight line: half a cosine is flat at both ends
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.base_lr + done * (self.min_lr - self.base_lr)

# %% task="lr-warmup-cosine" mistake="quarter"
# it is a quarter of a cosine, steep at its end: half a cosine is (1 + cos(π · done)) / 2
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + math.cos(0.5 * math.pi * done) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="not-halved"
# 1 + cos runs from 2 to 0: half of that is what runs from 1 to 0
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="no-pi"
# the cosine's argument lacks π: over half a wave it runs from 0 to π
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="rises"
# the cosine rises where it should fall: is it 1 + cos or 1 - cos that starts at 2?
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 - math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="warm-from-min"
# the warm-up starts from min_lr: it is a straight line from 0, of which the first update has
# base_lr / warmup_steps
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.min_lr + (self.base_lr - self.min_lr) * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" mistake="current-rate"
# it is made from optimizer.lr, the current rate, which this very schedule changes: use
# self.base_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    base = self.optimizer.lr
    if step < self.warmup_steps:
        return base * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (base - self.min_lr)

# %% [markdown] task="lr-warmup-cosine" mistake="own-counter"
# it depends on self.t, the steps taken so far: the argument `step` says which update is meant
# ```diff
# -     """Return the rate of update number `step`, counted from 0."""
# +     step = self.t
# -     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
# +     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
# ```

# %% task="lr-warmup-cosine" right="one-return"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    warm = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
    rest = max(1, self.total_steps - self.warmup_steps)
    done = min(1.0, max(0.0, (step - self.warmup_steps) / rest))
    if step < self.warmup_steps:
        return self.base_lr * warm
    if step >= self.total_steps:
        done = 1.0
    return self.min_lr + (self.base_lr - self.min_lr) * math.cos(math.pi / 2 * done) ** 2

# %% task="lr-warmup-cosine" right="numpy"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    n, N = self.warmup_steps, self.total_steps
    if step >= n and step < N:
        half_wave = (np.cos(np.pi * (step - n) / (N - n)) + 1) / 2
        return half_wave * self.base_lr + (1 - half_wave) * self.min_lr
    return np.float64(self.min_lr if step >= n else self.base_lr / n * (step + 1))

# %% task="lr-warmup-cosine" right="table"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    rates = [self.base_lr * (t + 1) / self.warmup_steps for t in range(self.warmup_steps)]
    fall = self.total_steps - self.warmup_steps
    middle, half = (self.base_lr + self.min_lr) / 2, (self.base_lr - self.min_lr) / 2
    for t in range(fall):
        rates.append(middle + half * math.cos(math.pi * t / fall))
    return rates[step] if step < len(rates) else self.min_lr

# %% task="lr-warmup-cosine" right="in-place"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    lr = self.base_lr
    if step < self.warmup_steps:
        lr *= step + 1
        lr /= self.warmup_steps
    elif step < self.total_steps:
        lr -= self.min_lr
        lr *= (1 + math.cos(math.pi * (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))) / 2
        lr += self.min_lr
    else:
        lr = self.min_lr
    return lr

# %% [markdown] task="lr-warmup-cosine" mistake="one-more-of-warmup" shows="`warmup_steps` may be 0"
# update warmup_steps still counts as warm-up, and goes above base_lr: the cosine begins there
# ```diff
# -     """Return the rate of update number `step`, counted from 0."""
# -     if step < self.warmup_steps:
# +     if step <= self.warmup_steps and self.warmup_steps:
# -     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
# +     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
# ```

# %% task="lr-warmup-cosine" mistake="one-more-in-the-divisor"
# the warm-up is too slow by one update: update warmup_steps - 1 has all of base_lr
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / (self.warmup_steps + 1)
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" reject="whole-numbers"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * ((step + 1) // self.warmup_steps)
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" reject="rounded"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return round(self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr), 6)

# %% task="lr-warmup-cosine" reject="three-for-pi"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    if step < self.warmup_steps:
        return self.base_lr * (step + 1) / self.warmup_steps
    if step >= self.total_steps:
        return self.min_lr
    done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
    return self.min_lr + 0.5 * (1 + math.cos(3.1416 * done)) * (self.base_lr - self.min_lr)

# %% task="lr-warmup-cosine" reject="sets-the-rate"
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    lr = self.min_lr
    if step < self.warmup_steps:
        lr = self.base_lr * (step + 1) / self.warmup_steps
    elif step < self.total_steps:
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        lr = self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)
    self.base_lr = lr
    return lr

# %% [markdown] task="lr-warmup-cosine" reject="own-t"
# ```diff
# - if step < self.warmup_steps:
# + step = max(step, self.t)
# +     if step < self.warmup_steps:
# ```

# %% [markdown] task="lr-warmup-cosine" mistake="moves-the-schedule" shows="`lr_at` returns a rate and changes nothing"
# lr_at changes self.t: who asks for the rate of an update must not move the schedule there
# ```diff
# -     """Return the rate of update number `step`, counted from 0."""
# +     self.t = step
# -     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)  # 0 to 1
# +     done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
# ```

# %% task="lr-warmup-cosine" mistake="moves-the-optimizer" shows="`lr_at` returns a rate and changes nothing"
# lr_at sets optimizer.lr: it should return the rate, and leave it to step() to set it
@add_to_class(WarmupCosineLR)
def lr_at(self, step):
    lr = self.min_lr
    if step < self.warmup_steps:
        lr = self.base_lr * (step + 1) / self.warmup_steps
    elif step < self.total_steps:
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        lr = self.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (self.base_lr - self.min_lr)
    self.optimizer.lr = lr
    return lr

# %% task="clip-grad-norm" cases=true
def cases(rng):
    def case(said, shapes, norm, max_norm, spoil=None, equal=(), **options):
        """Gradients with this joint norm; `spoil` is written into one entry of the last.

        The two named by `equal` have equal numbers.
        """
        params = {name: np.asarray(rng.normal(0, 0.5, shape)) for name, shape in shapes.items()}
        # No entry is near 0, and each array has its share of the norm.
        grads = {n: rng.choice([-1, 1], s) * rng.uniform(0.5, 2, s) for n, s in shapes.items()}
        for name in equal[1:]:
            grads[name] = grads[equal[0]].copy()
        whole = sum((g**2).sum() for g in grads.values()) ** 0.5
        grads = {name: np.asarray(g * (norm / whole)) for name, g in reversed(grads.items())}
        if spoil is not None:
            list(grads.values())[-1].flat[0] = spoil
        extra = "".join(f", {name}" for name in options)
        names = ", ".join(f"{n} {s}" for n, s in shapes.items())
        title = f"{said}: parameters {names}; norm {norm:.3g}, max_norm {max_norm:.3g}{extra}"
        args = {"model": Model(params, grads), "max_norm": max_norm}
        name = "norm" if spoil is None else "norm (inf or nan)"
        return Case(title, [Call(args, None, name)], **options)

    for number, shapes in enumerate(MODELS):
        options = OPTIONS[number]
        norm = rng.uniform(2, 6)
        yield case("above", shapes, norm, norm * rng.uniform(0.1, 0.6), **options)
        yield case("a little above", shapes, norm, 0.9 * norm, **options)
        yield case("below", shapes, norm, norm * rng.uniform(1.5, 3), **options)
    twins = {"W": (2, 3), "b": (3,), "V": (2, 3), "c": (3,)}
    yield case("arrays of one shape", twins, 4.0, 1.5)
    yield case("arrays with equal numbers", twins, 4.0, 1.5, equal=("W", "V"))
    yield case("far above", MODELS[2], 3e5, 0.4)
    yield case("far below", MODELS[0], 0.3, 5.0)
    yield case("max_norm is an integer", MODELS[1], 7.5, 1)
    yield case("max_norm is infinite", MODELS[0], 7.5, np.inf)
    yield case("max_norm is 0", MODELS[0], 3.0, 0.0)
    yield case("max_norm is 0, an integer", MODELS[4], 3.0, 0)
    for part in (1e-3, 1e-5, 1e-7):    # the 1e-6 does not take part in the comparison
        norm = rng.uniform(2, 6)
        yield case(f"above by {part:.0e} of the norm", MODELS[2], norm, norm * (1 - part))
        yield case(f"below by {part:.0e} of the norm", MODELS[2], norm, norm * (1 + part))
    yield case("both very small", MODELS[0], 3e-4, 2e-4)
    grads = {"W": np.array([[3.0, 0], [0, 0]]), "b": np.array([0, -4.0])}
    model = Model({name: g + 1 for name, g in grads.items()}, grads)
    for max_norm in (5.0, 5):
        yield Case("3 and -4, whose norm is just max_norm", [Call({"model": model, "max_norm": max_norm}, None, "norm")])
    yield case("all gradients 0", MODELS[2], 0.0, 1.0)
    yield case("an entry is inf", MODELS[0], 3.0, 1.0, np.inf)
    yield case("an entry is -inf", MODELS[4], 3.0, 10.0, -np.inf)
    yield case("an entry is nan", MODELS[1], 3.0, 1.0, np.nan)

# %% [markdown] task="clip-grad-norm" hint=1
# one norm for the whole model, and one factor for all gradients. So two walks over them: the first
# measures, the second scales.

# %% [markdown] task="clip-grad-norm" hint=2
# each gradient has a shape of its own, but each gives one number, the sum of its squares. These
# numbers are added over the arrays before the square root is taken.

# %% [markdown] task="clip-grad-norm" hint=3
# the norm is the root of the sum of all squares. If it is larger than max_norm and finite, multiply
# each gradient in place by max_norm over (norm + 1e-6). Return the norm that you measured.

# %% task="clip-grad-norm" mistake="each-on-its-own"
# each array is measured and scaled on its own: that changes the direction of the whole gradient;
# first one norm over all arrays, then one factor for all
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norms = [math.sqrt(float((g**2).sum())) for g in grads]
    for g, norm in zip(grads, norms):
        if norm > max_norm and math.isfinite(norm):
            g *= max_norm / (norm + 1e-6)
    return math.sqrt(sum(norm**2 for norm in norms))

# %% task="clip-grad-norm" mistake="sum-of-norms"
# the norms of the arrays are added: add the squares of all entries, and take the root once
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = sum(math.sqrt(float((g**2).sum())) for g in grads)
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="by-value"
# every entry is clipped on its own: that bends the direction; multiply all entries by one factor
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if math.isfinite(norm):
        for g in grads:
            np.clip(g, -max_norm, max_norm, out=g)
    return norm

# %% task="clip-grad-norm" mistake="always-scaled"
# the gradients are scaled even where the norm is below max_norm: clipping shortens, it never
# lengthens
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if math.isfinite(norm) and norm > 0:
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="norm-afterwards"
# it is the norm after clipping: return the one before, because it shows trouble before the loss
# does
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
        return math.sqrt(sum(float((g**2).sum()) for g in grads))
    return norm

# %% task="clip-grad-norm" mistake="no-root"
# the square root is missing: the norm is the root of the sum of squares
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = sum(float((g**2).sum()) for g in grads)
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="sum-of-sizes"
# it adds absolute values: the norm is the root of the sum of squares
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = sum(float(np.abs(g).sum()) for g in grads)
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="mean-square"
# it is a mean over the entries: the norm is the root of the sum of all squares
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads) / sum(g.size for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="largest-norm"
# only the longest array counts: the squares of all arrays add up
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = max(math.sqrt(float((g**2).sum())) for g in grads)
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" reject="not-in-place" shows="multiply all gradients, in place"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g = g * max_norm / (norm + 1e-6)
    return norm

# %% [markdown] task="clip-grad-norm" mistake="inf-times-zero" shows="leave all gradients as they are"
# an infinite or nan norm gets into the factor: no factor repairs such a gradient, so leave it as
# it is
# ```diff
# -     norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
# +     norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
# -     # Not if infinite: the scale would be 0, and inf * 0 is nan. Not if nan: that compares as False.
# -     if max_norm < norm < math.inf:
# +     if not norm <= max_norm:
# ```

# %% task="clip-grad-norm" mistake="no-1e-6"
# the 1e-6 is missing: the factor is max_norm / (norm + 1e-6), as PyTorch has it
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / norm
    return norm

# %% task="clip-grad-norm" mistake="parameters"
# the parameters are measured and scaled: clip the gradients, the other dict
def clip_grad_norm(model, max_norm):
    params = model.params().values()
    norm = math.sqrt(sum(float((p**2).sum()) for p in params))
    if norm > max_norm:
        for p in params:
            p *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" right="flat"
def clip_grad_norm(model, max_norm):
    flat = np.concatenate([g.ravel() for g in model.grads().values()])
    norm = np.linalg.norm(flat)
    if not np.isfinite(norm) or norm <= max_norm:
        return norm
    for g in model.grads().values():
        np.multiply(g, max_norm / (norm + 1e-6), out=g)
    return norm

# %% task="clip-grad-norm" right="loops"
def clip_grad_norm(model, max_norm):
    grads, total = model.grads(), 0.0
    for name in grads:
        for i in np.ndindex(grads[name].shape):
            total += grads[name][i] ** 2
    norm = total**0.5
    if np.isfinite(norm) and norm > max_norm:
        for name in grads:
            for i in np.ndindex(grads[name].shape):
                grads[name][i] *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" right="norm-of-norms"
def clip_grad_norm(model, max_norm):
    grads = list(model.grads().values())
    norm = float(np.linalg.norm([np.linalg.norm(g.ravel()) for g in grads]))
    scale = max_norm / (norm + 1e-6) if max_norm < norm < np.inf else 1.0
    for g in grads:
        g[...] = g * scale
    return norm

# %% task="clip-grad-norm" reject="nothing-returned"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)

# %% task="clip-grad-norm" reject="eps-in-norm"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads) + 1e-6)
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" mistake="nan-becomes-a-number"
# inf or nan has been replaced by a number: return the norm that is there, so that the loop sees it,
# and leave the gradients as they are
def clip_grad_norm(model, max_norm):
    for g in model.grads().values():
        g[...] = np.nan_to_num(g)
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in grads:
            g *= max_norm / (norm + 1e-6)
    return norm

# %% task="clip-grad-norm" reject="new-arrays"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for name, g in model.grads().items():
            setattr(model, f"d{name}", g * max_norm / (norm + 1e-6))
    return norm

# %% task="clip-grad-norm" reject="squares-in-place"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    kept = [g.copy() for g in grads]
    for g in grads:
        g *= g
    norm = math.sqrt(sum(float(g.sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g, k in zip(grads, kept):
            g[...] = k * (max_norm / (norm + 1e-6))
    return norm

# %% [markdown] task="clip-grad-norm" reject="at-least" shows="If the norm is not larger (it may be equal"
# ```diff
# - if max_norm < norm < math.inf:
# + if max_norm <= norm < math.inf:
# ```

# %% [markdown] task="clip-grad-norm" mistake="none-for-0" shows="it may be 0"
# is not clipped where max_norm is 0: that is a limit as well, and the norm is larger
# ```diff
# - if max_norm < norm < math.inf:
# + if max_norm and max_norm < norm < math.inf:
# ```

# %% [markdown] task="clip-grad-norm" reject="a-margin"
# ```diff
# - if max_norm < norm < math.inf:
# + if max_norm + 1e-3 < norm < math.inf:
# ```

# %% [markdown] task="clip-grad-norm" reject="nearly-equal"
# ```diff
# - if max_norm < norm < math.inf:
# + if max_norm < norm < math.inf and not math.isclose(norm, max_norm, rel_tol=1e-3):
# ```

# %% [markdown] task="clip-grad-norm" reject="scale-below-one" shows="If the norm is not larger (it may be equal"
# ```diff
# - if max_norm < norm < math.inf:
# -         scale = max_norm / (norm + 1e-6)
# + scale = max_norm / (norm + 1e-6)
# +     if scale < 1 and math.isfinite(norm):
# ```

# %% [markdown] task="clip-grad-norm" reject="inf-only"
# ```diff
# - if max_norm < norm < math.inf:
# + if max_norm < norm and not any(np.isposinf(g).any() for g in grads):
# ```

# %% [markdown] task="clip-grad-norm" right="early"
# ```diff
# - if max_norm < norm < math.inf:
# -         scale = max_norm / (norm + 1e-6)
# -         for g in grads:
# -             g *= scale
# -     return norm
# + if not np.isfinite(norm):
# +         return norm
# +     if norm > max_norm:
# +         for g in grads:
# +             g[...] = g * (max_norm / (norm + 1e-6))
# +     return norm
# ```

# %% [markdown] task="clip-grad-norm" reject="infinite-max" shows="`max_norm` may be `inf`"
# ```diff
# - if max_norm < norm < math.inf:
# -         scale = max_norm / (norm + 1e-6)
# -         for g in grads:
# -             g *= scale
# + if math.isfinite(norm):
# +         for g in grads:
# +             g *= min(1.0, (max_norm - 1e-6 * max_norm / (norm + 1e-6)) / max(norm, 1e-12)) if norm > max_norm else max_norm / max_norm
# ```

# %% task="clip-grad-norm" reject="one-of-each-shape"
def clip_grad_norm(model, max_norm):
    grads = model.grads().values()
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
    if norm > max_norm and math.isfinite(norm):
        for g in {g.shape: g for g in grads}.values():
            g *= max_norm / (norm + 1e-6)
    return norm


# %% [markdown] task="clip-grad-norm" reject="equal-are-same"
# ```diff
# - norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
# + norm = math.sqrt(sum({g.tobytes(): float(np.vdot(g, g)) for g in grads}.values()))
# ```


# %% [markdown] task="clip-grad-norm" reject="more-when-far-above"
# ```diff
# - scale = max_norm / (norm + 1e-6)
# + scale = max(max_norm, 1e-5 * norm) / (norm + 1e-6)
# ```


# %% task="adam-step" cases=true
def cases(rng):
    for number, shapes in enumerate(MODELS):
        for decay in (0.0, round(rng.uniform(0.3, 0.9), 3)):
            # Far from 0.9 and 0.999, so that one does not pass for the other; eps so large that
            # its place shows.
            betas = (round(rng.uniform(0.5, 0.7), 3), round(rng.uniform(0.85, 0.95), 3))
            lr = rng.uniform(0.1, 0.3)
            settings = {"betas": betas, "eps": 1e-8 if number == 3 else 0.1, "weight_decay": decay}
            yield optimizer_case(
                rng, shapes, settings, [lr, lr, lr, 0.3 * lr], ("t", "m", "v"), **OPTIONS[number]
            )
    # Resumed: early, and late with the usual betas, where one correction is over and the other is not.
    for options, betas, t in zip(OPTIONS[:2], [(0.7, 0.9), (0.9, 0.999)], [4, 1200]):
        shapes = RESUMED
        arrays = {f"m.{name}": rng.normal(size=shape) for name, shape in shapes.items()}
        # Late, gradients were small: this step is many times lr.
        small = 1e-3 if t > 100 else 1
        arrays |= {f"v.{name}": small * rng.uniform(0.5, 2, shape) for name, shape in shapes.items()}
        settings = {"betas": betas, "eps": 0.05, "weight_decay": 0.4}
        yield optimizer_case(
            rng, shapes, settings, [0.2, 0.1], ("t", "m", "v"), arrays | {"t": t}, **options
        )
    yield still_case(rng)
    for decay in (0.6, 0.002):
        settings = {"betas": (0.6, 0.9), "eps": 0.1, "weight_decay": decay}
        yield with_zeros(optimizer_case(rng, RESUMED, settings, [0.2, 0.2, 0.2, 0.1], ("t", "m", "v")))
    yield from of_all_sizes(rng, {"betas": (0.6, 0.9)}, ("t", "m", "v"), [("eps", 0.1)])
    # One step only: at its end the gradients are cleared, and m may not be one of them.
    for betas in [(0.0, 0.9), (0.6, 0.0)]:
        yield optimizer_case(rng, LATER, {"betas": betas, "eps": 0.1}, [0.2], ("t", "m", "v"))
    arrays = {f"m.{name}": np.asarray(rng.normal(size=shape)) for name, shape in LATER.items()}
    arrays |= {f"v.{name}": np.asarray(rng.uniform(0.5, 2, shape)) for name, shape in LATER.items()}
    yield loaded_again(optimizer_case(rng, LATER, settings, [0.2, 0.2, 0.1], ("t", "m", "v")), arrays | {"t": 4})

def still_case(rng):
    """Some gradients are exactly 0 from the start: without eps, 0 / 0."""
    case = optimizer_case(
        rng, MODELS[0], {"betas": (0.6, 0.9), "eps": 0.01}, [0.1, 0.1], ("t", "m", "v")
    )
    for call in case.calls[:-1]:
        call.sets["model.dW"][0] = 0
    case.title += ", with gradients that are 0"
    return case

# %% [markdown] task="adam-step" hint=1
# the docstring has every line that you need. Which of them concern the whole step and are done once,
# and which concern each parameter?

# %% [markdown] task="adam-step" hint=2
# t is one number for all parameters: count it before the loop. m, v, m̂ and v̂ have the shape of p.
# m and v are kept; m̂ and v̂ are new arrays, made for this step and thrown away.

# %% [markdown] task="adam-step" hint=3
# add 1 to t. For each p: update m and v, and store them; divide them by 1 - βᵗ, each with its own β;
# if p has two or more dimensions, multiply it by 1 - lr · weight_decay; subtract lr · m̂ over
# (√v̂ + eps), in place.

# %% task="adam-step" mistake="t-per-parameter"
# it counts parameters, not steps: it grows by 1 for each step of the whole model
@add_to_class(Adam)
def step(self):
    beta1, beta2 = self.betas
    grads = self.model.grads()
    for name, p in self.model.params().items():
        self.t += 1
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat = m / (1 - beta1**self.t)
        v_hat = v / (1 - beta2**self.t)
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)

# %% task="adam-step" mistake="late-t"
# t is counted too late: it is 1 in the equations of the first step, and 1 - β⁰ would be 0
@add_to_class(Adam)
def step(self):
    beta1, beta2 = self.betas
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat = m / (1 - beta1**self.t)
        v_hat = v / (1 - beta2**self.t)
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
    self.t += 1

# %% [markdown] task="adam-step" mistake="uncounted"
# it never grows: it counts the steps, and the bias correction needs it
# ```diff
# -     self.t += 1
# +     t = self.t + 1
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# -         v_hat = v / (1 - beta2**self.t)
# +         v += (1 - beta2) * g**2
# +         m_hat = m / (1 - beta1**t)
# +         v_hat = v / (1 - beta2**t)
# ```

# %% [markdown] task="adam-step" mistake="no-correction"
# the bias correction is missing: m and v start at 0, so divide each by 1 - βᵗ
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# -         v_hat = v / (1 - beta2**self.t)
# +         v += (1 - beta2) * g**2
# +         m_hat, v_hat = m, v
# ```

# %% [markdown] task="adam-step" mistake="correction-without-t"
# the correction is that of the first step forever: divide by 1 - βᵗ, with t the steps taken
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# -         v_hat = v / (1 - beta2**self.t)
# +         v += (1 - beta2) * g**2
# +         m_hat = m / (1 - beta1)
# +         v_hat = v / (1 - beta2)
# ```

# %% [markdown] task="adam-step" mistake="times-t"
# the correction is made with β · t: it is β to the power t
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# -         v_hat = v / (1 - beta2**self.t)
# +         v += (1 - beta2) * g**2
# +         m_hat = m / (1 - beta1 * self.t)
# +         v_hat = v / (1 - beta2 * self.t)
# ```

# %% [markdown] task="adam-step" mistake="m-corrected-only"
# only m is corrected: v starts at 0, too, so divide it by 1 - β₂ᵗ
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         v_hat = v / (1 - beta2**self.t)
# +         v_hat = v
# ```

# %% [markdown] task="adam-step" mistake="corrected-in-place" shows="hold `m` and `v` themselves, not `m̂` and `v̂`"
# it holds the corrected mean: keep m and v as they are, and put m̂ and v̂ into new arrays
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# -         v_hat = v / (1 - beta2**self.t)
# +         v += (1 - beta2) * g**2
# +         m /= 1 - beta1**self.t
# +         v /= 1 - beta2**self.t
# +         m_hat, v_hat = m, v
# ```

# %% [markdown] task="adam-step" mistake="betas-swapped"
# β₁ and β₂ are swapped: betas is (β₁ of the mean, β₂ of the mean square)
# ```diff
# -     beta1, beta2 = self.betas
# +     beta2, beta1 = self.betas
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# ```

# %% [markdown] task="adam-step" mistake="sums"
# it is a running sum: in a running mean the new term has the weight 1 - β
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += g**2
# ```

# %% [markdown] task="adam-step" mistake="weights-swapped"
# the two weights are swapped: the old mean keeps β, the new term gets 1 - β
# ```diff
# -         m *= beta1
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# -         v *= beta2
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         m *= 1 - beta1
# +         m += beta1 * g
# +         v *= 1 - beta2
# +         v += beta2 * g**2
# ```

# %% [markdown] task="adam-step" mistake="g-not-squared"
# it is a mean of sizes, |g|: v is the mean of g²
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * np.abs(g)
# ```

# %% [markdown] task="adam-step" mistake="v-of-m"
# it is made from m: v is the mean of g², with g the gradient itself
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * m**2
# ```

# %% [markdown] task="adam-step" mistake="no-root"
# the square root of v̂ is missing
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * m_hat / (v_hat + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="eps-inside"
# eps stands under the root: it is added to √v̂, after the root is taken
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * m_hat / np.sqrt(v_hat + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="eps-uncorrected"
# eps is added to √v before the correction: the divisor is √v̂ + eps, and v̂ is v already corrected
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         v_hat = v / (1 - beta2**self.t)
# +         root2 = np.sqrt(1 - beta2**self.t)
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * root2 * m_hat / (np.sqrt(v) + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="no-eps"
# eps is missing: where all gradients so far are 0, this divides 0 by 0
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * m_hat / np.sqrt(v_hat)
# ```

# %% [markdown] task="adam-step" mistake="l2"
# the decay goes through the gradient, and so into m and v: that is L2, not AdamW; shrink the
# parameter itself
# ```diff
# -         g, m, v = grads[name], self.m[name], self.v[name]
# +         g, m, v = grads[name], self.m[name], self.v[name]
# +         if p.ndim >= 2:
# +             g = g + self.weight_decay * p
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         if p.ndim >= 2:
# -             p *= 1 - self.lr * self.weight_decay
# ```

# %% [markdown] task="adam-step" mistake="all-decayed"
# arrays of one dimension are decayed, too: skip those with fewer than two
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         if p.ndim >= 2:
# -             p *= 1 - self.lr * self.weight_decay
# +         p *= 1 - self.lr * self.weight_decay
# ```

# %% [markdown] task="adam-step" mistake="matrices-only"
# only arrays of exactly two dimensions are decayed: those of three are weights, too
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         if p.ndim >= 2:
# +         if p.ndim == 2:
# ```

# %% [markdown] task="adam-step" mistake="decay-without-lr"
# lr is left out of the decay: the factor is 1 - lr · weight_decay
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -             p *= 1 - self.lr * self.weight_decay
# +             p *= 1 - self.weight_decay
# ```

# %% task="adam-step" mistake="decay-last"
# the decay comes after the step and shrinks that, too: decay first
@add_to_class(Adam)
def step(self):
    self.t += 1
    beta1, beta2 = self.betas
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        m_hat = m / (1 - beta1**self.t)
        v_hat = v / (1 - beta2**self.t)
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay

# %% [markdown] task="adam-step" mistake="no-decay"
# the weight decay is missing
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         if p.ndim >= 2:
# -             p *= 1 - self.lr * self.weight_decay
# ```

# %% [markdown] task="adam-step" mistake="uphill"
# the step goes uphill: subtract it
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p += self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="g-for-m"
# the step is made with g: it is m̂ that is divided by √v̂
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# -         m_hat = m / (1 - beta1**self.t)
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * g / (np.sqrt(v_hat) + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="not-in-place"
# it never moves: change every parameter in place; `p = p - ...` makes a new array that nobody else
# sees
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -             p *= 1 - self.lr * self.weight_decay
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +             p = p * (1 - self.lr * self.weight_decay)
# +         p = p - self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# ```

# %% [markdown] task="adam-step" mistake="not-kept" shows="so they must be right after the step"
# it stays as it was: write the new m and v into self.m[name] and self.v[name], for every parameter
# ```diff
# -         m *= beta1
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# -         v *= beta2
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         m = beta1 * m + (1 - beta1) * g
# +         v = beta2 * v + (1 - beta2) * g**2
# ```

# %% task="adam-step" right="two-numbers"
@add_to_class(Adam)
def step(self):
    self.t += 1
    beta1, beta2 = self.betas
    step_size = self.lr / (1 - beta1**self.t)
    root2 = math.sqrt(1 - beta2**self.t)
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, m, v = grads[name], self.m[name], self.v[name]
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        if self.weight_decay and p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        p -= step_size * m / (np.sqrt(v) / root2 + self.eps)

# %% task="adam-step" right="new-arrays"
@add_to_class(Adam)
def step(self):
    self.t = self.t + 1
    b1, b2 = self.betas
    for name, g in self.model.grads().items():
        self.m[name] = b1 * self.m[name] + (1 - b1) * g
        self.v[name] = b2 * self.v[name] + (1 - b2) * np.square(g)
    for name, p in self.model.params().items():
        decay = 0.0 if len(p.shape) < 2 else self.weight_decay
        m_hat = self.m[name] / (1 - b1**self.t)
        v_hat = self.v[name] / (1 - b2**self.t)
        p[...] = p - self.lr * decay * p - self.lr * m_hat / (v_hat**0.5 + self.eps)

# %% task="adam-step" right="loop"
@add_to_class(Adam)
def step(self):
    self.t += 1
    (b1, b2), grads = self.betas, self.model.grads()
    for name, p in self.model.params().items():
        m, v = self.m[name], self.v[name]
        for i in np.ndindex(p.shape):
            g = float(grads[name][i])
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            size = math.sqrt(v[i] / (1 - b2**self.t)) + self.eps
            kept = 1 - self.lr * self.weight_decay if p.ndim > 1 else 1.0
            p[i] = kept * p[i] - self.lr * m[i] / (1 - b1**self.t) / size

# %% task="adam-step" right="towards"
@add_to_class(Adam)
def step(self):
    self.t += 1
    grads, params = self.model.grads(), self.model.params()
    for name in params:
        self.m[name] += (1 - self.betas[0]) * (grads[name] - self.m[name])
        self.v[name] += (1 - self.betas[1]) * (grads[name] ** 2 - self.v[name])
        weights = [1 - beta**self.t for beta in self.betas]
        update = self.m[name] / weights[0] / (np.sqrt(self.v[name] / weights[1]) + self.eps)
        if params[name].ndim >= 2:
            update += self.weight_decay * params[name]
        np.subtract(params[name], self.lr * update, out=params[name])

# %% [markdown] task="adam-step" mistake="still-without-gradient" shows="even where its gradient is 0"
# stands still where a whole gradient is 0: m and v fade, m moves the parameter on, decay shrinks it
# ```diff
# -         g, m, v = grads[name], self.m[name], self.v[name]
# +         g, m, v = grads[name], self.m[name], self.v[name]
# +         if not g.any():
# +             continue
# ```

# %% [markdown] task="adam-step" reject="entries-without-gradient"
# ```diff
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= np.where(g == 0, 0, self.lr * m_hat / (np.sqrt(v_hat) + self.eps))
# ```

# %% [markdown] task="adam-step" mistake="decay-needs-a-gradient"
# is not decayed where its gradient is 0: the decay asks for no gradient
# ```diff
# - if p.ndim >= 2:
# + if p.ndim >= 2 and g.any():
# ```

# %% [markdown] task="adam-step" reject="decay-by-name"
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         if p.ndim >= 2:
# +         if name not in ("b", "gain"):
# ```

# %% [markdown] task="adam-step" reject="decay-not-by-lr-of-the-moment"
# ```diff
# -     self.t += 1
# +     self.t += 1
# +     self.first = getattr(self, "first", self.lr)
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -             p *= 1 - self.lr * self.weight_decay
# +             p *= 1 - self.first * self.weight_decay
# ```

# %% [markdown] task="adam-step" reject="clips-the-gradient"
# ```diff
# -         g, m, v = grads[name], self.m[name], self.v[name]
# +         g, m, v = grads[name], self.m[name], self.v[name]
# +         np.clip(g, -1, 1, out=g)
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# ```

# %% [markdown] task="adam-step" reject="amsgrad"
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# +         old = v.copy()
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# +         v[...] = np.maximum(v, old)
# ```

# %% [markdown] task="adam-step" reject="default-eps"
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= self.lr * m_hat / (np.sqrt(v_hat) + 1e-8)
# ```

# %% [markdown] task="adam-step" reject="float32"
# ```diff
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# +         m += (1 - beta1) * g
# -         v += (1 - beta2) * g**2                 # v ← β₂ v + (1-β₂) g²
# +         v += (1 - beta2) * g**2
# -         p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +         p -= (self.lr * m_hat / (np.sqrt(v_hat) + self.eps)).astype(np.float32)
# ```

# %% [markdown] task="adam-step" reject="scalars-decayed"
# ```diff
# - if p.ndim >= 2:
# + if p.ndim != 1:
# ```

# %% [markdown] task="adam-step" reject="returns-t" shows="`step` returns nothing"
# ```diff
# - self.t += 1
# + self.t += 1
# +     result = self.t
# - p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# + p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# +     return result
# ```

# %% [markdown] task="adam-step" right="lerp"
# ```diff
# - m *= beta1
# -         m += (1 - beta1) * g                    # m ← β₁ m + (1-β₁) g
# + m += (1 - beta1) * (g - m)
# ```

# %% [markdown] task="adam-step" reject="t-float"
# ```diff
# - self.t += 1
# + self.t += 1.0
# ```

# %% task="adam-step" reject="by-position"
@add_to_class(Adam)
def step(self):
    self.t += 1
    b1, b2 = self.betas
    for p, g, name in zip(self.model.params().values(), self.model.grads().values(), self.m):
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        m = self.m[name] = b1 * self.m[name] + (1 - b1) * g
        v = self.v[name] = b2 * self.v[name] + (1 - b2) * g * g
        p -= self.lr * m / (1 - b1**self.t) / (np.sqrt(v / (1 - b2**self.t)) + self.eps)


# %% [markdown] task="adam-step" reject="correction-stops"
# ```diff
# - v_hat = v / (1 - beta2**self.t)
# + v_hat = v / (1 - beta2**self.t if self.t <= 10 else 1)
# ```


# %% [markdown] task="adam-step" reject="little-decay-is-none"
# ```diff
# - if p.ndim >= 2:
# + if p.ndim >= 2 and self.weight_decay > 0.01:
# ```


# %% task="adam-step" reject="holds-the-gradient"
@add_to_class(Adam)
def step(self):
    self.t += 1
    b1, b2 = self.betas
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g = grads[name]
        if p.ndim >= 2:
            p *= 1 - self.lr * self.weight_decay
        m = self.m[name] = g if b1 == 0 and self.t == 1 else b1 * self.m[name] + (1 - b1) * g
        v = self.v[name] = b2 * self.v[name] + (1 - b2) * g * g
        p -= self.lr * m / (1 - b1**self.t) / (np.sqrt(v / (1 - b2**self.t)) + self.eps)


# %% [markdown] task="adam-step" reject="clips-m"
# ```diff
# - m_hat = m / (1 - beta1**self.t)
# + m_hat = np.clip(m / (1 - beta1**self.t), -1e3, 1e3)
# ```


# %% [markdown] task="adam-step" reject="rests-without-rate"
# ```diff
# -     self.t += 1
# +     self.t += 1
# +     if self.lr == 0:
# +         return
# ```


# %% task="nesterov-step" cases=true
def cases(rng):
    for number, shapes in enumerate(MODELS):
        for momentum in (0.0, round(rng.uniform(0.5, 0.65), 3), round(rng.uniform(0.8, 0.95), 3)):
            lr = rng.uniform(0.1, 0.5)
            yield optimizer_case(
                rng, shapes, {"momentum": momentum}, [lr, lr, lr, 0.3 * lr], ("v",),
                **OPTIONS[number],
            )
    for momentum in (0.0, 0.8):
        yield with_zeros(optimizer_case(rng, RESUMED, {"momentum": momentum}, [0.2, 0.2, 0.2, 0.1], ("v",)))
    yield from of_all_sizes(rng, {"momentum": 0.7}, ("v",))

# %% [markdown] task="nesterov-step" hint=1
# write the update of v down twice, one under the other: once for the step that you make, once for
# the step that you only imagine. Both use the same g.

# %% [markdown] task="nesterov-step" hint=2
# u, v, g and p have the same shape. u starts from the v that you have updated; it is a new array,
# and `self.v[name]` does not take it over.

# %% [markdown] task="nesterov-step" hint=3
# update v as in SGD and keep it; u is the momentum times this v, plus g; subtract lr times u from p,
# in place.

# %% [markdown] task="nesterov-step" mistake="classical"
# this is the momentum of task 1: the parameter moves along u, which starts from the new v, not
# along v
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * v
# ```

# %% [markdown] task="nesterov-step" mistake="u-kept"
# it holds u: the further update is only imagined, and v stays that of one update
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         v *= self.momentum
# +         v += g
# +         p -= self.lr * v
# ```

# %% [markdown] task="nesterov-step" mistake="no-gradient"
# the g of the further update is missing: it adds g, as every update does
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * self.momentum * v
# ```

# %% [markdown] task="nesterov-step" mistake="v-plus-g"
# v enters u in full: in the further update it is multiplied by the momentum again
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (v + g)
# ```

# %% [markdown] task="nesterov-step" mistake="momentum-on-g"
# the momentum multiplies g, where v should have it: u = v of one further update
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (v + self.momentum * g)
# ```

# %% [markdown] task="nesterov-step" mistake="both-steps"
# the parameter moves along v and along u: only along u
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (v + self.momentum * v + g)
# ```

# %% [markdown] task="nesterov-step" mistake="momentum-squared"
# the last g has the momentum, too: the further update is momentum · v + g, not
# momentum · (v + g)
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * self.momentum * (v + g)
# ```

# %% [markdown] task="nesterov-step" mistake="two-further"
# it looks two updates ahead: u is the v of one further update
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# +         u = self.momentum * (self.momentum * v + g) + g
# ```

# %% [markdown] task="nesterov-step" mistake="g-damped"
# g has the weight 1 - momentum: in the further update, too, it counts in full
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (self.momentum * v + (1 - self.momentum) * g)
# ```

# %% [markdown] task="nesterov-step" mistake="not-in-place"
# it never moves: change every parameter in place; `p = p - ...` makes a new array that nobody else
# sees
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p = p - self.lr * (self.momentum * v + g)
# ```

# %% [markdown] task="nesterov-step" mistake="mean"
# it is a running mean: here v ← momentum · v + g, and g counts in full
# ```diff
# -         v += g
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         v += (1 - self.momentum) * g
# +         p -= self.lr * (self.momentum * v + (1 - self.momentum) * g)
# ```

# %% task="nesterov-step" mistake="not-kept"
# it stays as it was: write the new v into self.v[name], for every parameter, or the next step
# starts from the old one
@add_to_class(NesterovSGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        v = self.momentum * self.v[name] + grads[name]
        p -= self.lr * (self.momentum * v + grads[name])

# %% task="nesterov-step" right="from-the-old-v"
@add_to_class(NesterovSGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, old = grads[name], self.v[name]
        p -= self.lr * (self.momentum**2 * old + (1 + self.momentum) * g)
        self.v[name] = self.momentum * old + g

# %% task="nesterov-step" right="loop"
@add_to_class(NesterovSGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        for i in np.ndindex(p.shape):
            self.v[name][i] = self.momentum * self.v[name][i] + grads[name][i]
            p[i] -= self.lr * (self.momentum * self.v[name][i] + grads[name][i])

# %% task="nesterov-step" right="twice-the-same"
@add_to_class(NesterovSGD)
def step(self):
    def update(v, g):
        return self.momentum * v + g

    for name, g in self.model.grads().items():
        self.v[name] = update(self.v[name], g)
    for name, p in self.model.params().items():
        p[...] = p - self.lr * update(self.v[name], self.model.grads()[name])

# %% task="nesterov-step" right="two-moves"
@add_to_class(NesterovSGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, v = grads[name], self.v[name]
        v *= self.momentum
        v += g
        p -= self.lr * g
        p -= self.lr * self.momentum * v

# %% [markdown] task="nesterov-step" mistake="still-without-gradient"
# stands still where the gradient is 0: v moves it on, and fades
# ```diff
# -         g, v = grads[name], self.v[name]
# +         g, v = grads[name], self.v[name]
# +         if not g.any():
# +             continue
# ```

# %% [markdown] task="nesterov-step" reject="entries-without-gradient"
# ```diff
# -         p -= self.lr * u
# +         p -= np.where(g == 0, 0, self.lr * u)
# ```

# %% [markdown] task="nesterov-step" reject="fixed-momentum" shows="without momentum the step is that of plain SGD"
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (0.9 * v + g)
# ```

# %% [markdown] task="nesterov-step" reject="changes-the-gradient"
# ```diff
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         g += self.momentum * v
# +         p -= self.lr * g
# ```

# %% [markdown] task="nesterov-step" reject="first-step-plain"
# ```diff
# -         g, v = grads[name], self.v[name]
# +         g, v = grads[name], self.v[name]
# +         first = not v.any()
# -         u = self.momentum * v + g    # one further update; v itself stays
# -         p -= self.lr * u
# +         p -= self.lr * (g if first else self.momentum * v + g)
# ```

# %% task="nesterov-step" reject="g-kept-without-momentum" shows="keeps that value"
@add_to_class(NesterovSGD)
def step(self):
    for name, p in self.model.params().items():
        g = self.model.grads()[name]
        self.v[name] = self.momentum * self.v[name] + g if self.momentum else g
        p -= self.lr * (self.momentum * self.v[name] + g)

# %% [markdown] task="nesterov-step" reject="returns-u" shows="`step` returns nothing"
# ```diff
# - p -= self.lr * u
# + p -= self.lr * u
# +     return u
# ```

# %% task="nesterov-step" reject="old-v"
@add_to_class(NesterovSGD)
def step(self):
    grads = self.model.grads()
    for name, p in self.model.params().items():
        g, v = grads[name], self.v[name]
        u = self.momentum * v + g
        v[...] = u
        p -= self.lr * (g + self.momentum * u) if p.ndim else self.lr * u

# %% [markdown] task="nesterov-step" reject="scalar-skipped"
# ```diff
# - g, v = grads[name], self.v[name]
# + if not p.shape:
# +             continue
# +         g, v = grads[name], self.v[name]
# ```

# %% [markdown] task="sgd-step" reject="rate-decays"
# ```diff
# -     grads = self.model.grads()
# +     grads = self.model.grads()
# +     self.lr *= 0.999
# ```

# %% [markdown] task="adam-step" reject="rate-corrected-and-kept"
# ```diff
# -     grads = self.model.grads()
# +     grads = self.model.grads()
# +     self.lr = self.lr / (1 - beta1**self.t)
# -         m_hat = m / (1 - beta1**self.t)
# +         m_hat = m
# ```

# %% [markdown] task="lr-warmup-cosine" reject="its-own-step"
# ```diff
# -     if step >= self.total_steps:
# +     if max(step, self.t) >= self.total_steps:
# ```


# %% task="nesterov-step" mistake="by-position"
# the gradients are taken in their own order: the two dicts have the same names, but not always in the
# same order; take each gradient by its name
@add_to_class(NesterovSGD)
def step(self):
    for (name, p), g in zip(self.model.params().items(), self.model.grads().values()):
        v = self.v[name]
        v *= self.momentum
        v += g
        p -= self.lr * (g + self.momentum * v)


# %% [markdown] task="nesterov-step" reject="rests-without-rate"
# ```diff
# -     grads = self.model.grads()
# +     if self.lr == 0:
# +         return
# +     grads = self.model.grads()
# ```

# %% [markdown] task="adam-step" mistake="bound-anew"
# it moves by its decay only: `p = p - ...` makes a new array that nobody else sees; subtract in place
# ```diff
# -         p -= self.lr * m_hat
# +         p = p - self.lr * m_hat
# ```

# %% [markdown] task="adam-step" reject="at-most-three-axes" shows="those of two or more are all decayed"
# ```diff
# - if p.ndim >= 2:
# + if 2 <= p.ndim <= 3:
# ```

# %% [markdown] task="adam-step" reject="by-the-first-letter" shows="whatever their name"
# ```diff
# -     grads = self.model.grads()
# +     grads = {name[0]: g for name, g in self.model.grads().items()}
# - grads[name]
# + grads[name[0]]
# ```

# %% [markdown] task="adam-step" reject="at-most-three-rates"
# ```diff
# - p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
# + p -= self.lr * np.clip(m_hat / (np.sqrt(v_hat) + self.eps), -3.2, 3.2)
# ```

# %% [markdown] task="sgd-step" reject="by-the-end-of-the-name"
# ```diff
# -         v += grads[name]
# +         v += next(g for n, g in grads.items() if n.endswith(name))
# ```

# %% [markdown] task="lr-warmup-cosine" mistake="rounded-down"
# it stays at base_lr and falls at once: `//` makes a whole number of the part that is done; use `/`
# ```diff
# - (step - self.warmup_steps) / (self
# + (step - self.warmup_steps) // (self
# ```

# %% [markdown] task="lr-warmup-cosine" reject="remembers-the-step" shows="`lr_at` returns a rate and changes nothing"
# ```diff
# -     if step < self.warmup_steps:
# +     self.last = step
# +     if step < self.warmup_steps:
# ```

# %% [markdown] task="lr-warmup-cosine" reject="tells-the-optimizer" shows="`lr_at` returns a rate and changes nothing"
# ```diff
# -     if step < self.warmup_steps:
# +     self.optimizer.asked = step
# +     if step < self.warmup_steps:
# ```

# %% [markdown] task="lr-warmup-cosine" reject="hundred-at-most"
# ```diff
# -     if step < self.warmup_steps:
# +     step = min(step, 100)
# +     if step < self.warmup_steps:
# ```

# %% [markdown] task="lr-warmup-cosine" reject="in-two-bytes"
# ```diff
# -     if step < self.warmup_steps:
# +     step = (step + 2**15) % 2**16 - 2**15
# +     if step < self.warmup_steps:
# ```

# %% [markdown] task="lr-warmup-cosine" reject="recursion"
# ```diff
# - return self.base_lr * (step + 1) / self.warmup_steps
# + return self.base_lr / self.warmup_steps + (self.lr_at(step - 1) if step else 0)
# ```

# %% [markdown] task="sgd-step" reject="one-letter"
# ```diff
# -     for name, p in self.model.params().items():
# +     for name, p in self.model.params().items():
# +         if len(name) > 1:
# +             continue
# ```

# %% [markdown] task="adam-step" reject="one-letter"
# ```diff
# -     for name, p in self.model.params().items():
# +     for name, p in self.model.params().items():
# +         if len(name) > 1:
# +             continue
# ```

# %% [markdown] task="nesterov-step" reject="one-letter"
# ```diff
# -     for name, p in self.model.params().items():
# +     for name, p in self.model.params().items():
# +         if len(name) > 1:
# +             continue
# ```
