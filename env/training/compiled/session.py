"""A training whose epochs, passes and measurements are compiled; all else is the plain loop's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from netmend.env.data.dataset import Dataset, Part
from netmend.env.program import (
    LOGIT_LOSSES,
    BatchNorm,
    Embedding,
    Program,
    prepared_task,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import computes, walk_layers
from netmend.env.training.building import Noise
from netmend.env.training.compiled import passes
from netmend.env.training.compiled.checks import Measured
from netmend.env.training.compiled.fields import EVALUATION, REHEARSAL, TRAINING, Floats, Ints
from netmend.env.training.compiled.network import CompiledNetwork, Wanted, laid_out, row_loss
from netmend.env.training.compiled.steps import numbers
from netmend.env.training.compiled.table import NotMineError, Room
from netmend.env.training.epochs import refuse_non_finite, repeats
from netmend.env.training.measure import CHECK_ROWS, check_epochs
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
LARGEST_ORDER = 2**16
"""Numbers of rows that are drawn at once, as far as that takes more than an epoch."""
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
        lowest, highest: target.
    """

    x: Floats
    targets: Floats
    weights: Floats
    truth: Ints
    lowest: float
    highest: float

    def part(self, weighs: bool = True) -> tuple[Floats, Floats, Floats, Ints]:
        """What ``passes.PART`` says."""
        return self.x, self.targets, self.weights if weighs else NONE, self.truth


_known: WeakKeyDictionary[Labelled, Rows] = WeakKeyDictionary()


def rows_of(part: Labelled) -> Rows:
    """The rows of a part, remembered as long as the part lives."""
    rows = _known.get(part)
    if rows is None:
        targets = part.targets if part.targets.dim() > 1 else part.targets[:, None]
        weights = NONE if part.weights is None else part.weights.numpy()
        real = part.truth.is_floating_point()
        truth = np.empty((0, 0), np.int64) if real else part.truth.reshape(len(part.truth), -1).numpy()
        known = np.ascontiguousarray(targets.numpy(), np.float32)
        ends = float(known.min(initial=np.inf)), float(known.max(initial=-np.inf))
        rows = _known[part] = Rows(features_last(part.x), known, weights, truth, *ends)
    return rows


def features_last(x: Tensor) -> Floats:
    """Rows (n, features, ...) as (n, values)."""
    last = x.movedim(1, -1) if x.dim() > 2 else x
    return np.ascontiguousarray(last.reshape(len(x), -1).numpy(), np.float32)


class CompiledSession(Session):
    """A training as ``Session``, in compiled code.

    Attributes:
        now: what the epoch that is recorded has found out, see ``passes.FOUND``.
    """

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
        rows = len(self.data.train.x)
        self.budget = affordable(program, self.task, rows, budget)
        if not self.budget.updates:
            raise NotMineError("too much work")
        self.planned = self.budget.epochs_of(program, rows)
        self.piece = max(1, LARGEST_PASS // walk.activations)
        self.noise, self.order = Noise(random_stream(seed, "noise")), random_stream(seed, "order")
        self._mode = EVALUATION if program.loop.evaluation_mode else REHEARSAL
        self._repeats = repeats(program, rows, self.budget, self.planned)
        room, held = self._room(walk.shapes), len(self.data.validation.x)
        layout = laid_out(Wanted(program.layers, shaped, program.loop, room, held, program))
        # the plain loop asks for no more than these have
        self.network: CompiledNetwork = CompiledNetwork(  # type: ignore[assignment]
            program, layout, random_stream(seed, "weights"), self.noise
        )
        self._by_id = program.loss == "cross_entropy" and program.data.labels == "index"
        self._plan()
        train = rows_of(self.data.train)
        checked = train.x[:CHECK_ROWS], train.targets[:CHECK_ROWS], train.weights[:CHECK_ROWS]
        self.update, self.objective = _Rates(program), _Held(self)  # type: ignore[assignment]
        self.penalty = _Penalties(self)  # type: ignore[assignment]
        self.measurements = Measured(self.network, checked, self.size)  # type: ignore[assignment]
        self.curves, self.watched, self._rates = [], [], {}
        self.rows = self._trained = self._place = 0

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
            _refuse_targets(rows_of(part), units, by_id=self._by_id, broadcast=broadcast)
        self.mean = passes.BY_WEIGHT if self._by_id and train.weights.size else passes.MEAN
        sums = program.reduction == "sum"
        self.size = np.float32(1 if not sums else batch**2 if broadcast else batch)
        plan[passes.BATCH], plan[passes.BROADCAST] = batch, broadcast
        plan[passes.LOSS] = row_loss(program, self._by_id)
        plan[passes.MODE] = TRAINING if program.loop.training_mode else EVALUATION
        plan[passes.REDUCTION] = passes.SUM if sums else self.mean
        plan[passes.SKIPS_ONE] = skips_last_row(program, len(train.x))
        plan[passes.UPDATES] = self.budget.updates
        held, kind = rows_of(self.data.validation), self.task.kind
        plan[passes.PIECE] = self.piece if self._mode == EVALUATION else 0
        plan[passes.HELD_REDUCTION] = self.mean if program.loss in LOGIT_LOSSES else passes.MEAN
        self._scored = self.task.judged_by is None and kind != "regression"
        if self._scored:
            plan[passes.SCORED] = 2 if kind == "multilabel" or units == 1 else 1
        plan[passes.REPEATS] = self._repeats
        waits = program.patience is not None and program.data.split != "none"
        plan[passes.PATIENCE] = max(program.patience or 1, 1) if waits else 0
        schedule = program.schedule
        gamma, every = (1.0, "") if schedule is None else (schedule.gamma, schedule.every)
        limit = 0.0 if program.clip is None else program.clip.limit
        gammas = [gamma if every == unit else 1.0 for unit in ("update", "epoch")]
        self._step = np.array([program.optimizer.lr, *gammas, limit, self.data.preparation.cut, self.size])
        self._ends = {0, *check_epochs(self.planned)}
        apart = max(end - start for start, end in pairwise(sorted(self._ends)))
        self._most = max(1, min(apart, LARGEST_ORDER // len(train.x)))
        by_metric = self.data.own_validation is not None or program.stop_on == "metric"
        # what only Python can do behind an epoch keeps it from being trained together with the next
        if (
            not plan[passes.PIECE]
            or not self._scored
            or every == "plateau"
            or (waits and by_metric)
            or not network.draws_at_once(self._most)
        ):
            self._most = 1
        self._orders = np.tile(self.data.unshuffled.numpy(), (self._most, 1))
        self._drawn = torch.from_numpy(self._orders).unbind() if program.data.shuffle else ()
        self._seen = np.empty((len(train.x), units), np.float32)
        self._held = np.empty((len(held.x), units), np.float32)
        self._found = np.zeros((self._most + 1, len(passes.FOUND)))
        self._found[0, [passes.HELD_LOSS, passes.BEST]] = np.nan, np.inf
        room = max(batch * (train.targets.shape[1] + 1), len(held.x) * units)
        layout = network.layout
        self._before_orders = network.arena, layout.forward, layout.backward, plan
        self._before_orders += train.part(), held.part(program.loss in LOGIT_LOSSES)  # type: ignore[assignment]
        self._behind_orders = (
            layout.handed,
            layout.penalties,
            numbers(program.optimizer),
            self._step,
            self._seen,
            self._held,
            np.empty(room, np.float32),
            np.empty(layout.weighed if self._repeats else 0, np.float32),
            self._found,
        )

    def _epoch(self) -> tuple[float, float]:  # type: ignore[override]
        """As ``Session._epoch``, as numbers; validates too. Trains as far as nobody has to look."""
        epoch = len(self.curves)
        if epoch == self._trained:
            self._train(min(self._most, min(end for end in self._ends if end > epoch) - epoch))
        self._place += 1
        now = self.now = self._rows[self._place]
        self.rows += (seen := int(now[passes.SEEN]))
        if not self._scored:
            predicted = predictions(torch.from_numpy(self._seen[:seen]), self.data.preparation)
            order = torch.from_numpy(self._orders[0, :seen])
            judged = judge(predicted, self.data.train.truth[order], self.task)
            now[passes.TRAIN_SCORE] = float(judged)
        return now[passes.TRAIN_LOSS], now[passes.TRAIN_SCORE]

    def _train(self, epochs: int) -> None:
        """So many epochs, or fewer where the training ends with one."""
        network, rate, rows = self.network, self.update.rate, self._orders.shape[1]
        for order in self._drawn[:epochs]:
            torch.randperm(rows, generator=self.order, out=order)
        if network.layout.draws and network.plan[passes.MODE] == TRAINING:
            if self._mode == EVALUATION and network.draws_at_once(epochs):
                network.draw_epochs(epochs)
            else:
                network.draw(self._sizes(rows), rows)
        self._step[passes.RATE] = rate.value
        self._found[0], self._place = self._found[self._place], 0
        arena, *before = self._before_orders
        given = arena, network.bits, *before, self._orders[:epochs], *self._behind_orders
        self._trained += passes.epochs(*given)
        rate.value, self._rows = float(self._step[passes.RATE]), self._found.tolist()

    def _sizes(self, rows: int) -> list[int]:
        """Rows of the batches of the next epoch."""
        plan = self.network.plan
        size, left = int(plan[passes.BATCH]), int(plan[passes.UPDATES] - plan[passes.DONE])
        sizes = [min(size, rows - first) for first in range(0, rows, size)]
        if sizes[-1] == 1 and plan[passes.SKIPS_ONE]:
            del sizes[-1]
        return sizes[:left]

    def _record(self, loss: float, score: float) -> None:  # type: ignore[override]
        held, now = self.data.validation, self.now
        if self._mode == REHEARSAL:
            self._held[:] = self._outputs(held.x)
            now[passes.HELD_LOSS] = float(self.objective.of_held(torch.from_numpy(self._held), held))
        if self._mode == REHEARSAL or not self._scored:
            now[passes.HELD_SCORE] = float(judge(self._predicted, held.truth, self.task))
        penalty = now[passes.PENALTY]
        held_loss = float(np.float32(now[passes.HELD_LOSS] + penalty))
        numbers = [float(np.float32(loss + penalty)), score, held_loss, now[passes.HELD_SCORE]]
        refuse_non_finite([*numbers, now[passes.WEIGHTS]])
        self.curves.append(numbers)
        if self.program.data.split != "none":
            self.update.look(held_loss)
        self.watched.append(self._watch(held_loss))

    def _hopeless(self) -> bool:
        """As ``Session``."""
        still = self.now[passes.STILL] > 0
        return still and len(self.curves) > 1 and self.curves[-1][2] == self.curves[-2][2]

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
    """What the penalties add to the loss behind the epoch that is recorded."""

    def __init__(self, session: CompiledSession) -> None:
        self._session = session

    def value(self) -> float:
        """A number."""
        return self._session.now[passes.PENALTY]


class _Rates(Update):
    """The learning rate from epoch to epoch; the updates themselves are compiled."""

    def __init__(self, program: Program) -> None:
        self.rate, self._schedule = Rate(program.optimizer.lr), program.schedule
        waits = program.schedule is not None and program.schedule.every == "plateau"
        self._plateau = (
            Plateau(program.schedule, self.rate) if program.schedule is not None and waits else None
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
            ends = [_ends_of(part) for part in (dataset.train, dataset.validation, dataset.holdout)]
            if index or table > LARGEST_ID or any(low < 0 or high >= table for low, high in ends):
                raise NotMineError("ids that are not in the table")


@lru_cache(maxsize=16)
def _ends_of(part: Part) -> tuple[float, float]:
    """Lowest and highest value of the inputs."""
    return float(part.x.min()), float(part.x.max())


def _refuse_targets(rows: Rows, units: int, *, by_id: bool, broadcast: bool) -> None:
    columns = rows.targets.shape[1]
    if by_id and (columns != 1 or rows.lowest < 0 or rows.highest >= units):
        raise NotMineError("a class that has no output")
    if not by_id and columns != (1 if broadcast else units):
        raise NotMineError("targets of another shape than the outputs")
