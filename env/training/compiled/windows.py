"""Kernels of layers that look at windows: convolutions, transposed convolutions, pooling.

A sequence is an image of one line. Own numbers, from ``OWN`` on: lines and columns of the image whose windows
are looked at, lines and columns of the windows, lines and columns of one window, stride, zeros above and to
the left. Of a transposed convolution that image is its output.
"""

# ruff: noqa: ARG001
from __future__ import annotations

import numpy as np

from netmend.env.training.compiled.fields import (
    BIAS,
    DX,
    DY,
    GRADIENT,
    KERNEL,
    ONE,
    OUT_PLACES,
    OUT_WIDTH,
    OWN,
    PLACES,
    SCRATCH,
    WIDTH,
    ZERO,
    Bits,
    Floats,
    Ints,
    Real,
    X,
    Y,
    add_rows,
    matrix,
    multiply,
    sum_rows,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

LINES, ACROSS, OUT_LINES, OUT_ACROSS, HIGH, WIDE, STRIDE, TOP, LEFT, PIECE, COUNTED = range(OWN, OWN + 11)
"""The last two: rows whose windows are laid out at once; whether zeros around count in a mean."""


@helper
def _lay_out(image: Floats, op: Ints, width: int, rows: int, out: Floats) -> None:
    """Windows side by side: (rows * windows, lines * columns * features) from (rows * places * features).

    Unsigned indices, here and below: a signed one may be negative, and its loop is not vectorised.
    """
    lines, across, high, wide, stride = op[LINES], op[ACROSS], op[HIGH], op[WIDE], op[STRIDE]
    size, flat = wide * width, out.reshape(out.size)
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for h in range(high):
                line = i * stride - op[TOP] + h
                inside = 0 <= line < lines
                for j in range(op[OUT_ACROSS]):
                    left = j * stride - op[LEFT]
                    at = (((r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j) * high + h) * size
                    begin = ((r * lines + line) * across + left) * width
                    if inside and left >= 0 and left + wide <= across:
                        for c in range(size):
                            flat[np.uint64(at + c)] = image[np.uint64(begin + c)]
                        continue
                    first, last = -left * width, (across - left) * width
                    for c in range(size):
                        there = inside and first <= c < last
                        flat[np.uint64(at + c)] = image[np.uint64(begin + c)] if there else ZERO


@helper
def _put_back(windows: Floats, op: Ints, width: int, rows: int, image: Floats) -> None:
    """Add each window to where it was taken from."""
    lines, across, high, wide, stride = op[LINES], op[ACROSS], op[HIGH], op[WIDE], op[STRIDE]
    size, flat = wide * width, windows.reshape(windows.size)
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for h in range(high):
                line = i * stride - op[TOP] + h
                if line < 0 or line >= lines:
                    continue
                for j in range(op[OUT_ACROSS]):
                    left = j * stride - op[LEFT]
                    first, last = max(-left, 0) * width, min(wide, across - left) * width
                    at = (((r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j) * high + h) * size + first
                    begin = ((r * lines + line) * across + left) * width + first
                    for c in range(last - first):
                        image[np.uint64(begin + c)] += flat[np.uint64(at + c)]


@kernel(LAYER)
def convolve(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Windows times the kernel, some rows at a time."""
    width, filters, size = op[WIDTH], op[OUT_WIDTH], op[HIGH] * op[WIDE] * op[WIDTH]
    kernel = matrix(arena, op[KERNEL], size, filters)
    for first in range(0, rows, op[PIECE]):
        count = min(op[PIECE], rows - first)
        n = count * op[OUT_PLACES]
        windows = matrix(arena, op[SCRATCH], n, size)
        image = vector(arena, op[X] + first * op[PLACES] * width, count * op[PLACES] * width)
        _lay_out(image, op, width, count, windows)
        np.dot(windows, kernel, matrix(arena, op[Y] + first * op[OUT_PLACES] * filters, n, filters))
    if op[BIAS] >= 0:
        add_rows(matrix(arena, op[Y], rows * op[OUT_PLACES], filters), vector(arena, op[BIAS], filters))


@kernel(LAYER)
def convolve_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of kernel, bias and inputs."""
    width, filters, size = op[WIDTH], op[OUT_WIDTH], op[HIGH] * op[WIDE] * op[WIDTH]
    kernel = matrix(arena, op[KERNEL], size, filters)
    if op[DX] >= 0:
        vector(arena, op[DX], rows * op[PLACES] * width)[:] = ZERO
    for first in range(0, rows, op[PIECE]):
        count = min(op[PIECE], rows - first)
        n, at, inputs = count * op[OUT_PLACES], first * op[PLACES] * width, count * op[PLACES] * width
        windows = matrix(arena, op[SCRATCH], n, size)
        dy = matrix(arena, op[DY] + first * op[OUT_PLACES] * filters, n, filters)
        if op[GRADIENT]:
            gradient = matrix(arena, op[KERNEL] + op[GRADIENT], size, filters)
            _lay_out(vector(arena, op[X] + at, inputs), op, width, count, windows)
            multiply(windows.T, dy, gradient, ONE, ONE if first else ZERO)
        if op[DX] >= 0:
            np.dot(dy, kernel.T, windows)
            _put_back(windows, op, width, count, vector(arena, op[DX] + at, inputs))
    if op[GRADIENT] and op[BIAS] >= 0:
        dy = matrix(arena, op[DY], rows * op[OUT_PLACES], filters)
        sum_rows(dy, vector(arena, op[BIAS] + op[GRADIENT], filters))


@kernel(LAYER)
def spread(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """A transposed convolution: each value times the kernel, put where its window lies in the outputs."""
    width, filters, size = op[WIDTH], op[OUT_WIDTH], op[HIGH] * op[WIDE] * op[OUT_WIDTH]
    kernel = matrix(arena, op[KERNEL], width, size)
    vector(arena, op[Y], rows * op[OUT_PLACES] * filters)[:] = ZERO
    for first in range(0, rows, op[PIECE]):
        count = min(op[PIECE], rows - first)
        n, outputs = count * op[PLACES], count * op[OUT_PLACES] * filters
        windows = matrix(arena, op[SCRATCH], n, size)
        np.dot(matrix(arena, op[X] + first * op[PLACES] * width, n, width), kernel, windows)
        y = vector(arena, op[Y] + first * op[OUT_PLACES] * filters, outputs)
        _put_back(windows, op, filters, count, y)
    if op[BIAS] >= 0:
        add_rows(matrix(arena, op[Y], rows * op[OUT_PLACES], filters), vector(arena, op[BIAS], filters))


@kernel(LAYER)
def spread_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of kernel, bias and inputs."""
    width, filters, size = op[WIDTH], op[OUT_WIDTH], op[HIGH] * op[WIDE] * op[OUT_WIDTH]
    kernel = matrix(arena, op[KERNEL], width, size)
    for first in range(0, rows, op[PIECE]):
        count = min(op[PIECE], rows - first)
        n, outputs = count * op[PLACES], count * op[OUT_PLACES] * filters
        windows = matrix(arena, op[SCRATCH], n, size)
        dy = vector(arena, op[DY] + first * op[OUT_PLACES] * filters, outputs)
        _lay_out(dy, op, filters, count, windows)
        if op[GRADIENT]:
            gradient = matrix(arena, op[KERNEL] + op[GRADIENT], width, size)
            x = matrix(arena, op[X] + first * op[PLACES] * width, n, width)
            multiply(x.T, windows, gradient, ONE, ONE if first else ZERO)
        if op[DX] >= 0:
            np.dot(windows, kernel.T, matrix(arena, op[DX] + first * op[PLACES] * width, n, width))
    if op[GRADIENT] and op[BIAS] >= 0:
        dy_rows = matrix(arena, op[DY], rows * op[OUT_PLACES], filters)
        sum_rows(dy_rows, vector(arena, op[BIAS] + op[GRADIENT], filters))


@helper
def _bounds(op: Ints, i: int, j: int) -> tuple[int, int, int, int]:
    """First and last line and column of a window that lie inside."""
    line, left = i * op[STRIDE] - op[TOP], j * op[STRIDE] - op[LEFT]
    return max(line, 0), min(line + op[HIGH], op[LINES]), max(left, 0), min(left + op[WIDE], op[ACROSS])


@kernel(LAYER)
def pool_max(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The largest value of each window."""
    width = op[WIDTH]
    x, y = matrix(arena, op[X], rows * op[PLACES], width), matrix(arena, op[Y], rows * op[OUT_PLACES], width)
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for j in range(op[OUT_ACROSS]):
                top, bottom, left, right = _bounds(op, i, j)
                out = y[(r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j]
                out[:] = -np.float32(np.inf)
                for a in range(top, bottom):
                    for b in range(left, right):
                        row = x[(r * op[LINES] + a) * op[ACROSS] + b]
                        for c in range(width):
                            out[c] = row[c] if row[c] > out[c] or row[c] != row[c] else out[c]


@kernel(LAYER)
def pool_max_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The gradient goes to the first of the largest values."""
    width = op[WIDTH]
    x, y = matrix(arena, op[X], rows * op[PLACES], width), matrix(arena, op[Y], rows * op[OUT_PLACES], width)
    dx, dy = (
        matrix(arena, op[DX], rows * op[PLACES], width),
        matrix(arena, op[DY], rows * op[OUT_PLACES], width),
    )
    left_over = vector(arena, op[SCRATCH], width)
    dx[:] = ZERO
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for j in range(op[OUT_ACROSS]):
                top, bottom, left, right = _bounds(op, i, j)
                window = (r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j
                left_over[:] = dy[window]
                for a in range(top, bottom):
                    for b in range(left, right):
                        at = (r * op[LINES] + a) * op[ACROSS] + b
                        for c in range(width):
                            v, w = x[at, c], y[window, c]
                            found = ONE if v == w or (v != v and w != w) else ZERO
                            dx[at, c] += found * left_over[c]
                            left_over[c] *= ONE - found


@helper
def _count(op: Ints, inside: int) -> Real:
    """By how many values the sum of a window is divided."""
    return ONE / np.float32(op[HIGH] * op[WIDE] if op[COUNTED] else inside)


@kernel(LAYER)
def pool_mean(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The mean of each window."""
    width = op[WIDTH]
    x, y = matrix(arena, op[X], rows * op[PLACES], width), matrix(arena, op[Y], rows * op[OUT_PLACES], width)
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for j in range(op[OUT_ACROSS]):
                top, bottom, left, right = _bounds(op, i, j)
                out = y[(r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j]
                share = _count(op, (bottom - top) * (right - left))
                out[:] = ZERO
                for a in range(top, bottom):
                    for b in range(left, right):
                        row = x[(r * op[LINES] + a) * op[ACROSS] + b]
                        for c in range(width):
                            out[c] += row[c]
                for c in range(width):
                    out[c] *= share


@kernel(LAYER)
def pool_mean_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Every value of a window gets its share."""
    width = op[WIDTH]
    dx, dy = (
        matrix(arena, op[DX], rows * op[PLACES], width),
        matrix(arena, op[DY], rows * op[OUT_PLACES], width),
    )
    dx[:] = ZERO
    for r in range(rows):
        for i in range(op[OUT_LINES]):
            for j in range(op[OUT_ACROSS]):
                top, bottom, left, right = _bounds(op, i, j)
                window = (r * op[OUT_LINES] + i) * op[OUT_ACROSS] + j
                share = _count(op, (bottom - top) * (right - left))
                for a in range(top, bottom):
                    for b in range(left, right):
                        at = (r * op[LINES] + a) * op[ACROSS] + b
                        for c in range(width):
                            dx[at, c] += share * dy[window, c]


@kernel(LAYER)
def whole_mean(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The mean over all places."""
    places, width = op[PLACES], op[WIDTH]
    x, y, share = (
        matrix(arena, op[X], rows * places, width),
        matrix(arena, op[Y], rows, width),
        ONE / np.float32(places),
    )
    for r in range(rows):
        y[r] = ZERO
        for p in range(places):
            for c in range(width):
                y[r, c] += x[r * places + p, c]
        for c in range(width):
            y[r, c] *= share


@kernel(LAYER)
def whole_mean_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Every place gets its share."""
    places, width = op[PLACES], op[WIDTH]
    dx, dy = matrix(arena, op[DX], rows * places, width), matrix(arena, op[DY], rows, width)
    share = ONE / np.float32(places)
    for r in range(rows):
        for p in range(places):
            for c in range(width):
                dx[r * places + p, c] = share * dy[r, c]


@kernel(LAYER)
def whole_max(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The largest value over all places."""
    places, width = op[PLACES], op[WIDTH]
    x, y = matrix(arena, op[X], rows * places, width), matrix(arena, op[Y], rows, width)
    for r in range(rows):
        y[r] = x[r * places]
        for p in range(1, places):
            for c in range(width):
                v = x[r * places + p, c]
                y[r, c] = v if v > y[r, c] or v != v else y[r, c]


@kernel(LAYER)
def whole_max_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Equal largest values share the gradient, as in PyTorch's ``amax``."""
    places, width = op[PLACES], op[WIDTH]
    x, y = matrix(arena, op[X], rows * places, width), matrix(arena, op[Y], rows, width)
    dx, dy = matrix(arena, op[DX], rows * places, width), matrix(arena, op[DY], rows, width)
    ties = vector(arena, op[SCRATCH], width)
    for r in range(rows):
        ties[:] = ZERO
        for p in range(places):
            for c in range(width):
                ties[c] += ONE if x[r * places + p, c] == y[r, c] else ZERO
        for p in range(places):
            for c in range(width):
                # times, so that nothing that is a number comes of one that is none
                found = ONE if x[r * places + p, c] == y[r, c] else ZERO
                dx[r * places + p, c] = dy[r, c] / ties[c] * found
