"""Kernel of the attention itself: from queries, keys and values at each step to mixed values.

The projections, dropouts, sums and normalisations around it are operations of their own. Own numbers: heads,
whether steps see earlier ones only, first bit of the dropout (-1: none), largest bit that is kept, place of
the factor. Keeps the weights before the dropout (rows, heads, steps, steps).
"""

from __future__ import annotations

import numpy as np

from netmend.env.training.compiled.elementwise import soften
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
)
from netmend.env.training.compiled.jit import LAYER, helper, kernel

HEADS, CAUSAL, BIT, LIMIT, FACTOR = range(OWN, OWN + 5)


@helper
def _masked(weights: Floats, bits: Bits, op: Ints, head: int, factor: Real) -> None:
    """Dropout of the weights of a head; ``head`` counts the heads of all rows of the epoch."""
    size = op[PLACES] * op[PLACES]
    own, flat = bits[op[BIT] + head * size : op[BIT] + (head + 1) * size], weights.reshape(size)
    for i in range(size):
        flat[i] *= factor if own[i] <= op[LIMIT] else ZERO


@helper
def _take(
    arena: Floats, at: int, row: int, part: int, head: int, op: Ints, out: Floats, factor: Real
) -> None:
    """Queries (0), keys (1) or values (2) of a head; of outputs (-1) its own part."""
    steps, heads = op[PLACES], op[HEADS]
    size, parts = out.shape[1], (op[WIDTH] if part >= 0 else op[OUT_WIDTH]) // op[OUT_WIDTH]
    whole = block(arena, at + row * steps * parts * heads * size, steps, parts * heads, size)
    place = max(part, 0) * heads + head
    for s in range(steps):
        for c in range(size):
            out[s, c] = whole[s, place, c] * factor


@helper
def _put(arena: Floats, at: int, row: int, part: int, head: int, op: Ints, values: Floats) -> None:
    """The other way."""
    steps, heads, size = op[PLACES], op[HEADS], values.shape[1]
    parts = (op[WIDTH] if part >= 0 else op[OUT_WIDTH]) // op[OUT_WIDTH]
    whole = block(arena, at + row * steps * parts * heads * size, steps, parts * heads, size)
    place = max(part, 0) * heads + head
    for s in range(steps):
        for c in range(size):
            whole[s, place, c] = values[s, c]


@kernel(LAYER)
def attend(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Head by head: softmax of the products of queries and keys, times the values."""
    steps, heads, size = op[PLACES], op[HEADS], op[OUT_WIDTH] // op[HEADS]
    at, n = op[SCRATCH], steps * size
    q, k = matrix(arena, at, steps, size), matrix(arena, at + n, steps, size)
    v, out = matrix(arena, at + 2 * n, steps, size), matrix(arena, at + 3 * n, steps, size)
    dropped = matrix(arena, at + 4 * n, steps, steps)
    masks, scale = op[BIT] >= 0 and mode != EVALUATION, ONE / np.sqrt(np.float32(size))
    for r in range(rows):
        for h in range(heads):
            _take(arena, op[X], r, 0, h, op, q, scale)
            _take(arena, op[X], r, 1, h, op, k, ONE)
            _take(arena, op[X], r, 2, h, op, v, ONE)
            weights = matrix(arena, op[SAVED] + (r * heads + h) * steps * steps, steps, steps)
            np.dot(q, k.T, weights)
            if op[CAUSAL]:
                for s in range(steps):
                    weights[s, s + 1 :] = -np.float32(np.inf)
            soften(weights)
            if masks:
                dropped[:] = weights
                _masked(dropped, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
                np.dot(dropped, v, out)
            else:
                np.dot(weights, v, out)
            _put(arena, op[Y], r, -1, h, op, out)


@kernel(LAYER)
def attend_back(arena: Floats, bits: Bits, op: Ints, rows: int, mode: int, start: int) -> None:
    """Gradients of queries, keys and values."""
    steps, heads, size = op[PLACES], op[HEADS], op[OUT_WIDTH] // op[HEADS]
    at, n = op[SCRATCH], steps * size
    q, k = matrix(arena, at, steps, size), matrix(arena, at + n, steps, size)
    v, dy = matrix(arena, at + 2 * n, steps, size), matrix(arena, at + 3 * n, steps, size)
    part, by_weight = matrix(arena, at + 4 * n, steps, size), matrix(arena, at + 5 * n, steps, steps)
    dropped = matrix(arena, at + 5 * n + steps * steps, steps, steps)
    masks, scale = op[BIT] >= 0 and mode != EVALUATION, ONE / np.sqrt(np.float32(size))
    for r in range(rows):
        for h in range(heads):
            _take(arena, op[X], r, 0, h, op, q, ONE)
            _take(arena, op[X], r, 1, h, op, k, ONE)
            _take(arena, op[X], r, 2, h, op, v, ONE)
            _take(arena, op[DY], r, -1, h, op, dy, ONE)
            weights = matrix(arena, op[SAVED] + (r * heads + h) * steps * steps, steps, steps)
            dropped[:] = weights
            np.dot(dy, v.T, by_weight)
            if masks:
                _masked(dropped, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
                _masked(by_weight, bits, op, (start + r) * heads + h, arena[op[FACTOR]])
            np.dot(dropped.T, dy, part)
            _put(arena, op[DX], r, 2, h, op, part)
            for s in range(steps):
                inner = ZERO
                for t in range(steps):
                    inner += by_weight[s, t] * weights[s, t]
                for t in range(steps):
                    by_weight[s, t] = weights[s, t] * (by_weight[s, t] - inner) * scale
            np.dot(by_weight, k, part)
            _put(arena, op[DX], r, 0, h, op, part)
            np.dot(by_weight.T, q, part)
            _put(arena, op[DX], r, 1, h, op, part)
