"""A training whose epochs, passes and measurements are compiled; all else is the plain loop's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import (
    BOUNDS,
    LOGIT_LOSSES,
    BatchNorm,
    Embedding,
    Program,
    prepared_task,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import computes, walk_layers
from netmend.env.training.activations import FLAT
from netmend.env.training.building import Noise, parameter_specs
from netmend.env.training.compiled import passes
from netmend.env.training.compiled.fields import EVALUATION, REHEARSAL, TRAINING, Floats, Ints
from netmend.env.training.compiled.network import (
    CompiledNetwork,
    handed_ranges,
    penalty_rows,
    row_loss,
)
from netmend.env.training.compiled.steps import numbers
from netmend.env.training.compiled.table import NotMineError, Room
from netmend.env.training.epochs import refuse_non_finite, repeats
from netmend.env.training.measure import CHECK_ROWS, LayerCheck, WeightCheck, measured_layers, reading_point
from netmend.env.training.optimizers import Rate
from netmend.env.training.prepare import Labelled, PreparedCache
from netmend.env.training.scores import judge, predictions
from netmend.env.training.session import LARGEST_PASS, Session, random_stream
from netmend.env.training.trial import Budget
from netmend.env.training.update import Plateau, Update
from netmend.env.training.work import affordable, skips_last_row

LARGEST_ID = 2**24
"""Ids are kept as float32, which holds every whole number up to here."""
MOST_AXES = 3
"""Axes of a row, of an image at most."""
VALIDATED, LARGEST_PIECE = 2**17, 256
"""Values of a layer's outputs, and rows, that are validated at a time: they stay in the cache of a core."""
NONE = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class Rows:
    """As compiled code takes them.

    Attributes:
        x: inputs (n, values), features last.
        targets: (n, k).
        weights: (n), or none.
        truth: class ids (n, 1), labels (n, labels); none of real values.
    """

    x: Floats
    targets: Floats
    weights: Floats
    truth: Ints

    def part(self, weighs: bool = True) -> tuple[Floats, Floats, Floats, Ints]:
        """What ``passes.PART`` says."""
        return self.x, self.targets, self.weights if weighs else NONE, self.truth


_known: WeakKeyDictionary[Labelled, Rows] = WeakKeyDictionary()


def rows_of(part: Labelled) -> Rows:
    """The rows of a part, remembered as long as the part lives."""
    if part not in _known:
        targets = part.targets if part.targets.dim() > 1 else part.targets[:, None]
        weights = NONE if part.weights is None else part.weights.numpy()
        real = part.truth.is_floating_point()
        truth = np.empty((0, 0), np.int64) if real else part.truth.reshape(len(part.truth), -1).numpy()
        known = np.ascontiguousarray(targets.numpy(), np.float32)
        _known[part] = Rows(features_last(part.x), known, weights, truth)
    return _known[part]


def features_last(x: Tensor) -> Floats:
    """Rows (n, features, ...) as (n, values)."""
    last = x.movedim(1, -1) if x.dim() > 2 else x
    return np.ascontiguousarray(last.reshape(len(x), -1).numpy(), np.float32)


class CompiledSession(Session):
    """A training as ``Session``, in compiled code."""

    def __init__(
        self, program: Program, dataset: Dataset, budget: Budget, seed: int, device: str, cache: PreparedCache
    ) -> None:
        """As ``Session``.

        Raises:
            NotMineError: only the plain loop trains it, or says what is wrong with it.
        """
        self.phase = "build"
        self._plain = partial(Session, program, dataset, budget, seed, device, cache)
        self.program, self.dataset, self.task = program, dataset, dataset.task
        shaped = prepared_task(program, self.task)
        walk = walk_layers(program.layers, shaped.input_shape, shaped.vocabulary)
        _refuse(program, walk.shapes, dataset, device)
        self.data = cache.prepare(program, dataset, budget.samples, device)
        rows, loop = len(self.data.train.x), program.loop
        self.budget = affordable(program, self.task, rows, budget)
        if not self.budget.updates:
            raise NotMineError("too much work")
        self.planned = self.budget.epochs_of(program, rows)
        self.piece = max(1, LARGEST_PASS // walk.activations)
        self.noise, self.order = Noise(random_stream(seed, "noise")), random_stream(seed, "order")
        self._mode = EVALUATION if loop.evaluation_mode else REHEARSAL
        generator = random_stream(seed, "weights")
        started = [(spec, spec.start(generator)) for spec in parameter_specs(program.layers, shaped)]
        room = self._room(walk.shapes)
        # the plain loop asks for no more than these have
        self.network: CompiledNetwork = CompiledNetwork(  # type: ignore[assignment]
            program, walk.shapes, started, room, len(self.data.validation.x), self.noise
        )
        self._by_id = program.loss == "cross_entropy" and program.data.labels == "index"
        self._plan()
        self.update, self.objective = _Rates(program), _Held(self)  # type: ignore[assignment]
        self.penalty = _Penalties(self)  # type: ignore[assignment]
        self.measurements = Measured(self)  # type: ignore[assignment]
        self.curves, self.watched = [], []
        self.updates = self.rows = 0
        self._rates = {}
        self._repeats = repeats(program, rows, self.budget, self.planned)

    def _room(self, shapes: Sequence[Shape]) -> Room:
        """How many rows are taken at once; refuses what batch normalisation cannot take."""
        program, rows = self.program, len(self.data.train.x)
        batch = min(program.batch_size, rows)
        sizes = [batch] if program.loop.training_mode else []
        rest = rows % batch
        if sizes and rest and not (rest == 1 and skips_last_row(program, rows)):
            sizes.append(rest)
        held = 0
        if self._mode == REHEARSAL:
            own = self.data.own_validation
            parts = [len(self.data.validation.x), len(self.dataset.holdout)]
            parts += [] if own is None else [len(own.x)]
            held = min(self.piece, max(parts))
            sizes += [min(held, part) for part in parts] + [part % held for part in parts if part % held]
        else:
            fits = VALIDATED // max(map(math.prod, shapes))
            self.piece = min(self.piece, max(batch, CHECK_ROWS, min(fits, LARGEST_PIECE)))
        for shape, index in zip(shapes, range(len(program.layers)), strict=False):
            if (
                isinstance(computes(program.layers, index), BatchNorm)
                and min(sizes, default=2) * math.prod(shape[1:]) < 2
            ):
                raise NotMineError("a deviation of one value")
        learning = max(batch, min(CHECK_ROWS, rows))
        return Room(max(learning, held or self.piece), learning, max(rows, held))

    def _plan(self) -> None:
        """What the compiled epochs are told."""
        program, network, plan = self.program, self.network, self.network.plan
        train = rows_of(self.data.train)
        units = network.units
        batch, broadcast = min(program.batch_size, len(train.x)), self.data.preparation.broadcast
        parts = [self.data.train, self.data.validation]
        for part in [*parts, *([self.data.own_validation] if self.data.own_validation else [])]:
            _refuse_targets(rows_of(part).targets, units, by_id=self._by_id, broadcast=broadcast)
        self.mean = passes.BY_WEIGHT if self._by_id and train.weights.size else passes.MEAN
        sums = program.reduction == "sum"
        self.size = np.float32(1 if not sums else batch**2 if broadcast else batch)
        plan[passes.BATCH], plan[passes.LOSS], plan[passes.BROADCAST] = (
            batch,
            row_loss(program, self._by_id),
            broadcast,
        )
        plan[passes.MODE] = TRAINING if program.loop.training_mode else EVALUATION
        plan[passes.REDUCTION] = passes.SUM if sums else self.mean
        plan[passes.SKIPS_ONE] = skips_last_row(program, len(train.x))
        plan[passes.UPDATES] = self.budget.updates
        held, kind = rows_of(self.data.validation), self.task.kind
        plan[passes.PIECE] = self.piece if self._mode == EVALUATION else 0
        plan[passes.HELD_REDUCTION] = self.mean if program.loss in LOGIT_LOSSES else passes.MEAN
        if self.task.judged_by is None and kind != "regression":
            plan[passes.SCORED] = 2 if kind == "multilabel" or units == 1 else 1
        schedule = program.schedule
        gamma = schedule.gamma if schedule is not None and schedule.every == "update" else 1.0
        limit = 0.0 if program.clip is None else program.clip.limit
        self._step = np.array([program.optimizer.lr, gamma, limit, self.data.preparation.cut, self.size])
        self._seen = np.empty((len(train.x), units), np.float32)
        self._held = np.empty((len(held.x), units), np.float32)
        self.found = np.zeros(6)
        room = max(batch * (train.targets.shape[1] + 1), len(held.x) * units)
        self._before_order = network.arena, network.bits, network.table, network.back, plan
        self._before_order += train.part(), held.part(program.loss in LOGIT_LOSSES)  # type: ignore[assignment]
        self._behind_order = (
            handed_ranges(program, network),
            penalty_rows(network),
            numbers(program.optimizer),
            self._step,
            self._seen,
            self._held,
            np.empty(room, np.float32),
            self.found,
        )

    def _epoch(self) -> tuple[float, float]:  # type: ignore[override]
        """As ``Session._epoch``, as numbers; validates too."""
        order, plan, rate = self._row_order(), self.network.plan, self.update.rate
        if self.network.draws and plan[passes.MODE] == TRAINING:
            self.network.draw(self._sizes(order.shape[0]), order.shape[0])
        self._step[passes.RATE] = rate.value
        seen = passes.epoch(*self._before_order, order.numpy(), *self._behind_order)
        rate.value = float(self._step[passes.RATE])
        self.update.end_epoch()
        self.updates = int(plan[passes.DONE])
        self.rows += seen
        if not plan[passes.SCORED]:
            predicted = predictions(torch.from_numpy(self._seen[:seen]), self.data.preparation)
            judged = judge(predicted, self.data.train.truth[order[:seen]], self.task)
            self.found[passes.TRAIN_SCORE] = float(judged)
        return float(self.found[passes.TRAIN_LOSS]), float(self.found[passes.TRAIN_SCORE])

    def _sizes(self, rows: int) -> list[int]:
        """Rows of the batches of the next epoch."""
        size, left = int(self.network.plan[passes.BATCH]), self.budget.updates - self.updates
        sizes = [min(size, rows - first) for first in range(0, rows, size)]
        if sizes[-1] == 1 and self.network.plan[passes.SKIPS_ONE]:
            del sizes[-1]
        return sizes[:left]

    def _record(self, loss: float, score: float) -> None:  # type: ignore[override]
        held, found = self.data.validation, self.found
        if self._mode == REHEARSAL:
            self._held[:] = self._outputs(held.x)
            found[passes.HELD_LOSS] = self.objective.of_held(torch.from_numpy(self._held), held)
        if self._mode == REHEARSAL or not self.network.plan[passes.SCORED]:
            found[passes.HELD_SCORE] = float(judge(self._predicted, held.truth, self.task))
        penalty = found[passes.PENALTY]
        losses = np.array([loss + penalty, found[passes.HELD_LOSS] + penalty], np.float32).tolist()
        numbers = [losses[0], score, losses[1], float(found[passes.HELD_SCORE])]
        refuse_non_finite([*numbers, float(found[passes.WEIGHTS])])
        self.curves.append(numbers)
        if self.program.data.split != "none":
            self.update.look(numbers[2])
        self.watched.append(self._watch(numbers[2]))

    @property
    def _predicted(self) -> Tensor:  # type: ignore[override]
        return predictions(torch.from_numpy(self._held), self.data.preparation)

    def _outputs(self, x: Tensor) -> Tensor:
        known = rows_of(self.data.validation).x if x is self.data.validation.x else features_last(x)
        return torch.from_numpy(self.network.evaluate(known, self._mode, self.piece))

    def _try_rates(self) -> dict[str, float]:
        """As ``Session``, by one that goes no further: it is three updates."""
        return self._plain()._try_rates()

    def failing_layer(self) -> None:
        """No layer of a compiled network fails."""


class _Held:
    """The loss of rows that are not trained on, and of those of a check."""

    def __init__(self, session: CompiledSession) -> None:
        program, plan = session.program, session.network.plan
        self._loss = int(plan[passes.LOSS])
        self._broadcast, self._reduction = int(plan[passes.BROADCAST]), session.mean
        self._weighs, self._size = program.loss in LOGIT_LOSSES, session.size

    def of_held(self, outputs: Tensor, part: Labelled) -> float:
        """As ``Objective.of_held``."""
        rows = rows_of(part)
        weights = rows.weights if self._weighs else NONE
        reduction = self._reduction if weights.size else passes.MEAN
        return float(
            passes.total_loss(
                self._loss,
                outputs.numpy(),
                rows.targets,
                weights,
                np.empty_like(outputs.numpy()),
                np.empty(4 * len(rows.x), np.float32),
                reduction,
                self._broadcast,
                self._size,
            )
        )


class _Penalties:
    """What the penalties add to the loss."""

    def __init__(self, session: CompiledSession) -> None:
        self._found = session.found

    def value(self) -> float:
        """A number."""
        return float(self._found[passes.PENALTY])


class _Rates(Update):
    """The learning rate from epoch to epoch; the updates themselves are compiled."""

    def __init__(self, program: Program) -> None:
        self.rate, self._schedule = Rate(program.optimizer.lr), program.schedule
        waits = program.schedule is not None and program.schedule.every == "plateau"
        self._plateau = (
            Plateau(program.schedule, self.rate) if program.schedule is not None and waits else None
        )


class Measured:
    """As ``Measurements``, of a compiled network."""

    def __init__(self, session: CompiledSession) -> None:
        program, network = session.program, session.network
        self.layers = measured_layers(program)
        self._network, self._size = network, session.size
        rows = rows_of(session.data.train)
        self._x, self._targets = rows.x[:CHECK_ROWS], rows.targets[:CHECK_ROWS]
        self._weights = rows.weights[:CHECK_ROWS]
        kernels = {spec.layer: (at, spec) for spec, at in network.tensors if spec.name == "kernel"}
        looked, bounds = [], []
        for index in self.layers:
            (at, spec), (point, name) = kernels[index], reading_point(program, index)
            end = network.ends[point]
            first = int(network.plan[passes.GRADIENT]) + at if spec.trainable else -1
            looked.append((end.x, end.places, end.width, first, spec.size))
            low, high = BOUNDS.get(name, (0.0, 0.0)) if name != "softmax" else (0.0, 0.0)
            bounds.append(((low + high) / 2, FLAT * (high - low) / 2 if high > low else -1.0))
        self._looked = np.array(looked, np.int64).reshape(-1, 5)
        self._bounds = np.array(bounds, np.float32).reshape(-1, 2)
        self.found: list[Floats] = []

    def check(self) -> None:
        """Measure now; what has gathered of the gradient stays as it is."""
        network, rows = self._network, len(self._x)
        passes.rehearse(
            network.arena,
            network.bits,
            network.table,
            network.back,
            network.plan,
            self._x,
            self._targets,
            self._weights,
            self._size,
        )
        found = np.zeros((len(self.layers), 6), np.float32)
        passes.look(network.arena, self._looked, self._bounds, rows, found)
        self.found.append(found)

    def checks(self) -> tuple[tuple[LayerCheck, ...], ...]:
        """What every check saw of each layer."""
        return tuple(tuple(LayerCheck(*row) for row in found.tolist()) for found in self.found)

    def weights(self) -> tuple[WeightCheck, ...]:
        """What became of each weight tensor."""
        network, tensors = self._network, self._network.tensors
        places = np.array([[at, spec.size] for spec, at in tensors], np.int64)
        found = np.zeros((len(tensors), 2), np.float32)
        passes.compare(network.start, network.arena, places.reshape(-1, 2), found)
        return tuple(
            WeightCheck(spec.layer, spec.name, spec.size, *row)
            for (spec, _), row in zip(tensors, found.tolist(), strict=True)
        )


def _refuse(program: Program, shapes: Sequence[Shape], dataset: Dataset, device: str) -> None:
    layers = program.layers
    if device != "cpu":
        raise NotMineError("a device")
    if max(map(len, shapes)) > MOST_AXES or len(shapes[-1]) != 1:
        raise NotMineError("volumes, or outputs that are no vector")
    for index, shape in enumerate(shapes[1:]):
        layer = computes(layers, index)
        softmax = "softmax" in (getattr(layer, "activation", ""), getattr(layer, "function", ""))
        if program.api == "torch_1" and softmax and len(shape) == 2:
            raise NotMineError("a softmax over the rows of the batch")
        if isinstance(layer, Embedding):
            table = layer.inputs or dataset.task.vocabulary
            parts = (dataset.train.x, dataset.validation.x, dataset.holdout.x)
            if index or table > LARGEST_ID or any(x.min() < 0 or x.max() >= table for x in parts):
                raise NotMineError("ids that are not in the table")


def _refuse_targets(targets: Floats, units: int, *, by_id: bool, broadcast: bool) -> None:
    if by_id and (targets.shape[1] != 1 or targets.min() < 0 or targets.max() >= units):
        raise NotMineError("a class that has no output")
    if not by_id and targets.shape[1] != (1 if broadcast else units):
        raise NotMineError("targets of another shape than the outputs")
