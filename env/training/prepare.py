"""Data as the training sees them: the program's training rows, prepared, encoded, on the device.

The rows go this way: the first ``samples`` rows of the training part, their damage, the program's own split
of them, balance, the steps in the order in which they stand, types. Whatever a program does to its rows and
labels, the truth of every part stays what the dataset says; of damaged training rows, what the damaged data
say, as for the program's author.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netmend.env.data.dataset import Dataset, Part, Rows
from netmend.env.program import (
    PREP_KINDS,
    Data,
    LossName,
    Prep,
    Program,
    Task,
    infer_shapes,
    prepared_task,
)
from netmend.env.program.crashes import broadcasts, seen_ids
from netmend.env.program.kinds import preps
from netmend.env.training.damage import damaged
from netmend.env.training.losses import encode
from netmend.env.training.prep_steps import Affine, Chain, Transform, chain, fit, through_half
from netmend.env.training.scales import Values, moments, spread, unscaled
from netmend.env.training.scores import cut

CACHED = 256
"""Prepared datasets that are kept; a repair trains on the same few again and again."""
ORDERED_SHARE = 0.8
"""Share of the training rows that an ordered split keeps."""
LEAKED_SHARE = 0.2
"""Share of the training rows that a leaky split puts into the program's own validation part as well."""
CACHED_BYTES = 2**29
"""Bytes of prepared rows that are kept: a resize can make much of a small dataset."""

_OF_REAL_TARGETS = preps("targets", "scale")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows of one part on the device.

    Attributes:
        x: prepared inputs, float32, or int64 token ids.
        targets: what the loss sees.
        truth: class ids (n,) or labels (n, labels) int64, or targets (n, targets) float32 in their own units.
        weights: what the loss of each row is multiplied by (n,), None where the program weighs no classes.
    """

    x: Tensor
    targets: Tensor
    truth: Tensor
    weights: Tensor | None = None

    def first(self, count: int) -> Labelled:
        """The first rows."""
        weights = None if self.weights is None else self.weights[:count]
        return Labelled(self.x[:count], self.targets[:count], self.truth[:count], weights)


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to rows, with statistics from the training rows.

    Attributes:
        inputs: preparation of the inputs.
        targets: preparation of the targets of a regression.
        ids: by class, the class id that the loss sees; None where none is changed.
        columns: of one-hot labels.
        tokens: whether rows stay token ids.
        data, loss, task: what decides the encoding.
        weights: weight of each class in the loss, None where they have none.
        broadcast: whether the targets are a vector that the loss broadcasts over its outputs.
        cut: see ``scores.cut``.
        device: where the tensors go.
    """

    inputs: Chain
    targets: Affine
    ids: NDArray[np.int64] | None
    columns: int
    tokens: bool
    data: Data
    loss: LossName
    task: Task
    weights: NDArray[np.float32] | None
    broadcast: bool
    cut: float
    device: str

    def apply(self, part: Part) -> Labelled:
        """Rows ready for training or for scoring."""
        ready = self.real_inputs(part.x)
        with np.errstate(over="ignore"):
            x = ready.astype(np.int64 if self.tokens else np.float32)
        kind = self.task.kind
        truth = _tensor(part.y.astype(np.int64) if kind == "multilabel" else part.y, self.device)
        seen = truth
        if kind == "regression":
            with np.errstate(over="ignore"):
                values = self.real_targets(part.y).astype(np.float32)
            seen = _tensor(values, self.device)
        elif kind == "multilabel":
            seen = truth.float()
        elif self.ids is not None:
            seen = _tensor(self.ids[part.y], self.device)
        targets = encode(seen, self.data.labels, self.loss, self.columns)
        if self.broadcast:
            targets = targets[:, 0]
        weights = None if self.weights is None else _tensor(self.weights[part.y], self.device)
        return Labelled(_tensor(x, self.device), targets, truth, weights)

    def real_inputs(self, x: Rows) -> Values:
        """Prepared inputs in the precision in which they are prepared."""
        return self.inputs(x.astype(np.float64))

    def real_targets(self, y: Rows) -> Values:
        """Prepared targets of a regression in the precision in which they are prepared."""
        return self.targets(y.astype(np.float64))

    def in_own_units(self, outputs: Tensor) -> Tensor:
        """Predictions of a regression in the units of the raw targets."""
        factor = torch.as_tensor(self.targets.factor, dtype=torch.float32, device=outputs.device)
        offset = torch.as_tensor(self.targets.offset, dtype=torch.float32, device=outputs.device)
        return (outputs - offset) / factor


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data of one training.

    Attributes:
        preparation: for further parts, and for predictions.
        train, validation: the rows.
        own_validation: the rows that a program with a leaky split takes for its validation part, else None.
        unshuffled: order of the training rows for a program that does not shuffle: by target, or as given.
        unscaled_inputs, input_spread, unscaled_targets: see ``Symptoms``.
        missing_values: share of the inputs of the raw training rows that are NaN or infinite.
        target_range: smallest and largest target of the training rows as the loss sees them.
    """

    preparation: Preparation
    train: Labelled
    validation: Labelled
    own_validation: Labelled | None
    unshuffled: Tensor
    unscaled_inputs: float
    input_spread: float
    unscaled_targets: float
    missing_values: float
    target_range: tuple[float, float]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        parts = [self.train, self.validation]
        return sum(part.x.nbytes + part.targets.nbytes for part in parts)


class PreparedCache:
    """Prepares data, and remembers the last ones, at most ``CACHED_BYTES`` of them."""

    def __init__(self, size: int = CACHED) -> None:
        self._size = size
        self._known: OrderedDict[Hashable, Prepared] = OrderedDict()
        self._bytes = 0

    def prepare(self, program: Program, dataset: Dataset, samples: int, device: str) -> Prepared:
        """As the function ``prepare``."""
        tokens = _takes_tokens(program, dataset.task)
        columns = _one_hot_columns(program, dataset.task)
        encoding = program.data, program.loss, program.class_weights, tokens, columns, cut(program)
        key = (dataset.fingerprint, encoding, samples, device)
        if key not in self._known:
            self._known[key] = prepare(program, dataset, samples, device)
            self._bytes += self._known[key].nbytes
        self._known.move_to_end(key)
        while len(self._known) > 1 and (len(self._known) > self._size or self._bytes > CACHED_BYTES):
            self._bytes -= self._known.popitem(last=False)[1].nbytes
        return self._known[key]


def prepare(program: Program, dataset: Dataset, samples: int, device: str) -> Prepared:
    """Data of one training: all statistics come from the program's training rows only.

    Args:
        program: one that ``resolved`` gave and that ``find_crash`` lets pass as far as its loss.
        dataset: its data.
        samples: training rows that it may use, the first ones.
        device: where the tensors go.
    """
    raw = training_rows(program.data, dataset, samples)
    rows = balanced(raw) if any(step.kind == "balance" for step in program.data.prep) else raw
    for_training, preparation = _fit_both(program, dataset.task, rows, device)
    train = for_training.apply(rows)
    leaked = Part(raw.x[: _leaked(raw)], raw.y[: _leaked(raw)])
    of_inputs = None if preparation.tokens else moments(for_training.real_inputs(rows.x))
    of_targets = moments(for_training.real_targets(rows.y)) if dataset.task.kind == "regression" else None
    return Prepared(
        preparation=preparation,
        train=train,
        validation=preparation.apply(dataset.validation),
        own_validation=preparation.apply(leaked) if program.data.split == "leaky" else None,
        unshuffled=_tensor(_unshuffled(program.data, rows), device),
        unscaled_inputs=0.0 if of_inputs is None else unscaled(*of_inputs),
        input_spread=0.0 if of_inputs is None else spread(of_inputs[1]),
        unscaled_targets=0.0 if of_targets is None else unscaled(*of_targets),
        missing_values=1 - float(np.isfinite(raw.x).mean()),
        target_range=(float(train.targets.min()), float(train.targets.max())),
    )


def training_rows(data: Data, dataset: Dataset, samples: int) -> Part:
    """The raw rows that a program trains on: the first ones, damaged, or what its split leaves of them."""
    rows = Part(dataset.train.x[:samples], dataset.train.y[:samples])
    if _as_given(data) and dataset.given is not None:
        order = np.argsort(dataset.given[:samples])
        rows = Part(rows.x[order], rows.y[order])
    rows = damaged(rows, data.damage, dataset.task.kind)
    if data.split != "ordered":
        return rows
    kept = np.argsort(_first_target(rows), kind="stable")[: max(1, int(ORDERED_SHARE * len(rows)))]
    if _as_given(data):
        kept = np.sort(kept)
    return Part(rows.x[kept], rows.y[kept])


def _as_given(data: Data) -> bool:
    return not data.shuffle and data.row_order == "given"


def _unshuffled(data: Data, rows: Part) -> NDArray[np.int64]:
    if _as_given(data):
        return np.arange(len(rows))
    return np.argsort(_first_target(rows), kind="stable")


def balanced(rows: Part) -> Part:
    """Rows of classes, followed by repetitions until every class is as frequent as the commonest."""
    members = [np.flatnonzero(rows.y == label) for label in np.unique(rows.y)]
    most = max(map(len, members))
    order = np.concatenate([np.arange(len(rows)), *(np.resize(own, most)[len(own) :] for own in members)])
    return Part(rows.x[order], rows.y[order])


def _fit_both(program: Program, task: Task, rows: Part, device: str) -> tuple[Preparation, Preparation]:
    """What is done to the training rows, and what to all others and to predictions."""
    prep = program.data.prep
    on_inputs = [step for step in prep if PREP_KINDS[step.kind].side == "inputs"]
    on_targets = [step for step in prep if step.kind in _OF_REAL_TARGETS and task.kind == "regression"]
    inputs = fit(on_inputs, rows.x.astype(np.float64))
    targets = fit(on_targets, rows.y.astype(np.float64))
    rounding: list[Transform] = [through_half] if program.data.input_type == "float16" else []
    for_training = Preparation(
        inputs=chain([*inputs, *rounding]),
        targets=_affine(targets),
        ids=_seen_ids(prep, task),
        columns=_one_hot_columns(program, task),
        tokens=_takes_tokens(program, task),
        data=program.data,
        loss=program.loss,
        task=task,
        weights=_class_weights(program, task, rows),
        broadcast=broadcasts(program, task),
        cut=cut(program),
        device=device,
    )
    if all(_for_all_rows(step) for step in prep):
        return for_training, for_training
    others = replace(
        for_training,
        inputs=chain([*_of_all_rows(on_inputs, inputs), *rounding]),
        targets=_affine(_of_all_rows(on_targets, targets)),
        ids=_seen_ids([step for step in prep if _for_all_rows(step)], task),
    )
    return for_training, others


def _for_all_rows(step: Prep) -> bool:
    """Whether validation and prediction get a step too; the shape of a row is the same for all."""
    return step.rows == "all" or PREP_KINDS[step.kind].for_all_rows


def _of_all_rows(steps: Sequence[Prep], transforms: Sequence[Transform]) -> list[Transform]:
    return [made for step, made in zip(steps, transforms, strict=True) if _for_all_rows(step)]


def _affine(transforms: Sequence[Transform]) -> Affine:
    """Steps of targets as one."""
    (whole,) = chain(transforms).parts
    assert isinstance(whole, Affine)
    return whole


def _seen_ids(prep: Sequence[Prep], task: Task) -> NDArray[np.int64] | None:
    """By class, the id that the loss sees after the label faults; None where there are none."""
    faults = [step for step in prep if PREP_KINDS[step.kind].new_id]
    if task.kind != "classification" or not faults:
        return None
    return np.array(seen_ids(faults, task.outputs), np.int64)


def _class_weights(program: Program, task: Task, rows: Part) -> NDArray[np.float32] | None:
    """Weight of each class; a class without a training row counts as one with a single row."""
    weights = program.class_weights
    if weights == "balanced":
        counts = np.bincount(rows.y, minlength=task.outputs).clip(1)
        return (len(rows) / (task.outputs * counts)).astype(np.float32)
    return None if weights is None else np.array(weights, np.float32)


def _one_hot_columns(program: Program, task: Task) -> int:
    """As many as the network has outputs; a sparse loss that was resolved takes more of them than classes."""
    if program.data.labels != "one_hot":
        return 0
    return infer_shapes(program.layers, prepared_task(program, task))[-1][0]


def _leaked(rows: Part) -> int:
    return max(1, int(LEAKED_SHARE * len(rows)))


def _first_target(rows: Part) -> Rows:
    return rows.y if rows.y.ndim == 1 else rows.y[:, 0]


def _takes_tokens(program: Program, task: Task) -> bool:
    return bool(program.layers) and program.layers[0].takes_ids and task.vocabulary > 0


def _tensor(rows: NDArray[np.generic], device: str) -> Tensor:
    return torch.from_numpy(np.array(rows)).to(device)
