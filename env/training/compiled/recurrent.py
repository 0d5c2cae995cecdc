"""Kernels of recurrent cells. A direction is an operation of its own; the gates stand as in PyTorch.

Own numbers: units, whether it reads from the end, whether it returns every state, the place of its own
features in the outputs, the kernel on the states, the bias on the states (-1: none).

Loops are short: one over more than a few places in memory is not vectorised, as it would have to be checked
whether they overlap.

What it keeps, each with the rows of a batch and for each step in the order of reading: inputs, gates, states
(with the one before the first step), and what the cell needs beside them: a GRU the part of its new state
that comes from the state, an LSTM its cells (with the one before the first step).
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
    OUT_WIDTH,
    OWN,
    PLACES,
    SAVED,
    SCRATCH,
    WIDTH,
    ZERO,
    Bits,
    Floats,
    Ints,
    X,
    Y,
    add_rows,
    block,
    matrix,
    sigmoid,
    sum_rows,
    tanh,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

UNITS, REVERSED, SEQUENCES, FIRST, STATE_KERNEL, STATE_BIAS = range(OWN, OWN + 6)


@helper
def _kept(arena: Floats, op: Ints, rows: int, gates: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Inputs in the order of reading; gates by step and row; states; what the cell needs beside them."""
    steps, width, units = op[PLACES], op[WIDTH], op[UNITS]
    n, at = steps * rows, op[SAVED]
    x = matrix(arena, at, n, width)
    g = block(arena, at + n * width, n, gates, units)
    at += n * (width + gates * units)
    states = matrix(arena, at, n + rows, units)
    return x, g, states, matrix(arena, at + (n + rows) * units, n + rows, units)


@helper
def _read(arena: Floats, op: Ints, rows: int, gates: int) -> None:
    """The kernel's part of the gates of all steps; states that start at 0."""
    steps, width, units = op[PLACES], op[WIDTH], op[UNITS]
    x, g, states, _ = _kept(arena, op, rows, gates)
    given = matrix(arena, op[X], rows * steps, width)
    for s in range(steps):
        t = steps - 1 - s if op[REVERSED] else s
        for r in range(rows):
            for c in range(width):
                x[s * rows + r, c] = given[r * steps + t, c]
    flat = g.reshape(steps * rows, gates * units)
    np.dot(x, matrix(arena, op[KERNEL], width, gates * units), flat)
    if op[BIAS] >= 0:
        add_rows(flat, vector(arena, op[BIAS], gates * units))
    states[:rows] = ZERO


@helper
def _from_state(arena: Floats, op: Ints, rows: int, gates: int, state: Floats) -> Floats:
    """The state's part of the gates of a step, in the scratch."""
    size = gates * op[UNITS]
    part = matrix(arena, op[SCRATCH], rows, size)
    np.dot(state, matrix(arena, op[STATE_KERNEL], op[UNITS], size), part)
    if op[BIAS] >= 0:
        add_rows(part, vector(arena, op[STATE_BIAS], size))
    found: Floats = block(arena, op[SCRATCH], rows, gates, op[UNITS])
    return found


@helper
def _write(arena: Floats, op: Ints, rows: int, states: Floats) -> None:
    """States where the layer returns them."""
    steps, units, place = op[PLACES], op[UNITS], op[FIRST]
    n = rows * steps if op[SEQUENCES] else rows
    y = block(arena, op[Y], n, op[OUT_WIDTH] // units, units)
    for s in range(0 if op[SEQUENCES] else steps - 1, steps):
        t = steps - 1 - s if op[REVERSED] else s
        for r in range(rows):
            row = r * steps + t if op[SEQUENCES] else r
            for c in range(units):
                y[row, place, c] = states[(s + 1) * rows + r, c]


@helper
def _take(arena: Floats, op: Ints, rows: int, s: int, carried: Floats) -> None:
    """Add what the outputs say about the state behind a step to what the later steps say."""
    steps, units, place = op[PLACES], op[UNITS], op[FIRST]
    if not op[SEQUENCES] and s < steps - 1:
        return
    t = steps - 1 - s if op[REVERSED] else s
    dy = block(arena, op[DY], rows * steps if op[SEQUENCES] else rows, op[OUT_WIDTH] // units, units)
    for r in range(rows):
        row = r * steps + t if op[SEQUENCES] else r
        for c in range(units):
            carried[r, c] += dy[row, place, c]


@helper
def _finish(arena: Floats, op: Ints, rows: int, gates: int, by_input: Floats, by_state: Floats) -> None:
    """From the gradients of the gates of all steps: those of kernels, biases and inputs."""
    steps, width, units = op[PLACES], op[WIDTH], op[UNITS]
    x, _, states, _ = _kept(arena, op, rows, gates)
    n, size = steps * rows, gates * units
    on_input, on_state = by_input.reshape(n, size), by_state.reshape(n, size)
    if op[GRADIENT]:
        shift = op[GRADIENT]
        np.dot(x.T, on_input, matrix(arena, op[KERNEL] + shift, width, size))
        np.dot(states[:n].T, on_state, matrix(arena, op[STATE_KERNEL] + shift, units, size))
        if op[BIAS] >= 0:
            sum_rows(on_input, vector(arena, op[BIAS] + shift, size))
            sum_rows(on_state, vector(arena, op[STATE_BIAS] + shift, size))
    if op[DX] < 0:
        return
    np.dot(on_input, matrix(arena, op[KERNEL], width, size).T, x)
    dx = matrix(arena, op[DX], rows * steps, width)
    for s in range(steps):
        t = steps - 1 - s if op[REVERSED] else s
        for r in range(rows):
            for c in range(width):
                dx[r * steps + t, c] = x[s * rows + r, c]


@helper
def _turned(arena: Floats, op: Ints, gates: int) -> Floats:
    """The kernel on the states (gates, units), turned once for all steps; at the start of the scratch."""
    units, size = op[UNITS], gates * op[UNITS]
    turned, kernel = matrix(arena, op[SCRATCH], size, units), matrix(arena, op[STATE_KERNEL], units, size)
    for c in range(size):
        for u in range(units):
            turned[c, u] = kernel[u, c]
    found: Floats = turned
    return found


@kernel(LAYER)
def rnn(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The plain cell with a tanh."""
    _read(arena, op, rows, 1)
    _, g, states, _ = _kept(arena, op, rows, 1)
    for s in range(op[PLACES]):
        part = _from_state(arena, op, rows, 1, states[s * rows : (s + 1) * rows])
        for r in range(rows):
            i = s * rows + r
            for c in range(op[UNITS]):
                states[i + rows, c] = tanh(g[i, 0, c] + part[r, 0, c])
    _write(arena, op, rows, states)


@kernel(LAYER)
def rnn_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end."""
    units = op[UNITS]
    _, g, states, _ = _kept(arena, op, rows, 1)
    flat, kernel = g.reshape(op[PLACES] * rows, units), _turned(arena, op, 1)
    carried = matrix(arena, op[SCRATCH] + units * units, rows, units)
    carried[:] = ZERO
    for s in range(op[PLACES] - 1, -1, -1):
        _take(arena, op, rows, s, carried)
        for r in range(rows):
            i = s * rows + r
            for c in range(units):
                flat[i, c] = carried[r, c] * (ONE - states[i + rows, c] * states[i + rows, c])
        np.dot(flat[s * rows : (s + 1) * rows], kernel, carried)
    _finish(arena, op, rows, 1, g, g)


@kernel(LAYER)
def gru(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gates: reset, update, new."""
    units = op[UNITS]
    _read(arena, op, rows, 3)
    _, g, states, news = _kept(arena, op, rows, 3)
    for s in range(op[PLACES]):
        part = _from_state(arena, op, rows, 3, states[s * rows : (s + 1) * rows])
        for r in range(rows):
            i = s * rows + r
            for c in range(units):
                g[i, 0, c] = sigmoid(g[i, 0, c] + part[r, 0, c])
            for c in range(units):
                g[i, 1, c] = sigmoid(g[i, 1, c] + part[r, 1, c])
            for c in range(units):
                news[i, c] = part[r, 2, c]
            for c in range(units):
                g[i, 2, c] = tanh(g[i, 2, c] + g[i, 0, c] * part[r, 2, c])
            for c in range(units):
                states[i + rows, c] = g[i, 2, c] + g[i, 1, c] * (states[i, c] - g[i, 2, c])
    _write(arena, op, rows, states)


@kernel(LAYER)
def gru_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end; the new gate's gradient on the state's side is its own, times the reset."""
    units, steps = op[UNITS], op[PLACES]
    _, g, states, news = _kept(arena, op, rows, 3)
    state_kernel, at = _turned(arena, op, 3), op[SCRATCH] + 3 * units * units
    carried = matrix(arena, at, rows, units)
    by_state = block(arena, at + rows * units, steps * rows, 3, units)
    flat = by_state.reshape(steps * rows, 3 * units)
    carried[:] = ZERO
    for s in range(steps - 1, -1, -1):
        _take(arena, op, rows, s, carried)
        for r in range(rows):
            i = s * rows + r
            for c in range(units):
                by_state[i, 2, c] = carried[r, c] * (ONE - g[i, 1, c]) * (ONE - g[i, 2, c] * g[i, 2, c])
            for c in range(units):
                by_state[i, 0, c] = by_state[i, 2, c] * news[i, c] * g[i, 0, c] * (ONE - g[i, 0, c])
            for c in range(units):
                slope = g[i, 1, c] * (ONE - g[i, 1, c])
                by_state[i, 1, c] = carried[r, c] * (states[i, c] - g[i, 2, c]) * slope
            for c in range(units):
                news[i, c] = carried[r, c] * g[i, 1, c]
            for c in range(units):
                g[i, 2, c] = by_state[i, 2, c]
                by_state[i, 2, c] *= g[i, 0, c]
            for c in range(units):
                g[i, 0, c] = by_state[i, 0, c]
            for c in range(units):
                g[i, 1, c] = by_state[i, 1, c]
        np.dot(flat[s * rows : (s + 1) * rows], state_kernel, carried)
        for r in range(rows):
            for c in range(units):
                carried[r, c] += news[s * rows + r, c]
    _finish(arena, op, rows, 3, g, by_state)


@kernel(LAYER)
def lstm(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gates: input, forget, new, output."""
    units = op[UNITS]
    _read(arena, op, rows, 4)
    _, g, states, cells = _kept(arena, op, rows, 4)
    cells[:rows] = ZERO
    for s in range(op[PLACES]):
        part = _from_state(arena, op, rows, 4, states[s * rows : (s + 1) * rows])
        for r in range(rows):
            i = s * rows + r
            for c in range(units):
                g[i, 0, c] = sigmoid(g[i, 0, c] + part[r, 0, c])
            for c in range(units):
                g[i, 1, c] = sigmoid(g[i, 1, c] + part[r, 1, c])
            for c in range(units):
                g[i, 2, c] = tanh(g[i, 2, c] + part[r, 2, c])
            for c in range(units):
                g[i, 3, c] = sigmoid(g[i, 3, c] + part[r, 3, c])
            for c in range(units):
                cells[i + rows, c] = g[i, 1, c] * cells[i, c] + g[i, 0, c] * g[i, 2, c]
            for c in range(units):
                states[i + rows, c] = g[i, 3, c] * tanh(cells[i + rows, c])
    _write(arena, op, rows, states)


@kernel(LAYER)
def lstm_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end."""
    units, steps = op[UNITS], op[PLACES]
    _, g, _, cells = _kept(arena, op, rows, 4)
    state_kernel, at = _turned(arena, op, 4), op[SCRATCH] + 4 * units * units
    carried, by_cell = matrix(arena, at, rows, units), matrix(arena, at + rows * units, rows, units)
    flat = g.reshape(steps * rows, 4 * units)
    carried[:] = ZERO
    by_cell[:] = ZERO
    for s in range(steps - 1, -1, -1):
        _take(arena, op, rows, s, carried)
        for r in range(rows):
            k = s * rows + r
            for c in range(units):
                flattened = tanh(cells[k + rows, c])
                by_cell[r, c] += carried[r, c] * g[k, 3, c] * (ONE - flattened * flattened)
            for c in range(units):
                g[k, 3, c] *= carried[r, c] * tanh(cells[k + rows, c]) * (ONE - g[k, 3, c])
            for c in range(units):
                i, new = g[k, 0, c], g[k, 2, c]
                g[k, 0, c] = by_cell[r, c] * new * i * (ONE - i)
                g[k, 2, c] = by_cell[r, c] * i * (ONE - new * new)
            for c in range(units):
                d, f = by_cell[r, c], g[k, 1, c]
                by_cell[r, c] = d * f
                g[k, 1, c] = d * cells[k, c] * f * (ONE - f)
        np.dot(flat[s * rows : (s + 1) * rows], state_kernel, carried)
    _finish(arena, op, rows, 4, g, g)
