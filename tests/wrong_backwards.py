"""Backward passes that are wrong on purpose, as data: gradcheck must reject every one of them.

Each is a mistake that people make. Each gives gradients of the right shape, so that a test which
only looks at shapes lets it pass.
"""

import math

import numpy as np

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig, nn
from numpygpt.nn.functional import softmax, softmax_backward
from numpygpt.posttraining import (
    DPOLoss,
    MaskedLoss,
    PolicyLoss,
    PreferenceLoss,
    RewardModel,
    token_log_probs,
    token_shares,
    weighted_cross_entropy,
    weighted_cross_entropy_backward,
)
from numpygpt.posttraining.masked import IGNORE

F64 = np.float64
B, T, C, H, D, V = 2, 5, 6, 3, 2, 11


class LinearTransposedDW(nn.Linear):
    """dW = (dyᵀ x), made to fit by a reshape."""

    def backward(self, dy):
        dx = super().backward(dy)
        x, dy = self.x.reshape(-1, self.x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        self.dW += (dy.T @ x).reshape(self.W.shape) - x.T @ dy
        return dx


class LinearOverwrittenDW(nn.Linear):
    """dW = ... where dW += ... is due."""

    def backward(self, dy):
        self.dW[...] = 0
        return super().backward(dy)


class LinearOverwrittenDb(nn.Linear):
    """db = ... where db += ... is due."""

    def backward(self, dy):
        self.db[...] = 0
        return super().backward(dy)


class LinearMeanDb(nn.Linear):
    """The mean over rows instead of the sum."""

    def backward(self, dy):
        rows = dy.reshape(-1, dy.shape[-1])
        self.db += rows.mean(axis=0) - rows.sum(axis=0)
        return super().backward(dy)


class LinearMeanDW(nn.Linear):
    """dW divided by the batch: the loss has divided already."""

    def backward(self, dy):
        before = self.dW.copy()
        dx = super().backward(dy)
        self.dW[...] = before + (self.dW - before) / len(dy)
        return dx


class LinearUntransposedDx(nn.Linear):
    """dx = dy W instead of dy Wᵀ, made to fit by a reshape."""

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.W.reshape(self.W.shape[::-1])


class ReLUGatedByDy(nn.ReLU):
    """Lets the gradient pass where dy, not x, is positive."""

    def backward(self, dy):
        return dy * (dy > 0)


class ReLUInPlace(nn.ReLU):
    """Right, but it changes the dy that it was given: the residual branch still needs it."""

    def backward(self, dy):
        dy *= self.positive
        return dy


class GELUWithoutInnerSlope(nn.GELU):
    """The product rule's first term only: Φ(x), without x Φ'(x)."""

    def backward(self, dy):
        return dy * 0.5 * (1 + self.t)


class GELUWithoutCubicSlope(nn.GELU):
    """du/dx without the slope of the cubic term."""

    def backward(self, dy):
        x, t = self.x, self.t
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi))


class SoftmaxDiagonal(nn.Softmax):
    """The diagonal of the Jacobian only, p (1 - p)."""

    def backward(self, dp):
        return dp * self.p * (1 - self.p)


class SoftmaxWithoutSum(nn.Softmax):
    """dx = p dp: without the term that keeps the sum at 1."""

    def backward(self, dp):
        return dp * self.p


class SoftmaxWrongAxis(nn.Softmax):
    """The sum of dp p over the wrong axis."""

    def backward(self, dp):
        return softmax_backward(dp, self.p, axis=-2)


class CrossEntropySum(nn.CrossEntropyLoss):
    """p - y without 1/N: the loss is a mean."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) * self.targets.size


class CrossEntropyBatchMean(nn.CrossEntropyLoss):
    """p - y over B, where N = B T."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) * self.targets.shape[1]


class CrossEntropyIgnoresUpstream(nn.CrossEntropyLoss):
    """Forgets dloss: gradient accumulation then has the wrong weight."""

    def backward(self, dloss=1.0):
        return super().backward(1.0)


class EmbeddingRepeatedIdsOnce(nn.Embedding):
    """dW[ids] += dy: of a repeated id only the last occurrence counts."""

    def backward(self, dy):
        self.dW[self.ids] += dy


class EmbeddingOverwritten(nn.Embedding):
    """A fresh dW at each backward pass."""

    def backward(self, dy):
        self.dW[...] = 0
        super().backward(dy)


class LayerNormWithoutMeanTerm(nn.LayerNorm):
    """Without mean(dx̂): as if μ did not depend on x."""

    def backward(self, dy):
        dxhat = dy * self.gamma
        return super().backward(dy) + self.r * dxhat.mean(axis=-1, keepdims=True)


class LayerNormWithoutVarianceTerm(nn.LayerNorm):
    """Without x̂ mean(dx̂ x̂): as if σ² did not depend on x."""

    def backward(self, dy):
        along = (dy * self.gamma * self.xhat).mean(axis=-1, keepdims=True)
        return super().backward(dy) + self.r * self.xhat * along


class LayerNormWithoutGammaInDx(nn.LayerNorm):
    """Uses dy where dx̂ = dy γ is due."""

    def backward(self, dy):
        super().backward(dy)
        m1 = dy.mean(axis=-1, keepdims=True)
        m2 = (dy * self.xhat).mean(axis=-1, keepdims=True)
        return self.r * (dy - m1 - self.xhat * m2)


class LayerNormDgammaWithoutXhat(nn.LayerNorm):
    """dγ = Σ dy, which is dβ."""

    def backward(self, dy):
        rows = tuple(range(dy.ndim - 1))
        self.dgamma += dy.sum(axis=rows) - (dy * self.xhat).sum(axis=rows)
        return super().backward(dy)


class RMSNormWithMeanTerm(nn.RMSNorm):
    """LayerNorm's formula: it takes mean(dx̂) away, though no mean was subtracted."""

    def backward(self, dy):
        return super().backward(dy) - self.r * (dy * self.gamma).mean(axis=-1, keepdims=True)


class RMSNormWithoutRTerm(nn.RMSNorm):
    """As if r did not depend on x."""

    def backward(self, dy):
        super().backward(dy)
        return self.r * dy * self.gamma


class RMSNormSumForMean(nn.RMSNorm):
    """A sum along x̂ where the mean square asks for a mean."""

    def backward(self, dy):
        super().backward(dy)
        dxhat = dy * self.gamma
        return self.r * (dxhat - self.xhat * (dxhat * self.xhat).sum(axis=-1, keepdims=True))


class RMSNormWithoutGammaInDx(nn.RMSNorm):
    """Uses dy where dx̂ = dy γ is due."""

    def backward(self, dy):
        super().backward(dy)
        return self.r * (dy - self.xhat * (dy * self.xhat).mean(axis=-1, keepdims=True))


class RMSNormRPlain(nn.RMSNorm):
    """Without the factor r at the end: as if the size of x did not matter."""

    def backward(self, dy):
        return super().backward(dy) / self.r


class RMSNormDgammaWithoutR(nn.RMSNorm):
    """dγ = Σ dy x instead of Σ dy x̂."""

    def backward(self, dy):
        rows = tuple(range(dy.ndim - 1))
        self.dgamma += (dy * (self.xhat / self.r - self.xhat)).sum(axis=rows)
        return super().backward(dy)


class RMSNormOverwritten(nn.RMSNorm):
    """dγ = ... where dγ += ... is due."""

    def backward(self, dy):
        self.dgamma[...] = 0
        return super().backward(dy)


class RotaryAt(nn.Rotary):
    """Right: a Rotary whose first position is 3, as with three tokens in a cache."""

    def forward(self, x):
        return super().forward(x, start=3)


class RotaryTurnedAgain(RotaryAt):
    """Turns the gradient by the same angle, not back by it."""

    def backward(self, dy):
        return self.turned(dy, self.turn)


class RotaryNegated(RotaryAt):
    """Turned again and negated: back is another angle, not another sign."""

    def backward(self, dy):
        return self.turned(dy, -self.turn)


class RotaryNotTurned(RotaryAt):
    """Hands dy on: "there are no parameters"."""

    def backward(self, dy):
        return dy.copy()


class RotaryCosinesOnly(RotaryAt):
    """Each entry's own slope, cos, without what its partner gets."""

    def backward(self, dy):
        return self.turned(dy, self.turn.real.astype(complex))


class RotaryOtherPairs(RotaryAt):
    """Turns back the pairs of the other layout."""

    def backward(self, dy):
        return nn.Rotary(dy.shape[-1], layout="halves").turned(dy, self.turn.conj())


class RotaryFromZero(RotaryAt):
    """Turns back from position 0: it has forgotten where x began."""

    def backward(self, dy):
        return self.turned(dy, self.turn.conj() / self.turn[:1].conj())


class RotaryReversedSpeeds(RotaryAt):
    """The slowest pair first on the way back."""

    def backward(self, dy):
        return self.turned(dy, self.turn[:, ::-1].conj())


class WrongAttention(nn.MultiHeadAttention):
    """The right backward pass with each step in a method, so that a subclass can get one wrong."""

    def dscores(self, dp):
        return softmax_backward(dp, self.p) * self.scale

    def dq(self, dscores):
        return dscores @ self.k

    def dk(self, dscores):
        return dscores.swapaxes(-1, -2) @ self.q

    def dv(self, dout):
        return self.p.swapaxes(-1, -2) @ dout

    def split(self, dconcat):
        return dconcat.reshape(*dconcat.shape[:2], self.n_heads, -1).swapaxes(1, 2)

    def backward(self, dy):
        dout = self.split(self.proj.backward(dy))
        dscores = self.dscores(dout @ self.v.swapaxes(-1, -2))
        parts = self.dq(dscores), self.dk(dscores), self.dv(dout)
        merged = [d.swapaxes(1, 2).reshape(dy.shape) for d in parts]
        return self.qkv.backward(np.concatenate(merged, axis=-1))


class AttentionTransposedDK(WrongAttention):
    """dK = Qᵀ dscores, and a reshape hides the transpose: the bug of a public NumPy GPT."""

    def dk(self, dscores):
        return (self.q.swapaxes(-1, -2) @ dscores).reshape(self.k.shape)


class AttentionUntransposedDscores(WrongAttention):
    """dK = dscores Q instead of dscoresᵀ Q."""

    def dk(self, dscores):
        return dscores @ self.q


class AttentionWithoutScale(WrongAttention):
    """1/√D in the forward pass, not in the backward pass."""

    def dscores(self, dp):
        return softmax_backward(dp, self.p)


class AttentionWithoutMask(WrongAttention):
    """Softmax backward with probabilities that were computed again, without the mask."""

    def dscores(self, dp):
        p = softmax(self.q @ self.k.swapaxes(-1, -2) * self.scale)
        return softmax_backward(dp, p) * self.scale


class AttentionUntransposedP(WrongAttention):
    """dV = p dout instead of pᵀ dout."""

    def dv(self, dout):
        return self.p @ dout


class AttentionHeadsMixed(WrongAttention):
    """Splits the heads by a reshape alone: positions and heads get mixed."""

    def split(self, dconcat):
        return dconcat.reshape(len(dconcat), self.n_heads, dconcat.shape[1], -1)


class BlockWithoutResidual(nn.TransformerBlock):
    """Loses the straight path around attention."""

    def backward(self, dy):
        dx = dy + self.ln2.backward(self.ffn.backward(dy))
        return self.ln1.backward(self.attn.backward(dx))


class BlockBranchesFromDy(nn.TransformerBlock):
    """Sends dy, not the gradient after the second branch, into attention."""

    def backward(self, dy):
        dx = dy + self.ln2.backward(self.ffn.backward(dy))
        return dx + self.ln1.backward(self.attn.backward(dy))


class GPTTiedHeadForgotten(GPT):
    """wte gets the gradient of reading only, not that of writing."""

    def backward(self, dy=1.0):
        before = self.wte.dW.copy()
        dlogits = self.loss.backward(dy)
        self.wte.dW += dlogits.reshape(-1, V).T @ self.x.reshape(-1, C)
        head = self.wte.dW - before
        self.wte.dW[...] = before
        super().backward(dy)
        self.wte.dW -= head


class GPTPositionsMean(GPT):
    """The mean over the batch for positions, where every sequence adds its share."""

    def backward(self, dy=1.0):
        before = self.wpe.dW.copy()
        super().backward(dy)
        self.wpe.dW[...] = before + (self.wpe.dW - before) / B


class WrongSwiGLU(nn.SwiGLU):
    """The right backward pass with each step in a method, so that a subclass can get one wrong."""

    def factors(self, dm):
        return dm * self.u, dm * self.h

    def slope(self):
        return self.s + self.h * (1 - self.s)

    def backward(self, dy):
        dh, du = self.factors(self.down.backward(dy))
        return self.gate.backward(dh * self.slope()) + self.up.backward(du)


class SwiGLUFactorsExchanged(WrongSwiGLU):
    """Each factor gets dm times itself, not times the other."""

    def factors(self, dm):
        return dm * self.h, dm * self.u


class SwiGLUUpByTheGate(WrongSwiGLU):
    """du = dm a, where the up branch was multiplied by silu(a)."""

    def factors(self, dm):
        return dm * self.u, dm * self.h / self.s


class SwiGLUGateAsSigmoid(WrongSwiGLU):
    """The slope of σ, where the gate is a σ(a)."""

    def slope(self):
        return self.s * (1 - self.s)


class SwiGLUSigmoidAsConstant(WrongSwiGLU):
    """The product rule's first term only: σ, without a σ'."""

    def slope(self):
        return self.s


class SwiGLUSlopeWithoutA(WrongSwiGLU):
    """σ + σ (1 - σ), where the second term has the factor a."""

    def slope(self):
        return self.s + self.s * (1 - self.s)


class SwiGLUDxOfOneBranch(nn.SwiGLU):
    """x is read twice, and dx comes from the gate alone."""

    def backward(self, dy):
        return super().backward(dy) - (dy @ self.down.W.T * self.h) @ self.up.W.T


class SquaredReLUWithoutTwo(nn.SquaredReLU):
    """r where 2 r is due."""

    def backward(self, dy):
        return self.up.backward(self.r * self.down.backward(dy))


class SquaredReLUAsReLU(nn.SquaredReLU):
    """The slope of ReLU, 1 where it is not 0."""

    def backward(self, dy):
        return self.up.backward((self.r > 0) * self.down.backward(dy))


class WrongGrouped(nn.GroupedQueryAttention):
    """The right backward pass with each step in a method, so that a subclass can get one wrong."""

    def shared(self, a):
        """The gradient (B, H, G, T, D) that each head of queries has for its keys, summed."""
        return a.sum(axis=2, keepdims=True)

    def groups(self, a):
        return self.split(a, self.n_heads // self.n_kv_heads)

    def normed(self, dq, dk):
        return self.q_norm.backward(dq), self.k_norm.backward(dk)

    def to_input(self, dq, dk):
        dq, dk = self.rotary.backward(dq), self.rotary.backward(dk)
        return self.normed(dq, dk)

    def backward(self, dy):
        dout = self.groups(self.proj.backward(dy))  # (B, H, G, T, D)
        G, T = dout.shape[2:4]
        p = self.p.reshape(*self.p.shape[:2], G, T, T)
        queries = self.queries.reshape(dout.shape)
        keys, values = self.keys[:, :, None], self.values[:, :, None]  # (B, H, 1, T, D)
        dscores = softmax_backward(dout @ values.swapaxes(-1, -2), p) * self.scale
        dk = self.shared(dscores.swapaxes(-1, -2) @ queries)
        dv = self.shared_values(p.swapaxes(-1, -2) @ dout)
        dq, dk = self.to_input(dscores @ keys, dk)
        dx = self.q.backward(self.join(dq))
        return dx + self.k.backward(self.join(dk)) + self.v.backward(self.join(dv))

    def shared_values(self, a):
        return a.sum(axis=2, keepdims=True)


class GroupedKeysAveraged(WrongGrouped):
    """The mean over the queries of a group, where a shared key gets the sum."""

    def shared(self, a):
        return a.mean(axis=2, keepdims=True)


class GroupedKeysOfOneHead(WrongGrouped):
    """What the last head of a group sends overwrites what the others have sent."""

    def shared(self, a):
        return a[:, :, -1:]


class GroupedValuesAveraged(WrongGrouped):
    """The same with values: a mean."""

    def shared_values(self, a):
        return a.mean(axis=2, keepdims=True)


class GroupedValuesOfOneHead(WrongGrouped):
    """And the first head alone."""

    def shared_values(self, a):
        return a[:, :, :1]


class GroupedInTurn(WrongGrouped):
    """Deals the heads out in turn: head h to keys h mod H, not to h // G."""

    def groups(self, a):
        B, T, _ = a.shape
        return a.reshape(B, T, -1, self.n_kv_heads, self.head_dim).transpose(0, 3, 2, 1, 4)


class GroupedNormAfterRotary(WrongGrouped):
    """Goes back through the norm first: as if q and k had been turned, and then normed."""

    def to_input(self, dq, dk):
        dq, dk = self.normed(dq, dk)
        return self.rotary.backward(dq), self.rotary.backward(dk)


class GroupedWithoutNorm(WrongGrouped):
    """The gains get their gradient, but q and k theirs as if there were no norm."""

    def normed(self, dq, dk):
        super().normed(dq, dk)
        return dq, dk


class GroupedKeysNotTurnedBack(WrongGrouped):
    """Turns back the queries only."""

    def to_input(self, dq, dk):
        return self.normed(self.rotary.backward(dq), dk)


class LlamaTiedHeadForgotten(Llama):
    """wte gets the gradient of reading only, not that of writing."""

    def backward(self, dy=1.0):
        super().backward(dy)
        dlogits = self.loss.backward(dy)
        self.wte.dW -= dlogits.reshape(-1, V).T @ self.x.reshape(-1, 7)


class MaskedLossMeanOverAll(MaskedLoss):
    """Divided by the number of all targets, not of those that have a loss."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) * (self.targets != IGNORE).mean()


class MaskedLossOneLate(MaskedLoss):
    """The mask moved one place to the right: the answer's first token gets nothing."""

    def backward(self, dloss=1.0):
        mask = np.roll(self.targets != IGNORE, 1, axis=-1)
        targets = np.where(self.targets == IGNORE, 0, self.targets)
        return weighted_cross_entropy_backward(self.logits, targets, mask, dloss=dloss)


class MaskedLossWithPrompts(MaskedLoss):
    """Rows without a loss have a gradient."""

    def backward(self, dloss=1.0):
        targets = np.where(self.targets == IGNORE, 0, self.targets)
        everywhere, mask = np.ones(targets.shape), targets == self.targets
        return weighted_cross_entropy_backward(
            self.logits, targets, everywhere, mask.sum(), dloss=dloss
        )


class MaskedLossByRows(MaskedLoss):
    """Each row divided by its own number of targets: short answers count too much."""

    def backward(self, dloss=1.0):
        mask = self.targets != IGNORE
        weights = mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1)
        return weighted_cross_entropy_backward(
            self.logits, self.targets, weights, len(mask), dloss=dloss
        )


class WeightedLoss(nn.Module):
    """The loss with given weights of either sign; itself right."""

    weights = np.array([[0.0, 0.0, 1.5, -0.7, 0.3], [-2.0, 1.0, 0.0, 0.0, 0.4]])
    total = 3.0

    def forward(self, logits, targets):
        self.logits, self.targets = logits, targets
        return weighted_cross_entropy(logits, targets, self.weights, self.total)

    def gradient(self, weights, total, dloss):
        return weighted_cross_entropy_backward(self.logits, self.targets, weights, total, dloss)

    def backward(self, dloss=1.0):
        return self.gradient(self.weights, self.total, dloss)


class WeightedLossWithoutSigns(WeightedLoss):
    """What should become less likely becomes likelier."""

    def backward(self, dloss=1.0):
        return self.gradient(np.abs(self.weights), self.total, dloss)


class WeightedLossOverWeights(WeightedLoss):
    """Divided by the sum of the weights' sizes, not by the total."""

    def backward(self, dloss=1.0):
        return self.gradient(self.weights, np.abs(self.weights).sum(), dloss)


class WeightedLossClipped(WeightedLoss):
    """Negative weights count as 0."""

    def backward(self, dloss=1.0):
        return self.gradient(np.maximum(self.weights, 0), self.total, dloss)


class WrongLoRA(nn.LoRALinear):
    """LoRALinear with hooks for mistakes; itself right."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        rng = np.random.default_rng(5)
        self.A[...], self.B[...] = (rng.normal(0, 0.5, p.shape) for p in (self.A, self.B))

    def backward(self, dy):
        x, rows = self.x.reshape(-1, self.x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        self.dA += self.of_A(x, rows)
        self.dB += self.of_B(x, rows)
        return self.of_x(rows).reshape(self.x.shape)

    def of_A(self, x, rows):
        return self.scale * x.T @ (rows @ self.B.T)

    def of_B(self, x, rows):
        return self.scale * (x @ self.A).T @ rows

    def of_x(self, rows):
        return rows @ self.W.T + self.scale * rows @ self.B.T @ self.A.T


class LoRADAWithoutScale(WrongLoRA):
    """alpha / rank left out of dA."""

    def of_A(self, x, rows):
        return super().of_A(x, rows) / self.scale


class LoRADBWithoutScale(WrongLoRA):
    """alpha / rank left out of dB."""

    def of_B(self, x, rows):
        return super().of_B(x, rows) / self.scale


class LoRAScaleTwice(WrongLoRA):
    """alpha / rank in dh, and once more in dA."""

    def of_A(self, x, rows):
        return super().of_A(x, rows) * self.scale


class LoRAScaleOfRank(WrongLoRA):
    """1 / rank where alpha / rank is due."""

    def of_B(self, x, rows):
        return super().of_B(x, rows) / self.scale / len(self.B)


class LoRADBWithX(WrongLoRA):
    """dB from the first columns of x, not from x A: the shape is right."""

    def of_B(self, x, rows):
        return self.scale * x[:, : len(self.B)].T @ rows


class LoRADxWithoutAdapter(WrongLoRA):
    """The way of x through A and B is forgotten."""

    def of_x(self, rows):
        return rows @ self.W.T


class LoRADxWithoutW(WrongLoRA):
    """W is frozen, and x is taken for frozen, too."""

    def of_x(self, rows):
        return self.scale * rows @ self.B.T @ self.A.T


class LoRADxWithoutScale(WrongLoRA):
    """alpha / rank left out of dx."""

    def of_x(self, rows):
        return rows @ self.W.T + rows @ self.B.T @ self.A.T


class LoRAMovesW(WrongLoRA):
    """The backward pass steps the frozen W."""

    def of_B(self, x, rows):
        self.W -= 1e-3 * x.T @ rows
        return super().of_B(x, rows)


class LoRAOverwritten(WrongLoRA):
    """dA = ... where dA += ... is due."""

    def of_A(self, x, rows):
        self.dA[...] = 0
        return super().of_A(x, rows)


class PreferenceSurpriseOfWinning(PreferenceLoss):
    """σ(m) in place of σ(-m): pushes the pairs that are won already."""

    def backward(self, dloss=1.0):
        return -dloss / len(self.margin) * np.exp(-np.logaddexp(0, -self.margin))


class PreferenceSum(PreferenceLoss):
    """The gradient of the sum over pairs, where the loss is a mean."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) * len(self.margin)


class RewardFromTheLastColumn(RewardModel):
    """Sends the gradient to the last position of the batch, which is padding in most rows."""

    def backward(self, dr):
        rows, last, zero = self.at
        self.at = rows, np.full_like(last, self.shape[1] - 1), zero
        super().backward(dr)
        self.at = rows, last, zero


class RewardFromAllPositions(RewardModel):
    """Shares the gradient among all positions."""

    def backward(self, dr):
        self.model.backward(np.broadcast_to(dr[:, None, None] / self.shape[1], self.shape))


class RewardMeanOverRows(RewardModel):
    """Divides by the rows: the loss has done so."""

    def backward(self, dr):
        super().backward(dr / len(dr))


class DPOUphill(DPOLoss):
    """Makes the rejected answer likelier."""

    def backward(self, dloss=1.0):
        return super().backward(-dloss)


class DPOBetaForgotten(DPOLoss):
    """β is in the margin, and left out of its gradient."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) / self.beta


class DPOChosenAlone(DPOLoss):
    """The rejected answer has no gradient."""

    def backward(self, dloss=1.0):
        dlogits = super().backward(dloss)
        dlogits[len(dlogits) // 2 :] = 0
        return dlogits


class DPOBothUp(DPOLoss):
    """The rejected answer is pushed up as the chosen one is."""

    def backward(self, dloss=1.0):
        dlogits = super().backward(dloss)
        dlogits[len(dlogits) // 2 :] *= -1
        return dlogits


class DPOSurpriseOfWinning(DPOLoss):
    """σ(m) in place of σ(-m)."""

    def backward(self, dloss=1.0):
        right, self.loss.margin = self.loss.margin, -self.loss.margin
        dlogits = super().backward(dloss)
        self.loss.margin = right
        return dlogits


class DPOPromptCounted(DPOLoss):
    """Pushes the tokens of the prompt, too."""

    def backward(self, dloss=1.0):
        right, self.targets = self.targets, np.where(self.targets == IGNORE, 0, self.targets)
        dlogits = super().backward(dloss)
        self.targets = right
        return dlogits


class DPOMeanPerToken(DPOLoss):
    """The gradient of the mean over an answer's tokens, where the margin has the sum."""

    def backward(self, dloss=1.0):
        self.per_token = not self.per_token
        dlogits = super().backward(dloss)
        self.per_token = not self.per_token
        return dlogits


class DPOSumOverPairs(DPOLoss):
    """The gradient of the sum over pairs, where the loss is a mean."""

    def backward(self, dloss=1.0):
        return super().backward(dloss) * (len(self.targets) // 2)


class DPOReferenceUpdated(DPOLoss):
    """The reference is the model itself, whose gradient takes away what the model gets."""

    def backward(self, dloss=1.0):
        dlogits = super().backward(dloss)
        return dlogits - dlogits


class DPOOneSurprise(DPOLoss):
    """All pairs get the surprise of the first."""

    def backward(self, dloss=1.0):
        right, self.loss.margin = (
            self.loss.margin,
            np.full_like(self.loss.margin, self.loss.margin[0]),
        )
        dlogits = super().backward(dloss)
        self.loss.margin = right
        return dlogits


class WrongPolicyLoss(PolicyLoss):
    """PolicyLoss with its backward pass in parts, for those below to change one of them.

    The rest is fixed: what gradcheck varies are the logits.
    """

    def __init__(self, targets, advantages, old, reference):
        super().__init__(clip=0.2, beta=0.3)
        self.given = targets, advantages, old, reference

    def forward(self, logits):
        return super().forward(logits, *self.given)

    def ratio(self, old):
        return np.exp(self.log_p - old)

    def moves(self, ratio, A):
        """Where the gain is not a constant."""
        return np.where(A > 0, ratio < 1.2, ratio > 0.8)

    def slope(self, ratio, A):
        return ratio * A

    def leash(self, reference):
        return np.expm1(reference - self.log_p)

    def shares(self, targets):
        return token_shares(targets != IGNORE)

    def backward(self, dloss=1.0):
        targets, advantages, old, reference = self.given
        A, ratio = advantages[:, None], self.ratio(old)
        gain = np.where(self.moves(ratio, A), self.slope(ratio, A), 0)
        self.weights = self.shares(targets) * (gain + self.beta * self.leash(reference))
        return super().backward(dloss)


class PolicyClippedOnTheWrongSide(WrongPolicyLoss):
    """The upper limit for bad answers, too: these stop at the lower one."""

    def moves(self, ratio, A):
        return (ratio < 1.2) & (A == A)


class PolicyClippedOnBothSides(WrongPolicyLoss):
    """No gradient outside of the limits: what went the wrong way never comes back."""

    def moves(self, ratio, A):
        return (ratio < 1.2) & (ratio > 0.8) & (A == A)


class PolicyNeverClipped(WrongPolicyLoss):
    """A constant has no slope."""

    def moves(self, ratio, A):
        return np.ones(np.broadcast_shapes(ratio.shape, A.shape), bool)


class PolicyAdvantageStopped(WrongPolicyLoss):
    """The advantage inside the stop-gradient: the slope of ρ alone."""

    def slope(self, ratio, A):
        return ratio * np.sign(A)


class PolicyRatioStopped(WrongPolicyLoss):
    """The ratio inside the stop-gradient: right at the first update only."""

    def slope(self, ratio, A):
        return A + 0 * ratio


class PolicyOldUpdated(WrongPolicyLoss):
    """Old log-probabilities of the model as it is now: each ratio is 1, nothing is clipped."""

    def ratio(self, old):
        return np.ones_like(old)


class PolicyLeashPushes(WrongPolicyLoss):
    """KL of the wrong sign: away from the reference."""

    def leash(self, reference):
        return -np.expm1(reference - self.log_p)


class PolicyLeashUpsideDown(WrongPolicyLoss):
    """KL with r = p / p_ref."""

    def leash(self, reference):
        return -np.expm1(self.log_p - reference)


class PolicyLeashOfTheLogRatio(WrongPolicyLoss):
    """The slope of -log r, which is the same for every token."""

    def leash(self, reference):
        return -np.ones_like(reference)


class PolicyLeashOnR(WrongPolicyLoss):
    """The slope of r without that of -log r."""

    def leash(self, reference):
        return np.exp(reference - self.log_p)


class PolicyMeanOfAnswers(WrongPolicyLoss):
    """Each answer's own mean, where all tokens count alike."""

    def shares(self, targets):
        return token_shares(targets != IGNORE, by_answer=True)


class PolicyPromptPaid(WrongPolicyLoss):
    """The prompt's tokens get the reward, too."""

    def backward(self, dloss=1.0):
        targets = np.where(self.targets == IGNORE, 0, self.targets)
        dlogits = super().backward(dloss)
        prompt = softmax(self.logits)
        np.put_along_axis(prompt, targets[..., None], -1.0, axis=-1)
        paid = (self.targets == IGNORE) * self.given[1][:, None] / self.targets.size
        return dlogits + paid[..., None] * prompt


class PolicyIgnoresUpstream(WrongPolicyLoss):
    """Forgets dloss."""

    def backward(self, dloss=1.0):
        return super().backward(1.0)


def cases(rng):
    """Yield (wrong layer, right layer, inputs), the two alike but for the mistake."""
    x = rng.normal(size=(B, T, C))
    logits = rng.normal(size=(B, T, V))
    # Ids that repeat: 0 stands twice in the first row, and in both rows.
    ids = np.array([[0, 3, 0, 1, 9], [2, 0, 7, 7, 4]])
    targets = rng.integers(0, V, (B, T))
    config = GPTConfig(V, 7, 1, H, C)

    def block(cls):
        return cls(C, H, 13, rng=rng, dtype=F64)

    for wrong in (
        LinearTransposedDW,
        LinearOverwrittenDW,
        LinearOverwrittenDb,
        LinearMeanDb,
        LinearMeanDW,
        LinearUntransposedDx,
    ):
        yield wrong(C, 7, rng=rng, dtype=F64), nn.Linear(C, 7, rng=rng, dtype=F64), (x,)
    for wrong in (ReLUGatedByDy, ReLUInPlace):
        yield wrong(), nn.ReLU(), (x,)
    for wrong in (GELUWithoutInnerSlope, GELUWithoutCubicSlope):
        yield wrong(), nn.GELU(), (x,)
    for wrong in (SoftmaxDiagonal, SoftmaxWithoutSum, SoftmaxWrongAxis):
        yield wrong(), nn.Softmax(), (x,)
    for wrong in (CrossEntropySum, CrossEntropyBatchMean, CrossEntropyIgnoresUpstream):
        yield wrong(), nn.CrossEntropyLoss(), (logits, targets)
    for wrong in (EmbeddingRepeatedIdsOnce, EmbeddingOverwritten):
        yield wrong(V, C, rng=rng, dtype=F64), nn.Embedding(V, C, rng=rng, dtype=F64), (ids,)
    for wrong in (
        LayerNormWithoutMeanTerm,
        LayerNormWithoutVarianceTerm,
        LayerNormWithoutGammaInDx,
        LayerNormDgammaWithoutXhat,
    ):
        yield wrong(C, dtype=F64), nn.LayerNorm(C, dtype=F64), (x,)
    for wrong in (
        RMSNormWithMeanTerm,
        RMSNormWithoutRTerm,
        RMSNormSumForMean,
        RMSNormWithoutGammaInDx,
        RMSNormRPlain,
        RMSNormDgammaWithoutR,
        RMSNormOverwritten,
    ):
        yield wrong(C, dtype=F64), nn.RMSNorm(C, dtype=F64), (x,)
    for wrong in (
        RotaryTurnedAgain,
        RotaryNegated,
        RotaryNotTurned,
        RotaryCosinesOnly,
        RotaryOtherPairs,
        RotaryFromZero,
        RotaryReversedSpeeds,
    ):
        yield wrong(C), RotaryAt(C), (x,)
    for wrong in (
        AttentionTransposedDK,
        AttentionUntransposedDscores,
        AttentionWithoutScale,
        AttentionWithoutMask,
        AttentionUntransposedP,
        AttentionHeadsMixed,
    ):
        # The scaffold that the wrong ones share is itself right.
        yield wrong(C, H, rng=rng, dtype=F64), WrongAttention(C, H, rng=rng, dtype=F64), (x,)
    for wrong in (BlockWithoutResidual, BlockBranchesFromDy):
        yield block(wrong), block(nn.TransformerBlock), (x,)
    for wrong in (GPTTiedHeadForgotten, GPTPositionsMean):
        yield wrong(config, rng=rng, dtype=F64), GPT(config, rng=rng, dtype=F64), (ids, targets)
    x = rng.normal(size=(B, T, 7))
    for wrong in (
        SwiGLUFactorsExchanged,
        SwiGLUUpByTheGate,
        SwiGLUGateAsSigmoid,
        SwiGLUSigmoidAsConstant,
        SwiGLUSlopeWithoutA,
    ):
        yield wrong(7, 13, rng=rng, dtype=F64), WrongSwiGLU(7, 13, rng=rng, dtype=F64), (x,)
    yield (
        SwiGLUDxOfOneBranch(7, 13, rng=rng, dtype=F64),
        nn.SwiGLU(7, 13, rng=rng, dtype=F64),
        (x,),
    )
    for wrong in (SquaredReLUWithoutTwo, SquaredReLUAsReLU):
        yield wrong(7, 13, rng=rng, dtype=F64), nn.SquaredReLU(7, 13, rng=rng, dtype=F64), (x,)
    for wrong in (
        GroupedKeysAveraged,
        GroupedKeysOfOneHead,
        GroupedValuesAveraged,
        GroupedValuesOfOneHead,
        GroupedInTurn,
        GroupedNormAfterRotary,
        GroupedWithoutNorm,
        GroupedKeysNotTurnedBack,
    ):
        options = {"rotary": nn.Rotary(4), "qk_norm": True, "rng": rng, "dtype": F64}
        yield wrong(7, 6, 3, 4, **options), WrongGrouped(7, 6, 3, 4, **options), (x,)
    config = LlamaConfig(V, 7, 1, 6, 7, n_kv_head=3, head_dim=4, hidden=13)
    right = Llama(config, rng=rng, dtype=F64)
    yield LlamaTiedHeadForgotten(config, rng=rng, dtype=F64), right, (ids, targets)
    some = targets.copy()
    some[0, :3] = some[1, 2] = IGNORE
    for wrong in (
        MaskedLossMeanOverAll,
        MaskedLossOneLate,
        MaskedLossWithPrompts,
        MaskedLossByRows,
    ):
        yield wrong(), MaskedLoss(), (logits, some)
    for wrong in (WeightedLossWithoutSigns, WeightedLossOverWeights, WeightedLossClipped):
        yield wrong(), WeightedLoss(), (logits, targets)
    for wrong in (
        LoRADAWithoutScale,
        LoRADBWithoutScale,
        LoRAScaleTwice,
        LoRAScaleOfRank,
        LoRADBWithX,
        LoRADxWithoutAdapter,
        LoRADxWithoutW,
        LoRADxWithoutScale,
        LoRAMovesW,
        LoRAOverwritten,
    ):
        wrong_one, right = (
            cls(nn.Linear(7, 11, rng=rng, dtype=F64), 3, 2.0, rng=rng) for cls in (wrong, WrongLoRA)
        )
        yield wrong_one, right, (x,)
    for wrong in (PreferenceSurpriseOfWinning, PreferenceSum):
        yield wrong(), PreferenceLoss(), (rng.normal(0, 2, 3),)
    # Two pairs; prompts of one and two ids, answers of all lengths.
    ids, targets = rng.integers(0, V, (2, 4, T))
    targets[:, 0] = targets[1, 1] = targets[0, 3:] = targets[2, 4:] = IGNORE
    body = GPT(GPTConfig(V, 7, 1, H, C), rng=rng, dtype=F64)
    for wrong in (RewardFromTheLastColumn, RewardFromAllPositions, RewardMeanOverRows):
        yield wrong(body, rng=rng), RewardModel(body, rng=rng), (ids, targets)
    logits, reference = rng.normal(size=(4, T, V)), rng.normal(-6, 1, 4)
    for wrong in (
        DPOUphill,
        DPOBetaForgotten,
        DPOChosenAlone,
        DPOBothUp,
        DPOSurpriseOfWinning,
        DPOPromptCounted,
        DPOMeanPerToken,
        DPOSumOverPairs,
        DPOReferenceUpdated,
        DPOOneSurprise,
    ):
        yield wrong(0.7), DPOLoss(0.7), (logits, targets, reference)
    logits, targets = rng.normal(size=(6, T, V)), rng.integers(0, V, (6, T))
    targets[:, 0] = targets[0, 3:] = targets[4, 1] = IGNORE
    log_p = token_log_probs(logits, targets)
    # Ratios on both sides of both limits, none near one.
    old = log_p - np.log(rng.choice([0.5, 0.7, 0.9, 1.1, 1.3, 1.6], log_p.shape))
    reference = log_p + rng.choice([-0.6, -0.3, 0.2, 0.7], log_p.shape)
    fixed = targets, np.array([1.3, -0.8, 0.5, -1.7, -0.4, 0.9]), old, reference
    for wrong in (
        PolicyClippedOnTheWrongSide,
        PolicyClippedOnBothSides,
        PolicyNeverClipped,
        PolicyAdvantageStopped,
        PolicyRatioStopped,
        PolicyOldUpdated,
        PolicyLeashPushes,
        PolicyLeashUpsideDown,
        PolicyLeashOfTheLogRatio,
        PolicyLeashOnR,
        PolicyMeanOfAnswers,
        PolicyPromptPaid,
        PolicyIgnoresUpstream,
    ):
        yield wrong(*fixed), WrongPolicyLoss(*fixed), (logits,)
