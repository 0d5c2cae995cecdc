"""The loop of one training: epochs, updates, curves."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Generator, Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import BatchNorm, Dropout, Program
from netmend.env.program.shapes import multiply_accumulates
from netmend.env.training.failures import DivergedError, TimeoutReachedError
from netmend.env.training.layers import Noise
from netmend.env.training.losses import LOSS_FUNCTIONS, check_pair
from netmend.env.training.measure import Measurements, check_epochs
from netmend.env.training.model import Network, Parameters, layer_name
from netmend.env.training.optimizers import Step, make_clip, make_optimizer
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.rules import Evidence
from netmend.env.training.scores import collapsed, metric, predictions, skill
from netmend.env.training.trial import SKILL_FLOOR, Budget, Curves

STREAMS = ("weights", "order", "noise")
"""Random streams of a training: each consumer has its own, so that adding a dropout changes no weight."""
LARGEST_PASS = 8_000_000
"""Values that a scoring pass may hold at once; more rows are taken in pieces."""


def random_stream(seed: int, name: str, device: str = "cpu") -> Generator:
    """The generator of one consumer of randomness in a training with a seed."""
    child = np.random.SeedSequence([seed, STREAMS.index(name)])
    return Generator(device).manual_seed(int(child.generate_state(1, np.uint64)[0]))


def repeats(program: Program, rows: int, budget: Budget, planned: int) -> bool:
    """Whether an epoch that changes no weight is like the one before: no noise, no statistics, equal batches.

    A left-over batch counts as much in the mean loss as a full one, and updates can end in the last epoch.
    """
    if any(isinstance(layer, BatchNorm | Dropout) for layer in program.layers):
        return False
    size = min(program.batch_size, rows)
    even = rows % size == 0 or not program.data.shuffle
    return even and planned * math.ceil(rows / size) <= budget.updates


def out_of_patience(program: Program, curves: Sequence[Sequence[float]]) -> bool:
    """Whether the validation loss has not become better for as long as the program waits."""
    if program.patience is None:
        return False
    losses = [row[2] for row in curves]
    return len(losses) - 1 - losses.index(min(losses)) >= max(program.patience, 1)


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


@dataclass(frozen=True)
class Score:
    """Validation skill and metric, and the hold-out skill where it was asked for; see ``Trial``."""

    skill: float = SKILL_FLOOR
    metric: float | None = None
    holdout: float | None = None


class Session:
    """One training, built and ready to run.

    Attributes:
        phase: what it is doing, for messages.
        planned: epochs that program and budget allow.
        curves: one list of (training loss, training score, validation loss, validation score) per epoch.
    """

    def __init__(
        self, program: Program, dataset: Dataset, budget: Budget, seed: int, device: str, cache: PreparedCache
    ) -> None:
        """Prepare data and build the network.

        Raises:
            CrashError: layers, loss and labels do not fit each other.
        """
        self.phase = "build"
        self.program, self.dataset, self.task, self.budget = program, dataset, dataset.task, budget
        self.noise = Noise(random_stream(seed, "noise", device))
        self.network = Network(program.layers, self.task, random_stream(seed, "weights"), self.noise, device)
        check_pair(self.network.shapes[-1], program.data.labels, program.loss, self.task)
        self.data = cache.prepare(program, dataset, budget.samples, device)
        self.loss = LOSS_FUNCTIONS[program.loss]
        train = self.data.train
        self.measurements = Measurements(self.network, program, self.loss, train.x, train.targets)
        self.penalty = _Penalty(self.network.parameters)
        self.steps = _steps(program, self.network.parameters, self.penalty)
        self.order = random_stream(seed, "order")
        self.planned = budget.epochs_of(program, len(train.x))
        self.curves: list[list[float]] = []
        self.updates = self.rows = 0
        self.piece = max(1, LARGEST_PASS // sum(map(prod, self.network.shapes)))
        self._batch = train.x[: program.batch_size]
        self._before = self.network.parameters.values
        self._repeats = repeats(program, len(train.x), budget, self.planned)

    def fit(self, deadline: float) -> None:
        """Train until the epochs, the updates or the patience are used up.

        Args:
            deadline: value of ``time.perf_counter()`` after which the training is given up.

        Raises:
            DivergedError: loss or weights are no longer finite.
            TimeoutReachedError: the deadline has passed.
        """
        self.phase = "training"
        self.measurements.check()
        check_after = check_epochs(self.planned)
        hopeless = False
        for epoch in range(1, self.planned + 1):
            self.phase = f"epoch {epoch} of {self.planned}"
            if not hopeless:
                self._before = self.network.parameters.values.clone()
                self._record(*self._epoch(deadline))
                hopeless = self._hopeless()
            else:
                self.curves.append(self.curves[-1])
            if epoch in check_after:
                self.measurements.check()
            if out_of_patience(self.program, self.curves):
                break

    def score(self, holdout: bool) -> Score:
        """Score of the network as it is now."""
        self.phase = "scoring"
        validation = self.curves[-1][3]
        held: float | None = None
        if holdout:
            rows = self.data.preparation.apply(self.dataset.holdout)
            predicted = predictions(self._outputs(rows.x), self.data.preparation)
            held = skill(float(metric(predicted, rows.truth)), rows.truth)
        return Score(skill(validation, self.data.validation.truth), validation, held)

    def evidence(self, finite: bool) -> Evidence:
        """What the rules need."""
        return Evidence(
            program=self.program,
            task=self.task,
            curves=as_curves(self.curves),
            layers=self.measurements.layers,
            checks=self.measurements.checks(),
            weights=self.measurements.weights(),
            finite=finite,
            collapsed=self._collapsed() if self.curves else 0.0,
            target_range=self.data.target_range,
            unscaled_inputs=self.data.unscaled_inputs,
            input_spread=self.data.input_spread,
            unscaled_targets=self.data.unscaled_targets,
        )

    @property
    def work(self) -> float:
        """Millions of multiply-accumulates so far; a backward pass counts as two forward passes."""
        return 3 * multiply_accumulates(self.program, self.task) * self.rows / 1e6

    def failing_layer(self) -> str | None:
        """Name of the layer that cannot take what it gets while training, if that is what fails."""
        x = self._batch
        self.noise.begin_epoch(len(x))
        for index, operation in enumerate(self.network.training):
            try:
                x = operation(x)
            except (RuntimeError, ValueError, IndexError):
                return layer_name(self.program.layers, index)
        return None

    def _epoch(self, deadline: float) -> tuple[Tensor, Tensor]:
        """One pass over the rows; mean loss and score are gathered while training, as in Keras."""
        train, order = self.data.train, self._row_order()
        x, targets = train.x[order], train.targets[order]
        size = self.program.batch_size
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        self.noise.begin_epoch(len(order))
        batches = zip(torch.split(x, size), torch.split(targets, size), strict=True)
        for self._batch, batch_targets in batches:
            if self.updates == self.budget.updates or self._too_small(outputs):
                break
            if time.perf_counter() > deadline:
                raise TimeoutReachedError(
                    f"stopped after {self.budget.seconds:g} s and {self.updates} updates"
                )
            output = self.network.train(self._batch)
            loss = self.loss(output, batch_targets).mean()
            self.network.parameters.gradient.zero_()
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            for step in self.steps:
                step()
            self.updates += 1
            self.noise.start += len(output)
            losses.append(loss.detach())
            outputs.append(output.detach())
        seen = torch.cat(outputs)
        self.rows += len(seen)
        predicted = predictions(seen, self.data.preparation)
        return torch.stack(losses).mean(), metric(predicted, train.truth[order[: len(seen)]])

    def _record(self, loss: Tensor, score: Tensor) -> None:
        held = self.data.validation
        outputs = self._outputs(held.x)
        held_loss = self.loss(outputs, held.targets).mean()
        self._predicted = predictions(outputs, self.data.preparation)
        penalty = self.penalty.value()
        weights = self.network.parameters.values.sum()
        numbers: list[float] = torch.stack(
            [loss + penalty, score, held_loss + penalty, metric(self._predicted, held.truth), weights]
        ).tolist()
        refuse_non_finite(numbers)
        self.curves.append(numbers[:4])

    def _outputs(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            if len(x) <= self.piece:
                return self.network.evaluate(x)
            return torch.cat([self.network.evaluate(piece) for piece in torch.split(x, self.piece)])

    def _row_order(self) -> Tensor:
        if not self.program.data.shuffle:
            return self.data.by_target
        return torch.randperm(len(self.data.train.x), generator=self.order).to(self.data.by_target.device)

    def _too_small(self, earlier: list[Tensor]) -> bool:
        """A left-over batch of one row is skipped where batch normalisation could not take it."""
        one = len(self._batch) == 1 and len(earlier) > 0 and self.program.batch_size > 1
        return one and any(isinstance(layer, BatchNorm) for layer in self.program.layers)

    def _hopeless(self) -> bool:
        """Whether no epoch will ever change anything: the loss repeats, no weight moved, no gradient is left.

        Its epochs are then recorded as they would be, without being trained.
        """
        if len(self.curves) < 2 or self.curves[-1][2] != self.curves[-2][2] or not self._repeats:
            return False
        parameters = self.network.parameters
        return torch.equal(parameters.values, self._before) and not bool(parameters.gradient.any())

    def _collapsed(self) -> float:
        return collapsed(self._predicted, self.data.validation.truth)


class _Penalty:
    """The l1 and l2 penalties of the kernels, added to the gradient by hand and not through autograd."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.l1 = self._factors([spec.l1 for spec in parameters.specs])
        self.l2 = self._factors([spec.l2 for spec in parameters.specs])

    def _factors(self, numbers: list[float]) -> Tensor | None:
        return self.parameters.per_value(numbers) if any(numbers) else None

    def add_gradient(self) -> None:
        """Add the gradient of the penalties."""
        values, gradient = self.parameters.trainable, self.parameters.gradient
        if self.l1 is not None:
            gradient.addcmul_(values.sign(), self.l1)
        if self.l2 is not None:
            gradient.addcmul_(values, self.l2, value=2)

    def value(self) -> Tensor:
        """What the penalties add to the loss, a scalar."""
        values = self.parameters.trainable
        total = values.new_zeros(())
        if self.l1 is not None:
            total = total + (values.abs() * self.l1).sum()
        if self.l2 is not None:
            total = total + (values.square() * self.l2).sum()
        return total


def _steps(program: Program, parameters: Parameters, penalty: _Penalty) -> tuple[Step, ...]:
    """What follows a backward pass, in order."""
    steps: list[Step] = []
    if penalty.l1 is not None or penalty.l2 is not None:
        steps.append(penalty.add_gradient)
    if program.clip is not None:
        steps.append(make_clip(program.clip, parameters.gradient))
    steps.append(make_optimizer(program.optimizer, parameters.trainable, parameters.gradient))
    return tuple(steps)
