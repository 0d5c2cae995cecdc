"""What a program's patience looks at: numbers of which smaller ones are better."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from netmend.env.program import MetricName, Program
from netmend.env.program.names import CLASS_METRICS
from netmend.env.training.scores import class_metric, metric


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
