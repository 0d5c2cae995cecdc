"""One step of each optimizer on a flat vector; see ``netmend.env.training.optimizers`` for the rules.

The numbers are those of ``numbers``; a state that starts at 0 is mended by how many steps there were.
"""

from __future__ import annotations

import numpy as np

from netmend.env.program import Optimizer, OptimizerName
from netmend.env.training.compiled.fields import ONE, Doubles, Floats
from netmend.env.training.compiled.jit import STEP, Kernel, kernel
from netmend.env.training.optimizers import (
    ADADELTA_RHO,
    ADAGRAD_START,
    EPSILON,
    NADAM_DECAY,
    RMSPROP_RHO,
)

MOMENTUM, NESTEROV, BETA1, BETA2, DECAY, DECOUPLED, PRODUCT, COUNTED = range(8)
_EPSILON = np.float32(EPSILON)


def numbers(spec: Optimizer) -> Doubles:
    """What a step is given beside its vectors."""
    decoupled = float(spec.kind == "adamw")
    return np.array(
        [spec.momentum, float(spec.nesterov), spec.beta1, spec.beta2, spec.weight_decay, decoupled, 1.0, 0.0]
    )


def start(spec: Optimizer) -> float:
    """First value of both states."""
    return {"adagrad": ADAGRAD_START, "adadelta": EPSILON}.get(spec.kind, 0.0)


@kernel(STEP)
def sgd(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:  # noqa: ARG001
    """With momentum and Nesterov's momentum."""
    lr, momentum, decay = np.float32(rate), np.float32(n[MOMENTUM]), np.float32(n[DECAY])
    if n[MOMENTUM] == 0:
        for i in range(p.size):
            p[i] -= lr * (g[i] + decay * p[i])
        return
    ahead = np.float32(n[NESTEROV])
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] = momentum * s[i] + d
        p[i] -= lr * (ahead * (d + momentum * s[i]) + (ONE - ahead) * s[i])


@kernel(STEP)
def rmsprop(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:  # noqa: ARG001
    """With momentum."""
    lr, momentum, decay = np.float32(rate), np.float32(n[MOMENTUM]), np.float32(n[DECAY])
    rho, rest = np.float32(RMSPROP_RHO), np.float32(1 - RMSPROP_RHO)
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] = rho * s[i] + rest * d * d
        q[i] = momentum * q[i] + d / (np.sqrt(s[i]) + _EPSILON)
        p[i] -= lr * q[i]


@kernel(STEP)
def adagrad(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:  # noqa: ARG001
    """By the root of the sum of squares."""
    lr, decay = np.float32(rate), np.float32(n[DECAY])
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] += d * d
        p[i] -= lr * d / (np.sqrt(s[i]) + _EPSILON)


@kernel(STEP)
def adadelta(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:  # noqa: ARG001
    """Both averages hold epsilon from the start, so that it need not be added."""
    lr, decay, rest = np.float32(rate), np.float32(n[DECAY]), np.float32(1 - ADADELTA_RHO)
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] += rest * (_EPSILON + d * d - s[i])
        move = np.sqrt(q[i] / s[i]) * d
        p[i] -= lr * move
        q[i] += rest * (_EPSILON + move * move - q[i])


@kernel(STEP)
def adam(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:
    """And AdamW, whose decay is apart from the gradient."""
    b1, b2 = np.float32(n[BETA1]), np.float32(n[BETA2])
    r1, r2 = np.float32(1 - n[BETA1]), np.float32(1 - n[BETA2])
    coupled = np.float32(n[DECAY] * (1 - n[DECOUPLED]))
    kept = np.float32(1 - rate * n[DECAY] * n[DECOUPLED])
    size, root = np.float32(rate / (1 - n[BETA1] ** count)), np.float32(1 / np.sqrt(1 - n[BETA2] ** count))
    for i in range(p.size):
        d = g[i] + coupled * p[i]
        s[i] = b1 * s[i] + r1 * d
        q[i] = b2 * q[i] + r2 * d * d
        p[i] = p[i] * kept - size * s[i] / (np.sqrt(q[i]) * root + _EPSILON)


@kernel(STEP)
def adamax(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:
    """By the largest gradient, which is forgotten slowly."""
    r1, b2, decay = np.float32(1 - n[BETA1]), np.float32(n[BETA2]), np.float32(n[DECAY])
    size = np.float32(rate / (1 - n[BETA1] ** count))
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] += r1 * (d - s[i])
        faded, new = b2 * q[i], abs(d) + _EPSILON
        q[i] = faded if faded > new else new
        p[i] -= size * s[i] / q[i]


@kernel(STEP)
def nadam(p: Floats, g: Floats, s: Floats, q: Floats, n: Doubles, count: int, rate: float) -> None:
    """Its momentum rises from step to step; the product of all is in its numbers, mended once a step."""
    r1, b2, r2 = np.float32(1 - n[BETA1]), np.float32(n[BETA2]), np.float32(1 - n[BETA2])
    decay, root = np.float32(n[DECAY]), np.float32(1 / np.sqrt(1 - n[BETA2] ** count))
    now = n[BETA1] * (1 - 0.5 * 0.96 ** (count * NADAM_DECAY))
    following = n[BETA1] * (1 - 0.5 * 0.96 ** ((count + 1) * NADAM_DECAY))
    if n[COUNTED] != count:
        n[PRODUCT] *= now
        n[COUNTED] = count
    product = n[PRODUCT]
    of_gradient = np.float32(rate * (1 - now) / (1 - product))
    of_mean = np.float32(rate * following / (1 - product * following))
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] += r1 * (d - s[i])
        q[i] = b2 * q[i] + r2 * d * d
        p[i] -= (of_gradient * d + of_mean * s[i]) / (np.sqrt(q[i]) * root + _EPSILON)


STEPS: dict[OptimizerName, Kernel] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "adam": adam,
    "adamw": adam,
    "adamax": adamax,
    "nadam": nadam,
}
