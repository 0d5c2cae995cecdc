"""What a program measures of its data, classes and rates where it asks for it (see ``Monitor``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import Loop, Program, Task
from netmend.env.program.task import TaskKind
from netmend.env.training.building import Noise
from netmend.env.training.model import Parameters
from netmend.env.training.prepare import Prepared
from netmend.env.training.scales import FLAT, Values, columns, moments
from netmend.env.training.update import Penalty, Update

RATE_FACTORS = (0.1, 1.0, 10.0)
"""Shares of the learning rate that are tried out."""


def class_symptoms(predicted: Tensor, truth: Tensor, task: Task) -> dict[str, float]:
    """``worst_class`` and ``unpredicted`` of predictions; see ``Symptoms``.

    Args:
        predicted: class ids (n,), labels (n, labels), or real values (n, targets).
        truth: the same.
        task: of the data.
    """
    if task.kind == "regression":
        return {"worst_class": _worst_target(predicted, truth)}
    if task.kind == "classification":
        classes = range(task.outputs)
        said, true = ([ids == number for number in classes] for ids in (predicted, truth))
    else:
        said, true = list(predicted.bool().unbind(1)), list(truth.bool().unbind(1))
    recalls = [float(a[b].float().mean()) for a, b in zip(said, true, strict=True) if b.any()]
    unpredicted = [float(not a.any()) for a in said]
    return {
        "worst_class": 1 - min(recalls, default=1.0),
        "unpredicted": sum(unpredicted) / len(unpredicted),
    }


def _worst_target(predicted: Tensor, truth: Tensor) -> float:
    left = (predicted - truth).square().sum(0)
    total = (truth - truth.mean(0)).square().sum(0).clamp(min=1e-12)
    return float((left / total).nan_to_num(nan=1.0).max().clamp(0, 1))  # diverged: it predicts nothing


def rate_gain(before: float, after: Sequence[float]) -> float:
    """How much more ten times the rate gains in an update than a tenth of it, as a share of all gains.

    Args:
        before: the loss of the batch.
        after: its loss after one update with each of ``RATE_FACTORS``.
    """
    gains = [before - loss for loss in after]
    if not all(map(math.isfinite, gains)):
        return -1.0
    return (gains[-1] - gains[0]) / max(sum(map(abs, gains)), 1e-12)


def rate_symptoms(
    program: Program, parameters: Parameters, noise: Noise, batch_loss: Callable[[], Tensor]
) -> dict[str, float]:
    """``rate_gain`` of the weights as they are, by updates that are taken back.

    Args:
        program: whose optimizer, clipping and penalties are tried.
        parameters: weights of its network.
        noise: what the loss draws from; it is put back too.
        batch_loss: gives the loss of the batch as while training, a scalar, and leaves nothing behind.
    """
    values, gradient = parameters.values.clone(), parameters.gradient.clone()
    drawn, penalty = noise.generator.get_state(), Penalty(parameters)

    def loss() -> Tensor:
        noise.generator.set_state(drawn)
        return batch_loss()

    def measured() -> float:
        with torch.no_grad():
            return float(loss() + penalty.value())

    def after(factor: float) -> float:
        parameters.values.copy_(values)
        Update(_tried(program, factor), parameters, penalty)(loss())
        return measured()

    found = {"rate_gain": rate_gain(measured(), [after(factor) for factor in RATE_FACTORS])}
    parameters.values.copy_(values)
    parameters.gradient.copy_(gradient)
    noise.generator.set_state(drawn)
    return found


def _tried(program: Program, factor: float) -> Program:
    """The program with another rate, and with a loop that makes one plain update."""
    optimizer = replace(program.optimizer, lr=program.optimizer.lr * factor)
    loop = Loop(optimized=program.loop.optimized)
    return replace(program, optimizer=optimizer, schedule=None, loop=loop)


FAR = 5.0
"""Deviations from the mean beyond which a value is an outlier."""
LARGEST_IMBALANCE = 3.0


def data_symptoms(prepared: Prepared, dataset: Dataset) -> dict[str, float]:
    """The symptoms missing_values, outliers, imbalance and absent_targets of the data of one training.

    Args:
        prepared: what the program trains on.
        dataset: where it comes from.
    """
    truth: NDArray[np.int64] | NDArray[np.float32] = prepared.train.truth.cpu().numpy()
    tokens = prepared.preparation.tokens
    kind = dataset.task.kind
    return {
        "missing_values": prepared.missing_values,
        "outliers": 0.0 if tokens else outliers(prepared.train.x.cpu().numpy().astype(np.float64)),
        "imbalance": imbalance(truth) if kind == "classification" else 0.0,
        "absent_targets": _ABSENT[kind](truth, dataset),
    }


def outliers(x: Values) -> float:
    """Share of values over 5 deviations from the mean of their feature; NaN is none, infinity is one."""
    mean, deviation = moments(x)
    with np.errstate(invalid="ignore"):
        far = np.abs(columns(x) - mean) > FAR * np.maximum(deviation, FLAT)
    return float(far.mean())


def imbalance(ids: NDArray[np.generic]) -> float:
    """Log10 ratio of the commonest to the rarest class that there is, within [0, 3]."""
    counts = np.unique(ids, return_counts=True)[1]
    return min(float(np.log10(counts.max() / counts.min())), LARGEST_IMBALANCE)


def _absent_classes(ids: NDArray[np.generic], dataset: Dataset) -> float:
    return 1 - len(np.unique(ids)) / dataset.task.outputs


def _absent_labels(labels: NDArray[np.generic], _dataset: Dataset) -> float:
    """Share of the labels that are yes, or no, in every row."""
    return float((labels == labels[0]).all(0).mean())


def _absent_range(targets: NDArray[np.generic], dataset: Dataset) -> float:
    """Share of the range of the whole training part that the rows leave out, mean over targets."""
    whole = np.ptp(dataset.train.y, axis=0).astype(np.float64)
    left = np.ptp(targets, axis=0).astype(np.float64)
    varies = whole > FLAT
    return float((1 - left[varies] / whole[varies]).mean()) if varies.any() else 0.0


_ABSENT: dict[TaskKind, Callable[[NDArray[np.generic], Dataset], float]] = {
    "classification": _absent_classes,
    "multilabel": _absent_labels,
    "regression": _absent_range,
}
