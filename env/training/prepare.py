"""Data as the training sees them: the first rows of the training part, prepared, encoded, on the device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netmend.env.data.dataset import Dataset, Part, Rows
from netmend.env.program import Data, Embedding, LossName, Prep, Program, Task
from netmend.env.training.losses import encode

Values = NDArray[np.float64]
CACHED = 256
"""Prepared datasets that are kept; a repair trains on the same few again and again."""
FLAT = 1e-12
"""A feature that varies less than this is constant: it is shifted, but not scaled."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * factor + offset``, with arrays that broadcast over rows; every preparation step is one."""

    factor: Values
    offset: Values

    def __call__(self, x: Values) -> Values:
        """Apply it."""
        return x * self.factor + self.offset

    def then(self, other: Affine) -> Affine:
        """This one first, the other one after it."""
        return Affine(self.factor * other.factor, self.offset * other.factor + other.offset)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows of one part on the device.

    Attributes:
        x: prepared inputs, float32, or int64 token ids.
        targets: what the loss sees.
        truth: class ids (n,) int64, or targets (n, targets) float32 in their own units.
    """

    x: Tensor
    targets: Tensor
    truth: Tensor


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to the rows of any part, with statistics from the training rows.

    Attributes:
        inputs: preparation of the inputs; None leaves token ids as they are.
        targets: preparation of the targets of a regression.
        data, loss, task: what decides the encoding.
        device: where the tensors go.
    """

    inputs: Affine | None
    targets: Affine
    data: Data
    loss: LossName
    task: Task
    device: str

    def apply(self, part: Part) -> Labelled:
        """Rows ready for training or for scoring.

        Raises:
            CrashError: the label encoding does not fit the data.
        """
        truth = _tensor(part.y, self.device)
        seen = truth
        if self.task.kind == "regression":
            seen = _tensor(self.targets(_real(part.y)).astype(np.float32), self.device)
        ready = part.x if self.inputs is None else self.inputs(_real(part.x)).astype(np.float32)
        targets = encode(seen, self.data.labels, self.loss, self.task)
        return Labelled(_tensor(ready, self.device), targets, truth)

    def in_own_units(self, outputs: Tensor) -> Tensor:
        """Predictions of a regression in the units of the raw targets."""
        factor = torch.as_tensor(self.targets.factor, dtype=torch.float32, device=outputs.device)
        offset = torch.as_tensor(self.targets.offset, dtype=torch.float32, device=outputs.device)
        return (outputs - offset) / factor


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data of one training.

    Attributes:
        preparation: for further parts.
        train, validation: the rows.
        by_target: order of the training rows by target, for a program that does not shuffle.
        unscaled_inputs, input_spread, unscaled_targets: see ``Symptoms``.
        target_range: smallest and largest target of the training rows as the loss sees them.
    """

    preparation: Preparation
    train: Labelled
    validation: Labelled
    by_target: Tensor
    unscaled_inputs: float
    input_spread: float
    unscaled_targets: float
    target_range: tuple[float, float]


class PreparedCache:
    """Prepares data, and remembers the last ones."""

    def __init__(self, size: int = CACHED) -> None:
        self._size = size
        self._known: OrderedDict[Hashable, Prepared] = OrderedDict()

    def prepare(self, program: Program, dataset: Dataset, samples: int, device: str) -> Prepared:
        """As the function ``prepare``."""
        key = (dataset.fingerprint, program.data, program.loss, samples, _takes_tokens(program), device)
        if key not in self._known:
            self._known[key] = prepare(program, dataset, samples, device)
        self._known.move_to_end(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return self._known[key]


def prepare(program: Program, dataset: Dataset, samples: int, device: str) -> Prepared:
    """Data of one training: all statistics come from the first ``samples`` training rows only.

    Raises:
        CrashError: the label encoding does not fit the data.
    """
    rows = Part(dataset.train.x[:samples], dataset.train.y[:samples])
    preparation = _fit_all(program, dataset.task, rows, device)
    train = preparation.apply(rows)
    inputs = None if preparation.inputs is None else preparation.inputs(_real(rows.x))
    targets = preparation.targets(_real(rows.y)) if dataset.task.kind == "regression" else None
    first_target = rows.y if rows.y.ndim == 1 else rows.y[:, 0]
    return Prepared(
        preparation=preparation,
        train=train,
        validation=preparation.apply(dataset.validation),
        by_target=_tensor(np.argsort(first_target, kind="stable"), device),
        unscaled_inputs=0.0 if inputs is None else unscaled(inputs),
        input_spread=0.0 if inputs is None else spread(inputs),
        unscaled_targets=0.0 if targets is None else unscaled(targets),
        target_range=(float(train.targets.min()), float(train.targets.max())),
    )


def unscaled(x: Values) -> float:
    """How far rows are from unit scale; see ``Symptoms.unscaled_inputs``."""
    columns = _columns(x)
    largest = float(np.maximum(np.abs(columns.mean(0)), columns.std(0)).max())
    if 0.1 <= largest <= 3:
        return 0.0
    return float(np.clip(np.log10(max(largest, FLAT)), -6, 6))


def spread(x: Values) -> float:
    """Log10 ratio of the largest to the smallest non-zero deviation of a feature, within [0, 6]."""
    deviations = _columns(x).std(0)
    deviations = deviations[deviations > FLAT]
    if len(deviations) == 0:
        return 0.0
    return float(np.clip(np.log10(deviations.max() / deviations.min()), 0, 6))


def _fit_all(program: Program, task: Task, rows: Part, device: str) -> Preparation:
    on_targets = [step for step in program.data.prep if step.kind.endswith("_target")]
    on_inputs = [step for step in program.data.prep if not step.kind.endswith("_target")]
    inputs = None if _takes_tokens(program) and not on_inputs else _fit(on_inputs, _real(rows.x))
    targets = _fit(on_targets, _real(rows.y))
    return Preparation(inputs, targets, program.data, program.loss, task, device)


def _fit(steps: Sequence[Prep], x: Values) -> Affine:
    total = Affine(np.ones(()), np.zeros(()))
    for step in steps:
        total = total.then(_fit_step(step, total(x)))
    return total


def _fit_step(step: Prep, x: Values) -> Affine:
    if step.kind in ("scale", "scale_target"):
        return Affine(np.asarray(step.factor), np.zeros(()))
    if step.kind == "shift":
        return Affine(np.ones(()), np.asarray(step.factor))
    columns = _columns(x)
    if step.kind.startswith("standardize"):
        start, width = columns.mean(0), columns.std(0)
    else:
        start, width = columns.min(0), np.ptp(columns, axis=0)
    width = np.where(width < FLAT, 1.0, width)
    shape = (-1,) + (1,) * (x.ndim - 2)
    return Affine((1 / width).reshape(shape), (-start / width).reshape(shape))


def _takes_tokens(program: Program) -> bool:
    return bool(program.layers) and isinstance(program.layers[0], Embedding)


def _real(rows: Rows) -> Values:
    return rows.astype(np.float64)


def _columns(x: Values) -> Values:
    """Features as columns; rows, steps and pixels as rows."""
    wide = x[:, None] if x.ndim == 1 else x
    return np.moveaxis(wide, 1, -1).reshape(-1, wide.shape[1])


def _tensor(rows: NDArray[np.generic], device: str) -> Tensor:
    return torch.from_numpy(np.array(rows)).to(device)
