"""What a training will cost, counted before it starts: updates, multiply-accumulates, CPU time.

No torch here: plans are made where nothing is trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from netmend.env.program import Attention, BatchNorm, Program, Recurrent, Task, multiply_accumulates
from netmend.env.program.shapes import parameter_count, prepared_task, walk_layers
from netmend.env.training.trial import Budget

PASSES = 3
"""Forward passes that an update costs: its own, and a backward pass that counts as two."""

# What the plain loop takes on a core of an ordinary machine, in seconds: fitted to 106 programs of the suites
# and rounded up. The last three are of a million multiply-accumulates, values and weights.
PER_TRAINING, PER_UPDATE, PER_LAYER, PER_STEP = 6e-3, 2.5e-4, 5e-5, 7e-5
BLOCK_LAYERS = 10
"""Layers that an attention counts for: as many as it has operations to call."""
PER_PRODUCT, PER_VALUE, PER_WEIGHT = 4.5e-5, 3.5e-3, 5e-4


@dataclass(frozen=True)
class Pace:
    """How a program goes through its rows.

    Attributes:
        rows: training rows that an epoch uses.
        batch: rows of an update; the last of an epoch may have fewer.
    """

    rows: int
    batch: int

    @classmethod
    def of(cls, program: Program, rows: int) -> Pace:
        """The pace of a program with so many training rows."""
        batch = min(program.batch_size, rows)
        return cls(rows - 1 if skips_last_row(program, rows) else rows, batch)

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return math.ceil(self.rows / self.batch)

    def seen(self, updates: int) -> int:
        """Rows that so many updates see, each time they are seen."""
        epochs, rest = divmod(updates, self.updates)
        return epochs * self.rows + rest * self.batch

    def affordable(self, seen: float) -> int:
        """Most updates that see no more rows than that."""
        epochs, rest = divmod(seen, self.rows)
        return int(epochs) * self.updates + int(rest // self.batch)


def skips_last_row(program: Program, rows: int) -> bool:
    """Whether a left-over batch of one row is skipped, since batch normalisation could not take it."""
    left_over = rows > program.batch_size > 1 and rows % program.batch_size == 1
    return left_over and any(isinstance(layer, BatchNorm) for layer in program.layers)


def affordable(program: Program, task: Task, rows: int, budget: Budget) -> Budget:
    """The budget with no more updates than its work allows, 0 where not even one fits.

    Args:
        program: one whose layers fit, as in all of this module.
        task: what it has to do.
        rows: training rows that it has, after its preparation.
        budget: of one training.

    Raises:
        ShapeError, MisfitError: the layers do not fit.
    """
    operations = PASSES * multiply_accumulates(program, task)
    most = budget.work * 1e6 / operations if operations else math.inf
    pace, updates = Pace.of(program, rows), _updates(program, rows, budget)
    return budget if pace.seen(updates) <= most else replace(budget, updates=pace.affordable(most))


def planned_updates(program: Program, task: Task, rows: int, budget: Budget) -> int:
    """Updates that program and budget leave, if nothing ends the training early; 0: too much work for one."""
    return _updates(program, rows, affordable(program, task, rows, budget))


def training_work(program: Program, task: Task, rows: int, updates: int) -> float:
    """Millions of multiply-accumulates of so many updates. What a program monitors comes on top."""
    return PASSES * multiply_accumulates(program, task) * Pace.of(program, rows).seen(updates) / 1e6


def expected_seconds(program: Program, task: Task, rows: int, updates: int, held: int | None = None) -> float:
    """CPU seconds of a training on one core of an ordinary machine: 0.6 to 2.6 times what was measured.

    Args:
        program, task, rows: see ``affordable``.
        updates: that are planned.
        held: validation rows, which are scored after every epoch; None = as many as training rows.
    """
    pace, shaped = Pace.of(program, rows), prepared_task(program, task)
    epochs = math.ceil(updates / pace.updates)
    walk = walk_layers(program.layers, shaped.input_shape, shaped.vocabulary)
    steps = sum(
        shape[1] * layer.directions
        for layer, shape in zip(program.layers, walk.shapes, strict=False)
        if isinstance(layer, Recurrent)
    )
    values, products = walk.activations, multiply_accumulates(program, task)
    passed = PASSES * pace.seen(updates) + epochs * (rows if held is None else held)
    blocks = sum(isinstance(layer, Attention) for layer in program.layers)
    update = PER_UPDATE + PER_LAYER * (len(program.layers) + BLOCK_LAYERS * blocks) + PER_STEP * steps
    update += PER_WEIGHT * parameter_count(program, task) / 1e6
    return PER_TRAINING + updates * update + passed * (PER_PRODUCT * products + PER_VALUE * values) / 1e6


def _updates(program: Program, rows: int, budget: Budget) -> int:
    if not budget.updates:
        return 0
    return min(budget.epochs_of(program, rows) * Pace.of(program, rows).updates, budget.updates)
