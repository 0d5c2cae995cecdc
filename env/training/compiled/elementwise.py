"""Kernels that work value by value, or move values about."""

# ruff: noqa: ARG001
from __future__ import annotations

import numpy as np

from netmend.env.program import ActivationName
from netmend.env.training.compiled.fields import (
    DX,
    DY,
    EVALUATION,
    HALF,
    ONE,
    OUT_PLACES,
    OWN,
    PLACES,
    WIDTH,
    ZERO,
    Bits,
    Floats,
    Ints,
    Real,
    X,
    Y,
    block,
    exp,
    log1p,
    sigmoid,
    tanh,
    vector,
    wide_exp,
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

RELU, LEAKY, ELU, GELU, TANH, SIGMOID, HARD, SOFTPLUS, SOFTSIGN, EXPONENTIAL, SOFTMAX, THRESHOLD = range(12)
FUNCTIONS: dict[ActivationName, tuple[int, float, float]] = {
    "relu": (RELU, 0.0, 0.0),
    "leaky_relu": (LEAKY, 0.2, 0.0),
    "elu": (ELU, 1.0, 1.0),
    "selu": (ELU, 1.0507009873554804934193349852946, 1.6732632423543772848170429916717),
    "gelu": (GELU, 0.0, 0.0),
    "tanh": (TANH, 0.0, 0.0),
    "sigmoid": (SIGMOID, 0.0, 0.0),
    "hard_sigmoid": (HARD, 0.0, 0.0),
    "softplus": (SOFTPLUS, 0.0, 0.0),
    "softsign": (SOFTSIGN, 0.0, 0.0),
    "exponential": (EXPONENTIAL, 0.0, 0.0),
    "softmax": (SOFTMAX, 0.0, 0.0),
}
"""Number of the function and its two constants."""
KIND, FIRST = OWN, OWN + 1
_SIXTH, _THREE, _CUT = np.float32(1 / 6), np.float32(3), np.float32(20)
_ROOT, _BELL = np.float32(0.7071067811865476), np.float32(0.3989422804014327)
_A, _GONE, _NO_SLOPE = np.float32(0.3275911), np.float32(3.9), np.float32(-6.15)
_P1, _P2, _P3 = np.float32(0.254829592), np.float32(-0.284496736), np.float32(1.421413741)
_P4, _P5 = np.float32(-1.453152027), np.float32(1.061405429)


@helper
def _normal(x: Real) -> Real:
    """Distribution function of the normal distribution (Abramowitz and Stegun 7.1.26).

    It is 0 where the plain loop's is, so that the same units are dead.
    """
    z = abs(x) * _ROOT
    t = ONE / (ONE + _A * z)
    tail = HALF * t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5)))) * exp(-z * z)
    return ONE - tail if x >= ZERO else (ZERO if z > _GONE else tail)


@kernel(LAYER)
def activate(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Outputs of an activation function; what is no number stays none."""
    size, kind = rows * op[PLACES] * op[WIDTH], op[KIND]
    x, y = vector(arena, op[X], size), vector(arena, op[Y], size)
    a, b = arena[op[FIRST]], arena[op[FIRST] + 1]
    if kind == RELU:
        for i in range(size):
            y[i] = ZERO if x[i] <= ZERO else x[i]
    elif kind == LEAKY:
        for i in range(size):
            y[i] = x[i] if x[i] > ZERO else a * x[i]
    elif kind == ELU:
        for i in range(size):
            y[i] = a * (x[i] if x[i] > ZERO else b * (exp(x[i]) - ONE))
    elif kind == GELU:
        for i in range(size):
            y[i] = x[i] * _normal(x[i])
    elif kind == TANH:
        for i in range(size):
            y[i] = tanh(x[i])
    elif kind == SIGMOID:
        for i in range(size):
            y[i] = sigmoid(x[i])
    elif kind == HARD:
        for i in range(size):
            v = x[i] * _SIXTH + HALF
            v = ZERO if v < ZERO else v
            y[i] = ONE if v > ONE else v
    elif kind == SOFTPLUS:
        for i in range(size):
            y[i] = (ZERO if x[i] < ZERO else x[i]) + log1p(wide_exp(-abs(x[i])))
    elif kind == SOFTSIGN:
        for i in range(size):
            y[i] = x[i] / (ONE + abs(x[i]))
    elif kind == EXPONENTIAL:
        for i in range(size):
            y[i] = wide_exp(x[i])
    elif kind == THRESHOLD:
        for i in range(size):
            y[i] = ZERO if x[i] <= a else x[i]
    else:
        n = rows * op[PLACES]
        y[:] = x
        soften(y.reshape(n, op[WIDTH]))


@kernel(LAYER)
def activate_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient of the inputs."""
    size, kind = rows * op[PLACES] * op[WIDTH], op[KIND]
    x, y = vector(arena, op[X], size), vector(arena, op[Y], size)
    dx, dy = vector(arena, op[DX], size), vector(arena, op[DY], size)
    a, b = arena[op[FIRST]], arena[op[FIRST] + 1]
    if kind == RELU:
        for i in range(size):
            dx[i] = ZERO if y[i] <= ZERO else dy[i]
    elif kind == LEAKY:
        for i in range(size):
            dx[i] = dy[i] if x[i] > ZERO else a * dy[i]
    elif kind == ELU:
        for i in range(size):
            # not by the outputs, which are -1 where the slope is small and not yet 0
            dx[i] = dy[i] * a * (ONE if x[i] > ZERO else b * wide_exp(x[i]))
    elif kind == GELU:
        for i in range(size):
            slope = _normal(x[i]) + x[i] * _BELL * exp(-HALF * x[i] * x[i])
            dx[i] = ZERO if x[i] < _NO_SLOPE else dy[i] * slope
    elif kind == TANH:
        for i in range(size):
            dx[i] = dy[i] * (ONE - y[i] * y[i])
    elif kind == SIGMOID:
        for i in range(size):
            dx[i] = dy[i] * y[i] * (ONE - y[i])
    elif kind == HARD:
        for i in range(size):
            dx[i] = ZERO if abs(x[i]) >= _THREE else dy[i] * _SIXTH
    elif kind == SOFTPLUS:
        for i in range(size):
            e = wide_exp(x[i])
            dx[i] = dy[i] * (ONE if x[i] > _CUT else e / (ONE + e))
    elif kind == SOFTSIGN:
        for i in range(size):
            dx[i] = dy[i] / ((ONE + abs(x[i])) * (ONE + abs(x[i])))
    elif kind == EXPONENTIAL:
        for i in range(size):
            dx[i] = dy[i] * y[i]
    elif kind == THRESHOLD:
        for i in range(size):
            dx[i] = ZERO if x[i] <= a else dy[i]
    else:
        n, width = rows * op[PLACES], op[WIDTH]
        ys, dys, dxs = y.reshape(n, width), dy.reshape(n, width), dx.reshape(n, width)
        for r in range(n):
            inner = ZERO
            for c in range(width):
                inner += dys[r, c] * ys[r, c]
            for c in range(width):
                dxs[r, c] = ys[r, c] * (dys[r, c] - inner)


@helper
def soften(x: Floats) -> None:
    """The softmax of each row, in its place: given the same array twice, a loop is not vectorised."""
    for r in range(x.shape[0]):
        largest, total = x[r, 0], ZERO
        for c in range(x.shape[1]):
            # what is no number may be lost here, but not below
            largest = max(largest, x[r, c])
        for c in range(x.shape[1]):
            x[r, c] = wide_exp(x[r, c] - largest)
        for c in range(x.shape[1]):
            total += x[r, c]
        share = ONE / total
        for c in range(x.shape[1]):
            x[r, c] *= share


@kernel(LAYER)
def drop(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Dropout by bits that were drawn for all rows of an epoch; what is kept grows by the factor.

    Own numbers: first bit, largest bit that is kept, place of the factor, features first in the bits.
    """
    _mask(arena, bits, op, rows, op[X], op[Y], mode, start)


@kernel(LAYER)
def drop_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient passes where the values did."""
    _mask(arena, bits, op, rows, op[DY], op[DX], mode, start)


@helper
def _mask(
    arena: Floats, bits: Bits, op: Ints, rows: int, source: int, target: int, mode: int, start: int
) -> None:
    places, width = op[PLACES], op[WIDTH]
    size, limit, factor = places * width, op[OWN + 1], arena[op[OWN + 2]]
    x, y = vector(arena, source, rows * size), vector(arena, target, rows * size)
    if mode == EVALUATION:
        y[:] = x
        return
    own = bits[op[OWN] + start * size : op[OWN] + (start + rows) * size]
    if places == 1 or width == 1 or not op[OWN + 3]:
        for i in range(x.size):
            # times 0, so that what is no number stays none
            y[i] = x[i] * (factor if own[i] <= limit else ZERO)
        return
    x3, y3 = x.reshape(rows, places, width), y.reshape(rows, places, width)
    own3 = own.reshape(rows, width, places)
    for r in range(rows):
        for p in range(places):
            for c in range(width):
                y3[r, p, c] = x3[r, p, c] * (factor if own3[r, c, p] <= limit else ZERO)


@kernel(LAYER)
def disturb(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Add noise that was drawn for all rows of an epoch, features first, times a deviation.

    Own numbers: place of the noise, of the deviation.
    """
    places, width = op[PLACES], op[WIDTH]
    size, factor = places * width, arena[op[OWN + 1]]
    x, y = block(arena, op[X], rows, places, width), block(arena, op[Y], rows, places, width)
    factor = factor if mode != EVALUATION else ZERO
    noise = block(arena, op[OWN] + start * size, rows, width, places)
    for r in range(rows):
        for p in range(places):
            for c in range(width):
                y[r, p, c] = x[r, p, c] + factor * noise[r, c, p]


@kernel(LAYER)
def copy_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient as it is."""
    size = rows * op[PLACES] * op[WIDTH]
    vector(arena, op[DX], size)[:] = vector(arena, op[DY], size)


@kernel(LAYER)
def rescale(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Own number: place of factor and offset."""
    size, factor, offset = rows * op[PLACES] * op[WIDTH], arena[op[OWN]], arena[op[OWN] + 1]
    x, y = vector(arena, op[X], size), vector(arena, op[Y], size)
    for i in range(size):
        y[i] = x[i] * factor + offset


@kernel(LAYER)
def rescale_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient times the factor."""
    size, factor = rows * op[PLACES] * op[WIDTH], arena[op[OWN]]
    dx, dy = vector(arena, op[DX], size), vector(arena, op[DY], size)
    for i in range(size):
        dx[i] = dy[i] * factor


@kernel(LAYER)
def join(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The sum of two values; its gradient is that of both. Own number: the second one."""
    size = rows * op[PLACES] * op[WIDTH]
    x, y, other = vector(arena, op[X], size), vector(arena, op[Y], size), vector(arena, op[OWN], size)
    for i in range(size):
        y[i] = x[i] + other[i]


@kernel(LAYER)
def gather(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Add ``X`` to ``Y``: of each row where there are ``PLACES``, else so many values as ``WIDTH`` says."""
    size = rows * op[PLACES] * op[WIDTH] if op[PLACES] else op[WIDTH]
    x, y = vector(arena, op[X], size), vector(arena, op[Y], size)
    for i in range(size):
        y[i] += x[i]


@kernel(LAYER)
def swap(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """From places, features to features, places, as a flat row is laid out."""
    _swap(arena, op[X], op[Y], rows, op[PLACES], op[WIDTH])


@kernel(LAYER)
def swap_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The other way round."""
    _swap(arena, op[DY], op[DX], rows, op[WIDTH], op[PLACES])


@helper
def _swap(arena: Floats, source: int, target: int, rows: int, first: int, second: int) -> None:
    x, y = block(arena, source, rows, first, second), block(arena, target, rows, second, first)
    for r in range(rows):
        for i in range(first):
            for j in range(second):
                y[r, j, i] = x[r, i, j]


@kernel(LAYER)
def place(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Put an image into another one. Own numbers: width before and behind, its first line and column there.

    What falls outside is cut off, what is missing is 0.
    """
    out = vector(arena, op[Y], rows * op[OUT_PLACES] * op[WIDTH])
    out[:] = ZERO
    _place(arena, op, rows, op[X], op[Y], False)


@kernel(LAYER)
def place_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient of what was put somewhere, 0 of what was cut off."""
    vector(arena, op[DX], rows * op[PLACES] * op[WIDTH])[:] = ZERO
    _place(arena, op, rows, op[DX], op[DY], True)


@helper
def _place(arena: Floats, op: Ints, rows: int, small: int, large: int, back: bool) -> None:
    width, before, behind = op[WIDTH], op[OWN], op[OWN + 1]
    top, left = op[OWN + 2], op[OWN + 3]
    lines, out_lines = op[PLACES] // before, op[OUT_PLACES] // behind
    x = block(arena, small, rows * lines, before, width)
    y = block(arena, large, rows * out_lines, behind, width)
    for r in range(rows):
        for i in range(max(0, -top), min(lines, out_lines - top)):
            a, b = r * lines + i, r * out_lines + i + top
            for j in range(max(0, -left), min(before, behind - left)):
                for c in range(width):
                    if back:
                        x[a, j, c] = y[b, j + left, c]
                    else:
                        y[b, j + left, c] = x[a, j, c]
