# %% [markdown]
# # Exercises for chapter 11: Transformer
#
# From here on, a backward pass mostly calls others: what matters is their order, and where gradients
# meet and add. Write your code in place of `raise NotImplementedError()`, all of it in that cell.
# The check below it runs your code on cases that you do not see, and says what is wrong.
# `hint("feedforward-backward")` in a cell of your own gives a hint; call it again for the next.

# %%
import numpy as np

from coursekit import add_to_class, check, hint
from numpygpt.nn import GELU, LayerNorm, Linear, Module, MultiHeadAttention, ReLU

class FeedForward(Module):
    """y = fc2(act(fc1(x))), each position by itself.  x, y: (..., dim), hidden: (..., hidden)."""

    def __init__(self, dim, hidden, activation="relu", *, bias=True, rng, dtype=np.float32):
        if activation not in ("relu", "gelu"):
            raise ValueError(f"activation={activation!r} is neither 'relu' nor 'gelu'")
        self.fc1 = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.act = ReLU() if activation == "relu" else GELU()
        self.fc2 = Linear(hidden, dim, bias, rng=rng, dtype=dtype)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))

# %% [markdown]
# ## Task 1: FeedForward backward (1 point, easy, about 5 minutes)
#
# `dy` and the returned `dx` are `(..., dim)`. The three layers have backward passes of their own.

# %% answer="feedforward-backward"
@add_to_class(FeedForward)
def backward(self, dy):
    ### BEGIN SOLUTION
    return self.fc1.backward(self.act.backward(self.fc2.backward(dy)))
    ### END SOLUTION

# %% check="feedforward-backward" points=1 minutes=5 level="easy" adopts="nn.transformer:FeedForward"
check("feedforward-backward", FeedForward)

# %% [markdown]
# ## Task 2: the block (3 points, medium, about 15 minutes)
#
# $x_1 = x + attn(ln1(x))$, then $y = x_1 + ffn(ln2(x_1))$. `dy` and the returned `dx` are
# `(B, T, dim)`. Where `x` was used twice, two gradients add up. Whenever you call a layer's `backward`,
# it adds to its gradients.

# %%
class TransformerBlock(Module):
    """x₁ = x + attn(ln1(x)); y = x₁ + ffn(ln2(x₁)).  x, y: (B, T, dim)."""

    def __init__(
        self, dim, n_heads, hidden, activation="relu", *, bias=True, rng, dtype=np.float32
    ):
        self.ln1 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.attn = MultiHeadAttention(dim, n_heads, bias=bias, rng=rng, dtype=dtype)
        self.ln2 = LayerNorm(dim, bias=bias, dtype=dtype)
        self.ffn = FeedForward(dim, hidden, activation, bias=bias, rng=rng, dtype=dtype)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))

# %% answer="block-backward"
@add_to_class(TransformerBlock)
def backward(self, dy):
    ### BEGIN SOLUTION
    dx1 = dy + self.ln2.backward(self.ffn.backward(dy))
    return dx1 + self.ln1.backward(self.attn.backward(dx1))
    ### END SOLUTION

# %% check="block-backward" points=3 minutes=15 level="medium" adopts="nn.transformer:TransformerBlock"
check("block-backward", TransformerBlock)

# %% [markdown]
# ## Task 3: dropout (2 points, medium, about 15 minutes)
#
# In training, dropout (Srivastava et al., 2014) sets each entry to zero with probability `p`, and
# multiplies the others by $1/(1-p)$, so that the mean stays as it is. `forward` gets `u`, numbers
# drawn evenly from [0, 1), of the shape of `x`: an entry stays if its `u` is at least `p`. Return
# `y`. Then write `backward`. With `p = 0`, nothing happens. `y` and `dx` have the dtype of `x`.

# %% answer="dropout"
class Dropout(Module):
    """y = x · (u ≥ p) / (1 - p).  x, u, y: any shape."""

    def __init__(self, p):
        self.p = p

    def forward(self, x, u):
        ### BEGIN SOLUTION
        self.keep = ((u >= self.p) / (1 - self.p)).astype(x.dtype)
        return x * self.keep
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        return dy * self.keep
        ### END SOLUTION

# %% check="dropout" points=2 minutes=15 level="medium"
check("dropout", Dropout)

# %% [markdown]
# ## Task 4: SwiGLU (4 points, hard, about 30 minutes)
#
# Llama's feed-forward layer (Shazeer, 2020) has three matrices and no biases:
#
# $$y = (\mathrm{SiLU}(x\,W_1) \odot x\,W_3)\,W_2, \qquad \mathrm{SiLU}(a) = a\,\sigma(a) .$$
#
# One branch opens and closes a gate for the other. `self.fc1`, `self.fc3`: `(dim, hidden)` and
# `self.fc2`: `(hidden, dim)` are Linear layers. Write both passes; `x`, `y` are `(..., dim)`, and
# `y` and `dx` have the dtype of `x`. The slope of SiLU is $\sigma + a\,\sigma(1 - \sigma)$.

# %% answer="swiglu"
class SwiGLU(Module):
    """y = fc2(SiLU(fc1(x)) · fc3(x)).  x, y: (..., dim), hidden layers: (..., hidden)."""

    def __init__(self, dim, hidden, *, rng, dtype=np.float32):
        self.fc1 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc3 = Linear(dim, hidden, bias=False, rng=rng, dtype=dtype)
        self.fc2 = Linear(hidden, dim, bias=False, rng=rng, dtype=dtype)

    def forward(self, x):
        ### BEGIN SOLUTION
        self.a, self.b = self.fc1(x), self.fc3(x)
        self.s = 0.5 * (1 + np.tanh(self.a / 2))    # σ(a)
        return self.fc2(self.a * self.s * self.b)
        ### END SOLUTION

    def backward(self, dy):
        ### BEGIN SOLUTION
        a, b, s = self.a, self.b, self.s
        dh = self.fc2.backward(dy)
        da = dh * b * (s + a * s * (1 - s))
        db = dh * a * s
        return self.fc1.backward(da) + self.fc3.backward(db)
        ### END SOLUTION

# %% check="swiglu" points=4 minutes=30 level="hard"
check("swiglu", SwiGLU)
