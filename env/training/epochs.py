"""What is decided after each epoch of a training, by the plain loop and by the compiled one alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from netmend.env.program import MetricName, Program
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.sites import dropout_rate
from netmend.env.training.scores import class_metric, metric
from netmend.env.training.trial import SKILL_FLOOR, Budget, Curves, DivergedError


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
    if math.isfinite(sum(numbers)):
        return
    names = ("training loss", "", "validation loss", "", "sum of the weights")
    for name, number in zip(names, numbers, strict=True):
        if name and not math.isfinite(number):
            raise DivergedError(f"the {name} is {number}")


def as_curves(rows: Sequence[Sequence[float]]) -> Curves:
    """Curves from one row of four numbers per epoch."""
    columns = [tuple(column) for column in zip(*rows, strict=True)] or [()] * 4
    names = ("train_loss", "train_score", "validation_loss", "validation_score")
    return Curves(**dict(zip(names, columns, strict=True)))


def out_of_patience(program: Program, watched: Sequence[float]) -> bool:
    """Whether the watched number of an epoch has not become smaller for as long as the program waits.

    Never without a validation part: Keras then warns and goes on.
    """
    if program.patience is None or program.data.split == "none":
        return False
    numbers = [math.inf if math.isnan(number) else number for number in watched]
    return len(numbers) - 1 - numbers.index(min(numbers)) >= max(program.patience, 1)


def watched_metric(name: MetricName, predicted: Tensor, truth: Tensor, outputs: int) -> float:
    """A metric of predictions, turned round where larger is better.

    Class ids and labels are taken as the numbers that they are where the metric is for real values; real
    values are never exactly right, so that their accuracy is 0, and so is every metric of classes.

    Args:
        name: of the metric.
        predicted, truth: class ids, labels or real values.
        outputs: number of classes or targets.
    """
    if name in CLASS_METRICS:
        return 0.0 if truth.is_floating_point() else -float(class_metric(name, predicted, truth, outputs))
    if name == "accuracy":
        return 0.0 if truth.is_floating_point() else -float(metric(predicted, truth))
    off = predicted.float() - truth.float()
    if name == "r2":
        return -float(metric(predicted.float(), truth.float()))
    return float((off.square() if name == "mse" else off.abs()).mean())
