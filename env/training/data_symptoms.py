"""What a program that monitors its data gets to see of them; each value goes into the symptom of its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.dataset import Dataset
from netmend.env.program.task import TaskKind
from netmend.env.training.prepare import Prepared
from netmend.env.training.scales import FLAT, Values, columns, moments

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
