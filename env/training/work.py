"""Stand-in: what a training will cost, until the module of this name is merged."""

from __future__ import annotations

import math

from netmend.env.program import Program, Task, multiply_accumulates
from netmend.env.training.trial import Budget


def planned_updates(program: Program, task: Task, rows: int, budget: Budget) -> int:
    """Updates that program and budget leave."""
    del task
    per_epoch = math.ceil(rows / min(program.batch_size, rows))
    return min(budget.epochs_of(program, rows) * per_epoch, budget.updates)


def training_work(program: Program, task: Task, rows: int, updates: int) -> float:
    """Millions of multiply-accumulates of so many updates."""
    return 3 * multiply_accumulates(program, task) * updates * min(program.batch_size, rows) / 1e6


def expected_seconds(program: Program, task: Task, rows: int, updates: int) -> float:
    """CPU seconds of a training on one core of an ordinary machine."""
    update = 1.5e-4 + 5e-5 * len(program.layers)
    return 0.02 + updates * update + training_work(program, task, rows, updates) / 5e3
