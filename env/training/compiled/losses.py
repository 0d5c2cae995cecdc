"""Losses of rows and their gradients, row by row; see ``netmend.env.training.losses`` for what they are.

What is no number stays none: a clamp leaves it as it is, and no comparison is true of it.
"""

from __future__ import annotations

import math

import numpy as np

from netmend.env.training.compiled.fields import HALF, ONE, TWO, ZERO, Floats, Real, exp, log1p, wide_exp
from netmend.env.training.compiled.jit import LOSS, Kernel, helper, kernel
from netmend.env.training.losses import EPSILON

_FUZZ, _SURE = np.float32(EPSILON), np.float32(1 - EPSILON)
_LOG2, _PERCENT, _CUT = np.float32(math.log(2)), np.float32(100), np.float32(20)


@helper
def _clamp(x: Real, low: Real, high: Real) -> Real:
    if x < low:
        return low
    return high if x > high else x


@helper
def _inside(x: Real, low: Real, high: Real) -> Real:
    """1 where a clamp passes the gradient."""
    return ONE if low <= x <= high else ZERO


@kernel(LOSS)
def binary_crossentropy(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of probabilities, clipped as in Keras."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            p = _clamp(o[r, i], _FUZZ, _SURE)
            yes, no = p + _FUZZ, ONE - p + _FUZZ
            total -= t[r, i] * np.log(yes) + (ONE - t[r, i]) * np.log(no)
            g[r, i] = -(t[r, i] / yes - (ONE - t[r, i]) / no) / k * _inside(o[r, i], _FUZZ, _SURE)
        losses[r] = total / k


@kernel(LOSS)
def categorical_crossentropy(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of outputs that are brought to a sum of 1 first."""
    for r in range(o.shape[0]):
        whole, total, inner = ZERO, ZERO, ZERO
        for i in range(o.shape[1]):
            whole += o[r, i]
        for i in range(o.shape[1]):
            q = o[r, i] / whole
            p = _clamp(q, _FUZZ, _SURE)
            total -= t[r, i] * np.log(p)
            g[r, i] = -t[r, i] / p * _inside(q, _FUZZ, _SURE)
            inner += g[r, i] * q
        for i in range(o.shape[1]):
            g[r, i] = (g[r, i] - inner) / whole
        losses[r] = total


@kernel(LOSS)
def kl_divergence(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of two distributions."""
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            p, q = _clamp(o[r, i], _FUZZ, ONE), _clamp(t[r, i], _FUZZ, ONE)
            total += q * np.log(q / p)
            g[r, i] = -q / p * _inside(o[r, i], _FUZZ, ONE)
        losses[r] = total


@kernel(LOSS)
def poisson(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of a rate and a count."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            total += o[r, i] - t[r, i] * np.log(o[r, i] + _FUZZ)
            g[r, i] = (ONE - t[r, i] / (o[r, i] + _FUZZ)) / k
        losses[r] = total / k


@kernel(LOSS)
def hinge(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of margins."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            short = ONE - t[r, i] * o[r, i]
            total += ZERO if short <= ZERO else short
            g[r, i] = ZERO if short <= ZERO else -t[r, i] / k
        losses[r] = total / k


@kernel(LOSS)
def squared_hinge(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of margins, squared."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            short = ONE - t[r, i] * o[r, i]
            short = ZERO if short <= ZERO else short
            total += short * short
            g[r, i] = -TWO * short * t[r, i] / k
        losses[r] = total / k


@kernel(LOSS)
def categorical_hinge(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of the right output and the largest wrong one; equal ones share the gradient."""
    for r in range(o.shape[0]):
        right, wrong, ties = ZERO, (ONE - t[r, 0]) * o[r, 0], ZERO
        for i in range(o.shape[1]):
            right += t[r, i] * o[r, i]
            v = (ONE - t[r, i]) * o[r, i]
            wrong = v if v > wrong or v != v else wrong
        for i in range(o.shape[1]):
            ties += ONE if (ONE - t[r, i]) * o[r, i] == wrong else ZERO
        short = wrong - right + ONE
        for i in range(o.shape[1]):
            share = (ONE - t[r, i]) / ties if (ONE - t[r, i]) * o[r, i] == wrong else ZERO
            g[r, i] = ZERO if short <= ZERO else share - t[r, i]
        losses[r] = ZERO if short <= ZERO else short


@kernel(LOSS)
def mse(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Mean of squares."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            d = o[r, i] - t[r, i]
            total += d * d
            g[r, i] = TWO * d / k
        losses[r] = total / k


@kernel(LOSS)
def mae(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Mean of absolute values."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            d = o[r, i] - t[r, i]
            total += abs(d)
            g[r, i] = np.sign(d) / k
        losses[r] = total / k


@kernel(LOSS)
def mape(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """In percent of the targets."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            size = abs(t[r, i])
            size = _FUZZ if size < _FUZZ else size
            d = (o[r, i] - t[r, i]) / size
            total += abs(d)
            g[r, i] = _PERCENT * np.sign(d) / size / k
        losses[r] = _PERCENT * total / k


@kernel(LOSS)
def msle(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Mean of squares of the logarithms."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            a, b = _FUZZ if o[r, i] < _FUZZ else o[r, i], _FUZZ if t[r, i] < _FUZZ else t[r, i]
            d = np.log1p(a) - np.log1p(b)
            total += d * d
            g[r, i] = TWO * d / (ONE + a) / k * (ZERO if o[r, i] < _FUZZ else ONE)
        losses[r] = total / k


@kernel(LOSS)
def logcosh(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Mean of the logarithm of the hyperbolic cosine."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            d = o[r, i] - t[r, i]
            z = -TWO * d
            total += d + (z if z > _CUT else np.log1p(exp(z))) - _LOG2
            g[r, i] = np.tanh(d) / k
        losses[r] = total / k


@kernel(LOSS)
def huber(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Squares near 0, absolute values beyond 1."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            d = o[r, i] - t[r, i]
            total += HALF * d * d if abs(d) < ONE else abs(d) - HALF
            g[r, i] = _clamp(d, -ONE, ONE) / k
        losses[r] = total / k


@kernel(LOSS)
def bce_with_logits(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Binary cross-entropy of logits."""
    k = np.float32(o.shape[1])
    for r in range(o.shape[0]):
        total = ZERO
        for i in range(o.shape[1]):
            e = exp(-abs(o[r, i]))
            total += (ZERO if o[r, i] < ZERO else o[r, i]) - o[r, i] * t[r, i] + log1p(e)
            g[r, i] = ((ONE if o[r, i] >= ZERO else e) / (ONE + e) - t[r, i]) / k
        losses[r] = total / k


@kernel(LOSS)
def cross_entropy(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of logits and rows of shares."""
    for r in range(o.shape[0]):
        largest, whole, total, shares = o[r, 0], ZERO, ZERO, ZERO
        for i in range(o.shape[1]):
            largest = o[r, i] if o[r, i] > largest else largest
        for i in range(o.shape[1]):
            g[r, i] = wide_exp(o[r, i] - largest)
            whole += g[r, i]
            shares += t[r, i]
        log = np.log(whole)
        for i in range(o.shape[1]):
            total += t[r, i] * (log - (o[r, i] - largest))
            g[r, i] = g[r, i] / whole * shares - t[r, i]
        losses[r] = total


@kernel(LOSS)
def cross_entropy_of_id(o: Floats, t: Floats, g: Floats, losses: Floats) -> None:
    """Of logits and a class id."""
    for r in range(o.shape[0]):
        largest, whole, right = o[r, 0], ZERO, np.int64(t[r, 0])
        for i in range(o.shape[1]):
            largest = o[r, i] if o[r, i] > largest else largest
        for i in range(o.shape[1]):
            g[r, i] = wide_exp(o[r, i] - largest)
            whole += g[r, i]
        for i in range(o.shape[1]):
            g[r, i] /= whole
        g[r, right] -= ONE
        losses[r] = np.log(whole) - (o[r, right] - largest)


LOSSES: dict[str, Kernel] = {
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "kl_divergence": kl_divergence,
    "poisson": poisson,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "categorical_hinge": categorical_hinge,
    "mse": mse,
    "mae": mae,
    "mape": mape,
    "msle": msle,
    "logcosh": logcosh,
    "huber": huber,
    "bce_with_logits": bce_with_logits,
    "cross_entropy": cross_entropy,
}
"""By name; class ids have a function of their own."""
