"""Kernels of recurrent cells. A direction is an operation of its own; the gates stand as in PyTorch.

Own numbers: units, whether it reads from the end, whether it returns every state, the place of its own
features in the outputs, the kernel on the states, the bias on the states (-1: none).

Here the rows of the batch stand last: gates, states and kernels are laid out by feature, so that a gate of a
step is one long stretch of values. Each loop touches few such stretches: one over many is not vectorised, as
it would have to be checked whether they overlap.

What it keeps for each step in the order of reading: gates; states (with the one before the first step); what
the cell needs beside them: a GRU the part of its new state that comes from the state, an LSTM its cells (with
the one before the first step).
"""

# ruff: noqa: ARG001
from __future__ import annotations

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
    Real,
    X,
    Y,
    block,
    matrix,
    multiply,
    sigmoid,
    tanh,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

UNITS, REVERSED, SEQUENCES, FIRST, STATE_KERNEL, STATE_BIAS = range(OWN, OWN + 6)


@helper
def _gates(arena: Floats, op: Ints, rows: int, gates: int, s: int) -> Floats:
    """All gates of a step, one after the other."""
    size = gates * op[UNITS] * rows
    found: Floats = vector(arena, op[SAVED] + s * size, size)
    return found


@helper
def _state(arena: Floats, op: Ints, rows: int, gates: int, s: int) -> Floats:
    """The state before a step."""
    size = op[UNITS] * rows
    found: Floats = vector(arena, op[SAVED] + (op[PLACES] * gates + s) * size, size)
    return found


@helper
def _beside(arena: Floats, op: Ints, rows: int, gates: int, s: int) -> Floats:
    """What the cell needs beside the state before a step."""
    found: Floats = _state(arena, op, rows, gates, op[PLACES] + 1 + s)
    return found


@helper
def _inputs(arena: Floats, op: Ints, at: int, rows: int, s: int) -> Floats:
    """Inputs of a step, or their gradient: (rows, features)."""
    t = op[PLACES] - 1 - s if op[REVERSED] else s
    found: Floats = block(arena, at, rows, op[PLACES], op[WIDTH])[:, t]
    return found


@helper
def _outputs(arena: Floats, op: Ints, at: int, rows: int, s: int) -> Floats:
    """Where a step's state stands in the outputs, or their gradient: (rows, units)."""
    t = op[PLACES] - 1 - s if op[REVERSED] else s
    parts, steps = op[OUT_WIDTH] // op[UNITS], op[PLACES] if op[SEQUENCES] else 1
    found: Floats = block(arena, at, rows, steps * parts, op[UNITS])[
        :, (t if op[SEQUENCES] else 0) * parts + op[FIRST]
    ]
    return found


@helper
def _returned(op: Ints, s: int) -> bool:
    """Whether the layer returns the state behind a step."""
    return bool(op[SEQUENCES] or s == op[PLACES] - 1)


@helper
def _add_state(arena: Floats, op: Ints, rows: int, gates: int, s: int, first: int, out: Floats) -> None:
    """Add the state's part, the bias with it, to so many features of the gates as ``out`` has room for."""
    units, count = op[UNITS], out.size // rows
    into = out.reshape(count, rows)
    if op[BIAS] >= 0:
        bias = vector(arena, op[STATE_BIAS] + first, count)
        for i in range(count):
            for r in range(rows):
                into[i, r] += bias[i]
    state = _state(arena, op, rows, gates, s).reshape(units, rows)
    multiply(matrix(arena, op[STATE_KERNEL] + first * units, count, units), state, into, ONE, ONE)


@helper
def _read(arena: Floats, op: Ints, rows: int, gates: int, s: int) -> Floats:
    """Gates of a step, with the part that comes from the inputs."""
    count, width = gates * op[UNITS], op[WIDTH]
    g: Floats = _gates(arena, op, rows, gates, s)
    into = g.reshape(count, rows)
    if op[BIAS] >= 0:
        bias = vector(arena, op[BIAS], count)
        for i in range(count):
            into[i] = bias[i]
    x, kept = _inputs(arena, op, op[X], rows, s), ONE if op[BIAS] >= 0 else ZERO
    multiply(matrix(arena, op[KERNEL], count, width), x.T, into, ONE, kept)
    return g


@helper
def _write(arena: Floats, op: Ints, rows: int, s: int, state: Floats) -> None:
    """The state behind a step where the layer returns it."""
    if _returned(op, s):
        _outputs(arena, op, op[Y], rows, s)[:] = state.reshape(op[UNITS], rows).T


@helper
def _carried(arena: Floats, op: Ints, rows: int, s: int) -> Floats:
    """What outputs and later steps say about the state behind a step; at the start of the scratch."""
    carried = matrix(arena, op[SCRATCH], op[UNITS], rows)
    if s == op[PLACES] - 1:
        carried[:] = ZERO
    if _returned(op, s):
        carried += _outputs(arena, op, op[DY], rows, s).T
    flat: Floats = carried.reshape(carried.size)
    return flat


@helper
def _add_sums(gradient: Floats, by: Floats) -> None:
    """Add the sum over the rows."""
    for i in range(by.shape[0]):
        total = ZERO
        for r in range(by.shape[1]):
            total += by[i, r]
        gradient[i] += total


@helper
def _to_state(
    arena: Floats, op: Ints, rows: int, gates: int, s: int, first: int, by: Floats, kept: Real
) -> None:
    """From the gradient of some features of the gates to that of the state before, and of its kernel."""
    units, count, shift = op[UNITS], by.size // rows, op[GRADIENT]
    flat, at = by.reshape(count, rows), op[STATE_KERNEL] + first * units
    if shift:
        state = _state(arena, op, rows, gates, s).reshape(units, rows)
        more = ONE if s < op[PLACES] - 1 else ZERO
        multiply(flat, state.T, matrix(arena, at + shift, count, units), ONE, more)
        if op[BIAS] >= 0:
            _add_sums(vector(arena, op[STATE_BIAS] + shift + first, count), flat)
    carried = matrix(arena, op[SCRATCH], units, rows)
    multiply(matrix(arena, at, count, units).T, flat, carried, ONE, kept)


@helper
def _to_inputs(arena: Floats, op: Ints, rows: int, gates: int, s: int) -> None:
    """From the gradient of the gates of a step to those of inputs and kernel."""
    count, width, shift = gates * op[UNITS], op[WIDTH], op[GRADIENT]
    by = _gates(arena, op, rows, gates, s).reshape(count, rows)
    if shift:
        x, more = _inputs(arena, op, op[X], rows, s), ONE if s < op[PLACES] - 1 else ZERO
        multiply(by, x, matrix(arena, op[KERNEL] + shift, count, width), ONE, more)
        if op[BIAS] >= 0:
            _add_sums(vector(arena, op[BIAS] + shift, count), by)
    if op[DX] >= 0:
        kernel = matrix(arena, op[KERNEL], count, width)
        multiply(by.T, kernel, _inputs(arena, op, op[DX], rows, s), ONE, ZERO)


@helper
def _begin_back(arena: Floats, op: Ints, gates: int) -> None:
    """Sums over rows and steps start at 0."""
    if op[GRADIENT] and op[BIAS] >= 0:
        vector(arena, op[BIAS] + op[GRADIENT], gates * op[UNITS])[:] = ZERO
        vector(arena, op[STATE_BIAS] + op[GRADIENT], gates * op[UNITS])[:] = ZERO


@kernel(LAYER)
def rnn(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """The plain cell with a tanh."""
    _state(arena, op, rows, 1, 0)[:] = ZERO
    for s in range(op[PLACES]):
        g, state = _read(arena, op, rows, 1, s), _state(arena, op, rows, 1, s + 1)
        _add_state(arena, op, rows, 1, s, 0, g)
        for i in range(g.size):
            state[i] = tanh(g[i])
        _write(arena, op, rows, s, state)


@kernel(LAYER)
def rnn_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end."""
    _begin_back(arena, op, 1)
    for s in range(op[PLACES] - 1, -1, -1):
        g, state = _gates(arena, op, rows, 1, s), _state(arena, op, rows, 1, s + 1)
        carried = _carried(arena, op, rows, s)
        for i in range(g.size):
            g[i] = carried[i] * (ONE - state[i] * state[i])
        _to_inputs(arena, op, rows, 1, s)
        _to_state(arena, op, rows, 1, s, 0, g, ZERO)


@kernel(LAYER)
def gru(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gates: reset, update, new."""
    size = op[UNITS] * rows
    _state(arena, op, rows, 3, 0)[:] = ZERO
    for s in range(op[PLACES]):
        g, news = _read(arena, op, rows, 3, s), _beside(arena, op, rows, 3, s)
        both, reset, update, new = g[: 2 * size], g[:size], g[size : 2 * size], g[2 * size :]
        before, state = _state(arena, op, rows, 3, s), _state(arena, op, rows, 3, s + 1)
        _add_state(arena, op, rows, 3, s, 0, both)
        news[:] = ZERO
        _add_state(arena, op, rows, 3, s, 2 * op[UNITS], news)
        for i in range(both.size):
            both[i] = sigmoid(both[i])
        for i in range(size):
            new[i] = tanh(new[i] + reset[i] * news[i])
        for i in range(size):
            state[i] = new[i] + update[i] * (before[i] - new[i])
        _write(arena, op, rows, s, state)


@kernel(LAYER)
def gru_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end; the new gate's gradient on the state's side is its own, times the reset."""
    size = op[UNITS] * rows
    by_new = vector(arena, op[SCRATCH] + size, size)
    _begin_back(arena, op, 3)
    for s in range(op[PLACES] - 1, -1, -1):
        g, news = _gates(arena, op, rows, 3, s), _beside(arena, op, rows, 3, s)
        reset, update, new = g[:size], g[size : 2 * size], g[2 * size :]
        before, carried = _state(arena, op, rows, 3, s), _carried(arena, op, rows, s)
        for i in range(size):
            by_new[i] = carried[i] * (ONE - update[i]) * (ONE - new[i] * new[i])
        for i in range(size):
            u = update[i]
            update[i] = carried[i] * (before[i] - new[i]) * u * (ONE - u)
            carried[i] *= u
        for i in range(size):
            u = reset[i]
            reset[i] = by_new[i] * news[i] * u * (ONE - u)
            news[i] = by_new[i] * u
        new[:] = by_new
        _to_inputs(arena, op, rows, 3, s)
        _to_state(arena, op, rows, 3, s, 0, g[: 2 * size], ONE)
        _to_state(arena, op, rows, 3, s, 2 * op[UNITS], news, ONE)


@kernel(LAYER)
def lstm(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gates: input, forget, new, output."""
    size = op[UNITS] * rows
    _state(arena, op, rows, 4, 0)[:] = ZERO
    _beside(arena, op, rows, 4, 0)[:] = ZERO
    for s in range(op[PLACES]):
        g, state = _read(arena, op, rows, 4, s), _state(arena, op, rows, 4, s + 1)
        both, take, keep = g[: 2 * size], g[:size], g[size : 2 * size]
        new, give = g[2 * size : 3 * size], g[3 * size :]
        before, cell = _beside(arena, op, rows, 4, s), _beside(arena, op, rows, 4, s + 1)
        _add_state(arena, op, rows, 4, s, 0, g)
        for i in range(both.size):
            both[i] = sigmoid(both[i])
        for i in range(size):
            new[i] = tanh(new[i])
        for i in range(size):
            give[i] = sigmoid(give[i])
        for i in range(size):
            cell[i] = take[i] * new[i]
        for i in range(size):
            cell[i] += keep[i] * before[i]
        for i in range(size):
            state[i] = give[i] * tanh(cell[i])
        _write(arena, op, rows, s, state)


@kernel(LAYER)
def lstm_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Step by step from the end."""
    size = op[UNITS] * rows
    by_cell = vector(arena, op[SCRATCH] + size, size)
    by_cell[:] = ZERO
    _begin_back(arena, op, 4)
    for s in range(op[PLACES] - 1, -1, -1):
        g, carried = _gates(arena, op, rows, 4, s), _carried(arena, op, rows, s)
        take, keep, new, give = g[:size], g[size : 2 * size], g[2 * size : 3 * size], g[3 * size :]
        before, cell = _beside(arena, op, rows, 4, s), _beside(arena, op, rows, 4, s + 1)
        for i in range(size):
            flattened, u = tanh(cell[i]), give[i]
            by_cell[i] += carried[i] * u * (ONE - flattened * flattened)
            give[i] = carried[i] * flattened * u * (ONE - u)
        for i in range(size):
            u, v = take[i], new[i]
            take[i] = by_cell[i] * v * u * (ONE - u)
            new[i] = by_cell[i] * u * (ONE - v * v)
        for i in range(size):
            u = keep[i]
            keep[i] = by_cell[i] * before[i] * u * (ONE - u)
            by_cell[i] *= u
        _to_inputs(arena, op, rows, 4, s)
        _to_state(arena, op, rows, 4, s, 0, g, ZERO)
