"""What the plain loop and the groups say alike about the epochs of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netmend.env.program import Program
from netmend.env.program.sites import dropout_rate
from netmend.env.training.failures import DivergedError
from netmend.env.training.trial import SKILL_FLOOR, Budget, Curves


@dataclass(frozen=True)
class Score:
    """Validation skill and metric, and the hold-out skill where it was asked for; see ``Trial``."""

    skill: float = SKILL_FLOOR
    metric: float | None = None
    holdout: float | None = None


def repeats(program: Program, rows: int, budget: Budget, planned: int) -> bool:
    """Whether an epoch that changes no weight is like the one before: no noise, no statistics, equal batches.

    A left-over batch counts as much in the mean loss as a full one, and updates can end in the last epoch.
    """
    if any(layer.has_modes or dropout_rate(layer) for layer in program.layers):
        return False
    size = min(program.batch_size, rows)
    even = rows % size == 0 or not program.data.shuffle
    return even and planned * math.ceil(rows / size) <= budget.updates


def refuse_non_finite(numbers: Sequence[float]) -> None:
    """Raise ``DivergedError`` where a number of an epoch that must be finite is not.

    Args:
        numbers: the curves' four numbers and the sum of the weights.
    """
    names = ("training loss", "", "validation loss", "", "sum of the weights")
    for name, number in zip(names, numbers, strict=True):
        if name and not math.isfinite(number):
            raise DivergedError(f"the {name} is {number}")


def as_curves(rows: Sequence[Sequence[float]]) -> Curves:
    """Curves from one row of four numbers per epoch."""
    columns = [tuple(column) for column in zip(*rows, strict=True)] or [()] * 4
    names = ("train_loss", "train_score", "validation_loss", "validation_score")
    return Curves(**dict(zip(names, columns, strict=True)))
