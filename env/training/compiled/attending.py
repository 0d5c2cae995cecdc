"""Kernel of the attention itself: from queries, keys and values at each step to mixed values.

The projections, dropouts, sums and normalisations around it are operations of their own. Own numbers: heads,
whether steps see earlier ones only, first bit of the dropout (-1: none), largest bit that is kept, place of
the factor. Keeps the weights before the dropout (rows, heads, keys, queries): with the queries last, what is
done for each of them is done for all at once.
"""

from __future__ import annotations

import numpy as np

from netmend.env.training.compiled.fields import (
    DX,
    DY,
    EVALUATION,
    ONE,
    OUT_WIDTH,
    OWN,
    PLACES,
    SAVED,
    SCRATCH,
    ZERO,
    Bits,
    Floats,
    Ints,
    Real,
    X,
    Y,
    block,
    exp,
    matrix,
    multiply,
    vector,
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

HEADS, CAUSAL, BIT, LIMIT, FACTOR = range(OWN, OWN + 5)


@helper
def _masked(weights: Floats, bits: Bits, op: Ints, head: int, factor: Real) -> None:
    """Dropout of the weights of a head; ``head`` counts the heads of all rows of the epoch."""
    steps = op[PLACES]
    own = bits[op[BIT] + head * steps * steps : op[BIT] + (head + 1) * steps * steps].reshape(steps, steps)
    for t in range(steps):
        for s in range(steps):
            weights[t, s] *= factor if own[s, t] <= op[LIMIT] else ZERO


@helper
def _soften(x: Floats, largest: Floats, total: Floats) -> None:
    """The softmax of each column, in its place."""
    largest[:] = x[0]
    total[:] = ZERO
    for r in range(1, x.shape[0]):
        for c in range(x.shape[1]):
            # what is no number may be lost here, but not below
            largest[c] = max(largest[c], x[r, c])
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[r, c] = exp(x[r, c] - largest[c])
        for c in range(x.shape[1]):
            total[c] += x[r, c]
    for c in range(x.shape[1]):
        total[c] = ONE / total[c]
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[r, c] *= total[c]


@helper
def _parts(arena: Floats, op: Ints, at: int, parts: int, row: int) -> Floats:
    """Steps, heads of each part (queries, keys, values, or the outputs alone), features of a head."""
    size = op[OUT_WIDTH] // op[HEADS]
    found: Floats = block(
        arena, at + row * op[PLACES] * parts * op[OUT_WIDTH], op[PLACES], parts * op[HEADS], size
    )
    return found


@kernel(LAYER)
def attend(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Head by head: softmax of the products of queries and keys, times the values."""
    steps, heads, at = op[PLACES], op[HEADS], op[SCRATCH]
    dropped = matrix(arena, at, steps, steps)
    largest, total = (
        vector(arena, at + steps * steps, steps),
        vector(arena, at + steps * steps + steps, steps),
    )
    masks, scale = op[BIT] >= 0 and mode != EVALUATION, ONE / np.sqrt(np.float32(op[OUT_WIDTH] // heads))
    for r in range(rows):
        x, y = _parts(arena, op, op[X], 3, r), _parts(arena, op, op[Y], 1, r)
        for h in range(heads):
            weights = matrix(arena, op[SAVED] + (r * heads + h) * steps * steps, steps, steps)
            multiply(x[:, heads + h], x[:, h].T, weights, scale, ZERO)
            if op[CAUSAL]:
                for t in range(steps):
                    weights[t, :t] = -np.float32(np.inf)
            _soften(weights, largest, total)
            if masks:
                dropped[:] = weights
                _masked(dropped, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
                weights = dropped
            multiply(weights.T, x[:, 2 * heads + h], y[:, h], ONE, ZERO)


@kernel(LAYER)
def attend_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of queries, keys and values."""
    steps, heads, at = op[PLACES], op[HEADS], op[SCRATCH]
    dropped, inner = matrix(arena, at, steps, steps), vector(arena, at + steps * steps, steps)
    by_weight = matrix(arena, at + steps * steps + steps, steps, steps)
    masks, scale = op[BIT] >= 0 and mode != EVALUATION, ONE / np.sqrt(np.float32(op[OUT_WIDTH] // heads))
    for r in range(rows):
        x, dx = _parts(arena, op, op[X], 3, r), _parts(arena, op, op[DX], 3, r)
        dy = _parts(arena, op, op[DY], 1, r)
        for h in range(heads):
            weights = matrix(arena, op[SAVED] + (r * heads + h) * steps * steps, steps, steps)
            passed = weights
            multiply(x[:, 2 * heads + h], dy[:, h].T, by_weight, ONE, ZERO)
            if masks:
                dropped[:] = weights
                _masked(dropped, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
                _masked(by_weight, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
                passed = dropped
            multiply(passed, dy[:, h], dx[:, 2 * heads + h], ONE, ZERO)
            inner[:] = ZERO
            for t in range(steps):
                for s in range(steps):
                    inner[s] += by_weight[t, s] * weights[t, s]
            for t in range(steps):
                for s in range(steps):
                    by_weight[t, s] = weights[t, s] * (by_weight[t, s] - inner[s])
            multiply(by_weight.T, x[:, heads + h], dx[:, h], scale, ZERO)
            multiply(by_weight, x[:, h], dx[:, heads + h], scale, ZERO)
