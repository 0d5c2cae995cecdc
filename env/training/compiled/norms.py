"""Kernels of the normalisations; ``KERNEL`` is the scale, ``BIAS`` the shift (-1: there is none)."""

# ruff: noqa: ARG001
from __future__ import annotations

import numpy as np

from netmend.env.training.compiled.fields import (
    BIAS,
    DX,
    DY,
    EVALUATION,
    GRADIENT,
    KERNEL,
    ONE,
    OWN,
    PLACES,
    SAVED,
    SCRATCH,
    TRAINING,
    WIDTH,
    ZERO,
    Bits,
    Floats,
    Ints,
    X,
    Y,
    matrix,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, kernel


@kernel(LAYER)
def batch_norm(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """By feature; keeps mean and 1/deviation. Own numbers: running statistics; momentum and epsilon."""
    n, width = rows * op[PLACES], op[WIDTH]
    x, y = matrix(arena, op[X], n, width), matrix(arena, op[Y], n, width)
    scale, shift = vector(arena, op[KERNEL], width), vector(arena, op[BIAS], width)
    running = matrix(arena, op[OWN], 2, width)
    saved = matrix(arena, op[SAVED], 2, width)
    mean, inverse = saved[0], saved[1]
    momentum, epsilon = arena[op[OWN + 1]], arena[op[OWN + 1] + 1]
    if mode == EVALUATION:
        mean[:] = running[0]
        for c in range(width):
            inverse[c] = ONE / np.sqrt(running[1, c] + epsilon)
    else:
        saved[:] = ZERO
        for r in range(n):
            for c in range(width):
                mean[c] += x[r, c]
        for c in range(width):
            mean[c] /= np.float32(n)
        for r in range(n):
            for c in range(width):
                inverse[c] += (x[r, c] - mean[c]) * (x[r, c] - mean[c])
        if mode == TRAINING:
            for c in range(width):
                running[0, c] += momentum * (mean[c] - running[0, c])
                running[1, c] += momentum * (inverse[c] / np.float32(n - 1) - running[1, c])
        for c in range(width):
            inverse[c] = ONE / np.sqrt(inverse[c] / np.float32(n) + epsilon)
    for r in range(n):
        for c in range(width):
            y[r, c] = (x[r, c] - mean[c]) * inverse[c] * scale[c] + shift[c]


@kernel(LAYER)
def batch_norm_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of scale, shift and inputs."""
    n, width = rows * op[PLACES], op[WIDTH]
    x, dy = matrix(arena, op[X], n, width), matrix(arena, op[DY], n, width)
    scale, saved = vector(arena, op[KERNEL], width), matrix(arena, op[SAVED], 2, width)
    sums = matrix(arena, op[SCRATCH], 2, width)
    mean, inverse, by_scale, by_shift = saved[0], saved[1], sums[0], sums[1]
    sums[:] = ZERO
    for r in range(n):
        for c in range(width):
            by_shift[c] += dy[r, c]
            by_scale[c] += dy[r, c] * (x[r, c] - mean[c]) * inverse[c]
    if op[GRADIENT]:
        vector(arena, op[KERNEL] + op[GRADIENT], width)[:] = by_scale
        vector(arena, op[BIAS] + op[GRADIENT], width)[:] = by_shift
    if op[DX] < 0:
        return
    dx, count = matrix(arena, op[DX], n, width), np.float32(n)
    if mode == EVALUATION:
        for r in range(n):
            for c in range(width):
                dx[r, c] = dy[r, c] * scale[c] * inverse[c]
        return
    for c in range(width):
        by_scale[c] = by_scale[c] * inverse[c] / count
        by_shift[c] = by_shift[c] / count
    for r in range(n):
        for c in range(width):
            dx[r, c] = (dy[r, c] - by_shift[c] - (x[r, c] - mean[c]) * by_scale[c]) * scale[c] * inverse[c]


@kernel(LAYER)
def layer_norm(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Over the features of each place. Keeps mean and 1/deviation of each. Own number: place of epsilon."""
    n, width, epsilon = rows * op[PLACES], op[WIDTH], arena[op[OWN]]
    x, y, saved = (
        matrix(arena, op[X], n, width),
        matrix(arena, op[Y], n, width),
        matrix(arena, op[SAVED], n, 2),
    )
    scale, count, shifts = vector(arena, op[KERNEL], width), np.float32(width), op[BIAS] >= 0
    shift = vector(arena, op[BIAS] if shifts else op[KERNEL], width)
    for r in range(n):
        mean, spread = ZERO, ZERO
        for c in range(width):
            mean += x[r, c]
        mean /= count
        for c in range(width):
            spread += (x[r, c] - mean) * (x[r, c] - mean)
        inverse = ONE / np.sqrt(spread / count + epsilon)
        saved[r, 0], saved[r, 1] = mean, inverse
        for c in range(width):
            y[r, c] = (x[r, c] - mean) * inverse * scale[c] + (shift[c] if shifts else ZERO)


@kernel(LAYER)
def layer_norm_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of scale, shift and inputs."""
    n, width = rows * op[PLACES], op[WIDTH]
    x, dy, saved = (
        matrix(arena, op[X], n, width),
        matrix(arena, op[DY], n, width),
        matrix(arena, op[SAVED], n, 2),
    )
    scale, count = vector(arena, op[KERNEL], width), np.float32(width)
    if op[GRADIENT]:
        by_scale = vector(arena, op[KERNEL] + op[GRADIENT], width)
        by_scale[:] = ZERO
        for r in range(n):
            for c in range(width):
                by_scale[c] += dy[r, c] * (x[r, c] - saved[r, 0]) * saved[r, 1]
        if op[BIAS] >= 0:
            by_shift = vector(arena, op[BIAS] + op[GRADIENT], width)
            by_shift[:] = ZERO
            for r in range(n):
                for c in range(width):
                    by_shift[c] += dy[r, c]
    if op[DX] < 0:
        return
    dx = matrix(arena, op[DX], n, width)
    for r in range(n):
        mean, inverse, sum_g, sum_gx = saved[r, 0], saved[r, 1], ZERO, ZERO
        for c in range(width):
            g = dy[r, c] * scale[c]
            sum_g += g
            sum_gx += g * (x[r, c] - mean) * inverse
        sum_g /= count
        sum_gx /= count
        for c in range(width):
            dx[r, c] = (dy[r, c] * scale[c] - sum_g - (x[r, c] - mean) * inverse * sum_gx) * inverse
