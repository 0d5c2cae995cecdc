"""The loops of a training in compiled code: layers of a pass, rows of a loss, updates of an epoch."""

from __future__ import annotations

import numpy as np
from numba import types

from netmend.env.training.compiled.fields import (
    BACKWARD,
    EVALUATION,
    FORWARD,
    ONE,
    ZERO,
    Bits,
    Doubles,
    Floats,
    Ints,
    Real,
    matrix,
    vector,
)
from netmend.env.training.compiled.jit import (
    F4,
    F4_2,
    F8,
    F8_2,
    I2,
    I8,
    I8_2,
    INT,
    LAYER,
    LOSS as OF_ROWS,
    REAL,
    STEP,
    calling,
    helper,
    kernel,
)

(
    INPUTS,
    WIDTH,
    OUTPUTS,
    BY_OUTPUTS,
    UNITS,
    GRADIENT,
    GATHERED,
    FIRST_STATE,
    SECOND_STATE,
    TRAINED,
    BATCH,
    MODE,
    LOSS,
    REDUCTION,
    BROADCAST,
    SCRATCH,
    STEP_ADDRESS,
    CLIP,
    ZERO_GRAD,
    STEP_FIRST,
    FRESH,
    SKIPS_ONE,
    UPDATES,
    DONE,
    PIECE,
    WEIGHED,
    SCORED,
    HELD_REDUCTION,
    NUMBERS,
) = range(29)
"""The plan of a training, whole numbers. Offsets: inputs, outputs, gradient by the outputs, gradient of the
weights, what has gathered of it where it is not the same (-1: it is), states of the optimizer, room for the
losses of rows. ``CLIP`` is 0, 1 (norm) or 2 (value); ``FRESH`` says that some gradient is never written;
``UPDATES`` may be done in all, ``DONE`` are. ``PIECE`` rows are validated at a time (0: not here);
``WEIGHED`` is the number of all weights; see ``_score`` for ``SCORED``. A gradient of weights stands where
its weights do."""
MEAN, BY_WEIGHT, SUM = range(3)
RATE, GAMMA, LIMIT, CUT, SIZE = range(5)
"""The learning rate, its factor after an update, the limit of the clipping, the output above which one
unit says yes, how many times its mean a loss is."""
TRAIN_LOSS, TRAIN_SCORE, HELD_LOSS, HELD_SCORE, PENALTY, WEIGHTS = range(6)
"""What an epoch finds out; a score is not a number where it is none of class ids or labels."""
PART = types.Tuple((F4_2, F4_2, F4, I8_2))
"""Inputs, targets, weights (none where it is empty) and truth of some rows."""

_layer, _loss, _step = calling(LAYER), calling(OF_ROWS), calling(STEP)


@helper
def _forward(arena: Floats, bits: Bits, table: Ints, rows: int, mode: int, start: int) -> None:
    for i in range(table.shape[0]):
        _layer(table[i, FORWARD], (arena, bits, table[i], rows, mode, start))


@helper
def _backward(arena: Floats, bits: Bits, table: Ints, rows: int, mode: int, start: int) -> None:
    for i in range(table.shape[0]):
        _layer(table[i, BACKWARD], (arena, bits, table[i], rows, mode, start))


@helper
def _total(
    address: int,
    outputs: Floats,
    targets: Floats,
    weights: Floats,
    by_outputs: Floats,
    scratch: Floats,
    reduction: int,
    broadcast: int,
    scale: Real,
) -> Real:
    """The loss of some rows, as a mean, by weight or as a sum, times a scale; and its gradient.

    Summed in double precision: a loss that stands still must not rise and fall with the order of the rows.
    """
    n, total, whole = outputs.shape[0], 0.0, ZERO
    losses = scratch[:n]
    if broadcast:
        # the loss of a row is the mean over the targets of all rows
        same, slopes, own = scratch[n : 2 * n], scratch[2 * n : 3 * n], scratch[3 * n : 4 * n]
        for r in range(n):
            same[:] = outputs[r, 0]
            _loss(address, (same.reshape(n, 1), targets, slopes.reshape(n, 1), own))
            losses[r], by_outputs[r, 0] = own.sum() / np.float32(n), slopes.sum() / np.float32(n)
    else:
        _loss(address, (outputs, targets, by_outputs, losses))
    if reduction == BY_WEIGHT:
        for r in range(n):
            whole += weights[r]
    parts = whole if reduction == BY_WEIGHT else np.float32(n) if reduction == MEAN else ONE
    share = scale / parts
    for r in range(n):
        weight = weights[r] if weights.size else ONE
        for c in range(by_outputs.shape[1]):
            by_outputs[r, c] *= share * weight
        total += np.float64(weight) * np.float64(losses[r])
    return np.float32(total * np.float64(scale) / np.float64(parts))


@kernel(REAL(INT, F4_2, F4_2, F4, F4_2, F4, INT, INT, REAL))
def total_loss(
    address: int,
    outputs: Floats,
    targets: Floats,
    weights: Floats,
    by_outputs: Floats,
    scratch: Floats,
    reduction: int,
    broadcast: int,
    scale: float,
) -> Real:
    """As ``_total``, to be called for rows that are not trained on."""
    return _total(address, outputs, targets, weights, by_outputs, scratch, reduction, broadcast, scale)


@helper
def _evaluate(
    arena: Floats, bits: Bits, table: Ints, plan: Ints, x: Floats, outputs: Floats, mode: int, piece: int
) -> None:
    width, units = plan[WIDTH], plan[UNITS]
    for first in range(0, x.shape[0], piece):
        rows = min(piece, x.shape[0] - first)
        given = matrix(arena, plan[INPUTS], rows, width)
        for r in range(rows):
            for c in range(width):
                given[r, c] = x[first + r, c]
        _forward(arena, bits, table, rows, mode, 0)
        outputs[first : first + rows] = matrix(arena, plan[OUTPUTS], rows, units)


@kernel(types.void(F4, I2, I8_2, I8, F4_2, F4_2, INT, INT))
def evaluate(
    arena: Floats, bits: Bits, table: Ints, plan: Ints, x: Floats, outputs: Floats, mode: int, piece: int
) -> None:
    """Outputs (n, units) of rows (n, width), so many at a time."""
    _evaluate(arena, bits, table, plan, x, outputs, mode, piece)


@kernel(types.void(F4, I2, I8_2, I8_2, I8, F4_2, F4_2, F4, REAL))
def rehearse(
    arena: Floats,
    bits: Bits,
    table: Ints,
    back: Ints,
    plan: Ints,
    x: Floats,
    targets: Floats,
    weights: Floats,
    scale: float,
) -> None:
    """Both passes of a check, without an update: outputs of all layers, and the gradient of the weights."""
    rows, units = x.shape[0], plan[UNITS]
    matrix(arena, plan[INPUTS], rows, plan[WIDTH])[:] = x
    _forward(arena, bits, table, rows, EVALUATION, 0)
    vector(arena, plan[GRADIENT], plan[TRAINED])[:] = ZERO
    _total(
        plan[LOSS],
        matrix(arena, plan[OUTPUTS], rows, units),
        targets,
        weights,
        matrix(arena, plan[BY_OUTPUTS], rows, units),
        vector(arena, plan[SCRATCH], 4 * rows),
        BY_WEIGHT if plan[REDUCTION] == BY_WEIGHT else MEAN,
        plan[BROADCAST],
        scale,
    )
    _backward(arena, bits, back, rows, EVALUATION, 0)


@helper
def _clip(gradient: Floats, kind: int, limit: Real) -> None:
    if kind == 1:
        total = ZERO
        for i in range(gradient.size):
            total += gradient[i] * gradient[i]
        factor = limit / (np.sqrt(total) + np.float32(1e-6))
        factor = ONE if factor > ONE else factor
        for i in range(gradient.size):
            gradient[i] *= factor
    elif kind == 2:
        for i in range(gradient.size):
            v = limit if gradient[i] > limit else gradient[i]
            gradient[i] = -limit if v < -limit else v


@helper
def _penalise(arena: Floats, gradient: Floats, penalties: Doubles) -> None:
    """Add the gradient of the penalties: rows of first weight, number of weights, l1, l2."""
    for i in range(penalties.shape[0]):
        l1, l2 = np.float32(penalties[i, 2]), np.float32(2 * penalties[i, 3])
        for j in range(np.int64(penalties[i, 0]), np.int64(penalties[i, 0] + penalties[i, 1])):
            gradient[j] += l1 * np.sign(arena[j]) + l2 * arena[j]


@helper
def _optimize(
    arena: Floats, gradient: Floats, plan: Ints, ranges: Ints, numbers: Doubles, rates: Doubles
) -> None:
    """One step of what was handed to the optimizer: rows of first and last weight."""
    for i in range(ranges.shape[0]):
        first, last = ranges[i, 0], ranges[i, 1]
        _step(
            plan[STEP_ADDRESS],
            (
                arena[first:last],
                gradient[first:last],
                arena[plan[FIRST_STATE] + first : plan[FIRST_STATE] + last],
                arena[plan[SECOND_STATE] + first : plan[SECOND_STATE] + last],
                numbers,
                plan[DONE] + 1,
                rates[RATE],
            ),
        )


@helper
def _update(
    arena: Floats, plan: Ints, ranges: Ints, penalties: Doubles, numbers: Doubles, rates: Doubles
) -> None:
    """From the gradient of a batch to new weights, in the program's own order."""
    fresh = vector(arena, plan[GRADIENT], plan[TRAINED])
    _penalise(arena, fresh, penalties)
    limit = np.float32(rates[LIMIT])
    if plan[GATHERED] < 0:
        _clip(fresh, plan[CLIP], limit)
        _optimize(arena, fresh, plan, ranges, numbers, rates)
    else:
        gathered = vector(arena, plan[GATHERED], plan[TRAINED])
        if plan[ZERO_GRAD]:
            gathered[:] = ZERO
        if not plan[STEP_FIRST]:
            gathered += fresh
        _clip(gathered, plan[CLIP], limit)
        _optimize(arena, gathered, plan, ranges, numbers, rates)
        if plan[STEP_FIRST]:
            gathered += fresh
    rates[RATE] *= rates[GAMMA]
    plan[DONE] += 1


@helper
def _score(outputs: Floats, truth: Ints, order: Ints, kind: int, cut: Real) -> Real:
    """Share of what is right: 1 of the largest of several outputs, 2 of one output or of each label."""
    right = 0
    if kind == 0:
        return np.nan
    for r in range(outputs.shape[0]):
        row = order[r] if order.size else r
        if kind == 2:
            for c in range(outputs.shape[1]):
                right += np.int64(outputs[r, c] > cut) == truth[row, c]
            continue
        best = 0
        for c in range(outputs.shape[1]):
            v = outputs[r, c]
            best = c if v > outputs[r, best] or (v != v and outputs[r, best] == outputs[r, best]) else best
        right += best == truth[row, 0]
    return np.float32(right) / np.float32(outputs.shape[0] * (outputs.shape[1] if kind == 2 else 1))


@kernel(INT(F4, I2, I8_2, I8_2, I8, PART, PART, I8, I8_2, F8_2, F8, F8, F4_2, F4_2, F4, F8))
def epoch(
    arena: Floats,
    bits: Bits,
    table: Ints,
    back: Ints,
    plan: Ints,
    train: tuple[Floats, Floats, Floats, Ints],
    held: tuple[Floats, Floats, Floats, Ints],
    order: Ints,
    ranges: Ints,
    penalties: Doubles,
    numbers: Doubles,
    rates: Doubles,
    outputs: Floats,
    held_outputs: Floats,
    some: Floats,
    found: Doubles,
) -> int:
    """One pass over the rows in an order, and one over those that are validated on.

    Args:
        arena, bits, table, back, plan: see above.
        train, held: rows that are trained on, and that are not.
        order: numbers of the rows.
        ranges, penalties: rows of the weights that are trained and penalised.
        numbers, rates: of the optimizer.
        outputs, held_outputs: get the outputs (n, units), those of the training in their order.
        some: room for targets and weights of a batch and their outputs' gradient.
        found: gets the numbers above.

    Returns:
        rows that were trained on.
    """
    x, targets, weights, truth = train
    units, width, columns, size = plan[UNITS], plan[WIDTH], targets.shape[1], plan[BATCH]
    seen, batches, whole = 0, 0, 0.0
    while seen < order.size:
        rows = min(size, order.size - seen)
        if plan[DONE] == plan[UPDATES] or (rows == 1 and plan[SKIPS_ONE]):
            break
        given = matrix(arena, plan[INPUTS], rows, width)
        own = matrix(some, 0, rows, columns)
        weighed = vector(some, size * columns, rows if weights.size else 0)
        for r in range(rows):
            row = order[seen + r]
            for c in range(width):
                given[r, c] = x[row, c]
            for c in range(columns):
                own[r, c] = targets[row, c]
            if weights.size:
                weighed[r] = weights[row]
        _forward(arena, bits, table, rows, plan[MODE], seen)
        if plan[FRESH]:
            vector(arena, plan[GRADIENT], plan[TRAINED])[:] = ZERO
        made = matrix(arena, plan[OUTPUTS], rows, units)
        whole += _total(
            plan[LOSS],
            made,
            own,
            weighed,
            matrix(arena, plan[BY_OUTPUTS], rows, units),
            vector(arena, plan[SCRATCH], 4 * rows),
            plan[REDUCTION],
            plan[BROADCAST],
            np.float32(rows) if plan[REDUCTION] == SUM and plan[BROADCAST] else ONE,
        )
        _backward(arena, bits, back, rows, plan[MODE], seen)
        outputs[seen : seen + rows] = made
        _update(arena, plan, ranges, penalties, numbers, rates)
        seen, batches = seen + rows, batches + 1
    cut = np.float32(rates[CUT])
    found[TRAIN_LOSS] = whole / batches
    found[TRAIN_SCORE] = _score(outputs[:seen], truth, order, plan[SCORED], cut)
    total = ZERO
    for i in range(penalties.shape[0]):
        l1, l2 = np.float32(penalties[i, 2]), np.float32(penalties[i, 3])
        for j in range(np.int64(penalties[i, 0]), np.int64(penalties[i, 0] + penalties[i, 1])):
            total += l1 * abs(arena[j]) + l2 * arena[j] * arena[j]
    found[PENALTY], total = total, ZERO
    for j in range(plan[WEIGHED]):
        total += arena[j]
    found[WEIGHTS] = total
    if plan[PIECE]:
        x, targets, weights, truth = held
        _evaluate(arena, bits, table, plan, x, held_outputs, EVALUATION, plan[PIECE])
        found[HELD_LOSS] = _total(
            plan[LOSS],
            held_outputs,
            targets,
            weights,
            matrix(some, 0, x.shape[0], units),
            vector(arena, plan[SCRATCH], 4 * x.shape[0]),
            plan[HELD_REDUCTION],
            plan[BROADCAST],
            np.float32(rates[SIZE]),
        )
        found[HELD_SCORE] = _score(held_outputs, truth, order[:0], plan[SCORED], cut)
    return seen


@kernel(types.void(F4, I8_2, F4_2, INT, F4_2))
def look(arena: Floats, layers: Ints, bounds: Floats, rows: int, found: Floats) -> None:
    """The numbers of a ``LayerCheck`` for each layer, behind ``rehearse``.

    Args:
        arena: see above.
        layers: by layer, outputs, places, features, gradient of the kernel (-1: frozen), its size.
        bounds: by layer, middle and half width within which a bounded output is not flat (-1: not bounded).
        rows: of the check.
        found: gets six numbers for each layer.
    """
    for i in range(layers.shape[0]):
        places, width, size = layers[i, 1], layers[i, 2], layers[i, 4]
        x = matrix(arena, layers[i, 0], rows, places * width)
        total, zeros = ZERO, 0
        if layers[i, 3] >= 0:
            gradient = vector(arena, layers[i, 3], size)
            for j in range(size):
                total += gradient[j] * gradient[j]
                zeros += gradient[j] == ZERO
        dead, flat, whole, spread = 0, 0, ZERO, 0.0
        middle, half = bounds[i, 0], bounds[i, 1]
        for c in range(width):
            alive = 0
            for p in range(places):
                mean, square = 0.0, 0.0
                for r in range(rows):
                    v = x[r, p * width + c]
                    alive += v != ZERO
                    flat += abs(v - middle) > half
                    whole += abs(v)
                    mean += v
                # exact for equal values, whose deviation is 0
                mean /= rows
                for r in range(rows):
                    d = x[r, p * width + c] - mean
                    square += d * d
                spread += np.sqrt(square / rows)
            dead += alive == 0
        values = np.float32(rows * places * width)
        found[i, 0], found[i, 1] = np.sqrt(total), np.float32(zeros) / np.float32(max(size, 1))
        found[i, 2] = np.float32(dead) / np.float32(width)
        found[i, 3] = np.float32(flat) / values if half >= ZERO else ZERO
        found[i, 4], found[i, 5] = whole / values, np.float32(spread / (places * width))


@kernel(types.void(F4, F4, I8_2, F4_2))
def compare(start: Floats, values: Floats, tensors: Ints, found: Floats) -> None:
    """Largest magnitude and relative change of each tensor: rows of first value and size."""
    for i in range(tensors.shape[0]):
        largest, moved, before = ZERO, ZERO, ZERO
        for j in range(tensors[i, 0], tensors[i, 0] + tensors[i, 1]):
            v, d = abs(values[j]), values[j] - start[j]
            largest = v if v > largest or v != v else largest
            moved += d * d
            before += start[j] * start[j]
        floor, norm = np.float32(1e-12), np.sqrt(before)
        found[i, 0], found[i, 1] = largest, np.sqrt(moved) / (floor if norm < floor else norm)
