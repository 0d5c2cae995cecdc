"""What a dataset is: three parts with raw values, and the task that they set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.errors import DataError
from netmend.env.program.names import ClassMetric
from netmend.env.program.part import changed
from netmend.env.program.task import Task, TaskKind

Rows: TypeAlias = NDArray[np.float32] | NDArray[np.int64]
Build: TypeAlias = Callable[[Generator], tuple[Rows, Rows]]

SPLIT_SEED = 2020
"""Seed of the shuffle behind every split; another one would make every recorded trial another trial."""
LEAST_SPLIT = 20
"""Rows from which on some are set aside; fewer, as a truth table has, are all in every part."""
LARGEST_PART = 400
"""Rows of the validation and of the hold-out part at most, where the split is netmend's own."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one part. Cached and shared: not to be written to.

    Attributes:
        x: float32 values on their raw scale, NaN where they are missing, or int64 token ids; shape
            (n, \\*Task.input_shape).
        y: int64 class ids (n,); float32 labels (n, labels) of 0 and 1; or float32 targets (n, targets) in
            their own units. All finite.
    """

    x: Rows
    y: Rows

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset with its fixed split; the training rows come shuffled, so that the first n are a fair sample.

    Attributes:
        task: what has to be learnt.
        train, validation, holdout: the parts; they share no row, but for tables of a handful of rows.
        fingerprint: sha256 of the task and of every value, in hex; names do not count.
        features: names of the columns of a table, none where the data have none.
        given: place of each training row in the file, None where they come as they stand there.
    """

    task: Task
    train: Part
    validation: Part
    holdout: Part
    fingerprint: str
    features: tuple[str, ...] = ()
    given: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Source:
    """Where a built-in dataset comes from.

    Attributes:
        build: gives (x, y) before the split; all randomness comes from its argument.
        kind: classification, multilabel or regression.
        vocabulary: number of token ids of texts, else 0.
        own_rows: every row is in all three parts: a truth table, which is to be learnt by heart, and data on
            whose training rows their authors measured.
        judged_by: see ``Task.judged_by``.
        steps: of targets at each step of a sequence, their number, else 0; see ``Task.steps``.
    """

    build: Build
    kind: TaskKind
    vocabulary: int = 0
    own_rows: bool = False
    judged_by: ClassMetric | None = None
    steps: int = 0


def make_dataset(
    task: Task,
    train: Part,
    validation: Part,
    holdout: Part,
    *,
    features: tuple[str, ...] = (),
    given: NDArray[np.int64] | None = None,
) -> Dataset:
    """Put the parts together and take the fingerprint."""
    digest = hashlib.sha256(repr(task).encode())
    if task.steps:
        digest.update(f"targets at each of {task.steps} steps".encode())
    for part in (train, validation, holdout):
        digest.update(np.ascontiguousarray(part.x).data)
        digest.update(np.ascontiguousarray(part.y).data)
    return Dataset(task, train, validation, holdout, digest.hexdigest(), features, given)


def split_rows(task: Task, x: Rows, y: Rows, features: tuple[str, ...] = ()) -> Dataset:
    """Shuffle with the fixed seed; a quarter each, capped, becomes the validation and the hold-out part.

    Fewer rows than ``LEAST_SPLIT`` are in every part, as they stand.
    """
    if len(y) < LEAST_SPLIT:
        whole = Part(x, y)
        return make_dataset(task, whole, whole, whole, features=features)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(y))
    held = min(len(y) // 4, LARGEST_PART)
    rows = order[2 * held :], order[:held], order[held : 2 * held]
    train, validation, holdout = [Part(x[index], y[index]) for index in rows]
    return make_dataset(task, train, validation, holdout, features=features, given=order[2 * held :])


def judged(dataset: Dataset, metric: ClassMetric | None) -> Dataset:
    """The same data, judged by another metric; None leaves that of the task.

    Raises:
        DataError: the metric is for classes and labels, and the targets are real values.
    """
    return dataset if metric is None else replace(dataset, task=judged_task(dataset.task, metric))


def judged_task(task: Task, metric: ClassMetric | None) -> Task:
    """As ``judged``, of a task alone."""
    if metric is None:
        return task
    if task.kind == "regression":
        raise DataError(
            f"{task.dataset}: {metric} is for classes and labels, but the targets are real values"
        )
    return changed(task, judged_by=metric)


def make_task(name: str, kind: TaskKind, x: Rows, outputs: int, vocabulary: int = 0, steps: int = 0) -> Task:
    """Task of rows ``x``."""
    shape = x.shape[1:]
    return Task(
        dataset=name, kind=kind, input_shape=shape, outputs=outputs, vocabulary=vocabulary, steps=steps
    )
