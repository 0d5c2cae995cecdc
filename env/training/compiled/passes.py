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
    uncounted,
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
    BITS,
    REPEATS,
    PATIENCE,
    NUMBERS,
) = range(32)
"""The plan of a training, whole numbers. Offsets: inputs, outputs, gradient by the outputs, gradient of the
weights, what has gathered of it where it is not the same (-1: it is), states of the optimizer, room for the
losses of rows. ``CLIP`` is 0, 1 (norm) or 2 (value); ``FRESH`` says that some gradient is never written;
``UPDATES`` may be done in all, ``DONE`` are. ``PIECE`` rows are validated at a time (0: not here);
``WEIGHED`` is the number of all weights; see ``_score`` for ``SCORED``. An epoch has so many ``BITS`` of
dropout; for ``REPEATS`` see ``epochs.repeats``; ``PATIENCE`` is that of the program, 0 where it has none. A
gradient of weights stands where its weights do."""
MEAN, BY_WEIGHT, SUM = range(3)
RATE, GAMMA, EPOCH_GAMMA, LIMIT, CUT, SIZE = range(6)
"""The learning rate, its factors after an update and after an epoch, the limit of the clipping, the output
above which one unit says yes, how many times its mean a loss is."""
FOUND = range(10)
TRAIN_LOSS, TRAIN_SCORE, HELD_LOSS, HELD_SCORE, PENALTY, WEIGHTS, SEEN, STILL, BEST, WAITED = FOUND
"""What an epoch finds out: losses without the penalty; scores, no numbers where they are none of class ids or
labels; the sum of the weights; rows that were trained on; whether no weight moved and no gradient is left;
the lowest validation loss so far with the penalty, and how many epochs ago that was."""
PART = types.Tuple((F4_2, F4_2, F4, I8_2))
"""Inputs, targets, weights (none where it is empty) and truth of some rows."""

_layer, _loss, _step = calling(LAYER), calling(OF_ROWS), calling(STEP)


@helper
def forward(arena: Floats, bits: Bits, table: Ints, rows: int, mode: int, start: int) -> None:
    """From the inputs of some rows to their outputs."""
    for i in range(table.shape[0]):
        _layer(table[i, FORWARD], (arena, bits, table[i], rows, mode, start))


@helper
def backward(arena: Floats, bits: Bits, table: Ints, rows: int, mode: int, start: int) -> None:
    """From the gradient by the outputs to that by the weights."""
    for i in range(table.shape[0]):
        _layer(table[i, BACKWARD], (arena, bits, table[i], rows, mode, start))


@helper
def loss_of(
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
    """As ``loss_of``, to be called for rows that are not trained on."""
    return loss_of(address, outputs, targets, weights, by_outputs, scratch, reduction, broadcast, scale)


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
        forward(arena, bits, table, rows, mode, 0)
        outputs[first : first + rows] = matrix(arena, plan[OUTPUTS], rows, units)


@kernel(types.void(F4, I2, I8_2, I8, F4_2, F4_2, INT, INT))
def evaluate(
    arena: Floats, bits: Bits, table: Ints, plan: Ints, x: Floats, outputs: Floats, mode: int, piece: int
) -> None:
    """Outputs (n, units) of rows (n, width), so many at a time."""
    _evaluate(arena, bits, table, plan, x, outputs, mode, piece)


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


@helper
def _stands_still(arena: Floats, plan: Ints, before: Floats) -> bool:
    """Whether all weights are as before, and no gradient is left."""
    for i in range(before.size):
        if arena[i] != before[i]:
            return False
    gradient = plan[GRADIENT] if plan[GATHERED] < 0 else plan[GATHERED]
    return not vector(arena, gradient, plan[TRAINED]).any()


@helper
def _is_last(plan: Ints, now: Doubles, before: Doubles) -> bool:
    """Whether the training diverged, will repeat the epoch before for good, or used up its patience."""
    loss = np.float32(now[TRAIN_LOSS] + now[PENALTY])
    held = np.float32(now[HELD_LOSS] + now[PENALTY])
    now[BEST], now[WAITED] = before[BEST], before[WAITED] + 1
    if held < before[BEST]:
        now[BEST], now[WAITED] = held, 0
    if not (np.isfinite(loss) and np.isfinite(held) and np.isfinite(now[WEIGHTS])):
        return True
    if now[STILL] and held == np.float32(before[HELD_LOSS] + before[PENALTY]):
        return True
    return plan[PATIENCE] > 0 and now[WAITED] >= plan[PATIENCE]  # type: ignore[no-any-return]


@kernel(INT(F4, I2, I8_2, I8_2, I8, PART, PART, I8_2, I8_2, F8_2, F8, F8, F4_2, F4_2, F4, F4, F8_2))
def epochs(
    arena: Floats,
    bits: Bits,
    table: Ints,
    back: Ints,
    plan: Ints,
    train: tuple[Floats, Floats, Floats, Ints],
    held: tuple[Floats, Floats, Floats, Ints],
    orders: Ints,
    ranges: Ints,
    penalties: Doubles,
    numbers: Doubles,
    rates: Doubles,
    outputs: Floats,
    held_outputs: Floats,
    some: Floats,
    before: Floats,
    found: Doubles,
) -> int:
    """Epochs one after the other, as long as there is anything to do.

    Args:
        arena, table, back, plan: see above.
        bits: those of the dropouts, epoch by epoch.
        train, held: rows that are trained on, and that are not.
        orders: numbers of the rows, by epoch.
        ranges, penalties: rows of the weights that are trained and penalised.
        numbers, rates: of the optimizer.
        outputs, held_outputs: get the outputs (n, units) of an epoch, those of the training in their order.
        some: room for targets and weights of a batch and their outputs' gradient.
        before: room for all weights where ``REPEATS``.
        found: the numbers of the epoch before; gets behind them those of each epoch.

    Returns:
        epochs that were done.
    """
    arena, bits, table, back = uncounted(arena), uncounted(bits), uncounted(table), uncounted(back)
    plan, numbers, rates, some = uncounted(plan), uncounted(numbers), uncounted(rates), uncounted(some)
    x, targets, weights, truth = train
    held_x, held_targets, held_weights, held_truth = held
    units, width, columns, size = plan[UNITS], plan[WIDTH], targets.shape[1], plan[BATCH]
    cut = np.float32(rates[CUT])
    for number in range(orders.shape[0]):
        if plan[REPEATS]:
            before[:] = arena[: plan[WEIGHED]]
        own_bits = bits[number * plan[BITS] : (number + 1) * plan[BITS]]
        order, now = orders[number], found[number + 1]
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
            forward(arena, own_bits, table, rows, plan[MODE], seen)
            if plan[FRESH]:
                vector(arena, plan[GRADIENT], plan[TRAINED])[:] = ZERO
            made = matrix(arena, plan[OUTPUTS], rows, units)
            whole += loss_of(
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
            backward(arena, own_bits, back, rows, plan[MODE], seen)
            outputs[seen : seen + rows] = made
            _update(arena, plan, ranges, penalties, numbers, rates)
            seen, batches = seen + rows, batches + 1
        now[TRAIN_LOSS] = whole / batches
        now[TRAIN_SCORE] = _score(outputs[:seen], truth, order, plan[SCORED], cut)
        total = ZERO
        for i in range(penalties.shape[0]):
            l1, l2 = np.float32(penalties[i, 2]), np.float32(penalties[i, 3])
            for j in range(np.int64(penalties[i, 0]), np.int64(penalties[i, 0] + penalties[i, 1])):
                total += l1 * abs(arena[j]) + l2 * arena[j] * arena[j]
        now[PENALTY], total = total, ZERO
        for j in range(plan[WEIGHED]):
            total += arena[j]
        now[WEIGHTS] = total
        if plan[PIECE]:
            _evaluate(arena, own_bits, table, plan, held_x, held_outputs, EVALUATION, plan[PIECE])
            now[HELD_LOSS] = loss_of(
                plan[LOSS],
                held_outputs,
                held_targets,
                held_weights,
                matrix(some, 0, held_x.shape[0], units),
                vector(arena, plan[SCRATCH], 4 * held_x.shape[0]),
                plan[HELD_REDUCTION],
                plan[BROADCAST],
                np.float32(rates[SIZE]),
            )
            now[HELD_SCORE] = _score(held_outputs, held_truth, order[:0], plan[SCORED], cut)
        now[SEEN] = seen
        rates[RATE] *= rates[EPOCH_GAMMA]
        if plan[REPEATS]:
            now[STILL] = _stands_still(arena, plan, before)
        if _is_last(plan, now, found[number]):
            return number + 1
    return orders.shape[0]  # type: ignore[no-any-return]
