"""Losses of one row and their gradients; see ``netmend.env.training.losses`` for what they are.

What is no number stays none: a clamp leaves it as it is, and no comparison is true of it.
"""

from __future__ import annotations

import math

import numpy as np

from netmend.env.training.compiled.fields import HALF, ONE, TWO, ZERO, Floats, Real
from netmend.env.training.compiled.jit import ROW_LOSS, Kernel, helper, kernel
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


@kernel(ROW_LOSS)
def binary_crossentropy(o: Floats, t: Floats, g: Floats) -> Real:
    """Of probabilities, clipped as in Keras."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        p = _clamp(o[i], _FUZZ, _SURE)
        yes, no = p + _FUZZ, ONE - p + _FUZZ
        total -= t[i] * np.log(yes) + (ONE - t[i]) * np.log(no)
        g[i] = -(t[i] / yes - (ONE - t[i]) / no) / k * _inside(o[i], _FUZZ, _SURE)
    return total / k


@kernel(ROW_LOSS)
def categorical_crossentropy(o: Floats, t: Floats, g: Floats) -> Real:
    """Of outputs that are brought to a sum of 1 first."""
    whole, total, inner = ZERO, ZERO, ZERO
    for i in range(o.size):
        whole += o[i]
    for i in range(o.size):
        q = o[i] / whole
        p = _clamp(q, _FUZZ, _SURE)
        total -= t[i] * np.log(p)
        g[i] = -t[i] / p * _inside(q, _FUZZ, _SURE)
        inner += g[i] * q
    for i in range(o.size):
        g[i] = (g[i] - inner) / whole
    return total


@kernel(ROW_LOSS)
def kl_divergence(o: Floats, t: Floats, g: Floats) -> Real:
    """Of two distributions."""
    total = ZERO
    for i in range(o.size):
        p, q = _clamp(o[i], _FUZZ, ONE), _clamp(t[i], _FUZZ, ONE)
        total += q * np.log(q / p)
        g[i] = -q / p * _inside(o[i], _FUZZ, ONE)
    return total


@kernel(ROW_LOSS)
def poisson(o: Floats, t: Floats, g: Floats) -> Real:
    """Of a rate and a count."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        total += o[i] - t[i] * np.log(o[i] + _FUZZ)
        g[i] = (ONE - t[i] / (o[i] + _FUZZ)) / k
    return total / k


@kernel(ROW_LOSS)
def hinge(o: Floats, t: Floats, g: Floats) -> Real:
    """Of margins."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        short = ONE - t[i] * o[i]
        total += ZERO if short <= ZERO else short
        g[i] = ZERO if short <= ZERO else -t[i] / k
    return total / k


@kernel(ROW_LOSS)
def squared_hinge(o: Floats, t: Floats, g: Floats) -> Real:
    """Of margins, squared."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        short = ONE - t[i] * o[i]
        short = ZERO if short <= ZERO else short
        total += short * short
        g[i] = -TWO * short * t[i] / k
    return total / k


@kernel(ROW_LOSS)
def categorical_hinge(o: Floats, t: Floats, g: Floats) -> Real:
    """Of the right output and the largest wrong one; equal ones share the gradient."""
    right, wrong, ties = ZERO, (ONE - t[0]) * o[0], ZERO
    for i in range(o.size):
        right += t[i] * o[i]
        v = (ONE - t[i]) * o[i]
        wrong = v if v > wrong or v != v else wrong
    for i in range(o.size):
        ties += ONE if (ONE - t[i]) * o[i] == wrong else ZERO
    short = wrong - right + ONE
    for i in range(o.size):
        share = (ONE - t[i]) / ties if (ONE - t[i]) * o[i] == wrong else ZERO
        g[i] = ZERO if short <= ZERO else share - t[i]
    return ZERO if short <= ZERO else short


@kernel(ROW_LOSS)
def mse(o: Floats, t: Floats, g: Floats) -> Real:
    """Mean of squares."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        d = o[i] - t[i]
        total += d * d
        g[i] = TWO * d / k
    return total / k


@kernel(ROW_LOSS)
def mae(o: Floats, t: Floats, g: Floats) -> Real:
    """Mean of absolute values."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        d = o[i] - t[i]
        total += abs(d)
        g[i] = np.sign(d) / k
    return total / k


@kernel(ROW_LOSS)
def mape(o: Floats, t: Floats, g: Floats) -> Real:
    """In percent of the targets."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        size = abs(t[i])
        size = _FUZZ if size < _FUZZ else size
        d = (o[i] - t[i]) / size
        total += abs(d)
        g[i] = _PERCENT * np.sign(d) / size / k
    return _PERCENT * total / k


@kernel(ROW_LOSS)
def msle(o: Floats, t: Floats, g: Floats) -> Real:
    """Mean of squares of the logarithms."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        a, b = _FUZZ if o[i] < _FUZZ else o[i], _FUZZ if t[i] < _FUZZ else t[i]
        d = np.log1p(a) - np.log1p(b)
        total += d * d
        g[i] = TWO * d / (ONE + a) / k * (ZERO if o[i] < _FUZZ else ONE)
    return total / k


@kernel(ROW_LOSS)
def logcosh(o: Floats, t: Floats, g: Floats) -> Real:
    """Mean of the logarithm of the hyperbolic cosine."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        d = o[i] - t[i]
        z = -TWO * d
        total += d + (z if z > _CUT else np.log1p(np.exp(z))) - _LOG2
        g[i] = np.tanh(d) / k
    return total / k


@kernel(ROW_LOSS)
def huber(o: Floats, t: Floats, g: Floats) -> Real:
    """Squares near 0, absolute values beyond 1."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        d = o[i] - t[i]
        total += HALF * d * d if abs(d) < ONE else abs(d) - HALF
        g[i] = _clamp(d, -ONE, ONE) / k
    return total / k


@kernel(ROW_LOSS)
def bce_with_logits(o: Floats, t: Floats, g: Floats) -> Real:
    """Binary cross-entropy of logits."""
    total, k = ZERO, np.float32(o.size)
    for i in range(o.size):
        e = np.exp(-abs(o[i]))
        total += (ZERO if o[i] < ZERO else o[i]) - o[i] * t[i] + np.log1p(e)
        g[i] = ((ONE if o[i] >= ZERO else e) / (ONE + e) - t[i]) / k
    return total / k


@kernel(ROW_LOSS)
def cross_entropy(o: Floats, t: Floats, g: Floats) -> Real:
    """Of logits and rows of shares."""
    largest, whole, total, shares = o[0], ZERO, ZERO, ZERO
    for i in range(o.size):
        largest = o[i] if o[i] > largest else largest
    for i in range(o.size):
        g[i] = np.exp(o[i] - largest)
        whole += g[i]
        shares += t[i]
    log = np.log(whole) + largest
    for i in range(o.size):
        total += t[i] * (log - o[i])
        g[i] = g[i] / whole * shares - t[i]
    return total


@kernel(ROW_LOSS)
def cross_entropy_of_id(o: Floats, t: Floats, g: Floats) -> Real:
    """Of logits and a class id."""
    largest, whole, right = o[0], ZERO, np.int64(t[0])
    for i in range(o.size):
        largest = o[i] if o[i] > largest else largest
    for i in range(o.size):
        g[i] = np.exp(o[i] - largest)
        whole += g[i]
    for i in range(o.size):
        g[i] /= whole
    g[right] -= ONE
    return np.log(whole) + largest - o[right]


ROW_LOSSES: dict[str, Kernel] = {
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
