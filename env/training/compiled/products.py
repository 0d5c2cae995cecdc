"""Kernels of layers that multiply by a matrix or look rows up in a table."""

# ruff: noqa: ARG001
from __future__ import annotations

import numpy as np

from netmend.env.training.compiled.fields import (
    BIAS,
    DX,
    DY,
    GRADIENT,
    KERNEL,
    OUT_WIDTH,
    OWN,
    PLACES,
    WIDTH,
    ZERO,
    Bits,
    Floats,
    Ints,
    X,
    Y,
    add_rows,
    matrix,
    sum_rows,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, kernel


@kernel(LAYER)
def dense(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Each place times the kernel, plus the bias."""
    n, width, units = rows * op[PLACES], op[WIDTH], op[OUT_WIDTH]
    y = matrix(arena, op[Y], n, units)
    np.dot(matrix(arena, op[X], n, width), matrix(arena, op[KERNEL], width, units), y)
    if op[BIAS] >= 0:
        add_rows(y, vector(arena, op[BIAS], units))


@kernel(LAYER)
def dense_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of kernel, bias and inputs."""
    n, width, units = rows * op[PLACES], op[WIDTH], op[OUT_WIDTH]
    dy = matrix(arena, op[DY], n, units)
    if op[GRADIENT]:
        gradient = matrix(arena, op[KERNEL] + op[GRADIENT], width, units)
        np.dot(matrix(arena, op[X], n, width).T, dy, gradient)
        if op[BIAS] >= 0:
            sum_rows(dy, vector(arena, op[BIAS] + op[GRADIENT], units))
    if op[DX] >= 0:
        np.dot(dy, matrix(arena, op[KERNEL], width, units).T, matrix(arena, op[DX], n, width))


@kernel(LAYER)
def embed(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The rows of a table that token ids stand for. Own number: rows of the table."""
    n, units = rows * op[PLACES], op[OUT_WIDTH]
    table, y = matrix(arena, op[KERNEL], op[OWN], units), matrix(arena, op[Y], n, units)
    ids = vector(arena, op[X], n)
    for r in range(n):
        at = np.int64(ids[r])
        for c in range(units):
            y[r, c] = table[at, c]


@kernel(LAYER)
def embed_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient of the table."""
    if not op[GRADIENT]:
        return
    n, units = rows * op[PLACES], op[OUT_WIDTH]
    gradient, dy = matrix(arena, op[KERNEL] + op[GRADIENT], op[OWN], units), matrix(arena, op[DY], n, units)
    ids = vector(arena, op[X], n)
    gradient[:] = ZERO
    for r in range(n):
        at = np.int64(ids[r])
        for c in range(units):
            gradient[at, c] += dy[r, c]


@kernel(LAYER)
def locate(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Add a row of a table to each place. Own number: rows of the table, at least as many as places."""
    size = op[PLACES] * op[WIDTH]
    x, y, table = (
        matrix(arena, op[X], rows, size),
        matrix(arena, op[Y], rows, size),
        vector(arena, op[KERNEL], size),
    )
    for r in range(rows):
        for c in range(size):
            y[r, c] = x[r, c] + table[c]


@kernel(LAYER)
def locate_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of the table and of the inputs."""
    size = op[PLACES] * op[WIDTH]
    dy = matrix(arena, op[DY], rows, size)
    if op[GRADIENT]:
        gradient = vector(arena, op[KERNEL] + op[GRADIENT], op[OWN] * op[WIDTH])
        gradient[:] = ZERO
        sum_rows(dy, gradient[:size])
    if op[DX] >= 0:
        matrix(arena, op[DX], rows, size)[:] = dy
